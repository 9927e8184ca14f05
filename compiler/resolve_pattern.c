/* resolve_pattern.c: strings to patterns. Constant holes become text; what is left are captures. Finds what
 * is wrong with a name by its text alone, before it meets the names of a file. */
#include <string.h>

#include "compiler/resolve_internal.h"

/* ---- variables ---- */

static size_t find_var(const wm_vars *vars, wm_str name)
{
    for (size_t v = 0; v < vars->count; v++)
        if (wm_str_eq(vars->items[v].name, name))
            return v;
    return SIZE_MAX;
}

typedef struct noting {
    wm_resolver *r;
    const wm_scope *scope;
    wm_vars *vars;
    const wm_part *part;
    bool ok;
} noting;

/* What a turned `for "pattern"` says of a variable. */
static void use_capture(const wm_scope *scope, wm_var *var, wm_format_kind *format)
{
    wm_word word = {.text = var->name};
    wm_qname name = {.parts = &word};
    wm_val value = {0};
    wm_span declared;
    if (wm_scope_find(NULL, scope, &name, &value, &declared) != WM_DECL_CAPTURE ||
        value.kind != WM_VAL_STRING)
        return;
    var->text = true;
    var->span = declared;
    *format = (wm_format_kind)value.i;
}

static void note(void *user, const wm_word *name)
{
    noting *n = user;
    wm_vars *vars = n->vars;
    const wm_part *p = n->part;
    bool text = p->format == WM_FMT_STAR || p->format == WM_FMT_STARSTAR, equal = p->kind == WM_PART_EQ;
    size_t v = find_var(vars, name->text);
    if (v == SIZE_MAX) {
        if (vars->count == WM_MAX_VARS) {
            wm_error(n->r->unit, WM_E0906, p->span, "the names of one rule have more than %d variables",
                     WM_MAX_VARS);
            n->ok = false;
            return;
        }
        size_t formats = vars->count;
        if (!vars->items) /* two are enough for most */
            vars->cap = vars->format_cap = 2;
        *wm_push(n->r->unit->arena, vars->formats, formats, vars->format_cap) = WM_FMT_NONE;
        v = vars->count;
        wm_var *var = wm_push(n->r->unit->arena, vars->items, vars->count, vars->cap);
        *var = (wm_var){.name = name->text, .span = name->span, .equal = equal};
        if (n->r->reverse)
            use_capture(n->scope, var, &vars->formats[v]);
    }
    if (vars->items[v].equal != equal) {
        wm_diag *d =
            wm_error(n->r->unit, WM_E0411, p->span, "%s numbers equal copies in one name, and not in another",
                     wm_quote(n->r->unit, name->text));
        wm_diag_also(n->r->unit, d, vars->items[v].span, "the first");
        n->ok = false;
        return;
    }
    if (!text)
        return;
    if (vars->formats[v] != WM_FMT_NONE && vars->formats[v] != p->format) {
        wm_diag *d = wm_error(n->r->unit, WM_E0411, p->span, "%s is of two kinds, `*` and `**`",
                              wm_quote(n->r->unit, name->text));
        wm_diag_also(n->r->unit, d, vars->items[v].span, "the first");
        n->ok = false;
        return;
    }
    vars->formats[v] = p->format;
    vars->items[v].text = true;
    vars->items[v].span = name->span;
}

static bool is_plain_name(const wm_expr *expr)
{
    return expr && expr->kind == WM_EX_NAME && !expr->name->parts->next;
}

/* A hole with `:*` or `:**` is a capture by its form. */
static bool check_text_hole(wm_resolver *r, const wm_scope *scope, const wm_part *p)
{
    if (!is_plain_name(p->expr)) {
        wm_diag *d = wm_error(r->unit, WM_E0410, p->span, "a hole that captures text is a plain name");
        wm_diag_hint(r->unit, d, "as in `{p:**}`");
        return false;
    }
    wm_span declared;
    const wm_word *word = p->expr->name->parts;
    if (!wm_scope_has(scope, word->text, &declared))
        return true;
    wm_diag *d = wm_error(r->unit, WM_E0209, p->span, "the capture %s has the name of a value",
                          wm_quote(r->unit, word->text));
    wm_diag_also(r->unit, d, declared, "declared here");
    wm_diag_hint(r->unit, d, "`{%.*s}` is its value; a capture needs another name", (int)word->text.len,
                 word->text.p);
    return false;
}

/* E0301: only tables have entries, a capture has none. */
static bool check_indexed(wm_resolver *r, const wm_scope *scope, const wm_expr *expr)
{
    if (!expr)
        return true;
    if (expr->kind == WM_EX_INDEX && is_plain_name(expr->a)) {
        const wm_word *word = expr->a->name->parts;
        wm_span declared;
        if (!wm_scope_has(scope, word->text, &declared)) {
            wm_error(r->unit, WM_E0301, word->span, "no table is called %s here",
                     wm_quote(r->unit, word->text));
            return false;
        }
    }
    return check_indexed(r, scope, expr->a) && check_indexed(r, scope, expr->b);
}

/* `{=s}`: of a name that is written the copies are numbered, so it is no text. */
static bool check_equal_hole(wm_resolver *r, const wm_scope *scope, const wm_part *p, wm_use use)
{
    bool text = p->format == WM_FMT_STAR || p->format == WM_FMT_STARSTAR;
    if (use == WM_USE_LOOKED) {
        wm_diag *d = wm_error(r->unit, WM_E0312, p->span, "equal copies stand in names of rules only");
        wm_diag_hint(r->unit, d, "`{*}` stands for any text");
        return false;
    }
    if (use == WM_USE_WRITTEN && text) {
        wm_error(r->unit, WM_E0411, p->span, "copies that are written are numbered, not named by text");
        return false;
    }
    return check_text_hole(r, scope, p);
}

bool wm_note_vars(wm_resolver *r, const wm_scope *scope, const wm_string *string, wm_use use, wm_vars *vars)
{
    noting n = {r, scope, vars, NULL, true};
    for (const wm_part *p = string->parts; p; p = p->next) {
        bool text = p->format == WM_FMT_STAR || p->format == WM_FMT_STARSTAR;
        n.part = p;
        if (p->kind == WM_PART_STAR || p->kind == WM_PART_STARSTAR) {
            if (use == WM_USE_LOOKED)
                continue;
            wm_diag *d = wm_error(r->unit, WM_E0312, p->span, "a wildcard cannot stand in a name that is %s",
                                  use == WM_USE_READ ? "kept" : "written");
            wm_diag_hint(r->unit, d, "capture the text, as in `{p:%s}`",
                         p->kind == WM_PART_STAR ? "*" : "**");
            n.ok = false;
        } else if (p->kind == WM_PART_EQ && !check_equal_hole(r, scope, p, use)) {
            n.ok = false;
        } else if (p->kind == WM_PART_HOLE && text && !check_text_hole(r, scope, p)) {
            n.ok = false;
        } else if (p->kind != WM_PART_TEXT && p->format == WM_FMT_WIDTH && (p->width == 0 || p->width > 99)) {
            wm_error(r->unit, WM_E0207, p->span, "a width is 0 and one digit or two, as in `{n:02}`");
            n.ok = false;
        } else if (p->kind != WM_PART_TEXT) {
            n.ok &= check_indexed(r, scope, p->expr);
            wm_free_names(scope, p->expr, note, &n);
        }
    }
    return n.ok;
}

/* ---- patterns ---- */

typedef struct maker {
    wm_resolver *r;
    const wm_scope *scope;
    wm_use use;
    const wm_vars *vars;
    wm_pattern *pattern;
    wm_str lone;    /* constant text since the last hole, while it is of one part */
    wm_buffer text; /* the same, joined of several */
    wm_span text_span;
    bool *seen;
    bool ok;
} maker;

/* Room for most names at the first byte. */
static wm_buffer new_text(wm_arena *arena)
{
    return (wm_buffer){.arena = arena, .cap = 48};
}

static void add_text(maker *m, wm_str text, wm_span span)
{
    if (m->text.len == 0 && m->lone.len == 0) { /* mostly it stays alone and need not be copied */
        m->lone = text;
        m->text_span = span;
        return;
    }
    if (m->text.len == 0)
        wm_buffer_add(&m->text, m->lone.p, m->lone.len);
    m->text_span.end = span.end;
    wm_buffer_add(&m->text, text.p, text.len);
}

static void end_text(maker *m)
{
    wm_str text = m->text.len ? (wm_str){m->text.text, (uint32_t)m->text.len} : m->lone;
    if (text.len == 0)
        return;
    m->pattern->holes[m->pattern->count++] =
        (wm_hole){.kind = WM_HOLE_TEXT, .span = m->text_span, .text = text, .var = WM_NO_VAR};
    m->text = new_text(m->r->unit->arena);
    m->lone = WM_STR("");
}

static bool is_text_hole(const wm_hole *hole)
{
    return hole->kind == WM_HOLE_STAR || hole->kind == WM_HOLE_STARSTAR;
}

static void add_hole(maker *m, wm_hole hole)
{
    end_text(m);
    wm_pattern *p = m->pattern;
    const wm_hole *last = p->count ? &p->holes[p->count - 1] : NULL;
    if (m->use != WM_USE_WRITTEN && last && is_text_hole(last) && is_text_hole(&hole)) {
        wm_diag *d = wm_error(m->r->unit, WM_E0406, hole.span,
                              "two holes of text stand side by side: nothing says where to cut");
        wm_diag_also(m->r->unit, d, last->span, "the first");
        m->ok = false;
    }
    p->holes[p->count++] = hole;
}

/* The entries of a table that is read backwards must differ. */
static void check_table(maker *m, const wm_part *part, const wm_val *table)
{
    wm_unit *unit = m->r->unit;
    if (table->items == m->r->distinct)
        return;
    wm_map entries;
    wm_map_init(&entries, unit->arena, table->count);
    for (uint32_t i = 0; i < table->count; i++) {
        const wm_val *v = &table->items[i];
        wm_buffer text = {.arena = unit->arena};
        wm_part plain = {.span = part->span};
        if (!wm_hole_show(unit, &plain, v, &text)) {
            m->ok = false;
            return;
        }
        wm_buffer_add(&text, "", 0);
        uint32_t before = wm_map_put(&entries, text.text, text.len, i, NULL);
        if (before == WM_MAP_NONE)
            continue;
        wm_diag *d = wm_error(unit, WM_E0408, part->span, "the entries %u and %u of this table are both %s",
                              before, i, wm_quote(unit, (wm_str){text.text, (uint32_t)text.len}));
        wm_diag_note(unit, d, "on the side that is read, a name must say which entry it is");
        m->ok = false;
        return;
    }
    m->r->distinct = table->items;
}

static wm_found unknown_var(void *user, wm_str name, wm_val *value)
{
    (void)value;
    return find_var(user, name) == SIZE_MAX ? WM_FOUND_NO : WM_FOUND_UNKNOWN;
}

/* An expression over captures: checked now, solved or computed when their values are known. */
static void add_computed(maker *m, const wm_part *p)
{
    wm_str unknown;
    int64_t a, b;
    const wm_val *table;
    wm_hook hook = {unknown_var, (void *)(uintptr_t)m->vars};
    if (wm_eval_linear(m->r->unit, m->scope, &hook, p->expr, &unknown, &a, &b, &table) == WM_EVAL_ERROR) {
        m->ok = false;
        return;
    }
    if (table && m->use != WM_USE_WRITTEN)
        check_table(m, p, table);
    add_hole(m, (wm_hole){.kind = WM_HOLE_VALUE,
                          .span = p->span,
                          .format = p->format,
                          .width = p->width,
                          .var = WM_NO_VAR,
                          .expr = p->expr});
}

typedef struct hole_names {
    const maker *m;
    const wm_part *part;
    uint32_t count;
    bool ok;
} hole_names;

/* In an expression a variable is a number. */
static void mark_name(void *user, const wm_word *name)
{
    hole_names *h = user;
    const maker *m = h->m;
    size_t v = find_var(m->vars, name->text);
    h->count++;
    if (v == SIZE_MAX)
        return;
    if (m->seen)
        m->seen[v] = true;
    if (!m->vars->items[v].text || is_plain_name(h->part->expr))
        return;
    wm_diag *d = wm_error(m->r->unit, WM_E0411, name->span, "%s is text, it cannot be computed with",
                          wm_quote(m->r->unit, name->text));
    wm_diag_also(m->r->unit, d, m->vars->items[v].span, "it captures text here");
    h->ok = false;
}

static void add_variable(maker *m, const wm_part *p, uint32_t v)
{
    wm_hole hole = {
        .kind = WM_HOLE_VALUE, .span = p->span, .var = v, .expr = p->expr, .equal = m->vars->items[v].equal};
    bool text = p->format == WM_FMT_STAR || p->format == WM_FMT_STARSTAR;
    if (!m->vars->items[v].text) {
        hole.format = p->format;
        hole.width = p->width;
    } else if (!text && p->format != WM_FMT_NONE) {
        wm_diag *d = wm_error(m->r->unit, WM_E0411, p->span, "this format is for integers, but %s is text",
                              wm_quote(m->r->unit, m->vars->items[v].name));
        wm_diag_also(m->r->unit, d, m->vars->items[v].span, "it captures text here");
        m->ok = false;
    } else {
        hole.kind = m->vars->formats[v] == WM_FMT_STAR ? WM_HOLE_STAR : WM_HOLE_STARSTAR;
    }
    add_hole(m, hole);
}

static void add_expression(maker *m, const wm_part *p)
{
    hole_names names = {m, p, 0, true};
    if ((p->format == WM_FMT_STAR || p->format == WM_FMT_STARSTAR) && !is_plain_name(p->expr)) {
        m->ok = false; /* E0410 was reported */
        return;
    }
    wm_free_names(m->scope, p->expr, mark_name, &names);
    m->ok &= names.ok;
    if (names.count && is_plain_name(p->expr)) {
        size_t v = find_var(m->vars, p->expr->name->parts->text);
        m->ok &= v != SIZE_MAX; /* too many variables: reported */
        if (v != SIZE_MAX)
            add_variable(m, p, (uint32_t)v);
        return;
    }
    if (names.count) {
        if (names.ok)
            add_computed(m, p);
        return;
    }
    wm_val value;
    wm_evaluated done = wm_eval(m->r->unit, m->scope, NULL, p->expr, &value);
    wm_buffer shown = {.arena = m->r->unit->arena};
    if (done == WM_EVAL_UNKNOWN) /* a round without names: any text may stand here */
        add_hole(m, (wm_hole){.kind = WM_HOLE_STARSTAR, .span = p->span, .var = WM_NO_VAR});
    else if (done == WM_EVAL_ERROR || !wm_hole_show(m->r->unit, p, &value, &shown))
        m->ok = false;
    else
        add_text(m, (wm_str){shown.text, (uint32_t)shown.len}, p->span);
}

static void add_part(maker *m, const wm_part *p)
{
    switch (p->kind) {
    case WM_PART_TEXT:
        add_text(m, p->text, p->span);
        break;
    case WM_PART_STAR:
    case WM_PART_STARSTAR:
        add_hole(m, (wm_hole){.kind = p->kind == WM_PART_STAR ? WM_HOLE_STAR : WM_HOLE_STARSTAR,
                              .span = p->span,
                              .var = WM_NO_VAR});
        break;
    case WM_PART_HOLE:
    case WM_PART_EQ:
        add_expression(m, p);
        break;
    }
}

bool wm_make_pattern(wm_resolver *r, const wm_scope *scope, const wm_string *string, wm_use use,
                     const wm_vars *vars, wm_pattern *pattern, bool *seen)
{
    wm_arena *arena = r->unit->arena;
    *pattern = (wm_pattern){.span = string->span, .scope = scope};
    const wm_part *only = string->parts;
    if (!only || (only->kind == WM_PART_TEXT && !only->next)) {
        pattern->literal = true;
        pattern->text = only ? only->text : WM_STR("");
        pattern->holes = wm_new(arena, wm_hole, only != NULL);
        if (only)
            pattern->holes[pattern->count++] =
                (wm_hole){.kind = WM_HOLE_TEXT, .span = only->span, .text = only->text, .var = WM_NO_VAR};
        return true;
    }
    maker m = {
        .r = r, .scope = scope, .use = use, .vars = vars, .pattern = pattern, .seen = seen, .ok = true};
    m.text = new_text(arena);
    size_t parts = 0;
    for (const wm_part *p = string->parts; p; p = p->next)
        parts++;
    r->holes = wm_grow(arena, r->holes, 0, parts, &r->hole_cap, sizeof *r->holes);
    pattern->holes = r->holes;
    for (const wm_part *p = string->parts; p; p = p->next)
        add_part(&m, p);
    end_text(&m);
    pattern->holes = wm_new(arena, wm_hole, pattern->count);
    if (pattern->count)
        memcpy(pattern->holes, r->holes, pattern->count * sizeof *pattern->holes);
    pattern->literal = pattern->count == 0 || (pattern->count == 1 && pattern->holes[0].kind == WM_HOLE_TEXT);
    if (pattern->literal)
        pattern->text = pattern->count ? pattern->holes[0].text : WM_STR("");
    if (m.ok && pattern->literal && pattern->text.len > 65536) {
        wm_error(r->unit, WM_E0904, string->span, "this gives a name of %u bytes, the limit is 64 KiB",
                 pattern->text.len);
        return false;
    }
    return m.ok;
}

/* ---- has ---- */

static void found_one(void *user, size_t name, const wm_capture *captures)
{
    (void)name;
    (void)captures;
    *(bool *)user = true;
}

/* E0703: a variable of a turned `for "pattern"` has no value before a rule is matched. */
static bool is_capture(wm_unit *unit, const wm_scope *scope, const wm_var *var)
{
    wm_word word = {.text = var->name};
    wm_qname name = {.parts = &word};
    wm_val value;
    wm_span declared;
    if (wm_scope_find(NULL, scope, &name, &value, &declared) != WM_DECL_CAPTURE)
        return false;
    wm_diag *d = wm_error(unit, WM_E0703, var->span,
                          "%s is captured by each rule in reverse, so `has` cannot ask for it",
                          wm_quote(unit, var->name));
    wm_diag_also(unit, d, declared, "in reverse this `for` reads no names");
    return true;
}

wm_evaluated wm_has_name(wm_unit *unit, const wm_scope *scope, const wm_string *string, bool *found)
{
    const wm_file *file = wm_scope_file(scope);
    wm_names *names = file ? file->world->names : NULL;
    wm_resolver r = {.unit = unit}; /* patterns need no more of it */
    wm_vars vars = {0};
    wm_pattern pattern;
    if (!wm_note_vars(&r, scope, string, WM_USE_LOOKED, &vars) ||
        !wm_make_pattern(&r, scope, string, WM_USE_LOOKED, &vars, &pattern, NULL))
        return WM_EVAL_ERROR;
    for (size_t v = 0; v < vars.count; v++)
        if (is_capture(unit, scope, &vars.items[v]))
            return WM_EVAL_ERROR;
    if (!names && file && file->world->undeclared) {
        wm_diag *d = wm_error(unit, WM_E0703, string->span,
                              "`has` asks about the side that is written in reverse, and it is not declared");
        wm_diag_hint(unit, d, "name a file like it with `--target-like`, or declare it with `map ... from`");
        return WM_EVAL_ERROR;
    }
    if (!names)
        return WM_EVAL_UNKNOWN;
    *found = false;
    bool good =
        wm_names_match(names, unit, &pattern, vars.items, (uint32_t)vars.count, NULL, found_one, found);
    return good ? WM_EVAL_OK : WM_EVAL_ERROR;
}
