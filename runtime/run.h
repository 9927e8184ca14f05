/* run.h: what run.c prepares and work.c carries out. */
#ifndef WM_RUN_H
#define WM_RUN_H

#include <pthread.h>
#include <stdatomic.h>

#include "runtime/archive.h"
#include "runtime/output.h"
#include "runtime/plan.h"
#include "runtime/trap.h"
#include "wmap/run.h"

/* Where a source of the plan was found. */
typedef struct wm_found {
    wmap_archive *archive; /* NULL: nowhere */
    uint32_t entry;
} wm_found;

/* Work for one thread at a time: a range of the elements of one target, or several whole small targets that
 * stand near each other in the file. */
typedef struct wm_job {
    uint32_t first, count; /* in wm_run.order; of a check, in wm_run.checks */
    uint64_t low, high;    /* elements, if count is 1 */
    uint32_t sum;          /* of the bytes, if count is 1 */
    bool check;            /* a range of a source is looked at, nothing is written */
} wm_job;

/* The guards of one rule over one source: what they find is counted together. */
typedef struct wm_check {
    uint32_t first, count; /* moves of the plan */
} wm_check;

/* Elements that broke a promise: of a cast, or of a guard. Kept for the first check, or else the first target
 * in file order, that has any. */
typedef struct wm_guard {
    uint32_t rank;  /* of the check, or behind all checks of the target in wm_run.order; UINT32_MAX if none */
    uint64_t count; /* of them in that tensor */
    uint64_t first; /* the lowest position */
    bool overflow;  /* of a whole number; else a cast */
    wmap_dtype from;
    uint8_t element[WM_LARGEST_ELEMENT];  /* what was found there */
    uint8_t expected[WM_LARGEST_ELEMENT]; /* of a guard */
    const Wmap__Move *move;               /* that found the first */
} wm_guard;

typedef struct wm_run {
    const wmap_plan *plan;
    const wmap_run_options *options;
    wm_arena arena;        /* does not jump */
    wm_found *found;       /* one a source, then one a decoder */
    wmap_archive *decoded; /* of the latter; NULL if there are none */
    wm_writer writer;
    wm_output output;

    uint32_t *order; /* targets that have bytes, by their place in the file */
    size_t order_count;
    wm_check *checks; /* done before anything is written */
    size_t check_count, check_cap;
    struct wm_hull *hulls; /* one a move: the range of positions that it writes */
    wm_job *jobs;
    size_t job_count, job_cap;
    size_t slab, staging; /* bytes of the largest job, and of its elements before a cast */
    bool values;          /* some move has a program */
    uint64_t total;       /* bytes of all targets */

    wm_census census; /* of all casts; under the lock */

    _Atomic size_t next;         /* the job to be taken next */
    _Atomic size_t stop;         /* no job after this one is begun */
    _Atomic uint32_t guarded;    /* nor one of a target after this rank: the same as guard.rank */
    _Atomic uint64_t done;       /* bytes */
    _Atomic uint32_t *jobs_left; /* by target, then by check: jobs to do */
    _Atomic uint32_t *uses_left; /* by source: moves to do */
    pthread_mutex_t lock;        /* of what follows */
    wm_guard guard;
    size_t failed; /* the first job that failed, SIZE_MAX if none did */
    wmap_error error;
} wm_run;

typedef struct wm_hull {
    int64_t low, high; /* first and last position */
} wm_hull;

/* work.c: cuts the targets into jobs; their offsets are known by then. */
bool wm_run_plan_jobs(wm_run *run, wmap_error *err);

/* guard.c: gathers the guards of the plan into checks. */
bool wm_run_plan_checks(wm_run *run, wmap_error *err);

/* What is said of run->guard. False. */
bool wm_run_guard_error(const wm_run *run, wmap_error *err);

/* Does all jobs with as many threads as the options say. */
bool wm_run_work(wm_run *run, wmap_error *err);

/* wm_block_copy from a mapping; false if its file was cut off (trap.h). */
bool wm_trap_copy(const wm_block *block, uint8_t *to, const uint8_t *from, uint32_t size);

#endif
