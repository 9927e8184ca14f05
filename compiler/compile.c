/* compile.c: the driver. Text in, plan out: parse, resolve, layout, match, infer, prove, lower, emit, one
 * after the other. Everything lives in one arena; when memory runs out it jumps back here. */
#include "wmap/compile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "compiler/judge.h"
#include "compiler/parse.h"
#include "compiler/pass.h"
#include "compiler/resolve.h"
#include "compiler/tests.h"
#include "runtime/base/error.h"

/* ---- the sides ---- */

static void index_side(wm_unit *unit, wm_side *side)
{
    side->names = wm_new(unit->arena, wm_str, side->count);
    for (size_t i = 0; i < side->count; i++)
        side->names[i] = side->tensors[i].name;
    side->index = wm_names_index(unit, side->names, side->count);
    side->known = true;
}

static wm_str prefixed(wm_arena *arena, const char *prefix, const char *text, size_t text_len)
{
    if (!prefix || !*prefix)
        return (wm_str){text, (uint32_t)text_len};
    size_t len = strlen(prefix);
    char *name = wm_alloc(arena, len + 1 + text_len + 1);
    memcpy(name, prefix, len);
    name[len] = '/';
    memcpy(name + len + 1, text, text_len);
    return (wm_str){name, (uint32_t)(len + 1 + text_len)};
}

/* Indexes the sources with their aliases. One that two tensors have, or that is a name, is nobody's: each
 * file's own are distinct, but several files are one side. */
static void index_aliases(wm_unit *unit, const wmap_header *headers, size_t count, wm_side *side)
{
    wm_str *aliases = wm_new(unit->arena, wm_str, side->count);
    uint32_t at = 0;
    wm_map seen;
    wm_map_init(&seen, unit->arena, 0);
    for (size_t h = 0; h < count; h++)
        for (size_t i = 0; i < headers[h].count; i++, at++) {
            const char *alias = headers[h].aliases ? headers[h].aliases[i] : NULL;
            if (!alias || !*alias)
                continue;
            wm_str full = prefixed(unit->arena, headers[h].prefix, alias, strlen(alias));
            uint32_t first = wm_map_put(&seen, full.p, full.len, at, NULL);
            if (first == WM_MAP_NONE && wm_names_find(side->index, full) == WM_NO_NAME)
                aliases[at] = full;
            else if (first != WM_MAP_NONE)
                aliases[first] = (wm_str){NULL, 0};
        }
    side->aliases = aliases;
    side->index = wm_names_index_aliased(unit, side->names, aliases, side->count);
}

/* The tensors of some headers, joined. False with `err` filled if two have one name. */
static bool side_of_headers(wm_unit *unit, const wmap_header *headers, size_t count, wm_side *side,
                            wmap_error *err)
{
    size_t total = 0, at = 0;
    for (size_t h = 0; h < count; h++)
        total += headers[h].count;
    side->tensors = wm_new(unit->arena, wm_side_tensor, total);
    side->count = total;
    side->file = true;
    side->label = count ? headers[0].label : "";
    wm_map seen;
    wm_map_init(&seen, unit->arena, count > 1 ? total : 0);
    for (size_t h = 0; h < count; h++)
        for (size_t i = 0; i < headers[h].count; i++) {
            const wmap_tensor *t = &headers[h].tensors[i];
            wm_side_tensor *s = &side->tensors[at++];
            *s = (wm_side_tensor){.name = prefixed(unit->arena, headers[h].prefix, t->name, t->name_len),
                                  .dtype = t->dtype,
                                  .rank = t->rank,
                                  .shape = t->shape,
                                  .declared = &wm_nowhere_declared,
                                  .label = headers[h].label};
            if (count > 1 && wm_map_put(&seen, s->name.p, s->name.len, (uint32_t)h, NULL) != WM_MAP_NONE) {
                wm_fail(err, WMAP_E_USAGE,
                        "two source files have a tensor of this name; `--source s=FILE` puts `s/` "
                        "before the names of one");
                return wm_error_tensor(err, s->name.p, s->name.len);
            }
        }
    index_side(unit, side);
    return true;
}

static bool has_aliases(const wmap_header *headers, size_t count)
{
    for (size_t h = 0; h < count; h++)
        if (headers[h].aliases)
            return true;
    return false;
}

/* What is of any dtype is a float of an architecture: where it is read, and no file says more, f32. */
static void side_of_model(wm_unit *unit, const wm_model *model, bool read, wm_side *side)
{
    side->label = wm_format_text(unit->arena, "model %.*s", (int)model->name.len, model->name.p);
    side->count = model->count;
    side->tensors = wm_new(unit->arena, wm_side_tensor, model->count);
    for (size_t i = 0; i < model->count; i++) {
        const wm_declared *d = &model->tensors[i];
        side->tensors[i] = (wm_side_tensor){.name = d->name,
                                            .dtype = read && !d->dtype ? WMAP_F32 : d->dtype,
                                            .rank = d->rank,
                                            .shape = d->shape,
                                            .excused = !read && d->optional,
                                            .declared = d,
                                            .label = side->label};
    }
    index_side(unit, side);
}

/* A file must agree with its model: E0525 to E0527. The spans of the declarations are kept for later
 * messages. */
static void compare_model(wm_unit *unit, const wm_model *model, wm_side *file)
{
    wm_map declared;
    wm_map_init(&declared, unit->arena, model->count);
    for (size_t i = 0; i < model->count; i++) {
        const wm_declared *d = &model->tensors[i];
        wm_map_put(&declared, d->name.p, d->name.len, (uint32_t)i, NULL);
        size_t at = wm_names_find(file->index, d->name);
        if (at == WM_NO_NAME && d->optional)
            continue;
        if (at == WM_NO_NAME) {
            wm_diag *e = wm_error(unit, WM_E0525, d->span, "%s lacks the tensor %s of the model", file->label,
                                  wm_quote(unit, d->name));
            wm_near near;
            wm_near_init(&near, d->name);
            for (size_t n = 0; n < file->count && n < 10000 && i < 20; n++)
                wm_near_try(&near, file->names[n]);
            wm_diag_near(unit, e, &near);
            continue;
        }
        wm_side_tensor *t = &file->tensors[at];
        t->declared = d;
        bool same = t->rank == d->rank &&
                    (d->rank == 0 || memcmp(t->shape, d->shape, d->rank * sizeof *d->shape) == 0);
        if (same && (t->dtype == d->dtype || !d->dtype))
            continue;
        wm_error(unit, WM_E0527, same ? d->dtype_span : d->shape_span, "%s is %s in %s, the model says %s",
                 wm_quote(unit, d->name), wm_show_type(unit, t->dtype, t->rank, t->shape), t->label,
                 wm_show_type(unit, d->dtype, d->rank, d->shape));
    }
    size_t extra = 0, first = 0;
    for (size_t n = 0; n < file->count; n++)
        if (wm_map_get(&declared, file->names[n].p, file->names[n].len) == WM_MAP_NONE && extra++ == 0)
            first = n;
    if (extra == 0)
        return;
    wm_diag *e = wm_error(unit, WM_E0526, model->span, "%s has %zu tensor%s that the model lacks",
                          file->label, extra, extra == 1 ? "" : "s");
    size_t said = 0;
    for (size_t n = first; n < file->count && said < 10; n++)
        if (wm_map_get(&declared, file->names[n].p, file->names[n].len) == WM_MAP_NONE && ++said)
            wm_diag_note(
                unit, e, "%s   %s", wm_quote(unit, file->names[n]),
                wm_show_type(unit, file->tensors[n].dtype, file->tensors[n].rank, file->tensors[n].shape));
}

/* ---- sides that maps make ---- */

/* What a map gives, as the source of another. */
static void side_of_result(wm_unit *unit, const wm_state *before, wm_side *side)
{
    side->label = before->program->map.len
                      ? wm_format_text(unit->arena, "what %.*s gives", (int)before->program->map.len,
                                       before->program->map.p)
                      : "the result";
    side->count = before->written_count;
    side->tensors = wm_new(unit->arena, wm_side_tensor, side->count);
    for (size_t i = 0; i < side->count; i++) {
        const wm_out *out = &before->outs[before->written[i]];
        side->tensors[i] = (wm_side_tensor){.name = out->name,
                                            .dtype = out->dtype,
                                            .rank = out->rank,
                                            .shape = out->shape,
                                            .declared = &wm_nowhere_declared,
                                            .label = side->label};
    }
    index_side(unit, side);
}

/* A side once more, with the names by which rules know its tensors, without those that are dropped for good,
 * and with nothing that is known of its use. */
static void side_again(wm_unit *unit, const wm_side *from, bool without_dropped, const wm_map *placed,
                       wm_side *side)
{
    side->label = from->label;
    side->tensors = wm_new(unit->arena, wm_side_tensor, from->count);
    for (size_t i = 0; i < from->count; i++) {
        const wm_side_tensor *t = &from->tensors[i];
        if (without_dropped && t->dropped &&
            (!placed || wm_map_get(placed, t->name.p, t->name.len) == WM_MAP_NONE))
            continue;
        side->tensors[side->count++] = (wm_side_tensor){.name = t->called.len ? t->called : t->name,
                                                        .dtype = t->dtype ? t->dtype : WMAP_F32,
                                                        .rank = t->rank,
                                                        .shape = t->shape,
                                                        .declared = t->declared,
                                                        .label = t->label};
    }
    index_side(unit, side);
}

/* The sides against which the other direction of some stages is compiled; gives all names of what its `has`
 * asks about. What a run in reverse is given need not be all that a forward run needs: fills, what it drops.
 */
static wm_names *turn_sides(wm_unit *unit, const wm_state *stages, size_t count, wm_side *source,
                            wm_side *target)
{
    const wm_state *last = &stages[count - 1];
    const wm_side *asked = &stages->source;
    if (last->reverse && last->target.known)
        side_again(unit, &last->target, false, NULL, source);
    else
        side_of_result(unit, last, source);
    side_again(unit, asked, !stages->reverse, stages->program->placed, target);
    return asked->aliases ? wm_names_index_aliased(unit, asked->names, asked->aliases, asked->count)
                          : wm_names_index(unit, asked->names, asked->count);
}

/* ---- the passes ---- */

typedef struct compilation {
    const wmap_compile_options *options;
    wm_arena arena, scratch, forms;
    wm_unit unit;
    wm_state *states; /* one a stage of the map, in the order in which they run */
    size_t state_count, state_cap;
    char *text; /* malloc, if it was read from a file */
    size_t size;
    struct stat st;
    uint32_t file;
    wm_ast *ast;
    const struct compilation *from; /* whose tree this is; NULL: the text is to be parsed */
    const struct compilation
        *first;     /* of the direction that was compiled before this one; NULL: this is it */
    bool took_part; /* a file's header */
} compilation;

/* The text and the tree of a compilation that lives longer: of all that was parsed they alone are never
 * written again. */
static void borrow_spec(compilation *c, const compilation *from)
{
    wm_unit *unit = &c->unit;
    c->file = (uint32_t)unit->source_count;
    wm_source *source = wm_new(unit->arena, wm_source, 1);
    *source = *from->unit.sources[from->file];
    *wm_push(unit->arena, unit->sources, unit->source_count, unit->source_cap) = source;
    c->ast = from->ast;
}

static void parse_spec(compilation *c)
{
    const wmap_compile_options *o = c->options;
    if (c->from) {
        borrow_spec(c, c->from);
        return;
    }
    c->file = o->text ? wm_add_source(&c->unit, o->path ? o->path : "-e", o->text, o->text_len)
                      : wm_lend_source(&c->unit, o->path, c->text, c->size);
    wm_source *source = c->unit.sources[c->file];
    source->rules_only = o->rules_only;
    if (!o->text) {
        source->path = wm_copy(&c->arena, o->path, strlen(o->path));
        source->dev = (uint64_t)c->st.st_dev;
        source->ino = (uint64_t)c->st.st_ino;
    }
    c->ast = wm_parse(&c->unit, c->file);
}

/* Two casts that send one dtype to different ones; turned, two that send different ones to one. */
static void report_casts(wm_state *s, const wm_cast *cast, const wm_cast *before)
{
    wm_diag *d =
        cast->back
            ? wm_error(s->unit, WM_E0704, cast->span, "was it %s or %s before it was cast to %s?",
                       wmap_dtype_name(before->to), wmap_dtype_name(cast->to), wmap_dtype_name(cast->from))
            : wm_error(s->unit, WM_E0123, cast->span, "%s is cast to %s here, but to %s elsewhere in the map",
                       wmap_dtype_name(cast->from), wmap_dtype_name(cast->to), wmap_dtype_name(before->to));
    wm_diag_also(s->unit, d, before->span, "first here");
    if (cast->back)
        wm_diag_hint(
            s->unit, d,
            "name a file like the one to be written with `--target-like`, or declare it with `map ... from`");
}

static void collect_casts(wm_state *s)
{
    for (size_t i = 0; i < s->program->count; i++) {
        const wm_line *line = &s->program->lines[i];
        if (line->kind != WM_LINE_CAST || line->poisoned)
            continue;
        const wm_cast *before = NULL, *same = NULL;
        for (size_t c = 0; c < s->cast_count; c++) {
            if (s->casts[c].from != line->cast->from)
                continue;
            before = before ? before : &s->casts[c];
            same = s->casts[c].to == line->cast->to ? &s->casts[c] : same;
        }
        bool told = line->cast->back && s->target.known; /* tensor by tensor */
        if (before && !same && !told)
            report_casts(s, line->cast, before);
        if (!before || (!same && told))
            *wm_push(s->unit->arena, s->casts, s->cast_count, s->cast_cap) = *line->cast;
    }
}

/* Without names nothing more can be checked than the form of each rule; `_` and diagonals need `else` even
 * so. */
static void check_forms(wm_state *s)
{
    for (size_t i = 0; i < s->program->count; i++) {
        const wm_line *line = &s->program->lines[i];
        if (line->poisoned || (line->kind != WM_LINE_RULE && line->kind != WM_LINE_FILL))
            continue;
        const wm_form *f = wm_layout_pass(s->unit, line);
        for (uint32_t t = 0; !f->failed && t < line->right_count; t++) {
            if (!f->right[t].unnamed || line->right[t].otherwise)
                continue;
            wm_diag *d = wm_error(s->unit, WM_E0513, line->right[t].layout->span,
                                  "the layout does not reach every element of the target");
            wm_diag_hint(s->unit, d, "say what the others are, as in `... else 0` after the layout");
        }
        wm_arena_clear(s->unit->scratch);
    }
}

/* Lines go through the passes in batches: what the passes keep of a line is many times its text, but of use
 * only until its moves are made. */
/* The outermost block around a line that declares axes. Lines within one are solved together. */
static const wm_axes *shared_block(const wm_line *line)
{
    const wm_axes *axes = line->axes;
    while (axes && axes->up)
        axes = axes->up;
    return axes;
}

void wm_finish_batch(wm_state *s)
{
    wm_infer_pass(s);
    wm_judge_instances(s);
    wm_prove_pass(s);
    wm_judge_batch(s);
    if (s->unit->errors == 0 && !wm_judges_only(s))
        wm_lower_pass(s);
    s->instances = NULL;
    s->instance_count = s->instance_cap = 0;
    wm_arena_clear(s->unit->scratch);
}

static void run_passes(wm_state *s)
{
    const wm_axes *before = NULL;
    /* Of an unknown target there are mostly as many as of the source. */
    size_t outs = s->target.known ? s->target.count : s->source.count;
    wm_map_init(&s->out_names, s->unit->arena, outs);
    s->outs = wm_grow(s->unit->arena, NULL, 0, outs, &s->out_cap, sizeof *s->outs);
    wm_map_init(&s->wanted, s->unit->arena, s->program->order_count);
    for (size_t i = 0; i < s->program->order_count; i++)
        wm_map_put(&s->wanted, s->program->order[i].p, s->program->order[i].len, (uint32_t)i, NULL);
    wm_map_init(&s->shared.map, s->unit->arena, 0);
    for (size_t i = 0; i < s->program->count; i++) {
        const wm_axes *axes = shared_block(&s->program->lines[i]);
        if (s->unit->scratch->used + s->forms->used >= WM_BATCH && (!axes || axes != before)) {
            wm_finish_batch(s);
            wm_arena_clear(s->forms);
        }
        before = axes;
        wm_match_line(s, &s->program->lines[i]);
    }
    wm_finish_batch(s);
    wm_arena_clear(s->forms);
    wm_match_drops(s);
    wm_prove_rest(s);
    wm_judge_rest(s);
    if (s->unit->errors == 0 && !wm_judges_only(s))
        wm_lower_kept(s);
}

/* One stage. Its source is set if it is known beyond what the map declares; so is the target. True if it was
 * proven for known names. */
static bool analyse_stage(compilation *c, wm_state *s)
{
    const wm_program *program = s->program;
    if (program->failed)
        return false;
    size_t poisoned = 0;
    for (size_t i = 0; i < program->count; i++)
        poisoned += program->lines[i].poisoned;
    s->rest_unknown = c->unit.errors > poisoned || (c->first && !s->reverse);
    bool given = c->first && c->state_count == 1, last = c->first && !program->then;
    if (program->source && s->source.known && !given)
        compare_model(&c->unit, program->source, &s->source);
    else if (program->source && !given)
        side_of_model(&c->unit, program->source, true, &s->source);
    if (program->target && s->target.known && !last)
        compare_model(&c->unit, program->target, &s->target);
    else if (program->target && !last)
        side_of_model(&c->unit, program->target, false, &s->target);
    collect_casts(s);
    wm_arena_clear(c->unit.scratch);
    if (!s->source.known) {
        check_forms(s);
        return false;
    }
    run_passes(s);
    return c->unit.errors == 0;
}

static void set_program(compilation *c, wm_state *s, wm_program *program)
{
    if (c->options->reverse && !program->failed)
        wm_reverse_pass(&c->unit, program);
    s->program = program;
}

static wm_state *add_state(compilation *c)
{
    const compilation *first = c->first;
    wm_state *s = wm_push(&c->arena, c->states, c->state_count, c->state_cap);
    *s = (wm_state){.unit = &c->unit, .forms = &c->forms, .reverse = c->options->reverse};
    if (first && c->state_count <= first->state_count)
        s->judge = wm_judge_new(&c->unit, &first->states[first->state_count - c->state_count]);
    else if (c->options->judge)
        s->judge = wm_judge_new(&c->unit, NULL);
    return s;
}

/* The options with which a map is compiled that reads what another one gives, or the other direction. */
static const wmap_compile_options *options_for(compilation *c, const wm_side *source)
{
    wmap_compile_options *options = wm_new(&c->arena, wmap_compile_options, 1);
    *options = *c->options;
    options->source_count = 0;
    if (!source->known)
        return options;
    wmap_header *header = wm_new(&c->arena, wmap_header, 1);
    wmap_tensor *tensors = wm_new(&c->arena, wmap_tensor, source->count);
    for (size_t i = 0; i < source->count; i++) {
        const wm_side_tensor *t = &source->tensors[i];
        tensors[i] = (wmap_tensor){.name = t->name.p,
                                   .name_len = t->name.len,
                                   .dtype = t->dtype,
                                   .rank = t->rank,
                                   .shape = t->shape};
    }
    *header = (wmap_header){.label = source->label, .tensors = tensors, .count = source->count};
    options->sources = header;
    options->source_count = 1;
    return options;
}

/* Those of the other direction. Without a file the sides are those of the models, there as here. */
static const wmap_compile_options *turned_options(compilation *c, const wm_side *source)
{
    wmap_compile_options *options = wm_new(&c->arena, wmap_compile_options, 1);
    *options = c->options->source_count ? *options_for(c, source) : *c->options;
    options->target = NULL; /* it is of the side that is read now */
    return options;
}

/* The stages behind the first; `target` is that of the last. What follows one that isn't proven for known
 * names is checked as if no file were given. */
static bool analyse_rest(compilation *c, bool proven, const wm_side *target)
{
    bool all = proven;
    while (c->unit.errors == 0 && c->states[c->state_count - 1].program->then) {
        wm_state *s = add_state(c);
        const wm_state *before = s - 1;
        if (proven)
            side_of_result(&c->unit, before, &s->source);
        set_program(
            c, s,
            wm_resolve_then(before->program, proven ? s->source.index : NULL, options_for(c, &s->source)));
        if (!s->program->then)
            s->target = *target;
        proven = analyse_stage(c, s);
        all &= proven;
    }
    return all;
}

/* The sides that headers tell. */
static bool read_sides(compilation *c, wm_side *source, wm_side *target, wmap_error *err)
{
    const wmap_compile_options *o = c->options;
    if (o->source_count && !side_of_headers(&c->unit, o->sources, o->source_count, source, err))
        return false;
    if (has_aliases(o->sources, o->source_count))
        index_aliases(&c->unit, o->sources, o->source_count, source);
    c->took_part = o->source_count || o->target;
    return !o->target || side_of_headers(&c->unit, o->target, 1, target, err);
}

/* Everything but the plan's bytes. True if the map was proven for known names. */
static bool analyse(compilation *c, wmap_error *err)
{
    wm_state *s = add_state(c);
    wm_side target = {0};
    wm_names *written = NULL;
    const wmap_compile_options *options = c->options;
    if (c->first) {
        written = turn_sides(&c->unit, c->first->states, c->first->state_count, &s->source, &target);
        options = turned_options(c, &s->source);
    } else if (!read_sides(c, &s->source, &target, err)) {
        return false;
    } else if (target.known) {
        written = target.index;
    }
    wm_names *read = s->source.known ? s->source.index : NULL;
    set_program(c, s, wm_resolve(&c->unit, c->file, c->ast, options, read, written));
    if (!s->program->then)
        s->target = target;
    return analyse_rest(c, analyse_stage(c, s), &target);
}

static bool unreadable(const wmap_compile_options *options, int number, wmap_error *err)
{
    wm_fail_errno(err, WMAP_E_IO, number, "cannot read the spec");
    return wm_error_file(err, options->path);
}

static bool read_spec(compilation *c, wmap_error *err)
{
    const wmap_compile_options *o = c->options;
    if (stat(o->path, &c->st) < 0)
        return unreadable(o, errno, err);
    bool regular = S_ISREG(c->st.st_mode);
    if (!regular || (uint64_t)c->st.st_size > WM_MAX_SPEC) {
        wm_fail(err, WMAP_E_IO, regular ? "a spec is at most 64 MiB" : "a spec is a regular file");
        return wm_error_file(err, o->path);
    }
    c->text = malloc((size_t)c->st.st_size + WM_TEXT_END);
    if (!c->text)
        return wm_fail(err, WMAP_E_NOMEM, "out of memory");
    ssize_t size = wm_read_text(o->path, c->text, (size_t)c->st.st_size, &c->st);
    if (size < 0)
        return unreadable(o, errno, err);
    c->size = (size_t)size;
    return true;
}

static bool begin(compilation *c, const wmap_compile_options *options, const compilation *from,
                  wmap_error *err)
{
    memset(c, 0, sizeof *c);
    c->options = options;
    c->from = from;
    wm_arena_init(&c->arena);
    wm_arena_init(&c->scratch);
    wm_arena_init(&c->forms);
    c->unit.arena = &c->arena;
    c->unit.scratch = &c->scratch;
    if (from)
        return true;
    if (!options->path && !options->text)
        return wm_fail(err, WMAP_E_USAGE, "no spec was given");
    if (options->text)
        return options->text_len <= WM_MAX_SPEC || wm_fail(err, WMAP_E_USAGE, "a spec is at most 64 MiB");
    return read_spec(c, err);
}

static void end(compilation *c)
{
    free(c->text);
    wm_arena_release(&c->arena);
    wm_arena_release(&c->scratch);
    wm_arena_release(&c->forms);
}

/* All arenas jump to the returned buffer when memory runs out. */
static jmp_buf *catch_oom(compilation *c)
{
    jmp_buf *oom = wm_arena_oom(&c->arena);
    wm_arena_oom_as(&c->scratch, &c->arena);
    wm_arena_oom_as(&c->forms, &c->arena);
    return oom;
}

/* What a caller wants of a compilation; the one that is not wanted is NULL. */
typedef struct wanted {
    uint8_t **bytes; /* a plan */
    size_t *size;
    const char *stage; /* a form, printed to `out` */
    FILE *out;
    wm_tests **tests;
    wmap_report **report;
    const compilation *from;
} wanted;

/* Compiles the other direction, too. */
static bool judge(const compilation *c, wmap_report *report, wmap_error *err)
{
    wmap_compile_options options = *c->options;
    options.reverse = !options.reverse;
    compilation *back = malloc(sizeof *back);
    if (!back)
        return wm_fail(err, WMAP_E_NOMEM, "out of memory");
    bool ok = begin(back, &options, c, err);
    back->first = c;
    jmp_buf *oom = catch_oom(back);
    if (setjmp(*oom)) {
        ok = wm_fail(err, WMAP_E_NOMEM, "out of memory");
    } else {
        parse_spec(back);
        analyse(back, err);
        wmap_reversal verdict = WMAP_REVERSAL_EXACT;
        for (size_t i = 0; i < back->state_count; i++) {
            wmap_reversal stage = wm_judge_verdict(&back->states[i]);
            verdict = stage > verdict ? stage : verdict;
        }
        if (back->unit.errors)
            verdict = WMAP_REVERSAL_NONE;
        wmap_report *reasons = wm_report_of(&back->unit, false);
        ok = reasons || wm_fail(err, WMAP_E_NOMEM, "out of memory");
        if (reasons)
            wm_report_judged(report, verdict, reasons);
    }
    end(back);
    free(back);
    return ok;
}

static bool make_plan(compilation *c, const wanted *w, wmap_error *err)
{
    uint8_t **bytes = w->bytes;
    size_t *size = w->size;
    wmap_report **report = w->report;
    wmap_error other = {0};
    bool ok = false;
    parse_spec(c);
    bool proven = analyse(c, &other);
    if (other.code != WMAP_OK) {
        if (err)
            *err = other;
        return false;
    }
    if (c->unit.errors)
        wm_fail(err, WMAP_E_SPEC, "the spec has errors");
    else if (proven && !wm_emit_pass(c->states, c->state_count, bytes, size))
        wm_fail(err, WMAP_E_NOMEM, "out of memory");
    else
        ok = true;
    *report = wm_report_of(&c->unit, c->took_part);
    if (*report && (!ok || !proven || !c->options->judge || judge(c, *report, err)))
        return ok;
    wmap_report_free(*report);
    *report = NULL;
    free(*bytes);
    *bytes = NULL;
    return wm_fail(err, WMAP_E_NOMEM, "out of memory");
}

static bool print_stage(compilation *c, const wanted *w, wmap_error *err)
{
    wmap_error other = {0};
    bool tree = strcmp(w->stage, "ast") == 0;
    parse_spec(c);
    if (tree)
        wm_ast_print(c->ast, w->out);
    else
        analyse(c, &other);
    bool derived = strcmp(w->stage, "derived") == 0;
    for (size_t i = 0; !tree && i < c->state_count; i++) {
        const wm_program *program = c->states[i].program;
        if (program && !derived)
            wm_program_print(&c->unit, program, w->out);
        else if (program && program->text && c->unit.errors == 0)
            fwrite(program->text, 1, program->text_len, w->out);
    }
    *w->report = wm_report_of(&c->unit, c->took_part);
    if (!*w->report)
        return wm_fail(err, WMAP_E_NOMEM, "out of memory");
    if (other.code != WMAP_OK && err)
        *err = other;
    if (other.code != WMAP_OK)
        return false;
    return c->unit.errors == 0 || wm_fail(err, WMAP_E_SPEC, "the spec has errors");
}

/* The tests of the spec; those of a text that has none are none, whatever else is wrong with it. */
static bool list_tests(compilation *c, const wanted *w, wmap_error *err)
{
    parse_spec(c);
    bool any = wm_find_test(c->ast, 1) || c->ast->failed;
    wm_tests *tests =
        any ? wm_resolve_tests(&c->unit, c->file, c->ast, c->options) : wm_new(c->unit.arena, wm_tests, 1);
    *w->report = wm_report_of(&c->unit, false);
    if (!*w->report)
        return wm_fail(err, WMAP_E_NOMEM, "out of memory");
    if (c->unit.errors)
        return wm_fail(err, WMAP_E_SPEC, "the spec has errors");
    tests->owner = c;
    *w->tests = tests;
    return true;
}

/* Between the setjmp and the end nothing but arena memory is held. */
static bool run(const wmap_compile_options *options, const wanted *w, wmap_error *err)
{
    compilation *c = malloc(sizeof *c); /* not on the stack: it must survive the jump */
    if (!c)
        return wm_fail(err, WMAP_E_NOMEM, "out of memory");
    bool ok = begin(c, options, w->from, err);
    if (!ok)
        goto done;
    jmp_buf *oom = catch_oom(c);
    if (setjmp(*oom))
        ok = wm_fail(err, WMAP_E_NOMEM, "out of memory");
    else
        ok = w->stage ? print_stage(c, w, err) : w->tests ? list_tests(c, w, err) : make_plan(c, w, err);
    if (ok && w->tests) { /* they live in it */
        c->arena.jump = c->scratch.jump = c->forms.jump = NULL;
        return true;
    }
done:
    end(c);
    free(c);
    return ok;
}

bool wmap_compile(const wmap_compile_options *options, uint8_t **bytes, size_t *size, wmap_report **report,
                  wmap_error *err)
{
    *bytes = NULL;
    *size = 0;
    *report = NULL;
    return run(options, &(wanted){.bytes = bytes, .size = size, .report = report}, err);
}

bool wmap_compile_stage(const wmap_compile_options *options, const char *stage, FILE *out,
                        wmap_report **report, wmap_error *err)
{
    *report = NULL;
    if (strcmp(stage, "ast") != 0 && strcmp(stage, "statements") != 0 && strcmp(stage, "derived") != 0)
        return wm_fail(err, WMAP_E_USAGE, "the stages are `ast`, `statements` and `derived`");
    return run(options, &(wanted){.stage = stage, .out = out, .report = report}, err);
}

wm_tests *wm_tests_open(const wmap_compile_options *options, wmap_report **report, wmap_error *err)
{
    wm_tests *tests = NULL;
    *report = NULL;
    run(options, &(wanted){.tests = &tests, .report = report}, err);
    return tests;
}

bool wm_tests_compile(const wm_tests *tests, const wmap_compile_options *options, uint8_t **bytes,
                      size_t *size, wmap_report **report, wmap_error *err)
{
    *bytes = NULL;
    *size = 0;
    *report = NULL;
    return run(options, &(wanted){.bytes = bytes, .size = size, .report = report, .from = tests->owner}, err);
}

void wm_tests_close(wm_tests *tests)
{
    compilation *c = tests ? tests->owner : NULL;
    if (!c)
        return;
    end(c);
    free(c);
}
