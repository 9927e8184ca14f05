/* move.h: strided block copies. All positions are counted in elements until bytes are copied. */
#ifndef WM_MOVE_H
#define WM_MOVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The most axes with an extent above 1 whose product is below 2^63. */
#define WM_MOVE_AXES 62

typedef struct wm_axis {
    uint64_t extent;
    int64_t to, from; /* elements that a step moves on, in the target and in the source */
} wm_axis;

/* Index (i, j, ...) stands at `to` + i * axes[0].to + j * axes[1].to ... in the target, likewise in the
 * source. */
typedef struct wm_block {
    uint32_t count;
    int64_t to, from;
    wm_axis axes[WM_MOVE_AXES];
} wm_block;

/* Drops axes of extent 1, makes steps in the target positive, sorts axes by them, the longest first, and
 * joins axes that are contiguous on both sides. */
void wm_block_tidy(wm_block *block);

/* Joins what is contiguous in the target alone, for work that has no source. */
void wm_block_flatten(wm_block *block);

/* Number of elements, and the distance from the first to the last in the target. */
uint64_t wm_block_size(const wm_block *block);
int64_t wm_block_span(const wm_block *block);

/* The lowest and the highest position in the source. */
void wm_block_reach(const wm_block *block, int64_t *low, int64_t *high);

/* Cuts out of a tidied block the elements whose position in the target is in [low, high), as blocks, `to`
 * counted from `low`. `each` is called for every one; it may stop by returning false, which is then returned.
 */
bool wm_block_clip(const wm_block *block, int64_t low, int64_t high,
                   bool (*each)(void *user, const wm_block *part), void *user);

/* Copies elements of `size` bytes (1, 2, 4, 8 or 16). The areas must not overlap. */
void wm_block_copy(const wm_block *block, uint8_t *to, const uint8_t *from, uint32_t size);

/* Writes the same element everywhere. */
void wm_block_fill(const wm_block *block, uint8_t *to, const uint8_t *element, uint32_t size);

/* transpose.c: out[c][r] = in[r][c], for r < rows and c < columns. Rows of `in` are contiguous and `in_step`
 * bytes apart, those of `out` are contiguous and `out_step` bytes apart. */
void wm_transpose(uint8_t *out, int64_t out_step, const uint8_t *in, int64_t in_step, size_t rows,
                  size_t columns, uint32_t size);

#endif
