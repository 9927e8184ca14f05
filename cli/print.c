/* cli/print.c: text for terminals and for machines. Names come from files, so nothing of them is printed raw.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

/* Decodes one character of UTF-8; its bytes, or 0 if they are malformed (overlong and surrogates too). */
static size_t decode(const unsigned char *p, size_t len, uint32_t *point)
{
    if (p[0] < 0x80) {
        *point = p[0];
        return 1;
    }
    size_t n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (p[0] < 0xc2 || p[0] > 0xf4 || n > len) {
        return 0;
    }
    uint32_t c = p[0] & (0xffu >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
        c = c << 6 | (p[i] & 0x3fu);
    }
    if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) {
        return 0;
    }
    *point = c;
    return n;
}

/* Characters that move the cursor, break lines or turn the direction of the text around. */
static bool is_unsafe(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x061c || c == 0x200e || c == 0x200f ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

size_t wm_put_text(FILE *out, const char *text, size_t len)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t columns = 0;
    for (size_t i = 0; i < len;) {
        uint32_t c = 0;
        size_t n = decode(p + i, len - i, &c);
        int printed;
        if (n == 0) {
            printed = fprintf(out, "\\x%02x", p[i]);
            n = 1;
        } else if (c == '\\') {
            printed = fprintf(out, "\\\\");
        } else if (c == '\n' || c == '\t') {
            printed = fprintf(out, c == '\n' ? "\\n" : "\\t");
        } else if (is_unsafe(c)) {
            printed = fprintf(out, "\\u{%x}", (unsigned)c);
        } else {
            fwrite(p + i, 1, n, out);
            printed = 1;
        }
        columns += printed > 0 ? (size_t)printed : 0;
        i += n;
    }
    return columns;
}

bool wm_put_json(FILE *out, const char *text, size_t len)
{
    const unsigned char *p = (const unsigned char *)text;
    bool whole = true;
    putc('"', out);
    for (size_t i = 0; i < len;) {
        uint32_t c = 0;
        size_t n = decode(p + i, len - i, &c);
        if (n == 0) {
            fputs("\\ufffd", out); /* JSON can't hold it */
            whole = false;
            n = 1;
        } else if (c == '"' || c == '\\') {
            fprintf(out, "\\%c", (int)c);
        } else if (is_unsafe(c)) {
            fprintf(out, "\\u%04x", (unsigned)c);
        } else {
            fwrite(p + i, 1, n, out);
        }
        i += n;
    }
    putc('"', out);
    return whole;
}

void wm_put_xml(FILE *out, const char *text)
{
    const unsigned char *p = (const unsigned char *)text;
    for (size_t i = 0, len = strlen(text); i < len;) {
        uint32_t c = 0;
        size_t n = decode(p + i, len - i, &c);
        if (n == 0 || (c < 0x20 && c != '\n' && c != '\t') || c == 0xfffe || c == 0xffff) {
            fputs("&#xfffd;", out); /* XML 1.0 can't hold it, escaped or not */
        } else if (c == '<' || c == '>' || c == '&' || c == '"' || is_unsafe(c)) {
            fprintf(out, "&#%u;", (unsigned)c);
        } else {
            fwrite(p + i, 1, n, out);
        }
        i += n ? n : 1;
    }
}

void wm_say(const char *format, ...)
{
    char text[4096];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    fputs("wmap: ", stderr);
    wm_put_text(stderr, text, strlen(text));
    putc('\n', stderr);
}

void wm_say_error(const wmap_error *err)
{
    char text[2048];
    wmap_error_format(err, text, sizeof text);
    wm_say("%s", text);
}

const char *wm_human_bytes(double bytes, char *buf, size_t size)
{
    static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB", "PB"};
    size_t unit = 0;
    while (bytes >= 1000 && unit + 1 < sizeof units / sizeof *units) {
        bytes /= 1000;
        unit++;
    }
    snprintf(buf, size, unit && bytes < 100 ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
    return buf;
}

bool wm_terminal(FILE *stream)
{
    const char *term = getenv("TERM");
    return term && *term && strcmp(term, "dumb") != 0 && isatty(fileno(stream));
}

bool wm_use_color(FILE *stream)
{
    const char *off = getenv("NO_COLOR");
    return !(off && *off) && wm_terminal(stream);
}

int wm_finish_stdout(int status)
{
    errno = 0;
    bool lost = ferror(stdout) != 0;
    if (fflush(stdout) != 0 || lost) {
        /* A reader that has seen enough (`| head`) needs no words. */
        if (errno != EPIPE && errno != 0) {
            wm_say("standard output: %s", strerror(errno));
        }
        return WM_EXIT_FAILED;
    }
    return status;
}
