/* cli/fmt.c: `wmap fmt`: specs laid out in the one way. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"

enum { SPEC_LIMIT = 64 << 20, CONTEXT = 3 };

/* ---- differences ---- */

/* The lines of a text; the last may lack its newline. */
typedef struct lines {
    const char **at; /* count + 1 of them */
    size_t count;
} lines;

static bool split(const char *text, size_t size, lines *l)
{
    size_t count = 0;
    for (size_t i = 0; i < size; i++) {
        count += text[i] == '\n' || i + 1 == size;
    }
    l->count = 0;
    l->at = calloc(count + 1, sizeof *l->at);
    if (!l->at) {
        wm_say("out of memory");
        return false;
    }
    const char *begin = text;
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '\n' || i + 1 == size) {
            l->at[l->count++] = begin;
            begin = text + i + 1;
        }
    }
    l->at[count] = text + size;
    return true;
}

static size_t line_size(const lines *l, size_t i)
{
    return (size_t)(l->at[i + 1] - l->at[i]);
}

static bool same_line(const lines *a, size_t i, const lines *b, size_t j)
{
    return line_size(a, i) == line_size(b, j) && memcmp(a->at[i], b->at[j], line_size(a, i)) == 0;
}

static bool is_empty(const lines *l, size_t i)
{
    return strspn(l->at[i], " \t\r") + 1 >= line_size(l, i);
}

static void put_line(char mark, const lines *l, size_t i)
{
    size_t size = line_size(l, i);
    bool ended = size && l->at[i][size - 1] == '\n';
    putchar(mark);
    fwrite(l->at[i], 1, size, stdout);
    fputs(ended ? "" : "\n\\ No newline at end of file\n", stdout);
}

/* A step of the way through both texts. Lines are changed one by one, and empty ones may go. None comes, but
 * where a fix is one. */
typedef struct step {
    bool before, after; /* takes a line of the text, of the result */
} step;

static step *steps_of(const lines *a, const lines *b, size_t *count)
{
    size_t i = 0, j = 0;
    *count = 0;
    step *list = calloc(a->count + b->count + 1, sizeof *list);
    while (list && (i < a->count || j < b->count)) {
        bool gone = i < a->count && (j == b->count || (is_empty(a, i) && !is_empty(b, j)));
        bool comes = i < a->count && b->count - j > a->count - i && !same_line(a, i, b, j) &&
                     same_line(a, i, b, j + 1);
        bool both = !gone && !comes && i < a->count && j < b->count;
        list[(*count)++] = (step){i < a->count && !comes, !gone && j < b->count};
        i += gone || both;
        j += !gone;
    }
    if (!list) {
        wm_say("out of memory");
    }
    return list;
}

typedef struct walk {
    const lines *a, *b;
    const step *steps;
    size_t count;
} walk;

static bool differs(const walk *w, size_t s, size_t i, size_t j)
{
    return !w->steps[s].before || !w->steps[s].after || !same_line(w->a, i, w->b, j);
}

/* The lines of the steps [s, end): a run of changes shows what was first. */
static void put_hunk(const walk *w, size_t s, size_t end, size_t i, size_t j)
{
    size_t from = 0, to = 0;
    for (size_t k = s; k < end; k++) {
        from += w->steps[k].before;
        to += w->steps[k].after;
    }
    printf("@@ -%zu,%zu +%zu,%zu @@\n", from ? i + 1 : i, from, to ? j + 1 : j, to);
    while (s < end) {
        if (!differs(w, s, i, j)) {
            put_line(' ', w->a, i++);
            j++;
            s++;
            continue;
        }
        size_t stop = s, x = i, y = j;
        while (stop < end && differs(w, stop, x, y)) {
            x += w->steps[stop].before;
            y += w->steps[stop].after;
            stop++;
        }
        for (; i < x; i++) {
            put_line('-', w->a, i);
        }
        for (; j < y; j++) {
            put_line('+', w->b, j);
        }
        s = stop;
    }
}

static void put_hunks(const walk *w)
{
    size_t i = 0, j = 0;
    for (size_t s = 0; s < w->count;) {
        if (!differs(w, s, i, j)) {
            i++, j++, s++;
            continue;
        }
        size_t begin = s, x = i, y = j;
        while (begin > 0 && s - begin < CONTEXT && x > 0 && y > 0 && same_line(w->a, x - 1, w->b, y - 1)) {
            begin--, x--, y--;
        }
        size_t quiet = 0, end = s;
        while (end < w->count && quiet < 2 * CONTEXT) {
            quiet = differs(w, end, i, j) ? 0 : quiet + 1;
            i += w->steps[end].before;
            j += w->steps[end].after;
            end++;
        }
        size_t extra = quiet > CONTEXT ? quiet - CONTEXT : 0;
        put_hunk(w, begin, end - extra, x, y);
        s = end;
    }
}

bool wm_put_difference(const char *path, const char *what, const char *text, size_t size, const char *result,
                       size_t len)
{
    lines a = {0}, b = {0};
    walk w = {&a, &b, NULL, 0};
    bool ok = split(text, size, &a) && split(result, len, &b) && (w.steps = steps_of(&a, &b, &w.count));
    if (ok) {
        printf("--- %s\n+++ %s (%s)\n", path, path, what);
        put_hunks(&w);
    }
    free(a.at);
    free(b.at);
    free((void *)(uintptr_t)w.steps);
    return ok;
}

/* ---- files ---- */

/* The text takes the place of the file at once; its mode stays. */
int wm_replace_text(const char *path, const char *text, size_t size)
{
    char *real = realpath(path, NULL), *temporary = NULL;
    struct stat info;
    int fd = -1;
    bool ok = real && stat(real, &info) == 0 && asprintf(&temporary, "%s.XXXXXX", real) >= 0 &&
              (fd = mkstemp(temporary)) >= 0;
    bool made = ok;
    for (size_t done = 0; ok && done < size;) {
        ssize_t put = write(fd, text + done, size - done);
        ok = put > 0 || (put < 0 && errno == EINTR);
        done += put > 0 ? (size_t)put : 0;
    }
    ok = ok && fchmod(fd, info.st_mode & 07777) == 0 && fsync(fd) == 0;
    int number = errno;
    if (fd >= 0 && close(fd) < 0 && ok) {
        ok = false;
        number = errno;
    }
    if (ok && rename(temporary, real) < 0) {
        ok = false;
        number = errno;
    }
    if (!ok) {
        wm_say("%s: %s", path, strerror(number));
        if (made) {
            unlink(temporary);
        }
    }
    free(temporary);
    free(real);
    return ok ? WM_EXIT_DONE : WM_EXIT_FAILED;
}

static int deliver(const char *path, const char *text, size_t size, const char *result, size_t len,
                   const wm_args *args)
{
    bool same = size == len && memcmp(text, result, len) == 0, check = wm_args_has(args, WM_FLAG_CHECK);
    bool diff = wm_args_has(args, WM_FLAG_DIFF), standard = strcmp(path, "-") == 0;
    if (diff && !same &&
        !wm_put_difference(standard ? "standard input" : path, "formatted", text, size, result, len)) {
        return WM_EXIT_FAILED;
    }
    if (check && !same && !diff) {
        wm_put_text(stdout, path, strlen(path));
        putchar('\n');
    }
    if (check || diff) {
        return same ? WM_EXIT_DONE : WM_EXIT_FINDINGS;
    }
    if (standard) {
        fwrite(result, 1, len, stdout);
        return WM_EXIT_DONE;
    }
    return same ? WM_EXIT_DONE : wm_replace_text(path, result, len);
}

static int format(const char *path, const wm_args *args)
{
    bool standard = strcmp(path, "-") == 0;
    FILE *file = standard ? stdin : fopen(path, "rb");
    if (!file) {
        wm_say("%s: %s", path, strerror(errno));
        return WM_EXIT_FAILED;
    }
    size_t size, len;
    char *text = wm_read_all(file, standard ? "standard input" : path, SPEC_LIMIT, &size), *result = NULL;
    if (!standard) {
        fclose(file);
    }
    if (!text) {
        return WM_EXIT_FAILED;
    }
    wmap_format_options options = {.name = path, .text = text, .text_len = size};
    wmap_report *report;
    wmap_error err = {0};
    int status;
    if (wmap_format_spec(&options, &result, &len, &report, &err)) {
        status = deliver(path, text, size, result, len, args);
    } else {
        if (err.code == WMAP_E_SPEC) {
            wmap_report_print(report, stderr, WMAP_REPORT_TEXT, wm_use_color(stderr), 0);
        } else {
            wm_say_error(&err);
        }
        status = wmap_exit_status(err.code);
    }
    wmap_report_free(report);
    free(result);
    free(text);
    return status;
}

int wm_cmd_fmt(const wm_args *args)
{
    wm_specs specs;
    int status = wm_specs_find(&specs, args);
    if (status == WM_EXIT_DONE) {
        for (size_t i = 0; i < specs.count; i++) {
            int one = format(specs.paths[i], args);
            status = one > status ? one : status;
        }
    }
    wm_specs_free(&specs);
    return status;
}
