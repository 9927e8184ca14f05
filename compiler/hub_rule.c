/* hub_rule.c: one rule of the core for a group of arrays that share tensors on either side. In a group of
 * several arrays each array's name is its tag on both sides, whatever tags the dialects used. */
#include <string.h>

#include "compiler/hub.h"

typedef struct ruler {
    wm_hub *h;
    wm_hub_item **items;
    size_t count;
    const wm_word **tags; /* of the items, in a group of several; NULL in one of one */
    wm_str **axes;        /* of the items: names of the axes of their members */
    bool stacked;         /* the items are of members that are stacked: each has a label as well */
    bool renamed;
    bool ok;
} ruler;

wm_string *wm_hub_string(wm_hub *h, wm_str text, wm_span span)
{
    wm_string *s = wm_new(h->arena, wm_string, 1);
    s->span = span;
    if (text.len) {
        s->parts = wm_new(h->arena, wm_part, 1);
        s->parts->span = span;
        s->parts->text = text;
    }
    return s;
}

wm_expr *wm_hub_int(wm_hub *h, int64_t i, wm_span span)
{
    wm_expr *e = wm_new(h->arena, wm_expr, 1);
    *e = (wm_expr){.kind = WM_EX_INT, .span = span, .i = i};
    return e;
}

static size_t number_of(const ruler *r, const wm_hub_item *item)
{
    size_t i = 0;
    while (i + 1 < r->count && r->items[i] != item)
        i++;
    return i;
}

static bool is_of(const ruler *r, const wm_hub_item *item)
{
    return r->items[number_of(r, item)] == item;
}

/* ---- names ---- */

static bool is_axis_name(const ruler *r, wm_str name)
{
    for (size_t i = 0; i < r->count; i++)
        if (wm_hub_find_axis(r->items[i]->member, name))
            return true;
    return false;
}

static bool is_label_name(const ruler *r, wm_str name)
{
    for (size_t i = 0; i < r->count; i++)
        for (const wm_factor *f = r->items[i]->array->layout->factors; f; f = f->next)
            for (const wm_block *b = f->kind == WM_FA_LABELS ? f->blocks : NULL; b; b = b->next)
                if (b->tag && wm_str_eq(b->tag->text, name))
                    return true;
    return false;
}

static bool tag_taken(const ruler *r, size_t until, wm_str name)
{
    for (size_t i = 0; i < until; i++)
        if (wm_str_eq(r->tags[i]->text, name))
            return true;
    return is_axis_name(r, name) || is_label_name(r, name);
}

/* "fc_2_kernel" */
static wm_str layer_name(wm_hub *h, const wm_hub_item *item)
{
    wm_buffer b = {.arena = h->arena};
    wm_buffer_add(&b, item->member->name.p, item->member->name.len);
    for (uint32_t i = 0; i < item->member->index_count; i++) {
        wm_buffer_add(&b, "_", 1);
        wm_buffer_int(&b, item->member->index[i] < 0 ? 0 : item->member->index[i]);
    }
    wm_buffer_add(&b, "_", 1);
    wm_buffer_add(&b, item->array->name.p, item->array->name.len);
    return (wm_str){b.text, (uint32_t)b.len};
}

static void name_tags(ruler *r)
{
    wm_hub *h = r->h;
    r->tags = wm_new(h->arena, const wm_word *, r->count);
    for (size_t i = 0; i < r->count; i++) {
        const wm_hub_item *item = r->items[i];
        bool shared = false;
        for (size_t k = 0; k < r->count; k++)
            shared |= k != i && wm_str_eq(r->items[k]->array->name, item->array->name);
        wm_str name = item->array->name;
        if (shared && item->member->layer->decl)
            name = layer_name(h, item);
        wm_str base = name;
        for (unsigned n = 2; tag_taken(r, i, name); n++) {
            name.p = wm_format_text(h->arena, "%.*s_%u", (int)base.len, base.p, n);
            name.len = (uint32_t)strlen(name.p);
        }
        wm_word *word = wm_new(h->arena, wm_word, 1);
        word->text = name;
        word->span = item->array->span;
        r->tags[i] = word;
    }
}

/* What stacks a member's arrays calls them; of two sides the source's. */
static const wm_owner *stem_of(const wm_hub_item *item)
{
    return item->stems[0] ? item->stems[0] : item->stems[1];
}

/* Of stacked members the tags are those of one of them; an array that is alone needs none. */
static void name_stems(ruler *r)
{
    size_t stems = 0;
    name_tags(r);
    for (size_t i = 0; i < r->count; i++) {
        size_t k = 0;
        while (k < i && stem_of(r->items[k]) != stem_of(r->items[i]))
            k++;
        stems += k == i;
        r->tags[i] = r->tags[k];
        if (stem_of(r->items[i]) && r->items[i]->label)
            continue;
        wm_error(r->h->r->unit, WM_E0199, r->items[i]->sides[0].places[0]->tensor->span,
                 "`%s`, beside members that are stacked, is not supported yet",
                 wm_item_text(r->h, r->items[i]));
        r->ok = false;
    }
    if (stems == 1)
        r->tags = NULL;
}

static bool same_cell(const wm_hub_axis *a, const wm_hub_axis *b)
{
    if (!a->cell || !b->cell || a->cell == b->cell)
        return a->cell == b->cell;
    return a->cell->known && b->cell->known && a->cell->value == b->cell->value;
}

/* Axes of one name and of different extents are renamed apart. */
static void name_axes(ruler *r)
{
    wm_hub *h = r->h;
    r->axes = wm_new(h->arena, wm_str *, r->count);
    for (size_t i = 0; i < r->count; i++) {
        const wm_member *m = r->items[i]->member;
        r->axes[i] = wm_new(h->arena, wm_str, m->axis_count);
        for (uint32_t a = 0; a < m->axis_count; a++) {
            r->axes[i][a] = m->axes[a].name;
            for (size_t k = 0; k < i; k++) {
                const wm_hub_axis *other = wm_hub_find_axis(r->items[k]->member, m->axes[a].name);
                if (!other || same_cell(&m->axes[a], other) || m->axes[a].parts)
                    continue;
                r->axes[i][a].p =
                    wm_format_text(h->arena, "%.*s%zu", (int)m->axes[a].name.len, m->axes[a].name.p, i + 1);
                r->axes[i][a].len = (uint32_t)strlen(r->axes[i][a].p);
                r->renamed = true;
            }
        }
    }
}

/* ---- operands ---- */

static const wm_str *plain_axes(wm_hub *h, const wm_member *m)
{
    wm_str *names = wm_new(h->arena, wm_str, m->axis_count);
    for (uint32_t a = 0; a < m->axis_count; a++)
        names[a] = m->axes[a].name;
    return names;
}

/* Is an array added to one of the rule's, or the one to which the rule's is added? */
static bool folds_into(const ruler *r, const wm_hub_item *item)
{
    for (size_t i = 0; i < r->count; i++) {
        for (const struct wm_hub_folded *f = r->items[i]->folds; f; f = f->next)
            if (f->item == item)
                return true;
        for (const struct wm_hub_folded *f = r->items[i]->folded ? item->folds : NULL; f; f = f->next)
            if (f->item == r->items[i])
                return true;
    }
    return false;
}

/* What the blocks of a tensor hold that the other side has no arrays for: their neutral value. A buffer is
 * left where it is read. */
static void add_else(ruler *r, const wm_hub_place *place, wm_place *made, bool written)
{
    wm_hub *h = r->h;
    const wm_hub_item *first = NULL;
    for (uint32_t o = 0; o < place->owner_count; o++) {
        const wm_hub_item *item = place->owners[o].item;
        wm_expr *constant;
        if (is_of(r, item) || folds_into(r, item) || item->member->left_out ||
            (item->array->buffer && !written))
            continue;
        if (item->folded || (!item->array->neutral && !item->array->buffer)) {
            wm_error(h->r->unit,
                     item->folded ? WM_E0199
                     : written    ? WM_E1012
                                  : WM_E1013,
                     place->tensor->span,
                     item->folded ? "folding `%s`, a part of a tensor, is not supported yet"
                                  : "`%s`, a part of a tensor, is on one side only",
                     wm_item_text(h, item));
            r->ok = false;
            return;
        }
        if (!wm_hub_constant(h, item, place, &constant)) {
            r->ok = false;
            return;
        }
        const wm_expr *before = made->otherwise;
        if (before && (before->kind != constant->kind || before->i != constant->i ||
                       memcmp(&before->f, &constant->f, sizeof before->f) != 0)) {
            wm_error(h->r->unit, written ? WM_E1012 : WM_E1013, place->tensor->span,
                     "`%s` and `%s`, parts of one tensor, need different constants",
                     wm_item_text(h, first ? first : item), wm_item_text(h, item));
            r->ok = false;
        }
        made->otherwise = constant;
        made->else_span = place->tensor->span;
        first = item;
    }
}

/* What is not understood yet beside stacked members. */
static bool can_stack(ruler *r, const wm_hub_place *place)
{
    bool ok = true;
    for (uint32_t o = 0; o < place->owner_count; o++)
        ok &= is_of(r, place->owners[o].item) &&
              (place->each || place->owners[o].item->stacked_at == place->owners[0].item->stacked_at);
    if (!ok) {
        wm_error(r->h->r->unit, WM_E0199, place->tensor->span,
                 "that the other side lacks some of the members that are stacked (`%s`) is not supported yet",
                 wm_item_text(r->h, place->owners[0].item));
        r->ok = false;
    }
    return ok;
}

/* The tags of a place whose members are stacked on one of the sides: a label each, and the array's. */
static void tag_stacked(ruler *r, const wm_hub_place *place, wm_hub_rename *rename, const wm_word **tags,
                        const wm_word **tag)
{
    uint32_t arrays = place->each ? place->each : place->owner_count;
    if (!can_stack(r, place))
        return;
    const wm_word *part = *tag;
    *tag = place->each ? NULL : place->owners[0].item->label;
    const wm_word *array = r->tags && arrays == 1 ? tags[0] : NULL;
    if (r->tags && arrays > 1)
        rename->tags = tags;
    if (!*tag) {
        *tag = part ? part : array;
        part = part ? NULL : part;
        array = *tag == array ? NULL : array;
    }
    rename->around[0] = array;
    rename->around[1] = part;
}

static wm_place *make_place(ruler *r, const wm_hub_place *place, bool written, const wm_word **tag)
{
    wm_hub *h = r->h;
    wm_hub_rename rename = {0};
    *tag = place->owner_count == 1 || place->each == 1 ? place->tensor->tag : NULL;
    const wm_word **tags = wm_new(h->arena, const wm_word *, place->owner_count);
    const wm_str **axes = wm_new(h->arena, const wm_str *, place->owner_count);
    bool *missing = wm_new(h->arena, bool, place->owner_count);
    for (uint32_t o = 0; o < place->owner_count; o++) {
        size_t i = number_of(r, place->owners[o].item);
        missing[o] = place->owner_count > 1 && !is_of(r, place->owners[o].item);
        tags[o] = r->tags && !missing[o] ? r->tags[i] : NULL;
        axes[o] = missing[o] ? plain_axes(h, place->owners[o].item->member) : r->axes[i];
    }
    rename.to = (const wm_str *const *)axes;
    rename.missing = missing;
    if (r->stacked)
        tag_stacked(r, place, &rename, tags, tag);
    else if (r->tags && place->owner_count > 1)
        rename.tags = tags;
    else if (r->tags && *tag)
        rename.around[0] = tags[0];
    else if (r->tags)
        *tag = tags[0];
    wm_place *made = wm_new(h->arena, wm_place, 1);
    made->span = place->span;
    made->name = wm_hub_string(h, place->name, place->span);
    made->layout = wm_hub_layout(h, place, &rename);
    made->optional = place->tensor->optional;
    made->optional_span = place->tensor->span;
    if (place->tensor->otherwise) {
        wm_val value;
        if (wm_eval(h->r->unit, place->tensor->scope, NULL, place->tensor->otherwise, &value) != WM_EVAL_OK ||
            (value.kind != WM_VAL_INT && value.kind != WM_VAL_FLOAT)) {
            wm_error(h->r->unit, WM_E0304, place->tensor->otherwise->span,
                     "a constant is a number that is known");
            r->ok = false;
            return made;
        }
        made->otherwise = wm_hub_int(h, value.i, place->tensor->otherwise->span);
        if (value.kind == WM_VAL_FLOAT) {
            made->otherwise->kind = WM_EX_FLOAT;
            made->otherwise->f = value.f;
        }
        made->else_span = place->tensor->otherwise->span;
    }
    if (place->owner_count > 1)
        add_else(r, place, made, written);
    return made;
}

static bool block_has(const wm_factor *factors, wm_str tag)
{
    for (const wm_factor *f = factors; f; f = f->next) {
        if (f->kind == WM_FA_GROUP && block_has(f->factors, tag))
            return true;
        for (const wm_block *b = wm_has_blocks(f) ? f->blocks : NULL; b; b = b->next)
            if ((b->tag && wm_str_eq(b->tag->text, tag)) || block_has(b->factors, tag))
                return true;
    }
    return false;
}

/* Appends an operation to an operand of the source, for the pieces that have `tag` (NULL: all). */
static void append_op(ruler *r, wm_operand *operand, const wm_valueop *op, const wm_word *tag)
{
    wm_value *value = operand->value;
    const wm_place *place = value->place ? value->place : value->a->place;
    bool all = !tag || (operand->tag && wm_str_eq(operand->tag->text, tag->text));
    if (!all && !block_has(place->layout->factors, tag->text))
        return; /* nothing of it is here */
    wm_valueop *copy = wm_new(r->h->arena, wm_valueop, 1);
    *copy = *op;
    copy->next = NULL;
    copy->tag = all ? NULL : (wm_word *)(uintptr_t)tag;
    wm_valueop **tail = &value->ops;
    while (*tail)
        tail = &(*tail)->next;
    *tail = copy;
}

/* The tag of what a rule has no part of. */
static const wm_word nobody = {.text = {"", 0}};

/* The tag of an operation as the rule has it. */
static const wm_word *op_tag(const ruler *r, const wm_hub_place *place, const wm_word *tag)
{
    for (uint32_t o = 0; tag && r->tags && o < place->owner_count; o++)
        if (place->owners[o].tag && wm_str_eq(place->owners[o].tag->text, tag->text))
            return wm_hub_both(place->owners[o].item) ? r->tags[number_of(r, place->owners[o].item)]
                                                      : &nobody;
    return tag;
}

static wm_operand *make_source(ruler *r, const wm_hub_place *place)
{
    wm_hub *h = r->h;
    const wm_word *tag;
    wm_operand *operand = wm_new(h->arena, wm_operand, 1);
    operand->span = place->span;
    wm_value *value = wm_new(h->arena, wm_value, 1);
    *value = (wm_value){.kind = WM_VA_PLACE, .span = place->span};
    value->place = make_place(r, place, false, &tag);
    operand->tag = (wm_word *)(uintptr_t)tag;
    operand->value = value;
    bool ok;
    wm_valueop *ops = wm_hub_ops(h, place, &ok);
    r->ok &= ok;
    for (; ops; ops = ops->next)
        append_op(r, operand, ops, op_tag(r, place, ops->tag));
    return operand;
}

/* The names of the axes of an array as those of another one, of the same canonical order. */
static wm_str *axes_as(wm_hub *h, const wm_hub_item *item, const wm_hub_item *other)
{
    const wm_member *m = item->member;
    wm_str *names = wm_new(h->arena, wm_str, m->axis_count);
    const wm_factor *x = item->array->layout->factors, *y = other->array->layout->factors;
    for (uint32_t a = 0; a < m->axis_count; a++)
        names[a] = m->axes[a].name;
    for (; x && y; x = x->next, y = y->next)
        for (uint32_t a = 0; x->kind == WM_FA_AXIS && y->kind == WM_FA_AXIS && a < m->axis_count; a++)
            if (wm_str_eq(m->axes[a].name, x->name->text))
                names[a] = y->name->text;
    return names;
}

/* The tensor of what is folded into an array of a place, and what it is there folded into: of stacked members
 * all of them. NULL: reported. */
static const wm_hub_place *folded_place(ruler *r, const wm_hub_place *place, const wm_hub_item *item,
                                        const struct wm_hub_folded *f, ruler *one)
{
    wm_hub *h = r->h;
    const struct wm_hub_side_of *of = &f->item->sides[0];
    const wm_hub_place *folded = of->places[0];
    bool stacked = place->each > 0;
    uint32_t count = stacked ? place->owner_count : 1;
    bool ok = of->count == 1 && !folded->tensor->tag && !place->tensor->tag && !(r->tags && r->stacked) &&
              item->sides[0].count == 1 &&
              (!stacked || (place->each == 1 && folded->each == 1 && folded->owner_count == count));
    one->items = wm_new(h->arena, wm_hub_item *, count);
    one->axes = wm_new(h->arena, wm_str *, count);
    for (uint32_t o = 0; ok && o < count; o++) {
        wm_hub_item *from = stacked ? folded->owners[o].item : f->item;
        const wm_hub_item *into = stacked ? place->owners[o].item : item;
        one->items[one->count] = from;
        one->axes[one->count++] = axes_as(h, from, into);
        ok = !stacked || from->stacked_at == into->stacked_at;
    }
    if (ok)
        return folded;
    wm_error(h->r->unit, WM_E0199, folded->tensor->span,
             "folding `%s` into `%s`, one of which is stored in several tensors, is not supported yet",
             wm_item_text(h, f->item), wm_item_text(h, item));
    r->ok = false;
    return NULL;
}

/* The arrays folded into the one array of a rule: `"bias" + "rbias"`. */
static void add_folds(ruler *r, wm_operand *operand, const wm_hub_place *place, const wm_hub_item *item)
{
    wm_hub *h = r->h;
    for (const struct wm_hub_folded *f = item->folds; f; f = f->next) {
        ruler one = {.h = h, .tags = r->tags, .stacked = r->stacked, .ok = true};
        const wm_hub_place *folded = folded_place(r, place, item, f, &one);
        if (!folded)
            return;
        wm_operand *second = make_source(&one, folded);
        wm_value *sum = wm_new(h->arena, wm_value, 1);
        *sum = (wm_value){.kind = WM_VA_BINARY,
                          .span = operand->span,
                          .op = f->op,
                          .op_span = operand->span,
                          .depth = operand->value->depth + 1,
                          .a = operand->value,
                          .b = second->value};
        operand->value = sum;
        r->ok &= one.ok;
    }
}

/* The inverses of what the target's place says, on the side of the source. */
static void add_inverse(ruler *r, wm_operand *sources, const wm_hub_place *target)
{
    wm_hub *h = r->h;
    bool ok;
    wm_valueop *ops = wm_hub_inverse(h, target, &ok);
    r->ok &= ok;
    for (; ops; ops = ops->next) {
        const wm_word *tag = op_tag(r, target, ops->tag);
        bool part = target->tensor->tag && (target->owner_count == 1 || target->each == 1);
        if (!tag && part)
            tag = target->tensor->tag;
        else if (tag && part) {
            wm_error(h->r->unit, WM_E0199, ops->span,
                     "an operation on a part of a part is not supported yet");
            r->ok = false;
            return;
        }
        bool whole = r->stacked ? !r->tags : target->owner_count >= r->count;
        for (wm_operand *s = sources; s; s = s->next) {
            if (whole || tag) {
                append_op(r, s, ops, tag);
                continue;
            }
            for (uint32_t o = 0; o < target->owner_count; o++)
                if (wm_hub_both(target->owners[o].item))
                    append_op(r, s, ops, r->tags[number_of(r, target->owners[o].item)]);
        }
    }
}

/* Of members that the source stacks, the operations of one are done for all. */
static bool done_for_all(ruler *r, size_t number, const wm_hub_place *place)
{
    wm_hub *h = r->h;
    for (size_t i = 0; r->stacked && !place->each && place->tensor->ops && i < number; i++) {
        const wm_hub_item *item = r->items[i];
        for (size_t p = 0; stem_of(item) == stem_of(r->items[number]) && p < item->sides[1].count; p++) {
            const wm_hub_place *other = item->sides[1].places[p];
            if (other->tensor->ops != place->tensor->ops)
                continue;
            bool ok[2];
            wm_valueop *a = wm_hub_inverse(h, other, &ok[0]), *b = wm_hub_inverse(h, place, &ok[1]);
            if (ok[0] && ok[1] && wm_hub_same_ops(a, b))
                return true;
            wm_error(
                h->r->unit, WM_E0199, place->tensor->ops->span,
                "members that the source stacks, and for which this isn't the same, are not supported yet");
            r->ok = false;
            return true;
        }
    }
    return false;
}

static wm_operand *make_target(ruler *r, const wm_hub_place *place)
{
    const wm_word *tag;
    wm_operand *operand = wm_new(r->h->arena, wm_operand, 1);
    operand->span = place->span;
    operand->place = make_place(r, place, true, &tag);
    operand->tag = (wm_word *)(uintptr_t)tag;
    return operand;
}

/* ---- extents ---- */

static bool layout_names(const wm_factor *factors, wm_str name)
{
    for (const wm_factor *f = factors; f; f = f->next) {
        if (wm_names_axis(f) && wm_str_eq(f->name->text, name))
            return true;
        if (f->kind == WM_FA_GROUP && layout_names(f->factors, name))
            return true;
        for (const wm_block *b = wm_has_blocks(f) ? f->blocks : NULL; b; b = b->next)
            if (layout_names(b->factors, name))
                return true;
    }
    return false;
}

static bool value_names(const wm_value *v, wm_str name)
{
    if (v->kind == WM_VA_PLACE)
        return layout_names(v->place->layout->factors, name);
    return value_names(v->a, name) || value_names(v->b, name);
}

static bool rule_names(const wm_rule *rule, wm_str name)
{
    for (const wm_operand *o = rule->left; o; o = o->next)
        if (value_names(o->value, name))
            return true;
    for (const wm_operand *o = rule->right; o; o = o->next)
        if (layout_names(o->place->layout->factors, name))
            return true;
    return false;
}

static wm_binding **bind(ruler *r, const wm_rule *rule, wm_str name, const wm_cell *cell, wm_binding **tail,
                         wm_binding *first)
{
    if (!cell || !cell->known || !rule_names(rule, name))
        return tail;
    for (const wm_binding *b = first; b; b = b->next)
        if (wm_str_eq(b->names->text, name))
            return tail;
    wm_binding *b = wm_new(r->h->arena, wm_binding, 1);
    wm_word *word = wm_new(r->h->arena, wm_word, 1);
    word->text = name;
    word->span = cell->span;
    *b = (wm_binding){.span = cell->span, .names = word, .expr = wm_hub_int(r->h, cell->value, cell->span)};
    *tail = b;
    return &b->next;
}

/* What placements count anew, `(a b) = (u n)`, and what they say of those axes. */
static wm_binding **count_anew(ruler *r, wm_binding **tail)
{
    for (size_t i = 0; i < r->count; i++)
        for (int side = 0; side < 2; side++) {
            const struct wm_hub_side_of *of = &r->items[i]->sides[side];
            for (const wm_binding *w = of->count ? of->places[0]->where : NULL; w; w = w->next) {
                *tail = wm_new(r->h->arena, wm_binding, 1);
                **tail = *w;
                (*tail)->next = NULL;
                tail = &(*tail)->next;
            }
        }
    return tail;
}

static wm_binding *make_where(ruler *r, const wm_rule *rule)
{
    wm_binding *first = NULL, **tail = &first;
    for (size_t i = 0; i < r->count; i++) {
        const wm_member *m = r->items[i]->member;
        for (uint32_t a = 0; a < m->axis_count; a++) {
            tail = bind(r, rule, r->axes[i][a], m->axes[a].cell, tail, first);
            for (uint32_t k = 0; k < m->axes[a].part_count; k++)
                tail = bind(r, rule, m->axes[a].parts[k].name, m->axes[a].parts[k].cell, tail, first);
        }
    }
    count_anew(r, tail);
    return first;
}

/* ---- the rule ---- */

/* Untagged places of one array beside each other are copies. */
static bool has_copies(const wm_hub_item *item)
{
    size_t whole = 0;
    for (size_t i = 0; i < item->sides[0].count; i++) {
        const wm_hub_place *place = item->sides[0].places[i];
        whole += (place->owner_count > 1 || !place->tensor->tag) && wm_hub_whole(place, item->array);
    }
    return whole > 1;
}

void wm_hub_rule(wm_hub *h, wm_hub_item **items, size_t count, wm_hub_outs *out)
{
    ruler r = {.h = h, .items = items, .count = count, .ok = true};
    wm_stmt *stmt = wm_new(h->arena, wm_stmt, 1);
    wm_rule *rule = wm_new(h->arena, wm_rule, 1);
    wm_operand **left = &rule->left, **right = &rule->right;
    bool where = false;
    bool several = count > 1;
    for (size_t i = 0; i < count; i++)
        for (int side = 0; side < 2; side++)
            for (size_t p = 0; p < items[i]->sides[side].count; p++) {
                several |= items[i]->sides[side].places[p]->owner_count > 1;
                r.stacked |= items[i]->sides[side].places[p]->each > 0;
            }
    if (r.stacked)
        name_stems(&r);
    else if (several)
        name_tags(&r);
    name_axes(&r);
    for (size_t i = 0; i < count; i++) {
        for (int side = 0; side < 2; side++)
            for (size_t p = 0; p < items[i]->sides[side].count; p++)
                items[i]->sides[side].places[p]->done = false;
        rule->equal |= has_copies(items[i]);
    }
    const wm_hub_place *sides[2] = {items[0]->sides[0].places[0], items[0]->sides[1].places[0]};
    for (size_t i = 0; i < count; i++)
        for (size_t p = 0; p < items[i]->sides[0].count; p++) {
            wm_hub_place *place = items[i]->sides[0].places[p];
            if (place->done)
                continue;
            place->done = true;
            where |= wm_hub_needs_where(h, place) || place->where;
            *left = make_source(&r, place);
            if (count == 1 || r.stacked)
                add_folds(&r, *left, place, items[i]);
            left = &(*left)->next;
        }
    for (size_t i = 0; i < count; i++)
        for (size_t p = 0; p < items[i]->sides[1].count; p++) {
            wm_hub_place *place = items[i]->sides[1].places[p];
            if (place->done)
                continue;
            place->done = true;
            where |= place->where != NULL;
            if (!done_for_all(&r, i, place))
                add_inverse(&r, rule->left, place);
            *right = make_target(&r, place);
            right = &(*right)->next;
        }
    rule->span = stmt->span = sides[0]->span;
    rule->equal_span = rule->optional_span = rule->arrow = sides[0]->span;
    rule->where = where ? make_where(&r, rule) : NULL;
    stmt->kind = WM_ST_RULE;
    stmt->rule = rule;
    h->failed |= !r.ok;
    *wm_push(h->arena, out->items, out->count, out->cap) = (wm_hub_out){
        .stmt = stmt, .member = items[0]->member, .item = items[0], .sides = {sides[0], sides[1]}};
}
