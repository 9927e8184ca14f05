/* literal.h: the tensors of a test as elements. */
#ifndef WM_RUNNER_LITERAL_H
#define WM_RUNNER_LITERAL_H

#include "compiler/tests.h"

/* The header of a tensor; borrows from it. */
wmap_tensor wm_test_header(const wm_test_tensor *tensor);

/* Its elements, little-endian and row-major; malloc. NULL: out of memory. */
uint8_t *wm_test_elements(const wm_test_tensor *tensor);

/* As many elements of that dtype, of any bits that one can have; the same ones each time. malloc, NULL: out
 * of memory. */
uint8_t *wm_test_any_bits(const wm_test_tensor *tensor);

/* Where elements differ. */
typedef struct wm_test_difference {
    uint64_t count, first; /* elements that differ; the first of them, row-major */
} wm_test_difference;

/* Compares `count` elements of a dtype: the same bits, or both NaN, or (`tolerant`) at most `tolerance`
 * apart. */
wm_test_difference wm_test_compare(wmap_dtype dtype, const uint8_t *a, const uint8_t *b, uint64_t count,
                                   bool tolerant, double tolerance);

#endif
