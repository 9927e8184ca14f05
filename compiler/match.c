/* match.c: from lines to instances. Receives forms and the names of the source; gives, for every set of
 * captures for which source tensors exist, one instance with its tensors, and marks what is used and dropped.
 * Looks at names only, never at layouts' extents. Every name is looked at once a pattern that can match it.
 */
#include <string.h>

#include "compiler/judge.h"
#include "compiler/match.h"
#include "compiler/scope.h"

#define MAX_INSTANCES 4000000

/* What the names of one operand matched. */
typedef struct found {
    uint32_t name;
    wm_capture *captures;
    uint32_t next; /* of the same group; WM_NONE ends */
} found;

typedef struct group {
    uint32_t first, last, count; /* in founds */
} group;

typedef struct table {
    const wm_term *term;
    const wm_placement *placement;
    bool *loops; /* loop variables that its name captures */
    uint32_t loop_count;
    bool *copies; /* variables that number its copies */
    found *founds;
    size_t found_count, found_cap;
    group *groups;
    size_t group_count, group_cap;
    wm_map keys;
} table;

typedef struct matcher {
    wm_state *state;
    wm_form *form;
    const wm_line *line;
    table *tables;
    table *now;
} matcher;

static wm_arena *arena_of(const matcher *m)
{
    return m->state->unit->scratch;
}

/* ---- collecting ---- */

static void collect(void *user, size_t name, const wm_capture *captures)
{
    matcher *m = user;
    table *t = m->now;
    found *f = wm_push(arena_of(m), t->founds, t->found_count, t->found_cap);
    f->name = (uint32_t)name;
    f->next = WM_NONE;
    if (m->line->var_count) {
        f->captures = wm_new(arena_of(m), wm_capture, m->line->var_count);
        memcpy(f->captures, captures, m->line->var_count * sizeof *captures);
    }
}

/* The values of some variables as a key. */
static wm_str key_of(matcher *m, const bool *vars, const wm_capture *captures)
{
    size_t size = 0;
    for (uint32_t v = 0; v < m->line->var_count; v++)
        if (vars[v])
            size += 8 + (m->line->vars[v].text ? captures[v].s.len : 0);
    char *key = wm_alloc(arena_of(m), size);
    size_t at = 0;
    for (uint32_t v = 0; v < m->line->var_count; v++) {
        if (!vars[v])
            continue;
        bool text = m->line->vars[v].text;
        uint64_t head = text ? captures[v].s.len : (uint64_t)captures[v].i;
        memcpy(key + at, &head, 8);
        at += 8;
        if (text && head)
            memcpy(key + at, captures[v].s.p, head);
        at += text ? head : 0;
    }
    return (wm_str){key, (uint32_t)size};
}

static void make_groups(matcher *m, table *t)
{
    bool apart = t->placement->name_axis_count == 0 && t->placement->copy_axis_count == 0;
    if (m->line->left_count == 1 && (t->found_count == 1 || apart)) {
        /* Nobody looks them up, and each name has captures of its own. */
        t->groups = wm_new(arena_of(m), group, t->found_count);
        for (; t->group_count < t->found_count; t->group_count++)
            t->groups[t->group_count] = (group){(uint32_t)t->group_count, (uint32_t)t->group_count, 1};
        return;
    }
    wm_map_init(&t->keys, arena_of(m), t->found_count);
    for (size_t i = 0; i < t->found_count; i++) {
        wm_str key = t->loop_count ? key_of(m, t->loops, t->founds[i].captures) : (wm_str){"", 0};
        uint32_t g = wm_map_put(&t->keys, key.p, key.len, (uint32_t)t->group_count, NULL);
        if (g == WM_MAP_NONE) {
            group *fresh = wm_push(arena_of(m), t->groups, t->group_count, t->group_cap);
            *fresh = (group){(uint32_t)i, (uint32_t)i, 1};
        } else {
            t->founds[t->groups[g].last].next = (uint32_t)i;
            t->groups[g].last = (uint32_t)i;
            t->groups[g].count++;
        }
    }
}

/* ---- marks ---- */

static bool same_text(wm_state *state, const wm_pattern *a, const wm_pattern *b)
{
    if (a->count != b->count)
        return false;
    for (uint32_t h = 0; h < a->count; h++) {
        const wm_hole *x = &a->holes[h], *y = &b->holes[h];
        if (x->kind != y->kind || x->format != y->format || x->width != y->width)
            return false;
        if (x->kind == WM_HOLE_TEXT) {
            if (!wm_str_eq(x->text, y->text))
                return false;
        } else if (x->span.file != y->span.file) {
            return false;
        } else {
            const char *text = state->unit->sources[x->span.file]->text;
            if (!wm_str_eq((wm_str){text + x->span.beg, x->span.end - x->span.beg},
                           (wm_str){text + y->span.beg, y->span.end - y->span.beg}))
                return false;
        }
    }
    return true;
}

static void mark_used(wm_state *state, wm_instance *instance, const wm_term *term, uint32_t tensor)
{
    wm_side_tensor *s = &state->source.tensors[tensor];
    const wm_pattern *mine = &term->name;
    if (s->used && s->pattern != mine && !(s->pattern->literal && mine->literal) &&
        !same_text(state, s->pattern, mine)) {
        wm_diag *d = wm_instance_error(state, instance, WM_E0520, mine->span,
                                       "the source tensor %s is matched by competing patterns",
                                       wm_quote(state->unit, s->name));
        wm_diag_also(state->unit, d, s->pattern->span, "this pattern matches it too");
        wm_diag_hint(state->unit, d,
                     "several rules may read one tensor only by the same pattern, or by plain names");
    }
    if (!s->used) {
        s->used = true;
        s->pattern = mine;
    }
}

/* ---- instances ---- */

wm_instance *wm_new_instance(wm_state *state, wm_form *form, wm_capture *captures)
{
    wm_arena *arena = state->unit->scratch;
    if (state->instance_total >= MAX_INSTANCES) {
        if (!state->too_many)
            wm_error(state->unit, WM_E0906, form->line->span,
                     "this rule and those before it match more than %d times", MAX_INSTANCES);
        state->too_many = true;
        return NULL;
    }
    wm_instance *in = wm_new(arena, wm_instance, 1);
    in->form = form;
    in->captures = captures;
    in->left = wm_new(arena, wm_bound, form->line->left_count);
    in->right = wm_new(arena, wm_bound, form->line->right_count);
    in->extents = wm_new(arena, int64_t, form->axis_count);
    in->origins = wm_new(arena, wm_origin, form->axis_count);
    for (size_t a = 0; a < form->axis_count; a++)
        in->extents[a] = form->axes[a].fixed;
    *wm_push(arena, state->instances, state->instance_count, state->instance_cap) = in;
    state->instance_total++;
    return in;
}

/* What is no capture is an axis. */
static wm_found find_capture(void *user, wm_str name, wm_val *value)
{
    wm_found known = wm_find_capture(user, name, value);
    return known == WM_FOUND_NO ? WM_FOUND_UNKNOWN : known;
}

/* The extent that `where` or `axis` gives an axis that numbers tensors; -1 if none. */
static int64_t stated_extent(wm_state *state, const wm_form *form, const wm_capture *captures, uint32_t axis)
{
    const wm_axis *a = &form->axes[axis];
    wm_capture_hook known = {form->line->vars, form->line->var_count, captures, false};
    wm_hook hook = {find_capture, &known};
    wm_val value;
    for (const wm_binding *b = form->line->where; b; b = b->next)
        if (!b->other && b->expr && wm_str_eq(b->names->text, a->name) &&
            wm_eval(state->unit, form->line->scope, &hook, b->expr, &value) == WM_EVAL_OK &&
            value.kind == WM_VAL_INT)
            return value.i;
    if (a->shared && a->shared->items[a->item].expr &&
        wm_eval(state->unit, a->shared->scope, NULL, a->shared->items[a->item].expr, &value) == WM_EVAL_OK &&
        value.kind == WM_VAL_INT)
        return value.i;
    return -1;
}

/* "0..2, 4..7" of the values that are there */
static const char *show_runs(wm_unit *unit, const uint32_t *tensors, int64_t count)
{
    const char *text = "";
    uint32_t said = 0;
    for (int64_t i = 0; i < count && said < 8; i++) {
        if (tensors[i] == WM_NONE)
            continue;
        int64_t end = i;
        while (end + 1 < count && tensors[end + 1] != WM_NONE)
            end++;
        text = end > i ? wm_format_text(unit->arena, "%s%s%lld..%lld", text, said ? ", " : "", (long long)i,
                                        (long long)end)
                       : wm_format_text(unit->arena, "%s%s%lld", text, said ? ", " : "", (long long)i);
        said++;
        i = end;
    }
    return text;
}

static void report_gap(matcher *m, wm_instance *in, const table *t, const uint32_t *tensors, uint64_t total,
                       const int64_t *counts)
{
    wm_unit *unit = m->state->unit;
    uint64_t gap = 0;
    while (gap < total && tensors[gap] != WM_NONE)
        gap++;
    const wm_axis *axis = &m->form->axes[t->placement->name_axes[0]];
    wm_span span = t->term->name.span;
    for (uint32_t h = 0; h < t->term->name.count; h++)
        if (t->term->name.holes[h].var == axis->var)
            span = t->term->name.holes[h].span;
    const char *round = wm_instance_round(unit, in), *comma = *round ? ", for " : "";
    wm_diag *d =
        t->placement->name_axis_count == 1
            ? wm_instance_error(
                  m->state, in, WM_E0405, span, "%s numbers an axis, but its values have gaps: %s%s%s",
                  wm_quote(unit, axis->name), show_runs(unit, tensors, (int64_t)total), comma, round)
            : wm_instance_error(m->state, in, WM_E0405, span,
                                "these holes number axes, but their values have gaps%s%s", comma, round);
    wm_diag_also(unit, d, axis->span, "the axis");
    wm_capture *captures = wm_new(unit->scratch, wm_capture, m->line->var_count);
    memcpy(captures, in->captures, m->line->var_count * sizeof *captures);
    uint64_t rest = gap;
    for (uint32_t i = t->placement->name_axis_count; i-- > 0;) {
        if (counts[i] <= 0)
            return;
        uint32_t var = m->form->axes[t->placement->name_axes[i]].var;
        captures[var] = (wm_capture){.bound = true, .i = (int64_t)(rest % (uint64_t)counts[i])};
        rest /= (uint64_t)counts[i];
    }
    wm_str name;
    if (wm_name_write(unit, &t->term->name, m->line->vars, m->line->var_count, captures, &name))
        wm_diag_note(unit, d, "%s is not in the source", wm_quote(unit, name));
}

/* Puts the tensors of a group in the order of the axes that number them. */
static void bind_stack(matcher *m, wm_instance *in, const table *t, const group *g, wm_bound *bound)
{
    const wm_placement *p = t->placement;
    wm_state *state = m->state;
    int64_t *counts = wm_new(arena_of(m), int64_t, p->name_axis_count);
    bool *stated = wm_new(arena_of(m), bool, p->name_axis_count);
    uint64_t total = 1;
    for (uint32_t i = 0; i < p->name_axis_count; i++) {
        counts[i] = stated_extent(state, m->form, in->captures, p->name_axes[i]);
        stated[i] = counts[i] >= 0;
        for (uint32_t f = g->first; f != WM_NONE && !stated[i]; f = t->founds[f].next) {
            int64_t value = t->founds[f].captures[m->form->axes[p->name_axes[i]].var].i;
            counts[i] = value >= counts[i] ? (value < INT64_MAX ? value + 1 : value) : counts[i];
        }
        if (counts[i] <= 0 || __builtin_mul_overflow(total, (uint64_t)counts[i], &total) ||
            total > (uint64_t)WM_NONE)
            total = (uint64_t)WM_NONE + 1;
    }
    /* more places than tensors: there are gaps; look at no more of them than needed to name the first */
    uint64_t room = total > g->count ? (uint64_t)g->count + 1 : total;
    if (p->name_axis_count == 1 && total > room && total < 100000)
        room = total;
    bound->tensors = wm_new(arena_of(m), uint32_t, room);
    memset(bound->tensors, 0xff, room * sizeof *bound->tensors);
    uint64_t placed = 0;
    for (uint32_t f = g->first; f != WM_NONE; f = t->founds[f].next) {
        uint64_t at = 0;
        bool beyond = false;
        for (uint32_t i = 0; i < p->name_axis_count; i++) {
            int64_t value = t->founds[f].captures[m->form->axes[p->name_axes[i]].var].i;
            beyond |= value >= counts[i];
            at = at * (uint64_t)counts[i] + (uint64_t)value;
        }
        if (beyond)
            continue;
        placed++;
        if (at < room)
            bound->tensors[at] = t->founds[f].name;
    }
    if (placed < total) {
        report_gap(m, in, t, bound->tensors, room, counts);
        return;
    }
    bound->count = (uint32_t)total;
    for (uint32_t i = 0; i < p->name_axis_count; i++) {
        uint32_t axis = p->name_axes[i];
        if (in->extents[axis] >= 0 && in->extents[axis] != counts[i]) {
            wm_diag *d = wm_instance_error(state, in, WM_E0413, t->term->name.span,
                                           "%s numbers %lld tensors here, but %lld elsewhere in the rule",
                                           wm_quote(state->unit, m->form->axes[axis].name),
                                           (long long)counts[i], (long long)in->extents[axis]);
            wm_diag_also(state->unit, d, in->origins[axis].span, "%s", in->origins[axis].text);
        }
        in->extents[axis] = counts[i];
        in->origins[axis] =
            (wm_origin){.span = t->term->name.span,
                        .text = wm_format_text(arena_of(m), "%lld tensors", (long long)counts[i])};
    }
}

/* Shape and dtype of a bound operand: those of its tensors, which must agree. */
void wm_bind_shape(wm_state *state, wm_instance *in, const wm_term *term, wm_bound *bound)
{
    const wm_side_tensor *all = state->source.tensors, *first = &all[bound->tensors[0]];
    bound->known = true;
    bound->dtype = first->dtype;
    bound->rank = first->rank;
    bound->shape = first->shape;
    bound->shape_span = first->declared->shape_span;
    bound->dtype_span = first->declared->dtype_span;
    for (uint32_t i = 1; i < bound->count; i++) {
        const wm_side_tensor *s = &all[bound->tensors[i]];
        if (s->dtype == first->dtype && s->rank == first->rank &&
            (s->rank == 0 || memcmp(s->shape, first->shape, s->rank * sizeof *s->shape) == 0))
            continue;
        wm_unit *unit = state->unit;
        wm_diag *d = wm_instance_error(state, in, WM_E0506, term->name.span,
                                       "the tensors of one stack differ in shape or dtype");
        wm_diag_note(unit, d, "%s is %s, %s is %s", wm_quote(unit, first->name),
                     wm_show_type(unit, first->dtype, first->rank, first->shape), wm_quote(unit, s->name),
                     wm_show_type(unit, s->dtype, s->rank, s->shape));
        wm_diag_also(unit, d, first->declared->span, "the first");
        wm_diag_also(unit, d, s->declared->span, "declared here");
        return;
    }
}

/* The tensors of one place, without copies. */
static void bind_tensors(matcher *m, wm_instance *in, const table *t, const group *g, wm_bound *bound)
{
    if (t->placement->name_axis_count) {
        bind_stack(m, in, t, g, bound);
        /* names beyond a stated extent don't match after all */
        for (uint32_t f = g->first; f != WM_NONE && bound->count < g->count && bound->count;
             f = t->founds[f].next) {
            bool in_stack = false;
            for (uint32_t i = 0; i < bound->count && !in_stack; i++)
                in_stack = bound->tensors[i] == t->founds[f].name;
            if (!in_stack && m->state->source.tensors[t->founds[f].name].pattern == &t->term->name)
                m->state->source.tensors[t->founds[f].name].used = false;
        }
    } else {
        bound->count = 1;
        bound->tensors = wm_new(arena_of(m), uint32_t, 1);
        bound->tensors[0] = t->founds[g->first].name;
    }
    if (bound->count)
        wm_bind_shape(m->state, in, t->term, bound);
    if (bound->count && t->term->decoder && !in->failed) {
        wm_decode_bound(m->state, in, t->term, t->placement, bound);
        wm_bind_shape(m->state, in, t->term, bound);
    }
}

/* The number of sets of values that some variables have in a group. With `lots`, the group is taken apart by
 * them. */
static uint32_t count_values(matcher *m, table *t, const group *g, const bool *vars, group **lots)
{
    wm_map keys;
    size_t count = 0, cap = 0;
    group *list = NULL;
    wm_map_init(&keys, arena_of(m), g->count);
    for (uint32_t f = g->first, next; f != WM_NONE; f = next) {
        wm_str key = key_of(m, vars, t->founds[f].captures);
        uint32_t at = wm_map_put(&keys, key.p, key.len, (uint32_t)count, NULL);
        next = t->founds[f].next;
        if (at == WM_MAP_NONE) {
            *wm_push(arena_of(m), list, count, cap) = (group){f, f, 1};
        } else if (lots) {
            t->founds[list[at].last].next = f;
            list[at].last = f;
            list[at].count++;
        }
        if (lots)
            t->founds[f].next = WM_NONE;
    }
    if (lots)
        *lots = list;
    return (uint32_t)count;
}

/* An extent that names say. */
static void learn_copies(matcher *m, wm_instance *in, const table *t, uint32_t axis, int64_t count)
{
    if (in->extents[axis] >= 0 && in->extents[axis] != count) {
        wm_diag *d = wm_instance_error(m->state, in, WM_E0413, t->term->name.span,
                                       "%s numbers %lld copies here, but %lld elsewhere in the rule",
                                       wm_quote(m->state->unit, m->form->axes[axis].name), (long long)count,
                                       (long long)in->extents[axis]);
        wm_diag_also(m->state->unit, d, in->origins[axis].span, "%s", in->origins[axis].text);
    }
    in->extents[axis] = count;
    in->origins[axis] = (wm_origin){.span = t->term->name.span,
                                    .text = wm_format_text(arena_of(m), "%lld copies", (long long)count)};
}

/* `{=s}`: the first lot of tensors is read, the others are compared with it. */
static void bind_copies(matcher *m, wm_instance *in, table *t, const group *g, wm_bound *bound)
{
    bool *one = wm_new(arena_of(m), bool, m->line->var_count);
    for (uint32_t k = 0; k < t->placement->copy_axis_count; k++) {
        uint32_t axis = t->placement->copy_axes[k], var = m->form->axes[axis].var;
        one[var] = true;
        learn_copies(m, in, t, axis, count_values(m, t, g, one, NULL));
        one[var] = false;
    }
    group *lots;
    uint32_t *order = wm_new(arena_of(m), uint32_t, g->count), n = 0;
    for (uint32_t f = g->first; f != WM_NONE; f = t->founds[f].next)
        order[n++] = f;
    uint32_t count = count_values(m, t, g, t->copies, &lots);
    bind_tensors(m, in, t, &lots[0], bound);
    bound->others = wm_new(arena_of(m), uint32_t, (size_t)(count - 1) * bound->count);
    for (uint32_t k = 1; k < count && !in->failed; k++) {
        wm_bound copy = {0}, both = *bound;
        uint32_t pair[2];
        bind_tensors(m, in, t, &lots[k], &copy);
        if (in->failed || copy.count != bound->count)
            break; /* E0405, E0413 */
        both.tensors = pair;
        both.count = 2;
        pair[0] = bound->tensors[0];
        pair[1] = copy.tensors[0];
        wm_bind_shape(m->state, in, t->term, &both);
        memcpy(bound->others + (size_t)bound->copies++ * bound->count, copy.tensors,
               bound->count * sizeof *copy.tensors);
    }
    for (uint32_t k = 0; k < n; k++) /* together again, for other instances that read them */
        t->founds[order[k]].next = k + 1 < n ? order[k + 1] : WM_NONE;
}

static void bind_group(matcher *m, wm_instance *in, uint32_t term, const group *g)
{
    table *t = &m->tables[term];
    for (uint32_t f = g->first; f != WM_NONE; f = t->founds[f].next)
        mark_used(m->state, in, t->term, t->founds[f].name);
    if (t->placement->copy_axis_count)
        bind_copies(m, in, t, g, &in->left[term]);
    else
        bind_tensors(m, in, t, g, &in->left[term]);
}

/* ---- one rule ---- */

/* A name that is put together by holes, as a whole. */
void wm_say_name(wm_unit *unit, wm_diag *d, const wm_pattern *pattern)
{
    const wm_source *source = unit->sources[pattern->span.file];
    if (pattern->literal &&
        memchr(source->text + pattern->span.beg, '{', pattern->span.end - pattern->span.beg))
        d->means = wm_format_text(unit->arena, "that is %s", wm_quote(unit, pattern->text));
}

static void report_unmatched(matcher *m, const table *t)
{
    wm_diag *d = wm_error(m->state->unit, WM_E0401, t->term->name.span, "no source tensor matches this name");
    if (*m->line->round)
        d->round = m->line->round;
    wm_say_name(m->state->unit, d, &t->term->name);
    if (m->state->unmatched_count++ == 0)
        m->state->unmatched = d;
    wm_suggest(m->state, d, &t->term->name, &m->state->source);
}

static void report_missing(matcher *m, wm_instance *in, const table *t)
{
    wm_unit *unit = m->state->unit;
    wm_diag *d = wm_instance_error(m->state, in, WM_E0402, t->term->name.span,
                                   "this operand is missing where others of the rule exist");
    wm_str name;
    if (t->placement->name_axis_count == 0 &&
        wm_name_write(unit, &t->term->name, m->line->vars, m->line->var_count, in->captures, &name))
        wm_diag_note(unit, d, "%s is not in the source", wm_quote(unit, name));
    for (uint32_t o = 0; o < m->line->left_count; o++)
        if (in->left[o].count) {
            wm_diag_also(unit, d, m->line->left[o].name.span, "matches %s",
                         wm_quote(unit, m->state->source.tensors[in->left[o].tensors[0]].name));
            break;
        }
}

static void find_loops(matcher *m, table *t);

typedef struct loop_visit {
    matcher *m;
    table *t;
} loop_visit;

static void visit_loop(void *user, const wm_word *word)
{
    loop_visit *l = user;
    for (uint32_t v = 0; v < l->m->line->var_count; v++)
        if (wm_str_eq(l->m->line->vars[v].name, word->text) && !l->m->form->is_axis[v] && !l->t->loops[v]) {
            l->t->loops[v] = true;
            l->t->loop_count++;
        }
}

static void find_loops(matcher *m, table *t)
{
    t->loops = wm_new(arena_of(m), bool, m->line->var_count);
    t->copies = wm_new(arena_of(m), bool, m->line->var_count);
    const wm_pattern *name = &t->term->name;
    for (uint32_t h = 0; h < name->count; h++) {
        const wm_hole *hole = &name->holes[h];
        loop_visit l = {m, t};
        if (hole->equal && hole->var != WM_NO_VAR)
            t->copies[hole->var] = true;
        if (hole->kind == WM_HOLE_VALUE && hole->expr)
            wm_free_names(name->scope, hole->expr, visit_loop, &l);
        if (hole->var != WM_NO_VAR && !m->form->is_axis[hole->var] && !t->loops[hole->var]) {
            t->loops[hole->var] = true;
            t->loop_count++;
        }
    }
}

static wm_capture *loop_captures(matcher *m, const table *t, const found *f, const wm_capture *with)
{
    wm_capture *c = wm_new(arena_of(m), wm_capture, m->line->var_count);
    for (uint32_t v = 0; v < m->line->var_count; v++) {
        if (with && with[v].bound)
            c[v] = with[v];
        else if (t->loops[v])
            c[v] = f->captures[v];
    }
    return c;
}

/* Binds the other operands of an instance that table `lead` began. */
static void complete(matcher *m, wm_instance *in, uint32_t lead, const group *g)
{
    bind_group(m, in, lead, g);
    for (uint32_t t = 0; t < m->line->left_count; t++) {
        table *other = &m->tables[t];
        if (t == lead)
            continue;
        wm_str key = other->loop_count ? key_of(m, other->loops, in->captures) : (wm_str){"", 0};
        uint32_t at = wm_map_get(&other->keys, key.p, key.len);
        if (at != WM_MAP_NONE)
            bind_group(m, in, t, &other->groups[at]);
        else if (other->term->optional)
            in->left[t].absent = true;
        else
            report_missing(m, in, other);
    }
}

/* No operand has all loop variables: every combination of the groups that agree. */
static void combine(matcher *m, uint32_t t, wm_capture *captures)
{
    if (t == m->line->left_count) {
        wm_instance *in = wm_new_instance(m->state, m->form, captures);
        if (!in)
            return;
        for (uint32_t o = 0; o < m->line->left_count; o++) {
            wm_str key = key_of(m, m->tables[o].loops, captures);
            uint32_t at = wm_map_get(&m->tables[o].keys, key.p, key.len);
            in->left[o].absent = at == WM_MAP_NONE;
            if (at != WM_MAP_NONE)
                bind_group(m, in, o, &m->tables[o].groups[at]);
        }
        return;
    }
    table *now = &m->tables[t];
    if (now->term->optional) { /* it is there or not, but makes no instance */
        combine(m, t + 1, captures);
        return;
    }
    for (size_t g = 0; g < now->group_count && m->state->instance_total <= MAX_INSTANCES; g++) {
        const found *f = &now->founds[now->groups[g].first];
        bool agrees = true;
        for (uint32_t v = 0; v < m->line->var_count && agrees; v++)
            if (now->loops[v] && captures && captures[v].bound)
                agrees = captures[v].i == f->captures[v].i && wm_str_eq(captures[v].s, f->captures[v].s);
        if (agrees)
            combine(m, t + 1, loop_captures(m, now, f, captures));
    }
}

/* One line may have as many instances as the source has names. Those that share an axis are solved together.
 */
static void make_way(const matcher *m)
{
    if (arena_of(m)->used >= WM_BATCH && !m->line->axes)
        wm_finish_batch(m->state);
}

/* Instances that another operand with all loop variables has and the leading one lacks. */
static void find_missing(matcher *m, uint32_t lead, uint32_t all)
{
    table *first = &m->tables[lead];
    for (uint32_t t = 0; t < m->line->left_count; t++) {
        table *other = &m->tables[t];
        if (t == lead || other->loop_count != all)
            continue;
        for (size_t g = 0; g < other->group_count; g++) {
            const found *f = &other->founds[other->groups[g].first];
            wm_str key = all ? key_of(m, other->loops, f->captures) : (wm_str){"", 0};
            if (wm_map_get(&first->keys, key.p, key.len) != WM_MAP_NONE)
                continue;
            make_way(m);
            wm_instance *in = wm_new_instance(m->state, m->form, loop_captures(m, other, f, NULL));
            if (!in)
                return;
            bind_group(m, in, t, &other->groups[g]);
            report_missing(m, in, first);
        }
    }
}

/* E0403: a copy that may be absent binds no variable alone. */
static bool optional_bound(matcher *m)
{
    for (uint32_t t = 0; t < m->line->left_count; t++)
        for (uint32_t v = 0; v < m->line->var_count && m->line->left[t].optional; v++) {
            bool bound = !m->tables[t].loops[v];
            for (uint32_t o = 0; o < m->line->left_count && !bound; o++)
                bound = m->tables[o].loops[v] && !m->line->left[o].optional;
            if (bound)
                continue;
            wm_error(m->state->unit, WM_E0403, m->line->left[t].name.span,
                     "nothing gives %s a value where this copy is absent",
                     wm_quote(m->state->unit, m->line->vars[v].name));
            return false;
        }
    return true;
}

void wm_match_rule(wm_state *state, wm_form *form)
{
    matcher m = {state, form, form->line, NULL, NULL};
    const wm_line *line = form->line;
    bool *loops = wm_new(state->unit->scratch, bool, line->var_count);
    uint32_t all = 0, matched = 0;
    bool failed = false;
    wm_arena *batch = state->unit->scratch;
    state->unit->scratch = state->forms; /* what was found outlives the batches that it is made into */
    m.tables = wm_new(state->unit->scratch, table, line->left_count);
    for (uint32_t t = 0; t < line->left_count; t++) {
        table *now = m.now = &m.tables[t];
        now->term = &line->left[t];
        now->placement = &form->left[t];
        find_loops(&m, now);
        for (uint32_t v = 0; v < line->var_count; v++)
            if (now->loops[v] && !loops[v]) {
                loops[v] = true;
                all++;
            }
        failed |= !wm_names_match(state->source.index, state->unit, &now->term->name, line->vars,
                                  line->var_count, NULL, collect, &m);
        make_groups(&m, now);
        matched += now->found_count > 0;
    }
    state->unit->scratch = batch;
    if (failed || (line->optional && matched == 0)) {
        form->failed |= failed;
        return;
    }
    failed = !optional_bound(&m);
    form->failed |= failed;
    for (uint32_t t = 0; t < line->left_count && !failed; t++)
        if (m.tables[t].found_count == 0 && !line->left[t].optional) {
            if (matched == 0 ||
                m.tables[t].loop_count == 0) /* else it is missing for every instance: said below */
                report_unmatched(&m, &m.tables[t]);
            form->failed |= matched == 0 || m.tables[t].loop_count == 0;
        }
    if (form->failed) {
        for (uint32_t t = 0; t < line->left_count; t++)
            for (size_t f = 0; f < m.tables[t].found_count; f++)
                state->source.tensors[m.tables[t].founds[f].name].excused = true;
        return;
    }
    uint32_t lead = 0;
    while (lead < line->left_count &&
           (m.tables[lead].loop_count != all || m.tables[lead].found_count == 0 || line->left[lead].optional))
        lead++;
    if (lead == line->left_count) {
        for (uint32_t t = 0; t < line->left_count; t++)
            if (m.tables[t].found_count == 0 && !line->left[t].optional) {
                report_unmatched(&m, &m.tables[t]);
                form->failed = true;
            }
        if (!form->failed)
            combine(&m, 0, NULL);
        return;
    }
    for (size_t g = 0; g < m.tables[lead].group_count; g++) {
        const found *f = &m.tables[lead].founds[m.tables[lead].groups[g].first];
        make_way(&m);
        wm_instance *in = wm_new_instance(state, form, loop_captures(&m, &m.tables[lead], f, NULL));
        if (!in)
            return;
        complete(&m, in, lead, &m.tables[lead].groups[g]);
    }
    find_missing(&m, lead, all);
}
