/* plan.c: a plan's bytes to a verified plan in memory, and the questions asked of it. */
#include "runtime/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/dtype.h"
#include "runtime/base/error.h"
#include "runtime/base/planfile.h"
#include "runtime/base/size.h"
#include "runtime/base/text.h"

/* ---- memory for protobuf-c: from the arena, and no more than the message deserves ---- */

/* A move of 20 bytes becomes some 400 bytes of structs; a hostile message of empty ones could ask for 60
 * times its size and is refused first. */
#define FREE_MEMORY ((size_t)32 << 20)
#define PER_BYTE    ((size_t)48)

typedef struct budget {
    wm_arena *arena;
    size_t left;
    bool over, oom;
} budget;

/* With a byte more: names end with NUL in memory, in the message they don't. */
static void *budget_alloc(void *data, size_t size)
{
    budget *b = data;
    if (size >= b->left) {
        b->over = true;
        return NULL;
    }
    void *memory = wm_alloc(b->arena, size + 1);
    if (memory)
        b->left -= size;
    else
        b->oom = true;
    return memory;
}

static void budget_free(void *data, void *memory)
{
    (void)data;
    (void)memory; /* the arena frees all at once */
}

static bool unpack(wmap_plan *plan, const uint8_t *message, size_t size, wmap_error *err)
{
    budget b = {&plan->arena, FREE_MEMORY, false, false};
    if (size < (SIZE_MAX - FREE_MEMORY) / PER_BYTE)
        b.left += size * PER_BYTE;
    ProtobufCAllocator allocator = {budget_alloc, budget_free, &b};
    plan->message = wmap__plan__unpack(&allocator, size, message);
    if (plan->message)
        return true;
    if (b.oom)
        return wm_fail(err, WMAP_E_NOMEM, "out of memory for the plan");
    if (b.over)
        return wm_fail(err, WMAP_E_PLAN,
                       "not a sound plan: it would take more memory than its size allows for");
    wm_fail(err, WMAP_E_PLAN, "not a sound plan: its message is malformed");
    return wm_error_offset(err, WM_PLAN_HEADER_SIZE);
}

/* With room for `more` behind them. */
static wmap_tensor *headers(wmap_plan *plan, Wmap__Tensor **list, size_t count, size_t more, wmap_error *err)
{
    wmap_tensor *tensors = wm_new(&plan->arena, wmap_tensor, count + more);
    for (size_t i = 0; tensors && i < count; i++) {
        const Wmap__Tensor *t = list[i];
        const char *name = t->name.len ? (const char *)t->name.data : "";
        uint32_t rank = t->n_shape <= WMAP_MAX_RANK ? (uint32_t)t->n_shape : WMAP_MAX_RANK + 1;
        wmap_dtype dtype = t->dtype <= WMAP_OPAQUE ? (wmap_dtype)t->dtype : WMAP_DTYPE_NONE;
        tensors[i] = (wmap_tensor){name, t->name.len, dtype, rank, t->shape};
    }
    if (!tensors)
        wm_fail(err, WMAP_E_NOMEM, "out of memory for the plan");
    return tensors;
}

/* One stage from its message. */
static bool build(wmap_plan *plan, const uint8_t *message, size_t size, wmap_error *err)
{
    if (!unpack(plan, message, size, err))
        return false;
    const Wmap__Plan *p = plan->message;
    plan->sources = headers(plan, p->sources, p->n_sources, p->n_decodes, err);
    plan->targets = plan->sources ? headers(plan, p->targets, p->n_targets, 0, err) : NULL;
    return plan->targets && wm_plan_verify(plan, err);
}

static wmap_plan *new_plan(wmap_error *err)
{
    wmap_plan *plan = calloc(1, sizeof *plan);
    if (plan)
        wm_arena_init(&plan->arena);
    else
        wm_fail(err, WMAP_E_NOMEM, "out of memory for the plan");
    return plan;
}

/* Does a stage read what the one before it writes? */
static bool follows(const wmap_plan *plan, const wmap_plan *before)
{
    if (plan->message->n_sources != before->message->n_targets)
        return false;
    for (size_t i = 0; i < plan->message->n_sources; i++) {
        const wmap_tensor *a = &plan->sources[i], *b = &before->targets[i];
        if (a->name_len != b->name_len || memcmp(a->name, b->name, a->name_len) != 0 ||
            a->dtype != b->dtype || a->rank != b->rank ||
            (a->rank && memcmp(a->shape, b->shape, a->rank * sizeof *a->shape) != 0))
            return false;
    }
    return true;
}

/* The stages behind the first. */
static bool build_rest(wmap_plan *plan, wmap_error *err)
{
    const Wmap__Plan *whole = plan->message;
    if (whole->n_then >= WM_PLAN_MAX_STAGES)
        return wm_fail(err, WMAP_E_PLAN, "not a sound plan: it has more than %zu stages", WM_PLAN_MAX_STAGES);
    for (size_t i = 0; i < whole->n_then; i++, plan = plan->next) {
        plan->next = new_plan(err);
        if (!plan->next || !build(plan->next, whole->then[i].data, whole->then[i].len, err))
            return false;
        if (plan->next->message->n_then)
            return wm_fail(err, WMAP_E_PLAN, "not a sound plan: a stage has stages");
        if (!follows(plan->next, plan))
            return wm_fail(err, WMAP_E_PLAN,
                           "not a sound plan: a stage reads other tensors than the one before it writes");
    }
    return true;
}

static bool open_plan(wmap_plan *plan, const uint8_t *bytes, size_t size, wmap_error *err)
{
    const uint8_t *message;
    size_t message_size;
    return wm_plan_unwrap(bytes, size, &message, &message_size, err) &&
           build(plan, message, message_size, err) && build_rest(plan, err);
}

wmap_plan *wmap_plan_parse(const uint8_t *bytes, size_t size, const char *label, wmap_error *err)
{
    wmap_plan *plan = new_plan(err);
    if (plan && open_plan(plan, bytes, size, err))
        return plan;
    wm_error_file(err, label);
    wmap_plan_free(plan);
    return NULL;
}

/* The whole file in memory (malloc). */
static uint8_t *read_all(int fd, size_t size, size_t *got, wmap_error *err)
{
    uint8_t *bytes = malloc(size ? size : 1);
    if (!bytes) {
        wm_fail(err, WMAP_E_NOMEM, "out of memory for the plan");
        return NULL;
    }
    for (*got = 0; *got < size;) {
        ssize_t n = read(fd, bytes + *got, size - *got);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            wm_fail_errno(err, WMAP_E_IO, errno, "can't read");
            free(bytes);
            return NULL;
        }
        if (n == 0)
            break;
        *got += (size_t)n;
    }
    return bytes;
}

wmap_plan *wmap_plan_open(const char *path, wmap_error *err)
{
    wmap_plan *plan = NULL;
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        wm_fail_errno(err, WMAP_E_IO, errno, "can't open");
    } else if (fstat(fd, &st) != 0) {
        wm_fail_errno(err, WMAP_E_IO, errno, "can't read");
    } else if (!S_ISREG(st.st_mode)) {
        wm_fail(err, WMAP_E_IO, "not a regular file");
    } else if ((uint64_t)st.st_size > WM_PLAN_MAX_MESSAGE + WM_PLAN_HEADER_SIZE) {
        wm_fail(err, WMAP_E_PLAN, "not a sound plan: it is longer than a plan may be");
    } else {
        size_t got = 0;
        uint8_t *bytes = read_all(fd, (size_t)st.st_size, &got, err);
        if (bytes)
            plan = wmap_plan_parse(bytes, got, path, err);
        free(bytes);
    }
    if (fd >= 0)
        close(fd);
    if (!plan)
        wm_error_file(err, path);
    return plan;
}

void wmap_plan_free(wmap_plan *plan)
{
    for (wmap_plan *next; plan; plan = next) {
        next = plan->next;
        wm_arena_release(&plan->arena);
        free(plan);
    }
}

bool wmap_plan_probe(const uint8_t *bytes, size_t size)
{
    return wm_plan_magic(bytes, size);
}

/* ---- questions ---- */

size_t wmap_plan_source_count(const wmap_plan *plan)
{
    return plan->message->n_sources;
}

const wmap_tensor *wmap_plan_source(const wmap_plan *plan, size_t index, bool *dropped)
{
    if (dropped)
        *dropped = plan->message->sources[index]->dropped;
    return &plan->sources[index];
}

const wmap_plan *wm_plan_last(const wmap_plan *plan)
{
    while (plan->next)
        plan = plan->next;
    return plan;
}

size_t wmap_plan_target_count(const wmap_plan *plan)
{
    return wm_plan_last(plan)->message->n_targets;
}

const wmap_tensor *wmap_plan_target(const wmap_plan *plan, size_t index)
{
    return &wm_plan_last(plan)->targets[index];
}

size_t wmap_plan_move_count(const wmap_plan *plan)
{
    size_t count = 0;
    for (; plan; plan = plan->next)
        count += plan->message->n_moves;
    return count;
}

int64_t wm_access_start(const Wmap__Access *access, uint32_t d)
{
    return access->n_start ? access->start[d] : 0;
}

int64_t wm_access_coef(const Wmap__Access *access, size_t k, uint32_t d, uint32_t rank)
{
    return access->n_coef ? access->coef[k * rank + d] : k == d;
}

const wmap_tensor *wm_move_source(const wmap_plan *plan, const Wmap__Move *move)
{
    return move->n_sources ? &plan->sources[move->sources[0]->tensor] : NULL;
}

void wm_move_dtypes(const wmap_plan *plan, const Wmap__Move *move, wmap_dtype dtypes[WM_VALUE_SOURCES])
{
    for (size_t k = 0; k < move->n_sources && k < WM_VALUE_SOURCES; k++)
        dtypes[k] = plan->sources[move->sources[k]->tensor].dtype;
}

bool wm_guards_constant(const Wmap__Move *move)
{
    return move->n_ops > 1 && move->ops[move->n_ops - 2]->code == WMAP__OP__CODE__CONST;
}

size_t wm_first_guard(const wmap_plan *plan)
{
    return plan->first[plan->message->n_targets];
}

const Wmap__Access *wm_move_lead(const wmap_plan *plan, const Wmap__Move *move, const wmap_tensor **tensor)
{
    const Wmap__Access *lead = wm_is_guard(move) ? move->sources[0] : move->target;
    *tensor = wm_is_guard(move) ? &plan->sources[lead->tensor] : &plan->targets[lead->tensor];
    return lead;
}

static bool guard_program(const wmap_plan *plan, const Wmap__Move *move, wm_program *program)
{
    wmap_dtype from[WM_VALUE_SOURCES];
    *program = (wm_program){.what = WM_DO_CHECK};
    wm_move_dtypes(plan, move, from);
    return wm_value_sound(move, from, move->n_sources, WMAP_DTYPE_NONE);
}

bool wm_move_program(const wmap_plan *plan, const Wmap__Move *move, wm_program *program)
{
    if (wm_is_guard(move))
        return guard_program(plan, move, program);
    const wmap_tensor *target = &plan->targets[move->target->tensor], *source = wm_move_source(plan, move);
    *program = (wm_program){.what = WM_DO_COPY, .from = target->dtype};
    if (move->n_sources > 1 || (source && move->n_ops > 1) ||
        (source && move->n_ops && move->ops[0]->code != WMAP__OP__CODE__CAST)) {
        wmap_dtype from[WM_VALUE_SOURCES];
        program->what = WM_DO_VALUE;
        wm_move_dtypes(plan, move, from);
        return wm_value_sound(move, from, move->n_sources, target->dtype);
    }
    if (move->n_ops == 0)
        return source && source->dtype == target->dtype;
    const Wmap__Op *op = move->ops[0];
    if (move->n_ops != 1)
        return false;
    if (op->code == WMAP__OP__CODE__CONST && !source) {
        program->what = WM_DO_FILL;
        if (op->value_case == WMAP__OP__VALUE_INTEGER)
            return wm_constant_integer(target->dtype, op->integer, program->element);
        return op->value_case == WMAP__OP__VALUE_NUMBER &&
               wm_constant_number(target->dtype, op->number, program->element);
    }
    if (op->code != WMAP__OP__CODE__CAST || !source || op->dtype != target->dtype)
        return false;
    program->what = source->dtype == target->dtype ? WM_DO_COPY : WM_DO_CAST;
    program->from = source->dtype;
    switch (op->policy) {
    case WMAP__OP__POLICY__CHECK:
        program->policy = WM_CAST_CHECK;
        break;
    case WMAP__OP__POLICY__SATURATE:
        program->policy = WM_CAST_SATURATE;
        break;
    case WMAP__OP__POLICY__ALLOW:
        program->policy = WM_CAST_ALLOW;
        break;
    default:
        return false;
    }
    return wm_castable(source->dtype, target->dtype);
}

/* The position that an access starts at, and its step along axis k, in elements. */
static int64_t flat(const Wmap__Access *access, const wmap_tensor *tensor, const int64_t *strides, bool start,
                    size_t k)
{
    int64_t at = 0, row = 1;
    for (uint32_t d = tensor->rank; d-- > 0;) {
        int64_t c = start ? wm_access_start(access, d) : wm_access_coef(access, k, d, tensor->rank);
        at += c * (strides ? strides[d] : row);
        row *= (int64_t)tensor->shape[d];
    }
    return at;
}

void wm_move_block(const wmap_plan *plan, const Wmap__Move *move, const int64_t *strides, wm_block *block)
{
    wm_move_block_of(plan, move, 0, strides, block);
}

void wm_move_block_of(const wmap_plan *plan, const Wmap__Move *move, size_t number, const int64_t *strides,
                      wm_block *block)
{
    const wmap_tensor *lead;
    const Wmap__Access *to = wm_move_lead(plan, move, &lead);
    const Wmap__Access *access = number < move->n_sources ? move->sources[number] : NULL;
    const wmap_tensor *source = access ? &plan->sources[access->tensor] : NULL;
    block->count = 0;
    block->to = flat(to, lead, NULL, true, 0);
    block->from = source ? flat(access, source, strides, true, 0) : 0;
    for (size_t k = 0; k < move->n_extents; k++) {
        if (move->extents[k] == 1) /* its coefficients may be anything */
            continue;
        wm_axis *a = &block->axes[block->count++];
        a->extent = move->extents[k];
        a->to = flat(to, lead, NULL, false, k);
        a->from = source ? flat(access, source, strides, false, k) : 0;
    }
    wm_block_tidy(block);
}

char *wm_move_place(const wmap_plan *plan, const Wmap__Move *move, char *out, size_t size)
{
    out[0] = 0;
    if (move->line) {
        char name[200];
        const char *file = plan->message->files[move->file]->name;
        snprintf(out, size, "%s:%u:%u", wm_show(name, sizeof name, file, strlen(file)), move->line,
                 move->column);
    }
    return out;
}
