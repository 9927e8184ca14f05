/* tests.c: the tests of the given file, checked as far as that needs no run: names, dtypes, values, that
 * their map and its parameters exist. Receives the loaded files; gives the tests as data, and the rules that
 * they could exercise. */
#include "compiler/tests.h"

#include <math.h>
#include <string.h>

#include "compiler/pass.h"
#include "compiler/resolve_internal.h"
#include "runtime/base/size.h"

const wm_item *wm_find_test(const wm_ast *ast, size_t number)
{
    for (const wm_item *item = number ? ast->items : NULL; item; item = item->next)
        if (item->kind == WM_IT_TEST && --number == 0)
            return item;
    return NULL;
}

const wm_decl *wm_tested_map(wm_resolver *r, const wm_file *main, const wm_item *test)
{
    const wm_qname *name = test->of->name;
    wm_str text = wm_qname_text(r->unit->arena, name);
    const wm_decl *decl = wm_file_find(r->unit->arena, main, name, false);
    if (decl && decl->item->kind == WM_IT_MAP)
        return decl;
    if (!decl && main->ast->failed) /* it may stand in what could not be read */
        return NULL;
    wm_diag *d = wm_error(r->unit, WM_E0126, name->span,
                          decl ? "%s is a model, not a map" : "there is no map %s", wm_quote(r->unit, text));
    if (!decl)
        wm_suggest_decl(r, d, main, text, WM_IT_MAP);
    return NULL;
}

/* ---- literals ---- */

static wmap_dtype as_number(wmap_dtype dtype)
{
    switch (dtype) { /* raw elements are written as the numbers that their bits are */
    case WMAP_RAW8:
        return WMAP_U8;
    case WMAP_RAW16:
        return WMAP_U16;
    case WMAP_RAW32:
        return WMAP_U32;
    case WMAP_RAW64:
        return WMAP_U64;
    default:
        return dtype;
    }
}

static bool is_float(wmap_dtype dtype)
{
    return (dtype >= WMAP_F16 && dtype <= WMAP_F8_E5M2) || dtype == WMAP_C64 || dtype == WMAP_C128;
}

static void no_value(wm_resolver *r, wm_span span, const wm_val *value, wmap_dtype dtype)
{
    wm_error(r->unit, WM_E0608, span, "%s is not a value of %s", wm_val_text(r->unit, value),
             wmap_dtype_name(dtype));
}

/* The number that begins at a byte of the text. */
static wm_span number_at(wm_resolver *r, const wm_literal *literal, uint32_t at)
{
    const char *text = r->unit->sources[literal->span.file]->text + at;
    size_t len = strspn(text, "+-.0123456789abcdefghijklmnopqrstuvwxyzE");
    return (wm_span){literal->span.file, at, at + (uint32_t)len};
}

/* The first value that the dtype doesn't have is reported. */
static bool check_values(wm_resolver *r, const wm_literal *literal, wmap_dtype dtype)
{
    wmap_dtype as = as_number(dtype);
    if (literal->kind == WM_LI_IOTA && literal->count) {
        wm_val last = {.kind = WM_VAL_INT, .i = (int64_t)literal->count - 1};
        if (wm_dtype_holds(as, &last))
            return true;
        no_value(r, literal->span, &last, dtype);
        return false;
    }
    for (uint64_t i = 0; literal->elements && i < literal->count; i++) {
        const wm_element *e = &literal->elements[i];
        wm_val value = {.kind = WM_VAL_FLOAT, .f = e->kind == WM_EL_FLOAT ? e->f : 0};
        if (e->kind != WM_EL_FLOAT)
            value = (wm_val){.kind = e->kind == WM_EL_INT ? WM_VAL_INT : WM_VAL_BOOL, .i = e->i};
        bool nan = e->kind == WM_EL_FLOAT && isnan(e->f);
        if (nan ? is_float(dtype) : wm_dtype_holds(as, &value))
            continue;
        no_value(r, number_at(r, literal, e->at), &value, dtype);
        return false;
    }
    return true;
}

/* ---- statements ---- */

typedef struct tester {
    wm_resolver *r;
    wm_test *test;
    uint64_t elements; /* of the test so far */
    struct names {
        wm_map map;
        wm_span *spans;
        size_t count, cap;
    } given, expected;
    size_t given_cap, expected_cap, error_cap;
} tester;

static uint32_t line_of(tester *t, wm_span span)
{
    uint32_t line, column;
    wm_source_position(t->r->unit->arena, t->r->unit->sources[span.file], span.beg, &line, &column);
    return line;
}

static wm_str text_of(wm_resolver *r, const wm_string *string)
{
    wm_str text = WM_STR("");
    wm_plain_text(r->unit, NULL, NULL, string, &text); /* it has no holes, so nothing can fail */
    return (wm_str){wm_copy(r->unit->arena, text.p, text.len), text.len};
}

/* Is the name new among those of its kind? */
static bool is_new(tester *t, struct names *names, wm_str name, wm_span span, const char *what)
{
    uint32_t before = wm_map_put(&names->map, name.p, name.len, (uint32_t)names->count, NULL);
    if (before != WM_MAP_NONE) {
        wm_diag *d = wm_error(t->r->unit, WM_E0140, span, "the tensor %s is %s twice",
                              wm_quote(t->r->unit, name), what);
        wm_diag_also(t->r->unit, d, names->spans[before], "the first");
        return false;
    }
    *wm_push(t->r->unit->arena, names->spans, names->count, names->cap) = span;
    return true;
}

static void add_tensor(tester *t, const wm_test_stmt *stmt)
{
    wm_resolver *r = t->r;
    bool given = stmt->kind == WM_TS_GIVEN;
    const wm_literal *literal = stmt->literal;
    if (!stmt->string || !literal)
        return; /* reported by the parser */
    wm_test_tensor tensor = {.name = text_of(r, stmt->string),
                             .dtype = WMAP_F32,
                             .literal = literal,
                             .line = line_of(t, stmt->span)};
    bool ok = is_new(t, given ? &t->given : &t->expected, tensor.name, stmt->string->span,
                     given ? "given" : "expected");
    ok &= !literal->dtype || wm_make_dtype(r, literal->dtype, &tensor.dtype);
    if (literal->count > WM_MAX_TEST_ELEMENTS || t->elements > WM_MAX_TEST_ELEMENTS - literal->count) {
        wm_error(r->unit, WM_E0905, literal->span,
                 "the tensors of a test have at most %llu elements together",
                 (unsigned long long)WM_MAX_TEST_ELEMENTS);
        return;
    }
    t->elements += literal->count;
    if (!ok || !check_values(r, literal, tensor.dtype))
        return;
    wm_test *test = t->test;
    if (given)
        *wm_push(r->unit->arena, test->given, test->given_count, t->given_cap) = tensor;
    else
        *wm_push(r->unit->arena, test->expected, test->expected_count, t->expected_cap) = tensor;
}

static void add_error(tester *t, const wm_test_stmt *stmt)
{
    wm_unit *unit = t->r->unit;
    wm_near near;
    wm_near_init(&near, stmt->word->text);
    for (int i = WM_DIAG_NONE + 1; i < WM_DIAG_COUNT; i++) {
        const char *id = wm_diag_name((wm_diag_id)i);
        wm_str name = {id, (uint32_t)strlen(id)};
        if (wm_str_eq(name, stmt->word->text)) {
            *wm_push(unit->arena, t->test->errors, t->test->error_count, t->error_cap) =
                (struct wm_test_error){id, line_of(t, stmt->span)};
            return;
        }
        wm_near_try(&near, name);
    }
    wm_diag *d =
        wm_error(unit, WM_E0301, stmt->word->span, "there is no error %s", wm_quote(unit, stmt->word->text));
    wm_diag_near(unit, d, &near);
}

static void set_tolerance(tester *t, const wm_file *main, const wm_test_stmt *stmt)
{
    wm_val value;
    wm_unit *unit = t->r->unit;
    if (wm_eval(unit, main->scope, NULL, stmt->constant, &value) != WM_EVAL_OK)
        return;
    double x = value.kind == WM_VAL_INT ? (double)value.i : value.f;
    if ((value.kind != WM_VAL_INT && value.kind != WM_VAL_FLOAT) || !(x >= 0)) {
        wm_error(unit, WM_E0304, stmt->constant->span, "a tolerance is a number that is not negative, not %s",
                 wm_val_text(unit, &value));
        return;
    }
    t->test->tolerant = true;
    t->test->tolerance = x;
}

/* That an argument is missing or wrong may be what a test is about. */
static bool wants_wrong_call(const wm_item *item)
{
    for (const wm_test_stmt *s = item->tests; s; s = s->next)
        if (s->kind == WM_TS_ERROR && s->word->text.len == 5 && memcmp(s->word->text.p, "E0", 2) == 0 &&
            (s->word->text.p[2] == '1' || s->word->text.p[2] == '3'))
            return true;
    return false;
}

static void make_test(wm_resolver *r, const wm_file *main, const wm_item *item, wm_test *test)
{
    wm_arena *arena = r->unit->arena;
    tester t = {.r = r, .test = test};
    wm_map_init(&t.given.map, arena, 0);
    wm_map_init(&t.expected.map, arena, 0);
    test->name = item->string ? text_of(r, item->string) : WM_STR("");
    wm_str map = wm_qname_text(arena, item->of->name);
    test->map = wm_copy(arena, map.p, map.len);
    test->line = line_of(&t, item->span);
    const wm_decl *decl = wm_tested_map(r, main, item);
    test->from_model = decl && decl->item->from;
    if (decl && !wants_wrong_call(item))
        wm_bind_arguments(r, main->scope, decl, item->of, item->of->span);
    for (const wm_test_stmt *s = item->tests; s; s = s->next) {
        if (s->kind == WM_TS_GIVEN || s->kind == WM_TS_EXPECT)
            add_tensor(&t, s);
        else if (s->kind == WM_TS_ERROR)
            add_error(&t, s);
        else if (s->kind == WM_TS_REVERSE)
            test->reverse = line_of(&t, s->span);
        else
            set_tolerance(&t, main, s);
    }
    bool expects = false;
    for (const wm_test_stmt *s = item->tests; s; s = s->next)
        expects |= s->kind == WM_TS_EXPECT || s->kind == WM_TS_ERROR || s->kind == WM_TS_REVERSE;
    if (!expects && !main->ast->failed)
        wm_error(r->unit, WM_E0801, item->string ? item->string->span : item->span,
                 "this test expects nothing: it would pass whatever the map does");
}

wm_tests *wm_make_tests(wm_resolver *r, const wm_file *main)
{
    wm_tests *tests = wm_new(r->unit->arena, wm_tests, 1);
    for (const wm_item *item = main->ast->items; item; item = item->next)
        tests->count += item->kind == WM_IT_TEST;
    tests->items = wm_new(r->unit->arena, wm_test, tests->count);
    size_t at = 0;
    for (const wm_item *item = main->ast->items; item; item = item->next)
        if (item->kind == WM_IT_TEST)
            make_test(r, main, item, &tests->items[at++]);
    return tests;
}

/* ---- what they could exercise ---- */

typedef struct coverer {
    wm_resolver *r;
    wm_tests *tests;
    const wm_decl **maps; /* that tests reach */
    size_t map_count, map_cap;
    wm_map seen; /* their places */
} coverer;

static void reach(coverer *c, const wm_decl *decl)
{
    if (!decl || decl->item->kind != WM_IT_MAP ||
        wm_map_put(&c->seen, &decl->span, sizeof decl->span, (uint32_t)c->map_count, NULL) != WM_MAP_NONE)
        return;
    *wm_push(c->r->unit->arena, c->maps, c->map_count, c->map_cap) = decl;
}

static void add_rule(coverer *c, wm_span span)
{
    wm_test_rule *rule =
        wm_push(c->r->unit->arena, c->tests->rules, c->tests->rule_count, c->tests->rule_cap);
    wm_source *source = c->r->unit->sources[span.file];
    rule->file = source->name;
    wm_source_position(c->r->unit->arena, source, span.beg, &rule->line, &rule->column);
}

static void walk(coverer *c, const wm_decl *map, const wm_stmt *stmt)
{
    for (; stmt; stmt = stmt->next)
        switch (stmt->kind) {
        case WM_ST_RULE:
        case WM_ST_FILL:
            add_rule(c, stmt->span);
            break;
        case WM_ST_USE:
            reach(c, wm_file_find(c->r->unit->arena, map->file, stmt->of->call->name, false));
            break;
        case WM_ST_IF:
        case WM_ST_FOR:
        case WM_ST_FORWARD:
        case WM_ST_REVERSE: /* what `expect reverse` runs */
            walk(c, map, stmt->of->body);
            walk(c, map, stmt->of->otherwise);
            break;
        default:
            break;
        }
}

void wm_list_tested_rules(wm_resolver *r, const wm_file *main, wm_tests *tests)
{
    coverer c = {.r = r, .tests = tests};
    wm_map_init(&c.seen, r->unit->arena, 0);
    for (const wm_item *item = main->ast->items; item; item = item->next)
        if (item->kind == WM_IT_TEST)
            reach(&c, wm_file_find(r->unit->arena, main, item->of->name, false));
    for (size_t i = 0; i < c.map_count; i++) { /* it grows meanwhile */
        walk(&c, c.maps[i], c.maps[i]->item->body);
        for (const wm_call *part = c.maps[i]->item->chain; part; part = part->next)
            reach(&c, wm_file_find(r->unit->arena, c.maps[i]->file, part->name, false));
    }
}
