/* tf_table.h: LevelDB's sorted table, in which TensorFlow keeps the index of a checkpoint (V2) or all of it
 * (V1): blocks of keys and values, each with a CRC-32C, found by an index block that a footer names. */
#ifndef WM_FORMATS_TF_TABLE_H
#define WM_FORMATS_TF_TABLE_H

#include "runtime/formats/tf_input.h"

/* Where a block stands; one byte of kind and four of CRC follow its `size` bytes. */
typedef struct wm_table_block {
    uint64_t offset, size;
} wm_table_block;

typedef struct wm_table {
    wmap_archive *archive;
    uint32_t file;
    wm_arena *arena; /* does not jump */
    wm_table_block *blocks;
    const char **last; /* of each block: a key that is not below its keys */
    size_t *last_len;
    size_t count, cap, last_cap, len_cap;
} wm_table;

/* An entry. The value stands at value->at, up to value->limit. */
typedef struct wm_table_entry {
    const uint8_t *key;
    size_t key_len;
    size_t block; /* index in table->blocks */
    bool packed;  /* the block is compressed */
    wm_tf_input *value;
} wm_table_entry;

typedef bool wm_table_each(void *user, wm_table_entry *entry, wmap_error *err);

/* Does the file end as a table does? */
bool wm_table_looks(wmap_archive *archive, uint32_t file);

/* Reads footer and index block. Blocks and keys go into `arena`. */
bool wm_table_open(wm_table *table, wmap_archive *archive, uint32_t file, wm_arena *arena, wmap_error *err);

/* Calls `each` for all entries in order. CRCs of all blocks are checked if `check`, else only those of
 * compressed ones. Keys must ascend. */
bool wm_table_scan(wm_table *table, bool check, wm_table_each *each, void *user, wmap_error *err);

/* The same for one block. */
bool wm_table_scan_block(wm_table *table, size_t block, bool check, wm_table_each *each, void *user,
                         wmap_error *err);

/* The CRC that a block states, of its bytes and its kind. */
bool wm_table_sum(const wm_table *table, size_t block, wm_sum *sum, wmap_error *err);

#endif
