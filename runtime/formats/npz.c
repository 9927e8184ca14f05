/* npz.c: named NumPy arrays in a zip (numpy.savez and savez_compressed). A tensor's name is its member's
 * without
 * ".npy". Stored little-endian members are read in place. */
#include <string.h>
#include <zlib.h>

#include "runtime/base/size.h"
#include "runtime/formats/npy.h"
#include "runtime/formats/pickle_array.h"
#include "runtime/formats/zip.h"

#define SUFFIX     ".npy"
#define SUFFIX_LEN 4
#define PEEK       ((size_t)512) /* most headers are 128 bytes */

static bool is_array(const wm_zip_member *m)
{
    return m->name_len >= SUFFIX_LEN && memcmp(m->name + m->name_len - SUFFIX_LEN, SUFFIX, SUFFIX_LEN) == 0;
}

static bool probe(wmap_archive *archive)
{
    if (!wm_zip_looks(archive) || !wm_archive_zip(archive, NULL))
        return false;
    const wm_zip *zip = archive->zip;
    for (size_t i = 0; i < zip->count; i++)
        if (is_array(&zip->members[i]))
            return true;
    return zip->count == 0; /* numpy.savez of nothing */
}

/* The npy header of a member, in `buffer` if it fits, else in the arena. */
static const uint8_t *load_header(wmap_archive *archive, const wm_zip_member *m, uint8_t buffer[PEEK],
                                  uint64_t *size, wmap_error *err)
{
    size_t got;
    if (!wm_zip_peek(archive, m, buffer, PEEK, &got, err) || !wm_npy_size(buffer, got, m->data, size, err))
        return NULL;
    if (*size > m->usize) {
        wm_fail(err, WMAP_E_CORRUPT, "damaged NumPy header: it is cut off");
        wm_error_offset(err, m->data);
        return NULL;
    }
    if (*size <= got)
        return buffer;
    uint8_t *all = wm_alloc(&archive->arena, (size_t)*size); /* at most WM_NPY_HEADER */
    if (!all)
        wm_fail(err, WMAP_E_NOMEM, "out of memory");
    return all && wm_zip_peek(archive, m, all, (size_t)*size, &got, err) ? all : NULL;
}

/* Sets `*sum` to the checksum of a stored member. */
static bool sum_of(wmap_archive *archive, const wm_zip_member *m, wm_sum **sum, wmap_error *err)
{
    *sum = wm_new(&archive->arena, wm_sum, 1);
    if (!*sum)
        return wm_fail(err, WMAP_E_NOMEM, "out of memory");
    **sum = (wm_sum){.begin = m->data, .size = m->usize, .crc32 = m->crc32};
    return true;
}

/* A member of dtype object holds a pickle. If that can't be read, or has no array in it, the member is
 * opaque. */
static bool add_objects(wmap_archive *archive, const wm_zip_member *m, const wm_npy *npy, wmap_error *err)
{
    wm_pickled_source source = {.begin = npy->start, .end = m->usize, .name = m->name};
    source.name_len = m->name_len - SUFFIX_LEN;
    if (m->method == WM_ZIP_STORED) {
        source.begin += m->data;
        source.end += m->data;
        if (!sum_of(archive, m, &source.sum, err))
            return false;
    } else if ((source.file = wm_zip_spool(archive, m, err)) == UINT32_MAX) {
        return false;
    }
    wmap_error failure = {0};
    size_t before = archive->entry_count;
    bool read = wm_pickled_open(archive, archive->state, &source, &failure);
    if (archive->entry_count > before && read)
        return true;
    if (!read && (archive->entry_count > before || failure.code != WMAP_E_UNSUPPORTED)) {
        if (err)
            *err = failure;
        return false;
    }
    wm_entry *entry = wm_npy_add(archive, source.name, source.name_len, npy, err);
    if (entry && !read) {
        entry->note = wm_format_text(&archive->arena, "Python objects; %s", failure.message);
        wm_archive_warn(archive, "member %.*s %s", (int)m->name_len, m->name, failure.message);
    }
    return entry && (entry->note || wm_fail(err, WMAP_E_NOMEM, "out of memory"));
}

static bool add_member(wmap_archive *archive, const wm_zip_member *m, wmap_error *err)
{
    uint8_t buffer[PEEK];
    uint64_t start;
    wm_npy npy;
    const uint8_t *header = load_header(archive, m, buffer, &start, err);
    if (!header || !wm_npy_parse(header, (size_t)start, m->data, &npy, err))
        return false;
    if (wm_npy_objects(&npy))
        return add_objects(archive, m, &npy, err);
    if (npy.dtype != WMAP_OPAQUE && m->usize - start != npy.bytes) {
        wm_fail(err, WMAP_E_CORRUPT, "its shape needs %llu bytes, but %llu are there",
                (unsigned long long)npy.bytes, (unsigned long long)(m->usize - start));
        return wm_error_offset(err, m->data);
    }
    wm_entry *entry = wm_npy_add(archive, m->name, m->name_len - SUFFIX_LEN, &npy, err);
    if (!entry)
        return false;
    if (npy.dtype == WMAP_OPAQUE)
        return true;
    entry->direct = m->method == WM_ZIP_STORED && !npy.swap;
    if (entry->direct) {
        entry->offset = m->data + start;
        return sum_of(archive, m, &entry->sum, err) &&
               wm_entry_check(archive, entry, m->data + start, m->data + m->usize, err);
    }
    const wm_item item = {.member = m, .offset = start, .swap = npy.swap};
    return wm_items_add(archive, archive->state, entry, &item, err);
}

static bool open_npz(wmap_archive *archive, wmap_error *err)
{
    const wm_zip *zip = wm_archive_zip(archive, err);
    archive->state = zip ? wm_new(&archive->arena, wm_items, 1) : NULL;
    if (!archive->state)
        return zip ? wm_fail(err, WMAP_E_NOMEM, "out of memory") : false;
    if (!wm_archive_reserve(archive, zip->count, err))
        return false;
    for (size_t i = 0; i < zip->count; i++) {
        const wm_zip_member *m = &zip->members[i];
        if (!is_array(m))
            wm_archive_warn(archive, "member %.*s is no NumPy array and is ignored", (int)m->name_len,
                            m->name);
        else if (!add_member(archive, m, err))
            return wm_error_tensor(err, m->name, m->name_len);
    }
    return true;
}

static bool decode(wmap_archive *archive, const wm_entry *entry, wm_sink *to, wmap_error *err)
{
    return wm_items_decode(archive, archive->state, entry, to, err);
}

/* Writing: the npy header of each member is kept from layout() to finish(), since NumPy's CRC covers it too.
 */
struct member {
    const uint8_t *header;
    size_t size;
};

struct plan {
    wm_zip_out *zip;
    struct member *members;
};

static bool layout_member(wm_writer *writer, struct plan *plan, size_t i, wmap_error *err)
{
    const wm_target *target = &writer->targets[i];
    uint8_t text[WM_NPY_TEXT];
    size_t size = wm_npy_header(&target->tensor, text, err);
    if (!size)
        return false;
    size_t len = target->tensor.name_len;
    char *name = len <= WM_ZIP_NAME ? wm_alloc(writer->arena, len + SUFFIX_LEN + 1) : NULL;
    uint8_t *header = wm_alloc(writer->arena, size);
    if (len <= WM_ZIP_NAME && (!name || !header))
        return wm_fail(err, WMAP_E_NOMEM, "out of memory");
    if (!name) {
        wm_fail(err, WMAP_E_TARGET, "its name is too long for a zip member");
        return wm_error_tensor(err, target->tensor.name, len);
    }
    memcpy(name, target->tensor.name, len);
    memcpy(name + len, SUFFIX, SUFFIX_LEN);
    memcpy(header, text, size);
    plan->members[i] = (struct member){header, size};
    plan->zip[i] = (wm_zip_out){.name = name, .name_len = len + SUFFIX_LEN};
    if (wm_size_add(size, target->bytes, &plan->zip[i].size))
        return true;
    wm_fail(err, WMAP_E_TARGET, "it is larger than 2^63 bytes");
    return wm_error_tensor(err, target->tensor.name, len);
}

/* NumPy takes `.npy` off the names of members, so `x` and `x.npy` would both be `x.npy` to it. */
static bool check_names(const wm_writer *writer, wmap_error *err)
{
    wm_map names;
    bool oom = false;
    wm_map_init(&names, writer->arena, writer->count);
    for (size_t i = 0; i < writer->count; i++)
        wm_map_put(&names, writer->targets[i].tensor.name, writer->targets[i].tensor.name_len, 1, &oom);
    if (oom)
        return wm_fail(err, WMAP_E_NOMEM, "out of memory");
    for (size_t i = 0; i < writer->count; i++) {
        const wmap_tensor *t = &writer->targets[i].tensor;
        if (t->name_len < SUFFIX_LEN || memcmp(t->name + t->name_len - SUFFIX_LEN, SUFFIX, SUFFIX_LEN) != 0 ||
            wm_map_get(&names, t->name, t->name_len - SUFFIX_LEN) == WM_MAP_NONE)
            continue;
        wm_fail(err, WMAP_E_TARGET, "NumPy can't tell it from the one without `.npy`");
        return wm_error_tensor(err, t->name, t->name_len);
    }
    return true;
}

static bool layout(wm_writer *writer, wmap_error *err)
{
    struct plan *plan = wm_new(writer->arena, struct plan, 1);
    if (plan) {
        plan->zip = wm_new(writer->arena, wm_zip_out, writer->count);
        plan->members = wm_new(writer->arena, struct member, writer->count);
    }
    if (!plan || !plan->zip || !plan->members)
        return wm_fail(err, WMAP_E_NOMEM, "out of memory");
    if (!check_names(writer, err))
        return false;
    for (size_t i = 0; i < writer->count; i++)
        if (!layout_member(writer, plan, i, err))
            return false;
    uint64_t size;
    if (!wm_zip_layout(plan->zip, writer->count, &size, err) ||
        !wm_writer_add_part(writer, NULL, size, WM_PART_DATA, err))
        return false;
    for (size_t i = 0; i < writer->count; i++)
        writer->targets[i].offset = plan->zip[i].data + plan->members[i].size;
    writer->state = plan;
    return true;
}

static bool finish(wm_writer *writer, wmap_error *err)
{
    struct plan *plan = writer->state;
    for (size_t i = 0; i < writer->count; i++) {
        const struct member *m = &plan->members[i];
        const wm_target *target = &writer->targets[i];
        uLong crc = crc32_z(0, m->header, m->size);
        plan->zip[i].crc32 = (uint32_t)crc32_combine(crc, target->sum, (z_off_t)target->bytes);
        if (!writer->put(writer, 0, plan->zip[i].data, m->header, m->size, err))
            return false;
    }
    return wm_zip_finish(writer, 0, plan->zip, writer->count, err);
}

extern const wm_format wm_format_npz;
const wm_format wm_format_npz = {
    .name = "npz",
    .title = "NumPy archive",
    .suffixes = ".npz",
    .in_folder = "model.npz",
    .probe = probe,
    .open = open_npz,
    .decode = decode,
    .layout = layout,
    .finish = finish,
    .sum = WM_SUM_CRC32,
};
