/* cli/specs.c: the specs that a command line names: files as they are, of folders all `.wmap` files below, in
 * the order of their paths. */
#include <errno.h>
#include <sys/types.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli.h"

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

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static bool is_spec(const FTSENT *entry)
{
    static const char suffix[] = ".wmap";
    size_t len = sizeof suffix - 1;
    return entry->fts_namelen > len && strcmp(entry->fts_name + entry->fts_namelen - len, suffix) == 0;
}

static bool walk(wm_specs *specs, char *folder)
{
    char *const roots[] = {folder, NULL};
    FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
    FTSENT *entry;
    bool ok = fts != NULL;
    if (!ok) {
        wm_say("%s: %s", folder, strerror(errno));
    }
    while (ok && (errno = 0, entry = fts_read(fts)) != NULL) {
        switch (entry->fts_info) {
        case FTS_D:
            if (entry->fts_level > 0 && entry->fts_name[0] == '.') {
                fts_set(fts, entry, FTS_SKIP);
            }
            break;
        case FTS_F:
        case FTS_SL:
            if (is_spec(entry) && !add(specs, entry->fts_path)) {
                wm_say("out of memory");
                ok = false;
            }
            break;
        case FTS_DNR:
        case FTS_ERR:
        case FTS_NS:
            wm_say("%s: %s", entry->fts_path, strerror(entry->fts_errno));
            ok = false;
            break;
        default:
            break;
        }
    }
    if (ok && errno) {
        wm_say("%s: %s", folder, strerror(errno));
        ok = false;
    }
    if (fts) {
        fts_close(fts);
    }
    return ok;
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
        char *copy = strdup(word);
        bool ok = copy && (folder ? walk(specs, copy) : add(specs, word));
        if (!copy || (!ok && !folder)) { /* walk() says it itself */
            wm_say("out of memory");
        }
        free(copy);
        if (!ok) {
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
