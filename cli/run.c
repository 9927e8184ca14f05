/* cli/run.c: `wmap run`: weights in, weights out. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli.h"

static void say_warning(void *user, const char *text)
{
    (void)user;
    wm_say("warning: %s", text);
}

static int convert(const wmap_plan *plan, const wm_input *input, const wm_args *args,
                   wmap_run_options options)
{
    bool quiet = wm_args_has(args, WM_FLAG_QUIET) || !wm_terminal(stderr);
    wm_meter meter;
    wm_meter_start(&meter);
    options.progress = quiet ? NULL : wm_meter_update;
    options.user = &meter;
    wmap_run_stats stats = {0};
    wmap_error err = {0};
    bool done =
        wmap_run(plan, input->archives, input->prefixes, input->archive_count, &options, &stats, &err);
    wm_meter_end(&meter);
    if (!done) {
        wm_say_error(&err);
        return wmap_exit_status(err.code);
    }
    if (!wm_args_has(args, WM_FLAG_QUIET) && stats.overflows + stats.underflows + stats.nans) {
        wm_say("of %" PRIu64 " elements that were cast %" PRIu64 " overflowed, %" PRIu64
               " underflowed to 0, %" PRIu64 " are NaN",
               stats.casts, stats.overflows, stats.underflows, stats.nans);
    }
    if (!quiet && options.dry_run) {
        wm_say("all fits: %zu tensors would be written", wmap_plan_target_count(plan));
    } else if (!quiet) {
        char bytes[32], guards[48] = "";
        if (stats.guards)
            snprintf(guards, sizeof guards, ", %" PRIu64 " guard%s held", stats.guards,
                     stats.guards == 1 ? "" : "s");
        wm_say("%s: %" PRIu64 " tensor%s, %s in %.2f s%s", options.output, stats.tensors,
               stats.tensors == 1 ? "" : "s", wm_human_bytes((double)stats.bytes, bytes, sizeof bytes),
               stats.seconds, guards);
    }
    return WM_EXIT_DONE;
}

/* What the flags say; false (after words on stderr) if they make no sense. */
static bool read_options(const wm_args *args, wmap_run_options *options)
{
    size_t jobs;
    *options = (wmap_run_options){
        .output = wm_args_value(args, WM_FLAG_OUTPUT),
        .to_format = wm_args_value(args, WM_FLAG_TO_FORMAT),
        .force = wm_args_has(args, WM_FLAG_FORCE),
        .no_sync = wm_args_has(args, WM_FLAG_NO_SYNC),
        .dry_run = wm_args_has(args, WM_FLAG_DRY_RUN),
        .warning = wm_args_has(args, WM_FLAG_QUIET) ? NULL : say_warning,
    };
    if (!wm_args_number(args, WM_FLAG_JOBS, 1024, 0, &jobs) ||
        !wm_args_size(args, WM_FLAG_SHARD_SIZE, &options->shard_size)) {
        return false;
    }
    options->jobs = (unsigned)jobs;
    if ((!options->output || !*options->output) && !options->dry_run) {
        wm_say("run: say where the result goes: -o PATH");
        return false;
    }
    return true;
}

int wm_cmd_run(const wm_args *args)
{
    wmap_run_options options;
    if (!read_options(args, &options)) {
        return WM_EXIT_FAILED;
    }
    wm_input input;
    int status = wm_input_open(&input, args);
    if (status == WM_EXIT_DONE) {
        wmap_plan *plan = wm_input_plan(&input, args, &status);
        if (plan) {
            options.like = input.like;
            status = convert(plan, &input, args, options);
        } else if (status == WM_EXIT_DONE) {
            wm_say("run: name the weight files to read");
            status = WM_EXIT_FAILED;
        }
        wmap_plan_free(plan);
    }
    wm_input_free(&input);
    return status;
}
