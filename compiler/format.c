/* format.c: `wmap fmt`: the text of a spec, laid out again. Only white space between tokens changes (and
 * semicolons at the ends of lines go): the lines stay those of the text, their indentation follows the
 * brackets, blanks follow the tokens, and in runs of like lines arrows, layouts, types and comments are
 * aligned. What comes out is scanned again and must hold the same tokens. */
#include "wmap/format.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/grammar.h"
#include "compiler/parse.h"
#include "grammar/wmap.tab.h"
#include "runtime/base/error.h"

enum {
    COMMENT = -1, /* kind of a token */
    INDENT = 2,
    SPREAD = 32,   /* lines whose columns differ by more are not aligned with each other */
    WHERE_GAP = 3, /* blanks before a `where` that follows on its line */
    COMMENT_GAP = 2,
    NONE = -1,
};

typedef struct token {
    int kind;
    wm_str text;
    uint32_t breaks; /* newlines before it */
    bool spaced;     /* white space before it in the text */
} token;

/* Columns at which like lines are aligned, from left to right. */
enum { AT_GIVEN, AT_LAYOUT, AT_EQUALS, AT_ARROW, AT_PLACE, AT_TYPE, AT_WHERE, AT_COUNT };

typedef struct line {
    size_t first, last; /* tokens, without the comment at its end */
    uint32_t indent;
    bool blank; /* an empty line stands before it */
    int kind;   /* what it is aligned as: that of lines like it; 0 for none */
    char *text;
    uint32_t size, columns; /* bytes, characters */
    int32_t at[AT_COUNT];   /* bytes of `text` before each column; NONE */
    int32_t comment;        /* token; NONE */
    uint32_t comment_gap;
} line;

typedef struct open {
    char kind; /* ( [ L B as in the parser */
    uint32_t indent;
} open;

typedef struct layouter {
    wm_arena *arena;
    token *tokens;
    size_t count, cap;
    line *lines;
    size_t line_count, line_cap;
    open *opens;
    size_t depth, open_cap;
    int statement; /* kind of the first token of the statement */
    uint32_t base; /* its indentation */
} layouter;

/* ---- tokens and comments ---- */

static void add_token(layouter *l, int kind, const char *text, uint32_t beg, uint32_t end, uint32_t breaks,
                      bool spaced)
{
    *wm_push(l->arena, l->tokens, l->count, l->cap) = (token){kind, {text + beg, end - beg}, breaks, spaced};
}

/* The white space and comments before the token at `end`. Gives the newlines just before it. */
static uint32_t add_gap(layouter *l, const char *text, uint32_t at, uint32_t end)
{
    uint32_t breaks = 0;
    while (at < end) {
        if (text[at] == '\n')
            breaks++;
        if (text[at] == '#') {
            uint32_t stop = at;
            while (stop < end && text[stop] != '\n')
                stop++;
            uint32_t trimmed = stop;
            while (trimmed > at && strchr(" \t\r", text[trimmed - 1]))
                trimmed--;
            add_token(l, COMMENT, text, at, trimmed, breaks, true);
            breaks = 0;
            at = stop;
        } else {
            at++;
        }
    }
    return breaks;
}

static void collect(layouter *l, const wm_source *source, const wm_lexeme *list, size_t count)
{
    uint32_t at = source->size >= 3 && memcmp(source->text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    for (size_t i = 0; i < count; i++) {
        size_t before = l->count;
        uint32_t breaks = add_gap(l, source->text, at, list[i].beg);
        if (before == l->count && l->count == 0)
            breaks = 0;
        add_token(l, list[i].kind, source->text, list[i].beg, list[i].end, breaks, at < list[i].beg);
        at = list[i].end;
    }
    add_gap(l, source->text, at, source->size);
}

/* Semicolons that end a line, or a block, say nothing. */
static void drop_semicolons(layouter *l)
{
    size_t kept = 0;
    for (size_t i = 0; i < l->count; i++) {
        const token *t = &l->tokens[i], *next = i + 1 < l->count ? t + 1 : NULL;
        bool idle = t->kind == ';' && (!next || next->breaks || next->kind == COMMENT || next->kind == '}' ||
                                       next->kind == ';' || kept == 0 || l->tokens[kept - 1].kind == '{');
        if (idle && next && t->breaks > next->breaks)
            l->tokens[i + 1].breaks = t->breaks;
        if (!idle)
            l->tokens[kept++] = *t;
    }
    l->count = kept;
}

/* ---- blanks between two tokens ---- */

static bool is_word(const token *t)
{
    unsigned char c = t->text.len ? (unsigned char)t->text.p[0] : 0;
    return t->kind != COMMENT && (c == '_' || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'));
}

/* Does a value end with it, so that a sign after it has two sides? */
static bool ends_value(const token *t)
{
    switch (t->kind) {
    case T_STRING:
    case T_INT:
    case T_FLOAT:
    case ')':
    case ']':
    case T_WORD:
    case T_TRUE:
    case T_FALSE:
    case T_OPTIONAL:
        return true;
    default:
        return false;
    }
}

static bool is_operator(int kind)
{
    return kind == '+' || kind == '-' || kind == '*' || kind == '/' || kind == '%' || kind == T_FLOORDIV;
}

/* Is the token at `i` a word that tags what stands behind its colon? */
static bool is_tag(const layouter *l, size_t first, size_t i)
{
    if (!is_word(&l->tokens[i]) || l->statement == T_MODEL)
        return false;
    if (i == first)
        return true;
    switch (l->tokens[i - 1].kind) {
    case ',':
    case '(':
    case '|':
    case ';':
    case '{':
    case T_ARROW:
    case T_OPTIONAL:
    case T_EQUAL:
        return true;
    default:
        return false;
    }
}

/* Is the token at `i` the name of an operation, as in `| pow -2` and `| f: pow -2`? */
static bool is_operation(const layouter *l, size_t i)
{
    return i > 0 && (l->tokens[i - 1].kind == '|' ||
                     (l->tokens[i - 1].kind == ':' && i > 2 && l->tokens[i - 3].kind == '|'));
}

/* Blanks before an operator and after it: both or none, as the text has it before. */
static bool operator_blank(const layouter *l, size_t i, bool after)
{
    const token *t = &l->tokens[i];
    if (i == 0 || !ends_value(t - 1) ||
        is_operation(l, i - 1)) /* a sign, or the name of an operation behind `|` */
        return after && i + 1 < l->count && (t - 1)->kind != T_ARROW && (t + 1)->spaced;
    bool wide = t->spaced || (i + 1 < l->count && (t + 1)->spaced);
    char top = l->depth ? l->opens[l->depth - 1].kind : 'B';
    if (t->kind == '-' && t->spaced && !(t + 1)->spaced && top != 'B')
        return !after; /* in a list: one with a sign */
    return wide;
}

static bool equals_blank(const layouter *l, size_t first, size_t i)
{
    char top = l->depth ? l->opens[l->depth - 1].kind : 'B';
    const token *t = &l->tokens[i];
    if (top == '(')
        return false;
    for (size_t k = i; k-- > first;)
        if (l->tokens[k].kind == T_WHERE)
            return i > first && (t - 1)->kind == ')';
    return true;
}

/* A blank between the tokens i - 1 and i of the line that begins at `first`? The brackets are those before
 * token i. */
static bool blank_between(const layouter *l, size_t first, size_t i)
{
    const token *a = &l->tokens[i - 1], *b = &l->tokens[i];
    char top = l->depth ? l->opens[l->depth - 1].kind : 'B';
    if (a->kind == '(' || a->kind == '[' || b->kind == ')' || b->kind == ']' || b->kind == ',' ||
        b->kind == ';')
        return false;
    if ((a->kind == '{' || b->kind == '}') && top == 'L')
        return false;
    if (a->kind == '.' || b->kind == '.' || a->kind == T_DOTDOT || b->kind == T_DOTDOT)
        return false;
    if (b->kind == ':')
        return !is_tag(l, first, i - 1);
    if (a->kind == '=' && top == '[')
        return false;
    if (a->kind == '=')
        return equals_blank(l, first, i - 1);
    if (b->kind == '=')
        return top == '[' || equals_blank(l, first, i);
    if (is_operator(b->kind) && ends_value(a) && !is_operation(l, i - 1))
        return operator_blank(l, i, false);
    if (is_operator(a->kind))
        return operator_blank(l, i - 1, true);
    if (b->kind == '(' && a->kind == T_WORD)
        return b->spaced;
    bool type =
        i > 1 && (l->tokens[i - 2].kind == ':' || l->statement == T_GIVEN || l->statement == T_EXPECT);
    if (b->kind == '[' && is_word(a) && type)
        return true;
    if (b->kind == '[' && (is_word(a) || a->kind == ']' || a->kind == ')'))
        return b->spaced;
    return true;
}

/* ---- lines ---- */

static void push_open(layouter *l, char kind, uint32_t indent)
{
    if (l->depth == l->open_cap)
        l->opens = wm_grow(l->arena, l->opens, l->depth, l->depth + 1, &l->open_cap, sizeof *l->opens);
    l->opens[l->depth++] = (open){kind, indent};
}

static char top_kind(const layouter *l)
{
    return l->depth ? l->opens[l->depth - 1].kind : 'B';
}

static bool closes(int kind)
{
    return kind == ')' || kind == ']' || kind == '}';
}

static void track(layouter *l, const token *t, uint32_t indent)
{
    if (t->kind == '(' || t->kind == '[')
        push_open(l, (char)t->kind, indent);
    else if (t->kind == '{')
        push_open(l, top_kind(l) == 'B' ? 'B' : 'L', top_kind(l) == 'B' ? l->base : indent);
    else if (closes(t->kind) && l->depth && l->opens[--l->depth].kind == 'B')
        l->base = l->opens[l->depth].indent; /* of the statement that goes on behind the block: `else` */
}

/* Does the token begin a statement? */
static bool begins(const layouter *l, size_t i)
{
    const token *t = &l->tokens[i];
    size_t before = i;
    while (before > 0 && l->tokens[before - 1].kind == COMMENT)
        before--;
    if (top_kind(l) != 'B' || t->kind == '}')
        return false;
    if (before == 0)
        return true;
    int kind = l->tokens[before - 1].kind;
    if (kind == '{' || kind == ';')
        return true;
    if (kind == '}')
        return t->kind != T_ELSE;
    bool broken = t->breaks > 0;
    for (size_t k = before; k < i; k++)
        broken |= l->tokens[k].breaks > 0;
    return (broken || before < i) && !wm_goes_on(kind, t->kind);
}

static uint32_t indent_of(const layouter *l, size_t first)
{
    const token *t = &l->tokens[first];
    uint32_t in = l->depth ? l->opens[l->depth - 1].indent : 0;
    if (t->kind == COMMENT) { /* stands as what comes next would */
        size_t next = first;
        while (next < l->count && l->tokens[next].kind == COMMENT)
            next++;
        bool ends = next == l->count || closes(l->tokens[next].kind);
        if (top_kind(l) != 'B' || ends || begins(l, next))
            return l->depth ? in + INDENT : 0;
        return l->base + INDENT;
    }
    if (l->depth && closes(t->kind))
        return in;
    if (top_kind(l) != 'B')
        return in + INDENT;
    if (begins(l, first))
        return l->depth ? in + INDENT : 0;
    return t->kind == T_ELSE && first > 0 && l->tokens[first - 1].kind == '}' ? l->base : l->base + INDENT;
}

/* Finds the columns of a line that is one statement. `at[i]` is where token first + i begins. */
static void find_columns(const layouter *l, line *n, const int32_t *at)
{
    int depth = 0;
    bool arrow = false, plain = true; /* plain: one operand on this side */
    for (size_t i = n->first; i < n->last; i++) {
        const token *t = &l->tokens[i];
        int32_t *column = NULL;
        if (t->kind == '{' && depth == 0) {
            n->kind = 0;
            return;
        }
        if (depth == 0 && t->kind == ',')
            plain = false;
        if (depth == 0 && t->kind == '[' && i > n->first && (t - 1)->kind == T_STRING && plain)
            column = &n->at[arrow ? AT_PLACE : AT_LAYOUT];
        else if (depth == 0 && t->kind == T_ARROW)
            column = &n->at[AT_ARROW];
        else if (depth == 0 && t->kind == ':' && !is_tag(l, n->first, i - 1) && plain)
            column = &n->at[AT_TYPE];
        else if (depth == 0 && t->kind == T_WHERE && i > n->first)
            column = &n->at[AT_WHERE];
        else if (depth == 0 && t->kind == '=' && n->kind != T_ARROW)
            column = &n->at[AT_EQUALS];
        else if (t->kind == T_STRING && i == n->first + 1 && n->kind == T_GIVEN)
            column = &n->at[AT_GIVEN];
        if (column && *column == NONE)
            *column = at[i - n->first];
        if (depth == 0 && t->kind == T_ARROW) {
            arrow = true;
            plain = true;
        }
        if (t->kind == '(' || t->kind == '[' || t->kind == '{')
            depth++;
        else if (closes(t->kind))
            depth--;
    }
    if (n->kind == T_ARROW && !arrow)
        n->kind = n->at[AT_TYPE] != NONE ? ':' : 0;
}

/* What a line that begins with the token is aligned as. */
static int kind_of(const token *t)
{
    switch (t->kind) {
    case T_STRING:
    case T_OPTIONAL:
    case T_EQUAL:
    case T_FILL:
    case T_WORD:
    case '(':
        return T_ARROW;
    case T_PARAM:
    case T_TABLE:
    case T_GIVEN:
        return t->kind;
    case T_EXPECT:
        return T_GIVEN;
    default:
        return 0;
    }
}

static uint32_t characters(const char *text, uint32_t size)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < size; i++)
        count += ((unsigned char)text[i] & 0xC0) != 0x80;
    return count;
}

/* Lays out the tokens [first, end), which stand on one line. */
static void add_line(layouter *l, size_t first, size_t end)
{
    line *n = wm_push(l->arena, l->lines, l->line_count, l->line_cap);
    bool comment = end > first + 1 && l->tokens[end - 1].kind == COMMENT, starts = begins(l, first);
    *n = (line){.first = first, .last = comment ? end - 1 : end, .comment = NONE};
    for (int k = 0; k < AT_COUNT; k++)
        n->at[k] = NONE;
    n->comment = comment ? (int32_t)(end - 1) : NONE;
    n->indent = indent_of(l, first);
    n->blank = l->tokens[first].breaks > 1 && first > 0 && l->tokens[first - 1].kind != '{' &&
               l->tokens[first].kind != '}';
    if (starts && l->tokens[first].kind != COMMENT) {
        l->statement = l->tokens[first].kind;
        l->base = n->indent;
        n->kind = kind_of(&l->tokens[first]);
    }
    size_t size = 0;
    for (size_t i = first; i < n->last; i++)
        size += l->tokens[i].text.len + WHERE_GAP;
    n->text = wm_alloc(l->arena, size);
    int32_t *at = wm_new(l->arena, int32_t, n->last - first);
    for (size_t i = first; i < n->last; i++) {
        const token *t = &l->tokens[i];
        if (i > first && begins(l, i)) {
            l->statement = t->kind;
            n->kind = 0;
        }
        uint32_t blanks = i == first || !blank_between(l, first, i) ? 0 : t->kind == T_WHERE ? WHERE_GAP : 1;
        memset(n->text + n->size, ' ', blanks);
        n->size += blanks;
        at[i - first] = (int32_t)n->size;
        memcpy(n->text + n->size, t->text.p, t->text.len);
        n->size += t->text.len;
        track(l, t, n->indent);
    }
    size_t next = end;
    while (next < l->count && l->tokens[next].kind == COMMENT)
        next++;
    if (top_kind(l) != 'B' || (next < l->count && l->tokens[next].kind != '}' && !begins(l, next)))
        n->kind = 0; /* goes on */
    if (n->kind)
        find_columns(l, n, at);
    n->columns = characters(n->text, n->size);
}

/* ---- columns ---- */

/* Puts blanks before a column. */
static void widen(layouter *l, line *n, int column, uint32_t blanks)
{
    if (blanks == 0)
        return;
    uint32_t at = (uint32_t)n->at[column];
    char *text = wm_alloc(l->arena, n->size + blanks);
    memcpy(text, n->text, at);
    memset(text + at, ' ', blanks);
    memcpy(text + at + blanks, n->text + at, n->size - at);
    n->text = text;
    n->size += blanks;
    n->columns += blanks;
    for (int k = 0; k < AT_COUNT; k++)
        if (n->at[k] != NONE && (uint32_t)n->at[k] >= at)
            n->at[k] += (int32_t)blanks;
}

static void align_column(layouter *l, size_t from, size_t to, int column)
{
    uint32_t most = 0;
    for (size_t i = from; i < to; i++) {
        line *n = &l->lines[i];
        if (n->at[column] == NONE)
            continue;
        uint32_t x = characters(n->text, (uint32_t)n->at[column]);
        most = x > most ? x : most;
    }
    for (size_t i = from; i < to; i++)
        if (l->lines[i].at[column] != NONE)
            widen(l, &l->lines[i], column,
                  most - characters(l->lines[i].text, (uint32_t)l->lines[i].at[column]));
}

/* The column that says how wide the lines of a run are. */
static uint32_t spread_of(const line *n)
{
    static const int order[] = {AT_ARROW, AT_EQUALS, AT_TYPE};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        if (n->at[order[i]] != NONE)
            return characters(n->text, (uint32_t)n->at[order[i]]);
    return 0;
}

/* The end of the run of like lines from `from` on. */
static size_t run_end(const layouter *l, size_t from)
{
    const line *first = &l->lines[from];
    uint32_t least = spread_of(first), most = least;
    size_t end = from + 1;
    for (; end < l->line_count; end++) {
        const line *n = &l->lines[end];
        if (n->kind != first->kind || n->indent != first->indent || n->blank)
            break;
        uint32_t x = spread_of(n);
        least = x < least ? x : least;
        most = x > most ? x : most;
        if (most - least > SPREAD)
            break;
    }
    return end;
}

static void align(layouter *l)
{
    for (size_t i = 0; i < l->line_count;) {
        size_t end = l->lines[i].kind ? run_end(l, i) : i + 1;
        for (int column = 0; column < AT_COUNT && l->lines[i].kind; column++)
            align_column(l, i, end, column);
        i = end;
    }
    for (size_t i = 0; i < l->line_count;) {
        uint32_t least = UINT32_MAX, most = 0;
        size_t end = i;
        for (; end < l->line_count && l->lines[end].comment != NONE && (end == i || !l->lines[end].blank);
             end++) {
            uint32_t x = l->lines[end].indent + l->lines[end].columns;
            uint32_t low = x < least ? x : least, high = x > most ? x : most;
            if (high - low > SPREAD && end > i)
                break;
            least = low;
            most = high;
        }
        for (size_t k = i; k < end; k++)
            l->lines[k].comment_gap = most + COMMENT_GAP - l->lines[k].indent - l->lines[k].columns;
        i = end > i ? end : i + 1;
    }
}

/* ---- the text ---- */

static char *join(const layouter *l, size_t *size)
{
    size_t total = 1;
    for (size_t i = 0; i < l->line_count; i++) {
        const line *n = &l->lines[i];
        total += n->indent + n->size + 2;
        if (n->comment != NONE)
            total += n->comment_gap + l->tokens[n->comment].text.len;
    }
    char *out = malloc(total), *at = out;
    for (size_t i = 0; out && i < l->line_count; i++) {
        const line *n = &l->lines[i];
        if (n->blank)
            *at++ = '\n';
        memset(at, ' ', n->indent);
        at += n->indent;
        memcpy(at, n->text, n->size);
        at += n->size;
        if (n->comment != NONE) {
            const wm_str *text = &l->tokens[n->comment].text;
            memset(at, ' ', n->comment_gap);
            memcpy(at + n->comment_gap, text->p, text->len);
            at += n->comment_gap + text->len;
        }
        *at++ = '\n';
    }
    if (out)
        *at = 0;
    *size = out ? (size_t)(at - out) : 0;
    return out;
}

static void lay_out(layouter *l, wm_unit *unit, uint32_t file)
{
    size_t count;
    const wm_lexeme *list = wm_lexemes(unit, file, &count);
    collect(l, unit->sources[file], list, count);
    drop_semicolons(l);
    for (size_t i = 0; i < l->count;) {
        size_t end = i + 1;
        while (end < l->count && l->tokens[end].breaks == 0)
            end++;
        add_line(l, i, end);
        i = end;
    }
    align(l);
}

/* Are the tokens and comments of both the same, semicolons and places apart? */
static bool same_tokens(const layouter *a, wm_unit *unit, const char *text, size_t size)
{
    layouter b = {.arena = a->arena};
    size_t count;
    uint32_t file = wm_add_source(unit, "formatted", text, size);
    const wm_lexeme *list = wm_lexemes(unit, file, &count);
    collect(&b, unit->sources[file], list, count);
    drop_semicolons(&b);
    bool same = a->count == b.count;
    for (size_t i = 0; same && i < a->count; i++)
        same = a->tokens[i].kind == b.tokens[i].kind && wm_str_eq(a->tokens[i].text, b.tokens[i].text) &&
               (i == 0 || (a->tokens[i].breaks > 0) == (b.tokens[i].breaks > 0)); /* none before the first */
    return same;
}

typedef struct formatter {
    wm_arena arena;
    wm_unit unit;
    char *out;
} formatter;

static bool format(formatter *f, const wmap_format_options *o, size_t *size, wmap_report **report,
                   wmap_error *err)
{
    uint32_t file = wm_add_source(&f->unit, o->name, o->text, o->text_len);
    f->unit.sources[file]->rules_only = o->rules_only;
    bool parsed = !wm_parse(&f->unit, file)->failed;
    if (parsed) {
        layouter l = {.arena = &f->arena};
        lay_out(&l, &f->unit, file);
        f->out = join(&l, size);
        if (!f->out)
            return wm_fail(err, WMAP_E_NOMEM, "out of memory");
        if (!same_tokens(&l, &f->unit, f->out, *size))
            return wm_fail(err, WMAP_E_INTERNAL, "laying out changed the text");
    }
    *report = wm_report_of(&f->unit, false);
    if (!*report)
        return wm_fail(err, WMAP_E_NOMEM, "out of memory");
    return parsed || wm_fail(err, WMAP_E_SPEC, "the spec has errors");
}

bool wmap_format_spec(const wmap_format_options *options, char **text, size_t *size, wmap_report **report,
                      wmap_error *err)
{
    *text = NULL;
    *size = 0;
    *report = NULL;
    if (options->text_len > WM_MAX_SPEC)
        return wm_fail(err, WMAP_E_USAGE, "a spec is at most 64 MiB");
    formatter *f = calloc(1, sizeof *f); /* not on the stack: it must survive the jump */
    if (!f)
        return wm_fail(err, WMAP_E_NOMEM, "out of memory");
    wm_arena_init(&f->arena);
    f->unit.arena = &f->arena;
    bool ok;
    if (setjmp(*wm_arena_oom(&f->arena)))
        ok = wm_fail(err, WMAP_E_NOMEM, "out of memory");
    else
        ok = format(f, options, size, report, err);
    if (ok)
        *text = f->out;
    else
        free(f->out);
    wm_arena_release(&f->arena);
    free(f);
    return ok;
}
