/* box.c: the elements of tensors as boxes, and whether one lies in another as a move says. */
#include <string.h>

#include "suggest/draft.h"
#include "wmap/look.h"

bool wm_box_of(wm_draft *draft, int side, uint32_t tensor, wm_box *box)
{
    wmap_archive *archive = draft->sides[side].archive;
    const wmap_tensor *t = draft->sides[side].tensors[tensor].head;
    wm_view view;
    int64_t step = 1;
    if (!wm_archive_view(archive, tensor, &view, draft->err))
        return false;
    *box = (wm_box){.bytes = view.bytes, .size = wmap_dtype_size(t->dtype)};
    for (uint32_t d = t->rank; d-- > 0;) {
        if (t->shape[d] != 1) {
            memmove(box->extent + 1, box->extent, box->rank * sizeof *box->extent);
            memmove(box->stride + 1, box->stride, box->rank * sizeof *box->stride);
            memmove(box->dim + 1, box->dim, box->rank * sizeof *box->dim);
            box->extent[0] = t->shape[d];
            box->stride[0] = view.strides ? view.strides[d] : step;
            box->dim[0] = d;
            box->rank++;
        }
        step *= (int64_t)t->shape[d];
    }
    return true;
}

/* The index that the first box has where the second has `i`. */
static uint64_t index_of(const wm_swap_axis *axis, uint64_t i)
{
    return axis->labels ? axis->label[i] : axis->turned ? axis->extent - 1 - i : i;
}

static bool same_at(const wm_box *from, const wm_box *to, int64_t x, int64_t y)
{
    return memcmp(from->bytes + x * from->size, to->bytes + y * to->size, from->size) == 0;
}

/* Some elements, all over the box, in an order that does not depend on anything. */
static bool samples_hold(const wm_swap *swap, const wm_box *from, const wm_box *to)
{
    uint64_t state = UINT64_C(0x9E3779B97F4A7C15);
    for (int k = 0; k < 64; k++) {
        int64_t x = 0, y = 0;
        for (uint32_t i = 0; i < swap->count; i++) {
            const wm_swap_axis *axis = &swap->axes[i];
            state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            uint64_t at = (state >> 33) % axis->extent;
            x += (int64_t)index_of(axis, at) * axis->at[0].stride;
            y += (int64_t)at * axis->at[1].stride;
        }
        if (!same_at(from, to, x, y))
            return false;
    }
    return true;
}

/* All elements: an odometer over all axes but the last. */
static bool all_hold(const wm_swap *swap, const wm_box *from, const wm_box *to)
{
    static const wm_swap_axis one = {.extent = 1};
    const wm_swap_axis *last = swap->count ? &swap->axes[swap->count - 1] : &one;
    uint64_t at[WM_SWAP_AXES] = {0};
    for (;;) {
        int64_t x = 0, y = 0;
        for (uint32_t i = 0; i + 1 < swap->count; i++) {
            x += (int64_t)index_of(&swap->axes[i], at[i]) * swap->axes[i].at[0].stride;
            y += (int64_t)at[i] * swap->axes[i].at[1].stride;
        }
        for (uint64_t i = 0; i < last->extent; i++)
            if (!same_at(from, to, x + (int64_t)index_of(last, i) * last->at[0].stride,
                         y + (int64_t)i * last->at[1].stride))
                return false;
        uint32_t d = swap->count ? swap->count - 1 : 0;
        while (d > 0 && ++at[d - 1] == swap->axes[d - 1].extent)
            at[--d] = 0;
        if (d == 0)
            return true;
    }
}

bool wm_swap_holds(const wm_swap *swap, const wm_box *from, const wm_box *to, bool whole)
{
    return whole ? all_hold(swap, from, to) : samples_hold(swap, from, to);
}
