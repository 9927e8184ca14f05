/* torch_tar.c: what torch.save wrote in 2016: a tar of three parts. `storages` holds the elements, each
 * behind a pickle of its key, location and class; `tensors` says of which storage each tensor is, with sizes
 * and strides in binary; `pickle` is the object, in which tensors and storages are persistent ids. Layout:
 * legacy_load in torch/serialization.py, and THPTensor_(writeMetadataRaw) of that time. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/size.h"
#include "runtime/formats/torch.h"

#define BLOCK       512
#define MAX_MEMBERS 1000
#define MAX_PAX     ((uint64_t)64 << 10) /* bytes of an extended header */

enum { PART_STORAGES, PART_TENSORS, PART_PICKLE, PARTS };
static const char *const part_names[PARTS] = {"storages", "tensors", "pickle"};

typedef struct part {
    uint64_t offset, size;
    bool found;
} part;

/* What opening works on. All of it is reachable from outside of the mapping's trap. */
typedef struct tar {
    wm_torch *torch;
    wm_pickle *pickle;
    wmap_error *err;
    part parts[PARTS];
    wm_map storages; /* key as text -> index in torch->storages */
    wm_map tensors;  /* key as text -> index in `list` */
    wm_torch_tensor *list;
    size_t count, cap;
    bool done;
} tar;

static bool fail(const tar *t, wmap_code code, uint64_t offset, const char *what)
{
    wm_fail(t->err, code, "%s", what);
    return wm_error_offset(t->err, offset);
}

static bool bad(const tar *t, uint64_t offset, const char *what)
{
    return fail(t, WMAP_E_CORRUPT, offset, what);
}

static bool nomem(const tar *t)
{
    return wm_fail(t->err, WMAP_E_NOMEM, "out of memory while opening a torch file");
}

/* ---- the archive ---- */

/* A number of a header: octal digits between blanks and NULs. */
static bool octal(const uint8_t *field, size_t len, uint64_t *value)
{
    size_t i = 0;
    *value = 0;
    while (i < len && field[i] == ' ')
        i++;
    if (i == len || field[i] < '0' || field[i] > '7')
        return false;
    for (; i < len && field[i] >= '0' && field[i] <= '7'; i++)
        *value = *value * 8 + (uint64_t)(field[i] - '0'); /* at most 12 digits */
    for (; i < len; i++)
        if (field[i] != ' ' && field[i] != 0)
            return false;
    return true;
}

/* The sum of a header's bytes, its own field counted as blanks. */
static bool sum_is_right(const uint8_t *header)
{
    uint64_t said, sum = 0;
    for (size_t i = 0; i < BLOCK; i++)
        sum += i >= 148 && i < 156 ? ' ' : header[i];
    return octal(header + 148, 8, &said) && said == sum;
}

bool wm_torch_tar_probe(wmap_archive *archive)
{
    static const char *const names[] = {"sys_info", "storages", "tensors", "pickle"};
    uint8_t header[BLOCK];
    uint64_t at = 0, size;
    if (archive->head_size < BLOCK || memcmp(archive->head + 257, "ustar", 5) != 0)
        return false;
    for (int i = 0; i < 16; i++) {
        if (at > archive->files[0].size || archive->files[0].size - at < BLOCK ||
            !wm_archive_read(archive, 0, at, header, BLOCK, NULL) || !sum_is_right(header) ||
            !octal(header + 124, 12, &size))
            return false;
        for (size_t n = 0; n < sizeof names / sizeof *names; n++)
            if (strncmp((const char *)header, names[n], 100) == 0)
                return true;
        at += BLOCK + (size + BLOCK - 1) / BLOCK * BLOCK;
    }
    return false;
}

/* The records of an extended header, "LENGTH KEY=VALUE\n". Those that change what a member is called, or how
 * its bytes are to be read, are refused, but for its size: Python writes them for times. */
static bool read_pax(const tar *t, wm_cursor c, uint64_t *size, bool *sized)
{
    while (wm_cursor_left(&c)) {
        uint64_t at = wm_cursor_offset(&c), len = 0;
        size_t digits = 0;
        const char *record = (const char *)c.bytes + c.at;
        for (; digits < 8 && digits < wm_cursor_left(&c) && record[digits] >= '0' && record[digits] <= '9';
             digits++)
            len = 10 * len + (uint64_t)(record[digits] - '0');
        if (len < digits + 3 || !wm_take(&c, len) || record[digits] != ' ' || record[len - 1] != '\n')
            return bad(t, at, "a damaged extended header in a tar");
        const char *key = record + digits + 1, *end = record + len - 1;
        const char *value = memchr(key, '=', (size_t)(end - key));
        if (!value)
            return bad(t, at, "a damaged extended header in a tar");
        size_t key_len = (size_t)(value++ - key);
        if (key_len == 4 && memcmp(key, "size", 4) == 0) {
            *size = 0;
            *sized = value < end && end - value <= 19;
            for (; *sized && value < end; value++) {
                *sized = *value >= '0' && *value <= '9';
                *size = 10 * *size + (uint64_t)(*value - '0');
            }
            if (!*sized)
                return bad(t, at, "a size that is no number in an extended header of a tar");
        } else if ((key_len == 4 && memcmp(key, "path", 4) == 0) ||
                   (key_len == 8 && memcmp(key, "linkpath", 8) == 0) ||
                   (key_len > 4 && memcmp(key, "GNU.", 4) == 0)) {
            return fail(t, WMAP_E_UNSUPPORTED, at,
                        "a tar with names or sparse members that torch never wrote");
        }
    }
    return true;
}

/* Takes a member whose header was read. Nothing is extracted, so its name can do no harm, but one that would
 * lead out of a folder tells of what the file is for. */
static bool take_member(tar *t, const uint8_t *header, uint64_t at, uint64_t size)
{
    char name[101];
    memcpy(name, header, 100);
    name[100] = 0;
    uint8_t type = header[156];
    if (name[0] == '/' || strstr(name, "..") || header[345])
        return bad(t, at, "a member of a tar whose name leads elsewhere");
    if (type == '1' || type == '2')
        return bad(t, at, "a link in the place of a member of a tar");
    if (type != '0' && type != 0)
        return fail(t, WMAP_E_UNSUPPORTED, at, "a member of a tar that is no file");
    for (int i = 0; i < PARTS; i++)
        if (strcmp(name, part_names[i]) == 0) {
            if (t->parts[i].found)
                return bad(t, at, "a tar that has the same member twice");
            t->parts[i] = (part){at + BLOCK, size, true};
        }
    return true;
}

static bool read_members(tar *t, wm_cursor c)
{
    uint64_t pax_size = 0;
    bool sized = false;
    for (size_t count = 0; count < MAX_MEMBERS; count++) {
        uint64_t at = wm_cursor_offset(&c), size;
        const uint8_t *header = wm_take(&c, BLOCK);
        if (!header)
            return bad(t, at, "a tar is cut off before its end");
        if (!header[0])
            return true; /* the blocks of zeros at the end */
        if (!sum_is_right(header) || memcmp(header + 257, "ustar", 5) != 0)
            return bad(t, at, "a damaged header in a tar");
        if (!octal(header + 124, 12, &size))
            return bad(t, at, "a member's size is no number in a tar");
        bool extended = header[156] == 'x' || header[156] == 'g';
        if (!extended && sized)
            size = pax_size;
        uint64_t begin = wm_cursor_offset(&c);
        const uint8_t *bytes = wm_take(&c, size);
        if (!bytes || !wm_take(&c, -size % BLOCK))
            return bad(t, at, "a member of a tar is longer than the file");
        if (extended && size > MAX_PAX)
            return bad(t, at, "an extended header of more than 64 KiB in a tar");
        if (extended && !read_pax(t, wm_cursor_of(bytes, (size_t)size, begin), &pax_size, &sized))
            return false;
        if (!extended && !take_member(t, header, at, size))
            return false;
        sized = sized && extended;
    }
    return fail(t, WMAP_E_UNSUPPORTED, wm_cursor_offset(&c), "a tar of more than 1000 members");
}

/* ---- storages and tensors ---- */

/* A key, which is an address: a number in one place, and text in another. */
static bool key_text(tar *t, const wm_pickle_node *key, const char **text, size_t *len)
{
    char digits[32];
    if (key->kind == WM_PICKLE_INT) {
        *len = (size_t)snprintf(digits, sizeof digits, "%" PRId64, key->as.integer);
        *text = wm_copy(&t->pickle->arena, digits, *len);
        return *text || nomem(t);
    }
    if ((key->kind != WM_PICKLE_TEXT && key->kind != WM_PICKLE_BYTES &&
         !(key->kind == WM_PICKLE_BIG && key->digits)) ||
        key->as.text.len > 64)
        return bad(t, key->offset, "the key of a tensor or storage is none");
    *text = key->as.text.bytes;
    *len = key->as.text.len;
    return true;
}

static bool add_storage(tar *t, const wm_pickle_node *key, const wm_torch_storage *storage)
{
    const char *text = NULL;
    size_t len = 0;
    uint32_t index;
    bool oom = false;
    if (!key_text(t, key, &text, &len) || !wm_torch_add_storage(t->torch, storage, &index, t->err))
        return false;
    if (wm_map_put(&t->storages, text, len, index, &oom) != WM_MAP_NONE)
        return bad(t, key->offset, "two storages of one key");
    return !oom || nomem(t);
}

/* How many pickles follow. */
static bool read_count(const tar *t, wm_cursor *c, uint64_t *count)
{
    uint64_t at = wm_cursor_offset(c);
    const wm_pickle_node *node = wm_pickle_read(t->pickle, c, t->err);
    if (!node)
        return false;
    *count = node->kind == WM_PICKLE_INT && node->as.integer >= 0 ? (uint64_t)node->as.integer : UINT64_MAX;
    return *count <= wm_cursor_left(c) || bad(t, at, "more storages or tensors than there are bytes");
}

/* A pickle that must be a tuple of `count` items. */
static const wm_pickle_node *read_tuple(const tar *t, wm_cursor *c, size_t count)
{
    uint64_t at = wm_cursor_offset(c);
    const wm_pickle_node *node = wm_pickle_read(t->pickle, c, t->err);
    if (node && (node->kind != WM_PICKLE_TUPLE || node->as.list.count != count)) {
        bad(t, at, "what should describe a storage or a tensor does not");
        return NULL;
    }
    return node;
}

/* (key, location, class), elements in 8 bytes, the elements. */
static bool read_storage(tar *t, wm_cursor *c)
{
    const wm_pickle_node *node = read_tuple(t, c, 3);
    if (!node)
        return false;
    const wm_pickle_node *class = node->as.list.items[2];
    uint32_t width = wm_torch_width(class);
    if (!width)
        return bad(t, class->offset, "a storage whose class is none of torch");
    wm_torch_storage storage = {.class_name = class->as.global.name,
                                .class_len = class->as.global.name_len,
                                .dtype =
                                    wm_torch_class_dtype(class->as.global.name, class->as.global.name_len),
                                .stored = true};
    uint64_t at = wm_cursor_offset(c);
    storage.elements = wm_take_u64(c);
    storage.offset = wm_cursor_offset(c);
    if (c->failed || !wm_size_mul(storage.elements, width, &storage.bytes) || !wm_take(c, storage.bytes))
        return bad(t, at, "the elements of a storage are cut off");
    return add_storage(t, node->as.list.items[0], &storage);
}

/* (key, key of the storage that it is a part of, first element, elements). */
static bool read_view(tar *t, const wm_pickle_node *node)
{
    const char *text;
    size_t len;
    if (node->kind != WM_PICKLE_TUPLE || node->as.list.count != 4)
        return bad(t, node->offset, "a view of a storage that is none");
    wm_pickle_node *const *item = node->as.list.items;
    if (!key_text(t, item[1], &text, &len))
        return false;
    uint32_t root = wm_map_get(&t->storages, text, len);
    if (root == WM_MAP_NONE)
        return bad(t, node->offset, "a view of a storage that isn't there");
    wm_torch_storage storage = t->torch->storages[root];
    uint64_t width = storage.elements ? storage.bytes / storage.elements : 0;
    if (item[2]->kind != WM_PICKLE_INT || item[3]->kind != WM_PICKLE_INT || item[2]->as.integer < 0 ||
        item[3]->as.integer < 0 || (uint64_t)item[2]->as.integer > storage.elements ||
        (uint64_t)item[3]->as.integer > storage.elements - (uint64_t)item[2]->as.integer)
        return bad(t, node->offset, "a view that reaches over the end of its storage");
    storage.offset += (uint64_t)item[2]->as.integer * width;
    storage.elements = (uint64_t)item[3]->as.integer;
    storage.bytes = storage.elements * width;
    return add_storage(t, item[0], &storage);
}

static wm_cursor part_cursor(const tar *t, int which)
{
    const part *p = &t->parts[which];
    return wm_cursor_of(t->torch->archive->files[0].map + p->offset, (size_t)p->size, p->offset);
}

static bool read_storages(tar *t)
{
    wm_cursor c = part_cursor(t, PART_STORAGES);
    uint64_t count;
    if (!read_count(t, &c, &count))
        return false;
    for (uint64_t i = 0; i < count; i++)
        if (!read_storage(t, &c))
            return false;
    uint64_t at = wm_cursor_offset(&c);
    const wm_pickle_node *views = wm_pickle_read(t->pickle, &c, t->err);
    if (!views)
        return false;
    if (views->kind != WM_PICKLE_LIST)
        return bad(t, at, "the list of views is no list");
    for (size_t i = 0; i < views->as.list.count; i++)
        if (!read_view(t, views->as.list.items[i]))
            return false;
    return !wm_cursor_left(&c) || bad(t, wm_cursor_offset(&c), "bytes follow the last storage");
}

/* (key, key of the storage, class of the tensor); dimensions in 4 bytes and 4 more, sizes, strides, first
 * element. */
static bool read_tensor(tar *t, wm_cursor *c)
{
    const char *text;
    size_t len;
    bool oom = false;
    const wm_pickle_node *node = read_tuple(t, c, 3);
    if (!node || !key_text(t, node->as.list.items[1], &text, &len))
        return false;
    uint64_t at = wm_cursor_offset(c);
    wm_torch_tensor *tensor = wm_push(&t->pickle->arena, t->list, t->count, t->cap);
    if (!tensor)
        return nomem(t);
    tensor->storage = wm_map_get(&t->storages, text, len);
    if (tensor->storage == WM_MAP_NONE)
        return bad(t, at, "a tensor whose storage isn't there");
    tensor->rank = wm_take_u32(c);
    wm_take(c, 4);
    if (tensor->rank > WMAP_MAX_RANK)
        return fail(t, WMAP_E_UNSUPPORTED, at, "a tensor of more than 64 dimensions");
    tensor->shape = wm_new(&t->pickle->arena, uint64_t, tensor->rank);
    tensor->strides = wm_new(&t->pickle->arena, int64_t, tensor->rank);
    if (!tensor->shape || !tensor->strides)
        return nomem(t);
    bool sound = true;
    for (uint32_t d = 0; d < tensor->rank; d++)
        sound &= (tensor->shape[d] = wm_take_u64(c)) <= INT64_MAX;
    for (uint32_t d = 0; d < tensor->rank; d++)
        sound &= (tensor->strides[d] = (int64_t)wm_take_u64(c)) >= 0;
    sound &= (tensor->first = wm_take_u64(c)) <= INT64_MAX;
    if (!sound || c->failed)
        return bad(t, at, "a tensor whose sizes or strides are negative or cut off");
    if (!key_text(t, node->as.list.items[0], &text, &len))
        return false;
    if (wm_map_put(&t->tensors, text, len, (uint32_t)t->count - 1, &oom) != WM_MAP_NONE)
        return bad(t, at, "two tensors of one key");
    return !oom || nomem(t);
}

static bool read_tensors(tar *t)
{
    wm_cursor c = part_cursor(t, PART_TENSORS);
    uint64_t count;
    if (!read_count(t, &c, &count))
        return false;
    for (uint64_t i = 0; i < count; i++)
        if (!read_tensor(t, &c))
            return false;
    return !wm_cursor_left(&c) || bad(t, wm_cursor_offset(&c), "bytes follow the last tensor");
}

/* ---- the object ---- */

static const wm_torch_tensor *outside(wm_torch *torch, const wm_pickle_node *id)
{
    tar *t = torch->source;
    const char *text = NULL;
    size_t len = 0;
    wmap_error ignored, *err = t->err;
    t->err = &ignored;
    uint32_t index = key_text(t, id, &text, &len) ? wm_map_get(&t->tensors, text, len) : WM_MAP_NONE;
    t->err = err;
    return index == WM_MAP_NONE ? NULL : &t->list[index];
}

static bool find_storage(wm_torch *torch, wm_torch_storage *storage, wmap_error *err)
{
    (void)torch;
    (void)storage;
    return wm_fail(err, WMAP_E_CORRUPT, "a storage as later files have it in a file of 2016");
}

/* With the file mapped. */
static void open_mapped(void *context)
{
    tar *t = context;
    const wm_file *file = &t->torch->archive->files[0];
    if (!read_members(t, wm_cursor_of(file->map, (size_t)file->size, 0)))
        return;
    for (int i = 0; i < PARTS; i++)
        if (!t->parts[i].found) {
            wm_fail(t->err, WMAP_E_CORRUPT, "a torch file of 2016 without its member `%s`", part_names[i]);
            return;
        }
    if (!read_storages(t) || !read_tensors(t))
        return;
    wm_cursor c = part_cursor(t, PART_PICKLE);
    const part *p = &t->parts[PART_PICKLE];
    t->torch->at =
        (wm_pickled_source){.begin = p->offset, .end = p->offset + p->size, .bytes = file->map + p->offset};
    wm_pickle_node *root = wm_pickle_read(t->pickle, &c, t->err);
    if (root && wm_cursor_left(&c))
        bad(t, wm_cursor_offset(&c), "bytes follow the end of the pickle");
    else if (root)
        t->done = wm_torch_walk(t->torch, root, NULL, t->err);
}

bool wm_torch_tar_open(wm_torch *torch, wmap_error *err)
{
    wm_pickle pickle;
    wm_pickle_init(&pickle);
    tar t = {.torch = torch, .pickle = &pickle, .err = err};
    wm_map_init(&t.storages, &pickle.arena, 0);
    wm_map_init(&t.tensors, &pickle.arena, 0);
    torch->pickle = &pickle;
    torch->source = &t;
    torch->find = find_storage;
    torch->outside = outside;
    bool ok = wm_archive_mapped(torch->archive, 0, open_mapped, &t, err);
    wm_pickle_release(&pickle);
    torch->pickle = NULL;
    torch->source = NULL;
    return ok && t.done;
}
