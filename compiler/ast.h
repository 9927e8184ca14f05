/* ast.h: what the parser makes of a text. One struct a production, spans on all, nothing interpreted: names
 * are not looked up, numbers not computed. Everything lives in the unit's arena. Lists are `next` chains in
 * the order of the text, so that actions of the grammar only build nodes. */
#ifndef WM_AST_H
#define WM_AST_H

#include "compiler/literal.h"
#include "compiler/source.h"

/* a name with its place */
typedef struct wm_word {
    wm_str text;
    wm_span span;
    struct wm_word *next;
} wm_word;

/* name.name */
typedef struct wm_qname {
    wm_word *parts; /* one or more */
    wm_word *last;
    wm_span span;
    struct wm_qname *next;
} wm_qname;

/* ---- expressions ---- */

typedef enum wm_expr_kind {
    WM_EX_INT,    /* i */
    WM_EX_FLOAT,  /* f */
    WM_EX_BOOL,   /* i */
    WM_EX_STRING, /* string */
    WM_EX_HAS,    /* has string */
    WM_EX_NAME,   /* name */
    WM_EX_CALL,   /* name ( args ) */
    WM_EX_LIST,   /* [args] and (args) with two or more */
    WM_EX_INDEX,  /* a [ b ] */
    WM_EX_NEG,    /* - a */
    WM_EX_NOT,    /* not a */
    WM_EX_BINARY, /* a op b */
    WM_EX_IF,     /* if a then b else c */
    WM_EX_ANY,    /* `_` as an argument (hub) */
    WM_EX_NAMED   /* name ( named ) as an argument (hub) */
} wm_expr_kind;

typedef enum wm_op {
    WM_OP_OR,
    WM_OP_AND,
    WM_OP_EQ,
    WM_OP_NE,
    WM_OP_LT,
    WM_OP_LE,
    WM_OP_GT,
    WM_OP_GE,
    WM_OP_ADD,
    WM_OP_SUB,
    WM_OP_MUL,
    WM_OP_DIV,
    WM_OP_FLOORDIV,
    WM_OP_MOD
} wm_op;

typedef struct wm_expr {
    wm_expr_kind kind;
    wm_op op;
    wm_span span;    /* the whole */
    wm_span op_span; /* of the operator */
    uint32_t depth;  /* of the tree below it: bounded, so that passes may recurse */
    int64_t i;
    double f;
    struct wm_string *string;
    wm_qname *name;
    struct wm_expr *a, *b, *c;
    struct wm_expr *args; /* chain */
    struct wm_arg *named; /* NAMED */
    struct wm_expr *next;
} wm_expr;

/* ---- strings ---- */

typedef enum wm_part_kind {
    WM_PART_TEXT,    /* text, escapes resolved */
    WM_PART_HOLE,    /* {expr} {expr:format} */
    WM_PART_EQ,      /* {=word} */
    WM_PART_STAR,    /* {*} */
    WM_PART_STARSTAR /* {**} */
} wm_part_kind;

typedef enum wm_format_kind {
    WM_FMT_NONE,
    WM_FMT_WIDTH,   /* :02 ; width */
    WM_FMT_LOWER,   /* :a */
    WM_FMT_UPPER,   /* :A */
    WM_FMT_UNDER,   /* :_ */
    WM_FMT_STAR,    /* :* */
    WM_FMT_STARSTAR /* :** */
} wm_format_kind;

typedef struct wm_part {
    wm_part_kind kind;
    wm_format_kind format;
    uint32_t width;
    wm_span span; /* a hole with its braces; a text as it stands in the source */
    wm_str text;
    wm_expr *expr; /* HOLE, EQ */
    wm_word *word; /* EQ */
    struct wm_part *next;
} wm_part;

typedef struct wm_string {
    wm_span span; /* with the quotes */
    bool raw;
    wm_part *parts; /* adjacent texts are one part; NULL for "" */
} wm_string;

/* ---- layouts ---- */

typedef enum wm_factor_kind {
    WM_FA_AXIS,     /* name */
    WM_FA_REVERSED, /* - name */
    WM_FA_EQUAL,    /* = name */
    WM_FA_NUMBER,   /* value; 1, or an error (E0208) but after `_:` */
    WM_FA_LABELS,   /* {a b _}: blocks, each with a tag (or unnamed) and no factors */
    WM_FA_GROUP,    /* (a b c): factors */
    WM_FA_BLOCKS,   /* (p: a | q: b | _): blocks */
    WM_FA_DOTS      /* ... ; only in wm_layout.factors */
} wm_factor_kind;

typedef struct wm_block {
    bool unnamed;              /* `_`: reached by no index */
    wm_word *tag;              /* NULL if it has none */
    struct wm_factor *factors; /* NULL for a label (extent 1) and for `_` without an extent */
    wm_span span;
    struct wm_block *next;
} wm_block;

typedef struct wm_factor {
    wm_factor_kind kind;
    wm_span span;
    union {                        /* by kind */
        wm_word *name;             /* AXIS, REVERSED, EQUAL */
        int64_t value;             /* NUMBER */
        struct wm_factor *factors; /* GROUP */
        wm_block *blocks;          /* LABELS, BLOCKS */
    };
    struct wm_factor *next;
} wm_factor;

static inline bool wm_names_axis(const wm_factor *factor)
{
    return factor->kind == WM_FA_AXIS || factor->kind == WM_FA_REVERSED || factor->kind == WM_FA_EQUAL;
}

static inline bool wm_has_blocks(const wm_factor *factor)
{
    return factor->kind == WM_FA_LABELS || factor->kind == WM_FA_BLOCKS;
}

typedef struct wm_layout {
    wm_span span; /* with the brackets */
    wm_factor *factors;
} wm_layout;

/* ---- rules ---- */

/* number, word or expression where the grammar says const */
typedef wm_expr wm_const;

typedef struct wm_place {
    wm_span span;
    wm_string *name;
    wm_layout *layout;   /* NULL: [...] */
    wm_const *otherwise; /* else c; NULL if absent */
    wm_span else_span;
    bool optional;
    wm_span optional_span;
} wm_place;

typedef struct wm_shape_item {
    wm_span span;
    wm_expr *expr;
    struct wm_shape_item *next;
} wm_shape_item;

typedef struct wm_shape {
    wm_span span;
    wm_shape_item *items;
} wm_shape;

/* an operation after `|` */
typedef struct wm_valueop {
    wm_span span;
    wm_word *tag;  /* f: in `| f: + 1`; NULL if none */
    wm_word *name; /* "+" "cast" "dequant" ... */
    struct wm_oparg {
        wm_span span;
        wm_const *constant; /* one of the three */
        wm_string *string;
        wm_shape *shape;
        struct wm_oparg *next;
    } * args;
    struct wm_valueop *next;
} wm_valueop;

/* what is read: a place, arithmetic over places, or either with operations behind it */
typedef enum wm_value_kind { WM_VA_PLACE, WM_VA_BINARY } wm_value_kind;

typedef struct wm_value {
    wm_value_kind kind;
    wm_span span;
    wm_place *place;
    wm_op op; /* ADD SUB MUL DIV */
    wm_span op_span;
    uint32_t depth; /* as in wm_expr */
    struct wm_value *a, *b;
    wm_valueop *ops;
} wm_value;

typedef struct wm_operand {
    wm_span span;
    wm_word *tag;    /* i: before it; NULL if none */
    wm_value *value; /* on the left */
    wm_place *place; /* on the right */
    wm_word *dtype;  /* on the right, `: f32 [64]`; NULL if absent */
    wm_shape *shape;
    struct wm_operand *next;
} wm_operand;

typedef struct wm_binding {
    wm_span span;
    wm_word *names; /* name = expr */
    wm_expr *expr;
    wm_word *other; /* (names) = (other); then expr is NULL */
    struct wm_binding *next;
} wm_binding;

typedef enum wm_verb_kind {
    WM_VERB_RENAME,
    WM_VERB_PERMUTE,
    WM_VERB_FLIP,
    WM_VERB_SPLIT,
    WM_VERB_MERGE
} wm_verb_kind;

typedef struct wm_verb {
    wm_verb_kind kind;
    wm_span span;
    struct wm_verb_dim {
        int64_t value;
        wm_span span;
        struct wm_verb_dim *next;
    } * dims;
    struct wm_verb *next;
} wm_verb;

typedef struct wm_rule {
    wm_span span;
    bool optional, equal;
    wm_span optional_span, equal_span;
    wm_verb *verbs; /* NULL for a plain rule */
    wm_operand *left, *right;
    wm_span arrow;
    wm_binding *where;
} wm_rule;

/* ---- statements and items ---- */

typedef struct wm_arg {
    wm_word *name;
    wm_expr *value; /* EX_ANY for `_`, EX_NAMED for a hub's call: neither is a value of the core */
    struct wm_arg *next;
} wm_arg;

typedef struct wm_call {
    wm_qname *name;
    wm_arg *args;
    wm_span span;
    struct wm_call *next; /* of a chain */
} wm_call;

typedef struct wm_param {
    wm_word *name;
    wm_expr *value; /* default, NULL if none */
    struct wm_param *next;
} wm_param;

typedef enum wm_stmt_kind {
    WM_ST_RULE,      /* rule */
    WM_ST_FILL,      /* constant, right, like, where */
    WM_ST_DROP,      /* strings, constant (if all c) */
    WM_ST_DROP_META, /* strings */
    WM_ST_META,      /* string = string2 */
    WM_ST_KEEP_REST,
    WM_ST_USE,     /* call */
    WM_ST_ERROR,   /* string */
    WM_ST_DERIVE,  /* words (without) */
    WM_ST_CAST,    /* from, to, policy */
    WM_ST_AXIS,    /* where: bindings, expr NULL for a bare name */
    WM_ST_FORWARD, /* body */
    WM_ST_REVERSE, /* body */
    WM_ST_FOR,     /* string (pattern), or words in expr [.. expr2]; body */
    WM_ST_IF,      /* expr, body, otherwise (a chain of statements: else-body, or one WM_ST_IF) */
    WM_ST_TENSOR,  /* in a model: string : dtype shape */
    WM_ST_HUB      /* hub (compiler/ast_hub.h) */
} wm_stmt_kind;

/* One struct for statements of maps and of models. Most of a long spec are rules, so what they lack stands
 * apart. */
typedef struct wm_stmt {
    wm_stmt_kind kind;
    wm_span span;
    wm_rule *rule;         /* RULE */
    struct wm_stmt_of *of; /* all others; never NULL there */
    struct wm_stmt *next;
} wm_stmt;

typedef struct wm_stmt_of {
    wm_const *constant;
    wm_operand *right;
    wm_string *string, *string2, *like;
    struct wm_string_list {
        wm_string *string;
        struct wm_string_list *next;
    } * strings;
    wm_binding *where;
    wm_call *call;
    wm_word *words, *from, *to, *policy, *dtype;
    wm_shape *shape;
    wm_expr *expr, *expr2;
    wm_stmt *body, *otherwise;
    struct wm_hub_stmt *hub;
} wm_stmt_of;

/* ---- tests ---- */

typedef enum wm_test_kind {
    WM_TS_GIVEN,    /* string = literal */
    WM_TS_EXPECT,   /* string = literal */
    WM_TS_ERROR,    /* word: an id */
    WM_TS_REVERSE,  /* the map run backwards gives what was given */
    WM_TS_TOLERANCE /* constant */
} wm_test_kind;

typedef struct wm_test_stmt {
    wm_test_kind kind;
    wm_span span;
    wm_string *string;
    wm_literal *literal;
    wm_word *word;
    wm_const *constant;
    struct wm_test_stmt *next;
} wm_test_stmt;

typedef enum wm_item_kind {
    WM_IT_IMPORT,  /* string, name (as; may be NULL); one item a string */
    WM_IT_PARAM,   /* name = expr */
    WM_IT_TABLE,   /* name = expr */
    WM_IT_MODEL,   /* qname, params, body; of the hub: dialect, from */
    WM_IT_MAP,     /* name, params, from, to, body; or chain */
    WM_IT_TEST,    /* string (its name), of, tests */
    WM_IT_LAYER,   /* name, body */
    WM_IT_DIALECT, /* name, params, from, body */
    WM_IT_BLOCK,   /* name, params, body */
    WM_IT_ARCH     /* name, params, body; or an instance: name, chain */
} wm_item_kind;

typedef struct wm_item {
    wm_item_kind kind;
    wm_span span;
    wm_string *string;
    wm_word *name;
    wm_qname *qname;
    wm_expr *expr;
    wm_param *params;
    bool has_params;
    wm_call *from, *to, *chain; /* chain: map a = b then c */
    wm_call *dialect;           /* of a model, after `:` */
    bool of_hub;                /* a model of an architecture: with a dialect or `from` */
    wm_call *of;
    wm_stmt *body;
    wm_test_stmt *tests;
    struct wm_item *next;
} wm_item;

typedef struct wm_ast {
    wm_item *items;  /* of a file */
    wm_stmt *rules;  /* of `-e` */
    int64_t version; /* of `wmap 1` */
    bool failed;     /* a syntax error was reported */
} wm_ast;

#endif
