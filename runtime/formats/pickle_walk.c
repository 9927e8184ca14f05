/* pickle_walk.c: names for what a pickled object holds. The object is a graph that may hold cycles and share
 * its parts millions of times: depth and steps are bounded, and what is known to lead to no tensor is not
 * walked again. */
#include "runtime/formats/pickle_walk.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/text.h"

#define MAX_FOREIGN 1000 /* opaque entries for objects */

/* An object that isn't read. */
struct wm_walk_foreign {
    const char *name, *note;
    size_t len;
};

enum { MARK_NEW, MARK_OPEN, MARK_BARREN };

/* ---- errors ---- */

bool wm_walk_fail(wm_walk *w, wmap_code code, const wm_pickle_node *node, const char *what)
{
    wm_fail(w->err, code, "%s", what);
    wm_error_tensor(w->err, w->path, w->len);
    return wm_error_offset(w->err, node->offset);
}

bool wm_walk_bad(wm_walk *w, const wm_pickle_node *node, const char *what)
{
    return wm_walk_fail(w, WMAP_E_CORRUPT, node, what);
}

bool wm_walk_nomem(wm_walk *w)
{
    return wm_fail(w->err, WMAP_E_NOMEM, "out of memory while listing tensors");
}

/* ---- names ---- */

bool wm_walk_name(wm_walk *w, const wm_pickle_node *node, const char *bytes, size_t len)
{
    if (len > WM_MAX_NAME - w->len)
        return wm_walk_bad(w, node, "the name of a tensor is longer than 64 KiB");
    char *grown = wm_grow(&w->pickle->arena, w->path, w->len, w->len + len + 1, &w->cap, 1);
    if (!grown)
        return wm_walk_nomem(w);
    w->path = grown;
    if (len)
        memcpy(w->path + w->len, bytes, len);
    w->len += len;
    return true;
}

/* Bytes, and a str of Python 2, are UTF-8, or Latin-1 if they can't be that. */
static bool add_bytes(wm_walk *w, const wm_pickle_node *key, const char *bytes, size_t len)
{
    if (wm_utf8_valid(bytes, len))
        return wm_walk_name(w, key, bytes, len);
    for (size_t i = 0; i < len; i++) {
        uint8_t c = (uint8_t)bytes[i];
        char two[2] = {(char)(0xc0 | c >> 6), (char)(0x80 | (c & 0x3f))};
        if (!(c < 0x80 ? wm_walk_name(w, key, bytes + i, 1) : wm_walk_name(w, key, two, 2)))
            return false;
    }
    return true;
}

/* A float as Python prints it: the fewest digits that mean it, and an exponent where that is shorter. */
static void real_text(char *buf, size_t size, double value)
{
    char digits[40];
    int count = wm_float_digits(value, true);
    if (!isfinite(value)) {
        snprintf(buf, size, "%s", isnan(value) ? "nan" : value < 0 ? "-inf" : "inf");
        return;
    }
    snprintf(digits, sizeof digits, "%.*e", count - 1, fabs(value));
    int exponent = (int)strtol(strchr(digits, 'e') + 1, NULL, 10);
    if (count > 1) /* the point, which may be a comma where we are */
        memmove(digits + 1, strpbrk(digits + 1, "0123456789"), (size_t)count - 1);
    const char *sign = signbit(value) ? "-" : "";
    if (exponent < -4 || exponent >= 16)
        snprintf(buf, size, "%s%.1s%s%.*se%c%02d", sign, digits, count > 1 ? "." : "", count - 1, digits + 1,
                 exponent < 0 ? '-' : '+', abs(exponent));
    else if (exponent < 0)
        snprintf(buf, size, "%s0.%.*s%.*s", sign, -exponent - 1, "000", count, digits);
    else if (exponent >= count - 1)
        snprintf(buf, size, "%s%.*s%.*s.0", sign, count, digits, exponent - count + 1, "000000000000000");
    else
        snprintf(buf, size, "%s%.*s.%.*s", sign, exponent + 1, digits, count - exponent - 1,
                 digits + exponent + 1);
}

/* One part of a name, readable whatever the key is. */
static bool add_key(wm_walk *w, const wm_pickle_node *key, unsigned depth)
{
    char buf[600], name[520];
    const char *bytes;
    size_t len;
    switch ((wm_pickle_kind)key->kind) {
    case WM_PICKLE_TEXT:
    case WM_PICKLE_BYTES:
        if (!wm_pickle_string(&w->pickle->arena, key, &bytes, &len))
            return wm_walk_bad(w, key, "a key with a malformed escape");
        return key->kind == WM_PICKLE_TEXT ? wm_walk_name(w, key, bytes, len) : add_bytes(w, key, bytes, len);
    case WM_PICKLE_INT:
        snprintf(buf, sizeof buf, "%" PRId64, key->as.integer);
        break;
    case WM_PICKLE_BIG:
        if (key->digits)
            return wm_walk_name(w, key, key->as.text.bytes, key->as.text.len);
        snprintf(buf, sizeof buf, "int(%zu bytes)", key->as.text.len);
        break;
    case WM_PICKLE_FLOAT:
        real_text(buf, sizeof buf, key->as.real);
        break;
    case WM_PICKLE_BOOL:
        snprintf(buf, sizeof buf, "%s", key->as.integer ? "True" : "False");
        break;
    case WM_PICKLE_NONE:
        snprintf(buf, sizeof buf, "None");
        break;
    case WM_PICKLE_TUPLE:
        if (depth > 2)
            return wm_walk_name(w, key, "(...)", 5);
        for (size_t i = 0; i < key->as.list.count; i++)
            if (!wm_walk_name(w, key, i ? ", " : "(", i ? 2 : 1) ||
                !add_key(w, key->as.list.items[i], depth + 1))
                return false;
        bytes = key->as.list.count == 0 ? "()" : key->as.list.count == 1 ? ",)" : ")";
        return wm_walk_name(w, key, bytes, strlen(bytes));
    default:
        if (wm_pickle_bytes(&w->pickle->arena, key, &bytes, &len))
            return add_bytes(w, key, bytes, len);
        snprintf(buf, sizeof buf, "<%s>", wm_pickle_name(key, name, sizeof name));
        break;
    }
    return wm_walk_name(w, key, buf, strlen(buf));
}

/* ---- the walk ---- */

static bool step(wm_walk *w, const wm_pickle_node *node)
{
    return ++w->steps <= w->max_steps ||
           wm_walk_fail(w, WMAP_E_UNSUPPORTED, node,
                        "the same objects occur far too often inside of each other");
}

/* False for what is no container, or known to lead to no tensor, or one that we are in already. */
static bool worth_walking(const wm_pickle_node *node)
{
    return node->kind >= WM_PICKLE_TUPLE && node->kind != WM_PICKLE_GLOBAL && node->mark == MARK_NEW;
}

static bool walk_node(wm_walk *w, wm_pickle_node *node);

bool wm_walk_child(wm_walk *w, const wm_pickle_node *key, wm_pickle_node *node)
{
    if (!step(w, node))
        return false;
    if (!worth_walking(node))
        return true;
    size_t len = w->len;
    w->keys++;
    bool done = (len == 0 || wm_walk_name(w, key, ".", 1)) && add_key(w, key, 0) && walk_node(w, node);
    w->keys--;
    if (done) /* else the name is the error's */
        w->len = len;
    return done;
}

bool wm_walk_item(wm_walk *w, uint64_t index, wm_pickle_node *node)
{
    wm_pickle_node key = {.kind = WM_PICKLE_INT, .offset = node->offset};
    key.as.integer = (int64_t)index;
    return wm_walk_child(w, &key, node);
}

bool wm_walk_into(wm_walk *w, wm_pickle_node *node)
{
    return step(w, node) && (!worth_walking(node) || walk_node(w, node));
}

bool wm_walk_mapping(wm_walk *w, const wm_pickle_node *mapping)
{
    wm_pickle_node *key, *value;
    size_t count = wm_pickle_pair_count(mapping);
    for (size_t i = 0; i < count; i++)
        if (wm_pickle_pair(mapping, i, &key, &value) && !wm_walk_child(w, key, value))
            return false;
    return true;
}

bool wm_walk_list(wm_walk *w, const wm_pickle_node *list)
{
    for (size_t i = 0; i < list->as.list.count; i++)
        if (!wm_walk_item(w, i, list->as.list.items[i]))
            return false;
    return true;
}

/* True if the mapping holds this very value under this very key. */
static bool has_pair(wm_walk *w, const wm_pickle_node *mapping, const wm_pickle_node *key,
                     const wm_pickle_node *value)
{
    wm_pickle_node *other, *held;
    size_t count = mapping ? wm_pickle_pair_count(mapping) : 0;
    for (size_t i = 0; i < count && ++w->steps <= w->max_steps; i++)
        if (wm_pickle_pair(mapping, i, &other, &held) && held == value && other->kind == key->kind &&
            key->kind == WM_PICKLE_TEXT && key->as.text.len == other->as.text.len &&
            memcmp(key->as.text.bytes, other->as.text.bytes, key->as.text.len) == 0)
            return true;
    return false;
}

/* Attributes; dicts whose keys are attributes too (EasyDict, ModelOutput) hold the same under both. */
static bool walk_attributes(wm_walk *w, const wm_pickle_node *attributes, const wm_pickle_node *mapping)
{
    wm_pickle_node *key, *value;
    size_t count = wm_pickle_pair_count(attributes);
    for (size_t i = 0; i < count; i++)
        if (wm_pickle_pair(attributes, i, &key, &value) && value->kind >= WM_PICKLE_TUPLE &&
            !has_pair(w, mapping, key, value) && !wm_walk_child(w, key, value))
            return false;
    return true;
}

/* An object of any class: what it holds as a dict, as a list, and as attributes. */
static bool walk_object(wm_walk *w, const wm_pickle_node *node)
{
    const wm_pickle_node *state = node->as.call.state;
    const wm_pickle_node *mapping = wm_pickle_mapping(node), *attributes = wm_pickle_mapping(state);
    const wm_pickle_node *items = wm_pickle_sequence(node);
    if ((mapping && !wm_walk_mapping(w, mapping)) || (items && !wm_walk_list(w, items)))
        return false;
    if (node->as.call.extra && node->as.call.extra->items && !wm_walk_list(w, node->as.call.extra->items))
        return false;
    if (wm_pickle_is(node->as.call.callable, "collections", "OrderedDict"))
        return true; /* its attributes are versions of modules */
    if (attributes)
        return walk_attributes(w, attributes, mapping);
    if (state && state->kind == WM_PICKLE_TUPLE) { /* attributes, and those in slots */
        for (size_t i = 0; i < state->as.list.count; i++)
            if ((mapping = wm_pickle_mapping(state->as.list.items[i])) && !wm_walk_mapping(w, mapping))
                return false;
        return true;
    }
    /* A named tuple is made of its fields. */
    return node->made && !state && !mapping ? wm_walk_list(w, node->as.call.args) : true;
}

/* A tensor alone is called 0. */
static wm_walked walk_leaf(wm_walk *w, const wm_pickle_node *node)
{
    bool nameless = w->keys == 0;
    if (nameless && !wm_walk_name(w, node, "0", 1))
        return WM_WALKED_ERROR;
    wm_walked what = w->leaf(w, node);
    if (nameless && what != WM_WALKED_ERROR)
        w->len = 0;
    return what;
}

bool wm_walk_foreign(wm_walk *w, const wm_pickle_node *node, const char *note)
{
    char class[520];
    wm_arena *arena = &w->pickle->arena;
    if (w->foreign_count == MAX_FOREIGN)
        return true;
    if (!note)
        note = wm_pickle_name(node, class, sizeof class);
    struct wm_walk_foreign *f = wm_push(arena, w->foreign, w->foreign_count, w->foreign_cap);
    if (!f)
        return wm_walk_nomem(w);
    *f = (struct wm_walk_foreign){wm_copy(arena, w->len ? w->path : "0", w->len ? w->len : 1),
                                  wm_copy(arena, note, strlen(note)), w->len ? w->len : 1};
    return (f->name && f->note) || wm_walk_nomem(w);
}

static bool is_foreign(const wm_walk *w, const wm_pickle_node *node)
{
    const wm_pickle_node *class = wm_pickle_class(node);
    return node->kind == WM_PICKLE_CALL && (class->kind != WM_PICKLE_GLOBAL || !w->known(class));
}

static bool walk_inside(wm_walk *w, wm_pickle_node *node)
{
    if (node->kind == WM_PICKLE_CALL) {
        wm_walked what = w->object ? w->object(w, node) : WM_WALKED_NOTHING;
        return what == WM_WALKED_NOTHING ? walk_object(w, node) : what == WM_WALKED_TENSOR;
    }
    if (node->kind == WM_PICKLE_DICT)
        return wm_walk_mapping(w, node);
    return !wm_pickle_sequence(node) || wm_walk_list(w, node);
}

static bool walk_node(wm_walk *w, wm_pickle_node *node)
{
    if (node->kind == WM_PICKLE_CALL || node->kind == WM_PICKLE_PERSISTENT) {
        wm_walked what = walk_leaf(w, node);
        if (what != WM_WALKED_NOTHING)
            return what == WM_WALKED_TENSOR;
    }
    if (w->depth == WM_WALK_DEPTH)
        return wm_walk_fail(w, WMAP_E_UNSUPPORTED, node, "objects nested deeper than 256");
    size_t before = w->archive->entry_count, foreign = w->foreign_count;
    node->mark = MARK_OPEN;
    w->depth++;
    bool done = walk_inside(w, node);
    w->depth--;
    bool barren = w->archive->entry_count == before;
    node->mark = barren ? MARK_BARREN : MARK_NEW;
    if (!done || !barren || !w->list_foreign || !is_foreign(w, node))
        return done;
    w->foreign_count = foreign; /* what it holds is a part of it */
    return wm_walk_foreign(w, node, NULL);
}

void wm_walk_init(wm_walk *w, wmap_archive *archive, wm_pickle *pickle, uint64_t pickle_size, wmap_error *err)
{
    *w = (wm_walk){.archive = archive, .pickle = pickle, .err = err};
    w->entries = archive->entry_count;
    w->max_steps = ((uint64_t)1 << 16) + 16 * pickle_size;
}

bool wm_walk_root(wm_walk *w, wm_pickle_node *root, const wm_pickle_node *key)
{
    return key ? wm_walk_child(w, key, root) : wm_walk_into(w, root);
}

/* ---- classes that are not known ---- */

static bool list_foreign(wm_walk *w)
{
    for (size_t i = 0; i < w->foreign_count; i++) {
        const struct wm_walk_foreign *f = &w->foreign[i];
        if (wm_map_get(&w->archive->names, f->name, f->len) != WM_MAP_NONE)
            continue;
        wm_entry *entry = wm_archive_add(w->archive, f->name, f->len, WMAP_OPAQUE, 0, NULL, NULL, w->err);
        if (!entry)
            return false;
        entry->note = wm_copy(&w->archive->arena, f->note, strlen(f->note));
        if (!entry->note)
            return wm_walk_nomem(w);
    }
    return true;
}

bool wm_walk_end(wm_walk *w)
{
    const wm_pickle *pickle = w->pickle;
    const wm_pickle_node *first = NULL;
    size_t others = 0;
    char name[520];
    for (size_t i = 0; i < pickle->global_count; i++) {
        if (w->known(pickle->globals[i]))
            continue;
        if (!first)
            first = pickle->globals[i];
        else if (first->as.global.name_len != pickle->globals[i]->as.global.name_len ||
                 memcmp(first->as.global.name, pickle->globals[i]->as.global.name,
                        first->as.global.name_len) != 0)
            others++;
    }
    if (!first)
        return w->archive->entry_count == w->entries || list_foreign(w);
    wm_pickle_name(first, name, sizeof name);
    if (w->archive->entry_count == w->entries) {
        wm_fail(w->err, WMAP_E_UNSUPPORTED,
                "holds a pickled %s and no tensor that could be read without running it", name);
        return wm_error_offset(w->err, first->offset);
    }
    wm_archive_warn(w->archive,
                    "holds a pickled %s (at byte %" PRIu64 ")%s; only tensors are read, nothing is run", name,
                    first->offset, others ? " and other classes" : "");
    return list_foreign(w);
}
