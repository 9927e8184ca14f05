/* cli/new.c: `wmap new`: a folder with a spec, its test, and what CI needs. The files are those of recipes/,
 * which are built into the program (cmake/embed.cmake). */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"

extern const unsigned char wm_recipe_spec[], wm_recipe_listing[], wm_recipe_makefile[], wm_recipe_readme[],
    wm_recipe_github[], wm_recipe_gitlab[], wm_recipe_precommit[];

static const struct recipe {
    const char *path;
    const unsigned char *text;
} recipes[] = {
    {"spec.wmap", wm_recipe_spec},
    {"names/model.jsonl", wm_recipe_listing},
    {"Makefile", wm_recipe_makefile},
    {"README.md", wm_recipe_readme},
    {".github/workflows/wmap.yml", wm_recipe_github},
    {".gitlab-ci.yml", wm_recipe_gitlab},
    {".pre-commit-config.yaml", wm_recipe_precommit},
};

static bool say_failed(const char *path)
{
    wm_say("new: %s: %s", path, strerror(errno));
    return false;
}

/* The folders that a path stands in, below `folder`. */
static bool make_folders(int folder, const char *path)
{
    char part[64];
    for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        snprintf(part, sizeof part, "%.*s", (int)(slash - path), path);
        if (mkdirat(folder, part, 0777) != 0 && errno != EEXIST) {
            return say_failed(part);
        }
    }
    return true;
}

/* Nothing that stands there is replaced. */
static bool write_recipe(int folder, const struct recipe *recipe)
{
    size_t size = strlen((const char *)recipe->text);
    int fd = openat(folder, recipe->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) {
        return say_failed(recipe->path);
    }
    bool ok = write(fd, recipe->text, size) == (ssize_t)size;
    ok = close(fd) == 0 && ok;
    return ok || say_failed(recipe->path);
}

int wm_cmd_new(const wm_args *args)
{
    if (args->word_count != 1) {
        wm_say("new: name the folder to make");
        return WM_EXIT_FAILED;
    }
    const char *path = args->words[0];
    if (mkdir(path, 0777) != 0 && errno != EEXIST) {
        say_failed(path);
        return WM_EXIT_FAILED;
    }
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) {
        say_failed(path);
        return WM_EXIT_FAILED;
    }
    bool ok = true;
    for (size_t i = 0; ok && i < sizeof recipes / sizeof *recipes; i++) {
        struct stat st;
        if (fstatat(folder, recipes[i].path, &st, 0) == 0) {
            errno = EEXIST;
            ok = say_failed(recipes[i].path);
        }
    }
    for (size_t i = 0; ok && i < sizeof recipes / sizeof *recipes; i++) {
        ok = make_folders(folder, recipes[i].path) && write_recipe(folder, &recipes[i]);
    }
    close(folder);
    if (ok) {
        printf("%s: spec.wmap, its test, and recipes for CI; README.md says more\n", path);
    }
    return ok ? WM_EXIT_DONE : WM_EXIT_FAILED;
}
