/* prove.c: what must hold before a byte is moved. Receives instances with all extents; gives the target
 * tensors, in the order in which they are written. A layout is injective by form, so it reaches everything
 * iff the extents of its pieces add up to the tensor's size: proofs are sums over pieces, never over
 * elements, and no two rules are compared. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/pass.h"

#define LAYOUT_SHOWN 60 /* bytes of a layout that a hint repeats */
#include "runtime/base/dtype.h"
#include "runtime/base/size.h"

#define MAX_LISTED  10
#define MAX_DROPPED 3 /* patterns of a hint */

typedef struct prover {
    wm_state *state;
    wm_unit *unit;
} prover;

/* ---- coverage ---- */

static bool piece_size(const wm_instance *in, const wm_piece *piece, bool dots, uint64_t *size)
{
    *size = 1;
    for (uint32_t a = 0; a < piece->axis_count; a++)
        if (!wm_size_mul(*size, (uint64_t)in->extents[piece->axes[a]], size))
            return false;
    for (uint32_t a = 0; a < piece->equal_count; a++)
        if (!wm_size_mul(*size, (uint64_t)in->extents[piece->equals[a]], size))
            return false;
    for (uint32_t k = 0; dots && k < in->dots; k++)
        if (!wm_size_mul(*size, (uint64_t)in->extents[wm_dot_axis(in->form, k)], size))
            return false;
    return true;
}

static bool narrowed(const wm_instance *in, const wm_piece *piece)
{
    uint64_t size;
    return piece->twice && piece_size(in, piece, true, &size) && size > 1;
}

static bool is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* Where a name stands in a layout's text as an axis, not as a label; `len` if nowhere. */
static uint32_t find_axis(const char *text, uint32_t len, wm_str name)
{
    uint32_t labels = 0;
    for (uint32_t at = 0; at < len;) {
        uint32_t end = at;
        while (end < len && is_name(text[end]))
            end++;
        if (labels == 0 && wm_str_eq((wm_str){text + at, end - at}, name))
            return at;
        labels += text[at] == '{';
        labels -= text[at] == '}' && labels;
        at = end > at ? end : at + 1;
    }
    return len;
}

/* One name for two dimensions that are merely of one size: the layout with another name for the first. */
static void hint_two_names(prover *p, wm_diag *d, const wm_term *term, wm_str axis)
{
    static const char *const others[] = {"m", "k", "r"};
    const wm_span at = term->layout->span;
    const char *text = term->layout_given ? p->unit->sources[at.file]->text + at.beg : "";
    uint32_t len = term->layout_given ? at.end - at.beg : 0, place = find_axis(text, len, axis);
    const char *other = NULL;
    for (size_t k = 0; k < sizeof others / sizeof *others && !other; k++)
        if (find_axis(text, len, (wm_str){others[k], 1}) == len)
            other = others[k];
    if (place == len || *text != '[' || len > LAYOUT_SHOWN || !other)
        wm_diag_hint(p->unit, d, "two axes that merely have one size need two names, tied by `where`");
    else
        wm_diag_hint(p->unit, d,
                     "two axes that merely have one size need two names: `%.*s%s%.*s` with `where %s=%.*s`",
                     (int)place, text, other, (int)(len - place - axis.len), text + place + axis.len, other,
                     (int)axis.len, axis.p);
}

static void report_uncovered(prover *p, wm_instance *in, const wm_placement *pl, const wm_bound *bound,
                             bool left, uint64_t covered, uint64_t size)
{
    wm_unit *u = p->unit;
    wm_str name = left ? p->state->source.names[bound->tensors[0]] : bound->names[0];
    const wm_form *f = in->form;
    const wm_piece *pieces = left ? f->sources : f->targets;
    size_t count = left ? f->source_count : f->target_count;
    const wm_piece *twice = NULL;
    for (size_t i = 0; i < count; i++)
        if ((left ? &f->left[pieces[i].term] : &f->right[pieces[i].term]) == pl && pieces[i].twice)
            twice = &pieces[i];
    uint64_t row = bound->rank && bound->shape[0] ? size / bound->count / bound->shape[0] : 0;
    bool rows = !twice && bound->count == 1 && row && covered % row == 0 && bound->rank > 1;
    wm_diag *d = wm_instance_error(p->state, in, WM_E0513,
                                   pl->term->layout_given ? pl->term->layout->span : pl->term->span,
                                   "the layout reaches %llu of %llu %s of the %s %s",
                                   (unsigned long long)(rows ? covered / row : covered),
                                   (unsigned long long)(rows ? bound->shape[0] : size),
                                   rows ? "rows" : "elements", left ? "source" : "target", wm_quote(u, name));
    if (twice) {
        uint32_t axis = WM_NONE;
        for (uint32_t a = 0; a < twice->axis_count && axis == WM_NONE; a++) {
            int64_t start = 0, *coef = wm_new(u->scratch, int64_t, f->axis_count + in->dots);
            uint32_t dims = 0;
            for (uint32_t k = 0; k < pl->dim_count; k++) {
                memset(coef, 0, (f->axis_count + in->dots) * sizeof *coef);
                wm_node_position(in, &pl->dims[k], twice->choice, &start, coef);
                dims += coef[twice->axes[a]] != 0;
            }
            if (dims > 1)
                axis = twice->axes[a];
        }
        if (axis != WM_NONE) {
            const char *shown = wm_quote(u, f->axes[axis].name);
            wm_diag_label(u, d, "axis %s in two dimensions: only their diagonal", shown);
            hint_two_names(p, d, pl->term, f->axes[axis].name);
        }
    } else if (!left) {
        const wm_term *term = pl->term;
        const wm_span at = term->layout->span;
        const char *text = term->layout_given ? u->sources[at.file]->text + at.beg : "";
        if (*text == '[' && at.end - at.beg <= LAYOUT_SHOWN) /* not a verb's */
            wm_diag_hint(u, d, "say what the others are, as in `%.*s else 0`", (int)(at.end - at.beg), text);
        else
            wm_diag_hint(u, d, "say what the others are, as in `... else 0` after the layout");
    }
    wm_note_tensors(p->state, in, d);
}

static void check_coverage(prover *p, wm_instance *in, uint32_t term, bool left)
{
    const wm_form *f = in->form;
    const wm_placement *pl = left ? &f->left[term] : &f->right[term];
    const wm_bound *bound = left ? &in->left[term] : &in->right[term];
    const wm_piece *pieces = left ? f->sources : f->targets;
    size_t count = left ? f->source_count : f->target_count;
    if (bound->absent || in->failed)
        return;
    uint64_t size, covered = 0, part;
    bool narrow = false;
    if (!wm_shape_count(bound->shape, bound->rank, &size) || !wm_size_mul(size, bound->count, &size)) {
        wm_instance_error(p->state, in, WM_E0905, pl->term->span, "this tensor has 2^63 elements or more");
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (pieces[i].term != term || pieces[i].unnamed)
            continue;
        if (!piece_size(in, &pieces[i], pl->dots != WM_NONE, &part) || !wm_size_add(covered, part, &covered))
            covered = 0; /* can't be: pieces are disjoint parts of the tensor */
        narrow |= narrowed(in, &pieces[i]);
    }
    bool whole = left && pl->unnamed ? !narrow : covered == size;
    if (!whole && !pl->term->otherwise)
        report_uncovered(p, in, pl, bound, left, covered, size);
}

/* ---- dtypes ---- */

const wm_cast *wm_map_cast(const wm_state *state, wmap_dtype from, wmap_dtype declared)
{
    for (size_t c = 0; c < state->cast_count; c++) {
        const wm_cast *cast = &state->casts[c];
        if (cast->from == from && (!cast->back || declared == WMAP_DTYPE_NONE || declared == cast->to))
            return cast;
    }
    return NULL;
}

static void dtype_differs(prover *p, wm_instance *in, const wm_term *term, const wm_bound *bound,
                          wmap_dtype gives)
{
    wm_unit *u = p->unit;
    wm_diag *d = wm_instance_error(p->state, in, WM_E0601, term->name.span,
                                   "%s is %s in the target, the rule gives %s", wm_quote(u, bound->names[0]),
                                   wmap_dtype_name(bound->dtype), wmap_dtype_name(gives));
    if (bound->dtype_span.file != WM_NO_FILE)
        wm_diag_also(u, d, bound->dtype_span, "declared here");
    if (in->form->line->left_count == 1 && !in->form->line->turned && wm_cast_exists(gives, bound->dtype)) {
        const wm_span s = in->form->line->left[0].span, t = term->name.span;
        const char *text = p->unit->sources[s.file]->text;
        bool alone = in->form->line->right_count == 1;
        wm_diag_hint(u, d, "`%.*s | cast %s -> %.*s`", (int)(s.end - s.beg), text + s.beg,
                     wmap_dtype_name(bound->dtype), alone ? (int)(t.end - t.beg) : 3,
                     alone ? u->sources[t.file]->text + t.beg : "...");
        if (alone)
            wm_diag_fix(u, d, (wm_span){s.file, s.end, s.end}, " | cast %s", wmap_dtype_name(bound->dtype));
    }
}

/* The dtype of a target operand: of its parts, which must agree, and as declared. */
static wmap_dtype target_dtype(prover *p, wm_instance *in, uint32_t term)
{
    const wm_form *f = in->form;
    const wm_bound *bound = &in->right[term];
    wmap_dtype dtype = WMAP_DTYPE_NONE;
    uint32_t from = WM_NONE;
    for (size_t i = 0; i < f->target_count && !in->failed; i++) {
        const wm_piece *piece = &f->targets[i];
        if (piece->term != term || piece->unnamed)
            continue;
        uint32_t source = wm_source_piece(in, piece)->term;
        if (source == from)
            continue;
        wmap_dtype part = wm_result_dtype(p->state, in, source, term);
        if (dtype != WMAP_DTYPE_NONE && part != dtype && !in->failed) {
            wm_diag *d = wm_instance_error(p->state, in, WM_E0602, f->line->left[source].name.span,
                                           "this part is %s, another of the same target is %s",
                                           wmap_dtype_name(part), wmap_dtype_name(dtype));
            wm_diag_also(p->unit, d, f->line->left[from].name.span, "%s", wmap_dtype_name(dtype));
            wm_diag_hint(p->unit, d, "`| cast %s` after one of them", wmap_dtype_name(dtype));
        }
        dtype = part;
        from = source;
    }
    if (!in->failed && bound->dtype != WMAP_DTYPE_NONE && bound->dtype != dtype)
        dtype_differs(p, in, &f->line->right[term], bound, dtype);
    return dtype;
}

static wmap_dtype fill_dtype(prover *p, wm_instance *in, uint32_t term)
{
    const wm_bound *bound = &in->right[term];
    wmap_dtype dtype = bound->dtype;
    bool from_like = in->like && !p->state->target.known && !in->form->line->right[term].declared;
    if (in->like && (dtype == WMAP_DTYPE_NONE || from_like)) {
        const wm_cast *cast = wm_map_cast(p->state, in->like->dtype, dtype);
        dtype = cast ? cast->to : in->like->dtype;
    }
    if (dtype == WMAP_DTYPE_NONE || !wm_dtype(dtype)) {
        wm_diag *d = wm_instance_error(p->state, in, WM_E0515, in->form->line->right[term].span,
                                       "the dtype of %s is not known", wm_quote(p->unit, bound->names[0]));
        wm_diag_hint(p->unit, d,
                     "say it, as in `fill 0 -> \"name\" : f32 [64]` or `like \"a source tensor\"`");
    }
    return dtype;
}

bool wm_dtype_holds(wmap_dtype dtype, const wm_val *v)
{
    const wm_dtype_info *info = wm_dtype(dtype);
    if (!info || (v->kind != WM_VAL_INT && v->kind != WM_VAL_FLOAT && v->kind != WM_VAL_BOOL))
        return false;
    if (v->kind == WM_VAL_BOOL)
        return info->kind == WM_KIND_BOOL;
    if (info->kind == WM_KIND_RAW)
        return v->kind == WM_VAL_INT && v->i == 0;
    if (info->kind == WM_KIND_BOOL)
        return v->kind == WM_VAL_INT && (v->i == 0 || v->i == 1);
    if (info->kind == WM_KIND_UINT || info->kind == WM_KIND_INT) {
        if (v->kind == WM_VAL_FLOAT && (v->f != floor(v->f) || fabs(v->f) > 9e15))
            return false;
        int64_t i = v->kind == WM_VAL_INT ? v->i : (int64_t)v->f;
        if (info->kind == WM_KIND_UINT)
            return i >= 0 && (info->size == 8 || (uint64_t)i >> (8 * info->size) == 0);
        int64_t most = info->size == 8 ? INT64_MAX : ((int64_t)1 << (8 * info->size - 1)) - 1;
        return i >= -most - 1 && i <= most;
    }
    static const struct {
        wmap_dtype dtype;
        double limit; /* from here on it rounds to infinity (or NaN) */
    } limits[] = {{WMAP_F16, 65520.0},        {WMAP_BF16, 0x1.ffp127}, {WMAP_F32, 0x1.ffffffp127},
                  {WMAP_C64, 0x1.ffffffp127}, {WMAP_F8_E4M3, 464.0},   {WMAP_F8_E5M2, 61440.0}};
    double x = fabs(v->kind == WM_VAL_INT ? (double)v->i : v->f);
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        if (limits[i].dtype == dtype)
            return dtype == WMAP_F8_E4M3 ? x <= limits[i].limit : x < limits[i].limit || isinf(x);
    return true;
}

static void check_constant(prover *p, wm_instance *in, const wm_val *value, wm_span span, wmap_dtype dtype)
{
    if (!in->failed && !wm_dtype_holds(dtype, value))
        wm_instance_error(p->state, in, WM_E0608, span, "%s is not a value of %s",
                          wm_val_text(p->unit, value), wmap_dtype_name(dtype));
}

/* ---- target tensors ---- */

static void suggest_target(prover *p, wm_diag *d, wm_str name)
{
    wm_near near;
    wm_near_init(&near, name);
    if (p->state->suggestions++ >= 20)
        return;
    for (size_t i = 0; i < p->state->target.count && i < 20000; i++)
        if (!p->state->target.tensors[i].written)
            wm_near_try(&near, p->state->target.names[i]);
    wm_diag_near(p->unit, d, &near);
}

static uint32_t add_out(prover *p, wm_str name, wm_span span, wm_instance *in)
{
    wm_state *s = p->state;
    uint32_t before = wm_map_put(&s->out_names, name.p, name.len, (uint32_t)s->out_count, NULL);
    if (before != WM_MAP_NONE) {
        wm_diag *d =
            in ? wm_instance_error(s, in, WM_E0514, span, "%s is written twice", wm_quote(p->unit, name))
               : wm_error(p->unit, WM_E0514, span, "%s is written twice", wm_quote(p->unit, name));
        if (d->round)
            wm_diag_label(p->unit, d, "for %s", d->round);
        wm_diag_also(p->unit, d, s->outs[before].span, "first written here");
        return WM_NONE;
    }
    wm_out *out = wm_push(p->unit->arena, s->outs, s->out_count, s->out_cap);
    *out = (wm_out){.name = name, .span = span, .kept = WM_NONE};
    size_t at = s->target.known ? wm_names_find(s->target.index, name) : WM_NO_NAME;
    out->order = at;
    if (s->program->order && !s->target.known) {
        uint32_t place = wm_map_get(&s->wanted, name.p, name.len);
        s->wanted_written += place != WM_MAP_NONE;
        out->place = place != WM_MAP_NONE ? place : (uint32_t)(s->program->order_count + s->unwanted++);
    }
    if (at != WM_NO_NAME) {
        s->target.tensors[at].written = true;
    } else if (s->target.known) {
        wm_diag *d = in ? wm_instance_error(s, in, WM_E0524, span, "%s is not a tensor of the target",
                                            wm_quote(p->unit, name))
                        : wm_error(p->unit, WM_E0524, span, "%s is not a tensor of the target",
                                   wm_quote(p->unit, name));
        suggest_target(p, d, name);
    }
    return (uint32_t)s->out_count - 1;
}

/* A float of an architecture, of no dtype yet, is of the one that a rule gives it. */
static void take_float(wm_side_tensor *target, wmap_dtype dtype)
{
    const wm_dtype_info *info = wm_dtype(dtype);
    if (target && !target->dtype && info && info->kind == WM_KIND_FLOAT)
        target->dtype = dtype;
}

static void add_outs(prover *p, wm_instance *in, uint32_t term, wmap_dtype dtype)
{
    wm_bound *bound = &in->right[term];
    uint64_t size;
    if (wm_shape_count(bound->shape, bound->rank, &size) &&
        !wm_size_mul(size, wmap_dtype_size(dtype), &size)) {
        wm_instance_error(p->state, in, WM_E0905, in->form->right[term].term->span,
                          "this tensor has 2^63 bytes or more");
        return;
    }
    bound->tensors = wm_new(p->unit->scratch, uint32_t, bound->count);
    for (uint32_t k = 0; k < bound->count; k++) {
        uint32_t at = bound->tensors[k] =
            add_out(p, bound->names[k], in->form->line->right[term].name.span, in);
        if (at == WM_NONE)
            continue;
        wm_out *out = &p->state->outs[at];
        out->dtype = dtype;
        out->rank = bound->rank;
        out->shape = bound->shape;
        if (dtype == WMAP_OPAQUE) /* nothing but a name is changed: wm_result_dtype */
            out->kept = in->left[0].tensors[0];
        wm_side_tensor *t = out->order != WM_NO_NAME ? &p->state->target.tensors[out->order] : NULL;
        bool first = k == 0 && t && t->dtype; /* it was checked when extents were inferred */
        take_float(t, dtype);
        bool same = !t || (t->rank == out->rank &&
                           (t->rank == 0 || memcmp(t->shape, out->shape, t->rank * sizeof *t->shape) == 0));
        if (t && !first &&
            (!same || t->dtype != dtype)) { /* the first was checked when extents were inferred */
            wm_diag *d = wm_instance_error(
                p->state, in, same ? WM_E0601 : WM_E0506, in->form->line->right[term].name.span,
                "%s is %s in the target, the rule gives %s", wm_quote(p->unit, out->name),
                wm_show_type(p->unit, t->dtype, t->rank, t->shape),
                wm_show_type(p->unit, dtype, out->rank, out->shape));
            wm_diag_also(p->unit, d, t->declared->span, "declared here");
        }
    }
}

static void excuse(void *user, size_t name, const wm_capture *captures)
{
    (void)captures;
    ((wm_side *)user)->tensors[name].excused = true;
}

/* What a failed instance would have written is not reported as missing. */
static void excuse_instance(prover *p, const wm_instance *in)
{
    const wm_line *line = in->form->line;
    for (uint32_t t = 0; t < line->right_count && p->state->target.known; t++)
        wm_names_match(p->state->target.index, p->unit, &line->right[t].name, line->vars, line->var_count,
                       in->captures, excuse, &p->state->target);
}

/* E0602: copies have one dtype, each by its own operations. */
static void check_copies(prover *p, wm_instance *in)
{
    const wm_form *f = in->form;
    for (size_t i = 0; i < f->source_count && !in->failed; i++) {
        const wm_piece *piece = &f->sources[i];
        if (piece->unnamed || piece->second || piece->head == i || in->left[piece->term].absent)
            continue;
        const wm_piece *first = wm_first_copy(in, piece);
        wmap_dtype a = wm_operand_dtype(p->state, in, first->term);
        wmap_dtype b = in->failed ? a : wm_operand_dtype(p->state, in, piece->term);
        if (a == b || in->failed)
            continue;
        wm_diag *d =
            wm_instance_error(p->state, in, WM_E0602, f->line->left[piece->term].name.span,
                              "this copy is %s, the first is %s", wmap_dtype_name(b), wmap_dtype_name(a));
        wm_diag_also(p->unit, d, f->line->left[first->term].name.span, "%s", wmap_dtype_name(a));
        wm_diag_hint(p->unit, d, "copies are compared bit by bit: `| cast %s` after one of them",
                     wmap_dtype_name(a));
    }
}

/* E0501: of equal slices the first is read, so that there must be one. */
static void check_slices(prover *p, wm_instance *in, uint32_t term)
{
    const wm_form *f = in->form;
    const wm_placement *pl = &f->left[term];
    for (size_t i = 0; i < f->source_count && !in->left[term].absent; i++) {
        wm_piece piece = f->sources[i];
        if (piece.term != term || piece.unnamed)
            continue;
        uint32_t count = piece.equal_count;
        piece.equal_count = 0;
        for (uint32_t a = 0; a < count && !in->failed; a++) {
            uint64_t without;
            if (in->extents[piece.equals[a]] != 0)
                continue;
            if (piece_size(in, &piece, pl->dots != WM_NONE, &without) && without == 0)
                break; /* nothing is read */
            wm_instance_error(p->state, in, WM_E0501,
                              pl->term->layout_given ? pl->term->layout->span : pl->term->span,
                              "there is no slice along %s to be read: its extent is 0",
                              wm_quote(p->unit, f->axes[piece.equals[a]].name));
        }
    }
}

/* What is read: all of it, and constants that can be found there. */
static void prove_source(prover *p, wm_instance *in, uint32_t term)
{
    const wm_line *line = in->form->line;
    const wm_bound *bound = &in->left[term];
    const wm_else *other = line->left[term].otherwise;
    check_coverage(p, in, term, true);
    check_slices(p, in, term);
    if (bound->absent || in->failed || (!other && !line->all))
        return;
    if (bound->dtype == WMAP_OPAQUE) {
        wm_instance_error(p->state, in, WM_E0606, line->left[term].name.span,
                          "the source tensor %s is of a kind that wmap lists but cannot look into",
                          wm_quote(p->unit, p->state->source.names[bound->tensors[0]]));
        return;
    }
    if (other)
        check_constant(p, in, &other->value, other->span, bound->dtype);
    if (line->all)
        check_constant(p, in, &line->all->value, line->all->span, bound->dtype);
}

static void prove_instance(prover *p, wm_instance *in)
{
    const wm_line *line = in->form->line;
    bool fill = line->kind == WM_LINE_FILL;
    for (uint32_t t = 0; t < line->left_count; t++)
        prove_source(p, in, t);
    check_copies(p, in);
    for (uint32_t t = 0; t < line->right_count; t++)
        check_coverage(p, in, t, false);
    for (uint32_t t = 0; t < line->right_count && !in->failed; t++) {
        if (in->right[t].absent)
            continue;
        wmap_dtype dtype = fill ? fill_dtype(p, in, t) : target_dtype(p, in, t);
        if (in->failed)
            break;
        if (fill)
            check_constant(p, in, &line->fill->value, line->fill->span, dtype);
        const wm_else *other = line->right[t].otherwise;
        if (other)
            check_constant(p, in, &other->value, other->span, dtype);
        add_outs(p, in, t, dtype);
    }
}

/* ---- keep rest ---- */

static void keep_rest(prover *p, wm_span span)
{
    wm_state *s = p->state;
    for (size_t i = 0; i < s->source.count; i++) {
        wm_side_tensor *t = &s->source.tensors[i];
        if (t->used || t->dropped || t->excused)
            continue;
        t->used = true;
        size_t like = s->target.known ? wm_names_find(s->target.index, t->name) : WM_NO_NAME;
        const wm_cast *cast =
            wm_map_cast(s, t->dtype, like != WM_NO_NAME ? s->target.tensors[like].dtype : WMAP_DTYPE_NONE);
        uint32_t at = add_out(p, t->name, span, NULL);
        if (at == WM_NONE)
            continue;
        wm_out *out = &s->outs[at];
        out->dtype = cast && wm_cast_exists(t->dtype, cast->to) ? cast->to : t->dtype;
        out->rank = t->rank;
        out->shape = t->shape;
        out->kept = (uint32_t)i;
        wm_side_tensor *want = out->order != WM_NO_NAME ? &s->target.tensors[out->order] : NULL;
        if (!want)
            continue;
        take_float(want, out->dtype);
        bool same = want->rank == t->rank &&
                    (t->rank == 0 || memcmp(want->shape, t->shape, t->rank * sizeof *t->shape) == 0);
        if (same && want->dtype == out->dtype)
            continue;
        wm_diag *d = wm_error(p->unit, same ? WM_E0601 : WM_E0501, span,
                              "the kept tensor %s is %s, but %s in the target", wm_quote(p->unit, t->name),
                              wm_show_type(p->unit, out->dtype, t->rank, t->shape),
                              wm_show_type(p->unit, want->dtype, want->rank, want->shape));
        wm_diag_also(p->unit, d, same ? want->declared->dtype_span : want->declared->shape_span,
                     "declared here");
        if (same && want->dtype)
            wm_diag_hint(p->unit, d, "`cast %s -> %s` in the map", wmap_dtype_name(out->dtype),
                         wmap_dtype_name(want->dtype));
    }
}

/* ---- left over, missing ---- */

/* A family of names that differ in numbers only, of one dtype and shape. */
typedef struct family {
    const wm_side_tensor *first;
    size_t count;
    uint64_t least[8], most[8]; /* of the first runs of digits */
} family;

/* The name with its runs of digits replaced, and the numbers themselves. */
static wm_str skeleton(prover *p, const wm_side_tensor *t, uint64_t numbers[8])
{
    const char *type = wm_show_type(p->unit, t->dtype, t->rank, t->shape);
    char *out = wm_alloc(p->unit->arena, t->name.len + strlen(type) + 2);
    uint32_t n = 0, run = 0;
    for (uint32_t i = 0; i < t->name.len; i++) {
        bool digit = t->name.p[i] >= '0' && t->name.p[i] <= '9';
        if (!digit || run >= 8) {
            out[n++] = t->name.p[i];
            continue;
        }
        uint64_t value = 0;
        for (; i < t->name.len && t->name.p[i] >= '0' && t->name.p[i] <= '9'; i++)
            value = value * 10 + (uint64_t)(t->name.p[i] - '0');
        i--;
        numbers[run++] = value;
        out[n++] = '\1';
    }
    out[n++] = ' ';
    memcpy(out + n, type, strlen(type));
    return (wm_str){out, n + (uint32_t)strlen(type)};
}

/* "layer_{0..11}/kernel"; with `star`, "layer_{*}/kernel" */
static const char *show_family(prover *p, const family *f, bool star)
{
    wm_arena *arena = p->unit->arena;
    const char *text = "";
    uint32_t run = 0;
    wm_str name = f->first->name;
    for (uint32_t i = 0; i < name.len;) {
        uint32_t end = i;
        bool digits = name.p[i] >= '0' && name.p[i] <= '9';
        while (end < name.len && (name.p[end] >= '0' && name.p[end] <= '9') == digits)
            end++;
        if (digits && run < 8 && f->least[run] != f->most[run])
            text = star ? wm_format_text(arena, "%s{*}", text)
                        : wm_format_text(arena, "%s{%llu..%llu}", text, (unsigned long long)f->least[run],
                                         (unsigned long long)f->most[run]);
        else
            text = wm_format_text(arena, "%s%.*s", text, (int)(end - i), name.p + i);
        run += digits;
        i = end;
    }
    return text;
}

static void list_families(prover *p, wm_diag *d, const wm_side *side, bool left, const char **pattern)
{
    family *families = NULL;
    size_t count = 0, cap = 0;
    wm_map map;
    wm_map_init(&map, p->unit->arena, 64);
    for (size_t i = 0; i < side->count; i++) {
        const wm_side_tensor *t = &side->tensors[i];
        if (t->excused || (left ? t->used || t->dropped : t->written))
            continue;
        uint64_t numbers[8] = {0};
        wm_str key = skeleton(p, t, numbers);
        uint32_t at = wm_map_put(&map, key.p, key.len, (uint32_t)count, NULL);
        if (at == WM_MAP_NONE) {
            family *f = wm_push(p->unit->arena, families, count, cap);
            f->first = t;
            memcpy(f->least, numbers, sizeof numbers);
            memcpy(f->most, numbers, sizeof numbers);
            at = (uint32_t)count - 1;
        }
        families[at].count++;
        for (int r = 0; r < 8; r++) {
            families[at].least[r] = numbers[r] < families[at].least[r] ? numbers[r] : families[at].least[r];
            families[at].most[r] = numbers[r] > families[at].most[r] ? numbers[r] : families[at].most[r];
        }
    }
    for (size_t f = 0; f < count && f < MAX_LISTED; f++)
        wm_diag_note(p->unit, d, "%s   %s",
                     wm_quote(p->unit, (wm_str){show_family(p, &families[f], false),
                                                (uint32_t)strlen(show_family(p, &families[f], false))}),
                     wm_show_type(p->unit, families[f].first->dtype, families[f].first->rank,
                                  families[f].first->shape));
    if (count > MAX_LISTED)
        wm_diag_note(p->unit, d, "and %zu more kinds of names", count - MAX_LISTED);
    for (size_t f = 0; f < count && f < MAX_DROPPED; f++)
        *pattern = wm_format_text(p->unit->arena, "%s%s\"%s\"", *pattern, f ? ", " : "",
                                  show_family(p, &families[f], true));
    if (count > MAX_DROPPED)
        *pattern = wm_format_text(p->unit->arena, "%s, ...", *pattern);
}

/* A `drop` that matched nothing, and may have been meant for one that is left. */
static void show_idle_drop(prover *p, wm_diag *d)
{
    const wm_side *side = &p->state->source;
    for (size_t k = 0; k < p->state->idle_count; k++) {
        const wm_pattern *pattern = p->state->idle_drops[k];
        wm_near near;
        if (!pattern->literal)
            continue;
        wm_near_init(&near, pattern->text);
        for (size_t i = 0; i < side->count && i < 20000; i++)
            if (!side->tensors[i].used && !side->tensors[i].dropped && !side->tensors[i].excused)
                wm_near_try(&near, side->names[i]);
        if (!wm_near_found(&near))
            continue;
        wm_diag_also(p->unit, d, pattern->span, "matches nothing; %s is near", wm_quote(p->unit, near.best));
        return;
    }
}

/* If no rule found anything, it is more likely the file than the rules. */
static void doubt_file(prover *p)
{
    wm_state *s = p->state;
    size_t touched = 0;
    for (size_t i = 0; i < s->source.count; i++)
        touched += s->source.tensors[i].used || s->source.tensors[i].dropped;
    if (s->unmatched_count > 1 && touched == 0)
        wm_diag_note(p->unit, s->unmatched,
                     "no rule matches any of the %zu tensors of %s: is it the right file?", s->source.count,
                     s->source.label);
}

/* What the target's model has and nothing writes. */
static void list_wanted(prover *p, wm_span nowhere)
{
    wm_state *s = p->state;
    size_t missing = s->program->order_count - s->wanted_written, said = 0;
    wm_diag *d = wm_error(p->unit, WM_E0523, nowhere, "%zu target tensor%s not written", missing,
                          missing == 1 ? " is" : "s are");
    for (size_t i = 0; i < s->program->order_count && said < MAX_LISTED; i++)
        if (wm_map_get(&s->out_names, s->program->order[i].p, s->program->order[i].len) == WM_MAP_NONE &&
            ++said)
            wm_diag_note(p->unit, d, "%s", wm_quote(p->unit, s->program->order[i]));
}

static void check_sides(prover *p)
{
    wm_state *s = p->state;
    size_t left = 0, missing = 0;
    const char *pattern = "";
    for (size_t i = 0; i < s->source.count; i++) {
        const wm_side_tensor *t = &s->source.tensors[i];
        left += !t->used && !t->dropped && !t->excused;
    }
    for (size_t i = 0; i < s->target.count; i++)
        missing += !s->target.tensors[i].written && !s->target.tensors[i].excused;
    wm_span nowhere = {s->program->file, UINT32_MAX, UINT32_MAX};
    if (left) {
        wm_diag *d = wm_error(p->unit, WM_E0522, nowhere, "%zu source tensor%s neither used nor dropped",
                              left, left == 1 ? " is" : "s are");
        if (s->program->stage)
            wm_diag_note(p->unit, d, "the source of this map is %s", s->source.label);
        list_families(p, d, &s->source, true, &pattern);
        show_idle_drop(p, d);
        wm_diag_hint(p->unit, d, "to leave %s behind on purpose: drop %s", left == 1 ? "it" : "them",
                     pattern);
    }
    bool derived = s->program->order && !s->target.known;
    if (derived && s->wanted_written < s->program->order_count && p->unit->errors == 0)
        list_wanted(p, nowhere);
    if (missing) {
        wm_diag *d = wm_error(p->unit, WM_E0523, nowhere, "%zu target tensor%s not written", missing,
                              missing == 1 ? " is" : "s are");
        list_families(p, d, &s->target, false, &pattern);
    }
}

/* ---- order ---- */

static int by_place(const void *a, const void *b, void *user)
{
    const wm_out *outs = user;
    uint32_t x = outs[*(const uint32_t *)a].place, y = outs[*(const uint32_t *)b].place;
    return (x > y) - (x < y);
}

static int by_order(const void *a, const void *b, void *user)
{
    const wm_out *outs = user;
    size_t x = outs[*(const uint32_t *)a].order, y = outs[*(const uint32_t *)b].order;
    return (x > y) - (x < y);
}

void wm_prove_pass(wm_state *state)
{
    prover p = {state, state->unit};
    for (size_t n = 0; n < state->instance_count; n++) {
        if (!state->instances[n]->failed)
            prove_instance(&p, state->instances[n]);
        if (state->instances[n]->failed)
            excuse_instance(&p, state->instances[n]);
    }
}

void wm_prove_rest(wm_state *state)
{
    prover p = {state, state->unit};
    for (size_t l = 0; l < state->program->count; l++)
        if (state->program->lines[l].kind == WM_LINE_KEEP_REST) {
            keep_rest(&p, state->program->lines[l].span);
            break;
        }
    doubt_file(&p);
    if (!state->rest_unknown)
        check_sides(&p);
    state->written = wm_new(state->unit->arena, uint32_t, state->out_count);
    for (size_t i = 0; i < state->out_count; i++)
        state->written[i] = (uint32_t)i;
    state->written_count = state->out_count;
    int (*order)(const void *, const void *, void *) = state->target.known ? by_order : by_place;
    if ((state->target.known || state->program->order) && state->out_count > 1)
        qsort_r(state->written, state->out_count, sizeof *state->written, order, state->outs);
}
