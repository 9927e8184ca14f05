/* lower.h: what lowering (lower.c), joining (join.c) and guards (guard.c) share. */
#ifndef WM_LOWER_H
#define WM_LOWER_H

#include "compiler/pass.h"

#define WM_MAX_MOVES 20000000

/* A move being made: axes with a coefficient a dimension on each side. */
typedef struct wm_move_list {
    wm_move *first, *last;
    size_t count;
} wm_move_list;

typedef struct wm_lowerer {
    wm_state *state;
    wm_arena *arena; /* the scratch; the plan's bytes are what lasts */
    wm_instance *in;
    const wm_form *form;
    wm_move_list *lists; /* of the outs from `base` on */
    size_t base;
} wm_lowerer;

/* The positions of one piece in its tensor: start[d], coef[d * axes + axis]. */
typedef struct wm_placed {
    uint32_t rank, axes;
    int64_t *start, *coef;
} wm_placed;

/* The pieces of further places that a program loads. */
typedef struct wm_seconds {
    wm_placed *placed;
    const wm_placement **placements;
    const wm_bound **bounds;
    uint32_t count;
} wm_seconds;

static inline uint32_t wm_axes_of(const wm_lowerer *l)
{
    return (uint32_t)l->form->axis_count + l->in->dots;
}

/* Where a piece stands; and where it is read, of equal slices at the first. */
wm_placed wm_place_piece(wm_lowerer *l, const wm_placement *p, const wm_piece *piece);
wm_placed wm_place_read(wm_lowerer *l, const wm_placement *p, const wm_piece *piece);
wm_seconds wm_place_seconds(wm_lowerer *l, const wm_piece *source);

/* The starts of a place at some values of its axes. */
void wm_fix_axes(const wm_placed *p, const uint32_t *numbered, uint32_t count, const int64_t *values,
                 int64_t *start);

/* Does an axis number tensors of a further place? */
bool wm_numbers_any(const wm_seconds *s, uint32_t axis);

/* The number of a tensor among those that axes number. */
uint32_t wm_tensor_at(const wm_lowerer *l, const wm_placement *p, const wm_bound *bound,
                      const int64_t *values);

/* Steps the axes of `list` like an odometer; false when it has gone round. */
bool wm_step_axes(const wm_lowerer *l, const uint32_t *list, uint32_t count, int64_t *values);

/* A guard over source tensor `tensor`. */
wm_move *wm_new_guard(wm_lowerer *l, wm_move_list *list, uint32_t tensor, uint32_t axes);

/* All elements of a guard are the constant. */
void wm_compare_constant(wm_lowerer *l, wm_move *m, const wm_val *value);

/* All elements of a choice of blocks (`_` among them), or those off the diagonals of a piece. They are
 * written, or, with `guards`, by number of the tensor, compared. */
void wm_lower_rest(wm_lowerer *l, const wm_piece *piece, wm_move_list *guards);

/* join.c: joins moves that advance evenly, and axes that are contiguous. */
void wm_tidy_moves(wm_lowerer *l, wm_move_list *list);

/* guard.c: what is to be found in operand `term` of the source. */
void wm_lower_guards(wm_lowerer *l, uint32_t term);

#endif
