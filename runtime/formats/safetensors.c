/* safetensors.c: the header is JSON, the data one buffer that the tensors must tile. Stricter than the
 * reference reader where the two differ: names and keys given twice are refused, however they are escaped. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/formats/safetensors.h"
#include "runtime/base/dtype.h"
#include "runtime/base/size.h"
#include "runtime/base/text.h"
#include "runtime/json_in.h"

#define MAX_DEPTH 8                  /* of brackets; a good header has three levels */
#define VALUE_MAX ((size_t)64 << 10) /* bytes of a tensor's entry: bounds memory */
/* Bytes of the shortest entry, "":{"dtype":"U8","shape":[],"data_offsets":[0,1]}, rounded down. */
#define ENTRY_MIN    48
#define STRING_MAX   ((size_t)16 << 20) /* bytes of a value of the metadata */
#define METADATA_MAX ((size_t)100000)   /* keys of the metadata */

static bool corrupt(wmap_error *err, const wm_cursor *c, const char *text)
{
    wm_fail(err, WMAP_E_CORRUPT, "damaged safetensors header: %s", text);
    return wm_error_offset(err, wm_cursor_offset(c));
}

static bool is_space(int b)
{
    return b == ' ' || b == '\t' || b == '\n' || b == '\r';
}

static int peek(const wm_cursor *c)
{
    return wm_cursor_left(c) ? c->bytes[c->at] : -1;
}

static void skip_space(wm_cursor *c)
{
    while (is_space(peek(c)))
        c->at++;
}

/* What begins with eight bytes of text is text. */
static bool is_text(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] >= 0x7f || (bytes[i] < 0x20 && !is_space(bytes[i])))
            return false;
    return true;
}

/* A length that can't be true makes it a damaged file of this format, not one of another kind, if a header
 * seems to follow: an object that has a key, or is empty, or at least its brace behind a length of less than
 * 1 TiB. */
static bool probe(wmap_archive *archive)
{
    wm_cursor c = wm_cursor_of(archive->head, archive->head_size, 0);
    uint64_t length = wm_take_u64(&c);
    skip_space(&c);
    if (c.failed || peek(&c) != '{')
        return false;
    if (length <= WM_SAFETENSORS_HEADER)
        return true;
    if (is_text(archive->head, WM_SAFETENSORS_LENGTH))
        return false;
    c.at++;
    skip_space(&c);
    return length >> 40 == 0 || peek(&c) == '"' || peek(&c) == '}';
}

/* The header is split here into keys and values. Most are plain (safetensors_plain.c); of the others nesting
 * and memory are bounded before jansson sees a piece, and it then is the judge of each. */

/* Passes over a string; only its end is sought. */
static bool skip_string(wm_cursor *c)
{
    for (c->at++; peek(c) >= 0; c->at++) {
        if (peek(c) == '"') {
            c->at++;
            return true;
        }
        if (peek(c) == '\\' && wm_cursor_left(c) > 1)
            c->at++;
    }
    return false;
}

/* Passes over an object, a string or a bare word. */
static bool skip_value(wm_cursor *c, wmap_error *err)
{
    int depth = 0;
    do {
        int b = peek(c);
        if (b < 0)
            return corrupt(err, c, "it ends in the middle");
        if (b == '"') {
            if (!skip_string(c))
                return corrupt(err, c, "a string does not end");
            continue;
        }
        if (b == '{' || b == '[')
            depth++;
        else if (b == '}' || b == ']') {
            if (depth == 0)
                break; /* it closes what this value stands in */
            depth--;
        } else if (b == ',' && depth == 0)
            break;
        if (depth > MAX_DEPTH)
            return corrupt(err, c, "it is nested too deep");
        c->at++;
    } while (depth > 0 || (wm_cursor_left(c) && peek(c) != ',' && peek(c) != '}'));
    return true;
}

/* Parses the piece [begin, c->at). `*json` is owned by the caller. */
static bool parse_piece(const wm_cursor *c, size_t begin, json_t **json, wmap_error *err)
{
    json_error_t failure;
    bool oom;
    *json = wm_json_parse((const char *)c->bytes + begin, c->at - begin, JSON_DECODE_ANY | JSON_ALLOW_NUL,
                          &failure, &oom);
    if (*json)
        return true;
    if (oom)
        return wm_fail(err, WMAP_E_NOMEM, "out of memory");
    wm_fail(err, WMAP_E_CORRUPT, "damaged safetensors header: %s", failure.text);
    /* jansson counts the bytes that it took; the offending one is the last of them */
    return wm_error_offset(err,
                           c->origin + begin + (failure.position > 0 ? (size_t)failure.position - 1 : 0));
}

/* What a dtype says. */
extern const wm_format wm_format_safetensors;

struct kind {
    wmap_dtype dtype;
    const char *note;
    uint64_t bits;  /* of an element */
    uint32_t other; /* number in `others`, if opaque */
};

/* Types that the format has and wmap doesn't move. */
static const struct {
    const char *name;
    uint64_t bits;
} others[] = {{"F4", 4},          {"F6_E2M3", 6},     {"F6_E3M2", 6},       {"F8_E8M0", 8},
              {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"F8_E4M3B11FNUZ", 8}};

static bool find_kind(const wm_safetensors_entry *entry, const wm_cursor *c, struct kind *kind,
                      wmap_error *err)
{
    *kind = (struct kind){.note = NULL};
    kind->dtype = wm_dtype_spelled(offsetof(wm_dtype_info, safetensors), entry->dtype, entry->dtype_len);
    kind->bits = 8 * (uint64_t)wmap_dtype_size(kind->dtype);
    if (kind->dtype != WMAP_DTYPE_NONE)
        return true;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strlen(others[i].name) == entry->dtype_len &&
            memcmp(others[i].name, entry->dtype, entry->dtype_len) == 0) {
            *kind = (struct kind){WMAP_OPAQUE, others[i].name, others[i].bits, (uint32_t)i};
            return true;
        }
    char shown[64];
    wm_fail(err, WMAP_E_UNSUPPORTED, "a tensor is of the unknown dtype %s",
            wm_show(shown, sizeof shown, entry->dtype, entry->dtype_len));
    return wm_error_offset(err, wm_cursor_offset(c));
}

static bool read_number(const json_t *value, uint64_t *number)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return false;
    *number = (uint64_t)json_integer_value(value);
    return true;
}

static bool read_json(const json_t *json, const wm_cursor *c, wm_safetensors_entry *entry, wmap_error *err)
{
    const json_t *shape = json_object_get(json, "shape"), *offsets = json_object_get(json, "data_offsets"),
                 *dtype = json_object_get(json, "dtype");
    if (!json_is_object(json) || json_object_size(json) != 3 || !json_is_array(shape) ||
        !json_is_array(offsets))
        return corrupt(err, c, "a tensor's entry is not made of dtype, shape and data_offsets");
    if (!json_is_string(dtype))
        return corrupt(err, c, "a dtype is no string");
    entry->dtype = json_string_value(dtype);
    entry->dtype_len = json_string_length(dtype);
    if (json_array_size(shape) > WMAP_MAX_RANK)
        return corrupt(err, c, "a tensor has more than 64 dimensions");
    entry->rank = (uint32_t)json_array_size(shape);
    for (uint32_t d = 0; d < entry->rank; d++)
        if (!read_number(json_array_get(shape, d), &entry->shape[d]))
            return corrupt(err, c, "an extent of a shape is no integer below 2^63");
    if (json_array_size(offsets) != 2 || !read_number(json_array_get(offsets, 0), &entry->begin) ||
        !read_number(json_array_get(offsets, 1), &entry->end))
        return corrupt(err, c, "data_offsets are not two integers below 2^63");
    return true;
}

static bool check_sizes(const wm_safetensors_entry *entry, uint64_t element, const wm_cursor *c,
                        wmap_error *err)
{
    if (entry->end < entry->begin)
        return corrupt(err, c, "data_offsets run backwards");
    uint64_t count, bits;
    if (!wm_shape_count(entry->shape, entry->rank, &count) || !wm_size_mul(count, element, &bits))
        return corrupt(err, c, "a shape means 2^63 bits or more");
    if (bits % 8 != 0)
        return corrupt(err, c, "a tensor ends in the middle of a byte");
    return entry->end - entry->begin == bits / 8 ||
           corrupt(err, c, "data_offsets and shape mean different sizes");
}

/* Reading a header: what the pieces add to. */
struct reading {
    wmap_archive *archive;
    uint64_t origin, room; /* of the data: offset in the file, bytes */
    uint64_t used;         /* bytes that the tensors so far claim */
    bool metadata;         /* seen */
    wm_arena scratch;      /* keys of the metadata, to find those given twice */
    wm_map keys;
};

/* What to do with a key whose value begins at the cursor, which is to pass over that; `at` is for messages.
 */
typedef bool (*pair_fn)(struct reading *r, const char *key, size_t len, wm_cursor *c, const wm_cursor *at,
                        wmap_error *err);

/* One key and its value. */
static bool read_pair(struct reading *r, wm_cursor *c, pair_fn each, wmap_error *err)
{
    json_t *json = NULL;
    const char *key;
    size_t begin = c->at, len;
    bool plain = wm_safetensors_plain_text(c, &key, &len);
    if (!plain && (peek(c) != '"' || !skip_string(c)))
        return corrupt(err, c, "a key is no string");
    if (c->at - begin > 6 * WM_MAX_NAME + 2) /* a byte of a name is at most six as an escape */
        return corrupt(err, c, "a name is too long");
    wm_cursor at = *c;
    if (!plain) {
        if (!parse_piece(c, begin, &json, err))
            return false;
        key = json_string_value(json);
        len = json_string_length(json);
    }
    skip_space(c);
    bool ok = (peek(c) == ':' && c->at++ < c->size) || corrupt(err, c, "a colon is missing");
    if (ok) {
        skip_space(c);
        ok = each(r, key, len, c, &at, err);
    }
    json_decref(json);
    return ok;
}

/* Passes over a value, of which nothing but the end is checked, and gives it apart. */
static bool take_value(wm_cursor *c, wm_cursor *value, wmap_error *err)
{
    size_t begin = c->at;
    if (!skip_value(c, err))
        return false;
    *value = wm_cursor_of(c->bytes + begin, c->at - begin, c->origin + begin);
    return true;
}

/* An object: all of what `c` holds, but for space around it. */
static bool read_object(struct reading *r, wm_cursor *c, pair_fn each, wmap_error *err)
{
    bool comma = false;
    skip_space(c);
    if (peek(c) != '{')
        return corrupt(err, c, "this should be a JSON object");
    c->at++;
    for (;;) {
        skip_space(c);
        if (peek(c) == '}' && !comma)
            break;
        if (!read_pair(r, c, each, err))
            return false;
        skip_space(c);
        comma = peek(c) == ',';
        if (!comma && peek(c) != '}')
            return corrupt(err, c, "a comma or a closing brace is missing");
        c->at += comma ? 1 : 0;
    }
    c->at++;
    skip_space(c);
    return wm_cursor_left(c) == 0 || corrupt(err, c, "something follows the JSON object");
}

/* Strings, each key once. "format" says who may load the file (transformers asks), not what is in it. */
static bool read_metadata(struct reading *r, const char *key, size_t len, wm_cursor *c, const wm_cursor *at,
                          wmap_error *err)
{
    wm_cursor value;
    json_t *json = NULL;
    bool oom = false;
    if (!take_value(c, &value, err))
        return false;
    if (r->keys.count >= METADATA_MAX)
        return corrupt(err, at, "__metadata__ holds more than wmap reads");
    char *copy = wm_copy(&r->scratch, key, len);
    bool twice = copy && wm_map_put(&r->keys, copy, len, 0, &oom) != WM_MAP_NONE;
    if (!copy || oom)
        return wm_fail(err, WMAP_E_NOMEM, "out of memory");
    if (twice)
        return corrupt(err, at, "a key of __metadata__ stands in it twice");
    if (peek(&value) != '"' || value.size > STRING_MAX)
        return corrupt(err, at, "a value of __metadata__ is no string, or too long");
    value.at = value.size;
    bool ok = parse_piece(&value, 0, &json, err);
    if (ok && !json_is_string(json))
        ok = corrupt(err, at, "a value of __metadata__ is no string");
    ok = ok && wm_archive_meta_add(r->archive, copy, len, json_string_value(json), json_string_length(json),
                                   wm_safetensors_own(copy, len), err);
    json_decref(json);
    return ok;
}

/* The type of a raw is its number in `others`. */
const char *wm_safetensors_other(uint32_t type)
{
    return others[type].name;
}

static bool add_raw(wmap_archive *archive, wm_entry *entry, const struct kind *kind, wmap_error *err)
{
    wm_raw *raw = wm_new(&archive->arena, wm_raw, 1);
    if (!raw)
        return wm_fail(err, WMAP_E_NOMEM, "out of memory");
    *raw = (wm_raw){
        .of = &wm_format_safetensors, .type = kind->other, .offset = entry->offset, .size = entry->id};
    entry->raw = raw;
    return true;
}

static bool add_tensor(struct reading *r, const char *name, size_t len, const wm_safetensors_entry *from,
                       const wm_cursor *at, wmap_error *err)
{
    struct kind kind;
    if (!find_kind(from, at, &kind, err) || !check_sizes(from, kind.bits, at, err))
        return false;
    if (from->end > r->room)
        return corrupt(err, at, "the data of a tensor reach beyond the end of the file");
    /* No two may share a byte, so this can't be more; found here, a flood of overlapping tensors costs
     * nothing. */
    r->used += from->end - from->begin;
    if (r->used > r->room)
        return corrupt(err, at, "the data of its tensors overlap");
    wm_entry *entry = wm_archive_add(r->archive, name, len, kind.dtype, from->rank, from->shape, NULL, err);
    if (!entry)
        return wm_error_offset(err, wm_cursor_offset(at));
    entry->direct = kind.dtype != WMAP_OPAQUE;
    entry->note = kind.note;
    entry->offset = r->origin + from->begin;
    entry->id = from->end - from->begin;
    return kind.dtype != WMAP_OPAQUE || add_raw(r->archive, entry, &kind, err);
}

static bool read_top(struct reading *r, const char *name, size_t len, wm_cursor *c, const wm_cursor *at,
                     wmap_error *err)
{
    wm_cursor value;
    json_t *json = NULL;
    wm_safetensors_entry entry;
    if (len == sizeof WM_SAFETENSORS_METADATA - 1 && memcmp(name, WM_SAFETENSORS_METADATA, len) == 0) {
        if (!take_value(c, &value, err))
            return false;
        if (r->metadata)
            return corrupt(err, at, "__metadata__ stands in it twice");
        r->metadata = true;
        return read_object(r, &value, read_metadata, err);
    }
    bool ok = wm_safetensors_plain_entry(c, &entry);
    if (!ok) {
        if (!take_value(c, &value, err))
            return false;
        value.at = value.size;
        ok = value.size <= VALUE_MAX || corrupt(err, at, "a tensor's entry is too long");
        ok = ok && parse_piece(&value, 0, &json, err) && read_json(json, at, &entry, err);
    }
    ok = ok && add_tensor(r, name, len, &entry, at, err);
    json_decref(json);
    return ok || wm_error_tensor(err, name, len);
}

/* How many tensors the header can hold at most: its commas between braces of the first level, without a look
 * at anything else. So too many are refused before one is kept, and the lists can be made of the right size.
 */
static size_t count_entries(const wm_cursor *c)
{
    size_t commas = 0;
    unsigned depth = 0;
    bool string = false;
    for (size_t i = 0; i < c->size; i++) {
        uint8_t b = c->bytes[i];
        if (b == '"')
            string = !string;
        else if (string)
            i += b == '\\';
        else if (b == '{' || b == '[')
            depth++;
        else if ((b == '}' || b == ']') && depth)
            depth--;
        else if (b == ',' && depth == 1)
            commas++;
    }
    return commas + 1;
}

static bool read_header(wmap_archive *archive, wm_cursor *c, wmap_error *err)
{
    struct reading r = {.archive = archive, .origin = c->origin + c->size};
    r.room = archive->files[0].size - r.origin;
    size_t count = count_entries(c);
    if (count > WM_MAX_TENSORS + 1) /* the one is __metadata__ */
        return corrupt(err, c, "it lists more than 1000000 tensors");
    if (!wm_archive_reserve(archive, count < c->size / ENTRY_MIN ? count : c->size / ENTRY_MIN, err))
        return false;
    wm_arena_init(&r.scratch);
    wm_map_init(&r.keys, &r.scratch, 0);
    bool ok = read_object(&r, c, read_top, err);
    wm_arena_release(&r.scratch);
    return ok;
}

static int by_offset(const void *a, const void *b)
{
    const wm_entry *x = a, *y = b;
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    if (x->id != y->id)
        return x->id < y->id ? -1 : 1; /* an empty tensor stands before the one that begins there */
    size_t len = x->tensor.name_len < y->tensor.name_len ? x->tensor.name_len : y->tensor.name_len;
    int order = memcmp(x->tensor.name, y->tensor.name,
                       len); /* several empty ones: any order that is always the same */
    return order ? order
                 : (x->tensor.name_len > y->tensor.name_len) - (x->tensor.name_len < y->tensor.name_len);
}

/* Sorts the entries as their data stand in the file, and checks that these have no holes and share nothing.
 */
static bool order_entries(wmap_archive *archive, uint64_t origin, wmap_error *err)
{
    uint64_t at = origin;
    bool sorted = true;
    for (size_t i = 1; i < archive->entry_count && sorted; i++)
        sorted = by_offset(&archive->entries[i - 1], &archive->entries[i]) <= 0;
    if (!sorted)
        qsort(archive->entries, archive->entry_count, sizeof *archive->entries, by_offset);
    for (size_t i = 0; i < archive->entry_count; i++) {
        const wm_entry *e = &archive->entries[i];
        if (!sorted)
            wm_map_set(&archive->names, e->tensor.name, e->tensor.name_len, (uint32_t)i);
        if (e->offset != at) {
            wm_fail(err, WMAP_E_CORRUPT,
                    e->offset < at ? "its data overlap those of another tensor"
                                   : "bytes that belong to no tensor stand before its data");
            wm_error_offset(err, e->offset);
            return wm_error_tensor(err, e->tensor.name, e->tensor.name_len);
        }
        at += e->id; /* stays within the file: add_tensor checked the sum */
        if (e->direct && !wm_entry_check(archive, e, e->offset, at, err))
            return false;
    }
    if (at == archive->files[0].size)
        return true;
    wm_fail(err, WMAP_E_CORRUPT, "%" PRIu64 " bytes follow the data of the last tensor",
            archive->files[0].size - at);
    return wm_error_offset(err, at);
}

static bool open_safetensors(wmap_archive *archive, wmap_error *err)
{
    uint8_t raw[WM_SAFETENSORS_LENGTH];
    uint64_t size = archive->files[0].size;
    if (!wm_archive_read(archive, 0, 0, raw, sizeof raw, err))
        return false;
    wm_cursor c = wm_cursor_of(raw, sizeof raw, 0);
    uint64_t length = wm_take_u64(&c);
    c.at = 0;
    if (length > WM_SAFETENSORS_HEADER)
        return corrupt(err, &c, "it claims to be longer than 100000000 bytes, the format's limit");
    if (length > size - WM_SAFETENSORS_LENGTH)
        return corrupt(err, &c, "it claims to be longer than the file");
    wm_arena own; /* it is needed no longer than this call */
    wm_arena_init(&own);
    uint8_t *header = wm_alloc(&own, length);
    if (!header)
        return wm_fail(err, WMAP_E_NOMEM, "out of memory");
    bool ok = wm_archive_read(archive, 0, WM_SAFETENSORS_LENGTH, header, length, err);
    c = wm_cursor_of(header, (size_t)length, WM_SAFETENSORS_LENGTH);
    ok = ok && read_header(archive, &c, err) && order_entries(archive, WM_SAFETENSORS_LENGTH + length, err);
    wm_arena_release(&own);
    return ok;
}

const wm_format wm_format_safetensors = {
    .name = "safetensors",
    .title = "safetensors",
    .suffixes = ".safetensors",
    .in_folder = "model.safetensors",
    .probe = probe,
    .open = open_safetensors,
    .layout = wm_safetensors_layout,
    .finish = wm_safetensors_finish,
    .shards = true,
    .raws = true,
};
