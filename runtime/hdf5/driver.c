/* driver.c: how libhdf5 reaches the file: a driver that knows one descriptor and one range of its bytes. It
 * is opened once and ignores names, so that external links and virtual datasets lead nowhere. */
#include "runtime/hdf5/program.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#if H5_VERSION_GE(1, 13, 0)
#include <H5FDdevelop.h>
#endif

/* Unpacked chunks kept while a dataset is open, for rows of chunks larger than read.c takes at once. */
#define CHUNK_CACHE ((size_t)64 << 20)
#define CHUNK_SLOTS 4001

#define ALIGN_FROM 1024
#define ALIGN      64

/* What H5Pset_driver passes to open_file. */
struct range {
    int fd;
    uint64_t base, length;
    uint64_t most; /* bytes that it may grow to; 0: it is not written */
    bool *opened;
};

struct file {
    H5FD_t public_part; /* libhdf5's own; first */
    struct range range;
    haddr_t eoa; /* end of what libhdf5 believes to be the file */
};

static H5FD_t *open_file(const char *name, unsigned flags, hid_t fapl, haddr_t maxaddr)
{
    (void)name;
    (void)maxaddr;
    const struct range *range = H5Pget_driver_info(fapl);
    if (!range || ((flags & H5F_ACC_RDWR) && !range->most) || *range->opened)
        return NULL;
    struct file *file = calloc(1, sizeof *file);
    if (!file)
        return NULL;
    file->range = *range;
    *range->opened = true;
    return &file->public_part;
}

static herr_t close_file(H5FD_t *file)
{
    free(file);
    return 0;
}

static herr_t query(const H5FD_t *file, unsigned long *flags)
{
    *flags = H5FD_FEAT_DATA_SIEVE;
    if (file && ((const struct file *)file)->range.most)
        *flags |=
            H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_AGGREGATE_SMALLDATA;
    return 0;
}

static haddr_t get_eoa(const H5FD_t *file, H5FD_mem_t type)
{
    (void)type;
    return ((const struct file *)file)->eoa;
}

static herr_t set_eoa(H5FD_t *file, H5FD_mem_t type, haddr_t address)
{
    (void)type;
    ((struct file *)file)->eoa = address;
    return 0;
}

static haddr_t get_eof(const H5FD_t *file, H5FD_mem_t type)
{
    (void)type;
    return ((const struct file *)file)->range.length;
}

static herr_t read_file(H5FD_t *file, H5FD_mem_t type, hid_t dxpl, haddr_t address, size_t size, void *buffer)
{
    (void)type;
    (void)dxpl;
    const struct range *range = &((const struct file *)file)->range;
    if (address > range->length || size > range->length - address)
        return -1; /* the stock driver gives zeros for what lies past the end; here it is an error */
    unsigned char *to = buffer;
    uint64_t at = range->base + address;
    while (size) {
        ssize_t got = pread(range->fd, to, size, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return -1;
        to += got;
        at += (uint64_t)got;
        size -= (size_t)got;
    }
    return 0;
}

static herr_t write_file(H5FD_t *file, H5FD_mem_t type, hid_t dxpl, haddr_t address, size_t size,
                         const void *buffer)
{
    (void)type, (void)dxpl;
    struct range *range = &((struct file *)file)->range;
    if (address > range->most || size > range->most - address)
        return -1;
    const unsigned char *from = buffer;
    uint64_t at = range->base + address;
    if (address + size > range->length)
        range->length = address + size;
    while (size) {
        ssize_t put = pwrite(range->fd, from, size, (off_t)at);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return -1;
        from += put;
        at += (uint64_t)put;
        size -= (size_t)put;
    }
    return 0;
}

/* Makes the file as long as libhdf5 believes it to be. */
static herr_t truncate_file(H5FD_t *file, hid_t dxpl, hbool_t closing)
{
    (void)dxpl, (void)closing;
    struct file *f = (struct file *)file;
    if (f->eoa == f->range.length || !f->range.most)
        return 0;
    if (f->eoa > f->range.most || ftruncate(f->range.fd, (off_t)(f->range.base + f->eoa)) != 0)
        return -1;
    f->range.length = f->eoa;
    return 0;
}

static const H5FD_class_t driver = {
#if H5_VERSION_GE(1, 13, 0)
    .version = H5FD_CLASS_VERSION,
    .value = (H5FD_class_value_t)600, /* any number from 512 on that no other driver here has */
#endif
    .name = "wmap",
    .maxaddr = (haddr_t)INT64_MAX,
    .fc_degree = H5F_CLOSE_STRONG,
    .fapl_size = sizeof(struct range),
    .open = open_file,
    .close = close_file,
    .query = query,
    .get_eoa = get_eoa,
    .set_eoa = set_eoa,
    .get_eof = get_eof,
    .read = read_file,
    .write = write_file,
    .truncate = truncate_file,
    .fl_map = H5FD_FLMAP_DICHOTOMY,
};

hid_t wm_h5_open(const wm_h5_range *r, bool create, wmap_error *err)
{
    static bool opened;
    struct range range = {r->fd, r->base, r->length, r->most, &opened};
    hid_t id = H5FDregister(&driver), fapl = H5Pcreate(H5P_FILE_ACCESS), file = H5I_INVALID_HID;
    if (id >= 0 && fapl >= 0 && H5Pset_driver(fapl, id, &range) >= 0 &&
        H5Pset_cache(fapl, 0, CHUNK_SLOTS, CHUNK_CACHE, 1.0) >= 0) {
        /* Tensors that are worth it begin where a line of a processor's cache does. */
        if (r->most)
            H5Pset_alignment(fapl, ALIGN_FROM, ALIGN);
        file = create ? H5Fcreate("weights", H5F_ACC_TRUNC, H5P_DEFAULT, fapl)
                      : H5Fopen("weights", r->most ? H5F_ACC_RDWR : H5F_ACC_RDONLY, fapl);
    }
    if (file < 0)
        wm_h5_fail(err, create ? WMAP_E_IO : WMAP_E_CORRUPT, "the HDF5 file can't be opened");
    return file;
}
