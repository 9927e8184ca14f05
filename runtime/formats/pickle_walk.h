/* pickle_walk.h: walks the object that a pickle holds and names what it finds there: keys of dicts, indices
 * of lists and attributes of objects, joined by ".". What a tensor is, and which objects are walked in a way
 * of their own, is for the formats to say.
 *
 *     wm_walk walk;
 *     wm_walk_init(&walk, archive, &pickle, bytes_of_the_pickle, err);
 *     walk.leaf = ...; walk.known = ...;
 *     ok = wm_walk_root(&walk, root, NULL) && wm_walk_end(&walk);
 *
 * Memory of a walk is the pickle's. */
#ifndef WM_PICKLE_WALK_H
#define WM_PICKLE_WALK_H

#include "runtime/archive.h"
#include "runtime/formats/pickle.h"

#define WM_WALK_DEPTH 256 /* of dicts, lists and objects inside of each other */

typedef enum wm_walked { WM_WALKED_NOTHING, WM_WALKED_TENSOR, WM_WALKED_ERROR } wm_walked;

typedef struct wm_walk {
    wmap_archive *archive;
    wm_pickle *pickle;
    wmap_error *err;
    void *context; /* the format's own */
    /* For a CALL or PERSISTENT: adds its entry if it is a tensor. */
    wm_walked (*leaf)(struct wm_walk *walk, const wm_pickle_node *node);
    /* MAY: walks an object that is no tensor in a way of its own, with wm_walk_child and wm_walk_into. */
    wm_walked (*object)(struct wm_walk *walk, const wm_pickle_node *node);
    /* Is this a class or function that such files are made of? All others are told of in one warning. */
    bool (*known)(const wm_pickle_node *global);
    bool list_foreign; /* objects of other classes in which no tensor is found become opaque entries */

    char *path; /* the name so far */
    size_t len, cap;
    size_t keys;    /* parts of it */
    size_t entries; /* the archive's before the walk */
    size_t depth;
    uint64_t steps, max_steps;
    struct wm_walk_foreign *foreign; /* objects to list at the end */
    size_t foreign_count, foreign_cap;
} wm_walk;

void wm_walk_init(wm_walk *walk, wmap_archive *archive, wm_pickle *pickle, uint64_t pickle_size,
                  wmap_error *err);

/* Walks `root`, under `key` if that isn't NULL. A tensor that is all there is, is called "0". */
bool wm_walk_root(wm_walk *walk, wm_pickle_node *root, const wm_pickle_node *key);

/* Lists foreign objects, with one warning about classes that are not known; if no entry was added, an error
 * that names the first. */
bool wm_walk_end(wm_walk *walk);

/* Walks `node` under the present name and `key`. */
bool wm_walk_child(wm_walk *walk, const wm_pickle_node *key, wm_pickle_node *node);
bool wm_walk_item(wm_walk *walk, uint64_t index, wm_pickle_node *node);

/* Walks `node` under the present name: what it stands in adds nothing to it. */
bool wm_walk_into(wm_walk *walk, wm_pickle_node *node);

/* Its keys, its items. */
bool wm_walk_mapping(wm_walk *walk, const wm_pickle_node *mapping);
bool wm_walk_list(wm_walk *walk, const wm_pickle_node *list);

/* Remembers an object that isn't read, under the present name, to be listed with `note` (NULL: its class). */
bool wm_walk_foreign(wm_walk *walk, const wm_pickle_node *node, const char *note);

/* Appends to the present name; who does it sets `len` back. */
bool wm_walk_name(wm_walk *walk, const wm_pickle_node *node, const char *bytes, size_t len);

/* Fails with the present name and the offset of `node`; returns false. */
bool wm_walk_fail(wm_walk *walk, wmap_code code, const wm_pickle_node *node, const char *what);
bool wm_walk_bad(wm_walk *walk, const wm_pickle_node *node, const char *what); /* CORRUPT */
bool wm_walk_nomem(wm_walk *walk);

#endif
