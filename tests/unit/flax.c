/* Flax's msgpack: what a hostile file may say. What good files hold is tested with Flax itself. */
#include "tests/unit/files.h"

/* {"k": VALUE} */
static bytes with_value(const void *value, size_t size)
{
    bytes b = {0};
    bytes_add(&b, "\x81\xa1k", 3);
    bytes_add(&b, value, size);
    return b;
}

/* An array of f32 [2], its name of dtype and its number of bytes as given. */
static size_t array(uint8_t out[64], const char *dtype, uint8_t extent, uint8_t elements)
{
    size_t n = 0, len = strlen(dtype);
    uint8_t payload[60];
    payload[n++] = 0x93;
    payload[n++] = 0x91;
    payload[n++] = extent;
    payload[n++] = (uint8_t)(0xa0 + len);
    memcpy(payload + n, dtype, len);
    n += len;
    payload[n++] = 0xc4;
    payload[n++] = elements;
    for (uint8_t i = 0; i < elements; i++)
        payload[n++] = (uint8_t)('a' + i);
    out[0] = 0xc7;
    out[1] = (uint8_t)n;
    out[2] = 1;
    memcpy(out + 3, payload, n);
    return n + 3;
}

static void test_good(void **state)
{
    (void)state;
    uint8_t value[64];
    size_t size = array(value, "float32", 2, 8);
    bytes b = with_value(value, size);
    wmap_archive *a = accept(&b);
    assert_string_equal(wmap_archive_format(a), "flax");
    expect_tensor(a, "k", WMAP_F32, 1, (uint64_t[]){2}, "abcdefgh", 8);
    wmap_archive_close(a);
    for (size_t cut = 4; cut < b.size; cut++) {
        bytes part = {b.at, cut, cut};
        wmap_error err;
        assert_null(open_bytes(part.at, part.size, &err));
    }
    bytes_le(&b, 0, 1);
    refuse(&b, WMAP_E_CORRUPT, "1 bytes follow");
    bytes_free(&b);
    size = array(value, "int4", 2, 1); /* a dtype that wmap doesn't know is listed */
    b = with_value(value, size);
    a = accept(&b);
    assert_string_equal(wmap_archive_note(a, 0), "elements of dtype int4");
    wmap_archive_close(a);
    bytes_free(&b);
}

/* Arrays in pieces, with the keys in either order. */
static void test_pieces(void **state)
{
    (void)state;
    static const uint8_t mark[] = "\x83\xb9__msgpack_chunked_array__\xc3",
                         shape[] = "\xa5shape\x81\xa1"
                                   "0\x04",
                         chunks[] = "\xa6"
                                    "chunks\x82\xa1"
                                    "0";
    uint8_t one[64];
    size_t size = array(one, "float32", 2, 8);
    for (int order = 0; order < 3; order++) {
        bytes value = {0};
        bytes_add(&value, mark, sizeof mark - 1);
        if (order == 0)
            bytes_add(&value, shape, sizeof shape - 1);
        bytes_add(&value, chunks, sizeof chunks - 1);
        bytes_add(&value, one, size);
        bytes_add(&value,
                  "\xa1"
                  "1",
                  2);
        bytes_add(&value, one, size);
        if (order == 1)
            bytes_add(&value, shape, sizeof shape - 1);
        bytes b = with_value(value.at, value.size);
        if (order < 2) {
            wmap_archive *a = accept(&b);
            expect_tensor(a, "k", WMAP_F32, 1, (uint64_t[]){4}, "abcdefghabcdefgh", 16);
            wmap_archive_close(a);
        } else {
            refuse(&b, WMAP_E_CORRUPT, "");
        }
        bytes_free(&value);
        bytes_free(&b);
    }
}

static void refuse_value(const void *value, size_t size, const char *words)
{
    bytes b = with_value(value, size);
    while (b.size < 8)
        bytes_le(&b, 0xc1, 1); /* a file of fewer bytes is none of Flax's */
    refuse(&b, WMAP_E_CORRUPT, words);
    bytes_free(&b);
}

static void test_lies(void **state)
{
    (void)state;
    uint8_t value[64];
    refuse_value("\xdf\xff\xff\xff\xff", 5, "more than the file has room for");
    refuse_value("\xdd\xff\xff\xff\xff", 5, "more than the file has room for");
    refuse_value("\xdb\xff\xff\xff\xff", 5, "truncated");
    refuse_value("\xc6\xff\xff\xff\xff", 5, "truncated");
    refuse_value("\xc9\xff\xff\xff\xff\x01", 6, "the file ends before");
    refuse_value("\xc1", 1, "begins no value");
    refuse_value("\xd4\x07\x00", 3, "type 7");
    refuse_value("\xd4\x01\x00", 3, "no list of shape");
    refuse_value("\x81\xc0\x01\x01", 4, "neither text nor a whole number");
    size_t size = array(value, "float32", 3, 8);
    refuse_value(value, size, "not what its shape takes");
    size = array(value, "float32", 0xff, 8); /* -1 */
    refuse_value(value, size, "no whole number");
    size = array(value, "float32", 2, 8);
    value[1]--;
    refuse_value(value, size, "do not fill it");
    value[1] += 2;
    refuse_value(value, size, "");
    bytes twice = {0};
    bytes_add(&twice, "\x82\xa1k", 3);
    size = array(value, "float32", 2, 8);
    bytes_add(&twice, value, size);
    bytes_add(&twice, "\xa1k", 2);
    bytes_add(&twice, value, size);
    refuse(&twice, WMAP_E_CORRUPT, "");
    bytes_free(&twice);
    bytes deep = {0};
    for (int i = 0; i < 100000; i++)
        bytes_add(&deep, "\x81\xa1k", 3);
    refuse(&deep, WMAP_E_CORRUPT, "nested");
    bytes_free(&deep);
}

/* Values that are no arrays are passed over, whatever their form; keys may be whole numbers. */
static void test_other_values(void **state)
{
    (void)state;
    static const uint8_t rest[] = "\x8e\xa1"
                                  "a\xc0\xa1"
                                  "b\xc2\xa1"
                                  "c\x05\xa1"
                                  "d\xe0\xa1"
                                  "e\xcc\xff\xa1"
                                  "f\xcd\xff\xff\xa1"
                                  "g\xd3\xff\xff\xff\xff\xff\xff\xff\xff\xa1"
                                  "h\xca\0\0\0\0\xa1"
                                  "i\xcb\0\0\0\0\0\0\0\0\xa1"
                                  "j\xa2xy\xa1"
                                  "k\xc4\x01z\xa1"
                                  "l\x90\xa1"
                                  "m\xc7\x03\x02\x92\x01\x02\x07\x80";
    bytes b = {0};
    bytes_add(&b, rest, sizeof rest - 1);
    wmap_archive *a = accept(&b);
    assert_int_equal(wmap_archive_count(a), 0);
    wmap_archive_close(a);
    bytes_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_good), cmocka_unit_test(test_pieces),
                                       cmocka_unit_test(test_lies), cmocka_unit_test(test_other_values)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
