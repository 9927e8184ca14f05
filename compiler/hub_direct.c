/* hub_direct.c: arrays that a model places itself: several in one tensor, or under a name of their own. */
#include <string.h>

#include "compiler/hub_place.h"

#define VARS WM_HUB_VARS

/* All arrays below `parent` that a chain of refs names. */
void wm_hub_find_items(wm_hub *h, const wm_member *parent, const wm_ref *ref, const wm_scope *scope,
                       const wm_hub_found *so_far, wm_hub_found **list, size_t *count, size_t *cap)
{
    for (size_t i = 0; i < parent->child_count; i++) {
        wm_member *m = parent->children[i];
        wm_hub_found here = *so_far;
        wm_named items[VARS];
        uint32_t bound, indices = 0;
        for (const wm_index *x = ref->indices; x; x = x->next)
            indices++;
        if (!wm_hub_step(h, 1, ref->span) || indices + here.count >= VARS ||
            !wm_hub_matches(h, ref, m, scope, items, &bound))
            continue;
        for (uint32_t b = 0; b < bound; b++)
            here.vars[here.count++] = items[b];
        if (!ref->next && m->layer && !m->layer->decl) {
            here.item = &m->items[0];
        } else if (ref->next && !ref->next->next && !ref->next->indices && m->layer && m->layer->decl &&
                   wm_has_array(m->layer, ref->next->name)) {
            here.item = &m->items[wm_array_number(m->layer, ref->next->name->text)];
        } else if (ref->next && !m->layer) {
            wm_hub_find_items(h, m, ref->next, scope, &here, list, count, cap);
            continue;
        } else {
            continue;
        }
        *wm_push(h->arena, *list, *count, *cap) = here;
    }
}

bool wm_hub_agree(const wm_hub_found *a, const wm_hub_found *b)
{
    for (uint32_t i = 0; i < a->count; i++)
        for (uint32_t k = 0; k < b->count; k++)
            if (wm_str_eq(a->vars[i].name, b->vars[k].name) && a->vars[i].value.i != b->vars[k].value.i)
                return false;
    return true;
}

/* The nearest statement that names a member, of those of `from` or further up; UINT32_MAX: none. */
static uint32_t naming_level(wm_hub *h, const wm_hub_lines *lines, const wm_member *m, uint32_t from)
{
    uint32_t level = UINT32_MAX, count;
    wm_named items[VARS];
    for (size_t i = 0; i < lines->count && wm_hub_step(h, 1, m->span); i++) {
        const wm_hub_line *line = &lines->items[i];
        uint32_t indices = 0;
        if (!wm_names_member(line->stmt) || line->level < from || line->level >= level)
            continue;
        for (const wm_index *x = line->stmt->owners->ref->indices; x; x = x->next)
            indices++;
        if (indices < VARS && wm_hub_matches(h, line->stmt->owners->ref, m, line->scope, items, &count))
            level = line->level;
    }
    return level;
}

/* Does a statement nearer to the model than `level` say where an array is? One that places it itself, or one
 * that names the layer, if what it inherits has no other name for it. */
static bool is_replaced(wm_placer *p, const wm_member *parent, const wm_hub_lines *lines,
                        const wm_hub_item *item, uint32_t level)
{
    const struct wm_hub_side_of *of = &item->sides[p->side->number];
    if (of->direct && of->level < level)
        return true;
    const wm_member *m = item->member;
    while (m->parent != parent)
        m = m->parent;
    return level > 0 && naming_level(p->h, lines, m, 0) < level &&
           naming_level(p->h, lines, m, level) == UINT32_MAX;
}

/* ---- members that are stacked in one tensor ---- */

/* The variable that is not in the names of the tensors; NULL in `*stacked`: there is none. False: reported.
 */
static bool find_stacked(wm_placer *p, const struct wm_hub_stmt *s, const wm_scope *scope,
                         const wm_named **stacked)
{
    wm_hub *h = p->h;
    *stacked = NULL;
    for (uint32_t v = 0; v < scope->count; v++) {
        size_t asked = 0, count = 0;
        for (const wm_hplace *t = s->places; t; t = t->next, count++)
            asked += t->name && wm_string_asks(t->name, scope->items[v].name);
        if (asked == count)
            continue;
        if (asked || *stacked) {
            wm_error(h->r->unit, WM_E0199, s->places->span,
                     "members that are stacked by more than one variable, or in some tensors only, are not "
                     "supported yet");
            h->failed = true;
            return false;
        }
        *stacked = &scope->items[v];
    }
    return true;
}

static wm_hub_place *find_stack(wm_placer *p, const wm_hplace *t, wm_str name)
{
    for (size_t i = 0; i < p->stack_count && wm_hub_step(p->h, 1, t->span); i++)
        if (p->stacks[i]->tensor->name == t->name && wm_str_eq(p->stacks[i]->name, name))
            return p->stacks[i];
    return NULL;
}

static void add_owners(wm_placer *p, wm_hub_place *place, const struct wm_hub_stmt *s,
                       const wm_hub_found *owners, uint32_t owner_count)
{
    struct wm_hub_owner_of *all =
        wm_new(p->h->arena, struct wm_hub_owner_of, place->owner_count + owner_count);
    if (place->owner_count)
        memcpy(all, place->owners, place->owner_count * sizeof *all);
    place->owners = all;
    uint32_t i = 0;
    for (const wm_owner *o = s->owners; o; o = o->next, i++) {
        all[place->owner_count].item = owners[i].item;
        all[place->owner_count++].tag = o->tag;
    }
}

/* Says of the arrays of a member which one it is; they are the owners from `first` on. */
static void label_members(wm_placer *p, const wm_hub_place *place, const struct wm_hub_stmt *s,
                          const wm_named *stacked, uint32_t first)
{
    const wm_owner *o = s->owners;
    for (uint32_t i = first; i < place->owner_count; i++, o = o->next) {
        place->owners[i].item->stems[p->side->number] = o;
        wm_label_member(p, place->owners[i].item, stacked->name, stacked->value.i, s->places->span);
    }
}

static void stack_members(wm_placer *p, wm_hub_place *place, const struct wm_hub_stmt *s,
                          const wm_named *stacked, const wm_hub_found *owners, uint32_t owner_count)
{
    uint32_t first = place->owner_count;
    if (first + owner_count > WM_HUB_OWNERS) {
        if (!p->h->failed)
            wm_error(p->h->r->unit, WM_E0903, s->places->span, "a tensor holds at most %d arrays",
                     WM_HUB_OWNERS);
        p->h->failed = true;
        return;
    }
    add_owners(p, place, s, owners, owner_count);
    label_members(p, place, s, stacked, first);
}

/* A layout with the labels of the members where the axis along which they stand was. */
static wm_factor *with_labels(wm_hub *h, const wm_factor *factors, wm_str axis, const wm_hub_place *place,
                              bool *found)
{
    wm_factor *first = NULL, **tail = &first;
    for (const wm_factor *f = factors; f; f = f->next) {
        wm_factor *copy = wm_new(h->arena, wm_factor, 1);
        *copy = *f;
        copy->next = NULL;
        if (f->kind == WM_FA_GROUP)
            copy->factors = with_labels(h, f->factors, axis, place, found);
        if (f->kind == WM_FA_AXIS && wm_str_eq(f->name->text, axis)) {
            copy = wm_member_labels(h, place, f->span);
            *found = true;
        }
        *tail = copy;
        tail = &copy->next;
    }
    return first;
}

static void finish_stacks(wm_placer *p)
{
    wm_hub *h = p->h;
    wm_str axis = p->stacked;
    for (size_t i = 0; i < p->stack_count && !h->failed; i++) {
        const wm_hub_place *place = p->stacks[i];
        wm_hub_tensor *tensor = (wm_hub_tensor *)(uintptr_t)place->tensor;
        wm_layout *layout = wm_new(h->arena, wm_layout, 1);
        bool found = false;
        if (tensor->layout) {
            *layout = *tensor->layout;
            layout->factors = with_labels(h, layout->factors, axis, place, &found);
        }
        if (!found) {
            wm_error(h->r->unit, WM_E1006, tensor->span,
                     "%s is not in the tensor's name, so it is an axis of its layout, along which the "
                     "members stand",
                     wm_quote(h->r->unit, axis));
            h->failed = true;
        }
        tensor->layout = layout;
    }
    p->stack_count = 0;
}

/* ---- one statement ---- */

/* One set of owners of a direct placement. */
static void place_found(wm_placer *p, const wm_hub_line *line, wm_str prefix, const wm_hub_found *owners,
                        uint32_t owner_count)
{
    wm_hub *h = p->h;
    const struct wm_hub_stmt *s = line->stmt;
    wm_scope *scope = wm_new(h->arena, wm_scope, 1);
    wm_named *items = wm_new(h->arena, wm_named, owners[0].count);
    memcpy(items, owners[0].vars, owners[0].count * sizeof *items);
    *scope = (wm_scope){.up = line->scope, .items = items, .count = owners[0].count};
    for (uint32_t i = 0; i < owner_count; i++) {
        owners[i].item->sides[p->side->number].direct = true;
        owners[i].item->sides[p->side->number].level = line->level;
    }
    const wm_named *stacked;
    if (!find_stacked(p, s, scope, &stacked))
        return;
    for (const wm_hplace *t = s->places; t; t = t->next) {
        wm_hub_place *place = wm_new(h->arena, wm_hub_place, 1);
        wm_hub_tensor *tensor = wm_new(h->arena, wm_hub_tensor, 1);
        wm_str name;
        if (!t->name) {
            wm_error(h->r->unit, WM_E1001, t->span, "a tensor's name is needed here");
            p->h->failed = true;
            return;
        }
        if (!wm_place_text(p, scope, t->name, &name))
            return;
        name = wm_place_joined(h, prefix, name);
        wm_hub_place *begun = stacked ? find_stack(p, t, name) : NULL;
        if (begun) {
            stack_members(p, begun, s, stacked, owners, owner_count);
            continue;
        }
        *tensor = (wm_hub_tensor){.span = t->span,
                                  .tag = t->tag,
                                  .name = t->name,
                                  .layout = t->layout,
                                  .otherwise = t->otherwise,
                                  .optional = t->optional,
                                  .ops = t->ops,
                                  .scope = scope};
        place->name = name;
        place->span = t->name->span;
        place->tensor = tensor;
        place->where = s->where;
        place->stack = p->stack;
        place->stacked_at = p->stacked_at;
        add_owners(p, place, s, owners, owner_count);
        if (stacked) {
            place->each = owner_count;
            p->stacked = stacked->name;
            label_members(p, place, s, stacked, 0);
            *wm_push(h->arena, p->stacks, p->stack_count, p->stack_cap) = place;
        }
        struct wm_hub_side_of *of = &owners[0].item->sides[p->side->number];
        *wm_push(h->arena, of->waiting, of->waiting_count, of->waiting_cap) = place;
    }
}

static void place_line(wm_placer *p, wm_member *parent, const wm_hub_lines *lines, wm_hub_line *line,
                       wm_str prefix)
{
    wm_hub *h = p->h;
    uint32_t owner_count = 0;
    for (const wm_owner *o = line->stmt->owners; o; o = o->next)
        owner_count++;
    wm_hub_found **lists = wm_new(h->arena, wm_hub_found *, owner_count);
    size_t *counts = wm_new(h->arena, size_t, owner_count);
    wm_hub_found none = {0};
    uint32_t i = 0;
    for (const wm_owner *o = line->stmt->owners; o; o = o->next, i++) {
        size_t cap = 0;
        wm_hub_find_items(h, parent, o->ref, line->scope, &none, &lists[i], &counts[i], &cap);
    }
    wm_hub_found *set = wm_new(h->arena, wm_hub_found, owner_count);
    for (size_t f = 0; f < counts[0] && !h->r->spent; f++) {
        set[0] = lists[0][f];
        bool whole = true;
        for (uint32_t k = 1; k < owner_count && whole; k++) {
            whole = false;
            for (size_t g = 0; g < counts[k] && !whole && wm_hub_step(h, 1, line->stmt->span); g++)
                if (wm_hub_agree(&set[0], &lists[k][g])) {
                    set[k] = lists[k][g];
                    whole = true;
                }
        }
        if (!whole)
            continue;
        line->matched++;
        bool replaced = false;
        for (uint32_t k = 0; k < owner_count && !replaced; k++)
            replaced = is_replaced(p, parent, lines, set[k].item, line->level);
        if (!replaced)
            place_found(p, line, prefix, set, owner_count);
    }
    finish_stacks(p);
}

void wm_place_directly(wm_placer *p, wm_member *parent, wm_hub_lines *lines, wm_str prefix)
{
    /* Those of the model itself come before those that it inherits. */
    for (uint32_t level = 0, next; level != UINT32_MAX; level = next) {
        next = UINT32_MAX;
        for (size_t i = 0; i < lines->count; i++) {
            wm_hub_line *line = &lines->items[i];
            if (line->stmt->kind != WM_HS_PLACE || wm_names_member(line->stmt))
                continue;
            if (line->level == level)
                place_line(p, parent, lines, line, prefix);
            else if (line->level > level && line->level < next)
                next = line->level;
        }
    }
}
