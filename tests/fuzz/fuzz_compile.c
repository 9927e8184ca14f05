/* fuzz_compile.c: any text as a spec, compiled against small fixed headers. A plan that comes out must be one
 * that the runtime accepts; a spec without a plan must have a report with errors, and every report can be
 * printed. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "wmap/compile.h"
#include "wmap/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TENSOR(n, d, r, ...)                                                                                 \
    {                                                                                                        \
        .name = n, .name_len = sizeof n - 1, .dtype = d, .rank = r, .shape = (const uint64_t[])              \
        {                                                                                                    \
            __VA_ARGS__                                                                                      \
        }                                                                                                    \
    }

static const wmap_tensor source_tensors[] = {
    TENSOR("a", WMAP_F32, 2, 4, 6),
    TENSOR("b", WMAP_F32, 1, 6),
    TENSOR("e0", WMAP_F16, 2, 2, 3),
    TENSOR("e1", WMAP_F16, 2, 2, 3),
    TENSOR("e2", WMAP_F16, 2, 2, 3),
    TENSOR("l.0.w/k_1", WMAP_I32, 3, 2, 1, 4),
    TENSOR("l.1.w/k_1", WMAP_I32, 3, 2, 1, 4),
    TENSOR("s", WMAP_I64, 0, 0),
    TENSOR("z", WMAP_U8, 2, 0, 3),
    TENSOR("", WMAP_BOOL, 1, 1),
};

static const char *const source_aliases[sizeof source_tensors / sizeof *source_tensors] = {
    "m.0/kernel", "m.0/bias", NULL, "e9", NULL, "m.1/kernel", NULL, "t", NULL, "n"};

static const wmap_tensor target_tensors[] = {
    TENSOR("x", WMAP_F32, 2, 6, 4),
    TENSOR("y", WMAP_F16, 1, 9),
    TENSOR("u.0", WMAP_F32, 1, 4),
    TENSOR("u.1", WMAP_F32, 1, 4),
};

static void print(const wmap_report *report)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return;
    wmap_report_print(report, out, WMAP_REPORT_TEXT, false, 0);
    wmap_report_print(report, out, WMAP_REPORT_JSON, false, 10);
    wmap_report_print_reversal(report, out, false);
    fclose(out);
    free(text);
}

/* The first byte: bit 0, statements alone; bit 1, no source; bit 2, with a target; bit 3, the map of two
 * models that are called net.a and net.b; bit 4, parts of it; bit 5, `check --as`, of one or of all; bit
 * 6, in reverse; bit 7, with what is said of the other direction. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const wmap_header source = {.label = "source",
                                       .tensors = source_tensors,
                                       .count = sizeof source_tensors / sizeof *source_tensors,
                                       .aliases = source_aliases};
    static const wmap_header target = {.label = "target",
                                       .tensors = target_tensors,
                                       .count = sizeof target_tensors / sizeof *target_tensors};
    if (size == 0 || size > 8192)
        return 0;
    char *text = malloc(size); /* as long as the text, so that reading beyond it is seen */
    if (!text)
        return 0;
    for (size_t i = 1; i < size; i++)
        text[i - 1] = (char)data[i];
    wmap_compile_options options = {.path = "fuzz.wmap",
                                    .text = text,
                                    .text_len = size - 1,
                                    .rules_only = data[0] & 1,
                                    .sources = &source,
                                    .source_count = data[0] & 2 ? 0 : 1,
                                    .reverse = data[0] & 64,
                                    .judge = data[0] & 128,
                                    .target = data[0] & 4 ? &target : NULL};
    if (data[0] & 8) {
        options.from = "net.a";
        options.to = "b";
        options.without = data[0] & 16 ? "t" : NULL;
    } else if (data[0] & 32) {
        options.as = data[0] & 16 ? "*" : "net.a";
    }
    uint8_t *bytes = NULL;
    size_t length = 0;
    wmap_report *report = NULL;
    wmap_error err = {0};
    bool ok = wmap_compile(&options, &bytes, &length, &report, &err);
    if (ok ? !report || wmap_report_errors(report) || err.code != WMAP_OK
           : bytes || (err.code == WMAP_E_SPEC && (!report || !wmap_report_errors(report))))
        abort();
    if (bytes) {
        wmap_plan *plan = wmap_plan_parse(bytes, length, "fuzz", &err);
        if (!plan)
            abort();
        wmap_plan_free(plan);
    }
    if (report)
        print(report);
    wmap_report_free(report);
    free(bytes);
    free(text);
    return 0;
}
