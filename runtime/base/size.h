/* size.h: every size computed from file data or from a spec goes through these: they say false on overflow
 * and on results of 2^63 and more, so that a good result also fits an int64_t. */
#ifndef WM_SIZE_H
#define WM_SIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WM_SIZE_MAX ((uint64_t)INT64_MAX)

static inline bool wm_size_add(uint64_t a, uint64_t b, uint64_t *out)
{
    return !__builtin_add_overflow(a, b, out) && *out <= WM_SIZE_MAX;
}

static inline bool wm_size_mul(uint64_t a, uint64_t b, uint64_t *out)
{
    return !__builtin_mul_overflow(a, b, out) && *out <= WM_SIZE_MAX;
}

/* The number of elements of a shape; 1 for a scalar. A zero dimension gives 0 whatever the others are, as
 * long as the product of the others is below 2^63 too (so strides never overflow). */
static inline bool wm_shape_count(const uint64_t *shape, uint32_t rank, uint64_t *count)
{
    uint64_t nonzero = 1;
    bool zero = false;
    for (uint32_t d = 0; d < rank; d++) {
        if (shape[d] == 0)
            zero = true;
        else if (!wm_size_mul(nonzero, shape[d], &nonzero))
            return false;
    }
    *count = zero ? 0 : nonzero;
    return true;
}

/* The whole root of a square below 2^32, 0 of other numbers. */
static inline uint64_t wm_size_root(uint64_t square)
{
    uint64_t root = 1;
    while (root < 1 << 16 && root * root < square)
        root++;
    return root * root == square ? root : 0;
}

/* The next multiple of `align` (a power of two). */
static inline bool wm_size_align(uint64_t value, uint64_t align, uint64_t *out)
{
    if (!wm_size_add(value, align - 1, out))
        return false;
    *out &= ~(align - 1);
    return true;
}

#endif
