/* cli/args.c: from argv to flags and words. The rows of flags.def say what there is. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli.h"

const wm_flag wm_flags[WM_FLAG_COUNT] = {
#define FLAG(id, name, letter, arg, fallback, help) {name, letter, arg, fallback, help},
#include "flags.def"
#undef FLAG
};

static bool takes(const wm_command *command, size_t flag)
{
    return (command->flags >> flag & 1) != 0;
}

static void say_unknown_long(const wm_command *command, const char *name)
{
    const char *names[WM_FLAG_COUNT];
    for (size_t i = 0; i < WM_FLAG_COUNT; i++) {
        names[i] = takes(command, i) ? wm_flags[i].name : NULL;
    }
    const char *near = wm_did_you_mean(name, names, WM_FLAG_COUNT);
    if (near) {
        wm_say("%s: unknown flag `--%s`; did you mean `--%s`?", command->name, name, near);
    } else {
        wm_say("%s: unknown flag `--%s`; `wmap help %s` lists them", command->name, name, command->name);
    }
}

static size_t find_long(const wm_command *command, const char *name, size_t len)
{
    for (size_t i = 0; i < WM_FLAG_COUNT; i++) {
        if (takes(command, i) && strlen(wm_flags[i].name) == len &&
            memcmp(wm_flags[i].name, name, len) == 0) {
            return i;
        }
    }
    return WM_FLAG_COUNT;
}

static size_t find_letter(const wm_command *command, char letter)
{
    for (size_t i = 0; i < WM_FLAG_COUNT; i++) {
        if (takes(command, i) && wm_flags[i].letter == letter) {
            return i;
        }
    }
    return WM_FLAG_COUNT;
}

static void add_option(wm_args *args, size_t flag, const char *value)
{
    args->options[args->option_count].flag = (wm_flag_id)flag;
    args->options[args->option_count].value = value;
    args->option_count++;
}

/* `word` is what follows the two dashes. Moves *next past an argument that was taken. */
static bool parse_long(wm_args *args, const char *word, int argc, char **argv, int *next)
{
    const char *equals = strchr(word, '=');
    size_t len = equals ? (size_t)(equals - word) : strlen(word);
    size_t flag = find_long(args->command, word, len);
    if (flag == WM_FLAG_COUNT) {
        char name[64];
        snprintf(name, sizeof name, "%.*s", len < 60 ? (int)len : 60, word);
        say_unknown_long(args->command, name);
        return false;
    }
    if (!wm_flags[flag].arg) {
        if (equals) {
            wm_say("%s: `--%s` takes no value", args->command->name, wm_flags[flag].name);
            return false;
        }
        add_option(args, flag, "");
    } else if (equals) {
        add_option(args, flag, equals + 1);
    } else if (*next < argc) {
        add_option(args, flag, argv[(*next)++]);
    } else {
        wm_say("%s: `--%s` needs a value: %s", args->command->name, wm_flags[flag].name, wm_flags[flag].arg);
        return false;
    }
    return true;
}

/* `word` is what follows the dash: letters, of which one with an argument takes the rest. */
static bool parse_letters(wm_args *args, const char *word, int argc, char **argv, int *next)
{
    for (const char *p = word; *p; p++) {
        size_t flag = find_letter(args->command, *p);
        if (flag == WM_FLAG_COUNT) {
            wm_say("%s: unknown flag `-%c`; `wmap help %s` lists them", args->command->name, *p,
                   args->command->name);
            return false;
        }
        if (!wm_flags[flag].arg) {
            add_option(args, flag, "");
            continue;
        }
        if (p[1]) {
            add_option(args, flag, p + 1);
        } else if (*next < argc) {
            add_option(args, flag, argv[(*next)++]);
        } else {
            wm_say("%s: `-%c` needs a value: %s", args->command->name, *p, wm_flags[flag].arg);
            return false;
        }
        return true;
    }
    return true;
}

bool wm_args_parse(const wm_command *command, int argc, char **argv, wm_args *args)
{
    memset(args, 0, sizeof *args);
    args->command = command;
    /* A word gives at most one option a letter, so the bytes of all words bound both arrays. */
    size_t room = 1;
    for (int i = 0; i < argc; i++) {
        room += strlen(argv[i]) + 1;
    }
    args->words = calloc(room, sizeof *args->words);
    args->options = calloc(room, sizeof *args->options);
    if (!args->words || !args->options) {
        wm_say("out of memory");
        return false;
    }
    bool flags_over = false;
    for (int next = 0; next < argc;) {
        const char *word = argv[next++];
        if (flags_over || word[0] != '-' || !word[1]) {
            args->words[args->word_count++] = word;
        } else if (strcmp(word, "--") == 0) {
            flags_over = true;
        } else if (word[1] == '-' ? !parse_long(args, word + 2, argc, argv, &next)
                                  : !parse_letters(args, word + 1, argc, argv, &next)) {
            return false;
        }
    }
    return true;
}

void wm_args_free(wm_args *args)
{
    free(args->words);
    free(args->options);
    args->words = NULL;
    args->options = NULL;
}

const char *wm_args_value(const wm_args *args, wm_flag_id flag)
{
    for (size_t i = args->option_count; i-- > 0;) {
        if (args->options[i].flag == flag) {
            return args->options[i].value;
        }
    }
    return NULL;
}

bool wm_args_has(const wm_args *args, wm_flag_id flag)
{
    return wm_args_value(args, flag) != NULL;
}

/* A unit as people write it, decimal (GB) or binary (GiB); 0 for none. */
static uint64_t unit_of(const char *unit)
{
    static const struct {
        const char *name;
        uint64_t bytes;
    } units[] = {{"", 1},
                 {"B", 1},
                 {"KB", 1000},
                 {"MB", 1000000},
                 {"GB", 1000000000},
                 {"TB", 1000000000000},
                 {"KiB", (uint64_t)1 << 10},
                 {"MiB", (uint64_t)1 << 20},
                 {"GiB", (uint64_t)1 << 30},
                 {"TiB", (uint64_t)1 << 40}};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcasecmp(units[i].name, unit) == 0) {
            return units[i].bytes;
        }
    }
    return 0;
}

/* DIGITS[.DIGITS][UNIT], without a floating-point number between, so that 0.1GB is 100000000. */
static bool parse_size(const char *text, uint64_t *size)
{
    size_t whole = strspn(text, "0123456789"), part = 0;
    const char *unit = text + whole, *fraction = unit + 1;
    if (*unit == '.') {
        part = strspn(fraction, "0123456789");
        unit = fraction + part;
    }
    uint64_t bytes = unit_of(unit + strspn(unit, " "));
    if (whole == 0 || whole > 18 || part > 18 || (unit == fraction && part == 0) || bytes == 0) {
        return false;
    }
    unsigned long long number = strtoull(text, NULL, 10);
    if (number > (uint64_t)INT64_MAX / 2 / bytes) {
        return false;
    }
    *size = number * bytes;
    for (size_t i = 0; i < part && bytes; i++) { /* what is below a byte falls away */
        uint64_t digit = (uint64_t)(fraction[i] - '0');
        *size += digit * bytes / 10;
        bytes /= 10;
    }
    return *size > 0;
}

bool wm_args_size(const wm_args *args, wm_flag_id flag, uint64_t *size)
{
    const char *text = wm_args_value(args, flag);
    *size = 0;
    if (!text || parse_size(text, size)) {
        return true;
    }
    wm_say("%s: `--%s` wants a size such as 5GB, 1.5GiB or 500MB, not `%s`", args->command->name,
           wm_flags[flag].name, text);
    return false;
}

bool wm_args_number(const wm_args *args, wm_flag_id flag, size_t max, size_t fallback, size_t *value)
{
    const char *text = wm_args_value(args, flag);
    *value = fallback;
    if (!text) {
        return true;
    }
    char *end = NULL;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end || errno || number > max) {
        wm_say("%s: `--%s` wants a whole number from 0 to %zu, not `%s`", args->command->name,
               wm_flags[flag].name, max, text);
        return false;
    }
    *value = (size_t)number;
    return true;
}
