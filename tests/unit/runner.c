/* The parts that running tests inside specs is made of: archives of memory, elements compared, a list of
 * tests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "runner/literal.h"
#include "runtime/scratch.h"
#include "wmap/look.h"
#include "wmap/test.h"

static const uint64_t shape[] = {2, 3}, none[] = {0};

static void test_scratch(void **state)
{
    (void)state;
    const uint16_t w[] = {1, 2, 3, 4, 5, 6};
    const uint8_t b = 7;
    uint16_t back[6];
    uint8_t one = 0;
    wmap_error err = {0};
    wmap_tensor tensors[] = {
        {.name = "w", .name_len = 1, .dtype = WMAP_BF16, .rank = 2, .shape = shape},
        {.name = "a\0b", .name_len = 3, .dtype = WMAP_RAW32, .rank = 1, .shape = none},
        {.name = "", .name_len = 0, .dtype = WMAP_U8},
    };
    const void *data[] = {w, "", &b};
    wmap_archive *archive = wm_scratch_of("memory", tensors, data, 3, &err);
    assert_non_null(archive);
    assert_int_equal(wmap_archive_count(archive), 3);
    assert_string_equal(wmap_archive_path(archive), "memory");
    assert_memory_equal(wmap_archive_tensor(archive, 1)->name, "a\0b", 4);
    assert_true(wmap_archive_read(archive, 0, 0, 6, back, &err));
    assert_memory_equal(back, w, sizeof w);
    assert_true(wmap_archive_read(archive, 1, 0, 0, back, &err));
    assert_true(wmap_archive_read(archive, 2, 0, 1, &one, &err));
    assert_int_equal(one, 7);
    wmap_archive_close(archive);

    archive = wm_scratch_of("memory", tensors, data, 0, &err);
    assert_non_null(archive);
    assert_int_equal(wmap_archive_count(archive), 0);
    wmap_archive_close(archive);

    tensors[2].name = "w";
    tensors[2].name_len = 1;
    assert_null(wm_scratch_of("memory", tensors, data, 3, &err));
    assert_int_equal(err.code, WMAP_E_CORRUPT);
    assert_string_equal(err.tensor, "w");
}

static void test_compare(void **state)
{
    (void)state;
    const uint32_t nan = 0x7fc00000, other = 0xffc00001, zero = 0, minus = 0x80000000;
    const float a[] = {1, 2, 3}, b[] = {1, 2.25f, 3.5f};
    const int64_t i = 5, k = 7;
#define DIFFER(dtype, x, y, count, tolerance)                                                                \
    wm_test_compare(dtype, (const uint8_t *)(x), (const uint8_t *)(y), count, (tolerance) >= 0, tolerance)
    assert_int_equal(DIFFER(WMAP_F32, &nan, &other, 1, -1).count, 0);
    assert_int_equal(DIFFER(WMAP_RAW32, &nan, &other, 1, 9).count, 1);
    assert_int_equal(DIFFER(WMAP_F32, &nan, &zero, 1, 9).count, 1);
    assert_int_equal(DIFFER(WMAP_F32, &minus, &zero, 1, -1).count, 1);
    assert_int_equal(DIFFER(WMAP_F32, &minus, &zero, 1, 0).count, 0);
    wm_test_difference d = DIFFER(WMAP_F32, a, b, 3, -1);
    assert_int_equal(d.count, 2);
    assert_int_equal(d.first, 1);
    d = DIFFER(WMAP_F32, a, b, 3, 0.25);
    assert_int_equal(d.count, 1);
    assert_int_equal(d.first, 2);
    assert_int_equal(DIFFER(WMAP_I64, &i, &k, 1, 1.5).count, 1);
    assert_int_equal(DIFFER(WMAP_I64, &i, &k, 1, 2).count, 0);
}

static void test_list(void **state)
{
    (void)state;
    static const char text[] = "wmap 1\nmap main { \"x\" [a b] -> \"y\" [b a]; optional \"z\" -> \"z\" }\n"
                               "test \"one\" of main { given \"x\" = [[1 2]]; expect \"y\" = [[1] [2]] }\n"
                               "test \"two\" of main { given \"x\" = [[1 2]]; expect \"y\" = [[1] [3]] }\n";
    wmap_compile_options options = {.path = "t.wmap", .text = text, .text_len = sizeof text - 1};
    wmap_report *report = NULL;
    wmap_error err = {0};
    wmap_tests *tests = wmap_tests_open(&options, &report, &err);
    assert_non_null(tests);
    wmap_report_free(report);
    assert_int_equal(wmap_tests_count(tests), 2);
    assert_int_equal(wmap_tests_at(tests, 0)->state, WMAP_TEST_NOT_RUN);
    for (int again = 0; again < 2; again++) {
        assert_true(wmap_tests_run(tests, 0, &err));
        assert_true(wmap_tests_run(tests, 1, &err));
        assert_int_equal(wmap_tests_at(tests, 0)->state, WMAP_TEST_PASSED);
        assert_int_equal(wmap_tests_at(tests, 1)->state, WMAP_TEST_FAILED);
        assert_int_equal(wmap_tests_at(tests, 1)->failure_count, 1);
        assert_int_equal(wmap_tests_at(tests, 1)->failures[0].line, 4);
    }
    assert_int_equal(wmap_tests_rule_count(tests), 2);
    assert_true(wmap_tests_rule(tests, 0)->exercised);
    assert_false(wmap_tests_rule(tests, 1)->exercised);
    wmap_tests_close(tests);

    options.text_len = 40; /* cut off within the map */
    assert_null(wmap_tests_open(&options, &report, &err));
    assert_int_equal(err.code, WMAP_E_SPEC);
    assert_true(wmap_report_has(report, "E0110"));
    assert_false(wmap_report_has(report, "E0801"));
    wmap_report_free(report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scratch),
        cmocka_unit_test(test_compare),
        cmocka_unit_test(test_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
