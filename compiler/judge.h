/* judge.h: whether a map that compiles can run back, and what that would lose. */
#ifndef WM_JUDGE_H
#define WM_JUDGE_H

#include "compiler/pass.h"

/* For one direction; `first` is the state of the one that was compiled before, NULL for that one itself. In
 * the unit's arena. */
wm_judge *wm_judge_new(wm_unit *unit, const wm_state *first);

/* Is it the direction of which no plan is wanted? */
bool wm_judges_only(const wm_state *state);

/* The hooks of the passes; without state->judge they do nothing. The first stands behind infer and reports
 * E0705, the second behind prove; the third sees every tensor that a line drops. */
void wm_judge_instances(wm_state *state);
void wm_judge_batch(wm_state *state);
void wm_judge_drop(wm_state *state, const wm_line *line, wm_str name);
void wm_judge_rest(wm_state *state);

/* Of the second direction, when it is done: queues what both have noted. */
wmap_reversal wm_judge_verdict(const wm_state *state);

/* Does a dtype hold every value of another? */
bool wm_dtype_covers(wmap_dtype wide, wmap_dtype narrow);

#endif
