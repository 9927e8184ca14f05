/* emit.c: from moves to the plan's bytes. Everything in it is in a defined order: sources as the side lists
 * them, targets as they are written, moves by target; so the same inputs give the same bytes. */
#include <stdlib.h>
#include <string.h>

#include "compiler/pass.h"
#include "grammar/plan.pb-c.h"
#include "runtime/base/planfile.h"
#include "runtime/base/sha256.h"

static Wmap__Tensor *emit_tensor(wm_arena *arena, wm_str name, wmap_dtype dtype, uint32_t rank,
                                 const uint64_t *shape)
{
    Wmap__Tensor *t = wm_new(arena, Wmap__Tensor, 1);
    wmap__tensor__init(t);
    t->name = (ProtobufCBinaryData){name.len, (uint8_t *)(uintptr_t)name.p};
    t->dtype = (uint32_t)dtype;
    t->n_shape = rank;
    t->shape = (uint64_t *)(uintptr_t)shape;
    return t;
}

/* Start of zero and coefficients of the identity are left out. */
static Wmap__Access *emit_access(wm_arena *arena, uint32_t tensor, uint32_t rank, uint32_t axes,
                                 int64_t *start, int64_t *coef)
{
    Wmap__Access *a = wm_new(arena, Wmap__Access, 1);
    wmap__access__init(a);
    a->tensor = tensor;
    bool zero = true, identity = rank == axes;
    for (uint32_t d = 0; d < rank; d++)
        zero &= start[d] == 0;
    for (uint32_t k = 0; k < axes && identity; k++)
        for (uint32_t d = 0; d < rank; d++)
            identity &= coef[(size_t)k * rank + d] == (k == d);
    if (!zero) {
        a->n_start = rank;
        a->start = start;
    }
    if (!identity) {
        a->n_coef = (size_t)axes * rank;
        a->coef = coef;
    }
    return a;
}

static Wmap__Op *emit_op(wm_arena *arena, const wm_move *m)
{
    Wmap__Op *op = wm_new(arena, Wmap__Op, 1);
    wmap__op__init(op);
    if (m->fill) {
        op->code = WMAP__OP__CODE__CONST;
        op->value_case = m->fill_float ? WMAP__OP__VALUE_NUMBER : WMAP__OP__VALUE_INTEGER;
        if (m->fill_float)
            op->number = m->fill_f;
        else
            op->integer = m->fill_i;
    } else {
        op->code = WMAP__OP__CODE__CAST;
        op->dtype = (uint32_t)m->cast;
        op->policy = m->policy == WM_POLICY_SATURATE ? WMAP__OP__POLICY__SATURATE
                     : m->policy == WM_POLICY_ALLOW  ? WMAP__OP__POLICY__ALLOW
                                                     : WMAP__OP__POLICY__CHECK;
    }
    return op;
}

static Wmap__Move *emit_move(const wm_state *state, const wm_move *m, const wm_out *out, uint32_t target)
{
    wm_arena *arena = state->unit->arena;
    Wmap__Move *w = wm_new(arena, Wmap__Move, 1);
    wmap__move__init(w);
    w->target = emit_access(arena, target, out->rank, m->axis_count, m->target_start, m->target_coef);
    if (m->source != WM_NONE) {
        w->n_sources = 1;
        w->sources = wm_new(arena, Wmap__Access *, 1);
        w->sources[0] = emit_access(arena, m->source, state->source.tensors[m->source].rank, m->axis_count,
                                    m->source_start, m->source_coef);
    }
    w->n_extents = m->axis_count;
    w->extents = m->extents;
    if (m->fill || m->cast != WMAP_DTYPE_NONE) {
        w->n_ops = 1;
        w->ops = wm_new(arena, Wmap__Op *, 1);
        w->ops[0] = emit_op(arena, m);
    }
    if (m->span.file != WM_NO_FILE) {
        w->file = m->span.file;
        wm_source_position(arena, state->unit->sources[m->span.file], m->span.beg, &w->line, &w->column);
    }
    return w;
}

/* Files are named as imported; of an absolute path only the last part is kept. */
static char *file_name(wm_arena *arena, const char *name)
{
    const char *slash = name[0] == '/' ? strrchr(name, '/') : NULL;
    name = slash ? slash + 1 : name;
    return wm_copy(arena, name, strlen(name));
}

static void emit_files(const wm_state *state, Wmap__Plan *plan)
{
    wm_arena *arena = state->unit->arena;
    plan->n_files = state->unit->source_count;
    plan->files = wm_new(arena, Wmap__SpecFile *, plan->n_files);
    for (size_t i = 0; i < plan->n_files; i++) {
        const wm_source *s = state->unit->sources[i];
        Wmap__SpecFile *f = plan->files[i] = wm_new(arena, Wmap__SpecFile, 1);
        wmap__spec_file__init(f);
        f->name = file_name(arena, s->name);
        f->sha256.len = WM_SHA256_SIZE;
        f->sha256.data = wm_alloc(arena, WM_SHA256_SIZE);
        wm_sha256(s->text, s->size, f->sha256.data);
    }
}

bool wm_emit_pass(const wm_state *state, uint8_t **bytes, size_t *size)
{
    wm_arena *arena = state->unit->arena;
    Wmap__Plan plan = WMAP__PLAN__INIT;
    emit_files(state, &plan);
    plan.map = wm_copy(arena, state->program->map.p, state->program->map.len);
    plan.n_sources = state->source.count;
    plan.sources = wm_new(arena, Wmap__Tensor *, plan.n_sources);
    for (size_t i = 0; i < plan.n_sources; i++) {
        const wm_side_tensor *t = &state->source.tensors[i];
        plan.sources[i] = emit_tensor(arena, t->name, t->dtype, t->rank, t->shape);
        plan.sources[i]->dropped = !t->used;
    }
    plan.n_targets = state->written_count;
    plan.targets = wm_new(arena, Wmap__Tensor *, plan.n_targets);
    size_t moves = 0;
    for (size_t i = 0; i < plan.n_targets; i++) {
        const wm_out *out = &state->outs[state->written[i]];
        plan.targets[i] = emit_tensor(arena, out->name, out->dtype, out->rank, out->shape);
        moves += out->move_count;
    }
    plan.moves = wm_new(arena, Wmap__Move *, moves);
    for (size_t i = 0; i < plan.n_targets; i++) {
        const wm_out *out = &state->outs[state->written[i]];
        for (const wm_move *m = out->moves; m; m = m->next)
            plan.moves[plan.n_moves++] = emit_move(state, m, out, (uint32_t)i);
    }
    size_t packed = wmap__plan__get_packed_size(&plan);
    uint8_t *message = malloc(packed ? packed : 1);
    if (!message)
        return false;
    wmap__plan__pack(&plan, message);
    bool ok = wm_plan_wrap(message, packed, bytes, size);
    free(message);
    return ok;
}
