/* Fuzz target: text that goes from one checkpoint to another. The first byte says the byte order, how many
 * elements there are, and whether the rest is the tensor as it stands, or texts from which a sound one is
 * made: that must be copied, and its copy be what TensorFlow would write. */
#include <string.h>

#include "runtime/crc.h"
#include "runtime/formats/tf_write.h"
#include "tests/fuzz/archive.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MOST ((size_t)1 << 16)

extern const wm_format wm_format_tensorflow;
static uint8_t source[MOST], output[MOST];

static bool put(wm_writer *writer, uint32_t part, uint64_t offset, const void *bytes, size_t size,
                wmap_error *err)
{
    (void)writer;
    (void)err;
    if (part || offset > MOST || size > MOST - offset)
        abort();
    memcpy(output + offset, bytes, size);
    return true;
}

static void put_number(uint8_t *out, uint32_t value, bool big)
{
    for (unsigned i = 0; i < 4; i++)
        out[i] = (uint8_t)(value >> (8 * (big ? 3 - i : i)));
}

/* The bytes of a sound tensor of `count` texts that share `size` bytes, and its CRC. */
static size_t make(uint8_t *out, const uint8_t *texts, size_t size, size_t count, bool big, uint32_t *crc)
{
    size_t at = 0, each = count ? size / count : 0;
    uint32_t lengths = 0;
    for (size_t i = 0; i < count; i++) {
        size_t length = i + 1 < count ? each : size - each * i;
        uint8_t fixed[4];
        put_number(fixed, (uint32_t)length, big);
        lengths = wm_crc32c(lengths, fixed, 4);
        for (; length >= 0x80; length >>= 7)
            out[at++] = (uint8_t)(length | 0x80);
        out[at++] = (uint8_t)length;
    }
    put_number(out + at, wm_crc32c_mask(lengths), big);
    *crc = wm_crc32c(lengths, out + at, 4);
    at += 4;
    memcpy(out + at, texts, count ? size : 0);
    *crc = wm_crc32c(*crc, texts, count ? size : 0);
    return at + (count ? size : 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    wmap_error err = {0};
    if (size == 0 || size > MOST / 2)
        return 0;
    bool big = data[0] & 1, sound = data[0] & 2;
    size_t count = data[0] >> 2, bytes = size - 1;
    uint32_t crc = wm_crc32c(0, data, size), sum, wanted;
    memcpy(source, data + 1, bytes);
    if (sound)
        bytes = make(source, data + 1, size - 1, count, big, &crc);
    int fd = memfd_create("text", MFD_CLOEXEC);
    if (fd < 0 || write(fd, source, bytes) != (ssize_t)bytes)
        abort();
    wmap_archive *archive = wm_archive_over(&wm_format_tensorflow, "text", fd, bytes, &err);
    if (!archive)
        abort();
    wm_writer writer = {.put = put};
    wm_tf_place to = {0, 0, count};
    wm_raw raw = {.type = WM_TF_STRING, .size = bytes, .crc = crc, .big_endian = big};
    bool ok = wm_tf_carry(&writer, &to, archive, &raw, &sum, &err);
    if (!ok && (sound || err.code != WMAP_E_CORRUPT))
        abort();
    if (sound) { /* against the same made little-endian */
        size_t same = make(source, data + 1, size - 1, count, false, &wanted);
        if (same != bytes || sum != wanted || memcmp(source, output, bytes) != 0)
            abort();
    }
    archive->format = NULL; /* it was never opened, so there is nothing of the format's to close */
    wmap_archive_close(archive);
    return 0;
}
