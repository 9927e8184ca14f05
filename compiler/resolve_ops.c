/* resolve_ops.c: value operations: their names, what they take, and what is wrong with that. */
#include <string.h>

#include "compiler/resolve_internal.h"

bool wm_make_policy(wm_resolver *r, wm_str name, wm_span span, enum wm_policy *policy)
{
    if (wm_str_eq(name, WM_STR("saturate"))) {
        *policy = WM_POLICY_SATURATE;
    } else if (wm_str_eq(name, WM_STR("allow"))) {
        *policy = WM_POLICY_ALLOW;
    } else {
        wm_diag *d =
            wm_error(r->unit, WM_E0301, span, "there is no policy %s for casts", wm_quote(r->unit, name));
        wm_diag_hint(r->unit, d, "it is `saturate`, `allow` or nothing");
        return false;
    }
    return true;
}

static const wm_word *word_argument(const struct wm_oparg *arg)
{
    const wm_expr *e = arg ? arg->constant : NULL;
    return e && e->kind == WM_EX_NAME && !e->name->parts->next ? e->name->parts : NULL;
}

static const wm_op_row ops[] = {
    {"+", WM_STEP_ADD, 1},        {"-", WM_STEP_SUB, 1},     {"*", WM_STEP_MUL, 1},
    {"/", WM_STEP_DIV, 1},        {"neg", WM_STEP_NEG, 0},   {"exp", WM_STEP_EXP, 0},
    {"log", WM_STEP_LOG, 0},      {"sqrt", WM_STEP_SQRT, 0}, {"rsqrt", WM_STEP_RSQRT, 0},
    {"pow", WM_STEP_POW, 1},      {"cast", WM_STEP_CAST, 0}, {"bitcast", WM_STEP_BITCAST, 0},
    {"dequant", WM_STEP_LOAD, 0}, {"mxfp4", WM_STEP_LOAD, 0}};

const wm_op_row *wm_find_op(wm_resolver *r, const wm_word *name)
{
    wm_near near;
    wm_near_init(&near, name->text);
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        wm_str have = {ops[i].name, (uint32_t)strlen(ops[i].name)};
        if (wm_str_eq(have, name->text))
            return &ops[i];
        wm_near_try(&near, have);
    }
    wm_diag *d = wm_error(r->unit, WM_E0320, name->span, "there is no value operation %s",
                          wm_quote(r->unit, name->text));
    wm_diag_near(r->unit, d, &near);
    wm_diag_note(r->unit, d,
                 "the operations are + - * / neg exp log sqrt rsqrt pow cast bitcast dequant mxfp4");
    return NULL;
}

/* `cast T [policy]` and `bitcast T` */
static bool make_cast(wm_resolver *r, const wm_valueop *op, wm_step *step)
{
    const struct wm_oparg *second = op->args ? op->args->next : NULL;
    const wm_word *type = word_argument(op->args), *policy = word_argument(second);
    bool bits = step->kind == WM_STEP_BITCAST;
    if (!type || (second && (!policy || bits)) || (second && second->next)) {
        wm_error(r->unit, WM_E0302, op->span,
                 bits ? "`bitcast` takes a dtype"
                      : "`cast` takes a dtype, and perhaps `saturate` or `allow`");
        return false;
    }
    step->cast.span = op->span;
    bool ok = wm_make_dtype(r, type, &step->cast.to);
    if (policy)
        ok &= wm_make_policy(r, policy->text, policy->span, &step->cast.policy);
    if (op->tag) {
        wm_diag *d = wm_error(r->unit, WM_E0605, op->span, "`%s` of one block: a tensor has one dtype",
                              bits ? "bitcast" : "cast");
        wm_diag_hint(r->unit, d, "leave `%.*s:` out", (int)op->tag->text.len, op->tag->text.p);
        ok = false;
    }
    return ok;
}

bool wm_make_step(wm_resolver *r, const wm_valueop *op, const wm_op_row *row, wm_step *step)
{
    *step = (wm_step){.kind = row->kind, .span = op->span};
    if (op->tag) {
        step->tag = op->tag->text;
        step->tag_span = op->tag->span;
    }
    if (row->kind == WM_STEP_CAST || row->kind == WM_STEP_BITCAST)
        return make_cast(r, op, step);
    const struct wm_oparg *arg = op->args;
    bool fits = row->args ? arg && arg->constant && !arg->next : !arg;
    if (!fits) {
        wm_error(r->unit, WM_E0302, op->span, row->args ? "`%s` takes one number" : "`%s` takes nothing",
                 row->name);
        return false;
    }
    step->expr = row->args ? arg->constant : NULL;
    return true;
}

const wm_decoder *wm_make_decoder(wm_resolver *r, const wm_value *value, const wm_valueop *op,
                                  const wm_op_row *row)
{
    bool packed = strcmp(row->name, "mxfp4") == 0;
    const struct wm_oparg *scales = op->args, *block = scales ? scales->next : NULL;
    if (value->kind != WM_VA_PLACE || op != value->ops || op->tag) {
        wm_error(r->unit, WM_E0302, op->span, "`%s` stands directly after a place, before other operations",
                 row->name);
        return NULL;
    }
    if (!scales || !scales->string || (packed ? block != NULL : !block || !block->shape || block->next)) {
        wm_error(r->unit, WM_E0302, op->span,
                 packed ? "`mxfp4` takes the name of the tensor of scales"
                        : "`dequant` takes the name of the tensor of scales and the shape of a block");
        return NULL;
    }
    wm_decoder *d = wm_new(r->unit->arena, wm_decoder, 1);
    *d = (wm_decoder){.packed = packed, .span = op->span, .op = op};
    return d;
}
