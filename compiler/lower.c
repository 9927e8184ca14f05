/* lower.c: from proven instances to moves. A pair of matched pieces is one strided move; axes that number
 * tensors are fixed, one move for each of their values; what a layout with `else` doesn't reach is cut into
 * boxes. */
#include <stdlib.h>
#include <string.h>

#include "compiler/lower.h"

#define MAX_PARTS 65536 /* of a piece, by `( ) = ( )` */

wm_placed wm_place_piece(wm_lowerer *l, const wm_placement *p, const wm_piece *piece)
{
    wm_placed r = {p->dim_count + (p->dots != WM_NONE ? l->in->dots : 0), wm_axes_of(l), NULL, NULL};
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

wm_placed wm_place_read(wm_lowerer *l, const wm_placement *p, const wm_piece *piece)
{
    wm_placed r = wm_place_piece(l, p, piece);
    for (uint32_t k = 0; k < piece->equal_count; k++)
        for (uint32_t d = 0; d < r.rank; d++)
            r.coef[(size_t)d * r.axes + piece->equals[k]] = 0;
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

static void append(wm_lowerer *l, wm_move_list *list, wm_move *m)
{
    if (list->last)
        list->last->next = m;
    else
        list->first = m;
    list->last = m;
    list->count++;
    if (++l->state->move_total == WM_MAX_MOVES)
        wm_error(l->state->unit, WM_E0903, m->span, "the plan has more than %d moves", WM_MAX_MOVES);
}

static wm_move *new_move(wm_lowerer *l, uint32_t target, uint32_t source, uint32_t axes, uint32_t target_rank,
                         uint32_t source_rank, wm_span span)
{
    wm_move *m = make_move(l->arena, axes, target_rank, source_rank);
    m->source = source;
    m->target = target;
    m->cast = WMAP_DTYPE_NONE;
    m->span = span;
    append(l, &l->lists[target - l->base], m);
    return m;
}

wm_move *wm_new_guard(wm_lowerer *l, wm_move_list *list, uint32_t tensor, uint32_t axes)
{
    wm_move *m = make_move(l->arena, axes, 0, l->state->source.tensors[tensor].rank);
    m->source = tensor;
    m->target = WM_NONE;
    m->cast = WMAP_DTYPE_NONE;
    m->span = l->form->line->span;
    append(l, list, m);
    return m;
}

void wm_compare_constant(wm_lowerer *l, wm_move *m, const wm_val *value)
{
    wm_code *code = wm_new(l->arena, wm_code, 2);
    code[0] = (wm_code){.constant = true, .value = *value};
    code[1] = (wm_code){.equal = true};
    m->code = code;
    m->code_count = 2;
}

static void set_constant(wm_move *m, const wm_val *value)
{
    m->fill = true;
    m->fill_float = value->kind == WM_VAL_FLOAT;
    m->fill_i = value->i;
    m->fill_f = value->f;
}

uint32_t wm_tensor_at(const wm_lowerer *l, const wm_placement *p, const wm_bound *bound,
                      const int64_t *values)
{
    uint64_t at = 0;
    for (uint32_t a = 0; a < p->name_axis_count; a++)
        at = at * (uint64_t)l->in->extents[p->name_axes[a]] + (uint64_t)values[p->name_axes[a]];
    return bound->tensors[at];
}

bool wm_step_axes(const wm_lowerer *l, const uint32_t *list, uint32_t count, int64_t *values)
{
    for (uint32_t i = count; i-- > 0;) {
        if (++values[list[i]] < l->in->extents[list[i]])
            return true;
        values[list[i]] = 0;
    }
    return false;
}

void wm_fix_axes(const wm_placed *p, const uint32_t *numbered, uint32_t count, const int64_t *values,
                 int64_t *start)
{
    for (uint32_t d = 0; d < p->rank; d++) {
        start[d] = p->start[d];
        for (uint32_t i = 0; i < count; i++)
            start[d] += p->coef[(size_t)d * p->axes + numbered[i]] * values[numbered[i]];
    }
}

wm_seconds wm_place_seconds(wm_lowerer *l, const wm_piece *source)
{
    wm_seconds s = {0};
    const wm_line *line = l->form->line;
    while (source && source->term + s.count + 1 < line->left_count &&
           line->left[source->term + s.count + 1].second)
        s.count++;
    s.placed = wm_new(l->arena, wm_placed, s.count);
    s.placements = wm_new(l->arena, const wm_placement *, s.count);
    s.bounds = wm_new(l->arena, const wm_bound *, s.count);
    for (uint32_t k = 0; k < s.count; k++) {
        const wm_piece *piece = &l->form->sources[source->seconds[k]];
        s.placements[k] = &l->form->left[piece->term];
        s.bounds[k] = &l->in->left[piece->term];
        s.placed[k] = wm_place_read(l, s.placements[k], piece);
    }
    return s;
}

bool wm_numbers_any(const wm_seconds *s, uint32_t axis)
{
    for (uint32_t k = 0; k < s->count; k++)
        if (wm_among(s->placements[k]->name_axes, s->placements[k]->name_axis_count, axis))
            return true;
    return false;
}

/* A pair of pieces, placed. The dimensions of all its operands stand in a row: of the target, of the source,
 * of the further places. */
typedef struct pairing {
    const wm_piece *target, *source; /* source NULL: a fill */
    const wm_placement *tp, *sp;
    wm_placed t, s;
    wm_seconds others;
    uint32_t dims;
    uint32_t *numbered, numbered_count; /* axes that number tensors */
} pairing;

/* What runs along an axis. */
static void fill_digit(wm_lowerer *l, const pairing *p, uint32_t axis, wm_digit *digit)
{
    int64_t *to = digit->steps = wm_new(l->arena, int64_t, p->dims);
    digit->extent = (uint64_t)l->in->extents[axis];
    for (uint32_t k = 0; k < 2 + p->others.count; k++) {
        const wm_placed *at = k == 0 ? &p->t : k == 1 ? &p->s : &p->others.placed[k - 2];
        for (uint32_t d = 0; d < at->rank; d++)
            *to++ = at->coef[(size_t)d * at->axes + axis];
    }
}

static wm_digit *digits_of(wm_lowerer *l, const pairing *p, const uint32_t *axes, uint32_t count)
{
    wm_digit *digits = wm_new(l->arena, wm_digit, count);
    for (uint32_t i = 0; i < count; i++)
        fill_digit(l, p, axes[i], &digits[i]);
    return digits;
}

static bool has_all(const wm_piece *piece, const wm_recount *r, int side)
{
    for (uint32_t i = 0; i < r->count[side]; i++)
        if (!wm_among(piece->axes, piece->axis_count, r->axes[side][i]))
            return false;
    return true;
}

/* Every box with every part. */
static wm_box *multiply(wm_lowerer *l, uint32_t dims, const wm_box *boxes, const wm_box *parts, size_t *count,
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
static wm_box *cut_boxes(wm_lowerer *l, const pairing *p, wm_box *boxes, size_t *count)
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
static bool is_recounted(const wm_lowerer *l, const pairing *p, uint32_t axis)
{
    const wm_form *f = l->form;
    for (size_t r = 0; p->source && r < f->recount_count; r++)
        for (int side = 0; side < 2; side++)
            if (wm_among(f->recounts[r].axes[side], f->recounts[r].count[side], axis) &&
                has_all(p->target, &f->recounts[r], side) && has_all(p->source, &f->recounts[r], !side))
                return true;
    return false;
}

/* What a pair's elements run along; false if it has none. */
static bool find_axes(wm_lowerer *l, pairing *p, wm_box *box)
{
    uint32_t count = wm_axes_of(l), moving_count = 0;
    uint32_t *moving = wm_new(l->arena, uint32_t, count);
    p->numbered = wm_new(l->arena, uint32_t, count);
    for (uint32_t a = 0; a < count; a++) {
        bool dot = a >= l->form->axis_count;
        if (dot ? p->tp->dots == WM_NONE
                : !wm_among(p->target->axes, p->target->axis_count, a) &&
                      !wm_among(p->target->equals, p->target->equal_count, a))
            continue;
        if (l->in->extents[a] == 0)
            return false;
        bool number = wm_among(p->tp->name_axes, p->tp->name_axis_count, a) ||
                      (p->sp && wm_among(p->sp->name_axes, p->sp->name_axis_count, a)) ||
                      wm_numbers_any(&p->others, a);
        if (number)
            p->numbered[p->numbered_count++] = a;
        else if (l->in->extents[a] != 1 && !(l->form->recount_count && is_recounted(l, p, a)))
            moving[moving_count++] = a;
    }
    *box = (wm_box){wm_new(l->arena, int64_t, p->dims), digits_of(l, p, moving, moving_count), moving_count};
    return true;
}

/* The part of a start and of coefficients that stands at dimension `from` of the row. */
static void set_access(const wm_placed *at, const wm_box *box, uint32_t from, int64_t *start, int64_t *coef)
{
    for (uint32_t d = 0; d < at->rank; d++)
        start[d] += box->start[from + d];
    for (uint32_t i = 0; i < box->count; i++)
        memcpy(coef + (size_t)i * at->rank, box->digits[i].steps + from, at->rank * sizeof *coef);
}

/* What a move does to its elements, if it is more than a cast. */
static void set_program(wm_lowerer *l, wm_move *m, const pairing *p, const wm_box *box, const int64_t *values)
{
    const wm_seconds *others = &p->others;
    uint32_t from = p->t.rank + p->s.rank;
    m->code = wm_pair_code(l->state, l->in, p->source, p->target->term, &m->code_count);
    m->extra_count = others->count;
    m->extras = wm_new(l->arena, wm_extra, others->count);
    for (uint32_t k = 0; k < others->count; k++) {
        const wm_placed *at = &others->placed[k];
        wm_extra *e = &m->extras[k];
        *e = (wm_extra){wm_tensor_at(l, others->placements[k], others->bounds[k], values), at->rank,
                        wm_new(l->arena, int64_t, at->rank),
                        wm_new(l->arena, int64_t, (size_t)m->axis_count * at->rank)};
        wm_fix_axes(at, p->numbered, p->numbered_count, values, e->start);
        set_access(at, box, from, e->start, e->coef);
        from += at->rank;
    }
}

static void lower_box(wm_lowerer *l, const pairing *p, const wm_box *box, const int64_t *values)
{
    const wm_line *line = l->form->line;
    const wm_bound *tb = &l->in->right[p->target->term],
                   *sb = p->source ? &l->in->left[p->source->term] : NULL;
    uint32_t out = wm_tensor_at(l, p->tp, tb, values);
    wm_move *m = new_move(l, out, p->source ? wm_tensor_at(l, p->sp, sb, values) : WM_NONE, box->count,
                          p->t.rank, p->s.rank, line->span);
    for (uint32_t i = 0; i < box->count; i++)
        m->extents[i] = box->digits[i].extent;
    wm_fix_axes(&p->t, p->numbered, p->numbered_count, values, m->target_start);
    set_access(&p->t, box, 0, m->target_start, m->target_coef);
    if (!p->source) {
        set_constant(m, &line->fill->value);
        return;
    }
    wm_fix_axes(&p->s, p->numbered, p->numbered_count, values, m->source_start);
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
static void lower_pair(wm_lowerer *l, const wm_piece *target, const wm_piece *source)
{
    pairing p = {.target = target, .source = source, .tp = &l->form->right[target->term]};
    wm_box box, *boxes = &box;
    size_t count = 1;
    p.t = wm_place_piece(l, p.tp, target);
    p.s = (wm_placed){0, wm_axes_of(l), NULL, NULL};
    if (source) {
        p.sp = &l->form->left[source->term];
        p.s = wm_place_read(l, p.sp, source);
    }
    p.others = wm_place_seconds(l, source);
    p.dims = p.t.rank + p.s.rank;
    for (uint32_t k = 0; k < p.others.count; k++)
        p.dims += p.others.placed[k].rank;
    if (!find_axes(l, &p, &box))
        return;
    if (l->form->recount_count)
        boxes = cut_boxes(l, &p, boxes, &count);
    int64_t *values = wm_new(l->arena, int64_t, wm_axes_of(l));
    do {
        for (size_t i = 0; i < count; i++)
            lower_box(l, &p, &boxes[i], values);
    } while (p.numbered_count && wm_step_axes(l, p.numbered, p.numbered_count, values));
}

/* ---- what `else` fills ---- */

/* A box: copies of axes that run freely, each in one or several dimensions. */
typedef struct copy {
    uint32_t axis, dim;
    uint32_t with; /* an earlier copy that it equals, WM_NONE if it is free */
} copy;

typedef struct box {
    const wm_placed *p;
    copy *copies;
    uint32_t count;
    uint32_t held,
        apart; /* the copies that differ: `held` is fixed, `apart` runs beside it; WM_NONE: none differ */
    const wm_placement *placement;
    const wm_bound *bound;
    wm_move_list *guards; /* of a source, by number of its tensors: it is compared; NULL: it is written */
} box;

static void emit_box(wm_lowerer *l, const box *b, int64_t held, int64_t from, int64_t to)
{
    const wm_placement *p = b->placement;
    const wm_val *value = &p->term->otherwise->value;
    uint32_t number = 0;
    int64_t *values = wm_new(l->arena, int64_t, wm_axes_of(l));
    if (b->apart != WM_NONE && from >= to)
        return;
    do {
        uint32_t axes = 0, tensor = wm_tensor_at(l, p, b->bound, values);
        wm_move *m = b->guards ? wm_new_guard(l, &b->guards[number++], tensor, b->count)
                               : new_move(l, tensor, WM_NONE, b->count, b->p->rank, 0, l->form->line->span);
        int64_t *start = b->guards ? m->source_start : m->target_start,
                *coefs = b->guards ? m->source_coef : m->target_coef;
        memcpy(start, b->p->start, b->p->rank * sizeof *start);
        for (uint32_t c = 0; c < b->count; c++) {
            const copy *k = &b->copies[c];
            int64_t coef = b->p->coef[(size_t)k->dim * b->p->axes + k->axis];
            uint32_t root = k->with == WM_NONE ? c : k->with;
            if (b->apart != WM_NONE && root == b->held) {
                start[k->dim] += coef * held;
            } else if (c == b->apart) {
                start[k->dim] += coef * from;
                m->extents[axes] = (uint64_t)(to - from);
                coefs[(size_t)axes++ * b->p->rank + k->dim] = coef;
            } else if (k->with == WM_NONE) {
                m->extents[axes] = (uint64_t)l->in->extents[k->axis];
                for (uint32_t o = c; o < b->count; o++)
                    if (o == c || b->copies[o].with == c)
                        coefs[(size_t)axes * b->p->rank + b->copies[o].dim] =
                            b->p->coef[(size_t)b->copies[o].dim * b->p->axes + k->axis];
                axes++;
            }
        }
        m->axis_count = axes;
        if (b->guards)
            wm_compare_constant(l, m, value);
        else
            set_constant(m, value);
    } while (p->name_axis_count && wm_step_axes(l, p->name_axes, p->name_axis_count, values));
}

void wm_lower_rest(wm_lowerer *l, const wm_piece *piece, wm_move_list *guards)
{
    const wm_placement *at = guards ? &l->form->left[piece->term] : &l->form->right[piece->term];
    wm_placed p = wm_place_piece(l, at, piece);
    box b = {.p = &p,
             .copies = wm_new(l->arena, copy, (size_t)p.rank * p.axes),
             .held = WM_NONE,
             .apart = WM_NONE,
             .placement = at,
             .bound = guards ? &l->in->left[piece->term] : &l->in->right[piece->term],
             .guards = guards};
    for (uint32_t a = 0; a < p.axes; a++)
        for (uint32_t d = 0; d < p.rank; d++)
            if (p.coef[(size_t)d * p.axes + a] != 0) {
                if (l->in->extents[a] == 0)
                    return;
                b.copies[b.count++] = (copy){a, d, WM_NONE};
            }
    if (piece->unnamed) {
        emit_box(l, &b, 0, 0, 0);
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
        for (int64_t i = 0; i < extent && l->state->move_total < WM_MAX_MOVES; i++) {
            emit_box(l, &b, i, 0, i);
            emit_box(l, &b, i, i + 1, extent);
        }
        b.copies[c].with = first;
    }
}

/* ---- the pass ---- */

static void lower_instance(wm_lowerer *l)
{
    bool fill = l->form->line->kind == WM_LINE_FILL;
    for (uint32_t t = 0; t < l->form->line->left_count; t++)
        wm_lower_guards(l, t);
    for (size_t i = 0; i < l->form->target_count; i++) {
        const wm_piece *piece = &l->form->targets[i];
        const wm_bound *bound = &l->in->right[piece->term];
        if (bound->absent || l->state->outs[bound->tensors[0]].dtype == WMAP_OPAQUE)
            continue;
        if (!piece->unnamed)
            lower_pair(l, piece, fill ? NULL : wm_source_piece(l->in, piece));
        if (l->form->right[piece->term].term->otherwise && (piece->unnamed || piece->twice))
            wm_lower_rest(l, piece, NULL);
    }
}

static void finish(wm_lowerer *l, size_t out)
{
    wm_move_list *list = &l->lists[out - l->base];
    wm_tidy_moves(l, list);
    wm_emit_moves(l->state, out, list->first);
}

void wm_lower_pass(wm_state *state)
{
    wm_lowerer l = {.state = state, .arena = state->unit->scratch, .base = state->lowered};
    l.lists = wm_new(l.arena, wm_move_list, state->out_count - l.base);
    for (size_t n = 0; n < state->instance_count && state->move_total < WM_MAX_MOVES; n++) {
        l.in = state->instances[n];
        l.form = l.in->form;
        lower_instance(&l);
    }
    for (; state->lowered < state->out_count; state->lowered++)
        finish(&l, state->lowered);
}

static void lower_kept(wm_lowerer *l, uint32_t at)
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
        wm_move_list list = {NULL, NULL, 0};
        wm_lowerer l = {
            .state = state, .arena = state->unit->scratch, .lists = &list, .base = state->lowered};
        lower_kept(&l, (uint32_t)state->lowered);
        finish(&l, state->lowered);
        wm_arena_clear(state->unit->scratch);
    }
}
