/* safetensors_plain.c: entries of a header in the form in which writers put them: three keys, ASCII without
 * escapes, whole numbers. A header of a million tensors is read here at the speed of its bytes. What has
 * another form is not judged, but left to the caller, who has a JSON parser for it. */
#include <string.h>

#include "runtime/formats/safetensors.h"

#define DIGITS 18 /* below 2^63 whatever they are */

/* Passes over `byte` and the blanks that may stand around it. */
static bool take(wm_cursor *c, uint8_t byte)
{
    while (c->at < c->size && c->bytes[c->at] == ' ')
        c->at++;
    if (c->at == c->size || c->bytes[c->at] != byte)
        return false;
    for (c->at++; c->at < c->size && c->bytes[c->at] == ' ';)
        c->at++;
    return true;
}

bool wm_safetensors_plain_text(wm_cursor *c, const char **text, size_t *len)
{
    size_t at = c->at, size = c->size;
    const uint8_t *bytes = c->bytes;
    if (at == size || bytes[at] != '"')
        return false;
    size_t begin = ++at;
    while (at < size && bytes[at] >= ' ' && bytes[at] < 0x7f && bytes[at] != '"' && bytes[at] != '\\')
        at++;
    if (at == size || bytes[at] != '"')
        return false;
    *text = (const char *)bytes + begin;
    *len = at - begin;
    c->at = at + 1;
    return true;
}

static bool take_number(wm_cursor *c, uint64_t *number)
{
    size_t begin = c->at;
    uint64_t value = 0;
    for (; c->at < c->size && c->bytes[c->at] >= '0' && c->bytes[c->at] <= '9'; c->at++) {
        if (c->at - begin == DIGITS)
            return false;
        value = value * 10 + (uint64_t)(c->bytes[c->at] - '0');
    }
    *number = value;
    return c->at > begin && (c->at == begin + 1 || c->bytes[begin] != '0');
}

static bool take_list(wm_cursor *c, uint64_t *numbers, uint32_t room, uint32_t *count)
{
    *count = 0;
    if (!take(c, '['))
        return false;
    while (!take(c, ']'))
        if ((*count && !take(c, ',')) || *count == room || !take_number(c, &numbers[(*count)++]))
            return false;
    return true;
}

static bool is(const char *key, size_t len, const char *name)
{
    return len == strlen(name) && memcmp(key, name, len) == 0;
}

bool wm_safetensors_plain_entry(wm_cursor *c, wm_safetensors_entry *entry)
{
    wm_cursor at = *c;
    unsigned seen = 0;
    for (int i = 0; i < 3; i++) {
        const char *key;
        size_t len;
        uint32_t two;
        uint64_t ends[2];
        if (!take(&at, i ? ',' : '{') || !wm_safetensors_plain_text(&at, &key, &len) || !take(&at, ':'))
            return false;
        if (is(key, len, "dtype") && wm_safetensors_plain_text(&at, &entry->dtype, &entry->dtype_len)) {
            seen |= 1;
        } else if (is(key, len, "shape") && take_list(&at, entry->shape, WMAP_MAX_RANK, &entry->rank)) {
            seen |= 2;
        } else if (is(key, len, "data_offsets") && take_list(&at, ends, 2, &two) && two == 2) {
            entry->begin = ends[0];
            entry->end = ends[1];
            seen |= 4;
        } else {
            return false;
        }
    }
    if (seen != 7 || !take(&at, '}'))
        return false;
    *c = at;
    return true;
}
