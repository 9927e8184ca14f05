/* suggest.c: "did you mean" for patterns that match no tensor: the nearest name of the side, with the
 * pattern's holes where they fit. */
#include <string.h>

#include "compiler/pass.h"

#define MAX_SUGGESTED  20
#define MAX_CANDIDATES 20000

/* A name or a pattern without its numbers and holes. */
static wm_str bare_name(wm_unit *unit, wm_str name)
{
    char *out = wm_alloc(unit->arena, name.len + 1);
    uint32_t n = 0;
    for (uint32_t i = 0; i < name.len; i++)
        if (name.p[i] < '0' || name.p[i] > '9')
            out[n++] = name.p[i];
    return (wm_str){out, n};
}

static wm_str bare_pattern(wm_unit *unit, const wm_pattern *pattern)
{
    wm_str all = {"", 0};
    for (uint32_t h = 0; h < pattern->count; h++) {
        if (pattern->holes[h].kind != WM_HOLE_TEXT)
            continue;
        wm_str t = pattern->holes[h].text;
        char *joined = wm_format_text(unit->arena, "%.*s%.*s", (int)all.len, all.p, (int)t.len, t.p);
        all = (wm_str){joined, all.len + t.len};
    }
    return bare_name(unit, all);
}

/* The name with the pattern's holes where its numbers are, run of digits by run of digits; the plain name if
 * they can't be laid on each other. */
static wm_str with_holes(wm_unit *unit, const wm_pattern *pattern, wm_str name)
{
    const char *out = "";
    uint32_t at = 0;
    for (uint32_t h = 0; h <= pattern->count; h++) {
        const wm_hole *hole = h < pattern->count ? &pattern->holes[h] : NULL;
        uint32_t runs = hole && hole->kind != WM_HOLE_TEXT; /* runs of digits to go on to */
        for (uint32_t i = 0; hole && hole->kind == WM_HOLE_TEXT && i < hole->text.len; i++)
            runs += hole->text.p[i] >= '0' && hole->text.p[i] <= '9' &&
                    (i == 0 || hole->text.p[i - 1] < '0' || hole->text.p[i - 1] > '9');
        while (at < name.len && (runs || !hole)) {
            uint32_t beg = at;
            bool digits = name.p[at] >= '0' && name.p[at] <= '9';
            while (at < name.len && (name.p[at] >= '0' && name.p[at] <= '9') == digits)
                at++;
            bool swap = digits && hole && hole->kind != WM_HOLE_TEXT;
            const char *text = swap ? unit->sources[hole->span.file]->text + hole->span.beg : name.p + beg;
            out = wm_format_text(unit->arena, "%s%.*s", out,
                                 (int)(swap ? hole->span.end - hole->span.beg : at - beg), text);
            runs -= digits && runs;
        }
        if (runs)
            return name;
    }
    return (wm_str){out, (uint32_t)strlen(out)};
}

static void bare_names(wm_unit *unit, wm_side *side)
{
    if (side->bare)
        return;
    size_t total;
    const wm_str *all = wm_names_all(side->index, &total);
    side->bare = wm_new(unit->arena, wm_str, total);
    for (size_t i = 0; i < total; i++)
        side->bare[i] = bare_name(unit, all[i]);
}

static bool is_separator(char c)
{
    return c == '/' || c == '.';
}

/* Narrows the finding to the components of the pattern, as it is written, that differ from what was meant. */
static void point_at(wm_unit *unit, wm_diag *diag, const wm_pattern *pattern, wm_str meant)
{
    wm_span span = pattern->span;
    if (span.file == WM_NO_FILE || span.end - span.beg < 3 || diag->span.beg != span.beg)
        return;
    const char *text = unit->sources[span.file]->text + span.beg + 1;
    uint32_t len = span.end - span.beg - 2, head = 0, tail = 0;
    if (text[-1] != '"' || text[len] != '"')
        return;
    for (uint32_t i = 0; i < len && i < meant.len && text[i] == meant.p[i]; i++)
        head = is_separator(text[i]) ? i + 1 : head;
    for (uint32_t i = 0;
         i < len - head && i < meant.len - head && text[len - 1 - i] == meant.p[meant.len - 1 - i]; i++)
        tail = is_separator(text[len - 1 - i]) ? i + 1 : tail;
    if (head + tail == 0 || head + tail >= len)
        return;
    diag->span.beg = span.beg + 1 + head;
    diag->span.end = span.end - 1 - tail;
}

static wm_str last_component(wm_str name)
{
    uint32_t at = name.len;
    while (at > 0 && !is_separator(name.p[at - 1]))
        at--;
    return (wm_str){name.p + at, name.len - at};
}

/* Is it the same array, but for a slip: kernel and kernle, not gamma and beta? */
static bool same_array(wm_str want, wm_str candidate)
{
    wm_near near;
    wm_near_init(&near, want);
    wm_near_try(&near, candidate);
    return want.len == 0 || wm_near_found(&near);
}

/* The index of the nearest name, WM_NO_NAME if none is near. The array beside the one that is wanted is often
 * fewer letters away than the same array elsewhere, but hardly ever what was meant. */
static size_t nearest(const wm_str *names, size_t total, wm_str want)
{
    wm_near same, sibling;
    wm_near_init(&same, want);
    wm_near_init(&sibling, want);
    wm_str before = {NULL, 0}, array = last_component(want);
    size_t best = WM_NO_NAME, beside = WM_NO_NAME, tried = 0;
    for (size_t i = 0; i < total && tried < MAX_CANDIDATES; i++) {
        uint32_t gap = names[i].len > want.len ? names[i].len - want.len : want.len - names[i].len;
        if (gap > want.len / 3 || wm_str_eq(names[i], before))
            continue;
        before = names[i];
        tried++;
        bool is_same = same_array(array, last_component(names[i]));
        wm_near *near = is_same ? &same : &sibling;
        wm_near_try(near, names[i]);
        if (wm_near_found(near) && near->best.p == names[i].p)
            *(is_same ? &best : &beside) = i;
    }
    return best != WM_NO_NAME ? best : beside;
}

void wm_suggest(wm_state *state, wm_diag *diag, const wm_pattern *pattern, wm_side *side)
{
    wm_unit *unit = state->unit;
    if (state->suggestions >= MAX_SUGGESTED || side->count == 0)
        return;
    state->suggestions++;
    if (!pattern->literal)
        bare_names(unit, side);
    size_t total;
    const wm_str *all = wm_names_all(side->index, &total), *names = pattern->literal ? all : side->bare;
    wm_str want = pattern->literal ? pattern->text : bare_pattern(unit, pattern);
    size_t count = 0, best = nearest(names, total, want);
    if (best == WM_NO_NAME)
        return;
    if (pattern->literal) {
        wm_diag_hint(unit, diag, "did you mean %s?", wm_quote(unit, all[best]));
        point_at(unit, diag, pattern, all[best]);
        return;
    }
    for (size_t i = 0; i < total; i++)
        count += wm_str_eq(names[i], names[best]);
    wm_str meant = with_holes(unit, pattern, all[best]);
    point_at(unit, diag, pattern, meant);
    wm_diag_hint(unit, diag, "did you mean %s? %zu tensor%s that", wm_quote(unit, meant), count,
                 count == 1 ? " matches" : "s match");
}
