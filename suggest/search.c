/* search.c: by which move does one box have the elements of another? Moves are tried in the order in which
 * they occur in practice: the dimensions in every order, cut and joined where the shapes differ; each turned
 * around; then one axis as two or three that stand in another order (a dense layer behind a flattened
 * image, the halves of rotary heads), and as few labels in another order (gates). A wrong move fails at one
 * of the first elements. */
#include <string.h>

#include "runtime/trap.h"
#include "suggest/draft.h"

#define MAX_RANK   6  /* with more dimensions only their order as it stands is tried */
#define MAX_WHOLE  64 /* moves of which all elements are compared */
#define MAX_LABELS 4

typedef struct search {
    const wm_box *from, *to;
    wm_swap *found;
    bool done, deep;
    unsigned whole;
} search;

static bool try_swap(search *s, const wm_swap *swap)
{
    if (s->whole == MAX_WHOLE || !wm_swap_holds(swap, s->from, s->to, false))
        return false;
    s->whole++;
    if (!wm_swap_holds(swap, s->from, s->to, true))
        return false;
    if (s->done) {
        s->found->unsure = true;
    } else {
        *s->found = *swap;
        s->done = true;
    }
    return true;
}

/* ---- dimensions ---- */

/* The dimensions of `from` in the order `order`, met with those of `to`: cut where they end. False if they
 * don't meet. */
static bool meet(const search *s, const uint32_t *order, wm_swap *swap)
{
    const wm_box *f = s->from, *t = s->to;
    uint32_t i = 0, k = 0, f_order = 0, t_order = 0;
    uint64_t f_left = f->rank ? f->extent[order[0]] : 1, t_left = t->rank ? t->extent[0] : 1;
    *swap = (wm_swap){.plain = f->rank == t->rank};
    while (i < f->rank && k < t->rank) {
        uint64_t extent = f_left < t_left ? f_left : t_left;
        if (f_left % extent || t_left % extent || swap->count == WM_SWAP_AXES)
            return false;
        f_left /= extent;
        t_left /= extent;
        wm_swap_axis *axis = &swap->axes[swap->count++];
        *axis = (wm_swap_axis){.extent = extent};
        axis->at[0].dim = order[i];
        axis->at[0].order = f_order++;
        axis->at[0].stride = f->stride[order[i]] * (int64_t)f_left;
        axis->at[1].dim = k;
        axis->at[1].order = t_order++;
        axis->at[1].stride = t->stride[k] * (int64_t)t_left;
        swap->plain &= order[i] == k && f_left == 1 && t_left == 1;
        if (f_left == 1 && ++i < f->rank) {
            f_left = f->extent[order[i]];
            f_order = 0;
        }
        if (t_left == 1 && ++k < t->rank) {
            t_left = t->extent[k];
            t_order = 0;
        }
    }
    return i == f->rank && k == t->rank;
}

static void try_turned(search *s, const wm_swap *swap)
{
    if (swap->count > MAX_RANK)
        return;
    for (uint32_t mask = 1; mask < UINT32_C(1) << swap->count; mask++) {
        wm_swap turned = *swap;
        turned.plain = false;
        for (uint32_t i = 0; i < swap->count; i++)
            turned.axes[i].turned = mask >> i & 1;
        try_swap(s, &turned);
    }
}

/* ---- one axis as several ---- */

/* Makes `count` axes of axis `at`, of the extents `parts`; in `to` they stand in the order `order`. */
static void cut(const wm_swap *swap, uint32_t at, uint32_t count, const uint64_t *parts,
                const uint32_t *order, wm_swap *out)
{
    const wm_swap_axis *old = &swap->axes[at];
    *out = *swap;
    out->plain = false;
    out->count = swap->count + count - 1;
    memmove(out->axes + at + count, out->axes + at + 1, (swap->count - at - 1) * sizeof *out->axes);
    for (uint32_t i = 0; i < swap->count; i++) {
        if (i == at)
            continue;
        wm_swap_axis *other = &out->axes[i < at ? i : i + count - 1];
        for (int side = 0; side < 2; side++)
            if (other->at[side].dim == old->at[side].dim && other->at[side].order > old->at[side].order)
                other->at[side].order += count - 1;
    }
    for (uint32_t k = 0; k < count; k++) { /* by their place in `to` */
        uint32_t part = order[k];
        wm_swap_axis *axis = &out->axes[at + k];
        *axis = *old;
        axis->extent = parts[part];
        axis->at[0].order = old->at[0].order + part;
        axis->at[1].order = old->at[1].order + k;
        for (uint32_t i = part + 1; i < count; i++)
            axis->at[0].stride *= (int64_t)parts[i];
        for (uint32_t i = k + 1; i < count; i++)
            axis->at[1].stride *= (int64_t)parts[order[i]];
    }
}

static bool next_order(uint8_t *list, uint32_t count)
{
    uint32_t i = count - 1, k = count - 1;
    while (i > 0 && list[i - 1] >= list[i])
        i--;
    if (i == 0)
        return false;
    while (list[k] <= list[i - 1])
        k--;
    uint8_t kept = list[i - 1];
    list[i - 1] = list[k];
    list[k] = kept;
    for (uint32_t a = i, b = count - 1; a < b; a++, b--) {
        kept = list[a];
        list[a] = list[b];
        list[b] = kept;
    }
    return true;
}

/* `labels` parts of the axis in every order, before or behind the rest of it, in either box. */
static bool try_labels(search *s, const wm_swap *swap, uint32_t at, uint32_t labels)
{
    static const uint32_t orders[2][2] = {{0, 1}, {1, 0}};
    uint64_t extent = swap->axes[at].extent, rest = extent / labels;
    for (uint32_t form = 0; form < (rest == 1 ? 1 : 4); form++) {
        uint64_t parts[2] = {form & 1 ? rest : labels, form & 1 ? labels : rest};
        wm_swap out;
        cut(swap, at, 2, parts, orders[form >> 1], &out);
        wm_swap_axis *axis = &out.axes[at + ((form & 1) ^ (form >> 1))];
        axis->labels = (uint8_t)labels;
        for (uint32_t i = 0; i < labels; i++)
            axis->label[i] = (uint8_t)i;
        do
            if (try_swap(s, &out))
                return true;
        while (next_order(axis->label, labels));
    }
    return false;
}

static bool try_cuts(search *s, const wm_swap *swap, uint32_t at)
{
    static const uint32_t two[] = {1, 0},
                          three[5][3] = {{0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    uint64_t extent = swap->axes[at].extent;
    wm_swap out;
    if (swap->count + 2 > WM_SWAP_AXES || extent > UINT32_MAX)
        return false;
    for (uint64_t x = 2; x * 2 <= extent && x < 65536; x++) {
        if (extent % x)
            continue;
        cut(swap, at, 2, (uint64_t[]){x, extent / x}, two, &out);
        if (try_swap(s, &out))
            return true;
    }
    for (uint32_t labels = 2; labels <= MAX_LABELS; labels++)
        if (extent % labels == 0 && try_labels(s, swap, at, labels))
            return true;
    for (uint64_t x = 2; x * 4 <= extent && x < 65536; x++)
        for (uint64_t y = 2; extent % x == 0 && x * y * 2 <= extent && y < 65536; y++)
            for (uint32_t i = 0; extent / x % y == 0 && i < 5; i++) {
                cut(swap, at, 3, (uint64_t[]){x, y, extent / x / y}, three[i], &out);
                if (try_swap(s, &out))
                    return true;
            }
    return false;
}

/* ---- the search ---- */

/* What is tried for every order of the dimensions. */
enum step { AS_IT_IS, TURNED, CUT };

static bool try_order(search *s, const uint32_t *order, enum step step)
{
    wm_swap swap;
    if (!meet(s, order, &swap))
        return false;
    if (step == AS_IT_IS) {
        try_swap(s, &swap);
    } else if (step == TURNED) {
        try_turned(s, &swap);
    } else {
        for (uint32_t i = 0; i < swap.count; i++)
            if (try_cuts(s, &swap, i))
                return true;
    }
    return false;
}

static void search_all(void *context)
{
    search *s = context;
    const wm_box *from = s->from;
    for (enum step step = AS_IT_IS; step <= (s->deep ? CUT : TURNED) && !s->done; step++) {
        uint8_t places[WMAP_MAX_RANK];
        uint32_t order[WMAP_MAX_RANK];
        for (uint32_t i = 0; i < from->rank; i++)
            places[i] = (uint8_t)i;
        do {
            for (uint32_t i = 0; i < from->rank; i++)
                order[i] = places[i];
            if (try_order(s, order, step))
                break;
        } while (from->rank > 1 && from->rank <= MAX_RANK && next_order(places, from->rank));
    }
}

/* Where a box ends in memory. */
static const uint8_t *end_of(const wm_box *box)
{
    int64_t last = 0;
    for (uint32_t d = 0; d < box->rank; d++)
        last += (int64_t)(box->extent[d] - 1) * box->stride[d];
    return box->bytes + (last + 1) * box->size;
}

/* The same move, read the other way. */
static void turn_around(wm_swap *swap)
{
    for (uint32_t i = 0; i < swap->count; i++) {
        wm_swap_axis *axis = &swap->axes[i], old = *axis;
        axis->at[0] = old.at[1];
        axis->at[1] = old.at[0];
        for (uint32_t k = 0; k < axis->labels; k++)
            axis->label[old.label[k]] = (uint8_t)k;
    }
}

bool wm_swap_find(const wm_box *from, const wm_box *to, bool deep, wm_swap *swap)
{
    if (from->rank < to->rank) { /* it is the dimensions of `from` that are put in every order */
        if (!wm_swap_find(to, from, deep, swap))
            return false;
        turn_around(swap);
        return true;
    }
    search s = {.from = from, .to = to, .found = swap, .deep = deep};
    const uint8_t *low = from->bytes < to->bytes ? from->bytes : to->bytes;
    const uint8_t *high = end_of(from) > end_of(to) ? end_of(from) : end_of(to);
    /* One range for both: what else lies in between is not read. */
    return wm_trap_call(low, high, search_all, &s) && s.done;
}
