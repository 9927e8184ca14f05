/* pickle_array.c: NumPy's constructors, as calls in a pickle: what they are called with is read as data.
 * Their arguments are told in numpy/_core/src/multiarray/methods.c (array_reduce, array_setstate),
 * descriptor.c (arraydescr_reduce, arraydescr_setstate) and numpy/_core/numeric.py (_frombuffer). */
#include "runtime/formats/pickle_array.h"

#include <stdio.h>
#include <string.h>

#include "runtime/base/dtype.h"
#include "runtime/base/size.h"
#include "runtime/base/text.h"
#include "runtime/formats/npy.h"

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
static bool read_state(wm_walk *w, wm_pickled_array *a, const wm_pickle_node *state, char *order)
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
static bool read_foreign_dtype(wm_pickled_array *a, const wm_pickle_node *type)
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
static bool read_dtype(wm_walk *w, wm_pickled_array *a, const wm_pickle_node *node)
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

static bool read_shape(wm_walk *w, wm_pickled_array *a, const wm_pickle_node *shape)
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
static void set_strides(wm_pickled_array *a, const uint32_t *order)
{
    uint64_t next = 1;
    a->strided = true;
    for (uint32_t i = a->rank; i-- > 0;) {
        a->strides[order[i]] = (int64_t)next; /* the product was checked: below 2^63 */
        next *= a->shape[order[i]] ? a->shape[order[i]] : 1;
    }
}

static void set_fortran(wm_pickled_array *a)
{
    uint32_t order[WMAP_MAX_RANK];
    for (uint32_t i = 0; i < a->rank; i++)
        order[i] = a->rank - 1 - i;
    if (a->rank > 1)
        set_strides(a, order);
}

/* Order 'K': the bytes are those of `shape` in row-major order, and the axes of the array are those of the
 * tuple. */
static bool set_axes(wm_walk *w, wm_pickled_array *a, const wm_pickle_node *axes)
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
static bool parse_reconstruct(wm_walk *w, wm_pickled_array *a)
{
    const wm_pickle_node *args = a->node->as.call.args, *state = a->node->as.call.state;
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

/* _frombuffer(buffer, dtype, shape, order[, axes]): arrays in protocol 5. */
static bool parse_buffer(wm_walk *w, wm_pickled_array *a)
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
static bool parse_scalar(wm_walk *w, wm_pickled_array *a)
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

wm_walked wm_pickled_parse(wm_walk *w, const wm_pickle_node *node, wm_pickled_array *a)
{
    bool (*parse)(wm_walk *, wm_pickled_array *) = NULL;
    if (node->kind != WM_PICKLE_CALL)
        return WM_WALKED_NOTHING;
    const wm_pickle_node *function = node->as.call.callable;
    if (is_core(function, "multiarray", "_reconstruct"))
        parse = parse_reconstruct;
    else if (is_core(function, "numeric", "_frombuffer"))
        parse = parse_buffer;
    else if (is_core(function, "multiarray", "scalar"))
        parse = parse_scalar;
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
