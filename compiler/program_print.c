/* program_print.c: the statements form as text, for `explain --stage statements`: one line a statement, loops
 * unrolled, verbs as layouts. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "compiler/resolve.h"
#include "runtime/base/text.h"

typedef struct printer {
    wm_unit *unit;
    FILE *out;
} printer;

/* A piece of the text, its white space as single blanks. */
static void print_span(const printer *p, wm_span span)
{
    if (span.file >= p->unit->source_count || span.end > p->unit->sources[span.file]->size ||
        span.beg > span.end)
        return;
    const char *text = p->unit->sources[span.file]->text;
    bool blank = false;
    for (uint32_t i = span.beg; i < span.end; i++) {
        bool white = text[i] == ' ' || text[i] == '\t' || text[i] == '\n' || text[i] == '\r';
        if (!white && blank)
            fputc(' ', p->out);
        if (!white)
            fputc(text[i], p->out);
        blank = white && i > span.beg;
    }
}

static void print_text(const printer *p, wm_str text)
{
    size_t size = (size_t)text.len * 8 + 64; /* no byte takes more */
    char *shown = wm_alloc(p->unit->arena, size);
    fputs(wm_show(shown, size, text.p, text.len), p->out);
}

static void print_pattern(const printer *p, const wm_pattern *pattern)
{
    fputc('"', p->out);
    for (uint32_t h = 0; h < pattern->count; h++) {
        const wm_hole *hole = &pattern->holes[h];
        if (hole->kind == WM_HOLE_TEXT)
            print_text(p, hole->text);
        else
            print_span(p, hole->span);
    }
    fputc('"', p->out);
}

static void print_factors(const printer *p, const wm_factor *factors);

static void print_blocks(const printer *p, const wm_factor *f)
{
    bool labels = f->kind == WM_FA_LABELS;
    fputc(labels ? '{' : '(', p->out);
    for (const wm_block *b = f->blocks; b; b = b->next) {
        if (b != f->blocks)
            fputs(labels ? " " : " | ", p->out);
        if (b->unnamed)
            fputc('_', p->out);
        else if (b->tag)
            print_text(p, b->tag->text);
        if (b->factors && (b->unnamed || b->tag))
            fputs(": ", p->out);
        print_factors(p, b->factors);
    }
    fputc(labels ? '}' : ')', p->out);
}

static void print_factors(const printer *p, const wm_factor *factors)
{
    for (const wm_factor *f = factors; f; f = f->next) {
        if (f != factors)
            fputc(' ', p->out);
        switch (f->kind) {
        case WM_FA_AXIS:
        case WM_FA_REVERSED:
        case WM_FA_EQUAL:
            if (f->kind != WM_FA_AXIS)
                fputc(f->kind == WM_FA_REVERSED ? '-' : '=', p->out);
            print_text(p, f->name->text);
            break;
        case WM_FA_NUMBER:
            fprintf(p->out, "%" PRId64, f->value);
            break;
        case WM_FA_GROUP:
            fputc('(', p->out);
            print_factors(p, f->factors);
            fputc(')', p->out);
            break;
        case WM_FA_LABELS:
        case WM_FA_BLOCKS:
            print_blocks(p, f);
            break;
        case WM_FA_DOTS:
            fputs("...", p->out);
            break;
        }
    }
}

static const char *policy_text(enum wm_policy policy)
{
    return policy == WM_POLICY_SATURATE ? " saturate" : policy == WM_POLICY_ALLOW ? " allow" : "";
}

/* A constant as it is written, or, of an inverse, 2, -2 or 1/c. */
static void print_constant(const printer *p, const wm_expr *expr)
{
    if (expr->span.file == WM_NO_FILE) {
        fprintf(p->out, "%" PRId64, expr->i);
        return;
    }
    bool inverse = expr->kind == WM_EX_BINARY && expr->a->span.beg == expr->b->span.beg;
    const wm_source *source = p->unit->sources[expr->span.file];
    fputs(inverse ? "1/(" : "", p->out);
    print_text(p, (wm_str){source->text + expr->span.beg, expr->span.end - expr->span.beg});
    fputs(inverse ? ")" : "", p->out);
}

/* What is computed, in postfix order. */
static void print_steps(const printer *p, const wm_term *term, const wm_term *left)
{
    static const char *const names[] = {
        [WM_STEP_LOAD] = "load",      [WM_STEP_ADD] = "+",   [WM_STEP_SUB] = "-",
        [WM_STEP_MUL] = "*",          [WM_STEP_DIV] = "/",   [WM_STEP_NEG] = "neg",
        [WM_STEP_EXP] = "exp",        [WM_STEP_LOG] = "log", [WM_STEP_SQRT] = "sqrt",
        [WM_STEP_RSQRT] = "rsqrt",    [WM_STEP_POW] = "pow", [WM_STEP_CAST] = "cast",
        [WM_STEP_BITCAST] = "bitcast"};
    for (uint32_t k = 0; term->steps && k < term->steps->count; k++) {
        const wm_step *s = &term->steps->list[k];
        if (k == 0 && s->kind == WM_STEP_LOAD) /* the operand itself */
            continue;
        fputs(" | ", p->out);
        if (s->tag.len) {
            print_text(p, s->tag);
            fputs(": ", p->out);
        }
        fputs(names[s->kind], p->out);
        if (s->expr) {
            fputc(' ', p->out);
            print_constant(p, s->expr);
        } else if (s->kind == WM_STEP_LOAD) {
            fputc(' ', p->out);
            print_pattern(p, &left[s->term].name);
        } else if (s->kind == WM_STEP_CAST || s->kind == WM_STEP_BITCAST) {
            fprintf(p->out, " %s%s", s->cast.to == WMAP_DTYPE_NONE ? "back" : wmap_dtype_name(s->cast.to),
                    policy_text(s->cast.policy));
        }
    }
}

static void print_decoder(const printer *p, const wm_decoder *d)
{
    fputs(d->packed ? " | mxfp4 " : " | dequant ", p->out);
    print_pattern(p, &d->scales);
    for (uint32_t k = 0; k < d->block_count; k++)
        fprintf(p->out, "%s%" PRIu64 "%s", k ? " " : " [", d->block[k], k + 1 < d->block_count ? "" : "]");
}

static void print_term(const printer *p, const wm_term *term, const wm_term *all)
{
    if (term->tag.len) {
        print_text(p, term->tag);
        fputs(": ", p->out);
    }
    print_pattern(p, &term->name);
    if (term->layout_given) {
        fputs(" [", p->out);
        print_factors(p, term->layout->factors);
        fputc(']', p->out);
    }
    if (term->otherwise)
        fprintf(p->out, " else %s", wm_val_text(p->unit, &term->otherwise->value));
    if (term->optional)
        fputs(" optional", p->out);
    if (term->decoder)
        print_decoder(p, term->decoder);
    if (term->cast)
        fprintf(p->out, " | cast %s%s", wmap_dtype_name(term->cast->to), policy_text(term->cast->policy));
    print_steps(p, term, all);
    if (!term->declared)
        return;
    fprintf(p->out, " : %s [", wmap_dtype_name(term->declared->dtype));
    for (uint32_t d = 0; d < term->declared->rank; d++)
        fprintf(p->out, "%s%" PRIu64, d ? " " : "", term->declared->shape[d]);
    fputc(']', p->out);
}

static void print_terms(const printer *p, const wm_term *terms, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (terms[i].second) /* with its first place */
            continue;
        fputs(i ? ", " : "", p->out);
        print_term(p, &terms[i], terms);
    }
}

static void print_line(const printer *p, const wm_line *line)
{
    switch (line->kind) {
    case WM_LINE_RULE:
        if (line->optional)
            fputs("optional ", p->out);
        if (line->equal)
            fputs("equal ", p->out);
        print_terms(p, line->left, line->left_count);
        fputs(" -> ", p->out);
        print_terms(p, line->right, line->right_count);
        break;
    case WM_LINE_FILL:
        fprintf(p->out, "fill %s -> ", wm_val_text(p->unit, &line->fill->value));
        print_terms(p, line->right, line->right_count);
        if (line->fill->has_like) {
            fputs(" like ", p->out);
            print_pattern(p, &line->fill->like);
        }
        break;
    case WM_LINE_DROP:
        fputs("drop ", p->out);
        if (line->left_count)
            print_terms(p, line->left, line->left_count);
        else if (line->dropped)
            print_pattern(p, line->dropped);
        if (line->all)
            fprintf(p->out, " if all %s", wm_val_text(p->unit, &line->all->value));
        break;
    case WM_LINE_KEEP_REST:
        fputs("keep rest", p->out);
        break;
    case WM_LINE_CAST:
        fprintf(p->out, "cast %s -> %s%s", wmap_dtype_name(line->cast->from), wmap_dtype_name(line->cast->to),
                policy_text(line->cast->policy));
        break;
    }
    for (const wm_binding *b = line->where; b; b = b->next) {
        fputs(b == line->where ? " where " : ", ", p->out);
        print_span(p, b->span);
    }
    if (*line->round)
        fprintf(p->out, "   # %s", line->round);
    if (line->poisoned)
        fputs("   # has errors", p->out);
    fputc('\n', p->out);
}

void wm_program_print(wm_unit *unit, const wm_program *program, FILE *out)
{
    printer p = {unit, out};
    if (program->map.len) {
        fputs("map ", out);
        print_text(&p, program->map);
        fputc('\n', out);
    }
    for (size_t i = 0; i < program->count; i++)
        print_line(&p, &program->lines[i]);
}
