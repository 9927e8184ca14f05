/* zip.c: reading a zip's directory and members. PKWARE's APPNOTE.TXT is the authority on the layout; what of
 * it real weight files use is told in docs/formats.md. zip_write.c writes. */
#include "runtime/formats/zip.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include <zlib.h>

#include "runtime/base/size.h"
#include "runtime/base/text.h"
#include "runtime/spool.h"

#define SIG_LOCAL     0x04034b50u
#define SIG_CENTRAL   0x02014b50u
#define SIG_END       0x06054b50u
#define SIG_END64     0x06064b50u
#define SIG_LOCATOR   0x07064b50u
#define SIZE_LOCAL    30
#define SIZE_CENTRAL  46
#define SIZE_END      22
#define SIZE_END64    56
#define SIZE_LOCATOR  20
#define COMMENT_MAX   65535
#define FULL16        0xffffu
#define FULL32        0xffffffffu
#define FLAG_STREAMED 0x0008u /* CRC and sizes stand in a descriptor after the bytes */
#define FLAG_REFUSED  0x2061u /* encrypted, patched, strongly encrypted, masked directory */
#define EXTRA_ZIP64   1
#define CHUNK         ((size_t)64 << 10)

/* Members beyond the tensors: torch keeps a handful of records beside its storages. */
#define MAX_MEMBERS (WM_MAX_TENSORS + 64)

/* The end-of-directory records, resolved. */
struct end {
    uint64_t count, size, offset; /* of the central directory */
    uint64_t at;                  /* where the end records begin: the directory must reach up to here */
};

static bool corrupt(wmap_error *err, uint64_t offset, const char *text)
{
    wm_fail(err, WMAP_E_CORRUPT, "damaged zip archive: %s", text);
    return wm_error_offset(err, offset);
}

static bool member_fail(wmap_error *err, const wm_zip_member *m, const char *text)
{
    corrupt(err, m->header, text);
    return wm_error_tensor(err, m->name, m->name_len);
}

bool wm_zip_looks(const wmap_archive *archive)
{
    return archive->head_size >= 4 &&
           (memcmp(archive->head, "PK\3\4", 4) == 0 || memcmp(archive->head, "PK\5\6", 4) == 0);
}

/* Finds the end record: the last 22 bytes and a comment, which must reach exactly to the end of the file. A
 * second signature that could be taken for one (a comment holding an archive's end) is refused. */
static bool find_end(wmap_archive *archive, uint64_t *at, uint8_t record[SIZE_END], wmap_error *err)
{
    uint64_t size = archive->files[0].size;
    size_t want = size < SIZE_END + COMMENT_MAX ? (size_t)size : SIZE_END + COMMENT_MAX;
    uint8_t *tail = malloc(want ? want : 1);
    if (!tail)
        return wm_fail(err, WMAP_E_NOMEM, "out of memory");
    uint64_t base = size - want;
    bool ok = wm_archive_read(archive, 0, base, tail, want, err);
    size_t found = SIZE_MAX;
    for (size_t i = want >= SIZE_END ? want - SIZE_END + 1 : 0; ok && i-- > 0;) {
        if (memcmp(tail + i, "PK\5\6", 4) != 0)
            continue;
        size_t comment = (size_t)(tail[i + 20] | tail[i + 21] << 8);
        if (i + SIZE_END + comment == want) {
            if (found != SIZE_MAX)
                ok = corrupt(err, base + i, "it has two end records");
            found = i;
        } else if (found == SIZE_MAX) {
            /* Behind any end that we may still find: in its comment, or before bytes that were added. */
            ok = corrupt(err, base + i, "bytes follow its end record, or it has two");
        }
    }
    if (ok && found == SIZE_MAX)
        ok = corrupt(err, size, "no end record; the file is cut off");
    if (ok) {
        *at = base + found;
        memcpy(record, tail + found, SIZE_END);
    }
    free(tail);
    return ok;
}

/* Reads the zip64 end record if a locator stands before the plain one. Values of the plain record must be
 * saturated or the same. */
static bool read_end64(wmap_archive *archive, struct end *end, bool *found, wmap_error *err)
{
    uint8_t raw[SIZE_END64];
    *found = false;
    if (end->at < SIZE_LOCATOR)
        return true;
    uint64_t locator = end->at - SIZE_LOCATOR;
    if (!wm_archive_read(archive, 0, locator, raw, SIZE_LOCATOR, err))
        return false;
    wm_cursor c = wm_cursor_of(raw, SIZE_LOCATOR, locator);
    if (wm_take_u32(&c) != SIG_LOCATOR)
        return true;
    uint32_t disk = wm_take_u32(&c);
    uint64_t at = wm_take_u64(&c);
    uint32_t disks = wm_take_u32(&c);
    if (disk != 0 || disks > 1 || at > locator || locator - at < SIZE_END64)
        return corrupt(err, locator, "the zip64 locator points nowhere");
    if (!wm_archive_read(archive, 0, at, raw, SIZE_END64, err))
        return false;
    c = wm_cursor_of(raw, SIZE_END64, at);
    uint32_t signature = wm_take_u32(&c);
    uint64_t size = wm_take_u64(&c);
    wm_take(&c, 4);
    uint32_t disk1 = wm_take_u32(&c), disk2 = wm_take_u32(&c);
    uint64_t here = wm_take_u64(&c), count = wm_take_u64(&c), bytes = wm_take_u64(&c),
             offset = wm_take_u64(&c);
    if (signature != SIG_END64 || size != locator - at - 12 || disk1 || disk2 || here != count)
        return corrupt(err, at, "bad zip64 end record");
    if ((end->count != FULL16 && end->count != count) || (end->size != FULL32 && end->size != bytes) ||
        (end->offset != FULL32 && end->offset != offset))
        return corrupt(err, at, "its two end records disagree");
    *end = (struct end){count, bytes, offset, at};
    *found = true;
    return true;
}

static bool read_end(wmap_archive *archive, struct end *end, wmap_error *err)
{
    uint8_t raw[SIZE_END];
    uint64_t at = 0;
    if (!find_end(archive, &at, raw, err))
        return false;
    wm_cursor c = wm_cursor_of(raw, SIZE_END, at);
    wm_take(&c, 4);
    uint32_t disk1 = wm_take_u16(&c), disk2 = wm_take_u16(&c), here = wm_take_u16(&c);
    *end = (struct end){.count = wm_take_u16(&c), .at = at};
    end->size = wm_take_u32(&c);
    end->offset = wm_take_u32(&c);
    if ((disk1 && disk1 != FULL16) || (disk2 && disk2 != FULL16) || here != end->count)
        return corrupt(err, at, "it spans several disks, or its counts disagree");
    bool zip64;
    if (!read_end64(archive, end, &zip64, err))
        return false;
    uint64_t stop;
    if (!wm_size_add(end->offset, end->size, &stop) || stop != end->at)
        return corrupt(err, end->at, "the directory does not end where its end record begins");
    if (end->count > end->size / SIZE_CENTRAL)
        return corrupt(err, end->at, "more members than its directory can hold");
    if (end->count > MAX_MEMBERS || end->size > WM_MAX_HEADER)
        return corrupt(err, end->at, "more members than wmap reads");
    return true;
}

/* The payload of the extra field `id`; false if extras are malformed. A tail too short for a field may be
 * zeros. */
static bool find_extra(const uint8_t *extra, size_t size, unsigned id, wm_cursor *payload)
{
    wm_cursor c = wm_cursor_of(extra, size, 0);
    *payload = wm_cursor_of(NULL, 0, 0);
    bool found = false;
    while (wm_cursor_left(&c) >= 4) {
        unsigned field = wm_take_u16(&c);
        size_t len = wm_take_u16(&c);
        const uint8_t *bytes = wm_take(&c, len);
        if (!bytes || (field == id && found))
            return false;
        if (field == id) {
            found = true;
            *payload = wm_cursor_of(bytes, len, 0);
        }
    }
    while (wm_cursor_left(&c))
        if (wm_take_u8(&c) != 0)
            return false;
    return true;
}

static bool path_is_safe(const char *name, size_t len)
{
    if (len == 0 || name[0] == '/' || memchr(name, '\\', len) || memchr(name, 0, len))
        return false;
    if (len >= 3 && name[1] == ':' && name[2] == '/')
        return false;
    for (size_t i = 0; i < len;) {
        const char *slash = memchr(name + i, '/', len - i);
        size_t part = slash ? (size_t)(slash - name) - i : len - i;
        if (part == 2 && name[i] == '.' && name[i + 1] == '.')
            return false;
        i += part + 1;
    }
    return true;
}

bool wm_zip_name_ok(const char *name, size_t len)
{
    return len <= WM_ZIP_NAME && path_is_safe(name, len) && wm_utf8_valid(name, len);
}

static const char *method_name(unsigned method)
{
    switch (method) {
    case 6:
        return "implode";
    case 9:
        return "deflate64";
    case 12:
        return "bzip2";
    case 14:
        return "lzma";
    case 20:
    case 93:
        return "zstd";
    case 95:
        return "xz";
    case 99:
        return "AES encryption";
    default:
        return "an unknown method";
    }
}

/* What one member must be like for wmap to read it, by its directory entry alone. */
static bool check_member(const wm_zip_member *m, unsigned maker, uint32_t attributes, wmap_error *err)
{
    if (!path_is_safe(m->name, m->name_len))
        return member_fail(err, m, "a member's name is empty, or a path out of the archive");
    if (m->flags & FLAG_REFUSED) {
        wm_fail(err, WMAP_E_UNSUPPORTED, "a member of the zip archive is encrypted or patched");
        wm_error_offset(err, m->header);
        return wm_error_tensor(err, m->name, m->name_len);
    }
    if (m->method != WM_ZIP_STORED && m->method != WM_ZIP_DEFLATE) {
        wm_fail(err, WMAP_E_UNSUPPORTED, "a member of the zip archive is compressed with %s (method %u)",
                method_name(m->method), m->method);
        wm_error_offset(err, m->header);
        return wm_error_tensor(err, m->name, m->name_len);
    }
    if (maker >> 8 == 3 && (attributes >> 16 & 0xf000) == 0xa000)
        return member_fail(err, m, "a member is a symbolic link");
    if (m->method == WM_ZIP_STORED && m->csize != m->usize)
        return member_fail(err, m, "a stored member has two different sizes");
    if (m->usize > WM_MAX_RATIO_FREE && m->usize / WM_MAX_RATIO > m->csize)
        return member_fail(err, m, "a member claims to unpack to more than its bytes can hold");
    return true;
}

/* Resolves the 32-bit fields that are saturated; the extra holds only those, in this order. */
static bool resolve_zip64(wm_zip_member *m, const uint8_t *extra, size_t size)
{
    wm_cursor c;
    if (!find_extra(extra, size, EXTRA_ZIP64, &c))
        return false;
    if (m->usize == FULL32 && c.size)
        m->usize = wm_take_u64(&c);
    if (m->csize == FULL32 && c.size)
        m->csize = wm_take_u64(&c);
    if (m->header == FULL32 && c.size)
        m->header = wm_take_u64(&c);
    return !c.failed && m->usize <= WM_SIZE_MAX && m->csize <= WM_SIZE_MAX && m->header <= WM_SIZE_MAX;
}

static bool read_member(wm_cursor *c, wm_zip_member *m, wmap_error *err)
{
    uint64_t at = wm_cursor_offset(c);
    if (wm_take_u32(c) != SIG_CENTRAL)
        return corrupt(err, at, "a directory entry is missing");
    unsigned maker = wm_take_u16(c);
    wm_take(c, 2); /* version needed: says nothing that the fields don't */
    m->flags = wm_take_u16(c);
    m->method = wm_take_u16(c);
    wm_take(c, 4); /* time, date */
    m->crc32 = wm_take_u32(c);
    m->csize = wm_take_u32(c);
    m->usize = wm_take_u32(c);
    m->name_len = wm_take_u16(c);
    size_t extra_len = wm_take_u16(c), comment_len = wm_take_u16(c);
    unsigned disk = wm_take_u16(c);
    wm_take(c, 2);
    uint32_t attributes = wm_take_u32(c);
    m->header = wm_take_u32(c);
    m->name = (const char *)wm_take(c, m->name_len);
    const uint8_t *extra = wm_take(c, extra_len);
    wm_take(c, comment_len);
    if (c->failed)
        return corrupt(err, at, "a directory entry runs past the directory");
    if (!resolve_zip64(m, extra, extra_len) || (disk != 0 && disk != FULL16))
        return corrupt(err, at, "a directory entry has malformed extra fields");
    return check_member(m, maker, attributes, err);
}

/* Compares what the local header says of a size: the same, or left open for a descriptor. */
static bool local_size_ok(uint64_t local, uint64_t central, bool streamed)
{
    return local == central || (streamed && local == 0);
}

#define LOCAL_ROOM (SIZE_LOCAL + WM_ZIP_NAME) /* extra fields are no larger */

/* Reads a local header: it must agree with the directory. Sets m->data. `room` holds LOCAL_ROOM bytes. */
static bool read_local(wmap_archive *archive, wm_zip_member *m, uint64_t limit, uint8_t *room,
                       wmap_error *err)
{
    if (m->header > limit || limit - m->header < SIZE_LOCAL + m->name_len)
        return member_fail(err, m, "a local header lies outside the archive");
    /* With the name in one read, as there may be a million of them. */
    if (!wm_archive_read(archive, 0, m->header, room, SIZE_LOCAL + m->name_len, err))
        return false;
    wm_cursor c = wm_cursor_of(room, SIZE_LOCAL + m->name_len, m->header);
    if (wm_take_u32(&c) != SIG_LOCAL)
        return member_fail(err, m, "the directory points at something that is no local header");
    wm_take(&c, 2);
    unsigned flags = wm_take_u16(&c), method = wm_take_u16(&c);
    wm_take(&c, 4);
    uint32_t crc = wm_take_u32(&c);
    uint64_t csize = wm_take_u32(&c), usize = wm_take_u32(&c);
    size_t name_len = wm_take_u16(&c), extra_len = wm_take_u16(&c);
    bool streamed = flags & FLAG_STREAMED;
    m->data = m->header + SIZE_LOCAL + name_len + extra_len;
    if (m->data > limit || m->csize > limit - m->data)
        return member_fail(err, m, "a member runs past the directory");
    if (name_len != m->name_len || memcmp(room + SIZE_LOCAL, m->name, name_len) != 0)
        return member_fail(err, m, "a member has two different names");
    if (method != m->method || ((flags ^ m->flags) & (FLAG_REFUSED | FLAG_STREAMED)))
        return member_fail(err, m, "a local header and the directory disagree on method or flags");
    if (csize == FULL32 || usize == FULL32) {
        wm_cursor e;
        if (!wm_archive_read(archive, 0, m->header + SIZE_LOCAL + name_len, room, extra_len, err))
            return false;
        if (!find_extra(room, extra_len, EXTRA_ZIP64, &e))
            return member_fail(err, m, "malformed extra fields");
        if (e.size) {
            usize = usize == FULL32 ? wm_take_u64(&e) : usize;
            csize = csize == FULL32 ? wm_take_u64(&e) : csize;
        }
    }
    if (!local_size_ok(csize, m->csize, streamed) || !local_size_ok(usize, m->usize, streamed))
        return member_fail(err, m, "a local header and the directory disagree on the size");
    if (crc != m->crc32 && !(streamed && crc == 0))
        return member_fail(err, m, "a local header and the directory disagree on the CRC");
    return true;
}

static int by_header(const void *a, const void *b)
{
    const wm_zip_member *x = *(const wm_zip_member *const *)a, *y = *(const wm_zip_member *const *)b;
    return (x->header > y->header) - (x->header < y->header);
}

/* The members must tile the file from byte 0 to the directory, but for descriptors: nothing hidden, nothing
 * shared. */
static bool check_tiling(const wm_zip *zip, uint64_t stop, wmap_error *err)
{
    if (zip->count == 0)
        return stop == 0 || corrupt(err, 0, "bytes before an empty directory");
    const wm_zip_member **order = calloc(zip->count, sizeof *order);
    if (!order)
        return wm_fail(err, WMAP_E_NOMEM, "out of memory");
    for (size_t i = 0; i < zip->count; i++)
        order[i] = &zip->members[i];
    qsort(order, zip->count, sizeof *order, by_header);
    bool ok = order[0]->header == 0 || corrupt(err, 0, "bytes stand before its first member");
    for (size_t i = 0; ok && i < zip->count; i++) {
        const wm_zip_member *m = order[i];
        uint64_t end = m->data + m->csize, next = i + 1 < zip->count ? order[i + 1]->header : stop;
        if (end > next)
            ok = member_fail(err, m, "members overlap");
        uint64_t gap = next - end;
        bool descriptor = (m->flags & FLAG_STREAMED) && (gap == 12 || gap == 16 || gap == 20 || gap == 24);
        if (ok && gap && !descriptor)
            ok = member_fail(err, m, "bytes that belong to no member follow this one");
    }
    free(order);
    return ok;
}

static bool read_locals(wmap_archive *archive, wm_zip *zip, uint64_t stop, wmap_error *err)
{
    uint8_t *room = malloc(LOCAL_ROOM);
    if (!room)
        return wm_fail(err, WMAP_E_NOMEM, "out of memory");
    bool ok = true;
    for (size_t i = 0; ok && i < zip->count; i++)
        ok = read_local(archive, &zip->members[i], stop, room, err);
    free(room);
    return ok;
}

wm_zip *wm_zip_parse(wmap_archive *archive, wmap_error *err)
{
    struct end end;
    if (!read_end(archive, &end, err))
        return NULL;
    const uint8_t *bytes = wm_archive_load(archive, 0, end.offset, end.size, err);
    if (!bytes)
        return NULL;
    wm_zip *zip = wm_new(&archive->arena, wm_zip, 1);
    wm_zip_member *members = wm_new(&archive->arena, wm_zip_member, (size_t)end.count);
    bool oom = !zip || !members;
    if (!oom) {
        zip->members = members;
        wm_map_init(&zip->names, &archive->arena, (size_t)end.count);
    }
    wm_cursor c = wm_cursor_of(bytes, (size_t)end.size, end.offset);
    while (!oom && zip->count < end.count) {
        wm_zip_member *m = &members[zip->count];
        if (!read_member(&c, m, err))
            return NULL;
        if (wm_map_put(&zip->names, m->name, m->name_len, (uint32_t)zip->count, &oom) != WM_MAP_NONE) {
            member_fail(err, m, "two members have this name");
            return NULL;
        }
        zip->count++;
    }
    if (oom) {
        wm_fail(err, WMAP_E_NOMEM, "out of memory");
        return NULL;
    }
    if (wm_cursor_left(&c)) {
        corrupt(err, wm_cursor_offset(&c), "its directory holds more than its members");
        return NULL;
    }
    return read_locals(archive, zip, end.offset, err) && check_tiling(zip, end.offset, err) ? zip : NULL;
}

const wm_zip_member *wm_zip_find(const wm_zip *zip, const char *name, size_t len)
{
    uint32_t index = wm_map_get(&zip->names, name, len);
    return index == WM_MAP_NONE ? NULL : &zip->members[index];
}

bool wm_zip_alone(const wm_zip *zip, const wm_zip_member *member, wmap_error *err)
{
    for (size_t i = 0; i < zip->count; i++) {
        const wm_zip_member *m = &zip->members[i];
        if (m != member && m->name_len == member->name_len &&
            strncasecmp(m->name, member->name, m->name_len) == 0)
            return member_fail(err, m, "two members have this name but for upper and lower case");
    }
    return true;
}

/* Reads a member from its start, inflating if need be. */
struct reader {
    wmap_archive *archive;
    const wm_zip_member *m;
    uint64_t in_at, out_at; /* bytes read from the file, given out */
    z_stream z;
    bool inflating, ended;
    uint8_t *in; /* CHUNK bytes */
};

static bool reader_open(struct reader *r, wmap_archive *archive, const wm_zip_member *m, wmap_error *err)
{
    memset(r, 0, sizeof *r);
    r->archive = archive;
    r->m = m;
    if (m->method == WM_ZIP_STORED)
        return true;
    r->in = malloc(CHUNK);
    r->inflating = r->in && inflateInit2(&r->z, -MAX_WBITS) == Z_OK;
    return r->inflating || wm_fail(err, WMAP_E_NOMEM, "out of memory");
}

static void reader_close(struct reader *r)
{
    if (r->inflating)
        inflateEnd(&r->z);
    free(r->in);
}

/* The next bytes, at most `size`; `*got` is 0 only at the end of the member, which must come where it says.
 */
static bool reader_next(struct reader *r, uint8_t *out, size_t size, size_t *got, wmap_error *err)
{
    const wm_zip_member *m = r->m;
    *got = 0;
    if (m->method == WM_ZIP_STORED) {
        uint64_t left = m->usize - r->out_at;
        size_t n = left < size ? (size_t)left : size;
        if (!wm_archive_read(r->archive, 0, m->data + r->out_at, out, n, err))
            return false;
        r->out_at += n;
        *got = n;
        return true;
    }
    r->z.next_out = out;
    r->z.avail_out = (uInt)(size < CHUNK ? size : CHUNK);
    uInt room = r->z.avail_out;
    while (!r->ended && r->z.avail_out) {
        if (r->z.avail_in == 0 && r->in_at < m->csize) {
            uint64_t left = m->csize - r->in_at;
            size_t n = left < CHUNK ? (size_t)left : CHUNK;
            if (!wm_archive_read(r->archive, 0, m->data + r->in_at, r->in, n, err))
                return false;
            r->in_at += n;
            r->z.next_in = r->in;
            r->z.avail_in = (uInt)n;
        }
        int status = inflate(&r->z, Z_NO_FLUSH);
        if (status == Z_STREAM_END)
            r->ended = true;
        else if (status == Z_MEM_ERROR)
            return wm_fail(err, WMAP_E_NOMEM, "out of memory");
        else if (status != Z_OK)
            return member_fail(
                err, m, r->z.avail_in || r->in_at < m->csize ? "bad deflate data" : "deflate data end early");
    }
    *got = room - r->z.avail_out;
    r->out_at += *got;
    if (r->out_at > m->usize)
        return member_fail(err, m, "a member unpacks to more bytes than it claims");
    if (r->ended && (r->out_at != m->usize || r->z.avail_in || r->in_at != m->csize))
        return member_fail(err, m, "a member's sizes are not those that it claims");
    return true;
}

bool wm_zip_peek(wmap_archive *archive, const wm_zip_member *m, void *buffer, size_t size, size_t *got,
                 wmap_error *err)
{
    struct reader r;
    *got = 0;
    bool ok = reader_open(&r, archive, m, err);
    for (size_t n = 1; ok && n && *got < size; *got += n)
        ok = reader_next(&r, (uint8_t *)buffer + *got, size - *got, &n, err);
    reader_close(&r);
    return ok;
}

bool wm_zip_stream(wmap_archive *archive, const wm_zip_member *m, wm_sink *sink, wmap_error *err)
{
    struct reader r;
    uint8_t *out = malloc(CHUNK);
    bool ok = out ? reader_open(&r, archive, m, err) : wm_fail(err, WMAP_E_NOMEM, "out of memory");
    uint32_t crc = 0;
    for (size_t n = 1; ok && n;) {
        ok = reader_next(&r, out, CHUNK, &n, err);
        crc = (uint32_t)crc32(crc, out, (uInt)n);
        ok = ok && (n == 0 || sink->put(sink, out, n, err));
    }
    if (out)
        reader_close(&r);
    free(out);
    if (ok && crc != m->crc32)
        return member_fail(err, m, "wrong CRC-32; the member's bytes were changed");
    return ok;
}

uint32_t wm_zip_spool(wmap_archive *archive, const wm_zip_member *member, wmap_error *err)
{
    int fd = wm_spool_new(err);
    if (fd < 0)
        return UINT32_MAX;
    wm_spool out = wm_spool_of(fd, member->usize);
    if (wm_zip_stream(archive, member, &out.sink, err))
        return wm_archive_add_spool(archive, fd, out.size, err);
    close(fd);
    return UINT32_MAX;
}

uint8_t *wm_zip_load(wmap_archive *archive, const wm_zip_member *m, uint64_t limit, wm_zip_crc crc,
                     wmap_error *err)
{
    if (m->usize > limit || m->usize > WM_MAX_HEADER) {
        member_fail(err, m, "a member is larger than wmap reads into memory");
        return NULL;
    }
    size_t size = (size_t)m->usize, got;
    /* The claim was held against the member's bytes in the file (check_member), so this can't be far off. */
    uint8_t *bytes = wm_alloc(&archive->arena, size + 1);
    if (!bytes) {
        wm_fail(err, WMAP_E_NOMEM, "out of memory");
        return NULL;
    }
    /* One byte more than there should be, so that the end of the deflate data is seen and checked. */
    if (!wm_zip_peek(archive, m, bytes, size + 1, &got, err))
        return NULL;
    if (got != size) {
        member_fail(err, m, "a member's sizes are not those that it claims");
        return NULL;
    }
    bytes[size] = 0;
    uLong sum = crc32_z(0, bytes, size);
    if (sum != m->crc32 && crc == WM_ZIP_CRC_WARN && m->method == WM_ZIP_STORED) {
        wm_archive_warn(archive, "wrong CRC-32 in member %.*s", (int)m->name_len, m->name);
    } else if (sum != m->crc32) {
        member_fail(err, m, "wrong CRC-32; the member's bytes were changed");
        return NULL;
    }
    return bytes;
}
