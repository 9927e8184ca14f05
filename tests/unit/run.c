/* run.c: plans run over real files: against loops over elements, for large and small targets, with any number
 * of threads, into every format; sources that do not fit, casts that break their promise, files cut off while
 * read. */
#include "tests/unit/plans.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "runtime/convert.h"
#include "runtime/run.h"
#include "wmap/run.h"

static uint64_t seed = 0x6a09e667f3bcc909u;

static uint64_t draw(uint64_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (seed >> 11) % below;
}

/* ---- safetensors files made here ---- */

typedef struct weights {
    bytes header, data;
} weights;

static void weights_add(weights *w, const char *name, const char *dtype, uint32_t rank, const uint64_t *shape,
                        const void *data, size_t size)
{
    char text[400];
    size_t used = (size_t)snprintf(text, sizeof text, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[",
                                   w->header.size ? "," : "{", name, dtype);
    for (uint32_t d = 0; d < rank; d++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%llu", d ? "," : "",
                                 (unsigned long long)shape[d]);
    snprintf(text + used, sizeof text - used, "],\"data_offsets\":[%zu,%zu]}", w->data.size,
             w->data.size + size);
    bytes_text(&w->header, text);
    bytes_add(&w->data, data, size);
}

/* The path is the caller's to unlink. */
static wmap_archive *weights_open(weights *w, char path[64])
{
    bytes all = {0};
    wmap_error err;
    bytes_text(&w->header, w->header.size ? "}" : "{}");
    bytes_le(&all, w->header.size, 8);
    bytes_add(&all, w->header.at, w->header.size);
    bytes_add(&all, w->data.at, w->data.size);
    file_make(path, all.at, all.size);
    wmap_archive *archive = wmap_archive_open(path, &err);
    if (!archive)
        fail_msg("%s", err.message);
    bytes_free(&all);
    bytes_free(&w->header);
    bytes_free(&w->data);
    return archive;
}

static void output_path(char out[80], const char *suffix)
{
    static unsigned counter;
    snprintf(out, 80, "/tmp/wmap-run-%d-%u%s", (int)getpid(), counter++, suffix);
}

static bool try_run(const wmap_plan *plan, wmap_archive *source, const char *output, unsigned jobs,
                    wmap_error *err)
{
    wmap_run_options options = {.output = output, .jobs = jobs, .force = true};
    memset(err, 0, sizeof *err);
    return wmap_run(plan, &source, NULL, 1, &options, NULL, err);
}

static void run_well(const wmap_plan *plan, wmap_archive *source, const char *output, unsigned jobs)
{
    wmap_error err;
    if (!try_run(plan, source, output, jobs, &err)) {
        char text[2000];
        wmap_error_format(&err, text, sizeof text);
        fail_msg("%s", text);
    }
}

/* The bytes of the tensor of that name in a file. */
static const uint8_t *tensor_of(wmap_archive *a, const char *name)
{
    wm_view view;
    wmap_error err;
    uint32_t index = wm_map_get(&a->names, name, strlen(name));
    assert_true(index != WM_MAP_NONE);
    assert_true(wm_archive_view(a, index, &view, &err));
    return view.bytes;
}

/* ---- moves against elements ---- */

/* Random permutations, flips, blocks and casts of tensors, small ones and ones of several slabs. */
enum { TENSORS = 24 };

typedef struct rule {
    uint32_t rank;
    uint64_t shape[4];           /* of the source */
    uint32_t perm[4];            /* dimension of the source that becomes dimension d of the target */
    bool flip[4], cast, is_half; /* f32 to f16; elements of 2 bytes */
    uint64_t size;
    uint8_t *data;
} rule;

static rule draw_rule(bool large)
{
    rule r = {.rank = 1 + (uint32_t)draw(4), .size = 1};
    for (uint32_t d = 0; d < r.rank; d++) {
        uint64_t room = (large ? 3000000 : 400) / r.size;
        r.shape[d] = 1 + draw(room < (large ? 1500u : 20u) ? room + 1 : (large ? 1500u : 20u));
        r.size *= r.shape[d];
        r.perm[d] = d;
        r.flip[d] = draw(4) == 0;
    }
    for (uint32_t d = r.rank; d-- > 1;) {
        uint32_t other = (uint32_t)draw(d + 1), swap = r.perm[d];
        r.perm[d] = r.perm[other];
        r.perm[other] = swap;
    }
    r.cast = draw(3) == 0;
    r.is_half = !r.cast && draw(2);
    uint64_t size = r.size * (r.is_half ? 2 : 4);
    r.data = malloc(size);
    assert_non_null(r.data);
    for (uint64_t i = 0; i < size; i++)
        r.data[i] = (uint8_t)draw(256);
    if (r.cast) /* small enough for f16 */
        for (uint64_t i = 0; i < r.size; i++)
            memcpy(r.data + 4 * i, &(float){(float)draw(1 << 20) / 64.0f}, 4);
    return r;
}

/* One move for the whole of it, or two for two parts of its first dimension. */
static void draft_rule(draft *d, const rule *r, const char *from, const char *to)
{
    uint64_t shape[4];
    wmap_dtype dtype = r->is_half ? WMAP_BF16 : WMAP_F32;
    for (uint32_t k = 0; k < r->rank; k++)
        shape[k] = r->shape[r->perm[k]];
    uint32_t s = draft_source(d, from, dtype, r->rank, r->shape);
    uint32_t t = draft_target(d, to, r->cast ? WMAP_F16 : dtype, r->rank, shape);
    uint64_t cut = shape[0] > 1 && draw(2) ? 1 + draw(shape[0] - 1) : shape[0], begin = 0;
    for (uint64_t end = cut; begin < shape[0]; begin = end, end = shape[0]) {
        int64_t starts[4] = {0}, coefs[16] = {0}, to_start[4] = {(int64_t)begin};
        uint64_t extents[4];
        memcpy(extents, shape, sizeof extents);
        extents[0] = end - begin;
        for (uint32_t k = 0; k < r->rank; k++) {
            uint32_t dim = r->perm[k];
            int64_t first = k == 0 ? (int64_t)begin : 0;
            coefs[k * r->rank + dim] = r->flip[k] ? -1 : 1;
            starts[dim] = r->flip[k] ? (int64_t)shape[k] - 1 - first : first;
        }
        Wmap__Move *m = draft_move(d, r->rank, extents, draft_access(d, t, r->rank, r->rank, to_start, NULL),
                                   draft_access(d, s, r->rank, r->rank, starts, coefs));
        if (r->cast)
            draft_cast(d, m, WMAP_F16, WMAP__OP__POLICY__CHECK);
    }
}

static void check_rule(const rule *r, const uint8_t *got)
{
    uint64_t index[4] = {0}, strides[4];
    uint32_t size = r->is_half ? 2 : 4;
    uint64_t row = 1;
    for (uint32_t d = r->rank; d-- > 0;) {
        strides[d] = row;
        row *= r->shape[d];
    }
    for (uint64_t at = 0; at < r->size; at++) {
        uint64_t from = 0;
        for (uint32_t k = 0; k < r->rank; k++) {
            uint64_t extent = r->shape[r->perm[k]];
            from += (r->flip[k] ? extent - 1 - index[k] : index[k]) * strides[r->perm[k]];
        }
        if (r->cast) {
            uint16_t half;
            size_t first;
            wm_convert(WMAP_F32, WMAP_F16, WM_CAST_CHECK, r->data + 4 * from, &half, 1, &first);
            assert_memory_equal(got + 2 * at, &half, 2);
        } else {
            assert_memory_equal(got + size * at, r->data + size * from, size);
        }
        for (uint32_t k = r->rank; k-- > 0 && ++index[k] == r->shape[r->perm[k]];)
            index[k] = 0;
    }
}

static bool same_files(const char *a, const char *b)
{
    char command[300];
    snprintf(command, sizeof command, "cmp -s %s %s", a, b);
    return system(command) == 0;
}

static void test_random_plans(void **state)
{
    (void)state;
    static const char *const suffixes[] = {".safetensors", ".npz", ".pt"};
    for (int n = 0; n < 9; n++) {
        draft d;
        weights w = {0};
        rule rules[TENSORS];
        draft_begin(&d);
        for (int i = 0; i < TENSORS; i++) {
            char from[16], to[16];
            rules[i] = draw_rule(i % 8 == 5);
            if (n % 3 == 1 && rules[i].is_half) { /* npz has no bf16 */
                free(rules[i].data);
                i--;
                continue;
            }
            snprintf(from, sizeof from, "s%d", i);
            snprintf(to, sizeof to, "t%d", i);
            draft_rule(&d, &rules[i], from, to);
            weights_add(&w, from, rules[i].is_half ? "BF16" : "F32", rules[i].rank, rules[i].shape,
                        rules[i].data, rules[i].size * (rules[i].is_half ? 2 : 4));
        }
        char path[64], out[80], again[80];
        wmap_archive *source = weights_open(&w, path);
        wmap_plan *plan = draft_accept(&d);
        output_path(out, suffixes[n % 3]);
        output_path(again, suffixes[n % 3]);
        run_well(plan, source, out, 1);
        for (unsigned jobs = 2; jobs < 9; jobs += 3) { /* threads change no byte */
            run_well(plan, source, again, jobs);
            assert_true(same_files(out, again));
        }
        wmap_error err;
        wmap_archive *result = wmap_archive_open(out, &err);
        assert_non_null(result);
        assert_int_equal(wmap_archive_warnings(result), 0); /* no wrong CRC */
        for (int i = 0; i < TENSORS; i++) {
            char to[16];
            snprintf(to, sizeof to, "t%d", i);
            check_rule(&rules[i], tensor_of(result, to));
            free(rules[i].data);
        }
        wmap_archive_close(result);
        wmap_archive_close(source);
        wmap_plan_free(plan);
        draft_end(&d);
        unlink(path);
        unlink(out);
        unlink(again);
    }
}

/* A source in Fortran order: its strides are the file's, not the shape's. */
static void test_strides(void **state)
{
    (void)state;
    static const uint64_t shape[] = {2, 3};
    bytes b = {0};
    bytes_text(&b, "\x93NUMPY");
    bytes_le(&b, 1, 2);
    char header[200];
    snprintf(header, sizeof header, "%-117s\n", "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }");
    bytes_le(&b, strlen(header), 2);
    bytes_text(&b, header);
    for (int i = 0; i < 6; i++)
        bytes_add(&b, &(float){(float)i}, 4);
    wmap_error err;
    wmap_archive *source = open_bytes(b.at, b.size, &err);
    assert_non_null(source);
    draft d;
    draft_begin(&d);
    uint32_t s = draft_source(&d, wmap_archive_tensor(source, 0)->name, WMAP_F32, 2, shape);
    uint32_t t = draft_target(&d, "t", WMAP_F32, 2, shape);
    draft_move(&d, 2, shape, draft_access(&d, t, 2, 2, NULL, NULL), draft_access(&d, s, 2, 2, NULL, NULL));
    wmap_plan *plan = draft_accept(&d);
    char out[80];
    output_path(out, ".safetensors");
    run_well(plan, source, out, 2);
    wmap_archive *result = wmap_archive_open(out, &err);
    assert_non_null(result);
    static const float expect[] = {0, 2, 4, 1, 3, 5};
    assert_memory_equal(tensor_of(result, "t"), expect, sizeof expect);
    wmap_archive_close(result);
    wmap_archive_close(source);
    wmap_plan_free(plan);
    draft_end(&d);
    bytes_free(&b);
    unlink(out);
}

static void count_calls(void *user, const wmap_progress *progress)
{
    uint64_t *last = user;
    assert_true(progress->done >= last[0] && progress->done <= progress->total);
    last[0] = progress->done;
    last[1] = progress->total;
}

/* Many small targets, fills and empty ones among them, and what is said about them. */
static void test_small(void **state)
{
    (void)state;
    draft d;
    weights w = {0};
    draft_begin(&d);
    uint64_t total = 0;
    for (int i = 0; i < 1500; i++) {
        char from[16], to[16];
        uint64_t shape[] = {draw(7)};
        uint8_t data[64];
        snprintf(from, sizeof from, "s%d", i);
        snprintf(to, sizeof to, "t%d", i);
        memset(data, i & 0xff, sizeof data);
        uint32_t s = draft_source(&d, from, WMAP_U8, 1, shape), t = draft_target(&d, to, WMAP_U8, 1, shape);
        total += shape[0];
        weights_add(&w, from, "U8", 1, shape, data, (size_t)shape[0]);
        if (shape[0]) {
            Wmap__Move *m = draft_move(&d, 1, shape, draft_access(&d, t, 1, 1, NULL, NULL),
                                       i % 3 ? draft_access(&d, s, 1, 1, NULL, NULL) : NULL);
            if (i % 3 == 0)
                draft_fill(&d, m, 200);
        }
    }
    char path[64], out[80];
    wmap_archive *source = weights_open(&w, path);
    wmap_plan *plan = draft_accept(&d);
    output_path(out, ".pt");
    uint64_t last[2] = {0, 0};
    wmap_run_options options = {.output = out, .jobs = 3, .progress = count_calls, .user = last};
    wmap_run_stats stats;
    wmap_error err = {0};
    if (!wmap_run(plan, &source, NULL, 1, &options, &stats, &err))
        fail_msg("%s", err.message);
    assert_int_equal(stats.bytes, total);
    assert_int_equal(stats.tensors, 1500);
    assert_int_equal(last[0], total);
    assert_int_equal(last[1], total);
    wmap_archive *result = wmap_archive_open(out, &err);
    assert_non_null(result);
    assert_int_equal(wmap_archive_count(result), 1500);
    for (size_t i = 0; i < 1500; i++) {
        char to[16];
        snprintf(to, sizeof to, "t%zu", i);
        const uint8_t *got = tensor_of(result, to);
        uint32_t index = wm_map_get(&result->names, to, strlen(to));
        for (uint64_t k = 0; k < wmap_archive_tensor(result, index)->shape[0]; k++)
            assert_int_equal(got[k], i % 3 ? i & 0xff : 200);
    }
    wmap_archive_close(result);
    wmap_archive_close(source);
    wmap_plan_free(plan);
    draft_end(&d);
    unlink(path);
    unlink(out);
}

/* ---- what does not fit ---- */

static const uint64_t shape_23[] = {2, 3};

/* "t" is "s" [2 3] as it is. */
static void copy_plan(draft *d, wmap_dtype from, wmap_dtype to, const uint64_t *shape, uint32_t rank)
{
    draft_begin(d);
    uint32_t s = draft_source(d, "s", from, rank, shape), t = draft_target(d, "t", to, rank, shape);
    Wmap__Move *m = draft_move(d, rank, shape, draft_access(d, t, rank, rank, NULL, NULL),
                               draft_access(d, s, rank, rank, NULL, NULL));
    if (from != to)
        draft_cast(d, m, to, WMAP__OP__POLICY__CHECK);
}

/* After a run that was refused: nothing is at its path. */
static void end_refused(draft *d, wmap_plan *plan, wmap_archive *source, const char *path, const char *out)
{
    assert_int_equal(access(out, F_OK), -1);
    wmap_archive_close(source);
    wmap_plan_free(plan);
    draft_end(d);
    unlink(path);
}

static void expect_misfit(const char *name, const char *dtype, uint32_t rank, const uint64_t *shape,
                          const char *also, const char *tensor, const char *text)
{
    draft d;
    weights w = {0};
    char path[64], out[80];
    uint8_t data[24] = {0};
    copy_plan(&d, WMAP_F32, WMAP_F32, shape_23, 2);
    wmap_plan *plan = draft_accept(&d);
    weights_add(&w, name, dtype, rank, shape, data, sizeof data);
    if (also)
        weights_add(&w, also, "F32", 2, shape_23, data, sizeof data);
    wmap_archive *source = weights_open(&w, path);
    output_path(out, ".npz");
    wmap_error err;
    assert_false(try_run(plan, source, out, 1, &err));
    assert_int_equal(err.code, WMAP_E_MISMATCH);
    assert_string_equal(err.tensor, tensor);
    assert_string_equal(err.file, path);
    if (!strstr(err.message, text))
        fail_msg("\"%s\" does not say \"%s\"", err.message, text);
    end_refused(&d, plan, source, path, out);
}

static void test_misfits(void **state)
{
    (void)state;
    static const uint64_t turned[] = {3, 2}, wide[] = {2, 6};
    expect_misfit("x", "F32", 2, shape_23, NULL, "s", "wants a tensor of this name, which m.wmap:3:5 reads");
    expect_misfit("x", "F32", 2, shape_23, NULL, "s", "and 1 more");
    expect_misfit("s", "F32", 2, turned, NULL, "s",
                  "wants f32 [2 3], which m.wmap:3:5 reads; the file has f32 [3 2]");
    expect_misfit("s", "BF16", 2, wide, NULL, "s", "the file has bf16 [2 6]");
    expect_misfit("s", "F32", 2, shape_23, "extra", "extra", "knows no tensor");
}

static void test_usage(void **state)
{
    (void)state;
    draft d;
    weights w = {0};
    char path[64], out[80];
    uint8_t data[24] = {0};
    copy_plan(&d, WMAP_F32, WMAP_F32, shape_23, 2);
    wmap_plan *plan = draft_accept(&d);
    weights_add(&w, "s", "F32", 2, shape_23, data, sizeof data);
    wmap_archive *source = weights_open(&w, path);
    wmap_error err;
    static const char *const wrong[] = {"-", "/tmp/no-suffix", "/tmp/x.keras", "", "/dev/null"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_false(try_run(plan, source, wrong[i], 1, &err));
        assert_int_equal(err.code, WMAP_E_USAGE);
    }
    assert_false(try_run(plan, source, "/tmp/absent-folder/x.npz", 1, &err));
    assert_int_equal(err.code, WMAP_E_IO);
    wmap_run_options dry = {.dry_run = true};
    assert_true(wmap_run(plan, &source, NULL, 1, &dry, NULL, &err));
    dry.to_format = "nonsense";
    assert_false(wmap_run(plan, &source, NULL, 1, &dry, NULL, &err));
    dry.to_format = "npy"; /* holds one unnamed array */
    output_path(out, ".npz");
    dry.output = out;
    wmap_run(plan, &source, NULL, 1, &dry, NULL, &err);
    assert_int_equal(access(out, F_OK), -1);
    /* a prefix is part of the name */
    const char *prefix = "p";
    wmap_run_options plain = {.dry_run = true};
    assert_false(wmap_run(plan, &source, &prefix, 1, &plain, NULL, &err));
    assert_int_equal(err.code, WMAP_E_MISMATCH);
    draft other;
    draft_begin(&other);
    uint32_t s = draft_source(&other, "p/s", WMAP_F32, 2, shape_23);
    other.plan.sources[s]->dropped = 1;
    wmap_plan *dropped = draft_accept(&other);
    assert_true(wmap_run(dropped, &source, &prefix, 1, &plain, NULL, &err));
    wmap_archive *twice[] = {source, source};
    const char *prefixes[] = {"p", "p"};
    assert_false(wmap_run(dropped, twice, prefixes, 2, &plain, NULL, &err));
    assert_non_null(strstr(err.message, "two of the files"));
    /* a target that the format can't hold */
    draft_end(&other);
    wmap_plan_free(dropped);
    wmap_plan_free(plan);
    draft_end(&d);
    copy_plan(&d, WMAP_F32, WMAP_F32, shape_23, 2);
    d.plan.targets[0]->name = (ProtobufCBinaryData){12, keep(&d, "__metadata__", 12)};
    plan = draft_accept(&d);
    output_path(out, ".safetensors");
    assert_false(try_run(plan, source, out, 1, &err));
    assert_int_equal(err.code, WMAP_E_TARGET);
    end_refused(&d, plan, source, path, out);
}

/* ---- guards ---- */

/* The count and the first of what fails are the same for any number of threads, the output stays as it was.
 */
static void test_guard(void **state)
{
    (void)state;
    static const uint64_t shape[] = {1500, 2000};
    size_t count = 3000000;
    float *data = calloc(count, sizeof *data);
    assert_non_null(data);
    for (size_t i = 2500000; i < count; i += 1000)
        data[i] = 70000;
    data[1234567] = -1e30f;
    weights w = {0};
    char path[64], out[80];
    weights_add(&w, "s", "F32", 2, shape, data, count * 4);
    wmap_archive *source = weights_open(&w, path);
    draft d;
    copy_plan(&d, WMAP_F32, WMAP_F16, shape, 2);
    uint32_t u = draft_target(&d, "u", WMAP_F16, 2, shape); /* fails too, later: not the one to be told */
    draft_cast(&d,
               draft_move(&d, 2, shape, draft_access(&d, u, 2, 2, NULL, NULL),
                          draft_access(&d, 0, 2, 2, NULL, NULL)),
               WMAP_F16, WMAP__OP__POLICY__CHECK);
    wmap_plan *plan = draft_accept(&d);
    output_path(out, ".npz");
    FILE *old = fopen(out, "w");
    assert_non_null(old);
    fputs("old", old);
    fclose(old);
    for (unsigned jobs = 1; jobs < 7; jobs++) {
        wmap_error err;
        assert_false(try_run(plan, source, out, jobs, &err));
        assert_int_equal(err.code, WMAP_E_GUARD);
        assert_string_equal(err.tensor, "t");
        const char *text =
            "R0604: 501 elements have no value of f16; the first is -1e+30 of f32, at [617 567]";
        if (strncmp(err.message, text, strlen(text)) != 0)
            fail_msg("%s", err.message);
        struct stat st;
        assert_int_equal(stat(out, &st), 0);
        assert_int_equal(st.st_size, 3);
    }
    wmap_plan_free(plan);
    d.plan.moves[0]->ops[0]->policy = d.plan.moves[1]->ops[0]->policy = WMAP__OP__POLICY__SATURATE;
    plan = draft_accept(&d);
    run_well(plan, source, out, 2);
    wmap_error err;
    wmap_archive *result = wmap_archive_open(out, &err);
    assert_non_null(result);
    uint16_t half;
    memcpy(&half, tensor_of(result, "u") + 2 * 1234567, 2);
    assert_int_equal(half, 0xfbff);
    wmap_archive_close(result);
    wmap_archive_close(source);
    wmap_plan_free(plan);
    draft_end(&d);
    free(data);
    unlink(path);
    unlink(out);
}

/* ---- guards ---- */

static void guard_ops(draft *d, Wmap__Move *m, const float *constant)
{
    m->n_ops = 2;
    m->ops = wm_new(&d->arena, Wmap__Op *, 2);
    for (size_t i = 0; i < 2; i++) {
        m->ops[i] = wm_new(&d->arena, Wmap__Op, 1);
        wmap__op__init(m->ops[i]);
    }
    m->ops[0]->code = constant ? WMAP__OP__CODE__CONST : WMAP__OP__CODE__LOAD;
    m->ops[0]->value_case = constant ? WMAP__OP__VALUE_NUMBER : WMAP__OP__VALUE_INTEGER;
    if (constant)
        m->ops[0]->number = (double)*constant;
    else
        m->ops[0]->integer = 1;
    m->ops[1]->code = WMAP__OP__CODE__EQUAL;
}

static void expect_guard(const wmap_plan *plan, wmap_archive *source, const char *tensor, const char *text)
{
    char out[80];
    output_path(out, ".npz");
    for (unsigned jobs = 1; jobs < 7; jobs++) {
        wmap_error err;
        assert_false(try_run(plan, source, out, jobs, &err));
        assert_int_equal(err.code, WMAP_E_GUARD);
        assert_string_equal(err.tensor, tensor);
        if (strcmp(err.message, text) != 0)
            fail_msg("%s", err.message);
        assert_int_not_equal(access(out, F_OK), 0);
    }
}

/* "b" must be "a" turned over its diagonal, bit by bit, but for its last rows, which are 1; "c", which is
 * left behind, is 0 everywhere. `wrong` are elements of "b" and of "c" that are not. */
static void guard_case(const size_t *wrong, size_t count, float value, bool drop, const char *tensor,
                       const char *text)
{
    enum { ROWS = 1200, MORE = 1500, COLUMNS = 1700 };
    static const uint64_t shape_a[] = {COLUMNS, ROWS}, shape_b[] = {MORE, COLUMNS};
    float *a = calloc((size_t)ROWS * COLUMNS, sizeof *a), *b = calloc((size_t)MORE * COLUMNS, sizeof *b);
    float *c = calloc((size_t)MORE * COLUMNS, sizeof *c);
    assert_true(a && b && c);
    for (size_t i = 0; i < (size_t)MORE * COLUMNS; i++) {
        size_t row = i / COLUMNS, column = i % COLUMNS;
        b[i] = row < ROWS ? (float)(i % 1000) : 1;
        if (row < ROWS)
            a[column * ROWS + row] = b[i];
        c[i] = i % 2 ? 0.0f : -0.0f;
    }
    for (size_t i = 0; i < count; i++)
        (drop ? c : b)[wrong[i]] = value;
    weights w = {0};
    char path[64], out[80];
    weights_add(&w, "s", "F32", 2, shape_a, a, (size_t)ROWS * COLUMNS * 4);
    weights_add(&w, "b", "F32", 2, shape_b, b, (size_t)MORE * COLUMNS * 4);
    weights_add(&w, "c", "F32", 2, shape_b, c, (size_t)MORE * COLUMNS * 4);
    wmap_archive *source = weights_open(&w, path);
    draft d;
    const float one = 1, zero = 0;
    copy_plan(&d, WMAP_F32, WMAP_F32, shape_a, 2);
    uint32_t sb = draft_source(&d, "b", WMAP_F32, 2, shape_b),
             sc = draft_source(&d, "c", WMAP_F32, 2, shape_b);
    d.plan.sources[sc]->dropped = 1;
    const uint64_t both[] = {ROWS, COLUMNS}, rest[] = {MORE - ROWS, COLUMNS};
    Wmap__Move *m = draft_move(&d, 2, rest, NULL,
                               draft_access(&d, sb, 2, 2, (int64_t[]){ROWS, 0}, (int64_t[]){1, 0, 0, 1}));
    guard_ops(&d, m, &one);
    m = draft_move(&d, 2, both, NULL, draft_access(&d, sb, 2, 2, NULL, NULL));
    Wmap__Access *two[] = {m->sources[0], draft_access(&d, 0, 2, 2, NULL, (int64_t[]){0, 1, 1, 0})};
    m->sources = two;
    m->n_sources = 2;
    guard_ops(&d, m, NULL);
    guard_ops(&d, draft_move(&d, 2, shape_b, NULL, draft_access(&d, sc, 2, 2, NULL, NULL)), &zero);
    wmap_plan *plan = draft_accept(&d);
    if (text) {
        expect_guard(plan, source, tensor, text);
    } else {
        output_path(out, ".npz");
        run_well(plan, source, out, 3);
        unlink(out);
    }
    wmap_archive_close(source);
    wmap_plan_free(plan);
    draft_end(&d);
    free(a);
    free(b);
    free(c);
    unlink(path);
}

static void test_guards(void **state)
{
    (void)state;
    guard_case(NULL, 0, 0, false, NULL, NULL);
    guard_case(
        (size_t[]){0}, 1, 5, false, "b",
        "R0802: 1 element differs from the copy `s` at m.wmap:3:5; the first is 5, expected 0, at [0 0]");
    guard_case((size_t[]){2039999, 1700, 1999999}, 3, 5.5f, false, "b",
               "R0802: 3 elements differ from copies such as `s` at m.wmap:3:5; the first is 5.5, expected "
               "7e+02, at "
               "[1 0]");
    guard_case((size_t[]){1000 * 1700}, 1, -0.0f, false, "b", /* bit by bit */
               "R0802: 1 element differs from the copy `s` at m.wmap:3:5; the first is -0, expected 0, at "
               "[1000 0]");
    guard_case(
        (size_t[]){2549999, 2040001, 5}, 3, 7, false, "b", /* what stands first in the plan is told */
        "R0803: 2 elements outside of the layout are not 1, as `else` wants at m.wmap:3:5; the first is 7, "
        "expected 1, at [1200 1]");
    guard_case((size_t[]){2549999}, 1, 7, true, "c",
               "R0801: 1 element is not 0, as `if all` wants at m.wmap:3:5; the first is 7, expected 0, at "
               "[1499 1699]");
    guard_case((size_t[]){1048577, 1048575, 99}, 3, 7, true, "c",
               "R0801: 3 elements are not 0, as `if all` wants at m.wmap:3:5; the first is 7, expected 0, at "
               "[0 99]");
}

/* ---- a source cut off while it is mapped ---- */

static void cut_when_begun(void *user, const wmap_progress *progress)
{
    if (progress->done == 0) { /* all is checked by then, and nothing read */
        int fd = open(user, O_WRONLY);
        assert_true(fd >= 0 && ftruncate(fd, 4096) == 0);
        close(fd);
    }
}

static void test_cut_off(void **state)
{
    (void)state;
    static const uint64_t shape[] = {1000, 1000}, turned[] = {1000, 1000};
    for (int transposed = 0; transposed < 2; transposed++) {
        uint8_t *data = calloc(1000000, 4);
        assert_non_null(data);
        weights w = {0};
        char path[64], out[80];
        weights_add(&w, "s", "F32", 2, shape, data, 4000000);
        free(data);
        wmap_archive *source = weights_open(&w, path);
        draft d;
        copy_plan(&d, WMAP_F32, WMAP_F32, turned, 2);
        if (transposed)
            d.plan.moves[0]->sources[0] = draft_access(&d, 0, 2, 2, NULL, (int64_t[]){0, 1, 1, 0});
        wmap_plan *plan = draft_accept(&d);
        output_path(out, ".npz");
        wmap_run_options options = {.output = out, .jobs = 2, .progress = cut_when_begun, .user = path};
        wmap_error err = {0};
        assert_false(wmap_run(plan, &source, NULL, 1, &options, NULL, &err));
        assert_int_equal(err.code, WMAP_E_CORRUPT);
        assert_string_equal(err.file, path);
        assert_int_equal(access(out, F_OK), -1);
        wmap_archive_close(source);
        wmap_plan_free(plan);
        draft_end(&d);
        unlink(path);
    }
}

/* One page of a file that had two when it was mapped. */
static const uint8_t *cut_map(void)
{
    char path[64];
    static const uint8_t two[8192];
    file_make(path, two, sizeof two);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    const uint8_t *map = mmap(NULL, sizeof two, PROT_READ, MAP_SHARED, fd, 0);
    assert_true(map != MAP_FAILED && ftruncate(fd, 4096) == 0);
    close(fd);
    unlink(path);
    return map;
}

/* Cut off after the last check, so that only the signal tells. */
static void test_trap(void **state)
{
    (void)state;
#if defined(__SANITIZE_THREAD__)
    skip(); /* it keeps handlers of its own, which a jump out of ours leaves halfway */
#endif
    const uint8_t *map = cut_map();
    uint8_t *to = malloc(8192);
    assert_non_null(to);
    wmap_error err;
    wm_block whole = {1, 0, 0, {{8192, 1, 1}}}, half = {1, 0, 0, {{4096, 1, 1}}};
    wm_block turned = {2, 0, 0, {{64, 128, 1}, {128, 1, 64}}};
    for (int again = 0; again < 3; again++) { /* the handler must be as good the second time */
        assert_true(wm_trap_begin(&err));
        assert_true(wm_trap_begin(&err)); /* two runs at once */
        assert_false(wm_trap_copy(&whole, to, map, 1));
        assert_true(wm_trap_copy(&half, to, map, 1));
        wm_trap_end();
        assert_false(wm_trap_copy(&turned, to, map, 1));
        wm_trap_end();
    }
    free(to);
    munmap((void *)(uintptr_t)map, 8192);
}

static void theirs(int number)
{
    (void)number;
    _exit(42);
}

/* What is not ours goes where it went before: to a handler, or to the end of the process. */
static void test_other_bus_errors(void **state)
{
    (void)state;
    for (int handled = 0; handled < 2; handled++) {
        pid_t child = fork();
        if (child == 0) {
            wmap_error err;
            signal(SIGBUS, handled ? theirs : SIG_DFL);
            const volatile uint8_t *map = cut_map();
            bool begun = wm_trap_begin(&err);
            _exit(begun ? map[5000] : 1);
        }
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(handled ? WIFEXITED(status) && WEXITSTATUS(status) == 42
                            : WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
    }
}

/* The output may be the input: it is replaced once it was read. */
static void test_in_place(void **state)
{
    (void)state;
    float data[] = {1, 2, 3, 4, 5, 6};
    weights w = {0};
    char path[64], out[80];
    weights_add(&w, "s", "F32", 2, shape_23, data, sizeof data);
    wmap_archive *source = weights_open(&w, path);
    output_path(out, ".safetensors");
    assert_int_equal(link(path, out), 0);
    draft d;
    copy_plan(&d, WMAP_F32, WMAP_F32, shape_23, 2);
    wmap_plan *plan = draft_accept(&d);
    run_well(plan, source, out, 2);
    wmap_archive_close(source);
    wmap_error err;
    wmap_archive *result = wmap_archive_open(out, &err), *kept = wmap_archive_open(path, &err);
    assert_true(result && kept);
    assert_memory_equal(tensor_of(result, "t"), data, sizeof data);
    assert_memory_equal(tensor_of(kept, "s"), data, sizeof data);
    wmap_archive_close(result);
    wmap_archive_close(kept);
    wmap_plan_free(plan);
    draft_end(&d);
    unlink(path);
    unlink(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_plans), cmocka_unit_test(test_strides),
        cmocka_unit_test(test_small),        cmocka_unit_test(test_misfits),
        cmocka_unit_test(test_usage),        cmocka_unit_test(test_guard),
        cmocka_unit_test(test_guards),       cmocka_unit_test(test_cut_off),
        cmocka_unit_test(test_trap),         cmocka_unit_test(test_other_bus_errors),
        cmocka_unit_test(test_in_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
