/* convert.c: casts against ml_dtypes and NumPy (digests made by convert_oracle.py), against what "nearest,
 * ties to even" means, and the policies at the edges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/dtype.h"
#include "runtime/base/sha256.h"
#include "runtime/convert.h"

/* ---- every code ---- */

typedef struct expectation {
    const char *from, *to;
    uint64_t digest;
} expectation;

static const expectation expectations[] = {
    {"f32", "f16", 0xd202df70a48b0829},     {"f16", "f32", 0xf189cda6f7903260},
    {"f16", "f64", 0x9d9045d5e2da2e9e},     {"f32", "bf16", 0x91dc037fdfc8b7d2},
    {"bf16", "f32", 0x559266fa7a26f10e},    {"bf16", "f64", 0x3da3ab4bf93b5767},
    {"f32", "f8_e4m3", 0x31a619a8a1633d2a}, {"f8_e4m3", "f32", 0xd27b5c87f38cdee0},
    {"f8_e4m3", "f64", 0x0bf8dc50604dfdd8}, {"f32", "f8_e5m2", 0xf546040695fb1351},
    {"f8_e5m2", "f32", 0x9e0e2cbd7f92c7c3}, {"f8_e5m2", "f64", 0xaf8edffd1239b9d6},
};

static wmap_dtype named(const char *name)
{
    return wmap_dtype_parse(name, strlen(name));
}

static double as_double(wmap_dtype dtype, const uint8_t *element)
{
    double x = 0;
    size_t first = 0;
    if (dtype == WMAP_F64)
        memcpy(&x, element,
               wmap_dtype_size(dtype)); /* 8, in a form that can't be taken for a read past a u32 */
    else
        wm_convert(dtype, WMAP_F64, WM_CAST_ALLOW, element, &x, 1, &first);
    return x;
}

static size_t inputs(wmap_dtype from, uint8_t *out)
{
    static const uint32_t low[] = {0, 1, 0x0fff, 0x1000, 0x1001, 0x7fff, 0x8000, 0x8001, 0xf000, 0xffff};
    size_t count = 0;
    if (from != WMAP_F32) {
        size_t size = wmap_dtype_size(from), codes = (size_t)1 << 8 * size;
        for (; count < codes; count++)
            memcpy(out + size * count, &count, size);
        return count;
    }
    for (uint32_t high = 0; high < 65536; high++)
        for (size_t i = 0; i < sizeof low / sizeof *low; i++, count++)
            memcpy(out + 4 * count, &(uint32_t){high << 16 | low[i]}, 4);
    return count;
}

static void test_every_code(void **state)
{
    (void)state;
    uint8_t *in = malloc(4 * 655360), *out = malloc(8 * 655360), *slow = malloc(8 * 655360);
    assert_true(in && out && slow);
    for (size_t e = 0; e < sizeof expectations / sizeof *expectations; e++) {
        wmap_dtype from = named(expectations[e].from), to = named(expectations[e].to);
        size_t count = inputs(from, in), size = wmap_dtype_size(to), first = 0;
        size_t in_size = wmap_dtype_size(from);
        assert_int_equal(wm_convert(from, to, WM_CAST_ALLOW, in, out, count, &first), 0);
        /* one by one never takes the loops of frequent pairs: the same bits, NaN included */
        for (size_t i = 0; i < count; i++)
            wm_convert(from, to, WM_CAST_ALLOW, in + in_size * i, slow + size * i, 1, &first);
        assert_memory_equal(out, slow, size * count);
        for (size_t i = 0; i < count; i++)
            if (isnan(as_double(to, out + size * i))) {
                assert_true(isnan(as_double(from, in + in_size * i)) || to == WMAP_F8_E4M3);
                memset(out + size * i, 0xff, size);
            }
        uint8_t digest[WM_SHA256_SIZE];
        wm_sha256(out, size * count, digest);
        uint64_t start = 0;
        for (int i = 0; i < 8; i++)
            start = start << 8 | digest[i];
        if (start != expectations[e].digest)
            fail_msg("%s to %s", expectations[e].from, expectations[e].to);
    }
    free(in);
    free(out);
    free(slow);
}

/* ---- what nearest means ---- */

static uint64_t seed = 0x9e3779b97f4a7c15u;

static uint64_t next_random(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

/* Is `code` the float of `to` nearest to x? Both neighbours are farther, or as far and x is even. */
static void check_nearest(wmap_dtype to, uint32_t code, long double x)
{
    uint32_t size = wmap_dtype_size(to), magnitude = code & ((1u << (8 * size - 1)) - 1);
    uint32_t sign = code & ~((1u << (8 * size - 1)) - 1);
    long double here = (long double)as_double(to, (const uint8_t *)&code);
    for (int step = -1; step <= 1; step += 2) {
        if (magnitude == 0 && step < 0)
            continue;
        uint32_t other = sign | (magnitude + (uint32_t)step);
        long double there = (long double)as_double(to, (const uint8_t *)&other);
        if (isinf((double)there) || isnan((double)there))
            continue;
        long double a = fabsl(x - here), b = fabsl(x - there);
        if (!(a < b || (a == b && magnitude % 2 == 0)))
            fail_msg("%Lg to %s: %Lg, but %Lg is nearer", x, wmap_dtype_name(to), here, there);
    }
}

static void test_integers_to_floats(void **state)
{
    (void)state;
    static const wmap_dtype floats[] = {WMAP_F16, WMAP_BF16, WMAP_F8_E4M3, WMAP_F8_E5M2};
    for (int n = 0; n < 200000; n++) {
        uint64_t u = next_random() >> (next_random() % 64);
        if (n % 3 == 0) /* near a tie */
            u = (1ull << (n % 63)) + (next_random() & 1023) * (1ull << (n % 53)) + (next_random() % 3) - 1;
        int64_t i = (int64_t)u;
        size_t first = 0;
        for (size_t f = 0; f < sizeof floats / sizeof *floats; f++) {
            uint32_t code = 0;
            if (wm_convert(WMAP_U64, floats[f], WM_CAST_CHECK, &u, &code, 1, &first) == 0)
                check_nearest(floats[f], code, (long double)u);
            code = 0;
            if (wm_convert(WMAP_I64, floats[f], WM_CAST_CHECK, &i, &code, 1, &first) == 0)
                check_nearest(floats[f], code, (long double)i);
        }
        float narrow_u, narrow_i;
        double wide_u, wide_i;
        wm_convert(WMAP_U64, WMAP_F32, WM_CAST_CHECK, &u, &narrow_u, 1, &first);
        wm_convert(WMAP_I64, WMAP_F32, WM_CAST_CHECK, &i, &narrow_i, 1, &first);
        wm_convert(WMAP_U64, WMAP_F64, WM_CAST_CHECK, &u, &wide_u, 1, &first);
        wm_convert(WMAP_I64, WMAP_F64, WM_CAST_CHECK, &i, &wide_i, 1, &first);
        assert_true(narrow_u == (float)u && narrow_i == (float)i && wide_u == (double)u &&
                    wide_i == (double)i);
    }
}

static void test_doubles_round_once(void **state)
{
    (void)state;
    static const wmap_dtype floats[] = {WMAP_F16, WMAP_BF16, WMAP_F8_E4M3, WMAP_F8_E5M2};
    for (int n = 0; n < 200000; n++) {
        double x = ldexp((double)(next_random() >> 11), (int)(next_random() % 60) - 83);
        if (n % 2) { /* a tie of the narrow format, moved by less than f32 can see */
            uint32_t tie = (uint32_t)next_random() & 0x477f;
            x = as_double(WMAP_F16, (const uint8_t *)&tie) * (1 + ldexp(1.0, -3)) +
                ldexp((double)(next_random() % 3) - 1, -60);
        }
        for (size_t f = 0; f < sizeof floats / sizeof *floats; f++) {
            uint32_t code = 0;
            size_t first = 0;
            if (wm_convert(WMAP_F64, floats[f], WM_CAST_CHECK, &x, &code, 1, &first) == 0)
                check_nearest(floats[f], code, (long double)x);
        }
    }
}

/* 1 + 2^-11 is a tie of f16, which through f32 the tail of 2^-40 would not reach. */
static void test_double_rounding(void **state)
{
    (void)state;
    double x = 1 + 0x1p-11 + 0x1p-40;
    uint16_t half = 0;
    size_t first = 0;
    wm_convert(WMAP_F64, WMAP_F16, WM_CAST_CHECK, &x, &half, 1, &first);
    assert_int_equal(half, 0x3c01);
    int64_t i = ((int64_t)1 << 60) + ((int64_t)1 << 52) + 1; /* of bf16: just above a tie, unseen by f64 */
    wm_convert(WMAP_I64, WMAP_BF16, WM_CAST_CHECK, &i, &half, 1, &first);
    assert_int_equal(half, 0x5d81);
    int64_t odd = ((int64_t)1 << 53) + 1; /* not through double */
    int64_t back = 0;
    wm_convert(WMAP_I64, WMAP_U64, WM_CAST_CHECK, &odd, &back, 1, &first);
    assert_int_equal(back, odd);
}

/* ---- policies ---- */

typedef struct edge {
    wmap_dtype to;
    double value;
    bool check, saturate; /* is it good under the policy? */
    int64_t saturated, allowed;
} edge;

static const edge edges[] = {
    {WMAP_I8, 127.4, true, true, 127, 127},
    {WMAP_I8, 127.5, false, true, 127, -128},
    {WMAP_I8, -128.5, true, true, -128, -128},
    {WMAP_I8, -128.6, false, true, -128, 127},
    {WMAP_I8, 2.5, true, true, 2, 2},
    {WMAP_I8, 3.5, true, true, 4, 4},
    {WMAP_I8, -0.5, true, true, 0, 0},
    {WMAP_I8, NAN, false, false, 0, 0},
    {WMAP_I8, INFINITY, false, true, 127, 0},
    {WMAP_U8, -0.4, true, true, 0, 0},
    {WMAP_U8, -1, false, true, 0, 255},
    {WMAP_U8, 255.5, false, true, 255, 0},
    {WMAP_BOOL, 1, true, true, 1, 1},
    {WMAP_BOOL, 2, false, true, 1, 0},
    {WMAP_I64, 0x1p63, false, true, INT64_MAX, INT64_MIN},
    {WMAP_I64, 0x1.fffffffffffffp62, true, true, 0x7ffffffffffffc00, 0x7ffffffffffffc00},
    {WMAP_I64, -0x1p63, true, true, INT64_MIN, INT64_MIN},
    {WMAP_U64, 0x1p64, false, true, -1, 0},
    {WMAP_U64, 0x1.8p63, true, true, (int64_t)0xc000000000000000u, (int64_t)0xc000000000000000u},
    {WMAP_U32, 4294967295.0, true, true, 4294967295, 4294967295},
    {WMAP_U32, 1e300, false, true, 4294967295, 0},
    {WMAP_F16, 65519.99, true, true, 0x7bff, 0x7bff},
    {WMAP_F16, 65520, false, true, 0x7bff, 0x7c00},
    {WMAP_F16, -65520, false, true, 0xfbff, 0xfc00},
    {WMAP_F16, INFINITY, true, true, 0x7c00, 0x7c00},
    {WMAP_F16, NAN, true, true, 0x7e00, 0x7e00},
    {WMAP_BF16, 3.3e38, true, true, 0x7f78, 0x7f78},
    {WMAP_BF16, 3.4e38, false, true, 0x7f7f, 0x7f80},
    {WMAP_F8_E4M3, 464, true, true, 0x7e, 0x7e},
    {WMAP_F8_E4M3, 464.1, false, true, 0x7e, 0x7f},
    {WMAP_F8_E4M3, -INFINITY, false, true, 0xfe, 0xff},
    {WMAP_F8_E5M2, 61439, true, true, 0x7b, 0x7b},
    {WMAP_F8_E5M2, 61440, false, true, 0x7b, 0x7c},
    {WMAP_F32, 1e39, false, true, 0x7f7fffff, 0x7f800000},
    {WMAP_F32, -1e39, false, true, 0xff7fffff, 0xff800000},
    {WMAP_F32, 0x1.fffffefp127, true, true, 0x7f7fffff, 0x7f7fffff},
};

static int64_t element_bits(wmap_dtype dtype, const uint8_t *element)
{
    uint32_t size = wmap_dtype_size(dtype);
    uint64_t bits = 0;
    memcpy(&bits, element, size);
    if (wm_dtype(dtype)->kind == WM_KIND_INT)
        return (int64_t)(bits << (64 - 8 * size)) >> (64 - 8 * size);
    return (int64_t)bits;
}

static void test_edges(void **state)
{
    (void)state;
    for (size_t n = 0; n < sizeof edges / sizeof *edges; n++) {
        const edge *e = &edges[n];
        uint8_t out[16];
        size_t first = 99;
        bool check = wm_convert(WMAP_F64, e->to, WM_CAST_CHECK, &e->value, out, 1, &first) == 0;
        assert_int_equal(first, e->check ? 99 : 0);
        if (check != e->check)
            fail_msg("%g to %s: check", e->value, wmap_dtype_name(e->to));
        bool clip = wm_convert(WMAP_F64, e->to, WM_CAST_SATURATE, &e->value, out, 1, &first) == 0;
        if (clip != e->saturate || (clip && element_bits(e->to, out) != e->saturated))
            fail_msg("%g to %s: saturate gives %llx", e->value, wmap_dtype_name(e->to),
                     (unsigned long long)element_bits(e->to, out));
        assert_int_equal(wm_convert(WMAP_F64, e->to, WM_CAST_ALLOW, &e->value, out, 1, &first), 0);
        if (element_bits(e->to, out) != e->allowed)
            fail_msg("%g to %s: allow gives %llx", e->value, wmap_dtype_name(e->to),
                     (unsigned long long)element_bits(e->to, out));
    }
}

/* Every pair of integer dtypes, by __int128. */
static void test_integer_pairs(void **state)
{
    (void)state;
    for (int from = WMAP_BOOL; from <= WMAP_I64; from++)
        for (int to = WMAP_BOOL; to <= WMAP_I64; to++)
            for (int n = 0; n < 3000; n++) {
                uint64_t raw = next_random() >> (next_random() % 64);
                if (n < 64)
                    raw = (1ull << n) - (next_random() & 1);
                if (n & 1)
                    raw = 0 - raw;
                bool neg = wm_dtype((wmap_dtype)from)->kind == WM_KIND_INT;
                uint32_t size = wmap_dtype_size((wmap_dtype)from);
                raw = size == 8 ? raw : raw & ((1ull << 8 * size) - 1);
                __int128 value = neg ? (__int128)((int64_t)(raw << (64 - 8 * size)) >> (64 - 8 * size)) : raw;
                if (from == WMAP_BOOL)
                    value = raw != 0;
                uint32_t bits = to == WMAP_BOOL ? 1 : 8 * wmap_dtype_size((wmap_dtype)to);
                bool to_neg = wm_dtype((wmap_dtype)to)->kind == WM_KIND_INT;
                __int128 most = ((__int128)1 << (bits - to_neg)) - 1, least = to_neg ? -most - 1 : 0;
                uint8_t out[16];
                size_t first = 0;
                bool fits = value >= least && value <= most;
                assert_int_equal(
                    wm_convert((wmap_dtype)from, (wmap_dtype)to, WM_CAST_CHECK, &raw, out, 1, &first), !fits);
                wm_convert((wmap_dtype)from, (wmap_dtype)to, WM_CAST_SATURATE, &raw, out, 1, &first);
                int64_t expect = (int64_t)(fits ? value : value < least ? least : most);
                assert_int_equal(element_bits((wmap_dtype)to, out), expect);
                if (!fits && bits < 64) {
                    wm_convert((wmap_dtype)from, (wmap_dtype)to, WM_CAST_ALLOW, &raw, out, 1, &first);
                    assert_int_equal((uint64_t)element_bits((wmap_dtype)to, out) & ((1ull << bits) - 1),
                                     (uint64_t)value & ((1ull << bits) - 1));
                }
            }
}

static void test_counts(void **state)
{
    (void)state;
    static float in[1000];
    static uint16_t out[1000];
    for (int i = 0; i < 1000; i++)
        in[i] = (float)i;
    in[300] = in[301] = 1e6f;
    in[999] = -1e6f;
    size_t first = 0;
    assert_int_equal(wm_convert(WMAP_F32, WMAP_F16, WM_CAST_CHECK, in, out, 1000, &first), 3);
    assert_int_equal(first, 300);
    assert_int_equal(wm_convert(WMAP_F32, WMAP_F16, WM_CAST_SATURATE, in, out, 1000, &first), 0);
    assert_int_equal(out[999], 0xfbff);
    double parts[8] = {1, 2, 1e300, 1e300, 3, 1e300, 5, 6}; /* an element with two bad halves counts once */
    float narrow[8];
    assert_int_equal(wm_convert(WMAP_C128, WMAP_C64, WM_CAST_CHECK, parts, narrow, 4, &first), 2);
    assert_int_equal(first, 1);
    assert_true(narrow[0] == 1 && narrow[7] == 6);
}

static void test_castable(void **state)
{
    (void)state;
    assert_true(wm_castable(WMAP_BOOL, WMAP_F8_E4M3));
    assert_true(wm_castable(WMAP_C64, WMAP_C128));
    assert_false(wm_castable(WMAP_C64, WMAP_F32));
    assert_false(wm_castable(WMAP_F32, WMAP_C64));
    assert_false(wm_castable(WMAP_RAW16, WMAP_F16));
    assert_false(wm_castable(WMAP_F16, WMAP_OPAQUE));
    assert_false(wm_castable(WMAP_DTYPE_NONE, WMAP_F16));
}

static void test_constants(void **state)
{
    (void)state;
    uint8_t e[WM_LARGEST_ELEMENT];
    assert_true(wm_constant_integer(WMAP_U8, 255, e) && e[0] == 255);
    assert_false(wm_constant_integer(WMAP_U8, 256, e));
    assert_false(wm_constant_integer(WMAP_U64, -1, e));
    assert_false(wm_constant_integer(WMAP_BOOL, 2, e));
    assert_false(wm_constant_integer(WMAP_F16, 70000, e));
    assert_true(wm_constant_integer(WMAP_RAW32, 0, e));
    assert_false(wm_constant_integer(WMAP_RAW32, 1, e));
    assert_true(wm_constant_number(WMAP_F16, 1.5, e) && e[0] == 0 && e[1] == 0x3e);
    assert_true(wm_constant_number(WMAP_C128, 1.0, e) && e[7] == 0x3f && e[15] == 0);
    assert_true(wm_constant_number(WMAP_I32, 3.0, e) && e[0] == 3);
    assert_false(wm_constant_number(WMAP_I32, 3.5, e));
    assert_false(wm_constant_number(WMAP_I32, NAN, e));
    assert_false(wm_constant_number(WMAP_OPAQUE, 0, e));
    char text[64];
    assert_string_equal(wm_element_text(WMAP_F32, &(float){0.1f}, text, sizeof text), "0.1");
    assert_string_equal(wm_element_text(WMAP_U64, &(uint64_t){UINT64_MAX}, text, sizeof text),
                        "18446744073709551615");
    assert_string_equal(wm_element_text(WMAP_I8, &(int8_t){-3}, text, sizeof text), "-3");
    assert_string_equal(wm_element_text(WMAP_C64, (float[]){1, -2}, text, sizeof text), "1-2i");
    assert_string_equal(wm_element_text(WMAP_F64, &(double){NAN}, text, sizeof text), "nan");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_code),
        cmocka_unit_test(test_integers_to_floats),
        cmocka_unit_test(test_doubles_round_once),
        cmocka_unit_test(test_double_rounding),
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_integer_pairs),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_castable),
        cmocka_unit_test(test_constants),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
