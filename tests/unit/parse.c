/* Scanner, grammar and the filter between them: rows of a text and the tree, or the errors, that it must
 * give. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "compiler/parse.h"

typedef struct bench {
    wm_arena arena;
    wm_unit unit;
    wm_ast *ast;
} bench;

static void parse(bench *b, const char *text, size_t size, bool rules_only)
{
    memset(b, 0, sizeof *b);
    wm_arena_init(&b->arena);
    b->unit.arena = &b->arena;
    uint32_t file = wm_add_source(&b->unit, "test", text, size);
    b->unit.sources[file]->rules_only = rules_only;
    b->ast = wm_parse(&b->unit, file);
    assert_memory_equal(b->unit.sources[file]->text, text, b->unit.sources[file]->size);
    assert_int_equal(b->ast->failed, b->unit.errors > 0);
}

/* The tree in one line: nodes joined by a blank, levels in parentheses. */
static char *flat(const wm_ast *ast)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    wm_ast_print(ast, out);
    fclose(out);
    char *result = calloc(1, 4 * size + 1), *to = result;
    size_t level = 0;
    bool first = true;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        size_t indent = strspn(line, " ");
        for (; level < indent / 2; level++)
            to = stpcpy(to, "(");
        bool closed = level > indent / 2;
        for (; level > indent / 2; level--)
            to = stpcpy(to, ")");
        if (!first && (closed || to[-1] != '('))
            to = stpcpy(to, " ");
        to = stpcpy(to, line + indent);
        first = false;
    }
    for (; level > 0; level--)
        to = stpcpy(to, ")");
    free(text);
    return result;
}

typedef struct row {
    const char *text, *tree;
} row;

static void check_rows(const row *rows, size_t count, bool rules_only)
{
    for (size_t i = 0; i < count; i++) {
        bench b;
        parse(&b, rows[i].text, strlen(rows[i].text), rules_only);
        char *tree = flat(b.ast);
        if (b.unit.errors)
            fail_msg("%s: %s", rows[i].text, b.unit.diags->message);
        if (strcmp(tree, rows[i].tree) != 0)
            fail_msg("%s:\n  %s\nnot\n  %s", rows[i].text, tree, rows[i].tree);
        free(tree);
        wm_arena_release(&b.arena);
    }
}

#define COUNT(rows) (sizeof(rows) / sizeof *(rows))
#define STR(text)   "string(text `" text "`)"
#define PLACE(text) "place(" STR(text) ")"
#define A_TO_B      "rule(source(" PLACE("a") ") target(" PLACE("b") "))"

static void test_rules(void **state)
{
    (void)state;
    static const row rows[] = {
        {"", ""},
        {"\"a\" -> \"b\"", A_TO_B},
        {"'a' -> 'b'", "rule(source(place(string raw(text `a`))) target(place(string raw(text `b`))))"},
        {"optional equal \"a\" -> \"b\"",
         "rule optional equal(source(" PLACE("a") ") target(" PLACE("b") "))"},
        {"\"a\" [x -y =z 1 ...] -> \"b\"",
         "rule(source(place(" STR("a") " layout(axis x reversed y equal z number 1 dots))) target(" PLACE(
             "b") "))"},
        {"\"a\" [(x y) {i _ f}] -> \"b\"",
         "rule(source(place(" STR(
             "a") " layout(group(axis x axis y) labels(block i block _ block f)))) target(" PLACE("b") "))"},
        {"\"a\" [(q: r d | _: 4 | _ | v)] -> \"b\"",
         "rule(source(place(" STR("a") " layout(blocks(block q(axis r axis d) block _(number 4) block _ "
                                       "block(axis v))))) target(" PLACE("b") "))"},
        {"\"a\" [(_)] -> \"b\"",
         "rule(source(place(" STR("a") " layout(blocks(block _)))) target(" PLACE("b") "))"},
        {"\"a\" [] else -1 optional -> \"b\" : f32 [3 n (n+1)]",
         "rule(source(place optional(" STR("a") " layout else(neg(int 1)))) target(" PLACE(
             "b") " dtype f32 shape(int 3 name n binary +(name n int 1))))"},
        {"i: \"a\", for: \"a\" -> in: \"b\"",
         "rule(source i(" PLACE("a") ") source for(" PLACE("a") ") target in(" PLACE("b") "))"},
        {"\"a\" | f: + 1 | cast f16 saturate | dequant \"a\" [b1 2] -> \"b\"",
         "rule(source(place(" STR("a") " op + for f(int 1) op cast(name f16 name saturate) op dequant(" STR(
             "a") " shape(name b1 int 2)))) target(" PLACE("b") "))"},
        {"\"a\" + \"a\" * (\"a\" | neg) -> \"b\"",
         "rule(source(arithmetic +(" PLACE("a") " arithmetic *(" PLACE("a") " place(" STR(
             "a") " op neg)))) target(" PLACE("b") "))"},
        {"\"a\" -> \"b\" where h = 7, (x y) = (z), map=n//2",
         "rule(source(" PLACE("a") ") target(" PLACE(
             "b") ") binding h(int 7) binding x y = z binding map(binary //(name n int 2)))"},
        {"permute (1 0) flip (0) split 1 \"a\" -> \"b\"",
         "rule(permute 1 0 flip 0 split 1 source(" PLACE("a") ") target(" PLACE("b") "))"},
    };
    check_rows(rows, COUNT(rows), true);
}

static void test_statements(void **state)
{
    (void)state;
    static const row rows[] = {
        {"fill 0 -> \"a\" like \"b\"", "fill(constant(int 0) target(" PLACE("a") ") like(text `b`))"},
        {"drop \"a\", \"b\" if all -0.5", "drop(constant(neg(float 0.5)) " STR("a") " " STR("b") ")"},
        {"drop meta \"a\"", "drop meta(" STR("a") ")"},
        {"meta \"a\" = \"b\"", "meta(" STR("a") " " STR("b") ")"},
        {"meta: \"a\" -> \"b\"", "rule(source meta(" PLACE("a") ") target(" PLACE("b") "))"},
        {"keep rest", "keep rest"},
        {"use t.m (a = 1, b = [])", "use(call t.m(argument a(int 1) argument b(list)))"},
        {"error \"a\"", "error(" STR("a") ")"},
        {"derive without a, b", "derive(words a b)"},
        {"cast f32 -> f16 allow", "cast(from f32 to f16 policy allow)"},
        {"axis u, in = 3", "axis(binding u binding in(int 3))"},
        {"forward { keep rest }; reverse { }", "forward(body(keep rest)) reverse"},
        {"for (a, b) in [(1, 2)] { keep rest }", "for(words a b list(list(int 1 int 2)) body(keep rest))"},
        {"for x in 1..n+1 { }", "for(words x int 1 binary +(name n int 1))"},
        {"for \"a\" { keep rest }", "for(" STR("a") " body(keep rest))"},
        {"if a { } else if b { keep rest } else { keep rest }",
         "if(name a else(if(name b body(keep rest) else(keep rest))))"},
        {"if (if a then b else c) { }", "if(if(name a name b name c))"},
    };
    check_rows(rows, COUNT(rows), true);
}

static void test_newlines(void **state)
{
    (void)state;
    static const row rows[] = {
        {"\n\n;; \"a\" -> \"b\" ;\n;", A_TO_B},
        {"\"a\"\n\n  # comment\n->\n\"b\"", A_TO_B},
        {"\"a\" ->\r\n\"b\"\r\n", A_TO_B},
        {"\"a\"\n| neg\n-> \"b\"\nwhere h=\n1",
         "rule(source(place(" STR("a") " op neg)) target(" PLACE("b") ") binding h(int 1))"},
        {"keep rest\nkeep rest", "keep rest keep rest"},
        {"if a { keep rest }\nelse { keep rest }", "if(name a body(keep rest) else(keep rest))"},
        {"if a and\nnot\nb == \n1 { }", "if(binary and(name a not(binary ==(name b int 1))))"},
        {"\"a\" [x\n(y\nz)\n] -> \"b\"",
         "rule(source(place(" STR("a") " layout(axis x group(axis y axis z)))) target(" PLACE("b") "))"},
        {"\"a\" -> \"b\" where h = (1\n+\n2)",
         "rule(source(" PLACE("a") ") target(" PLACE("b") ") binding h(binary +(int 1 int 2)))"},
    };
    check_rows(rows, COUNT(rows), true);
}

static void test_strings(void **state)
{
    (void)state;
    static const row rows[] = {
        {"error \"\"", "error(string)"},
        {"error \"a\\n\\{b\\}\\\"\\\\c\\t\\u{e9}\\u{1F600}\"",
         "error(string(text `a\\x0a{b}\"\\x5cc\\x09\xC3\xA9\xF0\x9F\x98\x80`))"},
        {"error '\\{'", "error(string raw(text `\\x5c{`))"},
        {"error \"{n}.{n+1:02}{a:A}x{a:a}{b:_}{p:*}{p:**}\"",
         "error(string(hole(name n) text `.` hole :02(binary +(name n int 1)) hole :A(name a) text `x` hole "
         ":a(name a) hole :_(name b) hole :*(name p) hole :**(name p)))"},
        {"error \"{=s}{=s:02}{*}{**}{ t[n] }\"",
         "error(string(equal s equal s :02 star starstar hole(index(name t name n))))"},
    };
    check_rows(rows, COUNT(rows), true);
}

static void test_expressions(void **state)
{
    (void)state;
    static const row rows[] = {
        {"wmap 1\nparam x = 1 + 2 * 3 - -4",
         "wmap 1 param x(binary -(binary +(int 1 binary *(int 2 int 3)) neg(int 4)))"},
        {"wmap 1\nparam x = not a and b or c",
         "wmap 1 param x(binary or(binary and(not(name a) name b) name c))"},
        {"wmap 1\nparam x = 2.5e-1 + 1e3", "wmap 1 param x(binary +(float 0.25 float 1000))"},
        {"wmap 1\nparam x = t.y[1][2]", "wmap 1 param x(index(index(name t.y int 1) int 2))"},
        {"wmap 1\nparam x = max(1, f(2)) % 3",
         "wmap 1 param x(binary %(call max(int 1 call f(int 2)) int 3))"},
        {"wmap 1\nparam x = (1)", "wmap 1 param x(int 1)"},
        {"wmap 1\nparam x = (1, 2)", "wmap 1 param x(list(int 1 int 2))"},
        {"wmap 1\ntable x = [true,\n[],]", "wmap 1 table x(list(true list))"},
        {"wmap 1\nparam x = if has \"a\" then 1 else 9223372036854775807",
         "wmap 1 param x(if(has(text `a`) int 1 int 9223372036854775807))"},
    };
    check_rows(rows, COUNT(rows), false);
}

static void test_items(void **state)
{
    (void)state;
    static const row rows[] = {
        {"\xEF\xBB\xBFwmap 1", "wmap 1"},
        {"wmap 1;import \"a\", \"b\" as c", "wmap 1 import(string(text `a`)) import c(string(text `b`))"},
        {"wmap 1\nmodel a.b (n = 2, m) { \"a\" : f32 [n]; for x in 1..2 { \"b\" : i8 [] } }",
         "wmap 1 model a.b(parameter n(int 2) parameter m tensor(" STR(
             "a") " dtype f32 shape(name n)) for(words x "
                  "int 1 int 2 body(tensor(" STR("b") " dtype i8 shape))))"},
        {"wmap 1\nmap m (a) from x.y (k = 1) to z { keep rest }",
         "wmap 1 map m(parameter a from x.y(argument k(int 1)) to z keep rest)"},
        {"wmap 1\nmap m = a then b (c = 1) then d", "wmap 1 map m(part a part b(argument c(int 1)) part d)"},
    };
    check_rows(rows, COUNT(rows), false);
}

/* A text, and for each of its errors, in the order of the text, id and line. */
static void test_errors(void **state)
{
    (void)state;
    static const struct {
        const char *text, *errors;
    } rows[] = {
        {"wmap 1\nparam a = @", "E0101:2"},
        {"wmap 1\nparam \xE2\x86\x92\xE2\x86\x92 = 1", "E0101:2"},
        {"wmap 1\nparam a = \"x", "E0103:2"},
        {"wmap 1\nparam a = 'x\nparam b = 'y'", "E0103:2"},
        {"wmap 1\nparam a = \"\\q\"", "E0104:2"},
        {"wmap 1\nparam a = \"\\u{D800}\\u{110000}\\u\"", "E0104:2"},
        {"wmap 1\nparam a = \"x}\"", "E0105:2"},
        {"wmap 1\nparam a = \"x{{n}}\"", "E0105:2"},
        {"wmap 1\nparam a = \"x{n\"\nparam b", "E0105:2 E0110:3"},
        {"wmap 1\nparam a = 3x", "E0106:2"},
        {"wmap 1\nparam a = 1e999", "E0106:2"},
        {"wmap 1\nparam a = 9223372036854775808", "E0107:2"},
        {"wmap 1\nparam a 3\nparam b 4", "E0110:2 E0110:3"},
        {"param a = 3", "E0111:1"},
        {"", "E0111:1"},
        {"{\"json\": [1, 2]}\n{", "E0111:1"},
        {"wmap 2\n%%%", "E0112:1"},
        {"wmap 1\nparam map = 3", "E0113:2"},
        {"wmap 1\nmap m { \"a\" [true] -> \"b\" }", "E0113:2"},
        {"wmap 1\nimport \"a{b}\"", "E0114:2"},
        {"wmap 1\nlayer x { kernel [o i];\nbias [o] }\nparam a", "E0110:4"},
        {"wmap 1\nmodel m { a = \"b\" }", "E0110:2"},
        {"wmap 1\nmodel m : keras { \"a\" : f32 [3] }", "E0110:2"},
        {"wmap 1\ndialect d { title \"b\"; form keras.h5\nflat (a b)\nk klass \"x\" { } }",
         "E0110:2 E0110:2 E0110:3 E0110:4"},
        {"wmap 1\narchitecture a { x : arrays [n]; piece p { y : z }\nlets v = 1 }",
         "E0110:2 E0110:2 E0110:3"},
        {"wmap 1\nmap m { \"a\" [()] -> \"b\" [{}] }", "E0206:2 E0206:2"},
        {"wmap 1\nmap m { \"a{n:3}\" -> \"b{n:x}\" }", "E0207:2 E0207:2"},
        /* each statement of a block, and what follows the block */
        {"wmap 1\nmap m {\n\"a\" [i, o] -> \"b\"\n\"a\" [{i, f} c] -> \"b\"\nkeep rst\n}\nparam a",
         "E0110:3 E0110:4 E0110:5 E0110:7"},
        /* a header with an error: its block is read */
        {"wmap 1\nmap m {\nfor x on y {\ndrop 3\n}\nif a = b { drop 3 }\n}",
         "E0110:3 E0110:4 E0110:6 E0110:6"},
        {"wmap 1\nmap m (3) {\ndrop 3\n}\nparam a", "E0110:2 E0110:3 E0110:5"},
        /* a block that belongs to nothing is passed over */
        {"wmap 1\nmap m {\nfoo {\ndrop 3\n}\ndrop 3\n}", "E0110:3 E0110:6"},
        {"wmap 1\nfoo {\ndrop 3; { }\n}\nparam a", "E0110:2 E0110:5"},
        /* brackets that are not closed */
        {"wmap 1\nmap m {\n\"a\" [i -> \"b\"\ndrop 3\n}\nparam a", "E0110:3 E0110:4 E0110:6"},
        {"wmap 1\nmap m {\n\"a\" [i }\nparam a", "E0110:3 E0110:4"},
        {"wmap 1\ntable t = [\n(1, 2),\n(3 4),\n(5, 6)\n]\nparam a", "E0110:4 E0110:7"},
        {"wmap 1\ntable t = [\n(1, 2),\n(3 4\nparam a\nparam b", "E0110:4 E0110:5 E0110:6"},
        {"wmap 1\nmap m {\n\"a\" -> \"b\"\n", "E0110:3"},
        {"wmap 1\nmap m {\nkeep rest\nmap n {\ndrop 3\n}\nparam a", "E0110:4 E0110:5 E0110:7"},
        /* statements outside of a map: one error, not one for each */
        {"wmap 1\nmap m { } }\n\"a\" -> \"b\"\n\"c\" -> \"d\"\nparam a", "E0110:2 E0110:5"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        bench b;
        parse(&b, rows[i].text, strlen(rows[i].text), false);
        char got[400] = "";
        for (const wm_diag *d = b.unit.diags; d; d = d->next) {
            uint32_t line, column;
            wm_source_position(&b.arena, b.unit.sources[0], d->span.beg, &line, &column);
            snprintf(got + strlen(got), sizeof got - strlen(got), "%s%s:%u", *got ? " " : "",
                     wm_diag_name(d->id), line);
        }
        if (strcmp(got, rows[i].errors) != 0)
            fail_msg("%s\ngave %s\nnot  %s", rows[i].text, got, rows[i].errors);
        wm_arena_release(&b.arena);
    }
}

/* A text, and the message of its first error. */
static void test_messages(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } rows[] = {
        {"\"a\" [i, o] -> \"b\"", "expected an axis, (group), {labels} or 1, found `,`"},
        {"\"a\" [i o -> \"b\"", "expected an axis, (group), {labels}, 1 or `]`, found `->`"},
        {"\"a\" [(i, o)] -> \"b\"", "expected an axis, (group), {labels}, `|` or `)`, found `,`"},
        {"\"a\" [{i, o}] -> \"b\"", "expected a label or `}`, found `,`"},
        {"\"a\" \"b\"", "expected `->`, found the string `\"b\"`"},
        {"\"a\"", "expected `->`, found the end of the file"},
        {"\"a\"\n\"b\"", "expected `->`, found the end of the line"},
        {"\"a\" -> \"b\" where h", "expected `=`, found the end of the file"},
        {"drp \"a\"", "expected a statement, found `drp`"},
        {"map m { }", "expected a statement, found `map`"},
        {"keep rst", "expected `rest`, found `rst`"},
        {"if a = b { }", "expected `{`, found `=`"},
        {"fill -> \"a\"", "expected a constant, found `->`"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        bench b;
        parse(&b, rows[i].text, strlen(rows[i].text), true);
        assert_true(b.unit.errors > 0);
        assert_string_equal(b.unit.diags->message, rows[i].message);
        wm_arena_release(&b.arena);
    }
}

/* `count` times a text between two others. */
static char *repeat(const char *before, const char *text, size_t count, const char *after)
{
    char *result = malloc(strlen(before) + strlen(text) * count + strlen(after) + 1);
    char *to = stpcpy(result, before);
    for (size_t i = 0; i < count; i++)
        to = stpcpy(to, text);
    stpcpy(to, after);
    return result;
}

static void check_limit(const char *before, const char *text, size_t count, const char *after, wm_diag_id id)
{
    char *all = repeat(before, text, count, after);
    bench b;
    parse(&b, all, strlen(all), false);
    wm_diag_id got = b.unit.diags ? b.unit.diags->id : WM_DIAG_NONE;
    if (got != id || b.unit.errors > 1)
        fail_msg("%zu times %s: %s, %zu errors", count, text, wm_diag_name(got), b.unit.errors);
    wm_arena_release(&b.arena);
    free(all);
}

static void test_limits(void **state)
{
    (void)state;
    char *close = repeat("", ")", 64, "");
    check_limit("wmap 1\nparam a = ", "(", 64, "1", WM_E0110); /* deep enough: only its end is missing */
    check_limit("wmap 1\nparam a = ", "(", 65, "1", WM_E0902);
    char *closed = repeat("1", close, 1, "");
    check_limit("wmap 1\nparam a = ", "(", 64, closed, WM_DIAG_NONE);
    check_limit("wmap 1\nmap m { if a { } ", "else if b { } ", 62, "}", WM_DIAG_NONE);
    check_limit("wmap 1\nmap m { if a { } ", "else if b { } ", 64, "}", WM_E0902);
    check_limit("wmap 1\nparam a = 1", "+ 1", 1000, "", WM_DIAG_NONE);
    check_limit("wmap 1\nparam a = 1", "+ 1", 1001, "", WM_E0902);
    check_limit("wmap 1\nparam a = 1", "+ 1", 200000, "", WM_E0902);
    check_limit("wmap 1\nparam a = ", "-", 100000, "1", WM_E0902);
    check_limit("wmap 1\nparam a = ", "not ", 100000, "b", WM_E0902);
    check_limit("wmap 1\nparam a = ", "if b then ", 100000, "b", WM_E0902);
    check_limit("wmap 1\nmap m { \"a\"", "+ \"a\"", 5000, "-> \"b\" }", WM_E0902);
    check_limit("wmap 1\nmap m { drop \"a\"", ", \"a\"", 100000, "}", WM_DIAG_NONE);
    check_limit("wmap 1\nparam a = \"", "x", 65536, "\"", WM_DIAG_NONE);
    check_limit("wmap 1\nparam a = \"", "x", 65537, "\"", WM_E0904);
    check_limit("wmap 1\nparam a = \"", "\\n", 32769, "\"", WM_E0904);
    check_limit("wmap 1\n#", "x", (size_t)64 << 20, "", WM_E0904);
    free(close);
    free(closed);
}

static void test_bytes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t size, at; /* of the bad byte; at == size: there is none */
    } rows[] = {
        {"wmap 1\0", 7, 6},
        {"\0", 1, 0},
        {"wmap 1 # \xff\n", 11, 9},
        {"wmap 1 #\xC3\xA9\n", 11, 11},
        {"wmap 1 #\xC0\x80\n", 11, 8},
        {"wmap 1 #12345678\xED\xA0\x80", 19, 16},
        {"wmap 1 #12345678\xE2\x86", 18, 16},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        bench b;
        parse(&b, rows[i].text, rows[i].size, false);
        if (rows[i].at == rows[i].size) {
            assert_int_equal(b.unit.errors, 0);
        } else {
            assert_int_equal(b.unit.errors, 1);
            assert_int_equal(b.unit.diags->id, WM_E0102);
            assert_int_equal(b.unit.diags->span.beg, rows[i].at);
        }
        wm_arena_release(&b.arena);
    }
}

static void test_expression_alone(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_one;
    } rows[] = {{"3", true},       {"[1, (2, 3)]", true}, {"-1.5", true},   {"\"a{n}\"", true},
                {"a.b + 1", true}, {"", false},           {"3 4", false},   {"(", false},
                {"\"x", false},    {"3 = 4", false},      {"map m", false}, {"9223372036854775808", false}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        bench b;
        parse(&b, "", 0, true);
        uint32_t file = wm_add_source(&b.unit, "-D", rows[i].text, strlen(rows[i].text));
        assert_int_equal(wm_parse_expr(&b.unit, file) != NULL, rows[i].is_one);
        assert_int_equal(b.unit.errors, 0);
        wm_arena_release(&b.arena);
    }
}

/* Spans are what messages and plans point with. */
static void test_spans(void **state)
{
    (void)state;
    bench b;
    const char *text = "  \"a\" [(h w) o] | + 1 -> t: \"b{n}c\"  where h = 2 * n  # end\n";
    parse(&b, text, strlen(text), true);
    const wm_rule *rule = b.ast->rules->rule;
#define AT(span)                                                                                             \
    assert_memory_equal(text + (span).beg, expected, strlen(expected));                                      \
    assert_int_equal((span).end - (span).beg, strlen(expected))
    const char *expected = "\"a\" [(h w) o] | + 1 -> t: \"b{n}c\"  where h = 2 * n";
    AT(rule->span);
    AT(b.ast->rules->span);
    expected = "->";
    AT(rule->arrow);
    expected = "\"a\" [(h w) o] | + 1";
    AT(rule->left->span);
    expected = "\"a\" [(h w) o]";
    AT(rule->left->value->place->span);
    expected = "[(h w) o]";
    AT(rule->left->value->place->layout->span);
    expected = "(h w)";
    AT(rule->left->value->place->layout->factors->span);
    expected = "w";
    AT(rule->left->value->place->layout->factors->factors->next->span);
    expected = "+ 1";
    AT(rule->left->value->ops->span);
    expected = "t";
    AT(rule->right->tag->span);
    expected = "\"b{n}c\"";
    AT(rule->right->place->name->span);
    expected = "{n}";
    AT(rule->right->place->name->parts->next->span);
    expected = "h = 2 * n";
    AT(rule->where->span);
    expected = "*";
    AT(rule->where->expr->op_span);
    wm_arena_release(&b.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),       cmocka_unit_test(test_statements),
        cmocka_unit_test(test_newlines),    cmocka_unit_test(test_strings),
        cmocka_unit_test(test_expressions), cmocka_unit_test(test_items),
        cmocka_unit_test(test_errors),      cmocka_unit_test(test_messages),
        cmocka_unit_test(test_limits),      cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_spans),       cmocka_unit_test(test_expression_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
