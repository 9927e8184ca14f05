/* safetensors_write.c: writes safetensors, one file or a set with an index. */
#include "runtime/formats/safetensors.h"

#include <stdlib.h>

#include "runtime/base/dtype.h"
#include "runtime/base/size.h"
#include "runtime/base/text.h"
#include "runtime/shards.h"

#define CHUNK ((size_t)1 << 20)

typedef struct state {
    wm_shards shards;
    wm_text *headers; /* one a file */
    uint64_t *ends;   /* of the data, from their beginning; then bytes of the files */
} state;

static bool no_memory(wmap_error *err)
{
    return wm_fail(err, WMAP_E_NOMEM, "out of memory");
}

static bool too_large(wmap_error *err)
{
    return wm_fail(err, WMAP_E_TARGET, "the file would be larger than 2^63 bytes");
}

static bool check_target(const wmap_tensor *tensor, wmap_error *err)
{
    const wm_dtype_info *info = wm_dtype(tensor->dtype);
    if (tensor->dtype != WMAP_OPAQUE && (!info || !info->safetensors[0]))
        wm_fail(err, WMAP_E_TARGET, "safetensors has no dtype %s; cast it to another",
                wmap_dtype_name(tensor->dtype));
    else if (tensor->name_len == sizeof WM_SAFETENSORS_METADATA - 1 &&
             memcmp(tensor->name, WM_SAFETENSORS_METADATA, tensor->name_len) == 0)
        wm_fail(err, WMAP_E_TARGET, "safetensors keeps this name for itself");
    else if (!wm_utf8_valid(tensor->name, tensor->name_len))
        wm_fail(err, WMAP_E_TARGET, "safetensors holds only names that are UTF-8");
    else if (tensor->name_len > WM_MAX_NAME)
        wm_fail(err, WMAP_E_TARGET, "the name is too long");
    else
        return true;
    return wm_error_tensor(err, tensor->name, tensor->name_len);
}

/* What only a plan knows of has any name: nothing is written. */
static const char *dtype_of(const wm_target *target)
{
    if (target->tensor.dtype != WMAP_OPAQUE)
        return wm_dtype(target->tensor.dtype)->safetensors;
    return wm_safetensors_other(target->raw ? target->raw->type : 0);
}

static void add_target(wm_text *t, const wm_target *target, uint64_t at)
{
    const wmap_tensor *tensor = &target->tensor;
    wm_text_add(t, ",");
    wm_text_json(t, tensor->name, tensor->name_len, false);
    wm_text_add(t, ":{\"dtype\":\"");
    wm_text_add(t, dtype_of(target));
    wm_text_add(t, "\",\"shape\":[");
    for (uint32_t d = 0; d < tensor->rank; d++) {
        if (d)
            wm_text_add(t, ",");
        wm_text_number(t, tensor->shape[d]);
    }
    wm_text_add(t, "],\"data_offsets\":[");
    wm_text_number(t, at);
    wm_text_add(t, ",");
    wm_text_number(t, at + target->bytes);
    wm_text_add(t, "]}");
}

static void begin_header(wm_text *t, wm_writer *writer, bool first)
{
    wm_text_bytes(t, "\0\0\0\0\0\0\0\0", WM_SAFETENSORS_LENGTH);
    /* transformers and accelerate ask for the framework; "pt" is what every reader takes. */
    wm_text_add(t, "{\"" WM_SAFETENSORS_METADATA "\":{\"format\":\"pt\"");
    for (size_t i = 0; first && i < writer->meta_count; i++) {
        const wmap_meta *m = &writer->metas[i].pair;
        writer->meta_kept[i] = true;
        if (wm_safetensors_own(m->key, m->key_len))
            continue;
        wm_text_add(t, ",");
        wm_text_json(t, m->key, m->key_len, false);
        wm_text_add(t, ":");
        wm_text_json(t, m->value, m->value_len, false);
    }
    wm_text_add(t, "}");
}

static bool end_header(wm_text *t, wmap_error *err)
{
    wm_text_add(t, "}");
    while (!t->oom && t->size % 8)
        wm_text_add(t, " ");
    if (t->oom)
        return no_memory(err);
    uint64_t length = t->size - WM_SAFETENSORS_LENGTH;
    if (length > WM_SAFETENSORS_HEADER)
        return wm_fail(err, WMAP_E_TARGET,
                       "the header would be longer than 100000000 bytes, the format's limit");
    for (unsigned i = 0; i < WM_SAFETENSORS_LENGTH; i++)
        t->bytes[i] = (char)(length >> (8 * i));
    return true;
}

/* The whole headers are made here, since their sizes move the data; data stand in the order of the targets.
 */
static bool make_headers(wm_writer *writer, state *s, wmap_error *err)
{
    for (uint32_t f = 0; f < s->shards.count; f++) {
        s->headers[f].arena = writer->arena;
        begin_header(&s->headers[f], writer, f == 0);
    }
    for (size_t i = 0; i < writer->count; i++) {
        wm_target *target = &writer->targets[i];
        uint64_t *end = &s->ends[target->file];
        target->offset = *end;
        if (!wm_size_add(*end, target->bytes, end))
            return too_large(err);
        add_target(&s->headers[target->file], target, target->offset);
    }
    for (uint32_t f = 0; f < s->shards.count; f++)
        if (!end_header(&s->headers[f], err))
            return false;
    return true;
}

bool wm_safetensors_layout(wm_writer *writer, wmap_error *err)
{
    for (size_t i = 0; i < writer->count; i++)
        if (!check_target(&writer->targets[i].tensor, err))
            return false;
    state *s = wm_new(writer->arena, state, 1);
    if (!s)
        return no_memory(err);
    if (!wm_shards_deal(writer, ".safetensors", &s->shards, err))
        return false;
    s->headers = wm_new(writer->arena, wm_text, s->shards.count);
    s->ends = wm_new(writer->arena, uint64_t, s->shards.count);
    if (!s->headers || !s->ends)
        return no_memory(err);
    if (!make_headers(writer, s, err))
        return false;
    for (uint32_t f = 0; f < s->shards.count; f++)
        if (!wm_size_add(s->ends[f], s->headers[f].size, &s->ends[f]))
            return too_large(err);
    for (size_t i = 0; i < writer->count; i++) /* no overflow: the sum was checked */
        writer->targets[i].offset += s->headers[writer->targets[i].file].size;
    writer->state = s;
    return wm_shards_add_parts(writer, &s->shards, s->ends, err);
}

/* Tensors that are none of wmap's types. */
static bool put_raw(wm_writer *writer, const wm_target *t, wmap_error *err)
{
    uint8_t *chunk = malloc(CHUNK);
    bool ok = chunk || no_memory(err);
    for (uint64_t at = 0; ok && at < t->bytes; at += CHUNK) {
        size_t size = t->bytes - at < CHUNK ? (size_t)(t->bytes - at) : CHUNK;
        ok = wm_archive_read(t->from, t->raw->file, t->raw->offset + at, chunk, size, err) &&
             writer->put(writer, t->file, t->offset + at, chunk, size, err);
    }
    free(chunk);
    return ok || wm_error_tensor(err, t->tensor.name, t->tensor.name_len);
}

bool wm_safetensors_finish(wm_writer *writer, wmap_error *err)
{
    const state *s = writer->state;
    for (size_t i = 0; i < writer->count; i++)
        if (writer->targets[i].raw && !put_raw(writer, &writer->targets[i], err))
            return false;
    for (uint32_t f = 0; f < s->shards.count; f++)
        if (!writer->put(writer, f, 0, s->headers[f].bytes, s->headers[f].size, err))
            return false;
    return wm_shards_finish(writer, &s->shards, err);
}
