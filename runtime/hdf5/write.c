/* write.c: makes HDF5 files without their data: groups, attributes, and datasets whose places are told, so
 * that libwmap can write tensors there. Nothing in them depends on a clock, and what h5py writes by default
 * is what old versions of it read. */
#include "runtime/hdf5/program.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/dtype.h"

/* Where the datasets are, told in one frame at the end. */
struct places {
    wm_arena arena;
    uint64_t *list;
    size_t count, cap;
};

/* Classes of creation properties that all objects share. */
struct maker {
    hid_t file;
    hid_t links;   /* makes groups on the way */
    hid_t dataset; /* contiguous, its place taken at once, filled with nothing */
    hid_t group;
    struct places places;
    wmap_error *err;
    char path[WM_MAX_NAME + 2], name[WM_MAX_NAME + 1];
};

static bool remember(struct maker *m, uint64_t offset)
{
    struct places *p = &m->places;
    uint64_t *slot = wm_push(&p->arena, p->list, p->count, p->cap);
    if (!slot)
        return wm_fail(m->err, WMAP_E_NOMEM, "out of memory");
    *slot = offset;
    return true;
}

static bool fail(struct maker *m, wmap_code code, const char *message)
{
    wm_h5_fail(m->err, code, message);
    return wm_error_tensor(m->err, m->path + 1, strlen(m->path + 1));
}

static bool begin(struct maker *m, hid_t file, wmap_error *err)
{
    m->file = file;
    m->err = err;
    m->path[0] = '/';
    wm_arena_init(&m->places.arena);
    m->links = H5Pcreate(H5P_LINK_CREATE);
    m->dataset = H5Pcreate(H5P_DATASET_CREATE);
    m->group = H5Pcreate(H5P_GROUP_CREATE);
    return (m->links >= 0 && m->dataset >= 0 && m->group >= 0 &&
            H5Pset_create_intermediate_group(m->links, 1) >= 0 &&
            H5Pset_layout(m->dataset, H5D_CONTIGUOUS) >= 0 &&
            H5Pset_alloc_time(m->dataset, H5D_ALLOC_TIME_EARLY) >= 0 &&
            H5Pset_fill_time(m->dataset, H5D_FILL_TIME_NEVER) >= 0 &&
            H5Pset_obj_track_times(m->dataset, false) >= 0 && H5Pset_obj_track_times(m->group, false) >= 0) ||
           wm_h5_fail(err, WMAP_E_INTERNAL, "libhdf5 does not know what to make");
}

/* Writes all that libhdf5 still keeps, and tells the places. The file is closed in any case. */
static bool end(struct maker *m, bool ok)
{
    if (ok && H5Fclose(m->file) < 0)
        ok = wm_h5_fail(m->err, WMAP_E_IO, "the HDF5 file can't be written");
    if (ok && m->places.count) {
        wm_h5_frame(WM_H5_OFFSETS, 8 * m->places.count);
        for (size_t i = 0; i < m->places.count; i++)
            wm_h5_put_le(m->places.list[i], 8);
    }
    wm_arena_release(&m->places.arena);
    free(m);
    return ok;
}

/* --- element types, as h5py writes them --- */

static hid_t bool_type(void)
{
    hid_t type = H5Tenum_create(H5T_STD_I8LE);
    signed char no = 0, yes = 1;
    H5Tenum_insert(type, "FALSE", &no);
    H5Tenum_insert(type, "TRUE", &yes);
    return type;
}

static hid_t complex_type(hid_t part)
{
    size_t size = H5Tget_size(part);
    hid_t type = H5Tcreate(H5T_COMPOUND, 2 * size);
    H5Tinsert(type, "r", 0, part);
    H5Tinsert(type, "i", size, part);
    return type;
}

static hid_t half_type(void)
{
    hid_t type = H5Tcopy(H5T_IEEE_F32LE);
    H5Tset_fields(type, 15, 10, 5, 0, 10);
    H5Tset_size(type, 2);
    H5Tset_ebias(type, 15);
    return type;
}

static hid_t opaque_type(size_t size)
{
    hid_t type = H5Tcreate(H5T_OPAQUE, size);
    H5Tset_tag(type, "");
    return type;
}

static hid_t type_of(wmap_dtype dtype)
{
    switch (dtype) {
    case WMAP_BOOL:
        return bool_type();
    case WMAP_U8:
        return H5Tcopy(H5T_STD_U8LE);
    case WMAP_U16:
        return H5Tcopy(H5T_STD_U16LE);
    case WMAP_U32:
        return H5Tcopy(H5T_STD_U32LE);
    case WMAP_U64:
        return H5Tcopy(H5T_STD_U64LE);
    case WMAP_I8:
        return H5Tcopy(H5T_STD_I8LE);
    case WMAP_I16:
        return H5Tcopy(H5T_STD_I16LE);
    case WMAP_I32:
        return H5Tcopy(H5T_STD_I32LE);
    case WMAP_I64:
        return H5Tcopy(H5T_STD_I64LE);
    case WMAP_F16:
        return half_type();
    case WMAP_F32:
        return H5Tcopy(H5T_IEEE_F32LE);
    case WMAP_F64:
        return H5Tcopy(H5T_IEEE_F64LE);
    case WMAP_C64:
        return complex_type(H5T_IEEE_F32LE);
    case WMAP_C128:
        return complex_type(H5T_IEEE_F64LE);
    default:
        return opaque_type(wm_dtype(dtype) ? wm_dtype(dtype)->size : 0);
    }
}

/* What NumPy has no type for is opaque to HDF5; Keras says in an attribute what it is. */
static const char *name_of(wmap_dtype dtype)
{
    return dtype == WMAP_BF16      ? "bfloat16"
           : dtype == WMAP_F8_E4M3 ? "float8_e4m3fn"
           : dtype == WMAP_F8_E5M2 ? "float8_e5m2"
                                   : NULL;
}

/* --- attributes --- */

/* Text of variable length, as h5py writes a str: Keras compares it with one. */
static bool put_string(hid_t object, const char *name, const char *text)
{
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR), attribute = H5I_INVALID_HID;
    if (type >= 0 && space >= 0 && H5Tset_size(type, H5T_VARIABLE) >= 0 &&
        H5Tset_cset(type, H5T_CSET_UTF8) >= 0)
        attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    bool ok = attribute >= 0 && H5Awrite(attribute, type, &text) >= 0;
    H5Aclose(attribute);
    H5Sclose(space);
    H5Tclose(type);
    return ok;
}

/* Texts of one fixed length, padded with NULs; a single one without extents if `scalar`. Called ASCII
 * whatever they hold, since Keras 2 decodes bytes itself and fails on anything else. */
static bool put_fixed(hid_t object, const char *name, const char *texts, size_t count, size_t width,
                      bool scalar)
{
    hsize_t extent = count;
    hid_t type = H5Tcopy(H5T_C_S1), attribute = H5I_INVALID_HID,
          space = scalar ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, &extent, NULL);
    if (type >= 0 && space >= 0 && H5Tset_size(type, width) >= 0 && H5Tset_strpad(type, H5T_STR_NULLPAD) >= 0)
        attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    bool ok = attribute >= 0 && (count == 0 || H5Awrite(attribute, type, texts) >= 0);
    H5Aclose(attribute);
    H5Sclose(space);
    H5Tclose(type);
    return ok;
}

/* --- MAKE --- */

/* A string of the records into `out`, ended by NUL. */
static void take_string(wm_cursor *c, char *out)
{
    size_t len = wm_take_u32(c);
    const uint8_t *bytes = len <= WM_MAX_NAME ? wm_take(c, len) : NULL;
    if (bytes)
        memcpy(out, bytes, len);
    else
        c->failed = true;
    out[bytes ? len : 0] = 0;
}

static bool make_dataset(struct maker *m, wm_cursor *c)
{
    hsize_t extents[WM_H5_MAX_RANK];
    wmap_dtype dtype = (wmap_dtype)wm_take_u8(c);
    unsigned rank = wm_take_u8(c);
    bool empty = false;
    for (unsigned d = 0; d < rank && rank <= WM_H5_MAX_RANK; d++) {
        extents[d] = wm_take_u64(c);
        empty |= extents[d] == 0;
    }
    if (c->failed || rank > WM_H5_MAX_RANK || !wm_dtype(dtype))
        return wm_fail(m->err, WMAP_E_INTERNAL, "a dataset's record makes no sense");
    hid_t type = type_of(dtype),
          space = rank ? H5Screate_simple((int)rank, extents, NULL) : H5Screate(H5S_SCALAR),
          dataset = H5Dcreate2(m->file, m->path, type, space, m->links, m->dataset, H5P_DEFAULT);
    bool ok = dataset >= 0 && (!name_of(dtype) || put_string(dataset, "dtype", name_of(dtype)));
    haddr_t at = ok && !empty ? H5Dget_offset(dataset) : 0;
    if (!ok || at == HADDR_UNDEF)
        fail(m, WMAP_E_TARGET, "the dataset can't be made");
    else
        ok = remember(m, at);
    H5Dclose(dataset);
    H5Sclose(space);
    H5Tclose(type);
    return ok && at != HADDR_UNDEF;
}

static bool make_group(struct maker *m)
{
    hid_t group = H5Gcreate2(m->file, m->path, m->links, m->group, H5P_DEFAULT);
    bool ok = group >= 0 || fail(m, WMAP_E_TARGET, "the group can't be made");
    H5Gclose(group);
    return ok;
}

static bool make_attribute(struct maker *m, bool made)
{
    return made || fail(m, WMAP_E_TARGET, "the group's attributes can't be written");
}

static bool make_text(struct maker *m, wm_cursor *c, hid_t group)
{
    take_string(c, m->name);
    size_t len = wm_take_u32(c);
    const uint8_t *text = wm_take(c, len);
    if (!text)
        return wm_fail(m->err, WMAP_E_INTERNAL, "a text's record makes no sense");
    /* HDF5 has no strings of no bytes: a NUL is one. */
    return make_attribute(m,
                          put_fixed(group, m->name, len ? (const char *)text : "", 1, len ? len : 1, true));
}

static bool make_names(struct maker *m, wm_cursor *c, hid_t group)
{
    take_string(c, m->name);
    uint32_t count = wm_take_u32(c);
    size_t width = 1;
    wm_cursor first = *c;
    for (uint32_t i = 0; i < count && !c->failed; i++) {
        size_t len = wm_take_u32(c);
        wm_take(c, len);
        width = len > width ? len : width;
    }
    char *all = c->failed ? NULL : calloc(count ? count : 1, width);
    if (!all)
        return wm_fail(m->err, c->failed ? WMAP_E_INTERNAL : WMAP_E_NOMEM, "a list of names has no room");
    for (uint32_t i = 0; i < count; i++) {
        size_t len = wm_take_u32(&first);
        memcpy(all + i * width, wm_take(&first, len), len);
    }
    bool ok = make_attribute(m, put_fixed(group, m->name, all, count, width, false));
    free(all);
    return ok;
}

static bool make_record(struct maker *m, wm_cursor *c)
{
    char kind = (char)wm_take_u8(c);
    take_string(c, m->path + 1);
    if (c->failed)
        return wm_fail(m->err, WMAP_E_INTERNAL, "a record makes no sense");
    if (kind == WM_H5_DATASET)
        return make_dataset(m, c);
    if (kind == WM_H5_GROUP)
        return make_group(m);
    hid_t group = H5Gopen2(m->file, m->path, H5P_DEFAULT);
    bool ok;
    if (group < 0)
        ok = fail(m, WMAP_E_TARGET, "the group can't be opened");
    else if (kind == WM_H5_TEXT)
        ok = make_text(m, c, group);
    else if (kind == WM_H5_NAMES)
        ok = make_names(m, c, group);
    else
        ok = wm_fail(m->err, WMAP_E_INTERNAL, "unknown record");
    H5Gclose(group);
    return ok;
}

bool wm_h5_make(hid_t file, const unsigned char *records, size_t size, wmap_error *err)
{
    struct maker *m = calloc(1, sizeof *m);
    if (!m)
        return wm_fail(err, WMAP_E_NOMEM, "out of memory");
    wm_cursor c = wm_cursor_of(records, size, 0);
    bool ok = begin(m, file, err);
    while (ok && wm_cursor_left(&c))
        ok = make_record(m, &c);
    return end(m, ok);
}

/* --- REPLACE --- */

static bool copy_value(hid_t from, hid_t to, hid_t type, hid_t space)
{
    hssize_t count = H5Sget_simple_extent_npoints(space);
    size_t size = H5Tget_size(type);
    if (count < 0 || size == 0 || (uint64_t)count > WM_H5_MAX_FRAME / size)
        return false;
    if (count == 0)
        return true;
    void *value = calloc((size_t)count, size);
    bool ok = value && H5Aread(from, type, value) >= 0;
    ok = ok && H5Awrite(to, type, value) >= 0;
    if (value && H5Tdetect_class(type, H5T_VLEN) + H5Tdetect_class(type, H5T_STRING) > 0)
        H5Dvlen_reclaim(type, space, H5P_DEFAULT, value);
    free(value);
    return ok;
}

static herr_t copy_attribute(hid_t from, const char *name, const H5A_info_t *info, void *user)
{
    (void)info;
    hid_t to = *(const hid_t *)user, old = H5Aopen(from, name, H5P_DEFAULT), type = H5Aget_type(old),
          space = H5Aget_space(old), properties = H5Aget_create_plist(old),
          new = H5Acreate2(to, name, type, space, properties, H5P_DEFAULT);
    bool ok = type >= 0 && space >= 0 && new >= 0 && copy_value(old, new, type, space);
    H5Aclose(new);
    H5Pclose(properties);
    H5Sclose(space);
    H5Tclose(type);
    H5Aclose(old);
    return ok ? 0 : -1;
}

/* A contiguous dataset of the same type, in this machine's byte order, extents and attributes. */
static hid_t make_twin(struct maker *m, hid_t old, const wm_h5_dataset *d, const char *name)
{
    hsize_t extents[WM_H5_MAX_RANK];
    for (uint32_t i = 0; i < d->rank; i++)
        extents[i] = d->dims[i];
    hid_t type = d->swapped ? type_of(d->dtype) : H5Dget_type(old),
          space = d->rank ? H5Screate_simple((int)d->rank, extents, NULL) : H5Screate(H5S_SCALAR),
          new = H5Dcreate2(m->file, name, type, space, H5P_DEFAULT, m->dataset, H5P_DEFAULT);
    H5Sclose(space);
    H5Tclose(type);
    if (new >= 0 && H5Aiterate2(old, H5_INDEX_NAME, H5_ITER_NATIVE, NULL, copy_attribute, &new) < 0) {
        H5Dclose(new);
        return H5I_INVALID_HID;
    }
    return new;
}

static bool replace(struct maker *m, uint64_t length)
{
    static const char free_name[] = "/.wmap"; /* deleted again before the file is closed */
    wm_h5_dataset d;
    hid_t old = H5Dopen2(m->file, m->path, H5P_DEFAULT);
    if (old < 0)
        return fail(m, WMAP_E_CORRUPT, "it can't be opened");
    H5O_info_t info;
    bool ok = wm_h5_describe(old, length, &d, m->err);
    if (ok && (H5Oget_info2(old, &info, H5O_INFO_BASIC) < 0 || info.rc > 1))
        ok = wm_fail(m->err, WMAP_E_UNSUPPORTED,
                     "it has several names and is packed, so that one of them would keep the old values");
    if (!ok)
        wm_error_tensor(m->err, m->path + 1, strlen(m->path + 1));
    hid_t new = ok ? make_twin(m, old, &d, free_name) : H5I_INVALID_HID;
    haddr_t at = new >= 0 && d.bytes ? H5Dget_offset(new) : 0;
    H5Dclose(old);
    H5Dclose(new);
    if (ok && (new < 0 || at == HADDR_UNDEF || H5Ldelete(m->file, m->path, H5P_DEFAULT) < 0 ||
               H5Lmove(m->file, free_name, m->file, m->path, H5P_DEFAULT, H5P_DEFAULT) < 0))
        return fail(m, WMAP_E_CORRUPT, "it can't be replaced");
    return ok && remember(m, at);
}

bool wm_h5_replace(hid_t file, uint64_t length, const unsigned char *paths, size_t size, wmap_error *err)
{
    struct maker *m = calloc(1, sizeof *m);
    if (!m)
        return wm_fail(err, WMAP_E_NOMEM, "out of memory");
    wm_cursor c = wm_cursor_of(paths, size, 0);
    bool ok = begin(m, file, err);
    while (ok && wm_cursor_left(&c)) {
        take_string(&c, m->path + 1);
        ok = c.failed ? wm_fail(err, WMAP_E_INTERNAL, "a path makes no sense") : replace(m, length);
    }
    return end(m, ok);
}
