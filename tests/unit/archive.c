/* Opening files: what is found by content, what is refused by name, views from many threads, entries'
 * windows. */
#include "tests/unit/files.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

#include "runtime/formats/zip.h"

static void test_kinds(void **state)
{
    (void)state;
    static const struct {
        const char *head;
        size_t size;
        wmap_code code;
        const char *text;
    } rows[] = {
        {"", 0, WMAP_E_NOT_WEIGHTS, "empty"},
        {"x", 1, WMAP_E_NOT_WEIGHTS, "text"},
        {"\0\1\2\3", 4, WMAP_E_NOT_WEIGHTS, "looked for NumPy"},
        {"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", 63, WMAP_E_NOT_WEIGHTS,
         "Git LFS pointer"},
        {"<!DOCTYPE html><html>", 21, WMAP_E_NOT_WEIGHTS,
         "this is no weight file but a web page; the download went wrong"},
        {"Rar!", 4, WMAP_E_UNSUPPORTED, "this is a RAR archive, which wmap does not read; unpack it first"},
        {"wmap 1\nmap m { }\n", 17, WMAP_E_NOT_WEIGHTS, "spec"},
        {"\x1f\x8b\x08\0", 4, WMAP_E_UNSUPPORTED, "gzip"},
        {"BZh9", 4, WMAP_E_UNSUPPORTED, "bzip2"},
        {"(lp0\n.", 6, WMAP_E_NOT_WEIGHTS, "pickle that holds no array"},
        {"\x80\2}q\0.", 6, WMAP_E_NOT_WEIGHTS, "pickle that holds no array"},
        {"{\"metadata\": {}, \"weight_map\": {}}", 34, WMAP_E_CORRUPT, "names no file"},
        {"PK\3\4", 4, WMAP_E_CORRUPT, "cut off"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bytes b = {0};
        bytes_add(&b, rows[i].head, rows[i].size);
        refuse(&b, rows[i].code, rows[i].text);
        bytes_free(&b);
    }
    bytes b = {0};
    bytes_text(&b, "name");
    while (b.size < 257)
        bytes_le(&b, 0, 1);
    bytes_text(&b, "ustar");
    refuse(&b, WMAP_E_UNSUPPORTED,
           "a tar archive, which wmap does not read; if it is a NeMo file, unpack it first");
    bytes_free(&b);
}

static void refuse_path(const char *path, wmap_code code, const char *text)
{
    wmap_error err = {0};
    assert_null(wmap_archive_open(path, &err));
    assert_int_equal(err.code, code);
    assert_non_null(strstr(err.message, text));
    assert_string_equal(err.file, path);
}

static void test_not_files(void **state)
{
    (void)state;
    char path[64];
    refuse_path("/nonexistent/x.npz", WMAP_E_IO, strerror(ENOENT));
    refuse_path("/tmp", WMAP_E_NOT_WEIGHTS, "folder");
    refuse_path("/dev/null", WMAP_E_IO, "device");
    refuse_path("/dev/zero", WMAP_E_IO, "device");
    file_make(path, "", 0); /* a named pipe that nobody writes to: no hanging */
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    refuse_path(path, WMAP_E_NOT_WEIGHTS, "empty");
    unlink(path);
}

static const char one_array[] =
    "\x93NUMPY\x01\0@\0{'descr': '|u1', 'fortran_order': False, 'shape': (4,), }  \n"
    "abcd";

/* "-" reads standard input, a pipe here, to its end. */
static void test_stdin(void **state)
{
    (void)state;
    int ends[2], saved = dup(STDIN_FILENO);
    bytes b = {0};
    bytes_add(&b, one_array, 10);
    bytes_set_le(&b, 8, sizeof one_array - 1 - 4 - 10, 2);
    bytes_add(&b, one_array + 10, sizeof one_array - 1 - 10);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], b.at, b.size), (ssize_t)b.size);
    close(ends[1]);
    assert_true(dup2(ends[0], STDIN_FILENO) >= 0);
    wmap_error err;
    wmap_archive *a = wmap_archive_open("-", &err);
    assert_true(dup2(saved, STDIN_FILENO) >= 0);
    close(saved);
    close(ends[0]);
    if (!a)
        print_error("%s\n", err.message);
    assert_non_null(a);
    assert_string_equal(wmap_archive_path(a), "-");
    assert_int_equal(wmap_archive_size(a), b.size);
    expect_tensor(a, "0", WMAP_U8, 1, (uint64_t[]){4}, "abcd", 4);
    wmap_archive_close(a);
    bytes_free(&b);
}

/* A safetensors file of one byte. */
static bytes tiny(void)
{
    const char *header = "{\"w\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}";
    bytes b = {0};
    bytes_le(&b, strlen(header), 8);
    bytes_text(&b, header);
    bytes_text(&b, "x");
    return b;
}

static void test_cut_while_open(void **state)
{
    (void)state;
    char path[64];
    wmap_error err;
    wm_view view;
    bytes b = tiny();
    file_make(path, b.at, b.size);
    wmap_archive *a = wmap_archive_open(path, &err);
    assert_non_null(a);
    assert_int_equal(truncate(path, 20), 0);
    uint8_t byte;
    assert_false(wm_archive_view(a, 0, &view, &err));
    assert_int_equal(err.code, WMAP_E_CORRUPT);
    assert_string_equal(err.tensor, "w");
    assert_false(wm_archive_read(a, 0, b.size - 1, &byte, 1, &err));
    assert_int_equal(err.code, WMAP_E_CORRUPT);
    assert_true(wm_archive_read(a, 0, 19, &byte, 1, &err));
    wmap_archive_close(a);
    unlink(path);
    bytes_free(&b);
}

static void test_read_bounds(void **state)
{
    (void)state;
    bytes b = tiny();
    wmap_archive *a = accept(&b);
    wmap_error err;
    uint8_t byte;
    assert_false(wm_archive_read(a, 0, b.size, &byte, 1, &err));
    assert_int_equal(err.code, WMAP_E_CORRUPT);
    assert_true(err.has_offset && err.offset == b.size);
    assert_false(wm_archive_read(a, 0, UINT64_MAX, &byte, 1, &err));
    assert_false(wm_archive_read(a, 0, 1, &byte, UINT64_MAX, &err));
    assert_true(wm_archive_read(a, 0, b.size, &byte, 0, &err));
    assert_null(wm_archive_load(a, 0, 0, UINT64_MAX, &err));
    assert_null(wm_archive_load(a, 0, 0, b.size + 1, &err));
    assert_int_equal(err.code, WMAP_E_CORRUPT);
    assert_non_null(wm_archive_load(a, 0, 0, b.size, &err));
    wmap_archive_close(a);
    bytes_free(&b);
}

/* Another file of the set: only by a plain name, only beside the first. */
static void test_add_file(void **state)
{
    (void)state;
    static const char *const bad[] = {"", ".", "..", "../x", "/etc/hosts", "a/b"};
    char folder[] = "/tmp/wmap-test-XXXXXX", path[64];
    wmap_error err;
    bytes b = tiny();
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/one", folder);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(b.at, 1, b.size, f), b.size);
    fclose(f);
    wmap_archive *a = wmap_archive_open(path, &err);
    assert_non_null(a);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(wm_archive_add_file(a, bad[i], &err), UINT32_MAX);
        assert_int_equal(err.code, WMAP_E_CORRUPT);
    }
    assert_int_equal(wm_archive_add_file(a, "missing", &err), UINT32_MAX);
    assert_int_equal(err.code, WMAP_E_IO);
    assert_non_null(strstr(err.file, "missing"));
    assert_int_equal(wm_archive_add_file(a, "one", &err), 1);
    assert_int_equal(wmap_archive_size(a), 2 * b.size);
    char pointer[64];
    snprintf(pointer, sizeof pointer, "%s/two", folder);
    f = fopen(pointer, "wb");
    assert_non_null(f);
    fputs("version https://git-lfs.github.com/spec/v1\noid sha256:0\n", f);
    fclose(f);
    assert_int_equal(wm_archive_add_file(a, "two", &err), UINT32_MAX);
    assert_int_equal(err.code, WMAP_E_NOT_WEIGHTS);
    wmap_archive_close(a);
    unlink(path);
    unlink(pointer);
    rmdir(folder);
    bytes_free(&b);
}

static void test_add(void **state)
{
    (void)state;
    bytes b = tiny();
    wmap_archive *a = accept(&b);
    wmap_error err;
    const uint64_t huge[] = {(uint64_t)1 << 62, 2}, zero[] = {0, (uint64_t)1 << 40};
    assert_null(wm_archive_add(a, "w", 1, WMAP_U8, 0, NULL, NULL, &err));
    assert_int_equal(err.code, WMAP_E_CORRUPT);
    assert_null(wm_archive_add(a, "h", 1, WMAP_U8, 2, huge, NULL, &err));
    assert_int_equal(err.code, WMAP_E_CORRUPT);
    assert_null(wm_archive_add(a, "h", 1, WMAP_U16, 1, huge, NULL, &err));
    char *name = calloc(1, WM_MAX_NAME + 1);
    assert_non_null(name);
    assert_null(wm_archive_add(a, name, WM_MAX_NAME + 1, WMAP_U8, 0, NULL, NULL, &err));
    assert_non_null(wm_archive_add(a, name, WM_MAX_NAME, WMAP_U8, 0, NULL, NULL, &err));
    free(name);
    assert_non_null(wm_archive_add(a, "z", 1, WMAP_F64, 2, zero, NULL, &err));
    assert_null(wm_archive_add(a, "z", 1, WMAP_F64, 2, zero, NULL, &err));
    assert_int_equal(wmap_archive_count(a), 3);
    wmap_archive_close(a);
    bytes_free(&b);
}

/* An alias tells one entry: one that two share, or that is an entry's name, is nobody's. */
static void test_alias(void **state)
{
    (void)state;
    bytes b = tiny();
    wmap_archive *a = accept(&b);
    wmap_error err;
    const char *const names[] = {"k1", "k2", "k3", "k4", "k5"};
    const char *const aliases[] = {"one", "both", "both", "w", "k5"};
    for (size_t i = 0; i < 5; i++) {
        wm_entry *e = wm_archive_add(a, names[i], 2, WMAP_U8, 0, NULL, NULL, &err);
        assert_non_null(e);
        assert_null(wmap_archive_alias(a, i + 1));
        assert_true(wm_archive_alias(a, e, aliases[i], strlen(aliases[i]), &err));
        assert_true(wm_archive_alias(a, e, "", 0, &err));
        assert_true(wm_archive_alias(a, e, "x\0y", 3, &err));
    }
    assert_true(wm_aliases_settle(a, &err));
    assert_null(wmap_archive_alias(a, 0));
    assert_string_equal(wmap_archive_alias(a, 1), "one");
    for (size_t i = 2; i < 6; i++)
        assert_null(wmap_archive_alias(a, i));
    wmap_archive_close(a);
    bytes_free(&b);
}

static bool window(uint32_t rank, const uint64_t *shape, const int64_t *strides, uint64_t offset,
                   uint64_t begin, uint64_t end)
{
    wm_file file = {.path = "f", .size = 100};
    wmap_archive archive = {.files = &file, .file_count = 1};
    wm_entry entry = {
        .tensor = {"t", 1, WMAP_F32, rank, shape}, .strides = strides, .direct = true, .offset = offset};
    wmap_error err = {0};
    bool ok = wm_entry_check(&archive, &entry, begin, end, &err);
    assert_int_equal(ok, err.code == WMAP_OK);
    if (!ok)
        assert_string_equal(err.tensor, "t");
    return ok;
}

static void test_window(void **state)
{
    (void)state;
    const uint64_t shape[] = {2, 3}, empty[] = {0, 3}, huge[] = {3};
    assert_true(window(2, shape, NULL, 76, 76, 100));
    assert_false(window(2, shape, NULL, 77, 76, 100));
    assert_false(window(2, shape, NULL, 76, 77, 100));
    assert_false(window(2, shape, NULL, 76, 76, 99));
    assert_false(window(2, shape, NULL, 80, 80, 104)); /* beyond the file */
    assert_false(window(2, shape, NULL, 10, 50, 20));
    assert_true(window(2, shape, (int64_t[]){1, 2}, 76, 76, 100));
    assert_true(window(2, shape, (int64_t[]){0, 0}, 96, 96, 100));
    assert_false(window(2, shape, (int64_t[]){0, 0}, 97, 96, 100));
    assert_false(window(2, shape, (int64_t[]){-3, 1}, 50, 0, 100));
    assert_false(window(2, shape, (int64_t[]){INT64_MAX, 1}, 0, 0, 100));
    assert_false(window(1, huge, (int64_t[]){INT64_MAX}, 0, 0, 100));
    assert_false(window(1, huge, (int64_t[]){(int64_t)1 << 61}, 0, 0, 100));
    assert_true(window(2, empty, (int64_t[]){3, 1}, 100, 100, 100));
    assert_false(window(2, empty, (int64_t[]){3, 1}, 101, 100, 100));
    assert_true(window(0, NULL, NULL, 96, 96, 100));
    assert_false(window(0, NULL, NULL, UINT64_MAX - 2, 0, 100));
}

static void test_warnings(void **state)
{
    (void)state;
    bytes b = tiny();
    wmap_archive *a = accept(&b);
    wm_archive_warn(a, "a %s\nb\x1b", "name");
    assert_string_equal(wmap_archive_warning(a, 0), "a name\\x0ab\\x1b");
    for (int i = 0; i < 5000; i++)
        wm_archive_warn(a, "%d", i);
    assert_true(wmap_archive_warnings(a) < 200);
    assert_non_null(strstr(wmap_archive_warning(a, wmap_archive_warnings(a) - 1), "left out"));
    wmap_archive_close(a);
    bytes_free(&b);
}

/* Many threads ask for the same decoded entries; each is decoded once, and all see the same bytes. */
struct asker {
    pthread_t thread;
    wmap_archive *archive;
    const uint8_t *seen[2];
    bool ok;
};

static void *ask(void *arg)
{
    struct asker *asker = arg;
    asker->ok = true;
    for (size_t i = 0; i < 2; i++) {
        wm_view view;
        wmap_error err;
        if (!wm_archive_view(asker->archive, i, &view, &err)) {
            asker->ok = false;
            return NULL;
        }
        asker->seen[i] = view.bytes;
        asker->ok = asker->ok && view.bytes[0] == 2 && view.bytes[1] == 1 && view.bytes[199998] == 2;
    }
    return NULL;
}

/* Two big-endian arrays in an npz, so that they must be decoded. */
static void make_big_endian(memory_writer *m, uint8_t *member, size_t size)
{
    wm_zip_out out[] = {{.name = "a.npy", .name_len = 5, .size = size},
                        {.name = "b.npy", .name_len = 5, .size = size}};
    wmap_error err;
    memset(m, 0, sizeof *m);
    wm_arena_init(&m->arena);
    m->writer.put = memory_put;
    uint64_t end;
    assert_true(wm_zip_layout(out, 2, &end, &err));
    m->out.size = m->out.cap = (size_t)end;
    m->out.at = calloc(1, m->out.size);
    m->put = calloc(1, m->out.size);
    assert_true(m->out.at && m->put);
    for (size_t i = 0; i < 2; i++) {
        out[i].crc32 = (uint32_t)crc32_z(0, member, size);
        assert_true(memory_put(&m->writer, 0, out[i].data, member, size, &err));
    }
    assert_true(wm_zip_finish(&m->writer, 0, out, 2, &err));
}

static void test_threads(void **state)
{
    (void)state;
    enum { COUNT = 100000, THREADS = 8, SIZE = 128 + 2 * COUNT };
    static const char dict[] =
        "\x93NUMPY\x01\0v\0{'descr': '>u2', 'fortran_order': False, 'shape': (100000,), }";
    uint8_t *member = malloc(SIZE);
    assert_non_null(member);
    memset(member, ' ', 128);
    memcpy(member, dict, sizeof dict - 1);
    member[127] = '\n';
    for (size_t i = 0; i < COUNT; i++)
        memcpy(member + 128 + 2 * i, "\1\2", 2);
    memory_writer m;
    make_big_endian(&m, member, SIZE);
    wmap_archive *a = accept(&m.out);
    assert_false(a->entries[0].direct);
    struct asker askers[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        askers[i] = (struct asker){.archive = a};
        assert_int_equal(pthread_create(&askers[i].thread, NULL, ask, &askers[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(askers[i].thread, NULL);
        assert_true(askers[i].ok);
        assert_ptr_equal(askers[i].seen[0], askers[0].seen[0]);
        assert_ptr_equal(askers[i].seen[1], askers[0].seen[1]);
    }
    wmap_archive_close(a);
    memory_free(&m);
    free(member);
}

/* The temporary file is where TMPDIR says, and the error says so if it can't be. */
static void test_tmpdir(void **state)
{
    (void)state;
    static const char dict[] = "{'descr': '>u2', 'fortran_order': False, 'shape': (1,), }";
    bytes b = {0};
    bytes_add(&b, "\x93NUMPY\x01", 8);
    bytes_le(&b, sizeof dict - 1, 2);
    bytes_text(&b, dict);
    bytes_text(&b, "ab");
    wmap_archive *a = accept(&b);
    wm_view view;
    wmap_error err = {0};
    setenv("TMPDIR", "/nonexistent", 1);
    assert_false(wm_archive_view(a, 0, &view, &err));
    assert_int_equal(err.code, WMAP_E_IO);
    assert_string_equal(err.file, "/nonexistent");
    unsetenv("TMPDIR");
    assert_true(wm_archive_view(a, 0, &view, &err)); /* a failure is not remembered */
    assert_memory_equal(view.bytes, "ba", 2);
    wmap_archive_close(a);
    bytes_free(&b);
}

static void test_table(void **state)
{
    (void)state;
    wmap_format_info info;
    size_t count = 0;
    for (; wmap_format_at(count, &info); count++) {
        assert_true(info.name[0] && info.title[0] && info.reads);
        assert_string_equal(wm_format_named(info.name)->name, info.name);
    }
    assert_true(count >= 3);
    assert_null(wm_format_named("nothing"));
    assert_string_equal(wm_format_of_suffix("a/b.NPZ")->name, "npz");
    assert_string_equal(wm_format_of_suffix("model.v2.safetensors")->name, "safetensors");
    assert_null(wm_format_of_suffix("npz"));
    assert_null(wm_format_of_suffix(".npz")); /* no name before the suffix */
    assert_null(wm_format_of_suffix("a.txt"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),       cmocka_unit_test(test_not_files),
        cmocka_unit_test(test_stdin),       cmocka_unit_test(test_cut_while_open),
        cmocka_unit_test(test_read_bounds), cmocka_unit_test(test_add_file),
        cmocka_unit_test(test_add),         cmocka_unit_test(test_alias),
        cmocka_unit_test(test_window),      cmocka_unit_test(test_warnings),
        cmocka_unit_test(test_threads),     cmocka_unit_test(test_tmpdir),
        cmocka_unit_test(test_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
