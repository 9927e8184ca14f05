/* crc.c: the folded CRC against zlib's, for every length, start and alignment that could differ. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <zlib.h>

#include "runtime/crc.h"

static uint8_t bytes[5000];

static int fill(void **state)
{
    (void)state;
    uint64_t x = 88172645463325252u;
    for (size_t i = 0; i < sizeof bytes; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        bytes[i] = (uint8_t)(x >> 24);
    }
    return 0;
}

static void test_known(void **state)
{
    (void)state;
    assert_int_equal(wm_crc32(0, "123456789", 9), 0xcbf43926);
    assert_int_equal(wm_crc32(0, "", 0), 0);
    static const uint8_t zeros[256];
    assert_int_equal(wm_crc32(0, zeros, 256), 0x0d968558);
}

static void test_lengths(void **state)
{
    (void)state;
    for (size_t at = 0; at < 17; at++)
        for (size_t size = 0; size < 400; size++)
            for (uint32_t start = 0; start < 3; start++) {
                uint32_t crc = start * 0x9e3779b9u;
                assert_int_equal(wm_crc32(crc, bytes + at, size), crc32_z(crc, bytes + at, size));
            }
    assert_int_equal(wm_crc32(0, bytes, sizeof bytes), crc32_z(0, bytes, sizeof bytes));
}

static void test_join(void **state)
{
    (void)state;
    uint32_t whole = wm_crc32(0, bytes, sizeof bytes);
    for (size_t cut = 0; cut <= sizeof bytes; cut += 61) {
        uint32_t first = wm_crc32(0, bytes, cut), second = wm_crc32(0, bytes + cut, sizeof bytes - cut);
        assert_int_equal(wm_crc32_join(first, second, sizeof bytes - cut), whole);
        assert_int_equal(wm_crc32(first, bytes + cut, sizeof bytes - cut), whole);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_join),
    };
    return cmocka_run_group_tests(tests, fill, NULL);
}
