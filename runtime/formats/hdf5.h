/* hdf5.h: HDF5 files through the program wmap-hdf5 (runtime/hdf5/), which runs libhdf5 in a process of its
 * own. What it answers is checked like a file: a hostile one may have taken it over. */
#ifndef WM_FORMATS_HDF5_H
#define WM_FORMATS_HDF5_H

#include "runtime/archive.h"

typedef struct wm_hdf5 wm_hdf5;

/* A dataset as listed; pointers go into the listing's arena. Paths have no leading slash. */
typedef struct wm_hdf5_item {
    const char *path;
    size_t path_len;
    const char *note; /* opaque datasets: what it holds */
    uint64_t address; /* names it in wm_hdf5_read */
    uint64_t offset;  /* direct: where its elements begin in the HDF5 file */
    wmap_dtype dtype;
    bool direct;
    uint32_t rank;
    const uint64_t *shape;
} wm_hdf5_item;

/* A string. */
typedef struct wm_hdf5_name {
    const char *text;
    size_t len;
} wm_hdf5_name;

/* Keras' list of names that a group has as attribute. */
typedef struct wm_hdf5_names {
    wm_hdf5_name *list;
    size_t count, cap;
} wm_hdf5_names;

typedef struct wm_hdf5_listing {
    wm_arena *arena; /* does not jump */
    wm_hdf5_item *items;
    size_t item_count, item_cap;
    wm_hdf5_names *lists;
    size_t list_count, list_cap;
    wm_map paths;    /* of datasets -> index in items */
    wm_map groups;   /* path -> 0 */
    wm_map names[5]; /* path of a group -> index in lists, for each attribute of protocol.h (WM_H5_LISTS) */
} wm_hdf5_listing;

/* Prepares the HDF5 file in bytes [base, base + length) of `fd`; starts nothing yet. NULL if out of memory.
 */
wm_hdf5 *wm_hdf5_open(int fd, uint64_t base, uint64_t length, wmap_error *err);

/* Ends what was started. NULL is fine. */
void wm_hdf5_close(wm_hdf5 *file);

/* Ends the processes that wait for more to do; others are started when there is. */
void wm_hdf5_rest(wm_hdf5 *file);

/* Lists the file's datasets. UNSUPPORTED if there is no wmap-hdf5; CORRUPT or UNSUPPORTED as the file
 * deserves. */
bool wm_hdf5_list(wm_hdf5 *file, wm_arena *arena, wm_hdf5_listing *listing, wmap_error *err);

/* Sends the `bytes` bytes of a dataset to `sink`. May be called from several threads: each gets a process. */
bool wm_hdf5_read(wm_hdf5 *file, uint64_t address, uint64_t bytes, wm_sink *sink, wmap_error *err);

/* Makes a file, or puts contiguous datasets in the places of some: `op` and `records` are those of
 * protocol.h. The HDF5 file is the `length` bytes of `fd`, which may grow to `most`. offsets[] gets where the
 * data of the `count` datasets go, as the program says: believe nothing of it. */
bool wm_hdf5_write(int fd, char op, uint64_t length, uint64_t most, const uint8_t *records, size_t size,
                   uint64_t *offsets, size_t count, wmap_error *err);

/* Reads the frames of an answer to MAKE and REPLACE; for tests and wm_hdf5_write. */
bool wm_hdf5_parse_offsets(const uint8_t *bytes, size_t size, uint64_t *offsets, size_t count,
                           wmap_error *err);

/* Reads the frames of an answer to LIST; for tests and wm_hdf5_list. */
bool wm_hdf5_parse(const uint8_t *bytes, size_t size, wm_arena *arena, wm_hdf5_listing *listing,
                   wmap_error *err);

#endif
