/* pickle.c: the stack machine that reads pickles as data. One function an opcode (or a family of them), and
 * one table that says which byte is which. Numbers and strings are in pickle_scalar.c; questions to the
 * finished tree in pickle_tree.c. */
#include "runtime/formats/pickle.h"

#include <string.h>

#include "runtime/formats/pickle_machine.h"

typedef struct opcode {
    const char *name;
    bool (*run)(wm_machine *m, uint8_t byte);
} opcode;

void wm_pickle_init(wm_pickle *pickle)
{
    memset(pickle, 0, sizeof *pickle);
    wm_arena_init(&pickle->arena);
    wm_arena_init(&pickle->work);
}

void wm_pickle_release(wm_pickle *pickle)
{
    wm_arena_release(&pickle->arena);
    wm_arena_release(&pickle->work);
    wm_pickle_init(pickle);
}

/* ---- errors, nodes, stack ---- */

bool wm_machine_bad(wm_machine *m, const char *why)
{
    wm_fail(m->err, WMAP_E_CORRUPT, "pickle: %s: %s", m->opcode, why);
    return wm_error_offset(m->err, m->at);
}

bool wm_machine_refuse(wm_machine *m, const char *why)
{
    wm_fail(m->err, WMAP_E_UNSUPPORTED, "pickle: %s: %s", m->opcode, why);
    return wm_error_offset(m->err, m->at);
}

wm_pickle_node *wm_machine_node(wm_machine *m, wm_pickle_kind kind)
{
    wm_pickle_node *node = wm_new(&m->p->arena, wm_pickle_node, 1);
    node->kind = (uint8_t)kind;
    node->offset = m->at;
    return node;
}

bool wm_machine_push(wm_machine *m, wm_pickle_node *node)
{
    wm_pickle_node **slot = wm_push(&m->p->work, m->stack, m->depth, m->stack_cap);
    *slot = node;
    return true;
}

/* Depth below which nothing may be taken: what stands under the last mark. */
static size_t fence(const wm_machine *m)
{
    return m->mark_count ? m->marks[m->mark_count - 1] : 0;
}

static wm_pickle_node *pop(wm_machine *m)
{
    if (m->depth <= fence(m)) {
        wm_machine_bad(m, "nothing on the stack");
        return NULL;
    }
    return m->stack[--m->depth];
}

static wm_pickle_node *top(wm_machine *m)
{
    if (m->depth <= fence(m)) {
        wm_machine_bad(m, "nothing on the stack");
        return NULL;
    }
    return m->stack[m->depth - 1];
}

/* Takes all down to the last mark, and the mark: `count` nodes at the returned place, good until the next
 * push. */
static wm_pickle_node **pop_mark(wm_machine *m, size_t *count)
{
    if (!m->mark_count) {
        wm_machine_bad(m, "no mark on the stack");
        return NULL;
    }
    size_t from = m->marks[--m->mark_count];
    *count = m->depth - from;
    m->depth = from;
    return m->stack + from;
}

static void list_append(wm_machine *m, wm_pickle_node *list, wm_pickle_node *const *items, size_t count)
{
    if (!count)
        return;
    list->as.list.items = wm_grow(&m->p->arena, list->as.list.items, list->as.list.count,
                                  list->as.list.count + count, &list->as.list.cap, sizeof(wm_pickle_node *));
    memcpy(list->as.list.items + list->as.list.count, items, count * sizeof *items);
    list->as.list.count += count;
}

/* A new container of exactly these. */
static wm_pickle_node *new_list(wm_machine *m, wm_pickle_kind kind, wm_pickle_node *const *items,
                                size_t count)
{
    if (kind == WM_PICKLE_TUPLE && !count && m->p->shared->empty_tuple)
        return m->p->shared->empty_tuple;
    wm_pickle_node *list = wm_machine_node(m, kind);
    if (count) {
        list->as.list.items = wm_new(&m->p->arena, wm_pickle_node *, count);
        memcpy(list->as.list.items, items, count * sizeof *items);
        list->as.list.count = list->as.list.cap = count;
    } else if (kind == WM_PICKLE_TUPLE) {
        m->p->shared->empty_tuple = list;
    }
    return list;
}

bool wm_machine_push_text(wm_machine *m, wm_pickle_kind kind, const void *bytes, size_t len)
{
    wm_pickle_node *node = wm_machine_node(m, kind);
    node->as.text.bytes = bytes;
    node->as.text.len = len;
    return wm_machine_push(m, node);
}

bool wm_machine_push_int(wm_machine *m, int64_t value)
{
    bool small = value >= 0 && value < 256;
    if (small && m->p->shared->small[value])
        return wm_machine_push(m, m->p->shared->small[value]);
    wm_pickle_node *node = wm_machine_node(m, WM_PICKLE_INT);
    node->as.integer = value;
    if (small)
        m->p->shared->small[value] = node;
    return wm_machine_push(m, node);
}

bool wm_machine_push_bool(wm_machine *m, bool value)
{
    wm_pickle_node **shared = value ? &m->p->shared->yes : &m->p->shared->no;
    if (!*shared) {
        *shared = wm_machine_node(m, WM_PICKLE_BOOL);
        (*shared)->as.integer = value;
    }
    return wm_machine_push(m, *shared);
}

/* ---- arguments in the stream ---- */

/* Bytes up to the next newline, which is taken too. */
const char *wm_machine_line(wm_machine *m, size_t *len)
{
    wm_cursor *c = m->c;
    size_t left = wm_cursor_left(c);
    const uint8_t *from = c->bytes + c->at;
    const uint8_t *end = left ? memchr(from, '\n', left) : NULL;
    if (!end) {
        m->p->cut = true;
        wm_machine_bad(m, "its line of text has no end");
        return NULL;
    }
    *len = (size_t)(end - from);
    return (const char *)wm_take(c, *len + 1);
}

/* A line that holds a number; the end of line may be that of Windows. */
const char *wm_machine_number(wm_machine *m, size_t *len)
{
    const char *line = wm_machine_line(m, len);
    if (line && *len && line[*len - 1] == '\r')
        --*len;
    if (line && *len > WM_PICKLE_DIGITS) {
        wm_machine_bad(m, "a number of more than 4300 digits");
        return NULL;
    }
    return line;
}

/* Decimal digits with an optional sign. 1: fits an int64; 0: digits, but beyond it; -1: no number. */
int wm_machine_parse_int(const char *text, size_t len, int64_t *value)
{
    size_t i = len && (*text == '-' || *text == '+');
    if (i == len)
        return -1;
    bool minus = *text == '-', fits = true;
    int64_t sum = 0;
    for (; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        int digit = minus ? -(text[i] - '0') : text[i] - '0';
        fits = fits && !__builtin_mul_overflow(sum, 10, &sum) && !__builtin_add_overflow(sum, digit, &sum);
    }
    *value = sum;
    return fits;
}

/* ---- the opcodes ---- */

static bool op_proto(wm_machine *m, uint8_t byte)
{
    (void)byte;
    return wm_take_u8(m->c) <= 5 || wm_machine_refuse(m, "a protocol above 5");
}

static bool op_frame(wm_machine *m, uint8_t byte)
{
    (void)byte;
    uint64_t len = wm_take_u64(m->c);
    if (m->frame_end != WM_NO_FRAME)
        return wm_machine_bad(m, "begins inside of another frame");
    if (len > wm_cursor_left(m->c)) {
        m->p->cut = true;
        return wm_machine_bad(m, "longer than what is left of the file");
    }
    m->frame_end = m->c->at + len;
    return true;
}

static bool op_stop(wm_machine *m, uint8_t byte)
{
    (void)byte;
    m->result = pop(m);
    return m->result != NULL;
}

static bool op_mark(wm_machine *m, uint8_t byte)
{
    (void)byte;
    size_t *mark = wm_push(&m->p->work, m->marks, m->mark_count, m->mark_cap);
    *mark = m->depth;
    return true;
}

static bool op_pop_mark(wm_machine *m, uint8_t byte)
{
    (void)byte;
    size_t count;
    return pop_mark(m, &count) != NULL;
}

/* POP also takes a mark if that is what is on top. */
static bool op_pop(wm_machine *m, uint8_t byte)
{
    if (m->mark_count && m->depth == fence(m))
        return op_pop_mark(m, byte);
    return pop(m) != NULL;
}

static bool op_dup(wm_machine *m, uint8_t byte)
{
    (void)byte;
    wm_pickle_node *node = top(m);
    return node && wm_machine_push(m, node);
}

static bool op_none(wm_machine *m, uint8_t byte)
{
    (void)byte;
    if (!m->p->shared->none)
        m->p->shared->none = wm_machine_node(m, WM_PICKLE_NONE);
    return wm_machine_push(m, m->p->shared->none);
}

static bool op_bool(wm_machine *m, uint8_t byte)
{
    return wm_machine_push_bool(m, byte == 0x88);
}

static bool op_out_of_band(wm_machine *m, uint8_t byte)
{
    (void)byte;
    return wm_machine_refuse(m, "data that is not in the file");
}

static bool op_extension(wm_machine *m, uint8_t byte)
{
    (void)byte;
    return wm_machine_refuse(m, "a class by a number that only its program knows");
}

static bool op_empty(wm_machine *m, uint8_t byte)
{
    wm_pickle_kind kind = byte == ']'   ? WM_PICKLE_LIST
                          : byte == ')' ? WM_PICKLE_TUPLE
                          : byte == '}' ? WM_PICKLE_DICT
                                        : WM_PICKLE_SET;
    return wm_machine_push(m, new_list(m, kind, NULL, 0));
}

/* The keys of a dict must be such as can be. */
static bool check_pairs(wm_machine *m, wm_pickle_node *const *items, size_t count)
{
    if (count % 2)
        return wm_machine_bad(m, "a key without its value");
    for (size_t i = 0; i < count; i += 2) {
        uint8_t kind = items[i]->kind;
        if (kind == WM_PICKLE_LIST || kind == WM_PICKLE_DICT || kind == WM_PICKLE_SET)
            return wm_machine_bad(m, "a list, dict or set as a key");
    }
    return true;
}

/* LIST, TUPLE, DICT, FROZENSET: all from the mark on. */
static bool op_from_mark(wm_machine *m, uint8_t byte)
{
    size_t count;
    wm_pickle_node **items = pop_mark(m, &count);
    if (!items || (byte == 'd' && !check_pairs(m, items, count)))
        return false;
    wm_pickle_kind kind = byte == 'l'   ? WM_PICKLE_LIST
                          : byte == 't' ? WM_PICKLE_TUPLE
                          : byte == 'd' ? WM_PICKLE_DICT
                                        : WM_PICKLE_FROZENSET;
    return wm_machine_push(m, new_list(m, kind, items, count));
}

static bool op_tuple(wm_machine *m, uint8_t byte)
{
    size_t count = (size_t)byte - 0x84;
    if (m->depth - fence(m) < count)
        return wm_machine_bad(m, "nothing on the stack");
    m->depth -= count;
    return wm_machine_push(m, new_list(m, WM_PICKLE_TUPLE, m->stack + m->depth, count));
}

static wm_pickle_extra *extra_of(wm_machine *m, wm_pickle_node *call)
{
    if (!call->as.call.extra)
        call->as.call.extra = wm_new(&m->p->arena, wm_pickle_extra, 1);
    return call->as.call.extra;
}

/* Adds to a list (or set), or to an object that acts as one. */
static bool add_items(wm_machine *m, wm_pickle_kind kind, wm_pickle_node *const *items, size_t count)
{
    wm_pickle_node *to = top(m);
    if (!to)
        return false;
    if (to->kind == WM_PICKLE_CALL) {
        wm_pickle_extra *extra = extra_of(m, to);
        if (!extra->items)
            extra->items = new_list(m, WM_PICKLE_LIST, NULL, 0);
        to = extra->items;
    } else if (to->kind != kind) {
        return wm_machine_bad(m, kind == WM_PICKLE_SET ? "what it adds to is no set"
                                                       : "what it appends to is no list");
    }
    list_append(m, to, items, count);
    return true;
}

static bool op_append(wm_machine *m, uint8_t byte)
{
    (void)byte;
    wm_pickle_node *item = pop(m);
    return item && add_items(m, WM_PICKLE_LIST, &item, 1);
}

static bool op_add_marked(wm_machine *m, uint8_t byte)
{
    size_t count;
    wm_pickle_node **items = pop_mark(m, &count);
    return items && add_items(m, byte == 'e' ? WM_PICKLE_LIST : WM_PICKLE_SET, items, count);
}

static bool set_pairs(wm_machine *m, wm_pickle_node *const *items, size_t count)
{
    wm_pickle_node *to = top(m);
    if (!to || !check_pairs(m, items, count))
        return false;
    if (to->kind == WM_PICKLE_CALL) {
        wm_pickle_extra *extra = extra_of(m, to);
        if (!extra->pairs)
            extra->pairs = new_list(m, WM_PICKLE_DICT, NULL, 0);
        to = extra->pairs;
    } else if (to->kind != WM_PICKLE_DICT) {
        return wm_machine_bad(m, "what it sets a key of is no dict");
    }
    list_append(m, to, items, count);
    return true;
}

static bool op_setitem(wm_machine *m, uint8_t byte)
{
    (void)byte;
    if (m->depth - fence(m) < 3)
        return wm_machine_bad(m, "nothing on the stack");
    m->depth -= 2;
    return set_pairs(m, m->stack + m->depth, 2);
}

static bool op_setitems(wm_machine *m, uint8_t byte)
{
    (void)byte;
    size_t count;
    wm_pickle_node **items = pop_mark(m, &count);
    return items && set_pairs(m, items, count);
}

/* ---- memo ---- */

static void memo_put(wm_machine *m, uint64_t index, wm_pickle_node *node)
{
    wm_memo *memo = &m->memo;
    uint32_t far = memo->sparse.count ? wm_map_get(&memo->sparse, &index, sizeof index) : WM_MAP_NONE;
    if (index < memo->size || index <= (uint64_t)memo->count * 2 + 1024) {
        if (index >= memo->size)
            memo->dense = wm_grow(&m->p->work, memo->dense, memo->size, (size_t)index + 1, &memo->size,
                                  sizeof *memo->dense);
        memo->count += !memo->dense[index] && far == WM_MAP_NONE;
        memo->dense[index] = node; /* from now on this one counts, not the map's */
        return;
    }
    if (far != WM_MAP_NONE) {
        memo->far[far] = node;
        return;
    }
    uint64_t *key = wm_new(&m->p->work, uint64_t, 1);
    *key = index;
    wm_map_put(&memo->sparse, key, sizeof *key, (uint32_t)memo->far_count, NULL);
    wm_pickle_node **slot = wm_push(&m->p->work, memo->far, memo->far_count, memo->far_cap);
    *slot = node;
    memo->count++;
}

/* PUT, BINPUT, LONG_BINPUT, MEMOIZE */
static bool op_put(wm_machine *m, uint8_t byte)
{
    int64_t index = 0;
    if (byte == 'p') {
        size_t len;
        const char *text = wm_machine_number(m, &len);
        if (!text)
            return false;
        if (wm_machine_parse_int(text, len, &index) != 1 || index < 0)
            return wm_machine_bad(m, "not an index");
    } else {
        index = byte == 'q' ? wm_take_u8(m->c) : byte == 'r' ? wm_take_u32(m->c) : (int64_t)m->memo.count;
    }
    wm_pickle_node *node = top(m);
    if (node && !m->c->failed)
        memo_put(m, (uint64_t)index, node);
    return node != NULL;
}

/* GET, BINGET, LONG_BINGET */
static bool op_get(wm_machine *m, uint8_t byte)
{
    int64_t value = 0;
    if (byte == 'g') {
        size_t len;
        const char *text = wm_machine_number(m, &len);
        if (!text)
            return false;
        if (wm_machine_parse_int(text, len, &value) != 1 || value < 0)
            return wm_machine_bad(m, "not an index");
    } else {
        value = byte == 'h' ? wm_take_u8(m->c) : wm_take_u32(m->c);
    }
    const wm_memo *memo = &m->memo;
    uint64_t index = (uint64_t)value;
    wm_pickle_node *node = index < memo->size ? memo->dense[index] : NULL;
    if (!node && memo->sparse.count) {
        uint32_t far = wm_map_get(&memo->sparse, &index, sizeof index);
        node = far == WM_MAP_NONE ? NULL : memo->far[far];
    }
    if (!node && !m->c->failed)
        return wm_machine_bad(m, "nothing was kept under this index");
    return !node || wm_machine_push(m, node);
}

/* ---- objects ---- */

static bool push_global(wm_machine *m, const char *module, size_t module_len, const char *name,
                        size_t name_len)
{
    wm_pickle_node *node = wm_machine_node(m, WM_PICKLE_GLOBAL);
    node->as.global.module = module;
    node->as.global.module_len = module_len;
    node->as.global.name = name;
    node->as.global.name_len = name_len;
    wm_pickle_node **slot = wm_push(&m->p->arena, m->p->globals, m->p->global_count, m->p->global_cap);
    *slot = node;
    return wm_machine_push(m, node);
}

static bool op_global(wm_machine *m, uint8_t byte)
{
    (void)byte;
    size_t module_len, name_len;
    const char *module = wm_machine_line(m, &module_len);
    const char *name = module ? wm_machine_line(m, &name_len) : NULL;
    return name && push_global(m, module, module_len, name, name_len);
}

static bool op_stack_global(wm_machine *m, uint8_t byte)
{
    (void)byte;
    wm_pickle_node *name = pop(m), *module = name ? pop(m) : NULL;
    if (!module)
        return false;
    if (name->kind != WM_PICKLE_TEXT || module->kind != WM_PICKLE_TEXT || name->escaped || module->escaped)
        return wm_machine_bad(m, "module and name are no text");
    return push_global(m, module->as.text.bytes, module->as.text.len, name->as.text.bytes, name->as.text.len);
}

static bool push_call(wm_machine *m, wm_pickle_node *callable, wm_pickle_node *args, wm_pickle_node *named,
                      bool made)
{
    if (callable->kind != WM_PICKLE_GLOBAL && callable->kind != WM_PICKLE_CALL &&
        callable->kind != WM_PICKLE_PERSISTENT)
        return wm_machine_bad(m, "what it calls is neither a class nor a function");
    if (args->kind != WM_PICKLE_TUPLE)
        return wm_machine_bad(m, "the arguments are no tuple");
    if (named && named->kind != WM_PICKLE_DICT)
        return wm_machine_bad(m, "the named arguments are no dict");
    wm_pickle_node *node = wm_machine_node(m, WM_PICKLE_CALL);
    node->made = made;
    node->as.call.callable = callable;
    node->as.call.args = args;
    if (named)
        extra_of(m, node)->named = named;
    return wm_machine_push(m, node);
}

/* REDUCE, NEWOBJ, NEWOBJ_EX */
static bool op_call(wm_machine *m, uint8_t byte)
{
    wm_pickle_node *named = NULL;
    if (byte == 0x92 && !(named = pop(m)))
        return false;
    wm_pickle_node *args = pop(m), *callable = args ? pop(m) : NULL;
    return callable && push_call(m, callable, args, named, byte != 'R');
}

/* OBJ: class and arguments from the mark on. INST: the class by name, arguments from the mark on. */
static bool op_instance(wm_machine *m, uint8_t byte)
{
    if (byte == 'i') {
        if (!op_global(m, byte))
            return false;
        m->depth--;
    }
    wm_pickle_node *callable = byte == 'i' ? m->stack[m->depth] : NULL;
    size_t count;
    wm_pickle_node **items = pop_mark(m, &count);
    if (!items)
        return false;
    if (!callable) {
        if (!count)
            return wm_machine_bad(m, "no class behind the mark");
        callable = *items++;
        count--;
    }
    return push_call(m, callable, new_list(m, WM_PICKLE_TUPLE, items, count), NULL, false);
}

static bool op_build(wm_machine *m, uint8_t byte)
{
    (void)byte;
    wm_pickle_node *state = pop(m), *object = state ? top(m) : NULL;
    if (!object)
        return false;
    if (object->kind != WM_PICKLE_CALL)
        return wm_machine_bad(m, "what it gives a state to is no object");
    if (object->as.call.state)
        return wm_machine_bad(m, "gives a second state to an object");
    object->as.call.state = state;
    return true;
}

static bool op_persistent(wm_machine *m, uint8_t byte)
{
    if (byte == 'P') {
        size_t len;
        const char *text = wm_machine_line(m, &len);
        if (!text)
            return false;
        wm_machine_push_text(m, WM_PICKLE_TEXT, text, len);
    }
    wm_pickle_node *id = pop(m);
    if (!id)
        return false;
    wm_pickle_node *node = wm_machine_node(m, WM_PICKLE_PERSISTENT);
    node->as.id = id;
    wm_pickle *p = m->p;
    *wm_push(&p->arena, p->persistents, p->persistent_count, p->persistent_cap) = node;
    return wm_machine_push(m, node);
}

static const opcode opcodes[256] = {
    [0x80] = {"PROTO", op_proto},
    [0x95] = {"FRAME", op_frame},
    ['.'] = {"STOP", op_stop},
    ['('] = {"MARK", op_mark},
    ['1'] = {"POP_MARK", op_pop_mark},
    ['0'] = {"POP", op_pop},
    ['2'] = {"DUP", op_dup},
    ['N'] = {"NONE", op_none},
    [0x88] = {"NEWTRUE", op_bool},
    [0x89] = {"NEWFALSE", op_bool},
    ['I'] = {"INT", wm_op_int_text},
    ['L'] = {"LONG", wm_op_int_text},
    ['J'] = {"BININT", wm_op_int},
    ['K'] = {"BININT1", wm_op_int},
    ['M'] = {"BININT2", wm_op_int},
    [0x8a] = {"LONG1", wm_op_long},
    [0x8b] = {"LONG4", wm_op_long},
    ['F'] = {"FLOAT", wm_op_float},
    ['G'] = {"BINFLOAT", wm_op_float},
    ['S'] = {"STRING", wm_op_string},
    ['T'] = {"BINSTRING", wm_op_counted},
    ['U'] = {"SHORT_BINSTRING", wm_op_counted},
    ['V'] = {"UNICODE", wm_op_unicode},
    ['X'] = {"BINUNICODE", wm_op_counted},
    [0x8c] = {"SHORT_BINUNICODE", wm_op_counted},
    [0x8d] = {"BINUNICODE8", wm_op_counted},
    ['B'] = {"BINBYTES", wm_op_counted},
    ['C'] = {"SHORT_BINBYTES", wm_op_counted},
    [0x8e] = {"BINBYTES8", wm_op_counted},
    [0x96] = {"BYTEARRAY8", wm_op_counted},
    [0x97] = {"NEXT_BUFFER", op_out_of_band},
    [0x98] = {"READONLY_BUFFER", op_out_of_band},
    [']'] = {"EMPTY_LIST", op_empty},
    [')'] = {"EMPTY_TUPLE", op_empty},
    ['}'] = {"EMPTY_DICT", op_empty},
    [0x8f] = {"EMPTY_SET", op_empty},
    ['l'] = {"LIST", op_from_mark},
    ['t'] = {"TUPLE", op_from_mark},
    ['d'] = {"DICT", op_from_mark},
    [0x91] = {"FROZENSET", op_from_mark},
    [0x85] = {"TUPLE1", op_tuple},
    [0x86] = {"TUPLE2", op_tuple},
    [0x87] = {"TUPLE3", op_tuple},
    ['a'] = {"APPEND", op_append},
    ['e'] = {"APPENDS", op_add_marked},
    [0x90] = {"ADDITEMS", op_add_marked},
    ['s'] = {"SETITEM", op_setitem},
    ['u'] = {"SETITEMS", op_setitems},
    ['p'] = {"PUT", op_put},
    ['q'] = {"BINPUT", op_put},
    ['r'] = {"LONG_BINPUT", op_put},
    [0x94] = {"MEMOIZE", op_put},
    ['g'] = {"GET", op_get},
    ['h'] = {"BINGET", op_get},
    ['j'] = {"LONG_BINGET", op_get},
    ['c'] = {"GLOBAL", op_global},
    [0x93] = {"STACK_GLOBAL", op_stack_global},
    [0x82] = {"EXT1", op_extension},
    [0x83] = {"EXT2", op_extension},
    [0x84] = {"EXT4", op_extension},
    ['R'] = {"REDUCE", op_call},
    [0x81] = {"NEWOBJ", op_call},
    [0x92] = {"NEWOBJ_EX", op_call},
    ['i'] = {"INST", op_instance},
    ['o'] = {"OBJ", op_instance},
    ['b'] = {"BUILD", op_build},
    ['P'] = {"PERSID", op_persistent},
    ['Q'] = {"BINPERSID", op_persistent},
};

/* One opcode; an opcode may not reach over the end of its frame. */
static bool step(wm_machine *m)
{
    wm_cursor *c = m->c;
    if (m->frame_end == c->at)
        m->frame_end = WM_NO_FRAME;
    m->at = wm_cursor_offset(c);
    m->opcode = "end of file";
    if (!wm_cursor_left(c)) {
        m->p->cut = true;
        return wm_machine_bad(m, "cut off before its STOP");
    }
    uint64_t frame_end = m->frame_end;
    uint8_t byte = wm_take_u8(c);
    const opcode *op = &opcodes[byte];
    if (!op->run) {
        m->opcode = "not a pickle";
        wm_fail(m->err, WMAP_E_CORRUPT, "pickle: byte 0x%02x is no opcode", byte);
        return wm_error_offset(m->err, m->at);
    }
    m->opcode = op->name;
    if (!op->run(m, byte))
        return false;
    if (c->failed) {
        m->p->cut = true;
        return wm_machine_bad(m, "cut off in its argument");
    }
    if (frame_end != WM_NO_FRAME && c->at > frame_end)
        return wm_machine_bad(m, "reaches over the end of its frame");
    return true;
}

static bool run(wm_machine *m)
{
    uint64_t room = WM_PICKLE_ROOM + WM_PICKLE_RATIO * (uint64_t)wm_cursor_left(m->c);
    if (room > WM_PICKLE_MEMORY)
        room = WM_PICKLE_MEMORY;
    /* The trees of all pickles of a file together, else a million small ones would have room each. */
    if (m->p->room < room)
        m->p->room = room;
    for (uint64_t count = 0; !m->result; count++) {
        if (!step(m))
            return false;
        if (count >= WM_PICKLE_OPCODES)
            return wm_machine_refuse(m, "more than 100000000 opcodes");
        if (m->p->arena.used + m->p->work.used > m->p->room)
            return wm_machine_refuse(m, "holds far more objects than its size allows for");
    }
    return true;
}

/* What read() gave before stays; the stack and the memo go. */
static void finish(wm_pickle *pickle)
{
    pickle->arena.jump = NULL;
    wm_arena_release(&pickle->work);
}

static wm_pickle_node *out_of_memory(wm_pickle *pickle, wmap_error *err)
{
    finish(pickle);
    wm_fail(err, WMAP_E_NOMEM, "out of memory while reading a pickle");
    return NULL;
}

wm_pickle_node *wm_pickle_read(wm_pickle *pickle, wm_cursor *cursor, wmap_error *err)
{
    if (setjmp(*wm_arena_oom(&pickle->arena)))
        return out_of_memory(pickle, err);
    if (setjmp(*wm_arena_oom(&pickle->work)))
        return out_of_memory(pickle, err);
    pickle->cut = false;
    if (!pickle->shared)
        pickle->shared = wm_new(&pickle->arena, struct wm_pickle_shared, 1);
    wm_machine *m = wm_new(&pickle->work, wm_machine, 1);
    m->p = pickle;
    m->c = cursor;
    m->err = err;
    m->frame_end = WM_NO_FRAME;
    m->stack = wm_grow(&pickle->work, NULL, 0, 64, &m->stack_cap, sizeof *m->stack);
    wm_map_init(&m->memo.sparse, &pickle->work, 0);
    wm_pickle_node *root = run(m) ? m->result : NULL;
    finish(pickle);
    return root;
}
