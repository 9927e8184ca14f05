/* keras_write.c: what is written around the weights of Keras' files: lists and groups from names, templates,
 * and a program wmap-hdf5 that lies about places. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files.h"
#include "runtime/formats/keras.h"
#include "runtime/hdf5/protocol.h"

static const uint64_t three[] = {3};

/* --- records --- */

static void take_text(wm_cursor *c, char *out, size_t size)
{
    size_t len = wm_take_u32(c);
    const uint8_t *text = wm_take(c, len);
    assert_non_null(text);
    snprintf(out, size, "%.*s", (int)len, (const char *)text);
}

/* Records as lines: "d a/b", "g a/vars", "t  backend=tensorflow", "n a weight_names=x,y". */
static void to_text(const wm_keras_records *records, char *out, size_t size)
{
    wm_cursor c = wm_cursor_of(records->bytes, records->size, 0);
    size_t used = 0;
    out[0] = 0;
    while (wm_cursor_left(&c)) {
        char path[512], name[64], value[512];
        char kind = (char)wm_take_u8(&c);
        take_text(&c, path, sizeof path);
        used += (size_t)snprintf(out + used, size - used, "%c %s", kind, path);
        if (kind == WM_H5_DATASET) {
            wm_take_u8(&c);
            wm_take(&c, 8 * wm_take_u8(&c));
        } else if (kind == WM_H5_TEXT) {
            take_text(&c, name, sizeof name);
            take_text(&c, value, sizeof value);
            used += (size_t)snprintf(out + used, size - used, " %s=%s", name, value);
        } else if (kind == WM_H5_NAMES) {
            take_text(&c, name, sizeof name);
            uint32_t count = wm_take_u32(&c);
            used += (size_t)snprintf(out + used, size - used, " %s=", name);
            for (uint32_t i = 0; i < count; i++) {
                take_text(&c, value, sizeof value);
                used += (size_t)snprintf(out + used, size - used, "%s%s", i ? "," : "", value);
            }
        } else
            assert_int_equal(kind, WM_H5_GROUP);
        used += (size_t)snprintf(out + used, size - used, "\n");
        assert_true(used < size);
    }
    assert_false(c.failed);
}

/* Records for names separated by blanks; NULL with `err` if they can't be held. */
static const char *records_of(const char *names, wmap_error *err)
{
    static char text[4096];
    char copy[512], *rest = copy, *name;
    wm_target targets[16];
    size_t count = 0;
    snprintf(copy, sizeof copy, "%s", names);
    while ((name = strtok_r(rest, " ", &rest)))
        targets[count++] = target_of(name, WMAP_F32, 1, three);
    wm_arena arena;
    wm_arena_init(&arena);
    wm_writer writer = {.path = "", .arena = &arena, .targets = targets, .count = count};
    wm_keras_records records = {0};
    memset(err, 0, sizeof *err);
    bool ok = wm_keras_records_make(&writer, &records, err);
    if (ok)
        to_text(&records, text, sizeof text);
    wm_arena_release(&arena);
    return ok ? text : NULL;
}

static void expect(const char *names, const char *text)
{
    wmap_error err;
    const char *got = records_of(names, &err);
    if (!got)
        fail_msg("%s: %s", names, err.message);
    assert_string_equal(got, text);
}

static void test_dialects(void **state)
{
    (void)state;
    expect("b/b/k:0 a/a/k:0 b/b/c:0", "d b/b/k:0\nd a/a/k:0\nd b/b/c:0\n"
                                      "n  layer_names=b,a\nt  backend=tensorflow\nt  keras_version=2.15.0\n"
                                      "n b weight_names=b/k:0,b/c:0\nn a weight_names=a/k:0\n");
    expect("x/m/x/k", "d x/m/x/k\nn  layer_names=x\nt  backend=tensorflow\nt  keras_version=3.0.0\n"
                      "n x weight_names=m/x/k\n");
    expect("p/q/p/q/k p/r/p/r/k", "d p/q/p/q/k\nd p/r/p/r/k\nn  layer_names=p/q,p/r\n"
                                  "t  backend=tensorflow\nt  keras_version=3.0.0\n"
                                  "n p/q weight_names=p/q/k\nn p/r weight_names=p/r/k\n");
    expect("x/k optimizer_weights/i top_level_model_weights/s",
           "d x/k\nd optimizer_weights/i\nd top_level_model_weights/s\nn  layer_names=x\n"
           "t  backend=tensorflow\nt  keras_version=3.0.0\nn x weight_names=k\n"
           "n optimizer_weights weight_names=i\nn top_level_model_weights weight_names=s\n");
    expect("layers/a/cell/vars/0 vars/0", "d layers/a/cell/vars/0\nd vars/0\n"
                                          "g layers/vars\ng layers/a/vars\n");
    expect("layers/a/vars/0", "d layers/a/vars/0\ng vars\ng layers/vars\n");
    expect("layers/a/vars/0 layers/a/kernel",
           "d layers/a/vars/0\nd layers/a/kernel\nn  layer_names=layers\nt  backend=tensorflow\n"
           "t  keras_version=3.0.0\nn layers weight_names=a/vars/0,a/kernel\n");
    expect("avars/0", "d avars/0\nn  layer_names=avars\nt  backend=tensorflow\nt  keras_version=3.0.0\n"
                      "n avars weight_names=0\n");
    expect("a b.c", "d a\nd b.c\n");
    expect("a b/c", "d a\nd b/c\n");
    expect("", "");
}

static void refuse_names(const char *names, const char *tensor, const char *message)
{
    wmap_error err;
    assert_null(records_of(names, &err));
    assert_int_equal(err.code, WMAP_E_TARGET);
    assert_string_equal(err.tensor, tensor);
    if (!strstr(err.message, message))
        fail_msg("%s: %s", names, err.message);
}

static void test_names(void **state)
{
    (void)state;
    refuse_names("a a/b", "a/b", "a tensor itself");
    refuse_names("x/y/z x/y", "x/y/z", "a tensor itself");
    refuse_names("x x", "x", "two targets");
    refuse_names("/a", "/a", "no path");
    refuse_names("a/", "a/", "no path");
    refuse_names("a//b", "a//b", "no path");
    refuse_names("a/./b", "a/./b", "no path");
    refuse_names("../b", "../b", "no path");
    refuse_names("a\xff", "a\\xff", "UTF-8");
    wmap_error err;
    assert_null(records_of("a/.b/... ..", &err));
    assert_non_null(records_of("a/.b/...", &err));
}

/* Lists that fill an attribute to the last byte, and one name more. */
static void test_long_lists(void **state)
{
    (void)state;
    enum { WIDTH = 63, ROOM = 64512 / WIDTH }; /* 1024 names of 63 bytes */
    for (size_t count = ROOM; count <= ROOM + 1; count++) {
        wm_arena arena;
        wm_arena_init(&arena);
        wm_target *targets = wm_new(&arena, wm_target, count);
        for (size_t i = 0; i < count; i++)
            targets[i] = target_of(wm_format_text(&arena, "l/%0*zu", WIDTH, i), WMAP_F32, 1, three);
        wm_writer writer = {.path = "", .arena = &arena, .targets = targets, .count = count};
        wm_keras_records records = {0};
        wmap_error err = {0};
        assert_true(wm_keras_records_make(&writer, &records, &err));
        const uint8_t *whole = memmem(records.bytes, records.size, "\0\0\0weight_names", 15);
        const uint8_t *first = memmem(records.bytes, records.size, "\0\0\0weight_names0", 16);
        const uint8_t *second = memmem(records.bytes, records.size, "\0\0\0weight_names1", 16);
        assert_non_null(whole);
        assert_int_equal(first != NULL, count > ROOM);
        assert_int_equal(second != NULL, count > ROOM);
        if (first && second) {
            assert_int_equal(first[16] | first[17] << 8, ROOM / 2 + 1); /* the longer pieces come first */
            assert_int_equal(second[16] | second[17] << 8, ROOM / 2);
        }
        wm_arena_release(&arena);
    }
}

/* --- files --- */

static void write_ok(memory_writer *m, wm_target *targets, size_t count, const void *const *data)
{
    wmap_error err;
    if (!memory_write(m, "keras-h5", targets, count, data, &err))
        fail_msg("%s", err.message);
}

/* What was written is read again; most of a file without much data is put, its holes need not be. */
static void test_read_again(void **state)
{
    (void)state;
    float values[3] = {1, 2, 3}, more[600] = {4};
    uint64_t shape[] = {20, 30};
    wm_target targets[] = {target_of("b/b/kernel:0", WMAP_F32, 1, three),
                           target_of("a/a/kernel:0", WMAP_F32, 2, shape)};
    const void *data[] = {values, more};
    char path[] = "/tmp/wmap-keras-XXXXXX";
    memory_writer m, again;
    write_ok(&m, targets, 2, data);
    write_ok(&again, targets, 2, data);
    assert_int_equal(m.out.size, again.out.size);
    assert_memory_equal(m.out.at, again.out.at, m.out.size);
    assert_int_equal(targets[1].offset % 64, 0);
    int fd = mkstemp(path);
    assert_int_equal(write(fd, m.out.at, m.out.size), (ssize_t)m.out.size);
    close(fd);
    wmap_error err = {0};
    wmap_archive *archive = wmap_archive_open(path, &err);
    unlink(path);
    assert_non_null(archive);
    assert_int_equal(archive->entry_count, 2);
    assert_string_equal(archive->entries[0].tensor.name, "b/b/kernel:0");
    assert_string_equal(archive->entries[0].alias, "b/kernel:0");
    wm_view view;
    assert_true(wm_archive_view(archive, 0, &view, &err));
    assert_memory_equal(view.bytes, values, sizeof values);
    assert_true(wm_archive_view(archive, 1, &view, &err));
    assert_memory_equal(view.bytes, more, sizeof more);
    wmap_archive_close(archive);
    memory_free(&m);
    memory_free(&again);
}

/* A trial finds what can't be held, and makes nothing. */
static void test_trial(void **state)
{
    (void)state;
    uint64_t shape[33] = {0};
    wmap_error err = {0};
    static const char *const formats[] = {"keras-h5", "keras"};
    for (size_t i = 0; i < 2; i++) {
        wm_arena arena;
        wm_arena_init(&arena);
        wm_target target = target_of("a", WMAP_F32, 33, shape);
        wm_writer writer = {.format = wm_format_named(formats[i]),
                            .path = "",
                            .arena = &arena,
                            .targets = &target,
                            .count = 1,
                            .trial = true};
        assert_false(writer.format->layout(&writer, &err));
        assert_int_equal(err.code, WMAP_E_TARGET);
        target.tensor.rank = 32;
        assert_true(writer.format->layout(&writer, &err));
        writer.format->drop(&writer);
        writer.trial = false;
        assert_int_equal(writer.format->layout(&writer, &err), i == 0);
        writer.format->drop(&writer);
        wm_arena_release(&arena);
    }
    assert_int_equal(err.code, WMAP_E_USAGE); /* .keras without a template */
}

/* --- a program that lies --- */

static void put_script(const char *path, const char *answer)
{
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fprintf(out,
            "#!/bin/sh\nprintf 'wmaph5\\000\\002'\nhead -c 17 >/dev/null\n"
            "head -c 4096 /dev/zero >&3\n%s\nsleep 20\n",
            answer);
    fclose(out);
    assert_int_equal(chmod(path, 0755), 0);
}

/* Offsets as one frame of printf: `count` of them, each one byte and a second one of its value. */
static const char *offsets(const unsigned *list, size_t count)
{
    static char text[512];
    size_t used =
        (size_t)snprintf(text, sizeof text, "printf 'o\\%03o\\000\\000\\000", (unsigned)(8 * count));
    for (size_t i = 0; i < count; i++)
        used += (size_t)snprintf(text + used, sizeof text - used,
                                 "\\%03o\\%03o\\000\\000\\000\\000\\000\\000", list[i] & 255, list[i] >> 8);
    snprintf(text + used, sizeof text - used, "z\\000\\000\\000\\000'");
    return text;
}

static void with_answer(const char *answer, const char *message)
{
    char folder[] = "/tmp/wmap-libexec-XXXXXX", path[64], *kept = getenv("WMAP_LIBEXEC");
    kept = kept ? strdup(kept) : NULL;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/wmap-hdf5", folder);
    put_script(path, answer);
    setenv("WMAP_LIBEXEC", folder, 1);
    wm_arena arena;
    wm_arena_init(&arena);
    wmap_error err = {0};
    wm_target targets[] = {target_of("a", WMAP_F32, 1, three), target_of("b", WMAP_F32, 1, three)};
    targets[0].bytes = targets[1].bytes = 12;
    wm_writer writer = {
        .format = wm_format_named("keras-h5"), .path = "", .arena = &arena, .targets = targets, .count = 2};
    bool ok = writer.format->layout(&writer, &err);
    writer.format->drop(&writer);
    wm_arena_release(&arena);
    kept ? setenv("WMAP_LIBEXEC", kept, 1) : unsetenv("WMAP_LIBEXEC");
    free(kept);
    unlink(path);
    rmdir(folder);
    assert_int_equal(ok, message == NULL);
    if (message && !strstr(err.message, message))
        fail_msg("\"%s\" is not in: %s", message, err.message);
}

static void test_lies(void **state)
{
    (void)state;
    with_answer(offsets((unsigned[]){100, 200}, 2), NULL);
    with_answer(offsets((unsigned[]){200, 188}, 2), NULL);
    with_answer(offsets((unsigned[]){200, 189}, 2), "shared");
    with_answer(offsets((unsigned[]){100, 100}, 2), "shared");
    with_answer(offsets((unsigned[]){100, 4084}, 2), NULL);
    with_answer(offsets((unsigned[]){100, 4085}, 2), "outside");
    with_answer(offsets((unsigned[]){100, 65535}, 2), "outside");
    with_answer(offsets((unsigned[]){100}, 1), "not tell all");
    with_answer(offsets((unsigned[]){100, 200, 300}, 3), "nonsense");
    with_answer("printf 'q\\000\\000\\000\\000z\\000\\000\\000\\000'", "nonsense");
    with_answer("printf 'o\\011\\000\\000\\000123456789z\\000\\000\\000\\000'", "nonsense");
    with_answer("exit 0", "ended too early");
    with_answer("kill -SEGV $$", "crashed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dialects),   cmocka_unit_test(test_names), cmocka_unit_test(test_long_lists),
        cmocka_unit_test(test_read_again), cmocka_unit_test(test_trial), cmocka_unit_test(test_lies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
