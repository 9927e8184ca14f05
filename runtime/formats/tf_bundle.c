/* tf_bundle.c: TensorFlow's checkpoints, version 2: NAME.index, a table that says of each tensor in which of
 * the files NAME.data-0000N-of-0000M its bytes stand. TensorFlow calls it a tensor bundle. */
#include <stdlib.h>
#include <string.h>

#include "runtime/base/dtype.h"
#include "runtime/base/natural.h"
#include "runtime/base/size.h"
#include "runtime/crc.h"
#include "runtime/formats/tf.h"
#include "runtime/formats/tf_table.h"
#include "runtime/formats/tf_write.h"

#define GRAPH      "_CHECKPOINTABLE_OBJECT_GRAPH"
#define GRAPH_MOST ((uint64_t)64 << 20)
#define STREAMS    ((size_t)8 << 20)  /* bytes of memory for all of them */
#define WINDOW     ((size_t)64 << 10) /* of one of them, at most */

extern const wm_format wm_format_tensorflow;

/* An entry of the index. */
typedef struct item {
    const char *key;
    size_t key_len;
    const wm_tf_type *type;
    uint32_t rank;
    const uint64_t *shape;
    uint64_t shard, offset, size;
    uint32_t crc;       /* masked */
    const char *slices; /* the message, if it lists slices: they are read when they are needed */
    size_t slices_len, slice_count;
    bool used; /* a slice that a variable has asked for */
} item;

/* Bytes in a data file: a tensor, or a slice of one. */
typedef struct piece {
    uint32_t file;
    uint64_t offset, size;
    uint32_t crc;
} piece;

/* What decode() needs; entry->id is its index. */
typedef struct parts {
    const piece *pieces;
    const wm_tf_box *boxes;
    size_t count;
} parts;

typedef struct bundle {
    parts *list;
    size_t count, cap;
    bool swap;            /* elements are big-endian */
    const uint8_t *graph; /* see wm_tf_graph */
    size_t graph_size;
    wm_map files; /* number of a shard -> index in archive->files */
} bundle;

/* What lasts while the index is read. */
typedef struct reading {
    wmap_archive *archive;
    bundle *bundle;
    wm_arena *scratch; /* does not jump */
    item *items;
    size_t count, cap;
    bool header; /* was read */
    uint64_t shards;
    wm_map slices;   /* key of a slice -> index in items */
    uint8_t *key;    /* room for a slice's key */
    size_t base_len; /* of the name that index and data files begin with */
    const char *base;
} reading;

static bool no_memory(wmap_error *err)
{
    return wm_fail(err, WMAP_E_NOMEM, "out of memory");
}

/* --- the index --- */

/* BundleHeaderProto: 1 num_shards, 2 endianness, 3 version. */
static bool read_header(reading *r, wm_table_entry *entry)
{
    wm_tf_input *in = entry->value;
    uint64_t order = 0;
    if (entry->key_len != 0) {
        wm_tf_damaged(in, "a sorted table, but of no TensorFlow checkpoint: it has no header");
        if (in->err)
            in->err->code = WMAP_E_UNSUPPORTED;
        return false;
    }
    wm_tf_fields f = wm_tf_message(in);
    while (wm_tf_next(in, &f)) {
        if (wm_tf_is(&f, 1, WM_TF_VARINT))
            r->shards = f.value;
        else if (wm_tf_is(&f, 2, WM_TF_VARINT))
            order = f.value;
        else if (wm_tf_is(&f, 3, WM_TF_BYTES) && !wm_tf_read_version(in))
            return false;
    }
    if (in->failed)
        return false;
    if (r->shards == 0 || r->shards > INT32_MAX)
        return wm_tf_damaged(in, "its number of data files makes no sense");
    if (order > 1)
        return wm_tf_damaged(in, "its byte order is neither little nor big");
    r->bundle->swap = order == 1;
    r->header = true;
    return true;
}

#define SLICES_MOST ((uint64_t)16 << 20) /* bytes of an entry that lists slices */

/* BundleEntryProto: 1 dtype, 2 shape, 3 shard_id, 4 offset, 5 size, 6 crc32c, 7 repeated slices. */
static bool read_entry(reading *r, wm_tf_input *in, item *it)
{
    uint64_t type = 0, begin = in->at;
    wm_tf_shape shape;
    shape.rank = 0;
    wm_tf_fields f = wm_tf_message(in);
    while (wm_tf_next(in, &f)) {
        if (wm_tf_is(&f, 1, WM_TF_VARINT))
            type = f.value;
        else if (wm_tf_is(&f, 2, WM_TF_BYTES) && !wm_tf_read_shape(in, &shape))
            return false;
        else if (wm_tf_is(&f, 3, WM_TF_VARINT))
            it->shard = f.value;
        else if (wm_tf_is(&f, 4, WM_TF_VARINT))
            it->offset = f.value;
        else if (wm_tf_is(&f, 5, WM_TF_VARINT))
            it->size = f.value;
        else if (wm_tf_is(&f, 6, WM_TF_FIXED32))
            it->crc = (uint32_t)f.value;
        else if (wm_tf_is(&f, 7, WM_TF_BYTES))
            it->slice_count++;
    }
    if (in->failed)
        return false;
    it->type = wm_tf_type_of(type);
    if (!it->type)
        return wm_tf_damaged(in, "a type that no checkpoint may hold");
    it->rank = shape.rank;
    uint64_t *copy = wm_new(r->scratch, uint64_t, shape.rank);
    if (!copy)
        return no_memory(in->err);
    if (shape.rank)
        memcpy(copy, shape.dims, shape.rank * sizeof *copy);
    it->shape = copy;
    in->at = begin;
    it->slices = it->slice_count ? wm_tf_copy(in, r->scratch, SLICES_MOST, &it->slices_len) : NULL;
    return !in->failed;
}

static bool add_entry(void *user, wm_table_entry *entry, wmap_error *err)
{
    reading *r = user;
    if (!r->header)
        return read_header(r, entry);
    if (r->count >= WM_MAX_TENSORS)
        return wm_tf_damaged(entry->value, "more than 1000000 tensors and slices");
    item *it = wm_push(r->scratch, r->items, r->count, r->cap);
    char *key = it ? wm_copy(r->scratch, (const char *)entry->key, entry->key_len) : NULL;
    bool oom = false;
    if (!key)
        return no_memory(err);
    it->key = key;
    it->key_len = entry->key_len;
    if (!read_entry(r, entry->value, it)) {
        bool slice = entry->key_len && entry->key[0] == 0;
        return slice ? false : wm_error_tensor(err, key, entry->key_len);
    }
    if (key[0] == 0)
        wm_map_put(&r->slices, key, it->key_len, (uint32_t)(r->count - 1), &oom);
    return !oom || no_memory(err);
}

/* --- where the bytes are --- */

/* The index in archive->files of a data file, opened when it is first needed. */
static bool open_shard(reading *r, uint64_t shard, uint32_t *file, wmap_error *err)
{
    bool oom = false;
    if (shard >= r->shards)
        return wm_fail(err, WMAP_E_CORRUPT, "it stands in data file %llu of %llu", (unsigned long long)shard,
                       (unsigned long long)r->shards);
    *file = wm_map_get(&r->bundle->files, &shard, sizeof shard);
    if (*file != WM_MAP_NONE)
        return true;
    if (!r->base)
        return wm_fail(err, WMAP_E_UNSUPPORTED,
                       "its data files are found by the name of the index, which must end in .index");
    char *name = wm_format_text(r->scratch, "%.*s.data-%05llu-of-%05llu", (int)r->base_len, r->base,
                                (unsigned long long)shard, (unsigned long long)r->shards);
    uint64_t *key = wm_new(&r->archive->arena, uint64_t, 1);
    if (!name || !key)
        return no_memory(err);
    *file = wm_archive_add_file(r->archive, name, err);
    if (*file == UINT32_MAX)
        return false;
    if (*file >= WM_KEPT_OPEN)
        wm_archive_rest(r->archive, *file);
    *key = shard;
    wm_map_put(&r->bundle->files, key, sizeof *key, *file, &oom);
    return !oom || no_memory(err);
}

static bool find_piece(reading *r, const item *it, piece *to, wmap_error *err)
{
    uint64_t count, bytes = 0, end;
    if (!open_shard(r, it->shard, &to->file, err))
        return false;
    const wm_file *file = &r->archive->files[to->file];
    bool sized = wm_shape_count(it->shape, it->rank, &count) && wm_size_mul(count, it->type->width, &bytes);
    if (!sized)
        return wm_fail(err, WMAP_E_CORRUPT, "its shape means 2^63 bytes or more");
    if (it->type->width && bytes != it->size)
        return wm_fail(err, WMAP_E_CORRUPT, "its shape needs %llu bytes, but the index says %llu",
                       (unsigned long long)bytes, (unsigned long long)it->size);
    if (!wm_size_add(it->offset, it->size, &end) || end > file->size) {
        wm_fail(err, WMAP_E_CORRUPT, "its bytes reach beyond the end of its data file");
        wm_error_offset(err, it->offset);
        return wm_error_file(err, file->path);
    }
    to->offset = it->offset;
    to->size = it->size;
    to->crc = wm_crc32c_unmask(it->crc);
    return true;
}

static bool find_slice(reading *r, const item *it, const wm_tf_slice *slice, const wm_tf_box *box, piece *to,
                       wmap_error *err)
{
    size_t len = wm_tf_slice_key(r->key, it->key, it->key_len, slice);
    uint32_t index = len ? wm_map_get(&r->slices, r->key, len) : WM_MAP_NONE;
    if (index == WM_MAP_NONE)
        return wm_fail(err, WMAP_E_CORRUPT, "one of its slices is missing from the index");
    item *part = &r->items[index];
    bool same = part->type == it->type && part->rank == it->rank && !part->slice_count;
    for (uint32_t d = 0; same && d < it->rank; d++)
        same = part->shape[d] == box->size[d];
    if (!same)
        return wm_fail(err, WMAP_E_CORRUPT, "one of its slices has another type or shape than it should");
    part->used = true;
    return find_piece(r, part, to, err);
}

/* Finds the slices of a variable and makes sure that they are all of it. */
static bool find_slices(reading *r, const item *it, parts *to, wmap_error *err)
{
    wm_arena *arena = &r->archive->arena;
    if (it->slice_count > WM_TF_BOXES)
        return wm_fail(err, WMAP_E_UNSUPPORTED, "more than %zu slices", WM_TF_BOXES);
    wm_tf_box *boxes = wm_new(arena, wm_tf_box, it->slice_count);
    piece *pieces = wm_new(arena, piece, it->slice_count);
    if (!boxes || !pieces)
        return no_memory(err);
    wm_tf_slice slice;
    size_t i = 0;
    wm_tf_input in = wm_tf_memory(r->archive, 0, it->slices, it->slices_len, 0, err);
    wm_tf_fields f = wm_tf_message(&in);
    while (wm_tf_next(&in, &f)) {
        if (!wm_tf_is(&f, 7, WM_TF_BYTES))
            continue;
        slice.rank = 0;
        if (!wm_tf_read_slice(&in, &slice) ||
            !wm_tf_box_of(arena, &slice, it->rank, it->shape, &boxes[i], err) ||
            !find_slice(r, it, &slice, &boxes[i], &pieces[i], err))
            return false;
        i++;
    }
    if (in.failed)
        return false;
    *to = (parts){pieces, boxes, it->slice_count};
    return wm_tf_tiles(it->rank, it->shape, boxes, it->slice_count, err);
}

/* What wmap has no type for, another checkpoint may have. */
static bool add_raw(reading *r, const item *it, const piece *at, wm_entry *entry, wmap_error *err)
{
    if (it->type->number == WM_TF_VARIANT || (r->bundle->swap && it->type->width > 1))
        return true;
    wm_raw *raw = wm_new(&r->archive->arena, wm_raw, 1);
    if (!raw)
        return no_memory(err);
    *raw = (wm_raw){.of = &wm_format_tensorflow,
                    .type = it->type->number,
                    .file = at->file,
                    .offset = at->offset,
                    .size = at->size,
                    .crc = at->crc,
                    .big_endian = r->bundle->swap};
    entry->raw = raw;
    return true;
}

static bool place(reading *r, const item *it, wm_entry *entry, wmap_error *err)
{
    wm_arena *arena = &r->archive->arena;
    const wm_dtype_info *info = wm_dtype(it->type->dtype);
    parts found = {0};
    if (it->slice_count) {
        if (!find_slices(r, it, &found, err))
            return false;
    } else {
        piece *only = wm_new(arena, piece, 1);
        wm_tf_box *box = wm_new(arena, wm_tf_box, 1);
        uint64_t *zeros = wm_new(arena, uint64_t, it->rank);
        if (!only || !box || !zeros)
            return no_memory(err);
        if (!find_piece(r, it, only, err))
            return false;
        *box = (wm_tf_box){zeros, entry->tensor.shape};
        found = (parts){only, box, 1};
    }
    if (!info) {
        entry->note = it->type->note;
        return it->slice_count || add_raw(r, it, found.pieces, entry, err);
    }
    if (!it->slice_count && (!r->bundle->swap || info->align == 1)) {
        wm_sum *sum = wm_new(arena, wm_sum, 1);
        if (!sum)
            return no_memory(err);
        *sum = (wm_sum){.begin = found.pieces->offset,
                        .size = found.pieces->size,
                        .crc32 = found.pieces->crc,
                        .castagnoli = true};
        entry->direct = true;
        entry->file = found.pieces->file;
        entry->offset = found.pieces->offset;
        entry->sum = sum;
        return wm_entry_check(r->archive, entry, entry->offset, entry->offset + it->size, err);
    }
    entry->id = r->bundle->count;
    parts *slot = wm_push(arena, r->bundle->list, r->bundle->count, r->bundle->cap);
    if (slot)
        *slot = found;
    return slot || no_memory(err);
}

/* --- opening --- */

/* The index is sorted by bytes, in which 10 comes before 2. */
static int compare_items(const void *left, const void *right)
{
    const item *a = *(const item *const *)left, *b = *(const item *const *)right;
    return wm_natural_compare(a->key, a->key_len, b->key, b->key_len);
}

/* It is no weight: it says how the others belong together, like the lists of names in an HDF5 file. */
static bool is_graph(const item *it)
{
    return it->key_len == strlen(GRAPH) && memcmp(it->key, GRAPH, it->key_len) == 0 &&
           it->type->number == WM_TF_STRING;
}

static bool add_tensors(reading *r, wmap_error *err)
{
    const item **sorted = wm_new(r->scratch, const item *, r->count);
    size_t count = 0;
    if (!sorted)
        return no_memory(err);
    for (size_t i = 0; i < r->count; i++)
        if (r->items[i].key[0] != 0 && !is_graph(&r->items[i]))
            sorted[count++] = &r->items[i];
    if (count)
        qsort(sorted, count, sizeof *sorted, compare_items);
    if (!wm_archive_reserve(r->archive, count, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        const item *it = sorted[i];
        wm_entry *entry =
            wm_archive_add(r->archive, it->key, it->key_len, it->type->dtype, it->rank, it->shape, NULL, err);
        if (!entry)
            return false;
        if (!place(r, it, entry, err))
            return wm_error_tensor(err, it->key, it->key_len);
    }
    size_t unused = 0;
    for (size_t i = 0; i < r->count; i++)
        unused += r->items[i].key[0] == 0 && !r->items[i].used;
    if (unused)
        wm_archive_warn(r->archive, "%zu slice%s that belong%s to no tensor %s ignored", unused,
                        unused == 1 ? "" : "s", unused == 1 ? "s" : "", unused == 1 ? "is" : "are");
    return true;
}

/* Two variables of one full name: are they copies? Keras' export writes each variable twice. */
static bool same_bytes(const wmap_archive *archive, size_t i, size_t j)
{
    const wm_entry *a = &archive->entries[i], *b = &archive->entries[j];
    return a->direct && b->direct && a->tensor.dtype == b->tensor.dtype && a->sum->crc32 == b->sum->crc32 &&
           a->sum->size == b->sum->size && a->tensor.rank == b->tensor.rank &&
           memcmp(a->tensor.shape, b->tensor.shape, a->tensor.rank * sizeof *a->tensor.shape) == 0;
}

/* The text of a tensor that holds one: the length as a varint, a CRC of the length, the bytes. */
static uint8_t *read_text(reading *r, const item *it, uint64_t *size, wmap_error *err)
{
    uint8_t window[16], fixed[12];
    piece at;
    *size = 0;
    if (it->type->number != WM_TF_STRING || it->rank != 0 || it->slice_count) {
        wm_fail(err, WMAP_E_CORRUPT, "not a text");
        return NULL;
    }
    if (!find_piece(r, it, &at, err))
        return NULL;
    size_t head = at.size < sizeof window ? (size_t)at.size : sizeof window;
    if (!wm_archive_read(r->archive, at.file, at.offset, window, head, err))
        return NULL;
    wm_tf_input in = wm_tf_memory(r->archive, at.file, window, head, at.offset, err);
    uint64_t length = wm_tf_varint(&in);
    const uint8_t *sum = wm_tf_take(&in, 4);
    if (!sum || length > GRAPH_MOST || in.at + length != at.size) {
        wm_fail(err, WMAP_E_CORRUPT, "a text whose length makes no sense");
        return NULL;
    }
    for (unsigned i = 0; i < 4; i++)
        fixed[i] = (uint8_t)(length >> (8 * (r->bundle->swap ? 3 - i : i)));
    memcpy(fixed + 4, sum, 4);
    uint8_t *bytes = wm_alloc(&r->archive->arena, (size_t)length);
    if (!bytes) {
        no_memory(err);
        return NULL;
    }
    if (!wm_archive_read(r->archive, at.file, at.offset + in.at, bytes, length, err))
        return NULL;
    if (wm_crc32c(wm_crc32c(0, fixed, 8), bytes, (size_t)length) != at.crc) {
        wm_fail(err, WMAP_E_CORRUPT, "wrong CRC");
        return NULL;
    }
    *size = length;
    return bytes;
}

/* Object-based checkpoints call a variable by the path on which it was found; the graph says its name. */
static bool add_full_names(reading *r, wmap_error *err)
{
    for (size_t i = 0; i < r->count; i++) {
        const item *it = &r->items[i];
        wmap_error failure = {0};
        uint64_t size;
        if (!is_graph(it))
            continue;
        const uint8_t *graph = read_text(r, it, &size, &failure);
        if (graph) {
            r->bundle->graph = graph;
            r->bundle->graph_size = (size_t)size;
        }
        if (graph)
            return wm_tf_add_full_names(r->archive, graph, (size_t)size, same_bytes, err);
        if (failure.code == WMAP_E_NOMEM)
            return no_memory(err);
        wm_archive_warn(r->archive, "its object graph can't be read (%s), so variables have no full names",
                        failure.message);
    }
    return true;
}

const uint8_t *wm_tf_graph(const wmap_archive *archive, size_t *size)
{
    const bundle *b = archive->format == &wm_format_tensorflow ? archive->state : NULL;
    *size = b ? b->graph_size : 0;
    return b ? b->graph : NULL;
}

static void find_base(reading *r)
{
    const char *path = r->archive->files[0].path, *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    size_t len = strlen(name);
    if (len >= 6 && strcmp(name + len - 6, ".index") == 0) {
        r->base = name;
        r->base_len = len - 6;
    }
}

/* Reads the index into r->items. */
static bool read_index(reading *r, wmap_error *err)
{
    wm_table table;
    r->key = wm_alloc(r->scratch, WM_TF_TEXT);
    wm_map_init(&r->slices, r->scratch, 0);
    find_base(r);
    return (r->key || no_memory(err)) && wm_table_open(&table, r->archive, 0, r->scratch, err) &&
           wm_table_scan(&table, true, add_entry, r, err) &&
           (r->header ||
            wm_fail(err, WMAP_E_UNSUPPORTED, "a sorted table, but of no TensorFlow checkpoint: it is empty"));
}

static bool open_bundle(wmap_archive *archive, wmap_error *err)
{
    wm_arena scratch;
    bundle *b = wm_new(&archive->arena, bundle, 1);
    if (!b)
        return no_memory(err);
    archive->state = b;
    wm_map_init(&b->files, &archive->arena, 0);
    wm_arena_init(&scratch);
    reading r = {.archive = archive, .scratch = &scratch, .bundle = b};
    bool ok = read_index(&r, err) && add_tensors(&r, err) && add_full_names(&r, err);
    wm_arena_release(&scratch);
    return ok;
}

/* The index is read again, so that archives that are no templates need not keep all this. */
const wm_tf_raw *wm_tf_raws(wmap_archive *archive, wm_arena *arena, size_t *count, wmap_error *err)
{
    *count = 0;
    if (archive->format != &wm_format_tensorflow) {
        wm_fail(err, WMAP_E_UNSUPPORTED,
                "a TensorFlow checkpoint is written after another one of version 2, and this is %s",
                archive->format->name);
        return NULL;
    }
    reading r = {.archive = archive, .scratch = arena, .bundle = archive->state};
    if (!read_index(&r, err))
        return NULL;
    wm_tf_raw *raws = wm_new(arena, wm_tf_raw, r.count);
    if (!raws)
        no_memory(err);
    for (size_t i = 0; raws && i < r.count; i++) {
        const item *it = &r.items[i];
        piece at = {0};
        if (it->key[0] == 0)
            continue;
        if (!it->slice_count && !find_piece(&r, it, &at, err)) {
            wm_error_tensor(err, it->key, it->key_len);
            return NULL;
        }
        uint64_t bytes = at.size;
        bool whole = !it->slice_count, as_is = whole && (!r.bundle->swap || it->type->width <= 1);
        uint32_t index = as_is ? WM_MAP_NONE : wm_map_get(&archive->names, it->key, it->key_len);
        bool decoded = index != WM_MAP_NONE && wm_dtype(it->type->dtype);
        if (decoded && !wmap_tensor_bytes(&archive->entries[index].tensor, &bytes))
            decoded = false;
        raws[(*count)++] = (wm_tf_raw){.key = it->key,
                                       .key_len = it->key_len,
                                       .type = it->type->number,
                                       .rank = it->rank,
                                       .shape = it->shape,
                                       .file = at.file,
                                       .offset = at.offset,
                                       .size = bytes,
                                       .crc = at.crc,
                                       .swapped = r.bundle->swap,
                                       .kept = as_is || decoded,
                                       .decoded = decoded ? index : SIZE_MAX};
    }
    return raws;
}

/* V1 is asked first: what else ends like a table is ours to refuse. */
static bool probe(wmap_archive *archive)
{
    return wm_table_looks(archive, 0);
}

/* --- decoding --- */

/* A piece that is read from front to back. */
typedef struct stream {
    uint64_t at; /* bytes that were read from the file */
    uint8_t *window;
    size_t begin, end; /* what is left in it */
    uint32_t crc;
} stream;

typedef struct reader {
    wmap_archive *archive;
    const piece *pieces;
    stream *streams;
    size_t room;    /* bytes of each stream's window */
    uint32_t align; /* bytes that are turned around */
} reader;

static bool fill(reader *r, const piece *p, stream *s, wmap_error *err)
{
    uint64_t left = p->size - s->at;
    size_t more = left < r->room ? (size_t)left : r->room;
    if (!s->window)
        s->window = malloc(r->room);
    if (!s->window)
        return no_memory(err);
    if (!wm_archive_read(r->archive, p->file, p->offset + s->at, s->window, more, err))
        return false;
    s->at += more;
    s->begin = 0;
    s->end = more;
    s->crc = wm_crc32c(s->crc, s->window, more);
    if (s->at == p->size && s->crc != p->crc) {
        wm_fail(err, WMAP_E_CORRUPT, "wrong CRC: the index says %08x, its bytes give %08x", p->crc, s->crc);
        wm_error_offset(err, p->offset);
        return wm_error_file(err, r->archive->files[p->file].path);
    }
    return true;
}

static void copy_turned(uint8_t *to, const uint8_t *from, size_t size, uint32_t align)
{
    for (size_t i = 0; i < size; i += align)
        for (uint32_t k = 0; k < align; k++)
            to[i + k] = from[i + align - 1 - k];
}

static bool read_piece(void *user, size_t box, uint8_t *to, size_t size, wmap_error *err)
{
    reader *r = user;
    stream *s = &r->streams[box];
    const piece *p = &r->pieces[box];
    while (size) {
        if (s->begin == s->end && !fill(r, p, s, err))
            return false;
        size_t have = s->end - s->begin, step = size < have ? size : have;
        copy_turned(to, s->window + s->begin, step, r->align);
        s->begin += step;
        to += step;
        size -= step;
    }
    if (s->begin == s->end && s->at == p->size) {
        free(s->window); /* it was the last; others may be many */
        s->window = NULL;
    }
    return true;
}

static bool decode(wmap_archive *archive, const wm_entry *entry, wm_sink *sink, wmap_error *err)
{
    const bundle *b = archive->state;
    const parts *p = &b->list[entry->id];
    const wm_dtype_info *info = wm_dtype(entry->tensor.dtype);
    size_t share = STREAMS / p->count & ~(size_t)15;
    reader r = {.archive = archive,
                .pieces = p->pieces,
                .streams = calloc(p->count, sizeof *r.streams),
                .room = share < WINDOW ? share : WINDOW,
                .align = b->swap ? info->align : 1};
    bool ok = (r.streams || no_memory(err)) &&
              wm_tf_join(&entry->tensor, p->boxes, p->count, read_piece, &r, sink, err);
    for (size_t i = 0; r.streams && i < p->count; i++)
        free(r.streams[i].window);
    free(r.streams);
    return ok;
}

const wm_format wm_format_tensorflow = {
    .name = "tensorflow",
    .title = "TensorFlow checkpoint",
    .suffixes = ".index",
    .probe = probe,
    .open = open_bundle,
    .decode = decode,
    .locate = wm_tf_locate,
    .layout = wm_tf_layout,
    .finish = wm_tf_finish,
    .sum = WM_SUM_CRC32C,
    .shards = true,
    .likes = true,
    .raws = true,
    .in_folder = "model.ckpt",
};
