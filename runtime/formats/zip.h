/* zip.h: the container of .npz, .pth and .keras files. The central directory is the one authority; a local
 * header only says where the bytes begin, and must agree with it. Whatever two readers could understand
 * differently (two ends, bytes before, between or after the members, overlaps, names given twice) is refused
 * as CORRUPT. */
#ifndef WM_ZIP_H
#define WM_ZIP_H

#include "runtime/archive.h"

#define WM_ZIP_STORED  0
#define WM_ZIP_DEFLATE 8
#define WM_ZIP_ALIGN                                                                                         \
    64 /* wmap writes the bytes of members at multiples of this, so that they can be mapped */
#define WM_ZIP_NAME ((size_t)UINT16_MAX) /* bytes of a member's name */

typedef struct wm_zip_member {
    const char *name; /* as in the directory: any bytes but NUL; NOT ended by NUL */
    uint32_t name_len;
    uint16_t method; /* WM_ZIP_STORED or WM_ZIP_DEFLATE; files with others are refused */
    uint16_t flags;
    uint32_t crc32;  /* of the bytes as they come out */
    uint64_t csize;  /* bytes in the file; equal to usize if stored */
    uint64_t usize;  /* bytes as they come out */
    uint64_t header; /* offset of the local header */
    uint64_t data;   /* offset of the first byte after it; data + csize was checked against the file */
} wm_zip_member;

/* In the order of the central directory. Lives in the archive's arena. Names ending in '/' are folders. */
typedef struct wm_zip {
    wm_zip_member *members;
    size_t count;
    wm_map names; /* name -> index in members */
} wm_zip;

/* True if files[0] begins as a zip does. */
bool wm_zip_looks(const wmap_archive *archive);

/* Parses and checks the directory of files[0]. wm_archive_zip() is this, once, and keeps the answer: call
 * that. */
wm_zip *wm_zip_parse(wmap_archive *archive, wmap_error *err);

/* The member of that name, NULL if there is none. */
const wm_zip_member *wm_zip_find(const wm_zip *zip, const char *name, size_t len);

/* Is this the only member of its name even for readers that don't tell cases apart? CORRUPT if not. For names
 * that a format fixes, which such readers would mistake; the names of arrays may differ so (`W` and `w`). */
bool wm_zip_alone(const wm_zip *zip, const wm_zip_member *member, wmap_error *err);

typedef enum wm_zip_crc {
    WM_ZIP_CRC_STRICT, /* a wrong CRC-32 is CORRUPT */
    WM_ZIP_CRC_WARN    /* a wrong one of a stored member is only a warning: torch can be told to write none */
} wm_zip_crc;

/* All bytes of a member, in the archive's arena, followed by a NUL that doesn't count. CORRUPT if it holds
 * more than `limit` bytes (at most WM_MAX_HEADER). Only while opening, as it allocates. */
uint8_t *wm_zip_load(wmap_archive *archive, const wm_zip_member *member, uint64_t limit, wm_zip_crc crc,
                     wmap_error *err);

/* The first bytes of a member, at most `size`, into `buffer`; `*got` is how many there are. No CRC is
 * checked. */
bool wm_zip_peek(wmap_archive *archive, const wm_zip_member *member, void *buffer, size_t size, size_t *got,
                 wmap_error *err);

/* Sends a whole member to `sink`; its CRC is checked at the end. For any thread. */
bool wm_zip_stream(wmap_archive *archive, const wm_zip_member *member, wm_sink *sink, wmap_error *err);

/* Unpacks a member into an unlinked file, which becomes one of the archive's: its index, UINT32_MAX with
 * `err` filled. */
uint32_t wm_zip_spool(wmap_archive *archive, const wm_zip_member *member, wmap_error *err);

/* A member to write: always stored. */
typedef struct wm_zip_out {
    const char *name;
    size_t name_len;
    uint64_t size;   /* bytes */
    uint32_t crc32;  /* of them; needed by wm_zip_finish only */
    uint64_t header; /* set by wm_zip_layout: offset of the local header */
    uint64_t data;   /* set by wm_zip_layout: where its bytes go, a multiple of WM_ZIP_ALIGN */
} wm_zip_out;

/* True if a member may be called so: well-formed UTF-8, not empty, no NUL or backslash, not absolute, no ".."
 * component, at most WM_ZIP_NAME bytes. What wmap writes it can read. */
bool wm_zip_name_ok(const char *name, size_t len);

/* Fixes where `count` members stand, one after the other from the start of the file; `*end` is the size of
 * the finished file. Fails (TARGET, naming the member) for a name that won't do, and for sizes of 2^63 and
 * more. */
bool wm_zip_layout(wm_zip_out *members, size_t count, uint64_t *end, wmap_error *err);

/* Puts all local headers and the directory of a part; with the bytes of the members that makes the whole
 * file.
 */
bool wm_zip_finish(wm_writer *writer, uint32_t part, const wm_zip_out *members, size_t count,
                   wmap_error *err);

#endif
