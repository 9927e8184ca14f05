/* cli/compile.c: `wmap compile`: the plan, in a file. */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static int write_plan(const char *path, const uint8_t *bytes, size_t size, bool force)
{
    if (strcmp(path, "-") == 0) {
        fwrite(bytes, 1, size, stdout);
        return WM_EXIT_DONE; /* main flushes, and sees what failed */
    }
    wmap_error err = {0};
    if (!wmap_plan_write(path, bytes, size, force, &err)) {
        wm_say_error(&err);
        return wmap_exit_status(err.code);
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
