/* parse.c: from a text to its tree. Checks the bytes, starts scanner and parser, and is the filter between
 * them: it makes ends of statements out of newlines (docs/language.md section 2), keeps the nesting and its
 * limit, and after an error finds where the next statement begins. */
#include "compiler/parse.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "compiler/grammar.h"
#include "grammar/wmap.tab.h"
#include "runtime/base/text.h"

wm_str wm_text_at(const wm_parser *p, wm_span span)
{
    return (wm_str){p->source->text + span.beg, span.end - span.beg};
}

wm_diag *wm_syntax(wm_parser *p, wm_diag_id id, wm_span span, const char *format, ...)
{
    p->failed = true;
    p->reported[1] = p->reported[0]; /* the token behind a statement may have been looked at */
    p->reported[0] = span;
    /* after an error, quotes may be out of step up to the end of the line */
    if (p->quiet || (p->recovering && id == WM_E0103))
        return NULL;
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    char *text = wm_alloc(p->arena, len < 0 ? 1 : (size_t)len + 1);
    if (len >= 0)
        vsnprintf(text, (size_t)len + 1, format, again);
    va_end(again);
    va_end(args);
    return wm_error(p->unit, id, span, "%s", text);
}

/* ---- the filter ---- */

static wm_open *top(wm_parser *p)
{
    return &p->open[p->depth];
}

/* In brackets, labels and holes a newline is white space. */
static bool in_list(wm_parser *p)
{
    return top(p)->kind != 'B';
}

bool wm_at_start(const wm_parser *p)
{
    return p->previous == T_END || p->previous == p->start ||
           (p->previous == '{' && p->open[p->depth].kind == 'B');
}

/* A statement goes on after these. */
static bool goes_on_after(int kind)
{
    switch (kind) {
    case ',':
    case '|':
    case '+':
    case '-':
    case '*':
    case '/':
    case '%':
    case '=':
    case '<':
    case '>':
    case T_ARROW:
    case T_FLOORDIV:
    case T_EQ:
    case T_NE:
    case T_LE:
    case T_GE:
    case T_AND:
    case T_OR:
    case T_NOT:
    case T_THEN:
        return true;
    default:
        return false;
    }
}

/* And goes on where the next line starts with one of these. */
static bool goes_on_with(int kind)
{
    return kind == T_ARROW || kind == '|' || kind == T_WHERE || kind == T_THEN || kind == T_ELSE;
}

/* Words that open a statement or an item and stand in no list of values: in a list that has an error in it
 * and spans lines, one of them at the start of a line says that the list was never closed. */
static bool opens_statement(int kind)
{
    return kind == T_MAP || kind == T_MODEL || kind == T_PARAM || kind == T_TABLE || kind == T_IMPORT ||
           kind == T_TEST || kind == T_FILL || kind == T_DROP || kind == T_KEEP || kind == T_USE ||
           kind == T_FOR || kind == T_GIVEN || kind == T_EXPECT;
}

static bool is_hub(int kind)
{
    return kind == T_LAYER || kind == T_DIALECT || kind == T_ARCHITECTURE || kind == T_BLOCK;
}

static bool opens_item(int kind)
{
    return is_hub(kind) || kind == T_IMPORT || kind == T_PARAM || kind == T_TABLE || kind == T_MODEL ||
           kind == T_MAP || kind == T_TEST;
}

/* A statement whose block can be read on after an error before its `{`; others are skipped with their block.
 */
static bool has_block(wm_parser *p, int first, uint32_t depth)
{
    if (depth == 0 && p->start != T_START_RULES)
        return first == T_MAP || first == T_MODEL || first == T_TEST || is_hub(first);
    return first == T_FOR || first == T_IF || first == T_MAP;
}

static void pop(wm_parser *p)
{
    p->chains -= top(p)->chain;
    if (top(p)->kind == 'B')
        p->first = top(p)->first;
    p->depth--;
}

static void leave_lists(wm_parser *p)
{
    while (p->depth > 0 && in_list(p)) {
        p->loose += top(p)->kind == 'L';
        pop(p);
    }
}

static void too_deep(wm_parser *p, wm_span span)
{
    if (!p->stopped)
        wm_syntax(p, WM_E0902, span, "this is nested more than %d deep", WM_MAX_NESTING);
    p->stopped = true;
}

static void push(wm_parser *p, char kind, wm_span span)
{
    if (p->depth + p->chains >= WM_MAX_NESTING) {
        too_deep(p, span);
        return;
    }
    p->depth++;
    *top(p) = (wm_open){.kind = kind, .first = p->first, .line = p->line, .span = span};
}

/* An `else if` chain is as deep as the blocks that it stands for. */
static void chain(wm_parser *p, wm_span span)
{
    top(p)->chain++;
    p->chains++;
    if (p->depth + p->chains > WM_MAX_NESTING)
        too_deep(p, span);
}

static void track_close(wm_parser *p, int kind)
{
    char open = top(p)->kind;
    if ((kind == ')' && open == '(') || (kind == ']' && open == '[') ||
        (kind == '}' && (open == 'L' || open == 'B') && p->depth > 0)) {
        if (open == 'B' && p->depth == 1)
            p->block_end = p->previous_span;
        pop(p);
    } else if (kind == T_HOLE_CLOSE) {
        uint32_t at = p->depth;
        while (at > 0 && p->open[at].kind != 'H' && p->open[at].kind != 'B')
            at--;
        while (p->open[at].kind == 'H' && p->depth >= at)
            pop(p);
    }
}

/* Keeps the open brackets. `before` is the token before. */
static void track_brackets(wm_parser *p, const wm_token *t, int before)
{
    switch (t->kind) {
    case '(':
    case '[':
        push(p, (char)t->kind, t->span);
        break;
    case T_HOLE_OPEN:
        push(p, 'H', t->span);
        break;
    case '{':
        push(p, in_list(p) ? 'L' : 'B', t->span);
        if (!in_list(p))
            p->recovering = false;
        break;
    case ')':
    case ']':
    case '}':
    case T_HOLE_CLOSE:
        track_close(p, t->kind);
        break;
    case T_IF:
        if (before == T_ELSE || before == T_THEN)
            chain(p, t->span);
        break;
    case T_END:
        if (p->recovering)
            leave_lists(p);
        if (!in_list(p)) {
            p->chains -= top(p)->chain;
            top(p)->chain = 0;
            p->recovering = false;
            p->loose = 0;
        }
        break;
    default:
        break;
    }
}

/* Notes what the parser is given. */
static void deliver(wm_parser *p, wm_token *t)
{
    bool start = wm_at_start(p);
    int before = p->previous;
    if (t->kind == T_WORD && (start || p->previous == T_DROP) && !p->source->option &&
        wm_str_eq(wm_text_at(p, t->span), WM_STR("meta")))
        t->kind = T_META;
    if (start && t->kind != T_END && (t->kind != '}' || p->depth == 0)) {
        p->first = t->kind;
        p->first_span = t->span;
        p->given = 0;
    }
    p->given++;
    if (t->kind != T_END && t->kind != 0)
        p->text_end = t->span.end;
    if (p->depth == 0 && opens_item(t->kind) && p->given == 1)
        p->item_error = false;
    p->previous = t->kind;
    p->previous_span = t->span;
    track_brackets(p, t, before);
    if (t->kind == T_WM_YYerror)
        wm_recover(p);
}

/* The next token but newlines; `newline` says if there were any before it. */
static void fetch(wm_parser *p, wm_token *t, bool *newline)
{
    *newline = false;
    if (p->holds && !p->stopped) {
        *t = p->held;
        p->holds = false;
        return;
    }
    do {
        t->span = (wm_span){p->file, p->source->size, p->source->size};
        t->kind = p->stopped ? 0 : wm_scan(&t->value, &t->span, p->scanner);
        if (t->kind == WM_NEWLINE) {
            *newline = true;
            p->line++;
        }
    } while (t->kind == WM_NEWLINE);
}

bool wm_goes_on(int before, int next)
{
    return goes_on_after(before) || goes_on_with(next);
}

static bool ends_statement(wm_parser *p, const wm_token *t, bool newline)
{
    if (wm_at_start(p))
        return false;
    if (t->kind == 0)
        return true;
    if (t->kind == '}')
        return top(p)->kind != 'L';
    return newline && !in_list(p) && !wm_goes_on(p->previous, t->kind);
}

static void next(wm_parser *p, wm_token *t);

/* Reads on up to the bracket that closes the block which was opened last. */
static void skip_block(wm_parser *p)
{
    uint32_t level = p->depth;
    wm_token t = {0};
    p->recovering = false;
    do
        next(p, &t);
    while (p->depth >= level && t.kind != 0);
    p->recovering = true;
    if (t.kind == 0) {
        p->held = t;
        p->holds = true;
    }
}

void wm_recover(wm_parser *p)
{
    uint32_t block = p->depth;
    while (block > 0 && p->open[block].kind != 'B')
        block--;
    p->recovering = true;
    /* A list that began on this line ends with it at the latest; a longer one is read to its end. */
    if (block < p->depth && (p->open[block + 1].line == p->line || p->previous == T_ARROW))
        leave_lists(p);
    if (p->previous == '{' && top(p)->kind == 'B' && p->depth > 0 &&
        !has_block(p, top(p)->first, p->depth - 1))
        skip_block(p);
}

/* A list with an error in it that is not closed: what comes is clearly no part of it. */
static bool list_is_over(wm_parser *p, const wm_token *t, bool newline)
{
    return p->recovering && in_list(p) && (t->kind == T_ARROW || (newline && opens_statement(t->kind)));
}

static void next(wm_parser *p, wm_token *t)
{
    bool lost_map = false;
    for (;;) {
        bool newline;
        fetch(p, t, &newline);
        if (list_is_over(p, t, newline))
            leave_lists(p);
        if (p->recovering && p->loose && t->kind == '}' && top(p)->kind != 'L') {
            p->loose--;
            continue;
        }
        if (ends_statement(p, t, newline)) {
            p->held = *t;
            p->holds = true;
            uint32_t at = t->kind == '}' ? t->span.beg : p->previous_span.end;
            t->span = (wm_span){p->file, at, t->kind == '}' ? t->span.end : at};
            t->kind = T_END;
        } else if (t->kind == ';') {
            if (wm_at_start(p))
                continue;
            t->kind = T_END;
        } else if (p->recovering && t->kind == '{' && !in_list(p) && !has_block(p, p->first, p->depth)) {
            deliver(p, t);
            skip_block(p);
            continue;
        }
        lost_map = p->recovering && t->kind == '{' && !in_list(p) && p->depth > 0 && p->first == T_MAP;
        break;
    }
    deliver(p, t);
    /* A map inside of a map whose `}` was forgotten: its statements are read as those of the first. */
    if (lost_map)
        t->kind = T_END;
}

int wm_yylex(wm_node *value, wm_span *span, wm_parser *p)
{
    wm_token t = {0};
    if (p->previous == 0) {
        p->previous = p->start;
        *span = (wm_span){p->file, 0, 0};
        return p->start;
    }
    next(p, &t);
    if (p->stopped)
        t.kind = 0;
    *value = t.value;
    *span = t.span;
    return t.kind;
}

/* ---- texts ---- */

/* The offset of the first NUL or malformed character, or the size. */
static uint32_t first_bad_byte(const wm_source *source)
{
    const char *text = source->text;
    uint32_t at = 0, size = source->size;
    const char *nul = memchr(text, '\0', size);
    uint32_t end = nul ? (uint32_t)(nul - text) : size;
    while (at < end) {
        uint64_t eight;
        if (end - at >= 8 && (memcpy(&eight, text + at, 8), (eight & UINT64_C(0x8080808080808080)) == 0)) {
            at += 8;
            continue;
        }
        uint32_t scalar;
        size_t len = wm_utf8(text + at, end - at, &scalar);
        if (len == 0)
            return at;
        at += (uint32_t)len;
    }
    return end;
}

static bool text_is_sound(wm_parser *p)
{
    const wm_source *source = p->source;
    if (source->size > WM_MAX_FILE) {
        wm_syntax(p, WM_E0904, (wm_span){p->file, 0, 0}, "a spec has at most 64 MiB");
        return false;
    }
    uint32_t bad = first_bad_byte(source);
    if (bad == source->size)
        return true;
    const char *what = source->text[bad] ? "malformed UTF-8" : "a NUL byte";
    wm_diag *d =
        wm_syntax(p, WM_E0102, (wm_span){p->file, bad, bad + 1}, "%s: this is not the text of a spec", what);
    if (d && (unsigned char)source->text[bad] >= 0x80)
        wm_diag_hint(p->unit, d, "a spec is UTF-8 text");
    return false;
}

static wm_parser *open_parser(wm_unit *unit, uint32_t file, int start)
{
    wm_parser *p = wm_new(unit->arena, wm_parser, 1);
    p->unit = unit;
    p->arena = unit->arena;
    p->file = file;
    p->source = unit->sources[file];
    p->ast = wm_new(unit->arena, wm_ast, 1);
    p->start = start;
    p->open[0].kind = 'B';
    p->last_error = p->reported[0] = p->reported[1] = WM_NOWHERE;
    return p;
}

static void open_scanner(wm_parser *p)
{
    /* The source is the unit's own copy; the scanner puts NULs behind tokens while it runs, and takes them
     * away. */
    char *text = (char *)(uintptr_t)p->source->text;
    size_t skip = p->source->size >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    p->scanner = wm_scan_open(p, text + skip, p->source->size - skip + 2);
}

/* True if the text goes on as a spec does; the first token is held for the parser. */
static bool first_statement(wm_parser *p)
{
    bool newline;
    fetch(p, &p->held, &newline);
    p->holds = true;
    int kind = p->held.kind;
    if (kind == T_WMAP)
        return true;
    p->start = T_START_ITEMS;
    if (kind == T_WM_YYerror)
        return false; /* reported */
    wm_diag *d = wm_syntax(p, WM_E0111, p->held.span, "the first statement must be `wmap 1`");
    if (d) {
        wm_span before = {p->held.span.file, p->held.span.beg, p->held.span.beg};
        wm_diag_hint(p->unit, d, "it says which version of the language this is");
        wm_diag_fix(p->unit, d, before, "wmap 1\n");
    }
    return opens_item(kind);
}

wm_ast *wm_parse(wm_unit *unit, uint32_t file)
{
    wm_parser *p = open_parser(unit, file, unit->sources[file]->rules_only ? T_START_RULES : T_START_FILE);
    if (text_is_sound(p)) {
        open_scanner(p);
        if ((p->start == T_START_RULES || first_statement(p)) && wm_yyparse(p) != 0)
            p->failed = true;
        wm_scan_close(p->scanner);
    }
    p->ast->failed = p->failed;
    return p->ast;
}

wm_lexeme *wm_lexemes(wm_unit *unit, uint32_t file, size_t *count)
{
    wm_parser *p = open_parser(unit, file, T_START_ITEMS);
    wm_lexeme *list = NULL;
    size_t cap = 0;
    bool quoted = false;
    p->quiet = true;
    *count = 0;
    open_scanner(p);
    for (wm_token t = {0};;) {
        t.span = (wm_span){file, p->source->size, p->source->size};
        t.kind = wm_scan(&t.value, &t.span, p->scanner);
        if (t.kind == 0)
            break;
        if (t.kind == T_UNQUOTE) {
            list[*count - 1].end = t.span.end;
            quoted = false;
        } else if (t.kind != WM_NEWLINE && !quoted) {
            quoted = t.kind == T_QUOTE;
            *wm_push(p->arena, list, *count, cap) =
                (wm_lexeme){quoted || t.kind == T_RAW ? T_STRING : t.kind, t.span.beg, t.span.end};
        }
    }
    wm_scan_close(p->scanner);
    return list;
}

static wm_parser *parse_quietly(wm_unit *unit, uint32_t file, int start)
{
    wm_parser *p = open_parser(unit, file, start);
    p->quiet = true;
    if (!text_is_sound(p))
        return NULL;
    open_scanner(p);
    bool parsed = wm_yyparse(p) == 0;
    wm_scan_close(p->scanner);
    return parsed && !p->failed ? p : NULL;
}

wm_expr *wm_parse_expr(wm_unit *unit, uint32_t file)
{
    wm_parser *p = parse_quietly(unit, file, T_START_EXPR);
    return p ? p->expr : NULL;
}

wm_call *wm_parse_call(wm_unit *unit, uint32_t file)
{
    wm_parser *p = parse_quietly(unit, file, T_START_CALL);
    return p ? p->call : NULL;
}
