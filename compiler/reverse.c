/* reverse.c: turns lines around. Receives the lines that resolve made for the direction that is not compiled;
 * gives those of the other one, so that the passes behind see a map like any other: sides are swapped, the
 * operations of an operand inverted, in reverse order, on the target that it has become; what was filled is
 * dropped under a guard; what was dropped is lost. Resolve made the names for the sides that they are on now.
 */
#include <string.h>

#include "compiler/pass.h"
#include "compiler/resolve.h"
#include "compiler/scope.h"

typedef struct turner {
    wm_unit *unit;
    wm_program *program;
    wm_line *lines;
    size_t count, cap;
} turner;

/* ---- what can't be turned ---- */

void wm_hint_clauses(wm_unit *unit, wm_diag *diag)
{
    wm_diag_hint(unit, diag,
                 "put this rule into `forward { }`, and what takes its place backwards into `reverse { }`");
}

/* The text of a name without its quotes. */
static const char *name_text(const turner *t, const wm_pattern *name)
{
    const char *text = t->unit->sources[name->span.file]->text;
    uint32_t beg = name->span.beg + 1, end = name->span.end - 1;
    return beg < end ? wm_format_text(t->unit->arena, "%.*s", (int)(end - beg), text + beg) : "";
}

static void stamp(const wm_line *line, wm_diag *d)
{
    d->round = *line->round ? line->round : NULL;
}

/* E0702: an operand of several tensors. */
static void report_arithmetic(turner *t, const wm_line *line, uint32_t first)
{
    uint32_t last = first;
    while (last + 1 < line->left_count && line->left[last + 1].second)
        last++;
    wm_span span = line->left[first].span;
    span.end = line->left[last].span.end;
    wm_diag *d = wm_error(t->unit, WM_E0702, span,
                          "arithmetic between tensors has no inverse, so %s cannot run in reverse",
                          t->program->map.len ? wm_quote(t->unit, t->program->map) : "the map");
    stamp(line, d);
    wm_diag_hint(t->unit, d,
                 "put this rule into `forward { }`, and what makes %s%s%s from %s into `reverse { }`",
                 name_text(t, &line->left[first].name), last == first + 1 ? " and " : " ... ",
                 name_text(t, &line->left[last].name), name_text(t, &line->right[0].name));
}

/* E0702: packed or scaled numbers can't be made again from what they mean. */
static void report_decoder(turner *t, const wm_line *line, const wm_decoder *decoder)
{
    wm_diag *d =
        wm_error(t->unit, WM_E0702, decoder->span, "`%s` has no inverse, so %s cannot run in reverse",
                 decoder->packed ? "mxfp4" : "dequant",
                 t->program->map.len ? wm_quote(t->unit, t->program->map) : "the map");
    stamp(line, d);
    wm_hint_clauses(t->unit, d);
}

/* ---- operations ---- */

static const wm_expr two = {.kind = WM_EX_INT, .i = 2, .span = {WM_NO_FILE, 0, 0}};
static const wm_expr minus_two = {.kind = WM_EX_INT, .i = -2, .span = {WM_NO_FILE, 0, 0}};

/* 1/c */
static const wm_expr *reciprocal(turner *t, const wm_expr *c)
{
    wm_expr *one = wm_new(t->unit->arena, wm_expr, 1), *r = wm_new(t->unit->arena, wm_expr, 1);
    *one = (wm_expr){.kind = WM_EX_INT, .i = 1, .span = c->span};
    *r = (wm_expr){.kind = WM_EX_BINARY, .op = WM_OP_DIV, .span = c->span, .op_span = c->span, .a = one};
    wm_expr *b = wm_new(t->unit->arena, wm_expr, 1);
    *b = *c;
    b->next = NULL;
    r->b = b;
    r->depth = c->depth + 1;
    return r;
}

/* What undoes a step; `before` are the steps that came before it. */
static wm_step inverse_of(turner *t, const wm_step *step, const wm_step *before, uint32_t count)
{
    wm_step s = *step;
    s.inverse = true;
    switch (step->kind) {
    case WM_STEP_ADD:
        s.kind = WM_STEP_SUB;
        break;
    case WM_STEP_SUB:
        s.kind = WM_STEP_ADD;
        break;
    case WM_STEP_MUL:
        s.kind = WM_STEP_DIV;
        break;
    case WM_STEP_DIV:
        s.kind = WM_STEP_MUL;
        break;
    case WM_STEP_EXP:
        s.kind = WM_STEP_LOG;
        break;
    case WM_STEP_LOG:
        s.kind = WM_STEP_EXP;
        break;
    case WM_STEP_SQRT:
    case WM_STEP_RSQRT:
        s.kind = WM_STEP_POW;
        s.expr = step->kind == WM_STEP_SQRT ? &two : &minus_two;
        break;
    case WM_STEP_POW:
        s.expr = reciprocal(t, step->expr);
        break;
    case WM_STEP_CAST:
    case WM_STEP_BITCAST:
        s.cast.policy = WM_POLICY_CHECK;
        s.cast.to = WMAP_DTYPE_NONE;
        while (count-- > 0 && s.cast.to == WMAP_DTYPE_NONE)
            if (before[count].kind == WM_STEP_CAST || before[count].kind == WM_STEP_BITCAST)
                s.cast.to = before[count].cast.to;
        break;
    case WM_STEP_NEG:
    case WM_STEP_LOAD:
        break;
    }
    return s;
}

static const wm_steps *invert(turner *t, const wm_step *list, uint32_t count)
{
    wm_step *back = wm_new(t->unit->arena, wm_step, count);
    for (uint32_t k = 0; k < count; k++)
        back[count - 1 - k] = inverse_of(t, &list[k], list, k);
    wm_steps *steps = wm_new(t->unit->arena, wm_steps, 1);
    *steps = (wm_steps){back, count};
    return steps;
}

/* What an operand of the source computes, as an operand of the target that undoes it. */
static void turn_steps(turner *t, wm_term *term)
{
    if (term->cast) {
        wm_step cast = {.kind = WM_STEP_CAST, .span = term->cast->span, .cast = *term->cast};
        term->steps = invert(t, &cast, 1);
        term->cast = NULL;
    } else if (term->steps) {
        term->steps =
            invert(t, term->steps->list + 1, term->steps->count - 1); /* the first loads the operand */
    }
}

/* ---- lines ---- */

static void add(turner *t, const wm_line *line)
{
    *wm_push(t->unit->arena, t->lines, t->count, t->cap) = *line;
}

static void turn_rule(turner *t, wm_line line)
{
    for (uint32_t i = 0; i < line.left_count && !line.poisoned; i++) {
        if (!line.left[i].second || line.left[i - 1].second)
            continue;
        report_arithmetic(t, &line, i - 1);
        line.poisoned = true;
    }
    for (uint32_t i = 0; i < line.left_count && !line.poisoned; i++)
        if (line.left[i].decoder) {
            report_decoder(t, &line, line.left[i].decoder);
            line.poisoned = true;
        }
    for (uint32_t i = 0; i < line.left_count && !line.poisoned; i++)
        turn_steps(t, &line.left[i]);
    wm_term *read = line.right;
    uint32_t count = line.right_count;
    line.right = line.left;
    line.right_count = line.left_count;
    line.left = read;
    line.left_count = count;
    line.equal = true; /* what was written to several places is read from them */
    add(t, &line);
}

/* What was filled is left behind, if it still is what was filled in. */
static void turn_fill(turner *t, const wm_line *fill)
{
    wm_else *all = wm_new(t->unit->arena, wm_else, 1);
    *all = (wm_else){.value = fill->fill->value, .span = fill->fill->span};
    for (uint32_t i = 0; i < fill->right_count; i++) {
        wm_line drop = *fill;
        drop.kind = WM_LINE_DROP;
        drop.dropped = &fill->right[i].name;
        drop.left = &fill->right[i];
        drop.left_count = 1;
        drop.right = NULL;
        drop.right_count = 0;
        drop.fill = NULL;
        drop.all = all;
        add(t, &drop);
    }
}

static void turn_line(turner *t, const wm_line *line)
{
    switch (line->kind) {
    case WM_LINE_RULE:
        turn_rule(t, *line);
        break;
    case WM_LINE_FILL:
        turn_fill(t, line);
        break;
    case WM_LINE_DROP:
        *wm_push(t->unit->arena, t->program->lost, t->program->lost_count, t->program->lost_cap) = *line;
        break;
    case WM_LINE_CAST: {
        wm_line back = *line;
        wm_cast *cast = wm_new(t->unit->arena, wm_cast, 1);
        *cast =
            (wm_cast){.from = line->cast->to, .to = line->cast->from, .back = true, .span = line->cast->span};
        back.cast = cast;
        add(t, &back);
        break;
    }
    case WM_LINE_KEEP_REST:
        add(t, line);
        break;
    }
}

void wm_reverse_pass(wm_unit *unit, wm_program *program)
{
    turner t = {.unit = unit, .program = program};
    t.lines = wm_grow(unit->arena, NULL, 0, program->count, &t.cap, sizeof *t.lines);
    for (size_t i = 0; i < program->count; i++) {
        const wm_line *line = &program->lines[i];
        unit->use = wm_scope_use(line->scope);
        if (line->turned)
            turn_line(&t, line);
        else
            add(&t, line);
    }
    unit->use = WM_NOWHERE;
    program->lines = t.lines;
    program->count = t.count;
    program->cap = t.cap;
}
