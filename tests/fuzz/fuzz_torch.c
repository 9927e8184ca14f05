/* Fuzz target: the pickle of a torch file. The input is data.pkl; the zip around it, with three storages of
 * 64 zero bytes, is made here, so that the fuzzer need not find CRCs. Whatever is listed is read to its last
 * byte. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include "runtime/archive.h"
#include "runtime/formats/zip.h"
#include "wmap/archive.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

typedef struct file_writer {
    wm_writer writer;
    int fd;
} file_writer;

static bool put(wm_writer *writer, uint64_t offset, const void *bytes, size_t size, wmap_error *err)
{
    (void)err;
    if (pwrite(((file_writer *)writer)->fd, bytes, size, (off_t)offset) != (ssize_t)size)
        abort();
    return true;
}

static void make_file(int fd, const uint8_t *bytes, size_t size)
{
    static const char zeros[64];
    const struct {
        const char *name;
        const void *bytes;
        size_t size;
    } records[] = {
        {"a/data.pkl", bytes, size},       {"a/byteorder", size % 2 ? "big" : "little", size % 2 ? 3 : 6},
        {"a/data/0", zeros, sizeof zeros}, {"a/data/1", zeros, sizeof zeros},
        {"a/data/2", zeros, sizeof zeros}, {"a/version", "3\n", 2}};
    enum { COUNT = sizeof records / sizeof *records };
    wm_zip_out members[COUNT] = {{0}};
    file_writer f = {.writer = {.put = put}, .fd = fd};
    for (size_t i = 0; i < COUNT; i++) {
        members[i].name = records[i].name;
        members[i].name_len = strlen(records[i].name);
        members[i].size = records[i].size;
        members[i].crc32 = (uint32_t)crc32_z(0, records[i].bytes, records[i].size);
    }
    if (!wm_zip_layout(members, COUNT, &f.writer.size, NULL))
        abort();
    for (size_t i = 0; i < COUNT; i++)
        put(&f.writer, members[i].data, records[i].bytes, records[i].size, NULL);
    if (!wm_zip_finish(&f.writer, members, COUNT, NULL))
        abort();
}

/* Reads the first and the last element that a view promises. */
static uint64_t touch(wmap_archive *archive, size_t index)
{
    const wmap_tensor *tensor = wmap_archive_tensor(archive, index);
    uint32_t width = wmap_dtype_size(tensor->dtype);
    uint64_t count = 1, at = 0, sum = 0, next = 1;
    wm_view view;
    for (uint32_t d = 0; d < tensor->rank; d++)
        if (__builtin_mul_overflow(count, tensor->shape[d], &count))
            return 0;
    /* An expanded tensor may have any number of elements, all of them the same. */
    if (!width || !count || count > 1 << 16 || !wm_archive_view(archive, index, &view, NULL))
        return 0;
    for (uint32_t d = tensor->rank; d-- > 0;) {
        at += (tensor->shape[d] - 1) * (view.strides ? (uint64_t)view.strides[d] : next);
        next *= tensor->shape[d];
    }
    for (uint32_t b = 0; b < width; b++)
        sum += (uint64_t)view.bytes[b] + view.bytes[at * width + b];
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static volatile uint64_t sink;
    int fd = memfd_create("torch", MFD_CLOEXEC);
    if (fd < 0)
        return 0;
    make_file(fd, bytes, size);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    wmap_error err = {0};
    wmap_archive *archive = wmap_archive_open(path, &err);
    if (!archive && (err.code == WMAP_OK || !err.message[0]))
        abort();
    for (size_t i = 0; archive && i < wmap_archive_count(archive) && i < 64; i++)
        sink += touch(archive, i);
    wmap_archive_close(archive);
    close(fd);
    return 0;
}
