/* identify.h: what a file is that no format claims. */
#ifndef WM_IDENTIFY_H
#define WM_IDENTIFY_H

#include "runtime/archive.h"

/* True if `head` is a Git LFS pointer, the small text that stands where a large file was not downloaded. */
bool wm_is_lfs_pointer(const uint8_t *head, size_t size);

/* Fills `err` for a file that no format's probe took: UNSUPPORTED if it is known by name, CORRUPT if it is a
 * damaged container, else NOT_WEIGHTS, naming what was looked for. Always false. */
bool wm_fail_unknown(wmap_archive *archive, wmap_error *err);

#endif
