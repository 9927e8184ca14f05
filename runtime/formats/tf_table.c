/* tf_table.c: see tf_table.h. Blocks are read through a window where they stand, so that a block of gigabytes
 * (a tensor of V1 is one value) costs no memory; only compressed ones are unpacked, whole and bounded. */
#include "runtime/formats/tf_table.h"

#include <snappy-c.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/size.h"
#include "runtime/crc.h"

#define FOOTER       ((uint64_t)48)
#define TRAILER      ((uint64_t)5) /* kind and CRC behind a block */
#define MAX_RESTARTS ((size_t)8 << 20)
#define MAX_BLOCKS   (4 * WM_MAX_TENSORS)
#define SNAPPY_RATIO 24 /* a copy of 64 bytes takes 3 */

static const uint8_t magic[8] = {0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb};

/* A walk over blocks. */
typedef struct scan {
    wm_table *table;
    wm_tf_input in;
    uint8_t *window;
    uint8_t *unpacked;  /* a compressed block's bytes */
    uint32_t *restarts; /* positions of entries that share nothing with the one before */
    size_t restart_count;
    uint64_t base;       /* position of the block's first entry */
    uint8_t *key, *next; /* the last key, and room for another one */
    size_t key_len;
    bool any; /* there was a key */
    bool packed;
    size_t block;
} scan;

bool wm_table_looks(wmap_archive *archive, uint32_t file)
{
    uint8_t bytes[sizeof magic];
    uint64_t size = archive->files[file].size;
    return size >= FOOTER && wm_archive_read(archive, file, size - sizeof magic, bytes, sizeof bytes, NULL) &&
           memcmp(bytes, magic, sizeof magic) == 0;
}

static bool fail(const wm_table *table, uint64_t offset, wmap_error *err, const char *what)
{
    wm_fail(err, WMAP_E_CORRUPT, "%s", what);
    wm_error_offset(err, offset);
    return wm_error_file(err, table->archive->files[table->file].path);
}

/* --- a block --- */

static bool sum_of(const wm_table *table, wm_table_block block, uint8_t *kind, wm_sum *sum, wmap_error *err)
{
    uint8_t trailer[TRAILER];
    if (!wm_archive_read(table->archive, table->file, block.offset + block.size, trailer, TRAILER, err))
        return false;
    *kind = trailer[0];
    uint32_t masked = (uint32_t)trailer[1] | (uint32_t)trailer[2] << 8 | (uint32_t)trailer[3] << 16 |
                      (uint32_t)trailer[4] << 24;
    *sum = (wm_sum){
        .begin = block.offset, .size = block.size + 1, .crc32 = wm_crc32c_unmask(masked), .castagnoli = true};
    return true;
}

bool wm_table_sum(const wm_table *table, size_t block, wm_sum *sum, wmap_error *err)
{
    uint8_t kind;
    return sum_of(table, table->blocks[block], &kind, sum, err);
}

static bool unpack(scan *s, wm_table_block block, wmap_error *err)
{
    const wm_table *table = s->table;
    size_t size = (size_t)block.size, full = 0;
    char *stored = block.size <= WM_MAX_HEADER ? malloc(size + 1) : NULL;
    bool ok =
        stored || (block.size > WM_MAX_HEADER
                       ? fail(table, block.offset, err, "a compressed block that is larger than wmap unpacks")
                       : wm_fail(err, WMAP_E_NOMEM, "out of memory"));
    ok = ok && wm_archive_read(table->archive, table->file, block.offset, stored, size, err);
    if (ok && (snappy_uncompressed_length(stored, size, &full) != SNAPPY_OK || full > WM_MAX_HEADER ||
               full / SNAPPY_RATIO > size))
        ok = fail(table, block.offset, err, "a compressed block whose length is a lie");
    if (ok) {
        s->unpacked = malloc(full + 1);
        ok = s->unpacked || wm_fail(err, WMAP_E_NOMEM, "out of memory");
    }
    if (ok && snappy_uncompress(stored, size, (char *)s->unpacked, &full) != SNAPPY_OK)
        ok = fail(table, block.offset, err, "a compressed block that is damaged");
    free(stored);
    s->in = wm_tf_memory(table->archive, table->file, s->unpacked, full, block.offset, err);
    return ok;
}

/* Reads the list of restarts at the block's end, and narrows the input to the entries. */
static bool load_restarts(scan *s, uint64_t at, wmap_error *err)
{
    uint64_t begin = s->in.at, end = s->in.limit;
    const uint8_t *p;
    uint64_t count = 0;
    if (end - begin >= 4) {
        s->in.at = end - 4;
        p = wm_tf_take(&s->in, 4);
        if (!p)
            return false;
        count = (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24;
    }
    if (end - begin < 4 || count > MAX_RESTARTS || 4 * (count + 1) > end - begin)
        return fail(s->table, at, err, "a block without a sound list of restarts");
    s->restarts = calloc((size_t)count + 1, sizeof *s->restarts);
    if (!s->restarts)
        return wm_fail(err, WMAP_E_NOMEM, "out of memory");
    s->in.at = end - 4 * (count + 1);
    for (uint64_t i = 0; i < count; i++) {
        p = wm_tf_take(&s->in, 4);
        if (!p)
            return false;
        s->restarts[i] = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    }
    s->restart_count = (size_t)count;
    s->in.at = s->base = begin;
    s->in.limit = end - 4 * (count + 1);
    return true;
}

static void close_block(scan *s)
{
    free(s->unpacked);
    free(s->restarts);
    s->unpacked = NULL;
    s->restarts = NULL;
}

static bool open_block(scan *s, wm_table_block block, bool check, wmap_error *err)
{
    const wm_table *table = s->table;
    uint64_t size = table->archive->files[table->file].size;
    if (block.offset > size - FOOTER || size - FOOTER - block.offset < TRAILER ||
        block.size > size - FOOTER - block.offset - TRAILER)
        return fail(table, block.offset, err, "a block that does not lie in the file");
    uint8_t kind;
    wm_sum sum;
    if (!sum_of(table, block, &kind, &sum, err))
        return false;
    if (kind > 1)
        return fail(table, block.offset + block.size, err, "a block that is compressed in an unknown way");
    s->packed = kind == 1;
    if ((check || s->packed) && !wm_archive_check_sum(table->archive, table->file, &sum, err))
        return false;
    if (s->packed && !unpack(s, block, err))
        return false;
    if (!s->packed)
        s->in =
            wm_tf_file(table->archive, table->file, block.offset, block.size, s->window, WM_TF_WINDOW, err);
    return load_restarts(s, block.offset, err);
}

/* --- entries --- */

/* Reads the next key. Keys ascend, so that a search for one means the same to every reader. */
static bool read_key(scan *s, uint64_t shared, uint64_t unshared)
{
    if (shared > s->key_len)
        return wm_tf_damaged(&s->in, "a key that shares more bytes than the one before it has");
    if (unshared > WM_TF_TEXT || shared + unshared > WM_TF_TEXT)
        return wm_tf_damaged(&s->in, "a key that is too long");
    if (shared)
        memcpy(s->next, s->key, (size_t)shared);
    size_t len = (size_t)shared, full = (size_t)(shared + unshared);
    while (len < full) {
        size_t step = full - len < WM_TF_WINDOW ? full - len : WM_TF_WINDOW;
        const uint8_t *bytes = wm_tf_take(&s->in, step);
        if (!bytes)
            return false;
        memcpy(s->next + len, bytes, step);
        len += step;
    }
    size_t least = full < s->key_len ? full : s->key_len;
    int order = least ? memcmp(s->next, s->key, least) : 0;
    if (s->any && (order < 0 || (order == 0 && full <= s->key_len)))
        return wm_tf_damaged(&s->in, "its keys do not ascend");
    uint8_t *swap = s->key;
    s->key = s->next;
    s->next = swap;
    s->key_len = full;
    s->any = true;
    return true;
}

static bool walk(scan *s, wm_table_each *each, void *user, wmap_error *err)
{
    uint64_t end = s->in.limit;
    size_t restart = 0;
    while (!s->in.failed && s->in.at < end) {
        bool here = restart < s->restart_count && s->restarts[restart] == s->in.at - s->base;
        if (s->in.at == s->base && !here)
            return wm_tf_damaged(&s->in, "a block without a sound list of restarts");
        uint64_t shared = wm_tf_varint(&s->in), unshared = wm_tf_varint(&s->in);
        uint64_t size = wm_tf_varint(&s->in);
        if (here && shared)
            return wm_tf_damaged(&s->in, "a block without a sound list of restarts");
        restart += here;
        if (s->in.failed || !read_key(s, shared, unshared))
            return false;
        if (size > end - s->in.at)
            return wm_tf_damaged(&s->in, "truncated: a value is longer than its block");
        uint64_t after = s->in.at + size;
        s->in.limit = after;
        wm_table_entry entry = {s->key, s->key_len, s->block, s->packed, &s->in};
        if (!each(user, &entry, err) || s->in.failed)
            return false;
        s->in.at = after;
        s->in.limit = end;
    }
    bool empty = end == s->base && s->restart_count == 1 && s->restarts[0] == 0;
    if (!s->in.failed && restart != s->restart_count && !empty)
        return wm_tf_damaged(&s->in, "a block without a sound list of restarts");
    return !s->in.failed;
}

static bool begin(scan *s, wm_table *table, wmap_error *err)
{
    *s = (scan){.table = table};
    s->window = malloc(WM_TF_WINDOW);
    s->key = malloc(WM_TF_TEXT);
    s->next = malloc(WM_TF_TEXT);
    return (s->window && s->key && s->next) || wm_fail(err, WMAP_E_NOMEM, "out of memory");
}

static void end(scan *s)
{
    free(s->window);
    free(s->key);
    free(s->next);
}

/* How the last key compares with the key that the index has for a block. */
static int compare_last(const scan *s, size_t block)
{
    size_t len = s->table->last_len[block], least = len < s->key_len ? len : s->key_len;
    int order = least ? memcmp(s->key, s->table->last[block], least) : 0;
    return order ? order : (s->key_len > len) - (s->key_len < len);
}

/* A block whose keys the index tells otherwise would be read differently by a reader that searches. */
typedef struct guard {
    scan *scan;
    wm_table_each *each;
    void *user;
} guard;

static bool guarded(void *user, wm_table_entry *entry, wmap_error *err)
{
    guard *g = user;
    if (compare_last(g->scan, entry->block) > 0 ||
        (entry->block > 0 && compare_last(g->scan, entry->block - 1) <= 0))
        return wm_tf_damaged(entry->value, "its keys do not ascend");
    return g->each(g->user, entry, err);
}

static bool scan_some(wm_table *table, size_t from, size_t to, bool check, wm_table_each *each, void *user,
                      wmap_error *err)
{
    scan s;
    bool ok = begin(&s, table, err);
    guard g = {&s, each, user};
    for (size_t i = from; ok && i < to; i++) {
        s.block = i;
        ok = open_block(&s, table->blocks[i], check, err) && walk(&s, guarded, &g, err);
        close_block(&s);
    }
    end(&s);
    return ok;
}

bool wm_table_scan(wm_table *table, bool check, wm_table_each *each, void *user, wmap_error *err)
{
    return scan_some(table, 0, table->count, check, each, user, err);
}

bool wm_table_scan_block(wm_table *table, size_t block, bool check, wm_table_each *each, void *user,
                         wmap_error *err)
{
    return scan_some(table, block, block + 1, check, each, user, err);
}

/* --- the index --- */

static bool add_block(void *user, wm_table_entry *entry, wmap_error *err)
{
    wm_table *t = user;
    wm_table_block block = {.offset = wm_tf_varint(entry->value)};
    block.size = wm_tf_varint(entry->value);
    if (entry->value->failed)
        return false;
    if (t->count >= MAX_BLOCKS)
        return wm_tf_damaged(entry->value, "too many blocks");
    size_t last_count = t->count, len_count = t->count;
    wm_table_block *slot = wm_push(t->arena, t->blocks, t->count, t->cap);
    const char **last = wm_push(t->arena, t->last, last_count, t->last_cap);
    size_t *len = wm_push(t->arena, t->last_len, len_count, t->len_cap);
    const char *copy = wm_copy(t->arena, (const char *)entry->key, entry->key_len);
    if (!slot || !last || !len || !copy)
        return wm_fail(err, WMAP_E_NOMEM, "out of memory");
    *slot = block;
    *last = copy;
    *len = entry->key_len;
    return true;
}

static bool nothing(void *user, wm_table_entry *entry, wmap_error *err)
{
    (void)user;
    (void)entry;
    (void)err;
    return true;
}

/* Reads a block that the footer names. */
static bool read_block(wm_table *table, wm_table_block block, wm_table_each *each, wmap_error *err)
{
    scan s;
    bool ok = begin(&s, table, err) && open_block(&s, block, true, err) && walk(&s, each, table, err);
    close_block(&s);
    end(&s);
    return ok;
}

bool wm_table_open(wm_table *table, wmap_archive *archive, uint32_t file, wm_arena *arena, wmap_error *err)
{
    *table = (wm_table){.archive = archive, .file = file, .arena = arena};
    uint64_t size = archive->files[file].size, total = 0;
    uint8_t footer[FOOTER];
    if (size < FOOTER)
        return fail(table, 0, err, "truncated: too short for a table");
    if (!wm_archive_read(archive, file, size - FOOTER, footer, FOOTER, err))
        return false;
    if (memcmp(footer + FOOTER - sizeof magic, magic, sizeof magic) != 0)
        return fail(table, size - sizeof magic, err, "it does not end as a table does");
    wm_tf_input in = wm_tf_memory(archive, file, footer, FOOTER - sizeof magic, size - FOOTER, err);
    wm_table_block meta = {.offset = wm_tf_varint(&in)}, index;
    meta.size = wm_tf_varint(&in);
    index.offset = wm_tf_varint(&in);
    index.size = wm_tf_varint(&in);
    if (in.failed || !read_block(table, index, add_block, err))
        return false;
    /* TensorFlow never reads the block of metadata, and writers that know leave it out. */
    if (meta.size && !read_block(table, meta, nothing, err))
        return false;
    for (size_t i = 0; i < table->count; i++)
        if (!wm_size_add(total, table->blocks[i].size, &total) || total > size)
            return fail(table, index.offset, err, "its blocks are larger than the file");
    return true;
}
