/* arena.h: memory that is freed all at once. Objects are never freed one by one.
 *
 *     wm_arena arena;
 *     wm_arena_init(&arena);
 *     if (setjmp(*wm_arena_oom(&arena))) { ... out of memory: release the arena, report, return ... }
 *     struct node *n = wm_new(&arena, struct node, 1);      // zeroed
 *     wm_arena_release(&arena);
 *
 * Without wm_arena_oom, an allocation that fails gives NULL. With it, it jumps there, so that code between
 * the entry point and an allocation needs no checks; such code must hold nothing but arena memory. */
#ifndef WM_ARENA_H
#define WM_ARENA_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct wm_arena {
    struct wm_arena_chunk *head;  /* the chunk being filled */
    struct wm_arena_chunk *spare; /* emptied by wm_arena_clear */
    size_t used;                  /* bytes handed out, for limits and statistics */
    jmp_buf *jump;                /* NULL: failures give NULL */
    jmp_buf oom;
} wm_arena;

void wm_arena_init(wm_arena *arena);

/* Frees everything. The arena may be used again afterwards. */
void wm_arena_release(wm_arena *arena);

/* As release, but keeps some of its memory for what comes next: an arena that is filled and cleared over and
 * over touches few pages. */
void wm_arena_clear(wm_arena *arena);

/* Makes allocation failures jump to the returned buffer, which the caller passes to setjmp at once. */
jmp_buf *wm_arena_oom(wm_arena *arena);

/* Makes allocation failures of `arena` jump to where those of `other` do. */
void wm_arena_oom_as(wm_arena *arena, wm_arena *other);

/* `size` zeroed bytes, aligned for all but long double and vectors; a size of 0 gives a valid pointer. NULL
 * if out of memory. */
void *wm_alloc(wm_arena *arena, size_t size);

/* `count` times `size` zeroed bytes, checked. */
void *wm_alloc_array(wm_arena *arena, size_t count, size_t size);

#define wm_new(arena, type, count) ((type *)wm_alloc_array((arena), (count), sizeof(type)))

/* A copy of `len` bytes, ended by NUL. */
char *wm_copy(wm_arena *arena, const char *bytes, size_t len);

/* printf into the arena. */
char *wm_format_text(wm_arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Grows an arena array: returns room for at least `need` elements, keeping the first `count`. `*cap` is the
 * capacity, doubled as needed; the old array stays behind as garbage, so the total is at most twice. */
void *wm_grow(wm_arena *arena, void *array, size_t count, size_t need, size_t *cap, size_t size);

/* Appends to the arena array `list` with `count` and `cap` (size_t) and gives a pointer to the new zeroed
 * element. NULL if out of memory in an arena that doesn't jump. */
#define wm_push(arena, list, count, cap)                                                                     \
    ((list) = wm_grow((arena), (list), (count), (count) + 1, &(cap), sizeof *(list)),                        \
     (list) ? &(list)[(count)++] : NULL)

#endif
