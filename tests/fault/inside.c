/* inside.c: the library when memory runs out. Linked so that its calls of malloc and its kin come here
 * (--wrap), and jansson's too; the first fails, then the second, and so on, once and for good. Each time the
 * library says NOMEM, or manages without, and gives back all that it took. */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/archive.h"
#include "wmap/compile.h"
#include "wmap/run.h"

/* ---- memory ---- */

enum { SLOTS = 1 << 16 };

static void *live[SLOTS]; /* what is out, hashed by address; no more than a few thousand at once */
static long held, calls, fail_from, fail_count;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void __real_free(void *p);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);
void __wrap_free(void *p);
char *__wrap_strndup(const char *text, size_t most);
char *__wrap_strdup(const char *text);

static size_t slot_of(const void *p)
{
    size_t at = (size_t)((uintptr_t)p >> 4) * 0x9e3779b1u % SLOTS;
    while (live[at] && live[at] != p)
        at = (at + 1) % SLOTS;
    return at;
}

static void *keep(void *p)
{
    if (p) {
        live[slot_of(p)] = p;
        held++;
    }
    return p;
}

static void let_go(void *p)
{
    size_t at = p ? slot_of(p) : 0;
    if (!p || live[at] != p)
        return; /* the C library's, as of open_memstream */
    held--;
    live[at] = NULL;
    for (size_t next = (at + 1) % SLOTS; live[next]; next = (next + 1) % SLOTS) { /* close the gap */
        void *moved = live[next];
        live[next] = NULL;
        live[slot_of(moved)] = moved;
    }
}

static bool fails(void)
{
    calls++;
    return fail_from && calls >= fail_from && calls - fail_from < fail_count;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : keep(__real_malloc(size));
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : keep(__real_calloc(n, size));
}

void *__wrap_realloc(void *old, size_t size)
{
    if (fails())
        return NULL;
    void *new = __real_realloc(old, size);
    if (new) {
        let_go(old);
        keep(new);
    }
    return new;
}

void __wrap_free(void *p)
{
    let_go(p);
    __real_free(p);
}

char *__wrap_strndup(const char *text, size_t most)
{
    size_t len = most == SIZE_MAX ? strlen(text) : strnlen(text, most);
    char *copy = __wrap_malloc(len + 1);
    if (copy) {
        memcpy(copy, text, len);
        copy[len] = 0;
    }
    return copy;
}

char *__wrap_strdup(const char *text)
{
    return __wrap_strndup(text, SIZE_MAX);
}

/* ---- what is done ---- */

static char folder[64];
static const char *data = WMAP_TEST_DATA;

static const char spec[] =
    "wmap 1\nparam n = 2\ntable t = [1, 2]\nmap main {\n"
    "  \"w\" [(a b) c] -> \"w.t\" [c (b a)]   where a=n*4\n  \"b\" | cast f16 -> \"b16\"\n"
    "  for i in t { fill i -> \"c.{i}\" : i32 [3] }\n  keep rest\n}\n";
static const char bad[] =
    "wmap 1\nmap main {\n  \"w\" [a b c] -> \"w\" [a b c]\n  \"bb\" -> \"x\"\n  \"w\" [ -> \"y\"\n}\n";

static const char *file; /* the source */

static bool look(wmap_error *err)
{
    wmap_archive *a = wmap_archive_open(file, err);
    bool ok = a != NULL;
    for (size_t i = 0; ok && i < a->entry_count; i++) {
        wm_view view;
        if (a->entries[i].tensor.dtype != WMAP_OPAQUE)
            ok = wm_archive_view(a, i, &view, err);
    }
    wmap_archive_close(a);
    return ok;
}

static bool compile(const char *text, bool keep_rest, uint8_t **bytes, size_t *size, wmap_error *err)
{
    wmap_archive *a = wmap_archive_open(file, err);
    if (!a)
        return false;
    wmap_tensor *tensors = __real_calloc(a->entry_count + 1, sizeof *tensors);
    for (size_t i = 0; i < a->entry_count; i++)
        tensors[i] = a->entries[i].tensor;
    wmap_header header = {.label = "source", .tensors = tensors, .count = a->entry_count};
    wmap_compile_options o = {.path = keep_rest ? NULL : "s.wmap",
                              .text = text,
                              .text_len = strlen(text),
                              .rules_only = keep_rest,
                              .sources = &header,
                              .source_count = 1};
    wmap_report *report = NULL;
    bool ok = wmap_compile(&o, bytes, size, &report, err);
    if (report) {
        FILE *out = fopen("/dev/null", "w");
        wmap_report_print(report, out, WMAP_REPORT_TEXT, true, 0);
        wmap_report_print(report, out, WMAP_REPORT_JSON, false, 0);
        fclose(out);
    }
    if (err->code == WMAP_E_SPEC && text == bad && report)
        ok = wmap_report_errors(report) == 3; /* that is what it should say */
    wmap_report_free(report);
    wmap_archive_close(a);
    __real_free(tensors);
    return ok;
}

static bool mistakes(wmap_error *err)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    bool ok = compile(bad, false, &bytes, &size, err);
    __wrap_free(bytes);
    return ok;
}

static const char *output;

static bool convert_by(const char *text, bool rules, wmap_error *err)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    bool ok = compile(text, rules, &bytes, &size, err);
    wmap_plan *plan = ok ? wmap_plan_parse(bytes, size, "the plan", err) : NULL;
    wmap_archive *a = plan ? wmap_archive_open(file, err) : NULL;
    wmap_run_options o = {.output = output, .jobs = 1, .force = true};
    ok = a && wmap_run(plan, &a, NULL, 1, &o, NULL, err);
    wmap_archive_close(a);
    wmap_plan_free(plan);
    __wrap_free(bytes);
    return ok;
}

static bool convert(wmap_error *err)
{
    return convert_by(spec, false, err);
}

static bool copy(wmap_error *err)
{
    return convert_by("keep rest", true, err);
}

/* ---- each call fails ---- */

static int failures;
static long rounds;

static long once(const char *name, bool (*work)(wmap_error *err), long from, long count)
{
    wmap_error err = {0};
    long before = held;
    rounds++;
    calls = 0;
    fail_from = from;
    fail_count = count;
    bool ok = work(&err);
    long made = calls;
    fail_from = 0;
    if ((from ? !ok && err.code != WMAP_E_NOMEM : !ok) || held != before) {
        printf("FAILED: %s of %s, call %ld of memory fails%s: %s, code %d, %ld blocks lost: %s\n", name, file,
               from, count > 1 ? " for good" : "", ok ? "done" : "not done", (int)err.code, held - before,
               err.message);
        failures++;
    }
    return made;
}

static void each(const char *name, bool (*work)(wmap_error *err))
{
    once(name, work, 0, 0); /* what is made once a process */
    long total = once(name, work, 0, 0);
    for (long n = 1; n <= total && failures < 20; n += n < 300 ? 1 : 13) {
        once(name, work, n, 1);
        once(name, work, n, total * 2);
    }
}

/* w f32 [40 30], b f32 [30] */
static void make_source(const char *path)
{
    static const char header[] = "{\"w\":{\"dtype\":\"F32\",\"shape\":[40,30],\"data_offsets\":[0,4800]},"
                                 "\"b\":{\"dtype\":\"F32\",\"shape\":[30],\"data_offsets\":[4800,4920]}}";
    uint8_t bytes[8 + sizeof header - 1 + 4920] = {(sizeof header - 1) & 255, (sizeof header - 1) >> 8};
    memcpy(bytes + 8, header, sizeof header - 1);
    FILE *out = fopen(path, "wb");
    if (!out || fwrite(bytes, 1, sizeof bytes, out) != sizeof bytes || fclose(out) != 0)
        abort();
}

int main(void)
{
    static const char *const keras[] = {"model.keras", "deflated.keras", "packed_latest.h5"};
    char paths[6][512], out[512];
    snprintf(folder, sizeof folder, "/tmp/wmap-inside-XXXXXX");
    if (!mkdtemp(folder))
        return 2;
    json_set_alloc_funcs(__wrap_malloc, __wrap_free);
    for (int i = 0; i < 3; i++) {
        snprintf(paths[i], sizeof paths[i], "%s/a.%s", folder,
                 i == 0   ? "safetensors"
                 : i == 1 ? "npz"
                          : "pth");
        snprintf(paths[3 + i], sizeof paths[3 + i], "%s/keras/%s", data, keras[i]);
    }
    snprintf(out, sizeof out, "%s/out.safetensors", folder);
    make_source(paths[0]);
    file = paths[0];
    for (int i = 1; i < 3; i++) {
        output = paths[i];
        once("copy", copy, 0, 0);
    }
    output = out;
    for (int i = 0; i < 6; i++) {
        file = paths[i];
        each("look", look);
        each("copy", copy);
        if (i < 3)
            each("convert", convert);
    }
    file = paths[0];
    each("mistakes", mistakes);
    unlink(out);
    for (int i = 0; i < 3; i++)
        unlink(paths[i]);
    rmdir(folder);
    printf("%ld rounds, %d failures\n", rounds, failures);
    return failures > 0;
}
