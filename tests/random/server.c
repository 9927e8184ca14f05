/* tests/random/server.c: a library that is loaded before wmap (LD_PRELOAD) and makes one process of it serve
 * many command lines: what a process costs to start and to end is most of the time of a small conversion. A
 * worker, forked from it, calls main for each in turn, in the folder where the server stands; what is
 * printed goes to the file `said` there. A worker that ends inside main is replaced, and each is after RUNS,
 * or when it is LARGE. With WMAP_ONE_EACH in the environment each is for one, and ends as a program does: for
 * an instrumented wmap, which looks for leaks then.
 *
 * On standard input: a length (4 bytes), and the arguments, each ended by NUL. On standard output, for each:
 * the exit status or minus the signal, and the most memory used in KiB (4 bytes each). */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECONDS  60
#define MAX_ARGS 256
#define RUNS     200
#define LARGE    (40 << 10) /* KiB, from which on a worker's peak says too little of the next run */

typedef int main_function(int, char **, char **);
typedef int start_function(main_function *, int, char **, void (*)(void), void (*)(void), void (*)(void),
                           void *);

static main_function *wmap;
static int from, to; /* where the command lines come from, and the answers go to */

/* What the worker has begun and not answered, and whether there is no more. Shared with it. */
static volatile struct {
    int busy, ended;
} * shared;

static int read_all(void *into, size_t size)
{
    for (size_t got = 0; got < size;) {
        ssize_t n = read(from, (char *)into + got, size - got);
        if (n <= 0) {
            return 0;
        }
        got += (size_t)n;
    }
    return 1;
}

static int answer(int status, long memory)
{
    int32_t words[2] = {status, (int32_t)memory};
    return write(to, words, sizeof words) == sizeof words;
}

static int run(char *words, uint32_t size, char **env)
{
    char *argv[MAX_ARGS + 1] = {0};
    int argc = 0;
    for (uint32_t at = 0; at < size && argc < MAX_ARGS; at += (uint32_t)strlen(words + at) + 1) {
        argv[argc++] = words + at;
    }
    int said = open("said", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (said < 0) {
        _exit(126);
    }
    dup2(said, STDOUT_FILENO);
    dup2(said, STDERR_FILENO);
    close(said);
    alarm(SECONDS);
    return wmap(argc, argv, env);
}

/* Serves until there is no more, or until it is to be replaced. */
static int work(int runs, char **env)
{
    static char words[1 << 16];
    uint32_t size;
    while (read_all(&size, sizeof size) && size <= sizeof words && read_all(words, size)) {
        shared->busy = 1;
        int status = run(words, size, env);
        if (runs == 1) {
            return status;
        }
        alarm(0);
        fflush(NULL);
        struct rusage used;
        getrusage(RUSAGE_SELF, &used);
        shared->busy = 0;
        if (!answer(status, used.ru_maxrss) || --runs == 0 || used.ru_maxrss > LARGE) {
            _exit(0);
        }
    }
    shared->ended = 1;
    _exit(0);
}

static int serve(int argc, char **argv, char **env)
{
    int runs = getenv("WMAP_ONE_EACH") ? 1 : RUNS, in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    (void)argc;
    (void)argv;
    unsetenv("LD_PRELOAD"); /* not for what wmap itself starts */
    unsetenv("WMAP_ONE_EACH");
    from = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 100);
    to = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 100);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (in < 0 || from < 0 || to < 0 || shared == MAP_FAILED || dup2(in, STDIN_FILENO) < 0) {
        return 1;
    }
    while (!shared->ended) {
        pid_t pid = fork();
        if (pid == 0) {
            return work(runs, env);
        }
        int status;
        struct rusage used;
        if (pid < 0 || wait4(pid, &status, 0, &used) != pid) {
            return 1;
        }
        int ended = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
        if (shared->busy && !answer(ended, used.ru_maxrss)) {
            return 1;
        }
        shared->busy = 0;
    }
    return 0;
}

/* In the place of the C library's, which gets `serve` for a main. */
int __libc_start_main(main_function *function, int argc, char **argv, void (*init)(void), void (*fini)(void),
                      void (*late)(void), void *stack);
int __libc_start_main(main_function *function, int argc, char **argv, void (*init)(void), void (*fini)(void),
                      void (*late)(void), void *stack)
{
    start_function *start;
    *(void **)&start = dlsym(RTLD_NEXT, "__libc_start_main");
    wmap = function;
    return start(serve, argc, argv, init, fini, late, stack);
}
