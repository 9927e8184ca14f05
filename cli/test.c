/* cli/test.c: `wmap test`: the tests inside specs, run and reported in the forms of test_forms.c. */
#include <fnmatch.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "test.h"

/* ---- running ---- */

static bool chosen(const wm_testing *t, const char *name)
{
    return !t->filter || strstr(name, t->filter) || fnmatch(t->filter, name, 0) == 0;
}

/* A report as text without an empty line at its end. */
static char *report_text(const wmap_report *report)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out) {
        return NULL;
    }
    wmap_report_print(report, out, WMAP_REPORT_TEXT, false, 0);
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    while (size && text[size - 1] == '\n') {
        text[--size] = 0;
    }
    return text;
}

/* Opens the tests of a spec. What is wrong with it is kept if it is the spec's doing, else said. */
static int open_spec(wm_tested *s, const wmap_compile_options *options)
{
    wmap_error err = {0};
    int status = WM_EXIT_DONE;
    s->tests = wmap_tests_open(options, &s->report, &err);
    if (!s->tests && err.code == WMAP_E_SPEC && s->report) {
        s->error = report_text(s->report);
        status = s->error ? WM_EXIT_FINDINGS : WM_EXIT_FAILED;
    } else if (!s->tests) {
        wm_say_error(&err);
        status = WM_EXIT_FAILED;
    }
    return status;
}

static int run_spec(wm_testing *t, wm_tested *s)
{
    size_t count = wmap_tests_count(s->tests);
    s->ran = calloc(count + 1, sizeof *s->ran);
    if (!s->ran) {
        wm_say("out of memory");
        return WM_EXIT_FAILED;
    }
    for (size_t i = 0; i < count; i++) {
        const wmap_test *test = wmap_tests_at(s->tests, i);
        wmap_error err = {0};
        if (!chosen(t, test->name)) {
            continue;
        }
        if (!wmap_tests_run(s->tests, i, &err)) {
            wm_say_error(&err);
            return WM_EXIT_FAILED;
        }
        s->ran[i] = true;
        *(test->state == WMAP_TEST_PASSED ? &s->passed : &s->failed) += 1;
        t->returned += test->exact;
    }
    t->passed += s->passed;
    t->failed += s->failed;
    return WM_EXIT_DONE;
}

/* ---- the command ---- */

static int run_all(wm_testing *t, const wm_specs *specs, const wm_settings *settings,
                   wmap_compile_options *options)
{
    int status = WM_EXIT_DONE;
    for (size_t i = 0; i < specs->count; i++) {
        wm_tested *s = &t->specs[t->count++];
        s->path = specs->paths[i];
        if (strcmp(s->path, "-") == 0) {
            wm_say("test: specs are read from files, not from standard input");
            return WM_EXIT_FAILED;
        }
        options[i] = (wmap_compile_options){.path = s->path,
                                            .includes = settings->includes,
                                            .include_count = settings->include_count,
                                            .defines = settings->defines,
                                            .define_count = settings->define_count,
                                            .judge = t->exact};
        int one = open_spec(s, &options[i]);
        if (one == WM_EXIT_DONE) {
            one = run_spec(t, s);
        }
        if (one == WM_EXIT_FAILED) {
            return one;
        }
        t->broken += s->error != NULL;
        status = one > status ? one : status;
    }
    return t->failed ? WM_EXIT_FINDINGS : status;
}

/* Nothing run is a finding of its own. */
static int judge(const wm_testing *t, int status)
{
    if (t->passed + t->failed + t->broken)
        return status;
    if (t->filter) {
        wm_say("test: no test was found whose name `%s` matches", t->filter);
    } else {
        wm_say("test: no test was found");
    }
    return WM_EXIT_FINDINGS;
}

int wm_cmd_test(const wm_args *args)
{
    wm_testing t = {.quiet = wm_args_has(args, WM_FLAG_FAILURES),
                    .coverage = wm_args_has(args, WM_FLAG_COVERAGE),
                    .exact = wm_args_has(args, WM_FLAG_EXACT),
                    .filter = wm_args_value(args, WM_FLAG_FILTER)};
    wm_test_form *print = wm_test_form_find(wm_args_value(args, WM_FLAG_TEST_FORMAT));
    if (!print) {
        return WM_EXIT_FAILED;
    }
    wm_specs specs;
    wm_settings settings = {0};
    int status = wm_specs_find(&specs, args);
    wmap_compile_options *options = calloc(specs.count + 1, sizeof *options);
    t.specs = calloc(specs.count + 1, sizeof *t.specs);
    if (status == WM_EXIT_DONE && (!options || !t.specs)) {
        wm_say("out of memory");
        status = WM_EXIT_FAILED;
    }
    if (status == WM_EXIT_DONE && !wm_settings_make(&settings, args)) {
        status = WM_EXIT_FAILED;
    }
    if (status == WM_EXIT_DONE) {
        status = run_all(&t, &specs, &settings, options);
        if (status != WM_EXIT_FAILED) {
            print(&t);
            status = judge(&t, status);
        }
    }
    for (size_t i = 0; i < t.count; i++) {
        wmap_tests_close(t.specs[i].tests);
        wmap_report_free(t.specs[i].report);
        free(t.specs[i].error);
        free(t.specs[i].ran);
    }
    free(t.specs);
    free(options);
    wm_settings_free(&settings);
    wm_specs_free(&specs);
    return status;
}
