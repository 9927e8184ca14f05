/* jobs.c: a run's targets, cut into ranges in file order: the jobs that threads take (work.c). */
#include <stdlib.h>

#include "runtime/base/error.h"
#include "runtime/run.h"

/* Measured on VGG16 (tests/bench): 1 to 4 MiB are alike, 16 MiB leave the cache; 16 rows of 4-byte elements
 * are a line of the cache of each source row. */
#define SLAB      ((uint64_t)4 << 20)  /* bytes of a range, of source or target, whichever is larger */
#define SLAB_MOST ((uint64_t)8 << 20)  /* if that is what 16 rows take */
#define SMALL     ((uint64_t)64 << 10) /* targets up to this are batched */
#define BATCH     ((uint64_t)1 << 20)  /* bytes of a batch */
#define GAP       ((uint64_t)4096)     /* bytes between the targets of a batch */

enum { ROWS = 16 };

/* Elements of the target between neighbouring rows, where a row is what one contiguous run of the source is
 * spread over: ranges of many rows read long runs. 1 if there is no such thing. */
static uint64_t row_of(const wm_block *b)
{
    uint32_t best = UINT32_MAX;
    for (uint32_t k = 0; k < b->count; k++) {
        int64_t step = llabs((long long)b->axes[k].from);
        if (best == UINT32_MAX || step < llabs((long long)b->axes[best].from))
            best = k;
    }
    return best == UINT32_MAX || best == b->count - 1 ? 1 : (uint64_t)b->axes[best].to;
}

static const int64_t *strides_of(const wm_run *run, const Wmap__Move *move)
{
    if (!move->n_sources)
        return NULL;
    const wm_found *f = &run->found[move->sources[0]->tensor];
    return f->archive->entries[f->entry].strides;
}

/* Elements a job. `*staged` is the width of an element of the widest source that is cast, or of all sources
 * that something is computed from; 0 if there are none. */
static uint64_t slab_of(wm_run *run, uint32_t target, uint32_t *staged)
{
    uint64_t largest = 0, row = 1;
    wmap_dtype dtype = run->plan->targets[target].dtype;
    uint32_t width = wmap_dtype_size(dtype);
    *staged = 0;
    for (uint32_t i = run->plan->first[target]; i < run->plan->first[target + 1]; i++) {
        const Wmap__Move *move = run->plan->message->moves[i];
        const wmap_tensor *source = wm_move_source(run->plan, move);
        wm_block block;
        wm_move_block(run->plan, move, strides_of(run, move), &block);
        run->hulls[i] = (wm_hull){block.to, block.to + wm_block_span(&block)};
        wm_program program;
        wm_move_program(run->plan, move, &program);
        run->values |= program.what == WM_DO_VALUE;
        if (program.what == WM_DO_VALUE || (source && source->dtype != dtype)) {
            uint32_t size = 0; /* of all its sources */
            for (size_t k = 0; k < move->n_sources; k++)
                size += wmap_dtype_size(run->plan->sources[move->sources[k]->tensor].dtype);
            *staged = size > *staged ? size : *staged;
            width = size > width ? size : width;
        }
        uint64_t elements = wm_block_size(&block);
        if (elements > largest) {
            largest = elements;
            row = row_of(&block);
        }
    }
    uint64_t slab = SLAB / width;
    if (row > SLAB_MOST / width / ROWS)
        return slab;
    uint64_t rows = slab / row / ROWS * ROWS;
    return (rows ? rows : ROWS) * row;
}

static bool add_job(wm_run *run, wm_job job, uint64_t bytes, wmap_error *err)
{
    wm_job *new = wm_push(&run->arena, run->jobs, run->job_count, run->job_cap);
    if (!new)
        return wm_fail(err, WMAP_E_NOMEM, "out of memory");
    *new = job;
    run->slab = bytes > run->slab ? (size_t)bytes : run->slab;
    for (uint32_t i = 0; i < job.count; i++)
        run->jobs_left[job.check ? run->plan->message->n_targets + job.first : run->order[job.first + i]]++;
    return true;
}

/* How many targets from `first` on make a batch; 0 if the first is none for a batch. */
static uint32_t batch_at(const wm_run *run, size_t first, uint64_t *bytes)
{
    const wm_target *list = run->writer.targets;
    uint64_t begin = list[run->order[first]].offset, end = begin;
    uint32_t count = 0, file = list[run->order[first]].file;
    for (size_t i = first; i < run->order_count && count < UINT32_MAX; i++, count++) {
        const wm_target *t = &list[run->order[i]];
        if (t->bytes > SMALL || t->file != file || t->offset < end || t->offset - end > GAP ||
            t->offset + t->bytes - begin > BATCH)
            break;
        end = t->offset + t->bytes;
    }
    *bytes = end - begin;
    return count;
}

static int compare_places(const void *a, const void *b, void *user)
{
    const wm_target *list = user;
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    if (list[x].file != list[y].file)
        return list[x].file < list[y].file ? -1 : 1;
    if (list[x].offset != list[y].offset)
        return list[x].offset < list[y].offset ? -1 : 1;
    return x < y ? -1 : x > y;
}

static bool allocate(wm_run *run, wmap_error *err)
{
    const Wmap__Plan *p = run->plan->message;
    run->order = wm_new(&run->arena, uint32_t, p->n_targets);
    run->hulls = wm_new(&run->arena, wm_hull, p->n_moves);
    run->jobs_left = wm_new(&run->arena, _Atomic uint32_t, p->n_targets + run->check_count);
    run->uses_left = wm_new(&run->arena, _Atomic uint32_t, p->n_sources + p->n_decodes);
    if (!run->order || !run->hulls || !run->jobs_left || !run->uses_left)
        return wm_fail(err, WMAP_E_NOMEM, "out of memory");
    return true;
}

static void need_staging(wm_run *run, uint64_t elements, uint32_t width)
{
    uint64_t bytes = elements * width;
    run->staging = bytes > run->staging ? (size_t)bytes : run->staging;
}

/* The jobs of the target at `*at` in the order, or the one of the batch that begins there; steps on behind
 * it. */
static bool add_jobs(wm_run *run, size_t *at, wmap_error *err)
{
    const wm_target *list = run->writer.targets;
    size_t first = *at;
    uint32_t staged, size = wmap_dtype_size(list[run->order[first]].tensor.dtype);
    uint64_t bytes, count = list[run->order[first]].bytes / size;
    uint32_t batch = batch_at(run, first, &bytes);
    if (batch) {
        *at += batch;
        for (size_t i = first; i < *at; i++) {
            const wm_target *t = &list[run->order[i]];
            slab_of(run, run->order[i], &staged);
            need_staging(run, t->bytes / wmap_dtype_size(t->tensor.dtype), staged);
        }
        return add_job(run, (wm_job){(uint32_t)first, batch, 0, 0, 0, false}, bytes, err);
    }
    uint64_t slab = slab_of(run, run->order[first], &staged);
    need_staging(run, slab < count ? slab : count, staged);
    *at += 1;
    for (uint64_t low = 0; low < count; low += slab) {
        uint64_t high = count - low < slab ? count : low + slab;
        if (!add_job(run, (wm_job){(uint32_t)first, 1, low, high, 0, false}, (high - low) * size, err))
            return false;
    }
    return true;
}

/* The ranges of a source that a check looks at. */
static bool add_check(wm_run *run, uint32_t at, wmap_error *err)
{
    const wm_check *c = &run->checks[at];
    uint64_t low = UINT64_MAX, high = 0;
    uint32_t width = 0;
    for (uint32_t i = c->first; i < c->first + c->count; i++) {
        const Wmap__Move *move = run->plan->message->moves[i];
        wm_block block;
        uint32_t size = 0;
        wm_move_block(run->plan, move, NULL, &block);
        wm_hull *h = &run->hulls[i];
        *h = (wm_hull){block.to, block.to + wm_block_span(&block)};
        low = (uint64_t)h->low < low ? (uint64_t)h->low : low;
        high = (uint64_t)h->high >= high ? (uint64_t)h->high + 1 : high;
        for (size_t k = 0; k < move->n_sources; k++)
            size += wmap_dtype_size(run->plan->sources[move->sources[k]->tensor].dtype);
        width = size > width ? size : width;
    }
    run->values = true;
    uint64_t slab = SLAB / width;
    need_staging(run, high - low < slab ? high - low : slab, width);
    for (; low < high; low += slab) {
        wm_job job = {at, 1, low, high - low < slab ? high : low + slab, 0, true};
        if (!add_job(run, job, 0, err))
            return false;
    }
    return true;
}

bool wm_run_plan_jobs(wm_run *run, wmap_error *err)
{
    const Wmap__Plan *p = run->plan->message;
    if (!wm_run_plan_checks(run, err) || !allocate(run, err))
        return false;
    for (size_t i = 0; i < p->n_moves; i++)
        for (size_t k = 0; k < p->moves[i]->n_sources; k++)
            run->uses_left[p->moves[i]->sources[k]->tensor]++;
    for (uint32_t i = 0; i < p->n_targets; i++)
        if (run->writer.targets[i].bytes && !run->writer.targets[i].raw) { /* raw: finish() puts them */
            run->order[run->order_count++] = i;
            run->total += run->writer.targets[i].bytes;
        }
    qsort_r(run->order, run->order_count, sizeof *run->order, compare_places, run->writer.targets);
    for (uint32_t i = 0; i < run->check_count; i++)
        if (!add_check(run, i, err))
            return false;
    for (size_t i = 0; i < run->order_count;)
        if (!add_jobs(run, &i, err))
            return false;
    return true;
}
