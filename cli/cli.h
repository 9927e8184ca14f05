/* cli/cli.h: what the parts of the command line share. Nothing of the library but its public headers. */
#ifndef WMAP_CLI_H
#define WMAP_CLI_H

#include <stdio.h>

#include "wmap/wmap.h"

/* Exit statuses; wmap_exit_status gives them for an error of the library. */
enum { WM_EXIT_DONE = 0, WM_EXIT_FINDINGS = 1, WM_EXIT_FAILED = 2, WM_EXIT_WEIGHTS = 3 };

typedef enum wm_flag_id {
#define FLAG(id, name, letter, arg, fallback, help) WM_FLAG_##id,
#include "flags.def"
#undef FLAG
    WM_FLAG_COUNT /* at most 64 */
} wm_flag_id;

typedef struct wm_flag {
    const char *name;     /* without the dashes */
    char letter;          /* 0 for none */
    const char *arg;      /* how --help calls the argument, NULL if the flag takes none */
    const char *fallback; /* what holds without the flag, in words, or NULL */
    const char *help;
} wm_flag;

extern const wm_flag wm_flags[WM_FLAG_COUNT];

typedef struct wm_args wm_args;

typedef struct wm_command {
    const char *name;
    const char *args;
    const char *summary;
    const char *example;
    uint64_t flags; /* bit i: takes wm_flags[i] */
    int (*run)(const wm_args *args);
} wm_command;

extern const wm_command wm_commands[];
extern const size_t wm_command_count;

/* A parsed command line. All strings are those of argv. */
struct wm_args {
    const wm_command *command;
    const char **words; /* what is no flag */
    size_t word_count;
    struct wm_option {
        wm_flag_id flag;
        const char *value; /* "" for a flag without argument */
    } * options;           /* in the order given */
    size_t option_count;
};

/* args.c. Parses argv[0..argc) (after the command's name); on a mistake says so on stderr and returns false.
 * `args` owns two arrays in any case; free them with wm_args_free. */
bool wm_args_parse(const wm_command *command, int argc, char **argv, wm_args *args);
void wm_args_free(wm_args *args);

/* The last value of a flag, NULL if it wasn't given. */
const char *wm_args_value(const wm_args *args, wm_flag_id flag);
bool wm_args_has(const wm_args *args, wm_flag_id flag);

/* A whole number up to `max`; `fallback` without the flag; false (and words on stderr) for anything else. */
bool wm_args_number(const wm_args *args, wm_flag_id flag, size_t max, size_t fallback, size_t *value);

/* A size in bytes, above 0: "5GB" is 5 times 10^9, "5GiB" 5 times 2^30; 0 without the flag; false (and words
 * on stderr) for anything else. */
bool wm_args_size(const wm_args *args, wm_flag_id flag, uint64_t *size);

/* help.c */
const wm_command *wm_command_find(const char *name);
void wm_help_all(FILE *out);
void wm_help_command(FILE *out, const wm_command *command);
void wm_help_roff(FILE *out);

/* The entry of `names` (count of them, NULL ones skipped) that `word` may have been meant to be, or NULL. */
const char *wm_did_you_mean(const char *word, const char *const *names, size_t count);

/* print.c. Words for people go to stderr as "wmap: ...", with nothing in them that could move the cursor or
 * turn the text around, whatever a file is called. */
void wm_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void wm_say_error(const wmap_error *err);
/* Both escape; wm_put_text gives the number of columns, if characters are one wide, wm_put_json whether JSON
 * can hold it: what isn't UTF-8 is replaced. */
size_t wm_put_text(FILE *out, const char *text, size_t len);
bool wm_put_json(FILE *out, const char *text, size_t len);
/* Text, or the value of an attribute, for XML 1.0: what that can not hold becomes U+FFFD. */
void wm_put_xml(FILE *out, const char *text);
/* "1.5 MB"; `buf` of at least 32 bytes. */
const char *wm_human_bytes(double bytes, char *buf, size_t size);
/* Colour on this stream? A terminal, TERM not dumb, NO_COLOR not set. */
bool wm_terminal(FILE *stream);
bool wm_use_color(FILE *stream);
/* Flushes stdout; the status to exit with, which is WM_EXIT_FAILED if anything was lost. */
int wm_finish_stdout(int status);

/* settings.c: -D, -I and what the environment says of imports, for compilations. Says what is wrong. Free
 * them in any case. */
typedef struct wm_settings {
    const char **includes;
    size_t include_count;
    wmap_define *defines;
    size_t define_count;
    char *search, *text; /* copies that were cut up */
    char beside[4200];   /* the library beside the program */
} wm_settings;
bool wm_settings_make(wm_settings *settings, const wm_args *args);

/* A spec that is named as imports name it (`vgg/vgg`): its path, to be freed, in the folders of -I, WMAP_PATH
 * and the library. NULL: there is none, or a file of just that name. */
char *wm_settings_find(const wm_args *args, const char *name);

void wm_settings_free(wm_settings *settings);

/* input.c: spec, plan and sources of a command line. */
typedef struct wm_input {
    char *text; /* of the spec or plan, if it was read here (rules, or not a regular file); else NULL */
    size_t text_len;
    const char *path; /* its name; "-e" for rules */
    char *found;      /* the same, if it was looked for in folders; else NULL */
    bool is_plan, is_rules;

    wmap_archive **archives;
    const char **prefixes; /* one an archive; NULL for none */
    char **owned;          /* prefixes to free */
    size_t archive_count;
    wmap_archive *target; /* --target-like */
    wmap_archive *like;   /* --like */
    bool judge;           /* find out whether the map can run in the other direction */
    wmap_report *report;  /* of the last compilation */
} wm_input;

/* Opens all that the command line names; on failure says why and returns the exit status to end with, else
 * WM_EXIT_DONE. Free it with wm_input_free in any case. */
int wm_input_open(wm_input *input, const wm_args *args);
void wm_input_free(wm_input *input);

/* Says what is suspicious in the files that were opened. */
void wm_input_warn(const wmap_archive *archive);

/* Compiles the spec of `input` (or prints a stage of it to stdout if `stage` is not NULL). Reports on stderr
 * (or, as JSON, on stdout). The plan's bytes are malloc'ed, NULL when there is nothing to plan. */
int wm_compile(wm_input *input, const wm_args *args, const char *stage, uint8_t **bytes, size_t *size);

/* The tensors of an archive side by side, as the compiler wants them; false: out of memory. Free it. */
bool wm_header_make(wmap_header *header, const wmap_archive *archive, const char *prefix);
void wm_header_free(wmap_header *header);

/* The plan of `input`, be it a spec or a plan already; NULL (with *status WM_EXIT_DONE) for a sound spec
 * whose source nobody knows. */
wmap_plan *wm_input_plan(wm_input *input, const wm_args *args, int *status);

/* Says what a compilation with `judge` found of the other direction: the first reason, or with `list` all. */
void wm_input_say_reversal(const wm_input *input, const wm_args *args, bool list);

/* Can the format of --to-format hold what the plan writes? The status; without the flag all is well. */
int wm_input_fits(const wmap_plan *plan, const wm_args *args);

/* Reads a whole stream of at most `limit` bytes; malloc'ed and ended by NUL. NULL and words on stderr. */
char *wm_read_all(FILE *in, const char *name, size_t limit, size_t *len);

/* specs.c: the specs that the words of a command line name; of folders all `.wmap` files below. Says what is
 * wrong and gives the status to end with. `-` is kept as it is. Free it in any case. */
typedef struct wm_specs {
    char **paths;
    size_t count, room;
} wm_specs;
int wm_specs_find(wm_specs *specs, const wm_args *args);
/* Those below one folder, none perhaps; false, after words, if it can't be read. */
bool wm_specs_below(wm_specs *specs, const char *folder);
void wm_specs_free(wm_specs *specs);

/* fix.c: makes the changes that a report knows to mend findings, in files of the folder of `spec` and below
 * it; with
 * --diff prints them instead. Gives the number of changes that were made; *status is WM_EXIT_FAILED, after
 * words, if a file can't be written. */
size_t wm_fix(const wmap_report *report, const char *spec, const wm_args *args, int *status);

/* fmt.c. A text takes the place of a file at once, whose mode stays; the status, after words. The lines in
 * which two texts differ, on stdout, `what` behind the name of the second. */
int wm_replace_text(const char *path, const char *text, size_t size);
bool wm_put_difference(const char *path, const char *what, const char *text, size_t size, const char *result,
                       size_t len);

/* fold.c: like tensors in one row. Writes at most `count` rows, in the order of their first tensors, and
 * gives their number; SIZE_MAX: out of memory. */
typedef struct wm_row {
    char *name; /* "layers.{0..47}.weight" */
    size_t name_len;
    size_t first, count; /* the tensor that comes first, and how many there are */
} wm_row;
size_t wm_fold(const wmap_tensor *const *tensors, size_t count, wm_row *rows);
void wm_rows_free(wm_row *rows, size_t count);

/* progress.c: a line on a terminal with bytes, rate and time left. */
typedef struct wm_meter {
    double start, last;
    bool shown;
} wm_meter;
void wm_meter_start(wm_meter *meter);
void wm_meter_update(void *meter, const wmap_progress *progress);
void wm_meter_end(wm_meter *meter);

/* The subcommands, one file each. */
#define COMMAND(name, args, summary, example, flags) int wm_cmd_##name(const wm_args *args_);
#include "commands.def"
#undef COMMAND

/* ---- pages.c ---- */

/* Is it the id of an error ("E0401"), and no file? */
bool wm_is_page(const char *word);

/* Prints what docs/errors.md says of an id; of all ids their titles. The exit status. */
int wm_explain_page(const char *word);
int wm_list_pages(void);

#endif
