/* diag.c: making findings. They are records in the unit's arena, queued in the order in which the passes meet
 * them; report.c sorts, folds and prints them. Also the search for "did you mean". */
#include "compiler/diag.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/text.h"

static const struct {
    const char *name, *title;
    bool fits;
} ids[] = {
    [WM_DIAG_NONE] = {"", "", false},
#define WM_DIAG(id, fit, title) [WM_##id] = {#id, title, fit},
#include "compiler/diag.def"
#undef WM_DIAG
};

const char *wm_diag_name(wm_diag_id id)
{
    return id < WM_DIAG_COUNT ? ids[id].name : "";
}

const char *wm_diag_title(const char *name)
{
    for (size_t i = 0; i < WM_DIAG_COUNT; i++)
        if (strcmp(ids[i].name, name) == 0)
            return ids[i].title;
    return "";
}

bool wm_diag_fits(wm_diag_id id)
{
    return id < WM_DIAG_COUNT && ids[id].fits;
}

/* printf into the unit's arena. The arena jumps when it is out of memory; if a caller's doesn't, the text is
 * cut. */
__attribute__((format(printf, 2, 0))) static const char *text_of(wm_unit *unit, const char *format,
                                                                 va_list args)
{
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    char *text = len < 0 ? NULL : wm_alloc(unit->arena, (size_t)len + 1);
    if (text)
        vsnprintf(text, (size_t)len + 1, format, again);
    va_end(again);
    return text ? text : "";
}

static wm_diag *queue(wm_unit *unit, wm_diag_id id, wm_span span, bool warning, const char *message)
{
    wm_diag *diag = wm_new(unit->arena, wm_diag, 1);
    diag->id = id;
    diag->span = span;
    diag->warning = warning;
    diag->message = message;
    diag->use = unit->use;
    diag->order = (uint32_t)(unit->errors + unit->warnings);
    if (unit->last)
        unit->last->next = diag;
    else
        unit->diags = diag;
    unit->last = diag;
    if (warning)
        unit->warnings++;
    else
        unit->errors++;
    return diag;
}

wm_diag *wm_error(wm_unit *unit, wm_diag_id id, wm_span span, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const char *message = text_of(unit, format, args);
    va_end(args);
    return queue(unit, id, span, false, message);
}

wm_diag *wm_warn(wm_unit *unit, wm_diag_id id, wm_span span, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const char *message = text_of(unit, format, args);
    va_end(args);
    return queue(unit, id, span, true, message);
}

void wm_diag_label(wm_unit *unit, wm_diag *diag, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    diag->label = text_of(unit, format, args);
    va_end(args);
}

void wm_diag_also(wm_unit *unit, wm_diag *diag, wm_span span, const char *format, ...)
{
    if (diag->label_count == WM_DIAG_MAX_LABELS - 1 || span.file == WM_NO_FILE)
        return;
    wm_label *label = &diag->labels[diag->label_count++];
    va_list args;
    va_start(args, format);
    label->span = span;
    label->text = text_of(unit, format, args);
    va_end(args);
}

__attribute__((format(printf, 4, 0))) static void add_note(wm_unit *unit, wm_diag *diag, bool hint,
                                                           const char *format, va_list args)
{
    if (diag->note_count == WM_DIAG_MAX_NOTES)
        return;
    const char *text = text_of(unit, format, args);
    diag->notes[diag->note_count].hint = hint;
    diag->notes[diag->note_count++].text = text;
}

void wm_diag_note(wm_unit *unit, wm_diag *diag, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add_note(unit, diag, false, format, args);
    va_end(args);
}

void wm_diag_hint(wm_unit *unit, wm_diag *diag, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add_note(unit, diag, true, format, args);
    va_end(args);
}

void wm_diag_fix(wm_unit *unit, wm_diag *diag, wm_span span, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (span.file < unit->source_count) {
        diag->fix = span;
        diag->fix_text = text_of(unit, format, args);
    }
    va_end(args);
}

/* Names longer than this are cut in the middle: no message needs more to be understood. */
#define QUOTE_MAX 256

const char *wm_quote(wm_unit *unit, wm_str name)
{
    char shown[QUOTE_MAX];
    wm_show(shown, sizeof shown, name.p, name.len);
    return wm_format_text(unit->arena, "`%s`", shown);
}

/* Longer names are no typing mistakes of each other. */
#define NEAR_MAX 255

void wm_near_init(wm_near *near, wm_str name)
{
    near->name = name;
    near->best = (wm_str){NULL, 0};
    near->tied = false;
    near->distance = name.len > NEAR_MAX ? 0 : name.len / 3u + 1;
    /* Short names: one letter may differ in a name of two, none in a name of one. */
    if (name.len == 2)
        near->distance = 2;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Edit distance of two texts, a swap of neighbours being one edit (optimal string alignment), or `limit` if
 * it is not less than that. */
static size_t distance(wm_str a, wm_str b, size_t limit)
{
    size_t rows[3][NEAR_MAX + 1];
    size_t *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= b.len; j++)
        row[j] = j;
    for (size_t i = 1, least_above = 0; i <= a.len; i++) {
        size_t *free_row = before, least = i;
        before = above;
        above = row;
        row = free_row;
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t best =
                smaller(above[j - 1] + (a.p[i - 1] != b.p[j - 1]), smaller(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1])
                best = smaller(best, before[j - 2] + 1);
            row[j] = best;
            least = smaller(least, best);
        }
        if (least >= limit && least_above >= limit) /* a swap looks two rows back */
            return limit;
        least_above = least;
    }
    return smaller(row[b.len], limit);
}

void wm_near_try(wm_near *near, wm_str candidate)
{
    size_t gap =
        near->name.len > candidate.len ? near->name.len - candidate.len : candidate.len - near->name.len;
    if (candidate.len > NEAR_MAX || gap > near->distance)
        return;
    size_t d = distance(near->name, candidate, near->distance + 1);
    if (d < near->distance) {
        near->distance = d;
        near->best = candidate;
        near->tied = false;
    } else if (d == near->distance && near->best.p && !wm_str_eq(candidate, near->best)) {
        near->tied = true;
    }
}

bool wm_near_found(const wm_near *near)
{
    return near->best.p != NULL;
}

#define FIX_DISTANCE 2 /* edits; with more, a person should look */

/* True if the finding's place is the name as it stands there. */
static bool stands_there(const wm_unit *unit, wm_span span, wm_str name)
{
    if (span.file >= unit->source_count || span.beg > span.end || span.end > unit->sources[span.file]->size)
        return false;
    return wm_str_eq((wm_str){unit->sources[span.file]->text + span.beg, span.end - span.beg}, name);
}

void wm_diag_near(wm_unit *unit, wm_diag *diag, const wm_near *near)
{
    if (!wm_near_found(near))
        return;
    wm_diag_hint(unit, diag, "did you mean %s?", wm_quote(unit, near->best));
    if (!near->tied && near->distance <= FIX_DISTANCE && stands_there(unit, diag->span, near->name))
        wm_diag_fix(unit, diag, diag->span, "%.*s", (int)near->best.len, near->best.p);
}
