/* Unit tests of runtime/formats/torch*.c. The files in tests/data/torch were written by PyTorch itself
 * (make_torch.py); files that no torch would write are made here, byte by byte, with the zip writer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "runtime/archive.h"
#include "runtime/base/dtype.h"
#include "runtime/base/size.h"
#include "runtime/formats/torch.h"
#include "runtime/formats/zip.h"
#include "wmap/archive.h"

extern const wm_format wm_format_torch;

/* ---- listing, as lines: name dtype shape values ---- */

typedef struct text {
    char *bytes;
    size_t len;
} text;

static void add(text *t, const char *bytes, size_t len)
{
    t->bytes = realloc(t->bytes, t->len + len + 1);
    assert_non_null(t->bytes);
    memcpy(t->bytes + t->len, bytes, len);
    t->len += len;
    t->bytes[t->len] = 0;
}

static void add_string(text *t, const char *string)
{
    add(t, string, strlen(string));
}

static void add_values(text *t, wmap_archive *archive, size_t index)
{
    const wm_entry *entry = &archive->entries[index];
    uint32_t width = wmap_dtype_size(entry->tensor.dtype);
    uint64_t count = 0;
    assert_true(wm_shape_count(entry->tensor.shape, entry->tensor.rank, &count));
    if (!width || !count) {
        add_string(t, "-");
        return;
    }
    wm_view view;
    wmap_error err = {0};
    if (!wm_archive_view(archive, index, &view, &err))
        fail_msg("%s: %s", err.tensor, err.message);
    uint64_t strides[WMAP_MAX_RANK], next = 1, at = 0;
    for (uint32_t d = entry->tensor.rank; d-- > 0;) {
        strides[d] = view.strides ? (uint64_t)view.strides[d] : next;
        next *= entry->tensor.shape[d];
    }
    for (uint64_t i = 0; i < count; i++) {
        uint64_t left = i;
        at = 0;
        for (uint32_t d = entry->tensor.rank; d-- > 0;) {
            at += left % entry->tensor.shape[d] * strides[d];
            left /= entry->tensor.shape[d];
        }
        for (uint32_t b = 0; b < width; b++) {
            char hex[3];
            snprintf(hex, sizeof hex, "%02x", view.bytes[at * width + b]);
            add_string(t, hex);
        }
    }
}

static void add_entry(text *t, wmap_archive *archive, size_t index)
{
    const wmap_tensor *tensor = wmap_archive_tensor(archive, index);
    char number[32];
    add(t, tensor->name, tensor->name_len);
    add_string(t, tensor->dtype == WMAP_OPAQUE ? " opaque " : " ");
    if (tensor->dtype != WMAP_OPAQUE) {
        add_string(t, wmap_dtype_name(tensor->dtype));
        add_string(t, " ");
    }
    for (uint32_t d = 0; d < tensor->rank; d++) {
        snprintf(number, sizeof number, d ? "x%llu" : "%llu", (unsigned long long)tensor->shape[d]);
        add_string(t, number);
    }
    add_string(t, tensor->rank ? " " : "scalar ");
    add_values(t, archive, index);
    add_string(t, "\n");
}

static wmap_archive *open_file(const char *path)
{
    wmap_error err = {0};
    wmap_archive *archive = wmap_archive_open(path, &err);
    if (!archive) {
        char said[2048];
        wmap_error_format(&err, said, sizeof said);
        fail_msg("%s", said);
    }
    assert_string_equal(wmap_archive_format(archive), "torch");
    return archive;
}

static char *list(wmap_archive *archive)
{
    text t = {0};
    add_string(&t, "");
    for (size_t i = 0; i < wmap_archive_count(archive); i++)
        add_entry(&t, archive, i);
    return t.bytes;
}

static char *read_text(const char *path)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    text t = {0};
    char buffer[4096];
    add_string(&t, "");
    for (size_t n; (n = fread(buffer, 1, sizeof buffer, f)) > 0;)
        add(&t, buffer, n);
    fclose(f);
    return t.bytes;
}

static void check_listing(const char *stem, const char *warning)
{
    char path[1024];
    snprintf(path, sizeof path, WMAP_TEST_DATA "/torch/%s.txt", stem);
    char *expected = read_text(path);
    snprintf(path, sizeof path, WMAP_TEST_DATA "/torch/%s.pt", stem);
    wmap_archive *archive = open_file(path);
    char *listed = list(archive);
    if (strcmp(listed, expected) != 0)
        print_message("%s.pt\n", stem);
    assert_string_equal(listed, expected);
    if (!warning && wmap_archive_warnings(archive))
        fail_msg("%s: %s", stem, wmap_archive_warning(archive, 0));
    assert_int_equal(wmap_archive_warnings(archive), warning ? 1 : 0);
    if (warning)
        assert_non_null(strstr(wmap_archive_warning(archive, 0), warning));
    free(listed);
    free(expected);
    wmap_archive_close(archive);
}

static void lists_what_torch_wrote(void **state)
{
    (void)state;
    static const char *const plain[] = {"dtypes",    "views",   "module-state", "parameters", "checkpoint",
                                        "keys",      "alone",   "lazy",         "protocol3",  "protocol4",
                                        "protocol5", "nothing", "scalars",      "twisted",    "big",
                                        "deflated",  "plain",   "script"};
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        check_listing(plain[i], NULL);
    check_listing("module-whole", "__main__.Net");
    check_listing("foreign", "__main__.Opts");
    check_listing("opaque", NULL);
}

static void notes_what_opaque_entries_are(void **state)
{
    (void)state;
    static const char *const notes[][2] = {{"q", "quantized tensor"},
                                           {"s", "sparse tensor"},
                                           {"half", "torch.complex32"},
                                           {"fnuz", "torch.float8_e4m3fnuz"}};
    wmap_archive *archive = open_file(WMAP_TEST_DATA "/torch/opaque.pt");
    for (size_t i = 0; i < sizeof notes / sizeof *notes; i++) {
        uint32_t index = wm_map_get(&archive->names, notes[i][0], strlen(notes[i][0]));
        assert_int_not_equal(index, WM_MAP_NONE);
        assert_string_equal(archive->entries[index].note, notes[i][1]);
    }
    wmap_archive_close(archive);
}

/* Stored little-endian storages are read in place, whatever their strides. */
static void reads_views_in_place(void **state)
{
    (void)state;
    wmap_archive *archive = open_file(WMAP_TEST_DATA "/torch/views.pt");
    for (size_t i = 0; i < archive->entry_count; i++)
        assert_true(archive->entries[i].direct);
    uint32_t window = wm_map_get(&archive->names, "window", 6), base = wm_map_get(&archive->names, "base", 4);
    uint32_t turned = wm_map_get(&archive->names, "transposed", 10);
    assert_int_equal(archive->entries[window].offset, archive->entries[base].offset + 20);
    assert_null(archive->entries[window].strides);
    assert_int_equal(archive->entries[turned].strides[0], 1);
    assert_int_equal(archive->entries[turned].strides[1], 6);
    wmap_archive_close(archive);
    archive = open_file(WMAP_TEST_DATA "/torch/deflated.pt");
    assert_false(archive->entries[0].direct);
    wmap_archive_close(archive);
}

/* ---- files that no torch would write ---- */

typedef struct file_writer {
    wm_writer writer;
    uint64_t size;
    int fd;
} file_writer;

static bool put(wm_writer *writer, uint32_t part, uint64_t offset, const void *bytes, size_t size,
                wmap_error *err)
{
    (void)err;
    file_writer *f = (file_writer *)writer;
    assert_int_equal(part, 0);
    assert_true(offset + size <= (f->size ? f->size : writer->parts[0].size));
    assert_int_equal(pwrite(f->fd, bytes, size, (off_t)offset), (ssize_t)size);
    return true;
}

typedef struct record {
    const char *name;
    const void *bytes;
    size_t size;
} record;

static char made[] = "/tmp/wmap-torch-XXXXXX";

/* Makes a zip of these records at `made`. */
static void make_zip(const record *records, size_t count)
{
    wm_arena arena;
    wm_arena_init(&arena);
    file_writer f = {.writer = {.arena = &arena, .put = put}};
    wm_zip_out members[8] = {{0}};
    wmap_error err = {0};
    assert_true(count <= 8);
    for (size_t i = 0; i < count; i++) {
        members[i].name = records[i].name;
        members[i].name_len = strlen(records[i].name);
        members[i].size = records[i].size;
        members[i].crc32 = (uint32_t)crc32_z(0, records[i].bytes, records[i].size);
    }
    f.fd = open(made, O_RDWR | O_TRUNC);
    assert_true(f.fd >= 0);
    assert_true(wm_zip_layout(members, count, &f.size, &err));
    for (size_t i = 0; i < count; i++)
        assert_true(put(&f.writer, 0, members[i].data, records[i].bytes, records[i].size, NULL));
    assert_true(wm_zip_finish(&f.writer, 0, members, count, &err));
    close(f.fd);
    wm_arena_release(&arena);
}

static void refuses(wmap_code code, const char *tensor, const char *said)
{
    wmap_error err = {0};
    wmap_archive *archive = wmap_archive_open(made, &err);
    if (archive)
        fail_msg("opened, and it should say: %s", said);
    if (!strstr(err.message, said))
        fail_msg("says \"%s\" instead of \"%s\"", err.message, said);
    assert_int_equal(err.code, code);
    assert_string_equal(err.file, made);
    if (tensor)
        assert_string_equal(err.tensor, tensor);
}

#define P(text) (text), sizeof(text) - 1

/* A file with one storage of 16 zero bytes, and this pickle. */
static void make_torch(const char *pickle, size_t size)
{
    static const char zeros[16];
    record records[] = {
        {"m/data.pkl", pickle, size}, {"m/data/0", zeros, sizeof zeros}, {"m/version", "3\n", 2}};
    make_zip(records, 3);
}

#define STORAGE(class, key, elements) "((X\7\0\0\0storagectorch\n" class "\n" key "X\3\0\0\0cpu" elements "tQ"
#define KEY0                                                                                                 \
    "X\1\0\0\0"                                                                                              \
    "0"
#define TENSOR(storage, offset, size, stride)                                                                \
    "ctorch._utils\n_rebuild_tensor_v2\n" storage offset size stride "\x89}tR"
#define ONE(tensor) "\x80\2}X\1\0\0\0w" tensor "s."
#define F4          STORAGE("FloatStorage", KEY0, "K\4")

static void takes_the_smallest_file(void **state)
{
    (void)state;
    make_torch(P(ONE(TENSOR(F4, "K\0", "K\2K\2\x86", "K\2K\1\x86"))));
    wmap_archive *archive = open_file(made);
    char *listed = list(archive);
    assert_string_equal(listed, "w f32 2x2 00000000000000000000000000000000\n");
    free(listed);
    wmap_archive_close(archive);
}

static void refuses_views_outside_of_their_storage(void **state)
{
    (void)state;
    const char *over = "reaches over the end";
    make_torch(P(ONE(TENSOR(F4, "K\1", "K\4\x85", "K\1\x85"))));
    refuses(WMAP_E_CORRUPT, "w", over);
    make_torch(P(ONE(TENSOR(F4, "K\0", "K\2K\2\x86", "K\3K\1\x86"))));
    refuses(WMAP_E_CORRUPT, "w", over);
    make_torch(P(ONE(TENSOR(F4, "K\0", "K\2\x85", "\x8a\6\0\0\0\0\0\1\x85")))); /* stride 2^40 */
    refuses(WMAP_E_CORRUPT, "w", over);
    make_torch(P(
        ONE(TENSOR(F4, "K\0", "\x8a\x08\0\0\0\0\0\0\0\x40K\4K\4\x87", "K\0K\0K\0\x87")))); /* 2^66 elements */
    refuses(WMAP_E_CORRUPT, "w", "2^63 elements");
    make_torch(P(ONE(TENSOR(F4, "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f", "K\1\x85", "K\1\x85"))));
    refuses(WMAP_E_CORRUPT, "w", over);
    make_torch(P(ONE(TENSOR(F4, "K\5", "K\0\x85", "K\1\x85")))); /* empty, but beyond */
    refuses(WMAP_E_CORRUPT, "w", over);
    make_torch(P(ONE(TENSOR(F4, "J\xff\xff\xff\xff", "K\1\x85", "K\1\x85"))));
    refuses(WMAP_E_CORRUPT, "w", "offset in its storage is negative");
    make_torch(P(ONE(TENSOR(F4, "K\1", "K\2\x85", "J\xff\xff\xff\xff\x85"))));
    refuses(WMAP_E_CORRUPT, "w", "stride is negative");
    make_torch(P(ONE(TENSOR(F4, "K\0", "J\xff\xff\xff\xff\x85", "K\1\x85"))));
    refuses(WMAP_E_CORRUPT, "w", "size is negative");
    make_torch(P(ONE(TENSOR(F4, "K\0", "K\2\x85", "K\1K\1\x86"))));
    refuses(WMAP_E_CORRUPT, "w", "as many strides");
}

static void refuses_storages_that_lie(void **state)
{
    (void)state;
    make_torch(P(ONE(TENSOR(STORAGE("FloatStorage", KEY0, "K\5"), "K\0", "K\1\x85", "K\1\x85"))));
    refuses(WMAP_E_CORRUPT, "w", "5 elements of 4 bytes, but its record has 16");
    make_torch(P(ONE(TENSOR(STORAGE("FloatStorage", KEY0, "K\3"), "K\0", "K\1\x85", "K\1\x85"))));
    refuses(WMAP_E_CORRUPT, "w", "3 elements");
    make_torch(
        P(ONE(TENSOR(STORAGE("FloatStorage", KEY0, "J\xff\xff\xff\xff"), "K\0", "K\1\x85", "K\1\x85"))));
    refuses(WMAP_E_CORRUPT, "w", "number of elements");
    make_torch(P(ONE(TENSOR(STORAGE("DoubleStorage", KEY0, "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f"), "K\0",
                            "K\1\x85", "K\1\x85"))));
    refuses(WMAP_E_CORRUPT, "w", "elements of 8 bytes");
    make_torch(P(ONE(TENSOR(STORAGE("FloatStorage",
                                    "X\1\0\0\0"
                                    "1",
                                    "K\4"),
                            "K\0", "K\1\x85", "K\1\x85"))));
    refuses(WMAP_E_CORRUPT, "w", "no record for its storage");
    make_torch(
        P(ONE(TENSOR(STORAGE("FloatStorage", "X\6\0\0\0../m/0", "K\4"), "K\0", "K\1\x85", "K\1\x85"))));
    refuses(WMAP_E_CORRUPT, "w", "key can't be a file's name");
    make_torch(P(ONE(TENSOR(STORAGE("Tensor", KEY0, "K\4"), "K\0", "K\1\x85", "K\1\x85"))));
    refuses(WMAP_E_CORRUPT, "w", "class is none of torch");
    make_torch(P(ONE("ctorch._utils\n_rebuild_tensor_v2\n(K\7K\0K\1\x85K\1\x85\x89}tR")));
    refuses(WMAP_E_CORRUPT, "w", "without a storage");
    make_torch(P(ONE("ctorch._utils\n_rebuild_tensor_v2\n" F4 "K\0tR")));
    refuses(WMAP_E_CORRUPT, "w", "too few arguments");
    /* The same storage as two classes. */
    make_torch(P("\x80\2}(X\1\0\0\0a" TENSOR(F4, "K\0", "K\4\x85", "K\1\x85") "X\1\0\0\0b" TENSOR(
        STORAGE("IntStorage", KEY0, "K\4"), "K\0", "K\4\x85", "K\1\x85") "u."));
    refuses(WMAP_E_CORRUPT, "b", "another class");
    make_torch(P("\x80\2}X\1\0\0\0aK\7Qs."));
    refuses(WMAP_E_CORRUPT, "a", "persistent id that is no storage");
}

static void refuses_odd_trees(void **state)
{
    (void)state;
    /* A key set in a tensor; names that meet after joining. */
    make_torch(P("\x80\2}X\1\0\0\0w" TENSOR(F4, "K\0", "K\4\x85", "K\1\x85") "X\1\0\0\0kK\1ss."));
    refuses(WMAP_E_CORRUPT, "w", "keys or items of its own");
    make_torch(
        P("\x80\2}(X\3\0\0\0a.b" TENSOR(F4, "K\0", "K\4\x85", "K\1\x85") "q\1X\1\0\0\0a}X\1\0\0\0bh\1su."));
    refuses(WMAP_E_CORRUPT, "a.b", "");
    /* Nothing but a call, which is named and not made. */
    make_torch(P("\x80\2cposix\nsystem\nX\4\0\0\0true\x85R."));
    refuses(WMAP_E_UNSUPPORTED, NULL, "posix.system");
    make_torch(P("\x80\2cposix\nsystem\nX\4\0\0\0true\x85R0}."));
    refuses(WMAP_E_UNSUPPORTED, NULL, "posix.system");
    make_torch(P("\x80\2}.x"));
    refuses(WMAP_E_CORRUPT, "m/data.pkl", "bytes follow");
    make_torch(P("\x80\2}(u"));
    refuses(WMAP_E_CORRUPT, "m/data.pkl", "STOP");
    make_torch(P(ONE(TENSOR(F4, "K\0",
                            "(KKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKK"
                            "KKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKt",
                            "K\1\x85"))));
    refuses(WMAP_E_UNSUPPORTED, "w", "64 dimensions");
}

/* A call that is dropped from the stack is still told; tensors beside it are read. */
static void warns_of_calls_that_leave_no_trace(void **state)
{
    (void)state;
    make_torch(P(
        "\x80\2cposix\nsystem\nX\4\0\0\0true\x85R0}X\1\0\0\0w" TENSOR(F4, "K\0", "K\4\x85", "K\1\x85") "s."));
    wmap_archive *archive = open_file(made);
    assert_int_equal(wmap_archive_count(archive), 1);
    assert_int_equal(wmap_archive_warnings(archive), 1);
    assert_non_null(strstr(wmap_archive_warning(archive, 0), "posix.system"));
    wmap_archive_close(archive);
}

/* A dict that shows its keys as attributes too holds each tensor once; what is an attribute alone is not
 * lost. */
static void lists_attributes_once(void **state)
{
    (void)state;
    make_torch(P("\x80\2cmunch\nMunch\n)\x81X\1\0\0\0w" TENSOR(
        F4, "K\0", "K\4\x85", "K\1\x85") "q\1s}(X\1\0\0\0wh\1X\1\0\0\0vh\1ub."));
    wmap_archive *archive = open_file(made);
    assert_int_equal(wmap_archive_count(archive), 2);
    assert_string_equal(wmap_archive_tensor(archive, 0)->name, "w");
    assert_string_equal(wmap_archive_tensor(archive, 1)->name, "v");
    wmap_archive_close(archive);
}

/* A list of a tensor, in itself ten times, that again ten times ...: 10^20 names. */
static void bounds_shared_objects(void **state)
{
    (void)state;
    char pickle[4096];
    static const char begin[] = "\x80\2]" TENSOR(F4, "K\0", "K\4\x85", "K\1\x85") "a",
                      again[] = "q\1\60]"
                                "(h\1h\1h\1h\1h\1h\1h\1h\1h\1h\1e";
    size_t used = sizeof begin - 1;
    memcpy(pickle, begin, used);
    for (int i = 0; i < 20; i++, used += sizeof again - 1)
        memcpy(pickle + used, again, sizeof again - 1);
    pickle[used++] = '.';
    make_torch(pickle, used);
    refuses(WMAP_E_UNSUPPORTED, NULL, "far too often");
    /* The same without a tensor is walked once a list. */
    memcpy(pickle, "\x80\2]", 3);
    used = 3;
    for (int i = 0; i < 20; i++, used += sizeof again - 1)
        memcpy(pickle + used, again, sizeof again - 1);
    pickle[used++] = '.';
    make_torch(pickle, used);
    wmap_archive *archive = open_file(made);
    assert_int_equal(wmap_archive_count(archive), 0);
    wmap_archive_close(archive);
}

static void bounds_depth_and_cycles(void **state)
{
    (void)state;
    enum { DEEP = 1000000 };
    static char pickle[2 * DEEP + 3] = "\x80\2";
    memset(pickle + 2, ']', DEEP);
    memset(pickle + 2 + DEEP, 'a', DEEP);
    pickle[2 + 2 * DEEP] = '.';
    make_torch(pickle, sizeof pickle); /* one APPEND too many */
    refuses(WMAP_E_CORRUPT, NULL, "APPEND: nothing on the stack");
    pickle[1 + 2 * DEEP] = '.';
    make_torch(pickle, sizeof pickle - 1);
    refuses(WMAP_E_UNSUPPORTED, NULL, "nested deeper than 256");
    make_torch(P("\x80\2]q\1h\1a" TENSOR(F4, "K\0", "K\4\x85", "K\1\x85") "a."));
    wmap_archive *archive = open_file(made);
    assert_int_equal(wmap_archive_count(archive), 1);
    assert_string_equal(wmap_archive_tensor(archive, 0)->name, "1");
    wmap_archive_close(archive);
}

static void checks_its_records(void **state)
{
    (void)state;
    static const char pickle[] = "\x80\2}.";
    record records[] = {{"m/data.pkl", pickle, 4}, {"m/version", "3\n", 2}, {"m/byteorder", "little", 6}};
    make_zip(records, 3);
    wmap_archive_close(open_file(made));
    make_zip(records, 1);
    refuses(WMAP_E_CORRUPT, NULL, "without its version");
    static const struct {
        const char *version, *said;
        wmap_code code;
    } versions[] = {{"0", "no number", WMAP_E_CORRUPT},
                    {"", "no number", WMAP_E_CORRUPT},
                    {"3 ", "no number", WMAP_E_CORRUPT},
                    {"11\n", "11", WMAP_E_UNSUPPORTED},
                    {"100000000000000000000", "10", WMAP_E_UNSUPPORTED},
                    {"3333333333333333333333333333333333", "longer than", WMAP_E_CORRUPT}};
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        records[1].bytes = versions[i].version;
        records[1].size = strlen(versions[i].version);
        make_zip(records, 3);
        refuses(versions[i].code, "m/version", versions[i].said);
    }
    records[1] = (record){"m/version", "10", 2};
    make_zip(records, 3);
    wmap_archive_close(open_file(made));
    records[2].bytes = "little\n";
    records[2].size = 7;
    make_zip(records, 3);
    refuses(WMAP_E_CORRUPT, "m/byteorder", "byte order");
    records[1].name = "m/.data/version";
    make_zip(records, 2);
    wmap_archive_close(open_file(made));
}

/* ---- writing ---- */

/* Writes `count` targets whose bytes are 1, 2, 3 ... */
static void write_file(const wmap_tensor *tensors, size_t count)
{
    wm_arena arena;
    wm_arena_init(&arena);
    file_writer f = {
        .writer = {.path = "", .arena = &arena, .put = put, .count = count, .format = &wm_format_torch}};
    f.writer.targets = wm_new(&arena, wm_target, count);
    wmap_error err = {0};
    for (size_t i = 0; i < count; i++) {
        f.writer.targets[i].tensor = tensors[i];
        assert_true(wmap_tensor_bytes(&tensors[i], &f.writer.targets[i].bytes));
    }
    f.fd = open(made, O_RDWR | O_TRUNC);
    if (!wm_format_torch.layout(&f.writer, &err))
        fail_msg("%s", err.message);
    for (size_t i = 0; i < count; i++) {
        wm_target *target = &f.writer.targets[i];
        uint8_t *bytes = malloc((size_t)target->bytes + 1);
        for (uint64_t b = 0; b < target->bytes; b++)
            bytes[b] = (uint8_t)(b + 1);
        assert_int_equal(target->offset % 64, 0);
        assert_true(put(&f.writer, 0, target->offset, bytes, (size_t)target->bytes, NULL));
        target->sum = (uint32_t)crc32_z(0, bytes, (size_t)target->bytes);
        free(bytes);
    }
    assert_true(wm_format_torch.finish(&f.writer, &err));
    struct stat st;
    assert_int_equal(fstat(f.fd, &st), 0);
    assert_int_equal(st.st_size, f.writer.parts[0].size);
    close(f.fd);
    wm_arena_release(&arena);
}

static void writes_every_dtype_and_reads_it(void **state)
{
    (void)state;
    static const uint64_t shape[] = {2, 3}, empty[] = {4, 0, 2}, big[] = {300},
                          deep[64] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                                      1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                                      1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2};
    wmap_tensor tensors[32];
    size_t count = 0;
    for (wmap_dtype d = WMAP_BOOL; d <= WMAP_C128; d++) {
        const char *name = wmap_dtype_name(d);
        tensors[count++] = (wmap_tensor){name, strlen(name), d, 2, shape};
    }
    tensors[count++] = (wmap_tensor){"scalar", 6, WMAP_F32, 0, NULL};
    tensors[count++] = (wmap_tensor){"empty", 5, WMAP_F32, 3, empty};
    tensors[count++] = (wmap_tensor){"big", 3, WMAP_U8, 1, big};
    tensors[count++] = (wmap_tensor){"deep.\xc3\xa4", 7, WMAP_I16, 64, deep};
    write_file(tensors, count);
    wmap_archive *archive = open_file(made);
    assert_int_equal(wmap_archive_count(archive), count);
    for (size_t i = 0; i < count; i++) {
        const wmap_tensor *got = wmap_archive_tensor(archive, i);
        assert_string_equal(got->name, tensors[i].name);
        assert_int_equal(got->dtype, tensors[i].dtype);
        assert_int_equal(got->rank, tensors[i].rank);
        if (got->rank)
            assert_memory_equal(got->shape, tensors[i].shape, got->rank * sizeof *got->shape);
        assert_true(archive->entries[i].direct);
        assert_null(archive->entries[i].strides);
        wm_view view;
        wmap_error err = {0};
        uint64_t bytes = 0;
        assert_true(wmap_tensor_bytes(got, &bytes));
        assert_true(bytes == 0 || wm_archive_view(archive, i, &view, &err));
        for (uint64_t b = 0; b < bytes; b++)
            assert_int_equal(view.bytes[b], (uint8_t)(b + 1));
    }
    wmap_archive_close(archive);
}

static void writes_many(void **state)
{
    (void)state;
    enum { MANY = 70000 };
    static const uint64_t shape[] = {1};
    wmap_tensor *tensors = calloc(MANY, sizeof *tensors);
    char(*names)[16] = calloc(MANY, sizeof *names);
    for (size_t i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof names[i], "t.%zu", i);
        tensors[i] = (wmap_tensor){names[i], strlen(names[i]), WMAP_F32, 1, shape};
    }
    write_file(tensors, MANY);
    wmap_archive *archive = open_file(made);
    assert_int_equal(wmap_archive_count(archive), MANY);
    assert_string_equal(wmap_archive_tensor(archive, MANY - 1)->name, "t.69999");
    wmap_archive_close(archive);
    free(tensors);
    free(names);
}

static void cannot_write_everything(void **state)
{
    (void)state;
    static const uint64_t shape[] = {2};
    static const struct {
        wmap_tensor tensor;
        const char *said;
    } cases[] = {
        {{"raw", 3, WMAP_RAW16, 1, shape}, "no dtype for raw16"},
        {{"bad\xff", 4, WMAP_F32, 1, shape}, "UTF-8"},
        {{"what", 4, WMAP_OPAQUE, 1, shape}, "no dtype"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        wm_arena arena;
        wm_arena_init(&arena);
        wm_target target = {.tensor = cases[i].tensor, .bytes = 8};
        wm_writer writer = {.path = "", .arena = &arena, .targets = &target, .count = 1};
        wmap_error err = {0};
        assert_false(wm_format_torch.layout(&writer, &err));
        assert_int_equal(err.code, WMAP_E_TARGET);
        assert_non_null(strstr(err.message, cases[i].said));
        assert_true(strncmp(err.tensor, cases[i].tensor.name, 3) == 0);
        wm_arena_release(&arena);
    }
}

/* Offsets and sizes beyond 4 GiB; the file has holes instead of data. */
static void lays_out_large_files(void **state)
{
    (void)state;
    static const uint64_t huge[] = {(uint64_t)5 << 30}, small[] = {3};
    wm_target targets[3] = {{.tensor = {"a", 1, WMAP_U8, 1, huge}, .bytes = huge[0]},
                            {.tensor = {"b", 1, WMAP_U8, 1, small}, .bytes = 3},
                            {.tensor = {"c", 1, WMAP_F8_E5M2, 1, huge}, .bytes = huge[0]}};
    wm_arena arena;
    wm_arena_init(&arena);
    file_writer f = {.writer = {.path = "", .arena = &arena, .put = put, .count = 3, .targets = targets}};
    wmap_error err = {0};
    f.fd = open(made, O_RDWR | O_TRUNC);
    assert_true(wm_format_torch.layout(&f.writer, &err));
    assert_true(targets[1].offset > huge[0]);
    assert_true(wm_format_torch.finish(&f.writer, &err));
    close(f.fd);
    wmap_archive *archive = open_file(made);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(archive->entries[i].offset, targets[i].offset);
    assert_int_equal(archive->entries[2].tensor.shape[0], huge[0]);
    wmap_archive_close(archive);
    wm_arena_release(&arena);
}

static int setup(void **state)
{
    (void)state;
    int fd = mkstemp(made);
    return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state)
{
    (void)state;
    return unlink(made);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_what_torch_wrote),
        cmocka_unit_test(notes_what_opaque_entries_are),
        cmocka_unit_test(reads_views_in_place),
        cmocka_unit_test(takes_the_smallest_file),
        cmocka_unit_test(refuses_views_outside_of_their_storage),
        cmocka_unit_test(refuses_storages_that_lie),
        cmocka_unit_test(refuses_odd_trees),
        cmocka_unit_test(warns_of_calls_that_leave_no_trace),
        cmocka_unit_test(lists_attributes_once),
        cmocka_unit_test(bounds_shared_objects),
        cmocka_unit_test(bounds_depth_and_cycles),
        cmocka_unit_test(checks_its_records),
        cmocka_unit_test(writes_every_dtype_and_reads_it),
        cmocka_unit_test(writes_many),
        cmocka_unit_test(cannot_write_everything),
        cmocka_unit_test(lays_out_large_files),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
