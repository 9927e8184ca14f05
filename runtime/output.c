/* output.c: the temporary files, their commit and their removal. A temporary is locked (flock) while its
 * process lives, so that a later run can tell those that a killed one left behind, and removes them. */
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
#include "wmap/plan.h"
#include "wmap/run.h"

enum {
    SLOTS = 64,      /* runs of one process at once whose temporaries a signal removes */
    NAME_PART = 180, /* bytes of the target's name in the temporary's, so that the whole is below 255 */
    NUMBER = 16      /* room for "NUMBER.tmp" and its end */
};

#define COPY_CHUNK ((size_t)1 << 20)
#define WRITE_MOST ((size_t)1 << 30) /* Linux moves at most 2 GiB a call */

/* ---- what a signal handler removes ---- */

/* The only state of the library that outlives a call: a handler has nothing else to go by. A slot is FREE, or
 * TAKEN by one run, which alone touches its path, or LIVE. */
enum { FREE, TAKEN, LIVE };
static struct {
    _Atomic int state;
    char stem[PATH_MAX]; /* the temporaries are called STEM, a number, ".tmp" */
    unsigned first;
    size_t count;
} slots[SLOTS];

/* STEM NUMBER.tmp; async-signal-safe. `out` has NUMBER bytes behind the stem. */
static char *add_number(char *out, size_t stem_len, unsigned number)
{
    char digits[NUMBER];
    size_t count = 0;
    do
        digits[count++] = (char)('0' + number % 10);
    while (number /= 10);
    char *at = out + stem_len;
    while (count)
        *at++ = digits[--count];
    memcpy(at, ".tmp", 5);
    return out;
}

static int slot_take(const char *stem, unsigned first, size_t count)
{
    if (strlen(stem) >= sizeof slots[0].stem)
        return -1;
    for (int i = 0; i < SLOTS; i++) {
        int is_free = FREE;
        if (atomic_compare_exchange_strong(&slots[i].state, &is_free, TAKEN)) {
            memcpy(slots[i].stem, stem, strlen(stem) + 1);
            slots[i].first = first;
            slots[i].count = count;
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
    char path[PATH_MAX + NUMBER];
    for (int i = 0; i < SLOTS; i++) {
        if (atomic_load(&slots[i].state) != LIVE)
            continue;
        size_t len = strlen(slots[i].stem);
        memcpy(path, slots[i].stem, len);
        for (size_t k = 0; k < slots[i].count; k++)
            unlink(add_number(path, len, slots[i].first + (unsigned)k));
    }
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

static const char *part_name(const wm_output *o, size_t part)
{
    return o->parts[part].name ? o->parts[part].name : name_of(o->path);
}

/* "FOLDER/.NAME.wmap-", which the temporaries of any process begin with, and then "PID-". `*shared` is how
 * long the first of these is. */
static char *temporary_stem(const char *path, size_t *shared)
{
    const char *name = name_of(path);
    size_t folder = folder_len(path), len = strlen(name), size;
    len = len < NAME_PART ? len : NAME_PART;
    size = folder + len + 48;
    char *stem = malloc(size);
    if (stem) {
        int n = snprintf(stem, size, "%.*s.%.*s.wmap-", (int)folder, path, (int)len, name);
        *shared = (size_t)n;
        snprintf(stem + n, size - (size_t)n, "%ld-", (long)getpid());
    }
    return stem;
}

typedef char temporary_name[NAME_PART + 64]; /* relative to the folder */

/* The name of temporary `index` of the output. */
static const char *temporary(const wm_output *o, size_t index, temporary_name name)
{
    const char *stem = name_of(o->stem);
    size_t len = strlen(stem); /* below NAME_PART + 40 */
    memcpy(name, stem, len);
    return add_number(name, len, o->first + (unsigned)index);
}

/* Names the part that an error is about. */
static bool error_part(const wm_output *o, size_t part, wmap_error *err)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%.*s%s", (int)folder_len(o->path), o->path, part_name(o, part));
    return wm_error_file(err, path);
}

static bool fail_part(const wm_output *o, size_t part, int number, const char *what, wmap_error *err)
{
    wm_fail_errno(err, WMAP_E_IO, number, "%s", what);
    return error_part(o, part, err);
}

static bool refuse_part(const wm_output *o, size_t part, const char *why, wmap_error *err)
{
    wm_fail(err, WMAP_E_USAGE, "%s", why);
    return error_part(o, part, err);
}

static bool fail_path(const wm_output *o, int number, const char *what, wmap_error *err)
{
    wm_fail_errno(err, WMAP_E_IO, number, "%s", what);
    return wm_error_file(err, o->path);
}

static bool no_memory(wmap_error *err)
{
    return wm_fail(err, WMAP_E_NOMEM, "out of memory");
}

/* ---- may it take its names? ---- */

static bool check_part(const wm_output *o, size_t part, wmap_error *err)
{
    struct stat st;
    const char *name = part_name(o, part);
    if (fstatat(o->folder, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT || fail_part(o, part, errno, "cannot write there", err);
    /* what a link leads to matters, though the link itself would be replaced */
    if (!S_ISREG(st.st_mode) &&
        !(S_ISLNK(st.st_mode) && (fstatat(o->folder, name, &st, 0) != 0 || S_ISREG(st.st_mode))))
        return refuse_part(o, part, "something stands there that is not a regular file", err);
    return o->force || o->parts[part].role == WM_PART_GUEST ||
           refuse_part(o, part, "the file exists; it is replaced only if that is asked for (--force)", err);
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

/* Those that begin with the first `len` bytes of `prefix`. */
static void remove_stale(int folder, const char *prefix, size_t len)
{
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

static void remove_temporaries(const wm_output *o)
{
    temporary_name name;
    for (size_t i = 0; i < o->count; i++)
        if (o->fds[i] >= 0)
            unlinkat(o->folder, temporary(o, i, name), 0);
}

/* Closes what was opened. */
static void close_parts(wm_output *o)
{
    for (size_t i = 0; i < o->count; i++) {
        if (o->fds[i] >= 0)
            close(o->fds[i]);
        o->fds[i] = -1;
    }
}

/* New locked files of names that were free. 1 if all are there, 0 if a name was not free, -1 with `err`. */
static int try_numbers(wm_output *o, wmap_error *err)
{
    temporary_name name;
    for (size_t i = 0; i < o->count; i++) {
        struct stat st;
        if (o->parts[i].role == WM_PART_GONE)
            continue;
        o->fds[i] =
            openat(o->folder, temporary(o, i, name), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, (mode_t)0666);
        if (o->fds[i] < 0 && errno == EEXIST)
            return 0;
        if (o->fds[i] < 0) {
            fail_part(o, i, errno, "cannot create a file in its folder", err);
            return -1;
        }
        /* Another run may have taken it for stale before it was locked. Where there are no locks, we go
         * without. */
        bool ours = flock(o->fds[i], LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
        if (ours && fstat(o->fds[i], &st) != 0) {
            fail_part(o, i, errno, "cannot look at a file in its folder", err);
            return -1;
        }
        if (!ours || st.st_nlink == 0) {
            close(o->fds[i]); /* not ours to remove */
            o->fds[i] = -1;
            return 0;
        }
    }
    return 1;
}

/* Each part has a number, and a second one for what stood at its place before. */
static bool create(wm_output *o, wmap_error *err)
{
    static _Atomic unsigned counter;
    if (o->count > UINT32_MAX / 4)
        return wm_fail(err, WMAP_E_INTERNAL, "an output of too many files");
    for (int attempt = 0; attempt < 1000; attempt++) {
        o->first = atomic_fetch_add(&counter, 2 * (unsigned)o->count);
        o->slot = slot_take(o->stem, o->first, 2 * o->count);
        int result = try_numbers(o, err);
        if (result > 0)
            return true;
        remove_temporaries(o);
        close_parts(o);
        slot_give(o->slot);
        o->slot = -1;
        if (result < 0)
            return false;
    }
    return fail_path(o, EEXIST, "cannot create a file in its folder", err);
}

/* Room for all of it now: a full disk is found before the work, and the file lies in one piece. */
static bool reserve(const wm_output *o, size_t part, wmap_error *err)
{
    int result = 0, number = 0;
    uint64_t size = o->parts[part].size;
    if (size > INT64_MAX)
        return fail_part(o, part, EFBIG, "cannot make it that large", err);
    if (size == 0 || o->fds[part] < 0)
        return true;
    do {
        result = fallocate(o->fds[part], 0, 0, (off_t)size);
        number = errno;
    } while (result != 0 && number == EINTR);
    if (result != 0 && (number == EOPNOTSUPP || number == ENOSYS || number == EINVAL)) {
        result = ftruncate(o->fds[part], (off_t)size);
        number = errno;
    }
    return result == 0 || fail_part(o, part, number, "cannot make room for it", err);
}

static bool open_folder(wm_output *o, wmap_error *err)
{
    char *folder = folder_len(o->path) ? strndup(o->path, folder_len(o->path)) : strdup(".");
    if (!folder)
        return no_memory(err);
    bool ok = true;
    if (o->make_folder) {
        o->made = mkdir(folder, 0777) == 0;
        ok = o->made || errno == EEXIST || fail_path(o, errno, "cannot make its folder", err);
    }
    if (ok) {
        o->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        ok = o->folder >= 0 || fail_path(o, errno, "cannot open its folder", err);
        if (!ok && o->made)
            rmdir(folder);
    }
    free(folder);
    return ok;
}

static bool open_files(wm_output *o, wmap_error *err)
{
    size_t shared;
    if (!*name_of(o->path)) {
        wm_fail(err, WMAP_E_USAGE, "the output is not the name of a file");
        return wm_error_file(err, o->path);
    }
    if (!open_folder(o, err))
        return false;
    for (size_t i = 0; i < o->count; i++)
        if (!check_part(o, i, err))
            return false;
    o->stem = temporary_stem(o->path, &shared);
    if (!o->stem)
        return no_memory(err);
    remove_stale(o->folder, name_of(o->stem), shared - folder_len(o->stem));
    return create(o, err);
}

static bool open_standard(wm_output *o, wmap_error *err)
{
    if (o->count != 1)
        return wm_fail(err, WMAP_E_USAGE, "a set of %zu files cannot go to standard output", o->count);
    o->fds[0] = wm_spool_new(err);
    return o->fds[0] >= 0;
}

bool wm_output_open(wm_output *o, const wm_part *parts, size_t count, wmap_error *err)
{
    o->parts = parts;
    o->count = count;
    o->folder = o->slot = -1;
    o->made = false;
    o->stem = NULL;
    o->fds = calloc(count ? count : 1, sizeof *o->fds);
    if (!o->fds)
        return no_memory(err);
    for (size_t i = 0; i < count; i++)
        o->fds[i] = -1;
    bool ok = strcmp(o->path, "-") == 0 ? open_standard(o, err) : open_files(o, err);
    for (size_t i = 0; ok && i < count; i++)
        ok = reserve(o, i, err);
    if (!ok)
        wm_output_abandon(o);
    return ok;
}

bool wm_output_put(const wm_output *o, uint32_t part, uint64_t offset, const void *bytes, uint64_t size,
                   wmap_error *err)
{
    const uint8_t *at = bytes;
    if (part >= o->count || o->fds[part] < 0 || offset > o->parts[part].size ||
        size > o->parts[part].size - offset)
        return wm_fail(err, WMAP_E_INTERNAL, "bytes beyond the end of the file that was laid out");
    while (size) {
        ssize_t n = pwrite(o->fds[part], at, size < WRITE_MOST ? (size_t)size : WRITE_MOST, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return fail_part(o, part, n < 0 ? errno : EIO, "cannot write", err);
        at += n;
        offset += (uint64_t)n;
        size -= (uint64_t)n;
    }
    return true;
}

/* ---- end ---- */

static void close_all(wm_output *o)
{
    close_parts(o);
    if (o->folder >= 0)
        close(o->folder);
    slot_give(o->slot);
    free(o->stem);
    free(o->fds);
    o->fds = NULL;
    o->stem = NULL;
    o->folder = o->slot = -1;
    o->count = 0;
}

void wm_output_abandon(wm_output *o)
{
    if (o->stem)
        remove_temporaries(o);
    if (o->made) {
        char *folder = strndup(o->path, folder_len(o->path));
        if (folder)
            rmdir(folder); /* if somebody put something into it meanwhile, it stays */
        free(folder);
    }
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

static bool standard_error(wmap_error *err, int number, const char *what)
{
    wm_fail_errno(err, WMAP_E_IO, number, "%s", what);
    return wm_error_file(err, "standard output");
}

static bool send_out(const wm_output *o, wmap_error *err)
{
    uint8_t *chunk = malloc(COPY_CHUNK);
    bool ok = chunk || no_memory(err);
    for (uint64_t at = 0, size = o->parts[0].size; ok && at < size;) {
        uint64_t left = size - at;
        size_t want = left < COPY_CHUNK ? (size_t)left : COPY_CHUNK;
        int64_t n = wm_pread(o->fds[0], chunk, want, at);
        if (n != (int64_t)want)
            ok = standard_error(err, n < 0 ? errno : EIO, "cannot read back what was spooled");
        else if (!write_all(STDOUT_FILENO, chunk, want))
            ok = standard_error(err, errno, "cannot write");
        at += want;
    }
    free(chunk);
    return ok;
}

/* A rename that fails with EEXIST if something stands there. */
static bool rename_free(int folder, const char *from, const char *to)
{
    if (renameat2(folder, from, folder, to, RENAME_NOREPLACE) == 0)
        return true;
    if (errno != EINVAL && errno != ENOSYS)
        return false;
    if (linkat(folder, from, folder, to, 0) != 0) /* a file system that can't: link can */
        return false;
    unlinkat(folder, from, 0);
    return true;
}

/* How far a part came. Those that had to be changed can go back while the set is not complete. */
typedef enum step {
    STEP_NONE,
    STEP_NAMED,   /* it has its name, which was free */
    STEP_SWAPPED, /* it has its name, and what stood there has the temporary's */
    STEP_LOST     /* it has its name, and what stood there is gone */
} step;

typedef struct placing {
    wm_output *o;
    step *steps;
    bool *aside; /* what stood at the part's place has the second temporary name */
} placing;

/* Gives a temporary its name. A file alone replaces at once what stands there; one of a set swaps with it, so
 * that it can come back. */
static bool take_name(placing *p, size_t part, wmap_error *err)
{
    const wm_output *o = p->o;
    temporary_name from;
    const char *to = part_name(o, part);
    temporary(o, part, from);
    if (o->force && o->parts[part].role != WM_PART_GUEST) {
        struct stat st;
        bool there = fstatat(o->folder, to, &st, AT_SYMLINK_NOFOLLOW) == 0;
        if (there && S_ISDIR(st.st_mode))
            return fail_part(o, part, EISDIR, "cannot give it its name", err); /* a swap could */
        if (there && S_ISREG(st.st_mode) && fchmod(o->fds[part], st.st_mode & 0777) != 0 && errno != EPERM)
            return fail_part(o, part, errno, "cannot give it the mode of the file that stands there", err);
        bool swap = o->count > 1 && o->parts[part].role == WM_PART_DATA;
        if (swap && renameat2(o->folder, from, o->folder, to, RENAME_EXCHANGE) == 0)
            p->steps[part] = STEP_SWAPPED;
        else if (o->count > 1 && rename_free(o->folder, from, to))
            p->steps[part] = STEP_NAMED;
        else if (renameat(o->folder, from, o->folder, to) == 0)
            p->steps[part] = STEP_LOST;
        else
            return fail_part(o, part, errno, "cannot give it its name", err);
        return true;
    }
    if (rename_free(o->folder, from, to)) {
        p->steps[part] = STEP_NAMED;
        return true;
    }
    if (errno != EEXIST)
        return fail_part(o, part, errno, "cannot give it its name", err);
    if (o->parts[part].role == WM_PART_GUEST)
        return true; /* its temporary is removed at the end */
    return refuse_part(o, part, "the file was made by somebody else meanwhile; it is left as it is", err);
}

/* Puts away what would make an old set of new files, or be taken for the new set. */
static bool put_aside(placing *p, wmap_error *err)
{
    const wm_output *o = p->o;
    temporary_name to;
    for (size_t i = 0; i < o->count; i++) {
        wm_part_role role = o->parts[i].role;
        if (o->count == 1 || !o->force || (role != WM_PART_ENTRY && role != WM_PART_GONE))
            continue;
        p->aside[i] = renameat(o->folder, part_name(o, i), o->folder, temporary(o, o->count + i, to)) == 0;
        if (!p->aside[i] && errno != ENOENT)
            return fail_part(o, i, errno, "cannot replace it", err);
    }
    return true;
}

static bool sync_folder(const wm_output *o, int folder, const char *failure, wmap_error *err)
{
    /* some file systems have no folders to sync */
    return o->no_sync || fsync(folder) == 0 || errno == EINVAL || errno == ENOTSUP ||
           fail_path(o, errno, failure, err);
}

static bool take_names(placing *p, wmap_error *err)
{
    const wm_output *o = p->o;
    for (size_t i = 0; i < o->count; i++) {
        if (o->parts[i].role == WM_PART_GONE)
            continue;
        if (o->count > 1 && o->parts[i].role == WM_PART_ENTRY &&
            !sync_folder(o, o->folder, "its folder cannot be synced", err))
            return false;
        if (!take_name(p, i, err))
            return false;
    }
    return true;
}

/* Gives what stood at a place its name again, by a link where renaming fails. */
static void bring_back(int folder, const char *from, const char *name)
{
    if (renameat(folder, from, folder, name) == 0)
        return;
    unlinkat(folder, name, 0);
    if (linkat(folder, from, folder, name, 0) == 0)
        unlinkat(folder, from, 0);
}

/* Back to how things were, as far as that can be. */
static void take_back(const placing *p)
{
    const wm_output *o = p->o;
    temporary_name name;
    for (size_t i = o->count; i-- > 0;) {
        if (p->steps[i] == STEP_SWAPPED)
            bring_back(o->folder, temporary(o, i, name), part_name(o, i));
        else if (p->steps[i] == STEP_NAMED)
            unlinkat(o->folder, part_name(o, i), 0);
        if (p->aside[i])
            bring_back(o->folder, temporary(o, o->count + i, name), part_name(o, i));
    }
}

/* Temporary names that are left: what was replaced, and guests that were not needed. */
static void sweep(const placing *p)
{
    const wm_output *o = p->o;
    temporary_name name;
    for (size_t i = 0; i < o->count; i++) {
        bool left = o->fds[i] >= 0 && (p->steps[i] == STEP_NONE || p->steps[i] == STEP_SWAPPED);
        if (left)
            unlinkat(o->folder, temporary(o, i, name), 0);
        if (p->aside[i])
            unlinkat(o->folder, temporary(o, o->count + i, name), 0);
    }
}

static bool place(wm_output *o, wmap_error *err)
{
    placing p = {o, calloc(o->count, sizeof *p.steps), calloc(o->count, sizeof *p.aside)};
    bool ok = (p.steps && p.aside) || no_memory(err);
    if (ok) {
        ok = put_aside(&p, err) && take_names(&p, err);
        if (ok) {
            sweep(&p);
        } else {
            take_back(&p);
        }
    }
    free(p.steps);
    free(p.aside);
    return ok;
}

/* What closing a part has to say (a full disk of a server). The part itself stays open, for its lock. */
static bool closes_well(const wm_output *o, size_t part, wmap_error *err)
{
    int twin = dup(o->fds[part]);
    return (twin >= 0 && close(twin) == 0) || fail_part(o, part, errno, "cannot close it", err);
}

bool wm_output_commit(wm_output *o, wmap_error *err)
{
    bool ok = true;
    if (!o->stem) {
        ok = send_out(o, err);
        close_all(o);
        return ok;
    }
    /* A failed fsync is final: the kernel may have dropped the pages, and a second one would succeed. */
    for (size_t i = 0; ok && !o->no_sync && i < o->count; i++)
        ok = o->fds[i] < 0 || fsync(o->fds[i]) == 0 ||
             fail_part(o, i, errno, "cannot sync it to the disk", err);
    for (size_t i = 0; ok && i < o->count; i++)
        ok = o->fds[i] < 0 || closes_well(o, i, err);
    if (!ok || !place(o, err)) {
        wm_output_abandon(o);
        return false;
    }
    slot_give(o->slot); /* the names are no temporaries' any more */
    o->slot = -1;
    static const char failure[] = "it is complete, but its folder cannot be synced";
    ok = sync_folder(o, o->folder, failure, err);
    int parent = ok && o->made ? openat(o->folder, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (parent >= 0) {
        ok = sync_folder(o, parent, failure, err);
        close(parent);
    }
    close_all(o);
    return ok;
}

bool wmap_plan_write(const char *path, const uint8_t *bytes, size_t size, bool force, wmap_error *err)
{
    wm_output o = {.path = path, .force = force};
    wm_part part = {.size = size};
    if (!wm_output_open(&o, &part, 1, err))
        return false;
    if (wm_output_put(&o, 0, 0, bytes, size, err))
        return wm_output_commit(&o, err);
    wm_output_abandon(&o);
    return false;
}
