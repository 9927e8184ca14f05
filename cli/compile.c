/* cli/compile.c: `wmap compile`: the plan, in a file. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"

static bool write_all(int fd, const uint8_t *bytes, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, bytes, size < ((size_t)1 << 30) ? size : (size_t)1 << 30);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return false;
        }
        bytes += n;
        size -= (size_t)n;
    }
    return true;
}

/* A temporary beside `path`, renamed when it is complete and synced: never half a plan at `path`. */
static bool write_file(const char *path, const uint8_t *bytes, size_t size, bool force)
{
    char temp[PATH_MAX];
    int n = snprintf(temp, sizeof temp, "%s.XXXXXX", path);
    if (n < 0 || (size_t)n >= sizeof temp) {
        errno = ENAMETOOLONG;
        return false;
    }
    int fd = mkostemp(temp, O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    mode_t mask = umask(0);
    umask(mask);
    bool ok = write_all(fd, bytes, size) && fchmod(fd, 0666 & ~mask) == 0 && fsync(fd) == 0;
    ok = close(fd) == 0 && ok;
    /* Without --force a file that appeared meanwhile is not replaced either. */
    if (ok && !force) {
        ok = link(temp, path) == 0;
    } else if (ok) {
        ok = rename(temp, path) == 0;
    }
    int why = errno;
    if (!ok || !force) {
        unlink(temp);
    }
    errno = why;
    return ok;
}

static int write_plan(const char *path, const uint8_t *bytes, size_t size, bool force)
{
    struct stat info;
    if (strcmp(path, "-") == 0) {
        fwrite(bytes, 1, size, stdout);
        return WM_EXIT_DONE; /* main flushes, and sees what failed */
    }
    if (!force && lstat(path, &info) == 0) {
        wm_say("%s exists; --force replaces it", path);
        return WM_EXIT_FAILED;
    }
    if (!write_file(path, bytes, size, force)) {
        wm_say("%s: %s", path, strerror(errno));
        return WM_EXIT_FAILED;
    }
    return WM_EXIT_DONE;
}

/* Is the plan, just made, one that --to-format can hold? */
static int fits(const uint8_t *bytes, size_t size, const wm_args *args)
{
    if (!wm_args_has(args, WM_FLAG_TO_FORMAT)) {
        return WM_EXIT_DONE;
    }
    wmap_error err = {0};
    wmap_plan *plan = wmap_plan_parse(bytes, size, "the plan", &err);
    int status = plan ? wm_input_fits(plan, args) : wmap_exit_status(err.code);
    if (!plan) {
        wm_say_error(&err);
    }
    wmap_plan_free(plan);
    return status;
}

int wm_cmd_compile(const wm_args *args)
{
    const char *output = wm_args_value(args, WM_FLAG_OUTPUT);
    if (!output || !*output) {
        wm_say("compile: say where the plan goes: -o PLAN");
        return WM_EXIT_FAILED;
    }
    wm_input input;
    int status = wm_input_open(&input, args);
    if (status == WM_EXIT_DONE && input.is_plan) {
        wm_say("compile: %s is a plan already", input.path);
        status = WM_EXIT_FAILED;
    }
    if (status == WM_EXIT_DONE) {
        uint8_t *bytes = NULL;
        size_t size = 0;
        status = wm_compile(&input, args, NULL, &bytes, &size);
        if (status == WM_EXIT_DONE && !bytes) {
            wm_say("compile: a plan needs to know its source: add the file, or `map ... from` a model");
            status = WM_EXIT_FAILED;
        } else if (status == WM_EXIT_DONE) {
            status = fits(bytes, size, args);
        }
        if (status == WM_EXIT_DONE) {
            status = write_plan(output, bytes, size, wm_args_has(args, WM_FLAG_FORCE));
        }
        free(bytes);
    }
    wm_input_free(&input);
    return status;
}
