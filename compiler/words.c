/* words.c: which names have a word. Receives names; gives those that have a word of a text, so that a pattern
 * that may begin and end with anything is not tried on all names. */
#include "compiler/words.h"

#include "runtime/base/map.h"

struct wm_words {
    wm_map map; /* word -> lists */
    wm_word_places *lists;
    struct place {
        uint32_t name, next;
    } * places;
    size_t list_count, list_cap, place_count, place_cap;
};

static bool in_word(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* The next word of a text from `*at` on; empty at the end. */
static wm_str next_word(wm_str text, uint32_t *at)
{
    while (*at < text.len && !in_word(text.p[*at]))
        ++*at;
    uint32_t beg = *at;
    while (*at < text.len && in_word(text.p[*at]))
        ++*at;
    return (wm_str){text.p ? text.p + beg : NULL, *at - beg};
}

static void add_word(wm_words *w, wm_arena *arena, wm_str word, uint32_t name)
{
    uint32_t place = (uint32_t)w->place_count;
    uint32_t at = wm_map_put(&w->map, word.p, word.len, (uint32_t)w->list_count, NULL);
    if (at == WM_MAP_NONE) {
        *wm_push(arena, w->lists, w->list_count, w->list_cap) = (wm_word_places){place, place, 1};
    } else if (w->places[w->lists[at].last].name != name) {
        w->places[w->lists[at].last].next = place;
        w->lists[at].last = place;
        w->lists[at].count++;
    } else {
        return; /* once a name */
    }
    *wm_push(arena, w->places, w->place_count, w->place_cap) = (struct place){name, UINT32_MAX};
}

wm_words *wm_words_index(wm_arena *arena, const wm_str *names, size_t count)
{
    wm_words *w = wm_new(arena, wm_words, 1);
    wm_map_init(&w->map, arena, count);
    for (size_t i = 0; i < count; i++) {
        uint32_t at = 0;
        for (wm_str word; (word = next_word(names[i], &at)).len;)
            add_word(w, arena, word, (uint32_t)i);
    }
    return w;
}

bool wm_words_rarest(const wm_words *words, wm_str text, const wm_word_places **best)
{
    uint32_t end = 0;
    for (wm_str word; (word = next_word(text, &end)).len;) {
        if (word.p == text.p || end == text.len) /* it may go on outside of the text */
            continue;
        uint32_t at = wm_map_get(&words->map, word.p, word.len);
        if (at == WM_MAP_NONE)
            return false;
        if (!*best || words->lists[at].count < (*best)->count)
            *best = &words->lists[at];
    }
    return true;
}

uint32_t wm_words_next(const wm_words *words, uint32_t *place)
{
    const struct place *p = &words->places[*place];
    *place = p->next;
    return p->name;
}
