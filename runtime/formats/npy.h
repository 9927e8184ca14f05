/* npy.h: the header of a NumPy array, shared by npy.c and npz.c. */
#ifndef WM_NPY_H
#define WM_NPY_H

#include "runtime/archive.h"

#define WM_NPY_START ((size_t)12) /* magic, version and length: enough for wm_npy_size */
#define WM_NPY_HEADER                                                                                        \
    ((uint64_t)1 << 20)            /* bytes of a header, with its start; NumPy itself stops at 10000         \
                                    */
#define WM_NPY_TEXT ((size_t)2048) /* room for any header that wmap writes */

typedef struct wm_npy {
    wmap_dtype dtype; /* WMAP_OPAQUE if wmap can't move it */
    char descr[48];   /* as written, made printable and cut; "a structure" for a list */
    bool swap;        /* big-endian, and more than one byte */
    bool fortran;     /* column-major */
    uint32_t rank;
    uint64_t shape[WMAP_MAX_RANK];
    uint64_t start; /* bytes before the data */
    uint64_t bytes; /* of the data; 0 if opaque */
} wm_npy;

/* True if `bytes` begin with the magic. */
bool wm_npy_looks(const uint8_t *bytes, size_t size);

/* The bytes before the data, from the first WM_NPY_START bytes of the file. CORRUPT or UNSUPPORTED if they
 * are fewer, of another version or of a header beyond WM_NPY_HEADER. `origin` is their offset, for messages.
 */
bool wm_npy_size(const uint8_t *bytes, size_t size, uint64_t origin, uint64_t *start, wmap_error *err);

/* Parses those bytes. */
bool wm_npy_parse(const uint8_t *bytes, size_t size, uint64_t origin, wm_npy *npy, wmap_error *err);

/* What a dtype that is opaque here stands for; `descr` with or without its byte order. */
const char *wm_npy_note(const char *descr);

/* Does a pickle of Python objects follow the header? */
bool wm_npy_objects(const wm_npy *npy);

/* Adds it as an entry, with strides for Fortran order and a note if it is opaque. */
wm_entry *wm_npy_add(wmap_archive *archive, const char *name, size_t len, const wm_npy *npy, wmap_error *err);

/* A sink that passes bytes on to `to`, without the first `skip`, swapping them in units of `unit` bytes (0 or
 * 1: not). */
typedef struct wm_npy_sink {
    wm_sink sink;
    wm_sink *to;
    uint64_t skip;
    size_t unit, held; /* bytes of a unit that was cut at the end of a chunk */
    uint8_t hold[16];
} wm_npy_sink;

wm_npy_sink wm_npy_sink_of(wm_sink *to, uint64_t skip, bool swap, wmap_dtype dtype);

/* The header (version 1.0) that NumPy itself would write for a row-major array; its size, or 0 with TARGET in
 * `err` if NumPy has no such dtype. */
size_t wm_npy_header(const wmap_tensor *tensor, uint8_t text[WM_NPY_TEXT], wmap_error *err);

#endif
