/* archive.c: opening weight files: finding the format, the list of entries, reading bytes. view.c maps. */
#include "runtime/archive.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/dtype.h"
#include "runtime/base/size.h"
#include "runtime/base/text.h"
#include "runtime/file.h"
#include "runtime/formats/zip.h"
#include "runtime/identify.h"
#include "runtime/spool.h"
#include "runtime/unpack.h"
#include "runtime/view.h"

#define MAX_WARNINGS 100 /* a hostile file may give cause for millions */
#define MAX_FILES    100000

static bool nomem(wmap_error *err)
{
    return wm_fail(err, WMAP_E_NOMEM, "out of memory");
}

/* Small reads one after the other, as of the headers of a million members: read ahead once they come in a
 * row. */
#define AHEAD ((size_t)64 << 10)
#define SMALL ((size_t)4 << 10)

struct wm_ahead {
    uint32_t file;
    uint64_t at; /* in it */
    size_t size;
    uint8_t bytes[AHEAD];
};

static void forget_ahead(wmap_archive *archive)
{
    if (archive->ahead) {
        archive->ahead->file = 0;
        archive->ahead->at = 0;
        archive->ahead->size = 0;
    }
}

/* Opening. */

static bool open_stdin(wm_file *file, wmap_error *err)
{
    struct stat st;
    *file = (wm_file){.fd = wm_spool_from(STDIN_FILENO, err)};
    if (file->fd >= 0 && fstat(file->fd, &st) == 0)
        file->size = (uint64_t)st.st_size;
    return file->fd >= 0;
}

/* Adds an opened file under a path; takes its descriptor over, closing it on failure. */
static bool add_file(wmap_archive *archive, const char *path, const wm_file *opened, wmap_error *err)
{
    char *copy = wm_copy(&archive->arena, path, strlen(path));
    wm_file *file =
        copy ? wm_push(&archive->arena, archive->files, archive->file_count, archive->file_cap) : NULL;
    if (!file) {
        close(opened->fd);
        return nomem(err);
    }
    *file = *opened;
    file->path = copy;
    return true;
}

uint32_t wm_archive_add_spool(wmap_archive *archive, int fd, uint64_t size, wmap_error *err)
{
    const wm_file spool = {.fd = fd, .size = size};
    return add_file(archive, archive->files[0].path, &spool, err) ? (uint32_t)archive->file_count - 1
                                                                  : UINT32_MAX;
}

static bool lfs_pointer(wmap_error *err)
{
    return wm_fail(err, WMAP_E_NOT_WEIGHTS,
                   "this is a Git LFS pointer, not the file; fetch the file itself with `git lfs pull`");
}

static bool find_format(wmap_archive *archive, wmap_error *err)
{
    uint64_t size = archive->files[0].size;
    archive->head_size = size < sizeof archive->head ? (size_t)size : sizeof archive->head;
    if (!wm_archive_read(archive, 0, 0, archive->head, archive->head_size, err))
        return false;
    if (wm_is_lfs_pointer(archive->head, archive->head_size))
        return lfs_pointer(err);
    for (size_t i = 0; wm_formats[i]; i++)
        if (wm_formats[i]->probe(archive)) {
            archive->format = wm_formats[i];
            return true;
        }
    return wm_fail_unknown(archive, err);
}

/* Asks all formats which file is meant. NULL with err->code WMAP_OK if none has an answer. */
static const char *locate(wmap_archive *archive, wm_place place, wmap_error *err)
{
    const char *found = NULL;
    *err = (wmap_error){0};
    for (size_t i = 0; wm_formats[i]; i++) {
        if (!wm_formats[i]->locate)
            continue;
        const char *file = wm_formats[i]->locate(archive, archive->path, place, err);
        if (!file && err->code != WMAP_OK)
            return NULL;
        if (file && found && strcmp(file, found) != 0) {
            wm_fail(err, WMAP_E_UNSUPPORTED, "this can be %s or %s; name one of them", found, file);
            return NULL;
        }
        found = file ? file : found;
    }
    return found;
}

/* Forgets the file that was opened, to try another one. */
static void restart(wmap_archive *archive)
{
    for (size_t i = 0; i < archive->file_count; i++)
        wm_file_close(&archive->files[i]);
    archive->file_count = 0;
    forget_ahead(archive);
    archive->packed = NULL;
    archive->zip = NULL;
    archive->zip_error = NULL;
}

static bool open_first(wmap_archive *archive, const char *path, wmap_error *err)
{
    wm_file file;
    bool opened = strcmp(path, "-") == 0 ? open_stdin(&file, err) : wm_file_open(path, &file, err);
    return opened && add_file(archive, path, &file, err) && wm_unpack(archive, &archive->packed, err) &&
           find_format(archive, err);
}

/* Opens what `archive->path` means: a file that a format knows, or the first of a set of files. */
static bool open_named(wmap_archive *archive, wmap_error *err)
{
    wmap_error failure = {0};
    struct stat st;
    const char *path = archive->path, *first = NULL;
    wm_place place = WM_PLACE_FILE;
    if (strcmp(path, "-") != 0 && stat(path, &st) != 0)
        place = errno == ENOENT ? WM_PLACE_NOTHING : WM_PLACE_FILE; /* opening it says what is wrong */
    else if (strcmp(path, "-") != 0 && S_ISDIR(st.st_mode))
        place = WM_PLACE_FOLDER;
    if (place == WM_PLACE_FILE) {
        if (open_first(archive, path, err))
            return true;
        if (archive->file_count == 0 || strcmp(path, "-") == 0 || !S_ISREG(st.st_mode))
            return false; /* there is no such file, or no other one to look for */
    }
    first = locate(archive, place, &failure);
    if (!first && failure.code == WMAP_OK && place == WM_PLACE_FOLDER)
        first = locate(archive, WM_PLACE_NOTHING, &failure); /* a folder may be called like a set beside it */
    if (!first && failure.code != WMAP_OK) {
        if (err)
            *err = failure;
        return false;
    }
    if (!first && place == WM_PLACE_FILE)
        return false; /* find_format has said what it is */
    restart(archive);
    return open_first(archive, first ? first : path, err);
}

bool wm_aliases_settle(wmap_archive *archive, wmap_error *err)
{
    wm_arena scratch;
    wm_map map;
    size_t count = 0;
    bool oom = false;
    for (size_t i = 0; i < archive->entry_count; i++)
        count += archive->entries[i].alias != NULL;
    if (count == 0)
        return true;
    wm_arena_init(&scratch);
    wm_map_init(&map, &scratch, count);
    bool *shared = wm_new(&scratch, bool, archive->entry_count);
    for (size_t i = 0; shared && i < archive->entry_count; i++) {
        const char *alias = archive->entries[i].alias;
        if (!alias)
            continue;
        uint32_t first = wm_map_put(&map, alias, strlen(alias), (uint32_t)i, &oom);
        if (first != WM_MAP_NONE)
            shared[i] = shared[first] = true;
        else if (wm_map_get(&archive->names, alias, strlen(alias)) != WM_MAP_NONE)
            shared[i] = true;
    }
    for (size_t i = 0; shared && i < archive->entry_count; i++)
        if (shared[i])
            archive->entries[i].alias = NULL;
    bool ok = shared && !oom;
    wm_arena_release(&scratch);
    return ok || nomem(err);
}

static bool open_all(wmap_archive *archive, const char *path, wmap_error *err)
{
    archive->path = wm_copy(&archive->arena, path, strlen(path));
    if (!archive->path)
        return nomem(err);
    archive->ahead = calloc(1, sizeof *archive->ahead); /* it goes without, too */
    bool ok = (archive->is_part ? open_first(archive, path, err) : open_named(archive, err)) &&
              archive->format->open(archive, err) && wm_aliases_settle(archive, err) &&
              wm_views_init(archive, err);
    free(archive->ahead);
    archive->ahead = NULL; /* reads of decoders come from several threads */
    return ok;
}

/* `named`: the path may name a set of files by something else than its first file. */
static wmap_archive *open_path(const char *path, bool named, wmap_error *err)
{
    wmap_archive *archive = calloc(1, sizeof *archive);
    if (!archive) {
        nomem(err);
        wm_error_file(err, path);
        return NULL;
    }
    wm_arena_init(&archive->arena);
    wm_map_init(&archive->names, &archive->arena, 0);
    archive->is_part = !named;
    if (open_all(archive, path, err))
        return archive;
    if (archive->packed)
        wm_error_offset_of(err, "its unpacked bytes");
    wm_error_file(err, strcmp(path, "-") == 0 ? "standard input" : path);
    wmap_archive_close(archive);
    return NULL;
}

wmap_archive *wmap_archive_open(const char *path, wmap_error *err)
{
    return open_path(path, true, err);
}

wmap_archive *wm_archive_over(const wm_format *format, const char *label, int fd, uint64_t size,
                              wmap_error *err)
{
    wmap_archive *archive = calloc(1, sizeof *archive);
    if (!archive) {
        close(fd);
        nomem(err);
        return NULL;
    }
    wm_arena_init(&archive->arena);
    wm_map_init(&archive->names, &archive->arena, 0);
    archive->format = format;
    archive->path = wm_copy(&archive->arena, label, strlen(label));
    const wm_file file = {.fd = fd, .size = size};
    if (archive->path ? add_file(archive, label, &file, err) : (close(fd), nomem(err)))
        return archive;
    wmap_archive_close(archive);
    return NULL;
}

void wmap_archive_close(wmap_archive *archive)
{
    if (!archive)
        return;
    for (size_t i = 0; i < archive->part_count; i++)
        wmap_archive_close(archive->parts[i]);
    if (archive->format && archive->format->close)
        archive->format->close(archive);
    wm_views_close(archive);
    for (size_t i = 0; i < archive->file_count; i++)
        wm_file_close(&archive->files[i]);
    wm_arena_release(&archive->arena);
    free(archive);
}

/* The path of `name` in the folder of `path`. */
static char *beside(wm_arena *arena, const char *path, const char *name)
{
    const char *slash = strrchr(path, '/');
    int folder = slash ? (int)(slash - path) + 1 : 0;
    return wm_format_text(arena, "%.*s%s", folder, path, name);
}

/* The path of another file of its set; NULL with `err` filled if that may not be opened. */
static char *path_of_member(wmap_archive *archive, const char *name, wmap_error *err)
{
    if (!name[0] || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
        wm_fail(err, WMAP_E_CORRUPT, "it names a file of its set that is no plain file name");
        wm_error_tensor(err, name, strlen(name));
        return NULL;
    }
    if (strcmp(archive->path, "-") == 0) {
        wm_fail(err, WMAP_E_UNSUPPORTED, "a set of several files cannot be read from standard input");
        return NULL;
    }
    if (archive->file_count + archive->part_count >= MAX_FILES) {
        wm_fail(err, WMAP_E_CORRUPT, "more than %d files in a set", MAX_FILES);
        return NULL;
    }
    char *path = beside(&archive->arena, archive->files[0].path, name);
    if (path && strcmp(path, "-") == 0)
        path = wm_copy(&archive->arena, "./-", 3); /* no standard input is meant */
    if (!path)
        nomem(err);
    return path;
}

uint32_t wm_archive_add_file(wmap_archive *archive, const char *name, wmap_error *err)
{
    wm_file file;
    uint8_t head[64];
    char *path = path_of_member(archive, name, err);
    if (!path)
        return UINT32_MAX;
    bool ok = wm_file_open(path, &file, err);
    int64_t got = ok ? wm_pread(file.fd, head, sizeof head, 0) : 0;
    if (got > 0 && wm_is_lfs_pointer(head, (size_t)got)) {
        close(file.fd);
        ok = lfs_pointer(err);
    }
    if (!ok || !add_file(archive, path, &file, err)) {
        wm_error_file(err, path);
        return UINT32_MAX;
    }
    return (uint32_t)archive->file_count - 1;
}

void wm_archive_rest(wmap_archive *archive, uint32_t first)
{
    for (size_t i = first; i < archive->file_count; i++)
        wm_file_rest(&archive->files[i]);
}

wmap_archive *wm_archive_add_part(wmap_archive *archive, const char *name, wmap_error *err)
{
    char *path = path_of_member(archive, name, err);
    if (!path)
        return NULL;
    wmap_archive **slot = wm_push(&archive->arena, archive->parts, archive->part_count, archive->part_cap);
    if (!slot) {
        nomem(err);
        return NULL;
    }
    *slot = open_path(path, false, err);
    if (!*slot) {
        archive->part_count--;
        return NULL;
    }
    if (archive->part_count > WM_KEPT_OPEN)
        wm_archive_rest(*slot, 0);
    return *slot;
}

uint32_t wm_archive_adopt_file(wmap_archive *archive, int fd, wmap_error *err)
{
    return wm_archive_add_spool(archive, fd, 0, err);
}

/* Reading. */

static const char *shown_path(const wm_file *file)
{
    return strcmp(file->path, "-") == 0 ? "standard input" : file->path;
}

/* True if `buffer` was filled from what is there; reads ahead if that is likely to pay. */
static bool read_small(struct wm_ahead *ahead, const wm_file *file, uint32_t index, uint64_t offset,
                       void *buffer, size_t size)
{
    bool in_a_row = index == ahead->file && offset >= ahead->at && offset - ahead->at <= ahead->size + AHEAD;
    if (!in_a_row || offset - ahead->at + size > ahead->size) {
        uint64_t left = file->size - offset;
        ahead->file = index;
        ahead->at = offset;
        ahead->size = 0;
        if (!in_a_row)
            return false;
        int64_t got = wm_file_read(file, ahead->bytes, left < AHEAD ? (size_t)left : AHEAD, offset, NULL);
        if (got < (int64_t)size)
            return false; /* the plain read will say what is wrong */
        ahead->size = (size_t)got;
    }
    memcpy(buffer, ahead->bytes + (offset - ahead->at), size);
    return true;
}

bool wm_archive_read(wmap_archive *archive, uint32_t index, uint64_t offset, void *buffer, uint64_t size,
                     wmap_error *err)
{
    const wm_file *file = &archive->files[index];
    if (offset > file->size || size > file->size - offset) {
        wm_fail(err, WMAP_E_CORRUPT, "truncated: %llu bytes are needed here, %llu are left",
                (unsigned long long)size,
                (unsigned long long)(offset > file->size ? 0 : file->size - offset));
        wm_error_offset(err, offset);
        return wm_error_file(err, shown_path(file));
    }
    if (archive->ahead && size <= SMALL &&
        read_small(archive->ahead, file, index, offset, buffer, (size_t)size))
        return true;
    int64_t got = wm_file_read(file, buffer, (size_t)size, offset, err);
    if (got >= 0 && (uint64_t)got == size)
        return true;
    if (got >= 0)
        wm_fail(err, WMAP_E_CORRUPT, "the file became shorter while it was read");
    wm_error_offset(err, offset);
    return wm_error_file(err, shown_path(file));
}

uint8_t *wm_archive_load(wmap_archive *archive, uint32_t index, uint64_t offset, uint64_t size,
                         wmap_error *err)
{
    const wm_file *file = &archive->files[index];
    /* Bounded by the bytes that are there before it is allocated; wm_archive_read says the rest. */
    if (offset > file->size || size > file->size - offset) {
        wm_archive_read(archive, index, offset, NULL, size, err);
        return NULL;
    }
    if (size > WM_MAX_HEADER) {
        wm_fail(err, WMAP_E_CORRUPT, "a header of %llu bytes is larger than wmap reads into memory",
                (unsigned long long)size);
        wm_error_offset(err, offset);
        wm_error_file(err, shown_path(file));
        return NULL;
    }
    uint8_t *bytes = wm_alloc(&archive->arena, (size_t)size);
    if (!bytes) {
        nomem(err);
        return NULL;
    }
    return wm_archive_read(archive, index, offset, bytes, size, err) ? bytes : NULL;
}

struct wm_zip *wm_archive_zip(wmap_archive *archive, wmap_error *err)
{
    /* Several formats ask when they probe; a damaged directory is parsed once for all of them. */
    if (!archive->zip && !archive->zip_error) {
        wmap_error failure;
        archive->zip = wm_zip_parse(archive, &failure);
        if (!archive->zip) {
            archive->zip_error = wm_new(&archive->arena, wmap_error, 1);
            if (archive->zip_error)
                *archive->zip_error = failure;
            else
                nomem(err);
        }
    }
    if (!archive->zip && archive->zip_error && err)
        *err = *archive->zip_error;
    return archive->zip;
}

/* Entries. */

static void *copy_array(wm_arena *arena, const void *from, uint32_t rank)
{
    uint64_t *copy = wm_new(arena, uint64_t, rank);
    if (copy && rank)
        memcpy(copy, from, rank * sizeof *copy);
    return copy;
}

wm_entry *wm_archive_add(wmap_archive *archive, const char *name, size_t name_len, wmap_dtype dtype,
                         uint32_t rank, const uint64_t *shape, const int64_t *strides, wmap_error *err)
{
    wmap_tensor tensor = {.name_len = name_len, .dtype = dtype, .rank = rank};
    uint64_t count, bytes;
    bool oom = false;
    if (name_len > WM_MAX_NAME || rank > WMAP_MAX_RANK) {
        wm_fail(err, WMAP_E_CORRUPT, "a tensor's %s",
                rank > WMAP_MAX_RANK ? "rank is above 64" : "name is too long");
        wm_error_tensor(err, name, name_len);
        return NULL;
    }
    if (archive->entry_count >= WM_MAX_TENSORS) {
        wm_fail(err, WMAP_E_CORRUPT, "more than %zu tensors", WM_MAX_TENSORS);
        return NULL;
    }
    if (name_len > WM_MAX_NAMES - archive->name_bytes) {
        wm_fail(err, WMAP_E_UNSUPPORTED, "the names of its tensors take more than %zu MiB",
                WM_MAX_NAMES >> 20);
        return NULL;
    }
    if (!wm_shape_count(shape, rank, &count) || !wm_size_mul(count, wmap_dtype_size(dtype), &bytes)) {
        wm_fail(err, WMAP_E_CORRUPT, "its shape means 2^63 bytes or more");
        wm_error_tensor(err, name, name_len);
        return NULL;
    }
    const char *copy = wm_copy(&archive->arena, name, name_len);
    archive->name_bytes += name_len;
    tensor.name = copy;
    tensor.shape = copy_array(&archive->arena, shape, rank);
    const int64_t *steps = strides ? copy_array(&archive->arena, strides, rank) : NULL;
    if (!copy || !tensor.shape || (strides && !steps)) {
        nomem(err);
        return NULL;
    }
    if (wm_map_put(&archive->names, copy, name_len, (uint32_t)archive->entry_count, &oom) != WM_MAP_NONE) {
        wm_fail(err, WMAP_E_CORRUPT, "two tensors have this name");
        wm_error_tensor(err, name, name_len);
        return NULL;
    }
    wm_entry *entry =
        oom ? NULL : wm_push(&archive->arena, archive->entries, archive->entry_count, archive->entry_cap);
    if (!entry) {
        nomem(err);
        return NULL;
    }
    entry->tensor = tensor;
    entry->strides = steps;
    return entry;
}

wm_entry *wm_archive_add_from(wmap_archive *archive, uint32_t part, size_t index, wmap_error *err)
{
    const wm_entry *from = &archive->parts[part]->entries[index];
    const wmap_tensor *t = &from->tensor;
    bool oom = false;
    if (archive->entry_count >= WM_MAX_TENSORS) {
        wm_fail(err, WMAP_E_CORRUPT, "more than %zu tensors", WM_MAX_TENSORS);
        return NULL;
    }
    if (wm_map_put(&archive->names, t->name, t->name_len, (uint32_t)archive->entry_count, &oom) !=
        WM_MAP_NONE) {
        wm_fail(err, WMAP_E_CORRUPT, "two files of the set hold a tensor of this name");
        wm_error_tensor(err, t->name, t->name_len);
        wm_error_file(err, archive->parts[part]->path);
        return NULL;
    }
    wm_entry *entry =
        oom ? NULL : wm_push(&archive->arena, archive->entries, archive->entry_count, archive->entry_cap);
    if (!entry)
        nomem(err);
    else
        *entry = (wm_entry){.tensor = *t,
                            .strides = from->strides,
                            .id = index,
                            .note = from->note,
                            .alias = from->alias,
                            .part = part + 1};
    return entry;
}

bool wm_archive_reserve(wmap_archive *archive, size_t count, wmap_error *err)
{
    if (archive->entry_count || count > WM_MAX_TENSORS)
        return true; /* too late, or too many: wm_archive_add says so */
    wm_entry *entries = wm_new(&archive->arena, wm_entry, count);
    if (!entries)
        return nomem(err);
    archive->entries = entries;
    archive->entry_cap = count;
    wm_map_init(&archive->names, &archive->arena, count);
    return true;
}

bool wm_archive_alias(wmap_archive *archive, wm_entry *entry, const char *alias, size_t len, wmap_error *err)
{
    if (len == 0 || len > WM_MAX_NAME || memchr(alias, 0, len) ||
        (len == entry->tensor.name_len && memcmp(alias, entry->tensor.name, len) == 0))
        return true;
    entry->alias = wm_copy(&archive->arena, alias, len);
    return entry->alias || nomem(err);
}

/* Bytes from the first to just after the last element; 0 if there are none. */
static bool span(const wm_entry *entry, uint64_t *bytes)
{
    const wmap_tensor *t = &entry->tensor;
    uint64_t size = wmap_dtype_size(t->dtype), last = 0, part;
    if (!entry->strides)
        return wmap_tensor_bytes(t, bytes);
    bool empty = false;
    for (uint32_t d = 0; d < t->rank; d++) {
        if (entry->strides[d] < 0)
            return false;
        if (t->shape[d] == 0)
            empty = true;
        else if (!wm_size_mul(t->shape[d] - 1, (uint64_t)entry->strides[d], &part) ||
                 !wm_size_add(last, part, &last))
            return false;
    }
    return wm_size_add(last, 1, &last) && wm_size_mul(empty ? 0 : last, size, bytes);
}

bool wm_entry_check(const wmap_archive *archive, const wm_entry *entry, uint64_t begin, uint64_t end,
                    wmap_error *err)
{
    const wm_file *file = &archive->files[entry->file];
    uint64_t bytes;
    if (span(entry, &bytes) && begin <= end && end <= file->size && entry->offset >= begin &&
        entry->offset <= end && bytes <= end - entry->offset)
        return true;
    wm_fail(err, WMAP_E_CORRUPT, "its data do not lie where the file has room for them");
    wm_error_offset(err, entry->offset);
    wm_error_file(err, shown_path(file));
    return wm_error_tensor(err, entry->tensor.name, entry->tensor.name_len);
}

bool wm_archive_meta_add(wmap_archive *archive, const char *key, size_t key_len, const char *value,
                         size_t value_len, bool own, wmap_error *err)
{
    if (!wm_utf8_valid(key, key_len) || !wm_utf8_valid(value, value_len))
        return wm_fail(err, WMAP_E_CORRUPT, "its metadata are not UTF-8");
    const char *k = wm_copy(&archive->arena, key, key_len), *v = wm_copy(&archive->arena, value, value_len);
    wm_meta *meta =
        k && v ? wm_push(&archive->arena, archive->metas, archive->meta_count, archive->meta_cap) : NULL;
    if (!meta)
        return nomem(err);
    *meta = (wm_meta){{k, key_len, v, value_len}, own};
    return true;
}

void wm_archive_warn(wmap_archive *archive, const char *format, ...)
{
    char raw[1024], *shown = NULL;
    if (archive->warning_count > MAX_WARNINGS)
        return;
    va_list args;
    va_start(args, format);
    int len = vsnprintf(raw, sizeof raw, format, args);
    va_end(args);
    if (archive->warning_count == MAX_WARNINGS)
        len = snprintf(raw, sizeof raw, "more warnings of this file are left out");
    if (len < 0)
        return;
    size_t used = (size_t)len < sizeof raw ? (size_t)len : sizeof raw - 1;
    shown = wm_alloc(&archive->arena, 2 * sizeof raw);
    char **slot =
        shown ? wm_push(&archive->arena, archive->warnings, archive->warning_count, archive->warning_cap)
              : NULL;
    if (slot)
        *slot = wm_show(shown, 2 * sizeof raw, raw, used);
}

/* The public side. */

const char *wmap_archive_path(const wmap_archive *archive)
{
    return archive->path;
}

/* A set is of the format of its files. */
const char *wmap_archive_format(const wmap_archive *archive)
{
    return archive->part_count ? wmap_archive_format(archive->parts[0]) : archive->format->name;
}

size_t wmap_archive_count(const wmap_archive *archive)
{
    return archive->entry_count;
}

const wmap_tensor *wmap_archive_tensor(const wmap_archive *archive, size_t index)
{
    return &archive->entries[index].tensor;
}

const char *wmap_archive_note(const wmap_archive *archive, size_t index)
{
    const wm_entry *entry = &archive->entries[index];
    return entry->tensor.dtype == WMAP_OPAQUE && entry->note ? entry->note : NULL;
}

const char *wmap_archive_alias(const wmap_archive *archive, size_t index)
{
    return archive->entries[index].alias;
}

uint64_t wmap_archive_size(const wmap_archive *archive)
{
    uint64_t total = 0;
    for (size_t i = 0; i < archive->file_count; i++)
        total += archive->files[i].size;
    for (size_t i = 0; i < archive->part_count; i++)
        total += wmap_archive_size(archive->parts[i]);
    return total;
}

size_t wmap_archive_meta_count(const wmap_archive *archive)
{
    return archive->meta_count;
}

const wmap_meta *wmap_archive_meta(const wmap_archive *archive, size_t index)
{
    return &archive->metas[index].pair;
}

size_t wmap_archive_warnings(const wmap_archive *archive)
{
    return archive->warning_count;
}

const char *wmap_archive_warning(const wmap_archive *archive, size_t index)
{
    return archive->warnings[index];
}
