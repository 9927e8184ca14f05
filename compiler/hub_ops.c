/* hub_ops.c: operations of placements. A placement says array = tensor after these; written, their inverses
 * run from right to left. Constants are computed where they stand. */
#include <math.h>
#include <string.h>

#include "compiler/hub.h"

static const struct {
    const char *name, *inverse;
    double power; /* of the inverse, if that is `pow` */
} table[] = {
    {"+", "-", 0},     {"-", "+", 0},     {"*", "/", 0},      {"/", "*", 0},        {"neg", "neg", 0},
    {"exp", "log", 0}, {"log", "exp", 0}, {"sqrt", "pow", 2}, {"rsqrt", "pow", -2}, {"pow", "pow", 0},
};
#define ROWS (sizeof table / sizeof *table)

static size_t row_of(wm_str name)
{
    for (size_t i = 0; i < ROWS; i++)
        if (wm_str_eq(name, (wm_str){table[i].name, (uint32_t)strlen(table[i].name)}))
            return i;
    return ROWS;
}

static bool takes_constant(size_t row)
{
    return row < 4 || strcmp(table[row].name, "pow") == 0;
}

static wm_expr *number(wm_hub *h, const wm_val *value, wm_span span)
{
    wm_expr *e = wm_new(h->arena, wm_expr, 1);
    *e = (wm_expr){.kind = value->kind == WM_VAL_INT ? WM_EX_INT : WM_EX_FLOAT,
                   .span = span,
                   .i = value->i,
                   .f = value->f};
    return e;
}

static bool constant_of(wm_hub *h, const wm_scope *scope, const wm_expr *expr, wm_val *value)
{
    wm_evaluated done = wm_eval(h->r->unit, scope, NULL, expr, value);
    if (done == WM_EVAL_OK && (value->kind == WM_VAL_INT || value->kind == WM_VAL_FLOAT))
        return true;
    if (done != WM_EVAL_ERROR)
        wm_error(h->r->unit, WM_E0304, expr->span, "a constant is a number that is known");
    h->failed = true;
    return false;
}

/* The constant of an operation. False: reported. */
static bool argument(wm_hub *h, const wm_hub_place *place, const wm_valueop *op, size_t row, wm_val *value)
{
    const struct wm_oparg *arg = op->args;
    if (arg && arg->constant && !arg->next)
        return constant_of(h, place->tensor->scope, arg->constant, value);
    wm_error(h->r->unit, WM_E0302, op->span, "`%s` takes one number here", table[row].name);
    h->failed = true;
    return false;
}

static wm_valueop *make_op(wm_hub *h, const wm_valueop *from, const char *name, const wm_val *value)
{
    wm_valueop *op = wm_new(h->arena, wm_valueop, 1);
    wm_word *word = wm_new(h->arena, wm_word, 1);
    word->text = (wm_str){name, (uint32_t)strlen(name)};
    word->span = from->name->span;
    op->span = from->span;
    op->tag = from->tag;
    op->name = word;
    if (value) {
        op->args = wm_new(h->arena, struct wm_oparg, 1);
        op->args->span = from->span;
        op->args->constant = number(h, value, from->args ? from->args->span : from->span);
    }
    return op;
}

wm_valueop *wm_hub_ops(wm_hub *h, const wm_hub_place *place, bool *ok)
{
    wm_valueop *first = NULL, **tail = &first;
    *ok = true;
    for (const wm_valueop *op = place->tensor->ops; op; op = op->next) {
        size_t row = row_of(op->name->text);
        wm_val value;
        bool constant = row < ROWS && takes_constant(row);
        if (constant && !argument(h, place, op, row, &value)) {
            *ok = false;
            return NULL;
        }
        for (const struct wm_oparg *a = op->args; a; a = a->next)
            if (a->string) {
                wm_error(h->r->unit, WM_E0199, op->span,
                         "a decoder with a tensor of its own in a placement is not supported yet");
                h->failed = true;
                *ok = false;
                return NULL;
            }
        if (row == ROWS) { /* the core knows more of them, and says so if it doesn't */
            *tail = wm_new(h->arena, wm_valueop, 1);
            **tail = *op;
            (*tail)->next = NULL;
        } else {
            *tail = make_op(h, op, table[row].name, constant ? &value : NULL);
        }
        tail = &(*tail)->next;
    }
    return first;
}

wm_valueop *wm_hub_inverse(wm_hub *h, const wm_hub_place *place, bool *ok)
{
    wm_valueop *first = NULL;
    *ok = true;
    for (const wm_valueop *op = place->tensor->ops; op; op = op->next) {
        size_t row = row_of(op->name->text);
        if (row == ROWS) {
            wm_error(h->r->unit, WM_E0702, op->span, "%s has no inverse, so nothing can be written here",
                     wm_quote(h->r->unit, op->name->text));
            h->failed = true;
            *ok = false;
            return NULL;
        }
        wm_val value = {.kind = WM_VAL_FLOAT, .f = table[row].power};
        if (value.f != 0)
            value = (wm_val){.kind = WM_VAL_INT, .i = (int64_t)table[row].power};
        bool constant = takes_constant(row);
        if (constant && !argument(h, place, op, row, &value)) {
            *ok = false;
            return NULL;
        }
        bool power = strcmp(table[row].name, "pow") == 0;
        double x = value.kind == WM_VAL_INT ? (double)value.i : value.f;
        if ((power || row == 2) && x == 0) {
            wm_error(h->r->unit, WM_E0702, op->span, "`%s 0` has no inverse", table[row].name);
            h->failed = true;
            *ok = false;
            return NULL;
        }
        if (power)
            value = (wm_val){.kind = WM_VAL_FLOAT, .f = 1 / x};
        bool with = constant || strcmp(table[row].inverse, "pow") == 0;
        wm_valueop *made = make_op(h, op, table[row].inverse, with ? &value : NULL);
        made->next = first;
        first = made;
    }
    return first;
}

bool wm_hub_same_ops(const wm_valueop *a, const wm_valueop *b)
{
    for (; a && b; a = a->next, b = b->next) {
        const wm_expr *x = a->args ? a->args->constant : NULL, *y = b->args ? b->args->constant : NULL;
        if (!wm_str_eq(a->name->text, b->name->text) || !a->tag != !b->tag || !x != !y ||
            (a->tag && !wm_str_eq(a->tag->text, b->tag->text)) ||
            (x && (x->kind != y->kind || x->i != y->i || memcmp(&x->f, &y->f, sizeof x->f) != 0)))
            return false;
    }
    return !a && !b;
}

static double apply(const wm_valueop *op, double x)
{
    const wm_expr *c = op->args ? op->args->constant : NULL;
    double y = c ? (c->kind == WM_EX_INT ? (double)c->i : c->f) : 0;
    wm_str n = op->name->text;
    if (n.len == 1)
        return n.p[0] == '+' ? x + y : n.p[0] == '-' ? x - y : n.p[0] == '*' ? x * y : x / y;
    if (wm_str_eq(n, WM_STR("neg")))
        return -x;
    if (wm_str_eq(n, WM_STR("exp")))
        return exp(x);
    if (wm_str_eq(n, WM_STR("log")))
        return log(x);
    return y == 2 ? x * x : y == -2 ? 1 / (x * x) : y == 0.5 ? sqrt(x) : y == -0.5 ? 1 / sqrt(x) : pow(x, y);
}

bool wm_hub_constant(wm_hub *h, const wm_hub_item *item, const wm_hub_place *place, wm_expr **out)
{
    wm_val value = {.kind = WM_VAL_INT};
    bool ok = true;
    if (item->array->neutral && !constant_of(h, item->array->file->scope, item->array->neutral, &value))
        return false;
    wm_valueop *ops = wm_hub_inverse(h, place, &ok);
    if (!ok)
        return false;
    for (const wm_valueop *op = ops; op; op = op->next) {
        if (op->tag) {
            wm_error(h->r->unit, WM_E0199, op->span,
                     "a constant for a part of an array is not supported yet");
            h->failed = true;
            return false;
        }
        double x = apply(op, value.kind == WM_VAL_INT ? (double)value.i : value.f);
        value = (wm_val){.kind = WM_VAL_FLOAT, .f = x};
    }
    if (value.kind == WM_VAL_FLOAT && !isfinite(value.f)) {
        wm_error(h->r->unit, WM_E0702, place->tensor->span,
                 "the neutral value of `%s` has no counterpart here", wm_item_text(h, item));
        h->failed = true;
        return false;
    }
    *out = number(h, &value, item->array->span);
    return true;
}
