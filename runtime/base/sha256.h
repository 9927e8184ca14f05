/* sha256.h: FIPS 180-4, for the digests of specs, plans and tensors. */
#ifndef WM_SHA256_H
#define WM_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define WM_SHA256_SIZE 32

/* The digest of `size` bytes. */
void wm_sha256(const void *bytes, size_t size, uint8_t digest[WM_SHA256_SIZE]);

/* The same piece by piece: a state of zeros, then begin, add and end. */
#define WM_SHA256_BLOCK 64
typedef struct wm_sha256_state {
    uint32_t h[8];
    uint64_t size;                 /* bytes so far */
    uint8_t rest[WM_SHA256_BLOCK]; /* of them, those that fill no block */
} wm_sha256_state;
void wm_sha256_begin(wm_sha256_state *state);
void wm_sha256_add(wm_sha256_state *state, const void *bytes, size_t size);
void wm_sha256_end(wm_sha256_state *state, uint8_t digest[WM_SHA256_SIZE]);

/* The rounds over whole blocks without special instructions; apart, so that tests can compare the two. */
#define WM_SHA256_START                                                                                      \
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19
void wm_sha256_portable(uint32_t h[8], const uint8_t *bytes, size_t blocks);

#endif
