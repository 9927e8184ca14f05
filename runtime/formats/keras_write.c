/* keras_write.c: writes HDF5 files and .keras archives. All but the tensors' data is a skeleton: the bytes of
 * a template (--like), or of a file that wmap-hdf5 made from the names. The runtime writes the tensors where
 * the skeleton has room for them, and the rest of it is copied around them. */
#include "runtime/formats/keras.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/size.h"
#include "runtime/crc.h"
#include "runtime/hdf5/protocol.h"
#include "runtime/spool.h"

#define CHUNK ((size_t)256 << 10)

/* Room in a new file beside the data: for each record, and at least. Far more than libhdf5 takes. */
#define ROOM_LEAST  ((uint64_t)64 << 20)
#define ROOM_RECORD 64

static bool no_memory(wmap_error *err)
{
    return wm_fail(err, WMAP_E_NOMEM, "out of memory");
}

void wm_skeleton_close(wm_skeleton *skeleton)
{
    if (skeleton->own)
        close(skeleton->fd);
    skeleton->own = false;
}

/* --- a template --- */

/* What the template and the targets disagree in: the first is told, the rest counted. */
struct misfit {
    uint64_t count;
    wmap_error *err;
};

static void no_fit(struct misfit *m, const wmap_tensor *t, const char *text)
{
    if (m->count++ == 0) {
        wm_fail(m->err, WMAP_E_MISMATCH, "%s", text);
        wm_error_tensor(m->err, t->name, t->name_len);
    }
}

static bool same_shape(const wmap_tensor *a, const wmap_tensor *b)
{
    return a->rank == b->rank &&
           (a->rank == 0 || memcmp(a->shape, b->shape, a->rank * sizeof *a->shape) == 0);
}

static void compare(const wmap_archive *like, uint32_t index, const wmap_tensor *t, struct misfit *m)
{
    const wmap_tensor *has = index == WM_MAP_NONE ? NULL : &like->entries[index].tensor;
    if (!has)
        no_fit(m, t, "the template has no dataset of this name");
    else if (has->dtype != t->dtype)
        no_fit(m, t, "the template's dataset of this name has another dtype");
    else if (!same_shape(has, t))
        no_fit(m, t, "the template's dataset of this name has another shape");
}

/* Is a component of the name `word`, or `word` with a number, as Keras counts objects of one class? */
static bool has_component(const wmap_tensor *t, const char *word)
{
    size_t len = strlen(word);
    const char *end = t->name + t->name_len;
    for (const char *part = t->name; part < end;) {
        const char *slash = memchr(part, '/', (size_t)(end - part)), *stop = slash ? slash : end;
        size_t size = (size_t)(stop - part);
        size_t digits = len + 1; /* behind the underscore */
        while (digits < size && part[digits] >= '0' && part[digits] <= '9')
            digits++;
        bool numbered = size > len + 1 && part[len] == '_' && digits == size;
        if (size >= len && memcmp(part, word, len) == 0 && (size == len || numbered))
            return true;
        part = stop + 1;
    }
    return false;
}

/* State that a model keeps beside its weights: it stays as the template has it unless the map writes it. */
static bool is_state(const wm_entry *entry)
{
    static const char *const components[] = {"optimizer_weights", "optimizer", "seed_generator", "metrics"};
    for (size_t i = 0; i < sizeof components / sizeof *components; i++)
        if (has_component(&entry->tensor, components[i]))
            return true;
    return entry->tensor.dtype == WMAP_OPAQUE;
}

static bool find_targets(const wm_writer *writer, uint32_t *found, bool *written, wm_map *places,
                         struct misfit *m)
{
    const wmap_archive *like = writer->like;
    bool oom = false;
    for (size_t i = 0; i < writer->count; i++) {
        const wmap_tensor *t = &writer->targets[i].tensor;
        found[i] = wm_map_get(&like->names, t->name, t->name_len);
        compare(like, found[i], t, m);
        if (found[i] == WM_MAP_NONE)
            continue;
        const wm_entry *entry = &like->entries[found[i]];
        written[found[i]] = true;
        if (wm_map_put(places, &entry->id, sizeof entry->id, found[i], &oom) != WM_MAP_NONE)
            no_fit(m, t, "the template's dataset of this name is also that of another target");
    }
    return !oom;
}

/* Do the template's weights and the targets agree in name, dtype and shape? found[] gets the targets'
 * entries. A dataset may have several names: one of them is to be written. */
static bool match_template(const wm_writer *writer, uint32_t *found, wmap_error *err)
{
    const wmap_archive *like = writer->like;
    struct misfit m = {0, err};
    bool *written = wm_new(writer->arena, bool, like->entry_count);
    wm_map places;
    wm_map_init(&places, writer->arena, writer->count);
    if (!written || !find_targets(writer, found, written, &places, &m))
        return no_memory(err);
    for (size_t i = 0; i < like->entry_count; i++) {
        const wm_entry *entry = &like->entries[i];
        if (!written[i] && !is_state(entry) &&
            wm_map_get(&places, &entry->id, sizeof entry->id) == WM_MAP_NONE)
            no_fit(&m, &entry->tensor, "the template holds this weight, but the map doesn't write it");
    }
    return m.count == 0 || wm_error_more(err, m.count - 1);
}

static bool out_of_space(wmap_error *err)
{
    return wm_fail_errno(err, WMAP_E_IO, errno, "cannot write a temporary file");
}

/* A copy of a range as a file of its own; holes stay holes. */
static int copy_range(int from, uint64_t begin, uint64_t size, wmap_error *err)
{
    int fd = wm_spool_new(err);
    uint8_t *chunk = malloc(CHUNK);
    bool ok = fd >= 0 && (chunk || no_memory(err));
    if (ok && ftruncate(fd, (off_t)size) != 0)
        ok = out_of_space(err);
    for (uint64_t at = 0; ok && at < size;) {
        size_t part = size - at < CHUNK ? (size_t)(size - at) : CHUNK;
        int64_t got = wm_pread(from, chunk, part, begin + at);
        if (got < 0 || (size_t)got < part)
            ok = wm_fail(err, got < 0 ? WMAP_E_IO : WMAP_E_CORRUPT, "the template can't be read to its end");
        else if (pwrite(fd, chunk, part, (off_t)at) != (ssize_t)part)
            ok = out_of_space(err);
        at += part;
    }
    free(chunk);
    if (!ok && fd >= 0)
        close(fd);
    return ok ? fd : -1;
}

static bool append_path(wm_writer *writer, wm_keras_records *r, const wm_keras_part *part, uint32_t index,
                        wmap_error *err)
{
    const wmap_tensor *t = &writer->like->entries[index].tensor;
    size_t root = part->inside[index] ? strlen(part->root) : 0, slash = root ? 1 : 0;
    size_t len = root + slash + t->name_len;
    uint8_t *bytes = wm_grow(writer->arena, r->bytes, r->size, r->size + 4 + len, &r->cap, 1);
    if (!bytes)
        return no_memory(err);
    r->bytes = bytes;
    bytes += r->size;
    for (unsigned i = 0; i < 4; i++)
        *bytes++ = (uint8_t)(len >> (8 * i));
    memcpy(bytes, part->root, root);
    if (slash)
        bytes[root] = '/';
    memcpy(bytes + root + slash, t->name, t->name_len);
    r->size += 4 + len;
    return true;
}

/* Datasets of the template that are packed, or are no plain bytes for another reason, become contiguous ones
 * in a copy of it. */
static bool unpack_template(wm_writer *writer, wm_skeleton *skeleton, const uint32_t *found, wmap_error *err)
{
    const wm_keras *keras = writer->like->state;
    const wm_keras_part *part = &keras->parts[0];
    wm_keras_records paths = {0};
    uint32_t *packed = wm_new(writer->arena, uint32_t, writer->count);
    uint64_t *offsets = wm_new(writer->arena, uint64_t, writer->count), most = skeleton->size;
    size_t count = 0;
    if (!packed || !offsets)
        return no_memory(err);
    for (size_t i = 0; i < writer->count; i++) {
        if (writer->like->entries[found[i]].direct)
            continue;
        packed[count++] = (uint32_t)i;
        if (!append_path(writer, &paths, part, found[i], err))
            return false;
        if (!wm_size_add(most, writer->targets[i].bytes, &most))
            return wm_fail(err, WMAP_E_TARGET, "the file would be larger than 2^63 bytes");
    }
    if (count == 0)
        return true;
    if (!wm_size_add(most, ROOM_LEAST + ROOM_RECORD * paths.size, &most))
        return wm_fail(err, WMAP_E_TARGET, "the file would be larger than 2^63 bytes");
    int copy = copy_range(skeleton->fd, skeleton->begin, skeleton->size, err);
    if (copy < 0)
        return false;
    uint64_t length = skeleton->size;
    *skeleton = (wm_skeleton){.fd = copy, .own = true};
    if (!wm_hdf5_write(copy, WM_H5_REPLACE, length, most, paths.bytes, paths.size, offsets, count, err))
        return false;
    off_t size = lseek(copy, 0, SEEK_END);
    skeleton->size = size < 0 ? 0 : (uint64_t)size;
    for (size_t i = 0; i < count; i++)
        writer->targets[packed[i]].offset = offsets[i];
    return true;
}

/* The weights of an archive have a checksum, which is compared before an entry is first seen. What is copied
 * from a template should be whole, too. */
static bool check_template(wmap_archive *like, wmap_error *err)
{
    wm_view view;
    for (size_t i = 0; i < like->entry_count; i++)
        if (like->entries[i].sum && like->entries[i].tensor.dtype != WMAP_OPAQUE)
            return wm_archive_view(like, i, &view, err);
    return true;
}

static bool use_template(wm_writer *writer, wm_skeleton *skeleton, wmap_error *err)
{
    wmap_archive *like = writer->like;
    if (like->format != &wm_format_keras && like->format != &wm_format_keras_zip) {
        wm_fail(err, WMAP_E_USAGE, "the template is no HDF5 file and no .keras archive");
        return wm_error_file(err, like->path);
    }
    const wm_keras *keras = like->state;
    const wm_keras_part *part = &keras->parts[0];
    if (keras->count != 1) {
        wm_fail(err, WMAP_E_USAGE, "the template is a set of several files");
        return wm_error_file(err, like->path);
    }
    uint32_t *found = wm_new(writer->arena, uint32_t, writer->count);
    if (!found)
        return no_memory(err);
    if (!match_template(writer, found, err) || !check_template(like, err))
        return false;
    skeleton->fd = like->files[part->file].fd;
    skeleton->begin = part->base;
    skeleton->size = part->length;
    for (size_t i = 0; i < writer->count; i++) {
        const wm_entry *entry = &like->entries[found[i]];
        if (entry->direct)
            writer->targets[i].offset = entry->offset - part->base;
    }
    return unpack_template(writer, skeleton, found, err);
}

/* --- a new file --- */

static bool make_new(wm_writer *writer, wm_skeleton *skeleton, wmap_error *err)
{
    wm_keras_records records = {0};
    uint64_t most = ROOM_LEAST, *offsets = wm_new(writer->arena, uint64_t, writer->count);
    if (!offsets)
        return no_memory(err);
    if (!wm_keras_records_make(writer, &records, err))
        return false;
    bool fits = wm_size_add(most, ROOM_RECORD * records.size, &most);
    for (size_t i = 0; i < writer->count; i++)
        fits = fits && wm_size_add(most, writer->targets[i].bytes, &most);
    if (!fits)
        return wm_fail(err, WMAP_E_TARGET, "the file would be larger than 2^63 bytes");
    skeleton->fd = wm_spool_new(err);
    skeleton->own = skeleton->fd >= 0;
    if (!skeleton->own || !wm_hdf5_write(skeleton->fd, WM_H5_MAKE, 0, most, records.bytes, records.size,
                                         offsets, writer->count, err))
        return false;
    off_t size = lseek(skeleton->fd, 0, SEEK_END);
    skeleton->size = size < 0 ? 0 : (uint64_t)size;
    for (size_t i = 0; i < writer->count; i++)
        writer->targets[i].offset = offsets[i];
    return true;
}

/* --- both --- */

static int compare_places(const void *a, const void *b, void *user)
{
    const wm_target *list = user;
    const wm_target *x = &list[*(const uint32_t *)a], *y = &list[*(const uint32_t *)b];
    return x->offset != y->offset ? (x->offset < y->offset ? -1 : 1) : x < y ? -1 : x > y;
}

/* A hostile template may say that two datasets share bytes, and wmap-hdf5, once taken over, anything. */
static bool check_places(wm_writer *writer, wm_skeleton *skeleton, wmap_error *err)
{
    uint32_t *order = wm_new(writer->arena, uint32_t, writer->count);
    if (!order)
        return no_memory(err);
    for (size_t i = 0; i < writer->count; i++)
        if (writer->targets[i].bytes)
            order[skeleton->order_count++] = (uint32_t)i;
    qsort_r(order, skeleton->order_count, sizeof *order, compare_places, writer->targets);
    skeleton->order = order;
    uint64_t end = 0;
    for (size_t i = 0; i < skeleton->order_count; i++) {
        const wm_target *t = &writer->targets[order[i]];
        if (t->offset < end || t->bytes > skeleton->size || t->offset > skeleton->size - t->bytes) {
            wm_fail(err, WMAP_E_CORRUPT,
                    "its place in the file is shared with another, or lies outside of it");
            return wm_error_tensor(err, t->tensor.name, t->tensor.name_len);
        }
        end = t->offset + t->bytes;
    }
    return true;
}

bool wm_skeleton_make(wm_writer *writer, wm_skeleton *skeleton, wmap_error *err)
{
    *skeleton = (wm_skeleton){.fd = -1};
    return (writer->like ? use_template(writer, skeleton, err) : make_new(writer, skeleton, err)) &&
           check_places(writer, skeleton, err);
}

/* Copying the skeleton. */
struct copy {
    wm_writer *writer;
    const wm_skeleton *skeleton;
    uint64_t offset; /* of the skeleton in the output */
    uint8_t *chunk;
    uint32_t *crc; /* of what was passed; NULL if it isn't wanted */
    wmap_error *err;
};

/* Bytes [at, end) of the skeleton. Its holes are holes in the output already, if nobody counts their zeros.
 */
static bool put_gap(struct copy *c, uint64_t at, uint64_t end)
{
    const wm_skeleton *s = c->skeleton;
    while (at < end) {
        if (!c->crc && s->own) {
            off_t data = lseek(s->fd, (off_t)(s->begin + at), SEEK_DATA);
            if (data < 0 && errno == ENXIO)
                return true;
            if (data > 0 && (uint64_t)data - s->begin > at)
                at = (uint64_t)data - s->begin;
            if (at >= end)
                return true;
        }
        size_t part = end - at < CHUNK ? (size_t)(end - at) : CHUNK;
        int64_t got = wm_pread(s->fd, c->chunk, part, s->begin + at);
        if (got < 0)
            return wm_fail_errno(c->err, WMAP_E_IO, errno, "cannot read the template");
        if ((size_t)got < part)
            return wm_fail(c->err, WMAP_E_CORRUPT, "the template became shorter while it was read");
        if (!c->writer->put(c->writer, 0, c->offset + at, c->chunk, part, c->err))
            return false;
        if (c->crc)
            *c->crc = wm_crc32(*c->crc, c->chunk, part);
        at += part;
    }
    return true;
}

bool wm_skeleton_put(wm_writer *writer, const wm_skeleton *skeleton, uint64_t offset, uint32_t *crc,
                     wmap_error *err)
{
    struct copy c = {writer, skeleton, offset, malloc(CHUNK), crc, err};
    uint64_t at = 0;
    if (crc)
        *crc = 0;
    bool ok = c.chunk || no_memory(err);
    for (size_t i = 0; ok && i < skeleton->order_count; i++) {
        const wm_target *t = &writer->targets[skeleton->order[i]];
        ok = put_gap(&c, at, t->offset - offset);
        if (ok && crc)
            *crc = wm_crc32_join(*crc, t->sum, t->bytes);
        at = t->offset - offset + t->bytes;
    }
    ok = ok && put_gap(&c, at, skeleton->size);
    free(c.chunk);
    return ok;
}

/* --- .h5 --- */

/* What a writer keeps; `members` are those of a .keras archive. */
struct state {
    wm_skeleton skeleton;
    wm_zip_out *members;
    size_t weights; /* its index */
};

static struct state *new_state(wm_writer *writer, wmap_error *err)
{
    struct state *state = wm_new(writer->arena, struct state, 1);
    writer->state = state;
    if (!state)
        no_memory(err);
    return state;
}

/* Can the names be held at all? */
static bool try_names(wm_writer *writer, wmap_error *err)
{
    wm_keras_records records = {0};
    return wm_keras_records_make(writer, &records, err);
}

bool wm_keras_layout(wm_writer *writer, wmap_error *err)
{
    if (writer->trial && !writer->like)
        return try_names(writer, err);
    struct state *state = new_state(writer, err);
    return state && wm_skeleton_make(writer, &state->skeleton, err) &&
           wm_writer_add_part(writer, NULL, state->skeleton.size, WM_PART_DATA, err);
}

bool wm_keras_finish(wm_writer *writer, wmap_error *err)
{
    const struct state *state = writer->state;
    return wm_skeleton_put(writer, &state->skeleton, 0, NULL, err);
}

void wm_keras_drop(wm_writer *writer)
{
    struct state *state = writer->state;
    if (state)
        wm_skeleton_close(&state->skeleton);
}

/* --- .keras --- */

/* The archive is put together anew from the template's members: the same names, order and bytes, but for the
 * weights, and all of them stored. */
bool wm_keras_zip_layout(wm_writer *writer, wmap_error *err)
{
    if (writer->trial && !writer->like)
        return try_names(writer, err);
    if (!writer->like)
        return wm_fail(err, WMAP_E_USAGE,
                       "a .keras archive holds a model's architecture, which comes from a template: name one "
                       "with --like");
    if (writer->like->format != &wm_format_keras_zip) {
        wm_fail(err, WMAP_E_USAGE, "the template is no .keras archive");
        return wm_error_file(err, writer->like->path);
    }
    const wm_zip *zip = writer->like->zip;
    struct state *state = new_state(writer, err);
    if (!state || !wm_skeleton_make(writer, &state->skeleton, err))
        return false;
    state->members = wm_new(writer->arena, wm_zip_out, zip->count);
    if (!state->members)
        return no_memory(err);
    for (size_t i = 0; i < zip->count; i++) {
        const wm_zip_member *m = &zip->members[i];
        state->members[i] =
            (wm_zip_out){.name = m->name, .name_len = m->name_len, .size = m->usize, .crc32 = m->crc32};
        if (m == wm_keras_member(zip)) {
            state->weights = i;
            state->members[i].size = state->skeleton.size;
        }
    }
    uint64_t size;
    if (!wm_zip_layout(state->members, zip->count, &size, err))
        return false;
    for (size_t i = 0; i < writer->count; i++)
        writer->targets[i].offset += state->members[state->weights].data;
    return wm_writer_add_part(writer, NULL, size, WM_PART_DATA, err);
}

/* Puts what a decoder sends. */
struct into {
    wm_sink sink;
    wm_writer *writer;
    uint64_t at;
};

static bool put_into(wm_sink *sink, const void *bytes, size_t size, wmap_error *err)
{
    struct into *into = (struct into *)sink;
    uint64_t at = into->at;
    into->at += size;
    return into->writer->put(into->writer, 0, at, bytes, size, err);
}

bool wm_keras_zip_finish(wm_writer *writer, wmap_error *err)
{
    struct state *state = writer->state;
    const wm_zip *zip = writer->like->zip;
    for (size_t i = 0; i < zip->count; i++) {
        wm_zip_out *out = &state->members[i];
        struct into into = {{put_into}, writer, out->data};
        bool ok = i == state->weights ? wm_skeleton_put(writer, &state->skeleton, out->data, &out->crc32, err)
                                      : wm_zip_stream(writer->like, &zip->members[i], &into.sink, err);
        if (!ok)
            return false;
    }
    return wm_zip_finish(writer, 0, state->members, zip->count, err);
}
