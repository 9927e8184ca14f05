/* pickle_tree.c: questions to the tree that pickle.c builds. None of them recurses, so depth and cycles don't
 * matter. */
#include "runtime/formats/pickle.h"

#include <stdio.h>
#include <string.h>

#include "runtime/base/text.h"

static bool same(const char *bytes, size_t len, const char *text)
{
    return len == strlen(text) && memcmp(bytes, text, len) == 0;
}

bool wm_pickle_is(const wm_pickle_node *node, const char *module, const char *name)
{
    if (!node || node->kind != WM_PICKLE_GLOBAL ||
        !same(node->as.global.name, node->as.global.name_len, name))
        return false;
    const char *said = node->as.global.module;
    size_t len = node->as.global.module_len;
    if (same(said, len, module))
        return true;
    return (strcmp(module, "builtins") == 0 && same(said, len, "__builtin__")) ||
           (strcmp(module, "copyreg") == 0 && same(said, len, "copy_reg"));
}

bool wm_pickle_calls(const wm_pickle_node *node, const char *module, const char *name)
{
    return node && node->kind == WM_PICKLE_CALL && wm_pickle_is(node->as.call.callable, module, name);
}

bool wm_pickle_says(const wm_pickle_node *node, const char *text)
{
    return node && (node->kind == WM_PICKLE_TEXT || node->kind == WM_PICKLE_BYTES) &&
           same(node->as.text.bytes, node->as.text.len, text);
}

/* True for what holds items by position; their order is that of the file, also in a set. */
static bool is_sequence(const wm_pickle_node *node)
{
    return node->kind == WM_PICKLE_TUPLE || node->kind == WM_PICKLE_LIST || node->kind == WM_PICKLE_SET ||
           node->kind == WM_PICKLE_FROZENSET;
}

/* TorchScript says the type of a container by a call around it: restore_type_tag(container, text). What is
 * called with is older than its call: no cycle. */
static const wm_pickle_node *untagged(const wm_pickle_node *node)
{
    while (wm_pickle_calls(node, "torch.jit._pickle", "restore_type_tag") &&
           node->as.call.args->as.list.count)
        node = node->as.call.args->as.list.items[0];
    return node;
}

/* What a container was made from, as in `dict(pairs)`: argument `at` of the call. NULL if `node` is no call
 * of `class`, or one with something else. */
static const wm_pickle_node *made_from(const wm_pickle_node *node, const char *module, const char *class,
                                       size_t at)
{
    if (!wm_pickle_calls(node, module, class) || node->as.call.args->as.list.count <= at)
        return NULL;
    const wm_pickle_node *from = node->as.call.args->as.list.items[at];
    return from->kind == WM_PICKLE_DICT || is_sequence(from) ? from : NULL;
}

const wm_pickle_node *wm_pickle_mapping(const wm_pickle_node *node)
{
    static const struct {
        const char *module, *class;
        size_t at;
    } rows[] = {
        {"collections", "OrderedDict", 0}, /* Python 2 gives its pairs as one list */
        {"collections", "Counter", 0},
        {"collections", "defaultdict", 1},
        {"builtins", "dict", 0},
    };
    node = untagged(node);
    if (!node)
        return NULL;
    if (node->kind == WM_PICKLE_DICT)
        return node;
    if (node->kind != WM_PICKLE_CALL)
        return NULL;
    if (node->as.call.extra && node->as.call.extra->pairs)
        return node->as.call.extra->pairs;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const wm_pickle_node *from = made_from(node, rows[i].module, rows[i].class, rows[i].at);
        if (from)
            return from;
    }
    /* An empty one has no argument, and that is an empty tuple. */
    const wm_pickle_node *args = node->as.call.args;
    return wm_pickle_is(node->as.call.callable, "collections", "OrderedDict") && args->as.list.count == 0
               ? args
               : NULL;
}

const wm_pickle_node *wm_pickle_sequence(const wm_pickle_node *node)
{
    static const char *const rows[][2] = {
        {"builtins", "tuple"},     {"builtins", "list"},     {"builtins", "set"},
        {"builtins", "frozenset"}, {"collections", "deque"}, {"torch.jit._pickle", "build_tensorlist"},
    };
    node = untagged(node);
    if (is_sequence(node))
        return node;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const wm_pickle_node *from = made_from(node, rows[i][0], rows[i][1], 0);
        if (from && from->kind != WM_PICKLE_DICT)
            return from;
    }
    return NULL;
}

size_t wm_pickle_pair_count(const wm_pickle_node *mapping)
{
    return mapping->kind == WM_PICKLE_DICT ? mapping->as.list.count / 2 : mapping->as.list.count;
}

bool wm_pickle_pair(const wm_pickle_node *mapping, size_t index, wm_pickle_node **key, wm_pickle_node **value)
{
    wm_pickle_node *const *pair = mapping->as.list.items;
    if (mapping->kind == WM_PICKLE_DICT) {
        pair += 2 * index;
    } else {
        const wm_pickle_node *item = pair[index];
        if ((item->kind != WM_PICKLE_LIST && item->kind != WM_PICKLE_TUPLE) || item->as.list.count != 2)
            return false;
        pair = item->as.list.items;
    }
    *key = pair[0];
    *value = pair[1];
    return true;
}

wm_pickle_node *wm_pickle_get(const wm_pickle_node *node, const char *key)
{
    const wm_pickle_node *mapping = wm_pickle_mapping(node);
    wm_pickle_node *said, *value;
    for (size_t i = mapping ? wm_pickle_pair_count(mapping) : 0; i-- > 0;)
        if (wm_pickle_pair(mapping, i, &said, &value) && wm_pickle_says(said, key))
            return value;
    return NULL;
}

const wm_pickle_node *wm_pickle_class(const wm_pickle_node *node)
{
    if (!node || node->kind != WM_PICKLE_CALL)
        return node;
    const wm_pickle_node *args = node->as.call.args;
    /* Objects of protocols 0 and 1: _reconstructor(class, base, what the base is made of). */
    if (wm_pickle_is(node->as.call.callable, "copyreg", "_reconstructor") && args->as.list.count)
        return args->as.list.items[0];
    return node->as.call.callable;
}

const char *wm_pickle_name(const wm_pickle_node *node, char *buf, size_t size)
{
    while (node && node->kind == WM_PICKLE_CALL) /* a callable is older than its call: no cycle */
        node = wm_pickle_class(node);
    if (!node || node->kind != WM_PICKLE_GLOBAL) {
        snprintf(buf, size, "?");
        return buf;
    }
    char module[256], name[256];
    wm_show(module, sizeof module, node->as.global.module, node->as.global.module_len);
    wm_show(name, sizeof name, node->as.global.name, node->as.global.name_len);
    snprintf(buf, size, "%s.%s", module, name);
    return buf;
}
