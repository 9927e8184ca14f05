/* build.c: the nodes of the tree, as the actions of the grammar make them. Nothing is interpreted here but
 * what belongs to the form of a text: escapes joined with the text around them, formats of holes, empty
 * groups, depth. */
#include <string.h>

#include "compiler/grammar.h"

/* ---- names ---- */

wm_word *wm_make_word(wm_parser *p, wm_span span)
{
    wm_word *word = wm_new(p->arena, wm_word, 1);
    word->text = wm_text_at(p, span);
    word->span = span;
    return word;
}

wm_qname *wm_make_qname(wm_parser *p, wm_span span, wm_word *first)
{
    wm_qname *name = wm_new(p->arena, wm_qname, 1);
    name->parts = name->last = first;
    name->span = span;
    return name;
}

wm_qname *wm_qname_more(wm_span span, wm_qname *name, wm_word *word)
{
    name->last->next = word;
    name->last = word;
    name->span = span;
    return name;
}

/* ---- expressions ---- */

wm_expr *wm_make_expr(wm_parser *p, wm_expr_kind kind, wm_span span)
{
    wm_expr *expr = wm_new(p->arena, wm_expr, 1);
    expr->kind = kind;
    expr->span = span;
    return expr;
}

static void too_deep(wm_parser *p, wm_span span)
{
    wm_syntax(p, WM_E0902, span, "more than %d operations in one expression", WM_MAX_DEPTH);
    p->stopped = true;
}

/* Puts a child below a node: the depth that passes may recurse to is bounded here, and nowhere else. */
static wm_expr *below(wm_parser *p, wm_expr *parent, wm_expr *child)
{
    if (child && child->depth >= parent->depth)
        parent->depth = child->depth + 1;
    if (child && child->depth >= WM_MAX_DEPTH) {
        if (!p->stopped)
            too_deep(p, parent->span);
        parent->depth = 0;
        return wm_make_number(p, WM_EX_INT, child->span, 0, 0);
    }
    return child;
}

wm_expr *wm_make_number(wm_parser *p, wm_expr_kind kind, wm_span span, int64_t i, double f)
{
    wm_expr *expr = wm_make_expr(p, kind, span);
    expr->i = i;
    expr->f = f;
    return expr;
}

wm_expr *wm_make_name(wm_parser *p, wm_span span, wm_qname *name)
{
    wm_expr *expr = wm_make_expr(p, WM_EX_NAME, span);
    expr->name = name;
    return expr;
}

wm_expr *wm_make_string_expr(wm_parser *p, wm_expr_kind kind, wm_span span, wm_string *string)
{
    wm_expr *expr = wm_make_expr(p, kind, span);
    expr->string = string;
    return expr;
}

wm_expr *wm_make_unary(wm_parser *p, wm_expr_kind kind, wm_span span, wm_expr *a)
{
    wm_expr *expr = wm_make_expr(p, kind, span);
    expr->op_span = (wm_span){span.file, span.beg, a->span.beg};
    expr->a = below(p, expr, a);
    return expr;
}

wm_expr *wm_make_binary(wm_parser *p, wm_op op, wm_span span, wm_span op_span, wm_expr *a, wm_expr *b)
{
    wm_expr *expr = wm_make_expr(p, WM_EX_BINARY, span);
    expr->op = op;
    expr->op_span = op_span;
    expr->a = below(p, expr, a);
    expr->b = below(p, expr, b);
    return expr;
}

wm_expr *wm_make_if(wm_parser *p, wm_span span, wm_expr *a, wm_expr *b, wm_expr *c)
{
    wm_expr *expr = wm_make_expr(p, WM_EX_IF, span);
    expr->a = below(p, expr, a);
    expr->b = below(p, expr, b);
    expr->c = below(p, expr, c);
    return expr;
}

wm_expr *wm_make_index(wm_parser *p, wm_span span, wm_expr *a, wm_expr *b)
{
    wm_expr *expr = wm_make_expr(p, WM_EX_INDEX, span);
    expr->a = below(p, expr, a);
    expr->b = below(p, expr, b);
    return expr;
}

static wm_expr *with_args(wm_parser *p, wm_expr *expr, wm_expr *args)
{
    expr->args = args;
    for (wm_expr *arg = args; arg; arg = arg->next)
        below(p, expr, arg);
    return expr;
}

wm_expr *wm_make_call_expr(wm_parser *p, wm_span span, wm_qname *name, wm_expr *args)
{
    wm_expr *expr = wm_make_expr(p, WM_EX_CALL, span);
    expr->name = name;
    return with_args(p, expr, args);
}

wm_expr *wm_make_list(wm_parser *p, wm_span span, wm_expr *args)
{
    return with_args(p, wm_make_expr(p, WM_EX_LIST, span), args);
}

wm_expr *wm_make_parens(wm_span span, wm_expr *a)
{
    a->span = span;
    return a;
}

wm_expr *wm_hub_call(wm_parser *p, wm_span span, wm_qname *name, wm_arg *named)
{
    wm_expr *expr = wm_make_expr(p, WM_EX_NAMED, span);
    expr->name = name;
    expr->named = named;
    return expr;
}

/* ---- strings ---- */

void wm_string_begin(wm_parser *p)
{
    p->parts.first = p->parts.last = NULL;
    p->pending = (wm_str){NULL, 0};
    p->has_pending = p->pending_copied = false;
}

static void add_pending(wm_parser *p, wm_str text)
{
    size_t need = (size_t)p->pending.len + text.len;
    if (!p->pending_copied) {
        /* One run of text is borrowed from the source; from the second on they are collected. */
        p->pending_buffer = wm_grow(p->arena, p->pending_buffer, 0, need, &p->pending_cap, 1);
        memcpy(p->pending_buffer, p->pending.p, p->pending.len);
        p->pending_copied = true;
    } else {
        p->pending_buffer = wm_grow(p->arena, p->pending_buffer, p->pending.len, need, &p->pending_cap, 1);
    }
    memcpy(p->pending_buffer + p->pending.len, text.p, text.len);
    p->pending = (wm_str){p->pending_buffer, (uint32_t)need};
}

void wm_string_text(wm_parser *p, wm_span span, wm_str text)
{
    if (!p->has_pending) {
        p->pending = text;
        p->pending_span = span;
        p->has_pending = true;
    } else {
        p->pending_span.end = span.end;
        add_pending(p, text);
    }
}

static wm_part *add_part(wm_parser *p, wm_part_kind kind, wm_span span)
{
    wm_part *part = wm_new(p->arena, wm_part, 1);
    part->kind = kind;
    part->span = span;
    WM_APPEND(p->parts, part);
    return part;
}

static void flush_text(wm_parser *p)
{
    if (!p->has_pending)
        return;
    wm_part *part = add_part(p, WM_PART_TEXT, p->pending_span);
    part->text = p->pending;
    if (p->pending_copied)
        part->text.p = wm_copy(p->arena, p->pending.p, p->pending.len);
    p->has_pending = p->pending_copied = false;
}

void wm_string_hole(wm_parser *p, wm_span span, wm_expr *expr, wm_format_kind format)
{
    flush_text(p);
    wm_part *part = add_part(p, WM_PART_HOLE, span);
    part->expr = expr;
    part->format = format;
}

void wm_string_equal(wm_parser *p, wm_span span, wm_word *word, wm_format_kind format)
{
    flush_text(p);
    wm_part *part = add_part(p, WM_PART_EQ, span);
    part->word = word;
    wm_qname *name = wm_new(p->arena, wm_qname, 1);
    name->span = word->span;
    name->parts = name->last = word;
    part->expr = wm_make_name(p, word->span, name);
    part->format = format;
}

void wm_string_star(wm_parser *p, wm_span span, wm_part_kind kind)
{
    flush_text(p);
    add_part(p, kind, span);
}

wm_string *wm_string_end(wm_parser *p, wm_span span)
{
    flush_text(p);
    wm_string *string = wm_new(p->arena, wm_string, 1);
    string->span = span;
    string->parts = p->parts.first;
    return string;
}

wm_string *wm_make_string(wm_parser *p, wm_span span, wm_str text, bool raw)
{
    wm_string *string = wm_new(p->arena, wm_string, 1);
    string->span = span;
    string->raw = raw;
    if (text.len) {
        string->parts = wm_new(p->arena, wm_part, 1);
        string->parts->span = (wm_span){span.file, span.beg + 1, span.end - 1};
        string->parts->text = text;
    }
    return string;
}

/* NULL after a finding. */
wm_string *wm_no_holes(wm_parser *p, wm_string *string, const char *what)
{
    for (wm_part *part = string->parts; part; part = part->next)
        if (part->kind != WM_PART_TEXT) {
            wm_diag *d = wm_syntax(p, WM_E0114, part->span, "%s can have no holes", what);
            if (d)
                wm_diag_hint(p->unit, d, "a brace itself is written `\\{`, or the string in '...'");
            return NULL;
        }
    return string;
}

/* `02`: a width, which is all that an integer can be here. */
static bool is_width(wm_str text)
{
    return text.p[0] == '0' && (text.len == 2 || text.len == 3);
}

wm_format_kind wm_check_format(wm_parser *p, wm_span span)
{
    wm_str text = wm_text_at(p, span);
    if (is_width(text))
        return WM_FMT_WIDTH;
    if (wm_str_eq(text, WM_STR("a")))
        return WM_FMT_LOWER;
    if (wm_str_eq(text, WM_STR("A")))
        return WM_FMT_UPPER;
    wm_diag *d = wm_syntax(p, WM_E0207, span, "%s is not a format", wm_quote(p->unit, text));
    if (d)
        wm_diag_hint(p->unit, d,
                     "formats are a width such as `02`, `a` and `A` for a letter, `_`, `*` and `**`");
    return WM_FMT_NONE;
}

void wm_hole_width(wm_parser *p, wm_span format)
{
    wm_str text = wm_text_at(p, format);
    uint32_t width = 0;
    if (p->parts.last->format != WM_FMT_WIDTH)
        return;
    for (uint32_t i = 0; i < text.len; i++)
        width = width * 10 + (uint32_t)(text.p[i] - '0');
    p->parts.last->width = width;
}

/* ---- layouts ---- */

static wm_factor *make_factor(wm_parser *p, wm_factor_kind kind, wm_span span)
{
    wm_factor *factor = wm_new(p->arena, wm_factor, 1);
    factor->kind = kind;
    factor->span = span;
    return factor;
}

wm_factor *wm_make_axis(wm_parser *p, wm_factor_kind kind, wm_span span, wm_word *name)
{
    wm_factor *factor = make_factor(p, kind, span);
    factor->name = name;
    return factor;
}

wm_factor *wm_make_extent(wm_parser *p, wm_span span, int64_t value)
{
    wm_factor *factor = make_factor(p, WM_FA_NUMBER, span);
    factor->value = value;
    return factor;
}

wm_factor *wm_make_labels(wm_parser *p, wm_span span, wm_block *labels)
{
    if (!labels)
        wm_syntax(p, WM_E0206, span, "a set of labels can't be empty");
    wm_factor *factor = make_factor(p, WM_FA_LABELS, span);
    factor->blocks = labels;
    return factor;
}

wm_factor *wm_make_group(wm_parser *p, wm_span span, wm_block *blocks)
{
    if (!blocks)
        wm_syntax(p, WM_E0206, span, "a group can't be empty");
    bool plain = !blocks || (!blocks->next && !blocks->tag && !blocks->unnamed);
    wm_factor *factor = make_factor(p, plain ? WM_FA_GROUP : WM_FA_BLOCKS, span);
    if (!plain)
        factor->blocks = blocks;
    else if (blocks)
        factor->factors = blocks->factors;
    return factor;
}

wm_block *wm_make_block(wm_parser *p, wm_span span, wm_word *tag, wm_factor *factors, bool unnamed)
{
    wm_block *block = wm_new(p->arena, wm_block, 1);
    block->span = span;
    block->tag = tag;
    block->factors = factors;
    block->unnamed = unnamed;
    return block;
}

wm_layout *wm_make_layout(wm_parser *p, wm_span span, wm_factor *factors)
{
    wm_layout *layout = wm_new(p->arena, wm_layout, 1);
    layout->span = span;
    layout->factors = factors;
    return layout;
}

wm_shape *wm_make_shape(wm_parser *p, wm_span span, wm_shape_item *items)
{
    wm_shape *shape = wm_new(p->arena, wm_shape, 1);
    shape->span = span;
    shape->items = items;
    return shape;
}

wm_shape_item *wm_make_shape_item(wm_parser *p, wm_span span, wm_expr *expr)
{
    wm_shape_item *item = wm_new(p->arena, wm_shape_item, 1);
    item->span = span;
    item->expr = expr;
    return item;
}

/* ---- rules ---- */

wm_place *wm_make_place(wm_parser *p, wm_span span, wm_string *name, wm_layout *layout)
{
    wm_place *place = wm_new(p->arena, wm_place, 1);
    place->span = span;
    place->name = name;
    place->layout = layout;
    return place;
}

struct wm_oparg *wm_make_oparg(wm_parser *p, wm_span span, wm_const *constant, wm_string *string,
                               wm_shape *shape)
{
    struct wm_oparg *arg = wm_new(p->arena, struct wm_oparg, 1);
    arg->span = span;
    arg->constant = constant;
    arg->string = string;
    arg->shape = shape;
    return arg;
}

wm_valueop *wm_make_valueop(wm_parser *p, wm_span span, wm_word *tag, wm_word *name, struct wm_oparg *args)
{
    wm_valueop *op = wm_new(p->arena, wm_valueop, 1);
    op->span = span;
    op->tag = tag;
    op->name = name;
    op->args = args;
    return op;
}

wm_value *wm_make_value(wm_parser *p, wm_span span, wm_place *place)
{
    wm_value *value = wm_new(p->arena, wm_value, 1);
    value->kind = WM_VA_PLACE;
    value->span = span;
    value->place = place;
    return value;
}

wm_value *wm_make_arith(wm_parser *p, wm_op op, wm_span span, wm_span op_span, wm_value *a, wm_value *b)
{
    wm_value *value = wm_new(p->arena, wm_value, 1);
    value->kind = WM_VA_BINARY;
    value->span = span;
    value->op = op;
    value->op_span = op_span;
    value->depth = (a->depth > b->depth ? a->depth : b->depth) + 1;
    if (value->depth > WM_MAX_DEPTH) {
        if (!p->stopped)
            too_deep(p, span);
        return b; /* a shallow one in its place; nothing will be made of it */
    }
    value->a = a;
    value->b = b;
    return value;
}

/* Operations bind to what stands in parentheses, too: ("a" | neg) | exp has two on one value. */
wm_value *wm_with_ops(wm_parser *p, wm_span span, wm_value *value, wm_valueop *ops)
{
    (void)p;
    value->span = span;
    if (!value->ops) {
        value->ops = ops;
        return value;
    }
    wm_valueop *last = value->ops;
    while (last->next)
        last = last->next;
    last->next = ops;
    return value;
}

wm_operand *wm_make_source(wm_parser *p, wm_span span, wm_word *tag, wm_value *value)
{
    wm_operand *operand = wm_new(p->arena, wm_operand, 1);
    operand->span = span;
    operand->tag = tag;
    operand->value = value;
    return operand;
}

wm_operand *wm_make_target(wm_parser *p, wm_span span, wm_word *tag, wm_place *place)
{
    wm_operand *operand = wm_new(p->arena, wm_operand, 1);
    operand->span = span;
    operand->tag = tag;
    operand->place = place;
    return operand;
}

wm_binding *wm_make_binding(wm_parser *p, wm_span span, wm_word *names, wm_expr *expr, wm_word *other)
{
    wm_binding *binding = wm_new(p->arena, wm_binding, 1);
    binding->span = span;
    binding->names = names;
    binding->expr = expr;
    binding->other = other;
    return binding;
}

wm_verb *wm_make_verb(wm_parser *p, wm_verb_kind kind, wm_span span, struct wm_verb_dim *dims)
{
    wm_verb *verb = wm_new(p->arena, wm_verb, 1);
    verb->kind = kind;
    verb->span = span;
    verb->dims = dims;
    return verb;
}

struct wm_verb_dim *wm_make_dim(wm_parser *p, wm_span span, int64_t value)
{
    struct wm_verb_dim *dim = wm_new(p->arena, struct wm_verb_dim, 1);
    dim->span = span;
    dim->value = value;
    return dim;
}

wm_rule *wm_make_rule(wm_parser *p, wm_span span, wm_span arrow, wm_operand *left, wm_operand *right,
                      wm_binding *where)
{
    wm_rule *rule = wm_new(p->arena, wm_rule, 1);
    rule->span = span;
    rule->arrow = arrow;
    rule->left = left;
    rule->right = right;
    rule->where = where;
    return rule;
}

/* ---- statements and items ---- */

wm_call *wm_make_call(wm_parser *p, wm_span span, wm_qname *name, wm_arg *args)
{
    wm_call *call = wm_new(p->arena, wm_call, 1);
    call->span = span;
    call->name = name;
    call->args = args;
    return call;
}

wm_arg *wm_make_arg(wm_parser *p, wm_word *name, wm_expr *value)
{
    wm_arg *arg = wm_new(p->arena, wm_arg, 1);
    arg->name = name;
    arg->value = value;
    return arg;
}

wm_param *wm_make_param(wm_parser *p, wm_word *name, wm_expr *value)
{
    wm_param *param = wm_new(p->arena, wm_param, 1);
    param->name = name;
    param->value = value;
    return param;
}

struct wm_string_list *wm_make_string_item(wm_parser *p, wm_string *string)
{
    struct wm_string_list *item = wm_new(p->arena, struct wm_string_list, 1);
    item->string = string;
    return item;
}

wm_stmt *wm_make_stmt(wm_parser *p, wm_stmt_kind kind, wm_span span)
{
    wm_stmt *stmt = wm_new(p->arena, wm_stmt, 1);
    stmt->kind = kind;
    stmt->span = span;
    if (kind != WM_ST_RULE)
        stmt->of = wm_new(p->arena, wm_stmt_of, 1);
    return stmt;
}

wm_stmt *wm_sound(wm_parser *p, wm_stmt *stmt)
{
    if (!stmt || stmt->kind == WM_ST_FOR || stmt->kind == WM_ST_IF || stmt->kind == WM_ST_FORWARD ||
        stmt->kind == WM_ST_REVERSE)
        return stmt;
    for (size_t i = 0; i < sizeof p->reported / sizeof *p->reported; i++) {
        wm_span at = p->reported[i];
        if (at.file == stmt->span.file && at.beg >= stmt->span.beg && at.beg < stmt->span.end)
            return NULL;
    }
    return stmt;
}

wm_stmt *wm_make_fill(wm_parser *p, wm_span span, wm_const *constant, wm_operand *targets, wm_string *like,
                      wm_binding *where)
{
    wm_stmt *stmt = wm_make_stmt(p, WM_ST_FILL, span);
    stmt->of->constant = constant;
    stmt->of->right = targets;
    stmt->of->like = like;
    stmt->of->where = where;
    return stmt;
}

wm_stmt *wm_make_drop(wm_parser *p, wm_stmt_kind kind, wm_span span, struct wm_string_list *strings,
                      wm_const *constant)
{
    wm_stmt *stmt = wm_make_stmt(p, kind, span);
    stmt->of->strings = strings;
    stmt->of->constant = constant;
    return stmt;
}

wm_stmt *wm_make_cast(wm_parser *p, wm_span span, wm_word *from, wm_word *to, wm_word *policy)
{
    wm_stmt *stmt = wm_make_stmt(p, WM_ST_CAST, span);
    stmt->of->from = from;
    stmt->of->to = to;
    stmt->of->policy = policy;
    return stmt;
}

wm_stmt *wm_make_range(wm_parser *p, wm_span span, wm_word *words, wm_expr *first, wm_expr *last)
{
    wm_stmt *stmt = wm_make_stmt(p, WM_ST_FOR, span);
    stmt->of->words = words;
    stmt->of->expr = first;
    stmt->of->expr2 = last;
    return stmt;
}

wm_stmt *wm_make_if_stmt(wm_parser *p, wm_span span, wm_expr *condition, wm_stmt *body, wm_stmt *otherwise)
{
    wm_stmt *stmt = wm_make_stmt(p, WM_ST_IF, span);
    stmt->of->expr = condition;
    stmt->of->body = body;
    stmt->of->otherwise = otherwise;
    return stmt;
}

wm_item *wm_make_item(wm_parser *p, wm_item_kind kind, wm_span span)
{
    wm_item *item = wm_new(p->arena, wm_item, 1);
    item->kind = kind;
    item->span = span;
    return item;
}

wm_item *wm_make_map(wm_parser *p, wm_span span, wm_word *name, wm_param *params, wm_call *from, wm_call *to,
                     wm_stmt *body)
{
    wm_item *item = wm_make_item(p, WM_IT_MAP, span);
    item->name = name;
    item->params = params;
    item->has_params = params != NULL;
    item->from = from;
    item->to = to;
    item->body = body;
    return item;
}

void wm_add_items(wm_parser *p, wm_item *first, wm_item *last)
{
    if (!first)
        return;
    if (p->last_item)
        p->last_item->next = first;
    else
        p->ast->items = first;
    p->last_item = last;
}

void wm_check_version(wm_parser *p, wm_span span, int64_t version)
{
    p->ast->version = version;
    if (version == 1)
        return;
    wm_diag *d =
        wm_syntax(p, WM_E0112, span, "version %lld of the language is not supported", (long long)version);
    if (d)
        wm_diag_hint(p->unit, d, "this compiler knows version 1");
    p->stopped = true;
}

void wm_not_yet(wm_parser *p, wm_span span, const char *what)
{
    wm_syntax(p, WM_E0199, span, "%s is not supported yet", what);
}
