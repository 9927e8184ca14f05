/* map.h: a hash table from byte strings to numbers, in an arena. Keys are borrowed: they must outlive the
 * map. The hash is seeded once a process, so that names in a hostile file can't be chosen to collide; nothing
 * may depend on the order of slots, and nothing can: there is no iteration. */
#ifndef WM_MAP_H
#define WM_MAP_H

#include "runtime/base/arena.h"

#define WM_MAP_NONE UINT32_MAX

typedef struct wm_map {
    wm_arena *arena;
    struct wm_map_slot *slots;
    struct wm_map_entry *entries;
    size_t count, size; /* entries, fewer than 2^32; slots, a power of two */
} wm_map;

/* An empty map; `expected` entries are reserved on the first put. */
void wm_map_init(wm_map *map, wm_arena *arena, size_t expected);

/* The value of a key, WM_MAP_NONE if absent. */
uint32_t wm_map_get(const wm_map *map, const void *key, size_t len);

/* Adds the key with `value` unless it is there. Returns the value that stood there before, WM_MAP_NONE if the
 * key is new. If memory runs out (in an arena that does not jump) `*oom` is set; `oom` may be NULL otherwise.
 */
uint32_t wm_map_put(wm_map *map, const void *key, size_t len, uint32_t value, bool *oom);

/* Changes the value of a key that is there. */
void wm_map_set(wm_map *map, const void *key, size_t len, uint32_t value);

/* The seeded hash, for other tables. */
uint64_t wm_hash(const void *key, size_t len);

#endif
