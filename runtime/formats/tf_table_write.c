/* tf_table_write.c: LevelDB's sorted table as TensorFlow writes it, byte for byte: blocks of 256 KiB without
 * compression, in which keys share what they begin with, an empty metaindex, the index of blocks, a footer.
 */
#include <string.h>

#include "runtime/crc.h"
#include "runtime/formats/tf_write.h"

#define BLOCK_SIZE ((size_t)262144)
#define INTERVAL   16 /* entries from one whole key to the next; in the index each key is whole */
#define TRAILER    5  /* bytes behind a block: its type, its CRC */
#define HANDLES    40 /* bytes of the footer before the magic */

typedef struct block {
    wm_text text;
    wm_text restarts; /* offsets of whole keys, 4 bytes each */
    unsigned interval, since;
} block;

typedef struct handle {
    uint64_t offset, size;
} handle;

struct wm_table_out {
    wm_table_sink *sink;
    block data, index;
    wm_text last; /* key */
    uint64_t offset;
    handle done; /* the block before this one, if it is not yet in the index */
    bool pending, any;
};

static bool no_memory(wmap_error *err)
{
    return wm_fail(err, WMAP_E_NOMEM, "out of memory");
}

void wm_tf_put_varint(wm_text *t, uint64_t value)
{
    char bytes[10];
    size_t size = 0;
    for (; value >= 0x80; value >>= 7)
        bytes[size++] = (char)(value | 0x80);
    bytes[size++] = (char)value;
    wm_text_bytes(t, bytes, size);
}

size_t wm_tf_varint_size(uint64_t value)
{
    size_t size = 1;
    while (value >>= 7)
        size++;
    return size;
}

void wm_tf_put_head(wm_text *t, unsigned field, uint64_t size)
{
    wm_tf_put_varint(t, field << 3 | 2);
    wm_tf_put_varint(t, size);
}

static void put_u32(wm_text *t, uint32_t value)
{
    char bytes[4];
    for (unsigned i = 0; i < 4; i++)
        bytes[i] = (char)(value >> (8 * i));
    wm_text_bytes(t, bytes, sizeof bytes);
}

static void put_handle(wm_text *t, const handle *h)
{
    wm_tf_put_varint(t, h->offset);
    wm_tf_put_varint(t, h->size);
}

static void block_begin(block *b, wm_arena *arena, unsigned interval)
{
    *b = (block){.text = {.arena = arena}, .restarts = {.arena = arena}, .interval = interval};
    put_u32(&b->restarts, 0);
}

static void block_empty(block *b)
{
    b->text.size = b->restarts.size = 0;
    b->since = 0;
    put_u32(&b->restarts, 0);
}

/* `last` is the key before, of the same block or not. */
static void block_add(block *b, const wm_text *last, const void *key, size_t key_len, const void *value,
                      size_t value_len)
{
    size_t shared = 0;
    if (b->since >= b->interval) {
        put_u32(&b->restarts, (uint32_t)b->text.size);
        b->since = 0;
    } else if (b->text.size) {
        size_t most = last->size < key_len ? last->size : key_len;
        while (shared < most && last->bytes[shared] == ((const char *)key)[shared])
            shared++;
    }
    wm_tf_put_varint(&b->text, shared);
    wm_tf_put_varint(&b->text, key_len - shared);
    wm_tf_put_varint(&b->text, value_len);
    if (key_len) /* else it may be NULL */
        wm_text_bytes(&b->text, (const char *)key + shared, key_len - shared);
    wm_text_bytes(&b->text, value, value_len);
    b->since++;
}

static bool send(wm_table_out *t, const void *bytes, size_t size, wmap_error *err)
{
    t->offset += size;
    return !t->sink || t->sink->put(t->sink, bytes, size, err);
}

static bool write_block(wm_table_out *t, block *b, handle *h, wmap_error *err)
{
    uint32_t count = (uint32_t)(b->restarts.size / 4);
    wm_text_bytes(&b->text, b->restarts.bytes, b->restarts.size);
    put_u32(&b->text, count);
    *h = (handle){t->offset, b->text.size};
    wm_text_bytes(&b->text, "\0", 1); /* not compressed */
    if (b->text.oom || b->restarts.oom)
        return no_memory(err);
    put_u32(&b->text, t->sink ? wm_crc32c_mask(wm_crc32c(0, b->text.bytes, b->text.size)) : 0);
    bool ok = b->text.oom ? no_memory(err) : send(t, b->text.bytes, b->text.size, err);
    block_empty(b);
    return ok;
}

static bool flush(wm_table_out *t, wmap_error *err)
{
    if (t->data.text.size == 0)
        return true;
    t->pending = true;
    return write_block(t, &t->data, &t->done, err);
}

/* Puts the block before into the index, under a key that is not below its last one. */
static void index_done(wm_table_out *t)
{
    wm_text value = {.arena = t->last.arena};
    if (!t->pending)
        return;
    put_handle(&value, &t->done);
    t->index.text.oom |= value.oom;
    if (!value.oom)
        block_add(&t->index, &t->last, t->last.bytes, t->last.size, value.bytes, value.size);
    t->pending = false;
}

/* The shortest key from `last` up to below `next`, if it takes just one byte to be changed. */
static void shorten(wm_text *last, const uint8_t *next, size_t next_len)
{
    size_t most = last->size < next_len ? last->size : next_len, i = 0;
    while (i < most && (uint8_t)last->bytes[i] == next[i])
        i++;
    if (i < most && (uint8_t)last->bytes[i] < 0xff && (uint8_t)last->bytes[i] + 1 < next[i]) {
        last->bytes[i]++;
        last->size = i + 1;
    }
}

/* A short key that is above `last`. */
static void succeed(wm_text *last)
{
    for (size_t i = 0; i < last->size; i++)
        if ((uint8_t)last->bytes[i] != 0xff) {
            last->bytes[i]++;
            last->size = i + 1;
            return;
        }
}

wm_table_out *wm_table_begin(wm_arena *arena, wm_table_sink *sink)
{
    wm_table_out *t = wm_new(arena, wm_table_out, 1);
    if (!t)
        return NULL;
    t->sink = sink;
    t->last.arena = arena;
    block_begin(&t->data, arena, INTERVAL);
    block_begin(&t->index, arena, 1);
    return t;
}

bool wm_table_add(wm_table_out *t, const void *key, size_t key_len, const void *value, size_t value_len,
                  wmap_error *err)
{
    if (t->any && key_len + value_len >= 2 * BLOCK_SIZE && !flush(t, err))
        return false;
    if (t->pending) {
        shorten(&t->last, key, key_len);
        index_done(t);
    }
    block_add(&t->data, &t->last, key, key_len, value, value_len);
    t->any = true;
    t->last.size = 0;
    wm_text_bytes(&t->last, key, key_len);
    if (t->data.text.oom || t->last.oom)
        return no_memory(err);
    return t->data.text.size + t->data.restarts.size + 4 < BLOCK_SIZE || flush(t, err);
}

bool wm_table_end(wm_table_out *t, uint64_t *size, wmap_error *err)
{
    handle metaindex, index;
    wm_text footer = {.arena = t->last.arena};
    block empty;
    block_begin(&empty, t->last.arena, INTERVAL);
    if (!flush(t, err) || !write_block(t, &empty, &metaindex, err))
        return false;
    if (t->pending) {
        succeed(&t->last);
        index_done(t);
    }
    if (!write_block(t, &t->index, &index, err))
        return false;
    put_handle(&footer, &metaindex);
    put_handle(&footer, &index);
    while (footer.size < HANDLES && !footer.oom)
        wm_text_bytes(&footer, "\0", 1);
    wm_text_bytes(&footer, "\x57\xfb\x80\x8b\x24\x75\x47\xdb", 8);
    if (footer.oom)
        return no_memory(err);
    bool ok = send(t, footer.bytes, footer.size, err);
    *size = t->offset;
    return ok;
}
