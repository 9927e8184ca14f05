/* pickle_array.h: NumPy arrays in pickles, and the objects that hold them: what .pkl files, object arrays in
 * .npy and .npz, and Theano's zip files have in common. */
#ifndef WM_PICKLE_ARRAY_H
#define WM_PICKLE_ARRAY_H

#include "runtime/archive.h"
#include "runtime/formats/items.h"
#include "runtime/formats/pickle_walk.h"

/* Where pickles stand. */
typedef struct wm_pickled_source {
    uint32_t file;
    uint64_t begin, end; /* bytes of it */
    const char *name;    /* stands before the names of all tensors, with a "." */
    size_t name_len;     /* 0: nothing does */
    wm_sum *sum;         /* MAY: of bytes of that file that hold all of it */
    /* MAY: adds the array that is kept under a persistent id outside of the pickle, as walk->leaf does. */
    wm_walked (*outside)(wm_walk *walk, const wm_pickle_node *node);
} wm_pickled_source;

/* An array, a scalar, or an object that isn't read. */
typedef struct wm_pickled_array {
    const wm_pickle_node *node; /* what it was made by */
    const wm_pickle_node *data; /* bytes; for `objects` a list */
    wmap_dtype dtype;           /* WMAP_OPAQUE: `note` says what it is */
    char note[160];
    bool objects; /* an array of Python objects */
    bool swap;    /* big-endian, and more than one byte */
    uint32_t rank;
    uint64_t shape[WMAP_MAX_RANK];
    bool strided; /* not in row-major order */
    int64_t strides[WMAP_MAX_RANK];
} wm_pickled_array;

/* What a CALL makes, if it is one of NumPy's constructors. */
wm_walked wm_pickled_parse(wm_walk *walk, const wm_pickle_node *node, wm_pickled_array *array);

/* Lists what the pickles of a source hold. Nothing may be found (no entry is added then). */
bool wm_pickled_open(wmap_archive *archive, wm_items *items, const wm_pickled_source *source,
                     wmap_error *err);

#endif
