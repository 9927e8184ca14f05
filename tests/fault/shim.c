/* shim.c: a preloaded library that makes calls of the C library fail, for drive.c. What to do is in
 * WMAP_FAULT:
 *
 *     PROGRAM CLASS FROM COUNT NUMBER
 *
 * In the program of that name, calls FROM, FROM + 1, ... of the class (from 1, COUNT of them) fail with errno
 * NUMBER. The class `short` fails nothing: reads and writes move at most COUNT bytes, and every FROM-th call
 * of them is interrupted first. The number of calls of the class is written to the file that WMAP_FAULT_COUNT
 * names. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum class { NONE, ALLOC, OPEN, READ, WRITE, SYNC, CLOSE, RENAME, ROOM, STAT, MAP, THREAD, SHORT, CLASSES };

static const char *const names[CLASSES] = {"none",   "alloc", "open", "read", "write",  "sync", "close",
                                           "rename", "room",  "stat", "map",  "thread", "short"};

static enum class active;
static long from, count, number;
static atomic_long calls;

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t align, size_t size);

__attribute__((constructor)) static void begin(void)
{
    const char *text = getenv("WMAP_FAULT");
    char program[32], name[16];
    if (!text || sscanf(text, "%31s %15s %ld %ld %ld", program, name, &from, &count, &number) != 5 ||
        strcmp(program, program_invocation_short_name) != 0)
        return;
    for (int i = NONE + 1; i < CLASSES; i++)
        if (strcmp(name, names[i]) == 0)
            active = (enum class)i;
}

__attribute__((destructor)) static void end(void)
{
    const char *path = active != NONE ? getenv("WMAP_FAULT_COUNT") : NULL;
    char text[32];
    long fd;
    if (!path)
        return;
    int len = snprintf(text, sizeof text, "%ld\n", atomic_load(&calls));
    fd = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (fd >= 0) {
        syscall(SYS_write, (int)fd, text, (size_t)len);
        syscall(SYS_close, (int)fd);
    }
}

static bool fails(enum class what)
{
    if (active != what)
        return false;
    long call = atomic_fetch_add(&calls, 1) + 1;
    if (from <= 0 || call < from || call - from >= count)
        return false;
    errno = (int)number;
    return true;
}

/* How many bytes a call may move; 0: it is interrupted. */
static size_t allowed(size_t size)
{
    if (active != SHORT)
        return size;
    if (atomic_fetch_add(&calls, 1) % from == 0) {
        errno = EINTR;
        return 0;
    }
    return size < (size_t)count ? size : (size_t)count;
}

/* The function that this library stands before. */
#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

void *malloc(size_t size)
{
    return fails(ALLOC) ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    return fails(ALLOC) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *old, size_t size)
{
    return fails(ALLOC) ? NULL : __libc_realloc(old, size);
}

void *reallocarray(void *old, size_t n, size_t size)
{
    size_t all;
    if (__builtin_mul_overflow(n, size, &all)) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(old, all);
}

int posix_memalign(void **out, size_t align, size_t size)
{
    if (fails(ALLOC))
        return ENOMEM;
    *out = __libc_memalign(align, size);
    return *out ? 0 : ENOMEM;
}

static mode_t mode_of(int flags, va_list args)
{
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
}

int open64(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = mode_of(flags, args);
    va_end(args);
    return fails(OPEN) ? -1 : (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int openat64(int folder, const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = mode_of(flags, args);
    va_end(args);
    return fails(OPEN) ? -1 : (int)syscall(SYS_openat, folder, path, flags, mode);
}

FILE *fopen64(const char *path, const char *mode)
{
    return fails(OPEN) ? NULL : NEXT(fopen64)(path, mode);
}

int mkostemp64(char *template, int flags)
{
    return fails(OPEN) ? -1 : NEXT(mkostemp64)(template, flags);
}

ssize_t read(int fd, void *buffer, size_t size)
{
    size_t n = allowed(size);
    return fails(READ) || (!n && size) ? -1 : syscall(SYS_read, fd, buffer, n);
}

ssize_t pread64(int fd, void *buffer, size_t size, off64_t offset)
{
    size_t n = allowed(size);
    return fails(READ) || (!n && size) ? -1 : syscall(SYS_pread64, fd, buffer, n, offset);
}

ssize_t write(int fd, const void *buffer, size_t size)
{
    size_t n = allowed(size);
    return fails(WRITE) || (!n && size) ? -1 : syscall(SYS_write, fd, buffer, n);
}

ssize_t pwrite64(int fd, const void *buffer, size_t size, off64_t offset)
{
    size_t n = allowed(size);
    return fails(WRITE) || (!n && size) ? -1 : syscall(SYS_pwrite64, fd, buffer, n, offset);
}

int fsync(int fd)
{
    return fails(SYNC) ? -1 : (int)syscall(SYS_fsync, fd);
}

/* Whatever it says, the descriptor is closed. */
int close(int fd)
{
    int keep = errno;
    bool failed = fails(CLOSE);
    int number_now = errno, result = (int)syscall(SYS_close, fd);
    if (!failed) {
        errno = result ? errno : keep;
        return result;
    }
    errno = number_now;
    return -1;
}

int rename(const char *old, const char *new)
{
    return fails(RENAME) ? -1 : (int)syscall(SYS_renameat2, AT_FDCWD, old, AT_FDCWD, new, 0);
}

int renameat(int from_folder, const char *old, int to_folder, const char *new)
{
    return fails(RENAME) ? -1 : (int)syscall(SYS_renameat2, from_folder, old, to_folder, new, 0);
}

int renameat2(int from_folder, const char *old, int to_folder, const char *new, unsigned flags)
{
    return fails(RENAME) ? -1 : (int)syscall(SYS_renameat2, from_folder, old, to_folder, new, flags);
}

int link(const char *old, const char *new)
{
    return fails(RENAME) ? -1 : (int)syscall(SYS_linkat, AT_FDCWD, old, AT_FDCWD, new, 0);
}

int linkat(int from_folder, const char *old, int to_folder, const char *new, int flags)
{
    return fails(RENAME) ? -1 : (int)syscall(SYS_linkat, from_folder, old, to_folder, new, flags);
}

int fallocate64(int fd, int mode, off64_t offset, off64_t size)
{
    return fails(ROOM) ? -1 : (int)syscall(SYS_fallocate, fd, mode, offset, size);
}

int ftruncate64(int fd, off64_t size)
{
    return fails(ROOM) ? -1 : (int)syscall(SYS_ftruncate, fd, size);
}

int fstat64(int fd, struct stat64 *out)
{
    return fails(STAT) ? -1 : NEXT(fstat64)(fd, out);
}

int stat64(const char *path, struct stat64 *out)
{
    return fails(STAT) ? -1 : NEXT(stat64)(path, out);
}

void *mmap64(void *at, size_t size, int protection, int flags, int fd, off64_t offset)
{
    return fails(MAP) ? MAP_FAILED : NEXT(mmap64)(at, size, protection, flags, fd, offset);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *),
                   void *argument)
{
    return fails(THREAD) ? EAGAIN : NEXT(pthread_create)(thread, attributes, start, argument);
}
