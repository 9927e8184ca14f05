/* The base: arena, map, sizes, text, cursor, SHA-256, dtypes, errors. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/base/arena.h"
#include "runtime/base/cursor.h"
#include "runtime/base/dtype.h"
#include "runtime/base/error.h"
#include "runtime/base/map.h"
#include "runtime/base/sha256.h"
#include "runtime/base/size.h"
#include "runtime/base/text.h"

static void test_arena(void **state)
{
    (void)state;
    wm_arena arena;
    wm_arena_init(&arena);
    uint8_t *last = NULL;
    for (size_t size = 0; size < 300000; size = size * 3 + 1) {
        uint8_t *p = wm_alloc(&arena, size);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 8, 0);
        assert_ptr_not_equal(p, last);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(p[i], 0);
        memset(p, 0xff, size); /* must not show through in what is handed out next */
        last = p;
    }
    assert_null(wm_alloc(&arena, SIZE_MAX));
    assert_null(wm_alloc_array(&arena, SIZE_MAX / 2, 3));
    assert_null(wm_alloc_array(&arena, SIZE_MAX / 8 + 1, 8));
    assert_string_equal(wm_copy(&arena, "abc\0def", 7), "abc");
    assert_memory_equal(wm_copy(&arena, "abc\0def", 7), "abc\0def", 8);
    assert_string_equal(wm_format_text(&arena, "%d-%s", 7, "x"), "7-x");
    uint8_t *large = wm_alloc(&arena, 5 << 20); /* of pages of its own; its end is zero too */
    assert_int_equal(large[0] | large[(5 << 20) - 1], 0);
    large[(5 << 20) - 1] = 1;
    for (int i = 0; i < 100; i++) { /* past the largest chunk */
        uint8_t *p = wm_alloc(&arena, 100000);
        assert_int_equal(p[0] | p[99999], 0);
        memset(p, 0xff, 100000);
    }
    wm_arena_release(&arena);
    assert_int_equal(arena.used, 0);
    assert_non_null(wm_alloc(&arena, 1)); /* fit for use again */
    wm_arena_release(&arena);
}

static void test_arena_jumps(void **state)
{
    (void)state;
    wm_arena arena;
    wm_arena_init(&arena);
    volatile int jumps = 0;
    if (setjmp(*wm_arena_oom(&arena)) == 0) {
        wm_alloc(&arena, 1);
        wm_alloc_array(&arena, SIZE_MAX, 2);
        fail();
    } else
        jumps = 1;
    assert_int_equal(jumps, 1);
    wm_arena_release(&arena);
}

static void test_push(void **state)
{
    (void)state;
    wm_arena arena;
    wm_arena_init(&arena);
    int *list = NULL;
    size_t count = 0, cap = 0;
    for (int i = 0; i < 10000; i++) {
        int *slot = wm_push(&arena, list, count, cap);
        assert_non_null(slot);
        assert_int_equal(*slot, 0);
        *slot = i;
    }
    assert_int_equal(count, 10000);
    for (int i = 0; i < 10000; i++)
        assert_int_equal(list[i], i);
    wm_arena_release(&arena);
}

static void test_map(void **state)
{
    (void)state;
    wm_arena arena;
    wm_map map;
    wm_arena_init(&arena);
    wm_map_init(&map, &arena, 0);
    assert_int_equal(wm_map_get(&map, "a", 1), WM_MAP_NONE);
    assert_int_equal(wm_map_put(&map, "", 0, 5, NULL), WM_MAP_NONE);
    assert_int_equal(wm_map_put(&map, "a", 1, 6, NULL), WM_MAP_NONE);
    assert_int_equal(wm_map_put(&map, "a\0", 2, 7, NULL), WM_MAP_NONE); /* a NUL is a byte like others */
    assert_int_equal(wm_map_put(&map, "a", 1, 8, NULL), 6);
    assert_int_equal(wm_map_get(&map, "a", 1), 6);
    assert_int_equal(wm_map_get(&map, "a\0", 2), 7);
    assert_int_equal(wm_map_get(&map, "", 0), 5);
    wm_map_set(&map, "a", 1, 9);
    wm_map_set(&map, "absent", 6, 9);
    assert_int_equal(wm_map_get(&map, "a", 1), 9);
    assert_int_equal(wm_map_get(&map, "absent", 6), WM_MAP_NONE);
    for (uint32_t i = 0; i < 20000; i++) {
        char *key = wm_format_text(&arena, "layers.%u.weight", i);
        assert_int_equal(wm_map_put(&map, key, strlen(key), i, NULL), WM_MAP_NONE);
    }
    for (uint32_t i = 0; i < 20000; i++) {
        char key[40];
        int len = snprintf(key, sizeof key, "layers.%u.weight", i);
        assert_int_equal(wm_map_get(&map, key, (size_t)len), i);
    }
    assert_int_equal(map.count, 20003);
    wm_arena_release(&arena);
}

static void test_size(void **state)
{
    (void)state;
    uint64_t v;
    const uint64_t max = (uint64_t)INT64_MAX;
    assert_true(wm_size_add(max - 1, 1, &v) && v == max);
    assert_false(wm_size_add(max, 1, &v));
    assert_false(wm_size_add(UINT64_MAX, 1, &v));
    assert_true(wm_size_mul((uint64_t)1 << 31, (uint64_t)1 << 31, &v) && v == (uint64_t)1 << 62);
    assert_false(wm_size_mul((uint64_t)1 << 32, (uint64_t)1 << 31, &v));
    assert_false(wm_size_mul(UINT64_MAX, 2, &v));
    assert_true(wm_size_mul(UINT64_MAX, 0, &v) && v == 0);
    assert_true(wm_size_align(65, 64, &v) && v == 128);
    assert_true(wm_size_align(64, 64, &v) && v == 64);
    assert_true(wm_size_align(0, 64, &v) && v == 0);
    assert_false(wm_size_align(max, 64, &v));
    assert_true(wm_shape_count(NULL, 0, &v) && v == 1);
    assert_true(wm_shape_count((uint64_t[]){2, 3, 4}, 3, &v) && v == 24);
    assert_true(wm_shape_count((uint64_t[]){2, 0, 4}, 3, &v) && v == 0);
    assert_false(wm_shape_count((uint64_t[]){(uint64_t)1 << 62, 2}, 2, &v));
    assert_false(wm_shape_count((uint64_t[]){0, (uint64_t)1 << 62, 2}, 3, &v)); /* strides would overflow */
}

static void test_cursor(void **state)
{
    (void)state;
    const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    wm_cursor c = wm_cursor_of(bytes, sizeof bytes, 1000);
    assert_int_equal(wm_take_u8(&c), 1);
    assert_int_equal(wm_take_u16(&c), 0x0302);
    assert_int_equal(wm_take_u32(&c), 0x07060504);
    assert_int_equal(wm_cursor_offset(&c), 1007);
    assert_int_equal(wm_take_u64(&c), 0); /* two are left */
    assert_true(c.failed);
    assert_int_equal(wm_take_u8(&c), 0); /* it sticks */
    assert_int_equal(wm_cursor_left(&c), 0);
    wm_seek(&c, 0);
    assert_true(c.failed);
    c = wm_cursor_of(bytes, sizeof bytes, 0);
    assert_int_equal(wm_take_u64(&c), 0x0807060504030201);
    assert_null(wm_take(&c, UINT64_MAX));
    assert_true(c.failed);
    c = wm_cursor_of(bytes, sizeof bytes, 0);
    wm_seek(&c, 9);
    assert_non_null(wm_take(&c, 0));
    assert_false(c.failed);
    wm_seek(&c, 10);
    assert_true(c.failed);
}

static void expect_sha256(const char *text, size_t len, const char *hex)
{
    uint8_t digest[WM_SHA256_SIZE];
    char shown[2 * WM_SHA256_SIZE + 1];
    wm_sha256(text, len, digest);
    for (size_t i = 0; i < WM_SHA256_SIZE; i++)
        snprintf(shown + 2 * i, 3, "%02x", digest[i]);
    assert_string_equal(shown, hex);
}

/* FIPS 180-4's examples, and lengths at which the padding needs another block. */
static void test_sha256(void **state)
{
    (void)state;
    expect_sha256("", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    expect_sha256("abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    expect_sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56,
                  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    static char as[1000000];
    memset(as, 'a', sizeof as);
    expect_sha256(as, 55, "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318");
    expect_sha256(as, 64, "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb");
    expect_sha256(as, sizeof as, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

/* The processor's instructions, where it has them, and the rounds written out agree. */
static void test_sha256_ways(void **state)
{
    (void)state;
    uint8_t bytes[40 * WM_SHA256_BLOCK], digest[WM_SHA256_SIZE], end[WM_SHA256_BLOCK];
    uint32_t random = 1;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)((random = random * 1664525 + 1013904223) >> 24);
    for (uint32_t blocks = 0; blocks <= 40; blocks++) {
        uint32_t h[8] = {WM_SHA256_START}, bits = blocks * WM_SHA256_BLOCK * 8;
        memset(end, 0, sizeof end);
        end[0] = 0x80;
        end[sizeof end - 2] = (uint8_t)(bits >> 8);
        end[sizeof end - 1] = (uint8_t)bits;
        end[sizeof end - 3] = (uint8_t)(bits >> 16);
        wm_sha256_portable(h, bytes, blocks);
        wm_sha256_portable(h, end, 1);
        wm_sha256(bytes, (size_t)blocks * WM_SHA256_BLOCK, digest);
        for (size_t i = 0; i < WM_SHA256_SIZE; i++)
            assert_int_equal(digest[i], (uint8_t)(h[i / 4] >> (24 - 8 * (i % 4))));
    }
}

static void test_utf8(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len, step;
        uint32_t scalar;
    } rows[] = {
        {"a", 1, 1, 'a'},
        {"\0", 1, 1, 0},
        {"\xc3\xa9", 2, 2, 0xe9},
        {"\xe2\x82\xac", 3, 3, 0x20ac},
        {"\xf0\x9f\x98\x80", 4, 4, 0x1f600},
        {"\xf4\x8f\xbf\xbf", 4, 4, 0x10ffff},
        {"", 0, 0, 0},
        {"\x80", 1, 0, 0},
        {"\xc0\xaf", 2, 0, 0},         /* overlong */
        {"\xe0\x80\xaf", 3, 0, 0},     /* overlong */
        {"\xf0\x80\x80\xaf", 4, 0, 0}, /* overlong */
        {"\xed\xa0\x80", 3, 0, 0},     /* a surrogate */
        {"\xf4\x90\x80\x80", 4, 0, 0}, /* beyond the last */
        {"\xc3", 1, 0, 0},             /* cut off */
        {"\xe2\x82", 2, 0, 0},
        {"\xc3x", 2, 0, 0},
        {"\xff", 1, 0, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint32_t scalar = 0;
        assert_int_equal(wm_utf8(rows[i].bytes, rows[i].len, &scalar), rows[i].step);
        if (rows[i].step)
            assert_int_equal(scalar, rows[i].scalar);
        assert_int_equal(wm_utf8_valid(rows[i].bytes, rows[i].len), rows[i].step > 0 || rows[i].len == 0);
    }
    assert_int_equal(wm_utf8_width('a'), 1);
    assert_int_equal(wm_utf8_width(0x301), 0);
    assert_int_equal(wm_utf8_width(0x4e2d), 2);
}

static void test_float_digits(void **state)
{
    (void)state;
    assert_int_equal(wm_float_digits(0, true), 1);
    assert_int_equal(wm_float_digits(-2.5, true), 2);
    assert_int_equal(wm_float_digits(0.1, true), 1);
    assert_int_equal(wm_float_digits((double)0.1F, false), 1);
    assert_int_equal(wm_float_digits((double)0.1F, true), 17);
    assert_int_equal(wm_float_digits(1.0 / 3, true), 16);
    assert_int_equal(wm_float_digits(5e-324, true), 1);
    assert_int_equal(wm_float_digits((double)16777217.0F, false), 8);
    assert_int_equal(wm_float_digits(NAN, true), 17);
}

static void test_show(void **state)
{
    (void)state;
    char out[64], tight[1] = {'x'};
    assert_string_equal(wm_show(out, sizeof out, "conv/kernel:0", 13), "conv/kernel:0");
    assert_string_equal(wm_show(out, sizeof out, "a\0b\n\x1b[31m", 9), "a\\x00b\\x0a\\x1b[31m");
    assert_string_equal(wm_show(out, sizeof out, "\xc3\xa9\xff", 3), "\xc3\xa9\\xff");
    assert_string_equal(wm_show(out, sizeof out,
                                "a\xe2\x80\xae"
                                "b",
                                5),
                        "a\\u{202e}b"); /* turns text around */
    assert_string_equal(wm_show(tight, sizeof tight, "abc", 3), "");
    char name[300];
    for (size_t fill = 0; fill < sizeof name;
         fill++) { /* long names of every length stay in bounds, both ends shown */
        memset(name, 'n', sizeof name);
        memcpy(name, "begin", 5);
        memcpy(name + sizeof name - 3, "end", 3);
        memset(name + 5, fill % 3 ? (fill % 3 == 1 ? 0xe9 : 1) : 'm', fill < 290 ? fill : 290);
        wm_show(out, sizeof out, name, sizeof name);
        assert_true(strlen(out) < sizeof out);
        assert_memory_equal(out, "begin", 5);
        assert_non_null(strstr(out, "..."));
        assert_true(wm_utf8_valid(out, strlen(out)));
    }
}

static void test_index_text(void **state)
{
    (void)state;
    char out[80], small[5];
    wmap_tensor scalar = {.rank = 0}, line = {.rank = 1, .shape = (uint64_t[]){7}},
                block = {.rank = 3, .shape = (uint64_t[]){2, 3, 4}},
                huge = {.rank = 2, .shape = (uint64_t[]){1, (uint64_t)INT64_MAX}};
    assert_string_equal(wmap_index_text(&scalar, 0, out, sizeof out), "[]");
    assert_string_equal(wmap_index_text(&line, 6, out, sizeof out), "[6]");
    assert_string_equal(wmap_index_text(&block, 0, out, sizeof out), "[0 0 0]");
    assert_string_equal(wmap_index_text(&block, 17, out, sizeof out), "[1 1 1]");
    assert_string_equal(wmap_index_text(&huge, INT64_MAX - 1, out, sizeof out), "[0 9223372036854775806]");
    assert_string_equal(wmap_index_text(&block, 17, small, sizeof small), "[1 1");
    assert_string_equal(wmap_index_text(&block, 17, small, 1), "");
}

static void test_dtype(void **state)
{
    (void)state;
    for (unsigned d = WM_DTYPE_FIRST; d <= WM_DTYPE_LAST; d++) {
        const wm_dtype_info *info = wm_dtype((wmap_dtype)d);
        assert_non_null(info);
        assert_true(info->size && info->align && info->size % info->align == 0 && info->kind != WM_KIND_NONE);
        assert_int_equal(wmap_dtype_parse(info->name, strlen(info->name)), d);
        assert_string_equal(wmap_dtype_name((wmap_dtype)d), info->name);
        assert_int_equal(wmap_dtype_size((wmap_dtype)d), info->size);
        if (info->npy[0]) {
            size_t digits = strcspn(info->npy, "0123456789"); /* NumPy's spelling ends in the size */
            assert_int_equal(atoi(info->npy + digits), info->size);
            assert_int_equal(wm_dtype_spelled(offsetof(wm_dtype_info, npy), info->npy, strlen(info->npy)), d);
        }
    }
    assert_int_equal(wmap_dtype_parse("f3", 2), WMAP_DTYPE_NONE);
    assert_int_equal(wmap_dtype_parse("f32x", 3), WMAP_F32);
    assert_int_equal(wmap_dtype_parse("", 0), WMAP_DTYPE_NONE); /* not the empty spelling of a format */
    assert_int_equal(wm_dtype_spelled(offsetof(wm_dtype_info, npy), "", 0), WMAP_DTYPE_NONE);
    assert_string_equal(wmap_dtype_name(WMAP_OPAQUE), "opaque");
    assert_string_equal(wmap_dtype_name((wmap_dtype)999), "?");
    assert_null(wm_dtype(WMAP_OPAQUE));
    assert_null(wm_dtype(WMAP_DTYPE_NONE));
    uint64_t bytes;
    wmap_tensor t = {"t", 1, WMAP_F64, 2, (uint64_t[]){3, 5}};
    assert_true(wmap_tensor_bytes(&t, &bytes) && bytes == 120);
    t.shape = (uint64_t[]){(uint64_t)1 << 30, (uint64_t)1 << 30};
    assert_false(wmap_tensor_bytes(&t, &bytes)); /* 2^63 */
}

static void test_error(void **state)
{
    (void)state;
    wmap_error err;
    char text[2000];
    assert_false(wm_fail(NULL, WMAP_E_IO, "x"));
    assert_false(wm_fail(&err, WMAP_E_CORRUPT, "bad %s", "a\nb"));
    assert_string_equal(err.message, "bad a\\x0ab");
    wm_error_file(&err, "f.npz");
    wm_error_file(&err, "outer"); /* the innermost knows best */
    wm_error_offset(&err, 7);
    wm_error_offset(&err, 8);
    wm_error_tensor(&err, "w", 1);
    wmap_error_format(&err, text, sizeof text);
    assert_string_equal(text, "f.npz: at byte 7: `w`: bad a\\x0ab");
    wm_fail_errno(&err, WMAP_E_IO, 2, "cannot open");
    wmap_error_format(&err, text, sizeof text);
    assert_string_equal(text, "cannot open: No such file or directory");
    wmap_error_format(&err, text, 5);
    assert_string_equal(text, "cann");
    char long_text[3000];
    memset(long_text, 'l', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = 0;
    wm_fail(&err, WMAP_E_IO, "%s", long_text);
    assert_true(strlen(err.message) < sizeof err.message);
    assert_int_equal(wmap_exit_status(WMAP_OK), 0);
    assert_int_equal(wmap_exit_status(WMAP_E_TARGET), 1);
    assert_int_equal(wmap_exit_status(WMAP_E_NOT_WEIGHTS), 2);
    assert_int_equal(wmap_exit_status(WMAP_E_CORRUPT), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arena),      cmocka_unit_test(test_arena_jumps),  cmocka_unit_test(test_push),
        cmocka_unit_test(test_map),        cmocka_unit_test(test_size),         cmocka_unit_test(test_cursor),
        cmocka_unit_test(test_sha256),     cmocka_unit_test(test_sha256_ways),  cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_show),       cmocka_unit_test(test_float_digits), cmocka_unit_test(test_dtype),
        cmocka_unit_test(test_index_text), cmocka_unit_test(test_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
