/* pickle_scalar.c: the opcodes of numbers and strings. */
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/formats/pickle_machine.h"

/* Bytes after their length of `width` bytes. */
static const char *take_counted(wm_machine *m, unsigned width, size_t *len)
{
    uint64_t count = wm_take_le(m->c, width);
    const uint8_t *bytes = wm_take(m->c, count);
    if (!bytes) {
        m->p->cut = true;
        wm_machine_bad(m, "longer than what is left of the file");
        return NULL;
    }
    *len = (size_t)count;
    return (const char *)bytes;
}

/* INT and LONG: text. INT 00 and 01 are the booleans of protocols 0 and 1; LONG ends in L. */
bool wm_op_int_text(wm_machine *m, uint8_t byte)
{
    size_t len;
    const char *text = wm_machine_number(m, &len);
    if (!text)
        return false;
    if (byte == 'I' && len == 2 && text[0] == '0' && (text[1] == '0' || text[1] == '1'))
        return wm_machine_push_bool(m, text[1] == '1');
    if (byte == 'L' && len && text[len - 1] == 'L')
        len--;
    int64_t value;
    int fits = wm_machine_parse_int(text, len, &value);
    if (fits < 0)
        return wm_machine_bad(m, "not a number");
    if (fits)
        return wm_machine_push_int(m, value);
    wm_machine_push_text(m, WM_PICKLE_BIG, text, len);
    m->stack[m->depth - 1]->digits = true;
    return true;
}

bool wm_op_int(wm_machine *m, uint8_t byte)
{
    if (byte == 'J')
        return wm_machine_push_int(m, (int32_t)wm_take_u32(m->c));
    return wm_machine_push_int(m, byte == 'K' ? wm_take_u8(m->c) : wm_take_u16(m->c));
}

/* LONG1 and LONG4: two's complement, shortest first. */
bool wm_op_long(wm_machine *m, uint8_t byte)
{
    size_t len;
    const char *bytes = take_counted(m, byte == 0x8a ? 1 : 4, &len);
    if (!bytes)
        return false;
    if (len > INT32_MAX)
        return wm_machine_bad(m, "a negative length");
    uint8_t fill = len && ((uint8_t)bytes[len - 1] & 0x80) ? 0xff : 0;
    size_t used = len;
    while (used > 8 && (uint8_t)bytes[used - 1] == fill && ((uint8_t)bytes[used - 2] & 0x80) == (fill & 0x80))
        used--;
    if (used > 8)
        return wm_machine_push_text(m, WM_PICKLE_BIG, bytes, len);
    uint64_t value = fill ? UINT64_MAX : 0;
    for (size_t i = used; i-- > 0;)
        value = value << 8 | (uint8_t)bytes[i];
    return wm_machine_push_int(m, (int64_t)value);
}

/* The text form must not depend on the locale of the program that calls us. */
static bool parse_float(const char *text, size_t len, double *value)
{
    char buf[WM_PICKLE_DIGITS + 1];
    for (size_t i = 0; i < len; i++)
        if (!strchr("0123456789+-.eEinfatyINFATY", text[i]) || !text[i])
            return false;
    memcpy(buf, text, len);
    buf[len] = 0;
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!c)
        return false;
    char *end;
    *value = strtod_l(buf, &end, c);
    freelocale(c);
    return len && *end == 0;
}

bool wm_op_float(wm_machine *m, uint8_t byte)
{
    double value;
    if (byte == 'F') {
        size_t len;
        const char *text = wm_machine_number(m, &len);
        if (!text)
            return false;
        if (!parse_float(text, len, &value))
            return wm_machine_bad(m, "not a number");
    } else {
        const uint8_t *bytes = wm_take(m->c, 8);
        uint64_t bits = 0;
        for (int i = 0; bytes && i < 8; i++)
            bits = bits << 8 | bytes[i];
        memcpy(&value, &bits, sizeof value);
    }
    wm_pickle_node *node = wm_machine_node(m, WM_PICKLE_FLOAT);
    node->as.real = value;
    return wm_machine_push(m, node);
}

/* Pushes a line with escapes: decoded if it is short; else as it stands, for whoever needs it. */
static bool push_escaped(wm_machine *m, wm_pickle_kind kind, wm_pickle_coding coding, const char *text,
                         size_t len)
{
    bool escaped = len > WM_PICKLE_SHORT;
    if (!escaped && !(text = wm_pickle_unescape(&m->p->arena, coding, text, &len)))
        return wm_machine_bad(m, "a malformed escape");
    wm_machine_push_text(m, kind, text, len);
    m->stack[m->depth - 1]->escaped = escaped;
    return true;
}

/* UNICODE: "raw-unicode-escape": \uXXXX and \UXXXXXXXX, all else is Latin-1. */
bool wm_op_unicode(wm_machine *m, uint8_t byte)
{
    (void)byte;
    size_t len;
    const char *text = wm_machine_line(m, &len);
    return text && push_escaped(m, WM_PICKLE_TEXT, WM_PICKLE_UNICODE, text, len);
}

/* STRING: what Python 2's repr() of a str gives. */
bool wm_op_string(wm_machine *m, uint8_t byte)
{
    (void)byte;
    size_t len;
    const char *text = wm_machine_line(m, &len);
    if (!text)
        return false;
    while (len && (text[len - 1] == ' ' || text[len - 1] == '\r'))
        len--;
    if (len < 2 || (*text != '\'' && *text != '"') || text[len - 1] != *text)
        return wm_machine_bad(m, "a string without its quotes");
    if (!push_escaped(m, WM_PICKLE_BYTES, WM_PICKLE_STRING, text + 1, len - 2))
        return false;
    m->stack[m->depth - 1]->python2 = true;
    return true;
}

/* Strings and bytes after their length. */
bool wm_op_counted(wm_machine *m, uint8_t byte)
{
    unsigned width = byte == 'U' || byte == 'C' || byte == 0x8c     ? 1
                     : byte == 0x8d || byte == 0x8e || byte == 0x96 ? 8
                                                                    : 4;
    size_t len;
    const char *bytes = take_counted(m, width, &len);
    if (!bytes)
        return false;
    bool python2 = byte == 'T' || byte == 'U';
    if (byte == 'T' && len > INT32_MAX)
        return wm_machine_bad(m, "a negative length");
    wm_machine_push_text(m, byte == 'X' || byte == 0x8c || byte == 0x8d ? WM_PICKLE_TEXT : WM_PICKLE_BYTES,
                         bytes, len);
    m->stack[m->depth - 1]->python2 = python2;
    return true;
}
