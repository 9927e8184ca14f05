/* wmap/run.h: running a plan over weight files. */
#ifndef WMAP_RUN_H
#define WMAP_RUN_H

#include "wmap/archive.h"
#include "wmap/plan.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct wmap_progress {
    uint64_t done, total; /* bytes of target tensors */
} wmap_progress;

/* All zero but `output` is a good start. */
typedef struct wmap_run_options {
    /* The target's path; "-" writes to standard output once all is proven. A folder (one that is there, or a
     * path that ends in a slash) gets files of the format's usual names. */
    const char *output;
    const char *to_format; /* a format's name, or NULL to take it from the suffix of `output` */
    wmap_archive *like;    /* a template, opened: what it holds beside the weights is kept; NULL for none */
    uint64_t shard_size;   /* bytes of tensors a file, in formats that can be split; 0 writes one file */
    unsigned jobs;         /* threads; 0 is one a core */
    bool force;            /* replace an existing output */
    bool partial;          /* the sources may hold tensors that the plan does not know */
    bool no_sync;          /* don't wait for the disk: after a power loss the output may be damaged */
    bool dry_run;          /* check that the sources fit and the format can hold the targets; write nothing */
    void (*progress)(void *user, const wmap_progress *progress); /* called from one thread; may be NULL */
    void (*warning)(void *user, const char *text); /* one line, from the calling thread; may be NULL */
    void *user;
} wmap_run_options;

typedef struct wmap_run_stats {
    uint64_t bytes;      /* written to tensors */
    uint64_t tensors;    /* written */
    uint64_t guards;     /* checked, as `wmap explain` counts them */
    uint64_t casts;      /* elements that were cast; of them, where the dtype can lose more than digits: */
    uint64_t overflows;  /* finite and beyond its largest value; became infinity, or as the policy says */
    uint64_t underflows; /* not 0, and became 0 of a float dtype */
    uint64_t nans;       /* not a number */
    double seconds;
} wmap_run_stats;

/* Runs `plan` over `count` opened archives. `prefixes[i]` (the array may be NULL) puts "prefix/" before the
 * names of archive i. The output stands complete and synced at its path, or nothing was changed there. An
 * output of several files stands beside that path: they take their names when all are complete, the one that
 * makes them a set (an index) last.
 * Errors: MISMATCH (naming the tensor and the spec's line), GUARD, CORRUPT, TARGET, IO, NOMEM, USAGE.
 * `stats` may be NULL. The bytes written do not depend on the number of threads. */
WMAP_API bool wmap_run(const wmap_plan *plan, wmap_archive *const *sources, const char *const *prefixes,
                       size_t count, const wmap_run_options *options, wmap_run_stats *stats, wmap_error *err);

/* The same to no path: an archive of what the plan writes, which holds every dtype. Its data are in an
 * unlinked temporary file in TMPDIR. Of `options` (which may be NULL) count jobs, partial, progress and user.
 * `label` stands for its path in messages. Close it with wmap_archive_close. NULL with `err` filled: as
 * above. */
WMAP_API wmap_archive *wmap_run_scratch(const wmap_plan *plan, wmap_archive *const *sources,
                                        const char *const *prefixes, size_t count,
                                        const wmap_run_options *options, const char *label, wmap_error *err);

/* Can a file of this format (a name of wmap_format_at) hold all that the plan writes? No source takes part.
 * TARGET (E0610) naming the tensor and the spec's line, USAGE for a format that isn't written, NOMEM. */
WMAP_API bool wmap_plan_fits(const wmap_plan *plan, const char *format, wmap_error *err);

/* Deletes temporary files of runs in progress; async-signal-safe, for a handler of SIGINT and SIGTERM. */
WMAP_API void wmap_run_cleanup(void);

#ifdef __cplusplus
}
#endif
#endif
