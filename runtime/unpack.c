/* unpack.c: a file that is compressed as a whole is unpacked into an unlinked file, which then is what
 * formats see. One layer only. Several streams in a row are one file, as for the programs that make them. */
#include "runtime/unpack.h"

#include <bzlib.h>
#include <errno.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "runtime/base/size.h"
#include "runtime/spool.h"

#define CHUNK      ((size_t)128 << 10)
#define XZ_MEMORY  ((uint64_t)100 << 20) /* what unpacking needs of a file packed with `xz -9`: 65 MiB */
#define MIN_PACKED 18                    /* bytes of an empty gzip file; of the others, more */

/* One packer. Its state lives in `packed`. */
typedef struct packed packed;
typedef enum step { STEP_ON, STEP_END, STEP_DAMAGED, STEP_NOMEM, STEP_LARGE } step;

typedef struct packer {
    const char *name;
    size_t len;
    const char *magic;
    bool (*begin)(packed *p);
    step (*work)(packed *p); /* from p->in to p->out */
    void (*end)(packed *p);
} packer;

struct packed {
    const uint8_t *in;
    uint8_t *out;
    size_t in_left, out_left;
    z_stream z;
    bz_stream bz;
    lzma_stream xz;
};

/* ---- gzip ---- */

static bool gzip_begin(packed *p)
{
    memset(&p->z, 0, sizeof p->z);
    return inflateInit2(&p->z, 15 + 16) == Z_OK; /* 16: with gzip's header and checksum */
}

static step gzip_work(packed *p)
{
    p->z.next_in = (Bytef *)(uintptr_t)p->in;
    p->z.avail_in = (uInt)p->in_left;
    p->z.next_out = p->out;
    p->z.avail_out = (uInt)p->out_left;
    int code = inflate(&p->z, Z_NO_FLUSH);
    p->in_left = p->z.avail_in;
    p->out_left = p->z.avail_out;
    return code == Z_STREAM_END                  ? STEP_END
           : code == Z_OK || code == Z_BUF_ERROR ? STEP_ON
           : code == Z_MEM_ERROR                 ? STEP_NOMEM
                                                 : STEP_DAMAGED;
}

static void gzip_end(packed *p)
{
    inflateEnd(&p->z);
}

/* ---- bzip2 ---- */

static bool bzip2_begin(packed *p)
{
    memset(&p->bz, 0, sizeof p->bz);
    return BZ2_bzDecompressInit(&p->bz, 0, 0) == BZ_OK;
}

static step bzip2_work(packed *p)
{
    p->bz.next_in = (char *)(uintptr_t)p->in;
    p->bz.avail_in = (unsigned)p->in_left;
    p->bz.next_out = (char *)p->out;
    p->bz.avail_out = (unsigned)p->out_left;
    int code = BZ2_bzDecompress(&p->bz);
    p->in_left = p->bz.avail_in;
    p->out_left = p->bz.avail_out;
    return code == BZ_STREAM_END  ? STEP_END
           : code == BZ_OK        ? STEP_ON
           : code == BZ_MEM_ERROR ? STEP_NOMEM
                                  : STEP_DAMAGED;
}

static void bzip2_end(packed *p)
{
    BZ2_bzDecompressEnd(&p->bz);
}

/* ---- xz ---- */

static bool xz_begin(packed *p)
{
    p->xz = (lzma_stream)LZMA_STREAM_INIT;
    return lzma_stream_decoder(&p->xz, XZ_MEMORY, 0) == LZMA_OK;
}

static step xz_work(packed *p)
{
    p->xz.next_in = p->in;
    p->xz.avail_in = p->in_left;
    p->xz.next_out = p->out;
    p->xz.avail_out = p->out_left;
    lzma_ret code = lzma_code(&p->xz, LZMA_RUN);
    p->in_left = p->xz.avail_in;
    p->out_left = p->xz.avail_out;
    return code == LZMA_STREAM_END                     ? STEP_END
           : code == LZMA_OK || code == LZMA_BUF_ERROR ? STEP_ON
           : code == LZMA_MEM_ERROR                    ? STEP_NOMEM
           : code == LZMA_MEMLIMIT_ERROR               ? STEP_LARGE
                                                       : STEP_DAMAGED;
}

static void xz_end(packed *p)
{
    lzma_end(&p->xz);
}

static const packer packers[] = {
    {"gzip", 3, "\x1f\x8b\x08", gzip_begin, gzip_work, gzip_end},
    {"bzip2", 3, "BZh", bzip2_begin, bzip2_work, bzip2_end},
    {"xz", 6,
     "\xfd"
     "7zXZ\0",
     xz_begin, xz_work, xz_end},
};

/* ---- unpacking ---- */

typedef struct work {
    const packer *by;
    wm_file *file;
    wm_spool out;
    packed p;
    uint64_t at; /* of the file: bytes read so far */
    bool inside; /* of a stream */
    uint8_t in[CHUNK], bytes[CHUNK];
} work;

static bool damaged(const work *w, const char *what, wmap_error *err)
{
    wm_fail(err, WMAP_E_CORRUPT, "compressed with %s, %s", w->by->name, what);
    return wm_error_offset(err, w->at - w->p.in_left);
}

/* More input, if it is used up. */
static bool fill(work *w, wmap_error *err)
{
    if (w->p.in_left)
        return true;
    uint64_t left = w->file->size - w->at;
    size_t n = left < CHUNK ? (size_t)left : CHUNK;
    int64_t got = wm_pread(w->file->fd, w->in, n, w->at);
    if (got < 0)
        return wm_fail_errno(err, WMAP_E_IO, errno, "cannot read");
    if ((size_t)got != n)
        return wm_fail(err, WMAP_E_CORRUPT, "the file became shorter while it was read");
    w->at += n;
    w->p.in = w->in;
    w->p.in_left = n;
    return true;
}

/* Between streams: the next one, which must begin with the magic; zeros at the end are padding. */
static bool next_stream(work *w, bool *more, wmap_error *err)
{
    while (w->at < w->file->size || w->p.in_left) {
        if (!fill(w, err))
            return false;
        if (*w->p.in != 0 || w->out.size == 0)
            break;
        w->p.in++;
        w->p.in_left--;
    }
    *more = w->p.in_left > 0;
    if (!*more)
        return true;
    if (*w->p.in != (uint8_t)w->by->magic[0])
        return damaged(w, "and something else follows", err);
    if (!w->by->begin(&w->p))
        return wm_fail(err, WMAP_E_NOMEM, "out of memory while unpacking");
    w->inside = true;
    return true;
}

static bool stream(work *w, wmap_error *err)
{
    while (w->inside) {
        size_t before = w->p.in_left;
        bool last = w->at == w->file->size;
        if (!fill(w, err))
            return false;
        const uint8_t *in_end = w->p.in + w->p.in_left;
        w->p.out = w->bytes;
        w->p.out_left = CHUNK;
        step code = w->by->work(&w->p);
        size_t made = CHUNK - w->p.out_left;
        w->p.in = in_end - w->p.in_left;
        if (code == STEP_NOMEM)
            return wm_fail(err, WMAP_E_NOMEM, "out of memory while unpacking");
        if (code == STEP_LARGE)
            return wm_fail(err, WMAP_E_UNSUPPORTED,
                           "compressed with xz in a way that needs more than 100 MiB of memory to unpack");
        if (code == STEP_DAMAGED)
            return damaged(w, "and damaged", err);
        if (code == STEP_ON && !made && last && !before)
            return damaged(w, "and cut off", err);
        uint64_t size = w->out.size + made;
        if (size > WM_MAX_RATIO_FREE && size / WM_MAX_RATIO > w->file->size)
            return damaged(w, "and unpacks to more than 1100 times its size", err);
        if (made && !w->out.sink.put(&w->out.sink, w->bytes, made, err))
            return false;
        if (code == STEP_END) {
            w->by->end(&w->p);
            w->inside = false;
        }
    }
    return true;
}

static bool unpack(work *w, wmap_error *err)
{
    bool more = true, ok = true;
    while (ok && more)
        ok = next_stream(w, &more, err) && stream(w, err);
    if (w->inside)
        w->by->end(&w->p);
    return ok;
}

bool wm_unpack(wmap_archive *archive, const char **how, wmap_error *err)
{
    uint8_t head[8];
    const packer *by = NULL;
    wm_file *file = &archive->files[0];
    *how = NULL;
    int64_t got = file->size < MIN_PACKED ? 0 : wm_pread(file->fd, head, sizeof head, 0);
    for (size_t i = 0; i < sizeof packers / sizeof *packers && got == sizeof head; i++)
        if (memcmp(head, packers[i].magic, packers[i].len) == 0)
            by = &packers[i];
    if (!by)
        return true; /* a failure to read will be met again */
    int fd = wm_spool_new(err);
    if (fd < 0)
        return false;
    work *w = calloc(1, sizeof *w);
    bool ok = w || wm_fail(err, WMAP_E_NOMEM, "out of memory while unpacking");
    if (ok) {
        w->by = by;
        w->file = file;
        w->out = wm_spool_of(fd, INT64_MAX);
        ok = unpack(w, err);
    }
    if (ok) {
        close(file->fd);
        file->fd = fd;
        file->named = false;
        file->size = w->out.size;
        *how = by->name;
    } else {
        close(fd);
    }
    free(w);
    return ok;
}
