/* ast_hub.h: what the parser makes of the hub's declarations (docs/hub.md). Their bodies are chains of
 * wm_stmt like those of maps, so loops and conditions are the core's; all else is a WM_ST_HUB with one of
 * these. */
#ifndef WM_AST_HUB_H
#define WM_AST_HUB_H

#include "compiler/ast.h"

/* one of [1,k,j > 2] */
typedef struct wm_index {
    wm_span span;
    wm_word *word;   /* NULL: a number */
    wm_expr *number; /* of a number */
    bool compared;   /* word op expr */
    wm_op op;
    wm_expr *expr;
    struct wm_index *next;
} wm_index;

/* conv[b,k].kernel: a chain of names */
typedef struct wm_ref {
    wm_span span;
    wm_word *name;
    wm_index *indices; /* NULL: none */
    struct wm_ref *next;
} wm_ref;

/* what stands left of `=`: tag: ref */
typedef struct wm_owner {
    wm_span span;
    wm_word *tag; /* NULL if none */
    wm_ref *ref;
    struct wm_owner *next;
} wm_owner;

/* what stands right of it */
typedef struct wm_hplace {
    wm_span span;
    wm_word *tag;
    wm_string *name;     /* NULL: not restated */
    wm_layout *layout;   /* NULL: not restated, or the canonical one */
    wm_const *otherwise; /* else c */
    bool optional;
    wm_valueop *ops;
    struct wm_hplace *next;
} wm_hplace;

/* with a, b; without a, b */
typedef struct wm_presence {
    wm_span span;
    bool with;
    wm_word *words;
    struct wm_presence *next;
} wm_presence;

/* conv[b,k] of an architecture */
typedef struct wm_hub_name {
    wm_span span;
    wm_word *name;
    wm_expr *indices;
    struct wm_hub_name *next;
} wm_hub_name;

typedef enum wm_hub_kind {
    WM_HS_ARRAY,   /* layer: [buffer] name layout [: dtype] [= constant] [where] */
    WM_HS_FOLD,    /* first -> second op third */
    WM_HS_NAME,    /* name string */
    WM_HS_FORMAT,  /* format qname */
    WM_HS_FLATTEN, /* flatten (words) */
    WM_HS_ALL,     /* all = string */
    WM_HS_META,    /* meta string = string2 */
    WM_HS_KIND,    /* name [class string] { body } */
    WM_HS_PLACE,   /* owners = places [where] [from call] {presence} [{ body }] */
    WM_HS_ORDER,   /* order strings, or owners */
    WM_HS_WITHOUT, /* without words */
    WM_HS_MEMBER,  /* members : name [args] {presence}; or members : array layout */
    WM_HS_LET,     /* let or table name = expr */
    WM_HS_PART,    /* part name { body } */
    WM_HS_IGNORE,  /* ignore strings [if all constant] */
    WM_HS_FILL     /* fill constant -> string : dtype shape */
} wm_hub_kind;

struct wm_hub_stmt {
    wm_hub_kind kind;
    wm_span span;
    wm_word *name;
    wm_qname *qname;
    wm_word *words;
    wm_string *string, *string2;
    struct wm_string_list *strings;
    wm_layout *layout;
    wm_word *dtype;
    wm_shape *shape;
    wm_const *constant;
    bool buffer, with_body;
    wm_binding *where;
    wm_ref *first, *second, *third;
    wm_op op;
    wm_owner *owners;
    wm_hplace *places;
    wm_call *from;
    wm_hub_name *members;
    wm_arg *args;
    wm_presence *presence;
    wm_expr *expr;
    wm_stmt *body;
};

#endif
