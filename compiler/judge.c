/* judge.c: can a map run back, and does that give the same bits? A map that compiles is compiled once more in
 * the other direction, against the headers that it gives (compile.c). While that goes on, this file compares
 * the instances of both directions (E0705), and notes what rounds, what is left behind, and what nobody can
 * prove. One hash an instance; no two rules are compared. */
#include "compiler/judge.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/eval.h"
#include "compiler/scope.h"
#include "runtime/base/dtype.h"

/* An instance of a rule (or a tensor of a fill) that takes part in both directions. */
typedef struct match {
    const wm_line *line;
    wm_str name; /* of what it writes, as the first direction calls it */
    const char *round;
    bool met; /* by the other direction */
} match;

typedef struct remark {
    wm_span span;
    wmap_reversal verdict; /* with it alone */
    const char *text;
} remark;

struct wm_judge {
    wm_unit *unit;
    const wm_state *first; /* the state of the first direction, NULL if this is it */
    wm_judge *of_first;
    wm_map known;
    match *matches;
    size_t count, cap;
    wm_map said;
    remark *remarks;
    size_t remark_count, remark_cap;
    wmap_reversal verdict;
    size_t errors; /* of the unit, before */
};

wm_judge *wm_judge_new(wm_unit *unit, const wm_state *first)
{
    wm_judge *j = wm_new(unit->arena, wm_judge, 1);
    *j = (wm_judge){.unit = unit, .first = first, .of_first = first ? first->judge : NULL};
    j->verdict = WMAP_REVERSAL_EXACT;
    j->errors = unit->errors;
    wm_map_init(&j->known, unit->arena, 0);
    wm_map_init(&j->said, unit->arena, 0);
    return j;
}

bool wm_judges_only(const wm_state *state)
{
    return state->judge && state->judge->first;
}

/* ---- remarks ---- */

static void say(wm_judge *j, wm_span span, wmap_reversal verdict, const char *text)
{
    if (verdict > j->verdict)
        j->verdict = verdict;
    uint32_t key[2] = {span.file, span.beg};
    if (wm_map_get(&j->said, key, sizeof key) != WM_MAP_NONE)
        return;
    uint32_t *kept = wm_new(j->unit->arena, uint32_t, 2);
    memcpy(kept, key, sizeof key);
    wm_map_put(&j->said, kept, sizeof key, (uint32_t)j->remark_count, NULL);
    *wm_push(j->unit->arena, j->remarks, j->remark_count, j->remark_cap) = (remark){span, verdict, text};
}

/* A piece of the spec between backquotes. */
static const char *spec_text(wm_judge *j, wm_span span)
{
    const wm_source *source = j->unit->sources[span.file];
    return wm_quote(j->unit, (wm_str){source->text + span.beg, span.end - span.beg});
}

/* ---- dtypes ---- */

/* Bits of a whole number's magnitude, or of a float's significand. */
static uint32_t digits_of(wmap_dtype dtype)
{
    switch (dtype) {
    case WMAP_F64:
        return 53;
    case WMAP_F32:
        return 24;
    case WMAP_F16:
        return 11;
    case WMAP_BF16:
        return 8;
    case WMAP_F8_E4M3:
        return 4;
    case WMAP_F8_E5M2:
        return 3;
    default:
        break;
    }
    const wm_dtype_info *info = wm_dtype(dtype);
    return info->kind == WM_KIND_BOOL ? 1 : 8 * info->size - (info->kind == WM_KIND_INT);
}

/* The exponent from which on a float is infinite, or which is no value of it. */
static uint32_t range_of(wmap_dtype dtype)
{
    return dtype == WMAP_F8_E4M3                        ? 9
           : dtype == WMAP_F16 || dtype == WMAP_F8_E5M2 ? 16
           : dtype == WMAP_BF16 || dtype == WMAP_F32    ? 128
                                                        : 1024;
}

bool wm_dtype_covers(wmap_dtype wide, wmap_dtype narrow)
{
    const wm_dtype_info *a = wm_dtype(wide), *b = wm_dtype(narrow);
    if (wide == narrow)
        return true;
    if (!a || !b || !wm_cast_exists(narrow, wide))
        return false;
    if (a->kind == WM_KIND_COMPLEX)
        return wide == WMAP_C128;
    if (a->kind == WM_KIND_BOOL || (a->kind != WM_KIND_FLOAT && b->kind == WM_KIND_FLOAT) ||
        (a->kind == WM_KIND_UINT && b->kind == WM_KIND_INT))
        return false;
    if (a->kind == WM_KIND_FLOAT && b->kind == WM_KIND_FLOAT)
        /* infinity has no place in the one dtype without it, which no other float fits into */
        return digits_of(wide) >= digits_of(narrow) && range_of(wide) >= range_of(narrow) &&
               wide != WMAP_F8_E4M3;
    /* the lowest integer is a power of two, which every float holds that holds the others */
    return digits_of(wide) >= digits_of(narrow) &&
           (a->kind != WM_KIND_FLOAT || range_of(wide) >= digits_of(narrow));
}

/* ---- operations ---- */

static bool power_of_two(double c)
{
    int exponent;
    return isfinite(c) && c != 0 && fabs(frexp(c, &exponent)) == 0.5;
}

/* What the forward step behind an inverse one loses. `dtype` is the one that it worked in. */
static void judge_step(wm_judge *j, wm_state *state, wm_instance *in, const wm_step *s, wmap_dtype dtype)
{
    const wm_dtype_info *info = wm_dtype(dtype);
    bool whole = info && (info->kind == WM_KIND_INT || info->kind == WM_KIND_UINT);
    const char *text = spec_text(j, s->span);
    wm_val c = {0};
    switch (s->kind) {
    case WM_STEP_NEG:
    case WM_STEP_LOAD:
    case WM_STEP_CAST:
    case WM_STEP_BITCAST:
        return;
    case WM_STEP_ADD:
    case WM_STEP_SUB:
        if (whole)
            return;
        break;
    case WM_STEP_MUL:
    case WM_STEP_DIV: {
        if (!wm_step_constant(state, in, s, &c))
            break;
        double x = c.kind == WM_VAL_INT ? (double)c.i : c.f;
        if (fabs(x) == 1)
            return;
        if (!power_of_two(x))
            break;
        say(j, s->span, WMAP_REVERSAL_UNLESS,
            wm_format_text(j->unit->arena, "%s is exact unless it over- or underflows", text));
        return;
    }
    case WM_STEP_EXP:
    case WM_STEP_LOG:
    case WM_STEP_SQRT:
    case WM_STEP_RSQRT:
    case WM_STEP_POW:
        break;
    }
    say(j, s->span, WMAP_REVERSAL_ROUNDS, wm_format_text(j->unit->arena, "%s rounds", text));
}

static void judge_cast(wm_judge *j, wm_span span, wmap_dtype from, wmap_dtype to)
{
    if (!wm_dtype_covers(to, from))
        say(j, span, WMAP_REVERSAL_ROUNDS,
            wm_format_text(j->unit->arena, "%s loses digits: %s does not hold every %s", spec_text(j, span),
                           wmap_dtype_name(to), wmap_dtype_name(from)));
}

/* Of a turned rule: what its operations did in the other direction. */
static void judge_values(wm_judge *j, wm_state *state, wm_instance *in, uint32_t target)
{
    const wm_form *f = in->form;
    const wm_line *line = f->line;
    size_t at = 0;
    while (at < f->target_count && (f->targets[at].term != target || f->targets[at].unnamed))
        at++;
    if (at == f->target_count || in->right[target].absent)
        return;
    uint32_t source = f->sources[f->targets[at].pair].term;
    wmap_dtype dtype = in->left[source].dtype;
    const wm_steps *steps = line->right[target].steps;
    const wm_cast *all = wm_free_cast(state, in, source, target, dtype);
    if (all) {
        judge_cast(j, all->span, all->to, dtype);
        dtype = all->to;
    }
    for (uint32_t k = 0; steps && k < steps->count; k++) {
        const wm_step *s = &steps->list[k];
        judge_step(j, state, in, s, dtype);
        if (s->kind != WM_STEP_CAST && s->kind != WM_STEP_BITCAST)
            continue;
        wmap_dtype before = s->cast.to != WMAP_DTYPE_NONE ? s->cast.to : in->right[target].dtype;
        if (s->kind == WM_STEP_CAST)
            judge_cast(j, s->span, before, dtype);
        dtype = before;
    }
}

/* ---- instances ---- */

static void add_name(wm_buffer *key, wm_str name)
{
    wm_buffer_add(key, (const char *)&name.len, sizeof name.len);
    wm_buffer_add(key, name.p, name.len);
}

static void add_line(wm_buffer *key, wm_span span)
{
    wm_buffer_add(key, (const char *)&span.file, sizeof span.file);
    wm_buffer_add(key, (const char *)&span.beg, sizeof span.beg);
}

static int by_name(const void *a, const void *b)
{
    const wm_str *x = a, *y = b;
    int order = memcmp(x->p, y->p, x->len < y->len ? x->len : y->len);
    return order ? order : (x->len > y->len) - (x->len < y->len);
}

/* An operand that is read, or written, by its names; absent copies are in neither direction. Copies of `{=s}`
 * stand apart where they are read, so the order is that of the names. */
static void add_operand(const wm_state *state, wm_buffer *key, const wm_bound *b, bool read)
{
    uint64_t count = b->absent ? 0 : b->count, more = read && count ? (uint64_t)b->copies * count : 0;
    wm_str *names = wm_new(state->unit->scratch, wm_str, count + more);
    for (uint64_t k = 0; k < count + more; k++) {
        const wm_side_tensor *t =
            read ? &state->source.tensors[k < count ? b->tensors[k] : b->others[k - count]] : NULL;
        names[k] = read ? (t->called.len ? t->called : t->name) : b->names[k];
    }
    if (count + more > 1)
        qsort(names, count + more, sizeof *names, by_name);
    for (uint64_t k = 0; k < count + more; k++)
        add_name(key, names[k]);
}

/* Which tensors an instance relates, the same in both directions. */
static wm_str key_of(const wm_state *state, const wm_instance *in)
{
    const wm_line *line = in->form->line;
    wm_buffer key = {.arena = state->unit->scratch};
    add_line(&key, line->span);
    for (int side = 0; side < 2; side++) {
        bool read = (side == 0) != line->turned;
        uint32_t count = read ? line->left_count : line->right_count;
        for (uint32_t t = 0; t < count; t++)
            add_operand(state, &key, read ? &in->left[t] : &in->right[t], read);
    }
    return (wm_str){key.text, (uint32_t)key.len};
}

static wm_str fill_key(const wm_state *state, wm_span span, wm_str name)
{
    wm_buffer key = {.arena = state->unit->scratch};
    add_line(&key, span);
    add_name(&key, name);
    return (wm_str){key.text, (uint32_t)key.len};
}

static void note_match(wm_judge *j, wm_str key, const wm_line *line, wm_str name, const char *round)
{
    wm_arena *arena = j->unit->arena;
    if (wm_map_get(&j->known, key.p, key.len) != WM_MAP_NONE)
        return;
    wm_map_put(&j->known, wm_copy(arena, key.p, key.len), key.len, (uint32_t)j->count, NULL);
    *wm_push(arena, j->matches, j->count, j->cap) = (match){line, name, round, false};
}

typedef struct own_name {
    bool found;
} own_name;

static void find_own(void *user, size_t name, const wm_capture *captures)
{
    (void)name;
    (void)captures;
    ((own_name *)user)->found = true;
}

/* A tensor that a rule found by its alias is known by that. */
static void note_aliases(wm_judge *j, wm_state *state, wm_instance *in)
{
    const wm_line *line = in->form->line;
    const wm_side *side = &state->source;
    for (uint32_t t = 0; side->aliases && t < line->left_count; t++)
        for (uint32_t k = 0; k < in->left[t].count; k++) {
            uint32_t at = in->left[t].tensors[k];
            own_name own = {false};
            if (at >= side->count || side->aliases[at].len == 0 || side->tensors[at].called.len)
                continue;
            wm_names *one = wm_names_index(j->unit, &side->names[at], 1);
            wm_names_match(one, j->unit, &line->left[t].name, line->vars, line->var_count, in->captures,
                           find_own, &own);
            side->tensors[at].called = own.found ? side->names[at] : side->aliases[at];
        }
}

static bool meet(wm_judge *j, wm_str key)
{
    uint32_t at = wm_map_get(&j->of_first->known, key.p, key.len);
    if (at == WM_MAP_NONE)
        return false;
    j->of_first->matches[at].met = true;
    return true;
}

static void say_writer(wm_judge *j, wm_diag *d, wm_str name)
{
    uint32_t at = wm_map_get(&j->first->out_names, name.p, name.len);
    if (at != WM_MAP_NONE)
        wm_diag_also(j->unit, d, j->first->outs[at].span, "this one writes it");
}

static const char other_instances[] = "turned around, this rule matches %s, which it did not write";

static void judge_instance(wm_judge *j, wm_state *state, wm_instance *in)
{
    const wm_line *line = in->form->line;
    if (!line->both_ways || !line->right_count)
        return;
    uint32_t t = 0;
    while (t < line->right_count && (in->right[t].absent || in->right[t].count == 0))
        t++;
    if (t == line->right_count) /* numbered by an axis of no length: it writes nothing that could come back */
        return;
    wm_str name = in->right[t].names[0];
    if (!j->first)
        note_aliases(j, state, in);
    if (line->kind == WM_LINE_FILL) {
        for (t = 0; t < line->right_count; t++)
            for (uint32_t k = 0; k < in->right[t].count && !j->first; k++)
                note_match(j, fill_key(state, line->right[t].name.span, in->right[t].names[k]), line,
                           in->right[t].names[k], NULL);
        return;
    }
    wm_str key = key_of(state, in);
    if (!j->first) {
        note_match(j, key, line, name, wm_instance_round(j->unit, in));
        return;
    }
    if (meet(j, key))
        return;
    wm_str read = in->left[0].count ? state->source.names[in->left[0].tensors[0]] : name;
    wm_diag *d = wm_instance_error(state, in, WM_E0705, line->left[0].name.span, other_instances,
                                   wm_quote(j->unit, read));
    say_writer(j, d, read);
    state->rest_unknown = true; /* what this rule takes from another one is missing there */
    wm_diag_hint(j->unit, d, "give it names that no other statement writes, or put it into `forward { }`");
}

void wm_judge_instances(wm_state *state)
{
    for (size_t n = 0; state->judge && n < state->instance_count; n++)
        if (!state->instances[n]->failed)
            judge_instance(state->judge, state, state->instances[n]);
}

/* A derived rule relates the same two places in both directions; what it does to their values, or makes of
 * nothing where something was, is another thing. */
static bool computes(const wm_line *line)
{
    bool any = line->kind == WM_LINE_FILL;
    for (uint32_t t = 0; t < line->left_count; t++)
        any |= line->left[t].steps || line->left[t].cast;
    for (uint32_t t = 0; t < line->right_count; t++)
        any |= line->right[t].steps != NULL;
    return any;
}

void wm_judge_batch(wm_state *state)
{
    wm_judge *j = state->judge;
    for (size_t n = 0; j && n < state->instance_count; n++) {
        wm_instance *in = state->instances[n];
        const wm_line *line = in->form->line;
        if (in->failed)
            continue;
        if (line->derived && computes(line) && (state->reverse || line->kind != WM_LINE_FILL))
            say(j, line->span, WMAP_REVERSAL_ROUNDS,
                "what is computed here is not proven to be undone in reverse");
        if (!state->reverse)
            continue;
        if (!line->both_ways && !line->derived)
            say(j, line->span, WMAP_REVERSAL_ROUNDS,
                "that this gives back what was there is not proven: it stands in `reverse { }`");
        for (uint32_t t = 0; line->turned && t < line->right_count; t++)
            judge_values(j, state, in, t);
    }
}

void wm_judge_drop(wm_state *state, const wm_line *line, wm_str name)
{
    wm_judge *j = state->judge;
    if (!j)
        return;
    if (!j->first && !line->turned) {
        say(j, line->dropped->span, WMAP_REVERSAL_ROUNDS, "what is left behind here does not come back");
    } else if (j->first && line->turned && !meet(j, fill_key(state, line->dropped->span, name))) {
        wm_diag *d =
            wm_error(j->unit, WM_E0705, line->dropped->span, other_instances, wm_quote(j->unit, name));
        say_writer(j, d, name);
    }
}

/* Kept tensors that the map casts; instances that the other direction lacks; what was lost. */
static void judge_rest(wm_judge *j, wm_state *state)
{
    for (size_t i = 0; state->reverse && i < state->out_count; i++) {
        const wm_out *out = &state->outs[i];
        const wm_cast *all = out->kept != WM_NONE
                                 ? wm_map_cast(state, state->source.tensors[out->kept].dtype, out->dtype)
                                 : NULL;
        if (all && all->to == out->dtype)
            judge_cast(j, all->span, all->to, all->from);
    }
    for (size_t i = 0; i < state->program->lost_count; i++) {
        const wm_line *drop = &state->program->lost[i];
        if (drop->dropped && !j->first)
            say(j, drop->dropped->span, WMAP_REVERSAL_ROUNDS, "what is left behind here does not come back");
    }
}

void wm_judge_rest(wm_state *state)
{
    wm_judge *j = state->judge;
    if (!j)
        return;
    judge_rest(j, state);
    for (size_t i = 0; j->first && state->unit->errors == j->errors && i < j->of_first->count; i++) {
        const match *m = &j->of_first->matches[i];
        if (m->met)
            continue;
        wm_diag *d = wm_error(j->unit, WM_E0705, m->line->span, "turned around, this does not match %s",
                              wm_quote(j->unit, m->name));
        d->round = m->round && *m->round ? m->round : NULL;
    }
}

/* ---- the verdict ---- */

wmap_reversal wm_judge_verdict(const wm_state *state)
{
    wm_judge *j = state->judge;
    wm_unit *unit = j->unit;
    wmap_reversal verdict = j->verdict > j->of_first->verdict ? j->verdict : j->of_first->verdict;
    for (int which = 0; which < 2; which++) {
        const wm_judge *from = which ? j : j->of_first;
        for (size_t i = 0; i < from->remark_count; i++)
            wm_warn(unit, WM_DIAG_NONE, from->remarks[i].span, "%s", from->remarks[i].text)->minor =
                from->remarks[i].verdict == WMAP_REVERSAL_UNLESS;
    }
    return verdict;
}
