/* cursor.h: the only way in which bytes of a file are read as numbers. Every read is checked against the end;
 * the first failure sticks, later reads give 0 and empty spans, and nothing clears it. So a parser reads on
 * and asks once. */
#ifndef WM_CURSOR_H
#define WM_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct wm_cursor {
    const uint8_t *bytes;
    size_t size, at;
    uint64_t origin; /* offset of bytes[0] in the file, for messages */
    bool failed;
} wm_cursor;

static inline wm_cursor wm_cursor_of(const void *bytes, size_t size, uint64_t origin)
{
    return (wm_cursor){bytes, size, 0, origin, false};
}

static inline size_t wm_cursor_left(const wm_cursor *c)
{
    return c->failed ? 0 : c->size - c->at;
}

/* Offset in the file of the next byte (or of the read that failed). */
static inline uint64_t wm_cursor_offset(const wm_cursor *c)
{
    return c->origin + c->at;
}

/* The next `count` bytes, or NULL (sticky) if there are not so many. A count of 0 gives a valid pointer. */
static inline const uint8_t *wm_take(wm_cursor *c, uint64_t count)
{
    if (c->failed || count > c->size - c->at) {
        c->failed = true;
        return NULL;
    }
    const uint8_t *p = c->bytes + c->at;
    c->at += (size_t)count;
    return p;
}

static inline void wm_seek(wm_cursor *c, uint64_t at)
{
    if (at > c->size)
        c->failed = true;
    else if (!c->failed)
        c->at = (size_t)at;
}

/* Little-endian numbers of 1, 2, 4 and 8 bytes; 0 after a failure. */
static inline uint64_t wm_take_le(wm_cursor *c, unsigned bytes)
{
    const uint8_t *p = wm_take(c, bytes);
    uint64_t value = 0;
    for (unsigned i = 0; p && i < bytes; i++)
        value |= (uint64_t)p[i] << (8 * i);
    return value;
}
static inline uint8_t wm_take_u8(wm_cursor *c)
{
    return (uint8_t)wm_take_le(c, 1);
}
static inline uint16_t wm_take_u16(wm_cursor *c)
{
    return (uint16_t)wm_take_le(c, 2);
}
static inline uint32_t wm_take_u32(wm_cursor *c)
{
    return (uint32_t)wm_take_le(c, 4);
}
static inline uint64_t wm_take_u64(wm_cursor *c)
{
    return wm_take_le(c, 8);
}

#endif
