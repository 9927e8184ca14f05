/* Findings: their form as docs/language.md section 17 shows it, order, folding, limits, JSON, "did you mean".
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <jansson.h>

#include "compiler/parse.h"

typedef struct bench {
    wm_arena arena;
    wm_unit unit;
} bench;

static void begin(bench *b)
{
    memset(b, 0, sizeof *b);
    wm_arena_init(&b->arena);
    b->unit.arena = &b->arena;
}

static uint32_t add(bench *b, const char *name, const char *text)
{
    return wm_add_source(&b->unit, name, text, strlen(text));
}

/* A text of `line - 1` empty lines and one line. */
static uint32_t add_line(bench *b, const char *name, uint32_t line, const char *text)
{
    char *all = calloc(1, line + strlen(text) + 1);
    memset(all, '\n', line - 1);
    memcpy(all + line - 1, text, strlen(text));
    uint32_t file = add(b, name, all);
    free(all);
    return file;
}

/* The span of the `nth` (from 0) occurrence of a text. */
static wm_span nth(const bench *b, uint32_t file, const char *text, int count)
{
    const char *all = b->unit.sources[file]->text, *at = strstr(all, text);
    for (; count > 0; count--)
        at = strstr(at + 1, text);
    assert_non_null(at);
    uint32_t beg = (uint32_t)(at - all);
    return (wm_span){file, beg, beg + (uint32_t)strlen(text)};
}

static wm_span at(const bench *b, uint32_t file, const char *text)
{
    return nth(b, file, text, 0);
}

static char *print(bench *b, wmap_report_format format, bool color, size_t max_errors)
{
    wmap_report *report = wm_report_of(&b->unit, false);
    assert_non_null(report);
    wm_arena_release(&b->arena); /* the report has all it needs */
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    wmap_report_print(report, out, format, color, max_errors);
    fclose(out);
    wmap_report_free(report);
    return text;
}

static void check(bench *b, const char *expected)
{
    char *text = print(b, WMAP_REPORT_TEXT, false, 0);
    if (strcmp(text, expected) != 0)
        fail_msg("printed\n%s\nnot\n%s", text, expected);
    free(text);
}

/* ---- the models of the manual ---- */

static void test_axis(void **state)
{
    (void)state;
    bench b;
    begin(&b);
    uint32_t f = add_line(&b, "cnn.wmap", 4, "  \"fc\" [(h w c) o] -> \"fc.weight\" [o (c h v)]\n");
    wm_diag *d = wm_error(&b.unit, WM_E0510, at(&b, f, "w"), "axis `%s` is on the left side only", "w");
    wm_diag_also(&b.unit, d, at(&b, f, "v"), "the right side has `v`");
    wm_diag_hint(&b.unit, d, "both sides of a rule range over the same axes");
    check(&b, "cnn.wmap:4:12: error[E0510]: axis `w` is on the left side only\n"
              " 4 |   \"fc\" [(h w c) o] -> \"fc.weight\" [o (c h v)]\n"
              "   |            ^\n"
              "   |                                           ~ the right side has `v`\n"
              "   = hint: both sides of a rule range over the same axes\n"
              "\n"
              "1 error\n");
}

static void test_label_and_note(void **state)
{
    (void)state;
    bench b;
    begin(&b);
    uint32_t f =
        add_line(&b, "cnn.wmap", 9,
                 "  \"fc1/kernel:0\" [(h w c) o] -> \"fc1.weight\" [o (c h w)]   where h=7, w=7, c=512");
    wm_diag *d = wm_error(&b.unit, WM_E0501, at(&b, f, "(h w c)"),
                          "this dimension is 25088 by its axes, but the tensor has 12544");
    wm_diag_hint(&b.unit, d, "a hint comes last");
    wm_diag_label(&b.unit, d, "7 * 7 * 512");
    wm_diag_also(&b.unit, d, at(&b, f, "h=7, w=7, c=512"), "given here");
    wm_diag_note(&b.unit, d, "source `fc1/kernel:0` f32 [12544 4096] in vgg.h5, target `fc1.weight`");
    check(&b,
          "cnn.wmap:9:19: error[E0501]: this dimension is 25088 by its axes, but the tensor has 12544\n"
          " 9 |   \"fc1/kernel:0\" [(h w c) o] -> \"fc1.weight\" [o (c h w)]   where h=7, w=7, c=512\n"
          "   |                   ^^^^^^^ 7 * 7 * 512\n"
          "   |                                                                  ~~~~~~~~~~~~~~~ given here\n"
          "   = note: source `fc1/kernel:0` f32 [12544 4096] in vgg.h5, target `fc1.weight`\n"
          "   = hint: a hint comes last\n"
          "\n"
          "1 error\n");
}

static void test_other_line(void **state)
{
    (void)state;
    bench b;
    begin(&b);
    uint32_t f =
        add(&b, "half.wmap",
            "\n\n\n\n  \"norm.weight\" : f16 [768]\n\n\n\n\n\n\n\n\n  \"norm/gamma\" -> \"norm.weight\"\n");
    wm_diag *d = wm_error(&b.unit, WM_E0601, nth(&b, f, "\"norm.weight\"", 1),
                          "`norm.weight` is f16 in the target, the rule gives f32");
    wm_diag_also(&b.unit, d, at(&b, f, "f16"), "declared here");
    wm_diag_hint(&b.unit, d, "`\"norm/gamma\" | cast f16 -> \"norm.weight\"`");
    check(&b, "half.wmap:14:19: error[E0601]: `norm.weight` is f16 in the target, the rule gives f32\n"
              " 14 |   \"norm/gamma\" -> \"norm.weight\"\n"
              "    |                   ^^^^^^^^^^^^^\n"
              "  ::: half.wmap:5:19\n"
              " 5 |   \"norm.weight\" : f16 [768]\n"
              "   |                   ~~~ declared here\n"
              "    = hint: `\"norm/gamma\" | cast f16 -> \"norm.weight\"`\n"
              "\n"
              "1 error\n");
}

static void test_no_place(void **state)
{
    (void)state;
    bench b;
    begin(&b);
    uint32_t f = add(&b, "bert.wmap", "wmap 1\n");
    uint32_t other = add(&b, "other.wmap", "x\n");
    wm_error(&b.unit, WM_E0522, WM_NOWHERE, "nowhere at all");
    wm_error(&b.unit, WM_E0523, (wm_span){other, UINT32_MAX, UINT32_MAX}, "a file as a whole");
    wm_warn(&b.unit, WM_W0001, at(&b, f, "wmap"), "a place comes before none");
    check(&b, "bert.wmap:1:1: warning[W0001]: a place comes before none\n"
              " 1 | wmap 1\n"
              "   | ^^^^\n"
              "\n"
              "bert.wmap: error[E0522]: nowhere at all\n"
              "\n"
              "other.wmap: error[E0523]: a file as a whole\n"
              "\n"
              "2 errors, 1 warning\n");
}

/* ---- lines ---- */

static void test_widths(void **state)
{
    (void)state;
    bench b;
    begin(&b);
    uint32_t f = add(&b, "w.wmap",
                     "\t\xE4\xB8\xAD"
                     "e\xCC\x81\x1b x\r\nend");
    wm_error(&b.unit, WM_E0101, at(&b, f, "x"),
             "behind a tab, a wide one, a combining one and a control character");
    wm_error(&b.unit, WM_E0101, at(&b, f, "\xE4\xB8\xAD"), "a wide one");
    wm_error(&b.unit, WM_E0101, (wm_span){f, 16, 16}, "the end");
    check(&b, "w.wmap:1:2: error[E0101]: a wide one\n"
              " 1 |     \xE4\xB8\xAD"
              "e\xCC\x81? x\n"
              "   |     ^^\n"
              "\n"
              "w.wmap:1:7: error[E0101]: behind a tab, a wide one, a combining one and a control character\n"
              " 1 |     \xE4\xB8\xAD"
              "e\xCC\x81? x\n"
              "   |          ^\n"
              "\n"
              "w.wmap:2:4: error[E0101]: the end\n"
              " 2 | end\n"
              "   |    ^\n"
              "\n"
              "3 errors\n");
}

static void test_long_line(void **state)
{
    (void)state;
    char line[1201];
    memset(line, 'a', 1200);
    line[1200] = '\0';
    memcpy(line + 600, "HERE", 4);
    memcpy(line + 650, "THERE", 5);
    memcpy(line + 100, "FAR", 3);
    bench b;
    begin(&b);
    uint32_t f = add(&b, "long.wmap", line);
    wm_diag *d = wm_error(&b.unit, WM_E0110, at(&b, f, "HERE"), "x");
    wm_diag_also(&b.unit, d, at(&b, f, "THERE"), "near");
    wm_diag_also(&b.unit, d, at(&b, f, "FAR"), "far");
    char *text = print(&b, WMAP_REPORT_TEXT, false, 0);
    char *row = strtok(text, "\n");
    assert_string_equal(row, "long.wmap:1:601: error[E0110]: x");
    row = strtok(NULL, "\n");
    assert_true(strlen(row) < 200 && strncmp(row, " 1 | ...aaa", 11) == 0 &&
                strcmp(row + strlen(row) - 4, "a...") == 0);
    const char *here = strstr(row, "HERE"), *there = strstr(row, "THERE"), *start = row;
    row = strtok(NULL, "\n");
    assert_int_equal(strcspn(row, "^"), here - start);
    assert_string_equal(row + strcspn(row, "^"), "^^^^");
    row = strtok(NULL, "\n");
    assert_int_equal(strcspn(row, "~"), there - start);
    assert_string_equal(row + strcspn(row, "~"), "~~~~~ near");
    assert_string_equal(strtok(NULL, "\n"), "  ::: long.wmap:1:101");
    assert_non_null(strstr(strtok(NULL, "\n"), "FAR"));
    assert_non_null(strstr(strtok(NULL, "\n"), "~~~ far"));
    free(text);
}

static void test_many_lines(void **state)
{
    (void)state;
    bench b;
    begin(&b);
    uint32_t f = add(&b, "m.wmap",
                     "\xEF\xBB\xBF"
                     "ab\ncd\n");
    wm_error(&b.unit, WM_E0110, (wm_span){f, 4, 8}, "a span over lines ends with the first");
    wm_error(&b.unit, WM_E0110, (wm_span){f, 3, 4}, "a mark at the start is no column");
    check(&b, "m.wmap:1:1: error[E0110]: a mark at the start is no column\n"
              " 1 | ab\n"
              "   | ^\n"
              "\n"
              "m.wmap:1:2: error[E0110]: a span over lines ends with the first\n"
              " 1 | ab\n"
              "   |  ^\n"
              "\n"
              "2 errors\n");
}

static void test_hostile_text(void **state)
{
    (void)state;
    bench b;
    begin(&b);
    add(&b, "x\x1b[2J.wmap", "a");
    wm_diag *d = wm_error(&b.unit, WM_E0134, (wm_span){0, 0, 1}, "line\nline \x1b[31m \xff \xE2\x80\xAE");
    wm_diag_note(&b.unit, d, "a\tb");
    check(&b, "x?[2J.wmap:1:1: error[E0134]: line line ?[31m ? ?\n"
              " 1 | a\n"
              "   | ^\n"
              "   = note: a    b\n"
              "\n"
              "1 error\n");
}

/* ---- order, folding, limits ---- */

static void test_order(void **state)
{
    (void)state;
    bench b;
    begin(&b);
    uint32_t f = add(&b, "a", "one\ntwo\n"), g = add(&b, "b", "three\n");
    wm_error(&b.unit, WM_E0301, at(&b, g, "three"), "4");
    wm_error(&b.unit, WM_E0301, at(&b, f, "two"), "2");
    wm_error(&b.unit, WM_E0101, at(&b, f, "two"), "3");
    wm_error(&b.unit, WM_E0301, at(&b, f, "one"), "1");
    char *text = print(&b, WMAP_REPORT_TEXT, false, 0), *from = text;
    for (int i = 1; i <= 4; i++) {
        char message[8];
        snprintf(message, sizeof message, "]: %d\n", i);
        from = strstr(from, message);
        assert_non_null(from);
    }
    free(text);
}

static void in_round(bench *b, wm_span span, const char *round, const char *name, int extent)
{
    wm_diag *d = wm_error(&b->unit, WM_E0501, span, "this dimension is %d", extent);
    wm_diag_label(&b->unit, d, "for %s", round);
    wm_diag_note(&b->unit, d, "source `%s` f32 [12 12]", name);
    d->round = wm_format_text(&b->arena, "%s", round);
}

/* The notes about folded ones, joined; and the number of errors. */
static void check_folded(bench *b, size_t errors, const char *expected)
{
    json_t *report, *list, *entry, *note;
    char *text = print(b, WMAP_REPORT_JSON, false, 0), got[2000] = "";
    report = json_loads(text, 0, NULL);
    assert_non_null(report);
    list = json_object_get(report, "diagnostics");
    assert_int_equal(json_array_size(list), errors);
    assert_int_equal(json_integer_value(json_object_get(report, "errors")), (json_int_t)errors);
    size_t i, k;
    json_array_foreach(list, i, entry)
    {
        json_array_foreach(json_object_get(entry, "notes"), k, note)
        {
            const char *t = json_string_value(json_object_get(note, "text"));
            if (strncmp(t, "and ", 4) == 0)
                snprintf(got + strlen(got), sizeof got - strlen(got), "%s|", t);
        }
    }
    assert_string_equal(got, expected);
    json_decref(report);
    free(text);
}

static void test_folding(void **state)
{
    (void)state;
    bench b;
    char name[64], round[64];
    begin(&b);
    uint32_t f = add(&b, "a", "one two");
    for (int i = 0; i < 48; i++) {
        snprintf(name, sizeof name, "layers.%d.w", i);
        snprintf(round, sizeof round, "l=%d", i);
        in_round(&b, at(&b, f, "one"), round, name, 12);
    }
    check_folded(&b, 1, "and 47 more: l=1..47|");

    /* another extent, name or place is another finding; a round left out, and two variables, are seen */
    begin(&b);
    f = add(&b, "a", "one two");
    in_round(&b, at(&b, f, "one"), "a=0, b=1", "x.1", 12);
    in_round(&b, at(&b, f, "one"), "a=0, b=2", "x.2", 12);
    in_round(&b, at(&b, f, "one"), "a=0, b=3", "x.3", 12);
    in_round(&b, at(&b, f, "one"), "a=0, b=5", "x.5", 12);
    in_round(&b, at(&b, f, "one"), "a=1, b=6", "x.6", 12);
    in_round(&b, at(&b, f, "one"), "a=0, b=7", "x.7", 13);
    in_round(&b, at(&b, f, "one"), "a=0, b=8", "y.8", 12);
    in_round(&b, at(&b, f, "two"), "a=0, b=9", "x.9", 12);
    check_folded(&b, 4, "and 4 more: a=0, b=2..3; a=0, b=5; a=1, b=6|");

    /* the same finding twice is one; without rounds numbers count */
    begin(&b);
    f = add(&b, "a", "one two");
    for (int i = 0; i < 4; i++)
        wm_error(&b.unit, WM_E0301, at(&b, f, "one"), "`x%d`", i / 2);
    check_folded(&b, 2, "");

    begin(&b);
    f = add(&b, "a", "one two");
    for (int i = 0; i < 20; i++) {
        snprintf(round, sizeof round, "l=%d", i * i);
        in_round(&b, at(&b, f, "one"), round, "x", 12);
    }
    check_folded(&b, 1, "and 19 more: l=1; l=4; l=9; l=16; l=25; l=36; ...|");
}

static void test_max_errors(void **state)
{
    (void)state;
    bench b;
    begin(&b);
    uint32_t f = add(&b, "a", "x");
    for (int i = 0; i < 5; i++)
        wm_error(&b.unit, WM_E0301, at(&b, f, "x"), "m%d", i);
    wm_warn(&b.unit, WM_W0002, at(&b, f, "x"), "w");
    char *text = print(&b, WMAP_REPORT_TEXT, false, 2);
    assert_non_null(strstr(text, ": m1\n"));
    assert_null(strstr(text, ": m2\n"));
    assert_non_null(strstr(text, "warning[W0002]: w\n"));
    assert_string_equal(strstr(text, "3 more"), "3 more errors are not shown\n5 errors, 1 warning\n");
    free(text);
}

static void test_status(void **state)
{
    (void)state;
    static const struct {
        wm_diag_id a, b;
        bool file;
        int status;
    } rows[] = {
        {WM_DIAG_NONE, WM_DIAG_NONE, true, 0}, {WM_E0501, WM_DIAG_NONE, true, 3},
        {WM_E0501, WM_E0401, true, 3},         {WM_E0501, WM_E0401, false, 1},
        {WM_E0501, WM_E0510, true, 1},         {WM_E0110, WM_DIAG_NONE, true, 1},
        {WM_W0001, WM_DIAG_NONE, true, 0},     {WM_E0501, WM_W0001, true, 3},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bench b;
        begin(&b);
        add(&b, "a", "x");
        for (int k = 0; k < 2; k++) {
            wm_diag_id id = k ? rows[i].b : rows[i].a;
            if (id == WM_W0001)
                wm_warn(&b.unit, id, WM_NOWHERE, "w");
            else if (id != WM_DIAG_NONE)
                wm_error(&b.unit, id, WM_NOWHERE, "e");
        }
        wmap_report *report = wm_report_of(&b.unit, rows[i].file);
        assert_int_equal(wmap_report_status(report), rows[i].status);
        assert_int_equal(wmap_report_errors(report), b.unit.errors);
        assert_int_equal(wmap_report_warnings(report), b.unit.warnings);
        wmap_report_free(report);
        wm_arena_release(&b.arena);
    }
}

static void test_json(void **state)
{
    (void)state;
    bench b;
    begin(&b);
    uint32_t f = add(&b, "dir/\"a\".wmap", "x\n\xC3\xA9y\n");
    wm_diag *d = wm_error(&b.unit, WM_E0110, at(&b, f, "y"), "q\" b\\ n\n e\x1b u\xC3\xA9 bad\xff");
    wm_diag_label(&b.unit, d, "label");
    wm_diag_also(&b.unit, d, at(&b, f, "x"), "also");
    wm_diag_note(&b.unit, d, "note");
    wm_diag_hint(&b.unit, d, "hint");
    wm_warn(&b.unit, WM_W0001, WM_NOWHERE, "w");
    char *text = print(&b, WMAP_REPORT_JSON, true, 0);
    json_t *report = json_loads(text, 0, NULL);
    assert_non_null(report);
    const char *id, *severity, *message, *file, *label, *text2, *kind;
    int line, column, end_line, end_column, errors, warnings, also_line;
    json_t *labels, *notes, *second;
    assert_int_equal(json_unpack(report, "{s:[{s:s,s:s,s:s,s:s,s:i,s:i,s:i,s:i,s:s,s:o,s:o},o],s:i,s:i}",
                                 "diagnostics", "id", &id, "severity", &severity, "message", &message, "file",
                                 &file, "line", &line, "column", &column, "end_line", &end_line, "end_column",
                                 &end_column, "label", &label, "labels", &labels, "notes", &notes, &second,
                                 "errors", &errors, "warnings", &warnings),
                     0);
    assert_string_equal(id, "E0110");
    assert_string_equal(severity, "error");
    assert_string_equal(message, "q\" b\\ n\n e\x1b u\xC3\xA9 bad\xEF\xBF\xBD");
    assert_string_equal(file, "dir/\"a\".wmap");
    assert_int_equal(line, 2);
    assert_int_equal(column, 2);
    assert_int_equal(end_line, 2);
    assert_int_equal(end_column, 3);
    assert_string_equal(label, "label");
    assert_int_equal(json_unpack(labels, "[{s:s,s:i}!]", "text", &text2, "line", &also_line), 0);
    assert_string_equal(text2, "also");
    assert_int_equal(also_line, 1);
    assert_int_equal(json_array_size(notes), 2);
    assert_int_equal(json_unpack(json_array_get(notes, 1), "{s:s,s:s}", "kind", &kind, "text", &text2), 0);
    assert_string_equal(kind, "hint");
    assert_true(json_is_null(json_object_get(second, "line")));
    assert_int_equal(errors, 1);
    assert_int_equal(warnings, 1);
    json_decref(report);
    free(text);
}

static void test_color(void **state)
{
    (void)state;
    bench b;
    begin(&b);
    uint32_t f = add(&b, "a", "x");
    wm_error(&b.unit, WM_E0110, at(&b, f, "x"), "m");
    char *text = print(&b, WMAP_REPORT_TEXT, true, 0), *to = text;
    assert_non_null(strstr(text, "\033[1;31merror[E0110]\033[0m"));
    /* without the colours it is the plain text */
    for (const char *from = text; *from;)
        if (*from == '\033')
            from = strchr(from, 'm') + 1;
        else
            *to++ = *from++;
    *to = '\0';
    assert_string_equal(text, "a:1:1: error[E0110]: m\n 1 | x\n   | ^\n\n1 error\n");
    free(text);
}

static void test_empty(void **state)
{
    (void)state;
    bench b;
    begin(&b);
    add(&b, "a", "x");
    check(&b, "");
    assert_int_equal(wmap_report_status(NULL), 0);
    wmap_report_free(NULL);
}

/* More labels and notes than fit are left out, and nothing else is lost. */
static void test_full(void **state)
{
    (void)state;
    bench b;
    begin(&b);
    uint32_t f = add(&b, "a", "x");
    wm_diag *d = wm_error(&b.unit, WM_E0110, at(&b, f, "x"), "m");
    for (int i = 0; i < 100; i++) {
        wm_diag_also(&b.unit, d, at(&b, f, "x"), "l%d", i);
        wm_diag_note(&b.unit, d, "n%d", i);
    }
    assert_int_equal(d->label_count, WM_DIAG_MAX_LABELS - 1); /* the last is for `use` */
    assert_int_equal(d->note_count, WM_DIAG_MAX_NOTES);
    wm_arena_release(&b.arena);
}

/* One very long line with a finding at each of its words, folded or not, takes no quadratic time. */
static void test_many(void **state)
{
    (void)state;
    enum { MANY = 100000 };
    char *text = malloc(MANY * 10 + 1);
    memset(text, 'x', MANY * 10);
    text[MANY * 10] = '\0';
    bench b;
    begin(&b);
    uint32_t f = add(&b, "a", text);
    for (uint32_t i = 0; i < MANY; i++) {
        wm_diag *d = wm_error(&b.unit, WM_E0401,
                              (wm_span){f, (i * 7919 % MANY) * 10, (i * 7919 % MANY) * 10 + 3}, "m");
        wm_diag_also(&b.unit, d, (wm_span){f, i * 10, i * 10 + 1}, "l");
        wm_diag *e = wm_error(&b.unit, WM_E0402, (wm_span){f, 0, 1}, "same in `%u`", i);
        e->round = wm_format_text(&b.arena, "l=%u", i);
    }
    free(text);
    clock_t start = clock();
    char *report = print(&b, WMAP_REPORT_TEXT, false, 0);
    double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    assert_non_null(strstr(report, "and 99999 more: l=1..99999"));
    assert_non_null(strstr(report, "\n100001 errors\n"));
    if (seconds > 20) /* quadratic: hours */
        fail_msg("%.1f s", seconds);
    free(report);
}

/* ---- "did you mean" ---- */

static void test_near(void **state)
{
    (void)state;
    static const struct {
        const char *name, *candidates[4], *best; /* NULL: none */
    } rows[] = {
        {"kernl", {"bias", "kernel", "kern"}, "kernel"},
        {"kernel", {"bias", "gamma"}, NULL},
        {"ab", {"cd", "ac"}, "ac"},
        {"ab", {"cd", "xa"}, NULL},
        {"a", {"b"}, NULL},
        {"abc", {"abd", "abc"}, "abc"},
        {"mian", {"other", "main"}, "main"}, /* a swap is one mistake */
        {"kernle_bais", {"bias", "kernel_bias"}, "kernel_bias"},
        {"encoder.layer", {"encoder.layers", "decoder.layer"}, "encoder.layers"},
        {"", {"a"}, NULL},
        {"abcdef", {"ghijkl", ""}, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        wm_near near;
        wm_near_init(&near, (wm_str){rows[i].name, (uint32_t)strlen(rows[i].name)});
        for (int k = 0; k < 4 && rows[i].candidates[k]; k++)
            wm_near_try(&near, (wm_str){rows[i].candidates[k], (uint32_t)strlen(rows[i].candidates[k])});
        assert_int_equal(wm_near_found(&near), rows[i].best != NULL);
        if (rows[i].best)
            assert_true(wm_str_eq(near.best, (wm_str){rows[i].best, (uint32_t)strlen(rows[i].best)}));
    }
}

static void test_ids(void **state)
{
    (void)state;
    for (wm_diag_id id = WM_DIAG_NONE + 1; id < WM_DIAG_COUNT; id++) {
        const char *name = wm_diag_name(id);
        assert_int_equal(strlen(name), 5);
        assert_non_null(strchr("ERW", name[0]));
        assert_int_equal(strspn(name + 1, "0123456789"), 4);
        for (wm_diag_id other = id + 1; other < WM_DIAG_COUNT; other++)
            assert_string_not_equal(name, wm_diag_name(other));
    }
    assert_true(wm_diag_fits(WM_E0401) && wm_diag_fits(WM_E0527) && wm_diag_fits(WM_R0801));
    assert_false(wm_diag_fits(WM_E0110) || wm_diag_fits(WM_E0510) || wm_diag_fits(WM_E0505));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_axis),       cmocka_unit_test(test_label_and_note),
        cmocka_unit_test(test_other_line), cmocka_unit_test(test_no_place),
        cmocka_unit_test(test_widths),     cmocka_unit_test(test_long_line),
        cmocka_unit_test(test_many_lines), cmocka_unit_test(test_hostile_text),
        cmocka_unit_test(test_order),      cmocka_unit_test(test_folding),
        cmocka_unit_test(test_max_errors), cmocka_unit_test(test_status),
        cmocka_unit_test(test_json),       cmocka_unit_test(test_color),
        cmocka_unit_test(test_empty),      cmocka_unit_test(test_full),
        cmocka_unit_test(test_many),       cmocka_unit_test(test_near),
        cmocka_unit_test(test_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
