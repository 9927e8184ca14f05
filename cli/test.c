/* cli/test.c: `wmap test`: the tests inside specs, run and reported as text, JSON or JUnit's XML. */
#include <fnmatch.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

typedef enum form { TEXT, JSON, JUNIT } form;

/* What becomes of one spec. */
typedef struct spec {
    const char *path;
    wmap_tests *tests; /* NULL: it could not be read as one */
    char *error;       /* why; malloc */
    bool *ran;         /* by test */
    size_t passed, failed;
} spec;

typedef struct testing {
    form form;
    bool quiet, coverage;
    const char *filter;
    spec *specs;
    size_t count;
    size_t passed, failed, broken; /* tests, tests, specs */
} testing;

/* ---- running ---- */

static bool chosen(const testing *t, const char *name)
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
static int open_spec(spec *s, const wmap_compile_options *options)
{
    wmap_report *report = NULL;
    wmap_error err = {0};
    int status = WM_EXIT_DONE;
    s->tests = wmap_tests_open(options, &report, &err);
    if (!s->tests && err.code == WMAP_E_SPEC && report) {
        s->error = report_text(report);
        status = s->error ? WM_EXIT_FINDINGS : WM_EXIT_FAILED;
    } else if (!s->tests) {
        wm_say_error(&err);
        status = WM_EXIT_FAILED;
    }
    wmap_report_free(report);
    return status;
}

static int run_spec(testing *t, spec *s)
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
    }
    t->passed += s->passed;
    t->failed += s->failed;
    return WM_EXIT_DONE;
}

/* ---- text ---- */

/* Lines, each behind some blanks; what they hold is made fit for a terminal. */
static void put_lines(const char *text, int indent)
{
    for (const char *line = text; line;) {
        const char *end = strchr(line, '\n');
        size_t len = end ? (size_t)(end - line) : strlen(line);
        if (len) {
            printf("%*s", indent, "");
        }
        wm_put_text(stdout, line, len);
        putchar('\n');
        line = end ? end + 1 : NULL;
    }
}

static void put_place(const char *path, uint32_t line)
{
    wm_put_text(stdout, path, strlen(path));
    printf(":%" PRIu32, line);
}

static void text_spec(const testing *t, const spec *s)
{
    if (s->error) {
        fputs("FAILED ", stdout);
        wm_put_text(stdout, s->path, strlen(s->path));
        fputs(": its tests can't be run\n", stdout);
        put_lines(s->error, 4);
        return;
    }
    for (size_t i = 0; i < wmap_tests_count(s->tests); i++) {
        const wmap_test *test = wmap_tests_at(s->tests, i);
        bool passed = test->state == WMAP_TEST_PASSED;
        if (!s->ran[i] || (passed && t->quiet)) {
            continue;
        }
        fputs(passed ? "ok     " : "FAILED ", stdout);
        put_place(s->path, test->line);
        putchar(' ');
        wm_put_text(stdout, test->name, strlen(test->name));
        putchar('\n');
        for (size_t k = 0; k < test->failure_count; k++) {
            printf("    line %" PRIu32 ": ", test->failures[k].line);
            const char *text = test->failures[k].text, *rest = strchr(text, '\n');
            wm_put_text(stdout, text, rest ? (size_t)(rest - text) : strlen(text));
            putchar('\n');
            if (rest) {
                put_lines(rest + 1, 6);
            }
        }
    }
}

/* Rules of the specs that ran which nothing exercised. A rule that tests of several specs reach counts once
 * for each. */
static const wmap_test_rule *idle_rule(const spec *s, size_t index)
{
    const wmap_test_rule *rule = wmap_tests_rule(s->tests, index);
    return rule->exercised ? NULL : rule;
}

static void text_coverage(const testing *t)
{
    size_t idle = 0, all = 0;
    for (size_t i = 0; i < t->count; i++) {
        const spec *s = &t->specs[i];
        for (size_t k = 0; s->passed + s->failed && k < wmap_tests_rule_count(s->tests); k++) {
            all++;
            idle += idle_rule(s, k) != NULL;
        }
    }
    printf("%zu of %zu rules exercised\n", all - idle, all);
    for (size_t i = 0; i < t->count; i++) {
        const spec *s = &t->specs[i];
        for (size_t k = 0; s->passed + s->failed && k < wmap_tests_rule_count(s->tests); k++) {
            const wmap_test_rule *rule = idle_rule(s, k);
            if (rule) {
                fputs("    ", stdout);
                put_place(rule->file, rule->line);
                printf(":%" PRIu32, rule->column);
                fputs(strcmp(rule->file, s->path) == 0 ? "" : " of the tests of ", stdout);
                wm_put_text(stdout, s->path, strcmp(rule->file, s->path) == 0 ? 0 : strlen(s->path));
                putchar('\n');
            }
        }
    }
}

static void print_text(const testing *t)
{
    for (size_t i = 0; i < t->count; i++) {
        text_spec(t, &t->specs[i]);
    }
    if (t->coverage) {
        text_coverage(t);
    }
    printf("%zu passed, %zu failed", t->passed, t->failed);
    if (t->broken) {
        printf(", %zu spec%s with errors", t->broken, t->broken == 1 ? "" : "s");
    }
    putchar('\n');
}

/* ---- JSON ---- */

static void json_text(const char *key, const char *text)
{
    printf("\"%s\": ", key);
    wm_put_json(stdout, text, strlen(text));
}

static void json_spec(const spec *s, const char **comma)
{
    for (size_t i = 0; s->tests && i < wmap_tests_count(s->tests); i++) {
        const wmap_test *test = wmap_tests_at(s->tests, i);
        if (!s->ran[i]) {
            continue;
        }
        printf("%s\n  {", *comma);
        json_text("file", s->path);
        printf(", \"line\": %" PRIu32 ", ", test->line);
        json_text("name", test->name);
        fputs(", ", stdout);
        json_text("map", test->map);
        printf(", \"passed\": %s, \"failures\": [", test->state == WMAP_TEST_PASSED ? "true" : "false");
        for (size_t k = 0; k < test->failure_count; k++) {
            printf("%s{\"line\": %" PRIu32 ", ", k ? ", " : "", test->failures[k].line);
            json_text("text", test->failures[k].text);
            putchar('}');
        }
        fputs("]}", stdout);
        *comma = ",";
    }
}

static void print_json(const testing *t)
{
    const char *comma = "";
    fputs("{\"tests\": [", stdout);
    for (size_t i = 0; i < t->count; i++) {
        json_spec(&t->specs[i], &comma);
    }
    fputs("], \"errors\": [", stdout);
    comma = "";
    for (size_t i = 0; i < t->count; i++) {
        if (t->specs[i].error) {
            printf("%s\n  {", comma);
            json_text("file", t->specs[i].path);
            fputs(", ", stdout);
            json_text("text", t->specs[i].error);
            putchar('}');
            comma = ",";
        }
    }
    fputs("], \"rules\": [", stdout);
    comma = "";
    for (size_t i = 0; i < t->count; i++) {
        const spec *s = &t->specs[i];
        for (size_t k = 0; s->passed + s->failed && k < wmap_tests_rule_count(s->tests); k++) {
            const wmap_test_rule *rule = wmap_tests_rule(s->tests, k);
            printf("%s\n  {", comma);
            json_text("file", rule->file);
            printf(", \"line\": %" PRIu32 ", \"column\": %" PRIu32 ", ", rule->line, rule->column);
            json_text("tests", s->path);
            printf(", \"exercised\": %s}", rule->exercised ? "true" : "false");
            comma = ",";
        }
    }
    printf("], \"passed\": %zu, \"failed\": %zu}\n", t->passed, t->failed);
}

/* ---- JUnit ---- */

static void xml_attribute(const char *name, const char *value)
{
    printf(" %s=\"", name);
    wm_put_xml(stdout, value);
    putchar('"');
}

static void junit_case(const spec *s, const wmap_test *test)
{
    fputs("    <testcase", stdout);
    xml_attribute("classname", s->path);
    xml_attribute("name", test->name);
    printf(" line=\"%" PRIu32 "\"", test->line);
    if (test->failure_count == 0) {
        fputs("/>\n", stdout);
        return;
    }
    fputs(">\n", stdout);
    for (size_t k = 0; k < test->failure_count; k++) {
        const char *text = test->failures[k].text, *end = strchr(text, '\n');
        char head[512];
        snprintf(head, sizeof head, "line %" PRIu32 ": %.*s", test->failures[k].line,
                 end ? (int)(end - text) : (int)strlen(text), text);
        fputs("      <failure", stdout);
        xml_attribute("message", head);
        putchar('>');
        wm_put_xml(stdout, text);
        fputs("</failure>\n", stdout);
    }
    fputs("    </testcase>\n", stdout);
}

static void print_junit(const testing *t)
{
    fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n", stdout);
    printf("<testsuites tests=\"%zu\" failures=\"%zu\" errors=\"%zu\">\n", t->passed + t->failed + t->broken,
           t->failed, t->broken);
    for (size_t i = 0; i < t->count; i++) {
        const spec *s = &t->specs[i];
        if (!s->error && s->passed + s->failed == 0) {
            continue;
        }
        fputs("  <testsuite", stdout);
        xml_attribute("name", s->path);
        printf(" tests=\"%zu\" failures=\"%zu\" errors=\"%d\">\n", s->passed + s->failed + (s->error != NULL),
               s->failed, s->error != NULL);
        for (size_t k = 0; s->tests && k < wmap_tests_count(s->tests); k++) {
            if (s->ran[k]) {
                junit_case(s, wmap_tests_at(s->tests, k));
            }
        }
        if (s->error) {
            fputs("    <testcase", stdout);
            xml_attribute("classname", s->path);
            xml_attribute("name", "its tests can be run");
            fputs(">\n      <error message=\"the spec has errors\">", stdout);
            wm_put_xml(stdout, s->error);
            fputs("</error>\n    </testcase>\n", stdout);
        }
        fputs("  </testsuite>\n", stdout);
    }
    fputs("</testsuites>\n", stdout);
}

/* ---- the command ---- */

static bool find_form(testing *t, const wm_args *args)
{
    static const char *const names[] = {"text", "json", "junit"};
    const char *format = wm_args_value(args, WM_FLAG_TEST_FORMAT);
    for (int i = TEXT; format && i <= JUNIT; i++) {
        if (strcmp(format, names[i]) == 0) {
            t->form = (form)i;
            return true;
        }
    }
    if (format) {
        wm_say("test: `--format` is text, json or junit, not `%s`", format);
    }
    return !format;
}

static int run_all(testing *t, const wm_specs *specs, const wm_settings *settings,
                   wmap_compile_options *options)
{
    int status = WM_EXIT_DONE;
    for (size_t i = 0; i < specs->count; i++) {
        spec *s = &t->specs[t->count++];
        s->path = specs->paths[i];
        if (strcmp(s->path, "-") == 0) {
            wm_say("test: specs are read from files, not from standard input");
            return WM_EXIT_FAILED;
        }
        options[i] = (wmap_compile_options){.path = s->path,
                                            .includes = settings->includes,
                                            .include_count = settings->include_count,
                                            .defines = settings->defines,
                                            .define_count = settings->define_count};
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

static int report(const testing *t, int status)
{
    if (t->form == JSON) {
        print_json(t);
    } else if (t->form == JUNIT) {
        print_junit(t);
    } else {
        print_text(t);
    }
    if (t->passed + t->failed + t->broken == 0) {
        if (t->filter) {
            wm_say("test: no test was found whose name `%s` matches", t->filter);
        } else {
            wm_say("test: no test was found");
        }
        return WM_EXIT_FINDINGS;
    }
    return status;
}

int wm_cmd_test(const wm_args *args)
{
    testing t = {.quiet = wm_args_has(args, WM_FLAG_FAILURES),
                 .coverage = wm_args_has(args, WM_FLAG_COVERAGE),
                 .filter = wm_args_value(args, WM_FLAG_FILTER)};
    if (!find_form(&t, args)) {
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
            status = report(&t, status);
        }
    }
    for (size_t i = 0; i < t.count; i++) {
        wmap_tests_close(t.specs[i].tests);
        free(t.specs[i].error);
        free(t.specs[i].ran);
    }
    free(t.specs);
    free(options);
    wm_settings_free(&settings);
    wm_specs_free(&specs);
    return status;
}
