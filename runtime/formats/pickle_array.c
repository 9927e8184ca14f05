/* pickle_array.c: NumPy's constructors, as calls in a pickle: what they are called with is read as data, and
 * becomes entries: where the bytes of an array stand in the file, and how they are written there.
 * Their arguments are told in numpy/_core/src/multiarray/methods.c (array_reduce, array_setstate),
 * descriptor.c (arraydescr_reduce, arraydescr_setstate) and numpy/_core/numeric.py (_frombuffer). */
#include "runtime/formats/pickle_array.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/dtype.h"
#include "runtime/base/size.h"
#include "runtime/base/text.h"
#include "runtime/formats/npy.h"

/* An array, a scalar, or an object that isn't read. */
typedef struct array {
    const wm_pickle_node *node; /* what it was made by */
    const wm_pickle_node *data; /* bytes; for `objects` a list */
    wmap_dtype dtype;           /* WMAP_OPAQUE: `note` says what it is */
    char note[160];
    bool objects; /* an array of Python objects */
    bool swap;    /* big-endian, and more than one byte */
    uint32_t rank;
    uint64_t shape[WMAP_MAX_RANK];
    bool strided; /* not in row-major order */
    int64_t strides[WMAP_MAX_RANK];
} array;

/* NumPy 2 moved numpy.core to numpy._core; both names are met. */
static bool is_core(const wm_pickle_node *node, const char *module, const char *name)
{
    char old[64], new[64];
    snprintf(old, sizeof old, "numpy.core.%s", module);
    snprintf(new, sizeof new, "numpy._core.%s", module);
    return wm_pickle_is(node, old, name) || wm_pickle_is(node, new, name);
}

/* ---- dtypes ---- */

static bool is_none(const wm_pickle_node *node)
{
    return node->kind == WM_PICKLE_NONE;
}

/* The state of a dtype: (version, order, subdtype, names, fields, size, alignment, flags, metadata), of which
 * the oldest NumPy wrote less. Gives the byte order. */
static bool read_state(wm_walk *w, array *a, const wm_pickle_node *state, char *order)
{
    size_t count = state->kind == WM_PICKLE_TUPLE ? state->as.list.count : 0;
    if (count < 5 || count > 9)
        return wm_walk_bad(w, a->node, "a dtype whose state has the wrong parts");
    wm_pickle_node *const *part = state->as.list.items + (count == 5 ? 0 : 1);
    const wm_pickle_node *said = part[0];
    if ((said->kind != WM_PICKLE_TEXT && said->kind != WM_PICKLE_BYTES) || said->as.text.len != 1 ||
        !memchr("<>|=", said->as.text.bytes[0], 4))
        return wm_walk_bad(w, a->node, "a dtype of no known byte order");
    *order = said->as.text.bytes[0];
    if (!is_none(part[1]) || !is_none(part[2]) || (count > 6 && !is_none(part[3]))) {
        snprintf(a->note, sizeof a->note, "structured records");
        a->dtype = WMAP_OPAQUE;
    }
    return true;
}

/* Types of packages that NumPy's codes don't name. */
static bool read_foreign_dtype(array *a, const wm_pickle_node *type)
{
    static const struct {
        const char *name;
        wmap_dtype dtype;
    } types[] = {{"bfloat16", WMAP_BF16}, {"float8_e4m3fn", WMAP_F8_E4M3}, {"float8_e5m2", WMAP_F8_E5M2}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (wm_pickle_is(type, "ml_dtypes", types[i].name) ||
            wm_pickle_is(type, "ml_dtypes._ml_dtypes_ext", types[i].name))
            a->dtype = types[i].dtype;
    if (a->dtype == WMAP_OPAQUE)
        wm_pickle_name(type, a->note, sizeof a->note);
    return true;
}

/* numpy.dtype("f4", False, True), and its state. */
static bool read_dtype(wm_walk *w, array *a, const wm_pickle_node *node)
{
    a->dtype = WMAP_OPAQUE;
    const wm_pickle_node *args = node->kind == WM_PICKLE_CALL ? node->as.call.args : NULL;
    const wm_pickle_node *code = args && args->as.list.count ? args->as.list.items[0] : NULL;
    if (!code)
        return wm_walk_bad(w, a->node, "an array without a dtype");
    if (!wm_pickle_is(node->as.call.callable, "numpy", "dtype") &&
        !is_core(node->as.call.callable, "multiarray", "dtype"))
        return read_foreign_dtype(a, node->as.call.callable);
    char order = '=';
    if (node->as.call.state && !read_state(w, a, node->as.call.state, &order))
        return false;
    if (a->note[0])
        return true;
    if (code->kind == WM_PICKLE_GLOBAL) {
        read_foreign_dtype(a, code);
    } else if ((code->kind == WM_PICKLE_TEXT || code->kind == WM_PICKLE_BYTES) && code->as.text.len &&
               !code->escaped) {
        const char *text = code->as.text.bytes;
        size_t len = code->as.text.len;
        if (len > 1 && memchr("<>|=", text[0], 4)) {
            order = order == '=' ? text[0] : order;
            text++;
            len--;
        }
        char descr[32];
        wm_show(descr, sizeof descr, text, len);
        a->objects = text[0] == 'O';
        wmap_dtype dtype = wm_dtype_spelled(offsetof(wm_dtype_info, npy), text, len);
        if (dtype != WMAP_DTYPE_NONE)
            a->dtype = dtype;
        else
            snprintf(a->note, sizeof a->note, "%s (%s)", wm_npy_note(descr), descr);
    } else {
        return wm_walk_bad(w, a->node, "a dtype without its code");
    }
    const wm_dtype_info *info = wm_dtype(a->dtype);
    a->swap = info && info->align > 1 && order == '>';
    return true;
}

/* ---- shapes ---- */

static bool read_shape(wm_walk *w, array *a, const wm_pickle_node *shape)
{
    if (shape->kind != WM_PICKLE_TUPLE)
        return wm_walk_bad(w, a->node, "an array whose shape is no tuple");
    if (shape->as.list.count > WMAP_MAX_RANK)
        return wm_walk_fail(w, WMAP_E_UNSUPPORTED, a->node, "an array of more than 64 dimensions");
    a->rank = (uint32_t)shape->as.list.count;
    for (uint32_t d = 0; d < a->rank; d++) {
        const wm_pickle_node *extent = shape->as.list.items[d];
        if (extent->kind != WM_PICKLE_INT || extent->as.integer < 0)
            return wm_walk_bad(w, a->node, "an array whose shape is negative or no number");
        a->shape[d] = (uint64_t)extent->as.integer;
    }
    uint64_t count;
    return wm_shape_count(a->shape, a->rank, &count) ||
           wm_walk_bad(w, a->node, "an array of 2^63 elements or more");
}

/* The strides of an array whose dimensions, from the slowest to the fastest, are order[0], order[1] ...; a
 * Fortran array's are the last, the one before ... */
static void set_strides(array *a, const uint32_t *order)
{
    uint64_t next = 1;
    a->strided = true;
    for (uint32_t i = a->rank; i-- > 0;) {
        a->strides[order[i]] = (int64_t)next; /* the product was checked: below 2^63 */
        next *= a->shape[order[i]] ? a->shape[order[i]] : 1;
    }
}

static void set_fortran(array *a)
{
    uint32_t order[WMAP_MAX_RANK];
    for (uint32_t i = 0; i < a->rank; i++)
        order[i] = a->rank - 1 - i;
    if (a->rank > 1)
        set_strides(a, order);
}

/* Order 'K': the bytes are those of `shape` in row-major order, and the axes of the array are those of the
 * tuple. */
static bool set_axes(wm_walk *w, array *a, const wm_pickle_node *axes)
{
    uint64_t from[WMAP_MAX_RANK], seen = 0;
    uint32_t order[WMAP_MAX_RANK];
    if (axes->kind != WM_PICKLE_TUPLE || axes->as.list.count != a->rank)
        return wm_walk_bad(w, a->node, "an array whose axes are no permutation");
    memcpy(from, a->shape, sizeof from);
    for (uint32_t d = 0; d < a->rank; d++) {
        const wm_pickle_node *axis = axes->as.list.items[d];
        if (axis->kind != WM_PICKLE_INT || axis->as.integer < 0 || axis->as.integer >= (int64_t)a->rank ||
            (seen & (uint64_t)1 << axis->as.integer))
            return wm_walk_bad(w, a->node, "an array whose axes are no permutation");
        seen |= (uint64_t)1 << axis->as.integer;
        order[axis->as.integer] = d;
        a->shape[d] = from[axis->as.integer];
    }
    set_strides(a, order);
    return true;
}

/* ---- constructors ---- */

/* The classes whose state is that of an array. */
static bool is_array_class(const wm_pickle_node *class)
{
    static const char *const classes[][2] = {
        {"numpy", "ndarray"},
        {"numpy", "matrix"},
        {"numpy", "memmap"},
        {"numpy", "recarray"},
        {"numpy.core.multiarray", "ndarray"},
        {"numpy.matrixlib.defmatrix", "matrix"},
        {"numpy.core.defmatrix", "matrix"},
        {"numpy.core.memmap", "memmap"},
        {"numpy._core.memmap", "memmap"},
    };
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (wm_pickle_is(class, classes[i][0], classes[i][1]))
            return true;
    return false;
}

/* _reconstruct(ndarray, (0,), b"b"), and the state ([version,] shape, dtype, is it Fortran's order, data). */
static bool reconstruct(wm_walk *w, array *a, const wm_pickle_node *args, const wm_pickle_node *state)
{
    if (args->as.list.count != 3)
        return wm_walk_bad(w, a->node, "an array made with the wrong arguments");
    if (!is_array_class(args->as.list.items[0])) {
        a->dtype = WMAP_OPAQUE;
        wm_pickle_name(args->as.list.items[0], a->note, sizeof a->note);
        return true;
    }
    size_t count = state && state->kind == WM_PICKLE_TUPLE ? state->as.list.count : 0;
    if (count != 4 && count != 5)
        return wm_walk_bad(w, a->node, "an array whose state has the wrong parts");
    wm_pickle_node *const *part = state->as.list.items + (count - 4);
    if (part[2]->kind != WM_PICKLE_INT && part[2]->kind != WM_PICKLE_BOOL)
        return wm_walk_bad(w, a->node, "an array of no known order");
    if (!read_shape(w, a, part[0]) || !read_dtype(w, a, part[1]))
        return false;
    if (part[2]->as.integer && !a->objects) /* lists of objects are always row-major */
        set_fortran(a);
    a->data = part[3];
    return true;
}

static bool parse_reconstruct(wm_walk *w, array *a)
{
    return reconstruct(w, a, a->node->as.call.args, a->node->as.call.state);
}

/* JAX: _reconstruct_array(_reconstruct, its arguments, its state, ...), of what NumPy's own pickle says. */
static bool parse_jax(wm_walk *w, array *a)
{
    const wm_pickle_node *args = a->node->as.call.args;
    wm_pickle_node *const *arg = args->as.list.items;
    if (args->as.list.count < 3 || arg[0]->kind != WM_PICKLE_GLOBAL || arg[1]->kind != WM_PICKLE_TUPLE)
        return wm_walk_bad(w, a->node, "an array made with the wrong arguments");
    if (!is_core(arg[0], "multiarray", "_reconstruct")) {
        a->dtype = WMAP_OPAQUE;
        wm_pickle_name(arg[0], a->note, sizeof a->note);
        return true;
    }
    if (!reconstruct(w, a, arg[1], arg[2]))
        return false;
    return !a->objects || wm_walk_bad(w, a->node, "an array of JAX that holds Python objects");
}

/* _frombuffer(buffer, dtype, shape, order[, axes]): arrays in protocol 5. */
static bool parse_buffer(wm_walk *w, array *a)
{
    const wm_pickle_node *args = a->node->as.call.args;
    wm_pickle_node *const *arg = args->as.list.items;
    size_t count = args->as.list.count;
    if (count != 4 && count != 5)
        return wm_walk_bad(w, a->node, "an array made with the wrong arguments");
    if (!read_dtype(w, a, arg[1]) || !read_shape(w, a, arg[2]))
        return false;
    a->data = arg[0];
    if (count == 5 && !is_none(arg[4]) && wm_pickle_says(arg[3], "K"))
        return set_axes(w, a, arg[4]);
    if (wm_pickle_says(arg[3], "F"))
        set_fortran(a);
    else if (!wm_pickle_says(arg[3], "C"))
        return wm_walk_bad(w, a->node, "an array of no known order");
    return true;
}

/* scalar(dtype, data) */
static bool parse_scalar(wm_walk *w, array *a)
{
    const wm_pickle_node *args = a->node->as.call.args;
    if (args->as.list.count != 2)
        return wm_walk_bad(w, a->node, "a scalar made with the wrong arguments");
    if (!read_dtype(w, a, args->as.list.items[0]))
        return false;
    if (a->objects) {
        a->objects = false;
        snprintf(a->note, sizeof a->note, "a scalar that is a Python object");
    }
    a->data = args->as.list.items[1];
    return true;
}

/* What a CALL makes, if it is one of the constructors of arrays. */
static wm_walked parse_call(wm_walk *w, const wm_pickle_node *node, array *a)
{
    bool (*parse)(wm_walk *, array *) = NULL;
    if (node->kind != WM_PICKLE_CALL)
        return WM_WALKED_NOTHING;
    const wm_pickle_node *function = node->as.call.callable;
    if (is_core(function, "multiarray", "_reconstruct"))
        parse = parse_reconstruct;
    else if (is_core(function, "numeric", "_frombuffer"))
        parse = parse_buffer;
    else if (is_core(function, "multiarray", "scalar"))
        parse = parse_scalar;
    else if (wm_pickle_is(function, "jax._src.array", "_reconstruct_array") ||
             wm_pickle_is(function, "jax._src.device_array", "reconstruct_device_array"))
        parse = parse_jax;
    if (!parse)
        return WM_WALKED_NOTHING;
    memset(a, 0, sizeof *a);
    a->node = node;
    if (node->as.call.extra)
        return wm_walk_bad(w, node, "an array with keys or items of its own"), WM_WALKED_ERROR;
    if (!parse(w, a))
        return WM_WALKED_ERROR;
    if (!a->objects)
        return WM_WALKED_TENSOR;
    uint64_t count = 0;
    wm_shape_count(a->shape, a->rank, &count);
    if (a->data->kind != WM_PICKLE_LIST || a->data->as.list.count != count)
        return wm_walk_bad(w, node, "an array of objects that has not as many as its shape needs"),
               WM_WALKED_ERROR;
    return WM_WALKED_TENSOR;
}

/* ---- entries ---- */

/* The data of an array must be exactly what its shape needs. */
static bool check_size(wm_walk *w, const array *a, const wm_pickle_span *span)
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
static bool place(wm_walk *w, const array *a, const wm_pickle_span *span, const wm_pickled_source *source,
                  wm_items *items, wm_entry *entry)
{
    const char *bytes = (const char *)source->bytes;
    bool inside = span->bytes >= bytes && span->bytes < bytes + (source->end - source->begin);
    wm_item item = {.file = source->file, .len = span->len, .coding = span->coding, .swap = a->swap};
    entry->file = item.file;
    entry->sum = source->sum;
    if (inside)
        item.offset = source->begin + (uint64_t)(span->bytes - bytes);
    if ((inside || !span->len) && span->coding == WM_PICKLE_PLAIN && !a->swap) {
        entry->direct = true;
        entry->offset = inside ? item.offset : source->begin;
        return wm_entry_check(w->archive, entry, source->begin, source->end, w->err);
    }
    /* What was short enough to be decoded at once is kept: the pickle's memory goes. */
    if (!inside && !(item.memory = wm_copy(&w->archive->arena, span->bytes, span->len)))
        return wm_walk_nomem(w);
    return wm_items_add(w->archive, items, entry, &item, w->err);
}

static bool add_array(wm_walk *w, const array *a, const wm_pickled_source *source, wm_items *items)
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
        return place(w, a, &span, source, items, entry);
    entry->note = wm_copy(&w->archive->arena, a->note, strlen(a->note));
    return entry->note || wm_walk_nomem(w);
}

/* Kept out of the walk, which recurses: the array is large. */
__attribute__((noinline)) wm_walked wm_pickled_leaf(wm_walk *w, const wm_pickle_node *node,
                                                    const wm_pickled_source *source, wm_items *items)
{
    array a;
    wm_walked what = parse_call(w, node, &a);
    if (what != WM_WALKED_TENSOR)
        return what;
    if (a.objects)
        return WM_WALKED_NOTHING; /* wm_pickled_objects() */
    return add_array(w, &a, source, items) ? WM_WALKED_TENSOR : WM_WALKED_ERROR;
}

/* ---- arrays of Python objects ---- */

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

/* The items of an array of Python objects, NULL if it is none. Apart from the walk, as the array is large. */
__attribute__((noinline)) static const wm_pickle_node *items_of(wm_walk *w, const wm_pickle_node *node,
                                                                uint32_t *rank, uint64_t shape[WMAP_MAX_RANK])
{
    array a;
    if (parse_call(w, node, &a) != WM_WALKED_TENSOR || !a.objects)
        return NULL;
    *rank = a.rank;
    memcpy(shape, a.shape, a.rank * sizeof *shape);
    return a.data;
}

wm_walked wm_pickled_objects(wm_walk *w, const wm_pickle_node *node)
{
    uint64_t shape[WMAP_MAX_RANK];
    uint32_t rank = 0;
    const wm_pickle_node *items = items_of(w, node, &rank, shape);
    if (!items)
        return WM_WALKED_NOTHING;
    return walk_items(w, items, rank, shape) ? WM_WALKED_TENSOR : WM_WALKED_ERROR;
}

/* ---- names ---- */

bool wm_pickled_known(const wm_pickle_node *global)
{
    static const struct {
        const char *module, *names; /* between spaces */
    } rows[] = {
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
        {"jax._src.array", " _reconstruct_array "},
        {"jax._src.device_array", " reconstruct_device_array "}, /* before 0.4 */
        {"ml_dtypes", " bfloat16 float8_e4m3fn float8_e5m2 "},
        {"ml_dtypes._ml_dtypes_ext", " bfloat16 float8_e4m3fn float8_e5m2 "},
    };
    const char *name = global->as.global.name;
    size_t len = global->as.global.name_len;
    if (!len || len > 60 || memchr(name, '.', len) || memchr(name, ' ', len))
        return false; /* an attribute of an attribute */
    char padded[64], said[64];
    snprintf(padded, sizeof padded, " %.*s ", (int)len, name);
    snprintf(said, sizeof said, "%.*s", (int)len, name);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strstr(rows[i].names, padded) && wm_pickle_is(global, rows[i].module, said))
            return true;
    return false;
}
