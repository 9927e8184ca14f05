/* infer.c: extents. Receives instances bound to tensors; gives each axis its extent, and the targets their
 * names and shapes. Every dimension of known extent is an equation over the axes of its layout; `where`,
 * `axis` and stacked names are facts. Solved to a fixpoint; rules that share an axis are solved together.
 * Nothing is guessed. */
#include <string.h>

#include "compiler/pass.h"
#include "compiler/scope.h"
#include "runtime/base/size.h"

#define MAX_UNSTACKED 1000000

typedef struct inference {
    wm_state *state;
    wm_unit *unit;
    wm_instance *in;
    wm_form *form;
    const wm_line *line;
    bool changed; /* some extent became known */
    struct work *work;
    uint32_t number; /* of the instance in the batch */
} inference;

/* An instance that waits for the extent of a shared axis. */
typedef struct wm_waiter {
    uint32_t instance;
    struct wm_waiter *next;
} waiter;

/* The instances of the batch that are to be solved, in order: a ring with room for each of them once. */
typedef struct work {
    uint32_t *ring;
    size_t size, first, count;
    bool *queued, *waits; /* by instance */
} work;

static void enqueue(work *w, uint32_t instance)
{
    if (w->queued[instance])
        return;
    w->queued[instance] = true;
    w->ring[(w->first + w->count++) % w->size] = instance;
}

/* ---- facts ---- */

static bool learn_origin(inference *i, uint32_t axis, int64_t extent, wm_origin origin)
{
    if (i->in->extents[axis] >= 0)
        return i->in->extents[axis] == extent;
    i->in->extents[axis] = extent;
    i->in->origins[axis] = origin;
    i->changed = true;
    return true;
}

static bool learn(inference *i, uint32_t axis, int64_t extent, wm_span span, const char *text)
{
    return learn_origin(i, axis, extent, (wm_origin){.span = span, .text = text});
}

/* "of `fc1` f32 [4096 10]" */
static const char *origin_text(inference *i, const wm_origin *o)
{
    if (o->text || !o->bound)
        return o->text ? o->text : "";
    const wm_bound *b = o->bound;
    return wm_format_text(i->unit->arena, "of %s %s", wm_quote(i->unit, o->name),
                          b->dtype ? wm_show_type(i->unit, b->dtype, b->rank, b->shape)
                                   : wm_show_shape(i->unit, b->rank, b->shape));
}

static void exchange_shared(inference *i, bool import)
{
    for (uint32_t a = 0; a < i->form->axis_count; a++) {
        if (!i->form->axes[a].shared)
            continue;
        struct wm_shared_slot *slot =
            wm_shared_slot_of(i->state, i->form->axes[a].shared, i->form->axes[a].item, i->in);
        if (import && slot->extent >= 0) {
            if (!learn_origin(i, a, slot->extent, slot->origin)) {
                wm_diag *d = wm_instance_error(i->state, i->in, WM_E0503, i->in->origins[a].span,
                                               "axis %s is %lld here, but %lld in the block around it",
                                               wm_quote(i->unit, i->form->axes[a].name),
                                               (long long)i->in->extents[a], (long long)slot->extent);
                wm_diag_also(i->unit, d, slot->origin.span, "%s", origin_text(i, &slot->origin));
            }
        } else if (!import && slot->extent < 0 && i->in->extents[a] >= 0) {
            slot->extent = i->in->extents[a];
            slot->origin = i->in->origins[a];
            for (const waiter *w = slot->waiters; w; w = w->next)
                enqueue(i->work, w->instance);
            slot->waiters = NULL;
        }
    }
}

/* It is solved again when an extent that it lacks becomes known. */
static void wait_for_shared(inference *i)
{
    for (uint32_t a = 0; a < i->form->axis_count && !i->work->waits[i->number]; a++) {
        if (!i->form->axes[a].shared || i->in->extents[a] >= 0)
            continue;
        struct wm_shared_slot *slot =
            wm_shared_slot_of(i->state, i->form->axes[a].shared, i->form->axes[a].item, i->in);
        waiter *w = wm_new(i->unit->scratch, waiter, 1);
        *w = (waiter){i->number, slot->waiters};
        slot->waiters = w;
    }
    i->work->waits[i->number] = true;
}

/* ---- where ---- */

static uint32_t axis_named(const inference *i, wm_str name)
{
    for (uint32_t a = 0; a < i->form->axis_count; a++)
        if (wm_str_eq(i->form->axes[a].name, name))
            return a;
    return WM_NONE;
}

/* "a * b = 3 * 4" */
static const char *show_product(inference *i, const wm_recount *r, int side)
{
    const char *text = "";
    for (uint32_t k = 0; k < r->count[side]; k++)
        text = wm_format_text(i->unit->arena, "%s%s%s = %lld", text, k ? ", " : "",
                              wm_quote(i->unit, i->form->axes[r->axes[side][k]].name),
                              (long long)i->in->extents[r->axes[side][k]]);
    return text;
}

/* One side of `( ) = ( )`: the product of the known extents, and the unknown axis if there is just one.
 * False: several unknowns, or the product is 2^63 or more. */
static bool product_of(const inference *i, const wm_recount *r, int side, int64_t *product, uint32_t *unknown)
{
    *product = 1;
    *unknown = WM_NONE;
    for (uint32_t k = 0; k < r->count[side]; k++) {
        int64_t extent = i->in->extents[r->axes[side][k]];
        if (extent < 0 && *unknown != WM_NONE)
            return false;
        if (extent < 0)
            *unknown = r->axes[side][k];
        else if (__builtin_mul_overflow(*product, extent, product))
            return false;
    }
    return true;
}

/* Two products are one; an unknown whose factor is 0 stays unknown. */
static void use_recount(inference *i, const wm_recount *r)
{
    int64_t product[2];
    uint32_t unknown[2];
    if (!product_of(i, r, 0, &product[0], &unknown[0]) || !product_of(i, r, 1, &product[1], &unknown[1]) ||
        (unknown[0] != WM_NONE && unknown[1] != WM_NONE))
        return;
    int side = unknown[1] != WM_NONE;
    if (unknown[side] == WM_NONE) {
        if (product[0] != product[1])
            wm_note_tensors(i->state, i->in,
                            wm_instance_error(i->state, i->in, WM_E0503, r->span,
                                              "the sides of `( ) = ( )` count %lld and %lld elements: %s; %s",
                                              (long long)product[0], (long long)product[1],
                                              show_product(i, r, 0), show_product(i, r, 1)));
    } else if (product[side] != 0 && product[!side] % product[side] == 0) {
        learn(i, unknown[side], product[!side] / product[side], r->span, "given here");
    } else if (product[side] != 0) {
        wm_note_tensors(i->state, i->in,
                        wm_instance_error(
                            i->state, i->in, WM_E0502, r->span,
                            "no whole extent of %s makes both sides of `( ) = ( )` %lld elements",
                            wm_quote(i->unit, i->form->axes[unknown[side]].name), (long long)product[!side]));
    }
}

static void use_where(inference *i)
{
    for (size_t r = 0; r < i->form->recount_count && !i->in->failed; r++)
        use_recount(i, &i->form->recounts[r]);
    for (const wm_binding *b = i->line->where; b && !i->in->failed; b = b->next) {
        uint32_t axis = axis_named(i, b->names->text);
        wm_val value;
        wm_hook hook = {wm_instance_find, i->in};
        const wm_placement *guarded = i->line->all ? i->form->left : NULL;
        if (axis == WM_NONE || !b->expr ||
            (guarded &&
             wm_among(guarded->copy_axes, guarded->copy_axis_count, axis))) /* each is looked at alone */
            continue;
        wm_evaluated e = wm_eval(i->unit, i->line->scope, &hook, b->expr, &value);
        if (e == WM_EVAL_ERROR)
            i->in->failed = true;
        if (e == WM_EVAL_UNKNOWN && b->expr->kind == WM_EX_NAME && !b->expr->name->parts->next &&
            i->in->extents[axis] >= 0) {
            uint32_t other = axis_named(i, b->expr->name->parts->text);
            if (other != WM_NONE)
                learn(i, other, i->in->extents[axis], b->span, "the same by `where`");
        }
        if (e != WM_EVAL_OK)
            continue;
        if (value.kind != WM_VAL_INT || value.i < 0) {
            wm_diag *d = wm_instance_error(
                i->state, i->in, value.kind == WM_VAL_INT ? WM_E0502 : WM_E0143, b->expr->span,
                "an extent is a whole number that is not negative, this is %s", wm_val_text(i->unit, &value));
            wm_hint_division(i->unit, d, &value);
        } else if (!learn(i, axis, value.i, b->span, "given here")) {
            wm_diag *d = wm_instance_error(
                i->state, i->in, WM_E0503, b->span, "`where` says that %s is %lld, but it is %lld",
                wm_quote(i->unit, b->names->text), (long long)value.i, (long long)i->in->extents[axis]);
            wm_diag_also(i->unit, d, i->in->origins[axis].span, "%s", origin_text(i, &i->in->origins[axis]));
            wm_note_tensors(i->state, i->in, d);
        }
    }
}

/* ---- dimensions ---- */

/* "7 * 7 * 512", names for what is unknown */
static const char *show_extent(inference *i, const wm_node *node)
{
    wm_arena *arena = i->unit->arena;
    if (node->kind == WM_NODE_ONE)
        return "1";
    if (node->kind == WM_NODE_AXIS) {
        int64_t extent = i->in->extents[node->axis];
        wm_str name = i->form->axes[node->axis].name;
        return extent >= 0 ? wm_format_text(arena, "%lld", (long long)extent)
               : name.len  ? wm_format_text(arena, "%.*s", (int)name.len, name.p)
                           : "_";
    }
    const char *text = "";
    for (uint32_t k = 0; k < node->count; k++) {
        const char *kid = show_extent(i, &node->kids[k]);
        bool wrap =
            node->kind == WM_NODE_GROUP && node->kids[k].kind == WM_NODE_BLOCKS && node->kids[k].count > 1;
        text =
            wm_format_text(arena, "%s%s%s%s%s", text, k ? (node->kind == WM_NODE_GROUP ? " * " : " + ") : "",
                           wrap ? "(" : "", kid, wrap ? ")" : "");
    }
    return *text ? text : "1";
}

/* Neighbours that say the same are one label: `where h=7, w=7`. */
static bool widen_label(inference *i, wm_diag *d, const wm_origin *o)
{
    for (uint32_t l = 0; l < d->label_count; l++) {
        wm_span *s = &d->labels[l].span;
        bool before = o->span.end <= s->beg;
        uint32_t from = before ? o->span.end : s->end, to = before ? s->beg : o->span.beg;
        if (s->file != o->span.file || from > to || strcmp(d->labels[l].text, origin_text(i, o)) != 0)
            continue;
        const char *text = i->unit->sources[s->file]->text;
        while (from < to && (text[from] == ' ' || text[from] == ','))
            from++;
        if (from < to)
            continue;
        s->beg = before ? o->span.beg : s->beg;
        s->end = before ? s->end : o->span.end;
        return true;
    }
    return false;
}

/* Points at where the extents of a dimension's axes come from. */
static void point_at_axes(inference *i, wm_diag *d, const wm_node *node, wm_span main)
{
    if (node->kind == WM_NODE_AXIS) {
        const wm_origin *o = &i->in->origins[node->axis];
        bool same = o->span.file == main.file && o->span.beg == main.beg && o->span.end == main.end;
        for (uint32_t l = 0; l < d->label_count; l++)
            same |= d->labels[l].span.file == o->span.file && d->labels[l].span.beg == o->span.beg;
        if ((o->text || o->bound) && !same && !widen_label(i, d, o))
            wm_diag_also(i->unit, d, o->span, "%s", origin_text(i, o));
        return;
    }
    for (uint32_t k = 0; k < node->count && (node->kind == WM_NODE_GROUP || node->kind == WM_NODE_BLOCKS);
         k++)
        point_at_axes(i, d, &node->kids[k], main);
}

static void contradiction(inference *i, const wm_bound *bound, const wm_node *node, uint64_t size,
                          int64_t by_axes)
{
    const char *sum = show_extent(i, node);
    wm_diag *d = wm_instance_error(i->state, i->in, WM_E0501, node->span,
                                   "this dimension is %lld by its axes, but the tensor has %llu",
                                   (long long)by_axes, (unsigned long long)size);
    if (node->kind != WM_NODE_AXIS)
        wm_diag_label(i->unit, d, "%s", sum);
    point_at_axes(i, d, node, node->span);
    if (bound->shape_span.file != WM_NO_FILE)
        wm_diag_also(i->unit, d, bound->shape_span, "declared here");
    wm_note_tensors(i->state, i->in, d);
}

static void use_dimension(inference *i, const wm_bound *bound, const wm_node *node, uint64_t size,
                          wm_str name)
{
    wm_linear e = wm_node_extent(i->in, node);
    if (e.overflow) {
        wm_instance_error(i->state, i->in, WM_E0905, node->span,
                          "the extent of this dimension is 2^63 or more");
        return;
    }
    if (!e.ok)
        return;
    if (e.axis == WM_NONE) {
        if ((uint64_t)e.b != size)
            contradiction(i, bound, node, size, e.b);
        return;
    }
    int64_t rest = (int64_t)size - e.b;
    if (rest < 0 || rest % e.a != 0) {
        wm_str axis = i->form->axes[e.axis].name;
        wm_diag *d = wm_instance_error(i->state, i->in, WM_E0502, node->span,
                                       "no whole extent of %s makes this dimension %llu",
                                       axis.len ? wm_quote(i->unit, axis) : "`_`", (unsigned long long)size);
        wm_diag_label(i->unit, d, "%s", show_extent(i, node));
        point_at_axes(i, d, node, node->span);
        wm_note_tensors(i->state, i->in, d);
        return;
    }
    learn_origin(i, e.axis, rest / e.a, (wm_origin){.span = node->span, .bound = bound, .name = name});
}

static void use_dots(inference *i, const wm_bound *bound, const wm_placement *p, wm_str name)
{
    for (uint32_t k = 0; k < i->in->dots && !i->in->failed; k++) {
        uint64_t size = bound->shape[p->dots + k];
        uint32_t axis = wm_dot_axis(i->form, k);
        wm_span span = p->term->layout_given ? p->term->layout->span : p->term->name.span;
        if (learn_origin(i, axis, (int64_t)size, (wm_origin){.span = span, .bound = bound, .name = name}))
            continue;
        wm_diag *d =
            wm_instance_error(i->state, i->in, WM_E0501, span,
                              "dimension %u is %lld on the other side, but this tensor has %llu", p->dots + k,
                              (long long)i->in->extents[axis], (unsigned long long)size);
        wm_diag_also(i->unit, d, i->in->origins[axis].span, "%s", origin_text(i, &i->in->origins[axis]));
        if (bound->shape_span.file != WM_NO_FILE)
            wm_diag_also(i->unit, d, bound->shape_span, "declared here");
        wm_note_tensors(i->state, i->in, d);
    }
}

static void use_tensor(inference *i, const wm_bound *bound, const wm_placement *p, wm_str name)
{
    if (!bound->known || bound->absent)
        return;
    for (uint32_t d = 0; d < p->dim_count && !i->in->failed; d++) {
        uint32_t at = p->dots != WM_NONE && d >= p->dots ? d + i->in->dots : d;
        use_dimension(i, bound, &p->dims[d], bound->shape[at], name);
    }
    if (p->dots != WM_NONE)
        use_dots(i, bound, p, name);
}

static wm_str source_name(const inference *i, const wm_bound *bound)
{
    return bound->absent ? (wm_str){"", 0} : i->state->source.names[bound->tensors[0]];
}

static void solve(inference *i)
{
    exchange_shared(i, true);
    do {
        i->changed = false;
        use_where(i);
        for (uint32_t t = 0; t < i->line->left_count && !i->in->failed; t++)
            use_tensor(i, &i->in->left[t], &i->form->left[t], source_name(i, &i->in->left[t]));
        for (uint32_t t = 0; t < i->line->right_count && !i->in->failed; t++)
            use_tensor(i, &i->in->right[t], &i->form->right[t],
                       i->in->right[t].names ? i->in->right[t].names[0] : i->line->right[t].name.text);
    } while (i->changed && !i->in->failed);
    if (!i->in->failed)
        exchange_shared(i, false);
}

/* ---- setting up ---- */

static void wrong_rank(inference *i, const wm_bound *bound, const wm_placement *p, uint32_t want)
{
    wm_diag *d = wm_instance_error(
        i->state, i->in, WM_E0504, p->term->layout_given ? p->term->layout->span : p->term->name.span,
        "this layout has %s%u dimension%s, but the tensor has %u", p->dots != WM_NONE ? "at least " : "",
        want, want == 1 ? "" : "s", bound->rank);
    if (bound->shape_span.file != WM_NO_FILE)
        wm_diag_also(i->unit, d, bound->shape_span, "declared here");
    wm_note_tensors(i->state, i->in, d);
}

/* Ranks, and the number of dimensions of `...`. */
static void use_rank(inference *i, const wm_bound *bound, const wm_placement *p, bool *dots_known)
{
    if (!bound->known || bound->absent || i->in->failed)
        return;
    if (p->dots == WM_NONE ? bound->rank != p->dim_count : bound->rank < p->dim_count) {
        wrong_rank(i, bound, p, p->dim_count);
        return;
    }
    if (p->dots == WM_NONE)
        return;
    uint32_t dots = bound->rank - p->dim_count;
    if (*dots_known && dots != i->in->dots)
        wrong_rank(i, bound, p, p->dim_count + i->in->dots);
    i->in->dots = dots;
    *dots_known = true;
}

/* The name of a target, and what is declared of it. Axes that number tensors count as 0. */
static void bind_target(inference *i, uint32_t t)
{
    const wm_term *term = &i->line->right[t];
    wm_bound *bound = &i->in->right[t];
    const wm_placement *p = &i->form->right[t];
    wm_capture *captures = i->in->captures;
    if (p->name_axis_count) {
        captures = wm_new(i->unit->scratch, wm_capture, i->line->var_count);
        memcpy(captures, i->in->captures, i->line->var_count * sizeof *captures);
        for (uint32_t a = 0; a < p->name_axis_count; a++)
            captures[i->form->axes[p->name_axes[a]].var] = (wm_capture){.bound = true};
    }
    bound->names = wm_new(i->unit->scratch, wm_str, 1);
    bound->shape_span = bound->dtype_span = WM_NOWHERE;
    if (!wm_name_write(i->unit, &term->name, i->line->vars, i->line->var_count, captures, &bound->names[0])) {
        i->in->failed = true;
        return;
    }
    size_t at = i->state->target.known ? wm_names_find(i->state->target.index, bound->names[0]) : WM_NO_NAME;
    if (at != WM_NO_NAME) {
        const wm_side_tensor *s = &i->state->target.tensors[at];
        bound->known = true;
        bound->dtype = !s->dtype && term->declared ? term->declared->dtype : s->dtype;
        bound->rank = s->rank;
        bound->shape = s->shape;
        bound->shape_span = s->declared->shape_span;
        bound->dtype_span = s->declared->dtype_span;
    } else if (i->state->target.known && term->optional) {
        bound->absent = true;
    } else if (term->declared) {
        bound->known = true;
        bound->dtype = term->declared->dtype;
        bound->rank = term->declared->rank;
        bound->shape = term->declared->shape;
        bound->shape_span = term->declared->shape_span;
        bound->dtype_span = term->declared->dtype_span;
    } else if (i->in->like && !term->layout_given) {
        bound->known = true;
        bound->dtype = i->in->like->dtype;
        bound->rank = i->in->like->rank;
        bound->shape = i->in->like->shape;
    }
}

static void set_up(inference *i)
{
    bool dots_known = false, dots = false;
    for (uint32_t t = 0; t < i->line->right_count && !i->in->failed; t++)
        bind_target(i, t);
    for (uint32_t t = 0; t < i->line->left_count; t++)
        use_rank(i, &i->in->left[t], &i->form->left[t], &dots_known);
    for (uint32_t t = 0; t < i->line->right_count; t++) {
        use_rank(i, &i->in->right[t], &i->form->right[t], &dots_known);
        dots |= i->form->right[t].dots != WM_NONE;
    }
    if (i->in->failed)
        return;
    if (dots && !dots_known) {
        wm_diag *d = wm_instance_error(i->state, i->in, WM_E0515, i->line->right[0].span,
                                       "the dtype and shape of this tensor are not known");
        wm_diag_hint(i->unit, d,
                     "say it, as in `fill 0 -> \"name\" : f32 [64]` or `like \"a source tensor\"`");
        return;
    }
    size_t count = i->form->axis_count;
    int64_t *extents = wm_new(i->unit->scratch, int64_t, count + i->in->dots);
    wm_origin *origins = wm_new(i->unit->scratch, wm_origin, count + i->in->dots);
    for (size_t a = 0; a < count + i->in->dots; a++)
        extents[a] = a < count ? i->in->extents[a] : -1;
    if (count)
        memcpy(origins, i->in->origins, count * sizeof *origins);
    i->in->extents = extents;
    i->in->origins = origins;
}

/* ---- the end ---- */

typedef struct counter {
    const wm_form *form;
    uint32_t var;
    int64_t most;
} counter;

static void count_number(void *user, size_t name, const wm_capture *captures)
{
    (void)name;
    counter *c = user;
    if (captures[c->var].bound && captures[c->var].i >= c->most && captures[c->var].i < MAX_UNSTACKED)
        c->most = captures[c->var].i + 1;
}

/* The number of tensors that an axis unstacks into, when only the declared names say it. */
static void count_declared(inference *i)
{
    for (uint32_t t = 0; t < i->line->right_count && i->state->target.known; t++) {
        const wm_placement *p = &i->form->right[t];
        for (uint32_t a = 0; a < p->name_axis_count; a++) {
            uint32_t axis = p->name_axes[a];
            if (i->in->extents[axis] >= 0)
                continue;
            counter c = {i->form, i->form->axes[axis].var, 0};
            wm_names_match(i->state->target.index, i->unit, &p->term->name, i->line->vars, i->line->var_count,
                           i->in->captures, count_number, &c);
            if (c.most > 0)
                learn(i, axis, c.most, p->term->name.span, "the declared names");
        }
    }
}

static bool node_has(const wm_node *node, uint32_t axis)
{
    if (node->kind == WM_NODE_AXIS)
        return node->axis == axis;
    for (uint32_t k = 0; k < node->count; k++)
        if (node_has(&node->kids[k], axis))
            return true;
    return false;
}

static bool placement_has(const wm_placement *p, const wm_bound *bound, uint32_t axis)
{
    bool found = false;
    for (uint32_t d = 0; d < p->dim_count && !bound->absent && !found; d++)
        found = node_has(&p->dims[d], axis);
    for (uint32_t a = 0; a < p->name_axis_count && !bound->absent; a++)
        found |= p->name_axes[a] == axis;
    return found;
}

/* Axes of copies that are not there need no extent. */
static void settle_absent(inference *i)
{
    bool absent = false;
    for (uint32_t t = 0; t < i->line->left_count; t++)
        absent |= i->in->left[t].absent;
    for (uint32_t t = 0; t < i->line->right_count; t++)
        absent |= i->in->right[t].absent;
    for (uint32_t a = 0; absent && a < i->form->axis_count; a++) {
        bool found = i->in->extents[a] >= 0;
        for (uint32_t t = 0; t < i->line->left_count && !found; t++)
            found = placement_has(&i->form->left[t], &i->in->left[t], a);
        for (uint32_t t = 0; t < i->line->right_count && !found; t++)
            found = placement_has(&i->form->right[t], &i->in->right[t], a);
        if (!found)
            i->in->extents[a] = 1;
    }
}

static bool all_known(const inference *i)
{
    for (uint32_t a = 0; a < i->form->axis_count + i->in->dots; a++)
        if (i->in->extents[a] < 0)
            return false;
    return true;
}

/* The dimension of known extent that has the axis. */
static const wm_node *dimension_of(const inference *i, uint32_t axis, uint64_t *size)
{
    for (uint32_t side = 0; side < 2; side++) {
        uint32_t count = side ? i->line->right_count : i->line->left_count;
        for (uint32_t t = 0; t < count; t++) {
            const wm_placement *p = side ? &i->form->right[t] : &i->form->left[t];
            const wm_bound *b = side ? &i->in->right[t] : &i->in->left[t];
            for (uint32_t d = 0; d < p->dim_count; d++)
                if (b->known && !b->absent && node_has(&p->dims[d], axis)) {
                    *size = b->shape[p->dots != WM_NONE && d >= p->dots ? d + i->in->dots : d];
                    return &p->dims[d];
                }
        }
    }
    return NULL;
}

/* What an equation says of its unknown factors or terms: ", so h * w = 49"; "" if that is nothing new. Of a
 * product, `*left` is what the unknown factors give, 0 if that isn't known. */
static const char *what_follows(inference *i, const wm_node *dim, uint64_t size, uint64_t *left)
{
    wm_arena *arena = i->unit->arena;
    bool product = dim->kind == WM_NODE_GROUP;
    uint64_t known = product ? 1 : 0;
    const char *rest = "";
    *left = 0;
    if (!product && dim->kind != WM_NODE_BLOCKS)
        return "";
    for (uint32_t k = 0; k < dim->count; k++) {
        wm_linear e = wm_node_extent(i->in, &dim->kids[k]);
        if (!e.ok && e.overflow)
            return "";
        if (e.ok && e.axis == WM_NONE) {
            if (product ? __builtin_mul_overflow(known, (uint64_t)e.b, &known)
                        : __builtin_add_overflow(known, (uint64_t)e.b, &known))
                return "";
            continue;
        }
        if (dim->kids[k].kind != WM_NODE_AXIS)
            return "";
        rest = wm_format_text(arena, "%s%s%s", rest, *rest ? (product ? " * " : " + ") : "",
                              show_extent(i, &dim->kids[k]));
    }
    if (product && known && size % known == 0)
        *left = size / known;
    if (!*rest || known == 0 || (product && known == 1) || (product ? size % known != 0 : size < known))
        return "";
    return wm_format_text(arena, ", so %s = %llu", rest,
                          (unsigned long long)(product ? size / known : size - known));
}

static void report_unknown(inference *i)
{
    uint32_t first = WM_NONE, count = 0;
    const char *names = "", *example = "";
    uint64_t size = 0, left = 0;
    const wm_node *dim = NULL;
    for (uint32_t a = 0; a < i->form->axis_count; a++) {
        if (i->in->extents[a] >= 0 || (dim && !node_has(dim, a)))
            continue;
        if (first == WM_NONE) {
            first = a;
            dim = dimension_of(i, a, &size);
        }
        wm_str name = i->form->axes[a].name;
        const char *shown = name.len ? wm_quote(i->unit, name) : "`_`";
        names = wm_format_text(i->unit->arena, "%s%s%s", names, count ? " and " : "", shown);
        if (!*example && name.len)
            example = wm_format_text(i->unit->arena, "%.*s", (int)name.len, name.p);
        count++;
    }
    wm_diag *d = wm_instance_error(i->state, i->in, WM_E0505, dim ? dim->span : i->form->axes[first].span,
                                   "the extent%s of %s cannot be determined", count > 1 ? "s" : "", names);
    if (dim)
        wm_diag_label(i->unit, d, "%s = %llu%s", show_extent(i, dim), (unsigned long long)size,
                      what_follows(i, dim, size, &left));
    const char *given = count == 2 ? "one of them" : count > 2 ? "all but one of them" : "it";
    uint64_t root = count == 2 ? wm_size_root(left) : 0;
    const char *size_shown = root ? wm_format_text(i->unit->arena, "%u", (unsigned)root) : "...";
    if (*example) /* images are mostly square */
        wm_diag_hint(i->unit, d, "give %s, as in `where %s=%s`", given, example, size_shown);
    else
        wm_diag_hint(i->unit, d, "declare the target's shape, as in `: f32 [...]` after its layout");
    wm_note_tensors(i->state, i->in, d);
}

/* Whether an extent is unknown since another rule, which has an error, didn't tell it. */
static bool lost(inference *i)
{
    for (uint32_t a = 0; a < i->form->axis_count; a++) {
        const wm_axis *axis = &i->form->axes[a];
        if (i->in->extents[a] < 0 && axis->shared &&
            wm_shared_slot_of(i->state, axis->shared, axis->item, NULL)->lost)
            return true;
    }
    return false;
}

/* Names of the tensors that axes number, all of them. */
static void name_tensors(inference *i, uint32_t t)
{
    const wm_placement *p = &i->form->right[t];
    wm_bound *bound = &i->in->right[t];
    uint64_t total = 1;
    for (uint32_t a = 0; a < p->name_axis_count; a++)
        if (__builtin_mul_overflow(total, (uint64_t)i->in->extents[p->name_axes[a]], &total) ||
            total > MAX_UNSTACKED)
            total = MAX_UNSTACKED + 1;
    if (total > MAX_UNSTACKED) {
        wm_instance_error(i->state, i->in, WM_E0906, p->term->name.span, "this gives more than %d tensors",
                          MAX_UNSTACKED);
        return;
    }
    bound->count = (uint32_t)total;
    if (p->name_axis_count == 0)
        return;
    wm_capture *captures = wm_new(i->unit->scratch, wm_capture, i->line->var_count);
    memcpy(captures, i->in->captures, i->line->var_count * sizeof *captures);
    bound->names = wm_new(i->unit->scratch, wm_str, total);
    for (uint64_t n = 0; n < total && !i->in->failed; n++) {
        uint64_t rest = n;
        for (uint32_t a = p->name_axis_count; a-- > 0;) {
            uint64_t extent = (uint64_t)i->in->extents[p->name_axes[a]];
            captures[i->form->axes[p->name_axes[a]].var] =
                (wm_capture){.bound = true, .i = (int64_t)(rest % extent)};
            rest /= extent;
        }
        if (!wm_name_write(i->unit, &p->term->name, i->line->vars, i->line->var_count, captures,
                           &bound->names[n]))
            i->in->failed = true;
    }
}

static void shape_target(inference *i, uint32_t t)
{
    const wm_placement *p = &i->form->right[t];
    wm_bound *bound = &i->in->right[t];
    if (bound->absent)
        return;
    name_tensors(i, t);
    if (bound->known || i->in->failed)
        return;
    uint32_t rank = p->dim_count + i->in->dots;
    if (rank > WMAP_MAX_RANK) {
        wm_instance_error(i->state, i->in, WM_E0903, p->term->layout->span, "more than %d dimensions",
                          WMAP_MAX_RANK);
        return;
    }
    uint64_t *shape = wm_new(i->unit->arena, uint64_t, rank);
    for (uint32_t d = 0; d < p->dim_count; d++) {
        wm_linear e = wm_node_extent(i->in, &p->dims[d]);
        if (!e.ok) {
            wm_instance_error(i->state, i->in, WM_E0905, p->dims[d].span,
                              "the extent of this dimension is 2^63 or more");
            return;
        }
        shape[p->dots != WM_NONE && d >= p->dots ? d + i->in->dots : d] = (uint64_t)e.b;
    }
    for (uint32_t k = 0; k < i->in->dots; k++)
        shape[p->dots + k] = (uint64_t)i->in->extents[wm_dot_axis(i->form, k)];
    bound->rank = rank;
    bound->shape = shape;
    bound->known = true;
}

static inference inference_of(wm_state *state, size_t at)
{
    wm_instance *in = state->instances[at];
    return (inference){state, state->unit, in, in->form, in->form->line, false, NULL, (uint32_t)at};
}

/* Solves all instances, and those again that share an axis with one that told its extent. */
static void solve_all(wm_state *state)
{
    wm_arena *arena = state->unit->scratch;
    size_t count = state->instance_count;
    work w = {.size = count};
    w.ring = wm_new(arena, uint32_t, count);
    w.queued = wm_new(arena, bool, count);
    w.waits = wm_new(arena, bool, count);
    for (size_t n = 0; n < count; n++)
        if (!state->instances[n]->failed)
            enqueue(&w, (uint32_t)n);
    while (w.count) {
        inference i = inference_of(state, w.ring[w.first]);
        w.first = (w.first + 1) % w.size;
        w.count--;
        w.queued[i.number] = false;
        if (i.in->failed || i.in->settled)
            continue;
        i.work = &w;
        solve(&i);
        i.in->settled = !i.in->failed && all_known(&i);
        if (!i.in->failed && !i.in->settled)
            wait_for_shared(&i);
    }
    for (uint32_t n = 0; n < count; n++) {
        inference i = inference_of(state, n);
        for (uint32_t a = 0; w.waits[n] && a < i.form->axis_count; a++)
            if (i.form->axes[a].shared) /* waiters are of this batch's memory */
                wm_shared_slot_of(state, i.form->axes[a].shared, i.form->axes[a].item, i.in)->waiters = NULL;
    }
}

void wm_infer_pass(wm_state *state)
{
    for (size_t n = 0; n < state->instance_count; n++) {
        inference i = inference_of(state, n);
        if (!i.in->failed)
            set_up(&i);
    }
    solve_all(state);
    for (size_t n = 0; n < state->instance_count; n++)
        if (state->instances[n]->failed)
            wm_lose_shared(state, state->instances[n]->form->line);
    for (size_t n = 0; n < state->instance_count; n++) {
        inference i = inference_of(state, n);
        if (!i.in->failed && !i.in->settled) {
            count_declared(&i);
            solve(&i);
            settle_absent(&i);
            if (!i.in->failed && !all_known(&i)) {
                if (!lost(&i))
                    report_unknown(&i);
                i.in->failed = true;
            }
        }
        for (uint32_t t = 0; t < i.line->right_count && !i.in->failed; t++)
            shape_target(&i, t);
        i.in->settled = !i.in->failed;
    }
}
