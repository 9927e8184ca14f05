/* spool.c: unlinked temporary files. */
#include "runtime/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CHUNK     ((size_t)256 << 10)
#define READ_MOST ((size_t)1 << 30) /* Linux moves at most 2 GiB a call */

static const char *folder(void)
{
    const char *dir = getenv("TMPDIR");
    return dir && dir[0] ? dir : "/var/tmp";
}

int wm_spool_new(wmap_error *err)
{
    const char *dir = folder();
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        return fd;
    /* Not every file system knows O_TMPFILE. */
    char path[4096];
    int len = snprintf(path, sizeof path, "%s/wmap-XXXXXX", dir);
    if (len > 0 && (size_t)len < sizeof path)
        fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0) {
        wm_fail_errno(err, WMAP_E_IO, errno, "cannot create a temporary file");
        wm_error_file(err, dir);
        return -1;
    }
    unlink(path);
    return fd;
}

static bool append(int fd, const uint8_t *bytes, size_t size, wmap_error *err)
{
    while (size) {
        ssize_t n = write(fd, bytes, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            wm_fail_errno(err, WMAP_E_IO, errno, "cannot write a temporary file");
            return wm_error_file(err, folder());
        }
        bytes += n;
        size -= (size_t)n;
    }
    return true;
}

int wm_spool_from(int from, wmap_error *err)
{
    int fd = wm_spool_new(err);
    uint8_t *chunk = malloc(CHUNK);
    bool ok = fd >= 0 && (chunk || wm_fail(err, WMAP_E_NOMEM, "out of memory"));
    while (ok) {
        ssize_t n = read(from, chunk, CHUNK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            break;
        ok = n > 0 ? append(fd, chunk, (size_t)n, err) : wm_fail_errno(err, WMAP_E_IO, errno, "cannot read");
    }
    free(chunk);
    if (!ok && fd >= 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static bool put(wm_sink *sink, const void *bytes, size_t size, wmap_error *err)
{
    wm_spool *spool = (wm_spool *)sink;
    if (size > spool->limit - spool->size)
        return wm_fail(err, WMAP_E_CORRUPT, "more data than its shape needs");
    spool->size += size;
    return append(spool->fd, bytes, size, err);
}

wm_spool wm_spool_of(int fd, uint64_t limit)
{
    return (wm_spool){{put}, fd, 0, limit};
}

int64_t wm_pread(int fd, void *buffer, size_t size, uint64_t offset)
{
    size_t done = 0;
    if (offset > (uint64_t)INT64_MAX - size) {
        errno = EINVAL;
        return -1;
    }
    while (done < size) {
        size_t most = size - done < READ_MOST ? size - done : READ_MOST;
        ssize_t n = pread(fd, (uint8_t *)buffer + done, most, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (int64_t)done;
}
