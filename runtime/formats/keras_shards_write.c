/* keras_shards_write.c: Keras 3's weights in several files, as its ShardedH5IOStore cuts them:
 * NAME_00000.weights.h5 and so on, each an HDF5 file of its own, and NAME.weights.json, which says which of
 * them hold the variables of a path. */
#include "runtime/formats/keras.h"

#include <string.h>
#include <strings.h>

#include "runtime/base/size.h"
#include "runtime/text_out.h"

#define SUFFIX ".weights.json"

/* One file: a writer for its targets, which puts what it has into a part of the output. */
typedef struct shard {
    wm_writer writer;
    wm_writer *to;
    uint32_t part;
    wm_skeleton skeleton;
} shard;

typedef struct state {
    shard *shards;
    uint32_t count, made; /* skeletons */
    wm_text index;
} state;

static bool no_memory(wmap_error *err)
{
    return wm_fail(err, WMAP_E_NOMEM, "out of memory");
}

static bool put(wm_writer *writer, uint32_t part, uint64_t offset, const void *bytes, size_t size,
                wmap_error *err)
{
    const shard *s = (const shard *)writer;
    (void)part;
    return s->to->put(s->to, s->part, offset, bytes, size, err);
}

static void warn(wm_writer *writer, const char *text)
{
    const shard *s = (const shard *)writer;
    wm_writer_warn(s->to, "%s", text);
}

/* Sets every target's file: the next one when one is full. One target that is larger than a file may be is
 * alone. */
static bool deal(wm_writer *w, uint32_t *count, uint64_t *total, wmap_error *err)
{
    uint64_t used = 0;
    *count = 1;
    *total = 0;
    for (size_t i = 0; i < w->count; i++) {
        wm_target *t = &w->targets[i];
        if (!wm_size_add(*total, t->bytes, total))
            return wm_fail(err, WMAP_E_TARGET, "the tensors have 2^63 bytes or more");
        if (w->shard_size && used &&
            t->bytes > w->shard_size - (used < w->shard_size ? used : w->shard_size)) {
            ++*count;
            used = 0;
        }
        used += t->bytes;
        t->file = *count - 1;
    }
    return true;
}

/* The group that a tensor stands in: its name up to the last slash. */
static size_t path_length(const wmap_tensor *t)
{
    const char *last = memrchr(t->name, '/', t->name_len);
    return last ? (size_t)(last - t->name) : 0;
}

static bool put_path(wm_writer *w, wm_text *text, const wmap_tensor *t)
{
    size_t len = path_length(t);
    char *path = wm_alloc(w->arena, len + 1);
    if (!path)
        return false;
    path[0] = '/';
    memcpy(path + 1, t->name, len);
    wm_text_json(text, path, len + 1, true);
    return true;
}

/* Targets of one path stand in `next`, in their order; `firsts` are the first ones. */
static size_t chain_paths(wm_writer *w, size_t *firsts, size_t *next, bool *oom)
{
    wm_map lasts;
    size_t count = 0;
    wm_map_init(&lasts, w->arena, 0);
    for (size_t i = 0; i < w->count; i++) {
        const wmap_tensor *t = &w->targets[i].tensor;
        size_t len = path_length(t);
        uint32_t last = wm_map_get(&lasts, t->name, len);
        next[i] = SIZE_MAX;
        if (last == WM_MAP_NONE) {
            firsts[count++] = i;
            wm_map_put(&lasts, t->name, len, (uint32_t)i, oom);
        } else {
            next[last] = i;
            wm_map_set(&lasts, t->name, len, (uint32_t)i);
        }
    }
    return count;
}

/* As json.dumps(indent=4) lays it out. */
static bool make_index(wm_writer *w, state *s, uint64_t total, wmap_error *err)
{
    size_t *firsts = wm_new(w->arena, size_t, w->count + 1), *next = wm_new(w->arena, size_t, w->count + 1);
    bool oom = false;
    if (!firsts || !next)
        return no_memory(err);
    size_t count = chain_paths(w, firsts, next, &oom);
    wm_text *text = &s->index;
    text->arena = w->arena;
    wm_text_add(text, "{\n    \"metadata\": {\n        \"total_size\": ");
    wm_text_number(text, total);
    wm_text_add(text, ".0\n    },\n    \"weight_map\": {");
    for (size_t p = 0; p < count && !oom; p++) {
        wm_text_add(text, p ? ",\n        " : "\n        ");
        oom = !put_path(w, text, &w->targets[firsts[p]].tensor);
        bool list = next[firsts[p]] != SIZE_MAX; /* as Keras has it */
        wm_text_add(text, list ? ": [" : ": ");
        for (size_t i = firsts[p], before = SIZE_MAX; i != SIZE_MAX; before = i, i = next[i]) {
            uint32_t file = w->targets[i].file;
            const char *name = s->shards[file].writer.path;
            if (before != SIZE_MAX && w->targets[before].file == file)
                continue;
            if (list)
                wm_text_add(text, before != SIZE_MAX ? ",\n            " : "\n            ");
            wm_text_json(text, name, strlen(name), true);
        }
        if (list)
            wm_text_add(text, "\n        ]");
    }
    wm_text_add(text, "\n    }\n}");
    return (!text->oom && !oom) || no_memory(err);
}

/* The files, each with its targets. */
static bool make_shards(wm_writer *w, state *s, wmap_error *err)
{
    const char *name = wm_writer_name(w);
    size_t len = strlen(name), tail = strlen(SUFFIX), first = 0;
    if (len > tail && strcasecmp(name + len - tail, SUFFIX) == 0)
        len -= tail;
    s->shards = wm_new(w->arena, shard, s->count);
    if (!s->shards)
        return no_memory(err);
    for (uint32_t i = 0; i < s->count; i++) {
        shard *one = &s->shards[i];
        size_t end = first;
        while (end < w->count && w->targets[end].file == i)
            end++;
        *one = (shard){.writer = *w, .to = w, .part = i};
        one->writer.path = wm_format_text(w->arena, "%.*s_%05u.weights.h5", (int)len, name, i);
        one->writer.targets = w->targets + first;
        one->writer.count = end - first;
        one->writer.put = put;
        one->writer.warn = warn;
        if (!one->writer.path)
            return no_memory(err);
        first = end;
    }
    return true;
}

static bool check_names(const wm_writer *w, wmap_error *err)
{
    for (size_t i = 0; i < w->count; i++) {
        const wmap_tensor *t = &w->targets[i].tensor;
        if (wm_keras_is_vars(t))
            continue;
        wm_fail(err, WMAP_E_TARGET, "Keras 3's tensors are called PATH/vars/N in files of a set");
        return wm_error_tensor(err, t->name, t->name_len);
    }
    return true;
}

bool wm_keras_shards_layout(wm_writer *w, wmap_error *err)
{
    uint64_t total;
    if (strcmp(w->path, "-") == 0)
        return wm_fail(err, WMAP_E_USAGE, "a set of several files cannot be written to standard output");
    if (!check_names(w, err))
        return false;
    if (w->trial) {
        wm_keras_records records = {0};
        return wm_keras_records_make(w, &records, err);
    }
    state *s = wm_new(w->arena, state, 1);
    w->state = s;
    if (!s)
        return no_memory(err);
    if (!deal(w, &s->count, &total, err) || !make_shards(w, s, err) || !make_index(w, s, total, err))
        return false;
    for (uint32_t i = 0; i < s->count; i++) {
        shard *one = &s->shards[i];
        s->made++;
        if (!wm_skeleton_make(&one->writer, &one->skeleton, err) ||
            !wm_writer_add_part(w, one->writer.path, one->skeleton.size, WM_PART_DATA, err))
            return false;
    }
    return wm_writer_add_part(w, wm_writer_name(w), s->index.size, WM_PART_ENTRY, err);
}

bool wm_keras_shards_finish(wm_writer *w, wmap_error *err)
{
    const state *s = w->state;
    for (uint32_t i = 0; i < s->count; i++)
        if (!wm_skeleton_put(&s->shards[i].writer, &s->shards[i].skeleton, 0, NULL, err))
            return false;
    return w->put(w, s->count, 0, s->index.bytes, s->index.size, err);
}

void wm_keras_shards_drop(wm_writer *w)
{
    state *s = w->state;
    for (uint32_t i = 0; s && i < s->made; i++)
        wm_skeleton_close(&s->shards[i].skeleton);
}
