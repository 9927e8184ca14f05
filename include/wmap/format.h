/* wmap/format.h: the text of a spec, laid out as `wmap fmt` does. */
#ifndef WMAP_FORMAT_H
#define WMAP_FORMAT_H

#include "wmap/compile.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct wmap_format_options {
    const char *name; /* that findings show */
    const char *text; /* the spec; borrowed for the time of the call */
    size_t text_len;  /* bytes */
    bool rules_only;  /* the statements of one map, as of `-e` */
} wmap_format_options;

/* Lays a spec out: indentation, blanks, aligned arrows, layouts, types and comments. Lines and comments stay
 * those of the text, and its meaning. On success `*text` (malloc, freed by the caller with free(), ended by a
 * NUL that `*size` doesn't count) is the result; laid out again it stays as it is. A text that does not parse
 * fails with WMAP_E_SPEC and the report holds the errors. `*report` is set where there is one; free it with
 * wmap_report_free. No pointer may be NULL. */
WMAP_API bool wmap_format_spec(const wmap_format_options *options, char **text, size_t *size,
                               wmap_report **report, wmap_error *err);

#ifdef __cplusplus
}
#endif
#endif
