/* census.c: what casts lose beside digits: elements that are too large, too small, or no number. Looks at the
 * elements before the cast, so that the loops of convert.c stay what they are. */
#include <math.h>
#include <string.h>

#include "runtime/base/dtype.h"
#include "runtime/convert.h"

enum { BLOCK = 256 };

/* From which magnitude on a float dtype has no finite value, and up to which it has 0 only: rounding is to
 * nearest, ties to even. `most` is that of the largest value. */
typedef struct float_range {
    double beyond, vanishing;
} float_range;

static float_range range_of_float(wmap_dtype dtype)
{
    switch (dtype) {
    case WMAP_F16:
        return (float_range){65520, 0x1p-25};
    case WMAP_BF16:
        return (float_range){0x1.ffp127, 0x1p-134};
    case WMAP_F8_E4M3: /* 464 is a tie that goes to 448 */
        return (float_range){nextafter(464, INFINITY), 0x1p-10};
    case WMAP_F8_E5M2:
        return (float_range){61440, 0x1p-17};
    case WMAP_F32:
    case WMAP_C64:
        return (float_range){0x1.ffffffp127, 0x1p-150};
    default:
        return (float_range){INFINITY, 0};
    }
}

/* The magnitudes of elements of dtype `from` lie in this range. */
static float_range range_of_source(wmap_dtype from)
{
    switch (from) {
    case WMAP_F16:
        return (float_range){65504, 0x1p-24};
    case WMAP_BF16:
        return (float_range){0x1.fep127, 0x1p-133};
    case WMAP_F8_E4M3:
        return (float_range){448, 0x1p-9};
    case WMAP_F8_E5M2:
        return (float_range){57344, 0x1p-16};
    case WMAP_F32:
    case WMAP_C64:
        return (float_range){0x1.fffffep127, 0x1p-149};
    default:
        return (float_range){INFINITY, 0x1p-1074};
    }
}

static bool is_float(wmap_dtype dtype)
{
    wm_kind kind = wm_dtype(dtype)->kind;
    return kind == WM_KIND_FLOAT || kind == WM_KIND_COMPLEX;
}

bool wm_cast_may_lose(wmap_dtype from, wmap_dtype to)
{
    if (from == to || !wm_castable(from, to))
        return false;
    if (is_float(from) && is_float(to)) {
        float_range has = range_of_source(from), holds = range_of_float(to);
        return has.beyond >= holds.beyond || has.vanishing <= holds.vanishing;
    }
    if (is_float(from))
        return true;
    if (is_float(to))
        return range_of_float(to).beyond < (wm_dtype(from)->kind == WM_KIND_UINT
                                                ? ldexp(1, 8 * (int)wm_dtype(from)->size)
                                                : ldexp(1, 8 * (int)wm_dtype(from)->size - 1));
    return true;
}

/* Elements where they stand, whatever their alignment. */
typedef float loose_float __attribute__((aligned(1), may_alias));

/* BLOCK elements, a number that compilers make vectors for. */
static void count_block(const loose_float *x, float beyond, float vanishing, wm_census *census)
{
    uint32_t over = 0, under = 0, nan = 0;
    for (size_t i = 0; i < BLOCK; i++) {
        float a = fabsf(x[i]);
        over += (uint32_t)(a >= beyond) & (uint32_t)(a < INFINITY);
        under += (uint32_t)(a > 0) & (uint32_t)(a <= vanishing);
        nan += (uint32_t)(a != a);
    }
    census->overflow += over;
    census->underflow += under;
    census->nan += nan;
}

static void count_f32(const uint8_t *in, size_t count, float_range range, wm_census *census)
{
    const float beyond = (float)range.beyond >= range.beyond ? (float)range.beyond
                                                             : nextafterf((float)range.beyond, INFINITY),
                vanishing = (float)range.vanishing;
    float rest[BLOCK] = {0};
    size_t done = 0;
    for (; count - done >= BLOCK; done += BLOCK)
        count_block((const loose_float *)(const void *)(in + 4 * done), beyond, vanishing, census);
    memcpy(rest, in + 4 * done, 4 * (count - done)); /* what is behind it is 0, and counts as nothing */
    if (done < count)
        count_block(rest, beyond, vanishing, census);
}

static void count_f64(const double *x, size_t count, float_range range, wm_census *census)
{
    uint32_t over = 0, under = 0, nan = 0;
    for (size_t i = 0; i < count; i++) {
        double a = fabs(x[i]);
        over += (uint32_t)(a >= range.beyond) & (uint32_t)(a < (double)INFINITY);
        under += (uint32_t)(a > 0) & (uint32_t)(a <= range.vanishing);
        nan += (uint32_t)(a != a);
    }
    census->overflow += over;
    census->underflow += under;
    census->nan += nan;
}

/* A float becomes a whole number of `to`, or of no dtype. */
static void count_rounded(const double *x, size_t count, wmap_dtype to, wm_census *census)
{
    const wm_dtype_info *info = wm_dtype(to);
    int bits = to == WMAP_BOOL ? 1 : 8 * (int)info->size - (info->kind == WM_KIND_INT);
    double beyond = ldexp(1, bits), least = info->kind == WM_KIND_INT ? -beyond : 0;
    for (size_t i = 0; i < count; i++) {
        double r = rint(x[i]);
        census->nan += isnan(r) != 0;
        census->overflow += r >= beyond || r < least;
    }
}

/* Whole numbers, converted there and back, are the same or were too large. */
static void count_whole(wmap_dtype from, wmap_dtype to, const uint8_t *in, size_t count, wm_census *census)
{
    uint8_t out[BLOCK * WM_LARGEST_ELEMENT];
    size_t first;
    census->overflow += wm_convert(from, to, WM_CAST_CHECK, in, out, count, &first);
}

void wm_cast_count(wmap_dtype from, wmap_dtype to, const void *in, size_t count, wm_census *census)
{
    const uint8_t *at = in;
    uint32_t size = wmap_dtype_size(from);
    size_t parts = wm_dtype(from)->kind == WM_KIND_COMPLEX ? 2 : 1, room = BLOCK / parts;
    census->elements += count;
    if (!wm_cast_may_lose(from, to))
        return;
    float_range range = range_of_float(to);
    if (is_float(from) && is_float(to) && size / parts == 4) {
        count_f32(at, count * parts, range, census);
        return;
    }
    for (size_t done = 0, n; done < count; done += n, at += n * size) {
        n = count - done < room ? count - done : room;
        double wide[BLOCK];
        size_t first;
        if (!is_float(from)) {
            count_whole(from, to, at, n, census);
        } else {
            if (size / parts == 8)
                memcpy(wide, at, n * size);
            else
                wm_convert(from, WMAP_F64, WM_CAST_ALLOW, at, wide, n, &first);
            if (is_float(to))
                count_f64(wide, n * parts, range, census);
            else
                count_rounded(wide, n * parts, to, census);
        }
    }
}

void wm_census_add(wm_census *sum, const wm_census *more)
{
    sum->elements += more->elements;
    sum->overflow += more->overflow;
    sum->underflow += more->underflow;
    sum->nan += more->nan;
}
