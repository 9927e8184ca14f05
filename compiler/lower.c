/* lower.c: from proven instances to moves. A pair of matched pieces is one strided move; axes that number
 * tensors are fixed, one move for each of their values; what a layout with `else` doesn't reach is cut into
 * boxes. Then moves that advance evenly are joined into one with one more axis, and axes that are contiguous
 * on both sides into one. */
#include <stdlib.h>
#include <string.h>

#include "compiler/pass.h"

#define MAX_MOVES 20000000
#define MAX_PARTS 65536 /* of a piece, by `( ) = ( )` */

/* A move being made: axes with a coefficient a dimension on each side. */
typedef struct move_list {
    wm_move *first, *last;
    size_t count;
} move_list;

typedef struct lowerer {
    wm_state *state;
    wm_arena *arena; /* the scratch; the plan's bytes are what lasts */
    wm_instance *in;
    const wm_form *form;
    move_list *lists; /* of the outs from `base` on */
    size_t base;
} lowerer;

/* The positions of one piece in its tensor: start[d], coef[d * axes + axis]. */
typedef struct placed {
    uint32_t rank, axes;
    int64_t *start, *coef;
} placed;

static uint32_t axes_of(const lowerer *l)
{
    return (uint32_t)l->form->axis_count + l->in->dots;
}

static placed place(lowerer *l, const wm_placement *p, const wm_piece *piece)
{
    placed r = {p->dim_count + (p->dots != WM_NONE ? l->in->dots : 0), axes_of(l), NULL, NULL};
    r.start = wm_new(l->arena, int64_t, r.rank);
    r.coef = wm_new(l->arena, int64_t, (size_t)r.rank * r.axes);
    for (uint32_t d = 0; d < p->dim_count; d++) {
        uint32_t at = p->dots != WM_NONE && d >= p->dots ? d + l->in->dots : d;
        wm_node_position(l->in, &p->dims[d], piece->choice, &r.start[at], r.coef + (size_t)at * r.axes);
    }
    for (uint32_t k = 0; p->dots != WM_NONE && k < l->in->dots; k++)
        r.coef[(size_t)(p->dots + k) * r.axes + wm_dot_axis(l->form, k)] = 1;
    return r;
}

/* ---- moves ---- */

/* A move with room for its numbers behind it. */
static wm_move *make_move(wm_arena *arena, uint32_t axes, uint32_t target_rank, uint32_t source_rank)
{
    wm_move *m = wm_new(arena, wm_move, 1);
    int64_t *numbers =
        wm_new(arena, int64_t, axes + (axes + (size_t)1) * (target_rank + (size_t)source_rank));
    m->axis_count = axes;
    m->extents = (uint64_t *)numbers;
    m->target_start = numbers + axes;
    m->target_coef = m->target_start + target_rank;
    m->source_start = m->target_coef + (size_t)axes * target_rank;
    m->source_coef = m->source_start + source_rank;
    return m;
}

static wm_move *new_move(lowerer *l, uint32_t target, uint32_t source, uint32_t axes, uint32_t target_rank,
                         uint32_t source_rank, wm_span span)
{
    wm_move *m = make_move(l->arena, axes, target_rank, source_rank);
    m->source = source;
    m->target = target;
    m->cast = WMAP_DTYPE_NONE;
    m->span = span;
    move_list *list = &l->lists[target - l->base];
    if (list->last)
        list->last->next = m;
    else
        list->first = m;
    list->last = m;
    list->count++;
    if (++l->state->move_total == MAX_MOVES)
        wm_error(l->state->unit, WM_E0903, span, "the plan has more than %d moves", MAX_MOVES);
    return m;
}

static void set_constant(wm_move *m, const wm_val *value)
{
    m->fill = true;
    m->fill_float = value->kind == WM_VAL_FLOAT;
    m->fill_i = value->i;
    m->fill_f = value->f;
}

/* The number of a tensor among those that axes number. */
static uint32_t tensor_at(const lowerer *l, const wm_placement *p, const wm_bound *bound,
                          const int64_t *values)
{
    uint64_t at = 0;
    for (uint32_t a = 0; a < p->name_axis_count; a++)
        at = at * (uint64_t)l->in->extents[p->name_axes[a]] + (uint64_t)values[p->name_axes[a]];
    return bound->tensors[at];
}

/* Steps the axes of `list` like an odometer; false when it has gone round. */
static bool step(const lowerer *l, const uint32_t *list, uint32_t count, int64_t *values)
{
    for (uint32_t i = count; i-- > 0;) {
        if (++values[list[i]] < l->in->extents[list[i]])
            return true;
        values[list[i]] = 0;
    }
    return false;
}

static bool has(const uint32_t *list, uint32_t count, uint32_t axis)
{
    for (uint32_t i = 0; i < count; i++)
        if (list[i] == axis)
            return true;
    return false;
}

static void fix_axes(const placed *p, const uint32_t *numbered, uint32_t count, const int64_t *values,
                     int64_t *start)
{
    for (uint32_t d = 0; d < p->rank; d++) {
        start[d] = p->start[d];
        for (uint32_t i = 0; i < count; i++)
            start[d] += p->coef[(size_t)d * p->axes + numbered[i]] * values[numbered[i]];
    }
}

/* The pieces of further places that a program loads. */
typedef struct seconds {
    placed *placed;
    const wm_placement **placements;
    const wm_bound **bounds;
    uint32_t count;
} seconds;

static seconds place_seconds(lowerer *l, const wm_piece *source)
{
    seconds s = {0};
    const wm_line *line = l->form->line;
    while (source && source->term + s.count + 1 < line->left_count &&
           line->left[source->term + s.count + 1].second)
        s.count++;
    s.placed = wm_new(l->arena, placed, s.count);
    s.placements = wm_new(l->arena, const wm_placement *, s.count);
    s.bounds = wm_new(l->arena, const wm_bound *, s.count);
    for (uint32_t k = 0; k < s.count; k++) {
        const wm_piece *piece = &l->form->sources[source->seconds[k]];
        s.placements[k] = &l->form->left[piece->term];
        s.bounds[k] = &l->in->left[piece->term];
        s.placed[k] = place(l, s.placements[k], piece);
    }
    return s;
}

static bool numbers_any(const seconds *s, uint32_t axis)
{
    for (uint32_t k = 0; k < s->count; k++)
        if (has(s->placements[k]->name_axes, s->placements[k]->name_axis_count, axis))
            return true;
    return false;
}

/* A pair of pieces, placed. The dimensions of all its operands stand in a row: of the target, of the source,
 * of the further places. */
typedef struct pairing {
    const wm_piece *target, *source; /* source NULL: a fill */
    const wm_placement *tp, *sp;
    placed t, s;
    seconds others;
    uint32_t dims;
    uint32_t *numbered, numbered_count; /* axes that number tensors */
} pairing;

/* What runs along an axis. */
static void fill_digit(lowerer *l, const pairing *p, uint32_t axis, wm_digit *digit)
{
    int64_t *to = digit->steps = wm_new(l->arena, int64_t, p->dims);
    digit->extent = (uint64_t)l->in->extents[axis];
    for (uint32_t k = 0; k < 2 + p->others.count; k++) {
        const placed *at = k == 0 ? &p->t : k == 1 ? &p->s : &p->others.placed[k - 2];
        for (uint32_t d = 0; d < at->rank; d++)
            *to++ = at->coef[(size_t)d * at->axes + axis];
    }
}

static wm_digit *digits_of(lowerer *l, const pairing *p, const uint32_t *axes, uint32_t count)
{
    wm_digit *digits = wm_new(l->arena, wm_digit, count);
    for (uint32_t i = 0; i < count; i++)
        fill_digit(l, p, axes[i], &digits[i]);
    return digits;
}

static bool has_all(const wm_piece *piece, const wm_recount *r, int side)
{
    for (uint32_t i = 0; i < r->count[side]; i++)
        if (!has(piece->axes, piece->axis_count, r->axes[side][i]))
            return false;
    return true;
}

/* Every box with every part. */
static wm_box *multiply(lowerer *l, uint32_t dims, const wm_box *boxes, const wm_box *parts, size_t *count,
                        size_t part_count)
{
    wm_box *all = wm_new(l->arena, wm_box, *count * part_count);
    for (size_t i = 0; i < *count * part_count; i++) {
        const wm_box *a = &boxes[i / part_count], *b = &parts[i % part_count];
        all[i] = (wm_box){wm_new(l->arena, int64_t, dims), wm_new(l->arena, wm_digit, a->count + b->count),
                          a->count + b->count};
        for (uint32_t d = 0; d < dims; d++)
            all[i].start[d] = a->start[d] + b->start[d];
        for (uint32_t k = 0; k < all[i].count; k++)
            all[i].digits[k] = k < a->count ? a->digits[k] : b->digits[k - a->count];
    }
    *count *= part_count;
    return all;
}

/* Cuts the only box where `( ) = ( )` counts what runs on both sides by different axes. */
static wm_box *cut_boxes(lowerer *l, const pairing *p, wm_box *boxes, size_t *count)
{
    const wm_form *f = l->form;
    for (size_t r = 0; p->source && r < f->recount_count; r++) {
        const wm_recount *re = &f->recounts[r];
        for (int from = 0; from < 2; from++) {
            if (!has_all(p->source, re, from) || !has_all(p->target, re, !from))
                continue;
            size_t parts = 0;
            wm_box *cut =
                wm_recount_boxes(l->arena, digits_of(l, p, re->axes[from], re->count[from]), re->count[from],
                                 digits_of(l, p, re->axes[!from], re->count[!from]), re->count[!from],
                                 p->dims, MAX_PARTS / *count, &parts);
            if (!cut) {
                wm_error(l->state->unit, WM_E0903, re->span,
                         "this `( ) = ( )` cuts a piece into more than %d", MAX_PARTS);
                *count = 0;
                return boxes;
            }
            boxes = multiply(l, p->dims, boxes, cut, count, parts);
        }
    }
    return boxes;
}

/* Does `( ) = ( )` put another axis in its place? */
static bool is_recounted(const lowerer *l, const pairing *p, uint32_t axis)
{
    const wm_form *f = l->form;
    for (size_t r = 0; p->source && r < f->recount_count; r++)
        for (int side = 0; side < 2; side++)
            if (has(f->recounts[r].axes[side], f->recounts[r].count[side], axis) &&
                has_all(p->target, &f->recounts[r], side) && has_all(p->source, &f->recounts[r], !side))
                return true;
    return false;
}

/* What a pair's elements run along; false if it has none. */
static bool find_axes(lowerer *l, pairing *p, wm_box *box)
{
    uint32_t count = axes_of(l), moving_count = 0;
    uint32_t *moving = wm_new(l->arena, uint32_t, count);
    p->numbered = wm_new(l->arena, uint32_t, count);
    for (uint32_t a = 0; a < count; a++) {
        bool dot = a >= l->form->axis_count;
        if (dot ? p->tp->dots == WM_NONE : !has(p->target->axes, p->target->axis_count, a))
            continue;
        if (l->in->extents[a] == 0)
            return false;
        bool number = has(p->tp->name_axes, p->tp->name_axis_count, a) ||
                      (p->sp && has(p->sp->name_axes, p->sp->name_axis_count, a)) ||
                      numbers_any(&p->others, a);
        if (number)
            p->numbered[p->numbered_count++] = a;
        else if (l->in->extents[a] != 1 && !(l->form->recount_count && is_recounted(l, p, a)))
            moving[moving_count++] = a;
    }
    *box = (wm_box){wm_new(l->arena, int64_t, p->dims), digits_of(l, p, moving, moving_count), moving_count};
    return true;
}

/* The part of a start and of coefficients that stands at dimension `from` of the row. */
static void set_access(const placed *at, const wm_box *box, uint32_t from, int64_t *start, int64_t *coef)
{
    for (uint32_t d = 0; d < at->rank; d++)
        start[d] += box->start[from + d];
    for (uint32_t i = 0; i < box->count; i++)
        memcpy(coef + (size_t)i * at->rank, box->digits[i].steps + from, at->rank * sizeof *coef);
}

/* What a move does to its elements, if it is more than a cast. */
static void set_program(lowerer *l, wm_move *m, const pairing *p, const wm_box *box, const int64_t *values)
{
    const seconds *others = &p->others;
    uint32_t from = p->t.rank + p->s.rank;
    m->code = wm_pair_code(l->state, l->in, p->source, p->target->term, &m->code_count);
    m->extra_count = others->count;
    m->extras = wm_new(l->arena, wm_extra, others->count);
    for (uint32_t k = 0; k < others->count; k++) {
        const placed *at = &others->placed[k];
        wm_extra *e = &m->extras[k];
        *e = (wm_extra){tensor_at(l, others->placements[k], others->bounds[k], values), at->rank,
                        wm_new(l->arena, int64_t, at->rank),
                        wm_new(l->arena, int64_t, (size_t)m->axis_count * at->rank)};
        fix_axes(at, p->numbered, p->numbered_count, values, e->start);
        set_access(at, box, from, e->start, e->coef);
        from += at->rank;
    }
}

static void lower_box(lowerer *l, const pairing *p, const wm_box *box, const int64_t *values)
{
    const wm_line *line = l->form->line;
    const wm_bound *tb = &l->in->right[p->target->term],
                   *sb = p->source ? &l->in->left[p->source->term] : NULL;
    uint32_t out = tensor_at(l, p->tp, tb, values);
    wm_move *m = new_move(l, out, p->source ? tensor_at(l, p->sp, sb, values) : WM_NONE, box->count,
                          p->t.rank, p->s.rank, line->span);
    for (uint32_t i = 0; i < box->count; i++)
        m->extents[i] = box->digits[i].extent;
    fix_axes(&p->t, p->numbered, p->numbered_count, values, m->target_start);
    set_access(&p->t, box, 0, m->target_start, m->target_coef);
    if (!p->source) {
        set_constant(m, &line->fill->value);
        return;
    }
    fix_axes(&p->s, p->numbered, p->numbered_count, values, m->source_start);
    set_access(&p->s, box, p->t.rank, m->source_start, m->source_coef);
    if (line->left[p->source->term].steps || line->right[p->target->term].steps) {
        set_program(l, m, p, box, values);
    } else if (l->state->outs[out].dtype != sb->dtype) {
        m->cast = l->state->outs[out].dtype;
        const wm_cast *cast = line->left[p->source->term].cast;
        if (!cast)
            cast = wm_map_cast(l->state, sb->dtype, l->state->outs[out].dtype);
        m->policy = cast ? cast->policy : WM_POLICY_CHECK;
    }
}

/* One pair of pieces; `source` is NULL for a fill. */
static void lower_pair(lowerer *l, const wm_piece *target, const wm_piece *source)
{
    pairing p = {.target = target, .source = source, .tp = &l->form->right[target->term]};
    wm_box box, *boxes = &box;
    size_t count = 1;
    p.t = place(l, p.tp, target);
    p.s = (placed){0, axes_of(l), NULL, NULL};
    if (source) {
        p.sp = &l->form->left[source->term];
        p.s = place(l, p.sp, source);
    }
    p.others = place_seconds(l, source);
    p.dims = p.t.rank + p.s.rank;
    for (uint32_t k = 0; k < p.others.count; k++)
        p.dims += p.others.placed[k].rank;
    if (!find_axes(l, &p, &box))
        return;
    if (l->form->recount_count)
        boxes = cut_boxes(l, &p, boxes, &count);
    int64_t *values = wm_new(l->arena, int64_t, axes_of(l));
    do {
        for (size_t i = 0; i < count; i++)
            lower_box(l, &p, &boxes[i], values);
    } while (p.numbered_count && step(l, p.numbered, p.numbered_count, values));
}

/* ---- what `else` fills ---- */

/* A box: copies of axes that run freely, each in one or several dimensions. */
typedef struct copy {
    uint32_t axis, dim;
    uint32_t with; /* an earlier copy that it equals, WM_NONE if it is free */
} copy;

typedef struct box {
    const placed *p;
    copy *copies;
    uint32_t count;
    uint32_t held,
        apart; /* the copies that differ: `held` is fixed, `apart` runs beside it; WM_NONE: none differ */
} box;

static void emit_box(lowerer *l, const wm_piece *piece, const box *b, int64_t held, int64_t from, int64_t to)
{
    const wm_placement *p = &l->form->right[piece->term];
    const wm_bound *bound = &l->in->right[piece->term];
    int64_t *values = wm_new(l->arena, int64_t, axes_of(l));
    if (b->apart != WM_NONE && from >= to)
        return;
    do {
        uint32_t axes = 0;
        wm_move *m = new_move(l, tensor_at(l, p, bound, values), WM_NONE, b->count, b->p->rank, 0,
                              l->form->line->span);
        memcpy(m->target_start, b->p->start, b->p->rank * sizeof *m->target_start);
        for (uint32_t c = 0; c < b->count; c++) {
            const copy *k = &b->copies[c];
            int64_t coef = b->p->coef[(size_t)k->dim * b->p->axes + k->axis];
            uint32_t root = k->with == WM_NONE ? c : k->with;
            if (b->apart != WM_NONE && root == b->held) {
                m->target_start[k->dim] += coef * held;
            } else if (c == b->apart) {
                m->target_start[k->dim] += coef * from;
                m->extents[axes] = (uint64_t)(to - from);
                m->target_coef[(size_t)axes++ * b->p->rank + k->dim] = coef;
            } else if (k->with == WM_NONE) {
                m->extents[axes] = (uint64_t)l->in->extents[k->axis];
                for (uint32_t o = c; o < b->count; o++)
                    if (o == c || b->copies[o].with == c)
                        m->target_coef[(size_t)axes * b->p->rank + b->copies[o].dim] =
                            b->p->coef[(size_t)b->copies[o].dim * b->p->axes + k->axis];
                axes++;
            }
        }
        m->axis_count = axes;
        set_constant(m, &p->term->otherwise->value);
    } while (p->name_axis_count && step(l, p->name_axes, p->name_axis_count, values));
}

/* All elements of a choice of blocks (`_` among them), or those off the diagonals of a piece. */
static void lower_rest(lowerer *l, const wm_piece *piece)
{
    placed p = place(l, &l->form->right[piece->term], piece);
    box b = {&p, wm_new(l->arena, copy, (size_t)p.rank * p.axes), 0, WM_NONE, WM_NONE};
    for (uint32_t a = 0; a < p.axes; a++)
        for (uint32_t d = 0; d < p.rank; d++)
            if (p.coef[(size_t)d * p.axes + a] != 0) {
                if (l->in->extents[a] == 0)
                    return;
                b.copies[b.count++] = (copy){a, d, WM_NONE};
            }
    if (piece->unnamed) {
        emit_box(l, piece, &b, 0, 0, 0);
        return;
    }
    /* the copies from the second on, in order: those before agree, this one differs, those after are free */
    for (uint32_t c = 1; c < b.count; c++) {
        if (b.copies[c].axis != b.copies[c - 1].axis)
            continue;
        uint32_t first = b.copies[c - 1].with == WM_NONE ? c - 1 : b.copies[c - 1].with;
        b.held = first;
        b.apart = c;
        int64_t extent = l->in->extents[b.copies[c].axis];
        for (int64_t i = 0; i < extent && l->state->move_total < MAX_MOVES; i++) {
            emit_box(l, piece, &b, i, 0, i);
            emit_box(l, piece, &b, i, i + 1, extent);
        }
        b.copies[c].with = first;
    }
}

/* ---- joining ---- */

static uint32_t source_rank(const lowerer *l, const wm_move *m)
{
    return m->source == WM_NONE ? 0 : l->state->source.tensors[m->source].rank;
}

static bool same_code(const wm_move *a, const wm_move *b)
{
    if (a->code_count != b->code_count)
        return false;
    for (uint32_t i = 0; i < a->code_count; i++) {
        const wm_code *x = &a->code[i], *y = &b->code[i];
        if (x->kind != y->kind || x->constant != y->constant || x->source != y->source ||
            x->dtype != y->dtype || x->policy != y->policy || x->value.kind != y->value.kind ||
            x->value.i != y->value.i || memcmp(&x->value.f, &y->value.f, sizeof x->value.f) != 0)
            return false;
    }
    return true;
}

/* Moves with further sources are left as they are. */
static bool same_form(const lowerer *l, const wm_move *a, const wm_move *b)
{
    uint32_t tr = l->state->outs[a->target].rank, sr = source_rank(l, a);
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
static void add_axis(lowerer *l, wm_move *a, const wm_move *b, uint64_t extent)
{
    uint32_t tr = l->state->outs[a->target].rank, sr = source_rank(l, a), n = a->axis_count;
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
static bool join_moves(lowerer *l, const wm_out *out, move_list *list)
{
    bool joined = false;
    for (wm_move *m = list->first; m; m = m->next) {
        wm_move *end = m->next;
        if (!end || !same_form(l, m, end))
            continue;
        uint32_t tr = out->rank, sr = source_rank(l, m);
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

static void tidy(lowerer *l, const wm_out *out, move_list *list)
{
    for (wm_move *m = list->first; m; m = m->next) {
        drop_ones(m, out->rank, source_rank(l, m));
        sort_axes(m, out->rank, source_rank(l, m));
    }
    for (uint32_t round = 0; round < 8 && list->count > 1 && join_moves(l, out, list); round++)
        ;
    for (wm_move *m = list->first; m; m = m->next) {
        coalesce(m, out->rank, source_rank(l, m));
        sort_axes(m, out->rank, source_rank(l, m));
    }
}

/* ---- the pass ---- */

static void lower_instance(lowerer *l)
{
    bool fill = l->form->line->kind == WM_LINE_FILL;
    for (size_t i = 0; i < l->form->target_count; i++) {
        const wm_piece *piece = &l->form->targets[i];
        const wm_bound *bound = &l->in->right[piece->term];
        if (bound->absent || l->state->outs[bound->tensors[0]].dtype == WMAP_OPAQUE)
            continue;
        if (!piece->unnamed)
            lower_pair(l, piece, fill ? NULL : &l->form->sources[piece->pair]);
        if (l->form->right[piece->term].term->otherwise && (piece->unnamed || piece->twice))
            lower_rest(l, piece);
    }
}

static void finish(lowerer *l, size_t out)
{
    move_list *list = &l->lists[out - l->base];
    tidy(l, &l->state->outs[out], list);
    wm_emit_moves(l->state, out, list->first);
}

void wm_lower_pass(wm_state *state)
{
    lowerer l = {.state = state, .arena = state->unit->scratch, .base = state->lowered};
    l.lists = wm_new(l.arena, move_list, state->out_count - l.base);
    for (size_t n = 0; n < state->instance_count && state->move_total < MAX_MOVES; n++) {
        l.in = state->instances[n];
        l.form = l.in->form;
        lower_instance(&l);
    }
    for (; state->lowered < state->out_count; state->lowered++)
        finish(&l, state->lowered);
}

static void lower_kept(lowerer *l, uint32_t at)
{
    wm_out *out = &l->state->outs[at];
    const wm_side_tensor *from = &l->state->source.tensors[out->kept];
    if (out->dtype == WMAP_OPAQUE)
        return; /* the plan says whose bytes it has */
    for (uint32_t d = 0; d < out->rank; d++)
        if (out->shape[d] == 0)
            return;
    wm_move *m = new_move(l, at, out->kept, out->rank, out->rank, out->rank, out->span);
    for (uint32_t d = 0; d < out->rank; d++) {
        m->extents[d] = out->shape[d];
        m->target_coef[(size_t)d * out->rank + d] = 1;
        m->source_coef[(size_t)d * out->rank + d] = 1;
    }
    if (out->dtype != from->dtype) {
        m->cast = out->dtype;
        m->policy = wm_map_cast(l->state, from->dtype, out->dtype)->policy;
    }
}

void wm_lower_kept(wm_state *state)
{
    for (; state->lowered < state->out_count; state->lowered++) {
        move_list list = {NULL, NULL, 0};
        lowerer l = {.state = state, .arena = state->unit->scratch, .lists = &list, .base = state->lowered};
        lower_kept(&l, (uint32_t)state->lowered);
        finish(&l, state->lowered);
        wm_arena_clear(state->unit->scratch);
    }
}
