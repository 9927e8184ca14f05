/* report.c: all findings of one compilation, as wmap/compile.h hands them out. They are sorted by place,
 * folded where they differ in loop variables only, and carry the texts they point into, so that they outlive
 * the unit. Then they are printed: for people (docs/language.md section 17) or in a form for programs
 * (report_forms.c). */
#include <inttypes.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/report.h"
#include "runtime/base/map.h"
#include "runtime/base/text.h"

/* ---- making: sorted ---- */

/* Findings about a whole file have its number and no byte of it. */
static bool has_place(const wm_diag *d)
{
    return d->span.file != WM_NO_FILE && d->span.beg != UINT32_MAX;
}

/* By file, in the order of loading, and place; those without a place last. */
static int by_place(const void *a, const void *b)
{
    const wm_diag *x = *(const wm_diag *const *)a, *y = *(const wm_diag *const *)b;
    if (has_place(x) != has_place(y))
        return has_place(x) ? -1 : 1;
    if (has_place(x) && x->span.file != y->span.file)
        return x->span.file < y->span.file ? -1 : 1;
    if (has_place(x) && x->span.beg != y->span.beg)
        return x->span.beg < y->span.beg ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

static const wm_diag **sorted(wmap_report *r, const wm_unit *unit)
{
    const wm_diag **list = wm_new(&r->arena, const wm_diag *, unit->errors + unit->warnings);
    size_t count = 0;
    for (const wm_diag *d = unit->diags; d; d = d->next)
        list[count++] = d;
    qsort(list, count, sizeof *list, by_place);
    return list;
}

/* ---- folded ---- */

typedef struct key {
    char *bytes;
    size_t len, cap;
} key;

static void key_bytes(wmap_report *r, key *k, const void *bytes, size_t len)
{
    if (!len)
        return;
    k->bytes = wm_grow(&r->arena, k->bytes, k->len, k->len + len, &k->cap, 1);
    memcpy(k->bytes + k->len, bytes, len);
    k->len += len;
}

/* Adds a text as it is but for what loop variables change in it: the round itself, and, in names between
 * backquotes, numbers. */
static void key_text(wmap_report *r, key *k, const char *text, const char *round)
{
    size_t round_len = round ? strlen(round) : 0;
    bool quoted = false;
    for (const char *at = text ? text : ""; *at;) {
        if (round_len && strncmp(at, round, round_len) == 0) {
            key_bytes(r, k, "\1", 1);
            at += round_len;
        } else if (round_len && quoted && *at >= '0' && *at <= '9') {
            key_bytes(r, k, "\2", 1);
            while (*at >= '0' && *at <= '9')
                at++;
        } else {
            quoted ^= *at == '`';
            key_bytes(r, k, at++, 1);
        }
    }
    key_bytes(r, k, "", 1);
}

/* Findings with one key are one for the reader. */
static void make_key(wmap_report *r, key *k, const wm_diag *d)
{
    k->len = 0;
    key_bytes(r, k, &d->id, sizeof d->id);
    key_bytes(r, k, &d->span, sizeof d->span);
    key_bytes(r, k, &d->warning, sizeof d->warning);
    key_text(r, k, d->message, d->round);
    key_text(r, k, d->label, d->round);
    for (uint32_t i = 0; i < d->label_count; i++) {
        key_bytes(r, k, &d->labels[i].span, sizeof d->labels[i].span);
        key_text(r, k, d->labels[i].text, d->round);
    }
    for (uint32_t i = 0; i < d->note_count; i++)
        key_text(r, k, d->notes[i].text, d->round);
    key_text(r, k, d->fix_text, NULL);
}

/* The rounds of what was folded into one entry. */
typedef struct rounds {
    const char **names;
    size_t count, cap;
} rounds;

/* "b=1, k=2" is "b=1, k=" and 2. False if it doesn't end with a number. */
static bool split_round(const char *round, size_t *head, uint64_t *number)
{
    size_t len = strlen(round), at = len;
    while (at > 0 && round[at - 1] >= '0' && round[at - 1] <= '9')
        at--;
    *head = at;
    if (at == len || len - at > 18)
        return false;
    *number = strtoull(round + at, NULL, 10);
    return true;
}

/* The end of the run of rounds from `first` on whose last variable counts up. */
static size_t run_of(const rounds *list, size_t first, uint64_t *last)
{
    size_t head, next_head, at = first + 1;
    uint64_t number;
    if (!split_round(list->names[first], &head, last))
        return at;
    while (at < list->count && split_round(list->names[at], &next_head, &number) && next_head == head &&
           number == *last + 1 && memcmp(list->names[at], list->names[first], head) == 0) {
        *last = number;
        at++;
    }
    return at;
}

#define ROUNDS_SHOWN 6

static const char *rounds_text(wmap_report *r, const rounds *list)
{
    const char *text = "";
    size_t at = 0;
    for (int shown = 0; at < list->count; shown++) {
        const char *comma = shown ? "; " : "";
        if (shown == ROUNDS_SHOWN)
            return wm_format_text(&r->arena, "and %zu more: %s; ...", list->count, text);
        uint64_t last = 0;
        size_t end = run_of(list, at, &last);
        if (end - at > 1)
            text = wm_format_text(&r->arena, "%s%s%s..%" PRIu64, text, comma, list->names[at], last);
        else
            text = wm_format_text(&r->arena, "%s%s%s", text, comma, list->names[at]);
        at = end;
    }
    return wm_format_text(&r->arena, "and %zu more: %s", list->count, text);
}

/* ---- copied ---- */

static const char *copy_text(wmap_report *r, const char *text)
{
    return text ? wm_copy(&r->arena, text, strlen(text)) : NULL;
}

static place copy_place(wmap_report *r, const wm_unit *unit, wm_source **copies, wm_span span)
{
    if (span.file == WM_NO_FILE || span.file >= unit->source_count)
        return (place){0};
    wm_source *copy = copies[span.file];
    if (!copy) {
        const wm_source *source = unit->sources[span.file];
        copy = wm_new(&r->arena, wm_source, 1);
        copy->name = copy_text(r, source->name);
        copy->path = copy_text(r, source->path);
        copy->text = wm_copy(&r->arena, source->text, source->size);
        copy->size = source->size;
        copies[span.file] = copy;
    }
    if (span.beg == UINT32_MAX)
        return (place){.source = copy, .whole = true};
    place p = {.source = copy, .beg = span.beg, .end = span.end > span.beg ? span.end : span.beg};
    wm_source_position(&r->arena, copy, p.beg, &p.line, &p.column);
    wm_source_position(&r->arena, copy, p.end, &p.end_line, &p.end_column);
    return p;
}

static void copy_entry(wmap_report *r, const wm_unit *unit, wm_source **copies, entry *e, const wm_diag *d)
{
    wm_diag *copy = wm_new(&r->arena, wm_diag, 1);
    *copy = *d;
    copy->next = NULL;
    copy->message = copy_text(r, d->message);
    copy->label = copy_text(r, d->label);
    copy->round = NULL;
    e->main = copy_place(r, unit, copies, d->span);
    for (uint32_t i = 0; i < d->label_count; i++) {
        copy->labels[i].text = copy_text(r, d->labels[i].text);
        e->labels[i] = copy_place(r, unit, copies, d->labels[i].span);
    }
    if (d->use.end > d->use.beg) {
        copy->labels[d->label_count].text = "used here";
        e->labels[copy->label_count++] = copy_place(r, unit, copies, d->use);
    }
    for (uint32_t i = 0; i < d->note_count; i++)
        copy->notes[i].text = copy_text(r, d->notes[i].text);
    if (d->means && d->note_count < WM_DIAG_MAX_NOTES) { /* before the others */
        memmove(copy->notes + 1, copy->notes, d->note_count * sizeof *copy->notes);
        copy->notes[0].hint = false;
        copy->notes[0].text = copy_text(r, d->means);
        copy->note_count++;
    }
    copy->fix_text = copy_text(r, d->fix_text);
    if (d->fix_text)
        e->fix = copy_place(r, unit, copies, d->fix);
    e->diag = copy;
}

static void fill(wmap_report *r, wm_unit *unit)
{
    size_t total = unit->errors + unit->warnings;
    const wm_diag **list = sorted(r, unit);
    wm_source **copies = wm_new(&r->arena, wm_source *, unit->source_count);
    rounds *folded = wm_new(&r->arena, rounds, total);
    r->entries = wm_new(&r->arena, entry, total);
    r->spec = unit->source_count ? copy_text(r, unit->sources[0]->name) : "wmap";
    r->all_fit = true;
    wm_map seen;
    wm_map_init(&seen, &r->arena, total);
    key k = {0};
    for (size_t i = 0; i < total; i++) {
        make_key(r, &k, list[i]);
        uint32_t same = wm_map_get(&seen, k.bytes, k.len);
        if (same != WM_MAP_NONE) {
            rounds *f = &folded[same];
            if (list[i]->round && *list[i]->round)
                *wm_push(&r->arena, f->names, f->count, f->cap) = list[i]->round;
            continue;
        }
        wm_map_put(&seen, wm_copy(&r->arena, k.bytes, k.len), k.len, (uint32_t)r->count, NULL);
        copy_entry(r, unit, copies, &r->entries[r->count++], list[i]);
        if (list[i]->warning)
            r->warnings++;
        else
            r->errors++;
        r->all_fit &= list[i]->warning || wm_diag_fits(list[i]->id);
    }
    for (size_t i = 0; i < r->count; i++)
        if (folded[i].count)
            r->entries[i].folded = rounds_text(r, &folded[i]);
    r->matches = wm_new(&r->arena, wmap_model_match, unit->match_count);
    r->match_count = unit->match_count;
    for (size_t i = 0; i < unit->match_count; i++) {
        r->matches[i] = unit->matches[i];
        r->matches[i].name = copy_text(r, unit->matches[i].name);
    }
}

/* False: out of memory. */
static bool fill_or_fail(wmap_report *r, wm_unit *unit)
{
    if (setjmp(*wm_arena_oom(&r->arena)))
        return false;
    fill(r, unit);
    return true;
}

wmap_report *wm_report_of(wm_unit *unit, bool file_took_part)
{
    wmap_report *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    wm_arena_init(&r->arena);
    r->file_took_part = file_took_part;
    if (fill_or_fail(r, unit))
        return r;
    wmap_report_free(r);
    return NULL;
}

bool wmap_report_match(const wmap_report *report, size_t index, wmap_model_match *match)
{
    if (!report || index >= report->match_count)
        return false;
    *match = report->matches[index];
    return true;
}

void wmap_report_free(wmap_report *report)
{
    if (!report)
        return;
    wmap_report_free(report->reasons);
    wm_arena_release(&report->arena);
    free(report);
}

static const char *reason_text(wmap_report *r, const entry *e)
{
    const place *at = &e->main;
    const char *where = at->source && !at->whole ? wm_format_text(&r->arena, "%s:%" PRIu32 ":%" PRIu32,
                                                                  at->source->name, at->line, at->column)
                                                 : r->spec;
    bool named = e->diag->id != WM_DIAG_NONE;
    return where ? wm_format_text(&r->arena, "%s: %s%s%s%s", where, e->diag->message, named ? " (" : "",
                                  wm_diag_name(named ? e->diag->id : WM_DIAG_NONE), named ? ")" : "")
                 : NULL;
}

void wm_report_judged(wmap_report *report, wmap_reversal reversal, wmap_report *reasons)
{
    report->reversal = reversal;
    report->reasons = reasons;
    const entry *first = NULL;
    for (size_t i = 0; i < reasons->count; i++) {
        const entry *e = &reasons->entries[i];
        if (!first || (!e->diag->warning && first->diag->warning) ||
            (e->diag->warning == first->diag->warning && !e->diag->minor && first->diag->minor))
            first = e;
    }
    if (first)
        reasons->reason = reason_text(reasons, first);
}

wmap_reversal wmap_report_reversal(const wmap_report *report)
{
    return report ? report->reversal : WMAP_REVERSAL_UNKNOWN;
}

size_t wmap_report_errors(const wmap_report *report)
{
    return report ? report->errors : 0;
}

size_t wmap_report_warnings(const wmap_report *report)
{
    return report ? report->warnings : 0;
}

bool wmap_report_place(const wmap_report *report, const char **file, uint32_t *line, uint32_t *column)
{
    for (size_t i = 0; report && i < report->count; i++) {
        const place *at = &report->entries[i].main;
        if (report->entries[i].diag->warning)
            continue;
        bool placed = at->source && !at->whole;
        *file = at->source ? at->source->name : report->spec;
        *line = placed ? at->line : 0;
        *column = placed ? at->column : 0;
        return true;
    }
    return false;
}

bool wmap_report_has(const wmap_report *report, const char *id)
{
    for (size_t i = 0; report && i < report->count; i++)
        if (strcmp(wm_diag_name(report->entries[i].diag->id), id) == 0)
            return true;
    return false;
}

/* ---- levels and fixes ---- */

/* Keeps what is chosen, and counts anew. */
static void recount(wmap_report *r)
{
    r->errors = r->warnings = 0;
    r->all_fit = true;
    for (size_t i = 0; i < r->count; i++) {
        const wm_diag *d = r->entries[i].diag;
        r->errors += !d->warning;
        r->warnings += d->warning;
        r->all_fit &= d->warning || wm_diag_fits(d->id);
    }
}

bool wmap_report_level(wmap_report *report, const char *id, wmap_report_severity level)
{
    if (id && *wm_diag_title(id) == 0)
        return false;
    size_t kept = 0;
    for (size_t i = 0; report && i < report->count; i++) {
        entry e = report->entries[i];
        bool chosen = e.diag->warning && (!id || strcmp(wm_diag_name(e.diag->id), id) == 0);
        if (chosen && level == WMAP_SEVERITY_OFF)
            continue;
        if (chosen)
            e.diag->warning = level == WMAP_SEVERITY_WARNING;
        report->entries[kept++] = e;
    }
    if (report) {
        report->count = kept;
        recount(report);
    }
    return true;
}

bool wmap_report_fix(const wmap_report *report, size_t *at, wmap_fix *fix)
{
    for (; report && *at < report->count; ++*at) {
        const entry *e = &report->entries[*at];
        if (!e->fix.source || !e->fix.source->path)
            continue;
        *fix = (wmap_fix){.path = e->fix.source->path,
                          .text = e->fix.source->text,
                          .text_len = e->fix.source->size,
                          .beg = e->fix.beg,
                          .end = e->fix.end,
                          .replacement = e->diag->fix_text};
        ++*at;
        return true;
    }
    return false;
}

int wmap_report_status(const wmap_report *report)
{
    if (!report || report->errors == 0)
        return 0;
    return report->all_fit && report->file_took_part ? 3 : 1;
}

/* ---- printing for people ---- */

typedef struct printer {
    FILE *out;
    bool color;
} printer;

#define BOLD   "\033[1m"
#define RED    "\033[1;31m"
#define YELLOW "\033[1;33m"
#define BLUE   "\033[1;34m"
#define CYAN   "\033[1;36m"

static void begin(const printer *p, const char *color)
{
    if (p->color)
        fputs(color, p->out);
}

static void end(const printer *p)
{
    if (p->color)
        fputs("\033[0m", p->out);
}

#define TAB_WIDTH 4

/* The character at `at`: its bytes and its columns. What a terminal would obey or not show becomes one `?`.
 */
static size_t character(const char *text, size_t len, int *columns, bool *plain)
{
    uint32_t scalar = 0;
    size_t bytes = wm_utf8(text, len, &scalar);
    *plain = bytes > 0 && scalar >= 0x20 && (scalar < 0x7F || scalar > 0x9F) &&
             !(scalar >= 0x200E && scalar <= 0x200F) && !(scalar >= 0x2028 && scalar <= 0x202E) &&
             !(scalar >= 0x2066 && scalar <= 0x2069);
    *columns = *plain ? wm_utf8_width(scalar) : scalar == '\t' ? TAB_WIDTH : 1;
    return bytes ? bytes : 1;
}

/* Columns of a run of bytes. */
static int width_of(const char *text, size_t len)
{
    int width = 0, columns;
    bool plain;
    for (size_t at = 0; at < len; width += columns)
        at += character(text + at, len - at, &columns, &plain);
    return width;
}

static void put_text(FILE *out, const char *text, size_t len)
{
    for (size_t at = 0; at < len;) {
        int columns;
        bool plain;
        size_t bytes = character(text + at, len - at, &columns, &plain);
        if (plain)
            fwrite(text + at, 1, bytes, out);
        else if (text[at] == '\t')
            fprintf(out, "%*s", TAB_WIDTH, "");
        else
            fputc(text[at] == '\n' ? ' ' : '?', out);
        at += bytes;
    }
}

static void put_string(FILE *out, const char *text)
{
    put_text(out, text, strlen(text));
}

/* The part of a line that is shown: all of it, or so much around a place. */
typedef struct window {
    const char *text;
    size_t from, to; /* bytes of the line */
    bool cut_before, cut_after;
} window;

#define LINE_WIDTH  200 /* columns */
#define LINE_BEFORE 60
#define LINE_AFTER  120

static bool inside_character(char byte)
{
    return ((unsigned char)byte & 0xC0) == 0x80;
}

static window window_of(wm_str line, size_t at)
{
    window w = {line.p, 0, line.len, false, false};
    if (line.len <= LINE_WIDTH || (line.len <= 4 * LINE_WIDTH && width_of(line.p, line.len) <= LINE_WIDTH))
        return w;
    w.from = w.to = at < line.len ? at : line.len;
    for (int n = 0; w.from > 0 && n < LINE_BEFORE; n++)
        do
            w.from--;
        while (w.from > 0 && inside_character(line.p[w.from]));
    for (int n = 0; w.to < line.len && n < LINE_AFTER; n++)
        do
            w.to++;
        while (w.to < line.len && inside_character(line.p[w.to]));
    w.cut_before = w.from > 0;
    w.cut_after = w.to < line.len;
    return w;
}

static size_t line_offset(const place *at, wm_str line)
{
    uint32_t start = (uint32_t)(line.p - at->source->text);
    return at->beg > start ? at->beg - start : 0;
}

static bool in_window(const window *w, const place *at, wm_str line)
{
    size_t beg = line_offset(at, line);
    return beg >= w->from && beg <= w->to;
}

static void gutter(const printer *p, int width, uint32_t line)
{
    begin(p, BLUE);
    if (line)
        fprintf(p->out, " %*" PRIu32 " |", width, line);
    else
        fprintf(p->out, " %*s |", width, "");
    end(p);
    fputc(' ', p->out);
}

/* A row of marks under a place. */
static void put_marks(const printer *p, int width, const window *w, const place *at, wm_str line, char mark,
                      const char *label)
{
    size_t beg = line_offset(at, line), stop = beg + (at->end - at->beg);
    if (stop > w->to)
        stop = w->to;
    if (beg > w->to)
        beg = w->to;
    int pad = width_of(w->text + w->from, beg - w->from) + (w->cut_before ? 3 : 0);
    int count = stop > beg ? width_of(w->text + beg, stop - beg) : 0;
    gutter(p, width, 0);
    fprintf(p->out, "%*s", pad, "");
    begin(p, mark == '^' ? RED : CYAN);
    for (int i = 0; i < count || i == 0; i++)
        fputc(mark, p->out);
    if (label && *label) {
        fputc(' ', p->out);
        put_string(p->out, label);
    }
    end(p);
    fputc('\n', p->out);
}

static void put_line(const printer *p, int width, const window *w, uint32_t number)
{
    gutter(p, width, number);
    fputs(w->cut_before ? "..." : "", p->out);
    put_text(p->out, w->text + w->from, w->to - w->from);
    fputs(w->cut_after ? "...\n" : "\n", p->out);
}

static int digits(uint32_t number)
{
    int count = 1;
    for (; number >= 10; number /= 10)
        count++;
    return count;
}

static wm_str line_of(const place *at)
{
    return wm_source_line(NULL, at->source, at->line); /* its lines were found when the place was */
}

static void put_place(const printer *p, const place *at)
{
    put_string(p->out, at->source->name);
    fprintf(p->out, ":%" PRIu32 ":%" PRIu32, at->line, at->column);
}

/* Another place, with its line. */
static void put_other(const printer *p, const place *at, const char *text)
{
    begin(p, BLUE);
    fputs("  ::: ", p->out);
    end(p);
    put_place(p, at);
    fputc('\n', p->out);
    wm_str line = line_of(at);
    window around = window_of(line, line_offset(at, line));
    put_line(p, digits(at->line), &around, at->line);
    put_marks(p, digits(at->line), &around, at, line, '~', text);
}

/* The main line, if there is one, with all marks that belong to it, then the other places. */
static void put_snippets(const printer *p, const entry *e, bool placed)
{
    const wm_diag *d = e->diag;
    bool shown[WM_DIAG_MAX_LABELS] = {false};
    for (uint32_t i = 0; i < d->label_count; i++)
        shown[i] = !e->labels[i].source || e->labels[i].whole;
    if (placed) {
        wm_str line = line_of(&e->main);
        window w = window_of(line, line_offset(&e->main, line));
        int width = digits(e->main.line);
        put_line(p, width, &w, e->main.line);
        put_marks(p, width, &w, &e->main, line, '^', d->label);
        for (uint32_t i = 0; i < d->label_count; i++) {
            const place *at = &e->labels[i];
            if (at->source != e->main.source || at->line != e->main.line || !in_window(&w, at, line))
                continue;
            put_marks(p, width, &w, at, line, '~', d->labels[i].text);
            shown[i] = true;
        }
    }
    for (uint32_t i = 0; i < d->label_count; i++)
        if (!shown[i])
            put_other(p, &e->labels[i], d->labels[i].text);
}

static void put_note(const printer *p, int width, const char *kind, const char *text)
{
    begin(p, BLUE);
    fprintf(p->out, " %*s = ", width, "");
    end(p);
    begin(p, BOLD);
    fprintf(p->out, "%s:", kind);
    end(p);
    fputc(' ', p->out);
    put_string(p->out, text);
    fputc('\n', p->out);
}

static void put_entry(const printer *p, const wmap_report *r, const entry *e)
{
    const wm_diag *d = e->diag;
    begin(p, BOLD);
    bool placed = e->main.source && !e->main.whole;
    if (placed)
        put_place(p, &e->main);
    else
        put_string(p->out, e->main.source ? e->main.source->name : r->spec);
    fputs(": ", p->out);
    end(p);
    begin(p, d->warning ? YELLOW : RED);
    fputs(wm_severity(d), p->out);
    if (d->id != WM_DIAG_NONE)
        fprintf(p->out, "[%s]", wm_diag_name(d->id));
    end(p);
    begin(p, BOLD);
    fputs(": ", p->out);
    put_string(p->out, d->message);
    end(p);
    fputc('\n', p->out);
    put_snippets(p, e, placed);
    int width = placed ? digits(e->main.line) : 1;
    for (uint32_t i = 0; i < d->note_count; i++)
        if (!d->notes[i].hint)
            put_note(p, width, "note", d->notes[i].text);
    if (e->folded)
        put_note(p, width, "note", e->folded);
    for (uint32_t i = 0; i < d->note_count; i++)
        if (d->notes[i].hint)
            put_note(p, width, "hint", d->notes[i].text);
    fputc('\n', p->out);
}

static void put_count(FILE *out, size_t count, const char *what)
{
    fprintf(out, "%zu %s%s", count, what, count == 1 ? "" : "s");
}

static void print_text(const wmap_report *r, FILE *out, bool color, size_t max_errors)
{
    printer p = {out, color};
    size_t errors = 0;
    for (size_t i = 0; i < r->count; i++) {
        const entry *e = &r->entries[i];
        if (!e->diag->warning && ++errors > max_errors)
            continue;
        put_entry(&p, r, e);
    }
    if (errors > max_errors)
        fprintf(out, "%zu more error%s not shown\n", errors - max_errors,
                errors - max_errors == 1 ? " is" : "s are");
    if (r->errors)
        put_count(out, r->errors, "error");
    if (r->errors && r->warnings)
        fputs(", ", out);
    if (r->warnings)
        put_count(out, r->warnings, "warning");
    if (r->count)
        fputc('\n', out);
}

void wmap_report_print_reversal(const wmap_report *report, FILE *out, bool color)
{
    printer p = {out, color};
    const wmap_report *reasons = report ? report->reasons : NULL;
    for (size_t i = 0; reasons && i < reasons->count; i++)
        put_entry(&p, reasons, &reasons->entries[i]);
}

const char *wmap_report_reason(const wmap_report *report, size_t *more)
{
    const wmap_report *r = report ? report->reasons : NULL;
    *more = r && r->count ? r->count - 1 : 0;
    return r && r->reason ? r->reason : "";
}

void wmap_report_print(const wmap_report *report, FILE *out, wmap_report_format format, bool color,
                       size_t max_errors)
{
    if (!report)
        return;
    if (max_errors == 0)
        max_errors = SIZE_MAX;
    if (format == WMAP_REPORT_JSON)
        wm_report_json(report, out, max_errors);
    else if (format == WMAP_REPORT_SARIF)
        wm_report_sarif(report, out, max_errors);
    else if (format == WMAP_REPORT_GITHUB)
        wm_report_github(report, out, max_errors);
    else
        print_text(report, out, color, max_errors);
}
