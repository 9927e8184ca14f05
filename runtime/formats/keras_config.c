/* keras_config.c: the names of layers in .keras archives before Keras 3.6, whose weights don't tell them:
 * from config.json, in which the layers stand in the order that the paths of their variables are numbered in.
 */
#include "runtime/formats/keras.h"

#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "runtime/hdf5/protocol.h"

#define CLASS_MOST ((size_t)256) /* bytes of a class's name; others are passed over */

struct reader {
    wm_hdf5_listing *listing;
    wm_arena scratch;
    char path[WM_H5_MAX_DEPTH * (CLASS_MOST + 40)]; /* of a layer and its group of variables */
};

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static bool is_word(char c)
{
    return is_lower(c) || is_upper(c) || (c >= '0' && c <= '9') || c == '_' || (unsigned char)c >= 0x80;
}

/* What Keras makes of a class's name in a path: BatchNormalization is batch_normalization, LSTMCell is
 * lstm_cell, Conv2DTranspose is conv2d_transpose. 0 if it is too long. */
static size_t snake_case(const char *name, size_t len, char out[2 * CLASS_MOST])
{
    char word[CLASS_MOST];
    size_t size = 0, used = 0;
    for (size_t i = 0; len <= sizeof word && i < len; i++)
        if (is_word(name[i]))
            word[size++] = name[i];
    for (size_t i = 0; i < size; i++) {
        bool begins =
            is_upper(word[i]) && i > 0 && (is_lower(word[i - 1]) || (i + 1 < size && is_lower(word[i + 1])));
        if (begins)
            out[used++] = '_';
        out[used++] = is_upper(word[i]) ? (char)(word[i] - 'A' + 'a') : word[i];
    }
    return used <= CLASS_MOST ? used : 0;
}

/* The name of the object whose variables are the group r->path, if there is such a group. */
static bool add_name(struct reader *r, size_t len, const json_t *name)
{
    wm_hdf5_listing *l = r->listing;
    if (!json_is_string(name) || wm_map_get(&l->groups, r->path, len) == WM_MAP_NONE)
        return true;
    const char *path = wm_copy(l->arena, r->path, len);
    const char *text = wm_copy(l->arena, json_string_value(name), json_string_length(name));
    wm_hdf5_names *names = wm_push(l->arena, l->lists, l->list_count, l->list_cap);
    wm_hdf5_name *one = names ? wm_push(l->arena, names->list, names->count, names->cap) : NULL;
    bool oom = false;
    if (!path || !text || !one)
        return false;
    *one = (wm_hdf5_name){text, json_string_length(name)};
    wm_map_put(&l->names[WM_H5_NAME], path, len, (uint32_t)(l->list_count - 1), &oom);
    return !oom;
}

/* The end of the path of a layer of class `snake`, appended at `len`: each class is counted by itself. */
static bool add_class(struct reader *r, wm_map *used, const char *snake, size_t size, size_t *len)
{
    const char *key = wm_copy(&r->scratch, snake, size);
    bool oom = false;
    uint32_t before = key ? wm_map_put(used, key, size, 0, &oom) : 0;
    if (!key || oom)
        return false;
    memcpy(r->path + *len, snake, size);
    *len += size;
    if (before == WM_MAP_NONE)
        return true;
    wm_map_set(used, key, size, before + 1);
    *len += (size_t)snprintf(r->path + *len, 20, "_%u", before + 1);
    return true;
}

/* The layers of a model whose path ends at `len`. False: out of memory. */
static bool read_model(struct reader *r, const json_t *model, size_t len, unsigned depth)
{
    static const char folder[] = "layers/", vars[] = "/vars";
    const json_t *layers = json_object_get(json_object_get(model, "config"), "layers");
    wm_map used;
    wm_map_init(&used, &r->scratch, 0);
    if (depth == WM_H5_MAX_DEPTH / 2) /* each is two groups */
        return true;
    memcpy(r->path + len, folder, strlen(folder));
    len += strlen(folder);
    for (size_t i = 0; i < json_array_size(layers); i++) {
        const json_t *layer = json_array_get(layers, i), *class = json_object_get(layer, "class_name");
        char snake[2 * CLASS_MOST];
        size_t size = json_is_string(class)
                          ? snake_case(json_string_value(class), json_string_length(class), snake)
                          : 0;
        size_t end = len;
        if (size == 0)
            continue;
        if (!add_class(r, &used, snake, size, &end))
            return false;
        memcpy(r->path + end, vars, strlen(vars));
        if (!add_name(r, end + strlen(vars), json_object_get(json_object_get(layer, "config"), "name")))
            return false;
        r->path[end] = '/';
        if (json_object_get(json_object_get(layer, "config"), "layers") &&
            !read_model(r, layer, end + 1, depth + 1))
            return false;
    }
    return true;
}

bool wm_keras_read_config(const wm_keras_text *config, wm_hdf5_listing *listing)
{
    struct reader *r = wm_new(listing->arena, struct reader, 1);
    json_t *model = r ? json_loadb(config->text, config->size, JSON_REJECT_DUPLICATES, NULL) : NULL;
    if (!r)
        return false;
    r->listing = listing;
    wm_arena_init(&r->scratch);
    bool ok = read_model(r, model, 0, 0);
    wm_arena_release(&r->scratch);
    json_decref(model);
    return ok;
}
