/* layout.c: moves as layouts: names for axes, and extents that no shape tells. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "suggest/draft.h"

/* ---- names ---- */

static bool before(const wm_swap_axis *x, const wm_swap_axis *y, int side)
{
    return x->at[side].dim != y->at[side].dim ? x->at[side].dim < y->at[side].dim
                                              : x->at[side].order < y->at[side].order;
}

void wm_swap_names(wm_arena *arena, const wm_swap *swap, int side, const char **names)
{
    uint32_t plain = 0;
    for (uint32_t i = 0; i < swap->count; i++)
        plain += swap->axes[i].labels == 0;
    bool matrix = plain == 2 && swap->count == 2 && !swap->plain;
    for (uint32_t i = 0; i < swap->count; i++) {
        uint32_t rank = 0;
        for (uint32_t k = 0; k < swap->count; k++)
            rank += before(&swap->axes[k], &swap->axes[i], side);
        names[i] = matrix ? (rank ? "o" : "i") : wm_format_text(arena, "%c", 'a' + (int)rank);
    }
}

/* ---- texts ---- */

/* The labels of an axis, as they stand in the box of that side. */
static const char *label_text(wm_arena *arena, const wm_swap_axis *axis, int side)
{
    const char *text = "";
    for (uint32_t i = 0; i < axis->labels; i++)
        text = wm_format_text(arena, "%s%sg%u", text, i ? " " : "", side ? axis->label[i] : (unsigned)i);
    return wm_format_text(arena, "{%s}", text);
}

const char *wm_swap_factors(wm_arena *arena, const wm_swap *swap, int side, uint32_t dim,
                            const char *const *names, uint32_t *count)
{
    const char *text = "";
    for (uint32_t order = 0;; order++) {
        const wm_swap_axis *axis = NULL;
        uint32_t i = 0;
        for (; i < swap->count; i++)
            if (swap->axes[i].at[side].dim == dim && swap->axes[i].at[side].order == order) {
                axis = &swap->axes[i];
                break;
            }
        if (!axis)
            return text;
        text = wm_format_text(arena, "%s%s%s%s", text, *text ? " " : "", axis->turned && side ? "-" : "",
                              axis->labels ? label_text(arena, axis, side) : names[i]);
        ++*count;
    }
}

/* Each dimension of the tensor is one of the box, or 1. */
const char *wm_swap_layout(wm_arena *arena, const wm_swap *swap, int side, const wm_box *box, uint32_t rank,
                           const char *const *names)
{
    const char *text = "";
    uint32_t at = 0;
    for (uint32_t d = 0; d < rank; d++) {
        const char *factor = "1";
        if (at < box->rank && box->dim[at] == d) {
            uint32_t count = 0;
            factor = wm_swap_factors(arena, swap, side, at++, names, &count);
            factor = count > 1 ? wm_format_text(arena, "(%s)", factor) : factor;
        }
        text = wm_format_text(arena, "%s%s%s", text, d ? " " : "", factor);
    }
    return text;
}

/* ---- extents ---- */

void wm_where_axis(wm_arena *arena, wm_where *w, const char *name, uint64_t extent, bool known)
{
    for (size_t i = 0; i < w->count; i++)
        if (strcmp(w->axes[i].name, name) == 0) {
            w->axes[i].known |= known;
            return;
        }
    *wm_push(arena, w->axes, w->count, w->cap) = (wm_where_item){name, extent, known};
}

void wm_where_dim(wm_arena *arena, wm_where *w, const wm_swap *swap, int side, uint32_t dim,
                  const char *const *names, bool read)
{
    const char **list = wm_new(arena, const char *, swap->count + 1);
    uint32_t count = 0;
    for (uint32_t i = 0; i < swap->count; i++)
        if (swap->axes[i].at[side].dim == dim && !swap->axes[i].labels) {
            wm_where_axis(arena, w, names[i], swap->axes[i].extent, false);
            list[count++] = names[i];
        }
    if (read) /* only the shapes of sources are known when the map runs */
        *wm_push(arena, w->dims, w->dim_count, w->dim_cap) = (wm_where_set){list, count};
}

static wm_where_item *item_of(const wm_where *w, const char *name)
{
    for (size_t i = 0; i < w->count; i++)
        if (strcmp(w->axes[i].name, name) == 0)
            return &w->axes[i];
    return NULL;
}

/* Solves dimensions with one unknown axis until nothing changes. */
static void settle(const wm_where *w)
{
    for (bool again = true; again;) {
        again = false;
        for (size_t i = 0; i < w->dim_count; i++) {
            wm_where_item *unknown = NULL;
            uint32_t count = 0;
            for (uint32_t k = 0; k < w->dims[i].count; k++) {
                wm_where_item *item = item_of(w, w->dims[i].names[k]);
                count += !item->known;
                unknown = item->known ? unknown : item;
            }
            if (count == 1)
                again = unknown->known = true;
        }
    }
}

const char *wm_where_text(wm_arena *arena, const wm_where *w)
{
    const char *text = NULL;
    settle(w);
    for (size_t i = w->count; i-- > 0;)
        if (!w->axes[i].known) {
            text = wm_format_text(arena, "%s%s%s=%" PRIu64, text ? text : "", text ? ", " : "",
                                  w->axes[i].name, w->axes[i].extent);
            w->axes[i].known = true;
            settle(w);
        }
    return text;
}
