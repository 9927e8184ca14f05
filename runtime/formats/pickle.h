/* pickle.h: reads Python pickles as data. The stream of opcodes is a program for a small stack machine; this
 * one builds an inert tree and nothing else: a class is its name, a call is what would have been called with
 * what. Nothing is looked up, imported or run, whatever the stream says. All opcodes of protocols 0 to 5 are
 * known.
 *
 *     wm_pickle pickle;
 *     wm_pickle_init(&pickle);
 *     wm_cursor cursor = wm_cursor_of(bytes, size, offset_in_file);
 *     const wm_pickle_node *root = wm_pickle_read(&pickle, &cursor, err);   // again for the next one in the
 * stream
 *     ...
 *     wm_pickle_release(&pickle);
 *
 * What the memo shares is shared in the tree, so it is a graph, and may hold cycles (a list that contains
 * itself): who walks it bounds depth and steps. Strings are not copied: the bytes must outlive the tree. */
#ifndef WM_PICKLE_H
#define WM_PICKLE_H

#include "runtime/base/arena.h"
#include "runtime/base/cursor.h"
#include "runtime/base/error.h"

/* Limits, stated in docs/formats.md. */
#define WM_PICKLE_OPCODES ((uint64_t)100000000)
#define WM_PICKLE_DIGITS  ((size_t)4300) /* of a number written as text; Python's own limit */
#define WM_PICKLE_ROOM                                                                                       \
    ((uint64_t)96 << 20)                     /* memory for a tree: this much, and more for large pickles ... \
                                              */
#define WM_PICKLE_RATIO  ((uint64_t)12)      /* ... by so many bytes a byte ... */
#define WM_PICKLE_MEMORY ((uint64_t)1 << 30) /* ... but never more than this */

typedef enum wm_pickle_kind {
    WM_PICKLE_NONE,
    WM_PICKLE_BOOL,  /* integer: 0, 1 */
    WM_PICKLE_INT,   /* integer */
    WM_PICKLE_BIG,   /* an int beyond 64 bits; text: its bytes, as digits or little-endian, see `digits` */
    WM_PICKLE_FLOAT, /* real */
    WM_PICKLE_BYTES, /* text: bytes, bytearray, or Python 2's str (`python2`) */
    WM_PICKLE_TEXT,  /* text: UTF-8 by convention, not checked; may hold surrogates */
    WM_PICKLE_TUPLE, /* list */
    WM_PICKLE_LIST,  /* list */
    WM_PICKLE_DICT,  /* list: key, value, key, value ... as inserted; a key may come twice */
    WM_PICKLE_SET,   /* list */
    WM_PICKLE_FROZENSET,  /* list */
    WM_PICKLE_GLOBAL,     /* global: a class or function, by name */
    WM_PICKLE_CALL,       /* call: an object made by calling something */
    WM_PICKLE_PERSISTENT, /* id: what lies outside of the pickle under this id */
} wm_pickle_kind;

typedef struct wm_pickle_node wm_pickle_node;

/* What else was done to a called object; each may be NULL. */
typedef struct wm_pickle_extra {
    wm_pickle_node *named; /* dict of arguments by name (NEWOBJ_EX) */
    wm_pickle_node *items; /* list of what was appended or added to it */
    wm_pickle_node *pairs; /* dict of what was set by key in it */
} wm_pickle_extra;

struct wm_pickle_node {
    uint8_t kind;     /* wm_pickle_kind */
    bool python2 : 1; /* BYTES: from a Python 2 str, which may mean text */
    bool digits : 1;  /* BIG: text holds decimal digits with a sign */
    bool made : 1;    /* CALL: by NEWOBJ: the class itself was called, without its __init__ */
    bool escaped : 1; /* BYTES, TEXT: more than 1 KiB with escapes, not decoded; see wm_pickle_string */
    uint32_t mark;    /* 0 at first; for whoever walks the tree */
    uint64_t
        offset; /* in the file, of the opcode that made it (small ints, None ... are shared: the first one) */
    union {
        int64_t integer;
        double real;
        struct {
            const char *bytes;
            size_t len;
        } text;
        struct {
            wm_pickle_node **items;
            size_t count, cap;
        } list;
        struct {
            const char *module, *name;
            size_t module_len, name_len;
        } global;
        struct {
            wm_pickle_node *callable, *args; /* args is a TUPLE; for OBJ and INST too */
            wm_pickle_node *state;           /* BUILD, NULL without */
            wm_pickle_extra *extra;          /* NULL if there is nothing of it */
        } call;
        wm_pickle_node *id;
    } as;
};

typedef struct wm_pickle {
    wm_arena arena;           /* the trees */
    wm_arena work;            /* stack and memo of the one being read */
    wm_pickle_node **globals; /* every GLOBAL met so far, in order, also those that no tree holds any more */
    size_t global_count, global_cap;
    wm_pickle_node **persistents; /* every PERSISTENT, likewise */
    size_t persistent_count, persistent_cap;
    uint64_t room; /* for all trees and the work, in bytes */
    bool cut;      /* the last read failed because the bytes ended */
    struct wm_pickle_shared *shared;
} wm_pickle;

void wm_pickle_init(wm_pickle *pickle);
void wm_pickle_release(wm_pickle *pickle);

/* Reads one pickle and leaves the cursor behind its STOP. NULL with `err` filled: CORRUPT or UNSUPPORTED with
 * the offset of the opcode, NOMEM. Trees read before stay. */
wm_pickle_node *wm_pickle_read(wm_pickle *pickle, wm_cursor *cursor, wmap_error *err);

/* True for a GLOBAL of that name. Python 2's `__builtin__` and `copy_reg` are told as `builtins`, `copyreg`.
 */
bool wm_pickle_is(const wm_pickle_node *node, const char *module, const char *name);

/* True for a CALL of that GLOBAL. */
bool wm_pickle_calls(const wm_pickle_node *node, const char *module, const char *name);

/* True for text (or a Python 2 str, or bytes) of exactly these characters. */
bool wm_pickle_says(const wm_pickle_node *node, const char *text);

/* Keys and values of a dict, or of an object that is filled like one (OrderedDict, defaultdict, any
 * subclass) or made from one; NULL for anything else. The result is a DICT node, or a sequence of pairs, as
 * for an OrderedDict of Python 2. */
const wm_pickle_node *wm_pickle_mapping(const wm_pickle_node *node);

/* The items of a tuple, list or set, or of one that is made from such (`tuple(items)`); NULL for anything
 * else. */
const wm_pickle_node *wm_pickle_sequence(const wm_pickle_node *node);

/* Number of pairs of such a mapping, and pair `index` of it; false if it is no pair. */
size_t wm_pickle_pair_count(const wm_pickle_node *mapping);
bool wm_pickle_pair(const wm_pickle_node *mapping, size_t index, wm_pickle_node **key,
                    wm_pickle_node **value);

/* The value under a text key, NULL if there is none or `node` is no mapping; the last one counts, as in
 * Python. */
wm_pickle_node *wm_pickle_get(const wm_pickle_node *node, const char *key);

/* How bytes are written. */
typedef enum wm_pickle_coding {
    WM_PICKLE_PLAIN,  /* as they are */
    WM_PICKLE_UTF8,   /* as Latin-1 text in UTF-8 */
    WM_PICKLE_STRING, /* with the escapes of a Python 2 str */
    WM_PICKLE_UNICODE /* as Latin-1 text with the escapes \u and \U */
} wm_pickle_coding;

/* Bytes as they stand in the pickle (or, if they were short, in its memory). */
typedef struct wm_pickle_span {
    const char *bytes;
    size_t len;
    wm_pickle_coding coding;
} wm_pickle_span;

/* The span of what wm_pickle_bytes gives the bytes of; false if it is nothing like that. wm_pickle_span_text
 * also takes text for the bytes of Latin-1, as NumPy does. */
bool wm_pickle_span_of(const wm_pickle_node *node, wm_pickle_span *span);
bool wm_pickle_span_text(const wm_pickle_node *node, wm_pickle_span *span);

/* How many bytes a span means; false if it is malformed. */
bool wm_pickle_length(const wm_pickle_span *span, uint64_t *bytes);

/* Decodes from a span, a piece at a time: takes `*used` bytes of `text` and makes `*made`, at most `room` (at
 * least 2), of them. `last`: nothing follows `text`; else some of it may be left over, at most 9 bytes if
 * there is room. False if it is malformed. */
bool wm_pickle_decode(wm_pickle_coding coding, const char *text, size_t len, bool last, size_t *used,
                      uint8_t *out, size_t room, size_t *made);

/* The string of a BYTES or TEXT node, decoded into `arena` if it is `escaped`. False if it is malformed. */
bool wm_pickle_string(wm_arena *arena, const wm_pickle_node *node, const char **bytes, size_t *len);

/* The class of an object, or the function that made it: what a CALL calls, without the function that makes
 * objects in protocols 0 and 1. `node` itself if it is no CALL. */
const wm_pickle_node *wm_pickle_class(const wm_pickle_node *node);

/* The bytes of a bytes object, bytearray or Python 2 str, also of one in the form that protocols 0 to 2 give
 * to bytes: a call of _codecs.encode with Latin-1 text, or of bytes without arguments. What isn't there as it
 * is is made in `arena`. False for anything else; `*bytes` is NULL then, or if memory ran out. */
bool wm_pickle_bytes(wm_arena *arena, const wm_pickle_node *node, const char **bytes, size_t *len);

/* "module.name" of a GLOBAL, or of the class of a CALL, made fit for printing; "?" if none.
 */
const char *wm_pickle_name(const wm_pickle_node *node, char *buf, size_t size);

#endif
