/* items.c: decoding elements that stand in a file, but not as they are. */
#include "runtime/formats/items.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/formats/npy.h"

#define CHUNK ((size_t)64 << 10)

bool wm_items_add(wmap_archive *archive, wm_items *items, wm_entry *entry, const wm_item *item,
                  wmap_error *err)
{
    entry->id = items->count;
    wm_item *slot = wm_push(&archive->arena, items->items, items->count, items->cap);
    if (!slot)
        return wm_fail(err, WMAP_E_NOMEM, "out of memory while listing tensors");
    *slot = *item;
    return true;
}

/* Bytes of the file, decoded piece by piece. What a piece leaves over begins the next one. */
static bool decode_file(wmap_archive *archive, const wm_item *item, wm_sink *sink, wmap_error *err)
{
    struct {
        char text[CHUNK];
        uint8_t out[CHUNK];
    } *b = malloc(sizeof *b);
    bool ok = b || wm_fail(err, WMAP_E_NOMEM, "out of memory while reading a tensor");
    size_t held = 0;
    for (uint64_t at = 0; ok && (at < item->len || held);) {
        uint64_t left = item->len - at;
        size_t n = left < CHUNK - held ? (size_t)left : CHUNK - held, used = 0, made = 0;
        ok = wm_archive_read(archive, item->file, item->offset + at, b->text + held, n, err);
        if (!ok)
            break;
        at += n;
        n += held;
        if (item->coding == WM_PICKLE_PLAIN) {
            ok = sink->put(sink, b->text, n, err);
            continue;
        }
        ok = wm_pickle_decode(item->coding, b->text, n, at == item->len, &used, b->out, sizeof b->out, &made);
        if (!ok) {
            wm_fail(err, WMAP_E_CORRUPT, "the data of an array are malformed text");
            wm_error_offset(err, item->offset + at - n + used);
            break;
        }
        held = n - used;
        memmove(b->text, b->text + used, held);
        ok = !made || sink->put(sink, b->out, made, err);
    }
    free(b);
    return ok;
}

bool wm_items_decode(wmap_archive *archive, const wm_items *items, const wm_entry *entry, wm_sink *to,
                     wmap_error *err)
{
    const wm_item *item = &items->items[entry->id];
    wm_npy_sink sink = wm_npy_sink_of(to, item->member ? item->offset : 0, item->swap, entry->tensor.dtype);
    if (item->member)
        return wm_zip_stream(archive, item->member, &sink.sink, err);
    if (!item->memory)
        return decode_file(archive, item, &sink.sink, err);
    if (item->coding == WM_PICKLE_PLAIN)
        return sink.sink.put(&sink.sink, item->memory, (size_t)item->len, err);
    uint8_t out[8192]; /* at most 1 KiB of text was kept, which in UTF-8 may have grown to twice as much */
    size_t used, made;
    if (!wm_pickle_decode(item->coding, item->memory, (size_t)item->len, true, &used, out, sizeof out,
                          &made) ||
        used != item->len)
        return wm_fail(err, WMAP_E_CORRUPT, "the data of an array are malformed text");
    return sink.sink.put(&sink.sink, out, made, err);
}
