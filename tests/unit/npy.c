/* NumPy arrays: headers of every version and dialect, lying ones, byte order, column-major data, writing. */
#include "tests/unit/files.h"

/* A file of version 1.0 with that dict and data. */
static bytes npy(const char *dict, const void *data, size_t size)
{
    bytes b = {0};
    bytes_text(&b, "\x93NUMPY\x01");
    bytes_le(&b, 0, 1);
    bytes_le(&b, strlen(dict), 2);
    bytes_text(&b, dict);
    bytes_add(&b, data, size);
    return b;
}

static void accepts(const char *dict, wmap_dtype dtype, uint32_t rank, const uint64_t *shape,
                    const char *data, size_t size)
{
    bytes b = npy(dict, data, size);
    wmap_archive *a = accept(&b);
    assert_string_equal(wmap_archive_format(a), "npy");
    assert_int_equal(wmap_archive_count(a), 1);
    expect_tensor(a, "0", dtype, rank, shape, data, size);
    wmap_archive_close(a);
    bytes_free(&b);
}

static void refuses(const char *dict, wmap_code code, const char *text)
{
    bytes b = npy(dict, "12345678", 8);
    refuse(&b, code, text);
    bytes_free(&b);
}

static void test_dialects(void **state)
{
    (void)state;
    const uint64_t two[] = {2}, four[] = {2, 1}, none[] = {0, 5};
    accepts("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n", WMAP_F32, 1, two, "abcdefgh", 8);
    accepts("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", WMAP_F32, 1, two, "abcdefgh", 8);
    accepts("{\"shape\": (2L, 1L), \"descr\": u\"<i2\", \"fortran_order\": False}\n", WMAP_I16, 2, four,
            "abcd", 4);
    accepts("{'descr': '|b1', 'fortran_order': False, 'shape': ()}", WMAP_BOOL, 0, NULL, "\1", 1);
    accepts("{'descr': '=f8', 'fortran_order': True, 'shape': ()}", WMAP_F64, 0, NULL, "abcdefgh", 8);
    accepts("{'descr': '<c8', 'fortran_order': False, 'shape': (0, 5)}", WMAP_C64, 2, none, "", 0);
    accepts("{'descr': '<V2', 'fortran_order': False, 'shape': (2,)}", WMAP_RAW16, 1, two, "abcd", 4);
    accepts("{'descr': '|V2', 'fortran_order': False, 'shape': (2,)}", WMAP_RAW16, 1, two, "abcd", 4);
    accepts("{'descr': '>V2', 'fortran_order': False, 'shape': (2,)}", WMAP_RAW16, 1, two, "abcd", 4);
    accepts("{'descr': '>u1', 'fortran_order': False, 'shape': (2,)}", WMAP_U8, 1, two, "ab", 2);
}

static void test_versions(void **state)
{
    (void)state;
    const char *dict = "{'descr': '<f4', 'fortran_order': False, 'shape': (), }\n";
    for (unsigned major = 2; major <= 3; major++) {
        bytes b = {0};
        bytes_text(&b, "\x93NUMPY");
        bytes_le(&b, major, 2);
        bytes_le(&b, strlen(dict), 4);
        bytes_text(&b, dict);
        bytes_text(&b, "abcd");
        wmap_archive *a = accept(&b);
        expect_tensor(a, "0", WMAP_F32, 0, NULL, "abcd", 4);
        wmap_archive_close(a);
        bytes_set_le(&b, 8, 0xffffffff, 4); /* the header claims 4 GiB */
        refuse(&b, WMAP_E_CORRUPT, "larger than any");
        bytes_set_le(&b, 8, 1000, 4);
        refuse(&b, WMAP_E_CORRUPT, "truncated");
        bytes_free(&b);
    }
    static const unsigned char bad[][2] = {{0, 0}, {1, 1}, {2, 1}, {4, 0}, {255, 0}, {3, 255}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        bytes b = npy(dict, "abcd", 4);
        bytes_set_le(&b, 6, bad[i][0], 1);
        bytes_set_le(&b, 7, bad[i][1], 1);
        refuse(&b, WMAP_E_UNSUPPORTED, "version");
        bytes_free(&b);
    }
    for (size_t i = 0; i < 6; i++) {
        bytes b = npy(dict, "abcd", 4);
        b.at[i] ^= 1;
        refuse(&b, i < 4 ? WMAP_E_NOT_WEIGHTS : WMAP_E_UNSUPPORTED, i < 4 ? "no weight file" : "magic");
        bytes_free(&b);
    }
}

static void test_bad_headers(void **state)
{
    (void)state;
    static const char *const corrupt[] = {
        "",
        "[]",
        "{}",
        "{'descr': '<f4', 'fortran_order': False}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'x': 1}",
        "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)} x",
        "{'descr': '<f4', 'fortran_order': False 'shape': (2,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)",
        "{'descr': '<f4', 'fortran_order': 0, 'shape': (2,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': 2}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': [2,]}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (True,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': ('3',)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2.0,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (02,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1_0,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2,,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1 1)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775808, 2)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999999,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4, 0)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", /* four bytes too many */
        "{'descr': '', 'fortran_order': False, 'shape': (2,)}",
        "{'descr': 1, 'fortran_order': False, 'shape': (2,)}",
        "{'descr': open('x'), 'fortran_order': False, 'shape': (2,)}",
        "{'descr': '<\\x664', 'fortran_order': False, 'shape': (2,)}",
        "{'descr': [('a', '<f4'), 'fortran_order': False, 'shape': (2,)}",
    };
    for (size_t i = 0; i < sizeof corrupt / sizeof *corrupt; i++)
        refuses(corrupt[i], WMAP_E_CORRUPT, "");
    refuses("{'descr': '<f16', 'fortran_order': False, 'shape': (2,)}", WMAP_E_UNSUPPORTED, "<f16");
    refuses("{'descr': '<U3', 'fortran_order': False, 'shape': (2,)}", WMAP_E_UNSUPPORTED, "strings (<U3)");
    refuses("{'descr': '<M8[ns]', 'fortran_order': False, 'shape': (1,)}", WMAP_E_UNSUPPORTED, "dates");
    refuses("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", WMAP_E_CORRUPT, "pickle: ");
    refuses("{'descr': [('a', '<f4'), ('b', 'i1', (2, 2))], 'fortran_order': False, 'shape': (1,)}",
            WMAP_E_UNSUPPORTED, "structure");
}

/* Brackets beyond any depth must cost no stack, ranks beyond 64 no memory. */
static void test_nesting(void **state)
{
    (void)state;
    bytes dict = {0};
    bytes_text(&dict, "{'descr': ");
    for (int i = 0; i < 10000; i++)
        bytes_text(&dict, "(");
    bytes_le(&dict, 0, 1);
    refuses((const char *)dict.at, WMAP_E_CORRUPT, "structure");
    bytes_free(&dict);
    for (int rank = 64; rank <= 65; rank++) {
        bytes_text(&dict, "{'descr': '<f8', 'fortran_order': True, 'shape': (");
        for (int i = 0; i < rank; i++)
            bytes_text(&dict, "1, ");
        bytes_text(&dict, ")}");
        bytes_le(&dict, 0, 1);
        if (rank == 65)
            refuses((const char *)dict.at, WMAP_E_CORRUPT, "64 dimensions");
        else {
            bytes b = npy((const char *)dict.at, "12345678", 8);
            wmap_archive *a = accept(&b);
            assert_int_equal(wmap_archive_tensor(a, 0)->rank, 64);
            wmap_archive_close(a);
            bytes_free(&b);
        }
        bytes_free(&dict);
    }
}

static void test_length(void **state)
{
    (void)state;
    bytes b = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", "abcdefghi", 9);
    refuse(&b, WMAP_E_CORRUPT, "1 bytes follow");
    b.size -= 2;
    refuse(&b, WMAP_E_CORRUPT, "room");
    for (size_t size = 0; size < b.size; size++) { /* cut at every byte */
        bytes cut = {b.at, size, 0};
        wmap_error err;
        assert_null(open_bytes(cut.at, cut.size, &err));
    }
    bytes_free(&b);
}

static void test_fortran(void **state)
{
    (void)state;
    const uint64_t shape[] = {2, 3};
    bytes b = npy("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3)}", "adbecf", 6);
    wmap_archive *a = accept(&b);
    expect_tensor(a, "0", WMAP_U8, 2, shape, "adbecf", 6);
    assert_non_null(a->entries[0].strides);
    assert_int_equal(a->entries[0].strides[0], 1);
    assert_int_equal(a->entries[0].strides[1], 2);
    wmap_archive_close(a);
    bytes_free(&b);
}

static void test_big_endian(void **state)
{
    (void)state;
    const uint64_t shape[] = {2}, one[] = {1}, square[] = {2, 2};
    bytes b = npy("{'descr': '>f4', 'fortran_order': False, 'shape': (2,)}", "abcdefgh", 8);
    wmap_archive *a = accept(&b);
    assert_false(a->entries[0].direct);
    expect_tensor(a, "0", WMAP_F32, 1, shape, "dcbahgfe", 8);
    wm_archive_forget(a, 0); /* decoding again gives the same */
    expect_tensor(a, "0", WMAP_F32, 1, shape, "dcbahgfe", 8);
    wmap_archive_close(a);
    bytes_free(&b);
    b = npy("{'descr': '>c8', 'fortran_order': False, 'shape': (1,)}", "abcdefgh", 8);
    a = accept(&b);
    expect_tensor(a, "0", WMAP_C64, 1, one, "dcbahgfe", 8); /* each part by itself */
    wmap_archive_close(a);
    bytes_free(&b);
    b = npy("{'descr': '>i2', 'fortran_order': True, 'shape': (2, 2)}", "abcdefgh", 8);
    a = accept(&b);
    expect_tensor(a, "0", WMAP_I16, 2, square, "badcfehg", 8);
    assert_int_equal(a->entries[0].strides[1], 2);
    wmap_archive_close(a);
    bytes_free(&b);
}

/* The bytes that NumPy 2.4 writes for the same array. */
static void test_write(void **state)
{
    (void)state;
    const uint64_t shape[] = {2, 3};
    wm_target targets[2] = {target_of("w", WMAP_F32, 2, shape), target_of("v", WMAP_F32, 2, shape)};
    const void *data[] = {"abcdefghijklmnopqrstuvwx", "abcdefghijklmnopqrstuvwx"};
    memory_writer m;
    wmap_error err;
    assert_true(memory_write(&m, "npy", targets, 1, data, &err));
    assert_int_equal(m.out.size, 128 + 24);
    const char head[] = "\x93NUMPY\x01\0v\0{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
    assert_memory_equal(m.out.at, head, sizeof head - 1);
    assert_int_equal(m.out.at[127], '\n');
    wmap_archive *a = accept(&m.out);
    expect_tensor(a, "0", WMAP_F32, 2, shape, data[0], 24);
    wmap_archive_close(a);
    memory_free(&m);
    assert_false(memory_write(&m, "npy", targets, 2, data, &err));
    assert_int_equal(err.code, WMAP_E_TARGET);
    memory_free(&m);
    assert_false(memory_write(&m, "npy", targets, 0, data, &err));
    assert_int_equal(err.code, WMAP_E_TARGET);
    memory_free(&m);
}

/* Every dtype is written so that it reads back the same, or refused with a hint. */
static void test_write_dtypes(void **state)
{
    (void)state;
    uint64_t shape[WMAP_MAX_RANK];
    static const uint8_t data[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
    const void *list[] = {data};
    memory_writer m;
    wmap_error err;
    for (uint32_t d = 0; d < WMAP_MAX_RANK; d++)
        shape[d] = 1;
    for (unsigned dtype = WM_DTYPE_FIRST; dtype <= WM_DTYPE_LAST; dtype++) {
        wm_target target = target_of("t", (wmap_dtype)dtype, dtype % 3 ? dtype % 3 : WMAP_MAX_RANK, shape);
        bool lost = dtype == WMAP_BF16 || dtype == WMAP_F8_E4M3 || dtype == WMAP_F8_E5M2;
        bool ok = memory_write(&m, "npy", &target, 1, list, &err);
        assert_int_equal(ok, !lost);
        if (ok) {
            wmap_archive *a = accept(&m.out);
            expect_tensor(a, "0", (wmap_dtype)dtype, target.tensor.rank, shape, data, (size_t)target.bytes);
            wmap_archive_close(a);
        } else {
            assert_int_equal(err.code, WMAP_E_TARGET);
            assert_string_equal(err.tensor, "t");
            assert_non_null(strstr(err.message, "cast it to f32"));
        }
        memory_free(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dialects),     cmocka_unit_test(test_versions),
        cmocka_unit_test(test_bad_headers),  cmocka_unit_test(test_nesting),
        cmocka_unit_test(test_length),       cmocka_unit_test(test_fortran),
        cmocka_unit_test(test_big_endian),   cmocka_unit_test(test_write),
        cmocka_unit_test(test_write_dtypes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
