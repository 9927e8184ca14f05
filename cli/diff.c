/* cli/diff.c: `wmap diff`: two weight files, of whatever formats, tensor by tensor; the first perhaps as a
 * spec converts it. */
#include <fnmatch.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

typedef struct side {
    const char *path; /* as the command line says it */
    wmap_archive *archive;
    size_t *sorted; /* chosen tensors, by name */
    size_t count;
} side;

typedef struct comparison {
    side a, b;
    wmap_tolerance tolerance;
    const char *const *globs;
    size_t glob_count;
    bool json, quiet, began;
    size_t differ, compared;
    int status;
} comparison;

/* ---- the sides ---- */

static bool chosen(const comparison *c, const wmap_tensor *t)
{
    for (size_t i = 0; i < c->glob_count; i++) {
        if (strcmp(c->globs[i], t->name) == 0 || fnmatch(c->globs[i], t->name, 0) == 0) {
            return true;
        }
    }
    return c->glob_count == 0;
}

static int compare_names(const wmap_tensor *x, const wmap_tensor *y)
{
    size_t least = x->name_len < y->name_len ? x->name_len : y->name_len;
    int bytes = memcmp(x->name, y->name, least);
    return bytes ? bytes : (x->name_len > y->name_len) - (x->name_len < y->name_len);
}

static int by_name(const void *a, const void *b, void *archive)
{
    return compare_names(wmap_archive_tensor(archive, *(const size_t *)a),
                         wmap_archive_tensor(archive, *(const size_t *)b));
}

static bool sort_side(const comparison *c, side *s)
{
    size_t count = wmap_archive_count(s->archive);
    s->sorted = calloc(count + 1, sizeof *s->sorted);
    if (!s->sorted) {
        wm_say("out of memory");
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (chosen(c, wmap_archive_tensor(s->archive, i))) {
            s->sorted[s->count++] = i;
        }
    }
    qsort_r(s->sorted, s->count, sizeof *s->sorted, by_name, s->archive);
    return true;
}

static int open_side(side *s, const char *path)
{
    wmap_error err = {0};
    s->path = path;
    s->archive = wmap_archive_open(path, &err);
    if (!s->archive) {
        wm_say_error(&err);
        return wmap_exit_status(err.code);
    }
    wm_input_warn(s->archive);
    return WM_EXIT_DONE;
}

/* The first file as the spec (or plan) of `--map` converts it. */
static int open_through(side *s, const char *path, const char *spec, const wm_args *args)
{
    const char *words[] = {spec, path};
    wm_args inner = {args->command, words, 2, args->options, args->option_count};
    wm_input input;
    int status = wm_input_open(&input, &inner);
    s->path = path;
    if (status == WM_EXIT_DONE) {
        wmap_plan *plan = wm_input_plan(&input, &inner, &status);
        if (plan) {
            wmap_error err = {0};
            s->archive =
                wmap_run_scratch(plan, input.archives, input.prefixes, input.archive_count, NULL, path, &err);
            if (!s->archive) {
                wm_say_error(&err);
                status = wmap_exit_status(err.code);
            }
        }
        wmap_plan_free(plan);
    }
    wm_input_free(&input);
    return status;
}

/* ---- what is said ---- */

static void put_type(const wmap_tensor *t)
{
    printf("%s [", wmap_dtype_name(t->dtype));
    for (uint32_t d = 0; d < t->rank; d++) {
        printf("%s%" PRIu64, d ? " " : "", t->shape[d]);
    }
    putchar(']');
}

static void json_begin(comparison *c, const char *kind, const wmap_tensor *t)
{
    printf("%s{\"kind\": \"%s\", \"name\": ", c->began ? ", " : "", kind);
    c->began = true;
    wm_put_json(stdout, t->name, t->name_len);
}

static void json_type(const char *key, const wmap_tensor *t)
{
    printf(", \"%s\": {\"dtype\": \"%s\", \"shape\": [", key, wmap_dtype_name(t->dtype));
    for (uint32_t d = 0; d < t->rank; d++) {
        printf("%s%" PRIu64, d ? ", " : "", t->shape[d]);
    }
    fputs("]}", stdout);
}

/* Tensors of one side only, like ones in one row. */
static int put_alone(comparison *c, const side *s, const char *key, const wmap_tensor *const *list,
                     size_t count)
{
    c->differ += count;
    if (c->json) {
        for (size_t i = 0; i < count; i++) {
            json_begin(c, "only", list[i]);
            json_type(key, list[i]);
            putchar('}');
        }
        return WM_EXIT_DONE;
    }
    wm_row *rows = calloc(count + 1, sizeof *rows);
    size_t made = rows ? wm_fold(list, count, rows) : SIZE_MAX;
    if (made == SIZE_MAX) {
        free(rows);
        wm_say("out of memory");
        return WM_EXIT_FAILED;
    }
    for (size_t i = 0; i < made; i++) {
        fputs("only in ", stdout);
        wm_put_text(stdout, s->path, strlen(s->path));
        fputs(": ", stdout);
        wm_put_text(stdout, rows[i].name, rows[i].name_len);
        fputs("  ", stdout);
        put_type(list[rows[i].first]);
        printf(rows[i].count > 1 ? "  x %zu\n" : "\n", rows[i].count);
    }
    wm_rows_free(rows, made);
    free(rows);
    return WM_EXIT_DONE;
}

/* The index of the first difference; in JSON it is a list, with commas. */
static void put_first(const wmap_tensor *t, const wmap_difference *d, bool json)
{
    char index[WMAP_MAX_RANK * 21 + 3];
    for (const char *p = wmap_index_text(t, d->first, index, sizeof index); *p; p++) {
        fputs(*p == ' ' && json ? ", " : (char[]){*p, 0}, stdout);
    }
}

static void json_values(const wmap_tensor *t, const wmap_difference *d)
{
    printf(", \"differ\": %" PRIu64 ", \"first\": ", d->count);
    put_first(t, d, true);
    fputs(", \"values\": [", stdout);
    wm_put_json(stdout, d->a, strlen(d->a));
    fputs(", ", stdout);
    wm_put_json(stdout, d->b, strlen(d->b));
    fputs(isfinite(d->most) ? "], \"max_abs\": " : "], \"max_abs\": null", stdout);
    if (isfinite(d->most)) {
        printf("%.17g", d->most);
    }
    if (d->has_ulps) {
        printf(", \"max_ulp\": %" PRIu64, d->ulps);
    }
}

static void text_values(const wmap_tensor *t, const wmap_difference *d)
{
    uint64_t size = wmap_dtype_size(t->dtype), bytes = 0, all = 0;
    if (size && wmap_tensor_bytes(t, &bytes)) {
        all = bytes / size;
    }
    printf("%" PRIu64 " of %" PRIu64 " elements differ, the first at ", d->count, all);
    put_first(t, d, false);
    printf(": %s and %s; at most %g apart", d->a, d->b, d->most);
    if (d->has_ulps) {
        printf(", %" PRIu64 " ulp", d->ulps);
    }
}

/* ---- a tensor of both ---- */

static bool same_shape(const wmap_tensor *t, const wmap_tensor *u)
{
    return t->rank == u->rank &&
           (t->rank == 0 || memcmp(t->shape, u->shape, t->rank * sizeof *t->shape) == 0);
}

static int compare_tensor(comparison *c, size_t i, size_t k)
{
    const wmap_tensor *t = wmap_archive_tensor(c->a.archive, i), *u = wmap_archive_tensor(c->b.archive, k);
    wmap_difference d = {0};
    wmap_error err = {0};
    bool shape = same_shape(t, u), opaque = t->dtype == WMAP_OPAQUE || u->dtype == WMAP_OPAQUE;
    bool both_opaque = t->dtype == WMAP_OPAQUE && u->dtype == WMAP_OPAQUE;
    c->compared++;
    if (both_opaque) {
        wm_say("%s: nothing is known of it in either file: not compared", t->name);
        return WM_EXIT_DONE;
    }
    if (shape && !opaque && !wmap_compare(c->a.archive, i, c->b.archive, k, &c->tolerance, &d, &err)) {
        wm_say_error(&err);
        return wmap_exit_status(err.code);
    }
    if (shape && t->dtype == u->dtype && d.count == 0) {
        return WM_EXIT_DONE;
    }
    c->differ++;
    if (c->quiet) {
        return WM_EXIT_DONE;
    }
    if (c->json) {
        json_begin(c, !shape ? "shape" : t->dtype != u->dtype ? "dtype" : "values", t);
        json_type("a", t);
        json_type("b", u);
        if (d.count) {
            json_values(t, &d);
        }
        putchar('}');
        return WM_EXIT_DONE;
    }
    wm_put_text(stdout, t->name, t->name_len);
    fputs(": ", stdout);
    if (!shape || t->dtype != u->dtype) {
        put_type(t);
        fputs(" and ", stdout);
        put_type(u);
        fputs(d.count ? "; " : shape && !opaque ? "; the values are the same" : "", stdout);
    }
    if (d.count) {
        text_values(t, &d);
    }
    putchar('\n');
    return WM_EXIT_DONE;
}

/* Both sides are sorted by name. `both` gets the pairs, by their place in the first file. */
static size_t pair_up(const comparison *c, size_t (*both)[2], const wmap_tensor **only_a, size_t *a_count,
                      const wmap_tensor **only_b, size_t *b_count)
{
    size_t pairs = 0, i = 0, k = 0;
    *a_count = *b_count = 0;
    while (i < c->a.count || k < c->b.count) {
        const wmap_tensor *t = i < c->a.count ? wmap_archive_tensor(c->a.archive, c->a.sorted[i]) : NULL;
        const wmap_tensor *u = k < c->b.count ? wmap_archive_tensor(c->b.archive, c->b.sorted[k]) : NULL;
        int order = !t ? 1 : !u ? -1 : compare_names(t, u);
        if (order == 0) {
            both[pairs][0] = c->a.sorted[i++];
            both[pairs++][1] = c->b.sorted[k++];
        } else if (order < 0) {
            only_a[(*a_count)++] = t;
            i++;
        } else {
            only_b[(*b_count)++] = u;
            k++;
        }
    }
    return pairs;
}

static int by_place(const void *a, const void *b)
{
    const size_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static int compare_all(comparison *c)
{
    size_t(*both)[2] = calloc(c->a.count + 1, sizeof *both), only_a_count, only_b_count;
    const wmap_tensor **only_a = calloc(c->a.count + 1, sizeof *only_a),
                      **only_b = calloc(c->b.count + 1, sizeof *only_b);
    int status = WM_EXIT_FAILED;
    if (!both || !only_a || !only_b) {
        wm_say("out of memory");
    } else {
        size_t pairs = pair_up(c, both, only_a, &only_a_count, only_b, &only_b_count);
        qsort(both, pairs, sizeof *both, by_place);
        if (c->quiet) {
            c->differ += only_a_count + only_b_count;
            status = WM_EXIT_DONE;
        } else {
            int first = put_alone(c, &c->a, "a", only_a, only_a_count),
                second = put_alone(c, &c->b, "b", only_b, only_b_count);
            status = first > second ? first : second;
        }
        for (size_t i = 0; i < pairs; i++) {
            int one = compare_tensor(c, both[i][0], both[i][1]);
            status = one > status ? one : status;
        }
    }
    free(both);
    free(only_a);
    free(only_b);
    return status;
}

/* ---- the command ---- */

static bool number(const wm_args *args, wm_flag_id flag, double *value)
{
    const char *text = wm_args_value(args, flag);
    char *end = NULL;
    *value = text ? strtod(text, &end) : 0;
    if (!text || (*text && !*end && *value >= 0 && isfinite(*value))) {
        return true;
    }
    wm_say("diff: `--%s` wants a number from 0 on, not `%s`", wm_flags[flag].name, text);
    return false;
}

static int begin(comparison *c, const wm_args *args)
{
    const char *format = wm_args_value(args, WM_FLAG_FORMAT), *spec = wm_args_value(args, WM_FLAG_THROUGH);
    size_t ulps;
    if (format && strcmp(format, "json") != 0 && strcmp(format, "text") != 0) {
        wm_say("diff: `--format` is text or json, not `%s`", format);
        return WM_EXIT_FAILED;
    }
    c->json = format && strcmp(format, "json") == 0;
    c->quiet = wm_args_has(args, WM_FLAG_QUIET);
    if (args->word_count < 2) {
        wm_say("diff: name two weight files");
        return WM_EXIT_FAILED;
    }
    if (!number(args, WM_FLAG_ATOL, &c->tolerance.absolute) ||
        !number(args, WM_FLAG_RTOL, &c->tolerance.relative) ||
        !wm_args_number(args, WM_FLAG_ULP, SIZE_MAX, 0, &ulps)) {
        return WM_EXIT_FAILED;
    }
    c->tolerance.ulps = ulps;
    c->globs = args->words + 2;
    c->glob_count = args->word_count - 2;
    int first = spec ? open_through(&c->a, args->words[0], spec, args) : open_side(&c->a, args->words[0]);
    if (first != WM_EXIT_DONE) {
        return first;
    }
    int second = open_side(&c->b, args->words[1]);
    if (second != WM_EXIT_DONE) {
        return second;
    }
    return sort_side(c, &c->a) && sort_side(c, &c->b) ? WM_EXIT_DONE : WM_EXIT_FAILED;
}

int wm_cmd_diff(const wm_args *args)
{
    comparison c = {0};
    int status = begin(&c, args);
    if (status == WM_EXIT_DONE) {
        if (c.json) {
            fputs("{\"differences\": [", stdout);
        }
        status = compare_all(&c);
        if (c.json) {
            printf("], \"compared\": %zu, \"differ\": %zu}\n", c.compared, c.differ);
        } else if (!c.quiet) {
            printf("%zu tensor%s in both, %zu difference%s\n", c.compared, c.compared == 1 ? "" : "s",
                   c.differ, c.differ == 1 ? "" : "s");
        }
        if (status == WM_EXIT_DONE && c.differ) {
            status = WM_EXIT_FINDINGS;
        }
    }
    wmap_archive_close(c.a.archive);
    wmap_archive_close(c.b.archive);
    free(c.a.sorted);
    free(c.b.sorted);
    return status;
}
