/* hub_layout.c: layouts of dialects over the axes of members. Copies them with other names, checks them
 * against the arrays that they place, and solves extents by the shapes of a file. */
#include <stdio.h>
#include <string.h>

#include "compiler/hub.h"
#include "compiler/pass.h"
#include "runtime/base/size.h"

/* The layout that a place has in the text, or the canonical one of its array. */
static const wm_layout *layout_of(const wm_hub_place *place)
{
    return place->tensor->layout ? place->tensor->layout : place->owners[0].item->array->layout;
}

/* The owner whose tag a block has; -1: none. */
static int owner_of(const wm_hub_place *place, const wm_block *block)
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
    bool wrapped; /* the second tag stands */
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
    wm_factor *outer = wm_new(c->h->arena, wm_factor, 1);
    wm_block *block = wm_new(c->h->arena, wm_block, 1);
    *block =
        (wm_block){.tag = word_of(c->h, c->rename->single->text, f->span), .factors = f, .span = f->span};
    *outer = (wm_factor){.kind = WM_FA_BLOCKS, .span = f->span, .blocks = block};
    c->wrapped = true;
    return outer;
}

static wm_factor *copy_factor(copier *c, const wm_factor *f, int owner)
{
    if (wm_names_axis(f)) {
        wm_factor *copy = copy_axis(c, f, owner);
        return c->rename && c->rename->single && !c->wrapped ? wrapped(c, copy) : copy;
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
        int own = owner_of(c->place, b);
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
    const wm_layout *from = layout_of(place);
    copier c = {h, place, rename, false};
    wm_layout *layout = wm_new(h->arena, wm_layout, 1);
    layout->span = from->span;
    layout->factors = copy_factors(&c, from->factors, 0);
    if (rename && rename->single && !c.wrapped) { /* nothing but dimensions of one */
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

static bool array_axis(const wm_hub_array *array, wm_str name)
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

/* Looks at what one owner has of a layout: everything but the blocks of others. */
static void check_factors(check *c, const wm_factor *factors)
{
    for (const wm_factor *f = factors; f; f = f->next) {
        if (wm_names_axis(f)) {
            const wm_member *m = c->item->member;
            bool known = array_axis(c->item->array, f->name->text);
            for (uint32_t i = 0; i < m->axis_count && !known; i++) {
                bool part = m->axes[i].parts && array_axis(c->item->array, m->axes[i].name);
                for (uint32_t k = 0; part && k < m->axes[i].part_count; k++)
                    known |= wm_str_eq(m->axes[i].parts[k].name, f->name->text);
            }
            if (!known)
                wrong_axis(c, f->span, f->name->text, false);
        } else if (f->kind == WM_FA_GROUP) {
            check_factors(c, f->factors);
        } else if (wm_has_blocks(f)) {
            bool owned = false;
            for (const wm_block *b = f->blocks; b; b = b->next)
                owned |= owner_of(c->place, b) >= 0;
            for (const wm_block *b = f->blocks; b; b = b->next)
                if (!owned || owner_of(c->place, b) == c->owner)
                    check_factors(c, b->factors);
        } else if (f->kind == WM_FA_DOTS) {
            wm_error(c->h->r->unit, WM_E1006, f->span, "a placement names its axes: `...` can't stand here");
            c->ok = false;
        }
    }
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
            owned |= owner_of(c->place, b) >= 0;
        for (const wm_block *b = wm_has_blocks(f) ? f->blocks : NULL; b; b = b->next)
            if ((!owned || owner_of(c->place, b) == c->owner) && stands(c, b->factors, name))
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
    const wm_layout *layout = layout_of(place);
    if (place->owner_count > WM_HUB_OWNERS) {
        wm_error(h->r->unit, WM_E0903, place->tensor->span, "a tensor holds at most %d arrays",
                 WM_HUB_OWNERS);
        return false;
    }
    check c = {.h = h, .place = place, .ok = true};
    for (const wm_binding *w = place->where; w; w = w->next)
        if (w->other) { /* it names axes of its own; the core checks the counts */
            wm_error(h->r->unit, WM_E0199, w->span, "`( ) = ( )` in a placement is not supported yet");
            return false;
        }
    for (uint32_t o = 0; o < place->owner_count && c.ok; o++) {
        c.item = place->owners[o].item;
        c.owner = (int)o;
        const wm_member *m = c.item->member;
        if (place->owner_count > 1 && !place->owners[o].tag) {
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
            else if (!stands(&c, layout->factors, f->name->text))
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

void wm_hub_check_labels(wm_hub *h, const wm_hub_item *item, int side)
{
    const struct wm_hub_side_of *of = &item->sides[side];
    for (const wm_factor *f = of->count ? item->array->layout->factors : NULL; f; f = f->next)
        for (const wm_block *label = f->kind == WM_FA_LABELS ? f->blocks : NULL; label; label = label->next) {
            bool placed = false;
            for (size_t p = 0; p < of->count && !placed; p++) {
                const wm_word *tag = of->places[p]->tensor->tag;
                placed = (tag && wm_str_eq(tag->text, label->tag->text)) ||
                         has_label(layout_of(of->places[p])->factors, label->tag->text);
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

/* ---- extents ---- */

/* c + k*x of a dimension with at most one unknown. */
typedef struct linear {
    uint64_t c, k;
    wm_cell *x;
    uint32_t unknown; /* more than one: not solved yet */
    bool too_large;
} linear;

static wm_cell *cell_of(const wm_member *m, wm_str name)
{
    const wm_hub_axis *axis = wm_hub_find_axis(m, name);
    return axis ? axis->cell : NULL;
}

static linear of_factors(const wm_hub_place *place, const wm_factor *factors, int owner);

static void times(linear *a, const linear *b)
{
    a->unknown += b->unknown;
    a->too_large |= b->too_large;
    if (a->unknown > 1)
        return;
    a->x = a->x ? a->x : b->x;
    uint64_t k = b->x ? a->c : a->k, other = b->x ? b->k : b->c;
    a->too_large |= !wm_size_mul(k, other, &a->k);
    a->too_large |= !wm_size_mul(a->c, b->c, &a->c);
}

static linear of_axis(const wm_hub_place *place, wm_str name, int owner)
{
    wm_cell *cell = cell_of(place->owners[owner].item->member, name);
    if (cell && cell->known)
        return (linear){.c = (uint64_t)cell->value};
    return (linear){.k = 1, .x = cell, .unknown = 1};
}

static linear of_factor(const wm_hub_place *place, const wm_factor *f, int owner)
{
    linear sum = {0};
    switch (f->kind) {
    case WM_FA_AXIS:
    case WM_FA_REVERSED:
    case WM_FA_EQUAL: {
        const wm_member *m = place->owners[owner].item->member;
        const wm_hub_axis *axis = wm_hub_find_axis(m, f->name->text);
        if (!axis || !axis->parts)
            return of_axis(place, f->name->text, owner);
        linear product = {.c = 1};
        for (uint32_t i = 0; i < axis->part_count; i++) {
            linear part = of_axis(place, axis->parts[i].name, owner);
            times(&product, &part);
        }
        return product;
    }
    case WM_FA_NUMBER:
        return (linear){.c = (uint64_t)f->value};
    case WM_FA_GROUP:
        return of_factors(place, f->factors, owner);
    case WM_FA_LABELS:
    case WM_FA_BLOCKS:
        for (const wm_block *b = f->blocks; b; b = b->next) {
            int own = owner_of(place, b);
            linear part = {.c = 1};
            if (b->factors)
                part = of_factors(place, b->factors, own >= 0 ? own : owner);
            else if (b->unnamed && f->kind == WM_FA_BLOCKS)
                part = (linear){.k = 1, .unknown = 2}; /* what is left: nobody says how much */
            if (part.x && part.x == sum.x) {
                part.unknown = 0; /* twice the same */
                sum.too_large |= !wm_size_add(sum.k, part.k, &sum.k);
            } else {
                sum.k = part.x ? part.k : sum.k;
                sum.x = part.x ? part.x : sum.x;
            }
            sum.unknown += part.unknown;
            sum.too_large |= part.too_large || !wm_size_add(sum.c, part.c, &sum.c);
        }
        return sum;
    case WM_FA_DOTS:
        break;
    }
    return (linear){.unknown = 2};
}

static linear of_factors(const wm_hub_place *place, const wm_factor *factors, int owner)
{
    linear product = {.c = 1};
    for (const wm_factor *f = factors; f; f = f->next) {
        linear next = of_factor(place, f, owner);
        times(&product, &next);
    }
    return product;
}

bool wm_hub_shape(wm_hub *h, const wm_hub_place *place, uint64_t *shape, uint32_t *rank)
{
    bool known = true;
    (void)h;
    *rank = 0;
    for (const wm_factor *f = layout_of(place)->factors; f; f = f->next) {
        linear d = of_factor(place, f, 0);
        known &= d.unknown == 0 && !d.too_large && *rank < WMAP_MAX_RANK;
        if (known)
            shape[(*rank)++] = d.c;
    }
    return known;
}

/* Counts the axes in a factor that the shape alone has to tell. */
static uint32_t count_axes(const wm_hub_place *place, const wm_factor *factors)
{
    uint32_t count = 0;
    for (const wm_factor *f = factors; f; f = f->next) {
        count += wm_names_axis(f);
        for (uint32_t o = 0; wm_names_axis(f) && o < place->owner_count; o++) {
            const wm_hub_axis *axis = wm_hub_find_axis(place->owners[o].item->member, f->name->text);
            count += axis && axis->parts ? axis->part_count : 0;
        }
        if (f->kind == WM_FA_GROUP)
            count += count_axes(place, f->factors);
        for (const wm_block *b = wm_has_blocks(f) ? f->blocks : NULL; b; b = b->next)
            count += b->unnamed && f->kind == WM_FA_BLOCKS ? 2 : count_axes(place, b->factors);
    }
    return count;
}

bool wm_hub_needs_where(wm_hub *h, const wm_hub_place *place)
{
    (void)h;
    for (const wm_factor *f = layout_of(place)->factors; f; f = f->next) {
        const wm_factor one = *f;
        wm_factor alone = one;
        alone.next = NULL;
        if (count_axes(place, &alone) > 1)
            return true;
    }
    for (uint32_t o = 0; o < place->owner_count; o++) {
        const wm_member *m = place->owners[o].item->member;
        for (uint32_t i = 0; i < m->axis_count; i++)
            if (m->axes[i].parts && array_axis(place->owners[o].item->array, m->axes[i].name))
                return true;
    }
    return false;
}

/* ---- the file ---- */

typedef struct header_tensor {
    const wmap_tensor *tensor;
    const char *label;
} header_tensor;

static void wrong_extent(wm_hub *h, const wm_hub_place *place, const wm_factor *f, uint64_t want,
                         const header_tensor *t, uint32_t dim)
{
    const wm_hub_item *item = place->owners[0].item;
    wm_cell *cell = wm_names_axis(f) ? cell_of(item->member, f->name->text) : NULL;
    wm_span span = cell && cell->span.file != WM_NO_FILE ? cell->span : item->member->span;
    wm_str text = {h->r->unit->sources[f->span.file]->text + f->span.beg, f->span.end - f->span.beg};
    wm_diag *d = wm_error(h->r->unit, WM_E1009, span, "the extent of %s is %llu for `%s`, %llu in %s",
                          wm_quote(h->r->unit, text), (unsigned long long)want, wm_item_text(h, item),
                          (unsigned long long)t->tensor->shape[dim], t->label);
    wm_diag_also(h->r->unit, d, place->span, "the tensor is named here");
    wm_diag_note(h->r->unit, d, "it is %s of %s",
                 wm_show_type(h->r->unit, t->tensor->dtype, t->tensor->rank, t->tensor->shape),
                 wm_quote(h->r->unit, place->name));
    h->failed = true;
}

/* One look at a tensor's dimensions; true if an extent became known. With `last` what disagrees is said. */
static bool look(wm_hub *h, const wm_hub_place *place, const header_tensor *t, bool last)
{
    bool news = false;
    uint32_t dim = 0, rank = 0;
    const wm_layout *layout = layout_of(place);
    for (const wm_factor *f = layout->factors; f; f = f->next)
        rank++;
    if (rank != t->tensor->rank) {
        if (!last)
            return false;
        wm_diag *d = wm_error(h->r->unit, WM_E0504, layout->span, "%u dimensions here, but %s has %u", rank,
                              wm_quote(h->r->unit, place->name), t->tensor->rank);
        wm_diag_note(h->r->unit, d, "it is %s in %s",
                     wm_show_type(h->r->unit, t->tensor->dtype, t->tensor->rank, t->tensor->shape), t->label);
        h->failed = true;
        return false;
    }
    for (const wm_factor *f = layout->factors; f; f = f->next, dim++) {
        linear d = of_factor(place, f, 0);
        uint64_t have = t->tensor->shape[dim];
        if (d.too_large || d.unknown > 1)
            continue;
        if (d.unknown == 0) {
            if (last && d.c != have)
                wrong_extent(h, place, f, d.c, t, dim);
        } else if (d.x && d.k && have >= d.c && (have - d.c) % d.k == 0 && (have - d.c) / d.k <= INT64_MAX) {
            d.x->known = news = true;
            d.x->value = (int64_t)((have - d.c) / d.k);
        }
    }
    return news;
}

void wm_hub_solve(wm_hub *h, const wmap_compile_options *options)
{
    wm_hub_side *side = &h->sides[0];
    header_tensor *found = wm_new(h->arena, header_tensor, side->count);
    for (size_t s = 0; s < options->source_count; s++) {
        const wmap_header *header = &options->sources[s];
        for (size_t i = 0; i < header->count; i++) {
            const wmap_tensor *t = &header->tensors[i];
            wm_str name = {t->name, (uint32_t)t->name_len};
            if (header->prefix && *header->prefix)
                name =
                    (wm_str){wm_format_text(h->arena, "%s/%.*s", header->prefix, (int)name.len, name.p), 0};
            if (!name.len)
                name.len = (uint32_t)strlen(name.p);
            uint32_t at = wm_map_get(&side->names, name.p, name.len);
            if (at == WM_MAP_NONE && header->aliases && header->aliases[i])
                at = wm_map_get(&side->names, header->aliases[i], strlen(header->aliases[i]));
            if (at == WM_MAP_NONE)
                continue;
            found[at] = (header_tensor){t, header->label};
            side->places[at]->in_header = i;
            side->places[at]->dtype = t->dtype;
        }
    }
    /* Each pass makes an extent known, or is the last but one. */
    for (bool news = true; news;) {
        news = false;
        for (size_t i = 0; i < side->count && wm_hub_step(h, 1, h->named->span); i++)
            if (found[i].tensor)
                news |= look(h, side->places[i], &found[i], false);
        if (h->failed)
            return;
    }
    for (size_t i = 0; i < side->count; i++)
        if (found[i].tensor)
            look(h, side->places[i], &found[i], true);
}
