/* Unit tests of runtime/formats/index.c: sets of files with an index, and indexes that lie. Real ones are in
 * tests/interop/test_sets.py. */
#include "tests/unit/files.h"

#include <fcntl.h>
#include <sys/stat.h>

#define FIRST                                                                                                \
    "\x68\0\0\0\0\0\0\0"                                                                                     \
    "{\"x\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"                                        \
    "\"y\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[2,3]}}abc"
#define SECOND                                                                                               \
    "\x38\0\0\0\0\0\0\0"                                                                                     \
    "{\"z\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}  \0\0\x80\x3f"
#define POINTER "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 7\n"

static char folder[] = "/tmp/wmap-index-XXXXXX";

static const char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, const char *text, size_t size)
{
    int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, size), (ssize_t)size);
    close(fd);
}

#define WRITE(name, text) write_file((name), (text), sizeof(text) - 1)

static wmap_archive *open_index(const char *index, wmap_error *err)
{
    memset(err, 0, sizeof *err);
    write_file("m.index.json", index, strlen(index));
    return wmap_archive_open(path_of("m.index.json"), err);
}

static void reads_a_set(void **state)
{
    (void)state;
    static const char *const indexes[] = {
        "{\"metadata\": {\"total_size\": 7}, \"weight_map\": {\"z\": \"b-2\", \"y\": \"b-10\", \"x\": "
        "\"b-10\"}}",
        " {\"weight_map\": {\"z\": \"b-2\", \"y\": \"b-10\", \"x\": \"b-10\"}, \"more\": [1, {\"a\": null}]}",
        "{\"metadata\": {\"total_size\": 7.0, \"total_parameters\": 4}, \"weight_map\": {\"z\": \"b-2\", "
        "\"y\": \"b-10\", \"x\": \"b-10\"}}",
    };
    for (size_t i = 0; i < sizeof indexes / sizeof *indexes; i++) {
        wmap_error err;
        wmap_archive *archive = open_index(indexes[i], &err);
        if (!archive)
            fail_msg("%s: %s", err.tensor, err.message);
        assert_string_equal(wmap_archive_format(archive), "safetensors");
        assert_int_equal(wmap_archive_count(archive), 3);
        assert_string_equal(wmap_archive_tensor(archive, 0)->name, "z"); /* b-2 comes before b-10 */
        assert_string_equal(wmap_archive_tensor(archive, 1)->name, "x");
        assert_int_equal(wmap_archive_size(archive), strlen(indexes[i]) + sizeof FIRST + sizeof SECOND - 2);
        expect_tensor(archive, "x", WMAP_U8, 1, (const uint64_t[]){2}, "ab", 2);
        expect_tensor(archive, "y", WMAP_U8, 0, NULL, "c", 1);
        expect_tensor(archive, "z", WMAP_F32, 1, (const uint64_t[]){1}, "\0\0\x80\x3f", 4);
        assert_non_null(strstr(wm_archive_entry_path(archive, 0), "/b-2"));
        wm_archive_forget(archive, 0);
        wmap_archive_close(archive);
    }
    wmap_error err;
    wmap_archive *archive = wmap_archive_open(folder, &err); /* its only index */
    assert_non_null(archive);
    wmap_archive_close(archive);
    archive = wmap_archive_open(path_of("m"), &err); /* what is there in pieces */
    assert_non_null(archive);
    wmap_archive_close(archive);
}

static void warns_of_what_is_not_listed(void **state)
{
    (void)state;
    wmap_error err;
    wmap_archive *archive = open_index("{\"weight_map\": {\"x\": \"b-10\"}}", &err);
    assert_non_null(archive);
    assert_int_equal(wmap_archive_count(archive), 2);
    assert_int_equal(wmap_archive_warnings(archive), 1);
    assert_non_null(strstr(wmap_archive_warning(archive, 0), "y"));
    wmap_archive_close(archive);
}

/* The files behind the first ones are closed once their headers are read; in between, one of them is
 * replaced, one is written to and one is cut. */
static void meets_the_same_file_again(void **state)
{
    (void)state;
    char index[16384] = "{\"weight_map\": {", name[32], text[128];
    const size_t count = WM_KEPT_OPEN + 5;
    for (size_t i = 0; i < count; i++) {
        snprintf(name, sizeof name, "s-%zu", i);
        int len = snprintf(text, sizeof text,
                           "{\"t%zu\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}a", i);
        char file[160] = {(char)(len - 1)};
        memcpy(file + 8, text, (size_t)len);
        write_file(name, file, (size_t)len + 8);
        len = snprintf(text, sizeof text, "%s\"t%zu\": \"%s\"", i ? ", " : "", i, name);
        strncat(index, text, (size_t)len);
    }
    strcat(index, "}}");
    wmap_error err;
    wmap_archive *archive = open_index(index, &err);
    if (!archive)
        fail_msg("%s: %s", err.file, err.message);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(archive->parts[i]->files[0].fd >= 0, i < WM_KEPT_OPEN);
    char one[128];
    struct stat st;
    assert_int_equal(stat(path_of("s-64"), &st), 0);
    snprintf(one, sizeof one, "%s", path_of("s-64"));
    assert_int_equal(rename(one, path_of("away")), 0);
    assert_int_equal(link(path_of("s-0"), one), 0);
    struct timespec times[2] = {{0, UTIME_OMIT}, {1, 0}};
    assert_int_equal(utimensat(AT_FDCWD, path_of("s-65"), times, 0), 0);
    assert_int_equal(truncate(path_of("s-66"), st.st_size - 1), 0);
    assert_int_equal(unlink(path_of("s-67")), 0);
    wm_view view;
    for (size_t i = 0; i < count; i++) {
        bool sound = i < 64 || i == 68;
        assert_int_equal(wm_archive_view(archive, i, &view, &err), sound);
        if (sound)
            assert_int_equal(*view.bytes, 'a');
        else
            assert_non_null(strstr(err.message, i == 67 ? "cannot open" : "replaced or changed"));
    }
    wmap_archive_close(archive);
    for (size_t i = 0; i < count; i++) {
        snprintf(name, sizeof name, "s-%zu", i);
        unlink(path_of(name));
    }
    unlink(path_of("away"));
}

#define MAP(pairs)         "{\"weight_map\": {" pairs "}}"
#define SIZED(size, pairs) "{\"metadata\": {\"total_size\": " size "}, \"weight_map\": {" pairs "}}"
#define ALL                "\"x\": \"b-10\", \"y\": \"b-10\", \"z\": \"b-2\""

static void refuses_what_lies(void **state)
{
    (void)state;
    static const struct {
        wmap_code code;
        const char *said, *index;
    } rows[] = {
        {WMAP_E_CORRUPT, "no plain file name", MAP("\"x\": \"../b-10\"")},
        {WMAP_E_CORRUPT, "no plain file name", MAP("\"x\": \"/etc/passwd\"")},
        {WMAP_E_CORRUPT, "no plain file name", MAP("\"x\": \"..\"")},
        {WMAP_E_CORRUPT, "no plain file name", MAP("\"x\": \"\"")},
        {WMAP_E_CORRUPT, "no plain file name", MAP("\"x\": \"\\u002e./b\"")},
        {WMAP_E_IO, "No such file", MAP("\"x\": \"b-1\"")},
        {WMAP_E_IO, "No such file", MAP("\"x\": \"-\"")}, /* not standard input */
        {WMAP_E_CORRUPT, "b-2 holds this tensor", MAP("\"x\": \"b-2\"")},
        {WMAP_E_CORRUPT, "b-10 holds this tensor", MAP(ALL ", \"w\": \"b-10\"")},
        {WMAP_E_CORRUPT, "two files", MAP(ALL ", \"w\": \"copy\"")},
        {WMAP_E_CORRUPT, "is named by an index", MAP(ALL ", \"w\": \"m.index.json\"")},
        {WMAP_E_NOT_WEIGHTS, "Git LFS", MAP(ALL ", \"w\": \"pointer\"")},
        {WMAP_E_CORRUPT, "different formats", MAP(ALL ", \"w\": \"c.npy\"")},
        {WMAP_E_CORRUPT, "names no file for", MAP("\"x\": 5")},
        {WMAP_E_CORRUPT, "names no file for", MAP("\"x\": [\"b-10\"]")},
        {WMAP_E_CORRUPT, "names no file", MAP("")},
        {WMAP_E_CORRUPT, "no weight_map", "{\"weight_map\": 1}"},
        {WMAP_E_CORRUPT, "JSON", MAP("\"x\": \"b-10\", \"x\": \"b-10\"")},
        {WMAP_E_CORRUPT, "JSON", "{\"weight_map\": {\"x\": \"b-10\""},
        {WMAP_E_CORRUPT, "JSON", MAP(ALL) "}"},
        {WMAP_E_CORRUPT, "they have 7", SIZED("8", ALL)},
        {WMAP_E_CORRUPT, "they have 7", SIZED("6", ALL)},
        {WMAP_E_CORRUPT, "is no size", SIZED("-7", ALL)},
        {WMAP_E_CORRUPT, "is no size", SIZED("7.5", ALL)},
        {WMAP_E_CORRUPT, "is no size", SIZED("\"7\"", ALL)},
        {WMAP_E_CORRUPT, "is no size", SIZED("1e300", ALL)},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        wmap_error err;
        wmap_archive *archive = open_index(rows[i].index, &err);
        if (archive || err.code != rows[i].code || !strstr(err.message, rows[i].said))
            fail_msg("%s: %d %s", rows[i].index, (int)err.code, err.message);
        assert_true(err.file[0]);
    }
}

/* More values than tensors there can be are refused before they are parsed. */
static void bounds_its_values(void **state)
{
    (void)state;
    enum { COUNT = 1100000 };
    bytes b = {0};
    bytes_text(&b, "{\"weight_map\": {}, \"x\": [");
    for (size_t i = 0; i < COUNT; i++)
        bytes_add(&b, "0,", 2);
    bytes_text(&b, "0]}");
    refuse(&b, WMAP_E_CORRUPT, "more than 1000000 tensors");
    bytes_free(&b);
}

static int setup(void **state)
{
    static const char array[] =
        "\x93NUMPY\1\0\x76\0{'descr': '|u1', 'fortran_order': False, 'shape': (1,), }";
    char npy[129];
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    WRITE("b-10", FIRST);
    WRITE("b-2", SECOND);
    WRITE("copy", SECOND);
    WRITE("pointer", POINTER);
    memset(npy, ' ', sizeof npy);
    memcpy(npy, array, sizeof array - 1);
    npy[127] = '\n';
    write_file("c.npy", npy, sizeof npy);
    return 0;
}

static int teardown(void **state)
{
    static const char *const names[] = {"b-10", "b-2", "copy", "pointer", "c.npy", "m.index.json"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unlink(path_of(names[i]));
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_set),
        cmocka_unit_test(warns_of_what_is_not_listed),
        cmocka_unit_test(meets_the_same_file_again),
        cmocka_unit_test(refuses_what_lies),
        cmocka_unit_test(bounds_its_values),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
