/* crc.h: the CRC-32 of zips, and CRC-32C (Castagnoli) of TensorFlow; fast enough not to slow a copy down. */
#ifndef WM_CRC_H
#define WM_CRC_H

#include <stddef.h>
#include <stdint.h>

/* The CRC of `size` more bytes after bytes whose CRC is `crc` (0 at the start). */
uint32_t wm_crc32(uint32_t crc, const void *bytes, size_t size);

/* The CRC of bytes that are followed by `size` others: from the CRC of each. */
uint32_t wm_crc32_join(uint32_t first, uint32_t second, uint64_t size);

/* The same two for CRC-32C. wm_crc32c_plain does without the processor's help; for tests. */
uint32_t wm_crc32c(uint32_t crc, const void *bytes, size_t size);
uint32_t wm_crc32c_plain(uint32_t crc, const void *bytes, size_t size);
uint32_t wm_crc32c_join(uint32_t first, uint32_t second, uint64_t size);

/* A CRC-32C as TensorFlow and LevelDB store it, so that a CRC of bytes that hold their own CRC is not a
 * constant. */
static inline uint32_t wm_crc32c_mask(uint32_t crc)
{
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}
static inline uint32_t wm_crc32c_unmask(uint32_t masked)
{
    uint32_t turned = masked - 0xa282ead8u;
    return turned >> 17 | turned << 15;
}

#endif
