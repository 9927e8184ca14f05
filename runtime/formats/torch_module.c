/* torch_module.c: modules that were pickled whole, by torch.save() or by TorchScript, and the classes that a
 * torch file may hold without a warning. */
#include "runtime/formats/torch.h"

#include <stdio.h>
#include <string.h>

#include "runtime/base/dtype.h"
#include "runtime/formats/pickle_walk.h"

/* A set of names that are left out of a module's state dict. */
static bool set_has(const wm_pickle_node *set, const wm_pickle_node *key)
{
    const wm_pickle_node *names = set ? wm_pickle_sequence(set) : NULL;
    for (size_t i = 0; names && key->kind == WM_PICKLE_TEXT && i < names->as.list.count; i++) {
        const wm_pickle_node *item = names->as.list.items[i];
        if (item->kind == WM_PICKLE_TEXT && item->as.text.len == key->as.text.len &&
            memcmp(item->as.text.bytes, key->as.text.bytes, key->as.text.len) == 0)
            return true;
    }
    return false;
}

static bool has_value(wm_walk *w, const wm_pickle_node *mapping, const wm_pickle_node *wanted)
{
    wm_pickle_node *key, *value;
    for (size_t i = 0; i < wm_pickle_pair_count(mapping) && ++w->steps <= w->max_steps; i++)
        if (wm_pickle_pair(mapping, i, &key, &value) && value == wanted)
            return true;
    return false;
}

/* True for a list of TorchScript whose tensors all are attributes of the same module too, as an LSTM's
 * `_flat_weights`: state_dict() has them once. */
static bool repeats(wm_walk *w, const wm_pickle_node *attributes, const wm_pickle_node *list)
{
    if (!wm_pickle_calls(list, "torch.jit._pickle", "build_tensorlist"))
        return false;
    const wm_pickle_node *items = wm_pickle_sequence(list);
    for (size_t i = 0; items && i < items->as.list.count; i++)
        if (!has_value(w, attributes, items->as.list.items[i]))
            return false;
    return true;
}

/* A module of TorchScript: its attributes, of which some are parameters and buffers. */
static wm_walked walk_script(wm_walk *w, const wm_pickle_node *node)
{
    const wm_pickle_node *attributes = wm_pickle_mapping(node->as.call.state);
    wm_pickle_node *key, *value;
    for (size_t i = 0; attributes && i < wm_pickle_pair_count(attributes); i++)
        if (wm_pickle_pair(attributes, i, &key, &value) && !repeats(w, attributes, value) &&
            !wm_walk_child(w, key, value))
            return WM_WALKED_ERROR;
    return attributes ? WM_WALKED_TENSOR : WM_WALKED_NOTHING;
}

static bool is_script(const wm_pickle_node *class)
{
    static const char prefix[] = "__torch__";
    return class->kind == WM_PICKLE_GLOBAL && class->as.global.module_len >= sizeof prefix - 1 &&
           memcmp(class->as.global.module, prefix, sizeof prefix - 1) == 0;
}

/* A pickled torch.nn.Module: the names of its state_dict(), in the same order. */
wm_walked wm_torch_module(wm_walk *w, const wm_pickle_node *node)
{
    const wm_pickle_node *state = node->as.call.state;
    if (is_script(node->as.call.callable))
        return walk_script(w, node);
    if (!wm_pickle_get(state, "_parameters") || !wm_pickle_get(state, "_modules"))
        return wm_pickled_objects(w, node);
    const wm_pickle_node *transient = wm_pickle_get(state, "_non_persistent_buffers_set");
    static const char *const parts[] = {"_parameters", "_buffers", "_modules"};
    for (size_t p = 0; p < sizeof parts / sizeof *parts; p++) {
        const wm_pickle_node *mapping = wm_pickle_mapping(wm_pickle_get(state, parts[p]));
        wm_pickle_node *key, *value;
        for (size_t i = 0; mapping && i < wm_pickle_pair_count(mapping); i++) {
            if (!wm_pickle_pair(mapping, i, &key, &value) || (p == 1 && set_has(transient, key)))
                continue;
            if (!wm_walk_child(w, key, value))
                return WM_WALKED_ERROR;
        }
    }
    return WM_WALKED_TENSOR;
}

/* ---- classes that are not ours ---- */

bool wm_torch_known(const wm_pickle_node *global)
{
    static const struct {
        const char *module, *names; /* between spaces */
    } known[] = {
        {"collections", " OrderedDict defaultdict Counter "},
        {"builtins",
         " set frozenset list dict tuple int float complex bytes bytearray str bool object slice range "},
        {"copyreg", " _reconstructor "},
        {"_codecs", " encode "},
        {"torch",
         " Size device Tensor Generator Storage strided sparse_coo sparse_csr sparse_csc sparse_bsr "
         "sparse_bsc"
         " jagged contiguous_format preserve_format channels_last channels_last_3d per_tensor_affine"
         " per_channel_affine per_tensor_symmetric per_channel_symmetric per_channel_affine_float_qparams"
         " complex32 quint8 qint8 qint32 quint4x2 quint2x4 bits8 bits16 bits1x8 bits2x4 bits4x2"
         " float4_e2m1fn_x2 "},
        {"torch._tensor", " _rebuild_from_type_v2 _rebuild_from_type Tensor "},
        {"torch.serialization", " _get_layout "},
        {"torch.nn.parameter", " Parameter Buffer UninitializedParameter "},
        {"torch.autograd.variable", " Variable "},
        {"torch.nn.backends.thnn", " _get_thnn_function_backend "},
        {"torch.jit._pickle",
         " build_intlist build_tensorlist build_doublelist build_boollist restore_type_tag "},
    };
    const char *module = global->as.global.module, *name = global->as.global.name;
    size_t module_len = global->as.global.module_len, name_len = global->as.global.name_len;
    if (!name_len || memchr(name, '.', name_len) || memchr(name, ' ', name_len))
        return false; /* an attribute of an attribute: no pickler of torch writes that */
    char padded[64];
    snprintf(padded, sizeof padded, " %.*s ", (int)(name_len < 60 ? name_len : 60), name);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        char said[64];
        snprintf(said, sizeof said, "%.*s", (int)(name_len < 60 ? name_len : 60), name);
        if (strstr(known[i].names, padded) && wm_pickle_is(global, known[i].module, said))
            return true;
    }
    static const char *const prefixes[] = {"torch.nn.modules.",
                                           "__torch__"}; /* of modules; the latter: TorchScript */
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (module_len >= strlen(prefixes[i]) && memcmp(module, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    bool torch = (module_len == 5 && memcmp(module, "torch", 5) == 0) ||
                 (module_len == 10 && memcmp(module, "torch.cuda", 10) == 0) ||
                 (module_len == 13 && memcmp(module, "torch.storage", 13) == 0);
    if (torch && ((name_len > 7 && memcmp(name + name_len - 7, "Storage", 7) == 0) ||
                  wm_dtype_spelled(offsetof(wm_dtype_info, torch), name, name_len) != WMAP_DTYPE_NONE ||
                  (name_len > 6 && memcmp(name, "float8", 6) == 0)))
        return true;
    return wm_pickled_known(global) || (module_len == 12 && memcmp(module, "torch._utils", 12) == 0 &&
                                        name_len > 9 && memcmp(name, "_rebuild_", 9) == 0);
}
