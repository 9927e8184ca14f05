/* zip_write.c: the zip files that wmap writes: stored members, their bytes at multiples of 64 by a padding
 * extra field (id "FB", as PyTorch pads), true sizes and CRCs in the local headers, zip64 fields only where a
 * number needs them. NumPy, PyTorch (also with mmap=True) and Python's zipfile read these. */
#include "runtime/formats/zip.h"

#include <string.h>

#include "runtime/base/size.h"

#define SIZE_LOCAL   30
#define SIZE_CENTRAL 46
#define SIZE_END     22
#define SIZE_END64   56
#define SIZE_LOCATOR 20
#define FULL16       0xffffu
#define FULL32       0xffffffffu
#define PAD_ID       0x4246u /* "FB" */
#define PAD_BYTE     'Z'
#define DATE         0x0021u /* 1980-01-01, the first that a zip can say; output depends on no clock */
#define FLAG_UTF8    0x0800u

/* Bytes gathered before they are put. */
struct out {
    uint8_t bytes[512];
    size_t size;
};

static void put_le(struct out *o, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        o->bytes[o->size++] = (uint8_t)(value >> (8 * i));
}

static uint64_t low(uint64_t value)
{
    return value < FULL32 ? value : FULL32;
}

static size_t zip64_local(const wm_zip_out *m)
{
    return m->size >= FULL32 ? 20 : 0;
}

static size_t zip64_central(const wm_zip_out *m)
{
    size_t fields = (m->size >= FULL32 ? 2u : 0u) + (m->header >= FULL32 ? 1u : 0u);
    return fields ? 4 + 8 * fields : 0;
}

/* The size of the local header up to the padding field's payload. */
static size_t local_size(const wm_zip_out *m)
{
    return SIZE_LOCAL + m->name_len + zip64_local(m) + 4;
}

bool wm_zip_layout(wm_zip_out *members, size_t count, uint64_t *end, wmap_error *err)
{
    uint64_t at = 0, directory = 0;
    for (size_t i = 0; i < count; i++) {
        wm_zip_out *m = &members[i];
        if (!wm_zip_name_ok(m->name, m->name_len)) {
            wm_fail(err, WMAP_E_TARGET,
                    "a zip archive cannot hold a member of this name: it is not UTF-8, too long, "
                    "or a path out of the archive");
            return wm_error_tensor(err, m->name, m->name_len);
        }
        m->header = at;
        if (!wm_size_add(at, local_size(m), &at) || !wm_size_align(at, WM_ZIP_ALIGN, &at))
            return wm_fail(err, WMAP_E_TARGET, "the archive would be larger than 2^63 bytes");
        m->data = at;
        if (!wm_size_add(at, m->size, &at) ||
            !wm_size_add(directory, SIZE_CENTRAL + m->name_len + zip64_central(m), &directory))
            return wm_fail(err, WMAP_E_TARGET, "the archive would be larger than 2^63 bytes");
    }
    uint64_t tail = SIZE_END;
    if (count >= FULL16 || directory >= FULL32 || at >= FULL32)
        tail += SIZE_END64 + SIZE_LOCATOR;
    return (wm_size_add(at, directory, &at) && wm_size_add(at, tail, end)) ||
           wm_fail(err, WMAP_E_TARGET, "the archive would be larger than 2^63 bytes");
}

static unsigned flags_of(const wm_zip_out *m)
{
    for (size_t i = 0; i < m->name_len; i++)
        if ((unsigned char)m->name[i] >= 0x80)
            return FLAG_UTF8;
    return 0;
}

/* The fields that a local header and a directory entry share, from "version needed" to the name's length. */
static void put_common(struct out *o, const wm_zip_out *m, bool zip64)
{
    put_le(o, zip64 ? 45 : 20, 2);
    put_le(o, flags_of(m), 2);
    put_le(o, 0, 2); /* stored */
    put_le(o, 0, 2);
    put_le(o, DATE, 2);
    put_le(o, m->crc32, 4);
    put_le(o, low(m->size), 4);
    put_le(o, low(m->size), 4);
    put_le(o, m->name_len, 2);
}

static bool put_local(wm_writer *writer, uint32_t part, const wm_zip_out *m, wmap_error *err)
{
    size_t zip64 = zip64_local(m), pad = (size_t)(m->data - m->header) - local_size(m);
    struct out o = {.size = 0};
    put_le(&o, 0x04034b50u, 4);
    put_common(&o, m, zip64 > 0);
    put_le(&o, zip64 + 4 + pad, 2);
    if (!writer->put(writer, part, m->header, o.bytes, o.size, err) ||
        !writer->put(writer, part, m->header + o.size, m->name, m->name_len, err))
        return false;
    uint64_t at = m->header + o.size + m->name_len;
    o.size = 0;
    if (zip64) {
        put_le(&o, 1, 2);
        put_le(&o, 16, 2);
        put_le(&o, m->size, 8);
        put_le(&o, m->size, 8);
    }
    put_le(&o, PAD_ID, 2);
    put_le(&o, pad, 2);
    memset(o.bytes + o.size, PAD_BYTE, pad);
    return writer->put(writer, part, at, o.bytes, o.size + pad, err);
}

/* One directory entry at `*at`, which moves on. */
static bool put_central(wm_writer *writer, uint32_t part, const wm_zip_out *m, uint64_t *at, wmap_error *err)
{
    size_t zip64 = zip64_central(m);
    struct out o = {.size = 0};
    put_le(&o, 0x02014b50u, 4);
    put_le(&o, zip64 ? 45 : 20, 2); /* made by: MS-DOS, so that no file mode is meant */
    put_common(&o, m, zip64 > 0);
    put_le(&o, zip64, 2);
    put_le(&o, 0, 2 + 2 + 2); /* comment, disk, internal attributes */
    put_le(&o, 0, 4);
    put_le(&o, low(m->header), 4);
    if (!writer->put(writer, part, *at, o.bytes, o.size, err) ||
        !writer->put(writer, part, *at + o.size, m->name, m->name_len, err))
        return false;
    *at += o.size + m->name_len;
    o.size = 0;
    if (zip64) {
        put_le(&o, 1, 2);
        put_le(&o, zip64 - 4, 2);
        if (m->size >= FULL32) {
            put_le(&o, m->size, 8);
            put_le(&o, m->size, 8);
        }
        if (m->header >= FULL32)
            put_le(&o, m->header, 8);
    }
    if (o.size && !writer->put(writer, part, *at, o.bytes, o.size, err))
        return false;
    *at += o.size;
    return true;
}

bool wm_zip_finish(wm_writer *writer, uint32_t part, const wm_zip_out *members, size_t count, wmap_error *err)
{
    uint64_t start = count ? members[count - 1].data + members[count - 1].size : 0, at = start;
    for (size_t i = 0; i < count; i++)
        if (!put_local(writer, part, &members[i], err))
            return false;
    for (size_t i = 0; i < count; i++)
        if (!put_central(writer, part, &members[i], &at, err))
            return false;
    uint64_t size = at - start;
    struct out o = {.size = 0};
    if (count >= FULL16 || size >= FULL32 || start >= FULL32) {
        put_le(&o, 0x06064b50u, 4);
        put_le(&o, SIZE_END64 - 12, 8);
        put_le(&o, 45, 2);
        put_le(&o, 45, 2);
        put_le(&o, 0, 8); /* disks */
        put_le(&o, count, 8);
        put_le(&o, count, 8);
        put_le(&o, size, 8);
        put_le(&o, start, 8);
        put_le(&o, 0x07064b50u, 4);
        put_le(&o, 0, 4);
        put_le(&o, at, 8);
        put_le(&o, 1, 4);
    }
    uint64_t members16 = count < FULL16 ? count : FULL16;
    put_le(&o, 0x06054b50u, 4);
    put_le(&o, 0, 4);
    put_le(&o, members16, 2);
    put_le(&o, members16, 2);
    put_le(&o, low(size), 4);
    put_le(&o, low(start), 4);
    put_le(&o, 0, 2);
    return writer->put(writer, part, at, o.bytes, o.size, err);
}
