/* tf_locate.c: a TensorFlow checkpoint is a set of files, and people name it by its prefix, by its folder, by
 * the folder of a SavedModel, or by one of its other files. This finds the file to open. The text file
 * `checkpoint` of a folder is asked which of several is meant, but can never lead out of the folder. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/formats/tf.h"
#include "runtime/identify.h"
#include "runtime/spool.h"

#define STATE_MOST  ((size_t)1 << 20) /* bytes of a `checkpoint` file */
#define FOLDER_MOST 1000000           /* files of a folder that are looked at */
#define NAMED_MOST  8                 /* checkpoints that a message names */

size_t wm_tf_shard_name(const char *name, uint64_t *shard, uint64_t *count)
{
    size_t end = strlen(name), at = end;
    uint64_t values[2] = {0, 0};
    static const char *const before[2] = {"-", "-of-"};
    for (int i = 1; i >= 0; i--) {
        size_t digits = 0, len = strlen(before[i]);
        uint64_t unit = 1;
        for (; at > 0 && name[at - 1] >= '0' && name[at - 1] <= '9' && digits < 10; at--, digits++) {
            values[i] += unit * (uint64_t)(name[at - 1] - '0');
            unit *= 10;
        }
        if (digits < 5 || at < len || memcmp(name + at - len, before[i], len) != 0)
            return 0;
        at -= len;
    }
    *shard = values[0];
    *count = values[1];
    return values[0] < values[1] ? at : 0;
}

/* --- looking --- */

/* Bytes of a path up to its last component. */
static size_t folder_len(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) + 1 : 0;
}

static bool is_file(const char *path)
{
    struct stat st;
    return path && stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* Does it end like a table? A Git LFS pointer in the place of one counts too: opening it says so. */
static bool is_table(const char *path)
{
    static const uint8_t magic[8] = {0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb};
    uint8_t bytes[64];
    struct stat st;
    if (!is_file(path))
        return false;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    bool ok = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size >= 48;
    if (ok && (wm_pread(fd, bytes, 8, (uint64_t)st.st_size - 8) != 8 || memcmp(bytes, magic, 8) != 0)) {
        int64_t got = wm_pread(fd, bytes, sizeof bytes, 0);
        ok = got > 0 && wm_is_lfs_pointer(bytes, (size_t)got);
    }
    if (fd >= 0)
        close(fd);
    return ok;
}

static const char *text(wmap_archive *archive, wmap_error *err, const char *a, const char *b)
{
    const char *made = wm_format_text(&archive->arena, "%s%s", a, b);
    if (!made)
        wm_fail(err, WMAP_E_NOMEM, "out of memory");
    return made;
}

/* Names that a folder holds and that look like a checkpoint's first file. */
typedef struct found {
    size_t count;
    char names[NAMED_MOST][256];
} found;

static void remember(found *f, const char *name)
{
    if (f->count < NAMED_MOST)
        snprintf(f->names[f->count], sizeof f->names[0], "%s", name);
    f->count++;
}

/* `prefix` NULL: the indexes in a folder. Else the first shards of a V1 checkpoint of that name. */
static void list(const char *folder, const char *prefix, found *f)
{
    DIR *dir = opendir(folder[0] ? folder : ".");
    struct dirent *entry;
    f->count = 0;
    for (size_t n = 0; dir && n < FOLDER_MOST && (entry = readdir(dir)); n++) {
        const char *name = entry->d_name;
        size_t len = strlen(name);
        uint64_t shard, count;
        char path[4096];
        int size = snprintf(path, sizeof path, "%s%s", folder, name);
        if (size < 0 || (size_t)size >= sizeof path)
            continue;
        if (prefix) {
            size_t base = wm_tf_shard_name(name, &shard, &count);
            if (base == strlen(prefix) && memcmp(name, prefix, base) == 0 && shard == 0 && is_table(path))
                remember(f, name);
        } else if (len >= 6 && strcmp(name + len - 6, ".index") == 0 && is_table(path)) {
            remember(f, name);
        }
    }
    if (dir)
        closedir(dir);
}

/* "a, b and 3 more", sorted, so that a message doesn't depend on the folder's order. */
static void enumerate(found *f, char *to, size_t size)
{
    size_t shown = f->count < NAMED_MOST ? f->count : NAMED_MOST, at = 0;
    for (size_t i = 1; i < shown; i++)
        for (size_t k = i; k > 0 && strcmp(f->names[k - 1], f->names[k]) > 0; k--) {
            char swap[sizeof f->names[0]];
            memcpy(swap, f->names[k], sizeof swap);
            memcpy(f->names[k], f->names[k - 1], sizeof swap);
            memcpy(f->names[k - 1], swap, sizeof swap);
        }
    for (size_t i = 0; i < shown && at < size; i++)
        at += (size_t)snprintf(to + at, size - at, "%s%s", i ? ", " : "", f->names[i]);
    if (f->count > shown && at < size)
        snprintf(to + at, size - at, " and %zu more", f->count - shown);
}

/* --- the ways of naming one --- */

/* A prefix: NAME of NAME.index, or of a V1 checkpoint in several files. */
static const char *of_prefix(wmap_archive *archive, const char *prefix, wmap_error *err)
{
    size_t folder = folder_len(prefix);
    const char *index = text(archive, err, prefix, ".index");
    if (!index || is_file(index))
        return index;
    if (!prefix[folder])
        return NULL;
    const char *parent = wm_copy(&archive->arena, prefix, folder);
    found f;
    if (!parent) {
        wm_fail(err, WMAP_E_NOMEM, "out of memory");
        return NULL;
    }
    list(parent, prefix + folder, &f);
    if (f.count > 1) {
        char names[1024];
        enumerate(&f, names, sizeof names);
        wm_fail(err, WMAP_E_UNSUPPORTED, "several checkpoints of this name are here: %s; name one", names);
        return NULL;
    }
    return f.count ? text(archive, err, parent, f.names[0]) : NULL;
}

/* The same, and a V1 checkpoint in one file, or in several as TensorFlow names them: NAME-?????-of-00002. */
static const char *of_name(wmap_archive *archive, const char *name, wmap_error *err)
{
    static const char any[] = "-?\?\?\?\?-of-"; /* no trigraphs */
    const char *pattern = strstr(name, any);
    if (pattern && !is_file(name)) {
        const char *first = wm_format_text(&archive->arena, "%.*s-00000-of-%s", (int)(pattern - name), name,
                                           pattern + sizeof any - 1);
        if (!first)
            wm_fail(err, WMAP_E_NOMEM, "out of memory");
        return is_file(first) ? first : NULL;
    }
    const char *first = of_prefix(archive, name, err);
    if (first || err->code != WMAP_OK)
        return first;
    return is_table(name) ? name : NULL;
}

/* Reads the string that follows `key:` at the start of a line of protobuf's text format; NULL if there is
 * none that ends. */
static const char *state_field(wmap_archive *archive, const char *from, const char *key)
{
    const char *at = from;
    size_t key_len = strlen(key);
    while (at && strncmp(at += strspn(at, " \t\r\n"), key, key_len) != 0) {
        at = strchr(at, '\n');
    }
    if (!at)
        return NULL;
    at += key_len;
    at += strspn(at, " \t:");
    char quote = *at++;
    char *out = quote == '"' || quote == '\'' ? wm_alloc(&archive->arena, strlen(at) + 1) : NULL;
    size_t len = 0;
    while (out && *at && *at != quote && *at != '\n') {
        if (*at != '\\' || !at[1]) {
            out[len++] = *at++;
            continue;
        }
        unsigned value = 0, digits = 0;
        at++;
        while (digits < 3 && at[digits] >= '0' && at[digits] <= '7')
            value = 8 * value + (unsigned)(at[digits++] - '0');
        out[len++] = digits ? (char)value : *at;
        at += digits ? digits : 1;
    }
    return out && *at == quote && len ? out : NULL;
}

/* What the file `checkpoint` of a folder (which ends in a slash, or is empty) says; NULL if there is none. */
static const char *read_state(wmap_archive *archive, const char *folder, wmap_error *err)
{
    static const char key[] = "model_checkpoint_path";
    const char *path = text(archive, err, folder, "checkpoint");
    if (!path || !is_file(path))
        return NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    char *all = fd >= 0 ? wm_alloc(&archive->arena, STATE_MOST + 1) : NULL;
    int64_t got = all ? wm_pread(fd, all, STATE_MOST, 0) : 0;
    if (fd >= 0)
        close(fd);
    if (got <= 0 || memchr(all, 0, (size_t)got) || !strstr(all, key))
        return NULL; /* something else that is called so */
    const char *name = state_field(archive, all, key);
    if (!name)
        wm_archive_warn(archive, "the file `checkpoint` of its folder can't be read and is ignored");
    return name;
}

static bool leads_out(const char *path)
{
    for (const char *at = path; at; at = strchr(at, '/'), at = at ? at + 1 : NULL)
        if (strncmp(at, "..", 2) == 0 && (at[2] == '/' || !at[2]))
            return true;
    return path[0] == '/';
}

static const char *of_state(wmap_archive *archive, const char *folder, wmap_error *err)
{
    const char *name = read_state(archive, folder, err), *first = NULL;
    if (!name)
        return NULL;
    if (!leads_out(name)) {
        const char *path = text(archive, err, folder, name);
        first = path ? of_name(archive, path, err) : NULL;
    }
    if (!first && err->code == WMAP_OK) { /* folders are moved, and absolute paths with them */
        const char *last = name + folder_len(name), *path = text(archive, err, folder, last);
        first = path && *last ? of_name(archive, path, err) : NULL;
    }
    if (!first && err->code == WMAP_OK)
        wm_archive_warn(archive, "the file `checkpoint` names %s, which is not in this folder", name);
    return first;
}

static const char *of_folder(wmap_archive *archive, const char *path, wmap_error *err)
{
    size_t len = strlen(path);
    const char *folder = text(archive, err, path, len && path[len - 1] != '/' ? "/" : "");
    const char *model = folder ? text(archive, err, folder, "variables/variables.index") : NULL;
    if (!model || is_file(model))
        return model;
    const char *first = of_state(archive, folder, err);
    if (first || err->code != WMAP_OK)
        return first;
    found f;
    list(folder, NULL, &f);
    if (f.count > 1) {
        char names[1024];
        enumerate(&f, names, sizeof names);
        wm_fail(err, WMAP_E_UNSUPPORTED, "this folder holds several checkpoints: %s; name one", names);
        return NULL;
    }
    return f.count ? text(archive, err, folder, f.names[0]) : NULL;
}

/* Another file of a set. */
static const char *of_member(wmap_archive *archive, const char *path, wmap_error *err)
{
    size_t folder = folder_len(path), len = strlen(path), base;
    const char *name = path + folder;
    uint64_t shard, count;
    const char *parent = wm_copy(&archive->arena, path, folder);
    if (!parent) {
        wm_fail(err, WMAP_E_NOMEM, "out of memory");
        return NULL;
    }
    if (strcmp(name, "checkpoint") == 0)
        return of_state(archive, parent, err);
    if (strcmp(name, "saved_model.pb") == 0) {
        const char *model = text(archive, err, parent, "variables/variables.index");
        return is_file(model) ? model : NULL;
    }
    base = wm_tf_shard_name(path, &shard, &count);
    bool data = base >= folder + 5 && memcmp(path + base - 5, ".data", 5) == 0;
    bool meta = len >= folder + 5 && strcmp(path + len - 5, ".meta") == 0;
    if (!data && !meta)
        return of_prefix(archive, path, err);
    const char *prefix = wm_copy(&archive->arena, path, data ? base - 5 : len - 5);
    const char *first = prefix ? of_name(archive, prefix, err) : NULL;
    if (!first && data && err->code == WMAP_OK)
        wm_fail(err, WMAP_E_IO,
                "this is a data file of a TensorFlow checkpoint, and its index %s.index is missing",
                prefix + folder);
    return first;
}

const char *wm_tf_locate(wmap_archive *archive, const char *path, wm_place place, wmap_error *err)
{
    if (place == WM_PLACE_FOLDER)
        return of_folder(archive, path, err);
    return place == WM_PLACE_FILE ? of_member(archive, path, err) : of_prefix(archive, path, err);
}
