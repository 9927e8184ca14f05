/* decode.h: sources of a plan that are computed from other sources: scales of blocks, packed 4-bit floats.
 * docs/plan.md, "Decoders", is the contract. */
#ifndef WM_DECODE_H
#define WM_DECODE_H

#include "runtime/plan.h"

struct wm_found;

/* The array that a decoder of a plan gives; its shape is in `arena`. NULL, or why it can't be: the text of an
 * error. */
const char *wm_decoded_header(wm_arena *arena, const Wmap__Decode *decode, const wmap_tensor *source,
                              const wmap_tensor *scales, wmap_tensor *made);

/* An archive whose entries are the decoded arrays of a plan, in their order; each is decoded once, when it is
 * first looked at. `found` says where the plan's sources are, and must live as long. NULL with `err` filled.
 */
struct wmap_archive *wm_decoded_open(const wmap_plan *plan, const struct wm_found *found, wmap_error *err);

#endif
