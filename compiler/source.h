/* source.h: texts of specs, kept in memory for the time of a compilation, and places in them. */
#ifndef WM_SOURCE_H
#define WM_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/types.h>

#include "runtime/base/arena.h"

struct stat;

/* A byte range of one file. file is an index into the unit's files; WM_NO_FILE: nowhere. */
typedef struct wm_span {
    uint32_t file, beg, end;
} wm_span;

#define WM_NO_FILE UINT32_MAX
#define WM_NOWHERE ((wm_span){WM_NO_FILE, 0, 0})

/* A borrowed run of bytes, not ended by NUL. */
typedef struct wm_str {
    const char *p;
    uint32_t len;
} wm_str;

#define WM_STR(literal) ((wm_str){(literal), sizeof(literal) - 1})

static inline bool wm_str_eq(wm_str a, wm_str b)
{
    return a.len == b.len && (a.len == 0 || __builtin_memcmp(a.p, b.p, a.len) == 0);
}

/* A loaded file. `name` is how messages and plans show it: as given on the command line, or as imported. */
typedef struct wm_source {
    const char *name;
    const char *path; /* where it was read; NULL: it was given as text */
    const char *text; /* size bytes and a NUL */
    uint32_t size;
    uint32_t
        *lines; /* offsets of the line starts, ended by size + 1; made by wm_source_position on first use */
    uint32_t line_count;
    uint64_t dev, ino; /* the real file, so that one is loaded once; 0 for texts */
    bool rules_only;   /* -e: the statements of one map */
    bool option;       /* a value of the command line: no file */
    uint32_t *marks;   /* characters before each 4096th byte, made with `lines` */
} wm_source;

#define WM_MAX_SPEC ((uint64_t)64 << 20) /* bytes of a spec's text */

/* Reads a regular file into `text` of `size` bytes and fills `st`. Gives how many bytes came, -1 with errno
 * set on failure. It touches no arena, so nothing can jump while the file is open. */
ssize_t wm_read_text(const char *path, char *text, size_t size, struct stat *st);

/* Line and column of a byte, both from 1; columns count characters (UTF-8), a tab is one. */
void wm_source_position(wm_arena *arena, wm_source *source, uint32_t at, uint32_t *line, uint32_t *column);

/* The text of a line (from 1) without its end. */
wm_str wm_source_line(wm_arena *arena, wm_source *source, uint32_t line);

#endif
