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
    for (uint32_t v = 0; v < scope->count; v++)
        for (const wm_hplace *t = s->places; t; t = t->next)
            if (t->name && !wm_string_asks(t->name, items[v].name)) {
                wm_error(
                    h->r->unit, WM_E0199, t->name->span,
                    "members that are stacked in one tensor (%s is not in its name) are not supported yet",
                    wm_quote(h->r->unit, items[v].name));
                p->h->failed = true;
                return;
            }
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
        *tensor = (wm_hub_tensor){.span = t->span,
                                  .tag = t->tag,
                                  .name = t->name,
                                  .layout = t->layout,
                                  .otherwise = t->otherwise,
                                  .optional = t->optional,
                                  .ops = t->ops,
                                  .scope = scope};
        place->name = wm_place_joined(h, prefix, name);
        place->span = t->name->span;
        place->tensor = tensor;
        place->where = s->where;
        place->owner_count = owner_count;
        place->owners = wm_new(h->arena, struct wm_hub_owner_of, owner_count);
        uint32_t i = 0;
        for (const wm_owner *o = s->owners; o; o = o->next, i++) {
            place->owners[i].item = owners[i].item;
            place->owners[i].tag = o->tag;
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
