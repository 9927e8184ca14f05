/* cli/check.c: `wmap check`: is the spec sound, and does it fit the files? */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static void say_sound(const wmap_plan *plan)
{
    size_t sources = wmap_plan_source_count(plan), dropped = 0;
    for (size_t i = 0; i < sources; i++) {
        bool left = false;
        wmap_plan_source(plan, i, &left);
        dropped += left;
    }
    wm_say("ok: %zu tensors read, %zu left behind, %zu written", sources - dropped, dropped,
           wmap_plan_target_count(plan));
}

int wm_cmd_check(const wm_args *args)
{
    if (wm_args_has(args, WM_FLAG_DIFF) && !wm_args_has(args, WM_FLAG_FIX)) {
        wm_say("check: `--diff` goes with `--fix`");
        return WM_EXIT_FAILED;
    }
    wm_input input;
    int status = wm_input_open(&input, args);
    input.judge = true;
    if (status == WM_EXIT_DONE) {
        wmap_plan *plan = wm_input_plan(&input, args, &status);
        if (plan && input.is_plan && input.archive_count) {
            /* A plan knows what it wants of its sources; a dry run compares. */
            wmap_run_options options = {.output = NULL, .dry_run = true};
            wmap_error err = {0};
            if (!wmap_run(plan, input.archives, input.prefixes, input.archive_count, &options, NULL, &err)) {
                wm_say_error(&err);
                status = wmap_exit_status(err.code);
            }
        }
        if (plan && status == WM_EXIT_DONE) {
            status = wm_input_fits(plan, args);
        }
        if (status == WM_EXIT_DONE && !wm_args_has(args, WM_FLAG_QUIET)) {
            const char *as = wm_args_value(args, WM_FLAG_AS);
            if (plan) {
                say_sound(plan);
                wm_input_say_reversal(&input, args, false);
            } else if (as && strcmp(as, "*") != 0) {
                wm_say("ok: %s is %s", wmap_archive_path(input.archives[0]), as);
            } else if (!as) {
                wm_say(
                    "ok, as far as it can be told without a source: add the file, or `map ... from` a model");
            }
        }
        wmap_plan_free(plan);
    }
    wm_input_free(&input);
    return status;
}
