/* spool.h: unlinked temporary files, for bytes that must be mapped and stand in no file: standard input, and
 * tensors that are decoded. They lie in TMPDIR, else in /var/tmp (not /tmp, which may be memory), and vanish
 * when closed. */
#ifndef WM_SPOOL_H
#define WM_SPOOL_H

#include "runtime/archive.h"

/* A new empty file, open for reading and writing; -1 with `err` filled. */
int wm_spool_new(wmap_error *err);

/* Copies everything that can be read from `from` into a new file; -1 with `err` filled. */
int wm_spool_from(int from, wmap_error *err);

/* Appends to a spool what is put into it; `sink` is to be given to a decoder. */
typedef struct wm_spool {
    wm_sink sink;
    int fd;
    uint64_t size;  /* bytes so far */
    uint64_t limit; /* more is CORRUPT */
} wm_spool;

wm_spool wm_spool_of(int fd, uint64_t limit);

/* Reads up to `size` bytes at `offset`, retrying interrupted and short reads; fewer only at the end of the
 * file. -1 with errno set if the system says no. */
int64_t wm_pread(int fd, void *buffer, size_t size, uint64_t offset);

#endif
