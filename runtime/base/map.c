/* map.c: open addressing over small slots, which lie dense in the cache; the entries stand in the order in
 * which they came, and are looked at only where the hash agrees. The seed is taken once a process. */
#include "runtime/base/map.h"

#include <pthread.h>
#include <string.h>
#include <sys/random.h>

struct wm_map_slot {
    uint32_t hash;  /* the lower half */
    uint32_t entry; /* from 1; 0: free */
};

struct wm_map_entry {
    const void *key;
    size_t len;
    uint32_t hash, value;
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
    map->entries = NULL;
    map->count = 0;
    map->size = 16;
    while (map->size < expected + expected / 2 && map->size < SIZE_MAX / 4)
        map->size *= 2;
}

/* The slot of the key, or the free one where it would stand. */
static struct wm_map_slot *find(const wm_map *map, const void *key, size_t len, uint32_t hash)
{
    for (size_t i = hash & (map->size - 1);; i = (i + 1) & (map->size - 1)) {
        struct wm_map_slot *slot = &map->slots[i];
        if (!slot->entry)
            return slot;
        if (slot->hash != hash)
            continue;
        const struct wm_map_entry *e = &map->entries[slot->entry - 1];
        if (e->len == len && (len == 0 || memcmp(e->key, key, len) == 0))
            return slot;
    }
}

/* As many entries as there may be before the slots are doubled. */
static size_t room(size_t size)
{
    return size / 4 * 3;
}

static bool grow(wm_map *map)
{
    struct wm_map_slot *old = map->slots;
    size_t size = old ? map->size * 2 : map->size;
    struct wm_map_slot *slots = wm_new(map->arena, struct wm_map_slot, size);
    struct wm_map_entry *entries = slots ? wm_new(map->arena, struct wm_map_entry, room(size)) : NULL;
    if (!entries)
        return false;
    /* New pages are written before they are read: else the kernel maps them twice. */
    memset(slots, 0, size * sizeof *slots);
    if (map->count)
        memcpy(entries, map->entries, map->count * sizeof *entries);
    map->slots = slots;
    map->entries = entries;
    map->size = size;
    for (size_t n = 0; n < map->count; n++) {
        size_t i = entries[n].hash & (size - 1);
        while (slots[i].entry)
            i = (i + 1) & (size - 1);
        slots[i] = (struct wm_map_slot){entries[n].hash, (uint32_t)n + 1};
    }
    return true;
}

uint32_t wm_map_get(const wm_map *map, const void *key, size_t len)
{
    if (!map->slots)
        return WM_MAP_NONE;
    struct wm_map_slot *slot = find(map, key, len, (uint32_t)wm_hash(key, len));
    return slot->entry ? map->entries[slot->entry - 1].value : WM_MAP_NONE;
}

uint32_t wm_map_put(wm_map *map, const void *key, size_t len, uint32_t value, bool *oom)
{
    if ((!map->slots || map->count >= room(map->size)) && !grow(map)) {
        if (oom)
            *oom = true;
        return WM_MAP_NONE;
    }
    uint32_t hash = (uint32_t)wm_hash(key, len);
    struct wm_map_slot *slot = find(map, key, len, hash);
    if (slot->entry)
        return map->entries[slot->entry - 1].value;
    map->entries[map->count++] = (struct wm_map_entry){key, len, hash, value};
    *slot = (struct wm_map_slot){hash, (uint32_t)map->count};
    return WM_MAP_NONE;
}

void wm_map_set(wm_map *map, const void *key, size_t len, uint32_t value)
{
    struct wm_map_slot *slot = map->slots ? find(map, key, len, (uint32_t)wm_hash(key, len)) : NULL;
    if (slot && slot->entry)
        map->entries[slot->entry - 1].value = value;
}
