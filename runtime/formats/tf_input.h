/* tf_input.h: bytes and protobuf messages of TensorFlow's files, read from memory or from a file through a
 * window, so that a message of gigabytes costs no memory. Lengths are hostile: every read is checked against
 * the innermost message. The first failure fills `err` and sticks; later reads give 0. */
#ifndef WM_FORMATS_TF_INPUT_H
#define WM_FORMATS_TF_INPUT_H

#include "runtime/archive.h"

#define WM_TF_WINDOW ((size_t)16 << 10) /* a good size of it */

/* Positions are offsets in the file; in memory that a block was unpacked to, offsets in that. */
typedef struct wm_tf_input {
    wmap_archive *archive;
    uint32_t file;
    const uint8_t *bytes; /* those at [begin, end) */
    uint64_t begin, end;
    uint64_t at, limit; /* the next byte; the end of what may be read */
    uint8_t *window;    /* of the caller; NULL: all is in memory */
    size_t room;        /* bytes of it, at least 16: the most that wm_tf_take gives at once */
    uint64_t origin;    /* added to positions in messages */
    bool failed;
    wmap_error *err; /* MAY be NULL */
} wm_tf_input;

/* Reads [begin, begin + size) of files[file]. The range must lie in the file. */
wm_tf_input wm_tf_file(wmap_archive *archive, uint32_t file, uint64_t begin, uint64_t size, uint8_t *window,
                       size_t room, wmap_error *err);

/* Reads `size` bytes of memory that stem from `origin` of files[file]. */
wm_tf_input wm_tf_memory(wmap_archive *archive, uint32_t file, const void *bytes, size_t size,
                         uint64_t origin, wmap_error *err);

/* CORRUPT with file and offset, unless there was a failure before. False. */
bool wm_tf_damaged(wm_tf_input *in, const char *what);

static inline uint64_t wm_tf_left(const wm_tf_input *in)
{
    return in->failed ? 0 : in->limit - in->at;
}

/* The next `size` bytes, good until the next call; NULL after a failure. */
const uint8_t *wm_tf_take(wm_tf_input *in, uint64_t size);

void wm_tf_skip(wm_tf_input *in, uint64_t size);

/* The next number, protobuf's and LevelDB's varint: at most 10 bytes. */
uint64_t wm_tf_varint(wm_tf_input *in);

/* The fields of a message:
 *
 *     wm_tf_fields f = wm_tf_message(in);
 *     while (wm_tf_next(in, &f))
 *         if (wm_tf_is(&f, 3, WM_TF_BYTES)) ... // in->at and in->limit are the field's; reading may stop
 *                                               // anywhere, and messages within are read the same way
 *     if (in->failed) ...
 *
 * Fields that nobody asks for are passed over. Groups, which no message of TensorFlow has, are UNSUPPORTED.
 */
typedef enum wm_tf_wire {
    WM_TF_VARINT = 0,
    WM_TF_FIXED64 = 1,
    WM_TF_BYTES = 2,
    WM_TF_FIXED32 = 5
} wm_tf_wire;

typedef struct wm_tf_fields {
    uint32_t number;
    uint32_t wire;
    uint64_t value; /* of numbers */
    uint64_t end;   /* of the field */
    uint64_t limit; /* of the message */
} wm_tf_fields;

wm_tf_fields wm_tf_message(const wm_tf_input *in);
bool wm_tf_next(wm_tf_input *in, wm_tf_fields *fields);

static inline bool wm_tf_is(const wm_tf_fields *fields, uint32_t number, wm_tf_wire wire)
{
    return fields->number == number && fields->wire == (uint32_t)wire;
}

/* The bytes of the field that wm_tf_next stands at, copied into the arena; at most `most` of them. NULL with
 * the input failed. */
#define WM_TF_TEXT (2 * WM_MAX_NAME + 1024) /* a good `most` for names, and for the keys made of them */
char *wm_tf_copy(wm_tf_input *in, wm_arena *arena, uint64_t most, size_t *len);

#endif
