/* output.c: what stands at the output's path before, while and after: the old file or the whole new one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <signal.h>

#include "runtime/output.h"
#include "wmap/run.h"

static char folder[64];

static const char *at(const char *name)
{
    static char paths[4][sizeof folder + 260];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static int enter(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/wmap-output-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static unsigned entries(void)
{
    unsigned count = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));)
        count += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    closedir(dir);
    return count;
}

static int leave(void **state)
{
    (void)state;
    DIR *dir = opendir(folder);
    for (struct dirent *e; dir && (e = readdir(dir));)
        unlinkat(dirfd(dir), e->d_name, 0);
    closedir(dir);
    return rmdir(folder);
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static void expect_file(const char *path, const char *text)
{
    char got[100] = "";
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_true(fread(got, 1, sizeof got - 1, f) <= sizeof got);
    fclose(f);
    assert_string_equal(got, text);
}

/* An output of one file. */
static bool open_one(wm_output *o, const char *path, bool force, uint64_t size, wmap_error *err)
{
    static wm_part parts[8];
    static unsigned next;
    wm_part *part = &parts[next++ % 8];
    *part = (wm_part){NULL, size, WM_PART_DATA};
    *o = (wm_output){.path = path, .force = force};
    return wm_output_open(o, part, 1, err);
}

static bool may_write(const char *path, bool force, wmap_error *err)
{
    wm_output o;
    bool ok = open_one(&o, path, force, 0, err);
    if (ok)
        wm_output_abandon(&o);
    return ok;
}

static void test_commit(void **state)
{
    (void)state;
    wm_output o;
    wmap_error err = {0};
    assert_true(open_one(&o, at("new"), false, 8, &err));
    assert_int_equal(access(at("new"), F_OK), -1);
    assert_true(wm_output_put(&o, 0, 4, "5678", 4, &err));
    assert_true(wm_output_put(&o, 0, 0, "1234", 4, &err));
    assert_false(wm_output_put(&o, 0, 5, "6789", 4, &err));
    assert_int_equal(err.code, WMAP_E_INTERNAL);
    assert_true(wm_output_commit(&o, &err));
    expect_file(at("new"), "12345678");
    mode_t mask = umask(0);
    umask(mask);
    struct stat st;
    assert_int_equal(stat(at("new"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0666 & ~mask);
    assert_int_equal(entries(), 1);
}

static void test_existing(void **state)
{
    (void)state;
    wm_output o;
    wmap_error err = {0};
    write_file(at("old"), "old");
    assert_false(open_one(&o, at("old"), false, 1, &err));
    assert_int_equal(err.code, WMAP_E_USAGE);
    assert_true(open_one(&o, at("old"), true, 1, &err));
    assert_true(wm_output_put(&o, 0, 0, "x", 1, &err));
    expect_file(at("old"), "old");
    wm_output_abandon(&o);
    expect_file(at("old"), "old");
    assert_int_equal(entries(), 1);
    assert_true(open_one(&o, at("old"), true, 1, &err));
    assert_true(wm_output_put(&o, 0, 0, "x", 1, &err));
    assert_true(wm_output_commit(&o, &err));
    expect_file(at("old"), "x");
}

/* Without force, a file made by somebody else while we worked stays. */
static void test_race(void **state)
{
    (void)state;
    wm_output o;
    wmap_error err = {0};
    assert_true(open_one(&o, at("race"), false, 1, &err));
    assert_true(wm_output_put(&o, 0, 0, "x", 1, &err));
    write_file(at("race"), "theirs");
    assert_false(wm_output_commit(&o, &err));
    assert_int_equal(err.code, WMAP_E_USAGE);
    expect_file(at("race"), "theirs");
    assert_int_equal(entries(), 1);
}

static void test_refused(void **state)
{
    (void)state;
    wmap_error err = {0};
    wm_output o;
    assert_false(may_write("/dev/null", true, &err));
    assert_false(may_write(folder, true, &err));
    assert_false(may_write("/tmp/", true, &err));
    assert_true(may_write("-", false, &err));
    assert_false(open_one(&o, at("absent/file"), false, 1, &err));
    assert_int_equal(err.code, WMAP_E_IO);
    assert_int_equal(symlink("/dev/null", at("link")), 0);
    assert_false(may_write(at("link"), true, &err));
}

/* A link is replaced, what it leads to is not touched. */
static void test_link(void **state)
{
    (void)state;
    wm_output o;
    wmap_error err = {0};
    write_file(at("input"), "input");
    assert_int_equal(symlink("input", at("link")), 0);
    assert_false(may_write(at("link"), false, &err));
    assert_true(open_one(&o, at("link"), true, 1, &err));
    assert_true(wm_output_put(&o, 0, 0, "x", 1, &err));
    assert_true(wm_output_commit(&o, &err));
    expect_file(at("input"), "input");
    expect_file(at("link"), "x");
}

/* A killed run's temporary is removed by the next, a living one's is not, nor is any other file. */
static void test_stale(void **state)
{
    (void)state;
    wm_output first, second;
    wmap_error err = {0};
    write_file(at(".out.wmap-123-4.tmp"), "stale");
    write_file(at(".out.wmap-123-x.tmp"), "not ours");
    write_file(at(".out2.wmap-123-4.tmp"), "another output's");
    assert_true(open_one(&first, at("out"), true, 1, &err));
    assert_int_equal(access(at(".out.wmap-123-4.tmp"), F_OK), -1);
    assert_int_equal(entries(), 3);
    assert_true(open_one(&second, at("out"), true, 1, &err));
    assert_int_equal(entries(), 4);
    assert_true(wm_output_put(&first, 0, 0, "1", 1, &err) && wm_output_commit(&first, &err));
    assert_true(wm_output_put(&second, 0, 0, "2", 1, &err) && wm_output_commit(&second, &err));
    expect_file(at("out"), "2");
    assert_int_equal(entries(), 3);
}

static void test_signal(void **state)
{
    (void)state;
    wm_output o;
    wmap_error err = {0};
    assert_true(open_one(&o, at("cut-off"), false, 1, &err));
    assert_int_equal(entries(), 1);
    wmap_run_cleanup();
    assert_int_equal(entries(), 0);
    assert_false(wm_output_commit(&o, &err)); /* its file is gone: an error, not a crash */
    assert_int_equal(err.code, WMAP_E_IO);
    wmap_run_cleanup();
}

/* A limit on the size of files stands for a full disk. */
static void test_full(void **state)
{
    (void)state;
    struct rlimit keep, limit = {4096, 4096};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &keep), 0);
    limit.rlim_max = keep.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    wm_output o;
    wmap_error err = {0};
    bool opened = open_one(&o, at("large"), false, 1 << 20, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &keep), 0);
    assert_false(opened);
    assert_int_equal(err.code, WMAP_E_IO);
    assert_int_equal(entries(), 0);
}

static void test_long_name(void **state)
{
    (void)state;
    char name[260];
    memset(name, 'n', 255);
    name[255] = 0;
    wm_output o;
    wmap_error err = {0};
    assert_true(open_one(&o, at(name), false, 0, &err));
    assert_true(wm_output_commit(&o, &err));
    assert_int_equal(access(at(name), F_OK), 0);
}

/* In a child, whose standard output is a file: nothing arrives there before the commit. */
static void test_standard_output(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        wm_output o;
        wmap_error err = {0};
        int fd = open(at("stdout"), O_RDWR | O_CREAT, 0600);
        bool ok = fd >= 0 && dup2(fd, STDOUT_FILENO) >= 0;
        ok = ok && open_one(&o, "-", false, 5, &err) && wm_output_put(&o, 0, 0, "hello", 5, &err);
        ok = ok && lseek(fd, 0, SEEK_END) == 0 && wm_output_commit(&o, &err) && lseek(fd, 0, SEEK_END) == 5;
        _exit(ok ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    expect_file(at("stdout"), "hello");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, enter, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_commit),    TEST(test_existing),        TEST(test_race),   TEST(test_refused),
        TEST(test_link),      TEST(test_stale),           TEST(test_signal), TEST(test_full),
        TEST(test_long_name), TEST(test_standard_output),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
