/* expect.c: syntax errors in the language of the spec (E0110, E0113). Bison knows the tokens that could have
 * stood there; people think of statements, axes and values. So sets of tokens are given the name of what they
 * begin. */
#include <stdio.h>
#include <string.h>

#include "compiler/grammar.h"
#include "grammar/wmap.tab.h"

#define KINDS   400 /* more than there are kinds of tokens */
#define PHRASES 4   /* more would not be read */

typedef struct wanted {
    bool has[KINDS];
    const char *phrases[PHRASES];
    int count;
} wanted;

/* Words of the language, for "did you mean" and for their names. Kinds that are not among them are not words.
 */
static const struct {
    int kind;
    const char *text;
} words[] = {
    {T_WMAP, "wmap"},
    {T_IMPORT, "import"},
    {T_AS, "as"},
    {T_PARAM, "param"},
    {T_TABLE, "table"},
    {T_AXIS, "axis"},
    {T_MODEL, "model"},
    {T_MAP, "map"},
    {T_FROM, "from"},
    {T_TO, "to"},
    {T_THEN, "then"},
    {T_FOR, "for"},
    {T_IN, "in"},
    {T_IF, "if"},
    {T_ELSE, "else"},
    {T_WHERE, "where"},
    {T_OPTIONAL, "optional"},
    {T_DROP, "drop"},
    {T_FILL, "fill"},
    {T_KEEP, "keep"},
    {T_REST, "rest"},
    {T_USE, "use"},
    {T_CAST, "cast"},
    {T_KW_ERROR, "error"},
    {T_FORWARD, "forward"},
    {T_REVERSE, "reverse"},
    {T_RENAME, "rename"},
    {T_PERMUTE, "permute"},
    {T_FLIP, "flip"},
    {T_SPLIT, "split"},
    {T_MERGE, "merge"},
    {T_TEST, "test"},
    {T_OF, "of"},
    {T_GIVEN, "given"},
    {T_EXPECT, "expect"},
    {T_TOLERANCE, "tolerance"},
    {T_ALL, "all"},
    {T_LIKE, "like"},
    {T_EQUAL, "equal"},
    {T_DERIVE, "derive"},
    {T_WITH, "with"},
    {T_WITHOUT, "without"},
    {T_LAYER, "layer"},
    {T_DIALECT, "dialect"},
    {T_ARCHITECTURE, "architecture"},
    {T_BLOCK, "block"},
    {T_BUFFER, "buffer"},
    {T_FOLD, "fold"},
    {T_HAS, "has"},
    {T_AND, "and"},
    {T_OR, "or"},
    {T_NOT, "not"},
    {T_TRUE, "true"},
    {T_FALSE, "false"},
};
#define WORDS (sizeof words / sizeof words[0])

static bool is_keyword(int kind)
{
    for (size_t i = 0; i < WORDS; i++)
        if (words[i].kind == kind)
            return true;
    return false;
}

static void add(wanted *w, const char *phrase)
{
    if (w->count < PHRASES)
        w->phrases[w->count++] = phrase;
}

/* Takes tokens out of the set, since a phrase has been said for them. */
static void without(wanted *w, const int *kinds)
{
    for (; *kinds; kinds++)
        w->has[*kinds] = false;
}

static bool names_allowed(const wanted *w)
{
    return w->has[T_WMAP] && w->has[T_WORD]; /* where keywords are names, all of them are */
}

static bool only(const wanted *w, int kind)
{
    int count = 0;
    for (int i = 0; i < KINDS; i++)
        count += w->has[i];
    return count == 1 && w->has[kind];
}

/* The start of a statement or item, NULL if this is none. */
static const char *statement(const wm_parser *p, const wanted *w)
{
    if (p->given != 1 && p->previous != 0)
        return NULL;
    if (w->has[T_FILL] && w->has[T_DROP] && w->has[T_STRING])
        return "a statement";
    if (w->has[T_GIVEN] && w->has[T_EXPECT])
        return "`given`, `expect` or `tolerance`";
    if (w->has[T_IMPORT] && w->has[T_MAP])
        return "`import`, `param`, `table`, `model`, `map` or `test`";
    if (w->has[T_FOR] && w->has[T_IF] && w->has[T_STRING])
        return "a tensor, as in `\"name\" : f32 [64 3]`";
    return NULL;
}

/* Inside of a layout, a set of labels or a shape. */
static bool add_layout(wanted *w, int found)
{
    bool factor = w->has['{'] && w->has['('] && w->has[T_INT] && names_allowed(w);
    if (factor && w->has[T_DOTS]) {
        add(w, found == ',' ? "an axis, (group), {labels} or 1" : "an axis, (group), {labels}, 1 or `]`");
        return true;
    }
    if (factor) {
        add(w, w->has[')'] ? "an axis, (group), {labels}, `|` or `)`"
                           : "an axis, (group), {labels}, 1 or a block");
        return true;
    }
    if (names_allowed(w) && w->has['_'] && !w->has[T_STRING]) {
        add(w, w->has['}'] ? "a label or `}`" : "a label");
        return true;
    }
    if (w->has[T_INT] && w->has[T_WORD] && w->has['('] && w->has[']'] && !w->has[T_FLOAT]) {
        add(w, "an extent or `]`");
        return true;
    }
    return false;
}

static void add_values(wanted *w)
{
    static const int value[] = {T_INT, T_FLOAT, T_TRUE, T_FALSE, T_WORD, T_STRING, T_RAW, T_QUOTE,
                                '(',   '[',     '-',    T_HAS,   T_NOT,  T_IF,     0};
    static const int constant[] = {T_INT, T_FLOAT, T_WORD, '-', '(', 0};
    static const int string[] = {T_STRING, T_RAW, T_QUOTE, 0};
    if (w->has[T_INT] && w->has[T_FLOAT] && w->has[T_TRUE]) {
        add(w, "a value");
        without(w, value);
    } else if (w->has[T_INT] && w->has[T_FLOAT]) {
        add(w, "a constant");
        without(w, constant);
    }
    if (w->has[T_STRING] && w->has['('] && !w->has[T_INT]) {
        add(w, "a tensor");
        without(w, string);
        w->has['('] = false;
    } else if (w->has[T_STRING]) {
        add(w, "a string");
        without(w, string);
    }
    if (names_allowed(w)) {
        add(w, "a name");
        w->has[T_WORD] = w->has[T_META] = false;
        for (size_t i = 0; i < WORDS; i++)
            w->has[words[i].kind] = false;
    } else if (w->has[T_WORD]) {
        add(w, "a name");
        w->has[T_WORD] = false;
    }
}

static void add_operators(wanted *w)
{
    static const int operators[] = {'+', '-', '*', '/', '%',   T_FLOORDIV, T_EQ, T_NE,     T_LE, T_GE,
                                    '<', '>', '[', '.', T_AND, '(',        T_OR, T_DOTDOT, '|',  0};
    if (w->has['+'] && w->has['*']) {
        /* Who forgets an operator is rarer than who forgets what follows: it is named when nothing else is.
         */
        without(w, operators);
        bool other = false;
        for (int i = 0; i < KINDS; i++)
            other |= w->has[i];
        if (!other)
            add(w, "an operator");
    }
}

static const char *quoted(wm_parser *p, int kind)
{
    static const struct {
        int kind;
        const char *text;
    } rows[] = {
        {T_ARROW, "`->`"},
        {T_DOTS, "`...`"},
        {T_DOTDOT, "`..`"},
        {T_FLOORDIV, "`//`"},
        {T_STARSTAR, "`**`"},
        {T_EQ, "`==`"},
        {T_NE, "`!=`"},
        {T_LE, "`<=`"},
        {T_GE, "`>=`"},
        {T_INT, "an integer"},
        {T_FLOAT, "a number"},
        {T_META, "`meta`"},
        {T_HOLE_CLOSE, "`}`"},
        {T_UNQUOTE, "`\"`"},
        {0, "the end of the file"},
        {T_END, "the end of the statement"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].kind == kind)
            return rows[i].text;
    for (size_t i = 0; i < WORDS; i++)
        if (words[i].kind == kind)
            return wm_format_text(p->arena, "`%s`", words[i].text);
    return kind < 128 ? wm_format_text(p->arena, "`%c`", kind) : NULL;
}

static void add_rest(wm_parser *p, wanted *w)
{
    /* Between the two sides of a rule all else is optional. */
    if (w->has[T_ARROW]) {
        add(w, "`->`");
        return;
    }
    static const int order[] = {'=', ':', '{', T_REST, T_IN, ')', ']', '}', ',', T_END, 0};
    for (const int *kind = order; *kind; kind++)
        if (w->has[*kind]) {
            w->has[*kind] = false;
            add(w, quoted(p, *kind));
        }
    for (int i = 0; i < KINDS && w->count < 3; i++)
        if (w->has[i] && quoted(p, i))
            add(w, quoted(p, i));
}

static const char *joined(wm_parser *p, const wanted *w)
{
    const char *text = w->count ? w->phrases[0] : "something else";
    for (int i = 1; i < w->count; i++)
        text = wm_format_text(p->arena, i + 1 < w->count ? "%s, %s" : "%s or %s", text, w->phrases[i]);
    return text;
}

static const char *found_text(wm_parser *p, int found, wm_span span)
{
    switch (found) {
    case 0:
        return "the end of the file";
    case T_END: {
        wm_str text = wm_text_at(p, span);
        if (text.len)
            return wm_quote(p->unit, text);
        uint32_t at = span.beg;
        const char *all = p->source->text;
        while (at < p->source->size &&
               (all[at] == ' ' || all[at] == '\t' || all[at] == '\r' || all[at] == '\n'))
            at++;
        return at == p->source->size ? "the end of the file" : "the end of the line";
    }
    case T_STRING:
    case T_RAW:
        return wm_format_text(p->arena, "the string %s", wm_quote(p->unit, wm_text_at(p, span)));
    case T_QUOTE:
        return "a string";
    case T_TEXT:
        return "text";
    default:
        return wm_quote(p->unit, wm_text_at(p, span));
    }
}

static void hint_near(wm_parser *p, wm_diag *d, const wanted *w, wm_str text, bool start)
{
    wm_near near;
    wm_near_init(&near, text);
    for (size_t i = 0; i < WORDS; i++)
        if (w->has[words[i].kind] && (start || !names_allowed(w)))
            wm_near_try(&near, (wm_str){words[i].text, (uint32_t)strlen(words[i].text)});
    if (start && w->has[T_FILL])
        wm_near_try(&near, WM_STR("meta"));
    wm_diag_near(p->unit, d, &near);
}

/* A bracket that was opened on an earlier line and is still open is where the mistake may be. */
static void also_unclosed(wm_parser *p, wm_diag *d, wm_span span)
{
    const wm_open *open = &p->open[p->depth];
    bool own = open->span.beg == span.beg; /* the bracket is what was found */
    if (p->depth == 0 || own || open->kind == 'H' || (open->kind == 'B' && p->previous != 0))
        return;
    if (open->kind == 'B' || open->line != p->line || p->previous == T_END)
        wm_diag_also(p->unit, d, open->span, "%s",
                     open->kind == 'B' ? "this block is not closed" : "not closed");
}

/* A comma goes away, but what it separates stays apart. */
static void fix_comma(wm_parser *p, wm_diag *d, wm_span span)
{
    const char *text = p->source->text;
    char next = text[span.end] ? text[span.end] : wm_scan_next(p->scanner);
    char before = span.beg ? text[span.beg - 1] : '\n';
    bool apart = (next && strchr(" \t\r\n", next)) || (before && strchr(" \t\r\n", before));
    wm_diag_fix(p->unit, d, span, "%s", apart ? "" : " ");
}

static void add_hints(wm_parser *p, wm_diag *d, const wanted *w, int found, wm_span span)
{
    if (found == ',' && w->has[T_DOTS]) {
        wm_diag_hint(p->unit, d, "axes are separated by spaces");
        fix_comma(p, d, span);
    } else if (found == ',' && w->has['_'] && names_allowed(w)) {
        wm_diag_hint(p->unit, d, "labels are separated by spaces");
        fix_comma(p, d, span);
    } else if (found == '=' && w->has[T_EQ])
        wm_diag_hint(p->unit, d, "`==` compares");
    else if (found == T_EQ && w->has['='])
        wm_diag_hint(p->unit, d, "write `=`");
    else if (found == T_WORD)
        hint_near(p, d, w, wm_text_at(p, span), wm_at_start(p) || p->given == 1);
    also_unclosed(p, d, span);
}

static bool opens_item(int kind)
{
    return kind == T_MAP || kind == T_MODEL || kind == T_PARAM || kind == T_TABLE || kind == T_IMPORT ||
           kind == T_TEST;
}

/* A statement that starts with a word which starts none is read as a tag, `f: "name"`, so bison misses a `:`.
 */
static bool no_statement(wm_parser *p, const wanted *w)
{
    return p->given == 2 && only(w, ':') && (p->first == T_WORD || is_keyword(p->first));
}

static void report_no_statement(wm_parser *p)
{
    wm_span span = p->first_span;
    wm_str text = wm_text_at(p, span);
    wm_diag *d = wm_syntax(p, WM_E0110, span, "expected a statement, found %s", wm_quote(p->unit, text));
    if (!d)
        return;
    wanted statements = {.has = {[T_FILL] = true,
                                 [T_DROP] = true,
                                 [T_KEEP] = true,
                                 [T_USE] = true,
                                 [T_CAST] = true,
                                 [T_AXIS] = true,
                                 [T_FORWARD] = true,
                                 [T_REVERSE] = true,
                                 [T_FOR] = true,
                                 [T_IF] = true,
                                 [T_OPTIONAL] = true,
                                 [T_EQUAL] = true,
                                 [T_RENAME] = true,
                                 [T_PERMUTE] = true,
                                 [T_FLIP] = true,
                                 [T_SPLIT] = true,
                                 [T_MERGE] = true,
                                 [T_DERIVE] = true,
                                 [T_KW_ERROR] = true}};
    if (p->first == T_WORD)
        hint_near(p, d, &statements, text, true);
    const wm_open *open = &p->open[p->depth];
    for (uint32_t i = p->depth; i > 0 && open->kind != 'B'; i--)
        open = &p->open[i - 1];
    if (opens_item(p->first) && open != p->open)
        wm_diag_also(p->unit, d, open->span, "is this block closed?");
}

void wm_expected(wm_parser *p, wm_span span, const int *expected, int count)
{
    bool again = p->last_error.file == span.file && p->last_error.beg == span.beg && p->failed;
    p->failed = true;
    p->last_error = span;
    if (again || p->stopped || p->quiet)
        return;
    wanted w = {0};
    for (int i = 0; i < count; i++)
        if (expected[i] >= 0 && expected[i] < KINDS)
            w.has[expected[i]] = true;
    int found = p->previous;
    if (found == 0)
        span.beg = span.end = p->text_end; /* not the empty lines behind the text */
    if (no_statement(p, &w)) {
        report_no_statement(p);
        return;
    }
    if (is_keyword(found) && w.has[T_WORD] && !statement(p, &w) && !(w.has[T_INT] && opens_item(found))) {
        wm_diag *d = wm_syntax(p, WM_E0113, span, "%s is a reserved word, it can't be a name here",
                               wm_quote(p->unit, wm_text_at(p, span)));
        if (d)
            also_unclosed(p, d, span);
        return;
    }
    bool item = p->depth == 0 && w.has[T_IMPORT] && w.has[T_MAP];
    if (item && p->item_error)
        return;
    p->item_error = item;
    if (p->given == 2 && is_keyword(p->first) && !only(&w, ':'))
        w.has[':'] = false; /* it could be a tag, but was hardly meant as one */
    wanted said = w;
    if (statement(p, &w))
        add(&said, statement(p, &w));
    else if (!add_layout(&said, found)) {
        add_values(&said);
        add_operators(&said);
        add_rest(p, &said);
    }
    if (w.has['}'] && statement(p, &w) && found == 0)
        add(&said, "`}`");
    wm_diag *d =
        wm_syntax(p, WM_E0110, span, "expected %s, found %s", joined(p, &said), found_text(p, found, span));
    if (!d)
        return;
    add_hints(p, d, &w, found, span);
    if (item && p->block_end.end)
        wm_diag_also(p->unit, d, p->block_end, "a block was closed here");
}
