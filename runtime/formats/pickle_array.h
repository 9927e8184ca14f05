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
    const uint8_t
        *bytes;       /* the same in memory, which strings of the tree point into; set by wm_pickled_open */
    const char *name; /* stands before the names of all tensors, with a "." */
    size_t name_len;  /* 0: nothing does */
    wm_sum *sum;      /* MAY: of bytes of that file that hold all of it */
    /* MAY: adds the array that is kept under a persistent id outside of the pickle, as walk->leaf does. */
    wm_walked (*outside)(wm_walk *walk, const wm_pickle_node *node);
} wm_pickled_source;

/* Adds the array or scalar that a CALL makes, if it is one of NumPy's constructors; arrays of Python objects
 * are NOTHING. The entry is direct, or `items` know how to decode it. */
wm_walked wm_pickled_leaf(wm_walk *walk, const wm_pickle_node *node, const wm_pickled_source *source,
                          wm_items *items);

/* Walks what an array of Python objects holds, if a CALL makes one. */
wm_walked wm_pickled_objects(wm_walk *walk, const wm_pickle_node *node);

/* Is this a name that NumPy's arrays are pickled with? */
bool wm_pickled_known(const wm_pickle_node *global);

/* Lists what the pickles of a source hold. Nothing may be found (no entry is added then). */
bool wm_pickled_open(wmap_archive *archive, wm_items *items, const wm_pickled_source *source,
                     wmap_error *err);

#endif
