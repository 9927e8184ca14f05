/* text_out.c: text that is put together in an arena. */
#include "runtime/text_out.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/text.h"

void wm_text_bytes(wm_text *t, const char *bytes, size_t size)
{
    if (size == 0)
        return;
    char *grown = t->oom ? NULL : wm_grow(t->arena, t->bytes, t->size, t->size + size, &t->cap, 1);
    if (!grown) {
        t->oom = true;
        return;
    }
    t->bytes = grown;
    memcpy(t->bytes + t->size, bytes, size);
    t->size += size;
}

void wm_text_add(wm_text *t, const char *text)
{
    wm_text_bytes(t, text, strlen(text));
}

void wm_text_number(wm_text *t, uint64_t number)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%" PRIu64, number);
    wm_text_add(t, digits);
}

static void add_escape(wm_text *t, uint32_t unit)
{
    char escape[8];
    snprintf(escape, sizeof escape, "\\u%04x", unit & 0xffff);
    wm_text_add(t, escape);
}

void wm_text_json(wm_text *t, const char *bytes, size_t len, bool ascii)
{
    wm_text_add(t, "\"");
    for (size_t i = 0; i < len;) {
        unsigned char b = (unsigned char)bytes[i];
        uint32_t scalar;
        size_t size = b < 0x80 || !ascii ? 1 : wm_utf8(bytes + i, len - i, &scalar);
        if (b == '"' || b == '\\')
            wm_text_bytes(t, "\\", 1);
        if (b < 0x20) {
            add_escape(t, b);
        } else if (size > 1 && scalar >= 0x10000) {
            add_escape(t, 0xd800 + ((scalar - 0x10000) >> 10));
            add_escape(t, 0xdc00 + ((scalar - 0x10000) & 0x3ff));
        } else if (size > 1) {
            add_escape(t, scalar);
        } else {
            wm_text_bytes(t, bytes + i, 1);
        }
        i += size ? size : 1;
    }
    wm_text_add(t, "\"");
}
