/* npy.c: a NumPy array alone in a file (numpy.save). Its tensor is called "0". The format is told in
 * numpy/lib/_format_impl.py. */
#include "runtime/formats/npy.h"

#include "runtime/formats/pickle_array.h"

static bool probe(wmap_archive *archive)
{
    return wm_npy_looks(archive->head, archive->head_size);
}

static bool open_npy(wmap_archive *archive, wmap_error *err)
{
    uint64_t start;
    wm_npy npy;
    size_t head = archive->head_size < WM_NPY_START ? archive->head_size : WM_NPY_START;
    if (!wm_npy_size(archive->head, head, 0, &start, err))
        return false;
    const uint8_t *header = wm_archive_load(archive, 0, 0, start, err);
    if (!header || !wm_npy_parse(header, (size_t)start, 0, &npy, err))
        return false;
    wm_items *items = wm_new(&archive->arena, wm_items, 1);
    if (!items)
        return wm_fail(err, WMAP_E_NOMEM, "out of memory");
    archive->state = items;
    uint64_t size = archive->files[0].size;
    if (wm_npy_objects(&npy)) {
        const wm_pickled_source source = {.begin = start, .end = size};
        if (!wm_pickled_open(archive, items, &source, err))
            return false;
        if (archive->entry_count)
            return true;
    }
    wm_entry *entry = wm_npy_add(archive, "0", 1, &npy, err);
    if (!entry)
        return false;
    if (npy.dtype == WMAP_OPAQUE) /* nothing else is in the file, so say it at once */
        return wm_fail(err, WMAP_E_UNSUPPORTED, "the array holds %s, which wmap does not read", entry->note);
    entry->direct = true;
    entry->offset = start;
    if (!wm_entry_check(archive, entry, start, size, err))
        return false;
    if (size - start != npy.bytes) {
        wm_fail(err, WMAP_E_CORRUPT, "%llu bytes follow the array",
                (unsigned long long)(size - start - npy.bytes));
        return wm_error_offset(err, start + npy.bytes);
    }
    const wm_item item = {.offset = start, .len = npy.bytes, .swap = true};
    entry->direct = !npy.swap;
    return entry->direct || wm_items_add(archive, items, entry, &item, err);
}

/* Only for big-endian arrays, and for pickles. */
static bool decode(wmap_archive *archive, const wm_entry *entry, wm_sink *to, wmap_error *err)
{
    return wm_items_decode(archive, archive->state, entry, to, err);
}

struct plan {
    uint8_t header[WM_NPY_TEXT];
    size_t size;
};

static bool layout(wm_writer *writer, wmap_error *err)
{
    struct plan *plan = wm_new(writer->arena, struct plan, 1);
    if (!plan)
        return wm_fail(err, WMAP_E_NOMEM, "out of memory");
    if (writer->count != 1)
        return wm_fail(err, WMAP_E_TARGET, "an .npy file holds exactly one tensor, not %zu; .npz holds many",
                       writer->count);
    plan->size = wm_npy_header(&writer->targets[0].tensor, plan->header, err);
    if (!plan->size)
        return false;
    writer->targets[0].offset = plan->size;
    writer->state = plan;
    /* no overflow: both are below 2^63 */
    return wm_writer_add_part(writer, NULL, plan->size + writer->targets[0].bytes, WM_PART_DATA, err);
}

static bool finish(wm_writer *writer, wmap_error *err)
{
    const struct plan *plan = writer->state;
    return writer->put(writer, 0, 0, plan->header, plan->size, err);
}

extern const wm_format wm_format_npy;
const wm_format wm_format_npy = {
    .name = "npy",
    .title = "NumPy array",
    .suffixes = ".npy",
    .probe = probe,
    .open = open_npy,
    .decode = decode,
    .layout = layout,
    .finish = finish,
};
