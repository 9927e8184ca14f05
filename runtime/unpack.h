/* unpack.h: weight files that are compressed as a whole: by gzip, bzip2 or xz. */
#ifndef WM_UNPACK_H
#define WM_UNPACK_H

#include "runtime/archive.h"

/* Puts the unpacked bytes of files[0] into an unlinked file that takes its place, if it is packed; `*how` is
 * the name of the program that packed it, NULL if none did. CORRUPT if it is damaged or grows beyond the
 * ratio that wmap allows for. */
bool wm_unpack(wmap_archive *archive, const char **how, wmap_error *err);

#endif
