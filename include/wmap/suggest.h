/* wmap/suggest.h: a spec drafted from two weight files. */
#ifndef WMAP_SUGGEST_H
#define WMAP_SUGGEST_H

#include "wmap/archive.h"

#ifdef __cplusplus
extern "C" {
#endif

/* All zero is a good start. */
typedef struct wmap_suggest_options {
    bool no_values; /* go by names and shapes, as where a file is a listing */
} wmap_suggest_options;

/* Drafts a spec that makes what `target` holds of what `source` holds. If both hold the same weights, tensors
 * are paired by their elements, and the moves are found by them: orders of axes, axes turned around, gates,
 * cuts and joins. What is paired by names and shapes is called a guess in a comment. Each file is read about
 * twice; memory grows with the number of tensors, not with their size. The same files give the same text.
 * Returns a text of `*size` bytes ended by NUL, to be freed with free(). NULL and `err` filled: NOMEM, or
 * what reading gives (CORRUPT, IO, UNSUPPORTED). */
WMAP_API char *wmap_suggest(wmap_archive *source, wmap_archive *target, const wmap_suggest_options *options,
                            size_t *size, wmap_error *err);

#ifdef __cplusplus
}
#endif
#endif
