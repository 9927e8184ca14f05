/* archive.h: weight files as the runtime sees them. A format is one file in runtime/formats/ that fills one
 * wm_format; it knows nothing of plans. archive.c opens files, finds their format and maps their bytes.
 * Only this header and runtime/base/ are seen by formats. */
#ifndef WM_ARCHIVE_H
#define WM_ARCHIVE_H

#include "runtime/base/arena.h"
#include "runtime/base/cursor.h"
#include "runtime/base/error.h"
#include "runtime/base/map.h"
#include "runtime/file.h"
#include "wmap/archive.h"

typedef struct wm_format wm_format;

/* Limits that hold for every format; one place. docs/formats.md states them. */
#define WM_MAX_TENSORS    ((size_t)1000000)     /* per file */
#define WM_MAX_NAME       ((size_t)64 << 10)    /* bytes of a tensor's name */
#define WM_MAX_NAMES      ((size_t)128 << 20)   /* bytes of the names of all tensors of a file together */
#define WM_KEPT_OPEN      ((size_t)64)          /* descriptors of the files of a set */
#define WM_MAX_HEADER     ((uint64_t)256 << 20) /* bytes of a header held in memory */
#define WM_MAX_RATIO      ((uint64_t)1100)      /* decoded bytes per stored byte; deflate can't exceed 1032 */
#define WM_MAX_RATIO_FREE ((uint64_t)64 << 20)  /* decoded bytes to which the ratio doesn't apply */

/* A checksum that the file states for a range of bytes; several entries may share it. */
typedef struct wm_sum {
    uint64_t begin, size; /* bytes of the entry's file, which those that share it have in common */
    uint32_t crc32;
    bool castagnoli; /* it is a CRC-32C, else zip's CRC-32 */
    enum wm_once { WM_ONCE_ABSENT, WM_ONCE_BUSY, WM_ONCE_READY } state; /* view.c: whether it was compared */
} wm_sum;

/* The bytes of an opaque tensor as they stand in files[file]: a file of the same format can have them as they
 * are, under any name. */
typedef struct wm_raw {
    const wm_format *of; /* who knows what they are */
    uint32_t type;       /* of's own */
    uint32_t file;
    uint64_t offset, size;
    uint32_t crc;    /* if the format has one */
    bool big_endian; /* the file is */
} wm_raw;

/* One tensor of an archive. `strides` are in elements, one a dimension, never negative; NULL is row-major. */
typedef struct wm_entry {
    wmap_tensor tensor;
    const int64_t *strides;
    bool direct;      /* its elements stand in files[file], little-endian, uncompressed: read them in place */
    uint32_t file;    /* direct: index in archive->files */
    uint64_t offset;  /* direct: bytes from the start of that file to the element of index 0, 0, ... */
    wm_sum *sum;      /* compared once, before the first view of an entry that has it; MAY be NULL: nothing to
                         compare */
    uint64_t id;      /* the format's own; for decode() */
    const char *note; /* opaque entries: what it is ("torch.nn.Module"); NULL otherwise */
    const wm_raw *raw; /* opaque entries: its bytes, if they can be had; NULL otherwise */
    const char *alias; /* another name that no other entry has, see wm_archive_alias; NULL if there is none */
    uint32_t part; /* not 0: it is entry `id` of parts[part - 1], and of what is above only tensor, strides,
                      note and alias are set */
} wm_entry;

/* What a file says about its tensors as a whole, beside them. */
typedef struct wm_meta {
    wmap_meta pair;
    bool own; /* speaks of the container, not of what is in it: losing it is no loss */
} wm_meta;

struct wmap_archive {
    wm_arena arena; /* entries, names, and what the format keeps; does not jump */
    const wm_format *format;
    const char *path;
    wm_file *files;
    size_t file_count, file_cap; /* files[0] is the one that was opened */
    wmap_archive **parts;        /* other files of its set, opened each as an archive of its own */
    size_t part_count, part_cap;
    bool is_part; /* of another archive */
    wm_entry *entries;
    size_t entry_count, entry_cap;
    wm_map names;      /* name -> index in entries */
    size_t name_bytes; /* of all of them */
    wm_meta *metas;
    size_t meta_count, meta_cap;
    char **warnings;
    size_t warning_count, warning_cap;
    uint8_t head[4096]; /* the first bytes of files[0], for probes */
    size_t head_size;
    const char *packed;    /* "gzip", "bzip2", "xz": files[0] is its unpacked bytes; NULL: it wasn't packed */
    struct wm_zip *zip;    /* the directory of files[0] once wm_archive_zip was called */
    wmap_error *zip_error; /* why there is none */
    void *state;           /* the format's own */
    struct wm_views *views; /* archive.c: mapped files and decoded tensors */
    struct wm_ahead *ahead; /* archive.c: bytes read ahead; while it is opened only */
};

/* Where decoded bytes go: little-endian, in order, without gaps: row-major, or in the dense order (Fortran's)
 * that the entry's strides say. False (error filled) if it can't take more. */
typedef struct wm_sink {
    bool (*put)(struct wm_sink *sink, const void *bytes, size_t size, wmap_error *err);
} wm_sink;

/* A tensor to write. */
typedef struct wm_target {
    wmap_tensor tensor;
    uint64_t bytes;    /* of its data */
    const wm_raw *raw; /* opaque ones, for which finish() puts the data: what they are, in an entry of `from`;
                          NULL: not known yet, since there is only a plan */
    wmap_archive *from; /* NULL likewise */
    const char *note;   /* what it is */
    uint32_t file;      /* set by layout(): in writer->parts; 0 is the first */
    uint64_t offset;    /* set by layout(): where its data begin in that file */
    uint32_t sum;       /* of its data, as format->sum says; set before finish() */
} wm_target;

/* What becomes of a file of the output when all of them are complete. They take their names in the order of
 * the list, which so holds data first. */
typedef enum wm_part_role {
    WM_PART_DATA,
    WM_PART_ENTRY, /* what makes a set of the rest (an index): while others take their names, none stands */
    WM_PART_GUEST, /* takes its name only if nothing stands there; what does stands on, and is no reason to
                      refuse */
    WM_PART_GONE   /* is not written: what stands there is removed, since it would be taken for the set */
} wm_part_role;

/* A file of the output. */
typedef struct wm_part {
    const char *name; /* a plain file name, in the folder of the output's path; NULL: the path itself */
    uint64_t size;    /* bytes of the finished file */
    wm_part_role role;
} wm_part;

typedef struct wm_writer {
    const wm_format *format;
    const char *path; /* where the output goes, "-" for standard output; "" if it goes nowhere (a dry run) */
    wm_arena *arena;  /* does not jump */
    wm_target *targets;
    size_t count;
    wmap_archive *like;   /* the template that --like names, opened; NULL without */
    bool trial;           /* layout() is called just to find out whether all can be held: finish() won't be */
    uint64_t shard_size;  /* bytes of data a file may hold, 0 for any number; for formats that write sets */
    const wm_meta *metas; /* of the sources */
    size_t meta_count;
    bool *meta_kept; /* by index in metas: set by layout() for what the file will hold */
    wm_part *parts;  /* set by layout() with wm_writer_add_part */
    size_t part_count, part_cap;
    void *state; /* the format's own, in `arena` */
    /* Writes bytes anywhere in [0, parts[part].size) of a file; provided by the runtime. */
    bool (*put)(struct wm_writer *writer, uint32_t part, uint64_t offset, const void *bytes, size_t size,
                wmap_error *err);
    void (*warn)(struct wm_writer *writer, const char *text); /* for wm_writer_warn; NULL: nobody listens */
} wm_writer;

/* What stands at a path that names no file of a format. */
typedef enum wm_place {
    WM_PLACE_FILE,    /* a file that no probe knows */
    WM_PLACE_FOLDER,  /* a folder */
    WM_PLACE_NOTHING, /* nothing: the path may be the beginning of a name */
} wm_place;

/* Adds a file to the output; `name` must live as long as the writer. False (NOMEM) if it can't. */
bool wm_writer_add_part(wm_writer *writer, const char *name, uint64_t size, wm_part_role role,
                        wmap_error *err);

/* The plain name at the end of writer->path. */
const char *wm_writer_name(const wm_writer *writer);

/* Tells the user of something that does not keep the output from being written: one line. Not for what a
 * target can't hold: layout() may be called just to find out. */
void wm_writer_warn(wm_writer *writer, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Checksums of targets that the runtime can take while it writes them. */
typedef enum wm_sum_kind {
    WM_SUM_NONE,
    WM_SUM_CRC32, /* zip's: wm_crc32 */
    WM_SUM_CRC32C /* Castagnoli's, not masked: wm_crc32c */
} wm_sum_kind;

/* A format. Slots are called from one thread, but decode(), which may be called for different entries at
 * once. MUST be set unless a comment says MAY. */
struct wm_format {
    const char *name;     /* "npz" */
    const char *title;    /* "NumPy archive" */
    const char *suffixes; /* ".npz"; several separated by spaces; those it is written for come first */

    /* Does the file (files[0], head) look like this format? Formats are asked in the order of the table.
     * Reads little; must not fail: what can't be read is not this format. */
    bool (*probe)(wmap_archive *archive);

    /* Lists the entries in source order, with wm_archive_add. CORRUPT or UNSUPPORTED with the offset if it
     * can't. Nothing that a file says may cause an allocation before it was checked against bytes that are
     * there. */
    bool (*open)(wmap_archive *archive, wmap_error *err);

    /* MAY (NULL if all entries are direct): sends the data of an entry that is not direct to `sink`. */
    bool (*decode)(wmap_archive *archive, const wm_entry *entry, wm_sink *sink, wmap_error *err);

    /* MAY: the file to open when a set of files was named by something else: its folder, the beginning of its
     * names, another file of it. A path in the arena, at or below the folder of `path`. NULL with err->code
     * WMAP_OK: no such set. NULL with `err` filled: there is one, but which file is meant can't be told, or
     * it's gone. */
    const char *(*locate)(wmap_archive *archive, const char *path, wm_place place, wmap_error *err);

    /* MAY: closes what open() opened beyond the arena and the files. Also called after open() failed. */
    void (*close)(wmap_archive *archive);

    /* MAY (NULL: can't be written): adds the parts, and fixes every target's part and offset, in the order of
     * the targets. WMAP_E_TARGET naming the tensor if the format can't hold its name, dtype or shape. Without
     * shard_size, formats that can do so write one part. */
    bool (*layout)(wm_writer *writer, wmap_error *err);

    /* With layout(): puts all bytes of the parts that are not tensor data. Targets' data are written by then.
     */
    bool (*finish)(wm_writer *writer, wmap_error *err);

    /* MAY: closes what layout() opened beyond the arena. Also called after layout() failed. */
    void (*drop)(wm_writer *writer);

    wm_sum_kind sum; /* what finish() needs in wm_target.sum */
    bool shards;     /* layout() heeds shard_size */
    bool hollow;     /* its entries have no data: decode() says so */
    bool likes;      /* layout() heeds like */
    bool raws;       /* layout() takes opaque targets that are the format's own, and finish() puts them */

    /* MAY: the name of the output in a folder that is named as the output. */
    const char *in_folder;
};

/* The table of formats (formats.c), ended by NULL, in the order of probing. */
extern const wm_format *const wm_formats[];

/* The format of that name, or whose suffix `path` ends in (longest wins, case ignored); NULL if none. */
const wm_format *wm_format_named(const char *name);
const wm_format *wm_format_of_suffix(const char *path);

/* The format of that name, which must be one that is written; NULL with USAGE in `err`. */
const wm_format *wm_format_to_write(const char *name, wmap_error *err);

/* Adds an entry; the name is copied, and `shape` and `strides` too. NULL with `err` filled: too many tensors,
 * a name that is too long or there already (CORRUPT), a size of 2^63 or more, out of memory. The caller sets
 * the other fields then. For a direct entry call wm_entry_check afterwards. */
wm_entry *wm_archive_add(wmap_archive *archive, const char *name, size_t name_len, wmap_dtype dtype,
                         uint32_t rank, const uint64_t *shape, const int64_t *strides, wmap_error *err);

/* Makes room for `count` entries before they are added, so that growing leaves no garbage behind. The count
 * must have been checked against bytes that are there. */
bool wm_archive_reserve(wmap_archive *archive, size_t count, wmap_error *err);

/* An archive over a file that has no header, which it takes over, also on failure (NULL). Entries are to be
 * added, then wm_views_init is to be called. */
wmap_archive *wm_archive_over(const wm_format *format, const char *label, int fd, uint64_t size,
                              wmap_error *err);

/* Gives an entry another name, under which patterns find it that its own name doesn't match. If two entries
 * get the same one, or one that is the name of an entry, it is nobody's when the archive is open. Empty names
 * and those that hold a NUL are passed over. False: out of memory. */
bool wm_archive_alias(wmap_archive *archive, wm_entry *entry, const char *alias, size_t len, wmap_error *err);

/* Takes those back; archive.c calls it after open(). */
bool wm_aliases_settle(wmap_archive *archive, wmap_error *err);

/* Checks that all elements of a direct entry lie in [begin, end) of its file; CORRUPT naming the tensor if
 * not. */
bool wm_entry_check(const wmap_archive *archive, const wm_entry *entry, uint64_t begin, uint64_t end,
                    wmap_error *err);

/* Adds a pair to what the file says of itself (a model's configuration, whoever wrote it); both are copied.
 * Keys must be different; key and value must be UTF-8 (else CORRUPT). `own`: see wm_meta. */
bool wm_archive_meta_add(wmap_archive *archive, const char *key, size_t key_len, const char *value,
                         size_t value_len, bool own, wmap_error *err);

/* Remembers a warning (one line; control characters are made visible). */
void wm_archive_warn(wmap_archive *archive, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Closes the descriptors of files from `first` on, which are opened again when their bytes are needed: a set
 * may have more files than a process may have open. Of each set WM_KEPT_OPEN stay as they are. */
void wm_archive_rest(wmap_archive *archive, uint32_t first);

/* Opens another file of the same folder as files[0] (a shard): `name` must be a plain file name (no slash,
 * not
 * "." or ".."). Gives its index in archive->files, or UINT32_MAX with `err` filled. */
uint32_t wm_archive_add_file(wmap_archive *archive, const char *name, wmap_error *err);

/* The same, but opens it as an archive of its own, whatever its format is, and appends that to
 * archive->parts. NULL with `err` filled if it can't be opened. */
wmap_archive *wm_archive_add_part(wmap_archive *archive, const char *name, wmap_error *err);

/* Makes entry `index` of parts[part] one of the archive; its name must be new (CORRUPT). NULL with `err`
 * filled on failure. */
wm_entry *wm_archive_add_from(wmap_archive *archive, uint32_t part, size_t index, wmap_error *err);

/* The file that holds an entry's data; for messages. */
const char *wm_archive_entry_path(const wmap_archive *archive, size_t index);

/* Makes an opened file, a temporary one that something was unpacked to, a file of the archive: takes `fd`
 * over, also on failure (UINT32_MAX). Its size is to be set by the caller. */
uint32_t wm_archive_adopt_file(wmap_archive *archive, int fd, wmap_error *err);

/* Reads exactly `size` bytes at `offset` of files[file] into `buffer`. CORRUPT ("truncated") if they are not
 * there, IO if the system says no. */
bool wm_archive_read(wmap_archive *archive, uint32_t file, uint64_t offset, void *buffer, uint64_t size,
                     wmap_error *err);

/* Reads a range of files[file] and compares its checksum; CORRUPT if it differs. */
bool wm_archive_check_sum(wmap_archive *archive, uint32_t file, const wm_sum *sum, wmap_error *err);

/* Bytes into the arena; refuses more than WM_MAX_HEADER. NULL on failure. */
uint8_t *wm_archive_load(wmap_archive *archive, uint32_t file, uint64_t offset, uint64_t size,
                         wmap_error *err);

/* Calls work(context) with the whole of files[file] mapped, at archive->files[file].map; only while opening.
 * False with `err` filled if it can't be mapped, or if somebody cut it off meanwhile: work() was left by a
 * jump then, so it must hold nothing but arena memory that is known outside of it. */
bool wm_archive_mapped(wmap_archive *archive, uint32_t file, void (*work)(void *context), void *context,
                       wmap_error *err);

/* Adds an unlinked file (spool.h) to the archive and takes it over; UINT32_MAX with `err` filled on failure.
 */
uint32_t wm_archive_add_spool(wmap_archive *archive, int fd, uint64_t size, wmap_error *err);

/* The zip directory of files[0] (formats/zip.h), parsed on the first call; NULL with `err` filled. */
struct wm_zip *wm_archive_zip(wmap_archive *archive, wmap_error *err);

/* Where the elements of an entry are. */
typedef struct wm_view {
    int fd;               /* pread from here, at `offset`; -1: the file is closed */
    uint64_t offset;      /* of the element of index 0, 0, ... */
    const uint8_t *bytes; /* the same place, mapped; reading may raise SIGBUS if the file is cut meanwhile */
    const int64_t *strides; /* elements a dimension; NULL is row-major */
} wm_view;

/* Makes an entry readable: maps its file, or decodes it once into an unlinked temporary file (in TMPDIR, else
 * /var/tmp) and maps that. Safe to call from several threads. The view lives as long as the archive. */
bool wm_archive_view(wmap_archive *archive, size_t index, wm_view *view, wmap_error *err);

/* Gives a decoded entry's temporary file back to the system; its views are dead then. */
void wm_archive_forget(wmap_archive *archive, size_t index);

#endif
