/* move.c: strided block copies: made simple, cut to a range of the target, and carried out by the kernel that
 * fits. */
#include "runtime/move.h"

#include <string.h>

/* ---- simplifying ---- */

static void remove_axis(wm_block *b, uint32_t at)
{
    memmove(b->axes + at, b->axes + at + 1, (b->count - at - 1) * sizeof *b->axes);
    b->count--;
}

/* Joins axis k + 1 into axis k where the one goes on where the other ends. */
static void join(wm_block *b, bool source)
{
    for (uint32_t k = b->count; k-- > 1;) {
        wm_axis *outer = &b->axes[k - 1], *inner = &b->axes[k];
        int64_t extent = (int64_t)inner->extent;
        if (outer->to != inner->to * extent || (source && outer->from != inner->from * extent))
            continue;
        inner->extent *= outer->extent;
        remove_axis(b, k - 1);
    }
}

void wm_block_tidy(wm_block *b)
{
    for (uint32_t k = b->count; k-- > 0;) {
        wm_axis *a = &b->axes[k];
        if (a->extent == 1) {
            remove_axis(b, k);
        } else if (a->to < 0) { /* run backwards: from the last element */
            b->to += a->to * (int64_t)(a->extent - 1);
            b->from += a->from * (int64_t)(a->extent - 1);
            a->to = -a->to;
            a->from = -a->from;
        }
    }
    for (uint32_t i = 1; i < b->count; i++)
        for (uint32_t j = i; j > 0 && b->axes[j].to > b->axes[j - 1].to; j--) {
            wm_axis keep = b->axes[j];
            b->axes[j] = b->axes[j - 1];
            b->axes[j - 1] = keep;
        }
    join(b, true);
}

void wm_block_flatten(wm_block *b)
{
    join(b, false);
}

uint64_t wm_block_size(const wm_block *b)
{
    uint64_t size = 1;
    for (uint32_t k = 0; k < b->count; k++)
        size *= b->axes[k].extent;
    return size;
}

static int64_t span_from(const wm_block *b, uint32_t axis)
{
    int64_t span = 0;
    for (uint32_t k = axis; k < b->count; k++)
        span += b->axes[k].to * (int64_t)(b->axes[k].extent - 1);
    return span;
}

int64_t wm_block_span(const wm_block *b)
{
    return span_from(b, 0);
}

void wm_block_reach(const wm_block *b, int64_t *low, int64_t *high)
{
    *low = *high = b->from;
    for (uint32_t k = 0; k < b->count; k++) {
        int64_t reach = b->axes[k].from * (int64_t)(b->axes[k].extent - 1);
        *(reach < 0 ? low : high) += reach;
    }
}

/* ---- cutting ---- */

typedef struct clipper {
    const wm_block *block;
    int64_t low, high;
    bool (*each)(void *user, const wm_block *part);
    void *user;
} clipper;

/* a / b rounded up and down, b > 0 */
static int64_t up(int64_t a, int64_t b)
{
    return a > 0 ? (a - 1) / b + 1 : -(-a / b);
}

static int64_t down(int64_t a, int64_t b)
{
    return a >= 0 ? a / b : -((-a - 1) / b) - 1;
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* All of the axes from `axis` on, of which that one runs over [begin, end). */
static bool emit(const clipper *c, uint32_t axis, int64_t to, int64_t from, int64_t begin, int64_t end)
{
    wm_block part;
    part.count = c->block->count - axis;
    memcpy(part.axes, c->block->axes + axis, part.count * sizeof *part.axes);
    part.to = to - c->low;
    part.from = from;
    if (part.count) {
        part.to += begin * part.axes[0].to;
        part.from += begin * part.axes[0].from;
        part.axes[0].extent = (uint64_t)(end - begin);
    }
    return c->each(c->user, &part);
}

/* The axes before `axis` are fixed at (to, from). An index of this axis whose inner axes all lie in the range
 * joins one block with its neighbours; one that reaches across an end of it is cut further in. */
static bool clip(const clipper *c, uint32_t axis, int64_t to, int64_t from)
{
    const wm_block *b = c->block;
    if (axis == b->count)
        return to < c->low || to >= c->high || emit(c, axis, to, from, 0, 0);
    const wm_axis *a = &b->axes[axis];
    int64_t inner = span_from(b, axis + 1), extent = (int64_t)a->extent;
    int64_t touch = most(0, up(c->low - to - inner, a->to)),
            untouched = least(extent, down(c->high - 1 - to, a->to) + 1);
    int64_t begin = most(touch, up(c->low - to, a->to)),
            end = least(untouched, down(c->high - 1 - inner - to, a->to) + 1);
    if (begin > end)
        begin = end = untouched > touch ? untouched : touch;
    for (int64_t i = touch; i < least(begin, untouched); i++)
        if (!clip(c, axis + 1, to + i * a->to, from + i * a->from))
            return false;
    if (begin < end && !emit(c, axis, to, from, begin, end))
        return false;
    for (int64_t i = most(end, touch); i < untouched; i++)
        if (!clip(c, axis + 1, to + i * a->to, from + i * a->from))
            return false;
    return true;
}

bool wm_block_clip(const wm_block *block, int64_t low, int64_t high,
                   bool (*each)(void *user, const wm_block *part), void *user)
{
    clipper c = {block, low, high, each, user};
    return clip(&c, 0, block->to, block->from);
}

/* ---- copying ---- */

/* Two axes of a block, the rest of which is walked by an odometer. */
typedef struct walk {
    const wm_block *block;
    uint32_t order[WM_MOVE_AXES]; /* axes of the odometer, slowest first */
    uint32_t count;
    uint64_t index[WM_MOVE_AXES];
    int64_t to, from;
} walk;

static void walk_begin(walk *w, const wm_block *b, uint32_t without, uint32_t and_without)
{
    w->block = b;
    w->count = 0;
    w->to = b->to;
    w->from = b->from;
    for (uint32_t k = 0; k < b->count; k++)
        if (k != without && k != and_without) {
            w->index[w->count] = 0;
            w->order[w->count++] = k;
        }
}

static bool walk_on(walk *w)
{
    for (uint32_t i = w->count; i-- > 0;) {
        const wm_axis *a = &w->block->axes[w->order[i]];
        w->to += a->to;
        w->from += a->from;
        if (++w->index[i] < a->extent)
            return true;
        w->to -= a->to * (int64_t)a->extent;
        w->from -= a->from * (int64_t)a->extent;
        w->index[i] = 0;
    }
    return false;
}

#define COPY_LOOP(type)                                                                                      \
    for (uint64_t i = 0; i < n; i++) {                                                                       \
        type element;                                                                                        \
        memcpy(&element, from, sizeof element);                                                              \
        memcpy(to, &element, sizeof element);                                                                \
        to += to_step;                                                                                       \
        from += from_step;                                                                                   \
    }

typedef struct pair {
    uint64_t low, high;
} pair;

/* `n` elements, steps in bytes. */
static void copy_line(uint8_t *to, int64_t to_step, const uint8_t *from, int64_t from_step, uint64_t n,
                      uint32_t size)
{
    switch (size) {
    case 1:
        COPY_LOOP(uint8_t)
        break;
    case 2:
        COPY_LOOP(uint16_t)
        break;
    case 4:
        COPY_LOOP(uint32_t)
        break;
    case 8:
        COPY_LOOP(uint64_t)
        break;
    default:
        COPY_LOOP(pair)
        break;
    }
}

static uint64_t distance(int64_t step)
{
    return step < 0 ? 0 - (uint64_t)step : (uint64_t)step;
}

enum { NO_AXIS = UINT32_MAX };

/* The axis along which the source is walked in the shortest steps. */
static uint32_t shortest_source(const wm_block *b)
{
    uint32_t best = NO_AXIS;
    for (uint32_t k = 0; k < b->count; k++)
        if (best == NO_AXIS || distance(b->axes[k].from) < distance(b->axes[best].from))
            best = k;
    return best;
}

/* Lines along the last axis. If the source is contiguous along another one, tiles of both, so that each line
 * of the cache that is fetched is used while it is there. */
static void copy_generic(const wm_block *b, uint8_t *to, const uint8_t *from, uint32_t size, uint32_t other)
{
    enum { TILE = 32 };
    uint32_t last = b->count - 1;
    int64_t s = size;
    const wm_axis *x = &b->axes[last], *y = other == last ? NULL : &b->axes[other];
    walk w;
    walk_begin(&w, b, last, other);
    do {
        uint8_t *t = to + w.to * s;
        const uint8_t *f = from + w.from * s;
        if (!y) {
            copy_line(t, x->to * s, f, x->from * s, x->extent, size);
            continue;
        }
        for (uint64_t j = 0; j < y->extent; j += TILE)
            for (uint64_t i = 0; i < x->extent; i += TILE) {
                uint64_t rows = y->extent - j < TILE ? y->extent - j : TILE;
                uint64_t n = x->extent - i < TILE ? x->extent - i : TILE;
                for (uint64_t r = j; r < j + rows; r++)
                    copy_line(t + ((int64_t)r * y->to + (int64_t)i * x->to) * s, x->to * s,
                              f + ((int64_t)r * y->from + (int64_t)i * x->from) * s, x->from * s, n, size);
            }
    } while (walk_on(&w));
}

static void copy_rows(const wm_block *b, uint8_t *to, const uint8_t *from, uint32_t size)
{
    uint32_t last = b->count - 1;
    int64_t s = size;
    size_t bytes = (size_t)b->axes[last].extent * size;
    walk w;
    walk_begin(&w, b, last, last);
    do
        memcpy(to + w.to * s, from + w.from * s, bytes);
    while (walk_on(&w));
}

/* The target is contiguous along the last axis, the source along `other`. */
static void copy_transposed(const wm_block *b, uint8_t *to, const uint8_t *from, uint32_t size,
                            uint32_t other)
{
    const wm_axis *x = &b->axes[b->count - 1], *y = &b->axes[other];
    int64_t s = size, to_step = y->to * s;
    int64_t to_shift = 0, from_shift = 0;
    if (y->from < 0) { /* read forwards, write the rows backwards */
        to_shift = y->to * (int64_t)(y->extent - 1);
        from_shift = y->from * (int64_t)(y->extent - 1);
        to_step = -to_step;
    }
    walk w;
    walk_begin(&w, b, b->count - 1, other);
    do
        wm_transpose(to + (w.to + to_shift) * s, to_step, from + (w.from + from_shift) * s, x->from * s,
                     (size_t)x->extent, (size_t)y->extent, size);
    while (walk_on(&w));
}

void wm_block_copy(const wm_block *b, uint8_t *to, const uint8_t *from, uint32_t size)
{
    if (b->count == 0) {
        memcpy(to + b->to * (int64_t)size, from + b->from * (int64_t)size, size);
        return;
    }
    const wm_axis *last = &b->axes[b->count - 1];
    uint32_t other = shortest_source(b);
    if (last->to == 1 && last->from == 1)
        copy_rows(b, to, from, size);
    else if (last->to == 1 && other != b->count - 1 && distance(b->axes[other].from) == 1)
        copy_transposed(b, to, from, size, other);
    else
        copy_generic(b, to, from, size, other);
}

/* ---- filling ---- */

static void fill_line(uint8_t *to, int64_t step, uint64_t n, const uint8_t *element, uint32_t size)
{
    bool same = true;
    for (uint32_t i = 1; i < size; i++)
        same &= element[i] == element[0];
    if (step == size && same)
        memset(to, element[0], (size_t)n * size);
    else
        copy_line(to, step, element, 0, n, size);
}

void wm_block_fill(const wm_block *block, uint8_t *to, const uint8_t *element, uint32_t size)
{
    wm_block b = *block;
    int64_t s = size;
    wm_block_flatten(&b);
    if (b.count == 0) {
        memcpy(to + b.to * s, element, size);
        return;
    }
    const wm_axis *last = &b.axes[b.count - 1];
    walk w;
    walk_begin(&w, &b, b.count - 1, b.count - 1);
    do
        fill_line(to + w.to * s, last->to * s, last->extent, element, size);
    while (walk_on(&w));
}
