/* error.c: errors as records with a place; the public questions to them. */
#include "runtime/base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/text.h"

static bool fail(wmap_error *err, wmap_code code, int number, const char *format, va_list args)
{
    if (!err)
        return false;
    char raw[sizeof err->message];
    int len = vsnprintf(raw, sizeof raw, format, args);
    size_t used = len < 0 ? 0 : (size_t)len < sizeof raw ? (size_t)len : sizeof raw - 1;
    if (number) {
        char text[128];
        const char *said = strerror_r(number, text, sizeof text); /* GNU's: may not use `text` */
        int more = snprintf(raw + used, sizeof raw - used, ": %s", said);
        if (more > 0)
            used = used + (size_t)more < sizeof raw ? used + (size_t)more : sizeof raw - 1;
    }
    memset(err, 0, sizeof *err);
    err->code = code;
    wm_show(err->message, sizeof err->message, raw, used);
    return false;
}

bool wm_fail(wmap_error *err, wmap_code code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fail(err, code, 0, format, args);
    va_end(args);
    return false;
}

bool wm_fail_errno(wmap_error *err, wmap_code code, int number, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fail(err, code, number, format, args);
    va_end(args);
    return false;
}

bool wm_error_file(wmap_error *err, const char *path)
{
    if (err && !err->file[0] && path)
        wm_show(err->file, sizeof err->file, path, strlen(path));
    return false;
}

bool wm_error_offset(wmap_error *err, uint64_t offset)
{
    if (err && !err->has_offset) {
        err->has_offset = true;
        err->offset = offset;
    }
    return false;
}

bool wm_error_tensor(wmap_error *err, const char *name, size_t len)
{
    if (err && !err->tensor[0])
        wm_show(err->tensor, sizeof err->tensor, name, len);
    return false;
}

bool wm_error_offset_of(wmap_error *err, const char *bytes)
{
    char text[sizeof err->message];
    if (!err || !err->has_offset)
        return false;
    snprintf(text, sizeof text, "%.900s (at byte %llu of %.64s)", err->message,
             (unsigned long long)err->offset, bytes);
    memcpy(err->message, text, sizeof text);
    err->has_offset = false;
    err->offset = 0;
    return false;
}

bool wm_error_more(wmap_error *err, uint64_t more)
{
    if (!err || more == 0)
        return false;
    size_t used = strlen(err->message);
    snprintf(err->message + used, sizeof err->message - used, " (and %llu more that do not fit)",
             (unsigned long long)more);
    return false;
}

int wmap_exit_status(wmap_code code)
{
    switch (code) {
    case WMAP_OK:
        return 0;
    case WMAP_E_SPEC:
    case WMAP_E_TARGET:
        return 1;
    case WMAP_E_CORRUPT:
    case WMAP_E_UNSUPPORTED:
    case WMAP_E_MISMATCH:
    case WMAP_E_PLAN:
    case WMAP_E_GUARD:
        return 3;
    case WMAP_E_USAGE:
    case WMAP_E_IO:
    case WMAP_E_NOMEM:
    case WMAP_E_NOT_WEIGHTS:
    case WMAP_E_INTERNAL:
        break;
    }
    return 2;
}

void wmap_error_format(const wmap_error *err, char *buf, size_t size)
{
    char offset[40] = "";
    if (err->has_offset)
        snprintf(offset, sizeof offset, "at byte %llu: ", (unsigned long long)err->offset);
    snprintf(buf, size, "%s%s%s%s%s%s%s", err->file, err->file[0] ? ": " : "", offset,
             err->tensor[0] ? "`" : "", err->tensor, err->tensor[0] ? "`: " : "", err->message);
}
