/* tf_v1.c: TensorFlow's checkpoints, version 1, of before 2017: one table, or one a shard, that holds the
 * tensors themselves as protobuf messages. The entry of the empty key lists them; each other one is a tensor
 * or a slice of one. Floats stand packed in a message and are read in place; integers are varints. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/dtype.h"
#include "runtime/base/natural.h"
#include "runtime/base/size.h"
#include "runtime/formats/tf.h"
#include "runtime/formats/tf_table.h"
#include "runtime/spool.h"

#define STREAMS ((size_t)8 << 20) /* bytes of memory for the windows of a variable's slices */

/* A value of a table. */
typedef struct record {
    uint32_t file; /* the table, or the temporary file that its compressed blocks were unpacked to */
    uint64_t at, size;
    wm_sum *sum; /* of the block; NULL: it was compared */
    bool used;   /* a tensor has asked for it */
} record;

/* The TensorProto of a tensor or a slice. */
typedef struct part {
    uint32_t file;
    uint64_t at, size;
    wm_sum *sum;
} part;

/* A tensor while the tables are read. */
typedef struct item {
    const char *name;
    size_t name_len;
    const wm_tf_type *type;
    uint32_t rank;
    const uint64_t *shape;
    wm_tf_box *boxes;
    part *parts;
    size_t box_count, box_cap, part_count, part_cap;
} item;

/* What decode() needs; entry->id is its index. */
typedef struct whole {
    const wm_tf_box *boxes;
    const part *parts;
    size_t count;
} whole;

typedef struct checkpoint {
    whole *list;
    size_t count, cap;
} checkpoint;

typedef struct reading {
    wmap_archive *archive;
    checkpoint *checkpoint;
    wm_arena *scratch; /* does not jump */
    item *items;
    size_t count, cap;
    wm_map names; /* of tensors -> index in items */
    uint8_t *key, *window;
    /* Of the table that is being read. */
    wm_table table;
    record *records;
    size_t record_count, record_cap;
    wm_map keys;         /* -> index in records */
    wm_sum **sums;       /* one a block */
    uint32_t spool_file; /* UINT32_MAX: no block was compressed */
    wm_spool spool;
} reading;

static bool no_memory(wmap_error *err)
{
    return wm_fail(err, WMAP_E_NOMEM, "out of memory");
}

/* How values of a dtype stand in a TensorProto. */
typedef struct form {
    wmap_dtype dtype;
    uint32_t field;
    bool varint;       /* else little-endian, as they are */
    uint32_t unit;     /* bytes that are one number: half of a complex one */
    int64_t low, high; /* of varints */
} form;

static const form *form_of(wmap_dtype dtype)
{
    static const form forms[] = {
        {WMAP_F32, 5, false, 4, 0, 0},
        {WMAP_F64, 6, false, 8, 0, 0},
        {WMAP_I32, 7, true, 4, INT32_MIN, INT32_MAX},
        {WMAP_I16, 7, true, 2, INT16_MIN, INT16_MAX},
        {WMAP_I8, 7, true, 1, INT8_MIN, INT8_MAX},
        {WMAP_U8, 7, true, 1, 0, UINT8_MAX},
        {WMAP_U16, 7, true, 2, 0, UINT16_MAX},
        {WMAP_C64, 9, false, 4, 0, 0},
        {WMAP_I64, 10, true, 8, INT64_MIN, INT64_MAX},
        {WMAP_BOOL, 11, true, 1, 0, 1},
        {WMAP_C128, 12, false, 8, 0, 0},
        {WMAP_F16, 13, true, 2, 0, UINT16_MAX},
        {WMAP_U32, 16, true, 4, 0, UINT32_MAX},
        {WMAP_U64, 17, true, 8, INT64_MIN, INT64_MAX},
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (forms[i].dtype == dtype)
            return &forms[i];
    return NULL;
}

/* --- a table --- */

/* Compressed values go into a temporary file, so that all values stand in files. */
static bool spool_value(reading *r, wm_tf_input *in, record *to, wmap_error *err)
{
    if (r->spool_file == UINT32_MAX) {
        int fd = wm_spool_new(err);
        if (fd < 0)
            return false;
        r->spool_file = wm_archive_adopt_file(r->archive, fd, err);
        if (r->spool_file == UINT32_MAX)
            return false;
        r->spool = wm_spool_of(fd, WM_SIZE_MAX);
    }
    to->file = r->spool_file;
    to->at = r->spool.size;
    while (wm_tf_left(in)) {
        uint64_t left = wm_tf_left(in), step = left < WM_TF_WINDOW ? left : WM_TF_WINDOW;
        const uint8_t *bytes = wm_tf_take(in, step);
        if (!bytes || !r->spool.sink.put(&r->spool.sink, bytes, (size_t)step, err))
            return false;
    }
    r->archive->files[r->spool_file].size = r->spool.size;
    return true;
}

static wm_sum *block_sum(reading *r, size_t block, wmap_error *err)
{
    wm_sum *sum = r->sums[block];
    if (sum)
        return sum;
    sum = wm_new(&r->archive->arena, wm_sum, 1);
    if (!sum) {
        no_memory(err);
        return NULL;
    }
    r->sums[block] = sum;
    return wm_table_sum(&r->table, block, sum, err) ? sum : NULL;
}

static bool add_record(void *user, wm_table_entry *entry, wmap_error *err)
{
    reading *r = user;
    if (r->record_count > WM_MAX_TENSORS)
        return wm_tf_damaged(entry->value, "more than 1000000 tensors and slices");
    record *to = wm_push(r->scratch, r->records, r->record_count, r->record_cap);
    char *key = to ? wm_copy(r->scratch, (const char *)entry->key, entry->key_len) : NULL;
    bool oom = false;
    if (!key)
        return no_memory(err);
    *to = (record){.file = r->table.file, .at = entry->value->at, .size = wm_tf_left(entry->value)};
    if (entry->packed) {
        if (!spool_value(r, entry->value, to, err))
            return false;
    } else if (!(to->sum = block_sum(r, entry->block, err))) {
        return false;
    }
    wm_map_put(&r->keys, key, entry->key_len, (uint32_t)(r->record_count - 1), &oom);
    return !oom || no_memory(err);
}

static wm_tf_input input_of(reading *r, uint32_t file, uint64_t at, uint64_t size, wmap_error *err)
{
    return wm_tf_file(r->archive, file, at, size, r->window, WM_TF_WINDOW, err);
}

/* --- values --- */

/* SavedTensorSlices {2 SavedSlice {1 name, 2 slice, 3 TensorProto}}: where the last one stands. */
static bool find_values(reading *r, const record *rec, const item *it, const wm_tf_box *box, part *to,
                        wmap_error *err)
{
    unsigned found = 0;
    bool same = false;
    wm_tf_slice slice;
    slice.rank = 0;
    wm_tf_input in = input_of(r, rec->file, rec->at, rec->size, err);
    wm_tf_fields f = wm_tf_message(&in);
    while (wm_tf_next(&in, &f)) {
        if (!wm_tf_is(&f, 2, WM_TF_BYTES))
            continue;
        wm_tf_fields s = wm_tf_message(&in);
        while (wm_tf_next(&in, &s)) {
            if (wm_tf_is(&s, 1, WM_TF_BYTES)) {
                uint64_t len = wm_tf_left(&in);
                const uint8_t *name =
                    len == it->name_len && len <= WM_TF_WINDOW ? wm_tf_take(&in, len) : NULL;
                same = (name && memcmp(name, it->name, it->name_len) == 0) || it->name_len > WM_TF_WINDOW;
            } else if (wm_tf_is(&s, 2, WM_TF_BYTES) && !wm_tf_read_slice(&in, &slice)) {
                return false;
            } else if (wm_tf_is(&s, 3, WM_TF_BYTES)) {
                *to = (part){rec->file, in.at, wm_tf_left(&in), rec->sum};
                found++;
            }
        }
    }
    if (in.failed)
        return false;
    same = same && slice.rank == it->rank;
    for (uint32_t d = 0; same && d < it->rank; d++) {
        bool all = slice.start[d] == 0 && slice.length[d] == -1;
        uint64_t start = all ? 0 : (uint64_t)slice.start[d];
        uint64_t size = all ? it->shape[d] : (uint64_t)slice.length[d];
        same = start == box->start[d] && size == box->size[d];
    }
    return (same && found == 1) || wm_tf_damaged(&in, "the values of another tensor than its key says");
}

/* If all values stand packed in one piece that needs no decoding: where. */
static bool find_direct(reading *r, const part *p, const form *how, uint64_t bytes, uint64_t *at,
                        wmap_error *err)
{
    unsigned found = 0;
    bool fits = false;
    wm_tf_input in = input_of(r, p->file, p->at, p->size, err);
    wm_tf_fields f = wm_tf_message(&in);
    while (!how->varint && wm_tf_next(&in, &f)) {
        if (f.number != how->field)
            continue;
        found++;
        fits = f.wire == WM_TF_BYTES && wm_tf_left(&in) == bytes;
        *at = in.at;
    }
    return found == 1 && fits && !in.failed;
}

/* --- the list of tensors --- */

/* One slice of a tensor, as the input has it. */
static bool add_slice(reading *r, item *it, wm_tf_input *in)
{
    wm_arena *arena = &r->archive->arena;
    wm_tf_slice slice;
    slice.rank = 0;
    if (!wm_tf_read_slice(in, &slice))
        return false;
    size_t len = wm_tf_slice_key(r->key, it->name, it->name_len, &slice);
    uint32_t index = len ? wm_map_get(&r->keys, r->key, len) : WM_MAP_NONE;
    wm_tf_box box;
    part found = {0};
    if (index == WM_MAP_NONE || r->records[index].used)
        return wm_tf_damaged(in, index == WM_MAP_NONE ? "a slice whose values are missing"
                                                      : "a slice that is listed twice");
    r->records[index].used = true;
    if (!wm_tf_box_of(arena, &slice, it->rank, it->shape, &box, in->err)) {
        in->failed = true;
        return false;
    }
    bool ok = find_values(r, &r->records[index], it, &box, &found, in->err);
    wm_tf_box *box_slot = ok ? wm_push(r->scratch, it->boxes, it->box_count, it->box_cap) : NULL;
    part *part_slot = ok ? wm_push(r->scratch, it->parts, it->part_count, it->part_cap) : NULL;
    if (ok && (!box_slot || !part_slot))
        ok = no_memory(in->err);
    if (!ok) {
        in->failed = true;
        return false;
    }
    *box_slot = box;
    *part_slot = found;
    return true;
}

/* The tensor of that name, from this table or another one of the set, whose shape and type must agree. */
static item *item_of(reading *r, wm_tf_input *in, const item *like)
{
    bool oom = false;
    uint32_t index = wm_map_put(&r->names, like->name, like->name_len, (uint32_t)r->count, &oom);
    if (index != WM_MAP_NONE) {
        item *it = &r->items[index];
        if (it->type == like->type && it->rank == like->rank &&
            memcmp(it->shape, like->shape, like->rank * sizeof *like->shape) == 0)
            return it;
        wm_tf_damaged(in, "a tensor that has two shapes or types");
        return NULL;
    }
    item *it = oom ? NULL : wm_push(r->scratch, r->items, r->count, r->cap);
    if (it)
        *it = *like;
    else
        in->failed = !no_memory(in->err);
    return it;
}

/* SavedSliceMeta: 1 name, 2 shape, 3 type, 4 repeated slice. The slices come last, but need not. */
static bool read_tensor(reading *r, wm_tf_input *in)
{
    uint64_t type = 0, begin = in->at, end = in->limit;
    item like = {0};
    wm_tf_shape shape;
    shape.rank = 0;
    wm_tf_fields f = wm_tf_message(in);
    while (wm_tf_next(in, &f)) {
        if (wm_tf_is(&f, 1, WM_TF_BYTES))
            like.name = wm_tf_copy(in, r->scratch, WM_MAX_NAME, &like.name_len);
        else if (wm_tf_is(&f, 2, WM_TF_BYTES) && !wm_tf_read_shape(in, &shape))
            return false;
        else if (wm_tf_is(&f, 3, WM_TF_VARINT))
            type = f.value;
    }
    if (in->failed)
        return false;
    like.type = wm_tf_type_of(type);
    if (!like.type || !like.name)
        return wm_tf_damaged(in, "a tensor without a name, or of a type that no checkpoint may hold");
    uint64_t *copy = wm_new(r->scratch, uint64_t, shape.rank);
    if (!copy)
        return no_memory(in->err);
    if (shape.rank)
        memcpy(copy, shape.dims, shape.rank * sizeof *copy);
    like.rank = shape.rank;
    like.shape = copy;
    item *it = item_of(r, in, &like);
    in->at = begin;
    in->limit = end;
    f = wm_tf_message(in);
    while (it && wm_tf_next(in, &f))
        if (wm_tf_is(&f, 4, WM_TF_BYTES) && !add_slice(r, it, in))
            return wm_error_tensor(in->err, like.name, like.name_len);
    return it && !in->failed;
}

/* SavedTensorSlices {1 SavedTensorSliceMeta {1 repeated tensor, 2 versions}}. */
static bool read_meta(reading *r, wmap_error *err)
{
    uint32_t index = wm_map_get(&r->keys, "", 0);
    if (index == WM_MAP_NONE) {
        wm_fail(err, WMAP_E_CORRUPT, "a checkpoint without a list of its tensors");
        return wm_error_file(err, r->archive->files[r->table.file].path);
    }
    const record *rec = &r->records[index];
    if (rec->sum && !wm_archive_check_sum(r->archive, rec->file, rec->sum, err))
        return false;
    uint8_t *window = malloc(WM_TF_WINDOW);
    if (!window)
        return no_memory(err);
    wm_tf_input in = wm_tf_file(r->archive, rec->file, rec->at, rec->size, window, WM_TF_WINDOW, err);
    wm_tf_fields f = wm_tf_message(&in);
    bool ok = true;
    while (ok && wm_tf_next(&in, &f)) {
        if (!wm_tf_is(&f, 1, WM_TF_BYTES))
            continue;
        wm_tf_fields m = wm_tf_message(&in);
        while (ok && wm_tf_next(&in, &m)) {
            if (wm_tf_is(&m, 1, WM_TF_BYTES))
                ok = read_tensor(r, &in);
            else if (wm_tf_is(&m, 2, WM_TF_BYTES))
                ok = wm_tf_read_version(&in);
        }
    }
    free(window);
    return ok && !in.failed;
}

static bool read_table(reading *r, uint32_t file, wmap_error *err)
{
    wm_arena index;
    wm_arena_init(&index);
    r->spool_file = UINT32_MAX;
    r->records = NULL;
    r->record_count = r->record_cap = 0;
    wm_map_init(&r->keys, r->scratch, 0);
    bool ok = wm_table_open(&r->table, r->archive, file, &index, err);
    if (ok) {
        r->sums = wm_new(&index, wm_sum *, r->table.count);
        ok = r->sums || no_memory(err);
    }
    ok = ok && wm_table_scan(&r->table, false, add_record, r, err) && read_meta(r, err);
    size_t unused = 0;
    for (size_t i = 0; ok && i < r->record_count; i++)
        unused += !r->records[i].used;
    if (ok && unused > 1) /* the list itself is one */
        wm_archive_warn(r->archive, "%zu records belong to no tensor and are ignored", unused - 1);
    wm_arena_release(&index);
    return ok;
}

/* --- opening --- */

static bool place(reading *r, const item *it, wm_entry *entry, wmap_error *err)
{
    wm_arena *arena = &r->archive->arena;
    const form *how = form_of(it->type->dtype);
    uint64_t bytes;
    if (!wm_tf_tiles(it->rank, it->shape, it->boxes, it->box_count, err))
        return false;
    if (it->type->dtype == WMAP_OPAQUE) {
        entry->note = it->type->note;
        return true;
    }
    if (!how)
        return wm_fail(err, WMAP_E_CORRUPT, "a type that this version of checkpoints can't hold");
    if (!wmap_tensor_bytes(&entry->tensor, &bytes))
        return wm_fail(err, WMAP_E_CORRUPT, "its shape means 2^63 bytes or more");
    if (it->part_count == 1) {
        entry->sum = it->parts->sum;
        entry->file = it->parts->file;
        entry->direct = find_direct(r, it->parts, how, bytes, &entry->offset, NULL);
        if (entry->direct)
            return wm_entry_check(r->archive, entry, it->parts->at, it->parts->at + it->parts->size, err);
    }
    wm_tf_box *boxes = wm_new(arena, wm_tf_box, it->box_count);
    part *parts = wm_new(arena, part, it->part_count);
    entry->id = r->checkpoint->count;
    whole *slot = wm_push(arena, r->checkpoint->list, r->checkpoint->count, r->checkpoint->cap);
    if (!boxes || !parts || !slot)
        return no_memory(err);
    memcpy(boxes, it->boxes, it->box_count * sizeof *boxes);
    memcpy(parts, it->parts, it->part_count * sizeof *parts);
    *slot = (whole){boxes, parts, it->box_count};
    return true;
}

static int compare_items(const void *left, const void *right)
{
    const item *a = *(const item *const *)left, *b = *(const item *const *)right;
    return wm_natural_compare(a->name, a->name_len, b->name, b->name_len);
}

static bool add_tensors(reading *r, wmap_error *err)
{
    const item **sorted = wm_new(r->scratch, const item *, r->count);
    if (!sorted)
        return no_memory(err);
    for (size_t i = 0; i < r->count; i++)
        sorted[i] = &r->items[i];
    if (r->count)
        qsort(sorted, r->count, sizeof *sorted, compare_items);
    if (!wm_archive_reserve(r->archive, r->count, err))
        return false;
    for (size_t i = 0; i < r->count; i++) {
        const item *it = sorted[i];
        if (it->box_count == 0) {
            wm_fail(err, WMAP_E_CORRUPT, "none of its values are stored");
            return wm_error_tensor(err, it->name, it->name_len);
        }
        wm_entry *entry = wm_archive_add(r->archive, it->name, it->name_len, it->type->dtype, it->rank,
                                         it->shape, NULL, err);
        if (!entry)
            return false;
        if (!place(r, it, entry, err))
            return wm_error_tensor(err, it->name, it->name_len);
    }
    return true;
}

/* The other tables of a set whose first was opened: NAME-00000-of-00003. */
static bool read_tables(reading *r, wmap_error *err)
{
    const char *path = r->archive->files[0].path, *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    uint64_t shard = 0, count = 1;
    size_t base = wm_tf_shard_name(name, &shard, &count);
    if (!read_table(r, 0, err))
        return false;
    for (uint64_t i = 0; base && i < count; i++) {
        if (i == shard)
            continue;
        char *other = wm_format_text(r->scratch, "%.*s-%05llu-of-%05llu", (int)base, name,
                                     (unsigned long long)i, (unsigned long long)count);
        if (!other)
            return no_memory(err);
        uint32_t file = wm_archive_add_file(r->archive, other, err);
        if (file == UINT32_MAX || !read_table(r, file, err))
            return false;
        if (file >= WM_KEPT_OPEN)
            wm_archive_rest(r->archive, file);
    }
    return true;
}

static bool open_v1(wmap_archive *archive, wmap_error *err)
{
    wm_arena scratch;
    wm_arena_init(&scratch);
    reading r = {.archive = archive,
                 .checkpoint = wm_new(&archive->arena, checkpoint, 1),
                 .scratch = &scratch,
                 .key = wm_alloc(&scratch, WM_TF_TEXT),
                 .window = wm_alloc(&scratch, WM_TF_WINDOW)};
    archive->state = r.checkpoint;
    wm_map_init(&r.names, &scratch, 0);
    bool ok = (r.checkpoint && r.key && r.window) || no_memory(err);
    ok = ok && read_tables(&r, err) && add_tensors(&r, err);
    wm_arena_release(&scratch);
    return ok;
}

/* The value of the empty key begins with field 1, a number in version 2 and a message here. */
static bool first_is_v1(void *user, wm_table_entry *entry, wmap_error *err)
{
    bool *is = user;
    (void)err;
    const uint8_t *tag = entry->key_len == 0 && wm_tf_left(entry->value) ? wm_tf_take(entry->value, 1) : NULL;
    *is = tag && *tag == 0x0a;
    return false;
}

static bool probe(wmap_archive *archive)
{
    wm_arena scratch;
    wm_table table;
    bool is = false;
    if (!wm_table_looks(archive, 0))
        return false;
    wm_arena_init(&scratch);
    if (wm_table_open(&table, archive, 0, &scratch, NULL) && table.count)
        wm_table_scan_block(&table, 0, false, first_is_v1, &is, NULL);
    wm_arena_release(&scratch);
    return is;
}

/* --- decoding --- */

/* The values of a TensorProto, in order. */
typedef struct stream {
    wm_tf_input in;
    wm_tf_fields fields;
    enum { BETWEEN, PACKED, SINGLE } state;
} stream;

typedef struct reader {
    wmap_archive *archive;
    const whole *whole;
    const form *how;
    stream *streams;
    size_t room;
} reader;

/* Is there another value? */
static bool more(stream *s, const form *how)
{
    uint32_t wire = how->varint ? WM_TF_VARINT : how->unit == 4 ? WM_TF_FIXED32 : WM_TF_FIXED64;
    if (s->state == SINGLE || (s->state == PACKED && wm_tf_left(&s->in)))
        return true;
    s->state = BETWEEN;
    while (wm_tf_next(&s->in, &s->fields)) {
        if (s->fields.number != how->field)
            continue;
        if (s->fields.wire == wire)
            s->state = SINGLE;
        else if (s->fields.wire == WM_TF_BYTES && !how->varint && wm_tf_left(&s->in) % how->unit)
            return wm_tf_damaged(&s->in, "a part of a number");
        else if (s->fields.wire == WM_TF_BYTES && wm_tf_left(&s->in))
            s->state = PACKED;
        if (s->state != BETWEEN)
            return true;
    }
    return false;
}

static bool put_number(stream *s, const form *how, uint64_t value, uint8_t *to)
{
    int64_t number = (int64_t)value;
    if (how->varint && (number < how->low || number > how->high))
        return wm_tf_damaged(&s->in, "a value that its type can't hold");
    for (uint32_t i = 0; i < how->unit; i++)
        to[i] = (uint8_t)(value >> (8 * i));
    return true;
}

static bool read_values(void *user, size_t box, uint8_t *to, size_t size, wmap_error *err)
{
    reader *r = user;
    stream *s = &r->streams[box];
    const form *how = r->how;
    const part *p = &r->whole->parts[box];
    if (!s->in.archive) {
        uint8_t *window = malloc(r->room);
        if (!window)
            return no_memory(err);
        s->in = wm_tf_file(r->archive, p->file, p->at, p->size, window, r->room, err);
        s->fields = wm_tf_message(&s->in);
    }
    while (size) {
        if (!more(s, how))
            return wm_tf_damaged(&s->in, "fewer values than its shape needs");
        size_t step = how->unit;
        if (s->state == SINGLE) {
            if (!put_number(s, how, s->fields.value, to))
                return false;
            s->state = BETWEEN;
        } else if (how->varint) {
            uint64_t value = wm_tf_varint(&s->in);
            if (s->in.failed || !put_number(s, how, value, to))
                return false;
        } else {
            uint64_t left = wm_tf_left(&s->in);
            step = size < r->room ? size : r->room;
            step = left < step ? (size_t)left : step;
            const uint8_t *bytes = wm_tf_take(&s->in, step);
            if (!bytes)
                return false;
            memcpy(to, bytes, step);
        }
        to += step;
        size -= step;
    }
    return true;
}

/* Compares the checksums of all blocks, each once; a lone one was compared before. */
static bool check_sums(wmap_archive *archive, const whole *w, wmap_error *err)
{
    wm_arena scratch;
    wm_map done;
    bool ok = true, oom = false;
    wm_arena_init(&scratch);
    wm_map_init(&done, &scratch, w->count);
    for (size_t i = 0; ok && w->count > 1 && i < w->count; i++) {
        const part *p = &w->parts[i];
        if (p->sum && wm_map_put(&done, &p->sum, sizeof p->sum, 0, &oom) == WM_MAP_NONE)
            ok = !oom ? wm_archive_check_sum(archive, p->file, p->sum, err) : no_memory(err);
    }
    wm_arena_release(&scratch);
    return ok;
}

static bool decode(wmap_archive *archive, const wm_entry *entry, wm_sink *sink, wmap_error *err)
{
    const checkpoint *c = archive->state;
    const whole *w = &c->list[entry->id];
    size_t share = STREAMS / w->count & ~(size_t)15;
    reader r = {.archive = archive,
                .whole = w,
                .how = form_of(entry->tensor.dtype),
                .streams = calloc(w->count, sizeof *r.streams),
                .room = share < WM_TF_WINDOW ? share : WM_TF_WINDOW};
    bool ok = (r.streams || no_memory(err)) && check_sums(archive, w, err) &&
              wm_tf_join(&entry->tensor, w->boxes, w->count, read_values, &r, sink, err);
    for (size_t i = 0; ok && i < w->count; i++) {
        stream *s = &r.streams[i];
        if (s->in.archive && more(s, r.how))
            ok = wm_tf_damaged(&s->in, "more values than its shape needs");
        ok = ok && !s->in.failed;
    }
    for (size_t i = 0; r.streams && i < w->count; i++)
        free(r.streams[i].in.window);
    free(r.streams);
    return ok;
}

extern const wm_format wm_format_tensorflow_v1;
const wm_format wm_format_tensorflow_v1 = {
    .name = "tensorflow-v1",
    .title = "TensorFlow checkpoint of version 1",
    .suffixes = "",
    .probe = probe,
    .open = open_v1,
    .decode = decode,
};
