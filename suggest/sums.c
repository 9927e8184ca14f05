/* sums.c: targets that are the sum of two sources of one parent, as one framework has two biases where
 * another has one. */
#include <string.h>

#include "runtime/convert.h"
#include "suggest/draft.h"
#include "wmap/look.h"

enum { MAX_ELEMENTS = 1 << 20, MAX_NEAR = 8 };

typedef struct terms {
    wm_draft *draft;
    wm_map digests, sizes; /* of the targets that may be sums */
    uint32_t a, b;
    uint8_t *bytes[2], *sum;
    double *x, *y;
} terms;

typedef struct size_key {
    uint64_t count, dtype;
} size_key;

static bool add_terms(terms *t, wm_sum_of *digest)
{
    wm_draft_side *s = &t->draft->sides[WM_SOURCE];
    const wm_draft_tensor *first = &s->tensors[t->a];
    wmap_dtype dtype = first->head->dtype;
    size_t count = (size_t)first->count, bad;
    if (!wmap_archive_read(s->archive, t->a, 0, count, t->bytes[0], t->draft->err) ||
        !wmap_archive_read(s->archive, t->b, 0, count, t->bytes[1], t->draft->err))
        return false;
    wm_convert(dtype, WMAP_F64, WM_CAST_ALLOW, t->bytes[0], t->x, count, &bad);
    wm_convert(dtype, WMAP_F64, WM_CAST_ALLOW, t->bytes[1], t->y, count, &bad);
    for (size_t i = 0; i < count; i++)
        t->x[i] += t->y[i];
    wm_convert(WMAP_F64, dtype, WM_CAST_ALLOW, t->x, t->sum, count, &bad);
    wm_digest_bytes(t->sum, wmap_dtype_size(dtype), count, digest);
    return true;
}

static void add_rule(terms *t, uint32_t target, const wm_box *from, const wm_box *to, const wm_swap *swap)
{
    wm_draft *draft = t->draft;
    wm_arena *arena = &draft->arena;
    const char **names = wm_new(arena, const char *, WM_SWAP_AXES);
    wm_draft_rule *rule = wm_draft_add(draft, WM_BY_VALUE);
    const uint32_t list[] = {t->a, t->b};
    wm_where where = {0};
    wm_swap_names(arena, swap, WM_SOURCE, names);
    wm_draft_places(draft, rule, WM_SOURCE, 2);
    wm_draft_places(draft, rule, WM_TARGET, 1);
    for (int i = 0; i < 3; i++) {
        int side = i == 2;
        uint32_t tensor = side ? target : list[i];
        const wm_box *box = side ? to : from;
        rule->places[side][side ? 0 : i] =
            (wm_draft_place){.tensor = tensor,
                             .token = WM_DRAFT_NONE,
                             .layout = wm_swap_layout(arena, swap, side, box,
                                                      draft->sides[side].tensors[tensor].head->rank, names)};
        for (uint32_t d = 0; d < box->rank; d++)
            wm_where_dim(arena, &where, swap, side, d, names, side == WM_SOURCE);
    }
    rule->sum = true;
    rule->where = wm_where_text(arena, &where);
    wm_draft_mark(draft, rule);
}

static void try_terms(terms *t)
{
    wm_draft *draft = t->draft;
    wm_sum_of digest;
    wm_box from, to;
    wm_swap swap;
    if (!add_terms(t, &digest))
        return;
    const wm_draft_tensor *a = &draft->sides[WM_SOURCE].tensors[t->a], *target;
    uint32_t i = wm_map_get(&t->digests, &digest, sizeof digest);
    if (i == WM_MAP_NONE)
        return;
    target = &draft->sides[WM_TARGET].tensors[i];
    if (target->rule != WM_DRAFT_NONE || target->count != a->count || target->head->dtype != a->head->dtype ||
        !wm_box_of(draft, WM_SOURCE, t->a, &from) || !wm_box_of(draft, WM_TARGET, i, &to))
        return;
    wm_box sum = from;
    int64_t step = 1;
    sum.bytes = t->sum;
    for (uint32_t d = sum.rank; d-- > 0; step *= (int64_t)sum.extent[d])
        sum.stride[d] = step;
    if (wm_swap_find(&sum, &to, true, &swap))
        add_rule(t, i, &from, &to, &swap);
}

/* May two tensors be summed? */
static bool is_term(const wm_draft_tensor *t)
{
    return t->known && t->rule == WM_DRAFT_NONE && !t->constant && t->count <= MAX_ELEMENTS &&
           wm_castable(t->head->dtype, WMAP_F64);
}

static bool are_terms(const wm_draft_tensor *t, const wm_draft_tensor *u)
{
    size_t len = wm_parent(t->head);
    return t->head->dtype == u->head->dtype && t->head->rank == u->head->rank &&
           (t->head->rank == 0 ||
            memcmp(t->head->shape, u->head->shape, t->head->rank * sizeof *t->head->shape) == 0) &&
           len == wm_parent(u->head) && memcmp(t->head->name, u->head->name, len) == 0;
}

static void list_targets(terms *t)
{
    wm_arena *arena = &t->draft->arena;
    wm_draft_side *s = &t->draft->sides[WM_TARGET];
    wm_map_init(&t->digests, arena, 64);
    wm_map_init(&t->sizes, arena, 64);
    for (uint32_t i = 0; i < s->count; i++) {
        wm_draft_tensor *target = &s->tensors[i];
        if (!is_term(target))
            continue;
        size_key *key = wm_new(arena, size_key, 1);
        *key = (size_key){target->count, target->head->dtype};
        wm_map_put(&t->sizes, key, sizeof *key, i, NULL);
        wm_map_put(&t->digests, &target->sum, sizeof target->sum, i, NULL);
    }
}

static void make_room(terms *t)
{
    wm_arena *arena = &t->draft->buffers;
    if (t->sum)
        return;
    t->bytes[0] = wm_alloc_array(arena, MAX_ELEMENTS, WM_LARGEST_ELEMENT);
    t->bytes[1] = wm_alloc_array(arena, MAX_ELEMENTS, WM_LARGEST_ELEMENT);
    t->sum = wm_alloc_array(arena, MAX_ELEMENTS, WM_LARGEST_ELEMENT);
    t->x = wm_new(arena, double, MAX_ELEMENTS);
    t->y = wm_new(arena, double, MAX_ELEMENTS);
}

void wm_pair_sums(wm_draft *draft)
{
    terms t = {.draft = draft};
    wm_draft_side *s = &draft->sides[WM_SOURCE];
    uint32_t *order = wm_natural_tensors(draft, WM_SOURCE);
    list_targets(&t);
    for (size_t i = 0; i < s->count; i++) {
        const wm_draft_tensor *first = &s->tensors[order[i]];
        const size_key key = {first->count, first->head->dtype};
        if (!is_term(first) || wm_map_get(&t.sizes, &key, sizeof key) == WM_MAP_NONE)
            continue;
        for (size_t k = i + 1; k < s->count && k < i + MAX_NEAR; k++) {
            if (!is_term(first) || !is_term(&s->tensors[order[k]]) ||
                !are_terms(first, &s->tensors[order[k]]))
                continue;
            make_room(&t);
            t.a = order[i];
            t.b = order[k];
            try_terms(&t);
        }
    }
    wm_arena_release(&draft->buffers);
}
