/* program.h: the statements form. After resolve a map is a flat list of lines: imports joined, parameters and
 * tables constant, loops and conditions unrolled, used maps put in place, verbs turned into layouts. Only
 * captures of tensor names are still open. */
#ifndef WM_PROGRAM_H
#define WM_PROGRAM_H

#include "compiler/eval.h"
#include "runtime/base/map.h"
#include "wmap/tensor.h"

/* ---- names with holes ---- */

typedef enum wm_hole_kind {
    WM_HOLE_TEXT,    /* literal text; constant holes are already text */
    WM_HOLE_VALUE,   /* an expression over captures: an integer, or a table's entry */
    WM_HOLE_STAR,    /* any text without `/` and `.` */
    WM_HOLE_STARSTAR /* any text */
} wm_hole_kind;

#define WM_NO_VAR UINT32_MAX

typedef struct wm_hole {
    wm_hole_kind kind;
    wm_span span;
    wm_str text;           /* TEXT */
    wm_format_kind format; /* VALUE: NONE WIDTH LOWER UPPER UNDER */
    uint32_t width;
    uint32_t var; /* STAR, STARSTAR: the variable, WM_NO_VAR for {*} and {**}. VALUE: the variable if the
                     expression is that plain name, else WM_NO_VAR */
    const wm_expr *expr; /* VALUE */
    bool equal;          /* of a variable: {=s} */
} wm_hole;

typedef struct wm_pattern {
    wm_span span;          /* the string */
    const wm_scope *scope; /* for its expressions */
    wm_hole *holes;        /* no two TEXT in a row */
    uint32_t count;
    bool literal; /* one TEXT, or empty: no hole is left */
    wm_str text;  /* literal: the name */
} wm_pattern;

/* A variable captured by the names of one line. A name in a layout that equals one is the same variable. */
typedef struct wm_var {
    wm_str name;
    wm_span span; /* where it is first */
    bool text;    /* of a string hole; else an integer */
    bool equal;   /* of {=s}: it numbers equal copies */
} wm_var;

/* ---- lines ---- */

/* `axis` of one round of one block: axes that all lines below it share. Looked up from the inner to the
 * outer. */
typedef struct wm_axes {
    uint32_t id;      /* one for each round */
    const wm_str *by; /* turned `for "pattern"` around it: captures that tell its rounds apart */
    uint32_t by_count;
    struct wm_axes_item {
        wm_str name;
        wm_span span;
        const wm_expr *expr; /* NULL if none was given */
    } * items;
    uint32_t count;
    const wm_scope *scope;
    const struct wm_axes *up;
} wm_axes;

/* `cast` of a map, or of an operand (`from` is any then). */
typedef struct wm_cast {
    wmap_dtype from, to;
    enum wm_policy { WM_POLICY_CHECK, WM_POLICY_SATURATE, WM_POLICY_ALLOW } policy;
    bool back; /* turned: it gives back the dtype that was there */
    wm_span span;
} wm_cast;

/* A step of what is computed, in postfix order. Of an operand of the source the first loads its first place,
 * which names the pieces; others load second places; a constant or the result of a second place is taken by
 * arithmetic. Those of an operand of the target go on with what the source's gave, and load nothing. */
typedef enum wm_step_kind {
    WM_STEP_LOAD, /* term */
    WM_STEP_ADD,
    WM_STEP_SUB,
    WM_STEP_MUL,
    WM_STEP_DIV,
    WM_STEP_NEG,
    WM_STEP_EXP,
    WM_STEP_LOG,
    WM_STEP_SQRT,
    WM_STEP_RSQRT,
    WM_STEP_POW,
    WM_STEP_CAST,
    WM_STEP_BITCAST
} wm_step_kind;

typedef struct wm_step {
    wm_step_kind kind;
    wm_span span;
    wm_str tag; /* only the pieces that have it; len 0: all */
    wm_span tag_span;
    uint32_t term;       /* LOAD: of the line */
    const wm_expr *expr; /* ADD to DIV, POW: the constant; NULL: two places */
    wm_cast cast;        /* CAST, BITCAST; `to` is none if it is the dtype that the target is declared with */
    bool inverse;        /* made by reverse.c */
} wm_step;

typedef struct wm_steps {
    const wm_step *list;
    uint32_t count;
} wm_steps;

/* `else c` */
typedef struct wm_else {
    wm_val value;
    wm_span span;
} wm_else;

/* `: dtype shape` of a target */
typedef struct wm_typed {
    wmap_dtype dtype;
    uint32_t rank;
    const uint64_t *shape;
    wm_span dtype_span, shape_span;
} wm_typed;

/* `dequant "scales" [b1 b2]` or `mxfp4 "scales"`, directly after a place. */
typedef struct wm_decoder {
    bool packed; /* mxfp4 */
    wm_span span;
    const struct wm_valueop *op;
    wm_pattern scales; /* its variables are those of the line */
    uint32_t block_count;
    const uint64_t *block;
} wm_decoder;

/* One operand: a name and its placement. There are as many as a spec has rules and more, so what few have
 * stands apart. */
typedef struct wm_term {
    wm_span span;
    wm_str tag; /* len 0: none */
    wm_span tag_span;
    wm_pattern name;
    const wm_layout *layout; /* never NULL: without one in the text it is [...] with the span of the name */
    bool layout_given;       /* it stands in the text (or comes from a verb) */
    bool optional;           /* a copy that may be absent */
    wm_span optional_span;
    const wm_else *otherwise;  /* of a source: what must be found there; NULL if none, as the next two */
    const wm_cast *cast;       /* source; the only operation then */
    const wm_decoder *decoder; /* source: the array is decoded first */
    const wm_steps *steps;     /* what is computed, of the source if it is more than a cast; NULL otherwise */
    bool second;               /* source: another place of arithmetic; its pieces go with those of `owner` */
    uint32_t owner;
    const wm_typed *declared; /* target */
} wm_term;

/* What a fill has beside its targets. */
typedef struct wm_fill {
    wm_val value;
    wm_span span; /* of the value */
    bool has_like;
    wm_pattern like;
} wm_fill;

typedef enum wm_line_kind {
    WM_LINE_RULE,
    WM_LINE_FILL, /* value -> targets [like] */
    WM_LINE_DROP, /* a pattern; with `if all` one place on the left as well, of the same name */
    WM_LINE_KEEP_REST,
    WM_LINE_CAST /* cast from -> to policy */
} wm_line_kind;

typedef struct wm_line {
    wm_line_kind kind;
    wm_span span;
    const wm_scope *scope; /* for `where` */
    const wm_axes *axes;   /* visible shared axes, NULL if none */
    const char *round;     /* "b=1, k=2": the loop variables it was unrolled with; "" if none */
    bool optional;
    bool equal;     /* its sources may be copies of each other, as those of a turned rule may */
    bool derived;   /* by the hub, for this direction */
    bool both_ways; /* in no `forward { }` or `reverse { }` */
    bool turned;    /* it runs from its target to its source; before the reverse pass: it is to be turned */
    bool poisoned;  /* an error in it was reported: it takes no part, but its names are not reported as left
                       over */
    wm_term *left, *right;
    uint32_t left_count, right_count;
    wm_var *vars;
    uint32_t var_count;
    const wm_binding *where; /* of the text; NULL if none */
    const wm_fill *fill;     /* FILL */
    wm_pattern *dropped;     /* DROP: NULL if it was not understood */
    const wm_else *all;      /* DROP: `if all c`: what the layout of its place reaches; NULL if none */
    const wm_cast *cast;     /* CAST */
} wm_line;

/* A declared side. */
typedef struct wm_declared {
    wm_str name;
    wmap_dtype dtype; /* NONE: any */
    uint32_t rank;
    const uint64_t *shape;
    bool optional; /* it may be absent */
    wm_span span, dtype_span, shape_span;
} wm_declared;

typedef struct wm_model {
    wm_str name;
    wm_span span;
    wm_declared *tensors; /* in the order of the text; names distinct */
    size_t count;
} wm_model;

/* `meta "key" = "value"` */
typedef struct wm_stated {
    wm_str key, value;
    wm_span span;
} wm_stated;

typedef struct wm_program {
    wm_str map; /* its name; "" for -e */
    wm_span span;
    uint32_t file; /* of the map; the given one */
    wm_line *lines;
    size_t count, cap;
    const wm_model *source, *target; /* NULL: not declared */
    wm_stated *metas;
    size_t meta_count, meta_cap;
    wm_map meta_keys;        /* of resolve: key -> metas */
    wm_pattern **meta_drops; /* of `drop meta` */
    size_t meta_drop_count, meta_drop_cap;
    bool keep_rest;
    const wm_str *order; /* names that the target is to have, in this order; NULL: it is what is written */
    size_t order_count;
    const wm_map *placed; /* names of the source that its model places, so that the other direction writes
                             them; NULL: no model was asked */
    wm_str format;        /* of the target, where nothing else tells; len 0: none */
    const char *text;     /* of the map that the hub derived; NULL if none was */
    size_t text_len;
    wm_line *lost; /* turned drops: what they left behind can't be made again */
    size_t lost_count, lost_cap;
    bool failed;                  /* so much is wrong that the map can't be known; nothing more to check */
    struct wm_resolver *resolver; /* for the next stage of a chain */
    size_t stage;                 /* which one this is */
    bool then;                    /* another one follows */
} wm_program;

#endif
