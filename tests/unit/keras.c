/* keras.c: Keras' files and other HDF5 files, read through the program wmap-hdf5. What they hold was told by
 * h5py; see tests/data/keras/make_keras.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "runtime/archive.h"
#include "runtime/formats/hdf5.h"
#include "runtime/hdf5/protocol.h"

#define DATA WMAP_TEST_DATA "/keras/"

/* The failure of `err` for messages of the tests. */
static const char *text_of(const wmap_error *err)
{
    static char text[2048];
    wmap_error_format(err, text, sizeof text);
    return text;
}

static wmap_archive *open_good(const char *name)
{
    char path[512];
    wmap_error err = {0};
    snprintf(path, sizeof path, "%s%s", DATA, name);
    wmap_archive *archive = wmap_archive_open(path, &err);
    if (!archive)
        fail_msg("%s", text_of(&err));
    return archive;
}

static uint32_t crc_of(wmap_archive *archive, size_t index)
{
    wmap_error err = {0};
    wm_view view;
    uint64_t bytes;
    const wmap_tensor *tensor = wmap_archive_tensor(archive, index);
    if (tensor->dtype == WMAP_OPAQUE) {
        assert_false(wm_archive_view(archive, index, &view, &err));
        assert_int_equal(err.code, WMAP_E_UNSUPPORTED);
        return 0;
    }
    if (!wm_archive_view(archive, index, &view, &err))
        fail_msg("%s", text_of(&err));
    assert_null(view.strides);
    assert_true(wmap_tensor_bytes(tensor, &bytes));
    return (uint32_t)crc32(0, view.bytes, (uInt)bytes);
}

static void shape_text(const wmap_tensor *tensor, char *out, size_t size)
{
    size_t used = (size_t)snprintf(out, size, "%s", tensor->rank ? "" : "-");
    for (uint32_t d = 0; d < tensor->rank && used < size; d++)
        used += (size_t)snprintf(out + used, size - used, d ? "x%llu" : "%llu",
                                 (unsigned long long)tensor->shape[d]);
}

/* Every tensor of every good file: name, place in the order, dtype, shape, bytes. */
static void test_expected(void **state)
{
    (void)state;
    FILE *lines = fopen(DATA "expected.txt", "r");
    assert_non_null(lines);
    char line[1024], file[128], name[512], dtype[16], shape[64], open_file[128] = "", got[512];
    unsigned crc;
    wmap_archive *archive = NULL;
    size_t at = 0, files = 0;
    while (fgets(line, sizeof line, lines)) {
        assert_int_equal(
            sscanf(line, "%127[^\t]\t%511[^\t]\t%15[^\t]\t%63[^\t]\t%x", file, name, dtype, shape, &crc), 5);
        if (strcmp(file, open_file) != 0) {
            if (archive)
                assert_int_equal(at, wmap_archive_count(archive));
            wmap_archive_close(archive);
            archive = open_good(file);
            assert_string_equal(wmap_archive_format(archive), strstr(file, ".keras") ? "keras" : "keras-h5");
            snprintf(open_file, sizeof open_file, "%s", file);
            at = 0;
            files++;
        }
        assert_true(at < wmap_archive_count(archive));
        const wmap_tensor *tensor = wmap_archive_tensor(archive, at);
        assert_string_equal(tensor->name, name);
        assert_int_equal(tensor->name_len, strlen(name));
        assert_string_equal(wmap_dtype_name(tensor->dtype), dtype);
        shape_text(tensor, got, sizeof got);
        assert_string_equal(got, shape);
        if (crc_of(archive, at) != crc)
            fail_msg("%s: %s: other bytes than h5py's", file, name);
        at++;
    }
    assert_non_null(archive);
    assert_int_equal(at, wmap_archive_count(archive));
    wmap_archive_close(archive);
    assert_int_equal(files, 13);
    fclose(lines);
}

/* Contiguous little-endian data are read in place, whatever stands before the HDF5 file. */
static void test_in_place(void **state)
{
    (void)state;
    static const char *const files[] = {"whole.h5", "names_utf8.h5", "model.keras"};
    for (size_t f = 0; f < sizeof files / sizeof *files; f++) {
        wmap_archive *archive = open_good(files[f]);
        assert_int_equal(archive->file_count, 1);
        for (size_t i = 0; i < archive->entry_count; i++)
            assert_true(archive->entries[i].direct);
        wmap_archive_close(archive);
    }
}

/* The weights of a stored .keras file are one member: a byte of them, and no tensor of it is given out. */
static void test_sum(void **state)
{
    (void)state;
    char path[64] = "/tmp/wmap-test-XXXXXX";
    FILE *in = fopen(DATA "model.keras", "rb");
    assert_non_null(in);
    static uint8_t bytes[1 << 20];
    size_t size = fread(bytes, 1, sizeof bytes, in);
    fclose(in);
    wmap_archive *good = open_good("model.keras");
    size_t last = wmap_archive_count(good) - 1;
    bytes[good->entries[last].offset] ^= 1;
    wmap_archive_close(good);
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
    close(fd);
    wmap_error err = {0};
    wmap_archive *archive = wmap_archive_open(path, &err);
    assert_non_null(archive);
    for (size_t i = 0; i <= last; i++) {
        wm_view view;
        assert_false(wm_archive_view(archive, i, &view, &err));
        assert_int_equal(err.code, WMAP_E_CORRUPT);
        assert_non_null(strstr(err.message, "CRC"));
    }
    wmap_archive_close(archive);
    unlink(path);
}

struct bad {
    const char *file, *message, *tensor;
    wmap_code code;
};

static const struct bad bad[] = {
    {"bad_soft.h5", "a soft link", "b", WMAP_E_UNSUPPORTED},
    {"bad_external_link.h5", "an external link", "a/x", WMAP_E_UNSUPPORTED},
    {"bad_external_self.h5", "an external link", "a/x", WMAP_E_UNSUPPORTED},
    {"bad_external_data.h5", "external storage", "a/x", WMAP_E_UNSUPPORTED},
    {"bad_virtual.h5", "virtual", "a/x", WMAP_E_UNSUPPORTED},
    {"bad_bomb.h5", "only 0 are stored", "a/x", WMAP_E_CORRUPT},
    {"bad_bomb_contiguous.h5", "only 0 are stored", "a/x", WMAP_E_CORRUPT},
    {"bad_bomb_chunk.h5", "only 0 are stored", "a/x", WMAP_E_CORRUPT},
    {"bad_many_bombs.h5", "unpack to more than 1100 times", "", WMAP_E_CORRUPT},
    {"bad_cycle.h5", "linked more than once", "a/b/c", WMAP_E_CORRUPT},
    {"bad_deep.h5", "nested more than 64 deep", NULL, WMAP_E_CORRUPT},
    {"bad_filter.h5", "filter 32000 (lzf)", "a/x", WMAP_E_UNSUPPORTED},
    {"bad_names_type.h5", "layer_names is no list of text", "", WMAP_E_CORRUPT},
    {"bad_missing.h5", "no such dataset", "d/d/kernel:0", WMAP_E_CORRUPT},
    {"bad_missing_layer.h5", "no such group", "e", WMAP_E_CORRUPT},
    {"bad_duplicate.h5", "listed before", "d/d/kernel:0", WMAP_E_CORRUPT},
    {"bad_dots.h5", "no such dataset", "../d/d/kernel:0", WMAP_E_CORRUPT},
    {"bad_truncated.h5", "can't be opened", "", WMAP_E_CORRUPT},
    {"bad_npz.keras", "model.weights.npz", "", WMAP_E_UNSUPPORTED},
    {"bad_member.keras", "can't be opened", "", WMAP_E_CORRUPT},
};

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char path[512];
        wmap_error err = {0};
        snprintf(path, sizeof path, "%s%s", DATA, bad[i].file);
        assert_null(wmap_archive_open(path, &err));
        if (err.code != bad[i].code || !strstr(err.message, bad[i].message))
            fail_msg("%s", text_of(&err));
        if (bad[i].tensor)
            assert_string_equal(err.tensor, bad[i].tensor);
        assert_string_equal(err.file, path);
        assert_int_equal(wmap_exit_status(err.code), 3);
    }
}

/* What is only found when the data are unpacked. The process serves on after an error. */
static void test_bad_data(void **state)
{
    (void)state;
    static const char *const files[] = {"bad_checksum.h5", "bad_gzip.h5"};
    for (size_t f = 0; f < sizeof files / sizeof *files; f++) {
        wmap_archive *archive = open_good(files[f]);
        for (int again = 0; again < 2; again++) {
            wm_view view;
            wmap_error err = {0};
            assert_false(wm_archive_view(archive, 0, &view, &err));
            assert_int_equal(err.code, WMAP_E_CORRUPT);
            assert_string_equal(err.tensor, "a/x");
            assert_non_null(strstr(err.message, "can't be unpacked"));
        }
        wmap_archive_close(archive);
    }
}

static uint8_t *load(const char *name, size_t *size)
{
    char path[512];
    snprintf(path, sizeof path, "%s%s", DATA, name);
    FILE *in = fopen(path, "rb");
    assert_non_null(in);
    assert_int_equal(fseek(in, 0, SEEK_END), 0);
    *size = (size_t)ftell(in);
    rewind(in);
    uint8_t *bytes = malloc(*size);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, *size, in), *size);
    fclose(in);
    return bytes;
}

/* Opens the bytes as a file and looks at every tensor. True if all could be read. */
static bool try_bytes(const uint8_t *bytes, size_t size)
{
    char path[] = "/tmp/wmap-keras-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size), size);
    close(fd);
    wmap_error err = {0};
    wmap_archive *archive = wmap_archive_open(path, &err);
    bool good = archive != NULL;
    if (!good)
        assert_int_not_equal(err.code, WMAP_OK);
    for (size_t i = 0; archive && i < wmap_archive_count(archive); i++) {
        wm_view view;
        uint64_t size_of_it;
        uint32_t sum = 0;
        good = wm_archive_view(archive, i, &view, &err) && good;
        if (good && wmap_tensor_bytes(wmap_archive_tensor(archive, i), &size_of_it) && size_of_it < 1 << 20)
            sum ^= (uint32_t)crc32(0, view.bytes, (uInt)size_of_it); /* its bytes are there */
        (void)sum;
    }
    wmap_archive_close(archive);
    unlink(path);
    return good;
}

static void test_truncated(void **state)
{
    (void)state;
    size_t size;
    uint8_t *bytes = load("names_pieces.h5", &size);
    for (size_t cut = 8; cut < size; cut += 331)
        assert_false(try_bytes(bytes, cut));
    assert_true(try_bytes(bytes, size));
    free(bytes);
}

/* Changed bytes are an error or other values, and nothing worse. */
static void test_flipped(void **state)
{
    (void)state;
    static const char *const files[] = {"names_ascii.h5", "packed_latest.h5"};
    uint64_t random = 88172645463325252u;
    unsigned good = 0, refused = 0;
    for (size_t f = 0; f < sizeof files / sizeof *files; f++) {
        size_t size;
        uint8_t *bytes = load(files[f], &size);
        for (int i = 0; i < 150; i++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            uint8_t *place = &bytes[random % size], kept = *place;
            *place ^= (uint8_t)(1u << (random >> 60 & 7));
            try_bytes(bytes, size) ? good++ : refused++;
            *place = kept;
        }
        free(bytes);
    }
    assert_true(good > 0 && refused > 0);
}

/* All entries at once from several threads: each gets a process. */
static void *read_all(void *user)
{
    wmap_archive *archive = user;
    uintptr_t sum = 0;
    for (size_t i = 0; i < wmap_archive_count(archive); i++) {
        wm_view view;
        uint64_t bytes;
        if (wmap_archive_tensor(archive, i)->dtype == WMAP_OPAQUE)
            continue;
        if (!wm_archive_view(archive, i, &view, NULL) ||
            !wmap_tensor_bytes(wmap_archive_tensor(archive, i), &bytes))
            return NULL;
        sum += (uintptr_t)crc32(0, view.bytes, (uInt)bytes);
    }
    return (void *)sum;
}

static void test_threads(void **state)
{
    (void)state;
    pthread_t threads[4];
    void *sums[4], *want;
    wmap_archive *archive = open_good("packed.h5");
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_all, archive), 0);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], &sums[i]), 0);
    want = read_all(archive);
    assert_non_null(want);
    for (size_t i = 0; i < 4; i++)
        assert_ptr_equal(sums[i], want);
    wmap_archive_close(archive);
}

/* Puts a shell script in the place of the program. */
static void with_program(const char *script, wmap_code code, const char *message)
{
    char folder[] = "/tmp/wmap-libexec-XXXXXX", path[64], *kept = getenv("WMAP_LIBEXEC");
    kept = kept ? strdup(kept) : NULL;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/wmap-hdf5", folder);
    if (script) {
        FILE *out = fopen(path, "w");
        assert_non_null(out);
        fputs(script, out);
        fclose(out);
        assert_int_equal(chmod(path, 0755), 0);
    }
    wmap_error err = {0};
    setenv("WMAP_LIBEXEC", folder, 1);
    wmap_archive *archive = wmap_archive_open(DATA "whole.h5", &err);
    if (kept)
        setenv("WMAP_LIBEXEC", kept, 1);
    else
        unsetenv("WMAP_LIBEXEC");
    free(kept);
    unlink(path);
    rmdir(folder);
    assert_null(archive);
    if (err.code != code || !strstr(err.message, message))
        fail_msg("%s", text_of(&err));
}

#define HELLO "#!/bin/sh\nprintf 'wmaph5\\000\\002'\nhead -c 17 >/dev/null\n"

static void test_program(void **state)
{
    (void)state;
    with_program(NULL, WMAP_E_UNSUPPORTED, "was not found");
    with_program("#!/bin/sh\nexit 127\n", WMAP_E_UNSUPPORTED, "does not start");
    with_program("#!/bin/sh\necho something else\n", WMAP_E_UNSUPPORTED, "does not start");
    with_program(HELLO "kill -SEGV $$\n", WMAP_E_CORRUPT, "it crashed (signal 11)");
    with_program(HELLO "kill -PROF $$\n", WMAP_E_CORRUPT, "it took too long");
    with_program(HELLO "exit 1\n", WMAP_E_CORRUPT, "it ended too early");
    with_program(HELLO "printf 'd\\377\\377\\377\\377'\nsleep 20\n", WMAP_E_CORRUPT, "answered nonsense");
    with_program(HELLO "printf 'q\\000\\000\\000\\000z\\000\\000\\000\\000'\n", WMAP_E_CORRUPT,
                 "unknown entry");
    with_program(HELLO "printf 'x\\001\\000\\000\\000\\005'\n", WMAP_E_CORRUPT, "could not read this file");
}

/* --- the answer's frames --- */

struct frames {
    uint8_t bytes[512];
    size_t size;
};

static void put(struct frames *f, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        f->bytes[f->size++] = (uint8_t)(value >> (8 * i));
}

static void put_text(struct frames *f, const char *text)
{
    memcpy(f->bytes + f->size, text, strlen(text));
    f->size += strlen(text);
}

static void put_dataset(struct frames *f, unsigned dtype, unsigned direct, unsigned rank, const char *path)
{
    put(f, WM_H5_DATASET, 1);
    put(f, 20 + 8 * rank + strlen(path), 4);
    put(f, 96, 8);
    put(f, dtype, 1);
    put(f, direct, 1);
    put(f, rank, 1);
    put(f, 0, 1);
    put(f, 2048, 8);
    for (unsigned i = 0; i < rank; i++)
        put(f, i + 2, 8);
    put_text(f, path);
}

static wmap_code parse(const struct frames *f, size_t size, size_t *items)
{
    wm_arena arena;
    wm_hdf5_listing listing;
    wmap_error err = {0};
    wm_arena_init(&arena);
    /* At the end of a block of its own, so that reading on is seen. */
    uint8_t *copy = malloc(size + !size);
    assert_non_null(copy);
    memcpy(copy, f->bytes, size);
    bool ok = wm_hdf5_parse(copy, size, &arena, &listing, &err);
    free(copy);
    *items = ok ? listing.item_count : 0;
    if (ok && listing.item_count) {
        assert_string_equal(listing.items[0].path, "a/b");
        assert_int_equal(listing.items[0].shape[1], 3);
        assert_int_equal(listing.items[0].offset, 2048);
    }
    wm_arena_release(&arena);
    return err.code;
}

static void test_frames(void **state)
{
    (void)state;
    size_t items;
    struct frames f = {.size = 0};
    put_dataset(&f, WMAP_F32, 1, 2, "a/b");
    put(&f, WM_H5_NAMES, 1);
    put(&f, 5 + 1 + 4 + 2, 4);
    put(&f, 1, 1);
    put(&f, 1, 4);
    put_text(&f, "a");
    put(&f, 2, 4);
    put_text(&f, "xy");
    put(&f, WM_H5_END, 1);
    put(&f, 0, 4);
    assert_int_equal(parse(&f, f.size, &items), WMAP_OK);
    assert_int_equal(items, 1);
    for (size_t cut = 0; cut < f.size; cut++)
        assert_int_equal(parse(&f, cut, &items), WMAP_E_CORRUPT);

    static const struct {
        unsigned dtype, direct, rank;
        const char *path;
    } wrong[] = {{0, 1, 2, "a"},         {99, 1, 2, "a"},        {WMAP_F32, 2, 2, "a"},
                 {WMAP_F32, 1, 33, "a"}, {WMAP_F32, 1, 2, "/a"}, {WMAP_F32, 1, 2, ""}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct frames w = {.size = 0};
        put_dataset(&w, wrong[i].dtype, wrong[i].direct, wrong[i].rank, wrong[i].path);
        put(&w, WM_H5_END, 1);
        put(&w, 0, 4);
        assert_int_equal(parse(&w, w.size, &items), WMAP_E_CORRUPT);
    }
    struct frames twice = {.size = 0};
    put_dataset(&twice, WMAP_F32, 1, 2, "a/b");
    put_dataset(&twice, WMAP_F32, 1, 2, "a/b");
    put(&twice, WM_H5_END, 1);
    put(&twice, 0, 4);
    assert_int_equal(parse(&twice, twice.size, &items), WMAP_E_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_expected), cmocka_unit_test(test_sum),      cmocka_unit_test(test_in_place),
        cmocka_unit_test(test_refused),  cmocka_unit_test(test_bad_data), cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_flipped),  cmocka_unit_test(test_threads),  cmocka_unit_test(test_program),
        cmocka_unit_test(test_frames),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
