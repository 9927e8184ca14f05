/* hub_place.c: the tensors of one side. Each member is named by the statement of the model that matches it;
 * its arrays are placed as the dialect has them, or by the model itself; all in the model's order. */
#include <string.h>

#include "compiler/hub_place.h"

#define VARS WM_HUB_VARS

static void fail(wm_placer *p)
{
    p->h->failed = true;
}

/* ---- strings ---- */

static bool expr_asks(const wm_expr *e, wm_str name)
{
    for (; e; e = e->a) {
        if (e->kind == WM_EX_NAME && wm_str_eq(e->name->parts->text, name))
            return true;
        if (expr_asks(e->b, name) || expr_asks(e->c, name))
            return true;
        for (const wm_expr *x = e->args; x; x = x->next)
            if (expr_asks(x, name))
                return true;
    }
    return false;
}

bool wm_string_asks(const wm_string *string, wm_str name)
{
    for (const wm_part *part = string->parts; part; part = part->next)
        if (part->kind == WM_PART_HOLE && expr_asks(part->expr, name))
            return true;
    return false;
}

bool wm_place_text(wm_placer *p, const wm_scope *scope, const wm_string *string, wm_str *text)
{
    wm_evaluated done = wm_plain_text(p->h->r->unit, scope, NULL, string, text);
    if (done == WM_EVAL_UNKNOWN)
        wm_error(p->h->r->unit, WM_E0403, string->span, "a name of the hub needs values that are known");
    if (done != WM_EVAL_OK)
        fail(p);
    return done == WM_EVAL_OK;
}

wm_str wm_place_joined(wm_hub *h, wm_str a, wm_str b)
{
    wm_buffer text = {.arena = h->arena, .cap = 0};
    wm_buffer_add(&text, a.p ? a.p : "", a.len);
    wm_buffer_add(&text, b.p ? b.p : "", b.len);
    return (wm_str){text.text, (uint32_t)text.len};
}

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
            fail(p);
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

/* ---- tensors ---- */

static void add_place(wm_placer *p, wm_hub_place *place)
{
    wm_hub *h = p->h;
    wm_hub_side *side = p->side;
    if (place->name.len == 0) {
        wm_error(h->r->unit, WM_E1008, place->span, "the name of a tensor is empty");
        fail(p);
        return;
    }
    uint32_t before = wm_map_put(&side->names, place->name.p, place->name.len, (uint32_t)side->count, NULL);
    wm_hub_place *other = before == WM_MAP_NONE ? NULL : side->places[before], *whole = other ? other : place;
    bool joins =
        other && place->stack && other->stack == place->stack && other->stacked_at != place->stacked_at;
    if (joins)
        wm_add_to_stack(p, other, place);
    for (uint32_t o = 0; (joins || !other) && o < place->owner_count; o++) {
        struct wm_hub_side_of *of = &place->owners[o].item->sides[side->number];
        *wm_push(h->arena, of->places, of->count, of->cap) = whole;
    }
    if (joins)
        return;
    if (other) {
        wm_diag *d = wm_error(h->r->unit, WM_E1008, place->span, "%s is the name of `%s` and of `%s`",
                              wm_quote(h->r->unit, place->name), wm_item_text(h, other->owners[0].item),
                              wm_item_text(h, place->owners[0].item));
        if (other->span.beg != place->span.beg || other->span.file != place->span.file)
            wm_diag_also(h->r->unit, d, other->span, "the first");
        fail(p);
        return;
    }
    place->order = side->count;
    place->in_header = SIZE_MAX;
    place->dialect = p->dialect;
    *wm_push(h->arena, side->places, side->count, side->cap) = place;
    if (place->stack)
        wm_begin_stack(p, place);
    else if (!wm_hub_check_place(h, place))
        fail(p);
}

/* Places that the model gives itself wait at the array where they stand in the order. */
static void put_direct(wm_placer *p, wm_hub_item *item)
{
    struct wm_hub_side_of *of = &item->sides[p->side->number];
    for (size_t i = 0; i < of->waiting_count; i++)
        add_place(p, of->waiting[i]);
    of->waiting_count = 0;
}

/* ---- placed by the dialect ---- */

typedef struct local {
    const wm_placing *placing;
    const wm_hub_tensor *tensor;
    wm_str name;
} local;

enum { SELF, ARRAY, INDEX, CLASS, SERIAL, POSITION, HOLES };

static void hole(wm_named *items, int at, const char *name, wm_val value)
{
    items[at] = (wm_named){.name = {name, (uint32_t)strlen(name)}, .value = value, .state = WM_DECL_DONE};
}

static wm_val of_int(size_t i)
{
    return (wm_val){.kind = WM_VAL_INT, .i = (int64_t)i};
}

static wm_val of_text(wm_str s)
{
    return (wm_val){.kind = WM_VAL_STRING, .s = s};
}

bool wm_has_array(const wm_hub_kind_of *layer, const wm_word *word)
{
    for (size_t a = 0; a < layer->count; a++)
        if (wm_str_eq(layer->arrays[a].name, word->text))
            return true;
    return false;
}

/* Which arrays a layer has here: `absent` is set for the others. */
static void presence_of(wm_placer *p, const wm_leaf *l, bool *absent)
{
    wm_hub *h = p->h;
    const wm_hub_kind_of *layer = l->member->layer;
    const wm_presence *both[2] = {l->member->presence, l->line ? l->line->stmt->presence : NULL};
    for (int i = 0; i < 2; i++)
        for (const wm_presence *w = both[i]; w; w = w->next)
            for (const wm_word *word = w->words; word; word = word->next) {
                if (!wm_has_array(layer, word)) {
                    wm_error(h->r->unit, WM_E1003, word->span, "`%s` has no array %s",
                             wm_member_text(h, l->member), wm_quote(h->r->unit, word->text));
                    fail(p);
                }
                for (size_t a = 0; a < layer->count; a++) {
                    if (!wm_str_eq(layer->arrays[a].name, word->text))
                        continue;
                    absent[a] = !w->with;
                    if (w->with || layer->arrays[a].neutral || layer->arrays[a].buffer)
                        continue;
                    wm_diag *d = wm_error(h->r->unit, WM_E1016, word->span,
                                          "%s has no neutral value: it can't be left out",
                                          wm_quote(h->r->unit, word->text));
                    wm_diag_also(h->r->unit, d, layer->arrays[a].span, "the array");
                    fail(p);
                }
            }
}

size_t wm_array_number(const wm_hub_kind_of *layer, wm_str name)
{
    size_t a = 0;
    while (a + 1 < layer->count && !wm_str_eq(layer->arrays[a].name, name))
        a++;
    return a;
}

/* Is a placement of the dialect used for this layer? Not where its arrays are absent or placed directly. */
static bool takes_part(wm_placer *p, const wm_leaf *l, const wm_placing *placing, const bool *absent)
{
    uint32_t out = 0, i = 0;
    for (const wm_owner *o = placing->owners; i < placing->owner_count; o = o->next, i++) {
        size_t a = wm_array_number(l->member->layer, o->ref->name->text);
        out += absent[a] || l->member->items[a].sides[p->side->number].direct;
    }
    if (out && out < placing->owner_count) {
        wm_error(p->h->r->unit, WM_E0199, placing->span,
                 "a tensor of several arrays of which `%s` lacks some is not supported yet",
                 wm_member_text(p->h, l->member));
        fail(p);
    }
    return out == 0;
}

/* Those that `order` lists come first. */
static void sort_locals(wm_placer *p, const wm_placed_kind *kind, local *locals, size_t count)
{
    local *sorted = wm_new(p->h->arena, local, count);
    size_t done = 0;
    for (const struct wm_string_list *s = kind->order; s; s = s->next) {
        wm_str text;
        if (!wm_place_text(p, kind->order_scope, s->string, &text))
            return;
        for (size_t i = 0; i < count; i++)
            if (locals[i].tensor && wm_str_eq(locals[i].name, text)) {
                sorted[done++] = locals[i];
                locals[i].tensor = NULL;
            }
    }
    for (size_t i = 0; i < count; i++)
        if (locals[i].tensor)
            sorted[done++] = locals[i];
    memcpy(locals, sorted, count * sizeof *locals);
}

static int64_t serial_of(wm_placer *p, wm_str class)
{
    wm_hub_side *s = p->side;
    for (size_t i = 0; i < s->serial_count; i++)
        if (wm_str_eq(s->serials[i].class, class))
            return s->serials[i].count++;
    struct wm_hub_serial *made = wm_push(p->h->arena, s->serials, s->serial_count, s->serial_cap);
    made->class = class;
    made->count = 1;
    return 0;
}

static void add_tensor(wm_placer *p, const wm_leaf *l, const local *what, wm_str name)
{
    wm_hub *h = p->h;
    wm_hub_place *place = wm_new(h->arena, wm_hub_place, 1);
    place->name = name;
    place->span = l->line->stmt->places->name ? l->line->stmt->places->name->span : l->line->stmt->span;
    place->tensor = what->tensor;
    place->where = what->placing->where;
    place->owner_count = what->placing->owner_count;
    place->owners = wm_new(h->arena, struct wm_hub_owner_of, place->owner_count);
    uint32_t i = 0;
    for (const wm_owner *o = what->placing->owners; i < place->owner_count; o = o->next, i++) {
        place->owners[i].item = &l->member->items[wm_array_number(l->member->layer, o->ref->name->text)];
        place->owners[i].tag = o->tag;
    }
    place->stack = l->stack;
    place->stacked_at = l->stacked_at;
    add_place(p, place);
}

/* The names of a layer's tensors; `items` has room for the holes. */
static void name_locals(wm_placer *p, const wm_leaf *l, const wm_placed_kind *kind, local *locals,
                        size_t count, wm_named *items)
{
    wm_hub *h = p->h;
    const wm_dialect *dialect = l->dialect;
    const wm_string *template = l->line->stmt->places->name;
    bool whole = wm_string_asks(template, WM_STR("array"));
    wm_scope *scope = wm_new(h->arena, wm_scope, 1);
    for (size_t i = 0; i < count; i++) {
        hole(items, INDEX, "index", of_int(i));
        hole(items, POSITION, "position", of_int(p->side->count));
        hole(items, ARRAY, "array", of_text(locals[i].name));
        const wm_string *all = kind->all ? kind->all : dialect->all;
        *scope = (wm_scope){
            .up = kind->all ? kind->all_scope : dialect->all_scope, .items = items, .count = HOLES};
        wm_str array = locals[i].name, name;
        if (all && !wm_place_text(p, scope, all, &array))
            return;
        hole(items, ARRAY, "array", of_text(array));
        scope->up = l->scope;
        if (whole) {
            if (!wm_place_text(p, scope, template, &name))
                return;
            name = wm_place_joined(h, l->prefix, name);
        } else if (array.len == 0) {
            name = items[SELF].value.s;
        } else if (!dialect->name) {
            wm_error(h->r->unit, WM_E1001, dialect->decl->span, "the dialect %s says no `name`",
                     wm_quote(h->r->unit, dialect->decl->name));
            fail(p);
            return;
        } else {
            scope->up = dialect->name_scope;
            if (!wm_place_text(p, scope, dialect->name, &name))
                return;
        }
        add_tensor(p, l, &locals[i], name);
    }
}

static void put_layer(wm_placer *p, const wm_leaf *l, const bool *absent)
{
    wm_hub *h = p->h;
    const wm_dialect *dialect = l->dialect;
    const wm_placed_kind *kind = wm_hub_placed(dialect, l->member->layer);
    if (!kind) {
        wm_diag *d = wm_error(h->r->unit, WM_E1004, l->line->stmt->span, "the dialect %s places no %s",
                              wm_quote(h->r->unit, dialect->decl->name),
                              wm_quote(h->r->unit, l->member->layer->decl->name));
        wm_diag_also(h->r->unit, d, l->member->span, "the member");
        fail(p);
        return;
    }
    if (l->line->stmt->with_body)
        kind = wm_hub_restate(h, kind, l->scope, l->line->stmt->body);
    size_t count = 0, most = 0;
    for (size_t i = 0; i < kind->count; i++)
        most += kind->placings[i].removed ? 0 : kind->placings[i].count;
    local *locals = wm_new(h->arena, local, most);
    wm_named *items = wm_new(h->arena, wm_named, HOLES);
    wm_str self = {NULL, 0}, class = {NULL, 0};
    const wm_string *template = l->line->stmt->places->name;
    if (!wm_string_asks(template, WM_STR("array")) && !wm_place_text(p, l->scope, template, &self))
        return;
    if (kind->class && !wm_place_text(p, kind->scope, kind->class, &class))
        return;
    hole(items, SELF, "self", of_text(wm_place_joined(h, l->prefix, self)));
    hole(items, CLASS, "class", of_text(class));
    hole(items, SERIAL, "serial", of_int((size_t)serial_of(p, class)));
    hole(items, ARRAY, "array", of_text(self));
    hole(items, INDEX, "index", of_int(0));
    hole(items, POSITION, "position", of_int(0));
    for (size_t i = 0; i < kind->count; i++) {
        const wm_placing *placing = &kind->placings[i];
        if (placing->removed || !takes_part(p, l, placing, absent))
            continue;
        for (uint32_t t = 0; t < placing->count; t++) {
            const wm_hub_tensor *tensor = &placing->tensors[t];
            locals[count] = (local){placing, tensor, {NULL, 0}};
            /* a local name may say how the layer is called, where that isn't what it begins with */
            wm_scope *named = wm_new(h->arena, wm_scope, 1);
            *named = (wm_scope){.up = tensor->name_scope, .items = items, .count = HOLES};
            if (!wm_place_text(p, named, tensor->name, &locals[count].name))
                return;
            count++;
        }
    }
    if (kind->order)
        sort_locals(p, kind, locals, count);
    name_locals(p, l, kind, locals, count, items);
    for (size_t a = 0; a < l->member->layer->count; a++) {
        const wm_hub_array *array = &l->member->layer->arrays[a];
        if (l->member->items[a].sides[p->side->number].count || array->neutral || array->buffer || h->failed)
            continue;
        wm_diag *d = wm_error(
            h->r->unit, WM_E1005, kind->span, "%s of %s is required, and the dialect %s gives it no place",
            wm_quote(h->r->unit, array->name), wm_quote(h->r->unit, l->member->layer->decl->name),
            wm_quote(h->r->unit, dialect->decl->name));
        wm_diag_also(h->r->unit, d, array->span, "the array");
        fail(p);
    }
}

/* A bare array has its layout beside the name, which is the tensor's. */
static void put_bare(wm_placer *p, const wm_leaf *l)
{
    const wm_hplace *first = l->line->stmt->places;
    for (const wm_hplace *h = first; h; h = h->next) {
        wm_hub_place *place = wm_new(p->h->arena, wm_hub_place, 1);
        wm_hub_tensor *tensor = wm_new(p->h->arena, wm_hub_tensor, 1);
        *tensor = (wm_hub_tensor){.span = h->span,
                                  .tag = h->tag,
                                  .name = h->name,
                                  .layout = h->layout,
                                  .otherwise = h->otherwise,
                                  .optional = h->optional,
                                  .ops = h->ops,
                                  .scope = l->scope};
        wm_str name;
        if (!h->name || !wm_place_text(p, l->scope, h->name, &name))
            return;
        place->name = wm_place_joined(p->h, l->prefix, name);
        place->span = h->name->span;
        place->tensor = tensor;
        place->owner_count = 1;
        place->owners = wm_new(p->h->arena, struct wm_hub_owner_of, 1);
        place->owners[0].item = &l->member->items[0];
        place->where = l->line->stmt->where;
        place->stack = l->stack;
        place->stacked_at = l->stacked_at;
        add_place(p, place);
    }
}

static void put_leaf(wm_placer *p, const wm_leaf *l)
{
    const wm_hub_kind_of *layer = l->member->layer;
    bool *absent = wm_new(p->h->arena, bool, layer->count);
    p->dialect = l->dialect;
    presence_of(p, l, absent);
    for (size_t a = 0; a < layer->count; a++)
        put_direct(p, &l->member->items[a]);
    if (!l->line)
        return;
    if (!l->line->stmt->places->name) {
        wm_error(p->h->r->unit, WM_E1001, l->line->stmt->span, "a name is needed here");
        fail(p);
    } else if (layer->decl) {
        put_layer(p, l, absent);
    } else {
        put_bare(p, l);
    }
    for (size_t a = 0; a < layer->count; a++)
        wm_hub_check_labels(p->h, &l->member->items[a], p->side->number);
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
        fail(p);
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
    fail(p);
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
        fail(p);
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

static void walk(wm_placer *p, wm_member *parent, wm_hub_lines *lines, wm_str prefix)
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
            fail(p);
        } else if (m->layer && (line || all_direct(m, side))) {
            *wm_push(h->arena, p->leaves, p->count, p->cap) =
                (wm_leaf){m, line, scope, p->dialect, prefix, p->stack, p->stacked_at};
        } else if (!line && all_direct(m, side)) {
            wm_hub_lines none = {0};
            walk(p, m, &none, prefix);
        } else if (!line) {
            no_name(p, m);
        } else {
            wm_str text;
            const wm_hplace *place = line->stmt->places;
            if (place->next || !place->name) {
                wm_error(h->r->unit, WM_E1001, line->stmt->span, "a block has one name");
                fail(p);
                continue;
            }
            if (!wm_place_text(p, scope, place->name, &text))
                continue;
            text = wm_place_joined(h, prefix, text);
            wm_stack *around = p->stack;
            if (place->layout && !wm_enter_stack(p, line, scope, text)) {
                fail(p);
                p->stack = around;
                continue;
            }
            wm_hub_lines inner = {0};
            wm_hub_list_lines(h, line->stmt->body, scope, line->level, &inner);
            const wm_dialect *outer = p->dialect;
            if (!line->stmt->from || add_lines_of(p, line, m, scope, &inner))
                walk(p, m, &inner, text);
            p->dialect = outer;
            p->stack = around;
        }
    }
    check_idle(p, parent, lines);
    sort_leaves(p, parent, lines, start);
}

void wm_hub_place_side(wm_hub *h, int number)
{
    wm_hub_side *side = &h->sides[number];
    wm_map_init(&side->names, h->arena, 0);
    wm_placer p = {.h = h, .side = side, .dialect = side->model->dialect};
    walk(&p, h->root, &side->model->lines, (wm_str){NULL, 0});
    if (p.nameless_count)
        wm_diag_note(h->r->unit, h->r->unit->last, "and %zu more like it", p.nameless_count);
    for (size_t i = 0; i < p.count && !h->failed; i++)
        put_leaf(&p, &p.leaves[i]);
    wm_finish_block_stacks(&p);
}
