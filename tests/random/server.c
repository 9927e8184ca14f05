/* tests/random/server.c: a library that is loaded before wmap (LD_PRELOAD) and makes one process of it serve
 * many command lines: what a new process costs to start is most of the time of a small conversion. Each runs
 * in a fork, from the beginning of main, in the folder where the server stands; what it prints goes to the
 * file `said` there.
 *
 * On standard input: a length (4 bytes), and the arguments, each ended by NUL. On standard output, for each:
 * the exit status or minus the signal, and the memory used in KiB (4 bytes each). */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECONDS  60
#define MAX_ARGS 256

typedef int main_function(int, char **, char **);
typedef int start_function(main_function *, int, char **, void (*)(void), void (*)(void), void (*)(void),
                           void *);

static main_function *wmap;

static int read_all(void *into, size_t size)
{
    for (size_t got = 0; got < size;) {
        ssize_t n = read(STDIN_FILENO, (char *)into + got, size - got);
        if (n <= 0) {
            return 0;
        }
        got += (size_t)n;
    }
    return 1;
}

static int child(char *words, uint32_t size, char **env)
{
    char *argv[MAX_ARGS + 1] = {0};
    int argc = 0;
    for (uint32_t at = 0; at < size && argc < MAX_ARGS; at += (uint32_t)strlen(words + at) + 1) {
        argv[argc++] = words + at;
    }
    int in = open("/dev/null", O_RDONLY), out = open("said", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (in < 0 || out < 0) {
        _exit(126);
    }
    dup2(in, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    dup2(out, STDERR_FILENO);
    close(in);
    close(out);
    alarm(SECONDS);
    return wmap(argc, argv, env);
}

static int serve(int argc, char **argv, char **env)
{
    static char words[1 << 16];
    uint32_t size;
    (void)argc;
    (void)argv;
    unsetenv("LD_PRELOAD"); /* not for what wmap itself starts */
    while (read_all(&size, sizeof size) && size <= sizeof words && read_all(words, size)) {
        pid_t pid = fork();
        if (pid == 0) {
            return child(words, size, env);
        }
        int status;
        struct rusage used;
        if (pid < 0 || wait4(pid, &status, 0, &used) != pid) {
            return 1;
        }
        int32_t answer[2] = {WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status),
                             (int32_t)used.ru_maxrss};
        if (write(STDOUT_FILENO, answer, sizeof answer) != sizeof answer) {
            return 1;
        }
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
