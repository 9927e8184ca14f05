/* archive.h: what the fuzz targets of file formats share: opens the bytes as a weight file and reads every
 * tensor. */
#ifndef WM_FUZZ_ARCHIVE_H
#define WM_FUZZ_ARCHIVE_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/archive.h"
#include "runtime/base/dtype.h"

#define FUZZ_TENSOR_MAX ((uint64_t)4 << 20) /* larger ones are listed, not read */

/* Reads the elements at the ends of every dimension: the window that wm_entry_check promised. */
static inline uint64_t fuzz_touch(const wmap_tensor *t, const wm_view *view)
{
    uint64_t sum = 0, last = 0, step = 1;
    for (uint32_t d = t->rank; d-- > 0;) {
        if (t->shape[d] == 0)
            return 0;
        last += (t->shape[d] - 1) * (view->strides ? (uint64_t)view->strides[d] : step);
        step *= t->shape[d];
    }
    uint32_t size = wmap_dtype_size(t->dtype);
    for (uint32_t i = 0; i < size; i++)
        sum += view->bytes[i] + (uint64_t)view->bytes[last * size + i];
    return sum;
}

/* The lowest descriptor that is free. */
static inline int fuzz_free_descriptor(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(fd);
    return fd;
}

/* Opens a path and reads every tensor. */
static inline void fuzz_archive_at(const char *path)
{
    wmap_error err = {0};
    int free_before = fuzz_free_descriptor();
    wmap_archive *archive = wmap_archive_open(path, &err);
    if (!archive && (err.code == WMAP_OK || !err.message[0] || !err.file[0]))
        abort();
    volatile uint64_t sum = 0;
    for (size_t i = 0; archive && i < wmap_archive_count(archive) && i < 64; i++) {
        const wmap_tensor *t = wmap_archive_tensor(archive, i);
        uint64_t bytes;
        wm_view view;
        if (!wmap_tensor_bytes(t, &bytes) || wm_map_get(&archive->names, t->name, t->name_len) != i)
            abort();
        if (bytes <= FUZZ_TENSOR_MAX && wm_archive_view(archive, i, &view, &err))
            sum += fuzz_touch(t, &view);
        wm_archive_forget(archive, i);
    }
    wmap_archive_close(archive);
    if (fuzz_free_descriptor() != free_before)
        abort();
}

static inline void fuzz_archive(const uint8_t *data, size_t size)
{
    char path[64];
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    fuzz_archive_at(path);
    close(fd);
}

#endif
