/* parse.h: text to tree. Receives a source of the unit, gives its AST; reports E01xx. Never looks a name up.
 */
#ifndef WM_PARSE_H
#define WM_PARSE_H

#include <stdio.h>

#include "compiler/ast.h"
#include "compiler/diag.h"

/* Adds a text to the unit: index into unit->sources. `text` is copied. */
uint32_t wm_add_source(wm_unit *unit, const char *name, const char *text, size_t size);

/* The same without a copy: `text` lives as long as the unit and has room for what the scanner puts behind it.
 */
#define WM_TEXT_END 2
uint32_t wm_lend_source(wm_unit *unit, const char *name, char *text, size_t size);

/* Parses it. Always gives a tree, of what was understood; `failed` says that errors were reported. */
wm_ast *wm_parse(wm_unit *unit, uint32_t file);

/* Parses a text as one expression (for -D). NULL if it is none; reports nothing. */
wm_expr *wm_parse_expr(wm_unit *unit, uint32_t file);

/* The same for a call, `vgg16.keras (classes = 10)` (for --from and --to). */
wm_call *wm_parse_call(wm_unit *unit, uint32_t file);

/* Prints the tree, one node a line, indented (explain --stage ast). */
void wm_ast_print(const wm_ast *ast, FILE *out);

#endif
