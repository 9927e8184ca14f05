/* planfile.c: the header of a plan file. The digest covers all that follows it, the versions and the length
 * too, so that no byte of a plan can change unseen. */
#include "runtime/base/planfile.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/cursor.h"
#include "runtime/base/error.h"
#include "runtime/base/sha256.h"

/* As PNG's: a byte that is not ASCII, then line ends that a transfer as text would change. */
static const uint8_t magic[WM_PLAN_MAGIC_SIZE] = {0x89, 'w', 'm', 'a', 'p', '\r', '\n', 0x1a};

enum {
    DIGEST_AT = WM_PLAN_MAGIC_SIZE,
    VERSION_AT = DIGEST_AT + WM_SHA256_SIZE,
    OLDEST_AT = VERSION_AT + 4,
    LENGTH_AT = OLDEST_AT + 4
};

static void put_le(uint8_t *at, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

bool wm_plan_magic(const uint8_t *bytes, size_t size)
{
    return size >= sizeof magic && memcmp(bytes, magic, sizeof magic) == 0;
}

bool wm_plan_alloc(size_t size, uint8_t **bytes, size_t *total)
{
    if (__builtin_add_overflow(size, (size_t)WM_PLAN_HEADER_SIZE, total))
        return false;
    *bytes = malloc(*total);
    return *bytes != NULL;
}

void wm_plan_seal(uint8_t *bytes, size_t total, uint32_t oldest)
{
    memcpy(bytes, magic, sizeof magic);
    put_le(bytes + VERSION_AT, WM_PLAN_VERSION, 4);
    put_le(bytes + OLDEST_AT, oldest, 4);
    put_le(bytes + LENGTH_AT, total - WM_PLAN_HEADER_SIZE, 8);
    wm_sha256(bytes + VERSION_AT, total - VERSION_AT, bytes + DIGEST_AT);
}

bool wm_plan_wrap(const uint8_t *message, size_t size, uint8_t **bytes, size_t *total)
{
    if (!wm_plan_alloc(size, bytes, total))
        return false;
    if (size)
        memcpy(*bytes + WM_PLAN_HEADER_SIZE, message, size);
    wm_plan_seal(*bytes, *total, WM_PLAN_OLDEST);
    return true;
}

static bool bad(wmap_error *err, uint64_t offset, const char *what)
{
    wm_fail(err, WMAP_E_PLAN, "not a sound plan: %s", what);
    return wm_error_offset(err, offset);
}

bool wm_plan_unwrap(const uint8_t *bytes, size_t size, const uint8_t **message, size_t *message_size,
                    wmap_error *err)
{
    wm_cursor c = wm_cursor_of(bytes, size, 0);
    if (!wm_plan_magic(bytes, size))
        return bad(err, 0, "it does not begin as a plan does");
    wm_seek(&c, DIGEST_AT);
    const uint8_t *digest = wm_take(&c, WM_SHA256_SIZE);
    uint32_t version = wm_take_u32(&c), oldest = wm_take_u32(&c);
    uint64_t length = wm_take_u64(&c);
    if (c.failed)
        return bad(err, size, "it ends in its header");
    if (length > WM_PLAN_MAX_MESSAGE)
        return bad(err, LENGTH_AT, "its length is beyond what a plan may have");
    if (length != wm_cursor_left(&c))
        return bad(err, LENGTH_AT, length > wm_cursor_left(&c) ? "it is cut off" : "bytes follow its end");
    uint8_t actual[WM_SHA256_SIZE];
    wm_sha256(bytes + VERSION_AT, size - VERSION_AT, actual);
    if (memcmp(actual, digest, sizeof actual) != 0)
        return bad(err, DIGEST_AT, "its checksum is wrong");
    if (version == 0 || oldest == 0 || oldest > version)
        return bad(err, VERSION_AT, "its version makes no sense");
    if (oldest > WM_PLAN_VERSION) {
        wm_fail(err, WMAP_E_PLAN,
                "the plan needs a newer wmap: it is of version %u, readable from version %u on; "
                "this wmap knows version %d",
                version, oldest, WM_PLAN_VERSION);
        return wm_error_offset(err, OLDEST_AT);
    }
    *message = bytes + WM_PLAN_HEADER_SIZE;
    *message_size = (size_t)length;
    return true;
}
