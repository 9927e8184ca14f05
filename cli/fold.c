/* cli/fold.c: like tensors in one row: names that differ in their numbers only, of one dtype and shape, as
 * "layers.{0..47}.weight". */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

enum { RUNS = 8 }; /* runs of digits of a name that are looked at; those behind must be equal */

/* The length of the run of digits at `at`; 0 for one that is longer than numbers are. */
static size_t digits_at(const wmap_tensor *t, size_t at)
{
    size_t n = 0;
    while (at + n < t->name_len && t->name[at + n] >= '0' && t->name[at + n] <= '9') {
        n++;
    }
    return n <= 18 ? n : 0;
}

static uint64_t number_at(const wmap_tensor *t, size_t at, size_t len)
{
    uint64_t value = 0;
    for (size_t i = 0; i < len; i++) {
        value = value * 10 + (uint64_t)(t->name[at + i] - '0');
    }
    return value;
}

/* The name with its numbers taken out: a byte for a plain number, another and the length for one with zeros
 * before it. */
static char *form_of(const wmap_tensor *t)
{
    char *form = calloc(t->name_len + 1, 2);
    size_t size = 0;
    int runs = 0;
    for (size_t i = 0; form && i < t->name_len;) {
        size_t len = runs < RUNS ? digits_at(t, i) : 0;
        if (!len) {
            form[size++] = t->name[i++] ? t->name[i - 1] : '\3';
            continue;
        }
        bool plain = len == 1 || t->name[i] != '0';
        form[size++] = plain ? '\1' : '\2';
        if (!plain) {
            form[size++] = (char)('0' + len);
        }
        i += len;
        runs++;
    }
    if (form) {
        form[size] = 0;
    }
    return form;
}

typedef struct item {
    const wmap_tensor *tensor;
    char *form;
    size_t order;
} item;

/* 0 if both belong into one row. */
static int compare_forms(const item *x, const item *y)
{
    const wmap_tensor *a = x->tensor, *b = y->tensor;
    int names = strcmp(x->form, y->form);
    if (names) {
        return names;
    }
    if (a->dtype != b->dtype || a->rank != b->rank) {
        return a->dtype != b->dtype ? (int)a->dtype - (int)b->dtype : a->rank < b->rank ? -1 : 1;
    }
    return a->rank ? memcmp(a->shape, b->shape, a->rank * sizeof *a->shape) : 0;
}

static int by_form(const void *a, const void *b)
{
    const item *x = a, *y = b;
    int form = compare_forms(x, y);
    return form ? form : x->order < y->order ? -1 : 1;
}

static int by_first(const void *a, const void *b)
{
    const wm_row *x = a, *y = b;
    return x->first < y->first ? -1 : 1;
}

/* The name of a row: numbers that differ among its tensors as ranges. */
static char *row_name(const item *items, size_t count, size_t *size)
{
    const wmap_tensor *t = items[0].tensor;
    char *name = NULL;
    FILE *out = open_memstream(&name, size);
    if (!out) {
        return NULL;
    }
    int runs = 0;
    for (size_t i = 0; i < t->name_len;) {
        size_t len = runs < RUNS ? digits_at(t, i) : 0;
        if (!len) {
            putc(t->name[i++], out);
            continue;
        }
        uint64_t least = UINT64_MAX, most = 0;
        for (size_t k = 0; k < count; k++) { /* the same run of the others */
            const wmap_tensor *u = items[k].tensor;
            size_t j = 0, n = 0;
            for (int before = 0; j < u->name_len; j += n ? n : 1, before += n != 0) {
                n = digits_at(u, j);
                if (n && before == runs) {
                    break;
                }
            }
            uint64_t value = number_at(u, j, n);
            least = value < least ? value : least;
            most = value > most ? value : most;
        }
        if (least == most) {
            fwrite(t->name + i, 1, len, out);
        } else {
            fprintf(out, "{%" PRIu64 "..%" PRIu64 "}", least, most);
        }
        i += len;
        runs++;
    }
    return fclose(out) == 0 ? name : NULL;
}

static size_t make_rows(item *items, size_t count, wm_row *rows)
{
    size_t made = 0;
    qsort(items, count, sizeof *items, by_form);
    for (size_t i = 0, end; i < count; i = end) {
        for (end = i + 1; end < count && compare_forms(&items[i], &items[end]) == 0; end++) {
        }
        size_t len;
        char *name = row_name(items + i, end - i, &len);
        if (!name) {
            wm_rows_free(rows, made);
            return SIZE_MAX;
        }
        rows[made++] = (wm_row){name, len, items[i].order, end - i};
    }
    qsort(rows, made, sizeof *rows, by_first);
    return made;
}

size_t wm_fold(const wmap_tensor *const *tensors, size_t count, wm_row *rows)
{
    item *items = calloc(count + 1, sizeof *items);
    bool ok = items != NULL;
    for (size_t i = 0; ok && i < count; i++) {
        items[i] = (item){tensors[i], form_of(tensors[i]), i};
        ok = items[i].form != NULL;
    }
    size_t made = ok ? make_rows(items, count, rows) : SIZE_MAX;
    for (size_t i = 0; items && i < count; i++) {
        free(items[i].form);
    }
    free(items);
    return made;
}

void wm_rows_free(wm_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(rows[i].name);
    }
}
