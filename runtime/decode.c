/* decode.c: sources that are computed from two others. Like any tensor that doesn't stand in a file as it is,
 * each is decoded once into an unlinked temporary file, row by row, so memory doesn't depend on its size. */
#include "runtime/decode.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/archive.h"
#include "runtime/base/dtype.h"
#include "runtime/base/size.h"
#include "runtime/run.h"
#include "runtime/spool.h"
#include "runtime/view.h"

#define CHUNK ((size_t)1024) /* elements that are computed in one go */

static bool is_float(wmap_dtype dtype)
{
    const wm_dtype_info *info = wm_dtype(dtype);
    return info && info->kind == WM_KIND_FLOAT;
}

static bool is_number(wmap_dtype dtype)
{
    const wm_dtype_info *info = wm_dtype(dtype);
    return info && (info->kind == WM_KIND_FLOAT || info->kind == WM_KIND_INT || info->kind == WM_KIND_UINT);
}

static const char *dequant_header(const Wmap__Decode *d, const wmap_tensor *x, const wmap_tensor *s,
                                  wmap_tensor *made)
{
    if (!is_number(x->dtype) || !is_float(s->dtype))
        return "a decoder multiplies numbers by scales that are floats";
    if (d->n_block != x->rank || s->rank != x->rank)
        return "a decoder has not one block and one dimension of scales a dimension";
    for (uint32_t k = 0; k < x->rank; k++)
        if (d->block[k] == 0 || s->shape[k] != x->shape[k] / d->block[k] + (x->shape[k] % d->block[k] != 0))
            return "a decoder's scales are of the wrong shape";
    *made = *x;
    made->dtype = s->dtype;
    return NULL;
}

static const char *mxfp4_header(wm_arena *arena, const wmap_tensor *x, const wmap_tensor *s,
                                wmap_tensor *made)
{
    if (x->dtype != WMAP_U8 || s->dtype != WMAP_U8)
        return "packed 4-bit floats and their scales are u8";
    if (x->rank < 2 || s->rank != x->rank - 1 ||
        (s->rank && memcmp(s->shape, x->shape, s->rank * sizeof *s->shape) != 0))
        return "a decoder's scales are of the wrong shape";
    uint64_t *shape = wm_alloc(arena, s->rank * sizeof *shape), last;
    if (!shape)
        return "out of memory";
    memcpy(shape, s->shape, s->rank * sizeof *shape);
    if (!wm_size_mul(x->shape[x->rank - 1], 2, &last) ||
        !wm_size_mul(last, shape[s->rank - 1], &shape[s->rank - 1]))
        return "a decoder gives 2^63 elements or more";
    *made = (wmap_tensor){x->name, x->name_len, WMAP_BF16, s->rank, shape};
    return NULL;
}

const char *wm_decoded_header(wm_arena *arena, const Wmap__Decode *decode, const wmap_tensor *source,
                              const wmap_tensor *scales, wmap_tensor *made)
{
    switch (decode->kind) {
    case WMAP__DECODE__KIND__DEQUANT:
        return dequant_header(decode, source, scales, made);
    case WMAP__DECODE__KIND__MXFP4:
        return decode->n_block ? "packed 4-bit floats have no blocks of their own"
                               : mxfp4_header(arena, source, scales, made);
    default:
        return "a decoder is of an unknown kind";
    }
}

/* ---- decoding ---- */

/* One operand: where its elements are. */
typedef struct operand {
    const wmap_tensor *tensor;
    wm_view view;
    int64_t strides[WMAP_MAX_RANK];
} operand;

typedef struct decoding {
    const Wmap__Decode *decode;
    operand x, scales;
    wmap_dtype to;
    wm_sink *sink;
    wmap_error *err;
    uint8_t in[CHUNK * WM_LARGEST_ELEMENT], out[CHUNK * WM_LARGEST_ELEMENT];
    double numbers[CHUNK], factors[CHUNK];
} decoding;

static bool look_at(const wm_found *found, const wmap_tensor *tensor, operand *o, wmap_error *err)
{
    o->tensor = tensor;
    if (!wm_archive_view(found->archive, found->entry, &o->view, err))
        return false;
    int64_t row = 1;
    for (uint32_t d = tensor->rank; d-- > 0;) {
        o->strides[d] = o->view.strides ? o->view.strides[d] : row;
        row *= (int64_t)tensor->shape[d];
    }
    return true;
}

/* `count` elements that stand `step` apart, from position `at` on. */
static bool fetch(decoding *d, const operand *o, int64_t at, int64_t step, size_t count, uint8_t *to)
{
    wm_block block = {.count = 1, .from = at, .axes = {{.extent = count, .to = 1, .from = step}}};
    if (wm_trap_copy(&block, to, o->view.bytes, wmap_dtype_size(o->tensor->dtype)))
        return true;
    wm_fail(d->err, WMAP_E_IO, "the file was cut off while it was read");
    return wm_error_tensor(d->err, o->tensor->name, o->tensor->name_len);
}

static bool fetch_numbers(decoding *d, const operand *o, int64_t at, int64_t step, size_t count, double *to)
{
    size_t first;
    if (!fetch(d, o, at, step, count, d->in))
        return false;
    wm_convert(o->tensor->dtype, WMAP_F64, WM_CAST_ALLOW, d->in, to, count, &first);
    return true;
}

/* Elements [from, from + count) of a row of x that begins at `x`, whose scales begin at `s`. */
static bool dequant_part(decoding *d, int64_t x, int64_t s, uint64_t from, size_t count)
{
    uint32_t last = d->x.tensor->rank ? d->x.tensor->rank - 1 : 0;
    bool scalar = d->x.tensor->rank == 0;
    uint64_t block = scalar ? 1 : d->decode->block[last], first = from / block;
    int64_t x_step = scalar ? 1 : d->x.strides[last], s_step = scalar ? 1 : d->scales.strides[last];
    size_t scales = (size_t)((from + count - 1) / block - first + 1), unused;
    if (!fetch_numbers(d, &d->scales, s + (int64_t)first * s_step, s_step, scales, d->factors) ||
        !fetch_numbers(d, &d->x, x + (int64_t)from * x_step, x_step, count, d->numbers))
        return false;
    for (size_t i = 0; i < count; i++)
        d->numbers[i] *= d->factors[(from + i) / block - first];
    wm_convert(WMAP_F64, d->to, WM_CAST_ALLOW, d->numbers, d->out, count, &unused);
    return d->sink->put(d->sink, d->out, count * wmap_dtype_size(d->to), d->err);
}

/* The e2m1 values of four bits. */
static const double four_bits[16] = {0, .5, 1, 1.5, 2, 3, 4, 6, -0.0, -.5, -1, -1.5, -2, -3, -4, -6};

/* Bytes [from, from + count) of a group that begins at `x`, with its scale at `s`: two elements each. */
static bool mxfp4_part(decoding *d, int64_t x, int64_t s, uint64_t from, size_t count)
{
    uint8_t scale;
    size_t unused;
    int64_t step = d->x.strides[d->x.tensor->rank - 1];
    if (!fetch(d, &d->scales, s, 1, 1, &scale) ||
        !fetch(d, &d->x, x + (int64_t)from * step, step, count, d->in))
        return false;
    for (size_t i = 0; i < count; i++) {
        d->numbers[2 * i] = ldexp(four_bits[d->in[i] & 15], scale - 127);
        d->numbers[2 * i + 1] = ldexp(four_bits[d->in[i] >> 4], scale - 127);
    }
    wm_convert(WMAP_F64, d->to, WM_CAST_ALLOW, d->numbers, d->out, 2 * count, &unused);
    return d->sink->put(d->sink, d->out, 2 * count * wmap_dtype_size(d->to), d->err);
}

/* Row after row: index counts all dimensions of x but the last. */
static bool decode_rows(decoding *d)
{
    const wmap_tensor *t = d->x.tensor;
    bool packed = d->decode->kind == WMAP__DECODE__KIND__MXFP4;
    uint32_t outer = t->rank ? t->rank - 1 : 0;
    uint64_t index[WMAP_MAX_RANK] = {0}, row = t->rank ? t->shape[outer] : 1, rows = 1;
    size_t most = packed ? CHUNK / 2 : CHUNK;
    for (uint32_t k = 0; k < outer; k++)
        rows *= t->shape[k];
    for (uint64_t r = 0; r < rows; r++) {
        int64_t x = 0, s = 0;
        for (uint32_t k = 0; k < outer; k++) {
            x += (int64_t)index[k] * d->x.strides[k];
            s += (int64_t)(packed ? index[k] : index[k] / d->decode->block[k]) * d->scales.strides[k];
        }
        for (uint64_t at = 0; at < row; at += most) {
            size_t count = row - at < most ? (size_t)(row - at) : most;
            if (!(packed ? mxfp4_part : dequant_part)(d, x, s, at, count))
                return false;
        }
        for (uint32_t k = outer; k-- > 0;) {
            if (++index[k] < t->shape[k])
                break;
            index[k] = 0;
        }
    }
    return true;
}

typedef struct sources {
    const wmap_plan *plan;
    const wm_found *found;
} sources;

static bool decode(wmap_archive *archive, const wm_entry *entry, wm_sink *sink, wmap_error *err)
{
    const sources *from = archive->state;
    const Wmap__Decode *one = from->plan->message->decodes[entry->id];
    decoding *d = malloc(sizeof *d);
    if (!d)
        return wm_fail(err, WMAP_E_NOMEM, "out of memory while decoding a tensor");
    *d = (decoding){.decode = one, .to = entry->tensor.dtype, .sink = sink, .err = err};
    bool ok = look_at(&from->found[one->source], &from->plan->sources[one->source], &d->x, err) &&
              look_at(&from->found[one->scales], &from->plan->sources[one->scales], &d->scales, err) &&
              decode_rows(d);
    free(d);
    return ok;
}

static bool probe(wmap_archive *archive)
{
    (void)archive;
    return false;
}

static const wm_format decoded = {
    .name = "decoded", .title = "decoded tensors", .suffixes = "", .probe = probe, .decode = decode};

/* Entries have numbers for names: an array may be decoded in several ways. */
static bool add_entries(wmap_archive *archive, const wmap_plan *plan, wmap_error *err)
{
    for (size_t i = 0; i < plan->message->n_decodes; i++) {
        const wmap_tensor *t = &plan->sources[plan->message->n_sources + i];
        char name[24];
        int len = snprintf(name, sizeof name, "%zu", i);
        wm_entry *entry = wm_archive_add(archive, name, (size_t)len, t->dtype, t->rank, t->shape, NULL, err);
        if (!entry)
            return false;
        entry->id = i;
    }
    return wm_views_init(archive, err);
}

wmap_archive *wm_decoded_open(const wmap_plan *plan, const wm_found *found, wmap_error *err)
{
    int fd = wm_spool_new(err);
    wmap_archive *archive = fd < 0 ? NULL : wm_archive_over(&decoded, "a decoded tensor", fd, 0, err);
    sources *from = archive ? wm_new(&archive->arena, sources, 1) : NULL;
    if (from)
        *from = (sources){plan, found};
    else if (archive)
        wm_fail(err, WMAP_E_NOMEM, "out of memory");
    if (archive)
        archive->state = from;
    if (from && add_entries(archive, plan, err))
        return archive;
    wmap_archive_close(archive);
    return NULL;
}
