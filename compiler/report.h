/* report.h: the inside of a report, for the files that print one. */
#ifndef WM_REPORT_H
#define WM_REPORT_H

#include <stdio.h>

#include "compiler/diag.h"

/* A span with what printing needs of it. */
typedef struct place {
    wm_source *source; /* NULL: nowhere */
    bool whole;        /* the file as a whole, no line of it */
    uint32_t line, column, end_line, end_column;
    uint32_t beg, end; /* bytes of the source */
} place;

typedef struct entry {
    wm_diag *diag;
    place main, labels[WM_DIAG_MAX_LABELS];
    place fix;          /* what wm_diag.fix_text takes the place of */
    const char *folded; /* "and 47 more: l=1..47", NULL if none */
} entry;

struct wmap_report {
    wm_arena arena;
    entry *entries;
    size_t count, errors, warnings;
    bool all_fit, file_took_part;
    const char *spec; /* the name for findings without a place */
    wmap_model_match *matches;
    size_t match_count;
    wmap_reversal reversal;
    wmap_report *reasons; /* of it: errors stop the map, notes are what is lost */
    const char *reason;   /* of reasons: the first in one line; NULL if there is none */
};

/* "error", "warning", "note". */
const char *wm_severity(const wm_diag *d);

/* JSON, SARIF 2.1.0, and the workflow commands of GitHub's runners.
 * At most `max_errors` errors. */
void wm_report_json(const wmap_report *r, FILE *out, size_t max_errors);
void wm_report_sarif(const wmap_report *r, FILE *out, size_t max_errors);
void wm_report_github(const wmap_report *r, FILE *out, size_t max_errors);

#endif
