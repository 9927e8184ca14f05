/* natural.c: see natural.h. */
#include "runtime/base/natural.h"

#include <string.h>

/* Compares runs of digits by their value. */
static int compare_parts(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t i = 0, j = 0;
    while (i < a_len && j < b_len) {
        size_t x = i, y = j;
        while (x < a_len && a[x] >= '0' && a[x] <= '9')
            x++;
        while (y < b_len && b[y] >= '0' && b[y] <= '9')
            y++;
        if (x == i || y == j) {
            if (a[i] != b[j])
                return (unsigned char)a[i] < (unsigned char)b[j] ? -1 : 1;
            i++, j++;
            continue;
        }
        while (i + 1 < x && a[i] == '0')
            i++;
        while (j + 1 < y && b[j] == '0')
            j++;
        int order = x - i != y - j ? (x - i < y - j ? -1 : 1) : memcmp(a + i, b + j, x - i);
        if (order)
            return order;
        i = x, j = y;
    }
    return i < a_len ? 1 : j < b_len ? -1 : 0;
}

int wm_natural_compare(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t i = 0, j = 0;
    while (i < a_len && j < b_len) {
        const char *p = a + i, *q = b + j;
        const char *p_end = memchr(p, '/', a_len - i), *q_end = memchr(q, '/', b_len - j);
        size_t p_len = p_end ? (size_t)(p_end - p) : a_len - i;
        size_t q_len = q_end ? (size_t)(q_end - q) : b_len - j;
        int order = compare_parts(p, p_len, q, q_len);
        if (order)
            return order;
        i += p_len + 1;
        j += q_len + 1;
    }
    if (i < a_len || j < b_len)
        return i < a_len ? 1 : -1;
    /* Equal up to leading zeros: as bytes, so that the order never depends on the sort. */
    int order = memcmp(a, b, a_len < b_len ? a_len : b_len);
    return order ? order : a_len < b_len ? -1 : a_len > b_len;
}
