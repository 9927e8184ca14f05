/* draft.h: what the steps of `wmap suggest` share. Two files are listed (suggest.c), their tensors digested
 * (digest.c) and paired: by value (values.c), where search.c finds the move between two tensors that hold the
 * same elements, and else by names and shapes (names.c). write.c makes patterns of the rules that differ in
 * numbers only (fold.c), and the text of a spec. */
#ifndef WM_DRAFT_H
#define WM_DRAFT_H

#include "runtime/archive.h"
#include "runtime/base/arena.h"

#define WM_DRAFT_NONE UINT32_MAX

/* ---- tensors ---- */

/* Sums of two hashes of the elements, whatever their order: that of a tensor cut into parts is the sum of
 * theirs. */
typedef struct wm_sum_of {
    uint64_t a, b;
} wm_sum_of;

typedef struct wm_draft_tensor {
    const wmap_tensor *head;
    uint64_t count;    /* elements */
    wm_sum_of sum;     /* of its elements, in its dtype */
    bool known;        /* `sum` is */
    bool constant;     /* all elements are the same */
    uint8_t first[16]; /* the first of them */
    uint32_t rule;     /* the first that reads or writes it; WM_DRAFT_NONE */
    const char *note;  /* of one without a rule: what was found; NULL */
} wm_draft_tensor;

typedef struct wm_draft_side {
    wmap_archive *archive;
    wm_draft_tensor *tensors;
    size_t count;
} wm_draft_side;

enum { WM_SOURCE = 0, WM_TARGET = 1 };

/* ---- moves ---- */

/* The elements of a tensor, or of a part of it, without the dimensions of one. */
typedef struct wm_box {
    const uint8_t *bytes; /* of the element of index 0, 0, ... */
    uint32_t size;        /* bytes of an element */
    uint32_t rank;
    uint64_t extent[WMAP_MAX_RANK];
    int64_t stride[WMAP_MAX_RANK]; /* elements, in memory */
    uint32_t dim[WMAP_MAX_RANK];   /* which dimension of the tensor this is, or is cut from */
} wm_box;

#define WM_SWAP_AXES   16
#define WM_SWAP_LABELS 8

/* An axis of a move. Its position in a dimension is mixed radix with the other axes there, slowest first as
 * `order` says; a labelled one has few indices, of which the second box has index i where the first has
 * label[i]. */
typedef struct wm_swap_axis {
    uint64_t extent;
    struct {
        uint32_t dim;   /* of the box */
        uint32_t order; /* among the axes of that dimension, slowest first */
        int64_t stride; /* elements, in memory */
    } at[2];
    bool turned;    /* runs backwards in the second box */
    uint8_t labels; /* 0: none; else the extent */
    uint8_t label[WM_SWAP_LABELS];
} wm_swap_axis;

/* How the elements of one box lie in another: one layout of each, over the same axes. */
typedef struct wm_swap {
    uint32_t count;
    wm_swap_axis axes[WM_SWAP_AXES];
    bool plain;  /* the same order of the same dimensions */
    bool unsure; /* another move gives the same */
} wm_swap;

/* ---- rules ---- */

typedef struct wm_draft_place {
    uint32_t tensor;    /* of its side; of a stack the first */
    const char *tag;    /* NULL for none */
    const char *layout; /* "i o"; NULL for none */
    uint32_t token;     /* of the name: the number that numbers an axis; WM_DRAFT_NONE */
    const char *axis;   /* which */
    uint32_t *stack;    /* its tensors, by number */
    size_t stack_count;
} wm_draft_place;

typedef enum wm_draft_how {
    WM_BY_VALUE,    /* the target's elements are those of the source */
    WM_BY_CONSTANT, /* so they are, but all of them are one number: names decided */
    WM_BY_NAME,     /* names and shapes */
    WM_BY_FILL,     /* a constant that no source has */
    WM_LEFT,        /* a source that nothing of the target holds */
} wm_draft_how;

typedef struct wm_draft_rule {
    wm_draft_place *places[2];
    size_t counts[2];
    bool sum;          /* the sources are added */
    wmap_dtype cast;   /* of the target, if that of the source is another; else WMAP_DTYPE_NONE */
    const char *where; /* "a=7, b=7"; NULL for none */
    const char *fill;  /* the constant */
    uint64_t groups;   /* of a rule that joins or cuts: ranges in each of which all parts are */
    wm_draft_how how;
    const char *note; /* why it is a guess, and what else it may be; NULL for none */
    uint32_t order;   /* where it stands: the first target tensor that it writes */
} wm_draft_rule;

typedef struct wm_draft {
    wm_arena arena;   /* jumps to suggest.c when memory runs out */
    wm_arena scratch; /* the same; cleared now and then */
    wm_arena buffers; /* the same; of elements, released after use */
    wm_draft_side sides[2];
    bool values;        /* those of both are there, and asked for */
    const char *reason; /* without: why */
    wm_draft_rule *rules;
    size_t rule_count, rule_cap;
    wmap_error *err;
} wm_draft;

/* Adds a rule; marks no tensors. */
wm_draft_rule *wm_draft_add(wm_draft *draft, wm_draft_how how);

/* Gives a rule places of its own, zeroed. */
void wm_draft_places(wm_draft *draft, wm_draft_rule *rule, int side, size_t count);

/* Marks the tensors of a rule that is complete, and finds its order. */
void wm_draft_mark(wm_draft *draft, wm_draft_rule *rule);

/* ---- the steps ---- */

/* digest.c. Reads both files once. Of tensors of another dtype than `dtype` the elements are converted before
 * they are hashed. False with `err` filled if one can't be read. */
bool wm_digest_tensor(wm_draft *draft, int side, uint32_t tensor, wmap_dtype dtype, wm_sum_of *sum);
bool wm_digest_all(wm_draft *draft);
void wm_digest_bytes(const void *bytes, uint32_t size, size_t count, wm_sum_of *sum);

/* box.c. The whole of a tensor; false if it can't be read. */
bool wm_box_of(wm_draft *draft, int side, uint32_t tensor, wm_box *box);
bool wm_swap_holds(const wm_swap *swap, const wm_box *from, const wm_box *to, bool whole);

/* search.c. The move by which `to` has the elements of `from`; `deep` looks for axes in axes too. False if
 * none is found. */
bool wm_swap_find(const wm_box *from, const wm_box *to, bool deep, wm_swap *swap);

/* join.c. Adds the rule by which `parts`, all of one side, make `whole` of the other; false if none is found.
 * `like` (or NULL): in this order, as in that rule. */
bool wm_join(wm_draft *draft, int side, const uint32_t *parts, size_t count, uint32_t whole,
             const wm_draft_rule *like, wm_draft_how how);

/* values.c */
bool wm_pair_values(wm_draft *draft);

/* Adds the rule by which one tensor has the elements of the other; false if no move is found. */
bool wm_pair_move(wm_draft *draft, uint32_t source, uint32_t target, wm_draft_how how);

/* sums.c. Targets that are the sum of two sources. */
void wm_pair_sums(wm_draft *draft);

/* shapes.c. Adds a rule for two tensors of the same extents in some order: how they are turned is a guess, as
 * `note` (or NULL) says that they belong together. False if a dtype can't become the other. */
bool wm_pair_shapes(wm_draft *draft, uint32_t source, uint32_t target, const char *note);

/* names.c */
bool wm_pair_names(wm_draft *draft);

/* How much two names have in common. */
double wm_names_alike(wm_arena *arena, const wmap_tensor *x, const wmap_tensor *y);

/* The tensors of a side by their names, numbers as numbers. */
uint32_t *wm_natural_tensors(wm_draft *draft, int side);

/* Bytes of a name before its last `/` or `.`; 0 if there is none. */
size_t wm_parent(const wmap_tensor *head);

/* A name in tokens: numbers, words, and what stands between them. */
typedef struct wm_token {
    const char *text;
    uint32_t len;
    enum wm_token_kind { WM_TOKEN_NUMBER, WM_TOKEN_WORD, WM_TOKEN_OTHER } kind;
    uint64_t number; /* of a NUMBER without a leading zero and below 2^53 */
} wm_token;
wm_token *wm_tokens(wm_arena *arena, const wmap_tensor *head, size_t *count);

/* layout.c. Names for the axes of a move, in the order in which they stand in the box of `side`. */
void wm_swap_names(wm_arena *arena, const wm_swap *swap, int side, const char **names);

/* The factors of dimension `dim` of the box of that side, slowest first; adds their number to `count`. */
const char *wm_swap_factors(wm_arena *arena, const wm_swap *swap, int side, uint32_t dim,
                            const char *const *names, uint32_t *count);

/* The layout of a whole tensor of `rank` dimensions. */
const char *wm_swap_layout(wm_arena *arena, const wm_swap *swap, int side, const wm_box *box, uint32_t rank,
                           const char *const *names);

/* Which extents must `where` give? Axes, and the dimensions that are products of them. */
typedef struct wm_where_item {
    const char *name;
    uint64_t extent;
    bool known;
} wm_where_item;
typedef struct wm_where_set {
    const char **names;
    uint32_t count;
} wm_where_set;
typedef struct wm_where {
    wm_where_item *axes;
    size_t count, cap;
    wm_where_set *dims;
    size_t dim_count, dim_cap;
} wm_where;
void wm_where_axis(wm_arena *arena, wm_where *w, const char *name, uint64_t extent, bool known);
void wm_where_dim(wm_arena *arena, wm_where *w, const wm_swap *swap, int side, uint32_t dim,
                  const char *const *names, bool read);
/* "a=7, b=7", NULL if every extent is told. */
const char *wm_where_text(wm_arena *arena, const wm_where *w);

/* fold.c and write.c */
char *wm_draft_text(wm_draft *draft, size_t *len);

#endif
