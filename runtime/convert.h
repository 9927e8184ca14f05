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

/* What casts lost beside digits. Of complex numbers each half counts. */
typedef struct wm_census {
    uint64_t elements;  /* that were cast */
    uint64_t overflow;  /* finite ones beyond the largest value of the dtype */
    uint64_t underflow; /* other than 0, and became 0 in a float dtype */
    uint64_t nan;
} wm_census;

/* census.c. Can such a cast lose more than digits? (NaN stays NaN in floats.) */
bool wm_cast_may_lose(wmap_dtype from, wmap_dtype to);

/* Counts what `count` elements lose in a castable pair; nothing but their number where nothing can be lost.
 */
void wm_cast_count(wmap_dtype from, wmap_dtype to, const void *in, size_t count, wm_census *census);
void wm_census_add(wm_census *sum, const wm_census *more);

/* A constant as an element of `dtype`: false if it is none (out of range, a fraction for an integer, anything
 * but 0 for raw bytes). */
bool wm_constant_integer(wmap_dtype dtype, int64_t value, uint8_t element[WM_LARGEST_ELEMENT]);
bool wm_constant_number(wmap_dtype dtype, double value, uint8_t element[WM_LARGEST_ELEMENT]);

/* An element as text, for messages. Returns `out`, always ended by NUL. */
char *wm_element_text(wmap_dtype dtype, const void *element, char *out, size_t size);

#endif
