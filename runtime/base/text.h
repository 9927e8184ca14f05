/* text.h: names from files, made fit for a terminal; numbers as text. */
#ifndef WM_TEXT_H
#define WM_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decodes one UTF-8 character of `len` bytes at `bytes`; returns its length in bytes, or 0 if it is malformed
 * (overlong, a surrogate, beyond U+10FFFF, cut off). */
size_t wm_utf8(const char *bytes, size_t len, uint32_t *scalar);

/* True if all of it is well-formed UTF-8. */
bool wm_utf8_valid(const char *bytes, size_t len);

/* Columns that a character takes on a terminal: 0 (combining), 1 or 2 (wide). */
int wm_utf8_width(uint32_t scalar);

/* Copies `name` to `out` of `size` bytes for printing: control characters, malformed bytes, and marks that
 * turn the direction of text become \xHH or \u{H}; long names are cut in the middle with "...". Always ended
 * by NUL. Returns `out`. */
char *wm_show(char *out, size_t size, const char *name, size_t len);

/* The fewest significant digits with which a number reads back as it is: 1 to 17; of a float that is not
 * `wide` but of 32 bits or fewer, 1 to 9. The most for NaN. */
int wm_float_digits(double value, bool wide);

#endif
