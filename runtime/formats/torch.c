/* torch.c: PyTorch's files. Here are the zip files, written by torch.save since 1.6, and by torch.jit.save:
 * one folder holds data.pkl, the pickled object; data/KEY, the bytes of each storage; `version` and
 * `byteorder`. What came before is in torch_stream.c and torch_tar.c. Nothing is ever unpickled: pickles are
 * read as data (pickle.h), and what tensors they hold is torch_tree.c's business. */
#include "runtime/formats/torch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/dtype.h"
#include "runtime/base/size.h"
#include "runtime/formats/zip.h"

#define CHUNK ((size_t)256 << 10)
#define MAX_WINDOW                                                                                           \
    ((uint64_t)1 << 30) /* bytes held in memory to gather a strided view that can't be mapped */
#define MAX_TOP 4096    /* bytes of the folder's name */

/* What torch reads: 1 to 10 (caffe2/serialize/versions.h). */
#define MIN_VERSION 1
#define MAX_VERSION 10

/* ---- records ---- */

/* The folder, which is that of the first member, with its slash; 0 if there is none. */
static size_t top_folder(const wm_zip *zip)
{
    if (!zip->count)
        return 0;
    const wm_zip_member *first = &zip->members[0];
    const char *slash = memchr(first->name, '/', first->name_len);
    size_t len = slash ? (size_t)(slash - first->name) + 1 : 0;
    return len <= MAX_TOP ? len : 0;
}

/* The record `name` below the folder, NULL if there is none. */
static const wm_zip_member *find_record(const wm_zip *zip, const char *name, size_t name_len)
{
    char path[MAX_TOP + WM_MAX_NAME / 16];
    size_t top = top_folder(zip);
    if (!top || name_len > sizeof path - top)
        return NULL;
    memcpy(path, zip->members[0].name, top);
    memcpy(path + top, name, name_len);
    return wm_zip_find(zip, path, top + name_len);
}

static const wm_zip_member *record(const wm_zip *zip, const char *name)
{
    return find_record(zip, name, strlen(name));
}

static bool probe(wmap_archive *archive)
{
    if (!wm_zip_looks(archive))
        return wm_torch_stream_probe(archive) || wm_torch_tar_probe(archive);
    const wm_zip *zip = wm_archive_zip(archive, NULL);
    return zip && record(zip, "data.pkl");
}

/* A short text record; the bytes, and how many. */
static bool small_record(wmap_archive *archive, const wm_zip_member *member, char *text, size_t size,
                         size_t *len, wmap_error *err)
{
    if (!wm_zip_peek(archive, member, text, size, len, err))
        return false;
    if (*len == size) {
        wm_fail(err, WMAP_E_CORRUPT, "longer than such a record can be");
        wm_error_tensor(err, member->name, member->name_len);
        return wm_error_offset(err, member->data);
    }
    text[*len] = 0;
    return true;
}

static bool check_version(wmap_archive *archive, const wm_zip *zip, wmap_error *err)
{
    const wm_zip_member *member = record(zip, "version");
    if (!member)
        member = record(zip, ".data/version");
    if (!member)
        return wm_fail(err, WMAP_E_CORRUPT, "a torch file without its version record");
    char text[32];
    size_t len;
    if (!small_record(archive, member, text, sizeof text, &len, err))
        return false;
    size_t digits = strspn(text, "0123456789");
    unsigned long version = digits && digits < 10 ? strtoul(text, NULL, 10) : digits ? MAX_VERSION + 1 : 0;
    if (!digits || (text[digits] && strcmp(text + digits, "\n") != 0) || version < MIN_VERSION)
        wm_fail(err, WMAP_E_CORRUPT, "the version of a torch file is no number");
    else if (version > MAX_VERSION)
        wm_fail(err, WMAP_E_UNSUPPORTED, "version %.*s of torch's files is not known, only 1 to 10",
                (int)digits, text);
    else
        return true;
    wm_error_tensor(err, member->name, member->name_len);
    return wm_error_offset(err, member->data);
}

static bool read_byteorder(wmap_archive *archive, const wm_zip *zip, bool *big, wmap_error *err)
{
    const wm_zip_member *member = record(zip, "byteorder");
    *big = false;
    if (!member)
        return true;
    char text[16];
    size_t len;
    if (!small_record(archive, member, text, sizeof text, &len, err))
        return false;
    *big = len == 3 && memcmp(text, "big", 3) == 0;
    if (*big || (len == 6 && memcmp(text, "little", 6) == 0))
        return true;
    wm_fail(err, WMAP_E_CORRUPT, "the byte order is neither \"little\" nor \"big\"");
    wm_error_tensor(err, member->name, member->name_len);
    return wm_error_offset(err, member->data);
}

/* ---- opening ---- */

static bool find_storage(wm_torch *torch, wm_torch_storage *storage, wmap_error *err)
{
    char name[1024];
    const wm_zip *zip = torch->archive->zip;
    const wm_zip_member *member = NULL;
    size_t folder = strlen(torch->folder);
    if (storage->key_len <= sizeof name - folder) {
        memcpy(name, torch->folder, folder);
        memcpy(name + folder, storage->key, storage->key_len);
        member = find_record(zip, name, storage->key_len + folder);
    }
    if (!member)
        return wm_fail(err, WMAP_E_CORRUPT, "there is no record for its storage");
    storage->member = (uint32_t)(member - zip->members);
    storage->bytes = member->usize;
    storage->stored = member->method == WM_ZIP_STORED;
    storage->offset = member->data;
    return true;
}

/* A pickle whose storages are in `folder`; the names of its tensors begin with `under`. */
static bool open_pickle(wm_torch *torch, const wm_zip_member *member, const char *folder, const char *under,
                        wmap_error *err)
{
    wm_pickle pickle;
    const uint8_t *bytes = wm_zip_load(torch->archive, member, WM_MAX_HEADER, WM_ZIP_CRC_WARN, err);
    if (!bytes)
        return false;
    torch->folder = folder;
    wm_pickle_init(&pickle);
    torch->pickle = &pickle;
    bool stored = member->method == WM_ZIP_STORED;
    uint64_t begin = stored ? member->data : 0;
    torch->at = (wm_pickled_source){.begin = begin, .end = begin + member->usize, .bytes = bytes};
    torch->packed = stored ? NULL : member;
    wm_cursor cursor = wm_cursor_of(bytes, (size_t)member->usize, begin);
    wm_pickle_node *root = wm_pickle_read(&pickle, &cursor, err);
    bool done = root != NULL;
    if (done && wm_cursor_left(&cursor)) {
        done = wm_fail(err, WMAP_E_CORRUPT, "bytes follow the end of the pickle");
        wm_error_offset(err, wm_cursor_offset(&cursor));
    }
    done = done && wm_torch_walk(torch, root, under, err);
    if (!done && err) {
        if (!stored)
            wm_error_offset_of(err, "data.pkl");
        wm_error_tensor(err, member->name, member->name_len);
    }
    wm_pickle_release(&pickle);
    torch->pickle = NULL;
    return done;
}

static bool open_zip(wm_torch *torch, wmap_error *err)
{
    wmap_archive *archive = torch->archive;
    const wm_zip *zip = wm_archive_zip(archive, err);
    if (!zip)
        return false;
    const wm_zip_member *member = record(zip, "data.pkl");
    if (!member)
        return wm_fail(err, WMAP_E_CORRUPT, "a torch file without its data.pkl");
    torch->find = find_storage;
    if (!wm_zip_alone(zip, member, err) || !check_version(archive, zip, err) ||
        !read_byteorder(archive, zip, &torch->big_endian, err))
        return false;
    if (!open_pickle(torch, member, "data/", NULL, err))
        return false;
    /* TorchScript: what its code calls CONSTANTS.c0, c1 ... A frozen module has all its weights there. */
    member = record(zip, "constants.pkl");
    return !member || open_pickle(torch, member, "constants/", "CONSTANTS", err);
}

static bool open_torch(wmap_archive *archive, wmap_error *err)
{
    wm_torch *torch = wm_new(&archive->arena, wm_torch, 1);
    if (!torch)
        return wm_fail(err, WMAP_E_NOMEM, "out of memory while opening a torch file");
    torch->archive = archive;
    archive->state = torch;
    if (wm_zip_looks(archive))
        return open_zip(torch, err);
    return wm_torch_tar_probe(archive) ? wm_torch_tar_open(torch, err) : wm_torch_stream_open(torch, err);
}

/* ---- decoding ---- */

/* Passes on the bytes [from, to) of what is put into it. */
typedef struct part {
    wm_sink sink;
    wm_sink *next;
    uint64_t at, from, to;
} part;

static bool part_put(wm_sink *sink, const void *bytes, size_t size, wmap_error *err)
{
    part *p = (part *)sink;
    uint64_t begin = p->at, end = p->at + size;
    p->at = end;
    if (begin < p->from)
        begin = p->from;
    if (end > p->to)
        end = p->to;
    if (begin >= end)
        return true;
    size_t skip = size - (size_t)(p->at - begin);
    return p->next->put(p->next, (const uint8_t *)bytes + skip, (size_t)(end - begin), err);
}

/* Sends the bytes [from, to) of a storage. */
static bool send_bytes(wmap_archive *archive, const wm_torch_storage *storage, uint64_t from, uint64_t to,
                       wm_sink *sink, wmap_error *err)
{
    if (!storage->stored) {
        part p = {.sink = {part_put}, .next = sink, .from = from, .to = to};
        return wm_zip_stream(archive, &archive->zip->members[storage->member], &p.sink, err);
    }
    uint8_t *buffer = malloc(CHUNK);
    bool done = buffer || wm_fail(err, WMAP_E_NOMEM, "out of memory while reading a tensor");
    while (done && from < to) {
        size_t size = to - from < CHUNK ? (size_t)(to - from) : CHUNK;
        done = wm_archive_read(archive, 0, storage->offset + from, buffer, size, err) &&
               sink->put(sink, buffer, size, err);
        from += size;
    }
    free(buffer);
    return done;
}

/* Turns elements as they are stored into what they mean. Bytes come in any portions; whole elements go out.
 */
typedef struct turn {
    wm_sink sink;
    wm_sink *next;
    uint32_t size, align; /* bytes of an element, and of its part that a swap turns around */
    bool swap, conjugate, negate;
    size_t used;
    uint8_t bytes[CHUNK];
} turn;

static void turn_element(const turn *t, uint8_t *e)
{
    for (uint32_t i = 0; t->swap && i < t->size; i += t->align)
        for (uint32_t a = i, b = i + t->align - 1; a < b; a++, b--) {
            uint8_t keep = e[a];
            e[a] = e[b];
            e[b] = keep;
        }
    if (t->negate && t->align < t->size)
        e[t->align - 1] ^= 0x80; /* the sign of the real part */
    if (t->negate != t->conjugate)
        e[t->size - 1] ^= 0x80; /* of the imaginary part, or of all */
}

static bool turn_flush(turn *t, wmap_error *err)
{
    for (size_t i = 0; i + t->size <= t->used; i += t->size)
        turn_element(t, t->bytes + i);
    bool done = !t->used || t->next->put(t->next, t->bytes, t->used, err);
    t->used = 0;
    return done;
}

static bool turn_put(wm_sink *sink, const void *bytes, size_t size, wmap_error *err)
{
    turn *t = (turn *)sink;
    const uint8_t *from = bytes;
    while (size) {
        size_t room = sizeof t->bytes - t->used,
               n = size < room ? size : room; /* sizeof is a multiple of 16 */
        memcpy(t->bytes + t->used, from, n);
        t->used += n;
        from += n;
        size -= n;
        if (t->used == sizeof t->bytes && !turn_flush(t, err))
            return false;
    }
    return true;
}

/* Fills a buffer. */
typedef struct fill {
    wm_sink sink;
    uint8_t *to;
    uint64_t left;
} fill;

static bool fill_put(wm_sink *sink, const void *bytes, size_t size, wmap_error *err)
{
    fill *f = (fill *)sink;
    if (size > f->left)
        return wm_fail(err, WMAP_E_INTERNAL, "more bytes of a storage than there should be");
    memcpy(f->to, bytes, size);
    f->to += size;
    f->left -= size;
    return true;
}

/* Sends the elements of a strided view, whose first element stands at `base`, in row-major order. */
static bool send_strided(const wmap_tensor *tensor, const int64_t *strides, const uint8_t *base,
                         uint32_t width, wm_sink *sink, wmap_error *err)
{
    uint64_t index[WMAP_MAX_RANK] = {0};
    uint64_t at = 0;
    uint32_t rank = tensor->rank;
    for (;;) {
        if (!sink->put(sink, base + at * width, width, err))
            return false;
        uint32_t d = rank;
        while (d-- > 0) {
            at += (uint64_t)strides[d];
            if (++index[d] < tensor->shape[d])
                break;
            at -= (uint64_t)strides[d] * tensor->shape[d];
            index[d] = 0;
        }
        if (d == UINT32_MAX)
            return true;
    }
}

/* A strided view: the storage from its first to its last element is held in memory. */
static bool decode_strided(wmap_archive *archive, const wm_torch_storage *storage, const wm_entry *entry,
                           const wm_torch_view *view, uint32_t width, wm_sink *sink, wmap_error *err)
{
    uint64_t first = view->first, last = first;
    for (uint32_t d = 0; d < entry->tensor.rank; d++)
        last += (entry->tensor.shape[d] - 1) * (uint64_t)view->strides[d]; /* checked when it was opened */
    uint64_t size = (last - first + 1) * width;
    if (size > MAX_WINDOW)
        return wm_fail(err, WMAP_E_UNSUPPORTED,
                       "a view with strides into more than 1 GiB of compressed or byte-swapped data");
    uint8_t *buffer = malloc((size_t)size); /* bytes that are there: at most what the record holds */
    if (!buffer)
        return wm_fail(err, WMAP_E_NOMEM, "out of memory while reading a tensor");
    fill f = {.sink = {fill_put}, .to = buffer, .left = size};
    bool done = send_bytes(archive, storage, first * width, (last + 1) * width, &f.sink, err);
    if (done && f.left)
        done = wm_fail(err, WMAP_E_CORRUPT, "its storage is cut off");
    done = done && send_strided(&entry->tensor, view->strides, buffer, width, sink, err);
    free(buffer);
    return done;
}

static bool decode(wmap_archive *archive, const wm_entry *entry, wm_sink *sink, wmap_error *err)
{
    const wm_torch *torch = archive->state;
    if (entry->id < WM_TORCH_VIEW)
        return wm_items_decode(archive, &torch->items, entry, sink, err);
    const wm_torch_view *view = &torch->views[entry->id - WM_TORCH_VIEW];
    const wm_torch_storage *storage = &torch->storages[view->storage];
    const wm_dtype_info *info = wm_dtype(entry->tensor.dtype);
    uint64_t count;
    if (!info || !wm_shape_count(entry->tensor.shape, entry->tensor.rank, &count))
        return wm_fail(err, WMAP_E_INTERNAL, "an entry of a torch file that has no elements to decode");
    if (!count)
        return true;
    turn *t = malloc(sizeof *t);
    if (!t)
        return wm_fail(err, WMAP_E_NOMEM, "out of memory while reading a tensor");
    t->sink.put = turn_put;
    t->next = sink;
    t->size = info->size;
    t->align = info->align;
    t->swap = torch->big_endian && info->align > 1;
    t->conjugate = view->conjugate;
    t->negate = view->negate;
    t->used = 0;
    bool done;
    if (view->strides)
        done = decode_strided(archive, storage, entry, view, info->size, &t->sink, err);
    else
        done = send_bytes(archive, storage, view->first * info->size, (view->first + count) * info->size,
                          &t->sink, err);
    done = done && turn_flush(t, err);
    free(t);
    return done || wm_error_tensor(err, entry->tensor.name, entry->tensor.name_len);
}

const wm_format wm_format_torch = {
    .name = "torch",
    .title = "PyTorch",
    .suffixes = ".pth .pt .bin .ckpt",
    .probe = probe,
    .open = open_torch,
    .decode = decode,
    .layout = wm_torch_layout,
    .finish = wm_torch_finish,
    .sum = WM_SUM_CRC32,
    .shards = true,
    .in_folder = "pytorch_model.bin",
};
