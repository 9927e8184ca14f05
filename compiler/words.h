/* words.h: an index of names by the words in them: letters and digits in a row. */
#ifndef WM_WORDS_H
#define WM_WORDS_H

#include "compiler/program.h"

typedef struct wm_words wm_words;

/* The names that have one word. */
typedef struct wm_word_places {
    uint32_t first, last, count;
} wm_word_places;

/* All words of `count` names, which are borrowed. */
wm_words *wm_words_index(wm_arena *arena, const wm_str *names, size_t count);

/* A word that begins and ends within `text` is whole in each name that `text` is in. Puts the rarest of them
 * into `*best` if that is NULL or has more names. False: no name has one of them. */
bool wm_words_rarest(const wm_words *words, wm_str text, const wm_word_places **best);

/* The name at a place, which becomes the next one; UINT32_MAX at the end. */
uint32_t wm_words_next(const wm_words *words, uint32_t *place);

#endif
