/* shared.c: the extents of axes that several rules share, by the block that declares them and by the captures
 * that tell its rounds apart. */
#include <string.h>

#include "compiler/pass.h"
#include "compiler/scope.h"

/* The key of an axis: which it is, and what the instance captured, if that tells several of its kind apart.
 */
static wm_str shared_key(wm_arena *arena, const wm_axes *axes, uint32_t number, const wm_instance *in)
{
    wm_buffer key = {.arena = arena};
    uint64_t id = (uint64_t)axes->id << 32 | number;
    wm_buffer_add(&key, (const char *)&id, sizeof id);
    for (uint32_t b = 0; in && b < axes->by_count; b++)
        for (uint32_t v = 0; v < in->form->line->var_count; v++) {
            const wm_var *var = &in->form->line->vars[v];
            const wm_capture *c = &in->captures[v];
            if (!c->bound || !wm_str_eq(var->name, axes->by[b]))
                continue;
            uint64_t head = var->text ? c->s.len : (uint64_t)c->i;
            wm_buffer_add(&key, (const char *)&head, sizeof head);
            if (var->text)
                wm_buffer_add(&key, c->s.p, c->s.len);
        }
    return (wm_str){key.text, (uint32_t)key.len};
}

struct wm_shared_slot *wm_shared_slot_of(wm_state *state, const wm_axes *axes, uint32_t number,
                                         const wm_instance *in)
{
    wm_unit *unit = state->unit;
    wm_shared *s = &state->shared;
    uint64_t id = (uint64_t)axes->id << 32 | number;
    wm_str key = {(const char *)&id, sizeof id};
    if (in && axes->by_count)
        key = shared_key(unit->scratch, axes, number, in);
    uint32_t at = wm_map_get(&s->map, key.p, key.len);
    if (at != WM_MAP_NONE)
        return &s->slots[at];
    char *kept = wm_alloc(unit->arena, key.len);
    memcpy(kept, key.p, key.len);
    wm_map_put(&s->map, kept, key.len, (uint32_t)s->count, NULL);
    struct wm_shared_slot *slot = wm_push(unit->arena, s->slots, s->count, s->cap);
    slot->extent = -1;
    const struct wm_axes_item *item = &axes->items[number];
    wm_val value;
    if (!item->expr || wm_eval(unit, axes->scope, NULL, item->expr, &value) != WM_EVAL_OK)
        return slot;
    if (value.kind != WM_VAL_INT || value.i < 0) {
        wm_error(unit, WM_E0143, item->expr->span,
                 "an extent is a whole number that is not negative, this is %s", wm_val_text(unit, &value));
        return slot;
    }
    slot->extent = value.i;
    slot->origin = (wm_origin){.span = item->expr->span, .text = "given here"};
    return slot;
}

void wm_lose_shared(wm_state *state, const wm_line *line)
{
    for (const wm_axes *axes = line->axes; axes; axes = axes->up)
        for (uint32_t k = 0; k < axes->count; k++)
            wm_shared_slot_of(state, axes, k, NULL)->lost = true;
}
