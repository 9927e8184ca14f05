/* test.c: the runner of tests inside specs. Receives a spec's tests from the compiler; compiles each one's
 * map against the given tensors, runs the plan over them, and compares what was written. Compiler and runtime
 * know nothing of each other: all that goes from one to the other here are headers and a plan. */
#include "wmap/test.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/tests.h"
#include "runner/literal.h"
#include "runtime/base/error.h"
#include "runtime/base/map.h"
#include "runtime/base/text.h"
#include "runtime/convert.h"
#include "runtime/plan.h"
#include "runtime/scratch.h"
#include "wmap/look.h"

#define GIVEN  "the given tensors" /* as messages call the source */
#define RESULT "the result"        /* and the target */

struct wmap_tests {
    const wmap_compile_options *options;
    wm_tests *list;
    wm_arena arena; /* of what is below; does not jump */
    wmap_test *items;
    wmap_test_rule *rules;
    wm_map rule_of; /* "FILE:LINE:COLUMN" -> index of rules */
};

/* One run of one test. */
typedef struct running {
    wmap_tests *tests;
    const wm_test *test;
    wmap_test *result;
    wmap_test_failure *failures;
    size_t count, cap;
    size_t number; /* of the test, from 1 */
    bool lost;     /* out of memory */
} running;

static bool no_memory(wmap_error *err)
{
    return wm_fail(err, WMAP_E_NOMEM, "out of memory");
}

__attribute__((format(printf, 3, 4))) static void failed(running *r, uint32_t line, const char *format, ...)
{
    wm_arena *arena = &r->tests->arena;
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int len = vasprintf(&text, format, args);
    va_end(args);
    wmap_test_failure *f = len >= 0 ? wm_push(arena, r->failures, r->count, r->cap) : NULL;
    if (f)
        *f = (wmap_test_failure){line, wm_copy(arena, text, (size_t)len)};
    r->lost |= !f || !f->text;
    if (len >= 0)
        free(text);
}

/* ---- what was given ---- */

/* An archive of the given tensors with elements that `make` makes. */
static wmap_archive *make_given(const wm_test *test, uint8_t *(*make)(const wm_test_tensor *),
                                wmap_error *err)
{
    size_t count = test->given_count;
    wmap_archive *archive = NULL;
    wmap_tensor *tensors = calloc(count + 1, sizeof *tensors);
    uint8_t **data = calloc(count + 1, sizeof *data);
    bool ok = tensors && data;
    for (size_t i = 0; ok && i < count; i++) {
        tensors[i] = wm_test_header(&test->given[i]);
        data[i] = make(&test->given[i]);
        ok = data[i] != NULL;
    }
    if (ok)
        archive = wm_scratch_of(GIVEN, tensors, (const void *const *)data, count, err);
    else
        no_memory(err);
    for (size_t i = 0; data && i < count; i++)
        free(data[i]);
    free(data);
    free(tensors);
    return archive;
}

/* ---- findings ---- */

/* A report as text, without the last line's end; malloc, NULL: out of memory. */
static char *report_text(const wmap_report *report)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return NULL;
    wmap_report_print(report, out, WMAP_REPORT_TEXT, false, 0);
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    while (size && text[size - 1] == '\n')
        text[--size] = 0;
    return text;
}

static void failed_report(running *r, uint32_t line, const char *what, const wmap_report *report)
{
    char *text = report_text(report);
    failed(r, line, "%s\n%s", what, text ? text : "");
    r->lost |= !text;
    free(text);
}

/* Is the error of a run one of this id? */
static bool is_id(const wmap_error *err, const char *id)
{
    size_t len = strlen(id);
    return err && strncmp(err->message, id, len) == 0 && err->message[len] == ':';
}

/* Of the errors that were expected, those that did not come. `err`: how the run ended, NULL if it didn't run
 * or ended well. True if all came, and one at least was expected. */
static bool check_errors(running *r, const wmap_report *report, const wmap_error *err)
{
    bool all = r->test->error_count > 0;
    for (size_t i = 0; i < r->test->error_count; i++) {
        const struct wm_test_error *e = &r->test->errors[i];
        if (wmap_report_has(report, e->id) || is_id(err, e->id))
            continue;
        all = false;
        if (wmap_report_errors(report)) {
            char *what = wm_format_text(&r->tests->arena, "expected error %s, but found", e->id);
            failed_report(r, e->line, what ? what : "", report);
        } else if (err) {
            char text[1700];
            wmap_error_format(err, text, sizeof text);
            failed(r, e->line, "expected error %s, but the run ended with: %s", e->id, text);
        } else {
            failed(r, e->line, "expected error %s, but the map compiles and runs", e->id);
        }
    }
    return all;
}

/* An end that nobody expected, or that leaves nothing to compare. */
static void check_end(running *r, const wmap_report *report, const wmap_error *err)
{
    bool expected = check_errors(r, report, err);
    if (r->test->error_count == 0 && wmap_report_errors(report)) {
        failed_report(r, r->test->line, "the map does not compile", report);
    } else if (r->test->error_count == 0) {
        char text[1700];
        wmap_error_format(err, text, sizeof text);
        failed(r, r->test->line, "the run fails: %s", text);
    }
    if (expected && r->test->expected_count)
        failed(r, r->test->expected[0].line, "there is nothing to compare: the map fails, as expected");
    if (expected && r->test->reverse)
        failed(r, r->test->reverse, "there is nothing to reverse: the map fails, as expected");
}

/* ---- comparing ---- */

static char *type_text(const wmap_tensor *t, char *out, size_t size)
{
    size_t used = (size_t)snprintf(out, size, "%s [", wmap_dtype_name(t->dtype));
    for (uint32_t d = 0; d < t->rank && used < size; d++)
        used += (size_t)snprintf(out + used, size - used, "%s%" PRIu64, d ? " " : "", t->shape[d]);
    if (used < size)
        snprintf(out + used, size - used, "]");
    return out;
}

static char *element_text(wmap_dtype dtype, const uint8_t *element, char *out, size_t size)
{
    if (dtype < WMAP_RAW8 || dtype > WMAP_RAW64)
        return wm_element_text(dtype, element, out, size);
    uint64_t bits = 0;
    memcpy(&bits, element, wmap_dtype_size(dtype));
    snprintf(out, size, "%" PRIu64, bits);
    return out;
}

static size_t find_entry(const wmap_archive *archive, wm_str name)
{
    for (size_t i = 0; i < archive->entry_count; i++) {
        const wmap_tensor *t = &archive->entries[i].tensor;
        if (t->name_len == name.len && (name.len == 0 || memcmp(t->name, name.p, name.len) == 0))
            return i;
    }
    return SIZE_MAX;
}

/* Reads a whole tensor; malloc. */
static uint8_t *read_elements(wmap_archive *archive, size_t at, uint64_t count, wmap_error *err)
{
    uint8_t *bytes = calloc((size_t)count + 1, wmap_dtype_size(wmap_archive_tensor(archive, at)->dtype));
    if (bytes && wmap_archive_read(archive, at, 0, count, bytes, err))
        return bytes;
    if (!bytes)
        no_memory(err);
    free(bytes);
    return NULL;
}

/* The elements of both sides. */
static void compare_elements(running *r, const wm_test_tensor *tensor, const wmap_tensor *t,
                             const uint8_t *found, const uint8_t *expected)
{
    const wm_test *test = r->test;
    char name[300], index[600], a[100], b[100];
    uint32_t size = wmap_dtype_size(t->dtype);
    wm_test_difference d =
        wm_test_compare(t->dtype, found, expected, tensor->literal->count, test->tolerant, test->tolerance);
    if (d.count == 0)
        return;
    failed(r, tensor->line, "`%s` at %s is %s, expected %s (%" PRIu64 " of %" PRIu64 " elements differ)",
           wm_show(name, sizeof name, t->name, t->name_len), wmap_index_text(t, d.first, index, sizeof index),
           element_text(t->dtype, found + d.first * size, a, sizeof a),
           element_text(t->dtype, expected + d.first * size, b, sizeof b), d.count, tensor->literal->count);
}

static bool compare_tensor(running *r, wmap_archive *made, const wm_test_tensor *tensor, wmap_error *err)
{
    wmap_tensor want = wm_test_header(tensor);
    size_t at = find_entry(made, tensor->name);
    char name[300], is[600], wanted[600];
    wm_show(name, sizeof name, want.name, want.name_len);
    if (at == SIZE_MAX) {
        failed(r, tensor->line, "`%s` is not written", name);
        return true;
    }
    const wmap_tensor *t = wmap_archive_tensor(made, at);
    if (t->dtype != want.dtype || t->rank != want.rank ||
        (t->rank && memcmp(t->shape, want.shape, t->rank * sizeof *t->shape) != 0)) {
        failed(r, tensor->line, "`%s` is %s, expected %s", name, type_text(t, is, sizeof is),
               type_text(&want, wanted, sizeof wanted));
        return true;
    }
    uint8_t *expected = wm_test_elements(tensor);
    uint8_t *found = expected ? read_elements(made, at, tensor->literal->count, err) : NULL;
    bool ok = found || (expected ? false : no_memory(err));
    if (ok)
        compare_elements(r, tensor, t, found, expected);
    free(expected);
    free(found);
    return ok;
}

/* Given tensor `i`, which is entry `i` of `given`, and what came back of it. */
static bool same_bits(running *r, wmap_archive *back, wmap_archive *given, size_t i, const char *what,
                      wmap_error *err)
{
    const wm_test_tensor *tensor = &r->test->given[i];
    const wmap_tensor *t = wmap_archive_tensor(given, i);
    uint64_t count = tensor->literal->count;
    size_t at = find_entry(back, tensor->name);
    char name[300], index[600];
    wm_show(name, sizeof name, t->name, t->name_len);
    if (at == SIZE_MAX || wmap_archive_tensor(back, at)->dtype != t->dtype) {
        failed(r, r->test->line, "the map is called exact, but `%s` does not come back", name);
        return true;
    }
    uint8_t *expected = read_elements(given, i, count, err);
    uint8_t *found = expected ? read_elements(back, at, count, err) : NULL;
    if (found) {
        wm_test_difference d = wm_test_compare(t->dtype, found, expected, count, false, 0);
        if (d.count)
            failed(r, r->test->line,
                   "the map is called exact, but of %s %" PRIu64 " of %" PRIu64
                   " elements of `%s` do not come back, the first at %s",
                   what, d.count, count, name, wmap_index_text(t, d.first, index, sizeof index));
    }
    free(expected);
    bool ok = found != NULL;
    free(found);
    return ok;
}

/* ---- the run ---- */

/* How a run can end that is the map's doing, or the test's. */
static bool is_verdict(wmap_code code)
{
    return code == WMAP_E_MISMATCH || code == WMAP_E_GUARD || code == WMAP_E_TARGET ||
           code == WMAP_E_UNSUPPORTED;
}

/* The header of an archive; its tensors are malloc. */
static bool make_header(wmap_header *header, const wmap_archive *archive, const char *label, wmap_error *err)
{
    size_t count = wmap_archive_count(archive);
    wmap_tensor *tensors = calloc(count + 1, sizeof *tensors);
    if (!tensors)
        return no_memory(err);
    for (size_t i = 0; i < count; i++)
        tensors[i] = *wmap_archive_tensor(archive, i);
    *header = (wmap_header){.label = label, .tensors = tensors, .count = count};
    return true;
}

static void mark_rules(running *r, const wmap_plan *plan)
{
    char place[600];
    for (; plan; plan = plan->next)
        for (size_t i = 0; i < plan->message->n_moves; i++) {
            wm_move_place(plan, plan->message->moves[i], place, sizeof place);
            uint32_t at = wm_map_get(&r->tests->rule_of, place, strlen(place));
            if (at != WM_MAP_NONE)
                r->tests->rules[at].exercised = true;
        }
}

/* Compiles the map of the test against tensors; with `given` in reverse, so that it writes what was given. A
 * spec with errors is WMAP_E_SPEC, and they are in the report. NULL without an error: there is nothing to
 * plan.
 */
static wmap_plan *compile(running *r, const wmap_archive *read, const wmap_archive *given,
                          wmap_report **report, wmap_error *err)
{
    wmap_header source = {0}, target = {0};
    wmap_plan *plan = NULL;
    uint8_t *bytes = NULL;
    size_t size = 0;
    bool ok = make_header(&source, read, given ? RESULT : GIVEN, err) &&
              (!given || make_header(&target, given, GIVEN, err));
    wmap_compile_options options = *r->tests->options;
    options.map = NULL;
    options.test = r->number;
    options.reverse = given != NULL;
    options.judge = r->tests->options->judge && !given;
    options.sources = &source;
    options.source_count = given || r->test->given_count || !r->test->from_model;
    options.target = given ? &target : NULL;
    if (ok && wm_tests_compile(r->tests->list, &options, &bytes, &size, report, err) && bytes)
        plan = wmap_plan_parse(bytes, size, "the plan", err);
    mark_rules(r, plan);
    free(bytes);
    free((void *)(uintptr_t)source.tensors);
    free((void *)(uintptr_t)target.tensors);
    return plan;
}

/* Runs the map backwards over what it wrote and compares with all that was given. */
static bool expect_reverse(running *r, wmap_archive *made, wmap_archive *given, wmap_error *err)
{
    wmap_report *report = NULL;
    wmap_plan *plan = compile(r, made, given, &report, err);
    wmap_archive *back = plan ? wm_scratch_run(plan, &made, NULL, 1, "what comes back", err) : NULL;
    bool ok = back || err->code == WMAP_E_SPEC || (plan && is_verdict(err->code));
    if (!back && ok && !plan) {
        failed_report(r, r->test->reverse, "`expect reverse`: the map does not compile in reverse", report);
    } else if (!back && ok) {
        char text[1700];
        wmap_error_format(err, text, sizeof text);
        failed(r, r->test->reverse, "`expect reverse`: the run in reverse fails: %s", text);
    }
    for (size_t i = 0; back && ok && i < r->test->given_count; i++)
        ok = compare_tensor(r, back, &r->test->given[i], err);
    wmap_archive_close(back);
    wmap_plan_free(plan);
    wmap_report_free(report);
    return ok;
}

/* A map that is called exact gives back every bit of `given`: of what the test gives, or of other elements,
 * which may break what the map asks of them. */
static bool expect_bits(running *r, const wmap_plan *plan, const wmap_plan *turned, wmap_archive *given,
                        const char *what, wmap_error *err)
{
    wmap_archive *made = wm_scratch_run(plan, &given, NULL, 1, RESULT, err);
    if (!made)
        return is_verdict(err->code);
    wmap_archive *back = wm_scratch_run(turned, &made, NULL, 1, "what comes back", err);
    bool ok = back || is_verdict(err->code);
    if (!back && ok) {
        char text[1700];
        wmap_error_format(err, text, sizeof text);
        failed(r, r->test->line, "the map is called exact, but the run in reverse of %s fails: %s", what,
               text);
    }
    for (size_t i = 0; back && ok && i < r->test->given_count; i++)
        ok = same_bits(r, back, given, i, what, err);
    wmap_archive_close(back);
    wmap_archive_close(made);
    return ok;
}

static bool expect_exact(running *r, const wmap_plan *plan, wmap_archive *made, wmap_archive *given,
                         wmap_error *err)
{
    wmap_report *report = NULL;
    wmap_archive *other = NULL;
    wmap_plan *turned = compile(r, made, given, &report, err);
    bool ok = turned || err->code == WMAP_E_SPEC;
    if (!turned && ok)
        failed_report(r, r->test->line, "the map is called exact, but does not compile in reverse", report);
    ok = ok && (!turned || expect_bits(r, plan, turned, given, GIVEN, err));
    if (ok && turned)
        ok = (other = make_given(r->test, wm_test_any_bits, err)) &&
             expect_bits(r, plan, turned, other, "generated tensors", err);
    r->result->exact = turned != NULL;
    wmap_archive_close(other);
    wmap_plan_free(turned);
    wmap_report_free(report);
    return ok;
}

static bool run_plan(running *r, const wmap_plan *plan, wmap_archive *given, const wmap_report *report,
                     wmap_error *err)
{
    bool nothing = r->test->given_count == 0 && r->test->from_model; /* there is only a header to go by */
    if (nothing && r->test->expected_count + (r->test->reverse > 0) == 0) {
        check_errors(r, report, NULL);
        return true;
    }
    wmap_archive *made = wm_scratch_run(plan, &given, NULL, 1, RESULT, err);
    if (!made && !is_verdict(err->code))
        return false;
    if (!made) {
        check_end(r, report, err);
        return true;
    }
    check_errors(r, report, NULL);
    bool ok = true;
    for (size_t i = 0; ok && i < r->test->expected_count; i++)
        ok = compare_tensor(r, made, &r->test->expected[i], err);
    if (ok && r->test->reverse)
        ok = expect_reverse(r, made, given, err);
    if (ok && wmap_report_reversal(report) == WMAP_REVERSAL_EXACT)
        ok = expect_exact(r, plan, made, given, err);
    wmap_archive_close(made);
    return ok;
}

static bool run_given(running *r, wmap_archive *given, wmap_error *err)
{
    wmap_report *report = NULL;
    wmap_error own = {0};
    wmap_plan *plan = compile(r, given, NULL, &report, &own);
    bool ok = own.code == WMAP_OK || own.code == WMAP_E_SPEC;
    if (own.code == WMAP_E_SPEC)
        check_end(r, report, NULL);
    else if (!ok)
        *err = own;
    else if (plan)
        ok = run_plan(r, plan, given, report, err);
    wmap_plan_free(plan);
    wmap_report_free(report);
    return ok;
}

bool wmap_tests_run(wmap_tests *tests, size_t index, wmap_error *err)
{
    wmap_error own = {0};
    err = err ? err : &own;
    running r = {.tests = tests,
                 .test = &tests->list->items[index],
                 .result = &tests->items[index],
                 .number = index + 1};
    r.result->state = WMAP_TEST_NOT_RUN;
    wmap_archive *given = make_given(r.test, wm_test_elements, err);
    bool ok = given && run_given(&r, given, err);
    wmap_archive_close(given);
    if (ok && r.lost)
        ok = no_memory(err);
    if (!ok)
        return false;
    r.result->failures = r.failures;
    r.result->failure_count = r.count;
    r.result->state = r.count ? WMAP_TEST_FAILED : WMAP_TEST_PASSED;
    return true;
}

/* ---- the list ---- */

static bool list_rules(wmap_tests *tests)
{
    const wm_tests *list = tests->list;
    bool oom = false;
    wm_map_init(&tests->rule_of, &tests->arena, list->rule_count);
    for (size_t i = 0; i < list->rule_count && !oom; i++) {
        const wm_test_rule *rule = &list->rules[i];
        char file[200];
        tests->rules[i] = (wmap_test_rule){.file = rule->file, .line = rule->line, .column = rule->column};
        char *place = wm_format_text(&tests->arena, "%s:%" PRIu32 ":%" PRIu32,
                                     wm_show(file, sizeof file, rule->file, strlen(rule->file)), rule->line,
                                     rule->column);
        if (place)
            wm_map_put(&tests->rule_of, place, strlen(place), (uint32_t)i, &oom);
        oom |= !place;
    }
    return !oom;
}

wmap_tests *wmap_tests_open(const wmap_compile_options *options, wmap_report **report, wmap_error *err)
{
    wmap_tests *tests = calloc(1, sizeof *tests);
    *report = NULL;
    if (!tests) {
        no_memory(err);
        return NULL;
    }
    wm_arena_init(&tests->arena);
    tests->options = options;
    tests->list = wm_tests_open(options, report, err);
    if (!tests->list) {
        wmap_tests_close(tests);
        return NULL;
    }
    tests->items = wm_new(&tests->arena, wmap_test, tests->list->count);
    tests->rules = wm_new(&tests->arena, wmap_test_rule, tests->list->rule_count);
    if (!tests->items || !tests->rules || !list_rules(tests)) {
        no_memory(err);
        wmap_tests_close(tests);
        return NULL;
    }
    for (size_t i = 0; i < tests->list->count; i++) {
        const wm_test *t = &tests->list->items[i];
        tests->items[i] = (wmap_test){.name = t->name.p, .map = t->map, .line = t->line};
    }
    return tests;
}

void wmap_tests_close(wmap_tests *tests)
{
    if (!tests)
        return;
    wm_tests_close(tests->list);
    wm_arena_release(&tests->arena);
    free(tests);
}

size_t wmap_tests_count(const wmap_tests *tests)
{
    return tests->list->count;
}

const wmap_test *wmap_tests_at(const wmap_tests *tests, size_t index)
{
    return &tests->items[index];
}

size_t wmap_tests_rule_count(const wmap_tests *tests)
{
    return tests->list->rule_count;
}

const wmap_test_rule *wmap_tests_rule(const wmap_tests *tests, size_t index)
{
    return &tests->rules[index];
}
