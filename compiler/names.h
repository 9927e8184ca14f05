/* names.h: an index over the names of one side, and matching patterns against it. A pattern is never tried
 * against every name: literal text descends a sorted index, integer holes follow digits only; only a string
 * hole scans what shares its literal prefix (or suffix). */
#ifndef WM_NAMES_H
#define WM_NAMES_H

#include "compiler/program.h"

typedef struct wm_names wm_names;

/* An index over `count` distinct names; borrowed. */
wm_names *wm_names_index(wm_unit *unit, const wm_str *names, size_t count);

/* The same with an alias a name, empty where there is none, under which patterns find what they don't find by
 * its name. Aliases are distinct and none is a name. */
wm_names *wm_names_index_aliased(wm_unit *unit, const wm_str *names, const wm_str *aliases, size_t count);

/* All names, then all aliases. */
const wm_str *wm_names_all(const wm_names *names, size_t *total);

/* The name's number, or WM_NO_NAME. Not for aliases. */
#define WM_NO_NAME SIZE_MAX
size_t wm_names_find(const wm_names *names, wm_str name);

/* What a variable of the line was matched with. */
typedef struct wm_capture {
    bool bound;
    int64_t i; /* an integer variable */
    wm_str s;  /* a text variable; points into the name */
} wm_capture;

/* Calls `each` for every name that the pattern matches whole, itself or else its alias, in ascending order of
 * their numbers, with the captures of the line's variables (var_count of them; unbound ones that do not occur
 * in the pattern). `given` may hold captures that are already bound, or be NULL. Reports E0406 to E0409 for
 * the pattern once; false then. */
typedef void wm_each_match(void *user, size_t name, const wm_capture *captures);
bool wm_names_match(wm_names *names, wm_unit *unit, const wm_pattern *pattern, const wm_var *vars,
                    uint32_t var_count, const wm_capture *given, wm_each_match *each, void *user);

/* For wm_hook: the value that a variable was matched with. */
typedef struct wm_capture_hook {
    const wm_var *vars;
    uint32_t var_count;
    const wm_capture *captures;
    bool dummy; /* bound variables have the value 1: only what is known counts */
} wm_capture_hook;
wm_found wm_find_capture(void *user, wm_str name, wm_val *value);

/* The same pattern with holes of its own. */
wm_pattern *wm_copy_pattern(wm_unit *unit, const wm_pattern *pattern);

/* Of a pattern of which some variables are given: the holes that need no other are text. They may be what a
 * name can't be solved for, such as `{n//3}`. NULL if one shows nothing, so that no name matches. */
const wm_pattern *wm_given_holes(wm_unit *unit, const wm_pattern *pattern, const wm_var *vars,
                                 uint32_t var_count, const wm_capture *given);

/* Writes the name that a pattern gives when all its variables are bound. Reports E0311, E0310 ...; false
 * then. */
bool wm_name_write(wm_unit *unit, const wm_pattern *pattern, const wm_var *vars, uint32_t var_count,
                   const wm_capture *captures, wm_str *name);

#endif
