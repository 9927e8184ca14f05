/* hub_extent.c: extents of the dimensions of placements; solved, and compared, by the shapes of a file. */
#include <stdio.h>
#include <string.h>

#include "compiler/hub.h"
#include "compiler/pass.h"
#include "runtime/base/size.h"

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

/* The cell of a name of a layout: an axis, or what `a=n` beside `(a b) = (u n)` says. */
static wm_cell *cell_at(const wm_hub_place *place, wm_str name, int owner)
{
    const wm_member *m = place->owners[owner].item->member;
    wm_cell *cell = cell_of(m, name);
    for (const wm_binding *w = place->where; w && !cell; w = w->next)
        if (w->expr && w->expr->kind == WM_EX_NAME && wm_str_eq(w->names->text, name))
            cell = cell_of(m, w->expr->name->parts->text);
    return cell;
}

/* Multiplies the extents of a group but for `without`; false if one is not known. */
static bool multiply(const wm_hub_place *place, const wm_word *words, const wm_word *without, int owner,
                     uint64_t *product)
{
    *product = 1;
    for (const wm_word *w = words; w; w = w->next) {
        const wm_cell *cell = w == without ? NULL : cell_at(place, w->text, owner);
        if (w != without && (!cell || !cell->known || !wm_size_mul(*product, (uint64_t)cell->value, product)))
            return false;
    }
    return true;
}

/* The last of the axes that are counted anew follows from the others. */
static bool follows(const wm_hub_place *place, wm_str name, int owner, uint64_t *extent)
{
    for (const wm_binding *w = place->where; w; w = w->next) {
        const wm_word *groups[2] = {w->other ? w->names : NULL, w->other};
        for (int g = 0; g < 2; g++)
            for (const wm_word *x = groups[g]; x; x = x->next) {
                uint64_t whole, rest;
                if (wm_str_eq(x->text, name) && multiply(place, groups[1 - g], NULL, owner, &whole) &&
                    multiply(place, groups[g], x, owner, &rest) && rest && whole % rest == 0) {
                    *extent = whole / rest;
                    return true;
                }
            }
    }
    return false;
}

static linear of_axis(const wm_hub_place *place, wm_str name, int owner)
{
    wm_cell *cell = cell_at(place, name, owner);
    uint64_t extent;
    if (cell && cell->known)
        return (linear){.c = (uint64_t)cell->value};
    if (!cell && follows(place, name, owner, &extent))
        return (linear){.c = extent};
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
            int own = wm_block_owner(place, b);
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
    for (const wm_factor *f = wm_place_layout(place)->factors; f; f = f->next) {
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
    for (const wm_factor *f = wm_place_layout(place)->factors; f; f = f->next) {
        const wm_factor one = *f;
        wm_factor alone = one;
        alone.next = NULL;
        if (count_axes(place, &alone) > 1)
            return true;
    }
    for (uint32_t o = 0; o < place->owner_count; o++) {
        const wm_member *m = place->owners[o].item->member;
        for (uint32_t i = 0; i < m->axis_count; i++)
            if (m->axes[i].parts && wm_array_axis(place->owners[o].item->array, m->axes[i].name))
                return true;
    }
    return false;
}

/* ---- the file ---- */

typedef struct header_tensor {
    const wmap_tensor *tensor;
    const char *label;
} header_tensor;

/* An extent that is a parameter of the architecture can be given. */
static void hint_argument(wm_hub *h, wm_diag *d, const wm_cell *cell, uint64_t extent)
{
    if (!cell || cell->span.file == WM_NO_FILE)
        return;
    const char *text = h->r->unit->sources[cell->span.file]->text + cell->span.beg;
    wm_str name = {text, cell->span.end - cell->span.beg};
    for (const wm_param *p = h->arch->item->params; p; p = p->next)
        if (wm_str_eq(p->name->text, name))
            wm_diag_hint(h->r->unit, d, "`%s (%.*s = %llu)`, if that is so", h->sides[0].model->name,
                         (int)name.len, name.p, (unsigned long long)extent);
}

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
    hint_argument(h, d, cell, t->tensor->shape[dim]);
    h->failed = true;
}

/* One look at a tensor's dimensions; true if an extent became known. With `last` what disagrees is said. */
static bool look(wm_hub *h, const wm_hub_place *place, const header_tensor *t, bool last)
{
    bool news = false;
    uint32_t dim = 0, rank = 0;
    const wm_layout *layout = wm_place_layout(place);
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

/* Members that are stacked in one tensor have the extents of the first. True if one became known by that. */
static bool spread(const wm_hub_place *place)
{
    bool news = false;
    for (uint32_t o = place->each; place->each && o < place->owner_count; o++) {
        const wm_member *first = place->owners[o % place->each].item->member;
        const wm_member *m = place->owners[o].item->member;
        for (uint32_t a = 0; a < m->axis_count; a++) {
            const wm_hub_axis *axis = wm_hub_find_axis(first, m->axes[a].name);
            const wm_cell *from = axis && axis->cell ? cell_of(first, axis->name) : NULL;
            wm_cell *to = m->axes[a].cell ? cell_of(m, m->axes[a].name) : NULL;
            if (!from || !to || !from->known || to->known)
                continue;
            to->known = news = true;
            to->value = from->value;
        }
    }
    return news;
}

/* The tensors of the source that are those of its model's places. */
static header_tensor *find_tensors(wm_hub *h, const wmap_compile_options *options)
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
    return found;
}

size_t wm_hub_overfull(wm_hub *h, const wmap_compile_options *options)
{
    const wm_hub_side *side = &h->sides[0];
    const header_tensor *found = find_tensors(h, options);
    size_t count = 0;
    for (size_t i = 0; i < side->count; i++) {
        const wm_hub_place *place = side->places[i];
        uint32_t dim = 0;
        if (!place->each || !found[i].tensor)
            continue;
        for (const wm_factor *f = wm_place_layout(place)->factors; f && dim < found[i].tensor->rank;
             f = f->next, dim++)
            count += f->kind == WM_FA_LABELS && f->blocks && f->blocks->tag &&
                     wm_str_eq(f->blocks->tag->text, place->owners[0].item->label->text) &&
                     place->owner_count / place->each > found[i].tensor->shape[dim];
    }
    return count;
}

void wm_hub_solve(wm_hub *h, const wmap_compile_options *options)
{
    wm_hub_side *side = &h->sides[0];
    const header_tensor *found = find_tensors(h, options);
    /* Each pass makes an extent known, or is the last but one. */
    for (bool news = true; news;) {
        news = false;
        for (size_t i = 0; i < side->count && wm_hub_step(h, 1, h->named->span); i++)
            if (found[i].tensor)
                news |= look(h, side->places[i], &found[i], false);
        for (size_t i = 0; i < side->count; i++)
            news |= spread(side->places[i]);
        if (h->failed)
            return;
    }
    for (size_t i = 0; i < side->count; i++)
        if (found[i].tensor)
            look(h, side->places[i], &found[i], true);
}
