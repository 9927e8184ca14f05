/* work.c: a run's work: targets cut into ranges in file order, which threads take one after another. A range
 * is put together in memory from all moves that write to it, and written at once. So no two threads write the
 * same bytes, memory does not depend on the model, and the result not on the number of threads. */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/dtype.h"
#include "runtime/base/error.h"
#include "runtime/crc.h"
#include "runtime/run.h"
#include "runtime/spool.h"

#define READ_LEAST ((uint64_t)64 << 10) /* contiguous bytes that are read rather than mapped */

enum {
    THREADS_MOST = 256,
    GATHER = 256, /* elements of a cast whose target is not contiguous */
    PROGRESS_MS = 50
};

/* ---- failures ---- */

static void fail_job(wm_run *run, size_t job, const wmap_error *err)
{
    pthread_mutex_lock(&run->lock);
    if (job < run->failed) {
        run->failed = job;
        run->error = *err;
        atomic_store(&run->stop, job);
    }
    pthread_mutex_unlock(&run->lock);
}

/* ---- a move, within a range of its target ---- */

typedef struct task {
    uint8_t *out;     /* the range */
    uint8_t *staging; /* elements before a cast, at the same indices */
    uint64_t low;     /* the position that the range begins at */
    wm_program program;
    wm_view view;
    wmap_dtype from, to;
    uint32_t from_size, to_size;
    const char *path; /* of the source */
    uint64_t bad, first;
    bool overflow; /* what is bad left the range of a whole number */
    uint8_t element[WM_LARGEST_ELEMENT], expected[WM_LARGEST_ELEMENT];
    wm_census census; /* of casts */
    wmap_error *err;
    /* a program */
    const Wmap__Move *move;
    wm_value_room *room;
    uint8_t *inputs[WM_VALUE_SOURCES]; /* the elements of each source, as in `staging` */
    wmap_dtype dtypes[WM_VALUE_SOURCES];
} task;

/* Checks come before all targets. */
static uint32_t target_rank(const wm_run *run, uint32_t place)
{
    return (uint32_t)run->check_count + place;
}

static uint32_t job_rank(const wm_run *run, const wm_job *job)
{
    return job->check ? job->first : target_rank(run, job->first);
}

/* Counts elements that broke a promise. What comes after the first that has any is not worked on any more,
 * what comes up to it is worked on to its end: so what is said does not depend on who came first. */
static void note_guard(wm_run *run, uint32_t rank, const task *t)
{
    pthread_mutex_lock(&run->lock);
    wm_guard *g = &run->guard;
    if (rank < g->rank) {
        *g = (wm_guard){.rank = rank, .first = UINT64_MAX};
        atomic_store(&run->guarded, rank);
    }
    if (rank == g->rank) {
        g->count += t->bad;
        if (t->first < g->first) {
            g->first = t->first;
            g->from = t->from;
            g->overflow = t->overflow;
            memcpy(g->element, t->element, wmap_dtype_size(t->from));
            memcpy(g->expected, t->expected, sizeof g->expected);
            g->move = t->move;
        }
    }
    pthread_mutex_unlock(&run->lock);
}

static void note_casts(wm_run *run, const wm_census *census)
{
    pthread_mutex_lock(&run->lock);
    wm_census_add(&run->census, census);
    pthread_mutex_unlock(&run->lock);
}

static bool cut_off(const task *t)
{
    wm_fail(t->err, WMAP_E_CORRUPT, "the file was cut off, or cannot be read, while it was open");
    return wm_error_file(t->err, t->path);
}

/* Copies a part as it is: read if it is one long piece on both sides, else from the mapping. */
static bool fetch(const task *t, const wm_block *part, uint8_t *out)
{
    uint32_t size = t->from_size;
    bool line = part->count == 1 && part->axes[0].to == 1 && part->axes[0].from == 1;
    uint64_t bytes = line ? part->axes[0].extent * size : 0;
    if (bytes < READ_LEAST || t->view.fd < 0)
        return wm_trap_copy(part, out, t->view.bytes, size) || cut_off(t);
    uint64_t at = t->view.offset + (uint64_t)part->from * size;
    int64_t got = wm_pread(t->view.fd, out + part->to * (int64_t)size, (size_t)bytes, at);
    if (got < 0) {
        wm_fail_errno(t->err, WMAP_E_IO, errno, "cannot read");
        return wm_error_file(t->err, t->path);
    }
    return (uint64_t)got == bytes || cut_off(t);
}

/* `count` elements from `at` on, `step` apart, of which some fail. */
static void tally(task *t, uint64_t bad, size_t first, int64_t at, int64_t step, const uint8_t *element)
{
    uint64_t position = t->low + (uint64_t)(at + (int64_t)first * step);
    if (t->bad == 0 || position < t->first) {
        t->first = position;
        memcpy(t->element, element, t->from_size);
    }
    t->bad += bad;
}

static void cast_line(task *t, int64_t at, int64_t step, uint64_t count)
{
    size_t first = 0;
    if (step == 1) {
        const uint8_t *in = t->staging + at * (int64_t)t->from_size;
        uint64_t bad = wm_convert(t->from, t->to, t->program.policy, in, t->out + at * (int64_t)t->to_size,
                                  (size_t)count, &first);
        wm_cast_count(t->from, t->to, in, (size_t)count, &t->census);
        if (bad)
            tally(t, bad, first, at, 1, in + first * t->from_size);
        return;
    }
    uint8_t in[GATHER * WM_LARGEST_ELEMENT], out[GATHER * WM_LARGEST_ELEMENT];
    for (uint64_t done = 0; done < count;) {
        uint64_t n = count - done < GATHER ? count - done : GATHER;
        wm_block gather = {1, 0, 0, {{n, 1, step}}}, scatter = {1, 0, 0, {{n, step, 1}}};
        wm_block_copy(&gather, in, t->staging + at * (int64_t)t->from_size, t->from_size);
        uint64_t bad = wm_convert(t->from, t->to, t->program.policy, in, out, (size_t)n, &first);
        wm_cast_count(t->from, t->to, in, (size_t)n, &t->census);
        if (bad)
            tally(t, bad, first, at, step, in + first * t->from_size);
        wm_block_copy(&scatter, t->out + at * (int64_t)t->to_size, out, t->to_size);
        at += (int64_t)n * step;
        done += n;
    }
}

/* Lines of a block in the target's order, from `axis` on. */
static void cast_lines(task *t, const wm_block *b, uint32_t axis, int64_t at)
{
    if (axis == b->count) {
        cast_line(t, at, 1, 1);
    } else if (axis + 1 == b->count) {
        cast_line(t, at, b->axes[axis].to, b->axes[axis].extent);
    } else {
        for (uint64_t i = 0; i < b->axes[axis].extent; i++)
            cast_lines(t, b, axis + 1, at + (int64_t)i * b->axes[axis].to);
    }
}

static bool do_part(void *user, const wm_block *part)
{
    task *t = user;
    switch (t->program.what) {
    case WM_DO_COPY:
        return fetch(t, part, t->out);
    case WM_DO_FILL:
        wm_block_fill(part, t->out, t->program.element, t->to_size);
        return true;
    default:
        break;
    }
    if (!fetch(t, part, t->staging))
        return false;
    wm_block flat = *part;
    wm_block_flatten(&flat);
    cast_lines(t, &flat, 0, flat.to);
    return true;
}

/* ---- programs ---- */

/* What a guard found. */
static void tally_differ(task *t, const wm_value_faults *f, int64_t at, int64_t step)
{
    uint64_t before = t->first;
    bool none = t->bad == 0;
    t->from = f->dtype;
    t->from_size = wmap_dtype_size(f->dtype);
    tally(t, f->differ, f->first_differ, at, step, f->found);
    if (none || t->first != before)
        memcpy(t->expected, f->expected, t->from_size);
}

/* Computes a line of the target, whose elements are `step` apart. */
static void value_line(task *t, int64_t at, int64_t step, uint64_t count)
{
    uint8_t out[WM_VALUE_CHUNK * WM_LARGEST_ELEMENT];
    const void *in[WM_VALUE_SOURCES];
    for (uint64_t done = 0; done < count;) {
        uint64_t n = count - done < WM_VALUE_CHUNK ? count - done : WM_VALUE_CHUNK;
        for (size_t k = 0; k < t->move->n_sources; k++) {
            uint32_t size = wmap_dtype_size(t->dtypes[k]);
            const uint8_t *from = t->inputs[k] + at * (int64_t)size;
            in[k] = from;
            if (step == 1)
                continue;
            wm_block gather = {1, 0, 0, {{n, 1, step}}};
            uint8_t *to = wm_value_gather(t->room, k);
            wm_block_copy(&gather, to, from, size);
            in[k] = to;
        }
        wm_value_faults faults = {0};
        bool direct = step == 1 && t->out;
        wm_value_run(t->room, t->move, t->dtypes, in, (size_t)n,
                     direct ? t->out + at * (int64_t)t->to_size : out, &faults);
        wm_census_add(&t->census, &faults.census);
        if (!t->out) {
            if (faults.differ)
                tally_differ(t, &faults, at, step);
            at += (int64_t)n * step;
            done += n;
            continue;
        }
        if (faults.casts + faults.overflows) {
            t->overflow |= faults.overflows > 0;
            tally(t, faults.casts + faults.overflows, faults.first, at, step,
                  (const uint8_t *)in[0] + faults.first * t->from_size);
        }
        wm_block scatter = {1, 0, 0, {{n, step, 1}}};
        if (!direct)
            wm_block_copy(&scatter, t->out + at * (int64_t)t->to_size, out, t->to_size);
        at += (int64_t)n * step;
        done += n;
    }
}

static void value_lines(task *t, const wm_block *b, uint32_t axis, int64_t at)
{
    if (axis == b->count) {
        value_line(t, at, 1, 1);
    } else if (axis + 1 == b->count) {
        value_line(t, at, b->axes[axis].to, b->axes[axis].extent);
    } else {
        for (uint64_t i = 0; i < b->axes[axis].extent; i++)
            value_lines(t, b, axis + 1, at + (int64_t)i * b->axes[axis].to);
    }
}

static bool fetch_part(void *user, const wm_block *part)
{
    task *t = user;
    return fetch(t, part, t->staging);
}

static bool value_part(void *user, const wm_block *part)
{
    value_lines(user, part, 0, part->to);
    return true;
}

static bool look_at(const wm_run *run, uint32_t source, task *t)
{
    const wm_found *f = &run->found[source];
    t->path = wm_archive_entry_path(f->archive, f->entry);
    return wm_archive_view(f->archive, f->entry, &t->view, t->err);
}

/* The elements of all sources of a move, then what is computed from them. */
static bool do_value(wm_run *run, task *t, uint64_t low, uint64_t high)
{
    const wmap_plan *plan = run->plan;
    const Wmap__Move *move = t->move;
    wm_block block;
    uint8_t *at = t->staging;
    wm_move_dtypes(plan, move, t->dtypes);
    for (size_t k = 0; k < move->n_sources; k++) {
        uint32_t source = move->sources[k]->tensor;
        t->from = t->dtypes[k];
        t->from_size = wmap_dtype_size(t->from);
        t->inputs[k] = t->staging = at;
        if (!look_at(run, source, t))
            return false;
        wm_move_block_of(plan, move, k, t->view.strides, &block);
        if (!wm_block_clip(&block, (int64_t)low, (int64_t)high, fetch_part, t))
            return wm_error_tensor(t->err, plan->sources[source].name, plan->sources[source].name_len);
        at += (high - low) * t->from_size;
    }
    t->from = t->dtypes[0];
    t->from_size = wmap_dtype_size(t->from);
    wm_move_block_of(plan, move, SIZE_MAX, NULL, &block);
    wm_block_flatten(&block);
    return wm_block_clip(&block, (int64_t)low, (int64_t)high, value_part, t);
}

/* Where a thread puts things together. */
typedef struct buffers {
    uint8_t *slab, *staging;
    wm_value_room *room; /* NULL: no move has a program */
} buffers;

/* The elements [low, high) of a target, into `out`. */
static bool do_range(wm_run *run, uint32_t place, uint64_t low, uint64_t high, uint8_t *out, const buffers *b,
                     wmap_error *err)
{
    const wmap_plan *plan = run->plan;
    uint32_t target = run->order[place];
    for (uint32_t i = plan->first[target]; i < plan->first[target + 1]; i++) {
        const Wmap__Move *move = plan->message->moves[i];
        if (run->hulls[i].high < (int64_t)low || run->hulls[i].low >= (int64_t)high)
            continue;
        const wmap_tensor *source = wm_move_source(plan, move);
        task t = {.out = out, .staging = b->staging, .low = low, .err = err, .move = move, .room = b->room};
        t.to = t.from = plan->targets[target].dtype;
        t.to_size = wmap_dtype_size(t.to);
        wm_move_program(plan, move, &t.program);
        if (t.program.what == WM_DO_VALUE) {
            if (!do_value(run, &t, low, high))
                return false;
        } else {
            if (source && !look_at(run, move->sources[0]->tensor, &t))
                return false;
            t.from = source ? source->dtype : t.from;
            t.from_size = wmap_dtype_size(t.from);
            wm_block block;
            wm_move_block(plan, move, t.view.strides, &block);
            if (!wm_block_clip(&block, (int64_t)low, (int64_t)high, do_part, &t))
                return source && wm_error_tensor(err, source->name, source->name_len);
        }
        if (t.bad)
            note_guard(run, target_rank(run, place), &t);
        if (t.census.elements)
            note_casts(run, &t.census);
    }
    return true;
}

/* A range of the source that a check looks at. */
static bool do_check(wm_run *run, const wm_job *job, const buffers *b, wmap_error *err)
{
    const wm_check *c = &run->checks[job->first];
    for (uint32_t i = c->first; i < c->first + c->count; i++) {
        if (run->hulls[i].high < (int64_t)job->low || run->hulls[i].low >= (int64_t)job->high)
            continue;
        task t = {.staging = b->staging,
                  .low = job->low,
                  .err = err,
                  .move = run->plan->message->moves[i],
                  .room = b->room};
        if (!do_value(run, &t, job->low, job->high))
            return false;
        if (t.bad)
            note_guard(run, job->first, &t);
    }
    return true;
}

/* ---- jobs ---- */

/* A job of a target or check is done. When it was the last, sources that nothing else needs can go, if they
 * were decoded. */
static void end_job(wm_run *run, size_t slot, uint32_t first, uint32_t end)
{
    if (atomic_fetch_sub(&run->jobs_left[slot], 1) != 1)
        return;
    for (uint32_t i = first; i < end; i++) {
        const Wmap__Move *move = run->plan->message->moves[i];
        for (size_t k = 0; k < move->n_sources; k++) {
            uint32_t source = move->sources[k]->tensor;
            if (atomic_fetch_sub(&run->uses_left[source], 1) == 1)
                wm_archive_forget(run->found[source].archive, run->found[source].entry);
        }
    }
}

static void end_jobs(wm_run *run, const wm_job *job)
{
    const uint32_t *first = run->plan->first;
    if (job->check) {
        const wm_check *c = &run->checks[job->first];
        end_job(run, run->plan->message->n_targets + job->first, c->first, c->first + c->count);
        return;
    }
    for (uint32_t k = 0; k < job->count; k++) {
        uint32_t target = run->order[job->first + k];
        end_job(run, target, first[target], first[target + 1]);
    }
}

static uint32_t sum_of(const wm_run *run, const uint8_t *bytes, size_t size)
{
    switch (run->writer.format->sum) {
    case WM_SUM_CRC32:
        return wm_crc32(0, bytes, size);
    case WM_SUM_CRC32C:
        return wm_crc32c(0, bytes, size);
    default:
        return 0;
    }
}

static uint32_t join_sums(const wm_run *run, uint32_t first, uint32_t second, uint64_t size)
{
    switch (run->writer.format->sum) {
    case WM_SUM_CRC32:
        return wm_crc32_join(first, second, size);
    case WM_SUM_CRC32C:
        return wm_crc32c_join(first, second, size);
    default:
        return 0;
    }
}

static bool do_batch(wm_run *run, wm_job *job, const buffers *b, wmap_error *err)
{
    uint8_t *slab = b->slab;
    wm_target *list = run->writer.targets;
    uint64_t begin = list[run->order[job->first]].offset, at = 0;
    for (uint32_t k = 0; k < job->count; k++) {
        wm_target *t = &list[run->order[job->first + k]];
        uint64_t to = t->offset - begin;
        memset(slab + at, 0, (size_t)(to - at)); /* what belongs there, finish() writes later */
        if (!do_range(run, job->first + k, 0, t->bytes / wmap_dtype_size(t->tensor.dtype), slab + to, b, err))
            return false;
        t->sum = sum_of(run, slab + to, (size_t)t->bytes);
        at = to + t->bytes;
        atomic_fetch_add(&run->done, t->bytes);
    }
    return wm_output_put(&run->output, list[run->order[job->first]].file, begin, slab, at, err);
}

static bool do_slab(wm_run *run, wm_job *job, const buffers *b, wmap_error *err)
{
    uint8_t *slab = b->slab;
    const wm_target *t = &run->writer.targets[run->order[job->first]];
    uint64_t size = wmap_dtype_size(t->tensor.dtype), bytes = (job->high - job->low) * size;
    if (!do_range(run, job->first, job->low, job->high, slab, b, err))
        return false;
    job->sum = sum_of(run, slab, (size_t)bytes);
    if (!wm_output_put(&run->output, t->file, t->offset + job->low * size, slab, bytes, err))
        return false;
    atomic_fetch_add(&run->done, bytes);
    return true;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void report(const wm_run *run)
{
    if (run->options->progress)
        run->options->progress(run->options->user, &(wmap_progress){atomic_load(&run->done), run->total});
}

typedef struct worker {
    wm_run *run;
    pthread_t thread;
    bool first; /* the thread that called us */
} worker;

/* Buffers are used again for every job: fresh pages cost more than what is done to them. */
static void free_buffers(buffers *b)
{
    free(b->slab);
    free(b->staging);
    free(b->room);
}

static bool get_buffers(const wm_run *run, buffers *b)
{
    void *slab = NULL, *staging = NULL;
    *b = (buffers){0};
    if (posix_memalign(&slab, 4096, run->slab ? run->slab : 1) == 0)
        b->slab = slab;
    if (posix_memalign(&staging, 4096, run->staging ? run->staging : 1) == 0)
        b->staging = staging;
    if (run->values)
        b->room = wm_value_room_new();
    if (b->slab && b->staging && (b->room || !run->values))
        return true;
    free_buffers(b);
    return false;
}

static void *work(void *user)
{
    worker *w = user;
    wm_run *run = w->run;
    buffers b;
    double reported = now();
    wmap_error err;
    if (!get_buffers(run, &b)) {
        if (w->first) { /* the others are help that can be done without */
            wm_fail(&err, WMAP_E_NOMEM, "out of memory");
            fail_job(run, 0, &err);
        }
        return NULL;
    }
    for (;;) {
        size_t at = atomic_fetch_add(&run->next, 1);
        if (at >= run->job_count || at > atomic_load(&run->stop))
            break;
        wm_job *job = &run->jobs[at];
        if (job_rank(run, job) > atomic_load(&run->guarded))
            break;
        bool batch = job->count > 1 || job->high == 0;
        memset(&err, 0, sizeof err);
        if (!(job->check ? do_check(run, job, &b, &err) : (batch ? do_batch : do_slab)(run, job, &b, &err))) {
            fail_job(run, at, &err);
            continue;
        }
        end_jobs(run, job);
        if (w->first && now() - reported > PROGRESS_MS * 1e-3) {
            report(run);
            reported = now();
        }
    }
    free_buffers(&b);
    return NULL;
}

static size_t thread_count(const wm_run *run)
{
    size_t count = run->options->jobs;
    cpu_set_t set;
    if (count == 0)
        count = sched_getaffinity(0, sizeof set, &set) == 0 ? (size_t)CPU_COUNT(&set) : 1;
    if (count > THREADS_MOST)
        count = THREADS_MOST;
    return count < run->job_count ? count : run->job_count;
}

/* The checksum of each target from those of its ranges. */
static void join_jobs(wm_run *run)
{
    for (size_t i = 0; i < run->job_count; i++) {
        const wm_job *job = &run->jobs[i];
        if (job->high == 0 || job->check)
            continue;
        wm_target *t = &run->writer.targets[run->order[job->first]];
        uint64_t bytes = (job->high - job->low) * wmap_dtype_size(t->tensor.dtype);
        t->sum = job->low ? join_sums(run, t->sum, job->sum, bytes) : job->sum;
    }
}

bool wm_run_work(wm_run *run, wmap_error *err)
{
    size_t threads = thread_count(run), started = 1;
    worker *workers = wm_new(&run->arena, worker, threads ? threads : 1);
    if (!workers)
        return wm_fail(err, WMAP_E_NOMEM, "out of memory");
    if (!wm_trap_begin(err))
        return false;
    atomic_store(&run->stop, SIZE_MAX);
    atomic_store(&run->guarded, UINT32_MAX);
    run->guard.rank = UINT32_MAX;
    run->failed = SIZE_MAX;
    report(run);
    for (; started < threads; started++) {
        workers[started].run = run;
        if (pthread_create(&workers[started].thread, NULL, work, &workers[started]) != 0)
            break; /* with fewer, then */
    }
    workers[0] = (worker){.run = run, .first = true};
    work(&workers[0]);
    for (size_t i = 1; i < started; i++)
        pthread_join(workers[i].thread, NULL);
    wm_trap_end();
    /* A guard of an earlier target was counted to its end, whatever failed after it. */
    bool failed = run->failed != SIZE_MAX, guarded = run->guard.rank != UINT32_MAX;
    if (guarded && (!failed || run->guard.rank < job_rank(run, &run->jobs[run->failed])))
        return wm_run_guard_error(run, err);
    if (failed) {
        *err = run->error;
        return false;
    }
    report(run);
    join_jobs(run);
    return true;
}
