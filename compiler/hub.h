/* hub.h: what the rooms of the hub share. The hub turns two models of one architecture into statements of a
 * map (docs/hub.md): hub_arch.c expands the architecture, hub_dialect.c the dialects, hub_model.c places the
 * arrays of each side, hub_derive.c makes statements of what is placed on both, hub_fold.c makes loops of
 * those that are alike. Nothing behind it knows that a statement was derived. */
#ifndef WM_HUB_H
#define WM_HUB_H

#include "compiler/ast_hub.h"
#include "compiler/resolve_internal.h"

#define WM_HUB_DEPTH  32       /* blocks, dialects and models in one another */
#define WM_HUB_VARS   16       /* of one statement's refs */
#define WM_HUB_STEPS  20000000 /* in one derivation: members tried against statements, and the like */
#define WM_HUB_MEMBER 200      /* steps that a member costs: a hundred thousand of them at most */
#define WM_HUB_ONTO   "onto"
#define WM_HUB_OWNERS 256 /* arrays in one tensor */

/* ---- architectures ---- */

/* An extent: of one axis, or of all that are tied to it. */
typedef struct wm_cell {
    bool known;
    int64_t value;
    wm_span span; /* what gave it: an argument */
    const struct wm_cell *like;
} wm_cell;

/* An axis of a member. */
typedef struct wm_hub_axis {
    wm_str name;
    wm_cell *cell;             /* NULL: flattened */
    struct wm_hub_axis *parts; /* of a flattened one */
    uint32_t part_count;
} wm_hub_axis;

/* An array of a kind of layer. */
typedef struct wm_hub_array {
    wm_str name;
    wm_span span;
    const wm_layout *layout; /* the canonical one */
    wmap_dtype dtype;        /* NONE: the float type of the model */
    const wm_const *neutral; /* NULL: required */
    bool buffer;
    const wm_file *file;     /* whose text it is */
    const wm_binding *where; /* ties of axes */
} wm_hub_array;

typedef struct wm_hub_kind_of {
    const wm_decl *decl; /* NULL: of a bare array */
    wm_hub_array *arrays;
    size_t count, cap;
    bool bad; /* reported */
} wm_hub_kind_of;

typedef struct wm_member {
    struct wm_member *parent;
    wm_str name;
    int64_t *index;
    uint32_t index_count;
    const wm_word **index_names; /* as the architecture calls them; NULL where it is an expression */
    wm_str part;                 /* len 0: in none */
    bool left_out;               /* its part is */
    wm_span span;
    const wm_hub_kind_of *layer; /* NULL: a block */
    wm_hub_axis *axes;
    uint32_t axis_count;
    const wm_presence *presence;
    const wm_scope *inner; /* of a block: its parameters */
    const wm_decl *block;  /* or architecture */
    const wm_decl *named;  /* it, or the instance of it that was named */
    struct wm_member **children;
    size_t child_count, child_cap;
    struct wm_hub_item *items; /* of a layer: one for each array */
} wm_member;

/* An array of a member, and where each side has it. */
typedef struct wm_hub_item {
    wm_member *member;
    const wm_hub_array *array;
    struct wm_hub_side_of {
        struct wm_hub_place **places;
        size_t count, cap;
        bool direct;                   /* placed by the model itself */
        uint32_t level;                /* of the statement that did it */
        struct wm_hub_place **waiting; /* such places, until their turn comes */
        size_t waiting_count, waiting_cap;
    } sides[2];
    const wm_word *label;     /* where members are stacked in one tensor: which of them it is of */
    int64_t stacked_at;       /* its index */
    const wm_owner *stems[2]; /* what a side's statement that stacks calls it */
    uint32_t number, group;   /* of hub_derive.c */
    bool folded;              /* into another one */
    bool taken;               /* by rules that were written */
    struct wm_hub_folded {    /* what is added to this one */
        struct wm_hub_item *item;
        wm_op op;
        struct wm_hub_folded *next;
    } * folds;
} wm_hub_item;

/* ---- dialects ---- */

/* One tensor of a placement, with all that was restated. */
typedef struct wm_hub_tensor {
    wm_span span;
    const wm_word *tag;
    const wm_string *name;
    const wm_scope *name_scope;
    const wm_layout *layout;
    const wm_const *otherwise;
    bool optional;
    const wm_valueop *ops;
    const wm_scope *scope; /* of constants */
} wm_hub_tensor;

typedef struct wm_placing {
    wm_span span;
    const wm_owner *owners; /* plain names */
    uint32_t owner_count;
    wm_hub_tensor *tensors;
    uint32_t count;
    const wm_binding *where;
    bool removed;
} wm_placing;

/* A kind of layer as a dialect has it. */
typedef struct wm_placed_kind {
    const wm_hub_kind_of *layer;
    wm_span span;
    const wm_string *class;
    const wm_scope *scope;
    wm_placing *placings;
    size_t count, cap;
    const wm_string *all;
    const wm_scope *all_scope;
    const struct wm_string_list *order;
    const wm_scope *order_scope;
} wm_placed_kind;

typedef struct wm_dialect {
    const wm_decl *decl;
    const wm_scope *scope;
    const wm_string *name;
    const wm_scope *name_scope;
    const wm_word *flatten;
    const wm_qname *format;
    struct wm_hub_meta {
        const struct wm_hub_stmt *stmt;
        const wm_scope *scope;
    } * metas;
    size_t meta_count, meta_cap;
    const wm_string *all;
    const wm_scope *all_scope;
    wm_placed_kind *kinds;
    size_t kind_count, kind_cap;
} wm_dialect;

/* ---- sides ---- */

/* One tensor of one side. */
typedef struct wm_hub_place {
    wm_str name;
    wm_span span;
    const wm_hub_tensor *tensor;
    struct wm_hub_owner_of {
        wm_hub_item *item;
        const wm_word *tag;
    } * owners;
    uint32_t owner_count;
    uint32_t each;          /* of stacked members: arrays of one; 0: it has no stacked ones */
    struct wm_stack *stack; /* of a block; NULL: of none */
    int64_t stacked_at;
    const wm_binding *where;
    const wm_dialect *dialect;
    size_t order;
    size_t in_header;     /* of A: the tensor's number in the source, SIZE_MAX */
    wmap_dtype dtype;     /* there */
    const wm_line *taken; /* by this rule, which was written; NULL */
    bool done, dropped, filled;
} wm_hub_place;

/* A statement of a model, with the scope in which it stands. */
typedef struct wm_hub_line {
    const struct wm_hub_stmt *stmt;
    const wm_scope *scope;
    uint32_t level; /* 0: of the model itself; its parents come after it */
    int64_t nth;
    size_t matched;
} wm_hub_line;

typedef struct wm_hub_lines {
    wm_hub_line *items;
    size_t count, cap;
} wm_hub_lines;

typedef struct wm_hub_model {
    const wm_decl *decl;
    const char *name; /* vgg16.keras */
    wm_span span;     /* of the call */
    const wm_dialect *dialect;
    wm_hub_lines lines; /* of its parents first */
} wm_hub_model;

typedef struct wm_hub_side {
    wm_hub_model *model;
    int number; /* 0: A, 1: B */
    wm_hub_place **places;
    size_t count, cap;
    wm_map names;
    struct wm_hub_serial {
        wm_str class;
        int64_t count;
    } * serials;
    size_t serial_count, serial_cap;
    struct wm_hub_stated { /* ignore, fill, meta, format */
        const struct wm_hub_stmt *stmt;
        const wm_scope *scope;
    } * stated;
    size_t stated_count, stated_cap;
} wm_hub_side;

/* A derivation. */
typedef struct wm_hub {
    wm_resolver *r;
    wm_arena *arena;
    const wm_file *file;  /* from which models are named */
    const wm_decl *arch;  /* the base */
    const wm_decl *named; /* it, or the instance */
    const wm_scope *scope;
    struct wm_givens *counted; /* parameters that bound loops, as the source has members; NULL */
    wm_member *root;
    const wm_member **members; /* by their number in member_names */
    size_t member_count, member_cap;
    wm_map member_names;
    wm_member **layers;
    size_t layer_count, layer_cap;
    wm_hub_kind_of **kinds;
    size_t kind_count, kind_cap;
    struct wm_hub_shared {
        const wm_named *param;
        wm_cell *cell;
    } * shared;
    size_t shared_count, shared_cap;
    struct wm_hub_fold { /* `fold` in a block or architecture, and where */
        const struct wm_hub_stmt *stmt;
        wm_member *in;
        const wm_scope *scope;
    } * folds;
    size_t fold_count, fold_cap;
    wm_hub_side sides[2];
    uint64_t steps;
    bool onto;      /* what is not written comes from the source with the prefix WM_HUB_ONTO */
    wm_span taking; /* what asks for it */
    bool unknown;   /* some extent is, for want of a file */
    bool failed;
} wm_hub;

/* ---- hub_arch.c ---- */

/* An argument of a call, computed; the dialect, the model or the architecture takes it. */
typedef struct wm_given {
    const wm_word *name;
    wm_val value;
    wm_decl_state state;
    bool used;
} wm_given;

typedef struct wm_givens {
    wm_given *items;
    size_t count, cap;
} wm_givens;

/* Adds the arguments of a call that are not given yet. False: reported. */
bool wm_hub_give(wm_hub *h, const wm_scope *caller, const wm_call *call, wm_givens *givens);

/* Binds the parameters of a declaration; those without a value are `id`. NULL: reported. `up` is the scope
 * around. */
wm_scope *wm_hub_bind(wm_hub *h, const wm_decl *decl, wm_givens *givens, const wm_scope *up, wm_span at,
                      wm_diag_id id);

/* E0129 for what nobody took. */
bool wm_hub_all_used(wm_hub *h, const wm_givens *givens, const wm_decl *decl);

/* The kind of layer of that name that a file sees; NULL: there is none. */
const wm_hub_kind_of *wm_hub_find_kind(wm_hub *h, const wm_file *file, const wm_word *name);

/* Expands the architecture into h->root. False: reported. */
bool wm_hub_expand(wm_hub *h);

/* "conv[1,2]" */
const char *wm_member_text(wm_hub *h, const wm_member *member);

/* "conv[1,2].kernel" */
const char *wm_item_text(wm_hub *h, const wm_hub_item *item);

/* Counts steps; false if there are too many (reported once). */
bool wm_hub_step(wm_hub *h, uint64_t steps, wm_span at);

/* The axis of a member, flattened parts too; NULL: none. */
const wm_hub_axis *wm_hub_find_axis(const wm_member *member, wm_str name);

/* The scope of what follows a `let`. */
const wm_scope *wm_hub_let_scope(wm_hub *h, const wm_scope *scope, const struct wm_hub_stmt *s);

/* Does that ref (one name with indices) match that child? Variables are bound in `items` (room for as many as
 * it has indices), which `*count` counts. Comparisons are computed in `scope`. */
bool wm_hub_matches(wm_hub *h, const wm_ref *ref, const wm_member *child, const wm_scope *scope,
                    wm_named *items, uint32_t *count);

/* ---- hub_axis.c ---- */

/* The axes of a layer, with the extents that the arguments give. */
void wm_hub_make_axes(wm_hub *h, wm_member *m, const wm_scope *scope, const wm_arg *args);

/* Those of a bare array are extents of the architecture: `array [n d]`. */
void wm_hub_bare_axes(wm_hub *h, wm_member *m, const wm_scope *scope);

/* ---- hub_dialect.c ---- */

/* The dialect that a call names. NULL: reported. */
const wm_dialect *wm_hub_dialect(wm_hub *h, const wm_file *file, const wm_scope *caller, const wm_call *call,
                                 wm_span at);

/* How a dialect places a kind; NULL: not at all. */
const wm_placed_kind *wm_hub_placed(const wm_dialect *dialect, const wm_hub_kind_of *layer);

/* A copy with the placements of a body restated. */
wm_placed_kind *wm_hub_restate(wm_hub *h, const wm_placed_kind *kind, const wm_scope *scope,
                               const wm_stmt *body);

/* ---- hub_model.c ---- */

/* The architecture behind an instance; adds the arguments on the way. NULL: reported. */
const wm_decl *wm_hub_base(wm_hub *h, const wm_decl *decl, wm_givens *givens);

/* The model that a call names. Sets h->named and h->arch, or wants those; adds what the call and the instance
 * give. NULL: reported. */
wm_hub_model *wm_hub_open_model(wm_hub *h, const wm_call *call, const wm_scope *caller, wm_givens *givens);

/* Binds the architecture's parameters. */
bool wm_hub_open_arch(wm_hub *h, wm_givens *givens, wm_span at);

/* Binds the model's parameters and those of its parents, opens the dialect, lists the statements. */
bool wm_hub_open_levels(wm_hub *h, wm_hub_model *model, wm_givens *givens);

/* The statements and the dialect of a model that names the members of a member, an architecture. NULL:
 * reported. `level` is theirs. */
const wm_hub_model *wm_hub_open_below(wm_hub *h, const wm_call *call, const wm_scope *caller,
                                      const wm_member *m, uint32_t level);

/* The statements of a body, its loops and conditions unrolled. */
void wm_hub_list_lines(wm_hub *h, const wm_stmt *stmts, const wm_scope *scope, uint32_t level,
                       wm_hub_lines *out);

/* ---- hub_place.c ---- */

/* Places all arrays of a side. */
void wm_hub_place_side(wm_hub *h, int side);

/* An array that a chain of refs names, and its variables. */
typedef struct wm_hub_found {
    wm_hub_item *item;
    wm_named vars[WM_HUB_VARS];
    uint32_t count;
} wm_hub_found;

/* All arrays below `parent` that a chain of refs names. */
void wm_hub_find_items(wm_hub *h, const wm_member *parent, const wm_ref *ref, const wm_scope *scope,
                       const wm_hub_found *so_far, wm_hub_found **list, size_t *count, size_t *cap);

/* Have the variables of both the same values? */
bool wm_hub_agree(const wm_hub_found *a, const wm_hub_found *b);

/* ---- hub_layout.c ---- */

/* The layout of a place as it stands in the dialect, or the canonical one; a copy with other tags and axes:
 * `tags` are those of the owners in a shared tensor, `around` are put around the first axis. */
typedef struct wm_hub_rename {
    const wm_word **tags;     /* one an owner; NULL: as they are */
    const wm_word *around[2]; /* more tags; NULL: none */
    const wm_str *const *to;  /* one an owner: the names of its member's axes; NULL: as they are */
    const bool *missing; /* one an owner: the other side has none, its block is `_`; NULL: all are there */
} wm_hub_rename;
wm_layout *wm_hub_layout(wm_hub *h, const wm_hub_place *place, const wm_hub_rename *rename);

/* The layout that a place has in the text, or the canonical one of its array. */
const wm_layout *wm_place_layout(const wm_hub_place *place);

/* The owner whose tag a block has; -1: none. */
int wm_block_owner(const wm_hub_place *place, const wm_block *block);

/* Is that an axis of the array? */
bool wm_array_axis(const wm_hub_array *array, wm_str name);

/* Checks the layout of a place against its arrays: E1006. */
bool wm_hub_check_place(wm_hub *h, const wm_hub_place *place);

/* Does a place hold all labels of an array? */
bool wm_hub_whole(const wm_hub_place *place, const wm_hub_array *array);

/* Checks that the places of an item hold all its labels: E1007. */
void wm_hub_check_labels(wm_hub *h, const wm_hub_item *item, int side);

/* ---- hub_extent.c ---- */

/* The shape of a place. False: some extent is not known; `*unknown` counts those of the dimension that has
 * most. */
bool wm_hub_shape(wm_hub *h, const wm_hub_place *place, uint64_t *shape, uint32_t *rank);
bool wm_hub_needs_where(wm_hub *h, const wm_hub_place *place);

/* How many tensors of the source have less room than their model stacks members in them. */
size_t wm_hub_overfull(wm_hub *h, const wmap_compile_options *options);

/* Solves unknown extents by the tensors of the source, and compares: E1009, E0504. */
void wm_hub_solve(wm_hub *h, const wmap_compile_options *options);

/* ---- hub_ops.c ---- */

/* The operations of a place with their constants; NULL with *ok false: reported. */
wm_valueop *wm_hub_ops(wm_hub *h, const wm_hub_place *place, bool *ok);

/* Their inverses, from right to left. */
wm_valueop *wm_hub_inverse(wm_hub *h, const wm_hub_place *place, bool *ok);

/* Are those the same operations, with the same constants? */
bool wm_hub_same_ops(const wm_valueop *a, const wm_valueop *b);

/* What a constant of the array is in the file. */
bool wm_hub_constant(wm_hub *h, const wm_hub_item *item, const wm_hub_place *place, wm_expr **out);

/* ---- hub_rule.c ---- */

/* The statements of a derivation, in order, each with where it comes from. */
typedef struct wm_hub_out {
    wm_stmt *stmt;
    const wm_member *member; /* NULL: none in particular */
    const wm_hub_item *item;
    const wm_hub_place *sides[2];
    size_t rows; /* rounds of a loop */
} wm_hub_out;

typedef struct wm_hub_outs {
    wm_hub_out *items;
    size_t count, cap;
} wm_hub_outs;

/* One rule of a group of connected arrays. */
void wm_hub_rule(wm_hub *h, wm_hub_item **items, size_t count, wm_hub_outs *out);

wm_string *wm_hub_string(wm_hub *h, wm_str text, wm_span span);
wm_expr *wm_hub_int(wm_hub *h, int64_t i, wm_span span);

/* ---- hub_derive.c ---- */

/* Is an array on both sides? */
bool wm_hub_both(const wm_hub_item *item);

/* What the hub makes of the two models. */
void wm_hub_derive(wm_hub *h, wm_hub_outs *out);

wm_stmt *wm_hub_stmt_of(wm_hub *h, wm_stmt_kind kind, wm_span span);

/* `[shape]` of a fill. */
wm_shape *wm_hub_shape_of(wm_hub *h, wm_span span, const uint64_t *shape, uint32_t rank);

/* ---- hub_stated.c ---- */

/* Adds A's `ignore` as drops, B's fills and metadata. */
void wm_hub_stated(wm_hub *h, wm_hub_outs *out);

/* The format of B's files, by its model or its dialect; len 0: they say none. */
wm_str wm_hub_format(const wm_hub *h);

/* Does the source's model say that this tensor is none of its weights? */
bool wm_hub_ignored(wm_hub *h, wm_str name);

/* ---- hub_fold.c ---- */

/* Puts statements that differ in numbers only into loops. */
void wm_hub_loops(wm_hub *h, wm_hub_outs *outs);

/* ---- hub_print.c ---- */

/* A statement as text. With `slots` the numbers in names, bindings and shapes are left out and listed: what
 * stays is the same for statements that differ in numbers only. */
typedef struct wm_hub_slots {
    int64_t *items;
    size_t count, cap;
} wm_hub_slots;
void wm_hub_print_layout(const wm_layout *layout, wm_buffer *out);
void wm_hub_print_name(wm_str name, wm_buffer *out);
void wm_hub_print(const wm_stmt *stmt, int level, wm_buffer *out, wm_hub_slots *slots);

/* Is the run of digits at `at` of a name a number (one that is written without zeros before it)? Its end. */
uint32_t wm_hub_digits(wm_str text, uint32_t at, int64_t *value);

/* ---- hub_check.c ---- */

/* Counts the members in the source for parameters that bound loops. */
bool wm_hub_count(wm_hub *h, const wm_scope *scope, const wm_call *from, wm_givens *counted);

/* E1011 if the source has nothing of its model. */
bool wm_hub_right_file(wm_hub *h);

/* ---- hub.c ---- */

wm_hub *wm_hub_new(wm_resolver *r, const wm_file *file);

/* Opens the models, `to` if it is not NULL. False: reported. */
bool wm_hub_open(wm_hub *h, const wm_scope *scope, const wm_call *from, const wm_call *to);

/* How many tensors of the source its model has. */
size_t wm_hub_count_found(wm_hub *h);

/* Is that the call of a model of an architecture? */
bool wm_hub_is_model(wm_resolver *r, const wm_file *file, const wm_call *call);

/* ---- hub_side.c ---- */

/* The tensors of side A; floats have no dtype. NULL: some extent is not known, which is reported if `needed`.
 */
const wm_model *wm_hub_declare(wm_hub *h, bool needed);

/* Those of a model that is a side of a map which derives nothing: with the extents of the file of that side.
 * `read`: the map reads it. NULL: reported, or not known. */
const wm_model *wm_hub_side_of(wm_resolver *r, const wm_context *c, const wm_call *call, bool read);

/* What a derivation is asked for. */
typedef struct wm_hub_wish {
    const wm_file *file; /* that names the models */
    const wm_scope *scope;
    const wm_call *from, *to;
    const wm_word *without, *only;
    wm_buffer *text; /* if not NULL, what was derived as the text of a map */
} wm_hub_wish;

/* Derives the map of two models. Its statements, NULL if there are none or if that failed (reported); the
 * program is told about its sides. */
wm_stmt *wm_hub_run(wm_resolver *r, const wm_hub_wish *wish);

/* Expands all models of a file that has declarations of the hub and no map to run; false if it has none. */
bool wm_hub_check_file(wm_resolver *r, const wm_file *file);

/* Compares a model with the source's header. */
void wm_hub_check(wm_resolver *r, const wm_file *file, const char *as);

#endif
