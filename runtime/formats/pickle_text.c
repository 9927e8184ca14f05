/* pickle_text.c: the forms in which a pickle writes strings and bytes. Protocols 0 to 2 write the data of an
 * array as text: with the escapes of Python's repr (STRING), with those of "raw-unicode-escape" (UNICODE), or
 * as the UTF-8 of Latin-1 text. Long ones are decoded where they are needed, piece by piece. */
#include <string.h>

#include "runtime/base/text.h"
#include "runtime/formats/pickle_machine.h"

/* The value of `count` hex digits, -1 if they aren't. */
static int64_t parse_hex(const char *text, size_t left, size_t count)
{
    int64_t value = 0;
    if (left < count)
        return -1;
    for (size_t i = 0; i < count; i++) {
        char c = text[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

/* What one unit of a coding means: one character, or two (an escape that is none). */
typedef struct unit {
    uint32_t value[2];
    unsigned count;
    size_t step; /* bytes of it; 0: malformed, or cut off */
} unit;

static const unit malformed;

/* A backslash in a string of Python 2, and what follows it. */
static unit string_escape(const char *text, size_t left)
{
    static const char from[] = "\\'\"abfnrtv", to[] = "\\'\"\a\b\f\n\r\t\v";
    if (left < 2)
        return malformed;
    char c = text[1];
    const char *simple = c ? strchr(from, c) : NULL;
    if (simple)
        return (unit){{(uint8_t)to[simple - from]}, 1, 2};
    if (c == 'x') {
        int64_t value = parse_hex(text + 2, left - 2, 2);
        return value < 0 ? malformed : (unit){{(uint32_t)value}, 1, 4};
    }
    if (c >= '0' && c <= '7') {
        uint32_t value = 0;
        size_t i = 1;
        for (; i < 4 && i < left && text[i] >= '0' && text[i] <= '7'; i++)
            value = value * 8 + (uint32_t)(text[i] - '0');
        return (unit){{value & 0xff}, 1, i};
    }
    return (unit){{'\\', (uint8_t)c}, 2, 2};
}

/* A backslash in "raw-unicode-escape": \uXXXX and \UXXXXXXXX mean something. */
static unit text_escape(const char *text, size_t left)
{
    if (left < 2)
        return (unit){{'\\'}, 1, 1};
    if (text[1] != 'u' && text[1] != 'U')
        return (unit){{'\\', (uint8_t)text[1]}, 2, 2};
    size_t digits = text[1] == 'u' ? 4 : 8;
    int64_t scalar = parse_hex(text + 2, left - 2, digits);
    return scalar < 0 || scalar > 0x10ffff ? malformed : (unit){{(uint32_t)scalar}, 1, 2 + digits};
}

static unit next_unit(wm_pickle_coding coding, const char *text, size_t left)
{
    uint8_t c = (uint8_t)*text;
    if (coding == WM_PICKLE_UTF8 && c >= 0x80) {
        unit u = {.count = 1};
        u.step = wm_utf8(text, left, &u.value[0]);
        return u;
    }
    if (c == '\\' && coding == WM_PICKLE_STRING)
        return string_escape(text, left);
    if (c == '\\' && coding == WM_PICKLE_UNICODE)
        return text_escape(text, left);
    return (unit){{c}, 1, 1};
}

/* Most of what there is, without much ado: bytes of one character each, and in UTF-8 those of two. How many
 * were taken; what it doesn't take is for next_unit(). */
static size_t plain(wm_pickle_coding coding, const char *text, size_t len, uint8_t *out, size_t room,
                    size_t *made)
{
    const uint8_t *from = (const uint8_t *)text;
    size_t at = 0, n = *made;
    if (coding == WM_PICKLE_UTF8)
        while (at < len && n < room) {
            uint8_t c = from[at];
            bool pair = (c == 0xc2 || c == 0xc3) && len - at > 1 && (from[at + 1] & 0xc0) == 0x80;
            if (c >= 0x80 && !pair)
                break;
            out[n++] = (uint8_t)(pair ? c << 6 | (from[at + 1] & 0x3f) : c);
            at += pair ? 2 : 1;
        }
    else
        while (at < len && n < room && (from[at] != '\\' || coding == WM_PICKLE_PLAIN))
            out[n++] = from[at++];
    *made = n;
    return at;
}

/* The longest unit is \UXXXXXXXX. */
#define LONGEST ((size_t)10)

bool wm_pickle_decode(wm_pickle_coding coding, const char *text, size_t len, bool last, size_t *used,
                      uint8_t *out, size_t room, size_t *made)
{
    size_t at = 0, n = 0;
    while (at < len && n + 2 <= room && (last || len - at >= LONGEST)) {
        at += plain(coding, text + at, len - at, out, room, &n);
        if (at == len || n + 2 > room || (!last && len - at < LONGEST))
            break;
        unit u = next_unit(coding, text + at, len - at);
        if (!u.step)
            break;
        for (unsigned i = 0; i < u.count; i++) {
            if (u.value[i] > 0xff)
                return false;
            out[n++] = (uint8_t)u.value[i];
        }
        at += u.step;
    }
    *used = at;
    *made = n;
    /* Stopped for want of room, or of what follows; anything else is malformed. */
    return at == len || n + 2 > room || (!last && len - at < LONGEST);
}

bool wm_pickle_length(const wm_pickle_span *span, uint64_t *bytes)
{
    uint8_t out[4096];
    *bytes = span->len;
    if (span->coding == WM_PICKLE_PLAIN)
        return true;
    *bytes = 0;
    for (size_t at = 0, used, made; at < span->len; at += used, *bytes += made)
        if (!wm_pickle_decode(span->coding, span->bytes + at, span->len - at, true, &used, out, sizeof out,
                              &made))
            return false;
    return true;
}

/* Appends a code point in the form of UTF-8, surrogates too. */
static size_t put_utf8(char *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const uint8_t lead[] = {0, 0xc0, 0xe0, 0xf0};
    for (size_t i = more; i > 0; i--) {
        out[i] = (char)(0x80 | (c & 0x3f));
        c >>= 6;
    }
    out[0] = (char)(lead[more] | c);
    return more + 1;
}

char *wm_pickle_unescape(wm_arena *arena, wm_pickle_coding coding, const char *text, size_t *len)
{
    size_t used = 0, left = *len;
    char *out = wm_alloc_array(arena, left + 1, 2); /* Latin-1 at most doubles; escapes shrink */
    while (out && left) {
        unit u = next_unit(coding, text, left);
        if (!u.step)
            return NULL;
        for (unsigned i = 0; i < u.count; i++)
            if (coding == WM_PICKLE_STRING)
                out[used++] = (char)u.value[i];
            else
                used += put_utf8(out + used, u.value[i]);
        text += u.step;
        left -= u.step;
    }
    *len = used;
    return out;
}

/* ---- the bytes of an object ---- */

static wm_pickle_span span_of(const wm_pickle_node *node, wm_pickle_coding coding)
{
    wm_pickle_coding raw = node->kind == WM_PICKLE_TEXT ? WM_PICKLE_UNICODE : WM_PICKLE_STRING;
    return (wm_pickle_span){node->as.text.bytes, node->as.text.len, node->escaped ? raw : coding};
}

bool wm_pickle_span_of(const wm_pickle_node *node, wm_pickle_span *span)
{
    if (node->kind == WM_PICKLE_BYTES)
        return *span = span_of(node, WM_PICKLE_PLAIN), true;
    if (node->kind != WM_PICKLE_CALL)
        return false;
    const wm_pickle_node *args = node->as.call.args;
    if (wm_pickle_is(node->as.call.callable, "builtins", "bytes") && args->as.list.count == 0)
        return *span = (wm_pickle_span){"", 0, WM_PICKLE_PLAIN}, true;
    if (!wm_pickle_is(node->as.call.callable, "_codecs", "encode") || args->as.list.count != 2 ||
        args->as.list.items[0]->kind != WM_PICKLE_TEXT ||
        !(wm_pickle_says(args->as.list.items[1], "latin1") ||
          wm_pickle_says(args->as.list.items[1], "latin-1")))
        return false;
    *span = span_of(args->as.list.items[0], WM_PICKLE_UTF8);
    return true;
}

bool wm_pickle_span_text(const wm_pickle_node *node, wm_pickle_span *span)
{
    if (node->kind != WM_PICKLE_TEXT)
        return wm_pickle_span_of(node, span);
    *span = span_of(node, WM_PICKLE_UTF8);
    return true;
}

bool wm_pickle_bytes(wm_arena *arena, const wm_pickle_node *node, const char **bytes, size_t *len)
{
    wm_pickle_span span;
    *bytes = NULL;
    if (!wm_pickle_span_of(node, &span))
        return false;
    *bytes = span.bytes;
    *len = span.len;
    if (span.coding == WM_PICKLE_PLAIN)
        return true;
    size_t used;
    uint8_t *out = wm_alloc(arena, span.len + 2);
    *bytes = (char *)out;
    if (out && wm_pickle_decode(span.coding, span.bytes, span.len, true, &used, out, span.len + 2, len) &&
        used == span.len)
        return true;
    *bytes = NULL;
    return false;
}

bool wm_pickle_string(wm_arena *arena, const wm_pickle_node *node, const char **bytes, size_t *len)
{
    *bytes = node->as.text.bytes;
    *len = node->as.text.len;
    if (node->escaped)
        *bytes = wm_pickle_unescape(
            arena, node->kind == WM_PICKLE_TEXT ? WM_PICKLE_UNICODE : WM_PICKLE_STRING, *bytes, len);
    return *bytes != NULL;
}
