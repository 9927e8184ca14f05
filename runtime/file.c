/* file.c: opening the files of archives, once or again. */
#include "runtime/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/spool.h"

bool wm_file_open(const char *path, wm_file *file, wmap_error *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        return wm_fail_errno(err, WMAP_E_IO, errno, "cannot open");
    }
    bool named = true, ok = fstat(fd, &st) == 0 || wm_fail_errno(err, WMAP_E_IO, errno, "cannot look at it");
    if (ok && S_ISDIR(st.st_mode))
        ok = wm_fail(err, WMAP_E_NOT_WEIGHTS,
                     "this is a folder, and holds no set of weight files that wmap finds by itself; name one "
                     "file in it");
    else if (ok && S_ISFIFO(st.st_mode)) {
        int flags = fcntl(fd, F_GETFL);
        int spool = flags >= 0 && fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) == 0 ? wm_spool_from(fd, err) : -1;
        close(fd);
        if (spool < 0 || fstat(spool, &st) != 0)
            ok = false;
        fd = spool;
        named = false;
    } else if (ok && !S_ISREG(st.st_mode))
        ok = wm_fail(err, WMAP_E_IO, "this is a device or a socket, not a file");
    if (ok) {
        *file = (wm_file){.fd = fd,
                          .size = (uint64_t)st.st_size,
                          .named = named,
                          .device = st.st_dev,
                          .inode = st.st_ino,
                          .changed = st.st_mtim};
        return true;
    }
    if (fd >= 0)
        close(fd);
    return false;
}

int wm_file_fd(const wm_file *file, wmap_error *err)
{
    wm_file again;
    if (file->fd >= 0)
        return file->fd;
    if (!wm_file_open(file->path, &again, err)) {
        wm_error_file(err, file->path);
        return -1;
    }
    if (again.named && again.device == file->device && again.inode == file->inode &&
        again.size == file->size && again.changed.tv_sec == file->changed.tv_sec &&
        again.changed.tv_nsec == file->changed.tv_nsec)
        return again.fd;
    close(again.fd);
    wm_fail(err, WMAP_E_CORRUPT, "the file was replaced or changed after its header was read");
    wm_error_file(err, file->path);
    return -1;
}

void wm_file_done(const wm_file *file, int fd)
{
    if (fd != file->fd)
        close(fd);
}

int64_t wm_file_read(const wm_file *file, void *buffer, size_t size, uint64_t offset, wmap_error *err)
{
    int fd = wm_file_fd(file, err);
    if (fd < 0)
        return -1;
    int64_t got = wm_pread(fd, buffer, size, offset);
    if (got < 0)
        wm_fail_errno(err, WMAP_E_IO, errno, "cannot read");
    wm_file_done(file, fd);
    return got;
}

void wm_file_rest(wm_file *file)
{
    if (file->named)
        wm_file_close(file);
}

void wm_file_close(wm_file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    file->fd = -1;
}
