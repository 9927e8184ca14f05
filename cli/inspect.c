/* cli/inspect.c: `wmap inspect`: what is in weight files: from their headers, and on demand the values too.
 */
#include <fnmatch.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

#define SHOWN_METAS ((size_t)20) /* keys in the text; JSON has all */

typedef struct filter {
    const char **globs; /* none: all tensors */
    size_t count;
} filter;

/* What is shown of one file. */
typedef struct view {
    wmap_archive *archive;
    const wmap_tensor **tensors; /* the chosen ones */
    size_t *indices;             /* in the archive */
    size_t count;
    bool stats;
} view;

static bool matches(const char *glob, const char *name)
{
    return name && (strcmp(glob, name) == 0 || fnmatch(glob, name, 0) == 0);
}

static bool chosen(const filter *only, const wmap_archive *archive, size_t index)
{
    for (size_t i = 0; i < only->count; i++) {
        if (matches(only->globs[i], wmap_archive_tensor(archive, index)->name) ||
            matches(only->globs[i], wmap_archive_alias(archive, index))) {
            return true;
        }
    }
    return only->count == 0;
}

/* An argument is a glob if it has the signs of one and no file is called so. */
static bool is_glob(const char *word)
{
    return strpbrk(word, "*?[") && access(word, F_OK) != 0;
}

/* ---- columns ---- */

static size_t put_shape(FILE *out, const wmap_tensor *tensor, const char *between)
{
    size_t columns = 2;
    putc('[', out);
    for (uint32_t i = 0; i < tensor->rank; i++) {
        int n = fprintf(out, "%s%" PRIu64, i ? between : "", tensor->shape[i]);
        columns += n > 0 ? (size_t)n : 0;
    }
    putc(']', out);
    return columns;
}

static size_t shape_width(const wmap_tensor *tensor)
{
    size_t columns = 2 + (tensor->rank ? tensor->rank - 1 : 0);
    for (uint32_t i = 0; i < tensor->rank; i++) {
        columns += (size_t)snprintf(NULL, 0, "%" PRIu64, tensor->shape[i]);
    }
    return columns;
}

static void pad(size_t columns, size_t width)
{
    printf("%*s", columns < width ? (int)(width - columns) : 0, "");
}

/* Columns are as wide as their longest entry, but one very long name doesn't move all others. */
typedef struct widths {
    size_t name, shape;
} widths;

static void widen(widths *w, size_t name, const wmap_tensor *tensor)
{
    size_t shape = shape_width(tensor);
    w->name = name > w->name && name <= 80 ? name : w->name;
    w->shape = shape > w->shape && shape <= 40 ? shape : w->shape;
}

static int put_stats(const view *v, size_t index)
{
    wmap_stats s;
    wmap_error err = {0};
    const wmap_tensor *t = wmap_archive_tensor(v->archive, index);
    if (t->dtype == WMAP_OPAQUE) {
        return WM_EXIT_DONE;
    }
    if (!wmap_archive_stats(v->archive, index, &s, &err)) {
        if (err.code == WMAP_E_UNSUPPORTED) {
            return WM_EXIT_DONE;
        }
        putchar('\n');
        wm_say_error(&err);
        return wmap_exit_status(err.code);
    }
    printf("  %-12.6g %-12.6g %-12.6g %-12.6g", s.least, s.most, s.mean, s.deviation);
    if (s.nan) {
        printf(" %" PRIu64 " NaN", s.nan);
    }
    if (s.infinite) {
        printf(" %" PRIu64 " Inf", s.infinite);
    }
    return WM_EXIT_DONE;
}

/* Its bytes, or what it is that wmap can't move; then the other name. */
static void put_size(const view *v, size_t i)
{
    const char *alias = wmap_archive_alias(v->archive, v->indices[i]);
    const char *note = wmap_archive_note(v->archive, v->indices[i]);
    uint64_t bytes = 0;
    if (!note && v->tensors[i]->dtype != WMAP_OPAQUE && wmap_tensor_bytes(v->tensors[i], &bytes)) {
        printf(alias ? "  %-11" PRIu64 : "  %" PRIu64, bytes);
    } else if (note || alias) {
        fputs("  ", stdout);
        size_t columns = wm_put_text(stdout, note ? note : "", note ? strlen(note) : 0);
        pad(columns, alias ? 11 : 0);
    }
    if (alias) {
        putchar(' ');
        wm_put_text(stdout, alias, strlen(alias));
    }
}

static int print_table(const view *v)
{
    widths w = {4, 5};
    int status = WM_EXIT_DONE;
    for (size_t i = 0; i < v->count; i++) {
        widen(&w, v->tensors[i]->name_len, v->tensors[i]);
    }
    if (v->stats) {
        printf("  %-*s  %-7s %-*s  %-12s %-12s %-12s %s\n", (int)w.name, "", "", (int)w.shape, "", "min",
               "max", "mean", "std");
    }
    for (size_t i = 0; i < v->count && status == WM_EXIT_DONE; i++) {
        const wmap_tensor *tensor = v->tensors[i];
        fputs("  ", stdout);
        pad(wm_put_text(stdout, tensor->name, tensor->name_len), w.name);
        printf("  %-7s ", wmap_dtype_name(tensor->dtype));
        pad(put_shape(stdout, tensor, " "), w.shape);
        if (v->stats) {
            status = put_stats(v, v->indices[i]);
        } else {
            put_size(v, i);
        }
        putchar('\n');
    }
    return status;
}

/* ---- like tensors in one row, and rows as a tree ---- */

static void put_row(const view *v, const wm_row *row, size_t shape)
{
    const wmap_tensor *tensor = v->tensors[row->first];
    printf("  %-7s ", wmap_dtype_name(tensor->dtype));
    size_t columns = put_shape(stdout, tensor, " ");
    if (row->count > 1) {
        pad(columns, shape);
        printf("  x %zu", row->count);
    }
    putchar('\n');
}

static void print_folded(const view *v, const wm_row *rows, size_t count)
{
    widths w = {4, 5};
    for (size_t i = 0; i < count; i++) {
        widen(&w, rows[i].name_len, v->tensors[rows[i].first]);
    }
    for (size_t i = 0; i < count; i++) {
        fputs("  ", stdout);
        pad(wm_put_text(stdout, rows[i].name, rows[i].name_len), w.name);
        put_row(v, &rows[i], w.shape);
    }
}

/* A part of names: up to a `/` or `.` that stands in no braces. */
typedef struct node {
    const char *part;
    size_t len;
    const wm_row *row; /* of the tensor of this very name; NULL if there is none */
    struct node *kids, *last, *next;
} node;

static size_t part_end(const wm_row *row, size_t at)
{
    int braces = 0;
    for (; at < row->name_len; at++) {
        char c = row->name[at];
        braces += c == '{' ? 1 : c == '}' ? -1 : 0;
        if (braces == 0 && (c == '/' || c == '.')) {
            return at + 1;
        }
    }
    return at;
}

static node *kid_of(node *parent, const char *part, size_t len, node **spare)
{
    if (parent->last && parent->last->len == len && memcmp(parent->last->part, part, len) == 0) {
        return parent->last;
    }
    size_t seen = 0;
    for (node *k = parent->kids; k && seen < 4096; k = k->next, seen++) {
        if (k->len == len && memcmp(k->part, part, len) == 0) {
            return k;
        }
    }
    node *made = (*spare)++;
    *made = (node){.part = part, .len = len};
    if (parent->last) {
        parent->last->next = made;
    } else {
        parent->kids = made;
    }
    parent->last = made;
    return made;
}

static void print_nodes(const view *v, const node *n, int level)
{
    for (; n; n = n->next) {
        const node *end = n;
        printf("%*s", 2 * level, "");
        wm_put_text(stdout, n->part, n->len);
        while (!end->row && end->kids && !end->kids->next) { /* a part alone stays on the line */
            end = end->kids;
            wm_put_text(stdout, end->part, end->len);
        }
        if (end->row) {
            put_row(v, end->row, 0);
        } else {
            putchar('\n');
        }
        print_nodes(v, end->kids, level + 1);
    }
}

static int print_tree(const view *v, const wm_row *rows, size_t count)
{
    size_t parts = 0;
    for (size_t i = 0; i < count; i++) {
        int depth = 0;
        for (size_t at = 0; at < rows[i].name_len && depth < 64; at = part_end(&rows[i], at), depth++) {
            parts++;
        }
    }
    node *nodes = calloc(parts + 1, sizeof *nodes), *spare = nodes, root = {0};
    if (!nodes) {
        wm_say("out of memory");
        return WM_EXIT_FAILED;
    }
    for (size_t i = 0; i < count; i++) {
        node *at = &root;
        size_t begin = 0;
        for (int depth = 1; begin < rows[i].name_len || at == &root; depth++) {
            size_t end = depth < 64 ? part_end(&rows[i], begin) : rows[i].name_len;
            at = kid_of(at, rows[i].name + begin, end - begin, &spare);
            begin = end;
        }
        at->row = &rows[i];
    }
    print_nodes(v, root.kids, 1);
    free(nodes);
    return WM_EXIT_DONE;
}

static int print_rows(const view *v, bool tree)
{
    wm_row *rows = calloc(v->count + 1, sizeof *rows);
    size_t count = rows ? wm_fold(v->tensors, v->count, rows) : SIZE_MAX;
    int status = WM_EXIT_DONE;
    if (count == SIZE_MAX) {
        wm_say("out of memory");
        status = WM_EXIT_FAILED;
    } else if (tree) {
        status = print_tree(v, rows, count);
    } else {
        print_folded(v, rows, count);
    }
    if (count != SIZE_MAX) {
        wm_rows_free(rows, count);
    }
    free(rows);
    return status;
}

/* ---- text and JSON ---- */

/* The keys; values may be whole configurations. */
static void print_metas(const wmap_archive *archive)
{
    size_t count = wmap_archive_meta_count(archive);
    if (!count) {
        return;
    }
    printf("%zu entr%s of metadata: ", count, count == 1 ? "y" : "ies");
    for (size_t i = 0; i < count && i < SHOWN_METAS; i++) {
        const wmap_meta *meta = wmap_archive_meta(archive, i);
        fputs(i ? ", " : "", stdout);
        wm_put_text(stdout, meta->key, meta->key_len);
    }
    puts(count > SHOWN_METAS ? ", ..." : "");
}

static int print_text(const view *v, const wm_args *args)
{
    char human[32];
    const char *path = wmap_archive_path(v->archive);
    size_t all = wmap_archive_count(v->archive);
    uint64_t total = 0;
    int status;
    for (size_t i = 0; i < v->count; i++) {
        uint64_t bytes = 0;
        total += wmap_tensor_bytes(v->tensors[i], &bytes) ? bytes : 0;
    }
    wm_put_text(stdout, path, strlen(path));
    printf(": %s, %s\n", wmap_archive_format(v->archive),
           wm_human_bytes((double)wmap_archive_size(v->archive), human, sizeof human));
    if (wm_args_has(args, WM_FLAG_TREE)) {
        status = print_rows(v, true);
    } else if (wm_args_has(args, WM_FLAG_FOLD)) {
        status = print_rows(v, false);
    } else {
        status = print_table(v);
    }
    print_metas(v->archive);
    printf("%zu tensor%s, %s", v->count, v->count == 1 ? "" : "s",
           wm_human_bytes((double)total, human, sizeof human));
    printf(v->count < all ? " (of %zu tensors)\n" : "\n", all);
    return status;
}

/* JSON has no NaN and no infinity. */
static void put_number(const char *name, double x)
{
    if (isfinite(x)) {
        printf(", \"%s\": %.17g", name, x);
    } else {
        printf(", \"%s\": null", name);
    }
}

static int put_json_stats(const view *v, size_t index)
{
    wmap_stats s;
    wmap_error err = {0};
    if (wmap_archive_tensor(v->archive, index)->dtype == WMAP_OPAQUE) {
        return WM_EXIT_DONE;
    }
    if (!wmap_archive_stats(v->archive, index, &s, &err)) {
        if (err.code != WMAP_E_UNSUPPORTED) {
            wm_say_error(&err);
        }
        return err.code == WMAP_E_UNSUPPORTED ? WM_EXIT_DONE : wmap_exit_status(err.code);
    }
    printf(", \"stats\": {\"count\": %" PRIu64 ", \"nan\": %" PRIu64 ", \"inf\": %" PRIu64
           ", \"zero\": %" PRIu64,
           s.count, s.nan, s.infinite, s.zero);
    put_number("min", s.least);
    put_number("max", s.most);
    put_number("mean", s.mean);
    put_number("std", s.deviation);
    putchar('}');
    return WM_EXIT_DONE;
}

/* The end of the object, with all that stands beside the tensors. */
static void put_json_metas(const wmap_archive *archive)
{
    fputs("], \"metadata\": {", stdout);
    for (size_t i = 0; i < wmap_archive_meta_count(archive); i++) {
        const wmap_meta *meta = wmap_archive_meta(archive, i);
        fputs(i ? ", " : "", stdout);
        wm_put_json(stdout, meta->key, meta->key_len);
        fputs(": ", stdout);
        wm_put_json(stdout, meta->value, meta->value_len);
    }
    fputs("}}\n", stdout);
}

/* A name that isn't UTF-8, as its bytes: in JSON alone two of them could look the same. */
static void put_hex(const char *name, size_t len)
{
    fputs(", \"name_hex\": \"", stdout);
    for (size_t i = 0; i < len; i++) {
        printf("%02x", (unsigned char)name[i]);
    }
    putchar('"');
}

/* A tensor's object, but for its end. */
static void put_json_tensor(const view *v, size_t i)
{
    const wmap_tensor *tensor = v->tensors[i];
    const char *alias = wmap_archive_alias(v->archive, v->indices[i]);
    const char *note = wmap_archive_note(v->archive, v->indices[i]);
    fputs("{\"name\": ", stdout);
    if (!wm_put_json(stdout, tensor->name, tensor->name_len)) {
        put_hex(tensor->name, tensor->name_len);
    }
    if (alias) {
        fputs(", \"alias\": ", stdout);
        wm_put_json(stdout, alias, strlen(alias));
    }
    printf(", \"dtype\": \"%s\", \"shape\": ", wmap_dtype_name(tensor->dtype));
    put_shape(stdout, tensor, ", ");
    if (note) {
        fputs(", \"note\": ", stdout);
        wm_put_json(stdout, note, strlen(note));
    }
}

/* A listing: a line a tensor (runtime/formats/listing.c reads it). */
static int print_lines(const view *v)
{
    puts("{\"wmap\": \"listing\", \"version\": 1}");
    for (size_t i = 0; i < v->count; i++) {
        put_json_tensor(v, i);
        puts("}");
    }
    return WM_EXIT_DONE;
}

static int print_json(const view *v)
{
    const char *path = wmap_archive_path(v->archive);
    int status = WM_EXIT_DONE;
    fputs("{\"file\": ", stdout);
    wm_put_json(stdout, path, strlen(path));
    printf(", \"format\": \"%s\", \"size\": %" PRIu64 ", \"tensors\": [", wmap_archive_format(v->archive),
           wmap_archive_size(v->archive));
    for (size_t i = 0; i < v->count; i++) {
        fputs(i ? ", " : "", stdout);
        put_json_tensor(v, i);
        if (v->stats) {
            int one = put_json_stats(v, v->indices[i]);
            status = one > status ? one : status;
        }
        putchar('}');
    }
    put_json_metas(v->archive);
    return status;
}

/* ---- one tensor out ---- */

/* Copies the chosen tensors as they are: a plan that keeps them, of a file that may hold more. */
static int extract(const view *v, const wm_args *args)
{
    static const char rules[] = "keep rest";
    const char *output = wm_args_value(args, WM_FLAG_OUTPUT);
    if (!output) {
        wm_say("inspect: say where the tensor goes: -o PATH");
        return WM_EXIT_FAILED;
    }
    wmap_tensor *headers = calloc(v->count, sizeof *headers);
    if (!headers) {
        wm_say("out of memory");
        return WM_EXIT_FAILED;
    }
    for (size_t i = 0; i < v->count; i++) {
        headers[i] = *v->tensors[i];
    }
    wmap_header header = {.label = wmap_archive_path(v->archive), .tensors = headers, .count = v->count};
    wmap_compile_options compile = {.path = "--extract",
                                    .text = rules,
                                    .text_len = sizeof rules - 1,
                                    .rules_only = true,
                                    .sources = &header,
                                    .source_count = 1};
    uint8_t *bytes = NULL;
    size_t size = 0;
    wmap_report *report = NULL;
    wmap_error err = {0};
    wmap_plan *plan = NULL;
    bool ok = wmap_compile(&compile, &bytes, &size, &report, &err) &&
              (plan = wmap_plan_parse(bytes, size, "--extract", &err));
    if (!ok && err.code == WMAP_E_SPEC) {
        wmap_report_print(report, stderr, WMAP_REPORT_TEXT, wm_use_color(stderr), 0);
    }
    wmap_report_free(report);
    free(bytes);
    free(headers);
    if (ok) {
        wmap_run_options options = {.output = output,
                                    .to_format = wm_args_value(args, WM_FLAG_TO_FORMAT),
                                    .force = wm_args_has(args, WM_FLAG_FORCE),
                                    .partial = true};
        ok = wmap_run(plan, &v->archive, NULL, 1, &options, NULL, &err);
    }
    wmap_plan_free(plan);
    if (!ok && err.code != WMAP_E_SPEC) {
        wm_say_error(&err);
    }
    return ok ? WM_EXIT_DONE : wmap_exit_status(err.code);
}

/* ---- the command ---- */

static bool choose(view *v, const filter *only)
{
    size_t all = wmap_archive_count(v->archive);
    v->tensors = calloc(all + 1, sizeof *v->tensors);
    v->indices = calloc(all + 1, sizeof *v->indices);
    if (!v->tensors || !v->indices) {
        wm_say("out of memory");
        return false;
    }
    for (size_t i = 0; i < all; i++) {
        if (chosen(only, v->archive, i)) {
            v->indices[v->count] = i;
            v->tensors[v->count++] = wmap_archive_tensor(v->archive, i);
        }
    }
    return true;
}

static int show(const char *path, const filter *only, const wm_args *args, size_t files)
{
    const char *format = wm_args_value(args, WM_FLAG_LOOK_FORMAT),
               *name = wm_args_value(args, WM_FLAG_EXTRACT);
    wmap_error err = {0};
    view v = {.archive = wmap_archive_open(path, &err), .stats = wm_args_has(args, WM_FLAG_STATS)};
    filter one = {&name, 1};
    int status = WM_EXIT_FAILED;
    if (!v.archive) {
        wm_say_error(&err);
        return wmap_exit_status(err.code);
    }
    if (!choose(&v, name ? &one : only)) {
        status = WM_EXIT_FAILED;
    } else if (name && v.count == 0) {
        wm_say("%s: no tensor is called `%s`", path, name);
    } else if (name) {
        status = extract(&v, args);
    } else if (format && strcmp(format, "json") == 0) {
        status = print_json(&v);
    } else if (format && strcmp(format, "jsonl") == 0) {
        status = print_lines(&v);
    } else {
        fputs(files ? "\n" : "", stdout);
        status = print_text(&v, args);
    }
    wm_input_warn(v.archive);
    free(v.tensors);
    free(v.indices);
    wmap_archive_close(v.archive);
    return status;
}

static bool flags_are_sound(const wm_args *args, size_t files)
{
    const char *format = wm_args_value(args, WM_FLAG_LOOK_FORMAT);
    bool lines = format && strcmp(format, "jsonl") == 0;
    if (format && !lines && strcmp(format, "json") != 0 && strcmp(format, "text") != 0) {
        wm_say("inspect: `--format` is text, json or jsonl, not `%s`", format);
        return false;
    }
    if (files == 0) {
        wm_say("inspect: name a weight file");
        return false;
    }
    if (lines && (files > 1 || wm_args_has(args, WM_FLAG_STATS))) {
        wm_say("inspect: a listing is of one file, from its header: no more files, no `--stats`");
        return false;
    }
    if (wm_args_has(args, WM_FLAG_EXTRACT) && files > 1) {
        wm_say("inspect: `--extract` takes from one file");
        return false;
    }
    return true;
}

int wm_cmd_inspect(const wm_args *args)
{
    filter globs = {.globs = calloc(args->word_count + 1, sizeof *globs.globs)};
    if (!globs.globs) {
        wm_say("out of memory");
        return WM_EXIT_FAILED;
    }
    size_t files = 0;
    for (size_t i = 0; i < args->word_count; i++) {
        if (is_glob(args->words[i])) {
            globs.globs[globs.count++] = args->words[i];
        } else {
            files++;
        }
    }
    int status = flags_are_sound(args, files) ? WM_EXIT_DONE : WM_EXIT_FAILED;
    bool begin = status == WM_EXIT_DONE;
    files = 0;
    for (size_t i = 0; begin && i < args->word_count; i++) {
        if (!is_glob(args->words[i])) {
            int one = show(args->words[i], &globs, args, files++);
            status = one > status ? one : status;
        }
    }
    free(globs.globs);
    return status;
}
