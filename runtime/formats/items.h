/* items.h: tensors whose elements stand in a file, but not as they are: in a zip's member, with their bytes
 * swapped, or as text in a pickle. What NumPy's formats and pickles need to decode them. */
#ifndef WM_ITEMS_H
#define WM_ITEMS_H

#include "runtime/archive.h"
#include "runtime/formats/pickle.h"
#include "runtime/formats/zip.h"

typedef struct wm_item {
    const wm_zip_member *member; /* its bytes after the first `offset`, else NULL */
    const char *memory;          /* `len` bytes, else NULL: those of a file */
    uint32_t file;
    uint64_t offset, len;
    wm_pickle_coding coding;
    bool swap; /* big-endian, and more than one byte */
} wm_item;

/* Those of one archive, in its arena. wm_entry.id counts them. */
typedef struct wm_items {
    wm_item *items;
    size_t count, cap;
} wm_items;

/* Adds the item of an entry, which so is not direct. */
bool wm_items_add(wmap_archive *archive, wm_items *items, wm_entry *entry, const wm_item *item,
                  wmap_error *err);

/* Sends the elements of an entry to `sink`; for any thread. */
bool wm_items_decode(wmap_archive *archive, const wm_items *items, const wm_entry *entry, wm_sink *sink,
                     wmap_error *err);

#endif
