/* Unit tests of runtime/formats/torch_stream.c and torch_tar.c: files of old torch, and such that lie, made
 * byte by byte. What real torch writes is tested in tests/interop/test_torch.py. */
#include "tests/unit/files.h"

#define MAGIC   "\x80\2\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
#define VERSION "\x80\2M\xe9\3."
#define SYSTEM  "\x80\2}X\x0d\0\0\0little_endian\x88s."
#define HEAD    MAGIC VERSION SYSTEM
/* Four floats under the key "7"; `view` is the part of them that is meant. */
#define STORAGE(view)                                                                                        \
    "((X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0"                                                      \
    "7X\3\0\0\0cpuK\4" view "tQ"
#define TENSOR(view, offset, count)                                                                          \
    "ctorch._utils\n_rebuild_tensor\n" STORAGE(view) "K" offset "K" count "\x85K\1\x85tR"
#define OBJECT(tensor) "\x80\2}X\1\0\0\0w" tensor "s."
#define KEYS                                                                                                 \
    "\x80\2]X\1\0\0\0"                                                                                       \
    "7a."
#define FLOATS                                                                                               \
    "\4\0\0\0\0\0\0\0"                                                                                       \
    "\0\0\0\0\0\0\x80\x3f\0\0\0\x40\0\0\x40\x40"
#define ADD(b, text) bytes_add(&(b), (text), sizeof(text) - 1)

static const float floats[] = {0, 1, 2, 3};

static void reads_a_stream(void **state)
{
    (void)state;
    bytes b = {0};
    wmap_archive *archive;
    ADD(b, HEAD OBJECT(TENSOR("N", "\1", "\3")) KEYS FLOATS);
    archive = accept(&b);
    assert_string_equal(wmap_archive_format(archive), "torch");
    expect_tensor(archive, "w", WMAP_F32, 1, (const uint64_t[]){3}, floats + 1, 12);
    assert_true(archive->entries[0].direct);
    wmap_archive_close(archive);
    bytes_free(&b);
    /* A part of the storage: its elements 1 and 2, of which the second. */
    ADD(b, HEAD OBJECT(TENSOR("X\1\0\0\0vK\1K\2\x87", "\1", "\1")) KEYS FLOATS);
    archive = accept(&b);
    expect_tensor(archive, "w", WMAP_F32, 1, (const uint64_t[]){1}, floats + 2, 4);
    wmap_archive_close(archive);
    bytes_free(&b);
    /* The numbers of protocols 0 and 1. */
    ADD(b, "L119547037146038801333356L\n.I1001\n.}." OBJECT(TENSOR("N", "\0", "\4")) KEYS FLOATS);
    archive = accept(&b);
    expect_tensor(archive, "w", WMAP_F32, 1, (const uint64_t[]){4}, floats, 16);
    wmap_archive_close(archive);
    bytes_free(&b);
}

#define ROW(code, said, text)                                                                                \
    {                                                                                                        \
        (code), (said), (text), sizeof(text) - 1                                                             \
    }

static void refuses_streams_that_lie(void **state)
{
    (void)state;
    static const struct {
        wmap_code code;
        const char *said, *text;
        size_t size;
    } rows[] = {
        ROW(WMAP_E_UNSUPPORTED, "1001", MAGIC "\x80\2M\xea\3." SYSTEM OBJECT("N") "]."),
        ROW(WMAP_E_UNSUPPORTED, "big-endian",
            MAGIC VERSION "\x80\2}X\x0d\0\0\0little_endian\x89s." OBJECT("N") "]."),
        ROW(WMAP_E_CORRUPT, "describe the system", MAGIC VERSION "\x80\2K\1." OBJECT("N") "]."),
        ROW(WMAP_E_CORRUPT, "no list", HEAD OBJECT(TENSOR("N", "\0", "\4")) "\x80\2K\1."),
        ROW(WMAP_E_CORRUPT, "not in the list", HEAD OBJECT(TENSOR("N", "\0", "\4")) "\x80\2]."),
        ROW(WMAP_E_CORRUPT, "no tensor is of",
            HEAD OBJECT(TENSOR("N", "\0", "\4")) "\x80\2](X\1\0\0\0"
                                                 "7X\1\0\0\0"
                                                 "8e." FLOATS FLOATS),
        ROW(WMAP_E_CORRUPT, "twice",
            HEAD OBJECT(TENSOR("N", "\0", "\4")) "\x80\2](X\1\0\0\0"
                                                 "7X\1\0\0\0"
                                                 "7e." FLOATS FLOATS),
        ROW(WMAP_E_CORRUPT, "no text", HEAD OBJECT(TENSOR("N", "\0", "\4")) "\x80\2]K\7a." FLOATS),
        ROW(WMAP_E_CORRUPT, "cut off", HEAD OBJECT(TENSOR("N", "\0", "\4")) KEYS "\4\0\0"),
        ROW(WMAP_E_CORRUPT, "cut off", HEAD OBJECT(TENSOR("N", "\0", "\4")) KEYS "\4\0\0\0\0\0\0\0abc"),
        ROW(WMAP_E_CORRUPT, "cut off",
            HEAD OBJECT(TENSOR("N", "\0", "\4")) KEYS "\1\0\0\0\0\0\0\x40"
                                                      "abcd"),
        ROW(WMAP_E_CORRUPT, "should have 4 elements",
            HEAD OBJECT(TENSOR("N", "\0", "\4")) KEYS "\1\0\0\0\0\0\0\0abcd"),
        ROW(WMAP_E_CORRUPT, "follow the last", HEAD OBJECT(TENSOR("N", "\0", "\4")) KEYS FLOATS "x"),
        ROW(WMAP_E_CORRUPT, "reaches over", HEAD OBJECT(TENSOR("N", "\1", "\4")) KEYS FLOATS),
        ROW(WMAP_E_CORRUPT, "reaches over",
            HEAD OBJECT(TENSOR("X\1\0\0\0vK\3K\2\x87", "\0", "\1")) KEYS FLOATS),
        ROW(WMAP_E_CORRUPT, "reaches over",
            HEAD OBJECT(TENSOR("X\1\0\0\0vK\1K\2\x87", "\0", "\3")) KEYS FLOATS),
        ROW(WMAP_E_CORRUPT, "described wrongly",
            HEAD OBJECT(TENSOR("X\1\0\0\0vK\1\x86", "\0", "\1")) KEYS FLOATS),
        ROW(WMAP_E_CORRUPT, "described wrongly", HEAD OBJECT(TENSOR("K\1", "\0", "\1")) KEYS FLOATS),
        ROW(WMAP_E_UNSUPPORTED, "FooStorage",
            HEAD OBJECT("(X\7\0\0\0storagectorch\nFooStorage\nX\1\0\0\0"
                        "7X\3\0\0\0cpuK\4NtQ") KEYS FLOATS),
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bytes b = {0};
        bytes_add(&b, rows[i].text, rows[i].size);
        refuse(&b, rows[i].code, rows[i].said);
        bytes_free(&b);
    }
}

/* ---- the tar ---- */

typedef struct member {
    const char *name, *text;
    size_t size;
    char type;
} member;

#define MEMBER(name, text)                                                                                   \
    {                                                                                                        \
        (name), (text), sizeof(text) - 1, '0'                                                                \
    }

static void add_member(bytes *b, const member *m)
{
    char header[512] = {0}, sum[8];
    unsigned total = 0;
    snprintf(header, 100, "%s", m->name);
    snprintf(header + 124, 12, "%011zo", m->size);
    memset(header + 148, ' ', 8);
    header[156] = m->type;
    memcpy(header + 257, "ustar\00000", 8);
    for (size_t i = 0; i < sizeof header; i++)
        total += (uint8_t)header[i];
    snprintf(sum, sizeof sum, "%06o", total);
    memcpy(header + 148, sum, 7);
    bytes_add(b, header, sizeof header);
    bytes_add(b, m->text, m->size);
    while (b->size % 512)
        bytes_add(b, "", 1);
}

static void make_tar(bytes *b, const member *members, size_t count)
{
    static const char zeros[1024];
    for (size_t i = 0; i < count; i++)
        add_member(b, &members[i]);
    bytes_add(b, zeros, sizeof zeros);
}

#define STORAGES_OF(count)                                                                                   \
    "\x80\2K\1.\x80\2K\7X\3\0\0\0cpuctorch\nFloatStorage\n\x87." count "\0\0\0\0\0\0\0"                      \
    "\0\0\0\0\0\0\x80\x3f\0\0\0\x40\0\0\x40\x40"
#define STORAGES STORAGES_OF("\4") "\x80\2]."
#define VIEWS    STORAGES_OF("\4") "\x80\2](K\x0aK\7K\1K\2ta." /* storage 10: elements 1 and 2 of storage 7 */
#define TENSORS_OF(storage, rank, size, stride, offset)                                                      \
    "\x80\2K\1.\x80\2K\x09K" storage "ctorch\nFloatTensor\n\x87." rank "\0\0\0\0\0\0\0" size                 \
    "\0\0\0\0\0\0\0" stride "\0\0\0\0\0\0\0" offset "\0\0\0\0\0\0\0"
#define TENSORS TENSORS_OF("\7", "\1", "\2", "\2", "\1") /* tensor 9: elements 1 and 3 */
#define PICKLE                                                                                               \
    "\x80\2}X\1\0\0\0wX\1\0\0\0"                                                                             \
    "9Qs."

static void reads_a_tar(void **state)
{
    (void)state;
    const member plain[] = {MEMBER("sys_info", "\x80\2}."), MEMBER("pickle", PICKLE),
                            MEMBER("tensors", TENSORS), MEMBER("storages", STORAGES)};
    const member views[] = {MEMBER("storages", VIEWS),
                            MEMBER("tensors", TENSORS_OF("\x0a", "\1", "\2", "\1", "\0")),
                            {"x", "20 mtime=1480000.123\n", 21, 'x'},
                            MEMBER("pickle", PICKLE)};
    bytes b = {0};
    make_tar(&b, plain, 4);
    wmap_archive *archive = accept(&b);
    assert_string_equal(wmap_archive_format(archive), "torch");
    assert_int_equal(wmap_archive_count(archive), 1);
    wmap_error err;
    wm_view view;
    assert_true(wm_archive_view(archive, find(archive, "w"), &view, &err));
    assert_int_equal(view.strides[0], 2);
    assert_memory_equal(view.bytes, &floats[1], 4);
    assert_memory_equal(view.bytes + 8, &floats[3], 4);
    wmap_archive_close(archive);
    bytes_free(&b);
    const member sized[] = {views[0], views[1], {"x", "21 mtime=1480000.123\n", 21, 'x'}, views[3]};
    make_tar(&b, sized, 4);
    archive = accept(&b);
    expect_tensor(archive, "w", WMAP_F32, 1, (const uint64_t[]){2}, floats + 1, 8);
    wmap_archive_close(archive);
    bytes_free(&b);
    make_tar(&b, views, 4); /* the length of the record is one short */
    refuse(&b, WMAP_E_CORRUPT, "extended header");
    bytes_free(&b);
}

static void refuses_tars_that_lie(void **state)
{
    (void)state;
    const member good[] = {MEMBER("pickle", PICKLE), MEMBER("tensors", TENSORS),
                           MEMBER("storages", STORAGES)};
    const struct {
        wmap_code code;
        const char *said;
        member more;
    } added[] = {
        {WMAP_E_CORRUPT, "leads elsewhere", MEMBER("../evil", "x")},
        {WMAP_E_CORRUPT, "leads elsewhere", MEMBER("/evil", "x")},
        {WMAP_E_CORRUPT, "link", {"evil", "", 0, '2'}},
        {WMAP_E_CORRUPT, "link", {"evil", "", 0, '1'}},
        {WMAP_E_CORRUPT, "twice", MEMBER("tensors", TENSORS)},
        {WMAP_E_UNSUPPORTED, "no file", {"dev", "", 0, '3'}},
        {WMAP_E_UNSUPPORTED, "names", {"x", "13 path=evil\n", 13, 'x'}},
        {WMAP_E_CORRUPT, "no number", {"x", "10 size=x\n", 10, 'x'}},
        {WMAP_E_CORRUPT, "extended", {"x", "99 a=b\n", 7, 'x'}},
    };
    for (size_t i = 0; i < sizeof added / sizeof *added; i++) {
        const member all[] = {good[0], good[1], good[2], added[i].more};
        bytes b = {0};
        make_tar(&b, all, 4);
        refuse(&b, added[i].code, added[i].said);
        bytes_free(&b);
    }
    const struct {
        const char *said;
        size_t which;
        member other;
    } changed[] = {
        {"`tensors`", 1, MEMBER("other", "")},
        {"`storages`", 2, MEMBER("other", "")},
        {"whose storage isn't there", 1, MEMBER("tensors", TENSORS_OF("\5", "\1", "\2", "\2", "\1"))},
        {"reaches over", 1, MEMBER("tensors", TENSORS_OF("\7", "\1", "\2", "\3", "\1"))},
        {"cut off", 1, MEMBER("tensors", TENSORS_OF("\7", "\2", "\2", "\2", "\1"))},
        {"follow", 1, MEMBER("tensors", TENSORS "x")},
        {"describe a storage or a tensor", 1, MEMBER("tensors", "\x80\2K\1.\x80\2K\1.")},
        {"than there are bytes", 1, MEMBER("tensors", "\x80\2J\xff\xff\xff\x7f.")},
        {"cut off", 2, MEMBER("storages", STORAGES_OF("\5"))},
        {"cut off", 2, MEMBER("storages", "\x80\2K\1.\x80\2K\7X\3\0\0\0cpuctorch\nFloatStorage\n\x87.abc")},
        {"none of torch", 2, MEMBER("storages", "\x80\2K\1.\x80\2K\7X\3\0\0\0cpuctorch\nFoo\n\x87.")},
        {"follow", 2, MEMBER("storages", STORAGES "x")},
        {"over the end", 2, MEMBER("storages", STORAGES_OF("\4") "\x80\2](K\x0aK\7K\3K\2ta.")},
        {"isn't there", 2, MEMBER("storages", STORAGES_OF("\4") "\x80\2](K\x0aK\6K\1K\2ta.")},
        {"one key", 2, MEMBER("storages", STORAGES_OF("\4") "\x80\2](K\7K\7K\1K\2ta.")},
        {"follow", 0, MEMBER("pickle", PICKLE "x")},
    };
    for (size_t i = 0; i < sizeof changed / sizeof *changed; i++) {
        member all[] = {good[0], good[1], good[2]};
        all[changed[i].which] = changed[i].other;
        bytes b = {0};
        make_tar(&b, all, 3);
        refuse(&b, WMAP_E_CORRUPT, changed[i].said);
        bytes_free(&b);
    }
}

/* Headers that lie, and a file that is cut off. */
static void refuses_damaged_tars(void **state)
{
    (void)state;
    const member good[] = {MEMBER("pickle", PICKLE), MEMBER("tensors", TENSORS),
                           MEMBER("storages", STORAGES)};
    bytes b = {0};
    make_tar(&b, good, 3);
    size_t size = b.size;
    b.at[1024 + 130] ^= 1; /* a size, which the sum doesn't know of */
    refuse(&b, WMAP_E_CORRUPT, "damaged header");
    b.at[1024 + 130] ^= 1;
    for (b.size = 1024; b.size < size - 1024; b.size += 512)
        refuse(&b, WMAP_E_CORRUPT, "a");
    bytes_free(&b);
    member large = good[2];
    make_tar(&b, good, 2);
    b.size -= 1024;
    size_t at = b.size;
    add_member(&b, &large);
    memcpy(b.at + at + 124, "77777777777", 11);
    unsigned total = 0;
    memset(b.at + at + 148, ' ', 8);
    for (size_t i = 0; i < 512; i++)
        total += b.at[at + i];
    char sum[8];
    snprintf(sum, sizeof sum, "%06o", total);
    memcpy(b.at + at + 148, sum, 7);
    refuse(&b, WMAP_E_CORRUPT, "longer than the file");
    bytes_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_stream),       cmocka_unit_test(refuses_streams_that_lie),
        cmocka_unit_test(reads_a_tar),          cmocka_unit_test(refuses_tars_that_lie),
        cmocka_unit_test(refuses_damaged_tars),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
