/* names_write.c: names from patterns whose variables are known, and the parts of one whose variables are. */
#include <stdio.h>
#include <string.h>

#include "compiler/names.h"

wm_found wm_find_capture(void *user, wm_str name, wm_val *value)
{
    const wm_capture_hook *hook = user;
    for (uint32_t v = 0; v < hook->var_count; v++) {
        if (!wm_str_eq(hook->vars[v].name, name))
            continue;
        if (!hook->captures[v].bound)
            return WM_FOUND_UNKNOWN;
        *value = (wm_val){.kind = WM_VAL_INT, .i = hook->dummy ? 1 : hook->captures[v].i};
        if (hook->vars[v].text)
            *value = (wm_val){.kind = WM_VAL_STRING, .s = hook->captures[v].s};
        return WM_FOUND_VALUE;
    }
    return WM_FOUND_NO;
}

wm_pattern *wm_copy_pattern(wm_unit *unit, const wm_pattern *pattern)
{
    wm_pattern *copy = wm_new(unit->scratch, wm_pattern, 1);
    *copy = *pattern;
    copy->holes = wm_new(unit->scratch, wm_hole, pattern->count);
    if (pattern->count)
        memcpy(copy->holes, pattern->holes, pattern->count * sizeof *copy->holes);
    return copy;
}

typedef struct writer {
    wm_unit *unit;
    char *text;
    size_t len, cap;
} writer;

static void write_bytes(writer *w, const char *bytes, size_t len)
{
    w->text = wm_grow(w->unit->arena, w->text, w->len, w->len + len + 1, &w->cap, 1);
    if (len)
        memcpy(w->text + w->len, bytes, len);
    w->len += len;
}

static bool can_show(const wm_hole *hole, int64_t value)
{
    bool letter = hole->format == WM_FMT_LOWER || hole->format == WM_FMT_UPPER;
    return value >= 0 && (!letter || value < 26);
}

static bool write_int(writer *w, const wm_hole *hole, int64_t value)
{
    char text[32];
    if (!can_show(hole, value)) {
        wm_error(w->unit, WM_E0311, hole->span, "a name cannot show %lld here%s", (long long)value,
                 value < 0 ? ": it is negative" : ": it is past the letter z");
        return false;
    }
    int len;
    if (hole->format == WM_FMT_LOWER || hole->format == WM_FMT_UPPER)
        len = snprintf(text, sizeof text, "%c", (hole->format == WM_FMT_LOWER ? 'a' : 'A') + (int)value);
    else if (hole->format == WM_FMT_UNDER)
        len = value ? snprintf(text, sizeof text, "_%lld", (long long)value) : 0;
    else
        len = snprintf(text, sizeof text, "%0*lld",
                       hole->format == WM_FMT_WIDTH ? (int)(hole->width > 20 ? 20 : hole->width) : 0,
                       (long long)value);
    write_bytes(w, text, (size_t)len);
    return true;
}

static bool write_value(writer *w, const wm_pattern *pattern, const wm_hole *hole,
                        const wm_capture_hook *known)
{
    wm_val value;
    wm_hook hook = {wm_find_capture, (void *)(uintptr_t)known};
    if (wm_eval(w->unit, pattern->scope, &hook, hole->expr, &value) != WM_EVAL_OK)
        return false;
    if (value.kind == WM_VAL_STRING) {
        write_bytes(w, value.s.p, value.s.len);
        return true;
    }
    if (value.kind == WM_VAL_INT)
        return write_int(w, hole, value.i);
    wm_error(w->unit, WM_E0310, hole->span, "a hole must be an integer or a string, this is %s",
             wm_val_text(w->unit, &value));
    return false;
}

const wm_pattern *wm_given_holes(wm_unit *unit, const wm_pattern *pattern, const wm_var *vars,
                                 uint32_t var_count, const wm_capture *given)
{
    wm_capture_hook known = {vars, var_count, given, false};
    wm_hook hook = {wm_find_capture, &known};
    wm_pattern *copy = NULL;
    for (uint32_t h = 0; h < pattern->count; h++) {
        const wm_hole *hole = &pattern->holes[h];
        wm_val value;
        if (hole->kind != WM_HOLE_VALUE || hole->var != WM_NO_VAR ||
            wm_eval(unit, pattern->scope, &hook, hole->expr, &value) != WM_EVAL_OK)
            continue;
        writer w = {unit, NULL, 0, 0};
        if (value.kind == WM_VAL_STRING)
            write_bytes(&w, value.s.p, value.s.len);
        else if (value.kind != WM_VAL_INT || !can_show(hole, value.i))
            return NULL;
        else
            write_int(&w, hole, value.i);
        if (!copy)
            copy = wm_copy_pattern(unit, pattern);
        copy->holes[h].kind = WM_HOLE_TEXT;
        copy->holes[h].text = (wm_str){w.text ? w.text : "", (uint32_t)w.len};
    }
    return copy ? copy : pattern;
}

bool wm_name_write(wm_unit *unit, const wm_pattern *pattern, const wm_var *vars, uint32_t var_count,
                   const wm_capture *captures, wm_str *name)
{
    if (pattern->literal) {
        *name = pattern->text;
        return true;
    }
    writer w = {unit, NULL, 0, 0};
    wm_capture_hook known = {vars, var_count, captures, false};
    for (uint32_t h = 0; h < pattern->count; h++) {
        const wm_hole *hole = &pattern->holes[h];
        if (hole->kind == WM_HOLE_TEXT) {
            write_bytes(&w, hole->text.p, hole->text.len);
        } else if (hole->kind == WM_HOLE_VALUE && hole->var != WM_NO_VAR && !vars[hole->var].text) {
            if (!captures[hole->var].bound || !write_int(&w, hole, captures[hole->var].i))
                return false;
        } else if (hole->kind == WM_HOLE_VALUE && hole->var == WM_NO_VAR) {
            if (!write_value(&w, pattern, hole, &known))
                return false;
        } else if (hole->var != WM_NO_VAR && captures[hole->var].bound) {
            write_bytes(&w, captures[hole->var].s.p, captures[hole->var].s.len);
        } else {
            return false;
        }
    }
    if (w.len > 65536) {
        wm_error(unit, WM_E0904, pattern->span, "the name that this gives is longer than 64 KiB");
        return false;
    }
    *name = (wm_str){w.text ? w.text : "", (uint32_t)w.len};
    return true;
}
