/* keras.h: what reading and writing Keras' files share. */
#ifndef WM_KERAS_H
#define WM_KERAS_H

#include "runtime/formats/hdf5.h"
#include "runtime/formats/zip.h"

/* An HDF5 file that stands in a file of an archive. */
typedef struct wm_keras_part {
    wm_hdf5 *h5;
    uint32_t file; /* in archive->files */
    uint64_t base, length;
    const char *root;   /* the group whose members are named without it: "" or "model_weights" */
    const bool *inside; /* the archive's entries from `first` on: does it stand in that group? */
    size_t first;
} wm_keras_part;

/* The state of an archive. Entries say in `file` which part they are of, direct or not. */
typedef struct wm_keras {
    wm_keras_part *parts;
    size_t count, cap;
} wm_keras;

extern const wm_format wm_format_keras;
extern const wm_format wm_format_keras_zip;

/* keras.c: adds the items of a listing to the archive in source order. `part` says where direct items lie,
 * and gets `root`, `inside` and `first`. */
bool wm_keras_add(wmap_archive *archive, const wm_hdf5_listing *listing, wm_keras_part *part,
                  wmap_error *err);

/* keras_config.c: adds the names that a model's configuration (JSON) gives its layers to those of a listing.
 * What it doesn't understand it passes over, since names are only a help. False: out of memory. */
typedef struct wm_keras_text {
    const char *text;
    size_t size;
} wm_keras_text;

bool wm_keras_read_config(const wm_keras_text *config, wm_hdf5_listing *listing);

/* keras.c: opens the HDF5 file in bytes [base, base + length) of files[file], as one more part. `config` is
 * the model's configuration, NULL if there is none. */
bool wm_keras_open_part(wmap_archive *archive, uint32_t file, uint64_t base, uint64_t length,
                        const wm_keras_text *config, wmap_error *err);

/* The slots of formats whose state is a wm_keras. */
bool wm_keras_decode(wmap_archive *archive, const wm_entry *entry, wm_sink *sink, wmap_error *err);
void wm_keras_close(wmap_archive *archive);

/* The member of a .keras archive that holds the weights, NULL if there is none. */
const wm_zip_member *wm_keras_member(const wm_zip *zip);

/* keras_names.c: the records that make a new file, in the writer's arena. */
typedef struct wm_keras_records {
    uint8_t *bytes;
    size_t size, cap;
} wm_keras_records;

/* Is it called as Keras 3 calls a variable, PATH/vars/N? */
bool wm_keras_is_vars(const wmap_tensor *tensor);

bool wm_keras_records_make(wm_writer *writer, wm_keras_records *out, wmap_error *err);

/* keras_write.c: an HDF5 file but for the data of the targets: a template's bytes, or what wmap-hdf5 made. */
typedef struct wm_skeleton {
    int fd;
    bool own;              /* fd is to be closed */
    uint64_t begin, size;  /* the file is these bytes of fd */
    const uint32_t *order; /* targets that have bytes, by their place */
    size_t order_count;
} wm_skeleton;

/* Makes it, and sets the targets' offsets within the HDF5 file. To be closed in any case. */
bool wm_skeleton_make(wm_writer *writer, wm_skeleton *skeleton, wmap_error *err);
void wm_skeleton_close(wm_skeleton *skeleton);

/* Puts all of it that is no target's data, from `offset` of the output on. `*crc` gets zip's CRC-32 of the
 * whole HDF5 file if it isn't NULL; the targets' sums are set then. */
bool wm_skeleton_put(wm_writer *writer, const wm_skeleton *skeleton, uint64_t offset, uint32_t *crc,
                     wmap_error *err);

/* The slots of the formats. */
bool wm_keras_layout(wm_writer *writer, wmap_error *err);
bool wm_keras_finish(wm_writer *writer, wmap_error *err);
bool wm_keras_zip_layout(wm_writer *writer, wmap_error *err);
bool wm_keras_zip_finish(wm_writer *writer, wmap_error *err);
void wm_keras_drop(wm_writer *writer);

/* keras_shards_write.c: those of sets. */
bool wm_keras_shards_layout(wm_writer *writer, wmap_error *err);
bool wm_keras_shards_finish(wm_writer *writer, wmap_error *err);
void wm_keras_shards_drop(wm_writer *writer);

#endif
