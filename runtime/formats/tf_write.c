/* tf_write.c: writes TensorFlow's checkpoints of version 2: NAME.data-0000N-of-0000M with the bytes of the
 * variables, one after the other, then NAME.index, which makes them a checkpoint, then the file `checkpoint`,
 * by which tf.train.latest_checkpoint finds it, if the folder has none. The index has the bytes that
 * TensorFlow would give it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "runtime/base/size.h"
#include "runtime/base/text.h"
#include "runtime/crc.h"
#include "runtime/formats/tf.h"
#include "runtime/formats/tf_write.h"
#include "runtime/shards.h"
#include "runtime/spool.h"

#define SUFFIX     ".index"
#define STATE      "checkpoint"
#define STATE_MOST ((size_t)1 << 20) /* bytes of a file `checkpoint` that are looked at */
#define VARIABLES  "variables"       /* of a SavedModel, which has no file `checkpoint` */

/* A tensor that is none of the targets. */
typedef struct extra {
    const char *key;
    size_t key_len;
    uint32_t type; /* TensorFlow's number */
    uint32_t rank;
    const uint64_t *shape;
    uint64_t size;        /* of its bytes */
    wm_text bytes;        /* as they stand in the data file, or */
    const wm_tf_raw *raw; /* where they are in the template */
    uint32_t sum;         /* their CRC; of the template's once they are copied */
    uint64_t offset;      /* in the last data file */
} extra;

/* An entry of the index: a target or an extra. */
typedef struct row {
    const char *key;
    size_t key_len;
    const wm_target *target;
    const extra *extra;
} row;

typedef struct state {
    uint32_t shards;
    row *rows; /* sorted */
    size_t count;
    extra *extras;
    size_t extra_count, extra_cap;
    wm_tf_like like;
    wm_text checkpoint; /* the file of that name */
} state;

static bool no_memory(wmap_error *err)
{
    return wm_fail(err, WMAP_E_NOMEM, "out of memory");
}

static bool too_large(wmap_error *err)
{
    return wm_fail(err, WMAP_E_TARGET, "a file would be larger than 2^63 bytes");
}

/* ---- can it be written? ---- */

static bool check_target(const wmap_tensor *tensor, wmap_error *err)
{
    if (tensor->dtype != WMAP_OPAQUE && !wm_tf_number(tensor->dtype))
        wm_fail(err, WMAP_E_TARGET, "TensorFlow has no dtype for %s", wmap_dtype_name(tensor->dtype));
    else if (tensor->name_len == 0 || tensor->name[0] == 0)
        wm_fail(err, WMAP_E_TARGET,
                "a name in a TensorFlow checkpoint can't be empty, nor begin with a zero byte");
    else if (!wm_utf8_valid(tensor->name, tensor->name_len))
        wm_fail(err, WMAP_E_TARGET, "TensorFlow's readers take only names that are UTF-8");
    else if (tensor->name_len == strlen(WM_TF_GRAPH) &&
             memcmp(tensor->name, WM_TF_GRAPH, tensor->name_len) == 0)
        wm_fail(err, WMAP_E_TARGET, "TensorFlow keeps this name for its object graph");
    else if (tensor->name_len > WM_MAX_NAME)
        wm_fail(err, WMAP_E_TARGET, "the name is too long");
    else
        return true;
    return wm_error_tensor(err, tensor->name, tensor->name_len);
}

/* People know variables by the names of their first outputs; in a checkpoint these end nothing. */
static void warn_of_outputs(wm_writer *writer)
{
    for (size_t i = 0; i < writer->count; i++) {
        const wmap_tensor *t = &writer->targets[i].tensor;
        char name[80];
        if (t->name_len > 2 && memcmp(t->name + t->name_len - 2, ":0", 2) == 0) {
            wm_writer_warn(writer,
                           "variables of a TensorFlow checkpoint have no `:0` at their ends, as %s has",
                           wm_show(name, sizeof name, t->name, t->name_len));
            return;
        }
    }
}

/* ---- what stands beside the targets ---- */

static void put_u32(uint8_t *out, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        out[i] = (uint8_t)(value >> (8 * i));
}

static bool add_extra(const wm_writer *writer, state *s, extra e)
{
    e.size = e.raw ? e.raw->size : e.bytes.size;
    extra *slot = wm_push(writer->arena, s->extras, s->extra_count, s->extra_cap);
    if (slot)
        *slot = e;
    return slot && !e.bytes.oom;
}

static extra extra_of(const wm_writer *writer, const char *key, uint32_t type)
{
    return (extra){.key = key, .key_len = strlen(key), .type = type, .bytes = {.arena = writer->arena}};
}

/* A scalar of text: its length as a varint, the masked CRC of its length as a number of four bytes, the
 * text. The tensor's CRC is that of the number, the CRC and the text. */
static extra text_extra(const wm_writer *writer, const char *key, const wm_text *text)
{
    uint8_t fixed[8];
    extra e = extra_of(writer, key, WM_TF_STRING);
    put_u32(fixed, (uint32_t)text->size);
    put_u32(fixed + 4, wm_crc32c_mask(wm_crc32c(0, fixed, 4)));
    wm_tf_put_varint(&e.bytes, text->size);
    wm_text_bytes(&e.bytes, (const char *)fixed + 4, 4);
    wm_text_bytes(&e.bytes, text->bytes, text->size);
    e.sum = wm_crc32c(wm_crc32c(0, fixed, sizeof fixed), text->bytes, text->size);
    return e;
}

static bool has_target(const wm_writer *writer, const char *name)
{
    for (size_t i = 0; i < writer->count; i++) {
        const wmap_tensor *t = &writer->targets[i].tensor;
        if (t->name_len == strlen(name) && memcmp(t->name, name, t->name_len) == 0)
            return true;
    }
    return false;
}

/* The object graph, and with it what tf.train.Checkpoint.save adds: how often it saved. restore() makes this
 * variable and wants a value for it. */
static bool add_graph(const wm_writer *writer, state *s, wmap_error *err)
{
    static const char one[8] = {1};
    wm_text graph = {.arena = writer->arena};
    bool counted = has_target(writer, WM_TF_COUNTER);
    if (!wm_tf_graph_of(writer, counted ? NULL : WM_TF_COUNTER, &graph, err))
        return false;
    if (graph.size == 0)
        return true;
    if (graph.size > UINT32_MAX)
        return wm_fail(err, WMAP_E_TARGET, "the object graph would be larger than 4 GiB");
    if (!counted) {
        extra e = extra_of(writer, WM_TF_COUNTER, wm_tf_number(WMAP_I64));
        wm_text_bytes(&e.bytes, one, sizeof one);
        e.sum = wm_crc32c(0, one, sizeof one);
        if (!add_extra(writer, s, e))
            return no_memory(err);
    }
    return add_extra(writer, s, text_extra(writer, WM_TF_GRAPH, &graph)) || no_memory(err);
}

/* What stays of a template: state, and its object graph. */
static bool add_template(const wm_writer *writer, state *s, wmap_error *err)
{
    if (!wm_tf_match(writer, &s->like, err))
        return false;
    for (size_t i = 0; i < s->like.count; i++) {
        const wm_tf_raw *raw = &s->like.raws[i];
        extra e = {.key = raw->key,
                   .key_len = raw->key_len,
                   .type = raw->type,
                   .rank = raw->rank,
                   .shape = raw->shape,
                   .raw = raw};
        if (!s->like.written[i] && !add_extra(writer, s, e))
            return no_memory(err);
    }
    return true;
}

/* ---- the index ---- */

static int compare_rows(const void *left, const void *right)
{
    const row *a = left, *b = right;
    int order = memcmp(a->key, b->key, a->key_len < b->key_len ? a->key_len : b->key_len);
    return order ? order : (a->key_len > b->key_len) - (a->key_len < b->key_len);
}

static bool sort_rows(const wm_writer *writer, state *s, wmap_error *err)
{
    s->rows = wm_new(writer->arena, row, writer->count + s->extra_count);
    if (!s->rows)
        return no_memory(err);
    for (size_t i = 0; i < writer->count; i++) {
        const wmap_tensor *t = &writer->targets[i].tensor;
        const wm_tf_raw *raw = writer->like ? s->like.of_target[i] : NULL;
        s->rows[s->count++] =
            (row){raw ? raw->key : t->name, raw ? raw->key_len : t->name_len, &writer->targets[i], NULL};
    }
    for (size_t i = 0; i < s->extra_count; i++) {
        const extra *e = &s->extras[i];
        s->rows[s->count++] = (row){e->key, e->key_len, NULL, e};
    }
    qsort(s->rows, s->count, sizeof *s->rows, compare_rows);
    return true;
}

static void put_number(wm_text *t, unsigned field, uint64_t value)
{
    if (value) { /* proto3 leaves 0 out */
        wm_tf_put_varint(t, field << 3);
        wm_tf_put_varint(t, value);
    }
}

/* TensorShapeProto: 2 repeated Dim {1 size}. */
static void put_shape(wm_text *t, uint32_t rank, const uint64_t *shape)
{
    size_t size = 0;
    for (uint32_t d = 0; d < rank; d++)
        size += 2 + (shape[d] ? 1 + wm_tf_varint_size(shape[d]) : 0);
    wm_tf_put_head(t, 2, size);
    for (uint32_t d = 0; d < rank; d++) {
        wm_tf_put_head(t, 2, shape[d] ? 1 + wm_tf_varint_size(shape[d]) : 0);
        put_number(t, 1, shape[d]);
    }
}

/* BundleEntryProto: 1 dtype, 2 shape, 3 shard_id, 4 offset, 5 size, 6 crc32c. */
static void make_entry(const state *s, const row *r, wm_text *t)
{
    uint8_t sum[4];
    const wm_target *target = r->target;
    const extra *e = r->extra;
    t->size = 0;
    put_number(t, 1, target ? wm_tf_type_number(target) : e->type);
    put_shape(t, target ? target->tensor.rank : e->rank, target ? target->tensor.shape : e->shape);
    put_number(t, 3, target ? target->file : s->shards - 1);
    put_number(t, 4, target ? target->offset : e->offset);
    put_number(t, 5, target ? target->bytes : e->size);
    put_u32(sum, wm_crc32c_mask(target ? target->sum : e->sum));
    wm_tf_put_varint(t, 6 << 3 | 5);
    wm_text_bytes(t, (const char *)sum, sizeof sum);
}

/* The whole index; the CRCs of the targets are as wide before they are known as they are then. */
static bool make_index(const state *s, wm_table_sink *sink, uint64_t *size, wmap_error *err)
{
    wm_arena scratch;
    wm_arena_init(&scratch);
    wm_table_out *table = wm_table_begin(&scratch, sink);
    wm_text entry = {.arena = &scratch};
    /* BundleHeaderProto: 1 num_shards, 2 endianness (0 is little), 3 version {1 producer} */
    put_number(&entry, 1, s->shards);
    wm_tf_put_head(&entry, 3, 2);
    put_number(&entry, 1, 1);
    bool ok = (table && !entry.oom) || no_memory(err);
    ok = ok && wm_table_add(table, "", 0, entry.bytes, entry.size, err);
    for (size_t i = 0; ok && i < s->count; i++) {
        const row *r = &s->rows[i];
        make_entry(s, r, &entry);
        ok = entry.oom ? no_memory(err)
                       : wm_table_add(table, r->key, r->key_len, entry.bytes, entry.size, err);
    }
    ok = ok && wm_table_end(table, size, err);
    wm_arena_release(&scratch);
    return ok;
}

/* ---- the file `checkpoint` ---- */

/* A string of protobuf's text format. */
static void put_quoted(wm_text *t, const char *text, size_t len)
{
    wm_text_add(t, "\"");
    for (size_t i = 0; i < len; i++) {
        unsigned char b = (unsigned char)text[i];
        char escape[8];
        if (b < 0x20 || b >= 0x7f)
            snprintf(escape, sizeof escape, "\\%03o", b);
        else
            snprintf(escape, sizeof escape, b == '"' || b == '\\' ? "\\%c" : "%c", b);
        wm_text_add(t, escape);
    }
    wm_text_add(t, "\"");
}

/* Is there a file `checkpoint` that names another checkpoint as the latest? */
static bool speaks_of_another(const wm_writer *writer, const wm_text *line)
{
    const char *name = wm_writer_name(writer);
    char *path = wm_format_text(writer->arena, "%.*s" STATE, (int)(name - writer->path), writer->path);
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY) : -1;
    if (fd < 0)
        return false;
    char *text = malloc(STATE_MOST);
    int64_t size = text ? wm_pread(fd, text, STATE_MOST, 0) : -1;
    bool another = size >= 0 && !memmem(text, (size_t)size, line->bytes, line->size);
    free(text);
    close(fd);
    return another;
}

static bool make_checkpoint(wm_writer *writer, state *s, const char *base, size_t len, wmap_error *err)
{
    wm_text *t = &s->checkpoint;
    t->arena = writer->arena;
    if (!*writer->path || writer->trial || (len == strlen(VARIABLES) && memcmp(base, VARIABLES, len) == 0))
        return true;
    wm_text_add(t, "model_checkpoint_path: ");
    put_quoted(t, base, len);
    wm_text_add(t, "\n");
    if (t->oom)
        return no_memory(err);
    if (speaks_of_another(writer, t))
        wm_writer_warn(writer, "the folder's file `" STATE "` names another checkpoint as the latest; it is "
                               "left as it is");
    wm_text_add(t, "all_model_checkpoint_paths: ");
    put_quoted(t, base, len);
    wm_text_add(t, "\n");
    return (!t->oom && wm_writer_add_part(writer, STATE, t->size, WM_PART_GUEST, err)) || no_memory(err);
}

/* ---- layout ---- */

/* Data stand in the order of the targets, without gaps; extras last. */
static bool place_data(wm_writer *writer, state *s, uint64_t **ends, wmap_error *err)
{
    if (!wm_shards_count(writer, &s->shards, err))
        return false;
    uint64_t *at = *ends = wm_new(writer->arena, uint64_t, s->shards);
    if (!at)
        return no_memory(err);
    for (size_t i = 0; i < writer->count; i++) {
        wm_target *t = &writer->targets[i];
        t->offset = at[t->file];
        if (!wm_size_add(at[t->file], t->bytes, &at[t->file]))
            return too_large(err);
    }
    uint64_t *end = &at[s->shards - 1];
    for (size_t i = 0; i < s->extra_count; i++) {
        s->extras[i].offset = *end;
        if (!wm_size_add(*end, s->extras[i].size, end))
            return too_large(err);
    }
    return true;
}

static bool add_parts(wm_writer *writer, state *s, const uint64_t *ends, wmap_error *err)
{
    const char *base = wm_writer_name(writer);
    size_t len = strlen(base), tail = strlen(SUFFIX);
    uint64_t size;
    if (len >= tail && strcasecmp(base + len - tail, SUFFIX) == 0)
        len -= tail;
    if (len == 0 && *writer->path)
        return wm_fail(err, WMAP_E_USAGE, "a checkpoint needs a name before " SUFFIX);
    for (uint32_t f = 0; f < s->shards; f++) {
        const char *name =
            wm_format_text(writer->arena, "%.*s.data-%05u-of-%05u", (int)len, base, f, s->shards);
        if (!name)
            return no_memory(err);
        if (!wm_writer_add_part(writer, name, ends[f], WM_PART_DATA, err))
            return false;
    }
    const char *name = wm_format_text(writer->arena, "%.*s" SUFFIX, (int)len, base);
    if (!name)
        return no_memory(err);
    return make_index(s, NULL, &size, err) && wm_writer_add_part(writer, name, size, WM_PART_ENTRY, err) &&
           make_checkpoint(writer, s, base, len, err);
}

bool wm_tf_layout(wm_writer *writer, wmap_error *err)
{
    for (size_t i = 0; i < writer->count; i++)
        if (!check_target(&writer->targets[i].tensor, err))
            return false;
    uint64_t *ends;
    state *s = wm_new(writer->arena, state, 1);
    if (!s)
        return no_memory(err);
    writer->state = s;
    if (!(writer->like ? add_template : add_graph)(writer, s, err) || !sort_rows(writer, s, err) ||
        !place_data(writer, s, &ends, err) || !add_parts(writer, s, ends, err))
        return false;
    warn_of_outputs(writer);
    return true;
}

/* ---- finish ---- */

typedef struct part_sink {
    wm_table_sink sink;
    wm_writer *writer;
    uint32_t part;
    uint64_t at;
} part_sink;

static bool put_part(wm_table_sink *sink, const void *bytes, size_t size, wmap_error *err)
{
    part_sink *p = (part_sink *)sink;
    p->at += size;
    return p->writer->put(p->writer, p->part, p->at - size, bytes, size, err);
}

static uint64_t count_of(const wmap_tensor *tensor)
{
    uint64_t count = 0;
    wm_shape_count(tensor->shape, tensor->rank, &count); /* it was when it was read */
    return count;
}

static bool put_extra(wm_writer *writer, uint32_t part, extra *e, wmap_error *err)
{
    const wm_tf_raw *raw = e->raw;
    if (!raw)
        return writer->put(writer, part, e->offset, e->bytes.bytes, e->size, err);
    wmap_tensor shape = {.rank = e->rank, .shape = e->shape};
    wm_tf_place to = {part, e->offset, count_of(&shape)};
    wm_raw at = {.type = raw->type,
                 .file = raw->file,
                 .offset = raw->offset,
                 .size = raw->size,
                 .crc = raw->crc,
                 .big_endian = raw->swapped};
    bool ok = raw->decoded == SIZE_MAX
                  ? wm_tf_carry(writer, &to, writer->like, &at, &e->sum, err)
                  : wm_tf_carry_decoded(writer, &to, writer->like, raw->decoded, &e->sum, err);
    return ok || wm_error_tensor(err, e->key, e->key_len);
}

/* Targets that are none of wmap's types. */
static bool put_raw(wm_writer *writer, wm_target *t, wmap_error *err)
{
    wm_tf_place to = {t->file, t->offset, count_of(&t->tensor)};
    return wm_tf_carry(writer, &to, t->from, t->raw, &t->sum, err) ||
           wm_error_tensor(err, t->tensor.name, t->tensor.name_len);
}

bool wm_tf_finish(wm_writer *writer, wmap_error *err)
{
    state *s = writer->state;
    uint64_t size;
    part_sink index = {{put_part}, writer, s->shards, 0};
    for (size_t i = 0; i < writer->count; i++)
        if (writer->targets[i].raw && !put_raw(writer, &writer->targets[i], err))
            return false;
    for (size_t i = 0; i < s->extra_count; i++)
        if (!put_extra(writer, s->shards - 1, &s->extras[i], err))
            return false;
    return make_index(s, &index.sink, &size, err) &&
           (s->checkpoint.size == 0 ||
            writer->put(writer, s->shards + 1, 0, s->checkpoint.bytes, s->checkpoint.size, err));
}
