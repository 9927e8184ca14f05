/* resolve.c: the driver of resolve. Receives the tree of a spec; gives the lines of one map: loads files and
 * values, chooses the map, makes its models, and walks its statements. */
#include "compiler/resolve.h"

#include <string.h>

#include "compiler/hub.h"

static bool needs_nothing(const wm_decl *decl)
{
    for (const wm_param *p = decl->item->params; p; p = p->next)
        if (!p->value)
            return false;
    return true;
}

/* --map NAME, which may be an imported one's. */
static const wm_decl *named_map(wm_resolver *r, const wm_file *file, const char *text)
{
    wm_arena *arena = r->unit->arena;
    wm_word *words = NULL, **tail = &words;
    for (const char *p = text; p;) {
        const char *dot = strchr(p, '.');
        wm_word *w = wm_new(arena, wm_word, 1);
        w->text = (wm_str){p, (uint32_t)(dot ? (size_t)(dot - p) : strlen(p))};
        *tail = w;
        tail = &w->next;
        p = dot ? dot + 1 : NULL;
    }
    wm_qname name = {.parts = words};
    const wm_decl *decl = wm_file_find(arena, file, &name, false);
    if (decl && decl->item->kind == WM_IT_MAP)
        return decl;
    wm_str whole = {text, (uint32_t)strlen(text)};
    wm_diag *d = wm_error(r->unit, WM_E0126, WM_NOWHERE, "there is no map %s", wm_quote(r->unit, whole));
    wm_suggest_decl(r, d, file, whole, WM_IT_MAP);
    return NULL;
}

static void which_map(wm_resolver *r, const wm_file *file, size_t maps)
{
    if (file->ast->failed) /* it may be in what could not be read */
        return;
    wm_diag *d = maps ? wm_error(r->unit, WM_E0127, WM_NOWHERE, "which of the maps of this file is meant?")
                      : wm_error(r->unit, WM_E0127, WM_NOWHERE, "this file has no map to run");
    size_t said = 0;
    for (size_t i = 0; i < file->decl_count && said < 8; i++) {
        const wm_decl *decl = file->decls[i];
        if (decl->file != file || decl->item->kind != WM_IT_MAP)
            continue;
        said++;
        wm_diag_note(r->unit, d, "%s%s", wm_quote(r->unit, decl->name),
                     needs_nothing(decl) ? "" : " (has parameters without a default)");
    }
    if (maps > said)
        wm_diag_note(r->unit, d, "and %zu more", maps - said);
    wm_diag_hint(r->unit, d,
                 maps ? "choose one with `--map`, or call it `main`" : "a map is written `map main { ... }`");
}

/* The map to run; NULL: reported. */
static const wm_decl *choose_map(wm_resolver *r, const wm_file *file)
{
    if (r->options->map)
        return named_map(r, file, r->options->map);
    const wm_decl *only = NULL, *main = NULL;
    size_t free = 0, maps = 0;
    for (size_t i = 0; i < file->decl_count; i++) {
        const wm_decl *decl = file->decls[i];
        if (decl->file != file || decl->item->kind != WM_IT_MAP)
            continue;
        maps++;
        if (needs_nothing(decl)) {
            only = decl;
            free++;
        }
        if (wm_str_eq(decl->name, WM_STR("main")))
            main = decl;
    }
    if (free == 1)
        return only;
    if (main)
        return main;
    if (maps || !wm_hub_check_file(r, file))
        which_map(r, file, maps);
    return NULL;
}

static wm_names *model_names(wm_resolver *r, const wm_model *model)
{
    wm_str *names = wm_new(r->unit->arena, wm_str, model->count);
    for (size_t i = 0; i < model->count; i++)
        names[i] = model->tensors[i].name;
    return wm_names_index(r->unit, names, model->count);
}

/* In reverse, names of the side that is written can be asked for if it is declared; if nothing is known at
 * all, it stays open. */
static void walk_body(wm_resolver *r, const wm_context *c, const wm_stmt *body)
{
    wm_program *p = r->program;
    size_t statements = 0;
    for (const wm_stmt *s = body; s; s = s->next)
        statements++;
    p->lines = wm_grow(r->unit->arena, p->lines, p->count, statements, &p->cap, sizeof *p->lines);
    r->world.undeclared = r->reverse && r->read && !r->world.names;
    wm_walk(r, c, body);
}

/* ---- the hub ---- */

/* A call of the command line. NULL: reported. */
const wm_call *wm_option_call(wm_resolver *r, const char *flag, const char *text)
{
    uint32_t source = wm_add_source(r->unit, flag, text, strlen(text));
    r->unit->sources[source]->option = true;
    const wm_call *call = wm_parse_call(r->unit, source);
    if (!call) {
        wm_error(r->unit, WM_E0110, (wm_span){source, 0, (uint32_t)strlen(text)},
                 "expected a model, as in `vgg16.keras (classes = 10)`");
    }
    return call;
}

/* "top, fc" */
static const wm_word *option_words(wm_resolver *r, const char *flag, const char *text)
{
    wm_word *first = NULL, **tail = &first;
    if (!text)
        return NULL;
    uint32_t source = wm_add_source(r->unit, flag, text, strlen(text));
    r->unit->sources[source]->option = true;
    for (const char *p = text; *p;) {
        size_t len = strcspn(p, ", ");
        if (len) {
            *tail = wm_new(r->unit->arena, wm_word, 1);
            **tail = (wm_word){.text = {p, (uint32_t)len},
                               .span = {source, (uint32_t)(p - text), (uint32_t)(p - text) + (uint32_t)len}};
            tail = &(*tail)->next;
        }
        p += len + (p[len] != 0);
    }
    return first;
}

static bool has_derive(const wm_stmt *s)
{
    for (; s; s = s->next)
        if (s->kind == WM_ST_DERIVE || (s->of && (has_derive(s->of->body) || has_derive(s->of->otherwise))))
            return true;
    return false;
}

/* What the hub makes of two models joins the map. Its names were resolved where they stand. */
static void derive(wm_resolver *r, wm_hub_wish *wish)
{
    wm_program *program = r->program;
    wm_buffer text = {.arena = r->unit->arena};
    if (r->reverse) {
        const wm_call *from = wish->from;
        wish->from = wish->to;
        wish->to = from;
    }
    wish->text = &text;
    wm_stmt *stmts = wm_hub_run(r, wish);
    program->text = text.text;
    program->text_len = text.len;
    if (program->failed)
        return;
    wm_scope *empty = wm_new(r->unit->arena, wm_scope, 1);
    wm_context c = {
        .scope = empty, .file = wish->file, .round = "", .direction = r->reverse ? WM_REVERSE : WM_FORWARD};
    c.derived = true;
    if (stmts)
        wm_walk(r, &c, stmts);
}

static void derive_in_map(wm_resolver *r, const wm_context *c, const wm_item *item)
{
    const wm_stmt *stmt = r->deriving.stmt;
    if (!stmt || r->program->failed)
        return;
    if (!item || !wm_hub_is_model(r, c->file, item->from) || !wm_hub_is_model(r, c->file, item->to)) {
        wm_diag *d = wm_error(
            r->unit, WM_E1015, stmt->span,
            "nothing can be derived: the map's `from` and `to` are not two models of an architecture");
        if (item)
            wm_diag_also(r->unit, d, r->program->span, "the map");
        r->program->failed = true;
        return;
    }
    wm_hub_wish wish = {
        .file = c->file, .scope = c->scope, .from = item->from, .to = item->to, .without = stmt->of->words};
    derive(r, &wish);
}

/* --from A --to B, without a map. */
static void derive_for_options(wm_resolver *r, const wm_file *file)
{
    wm_hub_wish wish = {.file = file, .scope = file->scope};
    const wmap_compile_options *o = r->options;
    wish.from = wm_option_call(r, "--from", o->from);
    wish.to = wm_option_call(r, "--to", o->to);
    wish.without = option_words(r, "--without", o->without);
    wish.only = option_words(r, "--only", o->only);
    r->program->map = WM_STR("derived");
    if (wish.from && wish.to)
        derive(r, &wish);
    else
        r->program->failed = true;
}

/* ---- the stages of a map ---- */

/* `decl` as part of a chain; NULL: reported. */
static const wm_decl *chained_map(wm_resolver *r, const wm_decl *chain, const wm_call *part)
{
    const wm_file *file = chain->file;
    wm_str name = wm_qname_text(r->unit->arena, part->name);
    const wm_decl *decl = wm_file_find(r->unit->arena, file, part->name, false);
    if (decl && decl->item->kind == WM_IT_MAP)
        return decl;
    if (!decl && file->ast->failed) /* it may stand in what could not be read */
        return NULL;
    wm_diag *d = wm_error(r->unit, WM_E0126, part->name->span,
                          decl ? "%s is a model, not a map" : "there is no map %s", wm_quote(r->unit, name));
    if (!decl)
        wm_suggest_decl(r, d, file, name, WM_IT_MAP);
    return NULL;
}

static bool is_around(wm_resolver *r, const struct wm_used *used, const wm_decl *decl, wm_span span)
{
    for (const struct wm_used *u = used; u; u = u->up) {
        if (u->map != decl)
            continue;
        wm_diag *d = wm_error(r->unit, WM_E0133, span, "the map %s is a part of itself",
                              wm_quote(r->unit, decl->name));
        wm_diag_also(r->unit, d, decl->span, "declared here");
        return true;
    }
    return false;
}

/* Appends what `map` runs, one after the other. `call`: what names it and gives it arguments, NULL if that
 * was the command line. Recurses at most as deep as maps may use each other. False: reported. */
static bool add_stages(wm_resolver *r, wm_stage stage, const struct wm_used *around, uint32_t depth)
{
    const wm_decl *map = stage.map;
    struct wm_used used = {map, around};
    if (!map->item->chain) {
        if (r->stage_count < WM_MAX_STAGES) {
            *wm_push(r->unit->arena, r->stages, r->stage_count, r->stage_cap) = stage;
            return true;
        }
        wm_error(r->unit, WM_E0901, stage.at, "a chain of more than %d maps", WM_MAX_STAGES);
        return false;
    }
    if (depth >= WM_MAX_USES) {
        wm_error(r->unit, WM_E0902, stage.at, "chains are parts of each other more than %d deep",
                 WM_MAX_USES);
        return false;
    }
    const wm_scope *scope = wm_bind_arguments(r, stage.caller, map, stage.call, stage.at);
    bool ok = scope != NULL;
    for (const wm_call *part = map->item->chain; part && ok; part = part->next) {
        const wm_decl *decl = chained_map(r, map, part);
        wm_stage inner = {.map = decl, .call = part, .caller = scope, .at = part->span};
        ok = decl && !is_around(r, &used, decl, part->span) && add_stages(r, inner, &used, depth + 1);
    }
    return ok;
}

/* Backwards the last one runs first. */
static void turn_stages(wm_resolver *r)
{
    for (size_t i = 0, k = r->stage_count; i + 1 < k; i++) {
        wm_stage first = r->stages[i];
        r->stages[i] = r->stages[--k];
        r->stages[k] = first;
    }
}

/* One map of statements: its models, then its lines. */
static void walk_stage(wm_resolver *r, const wm_stage *stage)
{
    wm_program *program = r->program;
    const wm_decl *map = stage->map;
    const wm_item *item = map->item;
    struct wm_used used = {map, NULL};
    wm_context c = {.scope = stage->caller, .file = map->file, .round = "", .used = &used};
    program->map = map->name;
    program->span = map->span;
    c.scope = wm_bind_arguments(r, stage->caller, map, stage->call, stage->at);
    if (!c.scope) {
        program->failed = true;
        return;
    }
    const wm_call *source = r->reverse ? item->to : item->from, *target = r->reverse ? item->from : item->to;
    bool hub = wm_hub_is_model(r, map->file, source) && wm_hub_is_model(r, map->file, target) &&
               has_derive(item->body);
    if (source && !hub)
        program->source = wm_make_model(r, &c, source, true);
    if (target && !hub)
        program->target = wm_make_model(r, &c, target, false);
    r->target_known = program->target || (r->written && !program->then);
    if (!r->read && program->source)
        r->read = model_names(r, program->source);
    const wm_model *asked = r->reverse ? program->target : program->source;
    if (!r->world.names && asked) {
        r->world.names = r->reverse ? model_names(r, asked) : r->read;
        wm_compute_values(r);
        c.scope = wm_bind_arguments(r, stage->caller, map, stage->call, stage->at);
    }
    if (c.scope) {
        walk_body(r, &c, item->body);
        derive_in_map(r, &c, item);
    } else {
        program->failed = true;
    }
}

/* The program of stage `number`, which is told the names that it reads. */
static wm_program *make_stage(wm_resolver *r, size_t number, wm_names *read)
{
    wm_program *program = wm_new(r->unit->arena, wm_program, 1);
    *program = (wm_program){.map = WM_STR(""), .span = WM_NOWHERE, .file = r->files[0]->source};
    program->resolver = r;
    program->stage = number;
    program->then = number + 1 < r->stage_count;
    r->program = program;
    r->deriving = (wm_deriving){0};
    r->read = read;
    r->world.names = !r->reverse ? read : program->then ? NULL : r->written;
    return program;
}

static wm_resolver *new_resolver(wm_unit *unit, const wmap_compile_options *options)
{
    wm_resolver *r = wm_new(unit->arena, wm_resolver, 1);
    r->unit = unit;
    r->options = options;
    r->reverse = options->reverse;
    wm_map_init(&r->info_map, unit->arena, 0);
    return r;
}

wm_tests *wm_resolve_tests(wm_unit *unit, uint32_t file, const wm_ast *ast,
                           const wmap_compile_options *options)
{
    wm_resolver *r = new_resolver(unit, options);
    const wm_file *main = wm_load(r, file, ast);
    wm_tests *tests = wm_make_tests(r, main);
    wm_list_tested_rules(r, main, tests);
    return tests;
}

wm_program *wm_resolve(wm_unit *unit, uint32_t file, const wm_ast *ast, const wmap_compile_options *options,
                       wm_names *read, wm_names *written)
{
    wm_resolver *r = new_resolver(unit, options);
    wm_program *program = wm_new(unit->arena, wm_program, 1);
    r->read = read;
    r->written = written;
    r->world.names = r->reverse ? written : read;
    r->program = program;
    r->target_known = written != NULL;
    program->file = file;
    program->map = WM_STR("");
    program->span = WM_NOWHERE;
    const wm_file *main = wm_load(r, file, ast);
    if (unit->sources[file]->rules_only) {
        wm_context c = {.scope = main->scope, .file = main, .round = ""};
        walk_body(r, &c, ast->rules);
        derive_in_map(r, &c, NULL);
        return program;
    }
    if (options->as) {
        wm_hub_check(r, main, options->as);
        program->failed = true; /* there is no map */
        return program;
    }
    if (options->from) {
        if (ast->failed)
            program->failed = true;
        else
            derive_for_options(r, main);
        return program;
    }
    const wm_item *test = wm_find_test(ast, options->test);
    if (!options->test)
        wm_make_tests(r, main);
    const wm_decl *map = test ? wm_tested_map(r, main, test) : choose_map(r, main);
    wm_stage whole = {.map = map, .call = test ? test->of : NULL, .caller = main->scope};
    program->failed = !map;
    if (map) {
        whole.at = whole.call ? whole.call->span : map->span;
        if (add_stages(r, whole, NULL, 0)) {
            if (r->reverse)
                turn_stages(r);
            program = make_stage(r, 0, read);
            walk_stage(r, &r->stages[0]);
        } else {
            program->failed = true;
        }
    }
    return program;
}

wm_program *wm_resolve_then(const wm_program *before, wm_names *read, const wmap_compile_options *options)
{
    wm_resolver *r = before->resolver;
    r->options = options;
    wm_program *program = make_stage(r, before->stage + 1, read);
    walk_stage(r, &r->stages[program->stage]);
    return program;
}
