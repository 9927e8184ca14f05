/* shards.h: outputs cut into files as Hugging Face's libraries do it: NAME-00001-of-00003.SUFFIX and so on,
 * and NAME.SUFFIX.index.json, which says where each tensor is. */
#ifndef WM_SHARDS_H
#define WM_SHARDS_H

#include "runtime/archive.h"
#include "runtime/text_out.h"

typedef struct wm_shards {
    uint32_t count;
    const char **names;     /* of the files; of one alone it may be NULL: the output's path itself */
    const char *whole;      /* the name that a file alone has */
    const char *index_name; /* of the index */
    wm_text index;          /* what stands in it; empty if there is one file */
} wm_shards;

/* Deals the targets out to files of at most writer->shard_size bytes of data, in their order, a larger one
 * alone: sets their `file`, and how many files there are. Without shard_size there is one. */
bool wm_shards_count(wm_writer *writer, uint32_t *count, wmap_error *err);

/* The same, with the names that the files get; `suffix` is what these end in. */
bool wm_shards_deal(wm_writer *writer, const char *suffix, wm_shards *shards, wmap_error *err);

/* Adds the parts; the file of number i has sizes[i] bytes. */
bool wm_shards_add_parts(wm_writer *writer, const wm_shards *shards, const uint64_t *sizes, wmap_error *err);

/* Puts the index, if there is one. */
bool wm_shards_finish(wm_writer *writer, const wm_shards *shards, wmap_error *err);

#endif
