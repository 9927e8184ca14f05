/* pass.h: what the passes after resolve hand to each other: forms (a line's layouts, compiled once),
 * instances (a form bound to tensors), target tensors, moves. Each pass is one file and one or two functions,
 * listed here in the order in which they run. They run over batches of lines (compile.c): instances are in
 * the unit's scratch and last for a batch, forms in an arena of their own, because a line that matches many
 * names is several batches; target tensors and moves are in the unit's arena. */
#ifndef WM_PASS_H
#define WM_PASS_H

#include "compiler/names.h"
#include "compiler/program.h"
#include "runtime/base/map.h"

#define WM_NONE UINT32_MAX

/* ---- the two sides ---- */

/* A tensor of a side: read off a header, or declared. */
typedef struct wm_side_tensor {
    wm_str name;
    wmap_dtype dtype;
    uint32_t rank;
    const uint64_t *shape;
    const wm_declared *declared; /* wm_nowhere_declared if it is only of a file */
    const char *label;           /* of the file or model */
    wm_str called;               /* source, for judge.c: the alias by which a rule found it, if it did */
    const wm_pattern *pattern;   /* source: the pattern that matched it first; NULL if none did */
    bool used, dropped, excused; /* source; excused: an error was reported, say no more */
    bool written;                /* declared target */
} wm_side_tensor;

/* What no text declares: its spans are nowhere. */
extern const wm_declared wm_nowhere_declared;

typedef struct wm_side {
    bool known; /* the names and shapes of this side are all known */
    bool file;  /* from a file's header, not (only) from a model */
    const char *label;
    wm_side_tensor *tensors;
    size_t count;
    wm_str *names; /* of the tensors */
    wm_names *index;
    const wm_str *aliases; /* of the tensors, empty where there is none; NULL if there are none at all */
    wm_str
        *bare; /* the names and aliases without their digits; made when the first suggestion is looked for */
} wm_side;

/* ---- forms: layout.c ---- */

typedef struct wm_axis {
    wm_str name; /* len 0: the rest of a dimension (`_`) */
    wm_span span;
    bool left, right;      /* where it occurs */
    uint32_t var;          /* a variable of the line: it numbers tensors; WM_NO_VAR otherwise */
    const wm_axes *shared; /* the `axis` statement it belongs to, NULL if it is the rule's own */
    uint32_t item;         /* of shared */
    int64_t fixed;         /* the extent of `_: 4`; -1 otherwise */
} wm_axis;

typedef enum wm_node_kind { WM_NODE_AXIS, WM_NODE_ONE, WM_NODE_GROUP, WM_NODE_BLOCKS } wm_node_kind;

typedef struct wm_node {
    wm_node_kind kind;
    wm_span span;
    uint32_t axis;        /* AXIS */
    bool reversed;        /* AXIS */
    bool equal;           /* AXIS: `=a` */
    int64_t value;        /* NUMBER: its extent; 1 but in a block left out, `_: 4` */
    uint32_t blocks;      /* BLOCKS: its number within the layout */
    struct wm_node *kids; /* GROUP: factors; BLOCKS: one GROUP a block */
    struct wm_nblock {
        bool unnamed;
        uint32_t tag; /* of the form, WM_NONE if it has none */
        wm_span span;
    } * block; /* BLOCKS */
    uint32_t count;
} wm_node;

/* One choice of blocks: the elements that one tag set and axis set reach. */
typedef struct wm_piece {
    uint32_t term;    /* operand of its side */
    uint32_t *choice; /* a block for each BLOCKS node of the layout that is reached; else WM_NONE */
    uint32_t *tags;   /* sorted */
    uint32_t tag_count;
    uint32_t *axes; /* sorted, distinct; those that number tensors too */
    uint32_t axis_count;
    uint32_t *keys; /* what it is paired by beside the tags: the axes, where those of a `( ) = ( )` are one */
    uint32_t key_count;
    uint32_t
        *equals; /* axes along which it does not vary, in the order of the layout; a name's are the last */
    uint32_t equal_count;
    bool unnamed;      /* some `_` was chosen: reached by no index */
    bool twice;        /* an axis stands in two dimensions: only their diagonal is reached */
    bool second;       /* source: of another place of arithmetic */
    uint32_t *seconds; /* source: for each further place of its operand the piece that goes with it */
    uint32_t pair;     /* target: the piece of the source, the first of copies; WM_NONE if it has none */
    uint32_t head;     /* source: the first of its copies, perhaps itself */
    uint32_t next;     /* source: the next of its copies, WM_NONE if it is the last */
} wm_piece;

typedef struct wm_placement {
    const wm_term *term;
    wm_node *dims;
    uint32_t dim_count;  /* without `...` */
    uint32_t dots;       /* `...` stands before dims[dots]; WM_NONE if it doesn't stand */
    uint32_t blocks;     /* number of BLOCKS nodes */
    uint32_t *name_axes; /* axes that number its tensors, in the order of their holes */
    uint32_t name_axis_count;
    uint32_t *copy_axes; /* those of `{=s}`; of a target they are among name_axes */
    uint32_t copy_axis_count;
    bool unnamed; /* it has a `_` */
} wm_placement;

/* `where (a b) = (q p)`: the same elements, counted by other axes. */
typedef struct wm_recount {
    wm_span span;
    uint32_t *axes[2], count[2]; /* of each side of the `=`, the slowest first */
} wm_recount;

typedef struct wm_form {
    const wm_line *line;
    wm_axis *axes;
    size_t axis_count, axis_cap;
    struct wm_form_tag {
        wm_str name;
        wm_span span;
        bool left, right;
    } * tags;
    size_t tag_count, tag_cap;
    wm_placement *left, *right; /* as the line's terms */
    wm_piece *sources, *targets;
    size_t source_count, source_cap, target_count, target_cap;
    wm_recount *recounts;
    size_t recount_count, recount_cap;
    bool *is_axis; /* by variable of the line */
    bool failed;
} wm_form;

/* Compiles the layouts of a rule or fill, expands them to pieces and pairs them. Reports E0214, E0510, E0511,
 * E0512, E0517, E0518, E0902, E0903, E0301 (where). */
wm_form *wm_layout_pass(wm_unit *unit, const wm_line *line);

/* pair.c: pairs the pieces of a form; a part of the layout pass. */
void wm_pair_pieces(wm_unit *unit, wm_form *form);

/* ---- instances: match.c ---- */

typedef struct wm_bound {
    bool absent;       /* an optional copy that is not there */
    uint32_t count;    /* tensors; more than one if axes number them */
    uint32_t *tensors; /* left: of the source side. right: of wm_state.targets */
    uint32_t copies;   /* left, of `{=s}`: how often there are `count` more, which are equal, */
    uint32_t *others;  /* one lot after the other */
    wm_str *names;     /* right: set by infer */
    bool known;        /* shape and dtype are known */
    wmap_dtype dtype;  /* right: WMAP_DTYPE_NONE unless it is declared */
    uint32_t rank;
    const uint64_t *shape;
    wm_span shape_span, dtype_span; /* where they are declared; WM_NOWHERE for files */
} wm_bound;

typedef struct wm_origin {
    wm_span span;
    const char *text; /* "given here"; NULL if it is of a tensor */
    const struct wm_bound
        *bound; /* the operand whose shape said it, and its name: put into words when it is shown */
    wm_str name;
} wm_origin;

typedef struct wm_instance {
    wm_form *form;
    wm_capture *captures; /* the line's variables; those that are axes are not bound */
    wm_bound *left, *right;
    uint32_t dots;    /* dimensions of `...` */
    int64_t *extents; /* of the form's axes, then of the dots; -1 unknown */
    wm_origin *origins;
    bool failed, settled;
    const char *round;
    const wm_side_tensor *like; /* fill */
} wm_instance;

/* ---- targets and moves ---- */

typedef struct wm_out {
    wm_str name;
    wmap_dtype dtype;
    uint32_t rank;
    const uint64_t *shape;
    wm_span span;   /* of what writes it */
    uint32_t kept;  /* the source tensor of what `keep rest` keeps, and of what is opaque; else WM_NONE */
    size_t order;   /* declared order, if there is one */
    uint32_t place; /* by program->order, if there is one */
    const uint8_t *moves; /* as they stand in the plan */
    size_t moves_size;
} wm_out;

/* As Op of plan.proto. */
typedef struct wm_code {
    wm_step_kind kind;
    bool constant; /* `value` is pushed, and nothing else done */
    bool equal;    /* the two on top are compared: the end of a guard */
    wm_val value;
    uint32_t source;  /* LOAD: 0 is the move's source, from 1 on its extras */
    wmap_dtype dtype; /* CAST, BITCAST */
    enum wm_policy policy;
} wm_code;

/* A further source of a move: `start` and `coef` as the first has them. */
typedef struct wm_extra {
    uint32_t tensor, rank;
    int64_t *start, *coef;
} wm_extra;

/* As Move of plan.proto; coefficients are per axis and dimension. */
typedef struct wm_move {
    uint32_t source, target; /* WM_NONE: no source, a constant; no target, a guard */
    uint32_t axis_count;
    uint64_t *extents;
    int64_t *source_start, *source_coef, *target_start, *target_coef;
    bool fill, fill_float;
    int64_t fill_i;
    double fill_f;
    wmap_dtype cast; /* WMAP_DTYPE_NONE: none */
    enum wm_policy policy;
    const wm_code *code; /* more than a cast; `cast` is none then */
    uint32_t code_count, extra_count;
    wm_extra *extras;
    wm_span span;
    struct wm_move *next;
} wm_move;

/* As Decode of plan.proto. */
typedef struct wm_decode {
    bool packed; /* mxfp4 */
    uint32_t source, scales, block_count;
    const uint64_t *block;
} wm_decode;

/* The extents of axes that several rules share. */
typedef struct wm_shared {
    wm_map map; /* key: shared.c */
    struct wm_shared_slot {
        int64_t extent; /* -1 unknown */
        wm_origin origin;
        bool lost;                 /* a rule that has it has an error */
        struct wm_waiter *waiters; /* infer.c, for one batch */
    } * slots;
    size_t count, cap;
} wm_shared;

typedef struct wm_judge wm_judge;

/* Everything after resolve. */
typedef struct wm_state {
    wm_unit *unit;
    wm_arena *forms; /* of the lines of the batch: forms, and what their names matched */
    const wm_program *program;
    wm_decode *decodes; /* what they give stands behind source.count, in source.tensors and source.names */
    size_t decode_count, decode_cap, made_cap, made_name_cap;
    bool reverse;
    wm_judge *judge;        /* NULL: nobody wants to know */
    wm_side source, target; /* target.known: declared or read off --target-like */
    bool rest_unknown; /* some statements could not be understood: say nothing of what is left over or missing
                        */
    wm_instance **instances; /* of the batch */
    size_t instance_count, instance_cap;
    size_t instance_total, move_total; /* of all batches, for the limits */
    struct wm_packed {
        const uint8_t *bytes;
        size_t size;
    } * guards; /* as they stand in the plan, none twice */
    size_t guard_count, guard_cap;
    wm_map guard_map;
    size_t lowered; /* outs of earlier batches */
    bool too_many;  /* E0906 was reported */
    wm_out *outs;
    size_t out_count, out_cap;
    wm_map out_names;
    size_t wanted_written, unwanted;
    wm_map wanted;     /* name -> place in program->order */
    uint32_t *written; /* the order of outs, without failed ones */
    size_t written_count;
    const wm_pattern **idle_drops; /* patterns of `drop` that matched nothing, the first of them */
    size_t idle_count, idle_cap;
    wm_diag *unmatched; /* the first E0401 */
    size_t unmatched_count;
    wm_cast *casts; /* of the map */
    size_t cast_count, cast_cap;
    wm_shared shared;
    uint32_t suggestions; /* "did you mean" given so far */
} wm_state;

#define WM_BATCH ((size_t)1 << 20) /* bytes of scratch after which a batch ends */

/* compile.c: takes the instances of the batch through all passes and forgets them. Forms stay. */
void wm_finish_batch(wm_state *state);

/* match.c: binds a line to the names of the source: adds its instances to the batch. Reports what
 * wm_layout_pass does, and E0401, E0402, E0405, E0413, E0506, E0520. */
void wm_match_line(wm_state *state, const wm_line *line);

/* decode.c: puts what the operand's decoder gives in the place of its tensors. Reports E0402, E0403, E0504,
 * E0507, E0606, E0905. */
void wm_decode_bound(wm_state *state, wm_instance *instance, const wm_term *term,
                     const wm_placement *placement, wm_bound *bound);

/* Once all lines are matched: what is dropped. Reports E0521. */
void wm_match_drops(wm_state *state);

/* suggest.c: "did you mean ...?" for a pattern that matches nothing, if a name is near. */
void wm_suggest(wm_state *state, wm_diag *diag, const wm_pattern *pattern, wm_side *side);

/* shared.c: axis `number` of a block as the instance has it; NULL: as it stands for all that captures tell
 * apart. What `axis` gives is in it (E0143). Valid until the next call. */
struct wm_shared_slot *wm_shared_slot_of(wm_state *state, const wm_axes *axes, uint32_t number,
                                         const wm_instance *in);

/* A line with an error: the shared axes that it could have told are not missed. */
void wm_lose_shared(wm_state *state, const wm_line *line);

/* infer.c: extents, names and shapes of targets. Reports E0501 to E0506, E0403. */
void wm_infer_pass(wm_state *state);

/* prove.c: coverage, dtypes, names. Adds to state->outs, without moves. Reports E0513 to E0515, E0524, E06xx.
 */
void wm_prove_pass(wm_state *state);

/* Is the constant a value of the dtype? (E0608) */
bool wm_dtype_holds(wmap_dtype dtype, const wm_val *value);

/* Once all batches are proven: what is kept, left over, missing; the order of the targets. Reports E0522,
 * E0523 and what wm_prove_pass does. */
void wm_prove_rest(wm_state *state);

/* The first of a source piece's copies that is there; the one that is read for a piece of the target. */
const wm_piece *wm_first_copy(const wm_instance *instance, const wm_piece *source);
const wm_piece *wm_source_piece(const wm_instance *instance, const wm_piece *target);

/* lower.c: moves of the targets that the batch added, and the guards of its instances. Called only when
 * nothing failed. */
void wm_lower_pass(wm_state *state);

/* Moves of what is kept. */
void wm_lower_kept(wm_state *state);

/* The cast of the map for a dtype, NULL if there is none. One that is turned gives back what was there: if
 * the target is declared with a dtype, that or nothing. */
const wm_cast *wm_map_cast(const wm_state *state, wmap_dtype from, wmap_dtype declared);

/* emit.c: the moves of a target as they will stand in the plan. */
void wm_emit_moves(wm_state *state, size_t out, const wm_move *moves);

/* The same for guards; one that is there already is passed over. */
void wm_emit_guards(wm_state *state, const wm_move *moves);

/* The plan's bytes (malloc). False: out of memory. */
bool wm_emit_pass(const wm_state *states, size_t count, uint8_t **bytes, size_t *size);

/* recount.c: what runs along in a move: an extent, and a step in each dimension of all its operands. */
typedef struct wm_digit {
    uint64_t extent;
    int64_t *steps;
} wm_digit;

/* A part of a move: where it starts in each dimension, and what runs, the slowest first. */
typedef struct wm_box {
    int64_t *start;
    wm_digit *digits;
    uint32_t count;
} wm_box;

/* The parts in which digits `from` and digits `to`, which count the same elements, can run together: each as
 * few boxes as it can be. `dims` are the steps of a digit. Gives at most `most`, else NULL. */
wm_box *wm_recount_boxes(wm_arena *arena, const wm_digit *from, uint32_t from_count, const wm_digit *to,
                         uint32_t to_count, uint32_t dims, size_t most, size_t *count);

/* ---- what the passes share: pass.c ---- */

/* The extent of a node as a * x + b in the one unknown axis x (WM_NONE if all is known). */
typedef struct wm_linear {
    bool ok; /* false: several unknowns, or an overflow */
    bool overflow;
    uint32_t axis;
    int64_t a, b;
} wm_linear;
wm_linear wm_node_extent(const wm_instance *instance, const wm_node *node);

/* The position along a dimension of a piece: *start, and += coefficients by axis in `coef[axis]`. All extents
 * are known. */
void wm_node_position(const wm_instance *instance, const wm_node *node, const uint32_t *choice,
                      int64_t *start, int64_t *coef);

/* "f32 [3 3 64 64]" */
const char *wm_show_type(wm_unit *unit, wmap_dtype dtype, uint32_t rank, const uint64_t *shape);
const char *wm_show_shape(wm_unit *unit, uint32_t rank, const uint64_t *shape);

/* An error of one instance: its round is set, so that like ones are folded; the tensors of both sides are
 * noted by wm_note_tensors. */
wm_diag *wm_instance_error(wm_state *state, wm_instance *instance, wm_diag_id id, wm_span span,
                           const char *format, ...) __attribute__((format(printf, 5, 6)));
void wm_note_tensors(wm_state *state, const wm_instance *instance, wm_diag *diag);

/* "b=1, l=3": what tells the instance from others of its rule. */
const char *wm_instance_round(wm_unit *unit, wm_instance *instance);

/* A hook for expressions: the captures of an instance and the extents of its axes. `user` is the instance. */
wm_found wm_instance_find(void *user, wm_str name, wm_val *value);

/* operations.c: the dtype of what operand `target` gets of operand `source`, by the steps of both and the
 * casts of the map. Errors are reported (E0602, E0603, E0606, E0607, E0608, E0702, E0704). */
wmap_dtype wm_result_dtype(wm_state *state, wm_instance *instance, uint32_t source, uint32_t target);

/* The program of a piece of the source that goes to operand `target`: its steps without those of other
 * blocks, then those of the target. `*count` is 0 if the element stays as it is. */
const wm_code *wm_pair_code(wm_state *state, wm_instance *instance, const wm_piece *source, uint32_t target,
                            uint32_t *count);

/* The constant of a step. False: reported. */
bool wm_step_constant(wm_state *state, wm_instance *instance, const wm_step *step, wm_val *value);

/* The cast of the map for a dtype, if neither operand has one of its own. */
const wm_cast *wm_free_cast(const wm_state *state, const wm_instance *instance, uint32_t source,
                            uint32_t target, wmap_dtype dtype);

/* The dtype that an operand of the source gives by its own operations; errors as above. */
wmap_dtype wm_operand_dtype(wm_state *state, wm_instance *instance, uint32_t source);

/* The program of a guard: a piece of the source is equal to a copy of it, whose first place is the move's
 * source number `places`. */
const wm_code *wm_copy_code(wm_state *state, wm_instance *instance, const wm_piece *copy,
                            const wm_piece *first, uint32_t places, uint32_t *count);

/* reverse.c: for what can't be turned. */
void wm_hint_clauses(wm_unit *unit, wm_diag *diag);

/* True if there is a cast between dtypes. */
bool wm_cast_exists(wmap_dtype from, wmap_dtype to);

/* The axis of the form for dimension `dot` of `...`. */
static inline uint32_t wm_dot_axis(const wm_form *form, uint32_t dot)
{
    return (uint32_t)form->axis_count + dot;
}

bool wm_among(const uint32_t *list, size_t count, uint32_t axis);

#endif
