/* Fuzz target: any bytes as a spec, as the statements of `-e` and as an expression of `-D`; then the tree and
 * the findings are printed. Whatever the text is, it is left as it was, and a failed parse says why. A text
 * that parses can be laid out, and then stays as it is. */
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/parse.h"
#include "wmap/format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool truth)
{
    if (!truth)
        abort();
}

static void print_all(wm_unit *unit, const wm_ast *ast)
{
    FILE *out = fopen("/dev/null", "w");
    wmap_report *report = wm_report_of(unit, false);
    require(out && report);
    wm_ast_print(ast, out);
    wmap_report_print(report, out, WMAP_REPORT_TEXT, true, 0);
    wmap_report_print(report, out, WMAP_REPORT_JSON, false, 3);
    wmap_report_free(report);
    fclose(out);
}

static void parse(const uint8_t *data, size_t size, bool rules_only)
{
    wm_arena arena;
    wm_arena_init(&arena);
    wm_unit unit = {.arena = &arena};
    if (setjmp(*wm_arena_oom(&arena)) == 0) {
        uint32_t file = wm_add_source(&unit, "spec", (const char *)data, size);
        wm_source *source = unit.sources[file];
        source->rules_only = rules_only;
        const wm_ast *ast = wm_parse(&unit, file);
        require(size > source->size || memcmp(source->text, data, size) == 0);
        require(ast->failed == (unit.errors > 0));
        for (const wm_diag *d = unit.diags; d; d = d->next)
            require(d->span.beg <= d->span.end && d->span.end <= source->size);
        print_all(&unit, ast);
        size_t before = unit.errors;
        wm_parse_expr(&unit, wm_add_source(&unit, "-D", (const char *)data, size));
        require(unit.errors == before);
    }
    wm_arena_release(&arena);
}

static char *lay_out(const char *text, size_t size, bool rules_only, size_t *len)
{
    wmap_format_options options = {"spec", text, size, rules_only};
    wmap_report *report;
    wmap_error err = {0};
    char *out;
    bool done = wmap_format_spec(&options, &out, len, &report, &err);
    require(done || err.code == WMAP_E_SPEC);
    wmap_report_free(report);
    return out;
}

static void format(const uint8_t *data, size_t size, bool rules_only)
{
    size_t once_size, twice_size;
    char *once = lay_out((const char *)data, size, rules_only, &once_size);
    if (!once)
        return;
    char *twice = lay_out(once, once_size, rules_only, &twice_size);
    require(twice && once_size == twice_size && memcmp(once, twice, once_size) == 0);
    free(twice);
    free(once);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    parse(data, size, false);
    parse(data, size, true);
    format(data, size, false);
    format(data, size, true);
    return 0;
}
