/* Resolve: specs to lines. Rows of text, the lines as `explain --stage statements` shows them, and the
 * findings with the text that each points at. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "compiler/resolve.h"

typedef struct bench {
    wm_arena arena, scratch;
    wm_unit unit;
    wmap_compile_options options;
    wm_program *program;
    char *shown; /* malloc */
    size_t size;
} bench;

/* Names separated by blanks; NULL: none are known. */
static wm_names *index_of(bench *b, const char *names)
{
    if (!names)
        return NULL;
    wm_str *list = NULL;
    size_t count = 0, cap = 0;
    for (const char *p = names; *p;) {
        size_t len = strcspn(p, " ");
        *wm_push(&b->arena, list, count, cap) = (wm_str){p, (uint32_t)len};
        p += len + (p[len] == ' ');
    }
    return wm_names_index(&b->unit, list, count);
}

static void show_diags(bench *b, FILE *out)
{
    for (const wm_diag *d = b->unit.diags; d; d = d->next) {
        fprintf(out, "%s", wm_diag_name(d->id));
        if (d->span.file != WM_NO_FILE) {
            const wm_source *s = b->unit.sources[d->span.file];
            fprintf(out, " %.*s", (int)(d->span.end - d->span.beg), s->text + d->span.beg);
        }
        if (d->round)
            fprintf(out, " for %s", d->round);
        fputc('\n', out);
    }
}

/* Resolves a text; the lines and findings are in b->shown. The arena is the caller's to release. */
static void resolve(bench *b, const char *text, bool rules, const char *names)
{
    wm_arena_init(&b->arena);
    wm_arena_init(&b->scratch);
    b->unit = (wm_unit){.arena = &b->arena, .scratch = &b->scratch};
    if (setjmp(*wm_arena_oom(&b->arena)))
        abort();
    uint32_t file = wm_add_source(&b->unit, b->options.path ? b->options.path : "t.wmap", text, strlen(text));
    struct stat st;
    if (b->options.path && stat(b->options.path, &st) == 0) {
        b->unit.sources[file]->dev = (uint64_t)st.st_dev;
        b->unit.sources[file]->ino = (uint64_t)st.st_ino;
    }
    b->unit.sources[file]->rules_only = rules;
    wm_ast *ast = wm_parse(&b->unit, file);
    b->program = wm_resolve(&b->unit, file, ast, &b->options, index_of(b, names), NULL);
    FILE *out = open_memstream(&b->shown, &b->size);
    wm_program_print(&b->unit, b->program, out);
    show_diags(b, out);
    fclose(out);
}

static void end(bench *b)
{
    free(b->shown);
    b->shown = NULL;
    wm_arena_release(&b->arena);
    wm_arena_release(&b->scratch);
}

static bool same(bench *b, const char *text, const char *shown)
{
    bool ok = strcmp(b->shown, shown) == 0;
    if (!ok)
        print_error("\n--- spec\n%s\n--- gives\n%s--- not\n%s", text, b->shown, shown);
    end(b);
    return ok;
}

static void expect(bench *b, const char *text, const char *shown)
{
    assert_true(same(b, text, shown));
}

typedef struct row {
    const char *text, *names, *shown;
} row;

static void run_rows(const row *rows, size_t count, bool rules)
{
    size_t wrong = 0;
    for (size_t i = 0; i < count; i++) {
        bench b = {0};
        resolve(&b, rows[i].text, rules, rows[i].names);
        wrong += !same(&b, rows[i].text, rows[i].shown);
    }
    assert_int_equal(wrong, 0);
}

#define RUN(rows, rules) run_rows((rows), sizeof(rows) / sizeof *(rows), (rules))

/* ---- statements of one map ---- */

static const row plain[] = {
    {"\"a\" -> \"b\"", NULL, "\"a\" -> \"b\"\n"},
    {"optional \"a\" [x y] -> \"b\" [y x] where x=3, y=x*2", NULL,
     "optional \"a\" [x y] -> \"b\" [y x] where x=3, y=x*2\n"},
    {"\"a\" | cast f16 saturate -> \"b\", \"c\" optional", NULL,
     "\"a\" | cast f16 saturate -> \"b\", \"c\" optional\n"},
    {"i: \"a\" [n (p: x | {q r} -y | _: 4)] -> \"b\" [(v | _) 1 ...] else -1.5 : f32 [3 4]", NULL,
     "i: \"a\" [n (p: x | {q r} -y | _: 4)] -> \"b\" [(v | _) 1 ...] else -1.5 : f32 [3 4]   # has errors\n"
     "E0215 [(v | _) 1 ...]\n"},
    {"drop \"a{*}\", \"{p:**}/b\"; keep rest; keep rest", NULL,
     "drop \"a{*}\"\ndrop \"{p:**}/b\"\nkeep rest\n"},
    {"cast f32 -> bf16 allow", NULL, "cast f32 -> bf16 allow\n"},
    {"fill 0 -> \"a\" : i64 []", NULL, "fill 0 -> \"a\" : i64 []\n"},
    {"fill -1 -> \"a.{n}\" like \"b.{n}\"", NULL, "fill -1 -> \"a.{n}\" like \"b.{n}\"\n"},
    {"fill 1 -> \"a\" [(g x) (g y)] else 0 where g=2", NULL,
     "fill 1 -> \"a\" [(g x) (g y)] else 0 where g=2\n"},
    {"'raw{x}' -> \"b\\{\\u{41}\"", NULL, "\"raw{x}\" -> \"b{A\"\n"},
};

static const row loops[] = {
    {"for x in 1..3 { \"a{x}\" -> \"b{x+1:02}\" }", NULL,
     "\"a1\" -> \"b02\"   # x=1\n\"a2\" -> \"b03\"   # x=2\n\"a3\" -> \"b04\"   # x=3\n"},
    {"for x in 3..1 { \"a{x}\" -> \"b\" }", NULL, ""},
    {"for (a, b) in [(1, \"p\"), (2, \"q\")] { for c in [a] { \"{a}{b}{c}\" -> \"{b}\" } }", NULL,
     "\"1p1\" -> \"p\"   # a=1, b=p, c=1\n\"2q2\" -> \"q\"   # a=2, b=q, c=2\n"},
    {"for (a, b) in [(1, 2), 3] { }", NULL, "E0313 a\n"},
    {"for (a, b) in 1..2 { }", NULL, "E0313 b\n"},
    {"for a in 3 { }", NULL, "E0308 3\n"},
    {"for a in 1.5..3 { }", NULL, "E0309 1.5\n"},
    {"for a in 1..2 { for a in 1..2 { } }", NULL, "E0132 a for a=1\nE0132 a for a=2\n"},
    {"for (a, a) in [(1, 2)] { }", NULL, "E0132 a\n"},
    {"for a in 1..1000001 { }", NULL, "E0901 for a in 1..1000001 { }\n"},
    {"for a in 1..1001 { for b in 1..1000 { } }", NULL, "E0901 for b in 1..1000 { } for a=999\n"},
    {"for a in 0..9223372036854775807 { }", NULL, "E0901 for a in 0..9223372036854775807 { }\n"},
    {"for a in (-9223372036854775807 - 1)..9223372036854775807 { }", NULL,
     "E0901 for a in (-9223372036854775807 - 1)..9223372036854775807 { }\n"},
    {"for x in 1..2 { \"a{x}\" -> \"b{nobody}\" }", NULL,
     "\"a1\" -> \"b{nobody}\"   # x=1   # has errors\n\"a2\" -> \"b{nobody}\"   # x=2   # has errors\n"
     "E0403 nobody for x=1\nE0403 nobody for x=2\n"},
};

static const row conditions[] = {
    {"if 1 < 2 { drop \"a\" } else { drop \"b\" }", NULL, "drop \"a\"\n"},
    {"if false { drop \"a\" } else if true { drop \"b\" } else { drop \"c\" }", NULL, "drop \"b\"\n"},
    {"if 1 { drop \"a\" }", NULL, "E0314 1\n"},
    {"if has \"x/{*}\" { drop \"a\" } else { drop \"b\" }", "x/y z", "drop \"a\"\n"},
    {"if has \"x/{*}\" { drop \"a\" } else { drop \"b\" }", "x/y/z x", "drop \"b\"\n"},
    {"if has \"x\" { drop \"a\" } else { error \"no\"; drop \"b\" }", NULL, "drop \"a\"\ndrop \"b\"\n"},
    {"for x in 1..2 { if not has \"k{x}\" { error \"no k{x}\" } }", "k1",
     "E0134 error \"no k{x}\" for x=2\n"},
    {"if has \"{p:*}{q:*}\" { }", "a", "E0406 {q:*}\n"},
    {"for \"{p:**}/w\" { \"{p}/w\" -> \"{p}.weight\" }", "b/w a/w b/v c/d/w",
     "\"b/w\" -> \"b.weight\"   # p=b\n\"a/w\" -> \"a.weight\"   # p=a\n\"c/d/w\" -> \"c/d.weight\"   # "
     "p=c/d\n"},
    {"for \"k{n}/{*}\" { drop \"k{n}\" }", "k2/a k2/b k10/a", "drop \"k2\"   # n=2\ndrop \"k10\"   # n=10\n"},
    {"for \"{p:**}/w\" { \"{p}/w\" -> \"{p}.v\"; if not has \"{p}/x\" { error \"x\" } }", NULL,
     "\"{p}/w\" -> \"{p}.v\"\n"},
};

static const row scopes[] = {
    {"forward { drop \"a\" }; reverse { drop \"b\"; \"x\" + \"y\" -> \"z\"; if has \"q\" { error \"e\" } }",
     "q", "drop \"a\"\n"},
    {"forward { reverse { } }", NULL, "E0701 reverse { }\n"},
    {"reverse { \"x\" | frobnicate -> \"y\" }", NULL, "E0320 frobnicate\n"},
    {"axis u, u", NULL, "E0205 u\n"},
    {"axis u = 1.5", NULL, "E0143 1.5\n"},
    {"for u in 1..1 { axis u; \"a\" -> \"b\" }", NULL,
     "\"a\" -> \"b\"   # u=1   # has errors\nE0209 u for u=1\n"},
};

static const row names[] = {
    {"\"a{n}\" -> \"b\"", NULL, "\"a{n}\" -> \"b\"   # has errors\nE0404 \"b\"\n"},
    {"\"a{n}\" [x] -> \"b\" [n x]", NULL, "\"a{n}\" [x] -> \"b\" [n x]\n"},
    {"\"a\" [n x] -> \"b{n}\" [x]", NULL, "\"a\" [n x] -> \"b{n}\" [x]\n"},
    {"\"a{n}\" [n x] -> \"b\" [n x]", NULL, "\"a{n}\" [n x] -> \"b\" [n x]   # has errors\nE0412 \"a{n}\"\n"},
    {"\"a{name}\" -> \"b{nam}\"", NULL, "\"a{name}\" -> \"b{nam}\"   # has errors\nE0403 nam\n"},
    {"\"a{p:*}{q:**}\" -> \"{p}{q}\"", NULL, "\"\" -> \"{p}{q}\"   # has errors\nE0406 {q:**}\n"},
    {"\"{p}a\", \"{p:**}/b\" -> \"{p}\"", NULL, "\"{p}a\", \"{p:**}/b\" -> \"{p}\"\n"},
    {"\"{p:*}/{p:**}\" -> \"{p}\"", NULL, "\"{p:*}/{p:**}\" -> \"{p}\"   # has errors\nE0411 {p:**}\n"},
    {"\"{p:*}/{p+1}\" -> \"{p}\"", NULL, "\"\" -> \"{p}\"   # has errors\nE0411 p\n"},
    {"\"{p:*}\" -> \"{p:02}\"", NULL, "\"{p:*}\" -> \"\"   # has errors\nE0411 {p:02}\n"},
    {"\"{p:*}\" [x] -> \"b\" [p x]", NULL, "\"{p:*}\" [x] -> \"b\" [p x]   # has errors\nE0411 p\n"},
    {"\"{p+1:*}\" -> \"b\"", NULL, "\"\" -> \"b\"   # has errors\nE0410 {p+1:*}\n"},
    {"\"a{*}\" -> \"b\"", NULL, "\"a{*}\" -> \"b\"   # has errors\nE0312 {*}\n"},
    {"\"a\" -> \"b{**}\"", NULL, "\"a\" -> \"b{**}\"   # has errors\nE0312 {**}\n"},
    {"\"a{n//2}\" -> \"b{n}\"", NULL, "\"\" -> \"b{n}\"   # has errors\nE0407 {n//2}\n"},
    {"\"a{3*b+c}\" -> \"b{b}{c}\"", NULL, "\"\" -> \"b{b}{c}\"   # has errors\nE0407 {3*b+c}\n"},
    {"for r in 0..1 { \"a{3*b+r}\" -> \"b{b}.{r}\" }", NULL,
     "\"a{3*b+r}\" -> \"b{b}.0\"   # r=0\n\"a{3*b+r}\" -> \"b{b}.1\"   # r=1\n"},
    {"\"a{[4, 5, 4][n]}\" -> \"b{n}\"", NULL, "\"\" -> \"b{n}\"   # has errors\nE0408 {[4, 5, 4][n]}\n"},
    {"\"a{n}\" -> \"b{[4, 5, 4][n]}\"", NULL, "\"a{n}\" -> \"b{[4, 5, 4][n]}\"\n"},
    {"for x in [true] { \"a{x}\" -> \"b\" }", NULL,
     "\"\" -> \"b\"   # x=true   # has errors\nE0310 {x} for x=true\n"},
    {"for x in [0-1] { \"a{x}\" -> \"b\" }", NULL,
     "\"\" -> \"b\"   # x=-1   # has errors\nE0311 {x} for x=-1\n"},
    {"for x in [26] { \"a{x:a}\" -> \"b\" }", NULL,
     "\"\" -> \"b\"   # x=26   # has errors\nE0311 {x:a} for x=26\n"},
    {"for x in 0..1 { \"a{x:_}{x:A}{x:a}\" -> \"b{x}\" }", NULL,
     "\"aAa\" -> \"b0\"   # x=0\n\"a_1Bb\" -> \"b1\"   # x=1\n"},
    {"for x in 0..0 { \"a{x:**}\" -> \"b\" }", NULL,
     "\"a0\" -> \"b\"   # x=0   # has errors\nE0209 {x:**} for x=0\n"},
    {"fill 0 -> \"a{n}\"", NULL, "fill 0 -> \"a{n}\"   # has errors\nE0403 n\n"},
    {"fill (\"x\") -> \"a\"", NULL, "fill x -> \"a\"   # has errors\nE0304 (\"x\")\n"},
    {"\"a\" [x] -> \"b\" [x] where x=nobody", NULL,
     "\"a\" [x] -> \"b\" [x] where x=nobody   # has errors\nE0301 nobody\n"},
    {"\"a\" [x y] -> \"b\" [x y] where (x y) = (y x)", NULL,
     "\"a\" [x y] -> \"b\" [x y] where (x y) = (y x)   # has errors\nE0216 y\nE0216 x\n"},
};

static const row layouts[] = {
    {"\"a\" [... x ...] -> \"b\" [... x]", NULL,
     "\"a\" [... x ...] -> \"b\" [... x]   # has errors\nE0201 ...\n"},
    {"\"a\" [({p q} {p r} x)] -> \"b\" [x]", NULL,
     "\"a\" [({p q} {p r} x)] -> \"b\" [x]   # has errors\nE0202 p\n"},
    {"\"a\" [(p: {p q} x)] -> \"b\" [x]", NULL,
     "\"a\" [(p: {p q} x)] -> \"b\" [x]   # has errors\nE0202 p\n"},
    {"p: \"a\" [({p q} x)] -> \"b\" [x]", NULL,
     "p: \"a\" [({p q} x)] -> \"b\" [x]   # has errors\nE0202 p\n"},
    {"\"a\" [(p: x | p: y)] -> \"b\" [(p: x | p: y)]", NULL,
     "\"a\" [(p: x | p: y)] -> \"b\" [(p: x | p: y)]\n"},
    {"\"a\" [{p q} {p r}] -> \"b\" []", NULL, "\"a\" [{p q} {p r}] -> \"b\" []   # has errors\nE0203 p\n"},
    {"\"a\" [(x y x)] -> \"b\" [x y]", NULL, "\"a\" [(x y x)] -> \"b\" [x y]   # has errors\nE0204 x\n"},
    {"\"a\" [(x (p: y | q: x))] -> \"b\" [x]", NULL,
     "\"a\" [(x (p: y | q: x))] -> \"b\" [x]   # has errors\nE0204 x\n"},
    {"\"a\" [(p: x | q: x)] -> \"b\" [(q: x | p: x)]", NULL,
     "\"a\" [(p: x | q: x)] -> \"b\" [(q: x | p: x)]\n"},
    {"\"a\" [x x] -> \"b\" [x x] else 0", NULL, "\"a\" [x x] -> \"b\" [x x] else 0\n"},
    {"\"a\" [3 x] -> \"b\" [x]", NULL, "\"a\" [3 x] -> \"b\" [x]   # has errors\nE0208 3\n"},
    {"\"a\" [(_: 4 | x)] -> \"b\" [x 1]", NULL, "\"a\" [(_: 4 | x)] -> \"b\" [x 1]\n"},
    {"\"a\" [(p: 4 | x)] -> \"b\" [x 1]", NULL,
     "\"a\" [(p: 4 | x)] -> \"b\" [x 1]   # has errors\nE0208 4\n"},
    {"\"a\" -> \"b\" [x]", NULL, "\"a\" -> \"b\" [x]   # has errors\nE0215 \"a\"\n"},
    {"for x in 1..1 { \"a\" [x] -> \"b\" [x] }", NULL,
     "\"a\" [x] -> \"b\" [x]   # x=1   # has errors\nE0209 x\nE0209 x\n"},
};

static const row verbs[] = {
    {"rename \"a\" -> \"b\"", NULL, "\"a\" [...] -> \"b\" [...]\n"},
    {"permute (3 2 0 1) \"a\" -> \"b\"", NULL, "\"a\" [$0 $1 $2 $3] -> \"b\" [$3 $2 $0 $1]\n"},
    {"flip (1) \"a\" -> \"b\"", NULL, "\"a\" [$0 $1 ...] -> \"b\" [$0 -$1 ...]\n"},
    {"permute (1 0) flip (0) \"a\" -> \"b\"", NULL, "\"a\" [$0 $1] -> \"b\" [-$1 $0]\n"},
    {"flip (0) permute (1 2 0) \"a\" -> \"b\"", NULL, "\"a\" [$0 $1 $2] -> \"b\" [$1 $2 -$0]\n"},
    {"permute (1 0) permute (1 0) \"a\" -> \"b\"", NULL, "\"a\" [$0 $1] -> \"b\" [$0 $1]\n"},
    {"split 1 \"k\" -> \"a\", \"b\"", NULL,
     "\"k\" [$0 ({t0 t1} $1) ...] -> t0: \"a\" [$0 $1 ...], t1: \"b\" [$0 $1 ...]\n"},
    {"permute (1 0) split 0 flip (1) \"k\" -> \"a\", \"b\"", NULL,
     "\"k\" [$0 ({t0 t1} $1)] -> t0: \"a\" [$1 -$0], t1: \"b\" [$1 -$0]\n"},
    {"flip (0) split 0 \"k\" -> \"a\", \"b\"", NULL,
     "\"k\" [({t1 t0} $0) ...] -> t0: \"a\" [-$0 ...], t1: \"b\" [-$0 ...]\n"},
    {"merge 0 \"q\", \"k\" -> \"qk\"", NULL,
     "t0: \"q\" [$x0 ...], t1: \"k\" [$x1 ...] -> \"qk\" [(t0: $x0 | t1: $x1) ...]\n"},
    {"merge 1 flip (1) \"q\", \"k\" -> \"qk\"", NULL,
     "t0: \"q\" [$0 $x0 ...], t1: \"k\" [$0 $x1 ...] -> \"qk\" [$0 (t1: -$x1 | t0: -$x0) ...]\n"},
    {"flip (0) merge 0 permute (1 0) \"q\", \"k\" -> \"qk\"", NULL,
     "t0: \"q\" [$x0 $1], t1: \"k\" [$x1 $1] -> \"qk\" [$1 (t0: -$x0 | t1: -$x1)]\n"},
    {"permute (0 1) \"a\" [x y] -> \"b\"", NULL, "\"a\" [x y] -> \"b\"   # has errors\nE0210 [x y]\n"},
    {"permute (0 2) \"a\" -> \"b\"", NULL, "\"a\" -> \"b\"   # has errors\nE0211 2\n"},
    {"permute (0 0) \"a\" -> \"b\"", NULL, "\"a\" -> \"b\"   # has errors\nE0211 0\n"},
    {"permute (1 0) permute (0 1 2) \"a\" -> \"b\"", NULL,
     "\"a\" -> \"b\"   # has errors\nE0211 permute (0 1 2)\n"},
    {"permute (1 0) flip (2) \"a\" -> \"b\"", NULL, "\"a\" -> \"b\"   # has errors\nE0212 2\n"},
    {"flip (1 1) \"a\" -> \"b\"", NULL, "\"a\" -> \"b\"   # has errors\nE0212 1\n"},
    {"flip (64) \"a\" -> \"b\"", NULL, "\"a\" -> \"b\"   # has errors\nE0212 64\n"},
    {"split 0 \"a\" -> \"b\"", NULL, "\"a\" -> \"b\"   # has errors\nE0213 split 0\n"},
    {"merge 0 \"a\" -> \"b\"", NULL, "\"a\" -> \"b\"   # has errors\nE0213 merge 0\n"},
    {"rename \"a\", \"c\" -> \"b\"", NULL, "\"a\", \"c\" -> \"b\"   # has errors\nE0213 rename\n"},
    {"split 0 split 1 \"a\" -> \"b\", \"c\"", NULL, "\"a\" -> \"b\", \"c\"   # has errors\nE0213 split 1\n"},
};

static const row later[] = {
    {"\"a\" | + 1 -> \"b\"", NULL, "\"a\" | + 1 -> \"b\"\n"},
    {"\"a\" | f: + 1 | neg -> \"b\"", NULL, "\"a\" | f: + 1 | neg -> \"b\"\n"},
    {"\"a\" | dequant \"s\" [1] -> \"b\"", NULL, "\"a\" | dequant \"s\" [1] -> \"b\"\n"},
    {"\"a\" | rsqr -> \"b\"", NULL, "\"a\" -> \"b\"   # has errors\nE0320 rsqr\n"},
    {"\"a\" | cast f32 | cast f16 -> \"b\"", NULL, "\"a\" | cast f32 | cast f16 -> \"b\"\n"},
    {"\"a\" | cast f33 -> \"b\"", NULL, "\"a\" -> \"b\"   # has errors\nE0141 f33\n"},
    {"\"a\" | cast f16 hard -> \"b\"", NULL, "\"a\" -> \"b\"   # has errors\nE0301 hard\n"},
    {"\"a\" + \"b\" * \"c\" -> \"d\"", NULL, "\"a\" | load \"b\" | load \"c\" | * | + -> \"d\"\n"},
    {"equal \"a\", \"b\" -> \"c\"", NULL, "equal \"a\", \"b\" -> \"c\"\n"},
    {"\"a\" [=s x] -> \"b\" [x]", NULL, "\"a\" [=s x] -> \"b\" [x]\n"},
    {"\"a{=s}\" -> \"b\"", NULL, "\"a{=s}\" -> \"b\"\n"},
    {"\"a\" [x] else 0 -> \"b\" [x]", NULL, "\"a\" [x] else 0 -> \"b\" [x]\n"},
    {"\"a\" optional -> \"b\"", NULL, "\"a\" optional -> \"b\"   # has errors\nE0518 optional\n"},
    {"drop \"a\" if all 0", NULL, "drop \"a\" if all 0\n"},
    {"derive", NULL, "E1015 derive\n"},
    {"cast f32 -> f99", NULL, "cast f32 -> ?   # has errors\nE0141 f99\n"},
    {"\"a\" -> \"b\" : f32 [(1.5)]", NULL, "\"a\" -> \"b\" : f32 []   # has errors\nE0143 (1.5)\n"},
};

static void test_statements(void **state)
{
    (void)state;
    RUN(plain, true);
    RUN(loops, true);
    RUN(conditions, true);
    RUN(scopes, true);
}

static void test_names(void **state)
{
    (void)state;
    RUN(names, true);
}

static void test_layouts(void **state)
{
    (void)state;
    RUN(layouts, true);
}

static void test_verbs(void **state)
{
    (void)state;
    RUN(verbs, true);
}

static void test_later(void **state)
{
    (void)state;
    RUN(later, true);
}

/* ---- files ---- */

static const row files[] = {
    {"wmap 1\nmap m { drop \"a\" }", NULL, "map m\ndrop \"a\"\n"},
    {"wmap 1\nmap m (x) { drop \"{x}\" }\nmap n { use m (x=\"q\") }", NULL, "map n\ndrop \"q\"   # x=q\n"},
    {"wmap 1\nmap a { }\nmap main { drop \"m\" }\nmap b { }", NULL, "map main\ndrop \"m\"\n"},
    {"wmap 1\nmap a { }\nmap b { }", NULL, "E0127\n"},
    {"wmap 1\nparam x = 1", NULL, "E0127\n"},
    {"wmap 1\nmap a { }\nparam a = 1", NULL, "map a\nE0123 a\n"},
    {"wmap 1\nparam a = b + 1\nparam b = len(t)\ntable t = [1, 2]\nmap m { drop \"{a}\" }", NULL,
     "map m\ndrop \"3\"\n"},
    {"wmap 1\nparam a = b\nparam b = c\nparam c = b\nmap m { drop \"{a}\"; drop \"{c}\" }", NULL,
     "map m\ndrop    # has errors\ndrop    # has errors\nE0125 b\n"},
    {"wmap 1\nparam a = a\nmap m { }", NULL, "map m\nE0125 a\n"},
    {"wmap 1\ntable t = 3\nmap m { for x in t { } }", NULL, "map m\nE0308 3\n"},
    {"wmap 1\nparam a = has \"x\"\nmap m { if a { drop \"y\" } }", "x", "map m\ndrop \"y\"\n"},
    {"wmap 1\nparam a = has \"x\"\nmodel s { \"x\" : f32 [] }\nmap m from s { if a { drop \"y\" } }", NULL,
     "map m\ndrop \"y\"\n"},
    {"wmap 1\nmap m (x, y=x+1, z=3) { drop \"{x}{y}{z}\" }\nmap n { use m (x=1); use m (x=1, z=4) }", NULL,
     "map n\ndrop \"123\"   # x=1, y=2, z=3\ndrop \"124\"   # x=1, y=2, z=4\n"},
    {"wmap 1\nmap m (x) { }\nmap n { use m; use m (x=1, x=2); use m (x=1, why=2); use q }", NULL,
     "map n\nE0131 m\nE0130 x\nE0129 why\nE0126 q\n"},
    {"wmap 1\nmap a (p=1) { use b }\nmap b (p) { use a }\nmap main { use a }", NULL,
     "map main\nE0131 b for p=1\n"},
    {"wmap 1\nmap a (p) { use b (p=p) }\nmap b (p) { use a (p=p) }\nmap main { use a (p=1) }", NULL,
     "map main\nE0133 a for p=1\n"},
    {"wmap 1\nmap a (p) { drop \"{p}\" }\nparam p = 5\nmap main { for i in 1..2 { use a (p=i*p) } }", NULL,
     "map main\ndrop \"5\"   # i=1\ndrop \"10\"   # i=2\n"},
    {"wmap 1\nmap main { for i in 1..1 { use a } }\nmap a (k=1) { drop \"{i}\" }", NULL,
     "map main\ndrop \"{i}\"   # i=1\n"},
    {"wmap 1\nmap a (p) { drop \"x\" }\nmap main = a (p=1) then a (p=2)", NULL, "map a\ndrop \"x\"\n"},
    {"wmap 1\nmap main to t { \"{p:**}/w\" -> \"{p}\" }\nmodel t (n=2) { for i in 1..n { \"x{i}\" : f32 [i "
     "(n*2)] } }",
     NULL, "map main\n\"{p:**}/w\" -> \"{p}\"\n"},
    {"wmap 1\nmap main to t { }\nmodel t { \"a\" : f32 []; \"a\" : f32 []; \"b\" : f32 [(1.5)]; \"c\" : q8 "
     "[(0-1)] }",
     NULL, "map main\nE0140 \"a\"\nE0143 (1.5)\nE0141 q8\nE0143 (0-1)\n"},
    {"wmap 1\nmap main to t { }\nmodel t { for \"{x}\" { }; if has \"x\" { }; \"a{q}\" : f32 [] }", NULL,
     "map main\nE0142 \"{x}\"\nE0142 has \"x\"\nE0301 q\n"},
    {"wmap 1\nmap main from s { }\nmodel r { }", NULL, "map main\nE0126 s\n"},
    {"wmap 1\nmodel s { \"k1/w\" : f32 []; \"k2/w\" : f32 [] }\nmap main from s { for \"k{n}/w\" { drop "
     "\"k{n}/w\" } }",
     NULL, "map main\ndrop \"k1/w\"   # n=1\ndrop \"k2/w\"   # n=2\n"},
    {"wmap 1\ntest \"t\" of main { given \"a\" = [1 2]; expect \"b\" = [1 2] }\nmap main { \"a\" -> \"b\" }",
     NULL, "map main\n\"a\" -> \"b\"\n"},
};

static void test_files(void **state)
{
    (void)state;
    RUN(files, false);
}

static void test_model(void **state)
{
    (void)state;
    bench b = {0};
    resolve(&b,
            "wmap 1\nmap main to t (n=3) { }\n"
            "model t (n=2) { for i in 1..n { \"x{i}\" : f32 [i (n*2)] }; if n > 2 { \"s\" : i64 [] } }",
            false, NULL);
    const wm_model *m = b.program->target;
    assert_int_equal(b.unit.errors, 0);
    assert_int_equal(m->count, 4);
    assert_true(wm_str_eq(m->tensors[2].name, WM_STR("x3")));
    assert_int_equal(m->tensors[2].rank, 2);
    assert_int_equal(m->tensors[2].shape[0], 3);
    assert_int_equal(m->tensors[2].shape[1], 6);
    assert_int_equal(m->tensors[3].rank, 0);
    assert_int_equal(m->tensors[3].dtype, WMAP_I64);
    end(&b);
}

/* An axis is one in all rules of its block, wherever it stands, and another one in each round. */
static void test_axes(void **state)
{
    (void)state;
    bench b = {0};
    resolve(&b,
            "axis w\nfor i in 1..2 { \"a{i}\" [u w] -> \"b{i}\" [u w]\n axis u = 4*i\n \"c{i}\" [u] -> "
            "\"d{i}\" [u] }\n"
            "\"e\" [w] -> \"f\" [w]",
            true, NULL);
    const wm_line *l = b.program->lines;
    assert_int_equal(b.unit.errors, 0);
    assert_int_equal(b.program->count, 5);
    assert_ptr_equal(l[0].axes, l[1].axes);
    assert_ptr_equal(l[2].axes, l[3].axes);
    assert_int_not_equal(l[0].axes->id, l[2].axes->id);
    assert_int_equal(l[0].axes->count, 1);
    assert_non_null(l[0].axes->items[0].expr);
    assert_ptr_equal(l[0].axes->up, l[4].axes);
    assert_ptr_equal(l[2].axes->up, l[4].axes);
    wm_val value;
    assert_int_equal(wm_eval(&b.unit, l[2].axes->scope, NULL, l[2].axes->items[0].expr, &value), WM_EVAL_OK);
    assert_int_equal(value.i, 8);
    end(&b);
}

static void test_variables(void **state)
{
    (void)state;
    bench b = {0};
    resolve(&b, "\"{p:*}.{n}\" [x] -> \"b{n:02}{p}\" [x]", true, NULL);
    const wm_line *l = b.program->lines;
    assert_int_equal(l->var_count, 2);
    assert_true(l->vars[0].text);
    assert_false(l->vars[1].text);
    const wm_pattern *left = &l->left[0].name, *right = &l->right[0].name;
    assert_int_equal(left->count, 3);
    assert_int_equal(left->holes[0].kind, WM_HOLE_STAR);
    assert_int_equal(left->holes[0].var, 0);
    assert_int_equal(left->holes[1].kind, WM_HOLE_TEXT);
    assert_int_equal(left->holes[2].kind, WM_HOLE_VALUE);
    assert_int_equal(left->holes[2].var, 1);
    assert_int_equal(right->holes[1].format, WM_FMT_WIDTH);
    assert_int_equal(right->holes[1].width, 2);
    assert_int_equal(right->holes[2].kind, WM_HOLE_STAR);
    assert_false(left->literal);
    end(&b);
    resolve(&b, "for k in 1..1 { \"a\" [x] -> \"b{k}c\" [x] }", true, NULL);
    assert_true(b.program->lines[0].right[0].name.literal);
    assert_true(wm_str_eq(b.program->lines[0].right[0].name.text, WM_STR("b1c")));
    end(&b);
}

/* ---- -D and --map ---- */

static void test_defines(void **state)
{
    (void)state;
    static const char text[] =
        "wmap 1\nparam i = 1\nparam f = 0.5\nparam s = \"x\"\nparam b = false\n"
        "param l = [1]\nparam d = i * 2\ntable t = [1]\n"
        "map main { drop \"{i} {d} {s} {(if b then 1 else 0)} {len(l)} {(if f == 2 then 1 else 0)}\" }";
    static const struct {
        const char *name, *value, *shown;
    } rows[] = {
        {"i", "7", "map main\ndrop \"7 14 x 0 1 0\"\n"},
        {"i", "2+1", "map main\ndrop \"3 6 x 0 1 0\"\n"},
        {"f", "2", "map main\ndrop \"1 2 x 0 1 1\"\n"},
        {"s", "a b", "map main\ndrop \"1 2 a b 0 1 0\"\n"},
        {"b", "true", "map main\ndrop \"1 2 x 1 1 0\"\n"},
        {"l", "[1, 2, 3]", "map main\ndrop \"1 2 x 0 3 0\"\n"},
        {"i", "1.5", "map main\ndrop    # has errors\nE0128\n"},
        {"i", "oops(", "map main\ndrop    # has errors\nE0128\n"},
        {"b", "1", "map main\ndrop    # has errors\nE0128\n"},
        {"ii", "1", "map main\ndrop \"1 2 x 0 1 0\"\nE0124\n"},
        {"t", "[2]", "map main\ndrop \"1 2 x 0 1 0\"\nE0124\n"},
        {"main", "2", "map main\ndrop \"1 2 x 0 1 0\"\nE0124\n"},
        {"y.i", "2", "map main\ndrop \"1 2 x 0 1 0\"\nE0124\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        wmap_define define = {rows[i].name, rows[i].value};
        bench b = {.options = {.defines = &define, .define_count = 1}};
        resolve(&b, text, false, NULL);
        assert_true(b.unit.errors > 0 || b.unit.source_count == 1); /* a plan lists the sources */
        expect(&b, rows[i].value, rows[i].shown);
    }
}

static void test_map_option(void **state)
{
    (void)state;
    static const char text[] = "wmap 1\nmap main { drop \"m\" }\nmap other { drop \"o\" }\nmap needs (x) { }";
    static const struct {
        const char *map, *shown;
    } rows[] = {
        {"other", "map other\ndrop \"o\"\n"},
        {"othe", "E0126\n"},
        {"needs", "map needs\nE0131 needs\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bench b = {.options = {.map = rows[i].map}};
        resolve(&b, text, false, NULL);
        expect(&b, rows[i].map, rows[i].shown);
    }
}

/* ---- imports ---- */

static char folder[] = "/tmp/wmap-resolve-XXXXXX";

static void put(const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int make_folder(void **state)
{
    (void)state;
    memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
    if (!mkdtemp(folder))
        return -1;
    char path[256];
    snprintf(path, sizeof path, "%s/lib", folder);
    return mkdir(path, 0700);
}

static int remove_folder(void **state)
{
    (void)state;
    char command[256];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command) == 0 ? 0 : -1;
}

/* Resolves folder/main.wmap with folder/lib as the one -I. */
static void resolve_main(bench *b, const char *text)
{
    static char path[256], lib[256];
    static const char *includes[] = {lib};
    snprintf(path, sizeof path, "%s/main.wmap", folder);
    snprintf(lib, sizeof lib, "%s/lib", folder);
    put("main.wmap", text);
    b->options.path = path;
    b->options.includes = includes;
    b->options.include_count = 1;
    resolve(b, text, false, NULL);
}

static void test_imports(void **state)
{
    (void)state;
    put("near.wmap", "wmap 1\nparam p = 3\ntable t = [5]\nmap m (k=1) { drop \"near{k}{p}\" }\nmodel s { }");
    put("lib/far.wmap", "wmap 1\nimport \"deep\"\nparam p = 9\nmap f { drop \"far{p}\"; use d }");
    put("lib/deep.wmap", "wmap 1\nmap d { drop \"deep\" }");
    put("one.wmap", "wmap 1\nimport \"near\"\nmap o { use m }");
    put("clash.wmap", "wmap 1\nmap m { }");
    put("cycle.wmap", "wmap 1\nimport \"main\"");
    put("self.wmap", "wmap 1\nimport \"self\"");
    static const row rows[] = {
        {"wmap 1\nimport \"near\"\nmap main { use m (k=2) }", NULL, "map main\ndrop \"near23\"   # k=2\n"},
        {"wmap 1\nimport \"near.wmap\" as y\nmap main { use y.m (k=y.p + y.t[0]) }", NULL,
         "map main\ndrop \"near83\"   # k=8\n"},
        {"wmap 1\nimport \"near\"\nmap main { drop \"{p}\"; if p == 3 { } }", NULL,
         "map main\ndrop \"{p}\"\nE0301 p\n"},
        {"wmap 1\nimport \"far\"\nmap main { use f }", NULL, "map main\ndrop \"far9\"\ndrop \"deep\"\n"},
        {"wmap 1\nimport \"far\"\nmap main { use d }", NULL, "map main\nE0126 d\n"},
        {"wmap 1\nimport \"near\", \"one\", \"near\" as n\nmap main { use o; use n.m }", NULL,
         "map main\ndrop \"near13\"   # k=1\ndrop \"near13\"   # k=1\n"},
        {"wmap 1\nimport \"near\", \"clash\"\nmap main { }", NULL, "map main\nE0123 \"clash\"\n"},
        {"wmap 1\nimport \"near\" as n, \"clash\" as n\nmap main { }", NULL, "map main\nE0123 n\n"},
        {"wmap 1\nimport \"near\"\nmap m { }\nmap main { }", NULL, "map main\nE0123 m\n"},
        {"wmap 1\nimport \"nowhere\"\nmap main { }", NULL, "map main\nE0121 \"nowhere\"\n"},
        {"wmap 1\nimport \"lib\"\nmap main { }", NULL, "map main\nE0121 \"lib\"\n"},
        {"wmap 1\nimport \"/etc/passwd\"\nmap main { }", NULL, "map main\nE0122 \"/etc/passwd\"\n"},
        {"wmap 1\nimport \"lib/../near\"\nmap main { }", NULL, "map main\nE0122 \"lib/../near\"\n"},
        {"wmap 1\nimport \"lib/..near\"\nmap main { }", NULL, "map main\nE0121 \"lib/..near\"\n"},
        {"wmap 1\nimport \"cycle\"\nmap main { }", NULL, "map main\nE0120 \"cycle\"\n"},
        {"wmap 1\nimport \"self\"\nmap main { }", NULL, "map main\nE0120 \"self\"\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bench b = {0};
        resolve_main(&b, rows[i].text);
        expect(&b, rows[i].text, rows[i].shown);
    }
    bench b = {0};
    resolve_main(&b, "wmap 1\nimport \"cycle\"\nmap main { }");
    assert_string_equal(b.unit.sources[1]->name, "cycle.wmap"); /* as imported, never where it lies */
    assert_int_equal(b.unit.diags->label_count, 1);
    assert_int_equal(b.unit.diags->labels[0].span.file, 1);
    end(&b);
    wmap_define define = {"y.p", "4"};
    bench c = {.options = {.defines = &define, .define_count = 1, .map = "y.m"}};
    resolve_main(&c, "wmap 1\nimport \"near\" as y\nmap main { }");
    expect(&c, "-D y.p", "map m\ndrop \"near14\"\n");
}

/* Chains of imports and of uses end at a limit, not in a crash. */
static void test_depth(void **state)
{
    (void)state;
    for (int i = 0; i < 70; i++) {
        char name[32], text[64];
        snprintf(name, sizeof name, "d%d.wmap", i);
        snprintf(text, sizeof text, "wmap 1\nimport \"d%d\"", i + 1);
        put(name, i < 69 ? text : "wmap 1\nmap x { }");
    }
    bench b = {0};
    resolve_main(&b, "wmap 1\nimport \"d0\"\nmap main { }");
    assert_int_equal(b.unit.errors, 1);
    assert_int_equal(b.unit.diags->id, WM_E0902);
    end(&b);
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    fputs("wmap 1\nmap main { use m0 }\n", f);
    for (int i = 0; i < 40; i++) /* 2^40 statements, if nothing counted */
        fprintf(f, "map m%d { use m%d; use m%d }\n", i, i + 1, i + 1);
    fputs("map m40 { }\n", f);
    fclose(f);
    bench c = {.options = {.map = "main"}};
    resolve(&c, text, false, NULL);
    assert_true(c.unit.errors > 0);
    end(&c);
    free(text);
    f = open_memstream(&text, &size);
    fputs("wmap 1\n", f);
    for (int i = 0; i < 20000; i++)
        fprintf(f, "param p%d = p%d + 1\n", i, i + 1);
    fputs("param p20000 = 1\nmap main { drop \"{p0}\" }\n", f);
    fclose(f);
    bench d = {0};
    resolve(&d, text, false, NULL);
    expect(&d, "a chain of parameters", "map main\ndrop \"20001\"\n");
    free(text);
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); /* what others do on the machine does not count */
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Many rules and many rounds: the bound is wide, to catch what is not linear. */
static void test_many(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    for (int i = 0; i < 100000; i++)
        fprintf(f, "\"model.{l}.layer%d.kernel\" [kh kw i o] -> \"m.%d.{l}.weight\" [o i kh kw]\n", i, i);
    fclose(f);
    wm_arena arena, scratch;
    wm_arena_init(&arena);
    wm_arena_init(&scratch);
    wm_unit unit = {.arena = &arena, .scratch = &scratch};
    assert_int_equal(setjmp(*wm_arena_oom(&arena)), 0);
    uint32_t file = wm_add_source(&unit, "-e", text, size);
    unit.sources[file]->rules_only = true;
    wm_ast *ast = wm_parse(&unit, file);
    wmap_compile_options options = {0};
    double start = seconds();
    size_t used = arena.used;
    wm_program *program = wm_resolve(&unit, file, ast, &options, NULL, NULL);
    print_message("100,000 rules: %.3f s, %zu MB\n", seconds() - start, (arena.used - used) >> 20);
    assert_true(seconds() - start < 10);
    assert_int_equal(program->count, 100000);
    assert_int_equal(unit.errors, 0);
    wm_arena_release(&arena);
    wm_arena_release(&scratch);
    free(text);
    bench b = {0};
    start = seconds();
    resolve(&b, "for i in 0..99 { for j in 0..989 { \"a.{i}.{j}.k\" [x y] -> \"b.{i}.{j}.w\" [y x] } }", true,
            NULL);
    print_message("99,000 rounds: %.3f s, %zu MB\n", seconds() - start, b.arena.used >> 20);
    assert_int_equal(b.program->count, 99000);
    assert_true(seconds() - start < 10);
    end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_statements),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_layouts),
        cmocka_unit_test(test_verbs),
        cmocka_unit_test(test_later),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_model),
        cmocka_unit_test(test_axes),
        cmocka_unit_test(test_variables),
        cmocka_unit_test(test_defines),
        cmocka_unit_test(test_map_option),
        cmocka_unit_test_setup_teardown(test_imports, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_depth, make_folder, remove_folder),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
