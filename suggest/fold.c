/* fold.c: rules that differ in numbers only, as one: `layers.{x}.weight`. Where the numbers of both sides
 * don't go together, as a loop over their list. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "suggest/fold.h"

/* "f32 [3 4]" */
const char *wm_type_text(wm_arena *arena, const wmap_tensor *head)
{
    const char *text = wm_format_text(arena, "%s [", wmap_dtype_name(head->dtype));
    for (uint32_t d = 0; d < head->rank; d++)
        text = wm_format_text(arena, "%s%s%" PRIu64, text, d ? " " : "", head->shape[d]);
    return wm_format_text(arena, "%s]", text);
}

/* ---- templates ---- */

/* A name with its numbers left out. */
static const char *shape_of(wm_arena *arena, const wm_token *tokens, size_t count, uint32_t axis)
{
    size_t len = 0;
    for (size_t i = 0; i < count; i++)
        len += tokens[i].len + 2;
    char *text = wm_alloc(arena, len + 1), *at = text;
    for (size_t i = 0; i < count; i++) {
        bool number = tokens[i].kind == WM_TOKEN_NUMBER;
        if (number) {
            *at++ = i == axis ? '\2' : '\1';
        } else {
            memcpy(at, tokens[i].text, tokens[i].len);
            at += tokens[i].len;
        }
    }
    *at = 0;
    return text;
}

void wm_fold_name(wm_arena *arena, const wmap_tensor *head, uint32_t axis, wm_fold_text *out)
{
    size_t count;
    wm_token *tokens = wm_tokens(arena, head, &count);
    *out = (wm_fold_text){.tokens = tokens, .count = count, .axis = axis};
    out->shape = shape_of(arena, tokens, count, axis);
    out->numbers = wm_new(arena, uint64_t, count + 1);
    for (size_t i = 0; i < count; i++)
        if (tokens[i].kind == WM_TOKEN_NUMBER && i != axis)
            out->numbers[out->number_count++] = tokens[i].number;
}

static const char *rule_key(wm_draft *draft, const wm_draft_rule *rule, wm_fold_row *row)
{
    wm_arena *arena = &draft->arena;
    const char *key = wm_format_text(arena, "%d|%d|%d|%s|%s", rule->how, rule->cast, rule->sum,
                                     rule->where ? rule->where : "", rule->fill ? rule->fill : "");
    row->names = wm_new(arena, wm_fold_text, rule->counts[0] + rule->counts[1]);
    size_t at = 0;
    for (int side = 0; side < 2; side++)
        for (size_t i = 0; i < rule->counts[side]; i++, at++) {
            const wm_draft_place *p = &rule->places[side][i];
            wm_fold_name(arena, draft->sides[side].tensors[p->tensor].head, p->token, &row->names[at]);
            key = wm_format_text(arena, "%s|%d%s:%s[%s]%zu", key, side, p->tag ? p->tag : "",
                                 row->names[at].shape, p->layout ? p->layout : "", p->stack_count);
            row->number_count += row->names[at].number_count;
            if (rule->how == WM_BY_FILL)
                key = wm_format_text(arena, "%s:%s", key,
                                     wm_type_text(arena, draft->sides[side].tensors[p->tensor].head));
        }
    row->numbers = wm_new(arena, uint64_t, row->number_count + 1);
    size_t k = 0, names = rule->counts[0] + rule->counts[1];
    for (at = 0; at < names; at++)
        for (size_t n = 0; n < row->names[at].number_count; n++)
            row->numbers[k++] = row->names[at].numbers[n];
    return key;
}

/* ---- columns ---- */

static bool varies(const wm_fold_row *const *rows, size_t count, size_t column)
{
    for (size_t i = 1; i < count; i++)
        if (rows[i]->numbers[column] != rows[0]->numbers[column])
            return true;
    return false;
}

/* column y = a * column x + b in all rows? */
static bool follows(const wm_fold_row *const *rows, size_t count, size_t x, size_t y, int64_t *a, int64_t *b)
{
    size_t other = 1;
    while (other < count && rows[other]->numbers[x] == rows[0]->numbers[x])
        other++;
    if (other == count)
        return false;
    int64_t x0 = (int64_t)rows[0]->numbers[x], y0 = (int64_t)rows[0]->numbers[y];
    int64_t dx = (int64_t)rows[other]->numbers[x] - x0, dy = (int64_t)rows[other]->numbers[y] - y0;
    if (dy % dx || dy / dx < 1)
        return false;
    *a = dy / dx;
    if (*a > 1000 || x0 > (INT64_MAX >> 12))
        return false;
    *b = y0 - *a * x0;
    for (size_t i = 0; i < count; i++)
        if ((int64_t)rows[i]->numbers[y] != *a * (int64_t)rows[i]->numbers[x] + *b)
            return false;
    return true;
}

/* What each column is: a constant, or a variable times a plus b. False if the target's don't follow from the
 * source's. */
static bool solve(const wm_fold_row *const *rows, size_t count, size_t source_columns, wm_fold_form *form)
{
    form->variables = 0;
    for (size_t c = 0; c < rows[0]->number_count; c++) {
        wm_fold_column *column = &form->columns[c];
        *column = (wm_fold_column){.variable = -1};
        if (!varies(rows, count, c))
            continue;
        for (uint32_t v = 0; v < form->variables && column->variable < 0; v++)
            if (follows(rows, count, form->first[v], c, &column->a, &column->b))
                column->variable = (int)v;
        if (column->variable >= 0)
            continue;
        if (c >= source_columns || form->variables == WM_FOLD_VARIABLES)
            return false;
        column->variable = (int)form->variables;
        column->a = 1;
        form->first[form->variables++] = c;
    }
    return true;
}

/* Is every variable in every name that is written? */
static bool all_written(const wm_draft_rule *rule, const wm_fold_row *row, const wm_fold_form *form)
{
    size_t column = 0, names = rule->counts[0] + rule->counts[1];
    for (size_t i = 0; i < names; i++) {
        uint32_t seen = 0;
        for (size_t n = 0; n < row->names[i].number_count; n++, column++)
            if (form->columns[column].variable >= 0)
                seen |= UINT32_C(1) << form->columns[column].variable;
        if (seen != (UINT32_C(1) << form->variables) - 1)
            return false;
    }
    return true;
}

/* Does the pattern match more sources than those of the rows? Counts all that have the shape of the name and
 * numbers as the form says. */
static size_t count_matches(const wm_fold *fold, const wm_fold_text *name, const wm_fold_row *first,
                            size_t column, const wm_fold_form *form)
{
    size_t matches = 0;
    uint32_t at = wm_map_get(&fold->shapes, name->shape, strlen(name->shape));
    for (; at != WM_MAP_NONE; at = fold->next[at]) {
        const wm_fold_text *other = &fold->sources[at];
        bool same = true;
        for (size_t n = 0; same && n < name->number_count; n++) {
            const wm_fold_column *c = &form->columns[column + n];
            if (c->variable < 0) {
                same = other->numbers[n] == first->numbers[column + n];
                continue;
            }
            for (size_t k = 0; same && k < n; k++) { /* the same variable has the same value */
                const wm_fold_column *d = &form->columns[column + k];
                same = d->variable != c->variable || ((int64_t)other->numbers[n] - c->b) * d->a ==
                                                         ((int64_t)other->numbers[k] - d->b) * c->a;
            }
            same =
                same && (int64_t)other->numbers[n] >= c->b && ((int64_t)other->numbers[n] - c->b) % c->a == 0;
        }
        matches += same;
    }
    return matches;
}

static bool matches_only(const wm_fold *fold, const wm_draft_rule *rule, const wm_fold_row *const *rows,
                         size_t count, const wm_fold_form *form)
{
    size_t column = 0;
    for (size_t i = 0; i < rule->counts[WM_SOURCE]; i++) {
        size_t each = rule->places[WM_SOURCE][i].stack_count ? rule->places[WM_SOURCE][i].stack_count : 1;
        if (!rule->places[WM_SOURCE][i].stack_count &&
            count_matches(fold, &rows[0]->names[i], rows[0], column, form) != count * each)
            return false;
        column += rows[0]->names[i].number_count;
    }
    return true;
}

/* ---- folding ---- */

static void add_out(wm_fold *fold, wm_fold_row **rows, size_t count, const wm_fold_form *form)
{
    wm_arena *arena = &fold->draft->arena;
    wm_fold_out *out = wm_push(arena, fold->out, fold->out_count, fold->out_cap);
    *out = (wm_fold_out){.rows = rows, .count = count, .order = rows[0]->rule->order};
    if (form) {
        out->form = wm_new(arena, wm_fold_form, 1);
        *out->form = *form;
    }
}

static size_t distinct(wm_fold_row *const *rows, size_t count, size_t column)
{
    size_t n = 0;
    for (size_t i = 0; i < count && n < 64; i++) {
        size_t k = 0;
        while (k < i && rows[k]->numbers[column] != rows[i]->numbers[column])
            k++;
        n += k == i;
    }
    return n;
}

/* The rows that have the first row's number in this column go to the front. */
static size_t gather(wm_fold *fold, wm_fold_row **rows, size_t count, size_t column)
{
    wm_fold_row **rest = wm_new(&fold->draft->arena, wm_fold_row *, count);
    uint64_t number = rows[0]->numbers[column];
    size_t with = 0, without = 0;
    for (size_t i = 0; i < count; i++)
        if (rows[i]->numbers[column] == number)
            rows[with++] = rows[i];
        else
            rest[without++] = rows[i];
    memcpy(rows + with, rest, without * sizeof *rest);
    return with;
}

/* Cuts the rows by the column with the fewest numbers. */
static void fold_rows(wm_fold *fold, wm_fold_row **rows, size_t count, int depth);

static void split_rows(wm_fold *fold, wm_fold_row **rows, size_t count, int depth)
{
    size_t best = SIZE_MAX, least = SIZE_MAX;
    for (size_t c = 0; c < rows[0]->number_count; c++) {
        if (!varies((const wm_fold_row *const *)rows, count, c))
            continue;
        size_t n = distinct(rows, count, c);
        if (n < least) {
            least = n;
            best = c;
        }
    }
    if (best == SIZE_MAX || least * 2 > count || depth > 4) { /* hardly two rows would stay together */
        add_out(fold, rows, count, NULL);
        return;
    }
    while (count) {
        size_t with = gather(fold, rows, count, best);
        fold_rows(fold, rows, with, depth + 1);
        rows += with;
        count -= with;
    }
}

static void fold_rows(wm_fold *fold, wm_fold_row **rows, size_t count, int depth)
{
    const wm_fold_row *const *list = (const wm_fold_row *const *)rows;
    const wm_draft_rule *rule = rows[0]->rule;
    wm_fold_form form = {.columns = wm_new(&fold->draft->arena, wm_fold_column, rows[0]->number_count + 1)};
    size_t source_columns = 0;
    for (size_t i = 0; i < rule->counts[WM_SOURCE]; i++)
        source_columns += rows[0]->names[i].number_count;
    if (count == 1)
        add_out(fold, rows, 1, NULL);
    else if (!rows[0]->alone && solve(list, count, source_columns, &form) &&
             all_written(rule, rows[0], &form) && matches_only(fold, rule, list, count, &form))
        add_out(fold, rows, count, &form);
    else
        split_rows(fold, rows, count, depth);
}

static void list_sources(wm_fold *fold)
{
    wm_arena *arena = &fold->draft->arena;
    wm_draft_side *s = &fold->draft->sides[WM_SOURCE];
    wm_map_init(&fold->shapes, arena, s->count);
    fold->sources = wm_new(arena, wm_fold_text, s->count + 1);
    fold->next = wm_new(arena, uint32_t, s->count + 1);
    for (uint32_t i = 0; i < s->count; i++) {
        wm_fold_name(arena, s->tensors[i].head, WM_DRAFT_NONE, &fold->sources[i]);
        fold->next[i] = WM_DRAFT_NONE;
        uint32_t head =
            wm_map_put(&fold->shapes, fold->sources[i].shape, strlen(fold->sources[i].shape), i, NULL);
        if (head != WM_MAP_NONE) {
            fold->next[i] = fold->next[head];
            fold->next[head] = i;
        }
    }
}

static int by_order(const void *a, const void *b)
{
    const wm_fold_out *x = a, *y = b;
    return (x->order > y->order) - (x->order < y->order);
}

/* How many rules read each source: where it is more than one, no pattern may have a capture. */
static uint8_t *count_readers(wm_draft *draft)
{
    uint8_t *readers = wm_new(&draft->arena, uint8_t, draft->sides[WM_SOURCE].count + 1);
    for (size_t i = 0; i < draft->rule_count; i++)
        for (size_t k = 0; k < draft->rules[i].counts[WM_SOURCE]; k++) {
            uint8_t *n = &readers[draft->rules[i].places[WM_SOURCE][k].tensor];
            *n = (uint8_t)(*n + (*n < 2));
        }
    return readers;
}

void wm_fold_rules(wm_draft *draft, wm_fold *fold)
{
    wm_arena *arena = &draft->arena;
    wm_map index;
    uint8_t *readers = count_readers(draft);
    *fold = (wm_fold){.draft = draft};
    list_sources(fold);
    wm_map_init(&index, arena, draft->rule_count);
    struct group {
        wm_fold_row **rows;
        size_t count, cap;
    } *groups = NULL;
    size_t count = 0, cap = 0;
    for (size_t i = 0; i < draft->rule_count; i++) {
        wm_fold_row *row = wm_new(arena, wm_fold_row, 1);
        row->rule = &draft->rules[i];
        for (size_t k = 0; k < row->rule->counts[WM_SOURCE]; k++)
            row->alone |= readers[row->rule->places[WM_SOURCE][k].tensor] > 1;
        const char *key = rule_key(draft, row->rule, row);
        uint32_t at = wm_map_put(&index, key, strlen(key), (uint32_t)count, NULL);
        if (at == WM_MAP_NONE) {
            at = (uint32_t)count;
            *wm_push(arena, groups, count, cap) = (struct group){0};
        }
        *wm_push(arena, groups[at].rows, groups[at].count, groups[at].cap) = row;
        groups[at].rows[0]->alone |= row->alone;
    }
    for (size_t i = 0; i < count; i++)
        fold_rows(fold, groups[i].rows, groups[i].count, 0);
    if (fold->out_count)
        qsort(fold->out, fold->out_count, sizeof *fold->out, by_order);
}
