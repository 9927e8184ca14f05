/* keras.c: the weights of Keras: legacy whole models and weights (.h5, .hdf5), Keras 3's .weights.h5 and
 * .keras, and any other HDF5 file, whose datasets are then the tensors. Names are paths; the order is Keras'
 * where the file has one. */
#include "runtime/formats/keras.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/dtype.h"
#include "runtime/base/natural.h"
#include "runtime/base/size.h"
#include "runtime/base/text.h"
#include "runtime/hdf5/protocol.h"

static const uint8_t signature[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};

#define USER_BLOCK_MAX ((uint64_t)2 << 20) /* how far the signature is looked for */

/* --- names and order --- */

/* The state of listing a file in source order. */
struct order {
    wmap_archive *archive;
    const wm_hdf5_listing *listing;
    const wm_keras_part *part;
    const char *root; /* path of the group that holds the weights: "" or "model_weights" */
    bool *added;      /* a dataset each */
    bool *inside;     /* an entry of this listing each */
    char path[2 * WM_MAX_NAME + 2], alias[WM_MAX_NAME];
    uint64_t unpacked; /* bytes of all datasets that must be decoded */
    wmap_error *err;
};

static bool starts_with(const wm_hdf5_item *item, const char *group)
{
    size_t len = strlen(group);
    return item->path_len > len && memcmp(item->path, group, len) == 0 && item->path[len] == '/';
}

static bool add_item(struct order *o, uint32_t index)
{
    const wm_hdf5_item *item = &o->listing->items[index];
    size_t skip = o->root[0] && starts_with(item, o->root) ? strlen(o->root) + 1 : 0;
    wm_entry *entry = wm_archive_add(o->archive, item->path + skip, item->path_len - skip, item->dtype,
                                     item->rank, item->shape, NULL, o->err);
    if (!entry)
        return false;
    o->added[index] = true;
    o->inside[o->archive->entry_count - 1 - o->part->first] = skip > 0;
    entry->id = item->address;
    entry->file = o->part->file;
    if (item->note) {
        entry->note = wm_copy(&o->archive->arena, item->note, strlen(item->note));
        if (!entry->note)
            return wm_fail(o->err, WMAP_E_NOMEM, "out of memory");
    }
    if (item->dtype == WMAP_OPAQUE)
        return true;
    if (item->direct) {
        entry->direct = true;
        if (!wm_size_add(o->part->base, item->offset, &entry->offset))
            return wm_fail(o->err, WMAP_E_CORRUPT, "a dataset lies beyond the end of the file");
        return wm_entry_check(o->archive, entry, o->part->base, o->part->base + o->part->length, o->err);
    }
    uint64_t bytes;
    if (!wmap_tensor_bytes(&entry->tensor, &bytes) || !wm_size_add(o->unpacked, bytes, &o->unpacked) ||
        (o->unpacked > WM_MAX_RATIO_FREE && o->unpacked / WM_MAX_RATIO > o->part->length))
        return wm_fail(o->err, WMAP_E_CORRUPT,
                       "its datasets unpack to more than %llu times the size of the file",
                       (unsigned long long)WM_MAX_RATIO);
    return true;
}

/* The path of `name` in `group`, as libhdf5 reads it: empty and "." components mean nothing. False for "..",
 * which means nothing in HDF5 either but is only found in files made to harm. */
static bool join(struct order *o, size_t group_len, const wm_hdf5_name *name, size_t *len)
{
    size_t used = group_len;
    if (name->len > WM_MAX_NAME || group_len > WM_MAX_NAME)
        return false;
    for (size_t at = 0; at < name->len;) {
        const char *part = name->text + at, *slash = memchr(part, '/', name->len - at);
        size_t size = slash ? (size_t)(slash - part) : name->len - at;
        at += size + 1;
        if (size == 0 || (size == 1 && part[0] == '.'))
            continue;
        if (size == 2 && memcmp(part, "..", 2) == 0)
            return false;
        if (used)
            o->path[used++] = '/';
        memcpy(o->path + used, part, size);
        used += size;
    }
    *len = used;
    return true;
}

/* Gives the entry that was added last the name that Keras calls it by. */
static bool add_alias(struct order *o, const char *alias, size_t len)
{
    return wm_archive_alias(o->archive, &o->archive->entries[o->archive->entry_count - 1], alias, len,
                            o->err);
}

/* The group's weights in the order of its weight_names. o->path begins with the group's path. */
static bool add_weights(struct order *o, size_t group_len)
{
    const wm_hdf5_listing *l = o->listing;
    uint32_t list = wm_map_get(&l->names[WM_H5_WEIGHT_NAMES], o->path, group_len);
    for (size_t i = 0; list != WM_MAP_NONE && i < l->lists[list].count; i++) {
        const wm_hdf5_name *name = &l->lists[list].list[i];
        size_t len = 0;
        uint32_t index = join(o, group_len, name, &len) ? wm_map_get(&l->paths, o->path, len) : WM_MAP_NONE;
        const char *wrong = index == WM_MAP_NONE ? "but there is no such dataset"
                            : o->added[index]    ? "which was listed before"
                                                 : NULL;
        if (wrong) {
            wm_fail(o->err, WMAP_E_CORRUPT, "weight_names of its group lists it, %s", wrong);
            return len ? wm_error_tensor(o->err, o->path, len)
                       : wm_error_tensor(o->err, name->text, name->len);
        }
        if (!add_item(o, index) || !add_alias(o, name->text, name->len))
            return false;
    }
    return true;
}

/* The layers of the weights group in the order of its layer_names. */
static bool add_layers(struct order *o)
{
    const wm_hdf5_listing *l = o->listing;
    size_t root_len = strlen(o->root);
    uint32_t list = wm_map_get(&l->names[WM_H5_LAYER_NAMES], o->root, root_len);
    for (size_t i = 0; list != WM_MAP_NONE && i < l->lists[list].count; i++) {
        const wm_hdf5_name *name = &l->lists[list].list[i];
        size_t len = 0;
        memcpy(o->path, o->root, root_len);
        if (!join(o, root_len, name, &len) || wm_map_get(&l->groups, o->path, len) == WM_MAP_NONE) {
            wm_fail(o->err, WMAP_E_CORRUPT, "layer_names lists it, but there is no such group");
            return wm_error_tensor(o->err, name->text, name->len);
        }
        if (!add_weights(o, len))
            return false;
    }
    return true;
}

static bool add_group(struct order *o, const char *root, const char *name)
{
    wm_hdf5_name part = {name, strlen(name)};
    size_t root_len = strlen(root), len;
    memcpy(o->path, root, root_len);
    return !join(o, root_len, &part, &len) || add_weights(o, len);
}

/* HDF5 keeps no order of its own: 10 would come before 2. */
static int compare_paths(const void *left, const void *right)
{
    const wm_hdf5_item *a = *(const wm_hdf5_item *const *)left, *b = *(const wm_hdf5_item *const *)right;
    return wm_natural_compare(a->path, a->path_len, b->path, b->path_len);
}

/* The name that PATH/vars has as attribute; NULL if it has none. */
static const wm_hdf5_name *name_of_object(struct order *o, const char *path, size_t len)
{
    static const char vars[] = "/vars";
    memcpy(o->path, path, len);
    memcpy(o->path + len, vars, strlen(vars));
    uint32_t list = wm_map_get(&o->listing->names[WM_H5_NAME], o->path, len + strlen(vars));
    return list != WM_MAP_NONE && o->listing->lists[list].count ? &o->listing->lists[list].list[0] : NULL;
}

/* Keras 3 calls objects by their class in paths. With the names that it notes beside,
 * layers/bidirectional/forward_layer/cell/vars/0 is also bidi/forward_lstm/lstm_cell/vars/0. */
static bool add_object_names(struct order *o, const wm_hdf5_item *item)
{
    static const char vars[] = "/vars";
    const char *end = memrchr(item->path, '/', item->path_len);
    size_t path_len = end ? (size_t)(end - item->path) : 0, used = 0;
    if (path_len <= strlen(vars) || memcmp(end - strlen(vars), vars, strlen(vars)) != 0)
        return true;
    path_len -= strlen(vars);
    for (size_t at = 1; at <= path_len; at++) {
        const wm_hdf5_name *name =
            at == path_len || item->path[at] == '/' ? name_of_object(o, item->path, at) : NULL;
        if (!name || name->len == 0)
            continue;
        if (name->len + 1 > sizeof o->alias - used)
            return true;
        memcpy(o->alias + used, name->text, name->len);
        o->alias[used + name->len] = '/';
        used += name->len + 1;
    }
    const char *rest = item->path + path_len + 1;
    size_t rest_len = item->path_len - path_len - 1;
    if (used == 0 || rest_len > sizeof o->alias - used)
        return true;
    memcpy(o->alias + used, rest, rest_len);
    return add_alias(o, o->alias, used + rest_len);
}

/* Whatever is left, but for those in the group `later`. */
static bool add_rest(struct order *o, const wm_hdf5_item **sorted, const char *later)
{
    const wm_hdf5_listing *l = o->listing;
    for (size_t i = 0; i < l->item_count; i++) {
        uint32_t index = (uint32_t)(sorted[i] - l->items);
        if (o->added[index] || (later && starts_with(sorted[i], later)))
            continue;
        if (!add_item(o, index) || !add_object_names(o, sorted[i]))
            return false;
    }
    return true;
}

/* What wrote the file, which decides how Keras reads it: from the group of the weights, else from the root.
 */
static bool add_meta(struct order *o, unsigned which, const char *key)
{
    const wm_hdf5_listing *l = o->listing;
    uint32_t list = wm_map_get(&l->names[which], o->root, strlen(o->root));
    if (list == WM_MAP_NONE)
        list = wm_map_get(&l->names[which], "", 0);
    const wm_hdf5_name *value = list != WM_MAP_NONE && l->lists[list].count ? &l->lists[list].list[0] : NULL;
    return !value || o->part->first || !wm_utf8_valid(value->text, value->len) ||
           wm_archive_meta_add(o->archive, key, strlen(key), value->text, value->len, true, o->err);
}

bool wm_keras_add(wmap_archive *archive, const wm_hdf5_listing *listing, wm_keras_part *part, wmap_error *err)
{
    static const char whole[] = "model_weights", optimizer[] = "optimizer_weights";
    struct order *o = wm_new(listing->arena, struct order, 1);
    bool *added = wm_new(listing->arena, bool, listing->item_count);
    bool *inside = wm_new(&archive->arena, bool, listing->item_count);
    const wm_hdf5_item **sorted = wm_new(listing->arena, const wm_hdf5_item *, listing->item_count);
    if (!o || !added || !inside || !sorted)
        return wm_fail(err, WMAP_E_NOMEM, "out of memory");
    o->archive = archive;
    o->listing = listing;
    o->part = part;
    o->added = added;
    o->inside = inside;
    o->err = err;
    o->root = wm_map_get(&listing->names[WM_H5_LAYER_NAMES], "", 0) == WM_MAP_NONE &&
                      wm_map_get(&listing->groups, whole, strlen(whole)) != WM_MAP_NONE
                  ? whole
                  : "";
    part->root = o->root;
    part->inside = inside;
    part->first = archive->entry_count;
    for (size_t i = 0; i < listing->item_count; i++)
        sorted[i] = &listing->items[i];
    if (listing->item_count)
        qsort(sorted, listing->item_count, sizeof *sorted, compare_paths);
    return add_meta(o, WM_H5_BACKEND, "backend") && add_meta(o, WM_H5_VERSION, "keras_version") &&
           add_layers(o) && add_group(o, o->root, "top_level_model_weights") &&
           add_rest(o, sorted, optimizer) && add_group(o, "", optimizer) && add_rest(o, sorted, NULL);
}

/* --- HDF5 files --- */

/* Where the signature stands: 0, 512, 1024, 2048, ... UINT64_MAX if nowhere. */
static uint64_t find_signature(wmap_archive *archive)
{
    uint64_t size = archive->files[0].size;
    for (uint64_t at = 0; at <= USER_BLOCK_MAX && at + sizeof signature <= size; at = at ? at * 2 : 512) {
        uint8_t bytes[sizeof signature];
        if (at + sizeof signature <= archive->head_size)
            memcpy(bytes, archive->head + at, sizeof signature);
        else if (!wm_archive_read(archive, 0, at, bytes, sizeof bytes, NULL))
            return UINT64_MAX;
        if (memcmp(bytes, signature, sizeof signature) == 0)
            return at;
    }
    return UINT64_MAX;
}

static bool probe_h5(wmap_archive *archive)
{
    return find_signature(archive) != UINT64_MAX;
}

bool wm_keras_open_part(wmap_archive *archive, uint32_t file, uint64_t base, uint64_t length,
                        const wm_keras_text *config, wmap_error *err)
{
    wm_keras *keras = archive->state ? archive->state : wm_new(&archive->arena, wm_keras, 1);
    archive->state = keras;
    wm_keras_part *part = keras ? wm_push(&archive->arena, keras->parts, keras->count, keras->cap) : NULL;
    if (!part)
        return wm_fail(err, WMAP_E_NOMEM, "out of memory");
    *part = (wm_keras_part){.h5 = wm_hdf5_open(archive->files[file].fd, base, length, err),
                            .file = file,
                            .base = base,
                            .length = length};
    wm_arena scratch;
    wm_hdf5_listing listing;
    wm_arena_init(&scratch);
    bool ok = part->h5 && wm_hdf5_list(part->h5, &scratch, &listing, err);
    if (ok && config && listing.names[WM_H5_NAME].count == 0 && !wm_keras_read_config(config, &listing))
        ok = wm_fail(err, WMAP_E_NOMEM, "out of memory");
    ok = ok && wm_keras_add(archive, &listing, part, err);
    wm_arena_release(&scratch);
    if (part->h5 && keras->count > 1)
        wm_hdf5_rest(part->h5);
    return ok;
}

static bool open_h5(wmap_archive *archive, wmap_error *err)
{
    return wm_keras_open_part(archive, 0, 0, archive->files[0].size, NULL, err);
}

bool wm_keras_decode(wmap_archive *archive, const wm_entry *entry, wm_sink *sink, wmap_error *err)
{
    const wm_keras *keras = archive->state;
    uint64_t bytes;
    if (!wmap_tensor_bytes(&entry->tensor, &bytes))
        return wm_fail(err, WMAP_E_INTERNAL, "the tensor's size is unknown");
    for (size_t i = 0; i < keras->count; i++) {
        wm_hdf5 *h5 = keras->parts[i].h5;
        if (keras->parts[i].file != entry->file)
            continue;
        bool ok = wm_hdf5_read(h5, entry->id, bytes, sink, err) ||
                  wm_error_tensor(err, entry->tensor.name, entry->tensor.name_len);
        if (keras->count > 1)
            wm_hdf5_rest(h5); /* not a process for each file of a set */
        return ok;
    }
    return wm_fail(err, WMAP_E_INTERNAL, "the tensor is of no file");
}

void wm_keras_close(wmap_archive *archive)
{
    wm_keras *keras = archive->state;
    for (size_t i = 0; keras && i < keras->count; i++)
        wm_hdf5_close(keras->parts[i].h5);
    archive->state = NULL;
}

const wm_format wm_format_keras = {
    .name = "keras-h5",
    .title = "Keras HDF5",
    .suffixes = ".h5 .hdf5 .weights.h5",
    .probe = probe_h5,
    .open = open_h5,
    .decode = wm_keras_decode,
    .close = wm_keras_close,
    .layout = wm_keras_layout,
    .finish = wm_keras_finish,
    .drop = wm_keras_drop,
    .likes = true,
};

/* --- .keras --- */

#define MEMBER "model.weights.h5"
#define CONFIG_MOST                                                                                          \
    ((uint64_t)16 << 20) /* bytes of config.json; what jansson makes of it is 20 times as large */

static const wm_zip_member *find(const wm_zip *zip, const char *name)
{
    return wm_zip_find(zip, name, strlen(name));
}

const wm_zip_member *wm_keras_member(const wm_zip *zip)
{
    return find(zip, MEMBER);
}

static bool probe_zip(wmap_archive *archive)
{
    if (!wm_zip_looks(archive))
        return false;
    const wm_zip *zip = wm_archive_zip(archive, NULL);
    return zip && (find(zip, MEMBER) || (find(zip, "config.json") && (find(zip, "model.weights.npz") ||
                                                                      find(zip, "model.weights.json"))));
}

/* The weights are one member, so they share its CRC. */
static bool add_sum(wmap_archive *archive, const wm_zip_member *member, wmap_error *err)
{
    wm_sum *sum = wm_new(&archive->arena, wm_sum, 1);
    if (!sum)
        return wm_fail(err, WMAP_E_NOMEM, "out of memory");
    *sum = (wm_sum){.begin = member->data, .size = member->csize, .crc32 = member->crc32};
    for (size_t i = 0; i < archive->entry_count; i++)
        archive->entries[i].sum = sum;
    return true;
}

/* The configuration, if it can be read: it only helps, so that a bad one is no reason to refuse the weights.
 */
static const wm_keras_text *load_config(wmap_archive *archive, const wm_zip *zip, wm_keras_text *config)
{
    const wm_zip_member *member = find(zip, "config.json");
    const uint8_t *text = member ? wm_zip_load(archive, member, CONFIG_MOST, WM_ZIP_CRC_STRICT, NULL) : NULL;
    if (!text)
        return NULL;
    *config = (wm_keras_text){(const char *)text, (size_t)member->usize};
    return config;
}

static bool open_zip(wmap_archive *archive, wmap_error *err)
{
    const wm_zip *zip = wm_archive_zip(archive, err);
    if (!zip)
        return false;
    const wm_zip_member *member = find(zip, MEMBER);
    if (!member)
        return wm_fail(err, WMAP_E_UNSUPPORTED, "its weights are in %s; wmap reads .keras files with " MEMBER,
                       find(zip, "model.weights.npz")
                           ? "model.weights.npz, which holds pickles that Keras itself refuses"
                           : "shards listed by model.weights.json");
    if (!wm_zip_alone(zip, member, err))
        return false;
    wm_keras_text text;
    const wm_keras_text *config = load_config(archive, zip, &text);
    if (member->method == WM_ZIP_STORED)
        return wm_keras_open_part(archive, 0, member->data, member->csize, config, err) &&
               add_sum(archive, member, err);
    uint32_t file = wm_zip_spool(archive, member, err);
    return file != UINT32_MAX && wm_keras_open_part(archive, file, 0, member->usize, config, err);
}

const wm_format wm_format_keras_zip = {
    .name = "keras",
    .title = "Keras 3 archive",
    .suffixes = ".keras",
    .probe = probe_zip,
    .open = open_zip,
    .decode = wm_keras_decode,
    .close = wm_keras_close,
    .layout = wm_keras_zip_layout,
    .finish = wm_keras_zip_finish,
    .drop = wm_keras_drop,
    .sum = WM_SUM_CRC32,
    .likes = true,
};
