/* map.c: open addressing; the seed is taken once a process. */
#include "runtime/base/map.h"

#include <pthread.h>
#include <string.h>
#include <sys/random.h>

struct wm_map_slot {
    const void *key; /* NULL: free */
    size_t len;
    uint32_t hash; /* the lower half */
    uint32_t value;
};

static uint64_t seed;
static pthread_once_t seeded = PTHREAD_ONCE_INIT;

static void make_seed(void)
{
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != (ssize_t)sizeof seed)
        seed = (uint64_t)(uintptr_t)&seed * 0x9e3779b97f4a7c15u;
}

static uint64_t mix(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* After wyhash (public domain): multiply-and-fold over 8 byte words. */
uint64_t wm_hash(const void *key, size_t len)
{
    pthread_once(&seeded, make_seed);
    const unsigned char *p = key;
    uint64_t h = seed ^ mix(len ^ 0xa0761d6478bd642fu, 0xe7037ed1a0b428dbu);
    for (; len >= 8; len -= 8, p += 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        h = mix(h ^ word, 0x8ebc6af09c88c6e3u ^ seed);
    }
    uint64_t word = 0;
    if (len)
        memcpy(&word, p, len);
    return mix(h ^ word, 0x589965cc75374cc3u);
}

void wm_map_init(wm_map *map, wm_arena *arena, size_t expected)
{
    map->arena = arena;
    map->slots = NULL;
    map->count = 0;
    map->size = 16;
    while (map->size < expected + expected / 2 && map->size < SIZE_MAX / 4)
        map->size *= 2;
}

static struct wm_map_slot *find(const wm_map *map, const void *key, size_t len, uint32_t hash)
{
    for (size_t i = hash & (map->size - 1);; i = (i + 1) & (map->size - 1)) {
        struct wm_map_slot *slot = &map->slots[i];
        if (!slot->key ||
            (slot->hash == hash && slot->len == len && (len == 0 || memcmp(slot->key, key, len) == 0)))
            return slot;
    }
}

static bool grow(wm_map *map)
{
    struct wm_map_slot *old = map->slots;
    size_t old_size = map->size, size = old ? old_size * 2 : old_size;
    struct wm_map_slot *slots = wm_new(map->arena, struct wm_map_slot, size);
    if (!slots)
        return false;
    /* New pages are written before they are read: else the kernel maps them twice. */
    memset(slots, 0, size * sizeof *slots);
    map->slots = slots;
    map->size = size;
    for (size_t i = 0; old && i < old_size; i++)
        if (old[i].key)
            *find(map, old[i].key, old[i].len, old[i].hash) = old[i];
    return true;
}

uint32_t wm_map_get(const wm_map *map, const void *key, size_t len)
{
    if (!map->slots)
        return WM_MAP_NONE;
    struct wm_map_slot *slot = find(map, key, len, (uint32_t)wm_hash(key, len));
    return slot->key ? slot->value : WM_MAP_NONE;
}

uint32_t wm_map_put(wm_map *map, const void *key, size_t len, uint32_t value, bool *oom)
{
    if ((!map->slots || map->count * 4 >= map->size * 3) && !grow(map)) {
        if (oom)
            *oom = true;
        return WM_MAP_NONE;
    }
    uint32_t hash = (uint32_t)wm_hash(key, len);
    struct wm_map_slot *slot = find(map, key, len, hash);
    if (slot->key)
        return slot->value;
    *slot = (struct wm_map_slot){key ? key : "", len, hash, value};
    map->count++;
    return WM_MAP_NONE;
}

void wm_map_set(wm_map *map, const void *key, size_t len, uint32_t value)
{
    struct wm_map_slot *slot = map->slots ? find(map, key, len, (uint32_t)wm_hash(key, len)) : NULL;
    if (slot && slot->key)
        slot->value = value;
}
