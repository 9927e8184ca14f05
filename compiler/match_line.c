/* match_line.c: binds a line by its kind: rules (match.c), fills, drops; and excuses what a line with an
 * error could match or write. */
#include <string.h>

#include "compiler/judge.h"
#include "compiler/match.h"
#include "compiler/scope.h"

/* ---- fill, drop ---- */

typedef struct fill_match {
    wm_state *state;
    wm_form *form;
    bool like;
    size_t count;
} fill_match;

static void fill_instance(void *user, size_t name, const wm_capture *captures)
{
    fill_match *f = user;
    uint32_t vars = f->form->line->var_count;
    wm_capture *c = wm_new(f->state->unit->scratch, wm_capture, vars);
    if (vars && captures)
        memcpy(c, captures, vars * sizeof *c);
    wm_instance *in = wm_new_instance(f->state, f->form, c);
    f->count++;
    if (in && f->like)
        in->like = &f->state->source.tensors[name];
    for (uint32_t v = 0; in && v < vars; v++) /* numbers of tensors are axes, not captures */
        if (f->form->is_axis[v])
            c[v].bound = false;
}

static void match_fill(wm_state *state, wm_form *form)
{
    const wm_line *line = form->line;
    fill_match f = {state, form, line->fill->has_like, 0};
    bool captures = false;
    for (uint32_t v = 0; v < line->var_count; v++)
        captures |= !form->is_axis[v];
    if (line->fill->has_like) {
        if (wm_names_match(state->source.index, state->unit, &line->fill->like, line->vars, line->var_count,
                           NULL, fill_instance, &f) &&
            f.count == 0 && !line->optional) {
            wm_diag *d =
                wm_error(state->unit, WM_E0401, line->fill->like.span, "no source tensor matches this name");
            wm_say_name(state->unit, d, &line->fill->like);
            wm_suggest(state, d, &line->fill->like, &state->source);
            form->failed = true;
        }
    } else if (captures && state->target.known) {
        wm_names_match(state->target.index, state->unit, &line->right[0].name, line->vars, line->var_count,
                       NULL, fill_instance, &f);
    } else if (captures) {
        wm_error(state->unit, WM_E0403, line->right[0].name.span, "nothing binds the holes of this name");
        form->failed = true;
    } else {
        fill_instance(&f, 0, NULL);
    }
}

typedef struct guard_match {
    wm_state *state;
    wm_form *form;
} guard_match;

/* A tensor that `drop ... if all` looks at; it isn't used by that. */
static void guard_instance(void *user, size_t name, const wm_capture *captures)
{
    guard_match *m = user;
    uint32_t vars = m->form->line->var_count;
    wm_capture *c = wm_new(m->state->unit->scratch, wm_capture, vars);
    if (vars && captures)
        memcpy(c, captures, vars * sizeof *c);
    wm_instance *in = wm_new_instance(m->state, m->form, c);
    if (!in)
        return;
    wm_bound *bound = &in->left[0];
    bound->count = 1;
    bound->tensors = wm_new(m->state->unit->scratch, uint32_t, 1);
    bound->tensors[0] = (uint32_t)name;
    for (uint32_t k = 0; k < m->form->left[0].copy_axis_count; k++) /* each is looked at alone */
        in->extents[m->form->left[0].copy_axes[k]] = 1;
    wm_bind_shape(m->state, in, &m->form->line->left[0], bound);
}

static void match_guard(wm_state *state, wm_form *form)
{
    const wm_line *line = form->line;
    guard_match m = {state, form};
    if (!wm_names_match(state->source.index, state->unit, &line->left[0].name, line->vars, line->var_count,
                        NULL, guard_instance, &m))
        form->failed = true;
}

#define MAX_IDLE 100 /* patterns of `drop` that are remembered for "did you mean" */

typedef struct drop_match {
    wm_state *state;
    const wm_line *line;
    const wm_pattern *pattern;
    size_t matched, used, first;
} drop_match;

static void drop_one(void *user, size_t name, const wm_capture *captures)
{
    (void)captures;
    drop_match *d = user;
    wm_side_tensor *s = &d->state->source.tensors[name];
    d->matched++;
    if (s->used && d->used++ == 0)
        d->first = name;
    s->dropped = true;
    wm_judge_drop(d->state, d->line, s->name);
}

static void match_drop(wm_state *state, const wm_line *line)
{
    drop_match m = {state, line, line->dropped, 0, 0, 0};
    wm_names_match(state->source.index, state->unit, m.pattern, line->vars, line->var_count, NULL, drop_one,
                   &m);
    if (m.matched == 0 && state->idle_count < MAX_IDLE)
        *wm_push(state->unit->arena, state->idle_drops, state->idle_count, state->idle_cap) = m.pattern;
    if (m.used == 0)
        return;
    const wm_side_tensor *s = &state->source.tensors[m.first];
    wm_diag *d = wm_error(state->unit, WM_E0521, m.pattern->span, "%s is dropped and used",
                          wm_quote(state->unit, s->name));
    wm_diag_also(state->unit, d, s->pattern->span, "used here");
    if (m.used > 1)
        wm_diag_note(state->unit, d, "and %zu more tensors", m.used - 1);
}

/* ---- lines with errors ---- */

static void excuse(void *user, size_t name, const wm_capture *captures)
{
    (void)captures;
    wm_side *side = user;
    side->tensors[name].excused = true;
}

/* The names that a pattern could match. If it can't be solved, that are those in which anything may stand in
 * its holes. */
static void excuse_names(wm_state *state, wm_side *side, const wm_line *line, const wm_pattern *pattern)
{
    wm_unit *unit = state->unit;
    if (!pattern->holes && !pattern->literal) { /* it was not understood at all */
        state->rest_unknown = true;
        return;
    }
    if (wm_names_match(side->index, unit, pattern, line->vars, line->var_count, NULL, excuse, side))
        return;
    wm_pattern loose = *pattern;
    loose.holes = wm_new(unit->scratch, wm_hole, pattern->count);
    loose.count = 0;
    for (uint32_t h = 0; h < pattern->count; h++) {
        bool text = pattern->holes[h].kind == WM_HOLE_TEXT;
        if (!text && loose.count && loose.holes[loose.count - 1].kind != WM_HOLE_TEXT)
            continue;
        loose.holes[loose.count] = pattern->holes[h];
        if (!text)
            loose.holes[loose.count] = (wm_hole){.kind = WM_HOLE_STARSTAR, .var = WM_NO_VAR};
        loose.count++;
    }
    wm_names_match(side->index, unit, &loose, line->vars, line->var_count, NULL, excuse, side);
}

/* What a line with an error could match or write is not reported as left over or missing. */
static void excuse_line(wm_state *state, const wm_line *line)
{
    wm_unit *unit = state->unit, saved = *unit;
    for (uint32_t t = 0; t < line->left_count; t++)
        excuse_names(state, &state->source, line, &line->left[t].name);
    for (uint32_t t = 0; t < line->right_count && state->target.known; t++)
        excuse_names(state, &state->target, line, &line->right[t].name);
    if (line->dropped)
        excuse_names(state, &state->source, line, line->dropped);
    unit->diags = saved.diags;
    unit->last = saved.last;
    unit->errors = saved.errors;
    unit->warnings = saved.warnings;
    if (unit->last)
        unit->last->next = NULL;
}

static wm_form *make_form(wm_state *state, const wm_line *line)
{
    wm_arena *batch = state->unit->scratch;
    state->unit->scratch = state->forms;
    wm_form *form = wm_layout_pass(state->unit, line);
    state->unit->scratch = batch;
    return form;
}

void wm_match_line(wm_state *state, const wm_line *line)
{
    wm_form *form = NULL;
    state->unit->use = wm_scope_use(line->scope);
    if (!line->poisoned && (line->kind == WM_LINE_RULE || line->kind == WM_LINE_FILL || line->all))
        form = make_form(state, line);
    if (form && !form->failed) {
        if (line->kind == WM_LINE_RULE)
            wm_match_rule(state, form);
        else if (line->kind == WM_LINE_FILL)
            match_fill(state, form);
        else
            match_guard(state, form);
    }
    if (line->poisoned || (form && form->failed)) {
        excuse_line(state, line);
        wm_lose_shared(state, line);
    }
    state->unit->use = WM_NOWHERE;
}

void wm_match_drops(wm_state *state)
{
    const wm_program *program = state->program;
    for (size_t i = 0; i < program->count; i++)
        if (program->lines[i].kind == WM_LINE_DROP && !program->lines[i].poisoned)
            match_drop(state, &program->lines[i]);
}
