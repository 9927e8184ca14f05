/* tf_graph.c: the object graph of TensorFlow's object-based checkpoints, as far as it says how a variable is
 * called: the name that a name-based checkpoint would have given it. Nothing else of the graph is used, so
 * cycles and numbers of nodes that aren't there do no harm. */
#include <string.h>

#include "runtime/formats/tf.h"

typedef struct naming {
    wmap_archive *archive;
    wm_arena scratch;
    wm_map names; /* full name -> the first entry that has it */
    wm_tf_same *same;
    wmap_error *err; /* memory only */
    bool oom;
} naming;

static void name_entry(naming *n, const char *key, size_t key_len, const char *full, size_t full_len)
{
    uint32_t index = wm_map_get(&n->archive->names, key, key_len);
    if (index == WM_MAP_NONE || full_len == 0)
        return;
    uint32_t first = wm_map_put(&n->names, full, full_len, index, &n->oom);
    bool copy = first != WM_MAP_NONE && first != index && n->same(n->archive, first, index);
    if (!n->oom && !copy)
        n->oom = !wm_archive_alias(n->archive, &n->archive->entries[index], full, full_len, n->err);
}

/* SerializedTensor: 1 name, 2 full_name, 3 checkpoint_key. */
static bool read_attribute(naming *n, wm_tf_input *in)
{
    const char *full = NULL, *key = NULL;
    size_t full_len = 0, key_len = 0;
    wm_tf_fields f = wm_tf_message(in);
    while (wm_tf_next(in, &f)) {
        if (wm_tf_is(&f, 2, WM_TF_BYTES))
            full = wm_tf_copy(in, &n->scratch, WM_TF_TEXT, &full_len);
        else if (wm_tf_is(&f, 3, WM_TF_BYTES))
            key = wm_tf_copy(in, &n->scratch, WM_TF_TEXT, &key_len);
    }
    if (!in->failed && full && key)
        name_entry(n, key, key_len, full, full_len);
    return !in->failed;
}

/* TrackableObjectGraph: 1 repeated node {2 repeated attribute}. */
static bool read_graph(naming *n, wm_tf_input *in)
{
    wm_tf_fields f = wm_tf_message(in);
    while (!n->oom && wm_tf_next(in, &f)) {
        if (!wm_tf_is(&f, 1, WM_TF_BYTES))
            continue;
        wm_tf_fields node = wm_tf_message(in);
        while (!n->oom && wm_tf_next(in, &node))
            if (wm_tf_is(&node, 2, WM_TF_BYTES) && !read_attribute(n, in))
                return false;
    }
    return !in->failed;
}

bool wm_tf_add_full_names(wmap_archive *archive, const uint8_t *graph, size_t size, wm_tf_same *same,
                          wmap_error *err)
{
    wmap_error failure = {0};
    naming n = {.archive = archive, .same = same, .err = err};
    wm_arena_init(&n.scratch);
    wm_map_init(&n.names, &n.scratch, 0);
    wm_tf_input in = wm_tf_memory(archive, 0, graph, size, 0, &failure);
    bool sound = read_graph(&n, &in);
    if (!sound && failure.code == WMAP_E_NOMEM)
        n.oom = true;
    if (!sound && !n.oom)
        wm_archive_warn(archive, "its object graph is damaged (%s), so variables may lack full names",
                        failure.message);
    wm_arena_release(&n.scratch);
    return !n.oom || wm_fail(err, WMAP_E_NOMEM, "out of memory");
}
