/* gguf.c: GGUF, versions 2 and 3, of either byte order (ggml/docs/gguf.md, ggml/src/gguf.cpp). Tensors that
 * are not quantised are read in place; quantised ones are listed. */
#include <inttypes.h>
#include <stdlib.h>

#include "runtime/base/size.h"
#include "runtime/formats/npy.h"
#include "runtime/formats/stream.h"

#define MAGIC_SIZE 4
#define MAX_RANK   4
#define MAX_KEYS   ((uint64_t)1000000)
#define MAX_ALIGN  ((uint64_t)1 << 30)
#define TENSOR_MIN 24 /* bytes of the shortest description of a tensor: name length, rank, type, offset */
#define KEY_MIN    13 /* of a key: length, type, a byte of value */
#define CHUNK      ((size_t)256 << 10)

/* Types of tensors. Those without a dtype are stored in blocks of `elements` in `bytes`. */
static const struct type {
    const char *name;
    wmap_dtype dtype;
    uint16_t elements, bytes;
} types[] = {
    [0] = {"F32", WMAP_F32, 1, 4},
    [1] = {"F16", WMAP_F16, 1, 2},
    [2] = {"Q4_0", WMAP_OPAQUE, 32, 18},
    [3] = {"Q4_1", WMAP_OPAQUE, 32, 20},
    [6] = {"Q5_0", WMAP_OPAQUE, 32, 22},
    [7] = {"Q5_1", WMAP_OPAQUE, 32, 24},
    [8] = {"Q8_0", WMAP_OPAQUE, 32, 34},
    [9] = {"Q8_1", WMAP_OPAQUE, 32, 36},
    [10] = {"Q2_K", WMAP_OPAQUE, 256, 84},
    [11] = {"Q3_K", WMAP_OPAQUE, 256, 110},
    [12] = {"Q4_K", WMAP_OPAQUE, 256, 144},
    [13] = {"Q5_K", WMAP_OPAQUE, 256, 176},
    [14] = {"Q6_K", WMAP_OPAQUE, 256, 210},
    [15] = {"Q8_K", WMAP_OPAQUE, 256, 292},
    [16] = {"IQ2_XXS", WMAP_OPAQUE, 256, 66},
    [17] = {"IQ2_XS", WMAP_OPAQUE, 256, 74},
    [18] = {"IQ3_XXS", WMAP_OPAQUE, 256, 98},
    [19] = {"IQ1_S", WMAP_OPAQUE, 256, 50},
    [20] = {"IQ4_NL", WMAP_OPAQUE, 32, 18},
    [21] = {"IQ3_S", WMAP_OPAQUE, 256, 110},
    [22] = {"IQ2_S", WMAP_OPAQUE, 256, 82},
    [23] = {"IQ4_XS", WMAP_OPAQUE, 256, 136},
    [24] = {"I8", WMAP_I8, 1, 1},
    [25] = {"I16", WMAP_I16, 1, 2},
    [26] = {"I32", WMAP_I32, 1, 4},
    [27] = {"I64", WMAP_I64, 1, 8},
    [28] = {"F64", WMAP_F64, 1, 8},
    [29] = {"IQ1_M", WMAP_OPAQUE, 256, 56},
    [30] = {"BF16", WMAP_BF16, 1, 2},
    [34] = {"TQ1_0", WMAP_OPAQUE, 256, 54},
    [35] = {"TQ2_0", WMAP_OPAQUE, 256, 66},
    [39] = {"MXFP4", WMAP_OPAQUE, 32, 17},
    [40] = {"NVFP4", WMAP_OPAQUE, 64, 36},
};

/* Bytes of a value of the metadata, by its type; 0 for texts and lists. */
static const uint8_t value_sizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
enum { VALUE_U32 = 4, VALUE_TEXT = 8, VALUE_LIST = 9, VALUE_TYPES = 13 };

typedef struct tensor {
    const char *name;
    uint64_t name_len;
    const struct type *type;
    uint32_t rank;
    uint64_t shape[MAX_RANK]; /* slowest dimension first */
    uint64_t offset, bytes, count;
} tensor;

static bool probe(wmap_archive *archive)
{
    return archive->head_size >= MAGIC_SIZE && memcmp(archive->head, "GGUF", MAGIC_SIZE) == 0;
}

/* Passes over a value. `alignment` gets one that is a u32. */
static bool skip_value(wm_stream *s, uint64_t type, uint64_t *alignment)
{
    uint64_t count = 1;
    if (type == VALUE_LIST) {
        type = wm_stream_number(s, 4);
        count = wm_stream_number(s, 8);
        if (type == VALUE_LIST)
            return wm_stream_fail(s, "a list of lists in the metadata");
    }
    if (type >= VALUE_TYPES)
        return wm_stream_fail(s, "a value of unknown type %" PRIu64, type);
    if (type == VALUE_TEXT) {
        if (count > wm_stream_left(s) / 8)
            return wm_stream_fail(s, "a list of %" PRIu64 " texts, more than the file has room for", count);
        while (count-- > 0)
            if (!wm_stream_skip(s, wm_stream_number(s, 8)))
                return false;
        return !s->failed;
    }
    uint64_t bytes;
    if (!wm_size_mul(count, value_sizes[type], &bytes))
        return wm_stream_fail(s, "a list of %" PRIu64 " values", count);
    if (type == VALUE_U32 && count == 1) {
        *alignment = wm_stream_number(s, 4);
        return !s->failed;
    }
    return wm_stream_skip(s, bytes);
}

static bool out_of_memory(wm_stream *s)
{
    s->failed = true;
    return wm_fail(s->err, WMAP_E_NOMEM, "out of memory");
}

static bool read_metadata(wm_stream *s, uint64_t count, uint64_t *alignment)
{
    static const char key_of_alignment[] = "general.alignment";
    wm_map keys;
    wm_map_init(&keys, &s->archive->arena, 0);
    *alignment = 32;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t len = wm_stream_number(s, 8), value = 0;
        const char *key = wm_stream_text(s, len);
        bool oom = false;
        if (!key)
            return false;
        if (wm_map_put(&keys, key, (size_t)len, 1, &oom) != WM_MAP_NONE)
            return wm_stream_fail(s, "a key of the metadata is given twice");
        if (oom)
            return out_of_memory(s);
        uint64_t type = wm_stream_number(s, 4);
        if (!skip_value(s, type, &value))
            return false;
        if (len != sizeof key_of_alignment - 1 || memcmp(key, key_of_alignment, (size_t)len) != 0)
            continue;
        if (type != VALUE_U32 || value == 0 || (value & (value - 1)) || value > MAX_ALIGN)
            return wm_stream_fail(s, "an alignment that is no power of two");
        *alignment = value;
    }
    return true;
}

static bool read_tensor(wm_stream *s, tensor *t)
{
    t->name_len = wm_stream_number(s, 8);
    t->name = wm_stream_text(s, t->name_len);
    t->rank = (uint32_t)wm_stream_number(s, 4);
    if (s->failed)
        return false;
    if (t->rank > MAX_RANK)
        return wm_stream_fail(s, "a tensor of %" PRIu32 " dimensions; GGUF has at most %d", t->rank,
                              MAX_RANK);
    for (uint32_t d = t->rank; d-- > 0;) /* the file has the fastest first */
        t->shape[d] = wm_stream_number(s, 8);
    uint64_t type = wm_stream_number(s, 4);
    t->offset = wm_stream_number(s, 8);
    if (s->failed)
        return false;
    if (type >= sizeof types / sizeof *types || !types[type].name) {
        s->failed = true;
        wm_fail(s->err, WMAP_E_UNSUPPORTED, "a tensor of type %" PRIu64 ", which wmap does not know", type);
        wm_error_offset(s->err, s->at);
        return wm_error_tensor(s->err, t->name, (size_t)t->name_len);
    }
    t->type = &types[type];
    uint64_t fastest = t->rank ? t->shape[t->rank - 1] : 1, blocks;
    if (!wm_shape_count(t->shape, t->rank, &t->count) || fastest % t->type->elements != 0 ||
        !wm_size_mul(t->count / t->type->elements, t->type->bytes, &blocks))
        return wm_stream_fail(s, "a shape that no tensor of type %s has", t->type->name);
    t->bytes = blocks;
    return true;
}

static bool add_tensor(wmap_archive *archive, const tensor *t, uint64_t data, bool big, wmap_error *err)
{
    uint64_t size = archive->files[0].size;
    bool opaque = t->type->dtype == WMAP_OPAQUE;
    if (t->offset > size - data || t->bytes > size - data - t->offset) {
        wm_fail(err, WMAP_E_CORRUPT, "its data would end behind the end of the file");
        return wm_error_tensor(err, t->name, (size_t)t->name_len);
    }
    wm_entry *entry =
        wm_archive_add(archive, t->name, (size_t)t->name_len, t->type->dtype, t->rank, t->shape, NULL, err);
    if (!entry)
        return false;
    entry->offset = entry->id = data + t->offset;
    entry->direct = !opaque && (!big || t->type->bytes == 1);
    if (opaque) {
        entry->note = wm_format_text(&archive->arena, "quantised (%s)", t->type->name);
        return entry->note || wm_fail(err, WMAP_E_NOMEM, "out of memory");
    }
    return wm_entry_check(archive, entry, data, size, err);
}

typedef struct header {
    uint64_t tensors, keys, alignment;
} header;

static bool read_counts(wm_stream *s, header *h)
{
    uint64_t version = wm_stream_number(s, 4);
    if (!s->failed && version > 0xffff) { /* the other byte order */
        s->big = true;
        version = version >> 24 | (version >> 8 & 0xff00);
    }
    if (!s->failed && version != 2 && version != 3) {
        s->failed = true;
        return wm_fail(s->err, WMAP_E_UNSUPPORTED, "GGUF of version %" PRIu64 "; wmap reads 2 and 3",
                       version);
    }
    h->tensors = wm_stream_number(s, 8);
    h->keys = wm_stream_number(s, 8);
    if (s->failed)
        return false;
    if (h->tensors > wm_stream_left(s) / TENSOR_MIN || h->keys > wm_stream_left(s) / KEY_MIN ||
        h->keys > MAX_KEYS)
        return wm_stream_fail(s,
                              "it claims %" PRIu64 " tensors and %" PRIu64 " keys, more than it has room for",
                              h->tensors, h->keys);
    return true;
}

static bool open_gguf(wmap_archive *archive, wmap_error *err)
{
    wm_stream s;
    header h = {0};
    wm_stream_init(&s, archive, MAGIC_SIZE, err);
    if (!read_counts(&s, &h) || !read_metadata(&s, h.keys, &h.alignment))
        return false;
    if (h.tensors > WM_MAX_TENSORS)
        return wm_fail(err, WMAP_E_CORRUPT, "more than %zu tensors", WM_MAX_TENSORS);
    tensor *list = wm_new(&archive->arena, tensor, (size_t)h.tensors);
    if (!list || !wm_archive_reserve(archive, (size_t)h.tensors, err))
        return list ? false : wm_fail(err, WMAP_E_NOMEM, "out of memory");
    for (uint64_t i = 0; i < h.tensors; i++)
        if (!read_tensor(&s, &list[i]))
            return false;
    uint64_t data, expected = 0;
    if (!wm_size_align(s.at, h.alignment, &data) || (h.tensors && data > archive->files[0].size))
        return wm_stream_fail(&s, "the file is truncated before the data");
    for (uint64_t i = 0; i < h.tensors; i++) {
        if (list[i].offset != expected) { /* as ggml's reader insists */
            wm_fail(err, WMAP_E_CORRUPT,
                    "its data are said to begin at %" PRIu64 ", those before end at %" PRIu64, list[i].offset,
                    expected);
            return wm_error_tensor(err, list[i].name, (size_t)list[i].name_len);
        }
        if (!add_tensor(archive, &list[i], data, s.big, err))
            return false;
        if (!wm_size_add(list[i].offset, list[i].bytes, &expected) ||
            !wm_size_align(expected, h.alignment, &expected))
            return wm_fail(err, WMAP_E_CORRUPT, "tensors of 2^63 bytes or more");
    }
    return true;
}

/* Only for big-endian files. */
static bool decode(wmap_archive *archive, const wm_entry *entry, wm_sink *to, wmap_error *err)
{
    wm_npy_sink sink = wm_npy_sink_of(to, 0, true, entry->tensor.dtype);
    uint64_t bytes;
    uint8_t *chunk = malloc(CHUNK);
    if (!chunk || !wmap_tensor_bytes(&entry->tensor, &bytes)) {
        free(chunk);
        return wm_fail(err, WMAP_E_NOMEM, "out of memory");
    }
    bool ok = true;
    for (uint64_t at = entry->id, end = entry->id + bytes; ok && at < end;) {
        size_t n = end - at < CHUNK ? (size_t)(end - at) : CHUNK;
        ok = wm_archive_read(archive, 0, at, chunk, n, err) && sink.sink.put(&sink.sink, chunk, n, err);
        at += n;
    }
    free(chunk);
    return ok;
}

extern const wm_format wm_format_gguf;
const wm_format wm_format_gguf = {
    .name = "gguf",
    .title = "GGUF",
    .suffixes = ".gguf",
    .probe = probe,
    .open = open_gguf,
    .decode = decode,
};
