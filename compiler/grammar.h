/* grammar.h: what the scanner (grammar/wmap.l), the grammar (grammar/wmap.y) and parse.c share: the state of
 * one parse, the values of symbols, and the functions by which actions build nodes. Nothing else includes it.
 */
#ifndef WM_GRAMMAR_H
#define WM_GRAMMAR_H

#include "compiler/ast_hub.h"
#include "compiler/diag.h"

#define WM_MAX_NESTING 64   /* brackets, blocks and `else if` in one another */
#define WM_MAX_DEPTH   1000 /* operators in one expression below one another */
#define WM_MAX_FILE    ((size_t)64 << 20)
#define WM_MAX_STRING  ((uint32_t)64 << 10)

/* Lists grow at the end. */
#define WM_CHAIN(type)                                                                                       \
    struct {                                                                                                 \
        type *first, *last;                                                                                  \
    }

typedef union wm_node {
    int64_t i;
    double f;
    wm_str text;
    wm_op op;
    wm_format_kind format;
    wm_word *word;
    wm_qname *qname;
    wm_expr *expr;
    wm_string *string;
    wm_block *block;
    wm_factor *factor;
    wm_layout *layout;
    wm_place *place;
    wm_shape *shape;
    wm_shape_item *shape_item;
    wm_valueop *valueop;
    struct wm_oparg *oparg;
    wm_value *value;
    wm_operand *operand;
    wm_binding *binding;
    wm_verb *verb;
    struct wm_verb_dim *dim;
    wm_rule *rule;
    wm_call *call;
    wm_arg *arg;
    wm_param *param;
    struct wm_string_list *string_item;
    wm_stmt *stmt;
    wm_item *item;
    wm_literal *literal;
    wm_test_stmt *test_stmt;
    wm_index *index;
    wm_ref *ref;
    wm_owner *owner;
    wm_hplace *hplace;
    wm_presence *presence;
    wm_hub_name *hub_name;
    WM_CHAIN(wm_index) indices;
    WM_CHAIN(wm_ref) refs;
    WM_CHAIN(wm_owner) owners;
    WM_CHAIN(wm_hplace) hplaces;
    WM_CHAIN(wm_presence) presences;
    WM_CHAIN(wm_hub_name) hub_names;
    WM_CHAIN(wm_word) words;
    WM_CHAIN(wm_expr) exprs;
    WM_CHAIN(wm_block) blocks;
    WM_CHAIN(wm_factor) factors;
    WM_CHAIN(wm_shape_item) shape_items;
    WM_CHAIN(wm_valueop) valueops;
    WM_CHAIN(struct wm_oparg) opargs;
    WM_CHAIN(wm_operand) operands;
    WM_CHAIN(wm_binding) bindings;
    WM_CHAIN(wm_verb) verbs;
    WM_CHAIN(struct wm_verb_dim) dims;
    WM_CHAIN(wm_call) calls;
    WM_CHAIN(wm_arg) args;
    WM_CHAIN(wm_param) params;
    WM_CHAIN(struct wm_string_list) strings;
    WM_CHAIN(wm_stmt) stmts;
    WM_CHAIN(wm_item) items;
    WM_CHAIN(wm_test_stmt) test_stmts;
    struct {
        wm_stmt *body;
        bool given;
    } otherwise;
} wm_node;

/* Appends a node (perhaps NULL, after an error) to a list. `node` is computed once. */
#define WM_APPEND(list, node)                                                                                \
    do {                                                                                                     \
        __typeof__((list).last) node_once_ = (node);                                                         \
        if (node_once_) {                                                                                    \
            if ((list).last)                                                                                 \
                (list).last->next = node_once_;                                                              \
            else                                                                                             \
                (list).first = node_once_;                                                                   \
            (list).last = node_once_;                                                                        \
        }                                                                                                    \
    } while (0)

/* An open bracket, with the kind of the first token of the statement that it belongs to. */
typedef struct wm_open {
    char kind;      /* ( [ L: labels, H: a hole, B: a block of statements */
    int first;      /* of the statement around a block */
    uint32_t line;  /* counted in newline tokens */
    uint32_t chain; /* `else if` and `then if` of the statement, counted as nesting */
    wm_span span;
} wm_open;

typedef struct wm_token {
    int kind;
    wm_node value;
    wm_span span;
} wm_token;

/* A literal being read: what stood outside of brackets, the numbers, and of each depth of brackets how many
 * items its lists have. */
typedef struct wm_literal_parts {
    struct {
        enum { WM_LP_WORD, WM_LP_NUMBER, WM_LP_LIST } kind;
        wm_span span;
    } tops[5];
    uint32_t top_count; /* those that are more than a literal can have are counted only */
    wm_element *elements;
    size_t count, cap;
    uint32_t depth;
    uint32_t rank;                       /* where the numbers stand; UINT32_MAX: not known yet */
    uint64_t counts[WM_MAX_NESTING + 2]; /* of the open list of each depth */
    uint64_t shape[WM_MAX_NESTING + 2]; /* of the first list of each depth; UINT64_MAX: none was closed yet */
    bool failed;                        /* reported */
} wm_literal_parts;

typedef struct wm_parser {
    wm_unit *unit;
    wm_arena *arena;
    const wm_source *source;
    uint32_t file;
    void *scanner;
    wm_ast *ast;
    wm_item *last_item;
    wm_expr *expr; /* result of START_EXPR */
    wm_call *call; /* of START_CALL */
    int start;     /* START_...: what the text is; given to the parser first */
    bool quiet;    /* nothing is reported, `failed` is set only */
    bool failed;
    bool stopped; /* the rest of the text is not looked at: the parser gets the end of the file */

    /* The filter between scanner and parser. open[0] stands for the text itself, open[depth] is the
     * innermost. */
    wm_open open[WM_MAX_NESTING + 2];
    uint32_t depth;
    uint32_t chains; /* sum of open[].chain */
    wm_token held;   /* comes before the scanner's next one */
    bool holds;
    int previous; /* kind of the last token given to the parser */
    wm_span previous_span;
    int first; /* of the statement */
    wm_span first_span;
    uint32_t given;    /* tokens of the statement so far */
    uint32_t line;     /* newline tokens so far */
    bool recovering;   /* from an error on, up to the end of the statement */
    uint32_t loose;    /* sets of labels that were left open then: their `}` close nothing else */
    uint32_t text_end; /* of the last token that is one */
    wm_span block_end; /* the `}` that closed an item last */
    bool item_error;   /* what stands outside of an item was reported, and no item has come since */
    wm_span last_error;
    wm_span reported[2]; /* where the last findings were */

    /* strings being scanned and built */
    wm_span quote, hole;
    bool string_failed;
    uint32_t stray_line; /* line + 1 of the last one that was reported */
    uint32_t stray_end;  /* end of the last stray character */
    WM_CHAIN(wm_part) parts;
    wm_str pending; /* text of the part being built */
    wm_span pending_span;
    bool has_pending, pending_copied;
    size_t pending_cap;
    char *pending_buffer;

    wm_literal_parts literal;
} wm_parser;

/* ---- parse.c ---- */

/* Reports a finding of the scanner or of an action; NULL if the parse is quiet. Sets `failed`. */
wm_diag *wm_syntax(wm_parser *p, wm_diag_id id, wm_span span, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* An error was found: the filter finds the end of the statement. */
void wm_recover(wm_parser *p);

/* True if the token to come is the first of a statement. */
bool wm_at_start(const wm_parser *p);

/* The bytes of a span; a span from the start of one to the end of another. */
wm_str wm_text_at(const wm_parser *p, wm_span span);

static inline wm_span wm_join(wm_span a, wm_span b)
{
    return (wm_span){a.file, a.beg, b.end};
}

/* Does a statement go on over a newline between tokens of these kinds? */
bool wm_goes_on(int before, int next);

/* The tokens of a text that parses, for `fmt`: strings whole (T_STRING), newlines left out. */
typedef struct wm_lexeme {
    int kind;
    uint32_t beg, end;
} wm_lexeme;
wm_lexeme *wm_lexemes(wm_unit *unit, uint32_t file, size_t *count);

/* ---- grammar/wmap.l ---- */

int wm_scan(wm_node *value, wm_span *span, void *scanner);

/* A scanner over text of `size` bytes, two NULs at its end among them. It writes into the text while it runs.
 */
void *wm_scan_open(wm_parser *p, char *text, size_t size);

/* The character behind the current token, in whose place a NUL is. */
char wm_scan_next(void *scanner);

/* Leaves the text as it was, wherever the scanner stands. */
void wm_scan_close(void *scanner);

#define WM_NEWLINE 1 /* a token that only the filter sees: newlines, blank lines between them */

/* ---- scan.c: what the scanner's rules do beyond one line. Those that return int give the kind of token.
 * ---- */

int wm_scan_int(wm_parser *p, wm_node *value, wm_span span);
int wm_scan_float(wm_parser *p, wm_node *value, wm_span span);
int wm_scan_number(wm_parser *p, wm_span span);
int wm_scan_string(wm_parser *p, wm_node *value, wm_span span, int kind);
int wm_scan_escape(wm_parser *p, wm_node *value, wm_span span);
int wm_scan_unclosed(wm_parser *p, uint32_t end);
bool wm_scan_stray(wm_parser *p, wm_span span);
void wm_scan_in_hole(wm_parser *p, wm_span span);
void wm_scan_brace(wm_parser *p, wm_span span);
void wm_scan_quote_end(wm_parser *p, wm_span span);

/* ---- build.c: one function a node ---- */

wm_word *wm_make_word(wm_parser *p, wm_span span);
wm_qname *wm_make_qname(wm_parser *p, wm_span span, wm_word *first);
wm_qname *wm_qname_more(wm_span span, wm_qname *name, wm_word *word);

wm_expr *wm_make_expr(wm_parser *p, wm_expr_kind kind, wm_span span);
wm_expr *wm_make_number(wm_parser *p, wm_expr_kind kind, wm_span span, int64_t i, double f);
wm_expr *wm_make_name(wm_parser *p, wm_span span, wm_qname *name);
wm_expr *wm_make_string_expr(wm_parser *p, wm_expr_kind kind, wm_span span, wm_string *string);
wm_expr *wm_make_unary(wm_parser *p, wm_expr_kind kind, wm_span span, wm_expr *a);
wm_expr *wm_make_binary(wm_parser *p, wm_op op, wm_span span, wm_span op_span, wm_expr *a, wm_expr *b);
wm_expr *wm_make_if(wm_parser *p, wm_span span, wm_expr *a, wm_expr *b, wm_expr *c);
wm_expr *wm_make_index(wm_parser *p, wm_span span, wm_expr *a, wm_expr *b);
wm_expr *wm_make_call_expr(wm_parser *p, wm_span span, wm_qname *name, wm_expr *args);
wm_expr *wm_make_list(wm_parser *p, wm_span span, wm_expr *args);
wm_expr *wm_make_parens(wm_span span, wm_expr *a);
wm_expr *wm_hub_call(wm_parser *p, wm_span span, wm_qname *name, wm_arg *named);

void wm_string_begin(wm_parser *p);
void wm_string_text(wm_parser *p, wm_span span, wm_str text);
void wm_string_hole(wm_parser *p, wm_span span, wm_expr *expr, wm_format_kind format);
void wm_string_equal(wm_parser *p, wm_span span, wm_word *word, wm_format_kind format);
void wm_string_star(wm_parser *p, wm_span span, wm_part_kind kind);
wm_string *wm_string_end(wm_parser *p, wm_span span);
wm_string *wm_make_string(wm_parser *p, wm_span span, wm_str text, bool raw);
wm_string *wm_no_holes(wm_parser *p, wm_string *string, const char *what);
/* The statement, or NULL if a finding was reported inside it and it holds no others: it takes no further
 * part. */
wm_stmt *wm_sound(wm_parser *p, wm_stmt *stmt);
wm_format_kind wm_check_format(wm_parser *p, wm_span span);
void wm_hole_width(wm_parser *p, wm_span format);

wm_factor *wm_make_axis(wm_parser *p, wm_factor_kind kind, wm_span span, wm_word *name);
wm_factor *wm_make_extent(wm_parser *p, wm_span span, int64_t value);
wm_factor *wm_make_labels(wm_parser *p, wm_span span, wm_block *labels);
wm_factor *wm_make_group(wm_parser *p, wm_span span, wm_block *blocks);
wm_block *wm_make_block(wm_parser *p, wm_span span, wm_word *tag, wm_factor *factors, bool unnamed);
wm_layout *wm_make_layout(wm_parser *p, wm_span span, wm_factor *factors);
wm_shape *wm_make_shape(wm_parser *p, wm_span span, wm_shape_item *items);
wm_shape_item *wm_make_shape_item(wm_parser *p, wm_span span, wm_expr *expr);

wm_place *wm_make_place(wm_parser *p, wm_span span, wm_string *name, wm_layout *layout);
struct wm_oparg *wm_make_oparg(wm_parser *p, wm_span span, wm_const *constant, wm_string *string,
                               wm_shape *shape);
wm_valueop *wm_make_valueop(wm_parser *p, wm_span span, wm_word *tag, wm_word *name, struct wm_oparg *args);
wm_value *wm_make_value(wm_parser *p, wm_span span, wm_place *place);
wm_value *wm_make_arith(wm_parser *p, wm_op op, wm_span span, wm_span op_span, wm_value *a, wm_value *b);
wm_value *wm_with_ops(wm_parser *p, wm_span span, wm_value *value, wm_valueop *ops);
wm_operand *wm_make_source(wm_parser *p, wm_span span, wm_word *tag, wm_value *value);
wm_operand *wm_make_target(wm_parser *p, wm_span span, wm_word *tag, wm_place *place);
wm_binding *wm_make_binding(wm_parser *p, wm_span span, wm_word *names, wm_expr *expr, wm_word *other);
wm_verb *wm_make_verb(wm_parser *p, wm_verb_kind kind, wm_span span, struct wm_verb_dim *dims);
struct wm_verb_dim *wm_make_dim(wm_parser *p, wm_span span, int64_t value);
wm_rule *wm_make_rule(wm_parser *p, wm_span span, wm_span arrow, wm_operand *left, wm_operand *right,
                      wm_binding *where);

wm_call *wm_make_call(wm_parser *p, wm_span span, wm_qname *name, wm_arg *args);
wm_arg *wm_make_arg(wm_parser *p, wm_word *name, wm_expr *value);
wm_param *wm_make_param(wm_parser *p, wm_word *name, wm_expr *value);
struct wm_string_list *wm_make_string_item(wm_parser *p, wm_string *string);
wm_stmt *wm_make_stmt(wm_parser *p, wm_stmt_kind kind, wm_span span);
wm_stmt *wm_make_fill(wm_parser *p, wm_span span, wm_const *constant, wm_operand *targets, wm_string *like,
                      wm_binding *where);
wm_stmt *wm_make_drop(wm_parser *p, wm_stmt_kind kind, wm_span span, struct wm_string_list *strings,
                      wm_const *constant);
wm_stmt *wm_make_cast(wm_parser *p, wm_span span, wm_word *from, wm_word *to, wm_word *policy);
wm_stmt *wm_make_range(wm_parser *p, wm_span span, wm_word *words, wm_expr *first, wm_expr *last);
wm_stmt *wm_make_if_stmt(wm_parser *p, wm_span span, wm_expr *condition, wm_stmt *body, wm_stmt *otherwise);
wm_item *wm_make_item(wm_parser *p, wm_item_kind kind, wm_span span);
wm_item *wm_make_map(wm_parser *p, wm_span span, wm_word *name, wm_param *params, wm_call *from, wm_call *to,
                     wm_stmt *body);
void wm_add_items(wm_parser *p, wm_item *first, wm_item *last);
void wm_check_version(wm_parser *p, wm_span span, int64_t version);
/* E0199 */
void wm_not_yet(wm_parser *p, wm_span span, const char *what);

/* ---- build_hub.c ---- */

wm_index *wm_make_hub_index(wm_parser *p, wm_span span, wm_word *word, wm_expr *number);
wm_ref *wm_make_ref(wm_parser *p, wm_span span, wm_word *name, wm_index *indices);
wm_owner *wm_make_owner(wm_parser *p, wm_span span, wm_word *tag, wm_ref *ref);
wm_hplace *wm_make_hplace(wm_parser *p, wm_span span, wm_string *name, wm_layout *layout);
wm_presence *wm_make_presence(wm_parser *p, wm_span span, bool with, wm_word *words);
wm_hub_name *wm_make_hub_name(wm_parser *p, wm_span span, wm_word *name, wm_expr *indices);
wm_stmt *wm_make_hub(wm_parser *p, wm_hub_kind kind, wm_span span);
/* Statements that begin with a plain word, which says what they are. NULL: reported. */
wm_stmt *wm_hub_word_string(wm_parser *p, wm_span span, wm_word *word, struct wm_string_list *strings);
wm_stmt *wm_hub_let(wm_parser *p, wm_span span, wm_word *word, wm_word *name, wm_expr *expr);
wm_stmt *wm_hub_order(wm_parser *p, wm_span span, wm_word *word, wm_owner *owners);
/* That word, or E0110. */
bool wm_is_word(wm_parser *p, const wm_word *word, const char *text);
/* E0110 if a model that is none of the hub's holds what only those can. */
void wm_check_model(wm_parser *p, const wm_item *item);

/* ---- build_test.c ---- */

wm_test_stmt *wm_make_test_stmt(wm_parser *p, wm_test_kind kind, wm_span span);
void wm_literal_begin(wm_parser *p);
void wm_literal_word(wm_parser *p, wm_span span, bool negative);
void wm_literal_int(wm_parser *p, wm_span span, int64_t i);
void wm_literal_negative(wm_parser *p, wm_span span, int64_t i);
void wm_literal_float(wm_parser *p, wm_span span, double f);
void wm_literal_bool(wm_parser *p, wm_span span, bool b);
void wm_literal_open(wm_parser *p, wm_span span);
void wm_literal_close(wm_parser *p, wm_span span);
wm_literal *wm_literal_end(wm_parser *p, wm_span span); /* NULL: reported */

/* ---- expect.c ---- */

/* Reports what stands at `span` (the token given last) where one of `expected` should. Kinds of tokens. */
void wm_expected(wm_parser *p, wm_span span, const int *expected, int count);

#endif
