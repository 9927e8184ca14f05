/* move.c: every kernel and every cut against a loop over single elements, for shapes, strides, signs, element
 * sizes and ranges drawn at random. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/move.h"

static uint64_t seed = 0x2545f4914f6cdd1du;

static uint64_t draw(uint64_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (seed >> 11) % below;
}

enum { ROOM = 1 << 17 };
static uint8_t *source, *expect, *actual;

static int allocate(void **state)
{
    (void)state;
    source = malloc((size_t)ROOM * 16);
    expect = malloc((size_t)ROOM * 16);
    actual = malloc((size_t)ROOM * 16);
    for (size_t i = 0; source && i < (size_t)ROOM * 16; i++)
        source[i] = (uint8_t)draw(256);
    return source && expect && actual ? 0 : -1;
}

static int release(void **state)
{
    (void)state;
    free(source);
    free(expect);
    free(actual);
    return 0;
}

/* What a block means, element by element, for targets in [low, high). */
static uint64_t naive(const wm_block *b, uint8_t *to, const uint8_t *from, uint32_t size, int64_t low,
                      int64_t high)
{
    uint64_t index[WM_MOVE_AXES] = {0}, done = 0;
    for (;;) {
        int64_t t = b->to, f = b->from;
        for (uint32_t k = 0; k < b->count; k++) {
            t += (int64_t)index[k] * b->axes[k].to;
            f += (int64_t)index[k] * b->axes[k].from;
        }
        if (t >= low && t < high) {
            memcpy(to + (t - low) * (int64_t)size, from + f * (int64_t)size, size);
            done++;
        }
        uint32_t k = b->count;
        while (k > 0 && ++index[k - 1] == b->axes[k - 1].extent)
            index[--k] = 0;
        if (k == 0)
            return done;
    }
}

/* A permuted box with gaps, flips and offsets on both sides; extents of 1 among them. With `diagonal` the
 * target's steps are sums of two dimensions'. */
static wm_block draw_block(bool diagonal)
{
    wm_block b = {.count = (uint32_t)draw(5)};
    uint64_t room = 4096;
    uint32_t order[5], n = b.count;
    for (uint32_t k = 0; k < n; k++) {
        uint64_t most = draw(2) ? 70 : 9;
        b.axes[k].extent = 1 + draw(most < room ? most : room);
        room = room / b.axes[k].extent ? room / b.axes[k].extent : 1;
        order[k] = k;
    }
    for (int side = 0; side < 2; side++) {
        for (uint32_t i = n; i-- > 1;) {
            uint32_t j = (uint32_t)draw(i + 1), keep = order[i];
            order[i] = order[j];
            order[j] = keep;
        }
        int64_t step = draw(4) ? 1 : 1 + (int64_t)draw(3), base = (int64_t)draw(5);
        for (uint32_t i = 0; i < n; i++) {
            wm_axis *a = &b.axes[order[i]];
            int64_t signed_step = draw(4) ? step : -step, reach = step * (int64_t)(a->extent - 1);
            if (side)
                a->from = signed_step;
            else
                a->to = signed_step;
            if (signed_step < 0)
                base += reach;
            step *= (int64_t)a->extent;
            if (draw(5) == 0)
                step += (int64_t)draw(4);
        }
        if (side)
            b.from = base;
        else
            b.to = base;
    }
    if (diagonal &&
        n) { /* two dimensions of equal extent, both indexed by axis 0: alone, so that it is injective */
        b.count = 1;
        b.axes[0].to = (int64_t)b.axes[0].extent + 1;
        b.axes[0].from = draw(2) ? 0 : b.axes[0].from; /* repeated along the diagonal */
        b.to = 0;
        b.from = b.axes[0].from < 0 ? -b.axes[0].from * (int64_t)(b.axes[0].extent - 1) : 0;
    }
    return b;
}

typedef struct sink {
    uint8_t *to;
    uint32_t size;
    uint64_t elements, parts;
    int64_t limit;
} sink;

static bool take(void *user, const wm_block *part)
{
    sink *s = user;
    assert_true(part->to >= 0 && part->to + wm_block_span(part) < s->limit);
    wm_block_copy(part, s->to, source, s->size);
    s->elements += wm_block_size(part);
    s->parts++;
    return true;
}

static void check_block(const wm_block *given, uint32_t size)
{
    wm_block b = *given;
    wm_block_tidy(&b);
    assert_int_equal(wm_block_size(&b), wm_block_size(given));
    for (uint32_t k = 0; k + 1 < b.count; k++)
        assert_true(b.axes[k].to >= b.axes[k + 1].to && b.axes[k].extent > 1);
    int64_t end = b.to + wm_block_span(&b) + 1, low_from, high_from;
    wm_block_reach(&b, &low_from, &high_from);
    assert_true(low_from >= 0 && high_from < ROOM && end < ROOM);
    size_t bytes = (size_t)end * size;
    memset(expect, 0x5a, bytes);
    memset(actual, 0x5a, bytes);
    naive(given, expect, source, size, 0, end);
    wm_block_copy(&b, actual, source, size);
    assert_memory_equal(expect, actual, bytes);
    for (int cut = 0; cut < 4; cut++) { /* any range */
        int64_t low = (int64_t)draw((uint64_t)end + 1), high = low + (int64_t)draw((uint64_t)(end - low) + 1);
        sink s = {actual, size, 0, 0, high - low};
        memset(expect, 0x5a, bytes);
        memset(actual, 0x5a, bytes);
        uint64_t elements = naive(given, expect, source, size, low, high);
        assert_true(wm_block_clip(&b, low, high, take, &s));
        assert_int_equal(s.elements, elements);
        assert_memory_equal(expect, actual, bytes);
    }
    uint8_t element[16];
    memcpy(element, source + 16 * draw(100), 16);
    if (draw(3) == 0)
        memset(element, 0x77, 16);
    wm_block fill = *given;
    for (uint32_t k = 0; k < fill.count; k++)
        fill.axes[k].from = 0;
    fill.from = 0;
    memset(expect, 0x5a, bytes);
    memset(actual, 0x5a, bytes);
    naive(&fill, expect, element, size, 0, end);
    wm_block_fill(&b, actual, element, size);
    assert_memory_equal(expect, actual, bytes);
}

static void test_random_blocks(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {1, 2, 4, 8, 16};
    for (int n = 0; n < 6000; n++) {
        wm_block b = draw_block(n % 11 == 0);
        check_block(&b, sizes[n % 5]);
    }
}

/* Odd sizes around the squares of every kernel. */
static void test_transposes(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {1, 2, 4, 8, 16};
    for (size_t s = 0; s < 5; s++)
        for (size_t rows = 1; rows < 40; rows++)
            for (size_t columns = 1; columns < 40; columns++) {
                wm_block b = {
                    2, 3, 5, {{columns, (int64_t)rows, 1}, {rows, 1, (int64_t)columns + (int64_t)draw(3)}}};
                if (draw(3) == 0) { /* read backwards */
                    b.axes[0].from = -1;
                    b.from += (int64_t)columns - 1;
                }
                check_block(&b, sizes[s]);
            }
    wm_block large = {2, 0, 0, {{300, 200, 1}, {200, 1, 300}}};
    for (size_t s = 0; s < 5; s++)
        check_block(&large, sizes[s]);
}

static void test_tidy_joins(void **state)
{
    (void)state;
    wm_block b = {4, 0, 0, {{2, 12, 12}, {1, 99, -7}, {3, 4, 4}, {4, 1, 1}}};
    wm_block_tidy(&b);
    assert_int_equal(b.count, 1);
    assert_int_equal(b.axes[0].extent, 24);
    wm_block flipped = {2, 3, 0, {{4, -1, 2}, {2, 4, 1}}}; /* a backwards axis in the target turns round */
    wm_block_tidy(&flipped);
    assert_int_equal(flipped.to, 0);
    assert_int_equal(flipped.from, 6);
    assert_int_equal(flipped.axes[1].from, -2);
    wm_block fill = {2, 0, 0, {{4, 5, 0}, {5, 1, 0}}}; /* one constant: contiguous in the target is enough */
    wm_block_flatten(&fill);
    assert_int_equal(fill.count, 1);
}

static bool count(void *user, const wm_block *part)
{
    uint64_t *tally = user;
    tally[0] += wm_block_size(part);
    tally[1]++;
    return true;
}

/* Cutting costs steps by axes, not by elements. */
static void test_clip_is_closed_form(void **state)
{
    (void)state;
    uint64_t e = (uint64_t)1 << 20;
    wm_block b = {
        3,
        0,
        0,
        {{e, (int64_t)1 << 40, 1}, {e, (int64_t)1 << 20, (int64_t)1 << 20}, {e, 1, (int64_t)1 << 40}}};
    int64_t low = ((int64_t)1 << 50) + 12345, high = low + ((int64_t)1 << 45) + 777;
    uint64_t tally[2] = {0, 0};
    assert_true(wm_block_clip(&b, low, high, count, tally));
    assert_int_equal(tally[0], (uint64_t)(high - low));
    assert_true(tally[1] <= 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_blocks),
        cmocka_unit_test(test_transposes),
        cmocka_unit_test(test_tidy_joins),
        cmocka_unit_test(test_clip_is_closed_form),
    };
    return cmocka_run_group_tests(tests, allocate, release);
}
