/* cli/main.c: `wmap COMMAND ...`: finds the command, parses its flags, and turns its result into an exit
 * status. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

/* A run that is cut off leaves no temporary file behind; then the signal does what it does by default. */
static void on_signal(int number)
{
    wmap_run_cleanup();
    raise(number); /* the handler was removed when it was called */
}

static void catch_signals(void)
{
    static const int ending[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof ending / sizeof *ending; i++) {
        struct sigaction old, action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND | SA_NODEFER};
        sigemptyset(&action.sa_mask);
        /* What was ignored when we started (nohup) stays ignored. */
        if (sigaction(ending[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN) {
            sigaction(ending[i], &action, NULL);
        }
    }
    /* A closed pipe and a file-size limit are errors of a write, with words and a status, not a death. */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
}

/* A standard stream that was closed before we started would be the next file that is opened. Holding the
 * place open for reading makes writes to it fail, as they should. */
static void hold_standard_streams(void)
{
    for (int fd = 0; fd < 3; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", O_RDONLY) < 0) {
            _exit(WM_EXIT_FAILED);
        }
    }
}

static int unknown_command(const char *name)
{
    const char *names[32] = {NULL};
    for (size_t i = 0; i < wm_command_count && i < 32; i++) {
        names[i] = wm_commands[i].name;
    }
    const char *near = wm_did_you_mean(name, names, wm_command_count);
    if (near) {
        wm_say("unknown command `%s`; did you mean `%s`?", name, near);
    } else {
        wm_say("unknown command `%s`; `wmap help` lists them", name);
    }
    return WM_EXIT_FAILED;
}

static int run_command(const wm_command *command, int argc, char **argv)
{
    wm_args args;
    int status = WM_EXIT_FAILED;
    if (wm_args_parse(command, argc, argv, &args)) {
        if (wm_args_has(&args, WM_FLAG_HELP)) {
            wm_help_command(stdout, command);
            status = WM_EXIT_DONE;
        } else {
            status = command->run(&args);
        }
    }
    wm_args_free(&args);
    return status;
}

int main(int argc, char **argv)
{
    hold_standard_streams();
    catch_signals();
    setvbuf(stderr, NULL, _IOLBF, BUFSIZ); /* a call to the system a line, not a word */
    if (argc < 2) {
        wm_help_all(stderr);
        return WM_EXIT_FAILED;
    }
    const char *word = argv[1];
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
        printf("wmap %s\n", wmap_version());
        return wm_finish_stdout(WM_EXIT_DONE);
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        wm_help_all(stdout);
        return wm_finish_stdout(WM_EXIT_DONE);
    }
    const wm_command *command = wm_command_find(word);
    if (!command) {
        return unknown_command(word);
    }
    return wm_finish_stdout(run_command(command, argc - 2, argv + 2));
}
