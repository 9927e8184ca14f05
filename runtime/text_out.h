/* text_out.h: text that is put together in an arena, JSON above all. */
#ifndef WM_TEXT_OUT_H
#define WM_TEXT_OUT_H

#include "runtime/base/arena.h"

/* All zero but the arena is an empty text. */
typedef struct wm_text {
    wm_arena *arena; /* does not jump */
    char *bytes;
    size_t size, cap;
    bool oom; /* something is missing; the text is of no use */
} wm_text;

void wm_text_bytes(wm_text *t, const char *bytes, size_t size);
void wm_text_add(wm_text *t, const char *text);
void wm_text_number(wm_text *t, uint64_t number);

/* A JSON string of UTF-8; `ascii` escapes all else, for readers that don't know the encoding. */
void wm_text_json(wm_text *t, const char *bytes, size_t len, bool ascii);

#endif
