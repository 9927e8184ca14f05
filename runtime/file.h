/* file.h: one file that belongs to an archive. The descriptor of one that has a name may be closed, and the
 * file is opened again when its bytes are needed: it must be the same file then, of the same size and time.
 */
#ifndef WM_FILE_H
#define WM_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "runtime/base/error.h"

typedef struct wm_file {
    const char *path;   /* as opened; for messages */
    int fd;             /* read only; -1 while it is closed */
    uint64_t size;      /* bytes, when it was opened */
    const uint8_t *map; /* whole file, mapped by wm_archive_view when first needed; NULL before */
    bool named;         /* it is what stands at `path`; else an unlinked file, or standard input's bytes */
    dev_t device;
    ino_t inode;
    struct timespec changed;
} wm_file;

/* Opens `path` as a regular file, all but `file->path`, which the caller sets; a pipe is spooled. Never waits
 * for a writer of a named pipe that is not there. */
bool wm_file_open(const char *path, wm_file *file, wmap_error *err);

/* A descriptor to read it with, to be given back with wm_file_done; -1 with `err` filled. For any thread. */
int wm_file_fd(const wm_file *file, wmap_error *err);
void wm_file_done(const wm_file *file, int fd);

/* Reads at `offset`; how many bytes there were, -1 with `err` filled. For any thread. */
int64_t wm_file_read(const wm_file *file, void *buffer, size_t size, uint64_t offset, wmap_error *err);

/* Closes its descriptor if it can be opened again. */
void wm_file_rest(wm_file *file);

void wm_file_close(wm_file *file);

#endif
