/* operations.c: what is computed from operands: the dtype that comes out, and the program of each piece. What
 * is written, the steps (program.h), is made by resolve; how a program runs is in runtime/value.c. */
#include <math.h>
#include <string.h>

#include "compiler/pass.h"
#include "runtime/base/dtype.h"

/* What a move of a plan can hold; docs/plan.md states it. */
#define MAX_PLACES     64
#define MAX_OPERATIONS 4096

bool wm_cast_exists(wmap_dtype from, wmap_dtype to)
{
    const wm_dtype_info *a = wm_dtype(from), *b = wm_dtype(to);
    if (from == to)
        return true;
    if (!a || !b || a->kind == WM_KIND_RAW || b->kind == WM_KIND_RAW)
        return false;
    return (a->kind == WM_KIND_COMPLEX) == (b->kind == WM_KIND_COMPLEX);
}

static const char *const names[] = {
    [WM_STEP_LOAD] = "",          [WM_STEP_ADD] = "+",       [WM_STEP_SUB] = "-",   [WM_STEP_MUL] = "*",
    [WM_STEP_DIV] = "/",          [WM_STEP_NEG] = "neg",     [WM_STEP_EXP] = "exp", [WM_STEP_LOG] = "log",
    [WM_STEP_SQRT] = "sqrt",      [WM_STEP_RSQRT] = "rsqrt", [WM_STEP_POW] = "pow", [WM_STEP_CAST] = "cast",
    [WM_STEP_BITCAST] = "bitcast"};

static wm_kind kind_of(wmap_dtype dtype)
{
    const wm_dtype_info *info = wm_dtype(dtype);
    return info ? info->kind : WM_KIND_NONE;
}

/* ---- dtypes ---- */

typedef struct checker {
    wm_state *state;
    wm_instance *in;
    const wm_line *line;
    wmap_dtype *stack;
    uint32_t depth;
} checker;

/* Floats take all; whole numbers + - * neg. */
static void check_arithmetic(checker *c, const wm_step *s, wmap_dtype dtype)
{
    wm_kind kind = kind_of(dtype);
    bool simple =
        s->kind == WM_STEP_ADD || s->kind == WM_STEP_SUB || s->kind == WM_STEP_MUL || s->kind == WM_STEP_NEG;
    bool whole = kind == WM_KIND_UINT || kind == WM_KIND_INT;
    if (kind == WM_KIND_FLOAT || (whole && simple))
        return;
    wm_diag *d = wm_instance_error(c->state, c->in, WM_E0606, s->span, "`%s` does not apply to %s",
                                   names[s->kind], wmap_dtype_name(dtype));
    if (whole)
        wm_diag_hint(c->state->unit, d,
                     "whole numbers take + - * neg; `cast f32` before it makes floats of them");
    wm_note_tensors(c->state, c->in, d);
}

static bool eval_constant(wm_state *state, wm_instance *in, const wm_step *s, wm_val *value)
{
    wm_hook hook = {wm_instance_find, in};
    wm_evaluated done = wm_eval(state->unit, in->form->line->scope, &hook, s->expr, value);
    if (done == WM_EVAL_ERROR)
        in->failed = true;
    if (done != WM_EVAL_OK)
        return false;
    if (value->kind == WM_VAL_INT || value->kind == WM_VAL_FLOAT)
        return true;
    wm_instance_error(state, in, WM_E0304, s->expr->span, "a number is needed here, this is %s",
                      wm_val_text(state->unit, value));
    return false;
}

static void check_constant(checker *c, const wm_step *s, wmap_dtype dtype)
{
    wm_val v;
    if (c->in->failed || !eval_constant(c->state, c->in, s, &v))
        return;
    bool zero = v.kind == WM_VAL_INT ? v.i == 0 : v.f == 0;
    if (kind_of(dtype) != WM_KIND_FLOAT && v.kind == WM_VAL_FLOAT) {
        wm_instance_error(c->state, c->in, WM_E0608, s->expr->span,
                          "%s is not a whole number, and the operand is %s", wm_val_text(c->state->unit, &v),
                          wmap_dtype_name(dtype));
    } else if (s->kind == WM_STEP_DIV && zero) {
        wm_instance_error(c->state, c->in, WM_E0307, s->expr->span, "division by zero");
    }
}

static void check_pair(checker *c, const wm_step *s, wmap_dtype a, wmap_dtype b)
{
    if (a == b)
        return;
    wm_diag *d = wm_instance_error(c->state, c->in, WM_E0602, s->span, "`%s` between %s and %s",
                                   names[s->kind], wmap_dtype_name(a), wmap_dtype_name(b));
    wm_diag_hint(c->state->unit, d, "`| cast %s` after the second", wmap_dtype_name(a));
    wm_note_tensors(c->state, c->in, d);
}

static void check_cast(checker *c, const wm_step *s, wmap_dtype from)
{
    wmap_dtype to = s->cast.to;
    if (s->kind == WM_STEP_CAST && !wm_cast_exists(from, to)) {
        wm_diag *d = wm_instance_error(c->state, c->in, WM_E0607, s->span, "there is no cast from %s to %s",
                                       wmap_dtype_name(from), wmap_dtype_name(to));
        wm_note_tensors(c->state, c->in, d);
    } else if (s->kind == WM_STEP_BITCAST && wmap_dtype_size(from) != wmap_dtype_size(to)) {
        wm_instance_error(c->state, c->in, WM_E0603, s->span, "`bitcast` from %s to %s: %u bytes are not %u",
                          wmap_dtype_name(from), wmap_dtype_name(to), wmap_dtype_size(from),
                          wmap_dtype_size(to));
    }
}

static void check_load(checker *c, const wm_step *s)
{
    const wm_bound *b = &c->in->left[s->term];
    if (b->dtype == WMAP_OPAQUE) {
        wm_diag *d = wm_instance_error(c->state, c->in, WM_E0606, c->line->left[s->term].name.span,
                                       "the source tensor %s is of a kind that wmap lists but cannot move",
                                       wm_quote(c->state->unit, c->state->source.names[b->tensors[0]]));
        wm_diag_hint(c->state->unit, d, "`wmap inspect` says what it is; `drop` leaves it behind");
    }
    c->stack[c->depth++] = b->dtype;
}

/* The cast of the map comes behind them, and a constant is an operation of its own. */
static void check_size(checker *c, const wm_steps *steps)
{
    uint32_t places = 0, operations = 1;
    for (uint32_t k = 0; k < steps->count; k++) {
        places += steps->list[k].kind == WM_STEP_LOAD;
        operations += steps->list[k].expr ? 2 : 1;
        if (places <= MAX_PLACES && operations <= MAX_OPERATIONS)
            continue;
        wm_instance_error(c->state, c->in, WM_E0903, steps->list[k].span, "more than %d %s in one operand",
                          places > MAX_PLACES ? MAX_PLACES : MAX_OPERATIONS,
                          places > MAX_PLACES ? "places" : "operations");
        return;
    }
}

wmap_dtype wm_steps_dtype(wm_state *state, wm_instance *instance, uint32_t term, bool *casts)
{
    checker c = {.state = state, .in = instance, .line = instance->form->line};
    const wm_steps *steps = c.line->left[term].steps;
    check_size(&c, steps);
    c.stack = wm_new(state->unit->scratch, wmap_dtype, steps->count);
    *casts = false;
    for (uint32_t k = 0; k < steps->count && !instance->failed; k++) {
        const wm_step *s = &steps->list[k];
        if (s->kind == WM_STEP_LOAD) {
            check_load(&c, s);
            continue;
        }
        bool two = s->kind >= WM_STEP_ADD && s->kind <= WM_STEP_DIV && !s->expr;
        wmap_dtype top = c.stack[c.depth - 1];
        if (s->kind == WM_STEP_CAST || s->kind == WM_STEP_BITCAST) {
            check_cast(&c, s, top);
            c.stack[c.depth - 1] = s->cast.to;
            *casts = true;
            continue;
        }
        if (two) {
            c.depth--;
            check_pair(&c, s, c.stack[c.depth - 1], top);
        }
        if (!instance->failed)
            check_arithmetic(&c, s, c.stack[c.depth - 1]);
        if (s->expr)
            check_constant(&c, s, c.stack[c.depth - 1]);
    }
    return c.depth ? c.stack[0] : WMAP_DTYPE_NONE;
}

/* ---- programs ---- */

static bool has_tag(const wm_form *form, const wm_piece *piece, wm_str tag)
{
    for (uint32_t t = 0; t < piece->tag_count; t++)
        if (wm_str_eq(form->tags[piece->tags[t]].name, tag))
            return true;
    return tag.len == 0;
}

const wm_code *wm_steps_code(wm_state *state, wm_instance *instance, const wm_piece *piece, wmap_dtype to,
                             enum wm_policy policy, uint32_t *count)
{
    const wm_steps *steps = instance->form->line->left[piece->term].steps;
    wm_code *code = wm_new(state->unit->scratch, wm_code, 2 * (size_t)steps->count + 1);
    *count = 0;
    for (uint32_t k = 1; k < steps->count; k++) { /* the first loads the move's source */
        const wm_step *s = &steps->list[k];
        if (!has_tag(instance->form, piece, s->tag))
            continue;
        if (s->expr) {
            wm_code *constant = &code[(*count)++];
            *constant = (wm_code){.constant = true};
            eval_constant(state, instance, s, &constant->value);
        }
        code[(*count)++] = (wm_code){.kind = s->kind,
                                     .source = s->kind == WM_STEP_LOAD ? s->term - piece->term : 0,
                                     .dtype = s->cast.to,
                                     .policy = s->cast.policy};
    }
    if (to != WMAP_DTYPE_NONE)
        code[(*count)++] = (wm_code){.kind = WM_STEP_CAST, .dtype = to, .policy = policy};
    return code;
}
