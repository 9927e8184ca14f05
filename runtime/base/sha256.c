/* sha256.c: FIPS 180-4, section 6.2; by the instructions of x86 where the processor has them. */
#include "runtime/base/sha256.h"

#include <stdbool.h>
#include <string.h>

#ifdef __x86_64__
#include <cpuid.h>
#include <immintrin.h>
#endif

static const uint32_t K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t rotr(uint32_t x, int n)
{
    return x >> n | x << (32 - n);
}

void wm_sha256_portable(uint32_t h[8], const uint8_t *p, size_t blocks)
{
    for (; blocks > 0; blocks--, p += WM_SHA256_BLOCK) {
        uint32_t w[64], s[8];
        for (int i = 0; i < 16; i++)
            w[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 | (uint32_t)p[4 * i + 2] << 8 |
                   p[4 * i + 3];
        for (int i = 16; i < 64; i++)
            w[i] = w[i - 16] + (rotr(w[i - 15], 7) ^ rotr(w[i - 15], 18) ^ w[i - 15] >> 3) + w[i - 7] +
                   (rotr(w[i - 2], 17) ^ rotr(w[i - 2], 19) ^ w[i - 2] >> 10);
        memcpy(s, h, sizeof s);
        for (int i = 0; i < 64; i++) {
            uint32_t t1 = s[7] + (rotr(s[4], 6) ^ rotr(s[4], 11) ^ rotr(s[4], 25)) +
                          ((s[4] & s[5]) ^ (~s[4] & s[6])) + K[i] + w[i];
            uint32_t t2 = (rotr(s[0], 2) ^ rotr(s[0], 13) ^ rotr(s[0], 22)) +
                          ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
            memmove(s + 1, s, 7 * sizeof *s);
            s[4] += t1;
            s[0] = t1 + t2;
        }
        for (int i = 0; i < 8; i++)
            h[i] += s[i];
    }
}

#ifdef __x86_64__

static bool has_instructions(void)
{
    unsigned a, b, c, d;
    return __builtin_cpu_supports("sse4.1") && __builtin_cpu_supports("ssse3") &&
           __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b >> 29 & 1);
}

/* The instructions keep a, b, e, f in one register and c, d, g, h in the other, from high to low. A round
 * instruction does two rounds and gives the new a, b, e, f; the old are the new c, d, g, h. */
__attribute__((target("sha,sse4.1,ssse3"))) static void blocks_wide(uint32_t h[8], const uint8_t *p,
                                                                    size_t blocks)
{
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    __m128i abef = _mm_set_epi32((int)h[0], (int)h[1], (int)h[4], (int)h[5]);
    __m128i cdgh = _mm_set_epi32((int)h[2], (int)h[3], (int)h[6], (int)h[7]);
    for (; blocks > 0; blocks--, p += WM_SHA256_BLOCK) {
        __m128i before_abef = abef, before_cdgh = cdgh, w[4];
        for (int i = 0; i < 4; i++)
            w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const void *)(p + 16 * i)), swap);
        for (int i = 0; i < 16; i++) { /* four rounds each; w[i & 3] holds their words */
            __m128i sum = _mm_add_epi32(w[i & 3], _mm_loadu_si128((const void *)(K + 4 * i)));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0e));
            if (i >= 12)
                continue;
            /* the words of four rounds on: of 16, 15 and 7 words before, then of 2 before */
            __m128i last = w[(i + 3) & 3];
            __m128i next = _mm_add_epi32(_mm_sha256msg1_epu32(w[i & 3], w[(i + 1) & 3]),
                                         _mm_alignr_epi8(last, w[(i + 2) & 3], 4));
            w[i & 3] = _mm_sha256msg2_epu32(next, last);
        }
        abef = _mm_add_epi32(abef, before_abef);
        cdgh = _mm_add_epi32(cdgh, before_cdgh);
    }
    uint32_t out[8];
    _mm_storeu_si128((void *)out, abef);
    _mm_storeu_si128((void *)(out + 4), cdgh);
    h[0] = out[3], h[1] = out[2], h[4] = out[1], h[5] = out[0];
    h[2] = out[7], h[3] = out[6], h[6] = out[5], h[7] = out[4];
}

static void blocks_of(uint32_t h[8], const uint8_t *p, size_t blocks)
{
    if (has_instructions())
        blocks_wide(h, p, blocks);
    else
        wm_sha256_portable(h, p, blocks);
}

#else
#define blocks_of wm_sha256_portable
#endif

void wm_sha256_begin(wm_sha256_state *state)
{
    *state = (wm_sha256_state){.h = {WM_SHA256_START}};
}

void wm_sha256_add(wm_sha256_state *state, const void *bytes, size_t size)
{
    const uint8_t *p = bytes;
    size_t held = (size_t)(state->size % WM_SHA256_BLOCK);
    state->size += size;
    if (held) {
        size_t n = WM_SHA256_BLOCK - held < size ? WM_SHA256_BLOCK - held : size;
        memcpy(state->rest + held, p, n);
        if (held + n < WM_SHA256_BLOCK)
            return;
        blocks_of(state->h, state->rest, 1);
        p += n;
        size -= n;
    }
    if (size >= WM_SHA256_BLOCK)
        blocks_of(state->h, p, size / WM_SHA256_BLOCK);
    if (size % WM_SHA256_BLOCK)
        memcpy(state->rest, p + size - size % WM_SHA256_BLOCK, size % WM_SHA256_BLOCK);
}

void wm_sha256_end(wm_sha256_state *state, uint8_t digest[WM_SHA256_SIZE])
{
    uint8_t tail[2 * WM_SHA256_BLOCK] = {0};
    size_t left = (size_t)(state->size % WM_SHA256_BLOCK);
    if (left)
        memcpy(tail, state->rest, left);
    tail[left] = 0x80;
    size_t end = left + 9 <= WM_SHA256_BLOCK ? WM_SHA256_BLOCK : 2 * WM_SHA256_BLOCK;
    for (size_t i = 0; i < 8; i++)
        tail[end - 1 - i] = (uint8_t)(state->size * 8 >> (8 * i));
    wm_sha256_portable(state->h, tail, end / WM_SHA256_BLOCK); /* what the processor can do is slow to ask */
    for (int i = 0; i < 32; i++)
        digest[i] = (uint8_t)(state->h[i / 4] >> (24 - 8 * (i % 4)));
}

void wm_sha256(const void *bytes, size_t size, uint8_t digest[WM_SHA256_SIZE])
{
    wm_sha256_state state;
    wm_sha256_begin(&state);
    wm_sha256_add(&state, bytes, size);
    wm_sha256_end(&state, digest);
}
