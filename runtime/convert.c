/* convert.c: casts. A block of elements is widened without loss (floats to double, integers to 64 bits), then
 * narrowed with one rounding. The pairs that model files are full of have loops of their own, which give the
 * same bits. */
#include "runtime/convert.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/dtype.h"
#include "runtime/base/text.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { BLOCK = 256 };

/* A binary format narrower than f32. */
typedef struct narrow_format {
    int mantissa, bias;
    uint32_t most, infinity, nan; /* codes without sign; `infinity` is 0 if there is none */
} narrow_format;

static const narrow_format format_f16 = {10, 15, 0x7bff, 0x7c00, 0x7e00},
                           format_bf16 = {7, 127, 0x7f7f, 0x7f80, 0x7fc0},
                           format_e4m3 = {3, 7, 0x7e, 0, 0x7f}, format_e5m2 = {2, 15, 0x7b, 0x7c, 0x7e};

static uint64_t bits_of(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static double double_of(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* ---- widening: exact ---- */

static double widen(uint32_t code, const narrow_format *f, int width)
{
    uint32_t magnitude = code & ((1u << (width - 1)) - 1);
    uint64_t sign = (uint64_t)(code >> (width - 1)) << 63;
    uint32_t fraction = magnitude & ((1u << f->mantissa) - 1), exponent = magnitude >> f->mantissa;
    if (f->infinity ? magnitude > f->infinity : magnitude == f->nan) /* NaN: quiet, its payload kept */
        return double_of(sign | 0x7ff8000000000000u | (uint64_t)fraction << (52 - f->mantissa));
    if (f->infinity && magnitude == f->infinity)
        return double_of(sign | 0x7ff0000000000000u);
    if (exponent == 0) {
        double x = ldexp(fraction, 1 - f->bias - f->mantissa);
        return sign ? -x : x;
    }
    return double_of(sign | (uint64_t)((int)exponent - f->bias + 1023) << 52 |
                     (uint64_t)fraction << (52 - f->mantissa));
}

/* Loads any float dtype; `count` is at most BLOCK. */
static void load_floats(wmap_dtype from, const uint8_t *in, double *out, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        float f;
        uint16_t h;
        switch (from) {
        case WMAP_F64:
        case WMAP_C128:
            memcpy(&out[i], in + 8 * i, 8);
            break;
        case WMAP_F32:
        case WMAP_C64:
            memcpy(&f, in + 4 * i, 4);
            out[i] = (double)f;
            break;
        case WMAP_F16:
            memcpy(&h, in + 2 * i, 2);
            out[i] = widen(h, &format_f16, 16);
            break;
        case WMAP_BF16:
            memcpy(&h, in + 2 * i, 2);
            out[i] = widen(h, &format_bf16, 16);
            break;
        case WMAP_F8_E4M3:
            out[i] = widen(in[i], &format_e4m3, 8);
            break;
        default:
            out[i] = widen(in[i], &format_e5m2, 8);
            break;
        }
    }
}

/* Loads any integer dtype or bool; u64 as its bits. */
static void load_integers(wmap_dtype from, const uint8_t *in, int64_t *out, size_t count)
{
    uint32_t size = wmap_dtype_size(from);
    bool is_signed = wm_dtype(from)->kind == WM_KIND_INT, is_bool = from == WMAP_BOOL;
    unsigned unused = 64 - 8 * size;
    for (size_t i = 0; i < count; i++) {
        uint64_t bits = 0;
        memcpy(&bits, in + size * i, size);
        if (is_bool)
            out[i] = bits != 0;
        else
            out[i] = is_signed ? (int64_t)(bits << unused) >> unused : (int64_t)bits;
    }
}

/* ---- narrowing: one rounding, to nearest, ties to even ---- */

/* The code of the magnitude of a finite x, as if the exponent had no end. */
static uint32_t round_magnitude(double x, const narrow_format *f)
{
    uint64_t bits = bits_of(x);
    int exponent = (int)(bits >> 52 & 0x7ff) - 1023 + f->bias, shift = 52 - f->mantissa;
    uint64_t full = (bits & 0xfffffffffffffu) | 1ull << 52;
    uint32_t below = 0;
    if (exponent >= 1)
        below = (uint32_t)(exponent - 1) << f->mantissa;
    else
        shift += 1 - exponent;
    if (shift >= 54) /* below half of the smallest subnormal; double's own subnormals are here too */
        return 0;
    uint64_t code = full >> shift, rest = full & ((1ull << shift) - 1), half = 1ull << (shift - 1);
    code += rest > half || (rest == half && (code & 1));
    return below + (uint32_t)code;
}

/* Gives the code of x; false if it is an error. */
static bool narrow(double x, const narrow_format *f, int width, wm_cast_policy policy, uint32_t *code)
{
    uint64_t bits = bits_of(x);
    uint32_t sign = (uint32_t)(bits >> 63) << (width - 1);
    if (isnan(x)) {
        uint32_t payload = (uint32_t)(bits >> (52 - f->mantissa)) & ((1u << f->mantissa) - 1);
        *code = sign | (f->infinity ? f->nan | payload : f->nan);
        return true;
    }
    if (isinf(x) && f->infinity) {
        *code = sign | f->infinity;
        return true;
    }
    uint32_t magnitude = isinf(x) ? f->most + 1 : round_magnitude(x, f);
    *code = sign | magnitude;
    if (magnitude <= f->most)
        return true;
    *code = sign | (policy == WM_CAST_SATURATE ? f->most : f->infinity ? f->infinity : f->nan);
    return policy != WM_CAST_CHECK;
}

static bool narrow_f32(double x, wm_cast_policy policy, float *out)
{
    *out = (float)x;
    if (!isinf(*out) || isinf(x))
        return true;
    if (policy == WM_CAST_SATURATE)
        *out = x < 0 ? -0x1.fffffep127f : 0x1.fffffep127f;
    return policy != WM_CAST_CHECK;
}

static bool put_float(wmap_dtype to, double x, wm_cast_policy policy, uint8_t *out)
{
    uint32_t code = 0;
    uint16_t h;
    float f;
    bool good = true;
    switch (to) {
    case WMAP_F64:
    case WMAP_C128:
        memcpy(out, &x, 8);
        return true;
    case WMAP_F32:
    case WMAP_C64:
        good = narrow_f32(x, policy, &f);
        memcpy(out, &f, 4);
        return good;
    case WMAP_F16:
    case WMAP_BF16:
        good = narrow(x, to == WMAP_F16 ? &format_f16 : &format_bf16, 16, policy, &code);
        h = (uint16_t)code;
        memcpy(out, &h, 2);
        return good;
    default:
        good = narrow(x, to == WMAP_F8_E4M3 ? &format_e4m3 : &format_e5m2, 8, policy, &code);
        *out = (uint8_t)code;
        return good;
    }
}

/* The range of an integer dtype. */
static void range_of(wmap_dtype to, int64_t *least, uint64_t *most)
{
    const wm_dtype_info *info = wm_dtype(to);
    unsigned bits = to == WMAP_BOOL ? 1 : 8 * info->size;
    bool is_signed = info->kind == WM_KIND_INT;
    *most = UINT64_MAX >> (64 - bits + is_signed);
    *least = is_signed ? -(int64_t)*most - 1 : 0;
}

static void put_bits(wmap_dtype to, uint64_t bits, uint8_t *out)
{
    if (to == WMAP_BOOL)
        bits &= 1;
    memcpy(out, &bits, wmap_dtype_size(to)); /* little-endian, as all that wmap runs on */
}

/* `value` is the bits of a u64 if `is_unsigned`. */
static bool put_integer(wmap_dtype to, int64_t value, bool is_unsigned, wm_cast_policy policy, uint8_t *out)
{
    int64_t least;
    uint64_t most;
    range_of(to, &least, &most);
    bool negative = !is_unsigned && value < 0, low = negative && value < least,
         high = !negative && (uint64_t)value > most, clip = policy == WM_CAST_SATURATE;
    put_bits(to, low && clip ? (uint64_t)least : high && clip ? most : (uint64_t)value, out);
    return (!low && !high) || policy != WM_CAST_CHECK;
}

/* x modulo 2^64. */
static uint64_t wrapped(double x)
{
    if (!isfinite(x))
        return 0;
    double rest = fmod(x, 0x1p64);
    return rest < 0 ? 0 - (uint64_t)-rest : (uint64_t)rest;
}

static bool put_rounded(wmap_dtype to, double x, wm_cast_policy policy, uint8_t *out)
{
    int64_t least;
    uint64_t most;
    range_of(to, &least, &most);
    double r = rint(x); /* to nearest even: nobody changes the rounding mode */
    if (isnan(r)) {
        put_bits(to, 0, out);
        return policy == WM_CAST_ALLOW;
    }
    /* both limits are exact: least is a power of two or 0, and most + 1 a power of two */
    double beyond = 2.0 * (double)(most / 2 + 1);
    bool low = r < (double)least, high = r >= beyond, clip = policy == WM_CAST_SATURATE;
    uint64_t bits = low && clip ? (uint64_t)least : high && clip ? most : wrapped(r);
    put_bits(to, bits, out);
    return (!low && !high) || policy != WM_CAST_CHECK;
}

/* An integer as a double that rounds to every narrower format as the integer itself does: where it needs more
 * than 53 bits, what is lost makes the last bit odd. For f64 and f32 the processor rounds once by itself. */
static double sticky(uint64_t magnitude)
{
    unsigned spare = magnitude >> 53 ? 11u - (unsigned)__builtin_clzll(magnitude) : 0;
    uint64_t top = magnitude >> spare;
    top |= (top << spare) != magnitude;
    return (double)top * (double)(1ull << spare);
}

static bool put_whole(wmap_dtype to, int64_t value, bool is_unsigned, wm_cast_policy policy, uint8_t *out)
{
    bool negative = !is_unsigned && value < 0;
    uint64_t magnitude = negative ? 0 - (uint64_t)value : (uint64_t)value;
    if (to == WMAP_F64) {
        double x = (double)magnitude;
        x = negative ? -x : x;
        memcpy(out, &x, 8);
        return true;
    }
    double x = sticky(magnitude);
    return put_float(to, negative ? -x : x, policy, out);
}

/* ---- blocks ---- */

typedef struct tally {
    uint64_t bad;
    size_t first;
} tally;

static inline void count_bad(tally *t, bool good, size_t index)
{
    if (__builtin_expect(!good, 0) && t->bad++ == 0)
        t->first = index;
}

static bool is_float(wmap_dtype dtype)
{
    wm_kind kind = wm_dtype(dtype)->kind;
    return kind == WM_KIND_FLOAT || kind == WM_KIND_COMPLEX;
}

/* Parts: elements, or the halves of complex ones. */
static tally convert_block(wmap_dtype from, wmap_dtype to, wm_cast_policy policy, const uint8_t *in,
                           uint8_t *out, size_t count)
{
    tally t = {0, 0};
    uint32_t size = to == WMAP_C64 ? 4 : to == WMAP_C128 ? 8 : wmap_dtype_size(to);
    union {
        double floats[BLOCK];
        int64_t integers[BLOCK];
    } wide;
    bool is_unsigned = from == WMAP_U64;
    if (is_float(from)) {
        load_floats(from, in, wide.floats, count);
        if (is_float(to))
            for (size_t i = 0; i < count; i++)
                count_bad(&t, put_float(to, wide.floats[i], policy, out + size * i), i);
        else
            for (size_t i = 0; i < count; i++)
                count_bad(&t, put_rounded(to, wide.floats[i], policy, out + size * i), i);
    } else {
        load_integers(from, in, wide.integers, count);
        if (is_float(to))
            for (size_t i = 0; i < count; i++)
                count_bad(&t, put_whole(to, wide.integers[i], is_unsigned, policy, out + size * i), i);
        else
            for (size_t i = 0; i < count; i++)
                count_bad(&t, put_integer(to, wide.integers[i], is_unsigned, policy, out + size * i), i);
    }
    return t;
}

/* ---- the frequent pairs: false if an element of the block may be an error, so that it is done again ---- */

static bool f32_to_bf16(const uint8_t *in, uint8_t *out, size_t count)
{
    uint32_t over = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, in + 4 * i, 4);
        uint32_t magnitude = bits & 0x7fffffff;
        uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16, quiet = bits >> 16 | 0x40;
        over |= (uint32_t)(magnitude >= 0x7f7f8000 && magnitude < 0x7f800000);
        uint16_t half = (uint16_t)(magnitude > 0x7f800000 ? quiet : rounded);
        memcpy(out + 2 * i, &half, 2);
    }
    return !over;
}

static bool bf16_to_f32(const uint8_t *in, uint8_t *out, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint16_t half;
        memcpy(&half, in + 2 * i, 2);
        uint32_t bits = (uint32_t)half << 16;
        bits |= (bits & 0x7fffffff) > 0x7f800000 ? 0x400000u : 0u;
        memcpy(out + 4 * i, &bits, 4);
    }
    return true;
}

static bool f64_to_f32(const uint8_t *in, uint8_t *out, size_t count)
{
    int over = 0;
    for (size_t i = 0; i < count; i++) {
        double x;
        memcpy(&x, in + 8 * i, 8);
        float f = (float)x;
        over |= fabs(x) >= 0x1.ffffffp127 && fabs(x) < (double)INFINITY;
        memcpy(out + 4 * i, &f, 4);
    }
    return !over;
}

static bool f32_to_f64(const uint8_t *in, uint8_t *out, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        float f;
        memcpy(&f, in + 4 * i, 4);
        double x = (double)f;
        memcpy(out + 8 * i, &x, 8);
    }
    return true;
}

#if defined(__x86_64__)
__attribute__((target("avx,f16c"))) static bool f32_to_f16(const uint8_t *in, uint8_t *out, size_t count)
{
    const __m256 limit = _mm256_set1_ps(65520.0f), infinity = _mm256_set1_ps(INFINITY),
                 magnitude = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
    __m256 over = _mm256_setzero_ps();
    for (size_t i = 0; i < count; i += 8) {
        __m256 x = _mm256_loadu_ps((const float *)(const void *)(in + 4 * i)),
               m = _mm256_and_ps(x, magnitude);
        over = _mm256_or_ps(
            over, _mm256_and_ps(_mm256_cmp_ps(m, limit, _CMP_GE_OQ), _mm256_cmp_ps(m, infinity, _CMP_LT_OQ)));
        _mm_storeu_si128((__m128i *)(void *)(out + 2 * i), _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
    }
    return _mm256_movemask_ps(over) == 0;
}

__attribute__((target("avx,f16c"))) static bool f16_to_f32(const uint8_t *in, uint8_t *out, size_t count)
{
    for (size_t i = 0; i < count; i += 8)
        _mm256_storeu_ps((float *)(void *)(out + 4 * i),
                         _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(in + 2 * i))));
    return true;
}

/* Every processor with AVX2 has F16C, which clang 14 cannot ask for. */
static bool has_f16c(void)
{
    return __builtin_cpu_supports("avx2");
}
#endif

typedef bool fast_block(const uint8_t *in, uint8_t *out, size_t count);

/* NULL if the pair has no loop of its own. Those take multiples of 8. */
static fast_block *fast_pair(wmap_dtype from, wmap_dtype to)
{
    if (from == WMAP_F32 && to == WMAP_BF16)
        return f32_to_bf16;
    if (from == WMAP_BF16 && to == WMAP_F32)
        return bf16_to_f32;
    if (from == WMAP_F64 && to == WMAP_F32)
        return f64_to_f32;
    if (from == WMAP_F32 && to == WMAP_F64)
        return f32_to_f64;
#if defined(__x86_64__)
    if (from == WMAP_F32 && to == WMAP_F16 && has_f16c())
        return f32_to_f16;
    if (from == WMAP_F16 && to == WMAP_F32 && has_f16c())
        return f16_to_f32;
#endif
    return NULL;
}

bool wm_castable(wmap_dtype from, wmap_dtype to)
{
    const wm_dtype_info *a = wm_dtype(from), *b = wm_dtype(to);
    if (!a || !b || a->kind == WM_KIND_RAW || b->kind == WM_KIND_RAW)
        return false;
    return (a->kind == WM_KIND_COMPLEX) == (b->kind == WM_KIND_COMPLEX);
}

uint64_t wm_convert(wmap_dtype from, wmap_dtype to, wm_cast_policy policy, const void *in, void *out,
                    size_t count, size_t *first)
{
    const uint8_t *at = in;
    uint8_t *put = out;
    uint32_t in_size = wmap_dtype_size(from), out_size = wmap_dtype_size(to);
    bool complex = wm_dtype(from)->kind == WM_KIND_COMPLEX;
    size_t parts = complex ? 2 : 1, room = BLOCK / parts;
    fast_block *fast = fast_pair(from, to);
    uint64_t bad = 0;
    for (size_t done = 0; done < count;) {
        size_t n = count - done < room ? count - done : room;
        size_t quick = fast && n >= 8 ? n & ~(size_t)7 : 0;
        if (quick && fast(at, put, quick)) {
            n = quick;
        } else {
            tally t = convert_block(from, to, policy, at, put, n * parts);
            if (t.bad && complex) { /* both halves of an element may be bad: count elements */
                t.bad = 0;
                for (size_t i = 0; i < n; i++) {
                    tally one = convert_block(from, to, policy, at + i * in_size, put + i * out_size, 2);
                    count_bad(&t, one.bad == 0, i);
                }
            }
            if (t.bad && bad == 0)
                *first = done + t.first;
            bad += t.bad;
        }
        done += n;
        at += n * in_size;
        put += n * out_size;
    }
    return bad;
}

/* ---- constants and text ---- */

bool wm_constant_integer(wmap_dtype dtype, int64_t value, uint8_t element[WM_LARGEST_ELEMENT])
{
    const wm_dtype_info *info = wm_dtype(dtype);
    memset(element, 0, WM_LARGEST_ELEMENT);
    if (!info)
        return false;
    if (info->kind == WM_KIND_RAW)
        return value == 0;
    if (is_float(dtype))
        return put_whole(dtype == WMAP_C128 ? WMAP_F64 : dtype, value, false, WM_CAST_CHECK, element);
    return put_integer(dtype, value, false, WM_CAST_CHECK, element);
}

bool wm_constant_number(wmap_dtype dtype, double value, uint8_t element[WM_LARGEST_ELEMENT])
{
    const wm_dtype_info *info = wm_dtype(dtype);
    memset(element, 0, WM_LARGEST_ELEMENT);
    if (!info || info->kind == WM_KIND_RAW)
        return false;
    if (is_float(dtype))
        return put_float(dtype, value, WM_CAST_CHECK, element);
    return value == floor(value) && put_rounded(dtype, value, WM_CAST_CHECK, element);
}

static int float_text(wmap_dtype dtype, const uint8_t *part, char *out, size_t size)
{
    double x;
    load_floats(dtype, part, &x, 1);
    bool wide = dtype == WMAP_F64 || dtype == WMAP_C128;
    if (isnan(x))
        return snprintf(out, size, "nan");
    return snprintf(out, size, "%.*g", wm_float_digits(x, wide), x);
}

char *wm_element_text(wmap_dtype dtype, const void *element, char *out, size_t size)
{
    const wm_dtype_info *info = wm_dtype(dtype);
    int64_t value = 0;
    if (info && info->kind == WM_KIND_COMPLEX) {
        char re[40], im[40];
        float_text(dtype, element, re, sizeof re);
        float_text(dtype, (const uint8_t *)element + info->size / 2, im, sizeof im);
        snprintf(out, size, "%s%s%si", re, im[0] == '-' ? "" : "+", im);
    } else if (info && info->kind == WM_KIND_FLOAT) {
        float_text(dtype, element, out, size);
    } else if (info && info->kind != WM_KIND_RAW) {
        load_integers(dtype, element, &value, 1);
        if (dtype == WMAP_U64)
            snprintf(out, size, "%llu", (unsigned long long)value);
        else
            snprintf(out, size, "%lld", (long long)value);
    } else {
        snprintf(out, size, "raw bytes");
    }
    return out;
}
