/* layout.c: from the layouts of one line to pieces. Receives a line; gives its form: axes, tags, one tree a
 * dimension, and the pieces of both sides, paired by tags and axes. Works without a single extent: what is
 * wrong here is wrong for all tensors, and is said once for a rule, however many layers it matches. */
#include <stdlib.h>
#include <string.h>

#include "compiler/pass.h"

#define MAX_BLOCKS 4096
#define MAX_PIECES 65536

typedef struct layouter {
    wm_unit *unit;
    wm_form *form;
    wm_placement *placement; /* being compiled */
} layouter;

/* ---- axes, tags ---- */

static uint32_t find_axis(const wm_form *f, wm_str name)
{
    for (size_t a = 0; name.len && a < f->axis_count; a++)
        if (wm_str_eq(f->axes[a].name, name))
            return (uint32_t)a;
    return WM_NONE;
}

static uint32_t add_axis(layouter *l, wm_str name, wm_span span)
{
    wm_form *f = l->form;
    uint32_t known = find_axis(f, name);
    if (known != WM_NONE)
        return known;
    wm_axis *axis = wm_push(l->unit->scratch, f->axes, f->axis_count, f->axis_cap);
    *axis = (wm_axis){.name = name, .span = span, .var = WM_NO_VAR, .fixed = -1};
    for (uint32_t v = 0; name.len && v < f->line->var_count; v++) {
        if (wm_str_eq(f->line->vars[v].name, name)) {
            axis->var = v;
            f->is_axis[v] = true;
        }
    }
    for (const wm_axes *axes = f->line->axes; name.len && axes && !axis->shared; axes = axes->up)
        for (uint32_t i = 0; i < axes->count; i++)
            if (wm_str_eq(axes->items[i].name, name)) {
                axis->shared = axes;
                axis->item = i;
            }
    return (uint32_t)f->axis_count - 1;
}

static uint32_t add_tag(layouter *l, wm_str name, wm_span span)
{
    wm_form *f = l->form;
    for (size_t t = 0; t < f->tag_count; t++)
        if (wm_str_eq(f->tags[t].name, name))
            return (uint32_t)t;
    struct wm_form_tag *tag = wm_push(l->unit->scratch, f->tags, f->tag_count, f->tag_cap);
    tag->name = name;
    tag->span = span;
    return (uint32_t)f->tag_count - 1;
}

/* ---- trees ---- */

static void compile_factor(layouter *l, const wm_factor *factor, wm_node *node);

static void compile_factors(layouter *l, const wm_factor *factors, wm_node *node, wm_span span)
{
    node->kind = WM_NODE_GROUP;
    node->span = span;
    for (const wm_factor *f = factors; f; f = f->next)
        node->count++;
    node->kids = wm_new(l->unit->scratch, wm_node, node->count);
    uint32_t i = 0;
    for (const wm_factor *f = factors; f; f = f->next)
        compile_factor(l, f, &node->kids[i++]);
}

static void compile_blocks(layouter *l, const wm_factor *factor, wm_node *node)
{
    node->kind = WM_NODE_BLOCKS;
    node->blocks = l->placement->blocks++;
    for (const wm_block *b = factor->blocks; b; b = b->next)
        node->count++;
    if (node->count > MAX_BLOCKS) {
        wm_error(l->unit, WM_E0903, factor->span, "%u blocks in one dimension, the limit is %d", node->count,
                 MAX_BLOCKS);
        l->form->failed = true;
        node->count = 0;
        return;
    }
    node->kids = wm_new(l->unit->scratch, wm_node, node->count);
    node->block = wm_new(l->unit->scratch, struct wm_nblock, node->count);
    uint32_t i = 0;
    for (const wm_block *b = factor->blocks; b; b = b->next, i++) {
        node->block[i].unnamed = b->unnamed;
        node->block[i].span = b->span;
        node->block[i].tag = b->tag && !b->unnamed ? add_tag(l, b->tag->text, b->tag->span) : WM_NONE;
        l->placement->unnamed |= b->unnamed;
        wm_node *body = &node->kids[i];
        if (b->factors) {
            compile_factors(l, b->factors, body, b->span);
        } else if (b->unnamed && factor->kind == WM_FA_BLOCKS) { /* what is left: an extent of its own */
            *body = (wm_node){
                .kind = WM_NODE_AXIS, .span = b->span, .axis = add_axis(l, (wm_str){"", 0}, b->span)};
        } else {
            *body = (wm_node){.kind = WM_NODE_ONE, .span = b->span};
        }
    }
}

static void compile_factor(layouter *l, const wm_factor *factor, wm_node *node)
{
    node->span = factor->span;
    switch (factor->kind) {
    case WM_FA_AXIS:
    case WM_FA_REVERSED:
    case WM_FA_EQUAL:
        node->kind = WM_NODE_AXIS;
        node->reversed = factor->kind == WM_FA_REVERSED;
        node->equal = factor->kind == WM_FA_EQUAL;
        node->axis = add_axis(l, factor->name->text, factor->name->span);
        break;
    case WM_FA_NUMBER: /* resolve let 1 through, and the extent of a block that is left out */
        node->kind = factor->value == 1 ? WM_NODE_ONE : WM_NODE_AXIS;
        if (factor->value != 1) {
            node->axis = add_axis(l, (wm_str){"", 0}, factor->span);
            l->form->axes[node->axis].fixed = factor->value;
        }
        break;
    case WM_FA_GROUP:
        compile_factors(l, factor->factors, node, factor->span);
        break;
    case WM_FA_LABELS:
    case WM_FA_BLOCKS:
        compile_blocks(l, factor, node);
        break;
    case WM_FA_DOTS:
        break;
    }
}

static void compile_placement(layouter *l, wm_placement *placement, const wm_term *term)
{
    l->placement = placement;
    placement->term = term;
    placement->dots = WM_NONE;
    uint32_t count = 0;
    for (const wm_factor *f = term->layout->factors; f; f = f->next)
        count += f->kind != WM_FA_DOTS;
    placement->dims = wm_new(l->unit->scratch, wm_node, count);
    for (const wm_factor *f = term->layout->factors; f; f = f->next) {
        if (f->kind == WM_FA_DOTS)
            placement->dots = placement->dim_count;
        else
            compile_factor(l, f, &placement->dims[placement->dim_count++]);
    }
}

/* ---- axes that number tensors ---- */

typedef struct name_axes {
    layouter *l;
    wm_placement *placement;
    const wm_hole *hole;
} name_axes;

static void name_axis(void *user, const wm_word *word)
{
    name_axes *n = user;
    wm_form *f = n->l->form;
    for (size_t a = 0; a < f->axis_count; a++) {
        if (f->axes[a].var == WM_NO_VAR || !wm_str_eq(f->axes[a].name, word->text))
            continue;
        wm_placement *p = n->placement;
        for (uint32_t i = 0; i < p->name_axis_count; i++)
            if (p->name_axes[i] == a)
                return;
        if (p->name_axis_count < f->line->var_count)
            p->name_axes[p->name_axis_count++] = (uint32_t)a;
    }
}

/* `{=s}`: of a target an axis that numbers tensors, of a source the number of copies, whatever their names.
 */
static void copy_axis(name_axes *n, bool left)
{
    const wm_var *var = &n->l->form->line->vars[n->hole->var];
    wm_placement *p = n->placement;
    uint32_t axis = add_axis(n->l, var->name, n->hole->span);
    for (uint32_t i = 0; i < p->copy_axis_count; i++)
        if (p->copy_axes[i] == axis)
            return;
    p->copy_axes[p->copy_axis_count++] = axis;
    if (!left)
        p->name_axes[p->name_axis_count++] = axis;
}

static void find_name_axes(layouter *l, wm_placement *placement, bool left)
{
    placement->name_axes = wm_new(l->unit->scratch, uint32_t, l->form->line->var_count);
    placement->copy_axes = wm_new(l->unit->scratch, uint32_t, l->form->line->var_count);
    const wm_pattern *name = &placement->term->name;
    for (uint32_t h = 0; h < name->count; h++) {
        name_axes n = {l, placement, &name->holes[h]};
        if (name->holes[h].equal && name->holes[h].var != WM_NO_VAR)
            copy_axis(&n, left);
        else if (name->holes[h].kind == WM_HOLE_VALUE)
            wm_free_names(name->scope, name->holes[h].expr, name_axis, &n);
    }
}

/* ---- pieces ---- */

/* A list of choices: `count` arrays of `blocks` numbers. */
typedef struct choices {
    uint32_t *at;
    size_t count;
} choices;

static bool too_many(layouter *l, size_t count)
{
    if (count <= MAX_PIECES)
        return false;
    if (!l->form->failed)
        wm_error(l->unit, WM_E0903, l->placement->term->span, "this layout has more than %d pieces",
                 MAX_PIECES);
    l->form->failed = true;
    return true;
}

static choices no_choice(layouter *l)
{
    uint32_t blocks = l->placement->blocks;
    choices one = {wm_new(l->unit->scratch, uint32_t, blocks), 1};
    memset(one.at, 0xff, blocks * sizeof *one.at);
    return one;
}

/* Every choice of a with every choice of b. */
static choices product(layouter *l, choices a, choices b)
{
    uint32_t blocks = l->placement->blocks;
    if (b.count == 1 && a.count == 1) {
        for (uint32_t i = 0; i < blocks; i++)
            if (b.at[i] != WM_NONE)
                a.at[i] = b.at[i];
        return a;
    }
    if (too_many(l, a.count * b.count))
        return (choices){NULL, 0};
    choices out = {wm_alloc_array(l->unit->scratch, a.count * b.count, blocks * sizeof *out.at), 0};
    for (size_t x = 0; x < a.count; x++)
        for (size_t y = 0; y < b.count; y++) {
            uint32_t *to = out.at + out.count++ * blocks;
            for (uint32_t i = 0; i < blocks; i++)
                to[i] = a.at[x * blocks + i] != WM_NONE ? a.at[x * blocks + i] : b.at[y * blocks + i];
        }
    return out;
}

static choices choose(layouter *l, const wm_node *node)
{
    uint32_t blocks = l->placement->blocks;
    choices all = {NULL, 0};
    if (node->kind == WM_NODE_GROUP) {
        all = no_choice(l);
        for (uint32_t k = 0; k < node->count; k++)
            if (node->kids[k].kind == WM_NODE_GROUP || node->kids[k].kind == WM_NODE_BLOCKS)
                all = product(l, all, choose(l, &node->kids[k]));
        return all;
    }
    if (node->kind != WM_NODE_BLOCKS)
        return no_choice(l);
    size_t cap = 0;
    for (uint32_t k = 0; k < node->count && !l->form->failed; k++) {
        choices inner = choose(l, &node->kids[k]);
        if (too_many(l, all.count + inner.count))
            break;
        all.at = wm_grow(l->unit->scratch, all.at, all.count, all.count + inner.count, &cap,
                         blocks * sizeof *all.at);
        memcpy(all.at + all.count * blocks, inner.at, inner.count * blocks * sizeof *all.at);
        for (size_t i = 0; i < inner.count; i++)
            all.at[(all.count + i) * blocks + node->blocks] = k;
        all.count += inner.count;
    }
    return all;
}

static int ascending(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

typedef struct gather {
    layouter *l;
    wm_piece *piece;
    uint32_t *dim_of; /* 1 + the dimension in which an axis was seen */
    uint32_t dim;
    size_t tag_cap, axis_cap, equal_cap;
    size_t tags, axes, equals;
} gather;

/* An axis of the piece, or one along which it doesn't vary; not both (E0204). */
static void gather_axis(gather *g, const wm_node *node)
{
    wm_arena *arena = g->l->unit->scratch;
    wm_form *f = g->l->form;
    bool mixed = node->equal ? wm_among(g->piece->axes, g->axes, node->axis)
                             : wm_among(g->piece->equals, g->equals, node->axis);
    if (mixed && !f->failed) {
        wm_str name = f->axes[node->axis].name;
        wm_error(g->l->unit, WM_E0204, node->span, "%s stands in this layout with `=` and without",
                 wm_quote(g->l->unit, name));
        f->failed = true;
    }
    if (mixed || g->dim_of[node->axis])
        return;
    if (node->equal)
        *wm_push(arena, g->piece->equals, g->equals, g->equal_cap) = node->axis;
    else
        *wm_push(arena, g->piece->axes, g->axes, g->axis_cap) = node->axis;
}

static void gather_node(gather *g, const wm_node *node)
{
    wm_arena *arena = g->l->unit->scratch;
    if (node->kind == WM_NODE_AXIS) {
        if (g->dim_of[node->axis] && g->dim_of[node->axis] != g->dim + 1)
            g->piece->twice = true;
        gather_axis(g, node);
        g->dim_of[node->axis] = g->dim + 1;
    } else if (node->kind == WM_NODE_GROUP) {
        for (uint32_t k = 0; k < node->count; k++)
            gather_node(g, &node->kids[k]);
    } else if (node->kind == WM_NODE_BLOCKS) {
        uint32_t k = g->piece->choice[node->blocks];
        if (k == WM_NONE)
            return;
        g->piece->unnamed |= node->block[k].unnamed;
        if (node->block[k].tag != WM_NONE)
            *wm_push(arena, g->piece->tags, g->tags, g->tag_cap) = node->block[k].tag;
        gather_node(g, &node->kids[k]);
    }
}

/* A name on the left of `where` must be an axis. */
static void check_bound(layouter *l, const wm_word *word)
{
    wm_form *f = l->form;
    bool found = find_axis(f, word->text) != WM_NONE;
    wm_near near;
    wm_near_init(&near, word->text);
    for (size_t a = 0; a < f->axis_count; a++)
        wm_near_try(&near, f->axes[a].name);
    for (const wm_axes *axes = f->line->axes; axes; axes = axes->up)
        for (uint32_t i = 0; i < axes->count; i++)
            found |= wm_str_eq(axes->items[i].name, word->text);
    if (found)
        return;
    bool captured = false;
    for (uint32_t v = 0; v < f->line->var_count; v++)
        captured |= wm_str_eq(f->line->vars[v].name, word->text);
    wm_diag *d = wm_error(l->unit, WM_E0301, word->span,
                          captured ? "%s is captured from a name; `where` gives extents of axes"
                                   : "%s is not an axis of this rule",
                          wm_quote(l->unit, word->text));
    if (!captured)
        wm_diag_near(l->unit, d, &near);
    f->failed = true;
}

/* The axes that `( ) = ( )` relates. */
static void find_recounts(layouter *l)
{
    wm_form *f = l->form;
    for (const wm_binding *b = f->line->where; b; b = b->next) {
        if (!b->other)
            continue;
        wm_recount r = {.span = b->span};
        bool ok = true;
        for (int side = 0; side < 2; side++) {
            size_t cap = 0, count = 0;
            for (const wm_word *w = side ? b->other : b->names; w; w = w->next) {
                uint32_t a = find_axis(f, w->text);
                check_bound(l, w);
                ok &= a != WM_NONE;
                if (a == WM_NONE)
                    continue;
                if (f->axes[a].var != WM_NO_VAR) {
                    wm_error(l->unit, WM_E0216, w->span,
                             "the axis %s numbers tensors: it can't be counted in another way",
                             wm_quote(l->unit, w->text));
                    f->failed = true;
                }
                *wm_push(l->unit->scratch, r.axes[side], count, cap) = a;
            }
            r.count[side] = (uint32_t)count;
        }
        if (ok)
            *wm_push(l->unit->scratch, f->recounts, f->recount_count, f->recount_cap) = r;
    }
}

static bool has_all(const wm_piece *piece, const uint32_t *axes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (!bsearch(&axes[i], piece->axes, piece->axis_count, sizeof *axes, ascending))
            return false;
    return true;
}

/* All axes of one side of a `( ) = ( )` stand for those of the other. Numbers from axis_count on are such. */
static void make_keys(layouter *l, wm_piece *piece)
{
    wm_form *f = l->form;
    piece->keys = piece->axes;
    piece->key_count = piece->axis_count;
    for (size_t r = 0; r < f->recount_count; r++) {
        const wm_recount *re = &f->recounts[r];
        bool here[2] = {has_all(piece, re->axes[0], re->count[0]), has_all(piece, re->axes[1], re->count[1])};
        if (here[0] && here[1] && !f->failed) {
            wm_error(l->unit, WM_E0216, re->span, "both sides of this `( ) = ( )` stand in one layout");
            f->failed = true;
        }
        if (here[0] == here[1])
            continue;
        const uint32_t *axes = re->axes[here[1]];
        uint32_t *keys = wm_new(l->unit->scratch, uint32_t, piece->key_count + 1), count = 0;
        for (uint32_t k = 0; k < piece->key_count; k++)
            if (!wm_among(axes, re->count[here[1]], piece->keys[k]))
                keys[count++] = piece->keys[k];
        keys[count++] = (uint32_t)(f->axis_count + r);
        piece->keys = keys;
        piece->key_count = count;
    }
}

/* An axis that is there under another name isn't missed. */
static void mark_recounted(wm_form *f, const wm_piece *piece, bool left)
{
    for (uint32_t k = 0; k < piece->key_count; k++) {
        if (piece->keys[k] < f->axis_count)
            continue;
        const wm_recount *re = &f->recounts[piece->keys[k] - f->axis_count];
        for (int side = 0; side < 2; side++)
            for (uint32_t i = 0; i < re->count[side]; i++)
                *(left ? &f->axes[re->axes[side][i]].left : &f->axes[re->axes[side][i]].right) = true;
    }
}

static void fill_piece(layouter *l, wm_piece *piece, uint32_t term_tag)
{
    wm_placement *p = l->placement;
    gather g = {.l = l, .piece = piece};
    g.dim_of = wm_new(l->unit->scratch, uint32_t, l->form->axis_count);
    if (term_tag != WM_NONE)
        *wm_push(l->unit->scratch, piece->tags, g.tags, g.tag_cap) = term_tag;
    for (g.dim = 0; g.dim < p->dim_count; g.dim++)
        gather_node(&g, &p->dims[g.dim]);
    for (uint32_t i = 0; i < p->name_axis_count; i++)
        if (wm_among(p->copy_axes, p->copy_axis_count, p->name_axes[i]))
            *wm_push(l->unit->scratch, piece->equals, g.equals, g.equal_cap) = p->name_axes[i];
        else
            *wm_push(l->unit->scratch, piece->axes, g.axes, g.axis_cap) = p->name_axes[i];
    piece->equal_count = (uint32_t)g.equals;
    piece->tag_count = (uint32_t)g.tags;
    piece->axis_count = (uint32_t)g.axes;
    if (g.tags > 1)
        qsort(piece->tags, g.tags, sizeof *piece->tags, ascending);
    if (g.axes > 1)
        qsort(piece->axes, g.axes, sizeof *piece->axes, ascending);
    make_keys(l, piece);
    piece->pair = WM_NONE;
}

static void expand(layouter *l, uint32_t term, wm_placement *placement, bool left)
{
    wm_form *f = l->form;
    l->placement = placement;
    choices all = no_choice(l);
    for (uint32_t d = 0; d < placement->dim_count && !f->failed; d++)
        if (placement->dims[d].kind == WM_NODE_GROUP || placement->dims[d].kind == WM_NODE_BLOCKS)
            all = product(l, all, choose(l, &placement->dims[d]));
    if (f->failed)
        return;
    const wm_term *t = placement->term;
    uint32_t tag = t->tag.len ? add_tag(l, t->tag, t->tag_span) : WM_NONE;
    for (size_t i = 0; i < all.count; i++) {
        wm_piece *piece = left ? wm_push(l->unit->scratch, f->sources, f->source_count, f->source_cap)
                               : wm_push(l->unit->scratch, f->targets, f->target_count, f->target_cap);
        piece->term = term;
        piece->second = t->second;
        piece->choice = all.at + i * placement->blocks;
        fill_piece(l, piece, tag);
        if (t->second) /* it names nothing: a lonely axis of it is E0516 */
            continue;
        for (uint32_t a = 0; a < piece->axis_count && !piece->unnamed; a++)
            *(left ? &f->axes[piece->axes[a]].left : &f->axes[piece->axes[a]].right) = true;
        if (!piece->unnamed)
            mark_recounted(f, piece, left);
        for (uint32_t a = 0; a < piece->tag_count && !piece->unnamed; a++)
            *(left ? &f->tags[piece->tags[a]].left : &f->tags[piece->tags[a]].right) = true;
    }
}

static void check_where(layouter *l)
{
    for (const wm_binding *b = l->form->line->where; b; b = b->next)
        if (!b->other)
            check_bound(l, b->names);
}

wm_form *wm_layout_pass(wm_unit *unit, const wm_line *line)
{
    wm_arena *arena = unit->scratch;
    wm_form *f = wm_new(arena, wm_form, 1);
    layouter l = {unit, f, NULL};
    f->line = line;
    f->is_axis = wm_new(arena, bool, line->var_count);
    f->left = wm_new(arena, wm_placement, line->left_count);
    f->right = wm_new(arena, wm_placement, line->right_count);
    for (uint32_t t = 0; t < line->left_count; t++)
        compile_placement(&l, &f->left[t], &line->left[t]);
    for (uint32_t t = 0; t < line->right_count; t++)
        compile_placement(&l, &f->right[t], &line->right[t]);
    for (uint32_t t = 0; t < line->left_count; t++)
        find_name_axes(&l, &f->left[t], true);
    for (uint32_t t = 0; t < line->right_count; t++)
        find_name_axes(&l, &f->right[t], false);
    find_recounts(&l);
    for (uint32_t t = 0; t < line->left_count && !f->failed; t++)
        expand(&l, t, &f->left[t], true);
    for (uint32_t t = 0; t < line->right_count && !f->failed; t++)
        expand(&l, t, &f->right[t], false);
    wm_pair_pieces(unit, f);
    check_where(&l);
    return f;
}
