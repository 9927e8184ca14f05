/* model.c: declared sides. Receives the call after `from` or `to`; gives the tensors that the model declares,
 * with its loops unrolled. Names, dtypes and shapes are constant here: a model knows no file. */
#include <string.h>

#include "compiler/hub.h"
#include "compiler/resolve_internal.h"
#include "runtime/base/size.h"

typedef struct modeller {
    wm_model *model;
    size_t cap;
    wm_map names;
} modeller;

bool wm_make_dtype(wm_resolver *r, const wm_word *word, wmap_dtype *dtype)
{
    *dtype = wmap_dtype_parse(word->text.p, word->text.len);
    if (*dtype != WMAP_DTYPE_NONE && *dtype != WMAP_OPAQUE)
        return true;
    wm_diag *d =
        wm_error(r->unit, WM_E0141, word->span, "there is no dtype %s", wm_quote(r->unit, word->text));
    wm_near near;
    wm_near_init(&near, word->text);
    for (int t = WMAP_BOOL; t <= WMAP_RAW64; t++) {
        const char *name = wmap_dtype_name((wmap_dtype)t);
        wm_near_try(&near, (wm_str){name, (uint32_t)strlen(name)});
    }
    if (wm_near_found(&near))
        wm_diag_near(r->unit, d, &near);
    else
        wm_diag_hint(
            r->unit, d,
            "the dtypes are bool u8 u16 u32 u64 i8 i16 i32 i64 f16 bf16 f32 f64 f8_e4m3 f8_e5m2 c64 c128 "
            "raw8 raw16 raw32 raw64");
    return false;
}

bool wm_known_shape(wm_resolver *r, const wm_scope *scope, const wm_shape *shape, uint32_t *rank,
                    const uint64_t **extents)
{
    uint32_t count = 0;
    for (const wm_shape_item *i = shape->items; i; i = i->next)
        count++;
    if (count > WMAP_MAX_RANK) {
        wm_error(r->unit, WM_E0903, shape->span, "%u dimensions, the limit is %d", count, WMAP_MAX_RANK);
        return false;
    }
    uint64_t *out = wm_new(r->unit->arena, uint64_t, count);
    bool ok = true;
    *rank = 0;
    for (const wm_shape_item *i = shape->items; i; i = i->next) {
        wm_val value;
        wm_evaluated done = wm_eval(r->unit, scope, NULL, i->expr, &value);
        if (done == WM_EVAL_OK && value.kind == WM_VAL_INT && value.i >= 0) {
            out[(*rank)++] = (uint64_t)value.i;
            continue;
        }
        ok = false;
        if (done != WM_EVAL_OK)
            continue;
        wm_diag *d = wm_error(r->unit, WM_E0143, i->span, "an extent is a whole number, this is %s",
                              wm_val_text(r->unit, &value));
        wm_hint_division(r->unit, d, &value);
    }
    uint64_t elements;
    if (ok && !wm_shape_count(out, count, &elements)) {
        wm_error(r->unit, WM_E0905, shape->span, "a tensor of this shape has 2^63 elements or more");
        ok = false;
    }
    *extents = out;
    return ok;
}

static void add_tensor(wm_resolver *r, const wm_context *c, const wm_stmt *stmt, modeller *m)
{
    wm_declared tensor = {.span = stmt->of->string->span,
                          .dtype_span = stmt->of->dtype->span,
                          .shape_span = stmt->of->shape ? stmt->of->shape->span : stmt->of->dtype->span};
    bool ok = wm_plain_text(r->unit, c->scope, NULL, stmt->of->string, &tensor.name) == WM_EVAL_OK;
    ok &= wm_make_dtype(r, stmt->of->dtype, &tensor.dtype);
    ok &= stmt->of->shape && wm_known_shape(r, c->scope, stmt->of->shape, &tensor.rank, &tensor.shape);
    if (!ok)
        return;
    wm_model *model = m->model;
    uint32_t before = wm_map_put(&m->names, tensor.name.p, tensor.name.len, (uint32_t)model->count, NULL);
    if (before != WM_MAP_NONE) {
        wm_diag *d = wm_error(r->unit, WM_E0140, tensor.span, "the tensor %s is declared twice",
                              wm_quote(r->unit, tensor.name));
        wm_diag_also(r->unit, d, model->tensors[before].span, "the first");
        return;
    }
    *wm_push(r->unit->arena, model->tensors, model->count, m->cap) = tensor;
}

static void walk_model(wm_resolver *r, const wm_context *c, const wm_stmt *stmt, modeller *m);

static void model_round(wm_resolver *r, const wm_context *c, const wm_stmt *loop, void *user)
{
    walk_model(r, c, loop->of->body, user);
}

/* E0142 for `has` and `for "pattern"`, which ask a file. */
static void asks_names(wm_resolver *r, wm_span span)
{
    wm_diag *d = wm_error(r->unit, WM_E0142, span, "a model cannot ask for the names of a file");
    wm_diag_hint(r->unit, d, "give it a parameter, as in `model m (layers = 12) { ... }`");
}

static bool find_has(wm_resolver *r, const wm_expr *expr)
{
    for (; expr; expr = expr->a) {
        if (expr->kind == WM_EX_HAS) {
            asks_names(r, expr->span);
            return true;
        }
        if (find_has(r, expr->b) || find_has(r, expr->c))
            return true;
    }
    return false;
}

static void walk_model(wm_resolver *r, const wm_context *c, const wm_stmt *stmt, modeller *m)
{
    for (; stmt && !r->spent; stmt = stmt->next) {
        const wm_diag *before = r->unit->last;
        switch (stmt->kind) {
        case WM_ST_TENSOR:
            add_tensor(r, c, stmt, m);
            break;
        case WM_ST_FOR:
            if (stmt->of->string)
                asks_names(r, stmt->of->string->span);
            else
                wm_each_round(r, c, stmt, model_round, m);
            break;
        case WM_ST_IF: {
            bool value;
            if (!find_has(r, stmt->of->expr) && wm_condition(r, c, stmt->of->expr, &value) == WM_EVAL_OK)
                walk_model(r, c, value ? stmt->of->body : stmt->of->otherwise, m);
            break;
        }
        default: /* the grammar lets nothing else stand in a model */
            break;
        }
        wm_stamp_round(r, c, before);
    }
}

const wm_model *wm_make_model(wm_resolver *r, const wm_context *context, const wm_call *call, bool read)
{
    if (wm_hub_is_model(r, context->file, call))
        return wm_hub_side_of(r, context, call, read);
    wm_str name = wm_qname_text(r->unit->arena, call->name);
    const wm_decl *decl = wm_file_find(r->unit->arena, context->file, call->name, false);
    if (!decl || decl->item->kind != WM_IT_MODEL) {
        if (context->file->ast->failed)
            return NULL;
        wm_diag *d = decl ? wm_error(r->unit, WM_E0126, call->name->span, "%s is a map, not a model",
                                     wm_quote(r->unit, name))
                          : wm_error(r->unit, WM_E0126, call->name->span, "there is no model %s",
                                     wm_quote(r->unit, name));
        wm_suggest_decl(r, d, context->file, name, WM_IT_MODEL);
        return NULL;
    }
    const wm_scope *scope = wm_bind_arguments(r, context->scope, decl, call, call->span);
    if (!scope)
        return NULL;
    modeller m = {.model = wm_new(r->unit->arena, wm_model, 1)};
    wm_map_init(&m.names, r->unit->arena, 0);
    m.model->name = decl->name;
    m.model->span = decl->span;
    wm_context inner = {.scope = scope, .file = decl->file, .round = ""};
    walk_model(r, &inner, decl->item->body, &m);
    return m.model;
}
