/* tile.c: covers drawn at random, sound and broken, against marking every element; and that those of the
 * forms that the compiler emits are decided without a bitmap, however large they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/tile.h"

static uint64_t seed = 0x853c49e6748fea9bu;

static uint64_t draw(uint64_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (seed >> 11) % below;
}

enum { MOST = 4096 };

static wm_block blocks[MOST];
static size_t block_count;

/* By elements. */
static bool covers(uint64_t size)
{
    uint8_t *seen = calloc(size + 1, 1);
    uint64_t marked = 0;
    bool good = true;
    for (size_t b = 0; good && b < block_count; b++) {
        uint64_t index[WM_MOVE_AXES] = {0};
        for (bool more = true; good && more;) {
            int64_t at = blocks[b].to;
            for (uint32_t k = 0; k < blocks[b].count; k++)
                at += (int64_t)index[k] * blocks[b].axes[k].to;
            good = at >= 0 && (uint64_t)at < size && !seen[at]++;
            marked++;
            uint32_t k = blocks[b].count;
            while (k > 0 && ++index[k - 1] == blocks[b].axes[k - 1].extent)
                index[--k] = 0;
            more = k > 0;
        }
    }
    free(seen);
    return good && marked == size;
}

static wm_tiled check(uint64_t size, uint64_t bits)
{
    wm_tiling t;
    wm_tiling_init(&t);
    t.bits = bits;
    wm_tiling_begin(&t, size);
    for (size_t b = 0; b < block_count; b++) {
        wm_block tidy = blocks[b];
        wm_block_tidy(&tidy);
        assert_true(wm_tiling_add(&t, &tidy));
    }
    wm_tiled result = wm_tiling_check(&t);
    wm_tiling_release(&t);
    return result;
}

typedef struct box {
    uint32_t rank;
    uint64_t start[6], extent[6];
} box;

/* Cuts a box of an array into parts, and each part into axes, as placements do: blocks of dimensions, factors
 * of dimensions in any order, flips. */
static void cut(const box *whole, const uint64_t *shape, unsigned depth)
{
    if (depth && draw(4) && block_count < 60) {
        uint32_t d = (uint32_t)draw(whole->rank);
        if (whole->extent[d] > 1) {
            box a = *whole, b = *whole;
            a.extent[d] = 1 + draw(whole->extent[d] - 1);
            b.start[d] += a.extent[d];
            b.extent[d] -= a.extent[d];
            cut(&a, shape, depth - 1);
            cut(&b, shape, depth - 1);
            return;
        }
    }
    wm_block *m = &blocks[block_count++];
    *m = (wm_block){0};
    int64_t stride = 1;
    for (uint32_t d = whole->rank; d-- > 0;) {
        uint64_t extent = whole->extent[d], inner = 1;
        m->to += (int64_t)whole->start[d] * stride;
        while (extent > 1) { /* a factor */
            uint64_t factor = extent;
            for (uint64_t f = 2; f < extent && draw(2); f++)
                if (extent % f == 0)
                    factor = f;
            wm_axis axis = {factor, (int64_t)inner * stride, (int64_t)draw(100)};
            if (draw(4) == 0) {
                m->to += axis.to * (int64_t)(factor - 1);
                axis.to = -axis.to;
            }
            m->axes[m->count++] = axis;
            inner *= factor;
            extent /= factor;
        }
        stride *= (int64_t)shape[d];
    }
}

static uint64_t draw_cover(void)
{
    box whole = {.rank = 1 + (uint32_t)draw(4)};
    uint64_t size = 1;
    for (uint32_t d = 0; d < whole.rank; d++) {
        whole.extent[d] = 1 + draw(d % 2 ? 12 : 7);
        size *= whole.extent[d];
    }
    block_count = 0;
    cut(&whole, whole.extent, (unsigned)draw(7));
    return size;
}

static void test_random_covers(void **state)
{
    (void)state;
    unsigned undecided = 0, broken = 0;
    for (int n = 0; n < 20000; n++) {
        uint64_t size = draw_cover();
        assert_true(covers(size));
        assert_int_equal(check(size, UINT64_MAX), WM_TILED);
        undecided += check(size, 0) != WM_TILED;
        /* one thing wrong */
        wm_block *b = &blocks[draw(block_count)];
        switch (draw(5)) {
        case 0:
            b->to += b->to > 0 && draw(2) ? -1 : 1;
            break;
        case 1:
            *b = blocks[draw(block_count)];
            break;
        case 2:
            if (b->count)
                b->axes[draw(b->count)].extent++;
            break;
        case 3:
            if (b->count) {
                wm_axis *a = &b->axes[draw(b->count)];
                a->to += a->to > 0 ? 1 : -1;
            }
            break;
        default:
            *b = blocks[--block_count];
            break;
        }
        /* as the verifier does, only what lies in the range is asked about */
        bool inside = true;
        for (size_t i = 0; i < block_count; i++) {
            wm_block tidy = blocks[i];
            wm_block_tidy(&tidy);
            inside &= tidy.to >= 0 && (uint64_t)(tidy.to + wm_block_span(&tidy)) < size;
        }
        if (!inside)
            continue;
        bool sound = covers(size);
        broken += !sound;
        assert_int_equal(check(size, UINT64_MAX), sound ? WM_TILED : WM_NOT_TILED);
        assert_true(check(size, 0) != (sound ? WM_NOT_TILED : WM_TILED));
    }
    assert_true(broken > 5000);
    assert_true(undecided < 200); /* blocks with factors that fit nothing around them: a bitmap is for them */
}

static void add(int64_t to, uint32_t count, const wm_axis *axes)
{
    blocks[block_count].count = count;
    blocks[block_count].to = to;
    if (count)
        memcpy(blocks[block_count].axes, axes, count * sizeof *axes);
    block_count++;
}

/* [(g (q: r d | k: d | v: d)) n] of 2^48 elements. */
static void test_grouped_attention(void **state)
{
    (void)state;
    int64_t g = 1 << 10, r = 6, d = 1 << 14, n = 1 << 21;
    block_count = 0;
    add(0, 4,
        (wm_axis[]){{(uint64_t)g, (r + 2) * d * n, 0},
                    {(uint64_t)r, d * n, 0},
                    {(uint64_t)d, n, 7},
                    {(uint64_t)n, 1, 3}});
    add(r * d * n, 3,
        (wm_axis[]){{(uint64_t)g, (r + 2) * d * n, 0}, {(uint64_t)d, n, 0}, {(uint64_t)n, 1, 5}});
    add((r + 1) * d * n, 3,
        (wm_axis[]){{(uint64_t)g, (r + 2) * d * n, 0}, {(uint64_t)d, n, 0}, {(uint64_t)n, 1, 5}});
    uint64_t size = (uint64_t)(g * (r + 2) * d * n);
    assert_int_equal(check(size, 0), WM_TILED);
    blocks[2].to += n; /* one row off, at both ends */
    assert_int_equal(check(size, 0), WM_NOT_TILED);
    blocks[2].to -= n;
    blocks[1].axes[1].extent++;
    assert_int_equal(check(size, 0), WM_NOT_TILED);
}

/* Gates held in separate tensors, interleaved per unit; and four quarters of a matrix, of unequal sizes. */
static void test_gates_and_quarters(void **state)
{
    (void)state;
    uint64_t u = 1 << 20, n = 1 << 18;
    block_count = 0;
    for (int64_t gate = 0; gate < 4; gate++)
        add(gate * (int64_t)n, 2, (wm_axis[]){{u, 4 * (int64_t)n, 0}, {n, 1, 9}});
    assert_int_equal(check(4 * u * n, 0), WM_TILED);
    blocks[3].to = 0;
    assert_int_equal(check(4 * u * n, 0), WM_NOT_TILED);
    int64_t width = 1000003, height = 700001, left = 333, top = 77777;
    block_count = 0;
    for (int q = 0; q < 4; q++) {
        int64_t w = q % 2 ? width - left : left, h = q / 2 ? height - top : top;
        add((q / 2 ? top * width : 0) + (q % 2 ? left : 0), 2,
            (wm_axis[]){{(uint64_t)h, width, 0}, {(uint64_t)w, 1, 2}});
    }
    assert_int_equal(check((uint64_t)(width * height), 0), WM_TILED);
    /* a column on the left, two rows of unequal height beside it */
    block_count = 0;
    add(0, 2, (wm_axis[]){{(uint64_t)height, width, 0}, {(uint64_t)left, 1, 2}});
    add(left, 2, (wm_axis[]){{(uint64_t)top, width, 0}, {(uint64_t)(width - left), 1, 2}});
    add(left + top * width, 2,
        (wm_axis[]){{(uint64_t)(height - top), width, 0}, {(uint64_t)(width - left), 1, 2}});
    assert_int_equal(check((uint64_t)(width * height), 0), WM_TILED);
    blocks[2].to--;
    assert_int_equal(check((uint64_t)(width * height), 0), WM_NOT_TILED);
}

/* An axis in two dimensions, and beside each of its indices the two ranges that `else` fills. */
static void test_diagonal(void **state)
{
    (void)state;
    int64_t w = 300, n = 1 << 12;
    for (int repeated = 0; repeated < 2; repeated++) {
        block_count = 0;
        wm_axis outer = {(uint64_t)n, w * w, 0};
        uint32_t more = repeated ? 1 : 0;
        add(0, 1 + more,
            repeated ? (wm_axis[]){outer, {(uint64_t)w, w + 1, 0}} : (wm_axis[]){{(uint64_t)w, w + 1, 0}});
        for (int64_t i = 0; i < w; i++) {
            if (i)
                add(i * w, 1 + more,
                    repeated ? (wm_axis[]){outer, {(uint64_t)i, 1, 0}} : (wm_axis[]){{(uint64_t)i, 1, 0}});
            if (i + 1 < w)
                add(i * w + i + 1, 1 + more,
                    repeated ? (wm_axis[]){outer, {(uint64_t)(w - i - 1), 1, 0}}
                             : (wm_axis[]){{(uint64_t)(w - i - 1), 1, 0}});
        }
        uint64_t size = (uint64_t)(w * w * (repeated ? n : 1));
        assert_int_equal(check(size, 0), WM_TILED);
        blocks[0].to = 1;
        blocks[0].axes[more].extent--;
        assert_int_equal(check(size, 0), WM_NOT_TILED);
    }
}

static void test_empty(void **state)
{
    (void)state;
    block_count = 0;
    assert_int_equal(check(0, 0), WM_TILED);
    assert_int_equal(check(1, 0), WM_NOT_TILED);
    add(0, 0, NULL);
    assert_int_equal(check(1, 0), WM_TILED);
    assert_int_equal(check(2, 0), WM_NOT_TILED);
    add(0, 0, NULL);
    assert_int_equal(check(2, 0), WM_NOT_TILED);
}

/* Two combs whose teeth fit into each other at distances that divide nothing: the bitmap's case, or none. */
static void test_bounded(void **state)
{
    (void)state;
    block_count = 0;
    add(0, 1, (wm_axis[]){{5, 7, 0}});
    add(1, 1, (wm_axis[]){{6, 5, 0}});
    add(2, 0, NULL);
    assert_int_equal(check(12, 0), WM_NOT_TILED);
    uint64_t e = (uint64_t)1 << 31;
    block_count = 0;
    add(0, 1, (wm_axis[]){{e, 3, 0}});
    add(1, 1, (wm_axis[]){{e, 2, 0}});
    assert_true(check(2 * e, UINT64_MAX) != WM_TILED); /* and at once */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_covers),
        cmocka_unit_test(test_grouped_attention),
        cmocka_unit_test(test_gates_and_quarters),
        cmocka_unit_test(test_diagonal),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
