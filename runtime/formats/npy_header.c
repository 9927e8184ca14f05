/* npy_header.c: the header of a NumPy array: a Python dict as text, of which exactly what NumPy writes (and
 * Python 2's NumPy wrote) is understood; nothing is evaluated. */
#include "runtime/formats/npy.h"

#include <stdio.h>
#include <string.h>

#include "runtime/base/dtype.h"
#include "runtime/base/size.h"
#include "runtime/base/text.h"

#define MAGIC     "\x93NUMPY"
#define MAGIC_LEN 6
#define MAX_DEPTH 32 /* brackets in the descr of a structured dtype */

static bool corrupt(wmap_error *err, const wm_cursor *c, const char *text)
{
    wm_fail(err, WMAP_E_CORRUPT, "damaged NumPy header: %s", text);
    return wm_error_offset(err, wm_cursor_offset(c));
}

bool wm_npy_looks(const uint8_t *bytes, size_t size)
{
    return size >= MAGIC_LEN && memcmp(bytes, MAGIC, MAGIC_LEN) == 0;
}

bool wm_npy_size(const uint8_t *bytes, size_t size, uint64_t origin, uint64_t *start, wmap_error *err)
{
    wm_cursor c = wm_cursor_of(bytes, size, origin);
    if (!wm_npy_looks(bytes, size))
        return corrupt(err, &c, "no magic");
    wm_take(&c, MAGIC_LEN);
    unsigned major = wm_take_u8(&c), minor = wm_take_u8(&c);
    if (!c.failed && (major < 1 || major > 3 || minor != 0)) {
        wm_fail(err, WMAP_E_UNSUPPORTED, "NumPy header of version %u.%u; wmap reads 1.0, 2.0 and 3.0", major,
                minor);
        return wm_error_offset(err, origin + MAGIC_LEN);
    }
    uint64_t length = major == 1 ? wm_take_u16(&c) : wm_take_u32(&c);
    if (c.failed)
        return corrupt(err, &c, "it is cut off");
    *start = c.at + length;
    return *start <= WM_NPY_HEADER || corrupt(err, &c, "it claims to be larger than any that wmap reads");
}

/* The text. */

static int peek(const wm_cursor *c)
{
    return wm_cursor_left(c) ? c->bytes[c->at] : -1;
}

static void skip_space(wm_cursor *c)
{
    while (peek(c) == ' ' || peek(c) == '\n' || peek(c) == '\t' || peek(c) == '\r')
        c->at++;
}

static bool take(wm_cursor *c, char wanted)
{
    skip_space(c);
    if (peek(c) != wanted)
        return false;
    c->at++;
    return true;
}

static bool take_word(wm_cursor *c, const char *word)
{
    size_t len = strlen(word);
    skip_space(c);
    if (wm_cursor_left(c) < len || memcmp(c->bytes + c->at, word, len) != 0)
        return false;
    c->at += len;
    return true;
}

/* A string without escapes, as NumPy's are; Python 2 may put u, Python 3 b, before it. */
static bool take_string(wm_cursor *c, const char **text, size_t *len)
{
    skip_space(c);
    if (peek(c) == 'u' || peek(c) == 'b')
        c->at++;
    int quote = peek(c);
    if (quote != '\'' && quote != '"')
        return false;
    c->at++;
    *text = (const char *)c->bytes + c->at;
    size_t begin = c->at;
    while (peek(c) >= 0x20 && peek(c) != quote && peek(c) != '\\')
        c->at++;
    *len = c->at - begin;
    return take(c, (char)quote);
}

/* Passes over the list that describes a structured dtype, without understanding it. */
static bool skip_list(wm_cursor *c)
{
    int depth = 0;
    do {
        skip_space(c);
        int b = peek(c);
        const char *text;
        size_t len;
        if (b == '\'' || b == '"') {
            if (!take_string(c, &text, &len))
                return false;
            continue;
        }
        if (b < 0)
            return false;
        if (b == '[' || b == '(')
            depth++;
        else if (b == ']' || b == ')')
            depth--;
        else if (!strchr("0123456789,Lub", b)) /* numbers of sub-arrays, prefixes of strings */
            return false;
        c->at++;
        if (depth > MAX_DEPTH)
            return false;
    } while (depth > 0);
    return true;
}

static bool take_extent(wm_cursor *c, uint64_t *value)
{
    size_t digits = 0;
    *value = 0;
    bool zero = peek(c) == '0';
    for (; peek(c) >= '0' && peek(c) <= '9'; c->at++, digits++)
        if (!wm_size_mul(*value, 10, value) || !wm_size_add(*value, (uint64_t)(peek(c) - '0'), value))
            return false;
    if (peek(c) == 'L') /* Python 2's long */
        c->at++;
    return digits > 0 && !(zero && digits > 1);
}

static bool take_shape(wm_cursor *c, wm_npy *npy, wmap_error *err)
{
    bool comma = true;
    if (!take(c, '('))
        return corrupt(err, c, "the shape is no tuple");
    while (!take(c, ')')) {
        if (!comma)
            return corrupt(err, c, "the shape is no tuple of sizes");
        if (npy->rank == WMAP_MAX_RANK)
            return corrupt(err, c, "more than 64 dimensions");
        if (!take_extent(c, &npy->shape[npy->rank]))
            return corrupt(err, c, "the shape holds something that is no size below 2^63");
        npy->rank++;
        comma = take(c, ',');
    }
    if (npy->rank == 1 && !comma)
        return corrupt(err, c, "the shape is a number, not a tuple");
    return npy->rank > 0 || c->bytes[c->at - 2] != ',' || corrupt(err, c, "the shape is no tuple of sizes");
}

/* The dtype of a descr like "<f4"; those that wmap has no type for stay opaque. */
static void set_dtype(wm_npy *npy, const char *text, size_t len)
{
    wm_show(npy->descr, sizeof npy->descr, text, len);
    npy->dtype = WMAP_OPAQUE;
    char order = len && strchr("<>|=", text[0]) ? text[0] : '<';
    if (len && strchr("<>|=", text[0])) {
        text++;
        len--;
    }
    wmap_dtype dtype = wm_dtype_spelled(offsetof(wm_dtype_info, npy), text, len);
    const wm_dtype_info *info = wm_dtype(dtype);
    if (!info)
        return;
    npy->dtype = dtype;
    npy->swap = order == '>' && info->align > 1 && info->kind != WM_KIND_RAW; /* void has no byte order */
}

static bool take_descr(wm_cursor *c, wm_npy *npy, wmap_error *err)
{
    const char *text;
    size_t len;
    skip_space(c);
    if (peek(c) == '[' || peek(c) == '(') {
        npy->dtype = WMAP_OPAQUE;
        snprintf(npy->descr, sizeof npy->descr, "a structure");
        return skip_list(c) || corrupt(err, c, "the descr of its structure is malformed");
    }
    if (!take_string(c, &text, &len) || len == 0)
        return corrupt(err, c, "the descr is no string");
    set_dtype(npy, text, len);
    return true;
}

enum { KEY_DESCR = 1, KEY_ORDER = 2, KEY_SHAPE = 4, KEY_ALL = 7 };

static bool take_pair(wm_cursor *c, wm_npy *npy, unsigned *seen, wmap_error *err)
{
    static const char *const keys[] = {"descr", "fortran_order", "shape"};
    const char *text;
    size_t len;
    unsigned key = 0;
    if (!take_string(c, &text, &len))
        return corrupt(err, c, "a key is no string");
    for (unsigned i = 0; i < 3; i++)
        if (strlen(keys[i]) == len && memcmp(keys[i], text, len) == 0)
            key = 1u << i;
    if (!key || (*seen & key))
        return corrupt(err, c, "its keys are not descr, fortran_order and shape, once each");
    *seen |= key;
    if (!take(c, ':'))
        return corrupt(err, c, "a key without a value");
    if (key == KEY_DESCR)
        return take_descr(c, npy, err);
    if (key == KEY_SHAPE)
        return take_shape(c, npy, err);
    npy->fortran = take_word(c, "True");
    return npy->fortran || take_word(c, "False") ||
           corrupt(err, c, "fortran_order is neither True nor False");
}

bool wm_npy_parse(const uint8_t *bytes, size_t size, uint64_t origin, wm_npy *npy, wmap_error *err)
{
    memset(npy, 0, sizeof *npy);
    if (!wm_npy_size(bytes, size, origin, &npy->start, err))
        return false;
    wm_cursor c = wm_cursor_of(bytes, size, origin);
    wm_seek(&c, bytes[MAGIC_LEN] == 1 ? 10 : 12);
    if (npy->start != size || !take(&c, '{'))
        return corrupt(err, &c, "no dict");
    unsigned seen = 0;
    bool comma = true;
    while (!take(&c, '}')) {
        if (!comma)
            return corrupt(err, &c, "a comma is missing");
        if (!take_pair(&c, npy, &seen, err))
            return false;
        comma = take(&c, ',');
    }
    skip_space(&c);
    if (seen != KEY_ALL)
        return corrupt(err, &c, "its keys are not descr, fortran_order and shape, once each");
    if (wm_cursor_left(&c))
        return corrupt(err, &c, "something follows the dict");
    uint64_t count;
    if (!wm_shape_count(npy->shape, npy->rank, &count) ||
        !wm_size_mul(count, wmap_dtype_size(npy->dtype), &npy->bytes))
        return corrupt(err, &c, "its shape means 2^63 bytes or more");
    if (npy->rank < 2)
        npy->fortran = false; /* the same bytes in both orders */
    return true;
}

const char *wm_npy_note(const char *descr)
{
    const char *kind = strchr("<>|=", descr[0]) && descr[0] ? descr + 1 : descr;
    return strcmp(descr, "a structure") == 0 ? "structured records"
           : *kind == 'O'                    ? "Python objects, a pickle"
           : *kind && strchr("SUa", *kind)   ? "strings"
           : *kind == 'M' || *kind == 'm'    ? "dates or times"
                                             : "a dtype that wmap does not have";
}

bool wm_npy_objects(const wm_npy *npy)
{
    const char *kind = npy->descr + (npy->descr[0] && strchr("<>|=", npy->descr[0]));
    return npy->dtype == WMAP_OPAQUE && *kind == 'O';
}

wm_entry *wm_npy_add(wmap_archive *archive, const char *name, size_t len, const wm_npy *npy, wmap_error *err)
{
    int64_t strides[WMAP_MAX_RANK];
    uint64_t step = 1;
    for (uint32_t d = 0; d < npy->rank; d++) { /* below 2^63: wm_npy_parse checked the product */
        strides[d] = (int64_t)step;
        step *= npy->shape[d] ? npy->shape[d] : 1;
    }
    wm_entry *entry = wm_archive_add(archive, name, len, npy->dtype, npy->rank, npy->shape,
                                     npy->fortran ? strides : NULL, err);
    if (entry && npy->dtype == WMAP_OPAQUE) {
        entry->note = wm_format_text(&archive->arena, "%s (%s)", wm_npy_note(npy->descr), npy->descr);
        if (!entry->note) {
            wm_fail(err, WMAP_E_NOMEM, "out of memory");
            return NULL;
        }
    }
    return entry;
}

/* Swapping bytes on the way. */

static void swap(uint8_t *bytes, size_t size, size_t unit)
{
    for (; size >= unit; bytes += unit, size -= unit)
        for (size_t i = 0; i < unit / 2; i++) {
            uint8_t b = bytes[i];
            bytes[i] = bytes[unit - 1 - i];
            bytes[unit - 1 - i] = b;
        }
}

/* Swaps whole units in a buffer of its own, since the chunk given is not ours to change. */
static bool put_swapped(wm_npy_sink *s, const uint8_t *bytes, size_t size, wmap_error *err)
{
    uint8_t room[8192];
    while (size) {
        memcpy(room, s->hold, s->held);
        size_t n = sizeof room - s->held < size ? sizeof room - s->held : size;
        memcpy(room + s->held, bytes, n);
        size_t have = s->held + n, whole = have - have % s->unit;
        swap(room, whole, s->unit);
        s->held = have - whole;
        memcpy(s->hold, room + whole, s->held);
        if (whole && !s->to->put(s->to, room, whole, err))
            return false;
        bytes += n;
        size -= n;
    }
    return true;
}

static bool put(wm_sink *sink, const void *data, size_t size, wmap_error *err)
{
    wm_npy_sink *s = (wm_npy_sink *)sink;
    const uint8_t *bytes = data;
    size_t skip = s->skip < size ? (size_t)s->skip : size;
    s->skip -= skip;
    bytes += skip;
    size -= skip;
    if (s->unit > 1)
        return put_swapped(s, bytes, size, err);
    return size == 0 || s->to->put(s->to, bytes, size, err);
}

wm_npy_sink wm_npy_sink_of(wm_sink *to, uint64_t skip, bool swapped, wmap_dtype dtype)
{
    const wm_dtype_info *info = wm_dtype(dtype);
    return (wm_npy_sink){.sink = {put}, .to = to, .skip = skip, .unit = swapped && info ? info->align : 0};
}

/* Writing. */

size_t wm_npy_header(const wmap_tensor *tensor, uint8_t text[WM_NPY_TEXT], wmap_error *err)
{
    const wm_dtype_info *info = wm_dtype(tensor->dtype);
    if (!info || !info->npy[0]) {
        const char *hint = info && info->size == 2
                               ? "cast it to f32, or bitcast it to raw16, which NumPy shows as V2"
                               : "cast it to f32, or bitcast it to raw8, which NumPy shows as V1";
        wm_fail(err, WMAP_E_TARGET, "NumPy has no dtype %s: %s", wmap_dtype_name(tensor->dtype), hint);
        wm_error_tensor(err, tensor->name, tensor->name_len);
        return 0;
    }
    /* NumPy's byte order of single bytes is "|", but void is "|" only below two bytes: ml_dtypes' V2 is
     * "<V2". */
    char dict[WM_NPY_TEXT - 128];
    size_t n = (size_t)snprintf(dict, sizeof dict, "{'descr': '%c%s', 'fortran_order': False, 'shape': (",
                                info->size > 1 ? '<' : '|', info->npy);
    size_t first = 0;
    for (uint32_t d = 0; d < tensor->rank; d++) { /* at most 64 times 22 bytes: they fit */
        int len = snprintf(dict + n, sizeof dict - n, "%s%llu", d ? ", " : "",
                           (unsigned long long)tensor->shape[d]);
        first = d ? first : (size_t)len;
        n += (size_t)len;
    }
    n += (size_t)snprintf(dict + n, sizeof dict - n, "%s), }", tensor->rank == 1 ? "," : "");
    /* NumPy leaves room for the first extent to grow to 21 digits, so that a file can be appended to in
     * place. */
    size_t used = 10 + n + (tensor->rank ? 21 - first : 0) + 1, total = (used + 63) / 64 * 64;
    memset(text, ' ', total);
    memcpy(text, MAGIC "\x01\x00", 8);
    text[8] = (uint8_t)((total - 10) & 0xff);
    text[9] = (uint8_t)((total - 10) >> 8);
    memcpy(text + 10, dict, n);
    text[total - 1] = '\n';
    return total;
}
