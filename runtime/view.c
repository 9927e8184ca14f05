/* view.c: making an entry's bytes readable: its file is mapped whole, once, or it is decoded, once, into an
 * unlinked temporary file that is mapped. Any number of threads may ask; only decoding runs outside of the
 * lock. */
#include "runtime/view.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/crc.h"
#include "runtime/spool.h"
#include "runtime/trap.h"

/* An entry's decoded bytes. */
struct slot {
    enum wm_once state;
    int fd;
    const uint8_t *map;
    uint64_t size;
};

struct wm_views {
    pthread_mutex_t lock; /* of the states of slots and sums, and of wm_file.map */
    pthread_cond_t done;  /* one of them is BUSY no more */
    struct slot *slots;   /* one an entry; NULL if all are direct */
};

static const uint8_t nothing[16]; /* an address for the bytes of empty tensors */

bool wm_views_init(wmap_archive *archive, wmap_error *err)
{
    struct wm_views *views = calloc(1, sizeof *views);
    bool slots = false;
    for (size_t i = 0; i < archive->entry_count; i++)
        slots = slots || (!archive->entries[i].direct && !archive->entries[i].part);
    if (views && slots)
        views->slots = wm_new(&archive->arena, struct slot, archive->entry_count);
    if (!views || (slots && !views->slots)) {
        free(views);
        return wm_fail(err, WMAP_E_NOMEM, "out of memory");
    }
    pthread_mutex_init(&views->lock, NULL);
    pthread_cond_init(&views->done, NULL);
    archive->views = views;
    return true;
}

/* munmap takes a pointer to what may be written; ours is const. */
static void unmap(const uint8_t *map, uint64_t size)
{
    if (map && map != nothing)
        munmap((void *)(uintptr_t)map, (size_t)size);
}

static void drop(struct slot *slot)
{
    if (slot->state == WM_ONCE_READY) {
        unmap(slot->map, slot->size);
        close(slot->fd);
    }
    slot->state = WM_ONCE_ABSENT;
}

void wm_views_close(wmap_archive *archive)
{
    struct wm_views *views = archive->views;
    for (size_t i = 0; i < archive->file_count; i++)
        unmap(archive->files[i].map, archive->files[i].size);
    if (!views)
        return;
    for (size_t i = 0; views->slots && i < archive->entry_count; i++)
        drop(&views->slots[i]);
    pthread_cond_destroy(&views->done);
    pthread_mutex_destroy(&views->lock);
    free(views);
}

/* Page faults on a file mapping bring in the pages around them (fault-around, and read-ahead for runs), which
 * is what both copying and transposing want, so no advice is given: MADV_SEQUENTIAL drops pages that a
 * transpose comes back to, MADV_RANDOM turns a cold read into one I/O a page. */
static const uint8_t *map_file(int fd, uint64_t size, wmap_error *err)
{
    if (size == 0)
        return nothing;
    void *map = size <= SIZE_MAX ? mmap(NULL, (size_t)size, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
    if (map == MAP_FAILED) {
        wm_fail_errno(err, errno == ENOMEM ? WMAP_E_NOMEM : WMAP_E_IO, errno, "cannot map it into memory");
        return NULL;
    }
    return map;
}

/* The whole file, mapped once. With the lock held, or before anyone else knows of the archive. */
static const uint8_t *map_once(wm_file *file, wmap_error *err)
{
    if (file->map)
        return file->map;
    int fd = wm_file_fd(file, err);
    if (fd < 0)
        return NULL;
    file->map = map_file(fd, file->size, err);
    wm_file_done(file, fd);
    return file->map;
}

static bool view_direct(wmap_archive *archive, const wm_entry *entry, wm_view *view, wmap_error *err)
{
    wm_file *file = &archive->files[entry->file];
    struct stat st;
    if (file->fd >= 0 && fstat(file->fd, &st) != 0) {
        wm_fail_errno(err, WMAP_E_IO, errno, "cannot look at it");
        return wm_error_file(err, file->path);
    }
    if (file->fd >= 0 && (uint64_t)st.st_size != file->size) {
        wm_fail(err, WMAP_E_CORRUPT, "the file changed its size while it was open");
        return wm_error_file(err, file->path);
    }
    pthread_mutex_lock(&archive->views->lock);
    const uint8_t *map = map_once(file, err);
    pthread_mutex_unlock(&archive->views->lock);
    if (!map)
        return wm_error_file(err, file->path);
    *view = (wm_view){file->fd, entry->offset, map == nothing ? map : map + entry->offset, entry->strides};
    return true;
}

bool wm_archive_mapped(wmap_archive *archive, uint32_t index, void (*work)(void *context), void *context,
                       wmap_error *err)
{
    wm_file *file = &archive->files[index];
    if (!map_once(file, err) || !wm_trap_begin(err))
        return false;
    bool whole = wm_trap_call(file->map, file->map + file->size, work, context);
    wm_trap_end();
    return whole || wm_fail(err, WMAP_E_CORRUPT, "the file became shorter while it was read");
}

/* Decodes an entry into a new temporary file. */
static bool decode(wmap_archive *archive, const wm_entry *entry, struct slot *slot, wmap_error *err)
{
    uint64_t bytes;
    if (!wmap_tensor_bytes(&entry->tensor, &bytes))
        return wm_fail(err, WMAP_E_CORRUPT, "its shape means 2^63 bytes or more");
    int fd = wm_spool_new(err);
    if (fd < 0)
        return false;
    wm_spool spool = wm_spool_of(fd, bytes);
    bool ok = archive->format->decode(archive, entry, &spool.sink, err);
    if (ok && spool.size != bytes)
        ok = wm_fail(err, WMAP_E_CORRUPT, "fewer bytes of data than its shape needs");
    const uint8_t *map = ok ? map_file(fd, bytes, err) : NULL;
    if (!map) {
        close(fd);
        return false;
    }
    slot->fd = fd;
    slot->map = map;
    slot->size = bytes;
    return true;
}

/* With pread, so that a file cut meanwhile raises no signal here. */
bool wm_archive_check_sum(wmap_archive *archive, uint32_t file, const wm_sum *sum, wmap_error *err)
{
    const size_t step = (size_t)1 << 20;
    size_t most = sum->size < step ? (size_t)sum->size : step;
    uint8_t *buffer = malloc(most + 1);
    uint32_t crc = 0;
    bool ok = buffer || wm_fail(err, WMAP_E_NOMEM, "out of memory");
    for (uint64_t at = 0; ok && at < sum->size; at += step) {
        uint64_t left = sum->size - at;
        size_t size = left < step ? (size_t)left : step;
        ok = wm_archive_read(archive, file, sum->begin + at, buffer, size, err);
        if (ok)
            crc = sum->castagnoli ? wm_crc32c(crc, buffer, size) : wm_crc32(crc, buffer, size);
    }
    free(buffer);
    if (!ok || crc == sum->crc32)
        return ok;
    wm_fail(err, WMAP_E_CORRUPT, "wrong CRC: the file says %08x, its bytes give %08x", sum->crc32, crc);
    wm_error_file(err, archive->files[file].path);
    return wm_error_offset(err, sum->begin);
}

/* Something is done once, whoever asks first: true if it falls to the caller, who then says how it ended. */
static bool begin_once(struct wm_views *views, enum wm_once *state)
{
    pthread_mutex_lock(&views->lock);
    while (*state == WM_ONCE_BUSY)
        pthread_cond_wait(&views->done, &views->lock);
    bool mine = *state == WM_ONCE_ABSENT;
    if (mine)
        *state = WM_ONCE_BUSY;
    pthread_mutex_unlock(&views->lock);
    return mine;
}

/* After a failure the next one tries again. */
static bool end_once(struct wm_views *views, enum wm_once *state, bool ok)
{
    pthread_mutex_lock(&views->lock);
    *state = ok ? WM_ONCE_READY : WM_ONCE_ABSENT;
    pthread_cond_broadcast(&views->done);
    pthread_mutex_unlock(&views->lock);
    return ok;
}

static bool compare_sum(wmap_archive *archive, const wm_entry *entry, wmap_error *err)
{
    wm_sum *sum = entry->sum;
    return !sum || !begin_once(archive->views, &sum->state) ||
           end_once(archive->views, &sum->state, wm_archive_check_sum(archive, entry->file, sum, err));
}

static bool view_decoded(wmap_archive *archive, size_t index, wm_view *view, wmap_error *err)
{
    const wm_entry *entry = &archive->entries[index];
    struct slot *slot = &archive->views->slots[index];
    if (begin_once(archive->views, &slot->state) &&
        !end_once(archive->views, &slot->state, decode(archive, entry, slot, err)))
        return false;
    *view = (wm_view){slot->fd, 0, slot->map, entry->strides}; /* READY stays until it is forgotten */
    return true;
}

bool wm_archive_view(wmap_archive *archive, size_t index, wm_view *view, wmap_error *err)
{
    const wm_entry *entry = &archive->entries[index];
    bool ok;
    if (entry->part)
        return wm_archive_view(archive->parts[entry->part - 1], (size_t)entry->id, view, err);
    if (entry->tensor.dtype == WMAP_OPAQUE)
        ok = wm_fail(err, WMAP_E_UNSUPPORTED, "wmap cannot read this: %s",
                     entry->note ? entry->note : "opaque");
    else if (entry->direct)
        ok = compare_sum(archive, entry, err) && view_direct(archive, entry, view, err);
    else if (archive->format->decode)
        ok = compare_sum(archive, entry, err) && view_decoded(archive, index, view, err);
    else
        ok = wm_fail(err, WMAP_E_INTERNAL, "format %s has no decoder", archive->format->name);
    if (ok)
        return true;
    wm_error_file(err, archive->path);
    return wm_error_tensor(err, entry->tensor.name, entry->tensor.name_len);
}

void wm_archive_forget(wmap_archive *archive, size_t index)
{
    struct wm_views *views = archive->views;
    const wm_entry *entry = &archive->entries[index];
    if (entry->part)
        wm_archive_forget(archive->parts[entry->part - 1], (size_t)entry->id);
    if (entry->part || entry->direct || !views->slots)
        return;
    pthread_mutex_lock(&views->lock);
    if (views->slots[index].state == WM_ONCE_READY)
        drop(&views->slots[index]);
    pthread_mutex_unlock(&views->lock);
}

const char *wm_archive_entry_path(const wmap_archive *archive, size_t index)
{
    const wm_entry *entry = &archive->entries[index];
    if (entry->part)
        return wm_archive_entry_path(archive->parts[entry->part - 1], (size_t)entry->id);
    return entry->direct ? archive->files[entry->file].path : archive->path;
}
