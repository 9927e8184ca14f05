/* hub_stack.c: members that stand along an axis of one tensor: those of a block with a layout, `[k ...]`, and
 * what a direct placement that stacks shares with them. Each of the members has a label, of which the axis is
 * made up: `{k_0 k_1 k_2}`. */
#include <string.h>

#include "compiler/hub_place.h"

/* ---- labels ---- */

void wm_label_member(wm_placer *p, wm_hub_item *item, wm_str axis, int64_t value, wm_span at)
{
    wm_hub *h = p->h;
    if (item->label && item->stacked_at != value) {
        wm_error(h->r->unit, WM_E0199, at,
                 "members that each side stacks in another way (`%s`) are not supported yet",
                 wm_item_text(h, item));
        h->failed = true;
    } else if (!item->label) {
        wm_word *word = wm_new(h->arena, wm_word, 1);
        const char *text = wm_format_text(h->arena, "%.*s_%lld", (int)axis.len, axis.p, (long long)value);
        *word = (wm_word){.text = {text, (uint32_t)strlen(text)}, .span = at};
        item->label = word;
        item->stacked_at = value;
    }
    if (wm_array_axis(item->array, axis)) {
        wm_error(h->r->unit, WM_E1006, at,
                 "%s is an axis of `%s`: the members that are stacked need another name",
                 wm_quote(h->r->unit, axis), wm_item_text(h, item));
        h->failed = true;
    }
}

wm_factor *wm_member_labels(wm_hub *h, const wm_hub_place *place, wm_span at)
{
    wm_factor *labels = wm_new(h->arena, wm_factor, 1);
    *labels = (wm_factor){.kind = WM_FA_LABELS, .span = at};
    wm_block **block = &labels->blocks;
    for (uint32_t i = 0; i < place->owner_count; i += place->each) {
        *block = wm_new(h->arena, wm_block, 1);
        **block = (wm_block){.tag = wm_new(h->arena, wm_word, 1), .span = at};
        *(*block)->tag = *place->owners[i].item->label;
        block = &(*block)->next;
    }
    return labels;
}

/* ---- blocks ---- */

/* `[k ...]` or `[x k ...]`: the factor before the dots. NULL: another layout. */
static const wm_factor *stacking_axis(const wm_layout *layout, bool *second)
{
    const wm_factor *f = layout->factors;
    *second = f && f->next && f->next->kind == WM_FA_AXIS;
    if (*second && f->kind == WM_FA_AXIS)
        f = f->next;
    return f && f->kind == WM_FA_AXIS && f->next && f->next->kind == WM_FA_DOTS && !f->next->next ? f : NULL;
}

static const wm_named *variable(const wm_ref *ref, const wm_scope *scope, wm_str name)
{
    for (const wm_index *x = ref->indices; x; x = x->next)
        if (x->word && wm_str_eq(x->word->text, name))
            for (uint32_t i = 0; i < scope->count; i++)
                if (wm_str_eq(scope->items[i].name, name))
                    return &scope->items[i];
    return NULL;
}

bool wm_enter_stack(wm_placer *p, const wm_hub_line *line, const wm_scope *scope, wm_str prefix)
{
    wm_hub *h = p->h;
    const wm_hplace *place = line->stmt->places;
    bool second;
    const wm_factor *axis = stacking_axis(place->layout, &second);
    const wm_named *bound = axis ? variable(line->stmt->owners->ref, scope, axis->name->text) : NULL;
    if (!bound || wm_string_asks(place->name, bound->name)) {
        wm_diag *d = wm_error(h->r->unit, WM_E1006, place->layout->span,
                              "a block's layout says along which axis its members stand");
        wm_diag_hint(
            h->r->unit, d,
            "`unit[k] = \"units.\" [k ...]`, or `[x k ...]` behind another one; `k` is not in the name");
        return false;
    }
    if (p->stack) {
        wm_error(h->r->unit, WM_E0199, place->layout->span,
                 "members that are stacked by more than one variable are not supported yet");
        return false;
    }
    p->stacked_at = bound->value.i;
    for (size_t i = 0; i < p->block_stack_count && !p->stack && wm_hub_step(h, 1, place->span); i++)
        if (p->block_stacks[i]->line == line->stmt && wm_str_eq(p->block_stacks[i]->prefix, prefix))
            p->stack = p->block_stacks[i];
    if (!p->stack) {
        p->stack = wm_new(h->arena, wm_stack, 1);
        *p->stack =
            (wm_stack){.line = line->stmt, .prefix = prefix, .axis = axis->name->text, .second = second};
        *wm_push(h->arena, p->block_stacks, p->block_stack_count, p->block_stack_cap) = p->stack;
    }
    p->stack->members++;
    return !h->r->spent;
}

/* The owners of a place of one member: each gets its label, and what stands for that array of all members. */
static void label_owners(wm_placer *p, const wm_hub_place *place, const wm_hub_place *first)
{
    int side = p->side->number;
    for (uint32_t i = 0; i < place->owner_count; i++) {
        wm_hub_item *item = place->owners[i].item;
        const wm_owner **stem = &item->stems[side];
        wm_label_member(p, item, place->stack->axis, place->stacked_at, place->span);
        if (!*stem)
            *stem = first == place ? wm_new(p->h->arena, wm_owner, 1) : first->owners[i].item->stems[side];
    }
}

void wm_begin_stack(wm_placer *p, wm_hub_place *place)
{
    if (place->each) {
        wm_error(p->h->r->unit, WM_E0199, place->span,
                 "members that are stacked by more than one variable are not supported yet");
        p->h->failed = true;
    }
    place->each = place->owner_count;
    label_owners(p, place, place);
}

void wm_add_to_stack(wm_placer *p, wm_hub_place *stack, const wm_hub_place *place)
{
    wm_hub *h = p->h;
    uint32_t before = stack->owner_count;
    if (place->owner_count != stack->each || before + place->owner_count > WM_HUB_OWNERS) {
        if (!h->failed)
            wm_error(h->r->unit, WM_E0903, place->span, "a tensor holds at most %d arrays", WM_HUB_OWNERS);
        h->failed = true;
        return;
    }
    struct wm_hub_owner_of *all = wm_new(h->arena, struct wm_hub_owner_of, before + place->owner_count);
    memcpy(all, stack->owners, before * sizeof *all);
    memcpy(all + before, place->owners, place->owner_count * sizeof *all);
    stack->owners = all;
    stack->owner_count += place->owner_count;
    label_owners(p, place, stack);
}

static bool finish(wm_placer *p, wm_hub_place *place)
{
    wm_hub *h = p->h;
    if (place->owner_count / place->each != place->stack->members) {
        wm_error(h->r->unit, WM_E1006, place->span,
                 "%s holds %u of the %zu members of a block that is stacked",
                 wm_quote(h->r->unit, place->name), place->owner_count / place->each, place->stack->members);
        return false;
    }
    const wm_layout *own = wm_place_layout(place);
    if (place->stack->second && !own->factors) {
        wm_error(h->r->unit, WM_E1006, place->span,
                 "%s has no dimension before which its members could stand second",
                 wm_quote(h->r->unit, place->name));
        return false;
    }
    wm_factor *labels = wm_member_labels(h, place, own->span);
    wm_layout *layout = wm_new(h->arena, wm_layout, 1);
    *layout = (wm_layout){.span = own->span, .factors = labels};
    labels->next = own->factors;
    if (place->stack->second) {
        wm_factor *first = wm_new(h->arena, wm_factor, 1);
        *first = *own->factors;
        labels->next = first->next;
        first->next = labels;
        layout->factors = first;
    }
    wm_hub_tensor *tensor = wm_new(h->arena, wm_hub_tensor, 1);
    *tensor = *place->tensor;
    tensor->layout = layout;
    place->tensor = tensor;
    return wm_hub_check_place(h, place);
}

void wm_finish_block_stacks(wm_placer *p)
{
    for (size_t i = 0; i < p->side->count && p->block_stack_count && !p->h->failed; i++)
        if (p->side->places[i]->stack)
            p->h->failed |= !finish(p, p->side->places[i]);
}
