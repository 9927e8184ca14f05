/* keras_shards.c: Keras 3's weights in several files: NAME.weights.json says which of the files beside it
 * hold the variables of a path. */
#include "runtime/json_in.h"
#include "runtime/formats/keras.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/natural.h"

#define INDEX_MOST                                                                                           \
    ((uint64_t)16 << 20) /* bytes of the index; what jansson makes of it is 20 times as large */

/* {"metadata": ..., "weight_map": {"/layers/dense/vars": "m_00000.weights.h5", ...}}. The map's first file
 * may stand a little behind its name. */
static bool probe(wmap_archive *archive)
{
    static const char map[] = "\"weight_map\"", suffix[] = ".weights.h5\"";
    const char *head = (const char *)archive->head, *end = head + archive->head_size;
    const char *text = head;
    while (text < end && strchr(" \t\r\n", *text))
        text++;
    const char *found =
        text < end && *text == '{' ? memmem(text, (size_t)(end - text), map, strlen(map)) : NULL;
    return found && memmem(found, (size_t)(end - found), suffix, strlen(suffix));
}

static bool wrong(wmap_error *err, const char *why, const char *path)
{
    wm_fail(err, WMAP_E_CORRUPT, "the index of shards %s", why);
    return path ? wm_error_tensor(err, path, strlen(path)) : false;
}

static bool read_index(wmap_archive *archive, json_t **index, wmap_error *err)
{
    uint64_t size = archive->files[0].size;
    if (size > INDEX_MOST)
        return wrong(err, "is larger than 16 MiB", NULL);
    const uint8_t *text = wm_archive_load(archive, 0, 0, size, err);
    if (!text)
        return false;
    json_error_t failure;
    bool oom;
    *index = wm_json_parse((const char *)text, (size_t)size, 0, &failure, &oom);
    if (*index)
        return true;
    if (oom)
        return wm_fail(err, WMAP_E_NOMEM, "out of memory");
    wm_fail(err, WMAP_E_CORRUPT, "the index of shards is no JSON: %s", failure.text);
    return wm_error_offset(err, failure.position < 0 ? 0 : (uint64_t)failure.position);
}

/* Opening a set. */
struct set {
    wmap_archive *archive;
    json_t *map;
    wm_arena scratch;
    wm_map files;  /* name -> index in archive->files */
    wm_map listed; /* path, NUL, file: the index says that the file holds variables of that path */
    wm_map used;   /* the same: it does */
    wmap_error *err;
};

static bool no_memory(struct set *s)
{
    return wm_fail(s->err, WMAP_E_NOMEM, "out of memory");
}

/* Calls `use` for each file of each path. */
static bool each_file(struct set *s, bool (*use)(struct set *s, const char *path, const char *file))
{
    const char *path;
    json_t *value;
    json_object_foreach(s->map, path, value)
    {
        size_t count = json_is_array(value) ? json_array_size(value) : 1;
        if (count == 0 || path[0] != '/')
            return wrong(s->err, "has an entry that makes no sense", path);
        for (size_t i = 0; i < count; i++) {
            const json_t *file = json_is_array(value) ? json_array_get(value, i) : value;
            if (!json_is_string(file) || json_string_length(file) > 255)
                return wrong(s->err, "has an entry that makes no sense", path);
            if (!use(s, path, json_string_value(file)))
                return false;
        }
    }
    return true;
}

/* Adds "path, NUL, file" to a map. `*known` is set if it was there. */
static bool put_pair(struct set *s, wm_map *map, const char *path, size_t path_len, const char *file,
                     bool *known)
{
    size_t file_len = strlen(file), len = path_len + 1 + file_len;
    char *key = wm_alloc(&s->scratch, len);
    bool oom = false;
    if (!key)
        return no_memory(s);
    memcpy(key, path, path_len);
    key[path_len] = 0;
    memcpy(key + path_len + 1, file, file_len);
    *known = wm_map_put(map, key, len, 0, &oom) != WM_MAP_NONE;
    return !oom || no_memory(s);
}

static bool open_file(struct set *s, const char *path, const char *file)
{
    bool oom = false, twice;
    if (!put_pair(s, &s->listed, path, strlen(path), file, &twice))
        return false;
    if (twice)
        return wrong(s->err, "names a file twice for one path", path);
    if (wm_map_get(&s->files, file, strlen(file)) != WM_MAP_NONE)
        return true;
    uint32_t index = wm_archive_add_file(s->archive, file, s->err);
    if (index == UINT32_MAX)
        return false;
    if (!wm_keras_open_part(s->archive, index, 0, s->archive->files[index].size, NULL, s->err))
        return wm_error_file(s->err, s->archive->files[index].path);
    wm_map_put(&s->files, file, strlen(file), index, &oom); /* the JSON outlives the map */
    return !oom || no_memory(s);
}

static bool is_used(struct set *s, const char *path, const char *file)
{
    bool known = false;
    if (!put_pair(s, &s->used, path, strlen(path), file, &known))
        return false;
    return known || wrong(s->err, "names a file that doesn't hold this path", path);
}

/* Every variable must stand where the index says, and every place of the index must hold something: Keras
 * takes what the index says for the whole. */
static bool compare(struct set *s)
{
    wmap_archive *archive = s->archive;
    for (size_t i = 0; i < archive->entry_count; i++) {
        const wm_entry *entry = &archive->entries[i];
        const char *file = strrchr(archive->files[entry->file].path, '/');
        file = file ? file + 1 : archive->files[entry->file].path;
        const char *last = memrchr(entry->tensor.name, '/', entry->tensor.name_len);
        int len = last ? (int)(last - entry->tensor.name) : 0;
        char *path = wm_format_text(&s->scratch, "/%.*s", len, entry->tensor.name);
        bool known;
        if (!path)
            return no_memory(s);
        if (!put_pair(s, &s->listed, path, strlen(path), file, &known))
            return false;
        if (!known)
            return wrong(s->err, "doesn't name the file that holds this path", path);
        if (!put_pair(s, &s->used, path, strlen(path), file, &known))
            return false;
    }
    return each_file(s, is_used);
}

static int compare_entries(const void *left, const void *right)
{
    const wmap_tensor *a = &((const wm_entry *)left)->tensor, *b = &((const wm_entry *)right)->tensor;
    return wm_natural_compare(a->name, a->name_len, b->name, b->name_len);
}

/* Keras' files have no order, so the set has the order that one file would have. */
static void sort(wmap_archive *archive)
{
    if (archive->entry_count)
        qsort(archive->entries, archive->entry_count, sizeof *archive->entries, compare_entries);
    for (size_t i = 0; i < archive->entry_count; i++)
        wm_map_set(&archive->names, archive->entries[i].tensor.name, archive->entries[i].tensor.name_len,
                   (uint32_t)i);
}

static bool open_shards(wmap_archive *archive, wmap_error *err)
{
    json_t *index = NULL;
    struct set *s = calloc(1, sizeof *s);
    if (!s)
        return wm_fail(err, WMAP_E_NOMEM, "out of memory");
    s->archive = archive;
    s->err = err;
    wm_arena_init(&s->scratch);
    wm_map_init(&s->files, &s->scratch, 0);
    wm_map_init(&s->listed, &s->scratch, 0);
    wm_map_init(&s->used, &s->scratch, 0);
    bool ok = read_index(archive, &index, err);
    s->map = json_object_get(index, "weight_map");
    if (ok && !json_is_object(s->map))
        ok = wrong(err, "has no weight_map", NULL);
    ok = ok && each_file(s, open_file) && compare(s);
    if (ok)
        sort(archive);
    json_decref(index);
    wm_arena_release(&s->scratch);
    free(s);
    return ok;
}

extern const wm_format wm_format_keras_shards;
const wm_format wm_format_keras_shards = {
    .name = "keras-shards",
    .title = "Keras 3 weights in several files",
    .suffixes = ".weights.json",
    .probe = probe,
    .open = open_shards,
    .decode = wm_keras_decode,
    .close = wm_keras_close,
    .layout = wm_keras_shards_layout,
    .finish = wm_keras_shards_finish,
    .drop = wm_keras_shards_drop,
    .shards = true,
};
