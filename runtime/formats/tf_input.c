/* tf_input.c: see tf_input.h. */
#include "runtime/formats/tf_input.h"

#include <string.h>

wm_tf_input wm_tf_file(wmap_archive *archive, uint32_t file, uint64_t begin, uint64_t size, uint8_t *window,
                       size_t room, wmap_error *err)
{
    return (wm_tf_input){.archive = archive,
                         .file = file,
                         .bytes = window,
                         .begin = begin,
                         .end = begin,
                         .at = begin,
                         .limit = begin + size,
                         .window = window,
                         .room = room,
                         .err = err};
}

wm_tf_input wm_tf_memory(wmap_archive *archive, uint32_t file, const void *bytes, size_t size,
                         uint64_t origin, wmap_error *err)
{
    return (wm_tf_input){.archive = archive,
                         .file = file,
                         .bytes = bytes,
                         .end = size,
                         .limit = size,
                         .origin = origin,
                         .err = err};
}

bool wm_tf_damaged(wm_tf_input *in, const char *what)
{
    if (!in->failed) {
        wm_fail(in->err, WMAP_E_CORRUPT, "%s", what);
        wm_error_offset(in->err, in->origin + in->at);
        wm_error_file(in->err, in->archive->files[in->file].path);
    }
    in->failed = true;
    return false;
}

/* Moves the window so that it holds `size` bytes at in->at, which are there and fit. */
static bool refill(wm_tf_input *in, uint64_t size)
{
    if (in->at >= in->begin && in->at + size <= in->end)
        return true;
    uint64_t left = in->limit - in->at, more = left < in->room ? left : in->room;
    in->begin = in->end = in->at;
    if (!wm_archive_read(in->archive, in->file, in->at, in->window, more, in->err)) {
        in->failed = true;
        return false;
    }
    in->end = in->at + more;
    return true;
}

const uint8_t *wm_tf_take(wm_tf_input *in, uint64_t size)
{
    if (in->failed)
        return NULL;
    if (size > in->limit - in->at || (in->window && size > in->room)) {
        wm_tf_damaged(in, "truncated: a value is longer than what holds it");
        return NULL;
    }
    if (!refill(in, size))
        return NULL;
    const uint8_t *bytes = in->bytes + (in->at - in->begin);
    in->at += size;
    return bytes;
}

void wm_tf_skip(wm_tf_input *in, uint64_t size)
{
    if (!in->failed && size > in->limit - in->at)
        wm_tf_damaged(in, "truncated: a value is longer than what holds it");
    else if (!in->failed)
        in->at += size;
}

uint64_t wm_tf_varint(wm_tf_input *in)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        const uint8_t *byte = wm_tf_take(in, 1);
        if (!byte)
            return 0;
        if (shift < 64)
            value |= (uint64_t)(*byte & 0x7f) << shift;
        if (*byte < 0x80)
            return value;
    }
    wm_tf_damaged(in, "a number of more than 10 bytes");
    return 0;
}

wm_tf_fields wm_tf_message(const wm_tf_input *in)
{
    return (wm_tf_fields){.end = in->at, .limit = in->limit};
}

static uint64_t take_fixed(wm_tf_input *in, unsigned size)
{
    const uint8_t *bytes = wm_tf_take(in, size);
    uint64_t value = 0;
    for (unsigned i = 0; bytes && i < size; i++)
        value |= (uint64_t)bytes[i] << (8 * i);
    return value;
}

bool wm_tf_next(wm_tf_input *in, wm_tf_fields *f)
{
    if (in->failed)
        return false;
    in->limit = f->limit;
    in->at = f->end;
    if (in->at == in->limit)
        return false;
    uint64_t tag = wm_tf_varint(in);
    f->number = (uint32_t)(tag >> 3);
    f->wire = tag & 7;
    f->value = 0;
    if (!in->failed && (tag >> 32 || f->number == 0))
        return wm_tf_damaged(in, "damaged message: a field of no number");
    if (f->wire == WM_TF_VARINT) {
        f->value = wm_tf_varint(in);
    } else if (f->wire == WM_TF_FIXED64 || f->wire == WM_TF_FIXED32) {
        f->value = take_fixed(in, f->wire == WM_TF_FIXED32 ? 4 : 8);
    } else if (f->wire == WM_TF_BYTES) {
        uint64_t size = wm_tf_varint(in);
        if (!in->failed && size > in->limit - in->at)
            return wm_tf_damaged(in, "truncated: a field is longer than its message");
        f->end = in->at + size;
        in->limit = in->failed ? in->limit : f->end;
        return !in->failed;
    } else if (!in->failed) {
        wm_tf_damaged(in, "damaged message: a field of an unknown kind");
        if ((f->wire == 3 || f->wire == 4) && in->err)
            in->err->code = WMAP_E_UNSUPPORTED;
        return false;
    }
    f->end = in->at;
    return !in->failed;
}

char *wm_tf_copy(wm_tf_input *in, wm_arena *arena, uint64_t most, size_t *len)
{
    uint64_t size = wm_tf_left(in);
    *len = 0;
    if (size > most) {
        wm_tf_damaged(in, "a name or a list that is too long");
        return NULL;
    }
    char *text = in->failed ? NULL : wm_alloc(arena, (size_t)size + 1);
    if (!text) {
        if (!in->failed)
            wm_fail(in->err, WMAP_E_NOMEM, "out of memory");
        in->failed = true;
        return NULL;
    }
    while (*len < size) {
        uint64_t step = in->window && size - *len > in->room ? in->room : size - *len;
        const uint8_t *bytes = wm_tf_take(in, step);
        if (!bytes)
            return NULL;
        memcpy(text + *len, bytes, (size_t)step);
        *len += (size_t)step;
    }
    return text;
}
