/* wmap/error.h: how every function of libwmap says that it failed.
 *
 * A function that can fail takes a `wmap_error *` as its last argument and returns false (or NULL) after
 * filling it. The caller owns the struct; it holds no pointers, so nothing is ever freed. Passing NULL is
 * allowed. The library never prints, never exits and keeps no global last error. */
#ifndef WMAP_ERROR_H
#define WMAP_ERROR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define WMAP_API __attribute__((visibility("default")))
#else
#define WMAP_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* What kind of failure. The values never change their meaning. */
typedef enum wmap_code {
    WMAP_OK = 0,
    WMAP_E_USAGE = 1,       /* the caller asked for something that makes no sense */
    WMAP_E_IO = 2,          /* the system said no: missing file, disk full, permission */
    WMAP_E_NOMEM = 3,       /* out of memory, or over a documented limit of memory */
    WMAP_E_NOT_WEIGHTS = 4, /* the file is of no format that wmap knows */
    WMAP_E_CORRUPT = 5,     /* the file is of a known format, and damaged or lying */
    WMAP_E_UNSUPPORTED = 6, /* sound, but holds something that wmap does not read or write */
    WMAP_E_MISMATCH = 7,    /* the weights do not fit the plan */
    WMAP_E_SPEC = 8,        /* the spec has errors; the report holds them */
    WMAP_E_PLAN = 9,        /* the plan file is damaged, lying, or too new */
    WMAP_E_INTERNAL = 10,   /* a bug in wmap */
    WMAP_E_GUARD = 11,      /* the data broke a promise of the spec: overflow in a cast (R ids) */
    WMAP_E_TARGET = 12      /* the target's format can't hold this name, dtype or shape (E0610) */
} wmap_code;

typedef struct wmap_error {
    wmap_code code;
    bool has_offset;    /* `offset` means something */
    uint64_t offset;    /* bytes from the start of `file` */
    char file[256];     /* path as the caller gave it, "" if none; long paths are cut in the middle */
    char tensor[256];   /* tensor, member or rule the error is about, "" if none; quoted for printing */
    char message[1024]; /* one line, UTF-8, no control characters, without file, offset and tensor */
} wmap_error;

/* The exit status of design.md for a code: 0 done, 1 findings (spec), 2 could not run, 3 weights. */
WMAP_API int wmap_exit_status(wmap_code code);

/* Writes "FILE: at byte OFFSET: `TENSOR`: MESSAGE" (absent parts left out) into `buf` of `size` bytes, always
 * ended by NUL. `err` must not be NULL. */
WMAP_API void wmap_error_format(const wmap_error *err, char *buf, size_t size);

#ifdef __cplusplus
}
#endif
#endif
