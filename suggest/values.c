/* values.c: tensors paired by what they hold. One to one first; then what is left: several that are one on
 * the other side, of names that have most in common; then sums of two. */
#include <string.h>

#include "runtime/convert.h"
#include "suggest/draft.h"
#include "wmap/look.h"

#define MAX_CONVERTED ((uint64_t)256 << 20) /* bytes of one tensor in another dtype, held in memory */
#define MAX_SIBLINGS  8                     /* of which every subset is tried */
#define MAX_KINDS     5
#define MAX_PARTS     4096

static bool is_open(const wm_draft *draft, int side, uint32_t i)
{
    return draft->sides[side].tensors[i].rule == WM_DRAFT_NONE;
}

/* ---- one to one ---- */

/* The elements in the target's dtype, in draft->buffers. */
static bool converted(wm_draft *draft, uint32_t source, wmap_dtype dtype, wm_box *box)
{
    const wmap_tensor *t = draft->sides[WM_SOURCE].tensors[source].head;
    uint64_t count = draft->sides[WM_SOURCE].tensors[source].count;
    uint32_t from = wmap_dtype_size(t->dtype), to = wmap_dtype_size(dtype);
    size_t first;
    int64_t step = 1;
    if (count > MAX_CONVERTED / (from + to))
        return false;
    uint8_t *own = wm_alloc_array(&draft->buffers, (size_t)count, from);
    uint8_t *cast = wm_alloc_array(&draft->buffers, (size_t)count, to);
    if (!wmap_archive_read(draft->sides[WM_SOURCE].archive, source, 0, count, own, draft->err))
        return false;
    wm_convert(t->dtype, dtype, WM_CAST_ALLOW, own, cast, (size_t)count, &first);
    box->bytes = cast;
    box->size = to;
    for (uint32_t d = box->rank; d-- > 0;) {
        box->stride[d] = step;
        step *= (int64_t)box->extent[d];
    }
    return true;
}

static wm_draft_place place_for(wm_draft *draft, int side, uint32_t tensor, const wm_swap *swap,
                                const wm_box *box, const char *const *names)
{
    wm_draft_place p = {.tensor = tensor, .token = WM_DRAFT_NONE};
    if (!swap->plain)
        p.layout = wm_swap_layout(&draft->arena, swap, side, box,
                                  draft->sides[side].tensors[tensor].head->rank, names);
    return p;
}

/* A dimension of one more or less is a change of shape too. */
static bool same_shape(const wmap_tensor *x, const wmap_tensor *y)
{
    return x->rank == y->rank &&
           (x->rank == 0 || memcmp(x->shape, y->shape, x->rank * sizeof *x->shape) == 0);
}

bool wm_pair_move(wm_draft *draft, uint32_t source, uint32_t target, wm_draft_how how)
{
    const wmap_tensor *from = draft->sides[WM_SOURCE].tensors[source].head,
                      *to = draft->sides[WM_TARGET].tensors[target].head;
    wm_arena *arena = &draft->arena;
    wm_box boxes[2];
    wm_swap swap;
    bool ok = wm_box_of(draft, WM_SOURCE, source, &boxes[0]) &&
              wm_box_of(draft, WM_TARGET, target, &boxes[1]) &&
              (from->dtype == to->dtype ||
               (wm_castable(from->dtype, to->dtype) && converted(draft, source, to->dtype, &boxes[0]))) &&
              wm_swap_find(&boxes[0], &boxes[1], true, &swap);
    wm_arena_release(&draft->buffers);
    if (!ok)
        return false;
    swap.plain &= same_shape(from, to);
    const char **names = wm_new(arena, const char *, WM_SWAP_AXES);
    wm_swap_names(arena, &swap, WM_SOURCE, names);
    wm_draft_rule *rule = wm_draft_add(draft, how);
    wm_where where = {0};
    for (int side = 0; side < 2; side++) {
        wm_draft_places(draft, rule, side, 1);
        rule->places[side][0] = place_for(draft, side, side ? target : source, &swap, &boxes[side], names);
        for (uint32_t d = 0; d < boxes[side].rank; d++)
            wm_where_dim(arena, &where, &swap, side, d, names, side == WM_SOURCE);
    }
    rule->where = swap.plain ? NULL : wm_where_text(arena, &where);
    rule->cast = from->dtype == to->dtype ? WMAP_DTYPE_NONE : to->dtype;
    if (swap.unsure && how == WM_BY_VALUE)
        rule->note = "another order of the axes gives the same values";
    wm_draft_mark(draft, rule);
    return true;
}

/* Tensors by their digests: lists in the order of the file. */
typedef struct table {
    wm_map heads;
    uint32_t *next, *last;
} table;

static void table_make(wm_draft *draft, int side, table *t)
{
    wm_draft_side *s = &draft->sides[side];
    wm_map_init(&t->heads, &draft->arena, s->count);
    t->next = wm_new(&draft->arena, uint32_t, s->count);
    t->last = wm_new(&draft->arena, uint32_t, s->count);
    for (uint32_t i = 0; i < s->count; i++) {
        t->next[i] = WM_DRAFT_NONE;
        t->last[i] = i;
        if (!s->tensors[i].known || !is_open(draft, side, i))
            continue;
        uint32_t head = wm_map_put(&t->heads, &s->tensors[i].sum, sizeof s->tensors[i].sum, i, NULL);
        if (head != WM_MAP_NONE) {
            t->next[t->last[head]] = i;
            t->last[head] = i;
        }
    }
}

static uint32_t table_get(const table *t, const wm_sum_of *sum)
{
    uint32_t head = wm_map_get(&t->heads, sum, sizeof *sum);
    return head == WM_MAP_NONE ? WM_DRAFT_NONE : head;
}

/* Of the sources with these values the one whose name has most in common with the target's. */
static uint32_t nearest(wm_draft *draft, const table *sources, uint32_t head, uint32_t target)
{
    const wm_draft_tensor *t = &draft->sides[WM_TARGET].tensors[target];
    uint32_t best = WM_DRAFT_NONE;
    double most = -1;
    for (uint32_t i = head; i != WM_DRAFT_NONE; i = sources->next[i]) {
        const wm_draft_tensor *s = &draft->sides[WM_SOURCE].tensors[i];
        double score = wm_names_alike(&draft->arena, s->head, t->head) + (s->rule == WM_DRAFT_NONE);
        if (s->count == t->count && s->head->dtype == t->head->dtype && score > most) {
            most = score;
            best = i;
        }
    }
    return best;
}

static void pair_equal(wm_draft *draft)
{
    table sources;
    table_make(draft, WM_SOURCE, &sources);
    for (uint32_t i = 0; i < draft->sides[WM_TARGET].count; i++) {
        wm_draft_tensor *t = &draft->sides[WM_TARGET].tensors[i];
        if (!t->known || t->constant || t->rule != WM_DRAFT_NONE)
            continue;
        uint32_t head = table_get(&sources, &t->sum), source;
        if (head != WM_DRAFT_NONE && (source = nearest(draft, &sources, head, i)) != WM_DRAFT_NONE &&
            !wm_pair_move(draft, source, i, WM_BY_VALUE))
            t->note =
                wm_format_text(&draft->arena, "it holds the values of \"%s\" in an order that was not found",
                               draft->sides[WM_SOURCE].tensors[source].head->name);
    }
}

/* Targets of other dtypes: the sources as they would be in those. */
static bool pair_cast(wm_draft *draft)
{
    bool wanted[WMAP_OPAQUE + 1] = {false};
    wm_draft_side *s = &draft->sides[WM_SOURCE], *t = &draft->sides[WM_TARGET];
    for (uint32_t i = 0; i < t->count; i++)
        if (t->tensors[i].known && !t->tensors[i].constant && is_open(draft, WM_TARGET, i))
            wanted[t->tensors[i].head->dtype] = true;
    for (wmap_dtype dtype = WMAP_BOOL; dtype < WMAP_OPAQUE; dtype++) {
        table targets;
        if (!wanted[dtype])
            continue;
        table_make(draft, WM_TARGET, &targets);
        for (uint32_t i = 0; i < s->count; i++) {
            wm_draft_tensor *from = &s->tensors[i];
            wm_sum_of sum;
            if (!from->known || from->constant || !is_open(draft, WM_SOURCE, i) ||
                from->head->dtype == dtype || !wm_castable(from->head->dtype, dtype))
                continue;
            if (!wm_digest_tensor(draft, WM_SOURCE, i, dtype, &sum))
                return false;
            for (uint32_t k = table_get(&targets, &sum); k != WM_DRAFT_NONE; k = targets.next[k])
                if (is_open(draft, WM_TARGET, k) && t->tensors[k].head->dtype == dtype &&
                    t->tensors[k].count == from->count)
                    wm_pair_move(draft, i, k, WM_BY_VALUE);
        }
    }
    return true;
}

/* ---- several that are one ---- */

/* Tensors whose names differ in one or two tokens only, or in all behind a common prefix. */
typedef struct family {
    uint32_t *list;
    size_t count, cap;
    bool subsets;       /* parts of it are tried too */
    uint32_t tokens[2]; /* in which they differ, of two; else WM_DRAFT_NONE */
} family;

typedef struct families {
    wm_draft *draft;
    int side;
    wm_map index;
    family *list;
    size_t count, cap;
} families;

static void join_family(families *f, const char *key, size_t len, uint32_t x, uint32_t y, uint32_t tensor)
{
    wm_arena *arena = &f->draft->arena;
    uint32_t at = wm_map_get(&f->index, key, len);
    if (at == WM_MAP_NONE) {
        at = (uint32_t)f->count;
        wm_map_put(&f->index, wm_copy(arena, key, len), len, at, NULL);
        *wm_push(arena, f->list, f->count, f->cap) =
            (family){.subsets = y == WM_DRAFT_NONE, .tokens = {x, y}};
    }
    family *members = &f->list[at];
    if (members->count < MAX_PARTS)
        *wm_push(arena, members->list, members->count, members->cap) = tensor;
}

/* The name without tokens x and y (WM_DRAFT_NONE: one only). */
static void join_without(families *f, const wm_token *tokens, size_t count, uint32_t x, uint32_t y,
                         uint32_t tensor)
{
    char key[512];
    size_t len = 0;
    for (uint32_t i = 0; i < count; i++) {
        bool wild = i == x || i == y;
        size_t size = wild ? 1 : tokens[i].len;
        if (len + size > sizeof key)
            return;
        memcpy(key + len, wild ? "\1" : tokens[i].text, size);
        len += size;
    }
    join_family(f, key, len, x, y, tensor);
}

static void join_all(families *f, uint32_t tensor)
{
    const wmap_tensor *head = f->draft->sides[f->side].tensors[tensor].head;
    size_t count, parent = 0;
    wm_token *tokens = wm_tokens(&f->draft->arena, head, &count);
    if (count > 32)
        return;
    for (uint32_t i = 0; i < count; i++) {
        if (tokens[i].kind == WM_TOKEN_OTHER)
            continue;
        join_without(f, tokens, count, i, WM_DRAFT_NONE, tensor);
        for (uint32_t k = i + 1; k < count; k++)
            if (tokens[k].kind != WM_TOKEN_OTHER)
                join_without(f, tokens, count, i, k, tensor);
    }
    for (size_t i = 0; i < head->name_len; i++)
        if (head->name[i] == '/' || head->name[i] == '.')
            parent = i;
    if (parent < 500) {
        char key[512] = "\2";
        memcpy(key + 1, head->name, parent);
        join_family(f, key, parent + 1, WM_DRAFT_NONE, WM_DRAFT_NONE, tensor);
    }
}

/* Does some tensor of the other side hold what these hold together? */
static bool try_parts(families *f, const table *wholes, const uint32_t *parts, size_t count)
{
    wm_draft *draft = f->draft;
    const wm_draft_tensor *tensors = draft->sides[f->side].tensors;
    wm_sum_of sum = {0, 0};
    uint64_t elements = 0;
    for (size_t i = 0; i < count; i++) {
        if (!is_open(draft, f->side, parts[i]) ||
            tensors[parts[i]].head->dtype != tensors[parts[0]].head->dtype)
            return false;
        sum.a += tensors[parts[i]].sum.a;
        sum.b += tensors[parts[i]].sum.b;
        elements += tensors[parts[i]].count;
    }
    for (uint32_t i = table_get(wholes, &sum); i != WM_DRAFT_NONE; i = wholes->next[i]) {
        const wm_draft_tensor *whole = &draft->sides[1 - f->side].tensors[i];
        if (whole->rule == WM_DRAFT_NONE && whole->count == elements && !whole->constant &&
            whole->head->dtype == tensors[parts[0]].head->dtype &&
            wm_join(draft, f->side, parts, count, i, NULL, WM_BY_VALUE))
            return true;
    }
    return false;
}

/* The text of a token of a name, as a number of a short list; SIZE_MAX if the list is full. */
static size_t text_number(wm_arena *arena, const wmap_tensor *head, uint32_t token, const wm_token *seen,
                          size_t *count)
{
    size_t all;
    const wm_token *t = &wm_tokens(arena, head, &all)[token];
    for (size_t i = 0; i < *count; i++)
        if (seen[i].len == t->len && memcmp(seen[i].text, t->text, t->len) == 0)
            return i;
    return SIZE_MAX;
}

/* All with some of the texts that one of the two tokens has: of each expert the first and third matrix. */
static void try_kinds(families *f, const table *wholes, uint32_t token, const uint32_t *list, size_t count)
{
    wm_arena *arena = &f->draft->arena;
    wm_token seen[MAX_KINDS];
    size_t kinds = 0, all;
    uint8_t *kind_of = wm_new(arena, uint8_t, count);
    uint32_t *chosen = wm_new(arena, uint32_t, count);
    for (size_t i = 0; i < count; i++) {
        const wmap_tensor *head = f->draft->sides[f->side].tensors[list[i]].head;
        size_t kind = text_number(arena, head, token, seen, &kinds);
        if (kind == SIZE_MAX) {
            if (kinds == MAX_KINDS)
                return;
            seen[kinds] = wm_tokens(arena, head, &all)[token];
            kind = kinds++;
        }
        kind_of[i] = (uint8_t)kind;
    }
    for (uint32_t mask = 3; kinds > 2 && mask < (UINT32_C(1) << kinds) - 1; mask++) {
        size_t size = 0;
        for (size_t i = 0; i < count; i++)
            if (mask >> kind_of[i] & 1)
                chosen[size++] = list[i];
        if (size > 1)
            try_parts(f, wholes, chosen, size);
    }
}

static void try_family(families *f, const table *wholes, const family *members)
{
    size_t count = 0;
    uint32_t *list = wm_new(&f->draft->arena, uint32_t, members->count), chosen[MAX_SIBLINGS];
    for (size_t i = 0; i < members->count; i++)
        if (is_open(f->draft, f->side, members->list[i]))
            list[count++] = members->list[i];
    if (count < 2 || try_parts(f, wholes, list, count))
        return;
    for (int i = 0; !members->subsets && i < 2; i++)
        try_kinds(f, wholes, members->tokens[i], list, count);
    if (!members->subsets || count > MAX_SIBLINGS)
        return;
    for (uint32_t mask = (UINT32_C(1) << count) - 1; mask > 2; mask--) {
        size_t size = 0;
        for (size_t i = 0; i < count; i++)
            if (mask >> i & 1)
                chosen[size++] = list[i];
        if (size > 1)
            try_parts(f, wholes, chosen, size);
    }
}

static void pair_joined(wm_draft *draft, int side)
{
    families f = {.draft = draft, .side = side};
    wm_draft_side *s = &draft->sides[side];
    table wholes;
    size_t left = 0;
    for (uint32_t i = 0; i < draft->sides[1 - side].count; i++)
        left += draft->sides[1 - side].tensors[i].known && is_open(draft, 1 - side, i);
    if (left == 0)
        return;
    table_make(draft, 1 - side, &wholes);
    wm_map_init(&f.index, &draft->arena, s->count);
    uint32_t *order = wm_natural_tensors(draft, side);
    for (uint32_t i = 0; i < s->count; i++)
        if (s->tensors[order[i]].known && is_open(draft, side, order[i]))
            join_all(&f, order[i]);
    for (size_t i = 0; i < f.count; i++)
        if (f.list[i].count > 1)
            try_family(&f, &wholes, &f.list[i]);
}

bool wm_pair_values(wm_draft *draft)
{
    pair_equal(draft);
    if (!pair_cast(draft))
        return false;
    pair_joined(draft, WM_SOURCE);
    pair_joined(draft, WM_TARGET);
    wm_pair_sums(draft);
    return true;
}
