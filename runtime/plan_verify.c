/* plan_verify.c: a plan is input like any other. Protobuf has checked its syntax; here everything else is:
 * limits, indices, dtypes, shapes, that each access stays inside its tensor, what each move does to an
 * element, and that every element of every target is written exactly once (tile.c). */
#include "runtime/plan.h"

#include <string.h>

#include "runtime/base/dtype.h"
#include "runtime/base/error.h"
#include "runtime/base/map.h"
#include "runtime/base/sha256.h"
#include "runtime/base/size.h"
#include "runtime/base/text.h"
#include "runtime/decode.h"
#include "runtime/tile.h"

static bool bad_plan(wmap_error *err, const char *what)
{
    return wm_fail(err, WMAP_E_PLAN, "not a sound plan: %s", what);
}

static bool check_limits(const Wmap__Plan *p, wmap_error *err)
{
    if (p->n_sources > WM_PLAN_MAX_TENSORS || p->n_targets > WM_PLAN_MAX_TENSORS)
        return bad_plan(err, "too many tensors");
    if (p->n_moves > WM_PLAN_MAX_MOVES)
        return bad_plan(err, "too many moves");
    if (p->n_files > WM_PLAN_MAX_FILES)
        return bad_plan(err, "too many files");
    for (size_t i = 0; i < p->n_files; i++)
        if (p->files[i]->sha256.len != WM_SHA256_SIZE)
            return bad_plan(err, "a file's digest is not one");
    return true;
}

/* Metadata are text of no great length, each key once. */
static bool check_metas(wm_arena *arena, const Wmap__Plan *p, wmap_error *err)
{
    wm_map keys;
    bool oom = false;
    if (p->n_metas > WM_PLAN_MAX_METAS || p->n_dropped_metas > WM_PLAN_MAX_PATTERNS)
        return bad_plan(err, "too many metadata");
    if (strnlen(p->format, WM_PLAN_MAX_FORMAT + 1) > WM_PLAN_MAX_FORMAT)
        return bad_plan(err, "the name of the format is too long");
    wm_map_init(&keys, arena, p->n_metas);
    for (size_t i = 0; i < p->n_metas; i++) {
        const ProtobufCBinaryData *key = &p->metas[i]->key, *value = &p->metas[i]->value;
        if (key->len > WM_PLAN_MAX_NAME || value->len > WM_PLAN_MAX_NAME ||
            !wm_utf8_valid((const char *)key->data, key->len) ||
            !wm_utf8_valid((const char *)value->data, value->len))
            return bad_plan(err, "metadata that are no text");
        if (wm_map_put(&keys, key->data, key->len, 1, &oom) != WM_MAP_NONE)
            return bad_plan(err, "metadata are stated twice");
        if (oom)
            return wm_fail(err, WMAP_E_NOMEM, "out of memory for the plan");
    }
    for (size_t i = 0; i < p->n_dropped_metas; i++)
        if (p->dropped_metas[i].len > WM_PLAN_MAX_PATTERN)
            return bad_plan(err, "a pattern of metadata is too long");
    return true;
}

static bool bad_tensor(wmap_error *err, const wmap_tensor *t, const char *what)
{
    bad_plan(err, what);
    return wm_error_tensor(err, t->name, t->name_len);
}

static bool check_tensor(const wmap_tensor *t, wmap_error *err)
{
    uint64_t count, bytes;
    if (t->name_len > WM_PLAN_MAX_NAME)
        return bad_tensor(err, t, "the name is too long");
    if (t->rank > WMAP_MAX_RANK)
        return bad_tensor(err, t, "it has too many dimensions");
    if (t->dtype == WMAP_OPAQUE)
        return true; /* its bytes are its own: only check_whole() lets it through */
    if (!wm_dtype(t->dtype))
        return bad_tensor(err, t, "its dtype is none");
    if (!wm_shape_count(t->shape, t->rank, &count) || !wmap_tensor_bytes(t, &bytes))
        return bad_tensor(err, t, "it has 2^63 bytes or more");
    return true;
}

static bool check_tensors(wm_arena *arena, const wmap_tensor *list, Wmap__Tensor **messages, size_t count,
                          bool sources, wmap_error *err)
{
    wm_map names;
    wm_map_init(&names, arena, count);
    for (size_t i = 0; i < count; i++) {
        const wmap_tensor *t = &list[i];
        bool oom = false;
        if (messages[i]->dropped && !sources)
            return bad_tensor(err, t, "a target is dropped");
        if (messages[i]->whole && sources)
            return bad_tensor(err, t, "a source has the bytes of another");
        if (!check_tensor(t, err))
            return false;
        if (wm_map_put(&names, t->name, t->name_len, (uint32_t)i, &oom) != WM_MAP_NONE)
            return bad_tensor(err, t, "the name is there twice");
        if (oom)
            return wm_fail(err, WMAP_E_NOMEM, "out of memory for the plan");
    }
    return true;
}

/* Fills in what the decoders give. */
static bool check_decodes(wmap_plan *plan, wmap_error *err)
{
    const Wmap__Plan *p = plan->message;
    if (p->n_decodes > WM_PLAN_MAX_TENSORS)
        return bad_plan(err, "too many decoders");
    for (size_t i = 0; i < p->n_decodes; i++) {
        const Wmap__Decode *d = p->decodes[i];
        if (d->source >= p->n_sources || d->scales >= p->n_sources)
            return bad_plan(err, "a decoder has no such source");
        const wmap_tensor *source = &plan->sources[d->source], *scales = &plan->sources[d->scales];
        if (p->sources[d->source]->dropped || p->sources[d->scales]->dropped)
            return bad_tensor(err, source, "a source is both dropped and decoded");
        wmap_tensor *made = &plan->sources[p->n_sources + i];
        const char *wrong = wm_decoded_header(&plan->arena, d, source, scales, made);
        if (wrong)
            return bad_tensor(err, source, wrong);
        if (!check_tensor(made, err))
            return false;
    }
    return true;
}

/* ---- accesses ---- */

/* a * b added to *sum, where a is small enough for the product to fit. */
static bool add_product(__int128 *sum, int64_t coef, uint64_t steps)
{
    __int128 product = (__int128)coef * (__int128)steps;
    if (product > INT64_MAX || product < -(__int128)INT64_MAX)
        return false;
    *sum += product; /* of at most 4096 numbers below 2^63 */
    return true;
}

/* The lowest and the highest index in every dimension lie inside the shape. */
static const char *check_access(const Wmap__Access *a, const Wmap__Move *m, const wmap_tensor *t)
{
    size_t axes = m->n_extents;
    if (a->n_start && a->n_start != t->rank)
        return "a start has not one number a dimension";
    /* none: the identity, or there is nothing to say, for one element or a scalar */
    if (a->n_coef != axes * t->rank && (a->n_coef || axes != t->rank))
        return "coefficients do not match axes and dimensions";
    for (uint32_t d = 0; d < t->rank; d++) {
        __int128 low = wm_access_start(a, d), high = low;
        for (size_t k = 0; k < axes; k++) {
            int64_t coef = wm_access_coef(a, k, d, t->rank);
            if (m->extents[k] > 1 && !add_product(coef < 0 ? &low : &high, coef, m->extents[k] - 1))
                return "a move reaches outside of its tensor";
        }
        if (low < 0 || high >= (__int128)t->shape[d])
            return "a move reaches outside of its tensor";
    }
    return NULL;
}

/* ---- moves ---- */

static bool bad_move(const wmap_plan *plan, const Wmap__Move *m, wmap_error *err, const char *what)
{
    bad_plan(err, what);
    const wmap_tensor *t = NULL;
    if (m->target && m->target->tensor < plan->message->n_targets)
        t = &plan->targets[m->target->tensor];
    else if (!m->target && m->n_sources && m->sources[0]->tensor < plan->message->n_sources)
        t = &plan->sources[m->sources[0]->tensor];
    return t && wm_error_tensor(err, t->name, t->name_len);
}

/* The number of elements of a move; false if it is 0 or too large. */
static bool move_size(const Wmap__Move *m, uint64_t *size)
{
    *size = 1;
    for (size_t k = 0; k < m->n_extents; k++)
        if (m->extents[k] == 0 || !wm_size_mul(*size, m->extents[k], size))
            return false;
    return true;
}

/* It looks at as many elements as its first source has, at most, and stays at none of them. */
static bool check_guard(const wmap_plan *plan, const Wmap__Move *m, uint64_t size, wmap_error *err)
{
    const wmap_tensor *t;
    wm_move_lead(plan, m, &t);
    uint64_t count = 0;
    wm_block block;
    wm_shape_count(t->shape, t->rank, &count);
    wm_move_block(plan, m, NULL, &block);
    for (uint32_t k = 0; k < block.count; k++)
        if (block.axes[k].to == 0)
            return bad_move(plan, m, err, "a move without a target looks at an element twice");
    return size <= count || bad_move(plan, m, err, "a move without a target looks at an element twice");
}

static bool check_move(const wmap_plan *plan, const Wmap__Move *m, wmap_error *err)
{
    const Wmap__Plan *p = plan->message;
    uint64_t size;
    if (m->target && m->target->tensor >= p->n_targets)
        return bad_move(plan, m, err, "a move has no such target");
    if (!m->target && !m->n_sources)
        return bad_move(plan, m, err, "a move has neither target nor source");
    if (m->n_sources > WM_VALUE_SOURCES)
        return bad_move(plan, m, err, "a move has too many sources");
    for (size_t k = 0; k < m->n_sources; k++)
        if (m->sources[k]->tensor >= p->n_sources + p->n_decodes)
            return bad_move(plan, m, err, "a move has no such source");
    if (m->line && m->file >= p->n_files)
        return bad_move(plan, m, err, "a move comes from no file");
    if (m->n_extents > WM_PLAN_MAX_AXES)
        return bad_move(plan, m, err, "a move has too many axes");
    if (!move_size(m, &size))
        return bad_move(plan, m, err, "the extents of a move make no size");
    const char *wrong = m->target ? check_access(m->target, m, &plan->targets[m->target->tensor]) : NULL;
    bool leaves = !m->target && m->n_sources == 1 && wm_guards_constant(m); /* reads what is left behind */
    for (size_t k = 0; k < m->n_sources && !wrong; k++) {
        uint32_t source = m->sources[k]->tensor;
        if (source < p->n_sources && p->sources[source]->dropped &&
            (!leaves || !wm_dtype(plan->sources[source].dtype)))
            return bad_move(plan, m, err, "a source is both dropped and read");
        if (plan->sources[source].dtype == WMAP_OPAQUE)
            return bad_move(plan, m, err, "a move reads what is opaque");
        wrong = check_access(m->sources[k], m, &plan->sources[source]);
    }
    if (wrong)
        return bad_move(plan, m, err, wrong);
    wm_program program;
    if (!wm_move_program(plan, m, &program))
        return bad_move(plan, m, err,
                        m->target ? "the operations of a move make no element of its target"
                                  : "the operations of a move without a target compare nothing");
    return m->target || check_guard(plan, m, size, err);
}

/* Moves stand by target, so that those of a target are a range. */
static bool index_moves(wmap_plan *plan, wmap_error *err)
{
    const Wmap__Plan *p = plan->message;
    plan->first = wm_new(&plan->arena, uint32_t, p->n_targets + 1);
    if (!plan->first)
        return wm_fail(err, WMAP_E_NOMEM, "out of memory for the plan");
    size_t at = 0;
    for (size_t i = 0; i < p->n_moves; i++) {
        if (!check_move(plan, p->moves[i], err))
            return false;
        size_t target = p->moves[i]->target ? p->moves[i]->target->tensor : p->n_targets;
        if (target + 1 < at)
            return bad_move(plan, p->moves[i], err, "moves are not in the order of their targets");
        while (at <= target)
            plan->first[at++] = (uint32_t)i;
    }
    while (at <= p->n_targets)
        plan->first[at++] = (uint32_t)p->n_moves;
    return true;
}

/* Opaque bytes go on whole, as one tensor, or not at all. */
static bool check_whole(const wmap_plan *plan, size_t index, wmap_error *err)
{
    const wmap_tensor *t = &plan->targets[index];
    const Wmap__Plan *p = plan->message;
    uint32_t whole = p->targets[index]->whole;
    if (t->dtype != WMAP_OPAQUE)
        return !whole || bad_tensor(err, t, "it has the bytes of a source, and a dtype");
    if (!whole || whole > p->n_sources || p->sources[whole - 1]->dropped)
        return bad_tensor(err, t, "it is opaque, and has the bytes of no source");
    const wmap_tensor *s = &plan->sources[whole - 1];
    if (s->dtype != WMAP_OPAQUE || s->rank != t->rank ||
        (t->rank && memcmp(s->shape, t->shape, t->rank * sizeof *t->shape) != 0))
        return bad_tensor(err, t, "it has the bytes of a source that is another thing");
    return plan->first[index] == plan->first[index + 1] || bad_tensor(err, t, "a move writes what is opaque");
}

static bool check_target(const wmap_plan *plan, size_t index, wm_tiling *tiling, wmap_error *err)
{
    const wmap_tensor *t = &plan->targets[index];
    uint64_t count = 0;
    wm_shape_count(t->shape, t->rank, &count);
    wm_tiling_begin(tiling, count);
    for (uint32_t i = plan->first[index]; i < plan->first[index + 1]; i++) {
        wm_block block;
        wm_move_block(plan, plan->message->moves[i], NULL, &block);
        if (!wm_tiling_add(tiling, &block))
            return wm_fail(err, WMAP_E_NOMEM, "out of memory for the plan");
    }
    switch (wm_tiling_check(tiling)) {
    case WM_TILED:
        return true;
    case WM_NOT_TILED:
        return bad_tensor(err, t, "not every element of it is written exactly once");
    case WM_TILING_OOM:
        return wm_fail(err, WMAP_E_NOMEM, "out of memory for the plan");
    default:
        return bad_tensor(err, t, "it can't be shown that every element of it is written exactly once");
    }
}

bool wm_plan_verify(wmap_plan *plan, wmap_error *err)
{
    const Wmap__Plan *p = plan->message;
    if (!check_limits(p, err) || !check_metas(&plan->arena, p, err) ||
        !check_tensors(&plan->arena, plan->sources, p->sources, p->n_sources, true, err) ||
        !check_tensors(&plan->arena, plan->targets, p->targets, p->n_targets, false, err) ||
        !check_decodes(plan, err) || !index_moves(plan, err))
        return false;
    wm_tiling tiling;
    wm_tiling_init(&tiling);
    bool good = true;
    for (size_t i = 0; good && i < p->n_targets; i++)
        good = check_whole(plan, i, err) &&
               (plan->targets[i].dtype == WMAP_OPAQUE || check_target(plan, i, &tiling, err));
    wm_tiling_release(&tiling);
    return good;
}
