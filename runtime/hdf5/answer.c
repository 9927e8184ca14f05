/* answer.c: the frames that the program sends. Its one buffer is the only state of the program that isn't
 * passed around: there is one socket and one thread. */
#include "runtime/hdf5/program.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static unsigned char buffer[64 << 10];
static size_t used;

static void send_all(const unsigned char *bytes, size_t size)
{
    while (size) {
        ssize_t sent = write(STDOUT_FILENO, bytes, size);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            _exit(1); /* libwmap is gone */
        bytes += sent;
        size -= (size_t)sent;
    }
}

void wm_h5_flush(void)
{
    send_all(buffer, used);
    used = 0;
}

void wm_h5_put(const void *bytes, size_t size)
{
    if (size == 0)
        return; /* `bytes` may be NULL */
    if (size > sizeof buffer - used)
        wm_h5_flush();
    if (size > sizeof buffer) {
        send_all(bytes, size);
        return;
    }
    memcpy(buffer + used, bytes, size);
    used += size;
}

void wm_h5_put_le(uint64_t value, unsigned bytes)
{
    unsigned char raw[8];
    for (unsigned i = 0; i < bytes; i++)
        raw[i] = (unsigned char)(value >> (8 * i));
    wm_h5_put(raw, bytes);
}

void wm_h5_frame(char kind, size_t size)
{
    wm_h5_put(&kind, 1);
    wm_h5_put_le(size, 4);
}

void wm_h5_say_error(const wmap_error *err)
{
    size_t path = strlen(err->tensor), message = strlen(err->message);
    wm_h5_frame(WM_H5_ERROR, 11 + path + message);
    wm_h5_put_le((uint64_t)err->code, 1);
    wm_h5_put_le(err->has_offset, 1);
    wm_h5_put_le(err->offset, 8);
    wm_h5_put_le(path, 1); /* fits: tensor[] has 256 bytes with its NUL */
    wm_h5_put(err->tensor, path);
    wm_h5_put(err->message, message);
}

struct reason {
    char text[256];
};

static herr_t innermost(unsigned n, const H5E_error2_t *entry, void *user)
{
    struct reason *reason = user;
    (void)n;
    if (!reason->text[0] && entry->desc && entry->desc[0])
        snprintf(reason->text, sizeof reason->text, "%s", entry->desc);
    return 0;
}

bool wm_h5_fail(wmap_error *err, wmap_code code, const char *message)
{
    struct reason reason = {""};
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, innermost, &reason);
    H5Eclear2(H5E_DEFAULT);
    /* Messages in a form that came later than this library: the file need not be damaged. Object headers have
     * had the same two forms since 2008, so another number there is no form at all. */
    if (strstr(reason.text, "version number") && !strstr(reason.text, "object header version"))
        return wm_fail(err, WMAP_E_UNSUPPORTED, "%s (libhdf5 %d.%d.%d: %s; a newer libhdf5 may know it)",
                       message, H5_VERS_MAJOR, H5_VERS_MINOR, H5_VERS_RELEASE, reason.text);
    if (reason.text[0])
        return wm_fail(err, code, "%s (libhdf5: %s)", message, reason.text);
    return wm_fail(err, code, "%s", message);
}
