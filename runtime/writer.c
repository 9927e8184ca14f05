/* writer.c: what a format that writes is given beside the tensors: the parts of the output, and what the
 * sources say of themselves. */
#include "runtime/writer.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/text.h"

static bool no_memory(wmap_error *err)
{
    return wm_fail(err, WMAP_E_NOMEM, "out of memory");
}

bool wm_writer_add_part(wm_writer *writer, const char *name, uint64_t size, wm_part_role role,
                        wmap_error *err)
{
    wm_part *part = wm_push(writer->arena, writer->parts, writer->part_count, writer->part_cap);
    if (!part)
        return no_memory(err);
    *part = (wm_part){name, size, role};
    return true;
}

const char *wm_writer_name(const wm_writer *writer)
{
    const char *slash = strrchr(writer->path, '/');
    return slash ? slash + 1 : writer->path;
}

void wm_writer_warn(wm_writer *writer, const char *format, ...)
{
    char text[1024];
    if (!writer->warn)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    writer->warn(writer, text);
}

static bool same_value(const wm_meta *a, const wm_meta *b)
{
    return a->pair.value_len == b->pair.value_len &&
           memcmp(a->pair.value, b->pair.value, a->pair.value_len) == 0;
}

/* The positions of the pattern that can be reached, after each byte of the key: time is their product at
 * most. */
bool wm_meta_matches(const uint8_t *pattern, size_t size, const char *key, size_t len)
{
    bool now[WM_PLAN_MAX_PATTERN + 2] = {true}, next[WM_PLAN_MAX_PATTERN + 2];
    enum { WILD = 0xff, STAR = 1, STARS = 2 };
    if (size > WM_PLAN_MAX_PATTERN)
        return false;
    for (size_t k = 0; k <= len; k++) {
        memset(next, 0, size + 1);
        for (size_t i = 0; i < size; i++) {
            if (!now[i])
                continue;
            unsigned kind = pattern[i] == WILD && i + 1 < size ? pattern[i + 1] : 0;
            char c = k < len ? key[k] : 0;
            bool in = k < len && (kind == STARS || (kind == STAR && c != '/' && c != '.') ||
                                  (kind > STARS && c >= '0' && c <= '9'));
            if (kind) { /* ends here, or takes this byte and stays */
                now[i + 2] = true;
                next[i] |= in;
            } else if (k < len && pattern[i] == (uint8_t)c) {
                next[i + 1] = true;
            }
        }
        if (k == len)
            return now[size];
        memcpy(now, next, size + 1);
    }
    return false;
}

static bool is_dropped(const wmap_plan *plan, const wm_meta *m)
{
    for (size_t i = 0; i < plan->message->n_dropped_metas; i++)
        if (wm_meta_matches(plan->message->dropped_metas[i].data, plan->message->dropped_metas[i].len,
                            m->pair.key, m->pair.key_len))
            return true;
    return false;
}

static bool put_stated(wm_writer *writer, const wmap_plan *plan, wm_meta *metas, wm_map *keys)
{
    bool oom = false;
    for (size_t i = 0; i < plan->message->n_metas && !oom; i++) {
        const Wmap__Meta *m = plan->message->metas[i];
        char *key = wm_copy(writer->arena, (const char *)m->key.data, m->key.len),
             *value = wm_copy(writer->arena, (const char *)m->value.data, m->value.len);
        if (!key || !value)
            return false;
        wm_map_put(keys, key, m->key.len, (uint32_t)writer->meta_count, &oom);
        metas[writer->meta_count++] = (wm_meta){.pair = {key, m->key.len, value, m->value.len}};
    }
    return !oom;
}

bool wm_writer_gather(wm_writer *writer, const wmap_plan *plan, wmap_archive *const *sources, size_t count,
                      size_t *clashes, wmap_error *err)
{
    size_t all = plan->message->n_metas, stated = all;
    bool oom = false;
    wm_map keys;
    *clashes = 0;
    for (size_t i = 0; i < count; i++)
        all += sources[i]->meta_count;
    wm_meta *metas = wm_new(writer->arena, wm_meta, all);
    writer->meta_kept = wm_new(writer->arena, bool, all);
    wm_map_init(&keys, writer->arena, all);
    if (!metas || !writer->meta_kept || !put_stated(writer, plan, metas, &keys))
        return no_memory(err);
    writer->metas = metas;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < sources[i]->meta_count; k++) {
            const wm_meta *m = &sources[i]->metas[k];
            if (is_dropped(plan, m))
                continue;
            uint32_t at = wm_map_put(&keys, m->pair.key, m->pair.key_len, (uint32_t)writer->meta_count, &oom);
            if (oom)
                return no_memory(err);
            if (at == WM_MAP_NONE)
                metas[writer->meta_count++] = *m;
            else if (at >= stated && !m->own && !same_value(&metas[at], m))
                (*clashes)++;
        }
    return true;
}

void wm_writer_tell_lost(wm_writer *writer, size_t clashes)
{
    size_t lost = 0, first = 0;
    char key[80];
    for (size_t i = writer->meta_count; i-- > 0;)
        if (!writer->meta_kept[i] && !writer->metas[i].own) {
            lost++;
            first = i;
        }
    if (lost)
        wm_writer_warn(
            writer, "%zu entr%s of metadata (%s%s) cannot be kept in the format %s", lost,
            lost == 1 ? "y" : "ies",
            wm_show(key, sizeof key, writer->metas[first].pair.key, writer->metas[first].pair.key_len),
            lost == 1 ? "" : ", ...", writer->format->name);
    if (clashes)
        wm_writer_warn(
            writer, "%zu entr%s of metadata %s in several sources with different values; the first is taken",
            clashes, clashes == 1 ? "y" : "ies", clashes == 1 ? "stands" : "stand");
}
