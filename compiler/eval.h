/* eval.h: constant expressions (docs/language.md section 3): 64-bit integers, doubles, booleans, strings,
 * lists. */
#ifndef WM_EVAL_H
#define WM_EVAL_H

#include "compiler/ast.h"
#include "compiler/diag.h"

typedef enum wm_val_kind { WM_VAL_INT, WM_VAL_FLOAT, WM_VAL_BOOL, WM_VAL_STRING, WM_VAL_LIST } wm_val_kind;

typedef struct wm_val {
    wm_val_kind kind;
    int64_t i; /* INT, BOOL */
    double f;
    wm_str s;
    const struct wm_val *items; /* LIST */
    uint32_t count;
} wm_val;

/* What an expression sees: loop variables and parameters of the map (inner first), then the parameters and
 * tables of its file and of what that imports. Made by resolve. */
typedef struct wm_scope wm_scope;

/* Names that are not in the scope (captures, axes) are asked of a hook, which may be NULL. */
typedef enum wm_found { WM_FOUND_NO, WM_FOUND_VALUE, WM_FOUND_UNKNOWN } wm_found;
typedef struct wm_hook {
    wm_found (*find)(void *user, wm_str name, wm_val *value);
    void *user;
} wm_hook;

typedef enum wm_evaluated {
    WM_EVAL_OK,
    WM_EVAL_UNKNOWN, /* a name's value is not known yet; nothing was reported */
    WM_EVAL_ERROR    /* reported */
} wm_evaluated;

/* Computes `expr`. A name that neither scope nor hook has is E0301 with "did you mean". */
wm_evaluated wm_eval(wm_unit *unit, const wm_scope *scope, const wm_hook *hook, const wm_expr *expr,
                     wm_val *value);

/* The same where exactly one name is unknown (the hook says WM_FOUND_UNKNOWN for it): gives the integers of
 * a*x + b, and which name x is (empty, with a = 0, if all is known). WM_EVAL_UNKNOWN if several names are
 * unknown or the expression is not of this form. For a table look-up t[a*x + b], `table` is set to the list
 * and a, b are those of the index; else it is NULL. Errors of arithmetic are reported. */
wm_evaluated wm_eval_linear(wm_unit *unit, const wm_scope *scope, const wm_hook *hook, const wm_expr *expr,
                            wm_str *unknown, int64_t *a, int64_t *b, const wm_val **table);

/* Calls `visit` for every plain name in an expression that the scope does not know (captures, axes). */
void wm_free_names(const wm_scope *scope, const wm_expr *expr, void (*visit)(void *user, const wm_word *name),
                   void *user);

/* True if the scope has a value of this name (a parameter, table or loop variable). */
bool wm_scope_has(const wm_scope *scope, wm_str name, wm_span *declared);

/* "3", "1.5", "true", "x", "[1, 2]" */
const char *wm_val_text(wm_unit *unit, const wm_val *value);

/* A hint at `//`, if a fraction stands where a whole number is needed. */
void wm_hint_division(wm_unit *unit, wm_diag *diag, const wm_val *value);

#endif
