/* ast_print.c: the tree as text, one node a line (explain --stage ast). */
#include <stdio.h>

#include "compiler/parse.h"

typedef struct printer {
    FILE *out;
    int depth;
} printer;

static void node(printer *p, const char *kind, wm_str text)
{
    fprintf(p->out, "%*s%s", 2 * p->depth, "", kind);
    if (text.len)
        fprintf(p->out, " %.*s", (int)text.len, text.p);
    fputc('\n', p->out);
}

static const wm_str none = {"", 0};

static void print_expr(printer *p, const wm_expr *e);
static void print_stmts(printer *p, const char *kind, const wm_stmt *s);

static void print_words(printer *p, const char *kind, const wm_word *w)
{
    for (; w; w = w->next)
        node(p, kind, w->text);
}

static void print_qname(printer *p, const char *kind, const wm_qname *q)
{
    fprintf(p->out, "%*s%s ", 2 * p->depth, "", kind);
    for (const wm_word *w = q ? q->parts : NULL; w; w = w->next)
        fprintf(p->out, "%.*s%s", (int)w->text.len, w->text.p, w->next ? "." : "");
    fputc('\n', p->out);
}

static void print_string(printer *p, const char *kind, const wm_string *s)
{
    static const char *parts[] = {"text", "hole", "equal", "{*}", "{**}"};
    static const char *formats[] = {"", "width", ":a", ":A", ":_", ":*", ":**"};
    if (!s)
        return;
    node(p, kind, none);
    p->depth++;
    for (const wm_part *part = s->parts; part; part = part->next) {
        fprintf(p->out, "%*s%s %.*s%s\n", 2 * p->depth, "", parts[part->kind], (int)part->text.len,
                part->text.p ? part->text.p : "", formats[part->format]);
        p->depth++;
        print_expr(p, part->expr);
        print_words(p, "name", part->word);
        p->depth--;
    }
    p->depth--;
}

static void print_expr(printer *p, const wm_expr *e)
{
    static const char *kinds[] = {"int",  "float", "bool",  "string", "has", "name",   "call",
                                  "list", "index", "minus", "not",    "",    "if-then", "_"};
    static const char *ops[] = {"or", "and", "==", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/", "//", "%"};
    if (!e)
        return;
    fprintf(p->out, "%*s%s", 2 * p->depth, "", e->kind == WM_EX_BINARY ? ops[e->op] : kinds[e->kind]);
    if (e->kind == WM_EX_INT || e->kind == WM_EX_BOOL)
        fprintf(p->out, " %lld", (long long)e->i);
    if (e->kind == WM_EX_FLOAT)
        fprintf(p->out, " %.17g", e->f);
    fputc('\n', p->out);
    p->depth++;
    if (e->name)
        print_qname(p, "name", e->name);
    print_string(p, "text", e->string);
    print_expr(p, e->a);
    print_expr(p, e->b);
    print_expr(p, e->c);
    for (const wm_expr *a = e->args; a; a = a->next)
        print_expr(p, a);
    p->depth--;
}

static void print_factors(printer *p, const wm_factor *f)
{
    static const char *kinds[] = {"axis", "reversed", "equal", "extent", "labels", "group", "blocks", "..."};
    for (; f; f = f->next) {
        node(p, kinds[f->kind], f->name ? f->name->text : none);
        p->depth++;
        print_factors(p, f->factors);
        for (const wm_block *b = f->blocks; b; b = b->next) {
            node(p, b->unnamed ? "_" : "block", b->tag ? b->tag->text : none);
            p->depth++;
            print_factors(p, b->factors);
            p->depth--;
        }
        p->depth--;
    }
}

static void print_shape(printer *p, const wm_shape *s)
{
    if (!s)
        return;
    node(p, "shape", none);
    p->depth++;
    for (const wm_shape_item *i = s->items; i; i = i->next)
        print_expr(p, i->expr);
    p->depth--;
}

static void print_place(printer *p, const wm_place *place)
{
    if (!place)
        return;
    node(p, place->optional ? "optional place" : "place", none);
    p->depth++;
    print_string(p, "name", place->name);
    if (place->layout) {
        node(p, "layout", none);
        p->depth++;
        print_factors(p, place->layout->factors);
        p->depth--;
    }
    if (place->otherwise) {
        node(p, "else", none);
        p->depth++;
        print_expr(p, place->otherwise);
        p->depth--;
    }
    p->depth--;
}

static void print_value(printer *p, const wm_value *v)
{
    static const char *ops[] = {"+", "-", "*", "/"};
    if (!v)
        return;
    if (v->kind == WM_VA_PLACE) {
        print_place(p, v->place);
    } else {
        node(p, ops[v->op - WM_OP_ADD], none);
        p->depth++;
        print_value(p, v->a);
        print_value(p, v->b);
        p->depth--;
    }
    for (const wm_valueop *o = v->ops; o; o = o->next) {
        node(p, "|", o->name ? o->name->text : none);
        p->depth++;
        print_words(p, "tag", o->tag);
        for (const struct wm_oparg *a = o->args; a; a = a->next) {
            print_expr(p, a->constant);
            print_string(p, "string", a->string);
            print_shape(p, a->shape);
        }
        p->depth--;
    }
}

static void print_operands(printer *p, const char *kind, const wm_operand *o)
{
    for (; o; o = o->next) {
        node(p, kind, o->tag ? o->tag->text : none);
        p->depth++;
        print_value(p, o->value);
        print_place(p, o->place);
        print_words(p, "dtype", o->dtype);
        print_shape(p, o->shape);
        p->depth--;
    }
}

static void print_bindings(printer *p, const char *kind, const wm_binding *b)
{
    for (; b; b = b->next) {
        node(p, kind, none);
        p->depth++;
        print_words(p, "name", b->names);
        print_expr(p, b->expr);
        print_words(p, "same as", b->other);
        p->depth--;
    }
}

static void print_rule(printer *p, const wm_rule *r)
{
    static const char *verbs[] = {"rename", "permute", "flip", "split", "merge"};
    if (!r)
        return;
    if (r->optional)
        node(p, "optional", none);
    if (r->equal)
        node(p, "equal", none);
    for (const wm_verb *v = r->verbs; v; v = v->next) {
        fprintf(p->out, "%*s%s", 2 * p->depth, "", verbs[v->kind]);
        for (const struct wm_verb_dim *d = v->dims; d; d = d->next)
            fprintf(p->out, " %lld", (long long)d->value);
        fputc('\n', p->out);
    }
    print_operands(p, "source", r->left);
    print_operands(p, "target", r->right);
    print_bindings(p, "where", r->where);
}

static void print_call(printer *p, const char *kind, const wm_call *c)
{
    for (; c; c = c->next) {
        print_qname(p, kind, c->name);
        p->depth++;
        for (const wm_arg *a = c->args; a; a = a->next) {
            node(p, "argument", a->name ? a->name->text : none);
            p->depth++;
            print_expr(p, a->value);
            p->depth--;
        }
        p->depth--;
    }
}

static void print_stmts(printer *p, const char *kind, const wm_stmt *s)
{
    static const char *kinds[] = {"rule",   "fill", "drop", "drop meta", "meta",    "keep rest", "use", "error",
                                  "derive", "cast", "axis", "forward",   "reverse", "for",       "if",  "tensor"};
    if (kind && s)
        node(p, kind, none);
    for (; s; s = s->next) {
        node(p, kinds[s->kind], none);
        p->depth++;
        print_rule(p, s->rule);
        print_expr(p, s->constant);
        print_operands(p, "target", s->right);
        print_string(p, "string", s->string);
        print_string(p, "text", s->string2);
        print_string(p, "like", s->like);
        for (const struct wm_string_list *l = s->strings; l; l = l->next)
            print_string(p, "string", l->string);
        print_bindings(p, s->kind == WM_ST_AXIS ? "axis" : "where", s->where);
        print_call(p, "call", s->call);
        print_words(p, "word", s->words);
        print_words(p, "from", s->from);
        print_words(p, "to", s->to);
        print_words(p, "policy", s->policy);
        print_words(p, "dtype", s->dtype);
        print_shape(p, s->shape);
        print_expr(p, s->expr);
        print_expr(p, s->expr2);
        print_stmts(p, NULL, s->body);
        print_stmts(p, "else", s->otherwise);
        p->depth--;
    }
}

void wm_ast_print(const wm_ast *ast, FILE *out)
{
    static const char *kinds[] = {"import", "param", "table", "model", "map", "test", "hub"};
    printer p = {out, 0};
    for (const wm_item *i = ast->items; i; i = i->next) {
        node(&p, kinds[i->kind], i->name ? i->name->text : none);
        p.depth++;
        if (i->qname)
            print_qname(&p, "name", i->qname);
        print_string(&p, "string", i->string);
        print_expr(&p, i->expr);
        for (const wm_param *a = i->params; a; a = a->next) {
            node(&p, "parameter", a->name ? a->name->text : none);
            p.depth++;
            print_expr(&p, a->value);
            p.depth--;
        }
        print_call(&p, "from", i->from);
        print_call(&p, "to", i->to);
        print_call(&p, "chain", i->chain);
        print_stmts(&p, NULL, i->body);
        p.depth--;
    }
    print_stmts(&p, NULL, ast->rules);
}
