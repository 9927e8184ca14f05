/* read.c: sends a dataset's elements, row-major and little-endian, slab by slab. A slab is a run of rows
 * along one dimension, as large as fits in a few megabytes and cut where chunks are, so that each chunk is
 * unpacked once. */
#include "runtime/hdf5/program.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "runtime/base/dtype.h"

#define SLAB       ((uint64_t)4 << 20)   /* bytes aimed at */
#define SLAB_MAX   ((uint64_t)128 << 20) /* bytes that a row of chunks may take */
#define CHUNK_MAX  ((uint64_t)512 << 20) /* bytes of a chunk */
#define MEMORY_MIN ((uint64_t)512 << 20) /* address space without the chunks; the same in main.c */

/* How a dataset is cut: all of the dimensions after `along`, `step` of it, one of each before. */
struct cut {
    uint32_t along;
    uint64_t step, inner; /* rows at once; bytes of one row */
};

static struct cut cut_of(const wm_h5_dataset *d)
{
    struct cut cut = {0, 1, d->size};
    for (uint32_t i = d->rank; i-- > 0;) {
        cut.along = i;
        if (i == 0 || cut.inner * d->dims[i] > SLAB)
            break;
        cut.inner *= d->dims[i];
    }
    if (d->rank == 0)
        return cut;
    cut.step = SLAB / cut.inner;
    if (d->chunked) {
        /* Chunks too large for libhdf5 to keep are taken whole, or they would be unpacked again for each
         * slab. */
        uint64_t chunk = d->chunk[cut.along],
                 most = d->chunk_bytes > SLAB_MAX / 2 ? 2 * d->chunk_bytes : SLAB_MAX;
        if (cut.step >= chunk)
            cut.step -= cut.step % chunk;
        else if (chunk <= most / cut.inner)
            cut.step = chunk;
    }
    if (cut.step == 0)
        cut.step = 1;
    if (cut.step > d->dims[cut.along])
        cut.step = d->dims[cut.along];
    return cut;
}

static void swap(unsigned char *bytes, size_t size, size_t width)
{
    for (size_t at = 0; at + width <= size; at += width)
        for (size_t i = 0, j = width - 1; i < j; i++, j--) {
            unsigned char kept = bytes[at + i];
            bytes[at + i] = bytes[at + j];
            bytes[at + j] = kept;
        }
}

/* Reads `rows` rows from `start`; the memory type is the file's own, so that libhdf5 converts nothing. */
static bool read_slab(hid_t dataset, hid_t type, const wm_h5_dataset *d, const struct cut *cut,
                      const hsize_t *start, uint64_t rows, void *buffer)
{
    if (d->rank == 0)
        return H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, buffer) >= 0;
    hsize_t count[WM_H5_MAX_RANK], total = 1;
    for (uint32_t i = 0; i < d->rank; i++) {
        count[i] = i < cut->along ? 1 : i == cut->along ? rows : d->dims[i];
        total *= count[i];
    }
    hid_t space = H5Dget_space(dataset), memory = H5Screate_simple(1, &total, NULL);
    bool ok = space >= 0 && memory >= 0 &&
              H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL) >= 0 &&
              H5Dread(dataset, type, memory, space, H5P_DEFAULT, buffer) >= 0;
    H5Sclose(space);
    H5Sclose(memory);
    return ok;
}

static bool send_slabs(hid_t dataset, hid_t type, const wm_h5_dataset *d, unsigned char *buffer,
                       const struct cut *cut, wmap_error *err)
{
    hsize_t start[WM_H5_MAX_RANK] = {0};
    size_t width = wm_dtype(d->dtype)->align;
    for (uint64_t left = d->bytes; left;) {
        uint64_t rows = d->rank ? d->dims[cut->along] - start[cut->along] : 1;
        if (rows > cut->step)
            rows = cut->step;
        size_t size = (size_t)(rows * cut->inner);
        memset(buffer, 0, size); /* storage that was never written and has no fill value leaves it as it is */
        if (!read_slab(dataset, type, d, cut, start, rows, buffer))
            return wm_h5_fail(err, WMAP_E_CORRUPT, "its data can't be unpacked");
        if (d->swapped)
            swap(buffer, size, width);
        wm_h5_frame(WM_H5_DATA, size);
        wm_h5_put(buffer, size);
        left -= size;
        if (d->rank == 0)
            continue;
        start[cut->along] += rows;
        for (uint32_t i = cut->along; i > 0 && start[i] == d->dims[i]; i--) {
            start[i] = 0;
            start[i - 1]++;
        }
    }
    return true;
}

/* A chunk is unpacked through up to four buffers of its size. */
static bool make_room(const wm_h5_dataset *d, wmap_error *err)
{
    if (d->chunk_bytes > CHUNK_MAX)
        return wm_fail(err, WMAP_E_UNSUPPORTED, "its chunks have %llu bytes; wmap reads chunks of up to %llu",
                       (unsigned long long)d->chunk_bytes, (unsigned long long)CHUNK_MAX);
    struct rlimit limit;
    if (WM_H5_SANITIZED || getrlimit(RLIMIT_AS, &limit) != 0)
        return true;
    limit.rlim_cur = MEMORY_MIN + 4 * d->chunk_bytes;
    if (limit.rlim_cur > limit.rlim_max)
        limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_AS, &limit);
    return true;
}

static bool read_dataset(hid_t dataset, uint64_t length, uint64_t bytes, wmap_error *err)
{
    wm_h5_dataset d;
    if (!wm_h5_describe(dataset, length, &d, err))
        return false;
    if (d.dtype == WMAP_OPAQUE || d.bytes != bytes)
        return wm_fail(err, WMAP_E_CORRUPT, "the file changed while it was read");
    if (bytes == 0)
        return true;
    if (!make_room(&d, err))
        return false;
    struct cut cut = cut_of(&d);
    uint64_t size = cut.step * cut.inner;
    unsigned char *buffer = malloc((size_t)size);
    hid_t type = H5Dget_type(dataset);
    bool ok = false;
    if (!buffer)
        wm_fail(err, WMAP_E_NOMEM, "out of memory");
    else if (type < 0)
        wm_h5_fail(err, WMAP_E_CORRUPT, "its type can't be read");
    else
        ok = send_slabs(dataset, type, &d, buffer, &cut, err);
    H5Tclose(type);
    free(buffer);
    return ok;
}

bool wm_h5_read(hid_t file, uint64_t length, uint64_t address, uint64_t bytes, wmap_error *err)
{
    hid_t dataset = H5Oopen_by_addr(file, address);
    H5O_info_t info;
    if (dataset < 0 || H5Oget_info2(dataset, &info, H5O_INFO_BASIC) < 0 || info.type != H5O_TYPE_DATASET)
        return wm_h5_fail(err, WMAP_E_CORRUPT, "the dataset can't be opened");
    bool ok = read_dataset(dataset, length, bytes, err);
    H5Oclose(dataset);
    return ok;
}
