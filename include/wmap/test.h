/* wmap/test.h: the tests inside a spec (docs/language.md section 14): listed, and run. */
#ifndef WMAP_TEST_H
#define WMAP_TEST_H

#include "wmap/compile.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct wmap_tests wmap_tests;

/* An expectation that was not met. */
typedef struct wmap_test_failure {
    uint32_t line;    /* of the spec, from 1 */
    const char *text; /* one line, or several (a report) */
} wmap_test_failure;

typedef enum wmap_test_state { WMAP_TEST_NOT_RUN, WMAP_TEST_PASSED, WMAP_TEST_FAILED } wmap_test_state;

typedef struct wmap_test {
    const char *name; /* as the spec says it; ended by NUL */
    const char *map;  /* that it is of */
    uint32_t line;    /* of the spec, from 1 */
    wmap_test_state state;
    bool exact;                        /* its map is called exact, and was run back for that */
    const wmap_test_failure *failures; /* of the last run */
    size_t failure_count;
} wmap_test;

/* A rule or `fill` of the maps that the tests are of, or of maps that those use, and whether a test that ran
 * has moved anything by it. */
typedef struct wmap_test_rule {
    const char *file; /* as messages show it */
    uint32_t line, column;
    bool exercised;
} wmap_test_rule;

/* Reads the tests of a spec. `options` as for wmap_compile, without `map`, `test`, sources and target; they
 * and all that they point to must outlive what is given. With `judge`, a map that is called exact for what a
 * test gives is also run back, over that and over generated elements, and all bits must be there again. A
 * spec without tests gives none. NULL on failure: err->code is WMAP_E_SPEC and the report holds the errors,
 * or something else and it may be NULL. `*report` is set where there is one; free it with wmap_report_free.
 * No pointer may be NULL. */
WMAP_API wmap_tests *wmap_tests_open(const wmap_compile_options *options, wmap_report **report,
                                     wmap_error *err);

/* Frees them and all that was borrowed from them. NULL is fine. */
WMAP_API void wmap_tests_close(wmap_tests *tests);

/* Their number, and test `index` below it in the order of the text; borrowed. */
WMAP_API size_t wmap_tests_count(const wmap_tests *tests);
WMAP_API const wmap_test *wmap_tests_at(const wmap_tests *tests, size_t index);

/* Runs one: compiles its map against the given tensors, converts them, and compares. False if that could not
 * be tried (IO, NOMEM); whether it passed is in its state. */
WMAP_API bool wmap_tests_run(wmap_tests *tests, size_t index, wmap_error *err);

/* Rules, as above; borrowed. */
WMAP_API size_t wmap_tests_rule_count(const wmap_tests *tests);
WMAP_API const wmap_test_rule *wmap_tests_rule(const wmap_tests *tests, size_t index);

#ifdef __cplusplus
}
#endif
#endif
