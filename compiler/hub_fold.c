/* hub_fold.c: derived statements that differ in numbers only become one loop over the table of those numbers,
 * so that errors, plans and readers meet five rules and not five hundred. */
#include <string.h>

#include "compiler/hub.h"

/* Statements that are the same but for numbers. */
typedef struct family {
    size_t *rows; /* numbers of statements */
    size_t count, cap;
    int64_t **slots; /* of each row */
    size_t slot_cap, slot_count;
    wm_str key;
    bool done;
} family;

typedef struct column {
    wm_word *name;
    int64_t *values;
} column;

typedef struct folder {
    wm_hub *h;
    wm_hub_outs *outs;
    family *families;
    size_t count, cap;
    size_t *family_of;
    column *columns; /* of the loop being made */
    size_t column_count, column_cap;
} folder;

/* ---- families ---- */

static bool has_string_argument(const wm_value *v)
{
    for (const wm_valueop *op = v->ops; op; op = op->next)
        for (const struct wm_oparg *a = op->args; a; a = a->next)
            if (a->string)
                return true;
    return v->kind == WM_VA_BINARY && (has_string_argument(v->a) || has_string_argument(v->b));
}

static bool can_fold(const wm_hub_out *out)
{
    if (!out->member ||
        (out->stmt->kind != WM_ST_RULE && out->stmt->kind != WM_ST_FILL && out->stmt->kind != WM_ST_DROP))
        return false;
    for (const wm_operand *o = out->stmt->kind == WM_ST_RULE ? out->stmt->rule->left : NULL; o; o = o->next)
        if (has_string_argument(o->value))
            return false;
    return true;
}

static void sort_out(folder *f)
{
    wm_hub *h = f->h;
    wm_map map;
    wm_map_init(&map, h->arena, f->outs->count);
    f->family_of = wm_new(h->arena, size_t, f->outs->count);
    for (size_t i = 0; i < f->outs->count; i++) {
        const wm_hub_out *out = &f->outs->items[i];
        wm_buffer key = {.arena = h->arena};
        wm_hub_slots slots = {0};
        uint32_t at = WM_MAP_NONE;
        if (can_fold(out)) {
            wm_hub_print(out->stmt, 0, &key, &slots);
            wm_buffer_add(&key, out->member->name.p, out->member->name.len);
            for (int s = 0; s < 2; s++) { /* what comes from other declarations is another rule */
                wm_buffer_add(&key, " ", 1);
                wm_buffer_int(&key, out->sides[s] ? out->sides[s]->span.beg : 0);
                wm_buffer_add(&key, " ", 1);
                wm_buffer_int(&key, out->sides[s] ? out->sides[s]->tensor->span.beg : 0);
            }
            at = wm_map_put(&map, key.text, key.len, (uint32_t)f->count, NULL);
        }
        if (at == WM_MAP_NONE) {
            family *made = wm_push(h->arena, f->families, f->count, f->cap);
            made->key = (wm_str){key.text, (uint32_t)key.len};
            made->slot_count = slots.count;
            at = (uint32_t)f->count - 1;
        }
        family *of = &f->families[at];
        f->family_of[i] = at;
        size_t rows = of->count;
        *wm_push(h->arena, of->slots, rows, of->slot_cap) = slots.items;
        *wm_push(h->arena, of->rows, of->count, of->cap) = i;
    }
}

static bool same_members(const folder *f, const family *a, const family *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (f->outs->items[a->rows[i]].member != f->outs->items[b->rows[i]].member)
            return false;
    return true;
}

/* ---- columns ---- */

/* Does the statement use that word outside of its strings? */
static bool uses_word(wm_str key, wm_str word)
{
    bool quoted = false;
    for (uint32_t i = 0; i < key.len; i++) {
        char c = key.p[i];
        if (c == '\\' && quoted)
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && i + word.len <= key.len && memcmp(key.p + i, word.p, word.len) == 0) {
            bool before = i == 0 || !strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789",
                                            key.p[i - 1]);
            bool after = i + word.len == key.len ||
                         !strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789",
                                 key.p[i + word.len]);
            if (before && after)
                return true;
        }
    }
    return false;
}

static bool name_free(const folder *f, const family *const *group, size_t count, wm_str name)
{
    for (size_t c = 0; c < f->column_count; c++)
        if (wm_str_eq(f->columns[c].name->text, name))
            return false;
    for (size_t g = 0; g < count; g++)
        if (uses_word(group[g]->key, name))
            return false;
    return true;
}

/* The index of a member, or of a block around it, that has these values; its name in the architecture. */
static const wm_word *index_name(const folder *f, const family *of, const int64_t *values)
{
    const wm_member *first = f->outs->items[of->rows[0]].member;
    for (uint32_t up = 0; first && first->parent; first = first->parent, up++)
        for (uint32_t i = 0; i < first->index_count; i++) {
            bool same = first->index_names[i] != NULL;
            for (size_t r = 0; r < of->count && same; r++) {
                const wm_member *m = f->outs->items[of->rows[r]].member;
                for (uint32_t k = 0; k < up && m; k++)
                    m = m->parent;
                same = m && i < m->index_count && m->index[i] == values[r];
            }
            if (same)
                return first->index_names[i];
        }
    return NULL;
}

/* The column with these values; NULL: they are all the same. */
static wm_word *column_of(folder *f, const family *const *group, size_t count, const family *of, size_t slot)
{
    wm_hub *h = f->h;
    bool constant = true;
    int64_t *values = wm_new(h->arena, int64_t, of->count);
    for (size_t r = 0; r < of->count; r++) {
        values[r] = of->slots[r][slot];
        constant &= values[r] == values[0];
    }
    if (constant)
        return NULL;
    for (size_t c = 0; c < f->column_count; c++)
        if (memcmp(f->columns[c].values, values, of->count * sizeof *values) == 0)
            return f->columns[c].name;
    const wm_word *hint = index_name(f, of, values);
    wm_word *word = wm_new(h->arena, wm_word, 1);
    word->span = f->outs->items[of->rows[0]].member->span;
    word->text = hint ? hint->text : WM_STR("n");
    wm_str base = word->text;
    for (unsigned n = 2; !name_free(f, group, count, word->text); n++) {
        word->text.p = wm_format_text(h->arena, "%.*s%u", (int)base.len, base.p, n);
        word->text.len = (uint32_t)strlen(word->text.p);
    }
    column *made = wm_push(h->arena, f->columns, f->column_count, f->column_cap);
    made->name = word;
    made->values = values;
    return word;
}

/* ---- the body ---- */

/* Rewrites a statement in the order in which its numbers were listed. */
typedef struct rewriter {
    folder *f;
    wm_word **words; /* of the slots; NULL: the number stays */
    size_t next;
} rewriter;

static wm_expr *name_expr(wm_hub *h, wm_word *word)
{
    wm_qname *q = wm_new(h->arena, wm_qname, 1);
    wm_expr *e = wm_new(h->arena, wm_expr, 1);
    *q = (wm_qname){.parts = word, .last = word, .span = word->span};
    *e = (wm_expr){.kind = WM_EX_NAME, .span = word->span, .name = q};
    return e;
}

static void add_text(wm_hub *h, wm_part ***tail, wm_str text, wm_span span)
{
    if (!text.len)
        return;
    **tail = wm_new(h->arena, wm_part, 1);
    ***tail = (wm_part){.kind = WM_PART_TEXT, .span = span, .text = text};
    *tail = &(**tail)->next;
}

static wm_string *rewrite_string(rewriter *w, const wm_string *s)
{
    wm_hub *h = w->f->h;
    wm_string *out = wm_new(h->arena, wm_string, 1);
    wm_part **tail = &out->parts;
    out->span = s->span;
    wm_str text = s->parts ? s->parts->text : (wm_str){NULL, 0};
    uint32_t from = 0;
    for (uint32_t i = 0; i < text.len;) {
        int64_t value;
        if (text.p[i] < '0' || text.p[i] > '9') {
            i++;
            continue;
        }
        uint32_t end = wm_hub_digits(text, i, &value);
        wm_word *word = value >= 0 ? w->words[w->next++] : NULL;
        if (word) {
            add_text(h, &tail, (wm_str){text.p + from, i - from}, s->span);
            *tail = wm_new(h->arena, wm_part, 1);
            **tail = (wm_part){.kind = WM_PART_HOLE, .span = s->span, .expr = name_expr(h, word)};
            tail = &(*tail)->next;
            from = end;
        }
        i = end;
    }
    add_text(h, &tail, (wm_str){text.p + from, text.len - from}, s->span);
    return out;
}

static void rewrite_int(rewriter *w, wm_expr **e)
{
    wm_word *word = (*e)->i >= 0 ? w->words[w->next++] : NULL;
    if (word)
        *e = name_expr(w->f->h, word);
}

static void rewrite_value(rewriter *w, wm_value *v)
{
    if (v->kind == WM_VA_PLACE) {
        v->place->name = rewrite_string(w, v->place->name);
        return;
    }
    rewrite_value(w, v->a);
    rewrite_value(w, v->b);
}

static void rewrite(rewriter *w, wm_stmt *s)
{
    if (s->kind == WM_ST_RULE) {
        for (wm_operand *o = s->rule->left; o; o = o->next)
            rewrite_value(w, o->value);
        for (wm_operand *o = s->rule->right; o; o = o->next)
            o->place->name = rewrite_string(w, o->place->name);
        for (wm_binding *b = s->rule->where; b; b = b->next)
            if (b->expr && b->expr->kind == WM_EX_INT)
                rewrite_int(w, &b->expr);
    } else if (s->kind == WM_ST_FILL) {
        s->of->right->place->name = rewrite_string(w, s->of->right->place->name);
        for (wm_shape_item *i = s->of->right->shape->items; i; i = i->next)
            rewrite_int(w, &i->expr);
    } else {
        for (struct wm_string_list *l = s->of->strings; l; l = l->next)
            l->string = rewrite_string(w, l->string);
    }
}

static wm_expr *list_of(wm_hub *h, wm_expr *items, wm_span span)
{
    wm_expr *list = wm_new(h->arena, wm_expr, 1);
    *list = (wm_expr){.kind = WM_EX_LIST, .span = span, .args = items};
    return list;
}

static wm_stmt *make_loop(folder *f, const family *const *group, size_t count)
{
    wm_hub *h = f->h;
    wm_span span = f->outs->items[group[0]->rows[0]].stmt->span;
    wm_stmt *loop = wm_new(h->arena, wm_stmt, 1), **tail;
    loop->kind = WM_ST_FOR;
    loop->span = span;
    loop->of = wm_new(h->arena, wm_stmt_of, 1);
    tail = &loop->of->body;
    f->columns = NULL;
    f->column_count = f->column_cap = 0;
    for (size_t g = 0; g < count; g++) {
        wm_word **words = wm_new(h->arena, wm_word *, group[g]->slot_count + 1);
        for (size_t s = 0; s < group[g]->slot_count; s++)
            words[s] = column_of(f, group, count, group[g], s);
        wm_stmt *body = f->outs->items[group[g]->rows[0]].stmt;
        rewrite(&(rewriter){f, words, 0}, body);
        *tail = body;
        tail = &body->next;
    }
    wm_word **word = &loop->of->words;
    for (size_t c = 0; c < f->column_count; c++) {
        *word = wm_new(h->arena, wm_word, 1);
        **word = *f->columns[c].name;
        (*word)->next = NULL;
        word = &(*word)->next;
    }
    wm_expr *rows = NULL, **row = &rows;
    for (size_t r = 0; r < group[0]->count; r++) {
        wm_expr *cells = NULL, **cell = &cells;
        for (size_t c = 0; c < f->column_count; c++) {
            *cell = wm_hub_int(h, f->columns[c].values[r], span);
            cell = &(*cell)->next;
        }
        *row = f->column_count > 1 ? list_of(h, cells, span) : cells;
        row = &(*row)->next;
    }
    loop->of->expr = list_of(h, rows, span);
    return loop;
}

void wm_hub_loops(wm_hub *h, wm_hub_outs *outs)
{
    folder f = {.h = h, .outs = outs};
    sort_out(&f);
    wm_hub_outs made = {0};
    const family **group = wm_new(h->arena, const family *, f.count);
    for (size_t i = 0; i < outs->count; i++) {
        family *of = &f.families[f.family_of[i]];
        if (of->done)
            continue;
        of->done = true;
        wm_hub_out out = outs->items[i];
        out.rows = of->count;
        if (of->count > 1) {
            size_t count = 0;
            group[count++] = of;
            /* Those that follow, over the same members, are in the same loop. */
            for (size_t k = i + 1; k < outs->count; k++) {
                family *next = &f.families[f.family_of[k]];
                if (next->done && next != of)
                    continue;
                if (next == of || !same_members(&f, of, next))
                    break;
                next->done = true;
                group[count++] = next;
            }
            out.stmt = make_loop(&f, group, count);
        }
        *wm_push(h->arena, made.items, made.count, made.cap) = out;
    }
    *outs = made;
}
