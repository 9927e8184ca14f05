/* Fuzz target: a plan's message. The digest would keep a fuzzer out, so the header is put around bytes that
 * do not begin as a plan does. What the verifier accepts is printed, and its small targets are marked element
 * by element: each exactly once, inside of its tensor, or the verifier was wrong. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/planfile.h"
#include "runtime/base/size.h"
#include "runtime/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MARKED_MOST = 1 << 16 };

/* The index of an access in each dimension, as docs/plan.md says it; returns the row-major position. */
static uint64_t position(const Wmap__Access *a, const wmap_tensor *t, const Wmap__Move *m,
                         const uint64_t *index)
{
    uint64_t at = 0;
    for (uint32_t d = 0; d < t->rank; d++) {
        int64_t p = wm_access_start(a, d);
        for (size_t k = 0; k < m->n_extents; k++)
            p += index[k] ? (int64_t)index[k] * wm_access_coef(a, k, d, t->rank) : 0;
        if (p < 0 || (uint64_t)p >= t->shape[d])
            abort();
        at = at * t->shape[d] + (uint64_t)p;
    }
    return at;
}

static void mark_move(const wmap_plan *plan, const Wmap__Move *m, uint8_t *seen)
{
    const wmap_tensor *t, *s = wm_move_source(plan, m);
    const Wmap__Access *lead = wm_move_lead(plan, m, &t);
    uint64_t *index = calloc(m->n_extents + 1, sizeof *index);
    if (!index)
        abort();
    for (bool more = true; more;) {
        uint64_t at = position(lead, t, m, index);
        if (seen && seen[at]++)
            abort();
        for (size_t k = 0; s && k < m->n_sources; k++)
            position(m->sources[k], &plan->sources[m->sources[k]->tensor], m, index);
        size_t k = m->n_extents;
        while (k > 0 && ++index[k - 1] == m->extents[k - 1])
            index[--k] = 0;
        more = k > 0;
    }
    free(index);
}

static void mark_target(const wmap_plan *plan, size_t i)
{
    const wmap_tensor *t = &plan->targets[i];
    uint64_t count;
    if (!wm_shape_count(t->shape, t->rank, &count))
        abort();
    if (count > MARKED_MOST)
        return;
    uint8_t *seen = calloc((size_t)count + 1, 1);
    if (!seen)
        abort();
    for (uint32_t m = plan->first[i]; m < plan->first[i + 1]; m++)
        mark_move(plan, plan->message->moves[m], seen);
    for (uint64_t k = 0; k < count; k++)
        if (!seen[k])
            abort();
    free(seen);
}

/* It stays inside of what it reads, and is no longer than that. */
static void walk_guard(const wmap_plan *plan, const Wmap__Move *m)
{
    const wmap_tensor *t = wm_move_source(plan, m);
    uint64_t count;
    if (!wm_shape_count(t->shape, t->rank, &count))
        abort();
    if (count <= MARKED_MOST)
        mark_move(plan, m, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    wmap_error err = {0};
    uint8_t *bytes = NULL;
    size_t total = 0;
    wmap_plan *plan;
    if (wmap_plan_probe(data, size)) {
        plan = wmap_plan_parse(data, size, "fuzz", &err);
    } else {
        if (!wm_plan_wrap(data, size, &bytes, &total))
            return 0;
        plan = wmap_plan_parse(bytes, total, "fuzz", &err);
    }
    free(bytes);
    if (!plan) {
        if (err.code != WMAP_E_PLAN && err.code != WMAP_E_NOMEM)
            abort();
        return 0;
    }
    FILE *out = fopen("/dev/null", "w");
    if (out) {
        wmap_plan_print(plan, out, true);
        fclose(out);
    }
    for (size_t i = 0; i < wmap_plan_target_count(plan); i++)
        mark_target(plan, i);
    for (size_t i = wm_first_guard(plan); i < plan->message->n_moves; i++)
        walk_guard(plan, plan->message->moves[i]);
    wmap_plan_free(plan);
    return 0;
}
