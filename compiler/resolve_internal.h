/* resolve_internal.h: what the rooms of resolve share. resolve.c calls them in this order: files, models,
 * lines (which call rules, patterns, layouts, verbs). */
#ifndef WM_RESOLVE_INTERNAL_H
#define WM_RESOLVE_INTERNAL_H

#include "compiler/resolve.h"
#include "compiler/scope.h"

#define WM_MAX_ROUNDS   1000000
#define WM_MAX_FINDINGS 100000 /* in loops */
#define WM_MAX_LINES    4000000
#define WM_MAX_VARS     256
#define WM_MAX_USES     32
#define WM_MAX_STAGES   64

/* A map of statements to run, alone or as a part of a chain. */
typedef struct wm_stage {
    const wm_decl *map;
    const wm_call *call;    /* what names it and gives it arguments; NULL: the command line */
    const wm_scope *caller; /* of the arguments */
    wm_span at;             /* what to point at when a value is missing */
} wm_stage;

/* A `derive` that was met: it comes after all that is written beside it. */
typedef struct wm_deriving {
    const wm_stmt *stmt;
    const wm_scope *scope;
    const wm_file *file;
} wm_deriving;

typedef struct wm_resolver {
    wm_unit *unit;
    wm_arena *statement; /* what is known of a statement: the scratch if it is walked but once */
    const wmap_compile_options *options;
    wm_world world;
    wm_file **files; /* in order of loading; the given one first */
    size_t file_count, file_cap;
    wm_file **finished; /* imported ones before those that import them */
    size_t finished_count, finished_cap;
    wm_stage *stages; /* in the order in which they run */
    size_t stage_count, stage_cap;
    wm_program *program;  /* of the stage that is walked */
    wm_deriving deriving; /* stmt NULL: none */
    bool reverse;         /* the map runs from its target to its source */
    bool target_known;    /* the names of the side that is written are declared, by a model or by a file */
    wm_names *read;       /* of the side that is read; NULL if it is not known */
    wm_names *written;    /* of --target-like; NULL without */
    uint32_t rounds;      /* of loops and uses, so far */
    bool spent;           /* too many: reported */
    uint32_t axes_ids;    /* given out so far */
    wm_map info_map;      /* a rule's or fill's address -> infos */
    struct wm_rule_info **infos;
    size_t info_count, info_cap;
    const wm_val *distinct; /* the entries of the table that was last found to be distinct */
    wm_hole *holes;         /* scratch of resolve_pattern.c */
    size_t hole_cap;
    wm_names *no_names;                   /* an empty index */
    struct wm_layout_names *layout_names; /* scratch of resolve_layout.c */
} wm_resolver;

/* Where a statement stands. Passed down by value; nothing goes back up. */
typedef struct wm_context {
    const wm_scope *scope;
    const wm_axes *axes;
    const wm_file *file; /* whose text the statement is */
    const char *round;   /* "b=1, k=2", "" outside loops */
    enum { WM_BOTH_WAYS, WM_FORWARD, WM_REVERSE } direction;
    bool derived;   /* by the hub, which derives both directions itself */
    bool uncertain; /* under a condition that cannot be answered: no `error` is reached */
    bool poison;    /* something around it is wrong: its lines take no part */
    uint32_t depth; /* of `use` */
    const struct wm_used {
        const wm_decl *map;
        const struct wm_used *up;
    } * used;
} wm_context;

/* Does what stands here take part in the direction that is compiled? */
static inline bool wm_takes_part(const wm_resolver *r, const wm_context *context)
{
    return context->direction == WM_BOTH_WAYS || (context->direction == WM_REVERSE) == r->reverse;
}

/* Is it turned: written for the other direction than the one that is compiled? */
static inline bool wm_is_turned(const wm_resolver *r, const wm_context *context)
{
    return r->reverse && context->direction == WM_BOTH_WAYS;
}

/* ---- resolve_files.c ---- */

/* Loads the imports of the given file, declares what all files hold, applies -D and computes all values. */
wm_file *wm_load(wm_resolver *r, uint32_t source, const wm_ast *ast);

/* Computes the values that had to wait for names of the source. */
void wm_compute_values(wm_resolver *r);

/* Binds the arguments of a call to the parameters of a map or model; NULL if that fails (reported). `call`
 * may be NULL: all parameters take their defaults. `at` is what to point at when a value is missing. */
const wm_scope *wm_bind_arguments(wm_resolver *r, const wm_scope *caller, const wm_decl *decl,
                                  const wm_call *call, wm_span at);

/* A hint over the maps or models that a file sees. */
void wm_suggest_decl(wm_resolver *r, wm_diag *diag, const wm_file *file, wm_str name, wm_item_kind kind);

/* ---- resolve.c ---- */

/* A call of the command line. NULL: reported. */
const wm_call *wm_option_call(wm_resolver *r, const char *flag, const char *text);

/* ---- tests.c ---- */

/* Checks the tests of the given file: E0110, E0126, E0129 to E0131, E0140, E0141, E0301, E0304, E0608, E0801,
 * E0905. */
wm_tests *wm_make_tests(wm_resolver *r, const wm_file *main);

/* Adds the rules of the maps that the tests are of. */
void wm_list_tested_rules(wm_resolver *r, const wm_file *main, wm_tests *tests);

/* The map that a test is of; NULL: reported. */
const wm_decl *wm_tested_map(wm_resolver *r, const wm_file *main, const wm_item *test);

/* ---- model.c ---- */

/* The model that `from` or `to` names, with its arguments; NULL if there is none (reported). `read`: it is of
 * the side that the map reads. */
const wm_model *wm_make_model(wm_resolver *r, const wm_context *context, const wm_call *call, bool read);

/* The extents of a shape. False: reported (E0143, E0905). */
bool wm_known_shape(wm_resolver *r, const wm_scope *scope, const wm_shape *shape, uint32_t *rank,
                    const uint64_t **extents);

/* The dtype of that name. False: reported (E0141). */
bool wm_make_dtype(wm_resolver *r, const wm_word *word, wmap_dtype *dtype);

/* ---- resolve_lines.c ---- */

/* Appends the lines of a list of statements to the program. */
void wm_walk(wm_resolver *r, const wm_context *context, const wm_stmt *statements);

/* Counts rounds. False if there are too many (reported once). */
bool wm_spend(wm_resolver *r, wm_span span, uint64_t rounds);

/* One round of a loop: a scope with the values of its variables. The items are to be filled by the caller. */
wm_named *wm_new_round(wm_resolver *r, const wm_context *context, uint32_t count, wm_context *inner);

/* Settles the text of a round once its items are filled. */
void wm_name_round(wm_resolver *r, const wm_context *outer, wm_context *inner);

/* Calls `body` for each round of a `for` over values (not over names). */
typedef void wm_round_fn(wm_resolver *r, const wm_context *context, const wm_stmt *loop, void *user);
void wm_each_round(wm_resolver *r, const wm_context *context, const wm_stmt *loop, wm_round_fn *body,
                   void *user);

/* The condition of an `if`: UNKNOWN if both sides must be looked into. */
wm_evaluated wm_condition(wm_resolver *r, const wm_context *context, const wm_expr *expr, bool *value);

/* Findings queued after `before` belong to this round. */
void wm_stamp_round(wm_resolver *r, const wm_context *context, const wm_diag *before);

/* ---- resolve_rule.c ---- */

void wm_add_rule(wm_resolver *r, const wm_context *context, const wm_stmt *stmt);
void wm_add_fill(wm_resolver *r, const wm_context *context, const wm_stmt *stmt);
void wm_add_drop(wm_resolver *r, const wm_context *context, const wm_stmt *stmt);

/* Appends a line, or forgets it if it belongs to the other direction. */
void wm_add_line(wm_resolver *r, const wm_context *context, const wm_line *line);

/* "... is not supported yet", but not for the direction that is not compiled. */
void wm_unsupported(wm_resolver *r, const wm_context *context, wm_span span, const char *what);

/* ---- resolve_ops.c ---- */

/* The policy of a cast. False: reported. */
bool wm_make_policy(wm_resolver *r, wm_str name, wm_span span, enum wm_policy *policy);

/* An operation of the language; `args` is how many constants it takes. A decoder's kind is WM_STEP_LOAD. */
typedef struct wm_op_row {
    const char *name;
    wm_step_kind kind;
    int args;
} wm_op_row;

/* The operation of that name; NULL: reported (E0320). */
const wm_op_row *wm_find_op(wm_resolver *r, const wm_word *name);

/* A step from what is written. False: reported. */
bool wm_make_step(wm_resolver *r, const wm_valueop *op, const wm_op_row *row, wm_step *step);

/* The decoder that stands behind a place, without the name of its scales; NULL: reported (E0302). */
const wm_decoder *wm_make_decoder(wm_resolver *r, const wm_value *value, const wm_valueop *op,
                                  const wm_op_row *row);

/* ---- resolve_layout.c ---- */

/* What a layout says by its form alone. */
typedef struct wm_form_of {
    bool failed, dots;
    wm_str *axes; /* as often as they stand in it */
    size_t axis_count, axis_cap;
} wm_form_of;

/* Checks the form of a layout: E0201 to E0204, E0206, E0208, E0209. */
wm_form_of wm_check_layout(wm_resolver *r, const wm_scope *scope, const wm_layout *layout,
                           const wm_word *tag);

/* ---- verbs.c ---- */

/* The layouts and tags that the verbs of a rule mean, one for each operand. False: reported (E0210 to E0213).
 */
typedef struct wm_verb_form {
    const wm_layout **left, **right;
    wm_str *left_tags, *right_tags; /* len 0: none */
} wm_verb_form;
bool wm_expand_verbs(wm_resolver *r, const wm_rule *rule, wm_verb_form *form);

/* ---- resolve_pattern.c ---- */

typedef enum wm_use {
    WM_USE_READ,    /* names of the source; wildcards are refused */
    WM_USE_WRITTEN, /* names that are made */
    WM_USE_LOOKED   /* names of the source where nothing is written: `{*}` and `{**}` are allowed */
} wm_use;

/* The variables of one line, in the order in which they are met. */
typedef struct wm_vars {
    wm_var *items;
    wm_format_kind *formats; /* STAR or STARSTAR of a text variable; NONE of an integer */
    size_t count, cap, format_cap;
} wm_vars;

/* Notes the captures of a string. All strings of a line are noted before a pattern is made, because the
 * format of a variable stands in one hole only. False: reported. */
bool wm_note_vars(wm_resolver *r, const wm_scope *scope, const wm_string *string, wm_use use, wm_vars *vars);

/* Makes the pattern of a string. `seen`, if not NULL, is set for the variables that occur in it. False:
 * reported. */
bool wm_make_pattern(wm_resolver *r, const wm_scope *scope, const wm_string *string, wm_use use,
                     const wm_vars *vars, wm_pattern *pattern, bool *seen);

#endif
