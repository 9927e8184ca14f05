/* value.c: values and strings as text: what a hole shows in a name, and what a message says of a value. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "compiler/scope.h"
#include "runtime/base/text.h"

/* A wm_val_text longer than this ends in "...". */
#define MAX_SHOWN 400

const char *wm_val_kind_name(const wm_val *v)
{
    static const char *const names[] = {
        [WM_VAL_INT] = "an integer",  [WM_VAL_FLOAT] = "a double", [WM_VAL_BOOL] = "a boolean",
        [WM_VAL_STRING] = "a string", [WM_VAL_LIST] = "a list",
    };
    return names[v->kind];
}

/* ---- strings ---- */

void wm_buffer_add(wm_buffer *buffer, const char *bytes, size_t len)
{
    buffer->text = wm_grow(buffer->arena, buffer->text, buffer->len, buffer->len + len + 1, &buffer->cap, 1);
    if (len)
        memcpy(buffer->text + buffer->len, bytes, len);
    buffer->len += len;
    buffer->text[buffer->len] = 0;
}

void wm_buffer_int(wm_buffer *buffer, int64_t value)
{
    char digits[24];
    size_t at = sizeof digits;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (value < 0)
        digits[--at] = '-';
    wm_buffer_add(buffer, digits + at, sizeof digits - at);
}

static bool show_int(wm_unit *unit, const wm_part *part, int64_t i, wm_buffer *out)
{
    bool letter = part->format == WM_FMT_LOWER || part->format == WM_FMT_UPPER;
    if (i < 0 || (letter && i >= 26)) {
        wm_error(unit, WM_E0311, part->span, "a name cannot show %" PRId64 " here: it is %s", i,
                 i < 0 ? "negative" : "past the letter z");
        return false;
    }
    char text[128];
    if (letter) {
        text[0] = (char)((part->format == WM_FMT_LOWER ? 'a' : 'A') + i);
        wm_buffer_add(out, text, 1);
    } else if (part->format == WM_FMT_WIDTH) {
        int width = part->width < 99 ? (int)part->width : 99;
        int len = snprintf(text, sizeof text, "%0*" PRId64, width, i);
        wm_buffer_add(out, text, (size_t)len);
    } else if (part->format == WM_FMT_UNDER) {
        if (i)
            wm_buffer_add(out, "_", 1);
        if (i)
            wm_buffer_int(out, i);
    } else {
        wm_buffer_int(out, i);
    }
    return true;
}

bool wm_hole_show(wm_unit *unit, const wm_part *part, const wm_val *value, wm_buffer *out)
{
    if (value->kind == WM_VAL_STRING && part->format == WM_FMT_NONE) {
        wm_buffer_add(out, value->s.p, value->s.len);
        return true;
    }
    if (value->kind == WM_VAL_INT)
        return show_int(unit, part, value->i, out);
    if (value->kind == WM_VAL_STRING)
        wm_error(unit, WM_E0310, part->span, "this format is for integers, the hole is a string");
    else
        wm_error(unit, WM_E0310, part->span, "a hole is an integer or a string, this is %s",
                 wm_val_kind_name(value));
    return false;
}

wm_evaluated wm_plain_text(wm_unit *unit, const wm_scope *scope, const wm_hook *hook, const wm_string *string,
                           wm_str *text)
{
    const wm_part *first = string->parts;
    *text = WM_STR("");
    if (!first || (first->kind == WM_PART_TEXT && !first->next)) {
        if (first)
            *text = first->text;
        return WM_EVAL_OK;
    }
    wm_buffer out = {.arena = unit->arena};
    wm_evaluated worst = WM_EVAL_OK;
    for (const wm_part *p = first; p; p = p->next) {
        wm_val value;
        wm_evaluated done = WM_EVAL_OK;
        if (p->kind == WM_PART_TEXT) {
            wm_buffer_add(&out, p->text.p, p->text.len);
        } else if (p->kind != WM_PART_HOLE || p->format == WM_FMT_STAR || p->format == WM_FMT_STARSTAR) {
            wm_error(unit, WM_E0312, p->span,
                     "this string is written out, so it can hold no wildcard or capture");
            done = WM_EVAL_ERROR;
        } else {
            done = wm_eval(unit, scope, hook, p->expr, &value);
            if (done == WM_EVAL_OK && !wm_hole_show(unit, p, &value, &out))
                done = WM_EVAL_ERROR;
        }
        if (done == WM_EVAL_ERROR || worst == WM_EVAL_OK)
            worst = done;
    }
    *text = (wm_str){out.text ? out.text : "", (uint32_t)out.len};
    if (worst == WM_EVAL_OK && out.len > 65536) {
        wm_error(unit, WM_E0904, string->span, "this gives a string of %zu bytes, the limit is 64 KiB",
                 out.len);
        return WM_EVAL_ERROR;
    }
    return worst;
}

/* ---- values as text ---- */

/* The shortest text that reads back as the same double, and not as an integer. */
static void show_double(wm_buffer *out, double f)
{
    char text[64];
    bool whole = f == trunc(f) && fabs(f) < 1e15;
    int len = whole ? snprintf(text, sizeof text, "%.1f", f)
                    : snprintf(text, sizeof text, "%.*g", wm_float_digits(f, true), f);
    wm_buffer_add(out, text, (size_t)len);
}

static void show_value(wm_buffer *out, const wm_val *v)
{
    if (out->len > MAX_SHOWN)
        return;
    switch (v->kind) {
    case WM_VAL_INT:
        wm_buffer_int(out, v->i);
        break;
    case WM_VAL_FLOAT:
        show_double(out, v->f);
        break;
    case WM_VAL_BOOL:
        wm_buffer_add(out, v->i ? "true" : "false", v->i ? 4 : 5);
        break;
    case WM_VAL_STRING:
        wm_buffer_add(out, v->s.p, v->s.len);
        break;
    case WM_VAL_LIST:
        wm_buffer_add(out, "[", 1);
        for (uint32_t i = 0; i < v->count && out->len <= MAX_SHOWN; i++) {
            if (i)
                wm_buffer_add(out, ", ", 2);
            show_value(out, &v->items[i]);
        }
        wm_buffer_add(out, out->len > MAX_SHOWN ? "..." : "]", out->len > MAX_SHOWN ? 3 : 1);
        break;
    }
}

const char *wm_val_text(wm_unit *unit, const wm_val *value)
{
    wm_buffer out = {.arena = unit->arena};
    wm_buffer_add(&out, "", 0);
    show_value(&out, value);
    return out.text;
}

void wm_hint_division(wm_unit *unit, wm_diag *diag, const wm_val *value)
{
    if (value->kind == WM_VAL_FLOAT)
        wm_diag_hint(unit, diag, "`/` gives a fraction; `//` divides whole numbers");
}
