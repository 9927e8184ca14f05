/* flax.c: Flax's msgpack files (flax/serialization.py: to_bytes): one map of maps whose leaves are arrays. An
 * array is an extension of type 1: a list of shape, name of the dtype, and the elements, row-major. Those
 * over 2^30 bytes are cut into pieces. Arrays stand in the file as they are and are read in place. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/base/dtype.h"
#include "runtime/base/size.h"
#include "runtime/formats/stream.h"

#define MAX_DEPTH  64
#define MAX_DTYPE  32 /* bytes of a dtype's name */
#define MAX_PIECES ((uint32_t)100000)
#define CHUNK      ((size_t)256 << 10)

enum { EXT_ARRAY = 1, EXT_COMPLEX = 2, EXT_SCALAR = 3 };

/* A value's head. */
enum kind { NIL, BOOLEAN, NUMBER, TEXT, BYTES, LIST, MAP, EXT };
typedef struct head {
    enum kind kind;
    uint64_t size; /* bytes of TEXT, BYTES, EXT and of what follows a NUMBER; items of LIST and MAP */
    int type;      /* of an EXT */
    int64_t whole; /* NUMBER: its value if `is_whole` */
    bool is_whole;
} head;

typedef struct piece {
    uint64_t offset, bytes;
} piece;

/* What decode() puts together. */
typedef struct pieces {
    piece *list;
    uint32_t count;
} pieces;

typedef struct reader {
    wm_stream s;
    char name[WM_MAX_NAME + 1]; /* of the value at hand: the keys around it, joined by dots */
    size_t len;
    pieces *chunked;
    size_t chunked_count, chunked_cap;
} reader;

static head sized(reader *r, enum kind kind, unsigned bytes)
{
    return (head){.kind = kind, .size = wm_stream_number(&r->s, bytes)};
}

static head number(uint64_t bytes)
{
    return (head){.kind = NUMBER, .size = bytes};
}

static head whole(reader *r, unsigned bytes, bool is_signed)
{
    uint64_t bits = wm_stream_number(&r->s, bytes);
    unsigned spare = 64 - 8 * bytes;
    int64_t value = is_signed ? (int64_t)(bits << spare) >> spare : (int64_t)bits;
    return (head){.kind = NUMBER, .whole = value, .is_whole = is_signed || value >= 0};
}

static head extension(reader *r, unsigned bytes, uint64_t size)
{
    head h = {.kind = EXT, .size = bytes ? wm_stream_number(&r->s, bytes) : size};
    h.type = (int)wm_stream_number(&r->s, 1);
    return h;
}

/* The forms whose first byte is from 0xc0 to 0xdf. */
static head take_special(reader *r, unsigned b)
{
    switch (b) {
    case 0xc0:
        return (head){.kind = NIL};
    case 0xc2:
    case 0xc3:
        return (head){.kind = BOOLEAN};
    case 0xc4:
    case 0xc5:
    case 0xc6:
        return sized(r, BYTES, 1u << (b - 0xc4));
    case 0xc7:
    case 0xc8:
    case 0xc9:
        return extension(r, 1u << (b - 0xc7), 0);
    case 0xca:
        return number(4);
    case 0xcb:
        return number(8);
    case 0xcc:
    case 0xcd:
    case 0xce:
    case 0xcf:
        return whole(r, 1u << (b - 0xcc), false);
    case 0xd0:
    case 0xd1:
    case 0xd2:
    case 0xd3:
        return whole(r, 1u << (b - 0xd0), true);
    case 0xd4:
    case 0xd5:
    case 0xd6:
    case 0xd7:
    case 0xd8:
        return extension(r, 0, 1u << (b - 0xd4));
    case 0xd9:
    case 0xda:
    case 0xdb:
        return sized(r, TEXT, 1u << (b - 0xd9));
    case 0xdc:
    case 0xdd:
        return sized(r, LIST, 2u << (b - 0xdc));
    case 0xde:
    case 0xdf:
        return sized(r, MAP, 2u << (b - 0xde));
    default:
        wm_stream_fail(&r->s, "a byte that begins no value of msgpack");
        return (head){.kind = NIL};
    }
}

static head take_head(reader *r)
{
    unsigned b = (unsigned)wm_stream_number(&r->s, 1);
    if (b < 0x80)
        return (head){.kind = NUMBER, .whole = b, .is_whole = true};
    if (b < 0x90)
        return (head){.kind = MAP, .size = b & 0x0f};
    if (b < 0xa0)
        return (head){.kind = LIST, .size = b & 0x0f};
    if (b < 0xc0)
        return (head){.kind = TEXT, .size = b & 0x1f};
    if (b >= 0xe0)
        return (head){.kind = NUMBER, .whole = (int64_t)b - 256, .is_whole = true};
    return take_special(r, b);
}

static bool is_container(const head *h)
{
    return h->kind == LIST || h->kind == MAP;
}

/* ---- arrays ---- */

typedef struct array {
    wmap_dtype dtype;
    char spelled[MAX_DTYPE + 1];
    uint32_t rank;
    uint64_t shape[WMAP_MAX_RANK];
    uint64_t offset, bytes; /* of the elements */
} array;

/* JAX and NumPy call their dtypes as torch does, but for two. */
static wmap_dtype dtype_named(const char *name, size_t len)
{
    if (len == 15 && memcmp(name, "float8_e4m3b11f", 15) == 0)
        return WMAP_OPAQUE;
    wmap_dtype dtype = wm_dtype_spelled(offsetof(wm_dtype_info, torch), name, len);
    return dtype == WMAP_DTYPE_NONE ? WMAP_OPAQUE : dtype;
}

static bool take_shape(reader *r, array *a)
{
    head h = take_head(r);
    if (r->s.failed || h.kind != LIST || h.size > WMAP_MAX_RANK)
        return wm_stream_fail(&r->s, "an array whose shape is no list of at most %d numbers", WMAP_MAX_RANK);
    a->rank = (uint32_t)h.size;
    for (uint32_t d = 0; d < a->rank; d++) {
        head n = take_head(r);
        if (n.kind != NUMBER || !n.is_whole || n.whole < 0)
            return wm_stream_fail(&r->s, "an extent that is no whole number");
        a->shape[d] = (uint64_t)n.whole;
    }
    return !r->s.failed;
}

/* The payload of an array, `size` bytes. */
static bool take_array(reader *r, uint64_t size, array *a)
{
    uint64_t begin = r->s.at, count, bytes;
    if (size > wm_stream_left(&r->s))
        return wm_stream_fail(&r->s, "an array of %" PRIu64 " bytes; the file ends before", size);
    head list = take_head(r);
    if (list.kind != LIST || list.size != 3 || !take_shape(r, a))
        return wm_stream_fail(&r->s, "an array that is no list of shape, dtype and elements");
    head name = take_head(r);
    if ((name.kind != TEXT && name.kind != BYTES) || name.size > MAX_DTYPE ||
        !wm_stream_take(&r->s, a->spelled, (size_t)name.size))
        return wm_stream_fail(&r->s, "an array without the name of its dtype");
    a->spelled[name.size] = 0;
    a->dtype = dtype_named(a->spelled, (size_t)name.size);
    head data = take_head(r);
    a->offset = r->s.at;
    a->bytes = data.size;
    if (data.kind != BYTES || !wm_stream_skip(&r->s, data.size) || r->s.at - begin != size)
        return wm_stream_fail(&r->s, "an array whose elements do not fill it");
    if (!wm_shape_count(a->shape, a->rank, &count) ||
        !wm_size_mul(count, wmap_dtype_size(a->dtype), &bytes) ||
        (a->dtype != WMAP_OPAQUE && bytes != a->bytes))
        return wm_stream_fail(&r->s, "an array of %" PRIu64 " bytes, which is not what its shape takes",
                              a->bytes);
    return true;
}

static wm_entry *add_array(reader *r, const array *a)
{
    wmap_archive *archive = r->s.archive;
    wm_entry *entry = wm_archive_add(archive, r->name, r->len, a->dtype, a->rank, a->shape, NULL, r->s.err);
    if (!entry) {
        r->s.failed = true;
        return NULL;
    }
    if (a->dtype == WMAP_OPAQUE)
        entry->note = wm_format_text(&archive->arena, "elements of dtype %s", a->spelled);
    return entry;
}

static bool read_array(reader *r, const head *h)
{
    array a;
    if (h->type == EXT_COMPLEX)
        return wm_stream_skip(&r->s, h->size); /* a number of Python's */
    if (h->type != EXT_ARRAY && h->type != EXT_SCALAR)
        return wm_stream_fail(&r->s, "an extension of type %d, which Flax does not write", h->type);
    if (!take_array(r, h->size, &a))
        return false;
    wm_entry *entry = add_array(r, &a);
    if (!entry || a.dtype == WMAP_OPAQUE)
        return entry != NULL;
    entry->direct = true;
    entry->offset = a.offset;
    if (wm_entry_check(r->s.archive, entry, a.offset, a.offset + a.bytes, r->s.err))
        return true;
    r->s.failed = true;
    return false;
}

/* ---- arrays in pieces ---- */

/* A map of "0", "1" ...; `each` takes what the number `index` is. */
static bool read_numbered(reader *r, uint64_t *count, bool (*each)(reader *r, uint64_t index, void *user),
                          void *user)
{
    head h = take_head(r);
    if (h.kind != MAP || h.size > MAX_PIECES)
        return wm_stream_fail(&r->s, "an array in pieces that are not numbered");
    *count = h.size;
    for (uint64_t i = 0; i < h.size; i++) {
        char text[16] = "", want[16];
        head key = take_head(r);
        int len = snprintf(want, sizeof want, "%" PRIu64, i);
        if (key.kind != TEXT || key.size != (uint64_t)len || !wm_stream_take(&r->s, text, (size_t)len) ||
            memcmp(text, want, (size_t)len) != 0)
            return wm_stream_fail(&r->s, "an array in pieces that are not in order");
        if (!each(r, i, user))
            return false;
    }
    return true;
}

typedef struct chunked {
    array whole;
    piece *list;
    size_t count, cap;
    uint64_t bytes;
    bool shaped; /* its shape was read */
} chunked;

static bool take_extent(reader *r, uint64_t index, void *user)
{
    chunked *c = user;
    head n = take_head(r);
    if (index >= WMAP_MAX_RANK || n.kind != NUMBER || !n.is_whole || n.whole < 0)
        return wm_stream_fail(&r->s, "an array in pieces whose shape is none");
    c->whole.shape[index] = (uint64_t)n.whole;
    return true;
}

static bool take_piece(reader *r, uint64_t index, void *user)
{
    chunked *c = user;
    array a;
    head h = take_head(r);
    if (h.kind != EXT || h.type != EXT_ARRAY || !take_array(r, h.size, &a))
        return wm_stream_fail(&r->s, "a piece of an array that is none");
    if (index > 0 && a.dtype != c->whole.dtype)
        return wm_stream_fail(&r->s, "pieces of different dtypes");
    c->whole.dtype = a.dtype;
    memcpy(c->whole.spelled, a.spelled, sizeof a.spelled);
    piece *p = wm_push(&r->s.archive->arena, c->list, c->count, c->cap);
    if (!p) {
        r->s.failed = true;
        return wm_fail(r->s.err, WMAP_E_NOMEM, "out of memory");
    }
    *p = (piece){a.offset, a.bytes};
    c->bytes += a.bytes; /* all of them stand in the file: no overflow */
    return true;
}

/* "shape" or "chunks", and what it is. */
static bool read_half(reader *r, chunked *c)
{
    char key[8] = "";
    uint64_t count = 0;
    head h = take_head(r);
    if (h.kind != TEXT || h.size >= sizeof key || !wm_stream_take(&r->s, key, (size_t)h.size))
        return wm_stream_fail(&r->s, "an array in pieces with a key that is none of its");
    if (strcmp(key, "chunks") == 0 && c->count == 0)
        return read_numbered(r, &count, take_piece, c);
    if (strcmp(key, "shape") != 0 || c->shaped || !read_numbered(r, &count, take_extent, c))
        return wm_stream_fail(&r->s, "an array in pieces with a key that is none of its");
    c->shaped = true;
    c->whole.rank = (uint32_t)count;
    return true;
}

/* Behind the key "__msgpack_chunked_array__", the first of its map. */
static bool read_chunked(reader *r)
{
    chunked c = {0};
    uint64_t count, bytes;
    take_head(r); /* true */
    if (!read_half(r, &c) || !read_half(r, &c))
        return false;
    if (c.count == 0 || !c.shaped || !wm_shape_count(c.whole.shape, c.whole.rank, &count) ||
        !wm_size_mul(count, wmap_dtype_size(c.whole.dtype), &bytes) ||
        (c.whole.dtype != WMAP_OPAQUE && bytes != c.bytes))
        return wm_stream_fail(&r->s, "pieces of %" PRIu64 " bytes, which is not what the shape takes",
                              c.bytes);
    wm_entry *entry = add_array(r, &c.whole);
    if (!entry)
        return false;
    pieces *p = wm_push(&r->s.archive->arena, r->chunked, r->chunked_count, r->chunked_cap);
    if (!p) {
        r->s.failed = true;
        return wm_fail(r->s.err, WMAP_E_NOMEM, "out of memory");
    }
    *p = (pieces){c.list, (uint32_t)c.count};
    entry->id = r->chunked_count - 1;
    return true;
}

/* ---- maps and lists ---- */

static bool is_chunk_mark(const char *key, size_t len)
{
    static const char mark[] = "__msgpack_chunked_array__";
    return len == sizeof mark - 1 && memcmp(key, mark, len) == 0;
}

/* Lengthens the name by a key that stands next in the file, or by a number. */
static bool enter(reader *r, const head *key, uint64_t index)
{
    size_t room = WM_MAX_NAME - r->len;
    char text[24] = "";
    uint64_t len = key ? key->size : (uint64_t)snprintf(text, sizeof text, "%" PRIu64, index);
    if (key && key->kind == NUMBER && key->is_whole)
        len = (uint64_t)snprintf(text, sizeof text, "%" PRId64, key->whole);
    else if (key && key->kind != TEXT)
        return wm_stream_fail(&r->s, "a key that is neither text nor a whole number");
    if (len + 1 > room)
        return wm_stream_fail(&r->s, "a name of more than %zu bytes", WM_MAX_NAME);
    if (r->len)
        r->name[r->len++] = '.';
    if (text[0])
        memcpy(r->name + r->len, text, (size_t)len);
    else if (!wm_stream_take(&r->s, r->name + r->len, (size_t)len))
        return false;
    r->len += (size_t)len;
    r->name[r->len] = 0;
    return true;
}

static bool read_value(reader *r, int depth);

static bool read_items(reader *r, const head *h, int depth)
{
    size_t before = r->len;
    uint64_t least = h->kind == MAP ? 2 : 1;
    if (depth >= MAX_DEPTH)
        return wm_stream_fail(&r->s, "it is nested more than %d deep", MAX_DEPTH);
    if (h->size > wm_stream_left(&r->s) / least)
        return wm_stream_fail(&r->s, "%" PRIu64 " items, more than the file has room for", h->size);
    for (uint64_t i = 0; i < h->size; i++) {
        head key = {0};
        if (h->kind == MAP)
            key = take_head(r);
        if (r->s.failed || !enter(r, h->kind == MAP ? &key : NULL, i))
            return false;
        size_t from = before ? before + 1 : 0;
        if (i == 0 && h->kind == MAP && h->size == 3 && is_chunk_mark(r->name + from, r->len - from)) {
            r->name[r->len = before] = 0;
            return read_chunked(r);
        }
        if (!read_value(r, depth + 1))
            return false;
        r->name[r->len = before] = 0;
    }
    return true;
}

/* Numbers, texts and the like beside the arrays are passed over. */
static bool read_value(reader *r, int depth)
{
    head h = take_head(r);
    if (r->s.failed)
        return false;
    if (is_container(&h))
        return read_items(r, &h, depth);
    return h.kind == EXT ? read_array(r, &h) : wm_stream_skip(&r->s, h.size);
}

/* ---- the format ---- */

/* There is no magic: a map whose first key is a text of printable characters. */
static bool probe(wmap_archive *archive)
{
    const uint8_t *p = archive->head;
    size_t at, len;
    if (archive->head_size < 8)
        return false;
    if (p[0] > 0x80 && p[0] < 0x90)
        at = 1;
    else if (p[0] == 0xde || p[0] == 0xdf)
        at = p[0] == 0xde ? 3 : 5;
    else
        return false;
    if (p[at] > 0xa0 && p[at] < 0xc0) {
        len = p[at] & 0x1f;
        at += 1;
    } else if (p[at] == 0xd9) {
        len = p[at + 1];
        at += 2;
    } else {
        return false;
    }
    for (size_t i = at; i < at + len && i < archive->head_size; i++)
        if (p[i] < 0x20 || p[i] == 0x7f)
            return false;
    return at + len < archive->head_size && len > 0;
}

static bool open_flax(wmap_archive *archive, wmap_error *err)
{
    reader *r = calloc(1, sizeof *r);
    if (!r)
        return wm_fail(err, WMAP_E_NOMEM, "out of memory");
    wm_stream_init(&r->s, archive, 0, err);
    r->s.big = true; /* msgpack's numbers are; the elements of arrays are little-endian */
    bool ok = read_value(r, 0);
    if (ok && wm_stream_left(&r->s) > 0)
        ok = wm_stream_fail(&r->s, "%" PRIu64 " bytes follow the map", wm_stream_left(&r->s));
    archive->state = r->chunked;
    free(r);
    return ok;
}

/* Only for arrays in pieces. */
static bool decode(wmap_archive *archive, const wm_entry *entry, wm_sink *to, wmap_error *err)
{
    const pieces *p = (const pieces *)archive->state + entry->id;
    uint8_t *chunk = malloc(CHUNK);
    bool ok = chunk || wm_fail(err, WMAP_E_NOMEM, "out of memory");
    for (uint32_t i = 0; ok && i < p->count; i++) {
        for (uint64_t done = 0; ok && done < p->list[i].bytes;) {
            uint64_t left = p->list[i].bytes - done;
            size_t n = left < CHUNK ? (size_t)left : CHUNK;
            ok = wm_archive_read(archive, 0, p->list[i].offset + done, chunk, n, err) &&
                 to->put(to, chunk, n, err);
            done += n;
        }
    }
    free(chunk);
    return ok;
}

extern const wm_format wm_format_flax;
const wm_format wm_format_flax = {
    .name = "flax",
    .title = "Flax msgpack",
    .suffixes = ".msgpack",
    .probe = probe,
    .open = open_flax,
    .decode = decode,
};
