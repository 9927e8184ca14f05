/* stream.c: headers read forwards. */
#include "runtime/formats/stream.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void wm_stream_init(wm_stream *s, wmap_archive *archive, uint64_t at, wmap_error *err)
{
    s->archive = archive;
    s->at = at;
    s->end = archive->files[0].size;
    s->big = s->failed = false;
    s->err = err;
    s->have = 0;
    s->begin = 0;
    if (at > s->end)
        wm_stream_fail(s, "the file is truncated");
}

bool wm_stream_fail(wm_stream *s, const char *format, ...)
{
    if (!s->failed) {
        char text[400];
        va_list args;
        va_start(args, format);
        vsnprintf(text, sizeof text, format, args);
        va_end(args);
        wm_fail(s->err, WMAP_E_CORRUPT, "%s", text);
        wm_error_offset(s->err, s->at);
        s->failed = true;
    }
    return false;
}

static bool refill(wm_stream *s)
{
    uint64_t left = s->end - s->at;
    s->begin = s->at;
    s->have = left < sizeof s->window ? (size_t)left : sizeof s->window;
    if (wm_archive_read(s->archive, 0, s->at, s->window, s->have, s->err))
        return true;
    s->failed = true;
    return false;
}

bool wm_stream_take(wm_stream *s, void *out, size_t size)
{
    uint8_t *to = out;
    if (s->failed || size > s->end - s->at)
        return wm_stream_fail(s, "the file is truncated: %zu more bytes are needed here", size);
    while (size > 0) {
        if ((s->at < s->begin || s->at >= s->begin + s->have) && !refill(s))
            return false;
        size_t from = (size_t)(s->at - s->begin), n = s->have - from < size ? s->have - from : size;
        memcpy(to, s->window + from, n);
        to += n;
        size -= n;
        s->at += n;
    }
    return true;
}

bool wm_stream_skip(wm_stream *s, uint64_t size)
{
    if (s->failed || size > s->end - s->at)
        return wm_stream_fail(s, "the file is truncated: %llu more bytes are needed here",
                              (unsigned long long)size);
    s->at += size;
    return true;
}

uint64_t wm_stream_number(wm_stream *s, unsigned size)
{
    uint8_t b[8] = {0};
    uint64_t value = 0;
    if (!wm_stream_take(s, b, size))
        return 0;
    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)b[i] << (8 * (s->big ? size - 1 - i : i));
    return value;
}

char *wm_stream_text(wm_stream *s, uint64_t size)
{
    if (size > WM_MAX_NAME) {
        wm_stream_fail(s, "a name of %llu bytes", (unsigned long long)size);
        return NULL;
    }
    if (s->failed || size > s->end - s->at) {
        wm_stream_fail(s, "the file is truncated in a name");
        return NULL;
    }
    char *text = wm_alloc(&s->archive->arena, (size_t)size + 1);
    if (!text) {
        s->failed = true;
        wm_fail(s->err, WMAP_E_NOMEM, "out of memory");
        return NULL;
    }
    return wm_stream_take(s, text, (size_t)size) ? text : NULL;
}
