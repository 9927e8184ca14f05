/* view.h: what archive.c and view.c share: the life of mapped and decoded tensors. Users call
 * wm_archive_view. */
#ifndef WM_VIEW_H
#define WM_VIEW_H

#include "runtime/archive.h"

/* Once the entries are known. */
bool wm_views_init(wmap_archive *archive, wmap_error *err);

/* Unmaps everything; also before wm_views_init. */
void wm_views_close(wmap_archive *archive);

#endif
