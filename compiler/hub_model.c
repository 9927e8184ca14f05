/* hub_model.c: which model a call means. Finds the architecture, or the instance of one, and the model with
 * its parents; binds their parameters, and lists their statements with the scopes in which they stand. */
#include <string.h>

#include "compiler/hub.h"

/* ---- finding ---- */

static wm_qname *joined_name(wm_hub *h, const wm_word *first, const wm_word *end, wm_str last)
{
    wm_qname *name = wm_new(h->arena, wm_qname, 1);
    wm_word **tail = &name->parts;
    for (const wm_word *w = first; w != end; w = w->next) {
        wm_word *copy = wm_new(h->arena, wm_word, 1);
        copy->text = w->text;
        copy->span = w->span;
        *tail = name->last = copy;
        tail = &copy->next;
    }
    if (last.len) {
        wm_word *word = wm_new(h->arena, wm_word, 1);
        word->text = last;
        *tail = name->last = word;
    }
    return name;
}

const wm_decl *wm_hub_base(wm_hub *h, const wm_decl *decl, wm_givens *givens)
{
    for (uint32_t depth = 0; decl->item->chain; depth++) {
        const wm_call *call = decl->item->chain;
        const wm_decl *next = wm_file_find(h->arena, decl->file, call->name, false);
        if (!next || next->item->kind != WM_IT_ARCH) {
            wm_error(h->r->unit, WM_E0126, call->name->span, "there is no architecture %s",
                     wm_quote(h->r->unit, wm_qname_text(h->arena, call->name)));
            return NULL;
        }
        if (depth > WM_HUB_DEPTH) {
            wm_error(h->r->unit, WM_E0902, decl->span, "instances are more than %d deep", WM_HUB_DEPTH);
            return NULL;
        }
        if (!wm_hub_give(h, decl->file->scope, call, givens))
            return NULL;
        decl = next;
    }
    return decl;
}

/* A model of an architecture: of the instance itself, else of what it is an instance of. */
static const wm_decl *model_of(wm_hub *h, const wm_decl *named, const wm_decl *base, const wm_word *model)
{
    const wm_decl *archs[2] = {named, base};
    for (int i = 0; i < 2; i++) {
        const wm_file *files[3] = {h->file, named->file, base->file};
        wm_word arch = {.text = archs[i]->name};
        for (int f = 0; f < 3; f++) {
            const wm_decl *decl =
                wm_file_find(h->arena, files[f], joined_name(h, &arch, NULL, model->text), false);
            if (decl && decl->item->kind == WM_IT_MODEL && decl->item->of_hub)
                return decl;
        }
    }
    return NULL;
}

static void no_model(wm_hub *h, const wm_decl *named, const wm_decl *base, const wm_word *model)
{
    wm_diag *d = wm_error(h->r->unit, WM_E0126, model->span, "%s has no model %s",
                          wm_quote(h->r->unit, named->name), wm_quote(h->r->unit, model->text));
    const wm_file *files[2] = {h->file, base->file};
    size_t said = 0;
    for (int f = 0; f < (files[0] == files[1] ? 1 : 2); f++)
        for (size_t i = 0; i < files[f]->decl_count && said < 10; i++) {
            const wm_decl *decl = files[f]->decls[i];
            if (decl->item->kind == WM_IT_MODEL && decl->item->of_hub &&
                wm_str_eq(decl->item->qname->parts->text, base->name)) {
                wm_diag_note(h->r->unit, d, "it has %s", wm_quote(h->r->unit, decl->item->qname->last->text));
                said++;
            }
        }
}

/* The architecture that all but the last word name. */
static const wm_decl *arch_of(wm_hub *h, const wm_file *file, const wm_call *call)
{
    const wm_word *last = call->name->parts;
    while (last->next)
        last = last->next;
    wm_qname *name = joined_name(h, call->name->parts, last, (wm_str){NULL, 0});
    const wm_decl *decl = wm_file_find(h->arena, file, name, false);
    if (decl && decl->item->kind == WM_IT_ARCH)
        return decl;
    wm_str text = wm_qname_text(h->arena, name);
    wm_diag *d = wm_error(h->r->unit, WM_E0126, call->name->span, "there is no architecture %s",
                          wm_quote(h->r->unit, text));
    wm_suggest_decl(h->r, d, file, text, WM_IT_ARCH);
    return NULL;
}

wm_hub_model *wm_hub_open_model(wm_hub *h, const wm_call *call, const wm_scope *caller, wm_givens *givens)
{
    const wm_word *last = call->name->parts;
    while (last->next)
        last = last->next;
    bool alone = last == call->name->parts;
    const wm_decl *named = alone && h->named ? h->named : NULL;
    if (alone && !named) {
        wm_diag *d = wm_error(h->r->unit, WM_E0126, call->name->span,
                              "a model is called by its architecture and its name");
        wm_diag_hint(h->r->unit, d, "as in `vgg16.%.*s`", (int)last->text.len, last->text.p);
        return NULL;
    }
    if (!named)
        named = arch_of(h, h->file, call);
    if (!named || !wm_hub_give(h, caller, call, givens))
        return NULL;
    const wm_decl *base = wm_hub_base(h, named, givens);
    if (!base)
        return NULL;
    const wm_decl *decl = model_of(h, named, base, last);
    if (!decl) {
        no_model(h, named, base, last);
        return NULL;
    }
    if (h->named && h->named != named) {
        wm_diag *d = wm_error(h->r->unit, WM_E1015, call->name->span,
                              "no map is derived from %s to %s: two architectures",
                              wm_quote(h->r->unit, h->named->name), wm_quote(h->r->unit, named->name));
        wm_diag_also(h->r->unit, d, h->named->span, "the one");
        wm_diag_also(h->r->unit, d, named->span, "the other");
        return NULL;
    }
    h->named = named;
    h->arch = base;
    wm_hub_model *model = wm_new(h->arena, wm_hub_model, 1);
    model->decl = decl;
    model->name = wm_format_text(h->arena, "%.*s.%.*s", (int)named->name.len, named->name.p,
                                 (int)last->text.len, last->text.p);
    model->span = call->name->span;
    return model;
}

/* ---- scopes and statements ---- */

/* The parent of a model; NULL with `*bad` set: reported. */
static const wm_decl *parent_of(wm_hub *h, const wm_decl *decl, bool *bad)
{
    const wm_call *from = decl->item->from;
    if (!from)
        return NULL;
    const wm_decl *parent = wm_file_find(h->arena, decl->file, from->name, false);
    if (parent && parent->item->kind == WM_IT_MODEL && parent->item->of_hub)
        return parent;
    wm_str text = wm_qname_text(h->arena, from->name);
    wm_diag *d = wm_error(h->r->unit, WM_E0126, from->name->span, "there is no model %s of an architecture",
                          wm_quote(h->r->unit, text));
    wm_suggest_decl(h->r, d, decl->file, text, WM_IT_MODEL);
    *bad = true;
    return NULL;
}

static void add_items(wm_hub *h, wm_scope *scope, const wm_named *items, uint32_t count)
{
    wm_named *all = wm_new(h->arena, wm_named, scope->count + count);
    for (uint32_t i = 0; i < count; i++)
        all[i] = items[i];
    for (uint32_t i = 0; i < scope->count; i++)
        all[count + i] = scope->items[i];
    scope->items = all;
    scope->count += count;
}

/* Statements of a model, without its conditions and loops. */
static void list_lines(wm_hub *h, const wm_stmt *stmts, wm_scope *lets, const wm_scope *scope, uint32_t level,
                       wm_hub_lines *out);

typedef struct looping {
    wm_hub *h;
    uint32_t level;
    wm_hub_lines *out;
} looping;

static void line_round(wm_resolver *r, const wm_context *c, const wm_stmt *loop, void *user)
{
    looping *l = user;
    (void)r;
    list_lines(l->h, loop->of->body, NULL, c->scope, l->level, l->out);
}

static void list_lines(wm_hub *h, const wm_stmt *stmts, wm_scope *lets, const wm_scope *scope, uint32_t level,
                       wm_hub_lines *out)
{
    for (const wm_stmt *s = stmts; s && !h->r->spent; s = s->next) {
        wm_context c = {.scope = scope, .file = h->file, .round = ""};
        if (s->kind == WM_ST_HUB && s->of->hub->kind == WM_HS_LET) {
            const wm_scope *inner = wm_hub_let_scope(h, scope, s->of->hub);
            if (lets)
                add_items(h, lets, inner->items, 1);
            else
                scope = inner;
        } else if (s->kind == WM_ST_HUB) {
            wm_hub_line *line = wm_push(h->arena, out->items, out->count, out->cap);
            *line = (wm_hub_line){.stmt = s->of->hub, .scope = scope, .level = level};
        } else if (s->kind == WM_ST_IF) {
            bool value = false;
            wm_evaluated done = wm_condition(h->r, &c, s->of->expr, &value);
            if (done == WM_EVAL_OK)
                list_lines(h, value ? s->of->body : s->of->otherwise, NULL, scope, level, out);
            else if (done == WM_EVAL_UNKNOWN)
                wm_error(h->r->unit, WM_E0314, s->of->expr->span,
                         "this condition needs values that are known");
            h->failed |= done != WM_EVAL_OK;
        } else if (s->kind == WM_ST_FOR && !s->of->string) {
            looping l = {h, level, out};
            wm_each_round(h->r, &c, s, line_round, &l);
        } else {
            wm_error(h->r->unit, WM_E0142, s->span,
                     "a model of an architecture cannot ask for the names of a file");
            h->failed = true;
        }
    }
}

void wm_hub_list_lines(wm_hub *h, const wm_stmt *stmts, const wm_scope *scope, uint32_t level,
                       wm_hub_lines *out)
{
    list_lines(h, stmts, NULL, scope, level, out);
}

/* Binds a model below its parents: the values that all of them have are seen by each. */
static bool open_level(wm_hub *h, wm_hub_model *m, const wm_decl *decl, wm_givens *givens, uint32_t level,
                       wm_scope *shared)
{
    bool ok = true;
    if (level > WM_HUB_DEPTH) {
        wm_error(h->r->unit, WM_E0902, decl->span, "models inherit from each other more than %d deep",
                 WM_HUB_DEPTH);
        return false;
    }
    wm_scope *own = wm_hub_bind(h, decl, givens, shared->up, m->span, WM_E1010);
    if (!own)
        return false;
    bool bad = false;
    const wm_decl *parent = parent_of(h, decl, &bad);
    if (bad)
        return false;
    if (parent) {
        if (!wm_hub_give(h, own, decl->item->from, givens) ||
            !open_level(h, m, parent, givens, level + 1, shared))
            return false;
    }
    add_items(h, shared, own->items, own->count);
    wm_scope *scope = wm_new(h->arena, wm_scope, 1);
    *scope = (wm_scope){.up = decl->file->scope, .items = shared->items, .count = shared->count};
    if (decl->item->dialect) {
        m->dialect = wm_hub_dialect(h, decl->file, scope, decl->item->dialect, decl->item->dialect->span);
        ok &= m->dialect != NULL;
    }
    uint32_t before = scope->count;
    list_lines(h, decl->item->body, scope, scope, level, &m->lines);
    add_items(h, shared, scope->items, scope->count - before);
    return ok && !h->failed;
}

bool wm_hub_open_arch(wm_hub *h, wm_givens *givens, wm_span at)
{
    wm_scope *scope = wm_hub_bind(h, h->arch, givens, h->arch->file->scope, at, WM_E0131);
    h->scope = scope;
    return scope != NULL;
}

/* Opens a model and its parents. Its templates see the parameters of the architecture, and its `let`s. */
static bool open_levels(wm_hub *h, wm_hub_model *m, wm_givens *givens, const wm_decl *arch,
                        const wm_scope *scope, uint32_t level)
{
    wm_scope shared = {.up = scope};
    add_items(h, &shared, scope->items, scope->count);
    for (const wm_stmt *s = arch->item->body; s; s = s->next)
        if (s->kind == WM_ST_HUB && s->of->hub->kind == WM_HS_LET) {
            scope = wm_hub_let_scope(h, scope, s->of->hub);
            add_items(h, &shared, scope->items, 1);
        }
    if (!open_level(h, m, m->decl, givens, level, &shared)) {
        h->failed = true;
        return false;
    }
    if (!m->dialect) {
        wm_error(h->r->unit, WM_E0126, m->decl->span, "the model %s names no dialect",
                 wm_quote(h->r->unit, m->decl->name));
        h->failed = true;
    }
    return m->dialect != NULL;
}

bool wm_hub_open_levels(wm_hub *h, wm_hub_model *m, wm_givens *givens)
{
    return open_levels(h, m, givens, h->arch, h->scope, 0);
}

const wm_hub_model *wm_hub_open_below(wm_hub *h, const wm_call *call, const wm_scope *caller,
                                      const wm_member *m, uint32_t level)
{
    const wm_word *last = call->name->parts;
    while (last->next)
        last = last->next;
    wm_givens givens = {0};
    if (m->layer || m->block->item->kind != WM_IT_ARCH) {
        wm_diag *d =
            wm_error(h->r->unit, WM_E1015, call->name->span, "`%s` is a %s: only an architecture has models",
                     wm_member_text(h, m), m->layer ? "layer" : "block");
        wm_diag_also(h->r->unit, d, m->span, "the member");
        return NULL;
    }
    const wm_decl *named = last == call->name->parts ? m->named : arch_of(h, m->parent->block->file, call);
    wm_givens unused = {0};
    const wm_decl *base = named ? wm_hub_base(h, named, &unused) : NULL;
    if (!base || !wm_hub_give(h, caller, call, &givens))
        return NULL;
    if (base != m->block) {
        wm_diag *d =
            wm_error(h->r->unit, WM_E1015, call->name->span, "`%s` is %s, not %s", wm_member_text(h, m),
                     wm_quote(h->r->unit, m->block->name), wm_quote(h->r->unit, base->name));
        wm_diag_also(h->r->unit, d, m->span, "the member");
        return NULL;
    }
    const wm_decl *decl = model_of(h, named, base, last);
    if (!decl) {
        no_model(h, named, base, last);
        return NULL;
    }
    wm_hub_model *model = wm_new(h->arena, wm_hub_model, 1);
    *model = (wm_hub_model){.decl = decl, .span = call->name->span};
    model->name = wm_format_text(h->arena, "%.*s.%.*s", (int)base->name.len, base->name.p,
                                 (int)last->text.len, last->text.p);
    return open_levels(h, model, &givens, base, m->inner, level) && wm_hub_all_used(h, &givens, decl) ? model
                                                                                                      : NULL;
}
