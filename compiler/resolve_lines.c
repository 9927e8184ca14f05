/* resolve_lines.c: statements to lines. Unrolls loops and conditions, puts used maps in place, keeps track of
 * which `axis` statements and which direction a statement stands in. */
#include <string.h>

#include "compiler/resolve_internal.h"
#include "runtime/base/text.h"

/* ---- rounds ---- */

bool wm_spend(wm_resolver *r, wm_span span, uint64_t rounds)
{
    if (r->spent)
        return false;
    if (rounds <= WM_MAX_ROUNDS && r->rounds + rounds <= WM_MAX_ROUNDS) {
        r->rounds += (uint32_t)rounds;
        return true;
    }
    r->spent = true;
    r->program->failed = true;
    wm_error(r->unit, WM_E0901, span, "the loops of this map have more than %d rounds in all", WM_MAX_ROUNDS);
    return false;
}

void wm_stamp_round(wm_resolver *r, const wm_context *context, const wm_diag *before)
{
    if (!*context->round || r->unit->last == before)
        return;
    for (wm_diag *d = before ? before->next : r->unit->diags; d; d = d->next)
        if (!d->round)
            d->round = context->round;
    if (r->unit->errors > WM_MAX_FINDINGS && !r->spent) {
        wm_error(r->unit, WM_E0901, r->unit->last->span,
                 "the loops of this map have more than %d errors: the rest of it is not looked at",
                 WM_MAX_FINDINGS);
        r->spent = r->program->failed = true;
    }
}

wm_named *wm_new_round(wm_resolver *r, const wm_context *context, uint32_t count, wm_context *inner)
{
    wm_scope *scope = wm_new(r->unit->arena, wm_scope, 1);
    wm_named *items = wm_new(r->unit->arena, wm_named, count);
    *scope = (wm_scope){.up = context->scope, .items = items, .count = count};
    *inner = *context;
    inner->scope = scope;
    return items;
}

void wm_name_round(wm_resolver *r, const wm_context *outer, wm_context *inner)
{
    wm_buffer text = {.arena = r->unit->arena,
                      .cap = strlen(outer->round) + 14 * (size_t)inner->scope->count + 2};
    wm_buffer_add(&text, outer->round, strlen(outer->round));
    for (uint32_t i = 0; i < inner->scope->count; i++) {
        const wm_named *n = &inner->scope->items[i];
        if (n->state != WM_DECL_DONE)
            continue;
        if (text.len)
            wm_buffer_add(&text, ", ", 2);
        wm_buffer_add(&text, n->name.p, n->name.len);
        wm_buffer_add(&text, "=", 1);
        if (n->value.kind == WM_VAL_INT) {
            wm_buffer_int(&text, n->value.i);
        } else if (n->value.kind == WM_VAL_STRING) {
            char shown[128];
            wm_show(shown, sizeof shown, n->value.s.p, n->value.s.len);
            wm_buffer_add(&text, shown, strlen(shown));
        } else {
            const char *shown = wm_val_text(r->unit, &n->value);
            wm_buffer_add(&text, shown, strlen(shown));
        }
    }
    inner->round = text.text;
}

/* E0132: the variables of a loop hide nothing. */
static bool check_variables(wm_resolver *r, const wm_context *c, const wm_word *words)
{
    bool ok = true;
    for (const wm_word *w = words; w; w = w->next) {
        wm_span declared = WM_NOWHERE;
        bool hides = wm_scope_has(c->scope, w->text, &declared);
        for (const wm_word *b = words; b != w && !hides; b = b->next) {
            hides = wm_str_eq(b->text, w->text);
            declared = b->span;
        }
        if (!hides)
            continue;
        wm_diag *d = wm_error(r->unit, WM_E0132, w->span, "the loop variable %s hides another name",
                              wm_quote(r->unit, w->text));
        wm_diag_also(r->unit, d, declared, "this one");
        ok = false;
    }
    return ok;
}

static void bind_word(wm_named *n, const wm_word *word, wm_val value)
{
    *n = (wm_named){.name = word->text, .span = word->span, .value = value, .state = WM_DECL_DONE};
}

static void range_rounds(wm_resolver *r, const wm_context *c, const wm_stmt *loop, wm_round_fn *body,
                         void *user)
{
    wm_val ends[2];
    const wm_expr *exprs[2] = {loop->of->expr, loop->of->expr2};
    bool known = true;
    for (int i = 0; i < 2; i++) {
        wm_evaluated done = wm_eval(r->unit, c->scope, NULL, exprs[i], &ends[i]);
        if (done == WM_EVAL_OK && ends[i].kind != WM_VAL_INT)
            wm_error(r->unit, WM_E0309, exprs[i]->span, "the ends of a range are integers, this is %s",
                     wm_val_text(r->unit, &ends[i]));
        known &= done == WM_EVAL_OK && ends[i].kind == WM_VAL_INT;
    }
    if (!known)
        return;
    if (loop->of->words->next) {
        wm_error(r->unit, WM_E0313, loop->of->words->next->span,
                 "the rounds of a range have one value, not several");
        return;
    }
    if (ends[1].i < ends[0].i)
        return;
    uint64_t count = (uint64_t)ends[1].i - (uint64_t)ends[0].i;
    if (!wm_spend(r, loop->span, count < UINT64_MAX ? count + 1 : count))
        return;
    for (uint64_t i = 0; i <= count && !r->spent; i++) {
        wm_context inner;
        wm_named *n = wm_new_round(r, c, 1, &inner);
        bind_word(n, loop->of->words, (wm_val){.kind = WM_VAL_INT, .i = ends[0].i + (int64_t)i});
        wm_name_round(r, c, &inner);
        body(r, &inner, loop, user);
    }
}

void wm_each_round(wm_resolver *r, const wm_context *c, const wm_stmt *loop, wm_round_fn *body, void *user)
{
    if (!check_variables(r, c, loop->of->words))
        return;
    if (loop->of->expr2) {
        range_rounds(r, c, loop, body, user);
        return;
    }
    wm_val list;
    if (wm_eval(r->unit, c->scope, NULL, loop->of->expr, &list) != WM_EVAL_OK)
        return;
    if (list.kind != WM_VAL_LIST) {
        wm_error(r->unit, WM_E0308, loop->of->expr->span, "`for` needs a list or a range, this is %s",
                 wm_val_text(r->unit, &list));
        return;
    }
    uint32_t vars = 0;
    for (const wm_word *w = loop->of->words; w; w = w->next)
        vars++;
    if (!wm_spend(r, loop->span, list.count))
        return;
    for (uint32_t i = 0; i < list.count && !r->spent; i++) {
        const wm_val *item = &list.items[i];
        if (vars > 1 && (item->kind != WM_VAL_LIST || item->count != vars)) {
            wm_diag *d = wm_error(r->unit, WM_E0313, loop->of->words->span,
                                  "%u variables, but entry %u is %s", vars, i, wm_val_text(r->unit, item));
            wm_diag_also(r->unit, d, loop->of->expr->span, "the list");
            return;
        }
        wm_context inner;
        wm_named *n = wm_new_round(r, c, vars, &inner);
        uint32_t v = 0;
        for (const wm_word *w = loop->of->words; w; w = w->next, v++)
            bind_word(&n[v], w, vars > 1 ? item->items[v] : *item);
        wm_name_round(r, c, &inner);
        body(r, &inner, loop, user);
    }
}

/* ---- for "pattern" ---- */

typedef struct captures {
    wm_resolver *r;
    const wm_vars *vars;
    wm_map seen;
    const wm_capture **rounds;
    size_t count, cap;
} captures;

static void note_captures(void *user, size_t name, const wm_capture *captured)
{
    captures *all = user;
    wm_arena *arena = all->r->unit->arena;
    (void)name;
    wm_buffer key = {.arena = arena};
    wm_buffer_add(&key, "", 0);
    for (size_t v = 0; v < all->vars->count; v++) {
        if (all->vars->items[v].text) {
            wm_buffer_int(&key, captured[v].s.len);
            wm_buffer_add(&key, ":", 1);
            wm_buffer_add(&key, captured[v].s.p, captured[v].s.len);
        } else {
            wm_buffer_int(&key, captured[v].i);
            wm_buffer_add(&key, ";", 1);
        }
    }
    if (wm_map_put(&all->seen, key.text, key.len, 0, NULL) != WM_MAP_NONE)
        return;
    wm_capture *copy = wm_new(arena, wm_capture, all->vars->count);
    if (all->vars->count)
        memcpy(copy, captured, all->vars->count * sizeof *copy);
    *wm_push(arena, all->rounds, all->count, all->cap) = copy;
}

/* Turned: its names are those that are written. Its variables are captured by the rules inside. */
static void turned_round(wm_resolver *r, const wm_context *c, const wm_stmt *loop, const wm_vars *vars)
{
    wm_context inner;
    wm_named *n = wm_new_round(r, c, (uint32_t)vars->count, &inner);
    for (size_t v = 0; v < vars->count; v++) {
        const wm_var *var = &vars->items[v];
        n[v] = (wm_named){.name = var->name, .span = var->span, .state = WM_DECL_CAPTURE};
        if (var->text)
            n[v].value = (wm_val){.kind = WM_VAL_STRING, .i = vars->formats[v]};
    }
    wm_walk(r, &inner, loop->of->body);
}

/* One round for each set of captures; without names one round whose variables are unknown. In `reverse { }`
 * the names are those that are read there. */
static void name_rounds(wm_resolver *r, const wm_context *c, const wm_stmt *loop)
{
    wm_vars vars = {0};
    wm_pattern pattern;
    if (!wm_note_vars(r, c->scope, loop->of->string, WM_USE_LOOKED, &vars) ||
        !wm_make_pattern(r, c->scope, loop->of->string, WM_USE_LOOKED, &vars, &pattern, NULL))
        return;
    uint32_t count = (uint32_t)vars.count;
    if (wm_is_turned(r, c)) {
        if (wm_spend(r, loop->span, 1))
            turned_round(r, c, loop, &vars);
        return;
    }
    captures all = {.r = r, .vars = &vars};
    wm_map_init(&all.seen, r->unit->arena, 0);
    wm_names *names = r->reverse && c->direction == WM_REVERSE ? r->read : r->world.names;
    bool known = names != NULL;
    if (known && !wm_names_match(names, r->unit, &pattern, vars.items, count, NULL, note_captures, &all))
        return;
    if (!wm_spend(r, loop->span, known ? all.count : 1))
        return;
    for (size_t i = 0; i < (known ? all.count : 1) && !r->spent; i++) {
        wm_context inner;
        wm_named *n = wm_new_round(r, c, count, &inner);
        for (uint32_t v = 0; v < count; v++) {
            n[v] = (wm_named){.name = vars.items[v].name,
                              .span = vars.items[v].span,
                              .state = known ? WM_DECL_DONE : WM_DECL_UNKNOWN};
            if (known && vars.items[v].text)
                n[v].value = (wm_val){.kind = WM_VAL_STRING, .s = all.rounds[i][v].s};
            else if (known)
                n[v].value = (wm_val){.kind = WM_VAL_INT, .i = all.rounds[i][v].i};
        }
        inner.uncertain |= !known;
        wm_name_round(r, c, &inner);
        wm_walk(r, &inner, loop->of->body);
    }
}

static void statement_round(wm_resolver *r, const wm_context *c, const wm_stmt *loop, void *user)
{
    (void)user;
    wm_walk(r, c, loop->of->body);
}

/* ---- if ---- */

wm_evaluated wm_condition(wm_resolver *r, const wm_context *c, const wm_expr *expr, bool *value)
{
    wm_val v;
    wm_evaluated done = wm_eval(r->unit, c->scope, NULL, expr, &v);
    if (done != WM_EVAL_OK)
        return done;
    if (v.kind != WM_VAL_BOOL) {
        wm_error(r->unit, WM_E0314, expr->span, "a condition is a boolean, this is %s",
                 wm_val_text(r->unit, &v));
        return WM_EVAL_ERROR;
    }
    *value = v.i != 0;
    return WM_EVAL_OK;
}

static void add_if(wm_resolver *r, const wm_context *c, const wm_stmt *stmt)
{
    bool value = false;
    wm_evaluated done = wm_condition(r, c, stmt->of->expr, &value);
    if (done == WM_EVAL_OK) {
        wm_walk(r, c, value ? stmt->of->body : stmt->of->otherwise);
    } else if (done == WM_EVAL_UNKNOWN) {
        wm_context inner = *c;
        inner.uncertain = true;
        wm_walk(r, &inner, stmt->of->body);
        wm_walk(r, &inner, stmt->of->otherwise);
    }
}

/* ---- axis ---- */

static bool axis_extent(wm_resolver *r, const wm_context *c, const wm_expr *expr)
{
    wm_val value;
    wm_evaluated done = wm_eval(r->unit, c->scope, NULL, expr, &value);
    if (done == WM_EVAL_OK && (value.kind != WM_VAL_INT || value.i < 0)) {
        wm_diag *d = wm_error(r->unit, WM_E0143, expr->span, "an extent is a whole number, this is %s",
                              wm_val_text(r->unit, &value));
        wm_hint_division(r->unit, d, &value);
        return false;
    }
    return done != WM_EVAL_ERROR;
}

/* The captures of turned loops around a block: for each set of them it has axes of its own. */
static void find_captures(wm_resolver *r, const wm_scope *scope, wm_axes *axes)
{
    size_t count = 0, cap = 0;
    wm_str *by = NULL;
    for (; r->reverse && scope; scope = scope->up)
        for (uint32_t i = 0; i < scope->count; i++)
            if (scope->items[i].state == WM_DECL_CAPTURE)
                *wm_push(r->unit->arena, by, count, cap) = scope->items[i].name;
    axes->by = by;
    axes->by_count = (uint32_t)count;
}

/* The axes that a block declares, wherever in it the statements stand: they belong to this round of it. */
static const wm_axes *block_axes(wm_resolver *r, wm_context *c, const wm_stmt *statements)
{
    wm_arena *arena = r->unit->arena;
    wm_axes *axes = NULL;
    size_t count = 0, cap = 0;
    for (const wm_stmt *s = statements; s; s = s->next)
        for (const wm_binding *b = s->kind == WM_ST_AXIS ? s->of->where : NULL; b; b = b->next) {
            if (!axes) {
                axes = wm_new(arena, wm_axes, 1);
                *axes = (wm_axes){.id = r->axes_ids++, .scope = c->scope, .up = c->axes};
                find_captures(r, c->scope, axes);
            }
            wm_span declared;
            const wm_word *name = b->names;
            if (wm_scope_has(c->scope, name->text, &declared)) {
                wm_diag *d = wm_error(r->unit, WM_E0209, name->span, "the axis %s has the name of a value",
                                      wm_quote(r->unit, name->text));
                wm_diag_also(r->unit, d, declared, "declared here");
                c->poison = true;
            }
            bool twice = false;
            for (size_t i = 0; i < count && !twice; i++) {
                twice = wm_str_eq(axes->items[i].name, name->text);
                declared = axes->items[i].span;
            }
            if (twice) {
                wm_diag *d =
                    wm_error(r->unit, WM_E0205, name->span, "the axis %s is declared twice in this block",
                             wm_quote(r->unit, name->text));
                wm_diag_also(r->unit, d, declared, "the first");
                continue;
            }
            bool good = !b->expr || axis_extent(r, c, b->expr);
            c->poison |= !good;
            struct wm_axes_item *item = wm_push(arena, axes->items, count, cap);
            *item = (struct wm_axes_item){name->text, name->span, good ? b->expr : NULL};
            axes->count = (uint32_t)count;
        }
    return axes ? axes : c->axes;
}

/* ---- use ---- */

static void add_use(wm_resolver *r, const wm_context *c, const wm_stmt *stmt)
{
    const wm_call *call = stmt->of->call;
    wm_str name = wm_qname_text(r->unit->arena, call->name);
    const wm_decl *decl = wm_file_find(r->unit->arena, c->file, call->name, false);
    if (!decl || decl->item->kind != WM_IT_MAP || decl->item->chain) {
        if (!decl && c->file->ast->failed) /* it may stand in what could not be read */
            return;
        const char *what = !decl               ? "there is no map %s"
                           : decl->item->chain ? "%s is a chain, only a map of statements can be used"
                                               : "%s is a model, not a map";
        wm_diag *d = wm_error(r->unit, WM_E0126, call->name->span, what, wm_quote(r->unit, name));
        if (!decl)
            wm_suggest_decl(r, d, c->file, name, WM_IT_MAP);
        return;
    }
    for (const struct wm_used *u = c->used; u; u = u->up) {
        if (u->map != decl)
            continue;
        wm_diag *d = wm_error(r->unit, WM_E0133, call->name->span, "the map %s uses itself",
                              wm_quote(r->unit, decl->name));
        wm_diag_also(r->unit, d, decl->span, "declared here");
        return;
    }
    if (c->depth >= WM_MAX_USES) {
        wm_error(r->unit, WM_E0902, stmt->span, "maps use each other more than %d deep", WM_MAX_USES);
        r->spent = r->program->failed = true; /* as many uses may be so deep as can be counted */
        return;
    }
    const wm_scope *scope = wm_bind_arguments(r, c->scope, decl, call, call->span);
    if (!scope || !wm_spend(r, stmt->span, 1))
        return;
    struct wm_used used = {decl, c->used};
    wm_context inner = *c;
    inner.scope = scope;
    inner.file = decl->file;
    inner.depth++;
    inner.used = &used;
    if (!*c->round && scope->count) /* two uses in a row differ in their arguments only */
        wm_name_round(r, c, &inner);
    wm_span before = r->unit->use;
    r->unit->use = wm_scope_use(scope);
    wm_walk(r, &inner, decl->item->body);
    r->unit->use = before;
}

/* ---- the other statements ---- */

static void add_direction(wm_resolver *r, const wm_context *c, const wm_stmt *stmt)
{
    bool forward = stmt->kind == WM_ST_FORWARD;
    if (c->direction != WM_BOTH_WAYS) {
        wm_error(r->unit, WM_E0701, stmt->span, "`%s { }` stands in `%s { }`",
                 forward ? "forward" : "reverse", c->direction == WM_FORWARD ? "forward" : "reverse");
        return;
    }
    wm_context inner = *c;
    inner.direction = forward ? WM_FORWARD : WM_REVERSE;
    if (wm_takes_part(r, &inner)) {
        wm_walk(r, &inner, stmt->of->body);
        return;
    }
    /* Of the other direction only the form is looked at: nothing is known of its names. */
    wm_world world = r->world;
    bool target = r->target_known;
    r->world = (wm_world){0};
    r->target_known = true;
    wm_walk(r, &inner, stmt->of->body);
    r->world = world;
    r->target_known = target;
}

static void add_error(wm_resolver *r, const wm_context *c, const wm_stmt *stmt)
{
    wm_str text;
    if (c->uncertain || wm_plain_text(r->unit, c->scope, NULL, stmt->of->string, &text) != WM_EVAL_OK)
        return;
    char shown[1024];
    wm_show(shown, sizeof shown, text.p, text.len);
    wm_error(r->unit, WM_E0134, stmt->span, "%s", shown);
}

static void add_cast(wm_resolver *r, const wm_context *c, const wm_stmt *stmt)
{
    wm_line line = {
        .kind = WM_LINE_CAST, .span = stmt->span, .scope = c->scope, .axes = c->axes, .round = c->round};
    wm_cast *cast = wm_new(r->unit->arena, wm_cast, 1);
    cast->span = stmt->span;
    line.cast = cast;
    bool ok = wm_make_dtype(r, stmt->of->from, &cast->from);
    ok &= wm_make_dtype(r, stmt->of->to, &cast->to);
    if (stmt->of->policy)
        ok &= wm_make_policy(r, stmt->of->policy->text, stmt->of->policy->span, &cast->policy);
    line.poisoned = !ok || c->poison;
    line.turned = wm_is_turned(r, c);
    wm_add_line(r, c, &line);
}

static void add_keep_rest(wm_resolver *r, const wm_context *c, const wm_stmt *stmt)
{
    wm_line line = {
        .kind = WM_LINE_KEEP_REST, .span = stmt->span, .scope = c->scope, .axes = c->axes, .round = c->round};
    line.poisoned = c->poison;
    if (wm_takes_part(r, c) && !r->program->keep_rest) {
        wm_add_line(r, c, &line);
        r->program->keep_rest = true;
    }
}

/* Metadata are stated for the target, and left behind by their keys; they take no part in any proof, and none
 * in the other direction. */
static void add_meta(wm_resolver *r, const wm_context *c, const wm_stmt *stmt)
{
    wm_program *p = r->program;
    wm_stated m = {.span = stmt->span};
    bool ok = wm_plain_text(r->unit, c->scope, NULL, stmt->of->string, &m.key) == WM_EVAL_OK;
    ok &= wm_plain_text(r->unit, c->scope, NULL, stmt->of->string2, &m.value) == WM_EVAL_OK;
    if (!ok || c->uncertain || !wm_takes_part(r, c) || wm_is_turned(r, c))
        return;
    if (p->meta_count == 0)
        wm_map_init(&p->meta_keys, r->unit->arena, 0);
    uint32_t before = wm_map_put(&p->meta_keys, m.key.p, m.key.len, (uint32_t)p->meta_count, NULL);
    if (before != WM_MAP_NONE) {
        wm_diag *d = wm_error(r->unit, WM_E0145, stmt->of->string->span, "the metadata %s are stated twice",
                              wm_quote(r->unit, m.key));
        wm_diag_also(r->unit, d, p->metas[before].span, "first here");
        return;
    }
    *wm_push(r->unit->arena, p->metas, p->meta_count, p->meta_cap) = m;
}

static void drop_meta(wm_resolver *r, const wm_context *c, const wm_stmt *stmt)
{
    for (const struct wm_string_list *s = stmt->of->strings; s; s = s->next) {
        wm_vars vars = {0};
        wm_pattern *pattern = wm_new(r->unit->arena, wm_pattern, 1);
        if (wm_note_vars(r, c->scope, s->string, WM_USE_LOOKED, &vars) &&
            wm_make_pattern(r, c->scope, s->string, WM_USE_LOOKED, &vars, pattern, NULL) &&
            wm_takes_part(r, c) && !wm_is_turned(r, c) && !c->uncertain)
            *wm_push(r->unit->arena, r->program->meta_drops, r->program->meta_drop_count,
                     r->program->meta_drop_cap) = pattern;
    }
}

static void add_derive(wm_resolver *r, const wm_context *c, const wm_stmt *stmt)
{
    if (r->deriving.stmt) {
        wm_diag *d = wm_error(r->unit, WM_E0123, stmt->span, "`derive` stands twice in this map");
        wm_diag_also(r->unit, d, r->deriving.stmt->span, "the first");
        return;
    }
    if (c->direction == WM_BOTH_WAYS || (c->direction == WM_REVERSE) == r->reverse)
        r->deriving = (wm_deriving){stmt, c->scope, c->file};
}

static void add_statement(wm_resolver *r, const wm_context *c, const wm_stmt *stmt)
{
    switch (stmt->kind) {
    case WM_ST_RULE:
        wm_add_rule(r, c, stmt);
        break;
    case WM_ST_FILL:
        wm_add_fill(r, c, stmt);
        break;
    case WM_ST_DROP:
        wm_add_drop(r, c, stmt);
        break;
    case WM_ST_DROP_META:
        drop_meta(r, c, stmt);
        break;
    case WM_ST_META:
        add_meta(r, c, stmt);
        break;
    case WM_ST_DERIVE:
        add_derive(r, c, stmt);
        break;
    case WM_ST_KEEP_REST:
        add_keep_rest(r, c, stmt);
        break;
    case WM_ST_USE:
        add_use(r, c, stmt);
        break;
    case WM_ST_ERROR:
        add_error(r, c, stmt);
        break;
    case WM_ST_CAST:
        add_cast(r, c, stmt);
        break;
    case WM_ST_FORWARD:
    case WM_ST_REVERSE:
        add_direction(r, c, stmt);
        break;
    case WM_ST_FOR:
        if (stmt->of->string)
            name_rounds(r, c, stmt);
        else
            wm_each_round(r, c, stmt, statement_round, NULL);
        break;
    case WM_ST_IF:
        add_if(r, c, stmt);
        break;
    case WM_ST_AXIS: /* block_axes saw it */
    case WM_ST_TENSOR:
    case WM_ST_HUB:
        break;
    }
}

void wm_walk(wm_resolver *r, const wm_context *context, const wm_stmt *statements)
{
    wm_context c = *context;
    const wm_diag *before = r->unit->last;
    if (!r->program->lines) { /* most specs are one long list: its array need not grow */
        size_t count = 0;
        for (const wm_stmt *s = statements; s; s = s->next)
            count++;
        r->program->lines = wm_grow(r->unit->arena, NULL, 0, count, &r->program->cap, sizeof(wm_line));
    }
    c.axes = block_axes(r, &c, statements);
    wm_stamp_round(r, &c, before);
    for (const wm_stmt *s = statements; s && !r->spent; s = s->next) {
        before = r->unit->last;
        add_statement(r, &c, s);
        if (s->kind != WM_ST_RULE && s->kind != WM_ST_FILL) /* those know which findings are of every round */
            wm_stamp_round(r, &c, before);
    }
}
