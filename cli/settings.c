/* cli/settings.c: what the flags of a command line say to every compilation: parameters, and the folders in
 * which imports are looked for. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"

static void add_folder(wm_settings *s, const char *folder)
{
    s->includes[s->include_count++] = folder;
}

/* The installed library: WMAP_SPECS, else ../share/wmap/specs of the program (an installation that was
 * moved), else ../specs of it (a build tree in the sources), else where it was built to be. */
static void add_library(wm_settings *s)
{
    const char *named = getenv("WMAP_SPECS");
    if (named && *named) {
        add_folder(s, named);
        return;
    }
    char program[4096];
    ssize_t len = readlink("/proc/self/exe", program, sizeof program - 1);
    static const char *const places[] = {"../share/wmap/specs", "../specs"};
    for (size_t i = 0; len > 0 && i < sizeof places / sizeof *places; i++) {
        program[len] = 0;
        char *slash = strrchr(program, '/');
        struct stat info;
        if (slash) {
            snprintf(s->beside, sizeof s->beside, "%.*s/%s", (int)(slash - program), program, places[i]);
            if (stat(s->beside, &info) == 0 && S_ISDIR(info.st_mode)) {
                add_folder(s, s->beside);
                return;
            }
        }
    }
    add_folder(s, WMAP_SPECS);
}

static bool find_folders(wm_settings *s, const wm_args *args)
{
    const char *path = getenv("WMAP_PATH");
    size_t most = args->option_count + 2;
    for (const char *p = path ? path : ""; *p; p++) {
        most += *p == ':';
    }
    s->includes = calloc(most, sizeof *s->includes);
    s->search = strdup(path ? path : "");
    if (!s->includes || !s->search) {
        return false;
    }
    for (size_t i = 0; i < args->option_count; i++) {
        if (args->options[i].flag == WM_FLAG_INCLUDE) {
            add_folder(s, args->options[i].value);
        }
    }
    char *rest = s->search;
    for (char *folder; (folder = strsep(&rest, ":")) != NULL;) {
        if (*folder) {
            add_folder(s, folder);
        }
    }
    add_library(s);
    return true;
}

static bool split_defines(wm_settings *s, const wm_args *args)
{
    size_t bytes = 1;
    for (size_t i = 0; i < args->option_count; i++) {
        bytes += strlen(args->options[i].value) + 1;
    }
    s->defines = calloc(args->option_count + 1, sizeof *s->defines);
    s->text = calloc(bytes, 1);
    if (!s->defines || !s->text) {
        wm_say("out of memory");
        return false;
    }
    char *at = s->text;
    for (size_t i = 0; i < args->option_count; i++) {
        const char *value = args->options[i].value;
        const char *equals = strchr(value, '=');
        if (args->options[i].flag != WM_FLAG_DEFINE) {
            continue;
        }
        if (!equals || equals == value) {
            wm_say("%s: `-D %s` should be -D NAME=VALUE", args->command->name, value);
            return false;
        }
        memcpy(at, value, (size_t)(equals - value));
        s->defines[s->define_count++] = (wmap_define){.name = at, .value = equals + 1};
        at += equals - value + 1;
    }
    return true;
}

/* The file of that name in a folder, or with .wmap behind it. */
static bool is_in(const char *folder, const char *name, char *path, size_t size)
{
    static const char *const ends[] = {"", ".wmap"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        struct stat info;
        int len = snprintf(path, size, "%s%s%s%s", folder, *folder ? "/" : "", name, ends[i]);
        if (len > 0 && (size_t)len < size && stat(path, &info) == 0 && S_ISREG(info.st_mode)) {
            return true;
        }
    }
    return false;
}

char *wm_settings_find(const wm_args *args, const char *name)
{
    struct stat info;
    if (*name == '/' || strcmp(name, "-") == 0 || stat(name, &info) == 0) {
        return NULL;
    }
    wm_settings s = {0};
    char path[4096];
    bool found = is_in("", name, path, sizeof path);
    if (!found && find_folders(&s, args)) {
        for (size_t i = 0; i < s.include_count && !found; i++) {
            found = is_in(s.includes[i], name, path, sizeof path);
        }
    }
    wm_settings_free(&s);
    return found ? strdup(path) : NULL;
}

bool wm_settings_make(wm_settings *s, const wm_args *args)
{
    memset(s, 0, sizeof *s);
    if (!split_defines(s, args)) {
        return false;
    }
    if (!find_folders(s, args)) {
        wm_say("out of memory");
        return false;
    }
    return true;
}

void wm_settings_free(wm_settings *s)
{
    free(s->includes);
    free(s->defines);
    free(s->search);
    free(s->text);
}
