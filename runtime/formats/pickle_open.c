/* pickle_open.c: files and members that are pickles of arrays: reads them, and finds the arrays in the
 * objects (pickle_array.c adds them). Of Theano's classes the values of shared variables are known; the path
 * to them is told in theano/compile/sharedvalue.py and theano/gof/link.py. */
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
    wm_pickled_source source;
    wm_pickle *pickle;
    wmap_error *err;
    bool done;
} opening;

/* ---- objects ---- */

static wm_walked leaf(wm_walk *w, const wm_pickle_node *node)
{
    const opening *o = w->context;
    if (node->kind == WM_PICKLE_PERSISTENT && o->source.outside)
        return o->source.outside(w, node);
    if (node->kind == WM_PICKLE_PERSISTENT)
        return wm_walk_foreign(w, node, "an object that is not in the file") ? WM_WALKED_TENSOR
                                                                             : WM_WALKED_ERROR;
    return wm_pickled_leaf(w, node, &o->source, o->items);
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

static bool is_numpy(const wm_pickle_node *class)
{
    return begins(class, "numpy.") || (begins(class, "numpy") && class->as.global.module_len == 5);
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

static wm_walked object(wm_walk *w, const wm_pickle_node *node)
{
    const wm_pickle_node *class = wm_pickle_class(node), *args = node->as.call.args;
    if (is_theano(class)) {
        wm_pickle_node *value = theano_value(node, class);
        return !value || wm_walk_into(w, value) ? WM_WALKED_TENSOR : WM_WALKED_ERROR;
    }
    if (is_numpy(class)) /* of NumPy's objects only arrays of objects are looked into */
        return wm_pickled_objects(w, node) == WM_WALKED_ERROR ? WM_WALKED_ERROR : WM_WALKED_TENSOR;
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
    };
    static const char *const theano[] = {"SharedVariable", "_unpickler", "Container", "scratchpad",
                                         "TensorType",     "Scalar",     "ArrayType", "CudaNdarrayType"};
    const char *name = global->as.global.name;
    size_t len = global->as.global.name_len;
    if (wm_pickled_known(global))
        return true;
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
    wm_walk_init(&w, o->archive, o->pickle, o->source.end - o->source.begin, o->err);
    w.context = o;
    w.leaf = leaf;
    w.object = object;
    w.known = known;
    w.list_foreign = true;
    if (o->source.name_len) {
        wm_pickle_node start = {.offset = o->source.begin};
        if (!wm_walk_name(&w, &start, o->source.name, o->source.name_len))
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
    wm_pickled_source *s = &o->source;
    wm_pickle_node **roots = NULL;
    size_t count = 0, cap = 0;
    s->bytes = o->archive->files[s->file].map + s->begin;
    wm_cursor cursor = wm_cursor_of(s->bytes, (size_t)(s->end - s->begin), s->begin);
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
    opening o = {archive, items, *source, &pickle, err, false};
    bool ok = wm_archive_mapped(archive, source->file, open_mapped, &o, err);
    wm_pickle_release(&pickle);
    if (source->file)
        wm_error_offset_of(err, "its unpacked bytes");
    return ok && o.done;
}
