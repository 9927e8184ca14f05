/* drive.c: what wmap does when the system says no. Runs the program again and again while shim.c makes one
 * call fail, the first, the second, and so on, or while the program is killed at one system call after the
 * other, and holds each end against what a run without faults gives:
 *
 *   - it ends by itself, with its usual status and then its usual output, or with status 2 and words about
 * it;
 *   - the folder of the output is as it was before, or as it is after a run without faults; nothing else is
 * in it.
 *
 *     drive WMAP SHIM SOURCE MODE          MODE: alloc, io or kill
 *
 * The first calls are all tried, later ones at even distances, so that the time is bounded and each run is
 * the same. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORDS = 16, TEXT = 512, FOREVER = 1000000000 };

static const char *wmap, *shim, *source;
static char scratch[TEXT];
static int failures, runs;

__attribute__((format(printf, 1, 2))) static void complain(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("FAILED: ", stdout);
    vprintf(format, args);
    putchar('\n');
    va_end(args);
    if (++failures == 20) {
        puts("enough");
        exit(1);
    }
}

static void must(bool ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(2);
    }
}

/* ---- files and folders ---- */

typedef struct blob {
    char *bytes;
    size_t size;
} blob;

static blob slurp(const char *path)
{
    blob b = {NULL, 0};
    FILE *in = fopen(path, "rb");
    struct stat st;
    if (!in)
        return b;
    must(fstat(fileno(in), &st) == 0, path);
    b.bytes = malloc((size_t)st.st_size + 1);
    must(b.bytes != NULL, "malloc");
    b.size = fread(b.bytes, 1, (size_t)st.st_size, in);
    fclose(in);
    return b;
}

static bool same(const blob *a, const blob *b)
{
    return a->size == b->size && (a->size == 0 || memcmp(a->bytes, b->bytes, a->size) == 0);
}

static int visible(const struct dirent *e)
{
    return strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
}

/* A folder as one text: names, and bytes. */
static blob folder_of(const char *path)
{
    struct dirent **list;
    blob all = {NULL, 0};
    int count = scandir(path, &list, visible, alphasort);
    must(count >= 0, path);
    for (int i = 0; i < count; i++) {
        char file[2 * TEXT];
        snprintf(file, sizeof file, "%s/%s", path, list[i]->d_name);
        blob b = slurp(file);
        size_t len = strlen(list[i]->d_name) + 1;
        all.bytes = realloc(all.bytes, all.size + len + b.size);
        must(all.bytes != NULL, "realloc");
        memcpy(all.bytes + all.size, list[i]->d_name, len);
        if (b.size)
            memcpy(all.bytes + all.size + len, b.bytes, b.size);
        all.size += len + b.size;
        free(b.bytes);
        free(list[i]);
    }
    free(list);
    return all;
}

static void empty_folder(const char *path)
{
    struct dirent **list;
    int count = scandir(path, &list, visible, NULL);
    must(count >= 0, path);
    for (int i = 0; i < count; i++) {
        char file[2 * TEXT];
        snprintf(file, sizeof file, "%s/%s", path, list[i]->d_name);
        unlink(file);
        free(list[i]);
    }
    free(list);
}

static void write_file(const char *path, const void *bytes, size_t size)
{
    FILE *out = fopen(path, "wb");
    must(out && fwrite(bytes, 1, size, out) == size && fclose(out) == 0, path);
}

/* ---- running ---- */

/* A command. Its output, if it has one, is in the folder out/, where `old` stands before. */
typedef struct job {
    const char *name;
    const char *words[WORDS];
    const char *old; /* NULL: none */
    bool undoes;     /* it puts old files aside, which must be renamed back if something fails then */
    int status;      /* without faults */
    blob out, before, after;
} job;

static void prepare(const job *j)
{
    empty_folder("out");
    if (j->old)
        write_file(j->old, "old", 3);
}

/* Stops the traced child at its n-th entry or exit of a system call, and kills it there. False if it ended
 * before. */
static bool kill_at(pid_t child, long n, int *status)
{
    for (long i = 0;; i++) {
        must(waitpid(child, status, 0) == child, "waitpid");
        if (!WIFSTOPPED(*status))
            return false;
        if (i == n) {
            kill(child, SIGKILL);
            must(waitpid(child, status, 0) == child, "waitpid");
            return true;
        }
        int signal = WSTOPSIG(*status) == SIGTRAP ? 0 : WSTOPSIG(*status);
        if (ptrace(PTRACE_SYSCALL, child, 0, signal) != 0)
            return false;
    }
}

/* The exit status, 128 and more for signals. `fault` is for the shim, NULL: none. `*killed` (may be NULL):
 * kill it at that system call; set to -1 if it ended before. */
static int run(const job *j, const char *fault, long *kill)
{
    char *argv[WORDS + 1] = {(char *)(uintptr_t)wmap};
    int status = 0;
    runs++;
    for (int i = 0; j->words[i]; i++)
        argv[i + 1] = (char *)(uintptr_t)j->words[i];
    pid_t child = fork();
    must(child >= 0, "fork");
    if (child == 0) {
        int out = open("stdout", O_WRONLY | O_CREAT | O_TRUNC, 0666);
        int err = open("stderr", O_WRONLY | O_CREAT | O_TRUNC, 0666);
        dup2(out, 1);
        dup2(err, 2);
        close(out);
        close(err);
        if (fault) {
            setenv("LD_PRELOAD", shim, 1);
            setenv("WMAP_FAULT", fault, 1);
            setenv("WMAP_FAULT_COUNT", "count", 1);
        }
        if (kill && ptrace(PTRACE_TRACEME, 0, 0, 0) != 0)
            _exit(120);
        execv(wmap, argv);
        _exit(121);
    }
    if (kill && !kill_at(child, *kill, &status))
        *kill = -1;
    if (!kill)
        must(waitpid(child, &status, 0) == child, "waitpid");
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* The run without faults that all others are held against. */
static void baseline(job *j)
{
    prepare(j);
    j->before = folder_of("out");
    j->status = run(j, NULL, NULL);
    j->out = slurp("stdout");
    j->after = folder_of("out");
    if (j->status > 3 || (j->status == 2)) {
        blob err = slurp("stderr");
        complain("%s: status %d without a fault: %.*s", j->name, j->status, (int)err.size, err.bytes);
        free(err.bytes);
    }
}

/* ---- calls that fail ---- */

typedef struct fault {
    const char *class;
    int number;  /* errno */
    bool strict; /* nothing can be as usual after it */
    bool late;   /* it may come when the output is complete already */
} fault;

static long calls_of(const job *j, const char *program, const char *class)
{
    char text[TEXT];
    unlink("count");
    prepare(j);
    snprintf(text, sizeof text, "%s %s 0 0 0", program, class);
    run(j, text, NULL);
    blob b = slurp("count");
    long n = b.bytes ? strtol(b.bytes, NULL, 10) : 0;
    free(b.bytes);
    return n;
}

static void judge(const job *j, const char *what, int status, const fault *f)
{
    blob out = slurp("stdout"), err = slurp("stderr"), after = folder_of("out");
    bool usual = status == j->status && same(&out, &j->out) && same(&after, &j->after);
    /* An import that can't be read is a finding; `test` gives it as a result. */
    bool import = status == 1 && ((err.bytes && memmem(err.bytes, err.size, "E0121", 5)) ||
                                  (out.bytes && memmem(out.bytes, out.size, "E0121", 5)));
    bool failed = ((status == 2 && err.size > 0) || import) &&
                  (same(&after, &j->before) || (f->late && same(&after, &j->after)));
    if (f->strict ? !failed : !usual && !failed)
        complain("%s: %s: status %d%s%s: %.*s", j->name, what, status,
                 same(&after, &j->before)  ? ", folder as before"
                 : same(&after, &j->after) ? ", folder as after"
                                           : ", something else in the folder",
                 status == j->status && !same(&out, &j->out) ? ", other output" : "", (int)err.size,
                 err.bytes ? err.bytes : "");
    free(out.bytes);
    free(err.bytes);
    free(after.bytes);
}

/* Each of the first `all` calls, then some. `count` calls fail in a row. */
static void sweep(const job *j, const char *program, const fault *f, long count, long all, long some)
{
    long total = calls_of(j, program, f->class);
    long step = total > all ? (total - all) / some + 1 : 1;
    for (long n = 1; n <= total; n += n < all ? 1 : step) {
        char text[TEXT];
        prepare(j);
        snprintf(text, sizeof text, "%s %s %ld %ld %d", program, f->class, n, count, f->number);
        judge(j, text, run(j, text, NULL), f);
    }
}

/* Reads and writes that move little, and are interrupted: all is as usual. */
static void dribble(const job *j, const char *program, long interrupt, long most)
{
    char text[TEXT];
    prepare(j);
    snprintf(text, sizeof text, "%s short %ld %ld 0", program, interrupt, most);
    int status = run(j, text, NULL);
    blob out = slurp("stdout"), after = folder_of("out");
    if (status != j->status || !same(&out, &j->out) || !same(&after, &j->after))
        complain("%s: %s: status %d, or not the usual output", j->name, text, status);
    free(out.bytes);
    free(after.bytes);
}

/* ---- killed ---- */

/* Killed anywhere, the output is not there, old or whole, and the next run gives the right one and leaves
 * nothing else. */
static void kill_sweep(job *j, long all, long step)
{
    for (long n = 1;; n += n < all ? 1 : step) {
        long at = n;
        prepare(j);
        int status = run(j, NULL, &at);
        if (status == 120) {
            puts("nothing can be traced here; killing is not tested");
            return;
        }
        if (at < 0)
            return;
        if (j->old) {
            blob now = slurp(j->old), was = {(char *)(uintptr_t) "old", 3};
            blob whole = folder_of("out");
            bool as_after = memmem(whole.bytes, whole.size, j->after.bytes, j->after.size) != NULL;
            if (!same(&now, &was) && !as_after)
                complain("%s: killed at %ld: neither the old output nor the new one", j->name, n);
            free(now.bytes);
            free(whole.bytes);
        }
        status = run(j, NULL, NULL);
        blob after = folder_of("out");
        if (status != 0 || !same(&after, &j->after))
            complain("%s: after a kill at %ld: status %d, or not the right bytes", j->name, n, status);
        free(after.bytes);
    }
}

/* ---- what is run ---- */

static const char rules[] = "keep rest";
static const char objects[] = "\"{x:*}\" -> \"{x}/.ATTRIBUTES/VARIABLE_VALUE\"";

/* w f32 [40 30], b f32 [30], half f16 [6] and an empty tensor */
static void make_source(const char *path)
{
    static const char header[] = "{\"w\":{\"dtype\":\"F32\",\"shape\":[40,30],\"data_offsets\":[0,4800]},"
                                 "\"b\":{\"dtype\":\"F32\",\"shape\":[30],\"data_offsets\":[4800,4920]},"
                                 "\"half\":{\"dtype\":\"F16\",\"shape\":[6],\"data_offsets\":[4920,4932]},"
                                 "\"none\":{\"dtype\":\"F32\",\"shape\":[0,2],\"data_offsets\":[4932,4932]}}";
    static uint8_t bytes[8 + sizeof header - 1 + 4932];
    bytes[0] = (uint8_t)((sizeof header - 1) & 255);
    bytes[1] = (uint8_t)((sizeof header - 1) >> 8);
    memcpy(bytes + 8, header, sizeof header - 1);
    for (size_t i = 0; i < 4932; i++)
        bytes[8 + sizeof header - 1 + i] = (uint8_t)(i * 7 % 61); /* no NaN, nothing large */
    write_file(path, bytes, sizeof bytes);
}

static void make_specs(void)
{
    static const char spec[] = "wmap 1\nimport \"part\" as p\nparam n = 2\ntable t = [1, 2]\n"
                               "map main {\n  \"w\" [(a b) c] -> \"w.t\" [c (b a)]   where a=n*4\n"
                               "  \"b\" | cast f16 -> \"b16\"\n  use p.others\n"
                               "  for i in t { fill i -> \"c.{i}\" : i32 [3] }\n}\n";
    static const char part[] = "wmap 1\nmap others { keep rest }\n";
    static const char bad[] = "wmap 1\nmap main {\n  \"w\" [a b c] -> \"w\" [a b c]\n  \"bb\" -> \"x\"\n"
                              "  \"half\" [(a b)] -> \"h\" [b a]\n  \"w\" [ -> \"y\"\n}\n";
    write_file("s.wmap", spec, sizeof spec - 1);
    write_file("part.wmap", part, sizeof part - 1);
    static const char tests[] =
        "wmap 1\nimport \"part\" as p\nmap main { \"w\" [a b] -> \"w\" [b a] }\n"
        "test \"good\" of main { given \"w\" = iota [1 2]; expect \"w\" = [[0] [1]] }\n"
        "test \"bad\" of main { given \"w\" = iota [1 2]; expect \"w\" = [[1] [1]] }\n"
        "test \"refused\" of p.others { given \"w\" = 1; expect error E0504 }\n";
    write_file("bad.wmap", bad, sizeof bad - 1);
    write_file("t.wmap", tests, sizeof tests - 1);
}

static void make(const char *output)
{
    job j = {.name = "make", .words = {"run", "-q", "-e", rules, "a.safetensors", "-o", output}};
    must(run(&j, NULL, NULL) == 0, output);
}

static char data[16][TEXT];

static const char *datum(int at, const char *path)
{
    snprintf(data[at], sizeof data[at], "%s/tests/%s", source, path);
    return data[at];
}

static job jobs[96];
static int job_count;

__attribute__((sentinel)) static void add(const char *name, const char *old, ...)
{
    va_list args;
    job *j = &jobs[job_count++];
    va_start(args, old);
    j->name = name;
    j->old = old;
    for (int i = 0; i < WORDS - 1 && (j->words[i] = va_arg(args, const char *)); i++)
        ;
    va_end(args);
    baseline(j);
}

/* Every command, over every kind of file. */
static void add_all(bool quick)
{
    const char *files[] = {"a.safetensors",
                           "a.npz",
                           "a.pth",
                           "a.npy",
                           datum(0, "data/keras/model.keras"),
                           datum(1, "data/keras/packed_latest.h5"),
                           datum(2, "data/keras/deflated.keras"),
                           datum(3, "fuzz/seeds/npz/streamed_deflated.npz")};
    static char labels[sizeof files / sizeof *files][TEXT];
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(labels[i], TEXT, "%s", strrchr(files[i], '/') ? strrchr(files[i], '/') + 1 : files[i]);
        add(labels[i], NULL, "run", "-q", "-j1", "-e", rules, files[i], "-o",
            i % 2 ? "out/o.pth" : "out/o.npz", NULL);
        if (quick && i)
            continue;
        add(labels[i], NULL, "inspect", files[i], "--format", "json", NULL);
    }
    add("check", NULL, "check", "s.wmap", "a.safetensors", NULL);
    add("check, mistakes", NULL, "check", "bad.wmap", "a.safetensors", NULL);
    add("check, JSON", NULL, "check", "bad.wmap", "a.npz", "--format", "json", NULL);
    add("compile", NULL, "compile", "s.wmap", "a.pth", "-o", "out/o.plan", NULL);
    add("test", NULL, "test", "t.wmap", "--coverage", NULL);
    add("test, JSON", NULL, "test", "t.wmap", "--format", "json", NULL);
    add("explain", NULL, "explain", "--moves", "s.wmap", "a.npz", NULL);
    add("run, replacing", "out/o.safetensors", "run", "-q", "-f", "-j1", "s.wmap", "a.npz", "-o",
        "out/o.safetensors", NULL);
    add("run, a set", NULL, "run", "-q", "-f", "-j1", "-e", rules, "a.npz", "-o", "out/o.safetensors",
        "--shard-size", "4900", NULL);
    add("run, replacing a set", "out/o.safetensors.index.json", "run", "-q", "-f", "-j1", "-e", rules,
        "a.npz", "-o", "out/o.safetensors", "--shard-size", "4900", NULL);
    jobs[job_count - 1].undoes = true;
    add("run, a checkpoint", NULL, "run", "-q", "-j1", "-e", objects, "a.npz", "-o", "out/o.index",
        "--shard-size", "4900", NULL);
    add("run, a checkpoint like another", "out/o.index", "run", "-q", "-f", "-j1", "-e", rules, "a.npz", "-o",
        "out/o.index", "--like", "a.index", NULL);
    jobs[job_count - 1].undoes = true;
    add("suggest", NULL, "suggest", "a.safetensors", "o.npz", "-o", "out/o.wmap", NULL);
    add("run of a plan", NULL, "run", "-q", "-j2", "s.plan", "a.safetensors", "-o", "out/o.npz", NULL);
}

static void test_alloc(void)
{
    static const fault once = {"alloc", ENOMEM, false, false};
    add_all(false);
    for (int i = 0; i < job_count; i++) {
        sweep(&jobs[i], "wmap", &once, 1, 120, 20);
        sweep(&jobs[i], "wmap", &once, FOREVER, 10, 20);
    }
}

static void test_io(void)
{
    static const fault faults[] = {
        {"read", EIO, false, false},   {"open", EMFILE, false, true},    {"stat", EIO, false, true},
        {"map", ENOMEM, false, false}, {"thread", EAGAIN, false, false}, {"write", ENOSPC, true, false},
        {"write", EFBIG, true, false}, {"room", ENOSPC, true, false},    {"sync", EIO, true, true},
        {"rename", EIO, false, false}, {"close", EIO, false, true},
    };
    add_all(true);
    for (int i = 0; i < job_count; i++) {
        for (size_t f = 0; f < sizeof faults / sizeof *faults; f++) {
            sweep(&jobs[i], "wmap", &faults[f], 1, 20, 10);
            if (!jobs[i].undoes || strcmp(faults[f].class, "rename") != 0)
                sweep(&jobs[i], "wmap", &faults[f], FOREVER, 3, 5);
        }
        dribble(&jobs[i], "wmap", 2, 1);
        dribble(&jobs[i], "wmap", 3, 1000);
        dribble(&jobs[i], "wmap-hdf5", 2, 100);
    }
}

static void test_kill(void)
{
    add("run", NULL, "run", "-q", "-f", "-j1", "s.wmap", "a.npz", "-o", "out/o.safetensors", NULL);
    add("run, replacing", "out/o.npz", "run", "-q", "-f", "-j1", "-e", rules,
        datum(0, "data/keras/model.keras"), "-o", "out/o.npz", NULL);
    add("run, a set", NULL, "run", "-q", "-f", "-j1", "-e", rules, "a.npz", "-o", "out/o.safetensors",
        "--shard-size", "4900", NULL);
    add("run, a checkpoint", NULL, "run", "-q", "-f", "-j1", "-e", objects, "a.npz", "-o", "out/o.index",
        NULL);
    add("compile", "out/o.plan", "compile", "-f", "s.wmap", "a.pth", "-o", "out/o.plan", NULL);
    for (int i = 0; i < job_count; i++)
        kill_sweep(&jobs[i], 250, 5);
}

int main(int argc, char **argv)
{
    /* In memory if that can be: hundreds of files are synced. */
    const char *temporary = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : getenv("TMPDIR");
    if (argc != 5) {
        fputs("drive WMAP SHIM SOURCE MODE\n", stderr);
        return 2;
    }
    wmap = argv[1];
    shim = argv[2];
    source = argv[3];
    snprintf(scratch, sizeof scratch, "%s/wmap-fault-XXXXXX", temporary && *temporary ? temporary : "/tmp");
    must(mkdtemp(scratch) && chdir(scratch) == 0 && mkdir("out", 0777) == 0, scratch);
    make_source("a.safetensors");
    make_specs();
    make("a.npz");
    make("a.pth");
    make("a.index");
    job npy = {.name = "make",
               .words = {"run", "-q", "-e", "\"w\" -> \"w\"; drop \"b\", \"half\", \"none\"", "a.safetensors",
                         "-o", "a.npy"}};
    must(run(&npy, NULL, NULL) == 0, "a.npy");
    job plan = {.name = "make", .words = {"compile", "s.wmap", "a.safetensors", "-o", "s.plan"}};
    must(run(&plan, NULL, NULL) == 0, "s.plan");
    job other = {.name = "make", .words = {"run", "-q", "s.wmap", "a.safetensors", "-o", "o.npz"}};
    must(run(&other, NULL, NULL) == 0, "o.npz");
    if (strcmp(argv[4], "alloc") == 0)
        test_alloc();
    else if (strcmp(argv[4], "io") == 0)
        test_io();
    else if (strcmp(argv[4], "kill") == 0)
        test_kill();
    printf("%d runs, %d failures\n", runs, failures);
    empty_folder("out");
    rmdir("out");
    empty_folder(".");
    must(chdir("/") == 0 && rmdir(scratch) == 0, scratch);
    return failures > 0;
}
