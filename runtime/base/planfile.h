/* planfile.h: the bytes around a plan's message: what tells a plan from other files, and that it is whole.
 * The compiler wraps, the runtime unwraps. docs/plan.md describes the header. */
#ifndef WM_PLANFILE_H
#define WM_PLANFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wmap/error.h"

/* What a move of a plan can hold; docs/plan.md states it. */
#define WM_VALUE_SOURCES 64
#define WM_VALUE_OPS     4096 /* of its program */

#define WM_PLAN_MAGIC_SIZE  8
#define WM_PLAN_HEADER_SIZE 56
#define WM_PLAN_VERSION     2 /* of the format that we write */
#define WM_PLAN_OLDEST      1 /* the oldest reader that understands a plan without guards */
#define WM_PLAN_GUARDS      2 /* ... and one with guards */

#define WM_PLAN_THEN 8 /* the field of Plan that holds the stages of a chain behind the first */

/* Longest message that is read. */
#define WM_PLAN_MAX_MESSAGE ((uint64_t)1 << 30)

/* A new block (malloc) of `*total` bytes for a header and a message of `size` bytes behind it. False if out
 * of memory. */
bool wm_plan_alloc(size_t size, uint8_t **bytes, size_t *total);

/* Fills the header in when the message stands in its place. */
void wm_plan_seal(uint8_t *bytes, size_t total, uint32_t oldest);

/* Header and a copy of a message in one new block (malloc) of `*total` bytes. False if out of memory. */
bool wm_plan_wrap(const uint8_t *message, size_t size, uint8_t **bytes, size_t *total);

/* Checks the header and the digest and gives the message, which lies in `bytes`. WMAP_E_PLAN with the offset
 * of what is wrong. */
bool wm_plan_unwrap(const uint8_t *bytes, size_t size, const uint8_t **message, size_t *message_size,
                    wmap_error *err);

/* True if `bytes` begin as every plan does. */
bool wm_plan_magic(const uint8_t *bytes, size_t size);

#endif
