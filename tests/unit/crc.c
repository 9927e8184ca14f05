/* crc.c: the folded CRC against zlib's, CRC-32C by instructions against that by tables, for every length,
 * start and alignment that could differ. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <zlib.h>

#include "runtime/crc.h"

static uint8_t bytes[20000];

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

static void test_crc32c_known(void **state)
{
    (void)state;
    static const uint8_t zeros[32]; /* RFC 3720, B.4 */
    uint8_t ones[32], up[32];
    memset(ones, 0xff, sizeof ones);
    for (uint8_t i = 0; i < 32; i++)
        up[i] = i;
    assert_int_equal(wm_crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(wm_crc32c(0, "", 0), 0);
    assert_int_equal(wm_crc32c(0, zeros, 32), 0x8a9136aa);
    assert_int_equal(wm_crc32c(0, ones, 32), 0x62a8ab43);
    assert_int_equal(wm_crc32c_plain(0, up, 32), 0x46dd794e);
    assert_int_equal(wm_crc32c_mask(0xe3069283), 0xc78ab0e5);
    assert_int_equal(wm_crc32c_mask(0), 0xa282ead8);
}

static void test_crc32c_lengths(void **state)
{
    (void)state;
    for (size_t at = 0; at < 9; at++)
        for (size_t size = 0; size < 200; size++)
            for (uint32_t start = 0; start < 3; start++) {
                uint32_t crc = start * 0x9e3779b9u;
                assert_int_equal(wm_crc32c(crc, bytes + at, size), wm_crc32c_plain(crc, bytes + at, size));
            }
    for (size_t size = 6100; size < sizeof bytes; size += 37)
        assert_int_equal(wm_crc32c(size & 1, bytes + 3, size - 3),
                         wm_crc32c_plain(size & 1, bytes + 3, size - 3));
}

static void test_crc32c_join(void **state)
{
    (void)state;
    uint32_t whole = wm_crc32c(0, bytes, sizeof bytes);
    for (size_t cut = 0; cut <= sizeof bytes; cut += 61) {
        uint32_t first = wm_crc32c(0, bytes, cut);
        uint32_t second = wm_crc32c(0, bytes + cut, sizeof bytes - cut);
        assert_int_equal(wm_crc32c_join(first, second, sizeof bytes - cut), whole);
        assert_int_equal(wm_crc32c(first, bytes + cut, sizeof bytes - cut), whole);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known),          cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_join),           cmocka_unit_test(test_crc32c_known),
        cmocka_unit_test(test_crc32c_lengths), cmocka_unit_test(test_crc32c_join),
    };
    return cmocka_run_group_tests(tests, fill, NULL);
}
