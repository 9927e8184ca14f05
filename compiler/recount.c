/* recount.c: digits that count the same elements in two ways, `where (a b) = (q p)`: cut into the parts in
 * which both run evenly. Digits that run on into each other are one; equal ones, and those of which one
 * divides the other, run together; what remains is cut wherever the fastest digit of either side wraps. */
#include <string.h>

#include "compiler/pass.h"

/* One way to count: the slowest digit first. */
typedef struct counting {
    wm_digit *list;
    uint32_t count;
} counting;

typedef struct recounter {
    wm_arena *arena;
    uint32_t dims;
    wm_digit *common; /* found so far: the fastest of all, in reverse */
    uint32_t common_count;
    wm_box *boxes;
    size_t count, cap, most;
    bool over;
} recounter;

static wm_digit digit_of(const recounter *r, uint64_t extent, const int64_t *steps, int64_t times)
{
    wm_digit d = {extent, wm_new(r->arena, int64_t, r->dims)};
    for (uint32_t k = 0; k < r->dims; k++)
        d.steps[k] = steps[k] * times;
    return d;
}

/* Both run: the steps of one are 0 where those of the other aren't. */
static wm_digit together(const recounter *r, uint64_t extent, const int64_t *a, int64_t a_times,
                         const int64_t *b, int64_t b_times)
{
    wm_digit d = digit_of(r, extent, a, a_times);
    for (uint32_t k = 0; k < r->dims; k++)
        d.steps[k] += b[k] * b_times;
    return d;
}

/* Without digits of one, and with those joined that run on into each other. */
static counting tidy(const recounter *r, const wm_digit *list, uint32_t count)
{
    counting c = {wm_new(r->arena, wm_digit, count), 0};
    for (uint32_t i = 0; i < count; i++) {
        if (list[i].extent == 1)
            continue;
        wm_digit *before = c.count ? &c.list[c.count - 1] : NULL;
        bool joins = before != NULL;
        for (uint32_t k = 0; joins && k < r->dims; k++)
            joins = before->steps[k] == list[i].steps[k] * (int64_t)list[i].extent;
        if (joins) /* extents of one tensor: their product is below 2^63 */
            *before = (wm_digit){before->extent * list[i].extent, list[i].steps};
        else
            c.list[c.count++] = list[i];
    }
    return c;
}

static void add_box(recounter *r, const int64_t *start, const wm_digit *digits, uint32_t count)
{
    if (r->count == r->most)
        r->over = true;
    if (r->over)
        return;
    wm_box *box = wm_push(r->arena, r->boxes, r->count, r->cap);
    *box =
        (wm_box){wm_new(r->arena, int64_t, r->dims), wm_new(r->arena, wm_digit, count + r->common_count), 0};
    if (start)
        memcpy(box->start, start, r->dims * sizeof *start);
    for (uint32_t i = 0; i < count; i++)
        box->digits[box->count++] = digits[i];
    for (uint32_t i = r->common_count; i-- > 0;)
        box->digits[box->count++] = r->common[i];
}

/* The position of element `at` of a counting, added to `start`. */
static void add_position(const recounter *r, const counting *c, uint64_t at, int64_t *start)
{
    for (uint32_t i = c->count; i-- > 0;) {
        int64_t index = (int64_t)(at % c->list[i].extent);
        at /= c->list[i].extent;
        for (uint32_t k = 0; k < r->dims; k++)
            start[k] += c->list[i].steps[k] * index;
    }
}

static uint64_t size_of(const counting *c)
{
    uint64_t size = 1;
    for (uint32_t i = 0; i < c->count; i++)
        size *= c->list[i].extent;
    return size;
}

/* Neither fastest digit divides the other: a part from each wrap to the next. */
static void cut(recounter *r, const counting *a, const counting *b)
{
    const wm_digit *x = &a->list[a->count - 1], *y = &b->list[b->count - 1];
    uint64_t size = size_of(a);
    for (uint64_t at = 0, next; at < size && !r->over; at = next) {
        uint64_t after_x = at - at % x->extent + x->extent, after_y = at - at % y->extent + y->extent;
        next = after_x < after_y ? after_x : after_y;
        int64_t *start = wm_new(r->arena, int64_t, r->dims);
        wm_digit run = together(r, next - at, x->steps, 1, y->steps, 1);
        add_position(r, a, at, start);
        add_position(r, b, at, start);
        add_box(r, start, &run, next - at > 1);
    }
}

/* One counting is a single run: the other's digits are steps along it. */
static void follow(recounter *r, const wm_digit *run, const counting *other)
{
    wm_digit *digits = wm_new(r->arena, wm_digit, other->count);
    int64_t times = 1;
    for (uint32_t i = other->count; i-- > 0;) {
        digits[i] = together(r, other->list[i].extent, other->list[i].steps, 1, run->steps, times);
        times *= (int64_t)other->list[i].extent;
    }
    add_box(r, NULL, digits, other->count);
}

wm_box *wm_recount_boxes(wm_arena *arena, const wm_digit *from, uint32_t from_count, const wm_digit *to,
                         uint32_t to_count, uint32_t dims, size_t most, size_t *count)
{
    recounter r = {.arena = arena, .dims = dims, .most = most};
    counting a = tidy(&r, from, from_count), b = tidy(&r, to, to_count);
    size_t cap = 0, commons = 0;
    while (a.count > 1 && b.count > 1) {
        wm_digit *x = &a.list[a.count - 1], *y = &b.list[b.count - 1];
        uint64_t common = x->extent < y->extent ? x->extent : y->extent;
        if (x->extent % common || y->extent % common)
            break;
        *wm_push(arena, r.common, commons, cap) = together(&r, common, x->steps, 1, y->steps, 1);
        r.common_count = (uint32_t)commons;
        for (int side = 0; side < 2; side++) {
            wm_digit *d = side ? y : x;
            if (d->extent == common)
                (side ? &b : &a)->count--;
            else
                *d = digit_of(&r, d->extent / common, d->steps, (int64_t)common);
        }
    }
    if (a.count == 0 && b.count == 0)
        add_box(&r, NULL, NULL, 0);
    else if (a.count <= 1)
        follow(&r, a.list, &b);
    else if (b.count <= 1)
        follow(&r, b.list, &a);
    else
        cut(&r, &a, &b);
    *count = r.count;
    return r.over ? NULL : r.boxes;
}
