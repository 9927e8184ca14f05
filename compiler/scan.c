/* scan.c: what the rules of the scanner (grammar/wmap.l) do beyond one line: the values of numbers and
 * strings, and all that can be wrong with a token (E0101 to E0107). A token with an error in it is still
 * given to the parser where its kind is clear, so that one mistake is one message. */
#include "compiler/grammar.h"
#include "grammar/wmap.tab.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/text.h"

int wm_scan_int(wm_parser *p, wm_node *value, wm_span span)
{
    wm_str digits = wm_text_at(p, span);
    int64_t i = 0;
    for (uint32_t k = 0; k < digits.len; k++) {
        if (__builtin_mul_overflow(i, 10, &i) || __builtin_add_overflow(i, digits.p[k] - '0', &i)) {
            wm_syntax(p, WM_E0107, span, "this integer is beyond 2^63-1");
            p->last_error = span; /* what else is wrong with it does not matter */
            i = 0;
            break;
        }
    }
    value->i = i;
    return T_INT;
}

/* strtod, whatever locale the program around the library has set. */
static double to_double(const char *text)
{
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (c == (locale_t)0)
        return strtod(text, NULL);
    double result = strtod_l(text, NULL, c);
    freelocale(c);
    return result;
}

int wm_scan_float(wm_parser *p, wm_node *value, wm_span span)
{
    wm_str digits = wm_text_at(p, span);
    value->f = to_double(wm_copy(p->arena, digits.p, digits.len));
    if (isinf(value->f)) {
        wm_syntax(p, WM_E0106, span, "this number is beyond the range of a double");
        value->f = 0;
    }
    return T_FLOAT;
}

int wm_scan_number(wm_parser *p, wm_span span)
{
    wm_diag *d = wm_syntax(p, WM_E0106, span, "malformed number %s", wm_quote(p->unit, wm_text_at(p, span)));
    if (d)
        wm_diag_hint(p->unit, d,
                     "a name starts with a letter; a number and a name need a space between them");
    return T_WM_YYerror;
}

static void check_size(wm_parser *p, wm_span span)
{
    if (span.end - span.beg > WM_MAX_STRING + 2)
        wm_syntax(p, WM_E0904, span, "a string has at most 64 KiB");
}

int wm_scan_string(wm_parser *p, wm_node *value, wm_span span, int kind)
{
    value->text = (wm_str){p->source->text + span.beg + 1, span.end - span.beg - 2};
    check_size(p, span);
    return kind;
}

void wm_scan_quote_end(wm_parser *p, wm_span span)
{
    check_size(p, wm_join(p->quote, span));
}

/* Writes a Unicode scalar value as UTF-8; gives the number of bytes, 0 if it is none. */
static uint32_t put_utf8(unsigned long scalar, char *out)
{
    if (scalar > 0x10FFFF || (scalar >= 0xD800 && scalar <= 0xDFFF))
        return 0;
    if (scalar < 0x80) {
        out[0] = (char)scalar;
        return 1;
    }
    uint32_t count = scalar < 0x800 ? 2 : scalar < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (uint32_t k = count - 1; k > 0; k--, scalar >>= 6)
        out[k] = (char)(0x80 | (scalar & 0x3F));
    out[0] = (char)(lead[count] | scalar);
    return count;
}

static void bad_escape(wm_parser *p, wm_span span, const char *format)
{
    if (p->string_failed)
        return;
    p->string_failed = true;
    wm_diag *d = wm_syntax(p, WM_E0104, span, format, wm_quote(p->unit, wm_text_at(p, span)));
    if (d)
        wm_diag_hint(p->unit, d, "escapes are \\\" \\\\ \\{ \\} \\n \\t \\u{H}; in '...' there are none");
}

int wm_scan_escape(wm_parser *p, wm_node *value, wm_span span)
{
    wm_str text = wm_text_at(p, span);
    value->text = text;
    char kind = text.len > 1 ? text.p[1] : '\0';
    if (kind == 'u' && text.len > 2) {
        char *utf8 = wm_alloc(p->arena, 4);
        uint32_t len = put_utf8(strtoul(text.p + 3, NULL, 16), utf8);
        if (len)
            value->text = (wm_str){utf8, len};
        else
            bad_escape(p, span, "%s is not a Unicode character");
    } else if (kind == 'u') {
        bad_escape(p, span, "%s needs 1 to 6 hexadecimal digits in braces");
    } else if (kind == 'n' || kind == 't') {
        value->text = kind == 'n' ? WM_STR("\n") : WM_STR("\t");
    } else if (kind != '\0' && strchr("\"\\{}", kind)) {
        value->text = (wm_str){text.p + 1, 1};
    } else {
        while (span.end < p->source->size && ((unsigned char)p->source->text[span.end] & 0xC0) == 0x80)
            span.end++;
        bad_escape(p, span, "unknown escape %s");
    }
    return T_TEXT;
}

int wm_scan_unclosed(wm_parser *p, uint32_t end)
{
    if (end > p->quote.beg && p->source->text[end - 1] == '\r')
        end--;
    wm_span span = {p->file, p->quote.beg, end};
    if (!p->string_failed || p->source->text[span.beg] == '\'') {
        wm_diag *d = wm_syntax(p, WM_E0103, span, "this string is not closed");
        if (d)
            wm_diag_hint(p->unit, d, "a string ends on the line on which it starts, with %s",
                         p->source->text[span.beg] == '"' ? "`\"`" : "`'`");
    }
    return T_WM_YYerror;
}

/* Characters that look like what was meant: found in texts that passed through a word processor. */
static const char *instead_of(wm_str stray)
{
    static const struct {
        const char *stray, *meant;
    } rows[] = {
        {"\xE2\x80\x9C", "`\"`"}, {"\xE2\x80\x9D", "`\"`"},  {"\xE2\x80\x98", "`'`"},
        {"\xE2\x80\x99", "`'`"},  {"\xE2\x86\x92", "`->`"},  {"\xE2\x80\x93", "`-`"},
        {"\xE2\x80\x94", "`-`"},  {"\xE2\x88\x92", "`-`"},   {"\xC3\x97", "`*`"},
        {"\xC2\xA0", "a space"},  {"\xE2\x80\xA6", "`...`"}, {"!", "`not` or `!=`"},
        {"&", "`and`"},
    };
    for (size_t k = 0; k < sizeof rows / sizeof rows[0]; k++)
        if (stray.len >= strlen(rows[k].stray) && !memcmp(stray.p, rows[k].stray, strlen(rows[k].stray)))
            return rows[k].meant;
    return NULL;
}

/* True if it was reported, and not part of a run that has been. One on a line is enough. */
bool wm_scan_stray(wm_parser *p, wm_span span)
{
    bool first = span.beg == 0 || span.beg != p->stray_end;
    p->stray_end = span.end;
    if (!first || p->stray_line == p->line + 1)
        return false;
    p->stray_line = p->line + 1;
    uint32_t scalar;
    wm_str text = wm_text_at(p, span);
    size_t len = wm_utf8(text.p, text.len, &scalar);
    if (len) {
        span.end = span.beg + (uint32_t)len;
        text.len = (uint32_t)len;
    }
    wm_diag *d = wm_syntax(p, WM_E0101, span, "stray character %s", wm_quote(p->unit, text));
    if (d && instead_of(text))
        wm_diag_hint(p->unit, d, "write %s", instead_of(text));
    return true;
}

void wm_scan_in_hole(wm_parser *p, wm_span span)
{
    if (p->string_failed)
        return;
    p->string_failed = true;
    char c = p->source->text[span.beg];
    wm_diag *d = c == '{' ? wm_syntax(p, WM_E0105, span, "`{` inside a hole")
                          : wm_syntax(p, WM_E0105, p->hole, "this `{` opens a hole that is not closed");
    if (!d)
        return;
    if (c == '{')
        wm_diag_also(p->unit, d, p->hole, "the hole starts here");
    else
        wm_diag_also(p->unit, d, span, "no string may stand in a hole");
    wm_diag_hint(p->unit, d, "for a brace in a name write `\\{` or `\\}`");
}

void wm_scan_brace(wm_parser *p, wm_span span)
{
    if (p->string_failed)
        return;
    p->string_failed = true;
    wm_diag *d = wm_syntax(p, WM_E0105, span, "`}` closes no hole");
    if (d)
        wm_diag_hint(p->unit, d, "for a brace in a name write `\\}`");
}
