/* hub_dialect.c: how a framework stores each kind of layer. Opens a dialect with its parents and parameters;
 * a placement of the same arrays restates what it gives. */
#include <string.h>

#include "compiler/hub.h"

/* ---- placements ---- */

static bool is_owner(const wm_placing *p, wm_str name)
{
    uint32_t i = 0;
    for (const wm_owner *o = p->owners; i < p->owner_count; o = o->next, i++)
        if (wm_str_eq(o->ref->name->text, name))
            return true;
    return false;
}

static bool same_owners(const wm_placing *p, const struct wm_hub_stmt *s)
{
    uint32_t i = 0;
    const wm_owner *a = p->owners, *b = s->owners;
    for (; i < p->owner_count && b; a = a->next, b = b->next, i++)
        if (!wm_str_eq(a->ref->name->text, b->ref->name->text))
            return false;
    return i == p->owner_count && !b;
}

static wm_hub_tensor make_tensor(const wm_hplace *place, const wm_scope *scope)
{
    return (wm_hub_tensor){.span = place->span,
                           .tag = place->tag,
                           .name = place->name,
                           .name_scope = scope,
                           .layout = place->layout,
                           .otherwise = place->otherwise,
                           .optional = place->optional,
                           .ops = place->ops,
                           .scope = scope};
}

static void restate_tensor(wm_hub_tensor *t, const wm_hplace *place, const wm_scope *scope)
{
    t->span = place->span;
    if (place->tag)
        t->tag = place->tag;
    if (place->name) {
        t->name = place->name;
        t->name_scope = scope;
    }
    if (place->layout) {
        t->layout = place->layout;
        t->otherwise = place->otherwise;
    }
    if (place->ops) {
        t->ops = place->ops;
        t->scope = scope;
    }
    t->optional |= place->optional;
}

/* The arrays that a placement names are the layer's. */
static bool check_owners(wm_hub *h, const wm_placed_kind *kind, const struct wm_hub_stmt *s)
{
    for (const wm_owner *o = s->owners; o; o = o->next) {
        bool found = false;
        wm_near near;
        wm_near_init(&near, o->ref->name->text);
        for (size_t a = 0; a < kind->layer->count && !found; a++) {
            found = wm_str_eq(kind->layer->arrays[a].name, o->ref->name->text);
            wm_near_try(&near, kind->layer->arrays[a].name);
        }
        if (found && !o->ref->next && !o->ref->indices)
            continue;
        wm_diag *d =
            wm_error(h->r->unit, WM_E1006, o->ref->span, "%s is no array of the layer %s",
                     wm_quote(h->r->unit, o->ref->name->text), wm_quote(h->r->unit, kind->layer->decl->name));
        wm_diag_also(h->r->unit, d, kind->layer->decl->span, "the layer");
        wm_diag_near(h->r->unit, d, &near);
        h->failed = true;
        return false;
    }
    return true;
}

static bool add_placing(wm_hub *h, wm_placed_kind *kind, const struct wm_hub_stmt *s, const wm_scope *scope)
{
    uint32_t count = 0, owners = 0;
    for (const wm_hplace *p = s->places; p; p = p->next)
        count++;
    for (const wm_owner *o = s->owners; o; o = o->next)
        owners++;
    wm_placing *old = NULL;
    for (size_t i = 0; i < kind->count && !old; i++)
        if (!kind->placings[i].removed && same_owners(&kind->placings[i], s))
            old = &kind->placings[i];
    bool named = true;
    for (const wm_hplace *p = s->places; p; p = p->next)
        named &= p->name != NULL;
    if (old && old->count == count) { /* it has the same tensors: restated one by one */
        wm_hub_tensor *tensors = wm_new(h->arena, wm_hub_tensor, count);
        memcpy(tensors, old->tensors, count * sizeof *tensors);
        uint32_t i = 0;
        for (const wm_hplace *p = s->places; p; p = p->next, i++)
            restate_tensor(&tensors[i], p, scope);
        old->tensors = tensors;
        old->span = s->span;
        if (s->where)
            old->where = s->where;
        return true;
    }
    if (!named) {
        wm_error(h->r->unit, WM_E1006, s->span,
                 "nothing that this could restate was placed before: a name is needed");
        h->failed = true;
        return false;
    }
    for (size_t i = 0; i < kind->count; i++)
        for (const wm_owner *o = s->owners; o; o = o->next)
            kind->placings[i].removed |= is_owner(&kind->placings[i], o->ref->name->text);
    wm_placing *p = old ? old : wm_push(h->arena, kind->placings, kind->count, kind->cap);
    *p = (wm_placing){
        .span = s->span, .owners = s->owners, .owner_count = owners, .count = count, .where = s->where};
    p->tensors = wm_new(h->arena, wm_hub_tensor, count);
    uint32_t i = 0;
    for (const wm_hplace *place = s->places; place; place = place->next)
        p->tensors[i++] = make_tensor(place, scope);
    return true;
}

static void remove_arrays(wm_hub *h, wm_placed_kind *kind, const wm_word *words)
{
    for (const wm_word *w = words; w; w = w->next) {
        bool found = false;
        for (size_t i = 0; i < kind->count; i++)
            if (is_owner(&kind->placings[i], w->text))
                found = kind->placings[i].removed = true;
        if (found)
            continue;
        wm_error(h->r->unit, WM_E1006, w->span, "%s has no place here that could be left out",
                 wm_quote(h->r->unit, w->text));
        h->failed = true;
    }
}

static void walk_placements(wm_hub *h, wm_placed_kind *kind, const wm_scope *scope, const wm_stmt *body)
{
    for (const wm_stmt *stmt = body; stmt; stmt = stmt->next) {
        const struct wm_hub_stmt *s = stmt->of->hub;
        if (!s) {
            bool value = false;
            wm_context c = {.scope = scope, .file = h->file, .round = ""};
            if (stmt->kind == WM_ST_IF && wm_condition(h->r, &c, stmt->of->expr, &value) == WM_EVAL_OK) {
                walk_placements(h, kind, scope, value ? stmt->of->body : stmt->of->otherwise);
            } else {
                wm_error(h->r->unit, WM_E0314, stmt->span,
                         "placements stand here, or conditions of known values");
                h->failed = true;
            }
            continue;
        }
        switch (s->kind) {
        case WM_HS_PLACE:
            if (check_owners(h, kind, s))
                add_placing(h, kind, s, scope);
            break;
        case WM_HS_ALL:
            kind->all = s->string;
            kind->all_scope = scope;
            break;
        case WM_HS_ORDER:
            kind->order = s->strings;
            kind->order_scope = scope;
            break;
        case WM_HS_WITHOUT:
            remove_arrays(h, kind, s->words);
            break;
        default:
            wm_error(h->r->unit, WM_E0110, s->span,
                     "expected the placement of an array, `all`, `order` or `without`");
            h->failed = true;
        }
    }
}

static void copy_kind(wm_hub *h, wm_placed_kind *to, const wm_placed_kind *from)
{
    *to = *from;
    to->placings = wm_new(h->arena, wm_placing, from->count);
    to->cap = from->count;
    if (from->count)
        memcpy(to->placings, from->placings, from->count * sizeof *to->placings);
}

wm_placed_kind *wm_hub_restate(wm_hub *h, const wm_placed_kind *kind, const wm_scope *scope,
                               const wm_stmt *body)
{
    wm_placed_kind *copy = wm_new(h->arena, wm_placed_kind, 1);
    copy_kind(h, copy, kind);
    walk_placements(h, copy, scope, body);
    return copy;
}

/* ---- dialects ---- */

const wm_placed_kind *wm_hub_placed(const wm_dialect *dialect, const wm_hub_kind_of *layer)
{
    for (size_t i = 0; i < dialect->kind_count; i++)
        if (dialect->kinds[i].layer == layer)
            return &dialect->kinds[i];
    return NULL;
}

static void add_kind(wm_hub *h, wm_dialect *d, const struct wm_hub_stmt *s)
{
    const wm_hub_kind_of *layer = wm_hub_find_kind(h, d->decl->file, s->name);
    if (!layer) {
        wm_diag *e = wm_error(h->r->unit, WM_E0126, s->name->span, "there is no layer %s",
                              wm_quote(h->r->unit, s->name->text));
        wm_suggest_decl(h->r, e, d->decl->file, s->name->text, WM_IT_LAYER);
        h->failed = true;
        return;
    }
    wm_placed_kind *kind = NULL;
    for (size_t i = 0; i < d->kind_count && !kind; i++)
        kind = d->kinds[i].layer == layer ? &d->kinds[i] : NULL;
    if (!kind) {
        kind = wm_push(h->arena, d->kinds, d->kind_count, d->kind_cap);
        kind->layer = layer;
    }
    kind->span = s->name->span;
    if (s->string) {
        kind->class = s->string;
        kind->scope = d->scope;
    }
    walk_placements(h, kind, d->scope, s->body);
}

static void walk_dialect(wm_hub *h, wm_dialect *d)
{
    for (const wm_stmt *stmt = d->decl->item->body; stmt; stmt = stmt->next) {
        const struct wm_hub_stmt *s = stmt->of->hub;
        switch (s->kind) {
        case WM_HS_NAME:
            d->name = s->string;
            d->name_scope = d->scope;
            break;
        case WM_HS_FORMAT:
            d->format = s->qname;
            break;
        case WM_HS_FLATTEN:
            d->flatten = s->words;
            break;
        case WM_HS_ALL:
            d->all = s->string;
            d->all_scope = d->scope;
            break;
        case WM_HS_META: {
            struct wm_hub_meta *m = wm_push(h->arena, d->metas, d->meta_count, d->meta_cap);
            m->stmt = s;
            m->scope = d->scope;
            break;
        }
        case WM_HS_KIND:
            add_kind(h, d, s);
            break;
        default:
            wm_error(h->r->unit, WM_E0110, s->span,
                     "expected `name`, `format`, `flatten`, `all`, `meta` or a kind of layer");
            h->failed = true;
        }
    }
}

/* A scope in which the parameters of the parents are seen as well. */
static const wm_scope *join_scopes(wm_hub *h, const wm_scope *own, const wm_scope *parent,
                                   const wm_file *file)
{
    wm_scope *scope = wm_new(h->arena, wm_scope, 1);
    wm_named *items = wm_new(h->arena, wm_named, own->count + parent->count);
    *scope = (wm_scope){.up = file->scope, .items = items, .count = own->count + parent->count};
    for (uint32_t i = 0; i < own->count; i++)
        items[i] = own->items[i];
    for (uint32_t i = 0; i < parent->count; i++)
        items[own->count + i] = parent->items[i];
    return scope;
}

static const wm_decl *find_dialect(wm_hub *h, const wm_file *file, const wm_qname *name)
{
    const wm_decl *decl = wm_file_find(h->arena, file, name, false);
    if (decl && decl->item->kind == WM_IT_DIALECT)
        return decl;
    wm_str text = wm_qname_text(h->arena, name);
    wm_diag *d =
        wm_error(h->r->unit, WM_E0126, name->span, "there is no dialect %s", wm_quote(h->r->unit, text));
    wm_suggest_decl(h->r, d, file, text, WM_IT_DIALECT);
    h->failed = true;
    return NULL;
}

static bool open_dialect(wm_hub *h, const wm_decl *decl, wm_givens *givens, wm_span at, uint32_t depth,
                         wm_dialect *out)
{
    if (depth > WM_HUB_DEPTH) {
        wm_error(h->r->unit, WM_E0902, decl->span, "dialects inherit from each other more than %d deep",
                 WM_HUB_DEPTH);
        h->failed = true;
        return false;
    }
    const wm_scope *own = wm_hub_bind(h, decl, givens, decl->file->scope, at, WM_E1010);
    if (!own)
        return false;
    const wm_call *from = decl->item->from;
    if (from) {
        const wm_decl *parent = find_dialect(h, decl->file, from->name);
        /* What a dialect fixes of its parent's parameters is no longer asked for. */
        wm_givens fixed = {0};
        if (!parent || !wm_hub_give(h, own, from, &fixed))
            return false;
        size_t count = fixed.count;
        for (size_t i = 0; i < givens->count; i++) {
            bool hidden = false;
            for (size_t k = 0; k < count; k++)
                hidden |= wm_str_eq(fixed.items[k].name->text, givens->items[i].name->text);
            if (!hidden && !givens->items[i].used)
                *wm_push(h->arena, fixed.items, fixed.count, fixed.cap) = givens->items[i];
        }
        if (!open_dialect(h, parent, &fixed, at, depth + 1, out))
            return false;
        for (size_t i = 0; i < count; i++)
            if (!fixed.items[i].used) {
                wm_givens one = {&fixed.items[i], 1, 1};
                return wm_hub_all_used(h, &one, parent);
            }
        for (size_t k = count; k < fixed.count; k++)
            for (size_t i = 0; i < givens->count; i++)
                if (givens->items[i].name == fixed.items[k].name)
                    givens->items[i].used |= fixed.items[k].used;
        own = join_scopes(h, own, out->scope, decl->file);
    }
    out->decl = decl;
    out->scope = own;
    walk_dialect(h, out);
    return true;
}

const wm_dialect *wm_hub_dialect(wm_hub *h, const wm_file *file, const wm_scope *caller, const wm_call *call,
                                 wm_span at)
{
    const wm_decl *decl = find_dialect(h, file, call->name);
    wm_givens givens = {0};
    wm_dialect *dialect = wm_new(h->arena, wm_dialect, 1);
    if (!decl || !wm_hub_give(h, caller, call, &givens) || !open_dialect(h, decl, &givens, at, 0, dialect) ||
        !wm_hub_all_used(h, &givens, decl)) {
        h->failed = true;
        return NULL;
    }
    return dialect;
}
