/* tile.h: do blocks cover a range of positions, each exactly once? Decided by blocks, not by elements. */
#ifndef WM_TILE_H
#define WM_TILE_H

#include "runtime/base/arena.h"
#include "runtime/move.h"

typedef enum wm_tiled { WM_TILED, WM_NOT_TILED, WM_TILING_UNDECIDED, WM_TILING_OOM } wm_tiled;

typedef struct wm_tiling {
    wm_arena arena;        /* boxes of the tensor at hand */
    struct wm_tile *tiles; /* malloc, kept from tensor to tensor */
    size_t count, cap;
    uint64_t size;   /* positions to cover */
    uint64_t effort; /* steps that may still be taken, over all tensors */
    uint64_t bits;   /* elements that may still be marked one by one, over all tensors */
} wm_tiling;

void wm_tiling_init(wm_tiling *tiling);
void wm_tiling_release(wm_tiling *tiling);

/* A range of `size` positions to be covered. */
void wm_tiling_begin(wm_tiling *tiling, uint64_t size);

/* Adds a tidied block that lies in the range. False if out of memory. */
bool wm_tiling_add(wm_tiling *tiling, const wm_block *block);

wm_tiled wm_tiling_check(wm_tiling *tiling);

#endif
