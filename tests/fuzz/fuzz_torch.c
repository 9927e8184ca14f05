/* Fuzz target: the pickle of a torch file. The input is data.pkl; the zip around it, with three storages of
 * 64 zero bytes, is made here, so that the fuzzer need not find CRCs. Whatever is listed is read to its last
 * byte. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <zlib.h>

#include "runtime/formats/zip.h"
#include "tests/fuzz/archive.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

typedef struct memory_writer {
    wm_writer writer;
    uint64_t size;
    uint8_t *bytes;
} memory_writer;

static bool put(wm_writer *writer, uint32_t part, uint64_t offset, const void *bytes, size_t size,
                wmap_error *err)
{
    (void)err;
    (void)part;
    if (size)
        memcpy(((memory_writer *)writer)->bytes + offset, bytes, size);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
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
    memory_writer f = {.writer = {.put = put}};
    for (size_t i = 0; i < COUNT; i++) {
        members[i].name = records[i].name;
        members[i].name_len = strlen(records[i].name);
        members[i].size = records[i].size;
        members[i].crc32 = (uint32_t)crc32_z(0, records[i].bytes, records[i].size);
    }
    if (!wm_zip_layout(members, COUNT, &f.size, NULL))
        abort();
    f.bytes = calloc(1, (size_t)f.size);
    if (!f.bytes)
        return 0;
    for (size_t i = 0; i < COUNT; i++)
        put(&f.writer, 0, members[i].data, records[i].bytes, records[i].size, NULL);
    if (!wm_zip_finish(&f.writer, 0, members, COUNT, NULL))
        abort();
    fuzz_archive(f.bytes, (size_t)f.size);
    free(f.bytes);
    return 0;
}
