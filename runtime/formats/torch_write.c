/* torch_write.c: writes what torch.load(weights_only=True) reads, plain and with mmap: a zip of stored
 * members below "archive/", with an OrderedDict of tensors as data.pkl and one storage a tensor. Offsets are
 * fixed before any data are there, so headers are written last, when every CRC is known, and no data
 * descriptors are needed. The record .format_version is left out on purpose: with it, torch computes where
 * storages are instead of reading it. */
#include "runtime/formats/torch.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

#include "runtime/base/dtype.h"
#include "runtime/base/size.h"
#include "runtime/base/text.h"
#include "runtime/formats/zip.h"
#include "runtime/shards.h"

#define BATCH 1000 /* pairs set by one SETITEMS, as Python does it */
#define NAME  40   /* room for "archive/data/N" */

/* What is pickled more than once is kept in the memo, under these indices. */
enum {
    MEMO_DICT,
    MEMO_V2,
    MEMO_V3,
    MEMO_STORAGE,
    MEMO_CPU,
    MEMO_UNTYPED,
    MEMO_CLASS,
    MEMO_DTYPE = MEMO_CLASS + 32
};

/* Bytes being pickled; counted only while `bytes` is NULL. */
typedef struct pickler {
    uint8_t *bytes;
    uint64_t size;
    bool kept[MEMO_DTYPE + 32];
} pickler;

/* One file. Its members: data.pkl, byteorder, one storage a target, version. */
typedef struct box {
    const uint8_t *pickle;
    wm_zip_out *members;
    size_t count;
    wm_target **targets; /* those in this file */
    size_t target_count;
} box;

typedef struct state {
    wm_shards shards;
    box *boxes; /* one a file */
} state;

static bool no_memory(wmap_error *err)
{
    return wm_fail(err, WMAP_E_NOMEM, "out of memory while laying out a torch file");
}

/* ---- data.pkl ---- */

static void emit(pickler *p, const void *bytes, size_t size)
{
    if (p->bytes)
        memcpy(p->bytes + p->size, bytes, size);
    p->size += size;
}

static void emit_byte(pickler *p, uint8_t byte)
{
    emit(p, &byte, 1);
}

static void emit_le(pickler *p, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        emit_byte(p, (uint8_t)(value >> (8 * i)));
}

static void emit_int(pickler *p, uint64_t value)
{
    if (value < 0x100) {
        emit_byte(p, 'K');
        emit_le(p, value, 1);
    } else if (value < 0x10000) {
        emit_byte(p, 'M');
        emit_le(p, value, 2);
    } else if (value < 0x80000000u) {
        emit_byte(p, 'J');
        emit_le(p, value, 4);
    } else {
        unsigned bytes = 5; /* LONG1; its top bit is a sign */
        while (bytes < 8 && value >> (8 * bytes - 1))
            bytes++;
        emit_byte(p, 0x8a);
        emit_byte(p, (uint8_t)bytes);
        emit_le(p, value, bytes);
    }
}

static void emit_text(pickler *p, const char *text, size_t len)
{
    emit_byte(p, 'X');
    emit_le(p, len, 4);
    emit(p, text, len);
}

/* True if it was there already; else the caller emits it, and then calls emit_keep. */
static bool emit_kept(pickler *p, unsigned slot)
{
    if (!p->kept[slot])
        return false;
    emit_byte(p, 'h');
    emit_byte(p, (uint8_t)slot);
    return true;
}

static void emit_keep(pickler *p, unsigned slot)
{
    p->kept[slot] = true;
    emit_byte(p, 'q');
    emit_byte(p, (uint8_t)slot);
}

static void emit_global(pickler *p, unsigned slot, const char *module, const char *name)
{
    if (emit_kept(p, slot))
        return;
    emit_byte(p, 'c');
    emit(p, module, strlen(module));
    emit_byte(p, '\n');
    emit(p, name, strlen(name));
    emit_byte(p, '\n');
    emit_keep(p, slot);
}

static void emit_word(pickler *p, unsigned slot, const char *text)
{
    if (emit_kept(p, slot))
        return;
    emit_text(p, text, strlen(text));
    emit_keep(p, slot);
}

static void emit_ordered_dict(pickler *p)
{
    emit_global(p, MEMO_DICT, "collections", "OrderedDict");
    emit(p, ")R", 2);
}

static void emit_sizes(pickler *p, const uint64_t *values, uint32_t rank)
{
    static const uint8_t end[] = {')', 0x85, 0x86, 0x87};
    if (rank > 3)
        emit_byte(p, '(');
    for (uint32_t d = 0; d < rank; d++)
        emit_int(p, values[d]);
    emit_byte(p, rank > 3 ? 't' : end[rank]);
}

/* _rebuild_tensor_v2(storage, 0, size, stride, False, OrderedDict()), or v3, which ends in a dtype, for those
 * that have no storage class of their own. */
static void emit_tensor(pickler *p, const wm_target *target, size_t index)
{
    const wmap_tensor *tensor = &target->tensor;
    const wm_dtype_info *info = wm_dtype(tensor->dtype);
    bool typed = info->storage[0];
    unsigned row = (unsigned)(tensor->dtype - WM_DTYPE_FIRST);
    char key[24];
    int len = snprintf(key, sizeof key, "%zu", index);
    if (typed)
        emit_global(p, MEMO_V2, "torch._utils", "_rebuild_tensor_v2");
    else
        emit_global(p, MEMO_V3, "torch._utils", "_rebuild_tensor_v3");
    emit(p, "((", 2);
    emit_word(p, MEMO_STORAGE, "storage");
    if (typed)
        emit_global(p, MEMO_CLASS + row, "torch", info->storage);
    else
        emit_global(p, MEMO_UNTYPED, "torch.storage", "UntypedStorage");
    emit_text(p, key, (size_t)len);
    emit_word(p, MEMO_CPU, "cpu");
    emit_int(p, typed ? target->bytes / info->size : target->bytes);
    emit(p, "tQK\0", 4);
    emit_sizes(p, tensor->shape, tensor->rank);

    uint64_t strides[WMAP_MAX_RANK], next = 1;
    for (uint32_t d = tensor->rank; d-- > 0;) {
        strides[d] = next;
        next *= tensor->shape[d] ? tensor->shape[d] : 1; /* below 2^63, as layout() checked */
    }
    emit_sizes(p, strides, tensor->rank);
    emit_byte(p, 0x89);
    emit_ordered_dict(p);
    if (!typed)
        emit_global(p, MEMO_DTYPE + row, "torch", info->torch);
    emit(p, "tR", 2);
}

static void emit_all(pickler *p, const box *b)
{
    emit(p, "\x80\x02", 2);
    emit_ordered_dict(p);
    for (size_t i = 0; i < b->target_count; i++) {
        const wmap_tensor *tensor = &b->targets[i]->tensor;
        if (i % BATCH == 0)
            emit_byte(p, '(');
        emit_text(p, tensor->name, tensor->name_len);
        emit_tensor(p, b->targets[i], i);
        if (i % BATCH == BATCH - 1 || i + 1 == b->target_count)
            emit_byte(p, 'u');
    }
    emit_byte(p, '.');
}

static bool check_target(const wm_target *target, wmap_error *err)
{
    const wmap_tensor *tensor = &target->tensor;
    const wm_dtype_info *info = wm_dtype(tensor->dtype);
    uint64_t count;
    if (!info || !info->torch[0])
        wm_fail(err, WMAP_E_TARGET, "torch has no dtype for %s", wmap_dtype_name(tensor->dtype));
    else if (!wm_utf8_valid(tensor->name, tensor->name_len))
        wm_fail(err, WMAP_E_TARGET, "a name in a torch file is text, and this one is no UTF-8");
    else if (tensor->name_len > WM_MAX_NAME)
        wm_fail(err, WMAP_E_TARGET, "a name of more than 64 KiB");
    else if (!wm_shape_count(tensor->shape, tensor->rank, &count))
        wm_fail(err, WMAP_E_TARGET, "its size can't be told in 63 bits");
    else
        return true;
    return wm_error_tensor(err, tensor->name, tensor->name_len);
}

static const uint8_t *make_pickle(wm_writer *writer, const box *b, uint64_t *size)
{
    pickler count = {0};
    emit_all(&count, b);
    pickler real = {.bytes = wm_alloc(writer->arena, (size_t)count.size)};
    if (real.bytes)
        emit_all(&real, b);
    *size = real.size;
    return real.bytes;
}

static void name_member(wm_zip_out *member, char *room, const char *name, uint64_t size)
{
    int len = snprintf(room, NAME, "archive/%s", name);
    member->name = room;
    member->name_len = (size_t)len;
    member->size = size;
}

/* All members without their places. */
static bool make_members(wm_writer *writer, box *b)
{
    uint64_t size;
    b->count = b->target_count + 3;
    b->members = wm_new(writer->arena, wm_zip_out, b->count);
    char *names = wm_alloc_array(writer->arena, b->count, NAME);
    b->pickle = make_pickle(writer, b, &size);
    if (!b->members || !names || !b->pickle)
        return false;
    name_member(&b->members[0], names, "data.pkl", size);
    name_member(&b->members[1], names + NAME, "byteorder", 6);
    for (size_t i = 0; i < b->target_count; i++) {
        char name[NAME - 8];
        snprintf(name, sizeof name, "data/%zu", i);
        name_member(&b->members[i + 2], names + (i + 2) * NAME, name, b->targets[i]->bytes);
    }
    name_member(&b->members[b->count - 1], names + (b->count - 1) * NAME, "version", 2);
    return true;
}

/* The suffix that the files of a set end in: that of the output's name. */
static const char *suffix_of(const wm_writer *writer)
{
    static const char *const suffixes[] = {".pth", ".pt", ".ckpt"};
    const char *name = wm_writer_name(writer);
    size_t len = strlen(name);
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        size_t tail = strlen(suffixes[i]);
        if (len > tail && strcasecmp(name + len - tail, suffixes[i]) == 0)
            return suffixes[i];
    }
    return ".bin";
}

/* Says for each file which targets it holds. */
static bool fill_boxes(wm_writer *writer, state *s)
{
    s->boxes = wm_new(writer->arena, box, s->shards.count);
    wm_target **all = wm_new(writer->arena, wm_target *, writer->count);
    if (!s->boxes || !all)
        return false;
    for (size_t i = 0; i < writer->count; i++)
        s->boxes[writer->targets[i].file].target_count++;
    for (uint32_t f = 0; f < s->shards.count; f++) {
        s->boxes[f].targets = all;
        all += s->boxes[f].target_count;
        s->boxes[f].target_count = 0;
    }
    for (size_t i = 0; i < writer->count; i++) {
        box *b = &s->boxes[writer->targets[i].file];
        b->targets[b->target_count++] = &writer->targets[i];
    }
    return true;
}

bool wm_torch_layout(wm_writer *writer, wmap_error *err)
{
    for (size_t i = 0; i < writer->count; i++)
        if (!check_target(&writer->targets[i], err))
            return false;
    state *s = wm_new(writer->arena, state, 1);
    if (!s)
        return no_memory(err);
    if (!wm_shards_deal(writer, suffix_of(writer), &s->shards, err))
        return false;
    uint64_t *sizes = wm_new(writer->arena, uint64_t, s->shards.count);
    if (!sizes || !fill_boxes(writer, s))
        return no_memory(err);
    writer->state = s;
    for (uint32_t f = 0; f < s->shards.count; f++) {
        box *b = &s->boxes[f];
        if (!make_members(writer, b))
            return no_memory(err);
        if (!wm_zip_layout(b->members, b->count, &sizes[f], err))
            return false;
        for (size_t i = 0; i < b->target_count; i++)
            b->targets[i]->offset = b->members[i + 2].data;
    }
    return wm_shards_add_parts(writer, &s->shards, sizes, err);
}

/* A member whose bytes are ours. */
static bool put_member(wm_writer *writer, uint32_t file, wm_zip_out *member, const void *bytes,
                       wmap_error *err)
{
    member->crc32 = (uint32_t)crc32_z(0, bytes, (size_t)member->size);
    return writer->put(writer, file, member->data, bytes, (size_t)member->size, err);
}

bool wm_torch_finish(wm_writer *writer, wmap_error *err)
{
    state *s = writer->state;
    for (uint32_t f = 0; f < s->shards.count; f++) {
        box *b = &s->boxes[f];
        for (size_t i = 0; i < b->target_count; i++)
            b->members[i + 2].crc32 = b->targets[i]->sum;
        if (!put_member(writer, f, &b->members[0], b->pickle, err) ||
            !put_member(writer, f, &b->members[1], "little", err) ||
            !put_member(writer, f, &b->members[b->count - 1], "3\n", err) ||
            !wm_zip_finish(writer, f, b->members, b->count, err))
            return false;
    }
    return wm_shards_finish(writer, &s->shards, err);
}
