/* fold.h: rules that differ in numbers only. */
#ifndef WM_SUGGEST_FOLD_H
#define WM_SUGGEST_FOLD_H

#include "suggest/draft.h"

#define WM_FOLD_VARIABLES 6

/* A name in tokens, and its numbers (but that of an axis). */
typedef struct wm_fold_text {
    const wm_token *tokens;
    size_t count;
    uint32_t axis;     /* the token that numbers an axis; WM_DRAFT_NONE */
    const char *shape; /* the name without its numbers */
    uint64_t *numbers;
    size_t number_count;
} wm_fold_text;

/* A rule, as its names and all their numbers. */
typedef struct wm_fold_row {
    const wm_draft_rule *rule;
    wm_fold_text *names; /* of the sources, then of the targets */
    uint64_t *numbers;
    size_t number_count;
    bool alone; /* must have no captures */
} wm_fold_row;

typedef struct wm_fold_column {
    int variable; /* -1: a constant */
    int64_t a, b; /* a * variable + b */
} wm_fold_column;

typedef struct wm_fold_form {
    wm_fold_column *columns;
    size_t first[WM_FOLD_VARIABLES]; /* the column that a variable is */
    uint32_t variables;
} wm_fold_form;

/* Rules that are written as one statement: with captures if there is a form, else as they are or in a loop.
 */
typedef struct wm_fold_out {
    wm_fold_row **rows;
    size_t count;
    wm_fold_form *form;
    uint32_t order;
} wm_fold_out;

typedef struct wm_fold {
    wm_draft *draft;
    wm_map shapes; /* of the sources' names, to the first; the others follow in `next` */
    wm_fold_text *sources;
    uint32_t *next;
    wm_fold_out *out; /* in the order of the targets */
    size_t out_count, out_cap;
} wm_fold;

void wm_fold_name(wm_arena *arena, const wmap_tensor *head, uint32_t axis, wm_fold_text *out);
/* "f32 [3 4]" */
const char *wm_type_text(wm_arena *arena, const wmap_tensor *head);

void wm_fold_rules(wm_draft *draft, wm_fold *fold);

#endif
