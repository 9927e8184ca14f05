/* tile.c: proves that blocks cover a range exactly once.
 *
 * The sizes must add up to the range; then it is enough that nothing is covered twice, and that is decided by
 * taking the range apart:
 *   - Sorted by where they begin, blocks fall into groups that don't reach into each other: each must cover
 * its own part of the range.
 *   - A group of one block covers its part iff its steps are those of a mixed radix.
 *   - In a group of several, T is the longest step. If each block keeps to rows of T positions, then between
 * any two rows at which a block begins or ends all rows look the same, and one row is looked at in their
 * place.
 *   - If not (a diagonal beside its rest), the blocks with that step are taken apart into their indices.
 *   - What is still undecided, and small enough, is marked in a bitmap.
 * Each step only ever says yes or no where both sides are equivalent, so the order of these does not matter
 * to the answer, only to the effort, which is bounded. */
#include "runtime/tile.h"

#include <stdlib.h>
#include <string.h>

#define EFFORT      ((uint64_t)1 << 27) /* steps for all tensors of a plan */
#define MARKS       ((uint64_t)1 << 31) /* elements marked in bitmaps, for all tensors */
#define LARGEST_MAP ((uint64_t)1 << 30) /* bits */
#define SCRATCH     ((size_t)128 << 20) /* bytes of the arena beyond the blocks themselves */
#define KEEP        ((size_t)1 << 20)   /* bytes of the arena that are kept for the next tensor */

enum { DEPTH = 200 };

typedef struct wm_step {
    uint64_t extent;
    int64_t to;
} wm_step;

/* The positions base + sum of index[k] * steps[k].to, steps descending, all positive. */
struct wm_tile {
    int64_t base, last;
    uint64_t size;
    uint32_t count;
    const wm_step *steps;
};
typedef struct wm_tile tile;

/* The rows [row, row + rows) in each of which `inner` lies; its base is counted from the row's start. */
typedef struct strip {
    int64_t row, rows;
    tile inner;
} strip;

void wm_tiling_init(wm_tiling *t)
{
    *t = (wm_tiling){.effort = EFFORT, .bits = MARKS};
    wm_arena_init(&t->arena);
}

void wm_tiling_release(wm_tiling *t)
{
    wm_arena_release(&t->arena);
    free(t->tiles);
    t->tiles = NULL;
}

void wm_tiling_begin(wm_tiling *t, uint64_t size)
{
    t->size = size;
    t->count = 0;
    if (t->arena.used > KEEP)
        wm_arena_clear(&t->arena);
}

static int64_t span_of(const wm_step *steps, uint32_t count)
{
    int64_t span = 0;
    for (uint32_t k = 0; k < count; k++)
        span += steps[k].to * (int64_t)(steps[k].extent - 1);
    return span;
}

bool wm_tiling_add(wm_tiling *t, const wm_block *block)
{
    if (t->count == t->cap) {
        size_t cap = t->cap ? t->cap * 2 : 64, bytes;
        tile *grown = __builtin_mul_overflow(cap, sizeof *grown, &bytes) ? NULL : realloc(t->tiles, bytes);
        if (!grown)
            return false;
        t->tiles = grown;
        t->cap = cap;
    }
    wm_block flat = *block;
    wm_block_flatten(&flat);
    wm_step *steps = wm_new(&t->arena, wm_step, flat.count);
    if (!steps)
        return false;
    for (uint32_t k = 0; k < flat.count; k++)
        steps[k] = (wm_step){flat.axes[k].extent, flat.axes[k].to};
    t->tiles[t->count++] =
        (tile){flat.to, flat.to + wm_block_span(&flat), wm_block_size(&flat), flat.count, steps};
    return true;
}

/* ---- the parts of the proof ---- */

typedef struct prover {
    wm_tiling *tiling;
    size_t scratch; /* the arena may grow to this */
} prover;

static wm_tiled prove(prover *p, tile *list, size_t count, int64_t low, int64_t high, unsigned depth);

static bool spend(prover *p, uint64_t steps)
{
    if (p->tiling->effort < steps) {
        p->tiling->effort = 0;
        return false;
    }
    p->tiling->effort -= steps;
    return true;
}

/* NULL: `*why` says whether memory is out or the bound is reached. */
static void *scratch(prover *p, size_t count, size_t size, wm_tiled *why)
{
    *why = WM_TILING_UNDECIDED;
    if (count > SCRATCH / size || p->tiling->arena.used + count * size > p->scratch)
        return NULL;
    void *memory = wm_alloc_array(&p->tiling->arena, count, size);
    if (!memory)
        *why = WM_TILING_OOM;
    return memory;
}

static int by_base(const void *a, const void *b)
{
    const tile *x = a, *y = b;
    return x->base < y->base ? -1 : x->base > y->base;
}

static int by_row(const void *a, const void *b)
{
    const strip *x = a, *y = b;
    return x->row < y->row ? -1 : x->row > y->row;
}

static int by_number(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* Do the sizes add up to `room`? */
static bool adds_up(const tile *list, size_t count, int64_t room)
{
    uint64_t left = (uint64_t)room;
    for (size_t i = 0; i < count; i++) {
        if (list[i].size > left)
            return false;
        left -= list[i].size;
    }
    return left == 0;
}

static wm_tiled dense(const tile *t)
{
    int64_t next = 1;
    for (uint32_t k = t->count; k-- > 0;) {
        if (t->steps[k].to != next)
            return WM_NOT_TILED;
        next *= (int64_t)t->steps[k].extent;
    }
    return WM_TILED;
}

static int64_t longest_step(const tile *list, size_t count)
{
    int64_t longest = 0;
    for (size_t i = 0; i < count; i++)
        if (list[i].count && list[i].steps[0].to > longest)
            longest = list[i].steps[0].to;
    return longest;
}

/* A tile of one index of its first step. */
static tile index_of(const tile *t, int64_t index)
{
    tile one = {t->base + index * t->steps[0].to, 0, t->size / t->steps[0].extent, t->count - 1,
                t->steps + 1};
    one.last = one.base + span_of(one.steps, one.count);
    return one;
}

/* The indices [begin, end) of a tile's first step, which stays. */
static bool part_of(prover *p, const tile *t, int64_t begin, int64_t end, tile *part, wm_tiled *why)
{
    if (end - begin == 1) { /* no step of one index: the others are read as a mixed radix */
        *part = index_of(t, begin);
        return true;
    }
    wm_step *steps = scratch(p, t->count, sizeof *steps, why);
    if (!steps)
        return false;
    memcpy(steps, t->steps, t->count * sizeof *steps);
    steps[0].extent = (uint64_t)(end - begin);
    part->base = t->base + begin * t->steps[0].to;
    part->last = part->base + span_of(steps, t->count);
    part->size = t->size / t->steps[0].extent * steps[0].extent;
    part->count = t->count;
    part->steps = steps;
    return true;
}

/* Into rows of `row` positions, the first at `low`: up to three strips, for a first and a last row that are
 * not whole. 0 with `*why` if it is not made of such. */
static size_t strips_of(prover *p, const tile *t, int64_t low, int64_t row, strip out[3], wm_tiled *why)
{
    int64_t at = t->base - low, first = at / row, rest = at % row;
    *why = WM_TILING_UNDECIDED;
    if (t->count && t->steps[0].to == row) {
        tile inner = index_of(t, 0);
        if (rest + (inner.last - inner.base) >= row)
            return 0;
        out[0] = (strip){first, (int64_t)t->steps[0].extent, inner};
        return 1;
    }
    if (rest + (t->last - t->base) < row) {
        out[0] = (strip){first, 1, *t};
        return 1;
    }
    int64_t step = t->steps[0].to, extent = (int64_t)t->steps[0].extent;
    int64_t inner_span = span_of(t->steps + 1, t->count - 1);
    if (row % step != 0 || rest % step + inner_span >= step)
        return 0;
    /* `step` divides the row: its index counts on from row to row */
    int64_t per_row = row / step, phase = rest / step, begin = 0;
    size_t count = 0;
    if (phase) {
        begin = per_row - phase < extent ? per_row - phase : extent;
        out[count] = (strip){first++, 1, {0, 0, 0, 0, NULL}};
        if (!part_of(p, t, 0, begin, &out[count++].inner, why))
            return 0;
    }
    int64_t whole = (extent - begin) / per_row;
    if (whole) {
        out[count] = (strip){first, whole, {0, 0, 0, 0, NULL}};
        if (!part_of(p, t, begin, begin + per_row, &out[count++].inner, why))
            return 0;
        first += whole;
        begin += whole * per_row;
    }
    if (begin < extent) {
        out[count] = (strip){first, 1, {0, 0, 0, 0, NULL}};
        if (!part_of(p, t, begin, extent, &out[count++].inner, why))
            return 0;
    }
    return count;
}

/* Between the rows at which a strip begins or ends, one row is like the other. */
static wm_tiled prove_rows(prover *p, strip *strips, size_t count, int64_t row, int64_t rows, unsigned depth)
{
    wm_tiled why;
    int64_t *edges = scratch(p, 2 * count, sizeof *edges, &why);
    strip **active = edges ? scratch(p, count, sizeof *active, &why) : NULL;
    if (!active)
        return why;
    qsort(strips, count, sizeof *strips, by_row);
    for (size_t i = 0; i < count; i++) {
        edges[2 * i] = strips[i].row;
        edges[2 * i + 1] = strips[i].row + strips[i].rows;
    }
    qsort(edges, 2 * count, sizeof *edges, by_number);
    if (edges[0] != 0 || edges[2 * count - 1] != rows)
        return WM_NOT_TILED;
    size_t next = 0, live = 0;
    for (size_t e = 0; e + 1 < 2 * count; e++) {
        if (edges[e] == edges[e + 1])
            continue;
        size_t kept = 0;
        for (size_t i = 0; i < live; i++)
            if (active[i]->row + active[i]->rows > edges[e])
                active[kept++] = active[i];
        live = kept;
        while (next < count && strips[next].row <= edges[e])
            active[live++] = &strips[next++];
        if (!spend(p, live + 1))
            return WM_TILING_UNDECIDED;
        tile *list = scratch(p, live, sizeof *list, &why);
        if (!list)
            return why;
        for (size_t i = 0; i < live; i++)
            list[i] = active[i]->inner;
        wm_tiled result = prove(p, list, live, 0, row, depth + 1);
        if (result != WM_TILED)
            return result;
    }
    return WM_TILED;
}

static wm_tiled by_rows(prover *p, const tile *list, size_t count, int64_t low, int64_t high, int64_t row,
                        unsigned depth)
{
    wm_tiled why = WM_TILING_UNDECIDED;
    if ((high - low) % row != 0)
        return WM_TILING_UNDECIDED;
    strip *strips = count < SIZE_MAX / 3 ? scratch(p, 3 * count, sizeof *strips, &why) : NULL;
    if (!strips)
        return why;
    size_t made = 0;
    for (size_t i = 0; i < count; i++) {
        size_t n = strips_of(p, &list[i], low, row, strips + made, &why);
        if (n == 0)
            return why;
        for (size_t k = made; k < made + n; k++) { /* count from the start of its row */
            int64_t shift = low + strips[k].row * row;
            strips[k].inner.base -= shift;
            strips[k].inner.last -= shift;
        }
        made += n;
    }
    return prove_rows(p, strips, made, row, (high - low) / row, depth);
}

/* The tiles whose first step is `row` become one tile an index. */
static wm_tiled by_indices(prover *p, const tile *list, size_t count, int64_t low, int64_t high, int64_t row,
                           unsigned depth)
{
    wm_tiled why;
    uint64_t total = 0;
    for (size_t i = 0; i < count; i++) {
        total += list[i].count && list[i].steps[0].to == row ? list[i].steps[0].extent : 1;
        if (total > SCRATCH)
            return WM_TILING_UNDECIDED;
    }
    if (!spend(p, total))
        return WM_TILING_UNDECIDED;
    tile *apart = scratch(p, (size_t)total, sizeof *apart, &why);
    if (!apart)
        return why;
    size_t made = 0;
    for (size_t i = 0; i < count; i++) {
        if (!list[i].count || list[i].steps[0].to != row) {
            apart[made++] = list[i];
            continue;
        }
        for (uint64_t k = 0; k < list[i].steps[0].extent; k++)
            apart[made++] = index_of(&list[i], (int64_t)k);
    }
    return prove(p, apart, made, low, high, depth + 1);
}

/* Marks the positions of a tile; false if one was marked before. */
static bool mark(uint64_t *map, const tile *t, int64_t low)
{
    uint64_t index[WM_MOVE_AXES] = {0};
    int64_t at = t->base - low;
    for (;;) {
        uint64_t bit = 1ull << (at & 63), *word = &map[at >> 6];
        if (*word & bit)
            return false;
        *word |= bit;
        uint32_t k = t->count;
        while (k-- > 0) {
            at += t->steps[k].to;
            if (++index[k] < t->steps[k].extent)
                break;
            at -= t->steps[k].to * (int64_t)t->steps[k].extent;
            index[k] = 0;
        }
        if (k == UINT32_MAX)
            return true;
    }
}

static wm_tiled by_bitmap(prover *p, const tile *list, size_t count, int64_t low, int64_t high)
{
    uint64_t bits = (uint64_t)(high - low);
    if (bits > LARGEST_MAP || bits > p->tiling->bits)
        return WM_TILING_UNDECIDED;
    p->tiling->bits -= bits;
    uint64_t *map = calloc((size_t)(bits / 64 + 1), sizeof *map);
    if (!map)
        return WM_TILING_OOM;
    bool good = true;
    for (size_t i = 0; good && i < count; i++)
        good = mark(map, &list[i], low);
    free(map);
    return good ? WM_TILED : WM_NOT_TILED; /* as many marks as there are positions */
}

/* Tiles that reach into each other. */
static wm_tiled prove_group(prover *p, tile *list, size_t count, int64_t low, int64_t high, unsigned depth)
{
    if (!adds_up(list, count, high - low))
        return WM_NOT_TILED;
    if (count == 1)
        return dense(list);
    int64_t row = longest_step(list, count);
    if (row == 0)
        return WM_NOT_TILED; /* single elements at one position */
    wm_tiled result = by_rows(p, list, count, low, high, row, depth);
    if (result == WM_TILING_UNDECIDED)
        result = by_indices(p, list, count, low, high, row, depth);
    if (result == WM_TILING_UNDECIDED)
        result = by_bitmap(p, list, count, low, high);
    return result;
}

/* Do the tiles cover [low, high)? All of them lie in it. Reorders them. */
static wm_tiled prove(prover *p, tile *list, size_t count, int64_t low, int64_t high, unsigned depth)
{
    if (!adds_up(list, count, high - low))
        return WM_NOT_TILED;
    if (depth > DEPTH || !spend(p, count))
        return WM_TILING_UNDECIDED;
    qsort(list, count, sizeof *list, by_base);
    int64_t at = low;
    for (size_t i = 0, end; i < count; i = end) {
        int64_t reach = list[i].last + 1;
        if (list[i].base != at)
            return WM_NOT_TILED; /* a gap: what follows begins later still */
        for (end = i + 1; end < count && list[end].base < reach; end++)
            reach = list[end].last + 1 > reach ? list[end].last + 1 : reach;
        wm_tiled result = prove_group(p, list + i, end - i, at, reach, depth);
        if (result != WM_TILED)
            return result;
        at = reach;
    }
    return at == high ? WM_TILED : WM_NOT_TILED;
}

wm_tiled wm_tiling_check(wm_tiling *t)
{
    if (t->size == 0 || t->count == 0)
        return t->size == 0 && t->count == 0 ? WM_TILED : WM_NOT_TILED;
    prover p = {t, t->arena.used + SCRATCH};
    return prove(&p, t->tiles, t->count, 0, (int64_t)t->size, 0);
}
