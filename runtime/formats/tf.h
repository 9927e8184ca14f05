/* tf.h: what the readers of TensorFlow's checkpoints share: types, shapes, slices, putting a variable
 * together from its slices, and which file of a set is meant. */
#ifndef WM_FORMATS_TF_H
#define WM_FORMATS_TF_H

#include "runtime/formats/tf_input.h"

/* --- types (tf_types.c) --- */

/* A row of TensorFlow's enumeration DataType. */
typedef struct wm_tf_type {
    uint32_t number;
    wmap_dtype dtype; /* WMAP_OPAQUE: wmap can't move it */
    uint32_t width;   /* bytes of an element in a file; 0: not of one size */
    const char *note; /* what it is, if opaque */
} wm_tf_type;

#define WM_TF_STRING  7
#define WM_TF_VARIANT 21

/* The row of a number; NULL for those that no file may hold: 0, resources, references, and numbers that no
 * TensorFlow has. */
const wm_tf_type *wm_tf_type_of(uint64_t number);

/* The number of a dtype, 0 if TensorFlow has none. */
uint32_t wm_tf_number(wmap_dtype dtype);

/* --- messages (tf_types.c) --- */

typedef struct wm_tf_shape {
    uint32_t rank;
    uint64_t dims[WMAP_MAX_RANK];
} wm_tf_shape;

/* A TensorSliceProto as it stands; start 0 and length -1 is a whole dimension. */
typedef struct wm_tf_slice {
    uint32_t rank;
    int64_t start[WMAP_MAX_RANK], length[WMAP_MAX_RANK];
} wm_tf_slice;

/* Read the message that the input is limited to; false: the input failed. A shape is added to what `shape`
 * holds, as protobuf merges messages. */
bool wm_tf_read_shape(wm_tf_input *in, wm_tf_shape *shape);
bool wm_tf_read_slice(wm_tf_input *in, wm_tf_slice *slice);

/* VersionDef: can a reader of version 1 read it? */
bool wm_tf_read_version(wm_tf_input *in);

/* --- slices (tf_slices.c) --- */

/* A box in a tensor: first index and extent of each dimension. */
typedef struct wm_tf_box {
    const uint64_t *start, *size;
} wm_tf_box;

/* The box of a slice, in the arena. CORRUPT without a place if it isn't inside of the shape. */
bool wm_tf_box_of(wm_arena *arena, const wm_tf_slice *slice, uint32_t rank, const uint64_t *shape,
                  wm_tf_box *box, wmap_error *err);

/* The key under which a slice is stored, in `key` of WM_TF_TEXT bytes; 0 if it is longer. */
size_t wm_tf_slice_key(uint8_t *key, const char *name, size_t len, const wm_tf_slice *slice);

/* The most boxes that are put together: each is a stream. */
#define WM_TF_BOXES ((size_t)65536)

/* Do the boxes tile the tensor? CORRUPT without a place for a hole or an overlap, UNSUPPORTED for more pieces
 * than wmap sorts. */
bool wm_tf_tiles(uint32_t rank, const uint64_t *shape, const wm_tf_box *boxes, size_t count, wmap_error *err);

/* Gives the next `size` bytes (of whole elements, little-endian) of a box, which is read from front to back.
 */
typedef bool wm_tf_read(void *user, size_t box, uint8_t *to, size_t size, wmap_error *err);

/* Sends a tensor whose boxes tile it to `sink`, in order. */
bool wm_tf_join(const wmap_tensor *tensor, const wm_tf_box *boxes, size_t count, wm_tf_read *read, void *user,
                wm_sink *sink, wmap_error *err);

/* --- sets of files (tf_locate.c) --- */

const char *wm_tf_locate(wmap_archive *archive, const char *path, wm_place place, wmap_error *err);

/* "model.data-00001-of-00004", "-00001-of-00004": the shard's number and how many there are, from the end of
 * a name. Gives the length of what stands before "-00001-of-00004", 0 if the name is no shard's. */
size_t wm_tf_shard_name(const char *name, uint64_t *shard, uint64_t *count);

/* --- full names (tf_graph.c) --- */

/* Reads an object graph of `size` bytes and gives entries the full names of their variables as aliases.
 * `same` says whether two entries are copies of each other. False (err filled) if memory ran out; a damaged
 * graph is a warning. */
typedef bool wm_tf_same(const wmap_archive *archive, size_t a, size_t b);
bool wm_tf_add_full_names(wmap_archive *archive, const uint8_t *graph, size_t size, wm_tf_same *same,
                          wmap_error *err);

/* tf_bundle.c: the bytes of an opened checkpoint's object graph (a TrackableObjectGraph, checked only by its
 * CRC), NULL if it has none that can be read. They live as long as the archive. */
const uint8_t *wm_tf_graph(const wmap_archive *archive, size_t *size);

/* --- a checkpoint as a template (tf_bundle.c) --- */

/* A tensor as it stands in a checkpoint's data files. */
typedef struct wm_tf_raw {
    const char *key;
    size_t key_len;
    uint32_t type; /* TensorFlow's number */
    uint32_t rank;
    const uint64_t *shape;
    uint32_t file; /* in archive->files */
    uint64_t offset, size;
    uint32_t crc;   /* not masked */
    bool swapped;   /* its elements are big-endian */
    bool kept;      /* it can be written anew, little-endian and in one piece: */
    size_t decoded; /* by the elements of this entry of the archive; SIZE_MAX: by its bytes as they stand */
} wm_tf_raw;

/* All tensors of a checkpoint, the object graph too, in the order of their keys, in `arena` (which does not
 * jump). NULL with `err` filled; UNSUPPORTED if the archive is no checkpoint of version 2. */
const wm_tf_raw *wm_tf_raws(wmap_archive *archive, wm_arena *arena, size_t *count, wmap_error *err);

#endif
