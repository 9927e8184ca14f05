/* resolve.h: from the tree of a spec to the lines of one map. Loads imports, computes parameters (with -D)
 * and tables, chooses the map, instantiates its models, unrolls loops and conditions, puts used maps in
 * place, turns verbs into layouts. Reports E0120 to E0145, E02xx of form, E03xx. Knows no tensor but by `has`
 * and `for "pattern"`. */
#ifndef WM_RESOLVE_H
#define WM_RESOLVE_H

#include "compiler/names.h"
#include "compiler/parse.h"
#include "compiler/tests.h"
#include "wmap/compile.h"

/* `file` is the given spec, already parsed into `ast`. `read` are the names of the files that are read, in
 * their order (prefixes applied), `written` those that --target-like names; NULL if there are none. A
 * declared model is used for `has` and `for "pattern"` otherwise. With options->reverse the models change
 * places, and the lines that are `turned` are left for wm_reverse_pass. Always gives a program. */
wm_program *wm_resolve(wm_unit *unit, uint32_t file, const wm_ast *ast, const wmap_compile_options *options,
                       wm_names *read, wm_names *written);

/* reverse.c: turns the lines that resolve made for the other direction. Reports E0702. */
void wm_reverse_pass(wm_unit *unit, wm_program *program);

/* The next map of a chain; `read` are the names that the one before gives, NULL if they are not known, and
 * `options` hold them as a source. Only if before->then. */
wm_program *wm_resolve_then(const wm_program *before, wm_names *read, const wmap_compile_options *options);

/* Test `number` of a file, from 1; NULL if there is none. */
const wm_item *wm_find_test(const wm_ast *ast, size_t number);

/* Only the tests of the spec, and the rules of the maps that they are of. */
wm_tests *wm_resolve_tests(wm_unit *unit, uint32_t file, const wm_ast *ast,
                           const wmap_compile_options *options);

/* Prints the lines (explain --stage statements). */
void wm_program_print(wm_unit *unit, const wm_program *program, FILE *out);

#endif
