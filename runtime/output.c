/* output.c: the temporary file, its commit and its removal. The temporary is locked (flock) while its process
 * lives, so that a later run can tell those that a killed one left behind, and removes them. */
#include "runtime/output.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/spool.h"
#include "wmap/run.h"

enum {
    SLOTS = 64,     /* runs of one process at once whose temporaries a signal removes */
    NAME_PART = 180 /* bytes of the target's name in the temporary's, so that the whole is below 255 */
};

#define COPY_CHUNK ((size_t)1 << 20)
#define WRITE_MOST ((size_t)1 << 30) /* Linux moves at most 2 GiB a call */

/* ---- what a signal handler removes ---- */

/* The only state of the library that outlives a call: a handler has nothing else to go by. A slot is FREE, or
 * TAKEN by one run, which alone touches its path, or LIVE. */
enum { FREE, TAKEN, LIVE };
static struct {
    _Atomic int state;
    char path[PATH_MAX];
} slots[SLOTS];

static int slot_take(const char *path)
{
    if (strlen(path) >= sizeof slots[0].path)
        return -1;
    for (int i = 0; i < SLOTS; i++) {
        int is_free = FREE;
        if (atomic_compare_exchange_strong(&slots[i].state, &is_free, TAKEN)) {
            memcpy(slots[i].path, path, strlen(path) + 1);
            atomic_store(&slots[i].state, LIVE);
            return i;
        }
    }
    return -1;
}

static void slot_give(int slot)
{
    if (slot >= 0)
        atomic_store(&slots[slot].state, FREE);
}

void wmap_run_cleanup(void)
{
    int keep = errno;
    for (int i = 0; i < SLOTS; i++)
        if (atomic_load(&slots[i].state) == LIVE)
            unlink(slots[i].path);
    errno = keep;
}

/* ---- names ---- */

/* Length of the folder part of a path, with its slash; 0 for the current folder. */
static size_t folder_len(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) + 1 : 0;
}

static const char *name_of(const char *path)
{
    return path + folder_len(path);
}

/* "FOLDER/.NAME.wmap-" */
static char *temporary_stem(const char *path)
{
    const char *name = name_of(path);
    size_t folder = folder_len(path), len = strlen(name), size;
    len = len < NAME_PART ? len : NAME_PART;
    size = folder + len + 16;
    char *stem = malloc(size);
    if (stem)
        snprintf(stem, size, "%.*s.%.*s.wmap-", (int)folder, path, (int)len, name);
    return stem;
}

static bool fail_at(wmap_error *err, const char *path, int number, const char *what)
{
    wm_fail_errno(err, WMAP_E_IO, number, "%s", what);
    return wm_error_file(err, path);
}

static bool no_memory(wmap_error *err)
{
    return wm_fail(err, WMAP_E_NOMEM, "out of memory");
}

bool wm_output_check(const char *path, bool force, wmap_error *err)
{
    struct stat st;
    if (strcmp(path, "-") == 0)
        return true;
    if (!*name_of(path)) {
        wm_fail(err, WMAP_E_USAGE, "the output is not the name of a file");
        return wm_error_file(err, path);
    }
    if (lstat(path, &st) != 0) {
        if (errno == ENOENT) /* of the folder too: opening it will say so */
            return true;
        return fail_at(err, path, errno, "cannot write there");
    }
    /* what a link leads to matters, though the link itself would be replaced */
    if (!S_ISREG(st.st_mode) && !(S_ISLNK(st.st_mode) && (stat(path, &st) != 0 || S_ISREG(st.st_mode)))) {
        wm_fail(err, WMAP_E_USAGE, "something stands there that is not a regular file");
        return wm_error_file(err, path);
    }
    if (force)
        return true;
    wm_fail(err, WMAP_E_USAGE, "the file exists; it is replaced only if that is asked for (--force)");
    return wm_error_file(err, path);
}

/* ---- temporaries that a killed process left ---- */

/* Is it PID-NUMBER.tmp? */
static bool is_tail(const char *tail)
{
    size_t digits = strspn(tail, "0123456789");
    if (!digits || tail[digits] != '-')
        return false;
    tail += digits + 1;
    digits = strspn(tail, "0123456789");
    return digits && strcmp(tail + digits, ".tmp") == 0;
}

static void remove_stale(int folder, const char *stem)
{
    const char *prefix = name_of(stem);
    size_t len = strlen(prefix);
    int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
    if (!dir) {
        if (copy >= 0)
            close(copy);
        return;
    }
    for (struct dirent *e; (e = readdir(dir));) {
        if (strncmp(e->d_name, prefix, len) != 0 || !is_tail(e->d_name + len))
            continue;
        int fd = openat(folder, e->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (fd < 0)
            continue;
        if (flock(fd, LOCK_EX | LOCK_NB) == 0) /* nobody writes it any more */
            unlinkat(folder, e->d_name, 0);
        close(fd);
    }
    closedir(dir);
}

/* ---- open ---- */

/* A new locked file of a name that was free. */
static bool create(wm_output *o, const char *stem, wmap_error *err)
{
    static _Atomic unsigned counter;
    size_t size = strlen(stem) + 48;
    o->temporary = malloc(size);
    if (!o->temporary)
        return no_memory(err);
    for (int attempt = 0; attempt < 1000; attempt++) {
        struct stat st;
        snprintf(o->temporary, size, "%s%ld-%u.tmp", stem, (long)getpid(), atomic_fetch_add(&counter, 1));
        o->slot = slot_take(o->temporary);
        o->fd = openat(o->folder, name_of(o->temporary), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        int number = errno;
        /* Another run may have taken it for stale before it was locked. Where there are no locks, we go
         * without. */
        if (o->fd >= 0 && (flock(o->fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) &&
            fstat(o->fd, &st) == 0 && st.st_nlink > 0)
            return true;
        slot_give(o->slot);
        o->slot = -1;
        if (o->fd < 0 && number != EEXIST)
            return fail_at(err, o->path, number, "cannot create a file in its folder");
        if (o->fd >= 0)
            close(o->fd);
        o->fd = -1;
    }
    return fail_at(err, o->path, EEXIST, "cannot create a file in its folder");
}

/* Room for all of it now: a full disk is found before the work, and the file lies in one piece. */
static bool reserve(const wm_output *o, wmap_error *err)
{
    int result = 0, number = 0;
    if (o->size > INT64_MAX)
        return fail_at(err, o->path, EFBIG, "cannot make it that large");
    if (o->size == 0)
        return true;
    do {
        result = fallocate(o->fd, 0, 0, (off_t)o->size);
        number = errno;
    } while (result != 0 && number == EINTR);
    if (result != 0 && (number == EOPNOTSUPP || number == ENOSYS || number == EINVAL)) {
        result = ftruncate(o->fd, (off_t)o->size);
        number = errno;
    }
    return result == 0 || fail_at(err, o->path, number, "cannot make room for it");
}

bool wm_output_open(wm_output *o, const char *path, bool force, uint64_t size, wmap_error *err)
{
    *o = (wm_output){path, force, -1, -1, NULL, -1, size};
    if (!wm_output_check(path, force, err))
        return false;
    bool ok = true;
    if (strcmp(path, "-") == 0) {
        o->fd = wm_spool_new(err);
        ok = o->fd >= 0;
    } else {
        char *stem = temporary_stem(path);
        char *folder = folder_len(path) ? strndup(path, folder_len(path)) : strdup(".");
        ok = (stem && folder) || no_memory(err);
        if (ok) {
            o->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
            ok = o->folder >= 0 || fail_at(err, path, errno, "cannot open its folder");
        }
        if (ok) {
            remove_stale(o->folder, stem);
            ok = create(o, stem, err);
        }
        free(folder);
        free(stem);
    }
    if (ok && reserve(o, err))
        return true;
    wm_output_abandon(o);
    return false;
}

bool wm_output_put(const wm_output *o, uint64_t offset, const void *bytes, uint64_t size, wmap_error *err)
{
    const uint8_t *at = bytes;
    if (offset > o->size || size > o->size - offset)
        return wm_fail(err, WMAP_E_INTERNAL, "bytes beyond the end of the file that was laid out");
    while (size) {
        ssize_t n = pwrite(o->fd, at, size < WRITE_MOST ? (size_t)size : WRITE_MOST, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return fail_at(err, o->path, n < 0 ? errno : EIO, "cannot write");
        at += n;
        offset += (uint64_t)n;
        size -= (uint64_t)n;
    }
    return true;
}

/* ---- end ---- */

static void close_all(wm_output *o)
{
    if (o->fd >= 0)
        close(o->fd);
    if (o->folder >= 0)
        close(o->folder);
    slot_give(o->slot);
    free(o->temporary);
    o->fd = o->folder = o->slot = -1;
    o->temporary = NULL;
}

void wm_output_abandon(wm_output *o)
{
    if (o->temporary && o->fd >= 0)
        unlinkat(o->folder, name_of(o->temporary), 0);
    close_all(o);
}

static bool write_all(int fd, const uint8_t *bytes, size_t size)
{
    while (size) {
        ssize_t n = write(fd, bytes, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        bytes += n;
        size -= (size_t)n;
    }
    return true;
}

static bool send_out(wm_output *o, wmap_error *err)
{
    uint8_t *chunk = malloc(COPY_CHUNK);
    bool ok = chunk || no_memory(err);
    for (uint64_t at = 0; ok && at < o->size;) {
        uint64_t left = o->size - at;
        size_t want = left < COPY_CHUNK ? (size_t)left : COPY_CHUNK;
        int64_t n = wm_pread(o->fd, chunk, want, at);
        if (n != (int64_t)want)
            ok = fail_at(err, "standard output", n < 0 ? errno : EIO, "cannot read back what was spooled");
        else if (!write_all(STDOUT_FILENO, chunk, want))
            ok = fail_at(err, "standard output", errno, "cannot write");
        at += want;
    }
    free(chunk);
    return ok;
}

/* Gives the temporary its name, which must be free unless `force`. */
static bool take_name(const wm_output *o, wmap_error *err)
{
    const char *from = name_of(o->temporary), *to = name_of(o->path);
    int result, number;
    if (o->force) {
        result = renameat(o->folder, from, o->folder, to);
        number = errno;
    } else {
        result = renameat2(o->folder, from, o->folder, to, RENAME_NOREPLACE);
        number = errno;
        if (result != 0 && (number == EINVAL || number == ENOSYS)) { /* a file system that can't: link can */
            result = linkat(o->folder, from, o->folder, to, 0);
            number = errno;
            if (result == 0)
                unlinkat(o->folder, from, 0);
        }
    }
    if (result == 0)
        return true;
    if (number == EEXIST && !o->force) {
        wm_fail(err, WMAP_E_USAGE, "the file was made by somebody else meanwhile; it is left as it is");
        return wm_error_file(err, o->path);
    }
    return fail_at(err, o->path, number, "cannot give it its name");
}

bool wm_output_commit(wm_output *o, wmap_error *err)
{
    if (!o->temporary) {
        bool sent = send_out(o, err);
        close_all(o);
        return sent;
    }
    /* A failed fsync is final: the kernel may have dropped the pages, and a second one would succeed. */
    bool ok = fsync(o->fd) == 0 || fail_at(err, o->path, errno, "cannot sync it to the disk");
    ok = ok && take_name(o, err);
    if (!ok) {
        wm_output_abandon(o);
        return false;
    }
    slot_give(o->slot); /* the name is no temporary's any more */
    o->slot = -1;
    /* some file systems have no folders to sync */
    if (fsync(o->folder) != 0 && errno != EINVAL && errno != ENOTSUP)
        ok = fail_at(err, o->path, errno, "it is complete, but its folder cannot be synced");
    close_all(o);
    return ok;
}
