/* tests.h: the tests inside a spec (docs/language.md section 14) as data, for what runs them (runner/). The
 * compiler checks them and compiles the map of one of them (wmap_compile_options.test); it knows nothing of
 * their running. */
#ifndef WM_TESTS_H
#define WM_TESTS_H

#include "compiler/literal.h"
#include "wmap/compile.h"

#define WM_MAX_TEST_ELEMENTS ((uint64_t)1 << 22) /* of all tensors of one test */

typedef struct wm_test_tensor {
    wm_str name; /* ended by NUL */
    wmap_dtype dtype;
    const wm_literal *literal;
    uint32_t line;
} wm_test_tensor;

typedef struct wm_test {
    wm_str name;     /* ended by NUL */
    const char *map; /* that it is of, as written */
    uint32_t line;   /* in the given file */
    bool from_model; /* the map declares its source */
    wm_test_tensor *given, *expected;
    size_t given_count, expected_count;
    struct wm_test_error {
        const char *id;
        uint32_t line;
    } * errors; /* `expect error` */
    size_t error_count;
    uint32_t reverse; /* the line of `expect reverse`, 0 without */
    bool tolerant;
    double tolerance; /* not negative */
} wm_test;

/* A rule or fill of a map that a test is of, or that such a map uses. Its place is that of its moves in a
 * plan. */
typedef struct wm_test_rule {
    const char *file;
    uint32_t line, column;
} wm_test_rule;

typedef struct wm_tests {
    wm_test *items;
    size_t count;
    wm_test_rule *rules; /* in the order of loading and of the text */
    size_t rule_count, rule_cap;
    void *owner; /* the compilation that all this is memory of */
} wm_tests;

/* Parses a spec and its imports, and checks its tests. `options` must outlive what is given. NULL with
 * WMAP_E_SPEC, and the errors in `*report`, or as wmap_compile. Close it with wm_tests_close. */
wm_tests *wm_tests_open(const wmap_compile_options *options, wmap_report **report, wmap_error *err);

/* As wmap_compile with options->test, of the spec as it was parsed then: many tests cost no more than their
 * runs. */
bool wm_tests_compile(const wm_tests *tests, const wmap_compile_options *options, uint8_t **bytes,
                      size_t *size, wmap_report **report, wmap_error *err);

void wm_tests_close(wm_tests *tests);

#endif
