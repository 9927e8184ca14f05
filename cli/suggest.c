/* cli/suggest.c: `wmap suggest`: a spec drafted from two weight files; if both are of models of one
 * architecture of the library, the two lines that derive it. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

/* Both files, the draft, and what stands for a command line that would check it. */
typedef struct suggestion {
    const wm_args *args;
    wmap_archive *source, *target;
    wm_settings settings;
    char *text; /* malloc */
    size_t size;
} suggestion;

static wmap_archive *open_file(const char *path, int *status)
{
    wmap_error err = {0};
    wmap_archive *archive = wmap_archive_open(path, &err);
    if (!archive) {
        wm_say_error(&err);
        *status = wmap_exit_status(err.code);
    } else {
        wm_input_warn(archive);
    }
    return archive;
}

/* ---- models of the library ---- */

/* What `check --as '*'` says of a file; NULL if the spec has no models, or errors. */
static wmap_report *models_of(const suggestion *s, const char *spec, const wmap_archive *archive)
{
    wmap_header header = {0};
    wmap_report *report = NULL;
    wmap_error err = {0};
    uint8_t *bytes = NULL;
    size_t size = 0;
    if (wm_header_make(&header, archive, NULL)) {
        wmap_compile_options options = {.path = spec,
                                        .as = "*",
                                        .includes = s->settings.includes,
                                        .include_count = s->settings.include_count,
                                        .sources = &header,
                                        .source_count = 1};
        wmap_compile(&options, &bytes, &size, &report, &err);
    }
    free(bytes);
    wm_header_free(&header);
    return report;
}

/* Is the file of this model? All of it must be there, and hardly anything else. */
static bool is_whole(const wmap_model_match *m, const wmap_archive *archive)
{
    return m->found == m->of && m->of * 10 >= wmap_archive_count(archive) * 8;
}

static size_t family_len(const char *model)
{
    return (size_t)(strchr(model, '.') - model);
}

/* Does this draft fit both files? Says nothing. */
static bool fits(const suggestion *s, const char *text)
{
    wmap_header source = {0}, target = {0};
    wmap_report *report = NULL;
    wmap_error err = {0};
    uint8_t *bytes = NULL;
    size_t size = 0;
    bool ok = wm_header_make(&source, s->source, NULL) && wm_header_make(&target, s->target, NULL);
    if (ok) {
        wmap_compile_options options = {.path = "the draft",
                                        .text = text,
                                        .text_len = strlen(text),
                                        .includes = s->settings.includes,
                                        .include_count = s->settings.include_count,
                                        .sources = &source,
                                        .source_count = 1,
                                        .target = &target};
        ok = wmap_compile(&options, &bytes, &size, &report, &err) && bytes;
    }
    wmap_report_free(report);
    free(bytes);
    wm_header_free(&source);
    wm_header_free(&target);
    return ok;
}

/* A map that is derived from two models of one architecture; true if it fits. */
static bool derive(suggestion *s, const char *spec, const char *from, const char *to)
{
    char *text = NULL;
    int len = asprintf(&text,
                       "# %s is %s, %s is %s, by the names and shapes of all their tensors:\n"
                       "#   wmap run %s --from %s --to %s SOURCE -o TARGET\n"
                       "# needs no spec. To change something, write rules beside `derive`.\n"
                       "wmap 1\nimport \"%s\"\n\nmap main from %s to %s {\n  derive\n}\n",
                       s->args->words[0], from, s->args->words[1], to, spec, from, to, spec, from, to);
    if (len < 0) {
        return false;
    }
    if (!fits(s, text)) {
        free(text);
        return false;
    }
    s->text = text;
    s->size = (size_t)len;
    return true;
}

/* `spec` as an import names it. */
static bool try_library_spec(suggestion *s, const char *path, const char *spec)
{
    wmap_report *sources = models_of(s, path, s->source), *targets = models_of(s, path, s->target);
    wmap_model_match from, to;
    bool done = false;
    for (size_t i = 0; !done && wmap_report_match(sources, i, &from); i++) {
        for (size_t k = 0; !done && wmap_report_match(targets, k, &to); k++) {
            done = is_whole(&from, s->source) && is_whole(&to, s->target) &&
                   strcmp(from.name, to.name) != 0 && family_len(from.name) == family_len(to.name) &&
                   memcmp(from.name, to.name, family_len(from.name)) == 0 &&
                   derive(s, spec, from.name, to.name);
        }
    }
    wmap_report_free(sources);
    wmap_report_free(targets);
    return done;
}

static bool try_folder(suggestion *s, const char *folder)
{
    wm_specs specs = {0};
    size_t len = strlen(folder);
    bool done = false;
    if (access(folder, R_OK) == 0 && wm_specs_below(&specs, folder)) {
        for (size_t i = 0; !done && i < specs.count; i++) {
            char *name = strdup(specs.paths[i] + len + (specs.paths[i][len] == '/'));
            if (name) {
                name[strlen(name) - (sizeof ".wmap" - 1)] = 0;
                done = try_library_spec(s, specs.paths[i], name);
            }
            free(name);
        }
    }
    wm_specs_free(&specs);
    return done;
}

static bool find_models(suggestion *s)
{
    for (size_t i = 0; i < s->settings.include_count; i++) {
        if (try_folder(s, s->settings.includes[i])) {
            return true;
        }
    }
    return false;
}

/* ---- the draft ---- */

static int draft(suggestion *s)
{
    wmap_suggest_options options = {.no_values = wm_args_has(s->args, WM_FLAG_NO_VALUES)};
    wmap_error err = {0};
    if (!wm_args_has(s->args, WM_FLAG_NO_MODELS) && find_models(s)) {
        return WM_EXIT_DONE;
    }
    s->text = wmap_suggest(s->source, s->target, &options, &s->size, &err);
    if (s->text) {
        return WM_EXIT_DONE;
    }
    wm_say_error(&err);
    return wmap_exit_status(err.code);
}

static int deliver(const suggestion *s, const char *output)
{
    wmap_error err = {0};
    if (!output || strcmp(output, "-") == 0) {
        fwrite(s->text, 1, s->size, stdout);
        return WM_EXIT_DONE; /* main flushes, and sees what failed */
    }
    if (!wmap_plan_write(output, (const uint8_t *)s->text, s->size, wm_args_has(s->args, WM_FLAG_FORCE),
                         &err)) {
        wm_say_error(&err);
        return wmap_exit_status(err.code);
    }
    return WM_EXIT_DONE;
}

/* What `wmap check DRAFT SOURCE --target-like TARGET` would say. */
static int check(const suggestion *s, const char *output)
{
    wmap_archive *sources[] = {s->source};
    const char *prefixes[] = {NULL};
    wm_input input = {.text = s->text,
                      .text_len = s->size,
                      .path = output && strcmp(output, "-") != 0 ? output : "the draft",
                      .archives = sources,
                      .prefixes = prefixes,
                      .archive_count = 1,
                      .target = s->target};
    wm_args args = {s->args->command, s->args->words, 0, NULL, 0};
    int status;
    wmap_plan *plan = wm_input_plan(&input, &args, &status);
    if (plan && !wm_args_has(s->args, WM_FLAG_QUIET)) {
        wm_say("the draft is sound, and writes all %zu tensors of %s", wmap_plan_target_count(plan),
               wmap_archive_path(s->target));
    } else if (!plan) {
        wm_say("the draft is not complete: see above");
    }
    wmap_plan_free(plan);
    wmap_report_free(input.report);
    return plan ? WM_EXIT_DONE : WM_EXIT_FINDINGS;
}

int wm_cmd_suggest(const wm_args *args)
{
    const char *output = wm_args_value(args, WM_FLAG_OUTPUT);
    suggestion s = {.args = args};
    int status = WM_EXIT_DONE;
    if (args->word_count != 2) {
        wm_say("suggest: name two weight files: the source, and one that holds what the target shall hold");
        return WM_EXIT_FAILED;
    }
    if (!wm_settings_make(&s.settings, args)) {
        status = WM_EXIT_FAILED;
    }
    if (status == WM_EXIT_DONE && (s.source = open_file(args->words[0], &status)) != NULL) {
        s.target = open_file(args->words[1], &status);
    }
    if (status == WM_EXIT_DONE) {
        status = draft(&s);
    }
    if (status == WM_EXIT_DONE) {
        status = deliver(&s, output);
    }
    if (status == WM_EXIT_DONE) {
        status = check(&s, output);
    }
    free(s.text);
    wmap_archive_close(s.source);
    wmap_archive_close(s.target);
    wm_settings_free(&s.settings);
    return status;
}
