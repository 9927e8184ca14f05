/* tf_slices.c: a partitioned variable is stored in slices, boxes of it. This sorts them into a tree:
 * dimension by dimension, into the stretches in which the same boxes take part, until one box is left. So
 * each element is known to be there once, and the variable can be written in order while each slice is read
 * in order. */
#include <stdlib.h>
#include <string.h>

#include "runtime/base/size.h"
#include "runtime/formats/tf.h"

#define MAX_WORK ((uint64_t)1 << 20) /* boxes looked at, over all stretches */
#define OUT      ((size_t)64 << 10)  /* bytes that a sink gets at once; a multiple of every element */

/* Indices [begin, end) of one dimension. */
typedef struct stretch {
    uint64_t begin, end;
    const struct level *level; /* of the next dimension; NULL: the box alone has all that is inside */
    size_t box;
} stretch;

typedef struct level {
    stretch *list;
    size_t count;
} level;

typedef struct tiling {
    uint32_t rank;
    uint64_t *inner;  /* elements of one index of each dimension */
    uint64_t count;   /* elements in all */
    const level *top; /* NULL: there is one box, or nothing */
} tiling;

typedef struct builder {
    wm_arena *arena;
    uint32_t rank;
    const uint64_t *shape;
    const wm_tf_box *boxes;
    uint64_t work;
    wmap_error *err;
} builder;

/* Joining. */
typedef struct joining {
    const tiling *tiling;
    uint32_t width;
    wm_tf_read *read;
    void *user;
    uint8_t *out;
    size_t used;
    wm_sink *sink;
    wmap_error *err;
} joining;

bool wm_tf_box_of(wm_arena *arena, const wm_tf_slice *slice, uint32_t rank, const uint64_t *shape,
                  wm_tf_box *box, wmap_error *err)
{
    uint64_t *start = wm_new(arena, uint64_t, rank), *size = wm_new(arena, uint64_t, rank);
    if (!start || !size)
        return wm_fail(err, WMAP_E_NOMEM, "out of memory");
    if (slice->rank != rank)
        return wm_fail(err, WMAP_E_CORRUPT, "a slice of %u dimensions in a tensor of %u", slice->rank, rank);
    for (uint32_t d = 0; d < rank; d++) {
        int64_t from = slice->start[d], length = slice->length[d];
        bool whole = from == 0 && length == -1;
        if (!whole && (from < 0 || length < 0 || (uint64_t)from > shape[d] ||
                       (uint64_t)length > shape[d] - (uint64_t)from))
            return wm_fail(err, WMAP_E_CORRUPT,
                           "a slice reaches beyond its tensor: start %lld, length %lld of %llu",
                           (long long)from, (long long)length, (unsigned long long)shape[d]);
        start[d] = whole ? 0 : (uint64_t)from;
        size[d] = whole ? shape[d] : (uint64_t)length;
    }
    *box = (wm_tf_box){start, size};
    return true;
}

/* --- keys: TensorFlow's OrderedCode --- */

static size_t put_number(uint8_t *to, uint64_t value)
{
    size_t bytes = 0;
    while (bytes < 8 && value >> (8 * bytes))
        bytes++;
    to[0] = (uint8_t)bytes;
    for (size_t i = 0; i < bytes; i++)
        to[1 + i] = (uint8_t)(value >> (8 * (bytes - 1 - i)));
    return bytes + 1;
}

/* A signed number in as few bytes as hold it and a header that says how many, in order of value. */
static size_t put_signed(uint8_t *to, int64_t value)
{
    static const uint8_t head[11][2] = {{0, 0},    {0x80, 0}, {0xc0, 0}, {0xe0, 0},    {0xf0, 0},   {0xf8, 0},
                                        {0xfc, 0}, {0xfe, 0}, {0xff, 0}, {0xff, 0x80}, {0xff, 0xc0}};
    uint64_t x = value < 0 ? ~(uint64_t)value : (uint64_t)value;
    size_t bits = 0;
    while (bits < 64 && x >> bits)
        bits++;
    size_t len = bits / 7 + 1;
    for (size_t i = 0; i < len; i++) {
        size_t shift = 8 * (len - 1 - i);
        to[i] = (uint8_t)(shift < 64 ? (uint64_t)value >> shift : value < 0 ? 0xff : 0);
    }
    to[0] ^= head[len][0];
    if (len > 1)
        to[1] ^= head[len][1];
    return len;
}

size_t wm_tf_slice_key(uint8_t *key, const char *name, size_t len, const wm_tf_slice *slice)
{
    size_t at = 0;
    if (2 * len + 16 + 20 * (size_t)slice->rank > WM_TF_TEXT)
        return 0;
    at += put_number(key, 0);
    for (size_t i = 0; i < len; i++) {
        uint8_t c = (uint8_t)name[i];
        key[at++] = c;
        if (c == 0 || c == 0xff)
            key[at++] = c ? 0 : 0xff;
    }
    key[at++] = 0;
    key[at++] = 1;
    at += put_number(key + at, slice->rank);
    for (uint32_t d = 0; d < slice->rank; d++) {
        at += put_signed(key + at, slice->start[d]);
        at += put_signed(key + at, slice->length[d]);
    }
    return at;
}

/* --- the tree --- */

static int compare_numbers(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

typedef struct order {
    const wm_tf_box *boxes;
    uint32_t dim;
} order;

static int compare_starts(const void *a, const void *b, void *user)
{
    const order *o = user;
    size_t i = *(const size_t *)a, j = *(const size_t *)b;
    uint64_t x = o->boxes[i].start[o->dim], y = o->boxes[j].start[o->dim];
    return x != y ? (x > y) - (x < y) : (i > j) - (i < j);
}

static bool hole(const builder *b)
{
    return wm_fail(b->err, WMAP_E_CORRUPT, "its slices leave a hole");
}

static bool build(builder *b, uint32_t dim, size_t *set, size_t count, stretch *into);

/* The places at which boxes begin or end, ascending, each once. */
static uint64_t *cuts_of(builder *b, uint32_t dim, const size_t *set, size_t count, size_t *cut_count)
{
    uint64_t *cuts = wm_new(b->arena, uint64_t, 2 * count);
    if (!cuts) {
        wm_fail(b->err, WMAP_E_NOMEM, "out of memory");
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        const wm_tf_box *box = &b->boxes[set[i]];
        cuts[2 * i] = box->start[dim];
        cuts[2 * i + 1] = box->start[dim] + box->size[dim];
    }
    qsort(cuts, 2 * count, sizeof *cuts, compare_numbers);
    size_t kept = 0;
    for (size_t i = 0; i < 2 * count; i++)
        if (i == 0 || cuts[i] != cuts[kept - 1])
            cuts[kept++] = cuts[i];
    *cut_count = kept;
    return cuts;
}

/* Divides [0, shape[dim]) into stretches and what is in each. */
static const level *divide(builder *b, uint32_t dim, size_t *set, size_t count)
{
    size_t cut_count = 0, next = 0, active = 0;
    uint64_t *cuts = cuts_of(b, dim, set, count, &cut_count);
    size_t *live = wm_new(b->arena, size_t, count), *copy = wm_new(b->arena, size_t, count);
    level *made = wm_new(b->arena, level, 1);
    b->work += count;
    if (!cuts || !live || !copy || !made)
        return NULL; /* tile() says so */
    if (cuts[0] != 0 || cuts[cut_count - 1] != b->shape[dim]) {
        hole(b);
        return NULL;
    }
    made->list = wm_new(b->arena, stretch, cut_count);
    if (!made->list)
        return NULL;
    qsort_r(set, count, sizeof *set, compare_starts, &(order){b->boxes, dim});
    for (size_t c = 0; c + 1 < cut_count; c++) {
        size_t kept = 0;
        for (size_t i = 0; i < active; i++)
            if (b->boxes[live[i]].start[dim] + b->boxes[live[i]].size[dim] > cuts[c])
                live[kept++] = live[i];
        active = kept;
        while (next < count && b->boxes[set[next]].start[dim] == cuts[c])
            live[active++] = set[next++];
        b->work += active + 1;
        stretch *s = &made->list[made->count++];
        s->begin = cuts[c];
        s->end = cuts[c + 1];
        memcpy(copy, live, active * sizeof *copy);
        if (!build(b, dim + 1, copy, active, s))
            return NULL;
    }
    return made;
}

/* What stands inside of a stretch, from dimension `dim` on. */
static bool build(builder *b, uint32_t dim, size_t *set, size_t count, stretch *into)
{
    if (b->work > MAX_WORK)
        return wm_fail(b->err, WMAP_E_UNSUPPORTED, "it is cut into slices in too many ways");
    if (count == 0)
        return hole(b);
    into->box = set[0];
    if (count == 1) {
        for (uint32_t d = dim; d < b->rank; d++)
            if (b->boxes[set[0]].size[d] != b->shape[d])
                return hole(b);
        return true;
    }
    if (dim == b->rank)
        return wm_fail(b->err, WMAP_E_CORRUPT, "two of its slices overlap");
    into->level = divide(b, dim, set, count);
    return into->level != NULL;
}

/* Fills `made`; what it points to is in the arena. */
static bool tile(wm_arena *arena, uint32_t rank, const uint64_t *shape, const wm_tf_box *boxes, size_t count,
                 tiling *made, wmap_error *err)
{
    wmap_error failure = {0};
    builder b = {arena, rank, shape, boxes, 0, &failure};
    size_t *set = wm_new(arena, size_t, count);
    *made = (tiling){.rank = rank, .inner = wm_new(arena, uint64_t, rank + 1)};
    bool ok = made->inner && set && wm_shape_count(shape, rank, &made->count);
    for (size_t i = 0; ok && i < count; i++) {
        set[i] = i;
        for (uint32_t d = 0; d < rank; d++)
            if (boxes[i].size[d] == 0 && made->count)
                ok = wm_fail(&failure, WMAP_E_CORRUPT, "one of its slices is empty");
    }
    if (ok) {
        stretch top = {0};
        made->inner[rank] = 1;
        for (uint32_t d = rank; made->count && d-- > 0;)
            made->inner[d] = made->inner[d + 1] * shape[d]; /* divides the count, which is below 2^63 */
        ok = made->count == 0 || build(&b, 0, set, count, &top);
        made->top = top.level;
    }
    if (!ok && failure.code == WMAP_OK)
        wm_fail(&failure, WMAP_E_NOMEM, "out of memory");
    if (!ok && err)
        *err = failure;
    return ok;
}

bool wm_tf_tiles(uint32_t rank, const uint64_t *shape, const wm_tf_box *boxes, size_t count, wmap_error *err)
{
    wm_arena arena;
    tiling made;
    if (count > WM_TF_BOXES)
        return wm_fail(err, WMAP_E_UNSUPPORTED, "more than %zu slices", WM_TF_BOXES);
    wm_arena_init(&arena);
    bool ok = tile(&arena, rank, shape, boxes, count, &made, err);
    wm_arena_release(&arena);
    return ok;
}

/* --- joining --- */

static bool flush(joining *j)
{
    size_t used = j->used;
    j->used = 0;
    return used == 0 || j->sink->put(j->sink, j->out, used, j->err);
}

/* Elements of one box that stand next to each other in the tensor too. */
static bool run(joining *j, size_t box, uint64_t elements)
{
    uint64_t left = elements * j->width; /* of a tensor whose bytes are counted */
    while (left) {
        size_t room = OUT - j->used, size = left < room ? (size_t)left : room;
        if (!j->read(j->user, box, j->out + j->used, size, j->err))
            return false;
        j->used += size;
        left -= size;
        if (j->used == OUT && !flush(j))
            return false;
    }
    return true;
}

static bool walk(joining *j, const level *l, uint32_t dim)
{
    for (size_t i = 0; i < l->count; i++) {
        const stretch *s = &l->list[i];
        if (!s->level) {
            if (!run(j, s->box, (s->end - s->begin) * j->tiling->inner[dim + 1]))
                return false;
            continue;
        }
        for (uint64_t n = s->begin; n < s->end; n++)
            if (!walk(j, s->level, dim + 1))
                return false;
    }
    return true;
}

bool wm_tf_join(const wmap_tensor *tensor, const wm_tf_box *boxes, size_t count, wm_tf_read *read, void *user,
                wm_sink *sink, wmap_error *err)
{
    wm_arena arena;
    tiling made;
    wm_arena_init(&arena);
    bool ok = tile(&arena, tensor->rank, tensor->shape, boxes, count, &made, err);
    joining j = {.tiling = &made,
                 .width = wmap_dtype_size(tensor->dtype),
                 .read = read,
                 .user = user,
                 .out = ok ? wm_alloc(&arena, OUT) : NULL,
                 .sink = sink,
                 .err = err};
    if (ok && !j.out)
        ok = wm_fail(err, WMAP_E_NOMEM, "out of memory");
    if (ok && made.count)
        ok = made.top ? walk(&j, made.top, 0) : run(&j, 0, made.count);
    ok = ok && flush(&j);
    wm_arena_release(&arena);
    return ok;
}
