/* writer.h: what run.c asks of writer.c. */
#ifndef WM_WRITER_H
#define WM_WRITER_H

#include "runtime/archive.h"
#include "runtime/plan.h"

/* Takes over what the sources say of themselves, as far as the plan does not drop it, and what the plan
 * states. `*clashes` counts what two of them say differently; then the first is right. */
bool wm_writer_gather(wm_writer *writer, const wmap_plan *plan, wmap_archive *const *sources, size_t count,
                      size_t *clashes, wmap_error *err);

/* Does the key match a pattern of Plan.dropped_metas? */
bool wm_meta_matches(const uint8_t *pattern, size_t size, const char *key, size_t len);

/* After layout(): warns of metadata that the output will not hold. */
void wm_writer_tell_lost(wm_writer *writer, size_t clashes);

#endif
