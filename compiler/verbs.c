/* verbs.c: verbs are layouts. Receives a rule with `permute`, `flip`, `split`, `merge` before it; gives the
 * layouts that mean the same over fresh axes `$0 $1 ...`, so that no later pass knows verbs. */
#include "compiler/resolve_internal.h"

/* A dimension of what the verbs have made so far. */
typedef struct dim {
    uint32_t axis; /* $axis: the dimension of the source */
    bool reversed;
    bool joined;       /* it was merged: blocks, one an operand */
    bool parts_turned; /* the blocks stand in the other order */
} dim;

typedef struct expander {
    wm_resolver *r;
    const wm_rule *rule;
    uint32_t left, right; /* operands */
    dim dims[WMAP_MAX_RANK];
    uint32_t rank;        /* explicit dimensions */
    bool rest;            /* ... and `...` behind them */
    uint32_t axes;        /* of the source: as many explicit dimensions */
    const wm_verb *parts; /* the split or merge */
    uint32_t cut;         /* its axis */
    bool cut_turned;      /* a flip before the split: the last part comes first */
} expander;

/* ---- the tree ---- */

static wm_word *new_word(expander *e, wm_span span, const char *prefix, uint32_t number)
{
    wm_word *w = wm_new(e->r->unit->arena, wm_word, 1);
    const char *text = wm_format_text(e->r->unit->arena, "%s%u", prefix, number);
    uint32_t len = 0;
    while (text[len])
        len++;
    *w = (wm_word){.text = {text, len}, .span = span};
    return w;
}

static wm_factor *new_factor(expander *e, wm_factor_kind kind, wm_span span)
{
    wm_factor *f = wm_new(e->r->unit->arena, wm_factor, 1);
    f->kind = kind;
    f->span = span;
    return f;
}

static wm_factor *axis_factor(expander *e, wm_span span, const char *prefix, uint32_t number, bool reversed)
{
    wm_factor *f = new_factor(e, reversed ? WM_FA_REVERSED : WM_FA_AXIS, span);
    f->name = new_word(e, span, prefix, number);
    return f;
}

/* {t0 t1 ...}, or blocks (t0: $x0 | t1: $x1 ...) with `axes`. */
static wm_factor *parts_factor(expander *e, wm_span span, uint32_t count, bool turned, bool axes,
                               bool reversed)
{
    wm_factor *f = new_factor(e, axes ? WM_FA_BLOCKS : WM_FA_LABELS, span);
    wm_block **tail = &f->blocks;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t part = turned ? count - 1 - i : i;
        wm_block *b = wm_new(e->r->unit->arena, wm_block, 1);
        b->span = span;
        b->tag = new_word(e, span, "t", part);
        if (axes)
            b->factors = axis_factor(e, span, "$x", part, reversed);
        *tail = b;
        tail = &b->next;
    }
    return f;
}

/* `tail` is the end of the list `*factors`, and `*factors` itself while that is empty. */
static wm_layout *new_layout(expander *e, wm_factor **factors, wm_factor **tail)
{
    wm_layout *layout = wm_new(e->r->unit->arena, wm_layout, 1);
    layout->span = e->rule->verbs->span;
    if (e->rest)
        *tail = new_factor(e, WM_FA_DOTS, layout->span);
    layout->factors = *factors;
    return layout;
}

static const wm_layout *source_layout(expander *e, uint32_t operand)
{
    wm_span span = e->rule->verbs->span;
    wm_factor *factors = NULL, **tail = &factors;
    for (uint32_t a = 0; a < e->axes; a++) {
        wm_factor *f;
        if (e->parts && a == e->cut && e->parts->kind == WM_VERB_SPLIT) {
            f = new_factor(e, WM_FA_GROUP, e->parts->span);
            f->factors = parts_factor(e, e->parts->span, e->right, e->cut_turned, false, false);
            f->factors->next = axis_factor(e, e->parts->span, "$", a, false);
        } else if (e->parts && a == e->cut) {
            f = axis_factor(e, e->parts->span, "$x", operand, false);
        } else {
            f = axis_factor(e, span, "$", a, false);
        }
        *tail = f;
        tail = &f->next;
    }
    return new_layout(e, &factors, tail);
}

static const wm_layout *target_layout(expander *e)
{
    wm_span span = e->rule->verbs->span;
    wm_factor *factors = NULL, **tail = &factors;
    for (uint32_t d = 0; d < e->rank; d++) {
        const dim *at = &e->dims[d];
        wm_factor *f = at->joined
                           ? parts_factor(e, e->parts->span, e->left, at->parts_turned, true, at->reversed)
                           : axis_factor(e, span, "$", at->axis, at->reversed);
        *tail = f;
        tail = &f->next;
    }
    return new_layout(e, &factors, tail);
}

/* ---- the verbs ---- */

/* Makes the first `count` dimensions explicit; false if the rank is known to be smaller, or too large. */
static bool reach(expander *e, int64_t count)
{
    if (count <= e->rank)
        return true;
    if (!e->rest || count > WMAP_MAX_RANK)
        return false;
    while (e->rank < count)
        e->dims[e->rank++] = (dim){.axis = e->axes++};
    return true;
}

static bool bad_permutation(expander *e, wm_span span, const char *why)
{
    wm_diag *d = wm_error(e->r->unit, WM_E0211, span, "this is not a permutation: %s", why);
    wm_diag_hint(e->r->unit, d, "it holds each dimension once, counted from 0, as in `permute (3 2 0 1)`");
    return false;
}

static bool permute(expander *e, const wm_verb *verb)
{
    uint32_t count = 0;
    for (const struct wm_verb_dim *x = verb->dims; x; x = x->next)
        count++;
    if (!reach(e, count) || (!e->rest && e->rank != count))
        return bad_permutation(e, verb->span,
                               e->rest ? "there are too many dimensions"
                                       : "the verbs before it say another rank");
    if (e->rest && e->rank > count)
        return bad_permutation(e, verb->span, "the verbs before it name more dimensions");
    dim now[WMAP_MAX_RANK];
    bool used[WMAP_MAX_RANK] = {false};
    uint32_t i = 0;
    for (const struct wm_verb_dim *x = verb->dims; x; x = x->next, i++) {
        if (x->value < 0 || x->value >= count)
            return bad_permutation(e, x->span, "there is no such dimension");
        if (used[x->value])
            return bad_permutation(e, x->span, "this dimension stands twice");
        used[x->value] = true;
        now[i] = e->dims[x->value];
    }
    for (i = 0; i < count; i++)
        e->dims[i] = now[i];
    e->rest = false;
    return true;
}

static bool flip(expander *e, const wm_verb *verb)
{
    for (const struct wm_verb_dim *x = verb->dims; x; x = x->next) {
        bool twice = false;
        for (const struct wm_verb_dim *y = verb->dims; y != x; y = y->next)
            twice |= y->value == x->value;
        if (twice || x->value < 0 || x->value >= WMAP_MAX_RANK || !reach(e, x->value + 1)) {
            wm_error(e->r->unit, WM_E0212, x->span,
                     twice ? "this dimension is flipped twice" : "there is no such dimension to flip");
            return false;
        }
        dim *d = &e->dims[x->value];
        d->reversed = !d->reversed;
        d->parts_turned ^= d->joined;
    }
    return true;
}

static bool cut(expander *e, const wm_verb *verb)
{
    if (e->parts) {
        wm_diag *d = wm_error(e->r->unit, WM_E0213, verb->span, "a rule has at most one `split` or `merge`");
        wm_diag_also(e->r->unit, d, e->parts->span, "the first");
        return false;
    }
    bool split = verb->kind == WM_VERB_SPLIT;
    int64_t at = verb->dims->value;
    if (at < 0 || at >= WMAP_MAX_RANK || !reach(e, at + 1)) {
        wm_error(e->r->unit, WM_E0213, verb->dims->span, "there is no such dimension to %s",
                 split ? "split" : "merge");
        return false;
    }
    dim *d = &e->dims[at];
    e->parts = verb;
    e->cut = d->axis;
    e->cut_turned = split && d->reversed;
    d->joined = !split; /* the parts keep their order; each is reversed if it was before */
    return true;
}

static bool count_operands(expander *e)
{
    const wm_rule *rule = e->rule;
    const wm_verb *parts = NULL;
    for (const wm_verb *v = rule->verbs; v; v = v->next)
        if (!parts && (v->kind == WM_VERB_SPLIT || v->kind == WM_VERB_MERGE))
            parts = v;
    for (const wm_operand *o = rule->left; o; o = o->next)
        e->left++;
    for (const wm_operand *o = rule->right; o; o = o->next)
        e->right++;
    const wm_verb *at = parts ? parts : rule->verbs;
    const char *what = NULL;
    if (parts && parts->kind == WM_VERB_MERGE) {
        if (e->left < 2 || e->right != 1)
            what = "`merge` takes two or more tensors and gives one";
    } else if (parts) {
        if (e->left != 1 || e->right < 2)
            what = "`split` takes one tensor and gives two or more";
    } else if (e->left != 1) {
        what = "this verb takes one tensor";
    }
    if (what)
        wm_error(e->r->unit, WM_E0213, at->span, "%s, not %u and %u", what, e->left, e->right);
    return !what;
}

static bool refuse_layout(expander *e, const wm_layout *layout, const wm_word *tag)
{
    if (!layout && !tag)
        return true;
    wm_diag *d = wm_error(e->r->unit, WM_E0210, layout ? layout->span : tag->span,
                          "a rule has verbs or %s, not both", layout ? "layouts" : "tags");
    wm_diag_also(e->r->unit, d, e->rule->verbs->span, "the verb");
    return false;
}

static bool refuse_layouts(expander *e)
{
    bool ok = true;
    for (const wm_operand *o = e->rule->left; o; o = o->next) {
        const wm_value *v = o->value; /* arithmetic is refused elsewhere */
        ok &= refuse_layout(e, v && v->kind == WM_VA_PLACE ? v->place->layout : NULL, o->tag);
    }
    for (const wm_operand *o = e->rule->right; o; o = o->next)
        ok &= refuse_layout(e, o->place->layout, o->tag);
    return ok;
}

bool wm_expand_verbs(wm_resolver *r, const wm_rule *rule, wm_verb_form *form)
{
    wm_arena *arena = r->unit->arena;
    expander *e = wm_new(arena, expander, 1);
    e->r = r;
    e->rule = rule;
    e->rest = true;
    if (!refuse_layouts(e) || !count_operands(e))
        return false;
    for (const wm_verb *v = rule->verbs; v; v = v->next) {
        bool ok = true;
        if (v->kind == WM_VERB_PERMUTE)
            ok = permute(e, v);
        else if (v->kind == WM_VERB_FLIP)
            ok = flip(e, v);
        else if (v->kind == WM_VERB_SPLIT || v->kind == WM_VERB_MERGE)
            ok = cut(e, v);
        if (!ok)
            return false;
    }
    *form =
        (wm_verb_form){wm_new(arena, const wm_layout *, e->left), wm_new(arena, const wm_layout *, e->right),
                       wm_new(arena, wm_str, e->left), wm_new(arena, wm_str, e->right)};
    for (uint32_t i = 0; i < e->left; i++) {
        form->left[i] = source_layout(e, i);
        if (e->parts && e->parts->kind == WM_VERB_MERGE)
            form->left_tags[i] = new_word(e, e->parts->span, "t", i)->text;
    }
    for (uint32_t i = 0; i < e->right; i++) {
        form->right[i] = target_layout(e);
        if (e->parts && e->parts->kind == WM_VERB_SPLIT)
            form->right_tags[i] = new_word(e, e->parts->span, "t", i)->text;
    }
    return true;
}
