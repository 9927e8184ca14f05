/* Fuzz target: the index of a set. Beside it stand two small safetensors files, a and b, with tensors x, y
 * and z. */
#include <fcntl.h>
#include <string.h>

#include "tests/fuzz/archive.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[] = "/tmp/wmap-fuzz-XXXXXX";

static void write_file(const char *name, const void *bytes, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, bytes, size) != (ssize_t)size || close(fd) != 0)
        abort();
}

static void clean(void)
{
    static const char *const names[] = {"a", "b", "i"};
    char path[64];
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

static void make_set(void)
{
    static const char a[] = "\x70\0\0\0\0\0\0\0"
                            "{\"x\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
                            "\"y\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[2,3]}}       abc";
    static const char b[] = "\x38\0\0\0\0\0\0\0"
                            "{\"z\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}  \0\0\0\0";
    if (!mkdtemp(folder))
        abort();
    atexit(clean);
    write_file("a", a, sizeof a - 1);
    write_file("b", b, sizeof b - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    wmap_error err = {0};
    static bool made;
    if (!made)
        make_set();
    made = true;
    write_file("i", data, size);
    snprintf(path, sizeof path, "%s/i", folder);
    wmap_archive *archive = wmap_archive_open(path, &err);
    if (!archive && (err.code == WMAP_OK || !err.message[0] || !err.file[0]))
        abort();
    volatile uint64_t sum = 0;
    for (size_t i = 0; archive && i < wmap_archive_count(archive); i++) {
        wm_view view;
        if (!wm_archive_view(archive, i, &view, &err))
            abort(); /* the files are sound */
        sum += fuzz_touch(wmap_archive_tensor(archive, i), &view);
    }
    wmap_archive_close(archive);
    return 0;
}
