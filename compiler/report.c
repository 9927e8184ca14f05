/* report.c: printing findings. Receives the queue of a unit; sorts it by file and place, folds findings that differ in
 * loop variables only, and keeps all that printing needs in an arena of its own, so that the unit may go. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/diag.h"
#include "runtime/base/text.h"

#define MAX_WIDTH 200 /* columns of a source line that are shown */

struct wmap_report {
    wm_arena arena;
    wm_source *sources;
    size_t source_count;
    wm_diag *diags;
    size_t count;
    size_t errors, warnings;
    int status;
};

/* ---- sorting and folding ---- */

static bool has_place(const wm_diag *d)
{
    return d->span.file != WM_NO_FILE && d->span.beg != UINT32_MAX;
}

static int by_place(const void *a, const void *b)
{
    const wm_diag *x = a, *y = b;
    if (has_place(x) != has_place(y))
        return has_place(x) ? -1 : 1;
    if (has_place(x) && x->span.file != y->span.file)
        return x->span.file < y->span.file ? -1 : 1;
    if (has_place(x) && x->span.beg != y->span.beg)
        return x->span.beg < y->span.beg ? -1 : 1;
    if (x->id != y->id)
        return x->id < y->id ? -1 : 1;
    return (x->order > y->order) - (x->order < y->order);
}

static bool alike(const wm_diag *a, const wm_diag *b)
{
    return a->round && b->round && a->id == b->id && a->span.file == b->span.file && a->span.beg == b->span.beg &&
           a->span.end == b->span.end && a->warning == b->warning;
}

/* The number behind the last `=` of "b=1, l=3", and the length of what stands before it. */
static bool last_number(const char *round, size_t *prefix, long long *value)
{
    const char *at = strrchr(round, '=');
    char *end;
    if (!at || at[1] < '0' || at[1] > '9')
        return false;
    *prefix = (size_t)(at + 1 - round);
    *value = strtoll(at + 1, &end, 10);
    return *end == 0;
}

/* "l=1..47" if the rounds [from, to) are a run, else the first few of them. */
static const char *show_rounds(wm_arena *arena, const wm_diag *diags, size_t from, size_t to)
{
    size_t prefix, p;
    long long first, value;
    bool run = last_number(diags[from].round, &prefix, &first);
    for (size_t i = from + 1; i < to && run; i++)
        run = last_number(diags[i].round, &p, &value) && p == prefix &&
              memcmp(diags[i].round, diags[from].round, p) == 0 && value == first + (long long)(i - from);
    if (run && to - from > 1)
        return wm_format_text(arena, "%.*s%lld..%lld", (int)prefix, diags[from].round, first,
                              first + (long long)(to - from) - 1);
    const char *text = "";
    for (size_t i = from; i < to && i < from + 4 && text; i++)
        text = wm_format_text(arena, "%s%s%s", text, i > from ? "; " : "", diags[i].round);
    return text && to - from > 4 ? wm_format_text(arena, "%s ...", text) : text;
}

static bool add_note(wm_arena *arena, wm_diag *d, const char *text)
{
    if (!text)
        return false;
    if (d->note_count == WM_DIAG_MAX_NOTES)
        d->note_count--;
    d->notes[d->note_count].hint = false;
    d->notes[d->note_count++].text = text;
    (void)arena;
    return true;
}

static bool fold(wmap_report *r)
{
    size_t kept = 0;
    for (size_t i = 0; i < r->count;) {
        size_t end = i + 1;
        while (end < r->count && alike(&r->diags[i], &r->diags[end]))
            end++;
        wm_diag *d = &r->diags[kept++];
        *d = r->diags[i];
        if (end - i > 1) {
            const char *rounds = show_rounds(&r->arena, r->diags, i + 1, end);
            const char *text = rounds ? wm_format_text(&r->arena, "and %zu more: %s", end - i - 1, rounds) : NULL;
            if (!add_note(&r->arena, d, text))
                return false;
        }
        i = end;
    }
    r->count = kept;
    return true;
}

/* ---- copying ---- */

static const char *keep(wm_arena *arena, const char *text, bool *ok)
{
    char *copy = text ? wm_copy(arena, text, strlen(text)) : NULL;
    *ok &= !text || copy;
    return copy;
}

static bool copy_diag(wm_arena *arena, wm_diag *to, const wm_diag *from)
{
    bool ok = true;
    *to = *from;
    to->message = keep(arena, from->message, &ok);
    to->label = keep(arena, from->label, &ok);
    to->round = keep(arena, from->round, &ok);
    for (uint32_t i = 0; i < from->label_count; i++)
        to->labels[i].text = keep(arena, from->labels[i].text, &ok);
    for (uint32_t i = 0; i < from->note_count; i++)
        to->notes[i].text = keep(arena, from->notes[i].text, &ok);
    return ok;
}

static bool copy_unit(wmap_report *r, wm_unit *unit)
{
    for (const wm_diag *d = unit->diags; d; d = d->next)
        r->count++;
    r->diags = wm_new(&r->arena, wm_diag, r->count);
    r->sources = wm_new(&r->arena, wm_source, unit->source_count);
    if (!r->diags || !r->sources)
        return false;
    r->source_count = unit->source_count;
    for (size_t i = 0; i < unit->source_count; i++) {
        const wm_source *s = unit->sources[i];
        bool ok = true;
        r->sources[i] = (wm_source){.name = keep(&r->arena, s->name, &ok), .size = s->size};
        r->sources[i].text = r->count ? wm_copy(&r->arena, s->text, s->size) : "";
        r->sources[i].size = r->count ? s->size : 0;
        if (!ok || !r->sources[i].text)
            return false;
    }
    size_t at = 0;
    for (const wm_diag *d = unit->diags; d; d = d->next)
        if (!copy_diag(&r->arena, &r->diags[at++], d))
            return false;
    return true;
}

wmap_report *wm_report_of(wm_unit *unit, bool file_took_part)
{
    wmap_report *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    wm_arena_init(&r->arena);
    if (!copy_unit(r, unit)) {
        wmap_report_free(r);
        return NULL;
    }
    bool fit = file_took_part;
    for (size_t i = 0; i < r->count; i++)
        fit &= r->diags[i].warning || wm_diag_fits(r->diags[i].id);
    if (r->count > 1)
        qsort(r->diags, r->count, sizeof *r->diags, by_place);
    if (!fold(r)) {
        wmap_report_free(r);
        return NULL;
    }
    for (size_t i = 0; i < r->count; i++)
        (*(r->diags[i].warning ? &r->warnings : &r->errors))++;
    r->status = r->errors == 0 ? 0 : fit ? 3 : 1;
    return r;
}

void wmap_report_free(wmap_report *report)
{
    if (!report)
        return;
    wm_arena_release(&report->arena);
    free(report);
}

size_t wmap_report_errors(const wmap_report *report)
{
    return report ? report->errors : 0;
}

size_t wmap_report_warnings(const wmap_report *report)
{
    return report ? report->warnings : 0;
}

int wmap_report_status(const wmap_report *report)
{
    return report ? report->status : 0;
}

/* ---- text ---- */

typedef struct printer {
    wmap_report *report;
    FILE *out;
    bool color;
    int gutter; /* digits of the line numbers */
} printer;

static const char *paint(const printer *p, const char *code)
{
    return p->color ? code : "";
}
#define RESET  "\033[0m"
#define BOLD   "\033[1m"
#define RED    "\033[1;31m"
#define YELLOW "\033[1;33m"
#define BLUE   "\033[1;34m"

static wm_source *source_of(const printer *p, wm_span span)
{
    return &p->report->sources[span.file];
}

/* Columns on the terminal of `bytes`; a tab and a character that can't be shown take one. */
static size_t columns(const char *bytes, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len;) {
        uint32_t c;
        size_t step = wm_utf8(bytes + i, len - i, &c);
        n += step && c >= 0x20 ? (size_t)wm_utf8_width(c) : 1;
        i += step ? step : 1;
    }
    return n;
}

static void print_bytes(const printer *p, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len;) {
        uint32_t c;
        size_t step = wm_utf8(bytes + i, len - i, &c);
        bool odd = step == 0 || c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x200e && c <= 0x202e) ||
                   (c >= 0x2066 && c <= 0x2069);
        if (odd)
            fputc(step && c == '\t' ? ' ' : '?', p->out);
        else
            fwrite(bytes + i, 1, step, p->out);
        i += step ? step : 1;
    }
}

/* A line as shown: a window of it, if it is too long. Offsets are of bytes in the line. */
typedef struct window {
    wm_str line;
    uint32_t start; /* of the line in its text */
    uint32_t from, to;
} window;

static window window_of(const printer *p, wm_span span)
{
    wm_source *s = source_of(p, span);
    uint32_t line, column;
    wm_source_position(&p->report->arena, s, span.beg, &line, &column);
    window w = {.line = wm_source_line(&p->report->arena, s, line)};
    w.start = (uint32_t)(w.line.p - s->text);
    w.to = w.line.len;
    if (w.line.len <= MAX_WIDTH)
        return w;
    uint32_t at = span.beg - w.start;
    w.from = at > MAX_WIDTH / 2 ? at - MAX_WIDTH / 2 : 0;
    w.to = w.from + MAX_WIDTH < w.line.len ? w.from + MAX_WIDTH : w.line.len;
    while (w.from > 0 && ((unsigned char)w.line.p[w.from] & 0xc0) == 0x80)
        w.from--;
    while (w.to < w.line.len && ((unsigned char)w.line.p[w.to] & 0xc0) == 0x80)
        w.to++;
    return w;
}

static void print_line(const printer *p, const window *w, uint32_t line)
{
    fprintf(p->out, "%s %*u |%s %s", paint(p, BLUE), p->gutter, line, paint(p, RESET), w->from ? "..." : "");
    print_bytes(p, w->line.p + w->from, w->to - w->from);
    fprintf(p->out, "%s\n", w->to < w->line.len ? "..." : "");
}

/* The row of marks under a span. */
static void print_marks(const printer *p, const window *w, wm_span span, char mark, const char *color,
                        const char *text)
{
    uint32_t beg = span.beg - w->start, end = span.end - w->start;
    beg = beg > w->line.len ? w->line.len : beg;
    end = end > w->line.len ? w->line.len : end;
    if (beg < w->from || beg > w->to)
        return;
    end = end > w->to ? w->to : end;
    size_t before = columns(w->line.p + w->from, beg - w->from) + (w->from ? 3 : 0);
    size_t marks = end > beg ? columns(w->line.p + beg, end - beg) : 1;
    fprintf(p->out, "%s %*s |%s %*s%s", paint(p, BLUE), p->gutter, "", paint(p, RESET), (int)before, "",
            paint(p, color));
    for (size_t i = 0; i < (marks ? marks : 1); i++)
        fputc(mark, p->out);
    fprintf(p->out, "%s%s%s\n", text && *text ? " " : "", text ? text : "", paint(p, RESET));
}

static uint32_t line_of(const printer *p, wm_span span, uint32_t *column)
{
    uint32_t line, col;
    wm_source_position(&p->report->arena, source_of(p, span), span.beg, &line, &col);
    if (column)
        *column = col;
    return line;
}

static void print_labels(const printer *p, const wm_diag *d, uint32_t main_line)
{
    for (uint32_t i = 0; i < d->label_count; i++) {
        const wm_label *l = &d->labels[i];
        window w = window_of(p, l->span);
        uint32_t column, line = line_of(p, l->span, &column);
        bool shown = l->span.file == d->span.file && line == main_line;
        if (shown) {
            window main = window_of(p, d->span);
            if (l->span.beg - main.start >= main.from && l->span.beg - main.start <= main.to) {
                print_marks(p, &main, l->span, '~', BLUE, l->text);
                continue;
            }
        }
        fprintf(p->out, "%s %*s:::%s %s:%u:%u\n", paint(p, BLUE), p->gutter, "", paint(p, RESET),
                source_of(p, l->span)->name, line, column);
        print_line(p, &w, line);
        print_marks(p, &w, l->span, '~', BLUE, l->text);
    }
}

static int digits(uint32_t n)
{
    int d = 1;
    while (n /= 10)
        d++;
    return d;
}

static void print_diag(printer *p, const wm_diag *d)
{
    const char *kind = d->warning ? "warning" : "error", *color = d->warning ? YELLOW : RED;
    bool place = has_place(d);
    uint32_t column = 0, line = place ? line_of(p, d->span, &column) : 0;
    p->gutter = digits(line);
    for (uint32_t i = 0; i < d->label_count; i++) {
        int n = digits(line_of(p, d->labels[i].span, NULL));
        p->gutter = n > p->gutter ? n : p->gutter;
    }
    fputs(paint(p, BOLD), p->out);
    if (place)
        fprintf(p->out, "%s:%u:%u: ", source_of(p, d->span)->name, line, column);
    else if (d->span.file != WM_NO_FILE)
        fprintf(p->out, "%s: ", source_of(p, d->span)->name);
    fprintf(p->out, "%s%s%s[%s]:%s%s %s%s\n", paint(p, RESET), paint(p, color), kind, wm_diag_name(d->id),
            paint(p, RESET), paint(p, BOLD), d->message, paint(p, RESET));
    if (place) {
        window w = window_of(p, d->span);
        print_line(p, &w, line);
        print_marks(p, &w, d->span, '^', color, d->label);
    }
    print_labels(p, d, line);
    for (int hint = 0; hint < 2; hint++)
        for (uint32_t i = 0; i < d->note_count; i++)
            if (d->notes[i].hint == (hint == 1))
                fprintf(p->out, " %*s %s=%s %s: %s\n", p->gutter, "", paint(p, BLUE), paint(p, RESET),
                        hint ? "hint" : "note", d->notes[i].text);
}

static const char *plural(size_t n)
{
    return n == 1 ? "" : "s";
}

static void print_text(wmap_report *report, FILE *out, bool color, size_t max_errors)
{
    printer p = {report, out, color, 1};
    size_t errors = 0, hidden = 0;
    for (size_t i = 0; i < report->count; i++) {
        if (!report->diags[i].warning && max_errors && errors >= max_errors) {
            hidden++;
            continue;
        }
        errors += !report->diags[i].warning;
        print_diag(&p, &report->diags[i]);
        fputc('\n', out);
    }
    if (hidden)
        fprintf(out, "%zu more error%s not shown\n", hidden, hidden == 1 ? " is" : "s are");
    if (report->errors)
        fprintf(out, "%zu error%s", report->errors, plural(report->errors));
    if (report->warnings)
        fprintf(out, "%s%zu warning%s", report->errors ? ", " : "", report->warnings, plural(report->warnings));
    if (report->errors || report->warnings)
        fputc('\n', out);
}

/* ---- JSON ---- */

static json_t *place_json(const printer *p, wm_span span)
{
    json_t *o = json_object();
    if (span.file == WM_NO_FILE)
        return o;
    json_object_set_new(o, "file", json_string(source_of(p, span)->name));
    if (span.beg == UINT32_MAX)
        return o;
    uint32_t line, column;
    wm_source_position(&p->report->arena, source_of(p, span), span.beg, &line, &column);
    json_object_set_new(o, "line", json_integer(line));
    json_object_set_new(o, "column", json_integer(column));
    wm_source_position(&p->report->arena, source_of(p, span), span.end, &line, &column);
    json_object_set_new(o, "end_line", json_integer(line));
    json_object_set_new(o, "end_column", json_integer(column));
    return o;
}

static json_t *diag_json(const printer *p, const wm_diag *d)
{
    json_t *o = place_json(p, d->span), *labels = json_array(), *notes = json_array();
    json_object_set_new(o, "id", json_string(wm_diag_name(d->id)));
    json_object_set_new(o, "severity", json_string(d->warning ? "warning" : "error"));
    json_object_set_new(o, "message", json_string(d->message));
    if (d->label)
        json_object_set_new(o, "label", json_string(d->label));
    for (uint32_t i = 0; i < d->label_count; i++) {
        json_t *l = place_json(p, d->labels[i].span);
        json_object_set_new(l, "text", json_string(d->labels[i].text));
        json_array_append_new(labels, l);
    }
    for (uint32_t i = 0; i < d->note_count; i++)
        json_array_append_new(notes, json_pack("{s:s, s:s}", "kind", d->notes[i].hint ? "hint" : "note", "text",
                                               d->notes[i].text));
    json_object_set_new(o, "labels", labels);
    json_object_set_new(o, "notes", notes);
    return o;
}

static void print_json(wmap_report *report, FILE *out, size_t max_errors)
{
    printer p = {report, out, false, 1};
    json_t *all = json_object(), *list = json_array();
    size_t errors = 0;
    for (size_t i = 0; i < report->count; i++) {
        errors += !report->diags[i].warning;
        if (report->diags[i].warning || !max_errors || errors <= max_errors)
            json_array_append_new(list, diag_json(&p, &report->diags[i]));
    }
    json_object_set_new(all, "diagnostics", list);
    json_object_set_new(all, "errors", json_integer((json_int_t)report->errors));
    json_object_set_new(all, "warnings", json_integer((json_int_t)report->warnings));
    json_dumpf(all, out, JSON_INDENT(2));
    fputc('\n', out);
    json_decref(all);
}

void wmap_report_print(const wmap_report *report, FILE *out, wmap_report_format format, bool color,
                       size_t max_errors)
{
    wmap_report *r = (wmap_report *)(uintptr_t)report; /* line tables are made when first needed */
    if (!r)
        return;
    if (format == WMAP_REPORT_JSON)
        print_json(r, out, max_errors);
    else
        print_text(r, out, color, max_errors);
}
