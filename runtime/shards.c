/* shards.c: outputs cut into files, and their index. What goes where, and the names, are as in
 * huggingface_hub's split_state_dict_into_shards_factory, so that a set is cut like one that was saved there.
 */
#include "runtime/shards.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "runtime/base/size.h"

#define INDEX_SUFFIX ".index.json"

static bool no_memory(wmap_error *err)
{
    return wm_fail(err, WMAP_E_NOMEM, "out of memory");
}

/* How long `name` is without `suffix`, if it ends in it. */
static size_t without(const char *name, size_t len, const char *suffix)
{
    size_t tail = strlen(suffix);
    return len > tail && strncasecmp(name + len - tail, suffix, tail) == 0 ? len - tail : len;
}

/* Sets every target's file; a file has its number when it is full, as in huggingface_hub: one target that is
 * too large goes into the next file, and the one before it stays open. */
bool wm_shards_count(wm_writer *w, uint32_t *count, wmap_error *err)
{
    uint32_t *number = wm_new(w->arena, uint32_t, w->count + 1);
    uint32_t opened = 0, closed = 0, current = UINT32_MAX;
    uint64_t used = 0;
    if (!number)
        return no_memory(err);
    for (size_t i = 0; i < w->count; i++) {
        wm_target *t = &w->targets[i];
        if (w->shard_size && t->bytes > w->shard_size) {
            t->file = opened++;
            number[t->file] = closed++;
            continue;
        }
        if (w->shard_size && current != UINT32_MAX && used + t->bytes > w->shard_size) {
            number[current] = closed++;
            current = UINT32_MAX;
        }
        if (current == UINT32_MAX) {
            current = opened++;
            used = 0;
        }
        t->file = current;
        used += t->bytes;
    }
    if (current != UINT32_MAX)
        number[current] = closed++;
    for (size_t i = 0; i < w->count; i++)
        w->targets[i].file = number[w->targets[i].file];
    *count = closed ? closed : 1;
    return true;
}

static int by_name(const void *a, const void *b)
{
    const wmap_tensor *x = &(*(const wm_target *const *)a)->tensor,
                      *y = &(*(const wm_target *const *)b)->tensor;
    size_t len = x->name_len < y->name_len ? x->name_len : y->name_len;
    int order = memcmp(x->name, y->name, len);
    return order ? order : (x->name_len > y->name_len) - (x->name_len < y->name_len);
}

/* The layout of json.dumps(indent=2, sort_keys=True) of Python. */
static bool make_index(const wm_writer *w, wm_shards *s, wmap_error *err)
{
    const wm_target **sorted = wm_new(w->arena, const wm_target *, w->count);
    uint64_t total = 0;
    if (!sorted)
        return no_memory(err);
    for (size_t i = 0; i < w->count; i++) {
        sorted[i] = &w->targets[i];
        if (!wm_size_add(total, sorted[i]->bytes, &total))
            return wm_fail(err, WMAP_E_TARGET, "the tensors have 2^63 bytes or more");
    }
    qsort(sorted, w->count, sizeof *sorted, by_name);
    wm_text *t = &s->index;
    t->arena = w->arena;
    wm_text_add(t, "{\n  \"metadata\": {\n    \"total_size\": ");
    wm_text_number(t, total);
    wm_text_add(t, "\n  },\n  \"weight_map\": {");
    for (size_t i = 0; i < w->count; i++) {
        const char *file = s->names[sorted[i]->file];
        wm_text_add(t, i ? ",\n    " : "\n    ");
        wm_text_json(t, sorted[i]->tensor.name, sorted[i]->tensor.name_len, true);
        wm_text_add(t, ": ");
        wm_text_json(t, file, strlen(file), true);
    }
    wm_text_add(t, "\n  }\n}\n");
    return !t->oom || no_memory(err);
}

bool wm_shards_deal(wm_writer *w, const char *suffix, wm_shards *s, wmap_error *err)
{
    const char *name = wm_writer_name(w);
    size_t len = without(name, strlen(name), INDEX_SUFFIX);
    bool named_index = name[len] != 0;
    size_t stem = without(name, len, suffix);
    *s = (wm_shards){.count = 0};
    if (!wm_shards_count(w, &s->count, err))
        return false;
    s->names = wm_new(w->arena, const char *, s->count);
    s->whole = wm_format_text(w->arena, "%.*s%s", (int)stem, name, suffix);
    s->index_name = wm_format_text(w->arena, "%.*s%s" INDEX_SUFFIX, (int)stem, name, suffix);
    bool ok = s->names && s->whole && s->index_name;
    for (uint32_t i = 0; ok && s->count > 1 && i < s->count; i++) {
        s->names[i] =
            wm_format_text(w->arena, "%.*s-%05u-of-%05u%s", (int)stem, name, i + 1, s->count, suffix);
        ok = s->names[i] != NULL;
    }
    if (ok && s->count == 1 && named_index)
        s->names[0] = s->whole;
    if (!ok)
        return no_memory(err);
    return s->count == 1 || make_index(w, s, err);
}

bool wm_shards_add_parts(wm_writer *w, const wm_shards *s, const uint64_t *sizes, wmap_error *err)
{
    for (uint32_t i = 0; i < s->count; i++)
        if (!wm_writer_add_part(w, s->names[i], sizes[i], WM_PART_DATA, err))
            return false;
    /* A file beside its old shards, or shards beside the old file: readers would take the wrong one. */
    if (s->count == 1)
        return !w->shard_size || strcmp(w->path, "-") == 0 ||
               wm_writer_add_part(w, s->index_name, 0, WM_PART_GONE, err);
    return wm_writer_add_part(w, s->index_name, s->index.size, WM_PART_ENTRY, err) &&
           wm_writer_add_part(w, s->whole, 0, WM_PART_GONE, err);
}

bool wm_shards_finish(wm_writer *w, const wm_shards *s, wmap_error *err)
{
    return s->count == 1 || w->put(w, s->count, 0, s->index.bytes, s->index.size, err);
}
