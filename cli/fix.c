/* cli/fix.c: `wmap check --fix`: the changes that findings carry, made in the files. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

/* True if the file is in the folder of the spec, or below it: what others installed is theirs. */
static bool is_ours(const char *path, const char *spec)
{
    char *real = realpath(path, NULL), *base = realpath(spec, NULL);
    char *end = base ? strrchr(base, '/') : NULL;
    bool ours = real && end && strncmp(real, base, (size_t)(end - base) + 1) == 0;
    free(real);
    free(base);
    return ours;
}

static int by_place(const void *a, const void *b)
{
    const wmap_fix *x = a, *y = b;
    int file = strcmp(x->path, y->path);
    if (file != 0) {
        return file;
    }
    if (x->beg != y->beg) {
        return x->beg < y->beg ? -1 : 1;
    }
    return x->end < y->end ? -1 : x->end > y->end;
}

static bool same(const wmap_fix *a, const wmap_fix *b)
{
    return a->beg == b->beg && a->end == b->end && strcmp(a->replacement, b->replacement) == 0;
}

/* Two changes of one place: neither is certain. */
static bool collide(const wmap_fix *a, const wmap_fix *b)
{
    return b->beg < a->end || a->beg == b->beg;
}

/* The text with its fixes made, malloc'ed; `*made` is how many could be. NULL: out of memory. */
static char *mended(const wmap_fix *fixes, size_t count, size_t *len, size_t *made)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, len);
    size_t at = 0;
    if (!out) {
        return NULL;
    }
    for (size_t i = 0; i < count;) {
        const wmap_fix *f = &fixes[i];
        size_t next = i + 1;
        bool certain = true;
        for (; next < count && (same(f, &fixes[next]) || collide(f, &fixes[next])); next++) {
            certain = certain && same(f, &fixes[next]);
        }
        if (certain) {
            fwrite(f->text + at, 1, f->beg - at, out);
            fputs(f->replacement, out);
            at = f->end;
            ++*made;
        }
        i = next;
    }
    fwrite(fixes->text + at, 1, fixes->text_len - at, out);
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

/* False if the file isn't what was compiled any more: the places of the changes mean nothing then. */
static bool is_unchanged(const wmap_fix *fix)
{
    FILE *file = fopen(fix->path, "rb");
    if (!file) {
        wm_say("%s: %s", fix->path, strerror(errno));
        return false;
    }
    size_t size;
    char *text = wm_read_all(file, fix->path, fix->text_len, &size);
    fclose(file);
    bool unchanged = text && size == fix->text_len && memcmp(text, fix->text, size) == 0;
    free(text);
    if (!unchanged) {
        wm_say("%s: changed meanwhile, nothing is mended in it", fix->path);
    }
    return unchanged;
}

/* The fixes of one file. */
static size_t fix_file(const wmap_fix *fixes, size_t count, const wm_args *args, int *status)
{
    size_t len = 0, made = 0;
    char *text = mended(fixes, count, &len, &made);
    int failed = text ? WM_EXIT_DONE : WM_EXIT_FAILED;
    if (!text) {
        wm_say("out of memory");
    } else if (made && wm_args_has(args, WM_FLAG_DIFF)) {
        if (!wm_put_difference(fixes->path, "mended", fixes->text, fixes->text_len, text, len)) {
            failed = WM_EXIT_FAILED;
        }
        made = 0;
    } else if (made) {
        failed = is_unchanged(fixes) ? wm_replace_text(fixes->path, text, len) : WM_EXIT_FAILED;
    }
    free(text);
    if (failed != WM_EXIT_DONE) {
        *status = failed;
        return 0;
    }
    if (made && !wm_args_has(args, WM_FLAG_QUIET)) {
        wm_say("%s: %zu mended", fixes->path, made);
    }
    return made;
}

size_t wm_fix(const wmap_report *report, const char *spec, const wm_args *args, int *status)
{
    size_t count = 0, made = 0;
    wmap_fix fix;
    for (size_t at = 0; wmap_report_fix(report, &at, &fix);) {
        count += is_ours(fix.path, spec);
    }
    wmap_fix *fixes = calloc(count + 1, sizeof *fixes);
    if (!fixes) {
        wm_say("out of memory");
        *status = WM_EXIT_FAILED;
        return 0;
    }
    size_t filled = 0;
    for (size_t at = 0; filled < count && wmap_report_fix(report, &at, &fix);) {
        if (is_ours(fix.path, spec)) {
            fixes[filled++] = fix;
        }
    }
    qsort(fixes, filled, sizeof *fixes, by_place);
    for (size_t i = 0, end; i < filled; i = end) {
        for (end = i + 1; end < filled && strcmp(fixes[i].path, fixes[end].path) == 0;) {
            end++;
        }
        made += fix_file(fixes + i, end - i, args, status);
    }
    free(fixes);
    return made;
}
