/* judge.c: which dtype holds every value of which, against the casts themselves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "compiler/judge.h"
#include "runtime/base/dtype.h"
#include "runtime/convert.h"

/* Do all codes of a narrow dtype come back from a wide one? NaN may come back with another payload. */
static bool all_come_back(wmap_dtype narrow, wmap_dtype wide)
{
    uint32_t size = wmap_dtype_size(narrow);
    uint32_t codes = wm_dtype(narrow)->kind == WM_KIND_BOOL ? 2 : 1u << (8 * size);
    for (uint32_t code = 0; code < codes; code++) {
        uint8_t in[WM_LARGEST_ELEMENT] = {(uint8_t)code, (uint8_t)(code >> 8)};
        uint8_t there[WM_LARGEST_ELEMENT] = {0}, back[WM_LARGEST_ELEMENT] = {0};
        double value = 0;
        size_t first;
        if (wm_dtype(narrow)->kind == WM_KIND_FLOAT) {
            wm_convert(narrow, WMAP_F64, WM_CAST_ALLOW, in, &value, 1, &first);
            if (isnan(value))
                continue;
        }
        if (wm_convert(narrow, wide, WM_CAST_CHECK, in, there, 1, &first) ||
            wm_convert(wide, narrow, WM_CAST_CHECK, there, back, 1, &first) || memcmp(in, back, size) != 0)
            return false;
    }
    return true;
}

/* Every pair whose narrow side can be counted through. */
static void test_every_code(void **state)
{
    (void)state;
    int held = 0, lost = 0;
    for (wmap_dtype narrow = WMAP_BOOL; narrow <= WMAP_C128; narrow++)
        for (wmap_dtype wide = WMAP_BOOL; wide <= WMAP_C128; wide++) {
            if (wmap_dtype_size(narrow) > 2 || !wm_castable(narrow, wide))
                continue;
            bool covers = wm_dtype_covers(wide, narrow);
            if (covers != all_come_back(narrow, wide))
                fail_msg("%s in %s: %d", wmap_dtype_name(narrow), wmap_dtype_name(wide), covers);
            held += covers;
            lost += !covers;
        }
    assert_true(held > 50 && lost > 20);
}

/* The wide ones, by name. */
static void test_wide(void **state)
{
    (void)state;
    static const struct {
        wmap_dtype wide, narrow;
        bool covers;
    } pairs[] = {{WMAP_F64, WMAP_F32, true},  {WMAP_F32, WMAP_F64, false},  {WMAP_F64, WMAP_I32, true},
                 {WMAP_F64, WMAP_I64, false}, {WMAP_F64, WMAP_U64, false},  {WMAP_F32, WMAP_I32, false},
                 {WMAP_I64, WMAP_U32, true},  {WMAP_I64, WMAP_U64, false},  {WMAP_U64, WMAP_I32, false},
                 {WMAP_C128, WMAP_C64, true}, {WMAP_C64, WMAP_C128, false}, {WMAP_F64, WMAP_C64, false},
                 {WMAP_I64, WMAP_F32, false}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        assert_int_equal(wm_dtype_covers(pairs[i].wide, pairs[i].narrow), pairs[i].covers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_code), cmocka_unit_test(test_wide)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
