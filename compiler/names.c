/* names.c: matching patterns against the names of one side. Receives patterns whose constant holes are text
 * already; gives names with the captures of their holes. Knows nothing of tensors but their names.
 *
 * Two steps. `collect` finds candidates by descending the sorted names as a trie: a node is a range of names
 * that share a prefix. `match_one` decides for one name, by a table over (hole, position) filled from the
 * right: it costs holes * length, and nothing backtracks. */
#include "compiler/names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/words.h"
#include "runtime/base/map.h"

#define MAX_DIGITS 19

struct wm_names {
    wm_unit *unit;
    const wm_str *names;    /* then the aliases */
    size_t count, total;    /* names; names and aliases */
    const uint32_t *owners; /* of each alias, the number of its name */
    wm_map map;
    uint32_t *sorted;   /* by bytes; made when first needed */
    uint32_t *reversed; /* by bytes from the end */
    uint8_t *table;     /* of match_one */
    size_t table_cap;
    uint32_t *found; /* candidates of one pattern */
    size_t found_count, found_cap;
    struct entries **tables; /* that patterns look into */
    size_t table_count, tables_cap;
    wm_map table_map; /* where a table's items stand -> tables */
    wm_words *words;  /* made when scanning has cost more */
    uint64_t scanned; /* names that text holes were tried on */
};

static wm_names *new_index(wm_unit *unit, const wm_str *names, size_t count, size_t total,
                           const uint32_t *owners)
{
    wm_names *index = wm_new(unit->arena, wm_names, 1);
    *index = (wm_names){.unit = unit, .names = names, .count = count, .total = total, .owners = owners};
    wm_map_init(&index->map, unit->arena, total);
    for (size_t i = 0; i < total; i++)
        wm_map_put(&index->map, names[i].p, names[i].len, (uint32_t)i, NULL);
    return index;
}

wm_names *wm_names_index(wm_unit *unit, const wm_str *names, size_t count)
{
    return new_index(unit, names, count, count, NULL);
}

wm_names *wm_names_index_aliased(wm_unit *unit, const wm_str *names, const wm_str *aliases, size_t count)
{
    size_t total = count;
    for (size_t i = 0; i < count; i++)
        total += aliases[i].len > 0;
    wm_str *all = wm_new(unit->arena, wm_str, total);
    uint32_t *owners = wm_new(unit->arena, uint32_t, total - count);
    if (count)
        memcpy(all, names, count * sizeof *all);
    size_t at = count;
    for (size_t i = 0; i < count; i++)
        if (aliases[i].len) {
            owners[at - count] = (uint32_t)i;
            all[at++] = aliases[i];
        }
    return new_index(unit, all, count, total, owners);
}

const wm_str *wm_names_all(const wm_names *names, size_t *total)
{
    *total = names->total;
    return names->names;
}

static uint32_t owner_of(const wm_names *names, uint32_t name)
{
    return name < names->count ? name : names->owners[name - names->count];
}

size_t wm_names_find(const wm_names *names, wm_str name)
{
    uint32_t at = wm_map_get(&names->map, name.p, name.len);
    return at == WM_MAP_NONE || at >= names->count ? WM_NO_NAME : at;
}

/* ---- the sorted indexes ---- */

static int compare(const void *a, const void *b, void *user)
{
    const wm_str *names = user;
    wm_str x = names[*(const uint32_t *)a], y = names[*(const uint32_t *)b];
    int order = memcmp(x.p, y.p, x.len < y.len ? x.len : y.len);
    return order ? order : (x.len > y.len) - (x.len < y.len);
}

static int compare_reversed(const void *a, const void *b, void *user)
{
    const wm_str *names = user;
    wm_str x = names[*(const uint32_t *)a], y = names[*(const uint32_t *)b];
    for (uint32_t i = 0; i < x.len && i < y.len; i++) {
        unsigned char p = (unsigned char)x.p[x.len - 1 - i], q = (unsigned char)y.p[y.len - 1 - i];
        if (p != q)
            return p < q ? -1 : 1;
    }
    return (x.len > y.len) - (x.len < y.len);
}

static uint32_t *sorted_index(wm_names *names, bool reversed)
{
    uint32_t **index = reversed ? &names->reversed : &names->sorted;
    if (!*index) {
        *index = wm_new(names->unit->arena, uint32_t, names->total);
        for (size_t i = 0; i < names->total; i++)
            (*index)[i] = (uint32_t)i;
        qsort_r(*index, names->total, sizeof **index, reversed ? compare_reversed : compare,
                (void *)(uintptr_t)names->names);
    }
    return *index;
}

/* A node of the trie: the names [lo, hi) of an index share their first `depth` bytes. */
typedef struct node {
    size_t lo, hi;
    uint32_t depth;
} node;

/* The byte of a name at `depth`, counted from the end if reversed; -1 past it. */
static int byte_at(const wm_names *names, bool reversed, size_t slot, uint32_t depth)
{
    wm_str name = names->names[(reversed ? names->reversed : names->sorted)[slot]];
    if (depth >= name.len)
        return -1;
    return (unsigned char)name.p[reversed ? name.len - 1 - depth : depth];
}

/* Narrows a node to the names whose next byte is `byte`. */
static bool step(const wm_names *names, bool reversed, node *at, int byte)
{
    size_t lo = at->lo, hi = at->hi;
    while (lo < hi) { /* the first name whose byte is not smaller */
        size_t mid = lo + (hi - lo) / 2;
        if (byte_at(names, reversed, mid, at->depth) < byte)
            lo = mid + 1;
        else
            hi = mid;
    }
    size_t first = lo;
    if (first == at->hi || byte_at(names, reversed, first, at->depth) != byte)
        return false;
    if (byte_at(names, reversed, at->hi - 1, at->depth) == byte) {
        lo = at->hi;
    } else {
        for (hi = at->hi; lo < hi;) {
            size_t mid = lo + (hi - lo) / 2;
            if (byte_at(names, reversed, mid, at->depth) <= byte)
                lo = mid + 1;
            else
                hi = mid;
        }
    }
    *at = (node){first, lo, at->depth + 1};
    return true;
}

static bool step_text(const wm_names *names, bool reversed, node *at, wm_str text)
{
    for (uint32_t i = 0; i < text.len; i++)
        if (!step(names, reversed, at, (unsigned char)text.p[reversed ? text.len - 1 - i : i]))
            return false;
    return true;
}

/* ---- one pattern, prepared ---- */

/* The texts of a table's entries. */
typedef struct entries {
    const wm_val *table;
    wm_map index; /* the first entry that shows so */
    uint32_t longest;
} entries;

typedef struct solver {
    bool known; /* the hole has one unknown and constant coefficients */
    bool plain; /* it is that variable itself */
    uint32_t var;
    int64_t a, b;        /* value or index = a * variable + b */
    const wm_val *table; /* NULL: a number */
    const entries *entries;
} solver;

typedef struct matcher {
    wm_names *names;
    wm_unit *unit;
    const wm_pattern *pattern;
    const wm_var *vars;
    uint32_t var_count;
    solver *solvers; /* one a hole */
    wm_capture *given, *first, *second;
    wm_each_match *each;
    void *user;
    bool failed;   /* an error was reported for this pattern */
    uint32_t *cut; /* hole count + 1 positions */
} matcher;

static uint32_t find_var(const matcher *m, wm_str name)
{
    for (uint32_t v = 0; v < m->var_count; v++)
        if (wm_str_eq(m->vars[v].name, name))
            return v;
    return WM_NO_VAR;
}

static wm_str entry_text(wm_unit *unit, const wm_val *entry)
{
    if (entry->kind == WM_VAL_STRING)
        return entry->s;
    const char *text = wm_val_text(unit, entry);
    return (wm_str){text, (uint32_t)strlen(text)};
}

/* Indexed once, however many patterns look into the table. */
static const entries *entries_of(matcher *m, const wm_val *table)
{
    wm_arena *arena = m->unit->arena;
    wm_names *names = m->names;
    if (names->table_count == 0)
        wm_map_init(&names->table_map, arena, 0);
    uint32_t at = wm_map_get(&names->table_map, &table->items, sizeof table->items);
    if (at != WM_MAP_NONE)
        return names->tables[at];
    entries *e = wm_new(arena, entries, 1);
    e->table = table->items;
    wm_map_put(&names->table_map, &e->table, sizeof e->table, (uint32_t)names->table_count, NULL);
    *wm_push(arena, names->tables, names->table_count, names->tables_cap) = e;
    wm_map_init(&e->index, arena, table->count);
    for (uint32_t i = 0; i < table->count; i++) {
        wm_str text = entry_text(m->unit, &table->items[i]);
        wm_map_put(&e->index, text.p, text.len, i, NULL);
        e->longest = text.len > e->longest ? text.len : e->longest;
    }
    return e;
}

/* The one name in an expression, if it is one. */
struct only {
    wm_str name;
    bool several;
};

static void only_name(void *user, const wm_word *name)
{
    struct only *o = user;
    o->several |= o->name.len && !wm_str_eq(o->name, name->text);
    o->name = name->text;
}

/* Finds for each hole how it is solved, and whether all can be, in some order. */
static bool prepare(matcher *m)
{
    const wm_pattern *p = m->pattern;
    wm_capture *known = wm_new(m->unit->scratch, wm_capture, m->var_count);
    bool *done = wm_new(m->unit->scratch, bool, p->count);
    wm_capture_hook all = {m->vars, m->var_count, known, true};
    wm_hook hook = {wm_find_capture, &all};
    for (uint32_t h = 0; h < p->count; h++) {
        const wm_hole *hole = &p->holes[h];
        done[h] = hole->kind != WM_HOLE_VALUE;
        solver *s = &m->solvers[h];
        if (hole->kind == WM_HOLE_VALUE && hole->var != WM_NO_VAR) {
            *s = (solver){.known = true, .plain = true, .var = hole->var, .a = 1};
        } else if (hole->kind == WM_HOLE_VALUE) {
            wm_str unknown = {NULL, 0};
            wm_evaluated e =
                wm_eval_linear(m->unit, p->scope, &hook, hole->expr, &unknown, &s->a, &s->b, &s->table);
            if (e == WM_EVAL_ERROR)
                return false;
            s->entries = s->table ? entries_of(m, s->table) : NULL;
            s->known = e == WM_EVAL_OK && s->a != 0;
            if (s->known && (s->var = find_var(m, unknown)) == WM_NO_VAR)
                return false;
        }
    }
    for (bool progress = true; progress;) {
        progress = false;
        for (uint32_t h = 0; h < p->count; h++) {
            const wm_hole *hole = &p->holes[h];
            if (done[h])
                continue;
            uint32_t var = m->solvers[h].known ? m->solvers[h].var : WM_NO_VAR;
            if (!m->solvers[h].known) {
                wm_str unknown = {NULL, 0};
                int64_t a = 0, b;
                const wm_val *table;
                wm_evaluated e =
                    wm_eval_linear(m->unit, p->scope, &hook, hole->expr, &unknown, &a, &b, &table);
                if (e != WM_EVAL_OK)
                    continue;
                var = unknown.len ? find_var(m, unknown) : WM_NO_VAR;
            }
            if (var != WM_NO_VAR)
                known[var].bound = true;
            done[h] = progress = true;
        }
    }
    for (uint32_t h = 0; h < p->count; h++) {
        if (done[h])
            continue;
        struct only of = {{NULL, 0}, false};
        wm_free_names(p->scope, p->holes[h].expr, only_name, &of);
        bool one = of.name.len && !of.several;
        wm_diag *d = wm_error(m->unit, WM_E0407, p->holes[h].span, "this hole cannot be solved%s%s",
                              one ? " for " : "", one ? wm_quote(m->unit, of.name) : "");
        wm_diag_hint(m->unit, d,
                     "on the side that is read a hole must be a*x + b in one unknown x; capture the parts "
                     "and compute on the other side");
        return false;
    }
    return true;
}

/* ---- candidates ---- */

static void candidate(wm_names *names, uint32_t name)
{
    uint32_t *slot = wm_push(names->unit->arena, names->found, names->found_count, names->found_cap);
    *slot = name;
}

static void all_below(wm_names *names, node at)
{
    for (size_t i = at.lo; i < at.hi; i++)
        candidate(names, names->sorted[i]);
}

/* Takes the names that have the rarest word of the pattern, if they are fewer than those at hand. For a few
 * patterns scanning is cheaper. */
static bool by_word(matcher *m, node at)
{
    enum { FEW = 16 }; /* times as many as there are names */
    wm_names *names = m->names;
    const wm_word_places *best = NULL;
    names->scanned += at.hi - at.lo;
    if (names->scanned / FEW < names->total)
        return false;
    if (!names->words)
        names->words = wm_words_index(m->unit->arena, names->names, names->total);
    for (uint32_t h = 0; h < m->pattern->count; h++)
        if (m->pattern->holes[h].kind == WM_HOLE_TEXT &&
            !wm_words_rarest(names->words, m->pattern->holes[h].text, &best))
            return true; /* no name has it */
    if (!best || best->count >= at.hi - at.lo)
        return false;
    for (uint32_t p = best->first; p != UINT32_MAX;)
        candidate(names, wm_words_next(names->words, &p));
    return true;
}

static void descend(matcher *m, uint32_t h, node at);

static void descend_digits(matcher *m, uint32_t h, node at, uint32_t digits)
{
    if (digits > MAX_DIGITS)
        return;
    for (int c = '0'; c <= '9'; c++) {
        node next = at;
        if (step(m->names, false, &next, c)) {
            descend(m, h + 1, next);
            descend_digits(m, h, next, digits + 1);
        }
    }
}

static void descend_value(matcher *m, uint32_t h, node at)
{
    const wm_hole *hole = &m->pattern->holes[h];
    const wm_val *table = m->solvers[h].table;
    if (table && at.hi - at.lo < table->count) { /* names that begin so are fewer than entries */
        all_below(m->names, at);
        return;
    }
    for (uint32_t i = 0; table && i < table->count; i++) {
        node next = at;
        if (step_text(m->names, false, &next, entry_text(m->unit, &table->items[i])))
            descend(m, h + 1, next);
    }
    if (table)
        return;
    if (hole->format == WM_FMT_LOWER || hole->format == WM_FMT_UPPER) {
        int base = hole->format == WM_FMT_LOWER ? 'a' : 'A';
        for (int c = base; c < base + 26; c++) {
            node next = at;
            if (step(m->names, false, &next, c))
                descend(m, h + 1, next);
        }
        return;
    }
    if (hole->format == WM_FMT_UNDER) {
        descend(m, h + 1, at);
        if (!step(m->names, false, &at, '_'))
            return;
    }
    descend_digits(m, h, at, 1);
}

static void descend(matcher *m, uint32_t h, node at)
{
    const wm_pattern *p = m->pattern;
    while (h < p->count && p->holes[h].kind == WM_HOLE_TEXT) {
        if (!step_text(m->names, false, &at, p->holes[h].text))
            return;
        h++;
    }
    if (h == p->count) { /* the name that ends here sorts first */
        if (at.lo < at.hi && byte_at(m->names, false, at.lo, at.depth) < 0)
            candidate(m->names, m->names->sorted[at.lo]);
    } else if (p->holes[h].kind == WM_HOLE_VALUE) {
        descend_value(m, h, at);
    } else if (!by_word(m, at)) {
        all_below(m->names, at);
    }
}

static void collect(matcher *m)
{
    wm_names *names = m->names;
    const wm_pattern *p = m->pattern;
    node root = {0, names->total, 0};
    names->found_count = 0;
    if (names->total == 0)
        return;
    bool text_first = p->count && (p->holes[0].kind == WM_HOLE_STAR || p->holes[0].kind == WM_HOLE_STARSTAR);
    if (text_first && p->holes[p->count - 1].kind == WM_HOLE_TEXT) {
        uint32_t *reversed = sorted_index(names, true);
        if (step_text(names, true, &root, p->holes[p->count - 1].text))
            for (size_t i = root.lo; i < root.hi; i++)
                candidate(names, reversed[i]);
    } else {
        sorted_index(names, false);
        descend(m, 0, root);
    }
}

/* ---- one name ---- */

/* Length of the integer text at `at`: the longest run of digits that may be one. */
static uint32_t digits_at(wm_str name, uint32_t at)
{
    uint32_t n = 0;
    while (at + n < name.len && n <= MAX_DIGITS && name.p[at + n] >= '0' && name.p[at + n] <= '9')
        n++;
    return n;
}

static bool read_int(wm_str text, int64_t *value)
{
    *value = 0;
    for (uint32_t i = 0; i < text.len; i++)
        if (__builtin_mul_overflow(*value, 10, value) ||
            __builtin_add_overflow(*value, text.p[i] - '0', value))
            return false;
    return true;
}

/* Reads the text of a value hole as its number or as the index of its table's entry. */
static bool read_value(matcher *m, uint32_t h, wm_str text, int64_t *value)
{
    const wm_hole *hole = &m->pattern->holes[h];
    const entries *table = m->solvers[h].entries;
    if (table) {
        uint32_t at = wm_map_get(&table->index, text.p, text.len);
        *value = at;
        return at != WM_MAP_NONE;
    }
    switch (hole->format) {
    case WM_FMT_LOWER:
    case WM_FMT_UPPER: {
        int base = hole->format == WM_FMT_LOWER ? 'a' : 'A';
        if (text.len != 1 || text.p[0] < base || text.p[0] >= base + 26)
            return false;
        *value = text.p[0] - base;
        return true;
    }
    case WM_FMT_UNDER:
        *value = 0;
        if (text.len == 0)
            return true;
        if (text.p[0] != '_' || text.len < 2 || text.p[1] == '0')
            return false;
        text = (wm_str){text.p + 1, text.len - 1};
        return digits_at(text, 0) == text.len && read_int(text, value);
    case WM_FMT_WIDTH:
        return text.len >= hole->width && text.len && digits_at(text, 0) == text.len &&
               (text.len == hole->width || text.p[0] != '0') && read_int(text, value);
    default:
        return text.len && digits_at(text, 0) == text.len && (text.len == 1 || text.p[0] != '0') &&
               read_int(text, value);
    }
}

/* The most bytes that a value hole can take at `at`. */
static uint32_t value_reach(matcher *m, uint32_t h, wm_str name, uint32_t at)
{
    if (m->solvers[h].entries)
        return m->solvers[h].entries->longest < name.len - at ? m->solvers[h].entries->longest
                                                              : name.len - at;
    uint32_t skip = m->pattern->holes[h].format == WM_FMT_UNDER && at < name.len && name.p[at] == '_';
    uint32_t reach = skip + digits_at(name, at + skip);
    return reach ? reach : at < name.len; /* a letter */
}

static bool fits_value(matcher *m, uint32_t h, wm_str name, uint32_t beg, uint32_t end)
{
    int64_t value;
    return read_value(m, h, (wm_str){name.p + beg, end - beg}, &value);
}

/* table[h * (len + 1) + p]: holes h and later can match the name from p on. */
static bool fill_table(matcher *m, wm_str name)
{
    const wm_pattern *p = m->pattern;
    size_t row = (size_t)name.len + 1;
    wm_names *names = m->names;
    if (row * (p->count + 1) > names->table_cap)
        names->table = wm_grow(m->unit->arena, names->table, 0, row * (p->count + 1), &names->table_cap, 1);
    uint8_t *table = names->table;
    memset(table + p->count * row, 0, row);
    table[p->count * row + name.len] = 1;
    for (uint32_t h = p->count; h-- > 0;) {
        const wm_hole *hole = &p->holes[h];
        uint8_t *here = table + h * row, *next = here + row;
        for (uint32_t at = name.len + 1; at-- > 0;) {
            bool ok = false;
            if (hole->kind == WM_HOLE_TEXT) {
                ok = hole->text.len <= name.len - at && next[at + hole->text.len] &&
                     memcmp(name.p + at, hole->text.p, hole->text.len) == 0;
            } else if (hole->kind == WM_HOLE_VALUE) {
                uint32_t reach = value_reach(m, h, name, at);
                for (uint32_t n = 0; !ok && n <= reach; n++)
                    ok = next[at + n] && fits_value(m, h, name, at, at + n);
            } else {
                ok = next[at] ||
                     (at < name.len && here[at + 1] &&
                      (hole->kind == WM_HOLE_STARSTAR || (name.p[at] != '/' && name.p[at] != '.')));
            }
            here[at] = ok;
        }
    }
    return table[0];
}

/* Cuts the name: each hole, from left to right, the shortest or the longest text that leaves a match. */
static void make_cut(matcher *m, wm_str name, bool longest)
{
    const wm_pattern *p = m->pattern;
    size_t row = (size_t)name.len + 1;
    m->cut[0] = 0;
    for (uint32_t h = 0; h < p->count; h++) {
        const wm_hole *hole = &p->holes[h];
        const uint8_t *next = m->names->table + (h + 1) * row;
        uint32_t at = m->cut[h], best = at;
        if (hole->kind == WM_HOLE_TEXT) {
            best = at + hole->text.len;
        } else {
            uint32_t reach = hole->kind == WM_HOLE_VALUE ? value_reach(m, h, name, at) : name.len - at;
            for (uint32_t n = 0; n <= reach; n++) {
                bool fits =
                    next[at + n] && (hole->kind != WM_HOLE_VALUE || fits_value(m, h, name, at, at + n));
                if (fits)
                    best = at + n;
                if ((fits && !longest) || (n < reach && hole->kind == WM_HOLE_STAR &&
                                           (name.p[at + n] == '/' || name.p[at + n] == '.')))
                    break;
            }
        }
        m->cut[h + 1] = best;
    }
}

static bool bind_int(wm_capture *captures, uint32_t var, int64_t value)
{
    if (captures[var].bound)
        return captures[var].i == value;
    captures[var].bound = true;
    captures[var].i = value;
    return true;
}

/* Solves a*x + b = value. */
static bool bind_linear(wm_capture *captures, uint32_t var, int64_t a, int64_t b, int64_t value)
{
    int64_t rest;
    if (a == 0 || __builtin_sub_overflow(value, b, &rest) || (a == -1 && rest == INT64_MIN) ||
        rest % a != 0 || rest / a < 0)
        return false;
    return bind_int(captures, var, rest / a);
}

static bool solve_hole(matcher *m, uint32_t h, int64_t value, wm_capture *captures, bool *done)
{
    const wm_hole *hole = &m->pattern->holes[h];
    const solver *s = &m->solvers[h];
    *done = true;
    if (s->known)
        return s->plain ? bind_int(captures, s->var, value)
                        : bind_linear(captures, s->var, s->a, s->b, value);
    wm_capture_hook some = {m->vars, m->var_count, captures, false};
    wm_hook hook = {wm_find_capture, &some};
    wm_str unknown = {NULL, 0};
    int64_t a, b;
    const wm_val *table;
    wm_evaluated e = wm_eval_linear(m->unit, m->pattern->scope, &hook, hole->expr, &unknown, &a, &b, &table);
    if (e == WM_EVAL_UNKNOWN) {
        *done = false;
        return true;
    }
    if (e == WM_EVAL_ERROR) {
        m->failed = true;
        return false;
    }
    return unknown.len == 0 ? b == value : bind_linear(captures, find_var(m, unknown), a, b, value);
}

static bool solve(matcher *m, wm_str name, wm_capture *captures)
{
    const wm_pattern *p = m->pattern;
    if (m->var_count)
        memcpy(captures, m->given, m->var_count * sizeof *captures);
    for (uint32_t h = 0; h < p->count; h++) {
        const wm_hole *hole = &p->holes[h];
        wm_str text = {name.p + m->cut[h], m->cut[h + 1] - m->cut[h]};
        if ((hole->kind != WM_HOLE_STAR && hole->kind != WM_HOLE_STARSTAR) || hole->var == WM_NO_VAR)
            continue;
        wm_capture *c = &captures[hole->var];
        if (c->bound && !wm_str_eq(c->s, text))
            return false;
        c->bound = true;
        c->s = text;
    }
    bool again = true;
    for (uint32_t round = 0; again && round <= p->count; round++) {
        again = false;
        for (uint32_t h = 0; h < p->count; h++) {
            if (p->holes[h].kind != WM_HOLE_VALUE || (round > 0 && m->solvers[h].known))
                continue;
            int64_t value;
            bool done;
            if (!read_value(m, h, (wm_str){name.p + m->cut[h], m->cut[h + 1] - m->cut[h]}, &value) ||
                !solve_hole(m, h, value, captures, &done))
                return false;
            again |= !done;
        }
    }
    return !again;
}

static bool same_captures(const matcher *m)
{
    for (uint32_t v = 0; v < m->var_count; v++)
        if (m->first[v].bound != m->second[v].bound || m->first[v].i != m->second[v].i ||
            !wm_str_eq(m->first[v].s, m->second[v].s))
            return false;
    return true;
}

/* Tries a name or an alias; does it match? */
static bool match_one(matcher *m, uint32_t number)
{
    wm_str name = m->names->names[number];
    if (!fill_table(m, name))
        return false;
    make_cut(m, name, false);
    bool first = solve(m, name, m->first);
    make_cut(m, name, true);
    bool second = solve(m, name, m->second);
    if (m->failed)
        return false;
    if (first && second && !same_captures(m)) {
        wm_diag *d = wm_error(m->unit, WM_E0409, m->pattern->span, "the name %s matches in two ways",
                              wm_quote(m->unit, name));
        wm_diag_hint(m->unit, d, "put text between the holes that can't stand in them");
        m->failed = true;
        return false;
    }
    if (first || second)
        m->each(m->user, owner_of(m->names, number), first ? m->first : m->second);
    return first || second;
}

/* By the names they belong to, an alias behind its name. */
static int ascending(const void *a, const void *b, void *user)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    uint32_t p = owner_of(user, x), q = owner_of(user, y);
    return p != q ? (p > q) - (p < q) : (x > y) - (x < y);
}

/* A plain hole of a variable that holds text matches text, wherever its format is written. */
static const wm_pattern *text_holes(wm_unit *unit, const wm_pattern *pattern, const wm_var *vars)
{
    wm_pattern *copy = NULL;
    for (uint32_t h = 0; h < pattern->count; h++) {
        const wm_hole *hole = &pattern->holes[h];
        if (hole->kind != WM_HOLE_VALUE || hole->var == WM_NO_VAR || !vars[hole->var].text)
            continue;
        if (!copy)
            copy = wm_copy_pattern(unit, pattern);
        copy->holes[h].kind = WM_HOLE_STARSTAR;
    }
    return copy ? copy : pattern;
}

bool wm_names_match(wm_names *names, wm_unit *unit, const wm_pattern *pattern, const wm_var *vars,
                    uint32_t var_count, const wm_capture *given, wm_each_match *each, void *user)
{
    wm_arena *arena = unit->scratch;
    if (pattern->literal) {
        uint32_t at = wm_map_get(&names->map, pattern->text.p, pattern->text.len);
        if (at != WM_MAP_NONE) {
            wm_capture *none = var_count && !given ? wm_new(arena, wm_capture, var_count) : NULL;
            each(user, owner_of(names, at), given ? given : none);
        }
        return true;
    }
    if (given && !(pattern = wm_given_holes(unit, pattern, vars, var_count, given)))
        return true;
    matcher m = {.names = names,
                 .unit = unit,
                 .pattern = text_holes(unit, pattern, vars),
                 .vars = vars,
                 .var_count = var_count,
                 .each = each,
                 .user = user};
    m.solvers = wm_new(arena, solver, pattern->count);
    m.given = wm_new(arena, wm_capture, var_count);
    m.first = wm_new(arena, wm_capture, var_count);
    m.second = wm_new(arena, wm_capture, var_count);
    m.cut = wm_new(arena, uint32_t, pattern->count + 1);
    if (given && var_count)
        memcpy(m.given, given, var_count * sizeof *given);
    if (!prepare(&m))
        return false;
    collect(&m);
    size_t count = names->found_count;
    uint32_t *found = names->found; /* ours for the time of the calls: `each` may match other patterns */
    size_t cap = names->found_cap;
    names->found = NULL;
    names->found_count = names->found_cap = 0;
    if (count > 1)
        qsort_r(found, count, sizeof *found, ascending, names);
    uint32_t last = UINT32_MAX; /* the name that matched last: its alias isn't asked */
    for (size_t i = 0; i < count && !m.failed; i++)
        if ((i == 0 || found[i] != found[i - 1]) && owner_of(names, found[i]) != last &&
            match_one(&m, found[i]))
            last = owner_of(names, found[i]);
    if (cap > names->found_cap) {
        names->found = found;
        names->found_cap = cap;
    }
    return !m.failed;
}
