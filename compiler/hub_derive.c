/* hub_derive.c: from arrays that two models place to statements. Arrays that share a tensor are one rule;
 * what one side lacks is folded, filled, dropped or refused. */
#include <string.h>

#include "compiler/hub.h"

typedef struct deriver {
    wm_hub *h;
    wm_hub_item **items; /* in the architecture's order */
    size_t count, cap;
    uint32_t *up; /* union-find over them */
    wm_hub_outs *out;
    /* arrays without a home or without a source, one finding a kind of array */
    struct lack {
        const wm_hub_array *array;
        const wm_hub_item *item;
        int side;
        size_t count;
    } * lacks;
    size_t lack_count, lack_cap;
} deriver;

static bool has(const wm_hub_item *item, int side)
{
    return item->sides[side].count > 0;
}

bool wm_hub_both(const wm_hub_item *item)
{
    return has(item, 0) && has(item, 1);
}

/* ---- groups ---- */

static uint32_t find(deriver *d, uint32_t i)
{
    while (d->up[i] != i)
        i = d->up[i] = d->up[d->up[i]];
    return i;
}

/* Joins the arrays of a tensor that are on both sides; the others are `_` in its layout. */
static void join(deriver *d, const wm_hub_place *place)
{
    const wm_hub_item *first = NULL;
    for (uint32_t o = 0; o < place->owner_count; o++) {
        const wm_hub_item *item = place->owners[o].item;
        if (!wm_hub_both(item))
            continue;
        first = first ? first : item;
        uint32_t a = find(d, first->number), b = find(d, item->number);
        d->up[a > b ? a : b] = a > b ? b : a; /* the earlier one stands for the group */
    }
}

/* Is a tensor shared with an array of which a rule is made? */
static bool shared(const wm_hub_place *place)
{
    for (uint32_t o = 0; o < place->owner_count; o++)
        if (wm_hub_both(place->owners[o].item))
            return true;
    return false;
}

static void list_items(deriver *d)
{
    wm_hub *h = d->h;
    for (size_t l = 0; l < h->layer_count; l++)
        for (size_t a = 0; a < h->layers[l]->layer->count; a++) {
            wm_hub_item *item = &h->layers[l]->items[a];
            item->number = (uint32_t)d->count;
            *wm_push(h->arena, d->items, d->count, d->cap) = item;
        }
    d->up = wm_new(h->arena, uint32_t, d->count);
    for (uint32_t i = 0; i < d->count; i++)
        d->up[i] = i;
    for (int side = 0; side < 2; side++)
        for (size_t i = 0; i < h->sides[side].count; i++)
            join(d, h->sides[side].places[i]);
}

/* ---- folds ---- */

static void fold_item(deriver *d, wm_hub_item *first, wm_hub_item *second, wm_op op)
{
    if (!has(first, 0) || has(first, 1) || first->folded || !wm_hub_both(second))
        return;
    struct wm_hub_folded *f = wm_new(d->h->arena, struct wm_hub_folded, 1);
    *f = (struct wm_hub_folded){.item = first, .op = op};
    struct wm_hub_folded **tail = &second->folds;
    while (*tail)
        tail = &(*tail)->next;
    *tail = f;
    first->folded = true;
}

static bool same_text(const wm_hub *h, const wm_ref *a, const wm_ref *b)
{
    for (; a && b; a = a->next, b = b->next) {
        const wm_source *s = h->r->unit->sources[a->span.file];
        if (!wm_str_eq((wm_str){s->text + a->span.beg, a->span.end - a->span.beg},
                       (wm_str){s->text + b->span.beg, b->span.end - b->span.beg}))
            return false;
    }
    return !a && !b;
}

static bool sound_fold(deriver *d, const struct wm_hub_stmt *s)
{
    if (same_text(d->h, s->first, s->third))
        return true;
    wm_diag *e = wm_error(d->h->r->unit, WM_E1006, s->third->span, "what is folded stands here once more");
    wm_diag_hint(d->h->r->unit, e, "as in `fold rbias -> bias + rbias`");
    d->h->failed = true;
    return false;
}

static wm_hub_item *own_array(wm_member *m, const wm_ref *ref)
{
    for (size_t a = 0; !ref->next && !ref->indices && a < m->layer->count; a++)
        if (wm_str_eq(m->layer->arrays[a].name, ref->name->text))
            return &m->items[a];
    return NULL;
}

static void fold_layers(deriver *d)
{
    wm_hub *h = d->h;
    for (size_t l = 0; l < h->layer_count && !h->failed; l++) {
        wm_member *m = h->layers[l];
        for (const wm_stmt *s = m->layer->decl ? m->layer->decl->item->body : NULL; s; s = s->next) {
            const struct wm_hub_stmt *f = s->of->hub;
            if (f->kind != WM_HS_FOLD || !sound_fold(d, f))
                continue;
            wm_hub_item *first = own_array(m, f->first), *second = own_array(m, f->second);
            if (first && second) {
                fold_item(d, first, second, f->op);
                continue;
            }
            wm_error(h->r->unit, WM_E1003, first ? f->second->span : f->first->span,
                     "the layer has no such array");
            h->failed = true;
            return;
        }
    }
}

static void fold_blocks(deriver *d)
{
    wm_hub *h = d->h;
    for (size_t i = 0; i < h->fold_count && !h->failed; i++) {
        const struct wm_hub_fold *f = &h->folds[i];
        wm_hub_found none = {0}, *firsts = NULL, *seconds = NULL;
        size_t first_count = 0, second_count = 0, first_cap = 0, second_cap = 0;
        if (!sound_fold(d, f->stmt))
            return;
        wm_hub_find_items(h, f->in, f->stmt->first, f->scope, &none, &firsts, &first_count, &first_cap);
        wm_hub_find_items(h, f->in, f->stmt->second, f->scope, &none, &seconds, &second_count, &second_cap);
        for (size_t a = 0; a < first_count && wm_hub_step(h, second_count, f->stmt->span); a++)
            for (size_t b = 0; b < second_count; b++)
                if (wm_hub_agree(&firsts[a], &seconds[b]))
                    fold_item(d, firsts[a].item, seconds[b].item, f->stmt->op);
    }
}

/* ---- what one side lacks ---- */

static void lack(deriver *d, const wm_hub_item *item, int side)
{
    for (size_t i = 0; i < d->lack_count; i++)
        if (d->lacks[i].array == item->array && d->lacks[i].side == side) {
            d->lacks[i].count++;
            return;
        }
    *wm_push(d->h->arena, d->lacks, d->lack_count, d->lack_cap) = (struct lack){item->array, item, side, 1};
}

static void report_lacks(deriver *d)
{
    wm_hub *h = d->h;
    for (size_t i = 0; i < d->lack_count; i++) {
        const struct lack *l = &d->lacks[i];
        bool home = l->side == 0; /* it is in A, and B has no home for it */
        const wm_hub_model *a = h->sides[0].model, *b = h->sides[1].model;
        const char *text = wm_item_text(h, l->item);
        wm_diag *e =
            home ? wm_error(h->r->unit, WM_E1013, b->decl->span, "`%s` has no home for `%s`", b->name, text)
                 : wm_error(h->r->unit, WM_E1012, a->decl->span, "`%s` has no `%s`, which `%s` needs",
                            a->name, text, b->name);
        wm_diag_also(h->r->unit, e, l->item->sides[home ? 0 : 1].places[0]->span, "named here");
        wm_diag_also(h->r->unit, e, l->item->member->span, "the member");
        if (l->count > 1)
            wm_diag_note(h->r->unit, e, "and %zu more like it", l->count - 1);
        if (l->item->member->part.len)
            wm_diag_hint(h->r->unit, e, "`--without %.*s` leaves its part out",
                         (int)l->item->member->part.len, l->item->member->part.p);
        h->failed = true;
    }
}

static wm_stmt *new_stmt(deriver *d, wm_stmt_kind kind, wm_span span)
{
    wm_stmt *s = wm_new(d->h->arena, wm_stmt, 1);
    s->kind = kind;
    s->span = span;
    s->of = wm_new(d->h->arena, wm_stmt_of, 1);
    return s;
}

static bool same_constant(const wm_expr *a, const wm_expr *b)
{
    if (!a || !b)
        return a == b;
    return a->kind == b->kind && a->i == b->i && memcmp(&a->f, &b->f, sizeof a->f) == 0;
}

/* Drops the tensors of an array; those of one layer that are dropped alike are one statement. */
static void drop(deriver *d, wm_hub_item *item, bool checked)
{
    wm_hub *h = d->h;
    for (size_t i = 0; i < item->sides[0].count; i++) {
        wm_hub_place *place = item->sides[0].places[i];
        wm_expr *constant = NULL;
        if (place->dropped || shared(place))
            continue;
        place->dropped = true;
        if (checked && !wm_hub_constant(h, item, place, &constant))
            return;
        struct wm_string_list *s = wm_new(h->arena, struct wm_string_list, 1);
        s->string = wm_hub_string(h, place->name, place->span);
        wm_hub_out *last = d->out->count ? &d->out->items[d->out->count - 1] : NULL;
        if (last && last->member == item->member && last->stmt->kind == WM_ST_DROP &&
            same_constant(last->stmt->of->constant, constant)) {
            struct wm_string_list **tail = &last->stmt->of->strings;
            while (*tail)
                tail = &(*tail)->next;
            *tail = s;
            continue;
        }
        wm_stmt *stmt = new_stmt(d, WM_ST_DROP, place->span);
        stmt->of->strings = s;
        stmt->of->constant = constant;
        *wm_push(h->arena, d->out->items, d->out->count, d->out->cap) =
            (wm_hub_out){.stmt = stmt, .member = item->member, .item = item, .sides = {place, NULL}};
    }
}

static bool is_float(wmap_dtype t)
{
    return t == WMAP_F16 || t == WMAP_BF16 || t == WMAP_F32 || t == WMAP_F64;
}

/* The dtype of a filled array: its own, else that of the layer's first float array in the source. */
static wmap_dtype fill_dtype(deriver *d, const wm_hub_item *item)
{
    if (item->array->dtype != WMAP_DTYPE_NONE)
        return item->array->dtype;
    const wm_member *m = item->member;
    for (size_t a = 0; a < m->layer->count; a++)
        for (size_t p = 0; p < m->items[a].sides[0].count; p++)
            if (is_float(m->items[a].sides[0].places[p]->dtype))
                return m->items[a].sides[0].places[p]->dtype;
    for (size_t i = 0; i < d->h->sides[0].count; i++)
        if (is_float(d->h->sides[0].places[i]->dtype))
            return d->h->sides[0].places[i]->dtype;
    return WMAP_F32;
}

/* `: dtype [shape]` of a fill. */
static wm_shape *make_shape(deriver *d, wm_span span, const uint64_t *shape, uint32_t rank)
{
    wm_shape *made = wm_new(d->h->arena, wm_shape, 1);
    wm_shape_item **tail = &made->items;
    made->span = span;
    for (uint32_t k = 0; k < rank; k++) {
        *tail = wm_new(d->h->arena, wm_shape_item, 1);
        (*tail)->span = span;
        (*tail)->expr = wm_hub_int(d->h, (int64_t)shape[k], span);
        tail = &(*tail)->next;
    }
    return made;
}

static void fill(deriver *d, wm_hub_item *item)
{
    wm_hub *h = d->h;
    for (size_t i = 0; i < item->sides[1].count; i++) {
        wm_hub_place *place = item->sides[1].places[i];
        uint64_t shape[WMAP_MAX_RANK];
        uint32_t rank;
        wm_expr *constant;
        if (place->filled || shared(place))
            continue;
        place->filled = true;
        if (place->owner_count > 1 || place->tensor->otherwise) {
            wm_error(h->r->unit, WM_E0199, place->tensor->span,
                     "filling `%s`, a part of a tensor, is not supported yet", wm_item_text(h, item));
            h->failed = true;
            return;
        }
        if (!wm_hub_constant(h, item, place, &constant))
            return;
        if (!wm_hub_shape(h, place, shape, &rank)) {
            h->unknown = true; /* no file is there to tell */
            continue;
        }
        const char *dtype = wmap_dtype_name(fill_dtype(d, item));
        wm_operand *target = wm_new(h->arena, wm_operand, 1);
        target->span = place->span;
        target->place = wm_new(h->arena, wm_place, 1);
        target->place->span = place->span;
        target->place->name = wm_hub_string(h, place->name, place->span);
        target->dtype = wm_new(h->arena, wm_word, 1);
        target->dtype->text = (wm_str){dtype, (uint32_t)strlen(dtype)};
        target->dtype->span = place->tensor->span;
        target->shape = make_shape(d, place->tensor->span, shape, rank);
        wm_stmt *stmt = new_stmt(d, WM_ST_FILL, place->span);
        stmt->of->constant = constant;
        stmt->of->right = target;
        *wm_push(h->arena, d->out->items, d->out->count, d->out->cap) =
            (wm_hub_out){.stmt = stmt, .member = item->member, .item = item, .sides = {NULL, place}};
    }
}

static void one_sided(deriver *d, wm_hub_item *item)
{
    const wm_hub_array *array = item->array;
    if (has(item, 0) && item->member->left_out)
        drop(d, item, false);
    else if (item->folded)
        return;
    else if (has(item, 0) && (array->buffer || array->neutral))
        drop(d, item, !array->buffer);
    else if (has(item, 1) && (array->buffer || array->neutral))
        fill(d, item);
    else if (has(item, 0))
        lack(d, item, 0);
    else if (has(item, 1))
        lack(d, item, 1);
}

/* ---- what a model says beside its arrays ---- */

static void note_found(void *user, size_t name, const wm_capture *captures)
{
    (void)name;
    (void)captures;
    *(bool *)user = true;
}

/* A string with what is known of it as text; wildcards stay. */
static wm_string *settled(deriver *d, const wm_scope *scope, const wm_string *string)
{
    wm_hub *h = d->h;
    wm_string *out = wm_new(h->arena, wm_string, 1);
    wm_part **tail = &out->parts;
    out->span = string->span;
    for (const wm_part *part = string->parts; part; part = part->next) {
        wm_part *copy = wm_new(h->arena, wm_part, 1);
        *copy = *part;
        copy->next = NULL;
        if (part->kind == WM_PART_HOLE) {
            wm_string one = {.span = string->span, .parts = wm_new(h->arena, wm_part, 1)};
            *one.parts = *part;
            one.parts->next = NULL;
            wm_str text;
            if (wm_plain_text(h->r->unit, scope, NULL, &one, &text) != WM_EVAL_OK) {
                h->failed = true;
                return out;
            }
            *copy = (wm_part){.kind = WM_PART_TEXT, .span = part->span, .text = text};
        }
        *tail = copy;
        tail = &copy->next;
    }
    return out;
}

bool wm_hub_ignored(wm_hub *h, wm_str name)
{
    deriver d = {.h = h};
    const wm_hub_side *s = &h->sides[0];
    for (size_t i = 0; i < s->stated_count; i++)
        for (const struct wm_string_list *l =
                 s->stated[i].stmt->kind == WM_HS_IGNORE ? s->stated[i].stmt->strings : NULL;
             l; l = l->next) {
            wm_scope empty = {0};
            wm_vars vars = {0};
            wm_pattern pattern;
            const wm_string *string = settled(&d, s->stated[i].scope, l->string);
            bool found = false;
            wm_names *one = wm_names_index(h->r->unit, &name, 1);
            if (wm_note_vars(h->r, &empty, string, WM_USE_LOOKED, &vars) &&
                wm_make_pattern(h->r, &empty, string, WM_USE_LOOKED, &vars, &pattern, NULL))
                wm_names_match(one, h->r->unit, &pattern, vars.items, (uint32_t)vars.count, NULL, note_found,
                               &found);
            if (found)
                return true;
        }
    return false;
}

static wm_expr *constant_of(deriver *d, const wm_scope *scope, const wm_expr *expr)
{
    wm_val value;
    wm_evaluated done = wm_eval(d->h->r->unit, scope, NULL, expr, &value);
    if (done == WM_EVAL_OK && (value.kind == WM_VAL_INT || value.kind == WM_VAL_FLOAT)) {
        wm_expr *e = wm_hub_int(d->h, value.i, expr->span);
        e->kind = value.kind == WM_VAL_INT ? WM_EX_INT : WM_EX_FLOAT;
        e->f = value.f;
        return e;
    }
    if (done != WM_EVAL_ERROR)
        wm_error(d->h->r->unit, WM_E0304, expr->span, "a constant is a number that is known");
    d->h->failed = true;
    return NULL;
}

static wm_stmt *ignored(deriver *d, const struct wm_hub_stmt *stated, const wm_scope *scope)
{
    wm_stmt *stmt = new_stmt(d, WM_ST_DROP, stated->span);
    struct wm_string_list **tail = &stmt->of->strings;
    for (const struct wm_string_list *l = stated->strings; l; l = l->next) {
        *tail = wm_new(d->h->arena, struct wm_string_list, 1);
        (*tail)->string = settled(d, scope, l->string);
        tail = &(*tail)->next;
    }
    if (stated->constant)
        stmt->of->constant = constant_of(d, scope, stated->constant);
    return stmt;
}

static wm_stmt *filled(deriver *d, const struct wm_hub_stmt *stated, const wm_scope *scope)
{
    wm_hub *h = d->h;
    wm_stmt *stmt = new_stmt(d, WM_ST_FILL, stated->span);
    uint32_t rank;
    const uint64_t *shape;
    if (!wm_known_shape(h->r, scope, stated->shape, &rank, &shape)) {
        h->failed = true;
        return NULL;
    }
    wm_operand *target = wm_new(h->arena, wm_operand, 1);
    *target = (wm_operand){.span = stated->span, .dtype = stated->dtype};
    target->place = wm_new(h->arena, wm_place, 1);
    target->place->span = stated->string->span;
    target->place->name = settled(d, scope, stated->string);
    target->shape = make_shape(d, stated->shape->span, shape, rank);
    stmt->of->constant = constant_of(d, scope, stated->constant);
    stmt->of->right = target;
    return stmt;
}

static wm_str key_of(const struct wm_hub_stmt *meta)
{
    return meta->string->parts ? meta->string->parts->text : WM_STR("");
}

static wm_stmt *meta(deriver *d, const struct wm_hub_stmt *stated, const wm_scope *scope)
{
    wm_stmt *stmt = new_stmt(d, WM_ST_META, stated->span);
    stmt->of->string = stated->string;
    stmt->of->string2 = settled(d, scope, stated->string2);
    return stmt;
}

static void add_out(deriver *d, wm_stmt *stmt)
{
    if (stmt)
        *wm_push(d->h->arena, d->out->items, d->out->count, d->out->cap) = (wm_hub_out){.stmt = stmt};
}

static void add_stated(deriver *d, int side)
{
    const wm_hub_side *s = &d->h->sides[side];
    for (size_t i = 0; i < s->stated_count; i++) {
        const struct wm_hub_stmt *stated = s->stated[i].stmt;
        if (side == 0 && stated->kind == WM_HS_IGNORE)
            add_out(d, ignored(d, stated, s->stated[i].scope));
        else if (side == 1 && stated->kind == WM_HS_FILL)
            add_out(d, filled(d, stated, s->stated[i].scope));
        else if (side == 1 && stated->kind == WM_HS_META)
            add_out(d, meta(d, stated, s->stated[i].scope));
    }
}

/* The dialect's metadata, less those that it, or the model, states again. */
static void add_metas(deriver *d)
{
    const wm_hub_side *s = &d->h->sides[1];
    const wm_dialect *dialect = s->model->dialect;
    for (size_t i = 0; i < dialect->meta_count; i++) {
        wm_str key = key_of(dialect->metas[i].stmt);
        bool later = false;
        for (size_t k = 0; k < s->stated_count; k++)
            later |= s->stated[k].stmt->kind == WM_HS_META && wm_str_eq(key_of(s->stated[k].stmt), key);
        for (size_t k = i + 1; k < dialect->meta_count; k++)
            later |= wm_str_eq(key_of(dialect->metas[k].stmt), key);
        if (!later)
            add_out(d, meta(d, dialect->metas[i].stmt, dialect->metas[i].scope));
    }
}

/* ---- all of it ---- */

/* The groups' members, after their representatives. */
static void add_rules(deriver *d)
{
    wm_hub *h = d->h;
    uint32_t *next = wm_new(h->arena, uint32_t, d->count + 1),
             *last = wm_new(h->arena, uint32_t, d->count + 1);
    for (uint32_t i = 0; i < d->count; i++)
        next[i] = UINT32_MAX;
    for (uint32_t i = 0; i < d->count; i++) {
        uint32_t root = find(d, i);
        last[root] = root == i ? i : last[root];
        if (root != i) {
            next[last[root]] = i;
            last[root] = i;
        }
    }
    wm_hub_item **group = wm_new(h->arena, wm_hub_item *, d->count);
    for (uint32_t i = 0; i < d->count && !h->r->spent; i++) {
        wm_hub_item *item = d->items[i];
        if (!wm_hub_both(item)) {
            one_sided(d, item);
            continue;
        }
        if (find(d, i) != i)
            continue;
        size_t count = 0;
        for (uint32_t k = i; k != UINT32_MAX; k = next[k])
            group[count++] = d->items[k];
        bool taken = false;
        for (size_t k = 0; k < count; k++)
            taken |= group[k]->taken;
        if (!taken && wm_hub_step(h, count * count, item->member->span))
            wm_hub_rule(h, group, count, d->out);
    }
}

void wm_hub_derive(wm_hub *h, wm_hub_outs *out)
{
    deriver d = {.h = h, .out = out};
    list_items(&d);
    fold_layers(&d);
    fold_blocks(&d);
    if (!h->failed)
        add_rules(&d);
    report_lacks(&d);
    if (!h->failed) {
        add_stated(&d, 0);
        add_stated(&d, 1);
        add_metas(&d);
    }
}
