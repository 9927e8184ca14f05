/* scope.c: looking names up. Inner scopes are short lists; the file at the end of the chain is hashed. */
#include "compiler/scope.h"

#include <string.h>

wm_span wm_scope_use(const wm_scope *scope)
{
    wm_span use = WM_NOWHERE;
    while (scope) {
        if (scope->caller) {
            use = scope->use;
            scope = scope->caller;
        } else {
            scope = scope->up;
        }
    }
    return use;
}

const wm_file *wm_scope_file(const wm_scope *scope)
{
    while (scope && !scope->file)
        scope = scope->up;
    return scope ? scope->file : NULL;
}

static wm_decl *own_name(const wm_file *file, wm_str name)
{
    uint32_t at = wm_map_get(&file->names, name.p, name.len);
    return at == WM_MAP_NONE ? NULL : file->decls[at];
}

static bool is_value(const wm_decl *decl)
{
    return decl->item->kind == WM_IT_PARAM || decl->item->kind == WM_IT_TABLE;
}

static wm_str join_words(wm_arena *arena, const wm_word *words)
{
    if (!words->next)
        return words->text;
    wm_buffer b = {.arena = arena};
    for (const wm_word *w = words; w; w = w->next) {
        wm_buffer_add(&b, w->text.p, w->text.len);
        if (w->next)
            wm_buffer_add(&b, ".", 1);
    }
    return (wm_str){b.text, (uint32_t)b.len};
}

wm_decl *wm_file_find(wm_arena *arena, const wm_file *file, const wm_qname *name, bool values)
{
    const wm_word *words = name->parts;
    wm_decl *decl = own_name(file, join_words(arena, words));
    if (decl && is_value(decl) == values)
        return decl;
    for (size_t i = 0; words->next && i < file->alias_count; i++) {
        if (!wm_str_eq(file->aliases[i].name, words->text))
            continue;
        decl = own_name(file->aliases[i].file, join_words(arena, words->next));
        if (decl && decl->file == file->aliases[i].file && is_value(decl) == values)
            return decl;
    }
    return NULL;
}

wm_decl_state wm_scope_find(wm_arena *arena, const wm_scope *scope, const wm_qname *name, wm_val *value,
                            wm_span *declared)
{
    bool plain = !name->parts->next;
    for (; scope; scope = scope->up) {
        for (uint32_t i = 0; plain && i < scope->count; i++) {
            const wm_named *n = &scope->items[i];
            if (!wm_str_eq(n->name, name->parts->text))
                continue;
            *value = n->value;
            if (declared)
                *declared = n->span;
            return n->state;
        }
        const wm_decl *decl = scope->file ? wm_file_find(arena, scope->file, name, true) : NULL;
        if (decl) {
            *value = decl->value;
            if (declared)
                *declared = decl->span;
            return decl->state == WM_DECL_NEW ? WM_DECL_OPEN : decl->state;
        }
    }
    return WM_DECL_NEW;
}

bool wm_scope_has(const wm_scope *scope, wm_str name, wm_span *declared)
{
    wm_word word = {.text = name};
    wm_qname qname = {.parts = &word};
    wm_val value;
    wm_decl_state state = wm_scope_find(NULL, scope, &qname, &value, declared);
    return state != WM_DECL_NEW && state != WM_DECL_CAPTURE;
}
