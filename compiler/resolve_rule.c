/* resolve_rule.c: rules, fills and drops to lines. What is the same in every round (layouts, verbs,
 * operations) is looked at once a statement; names, constants and shapes once a line. */
#include <string.h>

#include "compiler/resolve_internal.h"

/* The part of a rule or fill that no round changes. */
typedef struct wm_rule_info {
    const void *key;
    bool failed;             /* reported */
    const char *unsupported; /* what of it belongs to a later version; NULL: nothing */
    wm_span unsupported_span;
    bool said;
    wm_term *left, *right; /* names, constants and shapes are those of the first line */
    bool taken;            /* by that line: the next ones need copies */
    size_t left_count, left_cap, right_count, right_cap;
    size_t owner;   /* the first place of the operand at hand */
    wm_step *steps; /* of that operand */
    size_t step_count, step_cap;
    const wm_place **places; /* of the left side, then of the right */
    size_t place_count, place_cap;
    const wm_operand **operands; /* of the right side */
    size_t operand_count, operand_cap;
    wm_form_of *forms; /* as places */
    size_t form_count, form_cap;
} wm_rule_info;

static void refuse(wm_rule_info *info, wm_span span, const char *what)
{
    if (info->unsupported)
        return;
    info->unsupported = what;
    info->unsupported_span = span;
}

void wm_unsupported(wm_resolver *r, const wm_context *context, wm_span span, const char *what)
{
    if (wm_takes_part(r, context))
        wm_error(r->unit, WM_E0199, span, "%s is not supported yet", what);
}

/* ---- operations ---- */

static void add_step(wm_resolver *r, wm_rule_info *info, const wm_step *step)
{
    *wm_push(r->statement, info->steps, info->step_count, info->step_cap) = *step;
}

static void add_ops(wm_resolver *r, wm_rule_info *info, const wm_value *value)
{
    for (const wm_valueop *op = value->ops; op; op = op->next) {
        const wm_op_row *row = wm_find_op(r, op->name);
        wm_step step;
        if (!row) {
            info->failed = true;
        } else if (row->kind == WM_STEP_LOAD) {
            info->left[info->left_count - 1].decoder = wm_make_decoder(r, value, op, row);
            info->failed |= !info->left[info->left_count - 1].decoder;
        } else if (!wm_make_step(r, op, row, &step)) {
            info->failed = true;
        } else {
            add_step(r, info, &step);
        }
    }
}

/* ---- operands ---- */

static const wm_layout *whole_tensor(wm_resolver *r, wm_span span)
{
    wm_layout *layout = wm_new(r->unit->arena, wm_layout, 1);
    layout->span = span;
    layout->factors = wm_new(r->unit->arena, wm_factor, 1);
    layout->factors->kind = WM_FA_DOTS;
    layout->factors->span = span;
    return layout;
}

/* Layout, tag and copies of one operand. */
static void fill_term(wm_resolver *r, const wm_scope *scope, wm_rule_info *info, wm_term *term,
                      const wm_place *place, const wm_word *tag, const wm_layout *verb_layout,
                      wm_str verb_tag)
{
    wm_arena *arena = r->statement;
    term->span = place->span;
    term->optional = place->optional;
    term->optional_span = place->optional_span;
    if (tag) {
        term->tag = tag->text;
        term->tag_span = tag->span;
    } else if (verb_tag.len) {
        term->tag = verb_tag;
        term->tag_span = verb_layout->span;
    }
    wm_form_of form = {.dots = true};
    if (place->layout)
        form = wm_check_layout(r, scope, place->layout, tag);
    info->failed |= form.failed;
    term->layout = place->layout ? place->layout
                   : verb_layout ? verb_layout
                                 : whole_tensor(r, place->name->span);
    term->layout_given = place->layout || verb_layout;
    *wm_push(arena, info->places, info->place_count, info->place_cap) = place;
    *wm_push(arena, info->forms, info->form_count, info->form_cap) = form;
}

static void add_place(wm_resolver *r, const wm_scope *scope, wm_rule_info *info, const wm_operand *operand,
                      const wm_place *place, const wm_verb_form *verbs)
{
    size_t i = info->left_count;
    wm_term *term = wm_push(r->unit->arena, info->left, info->left_count, info->left_cap);
    bool verb = verbs && verbs->left && !info->unsupported, second = i > info->owner;
    fill_term(r, scope, info, term, place, second ? NULL : operand->tag, verb ? verbs->left[i] : NULL,
              verb ? verbs->left_tags[i] : WM_STR(""));
    term->second = second;
    term->owner = (uint32_t)info->owner;
    wm_step load = {.kind = WM_STEP_LOAD, .span = place->span, .term = (uint32_t)i};
    add_step(r, info, &load);
}

static wm_step_kind arithmetic(wm_op op)
{
    return op == WM_OP_ADD   ? WM_STEP_ADD
           : op == WM_OP_SUB ? WM_STEP_SUB
           : op == WM_OP_MUL ? WM_STEP_MUL
                             : WM_STEP_DIV;
}

static void add_value(wm_resolver *r, const wm_scope *scope, wm_rule_info *info, const wm_operand *operand,
                      const wm_value *value, const wm_verb_form *verbs)
{
    if (value->kind == WM_VA_PLACE) {
        add_place(r, scope, info, operand, value->place, verbs);
    } else {
        if (verbs && verbs->left)
            refuse(info, value->span, "arithmetic between tensors after a verb");
        add_value(r, scope, info, operand, value->a, verbs);
        add_value(r, scope, info, operand, value->b, verbs);
        wm_step step = {.kind = arithmetic(value->op), .span = value->op_span};
        add_step(r, info, &step);
    }
    add_ops(r, info, value);
}

/* One operand of the source. A place alone, or with one cast, is remembered as that. */
static void add_source(wm_resolver *r, const wm_scope *scope, wm_rule_info *info, const wm_operand *operand,
                       const wm_verb_form *verbs)
{
    info->owner = info->left_count;
    info->steps = NULL;
    info->step_count = info->step_cap = 0;
    add_value(r, scope, info, operand, operand->value, verbs);
    wm_term *term = &info->left[info->owner];
    if (info->step_count == 2 && info->steps[1].kind == WM_STEP_CAST) {
        wm_cast *cast = wm_new(r->unit->arena, wm_cast, 1);
        *cast = info->steps[1].cast;
        term->cast = cast;
    } else if (info->step_count > 1) {
        wm_steps *steps = wm_new(r->unit->arena, wm_steps, 1);
        wm_step *list = wm_new(r->unit->arena, wm_step, info->step_count);
        memcpy(list, info->steps, info->step_count * sizeof *list);
        *steps = (wm_steps){list, (uint32_t)info->step_count};
        term->steps = steps;
    }
}

static void add_target(wm_resolver *r, const wm_scope *scope, wm_rule_info *info, const wm_operand *operand,
                       const wm_verb_form *verbs)
{
    size_t i = info->right_count;
    wm_term *term = wm_push(r->unit->arena, info->right, info->right_count, info->right_cap);
    bool verb = verbs && verbs->right && !info->unsupported;
    fill_term(r, scope, info, term, operand->place, operand->tag, verb ? verbs->right[i] : NULL,
              verb ? verbs->right_tags[i] : WM_STR(""));
    *wm_push(r->statement, info->operands, info->operand_count, info->operand_cap) = operand;
    if (!operand->dtype)
        return;
    wm_typed *typed = wm_new(r->unit->arena, wm_typed, 1);
    typed->dtype_span = operand->dtype->span;
    typed->shape_span = operand->shape ? operand->shape->span : operand->dtype->span;
    info->failed |= !wm_make_dtype(r, operand->dtype, &typed->dtype);
    term->declared = typed;
}

/* `...` stands on every tensor or on none. */
static void check_dots(wm_resolver *r, wm_rule_info *info)
{
    const wm_place *with = NULL, *without = NULL;
    for (size_t i = 0; i < info->place_count; i++) {
        if (info->forms[i].failed)
            return;
        if (info->forms[i].dots)
            with = with ? with : info->places[i];
        else
            without = without ? without : info->places[i];
    }
    if (!with || !without)
        return;
    wm_span span = with->layout ? with->layout->span : with->name->span;
    wm_diag *d = wm_error(r->unit, WM_E0215, span,
                          with->layout ? "`...` stands on this tensor, but not on every tensor of the rule"
                                       : "this tensor has no layout, but another one of the rule has");
    wm_diag_also(r->unit, d, without->layout->span, "no `...` here");
    if (!with->layout)
        wm_diag_hint(r->unit, d,
                     "no layout means `[...]`, the whole tensor as it is; write this one's axes too");
    info->failed = true;
}

/* ( ) = ( ) names each axis once. */
static void check_flattened(wm_resolver *r, wm_rule_info *info, const wm_binding *where)
{
    for (const wm_binding *b = where; b; b = b->next) {
        wm_map seen;
        const wm_word *all[2] = {b->other ? b->names : NULL, b->other};
        const wm_word **words = NULL;
        size_t count = 0, cap = 0;
        wm_map_init(&seen, r->statement, 0);
        for (int side = 0; side < 2; side++)
            for (const wm_word *w = all[side]; w; w = w->next) {
                uint32_t at = wm_map_put(&seen, w->text.p, w->text.len, (uint32_t)count, NULL);
                *wm_push(r->statement, words, count, cap) = w;
                if (at == WM_MAP_NONE)
                    continue;
                wm_diag *d = wm_error(r->unit, WM_E0216, w->span, "the axis %s stands twice in `( ) = ( )`",
                                      wm_quote(r->unit, w->text));
                wm_diag_also(r->unit, d, words[at]->span, "the first");
                info->failed = true;
            }
    }
}

static size_t count_places(const wm_value *value)
{
    return value->kind == WM_VA_PLACE ? 1 : count_places(value->a) + count_places(value->b);
}

/* Room for all operands at once: most specs are made of rules, so what one takes counts. */
static void make_room(wm_resolver *r, wm_rule_info *info, const wm_operand *left, const wm_operand *right)
{
    for (const wm_operand *o = left; o; o = o->next)
        info->left_cap += count_places(o->value);
    for (const wm_operand *o = right; o; o = o->next)
        info->right_cap++;
    info->operand_cap = info->right_cap;
    info->place_cap = info->form_cap = info->left_cap + info->right_cap;
    info->left = wm_new(r->unit->arena, wm_term, info->left_cap);
    info->right = wm_new(r->unit->arena, wm_term, info->right_cap);
    info->operands = wm_new(r->statement, const wm_operand *, info->operand_cap);
    info->places = wm_new(r->statement, const wm_place *, info->place_cap);
    info->forms = wm_new(r->statement, wm_form_of, info->form_cap);
}

static wm_rule_info *make_info(wm_resolver *r, const wm_scope *scope, const wm_stmt *stmt)
{
    wm_rule_info *info = wm_new(r->statement, wm_rule_info, 1);
    const wm_rule *rule = stmt->rule;
    info->key = stmt;
    make_room(r, info, rule ? rule->left : NULL, rule ? rule->right : stmt->of->right);
    if (!rule) { /* a fill */
        for (const wm_operand *o = stmt->of->right; o; o = o->next)
            add_target(r, scope, info, o, NULL);
        check_dots(r, info);
        check_flattened(r, info, stmt->of->where);
        return info;
    }
    wm_verb_form verbs = {NULL, NULL, NULL, NULL};
    if (rule->verbs && !wm_expand_verbs(r, rule, &verbs))
        info->failed = true;
    bool broken = info->failed; /* by its verbs: its layouts mean nothing then */
    for (const wm_operand *o = rule->left; o; o = o->next)
        add_source(r, scope, info, o, &verbs);
    for (size_t i = 0; i < info->left_count && !rule->equal; i++) {
        if (!info->left[i].optional)
            continue;
        wm_diag *d = wm_error(r->unit, WM_E0518, info->left[i].optional_span,
                              "`optional` stands after a source that has no other copy");
        wm_diag_hint(r->unit, d, "before the rule it makes the rule apply only where its source exists");
        info->failed = true;
    }
    for (const wm_operand *o = rule->right; o; o = o->next)
        add_target(r, scope, info, o, &verbs);
    if (!broken && !rule->verbs)
        check_dots(r, info);
    check_flattened(r, info, rule->where);
    return info;
}

static wm_rule_info *info_of(wm_resolver *r, const wm_context *c, const wm_stmt *stmt)
{
    bool once = !*c->round && c->depth == 0; /* in no loop and no used map */
    uint32_t at = once ? WM_MAP_NONE : wm_map_get(&r->info_map, &stmt, sizeof stmt);
    wm_rule_info *info;
    r->statement = once ? r->unit->scratch : r->unit->arena;
    if (at != WM_MAP_NONE) {
        info = r->infos[at];
    } else {
        info = make_info(r, c->scope, stmt);
    }
    if (!once && at == WM_MAP_NONE) {
        wm_map_put(&r->info_map, &info->key, sizeof info->key, (uint32_t)r->info_count, NULL);
        *wm_push(r->unit->arena, r->infos, r->info_count, r->info_cap) = info;
    }
    if (info->unsupported && !info->said && wm_takes_part(r, c)) {
        wm_unsupported(r, c, info->unsupported_span, info->unsupported);
        info->said = true;
    }
    return info;
}

/* ---- lines ---- */

void wm_add_line(wm_resolver *r, const wm_context *context, const wm_line *line)
{
    wm_program *p = r->program;
    if (!wm_takes_part(r, context) || r->spent)
        return;
    if (p->count >= WM_MAX_LINES) {
        wm_error(r->unit, WM_E0901, line->span, "the loops of this map give more than %d statements",
                 WM_MAX_LINES);
        r->spent = p->failed = true;
        return;
    }
    *wm_push(r->unit->arena, p->lines, p->count, p->cap) = *line;
}

typedef struct builder {
    wm_resolver *r;
    const wm_context *c;
    wm_rule_info *info;
    wm_line line;
    wm_vars vars;
    size_t bound; /* variables of the side that is read come first */
    bool *axis;   /* by variable: it stands in a layout */
    bool *seen;   /* of one name */
    bool ok;
    bool unnamed; /* a finding in a name: no more is said of names */
} builder;

static wm_line new_line(const wm_resolver *r, const wm_context *c, wm_line_kind kind, wm_span span)
{
    return (wm_line){.kind = kind,
                     .span = span,
                     .scope = c->scope,
                     .axes = c->axes,
                     .round = c->round,
                     .derived = c->derived,
                     .both_ways = c->direction == WM_BOTH_WAYS,
                     .turned = wm_is_turned(r, c)};
}

static bool in_form(const wm_form_of *form, wm_str name)
{
    for (size_t i = 0; i < form->axis_count; i++)
        if (wm_str_eq(form->axes[i], name))
            return true;
    return false;
}

/* Which variables number an axis, or copies; such a one is no text. */
static void find_axes(builder *b)
{
    const wm_rule_info *info = b->info;
    b->axis = wm_new(b->r->unit->scratch, bool, b->vars.count);
    b->seen = wm_new(b->r->unit->scratch, bool, b->vars.count);
    for (size_t v = 0; v < b->vars.count; v++) {
        const wm_var *var = &b->vars.items[v];
        for (size_t p = 0; p < info->place_count && !b->axis[v]; p++)
            b->axis[v] = in_form(&info->forms[p], var->name);
        if (!b->axis[v] || !var->text) {
            b->axis[v] |= var->equal;
            continue;
        }
        wm_diag *d = wm_error(b->r->unit, WM_E0411, var->span, "%s is text in a name and an axis in a layout",
                              wm_quote(b->r->unit, var->name));
        wm_diag_hint(b->r->unit, d, "an axis numbers tensors: `{%.*s}`", (int)var->name.len, var->name.p);
        b->ok = false;
    }
}

/* E0403: a name that is written has only variables that something binds: names that are read, and the layouts
 * of the places from `first` to `end`. */
static void check_bound(builder *b, size_t first, size_t end)
{
    bool lost = false;
    for (size_t v = b->bound; v < b->vars.count && !b->unnamed; v++) {
        const wm_var *var = &b->vars.items[v];
        bool found = var->equal; /* copies are numbered */
        wm_near near;
        wm_near_init(&near, var->name);
        for (size_t p = first; p < end; p++) {
            found |= in_form(&b->info->forms[p], var->name);
            for (size_t a = 0; a < b->info->forms[p].axis_count; a++)
                wm_near_try(&near, b->info->forms[p].axes[a]);
        }
        for (size_t o = 0; o < b->bound; o++)
            wm_near_try(&near, b->vars.items[o].name);
        if (found)
            continue;
        wm_diag *d = wm_error(b->r->unit, WM_E0403, var->span, "nothing gives %s a value",
                              wm_quote(b->r->unit, var->name));
        if (wm_near_found(&near))
            wm_diag_near(b->r->unit, d, &near);
        else
            wm_diag_hint(b->r->unit, d, "capture it in a name that is read, or bind it by `for`");
        lost = true;
    }
    b->unnamed |= lost; /* what a misspelt variable was meant for is not missing as well */
    b->ok &= !lost;
}

static wm_names *no_names(wm_resolver *r)
{
    return r->no_names ? r->no_names : (r->no_names = wm_names_index(r->unit, NULL, 0));
}

static void ignore_match(void *user, size_t name, const wm_capture *captures)
{
    (void)user;
    (void)name;
    (void)captures;
}

/* E0407, which the matcher finds before it looks at any name. */
static bool can_solve(wm_resolver *r, const wm_pattern *pattern, const wm_vars *vars)
{
    for (uint32_t h = 0; h < pattern->count; h++)
        if (pattern->holes[h].kind == WM_HOLE_VALUE && pattern->holes[h].var == WM_NO_VAR)
            return wm_names_match(no_names(r), r->unit, pattern, vars->items, (uint32_t)vars->count, NULL,
                                  ignore_match, NULL);
    return true;
}

static void forget_seen(builder *b)
{
    if (b->vars.count)
        memset(b->seen, 0, b->vars.count * sizeof *b->seen);
}

static void make_name(builder *b, size_t place, wm_use use, wm_pattern *pattern)
{
    const wm_string *name = b->info->places[place]->name;
    forget_seen(b);
    if (!wm_make_pattern(b->r, b->c->scope, name, use, &b->vars, pattern, b->seen) ||
        (use == WM_USE_READ && !b->unnamed && !can_solve(b->r, pattern, &b->vars))) {
        *pattern = (wm_pattern){.span = name->span, .scope = b->c->scope};
        b->ok = false;
        return;
    }
    for (size_t v = 0; v < b->vars.count; v++) {
        const wm_var *var = &b->vars.items[v];
        if (b->seen[v] && b->axis[v] && in_form(&b->info->forms[place], var->name)) {
            wm_diag *d = wm_error(b->r->unit, WM_E0412, pattern->span,
                                  "%s stands in the name and in the layout of one tensor",
                                  wm_quote(b->r->unit, var->name));
            wm_diag_also(b->r->unit, d, b->info->places[place]->layout->span, "the layout");
            b->ok = false;
        } else if (use == WM_USE_WRITTEN && v < b->bound && b->line.kind == WM_LINE_RULE && !b->unnamed &&
                   !b->axis[v] && !b->seen[v]) {
            wm_diag *d = wm_error(b->r->unit, WM_E0404, pattern->span,
                                  "this name lacks %s, so several tensors would be written under it",
                                  wm_quote(b->r->unit, var->name));
            wm_diag_also(b->r->unit, d, var->span, "captured here");
            wm_diag_hint(b->r->unit, d, "put it into this name, or make it an axis of the layout");
            b->ok = false;
        }
    }
}

static void make_constant(builder *b, const wm_const *constant, wm_val *value)
{
    wm_evaluated done = wm_eval(b->r->unit, b->c->scope, NULL, constant, value);
    if (done == WM_EVAL_OK && (value->kind == WM_VAL_STRING || value->kind == WM_VAL_LIST)) {
        wm_error(b->r->unit, WM_E0304, constant->span, "a number is needed here, this is %s",
                 wm_val_text(b->r->unit, value));
        done = WM_EVAL_ERROR;
    }
    b->ok &= done != WM_EVAL_ERROR;
}

/* The constant of `else`. */
static void make_else(builder *b, const wm_place *place, wm_term *term)
{
    if (!place->otherwise)
        return;
    wm_else *other = wm_new(b->r->unit->arena, wm_else, 1);
    other->span = place->otherwise->span;
    make_constant(b, place->otherwise, &other->value);
    term->otherwise = other;
}

static void make_target(builder *b, size_t i, wm_use use)
{
    const wm_rule_info *info = b->info;
    const wm_operand *operand = info->operands[i];
    wm_term *term = &b->line.right[i];
    wm_arena *arena = b->r->unit->arena;
    make_name(b, info->left_count + i, use, &term->name);
    make_else(b, operand->place, term);
    if (term->declared && operand->shape) {
        wm_typed *typed = wm_new(arena, wm_typed, 1);
        *typed = *term->declared;
        b->ok &= wm_known_shape(b->r, b->c->scope, operand->shape, &typed->rank, &typed->shape);
        term->declared = typed;
    }
}

/* ---- decoders ---- */

/* The tensor of scales is found by what the names of the source bind. */
static void note_decoders(builder *b)
{
    for (uint32_t i = 0; i < b->line.left_count; i++)
        if (b->line.left[i].decoder)
            b->unnamed |= !wm_note_vars(b->r, b->c->scope, b->line.left[i].decoder->op->args->string,
                                        WM_USE_WRITTEN, &b->vars);
    b->ok &= !b->unnamed;
}

/* E0403: an axis numbers the scales as it numbers the tensors that they are of, or not at all. `own`: what
 * their name has. */
static void check_scales(builder *b, const wm_pattern *scales, const bool *own)
{
    for (size_t v = 0; v < b->vars.count && b->ok; v++) {
        const wm_var *var = &b->vars.items[v];
        if (!b->seen[v] || own[v] || (!b->axis[v] && v < b->bound))
            continue;
        wm_diag *d = wm_error(b->r->unit, WM_E0403, scales->span, "nothing gives %s a value in this name",
                              wm_quote(b->r->unit, var->name));
        wm_diag_hint(b->r->unit, d, "the scales of a tensor are found by what is captured in its name");
        b->ok = false;
    }
}

static void name_scales(builder *b, wm_term *term)
{
    if (!term->decoder)
        return;
    wm_decoder *d = wm_new(b->r->unit->arena, wm_decoder, 1);
    *d = *term->decoder;
    const struct wm_oparg *args = d->op->args;
    bool *own = wm_new(b->r->unit->scratch, bool, b->vars.count);
    if (b->vars.count)
        memcpy(own, b->seen, b->vars.count * sizeof *own);
    forget_seen(b);
    b->ok &= wm_make_pattern(b->r, b->c->scope, args->string, WM_USE_WRITTEN, &b->vars, &d->scales, b->seen);
    check_scales(b, &d->scales, own);
    if (args->next)
        b->ok &= wm_known_shape(b->r, b->c->scope, args->next->shape, &d->block_count, &d->block);
    for (uint32_t k = 0; b->ok && k < d->block_count; k++)
        if (d->block[k] == 0) {
            wm_error(b->r->unit, WM_E0143, args->next->span, "a block is not empty");
            b->ok = false;
        }
    term->decoder = d;
}

/* ---- where ---- */

static void check_where_name(void *user, const wm_word *name)
{
    builder *b = user;
    wm_near near;
    wm_near_init(&near, name->text);
    for (size_t v = 0; v < b->vars.count; v++) {
        if (wm_str_eq(b->vars.items[v].name, name->text))
            return;
        wm_near_try(&near, b->vars.items[v].name);
    }
    for (size_t p = 0; p < b->info->place_count; p++)
        for (size_t a = 0; a < b->info->forms[p].axis_count; a++) {
            if (wm_str_eq(b->info->forms[p].axes[a], name->text))
                return;
            wm_near_try(&near, b->info->forms[p].axes[a]);
        }
    for (const wm_axes *axes = b->c->axes; axes; axes = axes->up)
        for (uint32_t i = 0; i < axes->count; i++) {
            if (wm_str_eq(axes->items[i].name, name->text))
                return;
            wm_near_try(&near, axes->items[i].name);
        }
    const wm_file *file = wm_scope_file(b->c->scope);
    for (size_t d = 0; file && d < file->decl_count && d < 1000; d++)
        if (file->decls[d]->item->kind == WM_IT_PARAM)
            wm_near_try(&near, file->decls[d]->name);
    wm_diag *d = wm_error(b->r->unit, WM_E0301, name->span, "nothing is called %s here",
                          wm_quote(b->r->unit, name->text));
    wm_diag_near(b->r->unit, d, &near);
    b->ok = false;
}

static void check_where(builder *b)
{
    for (const wm_binding *w = b->line.where; w; w = w->next)
        if (w->expr)
            wm_free_names(b->c->scope, w->expr, check_where_name, b);
    for (uint32_t t = 0; t < b->line.left_count; t++)
        for (uint32_t k = 0; b->line.left[t].steps && k < b->line.left[t].steps->count; k++)
            if (b->line.left[t].steps->list[k].expr)
                wm_free_names(b->c->scope, b->line.left[t].steps->list[k].expr, check_where_name, b);
}

/* ---- statements ---- */

static wm_term *copy_terms(wm_arena *arena, const wm_term *terms, size_t count)
{
    wm_term *copy = wm_new(arena, wm_term, count);
    if (count)
        memcpy(copy, terms, count * sizeof *copy);
    return copy;
}

static void begin_line(builder *b)
{
    wm_rule_info *info = b->info;
    wm_arena *arena = b->r->unit->arena;
    b->ok = !info->failed && !info->unsupported && !b->c->poison;
    b->line.left = info->taken ? copy_terms(arena, info->left, info->left_count) : info->left;
    b->line.right = info->taken ? copy_terms(arena, info->right, info->right_count) : info->right;
    info->taken = true;
    b->line.left_count = (uint32_t)info->left_count;
    b->line.right_count = (uint32_t)info->right_count;
}

static void end_line(builder *b)
{
    b->line.vars = b->vars.items;
    b->line.var_count = (uint32_t)b->vars.count;
    check_where(b);
    b->line.poisoned = !b->ok;
    wm_add_line(b->r, b->c, &b->line);
    wm_arena_clear(b->r->unit->scratch);
}

static void note_names(builder *b, size_t from, size_t to, wm_use use)
{
    for (size_t i = from; i < to; i++)
        b->unnamed |= !wm_note_vars(b->r, b->c->scope, b->info->places[i]->name, use, &b->vars);
    b->ok &= !b->unnamed;
}

void wm_add_rule(wm_resolver *r, const wm_context *c, const wm_stmt *stmt)
{
    builder b = {
        .r = r, .c = c, .line = new_line(r, c, WM_LINE_RULE, stmt->span), .info = info_of(r, c, stmt)};
    const wm_diag *before = r->unit->last;
    begin_line(&b);
    b.line.optional = stmt->rule->optional;
    b.line.equal = stmt->rule->equal;
    b.line.where = stmt->rule->where;
    size_t middle = b.info->left_count, all = b.info->place_count;
    bool turned = b.line.turned; /* what is on the left is written, then */
    size_t read = turned ? middle : 0, read_end = turned ? all : middle;
    note_names(&b, read, read_end, WM_USE_READ);
    b.bound = b.vars.count;
    note_names(&b, turned ? 0 : middle, turned ? middle : all, WM_USE_WRITTEN);
    note_decoders(&b);
    check_bound(&b, read, read_end);
    find_axes(&b);
    for (size_t i = 0; i < middle; i++) {
        make_name(&b, i, turned ? WM_USE_WRITTEN : WM_USE_READ, &b.line.left[i].name);
        name_scales(&b, &b.line.left[i]);
        make_else(&b, b.info->places[i], &b.line.left[i]);
    }
    for (size_t i = 0; i < b.info->right_count; i++)
        make_target(&b, i, turned ? WM_USE_READ : WM_USE_WRITTEN);
    end_line(&b);
    wm_stamp_round(r, c, before);
}

void wm_add_fill(wm_resolver *r, const wm_context *c, const wm_stmt *stmt)
{
    builder b = {
        .r = r, .c = c, .line = new_line(r, c, WM_LINE_FILL, stmt->span), .info = info_of(r, c, stmt)};
    const wm_diag *before = r->unit->last;
    begin_line(&b);
    b.line.where = stmt->of->where;
    wm_fill *fill = wm_new(r->unit->arena, wm_fill, 1);
    b.line.fill = fill;
    fill->has_like = stmt->of->like != NULL;
    fill->span = stmt->of->constant->span;
    make_constant(&b, stmt->of->constant, &fill->value);
    bool turned = b.line.turned; /* what was filled is read, and nothing else */
    if (stmt->of->like)
        b.ok &= wm_note_vars(r, c->scope, stmt->of->like, WM_USE_READ, &b.vars);
    b.bound = b.vars.count;
    note_names(&b, 0, b.info->place_count, turned ? WM_USE_READ : WM_USE_WRITTEN);
    if (!turned && (stmt->of->like || !r->target_known)) /* else the declared names bind them */
        check_bound(&b, 0, 0);
    find_axes(&b);
    if (stmt->of->like && !turned &&
        (!wm_make_pattern(r, c->scope, stmt->of->like, WM_USE_READ, &b.vars, &fill->like, NULL) ||
         !can_solve(r, &fill->like, &b.vars)))
        b.ok = false;
    for (size_t i = 0; i < b.info->right_count; i++)
        make_target(&b, i, turned ? WM_USE_READ : WM_USE_WRITTEN);
    end_line(&b);
    wm_stamp_round(r, c, before);
}

/* `if all c`: the drop is also a place that the layout pass and those behind it look at. */
static void make_guard(builder *b, const wm_const *constant)
{
    wm_else *all = wm_new(b->r->unit->arena, wm_else, 1);
    wm_term *place = wm_new(b->r->unit->arena, wm_term, 1);
    all->span = constant->span;
    make_constant(b, constant, &all->value);
    b->line.all = all;
    place->span = b->line.dropped->span;
    place->name = *b->line.dropped;
    place->layout = whole_tensor(b->r, place->span);
    b->line.left = place;
    b->line.left_count = 1;
}

void wm_add_drop(wm_resolver *r, const wm_context *c, const wm_stmt *stmt)
{
    for (const struct wm_string_list *s = stmt->of->strings; s; s = s->next) {
        builder b = {.r = r, .c = c, .line = new_line(r, c, WM_LINE_DROP, stmt->span), .ok = !c->poison};
        wm_pattern *pattern = wm_new(r->unit->arena, wm_pattern, 1);
        bool ok = wm_note_vars(r, c->scope, s->string, WM_USE_LOOKED, &b.vars) &&
                  wm_make_pattern(r, c->scope, s->string, WM_USE_LOOKED, &b.vars, pattern, NULL) &&
                  can_solve(r, pattern, &b.vars);
        b.line.dropped = ok ? pattern : NULL; /* what a bad pattern means is not known */
        b.line.vars = b.vars.items;
        b.line.var_count = (uint32_t)b.vars.count;
        if (ok && stmt->of->constant)
            make_guard(&b, stmt->of->constant);
        b.line.poisoned = !ok || !b.ok;
        wm_add_line(r, c, &b.line);
    }
}
