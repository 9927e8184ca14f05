/* literal.h: the value of a tensor in a test, as the parser collects it. Apart from the tree, since what runs
 * tests needs it too. */
#ifndef WM_LITERAL_H
#define WM_LITERAL_H

#include "compiler/source.h"

/* A number of a literal. There may be millions, so it has no span of its own but where it begins. */
typedef struct wm_element {
    union {
        int64_t i; /* INT; BOOL: 0 or 1 */
        double f;  /* FLOAT; inf, nan, -0 too */
    };
    uint32_t at;
    enum wm_element_kind { WM_EL_INT, WM_EL_FLOAT, WM_EL_BOOL } kind;
} wm_element;

/* The value of a tensor in a test: numbers in brackets, or a generator with its shape. */
typedef struct wm_literal {
    wm_span span;
    struct wm_word *dtype; /* NULL: f32 */
    enum wm_literal_kind { WM_LI_VALUES, WM_LI_IOTA, WM_LI_RANDOM } kind;
    uint32_t rank;
    uint64_t *shape;
    uint64_t count;       /* of elements; UINT64_MAX: more than can be counted */
    wm_element *elements; /* VALUES */
    int64_t seed;         /* RANDOM */
} wm_literal;

#endif
