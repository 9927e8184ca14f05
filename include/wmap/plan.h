/* wmap/plan.h: the compiled form of a map, a file of its own. docs/plan.md describes its bytes. */
#ifndef WMAP_PLAN_H
#define WMAP_PLAN_H

#include <stdio.h>

#include "wmap/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct wmap_plan wmap_plan;

/* Parses and verifies the plan in `bytes`: header, checksum, every index, enum, bound and product, and that
 * each target element is written exactly once. `label` names it in errors. The bytes are not kept. NULL and
 * WMAP_E_PLAN if anything is wrong. Free with wmap_plan_free. */
WMAP_API wmap_plan *wmap_plan_parse(const uint8_t *bytes, size_t size, const char *label, wmap_error *err);

/* The same for a file. */
WMAP_API wmap_plan *wmap_plan_open(const char *path, wmap_error *err);

WMAP_API void wmap_plan_free(wmap_plan *plan);

/* Writes the bytes of a plan to a file that stands complete and synced at `path`, or nothing was changed
 * there. An existing file is replaced only with `force`. IO, NOMEM, USAGE. */
WMAP_API bool wmap_plan_write(const char *path, const uint8_t *bytes, size_t size, bool force,
                              wmap_error *err);

/* True if `bytes` begin as a plan does (tells a plan from a spec). */
WMAP_API bool wmap_plan_probe(const uint8_t *bytes, size_t size);

/* Source tensors that the plan expects and target tensors that it writes; borrowed from the plan.
 * `*dropped` (may be NULL) says that a source tensor is left behind on purpose. */
WMAP_API size_t wmap_plan_source_count(const wmap_plan *plan);
WMAP_API const wmap_tensor *wmap_plan_source(const wmap_plan *plan, size_t index, bool *dropped);
WMAP_API size_t wmap_plan_target_count(const wmap_plan *plan);
WMAP_API const wmap_tensor *wmap_plan_target(const wmap_plan *plan, size_t index);
WMAP_API size_t wmap_plan_move_count(const wmap_plan *plan);

/* Prints the plan as text in a defined order: the mapping (per target tensor where each part comes from)
 * if `moves` is false; also one line a move if it is true. */
WMAP_API void wmap_plan_print(const wmap_plan *plan, FILE *out, bool moves);

#ifdef __cplusplus
}
#endif
#endif
