/* text.c: UTF-8 checked, control characters escaped, digits of numbers counted. */
#include "runtime/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t wm_utf8(const char *bytes, size_t len, uint32_t *scalar)
{
    const unsigned char *b = (const unsigned char *)bytes;
    if (len == 0)
        return 0;
    if (b[0] < 0x80) {
        *scalar = b[0];
        return 1;
    }
    size_t need = b[0] >= 0xf0 ? 4 : b[0] >= 0xe0 ? 3 : 2;
    if (b[0] < 0xc2 || b[0] > 0xf4 || len < need)
        return 0;
    uint32_t value = b[0] & (0xffu >> (need + 1));
    for (size_t i = 1; i < need; i++) {
        if ((b[i] & 0xc0) != 0x80)
            return 0;
        value = value << 6 | (b[i] & 0x3f);
    }
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (value < least[need] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
        return 0;
    *scalar = value;
    return need;
}

bool wm_utf8_valid(const char *bytes, size_t len)
{
    while (len) {
        uint32_t scalar;
        size_t step = wm_utf8(bytes, len, &scalar);
        if (!step)
            return false;
        bytes += step;
        len -= step;
    }
    return true;
}

static bool within(uint32_t c, const uint32_t (*ranges)[2], size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (c >= ranges[i][0] && c <= ranges[i][1])
            return true;
    return false;
}

int wm_utf8_width(uint32_t c)
{
    static const uint32_t none[][2] = {{0x300, 0x36f},   {0x483, 0x489},   {0x591, 0x5bd},
                                       {0x610, 0x61a},   {0x64b, 0x65f},   {0x1ab0, 0x1aff},
                                       {0x1dc0, 0x1dff}, {0x200b, 0x200f}, {0x20d0, 0x20ff},
                                       {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}, {0xe0100, 0xe01ef}};
    static const uint32_t wide[][2] = {
        {0x1100, 0x115f}, {0x2e80, 0x303e},   {0x3041, 0x33ff},   {0x3400, 0x4dbf},  {0x4e00, 0x9fff},
        {0xa000, 0xa4cf}, {0xac00, 0xd7a3},   {0xf900, 0xfaff},   {0xfe30, 0xfe6f},  {0xff00, 0xff60},
        {0xffe0, 0xffe6}, {0x1f300, 0x1f64f}, {0x1f900, 0x1f9ff}, {0x20000, 0x3fffd}};
    if (within(c, none, sizeof none / sizeof *none))
        return 0;
    return within(c, wide, sizeof wide / sizeof *wide) ? 2 : 1;
}

/* Control characters, and marks that reorder or hide what stands beside them. */
static bool unprintable(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x200b && c <= 0x200f) ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
           (c >= 0xfff0 && c <= 0xffff);
}

/* One character of `name` as shown; returns the bytes of `name` it took. */
static size_t show_one(char piece[16], const char *name, size_t len)
{
    uint32_t scalar;
    size_t step = wm_utf8(name, len, &scalar);
    if (step == 0) {
        snprintf(piece, 16, "\\x%02x", (unsigned)(unsigned char)name[0]);
        return 1;
    }
    if (scalar < 0x80 && unprintable(scalar))
        snprintf(piece, 16, "\\x%02x", (unsigned)scalar);
    else if (unprintable(scalar))
        snprintf(piece, 16, "\\u{%x}", (unsigned)scalar);
    else {
        memcpy(piece, name, step);
        piece[step] = 0;
    }
    return step;
}

char *wm_show(char *out, size_t size, const char *name, size_t len)
{
    char piece[16];
    size_t used = 0, at = 0;
    if (size == 0)
        return out;
    while (at < len && used + 16 + 8 < size) {
        at += show_one(piece, name + at, len - at);
        size_t n = strlen(piece);
        memcpy(out + used, piece, n);
        used += n;
    }
    if (at < len && used > size / 2) { /* too long: keep the first half, then the end of the name */
        used = size / 2;
        while (used && ((unsigned char)out[used] & 0xc0) == 0x80)
            used--;
        memcpy(out + used, "...", 3);
        used += 3;
        size_t room = size - used - 1, tail = room / 4 < len ? len - room / 4 : 0;
        while (tail < len && ((unsigned char)name[tail] & 0xc0) == 0x80)
            tail++;
        for (at = tail; at < len;) {
            at += show_one(piece, name + at, len - at);
            size_t n = strlen(piece);
            if (used + n + 1 > size)
                break;
            memcpy(out + used, piece, n);
            used += n;
        }
    }
    out[used] = 0;
    return out;
}

int wm_float_digits(double value, bool wide)
{
    int digits = 1, most = wide ? 17 : 9;
    char text[40];
    for (; digits < most; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        double back = strtod(text, NULL);
        if (wide ? back == value : (float)back == (float)value)
            break;
    }
    return digits;
}
