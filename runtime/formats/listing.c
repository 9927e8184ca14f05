/* listing.c: names, dtypes and shapes without weights, one tensor a line, as `wmap inspect --format jsonl`
 * prints them: {"wmap": "listing", "version": 1}, then {"name": "conv/kernel", "dtype": "f32", "shape": [3,
 * 3]}. For specs that are proven where no weights are: a listing stands for the file it was made of. */
#include <stdlib.h>
#include <string.h>

#include "runtime/archive.h"
#include "runtime/base/dtype.h"
#include "runtime/json_in.h"

#define VERSION   1
#define LINE_MOST (7 * 2 * WM_MAX_NAME) /* two names of escapes, and the rest */
#define MARKS     200                   /* brackets and commas of a line */

/* Opening one. */
struct listing {
    wmap_archive *archive;
    wmap_error *err;
    uint64_t at; /* of the line in the file */
    bool begun;  /* the first line was read */
};

static bool bad(const struct listing *l, const char *what)
{
    wm_fail(l->err, WMAP_E_CORRUPT, "a line of the listing %s", what);
    return wm_error_offset(l->err, l->at);
}

static bool nomem(const struct listing *l)
{
    return wm_fail(l->err, WMAP_E_NOMEM, "out of memory");
}

static bool probe(wmap_archive *archive)
{
    static const char words[][12] = {"{", "\"wmap\"", ":", "\"listing\""};
    size_t at = 0;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t len = strlen(words[i]);
        while (at < archive->head_size && archive->head[at] == ' ')
            at++;
        if (len > archive->head_size - at || memcmp(archive->head + at, words[i], len) != 0)
            return false;
        at += len;
    }
    return true;
}

/* ---- a line ---- */

static json_t *parse(const struct listing *l, const char *line, size_t size)
{
    json_error_t failure;
    bool oom = false;
    if (wm_json_marks(line, size, "[{,") > MARKS) {
        bad(l, "holds more than a tensor");
        return NULL;
    }
    json_t *json = wm_json_parse(line, size, JSON_ALLOW_NUL, &failure, &oom);
    if (json && json_is_object(json))
        return json;
    if (oom)
        nomem(l);
    else
        bad(l, json ? "is no JSON object" : "is no sound JSON");
    json_decref(json);
    return NULL;
}

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A name of any bytes: "name_hex". Decoded in place of the string, which is longer. */
static bool unhex(char *text, size_t *len)
{
    if (*len % 2 != 0)
        return false;
    for (size_t i = 0; i < *len; i += 2) {
        int high = digit(text[i]), low = digit(text[i + 1]);
        if (high < 0 || low < 0)
            return false;
        text[i / 2] = (char)(high << 4 | low);
    }
    *len /= 2;
    return true;
}

static bool read_name(const struct listing *l, const json_t *json, char **name, size_t *len)
{
    const json_t *plain = json_object_get(json, "name"), *hex = json_object_get(json, "name_hex");
    const json_t *text = hex ? hex : plain;
    if (!json_is_string(text))
        return bad(l, "names no tensor");
    *len = json_string_length(text);
    *name = wm_copy(&l->archive->arena, json_string_value(text), *len);
    if (!*name)
        return nomem(l);
    return !hex || unhex(*name, len) || bad(l, "has a name that is no hexadecimal text");
}

static bool read_shape(const struct listing *l, const json_t *json, uint64_t *shape, uint32_t *rank)
{
    const json_t *list = json_object_get(json, "shape");
    if (!json_is_array(list) || json_array_size(list) > WMAP_MAX_RANK)
        return bad(l, "has no shape, or one of more than 64 dimensions");
    *rank = (uint32_t)json_array_size(list);
    for (uint32_t d = 0; d < *rank; d++) {
        const json_t *extent = json_array_get(list, d);
        if (!json_is_integer(extent) || json_integer_value(extent) < 0)
            return bad(l, "has an extent that is no integer below 2^63");
        shape[d] = (uint64_t)json_integer_value(extent);
    }
    return true;
}

static bool read_dtype(const struct listing *l, const json_t *json, wmap_dtype *dtype)
{
    const json_t *text = json_object_get(json, "dtype");
    if (!json_is_string(text))
        return bad(l, "has no dtype");
    *dtype = strcmp(json_string_value(text), wmap_dtype_name(WMAP_OPAQUE)) == 0
                 ? WMAP_OPAQUE
                 : wmap_dtype_parse(json_string_value(text), json_string_length(text));
    return *dtype != WMAP_DTYPE_NONE || bad(l, "has an unknown dtype");
}

static bool add_tensor(const struct listing *l, const json_t *json)
{
    uint64_t shape[WMAP_MAX_RANK];
    uint32_t rank = 0;
    wmap_dtype dtype = WMAP_DTYPE_NONE;
    char *name = NULL;
    size_t len = 0;
    if (!read_name(l, json, &name, &len) || !read_dtype(l, json, &dtype) ||
        !read_shape(l, json, shape, &rank))
        return false;
    wm_entry *entry = wm_archive_add(l->archive, name, len, dtype, rank, shape, NULL, l->err);
    if (!entry)
        return false;
    const json_t *alias = json_object_get(json, "alias");
    entry->note = dtype == WMAP_OPAQUE ? "of a type that wmap doesn't move" : NULL;
    return !json_is_string(alias) ||
           wm_archive_alias(l->archive, entry, json_string_value(alias), json_string_length(alias), l->err);
}

static bool read_line(struct listing *l, const char *line, size_t size)
{
    if (strspn(line, " \t\r") >= size) /* the buffer ends in a NUL */
        return true;
    json_t *json = parse(l, line, size);
    const json_t *version = json_object_get(json, "version");
    bool ok = json != NULL;
    if (ok && l->begun)
        ok = add_tensor(l, json);
    else if (ok && json_integer_value(version) != VERSION)
        ok = wm_fail(l->err, WMAP_E_UNSUPPORTED, "this is a listing of another version than %d", VERSION);
    l->begun = true;
    json_decref(json);
    return ok;
}

/* ---- the file ---- */

static bool read_lines(struct listing *l, char *buffer)
{
    uint64_t size = l->archive->files[0].size;
    while (l->at < size) {
        size_t have = size - l->at < LINE_MOST ? (size_t)(size - l->at) : LINE_MOST, used = 0;
        if (!wm_archive_read(l->archive, 0, l->at, buffer, have, l->err))
            return false;
        buffer[have] = '\0';
        for (;;) {
            char *end = memchr(buffer + used, '\n', have - used);
            bool last = l->at + (have - used) == size;
            if (!end && used == 0 && !last)
                return bad(l, "is too long");
            if (!end && !last)
                break;
            size_t len = end ? (size_t)(end - buffer) - used : have - used;
            buffer[used + len] = '\0';
            if (!read_line(l, buffer + used, len))
                return false;
            len += end ? 1 : 0;
            used += len;
            l->at += len;
            if (used == have)
                break;
        }
    }
    return true;
}

static bool open_listing(wmap_archive *archive, wmap_error *err)
{
    struct listing l = {.archive = archive, .err = err};
    char *buffer = malloc(LINE_MOST + 1);
    bool ok = buffer ? read_lines(&l, buffer) : nomem(&l);
    free(buffer);
    return ok;
}

static bool decode(wmap_archive *archive, const wm_entry *entry, wm_sink *sink, wmap_error *err)
{
    (void)sink;
    (void)archive;
    wm_fail(err, WMAP_E_UNSUPPORTED, "this is a listing: it has names, dtypes and shapes, and no weights");
    return wm_error_tensor(err, entry->tensor.name, entry->tensor.name_len);
}

const wm_format wm_format_listing = {
    .name = "listing",
    .title = "names, dtypes and shapes without weights",
    .suffixes = ".jsonl",
    .probe = probe,
    .open = open_listing,
    .decode = decode,
    .hollow = true,
};
