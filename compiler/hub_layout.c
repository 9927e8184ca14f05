/* hub_layout.c: layouts of dialects over the axes of members. Copies them with other names, checks them
 * against the arrays that they place, and solves extents by the shapes of a file. */
#include <stdio.h>
#include <string.h>

#include "compiler/hub.h"

/* The layout that a place has in the text, or the canonical one of its array. */
const wm_layout *wm_place_layout(const wm_hub_place *place)
{
    return place->tensor->layout ? place->tensor->layout : place->owners[0].item->array->layout;
}

/* The owner whose tag a block has; -1: none. */
int wm_block_owner(const wm_hub_place *place, const wm_block *block)
{
    for (uint32_t o = 0; block->tag && place->owner_count > 1 && o < place->owner_count; o++)
        if (place->owners[o].tag && wm_str_eq(place->owners[o].tag->text, block->tag->text))
            return (int)o;
    return -1;
}

/* ---- copies ---- */

typedef struct copier {
    wm_hub *h;
    const wm_hub_place *place;
    const wm_hub_rename *rename;
    bool wrapped; /* the other tags stand */
} copier;

static wm_factor *copy_factors(copier *c, const wm_factor *factors, int owner);

static wm_word *word_of(wm_hub *h, wm_str text, wm_span span)
{
    wm_word *word = wm_new(h->arena, wm_word, 1);
    word->text = text;
    word->span = span;
    return word;
}

static wm_factor *axis_factor(copier *c, const wm_member *m, wm_factor_kind kind, wm_str name, wm_span span,
                              int owner)
{
    wm_factor *f = wm_new(c->h->arena, wm_factor, 1);
    f->kind = kind;
    f->span = span;
    if (c->rename && c->rename->to)
        for (uint32_t i = 0; i < m->axis_count; i++)
            if (wm_str_eq(m->axes[i].name, name))
                name = c->rename->to[owner][i];
    f->name = word_of(c->h, name, span);
    return f;
}

/* A flattened axis stands for its parts, in the order of the dialect. */
static wm_factor *flattened(copier *c, const wm_member *m, const wm_hub_axis *axis, const wm_factor *f,
                            int owner)
{
    wm_factor *group = wm_new(c->h->arena, wm_factor, 1), **tail = &group->factors;
    group->kind = WM_FA_GROUP;
    group->span = f->span;
    for (const wm_word *w = c->place->dialect->flatten; w; w = w->next)
        for (uint32_t i = 0; i < axis->part_count; i++)
            if (wm_str_eq(axis->parts[i].name, w->text)) {
                *tail = axis_factor(c, m, f->kind, w->text, f->span, owner);
                tail = &(*tail)->next;
            }
    return group;
}

static wm_factor *copy_axis(copier *c, const wm_factor *f, int owner)
{
    const wm_member *m = c->place->owners[owner].item->member;
    for (uint32_t i = 0; i < m->axis_count; i++)
        if (m->axes[i].parts && wm_str_eq(m->axes[i].name, f->name->text))
            return flattened(c, m, &m->axes[i], f, owner);
    return axis_factor(c, m, f->kind, f->name->text, f->span, owner);
}

static wm_factor *wrapped(copier *c, wm_factor *f)
{
    for (int i = 0; i < 2; i++) {
        if (!c->rename->around[i])
            continue;
        wm_factor *outer = wm_new(c->h->arena, wm_factor, 1);
        wm_block *block = wm_new(c->h->arena, wm_block, 1);
        *block = (wm_block){
            .tag = word_of(c->h, c->rename->around[i]->text, f->span), .factors = f, .span = f->span};
        *outer = (wm_factor){.kind = WM_FA_BLOCKS, .span = f->span, .blocks = block};
        f = outer;
    }
    c->wrapped = true;
    return f;
}

static bool wraps(const copier *c)
{
    return c->rename && (c->rename->around[0] || c->rename->around[1]) && !c->wrapped;
}

static wm_factor *copy_factor(copier *c, const wm_factor *f, int owner)
{
    if (wm_names_axis(f)) {
        wm_factor *copy = copy_axis(c, f, owner);
        return wraps(c) ? wrapped(c, copy) : copy;
    }
    wm_factor *copy = wm_new(c->h->arena, wm_factor, 1);
    *copy = *f;
    copy->next = NULL;
    if (f->kind == WM_FA_GROUP)
        copy->factors = copy_factors(c, f->factors, owner);
    if (!wm_has_blocks(f))
        return copy;
    wm_block **tail = &copy->blocks;
    for (const wm_block *b = f->blocks; b; b = b->next) {
        wm_block *made = wm_new(c->h->arena, wm_block, 1);
        int own = wm_block_owner(c->place, b);
        *made = *b;
        made->next = NULL;
        if (own >= 0 && c->rename && c->rename->missing && c->rename->missing[own]) {
            made->tag = NULL;
            made->unnamed = true;
        } else if (own >= 0 && c->rename && c->rename->tags)
            made->tag = word_of(c->h, c->rename->tags[own]->text, b->tag->span);
        made->factors = copy_factors(c, b->factors, own >= 0 ? own : owner);
        *tail = made;
        tail = &made->next;
    }
    return copy;
}

static wm_factor *copy_factors(copier *c, const wm_factor *factors, int owner)
{
    wm_factor *first = NULL, **tail = &first;
    for (const wm_factor *f = factors; f; f = f->next) {
        *tail = copy_factor(c, f, owner);
        tail = &(*tail)->next;
    }
    return first;
}

wm_layout *wm_hub_layout(wm_hub *h, const wm_hub_place *place, const wm_hub_rename *rename)
{
    const wm_layout *from = wm_place_layout(place);
    copier c = {h, place, rename, false};
    wm_layout *layout = wm_new(h->arena, wm_layout, 1);
    layout->span = from->span;
    layout->factors = copy_factors(&c, from->factors, 0);
    if (wraps(&c)) { /* nothing but dimensions of one */
        wm_factor *one = wm_new(h->arena, wm_factor, 1);
        *one = (wm_factor){.kind = WM_FA_NUMBER, .span = from->span, .value = 1};
        wm_factor *block = wrapped(&c, one);
        block->next = layout->factors;
        layout->factors = block;
    }
    return layout;
}

/* ---- checks ---- */

typedef struct check {
    wm_hub *h;
    const wm_hub_place *place;
    const wm_hub_item *item;
    int owner;
    uint32_t met; /* axes of the array that were met */
    bool ok;
} check;

bool wm_array_axis(const wm_hub_array *array, wm_str name)
{
    for (const wm_factor *f = array->layout->factors; f; f = f->next)
        if (f->kind == WM_FA_AXIS && wm_str_eq(f->name->text, name))
            return true;
    return false;
}

static bool array_label(const wm_hub_array *array, wm_str name)
{
    for (const wm_factor *f = array->layout->factors; f; f = f->next)
        for (const wm_block *b = f->kind == WM_FA_LABELS ? f->blocks : NULL; b; b = b->next)
            if (b->tag && wm_str_eq(b->tag->text, name))
                return true;
    return false;
}

static wm_str layout_text(wm_hub *h, const wm_layout *layout)
{
    const wm_source *s = h->r->unit->sources[layout->span.file];
    return (wm_str){s->text + layout->span.beg, layout->span.end - layout->span.beg};
}

static void wrong_axis(check *c, wm_span span, wm_str name, bool missing)
{
    wm_hub *h = c->h;
    wm_str text = layout_text(h, c->item->array->layout);
    wm_diag *d =
        wm_error(h->r->unit, WM_E1006, span,
                 missing ? "axis %s of `%s %.*s` is missing here" : "axis %s is not an axis of `%s %.*s`",
                 wm_quote(h->r->unit, name), wm_item_text(h, c->item), (int)text.len, text.p);
    wm_diag_also(h->r->unit, d, c->item->array->span, "the array");
    c->ok = false;
}

/* Is a name one that `where (a b) = (u n)` of the placement makes? */
static bool counted_anew(const wm_hub_place *place, wm_str name)
{
    for (const wm_binding *w = place->where; w; w = w->next) {
        const wm_word *groups[2] = {w->other ? w->names : NULL, w->other};
        for (int g = 0; g < 2; g++)
            for (const wm_word *x = groups[g]; x; x = x->next)
                if (wm_str_eq(x->text, name))
                    return true;
    }
    return false;
}

/* Looks at what one owner has of a layout: everything but the blocks of others. */
static void check_factors(check *c, const wm_factor *factors)
{
    for (const wm_factor *f = factors; f; f = f->next) {
        if (wm_names_axis(f)) {
            const wm_member *m = c->item->member;
            bool known = wm_array_axis(c->item->array, f->name->text);
            for (uint32_t i = 0; i < m->axis_count && !known; i++) {
                bool part = m->axes[i].parts && wm_array_axis(c->item->array, m->axes[i].name);
                for (uint32_t k = 0; part && k < m->axes[i].part_count; k++)
                    known |= wm_str_eq(m->axes[i].parts[k].name, f->name->text);
            }
            if (!known && !counted_anew(c->place, f->name->text))
                wrong_axis(c, f->span, f->name->text, false);
        } else if (f->kind == WM_FA_GROUP) {
            check_factors(c, f->factors);
        } else if (wm_has_blocks(f)) {
            bool owned = false;
            for (const wm_block *b = f->blocks; b; b = b->next)
                owned |= wm_block_owner(c->place, b) >= 0;
            for (const wm_block *b = f->blocks; b; b = b->next)
                if (!owned || wm_block_owner(c->place, b) == c->owner)
                    check_factors(c, b->factors);
        } else if (f->kind == WM_FA_DOTS) {
            wm_error(c->h->r->unit, WM_E1006, f->span, "a placement names its axes: `...` can't stand here");
            c->ok = false;
        }
    }
}

/* Does an axis stand in the layout, or one of those that are counted anew from it? */
static bool stands(const check *c, const wm_factor *factors, wm_str name);

static bool stands_anew(const check *c, const wm_layout *layout, wm_str name)
{
    if (stands(c, layout->factors, name))
        return true;
    for (const wm_binding *w = c->place->where; w; w = w->next) {
        if (!w->other)
            continue;
        const wm_word *groups[2] = {w->names, w->other};
        for (int g = 0; g < 2; g++)
            for (const wm_word *x = groups[g]; x; x = x->next)
                if (wm_str_eq(x->text, name))
                    return stands(c, layout->factors, groups[1 - g]->text);
    }
    return false;
}

static bool stands(const check *c, const wm_factor *factors, wm_str name)
{
    for (const wm_factor *f = factors; f; f = f->next) {
        if (wm_names_axis(f) && wm_str_eq(f->name->text, name))
            return true;
        if (f->kind == WM_FA_GROUP && stands(c, f->factors, name))
            return true;
        bool owned = false;
        for (const wm_block *b = wm_has_blocks(f) ? f->blocks : NULL; b; b = b->next)
            owned |= wm_block_owner(c->place, b) >= 0;
        for (const wm_block *b = wm_has_blocks(f) ? f->blocks : NULL; b; b = b->next)
            if ((!owned || wm_block_owner(c->place, b) == c->owner) && stands(c, b->factors, name))
                return true;
    }
    return false;
}

static void check_flatten(check *c, const wm_hub_axis *axis, const wm_layout *layout)
{
    bool itself = stands(c, layout->factors, axis->name), any = false;
    for (uint32_t k = 0; k < axis->part_count; k++) {
        bool part = stands(c, layout->factors, axis->parts[k].name), listed = false;
        any |= part;
        for (const wm_word *w = c->place->dialect->flatten; w; w = w->next)
            listed |= wm_str_eq(w->text, axis->parts[k].name);
        if (!itself && !part)
            wrong_axis(c, layout->span, axis->parts[k].name, true);
        if (!itself || listed)
            continue;
        wm_diag *d = wm_error(c->h->r->unit, WM_E1006, layout->span,
                              "`flatten` of the dialect %s doesn't say where %s stands",
                              wm_quote(c->h->r->unit, c->place->dialect->decl->name),
                              wm_quote(c->h->r->unit, axis->parts[k].name));
        wm_diag_also(c->h->r->unit, d, c->place->dialect->decl->span, "the dialect");
        c->ok = false;
    }
    if (itself && any)
        wrong_axis(c, layout->span, axis->name, false);
}

bool wm_hub_check_place(wm_hub *h, const wm_hub_place *place)
{
    const wm_layout *layout = wm_place_layout(place);
    if (place->owner_count > WM_HUB_OWNERS) {
        wm_error(h->r->unit, WM_E0903, place->tensor->span, "a tensor holds at most %d arrays",
                 WM_HUB_OWNERS);
        return false;
    }
    check c = {.h = h, .place = place, .ok = true};
    /* Members that are stacked are all alike. */
    uint32_t count = place->each ? place->each : place->owner_count;
    for (uint32_t o = 0; o < count && c.ok; o++) {
        c.item = place->owners[o].item;
        c.owner = (int)o;
        const wm_member *m = c.item->member;
        if (count > 1 && !place->owners[o].tag) {
            wm_error(h->r->unit, WM_E1007, place->tensor->span,
                     "several arrays in one tensor need a tag each, as in `x: kernel, s: recurrent = ...`");
            return false;
        }
        check_factors(&c, layout->factors);
        for (const wm_factor *f = c.item->array->layout->factors; f && c.ok; f = f->next) {
            if (f->kind != WM_FA_AXIS)
                continue;
            const wm_hub_axis *axis = NULL;
            for (uint32_t i = 0; i < m->axis_count && !axis; i++)
                axis = wm_str_eq(m->axes[i].name, f->name->text) ? &m->axes[i] : NULL;
            if (axis && axis->parts)
                check_flatten(&c, axis, layout);
            else if (!stands_anew(&c, layout, f->name->text))
                wrong_axis(&c, layout->span, f->name->text, true);
        }
    }
    return c.ok;
}

/* Is a label among the blocks of a layout? */
static bool has_label(const wm_factor *factors, wm_str name)
{
    for (const wm_factor *f = factors; f; f = f->next) {
        if (f->kind == WM_FA_GROUP && has_label(f->factors, name))
            return true;
        for (const wm_block *b = wm_has_blocks(f) ? f->blocks : NULL; b; b = b->next)
            if ((b->tag && wm_str_eq(b->tag->text, name)) || has_label(b->factors, name))
                return true;
    }
    return false;
}

bool wm_hub_whole(const wm_hub_place *place, const wm_hub_array *array)
{
    for (const wm_factor *f = array->layout->factors; f; f = f->next)
        for (const wm_block *label = f->kind == WM_FA_LABELS ? f->blocks : NULL; label; label = label->next)
            if (!has_label(wm_place_layout(place)->factors, label->tag->text))
                return false;
    return true;
}

void wm_hub_check_labels(wm_hub *h, const wm_hub_item *item, int side)
{
    const struct wm_hub_side_of *of = &item->sides[side];
    for (const wm_factor *f = of->count ? item->array->layout->factors : NULL; f; f = f->next)
        for (const wm_block *label = f->kind == WM_FA_LABELS ? f->blocks : NULL; label; label = label->next) {
            bool placed = false;
            for (size_t p = 0; p < of->count && !placed; p++) {
                const wm_word *tag = of->places[p]->tensor->tag;
                placed = (tag && wm_str_eq(tag->text, label->tag->text)) ||
                         has_label(wm_place_layout(of->places[p])->factors, label->tag->text);
            }
            if (placed)
                continue;
            wm_diag *d = wm_error(h->r->unit, WM_E1007, of->places[0]->tensor->span,
                                  "the label %s of `%s` has no place", wm_quote(h->r->unit, label->tag->text),
                                  wm_item_text(h, item));
            wm_diag_also(h->r->unit, d, item->array->span, "the array");
            h->failed = true;
        }
    for (size_t p = 0; p < of->count; p++) {
        const wm_word *tag = of->places[p]->tensor->tag;
        if (!tag || of->places[p]->owner_count > 1 || array_label(item->array, tag->text))
            continue;
        wm_diag *d = wm_error(h->r->unit, WM_E1007, tag->span, "%s is no label of `%s`",
                              wm_quote(h->r->unit, tag->text), wm_item_text(h, item));
        wm_diag_also(h->r->unit, d, item->array->span, "the array");
        h->failed = true;
    }
}
