/* writer.h: what run.c asks of writer.c. */
#ifndef WM_WRITER_H
#define WM_WRITER_H

#include "runtime/archive.h"

/* Takes over what the sources say of themselves. `*clashes` counts what two of them say differently; then the
 * first is right. */
bool wm_writer_gather(wm_writer *writer, wmap_archive *const *sources, size_t count, size_t *clashes,
                      wmap_error *err);

/* After layout(): warns of metadata that the output will not hold. */
void wm_writer_tell_lost(wm_writer *writer, size_t clashes);

#endif
