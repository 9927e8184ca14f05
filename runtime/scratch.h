/* scratch.h: archives that stand in no file of their own: tensors of memory, and what a run makes. Their data
 * are in an unlinked temporary file, so that all else is as with any archive; every name, dtype and shape can
 * stand in them. */
#ifndef WM_SCRATCH_H
#define WM_SCRATCH_H

#include "runtime/archive.h"
#include "wmap/plan.h"

/* Of tensors whose elements are at data[i], little-endian and row-major. `label` is its path in messages.
 * Close it with wmap_archive_close. NULL with `err` filled: IO, NOMEM, CORRUPT (two of one name). */
wmap_archive *wm_scratch_of(const char *label, const wmap_tensor *tensors, const void *const *data,
                            size_t count, wmap_error *err);

/* Runs a plan and gives what it writes. Errors as wmap_run. */
wmap_archive *wm_scratch_run(const wmap_plan *plan, wmap_archive *const *sources, const char *const *prefixes,
                             size_t count, const char *label, wmap_error *err);

/* The format of what it writes: tensor after tensor, and nothing else. It is in no list. */
extern const wm_format wm_scratch_format;

/* An archive over targets that wm_scratch_format laid out and wrote to `fd`, which it takes over. */
wmap_archive *wm_scratch_open(const char *label, int fd, const wm_target *targets, size_t count,
                              wmap_error *err);

#endif
