/* cli/help.c: all that wmap says about itself, from the rows of flags.def and commands.def. */
#include <string.h>

#include "cli.h"

#define F(id) (UINT64_C(1) << WM_FLAG_##id)
/* What every command takes that reads a spec. */
#define COMPILING                                                                                            \
    (F(SOURCE) | F(TARGET_LIKE) | F(REVERSE) | F(MAP) | F(FROM) | F(TO) | F(WITHOUT) | F(ONLY) | F(ONTO) |   \
     F(DEFINE) | F(INCLUDE) | F(RULES))

const wm_command wm_commands[] = {
#define COMMAND(name, args, summary, example, flags) {#name, args, summary, example, flags, wm_cmd_##name},
#include "commands.def"
#undef COMMAND
};
const size_t wm_command_count = sizeof wm_commands / sizeof *wm_commands;

const wm_command *wm_command_find(const char *name)
{
    for (size_t i = 0; i < wm_command_count; i++) {
        if (strcmp(wm_commands[i].name, name) == 0) {
            return &wm_commands[i];
        }
    }
    return NULL;
}

/* Insertions, deletions, changes and swaps of neighbours that lead from one word to the other; words are
 * compared up to 31 bytes, which all of ours fit in. */
static size_t distance(const char *a, const char *b)
{
    enum { MAX = 32 };
    size_t row[MAX][MAX];
    size_t n = strlen(a), m = strlen(b);
    if (n >= MAX || m >= MAX) {
        return MAX;
    }
    for (size_t i = 0; i <= n; i++) {
        for (size_t j = 0; j <= m; j++) {
            if (i == 0 || j == 0) {
                row[i][j] = i + j;
                continue;
            }
            size_t best = row[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            if (row[i - 1][j] + 1 < best) {
                best = row[i - 1][j] + 1;
            }
            if (row[i][j - 1] + 1 < best) {
                best = row[i][j - 1] + 1;
            }
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                row[i - 2][j - 2] + 1 < best) {
                best = row[i - 2][j - 2] + 1;
            }
            row[i][j] = best;
        }
    }
    return row[n][m];
}

const char *wm_did_you_mean(const char *word, const char *const *names, size_t count)
{
    const char *best = NULL;
    size_t least = strlen(word) / 3 + 1;
    for (size_t i = 0; i < count; i++) {
        size_t d = names[i] ? distance(word, names[i]) : 32;
        if (d <= least && (!best || d < least)) {
            best = names[i];
            least = d;
        }
    }
    return best;
}

/* "-s, --source [S=]FILE" */
static void flag_head(const wm_flag *flag, char *buf, size_t size)
{
    char letter[8] = "    ";
    if (flag->letter) {
        snprintf(letter, sizeof letter, "-%c, ", flag->letter);
    }
    snprintf(buf, size, "%s--%s%s%s", letter, flag->name, flag->arg ? " " : "", flag->arg ? flag->arg : "");
}

void wm_help_command(FILE *out, const wm_command *command)
{
    fprintf(out, "Usage: wmap %s %s\n\n", command->name, command->args);
    fprintf(out, "%c%s.\n", command->summary[0] - 'a' + 'A', command->summary + 1);
    fprintf(out, "Example: %s\n\nFlags:\n", command->example);
    for (size_t i = 0; i < WM_FLAG_COUNT; i++) {
        if (command->flags >> i & 1) {
            const wm_flag *flag = &wm_flags[i];
            char head[64];
            flag_head(flag, head, sizeof head);
            fprintf(out, "  %-26s %s", head, flag->help);
            if (flag->fallback) {
                fprintf(out, " (default: %s)", flag->fallback);
            }
            putc('\n', out);
        }
    }
}

void wm_help_all(FILE *out)
{
    fputs("Usage: wmap COMMAND [ARGUMENT...]\n\n"
          "Converts neural-network weights between frameworks, as a spec says.\n\nCommands:\n",
          out);
    for (size_t i = 0; i < wm_command_count; i++) {
        fprintf(out, "  %-9s %s\n", wm_commands[i].name, wm_commands[i].summary);
    }
    fputs("\nFormats:\n", out);
    wmap_format_info info;
    for (size_t i = 0; wmap_format_at(i, &info); i++) {
        fprintf(out, "  %-14s %s (%s%s%s)\n", info.name, info.title, info.reads ? "read" : "",
                info.reads && info.writes ? ", " : "", info.writes ? "write" : "");
    }
    fputs("\nExit status: 0 done, 1 the spec has errors or files differ, 2 could not run, 3 the weights do "
          "not fit or are "
          "damaged.\n"
          "`wmap help COMMAND` describes a command and its flags. `wmap --version` prints the version.\n",
          out);
}

/* Text for roff: a dash that is a dash, and no line that starts as a request. */
static void roff_text(FILE *out, const char *text)
{
    for (const char *p = text; *p; p++) {
        if (*p == '-') {
            fputs("\\-", out);
        } else if (*p == '\\') {
            fputs("\\e", out);
        } else if (*p == '\'') {
            fputs("\\(aq", out);
        } else {
            putc(*p, out);
        }
    }
}

void wm_help_roff(FILE *out)
{
    fputs(".SH COMMANDS\n", out);
    for (size_t i = 0; i < wm_command_count; i++) {
        const wm_command *command = &wm_commands[i];
        fprintf(out, ".TP\n.B wmap %s ", command->name);
        roff_text(out, command->args);
        putc('\n', out);
        roff_text(out, command->summary);
        fputs(".\nFlags:", out);
        for (size_t k = 0; k < WM_FLAG_COUNT; k++) {
            if (command->flags >> k & 1) {
                fputs(" \\-\\-", out);
                roff_text(out, wm_flags[k].name);
            }
        }
        fputs(".\n.br\nExample: ", out);
        roff_text(out, command->example);
        putc('\n', out);
    }
    fputs(".SH FLAGS\n", out);
    for (size_t k = 0; k < WM_FLAG_COUNT; k++) {
        const wm_flag *flag = &wm_flags[k];
        fputs(".TP\n.B ", out);
        if (flag->letter) {
            fprintf(out, "\\-%c, ", flag->letter);
        }
        fputs("\\-\\-", out);
        roff_text(out, flag->name);
        if (flag->arg) {
            putc(' ', out);
            roff_text(out, flag->arg);
        }
        putc('\n', out);
        roff_text(out, flag->help);
        if (flag->fallback) {
            fputs(" (default: ", out);
            roff_text(out, flag->fallback);
            putc(')', out);
        }
        fputs(".\n", out);
    }
}

int wm_cmd_help(const wm_args *args)
{
    if (wm_args_has(args, WM_FLAG_ROFF)) {
        wm_help_roff(stdout);
        return WM_EXIT_DONE;
    }
    if (args->word_count == 0) {
        wm_help_all(stdout);
        return WM_EXIT_DONE;
    }
    const wm_command *command = wm_command_find(args->words[0]);
    if (!command || args->word_count > 1) {
        wm_say("help: no such command: `%s`", args->words[command ? 1 : 0]);
        return WM_EXIT_FAILED;
    }
    wm_help_command(stdout, command);
    return WM_EXIT_DONE;
}
