/* convert.h: elements of one dtype as those of another, rounded once. docs/plan.md, "Casts", is the contract.
 */
#ifndef WM_CONVERT_H
#define WM_CONVERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wmap/tensor.h"

/* What a value becomes that the dtype can't hold. */
typedef enum wm_cast_policy {
    WM_CAST_CHECK,    /* it is an error */
    WM_CAST_SATURATE, /* the nearest finite value; NaN to an integer stays an error */
    WM_CAST_ALLOW /* infinity (NaN where there is none); the low bits of an integer, 0 for NaN and infinity */
} wm_cast_policy;

#define WM_LARGEST_ELEMENT 16 /* bytes */

/* True if there is a cast: between bool, integers and floats, and between complex dtypes. */
bool wm_castable(wmap_dtype from, wmap_dtype to);

/* Converts `count` elements of a castable pair. Returns how many of them are errors under the policy, and in
 * `*first` the index of the first of them (unchanged if there is none). The areas must not overlap. */
uint64_t wm_convert(wmap_dtype from, wmap_dtype to, wm_cast_policy policy, const void *in, void *out,
                    size_t count, size_t *first);

/* A constant as an element of `dtype`: false if it is none (out of range, a fraction for an integer, anything
 * but 0 for raw bytes). */
bool wm_constant_integer(wmap_dtype dtype, int64_t value, uint8_t element[WM_LARGEST_ELEMENT]);
bool wm_constant_number(wmap_dtype dtype, double value, uint8_t element[WM_LARGEST_ELEMENT]);

/* An element as text, for messages. Returns `out`, always ended by NUL. */
char *wm_element_text(wmap_dtype dtype, const void *element, char *out, size_t size);

#endif
