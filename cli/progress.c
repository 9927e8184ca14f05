/* cli/progress.c: one line on a terminal that says how far a run is. */
#include <time.h>

#include "cli.h"

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void wm_meter_start(wm_meter *meter)
{
    meter->start = now();
    meter->last = meter->start;
    meter->shown = false;
}

void wm_meter_update(void *user, const wmap_progress *progress)
{
    wm_meter *meter = user;
    double time = now();
    /* Nothing for a run that is over in a moment, then ten times a second. */
    if (time - meter->start < 0.3 || time - meter->last < 0.1) {
        return;
    }
    meter->last = time;
    meter->shown = true;
    char done[32], total[32], rate[32];
    double speed = (double)progress->done / (time - meter->start);
    fprintf(stderr, "\r\033[K%3.0f%%  %s of %s  %s/s",
            progress->total ? 100.0 * (double)progress->done / (double)progress->total : 100.0,
            wm_human_bytes((double)progress->done, done, sizeof done),
            wm_human_bytes((double)progress->total, total, sizeof total),
            wm_human_bytes(speed, rate, sizeof rate));
    if (speed > 0 && progress->done <= progress->total) {
        double left = (double)(progress->total - progress->done) / speed;
        if (left < 360000) {
            unsigned s = (unsigned)(left + 0.5);
            fprintf(stderr, "  %u:%02u:%02u left", s / 3600, s / 60 % 60, s % 60);
        }
    }
    fflush(stderr);
}

void wm_meter_end(wm_meter *meter)
{
    if (meter->shown) {
        fputs("\r\033[K", stderr);
        fflush(stderr);
    }
}
