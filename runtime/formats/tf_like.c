/* tf_like.c: a checkpoint written after another one (--like): which of its variables the targets are, and
 * what of it stays. */
#include <stdio.h>
#include <string.h>

#include "runtime/formats/tf.h"
#include "runtime/formats/tf_write.h"

static bool no_memory(wmap_error *err)
{
    return wm_fail(err, WMAP_E_NOMEM, "out of memory");
}

/* Does the name end in /WORD, or is it WORD? */
static bool ends_in(const wm_tf_raw *raw, const char *word)
{
    size_t len = strlen(word);
    return raw->key_len >= len && memcmp(raw->key + raw->key_len - len, word, len) == 0 &&
           (raw->key_len == len || raw->key[raw->key_len - len - 1] == '/');
}

static bool holds(const wm_tf_raw *raw, const char *part)
{
    return memmem(raw->key, raw->key_len, part, strlen(part)) != NULL;
}

/* What is kept beside a model's weights: the state of its optimizer, text, counters. Keras 3 lists the
 * weights themselves below the optimizer too. */
static bool is_state(const wm_tf_raw *raw)
{
    static const char *const parts[] = {"/.OPTIMIZER_SLOT/", "optimizer/", "keras_api/", "seed_generator"};
    static const char *const words[] = {
        WM_TF_COUNTER, "global_step", "beta1_power", "beta2_power", "Adam",
        "Adam_1",      "Momentum",    "RMSProp",     "RMSProp_1",   "Adagrad",
        "Adadelta",    "Adadelta_1",  "Ftrl",        "Ftrl_1",      "ExponentialMovingAverage"};
    const wm_tf_type *type = wm_tf_type_of(raw->type);
    if (type->dtype == WMAP_OPAQUE)
        return true;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (ends_in(raw, words[i]))
            return true;
    if (holds(raw, "_trainable_variables/"))
        return false;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (holds(raw, parts[i]))
            return true;
    return false;
}

/* What does not fit: the first is told, the rest counted. */
typedef struct misfit {
    uint64_t count;
    wmap_error *err;
} misfit;

static void no_fit(misfit *m, const char *name, size_t len, const char *text)
{
    if (m->count++ == 0) {
        wm_fail(m->err, WMAP_E_MISMATCH, "%s", text);
        wm_error_tensor(m->err, name, len);
    }
}

static const char *compare(const wm_tf_raw *raw, const wm_target *target)
{
    const wmap_tensor *t = &target->tensor;
    if (raw->type != wm_tf_type_number(target))
        return "the template's variable of this name has another dtype";
    if (raw->rank != t->rank || (t->rank && memcmp(raw->shape, t->shape, t->rank * sizeof *t->shape) != 0))
        return "the template's variable of this name has another shape";
    return NULL;
}

/* The keys of the template, and then the full names of those that have some. */
static bool map_names(const wmap_archive *like, const wm_tf_like *l, wm_map *names)
{
    bool oom = false;
    for (size_t i = 0; i < l->count && !oom; i++)
        wm_map_put(names, l->raws[i].key, l->raws[i].key_len, (uint32_t)i, &oom);
    for (size_t i = 0; i < like->entry_count && !oom; i++) {
        const wm_entry *e = &like->entries[i];
        uint32_t raw = e->alias ? wm_map_get(names, e->tensor.name, e->tensor.name_len) : WM_MAP_NONE;
        if (raw != WM_MAP_NONE)
            wm_map_put(names, e->alias, strlen(e->alias), raw, &oom);
    }
    return !oom;
}

static bool match(const wm_writer *writer, wm_tf_like *l, misfit *m)
{
    wm_map names;
    wm_map_init(&names, writer->arena, l->count);
    if (!map_names(writer->like, l, &names))
        return false;
    for (size_t i = 0; i < writer->count; i++) {
        const wmap_tensor *t = &writer->targets[i].tensor;
        uint32_t at = wm_map_get(&names, t->name, t->name_len);
        const char *text = at == WM_MAP_NONE ? "the template has no variable of this name"
                           : l->written[at]  ? "another tensor is this variable of the template already"
                                             : compare(&l->raws[at], &writer->targets[i]);
        if (text)
            no_fit(m, t->name, t->name_len, text);
        if (at == WM_MAP_NONE)
            continue;
        l->written[at] = true;
        l->of_target[i] = &l->raws[at];
    }
    return true;
}

bool wm_tf_match(const wm_writer *writer, wm_tf_like *l, wmap_error *err)
{
    misfit m = {0, err};
    l->raws = wm_tf_raws(writer->like, writer->arena, &l->count, err);
    if (!l->raws)
        return wm_error_file(err, writer->like->path);
    l->written = wm_new(writer->arena, bool, l->count);
    l->of_target = wm_new(writer->arena, const wm_tf_raw *, writer->count);
    if (!l->written || !l->of_target || !match(writer, l, &m))
        return no_memory(err);
    for (size_t i = 0; i < l->count; i++) {
        const wm_tf_raw *raw = &l->raws[i];
        if (l->written[i])
            continue;
        if (!is_state(raw))
            no_fit(&m, raw->key, raw->key_len,
                   "the template holds this variable, but the map doesn't write it");
        else if (!raw->kept) {
            wm_fail(err, WMAP_E_UNSUPPORTED, "a template's tensor of this type is not kept: it is %s, and %s",
                    wm_tf_type_of(raw->type)->note, raw->swapped ? "big-endian" : "cut into slices");
            wm_error_tensor(err, raw->key, raw->key_len);
            return wm_error_file(err, writer->like->path);
        }
    }
    if (m.count == 0)
        return true;
    wm_error_more(err, m.count - 1);
    return wm_error_file(err, writer->like->path);
}
