/* literal.c: literals of tests to elements, and elements compared. Values were checked by the compiler, so
 * that every number is one of its dtype. */
#include "runner/literal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/dtype.h"
#include "runtime/convert.h"

#define GOLDEN UINT64_C(0x9E3779B97F4A7C15)

wmap_tensor wm_test_header(const wm_test_tensor *tensor)
{
    return (wmap_tensor){.name = tensor->name.p,
                         .name_len = tensor->name.len,
                         .dtype = tensor->dtype,
                         .rank = tensor->literal->rank,
                         .shape = tensor->literal->shape};
}

/* ---- making ---- */

/* The next number of splitmix64 (Steele, Lea, Flood 2014). */
static uint64_t splitmix(uint64_t *state)
{
    uint64_t z = *state += GOLDEN;
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

/* A part of an element that is a number: the two of a complex one are of the dtype given here. */
static wmap_dtype part_of(wmap_dtype dtype)
{
    return dtype == WMAP_C64 ? WMAP_F32 : dtype == WMAP_C128 ? WMAP_F64 : dtype;
}

static void put_int(const wm_dtype_info *info, wmap_dtype dtype, int64_t i, uint8_t *out)
{
    uint8_t element[WM_LARGEST_ELEMENT] = {0};
    if (info->kind == WM_KIND_RAW)
        memcpy(element, &i, sizeof i); /* the bits as they are */
    else
        wm_constant_integer(dtype, i, element);
    memcpy(out, element, info->size);
}

static void put_number(const wm_dtype_info *info, wmap_dtype dtype, double x, uint8_t *out)
{
    uint8_t element[WM_LARGEST_ELEMENT] = {0};
    if (info->kind == WM_KIND_RAW) {
        put_int(info, dtype, (int64_t)x, out);
        return;
    }
    wm_constant_number(dtype, x, element);
    memcpy(out, element, info->size);
}

static void put_random(const wm_dtype_info *info, wmap_dtype dtype, uint64_t *state, uint8_t *out)
{
    bool complex = info->kind == WM_KIND_COMPLEX;
    if (complex || info->kind == WM_KIND_FLOAT) {
        const wm_dtype_info *part = wm_dtype(part_of(dtype));
        for (int i = 0; i < 1 + complex; i++)
            put_number(part, part_of(dtype), (double)(splitmix(state) >> 40) / 0x1p23 - 1,
                       out + (size_t)i * part->size);
        return;
    }
    bool wide = info->kind == WM_KIND_UINT || info->kind == WM_KIND_RAW;
    put_int(info, dtype,
            (int64_t)(splitmix(state) % (info->kind == WM_KIND_BOOL ? 2
                                         : wide                     ? 256
                                                                    : 128)),
            out);
}

uint8_t *wm_test_elements(const wm_test_tensor *tensor)
{
    const wm_literal *literal = tensor->literal;
    const wm_dtype_info *info = wm_dtype(tensor->dtype);
    uint64_t state = (uint64_t)literal->seed * GOLDEN + 1;
    uint8_t *bytes = calloc((size_t)literal->count + 1, info->size);
    for (uint64_t i = 0; bytes && i < literal->count; i++) {
        uint8_t *out = bytes + i * info->size;
        if (literal->kind == WM_LI_IOTA)
            put_int(info, tensor->dtype, (int64_t)i, out);
        else if (literal->kind == WM_LI_RANDOM)
            put_random(info, tensor->dtype, &state, out);
        else if (literal->elements[i].kind == WM_EL_FLOAT)
            put_number(info, tensor->dtype, literal->elements[i].f, out);
        else
            put_int(info, tensor->dtype, literal->elements[i].i, out);
    }
    return bytes;
}

uint8_t *wm_test_any_bits(const wm_test_tensor *tensor)
{
    const wm_dtype_info *info = wm_dtype(tensor->dtype);
    size_t size = (size_t)tensor->literal->count * info->size;
    uint64_t state = size;
    uint8_t *bytes = calloc(size + 1, 1);
    for (size_t i = 0; bytes && i < size; i++) {
        uint8_t bits = (uint8_t)(splitmix(&state) >> 56);
        bytes[i] = info->kind == WM_KIND_BOOL ? bits & 1 : bits;
    }
    return bytes;
}

/* ---- comparing ---- */

/* The parts of an element as doubles; integers beyond 2^53 as near as those are. */
static void to_doubles(wmap_dtype dtype, const uint8_t *element, double x[2])
{
    size_t first;
    wmap_dtype part = part_of(dtype);
    x[0] = x[1] = 0;
    if (part == WMAP_F64)
        memcpy(x, element, (dtype == WMAP_C128 ? 2 : 1) * sizeof *x);
    else
        wm_convert(part, WMAP_F64, WM_CAST_ALLOW, element, x, dtype == WMAP_C64 ? 2 : 1, &first);
}

static bool same(wmap_dtype dtype, const wm_dtype_info *info, const uint8_t *a, const uint8_t *b,
                 bool tolerant, double tolerance)
{
    double x[2], y[2];
    if (memcmp(a, b, info->size) == 0)
        return true;
    if (info->kind == WM_KIND_RAW)
        return false;
    to_doubles(dtype, a, x);
    to_doubles(dtype, b, y);
    bool floats = info->kind == WM_KIND_FLOAT || info->kind == WM_KIND_COMPLEX;
    size_t parts = info->kind == WM_KIND_COMPLEX ? 2 : 1, size = info->size / parts;
    bool all = true;
    for (size_t i = 0; i < parts; i++) {
        bool bits = memcmp(a + i * size, b + i * size, size) == 0;
        bool nans = floats && isnan(x[i]) && isnan(y[i]);
        bool near = tolerant && (x[i] == y[i] || fabs(x[i] - y[i]) <= tolerance);
        all &= bits || nans || near;
    }
    return all;
}

wm_test_difference wm_test_compare(wmap_dtype dtype, const uint8_t *a, const uint8_t *b, uint64_t count,
                                   bool tolerant, double tolerance)
{
    const wm_dtype_info *info = wm_dtype(dtype);
    wm_test_difference d = {0};
    for (uint64_t i = 0; i < count; i++)
        if (!same(dtype, info, a + i * info->size, b + i * info->size, tolerant, tolerance) && d.count++ == 0)
            d.first = i;
    return d;
}
