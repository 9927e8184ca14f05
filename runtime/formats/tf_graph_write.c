/* tf_graph_write.c: the object graph of a checkpoint, from the names of its variables. tf.train.Checkpoint
 * restores by it: each name is the path of attributes on which the variable is found, so the names hold all
 * that it asks for. */
#include <string.h>

#include "runtime/formats/tf_write.h"

#define ATTRIBUTES "/.ATTRIBUTES/"
#define SLOT       "/.OPTIMIZER_SLOT/"
#define NONE       UINT32_MAX

/* What belongs to a node: a child, or a variable that an optimizer keeps for another one. */
typedef struct edge {
    struct edge *next;
    uint32_t node, variable; /* `variable` of slots only */
    const char *name;        /* as it stands in the path, escaped */
    size_t len;
} edge;

typedef struct attribute {
    struct attribute *next;
    const char *key, *name; /* the variable's name, and the end of it that is the attribute's */
    size_t key_len, len;
} attribute;

typedef struct node {
    edge *children, *last_child, *slots, *last_slot;
    attribute *attributes;
} node;

typedef struct graph {
    wm_arena scratch; /* does not jump */
    wm_map paths;     /* number of a node and a name -> the number of that child */
    node *nodes;
    size_t count, cap;
    bool oom;
} graph;

static uint32_t add_node(graph *g)
{
    node *n = g->count < NONE ? wm_push(&g->scratch, g->nodes, g->count, g->cap) : NULL;
    if (!n) {
        g->oom = true;
        return 0;
    }
    memset(n, 0, sizeof *n);
    return (uint32_t)g->count - 1;
}

static edge *add_edge(graph *g, edge **first, edge **last)
{
    edge *e = wm_new(&g->scratch, edge, 1);
    if (!e) {
        g->oom = true;
        return NULL;
    }
    if (*last)
        (*last)->next = e;
    else
        *first = e;
    return *last = e;
}

static uint32_t child_of(graph *g, uint32_t parent, const char *name, size_t len)
{
    char *key = g->oom ? NULL : wm_alloc(&g->scratch, sizeof parent + len);
    if (!key) {
        g->oom = true;
        return 0;
    }
    memcpy(key, &parent, sizeof parent);
    memcpy(key + sizeof parent, name, len);
    uint32_t found = wm_map_get(&g->paths, key, sizeof parent + len);
    if (found != WM_MAP_NONE)
        return found;
    uint32_t made = add_node(g);
    edge *e = g->oom ? NULL : add_edge(g, &g->nodes[parent].children, &g->nodes[parent].last_child);
    if (!e)
        return 0;
    *e = (edge){.node = made, .name = name, .len = len};
    wm_map_put(&g->paths, key, sizeof parent + len, made, &g->oom);
    return made;
}

/* The node at the end of a path. */
static uint32_t walk(graph *g, const char *path, size_t len)
{
    uint32_t at = 0;
    for (size_t begin = 0; begin < len && !g->oom;) {
        const char *slash = memchr(path + begin, '/', len - begin);
        size_t end = slash ? (size_t)(slash - path) : len;
        at = child_of(g, at, path + begin, end - begin);
        begin = end + 1;
    }
    return at;
}

/* A variable of an optimizer: VARIABLE /.OPTIMIZER_SLOT/ OPTIMIZER / SLOT. It is nobody's child. */
static uint32_t add_slot(graph *g, const char *path, size_t len, const char *mark)
{
    size_t variable_len = (size_t)(mark - path);
    const char *rest = mark + strlen(SLOT), *end = path + len;
    const char *slash = memrchr(rest, '/', (size_t)(end - rest));
    const char *slot = slash ? slash + 1 : rest;
    uint32_t variable = walk(g, path, variable_len);
    uint32_t optimizer = slash ? walk(g, rest, (size_t)(slash - rest)) : 0;
    uint32_t made = add_node(g);
    edge *e = g->oom ? NULL : add_edge(g, &g->nodes[optimizer].slots, &g->nodes[optimizer].last_slot);
    if (e)
        *e = (edge){.node = made, .variable = variable, .name = slot, .len = (size_t)(end - slot)};
    return made;
}

static void add_variable(graph *g, const char *name, size_t len)
{
    const char *mark = NULL;
    size_t most = strlen(ATTRIBUTES);
    /* the last one: names before it are escaped, so that they hold none */
    for (const char *at = name; (at = memmem(at, len - (size_t)(at - name), ATTRIBUTES, most)); at++)
        mark = at;
    if (!mark)
        return;
    size_t path = (size_t)(mark - name);
    const char *slot = memmem(name, path, SLOT, strlen(SLOT));
    if (!g->count)
        add_node(g); /* the root */
    uint32_t at = slot ? add_slot(g, name, path, slot) : walk(g, name, path);
    attribute *a = g->oom ? NULL : wm_new(&g->scratch, attribute, 1);
    if (!a) {
        g->oom = true;
        return;
    }
    *a = (attribute){g->nodes[at].attributes, name, mark + most, len, len - path - most};
    g->nodes[at].attributes = a;
}

/* ---- messages: first their sizes, then their bytes ---- */

/* In a path ".." stands for "." and ".S" for "/"; `out` may be NULL. */
static size_t unescape(const char *name, size_t len, char *out)
{
    size_t size = 0;
    for (size_t i = 0; i < len; i++) {
        char c = name[i];
        if (c == '.' && i + 1 < len && (name[i + 1] == '.' || name[i + 1] == 'S'))
            c = name[++i] == 'S' ? '/' : '.';
        if (out)
            out[size] = c;
        size++;
    }
    return size;
}

static size_t field_size(size_t size)
{
    return 1 + wm_tf_varint_size(size) + size;
}

/* A number of field 1 to 15; proto3 leaves 0 out. */
static size_t number_size(uint32_t value)
{
    return value ? 1 + wm_tf_varint_size(value) : 0;
}

static void put_number(wm_text *t, unsigned field, uint32_t value)
{
    if (value) {
        wm_tf_put_varint(t, field << 3);
        wm_tf_put_varint(t, value);
    }
}

static size_t edge_size(const edge *e, bool slot)
{
    return number_size(slot ? e->variable : e->node) + field_size(unescape(e->name, e->len, NULL)) +
           (slot ? number_size(e->node) : 0);
}

static size_t attribute_size(const attribute *a)
{
    return field_size(a->len) + field_size(a->key_len);
}

static size_t node_size(const node *n)
{
    size_t size = 0;
    for (const edge *e = n->children; e; e = e->next)
        size += field_size(edge_size(e, false));
    for (const attribute *a = n->attributes; a; a = a->next)
        size += field_size(attribute_size(a));
    for (const edge *e = n->slots; e; e = e->next)
        size += field_size(edge_size(e, true));
    return size;
}

/* ObjectReference: 1 node_id, 2 local_name. SlotVariableReference: 1 original_variable_node_id, 2 slot_name,
 * 3 slot_variable_node_id. */
static void put_edge(wm_text *t, graph *g, const edge *e, bool slot)
{
    size_t len = unescape(e->name, e->len, NULL);
    char *name = wm_alloc(&g->scratch, len + 1);
    if (!name) {
        t->oom = true;
        return;
    }
    unescape(e->name, e->len, name);
    wm_tf_put_head(t, slot ? 3 : 1, edge_size(e, slot));
    put_number(t, 1, slot ? e->variable : e->node);
    wm_tf_put_head(t, 2, len);
    wm_text_bytes(t, name, len);
    if (slot)
        put_number(t, 3, e->node);
}

/* TrackableObject: 1 children, 2 attributes (1 name, 3 checkpoint_key), 3 slot_variables. */
static void put_node(wm_text *t, graph *g, const node *n)
{
    wm_tf_put_head(t, 1, node_size(n));
    for (const edge *e = n->children; e; e = e->next)
        put_edge(t, g, e, false);
    for (const attribute *a = n->attributes; a; a = a->next) {
        wm_tf_put_head(t, 2, attribute_size(a));
        wm_tf_put_head(t, 1, a->len);
        wm_text_bytes(t, a->name, a->len);
        wm_tf_put_head(t, 3, a->key_len);
        wm_text_bytes(t, a->key, a->key_len);
    }
    for (const edge *e = n->slots; e; e = e->next)
        put_edge(t, g, e, true);
}

bool wm_tf_graph_of(const wm_writer *writer, const char *more, wm_text *text, wmap_error *err)
{
    graph g = {.count = 0};
    wm_arena_init(&g.scratch);
    wm_map_init(&g.paths, &g.scratch, 0);
    for (size_t i = 0; i < writer->count && !g.oom; i++)
        add_variable(&g, writer->targets[i].tensor.name, writer->targets[i].tensor.name_len);
    if (g.count && more)
        add_variable(&g, more, strlen(more));
    for (size_t i = 0; i < g.count && !g.oom && !text->oom; i++)
        put_node(text, &g, &g.nodes[i]);
    bool ok = !g.oom && !text->oom;
    wm_arena_release(&g.scratch);
    return ok || wm_fail(err, WMAP_E_NOMEM, "out of memory");
}
