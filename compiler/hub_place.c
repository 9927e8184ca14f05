/* hub_place.c: the tensors of one side. The arrays of the layers that hub_walk.c lists are placed as the
 * dialect has them, or by the model itself; all in the model's order. */
#include <string.h>

#include "compiler/hub_place.h"

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
        wm_place_failed(p);
    return done == WM_EVAL_OK;
}

wm_str wm_place_joined(wm_hub *h, wm_str a, wm_str b)
{
    wm_buffer text = {.arena = h->arena, .cap = 0};
    wm_buffer_add(&text, a.p ? a.p : "", a.len);
    wm_buffer_add(&text, b.p ? b.p : "", b.len);
    return (wm_str){text.text, (uint32_t)text.len};
}

/* ---- tensors ---- */

static void add_place(wm_placer *p, wm_hub_place *place)
{
    wm_hub *h = p->h;
    wm_hub_side *side = p->side;
    if (place->name.len == 0) {
        wm_error(h->r->unit, WM_E1008, place->span, "the name of a tensor is empty");
        wm_place_failed(p);
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
        wm_place_failed(p);
        return;
    }
    place->order = side->count;
    place->in_header = SIZE_MAX;
    place->dialect = p->dialect;
    *wm_push(h->arena, side->places, side->count, side->cap) = place;
    if (place->stack)
        wm_begin_stack(p, place);
    else if (!wm_hub_check_place(h, place))
        wm_place_failed(p);
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
                    wm_place_failed(p);
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
                    wm_place_failed(p);
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
        wm_place_failed(p);
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
            wm_place_failed(p);
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
        wm_place_failed(p);
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
        wm_place_failed(p);
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
        wm_place_failed(p);
    } else if (layer->decl) {
        put_layer(p, l, absent);
    } else {
        put_bare(p, l);
    }
    for (size_t a = 0; a < layer->count; a++)
        wm_hub_check_labels(p->h, &l->member->items[a], p->side->number);
}

void wm_hub_place_side(wm_hub *h, int number)
{
    wm_hub_side *side = &h->sides[number];
    wm_map_init(&side->names, h->arena, 0);
    wm_placer p = {.h = h, .side = side, .dialect = side->model->dialect};
    wm_walk_members(&p, h->root, &side->model->lines, (wm_str){NULL, 0});
    if (p.nameless_count)
        wm_diag_note(h->r->unit, h->r->unit->last, "and %zu more like it", p.nameless_count);
    for (size_t i = 0; i < p.count && !h->failed; i++)
        put_leaf(&p, &p.leaves[i]);
    wm_finish_block_stacks(&p);
}
