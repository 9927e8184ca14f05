/* torch.h: PyTorch files, as far as their parts know each other: torch.c opens the zip, torch_tree.c finds
 * tensors in the pickled object, torch_write.c writes. */
#ifndef WM_TORCH_H
#define WM_TORCH_H

#include "runtime/archive.h"
#include "runtime/formats/pickle.h"

/* The bytes that tensors are views of. */
typedef struct wm_torch_storage {
    const char *key; /* borrowed from the pickle while the file is opened */
    size_t key_len;
    const char *class_name; /* the same: "FloatStorage" */
    size_t class_len;
    uint64_t elements; /* of its class, as declared; bytes for UntypedStorage */
    wmap_dtype
        dtype;       /* of its class; WMAP_U8 for UntypedStorage, WMAP_DTYPE_NONE for classes we don't know */
    uint64_t bytes;  /* set by find() with what follows: bytes of its data, decoded */
    bool stored;     /* they stand in files[0] as they are */
    uint64_t offset; /* stored: where */
    uint32_t member; /* of the zip */
} wm_torch_storage;

/* How to get the elements of an entry that is not direct; wm_entry.id counts these. */
typedef struct wm_torch_view {
    uint32_t storage;
    uint64_t first; /* element of index 0, 0, ... in the storage, counted in elements of the tensor */
    const int64_t
        *strides; /* in elements, NULL: row-major; the entry has none, as what is decoded is row-major */
    bool conjugate, negate;
} wm_torch_view;

typedef struct wm_torch {
    wmap_archive *archive;
    bool big_endian; /* the data */
    wm_torch_storage *storages;
    size_t storage_count, storage_cap;
    wm_torch_view *views;
    size_t view_count, view_cap;

    /* While the file is opened: */
    wm_pickle *pickle;
    uint64_t pickle_size; /* bytes; bounds how often shared objects may be walked */
    wm_map by_key;        /* key of a storage -> index */
    /* Finds the bytes of a storage. False with `err` filled if there are none. */
    bool (*find)(struct wm_torch *torch, wm_torch_storage *storage, wmap_error *err);
} wm_torch;

/* Adds an entry for each tensor in the object that was pickled, and the one warning about classes that are
 * not read. CORRUPT or UNSUPPORTED with tensor and offset. */
bool wm_torch_walk(wm_torch *torch, wm_pickle_node *root, wmap_error *err);

bool wm_torch_layout(wm_writer *writer, wmap_error *err);
bool wm_torch_finish(wm_writer *writer, wmap_error *err);

#endif
