/* transpose.c: a matrix turned over its diagonal. Tiles that fit registers, grouped so that whole lines of
 * the cache are written while they are there; scalar loops at the edges and where the processor has nothing
 * better. */
#include <string.h>

#include "runtime/move.h"

enum {
    LINE = 64,         /* bytes of a cache line */
    COLUMN_BYTES = 512 /* of an input row that are worked on before going to the next rows */
};

#define SCALAR_LOOP(type)                                                                                    \
    for (size_t r = 0; r < rows; r++)                                                                        \
        for (size_t c = 0; c < columns; c++) {                                                               \
            type element;                                                                                    \
            memcpy(&element, in + (int64_t)r * in_step + (int64_t)(c * sizeof element), sizeof element);     \
            memcpy(out + (int64_t)c * out_step + (int64_t)(r * sizeof element), &element, sizeof element);   \
        }

typedef struct pair {
    uint64_t low, high;
} pair;

static void scalar(uint8_t *out, int64_t out_step, const uint8_t *in, int64_t in_step, size_t rows,
                   size_t columns, uint32_t size)
{
    switch (size) {
    case 1:
        SCALAR_LOOP(uint8_t)
        break;
    case 2:
        SCALAR_LOOP(uint16_t)
        break;
    case 4:
        SCALAR_LOOP(uint32_t)
        break;
    case 8:
        SCALAR_LOOP(uint64_t)
        break;
    default:
        SCALAR_LOOP(pair)
        break;
    }
}

/* Turns a square of `side` elements a row. */
typedef void tile_kernel(uint8_t *out, int64_t out_step, const uint8_t *in, int64_t in_step);

typedef struct tile {
    tile_kernel *kernel; /* NULL: none */
    size_t side;
} tile;

#if defined(__x86_64__)
#include <immintrin.h>

static inline __m128i load16(const uint8_t *at)
{
    return _mm_loadu_si128((const __m128i *)(const void *)at);
}

static inline void store16(uint8_t *at, __m128i value)
{
    _mm_storeu_si128((__m128i *)(void *)at, value);
}

static inline void store8_low(uint8_t *at, __m128i value)
{
    _mm_storel_epi64((__m128i *)(void *)at, value);
}

static inline void store8_high(uint8_t *at, __m128i value)
{
    _mm_storel_epi64((__m128i *)(void *)at, _mm_unpackhi_epi64(value, value));
}

/* 8 x 8 bytes */
static void turn_1(uint8_t *out, int64_t out_step, const uint8_t *in, int64_t in_step)
{
    __m128i a[4], b[4];
    for (int i = 0; i < 4; i++)
        a[i] =
            _mm_unpacklo_epi8(_mm_loadl_epi64((const __m128i *)(const void *)(in + 2 * i * in_step)),
                              _mm_loadl_epi64((const __m128i *)(const void *)(in + (2 * i + 1) * in_step)));
    b[0] = _mm_unpacklo_epi16(a[0], a[1]);
    b[1] = _mm_unpackhi_epi16(a[0], a[1]);
    b[2] = _mm_unpacklo_epi16(a[2], a[3]);
    b[3] = _mm_unpackhi_epi16(a[2], a[3]);
    a[0] = _mm_unpacklo_epi32(b[0], b[2]);
    a[1] = _mm_unpackhi_epi32(b[0], b[2]);
    a[2] = _mm_unpacklo_epi32(b[1], b[3]);
    a[3] = _mm_unpackhi_epi32(b[1], b[3]);
    for (int i = 0; i < 4; i++) {
        store8_low(out + 2 * i * out_step, a[i]);
        store8_high(out + (2 * i + 1) * out_step, a[i]);
    }
}

/* 8 x 8 elements of 2 bytes */
static void turn_2(uint8_t *out, int64_t out_step, const uint8_t *in, int64_t in_step)
{
    __m128i a[8], b[8];
    for (int i = 0; i < 8; i++)
        a[i] = load16(in + i * in_step);
    for (int i = 0; i < 4; i++) {
        b[2 * i] = _mm_unpacklo_epi16(a[2 * i], a[2 * i + 1]);
        b[2 * i + 1] = _mm_unpackhi_epi16(a[2 * i], a[2 * i + 1]);
    }
    for (int i = 0; i < 2; i++) {
        a[4 * i] = _mm_unpacklo_epi32(b[4 * i], b[4 * i + 2]);
        a[4 * i + 1] = _mm_unpackhi_epi32(b[4 * i], b[4 * i + 2]);
        a[4 * i + 2] = _mm_unpacklo_epi32(b[4 * i + 1], b[4 * i + 3]);
        a[4 * i + 3] = _mm_unpackhi_epi32(b[4 * i + 1], b[4 * i + 3]);
    }
    for (int i = 0; i < 4; i++) {
        store16(out + 2 * i * out_step, _mm_unpacklo_epi64(a[i], a[i + 4]));
        store16(out + (2 * i + 1) * out_step, _mm_unpackhi_epi64(a[i], a[i + 4]));
    }
}

/* 4 x 4 elements of 4 bytes */
static void turn_4(uint8_t *out, int64_t out_step, const uint8_t *in, int64_t in_step)
{
    __m128i r0 = load16(in), r1 = load16(in + in_step), r2 = load16(in + 2 * in_step),
            r3 = load16(in + 3 * in_step);
    __m128i a = _mm_unpacklo_epi32(r0, r1), b = _mm_unpackhi_epi32(r0, r1), c = _mm_unpacklo_epi32(r2, r3),
            d = _mm_unpackhi_epi32(r2, r3);
    store16(out, _mm_unpacklo_epi64(a, c));
    store16(out + out_step, _mm_unpackhi_epi64(a, c));
    store16(out + 2 * out_step, _mm_unpacklo_epi64(b, d));
    store16(out + 3 * out_step, _mm_unpackhi_epi64(b, d));
}

/* 2 x 2 elements of 8 bytes */
static void turn_8(uint8_t *out, int64_t out_step, const uint8_t *in, int64_t in_step)
{
    __m128i a = load16(in), b = load16(in + in_step);
    store16(out, _mm_unpacklo_epi64(a, b));
    store16(out + out_step, _mm_unpackhi_epi64(a, b));
}

/* 8 x 8 elements of 4 bytes */
__attribute__((target("avx2"))) static void turn_4_wide(uint8_t *out, int64_t out_step, const uint8_t *in,
                                                        int64_t in_step)
{
    __m256 a[8], b[8];
    for (int i = 0; i < 8; i++)
        a[i] = _mm256_loadu_ps((const float *)(const void *)(in + i * in_step));
    for (int i = 0; i < 4; i++) {
        b[2 * i] = _mm256_unpacklo_ps(a[2 * i], a[2 * i + 1]);
        b[2 * i + 1] = _mm256_unpackhi_ps(a[2 * i], a[2 * i + 1]);
    }
    for (int i = 0; i < 2; i++) {
        a[4 * i] = _mm256_shuffle_ps(b[4 * i], b[4 * i + 2], 0x44);
        a[4 * i + 1] = _mm256_shuffle_ps(b[4 * i], b[4 * i + 2], 0xee);
        a[4 * i + 2] = _mm256_shuffle_ps(b[4 * i + 1], b[4 * i + 3], 0x44);
        a[4 * i + 3] = _mm256_shuffle_ps(b[4 * i + 1], b[4 * i + 3], 0xee);
    }
    for (int i = 0; i < 4; i++) {
        _mm256_storeu_ps((float *)(void *)(out + i * out_step), _mm256_permute2f128_ps(a[i], a[i + 4], 0x20));
        _mm256_storeu_ps((float *)(void *)(out + (i + 4) * out_step),
                         _mm256_permute2f128_ps(a[i], a[i + 4], 0x31));
    }
}

/* 4 x 4 elements of 8 bytes */
__attribute__((target("avx2"))) static void turn_8_wide(uint8_t *out, int64_t out_step, const uint8_t *in,
                                                        int64_t in_step)
{
    __m256d r0 = _mm256_loadu_pd((const double *)(const void *)in);
    __m256d r1 = _mm256_loadu_pd((const double *)(const void *)(in + in_step));
    __m256d r2 = _mm256_loadu_pd((const double *)(const void *)(in + 2 * in_step));
    __m256d r3 = _mm256_loadu_pd((const double *)(const void *)(in + 3 * in_step));
    __m256d a = _mm256_unpacklo_pd(r0, r1), b = _mm256_unpackhi_pd(r0, r1), c = _mm256_unpacklo_pd(r2, r3),
            d = _mm256_unpackhi_pd(r2, r3);
    _mm256_storeu_pd((double *)(void *)out, _mm256_permute2f128_pd(a, c, 0x20));
    _mm256_storeu_pd((double *)(void *)(out + out_step), _mm256_permute2f128_pd(b, d, 0x20));
    _mm256_storeu_pd((double *)(void *)(out + 2 * out_step), _mm256_permute2f128_pd(a, c, 0x31));
    _mm256_storeu_pd((double *)(void *)(out + 3 * out_step), _mm256_permute2f128_pd(b, d, 0x31));
}

static tile tile_for(uint32_t size)
{
    bool wide = __builtin_cpu_supports("avx2");
    switch (size) {
    case 1:
        return (tile){turn_1, 8};
    case 2:
        return (tile){turn_2, 8};
    case 4:
        return wide ? (tile){turn_4_wide, 8} : (tile){turn_4, 4};
    case 8:
        return wide ? (tile){turn_8_wide, 4} : (tile){turn_8, 2};
    default:
        return (tile){NULL, 1};
    }
}

/* The narrower kernel for what is left beside the wider one's squares. */
static tile narrower(uint32_t size, tile t)
{
    if (size == 4 && t.side == 8)
        return (tile){turn_4, 4};
    if (size == 8 && t.side == 4)
        return (tile){turn_8, 2};
    return (tile){NULL, 1};
}
#else
static tile tile_for(uint32_t size)
{
    (void)size;
    return (tile){NULL, 1};
}

static tile narrower(uint32_t size, tile t)
{
    (void)size;
    (void)t;
    return (tile){NULL, 1};
}
#endif

/* An area of the input: `whole` rows and columns of it in squares, the rest beside them. */
static void turn_area(uint8_t *out, int64_t out_step, const uint8_t *in, int64_t in_step, size_t rows,
                      size_t columns, uint32_t size, tile t)
{
    if (!t.kernel) {
        scalar(out, out_step, in, in_step, rows, columns, size);
        return;
    }
    size_t whole_rows = rows - rows % t.side, whole_columns = columns - columns % t.side;
    for (size_t c = 0; c < whole_columns; c += t.side)
        for (size_t r = 0; r < whole_rows; r += t.side)
            t.kernel(out + (int64_t)c * out_step + (int64_t)(r * size), out_step,
                     in + (int64_t)r * in_step + (int64_t)(c * size), in_step);
    tile less = narrower(size, t);
    if (whole_rows < rows && whole_columns)
        turn_area(out + (int64_t)(whole_rows * size), out_step, in + (int64_t)whole_rows * in_step, in_step,
                  rows - whole_rows, whole_columns, size, less);
    if (whole_columns < columns)
        turn_area(out + (int64_t)whole_columns * out_step, out_step, in + (int64_t)(whole_columns * size),
                  in_step, rows, columns - whole_columns, size, less);
}

void wm_transpose(uint8_t *out, int64_t out_step, const uint8_t *in, int64_t in_step, size_t rows,
                  size_t columns, uint32_t size)
{
    tile t = tile_for(size);
    size_t high = LINE / size, wide = COLUMN_BYTES / size;
    if (high < t.side)
        high = t.side;
    for (size_t c = 0; c < columns; c += wide)
        for (size_t r = 0; r < rows; r += high)
            turn_area(out + (int64_t)c * out_step + (int64_t)(r * size), out_step,
                      in + (int64_t)r * in_step + (int64_t)(c * size), in_step,
                      rows - r < high ? rows - r : high, columns - c < wide ? columns - c : wide, size, t);
}
