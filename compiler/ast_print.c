/* ast_print.c: the tree as text, one node a line, children indented (explain --stage ast). Spans are left
 * out: they change with every blank, the tree doesn't. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "compiler/ast_hub.h"
#include "compiler/parse.h"

typedef struct printer {
    FILE *out;
    int level;
} printer;

__attribute__((format(printf, 2, 3))) static void line(const printer *p, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(p->out, "%*s", 2 * p->level, "");
    vfprintf(p->out, format, args);
    fputc('\n', p->out);
    va_end(args);
}

/* A name and texts as a line's end. */
static void put(const printer *p, wm_str text)
{
    for (uint32_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c < 0x20 || c == 0x7F || c == '\\')
            fprintf(p->out, "\\x%02x", c);
        else
            fputc(c, p->out);
    }
}

static void start(const printer *p, const char *what)
{
    fprintf(p->out, "%*s%s", 2 * p->level, "", what);
}

static void words(const printer *p, const wm_word *word)
{
    for (; word; word = word->next) {
        fputc(' ', p->out);
        put(p, word->text);
    }
}

static void qname(const printer *p, const wm_qname *name)
{
    for (const wm_word *word = name->parts; word; word = word->next) {
        fputc(word == name->parts ? ' ' : '.', p->out);
        put(p, word->text);
    }
}

static void word_line(const printer *p, const char *what, const wm_word *word)
{
    if (!word)
        return;
    start(p, what);
    words(p, word);
    fputc('\n', p->out);
}

/* ---- expressions and strings ---- */

static void print_expr(printer *p, const wm_expr *expr);
static void print_args(printer *p, const wm_arg *arg);

static const char *op_text(wm_op op)
{
    static const char *const texts[] = {"or", "and", "==", "!=", "<", "<=", ">",
                                        ">=", "+",   "-",  "*",  "/", "//", "%"};
    return texts[op];
}

static void print_format(const printer *p, const wm_part *part)
{
    static const char *const formats[] = {"", "", " :a", " :A", " :_", " :*", " :**"};
    if (part->format == WM_FMT_WIDTH)
        fprintf(p->out, " :0%" PRIu32, part->width);
    else
        fputs(formats[part->format], p->out);
    fputc('\n', p->out);
}

static void print_part(printer *p, const wm_part *part)
{
    switch (part->kind) {
    case WM_PART_TEXT:
        start(p, "text `");
        put(p, part->text);
        fputs("`\n", p->out);
        break;
    case WM_PART_HOLE:
        start(p, "hole");
        print_format(p, part);
        p->level++;
        print_expr(p, part->expr);
        p->level--;
        break;
    case WM_PART_EQ:
        start(p, "equal");
        words(p, part->word);
        print_format(p, part);
        break;
    case WM_PART_STAR:
        line(p, "star");
        break;
    case WM_PART_STARSTAR:
        line(p, "starstar");
        break;
    }
}

static void print_string(printer *p, const char *what, const wm_string *string)
{
    if (!string)
        return;
    line(p, "%s%s", what, string->raw ? " raw" : "");
    p->level++;
    for (const wm_part *part = string->parts; part; part = part->next)
        print_part(p, part);
    p->level--;
}

static void print_children(printer *p, const wm_expr *expr)
{
    p->level++;
    const wm_expr *operands[] = {expr->a, expr->b, expr->c};
    for (int i = 0; i < 3; i++)
        if (operands[i])
            print_expr(p, operands[i]);
    for (const wm_expr *arg = expr->args; arg; arg = arg->next)
        print_expr(p, arg);
    p->level--;
}

static void print_expr(printer *p, const wm_expr *expr)
{
    switch (expr->kind) {
    case WM_EX_INT:
        line(p, "int %" PRId64, expr->i);
        break;
    case WM_EX_FLOAT:
        line(p, "float %.17g", expr->f);
        break;
    case WM_EX_BOOL:
        line(p, "%s", expr->i ? "true" : "false");
        break;
    case WM_EX_STRING:
        print_string(p, "string", expr->string);
        break;
    case WM_EX_HAS:
        print_string(p, "has", expr->string);
        break;
    case WM_EX_NAME:
    case WM_EX_CALL:
        start(p, expr->kind == WM_EX_NAME ? "name" : "call");
        qname(p, expr->name);
        fputc('\n', p->out);
        break;
    case WM_EX_LIST:
        line(p, "list");
        break;
    case WM_EX_INDEX:
        line(p, "index");
        break;
    case WM_EX_NEG:
        line(p, "neg");
        break;
    case WM_EX_NOT:
        line(p, "not");
        break;
    case WM_EX_BINARY:
        line(p, "binary %s", op_text(expr->op));
        break;
    case WM_EX_IF:
        line(p, "if");
        break;
    case WM_EX_ANY:
        line(p, "any");
        break;
    case WM_EX_NAMED:
        start(p, "named");
        qname(p, expr->name);
        fputc('\n', p->out);
        print_args(p, expr->named);
        return;
    }
    print_children(p, expr);
}

static void print_below(printer *p, const char *what, const wm_expr *expr)
{
    if (!expr)
        return;
    line(p, "%s", what);
    p->level++;
    print_expr(p, expr);
    p->level--;
}

/* ---- layouts ---- */

static void print_factors(printer *p, const wm_factor *factor);

static void print_block(printer *p, const wm_block *block)
{
    start(p, block->unnamed ? "block _" : "block");
    words(p, block->tag);
    fputc('\n', p->out);
    p->level++;
    print_factors(p, block->factors);
    p->level--;
}

static void print_factor(printer *p, const wm_factor *factor)
{
    static const char *const kinds[] = {"axis",   "reversed", "equal",  "number",
                                        "labels", "group",    "blocks", "dots"};
    if (factor->kind == WM_FA_NUMBER) {
        line(p, "number %" PRId64, factor->value);
        return;
    }
    start(p, kinds[factor->kind]);
    words(p, wm_names_axis(factor) ? factor->name : NULL);
    fputc('\n', p->out);
    p->level++;
    print_factors(p, factor->kind == WM_FA_GROUP ? factor->factors : NULL);
    for (const wm_block *block = wm_has_blocks(factor) ? factor->blocks : NULL; block; block = block->next)
        print_block(p, block);
    p->level--;
}

static void print_factors(printer *p, const wm_factor *factor)
{
    for (; factor; factor = factor->next)
        print_factor(p, factor);
}

static void print_layout(printer *p, const wm_layout *layout)
{
    if (!layout)
        return;
    line(p, "layout");
    p->level++;
    print_factors(p, layout->factors);
    p->level--;
}

static void print_shape(printer *p, const wm_shape *shape)
{
    if (!shape)
        return;
    line(p, "shape");
    p->level++;
    for (const wm_shape_item *item = shape->items; item; item = item->next)
        print_expr(p, item->expr);
    p->level--;
}

/* ---- rules ---- */

static void print_place(printer *p, const wm_place *place)
{
    line(p, "place%s", place->optional ? " optional" : "");
    p->level++;
    print_string(p, "string", place->name);
    print_layout(p, place->layout);
    print_below(p, "else", place->otherwise);
    p->level--;
}

static void print_op(printer *p, const wm_valueop *op)
{
    start(p, "op");
    words(p, op->name);
    if (op->tag) {
        fputs(" for", p->out);
        words(p, op->tag);
    }
    fputc('\n', p->out);
    p->level++;
    for (const struct wm_oparg *arg = op->args; arg; arg = arg->next) {
        if (arg->constant)
            print_expr(p, arg->constant);
        print_string(p, "string", arg->string);
        print_shape(p, arg->shape);
    }
    p->level--;
}

static void print_value(printer *p, const wm_value *value)
{
    if (value->kind == WM_VA_PLACE) {
        print_place(p, value->place);
    } else {
        line(p, "arithmetic %s", op_text(value->op));
        p->level++;
        print_value(p, value->a);
        print_value(p, value->b);
        p->level--;
    }
    p->level++;
    for (const wm_valueop *op = value->ops; op; op = op->next)
        print_op(p, op);
    p->level--;
}

static void print_operands(printer *p, const char *what, const wm_operand *operand)
{
    for (; operand; operand = operand->next) {
        start(p, what);
        words(p, operand->tag);
        fputc('\n', p->out);
        p->level++;
        if (operand->value)
            print_value(p, operand->value);
        if (operand->place)
            print_place(p, operand->place);
        word_line(p, "dtype", operand->dtype);
        print_shape(p, operand->shape);
        p->level--;
    }
}

static void print_bindings(printer *p, const wm_binding *binding)
{
    for (; binding; binding = binding->next) {
        start(p, "binding");
        words(p, binding->names);
        if (binding->other) {
            fputs(" =", p->out);
            words(p, binding->other);
        }
        fputc('\n', p->out);
        p->level++;
        if (binding->expr)
            print_expr(p, binding->expr);
        p->level--;
    }
}

static void print_verb(printer *p, const wm_verb *verb)
{
    static const char *const kinds[] = {"rename", "permute", "flip", "split", "merge"};
    start(p, kinds[verb->kind]);
    for (const struct wm_verb_dim *dim = verb->dims; dim; dim = dim->next)
        fprintf(p->out, " %" PRId64, dim->value);
    fputc('\n', p->out);
}

static void print_rule(printer *p, const wm_rule *rule)
{
    line(p, "rule%s%s", rule->optional ? " optional" : "", rule->equal ? " equal" : "");
    p->level++;
    for (const wm_verb *verb = rule->verbs; verb; verb = verb->next)
        print_verb(p, verb);
    print_operands(p, "source", rule->left);
    print_operands(p, "target", rule->right);
    print_bindings(p, rule->where);
    p->level--;
}

/* ---- statements and items ---- */

static void print_args(printer *p, const wm_arg *arg)
{
    for (; arg; arg = arg->next) {
        word_line(p, "argument", arg->name);
        p->level++;
        print_expr(p, arg->value);
        p->level--;
    }
}

static void print_calls(printer *p, const char *what, const wm_call *call)
{
    for (; call; call = call->next) {
        start(p, what);
        qname(p, call->name);
        fputc('\n', p->out);
        p->level++;
        print_args(p, call->args);
        p->level--;
    }
}

static void print_stmts(printer *p, const wm_stmt *stmt);

static void print_body(printer *p, const char *what, const wm_stmt *body)
{
    if (!body)
        return;
    line(p, "%s", what);
    p->level++;
    print_stmts(p, body);
    p->level--;
}

/* ---- the hub ---- */

static void print_refs(const printer *p, const wm_ref *ref)
{
    for (const wm_ref *r = ref; r; r = r->next) {
        fputc(r == ref ? ' ' : '.', p->out);
        put(p, r->name->text);
        for (const wm_index *i = r->indices; i; i = i->next) {
            fputc(i == r->indices ? '[' : ',', p->out);
            if (i->word)
                put(p, i->word->text);
            else
                fprintf(p->out, "%" PRId64, i->number->i);
            if (i->compared)
                fprintf(p->out, " %s ...", op_text(i->op));
        }
        fputs(r->indices ? "]" : "", p->out);
    }
}

static void refs_line(printer *p, const char *what, const wm_word *tag, const wm_ref *ref)
{
    if (!ref)
        return;
    start(p, what);
    words(p, tag);
    if (tag)
        fputc(':', p->out);
    print_refs(p, ref);
    fputc('\n', p->out);
    p->level++;
    for (const wm_ref *r = ref; r; r = r->next)
        for (const wm_index *i = r->indices; i; i = i->next)
            if (i->expr)
                print_expr(p, i->expr);
    p->level--;
}

static void print_hplace(printer *p, const wm_hplace *place)
{
    start(p, place->optional ? "place optional" : "place");
    words(p, place->tag);
    fputc('\n', p->out);
    p->level++;
    print_string(p, "string", place->name);
    if (place->layout)
        print_layout(p, place->layout);
    print_below(p, "else", place->otherwise);
    for (const wm_valueop *op = place->ops; op; op = op->next)
        print_op(p, op);
    p->level--;
}

static void print_hub(printer *p, const struct wm_hub_stmt *hub)
{
    static const char *const kinds[] = {"array", "fold", "name",   "format", "flatten", "all",
                                        "meta",  "kind", "place",  "order",  "without", "member",
                                        "let",   "part", "ignore", "fill"};
    line(p, "%s%s", hub->buffer ? "buffer " : "", kinds[hub->kind]);
    p->level++;
    word_line(p, "name", hub->name);
    for (const wm_hub_name *m = hub->members; m; m = m->next) {
        start(p, "member");
        fputc(' ', p->out);
        put(p, m->name->text);
        fputc('\n', p->out);
        p->level++;
        for (const wm_expr *e = m->indices; e; e = e->next)
            print_expr(p, e);
        p->level--;
    }
    if (hub->qname) {
        start(p, "format");
        qname(p, hub->qname);
        fputc('\n', p->out);
    }
    word_line(p, "words", hub->words);
    print_string(p, "string", hub->string);
    print_string(p, "string", hub->string2);
    for (const struct wm_string_list *s = hub->strings ? hub->strings->next : NULL; s; s = s->next)
        print_string(p, "string", s->string);
    if (hub->layout)
        print_layout(p, hub->layout);
    word_line(p, "dtype", hub->dtype);
    if (hub->shape)
        print_shape(p, hub->shape);
    print_below(p, "constant", hub->constant);
    refs_line(p, "first", NULL, hub->first);
    refs_line(p, hub->op == WM_OP_SUB ? "minus" : "plus", NULL, hub->third);
    refs_line(p, "second", NULL, hub->second);
    for (const wm_owner *o = hub->owners; o; o = o->next)
        refs_line(p, "owner", o->tag, o->ref);
    for (const wm_hplace *h = hub->places; h; h = h->next)
        print_hplace(p, h);
    print_bindings(p, hub->where);
    print_calls(p, "from", hub->from);
    print_args(p, hub->args);
    for (const wm_presence *w = hub->presence; w; w = w->next)
        word_line(p, w->with ? "with" : "without", w->words);
    if (hub->expr)
        print_expr(p, hub->expr);
    print_body(p, "body", hub->body);
    p->level--;
}

static void print_stmt(printer *p, const wm_stmt *stmt)
{
    static const char *const kinds[] = {"rule",    "fill",  "drop",   "drop meta", "meta", "keep rest",
                                        "use",     "error", "derive", "cast",      "axis", "forward",
                                        "reverse", "for",   "if",     "tensor",    "hub"};
    if (stmt->kind == WM_ST_RULE) {
        print_rule(p, stmt->rule);
        return;
    }
    line(p, "%s", kinds[stmt->kind]);
    p->level++;
    print_below(p, "constant", stmt->of->constant);
    print_string(p, "string", stmt->of->string);
    print_string(p, "string", stmt->of->string2);
    for (const struct wm_string_list *item = stmt->of->strings; item; item = item->next)
        print_string(p, "string", item->string);
    word_line(p, "dtype", stmt->of->dtype);
    print_shape(p, stmt->of->shape);
    print_operands(p, "target", stmt->of->right);
    print_string(p, "like", stmt->of->like);
    print_bindings(p, stmt->of->where);
    print_calls(p, "call", stmt->of->call);
    word_line(p, "words", stmt->of->words);
    word_line(p, "from", stmt->of->from);
    word_line(p, "to", stmt->of->to);
    word_line(p, "policy", stmt->of->policy);
    if (stmt->of->expr)
        print_expr(p, stmt->of->expr);
    if (stmt->of->expr2)
        print_expr(p, stmt->of->expr2);
    if (stmt->of->hub)
        print_hub(p, stmt->of->hub);
    print_body(p, "body", stmt->of->body);
    print_body(p, "else", stmt->of->otherwise);
    p->level--;
}

static void print_stmts(printer *p, const wm_stmt *stmt)
{
    for (; stmt; stmt = stmt->next)
        print_stmt(p, stmt);
}

static void print_literal(printer *p, const wm_literal *literal)
{
    static const char *const kinds[] = {"values", "iota", "random"};
    if (!literal)
        return;
    start(p, kinds[literal->kind]);
    words(p, literal->dtype);
    fputs(" [", p->out);
    for (uint32_t d = 0; d < literal->rank; d++)
        fprintf(p->out, "%s%" PRIu64, d ? " " : "", literal->shape[d]);
    fputs("]", p->out);
    if (literal->kind == WM_LI_RANDOM)
        fprintf(p->out, " seed %" PRId64, literal->seed);
    for (uint64_t i = 0; literal->elements && i < literal->count; i++) {
        const wm_element *e = &literal->elements[i];
        if (e->kind == WM_EL_INT)
            fprintf(p->out, " %" PRId64, e->i);
        else if (e->kind == WM_EL_FLOAT)
            fprintf(p->out, " %.17g", e->f);
        else
            fputs(e->i ? " true" : " false", p->out);
    }
    fputc('\n', p->out);
}

static void print_tests(printer *p, const wm_test_stmt *stmt)
{
    static const char *const kinds[] = {"given", "expect", "expect error", "expect reverse", "tolerance"};
    for (; stmt; stmt = stmt->next) {
        start(p, kinds[stmt->kind]);
        words(p, stmt->word);
        fputc('\n', p->out);
        p->level++;
        print_string(p, "string", stmt->string);
        print_literal(p, stmt->literal);
        print_below(p, "constant", stmt->constant);
        p->level--;
    }
}

static void print_item(printer *p, const wm_item *item)
{
    static const char *const kinds[] = {"import", "param", "table",   "model", "map",
                                        "test",   "layer", "dialect", "block", "architecture"};
    start(p, kinds[item->kind]);
    words(p, item->name);
    if (item->qname)
        qname(p, item->qname);
    fputc('\n', p->out);
    p->level++;
    print_string(p, "string", item->string);
    if (item->expr)
        print_expr(p, item->expr);
    for (const wm_param *param = item->params; param; param = param->next) {
        word_line(p, "parameter", param->name);
        p->level++;
        if (param->value)
            print_expr(p, param->value);
        p->level--;
    }
    print_calls(p, "dialect", item->dialect);
    print_calls(p, "from", item->from);
    print_calls(p, "to", item->to);
    print_calls(p, "part", item->chain);
    print_calls(p, "of", item->of);
    print_tests(p, item->tests);
    print_stmts(p, item->body);
    p->level--;
}

void wm_ast_print(const wm_ast *ast, FILE *out)
{
    printer p = {out, 0};
    if (ast->version)
        line(&p, "wmap %" PRId64, ast->version);
    for (const wm_item *item = ast->items; item; item = item->next)
        print_item(&p, item);
    print_stmts(&p, ast->rules);
}
