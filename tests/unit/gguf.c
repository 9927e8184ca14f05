/* gguf: a good file, and the ways in which one can lie. */
#include "tests/unit/files.h"

static void text(bytes *b, const char *s)
{
    bytes_le(b, strlen(s), 8);
    bytes_text(b, s);
}

static void start(bytes *b, uint64_t tensors, uint64_t keys)
{
    bytes_text(b, "GGUF");
    bytes_le(b, 3, 4);
    bytes_le(b, tensors, 8);
    bytes_le(b, keys, 8);
}

/* A tensor of two dimensions, `fast` and `slow`. */
static void tensor(bytes *b, const char *name, uint64_t fast, uint64_t slow, unsigned type, uint64_t offset)
{
    text(b, name);
    bytes_le(b, 2, 4);
    bytes_le(b, fast, 8);
    bytes_le(b, slow, 8);
    bytes_le(b, type, 4);
    bytes_le(b, offset, 8);
}

static void data(bytes *b, size_t align, size_t size)
{
    while (b->size % align)
        bytes_le(b, 0, 1);
    for (size_t i = 0; i < size; i++)
        bytes_le(b, 'a' + i % 26, 1);
}

static void test_good(void **state)
{
    (void)state;
    bytes b = {0};
    start(&b, 3, 3);
    text(&b, "general.alignment");
    bytes_le(&b, 4, 4);
    bytes_le(&b, 64, 4);
    text(&b, "texts");
    bytes_le(&b, 9, 4);
    bytes_le(&b, 8, 4);
    bytes_le(&b, 2, 8);
    text(&b, "x");
    text(&b, "");
    text(&b, "numbers");
    bytes_le(&b, 9, 4);
    bytes_le(&b, 12, 4);
    bytes_le(&b, 2, 8);
    bytes_le(&b, 0, 16);
    tensor(&b, "w", 2, 3, 0, 0);
    tensor(&b, "q", 32, 1, 2, 64);
    tensor(&b, "b", 1, 2, 24, 128);
    data(&b, 64, 130);
    wmap_archive *a = accept(&b);
    assert_string_equal(wmap_archive_format(a), "gguf");
    expect_tensor(a, "w", WMAP_F32, 2, (uint64_t[]){3, 2}, "abcdefghijklmnopqrstuvwx", 24);
    expect_tensor(a, "b", WMAP_I8, 2, (uint64_t[]){2, 1}, "yz", 2); /* 128 % 26 = 24 */
    assert_string_equal(wmap_archive_note(a, 1), "quantised (Q4_0)");
    assert_null(wmap_archive_note(a, 0));
    wmap_archive_close(a);
    for (size_t cut = 0; cut < b.size; cut++) { /* every truncation is seen */
        bytes part = {b.at, cut, cut};
        wmap_error err;
        wmap_archive *none = open_bytes(part.at, part.size, &err);
        assert_null(none);
        assert_true(err.code == WMAP_E_CORRUPT || cut < 4);
    }
    bytes_free(&b);
}

static void refuse_one(bytes *b, wmap_code code, const char *words)
{
    refuse(b, code, words);
    bytes_free(b);
}

static void test_counts(void **state)
{
    (void)state;
    bytes b = {0};
    start(&b, UINT64_MAX, 0);
    refuse_one(&b, WMAP_E_CORRUPT, "more than it has room for");
    start(&b, 0, UINT64_MAX / 2);
    refuse_one(&b, WMAP_E_CORRUPT, "more than it has room for");
    start(&b, 0, 0);
    wmap_archive *a = accept(&b);
    assert_int_equal(wmap_archive_count(a), 0);
    wmap_archive_close(a);
    bytes_set_le(&b, 4, 1, 4);
    refuse(&b, WMAP_E_UNSUPPORTED, "version 1");
    bytes_set_le(&b, 4, 0x09000000, 4);
    refuse_one(&b, WMAP_E_UNSUPPORTED, "version 9");
}

static void test_metadata(void **state)
{
    (void)state;
    static const struct {
        unsigned type;
        uint64_t value;
        const char *key, *words;
    } rows[] = {{4, 0, "general.alignment", "power of two"},
                {4, 3, "general.alignment", "power of two"},
                {4, UINT32_MAX, "general.alignment", "power of two"},
                {5, 32, "general.alignment", "power of two"},
                {13, 0, "x", "unknown type 13"},
                {99, 0, "x", "unknown type 99"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bytes b = {0};
        start(&b, 0, 1);
        text(&b, rows[i].key);
        bytes_le(&b, rows[i].type, 4);
        bytes_le(&b, rows[i].value, 4);
        refuse_one(&b, WMAP_E_CORRUPT, rows[i].words);
    }
    static const struct {
        unsigned type;
        uint64_t count;
        const char *words;
    } lists[] = {{9, 1, "list of lists"},
                 {8, UINT64_MAX, "more than the file has room"},
                 {12, UINT64_MAX / 2, "values"},
                 {0, 1 << 20, "truncated"},
                 {8, 3, "truncated"}};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        bytes b = {0};
        start(&b, 0, 1);
        text(&b, "k");
        bytes_le(&b, 9, 4);
        bytes_le(&b, lists[i].type, 4);
        bytes_le(&b, lists[i].count, 8);
        bytes_le(&b, 100, 8);
        bytes_le(&b, 0, 16);
        refuse_one(&b, WMAP_E_CORRUPT, lists[i].words);
    }
    bytes b = {0};
    start(&b, 0, 2);
    for (int i = 0; i < 2; i++) {
        text(&b, "same");
        bytes_le(&b, 0, 4);
        bytes_le(&b, 1, 1);
    }
    refuse_one(&b, WMAP_E_CORRUPT, "twice");
    start(&b, 0, 1);
    bytes_le(&b, UINT64_MAX, 8);
    bytes_le(&b, 0, 16);
    refuse_one(&b, WMAP_E_CORRUPT, "a name of");
}

static void test_tensors(void **state)
{
    (void)state;
    static const struct {
        uint64_t fast, slow;
        unsigned type;
        uint64_t offset;
        wmap_code code;
        const char *words;
    } rows[] = {{2, 3, 0, 32, WMAP_E_CORRUPT, "those before end at 0"},
                {2, 4, 0, 0, WMAP_E_CORRUPT, "end of the file"},
                {UINT64_MAX, 2, 0, 0, WMAP_E_CORRUPT, "shape"},
                {(uint64_t)1 << 32, (uint64_t)1 << 32, 0, 0, WMAP_E_CORRUPT, "shape"},
                {16, 1, 2, 0, WMAP_E_CORRUPT, "shape"},
                {2, 3, 4, 0, WMAP_E_UNSUPPORTED, "type 4"},
                {2, 3, 1000, 0, WMAP_E_UNSUPPORTED, "type 1000"},
                {2, 3, 0, UINT64_MAX, WMAP_E_CORRUPT, "end"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bytes b = {0};
        start(&b, 1, 0);
        tensor(&b, "w", rows[i].fast, rows[i].slow, rows[i].type, rows[i].offset);
        data(&b, 32, 24);
        refuse_one(&b, rows[i].code, rows[i].words);
    }
    bytes b = {0};
    start(&b, 2, 0);
    tensor(&b, "w", 2, 2, 24, 0);
    tensor(&b, "w", 2, 2, 24, 32);
    data(&b, 32, 64);
    refuse_one(&b, WMAP_E_CORRUPT, "");
    start(&b, 1, 0);
    text(&b, "w");
    bytes_le(&b, 5, 4);
    bytes_le(&b, 1, 40);
    bytes_le(&b, 0, 12);
    data(&b, 32, 64);
    refuse_one(&b, WMAP_E_CORRUPT, "5 dimensions");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_good), cmocka_unit_test(test_counts),
                                       cmocka_unit_test(test_metadata), cmocka_unit_test(test_tensors)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
