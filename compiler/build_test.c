/* build_test.c: the nodes of tests, as the actions of the grammar make them. A literal is put together while
 * it is read: its numbers go into one array, and its brackets are counted, so that what isn't a box of
 * numbers is found where it stands (E0144). */
#include <math.h>
#include <string.h>

#include "compiler/grammar.h"
#include "runtime/base/size.h"
#include "wmap/tensor.h"

wm_test_stmt *wm_make_test_stmt(wm_parser *p, wm_test_kind kind, wm_span span)
{
    wm_test_stmt *stmt = wm_new(p->arena, wm_test_stmt, 1);
    stmt->kind = kind;
    stmt->span = span;
    return stmt;
}

/* ---- numbers and brackets ---- */

void wm_literal_begin(wm_parser *p)
{
    wm_literal_parts *l = &p->literal;
    memset(l, 0, sizeof *l);
    l->rank = UINT32_MAX;
    memset(l->shape, 0xFF, sizeof l->shape);
}

static void ragged(wm_parser *p, wm_span span, const char *why)
{
    if (!p->literal.failed)
        wm_syntax(p, WM_E0144, span, "%s", why);
    p->literal.failed = true;
}

static void add_top(wm_parser *p, int kind, wm_span span)
{
    wm_literal_parts *l = &p->literal;
    size_t room = sizeof l->tops / sizeof *l->tops;
    if (l->top_count < room) {
        l->tops[l->top_count].kind = kind;
        l->tops[l->top_count].span = span;
    }
    l->top_count += l->top_count < room;
}

static void add_element(wm_parser *p, wm_span span, wm_element element)
{
    wm_literal_parts *l = &p->literal;
    if (l->depth == 0)
        add_top(p, WM_LP_NUMBER, span);
    else if (l->rank != UINT32_MAX && l->rank != l->depth)
        ragged(p, span, "a number among lists: all numbers stand in equally many brackets");
    else
        l->rank = l->depth;
    l->counts[l->depth]++;
    element.at = span.beg;
    *wm_push(p->arena, l->elements, l->count, l->cap) = element;
}

void wm_literal_int(wm_parser *p, wm_span span, int64_t i)
{
    add_element(p, span, (wm_element){.kind = WM_EL_INT, .i = i});
}

void wm_literal_negative(wm_parser *p, wm_span span, int64_t i)
{
    if (i == 0) /* floats have a -0 */
        wm_literal_float(p, span, -0.0);
    else
        wm_literal_int(p, span, -i);
}

void wm_literal_float(wm_parser *p, wm_span span, double f)
{
    add_element(p, span, (wm_element){.kind = WM_EL_FLOAT, .f = f});
}

void wm_literal_bool(wm_parser *p, wm_span span, bool b)
{
    add_element(p, span, (wm_element){.kind = WM_EL_BOOL, .i = b});
}

void wm_literal_word(wm_parser *p, wm_span span, bool negative)
{
    wm_str text = wm_text_at(p, span);
    if (wm_str_eq(text, WM_STR("inf")) || wm_str_eq(text, WM_STR("nan"))) {
        double f = text.p[0] == 'i' ? INFINITY : NAN;
        wm_literal_float(p, span, negative ? -f : f);
    } else if (p->literal.depth > 0 || negative) {
        if (!p->literal.failed)
            wm_syntax(p, WM_E0110, span, "expected a number, found %s", wm_quote(p->unit, text));
        p->literal.failed = true;
    } else {
        add_top(p, WM_LP_WORD, span);
    }
}

void wm_literal_open(wm_parser *p, wm_span span)
{
    wm_literal_parts *l = &p->literal;
    if (l->depth == 0)
        add_top(p, WM_LP_LIST, span);
    else if (l->rank != UINT32_MAX && l->depth >= l->rank)
        ragged(p, span, "a list among numbers: all numbers stand in equally many brackets");
    l->counts[l->depth]++;
    if (l->depth < WM_MAX_NESTING + 1) /* the filter before the parser bounds it */
        l->depth++;
    l->counts[l->depth] = 0;
}

void wm_literal_close(wm_parser *p, wm_span span)
{
    wm_literal_parts *l = &p->literal;
    uint64_t count = l->counts[l->depth], *extent = &l->shape[l->depth];
    if (count == 0 && l->rank == UINT32_MAX)
        l->rank = l->depth;
    if (count == 0 && l->rank != l->depth)
        ragged(p, span, "an empty list among lists that hold more");
    else if (*extent != UINT64_MAX && *extent != count)
        ragged(p, span,
               wm_format_text(p->arena, "this list has %llu item%s, the first of its kind has %llu",
                              (unsigned long long)count, count == 1 ? "" : "s", (unsigned long long)*extent));
    *extent = count;
    l->depth--;
    if (l->depth == 0)
        l->tops[l->top_count - 1].span = wm_join(l->tops[l->top_count - 1].span, span);
}

/* ---- the whole ---- */

static void unexpected(wm_parser *p, wm_span span, const char *what)
{
    wm_str text = wm_text_at(p, span);
    if (text.len)
        wm_syntax(p, WM_E0110, span, "expected %s, found %s", what, wm_quote(p->unit, text));
    else
        wm_syntax(p, WM_E0110, span, "expected %s", what);
}

static void count_elements(wm_literal *literal)
{
    if (!wm_shape_count(literal->shape, literal->rank, &literal->count))
        literal->count = UINT64_MAX;
}

/* The extents and the seed of a generator: the collected numbers. */
static bool make_generated(wm_parser *p, wm_literal *literal, uint32_t at)
{
    const wm_literal_parts *l = &p->literal;
    if (at == l->top_count || l->tops[at].kind != WM_LP_LIST) {
        wm_span end = {p->file, literal->span.end, literal->span.end};
        unexpected(p, at < l->top_count ? l->tops[at].span : end, "a shape, as in `[2 3]`");
        return false;
    }
    bool seeded = at + 1 < l->top_count && l->tops[at + 1].kind == WM_LP_NUMBER &&
                  literal->kind == WM_LI_RANDOM && l->elements[l->count - 1].kind == WM_EL_INT;
    if (at + 1 + seeded < l->top_count) {
        unexpected(p, l->tops[at + 1 + seeded].span, "the end of the statement");
        return false;
    }
    size_t extents = l->count - seeded;
    for (size_t i = 0; i < extents; i++) {
        const wm_element *e = &l->elements[i];
        if (e->kind == WM_EL_INT && e->i >= 0 && l->rank == 1)
            continue;
        wm_syntax(p, WM_E0110, l->tops[at].span, "expected a shape, whole numbers in one pair of brackets");
        return false;
    }
    literal->seed = seeded ? l->elements[l->count - 1].i : 0;
    if (literal->seed < 0 || extents > WMAP_MAX_RANK) {
        wm_syntax(p, WM_E0110, literal->span, "expected %s",
                  literal->seed < 0 ? "a seed that is not negative" : "at most 64 dimensions");
        return false;
    }
    literal->rank = (uint32_t)extents;
    literal->shape = wm_new(p->arena, uint64_t, extents);
    for (size_t i = 0; i < extents; i++)
        literal->shape[i] = (uint64_t)l->elements[i].i;
    count_elements(literal);
    return true;
}

static bool make_values(wm_parser *p, wm_literal *literal, uint32_t at)
{
    const wm_literal_parts *l = &p->literal;
    if (at + 1 < l->top_count) {
        unexpected(p, l->tops[at + 1].span, "the end of the statement");
        return false;
    }
    literal->rank = l->tops[at].kind == WM_LP_LIST ? l->rank : 0;
    literal->shape = wm_new(p->arena, uint64_t, literal->rank);
    for (uint32_t d = 0; d < literal->rank; d++)
        literal->shape[d] = l->shape[d + 1];
    literal->elements = l->elements;
    count_elements(literal);
    return true;
}

wm_literal *wm_literal_end(wm_parser *p, wm_span span)
{
    const wm_literal_parts *l = &p->literal;
    if (l->failed)
        return NULL;
    wm_literal *literal = wm_new(p->arena, wm_literal, 1);
    literal->span = l->top_count ? wm_join(l->tops[0].span, span) : span; /* not the blank behind `=` */
    uint32_t at = 0;
    for (; at < l->top_count && l->tops[at].kind == WM_LP_WORD; at++) {
        wm_str word = wm_text_at(p, l->tops[at].span);
        bool iota = wm_str_eq(word, WM_STR("iota")), random = wm_str_eq(word, WM_STR("random"));
        if (iota || random) {
            literal->kind = iota ? WM_LI_IOTA : WM_LI_RANDOM;
            return make_generated(p, literal, at + 1) ? literal : NULL;
        }
        if (literal->dtype) {
            unexpected(p, l->tops[at].span, "a number, a list, `iota` or `random`");
            return NULL;
        }
        literal->dtype = wm_make_word(p, l->tops[at].span);
    }
    if (at == l->top_count) {
        wm_span end = {p->file, span.end, span.end};
        unexpected(p, end, "a number, a list, `iota` or `random`");
        return NULL;
    }
    return make_values(p, literal, at) ? literal : NULL;
}
