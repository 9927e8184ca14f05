/* resolve_files.c: files, their declarations and their values. Receives the tree of the given spec; finds,
 * reads and parses what it imports, joins the visible names, applies -D, and computes every parameter and
 * table once, in an order in which each comes after those it uses. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "compiler/resolve_internal.h"

#define MAX_DEPTH   64
#define MAX_FILES   4096
#define MAX_FOLDERS 10 /* said in one message */

/* ---- finding and reading ---- */

static const char *folder_of(wm_arena *arena, const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;
    if (!slash)
        return ".";
    return slash == path ? "/" : wm_copy(arena, path, (size_t)(slash - path));
}

static const char *path_in(wm_arena *arena, const char *folder, const char *name)
{
    if (strcmp(folder, ".") == 0)
        return name;
    size_t len = strlen(folder);
    return wm_format_text(arena, "%s%s%s", folder, len && folder[len - 1] == '/' ? "" : "/", name);
}

/* "std/keras" as the name of a file; NULL: reported. */
static const char *import_name(wm_resolver *r, const wm_string *string)
{
    wm_str text;
    if (wm_plain_text(r->unit, NULL, NULL, string, &text) != WM_EVAL_OK)
        return NULL;
    bool up = text.len && text.p[0] == '/';
    const char *what = up ? "an absolute path" : "`..`";
    for (uint32_t i = 0; i + 1 < text.len && !up; i++)
        up = text.p[i] == '.' && text.p[i + 1] == '.' && (i == 0 || text.p[i - 1] == '/') &&
             (i + 2 == text.len || text.p[i + 2] == '/');
    if (up) {
        wm_diag *d = wm_error(r->unit, WM_E0122, string->span, "an import cannot be %s", what);
        wm_diag_hint(r->unit, d,
                     "name the file as seen from this file's folder, or from a folder given with `-I`");
        return NULL;
    }
    if (text.len == 0 || text.len > 4096 || memchr(text.p, 0, text.len)) {
        wm_error(r->unit, WM_E0121, string->span, "this cannot be the name of a file");
        return NULL;
    }
    bool ended = text.len > 5 && memcmp(text.p + text.len - 5, ".wmap", 5) == 0;
    return wm_format_text(r->unit->arena, "%.*s%s", (int)text.len, text.p, ended ? "" : ".wmap");
}

typedef struct found {
    const char *path;
    struct stat st;
} found;

static void try_folder(wm_resolver *r, const char *folder, const char *name, wm_diag *report, found *f)
{
    const char *path = path_in(r->unit->arena, folder, name);
    bool there = stat(path, &f->st) == 0;
    int number = there ? 0 : errno;
    if (there && S_ISREG(f->st.st_mode)) {
        f->path = path;
        return;
    }
    if (report && number && number != ENOENT && number != ENOTDIR)
        wm_diag_note(r->unit, report, "in %s it cannot be looked at: %s", folder, strerror(number));
    else if (report)
        wm_diag_note(r->unit, report, there ? "in %s it is not a regular file" : "not in %s", folder);
}

/* Looks in the folder of the importing file, then in those of the options. With `report` each is noted. */
static found find_file(wm_resolver *r, const wm_file *from, const char *name, wm_diag *report)
{
    found f = {NULL, {0}};
    try_folder(r, folder_of(r->unit->arena, from->path), name, report, &f);
    for (size_t i = 0; i < r->options->include_count && !f.path && (!report || i < MAX_FOLDERS); i++)
        try_folder(r, r->options->includes[i], name, report, &f);
    return f;
}

/* A file of that name in a folder further on is not read; whoever meant that one should know (W0001). */
static void warn_of_shadowed(wm_resolver *r, const wm_file *from, const char *name, const found *f,
                             wm_span span)
{
    const char *first = folder_of(r->unit->arena, from->path);
    wm_diag *d = NULL;
    for (size_t i = 0; i < r->options->include_count; i++) {
        found other = {NULL, {0}};
        if (strcmp(r->options->includes[i], first) != 0)
            try_folder(r, r->options->includes[i], name, NULL, &other);
        if (!other.path || (other.st.st_ino == f->st.st_ino && other.st.st_dev == f->st.st_dev))
            continue;
        if (!d)
            d = wm_warn(r->unit, WM_W0001, span, "this import is %s and shadows another file",
                        wm_quote(r->unit, (wm_str){f->path, (uint32_t)strlen(f->path)}));
        wm_diag_note(r->unit, d, "not read: %s",
                     wm_quote(r->unit, (wm_str){other.path, (uint32_t)strlen(other.path)}));
    }
    if (d)
        wm_diag_hint(r->unit, d,
                     "the folder of the importing file comes first, then those of `-I`, then "
                     "`WMAP_PATH`, then the installed library");
}

/* ---- declarations ---- */

static const char *kind_of(const wm_decl *decl)
{
    switch (decl->item->kind) {
    case WM_IT_PARAM:
        return "parameter";
    case WM_IT_TABLE:
        return "table";
    case WM_IT_MODEL:
        return "model";
    case WM_IT_LAYER:
        return "layer";
    case WM_IT_DIALECT:
        return "dialect";
    case WM_IT_BLOCK:
        return "block";
    case WM_IT_ARCH:
        return "architecture";
    default:
        return "map";
    }
}

/* Makes a declaration visible in a file; `at` is what to point at if its name is taken. */
static void add_name(wm_resolver *r, wm_file *file, wm_decl *decl, wm_span at)
{
    uint32_t before =
        wm_map_put(&file->names, decl->name.p, decl->name.len, (uint32_t)file->decl_count, NULL);
    if (before != WM_MAP_NONE && file->decls[before] == decl)
        return;
    if (before != WM_MAP_NONE) {
        const wm_decl *other = file->decls[before];
        wm_diag *d = wm_error(r->unit, WM_E0123, at, "%s %s", wm_quote(r->unit, decl->name),
                              decl->file == file ? "is defined twice" : "is imported, but the name is taken");
        wm_diag_also(r->unit, d, other->span, "the first, a %s", kind_of(other));
        if (decl->file != file)
            wm_diag_also(r->unit, d, decl->span, "the imported %s", kind_of(decl));
        if (decl->file != file || other->file != file)
            wm_diag_hint(r->unit, d,
                         "`import \"...\" as y` makes the names of a file visible as `y.name` only");
        return;
    }
    *wm_push(r->unit->arena, file->decls, file->decl_count, file->decl_cap) = decl;
}

static void declare(wm_resolver *r, wm_file *file, const wm_item *item)
{
    wm_decl *decl = wm_new(r->unit->arena, wm_decl, 1);
    decl->item = item;
    decl->file = file;
    decl->name = item->qname ? wm_qname_text(r->unit->arena, item->qname) : item->name->text;
    decl->span = item->qname ? item->qname->span : item->name->span;
    add_name(r, file, decl, decl->span);
}

static void import_names(wm_resolver *r, wm_file *file, const wm_item *item, wm_file *from)
{
    *wm_push(r->unit->arena, file->imports, file->import_count, file->import_cap) = from;
    if (!item->name) {
        for (size_t i = 0; i < from->decl_count; i++) {
            wm_decl *decl = from->decls[i];
            if (decl->file == from && decl->item->kind != WM_IT_PARAM && decl->item->kind != WM_IT_TABLE &&
                decl->item->kind != WM_IT_BLOCK)
                add_name(r, file, decl, item->string->span);
        }
        return;
    }
    for (size_t i = 0; i < file->alias_count; i++) {
        if (!wm_str_eq(file->aliases[i].name, item->name->text))
            continue;
        if (file->aliases[i].file != from) {
            wm_diag *d = wm_error(r->unit, WM_E0123, item->name->span, "two imports are called %s",
                                  wm_quote(r->unit, item->name->text));
            wm_diag_also(r->unit, d, file->aliases[i].span, "the first");
        }
        return;
    }
    *wm_push(r->unit->arena, file->aliases, file->alias_count, file->alias_cap) =
        (wm_alias){item->name->text, item->name->span, from};
}

/* ---- loading ---- */

static wm_file *load(wm_resolver *r, uint32_t source, const wm_ast *ast, const char *path, uint32_t depth);

static void cycle(wm_resolver *r, const wm_file *current, const wm_file *again, wm_span span)
{
    wm_buffer chain = {.arena = r->unit->arena};
    bool inside = false;
    for (size_t i = 0; i < r->file_count; i++) {
        inside |= r->files[i] == again;
        if (!inside || !r->files[i]->loading)
            continue;
        const char *name = r->unit->sources[r->files[i]->source]->name;
        wm_buffer_add(&chain, name, strlen(name));
        wm_buffer_add(&chain, " -> ", 4);
    }
    const char *name = r->unit->sources[again->source]->name;
    wm_diag *d = wm_error(r->unit, WM_E0120, again->importing, "import cycle: %s%s", chain.text, name);
    if (current != again)
        wm_diag_also(r->unit, d, span, "imports %s again", name);
}

/* Follows one import. NULL: reported. */
static wm_file *follow(wm_resolver *r, wm_file *file, const wm_item *item, uint32_t depth)
{
    wm_unit *unit = r->unit;
    wm_span span = item->string->span;
    const char *name = import_name(r, item->string);
    if (!name)
        return NULL;
    file->importing = span;
    found f = find_file(r, file, name, NULL);
    if (!f.path) {
        wm_diag *d = wm_error(unit, WM_E0121, span, "there is no file %s",
                              wm_quote(unit, (wm_str){name, (uint32_t)strlen(name)}));
        find_file(r, file, name, d);
        return NULL;
    }
    for (size_t i = 0; i < r->file_count; i++) {
        const wm_source *s = unit->sources[r->files[i]->source];
        if (s->ino != (uint64_t)f.st.st_ino || s->dev != (uint64_t)f.st.st_dev)
            continue;
        if (r->files[i]->loading)
            cycle(r, file, r->files[i], span);
        return r->files[i]->loading ? NULL : r->files[i];
    }
    warn_of_shadowed(r, file, name, &f, span);
    if (depth >= MAX_DEPTH || r->file_count >= MAX_FILES) {
        wm_error(unit, depth >= MAX_DEPTH ? WM_E0902 : WM_E0901, span,
                 depth >= MAX_DEPTH ? "imports are more than %d deep" : "more than %d files are imported",
                 depth >= MAX_DEPTH ? MAX_DEPTH : MAX_FILES);
        return NULL;
    }
    if ((uint64_t)f.st.st_size > WM_MAX_SPEC) {
        wm_error(unit, WM_E0904, span, "this file is larger than 64 MiB");
        return NULL;
    }
    size_t size = (size_t)f.st.st_size;
    char *text = wm_alloc(unit->arena, size + 1);
    ssize_t have = wm_read_text(f.path, text, size, &f.st);
    if (have < 0) {
        wm_error(unit, WM_E0121, span, "this file cannot be read: %s", strerror(errno));
        return NULL;
    }
    uint32_t source = wm_add_source(unit, name, text, (size_t)have);
    unit->sources[source]->path = wm_copy(unit->arena, f.path, strlen(f.path));
    unit->sources[source]->dev = (uint64_t)f.st.st_dev;
    unit->sources[source]->ino = (uint64_t)f.st.st_ino;
    return load(r, source, wm_parse(unit, source), f.path, depth + 1);
}

static wm_file *load(wm_resolver *r, uint32_t source, const wm_ast *ast, const char *path, uint32_t depth)
{
    wm_arena *arena = r->unit->arena;
    wm_file *file = wm_new(arena, wm_file, 1);
    file->source = source;
    file->path = path;
    file->ast = ast;
    file->world = &r->world;
    file->loading = true;
    wm_map_init(&file->names, arena, 0);
    file->scope = wm_new(arena, wm_scope, 1);
    file->scope->file = file;
    *wm_push(arena, r->files, r->file_count, r->file_cap) = file;
    for (const wm_item *item = ast->items; item; item = item->next) {
        switch (item->kind) {
        case WM_IT_IMPORT: {
            wm_file *from = follow(r, file, item, depth);
            if (from)
                import_names(r, file, item, from);
            break;
        }
        case WM_IT_PARAM:
        case WM_IT_TABLE:
        case WM_IT_MODEL:
        case WM_IT_MAP:
        case WM_IT_LAYER:
        case WM_IT_DIALECT:
        case WM_IT_BLOCK:
        case WM_IT_ARCH:
            declare(r, file, item);
            break;
        case WM_IT_TEST: /* tests.c; those of imported files don't run */
            break;
        }
    }
    file->loading = false;
    *wm_push(arena, r->finished, r->finished_count, r->finished_cap) = file;
    return file;
}

/* ---- -D ---- */

static wm_decl *find_define(wm_resolver *r, const wm_file *main, const char *text)
{
    const char *dot = strchr(text, '.');
    wm_word first = {.text = {text, (uint32_t)(dot ? (size_t)(dot - text) : strlen(text))}};
    wm_word second = {.text = {dot ? dot + 1 : "", dot ? (uint32_t)strlen(dot + 1) : 0}};
    if (dot)
        first.next = &second;
    wm_qname name = {.parts = &first};
    return wm_file_find(r->unit->arena, main, &name, true);
}

static void apply_defines(wm_resolver *r, const wm_file *main)
{
    for (size_t i = 0; i < r->options->define_count; i++) {
        const wmap_define *define = &r->options->defines[i];
        wm_decl *decl = find_define(r, main, define->name);
        if (decl && decl->item->kind == WM_IT_PARAM) {
            decl->define = define->value;
            continue;
        }
        wm_str name = {define->name, (uint32_t)strlen(define->name)};
        if (decl) {
            wm_error(r->unit, WM_E0124, WM_NOWHERE, "-D: %s is a table, only parameters can be set",
                     wm_quote(r->unit, name));
            continue;
        }
        wm_diag *d =
            wm_error(r->unit, WM_E0124, WM_NOWHERE, "-D: there is no parameter %s", wm_quote(r->unit, name));
        wm_near near;
        wm_near_init(&near, name);
        for (size_t n = 0; n < main->decl_count; n++)
            if (main->decls[n]->item->kind == WM_IT_PARAM)
                wm_near_try(&near, main->decls[n]->name);
        wm_diag_near(r->unit, d, &near);
    }
}

/* Puts the value of -D in place of the default, whose type it must have. */
static void override(wm_resolver *r, wm_decl *decl)
{
    wm_unit *unit = r->unit;
    size_t len = strlen(decl->define);
    if (decl->value.kind == WM_VAL_STRING && len <= UINT32_MAX) {
        decl->value.s = (wm_str){wm_copy(unit->arena, decl->define, len), (uint32_t)len};
        return;
    }
    const char *name = wm_format_text(unit->arena, "-D %.*s", (int)decl->name.len, decl->name.p);
    uint32_t source = wm_add_source(unit, name, decl->define, len);
    const wm_expr *expr = wm_parse_expr(unit, source);
    wm_val value;
    wm_evaluated done = expr ? wm_eval(unit, NULL, NULL, expr, &value) : WM_EVAL_OK;
    if (expr && done == WM_EVAL_OK && value.kind == WM_VAL_INT && decl->value.kind == WM_VAL_FLOAT)
        value = (wm_val){.kind = WM_VAL_FLOAT, .f = (double)value.i};
    if (expr && done == WM_EVAL_OK && value.kind == decl->value.kind) {
        decl->value = value;
        unit->source_count = source; /* nothing points into it: it is no file of the plan */
        return;
    }
    decl->state = WM_DECL_FAILED;
    if (done == WM_EVAL_ERROR)
        return;
    wm_diag *d = wm_error(unit, WM_E0128, WM_NOWHERE, "-D: %s is %s, not `%s`", wm_quote(unit, decl->name),
                          wm_val_kind_name(&decl->value), decl->define);
    wm_diag_also(unit, d, decl->span, "declared here");
}

/* ---- values ---- */

/* A value being computed, and the values of its file that it uses. */
typedef struct frame {
    wm_decl *decl;
    struct use {
        wm_decl *decl;
        wm_span span;
    } * uses;
    size_t count, cap, next;
} frame;

static void find_uses(wm_resolver *r, frame *f, const wm_expr *expr)
{
    for (; expr; expr = expr->a) { /* long sums lean to the left */
        if (expr->kind == WM_EX_NAME) {
            wm_decl *decl = wm_file_find(r->unit->arena, f->decl->file, expr->name, true);
            if (decl && decl->file == f->decl->file)
                *wm_push(r->unit->arena, f->uses, f->count, f->cap) = (struct use){decl, expr->span};
        }
        for (const wm_part *p = expr->string ? expr->string->parts : NULL; p; p = p->next)
            find_uses(r, f, p->expr);
        find_uses(r, f, expr->b);
        find_uses(r, f, expr->c);
        for (const wm_expr *arg = expr->args; arg; arg = arg->next)
            find_uses(r, f, arg);
    }
}

static void compute(wm_resolver *r, wm_decl *decl)
{
    const wm_expr *expr = decl->item->expr;
    wm_evaluated done = expr ? wm_eval(r->unit, decl->file->scope, NULL, expr, &decl->value) : WM_EVAL_ERROR;
    decl->state = done == WM_EVAL_OK      ? WM_DECL_DONE
                  : done == WM_EVAL_ERROR ? WM_DECL_FAILED
                                          : WM_DECL_UNKNOWN;
    if (done != WM_EVAL_OK)
        return;
    if (decl->item->kind == WM_IT_TABLE && decl->value.kind != WM_VAL_LIST) {
        wm_error(r->unit, WM_E0308, expr->span, "a table is a list, this is %s",
                 wm_val_kind_name(&decl->value));
        decl->state = WM_DECL_FAILED;
    } else if (decl->define) {
        override(r, decl);
    }
}

static void itself(wm_resolver *r, const frame *stack, size_t depth, const struct use *use)
{
    wm_buffer chain = {.arena = r->unit->arena};
    bool inside = false;
    for (size_t i = 0; i < depth; i++) {
        inside |= stack[i].decl == use->decl;
        if (!inside)
            continue;
        wm_buffer_add(&chain, stack[i].decl->name.p, stack[i].decl->name.len);
        wm_buffer_add(&chain, " -> ", 4);
    }
    wm_diag *d =
        wm_error(r->unit, WM_E0125, use->decl->span, "%s is defined by itself: %s%.*s",
                 wm_quote(r->unit, use->decl->name), chain.text, (int)use->decl->name.len, use->decl->name.p);
    wm_diag_also(r->unit, d, use->span, "used here");
}

/* Depth first over what uses what, with a stack of its own: chains of parameters may be long. */
static void compute_all(wm_resolver *r, wm_decl *root)
{
    frame *stack = NULL;
    size_t depth = 0, cap = 0;
    wm_arena *arena = r->unit->arena;
    for (wm_decl *next = root; next || depth;) {
        if (next) {
            frame *f = wm_push(arena, stack, depth, cap);
            *f = (frame){.decl = next};
            next->state = WM_DECL_OPEN;
            find_uses(r, f, next->item->expr);
        }
        frame *f = &stack[depth - 1];
        next = NULL;
        while (f->next < f->count && !next) {
            const struct use *use = &f->uses[f->next++];
            if (use->decl->state == WM_DECL_OPEN)
                itself(r, stack, depth, use);
            else if (use->decl->state == WM_DECL_NEW)
                next = use->decl;
        }
        if (next)
            continue;
        compute(r, f->decl);
        depth--;
    }
}

void wm_compute_values(wm_resolver *r)
{
    for (int again = 0; again < 2; again++)
        for (size_t f = 0; f < r->finished_count; f++)
            for (size_t i = 0; i < r->finished[f]->decl_count; i++) {
                wm_decl *decl = r->finished[f]->decls[i];
                bool value = decl->item->kind == WM_IT_PARAM || decl->item->kind == WM_IT_TABLE;
                if (again == 0 && value && decl->state == WM_DECL_UNKNOWN)
                    decl->state = WM_DECL_NEW;
                else if (again == 1 && value && decl->state == WM_DECL_NEW)
                    compute_all(r, decl);
            }
}

wm_file *wm_load(wm_resolver *r, uint32_t source, const wm_ast *ast)
{
    wm_file *main = load(r, source, ast, r->options->path, 0);
    apply_defines(r, main);
    wm_compute_values(r);
    return main;
}

/* ---- arguments ---- */

void wm_suggest_decl(wm_resolver *r, wm_diag *diag, const wm_file *file, wm_str name, wm_item_kind kind)
{
    wm_near near;
    wm_near_init(&near, name);
    for (size_t i = 0; i < file->decl_count && i < 1000; i++)
        if (file->decls[i]->item->kind == kind)
            wm_near_try(&near, file->decls[i]->name);
    wm_diag_near(r->unit, diag, &near);
}

static const wm_arg *find_argument(wm_resolver *r, const wm_call *call, const wm_param *param, bool *ok)
{
    const wm_arg *first = NULL;
    for (const wm_arg *a = call ? call->args : NULL; a; a = a->next) {
        if (!wm_str_eq(a->name->text, param->name->text))
            continue;
        if (first) {
            wm_diag *d = wm_error(r->unit, WM_E0130, a->name->span, "the argument %s is given twice",
                                  wm_quote(r->unit, a->name->text));
            wm_diag_also(r->unit, d, first->name->span, "the first");
            *ok = false;
            break;
        }
        first = a;
    }
    return first;
}

static void check_arguments(wm_resolver *r, const wm_decl *decl, const wm_call *call, bool *ok)
{
    for (const wm_arg *a = call ? call->args : NULL; a; a = a->next) {
        const wm_param *p = decl->item->params;
        wm_near near;
        wm_near_init(&near, a->name->text);
        for (; p && !wm_str_eq(p->name->text, a->name->text); p = p->next)
            wm_near_try(&near, p->name->text);
        if (p)
            continue;
        wm_diag *d = wm_error(r->unit, WM_E0129, a->name->span, "the %s %s has no parameter %s",
                              kind_of(decl), wm_quote(r->unit, decl->name), wm_quote(r->unit, a->name->text));
        wm_diag_also(r->unit, d, decl->span, "declared here");
        wm_diag_near(r->unit, d, &near);
        *ok = false;
    }
}

const wm_scope *wm_bind_arguments(wm_resolver *r, const wm_scope *caller, const wm_decl *decl,
                                  const wm_call *call, wm_span at)
{
    wm_scope *scope = wm_new(r->unit->arena, wm_scope, 1);
    *scope = (wm_scope){.up = decl->file->scope, .use = at, .caller = call ? caller : NULL};
    uint32_t count = 0;
    for (const wm_param *p = decl->item->params; p; p = p->next)
        count++;
    wm_named *items = wm_new(r->unit->arena, wm_named, count);
    scope->items = items;
    bool ok = true;
    check_arguments(r, decl, call, &ok);
    bool misspelt = !ok; /* what such an argument was meant for is not missing as well */
    for (const wm_param *p = decl->item->params; p; p = p->next) {
        wm_named *n = &items[scope->count];
        for (uint32_t i = 0; i < scope->count; i++) {
            if (!wm_str_eq(items[i].name, p->name->text))
                continue;
            wm_diag *d = wm_error(r->unit, WM_E0123, p->name->span, "two parameters are called %s",
                                  wm_quote(r->unit, p->name->text));
            wm_diag_also(r->unit, d, items[i].span, "the first");
            return NULL;
        }
        const wm_arg *arg = find_argument(r, call, p, &ok);
        wm_evaluated done = WM_EVAL_ERROR;
        if (arg && arg->value->kind == WM_EX_ANY && decl->item->kind == WM_IT_MAP) {
            wm_error(r->unit, WM_E0131, arg->value->span,
                     "a map's argument has a value: only extents of an architecture are solved");
        } else if (arg) {
            done = wm_eval(r->unit, caller, NULL, arg->value, &n->value);
        } else if (p->value) {
            done = wm_eval(r->unit, scope, NULL, p->value, &n->value);
        } else if (!misspelt) {
            wm_diag *d =
                wm_error(r->unit, WM_E0131, at, "the parameter %s of the %s %s has no value",
                         wm_quote(r->unit, p->name->text), kind_of(decl), wm_quote(r->unit, decl->name));
            wm_diag_also(r->unit, d, p->name->span, "declared here, without a default");
        }
        ok &= done != WM_EVAL_ERROR;
        n->name = p->name->text;
        n->span = p->name->span;
        n->state = done == WM_EVAL_OK        ? WM_DECL_DONE
                   : done == WM_EVAL_UNKNOWN ? WM_DECL_UNKNOWN
                                             : WM_DECL_FAILED;
        scope->count++; /* a default may use the parameters before it */
    }
    return ok ? scope : NULL;
}
