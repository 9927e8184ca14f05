/* match.h: what binding rules (match.c) and other lines (match_line.c) share. */
#ifndef WM_MATCH_H
#define WM_MATCH_H

#include "compiler/pass.h"

/* A new instance of the batch; NULL if there are too many (reported). */
wm_instance *wm_new_instance(wm_state *state, wm_form *form, wm_capture *captures);

/* Shape and dtype of a bound operand: those of its tensors, which must agree (E0506). */
void wm_bind_shape(wm_state *state, wm_instance *in, const wm_term *term, wm_bound *bound);

/* A name that is put together by holes, as a whole. */
void wm_say_name(wm_unit *unit, wm_diag *d, const wm_pattern *pattern);

/* The instances of a rule. */
void wm_match_rule(wm_state *state, wm_form *form);

#endif
