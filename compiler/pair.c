/* pair.c: the pieces of both sides, paired by their tags and axes; and the pieces of further places of
 * arithmetic, each with those of the first place. */
#include <string.h>

#include "compiler/pass.h"
#include "compiler/scope.h"

typedef struct pairer {
    wm_unit *unit;
    wm_form *form;
} pairer;

static wm_str piece_key(pairer *l, const wm_piece *p)
{
    uint32_t len = (1 + p->tag_count + p->key_count) * (uint32_t)sizeof(uint32_t);
    uint32_t *key = wm_alloc(l->unit->scratch, len);
    key[0] = p->tag_count;
    if (p->tag_count)
        memcpy(key + 1, p->tags, p->tag_count * sizeof *key);
    if (p->key_count)
        memcpy(key + 1 + p->tag_count, p->keys, p->key_count * sizeof *key);
    return (wm_str){(const char *)key, len};
}

/* "block `f` over n, u" */
static const char *show_piece(pairer *l, const wm_piece *p)
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

static bool has_copy(const wm_form *f, const wm_piece *p)
{
    bool second = p->term + 1 < f->line->left_count && f->line->left[p->term + 1].second;
    for (uint32_t i = p->head; i != WM_NONE && !second; i = f->sources[i].next)
        if (&f->sources[i] != p && !f->line->left[f->sources[i].term].optional)
            return true;
    return false;
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

static void same_piece(pairer *l, const wm_piece *a, const wm_piece *b, bool left)
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
static void only_axes(pairer *l, bool left)
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
static uint32_t *match_tags(pairer *l)
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
static const char *show_tags(pairer *l, bool left, wm_span *beside)
{
    wm_form *f = l->form;
    wm_buffer names = {.arena = l->unit->arena};
    *beside = WM_NOWHERE;
    for (size_t t = 0; t < f->tag_count; t++) {
        const struct wm_form_tag *tag = &f->tags[t];
        if (left ? !tag->left : !tag->right)
            continue;
        wm_buffer_add(&names, " ", names.len > 0);
        wm_buffer_add(&names, tag->name.p, tag->name.len);
        if (beside->file == WM_NO_FILE)
            *beside = tag->span;
        else if (tag->span.file == beside->file && tag->span.end > beside->end)
            beside->end = tag->span.end;
    }
    const wm_term *there = left ? f->left[0].term : f->right[0].term;
    wm_buffer_add(&names, "", 1);
    if (!left || names.len == 1) /* a tag's span is where it is first: on the left, if it is there */
        *beside = there->layout_given ? there->layout->span : there->span;
    return names.text;
}

static void only_tags(pairer *l, bool left, const uint32_t *other)
{
    wm_form *f = l->form;
    wm_span beside;
    const char *names = NULL;
    for (size_t t = 0; t < f->tag_count; t++) {
        const struct wm_form_tag *tag = &f->tags[t];
        if (!lonely_tag(tag, left) || (left && other[t] != WM_NONE))
            continue;
        if (!names)
            names = show_tags(l, !left, &beside);
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
    return a->tag_count == b->tag_count && a->key_count == b->key_count &&
           (!a->tag_count || memcmp(a->tags, b->tags, a->tag_count * sizeof *a->tags) == 0) &&
           (!a->key_count || memcmp(a->keys, b->keys, a->key_count * sizeof *a->keys) == 0);
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
static uint32_t find_piece(pairer *l, const piece_index *index, const wm_piece *p, size_t end)
{
    if (index->mapped) {
        wm_str key = piece_key(l, p);
        uint32_t first = wm_map_get(&index->map, key.p, key.len);
        return first == WM_MAP_NONE ? first : index->last[first];
    }
    for (size_t i = end; i-- > 0;)
        if (!index->pieces[i].unnamed && !index->pieces[i].second && same_key(&index->pieces[i], p))
            return (uint32_t)i;
    return WM_MAP_NONE;
}

static void index_pieces(pairer *l, piece_index *index, const wm_piece *pieces, size_t count)
{
    *index = (piece_index){.pieces = pieces, .count = count, .mapped = count > FEW_PIECES};
    if (!index->mapped)
        return;
    wm_map_init(&index->map, l->unit->scratch, count);
    index->last = wm_new(l->unit->scratch, uint32_t, count);
}

static void add_piece(pairer *l, piece_index *index, size_t i)
{
    if (!index->mapped)
        return;
    wm_str key = piece_key(l, &index->pieces[i]);
    uint32_t first = wm_map_put(&index->map, key.p, key.len, (uint32_t)i, NULL);
    index->last[first == WM_MAP_NONE ? i : first] = (uint32_t)i;
}

/* A piece that another operand of the source has too. */
static void add_copy(pairer *l, uint32_t before, uint32_t at)
{
    wm_piece *a = &l->form->sources[before], *b = &l->form->sources[at];
    const wm_line *line = l->form->line;
    bool same = a->axis_count == b->axis_count &&
                (!a->axis_count || memcmp(a->axes, b->axes, a->axis_count * sizeof *a->axes) == 0);
    if (a->term == b->term || !same || !(line->equal || line->turned)) {
        same_piece(l, a, b, true);
        return;
    }
    b->head = a->head;
    a->next = at;
}

static void pair_pieces(pairer *l)
{
    wm_form *f = l->form;
    piece_index sources, targets;
    index_pieces(l, &sources, f->sources, f->source_count);
    index_pieces(l, &targets, f->targets, f->target_count);
    for (size_t i = 0; i < f->source_count && !f->failed; i++) {
        if (f->sources[i].unnamed || f->sources[i].second)
            continue;
        uint32_t before = find_piece(l, &sources, &f->sources[i], i);
        f->sources[i].head = (uint32_t)i;
        f->sources[i].next = WM_NONE;
        if (before != WM_MAP_NONE)
            add_copy(l, before, (uint32_t)i);
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
        if (f->line->kind == WM_LINE_FILL)
            continue;
        p->pair = find_piece(l, &sources, p, f->source_count);
        if (p->pair != WM_MAP_NONE)
            p->pair = f->sources[p->pair].head;
        else if (!lonely)
            lonely = p;
    }
    if (f->failed || f->line->kind != WM_LINE_RULE)
        return;
    only_axes(l, true);
    only_axes(l, false);
    const uint32_t *other = match_tags(l);
    only_tags(l, true, other);
    only_tags(l, false, other);
    bool right = lonely != NULL;
    for (size_t i = 0; i < f->source_count && !lonely; i++)
        if (!f->sources[i].unnamed && !f->sources[i].second &&
            find_piece(l, &targets, &f->sources[i], f->target_count) == WM_MAP_NONE)
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

/* ---- further places of arithmetic ---- */

/* Is each of the sorted `few` among the sorted `many`? */
static bool within(const uint32_t *few, uint32_t count, const uint32_t *many, uint32_t many_count)
{
    uint32_t at = 0;
    for (uint32_t i = 0; i < count; i++, at++) {
        while (at < many_count && many[at] < few[i])
            at++;
        if (at == many_count || many[at] != few[i])
            return false;
    }
    return true;
}

/* The first axis or tag of `b` that `a` lacks, as text. */
static const char *show_lacking(pairer *l, const wm_piece *a, const wm_piece *b, wm_span *span)
{
    const wm_form *f = l->form;
    for (uint32_t i = 0; i < b->axis_count; i++)
        if (!within(&b->axes[i], 1, a->axes, a->axis_count)) {
            *span = f->axes[b->axes[i]].span;
            return wm_format_text(l->unit->arena, "the axis %s", wm_quote(l->unit, f->axes[b->axes[i]].name));
        }
    for (uint32_t i = 0; i < b->tag_count; i++)
        if (!within(&b->tags[i], 1, a->tags, a->tag_count)) {
            *span = f->tags[b->tags[i]].span;
            return wm_format_text(l->unit->arena, "the block %s",
                                  wm_quote(l->unit, f->tags[b->tags[i]].name));
        }
    return "nothing";
}

/* The piece of place `term` that goes with the piece `p` of the first place: it has no other axes and tags.
 */
static uint32_t second_of(pairer *l, const wm_piece *p, uint32_t term)
{
    wm_form *f = l->form;
    const wm_piece *near = NULL;
    uint32_t found = WM_NONE;
    for (size_t i = 0; i < f->source_count; i++) {
        const wm_piece *b = &f->sources[i];
        if (b->term != term || b->unnamed)
            continue;
        near = b;
        if (!within(b->axes, b->axis_count, p->axes, p->axis_count) ||
            !within(b->tags, b->tag_count, p->tags, p->tag_count))
            continue;
        if (found != WM_NONE) {
            wm_diag *d = wm_error(l->unit, WM_E0516, f->line->left[term].span,
                                  "two pieces of this array go with one piece of the first");
            wm_diag_also(l->unit, d, f->line->left[p->term].span, "the first");
            f->failed = true;
            return WM_NONE;
        }
        found = (uint32_t)i;
    }
    if (found != WM_NONE)
        return found;
    wm_span span = f->line->left[term].span;
    const char *what = near ? show_lacking(l, p, near, &span) : "no piece";
    wm_diag *d =
        wm_error(l->unit, WM_E0516, span,
                 near ? "%s is not in the first array of the arithmetic" : "this array has %s", what);
    wm_diag_also(l->unit, d, f->line->left[p->term].span, "the first names the axes");
    wm_diag_hint(l->unit, d, "axes match by name; one that this array lacks is repeated");
    f->failed = true;
    return WM_NONE;
}

static void pair_seconds(pairer *l)
{
    wm_form *f = l->form;
    for (size_t i = 0; i < f->source_count && !f->failed; i++) {
        wm_piece *p = &f->sources[i];
        uint32_t count = 0;
        while (p->term + count + 1 < f->line->left_count && f->line->left[p->term + count + 1].second)
            count++;
        if (p->second || p->unnamed || count == 0 || p->seconds)
            continue;
        p->seconds = wm_new(l->unit->scratch, uint32_t, count);
        for (uint32_t k = 0; k < count && !f->failed; k++)
            p->seconds[k] = second_of(l, p, p->term + 1 + k);
    }
}

/* E0321: `| f: + 1` where no piece has the tag f. */
static void check_step_tags(pairer *l, uint32_t term, bool left)
{
    wm_form *f = l->form;
    const wm_steps *steps = left ? f->line->left[term].steps : f->line->right[term].steps;
    const wm_piece *pieces = left ? f->sources : f->targets;
    size_t count = left ? f->source_count : f->target_count;
    for (uint32_t k = 0; steps && k < steps->count; k++) {
        const wm_step *s = &steps->list[k];
        bool found = s->tag.len == 0;
        wm_near near;
        wm_near_init(&near, s->tag);
        for (size_t i = 0; i < count && !found; i++)
            for (uint32_t t = 0; pieces[i].term == term && t < pieces[i].tag_count; t++) {
                wm_str name = f->tags[pieces[i].tags[t]].name;
                found |= wm_str_eq(name, s->tag);
                wm_near_try(&near, name);
            }
        if (found)
            continue;
        wm_diag *d = wm_error(l->unit, WM_E0321, s->tag_span, "no block of this operand is called %s",
                              wm_quote(l->unit, s->tag));
        wm_diag_near(l->unit, d, &near);
        f->failed = true;
    }
}

static void lone_copy(pairer *l, const wm_term *t)
{
    if (l->form->failed)
        return;
    wm_diag *d = wm_error(l->unit, WM_E0518, t->optional_span,
                          "`optional` stands after a place that has no other copy");
    wm_diag_hint(l->unit, d,
                 "one copy at least must not be optional; before the rule, `optional` makes the whole rule "
                 "apply only where its source exists");
    l->form->failed = true;
}

static void check_copies(pairer *l)
{
    wm_form *f = l->form;
    const wm_line *line = f->line;
    bool copies = line->turned || !line->equal;
    for (size_t i = 0; i < f->target_count && !f->failed; i++) {
        const wm_term *t = f->right[f->targets[i].term].term;
        if (t->optional && !f->targets[i].unnamed && !can_copy(f, &f->targets[i]))
            lone_copy(l, t);
    }
    for (size_t i = 0; i < f->source_count && !f->failed; i++) {
        const wm_piece *p = &f->sources[i];
        const wm_term *t = f->left[p->term].term;
        if (p->unnamed)
            continue;
        copies |= !p->second && p->head != i;
        if (t->optional && (p->second || !has_copy(f, p)))
            lone_copy(l, t);
    }
    if (copies || f->failed)
        return;
    wm_span all = line->left[0].span;
    all.end = line->left[line->left_count - 1].span.end;
    wm_diag *d = wm_error(l->unit, WM_E0518, all, "`equal` stands before a rule that has no copies");
    wm_diag_hint(l->unit, d, "copies are operands of the source with the same tags and the same axes");
    f->failed = true;
}

void wm_pair_pieces(wm_unit *unit, wm_form *form)
{
    pairer l = {unit, form};
    for (uint32_t t = 0; t < form->line->left_count && !form->failed; t++)
        check_step_tags(&l, t, true);
    for (uint32_t t = 0; t < form->line->right_count && !form->failed; t++)
        check_step_tags(&l, t, false);
    if (!form->failed)
        pair_seconds(&l);
    if (!form->failed)
        pair_pieces(&l);
    check_copies(&l);
}
