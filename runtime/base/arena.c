/* arena.c: chunks that grow, and the jump when memory runs out. Where much is needed the kernel is asked for
 * huge pages: an arena is filled from one end to the other, and most of what it costs is the first touch of
 * its pages. */
#include "runtime/base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define CHUNK_MIN ((size_t)64 << 10) /* bytes of chunks, with their head */
#define CHUNK_MAX ((size_t)4 << 20)
#define HUGE      ((size_t)2 << 20) /* a huge page; chunks from here on are mapped */
#define PAGE      ((size_t)4 << 10)
#define KEEP      ((size_t)16 << 20) /* bytes that a cleared arena keeps at most */
#define ALIGN     8

struct wm_arena_chunk {
    struct wm_arena_chunk *next;
    size_t used, size; /* of `bytes` */
    size_t mapped;     /* bytes of its mapping; 0: calloc */
    _Alignas(ALIGN) unsigned char bytes[];
};

void wm_arena_init(wm_arena *arena)
{
    arena->head = arena->spare = NULL;
    arena->used = 0;
    arena->jump = NULL;
}

/* A zeroed chunk of `total` bytes. */
static struct wm_arena_chunk *new_chunk(size_t total)
{
    struct wm_arena_chunk *chunk;
    if (total < HUGE) {
        chunk = calloc(1, total);
        if (!chunk)
            return NULL;
    } else {
        /* more than is needed, so that a boundary of huge pages lies in it; what is before it goes back */
        total = (total + PAGE - 1) & ~(PAGE - 1);
        uint8_t *raw = mmap(NULL, total + HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (raw == MAP_FAILED)
            return NULL;
        size_t before = (HUGE - (uintptr_t)raw % HUGE) % HUGE, after = HUGE - before;
        if (before)
            munmap(raw, before);
        munmap(raw + before + total, after);
        chunk = (void *)(raw + before);
        madvise(chunk, total, MADV_HUGEPAGE); /* a wish: kernels without them refuse it */
        chunk->mapped = total;
    }
    chunk->size = total - sizeof *chunk;
    return chunk;
}

static void free_chunks(struct wm_arena_chunk *chunk)
{
    while (chunk) {
        struct wm_arena_chunk *next = chunk->next;
        if (chunk->mapped)
            munmap(chunk, chunk->mapped);
        else
            free(chunk);
        chunk = next;
    }
}

void wm_arena_release(wm_arena *arena)
{
    free_chunks(arena->head);
    free_chunks(arena->spare);
    wm_arena_init(arena);
}

void wm_arena_clear(wm_arena *arena)
{
    struct wm_arena_chunk *next = NULL;
    size_t kept = 0;
    for (struct wm_arena_chunk *chunk = arena->spare; chunk; chunk = chunk->next)
        kept += chunk->size;
    for (struct wm_arena_chunk *chunk = arena->head; chunk; chunk = next) {
        next = chunk->next;
        chunk->next = NULL;
        if (chunk->size > CHUNK_MAX || kept + chunk->size > KEEP) {
            free_chunks(chunk);
            continue;
        }
        kept += chunk->size;
        memset(chunk->bytes, 0, chunk->used);
        chunk->used = 0;
        chunk->next = arena->spare;
        arena->spare = chunk;
    }
    arena->head = NULL;
    arena->used = 0;
}

jmp_buf *wm_arena_oom(wm_arena *arena)
{
    arena->jump = &arena->oom;
    return &arena->oom;
}

void wm_arena_oom_as(wm_arena *arena, wm_arena *other)
{
    arena->jump = other->jump;
}

static void *fail(wm_arena *arena)
{
    if (arena->jump)
        longjmp(*arena->jump, 1);
    return NULL;
}

/* A chunk with room for `size` bytes becomes the one being filled, or stands behind it if it is for these
 * alone. */
static struct wm_arena_chunk *add_chunk(wm_arena *arena, size_t size)
{
    struct wm_arena_chunk *head = arena->head, *chunk;
    for (struct wm_arena_chunk **at = &arena->spare; (chunk = *at) != NULL; at = &chunk->next)
        if (chunk->size >= size) {
            *at = chunk->next;
            chunk->next = head;
            return arena->head = chunk;
        }
    size_t room = head ? (head->size + sizeof *head) * 2 : CHUNK_MIN;
    if (room > CHUNK_MAX)
        room = CHUNK_MAX;
    bool own = size > room / 4;
    chunk = new_chunk(own ? sizeof *chunk + size : room);
    if (chunk && own && head) {
        chunk->next = head->next;
        head->next = chunk;
    } else if (chunk) {
        chunk->next = head;
        arena->head = chunk;
    }
    return chunk;
}

void *wm_alloc(wm_arena *arena, size_t size)
{
    if (size > SIZE_MAX / 2)
        return fail(arena);
    size = (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    if (size == 0)
        size = ALIGN;
    struct wm_arena_chunk *chunk = arena->head;
    if (!chunk || chunk->size - chunk->used < size)
        chunk = add_chunk(arena, size);
    if (!chunk)
        return fail(arena);
    void *result = chunk->bytes + chunk->used;
    chunk->used += size;
    arena->used += size;
    return result;
}

void *wm_alloc_array(wm_arena *arena, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        return fail(arena);
    return wm_alloc(arena, bytes);
}

char *wm_copy(wm_arena *arena, const char *bytes, size_t len)
{
    char *copy = len < SIZE_MAX ? wm_alloc(arena, len + 1) : fail(arena);
    if (copy && len)
        memcpy(copy, bytes, len);
    return copy;
}

char *wm_format_text(wm_arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (len < 0)
        return fail(arena);
    char *text = wm_alloc(arena, (size_t)len + 1);
    if (!text)
        return NULL;
    va_start(args, format);
    vsnprintf(text, (size_t)len + 1, format, args);
    va_end(args);
    return text;
}

void *wm_grow(wm_arena *arena, void *array, size_t count, size_t need, size_t *cap, size_t size)
{
    if (array && need <= *cap)
        return array;
    size_t room = *cap ? *cap : 2;
    while (room < need) {
        if (room > SIZE_MAX / 2)
            return fail(arena);
        room *= 2;
    }
    void *grown = wm_alloc_array(arena, room, size);
    if (!grown)
        return NULL;
    if (count)
        memcpy(grown, array, count * size);
    *cap = room;
    return grown;
}
