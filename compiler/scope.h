/* scope.h: where expressions find their names. A scope is a short chain of rounds and arguments that ends in
 * a file, whose parameters and tables are hashed; all values are computed before anything looks them up. */
#ifndef WM_SCOPE_H
#define WM_SCOPE_H

#include "compiler/eval.h"
#include "compiler/names.h"
#include "runtime/base/map.h"

/* What all files of one compilation share. */
typedef struct wm_world {
    wm_names *names; /* of the map's source, for `has` and `for "pattern"`; NULL: not known */
    bool undeclared; /* they never will be: to ask for them is E0703 */
} wm_world;

typedef enum wm_decl_state {
    WM_DECL_NEW,
    WM_DECL_OPEN,    /* being computed: met again, it is defined by itself */
    WM_DECL_DONE,    /* value is set */
    WM_DECL_UNKNOWN, /* it asks for names that are not known (yet) */
    WM_DECL_CAPTURE, /* of a turned `for "pattern"`: each rule inside captures it; a text if `value` is one,
                        whose `i` is its wm_format_kind */
    WM_DECL_FAILED   /* reported */
} wm_decl_state;

/* A param, table, map, model or declaration of the hub of a file. */
typedef struct wm_decl {
    const wm_item *item;
    struct wm_file *file;
    wm_str name; /* dotted for some models */
    wm_span span;
    wm_decl_state state; /* params and tables */
    wm_val value;
    const char *define; /* the text of -D, NULL if none */
} wm_decl;

typedef struct wm_alias {
    wm_str name;
    wm_span span;
    struct wm_file *file;
} wm_alias;

/* A loaded file: what it declares, and what its imports make visible in it. */
typedef struct wm_file {
    uint32_t source;  /* of the unit */
    const char *path; /* where it was found; NULL for texts */
    const wm_ast *ast;
    const wm_world *world;
    wm_map names;    /* name -> decls */
    wm_decl **decls; /* own ones, and maps and models of plain imports */
    size_t decl_count, decl_cap;
    wm_alias *aliases;
    size_t alias_count, alias_cap;
    struct wm_file **imports; /* for the hub, which looks through all of them */
    size_t import_count, import_cap;
    bool loading;
    bool seen;         /* scratch of such a search */
    wm_span importing; /* the import that is being followed */
    struct wm_scope *scope;
} wm_file;

/* A loop variable or an argument. */
typedef struct wm_named {
    wm_str name;
    wm_span span;
    wm_val value;
    wm_decl_state state; /* DONE, UNKNOWN or FAILED */
} wm_named;

struct wm_scope {
    const wm_scope *up;
    const wm_file *file; /* set in the outermost one only */
    const wm_named *items;
    uint32_t count;
    wm_span use;            /* arguments: the `use` (or other call) that gave them; else without a size */
    const wm_scope *caller; /* and the scope in which it stands */
};

/* The declaration that `name` (dotted or not) means in a file, NULL if it means none. With `values` only
 * parameters and tables are seen, which plain imports do not bring; else only maps and models. */
wm_decl *wm_file_find(wm_arena *arena, const wm_file *file, const wm_qname *name, bool values);

/* Looks a name up: its state, or WM_DECL_NEW if there is none. */
wm_decl_state wm_scope_find(wm_arena *arena, const wm_scope *scope, const wm_qname *name, wm_val *value,
                            wm_span *declared);

/* The `use` in the map that runs through which this scope was reached; WM_NOWHERE: none. */
wm_span wm_scope_use(const wm_scope *scope);

/* The outermost scope's file; NULL for an empty scope. */
const wm_file *wm_scope_file(const wm_scope *scope);

/* "an integer", "a list" */
const char *wm_val_kind_name(const wm_val *value);

/* Text that grows. */
typedef struct wm_buffer {
    wm_arena *arena;
    char *text;
    size_t len, cap;
} wm_buffer;
void wm_buffer_add(wm_buffer *buffer, const char *bytes, size_t len);
void wm_buffer_int(wm_buffer *buffer, int64_t value);

/* Appends what a hole with a constant value shows. False: reported (E0310, E0311). */
bool wm_hole_show(wm_unit *unit, const wm_part *part, const wm_val *value, wm_buffer *out);

/* The text of a string whose holes are all constant. */
wm_evaluated wm_plain_text(wm_unit *unit, const wm_scope *scope, const wm_hook *hook, const wm_string *string,
                           wm_str *text);

/* Whether some name of the source matches; UNKNOWN if the names are not known. */
wm_evaluated wm_has_name(wm_unit *unit, const wm_scope *scope, const wm_string *string, bool *found);

/* The text of a name as it is written, with its dots. */
wm_str wm_qname_text(wm_arena *arena, const wm_qname *name);

#endif
