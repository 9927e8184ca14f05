/* identify.c: saying what a file is that wmap does not read. It only chooses words: nothing here is trusted
 * later. */
#include "runtime/identify.h"

#include <string.h>

#include "runtime/formats/zip.h"

static bool begins(const uint8_t *head, size_t size, const char *text, size_t len)
{
    return size >= len && memcmp(head, text, len) == 0;
}

bool wm_is_lfs_pointer(const uint8_t *head, size_t size)
{
    static const char line[] = "version https://git-lfs.github.com/spec/";
    return begins(head, size, line, sizeof line - 1);
}

#define UNPACK "; unpack it first"

/* Formats known by their bytes at a place, and not read (yet, or in this build). */
static const struct known {
    size_t at, len;
    const char *bytes, *what, *advice;
} known[] = {
    {0, 4, "\x67\x67\x6d\x6c", "an old GGML file", ""},
    {0, 4, "lmgg", "an old GGML file", ""},
    {0, 2, "\x1f\x8b", "compressed with gzip, more than once or in an odd way", UNPACK},
    {0, 3, "BZh", "compressed with bzip2, more than once", UNPACK},
    {0, 6,
     "\xfd"
     "7zXZ\0",
     "compressed with xz, more than once", UNPACK},
    {0, 4, "\x28\xb5\x2f\xfd", "compressed with zstd", UNPACK},
    {0, 6, "7z\xbc\xaf\x27\x1c", "a 7z archive", UNPACK},
    {0, 4, "Rar!", "a RAR archive", UNPACK},
    {257, 5, "ustar", "a tar archive", "; if it is a NeMo file, unpack it first"},
    {0, 8, "PYTORCH1", "a PyTorch preview file", ""},
    {4, 4, "TFL3", "a TensorFlow Lite model", ""},
    {0, 4, "\x93NUM", "almost a NumPy array: its magic is damaged", ""},
};

/* Text at the head that says what the file is instead of weights. */
static const struct known words[] = {
    {0, 14, "<!DOCTYPE html", "a web page", "; the download went wrong"},
    {0, 14, "<!doctype html", "a web page", "; the download went wrong"},
    {0, 5, "<html", "a web page", "; the download went wrong"},
    {0, 5, "%PDF-", "a PDF", ""},
    {0, 5, "wmap ", "a wmap spec", ""},
};

static const struct known *match(const wmap_archive *a, const struct known *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (a->head_size >= rows[i].at &&
            begins(a->head + rows[i].at, a->head_size - rows[i].at, rows[i].bytes, rows[i].len))
            return &rows[i];
    return NULL;
}

static bool is_hdf5(wmap_archive *a)
{
    static const uint8_t magic[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
    uint8_t here[8];
    if (a->files[0].size < sizeof here)
        return false;
    for (uint64_t at = 0; at <= a->files[0].size - sizeof here; at = at ? at * 2 : 512)
        if (wm_archive_read(a, 0, at, here, sizeof here, NULL) && memcmp(here, magic, sizeof here) == 0)
            return true;
    return false;
}

static bool unsupported(wmap_error *err, const char *what, const char *advice)
{
    return wm_fail(err, WMAP_E_UNSUPPORTED, "this is %s, which wmap does not read%s", what, advice);
}

static bool is_text(const wmap_archive *a)
{
    for (size_t i = 0; i < a->head_size; i++)
        if (a->head[i] < 0x20 && !memchr("\t\n\r\f", a->head[i], 4))
            return false;
    return true;
}

bool wm_fail_unknown(wmap_archive *a, wmap_error *err)
{
    static const char looked[] =
        "looked for NumPy (.npy, .npz), safetensors, PyTorch, Keras, TensorFlow, GGUF, Flax and pickle files";
    if (a->head_size == 0)
        return wm_fail(err, WMAP_E_NOT_WEIGHTS, "this is no weight file: it is empty");
    if (wm_zip_looks(a)) {
        if (!wm_archive_zip(a, err))
            return false;
        return wm_fail(
            err, WMAP_E_NOT_WEIGHTS,
            "this is no weight file: a zip archive that holds no .npy member, no data.pkl and no Keras "
            "weights");
    }
    const struct known *row = match(a, known, sizeof known / sizeof *known);
    if (row)
        return unsupported(err, row->what, row->advice);
    row = match(a, words, sizeof words / sizeof *words);
    if (row)
        return wm_fail(err, WMAP_E_NOT_WEIGHTS, "this is no weight file but %s%s", row->what, row->advice);
    if (is_hdf5(a))
        return unsupported(err, "an HDF5 file that is not laid out as Keras does", "");
    if (is_text(a))
        return wm_fail(err, WMAP_E_NOT_WEIGHTS, "this is no weight file but text; %s", looked);
    return wm_fail(err, WMAP_E_NOT_WEIGHTS, "this is no weight file; %s", looked);
}
