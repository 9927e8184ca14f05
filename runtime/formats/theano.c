/* theano.c: what theano.misc.pkl_utils.dump writes: a zip whose member "pkl" is a pickle in which each array
 * has a persistent id, "ndarray.NAME" or "gpuarray.NAME". The member NAME is the array as numpy.save writes
 * it; one of the GPU has a pickle of its context's name before that. */
#include <string.h>

#include "runtime/formats/npy.h"
#include "runtime/formats/pickle_array.h"

#define MEMBER "pkl"
#define PEEK   ((size_t)4096) /* header of an array, and the name of a context: a few bytes */

static bool probe(wmap_archive *archive)
{
    if (!wm_zip_looks(archive))
        return false;
    const wm_zip *zip = wm_archive_zip(archive, NULL);
    return zip && wm_zip_find(zip, MEMBER, strlen(MEMBER));
}

/* Bytes of the pickle that stands before an array of the GPU. */
static bool skip_context(const uint8_t *bytes, size_t size, size_t *skip, wmap_error *err)
{
    wm_pickle pickle;
    wm_pickle_init(&pickle);
    wm_cursor cursor = wm_cursor_of(bytes, size, 0);
    bool ok = wm_pickle_read(&pickle, &cursor, err) != NULL;
    wm_pickle_release(&pickle);
    *skip = cursor.at;
    return ok || wm_error_offset_of(err, "its unpacked bytes");
}

static bool add_member(wm_walk *w, const wm_zip_member *member, bool gpu)
{
    wmap_archive *archive = w->archive;
    uint8_t head[PEEK];
    uint64_t start;
    size_t got, skip = 0;
    wm_npy npy;
    if (!wm_zip_peek(archive, member, head, sizeof head, &got, w->err) ||
        (gpu && !skip_context(head, got, &skip, w->err)) ||
        !wm_npy_size(head + skip, got - skip, member->data, &start, w->err))
        return false;
    if (start > got - skip)
        return wm_fail(w->err, WMAP_E_CORRUPT, "damaged NumPy header: it is cut off, or larger than 4 KiB");
    if (!wm_npy_parse(head + skip, (size_t)start, member->data, &npy, w->err))
        return false;
    uint64_t left = member->usize - skip - start;
    if (npy.dtype != WMAP_OPAQUE && left != npy.bytes)
        return wm_fail(w->err, WMAP_E_CORRUPT, "its shape needs %llu bytes, but %llu are there",
                       (unsigned long long)npy.bytes, (unsigned long long)left);
    wm_entry *entry = wm_npy_add(archive, w->path, w->len, &npy, w->err);
    if (!entry || npy.dtype == WMAP_OPAQUE)
        return entry != NULL;
    const wm_item item = {.member = member, .offset = skip + start, .swap = npy.swap};
    return wm_items_add(archive, archive->state, entry, &item, w->err);
}

/* The array of a persistent id. */
static wm_walked outside(wm_walk *w, const wm_pickle_node *node)
{
    const wm_pickle_node *id = node->as.id;
    const char *text = "";
    size_t len = 0;
    if ((id->kind == WM_PICKLE_TEXT || id->kind == WM_PICKLE_BYTES) && !id->escaped) {
        text = id->as.text.bytes;
        len = id->as.text.len;
    }
    bool array = len > 8 && memcmp(text, "ndarray.", 8) == 0,
         gpu = len > 9 && memcmp(text, "gpuarray.", 9) == 0;
    size_t prefix = gpu ? 9 : 8;
    const wm_zip_member *member =
        array || gpu ? wm_zip_find(w->archive->zip, text + prefix, len - prefix) : NULL;
    if (!member)
        return wm_walk_bad(w, node, "its persistent id names no array of this file"), WM_WALKED_ERROR;
    if (add_member(w, member, gpu))
        return WM_WALKED_TENSOR;
    wm_error_tensor(w->err, member->name, member->name_len);
    return WM_WALKED_ERROR;
}

static bool open_theano(wmap_archive *archive, wmap_error *err)
{
    const wm_zip *zip = wm_archive_zip(archive, err);
    wm_items *items = zip ? wm_new(&archive->arena, wm_items, 1) : NULL;
    if (!items)
        return zip ? wm_fail(err, WMAP_E_NOMEM, "out of memory") : false;
    archive->state = items;
    const wm_zip_member *member = wm_zip_find(zip, MEMBER, strlen(MEMBER));
    wm_pickled_source source = {.outside = outside, .end = member->usize};
    source.file = wm_zip_spool(archive, member, err);
    return source.file != UINT32_MAX && wm_pickled_open(archive, items, &source, err) &&
           (archive->entry_count ||
            wm_fail(err, WMAP_E_NOT_WEIGHTS, "this is no weight file: a pickle that holds no array"));
}

static bool decode(wmap_archive *archive, const wm_entry *entry, wm_sink *sink, wmap_error *err)
{
    return wm_items_decode(archive, archive->state, entry, sink, err);
}

extern const wm_format wm_format_theano;
const wm_format wm_format_theano = {
    .name = "theano",
    .title = "Theano's zip of a pickle",
    .suffixes = ".zip",
    .probe = probe,
    .open = open_theano,
    .decode = decode,
};
