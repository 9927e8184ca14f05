/* wmap/look.h: what the tensors of weight files hold: elements, statistics, differences, digests. Tensors are
 * read range by range, so memory does not depend on their size. Calls for one archive are made from one
 * thread at a time. */
#ifndef WMAP_LOOK_H
#define WMAP_LOOK_H

#include "wmap/archive.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Reads `count` elements of tensor `index` from element `first` on into `buffer` (count * wmap_dtype_size
 * bytes): little-endian, in row-major order whatever the order of the file. The range must lie in the tensor
 * (USAGE). Errors: CORRUPT, UNSUPPORTED (an opaque entry), IO, NOMEM, naming the tensor. */
WMAP_API bool wmap_archive_read(wmap_archive *archive, size_t index, uint64_t first, uint64_t count,
                                void *buffer, wmap_error *err);

typedef struct wmap_stats {
    uint64_t count, nan, infinite, zero; /* elements */
    double least, most, mean, deviation; /* of the finite elements (NaN if there are none): in double, the
                                            deviation that of the population; complex numbers by magnitude */
} wmap_stats;

/* Statistics of a tensor. Raw bytes have none: UNSUPPORTED. Other errors as wmap_archive_read. */
WMAP_API bool wmap_archive_stats(wmap_archive *archive, size_t index, wmap_stats *stats, wmap_error *err);

/* How far elements may be apart and still be the same: |a - b| <= absolute + relative * |b|, or at most
 * `ulps` representable values between them (floats of one dtype). All zero asks for equal bits; NaN is then
 * like itself only bit by bit, else like any NaN. */
typedef struct wmap_tolerance {
    double absolute, relative;
    uint64_t ulps;
} wmap_tolerance;

typedef struct wmap_difference {
    uint64_t count;    /* elements that differ */
    uint64_t first;    /* the first of them, row-major */
    char a[96], b[96]; /* that element as text */
    double most;       /* the largest |a - b| of all elements, NaN if one side only is NaN */
    bool has_ulps;     /* both are floats of one dtype */
    uint64_t ulps;     /* the largest distance in representable values */
} wmap_difference;

/* Compares tensor i of `a` with tensor k of `b`, which have the same shape (USAGE else). Dtypes may differ:
 * values are compared then. Errors as wmap_archive_read. */
WMAP_API bool wmap_compare(wmap_archive *a, size_t i, wmap_archive *b, size_t k,
                           const wmap_tolerance *tolerance, wmap_difference *difference, wmap_error *err);

#define WMAP_DIGEST_SIZE 65 /* 64 hex digits and a NUL */

/* The digest of what a tensor is, whatever file holds it: SHA-256 of its dtype and shape as text ("f32 [2 3]"
 * and a newline), then of its elements, little-endian in row-major order. Errors as wmap_archive_read. */
WMAP_API bool wmap_archive_digest(wmap_archive *archive, size_t index, char digest[WMAP_DIGEST_SIZE],
                                  wmap_error *err);

/* The SHA-256 of `size` bytes. */
WMAP_API void wmap_digest(const void *bytes, size_t size, char digest[WMAP_DIGEST_SIZE]);

#ifdef __cplusplus
}
#endif
#endif
