/* tf_carry.c: tensors that a checkpoint takes over from another one as they are: text and other types that
 * wmap has none for, and what is kept of a template. Their CRCs are checked on the way: a copy that lies
 * would be found by any reader, but is not to be made. */
#include <stdlib.h>
#include <string.h>

#include "runtime/crc.h"
#include "runtime/formats/tf.h"
#include "runtime/formats/tf_write.h"

#define CHUNK ((size_t)1 << 20)

/* Text, byte by byte: the length of each element as a varint; the masked CRC of the lengths; the elements.
 * The tensor's CRC is of the lengths as numbers of four bytes (eight, if one needs them), that CRC, and the
 * elements; numbers are in the file's byte order. */
typedef struct text {
    uint64_t count; /* lengths to come */
    uint64_t value; /* of one, so far */
    unsigned shift;
    uint64_t left;     /* bytes of elements to come */
    uint64_t lengths;  /* bytes of the lengths */
    uint8_t stored[4]; /* the CRC of the lengths as it stands in the file, */
    unsigned have;     /* of which so many bytes were met */
    uint8_t fixed[4];  /* and in a little-endian file */
    uint32_t in, out;  /* CRCs: as the file has it, and of the same in little-endian order */
    bool turned, broken;
} text;

uint32_t wm_tf_type_number(const wm_target *target)
{
    if (target->tensor.dtype != WMAP_OPAQUE)
        return wm_tf_number(target->tensor.dtype);
    return target->raw ? target->raw->type : WM_TF_STRING;
}

static void add_number(text *t, uint64_t value, unsigned size)
{
    uint8_t little[8], other[8];
    for (unsigned i = 0; i < size; i++) {
        little[i] = (uint8_t)(value >> (8 * i));
        other[size - 1 - i] = little[i];
    }
    t->in = wm_crc32c(t->in, t->turned ? other : little, size);
    t->out = wm_crc32c(t->out, little, size);
}

static void add_length_byte(text *t, uint8_t byte)
{
    if (t->shift > 63 || (t->shift == 63 && byte > 1)) {
        t->broken = true;
        return;
    }
    t->lengths++;
    t->value |= (uint64_t)(byte & 0x7f) << t->shift;
    t->shift += 7;
    if (byte & 0x80)
        return;
    add_number(t, t->value, t->value > UINT32_MAX ? 8 : 4);
    if (t->left + t->value < t->left)
        t->broken = true;
    t->left += t->value;
    t->value = 0;
    t->shift = 0;
    t->count--;
}

/* The CRC of the lengths is complete. */
static void end_lengths(text *t)
{
    uint32_t found = 0, mine = wm_crc32c_mask(t->out);
    for (unsigned i = 0; i < 4; i++) {
        found |= (uint32_t)t->stored[i] << (8 * (t->turned ? 3 - i : i));
        t->fixed[i] = (uint8_t)(mine >> (8 * i));
    }
    if (wm_crc32c_unmask(found) != t->in)
        t->broken = true;
    t->in = wm_crc32c(t->in, t->stored, 4);
    t->out = wm_crc32c(t->out, t->fixed, 4);
}

/* The next bytes of the tensor. */
static void add_bytes(text *t, const uint8_t *bytes, size_t size)
{
    size_t i = 0;
    while (i < size && t->count && !t->broken)
        add_length_byte(t, bytes[i++]);
    while (i < size && !t->count && t->have < 4 && !t->broken) {
        t->stored[t->have++] = bytes[i++];
        if (t->have == 4)
            end_lengths(t);
    }
    if (t->broken || i == size)
        return;
    size_t rest = size - i;
    t->broken = rest > t->left;
    t->left -= t->broken ? 0 : rest;
    t->in = wm_crc32c(t->in, bytes + i, rest);
    t->out = t->turned ? wm_crc32c(t->out, bytes + i, rest) : t->in;
}

static bool wrong_crc(const wmap_archive *from, const wm_raw *raw, const char *what, wmap_error *err)
{
    wm_fail(err, WMAP_E_CORRUPT, "%s", what);
    wm_error_offset(err, raw->offset);
    return wm_error_file(err, from->files[raw->file].path);
}

/* In a little-endian file the bytes are the same, but for the CRC of the lengths. */
static bool copy_text(wm_writer *writer, const wm_tf_place *to, wmap_archive *from, const wm_raw *raw,
                      uint8_t *chunk, uint32_t *sum, wmap_error *err)
{
    text t = {.count = to->count, .turned = raw->big_endian};
    for (uint64_t at = 0; at < raw->size && !t.broken;) {
        size_t size = raw->size - at < CHUNK ? (size_t)(raw->size - at) : CHUNK;
        if (!wm_archive_read(from, raw->file, raw->offset + at, chunk, size, err) ||
            !writer->put(writer, to->part, to->offset + at, chunk, size, err))
            return false;
        add_bytes(&t, chunk, size);
        at += size;
    }
    *sum = t.out;
    if (t.broken || t.count || t.have < 4 || t.left || t.in != raw->crc)
        return wrong_crc(from, raw, "wrong CRC, or lengths of text that make no sense", err);
    return writer->put(writer, to->part, to->offset + t.lengths, t.fixed, sizeof t.fixed, err);
}

static bool copy_numbers(wm_writer *writer, const wm_tf_place *to, wmap_archive *from, const wm_raw *raw,
                         uint8_t *chunk, uint32_t *sum, wmap_error *err)
{
    for (uint64_t at = 0; at < raw->size;) {
        size_t size = raw->size - at < CHUNK ? (size_t)(raw->size - at) : CHUNK;
        if (!wm_archive_read(from, raw->file, raw->offset + at, chunk, size, err) ||
            !writer->put(writer, to->part, to->offset + at, chunk, size, err))
            return false;
        *sum = wm_crc32c(*sum, chunk, size);
        at += size;
    }
    return *sum == raw->crc || wrong_crc(from, raw, "wrong CRC", err);
}

bool wm_tf_carry(wm_writer *writer, const wm_tf_place *to, wmap_archive *from, const wm_raw *raw,
                 uint32_t *sum, wmap_error *err)
{
    uint8_t *chunk = malloc(CHUNK);
    *sum = 0;
    bool ok =
        chunk ? (raw->type == WM_TF_STRING ? copy_text : copy_numbers)(writer, to, from, raw, chunk, sum, err)
              : wm_fail(err, WMAP_E_NOMEM, "out of memory");
    free(chunk);
    return ok;
}

bool wm_tf_carry_decoded(wm_writer *writer, const wm_tf_place *to, wmap_archive *from, size_t index,
                         uint32_t *sum, wmap_error *err)
{
    wm_view view;
    uint64_t size;
    *sum = 0;
    if (!wmap_tensor_bytes(&from->entries[index].tensor, &size) || !wm_archive_view(from, index, &view, err))
        return false;
    for (uint64_t at = 0; at < size;) {
        size_t step = size - at < CHUNK ? (size_t)(size - at) : CHUNK;
        if (!writer->put(writer, to->part, to->offset + at, view.bytes + at, step, err))
            return false;
        *sum = wm_crc32c(*sum, view.bytes + at, step);
        at += step;
    }
    wm_archive_forget(from, index);
    return true;
}
