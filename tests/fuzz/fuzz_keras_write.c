/* fuzz_keras_write.c: names of tensors, which become groups, lists and attributes of a Keras file; and what
 * the program wmap-hdf5 answers when it made one. What is asked of the program must be what protocol.h says.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/formats/keras.h"
#include "runtime/hdf5/protocol.h"

#define TARGETS 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void skip_string(wm_cursor *c)
{
    wm_take(c, wm_take_u32(c));
}

/* Every target has its dataset, in order; all lists together name each of them at most once. */
static void check(const wm_keras_records *records, const wm_writer *writer)
{
    wm_cursor c = wm_cursor_of(records->bytes, records->size, 0);
    size_t datasets = 0, listed = 0;
    while (wm_cursor_left(&c)) {
        char kind = (char)wm_take_u8(&c);
        size_t len = wm_take_u32(&c);
        const uint8_t *path = wm_take(&c, len);
        if (!path)
            abort();
        if (kind == WM_H5_DATASET) {
            const wmap_tensor *t = &writer->targets[datasets++].tensor;
            if (datasets > writer->count || len != t->name_len || memcmp(path, t->name, len) != 0)
                abort();
            wm_take_u8(&c);
            wm_take(&c, 8 * (size_t)wm_take_u8(&c));
        } else if (kind == WM_H5_TEXT) {
            skip_string(&c);
            skip_string(&c);
        } else if (kind == WM_H5_NAMES) {
            bool layers = wm_cursor_left(&c) > 4 && c.bytes[c.at + 4] == 'l';
            skip_string(&c);
            uint32_t count = wm_take_u32(&c);
            listed += layers ? 0 : count;
            for (uint32_t i = 0; i < count && !c.failed; i++)
                skip_string(&c);
        } else if (kind != WM_H5_GROUP)
            abort();
        if (c.failed)
            abort();
    }
    if (datasets != writer->count || (listed && listed != writer->count))
        abort();
}

static void try_names(const char *text, size_t size)
{
    static const uint64_t shape[33];
    wm_target targets[TARGETS];
    size_t count = 0;
    wm_arena arena;
    wmap_error err = {0};
    wm_arena_init(&arena);
    for (size_t at = 0; at < size && count < TARGETS; count++) {
        const char *end = memchr(text + at, '\n', size - at);
        size_t len = end ? (size_t)(end - text) - at : size - at;
        targets[count] = (wm_target){.tensor = {text + at, len, WMAP_F32, (uint32_t)(len % 34), shape}};
        at += len + 1;
    }
    wm_writer writer = {.path = "", .arena = &arena, .targets = targets, .count = count};
    wm_keras_records records = {0};
    if (wm_keras_records_make(&writer, &records, &err))
        check(&records, &writer);
    else if (err.code != WMAP_E_TARGET)
        abort();
    wm_arena_release(&arena);
}

static void try_config(const char *text, size_t size)
{
    static const char *const groups[] = {"layers/dense/vars", "layers/dense_1/vars",
                                         "layers/sequential/layers/conv2d/vars", "layers/lstm_cell/vars"};
    wm_arena arena;
    wm_hdf5_listing listing;
    wmap_error err;
    static const uint8_t end[] = {WM_H5_END, 0, 0, 0, 0};
    wm_arena_init(&arena);
    if (!wm_hdf5_parse(end, sizeof end, &arena, &listing, &err))
        abort();
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
        wm_map_put(&listing.groups, groups[i], strlen(groups[i]), 0, NULL);
    wm_keras_text config = {text, size};
    if (!wm_keras_read_config(&config, &listing) || listing.list_count > sizeof groups / sizeof *groups)
        abort();
    for (size_t i = 0; i < listing.list_count; i++)
        if (listing.lists[i].count != 1)
            abort();
    wm_arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size && data[0] == 'n')
        try_names((const char *)data + 1, size - 1);
    else if (size && data[0] == 'c')
        try_config((const char *)data + 1, size - 1);
    else if (size) {
        uint64_t *offsets = calloc(data[0] + 1u, sizeof *offsets);
        wmap_error err = {0};
        if (offsets && !wm_hdf5_parse_offsets(data + 1, size - 1, offsets, data[0], &err) &&
            err.code == WMAP_OK)
            abort();
        free(offsets);
    }
    return 0;
}
