/* index.c: sets of safetensors or PyTorch files, as Hugging Face's libraries write large models:
 * NAME.index.json says which of the files beside it holds which tensor. The files are opened as archives of
 * their own, and their tensors are those of the set: the files in the order of their names, in each its own
 * order. */
#include <dirent.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/archive.h"
#include "runtime/base/natural.h"
#include "runtime/base/size.h"
#include "runtime/json_in.h"

#define INDEX_MOST  ((uint64_t)64 << 20) /* bytes of an index */
#define MORE_COMMAS 10000                /* in an index beyond one a tensor */
#define FOLDER_MOST 1000000              /* files of a folder that are looked at */
#define SUFFIX      ".index.json"

/* ---- the index ---- */

/* {"metadata": {"total_size": ...}, "weight_map": {"a.weight": "model-00001-of-00002.safetensors", ...}}.
 * Before the map may stand more metadata than the head has room for. */
static bool probe(wmap_archive *archive)
{
    static const char key[] = "\"weight_map\"";
    size_t at = 0;
    while (at < archive->head_size && strchr(" \t\r\n", archive->head[at]))
        at++;
    if (at == archive->head_size || archive->head[at] != '{')
        return false;
    if (memmem(archive->head, archive->head_size, key, strlen(key)))
        return true;
    const char *path = archive->files[0].path;
    size_t len = strlen(path), most = (size_t)1 << 20;
    if (len < strlen(SUFFIX) || strcmp(path + len - strlen(SUFFIX), SUFFIX) != 0)
        return false; /* any other text is not worth more of a look */
    if (archive->files[0].size < most)
        most = (size_t)archive->files[0].size;
    char *text = malloc(most + 1);
    bool found =
        text && wm_archive_read(archive, 0, 0, text, most, NULL) && memmem(text, most, key, strlen(key));
    free(text);
    return found;
}

/* A tensor of the index. */
struct listed {
    const char *name;
    size_t len;
    uint32_t file; /* index in files */
    bool seen;
};

/* Opening a set. */
struct set {
    wmap_archive *archive;
    wmap_error *err;
    json_t *json;
    wm_arena scratch;
    struct listed *listed;
    wm_map names; /* of tensors -> index in listed */
    const char **files;
    size_t file_count, file_cap;
    wm_map metas;         /* keys -> index in archive->metas */
    wm_map by_file;       /* name -> index in files */
    size_t extra;         /* tensors of the files that the index doesn't list */
    const char *strange;  /* the first of them */
    uint64_t least, most; /* bytes of all tensors: those that share their bytes counted once, or each */
    bool unknown;         /* there are some whose bytes can't be told */
};

static bool bad(struct set *s, const char *what, const char *name)
{
    wm_fail(s->err, WMAP_E_CORRUPT, "the index of a set %s", what);
    return name ? wm_error_tensor(s->err, name, strlen(name)) : false;
}

static bool nomem(struct set *s)
{
    return wm_fail(s->err, WMAP_E_NOMEM, "out of memory");
}

static bool parse_index(struct set *s)
{
    json_error_t failure;
    uint64_t size = s->archive->files[0].size;
    bool oom = false;
    if (size > INDEX_MOST)
        return bad(s, "is larger than 64 MiB", NULL);
    char *text = malloc((size_t)size + 1);
    if (!text)
        return nomem(s);
    bool ok = wm_archive_read(s->archive, 0, 0, text, size, s->err) &&
              (wm_json_marks(text, (size_t)size, ",") <= WM_MAX_TENSORS + MORE_COMMAS ||
               bad(s, "lists more than 1000000 tensors", NULL));
    if (ok)
        s->json = wm_json_parse(text, (size_t)size, 0, &failure, &oom);
    free(text);
    if (!ok || s->json)
        return ok;
    if (oom)
        return nomem(s);
    wm_fail(s->err, WMAP_E_CORRUPT, "the index of a set is no sound JSON: %s", failure.text);
    return wm_error_offset(s->err, failure.position < 0 ? 0 : (uint64_t)failure.position);
}

static int by_name(const void *a, const void *b)
{
    const char *x = *(const char *const *)a, *y = *(const char *const *)b;
    return wm_natural_compare(x, strlen(x), y, strlen(y));
}

/* The files that the map names, in order. */
static bool list_files(struct set *s, const json_t *map)
{
    const char *name;
    json_t *value;
    bool oom = false;
    json_object_foreach((json_t *)(uintptr_t)map, name, value)
    {
        const char *file = json_string_value(value);
        if (!file || json_string_length(value) > 255)
            return bad(s, "names no file for a tensor", name);
        uint32_t known = wm_map_put(&s->by_file, file, strlen(file), 0, &oom);
        const char **slot =
            known == WM_MAP_NONE ? wm_push(&s->scratch, s->files, s->file_count, s->file_cap) : s->files;
        if (!slot || oom)
            return nomem(s);
        if (known == WM_MAP_NONE)
            *slot = file; /* the JSON outlives it */
    }
    if (!s->file_count)
        return bad(s, "names no file", NULL);
    qsort(s->files, s->file_count, sizeof *s->files, by_name);
    for (size_t i = 0; i < s->file_count; i++)
        wm_map_set(&s->by_file, s->files[i], strlen(s->files[i]), (uint32_t)i);
    return true;
}

static bool list_tensors(struct set *s, const json_t *map)
{
    const char *name;
    json_t *value;
    size_t count = 0;
    bool oom = false;
    s->listed = wm_new(&s->scratch, struct listed, json_object_size(map));
    if (!s->listed)
        return nomem(s);
    json_object_foreach((json_t *)(uintptr_t)map, name, value)
    {
        const char *file = json_string_value(value);
        s->listed[count] =
            (struct listed){name, strlen(name), wm_map_get(&s->by_file, file, strlen(file)), false};
        wm_map_put(&s->names, name, s->listed[count].len, (uint32_t)count, &oom);
        if (oom)
            return nomem(s);
        count++;
    }
    return true;
}

/* ---- the files ---- */

/* Metadata of a file; what the first one that has a key says, counts. */
static bool take_metas(struct set *s, const wmap_archive *part)
{
    bool oom = false;
    for (size_t i = 0; i < part->meta_count; i++) {
        const wmap_meta *m = &part->metas[i].pair;
        size_t count = s->archive->meta_count;
        uint32_t known = wm_map_put(&s->metas, m->key, m->key_len, (uint32_t)count, &oom);
        if (oom)
            return nomem(s);
        if (known == WM_MAP_NONE) {
            if (!wm_archive_meta_add(s->archive, m->key, m->key_len, m->value, m->value_len,
                                     part->metas[i].own, s->err))
                return false;
            continue;
        }
        const wmap_meta *first = &s->archive->metas[known].pair;
        if (first->value_len != m->value_len || memcmp(first->value, m->value, m->value_len) != 0)
            wm_archive_warn(s->archive, "its files disagree on their metadata `%s`; the first one counts",
                            m->key);
    }
    return true;
}

static bool take_entry(struct set *s, uint32_t part, size_t index)
{
    const wm_entry *entry = &s->archive->parts[part]->entries[index];
    const wmap_tensor *t = &entry->tensor;
    uint64_t bytes = 0;
    uint32_t known = wm_map_get(&s->names, t->name, t->name_len);
    if (known == WM_MAP_NONE && !s->extra++)
        s->strange = t->name;
    if (known != WM_MAP_NONE && s->listed[known].file == part)
        s->listed[known].seen = true;
    if (t->dtype == WMAP_OPAQUE)
        s->unknown = true;
    else if (!wmap_tensor_bytes(t, &bytes) || !wm_size_add(s->most, bytes, &s->most))
        return bad(s, "is of 2^63 bytes or more", NULL);
    return wm_archive_add_from(s->archive, part, index, s->err) != NULL;
}

static int by_offset(const void *a, const void *b)
{
    const wm_entry *x = *(const wm_entry *const *)a, *y = *(const wm_entry *const *)b;
    return x->offset != y->offset ? (x->offset > y->offset) - (x->offset < y->offset) : 0;
}

/* Adds to `least` the bytes of a file's tensors; of those that begin at the same one, only the largest
 * counts. Where the elements stand is known of direct entries only. */
static bool add_least(struct set *s, const wmap_archive *part)
{
    wm_arena arena; /* for this file only */
    wm_arena_init(&arena);
    const wm_entry **order = wm_new(&arena, const wm_entry *, part->entry_count);
    size_t count = 0;
    if (!order)
        return nomem(s);
    for (size_t i = 0; i < part->entry_count; i++)
        if (part->entries[i].direct)
            order[count++] = &part->entries[i];
    if (count)
        qsort(order, count, sizeof *order, by_offset);
    uint64_t group = 0, bytes = 0;
    for (size_t i = 0; i < count; i++) {
        wmap_tensor_bytes(&order[i]->tensor, &bytes); /* checked when it was taken */
        if (i && order[i]->offset != order[i - 1]->offset) {
            s->least += group;
            group = 0;
        }
        group = bytes > group ? bytes : group;
    }
    s->least += group;
    wm_arena_release(&arena);
    return true;
}

static bool take_file(struct set *s, size_t index)
{
    wmap_archive *part = wm_archive_add_part(s->archive, s->files[index], s->err);
    if (!part)
        return false;
    if (part->format != s->archive->parts[0]->format) {
        bad(s, "names files of different formats", NULL);
        return wm_error_file(s->err, part->path);
    }
    for (size_t i = 0; i < part->warning_count; i++)
        wm_archive_warn(s->archive, "%s: %s", s->files[index], part->warnings[i]);
    for (size_t i = 0; i < part->entry_count; i++)
        if (!take_entry(s, (uint32_t)index, i))
            return false;
    return take_metas(s, part) && add_least(s, part);
}

/* ---- does the index tell the truth? ---- */

/* What writers count as the size is not the same everywhere: transformers and huggingface_hub count tensors
 * that share a storage once, others each. */
static bool check_size(struct set *s)
{
    const json_t *size = json_object_get(json_object_get(s->json, "metadata"), "total_size");
    if (!size || json_is_null(size))
        return true;
    double real = json_number_value(size);
    if (!json_is_number(size) || !(real >= 0) || real >= 9e18 || real != floor(real))
        return bad(s, "has a total_size that is no size", NULL);
    uint64_t said = json_is_integer(size) ? (uint64_t)json_integer_value(size) : (uint64_t)real;
    if (s->unknown || (said >= s->least && said <= s->most))
        return true;
    wm_fail(s->err, WMAP_E_CORRUPT,
            "the index of a set says that its tensors have %" PRIu64 " bytes, but they have %" PRIu64, said,
            s->most);
    return false;
}

static bool check_tensors(struct set *s)
{
    for (size_t i = 0; i < json_object_size(json_object_get(s->json, "weight_map")); i++) {
        const struct listed *l = &s->listed[i];
        if (l->seen)
            continue;
        wm_fail(s->err, WMAP_E_CORRUPT, "the index of a set says that %s holds this tensor, but it does not",
                s->files[l->file]);
        return wm_error_tensor(s->err, l->name, l->len);
    }
    if (s->extra)
        wm_archive_warn(s->archive, "%zu of its tensors %s not in the index, %s first", s->extra,
                        s->extra == 1 ? "is" : "are", s->strange);
    return true;
}

static bool read_set(struct set *s)
{
    if (!parse_index(s))
        return false;
    const json_t *map = json_object_get(s->json, "weight_map");
    if (!json_is_object(map))
        return bad(s, "has no weight_map", NULL);
    if (!list_files(s, map) || !list_tensors(s, map))
        return false;
    for (size_t i = 0; i < s->file_count; i++)
        if (!take_file(s, i))
            return false;
    return check_tensors(s) && check_size(s);
}

static bool open_index(wmap_archive *archive, wmap_error *err)
{
    struct set s = {.archive = archive, .err = err};
    if (archive->is_part) /* it may name itself */
        return bad(&s, "is named by an index", NULL);
    wm_arena_init(&s.scratch);
    wm_map_init(&s.names, &s.scratch, 0);
    wm_map_init(&s.by_file, &s.scratch, 0);
    wm_map_init(&s.metas, &s.scratch, 0);
    bool ok = read_set(&s);
    wm_arena_release(&s.scratch);
    json_decref(s.json);
    return ok;
}

/* ---- finding it ---- */

static bool is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static const char *join(wmap_archive *archive, const char *a, const char *b, wmap_error *err)
{
    const char *made = wm_format_text(&archive->arena, "%s%s", a, b);
    if (!made)
        wm_fail(err, WMAP_E_NOMEM, "out of memory");
    return made;
}

/* The only index of a folder; its name in `name`. How many there are. */
static size_t find_indexes(const char *folder, char name[256])
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    size_t found = 0;
    for (size_t n = 0; dir && n < FOLDER_MOST && (entry = readdir(dir)); n++) {
        size_t len = strlen(entry->d_name);
        if (len <= strlen(SUFFIX) || strcmp(entry->d_name + len - strlen(SUFFIX), SUFFIX) != 0)
            continue;
        if (!found++)
            snprintf(name, 256, "%s", entry->d_name);
    }
    if (dir)
        closedir(dir);
    return found;
}

/* A folder's model, as transformers looks for it, else the only index there. */
static const char *of_folder(wmap_archive *archive, const char *path, wmap_error *err)
{
    static const char *const usual[] = {"model.safetensors", "model.safetensors" SUFFIX, "pytorch_model.bin",
                                        "pytorch_model.bin" SUFFIX};
    char name[256];
    size_t len = strlen(path);
    const char *folder = join(archive, path, len && path[len - 1] == '/' ? "" : "/", err);
    for (size_t i = 0; folder && i < sizeof usual / sizeof *usual; i++) {
        const char *file = join(archive, folder, usual[i], err);
        if (!file || is_file(file))
            return file;
    }
    size_t found = folder ? find_indexes(folder, name) : 0;
    if (found > 1)
        wm_fail(err, WMAP_E_UNSUPPORTED, "this folder holds %zu sets with an index (*" SUFFIX "); name one",
                found);
    return found == 1 ? join(archive, folder, name, err) : NULL;
}

static const char *locate(wmap_archive *archive, const char *path, wm_place place, wmap_error *err)
{
    if (place == WM_PLACE_FOLDER)
        return of_folder(archive, path, err);
    if (place != WM_PLACE_NOTHING)
        return NULL;
    const char *index = join(archive, path, SUFFIX, err); /* model.safetensors, which is there in pieces */
    return index && is_file(index) ? index : NULL;
}

extern const wm_format wm_format_index;
const wm_format wm_format_index = {
    .name = "index",
    .title = "index of a set of safetensors or PyTorch files",
    .suffixes = SUFFIX,
    .probe = probe,
    .open = open_index,
    .locate = locate,
};
