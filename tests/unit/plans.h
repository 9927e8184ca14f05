/* plans.h: for tests of plans and of running them: building a plan's message piece by piece. */
#ifndef WM_TEST_PLANS_H
#define WM_TEST_PLANS_H

#include "tests/unit/files.h"

#include "grammar/plan.pb-c.h"
#include "runtime/base/arena.h"
#include "runtime/base/planfile.h"
#include "wmap/plan.h"

typedef struct draft {
    wm_arena arena;
    Wmap__Plan plan;
} draft;

static inline void draft_begin(draft *d)
{
    wm_arena_init(&d->arena);
    wmap__plan__init(&d->plan);
    d->plan.map = wm_copy(&d->arena, "m", 1);
    d->plan.files = wm_new(&d->arena, Wmap__SpecFile *, 1);
    d->plan.sources = wm_new(&d->arena, Wmap__Tensor *, 2048);
    d->plan.targets = wm_new(&d->arena, Wmap__Tensor *, 2048);
    d->plan.moves = wm_new(&d->arena, Wmap__Move *, 8192);
    Wmap__SpecFile *file = d->plan.files[d->plan.n_files++] = wm_new(&d->arena, Wmap__SpecFile, 1);
    wmap__spec_file__init(file);
    file->name = wm_copy(&d->arena, "m.wmap", 6);
    file->sha256 = (ProtobufCBinaryData){32, wm_alloc(&d->arena, 32)};
}

static inline void draft_end(draft *d)
{
    wm_arena_release(&d->arena);
}

static inline void *keep(draft *d, const void *file, size_t size)
{
    return wm_copy(&d->arena, file, size);
}

static inline Wmap__Tensor *draft_tensor(draft *d, const char *name, wmap_dtype dtype, uint32_t rank,
                                         const uint64_t *shape)
{
    Wmap__Tensor *t = wm_new(&d->arena, Wmap__Tensor, 1);
    wmap__tensor__init(t);
    t->name = (ProtobufCBinaryData){strlen(name), keep(d, name, strlen(name))};
    t->dtype = (uint32_t)dtype;
    t->n_shape = rank;
    t->shape = keep(d, shape, rank * sizeof *shape);
    return t;
}

static inline uint32_t draft_source(draft *d, const char *name, wmap_dtype dtype, uint32_t rank,
                                    const uint64_t *shape)
{
    d->plan.sources[d->plan.n_sources] = draft_tensor(d, name, dtype, rank, shape);
    return (uint32_t)d->plan.n_sources++;
}

static inline uint32_t draft_target(draft *d, const char *name, wmap_dtype dtype, uint32_t rank,
                                    const uint64_t *shape)
{
    d->plan.targets[d->plan.n_targets] = draft_tensor(d, name, dtype, rank, shape);
    return (uint32_t)d->plan.n_targets++;
}

/* `start` and `coef` may be NULL: zero, the identity. */
static inline Wmap__Access *draft_access(draft *d, uint32_t tensor, uint32_t rank, uint32_t axes,
                                         const int64_t *start, const int64_t *coef)
{
    Wmap__Access *a = wm_new(&d->arena, Wmap__Access, 1);
    wmap__access__init(a);
    a->tensor = tensor;
    if (start) {
        a->n_start = rank;
        a->start = keep(d, start, rank * sizeof *start);
    }
    if (coef) {
        a->n_coef = (size_t)axes * rank;
        a->coef = keep(d, coef, a->n_coef * sizeof *coef);
    }
    return a;
}

static inline Wmap__Move *draft_move(draft *d, uint32_t axes, const uint64_t *extents, Wmap__Access *target,
                                     Wmap__Access *source)
{
    Wmap__Move *m = d->plan.moves[d->plan.n_moves++] = wm_new(&d->arena, Wmap__Move, 1);
    wmap__move__init(m);
    m->n_extents = axes;
    m->extents = keep(d, extents, axes * sizeof *extents);
    m->target = target;
    if (source) {
        m->n_sources = 1;
        m->sources = wm_new(&d->arena, Wmap__Access *, 1);
        m->sources[0] = source;
    }
    m->line = 3;
    m->column = 5;
    return m;
}

static inline Wmap__Op *draft_op(draft *d, Wmap__Move *m, Wmap__Op__Code code)
{
    Wmap__Op *op = wm_new(&d->arena, Wmap__Op, 1);
    wmap__op__init(op);
    op->code = code;
    m->ops = wm_new(&d->arena, Wmap__Op *, 1);
    m->ops[0] = op;
    m->n_ops = 1;
    return op;
}

static inline void draft_cast(draft *d, Wmap__Move *m, wmap_dtype to, Wmap__Op__Policy policy)
{
    Wmap__Op *op = draft_op(d, m, WMAP__OP__CODE__CAST);
    op->dtype = (uint32_t)to;
    op->policy = policy;
}

static inline void draft_fill(draft *d, Wmap__Move *m, int64_t value)
{
    Wmap__Op *op = draft_op(d, m, WMAP__OP__CODE__CONST);
    op->value_case = WMAP__OP__VALUE_INTEGER;
    op->integer = value;
}

/* The bytes of the file (malloc). */
static inline uint8_t *draft_bytes(const draft *d, size_t *size)
{
    size_t packed = wmap__plan__get_packed_size(&d->plan);
    uint8_t *message = malloc(packed ? packed : 1), *file = NULL;
    assert_non_null(message);
    wmap__plan__pack(&d->plan, message);
    assert_true(wm_plan_wrap(message, packed, &file, size));
    free(message);
    return file;
}

static inline wmap_plan *draft_parse(const draft *d, wmap_error *err)
{
    size_t size;
    uint8_t *file = draft_bytes(d, &size);
    memset(err, 0, sizeof *err);
    wmap_plan *plan = wmap_plan_parse(file, size, "p.plan", err);
    free(file);
    return plan;
}

static inline wmap_plan *draft_accept(const draft *d)
{
    wmap_error err;
    wmap_plan *plan = draft_parse(d, &err);
    if (!plan)
        fail_msg("refused: %s", err.message);
    return plan;
}

static inline void draft_refuse(const draft *d, const char *text)
{
    wmap_error err;
    wmap_plan *plan = draft_parse(d, &err);
    if (plan)
        fail_msg("accepted, though: %s", text);
    assert_int_equal(err.code, WMAP_E_PLAN);
    assert_string_equal(err.file, "p.plan");
    if (!strstr(err.message, text))
        fail_msg("\"%s\" does not say \"%s\"", err.message, text);
}

#endif
