/* hub_axis.c: the axes of a member and their extents: given, tied to each other, flattened, or to be solved.
 */
#include <string.h>

#include "compiler/hub.h"

const wm_hub_axis *wm_hub_find_axis(const wm_member *member, wm_str name)
{
    for (uint32_t i = 0; i < member->axis_count; i++) {
        if (wm_str_eq(member->axes[i].name, name))
            return &member->axes[i];
        for (uint32_t k = 0; k < member->axes[i].part_count; k++)
            if (wm_str_eq(member->axes[i].parts[k].name, name))
                return &member->axes[i].parts[k];
    }
    return NULL;
}

static wm_cell *new_cell(wm_hub *h, wm_span span)
{
    wm_cell *cell = wm_new(h->arena, wm_cell, 1);
    cell->span = span;
    return cell;
}

/* A parameter that is to be solved is one unknown wherever it stands. */
static wm_cell *shared_cell(wm_hub *h, const wm_scope *scope, const wm_expr *expr)
{
    if (expr->kind != WM_EX_NAME || expr->name->parts->next)
        return NULL;
    for (; scope; scope = scope->up)
        for (uint32_t i = 0; i < scope->count; i++) {
            const wm_named *n = &scope->items[i];
            if (!wm_str_eq(n->name, expr->name->parts->text))
                continue;
            for (size_t k = 0; k < h->shared_count; k++)
                if (h->shared[k].param == n)
                    return h->shared[k].cell;
            wm_cell *cell = new_cell(h, expr->span);
            struct wm_hub_shared *s = wm_push(h->arena, h->shared, h->shared_count, h->shared_cap);
            s->param = n;
            s->cell = cell;
            return cell;
        }
    return NULL;
}

static wm_cell *make_extent(wm_hub *h, const wm_scope *scope, const wm_expr *expr)
{
    wm_val value;
    wm_evaluated done = wm_eval(h->r->unit, scope, NULL, expr, &value);
    if (done == WM_EVAL_UNKNOWN) {
        wm_cell *cell = shared_cell(h, scope, expr);
        return cell ? cell : new_cell(h, expr->span);
    }
    wm_cell *cell = new_cell(h, expr->span);
    if (done == WM_EVAL_ERROR) {
        h->failed = true;
        return cell;
    }
    if (value.kind != WM_VAL_INT || value.i < 0) {
        wm_diag *d = wm_error(h->r->unit, WM_E0143, expr->span, "an extent is a whole number, this is %s",
                              wm_val_text(h->r->unit, &value));
        wm_hint_division(h->r->unit, d, &value);
        h->failed = true;
        return cell;
    }
    cell->known = true;
    cell->value = value.i;
    return cell;
}

static void flatten_axis(wm_hub *h, const wm_scope *scope, const wm_expr *expr, wm_hub_axis *axis)
{
    if (!wm_str_eq(expr->name->parts->text, WM_STR("flatten")) || expr->name->parts->next) {
        wm_error(h->r->unit, WM_E0303, expr->name->span, "an extent of named parts is `flatten(...)`, not %s",
                 wm_quote(h->r->unit, wm_qname_text(h->arena, expr->name)));
        h->failed = true;
    }
    for (const wm_arg *a = expr->named; a; a = a->next)
        axis->part_count++;
    axis->parts = wm_new(h->arena, wm_hub_axis, axis->part_count);
    axis->part_count = 0;
    for (const wm_arg *a = expr->named; a; a = a->next) {
        wm_hub_axis *part = &axis->parts[axis->part_count++];
        part->name = a->name->text;
        part->cell = make_extent(h, scope, a->value);
    }
}

static void add_axis(wm_hub *h, wm_member *m, wm_str name)
{
    for (uint32_t i = 0; i < m->axis_count; i++)
        if (wm_str_eq(m->axes[i].name, name))
            return;
    size_t cap = m->axis_count; /* few: grown one by one */
    m->axes = wm_grow(h->arena, m->axes, m->axis_count, m->axis_count + 1, &cap, sizeof *m->axes);
    m->axes[m->axis_count++] = (wm_hub_axis){.name = name};
}

static void tie_axes(wm_hub *h, wm_member *m, const wm_hub_array *a)
{
    for (const wm_binding *w = a->where; w; w = w->next) {
        wm_hub_axis *left = NULL, *right = NULL;
        bool plain = w->expr && w->expr->kind == WM_EX_NAME && !w->expr->name->parts->next;
        for (uint32_t i = 0; i < m->axis_count && plain; i++) {
            left = wm_str_eq(m->axes[i].name, w->names->text) ? &m->axes[i] : left;
            right = wm_str_eq(m->axes[i].name, w->expr->name->parts->text) ? &m->axes[i] : right;
        }
        if (!left || !right || !left->cell || !right->cell) {
            wm_error(h->r->unit, WM_E1006, w->span, "in a layer, `where` ties two axes: `where h = u`");
            h->failed = true;
            continue;
        }
        bool both = left->cell->known && right->cell->known;
        if (both && left->cell->value != right->cell->value) {
            wm_diag *d = wm_error(h->r->unit, WM_E0503, w->span, "%s is %lld, and %s is %lld, for `%s`",
                                  wm_quote(h->r->unit, left->name), (long long)left->cell->value,
                                  wm_quote(h->r->unit, right->name), (long long)right->cell->value,
                                  wm_member_text(h, m));
            wm_diag_also(h->r->unit, d, m->span, "the member");
            h->failed = true;
        }
        if (left->cell->known && !right->cell->known)
            right->cell = left->cell;
        else
            left->cell = right->cell;
    }
}

/* The axes of a layer, with the extents that the arguments give. */
void wm_hub_make_axes(wm_hub *h, wm_member *m, const wm_scope *scope, const wm_arg *args)
{
    for (size_t a = 0; a < m->layer->count; a++)
        for (const wm_factor *f = m->layer->arrays[a].layout->factors; f; f = f->next)
            if (f->kind == WM_FA_AXIS)
                add_axis(h, m, f->name->text);
    for (const wm_arg *a = args; a; a = a->next) {
        wm_hub_axis *axis = NULL;
        for (uint32_t i = 0; i < m->axis_count && !axis; i++)
            if (wm_str_eq(m->axes[i].name, a->name->text))
                axis = &m->axes[i];
        if (!axis || axis->cell || axis->parts) {
            wm_diag *d = wm_error(h->r->unit, axis ? WM_E0130 : WM_E0129, a->name->span,
                                  axis ? "the argument %s is given twice" : "the layer has no axis %s",
                                  wm_quote(h->r->unit, a->name->text));
            if (m->layer->decl)
                wm_diag_also(h->r->unit, d, m->layer->decl->span, "the layer");
            h->failed = true;
        } else if (a->value->kind == WM_EX_NAMED) {
            flatten_axis(h, scope, a->value, axis);
        } else {
            axis->cell = make_extent(h, scope, a->value);
        }
    }
    for (uint32_t i = 0; i < m->axis_count; i++)
        if (!m->axes[i].cell && !m->axes[i].parts)
            m->axes[i].cell = new_cell(h, m->span);
    for (size_t a = 0; a < m->layer->count; a++)
        tie_axes(h, m, &m->layer->arrays[a]);
}

/* A bare array's axes are extents of the architecture: `array [n d]`. */
void wm_hub_bare_axes(wm_hub *h, wm_member *m, const wm_scope *scope)
{
    wm_hub_make_axes(h, m, scope, NULL);
    for (uint32_t i = 0; i < m->axis_count; i++) {
        wm_word *word = wm_new(h->arena, wm_word, 1);
        word->text = m->axes[i].name;
        word->span = m->span;
        if (!wm_scope_has(scope, word->text, NULL))
            continue;
        wm_qname *name = wm_new(h->arena, wm_qname, 1);
        *name = (wm_qname){.parts = word, .last = word, .span = m->span};
        wm_expr *expr = wm_new(h->arena, wm_expr, 1);
        *expr = (wm_expr){.kind = WM_EX_NAME, .span = m->span, .name = name};
        m->axes[i].cell = make_extent(h, scope, expr);
    }
}
