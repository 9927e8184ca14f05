/* stream.h: a file read forwards through a small window, for headers whose size nobody states. As with a
 * cursor the first failure sticks, and later reads give 0. */
#ifndef WM_STREAM_H
#define WM_STREAM_H

#include "runtime/archive.h"

typedef struct wm_stream {
    wmap_archive *archive;
    uint64_t at, end; /* offsets in files[0]: of the next byte, and behind the last one that may be read */
    bool big;         /* numbers are big-endian */
    bool failed;
    wmap_error *err; /* filled on the first failure */
    size_t have;     /* bytes of `window`, which begins at `begin` */
    uint64_t begin;
    uint8_t window[4096];
} wm_stream;

/* All of files[0] from `at` on. */
void wm_stream_init(wm_stream *s, wmap_archive *archive, uint64_t at, wmap_error *err);

static inline uint64_t wm_stream_left(const wm_stream *s)
{
    return s->failed ? 0 : s->end - s->at;
}

/* The first failure: CORRUPT with this text and the offset. Always false. */
bool wm_stream_fail(wm_stream *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The next `size` bytes; false if they are not there. */
bool wm_stream_take(wm_stream *s, void *out, size_t size);
bool wm_stream_skip(wm_stream *s, uint64_t size);

/* A number of 1, 2, 4 or 8 bytes. */
uint64_t wm_stream_number(wm_stream *s, unsigned size);

/* A text of `size` bytes in the archive's arena, ended by NUL; refuses more than WM_MAX_NAME. NULL on
 * failure. */
char *wm_stream_text(wm_stream *s, uint64_t size);

#endif
