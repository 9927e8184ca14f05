/* write.c: the draft as the text of a spec. What is a guess is called one. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/text.h"
#include "suggest/fold.h"

static const char *const variables[WM_FOLD_VARIABLES] = {"x", "y", "z", "u", "v", "w"};

typedef struct text {
    wm_draft *draft;
    char *bytes;
    size_t len, cap;
} text;

static void put_bytes(text *t, const char *bytes, size_t len)
{
    t->bytes = wm_grow(&t->draft->arena, t->bytes, t->len, t->len + len + 1, &t->cap, 1);
    memcpy(t->bytes + t->len, bytes, len);
    t->len += len;
    t->bytes[t->len] = 0;
}

__attribute__((format(printf, 2, 3))) static void put(text *t, const char *format, ...)
{
    char buffer[1024];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(buffer, sizeof buffer, format, args);
    va_end(args);
    put_bytes(t, buffer, len < (int)sizeof buffer ? (size_t)len : sizeof buffer - 1);
}

static void put_string(text *t, const char *s)
{
    put_bytes(t, s, strlen(s));
}

/* Text of a name, inside of a string. */
static void put_escaped(text *t, const char *bytes, size_t len)
{
    for (size_t i = 0, size; i < len; i += size) {
        uint32_t scalar = (uint8_t)bytes[i];
        size = wm_utf8(bytes + i, len - i, &scalar);
        size = size ? size : 1;
        if (scalar == '"' || scalar == '\\' || scalar == '{' || scalar == '}')
            put(t, "\\%c", (int)scalar);
        else if (scalar < 0x20 || scalar == 0x7F)
            put(t, "\\u{%X}", scalar);
        else
            put_bytes(t, bytes + i, size);
    }
}

/* In a comment: on one line. */
static void put_shown(text *t, const wmap_tensor *head)
{
    char shown[256];
    put_string(t, wm_show(shown, sizeof shown, head->name, head->name_len));
}

static void put_type(text *t, const wmap_tensor *head)
{
    put_string(t, wm_type_text(&t->draft->arena, head));
}

/* ---- rules ---- */

static void put_hole(text *t, const wm_fold_column *c)
{
    if (c->a == 1)
        put(t, "{%s", variables[c->variable]);
    else
        put(t, "{%" PRId64 "*%s", c->a, variables[c->variable]);
    if (c->b)
        put(t, "%+" PRId64, c->b);
    put_string(t, "}");
}

static void put_name(text *t, const wm_fold_text *name, const wm_draft_place *place,
                     const wm_fold_column *columns)
{
    size_t number = 0;
    put_string(t, "\"");
    for (size_t i = 0; i < name->count; i++) {
        const wm_token *token = &name->tokens[i];
        if (i == name->axis) {
            put(t, "{%s}", place->axis);
        } else if (token->kind == WM_TOKEN_NUMBER && columns && columns[number].variable >= 0) {
            put_hole(t, &columns[number++]);
        } else {
            number += token->kind == WM_TOKEN_NUMBER;
            put_escaped(t, token->text, token->len);
        }
    }
    put_string(t, "\"");
}

/* One rule; `columns` says which numbers of its names are holes, NULL for none. */
static void put_rule(text *t, const wm_fold_row *row, const wm_fold_column *columns)
{
    const wm_draft_rule *rule = row->rule;
    size_t at = 0, column = 0;
    if (rule->how == WM_BY_FILL)
        put(t, "fill %s", rule->fill);
    if (rule->how == WM_LEFT)
        put_string(t, "drop ");
    for (int side = 0; side < 2; side++) {
        if (side && rule->counts[side])
            put_string(t, " -> ");
        for (size_t i = 0; i < rule->counts[side]; i++, at++) {
            const wm_draft_place *p = &rule->places[side][i];
            const wmap_tensor *head = t->draft->sides[side].tensors[p->tensor].head;
            if (i)
                put_string(t, rule->sum ? " + " : ", ");
            if (p->tag)
                put(t, "%s: ", p->tag);
            put_name(t, &row->names[at], p, columns ? columns + column : NULL);
            column += row->names[at].number_count;
            if (p->layout)
                put(t, " [%s]", p->layout);
            if (side && rule->how == WM_BY_FILL) {
                put_string(t, " : ");
                put_type(t, head);
            }
        }
        if (side == 0 && rule->cast)
            put(t, " | cast %s", wmap_dtype_name(rule->cast));
    }
    if (rule->where)
        put(t, " where %s", rule->where);
}

static void put_reason(text *t, const wm_draft_rule *rule, size_t count)
{
    static const char *const reasons[] = {
        [WM_BY_CONSTANT] = "guess: one number throughout, paired by name",
        [WM_BY_NAME] = "guess: by name and shape",
        [WM_BY_FILL] = "guess: a constant that the source has nowhere",
        [WM_LEFT] = NULL,
    };
    const char *reason = reasons[rule->how], *note = count == 1 ? rule->note : NULL;
    if (reason || note)
        put(t, "  # %s%s%s", reason ? reason : "unsure", note ? ": " : "", note ? note : "");
}

/* ---- loops ---- */

/* The columns that vary, each kind once: as holes, and as lists of numbers. */
static size_t loop_columns(const text *t, const wm_fold_out *out, wm_fold_column *columns, size_t *first)
{
    const wm_fold_row *row = out->rows[0];
    size_t count = 0;
    (void)t;
    for (size_t c = 0; c < row->number_count; c++) {
        bool same = true;
        columns[c] = (wm_fold_column){.variable = -1};
        for (size_t i = 1; same && i < out->count; i++)
            same = out->rows[i]->numbers[c] == row->numbers[c];
        if (same)
            continue;
        size_t v = 0;
        for (; v < count; v++) {
            bool equal = true;
            for (size_t i = 0; equal && i < out->count; i++)
                equal = out->rows[i]->numbers[c] == out->rows[i]->numbers[first[v]];
            if (equal)
                break;
        }
        if (v == WM_FOLD_VARIABLES)
            return SIZE_MAX;
        if (v == count)
            first[count++] = c;
        columns[c] = (wm_fold_column){.variable = (int)v, .a = 1};
    }
    return count;
}

typedef struct loop {
    wm_fold_out *out;
    wm_fold_column *columns;
    size_t first[WM_FOLD_VARIABLES];
    size_t count; /* of variables; SIZE_MAX: too many */
    bool done;
} loop;

static bool same_loop(const loop *x, const loop *y)
{
    if (x->count != y->count || x->out->count != y->out->count)
        return false;
    for (size_t i = 0; i < x->out->count; i++)
        for (size_t v = 0; v < x->count; v++)
            if (x->out->rows[i]->numbers[x->first[v]] != y->out->rows[i]->numbers[y->first[v]])
                return false;
    return true;
}

static void put_loop(text *t, loop *loops, size_t at, size_t count)
{
    const loop *l = &loops[at];
    put_string(t, l->count > 1 ? "for (" : "for ");
    for (size_t v = 0; v < l->count; v++)
        put(t, "%s%s", v ? ", " : "", variables[v]);
    put_string(t, l->count > 1 ? ") in [" : " in [");
    for (size_t i = 0; i < l->out->count; i++) {
        put_string(t, i ? (i % 8 ? ", " : ",\n") : "");
        put_string(t, l->count > 1 ? "(" : "");
        for (size_t v = 0; v < l->count; v++)
            put(t, "%s%" PRIu64, v ? ", " : "", l->out->rows[i]->numbers[l->first[v]]);
        put_string(t, l->count > 1 ? ")" : "");
    }
    put_string(t, "] {\n");
    for (size_t i = at; i < count; i++) {
        if (loops[i].done || !same_loop(l, &loops[i]))
            continue;
        put_rule(t, loops[i].out->rows[0], loops[i].columns);
        put_reason(t, loops[i].out->rows[0]->rule, loops[i].out->count);
        put_string(t, "\n");
        loops[i].done = true;
    }
    put_string(t, "}\n");
}

static int by_numbers(const void *a, const void *b)
{
    const wm_fold_row *x = *(wm_fold_row *const *)a, *y = *(wm_fold_row *const *)b;
    for (size_t i = 0; i < x->number_count; i++)
        if (x->numbers[i] != y->numbers[i])
            return x->numbers[i] < y->numbers[i] ? -1 : 1;
    return 0;
}

static void put_rules(text *t, wm_fold *fold)
{
    wm_arena *arena = &t->draft->arena;
    loop *loops = wm_new(arena, loop, fold->out_count + 1);
    for (size_t i = 0; i < fold->out_count; i++) {
        wm_fold_out *out = &fold->out[i];
        loops[i] = (loop){.out = out, .count = SIZE_MAX};
        if (out->form || out->count < 2)
            continue;
        qsort(out->rows, out->count, sizeof *out->rows, by_numbers);
        loops[i].columns = wm_new(arena, wm_fold_column, out->rows[0]->number_count + 1);
        loops[i].count = loop_columns(t, out, loops[i].columns, loops[i].first);
    }
    bool left = false;
    for (size_t i = 0; i < fold->out_count; i++) {
        const wm_fold_out *out = loops[i].out;
        if (loops[i].done)
            continue;
        if (out->rows[0]->rule->how == WM_LEFT && !left)
            put_string(t, "\n# Nothing of the target holds these.\n");
        left = out->rows[0]->rule->how == WM_LEFT;
        if (loops[i].count != SIZE_MAX) {
            put_loop(t, loops, i, fold->out_count);
            continue;
        }
        for (size_t k = 0; k < (out->form ? 1 : out->count); k++) {
            put_rule(t, out->rows[k], out->form ? out->form->columns : NULL);
            put_reason(t, out->rows[k]->rule, out->form ? out->count : 1);
            put_string(t, "\n");
        }
    }
}

/* ---- the rest ---- */

enum { MAX_LISTED = 40 };

/* What is left of the source, as rules: drop. */
static void add_left(wm_draft *draft)
{
    wm_draft_side *s = &draft->sides[WM_SOURCE];
    for (uint32_t i = 0; i < s->count; i++) {
        if (s->tensors[i].rule != WM_DRAFT_NONE)
            continue;
        wm_draft_rule *rule = wm_draft_add(draft, WM_LEFT);
        wm_draft_places(draft, rule, WM_SOURCE, 1);
        rule->places[WM_SOURCE][0] = (wm_draft_place){.tensor = i, .token = WM_DRAFT_NONE};
        wm_draft_mark(draft, rule);
    }
}

static void put_missing(text *t)
{
    wm_draft_side *s = &t->draft->sides[WM_TARGET];
    size_t missing = 0;
    for (size_t i = 0; i < s->count; i++) {
        if (s->tensors[i].rule != WM_DRAFT_NONE)
            continue;
        if (missing++ == 0)
            put_string(t, "\n# Not written, since no source was found:\n");
        if (missing > MAX_LISTED)
            continue;
        put_string(t, "#   ");
        put_shown(t, s->tensors[i].head);
        put_string(t, "  ");
        put_type(t, s->tensors[i].head);
        if (s->tensors[i].note) {
            put_string(t, ": ");
            put_string(t, s->tensors[i].note);
        }
        put_string(t, "\n");
    }
    if (missing > MAX_LISTED)
        put(t, "#   and %zu more\n", missing - MAX_LISTED);
}

static void count_rules(const wm_draft *draft, size_t by[WM_LEFT + 1])
{
    for (size_t i = 0; i < draft->sides[WM_TARGET].count; i++)
        if (draft->sides[WM_TARGET].tensors[i].rule != WM_DRAFT_NONE)
            by[draft->rules[draft->sides[WM_TARGET].tensors[i].rule].how]++;
}

static void put_path(text *t, const char *path)
{
    char shown[256];
    put_string(t, wm_show(shown, sizeof shown, path, strlen(path)));
}

static void put_summary(text *t)
{
    wm_draft *draft = t->draft;
    size_t by[WM_LEFT + 1] = {0}, all = draft->sides[WM_TARGET].count;
    count_rules(draft, by);
    put_string(t, "# From ");
    put_path(t, wmap_archive_path(draft->sides[WM_SOURCE].archive));
    put_string(t, "\n# to ");
    put_path(t, wmap_archive_path(draft->sides[WM_TARGET].archive));
    put(t, ", as `wmap suggest` found it. Of %zu tensors there:\n", all);
    if (draft->values)
        put(t,
            "# %zu have the values of the source, %zu more are one number throughout and were paired by "
            "name,\n",
            by[WM_BY_VALUE], by[WM_BY_CONSTANT]);
    else
        put(t, "# %s\n", draft->reason);
    put(t, "# %zu are guesses by name and shape, %zu are filled, %zu have no source.\n", by[WM_BY_NAME],
        by[WM_BY_FILL], all - by[WM_BY_VALUE] - by[WM_BY_CONSTANT] - by[WM_BY_NAME] - by[WM_BY_FILL]);
}

char *wm_draft_text(wm_draft *draft, size_t *len)
{
    text t = {.draft = draft};
    wm_fold fold;
    add_left(draft);
    wm_fold_rules(draft, &fold);
    put_summary(&t);
    put_string(&t, "wmap 1\n\nmap main {\n");
    put_rules(&t, &fold);
    put_missing(&t);
    put_string(&t, "}\n");
    *len = t.len;
    return t.bytes;
}
