/* decode.c: sources that are decoded before anything moves. Receives an operand bound to tensors; gives it
 * the arrays that its decoder makes of them, which stand behind the tensors of the source. */
#include <string.h>

#include "compiler/pass.h"
#include "runtime/base/dtype.h"
#include "runtime/base/size.h"

typedef struct decoder {
    wm_state *state;
    wm_instance *in;
    const wm_term *term;
    const wm_side_tensor *x, *scales;
} decoder;

/* The tensor of scales that goes with tensor `number` of the operand. */
static uint32_t find_scales(decoder *d, const wm_placement *placement, uint64_t number)
{
    wm_unit *unit = d->state->unit;
    const wm_form *form = d->in->form;
    const wm_line *line = form->line;
    const wm_pattern *pattern = &d->term->decoder->scales;
    wm_capture *captures = wm_new(unit->scratch, wm_capture, line->var_count);
    if (line->var_count)
        memcpy(captures, d->in->captures, line->var_count * sizeof *captures);
    for (uint32_t a = placement->name_axis_count; a-- > 0;) {
        uint64_t extent = (uint64_t)d->in->extents[placement->name_axes[a]];
        captures[form->axes[placement->name_axes[a]].var] =
            (wm_capture){.bound = true, .i = (int64_t)(number % extent)};
        number /= extent;
    }
    wm_str name;
    if (!wm_name_write(unit, pattern, line->vars, line->var_count, captures, &name)) {
        d->in->failed = true;
        return WM_NONE;
    }
    size_t at = wm_names_find(d->state->source.index, name);
    if (at != WM_NO_NAME)
        return (uint32_t)at;
    wm_diag *e = wm_instance_error(d->state, d->in, WM_E0402, pattern->span, "the scales of %s are missing",
                                   wm_quote(unit, d->x->name));
    wm_diag_note(unit, e, "%s is not in the source", wm_quote(unit, name));
    return WM_NONE;
}

static void bad_dtype(decoder *d, const wm_side_tensor *t, const char *what)
{
    wm_diag *e =
        wm_instance_error(d->state, d->in, WM_E0606, d->term->decoder->span, "`%s` does not apply to %s",
                          d->term->decoder->packed ? "mxfp4" : "dequant", wmap_dtype_name(t->dtype));
    wm_diag_hint(d->state->unit, e, "%s", what);
    wm_note_tensors(d->state, d->in, e);
}

static bool same_shape(const uint64_t *want, uint32_t rank, const wm_side_tensor *t)
{
    return t->rank == rank && (rank == 0 || memcmp(want, t->shape, rank * sizeof *want) == 0);
}

static void bad_scales(decoder *d, const uint64_t *want, uint32_t rank)
{
    wm_unit *u = d->state->unit;
    wm_diag *e = wm_instance_error(
        d->state, d->in, WM_E0507, d->term->decoder->span, "the scales of %s, %s, are %s; %s are needed",
        wm_quote(u, d->x->name), wm_quote(u, d->scales->name),
        wm_show_type(u, d->scales->dtype, d->scales->rank, d->scales->shape), wm_show_shape(u, rank, want));
    wm_note_tensors(d->state, d->in, e);
}

/* x times the scale of its block, in the dtype of the scales. */
static bool dequant(decoder *d, wm_side_tensor *made)
{
    const wm_decoder *how = d->term->decoder;
    const wm_side_tensor *x = d->x;
    const wm_dtype_info *from = wm_dtype(x->dtype), *to = wm_dtype(d->scales->dtype);
    if (!from || (from->kind != WM_KIND_FLOAT && from->kind != WM_KIND_INT && from->kind != WM_KIND_UINT)) {
        bad_dtype(d, x, "it takes floats and whole numbers");
        return false;
    }
    if (!to || to->kind != WM_KIND_FLOAT) {
        bad_dtype(d, d->scales, "the scales are floats, and the result is of their dtype");
        return false;
    }
    if (how->block_count != x->rank) {
        wm_diag *e = wm_instance_error(d->state, d->in, WM_E0504, how->span,
                                       "the block has %u dimension%s, but the tensor has %u",
                                       how->block_count, how->block_count == 1 ? "" : "s", x->rank);
        wm_note_tensors(d->state, d->in, e);
        return false;
    }
    uint64_t *want = wm_new(d->state->unit->scratch, uint64_t, x->rank);
    for (uint32_t k = 0; k < x->rank; k++)
        want[k] = x->shape[k] / how->block[k] + (x->shape[k] % how->block[k] != 0);
    if (!same_shape(want, x->rank, d->scales)) {
        bad_scales(d, want, x->rank);
        return false;
    }
    made->dtype = d->scales->dtype;
    return true;
}

/* u8 [.. G B] and u8 [.. G] to bf16 [.. G*B*2] */
static bool mxfp4(decoder *d, wm_side_tensor *made)
{
    const wm_side_tensor *x = d->x;
    if (x->dtype != WMAP_U8 || d->scales->dtype != WMAP_U8) {
        bad_dtype(d, x->dtype != WMAP_U8 ? x : d->scales,
                  "two elements are packed into a byte, u8, and so is each scale");
        return false;
    }
    if (x->rank < 2) {
        wm_instance_error(d->state, d->in, WM_E0504, d->term->decoder->span,
                          "packed 4-bit floats have two dimensions or more, this tensor has %u", x->rank);
        return false;
    }
    if (!same_shape(x->shape, x->rank - 1, d->scales)) {
        bad_scales(d, x->shape, x->rank - 1);
        return false;
    }
    uint64_t *shape = wm_new(d->state->unit->arena, uint64_t, x->rank - 1), bytes;
    memcpy(shape, x->shape, (x->rank - 1) * sizeof *shape);
    if (!wm_size_mul(x->shape[x->rank - 1], 2, &bytes) ||
        !wm_size_mul(bytes, shape[x->rank - 2], &shape[x->rank - 2])) {
        wm_instance_error(d->state, d->in, WM_E0905, d->term->decoder->span,
                          "the decoded array has 2^63 elements or more");
        return false;
    }
    made->dtype = WMAP_BF16;
    made->rank = x->rank - 1;
    made->shape = shape;
    return true;
}

/* One more tensor behind those of the source. */
static uint32_t add_made(wm_state *s, const wm_side_tensor *made, wm_decode decode)
{
    wm_arena *arena = s->unit->arena;
    size_t at = s->source.count + s->decode_count;
    if (s->decode_count == 0) {
        s->made_cap = s->source.count;
        s->made_name_cap = s->source.count;
    }
    s->source.tensors =
        wm_grow(arena, s->source.tensors, at, at + 1, &s->made_cap, sizeof *s->source.tensors);
    s->source.names = wm_grow(arena, s->source.names, at, at + 1, &s->made_name_cap, sizeof *s->source.names);
    s->source.tensors[at] = *made;
    s->source.names[at] = made->name;
    *wm_push(arena, s->decodes, s->decode_count, s->decode_cap) = decode;
    return (uint32_t)at;
}

void wm_decode_bound(wm_state *state, wm_instance *instance, const wm_term *term,
                     const wm_placement *placement, wm_bound *bound)
{
    const wm_decoder *how = term->decoder;
    decoder d = {.state = state, .in = instance, .term = term};
    for (uint32_t k = 0; k < bound->count && !instance->failed; k++) {
        uint32_t x = bound->tensors[k];
        d.x = &state->source.tensors[x];
        uint32_t scales = find_scales(&d, placement, k);
        if (scales == WM_NONE)
            return;
        wm_side_tensor *s = &state->source.tensors[scales], made = *d.x;
        s->used = true;
        if (!s->pattern)
            s->pattern = &how->scales;
        d.scales = s;
        if (how->packed ? mxfp4(&d, &made) : dequant(&d, &made))
            bound->tensors[k] =
                add_made(state, &made, (wm_decode){how->packed, x, scales, how->block_count, how->block});
    }
}
