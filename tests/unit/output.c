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
#include <sys/syscall.h>
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

/* ---- sets of files ---- */

/* The renames of this process, so that a test can die in the middle of them; SIZE_MAX: never. */
static size_t renames_left = SIZE_MAX;

static int rename_call(int from_folder, const char *from, int to_folder, const char *to, unsigned flags)
{
    if (renames_left == 0)
        kill(getpid(), SIGKILL);
    renames_left -= renames_left != SIZE_MAX;
    return (int)syscall(SYS_renameat2, from_folder, from, to_folder, to, flags);
}

int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags)
{
    return rename_call(from_folder, from, to_folder, to, flags);
}

int renameat(int from_folder, const char *from, int to_folder, const char *to)
{
    return rename_call(from_folder, from, to_folder, to, 0);
}

static size_t syncs;

int fsync(int fd)
{
    syncs++;
    return (int)syscall(SYS_fsync, fd);
}

static const wm_part set[] = {{"m-1-of-2", 1, WM_PART_DATA},
                              {"m-2-of-2", 1, WM_PART_DATA},
                              {"m.index", 1, WM_PART_ENTRY},
                              {"latest", 1, WM_PART_GUEST},
                              {NULL, 0, WM_PART_GONE}};
enum { SET = sizeof set / sizeof *set };

static bool open_set(wm_output *o, bool force, wmap_error *err)
{
    *o = (wm_output){.path = at("m"), .force = force};
    return wm_output_open(o, set, SET, err);
}

static void fill_set(const wm_output *o, const char *text)
{
    wmap_error err = {0};
    for (uint32_t i = 0; i < SET - 1; i++)
        assert_true(wm_output_put(o, i, 0, text + i, 1, &err));
    assert_false(wm_output_put(o, SET - 1, 0, text, 1, &err));
    assert_false(wm_output_put(o, SET, 0, text, 1, &err));
}

static void make_set(bool force, const char *text)
{
    wm_output o;
    wmap_error err = {0};
    if (!open_set(&o, force, &err))
        fail_msg("%s", err.message);
    fill_set(&o, text);
    if (!wm_output_commit(&o, &err))
        fail_msg("%s", err.message);
}

static void test_set(void **state)
{
    (void)state;
    make_set(false, "12il");
    expect_file(at("m-1-of-2"), "1");
    expect_file(at("m-2-of-2"), "2");
    expect_file(at("m.index"), "i");
    expect_file(at("latest"), "l");
    assert_int_equal(entries(), 4);
}

/* Whatever stands at a name of the set is a reason to refuse, but for a guest, which gives way. */
static void test_set_existing(void **state)
{
    (void)state;
    static const char *const names[] = {"m-1-of-2", "m-2-of-2", "m.index", "m"};
    wm_output o;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        wmap_error err = {0};
        write_file(at(names[i]), "old");
        assert_false(open_set(&o, false, &err));
        assert_int_equal(err.code, WMAP_E_USAGE);
        assert_non_null(strstr(err.file, names[i]));
        assert_int_equal(entries(), 1);
        assert_int_equal(unlink(at(names[i])), 0);
    }
    write_file(at("latest"), "theirs");
    make_set(false, "12il");
    expect_file(at("latest"), "theirs");
    assert_int_equal(entries(), 4);
    write_file(at("m"), "in the way");
    make_set(true, "34jk");
    expect_file(at("m-1-of-2"), "3");
    expect_file(at("m-2-of-2"), "4");
    expect_file(at("m.index"), "j");
    expect_file(at("latest"), "theirs");
    assert_int_equal(entries(), 4);
    assert_int_equal(access(at("m"), F_OK), -1);
}

/* A set that can't be completed leaves all that was there, and nothing else. */
static void test_set_undone(void **state)
{
    (void)state;
    wm_output o;
    wmap_error err = {0};
    assert_true(open_set(&o, false, &err));
    fill_set(&o, "12il");
    write_file(at("m-2-of-2"), "theirs");
    assert_false(wm_output_commit(&o, &err));
    assert_int_equal(err.code, WMAP_E_USAGE);
    expect_file(at("m-2-of-2"), "theirs");
    assert_int_equal(entries(), 1);

    write_file(at("m-1-of-2"), "old 1");
    write_file(at("m.index"), "old index");
    write_file(at("m"), "old file");
    assert_true(open_set(&o, true, &err));
    fill_set(&o, "12il");
    /* a folder that takes the place of a file can't be replaced by one */
    assert_int_equal(unlink(at("m-2-of-2")), 0);
    assert_int_equal(mkdir(at("m-2-of-2"), 0700), 0);
    assert_int_equal(mkdir(at("m-2-of-2/full"), 0700), 0);
    bool done = wm_output_commit(&o, &err);
    if (!done) {
        assert_int_equal(err.code, WMAP_E_IO);
        expect_file(at("m-1-of-2"), "old 1");
        expect_file(at("m.index"), "old index");
        expect_file(at("m"), "old file");
        assert_int_equal(entries(), 4);
    }
    assert_int_equal(rmdir(at("m-2-of-2/full")), 0);
    assert_int_equal(rmdir(at("m-2-of-2")), 0);
    assert_false(done);
}

/* A process that dies after any number of renames leaves no index that speaks of files of two sets. */
static void test_set_killed(void **state)
{
    (void)state;
    for (size_t renames = 0;; renames++) {
        make_set(true, "abcd");
        write_file(at("m"), "in the way");
        pid_t child = fork();
        if (child == 0) {
            renames_left = renames;
            make_set(true, "efgh");
            _exit(0);
        }
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        if (WIFEXITED(status)) {
            assert_int_equal(renames, 2 + 2 + 1 + 1); /* aside, data, index, guest */
            break;
        }
        bool old = access(at("m.index"), F_OK) == 0;
        if (old) { /* it is the old one before the first, the new one after the last but one */
            bool last = renames == 5;
            assert_true(renames == 0 || last);
            expect_file(at("m.index"), last ? "g" : "c");
            expect_file(at("m-1-of-2"), last ? "e" : "a");
            expect_file(at("m-2-of-2"), last ? "f" : "b");
        }
    }
    expect_file(at("m.index"), "g");
    assert_int_equal(entries(), 4); /* the next run removed what the dead ones left */
}

static void test_set_signal(void **state)
{
    (void)state;
    wm_output o;
    wmap_error err = {0};
    assert_true(open_set(&o, false, &err));
    assert_int_equal(entries(), 4);
    wmap_run_cleanup();
    assert_int_equal(entries(), 0);
    wm_output_abandon(&o);
}

static void test_folder(void **state)
{
    (void)state;
    wm_output o;
    wmap_error err = {0};
    wm_part part = {NULL, 1, WM_PART_DATA};
    o = (wm_output){.path = at("new/m"), .make_folder = true};
    assert_true(wm_output_open(&o, &part, 1, &err));
    assert_int_equal(access(at("new"), F_OK), 0);
    wm_output_abandon(&o);
    assert_int_equal(access(at("new"), F_OK), -1);
    o = (wm_output){.path = at("new/m"), .make_folder = true, .no_sync = true};
    syncs = 0;
    assert_true(wm_output_open(&o, &part, 1, &err) && wm_output_put(&o, 0, 0, "x", 1, &err));
    assert_true(wm_output_commit(&o, &err));
    expect_file(at("new/m"), "x");
    assert_int_equal(syncs, 0);
    o = (wm_output){.path = at("new/m"), .force = true};
    assert_true(wm_output_open(&o, &part, 1, &err) && wm_output_commit(&o, &err));
    assert_int_equal(syncs, 2); /* the file, its folder */
    assert_int_equal(unlink(at("new/m")), 0);
    assert_int_equal(rmdir(at("new")), 0);
    o = (wm_output){.path = "-"};
    assert_false(wm_output_open(&o, set, SET, &err));
    assert_int_equal(err.code, WMAP_E_USAGE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, enter, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_commit),     TEST(test_existing),        TEST(test_race),       TEST(test_refused),
        TEST(test_link),       TEST(test_stale),           TEST(test_signal),     TEST(test_full),
        TEST(test_long_name),  TEST(test_standard_output), TEST(test_set),        TEST(test_set_existing),
        TEST(test_set_undone), TEST(test_set_killed),      TEST(test_set_signal), TEST(test_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
