/* wmap/tensor.h: what a file holds, a tensor, as far as the compiler and the user see it. */
#ifndef WMAP_TENSOR_H
#define WMAP_TENSOR_H

#include "wmap/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Element types. The numbers are those of plan files and never change; runtime/base/dtype.def is the one
 * table of their names, sizes and spellings. WMAP_OPAQUE is an entry of a type that is none of wmap's. */
typedef enum wmap_dtype {
    WMAP_DTYPE_NONE = 0,
    WMAP_BOOL = 1,
    WMAP_U8 = 2,
    WMAP_U16 = 3,
    WMAP_U32 = 4,
    WMAP_U64 = 5,
    WMAP_I8 = 6,
    WMAP_I16 = 7,
    WMAP_I32 = 8,
    WMAP_I64 = 9,
    WMAP_F16 = 10,
    WMAP_BF16 = 11,
    WMAP_F32 = 12,
    WMAP_F64 = 13,
    WMAP_F8_E4M3 = 14,
    WMAP_F8_E5M2 = 15,
    WMAP_C64 = 16,
    WMAP_C128 = 17,
    WMAP_RAW8 = 18,
    WMAP_RAW16 = 19,
    WMAP_RAW32 = 20,
    WMAP_RAW64 = 21,
    WMAP_OPAQUE = 22
} wmap_dtype;

#define WMAP_MAX_RANK 64

/* A tensor's header. Borrowed: it lives as long as what it was taken from. */
typedef struct wmap_tensor {
    const char *name; /* UTF-8 by convention, any bytes in fact, may hold NUL; also ended by NUL */
    size_t name_len;  /* bytes */
    wmap_dtype dtype;
    uint32_t rank;         /* 0 is a scalar; at most WMAP_MAX_RANK */
    const uint64_t *shape; /* `rank` extents in elements, slowest dimension first; may be NULL if rank is 0 */
} wmap_tensor;

/* The name of a dtype in specs and plans ("f32"); "?" for a number that is none. Static storage. */
WMAP_API const char *wmap_dtype_name(wmap_dtype dtype);

/* Bytes of one element; 0 for WMAP_DTYPE_NONE, WMAP_OPAQUE and numbers that are no dtype. */
WMAP_API uint32_t wmap_dtype_size(wmap_dtype dtype);

/* The dtype of that name (`len` bytes), WMAP_DTYPE_NONE if there is none. */
WMAP_API wmap_dtype wmap_dtype_parse(const char *name, size_t len);

/* The size of a tensor's data in bytes, false if it is 2^63 or more. Both pointers must not be NULL. */
WMAP_API bool wmap_tensor_bytes(const wmap_tensor *tensor, uint64_t *bytes);

/* "[2 0]": the index of the element at `position` in row-major order, written as shapes are; cut off to fit,
 * with a NUL, as by snprintf. No extent may be 0, `out` must have room for `size` bytes, at least one.
 * Returns `out`. */
WMAP_API char *wmap_index_text(const wmap_tensor *tensor, uint64_t position, char *out, size_t size);

#ifdef __cplusplus
}
#endif
#endif
