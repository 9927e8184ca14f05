/* cli/specs.c: the specs that a command line names: files as they are, of folders all `.wmap` files below, in
 * the order of their paths. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli.h"

enum { WM_SPECS_DEPTH = 64 };

static bool add(wm_specs *specs, const char *path)
{
    if (specs->count == specs->room) {
        size_t room = specs->room ? specs->room * 2 : 16;
        char **more = reallocarray(specs->paths, room, sizeof *more);
        if (!more) {
            return false;
        }
        specs->paths = more;
        specs->room = room;
    }
    specs->paths[specs->count] = strdup(path);
    return specs->paths[specs->count] && ++specs->count;
}

static bool is_spec(const char *name)
{
    static const char suffix[] = ".wmap";
    size_t len = strlen(name), end = sizeof suffix - 1;
    return len > end && strcmp(name + len - end, suffix) == 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static bool fail(const char *path)
{
    wm_say("%s: %s", path, strerror(errno));
    return false;
}

static bool walk(wm_specs *specs, const char *folder, int depth);

static bool visit(wm_specs *specs, const char *folder, const char *name, int depth)
{
    char *path = NULL;
    size_t len = strlen(folder);
    struct stat info;
    if (asprintf(&path, "%s%s%s", folder, len && folder[len - 1] == '/' ? "" : "/", name) < 0) {
        return fail(folder);
    }
    bool ok = lstat(path, &info) == 0 || fail(path);
    if (ok && S_ISDIR(info.st_mode)) {
        ok = walk(specs, path, depth + 1);
    } else if (ok && (S_ISREG(info.st_mode) || S_ISLNK(info.st_mode)) && is_spec(name)) {
        ok = add(specs, path) || fail(path);
    }
    free(path);
    return ok;
}

/* Not by fts(3), which glibc's version ends with a crash where memory runs out. Links are not followed, so
 * that the depth is bounded by that of a path. */
static bool walk(wm_specs *specs, const char *folder, int depth)
{
    struct dirent **list = NULL;
    int count = scandir(folder, &list, NULL, by_name);
    bool ok = count >= 0 || fail(folder);
    if (depth > WM_SPECS_DEPTH) {
        wm_say("%s: too deep", folder);
        ok = false;
    }
    for (int i = 0; i < count; i++) {
        if (ok && list[i]->d_name[0] != '.') {
            ok = visit(specs, folder, list[i]->d_name, depth);
        }
        free(list[i]);
    }
    free(list);
    return ok;
}

bool wm_specs_below(wm_specs *specs, const char *folder)
{
    return walk(specs, folder, 0);
}

int wm_specs_find(wm_specs *specs, const wm_args *args)
{
    *specs = (wm_specs){0};
    for (size_t i = 0; i < args->word_count; i++) {
        const char *word = args->words[i];
        struct stat info;
        if (strcmp(word, "-") != 0 && stat(word, &info) < 0) {
            wm_say("%s: %s", word, strerror(errno));
            return WM_EXIT_FAILED;
        }
        bool folder = strcmp(word, "-") != 0 && S_ISDIR(info.st_mode);
        if (folder ? !walk(specs, word, 0) : !add(specs, word) && !fail(word)) {
            return WM_EXIT_FAILED;
        }
    }
    if (specs->count == 0) {
        wm_say(args->word_count ? "%s: no spec was found (*.wmap)" : "%s: name specs, or folders of them",
               args->word_count ? args->words[0] : args->command->name);
        return WM_EXIT_FAILED;
    }
    return WM_EXIT_DONE;
}

void wm_specs_free(wm_specs *specs)
{
    for (size_t i = 0; i < specs->count; i++) {
        free(specs->paths[i]);
    }
    free(specs->paths);
}
