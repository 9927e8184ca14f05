/* pass.c: what several passes after resolve need: extents and positions of layouts, types as text, errors of
 * instances. */
#include "compiler/pass.h"
#include "compiler/scope.h"

#include <stdarg.h>
#include <stdio.h>

const wm_declared wm_nowhere_declared = {
    .span = WM_NOWHERE, .dtype_span = WM_NOWHERE, .shape_span = WM_NOWHERE};

static wm_linear bad(bool overflow)
{
    return (wm_linear){false, overflow, WM_NONE, 0, 0};
}

static wm_linear join(wm_linear x, wm_linear y, bool times)
{
    if (!x.ok || !y.ok)
        return bad(x.overflow || y.overflow);
    wm_linear r = {true, false, x.axis != WM_NONE ? x.axis : y.axis, 0, 0};
    if (x.axis != WM_NONE && y.axis != WM_NONE && (x.axis != y.axis || times))
        return bad(false);
    bool over;
    if (times) {
        int64_t c, e;
        over = __builtin_mul_overflow(x.a, y.b, &c);
        over |= __builtin_mul_overflow(y.a, x.b, &e);
        over |= __builtin_add_overflow(c, e, &r.a);
        over |= __builtin_mul_overflow(x.b, y.b, &r.b);
    } else {
        over = __builtin_add_overflow(x.a, y.a, &r.a);
        over |= __builtin_add_overflow(x.b, y.b, &r.b);
    }
    if (over)
        return bad(true);
    if (r.a == 0) /* an unknown whose factor is 0 stays unknown, and does not matter here */
        r.axis = WM_NONE;
    return r;
}

wm_linear wm_node_extent(const wm_instance *instance, const wm_node *node)
{
    wm_linear all = {true, false, WM_NONE, 0, node->kind == WM_NODE_GROUP || node->kind == WM_NODE_ONE};
    switch (node->kind) {
    case WM_NODE_ONE:
        break;
    case WM_NODE_AXIS:
        if (instance->extents[node->axis] < 0)
            return (wm_linear){true, false, node->axis, 1, 0};
        all.b = instance->extents[node->axis];
        break;
    case WM_NODE_GROUP:
    case WM_NODE_BLOCKS:
        for (uint32_t k = 0; k < node->count; k++)
            all = join(all, wm_node_extent(instance, &node->kids[k]), node->kind == WM_NODE_GROUP);
        break;
    }
    return all;
}

static void position(const wm_instance *instance, const wm_node *node, const uint32_t *choice, int64_t stride,
                     int64_t *start, int64_t *coef)
{
    switch (node->kind) {
    case WM_NODE_ONE:
        break;
    case WM_NODE_AXIS:
        if (node->reversed) {
            *start += (instance->extents[node->axis] - 1) * stride;
            stride = -stride;
        }
        coef[node->axis] += stride;
        break;
    case WM_NODE_GROUP:
        for (uint32_t k = node->count; k-- > 0;) {
            position(instance, &node->kids[k], choice, stride, start, coef);
            stride *= wm_node_extent(instance, &node->kids[k]).b;
        }
        break;
    case WM_NODE_BLOCKS:
        if (choice[node->blocks] == WM_NONE)
            break;
        for (uint32_t k = 0; k < choice[node->blocks]; k++)
            *start += wm_node_extent(instance, &node->kids[k]).b * stride;
        position(instance, &node->kids[choice[node->blocks]], choice, stride, start, coef);
        break;
    }
}

void wm_node_position(const wm_instance *instance, const wm_node *node, const uint32_t *choice,
                      int64_t *start, int64_t *coef)
{
    position(instance, node, choice, 1, start, coef);
}

const char *wm_show_shape(wm_unit *unit, uint32_t rank, const uint64_t *shape)
{
    char text[1400] = "[";
    size_t used = 1;
    for (uint32_t d = 0; d < rank; d++) {
        int n =
            snprintf(text + used, sizeof text - used, "%s%llu", d ? " " : "", (unsigned long long)shape[d]);
        if (n < 0 || (size_t)n >= sizeof text - used)
            break;
        used += (size_t)n;
    }
    return wm_format_text(unit->arena, "%.*s]", (int)used, text);
}

const char *wm_show_type(wm_unit *unit, wmap_dtype dtype, uint32_t rank, const uint64_t *shape)
{
    return wm_format_text(unit->arena, "%s %s", dtype ? wmap_dtype_name(dtype) : "float",
                          wm_show_shape(unit, rank, shape));
}

const char *wm_instance_round(wm_unit *unit, wm_instance *instance)
{
    const wm_line *line = instance->form->line;
    if (instance->round)
        return instance->round;
    const char *text = line->round ? line->round : "";
    for (uint32_t v = 0; v < line->var_count; v++) {
        const wm_capture *c = &instance->captures[v];
        if (!c->bound)
            continue;
        const char *name =
            wm_format_text(unit->arena, "%.*s", (int)line->vars[v].name.len, line->vars[v].name.p);
        text = line->vars[v].text ? wm_format_text(unit->arena, "%s%s%s=%s", text, *text ? ", " : "", name,
                                                   wm_quote(unit, c->s))
                                  : wm_format_text(unit->arena, "%s%s%s=%lld", text, *text ? ", " : "", name,
                                                   (long long)c->i);
    }
    return instance->round = text;
}

wm_diag *wm_instance_error(wm_state *state, wm_instance *instance, wm_diag_id id, wm_span span,
                           const char *format, ...)
{
    va_list args;
    char text[1024];
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    state->unit->use = wm_scope_use(instance->form->line->scope);
    wm_diag *diag = wm_error(state->unit, id, span, "%s", text);
    state->unit->use = WM_NOWHERE;
    const char *round = wm_instance_round(state->unit, instance);
    diag->round = *round ? round : NULL;
    instance->failed = true;
    return diag;
}

static const char *note_side(wm_state *state, const wm_bound *bound, wm_str name, const char *side,
                             const char *label)
{
    wm_unit *unit = state->unit;
    return wm_format_text(unit->arena, "%s %s %s%s%s", side, wm_quote(unit, name),
                          !bound->known  ? "of unknown shape"
                          : bound->dtype ? wm_show_type(unit, bound->dtype, bound->rank, bound->shape)
                                         : wm_show_shape(unit, bound->rank, bound->shape),
                          label ? " in " : "", label ? label : "");
}

void wm_note_tensors(wm_state *state, const wm_instance *instance, wm_diag *diag)
{
    const wm_line *line = instance->form->line;
    const char *text = "";
    uint32_t said = 0;
    for (uint32_t t = 0; t < line->left_count && said < 4; t++) {
        const wm_bound *b = &instance->left[t];
        if (b->count == 0)
            continue;
        const wm_side_tensor *s = &state->source.tensors[b->tensors[0]];
        text = wm_format_text(state->unit->arena, "%s%s%s", text, said++ ? ", " : "",
                              note_side(state, b, s->name, "source", s->label));
    }
    for (uint32_t t = 0; t < line->right_count && said < 6; t++) {
        const wm_bound *b = &instance->right[t];
        if (b->absent || !b->names)
            continue;
        bool declared = b->known && state->target.known;
        text =
            wm_format_text(state->unit->arena, "%s%s%s", text, said++ ? ", " : "",
                           note_side(state, b, b->names[0], "target", declared ? state->target.label : NULL));
    }
    if (*text)
        wm_diag_note(state->unit, diag, "%s", text);
}

wm_found wm_instance_find(void *user, wm_str name, wm_val *value)
{
    const wm_instance *in = user;
    const wm_line *line = in->form->line;
    wm_capture_hook known = {line->vars, line->var_count, in->captures, false};
    if (wm_find_capture(&known, name, value) == WM_FOUND_VALUE)
        return WM_FOUND_VALUE;
    for (uint32_t a = 0; a < in->form->axis_count; a++) {
        if (!wm_str_eq(in->form->axes[a].name, name))
            continue;
        if (in->extents[a] < 0)
            return WM_FOUND_UNKNOWN;
        *value = (wm_val){.kind = WM_VAL_INT, .i = in->extents[a]};
        return WM_FOUND_VALUE;
    }
    return WM_FOUND_NO;
}

const wm_piece *wm_source_piece(const wm_instance *instance, const wm_piece *target)
{
    return wm_first_copy(instance, &instance->form->sources[target->pair]);
}

const wm_piece *wm_first_copy(const wm_instance *instance, const wm_piece *source)
{
    const wm_piece *sources = instance->form->sources;
    uint32_t at = source->head;
    while (instance->left[sources[at].term].absent && sources[at].next != WM_NONE)
        at = sources[at].next;
    return &sources[at];
}

bool wm_among(const uint32_t *list, size_t count, uint32_t axis)
{
    for (size_t i = 0; i < count; i++)
        if (list[i] == axis)
            return true;
    return false;
}
