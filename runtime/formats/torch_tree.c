/* torch_tree.c: from the object that torch.save() pickled to tensors with names. A tensor is a call of one of
 * torch's rebuild functions with a storage, an offset, a size and strides; all around it are dicts, lists and
 * objects, whose keys, indices and attributes make its name. Layout of the calls: torch/_tensor.py and
 * torch/_utils.py. */
#include "runtime/formats/torch.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/dtype.h"
#include "runtime/base/size.h"
#include "runtime/base/text.h"
#include "runtime/formats/pickle_walk.h"

#define WRAPPERS 16 /* calls around a rebuild call: parameter of a subclass of ... */

/* A tensor as it was pickled. */
typedef struct view {
    const wm_pickle_node *node;
    wmap_dtype dtype; /* WMAP_OPAQUE: `note` says what it is */
    char note[128];
    uint32_t storage;
    uint64_t first;
    uint32_t rank;
    uint64_t shape[WMAP_MAX_RANK];
    int64_t strides[WMAP_MAX_RANK];
    bool conjugate, negate;
} view;

/* ---- storages ---- */

wmap_dtype wm_torch_class_dtype(const char *name, size_t len)
{
    if (len == 14 && memcmp(name, "UntypedStorage", 14) == 0)
        return WMAP_U8; /* it counts bytes */
    return wm_dtype_spelled(offsetof(wm_dtype_info, storage), name, len);
}

uint32_t wm_torch_width(const wm_pickle_node *class)
{
    static const struct {
        const char *name;
        uint32_t width;
    } quantized[] = {{"QInt8Storage", 1},
                     {"QUInt8Storage", 1},
                     {"QInt32Storage", 4},
                     {"QUInt4x2Storage", 1},
                     {"QUInt2x4Storage", 1}};
    if (class->kind != WM_PICKLE_GLOBAL)
        return 0;
    const char *name = class->as.global.name;
    size_t len = class->as.global.name_len;
    for (size_t i = 0; i < sizeof quantized / sizeof *quantized; i++)
        if (len == strlen(quantized[i].name) && memcmp(name, quantized[i].name, len) == 0)
            return quantized[i].width;
    return wmap_dtype_size(wm_torch_class_dtype(name, len));
}

static bool read_size(const wm_pickle_node *node, uint64_t *value)
{
    if (node->kind != WM_PICKLE_INT || node->as.integer < 0)
        return false;
    *value = (uint64_t)node->as.integer;
    return true;
}

/* A key is a part of a member's name, so it must not lead anywhere else. */
static bool key_is_sound(const wm_pickle_node *node)
{
    if (node->kind != WM_PICKLE_TEXT && node->kind != WM_PICKLE_BYTES)
        return false;
    const char *key = node->as.text.bytes;
    size_t len = node->as.text.len;
    return len && !memchr(key, '/', len) && !memchr(key, '\\', len) && !memchr(key, 0, len) &&
           !(len == 2 && memcmp(key, "..", 2) == 0);
}

/* The items of a storage's persistent id, ('storage', class, key, location, elements); a sixth one in
 * streams. NULL if it is none. */
static wm_pickle_node *const *storage_id(const wm_pickle_node *node)
{
    const wm_pickle_node *id = node->kind == WM_PICKLE_PERSISTENT ? node->as.id : NULL;
    return id && id->kind == WM_PICKLE_TUPLE && id->as.list.count >= 5 &&
                   wm_pickle_says(id->as.list.items[0], "storage")
               ? id->as.list.items
               : NULL;
}

const wm_pickle_node *wm_torch_key(const wm_pickle_node *node)
{
    wm_pickle_node *const *item = storage_id(node);
    return item && item[1]->kind == WM_PICKLE_GLOBAL && key_is_sound(item[2]) ? item[2] : NULL;
}

bool wm_torch_add_storage(wm_torch *torch, const wm_torch_storage *storage, uint32_t *index, wmap_error *err)
{
    *index = (uint32_t)torch->storage_count;
    wm_torch_storage *slot =
        wm_push(&torch->archive->arena, torch->storages, torch->storage_count, torch->storage_cap);
    if (!slot)
        return wm_fail(err, WMAP_E_NOMEM, "out of memory while listing tensors");
    *slot = *storage;
    return true;
}

/* A storage by its key, which was met before, or is added now. */
static bool keep_storage(wm_walk *w, const wm_torch_storage *storage, uint32_t *index)
{
    wm_torch *torch = w->context;
    bool oom = false;
    if (!wm_torch_add_storage(torch, storage, index, w->err))
        return false;
    wm_map_put(&torch->by_key, storage->key, storage->key_len, *index, &oom);
    return !oom || wm_walk_nomem(w);
}

/* The same storage as one that was met under its key? */
static bool same_storage(wm_walk *w, const wm_pickle_node *node, const wm_torch_storage *known,
                         const wm_torch_storage *storage)
{
    return (known->class_len == storage->class_len && known->elements == storage->elements &&
            memcmp(known->class_name, storage->class_name, storage->class_len) == 0) ||
           wm_walk_bad(w, node,
                       "a storage that was declared before with another class or number of elements");
}

/* Has the storage as many bytes as its elements need? */
static bool check_storage(wm_walk *w, const wm_pickle_node *node, const wm_torch_storage *storage)
{
    uint64_t bytes;
    if (storage->dtype == WMAP_DTYPE_NONE ||
        (wm_size_mul(storage->elements, wmap_dtype_size(storage->dtype), &bytes) && bytes == storage->bytes))
        return true;
    wm_fail(w->err, WMAP_E_CORRUPT,
            "the storage should have %" PRIu64 " elements of %" PRIu32 " bytes, but its record has %" PRIu64
            " bytes",
            storage->elements, wmap_dtype_size(storage->dtype), storage->bytes);
    wm_error_tensor(w->err, w->path, w->len);
    return wm_error_offset(w->err, node->offset);
}

/* A part of a storage with a key of its own: (key, first element, elements). Streams had them until torch
 * 1.5. */
static bool find_part(wm_walk *w, const wm_pickle_node *node, const wm_pickle_node *what, uint32_t *index)
{
    wm_torch *torch = w->context;
    wm_torch_storage part = torch->storages[*index];
    wm_pickle_node *const *item = what->as.list.items;
    uint64_t first, width = part.elements ? part.bytes / part.elements : 0;
    if (what->kind != WM_PICKLE_TUPLE || what->as.list.count != 3 || !key_is_sound(item[0]) ||
        !read_size(item[1], &first) || !read_size(item[2], &part.elements) || !part.stored)
        return wm_walk_bad(w, node, "a part of a storage that is described wrongly");
    uint64_t whole = width ? part.bytes / width : 0;
    if (first > whole || part.elements > whole - first)
        return wm_walk_bad(w, node, "a part of a storage that reaches over its end");
    part.key = item[0]->as.text.bytes;
    part.key_len = item[0]->as.text.len;
    part.offset += first * width;
    part.bytes = part.elements * width;
    uint32_t known = wm_map_get(&torch->by_key, part.key, part.key_len);
    if (known == WM_MAP_NONE)
        return keep_storage(w, &part, index);
    *index = known;
    if (torch->storages[known].offset != part.offset)
        return wm_walk_bad(w, node, "a part of a storage that was declared before as another one");
    return same_storage(w, node, &torch->storages[known], &part);
}

/* The storage of a persistent id: index in torch->storages. */
static bool find_storage(wm_walk *w, const wm_pickle_node *node, uint32_t *index)
{
    wm_pickle_node *const *item = storage_id(node);
    if (!item)
        return wm_walk_bad(w, node, "a tensor without a storage");
    const wm_pickle_node *class = item[1], *key = item[2];
    wm_torch_storage storage = {0};
    if (class->kind != WM_PICKLE_GLOBAL || class->as.global.name_len < 7 ||
        memcmp(class->as.global.name + class->as.global.name_len - 7, "Storage", 7) != 0)
        return wm_walk_bad(w, node, "a storage whose class is none of torch");
    if (!key_is_sound(key))
        return wm_walk_bad(w, node, "a storage whose key can't be a file's name");
    if (!read_size(item[4], &storage.elements))
        return wm_walk_bad(w, node, "a storage whose number of elements is none");
    storage.key = key->as.text.bytes;
    storage.key_len = key->as.text.len;
    storage.class_name = class->as.global.name;
    storage.class_len = class->as.global.name_len;
    storage.dtype = wm_torch_class_dtype(storage.class_name, storage.class_len);

    wm_torch *torch = w->context;
    *index = wm_map_get(&torch->by_key, storage.key, storage.key_len);
    if (*index != WM_MAP_NONE) {
        if (!same_storage(w, node, &torch->storages[*index], &storage))
            return false;
    } else {
        if (!torch->find(torch, &storage, w->err)) {
            wm_error_tensor(w->err, w->path, w->len);
            return wm_error_offset(w->err, node->offset);
        }
        if (!check_storage(w, node, &storage) || !keep_storage(w, &storage, index))
            return false;
    }
    const wm_pickle_node *part = node->as.id->as.list.count > 5 ? item[5] : NULL;
    return !part || part->kind == WM_PICKLE_NONE || find_part(w, node, part, index);
}

/* ---- tensors ---- */

/* A tuple of sizes or strides; torch.Size is one too. */
static const wm_pickle_node *int_tuple(const wm_pickle_node *node)
{
    if (wm_pickle_calls(node, "torch", "Size") && node->as.call.args->as.list.count == 1)
        node = node->as.call.args->as.list.items[0];
    return node->kind == WM_PICKLE_TUPLE || node->kind == WM_PICKLE_LIST ? node : NULL;
}

static bool read_shape(wm_walk *w, view *v, const wm_pickle_node *size)
{
    size = int_tuple(size);
    if (!size)
        return wm_walk_bad(w, v->node, "a tensor's size is no tuple");
    if (size->as.list.count > WMAP_MAX_RANK)
        return wm_walk_fail(w, WMAP_E_UNSUPPORTED, v->node, "a tensor of more than 64 dimensions");
    v->rank = (uint32_t)size->as.list.count;
    for (uint32_t d = 0; d < v->rank; d++)
        if (!read_size(size->as.list.items[d], &v->shape[d]))
            return wm_walk_bad(w, v->node, "a tensor's size is negative or no number");
    return true;
}

/* Offset and strides, in elements of the tensor. */
static bool read_place(wm_walk *w, view *v, const wm_pickle_node *offset, const wm_pickle_node *strides)
{
    strides = int_tuple(strides);
    if (!read_size(offset, &v->first))
        return wm_walk_bad(w, v->node, "a tensor's offset in its storage is negative or no number");
    if (!strides || strides->as.list.count != v->rank)
        return wm_walk_bad(w, v->node, "a tensor has not as many strides as dimensions");
    for (uint32_t d = 0; d < v->rank; d++) {
        uint64_t stride;
        if (!read_size(strides->as.list.items[d], &stride))
            return wm_walk_bad(w, v->node, "a tensor's stride is negative or no number");
        v->strides[d] = (int64_t)stride;
    }
    return true;
}

/* All elements lie in the storage. */
static bool check_window(wm_walk *w, const view *v, uint64_t width)
{
    const wm_torch *torch = w->context;
    uint64_t count, last = v->first, span, bytes;
    if (!wm_shape_count(v->shape, v->rank, &count))
        return wm_walk_bad(w, v->node, "a tensor of 2^63 elements or more");
    bool sound = true;
    for (uint32_t d = 0; d < v->rank && count; d++)
        sound = sound && wm_size_mul(v->shape[d] - 1, (uint64_t)v->strides[d], &span) &&
                wm_size_add(last, span, &last);
    sound = sound && wm_size_add(last, count ? 1 : 0, &last) && wm_size_mul(last, width, &bytes);
    /* An empty tensor reads nothing, but torch wants its offset inside too. */
    if (!sound || bytes > torch->storages[v->storage].bytes)
        return wm_walk_bad(w, v->node, "a tensor reaches over the end of its storage");
    return true;
}

/* {"conj": True, "neg": True}: views that torch conjugates or negates when it reads them. */
static bool read_metadata(wm_walk *w, view *v, const wm_pickle_node *metadata)
{
    const wm_pickle_node *conj = wm_pickle_get(metadata, "conj"), *neg = wm_pickle_get(metadata, "neg");
    v->conjugate = conj && conj->kind == WM_PICKLE_BOOL && conj->as.integer;
    v->negate = neg && neg->kind == WM_PICKLE_BOOL && neg->as.integer;
    const wm_dtype_info *info = wm_dtype(v->dtype);
    if (!info)
        return true;
    if (v->conjugate && info->kind != WM_KIND_COMPLEX)
        return wm_walk_bad(w, v->node, "a tensor that is conjugated but not complex");
    if (v->negate && info->kind != WM_KIND_COMPLEX && info->kind != WM_KIND_FLOAT) {
        snprintf(v->note, sizeof v->note, "torch.%s with its neg bit set", info->torch);
        v->dtype = WMAP_OPAQUE;
    }
    return true;
}

/* Types that wmap doesn't move are listed. */
static void set_dtype(view *v, wmap_dtype dtype, const char *name, size_t len)
{
    char shown[96];
    v->dtype = dtype == WMAP_DTYPE_NONE ? WMAP_OPAQUE : dtype;
    if (dtype == WMAP_DTYPE_NONE)
        snprintf(v->note, sizeof v->note, "torch.%s", wm_show(shown, sizeof shown, name, len));
}

/* _rebuild_tensor(storage, offset, size, stride)
 * _rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks[, metadata])
 * _rebuild_tensor_v3(storage, offset, size, stride, requires_grad, hooks, dtype[, metadata]) */
static bool read_tensor(wm_walk *w, view *v, const wm_pickle_node *args, int version)
{
    const wm_torch *torch = w->context;
    wm_pickle_node *const *arg = args->as.list.items;
    size_t count = args->as.list.count, least = version == 1 ? 4 : version == 2 ? 6 : 7;
    if (count < least)
        return wm_walk_bad(w, v->node, "a tensor with too few arguments");
    if (!find_storage(w, arg[0], &v->storage) || !read_shape(w, v, arg[2]) ||
        !read_place(w, v, arg[1], arg[3]))
        return false;
    const wm_torch_storage *storage = &torch->storages[v->storage];
    if (version == 3 && arg[6]->kind != WM_PICKLE_GLOBAL)
        return wm_walk_bad(w, v->node, "a tensor without a dtype");
    if (version == 3) {
        const char *name = arg[6]->as.global.name;
        size_t len = arg[6]->as.global.name_len;
        set_dtype(v, wm_dtype_spelled(offsetof(wm_dtype_info, torch), name, len), name, len);
    } else {
        set_dtype(v, storage->dtype, storage->class_name, storage->class_len);
    }
    if (version > 1 && count > least && !read_metadata(w, v, arg[least]))
        return false;
    return v->dtype == WMAP_OPAQUE || check_window(w, v, wmap_dtype_size(v->dtype));
}

/* A tensor that is described outside of the pickle. */
static bool read_outside(wm_walk *w, view *v, const wm_torch_tensor *tensor)
{
    const wm_torch *torch = w->context;
    const wm_torch_storage *storage = &torch->storages[tensor->storage];
    v->storage = tensor->storage;
    v->first = tensor->first;
    v->rank = tensor->rank;
    if (v->rank) {
        memcpy(v->shape, tensor->shape, v->rank * sizeof *v->shape);
        memcpy(v->strides, tensor->strides, v->rank * sizeof *v->strides);
    }
    set_dtype(v, storage->dtype, storage->class_name, storage->class_len);
    return v->dtype == WMAP_OPAQUE || check_window(w, v, wmap_dtype_size(v->dtype));
}

/* Tensors of kinds that we don't read: what they are called, and their size where it stands among the
 * arguments. */
static bool read_opaque(wm_walk *w, view *v, const wm_pickle_node *function, const wm_pickle_node *args)
{
    static const struct {
        const char *name, *note;
        size_t size; /* index of the argument, SIZE_MAX if there is none */
    } kinds[] = {
        {"_rebuild_qtensor", "quantized tensor", 2},
        {"_rebuild_sparse_tensor", "sparse tensor", SIZE_MAX},
        {"_rebuild_sparse_csr_tensor", "sparse tensor", SIZE_MAX},
        {"_rebuild_nested_tensor", "nested tensor", SIZE_MAX},
        {"_rebuild_meta_tensor_no_storage", "tensor without data", 1},
        {"_rebuild_wrapper_subclass", "tensor subclass", 2},
        {"_rebuild_device_tensor_from_numpy", "device tensor", SIZE_MAX},
        {"_rebuild_xla_tensor", "device tensor", SIZE_MAX},
        {"_rebuild_mlc_tensor", "device tensor", SIZE_MAX},
    };
    v->dtype = WMAP_OPAQUE;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (!wm_pickle_is(function, "torch._utils", kinds[i].name))
            continue;
        snprintf(v->note, sizeof v->note, "%s", kinds[i].note);
        bool sized = kinds[i].size < args->as.list.count && int_tuple(args->as.list.items[kinds[i].size]);
        return !sized || read_shape(w, v, args->as.list.items[kinds[i].size]);
    }
    char name[520];
    snprintf(v->note, sizeof v->note, "%.*s", (int)sizeof v->note - 1,
             wm_pickle_name(function, name, sizeof name));
    return true;
}

/* A tensor that a persistent id stands for. */
static wm_walked find_outside(wm_walk *w, view *v, const wm_pickle_node *node)
{
    wm_torch *torch = w->context;
    const wm_torch_tensor *tensor = torch->outside ? torch->outside(torch, node->as.id) : NULL;
    if (!tensor)
        return WM_WALKED_NOTHING;
    return read_outside(w, v, tensor) ? WM_WALKED_TENSOR : WM_WALKED_ERROR;
}

static bool is_any(const wm_pickle_node *function, const char *const (*names)[2], size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (wm_pickle_is(function, names[i][0], names[i][1]))
            return true;
    return false;
}

/* What a call puts around a tensor: a class derived from it, or a parameter. The function and arguments that
 * make what is inside, or `*inside`; false if it is no such call. */
static bool unwrap(const wm_pickle_node **function, const wm_pickle_node **args, const wm_pickle_node *node,
                   const wm_pickle_node **inside)
{
    static const char *const types[][2] = {{"torch._tensor", "_rebuild_from_type_v2"},
                                           {"torch.tensor", "_rebuild_from_type_v2"},
                                           {"torch._tensor", "_rebuild_from_type"}};
    static const char *const parameters[][2] = {{"torch._utils", "_rebuild_parameter"},
                                                {"torch._utils", "_rebuild_parameter_with_state"},
                                                {"torch._utils", "_rebuild_device_tensor_from_cpu_tensor"},
                                                {"torch.nn.parameter", "Parameter"},
                                                {"torch.nn.parameter", "Buffer"},
                                                {"torch.autograd.variable", "Variable"}};
    wm_pickle_node *const *arg = (*args)->as.list.items;
    size_t count = (*args)->as.list.count;
    *inside = NULL;
    if (is_any(*function, types, sizeof types / sizeof *types)) {
        bool sound = count >= 3 && arg[0]->kind == WM_PICKLE_GLOBAL && arg[2]->kind == WM_PICKLE_TUPLE;
        *function = sound ? arg[0] : NULL;
        *args = sound ? arg[2] : NULL;
        return true;
    }
    if (!is_any(*function, parameters, sizeof parameters / sizeof *parameters))
        return false;
    /* Those of 2016 have all in their state. */
    const wm_pickle_node *state = node->as.call.state;
    if (!count && state && (state->kind == WM_PICKLE_TUPLE || state->kind == WM_PICKLE_LIST)) {
        arg = state->as.list.items;
        count = state->as.list.count;
    }
    if (count && (arg[0]->kind == WM_PICKLE_CALL || arg[0]->kind == WM_PICKLE_PERSISTENT))
        *inside = arg[0];
    *function = *args = NULL;
    return true;
}

/* Is this a tensor? Unwraps parameters and subclasses. */
static wm_walked find_tensor(wm_walk *w, view *v, const wm_pickle_node *node)
{
    memset(v, 0, sizeof *v);
    v->node = node;
    if (node->kind == WM_PICKLE_PERSISTENT)
        return find_outside(w, v, node);
    const wm_pickle_node *function = node->as.call.callable, *args = node->as.call.args, *inside;
    for (int wrappers = 0; wrappers < WRAPPERS; wrappers++) {
        v->node = node;
        if (unwrap(&function, &args, node, &inside)) {
            if (inside && inside->kind == WM_PICKLE_PERSISTENT) {
                wm_walked what = find_outside(w, v, inside);
                if (what != WM_WALKED_NOTHING)
                    return what;
            } else if (inside) {
                node = inside;
                function = node->as.call.callable;
                args = node->as.call.args;
            }
            if (!function)
                return wm_walk_bad(w, node, "a parameter or a subclass of tensor without its tensor"),
                       WM_WALKED_ERROR;
            continue;
        }
        int version = wm_pickle_is(function, "torch._utils", "_rebuild_tensor")      ? 1
                      : wm_pickle_is(function, "torch._utils", "_rebuild_tensor_v2") ? 2
                      : wm_pickle_is(function, "torch._utils", "_rebuild_tensor_v3") ? 3
                                                                                     : 0;
        if (version && node->as.call.extra)
            return wm_walk_bad(w, node, "a tensor with keys or items of its own"), WM_WALKED_ERROR;
        if (version)
            return read_tensor(w, v, args, version) ? WM_WALKED_TENSOR : WM_WALKED_ERROR;
        const char *name = function->kind == WM_PICKLE_GLOBAL ? function->as.global.name : "";
        if (function->kind == WM_PICKLE_GLOBAL && function->as.global.module_len == 12 &&
            memcmp(function->as.global.module, "torch._utils", 12) == 0 && function->as.global.name_len > 9 &&
            memcmp(name, "_rebuild_", 9) == 0)
            return read_opaque(w, v, function, args) ? WM_WALKED_TENSOR : WM_WALKED_ERROR;
        if (wrappers == 0)
            return WM_WALKED_NOTHING;
        return read_opaque(w, v, function, args) ? WM_WALKED_TENSOR
                                                 : WM_WALKED_ERROR; /* a parameter of something foreign */
    }
    return wm_walk_bad(w, node, "a parameter of a parameter of a parameter ..."), WM_WALKED_ERROR;
}

/* True if the strides are those of row-major order; a dimension of 1 may have any, and so may an empty
 * tensor. */
static bool is_contiguous(const view *v)
{
    uint64_t next = 1;
    for (uint32_t d = v->rank; d-- > 0;) {
        if (v->shape[d] == 0)
            return true;
        if (v->shape[d] != 1 && (uint64_t)v->strides[d] != next)
            return false;
        next *= v->shape[d]; /* the count was checked: below 2^63 */
    }
    return true;
}

static bool is_empty(const view *v)
{
    for (uint32_t d = 0; d < v->rank; d++)
        if (v->shape[d] == 0)
            return true;
    return false;
}

/* For an entry that is not direct: how decode() gets its elements. */
static bool add_view(wm_walk *w, const view *v, const int64_t *strides, wm_entry *entry)
{
    wm_torch *torch = w->context;
    wm_arena *arena = &torch->archive->arena;
    int64_t *kept = NULL;
    if (strides) {
        kept = wm_new(arena, int64_t, v->rank);
        if (!kept)
            return wm_walk_nomem(w);
        memcpy(kept, strides, v->rank * sizeof *kept);
    }
    entry->id = WM_TORCH_VIEW + torch->view_count;
    wm_torch_view *slot = wm_push(arena, torch->views, torch->view_count, torch->view_cap);
    if (!slot)
        return wm_walk_nomem(w);
    *slot = (wm_torch_view){v->storage, v->first, kept, v->conjugate, v->negate};
    return true;
}

static bool add_entry(wm_walk *w, const view *v)
{
    wm_torch *torch = w->context;
    wmap_archive *archive = torch->archive;
    const wm_dtype_info *info = wm_dtype(v->dtype); /* NULL: opaque */
    const wm_torch_storage *storage = info ? &torch->storages[v->storage] : NULL;
    const int64_t *strides = !info || is_empty(v) || is_contiguous(v) ? NULL : v->strides;
    bool direct =
        info && storage->stored && !(torch->big_endian && info->align > 1) && !v->conjugate && !v->negate;
    const char *name = w->len ? w->path : "";
    wm_entry *entry =
        wm_archive_add(archive, name, w->len, v->dtype, v->rank, v->shape, direct ? strides : NULL, w->err);
    if (!entry) {
        wm_error_tensor(w->err, name, w->len);
        return wm_error_offset(w->err, v->node->offset);
    }
    if (!info) {
        entry->note = wm_copy(&archive->arena, v->note, strlen(v->note));
        return entry->note ? true : wm_walk_nomem(w);
    }
    if (!direct)
        return add_view(w, v, strides, entry);
    entry->direct = true;
    entry->offset = storage->offset + v->first * info->size;
    return wm_entry_check(archive, entry, storage->offset, storage->offset + storage->bytes, w->err);
}

/* ---- objects ---- */

/* An array of NumPy's, which has its bytes in the pickle itself. */
static wm_walked find_array(wm_walk *w, const wm_pickle_node *node)
{
    wm_torch *torch = w->context;
    if (node->kind != WM_PICKLE_CALL || !wm_pickled_known(node->as.call.callable))
        return WM_WALKED_NOTHING;
    if (torch->packed) {
        torch->at.file = wm_zip_spool(torch->archive, torch->packed, w->err);
        if (torch->at.file == UINT32_MAX)
            return WM_WALKED_ERROR;
        torch->packed = NULL;
    }
    return wm_pickled_leaf(w, node, &torch->at, &torch->items);
}

/* A class, which streams keep with its source: it holds nothing. */
static bool is_class(const wm_pickle_node *id)
{
    if (id->kind != WM_PICKLE_TUPLE || !id->as.list.count)
        return false;
    const wm_pickle_node *first = id->as.list.items[0];
    return wm_pickle_says(first, "module") || (first->kind == WM_PICKLE_GLOBAL && id->as.list.count == 3);
}

/* A storage that is no tensor's: listed, so that nobody misses it. */
static bool add_storage(wm_walk *w, const wm_pickle_node *node)
{
    const wm_torch *torch = w->context;
    view v = {.node = node, .dtype = WMAP_OPAQUE};
    wm_pickle_node *const *item = storage_id(node);
    if (!item && torch->outside) {
        snprintf(v.note, sizeof v.note, "storage");
        return add_entry(w, &v);
    }
    if (!item)
        return wm_walk_bad(w, node, "a persistent id that is no storage");
    char name[520];
    snprintf(v.note, sizeof v.note, "%.*s", (int)sizeof v.note - 1,
             wm_pickle_name(item[1], name, sizeof name));
    return find_storage(w, node, &v.storage) && add_entry(w, &v);
}

/* Kept out of the walk, which recurses: the view is large. */
__attribute__((noinline)) static wm_walked walk_leaf(wm_walk *w, const wm_pickle_node *node)
{
    view v;
    if (node->kind == WM_PICKLE_PERSISTENT && is_class(node->as.id))
        return WM_WALKED_NOTHING;
    wm_walked what = find_tensor(w, &v, node);
    if (what == WM_WALKED_NOTHING && node->kind == WM_PICKLE_PERSISTENT)
        return add_storage(w, node) ? WM_WALKED_TENSOR : WM_WALKED_ERROR;
    if (what == WM_WALKED_NOTHING)
        return find_array(w, node);
    return what == WM_WALKED_TENSOR && !add_entry(w, &v) ? WM_WALKED_ERROR : what;
}

bool wm_torch_walk(wm_torch *torch, wm_pickle_node *root, const char *under, wmap_error *err)
{
    wm_walk w;
    wm_walk_init(&w, torch->archive, torch->pickle, torch->at.end - torch->at.begin, err);
    w.context = torch;
    w.leaf = walk_leaf;
    w.object = wm_torch_module;
    w.known = wm_torch_known;
    wm_map_init(&torch->by_key, &torch->pickle->arena, 0);
    wm_pickle_node key = {.kind = WM_PICKLE_TEXT, .offset = root->offset};
    key.as.text.bytes = under;
    key.as.text.len = under ? strlen(under) : 0;
    return wm_walk_root(&w, root, under ? &key : NULL) && wm_walk_end(&w);
}
