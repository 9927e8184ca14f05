/* fit.h: can a format hold what a plan writes? */
#ifndef WM_FIT_H
#define WM_FIT_H

#include "runtime/archive.h"
#include "runtime/plan.h"

struct wm_found;

/* The format's layout() of the targets that the writer has. WMAP_E_TARGET says E0610, and which line of the
 * spec writes the first tensor that the format can't hold. */
bool wm_fit_layout(wm_writer *writer, const wmap_plan *plan, wmap_error *err);

/* Gives a writer (format and arena are set) all targets of the plan, and lays them out. `found`: where the
 * sources are, NULL if that isn't known. */
bool wm_fit_targets(wm_writer *writer, const wmap_plan *plan, const struct wm_found *found, wmap_error *err);

#endif
