/* cli/inspect.c: `wmap inspect`: what is in weight files, from their headers. */
#include <fnmatch.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

typedef struct filter {
    const char **globs; /* none: all tensors */
    size_t count;
} filter;

static bool chosen(const filter *only, const wmap_tensor *tensor)
{
    for (size_t i = 0; i < only->count; i++) {
        if (fnmatch(only->globs[i], tensor->name, 0) == 0) {
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

static void print_text(const wmap_archive *archive, const filter *only)
{
    size_t count = wmap_archive_count(archive), shown = 0;
    /* Columns are as wide as their longest entry, but one very long name doesn't move all others. */
    size_t name_width = 4, wide = 5;
    uint64_t total = 0;
    for (size_t i = 0; i < count; i++) {
        const wmap_tensor *tensor = wmap_archive_tensor(archive, i);
        uint64_t bytes = 0;
        if (chosen(only, tensor)) {
            shown++;
            total += wmap_tensor_bytes(tensor, &bytes) ? bytes : 0;
            name_width =
                tensor->name_len > name_width && tensor->name_len <= 80 ? tensor->name_len : name_width;
            size_t w = shape_width(tensor);
            wide = w > wide && w <= 40 ? w : wide;
        }
    }
    char human[32];
    const char *path = wmap_archive_path(archive);
    wm_put_text(stdout, path, strlen(path));
    printf(": %s, %s\n", wmap_archive_format(archive),
           wm_human_bytes((double)wmap_archive_size(archive), human, sizeof human));
    for (size_t i = 0; i < count; i++) {
        const wmap_tensor *tensor = wmap_archive_tensor(archive, i);
        if (!chosen(only, tensor)) {
            continue;
        }
        uint64_t bytes = 0;
        fputs("  ", stdout);
        pad(wm_put_text(stdout, tensor->name, tensor->name_len), name_width);
        printf("  %-7s ", wmap_dtype_name(tensor->dtype));
        pad(put_shape(stdout, tensor, " "), wide);
        if (tensor->dtype != WMAP_OPAQUE && wmap_tensor_bytes(tensor, &bytes)) {
            printf("  %" PRIu64, bytes);
        }
        putchar('\n');
    }
    printf("%zu tensor%s, %s", shown, shown == 1 ? "" : "s",
           wm_human_bytes((double)total, human, sizeof human));
    printf(shown < count ? " (of %zu tensors)\n" : "\n", count);
}

static void print_json(const wmap_archive *archive, const filter *only)
{
    const char *path = wmap_archive_path(archive);
    fputs("{\"file\": ", stdout);
    wm_put_json(stdout, path, strlen(path));
    printf(", \"format\": \"%s\", \"size\": %" PRIu64 ", \"tensors\": [", wmap_archive_format(archive),
           wmap_archive_size(archive));
    bool first = true;
    for (size_t i = 0; i < wmap_archive_count(archive); i++) {
        const wmap_tensor *tensor = wmap_archive_tensor(archive, i);
        if (!chosen(only, tensor)) {
            continue;
        }
        fputs(first ? "{\"name\": " : ", {\"name\": ", stdout);
        first = false;
        wm_put_json(stdout, tensor->name, tensor->name_len);
        printf(", \"dtype\": \"%s\", \"shape\": ", wmap_dtype_name(tensor->dtype));
        put_shape(stdout, tensor, ", ");
        putchar('}');
    }
    fputs("]}\n", stdout);
}

int wm_cmd_inspect(const wm_args *args)
{
    const char *format = wm_args_value(args, WM_FLAG_FORMAT);
    bool json = format && strcmp(format, "json") == 0;
    if (format && !json && strcmp(format, "text") != 0) {
        wm_say("inspect: `--format` is text or json, not `%s`", format);
        return WM_EXIT_FAILED;
    }
    filter globs = {.globs = calloc(args->word_count + 1, sizeof *globs.globs)};
    if (!globs.globs) {
        wm_say("out of memory");
        return WM_EXIT_FAILED;
    }
    for (size_t i = 0; i < args->word_count; i++) {
        if (is_glob(args->words[i])) {
            globs.globs[globs.count++] = args->words[i];
        }
    }
    int status = WM_EXIT_DONE;
    size_t files = 0;
    for (size_t i = 0; i < args->word_count; i++) {
        if (is_glob(args->words[i])) {
            continue;
        }
        wmap_error err = {0};
        wmap_archive *archive = wmap_archive_open(args->words[i], &err);
        if (!archive) {
            int failed = wmap_exit_status(err.code);
            wm_say_error(&err);
            status = failed > status ? failed : status;
        } else if (json) {
            print_json(archive, &globs);
        } else {
            fputs(files ? "\n" : "", stdout);
            print_text(archive, &globs);
        }
        if (archive) {
            wm_input_warn(archive);
        }
        wmap_archive_close(archive);
        files++;
    }
    free(globs.globs);
    if (files == 0) {
        wm_say("inspect: name a weight file");
        return WM_EXIT_FAILED;
    }
    return status;
}
