/* plan.c: plans that are sound, each way in which one can lie, damaged bytes, and plans as text. */
#include "tests/unit/plans.h"

#include "runtime/base/sha256.h"

static const uint64_t shape_23[] = {2, 3}, shape_32[] = {3, 2}, shape_6[] = {6};

/* "t" [3 2] is "s" [2 3] transposed. */
static Wmap__Move *transposed(draft *d)
{
    draft_begin(d);
    uint32_t s = draft_source(d, "s", WMAP_F32, 2, shape_23), t = draft_target(d, "t", WMAP_F32, 2, shape_32);
    return draft_move(d, 2, shape_32, draft_access(d, t, 2, 2, NULL, NULL),
                      draft_access(d, s, 2, 2, NULL, (int64_t[]){0, 1, 1, 0}));
}

static void test_good(void **state)
{
    (void)state;
    draft d;
    transposed(&d);
    wmap_plan *plan = draft_accept(&d);
    bool dropped = true;
    assert_int_equal(wmap_plan_source_count(plan), 1);
    assert_int_equal(wmap_plan_target_count(plan), 1);
    assert_int_equal(wmap_plan_move_count(plan), 1);
    assert_string_equal(wmap_plan_source(plan, 0, &dropped)->name, "s");
    assert_false(dropped);
    assert_int_equal(wmap_plan_target(plan, 0)->shape[0], 3);
    wmap_plan_free(plan);
    draft_end(&d);
    /* nothing at all is a plan too */
    draft_begin(&d);
    plan = draft_accept(&d);
    assert_int_equal(wmap_plan_target_count(plan), 0);
    wmap_plan_free(plan);
    wmap_plan_free(NULL);
    draft_end(&d);
}

/* Each byte changed, each length cut: refused, always. */
static void test_damaged(void **state)
{
    (void)state;
    draft d;
    transposed(&d);
    size_t size;
    uint8_t *file = draft_bytes(&d, &size);
    wmap_error err;
    assert_true(wmap_plan_probe(file, size));
    assert_false(wmap_plan_probe(file, 7));
    for (size_t i = 0; i < size; i++)
        for (unsigned flip = 1; flip < 256; flip += 42) {
            file[i] ^= (uint8_t)flip;
            assert_null(wmap_plan_parse(file, size, "p", &err));
            assert_int_equal(err.code, WMAP_E_PLAN);
            file[i] ^= (uint8_t)flip;
        }
    for (size_t cut = 0; cut < size; cut++) {
        uint8_t *part = malloc(cut ? cut : 1); /* exactly as long, so that a sanitizer sees more being read */
        assert_non_null(part);
        memcpy(part, file, cut);
        assert_null(wmap_plan_parse(part, cut, "p", &err));
        assert_int_equal(err.code, WMAP_E_PLAN);
        free(part);
    }
    uint8_t *more = malloc(size + 1);
    assert_non_null(more);
    memcpy(more, file, size);
    more[size] = 0;
    assert_null(wmap_plan_parse(more, size + 1, "p", &err));
    free(more);
    free(file);
    draft_end(&d);
}

/* A header that is right about a message that is not. */
static void test_malformed_message(void **state)
{
    (void)state;
    draft d;
    transposed(&d);
    size_t packed = wmap__plan__get_packed_size(&d.plan), size;
    uint8_t *message = malloc(packed), *file;
    assert_non_null(message);
    wmap__plan__pack(&d.plan, message);
    wmap_error err;
    for (size_t i = 0; i < packed; i++)
        for (unsigned flip = 1; flip < 256; flip *= 2) {
            message[i] ^= (uint8_t)flip;
            assert_true(wm_plan_wrap(message, packed, &file, &size));
            wmap_plan *plan = wmap_plan_parse(file, size, "p", &err); /* may be sound still: a name, a line */
            assert_true(plan || err.code == WMAP_E_PLAN);
            wmap_plan_free(plan);
            free(file);
            message[i] ^= (uint8_t)flip;
        }
    for (size_t cut = 0; cut < packed; cut++) {
        assert_true(wm_plan_wrap(message, cut, &file, &size));
        wmap_plan_free(wmap_plan_parse(file, size, "p", &err));
        free(file);
    }
    free(message);
    draft_end(&d);
}

static void set_le32(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

static void test_versions(void **state)
{
    (void)state;
    static const struct {
        uint32_t version, oldest;
        const char *text; /* NULL: accepted */
    } cases[] = {{1, 1, NULL}, {9, 1, NULL}, {9, 9, "newer wmap"}, {0, 0, "version"}, {1, 2, "version"}};
    draft d;
    transposed(&d);
    size_t size;
    uint8_t *file = draft_bytes(&d, &size);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        wmap_error err;
        set_le32(file + 40, cases[i].version);
        set_le32(file + 44, cases[i].oldest);
        wm_sha256(file + 40, size - 40, file + 8);
        wmap_plan *plan = wmap_plan_parse(file, size, "p", &err);
        assert_true((plan != NULL) == (cases[i].text == NULL));
        if (cases[i].text)
            assert_non_null(strstr(err.message, cases[i].text));
        wmap_plan_free(plan);
    }
    free(file);
    draft_end(&d);
}

/* A small message that would become large in memory is refused before it does. */
static void test_amplified(void **state)
{
    (void)state;
    size_t count = (size_t)4 << 20, size;
    uint8_t *message = malloc(2 * count), *file;
    assert_non_null(message);
    for (size_t i = 0; i < count; i++) { /* empty moves: two bytes each, more than 100 in memory */
        message[2 * i] = 5 << 3 | 2;
        message[2 * i + 1] = 0;
    }
    assert_true(wm_plan_wrap(message, 2 * count, &file, &size));
    wmap_error err;
    assert_null(wmap_plan_parse(file, size, "p", &err));
    assert_int_equal(err.code, WMAP_E_PLAN);
    assert_non_null(strstr(err.message, "memory"));
    free(file);
    free(message);
}

/* ---- lies ---- */

#define LIE(change, text)                                                                                    \
    do {                                                                                                     \
        draft d;                                                                                             \
        Wmap__Move *m = transposed(&d);                                                                      \
        (void)m;                                                                                             \
        change;                                                                                              \
        draft_refuse(&d, text);                                                                              \
        draft_end(&d);                                                                                       \
    } while (0)

static void test_lies_about_tensors(void **state)
{
    (void)state;
    LIE(d.plan.sources[0]->dtype = 0, "dtype");
    LIE(d.plan.targets[0]->dtype = 99, "dtype");
    LIE(d.plan.targets[0]->dtype = WMAP_OPAQUE, "operations");
    LIE(d.plan.sources[0]->dtype = WMAP_OPAQUE, "what is opaque");
    LIE(d.plan.sources[0]->whole = 1, "a source has the bytes");
    LIE(d.plan.targets[0]->whole = 1, "and a dtype");
    LIE((d.plan.targets[0]->whole = 1, d.plan.targets[0]->dtype = WMAP_OPAQUE), "operations");
    LIE(draft_target(&d, "u", WMAP_OPAQUE, 0, NULL), "bytes of no source");
    LIE(d.plan.targets[draft_target(&d, "u", WMAP_OPAQUE, 0, NULL)]->whole = 2, "bytes of no source");
    LIE(d.plan.targets[draft_target(&d, "u", WMAP_OPAQUE, 0, NULL)]->whole = 1, "another thing");
    LIE((draft_source(&d, "o", WMAP_OPAQUE, 1, shape_6),
         d.plan.targets[draft_target(&d, "u", WMAP_OPAQUE, 0, NULL)]->whole = 2),
        "another thing");
    LIE((d.plan.sources[draft_source(&d, "o", WMAP_OPAQUE, 0, NULL)]->dropped = 1,
         d.plan.targets[draft_target(&d, "u", WMAP_OPAQUE, 0, NULL)]->whole = 2),
        "bytes of no source");
    LIE(d.plan.targets[0]->dropped = 1, "dropped");
    LIE(d.plan.sources[0]->dropped = 1, "dropped and read");
    LIE(d.plan.files[0]->sha256.len = 31, "digest");
    LIE(draft_source(&d, "s", WMAP_F32, 1, shape_6), "twice");
    LIE(draft_target(&d, "t", WMAP_F32, 0, NULL), "twice");
    LIE(draft_target(&d, "u", WMAP_F32, 1, shape_6), "exactly once");
    uint64_t huge[] = {(uint64_t)1 << 40, (uint64_t)1 << 30}, wide[65];
    for (int i = 0; i < 65; i++)
        wide[i] = 1;
    LIE(draft_source(&d, "u", WMAP_F32, 2, huge), "2^63");
    LIE(draft_source(&d, "u", WMAP_F32, 65, wide), "dimensions");
    char *name = calloc(1, ((size_t)64 << 10) + 2);
    assert_non_null(name);
    memset(name, 'n', ((size_t)64 << 10) + 1);
    LIE(draft_source(&d, name, WMAP_F32, 0, NULL), "name is too long");
    free(name);
    draft d; /* an opaque entry may be left behind or go on whole, an empty tensor has no moves */
    transposed(&d);
    uint32_t text = (uint32_t)draft_source(&d, "text", WMAP_OPAQUE, 1, shape_6);
    d.plan.targets[draft_target(&d, "renamed", WMAP_OPAQUE, 1, shape_6)]->whole = text + 1;
    d.plan.sources[draft_source(&d, "module", WMAP_OPAQUE, 0, NULL)]->dropped = 1;
    draft_target(&d, "empty", WMAP_F32, 2, (uint64_t[]){0, 7});
    wmap_plan_free(draft_accept(&d));
    draft_end(&d);
}

static void test_lies_about_moves(void **state)
{
    (void)state;
    LIE(m->target = NULL, "compare nothing");
    LIE((m->target = NULL, m->n_sources = 0), "neither target nor source");
    LIE(m->target->tensor = 1, "no such target");
    LIE(m->sources[0]->tensor = 1, "no such source");
    LIE(m->file = 1, "no file");
    LIE(m->extents[0] = 0, "no size");
    LIE((m->extents[0] = (uint64_t)1 << 40, m->extents[1] = (uint64_t)1 << 40), "no size");
    LIE(m->extents[0] = 2, "exactly once");
    LIE(m->extents[0] = 4, "outside");
    LIE(m->extents[1] = UINT64_MAX / 4, "no size");
    LIE(m->extents[0] = (uint64_t)INT64_MAX / 2, "outside");
    LIE(m->sources[0]->coef[1] = 2, "outside");
    LIE(m->sources[0]->coef[1] = -1, "outside");
    LIE(m->sources[0]->coef[1] = INT64_MAX, "outside");
    LIE(m->sources[0]->coef[1] = INT64_MIN, "outside");
    LIE(m->sources[0]->n_coef = 3, "coefficients");
    LIE(m->n_extents = 1, "coefficients");
    LIE((m->target->n_start = 1, m->target->start = (int64_t[]){0}), "start");
    LIE((m->target->n_start = 2, m->target->start = (int64_t[]){1, 0}), "outside");
    LIE((m->target->n_start = 2, m->target->start = (int64_t[]){0, -1}), "outside");
    LIE((m->target->n_start = 2, m->target->start = (int64_t[]){INT64_MAX, INT64_MIN}), "outside");
    LIE((m->target->n_coef = 4, m->target->coef = (int64_t[]){1, 0, 0, 0}), "exactly once");
    LIE(draft_move(&d, 1, shape_6, draft_access(&d, 0, 2, 1, NULL, NULL), NULL), "coefficients");
    LIE(draft_move(&d, 2, shape_32, m->target, m->sources[0]), "exactly once");
    LIE(draft_move(&d, 2, shape_32, draft_access(&d, 0, 2, 2, NULL, NULL), NULL), "operations");
    Wmap__Access *many[65];
    LIE(for (m->n_sources = 0; m->n_sources < 65; m->n_sources++) many[m->n_sources] = m->sources[0];
        m->sources = many, "too many sources");
    LIE(d.plan.n_moves = 0, "exactly once");
    /* the order of targets */
    draft d;
    Wmap__Move *m = transposed(&d);
    uint32_t u = draft_target(&d, "u", WMAP_F32, 2, shape_23);
    draft_move(&d, 2, shape_23, draft_access(&d, u, 2, 2, NULL, NULL), draft_access(&d, 0, 2, 2, NULL, NULL));
    wmap_plan_free(draft_accept(&d));
    d.plan.moves[0] = d.plan.moves[1];
    d.plan.moves[1] = m;
    draft_refuse(&d, "order");
    draft_end(&d);
}

static void test_lies_about_operations(void **state)
{
    (void)state;
    LIE(d.plan.targets[0]->dtype = WMAP_F16, "operations");
    LIE(draft_fill(&d, m, 0), "operations");
    LIE((m->n_sources = 0, draft_cast(&d, m, WMAP_F32, 0)), "operations");
    LIE(draft_cast(&d, m, WMAP_F16, 0), "operations");
    LIE((d.plan.targets[0]->dtype = WMAP_F16, draft_cast(&d, m, WMAP_F16, 7)), "operations");
    LIE((d.plan.targets[0]->dtype = WMAP_C64, draft_cast(&d, m, WMAP_C64, 0)), "operations");
    LIE((d.plan.targets[0]->dtype = WMAP_RAW32, draft_cast(&d, m, WMAP_RAW32, 0)), "operations");
    LIE(draft_op(&d, m, 99), "operations");
    LIE((m->n_sources = 0, d.plan.targets[0]->dtype = WMAP_U8, draft_fill(&d, m, 256)), "operations");
    LIE((m->n_sources = 0, draft_op(&d, m, WMAP__OP__CODE__CONST)), "operations");
    draft d;
    Wmap__Move *m = transposed(&d);
    d.plan.targets[0]->dtype = WMAP_F16;
    draft_cast(&d, m, WMAP_F16, WMAP__OP__POLICY__ALLOW);
    wmap_plan_free(draft_accept(&d));
    draft_end(&d);
}

static Wmap__Op **ops_of(draft *d, Wmap__Move *m, size_t count)
{
    m->n_ops = count;
    m->ops = wm_new(&d->arena, Wmap__Op *, count);
    for (size_t i = 0; i < count; i++) {
        m->ops[i] = wm_new(&d->arena, Wmap__Op, 1);
        wmap__op__init(m->ops[i]);
    }
    return m->ops;
}

/* A guard of all of "s" behind the move: it equals `whole`, or, with `copy`, itself. */
static Wmap__Move *guarded(draft *d, bool copy)
{
    transposed(d);
    Wmap__Move *g = draft_move(d, 2, shape_23, NULL, draft_access(d, 0, 2, 2, NULL, NULL));
    Wmap__Op **ops = ops_of(d, g, 2);
    ops[0]->code = copy ? WMAP__OP__CODE__LOAD : WMAP__OP__CODE__CONST;
    ops[0]->value_case = WMAP__OP__VALUE_INTEGER;
    ops[0]->integer = copy;
    ops[1]->code = WMAP__OP__CODE__EQUAL;
    if (copy) {
        Wmap__Access *first = g->sources[0];
        g->n_sources = 2;
        g->sources = wm_new(&d->arena, Wmap__Access *, 2);
        g->sources[0] = g->sources[1] = first;
    }
    return g;
}

#define GUARD_LIE(copy, change, text)                                                                        \
    do {                                                                                                     \
        draft d;                                                                                             \
        Wmap__Move *g = guarded(&d, copy);                                                                   \
        (void)g;                                                                                             \
        change;                                                                                              \
        draft_refuse(&d, text);                                                                              \
        draft_end(&d);                                                                                       \
    } while (0)

static void test_lies_about_guards(void **state)
{
    (void)state;
    for (int copy = 0; copy < 2; copy++) {
        draft good;
        guarded(&good, copy);
        wmap_plan_free(draft_accept(&good));
        draft_end(&good);
        GUARD_LIE(copy, g->n_ops = 1, "compare nothing");
        GUARD_LIE(copy, g->n_ops = 0, "compare nothing");
        GUARD_LIE(copy, g->ops[0] = g->ops[1], "compare nothing");
        GUARD_LIE(copy, g->ops[1] = g->ops[0], "compare nothing");
        GUARD_LIE(copy, g->n_sources = 0, "neither target nor source");
        GUARD_LIE(copy, g->sources[0]->tensor = 9, "no such source");
        GUARD_LIE(copy, g->extents[0] = 3, "outside");
        GUARD_LIE(copy, g->extents[1] = 0, "no size");
        GUARD_LIE(copy, (d.plan.moves[1] = d.plan.moves[0], d.plan.moves[0] = g), "order");
        GUARD_LIE(copy, (g->sources[0]->n_coef = 4, g->sources[0]->coef = (int64_t[]){1, 0, 0, 0}), "twice");
        GUARD_LIE(copy, g->target = draft_access(&d, 0, 2, 2, NULL, NULL), "outside");
    }
    /* as many elements as it likes, all of them the first two */
    GUARD_LIE(false,
              (g->n_extents = 3, g->extents = (uint64_t[]){2, 2, 2}, g->sources[0]->n_coef = 6,
               g->sources[0]->coef = (int64_t[]){0, 1, 1, 0, 0, 1}),
              "twice");
    GUARD_LIE(false,
              (d.plan.sources[0]->dtype = d.plan.targets[0]->dtype = WMAP_U8, g->ops[0]->integer = 256),
              "compare nothing");
    GUARD_LIE(true, g->ops[0]->integer = 2, "compare nothing");
    draft d; /* what is dropped may be looked at, but not moved, nor be a copy; only if it is a tensor */
    Wmap__Move *g = guarded(&d, false);
    uint32_t left = draft_source(&d, "left", WMAP_F32, 2, shape_23);
    d.plan.sources[left]->dropped = 1;
    g->sources[0]->tensor = left;
    wmap_plan_free(draft_accept(&d));
    d.plan.sources[left]->dtype = WMAP_OPAQUE;
    draft_refuse(&d, "dropped and read");
    draft_end(&d);
    g = guarded(&d, true);
    left = draft_source(&d, "left", WMAP_F32, 2, shape_23);
    d.plan.sources[left]->dropped = 1;
    g->sources[1] = draft_access(&d, left, 2, 2, NULL, NULL);
    draft_refuse(&d, "dropped and read");
    draft_end(&d);
}

/* More axes than 62, of which few are longer than 1; coefficients of those that are may be anything. */
static void test_axes_of_one(void **state)
{
    (void)state;
    draft d;
    draft_begin(&d);
    uint32_t s = draft_source(&d, "s", WMAP_F32, 1, shape_6), t = draft_target(&d, "t", WMAP_F32, 1, shape_6);
    uint64_t extents[300];
    int64_t coef[300], other[300];
    for (int i = 0; i < 300; i++) {
        extents[i] = i == 170 ? 6 : 1;
        coef[i] = other[i] = i == 170 ? 1 : INT64_MAX - i;
    }
    draft_move(&d, 300, extents, draft_access(&d, t, 1, 300, NULL, coef),
               draft_access(&d, s, 1, 300, NULL, other));
    wmap_plan_free(draft_accept(&d));
    d.plan.moves[0]->n_extents = 299;
    draft_refuse(&d, "coefficients");
    draft_end(&d);
}

/* One element of a tensor of any rank: no axes, so no coefficients. */
static void test_no_axes(void **state)
{
    (void)state;
    draft d;
    draft_begin(&d);
    static const uint64_t ones[] = {1, 1};
    uint32_t s = draft_source(&d, "s", WMAP_F32, 2, shape_23), t = draft_target(&d, "t", WMAP_F32, 2, ones);
    draft_move(&d, 0, NULL, draft_access(&d, t, 2, 0, NULL, NULL),
               draft_access(&d, s, 2, 0, (int64_t[]){1, 2}, NULL));
    uint32_t u = draft_target(&d, "u", WMAP_F32, 1, shape_6); /* a scalar repeated */
    uint32_t c = draft_source(&d, "c", WMAP_F32, 0, NULL);
    draft_move(&d, 1, shape_6, draft_access(&d, u, 1, 1, NULL, NULL), draft_access(&d, c, 0, 1, NULL, NULL));
    wmap_plan_free(draft_accept(&d));
    d.plan.moves[0]->sources[0]->start[1] = 3;
    draft_refuse(&d, "outside");
    draft_end(&d);
}

/* ---- as text ---- */

static void expect_text(const draft *d, bool moves, const char *text)
{
    char *got = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&got, &size);
    assert_non_null(out);
    wmap_plan *plan = draft_accept(d);
    wmap_plan_print(plan, out, moves);
    wmap_plan_free(plan);
    fclose(out);
    assert_string_equal(got, text);
    free(got);
}

static void test_text(void **state)
{
    (void)state;
    draft d;
    transposed(&d);
    expect_text(&d, false,
                "map m: 1 source, 1 target, 1 move\n"
                "\"t\" f32 [3 2]\n"
                "    [a b] <- \"s\" [b a]\n");
    uint32_t u = draft_target(&d, "u\"\n", WMAP_F16, 2, shape_23);
    Wmap__Move *m = draft_move(&d, 2, shape_23, draft_access(&d, u, 2, 2, NULL, NULL),
                               draft_access(&d, 0, 2, 2, NULL, NULL));
    draft_cast(&d, m, WMAP_F16, WMAP__OP__POLICY__SATURATE);
    uint32_t v = draft_target(&d, "v", WMAP_F32, 2, (uint64_t[]){4, 3}); /* rows of s, flipped, and zeros */
    draft_move(&d, 2, shape_23, draft_access(&d, v, 2, 2, (int64_t[]){2, 0}, NULL),
               draft_access(&d, 0, 2, 2, (int64_t[]){0, 2}, (int64_t[]){1, 0, 0, -1}));
    draft_fill(&d, draft_move(&d, 2, shape_23, draft_access(&d, v, 2, 2, NULL, NULL), NULL), 0);
    uint32_t w = draft_target(&d, "w", WMAP_F32, 1, shape_6); /* a factor of a dimension */
    draft_move(&d, 2, shape_23, draft_access(&d, w, 1, 2, NULL, (int64_t[]){1, 2}),
               draft_access(&d, 0, 2, 2, NULL, NULL));
    uint32_t x = draft_target(&d, "x", WMAP_I64, 0, NULL);
    draft_fill(&d, draft_move(&d, 0, NULL, draft_access(&d, x, 0, 0, NULL, NULL), NULL), -7);
    uint32_t y = draft_target(&d, "y", WMAP_F32, 1, shape_6); /* every other one, one of two rows */
    for (int64_t i = 0; i < 2; i++)
        draft_move(&d, 1, (uint64_t[]){3}, draft_access(&d, y, 1, 1, (int64_t[]){i}, (int64_t[]){2}),
                   draft_access(&d, 0, 2, 1, (int64_t[]){i, 0}, (int64_t[]){0, 1}));
    d.plan.sources[draft_source(&d, "Adam", WMAP_F32, 0, NULL)]->dropped = 1;
    expect_text(&d, false,
                "map m: 2 sources (1 dropped), 6 targets, 8 moves\n"
                "\"t\" f32 [3 2]\n"
                "    [a b] <- \"s\" [b a]\n"
                "\"u\\\"\\x0a\" f16 [2 3]\n"
                "    <- \"s\" | cast f16 saturate\n"
                "\"v\" f32 [4 3]\n"
                "    [a:2..3 b] <- \"s\" [a -b]\n"
                "    [a:0..1 b] <- fill 0\n"
                "\"w\" f32 [6]\n"
                "    [(a b)] <- \"s\" [b a]\n"
                "\"x\" i64 []\n"
                "    <- fill -7\n"
                "\"y\" f32 [6]\n"
                "    [0+2*a] <- \"s\" [0 a]\n"
                "    [1+2*a] <- \"s\" [1 a]\n"
                "drop \"Adam\" f32 []\n");
    draft_end(&d);
    transposed(&d);
    expect_text(&d, true,
                "map m: 1 source, 1 target, 1 move\n"
                "\"t\" f32 [3 2]\n"
                "    [a b] <- \"s\" [b a]\n"
                "        move (3 2) to [0 0] + [1 0] [0 1] from [0 0] + [0 1] [1 0] at m.wmap:3:5\n");
    draft_end(&d);
}

static void test_open(void **state)
{
    (void)state;
    draft d;
    transposed(&d);
    size_t size;
    uint8_t *file = draft_bytes(&d, &size);
    char path[64];
    wmap_error err = {0};
    file_make(path, file, size);
    wmap_plan *plan = wmap_plan_open(path, &err);
    assert_non_null(plan);
    wmap_plan_free(plan);
    assert_int_equal(truncate(path, (off_t)size - 1), 0);
    assert_null(wmap_plan_open(path, &err));
    assert_int_equal(err.code, WMAP_E_PLAN);
    assert_string_equal(err.file, path);
    unlink(path);
    assert_null(wmap_plan_open(path, &err));
    assert_int_equal(err.code, WMAP_E_IO);
    assert_null(wmap_plan_open("/tmp", &err));
    assert_int_equal(err.code, WMAP_E_IO);
    free(file);
    draft_end(&d);
}

/* Programs that make no element of the target: op codes, with what they take. */
static void test_programs(void **state)
{
    (void)state;
    enum {
        END,
        LOAD = WMAP__OP__CODE__LOAD,
        CONST = WMAP__OP__CODE__CONST,
        ADD = WMAP__OP__CODE__ADD,
        DIV = WMAP__OP__CODE__DIV,
        NEG = WMAP__OP__CODE__NEG,
        EXP = WMAP__OP__CODE__EXP,
        POW = WMAP__OP__CODE__POW,
        CAST = WMAP__OP__CODE__CAST,
        BITS = WMAP__OP__CODE__BITCAST
    };
    static const uint64_t shape[] = {2};
    static const struct {
        wmap_dtype from, to;
        bool good;
        int ops[8][2]; /* code; source, whole constant, or dtype */
    } rows[] = {
        {WMAP_F32, WMAP_F32, true, {{NEG}}},
        {WMAP_F32, WMAP_F32, true, {{CONST, 2}, {ADD}, {EXP}}},
        {WMAP_F32, WMAP_F32, true, {{LOAD, 1}, {ADD}}},
        {WMAP_F32, WMAP_F32, true, {{LOAD, 1}, {NEG}, {DIV}, {CONST, 3}, {POW}}},
        {WMAP_F32, WMAP_I32, true, {{NEG}, {BITS, WMAP_I32}}},
        {WMAP_F32, WMAP_F16, true, {{NEG}, {CAST, WMAP_F16}}},
        {WMAP_I32, WMAP_I32, true, {{CONST, 2}, {ADD}, {NEG}}},
        {WMAP_F32, WMAP_F32, false, {{LOAD, 2}, {ADD}}}, /* no such source */
        {WMAP_F32, WMAP_F32, false, {{LOAD, 1}}},        /* two elements are left */
        {WMAP_F32, WMAP_F32, false, {{ADD}}},            /* one is there */
        {WMAP_F32, WMAP_F32, false, {{CONST, 2}, {CONST, 3}, {ADD}, {ADD}}},
        {WMAP_F32, WMAP_F32, false, {{CONST, 2}, {NEG}, {ADD}}}, /* of a constant */
        {WMAP_F32, WMAP_F32, false, {{LOAD, 1}, {POW}}},         /* a power that is no constant */
        {WMAP_I32, WMAP_I32, false, {{CONST, 2}, {DIV}}},
        {WMAP_I32, WMAP_I32, false, {{EXP}}},
        {WMAP_BOOL, WMAP_BOOL, false, {{NEG}}},
        {WMAP_C64, WMAP_C64, false, {{NEG}}},
        {WMAP_RAW32, WMAP_RAW32, false, {{CONST, 1}, {ADD}}},
        {WMAP_F32, WMAP_F64, false, {{NEG}, {BITS, WMAP_F64}}},
        {WMAP_F32, WMAP_F16, false, {{NEG}}},
        {WMAP_F32, WMAP_C64, false, {{NEG}, {CAST, WMAP_C64}}},
        {WMAP_F32, WMAP_F32, false, {{NEG}, {CAST, 99}}},
        {WMAP_F32, WMAP_F32, false, {{NEG}, {77}}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        draft d;
        draft_begin(&d);
        uint32_t s = draft_source(&d, "s", rows[i].from, 1, shape),
                 u = draft_source(&d, "u", rows[i].from, 1, shape);
        uint32_t t = draft_target(&d, "t", rows[i].to, 1, shape);
        Wmap__Move *m = draft_move(&d, 1, shape, draft_access(&d, t, 1, 1, NULL, NULL), NULL);
        m->n_sources = 2;
        m->sources = wm_new(&d.arena, Wmap__Access *, 2);
        m->sources[0] = draft_access(&d, s, 1, 1, NULL, NULL);
        m->sources[1] = draft_access(&d, u, 1, 1, NULL, NULL);
        m->ops = wm_new(&d.arena, Wmap__Op *, 8);
        for (; m->n_ops < 8 && rows[i].ops[m->n_ops][0] != END; m->n_ops++) {
            Wmap__Op *op = m->ops[m->n_ops] = wm_new(&d.arena, Wmap__Op, 1);
            wmap__op__init(op);
            op->code = (Wmap__Op__Code)rows[i].ops[m->n_ops][0];
            op->integer = op->dtype = (uint32_t)rows[i].ops[m->n_ops][1];
            op->value_case = WMAP__OP__VALUE_INTEGER;
        }
        if (rows[i].good)
            wmap_plan_free(draft_accept(&d));
        else
            draft_refuse(&d, "operations");
        draft_end(&d);
    }
}

/* "t" [3 2] becomes "u" [2 3], as a later stage. */
static void turned_back(draft *d, const char *reads)
{
    draft_begin(d);
    uint32_t s = draft_source(d, reads, WMAP_F32, 2, shape_32),
             t = draft_target(d, "u", WMAP_F32, 2, shape_23);
    draft_move(d, 2, shape_23, draft_access(d, t, 2, 2, NULL, NULL),
               draft_access(d, s, 2, 2, NULL, (int64_t[]){0, 1, 1, 0}));
}

/* Packs `later` as one more stage of `d`. */
static void add_stage(draft *d, const draft *later)
{
    ProtobufCBinaryData *then = wm_new(&d->arena, ProtobufCBinaryData, d->plan.n_then + 1);
    if (d->plan.n_then)
        memcpy(then, d->plan.then, d->plan.n_then * sizeof *then);
    size_t size = wmap__plan__get_packed_size(&later->plan);
    uint8_t *packed = wm_alloc(&d->arena, size);
    wmap__plan__pack(&later->plan, packed);
    then[d->plan.n_then++] = (ProtobufCBinaryData){size, packed};
    d->plan.then = then;
}

static void test_stages(void **state)
{
    (void)state;
    draft d, later, last;
    transposed(&d);
    turned_back(&later, "t");
    add_stage(&d, &later);
    wmap_plan *plan = draft_accept(&d);
    assert_int_equal(wmap_plan_move_count(plan), 2);
    assert_string_equal(wmap_plan_source(plan, 0, NULL)->name, "s");
    assert_string_equal(wmap_plan_target(plan, 0)->name, "u");
    wmap_plan_free(plan);
    /* the second reads what the first writes, not its source, nor another tensor, nor one of another shape */
    add_stage(&d, &later);
    draft_refuse(&d, "a stage reads other tensors");
    draft_end(&d);
    draft_end(&later);
    static const struct {
        const char *reads;
        uint64_t shape[2];
        wmap_dtype dtype;
    } rows[] = {{"x", {3, 2}, WMAP_F32}, {"t", {2, 3}, WMAP_F32}, {"t", {3, 2}, WMAP_I32}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        transposed(&d);
        draft_begin(&later);
        draft_source(&later, rows[i].reads, rows[i].dtype, 2, rows[i].shape);
        add_stage(&d, &later);
        draft_refuse(&d, "a stage reads other tensors");
        draft_end(&later);
        draft_end(&d);
    }
    /* stages have none, each is verified, and there are not too many */
    transposed(&d);
    turned_back(&later, "t");
    turned_back(&last, "u");
    add_stage(&later, &last);
    add_stage(&d, &later);
    draft_refuse(&d, "a stage has stages");
    draft_end(&last);
    later.plan.n_then = 0;
    later.plan.moves[0]->extents[0] = 1;
    d.plan.n_then = 0;
    add_stage(&d, &later);
    draft_refuse(&d, "written");
    for (later.plan.n_moves = 0; d.plan.n_then < 64;)
        add_stage(&d, &later);
    draft_refuse(&d, "more than 64 stages");
    draft_end(&later);
    draft_end(&d);
}

/* A plan that keeps what is decoded from "w" and "s". */
static Wmap__Decode *decoded(draft *d, Wmap__Decode__Kind kind)
{
    static const uint64_t shape_x[] = {3, 5}, shape_s[] = {2, 3}, packed[] = {2, 3, 4}, groups[] = {2, 3},
                          shape_y[] = {2, 24};
    bool four = kind == WMAP__DECODE__KIND__MXFP4;
    draft_begin(d);
    draft_source(d, "w", four ? WMAP_U8 : WMAP_F8_E4M3, four ? 3 : 2, four ? packed : shape_x);
    draft_source(d, "s", four ? WMAP_U8 : WMAP_F32, 2, four ? groups : shape_s);
    Wmap__Decode *one = wm_new(&d->arena, Wmap__Decode, 1);
    wmap__decode__init(one);
    one->kind = kind;
    one->source = 0;
    one->scales = 1;
    one->n_block = four ? 0 : 2;
    one->block = keep(d, (uint64_t[]){2, 2}, 2 * sizeof(uint64_t));
    d->plan.decodes = wm_new(&d->arena, Wmap__Decode *, 1);
    d->plan.decodes[d->plan.n_decodes++] = one;
    const uint64_t *shape = four ? shape_y : shape_x;
    uint32_t t = draft_target(d, "t", four ? WMAP_BF16 : WMAP_F32, 2, shape);
    draft_move(d, 2, shape, draft_access(d, t, 2, 2, NULL, NULL), draft_access(d, 2, 2, 2, NULL, NULL));
    return one;
}

static void test_decoders(void **state)
{
    (void)state;
    draft d;
    for (int kind = 0; kind < 2; kind++) {
        decoded(&d, (Wmap__Decode__Kind)kind);
        wmap_plan *plan = draft_accept(&d);
        assert_int_equal(wmap_plan_source_count(plan), 2);
        wmap_plan_free(plan);
        draft_end(&d);
    }
#define WRONG(kind, change, text)                                                                            \
    do {                                                                                                     \
        Wmap__Decode *one = decoded(&d, WMAP__DECODE__KIND__##kind);                                         \
        (void)one;                                                                                           \
        change;                                                                                              \
        draft_refuse(&d, text);                                                                              \
        draft_end(&d);                                                                                       \
    } while (0)
    WRONG(DEQUANT, one->source = 2, "no such source");
    WRONG(DEQUANT, one->scales = 7, "no such source");
    WRONG(DEQUANT, one->kind = (Wmap__Decode__Kind)9, "unknown kind");
    WRONG(DEQUANT, one->n_block = 1, "one block");
    WRONG(DEQUANT, one->block[0] = 0, "wrong shape");
    WRONG(DEQUANT, one->block[0] = 1, "wrong shape");
    WRONG(DEQUANT, d.plan.sources[1]->dtype = WMAP_I32, "floats");
    WRONG(DEQUANT, d.plan.sources[1]->dropped = 1, "dropped");
    WRONG(DEQUANT, d.plan.targets[0]->dtype = WMAP_F16, "operations");
    WRONG(DEQUANT, d.plan.moves[0]->sources[0]->tensor = 3, "no such source");
    WRONG(MXFP4, one->n_block = 2, "blocks of their own");
    WRONG(MXFP4, d.plan.sources[0]->dtype = WMAP_I8, "u8");
    WRONG(MXFP4, d.plan.sources[1]->shape[1] = 4, "wrong shape");
    WRONG(MXFP4, d.plan.sources[0]->shape[2] = d.plan.sources[0]->shape[0] = UINT64_C(1) << 62, "2^63");
#undef WRONG
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decoders),
        cmocka_unit_test(test_stages),
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_malformed_message),
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_amplified),
        cmocka_unit_test(test_lies_about_tensors),
        cmocka_unit_test(test_lies_about_moves),
        cmocka_unit_test(test_lies_about_operations),
        cmocka_unit_test(test_lies_about_guards),
        cmocka_unit_test(test_programs),
        cmocka_unit_test(test_axes_of_one),
        cmocka_unit_test(test_no_axes),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
