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
    return has(item, 0) && has(item, 1) && !item->member->left_out;
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

wm_stmt *wm_hub_stmt_of(wm_hub *h, wm_stmt_kind kind, wm_span span)
{
    wm_stmt *s = wm_new(h->arena, wm_stmt, 1);
    s->kind = kind;
    s->span = span;
    s->of = wm_new(h->arena, wm_stmt_of, 1);
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
        wm_stmt *stmt = wm_hub_stmt_of(d->h, WM_ST_DROP, place->span);
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
wm_shape *wm_hub_shape_of(wm_hub *h, wm_span span, const uint64_t *shape, uint32_t rank)
{
    wm_shape *made = wm_new(h->arena, wm_shape, 1);
    wm_shape_item **tail = &made->items;
    made->span = span;
    for (uint32_t k = 0; k < rank; k++) {
        *tail = wm_new(h->arena, wm_shape_item, 1);
        (*tail)->span = span;
        (*tail)->expr = wm_hub_int(h, (int64_t)shape[k], span);
        tail = &(*tail)->next;
    }
    return made;
}

/* The one constant of a tensor none of whose arrays the source has. False: reported. */
static bool filling(wm_hub *h, const wm_hub_place *place, wm_expr **constant)
{
    bool one = !place->tensor->otherwise;
    for (uint32_t o = 0; o < place->owner_count && one; o++) {
        wm_expr *other;
        if (!wm_hub_constant(h, place->owners[o].item, place, &other))
            return false;
        if (o == 0)
            *constant = other;
        one = (*constant)->kind == other->kind && (*constant)->i == other->i &&
              memcmp(&(*constant)->f, &other->f, sizeof other->f) == 0;
    }
    if (!one) {
        wm_error(h->r->unit, WM_E0199, place->tensor->span,
                 "filling `%s`, a part of a tensor, is not supported yet",
                 wm_item_text(h, place->owners[0].item));
        h->failed = true;
    }
    return one;
}

static void fill(deriver *d, wm_hub_item *item)
{
    wm_hub *h = d->h;
    for (size_t i = 0; i < item->sides[1].count; i++) {
        wm_hub_place *place = item->sides[1].places[i];
        uint64_t shape[WMAP_MAX_RANK];
        uint32_t rank;
        wm_expr *constant = NULL;
        if (place->filled || shared(place))
            continue;
        place->filled = true;
        if (!filling(h, place, &constant))
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
        target->shape = wm_hub_shape_of(h, place->tensor->span, shape, rank);
        wm_stmt *stmt = wm_hub_stmt_of(d->h, WM_ST_FILL, place->span);
        stmt->of->constant = constant;
        stmt->of->right = target;
        *wm_push(h->arena, d->out->items, d->out->count, d->out->cap) =
            (wm_hub_out){.stmt = stmt, .member = item->member, .item = item, .sides = {NULL, place}};
    }
}

/* ---- --onto ---- */

static const wmap_header *onto_header(const wm_hub *h)
{
    const wmap_compile_options *o = h->r->options;
    for (size_t s = 0; h->onto && s < o->source_count; s++)
        if (o->sources[s].prefix && strcmp(o->sources[s].prefix, WM_HUB_ONTO) == 0)
            return &o->sources[s];
    return NULL;
}

/* Copies the tensors of an array that A doesn't give. False: the other file lacks one. */
static bool copy_onto(deriver *d, wm_hub_item *item)
{
    wm_hub *h = d->h;
    const wmap_header *header = onto_header(h);
    for (size_t i = 0; i < item->sides[1].count; i++) {
        wm_hub_place *place = item->sides[1].places[i];
        size_t at = 0;
        if (place->filled)
            continue;
        while (header && at < header->count &&
               !wm_str_eq(place->name,
                          (wm_str){header->tensors[at].name, (uint32_t)header->tensors[at].name_len}))
            at++;
        if (!header || at == header->count || shared(place) || !wm_hub_step(h, at + 1, place->span))
            return false;
        place->filled = true;
        wm_stmt *stmt = wm_new(h->arena, wm_stmt, 1);
        wm_rule *rule = stmt->rule = wm_new(h->arena, wm_rule, 1);
        stmt->kind = WM_ST_RULE;
        stmt->span = rule->span = rule->arrow = rule->optional_span = rule->equal_span = place->span;
        const char *from =
            wm_format_text(h->arena, "%s/%.*s", WM_HUB_ONTO, (int)place->name.len, place->name.p);
        for (int side = 0; side < 2; side++) {
            wm_operand *operand = wm_new(h->arena, wm_operand, 1);
            wm_place *made = wm_new(h->arena, wm_place, 1);
            operand->span = made->span = place->span;
            made->name =
                wm_hub_string(h, side ? place->name : (wm_str){from, (uint32_t)strlen(from)}, place->span);
            if (side) {
                operand->place = made;
                rule->right = operand;
            } else {
                operand->value = wm_new(h->arena, wm_value, 1);
                *operand->value = (wm_value){.kind = WM_VA_PLACE, .span = place->span, .place = made};
                rule->left = operand;
            }
        }
        *wm_push(h->arena, d->out->items, d->out->count, d->out->cap) =
            (wm_hub_out){.stmt = stmt, .member = item->member, .item = item, .sides = {NULL, place}};
    }
    return true;
}

/* What the other file has beside it is left behind. */
static void drop_onto(deriver *d)
{
    wm_hub *h = d->h;
    const wmap_header *header = onto_header(h);
    struct wm_string_list *first = NULL, **tail = &first;
    for (size_t i = 0; header && i < header->count; i++) {
        const wmap_tensor *t = &header->tensors[i];
        uint32_t at = wm_map_get(&h->sides[1].names, t->name, t->name_len);
        if (at != WM_MAP_NONE && h->sides[1].places[at]->filled)
            continue;
        const char *name = wm_format_text(h->arena, "%s/%.*s", WM_HUB_ONTO, (int)t->name_len, t->name);
        *tail = wm_new(h->arena, struct wm_string_list, 1);
        (*tail)->string = wm_hub_string(h, (wm_str){name, (uint32_t)strlen(name)}, h->named->span);
        tail = &(*tail)->next;
    }
    if (!first)
        return;
    wm_stmt *stmt = wm_hub_stmt_of(d->h, WM_ST_DROP, h->named->span);
    stmt->of->strings = first;
    *wm_push(h->arena, d->out->items, d->out->count, d->out->cap) = (wm_hub_out){.stmt = stmt};
}

static void one_sided(deriver *d, wm_hub_item *item)
{
    const wm_hub_array *array = item->array;
    if (d->h->onto && has(item, 1) && (item->member->left_out || !has(item, 0)) && copy_onto(d, item)) {
        if (has(item, 0))
            drop(d, item, false);
        return;
    }
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
        drop_onto(&d);
        wm_hub_stated(h, out);
    }
}
