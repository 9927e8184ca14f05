/* value.c: runs the programs of moves. Floating-point elements are widened to double, whole numbers to 128
 * bits; the operations of a program are done one after the other over a chunk of elements, none of them
 * fused, and the result is rounded once, where a cast asks for it or at the end. */
#include "runtime/value.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/dtype.h"

typedef __int128 wide;

/* An element of the stack, for each of the chunk. */
typedef struct slot {
    enum { CONSTANT, ELEMENTS, FLOATS, WHOLES } form;
    wmap_dtype dtype;
    bool is_float; /* CONSTANT */
    double number;
    int64_t whole;
    union {
        uint8_t bytes[WM_VALUE_CHUNK * WM_LARGEST_ELEMENT]; /* ELEMENTS */
        double f[WM_VALUE_CHUNK];                           /* FLOATS */
        wide w[WM_VALUE_CHUNK];                             /* WHOLES */
    } u;
} slot;

struct wm_value_room {
    slot stack[WM_VALUE_DEPTH];
    uint8_t scratch[WM_VALUE_CHUNK * WM_LARGEST_ELEMENT];
    bool bad[WM_VALUE_CHUNK]; /* elements that were counted already */
    uint8_t gathered[WM_VALUE_SOURCES][WM_VALUE_CHUNK * WM_LARGEST_ELEMENT];
};

wm_value_room *wm_value_room_new(void)
{
    return calloc(1, sizeof(wm_value_room));
}

uint8_t *wm_value_gather(wm_value_room *room, size_t k)
{
    return room->gathered[k];
}

static wm_kind kind_of(wmap_dtype dtype)
{
    const wm_dtype_info *info = wm_dtype(dtype);
    return info ? info->kind : WM_KIND_NONE;
}

/* ---- soundness ---- */

/* What is known of an element of the stack. */
typedef struct known {
    bool constant, is_float;
    wmap_dtype dtype;
    int64_t whole; /* of a constant, as the next */
    double number;
} known;

static bool is_whole(wm_kind kind)
{
    return kind == WM_KIND_UINT || kind == WM_KIND_INT;
}

static bool takes(Wmap__Op__Code code, wm_kind kind)
{
    bool simple = code == WMAP__OP__CODE__ADD || code == WMAP__OP__CODE__SUB || code == WMAP__OP__CODE__MUL ||
                  code == WMAP__OP__CODE__NEG;
    return kind == WM_KIND_FLOAT || (simple && is_whole(kind));
}

static bool check_binary(const Wmap__Op *op, known *stack, size_t *depth)
{
    if (*depth < 2)
        return false;
    known *a = &stack[*depth - 2], *b = &stack[*depth - 1];
    if (a->constant || (!b->constant && a->dtype != b->dtype))
        return false;
    if (b->constant && b->is_float && kind_of(a->dtype) != WM_KIND_FLOAT)
        return false;
    if (op->code == WMAP__OP__CODE__POW && !b->constant)
        return false;
    *depth -= 1;
    return takes(op->code, kind_of(a->dtype));
}

static bool check_conversion(const Wmap__Op *op, known *top)
{
    wmap_dtype to = (wmap_dtype)op->dtype;
    if (top->constant || !wm_dtype(to))
        return false;
    bool good = op->code == WMAP__OP__CODE__CAST
                    ? wm_castable(top->dtype, to) && op->policy <= WMAP__OP__POLICY__ALLOW
                    : wmap_dtype_size(top->dtype) == wmap_dtype_size(to);
    top->dtype = to;
    return good;
}

/* A constant as an element of the dtype that it is compared with. */
static bool element_of(wmap_dtype dtype, bool is_float, int64_t whole, double number,
                       uint8_t element[WM_LARGEST_ELEMENT])
{
    return is_float ? wm_constant_number(dtype, number, element) : wm_constant_integer(dtype, whole, element);
}

static bool check_equal(const known *stack, size_t *depth)
{
    uint8_t element[WM_LARGEST_ELEMENT];
    if (*depth != 2)
        return false;
    *depth = 0;
    const known *a = &stack[0], *b = &stack[1];
    if (a->constant)
        return false;
    return b->constant ? element_of(a->dtype, b->is_float, b->whole, b->number, element)
                       : a->dtype == b->dtype;
}

static bool check_op(const Wmap__Op *op, const wmap_dtype *from, size_t count, known *stack, size_t *depth)
{
    switch (op->code) {
    case WMAP__OP__CODE__CONST:
        if (op->value_case == WMAP__OP__VALUE__NOT_SET || *depth == WM_VALUE_DEPTH)
            return false;
        stack[(*depth)++] = op->value_case == WMAP__OP__VALUE_NUMBER
                                ? (known){.constant = true, .is_float = true, .number = op->number}
                                : (known){.constant = true, .whole = op->integer};
        return true;
    case WMAP__OP__CODE__LOAD:
        if (op->value_case != WMAP__OP__VALUE_INTEGER || op->integer < 0 || (uint64_t)op->integer >= count ||
            *depth == WM_VALUE_DEPTH)
            return false;
        stack[(*depth)++] = (known){.dtype = from[op->integer]};
        return true;
    case WMAP__OP__CODE__ADD:
    case WMAP__OP__CODE__SUB:
    case WMAP__OP__CODE__MUL:
    case WMAP__OP__CODE__DIV:
    case WMAP__OP__CODE__POW:
        return check_binary(op, stack, depth);
    case WMAP__OP__CODE__NEG:
    case WMAP__OP__CODE__EXP:
    case WMAP__OP__CODE__LOG:
    case WMAP__OP__CODE__SQRT:
    case WMAP__OP__CODE__RSQRT:
        return !stack[*depth - 1].constant && takes(op->code, kind_of(stack[*depth - 1].dtype));
    case WMAP__OP__CODE__EQUAL:
        return check_equal(stack, depth);
    case WMAP__OP__CODE__CAST:
    case WMAP__OP__CODE__BITCAST:
        return check_conversion(op, &stack[*depth - 1]);
    default:
        return false;
    }
}

bool wm_value_sound(const Wmap__Move *move, const wmap_dtype *from, size_t count, wmap_dtype to)
{
    known stack[WM_VALUE_DEPTH];
    size_t depth = 1;
    if (count == 0 || count > WM_VALUE_SOURCES || move->n_ops > WM_VALUE_OPS)
        return false;
    stack[0] = (known){.dtype = from[0]};
    for (size_t i = 0; i < move->n_ops; i++)
        if (depth == 0 || !check_op(move->ops[i], from, count, stack, &depth))
            return false;
    if (to == WMAP_DTYPE_NONE)
        return depth == 0;
    return depth == 1 && !stack[0].constant && stack[0].dtype == to;
}

/* ---- forms ---- */

typedef struct runner {
    wm_value_room *room;
    size_t count;
    wm_value_faults *faults;
} runner;

static void fault(runner *r, size_t at, uint64_t *kind)
{
    if (r->room->bad[at])
        return;
    r->room->bad[at] = true;
    if (r->faults->casts + r->faults->overflows == 0 || at < r->faults->first)
        r->faults->first = at;
    ++*kind;
}

static void load(runner *r, slot *s, wmap_dtype dtype, const void *in)
{
    s->form = ELEMENTS;
    s->dtype = dtype;
    memcpy(s->u.bytes, in, r->count * wmap_dtype_size(dtype));
}

/* Doubles or wide whole numbers, as the dtype wants it. */
static void widen(runner *r, slot *s)
{
    size_t first;
    if (s->form != ELEMENTS)
        return;
    memcpy(r->room->scratch, s->u.bytes, r->count * wmap_dtype_size(s->dtype));
    if (kind_of(s->dtype) == WM_KIND_FLOAT) {
        wm_convert(s->dtype, WMAP_F64, WM_CAST_ALLOW, r->room->scratch, s->u.f, r->count, &first);
        s->form = FLOATS;
        return;
    }
    bool is_unsigned = kind_of(s->dtype) == WM_KIND_UINT;
    uint64_t narrow[WM_VALUE_CHUNK];
    wm_convert(s->dtype, is_unsigned ? WMAP_U64 : WMAP_I64, WM_CAST_ALLOW, r->room->scratch, narrow, r->count,
               &first);
    for (size_t i = 0; i < r->count; i++)
        s->u.w[i] = is_unsigned ? (wide)narrow[i] : (wide)(int64_t)narrow[i];
    s->form = WHOLES;
}

static void range_of(wmap_dtype dtype, wide *least, wide *most)
{
    unsigned bits = 8 * wmap_dtype_size(dtype);
    bool is_unsigned = kind_of(dtype) == WM_KIND_UINT;
    *most = ((wide)1 << (is_unsigned ? bits : bits - 1)) - 1;
    *least = is_unsigned ? 0 : -*most - 1;
}

/* Elements of the slot's dtype, rounded once. */
static void settle(runner *r, slot *s)
{
    size_t first;
    if (s->form == FLOATS) {
        memcpy(r->room->scratch, s->u.f, r->count * sizeof(double));
        wm_convert(WMAP_F64, s->dtype, WM_CAST_ALLOW, r->room->scratch, s->u.bytes, r->count, &first);
    } else if (s->form == WHOLES) {
        uint32_t size = wmap_dtype_size(s->dtype);
        wide least, most;
        range_of(s->dtype, &least, &most);
        for (size_t i = 0; i < r->count; i++) {
            if (s->u.w[i] < least || s->u.w[i] > most)
                fault(r, i, &r->faults->overflows);
            uint64_t bits = (uint64_t)s->u.w[i];
            memcpy(r->room->scratch + i * size, &bits, size); /* little-endian */
        }
        memcpy(s->u.bytes, r->room->scratch, r->count * size);
    }
    s->form = ELEMENTS;
}

/* ---- operations ---- */

static void float_op(runner *r, Wmap__Op__Code code, double *x, const double *y, double c)
{
    size_t n = r->count;
    switch (code) {
    case WMAP__OP__CODE__ADD:
        for (size_t i = 0; i < n; i++)
            x[i] = x[i] + (y ? y[i] : c);
        break;
    case WMAP__OP__CODE__SUB:
        for (size_t i = 0; i < n; i++)
            x[i] = x[i] - (y ? y[i] : c);
        break;
    case WMAP__OP__CODE__MUL:
        for (size_t i = 0; i < n; i++)
            x[i] = x[i] * (y ? y[i] : c);
        break;
    case WMAP__OP__CODE__DIV:
        for (size_t i = 0; i < n; i++)
            x[i] = x[i] / (y ? y[i] : c);
        break;
    default:
        break;
    }
}

static void power(runner *r, double *x, double c)
{
    for (size_t i = 0; i < r->count; i++)
        x[i] = c == 2      ? x[i] * x[i]
               : c == -1   ? 1 / x[i]
               : c == -2   ? 1 / (x[i] * x[i])
               : c == 0.5  ? sqrt(x[i])
               : c == -0.5 ? 1 / sqrt(x[i])
                           : pow(x[i], c);
}

static void unary(runner *r, Wmap__Op__Code code, double *x)
{
    for (size_t i = 0; i < r->count; i++)
        x[i] = code == WMAP__OP__CODE__NEG    ? -x[i]
               : code == WMAP__OP__CODE__EXP  ? exp(x[i])
               : code == WMAP__OP__CODE__LOG  ? log(x[i])
               : code == WMAP__OP__CODE__SQRT ? sqrt(x[i])
                                              : 1 / sqrt(x[i]);
}

/* 128 bits hold sums and one product of 64-bit numbers; what leaves them is counted where it does. */
static void whole_op(runner *r, Wmap__Op__Code code, wide *x, const wide *y, wide c)
{
    for (size_t i = 0; i < r->count; i++) {
        wide b = y ? y[i] : c, result = 0;
        bool over = code == WMAP__OP__CODE__ADD   ? __builtin_add_overflow(x[i], b, &result)
                    : code == WMAP__OP__CODE__SUB ? __builtin_sub_overflow(x[i], b, &result)
                                                  : __builtin_mul_overflow(x[i], b, &result);
        if (over)
            fault(r, i, &r->faults->overflows);
        x[i] = result;
    }
}

static void negate(runner *r, slot *s)
{
    if (s->form == FLOATS) {
        unary(r, WMAP__OP__CODE__NEG, s->u.f);
        return;
    }
    const wide zero = 0;
    for (size_t i = 0; i < r->count; i++)
        if (__builtin_sub_overflow(zero, s->u.w[i], &s->u.w[i]))
            fault(r, i, &r->faults->overflows);
}

static void binary(runner *r, Wmap__Op__Code code, slot *a, slot *b)
{
    bool constant = b->form == CONSTANT;
    widen(r, a);
    if (!constant)
        widen(r, b);
    double c = b->is_float ? b->number : (double)b->whole;
    if (a->form == WHOLES)
        whole_op(r, code, a->u.w, constant ? NULL : b->u.w, b->whole);
    else if (code == WMAP__OP__CODE__POW)
        power(r, a->u.f, c);
    else
        float_op(r, code, a->u.f, constant ? NULL : b->u.f, c);
}

static void cast(runner *r, const Wmap__Op *op, slot *s)
{
    wmap_dtype to = (wmap_dtype)op->dtype;
    wm_cast_policy policy = op->policy == WMAP__OP__POLICY__SATURATE ? WM_CAST_SATURATE
                            : op->policy == WMAP__OP__POLICY__ALLOW  ? WM_CAST_ALLOW
                                                                     : WM_CAST_CHECK;
    settle(r, s);
    uint32_t size = wmap_dtype_size(s->dtype);
    memcpy(r->room->scratch, s->u.bytes, r->count * size);
    size_t first = 0;
    uint64_t bad = wm_convert(s->dtype, to, policy, r->room->scratch, s->u.bytes, r->count, &first);
    wm_cast_count(s->dtype, to, r->room->scratch, r->count, &r->faults->census);
    for (size_t i = first; bad && i < r->count; i++) { /* which of them: one by one, for it is rare */
        uint8_t out[WM_LARGEST_ELEMENT];
        size_t one;
        if (wm_convert(s->dtype, to, policy, r->room->scratch + i * size, out, 1, &one))
            fault(r, i, &r->faults->casts);
    }
    s->dtype = to;
}

/* ---- comparing ---- */

/* Of numbers, part by part: -0 is 0, and NaN is NaN. Elements of other kinds have one form a value, but for
 * true. */
static bool same_number(wmap_dtype dtype, const uint8_t *a, const uint8_t *b)
{
    size_t first;
    wm_kind kind = kind_of(dtype);
    bool is_complex = kind == WM_KIND_COMPLEX;
    double x[2] = {0}, y[2] = {0};
    if (kind == WM_KIND_BOOL)
        return (*a != 0) == (*b != 0);
    if (kind != WM_KIND_FLOAT && !is_complex)
        return false;
    wm_convert(dtype, is_complex ? WMAP_C128 : WMAP_F64, WM_CAST_ALLOW, a, x, 1, &first);
    wm_convert(dtype, is_complex ? WMAP_C128 : WMAP_F64, WM_CAST_ALLOW, b, y, 1, &first);
    for (int k = 0; k < 2; k++)
        if (x[k] != y[k] && !(isnan(x[k]) && isnan(y[k])))
            return false;
    return true;
}

static void differ(runner *r, size_t at, wmap_dtype dtype, const uint8_t *found, const uint8_t *expected)
{
    wm_value_faults *f = r->faults;
    if (f->differ++)
        return;
    f->first_differ = at;
    f->dtype = dtype;
    memcpy(f->found, found, wmap_dtype_size(dtype));
    memcpy(f->expected, expected, wmap_dtype_size(dtype));
}

/* Two copies have the same bits; what is compared with a constant is its number. An element that could not
 * be computed equals nothing. */
static void equal(runner *r, slot *a, slot *b)
{
    bool constant = b->form == CONSTANT;
    uint32_t size = wmap_dtype_size(a->dtype);
    settle(r, a);
    if (constant) {
        uint8_t element[WM_LARGEST_ELEMENT];
        element_of(a->dtype, b->is_float, b->whole, b->number, element);
        for (size_t i = 0; i < r->count; i++)
            memcpy(b->u.bytes + i * size, element, size);
        b->form = ELEMENTS;
    }
    settle(r, b);
    bool faulty = r->faults->casts + r->faults->overflows > 0;
    if (!faulty && memcmp(a->u.bytes, b->u.bytes, r->count * size) == 0)
        return;
    for (size_t i = 0; i < r->count; i++) {
        const uint8_t *x = a->u.bytes + i * size, *y = b->u.bytes + i * size;
        if (r->room->bad[i] || (memcmp(x, y, size) != 0 && !(constant && same_number(a->dtype, x, y))))
            differ(r, i, a->dtype, x, y);
    }
}

static void run_op(runner *r, const Wmap__Op *op, const wmap_dtype *from, const void *const *in,
                   size_t *depth)
{
    slot *stack = r->room->stack, *top = &stack[*depth - 1];
    switch (op->code) {
    case WMAP__OP__CODE__CONST:
        top[1].form = CONSTANT;
        top[1].is_float = op->value_case == WMAP__OP__VALUE_NUMBER;
        top[1].number = top[1].is_float ? op->number : 0;
        top[1].whole = top[1].is_float ? 0 : op->integer;
        ++*depth;
        break;
    case WMAP__OP__CODE__LOAD:
        load(r, &top[1], from[op->integer], in[op->integer]);
        ++*depth;
        break;
    case WMAP__OP__CODE__CAST:
        cast(r, op, top);
        break;
    case WMAP__OP__CODE__BITCAST:
        settle(r, top);
        top->dtype = (wmap_dtype)op->dtype;
        break;
    case WMAP__OP__CODE__EQUAL:
        equal(r, top - 1, top);
        *depth -= 2;
        break;
    case WMAP__OP__CODE__NEG:
        widen(r, top);
        negate(r, top);
        break;
    case WMAP__OP__CODE__EXP:
    case WMAP__OP__CODE__LOG:
    case WMAP__OP__CODE__SQRT:
    case WMAP__OP__CODE__RSQRT:
        widen(r, top);
        unary(r, op->code, top->u.f);
        break;
    default:
        binary(r, op->code, top - 1, top);
        --*depth;
    }
}

void wm_value_run(wm_value_room *room, const Wmap__Move *move, const wmap_dtype *from, const void *const *in,
                  size_t count, void *out, wm_value_faults *faults)
{
    runner r = {room, count, faults};
    size_t depth = 1;
    memset(room->bad, 0, sizeof room->bad);
    load(&r, &room->stack[0], from[0], in[0]);
    for (size_t i = 0; i < move->n_ops; i++)
        run_op(&r, move->ops[i], from, in, &depth);
    if (depth == 0)
        return;
    settle(&r, &room->stack[0]);
    memcpy(out, room->stack[0].u.bytes, count * wmap_dtype_size(room->stack[0].dtype));
}
