/* dataset.c: what a dataset holds and whether it may be read: element type, extents, storage. */
#include "runtime/hdf5/program.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/dtype.h"
#include "runtime/base/size.h"

/* An IEEE-like binary format: sign on top, then the exponent, then a fraction with a hidden bit. */
struct layout {
    wmap_dtype dtype;
    size_t size, exponent, fraction, bias;
};

static const struct layout floats[] = {
    {WMAP_F16, 2, 5, 10, 15},
    {WMAP_BF16, 2, 8, 7, 127},
    {WMAP_F32, 4, 8, 23, 127},
    {WMAP_F64, 8, 11, 52, 1023},
};

static wmap_dtype float_type(hid_t type)
{
    size_t sign, exp_at, exp_size, frac_at, frac_size, size = H5Tget_size(type), bias = H5Tget_ebias(type);
    if (H5Tget_fields(type, &sign, &exp_at, &exp_size, &frac_at, &frac_size) < 0)
        return WMAP_OPAQUE;
    H5T_order_t order = H5Tget_order(type);
    if (H5Tget_norm(type) != H5T_NORM_IMPLIED || H5Tget_offset(type) != 0 ||
        H5Tget_precision(type) != 8 * size || (order != H5T_ORDER_LE && order != H5T_ORDER_BE))
        return WMAP_OPAQUE; /* VAX order among them */
    for (size_t i = 0; i < sizeof floats / sizeof *floats; i++) {
        const struct layout *f = &floats[i];
        if (size == f->size && exp_size == f->exponent && frac_size == f->fraction && bias == f->bias &&
            frac_at == 0 && exp_at == f->fraction && sign == f->fraction + f->exponent)
            return f->dtype;
    }
    return WMAP_OPAQUE;
}

static wmap_dtype integer_type(hid_t type)
{
    static const wmap_dtype is_signed[] = {WMAP_I8, WMAP_I16, WMAP_I32, WMAP_I64};
    static const wmap_dtype is_unsigned[] = {WMAP_U8, WMAP_U16, WMAP_U32, WMAP_U64};
    size_t size = H5Tget_size(type);
    H5T_order_t order = H5Tget_order(type);
    if (H5Tget_precision(type) != 8 * size || H5Tget_offset(type) != 0 ||
        (order != H5T_ORDER_LE && order != H5T_ORDER_BE))
        return WMAP_OPAQUE; /* padded: 12 bits in 16 */
    for (unsigned i = 0; i < 4; i++)
        if (size == (size_t)1 << i)
            return H5Tget_sign(type) == H5T_SGN_NONE ? is_unsigned[i] : is_signed[i];
    return WMAP_OPAQUE;
}

/* The number of the member `name` of an enumeration over one byte, -1 if it isn't there. */
static int enum_value(hid_t type, const char *name)
{
    signed char value;
    int index = H5Tget_member_index(type, name);
    return index >= 0 && H5Tget_member_value(type, (unsigned)index, &value) >= 0 ? value : -1;
}

/* h5py writes bool as an enumeration over int8; any other enumeration is the integers that it counts. */
static wmap_dtype enum_type(hid_t type)
{
    if (H5Tget_size(type) == 1 && H5Tget_nmembers(type) == 2 && enum_value(type, "FALSE") == 0 &&
        enum_value(type, "TRUE") == 1)
        return WMAP_BOOL;
    hid_t base = H5Tget_super(type);
    wmap_dtype dtype = base >= 0 && H5Tget_class(base) == H5T_INTEGER ? integer_type(base) : WMAP_OPAQUE;
    H5Tclose(base);
    return dtype;
}

static bool member_is(hid_t type, unsigned index, const char *want)
{
    char *name = H5Tget_member_name(type, index);
    bool same = name && strcmp(name, want) == 0;
    H5free_memory(name);
    return same;
}

/* h5py's complex numbers: a compound of r and i. `*big` is set if they are big-endian. */
static wmap_dtype compound_type(hid_t type, bool *big)
{
    if (H5Tget_nmembers(type) != 2 || !member_is(type, 0, "r") || !member_is(type, 1, "i"))
        return WMAP_OPAQUE;
    hid_t r = H5Tget_member_type(type, 0), i = H5Tget_member_type(type, 1);
    wmap_dtype dtype = WMAP_OPAQUE;
    if (r >= 0 && i >= 0 && H5Tget_class(r) == H5T_FLOAT && H5Tequal(r, i) > 0) {
        size_t size = H5Tget_size(r);
        wmap_dtype part = float_type(r);
        if (H5Tget_member_offset(type, 0) == 0 && H5Tget_member_offset(type, 1) == size &&
            H5Tget_size(type) == 2 * size)
            dtype = part == WMAP_F32 ? WMAP_C64 : part == WMAP_F64 ? WMAP_C128 : WMAP_OPAQUE;
        *big = H5Tget_order(r) == H5T_ORDER_BE;
    }
    H5Tclose(r);
    H5Tclose(i);
    return dtype;
}

/* The text of the scalar string attribute `dtype`, "" if there is none that fits. */
static void dtype_attribute(hid_t dataset, char out[32])
{
    out[0] = 0;
    if (H5Aexists(dataset, "dtype") <= 0)
        return;
    hid_t attribute = H5Aopen(dataset, "dtype", H5P_DEFAULT), type = H5Aget_type(attribute),
          space = H5Aget_space(attribute);
    if (type >= 0 && space >= 0 && H5Tget_class(type) == H5T_STRING &&
        H5Sget_simple_extent_npoints(space) == 1) {
        if (H5Tis_variable_str(type) > 0) {
            char *text = NULL;
            if (H5Aread(attribute, type, &text) >= 0 && text) {
                if (strlen(text) < 32)
                    memcpy(out, text, strlen(text) + 1);
                H5Dvlen_reclaim(type, space, H5P_DEFAULT, &text);
            }
        } else if (H5Tget_size(type) < 32 && H5Aread(attribute, type, out) >= 0)
            out[H5Tget_size(type)] = 0;
    }
    H5Sclose(space);
    H5Tclose(type);
    H5Aclose(attribute);
}

/* Keras stores what NumPy has no type for as opaque bytes, and says in an attribute what they are. */
static wmap_dtype opaque_type(hid_t type, hid_t dataset)
{
    static const struct {
        const char *name;
        size_t size;
        wmap_dtype dtype;
    } named[] = {
        {"bfloat16", 2, WMAP_BF16}, {"float8_e4m3fn", 1, WMAP_F8_E4M3}, {"float8_e5m2", 1, WMAP_F8_E5M2}};
    char text[32];
    size_t size = H5Tget_size(type);
    dtype_attribute(dataset, text);
    for (size_t i = 0; i < sizeof named / sizeof *named; i++)
        if (size == named[i].size && strcmp(text, named[i].name) == 0)
            return named[i].dtype;
    return size == 1   ? WMAP_RAW8
           : size == 2 ? WMAP_RAW16
           : size == 4 ? WMAP_RAW32
           : size == 8 ? WMAP_RAW64
                       : WMAP_OPAQUE;
}

static void describe_type(hid_t type, hid_t dataset, wm_h5_dataset *out)
{
    bool big = H5Tget_order(type) == H5T_ORDER_BE;
    out->dtype = WMAP_OPAQUE;
    switch (H5Tget_class(type)) {
    case H5T_INTEGER:
        out->dtype = integer_type(type);
        out->note = "integers of an odd width";
        break;
    case H5T_FLOAT:
        out->dtype = float_type(type);
        out->note = "floating-point numbers of a format that is neither IEEE's nor bfloat16";
        break;
    case H5T_ENUM:
        out->dtype = enum_type(type);
        out->note = "an enumeration";
        break;
    case H5T_COMPOUND:
        out->dtype = compound_type(type, &big);
        out->note = "compound data";
        break;
    case H5T_OPAQUE:
        out->dtype = opaque_type(type, dataset);
        out->note = "opaque bytes";
        big = false;
        break;
    case H5T_STRING:
        out->note = "text";
        break;
    case H5T_VLEN:
        out->note = "lists of varying length";
        break;
    case H5T_REFERENCE:
        out->note = "references";
        break;
    case H5T_BITFIELD:
        out->note = "a bit field";
        break;
    case H5T_ARRAY:
        out->note = "arrays as elements";
        break;
    default:
        out->note = "an HDF5 type that wmap doesn't know";
    }
    const wm_dtype_info *info = wm_dtype(out->dtype);
    if (!info)
        return;
    out->note = NULL;
    out->size = info->size;
    out->swapped = big && info->align > 1;
}

static bool describe_extents(hid_t space, wm_h5_dataset *out, wmap_error *err)
{
    hsize_t dims[H5S_MAX_RANK];
    if (H5Sget_simple_extent_type(space) == H5S_NULL) {
        out->rank = 1; /* "no elements" is an empty array */
        return true;
    }
    int rank = H5Sget_simple_extent_ndims(space);
    if (rank < 0 || rank > WM_H5_MAX_RANK || H5Sget_simple_extent_dims(space, dims, NULL) != rank)
        return wm_h5_fail(err, WMAP_E_CORRUPT, "the dataset's extents can't be read");
    out->rank = (uint32_t)rank;
    for (int d = 0; d < rank; d++)
        out->dims[d] = dims[d];
    uint64_t count;
    if (!wm_shape_count(out->dims, out->rank, &count) || !wm_size_mul(count, out->size, &out->bytes))
        return wm_fail(err, WMAP_E_CORRUPT, "the dataset's extents multiply to more than 2^63 bytes");
    return true;
}

static bool check_filters(hid_t plist, wmap_error *err)
{
    int count = H5Pget_nfilters(plist);
    if (count < 0)
        return wm_h5_fail(err, WMAP_E_CORRUPT, "the dataset's filters can't be read");
    for (int i = 0; i < count; i++) {
        unsigned flags, config;
        size_t values = 0;
        char name[64] = "";
        H5Z_filter_t id =
            H5Pget_filter2(plist, (unsigned)i, &flags, &values, NULL, sizeof name, name, &config);
        name[sizeof name - 1] = 0;
        if (id == H5Z_FILTER_DEFLATE || id == H5Z_FILTER_SHUFFLE || id == H5Z_FILTER_FLETCHER32)
            continue;
        if (id < 0)
            return wm_h5_fail(err, WMAP_E_CORRUPT, "the dataset's filters can't be read");
        return wm_fail(err, WMAP_E_UNSUPPORTED,
                       "it is packed with HDF5 filter %d%s%s%s; wmap reads gzip, shuffle and fletcher32",
                       (int)id, name[0] ? " (" : "", name, name[0] ? ")" : "");
    }
    return true;
}

static bool describe_chunks(hid_t plist, wm_h5_dataset *out, wmap_error *err)
{
    hsize_t dims[H5S_MAX_RANK];
    int rank = H5Pget_chunk(plist, H5S_MAX_RANK, dims);
    if (rank < 0 || (uint32_t)rank != out->rank)
        return wm_fail(err, WMAP_E_CORRUPT, "its chunks have not the dataset's rank");
    out->chunked = true;
    out->chunk_bytes = out->size;
    for (int d = 0; d < rank; d++) {
        out->chunk[d] = dims[d];
        if (dims[d] == 0 || !wm_size_mul(out->chunk_bytes, dims[d], &out->chunk_bytes))
            return wm_fail(err, WMAP_E_CORRUPT, "its chunks have an impossible size");
    }
    return true;
}

/* Declared bytes must be backed by stored ones: a file of 2 KB may say that it holds a petabyte of zeros. */
static bool check_ratio(const wm_h5_dataset *d, uint64_t stored, wmap_error *err)
{
    uint64_t most = d->bytes > d->chunk_bytes ? d->bytes : d->chunk_bytes;
    if (most <= WM_MAX_RATIO_FREE || most / WM_MAX_RATIO <= stored)
        return true;
    return wm_fail(err, WMAP_E_CORRUPT, "it declares %llu bytes, but only %llu are stored",
                   (unsigned long long)most, (unsigned long long)stored);
}

static bool describe_storage(hid_t dataset, hid_t plist, uint64_t length, wm_h5_dataset *out, wmap_error *err)
{
    uint64_t stored = H5Dget_storage_size(dataset);
    if (stored > length)
        stored = length;
    H5D_layout_t layout = H5Pget_layout(plist);
    if (H5Pget_external_count(plist) != 0)
        return wm_fail(err, WMAP_E_UNSUPPORTED,
                       "its data are in another file (external storage), which is not opened");
    if (layout == H5D_VIRTUAL)
        return wm_fail(err, WMAP_E_UNSUPPORTED,
                       "it is put together from other datasets (virtual), which are not opened");
    if (layout != H5D_COMPACT && layout != H5D_CONTIGUOUS && layout != H5D_CHUNKED)
        return wm_h5_fail(err, WMAP_E_CORRUPT, "its layout can't be read");
    if (layout == H5D_CHUNKED && !describe_chunks(plist, out, err))
        return false;
    if (out->dtype == WMAP_OPAQUE)
        return true; /* never read */
    if (!check_filters(plist, err))
        return false;
    if (out->bytes == 0) {
        out->direct = true;
        return true;
    }
    if (layout == H5D_CONTIGUOUS && stored) {
        haddr_t at = H5Dget_offset(dataset);
        if (at == HADDR_UNDEF)
            return wm_h5_fail(err, WMAP_E_CORRUPT, "its place in the file can't be read");
        if (stored < out->bytes || at > length || out->bytes > length - at) {
            wm_fail(err, WMAP_E_CORRUPT, "its %llu bytes are not all in the file",
                    (unsigned long long)out->bytes);
            return wm_error_offset(err, at);
        }
        out->offset = at;
        out->direct = !out->swapped;
        return true;
    }
    return check_ratio(out, stored, err);
}

bool wm_h5_describe(hid_t dataset, uint64_t length, wm_h5_dataset *out, wmap_error *err)
{
    memset(out, 0, sizeof *out);
    hid_t type = H5Dget_type(dataset), space = H5Dget_space(dataset), plist = H5Dget_create_plist(dataset);
    bool ok = false;
    if (type < 0 || space < 0 || plist < 0)
        wm_h5_fail(err, WMAP_E_CORRUPT, "the dataset can't be read");
    else {
        describe_type(type, dataset, out);
        ok = describe_extents(space, out, err) && describe_storage(dataset, plist, length, out, err);
    }
    H5Tclose(type);
    H5Sclose(space);
    H5Pclose(plist);
    H5Eclear2(H5E_DEFAULT);
    return ok;
}
