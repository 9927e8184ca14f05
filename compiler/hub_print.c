/* hub_print.c: derived statements as the text of a map. What is printed parses to the same tree, so it
 * compiles to the same plan. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "compiler/hub.h"
#include "runtime/base/text.h"

typedef struct printer {
    wm_buffer *out;
    wm_hub_slots *slots;
    int level;
} printer;

static void put(printer *p, const char *text)
{
    wm_buffer_add(p->out, text, strlen(text));
}

static void put_str(printer *p, wm_str s)
{
    wm_buffer_add(p->out, s.p ? s.p : "", s.len);
}

static void slot(printer *p, int64_t value)
{
    *wm_push(p->out->arena, p->slots->items, p->slots->count, p->slots->cap) = value;
    put(p, "\1");
}

uint32_t wm_hub_digits(wm_str text, uint32_t at, int64_t *value)
{
    uint32_t end = at;
    *value = 0;
    while (end < text.len && text.p[end] >= '0' && text.p[end] <= '9') {
        if (end - at < 18)
            *value = *value * 10 + (text.p[end] - '0');
        end++;
    }
    if (end - at > 18 || (end - at > 1 && text.p[at] == '0'))
        *value = -1;
    return end;
}

/* ---- strings ---- */

static void put_text(printer *p, wm_str text)
{
    for (uint32_t i = 0; i < text.len; i++) {
        char c = text.p[i];
        if (p->slots && c >= '0' && c <= '9') {
            int64_t value;
            uint32_t end = wm_hub_digits(text, i, &value);
            if (value >= 0)
                slot(p, value);
            else
                wm_buffer_add(p->out, text.p + i, end - i);
            i = end - 1;
        } else if (c == '"' || c == '\\' || c == '{' || c == '}') {
            put(p, "\\");
            wm_buffer_add(p->out, &c, 1);
        } else if ((unsigned char)c < 0x20 || c == 0x7F) {
            put(p, wm_format_text(p->out->arena, "\\u{%x}", (unsigned char)c));
        } else {
            wm_buffer_add(p->out, &c, 1);
        }
    }
}

static void put_string(printer *p, const wm_string *s)
{
    put(p, "\"");
    for (const wm_part *part = s->parts; part; part = part->next) {
        switch (part->kind) {
        case WM_PART_TEXT:
            put_text(p, part->text);
            break;
        case WM_PART_HOLE: /* a loop's variable */
            put(p, "{");
            put_str(p, part->expr->name->parts->text);
            put(p, "}");
            break;
        case WM_PART_EQ:
            put(p, "{=");
            put_str(p, part->word->text);
            put(p, "}");
            break;
        case WM_PART_STAR:
            put(p, "{*}");
            break;
        case WM_PART_STARSTAR:
            put(p, "{**}");
            break;
        }
    }
    put(p, "\"");
}

/* ---- expressions ---- */

static void put_int(printer *p, int64_t i)
{
    if (p->slots && i >= 0)
        slot(p, i);
    else
        wm_buffer_int(p->out, i);
}

/* The shortest text that is read as this double. */
static void put_float(printer *p, double f)
{
    char text[48];
    snprintf(text, sizeof text, "%.*g", wm_float_digits(f, true), f);
    put(p, text);
    if (!strpbrk(text, ".e"))
        put(p, ".0");
}

static void put_expr(printer *p, const wm_expr *e)
{
    switch (e->kind) {
    case WM_EX_INT:
        put_int(p, e->i);
        break;
    case WM_EX_FLOAT:
        put_float(p, e->f);
        break;
    case WM_EX_NAME:
        put_str(p, e->name->parts->text);
        break;
    case WM_EX_LIST:
        for (const wm_expr *x = e->args; x; x = x->next) {
            put(p, x == e->args ? (p->level ? "[" : "(") : ", ");
            printer inner = {p->out, p->slots, 0};
            put_expr(&inner, x);
        }
        put(p, p->level ? "]" : ")");
        break;
    default:
        put(p, "_");
    }
}

/* Constants: a negative number is written behind its sign. */
static void put_constant(printer *p, const wm_expr *e)
{
    wm_hub_slots *slots = p->slots;
    p->slots = NULL; /* they are what the statement says, not where */
    put_expr(p, e);
    p->slots = slots;
}

/* ---- layouts ---- */

static void put_factors(printer *p, const wm_factor *factors);

static void put_blocks(printer *p, const wm_factor *f)
{
    bool labels = f->kind == WM_FA_LABELS;
    put(p, labels ? "{" : "(");
    for (const wm_block *b = f->blocks; b; b = b->next) {
        if (b != f->blocks)
            put(p, labels ? " " : " | ");
        if (b->unnamed)
            put(p, "_");
        else if (b->tag)
            put_str(p, b->tag->text);
        if (!labels && b->factors && (b->unnamed || b->tag))
            put(p, ": ");
        put_factors(p, b->factors);
    }
    put(p, labels ? "}" : ")");
}

static void put_factors(printer *p, const wm_factor *factors)
{
    for (const wm_factor *f = factors; f; f = f->next) {
        if (f != factors)
            put(p, " ");
        switch (f->kind) {
        case WM_FA_AXIS:
            put_str(p, f->name->text);
            break;
        case WM_FA_REVERSED:
            put(p, "-");
            put_str(p, f->name->text);
            break;
        case WM_FA_EQUAL:
            put(p, "=");
            put_str(p, f->name->text);
            break;
        case WM_FA_NUMBER:
            wm_buffer_int(p->out, f->value);
            break;
        case WM_FA_GROUP:
            put(p, "(");
            put_factors(p, f->factors);
            put(p, ")");
            break;
        case WM_FA_LABELS:
        case WM_FA_BLOCKS:
            put_blocks(p, f);
            break;
        case WM_FA_DOTS:
            put(p, "...");
            break;
        }
    }
}

/* ---- rules ---- */

static void put_place(printer *p, const wm_place *place)
{
    put_string(p, place->name);
    if (place->layout) {
        put(p, " [");
        put_factors(p, place->layout->factors);
        put(p, "]");
    }
    if (place->otherwise) {
        put(p, " else ");
        put_constant(p, place->otherwise);
    }
    if (place->optional)
        put(p, " optional");
}

static void put_value(printer *p, const wm_value *v, bool inner)
{
    static const char *const signs[] = {
        [WM_OP_ADD] = " + ", [WM_OP_SUB] = " - ", [WM_OP_MUL] = " * ", [WM_OP_DIV] = " / "};
    bool parens = inner && v->ops;
    put(p, parens ? "(" : "");
    if (v->kind == WM_VA_PLACE) {
        put_place(p, v->place);
    } else {
        put_value(p, v->a, true);
        put(p, signs[v->op]);
        put_value(p, v->b, true);
    }
    for (const wm_valueop *op = v->ops; op; op = op->next) {
        put(p, " | ");
        if (op->tag) {
            put_str(p, op->tag->text);
            put(p, ": ");
        }
        put_str(p, op->name->text);
        for (const struct wm_oparg *a = op->args; a; a = a->next) {
            put(p, " ");
            if (a->constant)
                put_constant(p, a->constant);
            else if (a->string)
                put_string(p, a->string);
        }
    }
    put(p, parens ? ")" : "");
}

static void put_operands(printer *p, const wm_operand *operands, bool left)
{
    for (const wm_operand *o = operands; o; o = o->next) {
        if (o != operands)
            put(p, ", ");
        if (o->tag) {
            put_str(p, o->tag->text);
            put(p, ": ");
        }
        if (left)
            put_value(p, o->value, false);
        else
            put_place(p, o->place);
        if (!o->dtype)
            continue;
        put(p, " : ");
        put_str(p, o->dtype->text);
        put(p, " [");
        for (const wm_shape_item *i = o->shape->items; i; i = i->next) {
            bool name = i->expr->kind == WM_EX_NAME;
            put(p, i == o->shape->items ? "" : " ");
            put(p, name ? "(" : "");
            put_expr(p, i->expr);
            put(p, name ? ")" : "");
        }
        put(p, "]");
    }
}

static void put_words(printer *p, const wm_word *words)
{
    for (const wm_word *w = words; w; w = w->next) {
        put(p, w == words ? "(" : " ");
        put_str(p, w->text);
    }
    put(p, ")");
}

static void put_where(printer *p, const wm_binding *where)
{
    for (const wm_binding *b = where; b; b = b->next) {
        put(p, b == where ? "   where " : ", ");
        if (b->other) {
            put_words(p, b->names);
            put(p, " = ");
            put_words(p, b->other);
        } else {
            put_str(p, b->names->text);
            put(p, "=");
            put_expr(p, b->expr);
        }
    }
}

static void put_strings(printer *p, const struct wm_string_list *strings)
{
    for (const struct wm_string_list *s = strings; s; s = s->next) {
        put(p, s == strings ? " " : ", ");
        put_string(p, s->string);
    }
}

static void put_loop(printer *p, const wm_stmt *s)
{
    bool several = s->of->words->next != NULL;
    put(p, several ? "for (" : "for ");
    for (const wm_word *w = s->of->words; w; w = w->next) {
        put(p, w == s->of->words ? "" : ", ");
        put_str(p, w->text);
    }
    put(p, several ? ") in " : " in ");
    printer list = {p->out, NULL, 1};
    put_expr(&list, s->of->expr);
    put(p, " {\n");
    for (const wm_stmt *b = s->of->body; b; b = b->next)
        wm_hub_print(b, p->level + 1, p->out, NULL);
    for (int i = 0; i < p->level; i++)
        put(p, "  ");
    put(p, "}");
}

void wm_hub_print_layout(const wm_layout *layout, wm_buffer *out)
{
    printer p = {out, NULL, 0};
    put(&p, "[");
    put_factors(&p, layout->factors);
    put(&p, "]");
}

void wm_hub_print_name(wm_str name, wm_buffer *out)
{
    printer p = {out, NULL, 0};
    put(&p, "\"");
    put_text(&p, name);
    put(&p, "\"");
}

void wm_hub_print(const wm_stmt *s, int level, wm_buffer *out, wm_hub_slots *slots)
{
    printer p = {out, slots, level};
    for (int i = 0; i < level; i++)
        put(&p, "  ");
    switch (s->kind) {
    case WM_ST_RULE:
        put(&p, s->rule->equal ? "equal " : "");
        put_operands(&p, s->rule->left, true);
        put(&p, " -> ");
        put_operands(&p, s->rule->right, false);
        put_where(&p, s->rule->where);
        break;
    case WM_ST_FILL:
        put(&p, "fill ");
        put_constant(&p, s->of->constant);
        put(&p, " -> ");
        put_operands(&p, s->of->right, false);
        break;
    case WM_ST_DROP:
        put(&p, "drop");
        put_strings(&p, s->of->strings);
        if (s->of->constant) {
            put(&p, " if all ");
            put_constant(&p, s->of->constant);
        }
        break;
    case WM_ST_META: {
        p.slots = NULL;
        put(&p, "meta ");
        put_string(&p, s->of->string);
        put(&p, " = ");
        put_string(&p, s->of->string2);
        break;
    }
    case WM_ST_FOR:
        put_loop(&p, s);
        break;
    default: /* the hub makes no others */
        break;
    }
    put(&p, "\n");
}
