/* hub_stated.c: what models and dialects say beside their arrays: tensors that are ignored or constant,
 * metadata. */
#include <string.h>

#include "compiler/hub.h"

static void note_found(void *user, size_t name, const wm_capture *captures)
{
    (void)name;
    (void)captures;
    *(bool *)user = true;
}

/* A string with what is known of it as text; wildcards stay. */
static wm_string *settled(wm_hub *h, const wm_scope *scope, const wm_string *string)
{
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
    const wm_hub_side *s = &h->sides[0];
    for (size_t i = 0; i < s->stated_count; i++)
        for (const struct wm_string_list *l =
                 s->stated[i].stmt->kind == WM_HS_IGNORE ? s->stated[i].stmt->strings : NULL;
             l; l = l->next) {
            wm_scope empty = {0};
            wm_vars vars = {0};
            wm_pattern pattern;
            const wm_string *string = settled(h, s->stated[i].scope, l->string);
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

static wm_expr *constant_of(wm_hub *h, const wm_scope *scope, const wm_expr *expr)
{
    wm_val value;
    wm_evaluated done = wm_eval(h->r->unit, scope, NULL, expr, &value);
    if (done == WM_EVAL_OK && (value.kind == WM_VAL_INT || value.kind == WM_VAL_FLOAT)) {
        wm_expr *e = wm_hub_int(h, value.i, expr->span);
        e->kind = value.kind == WM_VAL_INT ? WM_EX_INT : WM_EX_FLOAT;
        e->f = value.f;
        return e;
    }
    if (done != WM_EVAL_ERROR)
        wm_error(h->r->unit, WM_E0304, expr->span, "a constant is a number that is known");
    h->failed = true;
    return NULL;
}

static wm_stmt *ignored(wm_hub *h, const struct wm_hub_stmt *stated, const wm_scope *scope)
{
    wm_stmt *stmt = wm_hub_stmt_of(h, WM_ST_DROP, stated->span);
    struct wm_string_list **tail = &stmt->of->strings;
    for (const struct wm_string_list *l = stated->strings; l; l = l->next) {
        *tail = wm_new(h->arena, struct wm_string_list, 1);
        (*tail)->string = settled(h, scope, l->string);
        tail = &(*tail)->next;
    }
    if (stated->constant)
        stmt->of->constant = constant_of(h, scope, stated->constant);
    return stmt;
}

static wm_stmt *filled(wm_hub *h, const struct wm_hub_stmt *stated, const wm_scope *scope)
{
    wm_stmt *stmt = wm_hub_stmt_of(h, WM_ST_FILL, stated->span);
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
    target->place->name = settled(h, scope, stated->string);
    target->shape = wm_hub_shape_of(h, stated->shape->span, shape, rank);
    stmt->of->constant = constant_of(h, scope, stated->constant);
    stmt->of->right = target;
    return stmt;
}

static wm_str key_of(const struct wm_hub_stmt *meta)
{
    return meta->string->parts ? meta->string->parts->text : WM_STR("");
}

static wm_stmt *meta(wm_hub *h, const struct wm_hub_stmt *stated, const wm_scope *scope)
{
    wm_stmt *stmt = wm_hub_stmt_of(h, WM_ST_META, stated->span);
    stmt->of->string = stated->string;
    stmt->of->string2 = settled(h, scope, stated->string2);
    return stmt;
}

static void add_out(wm_hub *h, wm_hub_outs *out, wm_stmt *stmt)
{
    if (stmt)
        *wm_push(h->arena, out->items, out->count, out->cap) = (wm_hub_out){.stmt = stmt};
}

static void add_stated(wm_hub *h, int side, wm_hub_outs *out)
{
    const wm_hub_side *s = &h->sides[side];
    for (size_t i = 0; i < s->stated_count; i++) {
        const struct wm_hub_stmt *stated = s->stated[i].stmt;
        if (side == 0 && stated->kind == WM_HS_IGNORE)
            add_out(h, out, ignored(h, stated, s->stated[i].scope));
        else if (side == 1 && stated->kind == WM_HS_FILL)
            add_out(h, out, filled(h, stated, s->stated[i].scope));
        else if (side == 1 && stated->kind == WM_HS_META)
            add_out(h, out, meta(h, stated, s->stated[i].scope));
    }
}

/* The dialect's metadata, less those that it, or the model, states again. */
static void add_metas(wm_hub *h, wm_hub_outs *out)
{
    const wm_hub_side *s = &h->sides[1];
    const wm_dialect *dialect = s->model->dialect;
    for (size_t i = 0; i < dialect->meta_count; i++) {
        wm_str key = key_of(dialect->metas[i].stmt);
        bool later = false;
        for (size_t k = 0; k < s->stated_count; k++)
            later |= s->stated[k].stmt->kind == WM_HS_META && wm_str_eq(key_of(s->stated[k].stmt), key);
        for (size_t k = i + 1; k < dialect->meta_count; k++)
            later |= wm_str_eq(key_of(dialect->metas[k].stmt), key);
        if (!later)
            add_out(h, out, meta(h, dialect->metas[i].stmt, dialect->metas[i].scope));
    }
}

wm_str wm_hub_format(const wm_hub *h)
{
    const wm_hub_side *s = &h->sides[1];
    const wm_qname *format = s->model->dialect->format;
    for (size_t i = 0; i < s->stated_count; i++) /* those of the model itself come last */
        if (s->stated[i].stmt->kind == WM_HS_FORMAT)
            format = s->stated[i].stmt->qname;
    return format ? wm_qname_text(h->arena, format) : (wm_str){NULL, 0};
}

void wm_hub_stated(wm_hub *h, wm_hub_outs *out)
{
    add_stated(h, 0, out);
    add_stated(h, 1, out);
    add_metas(h, out);
}
