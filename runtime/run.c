/* run.c: wmap_run: do the sources fit the plan, can the format hold the targets; then the work (work.c), and
 * the output takes its name. */
#include "runtime/run.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "runtime/base/text.h"
#include "runtime/decode.h"
#include "runtime/fit.h"
#include "runtime/scratch.h"
#include "runtime/writer.h"

/* ---- do the sources fit? ---- */

/* What does not fit: the first of it in the order of the plan is told, the rest counted. */
typedef struct misfit {
    uint64_t count;
    wmap_error *err;
} misfit;

static void no_fit(misfit *m, const char *file, const char *name, size_t len, const char *text)
{
    if (m->count++ == 0) {
        wm_fail(m->err, WMAP_E_MISMATCH, "%s", text);
        wm_error_file(m->err, file);
        wm_error_tensor(m->err, name, len);
    }
}

/* Does a move read a source, itself or what is decoded from it? */
static bool reads(const wmap_plan *plan, const Wmap__Move *m, size_t source)
{
    for (size_t k = 0; k < m->n_sources; k++) {
        size_t tensor = m->sources[k]->tensor, sources = plan->message->n_sources;
        const Wmap__Decode *d = tensor < sources ? NULL : plan->message->decodes[tensor - sources];
        if (d ? d->source == source || d->scales == source : tensor == source)
            return true;
    }
    return false;
}

/* ", as FILE:LINE:COLUMN reads it", "" if nothing does. */
static char *used_at(const wmap_plan *plan, size_t source, char *out, size_t size)
{
    char place[256];
    out[0] = 0;
    for (size_t i = 0; i < plan->message->n_moves; i++) {
        const Wmap__Move *m = plan->message->moves[i];
        if (reads(plan, m, source)) {
            if (wm_move_place(plan, m, place, sizeof place)[0])
                snprintf(out, size, ", which %s reads", place);
            break;
        }
    }
    return out;
}

static char *shape_text(const wmap_tensor *t, char *out, size_t size)
{
    size_t used = (size_t)snprintf(out, size, "[");
    for (uint32_t d = 0; d < t->rank && used < size; d++)
        used += (size_t)snprintf(out + used, size - used, "%s%" PRIu64, d ? " " : "", t->shape[d]);
    if (used < size)
        snprintf(out + used, size - used, "]");
    return out;
}

static const char *dtype_text(const wmap_tensor *t)
{
    return t->dtype == WMAP_OPAQUE ? "no tensor" : wmap_dtype_name(t->dtype);
}

static bool same_shape(const wmap_tensor *a, const wmap_tensor *b)
{
    return a->rank == b->rank &&
           (a->rank == 0 || memcmp(a->shape, b->shape, a->rank * sizeof *a->shape) == 0);
}

/* Source `index` of the plan against what was found. */
static void compare(const wm_run *run, size_t index, const bool *checked, const char *only_file, misfit *m)
{
    const wmap_tensor *want = &run->plan->sources[index];
    const wm_found *f = &run->found[index];
    char text[1400], used[300], wanted[300], has[300];
    if (run->plan->message->sources[index]->dropped && !checked[index])
        return; /* left behind, whatever it is, and if it isn't there so much the better */
    const wmap_tensor *got = f->archive ? &f->archive->entries[f->entry].tensor : NULL;
    if (got && got->dtype == want->dtype && same_shape(got, want))
        return;
    if (m->count > 0) {
        m->count++; /* only the first is told, and finding the words looks at all moves */
        return;
    }
    used_at(run->plan, index, used, sizeof used);
    if (!got) {
        snprintf(text, sizeof text, "the plan wants a tensor of this name%s; there is none", used);
        no_fit(m, only_file, want->name, want->name_len, text);
        return;
    }
    shape_text(want, wanted, sizeof wanted);
    shape_text(got, has, sizeof has);
    snprintf(text, sizeof text, "the plan wants %s %s%s; the file has %s %s", dtype_text(want), wanted, used,
             dtype_text(got), has);
    no_fit(m, wmap_archive_path(f->archive), want->name, want->name_len, text);
}

/* The name of an entry as the plan knows it. */
static const char *full_name(wm_arena *arena, const char *prefix, const wmap_tensor *t, size_t *len)
{
    size_t before = prefix ? strlen(prefix) : 0;
    *len = t->name_len;
    if (before == 0)
        return t->name;
    *len += before + 1;
    char *name = wm_alloc(arena, *len + 1);
    if (name) {
        memcpy(name, prefix, before);
        name[before] = '/';
        memcpy(name + before + 1, t->name, t->name_len);
    }
    return name;
}

static bool no_memory(wmap_error *err)
{
    return wm_fail(err, WMAP_E_NOMEM, "out of memory");
}

/* Finds the entries of one archive in the plan. `extra` gets those that the plan doesn't know. */
static bool match_archive(wm_run *run, const wm_map *names, wmap_archive *archive, const char *prefix,
                          misfit *extra, wmap_error *err)
{
    for (size_t i = 0; i < archive->entry_count; i++) {
        const wmap_tensor *t = &archive->entries[i].tensor;
        size_t len;
        const char *name = full_name(&run->arena, prefix, t, &len);
        if (!name)
            return no_memory(err);
        uint32_t index = wm_map_get(names, name, len);
        if (index == WM_MAP_NONE) {
            if (t->dtype != WMAP_OPAQUE && !run->options->partial)
                no_fit(extra, wmap_archive_path(archive), name, len,
                       "the plan knows no tensor of this name, neither used nor dropped");
        } else if (run->found[index].archive) {
            no_fit(extra, wmap_archive_path(archive), name, len,
                   "two of the files hold a tensor of this name");
        } else {
            run->found[index] = (wm_found){archive, (uint32_t)i};
        }
    }
    return true;
}

static bool open_decoded(wm_run *run, wmap_error *err)
{
    const Wmap__Plan *p = run->plan->message;
    run->decoded = wm_decoded_open(run->plan, run->found, err);
    for (size_t i = 0; run->decoded && i < p->n_decodes; i++)
        run->found[p->n_sources + i] = (wm_found){run->decoded, (uint32_t)i};
    return run->decoded != NULL;
}

static bool match_sources(wm_run *run, wmap_archive *const *sources, const char *const *prefixes,
                          size_t count, wmap_error *err)
{
    const wmap_plan *plan = run->plan;
    size_t wanted = plan->message->n_sources;
    wmap_error extra_err;
    misfit missing = {0, err}, extra = {0, &extra_err};
    wm_map names;
    bool oom = false;
    run->found = wm_new(&run->arena, wm_found, wanted + plan->message->n_decodes);
    wm_map_init(&names, &run->arena, wanted);
    for (size_t i = 0; run->found && !oom && i < wanted; i++)
        wm_map_put(&names, plan->sources[i].name, plan->sources[i].name_len, (uint32_t)i, &oom);
    bool *checked = wm_new(&run->arena, bool, wanted);
    if (!run->found || !checked || oom)
        return no_memory(err);
    for (size_t i = wm_first_guard(plan); i < plan->message->n_moves; i++)
        if (plan->message->moves[i]->sources[0]->tensor < wanted) /* not decoded */
            checked[plan->message->moves[i]->sources[0]->tensor] = true;
    for (size_t i = 0; i < count; i++)
        if (!match_archive(run, &names, sources[i], prefixes ? prefixes[i] : NULL, &extra, err))
            return false;
    for (size_t i = 0; i < wanted; i++)
        compare(run, i, checked, count == 1 ? wmap_archive_path(sources[0]) : NULL, &missing);
    uint64_t all = missing.count + extra.count;
    if (all == 0)
        return plan->message->n_decodes == 0 || open_decoded(run, err);
    if (missing.count == 0 && err)
        *err = extra_err;
    return wm_error_more(err, all - 1);
}

/* ---- can the format hold the targets? ---- */

/* Is it a folder, or to be one? */
static bool is_folder(const char *path)
{
    struct stat st;
    size_t len = strlen(path);
    return (len && path[len - 1] == '/') || (stat(path, &st) == 0 && S_ISDIR(st.st_mode));
}

/* The format that the spec's model is stored in: its name, or what such files are called by. */
static const wm_format *format_of_spec(const wmap_plan *plan)
{
    char path[WM_PLAN_MAX_FORMAT + 3];
    const char *name = wm_plan_last(plan)->message->format;
    const wm_format *f = wm_format_named(name);
    if (!*name)
        return NULL;
    snprintf(path, sizeof path, "x.%s", name);
    f = f ? f : wm_format_of_suffix(path);
    return f && f->layout ? f : NULL;
}

/* By name, by the suffix, or as the template has it, if the suffix's format knows nothing of templates:
 * `.ckpt` is PyTorch's, but not beside a TensorFlow checkpoint. Last, as the spec says. */
static const wm_format *format_for(const wmap_run_options *o, const wmap_plan *plan, wmap_error *err)
{
    const wm_format *f = NULL;
    const char *why = "its suffix is that of no format: say which one (--to-format)";
    if (o->to_format) {
        return wm_format_to_write(o->to_format, err);
    } else {
        if (strcmp(o->output, "-") == 0)
            why = "standard output has no suffix: say which format (--to-format)";
        else if (is_folder(o->output))
            why = "a folder has no suffix: say which format (--to-format)";
        else
            f = wm_format_of_suffix(o->output);
        if (o->like && (!f || !f->likes) && o->like->format->likes)
            f = o->like->format;
        if (!f)
            f = format_of_spec(plan);
        if (!f) {
            wm_fail(err, WMAP_E_USAGE, "%s", why);
            wm_error_file(err, strcmp(o->output, "-") == 0 ? "standard output" : o->output);
        }
    }
    if (!f || wm_format_to_write(f->name, err))
        return f;
    wm_error_file(err, o->output);
    return NULL;
}

static const wm_run *run_of(const wm_writer *writer)
{
    return (const wm_run *)((const char *)writer - offsetof(wm_run, writer));
}

static bool put(wm_writer *writer, uint32_t part, uint64_t offset, const void *bytes, size_t size,
                wmap_error *err)
{
    return wm_output_put(&run_of(writer)->output, part, offset, bytes, size, err);
}

static void warn(wm_writer *writer, const char *text)
{
    const wmap_run_options *o = run_of(writer)->options;
    if (o->warning)
        o->warning(o->user, text);
}

/* Where the output goes: in a folder, under the name that the format's files have there. */
static const char *output_path(wm_run *run, const wm_format *format, wmap_error *err)
{
    const char *path = run->options->output;
    if (!path)
        return "";
    if (strcmp(path, "-") == 0 || !*path || !is_folder(path))
        return path;
    if (!format->in_folder) {
        wm_fail(err, WMAP_E_USAGE, "this is a folder, and %s files have no usual name: give them one",
                format->name);
        wm_error_file(err, path);
        return NULL;
    }
    const char *slash = path[strlen(path) - 1] == '/' ? "" : "/";
    const char *full = wm_format_text(&run->arena, "%s%s%s", path, slash, format->in_folder);
    if (!full)
        no_memory(err);
    return full;
}

/* What is asked for beside the tensors: can the format do it? */
static bool check_wishes(const wm_run *run, const wm_format *format, wmap_error *err)
{
    const wmap_run_options *o = run->options;
    if (o->shard_size && !format->shards)
        return wm_fail(err, WMAP_E_USAGE, "%s files (%s) cannot be split (--shard-size)", format->name,
                       format->title);
    if (o->like && !format->likes)
        return wm_fail(err, WMAP_E_USAGE, "%s files (%s) are not written after a template (--like)",
                       format->name, format->title);
    return true;
}

static bool lay_out(wm_run *run, const wm_format *format, wmap_archive *const *sources, size_t source_count,
                    wmap_error *err)
{
    size_t clashes;
    wm_writer *w = &run->writer;
    *w = (wm_writer){.format = format,
                     .path = output_path(run, format, err),
                     .arena = &run->arena,
                     .like = run->options->like,
                     .shard_size = run->options->shard_size,
                     .put = put,
                     .warn = warn};
    if (!w->path || !check_wishes(run, format, err) ||
        !wm_writer_gather(w, run->plan, sources, source_count, &clashes, err))
        return false;
    if (!wm_fit_targets(w, run->plan, run->found, err))
        return wm_error_file(err, run->options->output);
    wm_writer_tell_lost(w, clashes);
    return true;
}

/* ---- the run ---- */

/* Headers alone can be compiled for, not run over. */
static bool have_data(wmap_archive *const *sources, size_t count, wmap_error *err)
{
    for (size_t i = 0; i < count; i++)
        if (sources[i]->format->hollow) {
            wm_fail(err, WMAP_E_UNSUPPORTED, "this is a %s: it has names, dtypes and shapes, and no weights",
                    sources[i]->format->name);
            return wm_error_file(err, wmap_archive_path(sources[i]));
        }
    return true;
}

static bool open_output(wm_run *run, wmap_error *err)
{
    const wmap_run_options *o = run->options;
    run->output = (wm_output){.path = run->writer.path,
                              .force = o->force,
                              .no_sync = o->no_sync,
                              .make_folder = o->output[strlen(o->output) - 1] == '/'};
    return wm_output_open(&run->output, run->writer.parts, run->writer.part_count, err);
}

static bool write_output(wm_run *run, wmap_error *err)
{
    /* Opened first: what the disk has no room for costs no memory. */
    if (!open_output(run, err))
        return false;
    if (!wm_run_plan_jobs(run, err) || !wm_run_work(run, err) ||
        !run->writer.format->finish(&run->writer, err)) {
        wm_output_abandon(&run->output);
        return false;
    }
    return wm_output_commit(&run->output, err);
}

/* The format to write; NULL if a dry run names none. */
static bool choose_format(const wmap_run_options *o, const wmap_plan *plan, const wm_format **format,
                          wmap_error *err)
{
    bool named = o->output || o->to_format;
    *format = NULL;
    if (!o->dry_run && (!o->output || !o->output[0]))
        return wm_fail(err, WMAP_E_USAGE, "no output is named");
    if (named)
        *format = format_for(o, plan, err);
    return !named || *format;
}

static bool run_all(wm_run *run, wmap_archive *const *sources, const char *const *prefixes, size_t count,
                    wmap_error *err)
{
    bool to_file = !run->options->dry_run;
    const wm_format *format;
    if (!choose_format(run->options, run->plan, &format, err) ||
        !match_sources(run, sources, prefixes, count, err) ||
        (format && !lay_out(run, format, sources, count, err)))
        return false;
    return !to_file || (have_data(sources, count, err) && write_output(run, err));
}

/* Metadata go on with the tensors. */
static bool keep_metas(wmap_archive *made, const wm_writer *w, wmap_error *err)
{
    for (size_t i = 0; i < w->meta_count; i++) {
        const wmap_meta *m = &w->metas[i].pair;
        if (!wm_archive_meta_add(made, m->key, m->key_len, m->value, m->value_len, w->metas[i].own, err))
            return false;
    }
    return true;
}

/* Writes to an unlinked file, as for standard output, and keeps it. */
static wmap_archive *run_to_scratch(wm_run *run, wmap_archive *const *sources, const char *const *prefixes,
                                    size_t count, const char *label, wmap_error *err)
{
    wmap_archive *made = NULL;
    const wm_writer *w = &run->writer;
    if (!match_sources(run, sources, prefixes, count, err) ||
        !lay_out(run, &wm_scratch_format, sources, count, err))
        return NULL;
    run->output = (wm_output){.path = "-", .no_sync = true};
    if (!wm_output_open(&run->output, w->parts, w->part_count, err))
        return NULL;
    if (wm_run_plan_jobs(run, err) && wm_run_work(run, err)) {
        int fd = fcntl(run->output.fds[0], F_DUPFD_CLOEXEC, 3);
        if (fd >= 0)
            made = wm_scratch_open(label, fd, w->targets, w->count, err);
        else
            wm_fail_errno(err, WMAP_E_IO, errno, "cannot keep a temporary file");
    }
    wm_output_abandon(&run->output);
    if (!made || keep_metas(made, w, err))
        return made;
    wmap_archive_close(made);
    return NULL;
}

/* One stage, to a scratch archive. */
static wmap_archive *scratch_stage(const wmap_plan *plan, wmap_archive *const *sources,
                                   const char *const *prefixes, size_t count, const char *label,
                                   const wmap_run_options *options, wm_census *census, wmap_error *err)
{
    wm_run run = {.plan = plan, .options = options};
    wm_arena_init(&run.arena);
    pthread_mutex_init(&run.lock, NULL);
    wmap_archive *made = run_to_scratch(&run, sources, prefixes, count, label, err);
    wm_census_add(census, &run.census);
    wmap_archive_close(run.decoded);
    pthread_mutex_destroy(&run.lock);
    wm_arena_release(&run.arena);
    return made;
}

/* All stages of a chain but the last, each over what the one before it gave: the source of the last, which
 * is left in `*plan`. */
static wmap_archive *scratch_stages(const wmap_plan **plan, wmap_archive *const *sources,
                                    const char *const *prefixes, size_t count,
                                    const wmap_run_options *options, wm_census *census, wmap_error *err)
{
    wmap_archive *made = NULL;
    wmap_run_options each = {
        .output = "-", .jobs = options->jobs, .progress = options->progress, .user = options->user};
    for (each.partial = options->partial; (*plan)->next; *plan = (*plan)->next, each.partial = false) {
        char label[300], map[200];
        const char *name = (*plan)->message->map;
        snprintf(label, sizeof label, "what %s gives", wm_show(map, sizeof map, name, strlen(name)));
        wmap_archive *next = scratch_stage(*plan, made ? &made : sources, made ? NULL : prefixes,
                                           made ? 1 : count, label, &each, census, err);
        wmap_archive_close(made);
        if (!next)
            return NULL;
        made = next;
    }
    return made;
}

wmap_archive *wmap_run_scratch(const wmap_plan *plan, wmap_archive *const *sources,
                               const char *const *prefixes, size_t count, const wmap_run_options *given,
                               const char *label, wmap_error *err)
{
    wmap_run_options options = {.output = "-"};
    wmap_archive *before = NULL;
    wm_census unsaid = {0};
    if (given) {
        options.jobs = given->jobs;
        options.partial = given->partial;
        options.progress = given->progress;
        options.user = given->user;
    }
    if (plan->next && !(before = scratch_stages(&plan, sources, prefixes, count, &options, &unsaid, err)))
        return NULL;
    options.partial &= !before;
    wmap_archive *made = scratch_stage(plan, before ? &before : sources, before ? NULL : prefixes,
                                       before ? 1 : count, label, &options, &unsaid, err);
    wmap_archive_close(before);
    return made;
}

wmap_archive *wm_scratch_run(const wmap_plan *plan, wmap_archive *const *sources, const char *const *prefixes,
                             size_t count, const char *label, wmap_error *err)
{
    wmap_run_options options = {.jobs = 1}; /* what has no file is small */
    return wmap_run_scratch(plan, sources, prefixes, count, &options, label, err);
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* What a run leaves to be told. */
typedef struct ending {
    uint64_t bytes;
    wm_census census;
} ending;

/* A plan of one stage. */
static bool run_one(const wmap_plan *plan, wmap_archive *const *sources, const char *const *prefixes,
                    size_t count, const wmap_run_options *options, ending *end, wmap_error *err)
{
    wm_run run = {.plan = plan, .options = options};
    wm_arena_init(&run.arena);
    pthread_mutex_init(&run.lock, NULL);
    bool ok = run_all(&run, sources, prefixes, count, err);
    end->bytes = run.total;
    wm_census_add(&end->census, &run.census);
    if (run.writer.format && run.writer.format->drop)
        run.writer.format->drop(&run.writer);
    wmap_archive_close(run.decoded);
    pthread_mutex_destroy(&run.lock);
    wm_arena_release(&run.arena);
    return ok;
}

/* Whatever would keep the last stage from being written is found before the first one runs. */
static bool check_end(const wmap_plan *last, const wmap_run_options *options, wmap_error *err)
{
    wmap_run_options quiet = *options;
    wm_run run = {.plan = last, .options = &quiet};
    const wm_format *format;
    quiet.warning = NULL; /* the run itself warns */
    if (!choose_format(options, last, &format, err))
        return false;
    wm_arena_init(&run.arena);
    bool ok = !format || lay_out(&run, format, NULL, 0, err);
    if (ok && !options->dry_run) {
        ok = open_output(&run, err);
        if (ok)
            wm_output_abandon(&run.output);
    }
    if (format && format->drop)
        format->drop(&run.writer);
    wm_arena_release(&run.arena);
    return ok;
}

static bool run_chain(const wmap_plan *plan, wmap_archive *const *sources, const char *const *prefixes,
                      size_t count, const wmap_run_options *options, ending *end, wmap_error *err)
{
    if (!check_end(wm_plan_last(plan), options, err))
        return false;
    if (options->dry_run) {
        wmap_run_options fit = {.dry_run = true, .partial = options->partial};
        return run_one(plan, sources, prefixes, count, &fit, end, err);
    }
    if (!have_data(sources, count, err))
        return false;
    wmap_archive *before = scratch_stages(&plan, sources, prefixes, count, options, &end->census, err);
    bool ok = before && run_one(plan, &before, NULL, 1, options, end, err);
    wmap_archive_close(before);
    return ok;
}

bool wmap_run(const wmap_plan *plan, wmap_archive *const *sources, const char *const *prefixes, size_t count,
              const wmap_run_options *options, wmap_run_stats *stats, wmap_error *err)
{
    double begin = seconds();
    ending end = {0};
    wmap_error unseen;
    bool ok = (plan->next ? run_chain : run_one)(plan, sources, prefixes, count, options, &end,
                                                 err ? err : &unseen);
    if (ok && stats) {
        *stats = (wmap_run_stats){.seconds = seconds() - begin};
        if (!options->dry_run) {
            stats->bytes = end.bytes;
            stats->casts = end.census.elements;
            stats->overflows = end.census.overflow;
            stats->underflows = end.census.underflow;
            stats->nans = end.census.nan;
            stats->tensors = wmap_plan_target_count(plan);
            for (const wmap_plan *p = plan; p; p = p->next)
                stats->guards += p->message->n_moves - wm_first_guard(p);
        }
    }
    return ok;
}
