/* hub_place.h: what hub_place.c, hub_walk.c, hub_stack.c and hub_direct.c share: the state in which one side
 * is placed. */
#ifndef WM_HUB_PLACE_H
#define WM_HUB_PLACE_H

#include "compiler/hub.h"

/* A block whose members stand along an axis of each tensor, by the statement that says so. */
typedef struct wm_stack {
    const struct wm_hub_stmt *line;
    wm_str prefix, axis;
    bool second; /* [x k ...] */
    size_t members;
} wm_stack;

/* A layer with what names it. */
typedef struct wm_leaf {
    wm_member *member;
    const wm_hub_line *line; /* NULL: its arrays are placed directly */
    const wm_scope *scope;
    const wm_dialect *dialect;
    wm_str prefix;
    wm_stack *stack; /* NULL: in none */
    int64_t stacked_at;
} wm_leaf;

typedef struct wm_placer {
    wm_hub *h;
    wm_hub_side *side;
    const wm_dialect *dialect; /* of the model whose statements are looked at */
    wm_leaf *leaves;
    size_t count, cap;
    const wm_member *nameless; /* the last one without a name */
    size_t nameless_count;     /* more like it */
    wm_hub_place **stacks;     /* of the statement that is looked at */
    wm_str stacked;            /* its variable */
    size_t stack_count, stack_cap;
    wm_stack *stack; /* of the block that is looked at; NULL: none */
    int64_t stacked_at;
    wm_stack **block_stacks;
    size_t block_stack_count, block_stack_cap;
} wm_placer;

static inline void wm_place_failed(wm_placer *p)
{
    p->h->failed = true;
}

/* ---- hub_walk.c ---- */

/* Lists the layers below a member as leaves, its statements being `lines`. */
void wm_walk_members(wm_placer *p, wm_member *parent, wm_hub_lines *lines, wm_str prefix);

/* Does a statement name members, and not place arrays? */
bool wm_names_member(const struct wm_hub_stmt *s);

/* ---- hub_place.c ---- */

/* Does a string ask for that name in one of its holes? */
bool wm_string_asks(const wm_string *string, wm_str name);

/* The text of a name. False: reported. */
bool wm_place_text(wm_placer *p, const wm_scope *scope, const wm_string *string, wm_str *text);

wm_str wm_place_joined(wm_hub *h, wm_str a, wm_str b);

/* The number of an array of a layer, which it has; has it one? */
bool wm_has_array(const wm_hub_kind_of *layer, const wm_word *word);
size_t wm_array_number(const wm_hub_kind_of *layer, wm_str name);

/* ---- hub_stack.c ---- */

/* Says of an array which of the members that are stacked along an axis it is of. */
void wm_label_member(wm_placer *p, wm_hub_item *item, wm_str axis, int64_t value, wm_span at);

/* The labels of the members of a place, where the axis along which they stand was. */
wm_factor *wm_member_labels(wm_hub *h, const wm_hub_place *place, wm_span at);

/* Sets p->stack for a member of a block whose statement has a layout; the caller puts back what was there.
 * False: reported. */
bool wm_enter_stack(wm_placer *p, const wm_hub_line *line, const wm_scope *scope, wm_str prefix);

/* A place of the first member, and what the others add to it. */
void wm_begin_stack(wm_placer *p, wm_hub_place *place);
void wm_add_to_stack(wm_placer *p, wm_hub_place *stack, const wm_hub_place *place);

/* When all is placed: their layouts. */
void wm_finish_block_stacks(wm_placer *p);

/* ---- hub_direct.c ---- */

/* Notes the places of statements that place arrays themselves: they wait for their turn in the order. */
void wm_place_directly(wm_placer *p, wm_member *parent, wm_hub_lines *lines, wm_str prefix);

#endif
