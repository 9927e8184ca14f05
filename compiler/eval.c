/* eval.c: computes constant expressions. One walk serves two callers: it carries, beside plain values, the
 * form a*x + b in one unknown name x (or the look-up t[a*x + b]), which the matcher needs to solve a hole.
 * Values share the items of lists, so nothing is copied. It recurses as deep as the parser lets expressions
 * nest. */
#include "compiler/eval.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "compiler/scope.h"

/* Lists share their items, so a short text can mean a list of 2^40 entries: comparing counts its steps. */
#define MAX_COMPARED 1000000

/* Lists of lists through as many parameters are not compared. */
#define MAX_NESTED 1000

/* Sums and products lean to the left, so one of many terms is as deep as it is long. */
#define MAX_TERMS 2000

typedef enum state {
    KNOWN,  /* v */
    LINEAR, /* a*x + b */
    TABLE,  /* v[a*x + b] */
    LOST,   /* depends on something unknown in another way */
    FAILED  /* reported */
} state;

typedef struct result {
    state state;
    wm_val v;
    wm_str x;
    int64_t a, b;
} result;

typedef struct evaluator {
    wm_unit *unit;
    const wm_scope *scope;
    const wm_hook *hook;
    uint32_t *depth;
} evaluator;

static result eval(const evaluator *e, const wm_expr *expr);

/* ---- making results ---- */

static const result lost = {.state = LOST};
static const result failed = {.state = FAILED};

static result known(wm_val v)
{
    return (result){.state = KNOWN, .v = v};
}

static result of_int(int64_t i)
{
    return known((wm_val){.kind = WM_VAL_INT, .i = i});
}

static result of_float(double f)
{
    return known((wm_val){.kind = WM_VAL_FLOAT, .f = f});
}

static result of_bool(bool b)
{
    return known((wm_val){.kind = WM_VAL_BOOL, .i = b});
}

static bool is_number(const wm_val *v)
{
    return v->kind == WM_VAL_INT || v->kind == WM_VAL_FLOAT;
}

static double as_double(const wm_val *v)
{
    return v->kind == WM_VAL_INT ? (double)v->i : v->f;
}

static const char *op_text(wm_op op)
{
    static const char *const texts[] = {
        [WM_OP_OR] = "or", [WM_OP_AND] = "and", [WM_OP_EQ] = "==",       [WM_OP_NE] = "!=", [WM_OP_LT] = "<",
        [WM_OP_LE] = "<=", [WM_OP_GT] = ">",    [WM_OP_GE] = ">=",       [WM_OP_ADD] = "+", [WM_OP_SUB] = "-",
        [WM_OP_MUL] = "*", [WM_OP_DIV] = "/",   [WM_OP_FLOORDIV] = "//", [WM_OP_MOD] = "%",
    };
    return texts[op];
}

static result overflow(const evaluator *e, wm_span span)
{
    wm_error(e->unit, WM_E0315, span, "this is beyond the 64-bit integers");
    return failed;
}

/* ---- names ---- */

static void suggest_name(const evaluator *e, wm_diag *diag, wm_str name)
{
    wm_near near;
    wm_near_init(&near, name);
    for (const wm_scope *s = e->scope; s; s = s->up) {
        for (uint32_t i = 0; i < s->count; i++)
            wm_near_try(&near, s->items[i].name);
        for (size_t d = 0; s->file && d < s->file->decl_count && d < 1000; d++)
            if (s->file->decls[d]->item->kind == WM_IT_PARAM || s->file->decls[d]->item->kind == WM_IT_TABLE)
                wm_near_try(&near, s->file->decls[d]->name);
    }
    wm_diag_near(e->unit, diag, &near);
}

wm_str wm_qname_text(wm_arena *arena, const wm_qname *name)
{
    if (!name->parts->next)
        return name->parts->text;
    wm_buffer b = {.arena = arena};
    for (const wm_word *w = name->parts; w; w = w->next) {
        wm_buffer_add(&b, w->text.p, w->text.len);
        if (w->next)
            wm_buffer_add(&b, ".", 1);
    }
    return (wm_str){b.text, (uint32_t)b.len};
}

/* A value that waits for names which no file and no model will tell. */
static result undeclared(const evaluator *e, const wm_expr *expr)
{
    const wm_file *file = wm_scope_file(e->scope);
    if (!file || !file->world->undeclared)
        return lost;
    wm_diag *d =
        wm_error(e->unit, WM_E0703, expr->span,
                 "this asks for names of the side that is written in reverse, and they are not declared");
    wm_diag_hint(e->unit, d, "name a file like it with `--target-like`, or declare it with `map ... from`");
    return failed;
}

static result captured(const evaluator *e, const wm_expr *expr, wm_span declared)
{
    wm_str name = expr->name->parts->text;
    wm_diag *d =
        wm_error(e->unit, WM_E0703, expr->span,
                 "%s is captured by each rule in reverse, so it has no value here", wm_quote(e->unit, name));
    wm_diag_also(e->unit, d, declared, "in reverse this `for` reads no names");
    return failed;
}

static result eval_name(const evaluator *e, const wm_expr *expr)
{
    result r = {.state = KNOWN};
    wm_span declared = WM_NOWHERE;
    wm_decl_state found = wm_scope_find(e->unit->arena, e->scope, expr->name, &r.v, &declared);
    switch (found) {
    case WM_DECL_DONE:
        return r;
    case WM_DECL_UNKNOWN:
        return undeclared(e, expr);
    case WM_DECL_FAILED:
    case WM_DECL_OPEN:
        return failed;
    case WM_DECL_CAPTURE:
    case WM_DECL_NEW:
        break;
    }
    const wm_word *word = expr->name->parts;
    if (e->hook && !word->next) {
        switch (e->hook->find(e->hook->user, word->text, &r.v)) {
        case WM_FOUND_VALUE:
            return r;
        case WM_FOUND_UNKNOWN:
            return (result){.state = LINEAR, .x = word->text, .a = 1};
        case WM_FOUND_NO:
            break;
        }
    }
    if (found == WM_DECL_CAPTURE)
        return captured(e, expr, declared);
    wm_str name = wm_qname_text(e->unit->arena, expr->name);
    wm_diag *d =
        wm_error(e->unit, WM_E0301, expr->span, "nothing is called %s here", wm_quote(e->unit, name));
    suggest_name(e, d, name);
    return failed;
}

/* ---- arithmetic ---- */

static int64_t floor_div(int64_t a, int64_t b)
{
    int64_t q = a / b;
    return a % b != 0 && (a < 0) != (b < 0) ? q - 1 : q;
}

static result divide(const evaluator *e, const wm_expr *expr, const wm_val *a, const wm_val *b)
{
    if (b->kind == WM_VAL_INT ? b->i == 0 : b->f == 0) {
        wm_error(e->unit, WM_E0307, expr->b->span, "division by zero");
        return failed;
    }
    if (expr->op == WM_OP_DIV)
        return of_float(as_double(a) / as_double(b));
    if (a->kind == WM_VAL_INT && b->kind == WM_VAL_INT) {
        if (b->i == -1) { /* the one quotient that overflows */
            int64_t negated;
            if (expr->op == WM_OP_MOD)
                return of_int(0);
            return __builtin_sub_overflow(0, a->i, &negated) ? overflow(e, expr->span) : of_int(negated);
        }
        int64_t q = floor_div(a->i, b->i);
        return of_int(expr->op == WM_OP_FLOORDIV ? q : a->i - q * b->i);
    }
    double q = floor(as_double(a) / as_double(b));
    return of_float(expr->op == WM_OP_FLOORDIV ? q : as_double(a) - q * as_double(b));
}

static result arithmetic(const evaluator *e, const wm_expr *expr, const wm_val *a, const wm_val *b)
{
    if (!is_number(a) || !is_number(b)) {
        const wm_val *bad = is_number(a) ? b : a;
        wm_diag *d = wm_error(e->unit, WM_E0304, (bad == a ? expr->a : expr->b)->span,
                              "`%s` needs numbers, this is %s", op_text(expr->op), wm_val_kind_name(bad));
        wm_diag_also(e->unit, d, expr->op_span, "the operator");
        return failed;
    }
    if (expr->op == WM_OP_DIV || expr->op == WM_OP_FLOORDIV || expr->op == WM_OP_MOD)
        return divide(e, expr, a, b);
    if (a->kind == WM_VAL_INT && b->kind == WM_VAL_INT) {
        int64_t i;
        bool over = expr->op == WM_OP_ADD   ? __builtin_add_overflow(a->i, b->i, &i)
                    : expr->op == WM_OP_SUB ? __builtin_sub_overflow(a->i, b->i, &i)
                                            : __builtin_mul_overflow(a->i, b->i, &i);
        return over ? overflow(e, expr->span) : of_int(i);
    }
    double x = as_double(a), y = as_double(b);
    return of_float(expr->op == WM_OP_ADD ? x + y : expr->op == WM_OP_SUB ? x - y : x * y);
}

/* Sums and products of a*x + b with integers. What is of another form is lost. */
static result linear(const evaluator *e, const wm_expr *expr, const result *p, const result *q)
{
    if (p->state == LOST || q->state == LOST || p->state == TABLE || q->state == TABLE)
        return lost;
    result r = {.state = LINEAR, .x = p->state == LINEAR ? p->x : q->x};
    if (p->state == LINEAR && q->state == LINEAR && !wm_str_eq(p->x, q->x))
        return lost;
    int64_t pa = p->a, pb = p->b, qa = q->a, qb = q->b;
    if (p->state == KNOWN) {
        if (p->v.kind != WM_VAL_INT)
            return lost;
        pa = 0, pb = p->v.i;
    }
    if (q->state == KNOWN) {
        if (q->v.kind != WM_VAL_INT)
            return lost;
        qa = 0, qb = q->v.i;
    }
    bool over;
    if (expr->op == WM_OP_ADD) {
        over = __builtin_add_overflow(pa, qa, &r.a) || __builtin_add_overflow(pb, qb, &r.b);
    } else if (expr->op == WM_OP_SUB) {
        over = __builtin_sub_overflow(pa, qa, &r.a) || __builtin_sub_overflow(pb, qb, &r.b);
    } else if (expr->op == WM_OP_MUL && (pa == 0 || qa == 0)) {
        int64_t left, right;
        over = __builtin_mul_overflow(pa, qb, &left) || __builtin_mul_overflow(pb, qa, &right) ||
               __builtin_add_overflow(left, right, &r.a) || __builtin_mul_overflow(pb, qb, &r.b);
    } else {
        return lost;
    }
    if (over)
        return overflow(e, expr->span);
    return r.a == 0 ? lost : r; /* x - x says nothing about x */
}

/* ---- comparing ---- */

/* An integer equals a double exactly if the double is that whole number. */
static int compare_numbers(const wm_val *a, const wm_val *b)
{
    if (a->kind == b->kind)
        return a->kind == WM_VAL_INT ? (a->i > b->i) - (a->i < b->i) : (a->f > b->f) - (a->f < b->f);
    if (a->kind == WM_VAL_FLOAT)
        return -compare_numbers(b, a);
    if (b->f >= 0x1p63)
        return -1;
    if (b->f < -0x1p63)
        return 1;
    double whole = trunc(b->f);
    int64_t i = (int64_t)whole;
    if (a->i != i)
        return a->i > i ? 1 : -1;
    return (whole > b->f) - (whole < b->f);
}

static int compare_strings(wm_str a, wm_str b)
{
    uint32_t len = a.len < b.len ? a.len : b.len;
    int order = len ? memcmp(a.p, b.p, len) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static bool has_nan(const wm_val *a, const wm_val *b)
{
    return (a->kind == WM_VAL_FLOAT && isnan(a->f)) || (b->kind == WM_VAL_FLOAT && isnan(b->f));
}

/* Steps left are counted down in `budget`; at 0 the answer means nothing. */
static bool equal(const wm_val *a, const wm_val *b, uint32_t depth, uint32_t *budget)
{
    if (*budget == 0 || depth > MAX_NESTED) {
        *budget = 0;
        return false;
    }
    --*budget;
    if (is_number(a) && is_number(b))
        return !has_nan(a, b) && compare_numbers(a, b) == 0;
    if (a->kind != b->kind)
        return false;
    if (a->kind == WM_VAL_BOOL)
        return a->i == b->i;
    if (a->kind == WM_VAL_STRING)
        return wm_str_eq(a->s, b->s);
    if (a->count != b->count)
        return false;
    for (uint32_t i = 0; i < a->count; i++)
        if (!equal(&a->items[i], &b->items[i], depth + 1, budget))
            return false;
    return true;
}

static result compare(const evaluator *e, const wm_expr *expr, const wm_val *a, const wm_val *b)
{
    bool numbers = is_number(a) && is_number(b);
    bool equality = expr->op == WM_OP_EQ || expr->op == WM_OP_NE;
    if (!numbers && (a->kind != b->kind || (!equality && a->kind != WM_VAL_STRING))) {
        wm_diag *d =
            a->kind != b->kind
                ? wm_error(e->unit, WM_E0304, expr->b->span, "`%s` compares %s with %s", op_text(expr->op),
                           wm_val_kind_name(a), wm_val_kind_name(b))
                : wm_error(e->unit, WM_E0304, expr->a->span, "`%s` orders numbers or strings, this is %s",
                           op_text(expr->op), wm_val_kind_name(a));
        if (a->kind != b->kind)
            wm_diag_also(e->unit, d, expr->a->span, "%s", wm_val_kind_name(a));
        return failed;
    }
    if (equality) {
        uint32_t budget = MAX_COMPARED;
        bool same = equal(a, b, 0, &budget);
        if (budget == 0) {
            wm_error(e->unit, WM_E0901, expr->span, "these lists are too large to be compared");
            return failed;
        }
        return of_bool(same == (expr->op == WM_OP_EQ));
    }
    if (numbers && has_nan(a, b))
        return of_bool(false);
    int order = numbers ? compare_numbers(a, b) : compare_strings(a->s, b->s);
    switch (expr->op) {
    case WM_OP_LT:
        return of_bool(order < 0);
    case WM_OP_LE:
        return of_bool(order <= 0);
    case WM_OP_GT:
        return of_bool(order > 0);
    default:
        return of_bool(order >= 0);
    }
}

/* ---- operators ---- */

static result boolean(const evaluator *e, const wm_expr *operand, wm_span op_span, const char *op)
{
    result r = eval(e, operand);
    if (r.state == FAILED || (r.state == KNOWN && r.v.kind == WM_VAL_BOOL))
        return r;
    if (r.state != KNOWN)
        return lost;
    wm_diag *d = wm_error(e->unit, WM_E0304, operand->span, "`%s` needs booleans, this is %s", op,
                          wm_val_kind_name(&r.v));
    wm_diag_also(e->unit, d, op_span, "the operator");
    return failed;
}

static result eval_binary(const evaluator *e, const wm_expr *expr)
{
    if (expr->op == WM_OP_OR || expr->op == WM_OP_AND) {
        result a = boolean(e, expr->a, expr->op_span, op_text(expr->op));
        if (a.state != KNOWN || (a.v.i != 0) == (expr->op == WM_OP_OR))
            return a;
        return boolean(e, expr->b, expr->op_span, op_text(expr->op));
    }
    result a = eval(e, expr->a), b = eval(e, expr->b);
    if (a.state == FAILED || b.state == FAILED)
        return failed;
    if (a.state != KNOWN || b.state != KNOWN)
        return linear(e, expr, &a, &b);
    return expr->op >= WM_OP_ADD ? arithmetic(e, expr, &a.v, &b.v) : compare(e, expr, &a.v, &b.v);
}

static result eval_negation(const evaluator *e, const wm_expr *expr)
{
    result r = eval(e, expr->a);
    if (r.state == LINEAR) {
        if (__builtin_sub_overflow(0, r.a, &r.a) || __builtin_sub_overflow(0, r.b, &r.b))
            return overflow(e, expr->span);
        return r;
    }
    if (r.state == TABLE)
        return lost;
    if (r.state != KNOWN)
        return r;
    if (r.v.kind == WM_VAL_FLOAT)
        return of_float(-r.v.f);
    int64_t i;
    if (r.v.kind == WM_VAL_INT)
        return __builtin_sub_overflow(0, r.v.i, &i) ? overflow(e, expr->span) : of_int(i);
    wm_error(e->unit, WM_E0304, expr->a->span, "`-` needs a number, this is %s", wm_val_kind_name(&r.v));
    return failed;
}

static result eval_index(const evaluator *e, const wm_expr *expr)
{
    result a = eval(e, expr->a), k = eval(e, expr->b);
    if (a.state == FAILED || k.state == FAILED)
        return failed;
    if (a.state != KNOWN)
        return lost;
    if (a.v.kind != WM_VAL_LIST) {
        wm_error(e->unit, WM_E0305, expr->a->span, "only lists have entries, this is %s",
                 wm_val_kind_name(&a.v));
        return failed;
    }
    if (k.state == LINEAR)
        return (result){.state = TABLE, .v = a.v, .x = k.x, .a = k.a, .b = k.b};
    if (k.state != KNOWN)
        return lost;
    if (k.v.kind != WM_VAL_INT) {
        wm_error(e->unit, WM_E0304, expr->b->span, "an index is an integer, this is %s",
                 wm_val_kind_name(&k.v));
        return failed;
    }
    if (k.v.i < 0 || k.v.i >= a.v.count) {
        wm_error(e->unit, WM_E0306, expr->b->span, "there is no entry %" PRId64 " in a list of %u", k.v.i,
                 a.v.count);
        return failed;
    }
    return known(a.v.items[k.v.i]);
}

static result eval_list(const evaluator *e, const wm_expr *expr)
{
    uint32_t count = 0;
    for (const wm_expr *x = expr->args; x; x = x->next)
        count++;
    wm_val *items = wm_new(e->unit->arena, wm_val, count);
    state worst = KNOWN;
    uint32_t i = 0;
    for (const wm_expr *x = expr->args; x; x = x->next) {
        result r = eval(e, x);
        items[i++] = r.v;
        if (r.state == FAILED)
            worst = FAILED;
        else if (r.state != KNOWN && worst == KNOWN)
            worst = LOST;
    }
    if (worst != KNOWN)
        return worst == FAILED ? failed : lost;
    return known((wm_val){.kind = WM_VAL_LIST, .items = items, .count = count});
}

static result eval_if(const evaluator *e, const wm_expr *expr)
{
    result c = eval(e, expr->a);
    if (c.state == FAILED)
        return failed;
    if (c.state != KNOWN)
        return lost;
    if (c.v.kind != WM_VAL_BOOL) {
        wm_error(e->unit, WM_E0314, expr->a->span, "a condition is a boolean, this is %s",
                 wm_val_kind_name(&c.v));
        return failed;
    }
    return eval(e, c.v.i ? expr->b : expr->c);
}

/* ---- functions ---- */

static result sum(const evaluator *e, const wm_expr *arg, const wm_val *list)
{
    result total = of_int(0);
    for (uint32_t i = 0; i < list->count; i++) {
        const wm_val *item = &list->items[i];
        if (!is_number(item)) {
            wm_error(e->unit, WM_E0304, arg->span, "`sum` adds numbers, entry %u is %s", i,
                     wm_val_kind_name(item));
            return failed;
        }
        if (total.v.kind == WM_VAL_FLOAT || item->kind == WM_VAL_FLOAT)
            total = of_float(as_double(&total.v) + as_double(item));
        else if (__builtin_add_overflow(total.v.i, item->i, &total.v.i))
            return overflow(e, arg->span);
    }
    return total;
}

enum { FN_LEN, FN_SUM, FN_SQRT, FN_FLOOR, FN_MIN, FN_MAX };
static const struct {
    const char *name, *args;
    uint32_t arity;
} functions[] = {
    [FN_LEN] = {"len", "a list", 1},      [FN_SUM] = {"sum", "a list", 1},
    [FN_SQRT] = {"sqrt", "a number", 1},  [FN_FLOOR] = {"floor", "a number", 1},
    [FN_MIN] = {"min", "two numbers", 2}, [FN_MAX] = {"max", "two numbers", 2},
};
#define FUNCTIONS (sizeof functions / sizeof *functions)

static result call(const evaluator *e, const wm_expr *expr, size_t f, const result *args)
{
    const wm_val *v = &args[0].v;
    if (f == FN_LEN || f == FN_SUM) {
        if (v->kind != WM_VAL_LIST) {
            wm_error(e->unit, WM_E0308, expr->args->span, "`%s` needs a list, this is %s", functions[f].name,
                     wm_val_kind_name(v));
            return failed;
        }
        return f == FN_LEN ? of_int(v->count) : sum(e, expr->args, v);
    }
    const wm_expr *arg = expr->args;
    for (uint32_t i = 0; i < functions[f].arity; i++, arg = arg->next)
        if (!is_number(&args[i].v)) {
            wm_error(e->unit, WM_E0304, arg->span, "`%s` needs numbers, this is %s", functions[f].name,
                     wm_val_kind_name(&args[i].v));
            return failed;
        }
    if (f == FN_SQRT) {
        if (as_double(v) < 0) {
            wm_error(e->unit, WM_E0304, expr->args->span, "a negative number has no square root");
            return failed;
        }
        return of_float(sqrt(as_double(v)));
    }
    if (f == FN_FLOOR) {
        double down = floor(as_double(v));
        if (v->kind == WM_VAL_INT)
            return args[0];
        return down >= -0x1p63 && down < 0x1p63 ? of_int((int64_t)down) : overflow(e, expr->args->span);
    }
    int order = compare_numbers(&args[0].v, &args[1].v);
    return (f == FN_MIN ? order <= 0 : order >= 0) ? args[0] : args[1];
}

static result eval_call(const evaluator *e, const wm_expr *expr)
{
    wm_str name = wm_qname_text(e->unit->arena, expr->name);
    wm_near near;
    wm_near_init(&near, name);
    size_t f = 0;
    for (; f < FUNCTIONS; f++) {
        wm_str have = {functions[f].name, (uint32_t)strlen(functions[f].name)};
        if (wm_str_eq(have, name))
            break;
        wm_near_try(&near, have);
    }
    if (f == FUNCTIONS) {
        wm_diag *d =
            wm_error(e->unit, WM_E0303, expr->name->span, "there is no function %s", wm_quote(e->unit, name));
        if (wm_near_found(&near))
            wm_diag_near(e->unit, d, &near);
        else
            wm_diag_hint(e->unit, d, "the functions are len, sum, sqrt, floor, min and max");
        return failed;
    }
    result args[2] = {{.state = KNOWN}, {.state = KNOWN}};
    uint32_t count = 0;
    state worst = KNOWN;
    for (const wm_expr *x = expr->args; x; x = x->next, count++) {
        result r = eval(e, x);
        if (count < 2)
            args[count] = r;
        if (r.state == FAILED)
            worst = FAILED;
        else if (r.state != KNOWN && worst == KNOWN)
            worst = LOST;
    }
    if (count != functions[f].arity) {
        wm_error(e->unit, WM_E0302, expr->span, "`%s` takes %s, here are %u arguments", functions[f].name,
                 functions[f].args, count);
        return failed;
    }
    if (worst != KNOWN)
        return worst == FAILED ? failed : lost;
    return call(e, expr, f, args);
}

/* ---- the walk ---- */

static result eval_string(const evaluator *e, const wm_expr *expr)
{
    result r = {.state = KNOWN, .v = {.kind = WM_VAL_STRING}};
    wm_evaluated done = wm_plain_text(e->unit, e->scope, e->hook, expr->string, &r.v.s);
    return done == WM_EVAL_OK ? r : done == WM_EVAL_UNKNOWN ? lost : failed;
}

static result eval_has(const evaluator *e, const wm_expr *expr)
{
    bool found = false;
    wm_evaluated done = wm_has_name(e->unit, e->scope, expr->string, &found);
    return done == WM_EVAL_OK ? of_bool(found) : done == WM_EVAL_UNKNOWN ? lost : failed;
}

static result eval_inner(const evaluator *e, const wm_expr *expr)
{
    switch (expr->kind) {
    case WM_EX_INT:
        return of_int(expr->i);
    case WM_EX_FLOAT:
        return of_float(expr->f);
    case WM_EX_BOOL:
        return of_bool(expr->i != 0);
    case WM_EX_STRING:
        return eval_string(e, expr);
    case WM_EX_HAS:
        return eval_has(e, expr);
    case WM_EX_NAME:
        return eval_name(e, expr);
    case WM_EX_CALL:
        return eval_call(e, expr);
    case WM_EX_LIST:
        return eval_list(e, expr);
    case WM_EX_INDEX:
        return eval_index(e, expr);
    case WM_EX_NEG:
        return eval_negation(e, expr);
    case WM_EX_NOT: {
        result r = boolean(e, expr->a, expr->op_span, "not");
        return r.state == KNOWN ? of_bool(r.v.i == 0) : r;
    }
    case WM_EX_BINARY:
        return eval_binary(e, expr);
    case WM_EX_IF:
        return eval_if(e, expr);
    case WM_EX_ANY: /* an extent to be solved */
        return lost;
    case WM_EX_NAMED:
        break;
    }
    wm_error(e->unit, WM_E0303, expr->span, "%s with named arguments is no value",
             wm_quote(e->unit, expr->name->parts->text));
    return failed;
}

static result eval(const evaluator *e, const wm_expr *expr)
{
    if (*e->depth >= MAX_TERMS) {
        wm_error(e->unit, WM_E0902, expr->span, "this expression is more than %d operations deep", MAX_TERMS);
        return failed;
    }
    ++*e->depth;
    result r = eval_inner(e, expr);
    --*e->depth;
    return r;
}

wm_evaluated wm_eval(wm_unit *unit, const wm_scope *scope, const wm_hook *hook, const wm_expr *expr,
                     wm_val *value)
{
    uint32_t depth = 0;
    evaluator e = {unit, scope, hook, &depth};
    result r = eval(&e, expr);
    if (r.state == KNOWN)
        *value = r.v;
    return r.state == KNOWN ? WM_EVAL_OK : r.state == FAILED ? WM_EVAL_ERROR : WM_EVAL_UNKNOWN;
}

wm_evaluated wm_eval_linear(wm_unit *unit, const wm_scope *scope, const wm_hook *hook, const wm_expr *expr,
                            wm_str *unknown, int64_t *a, int64_t *b, const wm_val **table)
{
    uint32_t depth = 0;
    evaluator e = {unit, scope, hook, &depth};
    result r = eval(&e, expr);
    *unknown = r.x;
    *a = r.a;
    *b = r.b;
    *table = NULL;
    if (r.state == FAILED)
        return WM_EVAL_ERROR;
    if (r.state == LOST || (r.state == KNOWN && r.v.kind != WM_VAL_INT))
        return WM_EVAL_UNKNOWN;
    if (r.state == KNOWN) {
        *b = r.v.i;
    } else if (r.state == TABLE) {
        wm_val *list = wm_new(unit->arena, wm_val, 1);
        *list = r.v;
        *table = list;
    }
    return WM_EVAL_OK;
}

/* ---- names in expressions ---- */

void wm_free_names(const wm_scope *scope, const wm_expr *expr, void (*visit)(void *user, const wm_word *name),
                   void *user)
{
    if (!expr)
        return;
    if (expr->kind == WM_EX_NAME) {
        const wm_word *word = expr->name->parts;
        if (!word->next && !wm_scope_has(scope, word->text, NULL))
            visit(user, word);
        return;
    }
    if (expr->kind == WM_EX_STRING)
        for (const wm_part *p = expr->string->parts; p; p = p->next)
            if (p->kind == WM_PART_HOLE)
                wm_free_names(scope, p->expr, visit, user);
    wm_free_names(scope, expr->a, visit, user);
    wm_free_names(scope, expr->b, visit, user);
    wm_free_names(scope, expr->c, visit, user);
    for (const wm_expr *arg = expr->args; arg; arg = arg->next)
        wm_free_names(scope, arg, visit, user);
}
