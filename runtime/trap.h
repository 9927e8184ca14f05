/* trap.h: a file that is cut off while it is mapped raises SIGBUS where it is read. Between begin and end
 * such a signal ends the call that reads, which gives false. Any other SIGBUS goes where it went before. */
#ifndef WM_TRAP_H
#define WM_TRAP_H

#include "runtime/base/error.h"

bool wm_trap_begin(wmap_error *err);
void wm_trap_end(void);

/* Calls work(context), which reads from the mapping [low, high). False if it was left because the file was
 * cut off: then by a jump, so it must hold nothing but what can be found and freed without it. */
bool wm_trap_call(const uint8_t *low, const uint8_t *high, void (*work)(void *context), void *context);

#endif
