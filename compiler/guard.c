/* guard.c: from what a rule promises of its source to moves without a target: elements outside of a layout
 * with `else`, slices and copies that are equal, what is left behind `if all` of it is a constant. */
#include <string.h>

#include "compiler/lower.h"

#define MAX_PLACES 64 /* of a move, as in operations.c */

/* The axes of a guard: those that run, and those that number tensors. */
typedef struct running {
    uint32_t *moving, moving_count;
    uint32_t *numbered, numbered_count;
    int64_t *values; /* by axis */
} running;

/* False if the piece has no elements. `equals`: with the axes along which it doesn't vary. */
static bool run_axes(wm_lowerer *l, const wm_piece *piece, const wm_seconds *others, bool equals, running *r)
{
    const wm_placement *p = &l->form->left[piece->term];
    *r = (running){.moving = wm_new(l->arena, uint32_t, wm_axes_of(l)),
                   .numbered = wm_new(l->arena, uint32_t, wm_axes_of(l)),
                   .values = wm_new(l->arena, int64_t, wm_axes_of(l))};
    for (uint32_t a = 0; a < wm_axes_of(l); a++) {
        bool of_it = wm_among(piece->axes, piece->axis_count, a) ||
                     (equals && wm_among(piece->equals, piece->equal_count, a));
        if (a >= l->form->axis_count ? p->dots == WM_NONE : !of_it)
            continue;
        if (l->in->extents[a] == 0)
            return false;
        if (wm_among(p->name_axes, p->name_axis_count, a) || wm_numbers_any(others, a))
            r->numbered[r->numbered_count++] = a;
        else if (l->in->extents[a] != 1)
            r->moving[r->moving_count++] = a;
    }
    return true;
}

static void lay_out(const wm_placed *p, const running *r, int64_t *start, int64_t *coef)
{
    wm_fix_axes(p, r->numbered, r->numbered_count, r->values, start);
    for (uint32_t i = 0; i < r->moving_count; i++)
        for (uint32_t d = 0; d < p->rank; d++)
            coef[(size_t)i * p->rank + d] = p->coef[(size_t)d * p->axes + r->moving[i]];
}

static void add_extra(wm_lowerer *l, wm_move *m, uint32_t tensor, const wm_placed *p, const running *r)
{
    wm_extra *e = &m->extras[m->extra_count++];
    *e = (wm_extra){tensor, p->rank, wm_new(l->arena, int64_t, p->rank),
                    wm_new(l->arena, int64_t, (size_t)r->moving_count * p->rank)};
    lay_out(p, r, e->start, e->coef);
}

static void add_seconds(wm_lowerer *l, wm_move *m, const wm_seconds *others, const running *r)
{
    for (uint32_t k = 0; k < others->count; k++)
        add_extra(l, m, wm_tensor_at(l, others->placements[k], others->bounds[k], r->values),
                  &others->placed[k], r);
}

static wm_move *guard_piece(wm_lowerer *l, wm_move_list *list, uint32_t tensor, const wm_placed *p,
                            const running *r)
{
    wm_move *m = wm_new_guard(l, list, tensor, r->moving_count);
    for (uint32_t i = 0; i < r->moving_count; i++)
        m->extents[i] = (uint64_t)l->in->extents[r->moving[i]];
    lay_out(p, r, m->source_start, m->source_coef);
    return m;
}

/* `if all c`: all that the piece reaches. */
static void guard_all(wm_lowerer *l, const wm_piece *piece, wm_move_list *lists)
{
    const wm_seconds none = {0};
    const wm_placement *sp = &l->form->left[piece->term];
    wm_placed p = wm_place_piece(l, sp, piece);
    running r;
    uint32_t number = 0;
    if (!run_axes(l, piece, &none, true, &r))
        return;
    do {
        uint32_t tensor = wm_tensor_at(l, sp, &l->in->left[piece->term], r.values);
        wm_move *m = guard_piece(l, &lists[number++], tensor, &p, &r);
        wm_compare_constant(l, m, &l->form->line->all->value);
    } while (r.numbered_count && wm_step_axes(l, r.numbered, r.numbered_count, r.values));
}

static void compare_elements(wm_lowerer *l, wm_move *m)
{
    wm_code *code = wm_new(l->arena, wm_code, 2);
    code[0] = (wm_code){.kind = WM_STEP_LOAD, .source = 1};
    code[1] = (wm_code){.equal = true};
    m->code = code;
    m->code_count = 2;
}

/* Equal slices: those from the second on along one axis, at the first along those before it. */
static void guard_slices(wm_lowerer *l, const wm_piece *piece, wm_move_list *lists)
{
    const wm_seconds none = {0};
    const wm_placement *sp = &l->form->left[piece->term];
    for (uint32_t k = 0; k < piece->equal_count; k++) {
        wm_placed first = wm_place_read(l, sp, piece), p = wm_place_piece(l, sp, piece);
        uint32_t axis = piece->equals[k], number = 0;
        running r;
        if (!run_axes(l, piece, &none, true, &r) || l->in->extents[axis] < 2)
            continue;
        for (uint32_t d = 0; d < p.rank; d++)
            p.start[d] += p.coef[(size_t)d * p.axes + axis];
        uint32_t kept = 0;
        for (uint32_t i = 0; i < r.moving_count; i++)
            if (!wm_among(piece->equals, k, r.moving[i]))
                r.moving[kept++] = r.moving[i];
        r.moving_count = kept;
        do {
            uint32_t tensor = wm_tensor_at(l, sp, &l->in->left[piece->term], r.values);
            wm_move *m = guard_piece(l, &lists[number++], tensor, &p, &r);
            for (uint32_t i = 0; i < r.moving_count; i++)
                m->extents[i] -= r.moving[i] == axis;
            m->extras = wm_new(l->arena, wm_extra, 1);
            add_extra(l, m, tensor, &first, &r);
            compare_elements(l, m);
        } while (r.numbered_count && wm_step_axes(l, r.numbered, r.numbered_count, r.values));
    }
}

/* A copy is what the first of its kind is. */
static void guard_copy(wm_lowerer *l, const wm_piece *piece, wm_move_list *lists)
{
    const wm_piece *first = wm_first_copy(l->in, piece);
    const wm_placement *sp = &l->form->left[piece->term], *fp = &l->form->left[first->term];
    const wm_bound *sb = &l->in->left[piece->term], *fb = &l->in->left[first->term];
    if (first == piece)
        return;
    wm_placed p = wm_place_read(l, sp, piece), f = wm_place_read(l, fp, first);
    wm_seconds mine = wm_place_seconds(l, piece), its = wm_place_seconds(l, first), all = {0};
    all.count = mine.count + its.count + 1; /* axes that number tensors of any of them */
    all.placements = wm_new(l->arena, const wm_placement *, all.count);
    all.placements[0] = fp;
    for (uint32_t k = 1; k < all.count; k++)
        all.placements[k] = k <= mine.count ? mine.placements[k - 1] : its.placements[k - 1 - mine.count];
    running r;
    if (!run_axes(l, piece, &all, false, &r))
        return;
    if (all.count >= MAX_PLACES) {
        wm_error(l->state->unit, WM_E0903, l->form->line->span, "more than %d places in two copies",
                 MAX_PLACES);
        return;
    }
    do {
        uint64_t number = 0;
        for (uint32_t a = 0; a < sp->name_axis_count; a++)
            number =
                number * (uint64_t)l->in->extents[sp->name_axes[a]] + (uint64_t)r.values[sp->name_axes[a]];
        wm_move *m = guard_piece(l, &lists[number], wm_tensor_at(l, sp, sb, r.values), &p, &r);
        m->extras = wm_new(l->arena, wm_extra, all.count);
        add_seconds(l, m, &mine, &r);
        add_extra(l, m, wm_tensor_at(l, fp, fb, r.values), &f, &r);
        add_seconds(l, m, &its, &r);
        m->code = wm_copy_code(l->state, l->in, piece, first, mine.count + 1, &m->code_count);
    } while (r.numbered_count && wm_step_axes(l, r.numbered, r.numbered_count, r.values));
}

/* `{=s}`: whole tensors. */
static void guard_tensors(wm_lowerer *l, const wm_bound *bound, wm_move_list *lists)
{
    for (uint32_t d = 0; d < bound->rank; d++)
        if (bound->shape[d] == 0)
            return;
    for (uint32_t k = 0; k < bound->copies * bound->count; k++) {
        wm_move *m = wm_new_guard(l, lists, bound->others[k], bound->rank);
        m->extras = wm_new(l->arena, wm_extra, 1);
        m->extra_count = 1;
        m->extras[0] =
            (wm_extra){bound->tensors[k % bound->count], bound->rank, wm_new(l->arena, int64_t, bound->rank),
                       wm_new(l->arena, int64_t, (size_t)bound->rank * bound->rank)};
        for (uint32_t d = 0; d < bound->rank; d++) {
            m->extents[d] = bound->shape[d];
            m->source_coef[(size_t)d * bound->rank + d] = 1;
            m->extras[0].coef[(size_t)d * bound->rank + d] = 1;
        }
        compare_elements(l, m);
    }
}

/* What is to be found in an operand of the source: constants first, so that what a run counts together stands
 * together. */
void wm_lower_guards(wm_lowerer *l, uint32_t term)
{
    const wm_bound *bound = &l->in->left[term];
    const wm_form *f = l->form;
    const wm_line *line = f->line;
    if (bound->absent)
        return;
    for (int compared = 0; compared < 2; compared++) {
        wm_move_list *lists = wm_new(l->arena, wm_move_list, bound->count), others = {0};
        for (size_t i = 0; i < f->source_count; i++) {
            const wm_piece *piece = &f->sources[i];
            if (piece->term != term)
                continue;
            if (!compared && line->left[term].otherwise && (piece->unnamed || piece->twice))
                wm_lower_rest(l, piece, lists);
            if (piece->unnamed)
                continue;
            if (!compared && line->all)
                guard_all(l, piece, lists);
            if (compared && !line->all) {
                guard_slices(l, piece, lists);
                if (!piece->second)
                    guard_copy(l, piece, lists);
            }
        }
        if (compared)
            guard_tensors(l, bound, &others);
        for (uint32_t k = 0; k <= bound->count; k++) {
            wm_move_list *list = k < bound->count ? &lists[k] : &others;
            wm_tidy_moves(l, list);
            wm_emit_guards(l->state, list->first);
        }
    }
}
