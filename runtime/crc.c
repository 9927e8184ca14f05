/* crc.c: two CRCs. Zip's CRC-32 by carry-less multiplication where the processor has it, else zlib's.
 * zlib 1.2.13 gives 1.8 to 2.5 GB/s, less than a file can be written with; four folded lanes give about 15.
 * The constants are powers of x modulo the polynomial, from "Fast CRC Computation for Generic Polynomials
 * Using PCLMULQDQ" (Intel, 2009). CRC-32C is an instruction; three lanes hide its latency. */
#include "runtime/crc.h"

#include <string.h>
#include <zlib.h>

static uint32_t crc_zlib(uint32_t crc, const uint8_t *bytes, size_t size)
{
    return (uint32_t)crc32_z(crc, bytes, size);
}

#if defined(__x86_64__)
#include <immintrin.h>

/* One step of folding: x moved on by the distance that k stands for, plus y. */
__attribute__((target("pclmul,sse4.1"))) static inline __m128i fold(__m128i x, __m128i k, __m128i y)
{
    __m128i low = _mm_clmulepi64_si128(x, k, 0x00), high = _mm_clmulepi64_si128(x, k, 0x11);
    return _mm_xor_si128(_mm_xor_si128(low, high), y);
}

__attribute__((target("pclmul,sse4.1"))) static inline __m128i load(const uint8_t *at)
{
    return _mm_loadu_si128((const __m128i *)(const void *)at);
}

/* `size` is a multiple of 16, and at least 64. */
__attribute__((target("pclmul,sse4.1"))) static uint32_t crc_folded(uint32_t crc, const uint8_t *bytes,
                                                                    size_t size)
{
    const __m128i by64 = _mm_set_epi64x(0x1c6e41596, 0x154442bd4);
    const __m128i by16 = _mm_set_epi64x(0x0ccaa009e, 0x1751997d0);
    const __m128i by4 = _mm_set_epi64x(0, 0x163cd6124);
    const __m128i barrett = _mm_set_epi64x(0x1f7011641, 0x1db710641);
    const __m128i even = _mm_setr_epi32(~0, 0, ~0, 0);
    __m128i a = _mm_xor_si128(load(bytes), _mm_cvtsi32_si128((int)~crc)), b = load(bytes + 16),
            c = load(bytes + 32), d = load(bytes + 48);
    for (bytes += 64, size -= 64; size >= 64; bytes += 64, size -= 64) {
        a = fold(a, by64, load(bytes));
        b = fold(b, by64, load(bytes + 16));
        c = fold(c, by64, load(bytes + 32));
        d = fold(d, by64, load(bytes + 48));
    }
    a = fold(fold(fold(a, by16, b), by16, c), by16, d);
    for (; size >= 16; bytes += 16, size -= 16)
        a = fold(a, by16, load(bytes));
    /* 128 bits to 64, to 32 */
    __m128i t = _mm_clmulepi64_si128(a, by16, 0x10);
    a = _mm_xor_si128(_mm_srli_si128(a, 8), t);
    t = _mm_srli_si128(a, 4);
    a = _mm_xor_si128(_mm_clmulepi64_si128(_mm_and_si128(a, even), by4, 0x00), t);
    t = _mm_and_si128(_mm_clmulepi64_si128(_mm_and_si128(a, even), barrett, 0x10), even);
    a = _mm_xor_si128(a, _mm_clmulepi64_si128(t, barrett, 0x00));
    return ~(uint32_t)_mm_extract_epi32(a, 1);
}

uint32_t wm_crc32(uint32_t crc, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    if (size >= 64 && __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1")) {
        size_t whole = size & ~(size_t)15;
        crc = crc_folded(crc, at, whole);
        at += whole;
        size -= whole;
    }
    return size ? crc_zlib(crc, at, size) : crc;
}
#else
uint32_t wm_crc32(uint32_t crc, const void *bytes, size_t size)
{
    return size ? crc_zlib(crc, bytes, size) : crc;
}
#endif

uint32_t wm_crc32_join(uint32_t first, uint32_t second, uint64_t size)
{
    return (uint32_t)crc32_combine64(first, second, (z_off64_t)size);
}

/* --- CRC-32C --- */

#define CRC32C 0x82f63b78u /* its polynomial, bits reversed: bit 31 is the coefficient of 1 */

uint32_t wm_crc32c_plain(uint32_t crc, const void *bytes, size_t size)
{
    /* What four bits that leave the register do to it. */
    static const uint32_t table[16] = {
        0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
        0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
    };
    const uint8_t *at = bytes;
    crc = ~crc;
    for (size_t i = 0; i < size; i++) {
        crc ^= at[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}

#if defined(__x86_64__)
#define LANE ((size_t)2048)

/* The register `crc` after as many zero bytes as the power of x in `k` stands for. */
__attribute__((target("pclmul,sse4.2"))) static inline uint64_t moved(uint64_t crc, uint32_t k)
{
    __m128i product = _mm_clmulepi64_si128(_mm_cvtsi64_si128((int64_t)crc), _mm_cvtsi32_si128((int)k), 0x00);
    return _mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(product));
}

__attribute__((target("sse4.2"))) static inline uint64_t step(uint64_t crc, const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return _mm_crc32_u64(crc, word);
}

__attribute__((target("pclmul,sse4.2"))) static uint32_t crc32c_lanes(uint32_t start, const uint8_t *bytes,
                                                                      size_t size)
{
    const uint32_t by_lane = 0xa51b6135, by_two = 0x82f89c77; /* x^(8*LANE - 33), x^(16*LANE - 33) */
    uint64_t a = ~start & UINT32_MAX;
    for (; size >= 3 * LANE; bytes += 3 * LANE, size -= 3 * LANE) {
        uint64_t b = 0, c = 0;
        for (size_t i = 0; i < LANE; i += 8) {
            a = step(a, bytes + i);
            b = step(b, bytes + LANE + i);
            c = step(c, bytes + 2 * LANE + i);
        }
        a = moved(a, by_two) ^ moved(b, by_lane) ^ c;
    }
    for (; size >= 8; bytes += 8, size -= 8)
        a = step(a, bytes);
    for (; size; bytes++, size--)
        a = _mm_crc32_u8((uint32_t)a, *bytes);
    return ~(uint32_t)a;
}

uint32_t wm_crc32c(uint32_t crc, const void *bytes, size_t size)
{
    if (__builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.2"))
        return crc32c_lanes(crc, bytes, size);
    return wm_crc32c_plain(crc, bytes, size);
}
#else
uint32_t wm_crc32c(uint32_t crc, const void *bytes, size_t size)
{
    return wm_crc32c_plain(crc, bytes, size);
}
#endif

/* The product of two polynomials, modulo that of CRC-32C. */
static uint32_t times(uint32_t a, uint32_t b)
{
    uint32_t product = 0;
    for (uint32_t bit = 1u << 31; bit; bit >>= 1) {
        if (a & bit)
            product ^= b;
        b = b & 1 ? b >> 1 ^ CRC32C : b >> 1;
    }
    return product;
}

uint32_t wm_crc32c_join(uint32_t first, uint32_t second, uint64_t size)
{
    /* The first CRC is moved on by `size` bytes: multiplied by x^(8 * size). */
    for (uint32_t power = 1u << 23; size; size >>= 1) {
        if (size & 1)
            first = times(first, power);
        power = times(power, power);
    }
    return first ^ second;
}
