/* fuzz_keras.c: what the program wmap-hdf5 answers, which a hostile file may have made it say: the frames,
 * and Keras' order over them. Seeds are the answers for files of tests/data/keras. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/formats/keras.h"

#define FILE_SIZE ((uint64_t)1 << 20) /* of the file that the answer is about */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Entries must lie in the file, or be for the decoder. */
static void check(const wmap_archive *archive, uint64_t base, uint64_t length)
{
    for (size_t i = 0; i < archive->entry_count; i++) {
        const wm_entry *e = &archive->entries[i];
        uint64_t bytes;
        if (e->direct && (!wmap_tensor_bytes(&e->tensor, &bytes) || e->offset < base ||
                          e->offset > base + length || bytes > base + length - e->offset))
            abort();
        if (wm_map_get(&archive->names, e->tensor.name, e->tensor.name_len) != i)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    wm_arena scratch;
    wm_hdf5_listing listing;
    wmap_error err = {0};
    wmap_archive *archive = calloc(1, sizeof *archive);
    if (!archive)
        return 0;
    wm_file file = {.path = "fuzz.h5", .fd = -1, .size = FILE_SIZE};
    archive->path = file.path;
    archive->files = &file;
    archive->file_count = archive->file_cap = 1;
    wm_arena_init(&scratch);
    wm_arena_init(&archive->arena);
    wm_map_init(&archive->names, &archive->arena, 0);
    bool ok = wm_hdf5_parse(data, size, &scratch, &listing, &err);
    wm_keras_part part = {.base = 512, .length = FILE_SIZE - 1024};
    if (ok && wm_keras_add(archive, &listing, &part, &err)) {
        check(archive, 512, FILE_SIZE - 1024);
        if (archive->entry_count != listing.item_count)
            abort();
    } else if (err.code == WMAP_OK)
        abort();
    wm_arena_release(&scratch);
    wm_arena_release(&archive->arena);
    free(archive);
    return 0;
}
