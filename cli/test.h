/* cli/test.h: what a run of `wmap test` found, for the forms it is printed in. */
#ifndef WM_CLI_TEST_H
#define WM_CLI_TEST_H

#include "cli.h"

/* What becomes of one spec. */
typedef struct wm_tested {
    const char *path;
    wmap_tests *tests;   /* NULL: it could not be read as one */
    wmap_report *report; /* why */
    char *error;         /* the same as text; malloc */
    bool *ran;           /* by test */
    size_t passed, failed;
} wm_tested;

typedef struct wm_testing {
    bool quiet, coverage, exact;
    const char *filter;
    wm_tested *specs;
    size_t count;
    size_t passed, failed, broken; /* tests, tests, specs */
    size_t returned;               /* tests whose map is exact, and was run back for that (`exact`) */
} wm_testing;

/* test_forms.c: prints it all on standard output. */
typedef void wm_test_form(const wm_testing *t);

/* A form by its name; NULL: `--format` has no such one, which is said. */
wm_test_form *wm_test_form_find(const char *name);

#endif
