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

static uint32_t add_axis(layouter *l, wm_str name, wm_span span)
{
    wm_form *f = l->form;
    for (size_t a = 0; name.len && a < f->axis_count; a++)
        if (wm_str_eq(f->axes[a].name, name))
            return (uint32_t)a;
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

static void find_name_axes(layouter *l, wm_placement *placement)
{
    placement->name_axes = wm_new(l->unit->scratch, uint32_t, l->form->line->var_count);
    const wm_pattern *name = &placement->term->name;
    for (uint32_t h = 0; h < name->count; h++) {
        name_axes n = {l, placement, &name->holes[h]};
        if (name->holes[h].kind == WM_HOLE_VALUE)
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
    size_t tag_cap, axis_cap;
    size_t tags, axes;
} gather;

static void gather_node(gather *g, const wm_node *node)
{
    wm_arena *arena = g->l->unit->scratch;
    if (node->kind == WM_NODE_AXIS) {
        if (g->dim_of[node->axis] && g->dim_of[node->axis] != g->dim + 1)
            g->piece->twice = true;
        if (!g->dim_of[node->axis])
            *wm_push(arena, g->piece->axes, g->axes, g->axis_cap) = node->axis;
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
        *wm_push(l->unit->scratch, piece->axes, g.axes, g.axis_cap) = p->name_axes[i];
    piece->tag_count = (uint32_t)g.tags;
    piece->axis_count = (uint32_t)g.axes;
    if (g.tags > 1)
        qsort(piece->tags, g.tags, sizeof *piece->tags, ascending);
    if (g.axes > 1)
        qsort(piece->axes, g.axes, sizeof *piece->axes, ascending);
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
        piece->choice = all.at + i * placement->blocks;
        fill_piece(l, piece, tag);
        for (uint32_t a = 0; a < piece->axis_count && !piece->unnamed; a++)
            *(left ? &f->axes[piece->axes[a]].left : &f->axes[piece->axes[a]].right) = true;
        for (uint32_t a = 0; a < piece->tag_count && !piece->unnamed; a++)
            *(left ? &f->tags[piece->tags[a]].left : &f->tags[piece->tags[a]].right) = true;
    }
}

/* ---- pairing ---- */

static wm_str piece_key(layouter *l, const wm_piece *p)
{
    uint32_t len = (1 + p->tag_count + p->axis_count) * (uint32_t)sizeof(uint32_t);
    uint32_t *key = wm_alloc(l->unit->scratch, len);
    key[0] = p->tag_count;
    if (p->tag_count)
        memcpy(key + 1, p->tags, p->tag_count * sizeof *key);
    if (p->axis_count)
        memcpy(key + 1 + p->tag_count, p->axes, p->axis_count * sizeof *key);
    return (wm_str){(const char *)key, len};
}

/* "block `f` over n, u" */
static const char *show_piece(layouter *l, const wm_piece *p)
{
    wm_unit *u = l->unit;
    const char *text = "";
    for (uint32_t i = 0; i < p->tag_count; i++)
        text = wm_format_text(u->arena, "%s%s%s", text, i ? " " : "",
                              wm_quote(u, l->form->tags[p->tags[i]].name));
    const char *axes = "";
    for (uint32_t i = 0; i < p->axis_count; i++)
        axes = wm_format_text(u->arena, "%s%s%s", axes, i ? " " : "",
                              wm_quote(u, l->form->axes[p->axes[i]].name));
    return wm_format_text(u->arena, "%s%s%s%s", p->tag_count ? "block " : "the part", text,
                          p->axis_count ? " over " : " of one element", axes);
}

static bool can_copy(const wm_form *f, const wm_piece *p)
{
    for (size_t i = 0; i < f->target_count; i++)
        if (&f->targets[i] != p && f->targets[i].pair == p->pair && f->targets[i].term != p->term &&
            !f->right[f->targets[i].term].term->optional)
            return true;
    return false;
}

/* The first blocks, from the outside, in which two pieces of one layout differ. */
static bool find_difference(const wm_node *node, const wm_piece *a, const wm_piece *b, wm_span *first,
                            wm_span *second)
{
    if (node->kind == WM_NODE_BLOCKS) {
        uint32_t x = a->choice[node->blocks], y = b->choice[node->blocks];
        if (x == WM_NONE || y == WM_NONE)
            return false;
        if (x == y)
            return find_difference(&node->kids[x], a, b, first, second);
        *first = node->block[x].span;
        *second = node->block[y].span;
        return true;
    }
    for (uint32_t k = 0; node->kind == WM_NODE_GROUP && k < node->count; k++)
        if (find_difference(&node->kids[k], a, b, first, second))
            return true;
    return false;
}

static void same_piece(layouter *l, const wm_piece *a, const wm_piece *b, bool left)
{
    wm_form *f = l->form;
    const wm_term *ta = (left ? f->left : f->right)[a->term].term,
                  *tb = (left ? f->left : f->right)[b->term].term;
    if (f->failed)
        return;
    f->failed = true;
    if (a->term == b->term) {
        const wm_placement *p = &(left ? f->left : f->right)[b->term];
        wm_span first = tb->layout->span, second = first;
        for (uint32_t d = 0; d < p->dim_count; d++)
            if (find_difference(&p->dims[d], a, b, &first, &second))
                break;
        wm_diag *d =
            wm_error(l->unit, WM_E0214, second, "two blocks of this layout cannot be told apart: both are %s",
                     show_piece(l, b));
        wm_diag_also(l->unit, d, first, "the first");
        wm_diag_hint(l->unit, d, "blocks differ in their names or in their axes, as in `(p: x | q: x)`");
        return;
    }
    wm_diag *d = wm_error(l->unit, WM_E0517, tb->span, "two operands of the source hold the same piece%s",
                          a->tag_count ? "" : ", without tags");
    wm_diag_also(l->unit, d, ta->span, "the first");
    wm_diag_hint(l->unit, d, "parts of one array need tags; equal copies need `equal` before the rule");
}

/* The axes (or tags) that only the other side has, as "`v`" or "i f c o". */
static void only_axes(layouter *l, bool left)
{
    wm_form *f = l->form;
    size_t other = 0;
    for (size_t a = 0; a < f->axis_count; a++) {
        wm_axis *axis = &f->axes[a];
        if (axis->name.len == 0 || axis->left == axis->right || axis->left != left)
            continue;
        while (other < f->axis_count &&
               !(f->axes[other].name.len && f->axes[other].left != f->axes[other].right &&
                 f->axes[other].left != left))
            other++;
        if (!left && other < f->axis_count) { /* said with its counterpart on the left */
            other++;
            continue;
        }
        wm_diag *d = wm_error(l->unit, WM_E0510, axis->span, "axis %s is on the %s side only",
                              wm_quote(l->unit, axis->name), left ? "left" : "right");
        if (other < f->axis_count) {
            wm_diag_also(l->unit, d, f->axes[other].span, "the %s side has %s", left ? "right" : "left",
                         wm_quote(l->unit, f->axes[other].name));
            other++;
        }
        wm_diag_hint(l->unit, d, "both sides of a rule range over the same axes");
        f->failed = true;
    }
}

static bool lonely_tag(const struct wm_form_tag *tag, bool left)
{
    return tag->left != tag->right && tag->left == left;
}

/* A lonely block of the right side and the one of the left side that it stands for, the nearest name first:
 * one mistake, said on the right. other[t]: the counterpart of tag t, WM_NONE if it has none. */
static uint32_t *match_tags(layouter *l)
{
    wm_form *f = l->form;
    uint32_t *other = wm_new(l->unit->scratch, uint32_t, f->tag_count);
    memset(other, 0xff, f->tag_count * sizeof *other);
    for (int near_only = 1; near_only >= 0; near_only--)
        for (size_t t = 0; t < f->tag_count; t++) {
            if (!lonely_tag(&f->tags[t], false) || other[t] != WM_NONE)
                continue;
            wm_near near;
            wm_near_init(&near, f->tags[t].name);
            size_t best = SIZE_MAX;
            for (size_t o = 0; o < f->tag_count; o++) {
                if (!lonely_tag(&f->tags[o], true) || other[o] != WM_NONE)
                    continue;
                wm_near_try(&near, f->tags[o].name);
                if (near_only ? wm_near_found(&near) && near.best.p == f->tags[o].name.p : best == SIZE_MAX)
                    best = o;
            }
            if (best == SIZE_MAX)
                continue;
            other[t] = (uint32_t)best;
            other[best] = (uint32_t)t;
        }
    return other;
}

/* The tags of one side as "i f c o", and where they stand: `beside` spans those of one text that are first
 * there. */
static const char *show_tags(layouter *l, bool left, wm_span *beside)
{
    wm_form *f = l->form;
    const char *names = "";
    *beside = WM_NOWHERE;
    for (size_t t = 0; t < f->tag_count; t++) {
        const struct wm_form_tag *tag = &f->tags[t];
        if (left ? !tag->left : !tag->right)
            continue;
        names = wm_format_text(l->unit->arena, "%s%s%.*s", names, *names ? " " : "", (int)tag->name.len,
                               tag->name.p);
        if (beside->file == WM_NO_FILE)
            *beside = tag->span;
        else if (tag->span.file == beside->file && tag->span.end > beside->end)
            beside->end = tag->span.end;
    }
    const wm_term *there = left ? f->left[0].term : f->right[0].term;
    if (!left || !*names) /* a tag's span is where it is first: on the left, if it is there */
        *beside = there->layout_given ? there->layout->span : there->span;
    return names;
}

static void only_tags(layouter *l, bool left, const uint32_t *other)
{
    wm_form *f = l->form;
    wm_span beside;
    const char *names = show_tags(l, !left, &beside);
    for (size_t t = 0; t < f->tag_count; t++) {
        const struct wm_form_tag *tag = &f->tags[t];
        if (!lonely_tag(tag, left) || (left && other[t] != WM_NONE))
            continue;
        wm_diag *d = wm_error(l->unit, WM_E0511, tag->span, "block %s is on the %s side only",
                              wm_quote(l->unit, tag->name), left ? "left" : "right");
        wm_diag_also(l->unit, d, beside, *names ? "the %s side has %s" : "the %s side has no blocks%s",
                     left ? "right" : "left", names);
        if (other[t] != WM_NONE)
            wm_diag_hint(l->unit, d, "did you mean `%.*s`?", (int)f->tags[other[t]].name.len,
                         f->tags[other[t]].name.p);
        f->failed = true;
    }
}

static bool same_key(const wm_piece *a, const wm_piece *b)
{
    return a->tag_count == b->tag_count && a->axis_count == b->axis_count &&
           (!a->tag_count || memcmp(a->tags, b->tags, a->tag_count * sizeof *a->tags) == 0) &&
           (!a->axis_count || memcmp(a->axes, b->axes, a->axis_count * sizeof *a->axes) == 0);
}

/* The reached pieces of a side by tags and axes. Few are compared one by one, which needs no memory. */
typedef struct piece_index {
    const wm_piece *pieces;
    size_t count;
    wm_map map;
    uint32_t *last; /* of the pieces with one key: by the first of them, which the map has */
    bool mapped;
} piece_index;

#define FEW_PIECES 16

/* The last piece before `end` with the tags and axes of `p`; WM_MAP_NONE if there is none. */
static uint32_t find_piece(layouter *l, const piece_index *index, const wm_piece *p, size_t end)
{
    if (index->mapped) {
        wm_str key = piece_key(l, p);
        uint32_t first = wm_map_get(&index->map, key.p, key.len);
        return first == WM_MAP_NONE ? first : index->last[first];
    }
    for (size_t i = end; i-- > 0;)
        if (!index->pieces[i].unnamed && same_key(&index->pieces[i], p))
            return (uint32_t)i;
    return WM_MAP_NONE;
}

static void index_pieces(layouter *l, piece_index *index, const wm_piece *pieces, size_t count)
{
    *index = (piece_index){.pieces = pieces, .count = count, .mapped = count > FEW_PIECES};
    if (!index->mapped)
        return;
    wm_map_init(&index->map, l->unit->scratch, count);
    index->last = wm_new(l->unit->scratch, uint32_t, count);
}

static void add_piece(layouter *l, piece_index *index, size_t i)
{
    if (!index->mapped)
        return;
    wm_str key = piece_key(l, &index->pieces[i]);
    uint32_t first = wm_map_put(&index->map, key.p, key.len, (uint32_t)i, NULL);
    index->last[first == WM_MAP_NONE ? i : first] = (uint32_t)i;
}

static void pair_pieces(layouter *l)
{
    wm_form *f = l->form;
    piece_index sources, targets;
    index_pieces(l, &sources, f->sources, f->source_count);
    index_pieces(l, &targets, f->targets, f->target_count);
    for (size_t i = 0; i < f->source_count && !f->failed; i++) {
        if (f->sources[i].unnamed)
            continue;
        uint32_t before = find_piece(l, &sources, &f->sources[i], i);
        if (before != WM_MAP_NONE)
            same_piece(l, &f->sources[before], &f->sources[i], true);
        add_piece(l, &sources, i);
    }
    const wm_piece *lonely = NULL;
    for (size_t i = 0; i < f->target_count && !f->failed; i++) {
        wm_piece *p = &f->targets[i];
        if (p->unnamed)
            continue;
        uint32_t before = find_piece(l, &targets, p, i);
        if (before != WM_MAP_NONE && f->targets[before].term == p->term)
            same_piece(l, &f->targets[before], p, false);
        add_piece(l, &targets, i);
        p->pair = f->line->kind == WM_LINE_FILL ? 0 : find_piece(l, &sources, p, f->source_count);
        if (p->pair == WM_MAP_NONE && !lonely)
            lonely = p;
    }
    if (f->failed || f->line->kind == WM_LINE_FILL)
        return;
    only_axes(l, true);
    only_axes(l, false);
    const uint32_t *other = match_tags(l);
    only_tags(l, true, other);
    only_tags(l, false, other);
    bool right = lonely != NULL;
    for (size_t i = 0; i < f->source_count && !lonely; i++)
        if (!f->sources[i].unnamed && find_piece(l, &targets, &f->sources[i], f->target_count) == WM_MAP_NONE)
            lonely = &f->sources[i];
    if (!lonely || f->failed)
        return;
    const wm_term *t = (right ? f->right : f->left)[lonely->term].term;
    wm_diag *d =
        wm_error(l->unit, WM_E0512, t->layout_given ? t->layout->span : t->span,
                 "%s has no counterpart on the %s side", show_piece(l, lonely), right ? "left" : "right");
    const wm_term *o = right ? f->left[0].term : f->right[0].term;
    wm_diag_also(l->unit, d, o->layout_given ? o->layout->span : o->span, "the %s side",
                 right ? "left" : "right");
    wm_diag_hint(l->unit, d, "every piece needs one with the same tags and the same axes");
    f->failed = true;
}

static void check_copies(layouter *l)
{
    wm_form *f = l->form;
    for (size_t i = 0; i < f->target_count && !f->failed; i++) {
        const wm_term *t = f->right[f->targets[i].term].term;
        if (!t->optional || f->targets[i].unnamed || can_copy(f, &f->targets[i]))
            continue;
        wm_diag *d = wm_error(l->unit, WM_E0518, t->optional_span,
                              "`optional` stands after a place that has no other copy");
        wm_diag_hint(
            l->unit, d,
            "one copy at least must not be optional; before the rule, `optional` makes the whole rule "
            "apply only where its source exists");
        f->failed = true;
    }
}

/* Before the pieces are paired: the axes that `( ) = ( )` relates stand on one side only. */
static void refuse_recount(layouter *l)
{
    for (const wm_binding *b = l->form->line->where; b; b = b->next)
        if (b->other) {
            wm_error(l->unit, WM_E0199, b->span, "`( ) = ( )` in `where` is not supported yet");
            l->form->failed = true;
        }
}

static void check_where(layouter *l)
{
    wm_form *f = l->form;
    for (const wm_binding *b = f->line->where; b; b = b->next) {
        if (b->other)
            continue;
        bool found = false;
        wm_near near;
        wm_near_init(&near, b->names->text);
        for (size_t a = 0; a < f->axis_count; a++) {
            found |= wm_str_eq(f->axes[a].name, b->names->text);
            wm_near_try(&near, f->axes[a].name);
        }
        for (const wm_axes *axes = f->line->axes; axes; axes = axes->up)
            for (uint32_t i = 0; i < axes->count; i++)
                found |= wm_str_eq(axes->items[i].name, b->names->text);
        if (found)
            continue;
        bool captured = false;
        for (uint32_t v = 0; v < f->line->var_count; v++)
            captured |= wm_str_eq(f->line->vars[v].name, b->names->text);
        wm_diag *d = wm_error(l->unit, WM_E0301, b->names->span,
                              captured ? "%s is captured from a name; `where` gives extents of axes"
                                       : "%s is not an axis of this rule",
                              wm_quote(l->unit, b->names->text));
        if (wm_near_found(&near) && !captured)
            wm_diag_hint(l->unit, d, "did you mean `%.*s`?", (int)near.best.len, near.best.p);
        f->failed = true;
    }
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
        find_name_axes(&l, &f->left[t]);
    for (uint32_t t = 0; t < line->right_count; t++)
        find_name_axes(&l, &f->right[t]);
    refuse_recount(&l);
    for (uint32_t t = 0; t < line->left_count && !f->failed; t++)
        expand(&l, t, &f->left[t], true);
    for (uint32_t t = 0; t < line->right_count && !f->failed; t++)
        expand(&l, t, &f->right[t], false);
    if (!f->failed)
        pair_pieces(&l);
    check_copies(&l);
    check_where(&l);
    return f;
}
