/* join.c: moves that advance evenly become one with one more axis, and axes that are contiguous on both sides
 * become one. */
#include <string.h>

#include "compiler/lower.h"

/* ---- joining ---- */

static uint32_t source_rank(const wm_lowerer *l, const wm_move *m)
{
    return m->source == WM_NONE ? 0 : l->state->source.tensors[m->source].rank;
}

static uint32_t target_rank(const wm_lowerer *l, const wm_move *m)
{
    return m->target == WM_NONE ? 0 : l->state->outs[m->target].rank;
}

static bool same_code(const wm_move *a, const wm_move *b)
{
    if (a->code_count != b->code_count)
        return false;
    for (uint32_t i = 0; i < a->code_count; i++) {
        const wm_code *x = &a->code[i], *y = &b->code[i];
        if (x->kind != y->kind || x->constant != y->constant || x->equal != y->equal ||
            x->source != y->source || x->dtype != y->dtype || x->policy != y->policy ||
            x->value.kind != y->value.kind || x->value.i != y->value.i ||
            memcmp(&x->value.f, &y->value.f, sizeof x->value.f) != 0)
            return false;
    }
    return true;
}

/* Moves with further sources are left as they are. */
static bool same_form(const wm_lowerer *l, const wm_move *a, const wm_move *b)
{
    uint32_t tr = target_rank(l, a), sr = source_rank(l, a);
    return a->extra_count == 0 && b->extra_count == 0 && same_code(a, b) && a->source == b->source &&
           a->axis_count == b->axis_count && a->fill == b->fill && a->fill_i == b->fill_i &&
           memcmp(&a->fill_f, &b->fill_f, sizeof a->fill_f) == 0 && a->fill_float == b->fill_float &&
           a->cast == b->cast && a->policy == b->policy && a->span.file == b->span.file &&
           a->span.beg == b->span.beg &&
           memcmp(a->extents, b->extents, a->axis_count * sizeof *a->extents) == 0 &&
           memcmp(a->target_coef, b->target_coef, (size_t)a->axis_count * tr * sizeof *a->target_coef) == 0 &&
           memcmp(a->source_coef, b->source_coef, (size_t)a->axis_count * sr * sizeof *a->source_coef) == 0;
}

static bool advances(const int64_t *a, const int64_t *b, const int64_t *c, uint32_t rank)
{
    for (uint32_t d = 0; d < rank; d++)
        if (b[d] - a[d] != c[d] - b[d])
            return false;
    return true;
}

/* Prepends an axis of `extent` along which the starts advance from a to b. */
static void add_axis(wm_lowerer *l, wm_move *a, const wm_move *b, uint64_t extent)
{
    uint32_t tr = target_rank(l, a), sr = source_rank(l, a), n = a->axis_count;
    uint64_t *extents = wm_new(l->arena, uint64_t, n + 1);
    int64_t *tc = wm_new(l->arena, int64_t, (size_t)(n + 1) * tr),
            *sc = wm_new(l->arena, int64_t, (size_t)(n + 1) * sr);
    extents[0] = extent;
    memcpy(extents + 1, a->extents, n * sizeof *extents);
    for (uint32_t d = 0; d < tr; d++)
        tc[d] = b->target_start[d] - a->target_start[d];
    for (uint32_t d = 0; d < sr; d++)
        sc[d] = b->source_start[d] - a->source_start[d];
    memcpy(tc + tr, a->target_coef, (size_t)n * tr * sizeof *tc);
    memcpy(sc + sr, a->source_coef, (size_t)n * sr * sizeof *sc);
    a->extents = extents;
    a->target_coef = tc;
    a->source_coef = sc;
    a->axis_count++;
}

/* Joins runs of moves that follow each other. True if any were. */
static bool join_moves(wm_lowerer *l, wm_move_list *list)
{
    bool joined = false;
    for (wm_move *m = list->first; m; m = m->next) {
        wm_move *end = m->next;
        if (!end || !same_form(l, m, end))
            continue;
        uint32_t tr = target_rank(l, m), sr = source_rank(l, m);
        wm_move *prev = m;
        uint64_t run = 2;
        while (end->next && same_form(l, m, end->next) &&
               advances(prev->target_start, end->target_start, end->next->target_start, tr) &&
               advances(prev->source_start, end->source_start, end->next->source_start, sr)) {
            prev = end;
            end = end->next;
            run++;
        }
        add_axis(l, m, m->next, run);
        m->next = end->next;
        list->count -= run - 1;
        joined = true;
    }
    return joined;
}

/* ---- axes ---- */

static bool contiguous(const int64_t *outer, const int64_t *inner, uint64_t extent, uint32_t rank)
{
    for (uint32_t d = 0; d < rank; d++)
        if (outer[d] != inner[d] * (int64_t)extent)
            return false;
    return true;
}

static void remove_axis(wm_move *m, uint32_t axis, uint32_t tr, uint32_t sr)
{
    uint32_t after = m->axis_count - axis - 1;
    memmove(m->extents + axis, m->extents + axis + 1, after * sizeof *m->extents);
    memmove(m->target_coef + (size_t)axis * tr, m->target_coef + (size_t)(axis + 1) * tr,
            (size_t)after * tr * sizeof *m->target_coef);
    if (sr)
        memmove(m->source_coef + (size_t)axis * sr, m->source_coef + (size_t)(axis + 1) * sr,
                (size_t)after * sr * sizeof *m->source_coef);
    for (uint32_t k = 0; k < m->extra_count; k++) {
        uint32_t rank = m->extras[k].rank;
        memmove(m->extras[k].coef + (size_t)axis * rank, m->extras[k].coef + (size_t)(axis + 1) * rank,
                (size_t)after * rank * sizeof *m->extras[k].coef);
    }
    m->axis_count--;
}

/* Does axis x go on where axis y ends in all further sources too? */
static bool extras_contiguous(const wm_move *m, uint32_t x, uint32_t y)
{
    for (uint32_t k = 0; k < m->extra_count; k++) {
        const wm_extra *e = &m->extras[k];
        if (!contiguous(e->coef + (size_t)x * e->rank, e->coef + (size_t)y * e->rank, m->extents[y], e->rank))
            return false;
    }
    return true;
}

static void drop_ones(wm_move *m, uint32_t tr, uint32_t sr)
{
    for (uint32_t a = m->axis_count; a-- > 0;)
        if (m->extents[a] == 1)
            remove_axis(m, a, tr, sr);
}

static void coalesce(wm_move *m, uint32_t tr, uint32_t sr)
{
    for (uint32_t y = 0; y < m->axis_count; y++)
        for (uint32_t x = 0; x < m->axis_count; x++) {
            if (x == y ||
                !contiguous(m->target_coef + (size_t)x * tr, m->target_coef + (size_t)y * tr, m->extents[y],
                            tr) ||
                !contiguous(m->source_coef + (size_t)x * sr, m->source_coef + (size_t)y * sr, m->extents[y],
                            sr) ||
                !extras_contiguous(m, x, y))
                continue;
            m->extents[y] *= m->extents[x];
            remove_axis(m, x, tr, sr);
            y = UINT32_MAX; /* begin again */
            break;
        }
}

/* Is axis x outside axis y? By the first dimension of the target in which they differ. */
static bool outside(const wm_move *m, uint32_t x, uint32_t y, uint32_t tr)
{
    for (uint32_t d = 0; d < tr; d++) {
        int64_t p = m->target_coef[(size_t)x * tr + d], q = m->target_coef[(size_t)y * tr + d];
        uint64_t a = p < 0 ? 0 - (uint64_t)p : (uint64_t)p, b = q < 0 ? 0 - (uint64_t)q : (uint64_t)q;
        if (a != b)
            return a > b;
    }
    return false;
}

static void swap_numbers(int64_t *a, int64_t *b, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        int64_t keep = a[i];
        a[i] = b[i];
        b[i] = keep;
    }
}

static void sort_axes(wm_move *m, uint32_t tr, uint32_t sr)
{
    for (uint32_t i = 1; i < m->axis_count; i++)
        for (uint32_t j = i; j > 0 && outside(m, j, j - 1, tr); j--) {
            uint64_t keep = m->extents[j];
            m->extents[j] = m->extents[j - 1];
            m->extents[j - 1] = keep;
            swap_numbers(m->target_coef + (size_t)j * tr, m->target_coef + (size_t)(j - 1) * tr, tr);
            swap_numbers(m->source_coef + (size_t)j * sr, m->source_coef + (size_t)(j - 1) * sr, sr);
            for (uint32_t k = 0; k < m->extra_count; k++) {
                const wm_extra *e = &m->extras[k];
                swap_numbers(e->coef + (size_t)j * e->rank, e->coef + (size_t)(j - 1) * e->rank, e->rank);
            }
        }
}

void wm_tidy_moves(wm_lowerer *l, wm_move_list *list)
{
    for (wm_move *m = list->first; m; m = m->next) {
        drop_ones(m, target_rank(l, m), source_rank(l, m));
        sort_axes(m, target_rank(l, m), source_rank(l, m));
    }
    for (uint32_t round = 0; round < 8 && list->count > 1 && join_moves(l, list); round++)
        ;
    for (wm_move *m = list->first; m; m = m->next) {
        coalesce(m, target_rank(l, m), source_rank(l, m));
        sort_axes(m, target_rank(l, m), source_rank(l, m));
    }
}
