/* diag.h: findings. A diagnostic is a record; it is queued with everything it points at, and all are sorted,
 * folded, capped and printed once, at the end. diag.def lists the ids with a title and whether they are fit
 * errors. */
#ifndef WM_DIAG_H
#define WM_DIAG_H

#include "compiler/source.h"
#include "wmap/compile.h"

typedef enum wm_diag_id {
    WM_DIAG_NONE,
#define WM_DIAG(id, fit, title) WM_##id,
#include "compiler/diag.def"
#undef WM_DIAG
    WM_DIAG_COUNT
} wm_diag_id;

#define WM_DIAG_MAX_LABELS 4 /* one of them is for `use` */
#define WM_DIAG_MAX_NOTES  12

typedef struct wm_label {
    wm_span span;
    const char *text; /* may be "" */
} wm_label;

typedef struct wm_diag {
    wm_diag_id id;
    bool warning;
    wm_span
        span; /* the main place; WM_NOWHERE for findings about whole files, then `where` is the spec's name */
    const char *message;                 /* one line, lower case, no full stop */
    const char *label;                   /* beside the carets of the main span; may be NULL */
    wm_label labels[WM_DIAG_MAX_LABELS]; /* second places */
    uint32_t label_count;
    struct wm_diag_note {
        bool hint; /* "= hint:" instead of "= note:" */
        const char *text;
    } notes[WM_DIAG_MAX_NOTES];
    uint32_t note_count;
    const char *round; /* "l=3": the loop variables of the instance; findings equal but for it are folded.
                          NULL if none */
    /* Of the first of findings that are folded: the `use` that brought the statement here, and the name that
     * a string with holes is. */
    wm_span use;
    const char *means;
    /* A change that mends it for certain: this text in the place of that span. NULL: there is none. */
    wm_span fix;
    const char *fix_text;
    uint32_t order;
    bool minor; /* named first only where nothing else is found */
    struct wm_diag *next;
} wm_diag;

/* What one compilation knows about its texts and its findings. Everything is in `arena`. What only one step
 * needs is in `scratch`, which whoever drives the steps clears; findings never refer to it. */
typedef struct wm_unit {
    wm_arena *arena, *scratch;
    wm_source **sources;
    size_t source_count, source_cap;
    wm_diag *diags, *last;
    size_t errors, warnings;
    wmap_model_match *matches; /* of `--as '*'`; names in the arena */
    size_t match_count, match_cap;
    wm_span use; /* of the line at hand, for findings; WM_NOWHERE */
} wm_unit;

/* Queues a finding. Returns it, for labels and notes to be added. The message is printf-like. Never NULL (the
 * arena jumps when out of memory). */
wm_diag *wm_error(wm_unit *unit, wm_diag_id id, wm_span span, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
wm_diag *wm_warn(wm_unit *unit, wm_diag_id id, wm_span span, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The label of the main span; a labelled second span; a note; a hint. More than fit are left out. */
void wm_diag_label(wm_unit *unit, wm_diag *diag, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void wm_diag_also(wm_unit *unit, wm_diag *diag, wm_span span, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void wm_diag_note(wm_unit *unit, wm_diag *diag, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void wm_diag_hint(wm_unit *unit, wm_diag *diag, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A change that mends the finding for certain: `wmap check --fix` makes it. `span` may be empty, to insert.
 */
void wm_diag_fix(wm_unit *unit, wm_diag *diag, wm_span span, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Bytes of a name as a message shows them: printable, between backquotes ("`conv/kernel:0`"), in the arena.
 */
const char *wm_quote(wm_unit *unit, wm_str name);

/* The candidate nearest to `name` (edit distance, at most a third of its length), NULL if none is near. */
typedef struct wm_near {
    wm_str name, best;
    size_t distance;
    bool tied; /* another candidate is as near */
} wm_near;
void wm_near_init(wm_near *near, wm_str name);
void wm_near_try(wm_near *near, wm_str candidate);
bool wm_near_found(const wm_near *near);

/* "did you mean ...?", if anything is near; a fix too, if it alone is and the finding's place is that name.
 */
void wm_diag_near(wm_unit *unit, wm_diag *diag, const wm_near *near);

/* True if the id is one that other headers would cure. */
bool wm_diag_fits(wm_diag_id id);

/* "E0101" */
const char *wm_diag_name(wm_diag_id id);

/* The title of an id, "" if there is no such id. */
const char *wm_diag_title(const char *name);

/* Turns the unit's findings into a report that outlives its arena; `file_took_part` as wmap_report_status
 * needs it. NULL: out of memory. */
wmap_report *wm_report_of(wm_unit *unit, bool file_took_part);

/* Adds what was found of the other direction: `reasons` is a report of its own, and the first's from now on.
 */
void wm_report_judged(wmap_report *report, wmap_reversal reversal, wmap_report *reasons);

#endif
