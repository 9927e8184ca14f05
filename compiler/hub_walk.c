/* hub_walk.c: the layers of one side, in the model's order, each with the statement that names it: of the
 * model itself, of what it inherits, or of a model by which a member is named. */
#include <string.h>

#include "compiler/hub_place.h"

#define VARS WM_HUB_VARS

/* ---- statements ---- */

bool wm_names_member(const struct wm_hub_stmt *s)
{
    return s->kind == WM_HS_PLACE && !s->owners->next && !s->owners->tag && !s->owners->ref->next;
}

/* Is a member left out of this model, by its own name or its part's? */
static bool left_out(const wm_hub_lines *lines, const wm_member *m)
{
    for (size_t i = 0; i < lines->count; i++)
        for (const wm_word *w = lines->items[i].stmt->kind == WM_HS_WITHOUT ? lines->items[i].stmt->words
                                                                            : NULL;
             w; w = w->next)
            if (wm_str_eq(w->text, m->name) || (m->part.len && wm_str_eq(w->text, m->part)))
                return true;
    return false;
}

/* The statement that names a member, with its variables in a scope. NULL: none, or reported. */
static wm_hub_line *line_of(wm_placer *p, wm_hub_lines *lines, const wm_member *m, const wm_scope **scope,
                            bool *bad)
{
    wm_hub *h = p->h;
    wm_hub_line *best = NULL;
    wm_named best_items[VARS], items[VARS];
    uint32_t best_count = 0, count;
    *bad = !wm_hub_step(h, lines->count, m->span);
    for (size_t i = 0; i < lines->count && !*bad; i++) {
        wm_hub_line *line = &lines->items[i];
        uint32_t indices = 0;
        if (!wm_names_member(line->stmt) || (best && line->level > best->level))
            continue;
        for (const wm_index *x = line->stmt->owners->ref->indices; x; x = x->next)
            indices++;
        if (indices >= VARS || !wm_hub_matches(h, line->stmt->owners->ref, m, line->scope, items, &count))
            continue;
        line->matched++;
        if (best && best->level == line->level) {
            wm_diag *d = wm_error(h->r->unit, WM_E1002, line->stmt->owners->span,
                                  "this and another statement name `%s`", wm_member_text(h, m));
            wm_diag_also(h->r->unit, d, best->stmt->owners->span, "the other");
            wm_place_failed(p);
            *bad = true;
            return NULL;
        }
        best = line;
        best_count = count;
        memcpy(best_items, items, sizeof items);
    }
    if (!best)
        return NULL;
    bool inner = m->inner != NULL;
    uint32_t params = inner ? m->inner->count : 0;
    wm_named *all = wm_new(h->arena, wm_named, best_count + params + 1);
    memcpy(all, best_items, best_count * sizeof *all);
    all[best_count] = (wm_named){.name = WM_STR("nth"),
                                 .span = best->stmt->span,
                                 .value = {.kind = WM_VAL_INT, .i = best->nth++},
                                 .state = WM_DECL_DONE};
    for (uint32_t i = 0; i < params; i++)
        all[best_count + 1 + i] = m->inner->items[i];
    wm_scope *made = wm_new(h->arena, wm_scope, 1);
    *made = (wm_scope){.up = best->scope, .items = all, .count = best_count + 1 + params};
    *scope = made;
    return best;
}

/* ---- members ---- */

static bool all_direct(const wm_member *m, int side)
{
    if (!m->layer) {
        bool blocks = m->child_count > 0;
        for (size_t i = 0; i < m->child_count && blocks; i++)
            blocks = all_direct(m->children[i], side);
        return blocks;
    }
    bool all = m->layer->count > 0;
    for (size_t a = 0; a < m->layer->count; a++) {
        const wm_hub_array *array = m->items[a].array;
        all &= m->items[a].sides[side].direct || array->neutral || array->buffer;
    }
    return all;
}

/* Is a member of that name declared at all, though not in this expansion? */
static bool is_declared(const wm_stmt *stmts, wm_str name)
{
    for (; stmts; stmts = stmts->next) {
        const struct wm_hub_stmt *s = stmts->of->hub;
        for (const wm_hub_name *n = s ? s->members : NULL; n; n = n->next)
            if (wm_str_eq(n->name->text, name))
                return true;
        if (is_declared(s ? s->body : stmts->of->body, name) ||
            is_declared(s ? NULL : stmts->of->otherwise, name))
            return true;
    }
    return false;
}

static bool only_numbers(const wm_ref *ref)
{
    for (const wm_index *x = ref->indices; x; x = x->next)
        if (!x->number)
            return false;
    return ref->indices != NULL;
}

/* E1003: a statement that names nothing is a mistake where the member is not declared, or its numbers are
 * not. */
static void check_idle(wm_placer *p, const wm_member *parent, const wm_hub_lines *lines)
{
    wm_hub *h = p->h;
    for (size_t i = 0; i < lines->count; i++) {
        const wm_hub_line *line = &lines->items[i];
        if (line->stmt->kind != WM_HS_PLACE || line->matched)
            continue;
        const wm_ref *ref = line->stmt->owners->ref;
        size_t there = 0;
        bool hidden = false, skipped = false; /* another statement named it; it isn't here */
        const wm_member *first = NULL, *last = NULL;
        wm_near near;
        wm_near_init(&near, ref->name->text);
        for (size_t c = 0; c < parent->child_count; c++) {
            const wm_member *m = parent->children[c];
            wm_near_try(&near, m->name);
            if (wm_str_eq(m->name, ref->name->text)) {
                first = there++ ? first : m;
                last = m;
                skipped |= m->left_out || left_out(lines, m);
            }
        }
        for (size_t k = 0; k < lines->count; k++)
            hidden |= lines->items[k].level < line->level;
        if (hidden || skipped || (there && !only_numbers(ref)) ||
            (!there && is_declared(parent->block->item->body, ref->name->text)))
            continue;
        wm_str text = {h->r->unit->sources[ref->span.file]->text + ref->span.beg,
                       ref->span.end - ref->span.beg};
        wm_diag *d = wm_error(h->r->unit, WM_E1003, ref->span, "there is no member %s in %s",
                              wm_quote(h->r->unit, text), wm_quote(h->r->unit, parent->block->name));
        if (there) {
            const char *to = wm_member_text(h, last);
            wm_diag_also(h->r->unit, d, first->span, "it has `%s`%s%s", wm_member_text(h, first),
                         there > 1 ? " to " : "", there > 1 ? wm_format_text(h->arena, "`%s`", to) : "");
        } else {
            wm_diag_near(h->r->unit, d, &near);
        }
        wm_place_failed(p);
    }
}

static bool covers(wm_placer *p, const wm_ref *ref, const wm_member *parent, const wm_member *m,
                   const wm_scope *scope)
{
    const wm_member *path[WM_HUB_DEPTH + 2];
    uint32_t depth = 0;
    for (; m != parent && m && depth < WM_HUB_DEPTH + 2; m = m->parent)
        path[depth++] = m;
    for (; ref; ref = ref->next) {
        wm_named items[VARS];
        uint32_t count;
        if (depth == 0 || !wm_hub_matches(p->h, ref, path[--depth], scope, items, &count))
            return false;
    }
    return true;
}

/* `order`: the layers that it lists come first. */
static void sort_leaves(wm_placer *p, const wm_member *parent, const wm_hub_lines *lines, size_t start)
{
    wm_hub *h = p->h;
    const wm_hub_line *order = NULL;
    for (size_t i = 0; i < lines->count; i++)
        if (lines->items[i].stmt->kind == WM_HS_ORDER && (!order || lines->items[i].level <= order->level))
            order = &lines->items[i];
    if (!order || !order->stmt->owners)
        return;
    size_t count = p->count - start, done = 0;
    if (count == 0)
        return;
    wm_leaf *sorted = wm_new(h->arena, wm_leaf, count);
    bool *taken = wm_new(h->arena, bool, count);
    for (const wm_owner *o = order->stmt->owners; o && wm_hub_step(h, count, order->stmt->span); o = o->next)
        for (size_t i = 0; i < count; i++)
            if (!taken[i] && covers(p, o->ref, parent, p->leaves[start + i].member, order->scope)) {
                taken[i] = true;
                sorted[done++] = p->leaves[start + i];
            }
    for (size_t i = 0; i < count; i++)
        if (!taken[i])
            sorted[done++] = p->leaves[start + i];
    memcpy(p->leaves + start, sorted, done * sizeof *sorted);
}

static void no_name(wm_placer *p, const wm_member *m)
{
    wm_hub *h = p->h;
    wm_place_failed(p);
    if (p->nameless && wm_str_eq(p->nameless->name, m->name) &&
        p->nameless->parent->block == m->parent->block) {
        p->nameless_count++; /* of one family, one is said */
        return;
    }
    p->nameless = m;
    wm_diag *d =
        wm_error(h->r->unit, WM_E1001, p->side->model->decl->span, "%s `%s` has no name in the model `%s`",
                 m->layer ? "layer" : "block", wm_member_text(h, m), p->side->model->name);
    wm_diag_also(h->r->unit, d, m->span, "the member");
}

/* Adds the statements of the model by which a member is named, whose own stand before them. What that model
 * says of its files doesn't hold for this one, but for what there is to ignore. */
static bool add_lines_of(wm_placer *p, const wm_hub_line *line, const wm_member *m, const wm_scope *scope,
                         wm_hub_lines *lines)
{
    wm_hub *h = p->h;
    const wm_hub_model *model = wm_hub_open_below(h, line->stmt->from, scope, m, line->level + 1);
    if (!model) {
        wm_place_failed(p);
        return false;
    }
    p->dialect = model->dialect;
    for (size_t i = 0; i < model->lines.count; i++) {
        wm_hub_kind kind = model->lines.items[i].stmt->kind;
        if (kind != WM_HS_FILL && kind != WM_HS_META && kind != WM_HS_FORMAT)
            *wm_push(h->arena, lines->items, lines->count, lines->cap) = model->lines.items[i];
    }
    return true;
}

void wm_walk_members(wm_placer *p, wm_member *parent, wm_hub_lines *lines, wm_str prefix)
{
    wm_hub *h = p->h;
    int side = p->side->number;
    size_t start = p->count;
    wm_place_directly(p, parent, lines, prefix);
    for (size_t i = 0; i < lines->count; i++) {
        const struct wm_hub_stmt *s = lines->items[i].stmt;
        if (s->kind == WM_HS_IGNORE || s->kind == WM_HS_FILL || s->kind == WM_HS_META ||
            s->kind == WM_HS_FORMAT)
            *wm_push(h->arena, p->side->stated, p->side->stated_count, p->side->stated_cap) =
                (struct wm_hub_stated){s, lines->items[i].scope};
    }
    for (size_t i = 0; i < parent->child_count && !h->r->spent; i++) {
        wm_member *m = parent->children[i];
        const wm_scope *scope = NULL;
        bool bad;
        if (left_out(lines, m) ||
            (side == 1 && m->left_out && !h->onto)) /* what A has of a part is dropped */
            continue;
        wm_hub_line *line = line_of(p, lines, m, &scope, &bad);
        if (bad)
            continue;
        if (m->layer && line && line->stmt->from) {
            wm_hub_open_below(h, line->stmt->from, scope, m, 0); /* says that it can't be */
            wm_place_failed(p);
        } else if (m->layer && (line || all_direct(m, side))) {
            *wm_push(h->arena, p->leaves, p->count, p->cap) =
                (wm_leaf){m, line, scope, p->dialect, prefix, p->stack, p->stacked_at};
        } else if (!line && all_direct(m, side)) {
            wm_hub_lines none = {0};
            wm_walk_members(p, m, &none, prefix);
        } else if (!line) {
            no_name(p, m);
        } else {
            wm_str text;
            const wm_hplace *place = line->stmt->places;
            if (place->next || !place->name) {
                wm_error(h->r->unit, WM_E1001, line->stmt->span, "a block has one name");
                wm_place_failed(p);
                continue;
            }
            if (!wm_place_text(p, scope, place->name, &text))
                continue;
            text = wm_place_joined(h, prefix, text);
            wm_stack *around = p->stack;
            if (place->layout && !wm_enter_stack(p, line, scope, text)) {
                wm_place_failed(p);
                p->stack = around;
                continue;
            }
            wm_hub_lines inner = {0};
            wm_hub_list_lines(h, line->stmt->body, scope, line->level, &inner);
            const wm_dialect *outer = p->dialect;
            if (!line->stmt->from || add_lines_of(p, line, m, scope, &inner))
                wm_walk_members(p, m, &inner, text);
            p->dialect = outer;
            p->stack = around;
        }
    }
    check_idle(p, parent, lines);
    sort_leaves(p, parent, lines, start);
}
