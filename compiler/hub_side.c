/* hub_side.c: what a model of an architecture declares: the tensors that it places, as model.c gives those of
 * a core model. So it is a side of a map that derives nothing, and the source where there is no file. */
#include "compiler/hub.h"

#include <string.h>

/* A tensor that the model asks no more of than that it may be there. */
static void add_ignored(wm_hub *h, const wmap_header *header, wm_model *model, size_t *cap)
{
    for (size_t i = 0; i < header->count; i++) {
        const wmap_tensor *t = &header->tensors[i];
        wm_str name = {t->name, (uint32_t)t->name_len};
        if (wm_map_get(&h->sides[0].names, name.p, name.len) != WM_MAP_NONE || !wm_hub_ignored(h, name))
            continue;
        *wm_push(h->arena, model->tensors, model->count, *cap) = (wm_declared){.name = name,
                                                                               .dtype = t->dtype,
                                                                               .rank = t->rank,
                                                                               .shape = t->shape,
                                                                               .span = model->span,
                                                                               .dtype_span = model->span,
                                                                               .shape_span = model->span};
    }
}

/* False: some extent is not known, which is reported if `needed`. */
static bool add_place(wm_hub *h, const wm_hub_place *place, bool needed, wm_model *model, size_t *cap)
{
    uint64_t shape[WMAP_MAX_RANK];
    wm_declared d = {.name = place->name,
                     .dtype = place->owners[0].item->array->dtype,
                     .optional = place->tensor->optional,
                     .span = place->span,
                     .dtype_span = place->span,
                     .shape_span = place->tensor->span};
    if (!wm_hub_shape(h, place, shape, &d.rank)) {
        if (needed) {
            wm_diag *e = wm_error(h->r->unit, WM_E1009, h->taking, "the extents of %s are not known",
                                  wm_quote(h->r->unit, place->name));
            wm_diag_also(h->r->unit, e, place->span, "the placement");
            wm_diag_hint(h->r->unit, e, "give the model arguments, or name a file: `--target-like FILE`");
            h->failed = true;
        }
        return false;
    }
    uint64_t *copy = wm_new(h->arena, uint64_t, d.rank);
    if (d.rank)
        memcpy(copy, shape, d.rank * sizeof *copy);
    d.shape = copy;
    *wm_push(h->arena, model->tensors, model->count, *cap) = d;
    return true;
}

const wm_model *wm_hub_declare(wm_hub *h, bool needed)
{
    const wm_hub_side *side = &h->sides[0];
    const wmap_compile_options *o = h->r->options;
    wm_model *model = wm_new(h->arena, wm_model, 1);
    size_t cap = 0;
    model->name = (wm_str){side->model->name, (uint32_t)strlen(side->model->name)};
    model->span = side->model->decl->span;
    for (size_t i = 0; i < side->count; i++)
        if (!add_place(h, side->places[i], needed, model, &cap))
            return NULL;
    for (size_t s = 0; s < o->source_count; s++)
        add_ignored(h, &o->sources[s], model, &cap);
    return model;
}

const wm_model *wm_hub_side_of(wm_resolver *r, const wm_context *c, const wm_call *call, bool read)
{
    const wmap_compile_options *given = r->options;
    wmap_compile_options own = *given;
    if (!read) {
        own.sources = given->target;
        own.source_count = given->target && !r->program->then;
    }
    wm_hub *h = wm_hub_new(r, c->file);
    h->taking = call->span;
    r->options = &own;
    const wm_model *model = NULL;
    if (wm_hub_open(h, c->scope, call, NULL) && wm_hub_expand(h)) {
        wm_hub_place_side(h, 0);
        if (!h->failed && wm_hub_right_file(h))
            wm_hub_solve(h, &own);
        if (!h->failed)
            model = wm_hub_declare(h, !read && !r->written);
    } else {
        h->failed = true;
    }
    r->options = given;
    r->program->failed |= h->failed;
    return model;
}
