/* program.h: the parts of the program wmap-hdf5. Each file may fail with a filled wmap_error, as in libwmap.
 */
#ifndef WM_HDF5_PROGRAM_H
#define WM_HDF5_PROGRAM_H

/* The calls of HDF5 1.10 (Debian 12), also where the library is newer. */
#define H5_USE_110_API 1
#include <hdf5.h>

#include "runtime/archive.h"
#include "runtime/base/error.h"
#include "runtime/hdf5/protocol.h"

/* The sanitizers want terabytes of address space and much more time. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define WM_H5_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WM_H5_SANITIZED 1
#endif
#endif
#ifndef WM_H5_SANITIZED
#define WM_H5_SANITIZED 0
#endif

/* The file: bytes [base, base + length) of `fd`. It is written if `most`, the bytes it may grow to, isn't 0.
 */
typedef struct wm_h5_range {
    int fd;
    uint64_t base, length, most;
} wm_h5_range;

/* driver.c: opens or creates the HDF5 file; no other file can be opened afterwards, whatever links and
 * storage in it name. H5I_INVALID_HID with `err` filled if it is no HDF5 file. */
hid_t wm_h5_open(const wm_h5_range *range, bool create, wmap_error *err);

/* answer.c: frames for libwmap, gathered in a buffer. The program ends if nobody reads them. */
void wm_h5_put(const void *bytes, size_t size);
void wm_h5_put_le(uint64_t value, unsigned bytes);
void wm_h5_frame(char kind, size_t size); /* begins a frame; exactly `size` bytes follow */
void wm_h5_flush(void);
void wm_h5_say_error(const wmap_error *err);

/* Fails with what libhdf5 says is wrong (the innermost entry of its error stack) after the message. */
bool wm_h5_fail(wmap_error *err, wmap_code code, const char *message);

/* dataset.c: all that must be known of a dataset. */
typedef struct wm_h5_dataset {
    wmap_dtype dtype;
    bool swapped; /* big-endian elements of more than a byte */
    bool direct;  /* its bytes stand at `offset` of the file as they are */
    bool chunked; /* chunk[] is set */
    uint32_t rank;
    uint32_t size; /* bytes of an element; 0 if opaque */
    uint64_t dims[WM_H5_MAX_RANK], chunk[WM_H5_MAX_RANK];
    uint64_t offset, bytes, chunk_bytes;
    const char *note; /* opaque: what it holds; NULL otherwise */
} wm_h5_dataset;

/* Looks at an open dataset of a file of `length` bytes, and refuses what must not be read. */
bool wm_h5_describe(hid_t dataset, uint64_t length, wm_h5_dataset *out, wmap_error *err);

/* read.c: answers READ, but for END. */
bool wm_h5_read(hid_t file, uint64_t length, uint64_t address, uint64_t bytes, wmap_error *err);

/* write.c: answer MAKE and REPLACE, but for END: `records` as protocol.h says. */
bool wm_h5_make(hid_t file, const unsigned char *records, size_t size, wmap_error *err);
bool wm_h5_replace(hid_t file, uint64_t length, const unsigned char *paths, size_t size, wmap_error *err);

/* list.c: answers LIST, but for END. */
bool wm_h5_list(hid_t file, uint64_t length, wmap_error *err);

#endif
