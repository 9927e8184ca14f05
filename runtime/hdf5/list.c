/* list.c: walks all groups of the file over hard links, and reports groups, datasets and Keras' lists of
 * names. */
#include "runtime/hdf5/program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/map.h"

struct walk {
    hid_t file;
    uint64_t length;
    wm_arena arena;
    wm_map seen;    /* addresses of groups */
    size_t objects; /* groups and datasets so far */
    wmap_error *err;
    size_t path_len;
    char path[WM_MAX_NAME + 1];
};

struct link {
    const char *name;
    H5L_type_t type;
};

/* The links of one group, gathered before any is followed, so that libhdf5's iteration isn't entered again.
 */
struct links {
    wm_arena arena;
    struct link *list;
    size_t count, cap;
    bool oom;
};

static bool fail_here(struct walk *w)
{
    return wm_error_tensor(w->err, w->path, w->path_len);
}

static herr_t add_link(hid_t group, const char *name, const H5L_info_t *info, void *user)
{
    (void)group;
    struct links *links = user;
    struct link *link =
        links->count < WM_MAX_TENSORS ? wm_push(&links->arena, links->list, links->count, links->cap) : NULL;
    char *copy = link ? wm_copy(&links->arena, name, strlen(name)) : NULL;
    if (!copy) {
        links->oom = true;
        return -1;
    }
    link->name = copy;
    link->type = info->type;
    return 0;
}

/* Strings of one attribute as { u32 size, text } ..., appended to `text`. */
struct names {
    char *text;
    size_t size, cap;
};

static bool add_name(struct walk *w, struct names *names, const char *name, size_t len)
{
    if (len > WM_MAX_NAME)
        return wm_fail(w->err, WMAP_E_CORRUPT, "a name in its list of names is %zu bytes long", len);
    size_t need = names->size + 4 + len;
    if (need > WM_H5_MAX_FRAME / 2)
        return wm_fail(w->err, WMAP_E_UNSUPPORTED, "its lists of names are too long");
    if (need > names->cap) {
        size_t cap = need * 2 + 256;
        char *text = realloc(names->text, cap);
        if (!text)
            return wm_fail(w->err, WMAP_E_NOMEM, "out of memory");
        names->text = text;
        names->cap = cap;
    }
    for (unsigned i = 0; i < 4; i++)
        names->text[names->size + i] = (char)(len >> (8 * i));
    memcpy(names->text + names->size + 4, name, len);
    names->size = need;
    return true;
}

/* Fixed-length strings: NumPy pads with NUL, Fortran with blanks. */
static bool add_fixed(struct walk *w, struct names *names, hid_t attribute, hid_t type, size_t count)
{
    size_t size = H5Tget_size(type);
    if (size == 0 || count > WM_H5_MAX_FRAME / size)
        return wm_fail(w->err, WMAP_E_UNSUPPORTED, "its lists of names are too long");
    char *all = calloc(count, size);
    bool ok = all && H5Aread(attribute, type, all) >= 0;
    if (!ok)
        wm_h5_fail(w->err, WMAP_E_CORRUPT, "its list of names can't be read");
    bool blanks = H5Tget_strpad(type) == H5T_STR_SPACEPAD;
    for (size_t i = 0; ok && i < count; i++) {
        const char *name = all + i * size;
        size_t len = strnlen(name, size);
        while (blanks && len && name[len - 1] == ' ')
            len--;
        ok = add_name(w, names, name, len);
    }
    free(all);
    return ok;
}

static bool add_variable(struct walk *w, struct names *names, hid_t attribute, hid_t type, hid_t space,
                         size_t count)
{
    char **all = calloc(count, sizeof *all);
    if (!all)
        return wm_fail(w->err, WMAP_E_NOMEM, "out of memory");
    if (H5Aread(attribute, type, all) < 0) {
        free(all);
        return wm_h5_fail(w->err, WMAP_E_CORRUPT, "its list of names can't be read");
    }
    bool ok = true;
    for (size_t i = 0; ok && i < count; i++)
        ok = add_name(w, names, all[i] ? all[i] : "", all[i] ? strlen(all[i]) : 0);
    H5Dvlen_reclaim(type, space, H5P_DEFAULT, all);
    free(all);
    return ok;
}

/* Whether an attribute holds what one that Keras writes would; an attribute of that name may be anybody's. */
static bool is_text(hid_t type, hssize_t count)
{
    return H5Tget_class(type) == H5T_STRING && count == 1;
}

/* Texts of attribute `name` of a group; with `one`, that one text, or nothing if it is something else. */
static bool add_attribute(struct walk *w, struct names *names, hid_t group, const char *name, bool one)
{
    hid_t attribute = H5Aopen(group, name, H5P_DEFAULT), type = H5Aget_type(attribute),
          space = H5Aget_space(attribute);
    bool ok = false;
    hssize_t count = space >= 0 ? H5Sget_simple_extent_npoints(space) : -1;
    if (type < 0 || count < 0)
        wm_h5_fail(w->err, WMAP_E_CORRUPT, "its list of names can't be read");
    else if (count == 0 || (one && !is_text(type, count)))
        ok = true; /* of any type: h5py writes an empty list as float64 (0,) */
    else if (H5Tget_class(type) != H5T_STRING)
        wm_fail(w->err, WMAP_E_CORRUPT, "its attribute %s is no list of text", name);
    else if ((uint64_t)count > WM_MAX_TENSORS)
        wm_fail(w->err, WMAP_E_CORRUPT, "its attribute %s has %lld entries", name, (long long)count);
    else if (H5Tis_variable_str(type) > 0)
        ok = add_variable(w, names, attribute, type, space, (size_t)count);
    else
        ok = add_fixed(w, names, attribute, type, (size_t)count);
    H5Sclose(space);
    H5Tclose(type);
    H5Aclose(attribute);
    return ok;
}

static bool tell_names(struct walk *w, unsigned which, const struct names *names)
{
    wm_h5_frame(WM_H5_NAMES, 5 + w->path_len + names->size);
    wm_h5_put_le(which, 1);
    wm_h5_put_le(w->path_len, 4);
    wm_h5_put(w->path, w->path_len);
    wm_h5_put(names->text, names->size);
    return true;
}

/* A list too long for one attribute is spread over NAME0, NAME1, ... */
static bool list_names(struct walk *w, hid_t group, unsigned which, const char *name)
{
    char piece[40];
    struct names names = {0};
    bool ok = true, found = H5Aexists(group, name) > 0;
    if (found)
        ok = add_attribute(w, &names, group, name, false);
    for (unsigned i = 0; ok && !found; i++) {
        snprintf(piece, sizeof piece, "%s%u", name, i);
        if (H5Aexists(group, piece) <= 0) {
            found = i > 0;
            break;
        }
        ok = add_attribute(w, &names, group, piece, false);
    }
    if (ok && found)
        tell_names(w, which, &names);
    free(names.text);
    return ok || fail_here(w);
}

/* A text that Keras notes: the name of an object, whose group is PATH/vars, or what wrote the file. */
static bool list_text(struct walk *w, hid_t group, unsigned which, const char *name)
{
    struct names names = {0};
    bool ok = H5Aexists(group, name) <= 0 || add_attribute(w, &names, group, name, true);
    if (ok && names.size)
        tell_names(w, which, &names);
    free(names.text);
    return ok || fail_here(w);
}

static bool is_path(const struct walk *w, const char *path)
{
    return w->path_len == strlen(path) && memcmp(w->path, path, w->path_len) == 0;
}

static bool list_attributes(struct walk *w, hid_t group)
{
    static const char vars[] = "/vars";
    size_t len = strlen(vars);
    bool has_name =
        is_path(w, "vars") || (w->path_len > len && memcmp(w->path + w->path_len - len, vars, len) == 0);
    bool has_writer = w->path_len == 0 || is_path(w, "model_weights");
    return list_names(w, group, WM_H5_LAYER_NAMES, "layer_names") &&
           list_names(w, group, WM_H5_WEIGHT_NAMES, "weight_names") &&
           (!has_name || list_text(w, group, WM_H5_NAME, "name")) &&
           (!has_writer || (list_text(w, group, WM_H5_BACKEND, "backend") &&
                            list_text(w, group, WM_H5_VERSION, "keras_version")));
}

static bool list_dataset(struct walk *w, hid_t object, uint64_t address)
{
    wm_h5_dataset d;
    if (!wm_h5_describe(object, w->length, &d, w->err))
        return fail_here(w);
    size_t note = d.note ? strlen(d.note) : 0;
    wm_h5_frame(WM_H5_DATASET, 8 + 4 + 8 + 8 * (size_t)d.rank + note + w->path_len);
    wm_h5_put_le(address, 8);
    wm_h5_put_le((uint64_t)d.dtype, 1);
    wm_h5_put_le(d.direct, 1);
    wm_h5_put_le(d.rank, 1);
    wm_h5_put_le(note, 1);
    wm_h5_put_le(d.offset, 8);
    for (uint32_t i = 0; i < d.rank; i++)
        wm_h5_put_le(d.dims[i], 8);
    wm_h5_put(d.note, note);
    wm_h5_put(w->path, w->path_len);
    return true;
}

static bool walk_group(struct walk *w, hid_t group, unsigned depth);

/* A group linked twice would be listed twice, and one linked from within without end. */
static bool enter_group(struct walk *w, hid_t group, uint64_t address, unsigned depth)
{
    bool oom = false;
    uint64_t *key = wm_new(&w->arena, uint64_t, 1);
    if (key) {
        *key = address;
        if (wm_map_put(&w->seen, key, sizeof *key, 1, &oom) != WM_MAP_NONE) {
            wm_fail(w->err, WMAP_E_CORRUPT, "the group is linked more than once");
            return fail_here(w);
        }
    }
    if (!key || oom)
        return wm_fail(w->err, WMAP_E_NOMEM, "out of memory");
    if (depth > WM_H5_MAX_DEPTH) {
        wm_fail(w->err, WMAP_E_CORRUPT, "groups are nested more than %d deep", WM_H5_MAX_DEPTH);
        return fail_here(w);
    }
    wm_h5_frame(WM_H5_GROUP, w->path_len);
    wm_h5_put(w->path, w->path_len);
    return walk_group(w, group, depth);
}

static bool follow(struct walk *w, hid_t group, const struct link *link, unsigned depth)
{
    if (link->type != H5L_TYPE_HARD) {
        wm_fail(w->err, WMAP_E_UNSUPPORTED, "it is %s link, which is not followed",
                link->type == H5L_TYPE_SOFT       ? "a soft"
                : link->type == H5L_TYPE_EXTERNAL ? "an external"
                                                  : "a user-defined");
        return fail_here(w);
    }
    if (!link->name[0] || strcmp(link->name, ".") == 0 || strchr(link->name, '/')) {
        wm_fail(w->err, WMAP_E_CORRUPT, "it is no name that HDF5 allows");
        return fail_here(w);
    }
    if (++w->objects > WM_MAX_TENSORS)
        return wm_fail(w->err, WMAP_E_CORRUPT, "the file holds more than %zu objects", WM_MAX_TENSORS);
    hid_t object = H5Oopen(group, link->name, H5P_DEFAULT);
    H5O_info_t info;
    bool ok = false;
    if (object < 0 || H5Oget_info2(object, &info, H5O_INFO_BASIC) < 0) {
        wm_h5_fail(w->err, WMAP_E_CORRUPT, "it can't be opened");
        fail_here(w);
    } else if (info.type == H5O_TYPE_GROUP)
        ok = enter_group(w, object, info.addr, depth + 1);
    else if (info.type == H5O_TYPE_DATASET)
        ok = list_dataset(w, object, info.addr);
    else
        ok = true; /* a named type holds no data */
    H5Oclose(object);
    return ok;
}

static bool follow_all(struct walk *w, hid_t group, const struct links *links, unsigned depth)
{
    size_t parent = w->path_len;
    for (size_t i = 0; i < links->count; i++) {
        size_t len = strlen(links->list[i].name), slash = parent ? 1 : 0;
        if (len > WM_MAX_NAME - parent - slash) {
            wm_fail(w->err, WMAP_E_CORRUPT, "the path of an object below it is longer than %zu bytes",
                    WM_MAX_NAME);
            return fail_here(w);
        }
        w->path[parent] = '/';
        memcpy(w->path + parent + slash, links->list[i].name, len);
        w->path_len = parent + slash + len;
        if (!follow(w, group, &links->list[i], depth))
            return false;
        w->path_len = parent;
    }
    return true;
}

static bool walk_group(struct walk *w, hid_t group, unsigned depth)
{
    if (!list_attributes(w, group))
        return false;
    struct links links = {0};
    wm_arena_init(&links.arena);
    bool ok = H5Literate(group, H5_INDEX_NAME, H5_ITER_NATIVE, NULL, add_link, &links) >= 0;
    if (ok)
        ok = follow_all(w, group, &links, depth);
    else {
        if (links.oom)
            wm_fail(w->err, WMAP_E_NOMEM, "the group has too many members");
        else
            wm_h5_fail(w->err, WMAP_E_CORRUPT, "the group's members can't be read");
        fail_here(w);
    }
    wm_arena_release(&links.arena);
    return ok;
}

bool wm_h5_list(hid_t file, uint64_t length, wmap_error *err)
{
    struct walk *w = calloc(1, sizeof *w);
    if (!w)
        return wm_fail(err, WMAP_E_NOMEM, "out of memory");
    w->file = file;
    w->length = length;
    w->err = err;
    wm_arena_init(&w->arena);
    wm_map_init(&w->seen, &w->arena, 0);
    hid_t root = H5Oopen(file, "/", H5P_DEFAULT);
    H5O_info_t info;
    bool ok = false;
    if (root < 0 || H5Oget_info2(root, &info, H5O_INFO_BASIC) < 0 || info.type != H5O_TYPE_GROUP)
        wm_h5_fail(err, WMAP_E_CORRUPT, "the root group can't be opened");
    else
        ok = enter_group(w, root, info.addr, 0);
    H5Oclose(root);
    wm_arena_release(&w->arena);
    free(w);
    return ok;
}
