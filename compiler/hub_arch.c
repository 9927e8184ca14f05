/* hub_arch.c: which layers a network has. Expands an architecture: loops and conditions are unrolled, blocks
 * put in place, each member gets its kind and its extents. */
#include <string.h>

#include "compiler/hub.h"

bool wm_hub_step(wm_hub *h, uint64_t steps, wm_span at)
{
    h->steps += steps;
    if (h->steps <= WM_HUB_STEPS)
        return true;
    if (!h->r->spent)
        wm_error(h->r->unit, WM_E0901, at, "this architecture and its models are too large to derive a map");
    h->r->spent = h->failed = true;
    return false;
}

/* ---- arguments ---- */

bool wm_hub_give(wm_hub *h, const wm_scope *caller, const wm_call *call, wm_givens *givens)
{
    size_t before = givens->count;
    for (const wm_arg *a = call ? call->args : NULL; a; a = a->next) {
        bool inner = false;
        for (size_t i = 0; i < givens->count; i++) {
            if (!wm_str_eq(givens->items[i].name->text, a->name->text))
                continue;
            inner = i < before; /* what the caller says counts, not the default of what it calls */
            if (inner)
                continue;
            wm_diag *d = wm_error(h->r->unit, WM_E0130, a->name->span, "the argument %s is given twice",
                                  wm_quote(h->r->unit, a->name->text));
            wm_diag_also(h->r->unit, d, givens->items[i].name->span, "the first");
            return false;
        }
        if (inner)
            continue;
        wm_given given = {.name = a->name};
        wm_evaluated done = wm_eval(h->r->unit, caller, NULL, a->value, &given.value);
        if (done == WM_EVAL_ERROR)
            return false;
        given.state = done == WM_EVAL_OK ? WM_DECL_DONE : WM_DECL_UNKNOWN;
        *wm_push(h->arena, givens->items, givens->count, givens->cap) = given;
    }
    return true;
}

wm_scope *wm_hub_bind(wm_hub *h, const wm_decl *decl, wm_givens *givens, const wm_scope *up, wm_span at,
                      wm_diag_id id)
{
    uint32_t count = 0;
    for (const wm_param *p = decl->item->params; p; p = p->next)
        count++;
    wm_scope *scope = wm_new(h->arena, wm_scope, 1);
    wm_named *items = wm_new(h->arena, wm_named, count);
    *scope = (wm_scope){.up = up, .items = items};
    for (const wm_param *p = decl->item->params; p; p = p->next) {
        wm_named *n = &items[scope->count];
        *n = (wm_named){.name = p->name->text, .span = p->name->span, .state = WM_DECL_FAILED};
        wm_given *given = NULL;
        for (size_t i = 0; i < givens->count && !given; i++)
            if (wm_str_eq(givens->items[i].name->text, n->name))
                given = &givens->items[i];
        if (given) {
            given->used = true;
            n->value = given->value;
            n->state = given->state;
        } else if (p->value) {
            wm_evaluated done = wm_eval(h->r->unit, scope, NULL, p->value, &n->value);
            if (done == WM_EVAL_ERROR)
                return NULL;
            n->state = done == WM_EVAL_OK ? WM_DECL_DONE : WM_DECL_UNKNOWN;
        } else {
            wm_diag *d = wm_error(h->r->unit, id, at, "parameter %s of %s has no value",
                                  wm_quote(h->r->unit, n->name), wm_quote(h->r->unit, decl->name));
            wm_diag_also(h->r->unit, d, n->span, "declared here, without a default");
            return NULL;
        }
        scope->count++;
    }
    return scope;
}

bool wm_hub_all_used(wm_hub *h, const wm_givens *givens, const wm_decl *decl)
{
    for (size_t i = 0; i < givens->count; i++) {
        const wm_given *g = &givens->items[i];
        if (g->used)
            continue;
        wm_diag *d = wm_error(h->r->unit, WM_E0129, g->name->span, "%s has no parameter %s",
                              wm_quote(h->r->unit, decl->name), wm_quote(h->r->unit, g->name->text));
        wm_diag_also(h->r->unit, d, decl->span, "declared here");
        wm_near near;
        wm_near_init(&near, g->name->text);
        const wm_decl *both[2] = {decl, decl == h->arch ? NULL : h->arch};
        for (int b = 0; b < 2 && both[b]; b++)
            for (const wm_param *p = both[b]->item->params; p; p = p->next)
                wm_near_try(&near, p->name->text);
        if (wm_near_found(&near))
            wm_diag_hint(h->r->unit, d, "did you mean %s?", wm_quote(h->r->unit, near.best));
        return false;
    }
    return true;
}

/* ---- kinds of layers ---- */

/* Files that this one imports, and what those import: a family names the dialects, which bring the kinds that
 * they place. */
static const wm_decl *find_layer(wm_hub *h, const wm_file *file, const wm_word *name)
{
    wm_qname qname = {.parts = (wm_word[]){{.text = name->text}}};
    const wm_decl *decl = wm_file_find(h->arena, file, &qname, false);
    if (decl && (decl->item->kind == WM_IT_LAYER || decl->item->kind == WM_IT_BLOCK ||
                 decl->item->kind == WM_IT_ARCH))
        return decl;
    for (size_t i = 0; i < h->r->file_count; i++)
        h->r->files[i]->seen = false;
    const wm_file **queue = wm_new(h->arena, const wm_file *, h->r->file_count + 1);
    size_t head = 0, tail = 0;
    queue[tail++] = file;
    while (head < tail) {
        const wm_file *f = queue[head++];
        decl = wm_file_find(h->arena, f, &qname, false);
        if (decl && decl->item->kind == WM_IT_LAYER)
            return decl;
        for (size_t i = 0; i < f->import_count; i++)
            if (!f->imports[i]->seen) {
                f->imports[i]->seen = true;
                queue[tail++] = f->imports[i];
            }
    }
    return NULL;
}

static void make_array(wm_hub *h, wm_hub_kind_of *kind, const struct wm_hub_stmt *s)
{
    for (size_t i = 0; i < kind->count; i++)
        if (wm_str_eq(kind->arrays[i].name, s->name->text)) {
            wm_diag *d = wm_error(h->r->unit, WM_E0123, s->name->span, "%s is defined twice",
                                  wm_quote(h->r->unit, s->name->text));
            wm_diag_also(h->r->unit, d, kind->arrays[i].span, "the first");
            kind->bad = true;
            return;
        }
    wm_hub_array a = {.name = s->name->text,
                      .span = s->name->span,
                      .layout = s->layout,
                      .neutral = s->constant,
                      .buffer = s->buffer,
                      .file = kind->decl->file,
                      .where = s->where};
    if (s->dtype && !wm_make_dtype(h->r, s->dtype, &a.dtype))
        kind->bad = true;
    for (const wm_factor *f = s->layout->factors; f; f = f->next)
        if (f->kind != WM_FA_AXIS && f->kind != WM_FA_LABELS) {
            wm_diag *d =
                wm_error(h->r->unit, WM_E1006, f->span, "a canonical layout holds axes and labels only");
            wm_diag_hint(h->r->unit, d, "groups, blocks and signs belong into the layouts of dialects");
            kind->bad = true;
        }
    *wm_push(h->arena, kind->arrays, kind->count, kind->cap) = a;
}

static const wm_hub_kind_of *kind_of(wm_hub *h, const wm_decl *decl)
{
    for (size_t i = 0; i < h->kind_count; i++)
        if (h->kinds[i]->decl == decl)
            return h->kinds[i];
    wm_hub_kind_of *kind = wm_new(h->arena, wm_hub_kind_of, 1);
    kind->decl = decl;
    *wm_push(h->arena, h->kinds, h->kind_count, h->kind_cap) = kind;
    for (const wm_stmt *s = decl->item->body; s; s = s->next)
        if (s->of->hub->kind == WM_HS_ARRAY)
            make_array(h, kind, s->of->hub);
    h->failed |= kind->bad;
    return kind;
}

const wm_hub_kind_of *wm_hub_find_kind(wm_hub *h, const wm_file *file, const wm_word *name)
{
    const wm_decl *decl = find_layer(h, file, name);
    return decl && decl->item->kind == WM_IT_LAYER ? kind_of(h, decl) : NULL;
}

/* ---- members ---- */

const char *wm_member_text(wm_hub *h, const wm_member *m)
{
    wm_buffer b = {.arena = h->arena};
    const wm_member *path[WM_HUB_DEPTH + 2];
    uint32_t depth = 0;
    for (; m && m->parent && depth < WM_HUB_DEPTH + 2; m = m->parent)
        path[depth++] = m;
    wm_buffer_add(&b, "", 0);
    while (depth--) {
        m = path[depth];
        wm_buffer_add(&b, m->name.p, m->name.len);
        for (uint32_t i = 0; i < m->index_count; i++) {
            wm_buffer_add(&b, i ? "," : "[", 1);
            wm_buffer_int(&b, m->index[i]);
        }
        wm_buffer_add(&b, "]", m->index_count ? 1 : 0);
        wm_buffer_add(&b, ".", depth ? 1 : 0);
    }
    return wm_copy(h->arena, b.text ? b.text : "", b.len);
}

const char *wm_item_text(wm_hub *h, const wm_hub_item *item)
{
    const char *member = wm_member_text(h, item->member);
    if (!item->member->layer->decl)
        return member;
    return wm_format_text(h->arena, "%s.%.*s", member, (int)item->array->name.len, item->array->name.p);
}

typedef struct expander {
    wm_hub *h;
    wm_member *parent;
    wm_str part;
    uint32_t depth;
} expander;

static void walk_members(expander *e, const wm_context *c, const wm_stmt *stmts);

static const wm_hub_kind_of *bare_array(wm_hub *h, const struct wm_hub_stmt *s, const wm_context *c)
{
    wm_hub_kind_of *kind = wm_new(h->arena, wm_hub_kind_of, 1);
    *wm_push(h->arena, kind->arrays, kind->count, kind->cap) = (wm_hub_array){
        .name = s->members->name->text, .span = s->layout->span, .layout = s->layout, .file = c->file};
    return kind;
}

/* The parameters of an architecture that is a member, or of an instance of one; m->block becomes what it is
 * an instance of. NULL: reported. */
static const wm_scope *bind_network(wm_hub *h, wm_member *m, const wm_call *call, const wm_context *c)
{
    wm_givens givens = {0};
    const wm_decl *named = m->block;
    if (!wm_hub_give(h, c->scope, call, &givens))
        return NULL;
    m->block = wm_hub_base(h, named, &givens);
    if (!m->block)
        return NULL;
    const wm_scope *scope = wm_hub_bind(h, m->block, &givens, m->block->file->scope, call->span, WM_E0131);
    return scope && wm_hub_all_used(h, &givens, m->block) ? scope : NULL;
}

static void expand_block(expander *e, wm_member *m, const wm_decl *decl, const struct wm_hub_stmt *s,
                         const wm_context *c)
{
    wm_hub *h = e->h;
    m->block = m->named = decl;
    if (e->depth >= WM_HUB_DEPTH) {
        wm_error(h->r->unit, WM_E0902, s->span, "blocks are more than %d deep", WM_HUB_DEPTH);
        h->failed = h->r->spent = true;
        return;
    }
    wm_call call = {.args = s->args, .span = s->span};
    m->inner = decl->item->kind == WM_IT_ARCH ? bind_network(h, m, &call, c)
                                              : wm_bind_arguments(h->r, c->scope, decl, &call, s->span);
    if (!m->inner) {
        h->failed = true;
        return;
    }
    wm_context inner = *c;
    inner.scope = m->inner;
    inner.file = m->block->file;
    expander below = {h, m, e->part, e->depth + 1};
    walk_members(&below, &inner, m->block->item->body);
}

static bool member_index(expander *e, const wm_context *c, const wm_hub_name *name, wm_member *m)
{
    wm_hub *h = e->h;
    for (const wm_expr *x = name->indices; x; x = x->next)
        m->index_count++;
    m->index = wm_new(h->arena, int64_t, m->index_count);
    m->index_names = wm_new(h->arena, const wm_word *, m->index_count);
    uint32_t i = 0;
    for (const wm_expr *x = name->indices; x; x = x->next, i++) {
        wm_val value;
        wm_evaluated done = wm_eval(h->r->unit, c->scope, NULL, x, &value);
        if (done != WM_EVAL_OK || value.kind != WM_VAL_INT) {
            if (done != WM_EVAL_ERROR)
                wm_error(h->r->unit, WM_E0309, x->span, "an index is an integer that is known");
            h->failed = true;
            return false;
        }
        m->index[i] = value.i;
        if (x->kind == WM_EX_NAME && !x->name->parts->next)
            m->index_names[i] = x->name->parts;
    }
    return true;
}

static bool declared_twice(expander *e, const wm_member *m)
{
    wm_hub *h = e->h;
    const char *text = wm_member_text(h, m);
    uint32_t before = wm_map_put(&h->member_names, text, strlen(text), (uint32_t)h->member_count, NULL);
    if (before == WM_MAP_NONE) {
        *wm_push(h->arena, h->members, h->member_count, h->member_cap) = m;
        return false;
    }
    wm_diag *d = wm_error(h->r->unit, WM_E0123, m->span, "the member `%s` is defined twice", text);
    wm_diag_also(h->r->unit, d, h->members[before]->span, "the first");
    h->failed = true;
    return true;
}

static void add_member(expander *e, const wm_context *c, const struct wm_hub_stmt *s, const wm_hub_name *name)
{
    wm_hub *h = e->h;
    wm_member *m = wm_new(h->arena, wm_member, 1);
    *m = (wm_member){.parent = e->parent,
                     .name = name->name->text,
                     .span = name->span,
                     .part = e->part,
                     .presence = s->presence};
    if (!wm_hub_step(h, WM_HUB_MEMBER, s->span) || !member_index(e, c, name, m) || declared_twice(e, m))
        return;
    const wm_decl *decl = s->layout ? NULL : find_layer(h, c->file, s->name);
    if (!s->layout && !decl) {
        wm_diag *d = wm_error(h->r->unit, WM_E0126, s->name->span, "there is no layer or block %s",
                              wm_quote(h->r->unit, s->name->text));
        wm_suggest_decl(h->r, d, c->file, s->name->text, WM_IT_LAYER);
        h->failed = true;
        return;
    }
    *wm_push(h->arena, e->parent->children, e->parent->child_count, e->parent->child_cap) = m;
    if (decl && decl->item->kind != WM_IT_LAYER) {
        expand_block(e, m, decl, s, c);
        return;
    }
    m->layer = decl ? kind_of(h, decl) : bare_array(h, s, c);
    if (decl)
        wm_hub_make_axes(h, m, c->scope, s->args);
    else
        wm_hub_bare_axes(h, m, c->scope);
    uint64_t axes = m->axis_count;
    if (!wm_hub_step(h, m->layer->count * WM_HUB_MEMBER + axes * axes, s->span))
        return;
    m->items = wm_new(h->arena, wm_hub_item, m->layer->count);
    for (size_t a = 0; a < m->layer->count; a++)
        m->items[a] = (wm_hub_item){.member = m, .array = &m->layer->arrays[a]};
    *wm_push(h->arena, h->layers, h->layer_count, h->layer_cap) = m;
}

static void member_round(wm_resolver *r, const wm_context *c, const wm_stmt *loop, void *user)
{
    (void)r;
    walk_members(user, c, loop->of->body);
}

/* The scope of what follows a `let`. */
const wm_scope *wm_hub_let_scope(wm_hub *h, const wm_scope *scope, const struct wm_hub_stmt *s)
{
    wm_named *item = wm_new(h->arena, wm_named, 1);
    wm_scope *inner = wm_new(h->arena, wm_scope, 1);
    *item = (wm_named){.name = s->name->text, .span = s->name->span};
    wm_evaluated done = wm_eval(h->r->unit, scope, NULL, s->expr, &item->value);
    item->state = done == WM_EVAL_OK        ? WM_DECL_DONE
                  : done == WM_EVAL_UNKNOWN ? WM_DECL_UNKNOWN
                                            : WM_DECL_FAILED;
    h->failed |= done == WM_EVAL_ERROR;
    *inner = (wm_scope){.up = scope, .items = item, .count = 1};
    return inner;
}

static void walk_hub(expander *e, wm_context *c, const struct wm_hub_stmt *s)
{
    wm_hub *h = e->h;
    switch (s->kind) {
    case WM_HS_MEMBER:
        for (const wm_hub_name *n = s->members; n && !h->r->spent; n = n->next)
            add_member(e, c, s, n);
        break;
    case WM_HS_LET:
        c->scope = wm_hub_let_scope(h, c->scope, s);
        break;
    case WM_HS_PART: {
        expander below = *e;
        below.part = s->name->text;
        walk_members(&below, c, s->body);
        break;
    }
    case WM_HS_FOLD: {
        struct wm_hub_fold *f = wm_push(h->arena, h->folds, h->fold_count, h->fold_cap);
        f->stmt = s;
        f->in = e->parent;
        f->scope = c->scope;
        break;
    }
    default: /* the grammar lets nothing else stand here */
        break;
    }
}

/* A loop whose end is to be counted in a file, and there is none. */
static bool known_rounds(wm_hub *h, const wm_context *c, const wm_stmt *loop)
{
    const wm_expr *ends[2] = {loop->of->expr, loop->of->expr2};
    for (int i = 0; i < 2 && ends[i]; i++) {
        wm_val value;
        if (wm_eval(h->r->unit, c->scope, NULL, ends[i], &value) != WM_EVAL_UNKNOWN)
            continue;
        wm_diag *d =
            wm_error(h->r->unit, WM_E1010, ends[i]->span, "how many rounds this loop has is not known");
        wm_diag_hint(h->r->unit, d,
                     "a file of the source tells, or an argument: `--from 'net.model (layers=2)'`");
        h->failed = true;
        return false;
    }
    return true;
}

static void walk_members(expander *e, const wm_context *context, const wm_stmt *stmts)
{
    wm_context c = *context;
    wm_resolver *r = e->h->r;
    for (const wm_stmt *s = stmts; s && !r->spent; s = s->next) {
        const wm_diag *before = r->unit->last;
        if (s->kind == WM_ST_HUB) {
            walk_hub(e, &c, s->of->hub);
        } else if (s->kind == WM_ST_IF) {
            bool value = false;
            wm_evaluated done = wm_condition(r, &c, s->of->expr, &value);
            if (done == WM_EVAL_OK)
                walk_members(e, &c, value ? s->of->body : s->of->otherwise);
            else if (done == WM_EVAL_UNKNOWN)
                wm_error(r->unit, WM_E0314, s->of->expr->span, "this condition needs values that are known");
            e->h->failed |= done != WM_EVAL_OK;
        } else if (s->of->string) {
            wm_error(r->unit, WM_E0142, s->of->string->span,
                     "an architecture cannot ask for the names of a file");
            e->h->failed = true;
        } else {
            if (known_rounds(e->h, &c, s))
                wm_each_round(r, &c, s, member_round, e);
        }
        wm_stamp_round(r, &c, before);
    }
    e->h->failed |= r->spent;
}

bool wm_hub_expand(wm_hub *h)
{
    const wm_diag *before = h->r->unit->last;
    h->root = wm_new(h->arena, wm_member, 1);
    h->root->name = h->named->name;
    h->root->span = h->named->span;
    h->root->inner = h->scope;
    h->root->block = h->arch;
    h->root->named = h->named;
    wm_map_init(&h->member_names, h->arena, 0);
    wm_context c = {.scope = h->scope, .file = h->arch->file, .round = ""};
    expander e = {h, h->root, {NULL, 0}, 0};
    walk_members(&e, &c, h->arch->item->body);
    return !h->failed && h->r->unit->last == before;
}

/* ---- refs ---- */

static bool compare(wm_op op, int64_t a, int64_t b)
{
    switch (op) {
    case WM_OP_EQ:
        return a == b;
    case WM_OP_NE:
        return a != b;
    case WM_OP_LT:
        return a < b;
    case WM_OP_LE:
        return a <= b;
    case WM_OP_GT:
        return a > b;
    default:
        return a >= b;
    }
}

bool wm_hub_matches(wm_hub *h, const wm_ref *ref, const wm_member *child, const wm_scope *scope,
                    wm_named *items, uint32_t *count)
{
    uint32_t i = 0;
    *count = 0;
    if (!wm_str_eq(ref->name->text, child->name))
        return false;
    for (const wm_index *x = ref->indices; x; x = x->next, i++) {
        if (i >= child->index_count)
            return false;
        wm_val value = {.kind = WM_VAL_INT, .i = child->index[i]};
        if (x->number) {
            if (x->number->i != value.i)
                return false;
            continue;
        }
        for (uint32_t k = 0; k < *count; k++)
            if (wm_str_eq(items[k].name, x->word->text) && items[k].value.i != value.i)
                return false;
        items[(*count)++] =
            (wm_named){.name = x->word->text, .span = x->word->span, .value = value, .state = WM_DECL_DONE};
        if (!x->compared)
            continue;
        wm_scope inner = {.up = scope, .items = items, .count = *count};
        wm_val other;
        wm_evaluated done = wm_eval(h->r->unit, &inner, NULL, x->expr, &other);
        if (done != WM_EVAL_OK || other.kind != WM_VAL_INT) {
            if (done != WM_EVAL_ERROR)
                wm_error(h->r->unit, WM_E0309, x->expr->span, "an index is compared with an integer");
            h->failed = true;
            return false;
        }
        if (!compare(x->op, value.i, other.i))
            return false;
    }
    return i == child->index_count;
}
