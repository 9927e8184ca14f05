/* crc.h: zip's CRC-32, fast enough not to slow a copy down. */
#ifndef WM_CRC_H
#define WM_CRC_H

#include <stddef.h>
#include <stdint.h>

/* The CRC of `size` more bytes after bytes whose CRC is `crc` (0 at the start). */
uint32_t wm_crc32(uint32_t crc, const void *bytes, size_t size);

/* The CRC of bytes that are followed by `size` others: from the CRC of each. */
uint32_t wm_crc32_join(uint32_t first, uint32_t second, uint64_t size);

#endif
