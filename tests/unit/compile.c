/* Entry points of the compiler: what goes wrong before a spec is a text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "wmap/compile.h"
#include "wmap/plan.h"

static bool reads_fail;

/* The library's reads come here. */
ssize_t read(int fd, void *buffer, size_t size)
{
    if (!reads_fail)
        return syscall(SYS_read, fd, buffer, size);
    errno = EIO;
    return -1;
}

static wmap_error compile_file(const char *path)
{
    wmap_compile_options options = {.path = path};
    wmap_report *report = NULL;
    wmap_error err = {0};
    uint8_t *bytes;
    size_t size;
    bool ok = wmap_compile(&options, &bytes, &size, &report, &err);
    wmap_report_free(report);
    free(bytes);
    assert_int_equal(ok, err.code == WMAP_OK);
    return err;
}

static void test_reads_fail(void **state)
{
    (void)state;
    char path[] = "/tmp/wmap-compile-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, "wmap 1\nmap main { }\n", 20) == 20);
    close(fd);
    assert_int_equal(compile_file(path).code, WMAP_OK);
    reads_fail = true;
    wmap_error err = compile_file(path);
    reads_fail = false;
    unlink(path);
    assert_int_equal(err.code, WMAP_E_IO);
    assert_string_equal(err.file, path);
}

static void test_no_file(void **state)
{
    (void)state;
    assert_int_equal(compile_file("/nowhere/a.wmap").code, WMAP_E_IO);
    assert_int_equal(compile_file("/tmp").code, WMAP_E_IO);
    assert_int_equal(compile_file(NULL).code, WMAP_E_USAGE);
}

/* --- aliases --- */

static const uint64_t one[] = {1};

#define TENSOR(name)                                                                                         \
    {                                                                                                        \
        name, sizeof name - 1, WMAP_F32, 1, one                                                              \
    }

static const wmap_tensor tensors[] = {TENSOR("k0"), TENSOR("k1"), TENSOR("c/kernel"), TENSOR("k3")};
static const char *const aliases[] = {"a/kernel", "b/kernel", NULL, "a/bias"};
static const wmap_tensor others[] = {TENSOR("a/bias"), TENSOR("o")};
static const char *const other_aliases[] = {NULL, "a/kernel"};

/* Compiles rules over one file, or over two. The names of targets and of the source tensors that they are
 * made of, each followed by a blank; else the report. Free it. */
static char *compile_rules(const char *rules, bool two, const char *prefix)
{
    wmap_header headers[] = {
        {.label = "first", .tensors = tensors, .count = 4, .aliases = aliases},
        {.label = "second", .prefix = prefix, .tensors = others, .count = 2, .aliases = other_aliases}};
    wmap_compile_options options = {.path = "-e",
                                    .text = rules,
                                    .text_len = strlen(rules),
                                    .rules_only = true,
                                    .sources = headers,
                                    .source_count = two ? 2 : 1};
    wmap_report *report = NULL;
    wmap_error err = {0};
    uint8_t *bytes;
    size_t size, len;
    char *text = NULL;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    if (wmap_compile(&options, &bytes, &size, &report, &err)) {
        wmap_plan *plan = wmap_plan_parse(bytes, size, "plan", &err);
        assert_non_null(plan);
        wmap_plan_print(plan, out, true);
        wmap_plan_free(plan);
    } else {
        assert_int_equal(err.code, WMAP_E_SPEC);
        wmap_report_print(report, out, WMAP_REPORT_TEXT, false, 0);
    }
    wmap_report_free(report);
    free(bytes);
    fclose(out);
    return text;
}

/* Compiling gives a text that holds all of `with`, ended by NULL, and not `without`. */
static void expect(const char *rules, bool two, const char *prefix, const char *const *with,
                   const char *without)
{
    char *text = compile_rules(rules, two, prefix);
    for (; *with; with++)
        if (!strstr(text, *with))
            fail_msg("%s: no %s in\n%s", rules, *with, text);
    if (without && strstr(text, without))
        fail_msg("%s: %s in\n%s", rules, without, text);
    free(text);
}

#define ALL(...)                                                                                             \
    (const char *const[])                                                                                    \
    {                                                                                                        \
        __VA_ARGS__, NULL                                                                                    \
    }

static void test_aliases(void **state)
{
    (void)state;
    /* Patterns, literals, drops and `has` find a tensor by its alias. */
    expect("\"{x:*}/kernel\" -> \"new.{x}\"\ndrop \"k3\"", false, NULL, ALL("new.a", "new.b", "new.c"),
           "error");
    expect("\"a/kernel\" -> \"new\"\nkeep rest", false, NULL, ALL("new", "k1", "c/kernel", "k3"), "error");
    expect("drop \"a/{**}\"\n\"{x:*}\" -> \"{x}\"\n\"c/kernel\" -> \"c\"", false, NULL, ALL("E0521"), NULL);
    expect("drop \"{**}\"\nif has \"a/kernel\" { fill 1 -> \"yes\" : f32 [1] }", false, NULL, ALL("yes"),
           "error");
    /* Its own name comes first: no pattern finds a tensor twice. */
    expect("\"{x:**}\" -> \"t.{x}\"", false, NULL, ALL("t.k0", "t.k1", "t.c/kernel", "t.k3"), "t.a/kernel");
    expect("\"{x:**}k{y}\" -> \"t.{x}.{y}\"\nkeep rest", false, NULL, ALL("t..0", "t..1", "t..3"), "error");
    expect("\"a/kernal\" -> \"x\"\nkeep rest", false, NULL, ALL("E0401", "did you mean `a/kernel`?"), NULL);
    /* Over two files: an alias that both have, or that is a name of the other one, is nobody's. */
    expect("\"a/kernel\" -> \"x\"\nkeep rest", true, NULL, ALL("E0401"), NULL);
    expect("\"b/kernel\" -> \"x\"\nkeep rest", true, NULL, ALL("x"), "error");
    expect("\"a/bias\" -> \"x\"\nkeep rest", true, NULL, ALL("x", "k3"), "error");
    expect("\"a/kernel\" -> \"x\"\n\"s/a/kernel\" -> \"y\"\nkeep rest", true, "s", ALL("x", "y", "s/a/bias"),
           "error");
}

/* ---- a line that is many batches ---- */

#define MANY 20000

/* The plan of a map over MANY tensors as text, or the findings; free() it. */
static char *explain_many(const char *text, const wmap_tensor *list)
{
    wmap_header header = {.label = "many", .tensors = list, .count = MANY};
    wmap_compile_options options = {
        .text = text, .text_len = strlen(text), .rules_only = true, .sources = &header, .source_count = 1};
    wmap_report *report = NULL;
    wmap_error err = {0};
    uint8_t *bytes;
    size_t size, shown_size;
    char *shown = NULL;
    FILE *out = open_memstream(&shown, &shown_size);
    assert_non_null(out);
    if (wmap_compile(&options, &bytes, &size, &report, &err)) {
        wmap_plan *plan = wmap_plan_parse(bytes, size, "plan", &err);
        assert_non_null(plan);
        wmap_plan_print(plan, out, false);
        wmap_plan_free(plan);
    } else {
        wmap_report_print(report, out, WMAP_REPORT_TEXT, false, 0);
    }
    fclose(out);
    free(bytes);
    wmap_report_free(report);
    return shown;
}

/* One rule with a pattern gives what a loop of plain rules gives, and one finding for all that is wrong. */
static void test_many_matches(void **state)
{
    (void)state;
    static const uint64_t shape[] = {2, 3};
    wmap_tensor *list = calloc(MANY, sizeof *list);
    char(*names)[16] = calloc(MANY, sizeof *names);
    assert_true(list && names);
    for (size_t i = 0; i < MANY; i++) {
        int len = snprintf(names[i], sizeof names[i], "x.%zu", i);
        list[i] = (wmap_tensor){names[i], (size_t)len, WMAP_F32, 2, shape};
    }
    char *pattern = explain_many("\"x.{i}\" [a b] -> \"y.{i}\" [b a]", list);
    char *loop = explain_many("for i in 0..19999 { \"x.{i}\" [a b] -> \"y.{i}\" [b a] }", list);
    assert_string_equal(pattern, loop);
    assert_non_null(strstr(pattern, "20000 sources, 20000 targets, 20000 moves"));
    assert_non_null(strstr(pattern, "[a b] <- \"x.19999\" [b a]"));
    free(pattern);
    free(loop);
    char *wrong = explain_many("\"x.{i}\" [a b c] -> \"y.{i}\" [c b a]", list);
    assert_non_null(strstr(wrong, "E0504"));
    assert_non_null(strstr(wrong, "and 19999 more"));
    free(wrong);
    char *twice = explain_many("\"x.{i}\" -> \"y.{i}\"\n\"x.{i}\" -> \"y.{i}\"", list);
    assert_non_null(strstr(twice, "E0514"));
    free(twice);
    free(names);
    free(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_reads_fail), cmocka_unit_test(test_no_file),
                                       cmocka_unit_test(test_aliases), cmocka_unit_test(test_many_matches)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
