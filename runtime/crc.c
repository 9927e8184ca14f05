/* crc.c: CRC-32 by carry-less multiplication where the processor has it, else zlib's. zlib 1.2.13 gives 1.8
 * to 2.5 GB/s, less than a file can be written with; four folded lanes give about 15. The constants are
 * powers of x modulo the polynomial, from "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ"
 * (Intel, 2009). */
#include "runtime/crc.h"

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
