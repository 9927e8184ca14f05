/* torch_stream.c: what torch.save wrote before 1.6, and still does when it is asked to: five pickles in a row
 * (a magic number, a version, what the system was like, the object, a list of storages' keys), then for each
 * key the number of its elements in 8 bytes and the elements. Layout: _legacy_save and _legacy_load in
 * torch/serialization.py. */
#include <inttypes.h>
#include <string.h>

#include "runtime/base/size.h"
#include "runtime/formats/torch.h"

#define MAGIC_TEXT "119547037146038801333356" /* as protocols 0 and 1 write it */
#define VERSION    1001

static const uint8_t magic_bytes[10] = {0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19};

/* Where the elements of a storage are. */
typedef struct place {
    uint64_t offset, bytes;
} place;

/* What opening works on. All of it is reachable from outside of the mapping's trap. */
typedef struct stream {
    wm_torch *torch;
    wm_pickle *pickle;
    wmap_error *err;
    wm_map classes; /* key of a storage -> index in pickle->persistents */
    wm_map placed;  /* key -> index in places */
    place *places;
    size_t count;
    bool done;
} stream;

static bool is_magic(const wm_pickle_node *node)
{
    if (node->kind != WM_PICKLE_BIG)
        return false;
    const void *magic = node->digits ? (const void *)MAGIC_TEXT : magic_bytes;
    size_t len = node->digits ? strlen(MAGIC_TEXT) : sizeof magic_bytes;
    return node->as.text.len == len && memcmp(node->as.text.bytes, magic, len) == 0;
}

bool wm_torch_stream_probe(wmap_archive *archive)
{
    const uint8_t *head = archive->head;
    size_t size = archive->head_size < 64 ? archive->head_size : 64;
    if (size < 2 || !(head[0] == 'L' || (head[0] == 0x80 && head[1] >= 2 && head[1] <= 5)))
        return false;
    wm_pickle pickle;
    wm_pickle_init(&pickle);
    wm_cursor cursor = wm_cursor_of(head, size, 0);
    const wm_pickle_node *node = wm_pickle_read(&pickle, &cursor, NULL);
    bool found = node && is_magic(node);
    wm_pickle_release(&pickle);
    return found;
}

static bool fail(const stream *s, wmap_code code, uint64_t offset, const char *what)
{
    wm_fail(s->err, code, "%s", what);
    return wm_error_offset(s->err, offset);
}

static bool nomem(const stream *s)
{
    return wm_fail(s->err, WMAP_E_NOMEM, "out of memory while opening a torch file");
}

/* The three pickles before the object. */
static bool read_head(const stream *s, wm_cursor *cursor)
{
    const wm_pickle_node *magic = wm_pickle_read(s->pickle, cursor, s->err);
    if (!magic)
        return false;
    uint64_t at = wm_cursor_offset(cursor);
    const wm_pickle_node *version = wm_pickle_read(s->pickle, cursor, s->err);
    if (!version)
        return false;
    if (version->kind != WM_PICKLE_INT || version->as.integer != VERSION)
        return fail(s, WMAP_E_UNSUPPORTED, at,
                    "a torch file of before 1.6 whose version is not 1001, the only one there was");
    at = wm_cursor_offset(cursor);
    const wm_pickle_node *system = wm_pickle_read(s->pickle, cursor, s->err);
    if (!system)
        return false;
    const wm_pickle_node *little = wm_pickle_get(system, "little_endian");
    if (!wm_pickle_mapping(system))
        return fail(s, WMAP_E_CORRUPT, at, "what should describe the system that wrote the file does not");
    return !little || (little->kind == WM_PICKLE_BOOL && little->as.integer) ||
           fail(s, WMAP_E_UNSUPPORTED, at,
                "a torch file of before 1.6 from a big-endian system: torch doesn't say in which order its "
                "bytes are");
}

/* Only the object tells of which class a storage is, and so how wide its elements are. What is malformed is
 * left for the walk to judge, which knows the names. */
static bool find_classes(stream *s, size_t first)
{
    bool oom = false;
    for (size_t i = first; i < s->pickle->persistent_count; i++) {
        const wm_pickle_node *key = wm_torch_key(s->pickle->persistents[i]);
        if (key)
            wm_map_put(&s->classes, key->as.text.bytes, key->as.text.len, (uint32_t)i, &oom);
    }
    return !oom || nomem(s);
}

/* The elements of a storage, whose bytes the cursor passes over. */
static bool place_storage(stream *s, wm_cursor *cursor, const wm_pickle_node *key)
{
    if (key->kind != WM_PICKLE_TEXT && key->kind != WM_PICKLE_BYTES)
        return fail(s, WMAP_E_CORRUPT, key->offset, "the key of a storage is no text");
    uint32_t known = wm_map_get(&s->classes, key->as.text.bytes, key->as.text.len);
    if (known == WM_MAP_NONE)
        return fail(s, WMAP_E_CORRUPT, key->offset, "the list of storages has one that no tensor is of");
    const wm_pickle_node *class = s->pickle->persistents[known]->as.id->as.list.items[1];
    uint32_t width = wm_torch_width(class);
    if (!width) {
        char name[200];
        wm_fail(s->err, WMAP_E_UNSUPPORTED, "a storage of the unknown class %s, so its end can't be told",
                wm_pickle_name(class, name, sizeof name));
        return wm_error_offset(s->err, class->offset);
    }
    uint64_t at = wm_cursor_offset(cursor), elements = wm_take_u64(cursor), bytes;
    place *p = &s->places[s->count];
    p->offset = wm_cursor_offset(cursor);
    if (cursor->failed || !wm_size_mul(elements, width, &bytes) || !wm_take(cursor, bytes)) {
        wm_fail(s->err, WMAP_E_CORRUPT, "the elements of a storage are cut off");
        return wm_error_offset(s->err, at);
    }
    p->bytes = bytes;
    bool oom = false;
    if (wm_map_put(&s->placed, key->as.text.bytes, key->as.text.len, (uint32_t)s->count, &oom) != WM_MAP_NONE)
        return fail(s, WMAP_E_CORRUPT, key->offset, "the list of storages has one twice");
    s->count++;
    return !oom || nomem(s);
}

static bool find_storage(wm_torch *torch, wm_torch_storage *storage, wmap_error *err)
{
    const stream *s = torch->source;
    uint32_t index = wm_map_get(&s->placed, storage->key, storage->key_len);
    if (index == WM_MAP_NONE)
        return wm_fail(err, WMAP_E_CORRUPT, "its storage is not in the list of storages");
    storage->stored = true;
    storage->offset = s->places[index].offset;
    storage->bytes = s->places[index].bytes;
    return true;
}

/* With the file mapped. */
static void open_mapped(void *context)
{
    stream *s = context;
    wm_torch *torch = s->torch;
    const wm_file *file = &torch->archive->files[0];
    wm_cursor cursor = wm_cursor_of(file->map, (size_t)file->size, 0);
    if (!read_head(s, &cursor))
        return;
    uint64_t at = wm_cursor_offset(&cursor);
    size_t first = s->pickle->persistent_count;
    wm_pickle_node *root = wm_pickle_read(s->pickle, &cursor, s->err);
    if (!root)
        return;
    torch->at = (wm_pickled_source){.begin = at, .end = wm_cursor_offset(&cursor), .bytes = file->map + at};
    at = wm_cursor_offset(&cursor);
    const wm_pickle_node *keys = wm_pickle_read(s->pickle, &cursor, s->err);
    if (!keys)
        return;
    if (keys->kind != WM_PICKLE_LIST) {
        fail(s, WMAP_E_CORRUPT, at, "the list of storages is no list");
        return;
    }
    s->places = wm_new(&s->pickle->arena, place, keys->as.list.count);
    if (!s->places) {
        nomem(s);
        return;
    }
    if (!find_classes(s, first))
        return;
    for (size_t i = 0; i < keys->as.list.count; i++)
        if (!place_storage(s, &cursor, keys->as.list.items[i]))
            return;
    if (wm_cursor_left(&cursor))
        fail(s, WMAP_E_CORRUPT, wm_cursor_offset(&cursor), "bytes follow the last storage");
    else
        s->done = wm_torch_walk(torch, root, NULL, s->err);
}

bool wm_torch_stream_open(wm_torch *torch, wmap_error *err)
{
    wm_pickle pickle;
    wm_pickle_init(&pickle);
    stream s = {.torch = torch, .pickle = &pickle, .err = err};
    wm_map_init(&s.classes, &pickle.arena, 0);
    wm_map_init(&s.placed, &pickle.arena, 0);
    torch->pickle = &pickle;
    torch->source = &s;
    torch->find = find_storage;
    bool ok = wm_archive_mapped(torch->archive, 0, open_mapped, &s, err);
    wm_pickle_release(&pickle);
    torch->pickle = NULL;
    torch->source = NULL;
    return ok && s.done;
}
