/* keras_names.c: what Keras wants to find around its weights: from the names of the targets the groups, lists
 * and attributes of an HDF5 file, as records for wmap-hdf5. */
#include "runtime/formats/keras.h"

#include <string.h>
#include <strings.h>

#include "runtime/base/size.h"
#include "runtime/base/text.h"
#include "runtime/hdf5/protocol.h"

/* Bytes of an attribute: an HDF5 object header holds 64 KiB, and Keras leaves itself the same room. A longer
 * list is spread over several. */
#define ATTRIBUTE_MOST ((size_t)64512)

/* What kind of file the names belong to. */
enum dialect {
    PLAIN,  /* any names */
    LEGACY, /* LAYER/WEIGHT */
    VARS,   /* PATH/vars/N */
};

struct piece {
    const char *text;
    size_t len;
};

/* A list attribute of a group: the layers, or the weights of one. */
struct list {
    struct piece group;
    struct piece *items;
    size_t count, cap;
};

struct builder {
    wm_writer *writer;
    wm_keras_records *out;
    wm_map datasets, groups; /* paths */
    struct list layers, *weights;
    size_t weight_count, weight_cap;
    wm_map layer_index; /* name -> in weights */
    wmap_error *err;
};

static bool no_memory(wmap_error *err)
{
    return wm_fail(err, WMAP_E_NOMEM, "out of memory");
}

/* --- records --- */

static bool put(struct builder *b, const void *bytes, size_t size)
{
    wm_keras_records *r = b->out;
    if (size > WM_H5_MAX_RECORDS - r->size)
        return wm_fail(b->err, WMAP_E_TARGET, "its names take more than %llu bytes",
                       (unsigned long long)WM_H5_MAX_RECORDS);
    uint8_t *grown = wm_grow(b->writer->arena, r->bytes, r->size, r->size + size, &r->cap, 1);
    if (!grown)
        return no_memory(b->err);
    r->bytes = grown;
    if (size)
        memcpy(r->bytes + r->size, bytes, size);
    r->size += size;
    return true;
}

static bool put_le(struct builder *b, uint64_t value, unsigned bytes)
{
    uint8_t raw[8];
    for (unsigned i = 0; i < bytes; i++)
        raw[i] = (uint8_t)(value >> (8 * i));
    return put(b, raw, bytes);
}

static bool put_string(struct builder *b, struct piece s)
{
    return put_le(b, s.len, 4) && put(b, s.text, s.len);
}

static struct piece piece_of(const char *text)
{
    return (struct piece){text, strlen(text)};
}

static bool put_text(struct builder *b, const char *group, const char *name, struct piece value)
{
    return put_le(b, WM_H5_TEXT, 1) && put_string(b, piece_of(group)) && put_string(b, piece_of(name)) &&
           put_string(b, value);
}

static bool put_names(struct builder *b, struct piece group, const char *name, const struct piece *items,
                      size_t count)
{
    if (!put_le(b, WM_H5_NAMES, 1) || !put_string(b, group) || !put_string(b, piece_of(name)) ||
        !put_le(b, count, 4))
        return false;
    for (size_t i = 0; i < count; i++)
        if (!put_string(b, items[i]))
            return false;
    return true;
}

/* A list as one attribute, or cut evenly into NAME0, NAME1 ... */
static bool put_list(struct builder *b, const struct list *list, const char *name)
{
    size_t width = 1, pieces = 1;
    for (size_t i = 0; i < list->count; i++)
        width = list->items[i].len > width ? list->items[i].len : width;
    if (width > ATTRIBUTE_MOST) {
        wm_fail(b->err, WMAP_E_TARGET, "Keras' lists hold no names of more than %zu bytes", ATTRIBUTE_MOST);
        return wm_error_tensor(b->err, list->group.text, list->group.len);
    }
    size_t most = ATTRIBUTE_MOST / width; /* names an attribute */
    if (list->count > most)
        pieces = (list->count + most - 1) / most;
    if (pieces == 1)
        return put_names(b, list->group, name, list->items, list->count);
    /* As numpy.array_split: the first `longer` pieces have one name more. */
    size_t each = list->count / pieces, longer = list->count % pieces, at = 0;
    for (size_t i = 0; i < pieces; i++) {
        char *numbered = wm_format_text(b->writer->arena, "%s%zu", name, i);
        size_t count = each + (i < longer ? 1 : 0);
        if (!numbered)
            return no_memory(b->err);
        if (!put_names(b, list->group, numbered, list->items + at, count))
            return false;
        at += count;
    }
    return true;
}

/* --- names --- */

static bool bad_name(struct builder *b, const wmap_tensor *t, const char *why)
{
    wm_fail(b->err, WMAP_E_TARGET, "%s", why);
    return wm_error_tensor(b->err, t->name, t->name_len);
}

/* HDF5 names are paths: components that are neither empty nor "." or "..", without NUL. */
static const char *wrong_with(const wmap_tensor *t)
{
    if (t->name_len == 0 || t->name_len > WM_MAX_NAME)
        return "a path in an HDF5 file has 1 to 65,536 bytes";
    if (!wm_utf8_valid(t->name, t->name_len) || memchr(t->name, 0, t->name_len))
        return "a path in an HDF5 file is text, and this one is no UTF-8";
    if (t->rank > WM_H5_MAX_RANK)
        return "HDF5 holds at most 32 dimensions";
    for (size_t at = 0; at <= t->name_len;) {
        const char *part = t->name + at, *slash = memchr(part, '/', t->name_len - at);
        size_t len = slash ? (size_t)(slash - part) : t->name_len - at;
        if (len == 0 || (part[0] == '.' && (len == 1 || (len == 2 && part[1] == '.'))))
            return "it is no path of an HDF5 file: a component is empty, \".\" or \"..\"";
        at += len + 1;
    }
    return NULL;
}

/* Is it PATH/vars/N, as in a file of Keras 3? */
bool wm_keras_is_vars(const wmap_tensor *t)
{
    static const char vars[] = "vars";
    const char *last = memrchr(t->name, '/', t->name_len);
    size_t len = last ? (size_t)(last - t->name) : 0, want = strlen(vars);
    return len >= want && memcmp(last - want, vars, want) == 0 &&
           (len == want || last[-(ptrdiff_t)want - 1] == '/');
}

/* Where the layer ends in LAYER/WEIGHT. A layer's name may hold slashes: Keras 2 repeats it in the weight's,
 * so block/conv/block/conv/kernel:0 is of the layer block/conv; else it is the first component. */
static size_t layer_of(const wmap_tensor *t)
{
    const char *first = memchr(t->name, '/', t->name_len);
    size_t best = first ? (size_t)(first - t->name) : 0;
    for (size_t at = best; at && 2 * at + 1 < t->name_len; at++)
        if (t->name[at] == '/' && t->name[2 * at + 1] == '/' && memcmp(t->name, t->name + at + 1, at) == 0)
            best = at;
    return best;
}

static enum dialect dialect_of(const wm_writer *writer)
{
    bool vars = true, layers = true;
    for (size_t i = 0; i < writer->count; i++) {
        const wmap_tensor *t = &writer->targets[i].tensor;
        vars = vars && wm_keras_is_vars(t);
        layers = layers && memchr(t->name, '/', t->name_len);
    }
    return writer->count == 0 ? PLAIN : vars ? VARS : layers ? LEGACY : PLAIN;
}

/* No target may be a folder of another. */
static bool check_names(struct builder *b)
{
    bool oom = false;
    for (size_t i = 0; i < b->writer->count; i++) {
        const wmap_tensor *t = &b->writer->targets[i].tensor;
        const char *wrong = wrong_with(t);
        if (wrong)
            return bad_name(b, t, wrong);
        if (wm_map_put(&b->datasets, t->name, t->name_len, (uint32_t)i, &oom) != WM_MAP_NONE)
            return bad_name(b, t, "two targets have this name");
    }
    for (size_t i = 0; i < b->writer->count && !oom; i++) {
        const wmap_tensor *t = &b->writer->targets[i].tensor;
        for (size_t at = 1; at < t->name_len; at++)
            if (t->name[at] == '/' && wm_map_get(&b->datasets, t->name, at) != WM_MAP_NONE)
                return bad_name(b, t, "a part of this path is a tensor itself, which can't be a group too");
    }
    return !oom || no_memory(b->err);
}

/* --- dialects --- */

static bool put_datasets(struct builder *b)
{
    for (size_t i = 0; i < b->writer->count; i++) {
        const wmap_tensor *t = &b->writer->targets[i].tensor;
        if (!put_le(b, WM_H5_DATASET, 1) || !put_string(b, (struct piece){t->name, t->name_len}) ||
            !put_le(b, (uint64_t)t->dtype, 1) || !put_le(b, t->rank, 1))
            return false;
        for (uint32_t d = 0; d < t->rank; d++)
            if (!put_le(b, t->shape[d], 8))
                return false;
    }
    return true;
}

/* Keras 3 gives every object on the way to a variable a group of its own variables, and TF-Keras misses it if
 * it isn't there. */
static bool put_vars_group(struct builder *b, const char *path, size_t len)
{
    static const char vars[] = "vars", below[] = "/vars";
    char *full = wm_format_text(b->writer->arena, "%.*s%s", (int)len, path, len ? below : vars);
    bool oom = false;
    if (!full)
        return no_memory(b->err);
    size_t full_len = strlen(full);
    if (wm_map_put(&b->groups, full, full_len, 0, &oom) != WM_MAP_NONE)
        return true;
    if (oom)
        return no_memory(b->err);
    return put_le(b, WM_H5_GROUP, 1) && put_string(b, (struct piece){full, full_len});
}

static bool put_vars(struct builder *b)
{
    bool oom = false;
    for (size_t i = 0; i < b->writer->count; i++) { /* those that there are because they hold something */
        const wmap_tensor *t = &b->writer->targets[i].tensor;
        const char *last = memrchr(t->name, '/', t->name_len);
        wm_map_put(&b->groups, t->name, (size_t)(last - t->name), 0, &oom);
    }
    if (oom)
        return no_memory(b->err);
    for (size_t i = 0; i < b->writer->count; i++) {
        const wmap_tensor *t = &b->writer->targets[i].tensor;
        const char *last = memrchr(t->name, '/', t->name_len);
        size_t end = (size_t)(last - t->name); /* of PATH/vars, which stays as it is */
        if (!put_vars_group(b, "", 0))
            return false;
        for (size_t at = 1; at + strlen("/vars") < end; at++)
            if (t->name[at] == '/' && !put_vars_group(b, t->name, at))
                return false;
    }
    return true;
}

static bool add_to(struct builder *b, struct list *list, struct piece item)
{
    struct piece *slot = wm_push(b->writer->arena, list->items, list->count, list->cap);
    if (!slot)
        return no_memory(b->err);
    *slot = item;
    return true;
}

/* Groups beside the layers, which have a list of weights and are in no list of layers. */
static bool is_aside(struct piece layer)
{
    static const char *const aside[] = {"top_level_model_weights", "optimizer_weights"};
    for (size_t i = 0; i < sizeof aside / sizeof *aside; i++)
        if (layer.len == strlen(aside[i]) && memcmp(layer.text, aside[i], layer.len) == 0)
            return true;
    return false;
}

/* Layers in the order in which the first weight of each is written, and in each its weights: Keras loads by
 * position. */
static bool gather_layers(struct builder *b)
{
    for (size_t i = 0; i < b->writer->count; i++) {
        const wmap_tensor *t = &b->writer->targets[i].tensor;
        struct piece layer = {t->name, layer_of(t)};
        struct piece weight = {t->name + layer.len + 1, t->name_len - layer.len - 1};
        bool oom = false;
        uint32_t index = wm_map_put(&b->layer_index, layer.text, layer.len, (uint32_t)b->weight_count, &oom);
        if (oom)
            return no_memory(b->err);
        if (index == WM_MAP_NONE) {
            index = (uint32_t)b->weight_count;
            struct list *list = wm_push(b->writer->arena, b->weights, b->weight_count, b->weight_cap);
            if (!list)
                return no_memory(b->err);
            list->group = layer;
            if (!is_aside(layer) && !add_to(b, &b->layers, layer))
                return false;
        }
        if (!add_to(b, &b->weights[index], weight))
            return false;
    }
    return true;
}

/* What the source says, if it is one of Keras' files; else what Keras 2 would say of names that end in ":0",
 * and Keras 3 of others. Without a version the file would be taken for one of Keras 1. */
static struct piece meta(struct builder *b, const char *key)
{
    wm_writer *w = b->writer;
    for (size_t i = 0; i < w->meta_count; i++) {
        const wmap_meta *pair = &w->metas[i].pair;
        if (pair->key_len == strlen(key) && memcmp(pair->key, key, pair->key_len) == 0 &&
            pair->value_len < ATTRIBUTE_MOST) {
            w->meta_kept[i] = true;
            return (struct piece){pair->value, pair->value_len};
        }
    }
    if (strcmp(key, "backend") == 0)
        return piece_of("tensorflow");
    for (size_t i = 0; i < w->count; i++) {
        const wmap_tensor *t = &w->targets[i].tensor;
        if (t->name_len > 2 && memcmp(t->name + t->name_len - 2, ":0", 2) == 0)
            return piece_of("2.15.0");
    }
    return piece_of("3.0.0");
}

static bool put_legacy(struct builder *b)
{
    if (!gather_layers(b) || !put_list(b, &b->layers, "layer_names") ||
        !put_text(b, "", "backend", meta(b, "backend")) ||
        !put_text(b, "", "keras_version", meta(b, "keras_version")))
        return false;
    for (size_t i = 0; i < b->weight_count; i++)
        if (!put_list(b, &b->weights[i], "weight_names"))
            return false;
    return true;
}

/* Keras reads a file as its suffix says, whatever is in it. */
static void warn_of_suffix(wm_writer *writer, enum dialect dialect)
{
    static const char suffix[] = ".weights.h5";
    size_t len = strlen(writer->path), want = strlen(suffix);
    bool vars = len > want && strcasecmp(writer->path + len - want, suffix) == 0;
    if (writer->trial || len == 0 || strcmp(writer->path, "-") == 0)
        return;
    if (vars && dialect == LEGACY)
        wm_writer_warn(
            writer,
            "Keras takes a .weights.h5 file for one of Keras 3, whose tensors are called PATH/vars/N; "
            "these names belong into a legacy .h5 file");
    if (!vars && dialect == VARS)
        wm_writer_warn(writer,
                       "Keras takes this file for a legacy one; these names belong into a .weights.h5 "
                       "file");
}

bool wm_keras_records_make(wm_writer *writer, wm_keras_records *out, wmap_error *err)
{
    struct builder *b = wm_new(writer->arena, struct builder, 1);
    if (!b)
        return no_memory(err);
    b->writer = writer;
    b->out = out;
    b->err = err;
    wm_map_init(&b->datasets, writer->arena, writer->count);
    wm_map_init(&b->groups, writer->arena, 0);
    wm_map_init(&b->layer_index, writer->arena, 0);
    if (!check_names(b) || !put_datasets(b))
        return false;
    enum dialect dialect = dialect_of(writer);
    warn_of_suffix(writer, dialect);
    switch (dialect) {
    case VARS:
        return put_vars(b);
    case LEGACY:
        return put_legacy(b);
    default:
        return true;
    }
}
