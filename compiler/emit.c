/* emit.c: from moves to the plan's bytes. Everything in it is in a defined order: sources as the side lists
 * them, targets as they are written, moves by target; so the same inputs give the same bytes. A message is
 * the same bytes as the messages of its parts in a row, so the plan is packed tensor by tensor and move by
 * move and never stands in memory as structs. */
#include <stdlib.h>
#include <string.h>

#include "compiler/pass.h"
#include "compiler/scope.h"
#include "grammar/plan.pb-c.h"
#include "runtime/base/planfile.h"
#include "runtime/base/sha256.h"

/* Parts are counted first, then written: the second time `at` is set, and nothing is allocated. */
typedef struct sink {
    uint8_t *at;
    size_t size;
} sink;

static void put_bytes(sink *out, const uint8_t *bytes, size_t size)
{
    if (out->at && size)
        memcpy(out->at + out->size, bytes, size);
    out->size += size;
}

static void put(sink *out, const Wmap__Plan *part)
{
    if (out->at)
        out->size += wmap__plan__pack(part, out->at + out->size);
    else
        out->size += wmap__plan__get_packed_size(part);
}

static void put_tensor(sink *out, bool source, wm_str name, wmap_dtype dtype, uint32_t rank,
                       const uint64_t *shape, bool dropped, uint32_t whole)
{
    Wmap__Plan part = WMAP__PLAN__INIT;
    Wmap__Tensor t = WMAP__TENSOR__INIT, *list = &t;
    t.name = (ProtobufCBinaryData){name.len, (uint8_t *)(uintptr_t)name.p};
    t.dtype = (uint32_t)dtype;
    t.n_shape = rank;
    t.shape = (uint64_t *)(uintptr_t)shape;
    t.dropped = dropped;
    t.whole = whole;
    *(source ? &part.n_sources : &part.n_targets) = 1;
    *(source ? &part.sources : &part.targets) = &list;
    put(out, &part);
}

/* Start of zero and coefficients of the identity are left out. */
static void fill_access(Wmap__Access *a, uint32_t tensor, uint32_t rank, uint32_t axes, int64_t *start,
                        int64_t *coef)
{
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
}

static void constant_op(Wmap__Op *op, bool is_float, int64_t whole, double number)
{
    op->code = WMAP__OP__CODE__CONST;
    op->value_case = is_float ? WMAP__OP__VALUE_NUMBER : WMAP__OP__VALUE_INTEGER;
    if (is_float)
        op->number = number;
    else
        op->integer = whole;
}

static void cast_op(Wmap__Op *op, wmap_dtype to, enum wm_policy policy)
{
    op->code = WMAP__OP__CODE__CAST;
    op->dtype = (uint32_t)to;
    op->policy = policy == WM_POLICY_SATURATE ? WMAP__OP__POLICY__SATURATE
                 : policy == WM_POLICY_ALLOW  ? WMAP__OP__POLICY__ALLOW
                                              : WMAP__OP__POLICY__CHECK;
}

static void step_op(Wmap__Op *op, const wm_code *c)
{
    static const Wmap__Op__Code codes[] = {
        [WM_STEP_LOAD] = WMAP__OP__CODE__LOAD,      [WM_STEP_ADD] = WMAP__OP__CODE__ADD,
        [WM_STEP_SUB] = WMAP__OP__CODE__SUB,        [WM_STEP_MUL] = WMAP__OP__CODE__MUL,
        [WM_STEP_DIV] = WMAP__OP__CODE__DIV,        [WM_STEP_NEG] = WMAP__OP__CODE__NEG,
        [WM_STEP_EXP] = WMAP__OP__CODE__EXP,        [WM_STEP_LOG] = WMAP__OP__CODE__LOG,
        [WM_STEP_SQRT] = WMAP__OP__CODE__SQRT,      [WM_STEP_RSQRT] = WMAP__OP__CODE__RSQRT,
        [WM_STEP_POW] = WMAP__OP__CODE__POW,        [WM_STEP_CAST] = WMAP__OP__CODE__CAST,
        [WM_STEP_BITCAST] = WMAP__OP__CODE__BITCAST};
    if (c->equal) {
        op->code = WMAP__OP__CODE__EQUAL;
    } else if (c->constant) {
        constant_op(op, c->value.kind == WM_VAL_FLOAT, c->value.i, c->value.f);
    } else if (c->kind == WM_STEP_CAST) {
        cast_op(op, c->dtype, c->policy);
    } else {
        op->code = codes[c->kind];
        op->dtype = c->kind == WM_STEP_BITCAST ? (uint32_t)c->dtype : 0;
        if (c->kind == WM_STEP_LOAD) {
            op->value_case = WMAP__OP__VALUE_INTEGER;
            op->integer = c->source;
        }
    }
}

/* The program of a move: `ops` has room for code_count, and for one. */
static size_t fill_ops(Wmap__Op *ops, const wm_move *m)
{
    size_t count = m->code_count ? m->code_count : m->fill || m->cast != WMAP_DTYPE_NONE;
    for (size_t i = 0; i < count; i++)
        wmap__op__init(&ops[i]);
    for (size_t i = 0; i < m->code_count; i++)
        step_op(&ops[i], &m->code[i]);
    if (!m->code_count && m->fill)
        constant_op(&ops[0], m->fill_float, m->fill_i, m->fill_f);
    else if (!m->code_count && count)
        cast_op(&ops[0], m->cast, m->policy);
    return count;
}

/* What one move is made of. Most have one source and one operation, so the room for these is here. */
typedef struct parts {
    Wmap__Access to, first, *accesses;
    Wmap__Access *one_source, **sources;
    Wmap__Op one_op, *ops, *one, **op_list;
} parts;

static void make_room(parts *p, wm_arena *arena, const wm_move *m)
{
    size_t sources = 1 + (size_t)m->extra_count, ops = m->code_count ? m->code_count : 1;
    p->accesses = sources > 1 ? wm_new(arena, Wmap__Access, sources) : &p->first;
    p->sources = sources > 1 ? wm_new(arena, Wmap__Access *, sources) : &p->one_source;
    p->ops = ops > 1 ? wm_new(arena, Wmap__Op, ops) : &p->one_op;
    p->op_list = ops > 1 ? wm_new(arena, Wmap__Op *, ops) : &p->one;
    for (size_t i = 0; i < sources; i++)
        p->sources[i] = &p->accesses[i];
    for (size_t i = 0; i < ops; i++)
        p->op_list[i] = &p->ops[i];
}

static void put_move(wm_buffer *out, const wm_state *state, const wm_move *m, uint32_t rank, uint32_t target)
{
    Wmap__Plan part = WMAP__PLAN__INIT;
    Wmap__Move w = WMAP__MOVE__INIT, *moves = &w;
    parts p;
    make_room(&p, state->unit->scratch, m);
    if (m->target != WM_NONE) {
        fill_access(&p.to, target, rank, m->axis_count, m->target_start, m->target_coef);
        w.target = &p.to;
    }
    if (m->source != WM_NONE) {
        fill_access(&p.accesses[0], m->source, state->source.tensors[m->source].rank, m->axis_count,
                    m->source_start, m->source_coef);
        for (uint32_t k = 0; k < m->extra_count; k++)
            fill_access(&p.accesses[1 + k], m->extras[k].tensor, m->extras[k].rank, m->axis_count,
                        m->extras[k].start, m->extras[k].coef);
        w.n_sources = 1 + (size_t)m->extra_count;
        w.sources = p.sources;
    }
    w.n_extents = m->axis_count;
    w.extents = m->extents;
    w.n_ops = fill_ops(p.ops, m);
    w.ops = p.op_list;
    if (m->span.file != WM_NO_FILE) {
        w.file = m->span.file;
        wm_source_position(state->unit->arena, state->unit->sources[m->span.file], m->span.beg, &w.line,
                           &w.column);
    }
    part.n_moves = 1;
    part.moves = &moves;
    size_t size = wmap__plan__get_packed_size(&part);
    uint8_t *bytes = wm_alloc(out->arena, size);
    wmap__plan__pack(&part, bytes);
    wm_buffer_add(out, (const char *)bytes, size);
}

void wm_emit_moves(wm_state *state, size_t at, const wm_move *moves)
{
    wm_out *out = &state->outs[at];
    /* Of a known target each tensor is written, so the number that is declared is the one it will have. */
    uint32_t target = (uint32_t)(state->target.known ? out->order : state->program->order ? out->place : at);
    wm_buffer all = {.arena = state->unit->scratch};
    for (const wm_move *m = moves; m; m = m->next)
        put_move(&all, state, m, out->rank, target);
    out->moves = (const uint8_t *)wm_copy(state->unit->arena, all.text, all.len);
    out->moves_size = all.len;
}

void wm_emit_guards(wm_state *state, const wm_move *moves)
{
    wm_arena *arena = state->unit->arena;
    for (const wm_move *m = moves; m; m = m->next) {
        wm_buffer all = {.arena = state->unit->scratch};
        put_move(&all, state, m, 0, WM_NONE);
        const uint8_t *bytes = (const uint8_t *)wm_copy(arena, all.text, all.len);
        if (state->guard_count == 0)
            wm_map_init(&state->guard_map, arena, 64);
        if (wm_map_put(&state->guard_map, bytes, all.len, 1, NULL) == WM_MAP_NONE)
            *wm_push(arena, state->guards, state->guard_count, state->guard_cap) =
                (struct wm_packed){bytes, all.len};
    }
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
    plan->files = wm_new(arena, Wmap__SpecFile *, state->unit->source_count);
    for (size_t i = 0; i < state->unit->source_count; i++) {
        const wm_source *s = state->unit->sources[i];
        if (s->option)
            continue;
        Wmap__SpecFile *f = plan->files[plan->n_files++] = wm_new(arena, Wmap__SpecFile, 1);
        wmap__spec_file__init(f);
        f->name = file_name(arena, s->name);
        f->sha256.len = WM_SHA256_SIZE;
        f->sha256.data = wm_alloc(arena, WM_SHA256_SIZE);
        wm_sha256(s->text, s->size, f->sha256.data);
    }
}

/* A pattern over keys: its text, in which FF 01 stands for {*}, FF 02 for {**} and FF 03 for a number; FF is
 * no byte of UTF-8. */
static ProtobufCBinaryData key_pattern(wm_arena *arena, const wm_pattern *pattern)
{
    size_t size = pattern->text.len + 1;
    for (uint32_t h = 0; h < pattern->count; h++)
        size += pattern->holes[h].text.len + 2;
    ProtobufCBinaryData out = {0, wm_alloc(arena, size)};
    for (uint32_t h = 0; h < pattern->count; h++) {
        const wm_hole *hole = &pattern->holes[h];
        if (hole->kind == WM_HOLE_TEXT) {
            memcpy(out.data + out.len, hole->text.p, hole->text.len);
            out.len += hole->text.len;
            continue;
        }
        out.data[out.len++] = 0xff;
        out.data[out.len++] = hole->kind == WM_HOLE_STAR ? 1 : hole->kind == WM_HOLE_STARSTAR ? 2 : 3;
    }
    return out;
}

static void emit_metas(const wm_state *state, Wmap__Plan *plan)
{
    wm_arena *arena = state->unit->arena;
    const wm_program *p = state->program;
    plan->n_metas = p->meta_count;
    plan->metas = wm_new(arena, Wmap__Meta *, p->meta_count);
    for (size_t i = 0; i < p->meta_count; i++) {
        Wmap__Meta *m = plan->metas[i] = wm_new(arena, Wmap__Meta, 1);
        wmap__meta__init(m);
        m->key = (ProtobufCBinaryData){p->metas[i].key.len,
                                       (uint8_t *)wm_copy(arena, p->metas[i].key.p, p->metas[i].key.len)};
        m->value = (ProtobufCBinaryData){
            p->metas[i].value.len, (uint8_t *)wm_copy(arena, p->metas[i].value.p, p->metas[i].value.len)};
    }
    plan->n_dropped_metas = p->meta_drop_count;
    plan->dropped_metas = wm_new(arena, ProtobufCBinaryData, p->meta_drop_count);
    for (size_t i = 0; i < p->meta_drop_count; i++)
        plan->dropped_metas[i] = key_pattern(arena, p->meta_drops[i]);
}

static void put_decode(sink *out, const wm_decode *decode)
{
    Wmap__Plan part = WMAP__PLAN__INIT;
    Wmap__Decode d = WMAP__DECODE__INIT, *list = &d;
    d.kind = decode->packed ? WMAP__DECODE__KIND__MXFP4 : WMAP__DECODE__KIND__DEQUANT;
    d.source = decode->source;
    d.scales = decode->scales;
    d.n_block = decode->block_count;
    d.block = (uint64_t *)(uintptr_t)decode->block;
    part.n_decodes = 1;
    part.decodes = &list;
    put(out, &part);
}

/* A varint, as protobuf writes one. */
static void put_varint(sink *out, uint64_t value)
{
    uint8_t bytes[10];
    size_t size = 0;
    for (; value >= 0x80; value >>= 7)
        bytes[size++] = (uint8_t)(value | 0x80);
    bytes[size++] = (uint8_t)value;
    put_bytes(out, bytes, size);
}

/* What there is once. */
static Wmap__Plan plan_of(const wm_state *state)
{
    Wmap__Plan plan = WMAP__PLAN__INIT;
    emit_files(state, &plan);
    plan.map = wm_copy(state->unit->arena, state->program->map.p, state->program->map.len);
    plan.format = wm_copy(state->unit->arena, state->program->format.p, state->program->format.len);
    emit_metas(state, &plan);
    return plan;
}

static void put_stage(sink *out, const wm_state *state, const Wmap__Plan *plan)
{
    put(out, plan);
    for (size_t i = 0; i < state->source.count; i++) {
        const wm_side_tensor *t = &state->source.tensors[i];
        put_tensor(out, true, t->name, t->dtype, t->rank, t->shape, !t->used, 0);
    }
    for (size_t i = 0; i < state->decode_count; i++)
        put_decode(out, &state->decodes[i]);
    for (size_t i = 0; i < state->written_count; i++) {
        const wm_out *t = &state->outs[state->written[i]];
        put_tensor(out, false, t->name, t->dtype, t->rank, t->shape, false,
                   t->dtype == WMAP_OPAQUE ? t->kept + 1 : 0);
    }
    for (size_t i = 0; i < state->written_count; i++) {
        const wm_out *t = &state->outs[state->written[i]];
        put_bytes(out, t->moves, t->moves_size);
    }
    for (size_t i = 0; i < state->guard_count; i++)
        put_bytes(out, state->guards[i].bytes, state->guards[i].size);
}

/* Later stages are plans in bytes fields of the first. */
static void put_all(sink *out, const wm_state *states, size_t count, const Wmap__Plan *plans)
{
    enum { BYTES = 2 }; /* the wire type of what has a length */
    put_stage(out, &states[0], &plans[0]);
    for (size_t i = 1; i < count; i++) {
        sink size = {NULL, 0};
        put_stage(&size, &states[i], &plans[i]);
        put_varint(out, WM_PLAN_THEN << 3 | BYTES);
        put_varint(out, size.size);
        put_stage(out, &states[i], &plans[i]);
    }
}

bool wm_emit_pass(const wm_state *states, size_t count, uint8_t **bytes, size_t *size)
{
    Wmap__Plan *plans = wm_new(states->unit->arena, Wmap__Plan, count);
    sink out = {NULL, 0};
    for (size_t i = 0; i < count; i++)
        plans[i] = plan_of(&states[i]);
    put_all(&out, states, count, plans);
    if (!wm_plan_alloc(out.size, bytes, size))
        return false;
    out = (sink){*bytes + WM_PLAN_HEADER_SIZE, 0};
    put_all(&out, states, count, plans);
    size_t guards = 0;
    for (size_t i = 0; i < count; i++)
        guards += states[i].guard_count;
    wm_plan_seal(*bytes, *size, guards ? WM_PLAN_GUARDS : WM_PLAN_OLDEST);
    return true;
}
