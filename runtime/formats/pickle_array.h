/* pickle_array.h: NumPy arrays in pickles, and the objects that hold them: what .pkl files, object arrays in
 * .npy and .npz, and Theano's zip files have in common. */
#ifndef WM_PICKLE_ARRAY_H
#define WM_PICKLE_ARRAY_H

#include "runtime/archive.h"
#include "runtime/formats/npy.h"
#include "runtime/formats/pickle_walk.h"
#include "runtime/formats/zip.h"

/* Marks the ids of entries that wm_pickled_decode decodes; formats keep it out of their own ids. */
#define WM_PICKLED ((uint64_t)1 << 63)

/* How to get the elements of an entry that is not direct. */
typedef struct wm_pickled_item {
    const wm_zip_member *member; /* its bytes after the first `offset`, else NULL */
    const char *memory;          /* its bytes, else NULL: in the file */
    uint32_t file;
    uint64_t offset, len;
    wm_pickle_coding coding;
    bool swap;
} wm_pickled_item;

/* What decode() needs of the pickles of one archive. */
typedef struct wm_pickled {
    wm_pickled_item *items;
    size_t count, cap;
} wm_pickled;

/* Where pickles stand. */
typedef struct wm_pickled_source {
    uint32_t file;
    uint64_t begin, end; /* bytes of it */
    const char *name;    /* stands before the names of all tensors, with a "." */
    size_t name_len;     /* 0: nothing does */
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
bool wm_pickled_open(wmap_archive *archive, wm_pickled *pickled, const wm_pickled_source *source,
                     wmap_error *err);

/* Adds an item for an entry that is not direct. */
bool wm_pickled_add(wmap_archive *archive, wm_pickled *pickled, wm_entry *entry, const wm_pickled_item *item,
                    wmap_error *err);

bool wm_pickled_decode(wmap_archive *archive, const wm_pickled *pickled, const wm_entry *entry, wm_sink *sink,
                       wmap_error *err);

#endif
