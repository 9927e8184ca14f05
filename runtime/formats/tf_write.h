/* tf_write.h: the parts of writing a TensorFlow checkpoint: the sorted table, the object graph. */
#ifndef WM_FORMATS_TF_WRITE_H
#define WM_FORMATS_TF_WRITE_H

#include "runtime/formats/tf.h"
#include "runtime/text_out.h"

/* --- messages (tf_table_write.c) --- */

/* Protobuf's varint, and a field of bytes; of the latter only the head, which the bytes follow. */
void wm_tf_put_varint(wm_text *t, uint64_t value);
void wm_tf_put_head(wm_text *t, unsigned field, uint64_t size);
size_t wm_tf_varint_size(uint64_t value);

/* --- the sorted table (tf_table_write.c) --- */

/* Where a table's bytes go, from the first to the last; NULL if only its size is wanted. */
typedef struct wm_table_sink {
    bool (*put)(struct wm_table_sink *sink, const void *bytes, size_t size, wmap_error *err);
} wm_table_sink;

typedef struct wm_table_out wm_table_out;

/* A new table in the arena (which does not jump); NULL if memory ran out. */
wm_table_out *wm_table_begin(wm_arena *arena, wm_table_sink *sink);

/* Adds an entry; keys must increase, as unsigned bytes. */
bool wm_table_add(wm_table_out *table, const void *key, size_t key_len, const void *value, size_t value_len,
                  wmap_error *err);

/* Writes what is left; `*size` is that of the whole table. */
bool wm_table_end(wm_table_out *table, uint64_t *size, wmap_error *err);

/* --- the object graph (tf_graph_write.c) --- */

#define WM_TF_GRAPH   "_CHECKPOINTABLE_OBJECT_GRAPH"
#define WM_TF_COUNTER "save_counter/.ATTRIBUTES/VARIABLE_VALUE"

/* The graph that the names of the targets mean, if any of them is the path of an object's attribute
 * ("layer/kernel/.ATTRIBUTES/VARIABLE_VALUE"); `graph` stays empty if none is. `more` (may be NULL) is one
 * more such name. */
bool wm_tf_graph_of(const wm_writer *writer, const char *more, wm_text *graph, wmap_error *err);

/* --- a template (tf_like.c) --- */

typedef struct wm_tf_like {
    const wm_tf_raw *raws; /* what the template holds */
    size_t count;
    bool *written;               /* one a raw: a target takes its place; the others stay */
    const wm_tf_raw **of_target; /* one a target: the variable that it is */
} wm_tf_like;

/* Finds the targets in writer->like, by key or by full name. MISMATCH if the two disagree in anything that is
 * not state; the first is told, the others counted. */
bool wm_tf_match(const wm_writer *writer, wm_tf_like *like, wmap_error *err);

/* TensorFlow's number for a target; of text for one that only a plan knows of. */
uint32_t wm_tf_type_number(const wm_target *target);

/* --- tensors that are taken over as they are (tf_carry.c) --- */

/* Where a tensor of `count` elements goes. */
typedef struct wm_tf_place {
    uint32_t part;
    uint64_t offset, count;
} wm_tf_place;

/* Copies the bytes of a tensor of another checkpoint, and gives the CRC for the index; big-endian ones may be
 * text only. CORRUPT if its CRC is wrong. */
bool wm_tf_carry(wm_writer *writer, const wm_tf_place *to, wmap_archive *from, const wm_raw *raw,
                 uint32_t *sum, wmap_error *err);

/* The same for entry `index`, which is of a dtype of wmap: its elements as the archive gives them. */
bool wm_tf_carry_decoded(wm_writer *writer, const wm_tf_place *to, wmap_archive *from, size_t index,
                         uint32_t *sum, wmap_error *err);

bool wm_tf_layout(wm_writer *writer, wmap_error *err);
bool wm_tf_finish(wm_writer *writer, wmap_error *err);

#endif
