/* operations.c: what is computed from operands: the dtype that comes out, and the program of each piece. What
 * is written, the steps (program.h), is made by resolve; how a program runs is in runtime/value.c. */
#include <math.h>
#include <string.h>

#include "compiler/pass.h"
#include "runtime/base/dtype.h"
#include "runtime/base/planfile.h"

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
    uint32_t places, operations; /* of the program so far */
} checker;

/* E0702: an inverse that the dtype or the constant rules out. */
static void no_inverse(checker *c, const wm_step *s, const char *what, wmap_dtype dtype)
{
    wm_diag *d = wm_instance_error(c->state, c->in, WM_E0702, s->span, "`%s`%s has no inverse%s%s",
                                   names[s->kind == WM_STEP_DIV   ? WM_STEP_MUL
                                         : s->kind == WM_STEP_MUL ? WM_STEP_DIV
                                                                  : s->kind],
                                   what, dtype ? " among " : "", dtype ? wmap_dtype_name(dtype) : "");
    wm_hint_clauses(c->state->unit, d);
}

/* Floats take all; whole numbers + - * neg. */
static void check_arithmetic(checker *c, const wm_step *s, wmap_dtype dtype)
{
    wm_kind kind = kind_of(dtype);
    bool simple =
        s->kind == WM_STEP_ADD || s->kind == WM_STEP_SUB || s->kind == WM_STEP_MUL || s->kind == WM_STEP_NEG;
    bool whole = kind == WM_KIND_UINT || kind == WM_KIND_INT;
    if (kind == WM_KIND_FLOAT || (whole && simple))
        return;
    if (whole && s->inverse) {
        no_inverse(c, s, "", dtype);
        return;
    }
    wm_diag *d = wm_instance_error(c->state, c->in, WM_E0606, s->span, "`%s` does not apply to %s",
                                   names[s->kind], wmap_dtype_name(dtype));
    if (whole)
        wm_diag_hint(c->state->unit, d,
                     "whole numbers take + - * neg; `cast f32` before it makes floats of them");
    wm_note_tensors(c->state, c->in, d);
}

bool wm_step_constant(wm_state *state, wm_instance *in, const wm_step *s, wm_val *value)
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
    if (c->in->failed || !wm_step_constant(c->state, c->in, s, &v))
        return;
    bool zero = v.kind == WM_VAL_INT ? v.i == 0 : v.f == 0;
    if (kind_of(dtype) != WM_KIND_FLOAT && v.kind == WM_VAL_FLOAT) {
        wm_instance_error(c->state, c->in, WM_E0608, s->expr->span,
                          "%s is not a whole number, and the operand is %s", wm_val_text(c->state->unit, &v),
                          wmap_dtype_name(dtype));
    } else if (s->inverse && s->kind == WM_STEP_DIV && zero) {
        no_inverse(c, s, " by 0", WMAP_DTYPE_NONE);
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

/* A cast that is turned gives back the dtype that was there. */
static wmap_dtype cast_to(const wm_instance *in, const wm_step *s, uint32_t target)
{
    return s->cast.to != WMAP_DTYPE_NONE ? s->cast.to : in->right[target].dtype;
}

static void check_cast(checker *c, const wm_step *s, wmap_dtype from, wmap_dtype to)
{
    if (to == WMAP_DTYPE_NONE) {
        wm_diag *d = wm_instance_error(c->state, c->in, WM_E0704, s->span,
                                       "the dtype before this %s is not known", names[s->kind]);
        wm_diag_hint(
            c->state->unit, d,
            "name a file like the one to be written with `--target-like`, or declare it with `map ... from`");
        return;
    }
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
        wm_diag *d =
            wm_instance_error(c->state, c->in, WM_E0606, c->line->left[s->term].name.span,
                              "the source tensor %s is of a kind that wmap can rename, but not look into",
                              wm_quote(c->state->unit, c->state->source.names[b->tensors[0]]));
        wm_diag_hint(c->state->unit, d, "`wmap inspect` says what it is; `drop` leaves it behind");
    }
    c->stack[c->depth++] = b->dtype;
}

/* The cast of the map is one more, and a constant is an operation of its own. */
static void check_size(checker *c, const wm_steps *steps)
{
    for (uint32_t k = 0; k < steps->count; k++) {
        c->places += steps->list[k].kind == WM_STEP_LOAD;
        c->operations += steps->list[k].expr ? 2 : 1;
        if (c->places <= WM_VALUE_SOURCES && c->operations < WM_VALUE_OPS)
            continue;
        wm_instance_error(c->state, c->in, WM_E0903, steps->list[k].span, "more than %d %s in one operand",
                          c->places > WM_VALUE_SOURCES ? WM_VALUE_SOURCES : WM_VALUE_OPS,
                          c->places > WM_VALUE_SOURCES ? "places" : "operations");
        return;
    }
}

/* The dtype behind the steps of an operand of the source, or, where `top` is that of its value, of target
 * `target`. */
static wmap_dtype steps_dtype(checker *c, const wm_steps *steps, uint32_t target, wmap_dtype top)
{
    check_size(c, steps);
    c->stack = wm_new(c->state->unit->scratch, wmap_dtype, steps->count + (size_t)1);
    c->depth = 0;
    if (top != WMAP_DTYPE_NONE)
        c->stack[c->depth++] = top;
    for (uint32_t k = 0; k < steps->count && !c->in->failed; k++) {
        const wm_step *s = &steps->list[k];
        if (s->kind == WM_STEP_LOAD) {
            check_load(c, s);
            continue;
        }
        bool two = s->kind >= WM_STEP_ADD && s->kind <= WM_STEP_DIV && !s->expr;
        top = c->stack[c->depth - 1];
        if (s->kind == WM_STEP_CAST || s->kind == WM_STEP_BITCAST) {
            wmap_dtype to = cast_to(c->in, s, target);
            check_cast(c, s, top, to);
            c->stack[c->depth - 1] = to;
            continue;
        }
        if (two) {
            c->depth--;
            check_pair(c, s, c->stack[c->depth - 1], top);
        }
        if (!c->in->failed)
            check_arithmetic(c, s, c->stack[c->depth - 1]);
        if (s->expr)
            check_constant(c, s, c->stack[c->depth - 1]);
    }
    return c->depth ? c->stack[0] : WMAP_DTYPE_NONE;
}

static bool has_cast(const wm_steps *steps)
{
    for (uint32_t k = 0; steps && k < steps->count; k++)
        if (steps->list[k].kind == WM_STEP_CAST || steps->list[k].kind == WM_STEP_BITCAST)
            return true;
    return false;
}

/* Is the line a name for a name, and the tensor whole? That is all that can be done to what is opaque. */
static bool is_rename(const wm_instance *in)
{
    const wm_form *f = in->form;
    if (f->line->left_count != 1 || f->line->right_count != 1 || f->recount_count ||
        f->left[0].name_axis_count || f->left[0].copy_axis_count || f->right[0].name_axis_count ||
        f->right[0].unnamed || f->line->right[0].otherwise)
        return false;
    return f->left[0].dim_count == 0 && f->right[0].dim_count == 0 && f->left[0].dots != WM_NONE &&
           f->right[0].dots != WM_NONE;
}

static void check_plain(checker *c, const wm_term *t, wmap_dtype from, wmap_dtype to)
{
    const wm_step load = {.term = (uint32_t)(t - c->line->left)};
    wmap_dtype none;
    c->stack = &none;
    c->depth = 0;
    check_load(c, &load);
    if (c->in->failed || wm_cast_exists(from, to))
        return;
    wm_diag *d =
        wm_instance_error(c->state, c->in, WM_E0607, t->cast ? t->cast->span : t->name.span,
                          "there is no cast from %s to %s", wmap_dtype_name(from), wmap_dtype_name(to));
    wm_note_tensors(c->state, c->in, d);
}

const wm_cast *wm_free_cast(const wm_state *state, const wm_instance *in, uint32_t source, uint32_t target,
                            wmap_dtype dtype)
{
    const wm_line *line = in->form->line;
    const wm_term *s = &line->left[source];
    if (s->cast || has_cast(s->steps) || has_cast(line->right[target].steps))
        return NULL;
    const wm_cast *all = wm_map_cast(state, dtype, in->right[target].dtype);
    return all && (!s->steps || wm_cast_exists(dtype, all->to)) ? all : NULL;
}

wmap_dtype wm_result_dtype(wm_state *state, wm_instance *instance, uint32_t source, uint32_t target)
{
    checker c = {.state = state, .in = instance, .line = instance->form->line};
    const wm_term *s = &c.line->left[source], *t = &c.line->right[target];
    wmap_dtype dtype = instance->left[source].dtype;
    const wm_cast *all;
    if (dtype == WMAP_OPAQUE && !s->steps && !s->cast && !t->steps && is_rename(instance))
        return dtype;
    if (s->steps) {
        dtype = steps_dtype(&c, s->steps, target, WMAP_DTYPE_NONE);
    } else {
        all = t->steps && !c.line->turned ? NULL : wm_free_cast(state, instance, source, target, dtype);
        wmap_dtype to = s->cast ? s->cast->to : all ? all->to : dtype;
        check_plain(&c, s, dtype, to);
        if (s->cast)
            dtype = to;
    }
    if (c.line->turned && (all = wm_free_cast(state, instance, source, target, dtype)))
        dtype = all->to;
    if (t->steps && !instance->failed)
        dtype = steps_dtype(&c, t->steps, target, dtype);
    if (!c.line->turned && !instance->failed && (all = wm_free_cast(state, instance, source, target, dtype)))
        dtype = all->to;
    return dtype;
}

/* ---- programs ---- */

static bool has_tag(const wm_form *form, const wm_piece *piece, wm_str tag)
{
    for (uint32_t t = 0; t < piece->tag_count; t++)
        if (wm_str_eq(form->tags[piece->tags[t]].name, tag))
            return true;
    return tag.len == 0;
}

/* A program being put together. */
typedef struct coder {
    wm_state *state;
    wm_instance *in;
    const wm_piece *source;
    uint32_t target;
    wm_code *code;
    uint32_t count;
    wmap_dtype dtype; /* of the result so far */
} coder;

static void add_cast(coder *c, wm_step_kind kind, wmap_dtype to, enum wm_policy policy)
{
    c->code[c->count++] = (wm_code){.kind = kind, .dtype = to, .policy = policy};
}

static void add_steps(coder *c, const wm_steps *steps, uint32_t from)
{
    for (uint32_t k = from; steps && k < steps->count; k++) {
        const wm_step *s = &steps->list[k];
        if (!has_tag(c->in->form, c->source, s->tag))
            continue;
        if (s->expr) {
            wm_code *constant = &c->code[c->count++];
            *constant = (wm_code){.constant = true};
            wm_step_constant(c->state, c->in, s, &constant->value);
        }
        if (s->kind == WM_STEP_CAST || s->kind == WM_STEP_BITCAST)
            add_cast(c, s->kind, cast_to(c->in, s, c->target), s->cast.policy);
        else
            c->code[c->count++] =
                (wm_code){.kind = s->kind, .source = s->kind == WM_STEP_LOAD ? s->term - c->source->term : 0};
    }
}

/* The cast of the map stands behind all, but of a turned rule before what undoes its operations. */
static void add_free_cast(coder *c, wmap_dtype dtype)
{
    const wm_cast *all = wm_free_cast(c->state, c->in, c->source->term, c->target, dtype);
    if (all && all->to != dtype)
        add_cast(c, WM_STEP_CAST, all->to, all->policy);
}

const wm_code *wm_pair_code(wm_state *state, wm_instance *instance, const wm_piece *source, uint32_t target,
                            uint32_t *count)
{
    const wm_line *line = instance->form->line;
    const wm_term *s = &line->left[source->term], *t = &line->right[target];
    checker types = {.state = state, .in = instance, .line = line};
    coder c = {state, instance, source, target, NULL, 0, instance->left[source->term].dtype};
    c.code = wm_new(state->unit->scratch, wm_code,
                    2 * ((size_t)(s->steps ? s->steps->count : 0) + (t->steps ? t->steps->count : 0)) + 2);
    if (s->steps)
        c.dtype = steps_dtype(&types, s->steps, target, WMAP_DTYPE_NONE);
    add_steps(&c, s->steps, 1); /* the first loads the move's source */
    if (s->cast) {
        add_cast(&c, WM_STEP_CAST, s->cast->to, s->cast->policy);
        c.dtype = s->cast->to;
    }
    if (line->turned)
        add_free_cast(&c, c.dtype);
    add_steps(&c, t->steps, 0);
    if (!line->turned && t->steps)
        c.dtype = steps_dtype(&types, t->steps, target, c.dtype);
    if (!line->turned)
        add_free_cast(&c, c.dtype);
    *count = c.count;
    return c.code;
}

/* ---- copies ---- */

wmap_dtype wm_operand_dtype(wm_state *state, wm_instance *instance, uint32_t source)
{
    checker c = {.state = state, .in = instance, .line = instance->form->line};
    const wm_term *s = &c.line->left[source];
    wmap_dtype dtype = instance->left[source].dtype;
    if (s->steps)
        return steps_dtype(&c, s->steps, 0, WMAP_DTYPE_NONE);
    check_plain(&c, s, dtype, s->cast ? s->cast->to : dtype);
    return s->cast ? s->cast->to : dtype;
}

static void add_operand(coder *c)
{
    const wm_term *s = &c->in->form->line->left[c->source->term];
    add_steps(c, s->steps, 1);
    if (s->cast)
        add_cast(c, WM_STEP_CAST, s->cast->to, s->cast->policy);
}

static size_t room_of(const wm_term *t)
{
    return 2 * (size_t)(t->steps ? t->steps->count : 0) + 2;
}

const wm_code *wm_copy_code(wm_state *state, wm_instance *instance, const wm_piece *copy,
                            const wm_piece *first, uint32_t places, uint32_t *count)
{
    const wm_term *left = instance->form->line->left;
    coder c = {state, instance, copy, 0, NULL, 0, WMAP_DTYPE_NONE};
    c.code = wm_new(state->unit->scratch, wm_code, room_of(&left[copy->term]) + room_of(&left[first->term]));
    add_operand(&c);
    uint32_t begin = c.count;
    c.code[c.count++] = (wm_code){.kind = WM_STEP_LOAD, .source = places};
    c.source = first;
    add_operand(&c);
    for (uint32_t k = begin + 1; k < c.count; k++)
        if (c.code[k].kind == WM_STEP_LOAD && !c.code[k].constant)
            c.code[k].source += places;
    c.code[c.count++] = (wm_code){.equal = true};
    *count = c.count;
    return c.code;
}
