/* safetensors: good files in every allowed spelling, all the ways to lie in a header, writing. */
#include "runtime/formats/safetensors.h"
#include "tests/unit/files.h"

/* A file with that header and `size` data bytes: a, b, c ... */
static bytes st(const char *header, size_t size)
{
    bytes b = {0};
    bytes_le(&b, strlen(header), 8);
    bytes_text(&b, header);
    for (size_t i = 0; i < size; i++)
        bytes_le(&b, 'a' + i % 26, 1);
    return b;
}

static void refuses(const char *header, size_t size, wmap_code code, const char *text)
{
    bytes b = st(header, size);
    refuse(&b, code, text);
    bytes_free(&b);
}

static wmap_archive *accepts(const char *header, size_t size)
{
    bytes b = st(header, size);
    wmap_archive *a = accept(&b);
    assert_string_equal(wmap_archive_format(a), "safetensors");
    bytes_free(&b);
    return a;
}

#define F32(name, shape, begin, end)                                                                         \
    "\"" name "\":{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":[" #begin "," #end "]}"

static const uint64_t two[] = {2};

static void test_good(void **state)
{
    (void)state;
    wmap_archive *a = accepts("{" F32("w", "[2]", 0, 8) "}", 8);
    expect_tensor(a, "w", WMAP_F32, 1, two, "abcdefgh", 8);
    wmap_archive_close(a);
    const char *const empty[] = {"{}", "{\"__metadata__\":{}}", " { } \n\t\r ",
                                 "{\"__metadata__\":{\"format\":\"pt\"}}"};
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
        a = accepts(empty[i], 0);
        assert_int_equal(wmap_archive_count(a), 0);
        wmap_archive_close(a);
    }
    /* Listed out of the order of their data; scalars, empty ones, spaces, a name of escapes with a NUL. */
    a = accepts(" {" F32("z", "[ ]", 8, 12) " , " F32("\\u0061\\u0000\\ud83d\\ude00", "[2]", 0,
                                                      8) ",\n" F32("e", "[0,3]", 8, 8) "}  \r\n",
                12);
    assert_int_equal(wmap_archive_count(a), 3);
    assert_int_equal(wmap_archive_tensor(a, 0)->name_len, 6);
    assert_memory_equal(wmap_archive_tensor(a, 0)->name, "a\0\xf0\x9f\x98\x80", 6);
    assert_string_equal(wmap_archive_tensor(a, 1)->name, "e");
    expect_tensor(a, "z", WMAP_F32, 0, NULL, "ijkl", 4);
    wmap_archive_close(a);
    a = accepts("{" F32("../../x", "[1]", 0, 4) "," F32("", "[1]", 4, 8) "}", 8);
    expect_tensor(a, "../../x", WMAP_F32, 1, (uint64_t[]){1}, "abcd", 4);
    expect_tensor(a, "", WMAP_F32, 1, (uint64_t[]){1}, "efgh", 4);
    wmap_archive_close(a);
}

/* What is plain is read without the JSON parser; what is not is left to it, whole. */
static void test_plain(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool plain, good; /* read as plain; a sound entry of 8 bytes at 0 */
    } rows[] = {
        {"{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}", true, true},
        {"{ \"data_offsets\" : [ 0 , 8 ] , \"shape\" : [ 1 , 2 ] , \"dtype\" : \"F32\" }", true, true},
        {"{\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[0,8]}", true, true},
        {"{\"dtype\":\"F64\",\"shape\":[],\"data_offsets\":[0,8]}", true, true},
        {"{\"\\u0064type\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}", false, true},
        {"{\"dtype\":\"F32\",\n\"shape\":[2],\"data_offsets\":[0,8]}", false, true},
        {"{\"dtype\":\"F32\",\"shape\":[999999999999999999],\"data_offsets\":[0,8]}", true, false},
        {"{\"dtype\":\"F32\",\"shape\":[1000000000000000000],\"data_offsets\":[0,8]}", false, false},
        {"{\"dtype\":\"F32\",\"shape\":[02],\"data_offsets\":[0,8]}", false, false},
        {"{\"dtype\":\"F32\",\"shape\":[2.0],\"data_offsets\":[0,8]}", false, false},
        {"{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}", false, false},
        {"{\"dtype\":\"F32\",\"shape\":[2,],\"data_offsets\":[0,8]}", false, false},
        {"{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8,8]}", false, false},
        {"{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0]}", false, false},
        {"{\"dtype\":\"F32\",\"shape\":[2],\"shape\":[2]}", false, false},
        {"{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"more\":1}", false, false},
        {"{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],}", false, false},
        {"{\"dtype\":\"F\t32\",\"shape\":[2],\"data_offsets\":[0,8]}", false, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        wm_safetensors_entry entry;
        size_t len = strlen(rows[i].text);
        wm_cursor c = wm_cursor_of(rows[i].text, len, 0);
        assert_int_equal(wm_safetensors_plain_entry(&c, &entry), rows[i].plain);
        assert_int_equal(c.at, rows[i].plain ? len : 0);
        for (size_t cut = 0; cut < len; cut++) { /* each end is seen */
            char *part = malloc(cut + 1);
            assert_non_null(part);
            memcpy(part, rows[i].text, cut);
            c = wm_cursor_of(part, cut, 0);
            assert_false(wm_safetensors_plain_entry(&c, &entry));
            free(part);
        }
        char header[300];
        snprintf(header, sizeof header, "{\"w\":%s}", rows[i].text);
        if (rows[i].good)
            wmap_archive_close(accepts(header, 8));
        else
            refuses(header, 8, WMAP_E_CORRUPT, "");
    }
}

static void test_dtypes(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        unsigned bits;
    } rows[] = {{"F4", 4},          {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8},
                {"F8_E5M2FNUZ", 8}, {"BOOL", 8},    {"U8", 8},      {"I8", 8},      {"F8_E5M2", 8},
                {"F8_E4M3", 8},     {"I16", 16},    {"U16", 16},    {"F16", 16},    {"BF16", 16},
                {"I32", 32},        {"U32", 32},    {"F32", 32},    {"C64", 64},    {"F64", 64},
                {"I64", 64},        {"U64", 64}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char header[200];
        unsigned size = rows[i].bits * 4 / 8;
        snprintf(header, sizeof header, "{\"w\":{\"dtype\":\"%s\",\"shape\":[4],\"data_offsets\":[0,%u]}}",
                 rows[i].name, size);
        wmap_archive *a = accepts(header, size);
        const wmap_tensor *t = wmap_archive_tensor(a, 0);
        assert_int_equal(t->dtype == WMAP_OPAQUE, i < 6);
        if (i < 6) {
            wmap_error err;
            wm_view view;
            assert_string_equal(a->entries[0].note, rows[i].name);
            assert_false(wm_archive_view(a, 0, &view, &err));
            assert_int_equal(err.code, WMAP_E_UNSUPPORTED);
        } else
            assert_int_equal(wmap_dtype_size(t->dtype) * 8, rows[i].bits);
        wmap_archive_close(a);
    }
    refuses("{\"w\":{\"dtype\":\"F4\",\"shape\":[3],\"data_offsets\":[0,2]}}", 2, WMAP_E_CORRUPT,
            "middle of a byte");
    refuses("{\"w\":{\"dtype\":\"F80\",\"shape\":[2],\"data_offsets\":[0,2]}}", 2, WMAP_E_UNSUPPORTED, "F80");
    refuses("{\"w\":{\"dtype\":7,\"shape\":[2],\"data_offsets\":[0,2]}}", 2, WMAP_E_CORRUPT,
            "dtype is no string");
}

static void test_length(void **state)
{
    (void)state;
    bytes b = {0};
    refuse(&b, WMAP_E_NOT_WEIGHTS, "empty");
    bytes_add(&b, "\2\0\0\0\0\0\0", 7);
    refuse(&b, WMAP_E_NOT_WEIGHTS, "");
    bytes_free(&b);
    b = st("{" F32("w", "[2]", 0, 8) "}", 8);
    bytes_set_le(&b, 0, 1000, 8);
    refuse(&b, WMAP_E_CORRUPT, "longer than the file");
    bytes_set_le(&b, 0, 100000000, 8);
    refuse(&b, WMAP_E_CORRUPT, "longer than the file");
    static const uint64_t lengths[] = {100000001, UINT64_MAX, 0xffffffff0000003c, UINT64_MAX - 7};
    for (size_t i = 0; i < 4; i++) {
        bytes_set_le(&b, 0, lengths[i], 8);
        refuse(&b, WMAP_E_CORRUPT, "limit");
    }
    bytes_free(&b);
    b = st("{" F32("w", "[2]", 0, 8) "}", 8);
    for (size_t size = 1; size < b.size; size++) { /* cut anywhere */
        wmap_error err;
        assert_null(open_bytes(b.at, size, &err));
        assert_int_equal(err.code, size < 9 ? WMAP_E_NOT_WEIGHTS : WMAP_E_CORRUPT);
    }
    bytes_text(&b, "PK\5\6");
    refuse(&b, WMAP_E_CORRUPT, "4 bytes follow");
    bytes_free(&b);
}

static void test_json(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{",
        "{\"w\"",
        "{\"w\":",
        "{\"w",
        "{\"w\\",
        "{]",
        "{,}",
        "{\"w\":}",
        "{} {}",
        "{}x",
        "{\"__metadata__\":{},}",
        "{\"__metadata__\":{}/**/}",
        "{'__metadata__':{}}",
        "{__metadata__:{}}",
        "{\"__metadata__\" {}}",
        "{\"__metadata__\":{\"a\":\"b\",}}",
        "{\"__metadata__\":{\"a\":NaN}}",
        "{\"__metadata__\":{\"a\":\"\x01\"}}",
        "{\"__metadata__\":{\"a\":\"\xff\"}}",
        "{\"__metadata__\":{\"a\":\"\xc0\xaf\"}}",
        "{\"__metadata__\":{\"a\":\"\\ud800\"}}",
        "{\"__metadata__\":{\"a\":\"\\x41\"}}",
        "{\"__metadata__\":{\"a\":{}}}",
        "{\"__metadata__\":{\"a\":1}}",
        "{\"__metadata__\":{\"a\":\"b\",\"a\":\"b\"}}",
        "{\"__metadata__\":[]}",
        "{\"__metadata__\":1}",
        "{\"__metadata__\":{},\"__metadata__\":{}}",
        "{\"__metadata__\":{},\"\\u005f_metadata__\":{}}",
        "{\"__metadata__\":{\"a\":\"b\",\"\\u0061\":\"c\"}}",
        "{\"__metadata__\":{\"a\":\"b\"}x}",
        "{\"__metadata__\":{\"a\":\"b\"\"c\":\"d\"}}",
        "{\"__metadata__\":{\"a\":\"b\" 1}}",
        "{\"__metadata__\":{\"a\":true}}",
        "{\"__metadata__\":{\"a\":[\"b\"]}}",
        "{\"w\":1}",
        "{\"w\":\"x\"}",
        "{\"w\":{}}",
        "{\"w\":[]}",
        "{\"w\xff\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}",
        "{\"w\\udc00\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}",
        "{\"w\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}",
        "{\"w\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4],\"x\":0}}",
        "{\"w\":{\"dtype\":\"F32\",\"shape\":[]}}",
        "{\"w\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}",
        "{\"w\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}]",
        "{\"w\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}}",
        "{\"w\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]},\"w\":{\"dtype\":\"F32\",\"shape\":[]"
        ","
        "\"data_offsets\":[0,4]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]},\"\\u0061\":{\"dtype\":\"F32\","
        "\"shape\":[],"
        "\"data_offsets\":[0,4]}}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refuses(bad[i], 4, WMAP_E_CORRUPT, "");
    refuses("{" F32("w", "[]", 0, 4) "," F32("w", "[]", 4, 8) "}", 8, WMAP_E_CORRUPT, "this name");
}

static void test_numbers(void **state)
{
    (void)state;
    static const char *const offsets[] = {
        "[0,4.0]",
        "[0,4e0]",
        "[0.0,4]",
        "[-0.0,4]",
        "[0,1e3]",
        "[0]",
        "[0,4,4]",
        "[]",
        "[\"0\",\"4\"]",
        "[4,0]",
        "[-4,0]",
        "[0,3]",
        "[0,5]",
        "[1,5]",
        "[0,true]",
        "[null,4]",
        "[00,4]",
        "[0,04]",
        "{}",
        "0",
        "null",
        "[0,4",
        "[+0,4]",
        "[0,0x4]",
        "[0,4]]",
        "[0 4]",
        "[0,18446744073709551616]",
        "[18446744073709551612,18446744073709551616]",
        "[9223372036854775804,9223372036854775808]",
    };
    char header[300];
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
        snprintf(header, sizeof header, "{\"w\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":%s}}",
                 offsets[i]);
        refuses(header, 4, WMAP_E_CORRUPT, "");
    }
    static const char *const shapes[] = {"[2]",
                                         "[-1]",
                                         "[1.0]",
                                         "[\"1\"]",
                                         "[true]",
                                         "[[1]]",
                                         "1",
                                         "{}",
                                         "null",
                                         "[2,18446744073709551614]",
                                         "[2,9223372036854775807]",
                                         "[4194305,4194305,211106198978564]",
                                         "[0]",
                                         "[4611686018427387904,4]"};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        snprintf(header, sizeof header, "{\"w\":{\"dtype\":\"F32\",\"shape\":%s,\"data_offsets\":[0,4]}}",
                 shapes[i]);
        refuses(header, 4, WMAP_E_CORRUPT, "");
    }
}

static void test_tiling(void **state)
{
    (void)state;
    refuses("{" F32("a", "[1]", 0, 4) "," F32("b", "[1]", 5, 9) "}", 9, WMAP_E_CORRUPT,
            "belong to no tensor");
    refuses("{" F32("a", "[1]", 1, 5) "}", 5, WMAP_E_CORRUPT, "belong to no tensor");
    refuses("{" F32("a", "[1]", 0, 4) "," F32("b", "[1]", 3, 7) "}", 7, WMAP_E_CORRUPT, "overlap");
    refuses("{" F32("a", "[1]", 0, 4) "," F32("b", "[1]", 0, 4) "}", 4, WMAP_E_CORRUPT, "overlap");
    refuses("{" F32("a", "[2]", 0, 8) "," F32("b", "[0]", 4, 4) "}", 8, WMAP_E_CORRUPT, "overlap");
    refuses("{" F32("a", "[2]", 0, 8) "}", 7, WMAP_E_CORRUPT, "beyond the end");
    refuses("{" F32("a", "[2]", 0, 8) "}", 9, WMAP_E_CORRUPT, "1 bytes follow");
    refuses("{}", 1, WMAP_E_CORRUPT, "1 bytes follow");
    /* Ends that would wrap if they were added up. */
    bytes h = {0};
    for (uint64_t i = 0; i < 8; i++) {
        char item[200];
        snprintf(item, sizeof item,
                 "%c\"%c\":{\"dtype\":\"U8\",\"shape\":[%llu],\"data_offsets\":[%llu,%llu]}", i ? ',' : '{',
                 (char)('a' + i), (1ull << 61) - 1, (unsigned long long)(i * ((1ull << 61) - 1)),
                 (unsigned long long)((i + 1) * ((1ull << 61) - 1)));
        bytes_text(&h, item);
    }
    bytes_add(&h, "}", 2);
    refuses((const char *)h.at, 16, WMAP_E_CORRUPT, "");
    bytes_free(&h);
}

/* Headers made to cost memory, time or stack. */
static void test_floods(void **state)
{
    (void)state;
    bytes h = {0};
    bytes_text(&h, "{\"w\":");
    for (int i = 0; i < 100000; i++)
        bytes_text(&h, "[");
    bytes_le(&h, 0, 1);
    refuses((const char *)h.at, 0, WMAP_E_CORRUPT, "deep");
    h.size = 0;
    bytes_text(&h, "{\"w\":{\"dtype\":\"F32\",\"data_offsets\":[0,4],\"shape\":[1");
    for (int i = 0; i < 1000000; i++)
        bytes_text(&h, ",1");
    bytes_add(&h, "]}}", 4);
    refuses((const char *)h.at, 4, WMAP_E_CORRUPT, "too long");
    h.size = 0;
    bytes_text(&h, "{\"");
    for (int i = 0; i < 1000000; i++)
        bytes_text(&h, "n");
    bytes_add(&h, "\":0}", 5);
    refuses((const char *)h.at, 4, WMAP_E_CORRUPT, "name is too long");
    h.size = 0;
    bytes_text(&h, "{");
    char item[100];
    for (int i = 0; i < 1000001; i++) {
        snprintf(item, sizeof item, "%s\"%d\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}",
                 i ? "," : "", i);
        bytes_text(&h, item);
    }
    bytes_add(&h, "}", 2);
    refuses((const char *)h.at, 0, WMAP_E_CORRUPT, "more than 1000000 tensors");
    h.size = 0; /* tensors that share bytes: found at the second, not when all are listed */
    bytes_text(&h, "{");
    for (int i = 0; i < 1000; i++)
        bytes_text(&h, F32("x", "[4]", 0, 16) ",");
    bytes_add(&h, "}", 2);
    bytes_set_le(&h, 2, 'y', 1);
    refuses((const char *)h.at, 16, WMAP_E_CORRUPT, "overlap");
    h.size = 0;
    bytes_text(&h, "{\"__metadata__\":{");
    for (int i = 0; i < 100001; i++) {
        snprintf(item, sizeof item, "%s\"%d\":\"\"", i ? "," : "", i);
        bytes_text(&h, item);
    }
    bytes_add(&h, "}}", 3);
    refuses((const char *)h.at, 0, WMAP_E_CORRUPT, "__metadata__ holds more");
    bytes_free(&h);
}

static void test_write(void **state)
{
    (void)state;
    const uint64_t shape[] = {2, 3};
    wm_target targets[] = {target_of("b\"\\\n\xc3\xa9", WMAP_F32, 2, shape), target_of("a", WMAP_U8, 0, NULL),
                           target_of("e", WMAP_F64, 1, (uint64_t[]){0}), target_of("h", WMAP_BF16, 1, two)};
    const void *data[] = {"abcdefghijklmnopqrstuvwx", "x", "", "wxyz"};
    memory_writer m;
    wmap_error err;
    assert_true(memory_write(&m, "safetensors", targets, 4, data, &err));
    assert_int_equal(targets[0].offset % 8, 0);
    assert_memory_equal(m.out.at + 8, "{\"__metadata__\":{\"format\":\"pt\"}", 31);
    wmap_archive *a = accept(&m.out);
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(wmap_archive_tensor(a, i)->name, targets[i].tensor.name);
        expect_tensor(a, targets[i].tensor.name, targets[i].tensor.dtype, targets[i].tensor.rank,
                      targets[i].tensor.shape, data[i], (size_t)targets[i].bytes);
        assert_int_equal(a->entries[i].offset, targets[i].offset);
    }
    wmap_archive_close(a);
    memory_free(&m);
    wm_target bad[] = {target_of("__metadata__", WMAP_F32, 0, NULL), target_of("\xff", WMAP_F32, 0, NULL),
                       target_of("c", WMAP_C128, 0, NULL), target_of("r", WMAP_RAW16, 0, NULL)};
    for (size_t i = 0; i < 4; i++) {
        assert_false(memory_write(&m, "safetensors", &bad[i], 1, data, &err));
        assert_int_equal(err.code, WMAP_E_TARGET);
        assert_true(err.tensor[0]);
        memory_free(&m);
    }
    assert_true(memory_write(&m, "safetensors", NULL, 0, NULL, &err));
    wmap_archive_close(accept(&m.out));
    memory_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),   cmocka_unit_test(test_plain),  cmocka_unit_test(test_dtypes),
        cmocka_unit_test(test_length), cmocka_unit_test(test_json),   cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_tiling), cmocka_unit_test(test_floods), cmocka_unit_test(test_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
