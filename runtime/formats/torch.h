/* torch.h: PyTorch files, as far as their parts know each other: torch.c opens the zip, torch_stream.c and
 * torch_tar.c what came before it, torch_tree.c finds tensors in the pickled object, torch_module.c knows
 * modules and classes, torch_write.c writes. */
#ifndef WM_TORCH_H
#define WM_TORCH_H

#include "runtime/archive.h"
#include "runtime/formats/pickle_array.h"

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

/* How to get the elements of a tensor that is not direct; wm_entry.id counts these from WM_TORCH_VIEW on, and
 * below that the items, of NumPy's arrays. */
#define WM_TORCH_VIEW ((uint64_t)1 << 32)
typedef struct wm_torch_view {
    uint32_t storage;
    uint64_t first; /* element of index 0, 0, ... in the storage, counted in elements of the tensor */
    const int64_t
        *strides; /* in elements, NULL: row-major; the entry has none, as what is decoded is row-major */
    bool conjugate, negate;
} wm_torch_view;

/* A tensor that is described outside of the pickled object (in the tar of 2016). */
typedef struct wm_torch_tensor {
    uint32_t storage;
    uint64_t first; /* element of index 0, 0, ... in the storage */
    uint32_t rank;
    uint64_t *shape;
    int64_t *strides;
} wm_torch_tensor;

typedef struct wm_torch {
    wmap_archive *archive;
    bool big_endian; /* the data */
    wm_torch_storage *storages;
    size_t storage_count, storage_cap;
    wm_torch_view *views;
    size_t view_count, view_cap;
    wm_items items;

    /* While the file is opened: */
    wm_pickle *pickle;
    const char *folder;   /* zip: the folder of the storages, with its slash */
    wm_pickled_source at; /* where it stands; its size bounds how often shared objects may be walked */
    const wm_zip_member
        *packed;   /* zip: where that is the member's unpacked bytes, which `at` has no file of yet */
    wm_map by_key; /* key of a storage -> index */
    /* Finds the bytes of a storage. False with `err` filled if there are none. */
    bool (*find)(struct wm_torch *torch, wm_torch_storage *storage, wmap_error *err);
    /* MAY: the tensor that a persistent id stands for; NULL if it stands for none. */
    const wm_torch_tensor *(*outside)(struct wm_torch *torch, const wm_pickle_node *id);
    void *source; /* of `find` and `outside` */
} wm_torch;

/* Adds an entry for each tensor in the object that was pickled, and the one warning about classes that are
 * not read. All names begin with `under` and a "." if that isn't NULL. CORRUPT or UNSUPPORTED with tensor and
 * offset. */
bool wm_torch_walk(wm_torch *torch, wm_pickle_node *root, const char *under, wmap_error *err);

/* Walks a module as its state_dict() does; what is no module, as wm_pickled_objects() does. */
wm_walked wm_torch_module(wm_walk *walk, const wm_pickle_node *node);

/* True for a name that torch files are made of, or that can't hold anything of interest. */
bool wm_torch_known(const wm_pickle_node *global);

/* Adds a storage that wasn't met before; its index in `*index`. */
bool wm_torch_add_storage(wm_torch *torch, const wm_torch_storage *storage, uint32_t *index, wmap_error *err);

/* Bytes of an element of a storage class, 0 if it is none that we know; its dtype, WMAP_DTYPE_NONE if it is
 * one that we don't move. */
uint32_t wm_torch_width(const wm_pickle_node *class);
wmap_dtype wm_torch_class_dtype(const char *name, size_t len);

/* The key in the persistent id of a storage; NULL if it is none. */
const wm_pickle_node *wm_torch_key(const wm_pickle_node *node);

/* The stream that torch wrote before 1.6, and the tar of 2016. Between probe and open, `torch` was made. */
bool wm_torch_stream_probe(wmap_archive *archive);
bool wm_torch_stream_open(wm_torch *torch, wmap_error *err);
bool wm_torch_tar_probe(wmap_archive *archive);
bool wm_torch_tar_open(wm_torch *torch, wmap_error *err);

bool wm_torch_layout(wm_writer *writer, wmap_error *err);
bool wm_torch_finish(wm_writer *writer, wmap_error *err);

#endif
