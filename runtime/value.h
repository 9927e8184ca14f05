/* value.h: programs of moves: what is computed from the elements of one or several sources. docs/plan.md,
 * "Programs", is the contract. */
#ifndef WM_VALUE_H
#define WM_VALUE_H

#include "grammar/plan.pb-c.h"
#include "runtime/base/planfile.h"
#include "runtime/convert.h"

#define WM_VALUE_DEPTH 80  /* of a program's stack: a spec nests 64 deep at most */
#define WM_VALUE_CHUNK 256 /* elements that are computed in one go */

/* Is the program sound: does it give an element of `to` from elements of `from`, or, if `to` is none, compare
 * two of them at its end? */
bool wm_value_sound(const Wmap__Move *move, const wmap_dtype *from, size_t count, wmap_dtype to);

/* What went wrong in a range of elements. */
typedef struct wm_value_faults {
    uint64_t casts, overflows; /* elements: no value of a cast's dtype; whole numbers outside of theirs */
    size_t first;              /* the first of either */
    uint64_t differ;           /* elements that are not equal at the end, and the first of them */
    size_t first_differ;
    wmap_dtype dtype; /* of what follows */
    uint8_t found[WM_LARGEST_ELEMENT], expected[WM_LARGEST_ELEMENT];
    wm_census census; /* no fault */
} wm_value_faults;

/* Room for one thread; NULL if out of memory. Free it with free(). */
typedef struct wm_value_room wm_value_room;
wm_value_room *wm_value_room_new(void);

/* Room in it for the elements of source `k` of a chunk. */
uint8_t *wm_value_gather(wm_value_room *room, size_t k);

/* Runs a sound program over `count` elements, at most WM_VALUE_CHUNK. `in[k]` are those of source k, one
 * behind the other; `out` gets the result, and is NULL if there is none. Adds to `faults`. */
void wm_value_run(wm_value_room *room, const Wmap__Move *move, const wmap_dtype *from, const void *const *in,
                  size_t count, void *out, wm_value_faults *faults);

#endif
