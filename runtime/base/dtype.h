/* dtype.h: the table of element types (dtype.def) as data. */
#ifndef WM_DTYPE_H
#define WM_DTYPE_H

#include "wmap/tensor.h"

typedef enum wm_kind {
    WM_KIND_NONE,
    WM_KIND_BOOL,
    WM_KIND_UINT,
    WM_KIND_INT,
    WM_KIND_FLOAT,
    WM_KIND_COMPLEX,
    WM_KIND_RAW
} wm_kind;

typedef struct wm_dtype_info {
    const char *name; /* as specs say it */
    uint32_t size;    /* bytes of an element */
    uint32_t align;   /* bytes of its largest part that a byte swap turns around (c64: 4) */
    wm_kind kind;
    const char *npy, *safetensors, *torch, *storage; /* spellings, see dtype.def; "" if none */
} wm_dtype_info;

/* The row of a dtype, NULL for WMAP_DTYPE_NONE, WMAP_OPAQUE and numbers that are none. */
const wm_dtype_info *wm_dtype(wmap_dtype dtype);

/* The dtype with that spelling (`len` bytes) in column `offsetof(wm_dtype_info, npy)` and so on;
 * WMAP_DTYPE_NONE if there is none. */
wmap_dtype wm_dtype_spelled(size_t column, const char *text, size_t len);

#define WM_DTYPE_FIRST WMAP_BOOL
#define WM_DTYPE_LAST  WMAP_RAW64

#endif
