/* hub.c: the driver of the hub. Two calls of models in, statements of a map out; what the models say of the
 * two sides (names, shapes, order) goes to the program. */
#include "compiler/hub.h"

#include <stdio.h>
#include <string.h>

#include "compiler/pass.h"

wm_hub *wm_hub_new(wm_resolver *r, const wm_file *file)
{
    wm_hub *h = wm_new(r->unit->arena, wm_hub, 1);
    h->r = r;
    h->arena = r->unit->arena;
    h->file = file;
    h->sides[1].number = 1;
    return h;
}

bool wm_hub_is_model(wm_resolver *r, const wm_file *file, const wm_call *call)
{
    if (!call)
        return false;
    const wm_decl *decl = wm_file_find(r->unit->arena, file, call->name, false);
    if (decl && decl->item->kind == WM_IT_MODEL)
        return decl->item->of_hub;
    /* One of an instance is declared under the architecture's own name. */
    wm_qname first = *call->name;
    wm_word *copy = NULL, **tail = &copy;
    for (const wm_word *w = call->name->parts; w->next; w = w->next) {
        *tail = wm_new(r->unit->arena, wm_word, 1);
        (*tail)->text = w->text;
        tail = &(*tail)->next;
    }
    if (!copy)
        return false;
    first.parts = copy;
    decl = wm_file_find(r->unit->arena, file, &first, false);
    return decl && decl->item->kind == WM_IT_ARCH;
}

/* ---- opening ---- */

static void note_used(wm_givens *to, const wm_givens *from)
{
    for (size_t i = 0; i < to->count; i++)
        for (size_t k = 0; k < from->count; k++)
            if (from->items[k].used && wm_str_eq(to->items[i].name->text, from->items[k].name->text))
                to->items[i].used = true;
}

/* The architecture has what either call gives it. */
static bool open_arch(wm_hub *h, wm_givens *a, wm_givens *b)
{
    wm_givens all = {0};
    for (size_t i = 0; h->counted && i < h->counted->count; i++)
        *wm_push(h->arena, all.items, all.count, all.cap) = h->counted->items[i];
    for (int side = 0; side < 2; side++) {
        const wm_givens *from = side ? b : a;
        for (size_t i = 0; from && i < from->count; i++) {
            bool known = false;
            for (size_t k = 0; k < all.count; k++)
                known |= wm_str_eq(all.items[k].name->text, from->items[i].name->text);
            if (!known)
                *wm_push(h->arena, all.items, all.count, all.cap) = from->items[i];
        }
    }
    if (!wm_hub_open_arch(h, &all, h->sides[0].model->span))
        return false;
    note_used(a, &all);
    if (b)
        note_used(b, &all);
    return true;
}

bool wm_hub_open(wm_hub *h, const wm_scope *scope, const wm_call *from, const wm_call *to)
{
    wm_givens a = {0}, b = {0};
    /* The one that is called by its name alone is of the architecture that the other one names. */
    bool turned = to && !from->name->parts->next;
    const wm_call *calls[2] = {turned ? to : from, turned ? from : to};
    for (int i = 0; i < 2 && calls[i]; i++) {
        int side = turned ? 1 - i : i;
        h->sides[side].model = wm_hub_open_model(h, calls[i], scope, side ? &b : &a);
        if (!h->sides[side].model)
            return false;
    }
    if (!open_arch(h, &a, to ? &b : NULL))
        return false;
    wm_givens counted = {0};
    if (!h->counted && wm_hub_count(h, scope, from, &counted) && counted.count) {
        h->counted = &counted;
        bool ok = open_arch(h, &a, to ? &b : NULL);
        h->counted = NULL;
        if (!ok)
            return false;
    }
    if (!wm_hub_open_levels(h, h->sides[0].model, &a) || !wm_hub_all_used(h, &a, h->sides[0].model->decl))
        return false;
    return !to ||
           (wm_hub_open_levels(h, h->sides[1].model, &b) && wm_hub_all_used(h, &b, h->sides[1].model->decl));
}

/* ---- parts ---- */

static bool in_words(const wm_word *words, const wm_member *m)
{
    for (; words; words = words->next)
        if (wm_str_eq(words->text, m->name) || (m->part.len && wm_str_eq(words->text, m->part)))
            return true;
    return false;
}

/* Does a word name a part, or a member? */
static void check_words(wm_hub *h, const wm_word *words)
{
    for (; words; words = words->next) {
        bool found = false;
        wm_near near;
        wm_near_init(&near, words->text);
        const wm_word one = {.text = words->text};
        for (size_t i = 0; i < h->member_count && !found; i++) {
            found = in_words(&one, h->members[i]);
            wm_near_try(&near, h->members[i]->name);
            if (h->members[i]->part.len)
                wm_near_try(&near, h->members[i]->part);
        }
        if (found)
            continue;
        wm_diag *d = wm_error(h->r->unit, WM_E1003, words->span, "there is no part or member %s in %s",
                              wm_quote(h->r->unit, words->text), wm_quote(h->r->unit, h->named->name));
        wm_diag_near(h->r->unit, d, &near);
        h->failed = true;
    }
}

static void leave_out(wm_hub *h, const wm_word *without, const wm_word *only)
{
    check_words(h, without);
    check_words(h, only);
    for (size_t i = 0; i < h->member_count; i++) {
        wm_member *m = (wm_member *)(uintptr_t)h->members[i];
        bool around = m->parent && m->parent->parent && !m->parent->left_out;
        m->left_out = (m->parent && m->parent->left_out) || in_words(without, m) ||
                      (only && !in_words(only, m) && !around);
    }
}

/* ---- the sides ---- */

size_t wm_hub_count_found(wm_hub *h)
{
    const wmap_compile_options *o = h->r->options;
    size_t found = 0;
    for (size_t s = 0; s < o->source_count; s++)
        for (size_t i = 0; i < o->sources[s].count; i++) {
            const wmap_tensor *t = &o->sources[s].tensors[i];
            wm_str name = {t->name, (uint32_t)t->name_len};
            if (o->sources[s].prefix && *o->sources[s].prefix) {
                name.p = wm_format_text(h->arena, "%s/%.*s", o->sources[s].prefix, (int)name.len, name.p);
                name.len = (uint32_t)strlen(name.p);
            }
            const char *alias = o->sources[s].aliases ? o->sources[s].aliases[i] : NULL;
            found += wm_map_get(&h->sides[0].names, name.p, name.len) != WM_MAP_NONE ||
                     (alias && wm_map_get(&h->sides[0].names, alias, strlen(alias)) != WM_MAP_NONE);
        }
    return found;
}

/* What the other direction writes: all that A places, but for parts that are left out and what written rules
 * take. */
static const wm_map *names_to_come_back(wm_hub *h)
{
    const wm_hub_side *side = &h->sides[0];
    wm_map *names = wm_new(h->arena, wm_map, 1);
    wm_map_init(names, h->arena, side->count);
    for (size_t i = 0; i < side->count; i++) {
        const wm_hub_place *place = side->places[i];
        bool left_out = place->taken != NULL;
        for (uint32_t o = 0; o < place->owner_count; o++)
            left_out |= place->owners[o].item->member->left_out;
        if (!left_out)
            wm_map_put(names, place->name.p, place->name.len, 1, NULL);
    }
    return names;
}

static void tell_program(wm_hub *h)
{
    wm_program *p = h->r->program;
    const wm_hub_side *side = &h->sides[1];
    wm_str *order = wm_new(h->arena, wm_str, side->count);
    for (size_t i = 0; i < side->count; i++)
        order[i] = side->places[i]->name;
    p->order = order;
    p->order_count = side->count;
    p->placed = names_to_come_back(h);
    p->format = wm_hub_format(h);
    if (!h->r->options->source_count) /* without a file the source is what its model says */
        p->source = wm_hub_declare(h, false);
}

/* ---- written rules ---- */

typedef struct taker {
    wm_hub *h;
    const wm_line *line;
    wm_names *names[2]; /* of the sides */
} taker;

static void take_place(wm_hub_side *side, size_t name, const wm_line *line)
{
    if (!side->places[name]->taken)
        side->places[name]->taken = line;
}

static void take_written_name(void *user, size_t name, const wm_capture *captures)
{
    taker *t = user;
    (void)captures;
    take_place(&t->h->sides[1], name, t->line);
}

/* What a name gives, or can give where an axis numbers it. */
static void take_target(taker *t, const wm_term *term, const wm_capture *captures)
{
    wm_unit *unit = t->h->r->unit;
    const wm_line *line = t->line;
    const wm_pattern *name = &term->name;
    if (captures)
        name = wm_given_holes(unit, name, line->vars, line->var_count, captures);
    for (uint32_t i = 0; name && !name->literal && i < name->count; i++)
        if (name->holes[i].kind == WM_HOLE_VALUE && name->holes[i].var == WM_NO_VAR)
            return;
    if (name)
        wm_names_match(t->names[1], unit, name, line->vars, line->var_count, captures, take_written_name, t);
}

/* A turned line writes what is on its left. */
static void take_source(void *user, size_t name, const wm_capture *captures)
{
    taker *t = user;
    const wm_line *line = t->line;
    take_place(&t->h->sides[0], name, line);
    for (uint32_t i = 0; i < (line->turned ? line->left_count : line->right_count); i++)
        take_target(t, line->turned ? &line->left[i] : &line->right[i], captures);
}

/* What is dropped is of side A, in a turned line of side B. */
static void take_dropped(void *user, size_t name, const wm_capture *captures)
{
    taker *t = user;
    (void)captures;
    take_place(&t->h->sides[t->line->turned], name, t->line);
}

static void take_line(taker *t)
{
    const wm_line *line = t->line;
    wm_unit *unit = t->h->r->unit;
    const wm_term *read = line->turned ? line->right : line->left;
    uint32_t count = line->turned ? line->right_count : line->left_count;
    for (uint32_t i = 0; i < count; i++)
        wm_names_match(t->names[0], unit, &read[i].name, line->vars, line->var_count, NULL, take_source, t);
    if (line->dropped)
        wm_names_match(t->names[line->turned], unit, line->dropped, line->vars, line->var_count, NULL,
                       take_dropped, t);
    if (count == 0 && !line->turned) /* a fill */
        for (uint32_t i = 0; i < line->right_count; i++)
            take_target(t, &line->right[i], NULL);
}

/* What is lost of groups that rules take half of: one finding a rule. */
typedef struct losses {
    struct loss {
        wm_diag *diag;
        size_t more;
    } * items;
    size_t count, cap;
    wm_map of_line;
} losses;

static void add_loss(wm_hub *h, losses *l, const wm_hub_place *place, const wm_hub_item *item,
                     const wm_hub_place *lost)
{
    uint32_t before = wm_map_put(&l->of_line, &place->taken, sizeof place->taken, (uint32_t)l->count, NULL);
    h->failed = true;
    if (before != WM_MAP_NONE) {
        l->items[before].more++;
        return;
    }
    wm_diag *d = wm_error(h->r->unit, WM_E1014, place->taken->span,
                          "the rules written here take part of `%s`: %s would be lost", wm_item_text(h, item),
                          wm_quote(h->r->unit, lost->name));
    wm_diag_also(h->r->unit, d, lost->span, "the placement");
    wm_diag_note(h->r->unit, d, "they take %s", wm_quote(h->r->unit, place->name));
    *wm_push(h->arena, l->items, l->count, l->cap) = (struct loss){d, 0};
}

static bool whole_group(wm_hub *h, const wm_hub_place *place, losses *l)
{
    for (uint32_t o = 0; o < place->owner_count; o++)
        for (int side = 0; side < 2; side++) {
            const struct wm_hub_side_of *of = &place->owners[o].item->sides[side];
            for (size_t i = 0; i < of->count; i++) {
                if (of->places[i]->taken)
                    continue;
                add_loss(h, l, place, place->owners[o].item, of->places[i]);
                return false;
            }
        }
    return true;
}

static wm_names *side_names(wm_hub *h, int side)
{
    wm_str *names = wm_new(h->arena, wm_str, h->sides[side].count);
    for (size_t i = 0; i < h->sides[side].count; i++)
        names[i] = h->sides[side].places[i]->name;
    return wm_names_index(h->r->unit, names, h->sides[side].count);
}

/* Written rules take over what they read and write. */
static void take_written(wm_hub *h)
{
    const wm_program *p = h->r->program;
    losses lost = {0};
    if (!p->count)
        return;
    wm_map_init(&lost.of_line, h->arena, 0);
    taker t = {.h = h, .names = {side_names(h, 0), side_names(h, 1)}};
    for (size_t l = 0; l < p->count; l++) {
        t.line = &p->lines[l];
        if (!t.line->poisoned)
            take_line(&t);
    }
    for (int side = 0; side < 2; side++)
        for (size_t i = 0; i < h->sides[side].count; i++) {
            const wm_hub_place *place = h->sides[side].places[i];
            if (!place->taken || !whole_group(h, place, &lost))
                continue;
            for (uint32_t o = 0; o < place->owner_count; o++)
                place->owners[o].item->taken = true;
        }
    for (size_t i = 0; i < lost.count; i++)
        if (lost.items[i].more)
            wm_diag_note(h->r->unit, lost.items[i].diag, "and %zu more like this", lost.items[i].more);
}

/* ---- text ---- */

static void put(wm_buffer *b, const char *text)
{
    wm_buffer_add(b, text, strlen(text));
}

static const char *place_text(wm_hub *h, wm_span span)
{
    uint32_t line, column;
    if (span.file == WM_NO_FILE)
        return "?";
    wm_source_position(h->arena, h->r->unit->sources[span.file], span.beg, &line, &column);
    return wm_format_text(h->arena, "%s:%u", h->r->unit->sources[span.file]->name, line);
}

static void put_origin(wm_hub *h, const wm_hub_out *out, wm_buffer *b)
{
    if (!out->member)
        return;
    put(b, "  # ");
    const wm_member *m = out->member;
    put(b,
        out->rows > 1 ? wm_format_text(h->arena, "%.*s", (int)m->name.len, m->name.p) : wm_member_text(h, m));
    if (m->layer->decl)
        put(b, wm_format_text(h->arena, " : %.*s", (int)m->layer->decl->name.len, m->layer->decl->name.p));
    if (out->rows > 1)
        put(b, wm_format_text(h->arena, ", %zu members", out->rows));
    put(b, wm_format_text(h->arena, ", %s; named", place_text(h, m->span)));
    for (int s = 0; s < 2; s++)
        if (out->sides[s])
            put(b, wm_format_text(h->arena, "%s %s", s && out->sides[0] ? "," : "",
                                  place_text(h, out->sides[s]->span)));
    put(b, "\n");
}

static void put_map(wm_hub *h, const wm_hub_outs *outs, wm_buffer *b)
{
    uint64_t elements = 0;
    bool known = true;
    for (size_t i = 0; i < h->sides[1].count; i++) {
        uint64_t shape[WMAP_MAX_RANK], count = 1;
        uint32_t rank;
        known &= wm_hub_shape(h, h->sides[1].places[i], shape, &rank);
        for (uint32_t d = 0; known && d < rank; d++)
            count *= shape[d];
        elements += count;
    }
    put(b, "wmap 1\n");
    put(b, wm_format_text(h->arena, "# derived from %s to %s: %zu -> %zu tensors", h->sides[0].model->name,
                          h->sides[1].model->name, h->sides[0].count, h->sides[1].count));
    if (known)
        put(b, wm_format_text(h->arena, ", %llu elements", (unsigned long long)elements));
    put(b, "\nmap derived {\n");
    wm_span last = WM_NOWHERE;
    for (size_t i = 0; i < outs->count; i++) {
        const wm_hub_out *out = &outs->items[i];
        bool same = out->member && out->member->span.beg == last.beg && out->member->span.file == last.file &&
                    out->rows <= 1 && i && outs->items[i - 1].member == out->member;
        if (!same)
            put_origin(h, out, b);
        last = out->member ? out->member->span : WM_NOWHERE;
        wm_hub_print(out->stmt, 1, b, NULL);
    }
    put(b, "}\n");
}

/* The hub's view: an array a line, with its places on both sides. */
static void put_members(wm_hub *h, wm_buffer *b)
{
    for (size_t l = 0; l < h->layer_count; l++)
        for (size_t a = 0; a < h->layers[l]->layer->count; a++) {
            const wm_hub_item *item = &h->layers[l]->items[a];
            if (!item->sides[0].count && !item->sides[1].count)
                continue;
            put(b, wm_item_text(h, item));
            put(b, " ");
            wm_hub_print_layout(item->array->layout, b);
            for (int side = 0; side < 2; side++) {
                const struct wm_hub_side_of *of = &item->sides[side];
                put(b, of->count ? " = " : " = nothing");
                for (size_t i = 0; i < of->count; i++) {
                    const wm_hub_place *place = of->places[i];
                    put(b, i ? ", " : "");
                    if (place->tensor->tag)
                        put(b, wm_format_text(h->arena, "%.*s: ", (int)place->tensor->tag->text.len,
                                              place->tensor->tag->text.p));
                    wm_hub_print_name(place->name, b);
                    put(b, " ");
                    wm_hub_print_layout(wm_hub_layout(h, place, NULL), b);
                }
            }
            put(b, "\n");
        }
}

/* ---- all of it ---- */

wm_stmt *wm_hub_run(wm_resolver *r, const wm_hub_wish *wish)
{
    wm_hub *h = wm_hub_new(r, wish->file);
    h->taking = wish->from->span;
    h->onto = r->options->onto;
    if (!wm_hub_open(h, wish->scope, wish->from, wish->to) || !wm_hub_expand(h)) {
        r->program->failed = true;
        return NULL;
    }
    leave_out(h, wish->without, wish->only);
    for (int side = 0; side < 2 && !h->failed; side++)
        wm_hub_place_side(h, side);
    wm_hub_outs outs = {0};
    if (!h->failed && wm_hub_right_file(h))
        wm_hub_solve(h, r->options);
    if (!h->failed)
        take_written(h);
    if (!h->failed)
        wm_hub_derive(h, &outs);
    if (h->failed) {
        r->program->failed = true;
        return NULL;
    }
    wm_hub_loops(h, &outs);
    tell_program(h);
    if (wish->text && r->options->members)
        put_members(h, wish->text);
    else if (wish->text)
        put_map(h, &outs, wish->text);
    wm_stmt *first = NULL, **tail = &first;
    for (size_t i = 0; i < outs.count; i++) {
        *tail = outs.items[i].stmt;
        tail = &(*tail)->next;
    }
    *tail = NULL;
    return first;
}
