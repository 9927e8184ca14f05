/* scratch.c: archives without a file. Receives tensors in memory, or the targets of a run; gives an archive
 * whose entries lie one after the other in an unlinked temporary file. */
#include "runtime/scratch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/size.h"
#include "runtime/spool.h"
#include "runtime/view.h"

#define ALIGN UINT64_C(64) /* as vectors like it */

static bool layout(wm_writer *writer, wmap_error *err)
{
    uint64_t at = 0;
    for (size_t i = 0; i < writer->count; i++) {
        wm_target *t = &writer->targets[i];
        t->file = 0;
        t->offset = at;
        if (!wm_size_add(at, t->bytes, &at) || !wm_size_align(at, ALIGN, &at))
            return wm_fail(err, WMAP_E_TARGET, "the tensors take 2^63 bytes or more");
    }
    return wm_writer_add_part(writer, NULL, at, WM_PART_DATA, err);
}

static bool finish(wm_writer *writer, wmap_error *err)
{
    (void)writer;
    (void)err;
    return true;
}

static bool probe(wmap_archive *archive)
{
    (void)archive;
    return false;
}

static bool open_nothing(wmap_archive *archive, wmap_error *err)
{
    (void)archive;
    return wm_fail(err, WMAP_E_INTERNAL, "a scratch file has no header to be read");
}

const wm_format wm_scratch_format = {.name = "scratch",
                                     .title = "scratch file",
                                     .suffixes = "",
                                     .probe = probe,
                                     .open = open_nothing,
                                     .layout = layout,
                                     .finish = finish};

static bool add_entries(wmap_archive *archive, const wm_target *targets, size_t count, wmap_error *err)
{
    for (size_t i = 0; i < count; i++) {
        const wmap_tensor *t = &targets[i].tensor;
        wm_entry *entry =
            wm_archive_add(archive, t->name, t->name_len, t->dtype, t->rank, t->shape, NULL, err);
        if (!entry)
            return false;
        entry->direct = true;
        entry->offset = targets[i].offset;
        if (!wm_entry_check(archive, entry, 0, archive->files[0].size, err))
            return false;
    }
    return wm_views_init(archive, err);
}

wmap_archive *wm_scratch_open(const char *label, int fd, const wm_target *targets, size_t count,
                              wmap_error *err)
{
    struct stat st;
    wmap_archive *archive = NULL;
    if (fstat(fd, &st) == 0)
        archive = wm_archive_over(&wm_scratch_format, label, fd, (uint64_t)st.st_size, err);
    else {
        wm_fail_errno(err, WMAP_E_IO, errno, "cannot look at a temporary file");
        close(fd);
    }
    if (!archive || add_entries(archive, targets, count, err))
        return archive;
    wmap_archive_close(archive);
    return NULL;
}

/* Writes the data where layout() put them. */
static bool put_data(int fd, const wm_target *targets, const void *const *data, size_t count, wmap_error *err)
{
    uint64_t at = 0;
    static const uint8_t zeros[ALIGN];
    wm_spool spool = wm_spool_of(fd, INT64_MAX);
    for (size_t i = 0; i < count; i++) {
        uint64_t pad = targets[i].offset - at;
        if (!spool.sink.put(&spool.sink, zeros, (size_t)pad, err) ||
            !spool.sink.put(&spool.sink, data[i], (size_t)targets[i].bytes, err))
            return false;
        at = targets[i].offset + targets[i].bytes;
    }
    return true;
}

static bool lay_out(wm_writer *writer, const wmap_tensor *tensors, wmap_error *err)
{
    for (size_t i = 0; i < writer->count; i++) {
        writer->targets[i].tensor = tensors[i];
        if (!wmap_tensor_bytes(&tensors[i], &writer->targets[i].bytes))
            return wm_fail(err, WMAP_E_CORRUPT, "its shape means 2^63 bytes or more");
    }
    return layout(writer, err);
}

wmap_archive *wm_scratch_of(const char *label, const wmap_tensor *tensors, const void *const *data,
                            size_t count, wmap_error *err)
{
    wm_arena arena;
    wmap_archive *archive = NULL;
    wm_arena_init(&arena);
    wm_writer writer = {.path = "", .arena = &arena, .count = count};
    writer.targets = wm_new(&arena, wm_target, count);
    bool ok = writer.targets ? lay_out(&writer, tensors, err) : wm_fail(err, WMAP_E_NOMEM, "out of memory");
    int fd = ok ? wm_spool_new(err) : -1;
    if (fd >= 0 && put_data(fd, writer.targets, data, count, err))
        archive = wm_scratch_open(label, fd, writer.targets, count, err);
    else if (fd >= 0)
        close(fd);
    wm_arena_release(&arena);
    return archive;
}
