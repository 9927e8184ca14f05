/* pickle_machine.h: the machine of pickle.c as the files that hold its opcodes see it; nobody else includes
 * this. */
#ifndef WM_PICKLE_MACHINE_H
#define WM_PICKLE_MACHINE_H

#include "runtime/base/map.h"
#include "runtime/formats/pickle.h"

#define WM_NO_FRAME UINT64_MAX

/* Nodes that can't be told apart are made once. */
struct wm_pickle_shared {
    wm_pickle_node *none, *yes, *no, *empty_tuple;
    wm_pickle_node *small[256];
};

/* The memo: indices up to about twice the number of entries are in a table, which is what picklers write; any
 * other index, which may be any number, is in a map. */
typedef struct wm_memo {
    wm_pickle_node **dense;
    size_t size, count; /* of `dense`; entries in all */
    wm_map sparse;
    wm_pickle_node **far; /* nodes that `sparse` numbers */
    size_t far_count, far_cap;
} wm_memo;

typedef struct wm_machine {
    wm_pickle *p;
    wm_cursor *c;
    wmap_error *err;
    uint64_t at;        /* offset of the opcode being done */
    const char *opcode; /* its name */
    uint64_t frame_end; /* in c->at; WM_NO_FRAME outside of frames */
    wm_pickle_node **stack;
    size_t depth, stack_cap;
    size_t *marks; /* depths of the stack */
    size_t mark_count, mark_cap;
    wm_memo memo;
    wm_pickle_node *result; /* set by STOP */
} wm_machine;

/* CORRUPT and UNSUPPORTED at the opcode being done; both return false. */
bool wm_machine_bad(wm_machine *m, const char *why);
bool wm_machine_refuse(wm_machine *m, const char *why);

/* A node made by the opcode being done. Out of memory never returns. */
wm_pickle_node *wm_machine_node(wm_machine *m, wm_pickle_kind kind);

/* Pushing always succeeds; true, so that an opcode can end with it. */
bool wm_machine_push(wm_machine *m, wm_pickle_node *node);
bool wm_machine_push_int(wm_machine *m, int64_t value);
bool wm_machine_push_bool(wm_machine *m, bool value);

/* A node of `kind` whose text are these bytes, which are kept. */
bool wm_machine_push_text(wm_machine *m, wm_pickle_kind kind, const void *bytes, size_t len);

/* Bytes up to the next newline, which is taken too. NULL with the error set. */
const char *wm_machine_line(wm_machine *m, size_t *len);

/* The same for a number: at most WM_PICKLE_DIGITS long, the end of line may be that of Windows. */
const char *wm_machine_number(wm_machine *m, size_t *len);

/* Decimal digits with an optional sign. 1: fits an int64; 0: digits, but beyond it; -1: no number. */
int wm_machine_parse_int(const char *text, size_t len, int64_t *value);

/* The opcodes of numbers and strings (pickle_scalar.c); `byte` tells which of a family it is. */
bool wm_op_int_text(wm_machine *m, uint8_t byte); /* INT LONG */
bool wm_op_int(wm_machine *m, uint8_t byte);      /* BININT BININT1 BININT2 */
bool wm_op_long(wm_machine *m, uint8_t byte);     /* LONG1 LONG4 */
bool wm_op_float(wm_machine *m, uint8_t byte);    /* FLOAT BINFLOAT */
bool wm_op_unicode(wm_machine *m, uint8_t byte);  /* UNICODE */
bool wm_op_string(wm_machine *m, uint8_t byte);   /* STRING */
bool wm_op_counted(wm_machine *m, uint8_t byte);  /* all strings and bytes after their length */

/* Lines of escapes up to this long are decoded at once; longer ones are mostly data of arrays. */
#define WM_PICKLE_SHORT ((size_t)1024)

/* The text of a line with escapes: bytes of a STRING, UTF-8 of a UNICODE; `*len` is that of the line, then
 * that of the text. NULL if an escape is malformed. */
char *wm_pickle_unescape(wm_arena *arena, wm_pickle_coding coding, const char *text, size_t *len);

#endif
