/* Fuzz target: any bytes as a row of pickles, and every question to what they give. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "runtime/formats/pickle.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void ask(wm_arena *arena, wm_pickle_node *node)
{
    char name[600];
    const char *raw;
    size_t len;
    wm_pickle_node *key, *value;
    wm_pickle_name(node, name, sizeof name);
    wm_pickle_bytes(arena, node, &raw, &len);
    wm_pickle_get(node, "state_dict");
    const wm_pickle_node *mapping = wm_pickle_mapping(node);
    for (size_t i = 0; mapping && i < wm_pickle_pair_count(mapping); i++)
        if (wm_pickle_pair(mapping, i, &key, &value))
            wm_pickle_name(value, name, sizeof name);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    wm_pickle pickle;
    wm_arena arena;
    wm_pickle_init(&pickle);
    wm_arena_init(&arena);
    wm_cursor cursor = wm_cursor_of(bytes, size, 0);
    wmap_error err = {0};
    while (wm_cursor_left(&cursor)) {
        wm_pickle_node *root = wm_pickle_read(&pickle, &cursor, &err);
        if (!root) {
            /* Every failure says why and where. */
            if (err.code == WMAP_OK || !err.message[0] || (!err.has_offset && err.code != WMAP_E_NOMEM))
                abort();
            break;
        }
        ask(&arena, root);
        if (root->kind >= WM_PICKLE_TUPLE && root->kind <= WM_PICKLE_FROZENSET)
            for (size_t i = 0; i < root->as.list.count; i++)
                ask(&arena, root->as.list.items[i]);
    }
    wm_pickle_release(&pickle);
    wm_arena_release(&arena);
    return 0;
}
