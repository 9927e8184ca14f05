/* wmap/compile.h: from a spec to a plan. No weight is read: the compiler sees names, dtypes and shapes. */
#ifndef WMAP_COMPILE_H
#define WMAP_COMPILE_H

#include <stdio.h>

#include "wmap/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The tensors of one weight file, as its header lists them. Borrowed for the time of the call. */
typedef struct wmap_header {
    const char *label;          /* the file's name for messages */
    const char *prefix;         /* "s" puts "s/" before each name (--source s=FILE); NULL or "" for none */
    const wmap_tensor *tensors; /* in source order */
    size_t count;
    const char *const *aliases; /* another name a tensor, NULL for one that has none, which patterns are tried
                                   on that its own doesn't match; NULL if there are none at all. Of a target
                                   they mean nothing */
} wmap_header;

typedef struct wmap_define {
    const char *name;  /* "classes", "y.classes" */
    const char *value; /* as written after `=` */
} wmap_define;

/* All zero is a good start; every pointer is borrowed for the time of the call. */
typedef struct wmap_compile_options {
    const char *path; /* the spec's file; with `text`, the name that messages show */
    const char *text; /* the spec itself, or NULL to read `path` */
    size_t text_len;  /* bytes of `text` */
    bool rules_only;  /* `text` holds the statements of one map (`-e`) */
    const char *map;  /* --map, or NULL */
    const char *from; /* --from, --to: calls of two models of one architecture, in place of a map; or NULL */
    const char *to;
    const char *without; /* --without: parts that such a map leaves out, `top, fc`; or NULL */
    const char *only;    /* --only: those that it has; or NULL */
    bool onto;    /* --onto: what such a map does not write is taken from the source with the prefix `onto` */
    bool members; /* the stage `derived` is a line an array instead */
    const char *as; /* --as: the sources are compared with this model, and that is all; or NULL */
    size_t test;    /* N: the map and the arguments of the Nth test of the spec; 0: as `map` says */
    bool judge;     /* say, too, whether the map can run in the other direction: wmap_report_reversal */
    bool reverse;   /* --reverse: the map runs from its target to its source. `sources` are files of its
                       target then, `target` is one of its source */
    const char *const *includes; /* -I folders, then those of WMAP_PATH, then the library's */
    size_t include_count;
    const wmap_define *defines; /* -D */
    size_t define_count;
    const wmap_header *sources; /* headers of the source files; none: see `check` in docs/language.md 10 */
    size_t source_count;
    const wmap_header *target; /* --target-like, or NULL */
} wmap_compile_options;

/* Every finding of one compilation, sorted, with the text of the spec it points into. */
typedef struct wmap_report wmap_report;

typedef enum wmap_report_format {
    WMAP_REPORT_TEXT = 0,
    WMAP_REPORT_JSON = 1,
    WMAP_REPORT_SARIF = 2, /* SARIF 2.1.0 */
    WMAP_REPORT_GITHUB = 3 /* workflow commands, which GitHub shows beside the lines */
} wmap_report_format;

typedef enum wmap_report_severity {
    WMAP_SEVERITY_OFF = 0,
    WMAP_SEVERITY_WARNING = 1,
    WMAP_SEVERITY_ERROR = 2
} wmap_report_severity;

/* A change that mends a finding for certain: `replacement` in the place of the bytes [beg, end) of a file
 * whose text was `text`. Everything belongs to the report. */
typedef struct wmap_fix {
    const char *path;
    const char *text;
    size_t text_len;
    size_t beg, end;
    const char *replacement;
} wmap_fix;

/* Compiles. On success returns true; `*bytes` (malloc, freed by the caller with free()) and `*size` are the
 * plan, or NULL and 0 when the spec is sound but no source is known (neither declared nor given), so that
 * there is nothing to plan. On failure returns false: err->code is WMAP_E_SPEC and the report holds the
 * errors, or something else (IO, NOMEM, INTERNAL) and it may be NULL. `*report` is set in both cases where
 * there is one (it may hold warnings); free it with wmap_report_free. No pointer may be NULL. */
WMAP_API bool wmap_compile(const wmap_compile_options *options, uint8_t **bytes, size_t *size,
                           wmap_report **report, wmap_error *err);

WMAP_API void wmap_report_free(wmap_report *report);

/* Number of errors, of warnings. */
WMAP_API size_t wmap_report_errors(const wmap_report *report);
WMAP_API size_t wmap_report_warnings(const wmap_report *report);

/* 0 no errors; 3 if all errors are fit errors and a file took part; else 1. */
WMAP_API int wmap_report_status(const wmap_report *report);

/* Whether forward and back gives what was there (docs/language.md section 12). */
typedef enum wmap_reversal {
    WMAP_REVERSAL_UNKNOWN, /* nobody asked, or the map has errors, or its source isn't known */
    WMAP_REVERSAL_EXACT,   /* bit for bit */
    WMAP_REVERSAL_UNLESS,  /* the same, unless a multiplication over- or underflows */
    WMAP_REVERSAL_ROUNDS,  /* it can run back, but something is rounded, left behind, or not proven */
    WMAP_REVERSAL_NONE     /* it can't run back */
} wmap_reversal;

/* What a compilation with options->judge found. */
WMAP_API wmap_reversal wmap_report_reversal(const wmap_report *report);

/* Prints, as text, what stands against running the map back exactly: each place with its reason. */
WMAP_API void wmap_report_print_reversal(const wmap_report *report, FILE *out, bool color);

/* The first reason in one line, "a.wmap:5:3: ..."; "" if there is none. `*more` is how many others there are.
 */
WMAP_API const char *wmap_report_reason(const wmap_report *report, size_t *more);

/* Is there a finding (an error or a warning) of this id, as "E0501"? */
WMAP_API bool wmap_report_has(const wmap_report *report, const char *id);

/* Where its first error is: `*line` and `*column` from 1, or 0 for a file as a whole; `*file` belongs to the
 * report. False, and nothing set, if there is no error. */
WMAP_API bool wmap_report_place(const wmap_report *report, const char **file, uint32_t *line,
                                uint32_t *column);

/* What the warnings of an id (NULL: all warnings) are from now on. Errors stay what they are. False: no such
 * id. */
WMAP_API bool wmap_report_level(wmap_report *report, const char *id, wmap_report_severity level);

/* A model that the source was compared with (`as` is "*"). */
typedef struct wmap_model_match {
    const char *name; /* "vgg16.keras2"; belongs to the report */
    size_t found, of; /* tensors of the model: in the source, in all */
} wmap_model_match;

/* Match `index`, in the order of the spec's models; false past the end. Models none of whose tensors were
 * found are no matches. */
WMAP_API bool wmap_report_match(const wmap_report *report, size_t index, wmap_model_match *match);

/* The next fix, from `*at` on, which begins with 0; false if there are no more. */
WMAP_API bool wmap_report_fix(const wmap_report *report, size_t *at, wmap_fix *fix);

/* Prints it to `out`; `color` uses ANSI colours (text only). `max_errors` 0 prints all. */
WMAP_API void wmap_report_print(const wmap_report *report, FILE *out, wmap_report_format format, bool color,
                                size_t max_errors);

/* For tools: prints the tree (`stage` "ast"), the unrolled statements ("statements") or the map that was
 * derived from two models ("derived") of a spec that parses. Same options, report and errors as wmap_compile;
 * WMAP_E_USAGE for another stage. */
WMAP_API bool wmap_compile_stage(const wmap_compile_options *options, const char *stage, FILE *out,
                                 wmap_report **report, wmap_error *err);

#ifdef __cplusplus
}
#endif
#endif
