/* Fuzz target: what wmap writes it reads. The input says the format, the size of shards and the targets:
 *
 *     byte: format, byte: shard size / 8, then for each target
 *     byte: dtype, byte: rank % 4, a byte for each extent, byte: length of the name, the name
 *
 * Targets that the format refuses end the run; else the set is written as a run writes it, opened again, and
 * every target must be there, bit by bit. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "runtime/base/cursor.h"
#include "runtime/crc.h"
#include "runtime/output.h"
#include "tests/fuzz/archive.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { TARGETS = 24, DATA = 4096, NAME = 256 };

typedef struct target_text {
    char name[NAME];
    uint64_t shape[4];
} target_text;

static const char *const formats[] = {"safetensors", "torch", "npz", "tensorflow"};

typedef struct fuzz_writer {
    wm_writer writer;
    wm_output output;
} fuzz_writer;

static bool put(wm_writer *writer, uint32_t part, uint64_t offset, const void *bytes, size_t size,
                wmap_error *err)
{
    return wm_output_put(&((fuzz_writer *)writer)->output, part, offset, bytes, size, err);
}

/* Element bytes that differ from target to target; bool has just 0 and 1. */
static void fill(uint8_t *data, const wm_target *t, size_t index)
{
    for (uint64_t i = 0; i < t->bytes; i++)
        data[i] = t->tensor.dtype == WMAP_BOOL ? (uint8_t)((i + index) & 1) : (uint8_t)(i * 7 + index + 1);
}

static size_t read_targets(wm_cursor *c, wm_target *targets, target_text *texts)
{
    size_t count = 0;
    while (count < TARGETS && wm_cursor_left(c) >= 3) {
        wm_target *t = &targets[count];
        target_text *text = &texts[count];
        t->tensor.dtype = (wmap_dtype)(WMAP_BOOL + wm_take_u8(c) % (WMAP_OPAQUE - WMAP_BOOL));
        t->tensor.rank = wm_take_u8(c) % 4;
        for (uint32_t d = 0; d < t->tensor.rank; d++)
            text->shape[d] = wm_take_u8(c) % 8;
        size_t len = wm_take_u8(c);
        len = len < wm_cursor_left(c) ? len : wm_cursor_left(c);
        if (c->failed)
            break;
        memcpy(text->name, c->bytes + c->at, len);
        text->name[len] = 0;
        c->at += len;
        t->tensor.name = text->name;
        t->tensor.name_len = len;
        t->tensor.shape = text->shape;
        if (!wmap_tensor_bytes(&t->tensor, &t->bytes) || t->bytes > DATA * 4)
            abort();
        bool twice = false;
        for (size_t i = 0; i < count; i++)
            twice =
                twice || (targets[i].tensor.name_len == len && memcmp(texts[i].name, text->name, len) == 0);
        count += !twice; /* a plan has each name once */
    }
    return count;
}

static uint32_t sum_of(const wm_format *f, const uint8_t *data, size_t size)
{
    return f->sum == WM_SUM_CRC32    ? wm_crc32(0, data, size)
           : f->sum == WM_SUM_CRC32C ? wm_crc32c(0, data, size)
                                     : 0;
}

static void write_all(fuzz_writer *f)
{
    wmap_error err = {0};
    static uint8_t data[DATA * 4];
    wm_writer *w = &f->writer;
    f->output = (wm_output){.path = w->path, .no_sync = true};
    if (!wm_output_open(&f->output, w->parts, w->part_count, &err))
        abort();
    for (size_t i = 0; i < w->count; i++) {
        wm_target *t = &w->targets[i];
        fill(data, t, i);
        t->sum = sum_of(w->format, data, (size_t)t->bytes);
        if (!wm_output_put(&f->output, t->file, t->offset, data, t->bytes, &err))
            abort();
    }
    if (!w->format->finish(w, &err) || !wm_output_commit(&f->output, &err))
        abort();
}

/* The targets of this archive that are as they were written. */
static size_t compare(const fuzz_writer *f, const char *path)
{
    wmap_error err = {0};
    static uint8_t data[DATA * 4];
    size_t found = 0;
    wmap_archive *archive = wmap_archive_open(path, &err);
    if (!archive) {
        fprintf(stderr, "%s: %s\n", path, err.message);
        abort();
    }
    for (size_t i = 0; i < f->writer.count; i++) {
        const wm_target *t = &f->writer.targets[i];
        uint32_t at = wm_map_get(&archive->names, t->tensor.name, t->tensor.name_len);
        if (at == WM_MAP_NONE)
            continue;
        wm_view view;
        const wmap_tensor *has = &archive->entries[at].tensor;
        fill(data, t, i);
        if (has->dtype != t->tensor.dtype || has->rank != t->tensor.rank ||
            (has->rank && memcmp(has->shape, t->tensor.shape, has->rank * sizeof *has->shape) != 0) ||
            !wm_archive_view(archive, at, &view, &err) ||
            (t->bytes && memcmp(view.bytes, data, (size_t)t->bytes) != 0))
            abort();
        found++;
    }
    wmap_archive_close(archive);
    return found;
}

/* Opens what was written and removes it. */
static void check_all(const fuzz_writer *f, const char *folder)
{
    size_t found = 0;
    bool index = f->writer.format->sum == WM_SUM_CRC32C; /* TensorFlow's data files are named by it */
    char path[300];
    for (size_t pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < f->writer.part_count; i++) {
            const wm_part *p = &f->writer.parts[i];
            if (p->role == WM_PART_GONE)
                continue;
            snprintf(path, sizeof path, "%s/%s", folder, p->name ? p->name : wm_writer_name(&f->writer));
            if (pass)
                unlink(path);
            else if (p->role == (index ? WM_PART_ENTRY : WM_PART_DATA))
                found += compare(f, path);
        }
    if (found != f->writer.count)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    wm_cursor c = wm_cursor_of(bytes, size, 0);
    static target_text texts[TARGETS + 1];
    wm_target targets[TARGETS + 1] = {{.bytes = 0}};
    char folder[] = "/dev/shm/wmap-fuzz-XXXXXX", path[64];
    wmap_error err = {0};
    wm_arena arena;
    if (size < 2)
        return 0;
    wm_arena_init(&arena);
    const wm_format *format = wm_format_named(formats[wm_take_u8(&c) % (sizeof formats / sizeof *formats)]);
    uint64_t shard = (uint64_t)wm_take_u8(&c) * 8;
    snprintf(path, sizeof path, "%s/m", folder);
    fuzz_writer f = {.writer = {.format = format,
                                .path = path,
                                .arena = &arena,
                                .targets = targets,
                                .shard_size = format->shards ? shard : 0,
                                .put = put}};
    f.writer.count = read_targets(&c, targets, texts);
    if (format->layout(&f.writer, &err)) {
        if (!mkdtemp(folder))
            abort();
        snprintf(path, sizeof path, "%s/m", folder);
        write_all(&f);
        check_all(&f, folder);
        if (rmdir(folder) != 0)
            abort();
    } else if (err.code != WMAP_E_TARGET || !err.message[0]) {
        abort();
    }
    wm_arena_release(&arena);
    return 0;
}
