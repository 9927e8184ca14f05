/* plan.h: a verified plan inside. What the printer and the runner read of it they need not check again. */
#ifndef WM_PLAN_H
#define WM_PLAN_H

#include "grammar/plan.pb-c.h"
#include "runtime/base/arena.h"
#include "runtime/convert.h"
#include "runtime/move.h"
#include "runtime/value.h"
#include "wmap/plan.h"

/* Limits of a plan; docs/plan.md states them. */
#define WM_PLAN_MAX_TENSORS  ((size_t)1000000) /* of sources, of targets */
#define WM_PLAN_MAX_NAME     ((size_t)64 << 10)
#define WM_PLAN_MAX_MOVES    ((size_t)20000000)
#define WM_PLAN_MAX_METAS    ((size_t)100000)
#define WM_PLAN_MAX_PATTERNS ((size_t)1000) /* of metadata that are left behind, and their bytes */
#define WM_PLAN_MAX_PATTERN  ((size_t)1024)
#define WM_PLAN_MAX_FORMAT   ((size_t)64) /* of its name */
#define WM_PLAN_MAX_FILES    ((size_t)65536)
#define WM_PLAN_MAX_STAGES   ((size_t)64)   /* of a chain */
#define WM_PLAN_MAX_AXES     ((size_t)4096) /* of a move; all but 62 of them have an extent of 1 */

struct wmap_plan {
    wm_arena arena; /* all of it */
    Wmap__Plan *message;
    wmap_tensor *sources, *targets; /* behind the sources what the decoders give */
    uint32_t *first; /* the moves of target i are first[i] .. first[i + 1] - 1; behind the last are guards */
    wmap_plan *next; /* the next stage of a chain, whose sources are these targets; NULL: the last one */
};

/* What a move does to an element. */
typedef struct wm_program {
    enum {
        WM_DO_COPY,
        WM_DO_CAST,
        WM_DO_FILL,
        WM_DO_VALUE, /* anything else (value.h) */
        WM_DO_CHECK  /* without a target */
    } what;
    wmap_dtype from; /* CAST */
    wm_cast_policy policy;
    uint8_t element[WM_LARGEST_ELEMENT]; /* FILL */
} wm_program;

/* plan_verify.c: checks everything that protobuf does not of one stage, and fills `plan->first`. WMAP_E_PLAN
 * or NOMEM. */
bool wm_plan_verify(wmap_plan *plan, wmap_error *err);

/* The last stage: its targets are what is written in the end. */
const wmap_plan *wm_plan_last(const wmap_plan *plan);

/* The start of an access in dimension d, the coefficient of axis k there. */
int64_t wm_access_start(const Wmap__Access *access, uint32_t d);
int64_t wm_access_coef(const Wmap__Access *access, size_t k, uint32_t d, uint32_t rank);

/* A guard is a move without a target: its elements are those of its first source. It compares them with a
 * constant, or with copies of them. */
static inline bool wm_is_guard(const Wmap__Move *move)
{
    return !move->target;
}
bool wm_guards_constant(const Wmap__Move *move);

/* The first guard; the number of moves if there are none. */
size_t wm_first_guard(const wmap_plan *plan);

/* What the positions of a move are counted in: its target, of a guard the first source. */
const Wmap__Access *wm_move_lead(const wmap_plan *plan, const Wmap__Move *move, const wmap_tensor **tensor);

/* The source of a move, NULL for a fill. */
const wmap_tensor *wm_move_source(const wmap_plan *plan, const Wmap__Move *move);

/* The dtypes of all sources of a move. */
void wm_move_dtypes(const wmap_plan *plan, const Wmap__Move *move, wmap_dtype dtypes[WM_VALUE_SOURCES]);

/* The program of a move; false if its ops are none. */
bool wm_move_program(const wmap_plan *plan, const Wmap__Move *move, wm_program *program);

/* The move as strides of flat positions: row-major in the lead, and in the source too unless `strides` says
 * (elements a dimension). Tidied. */
void wm_move_block(const wmap_plan *plan, const Wmap__Move *move, const int64_t *strides, wm_block *block);

/* The same for source `k`. */
void wm_move_block_of(const wmap_plan *plan, const Wmap__Move *move, size_t k, const int64_t *strides,
                      wm_block *block);

/* "FILE:LINE:COLUMN" of the spec, "" if the move comes from nowhere. Returns `out`. */
char *wm_move_place(const wmap_plan *plan, const Wmap__Move *move, char *out, size_t size);

#endif
