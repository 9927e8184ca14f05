/* hub_check.c: is a file what a model says, and which model is it of? Models that are only tried report
 * nothing. */
#include <string.h>

#include "compiler/hub.h"
#include "compiler/pass.h"

/* Findings of what was only tried are taken back. */
typedef struct quiet {
    wm_diag *last;
    size_t errors, warnings;
    bool spent, failed;
} quiet;

static quiet hush(wm_resolver *r)
{
    return (quiet){r->unit->last, r->unit->errors, r->unit->warnings, r->spent, r->program->failed};
}

static void unhush(wm_resolver *r, quiet q)
{
    r->unit->last = q.last;
    if (q.last)
        q.last->next = NULL;
    else
        r->unit->diags = NULL;
    r->unit->errors = q.errors;
    r->unit->warnings = q.warnings;
    r->spent = q.spent;
    r->program->failed = q.failed;
}

/* How many tensors of the source a model has: `*of` are all of its. */
static size_t try_model(wm_resolver *r, const wm_file *file, const wm_decl *arch, const wm_decl *model,
                        size_t *of, uint64_t *steps)
{
    quiet q = hush(r);
    wm_hub *h = wm_hub_new(r, file);
    wm_word words[2] = {{.text = arch->name, .span = WM_NOWHERE},
                        {.text = model->item->qname->last->text, .span = WM_NOWHERE}};
    words[0].next = &words[1];
    wm_qname name = {.parts = words, .last = &words[1], .span = WM_NOWHERE};
    wm_call call = {.name = &name, .span = WM_NOWHERE};
    size_t found = 0;
    if (wm_hub_open(h, file->scope, &call, NULL) && wm_hub_expand(h)) {
        wm_hub_place_side(h, 0);
        found = wm_hub_count_found(h);
    }
    *of = h->sides[0].count;
    *steps += h->steps + WM_HUB_MEMBER; /* all trials together have the budget of one */
    unhush(r, q);
    return found;
}

typedef void each_model(void *user, const wm_decl *arch, const wm_decl *model);

/* The models of all architectures that a file sees. */
static void all_models(wm_resolver *r, const wm_file *file, each_model *each, void *user)
{
    for (size_t a = 0; a < file->decl_count; a++) {
        const wm_decl *arch = file->decls[a], *base = arch;
        if (arch->item->kind != WM_IT_ARCH)
            continue;
        for (uint32_t depth = 0; base && base->item->chain && depth < WM_HUB_DEPTH; depth++) {
            base = wm_file_find(r->unit->arena, base->file, base->item->chain->name, false);
            if (base && base->item->kind != WM_IT_ARCH)
                base = NULL;
        }
        for (size_t m = 0; base && m < base->file->decl_count; m++) {
            const wm_decl *model = base->file->decls[m];
            if (model->item->kind == WM_IT_MODEL && model->item->of_hub &&
                (wm_str_eq(model->item->qname->parts->text, base->name) ||
                 wm_str_eq(model->item->qname->parts->text, arch->name)))
                each(user, arch, model);
        }
    }
}

typedef struct best {
    wm_resolver *r;
    const wm_file *file;
    const char *name;
    size_t found, of;
    uint64_t steps;
    wm_diag *listing; /* every one that has some is noted there */
} best;

static void better(void *user, const wm_decl *arch, const wm_decl *model)
{
    best *b = user;
    size_t of;
    if (b->steps >= WM_HUB_STEPS)
        return;
    size_t found = try_model(b->r, b->file, arch, model, &of, &b->steps);
    if (found == 0 || found < b->found || (found == b->found && of >= b->of))
        return;
    b->found = found;
    b->of = of;
    b->name = wm_format_text(b->r->unit->arena, "%.*s.%.*s", (int)arch->name.len, arch->name.p,
                             (int)model->item->qname->last->text.len, model->item->qname->last->text.p);
}

/* ---- parameters that bound loops ---- */

static bool names_value(const wm_expr *e, wm_str name)
{
    for (; e; e = e->a) {
        if (e->kind == WM_EX_NAME && wm_str_eq(e->name->parts->text, name))
            return true;
        if (names_value(e->b, name) || names_value(e->c, name))
            return true;
        for (const wm_expr *x = e->args; x; x = x->next)
            if (names_value(x, name))
                return true;
    }
    return false;
}

static bool bounds_loop(const wm_stmt *s, wm_str name)
{
    for (; s; s = s->next) {
        const struct wm_hub_stmt *hub = s->of->hub;
        if (s->kind == WM_ST_FOR && (names_value(s->of->expr, name) || names_value(s->of->expr2, name)))
            return true;
        if (bounds_loop(hub ? hub->body : s->of->body, name) ||
            bounds_loop(hub ? NULL : s->of->otherwise, name))
            return true;
    }
    return false;
}

/* How many tensors of the model the source lacks with these values; SIZE_MAX: there is no such model. */
static size_t lacking(wm_hub *h, const wm_scope *scope, const wm_call *from, wm_givens *counted)
{
    quiet q = hush(h->r);
    wm_hub *trial = wm_hub_new(h->r, h->file);
    size_t lacks = SIZE_MAX;
    trial->counted = counted;
    if (wm_hub_open(trial, scope, from, NULL) && wm_hub_expand(trial)) {
        wm_hub_place_side(trial, 0);
        if (!trial->failed)
            lacks = trial->sides[0].count - wm_hub_count_found(trial) + wm_hub_overfull(trial, h->r->options);
    }
    h->steps += trial->steps;
    unhush(h->r, q);
    return lacks;
}

/* The largest number of rounds all of whose members are in the file. */
static int64_t count_rounds(wm_hub *h, const wm_scope *scope, const wm_call *from, wm_givens *counted,
                            wm_given *g)
{
    g->value.i = 0;
    size_t none = lacking(h, scope, from, counted);
    int64_t least = 0, most = 1;
    while (most < 65536 && h->steps < WM_HUB_STEPS) {
        g->value.i = most;
        if (lacking(h, scope, from, counted) > none)
            break;
        least = most;
        most *= 2;
    }
    while (most - least > 1 && h->steps < WM_HUB_STEPS) {
        g->value.i = least + (most - least) / 2;
        if (lacking(h, scope, from, counted) > none)
            most = g->value.i;
        else
            least = g->value.i;
    }
    return least;
}

bool wm_hub_count(wm_hub *h, const wm_scope *scope, const wm_call *from, wm_givens *counted)
{
    for (uint32_t i = 0; h->r->options->source_count && i < h->scope->count; i++) {
        const wm_named *n = &h->scope->items[i];
        if (n->state != WM_DECL_UNKNOWN || !bounds_loop(h->arch->item->body, n->name))
            continue;
        wm_word *word = wm_new(h->arena, wm_word, 1);
        *word = (wm_word){.text = n->name, .span = n->span};
        *wm_push(h->arena, counted->items, counted->count, counted->cap) = (wm_given){
            .name = word, .value = {.kind = WM_VAL_INT, .i = 1}, .state = WM_DECL_DONE, .used = true};
    }
    for (size_t i = 0; i < counted->count; i++)
        counted->items[i].value.i = count_rounds(h, scope, from, counted, &counted->items[i]);
    return true;
}

/* ---- names with more around them ---- */

#define WM_HUB_PREFIXES 8

static size_t separator(const char *name, size_t len)
{
    size_t i = 0;
    while (i < len && name[i] != '.' && name[i] != '/')
        i++;
    return i < len ? i + 1 : 0;
}

/* What all names have in common that begin as this one does, up to a `.` or `/`. */
static wm_str common_prefix(const wmap_header *header, const wmap_tensor *t)
{
    size_t first = separator(t->name, t->name_len), len = t->name_len;
    for (size_t i = 0; i < header->count; i++) {
        const wmap_tensor *other = &header->tensors[i];
        size_t same = 0;
        while (same < len && same < other->name_len && other->name[same] == t->name[same])
            same++;
        if (same >= first)
            len = same;
    }
    while (len > first && t->name[len - 1] != '.' && t->name[len - 1] != '/')
        len--;
    return (wm_str){t->name, (uint32_t)len};
}

/* The source without a prefix of its names, and without tensors that lack it. */
static wmap_header *without_prefix(wm_arena *arena, const wmap_header *header, wm_str prefix)
{
    wmap_tensor *tensors = wm_new(arena, wmap_tensor, header->count);
    wmap_header *bare = wm_new(arena, wmap_header, 1);
    *bare = (wmap_header){.label = header->label, .tensors = tensors};
    for (size_t i = 0; i < header->count; i++) {
        const wmap_tensor *t = &header->tensors[i];
        if (t->name_len <= prefix.len || memcmp(t->name, prefix.p, prefix.len) != 0)
            continue;
        tensors[bare->count] = *t;
        tensors[bare->count].name += prefix.len;
        tensors[bare->count++].name_len -= prefix.len;
    }
    return bare;
}

/* Does it need no escapes in a string? */
static bool is_plain(wm_str s)
{
    for (uint32_t i = 0; i < s.len; i++)
        if (strchr("\"{}\\", s.p[i]) || (unsigned char)s.p[i] < ' ')
            return false;
    return true;
}

/* Which model the source would be if its names began later: "module.conv1.weight". Said beside `d`. */
static void note_prefix(wm_resolver *r, const wm_file *file, wm_diag *d)
{
    const wmap_compile_options *given = r->options;
    const wmap_header *header = &given->sources[0];
    wm_str tried[WM_HUB_PREFIXES];
    uint64_t steps = 0;
    uint32_t count = 0;
    for (size_t i = 0; given->source_count == 1 && i < header->count && count < WM_HUB_PREFIXES; i++) {
        const wmap_tensor *t = &header->tensors[i];
        size_t first = separator(t->name, t->name_len);
        bool known = first == 0;
        for (uint32_t k = 0; k < count; k++)
            known |= tried[k].len >= first && memcmp(tried[k].p, t->name, first) == 0;
        if (known)
            continue;
        tried[count] = common_prefix(header, t);
        for (int k = 0; k < 2; k++) { /* all that they have in common, or the first part of it */
            wm_str prefix = {t->name, k ? (uint32_t)first : tried[count].len};
            wmap_compile_options options = *given;
            options.sources = without_prefix(r->unit->arena, header, prefix);
            best b = {.r = r, .file = file, .steps = steps};
            r->options = &options;
            all_models(r, file, better, &b);
            r->options = given;
            steps = b.steps;
            if (!b.name)
                continue;
            wm_diag_note(r->unit, d, "without %s before each name it is %s (%zu of %zu tensors)",
                         wm_quote(r->unit, prefix), b.name, b.found, b.of);
            if (is_plain(prefix))
                wm_diag_hint(
                    r->unit, d,
                    "a map before it takes that off: `map bare { \"%.*s{name:**}\" -> \"{name}\" }` and "
                    "`map main = bare then turned`",
                    (int)prefix.len, prefix.p);
            return;
        }
        count++;
    }
}

/* E1011 if the file has nothing of the model. */
bool wm_hub_right_file(wm_hub *h)
{
    const wmap_compile_options *o = h->r->options;
    if (!o->source_count || !h->sides[0].count || wm_hub_count_found(h))
        return true;
    best b = {.r = h->r, .file = h->file};
    all_models(h->r, h->file, better, &b);
    const char *matches =
        b.name ? wm_format_text(h->arena, "; %s matches (%zu of %zu)", b.name, b.found, b.of) : "";
    wm_diag *d = wm_error(h->r->unit, WM_E1011, WM_NOWHERE, "%s is not %s: 0 of %zu tensors found%s",
                          o->sources[0].label, h->sides[0].model->name, h->sides[0].count, matches);
    wm_diag_also(h->r->unit, d, h->sides[0].model->decl->span, "the model");
    if (o->sources[0].count)
        wm_diag_note(h->r->unit, d, "the file has %s, the model %s",
                     wm_quote(h->r->unit, (wm_str){o->sources[0].tensors[0].name,
                                                   (uint32_t)o->sources[0].tensors[0].name_len}),
                     wm_quote(h->r->unit, h->sides[0].places[0]->name));
    if (!b.name)
        note_prefix(h->r, h->file, d);
    h->failed = true;
    return false;
}

/* ---- declarations alone ---- */

static void check_model(void *user, const wm_decl *arch, const wm_decl *model)
{
    best *b = user;
    if (arch->item->chain ||
        b->r->spent) /* an instance differs in values only, which models may not support */
        return;
    for (const wm_param *p = arch->item->params; p; p = p->next)
        if (!p->value)
            return;
    for (const wm_param *p = model->item->params; p; p = p->next)
        if (!p->value)
            return;
    wm_hub *h = wm_hub_new(b->r, b->file);
    wm_word *words = wm_new(h->arena, wm_word, 2);
    words[0] = (wm_word){.text = arch->name, .span = arch->span, .next = &words[1]};
    words[1] = (wm_word){.text = model->item->qname->last->text, .span = model->span};
    wm_qname *name = wm_new(h->arena, wm_qname, 1);
    *name = (wm_qname){.parts = words, .last = &words[1], .span = model->span};
    wm_call *call = wm_new(h->arena, wm_call, 1);
    *call = (wm_call){.name = name, .span = model->span};
    if (wm_hub_open(h, b->file->scope, call, NULL) && wm_hub_expand(h))
        wm_hub_place_side(h, 0);
    b->steps += h->steps + WM_HUB_MEMBER;
}

bool wm_hub_check_file(wm_resolver *r, const wm_file *file)
{
    bool any = false;
    best b = {.r = r, .file = file};
    for (size_t i = 0; i < file->decl_count; i++) {
        wm_item_kind kind = file->decls[i]->item->kind;
        any |= file->decls[i]->file == file &&
               (kind == WM_IT_LAYER || kind == WM_IT_DIALECT || kind == WM_IT_ARCH);
    }
    if (any)
        all_models(r, file, check_model, &b);
    return any;
}

/* ---- check --as ---- */

static void list_best(void *user, const wm_decl *arch, const wm_decl *model)
{
    best *b = user;
    size_t of;
    if (b->steps >= WM_HUB_STEPS)
        return;
    size_t found = try_model(b->r, b->file, arch, model, &of, &b->steps);
    size_t in_file = 0;
    for (size_t s = 0; s < b->r->options->source_count; s++)
        in_file += b->r->options->sources[s].count;
    if (found == 0)
        return;
    wm_unit *unit = b->r->unit;
    const char *name =
        wm_format_text(unit->arena, "%.*s.%.*s", (int)arch->name.len, arch->name.p,
                       (int)model->item->qname->last->text.len, model->item->qname->last->text.p);
    wm_warn(unit, WM_W0003, model->span, "%s: %zu of its %zu tensors are in the file, which has %zu", name,
            found, of, in_file);
    *wm_push(unit->arena, unit->matches, unit->match_count, unit->match_cap) =
        (wmap_model_match){.name = name, .found = found, .of = of};
    b->found++;
}

/* What the file has of the model, and what of it the model has not: E0525, E0526. */
static void compare(wm_hub *h)
{
    const wmap_compile_options *o = h->r->options;
    wm_hub_side *side = &h->sides[0];
    size_t missing = 0, extra = 0, said = 0;
    wm_diag *lacks = NULL, *has = NULL;
    for (size_t i = 0; i < side->count; i++) {
        const wm_hub_place *place = side->places[i];
        if (place->in_header != SIZE_MAX || place->tensor->optional)
            continue;
        if (!lacks) {
            lacks = wm_error(h->r->unit, WM_E0525, place->span, "%s lacks %s of `%s`", o->sources[0].label,
                             wm_quote(h->r->unit, place->name), wm_item_text(h, place->owners[0].item));
            wm_near near;
            wm_near_init(&near, place->name);
            for (size_t n = 0; n < o->sources[0].count && n < 10000; n++)
                wm_near_try(&near, (wm_str){o->sources[0].tensors[n].name,
                                            (uint32_t)o->sources[0].tensors[n].name_len});
            wm_diag_near(h->r->unit, lacks, &near);
        } else if (said++ < 8) {
            wm_diag_note(h->r->unit, lacks, "and %s", wm_quote(h->r->unit, place->name));
        }
        missing++;
    }
    if (missing > 9)
        wm_diag_note(h->r->unit, lacks, "%zu tensors in all", missing);
    for (size_t s = 0; s < o->source_count; s++)
        for (size_t i = 0; i < o->sources[s].count; i++) {
            const wmap_tensor *t = &o->sources[s].tensors[i];
            wm_str name = {t->name, (uint32_t)t->name_len};
            const char *alias = o->sources[s].aliases ? o->sources[s].aliases[i] : NULL;
            if (wm_map_get(&side->names, name.p, name.len) != WM_MAP_NONE ||
                (alias && wm_map_get(&side->names, alias, strlen(alias)) != WM_MAP_NONE) ||
                wm_hub_ignored(h, name))
                continue;
            extra++;
            if (!has)
                has = wm_error(h->r->unit, WM_E0526, side->model->decl->span,
                               "%s has tensors that `%s` lacks", o->sources[s].label, side->model->name);
            if (extra <= 10)
                wm_diag_note(h->r->unit, has, "%s   %s", wm_quote(h->r->unit, name),
                             wm_show_type(h->r->unit, t->dtype, t->rank, t->shape));
        }
    if (extra > 10)
        wm_diag_note(h->r->unit, has, "%zu tensors in all", extra);
}

void wm_hub_check(wm_resolver *r, const wm_file *file, const char *as)
{
    if (!r->options->source_count) {
        wm_error(r->unit, WM_E1011, WM_NOWHERE, "`--as` compares a file: give one");
        return;
    }
    if (strcmp(as, "*") == 0) {
        best b = {.r = r, .file = file};
        all_models(r, file, list_best, &b);
        if (!b.found)
            note_prefix(r, file,
                        wm_error(r->unit, WM_E1011, WM_NOWHERE,
                                 "%s is of no model of this spec: none of their tensors was found",
                                 r->options->sources[0].label));
        return;
    }
    const wm_call *call = wm_option_call(r, "--as", as);
    wm_hub *h = wm_hub_new(r, file);
    if (!call || !wm_hub_open(h, file->scope, call, NULL) || !wm_hub_expand(h))
        return;
    wm_hub_place_side(h, 0);
    if (h->failed || !wm_hub_right_file(h))
        return;
    wm_hub_solve(h, r->options);
    compare(h);
}
