/* cli/test_forms.c: what `wmap test` found, as text, JSON, JUnit's XML, SARIF and GitHub's workflow commands.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "test.h"

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

static void text_spec(const wm_testing *t, const wm_tested *s)
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
static const wmap_test_rule *idle_rule(const wm_tested *s, size_t index)
{
    const wmap_test_rule *rule = wmap_tests_rule(s->tests, index);
    return rule->exercised ? NULL : rule;
}

static void text_coverage(const wm_testing *t)
{
    size_t idle = 0, all = 0;
    for (size_t i = 0; i < t->count; i++) {
        const wm_tested *s = &t->specs[i];
        for (size_t k = 0; s->passed + s->failed && k < wmap_tests_rule_count(s->tests); k++) {
            all++;
            idle += idle_rule(s, k) != NULL;
        }
    }
    printf("%zu of %zu rules exercised\n", all - idle, all);
    for (size_t i = 0; i < t->count; i++) {
        const wm_tested *s = &t->specs[i];
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

static void print_text(const wm_testing *t)
{
    for (size_t i = 0; i < t->count; i++) {
        text_spec(t, &t->specs[i]);
    }
    if (t->coverage) {
        text_coverage(t);
    }
    if (t->exact) {
        printf("%zu of %zu tests are of exact maps, which were run back\n", t->returned,
               t->passed + t->failed);
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

static void json_spec(const wm_testing *t, const wm_tested *s, const char **comma)
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
        if (t->exact) {
            printf(", \"exact\": %s", test->exact ? "true" : "false");
        }
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

static void print_json(const wm_testing *t)
{
    const char *comma = "";
    fputs("{\"tests\": [", stdout);
    for (size_t i = 0; i < t->count; i++) {
        json_spec(t, &t->specs[i], &comma);
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
        const wm_tested *s = &t->specs[i];
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

static void junit_case(const wm_tested *s, const wmap_test *test)
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

static void print_junit(const wm_testing *t)
{
    fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n", stdout);
    printf("<testsuites tests=\"%zu\" failures=\"%zu\" errors=\"%zu\">\n", t->passed + t->failed + t->broken,
           t->failed, t->broken);
    for (size_t i = 0; i < t->count; i++) {
        const wm_tested *s = &t->specs[i];
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

/* ---- SARIF 2.1.0 ---- */

static void sarif_uri(const char *path)
{
    fputs("\"artifactLocation\": {\"uri\": \"", stdout);
    fputs(*path == '/' ? "file://" : "", stdout);
    for (const char *at = path; *at; at++) {
        bool plain = (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') || (*at >= '0' && *at <= '9') ||
                     strchr("-._~/", *at);
        printf(plain ? "%c" : "%%%02X", (unsigned char)*at);
    }
    fputs("\"}", stdout);
}

/* One result; `name` NULL for a spec that has errors, `line` 0 for a file as a whole. */
static void sarif_result(const char **comma, const char *path, uint32_t line, const char *name,
                         const char *text)
{
    char *message = NULL;
    if (name && asprintf(&message, "test \"%s\": %s", name, text) < 0) {
        message = NULL;
    }
    printf("%s\n{\"ruleId\": \"%s\", \"ruleIndex\": %d, \"level\": \"error\", \"message\": {", *comma,
           name ? "failed-test" : "spec-with-errors", name ? 0 : 1);
    json_text("text", message ? message : text);
    fputs("}, \"locations\": [{\"physicalLocation\": {", stdout);
    sarif_uri(path);
    if (line) {
        printf(", \"region\": {\"startLine\": %" PRIu32 "}", line);
    }
    fputs("}}]}", stdout);
    free(message);
    *comma = ",";
}

static void print_sarif(const wm_testing *t)
{
    const char *comma = "";
    fputs(
        "{\"$schema\": \"https://json.schemastore.org/sarif-2.1.0.json\", \"version\": \"2.1.0\", \"runs\": "
        "[{\"columnKind\": \"unicodeCodePoints\",\n\"tool\": {\"driver\": {\"name\": \"wmap\", ",
        stdout);
    json_text("version", wmap_version());
    fputs(", \"rules\": [\n{\"id\": \"failed-test\", \"shortDescription\": {\"text\": \"a test inside a spec "
          "failed\"}},\n{\"id\": \"spec-with-errors\", \"shortDescription\": {\"text\": \"a spec's tests "
          "can't be "
          "run, for it has errors\"}}]}},\n\"results\": [",
          stdout);
    for (size_t i = 0; i < t->count; i++) {
        const wm_tested *s = &t->specs[i];
        const char *file = s->path;
        uint32_t line = 0, column = 0;
        if (s->error) {
            wmap_report_place(s->report, &file, &line, &column);
            sarif_result(&comma, file, line, NULL, s->error);
        }
        for (size_t k = 0; s->tests && k < wmap_tests_count(s->tests); k++) {
            const wmap_test *test = wmap_tests_at(s->tests, k);
            for (size_t f = 0; s->ran[k] && f < test->failure_count; f++) {
                sarif_result(&comma, s->path, test->failures[f].line, test->name, test->failures[f].text);
            }
        }
    }
    fputs("]}]}\n", stdout);
}

/* ---- the workflow commands of GitHub ---- */

static void github_text(const char *text, const char *special)
{
    for (; *text; text++) {
        printf(strchr(special, *text) ? "%%%02X" : "%c", (unsigned char)*text);
    }
}

static void print_github(const wm_testing *t)
{
    for (size_t i = 0; i < t->count; i++) {
        const wm_tested *s = &t->specs[i];
        if (s->error) {
            wmap_report_print(s->report, stdout, WMAP_REPORT_GITHUB, false, 0);
        }
        for (size_t k = 0; s->tests && k < wmap_tests_count(s->tests); k++) {
            const wmap_test *test = wmap_tests_at(s->tests, k);
            for (size_t f = 0; s->ran[k] && f < test->failure_count; f++) {
                fputs("::error file=", stdout);
                github_text(s->path, "%\r\n:,");
                printf(",line=%" PRIu32 ",title=", test->failures[f].line);
                github_text(test->name, "%\r\n:,");
                fputs("::", stdout);
                github_text(test->failures[f].text, "%\r\n");
                putchar('\n');
            }
        }
    }
}

/* ---- all of them ---- */

wm_test_form *wm_test_form_find(const char *name)
{
    static const struct {
        const char *name;
        wm_test_form *print;
    } forms[] = {{"text", print_text},
                 {"json", print_json},
                 {"junit", print_junit},
                 {"sarif", print_sarif},
                 {"github", print_github}};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (strcmp(name ? name : "text", forms[i].name) == 0) {
            return forms[i].print;
        }
    }
    wm_say("test: `--format` is text, json, junit, sarif or github, not `%s`", name);
    return NULL;
}
