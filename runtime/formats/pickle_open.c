/* pickle_open.c: from pickles of arrays to entries: finds the arrays in the objects, where their bytes stand
 * in the file, and how they are written there. Of Theano's classes the values of
 * shared variables are known; the path to them is told in theano/compile/sharedvalue.py and
 * theano/gof/link.py. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/dtype.h"
#include "runtime/base/size.h"
#include "runtime/formats/pickle_array.h"

#define MAX_PICKLES ((size_t)100000) /* in a row in one file */

/* What opening works on. All of it is reachable from outside of the mapping's trap. */
typedef struct opening {
    wmap_archive *archive;
    wm_items *items;
    const wm_pickled_source *source;
    wm_pickle *pickle;
    wmap_error *err;
    bool done;
} opening;

/* ---- entries ---- */

/* The data of an array must be exactly what its shape needs. */
static bool check_size(wm_walk *w, const wm_pickled_array *a, const wm_pickle_span *span)
{
    uint64_t need = 0, have = 0;
    wm_shape_count(a->shape, a->rank, &need); /* checked before */
    if (!wm_size_mul(need, wmap_dtype_size(a->dtype), &need))
        return wm_walk_bad(w, a->node, "an array of 2^63 bytes or more");
    if (!wm_pickle_length(span, &have))
        return wm_walk_bad(w, a->data, "the data of an array are malformed text");
    if (need == have)
        return true;
    wm_fail(w->err, WMAP_E_CORRUPT, "its shape needs %" PRIu64 " bytes, but %" PRIu64 " are there", need,
            have);
    wm_error_tensor(w->err, w->path, w->len);
    return wm_error_offset(w->err, a->node->offset);
}

/* Says where the bytes of a span are. */
static bool place(wm_walk *w, const wm_pickled_array *a, const wm_pickle_span *span, wm_entry *entry)
{
    const opening *o = w->context;
    const wm_file *file = &w->archive->files[o->source->file];
    const char *map = (const char *)file->map;
    bool inside = span->bytes >= map && span->bytes < map + file->size;
    wm_item item = {.file = o->source->file, .len = span->len, .coding = span->coding, .swap = a->swap};
    entry->file = item.file;
    entry->sum = o->source->sum;
    if (inside)
        item.offset = (uint64_t)(span->bytes - map);
    if ((inside || !span->len) && span->coding == WM_PICKLE_PLAIN && !a->swap) {
        entry->direct = true;
        entry->offset = inside ? item.offset : o->source->begin;
        return wm_entry_check(w->archive, entry, o->source->begin, o->source->end, w->err);
    }
    /* What was short enough to be decoded at once is kept: the pickle's memory goes. */
    if (!inside && !(item.memory = wm_copy(&w->archive->arena, span->bytes, span->len)))
        return wm_walk_nomem(w);
    return wm_items_add(w->archive, o->items, entry, &item, w->err);
}

static bool add_array(wm_walk *w, const wm_pickled_array *a)
{
    wm_pickle_span span;
    if (a->dtype != WMAP_OPAQUE) {
        if (!wm_pickle_span_text(a->data, &span))
            return wm_walk_bad(w, a->node, "an array whose data are no bytes");
        if (!check_size(w, a, &span))
            return false;
    }
    wm_entry *entry = wm_archive_add(w->archive, w->path, w->len, a->dtype, a->rank, a->shape,
                                     a->strided && a->dtype != WMAP_OPAQUE ? a->strides : NULL, w->err);
    if (!entry)
        return wm_error_offset(w->err, a->node->offset);
    if (a->dtype != WMAP_OPAQUE)
        return place(w, a, &span, entry);
    entry->note = wm_copy(&w->archive->arena, a->note, strlen(a->note));
    return entry->note || wm_walk_nomem(w);
}

/* Kept out of the walk, which recurses: the array is large. */
__attribute__((noinline)) static wm_walked leaf(wm_walk *w, const wm_pickle_node *node)
{
    const opening *o = w->context;
    if (node->kind == WM_PICKLE_PERSISTENT && o->source->outside)
        return o->source->outside(w, node);
    if (node->kind == WM_PICKLE_PERSISTENT)
        return wm_walk_foreign(w, node, "an object that is not in the file") ? WM_WALKED_TENSOR
                                                                             : WM_WALKED_ERROR;
    wm_pickled_array a;
    wm_walked what = wm_pickled_parse(w, node, &a);
    if (what != WM_WALKED_TENSOR)
        return what;
    if (a.objects)
        return WM_WALKED_NOTHING; /* walk_numpy() */
    return add_array(w, &a) ? WM_WALKED_TENSOR : WM_WALKED_ERROR;
}

/* ---- objects ---- */

/* An item of an array of Python objects of several dimensions: its indices make the name. */
__attribute__((noinline)) static bool walk_indices(wm_walk *w, uint32_t rank, const uint64_t *shape, size_t i,
                                                   wm_pickle_node *item)
{
    char text[WMAP_MAX_RANK * 21];
    uint64_t index[WMAP_MAX_RANK];
    size_t len = 0;
    for (uint32_t d = rank; d-- > 0; i /= shape[d])
        index[d] = i % shape[d];
    for (uint32_t d = 0; d < rank; d++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%" PRIu64, d ? "." : "", index[d]);
    wm_pickle_node key = {.kind = WM_PICKLE_TEXT, .offset = item->offset};
    key.as.text.bytes = text;
    key.as.text.len = len;
    return wm_walk_child(w, &key, item);
}

/* One without dimensions is its only object. */
static bool walk_items(wm_walk *w, const wm_pickle_node *list, uint32_t rank, const uint64_t *shape)
{
    for (size_t i = 0; i < list->as.list.count; i++) {
        wm_pickle_node *item = list->as.list.items[i];
        if (!(rank == 0   ? wm_walk_into(w, item)
              : rank == 1 ? wm_walk_item(w, i, item)
                          : walk_indices(w, rank, shape, i, item)))
            return false;
    }
    return true;
}

static bool begins(const wm_pickle_node *global, const char *module)
{
    size_t len = strlen(module);
    return global->kind == WM_PICKLE_GLOBAL && global->as.global.module_len >= len &&
           memcmp(global->as.global.module, module, len) == 0;
}

static bool ends(const wm_pickle_node *global, const char *name)
{
    size_t len = strlen(name);
    return global->as.global.name_len >= len &&
           memcmp(global->as.global.name + global->as.global.name_len - len, name, len) == 0;
}

/* Theano, and the packages that it became. */
static bool is_theano(const wm_pickle_node *class)
{
    return begins(class, "theano.") || begins(class, "aesara.") || begins(class, "pytensor.");
}

/* What a shared variable holds: container.storage[0]; and what a value on a GPU was unpacked from. */
static wm_pickle_node *theano_value(const wm_pickle_node *node, const wm_pickle_node *class)
{
    if (ends(class, "_unpickler"))
        return node->as.call.args->as.list.count ? node->as.call.args->as.list.items[0] : NULL;
    if (!ends(class, "SharedVariable"))
        return NULL;
    const wm_pickle_node *container = wm_pickle_get(node->as.call.state, "container");
    const wm_pickle_node *storage = container && container->kind == WM_PICKLE_CALL
                                        ? wm_pickle_get(container->as.call.state, "storage")
                                        : NULL;
    return storage && storage->kind == WM_PICKLE_LIST && storage->as.list.count == 1
               ? storage->as.list.items[0]
               : NULL;
}

/* The items of an array of Python objects, NULL if it is none. Apart from the walk, as the array is large. */
__attribute__((noinline)) static const wm_pickle_node *items_of(wm_walk *w, const wm_pickle_node *node,
                                                                uint32_t *rank, uint64_t shape[WMAP_MAX_RANK])
{
    wm_pickled_array a;
    if (wm_pickled_parse(w, node, &a) != WM_WALKED_TENSOR || !a.objects)
        return NULL;
    *rank = a.rank;
    memcpy(shape, a.shape, a.rank * sizeof *shape);
    return a.data;
}

/* Of NumPy's objects only arrays of objects are looked into. */
static bool walk_numpy(wm_walk *w, const wm_pickle_node *node)
{
    uint64_t shape[WMAP_MAX_RANK];
    uint32_t rank = 0;
    const wm_pickle_node *items = items_of(w, node, &rank, shape);
    return !items || walk_items(w, items, rank, shape);
}

static wm_walked object(wm_walk *w, const wm_pickle_node *node)
{
    const wm_pickle_node *class = wm_pickle_class(node), *args = node->as.call.args;
    if (is_theano(class)) {
        wm_pickle_node *value = theano_value(node, class);
        return !value || wm_walk_into(w, value) ? WM_WALKED_TENSOR : WM_WALKED_ERROR;
    }
    if (begins(class, "numpy"))
        return walk_numpy(w, node) ? WM_WALKED_TENSOR : WM_WALKED_ERROR;
    /* A subclass of list, tuple or dict in protocols 0 and 1: _reconstructor(class, base, value). */
    if (class != node->as.call.callable && args->as.list.count == 3 &&
        !wm_walk_into(w, args->as.list.items[2]))
        return WM_WALKED_ERROR;
    return WM_WALKED_NOTHING;
}

/* Names that pickles of arrays are made of, or that can't hold anything of interest. */
static bool known(const wm_pickle_node *global)
{
    static const struct {
        const char *module, *names; /* between spaces */
    } rows[] = {
        {"collections", " OrderedDict defaultdict Counter "},
        {"builtins", " set frozenset list dict tuple int long float complex bytes bytearray str unicode bool"
                     " object slice range xrange "},
        {"copyreg", " _reconstructor "},
        {"_codecs", " encode "},
        {"numpy", " ndarray dtype matrix memmap recarray bool bool_ float16 float32 float64 int8 int16 int32"
                  " int64 uint8 uint16 uint32 uint64 complex64 complex128 "},
        {"numpy.core.multiarray", " _reconstruct scalar ndarray dtype "},
        {"numpy._core.multiarray", " _reconstruct scalar "},
        {"numpy.core.numeric", " _frombuffer "},
        {"numpy._core.numeric", " _frombuffer "},
        {"numpy.matrixlib.defmatrix", " matrix "},
        {"numpy.core.defmatrix", " matrix "},
        {"numpy.core.memmap", " memmap "},
        {"numpy._core.memmap", " memmap "},
        {"ml_dtypes", " bfloat16 float8_e4m3fn float8_e5m2 "},
        {"ml_dtypes._ml_dtypes_ext", " bfloat16 float8_e4m3fn float8_e5m2 "},
    };
    static const char *const theano[] = {"SharedVariable", "_unpickler", "Container", "scratchpad",
                                         "TensorType",     "Scalar",     "ArrayType", "CudaNdarrayType"};
    const char *name = global->as.global.name;
    size_t len = global->as.global.name_len;
    if (!len || len > 60 || memchr(name, '.', len) || memchr(name, ' ', len))
        return false; /* an attribute of an attribute: no pickler writes that for what we know */
    char padded[64], said[64];
    snprintf(padded, sizeof padded, " %.*s ", (int)len, name);
    snprintf(said, sizeof said, "%.*s", (int)len, name);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strstr(rows[i].names, padded) && wm_pickle_is(global, rows[i].module, said))
            return true;
    for (size_t i = 0; is_theano(global) && i < sizeof theano / sizeof *theano; i++)
        if (ends(global, theano[i]))
            return true;
    return false;
}

/* ---- opening ---- */

/* joblib writes the bytes of arrays between the opcodes, where no pickle reader but its own finds its way. */
static bool joblib(const opening *o)
{
    for (size_t i = 0; i < o->pickle->global_count; i++) {
        const wm_pickle_node *global = o->pickle->globals[i];
        if (!begins(global, "joblib.") && !begins(global, "sklearn.externals.joblib."))
            continue;
        wm_fail(o->err, WMAP_E_UNSUPPORTED, "this is a joblib file, which wmap does not read");
        wm_error_offset(o->err, global->offset);
        return true;
    }
    return false;
}

static bool walk_all(opening *o, wm_pickle_node *const *roots, size_t count)
{
    wm_walk w;
    wm_walk_init(&w, o->archive, o->pickle, o->source->end - o->source->begin, o->err);
    w.context = o;
    w.leaf = leaf;
    w.object = object;
    w.known = known;
    w.list_foreign = true;
    if (o->source->name_len) {
        wm_pickle_node start = {.offset = o->source->begin};
        if (!wm_walk_name(&w, &start, o->source->name, o->source->name_len))
            return false;
        w.keys = 1;
    }
    for (size_t i = 0; i < count; i++)
        if (!(count > 1 ? wm_walk_item(&w, i, roots[i]) : wm_walk_root(&w, roots[i], NULL)))
            return false;
    return wm_walk_end(&w);
}

/* With the file mapped. */
static void open_mapped(void *context)
{
    opening *o = context;
    const wm_pickled_source *s = o->source;
    wm_pickle_node **roots = NULL;
    size_t count = 0, cap = 0;
    wm_cursor cursor =
        wm_cursor_of(o->archive->files[s->file].map + s->begin, (size_t)(s->end - s->begin), s->begin);
    do {
        wm_pickle_node *root = wm_pickle_read(o->pickle, &cursor, o->err);
        if (!root) {
            joblib(o);
            return;
        }
        wm_pickle_node **slot = wm_push(&o->pickle->arena, roots, count, cap);
        if (!slot) {
            wm_fail(o->err, WMAP_E_NOMEM, "out of memory while reading a pickle");
            return;
        }
        *slot = root;
        if (count > MAX_PICKLES) {
            wm_fail(o->err, WMAP_E_UNSUPPORTED, "more than 100000 pickles in a file");
            wm_error_offset(o->err, wm_cursor_offset(&cursor));
            return;
        }
    } while (wm_cursor_left(&cursor));
    o->done = !joblib(o) && walk_all(o, roots, count);
}

bool wm_pickled_open(wmap_archive *archive, wm_items *items, const wm_pickled_source *source, wmap_error *err)
{
    wm_pickle pickle;
    wm_pickle_init(&pickle);
    opening o = {archive, items, source, &pickle, err, false};
    bool ok = wm_archive_mapped(archive, source->file, open_mapped, &o, err);
    wm_pickle_release(&pickle);
    if (source->file)
        wm_error_offset_of(err, "its unpacked bytes");
    return ok && o.done;
}
