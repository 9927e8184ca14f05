/* wmap/archive.h: looking into weight files. Only headers are read; nothing in a file is ever executed. */
#ifndef WMAP_ARCHIVE_H
#define WMAP_ARCHIVE_H

#include "wmap/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct wmap_archive wmap_archive;

/* Opens a weight file of any format that wmap reads; the format is found from the content. `path` may be
 * "-" for standard input, which is spooled to an unlinked temporary file. A set of files may be named by its
 * first file, or as docs/formats.md says by its folder or by what its names begin with. Returns NULL and
 * fills `err` on failure: IO, NOT_WEIGHTS, CORRUPT, UNSUPPORTED, NOMEM. Close with wmap_archive_close. */
WMAP_API wmap_archive *wmap_archive_open(const char *path, wmap_error *err);

/* Closes it and frees all that was borrowed from it. NULL is fine. */
WMAP_API void wmap_archive_close(wmap_archive *archive);

/* The path as given to wmap_archive_open; borrowed. */
WMAP_API const char *wmap_archive_path(const wmap_archive *archive);

/* The format's name as `--to-format` and `inspect` say it ("safetensors", "npz", "torch", "keras-h5" ...);
 * static storage. */
WMAP_API const char *wmap_archive_format(const wmap_archive *archive);

/* Number of tensors, and tensor `index` below it, in the source order of docs/language.md section 13;
 * borrowed from the archive. */
WMAP_API size_t wmap_archive_count(const wmap_archive *archive);
WMAP_API const wmap_tensor *wmap_archive_tensor(const wmap_archive *archive, size_t index);

/* Another name of a tensor, ended by NUL, under which patterns find it that its own name doesn't match; no
 * two tensors have the same one. NULL if there is none. Borrowed from the archive. */
WMAP_API const char *wmap_archive_alias(const wmap_archive *archive, size_t index);

/* What a tensor is that wmap lists and cannot move (WMAP_OPAQUE): "quantised (Q4_K)"; NULL for others.
 * Borrowed. */
WMAP_API const char *wmap_archive_note(const wmap_archive *archive, size_t index);

/* Bytes of the file (or of all files of a set). */
WMAP_API uint64_t wmap_archive_size(const wmap_archive *archive);

/* What a file says of itself beside its tensors (who made it, a configuration). UTF-8, may hold NUL; also
 * ended by NUL. */
typedef struct wmap_meta {
    const char *key;
    size_t key_len;
    const char *value;
    size_t value_len;
} wmap_meta;

/* Number of such pairs, and pair `index` below it in the order of the file; borrowed. */
WMAP_API size_t wmap_archive_meta_count(const wmap_archive *archive);
WMAP_API const wmap_meta *wmap_archive_meta(const wmap_archive *archive, size_t index);

/* Warnings met while opening (an opaque class in a pickle, a wrong CRC ...): number, and text of each, one
 * line; borrowed. */
WMAP_API size_t wmap_archive_warnings(const wmap_archive *archive);
WMAP_API const char *wmap_archive_warning(const wmap_archive *archive, size_t index);

/* One row of the list of formats. */
typedef struct wmap_format_info {
    const char *name;     /* "npz" */
    const char *title;    /* "NumPy archive" */
    const char *suffixes; /* ".npz", several separated by spaces; "" if none */
    bool reads, writes;
} wmap_format_info;

/* Row `index` of the formats, false past the end. Static storage. */
WMAP_API bool wmap_format_at(size_t index, wmap_format_info *info);

#ifdef __cplusplus
}
#endif
#endif
