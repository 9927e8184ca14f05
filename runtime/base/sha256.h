/* sha256.h: FIPS 180-4, for the digests of specs and plans. */
#ifndef WM_SHA256_H
#define WM_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define WM_SHA256_SIZE 32

/* The digest of `size` bytes. */
void wm_sha256(const void *bytes, size_t size, uint8_t digest[WM_SHA256_SIZE]);

#endif
