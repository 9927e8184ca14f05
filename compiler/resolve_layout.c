/* resolve_layout.c: the form of one layout, before any extent is known. A layout is products (dimensions,
 * groups, what stands in one block) of alternatives (blocks); tags and axes that meet in one product meet in
 * a piece. */
#include "compiler/resolve_internal.h"

/* Beyond this many names a list is hashed. */
#define SMALL 48

typedef struct seen {
    wm_str name;
    wm_span span;
    uint32_t dim;            /* where it was first */
    uint32_t product, child; /* where it was last */
} seen;

typedef struct seen_list {
    seen *items;
    size_t count, cap;
    wm_map map;
} seen_list;

struct wm_layout_names {
    seen_list tags, axes;
    uint32_t products;
};

typedef struct checker {
    wm_resolver *r;
    const wm_scope *scope;
    struct wm_layout_names *names;
    wm_form_of *form;
    uint32_t dim;
    bool top; /* the whole dimension is being walked: inner products walk parts of it again */
} checker;

static seen *find_seen(checker *c, seen_list *list, const wm_word *word, bool *fresh)
{
    *fresh = false;
    if (list->count > SMALL) {
        uint32_t at = wm_map_get(&list->map, word->text.p, word->text.len);
        if (at != WM_MAP_NONE)
            return &list->items[at];
    }
    for (size_t i = 0; i < list->count && list->count <= SMALL; i++)
        if (wm_str_eq(list->items[i].name, word->text))
            return &list->items[i];
    *fresh = true;
    seen *s = wm_push(c->r->unit->arena, list->items, list->count, list->cap);
    *s = (seen){.name = word->text, .span = word->span, .dim = c->dim};
    if (list->count == SMALL + 1) {
        wm_map_init(&list->map, c->r->unit->arena, 4 * SMALL);
        for (size_t i = 0; i < list->count; i++)
            wm_map_put(&list->map, list->items[i].name.p, list->items[i].name.len, (uint32_t)i, NULL);
    } else if (list->count > SMALL) {
        wm_map_put(&list->map, word->text.p, word->text.len, (uint32_t)list->count - 1, NULL);
    }
    return s;
}

static void complain(checker *c, wm_diag_id id, wm_span span, wm_span other, const char *what, wm_str name,
                     const char *where)
{
    wm_diag *d = wm_error(c->r->unit, id, span, "%s %s %s", what, wm_quote(c->r->unit, name), where);
    wm_diag_also(c->r->unit, d, other, "the first");
    c->form->failed = true;
}

/* A tag met in child `child` of a product. */
static void meet_tag(checker *c, const wm_word *tag, uint32_t product, uint32_t child)
{
    bool fresh;
    seen *s = find_seen(c, &c->names->tags, tag, &fresh);
    if (!fresh && c->top && s->dim != c->dim)
        complain(c, WM_E0203, tag->span, s->span, "the tag", tag->text, "stands in two dimensions");
    else if (!fresh && s->product == product && s->child != child)
        complain(c, WM_E0202, tag->span, s->span, "the tag", tag->text,
                 "stands twice in one dimension of a piece");
    s->product = product;
    s->child = child;
}

static void meet_axis(checker *c, const wm_word *axis, uint32_t product, uint32_t child)
{
    bool fresh;
    seen *s = find_seen(c, &c->names->axes, axis, &fresh);
    if (!fresh && s->product == product && s->child != child) {
        wm_span first = s->span;
        complain(c, WM_E0204, axis->span, first, "the axis", axis->text, "stands twice in one dimension");
    }
    s->product = product;
    s->child = child;
    s->span = axis->span;
}

/* All tags and axes below a factor meet what else its product holds. */
static void meet_all(checker *c, const wm_factor *f, uint32_t product, uint32_t child)
{
    if (wm_names_axis(f))
        meet_axis(c, f->name, product, child);
    for (const wm_factor *x = f->kind == WM_FA_GROUP ? f->factors : NULL; x; x = x->next)
        meet_all(c, x, product, child);
    for (const wm_block *b = wm_has_blocks(f) ? f->blocks : NULL; b; b = b->next) {
        if (b->tag && !b->unnamed)
            meet_tag(c, b->tag, product, child);
        for (const wm_factor *x = b->factors; x; x = x->next)
            meet_all(c, x, product, child);
    }
}

static void check_product(checker *c, const wm_word *tag, const wm_factor *factors)
{
    uint32_t product = ++c->names->products, child = 0;
    if (tag)
        meet_tag(c, tag, product, child++);
    for (const wm_factor *f = factors; f; f = f->next)
        meet_all(c, f, product, child++);
}

static void empty(checker *c, wm_span span, const char *what)
{
    wm_error(c->r->unit, WM_E0206, span, "this %s is empty", what);
    c->form->failed = true;
}

static void check_axis(checker *c, const wm_factor *f)
{
    *wm_push(c->r->statement, c->form->axes, c->form->axis_count, c->form->axis_cap) = f->name->text;
    wm_span declared;
    if (!wm_scope_has(c->scope, f->name->text, &declared))
        return;
    wm_diag *d = wm_error(c->r->unit, WM_E0209, f->name->span, "the axis %s has the name of a value",
                          wm_quote(c->r->unit, f->name->text));
    wm_diag_also(c->r->unit, d, declared, "declared here");
    wm_diag_hint(c->r->unit, d, "give the axis another name, and its extent in `where`");
    c->form->failed = true;
}

static void check_factor(checker *c, const wm_factor *f, bool left_out)
{
    switch (f->kind) {
    case WM_FA_AXIS:
    case WM_FA_REVERSED:
    case WM_FA_EQUAL:
        check_axis(c, f);
        break;
    case WM_FA_NUMBER:
        if (f->value != 1 && !left_out) {
            wm_diag *d = wm_error(c->r->unit, WM_E0208, f->span, "the only number in a layout is 1");
            wm_diag_hint(c->r->unit, d, "name the axis, and give its extent in `where`");
            c->form->failed = true;
        }
        break;
    case WM_FA_GROUP:
        if (!f->factors)
            empty(c, f->span, "group");
        check_product(c, NULL, f->factors);
        for (const wm_factor *x = f->factors; x; x = x->next)
            check_factor(c, x, false);
        break;
    case WM_FA_LABELS:
    case WM_FA_BLOCKS:
        if (!f->blocks)
            empty(c, f->span, f->kind == WM_FA_LABELS ? "label set" : "group");
        for (const wm_block *b = f->blocks; b; b = b->next) {
            if (f->kind == WM_FA_BLOCKS && !b->factors && !b->unnamed)
                empty(c, b->span, "block");
            check_product(c, b->unnamed ? NULL : b->tag, b->factors);
            for (const wm_factor *x = b->factors; x; x = x->next)
                check_factor(c, x, b->unnamed);
        }
        break;
    case WM_FA_DOTS: /* stands between dimensions only */
        break;
    }
}

static void check_dots(checker *c, const wm_layout *layout)
{
    const wm_factor *first = NULL;
    uint32_t dims = 0;
    for (const wm_factor *f = layout->factors; f; f = f->next) {
        dims += f->kind != WM_FA_DOTS;
        if (f->kind != WM_FA_DOTS)
            continue;
        if (first) {
            wm_diag *d = wm_error(c->r->unit, WM_E0201, f->span, "`...` stands twice in this layout");
            wm_diag_also(c->r->unit, d, first->span, "the first");
            c->form->failed = true;
        }
        first = first ? first : f;
    }
    c->form->dots = first != NULL;
    if (dims > WMAP_MAX_RANK) {
        wm_error(c->r->unit, WM_E0903, layout->span, "%u dimensions, the limit is %d", dims, WMAP_MAX_RANK);
        c->form->failed = true;
    }
}

wm_form_of wm_check_layout(wm_resolver *r, const wm_scope *scope, const wm_layout *layout, const wm_word *tag)
{
    if (!r->layout_names)
        r->layout_names = wm_new(r->unit->arena, struct wm_layout_names, 1);
    struct wm_layout_names *names = r->layout_names;
    names->tags.count = names->axes.count = 0;
    names->products = 0;
    wm_form_of form = {.axis_cap = 4}; /* most layouts are short */
    checker c = {r, scope, names, &form, 0, false};
    check_dots(&c, layout);
    for (const wm_factor *f = layout->factors; f; f = f->next, c.dim++) {
        c.top = true;
        if (f->kind == WM_FA_GROUP || f->kind == WM_FA_BLOCKS || f->kind == WM_FA_LABELS)
            meet_all(&c, f, ++names->products, 0);
        c.top = false;
        check_factor(&c, f, false);
    }
    if (tag) {
        bool fresh;
        c.dim = UINT32_MAX;
        const seen *s = find_seen(&c, &names->tags, tag, &fresh);
        if (!fresh)
            complain(&c, WM_E0202, s->span, tag->span, "the tag", tag->text, "is the operand's tag as well");
    }
    return form;
}
