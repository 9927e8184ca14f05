/* Constant expressions: values, errors and the form a*x + b, as rows of text and result. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "compiler/eval.h"
#include "compiler/parse.h"
#include "compiler/scope.h"

/* A unit per row, so that findings are its own. */
typedef struct bench {
    wm_arena arena, scratch;
    wm_unit unit;
} bench;

static void begin(bench *b)
{
    memset(b, 0, sizeof *b);
    wm_arena_init(&b->arena);
    wm_arena_init(&b->scratch);
    b->unit.arena = &b->arena;
    b->unit.scratch = &b->scratch;
}

static const wm_expr *parse(bench *b, const char *text)
{
    uint32_t file = wm_add_source(&b->unit, "test", text, strlen(text));
    const wm_expr *expr = wm_parse_expr(&b->unit, file);
    if (!expr)
        fail_msg("does not parse: %s", text);
    return expr;
}

/* n, m: unknown; seven: 7; word: "ab"; all others are no names. */
static wm_found find(void *user, wm_str name, wm_val *value)
{
    (void)user;
    if (wm_str_eq(name, WM_STR("n")) || wm_str_eq(name, WM_STR("m")))
        return WM_FOUND_UNKNOWN;
    if (wm_str_eq(name, WM_STR("seven"))) {
        *value = (wm_val){.kind = WM_VAL_INT, .i = 7};
        return WM_FOUND_VALUE;
    }
    if (wm_str_eq(name, WM_STR("word"))) {
        *value = (wm_val){.kind = WM_VAL_STRING, .s = {"ab", 2}};
        return WM_FOUND_VALUE;
    }
    return WM_FOUND_NO;
}

static const wm_hook hook = {find, NULL};

/* The result is a value, "?" for unknown, or the id of the one error, with the text that it points at. */
static const struct {
    const char *text, *result, *at;
} values[] = {
    {"1 + 2 * 3", "7", NULL},
    {"(1 + 2) * 3", "9", NULL},
    {"7 - 2 - 1", "4", NULL},
    {"2 * -3", "-6", NULL},
    {"1 / 2", "0.5", NULL},
    {"4 / 2", "2.0", NULL},
    {"7 // 2", "3", NULL},
    {"-7 // 2", "-4", NULL},
    {"7 // -2", "-4", NULL},
    {"-7 % 3", "2", NULL},
    {"7 % -3", "-2", NULL},
    {"6 % 3", "0", NULL},
    {"-7.5 // 2", "-4.0", NULL},
    {"7.5 % 2", "1.5", NULL},
    {"1e3", "1000.0", NULL},
    {"1e-5", "1e-05", NULL},
    {"0.1 + 0.2", "0.30000000000000004", NULL},
    {"1e300 * 1e300", "inf", NULL},
    {"9223372036854775807", "9223372036854775807", NULL},
    {"9223372036854775807 + 1", "E0315", "9223372036854775807 + 1"},
    {"-9223372036854775807 - 2", "E0315", "-9223372036854775807 - 2"},
    {"4611686018427387904 * 2", "E0315", "4611686018427387904 * 2"},
    {"(-9223372036854775807 - 1) // -1", "E0315", NULL},
    {"(-9223372036854775807 - 1) % -1", "0", NULL},
    {"-(-9223372036854775807 - 1)", "E0315", NULL},
    {"1 / 0", "E0307", "0"},
    {"1 // 0", "E0307", "0"},
    {"1 % 0", "E0307", "0"},
    {"1.0 / 0.0", "E0307", "0.0"},
    {"1 + true", "E0304", "true"},
    {"\"a\" + 1", "E0304", "\"a\""},
    {"-true", "E0304", "true"},
    {"1 == 1.0", "true", NULL},
    {"9007199254740993 == 9007199254740992.0", "false", NULL},
    {"9223372036854775807 < 9223372036854775808.0", "true", NULL},
    {"1 < 1.5", "true", NULL},
    {"-2 > -1.5", "false", NULL},
    {"2 >= 2", "true", NULL},
    {"\"a\" < \"ab\"", "true", NULL},
    {"\"b\" <= \"ab\"", "false", NULL},
    {"\"a\" == \"a\"", "true", NULL},
    {"true != false", "true", NULL},
    {"[1, 2] == [1, 2.0]", "true", NULL},
    {"[1, 2] == [1]", "false", NULL},
    {"1 == \"1\"", "E0304", "\"1\""},
    {"true < false", "E0304", "true"},
    {"[1] < [2]", "E0304", "[1]"},
    {"true and not false", "true", NULL},
    {"false and 1 / 0 == 1", "false", NULL},
    {"true or 1 / 0 == 1", "true", NULL},
    {"false or true", "true", NULL},
    {"1 and true", "E0304", "1"},
    {"true and 2", "E0304", "2"},
    {"not 3", "E0304", "3"},
    {"if 1 < 2 then 3 else 1 / 0", "3", NULL},
    {"if 1 > 2 then 1 / 0 else 4", "4", NULL},
    {"if 1 then 2 else 3", "E0314", "1"},
    {"[1, 2, 3][1]", "2", NULL},
    {"[(1, \"x\"), (2, \"y\")][1][1]", "y", NULL},
    {"[]", "[]", NULL},
    {"(1, [2, 3.5], true)", "[1, [2, 3.5], true]", NULL},
    {"7[0]", "E0305", "7"},
    {"[1, 2][2]", "E0306", "2"},
    {"[1, 2][-1]", "E0306", "-1"},
    {"[1][true]", "E0304", "true"},
    {"len([1, 2, 3])", "3", NULL},
    {"len(3)", "E0308", "3"},
    {"sum([1, 2, 3])", "6", NULL},
    {"sum([1, 0.5])", "1.5", NULL},
    {"sum([])", "0", NULL},
    {"sum([true])", "E0304", "[true]"},
    {"sum([9223372036854775807, 1])", "E0315", NULL},
    {"floor(7.9)", "7", NULL},
    {"floor(-0.5)", "-1", NULL},
    {"floor(9)", "9", NULL},
    {"floor(1e300)", "E0315", "1e300"},
    {"floor(true)", "E0304", "true"},
    {"sqrt(9)", "3.0", NULL},
    {"sqrt(-1)", "E0304", "-1"},
    {"min(3, 2.5)", "2.5", NULL},
    {"max(3, 2.5)", "3", NULL},
    {"max(3, \"x\")", "E0304", "\"x\""},
    {"max(3)", "E0302", "max(3)"},
    {"len([1], [2])", "E0302", NULL},
    {"length([1])", "E0303", "length"},
    {"seven * 2", "14", NULL},
    {"seveen", "E0301", "seveen"},
    {"y.z", "E0301", "y.z"},
    {"n", "?", NULL},
    {"n + 1 / 0", "E0307", "0"},
    {"n < 3", "?", NULL},
    {"if n < 3 then 1 else 2", "?", NULL},
    {"n == 1 and true", "?", NULL},
    {"[n, 2][1]", "?", NULL},
    {"\"a{seven}b\"", "a7b", NULL},
    {"\"a{seven:03}b\"", "a007b", NULL},
    {"\"{seven:a}{seven:A}{seven:_}{seven - 7:_}\"", "hH_7", NULL},
    {"\"{word}/{n}\"", "?", NULL},
    {"\"{word}{word}\"", "abab", NULL},
    {"\"{0 - seven}\"", "E0311", "{0 - seven}"},
    {"\"{seven * 4:a}\"", "E0311", NULL},
    {"\"{true}\"", "E0310", "{true}"},
    {"\"{word:02}\"", "E0310", NULL},
    {"\"{*}\"", "E0312", "{*}"},
    {"\"{word:**}\"", "E0312", NULL},
    {"'{word}'", "{word}", NULL},
    {"has \"x\"", "?", NULL},
};

static void test_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        bench b;
        begin(&b);
        wm_val value;
        wm_evaluated done = wm_eval(&b.unit, NULL, &hook, parse(&b, values[i].text), &value);
        const char *result = done == WM_EVAL_OK      ? wm_val_text(&b.unit, &value)
                             : done == WM_EVAL_ERROR ? wm_diag_name(b.unit.diags->id)
                                                     : "?";
        if (strcmp(result, values[i].result) != 0)
            fail_msg("%s gives %s, not %s", values[i].text, result, values[i].result);
        assert_int_equal(b.unit.errors, done == WM_EVAL_ERROR);
        if (values[i].at) {
            const wm_source *s = b.unit.sources[b.unit.diags->span.file];
            wm_span span = b.unit.diags->span;
            const char *at = wm_copy(&b.arena, s->text + span.beg, span.end - span.beg);
            if (strcmp(at, values[i].at) != 0)
                fail_msg("%s: the error points at `%s`, not at `%s`", values[i].text, at, values[i].at);
        }
        wm_arena_release(&b.arena);
        wm_arena_release(&b.scratch);
    }
}

/* "a*x+b", "t[a*x+b]", "=b" if nothing is unknown, "?" if it has no such form, "!" if it is an error. */
static const struct {
    const char *text, *form;
} forms[] = {
    {"n", "1*n+0"},
    {"2*n + 3", "2*n+3"},
    {"3 + n*2", "2*n+3"},
    {"3 - n", "-1*n+3"},
    {"-(n - 1)", "-1*n+1"},
    {"(n + 1) * seven", "7*n+7"},
    {"n + n", "2*n+0"},
    {"n - n", "?"},
    {"n + m", "?"},
    {"n * m", "?"},
    {"n * n", "?"},
    {"n // 2", "?"},
    {"n % 2", "?"},
    {"0 * n", "?"},
    {"n + 0.5", "?"},
    {"[4, 5, 6][n]", "t3[1*n+0]"},
    {"[4, 5, 6][2*n - 1]", "t3[2*n+-1]"},
    {"[4, 5, 6][n] + 1", "?"},
    {"[4, 5, 6][n + m]", "?"},
    {"[4, 5, 6][1]", "=5"},
    {"seven - 2", "=5"},
    {"word", "?"},
    {"4611686018427387904 * n * 4", "!"},
    {"nobody + n", "!"},
};

static void test_forms(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        bench at;
        begin(&at);
        wm_str x;
        int64_t a, b;
        const wm_val *table;
        const char *form = "?";
        wm_evaluated done =
            wm_eval_linear(&at.unit, NULL, &hook, parse(&at, forms[i].text), &x, &a, &b, &table);
        if (done == WM_EVAL_ERROR)
            form = "!";
        else if (done == WM_EVAL_OK && x.len == 0)
            form = wm_format_text(&at.arena, "=%lld", (long long)b);
        else if (done == WM_EVAL_OK)
            form = wm_format_text(&at.arena, table ? "t%u[%lld*%.*s+%lld]" : "%.0u%lld*%.*s+%lld",
                                  table ? table->count : 0, (long long)a, (int)x.len, x.p, (long long)b);
        if (strcmp(form, forms[i].form) != 0)
            fail_msg("%s is %s, not %s", forms[i].text, form, forms[i].form);
        wm_arena_release(&at.arena);
    }
}

static void collect(void *user, const wm_word *name)
{
    wm_buffer *out = user;
    wm_buffer_add(out, name->text.p, name->text.len);
    wm_buffer_add(out, " ", 1);
}

static void test_free_names(void **state)
{
    (void)state;
    bench b;
    begin(&b);
    wm_named items[] = {{.name = WM_STR("k"), .state = WM_DECL_DONE}};
    wm_scope scope = {.items = items, .count = 1};
    wm_buffer out = {.arena = &b.arena};
    wm_free_names(&scope, parse(&b, "if a < k then max(b, k) else [c, -d][e] + y.z"), collect, &out);
    assert_string_equal(out.text, "a b c d e ");
    assert_true(wm_scope_has(&scope, WM_STR("k"), NULL));
    assert_false(wm_scope_has(&scope, WM_STR("a"), NULL));
    wm_arena_release(&b.arena);
    wm_arena_release(&b.scratch);
}

/* A sum of many terms is as deep as it is long; it must neither crash nor be endless. */
static void test_long(void **state)
{
    (void)state;
    bench b;
    begin(&b);
    size_t terms = 900;
    char *text = malloc(terms * 4 + 8);
    size_t at = 0;
    for (size_t i = 0; i < terms; i++) {
        text[at++] = '1';
        text[at++] = '+';
    }
    text[at++] = '1';
    text[at] = 0;
    wm_val value;
    assert_int_equal(wm_eval(&b.unit, NULL, NULL, parse(&b, text), &value), WM_EVAL_OK);
    assert_int_equal(value.i, 901);
    free(text);
    wm_arena_release(&b.arena);
    wm_arena_release(&b.scratch);

    begin(&b); /* a text is cut, whatever the list holds */
    wm_val ones[2], *list = ones;
    ones[0] = ones[1] = (wm_val){.kind = WM_VAL_INT, .i = 1};
    for (int i = 0; i < 40; i++) {
        wm_val *pair = wm_new(&b.arena, wm_val, 2);
        pair[0] = pair[1] = (wm_val){.kind = WM_VAL_LIST, .items = list, .count = 2};
        list = pair;
    }
    assert_true(strlen(wm_val_text(&b.unit, list)) < 1000);
    wm_arena_release(&b.arena);
    wm_arena_release(&b.scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_free_names),
        cmocka_unit_test(test_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
