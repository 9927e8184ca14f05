/* cli/input.c: the spec or plan and the weight files that a command line names, opened and compiled. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"

enum { SPEC_LIMIT = 64 << 20, PROBE_BYTES = 64 };
/* A plan of a million moves has some hundred MB; a stream of more is no plan. */
#define STREAM_LIMIT ((size_t)1 << 30)

char *wm_read_all(FILE *in, const char *name, size_t limit, size_t *len)
{
    char *text = NULL;
    size_t room = 0;
    *len = 0;
    for (;;) {
        if (*len + 1 >= room) {
            room = room ? room * 2 : 1 << 16;
            char *more = realloc(text, room);
            if (!more) {
                wm_say("out of memory");
                break;
            }
            text = more;
        }
        size_t got = fread(text + *len, 1, room - *len - 1, in);
        *len += got;
        if (*len > limit) {
            wm_say("%s: larger than %zu MiB", name, limit >> 20);
            break;
        }
        if (got == 0) {
            if (ferror(in)) {
                wm_say("%s: %s", name, strerror(errno));
                break;
            }
            text[*len] = 0;
            return text;
        }
    }
    free(text);
    return NULL;
}

/* No byte that never stands in a text. */
static bool is_text(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if ((bytes[i] < 0x20 && !strchr("\t\n\r\f", bytes[i])) || bytes[i] == 0) {
            return false;
        }
    }
    return true;
}

/* Reads what can't be opened twice (a pipe) into memory; of a regular file only the first bytes, to tell a
 * plan from a spec. */
static int open_spec(wm_input *input, const char *path)
{
    input->path = path;
    bool standard = strcmp(path, "-") == 0;
    FILE *file = standard ? stdin : fopen(path, "rb");
    if (!file) {
        wm_say("%s: %s", path, strerror(errno));
        return WM_EXIT_FAILED;
    }
    struct stat info;
    int status = WM_EXIT_FAILED;
    if (fstat(fileno(file), &info) != 0) {
        wm_say("%s: %s", path, strerror(errno));
    } else if (S_ISDIR(info.st_mode)) {
        wm_say("%s: is a folder", path);
    } else if (!standard && S_ISREG(info.st_mode)) {
        uint8_t start[PROBE_BYTES];
        size_t got = fread(start, 1, sizeof start, file);
        if (ferror(file)) {
            wm_say("%s: %s", path, strerror(errno));
        } else {
            input->is_plan = wmap_plan_probe(start, got);
            status = WM_EXIT_DONE;
        }
        if (status == WM_EXIT_DONE && !input->is_plan && !is_text(start, got < 6 ? got : 6)) {
            wm_say("%s: neither a spec nor a plan, by its first bytes; the spec comes first, then the weight "
                   "files",
                   path);
            status = WM_EXIT_FAILED;
        }
    } else {
        input->text = wm_read_all(file, standard ? "standard input" : path, STREAM_LIMIT, &input->text_len);
        if (input->text) {
            input->is_plan = wmap_plan_probe((const uint8_t *)input->text, input->text_len);
            status = WM_EXIT_DONE;
        }
        if (input->text && !input->is_plan && input->text_len > SPEC_LIMIT) {
            wm_say("%s: larger than %d MiB", path, SPEC_LIMIT >> 20);
            status = WM_EXIT_FAILED;
        }
    }
    if (!standard) {
        fclose(file);
    }
    return status;
}

void wm_input_warn(const wmap_archive *archive)
{
    for (size_t i = 0; i < wmap_archive_warnings(archive); i++) {
        wm_say("warning: %s: %s", wmap_archive_path(archive), wmap_archive_warning(archive, i));
    }
}

/* "s=FILE" has the prefix "s"; "./a=b.npz" has none. */
static size_t prefix_len(const char *text)
{
    static const char head[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
    static const char tail[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
    size_t n = strspn(text, head);
    n = n ? strspn(text, tail) : 0;
    return n && text[n] == '=' ? n : 0;
}

static int open_source(wm_input *input, const char *text, bool with_prefix, bool quiet)
{
    size_t n = with_prefix ? prefix_len(text) : 0;
    const char *path = n ? text + n + 1 : text;
    wmap_error err = {0};
    wmap_archive *archive = wmap_archive_open(path, &err);
    if (!archive) {
        wm_say_error(&err);
        return wmap_exit_status(err.code);
    }
    size_t at = input->archive_count++;
    input->archives[at] = archive;
    if (n) {
        char *prefix = calloc(n + 1, 1);
        if (!prefix) {
            wm_say("out of memory");
            return WM_EXIT_FAILED;
        }
        memcpy(prefix, text, n);
        input->owned[at] = prefix;
        input->prefixes[at] = prefix;
    }
    if (!quiet) {
        wm_input_warn(archive);
    }
    return WM_EXIT_DONE;
}

/* Standard input can be read once. */
static bool only_one_stream(const wm_args *args)
{
    size_t streams = 0;
    for (size_t i = 0; i < args->word_count; i++) {
        streams += strcmp(args->words[i], "-") == 0;
    }
    for (size_t i = 0; i < args->option_count; i++) {
        const char *value = args->options[i].value;
        if (args->options[i].flag == WM_FLAG_SOURCE) {
            value += prefix_len(value) ? prefix_len(value) + 1 : 0;
        } else if (args->options[i].flag != WM_FLAG_TARGET_LIKE && args->options[i].flag != WM_FLAG_LIKE) {
            continue;
        }
        streams += strcmp(value, "-") == 0;
    }
    return streams < 2;
}

/* The file that a flag names, if it was given. */
static int open_template(const wm_args *args, wm_flag_id flag, wmap_archive **archive)
{
    const char *path = wm_args_value(args, flag);
    wmap_error err = {0};
    *archive = path ? wmap_archive_open(path, &err) : NULL;
    if (!path || *archive) {
        return WM_EXIT_DONE;
    }
    wm_say_error(&err);
    return wmap_exit_status(err.code);
}

static int open_sources(wm_input *input, const wm_args *args, size_t first)
{
    size_t most = args->word_count + args->option_count + 1;
    bool quiet = wm_args_has(args, WM_FLAG_QUIET);
    input->archives = calloc(most, sizeof *input->archives);
    input->prefixes = calloc(most, sizeof *input->prefixes);
    input->owned = calloc(most, sizeof *input->owned);
    if (!input->archives || !input->prefixes || !input->owned) {
        wm_say("out of memory");
        return WM_EXIT_FAILED;
    }
    /* All files are tried, so that one run names every one that can't be read. */
    int status = WM_EXIT_DONE;
    for (size_t i = first; i < args->word_count; i++) {
        int s = open_source(input, args->words[i], false, quiet);
        status = s > status ? s : status;
    }
    for (size_t i = 0; i < args->option_count; i++) {
        if (args->options[i].flag == WM_FLAG_SOURCE) {
            int s = open_source(input, args->options[i].value, true, quiet);
            status = s > status ? s : status;
        }
    }
    if (wm_args_has(args, WM_FLAG_ONTO)) {
        int s = open_source(input, wm_args_value(args, WM_FLAG_ONTO), false, quiet);
        if (s == WM_EXIT_DONE) {
            input->prefixes[input->archive_count - 1] = "onto";
        }
        status = s > status ? s : status;
    }
    int target = open_template(args, WM_FLAG_TARGET_LIKE, &input->target);
    int like = open_template(args, WM_FLAG_LIKE, &input->like);
    status = target > status ? target : status;
    return like > status ? like : status;
}

int wm_input_open(wm_input *input, const wm_args *args)
{
    memset(input, 0, sizeof *input);
    size_t first = 0;
    const char *rules = wm_args_value(args, WM_FLAG_RULES);
    if (!rules && args->word_count == 0) {
        wm_say("%s: give a spec, or rules with -e; `wmap help %s` says more", args->command->name,
               args->command->name);
        return WM_EXIT_FAILED;
    }
    if (!only_one_stream(args)) {
        wm_say("%s: standard input can be read once", args->command->name);
        return WM_EXIT_FAILED;
    }
    if (rules) {
        input->is_rules = true;
        input->path = "-e";
    } else {
        input->found = wm_settings_find(args, args->words[first]);
        int status = open_spec(input, input->found ? input->found : args->words[first]);
        first++;
        if (status != WM_EXIT_DONE) {
            return status;
        }
    }
    if (wm_args_has(args, WM_FLAG_FROM) != wm_args_has(args, WM_FLAG_TO)) {
        wm_say("%s: `--from` and `--to` come together", args->command->name);
        return WM_EXIT_FAILED;
    }
    if (wm_args_has(args, WM_FLAG_FROM) && (rules || wm_args_has(args, WM_FLAG_MAP))) {
        wm_say("%s: `--from` and `--to` derive a map: `%s` names another", args->command->name,
               rules ? "-e" : "--map");
        return WM_EXIT_FAILED;
    }
    if (input->is_plan) {
        static const wm_flag_id settled[] = {WM_FLAG_MAP, WM_FLAG_FROM, WM_FLAG_DEFINE, WM_FLAG_TARGET_LIKE,
                                             WM_FLAG_REVERSE};
        for (size_t i = 0; i < sizeof settled / sizeof *settled; i++) {
            if (wm_args_has(args, settled[i])) {
                wm_say("%s: %s is a plan, in which `--%s` is settled", args->command->name, input->path,
                       wm_flags[settled[i]].name);
                return WM_EXIT_FAILED;
            }
        }
    }
    return open_sources(input, args, first);
}

void wm_input_free(wm_input *input)
{
    for (size_t i = 0; i < input->archive_count; i++) {
        wmap_archive_close(input->archives[i]);
        free(input->owned[i]);
    }
    wmap_archive_close(input->target);
    wmap_archive_close(input->like);
    wmap_report_free(input->report);
    free(input->archives);
    free(input->prefixes);
    free(input->owned);
    free(input->text);
    free(input->found);
}

bool wm_header_make(wmap_header *header, const wmap_archive *archive, const char *prefix)
{
    size_t count = wmap_archive_count(archive);
    bool any = false;
    wmap_tensor *tensors = calloc(count + 1, sizeof *tensors);
    const char **aliases = calloc(count + 1, sizeof *aliases);
    if (!tensors || !aliases) {
        free(tensors);
        free(aliases);
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        tensors[i] = *wmap_archive_tensor(archive, i);
        aliases[i] = wmap_archive_alias(archive, i);
        any = any || aliases[i];
    }
    if (!any) {
        free(aliases);
        aliases = NULL;
    }
    header->label = wmap_archive_path(archive);
    header->prefix = prefix;
    header->tensors = tensors;
    header->count = count;
    header->aliases = aliases;
    return true;
}

void wm_header_free(wmap_header *header)
{
    free((void *)(uintptr_t)header->tensors);
    free((void *)(uintptr_t)header->aliases);
}

/* What a compilation borrows: folders, parameters, headers. */
typedef struct borrowed {
    wm_settings settings;
    wmap_header *sources;
    wmap_header target;
} borrowed;

static void give_back(borrowed *b, size_t sources)
{
    for (size_t i = 0; b->sources && i < sources; i++) {
        wm_header_free(&b->sources[i]);
    }
    wm_header_free(&b->target);
    free(b->sources);
    wm_settings_free(&b->settings);
}

static bool borrow(borrowed *b, const wm_input *input, const wm_args *args)
{
    memset(b, 0, sizeof *b);
    if (!wm_settings_make(&b->settings, args)) {
        return false;
    }
    b->sources = calloc(input->archive_count + 1, sizeof *b->sources);
    bool ok = b->sources != NULL;
    for (size_t i = 0; ok && i < input->archive_count; i++) {
        ok = wm_header_make(&b->sources[i], input->archives[i], input->prefixes[i]);
    }
    if (ok && input->target) {
        ok = wm_header_make(&b->target, input->target, NULL);
    }
    if (!ok) {
        wm_say("out of memory");
    }
    return ok;
}

void wm_input_say_reversal(const wm_input *input, const wm_args *args, bool list)
{
    size_t more;
    const char *reason = wmap_report_reason(input->report, &more);
    char rest[80] = "";
    if (wm_args_has(args, WM_FLAG_QUIET)) {
        return;
    }
    if (!list && more) {
        snprintf(rest, sizeof rest, ", and %zu more; `wmap explain` lists them", more);
    }
    switch (wmap_report_reversal(input->report)) {
    case WMAP_REVERSAL_UNKNOWN:
        return;
    case WMAP_REVERSAL_EXACT:
        wm_say("reversible, and exact: forward and back gives the same bits");
        break;
    case WMAP_REVERSAL_UNLESS:
        wm_say("reversible, and exact unless something over- or underflows%s%s%s", list ? "" : ": ",
               list ? "" : reason, rest);
        break;
    case WMAP_REVERSAL_ROUNDS:
        wm_say("reversible, but not exact%s%s%s", list ? "" : ": ", list ? "" : reason, rest);
        break;
    case WMAP_REVERSAL_NONE:
        wm_say("not reversible%s%s%s", list ? "" : ": ", list ? "" : reason, rest);
        break;
    }
    if (list) {
        wmap_report_print_reversal(input->report, stderr, wm_use_color(stderr));
    }
}

static bool report_format(const wm_args *args, wmap_report_format *form)
{
    static const char *const names[] = {"text", "json", "sarif", "github"};
    const char *format = wm_args_value(args, WM_FLAG_REPORT_FORMAT);
    *form = WMAP_REPORT_TEXT;
    for (size_t i = 0; format && i < sizeof names / sizeof *names; i++) {
        if (strcmp(format, names[i]) == 0) {
            *form = (wmap_report_format)i;
            format = NULL;
        }
    }
    if (format) {
        wm_say("%s: `--format` is text, json, sarif or github, not `%s`", args->command->name, format);
    }
    return !format;
}

/* One `-W`: error, no-ID, ID=error|off. */
static bool set_level(wmap_report *report, const char *value)
{
    static const char *const names[] = {"off", NULL, "error"};
    if (strcmp(value, "error") == 0) {
        return wmap_report_level(report, NULL, WMAP_SEVERITY_ERROR);
    }
    if (strncmp(value, "no-", 3) == 0) {
        return wmap_report_level(report, value + 3, WMAP_SEVERITY_OFF);
    }
    const char *equals = strchr(value, '=');
    char id[8] = "";
    if (!equals || (size_t)(equals - value) >= sizeof id) {
        return false;
    }
    memcpy(id, value, (size_t)(equals - value));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (names[i] && strcmp(equals + 1, names[i]) == 0) {
            return wmap_report_level(report, id, (wmap_report_severity)i);
        }
    }
    return false;
}

/* `-W`: what is left out is no error of `-W error`, whatever their order. */
static bool set_levels(wmap_report *report, const wm_args *args)
{
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < args->option_count; i++) {
            const char *value = args->options[i].value;
            if (args->options[i].flag != WM_FLAG_WARN || (strcmp(value, "error") == 0) != (pass == 1)) {
                continue;
            }
            if (!set_level(report, value)) {
                wm_say("%s: `-W` is `error`, `no-ID` or `ID=error|off`, not `%s`", args->command->name,
                       value);
                return false;
            }
        }
    }
    return true;
}

/* Prints what a compilation found; the status that it means. */
static int report_out(const wmap_report *report, bool compiled, const wmap_error *err, const wm_args *args,
                      size_t max_errors)
{
    wmap_report_format form;
    if (!report_format(args, &form)) {
        return WM_EXIT_FAILED;
    }
    const char *output = wm_args_value(args, WM_FLAG_OUTPUT);
    bool quiet = compiled && wm_args_has(args, WM_FLAG_QUIET);
    if (report && form != WMAP_REPORT_TEXT) {
        FILE *out = output && strcmp(output, "-") == 0 ? stderr : stdout;
        wmap_report_print(report, out, form, false, max_errors);
    } else if (report && !quiet) {
        wmap_report_print(report, stderr, WMAP_REPORT_TEXT, wm_use_color(stderr), max_errors);
    }
    if (compiled) {
        return wmap_report_status(report);
    }
    if (err->code == WMAP_E_SPEC && report) {
        return wmap_report_status(report);
    }
    wm_say_error(err);
    return wmap_exit_status(err->code);
}

static int compile_stage(const wmap_compile_options *options, const wm_args *args, const char *stage,
                         size_t max_errors)
{
    wmap_report *report = NULL;
    wmap_error err = {0};
    bool compiled = wmap_compile_stage(options, stage, stdout, &report, &err);
    int status =
        set_levels(report, args) ? report_out(report, compiled, &err, args, max_errors) : WM_EXIT_FAILED;
    wmap_report_free(report);
    return status;
}

enum { FIX_ROUNDS = 10 }; /* what is mended may show the next mistake */

/* With --fix, compiles until nothing is left to mend. */
static int compile_and_fix(const wmap_compile_options *options, wm_input *input, const wm_args *args,
                           uint8_t **bytes, size_t *size, size_t max_errors)
{
    int status = WM_EXIT_DONE;
    for (int round = 0;; round++) {
        wmap_report *report = NULL;
        wmap_error err = {0};
        bool compiled = wmap_compile(options, bytes, size, &report, &err);
        bool fix = wm_args_has(args, WM_FLAG_FIX) && round < FIX_ROUNDS && !options->text;
        if (!fix || !wm_fix(report, input->path, args, &status)) {
            int found = set_levels(report, args) ? report_out(report, compiled, &err, args, max_errors)
                                                 : WM_EXIT_FAILED;
            status = found > status ? found : status;
            wmap_report_free(input->report);
            input->report = report;
            return status;
        }
        wmap_report_free(report);
        free(*bytes);
        *bytes = NULL;
        *size = 0;
    }
}

int wm_compile(wm_input *input, const wm_args *args, const char *stage, uint8_t **bytes, size_t *size)
{
    *bytes = NULL;
    *size = 0;
    size_t max_errors;
    borrowed b;
    if (!wm_args_number(args, WM_FLAG_MAX_ERRORS, 1000000, 0, &max_errors)) {
        return WM_EXIT_FAILED;
    }
    if (!borrow(&b, input, args)) {
        give_back(&b, input->archive_count);
        return WM_EXIT_FAILED;
    }
    const char *rules = wm_args_value(args, WM_FLAG_RULES);
    wmap_compile_options options = {
        .path = strcmp(input->path, "-") == 0 ? "<stdin>" : input->path,
        .text = input->is_rules ? rules : input->text,
        .text_len = input->is_rules ? strlen(rules) : input->text_len,
        .rules_only = input->is_rules,
        .map = wm_args_value(args, WM_FLAG_MAP),
        .from = wm_args_value(args, WM_FLAG_FROM),
        .to = wm_args_value(args, WM_FLAG_TO),
        .without = wm_args_value(args, WM_FLAG_WITHOUT),
        .only = wm_args_value(args, WM_FLAG_ONLY),
        .onto = wm_args_has(args, WM_FLAG_ONTO),
        .members = wm_args_has(args, WM_FLAG_MEMBERS),
        .as = wm_args_value(args, WM_FLAG_AS),
        .includes = b.settings.includes,
        .include_count = b.settings.include_count,
        .defines = b.settings.defines,
        .define_count = b.settings.define_count,
        .sources = b.sources,
        .source_count = input->archive_count,
        .target = input->target ? &b.target : NULL,
        .reverse = wm_args_has(args, WM_FLAG_REVERSE),
    };
    options.judge = input->judge;
    int status = stage ? compile_stage(&options, args, stage, max_errors)
                       : compile_and_fix(&options, input, args, bytes, size, max_errors);
    give_back(&b, input->archive_count);
    return status;
}

wmap_plan *wm_input_plan(wm_input *input, const wm_args *args, int *status)
{
    wmap_error err = {0};
    wmap_plan *plan = NULL;
    if (input->is_plan) {
        plan = input->text ? wmap_plan_parse((const uint8_t *)input->text, input->text_len, input->path, &err)
                           : wmap_plan_open(input->path, &err);
    } else {
        uint8_t *bytes;
        size_t size;
        *status = wm_compile(input, args, NULL, &bytes, &size);
        if (*status != WM_EXIT_DONE || !bytes) {
            free(bytes);
            return NULL;
        }
        plan = wmap_plan_parse(bytes, size, input->path, &err);
        free(bytes);
    }
    *status = WM_EXIT_DONE;
    if (!plan) {
        wm_say_error(&err);
        *status = wmap_exit_status(err.code);
    }
    return plan;
}

int wm_input_fits(const wmap_plan *plan, const wm_args *args)
{
    const char *format = wm_args_value(args, WM_FLAG_TO_FORMAT);
    wmap_error err = {0};
    if (!format || wmap_plan_fits(plan, format, &err)) {
        return WM_EXIT_DONE;
    }
    wm_say_error(&err);
    return wmap_exit_status(err.code);
}
