/* natural.h: the order of names in files that have no order of their own. */
#ifndef WM_NATURAL_H
#define WM_NATURAL_H

#include <stddef.h>

/* Compares two names component by component (separated by `/`), runs of digits by their value:
 * layers/dense/vars/2, layers/dense/vars/10, layers/dense_1/vars/0. 0 only for equal names. */
int wm_natural_compare(const char *a, size_t a_len, const char *b, size_t b_len);

#endif
