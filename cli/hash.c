/* cli/hash.c: `wmap hash`: digests of what weight files hold, whatever their format, and manifests of them.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

enum { MANIFEST_LIMIT = 256 << 20 };

/* A line of a manifest: "DIGEST  f32 [2 3]  name". */
typedef struct item {
    char digest[WMAP_DIGEST_SIZE]; /* "-" for what wmap can't read */
    char *type, *name;
} item;

typedef struct items {
    item *list;
    size_t count;
    char model[WMAP_DIGEST_SIZE];
} items;

static void free_items(items *all)
{
    for (size_t i = 0; i < all->count; i++) {
        free(all->list[i].type);
        free(all->list[i].name);
    }
    free(all->list);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const item *)a)->name, ((const item *)b)->name);
}

/* What print writes, as a text. */
static char *text_of(const wmap_tensor *t, void (*print)(FILE *out, const wmap_tensor *t))
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (out) {
        print(out, t);
        if (fclose(out) != 0) {
            free(text);
            text = NULL;
        }
    }
    return text;
}

static void print_type(FILE *out, const wmap_tensor *t)
{
    fprintf(out, "%s [", wmap_dtype_name(t->dtype));
    for (uint32_t d = 0; d < t->rank; d++) {
        fprintf(out, "%s%" PRIu64, d ? " " : "", t->shape[d]);
    }
    putc(']', out);
}

static void print_name(FILE *out, const wmap_tensor *t)
{
    wm_put_text(out, t->name, t->name_len);
}

/* The digest of a model: of the lines of its manifest, sorted by name. */
static bool digest_model(items *all)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    for (size_t i = 0; out && i < all->count; i++) {
        fprintf(out, "%s  %s  %s\n", all->list[i].digest, all->list[i].type, all->list[i].name);
    }
    bool ok = out && fclose(out) == 0;
    if (ok) {
        wmap_digest(text, size, all->model);
    } else {
        wm_say("out of memory");
    }
    free(text);
    return ok;
}

static int digest_file(const char *path, items *all)
{
    wmap_error err = {0};
    wmap_archive *archive = wmap_archive_open(path, &err);
    int status = WM_EXIT_DONE;
    if (!archive) {
        wm_say_error(&err);
        return wmap_exit_status(err.code);
    }
    wm_input_warn(archive);
    size_t count = wmap_archive_count(archive);
    all->list = calloc(count + 1, sizeof *all->list);
    for (size_t i = 0; all->list && status == WM_EXIT_DONE && i < count; i++) {
        item *at = &all->list[all->count++];
        const wmap_tensor *tensor = wmap_archive_tensor(archive, i);
        at->type = text_of(tensor, print_type);
        at->name = text_of(tensor, print_name);
        if (!at->type || !at->name) {
            status = WM_EXIT_FAILED;
            wm_say("out of memory");
        } else if (tensor->dtype == WMAP_OPAQUE) {
            at->digest[0] = '-';
        } else if (!wmap_archive_digest(archive, i, at->digest, &err)) {
            wm_say_error(&err);
            status = wmap_exit_status(err.code);
        }
    }
    if (!all->list) {
        wm_say("out of memory");
        status = WM_EXIT_FAILED;
    }
    wmap_archive_close(archive);
    if (status == WM_EXIT_DONE) {
        qsort(all->list, all->count, sizeof *all->list, by_name);
        status = digest_model(all) ? WM_EXIT_DONE : WM_EXIT_FAILED;
    }
    return status;
}

/* ---- printing ---- */

static void print_text(const items *all, const char *path, bool total)
{
    for (size_t i = 0; !total && i < all->count; i++) {
        printf("%s  %s  %s\n", all->list[i].digest, all->list[i].type, all->list[i].name);
    }
    printf("%s  ", all->model);
    wm_put_text(stdout, total ? path : "(model)", total ? strlen(path) : 7);
    putchar('\n');
}

static void print_json(const items *all, const char *path, bool total)
{
    fputs("{\"file\": ", stdout);
    wm_put_json(stdout, path, strlen(path));
    printf(", \"algorithm\": \"sha256\", \"model\": \"%s\"", all->model);
    for (size_t i = 0; !total && i < all->count; i++) {
        fputs(i ? ", {\"name\": " : ", \"tensors\": [{\"name\": ", stdout);
        wm_put_json(stdout, all->list[i].name, strlen(all->list[i].name));
        printf(", \"type\": \"%s\", \"digest\": \"%s\"}", all->list[i].type, all->list[i].digest);
    }
    fputs(total ? "}\n" : all->count ? "]}\n" : ", \"tensors\": []}\n", stdout);
}

/* ---- comparing with a manifest ---- */

static bool parse_line(char *line, item *at)
{
    char *type = strstr(line, "  "), *name = type ? strstr(type + 2, "]  ") : NULL;
    size_t len = type ? (size_t)(type - line) : 0;
    if (!name || (len != WMAP_DIGEST_SIZE - 1 && len != 1)) {
        return false;
    }
    memcpy(at->digest, line, len);
    at->digest[len] = 0;
    at->type = strndup(type + 2, (size_t)(name + 1 - (type + 2)));
    at->name = strdup(name + 3);
    return at->type && at->name;
}

/* A manifest as print_text writes it; empty lines and those of `#` are passed over. */
static int read_manifest(const char *path, items *all)
{
    bool standard = strcmp(path, "-") == 0;
    FILE *in = standard ? stdin : fopen(path, "rb");
    size_t len, lines = 1;
    if (!in) {
        wm_say("%s: %s", path, strerror(errno));
        return WM_EXIT_FAILED;
    }
    char *text = wm_read_all(in, path, MANIFEST_LIMIT, &len);
    if (!standard) {
        fclose(in);
    }
    if (!text) {
        return WM_EXIT_FAILED;
    }
    for (size_t i = 0; i < len; i++) {
        lines += text[i] == '\n';
    }
    all->list = calloc(lines, sizeof *all->list);
    int status = all->list ? WM_EXIT_DONE : WM_EXIT_FAILED;
    size_t number = 0;
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line && status == WM_EXIT_DONE;
         line = strtok_r(NULL, "\n", &rest)) {
        number++;
        if (line[0] == '#' || strstr(line, "  (model)") == line + WMAP_DIGEST_SIZE - 1) {
            continue;
        }
        if (!parse_line(line, &all->list[all->count++])) {
            wm_say("%s: line %zu is none of a manifest that `wmap hash` printed", path, number);
            status = WM_EXIT_FAILED;
        }
    }
    free(text);
    if (status == WM_EXIT_DONE) {
        qsort(all->list, all->count, sizeof *all->list, by_name);
    }
    return status;
}

/* Both are sorted by name. */
static size_t compare(const items *manifest, const items *file)
{
    size_t differ = 0, i = 0, k = 0;
    while (i < manifest->count || k < file->count) {
        const item *a = i < manifest->count ? &manifest->list[i] : NULL,
                   *b = k < file->count ? &file->list[k] : NULL;
        int order = !a ? 1 : !b ? -1 : strcmp(a->name, b->name);
        const char *word = order < 0 ? "missing" : order > 0 ? "not in the manifest" : NULL;
        if (order == 0 && strcmp(a->type, b->type) != 0) {
            word = "another type";
        } else if (order == 0 && strcmp(a->digest, b->digest) != 0) {
            word = "changed";
        }
        if (word) {
            const char *name = order <= 0 ? a->name : b->name;
            differ++;
            printf("%s: %s\n", name, word);
        }
        i += order <= 0;
        k += order >= 0;
    }
    return differ;
}

static int check(const char *manifest, const wm_args *args)
{
    items wanted = {0}, found = {0};
    int status = WM_EXIT_FAILED;
    if (args->word_count != 1) {
        wm_say("hash: `--check` compares one weight file with a manifest");
        return WM_EXIT_FAILED;
    }
    status = read_manifest(manifest, &wanted);
    if (status == WM_EXIT_DONE) {
        status = digest_file(args->words[0], &found);
    }
    if (status == WM_EXIT_DONE) {
        size_t differ = compare(&wanted, &found);
        if (!wm_args_has(args, WM_FLAG_QUIET)) {
            printf(differ ? "%zu of %zu tensors differ\n" : "all tensors are those of the manifest\n", differ,
                   wanted.count);
        }
        status = differ ? WM_EXIT_FINDINGS : WM_EXIT_DONE;
    }
    free_items(&wanted);
    free_items(&found);
    return status;
}

int wm_cmd_hash(const wm_args *args)
{
    const char *format = wm_args_value(args, WM_FLAG_FORMAT),
               *manifest = wm_args_value(args, WM_FLAG_MANIFEST);
    bool json = format && strcmp(format, "json") == 0, total = wm_args_has(args, WM_FLAG_TOTAL);
    int status = WM_EXIT_DONE;
    if (format && !json && strcmp(format, "text") != 0) {
        wm_say("hash: `--format` is text or json, not `%s`", format);
        return WM_EXIT_FAILED;
    }
    if (args->word_count == 0) {
        wm_say("hash: name a weight file");
        return WM_EXIT_FAILED;
    }
    if (manifest) {
        return check(manifest, args);
    }
    for (size_t i = 0; i < args->word_count; i++) {
        items all = {0};
        int one = digest_file(args->words[i], &all);
        if (one == WM_EXIT_DONE && json) {
            print_json(&all, args->words[i], total);
        } else if (one == WM_EXIT_DONE) {
            print_text(&all, args->words[i], total);
        }
        status = one > status ? one : status;
        free_items(&all);
    }
    return status;
}
