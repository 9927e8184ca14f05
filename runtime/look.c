/* look.c: the contents of tensors, for tools: elements in row-major order, statistics, differences. */
#include "wmap/look.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/archive.h"
#include "runtime/base/dtype.h"
#include "runtime/base/sha256.h"
#include "runtime/convert.h"
#include "runtime/run.h"

enum { CHUNK = 64 << 10 }; /* elements that are looked at in one go */

/* ---- reading ---- */

typedef struct reading {
    const wm_view *view;
    uint8_t *out;
    uint32_t size;
} reading;

static bool read_part(void *user, const wm_block *part)
{
    const reading *r = user;
    return wm_trap_copy(part, r->out, r->view->bytes, r->size);
}

/* The whole tensor as a block: row-major in the target, as its strides say in the source. */
static void whole_block(const wmap_tensor *t, const int64_t *strides, wm_block *block)
{
    int64_t step = 1;
    block->count = 0;
    block->to = block->from = 0;
    for (uint32_t d = t->rank; d-- > 0;) {
        int64_t extent = (int64_t)t->shape[d];
        if (extent != 1) {
            memmove(block->axes + 1, block->axes, block->count * sizeof *block->axes);
            block->axes[0] = (wm_axis){t->shape[d], step, strides ? strides[d] : step};
            block->count++;
        }
        step *= extent;
    }
    wm_block_tidy(block);
}

static uint64_t elements_of(const wmap_tensor *t)
{
    uint64_t bytes, size = wmap_dtype_size(t->dtype);
    return size && wmap_tensor_bytes(t, &bytes) ? bytes / size : 0;
}

bool wmap_archive_read(wmap_archive *archive, size_t index, uint64_t first, uint64_t count, void *buffer,
                       wmap_error *err)
{
    const wm_entry *entry = &archive->entries[index];
    const wmap_tensor *t = &entry->tensor;
    uint64_t all = elements_of(t);
    wm_view view;
    if (t->dtype != WMAP_OPAQUE && (first > all || count > all - first))
        return wm_fail(err, WMAP_E_USAGE, "a range outside of the tensor");
    if (!wm_archive_view(archive, index, &view, err))
        return false;
    if (count == 0)
        return true;
    wm_block block;
    whole_block(t, view.strides, &block);
    reading r = {&view, buffer, wmap_dtype_size(t->dtype)};
    if (!wm_trap_begin(err))
        return false;
    bool ok = wm_block_clip(&block, (int64_t)first, (int64_t)(first + count), read_part, &r);
    wm_trap_end();
    if (ok)
        return true;
    wm_fail(err, WMAP_E_CORRUPT, "the file was cut off, or cannot be read, while it was open");
    wm_error_file(err, archive->path);
    return wm_error_tensor(err, t->name, t->name_len);
}

/* ---- values ---- */

/* Numbers as doubles; complex ones as pairs. */
static void to_doubles(wmap_dtype dtype, const uint8_t *in, size_t count, double *out)
{
    size_t first;
    if (dtype == WMAP_C64)
        wm_convert(WMAP_F32, WMAP_F64, WM_CAST_ALLOW, in, out, 2 * count, &first);
    else if (dtype == WMAP_C128)
        memcpy(out, in, 2 * count * sizeof *out);
    else
        wm_convert(dtype, WMAP_F64, WM_CAST_ALLOW, in, out, count, &first);
}

/* ---- statistics ---- */

/* Mean and sum of squared distances of what was seen, joined chunk by chunk (Chan, Golub, LeVeque 1979), so
 * that nothing cancels. */
typedef struct moments {
    uint64_t count;
    double mean, squares;
} moments;

static void add_chunk(moments *m, wmap_stats *s, const double *x, size_t count)
{
    double sum = 0, squares = 0;
    uint64_t n = 0;
    for (size_t i = 0; i < count; i++) {
        s->nan += isnan(x[i]) != 0;
        s->infinite += isinf(x[i]) != 0;
        s->zero += x[i] == 0;
        if (!isfinite(x[i]))
            continue;
        n++;
        sum += x[i];
        s->least = isnan(s->least) || x[i] < s->least ? x[i] : s->least;
        s->most = isnan(s->most) || x[i] > s->most ? x[i] : s->most;
    }
    if (n == 0)
        return;
    double mean = sum / (double)n, rest = 0; /* `rest` is what rounding took from the sum */
    for (size_t i = 0; i < count; i++)
        if (isfinite(x[i])) {
            squares += (x[i] - mean) * (x[i] - mean);
            rest += x[i] - mean;
        }
    squares -= rest * (rest / (double)n);
    mean += rest / (double)n;
    double apart = mean - m->mean, all = (double)(m->count + n);
    m->squares += squares + apart * apart * ((double)m->count / all) * (double)n;
    m->mean += apart * ((double)n / all);
    m->count += n;
}

static void magnitudes(double *x, size_t count)
{
    for (size_t i = 0; i < count; i++)
        x[i] = hypot(x[2 * i], x[2 * i + 1]);
}

bool wmap_archive_stats(wmap_archive *archive, size_t index, wmap_stats *stats, wmap_error *err)
{
    const wmap_tensor *t = &archive->entries[index].tensor;
    const wm_dtype_info *info = wm_dtype(t->dtype);
    uint64_t all = elements_of(t);
    *stats = (wmap_stats){.count = all, .least = NAN, .most = NAN, .mean = NAN, .deviation = NAN};
    if (info && info->kind == WM_KIND_RAW) {
        wm_fail(err, WMAP_E_UNSUPPORTED, "raw bytes have no statistics");
        wm_error_file(err, archive->path);
        return wm_error_tensor(err, t->name, t->name_len);
    }
    uint8_t *bytes = calloc(CHUNK, WM_LARGEST_ELEMENT);
    double *values = calloc((size_t)CHUNK * 2, sizeof *values);
    moments m = {0};
    bool ok = (bytes && values) || wm_fail(err, WMAP_E_NOMEM, "out of memory");
    if (ok && all == 0)
        ok = wmap_archive_read(archive, index, 0, 0, bytes, err);
    for (uint64_t at = 0; ok && at < all; at += CHUNK) {
        size_t n = all - at < CHUNK ? (size_t)(all - at) : CHUNK;
        ok = wmap_archive_read(archive, index, at, n, bytes, err);
        if (!ok)
            break;
        to_doubles(t->dtype, bytes, n, values);
        if (info->kind == WM_KIND_COMPLEX)
            magnitudes(values, n);
        add_chunk(&m, stats, values, n);
    }
    if (ok && m.count) {
        stats->mean = m.mean;
        stats->deviation = sqrt(m.squares / (double)m.count);
    }
    free(bytes);
    free(values);
    return ok;
}

/* ---- differences ---- */

typedef struct comparing {
    const wmap_tolerance *tolerance;
    wmap_difference *out;
    wmap_dtype a, b;
    uint32_t a_size, b_size;
    const wm_dtype_info *a_info, *b_info;
} comparing;

/* The place of a float among the representable ones, -0 beside 0. */
static int64_t place_of(const uint8_t *element, uint32_t size)
{
    uint64_t bits = 0, sign = UINT64_C(1) << (8 * size - 1);
    memcpy(&bits, element, size);
    return bits & sign ? -(int64_t)(bits & (sign - 1)) : (int64_t)bits;
}

static uint64_t ulps_between(const uint8_t *a, const uint8_t *b, uint32_t size)
{
    int64_t x = place_of(a, size), y = place_of(b, size);
    return x > y ? (uint64_t)x - (uint64_t)y : (uint64_t)y - (uint64_t)x;
}

/* Whole numbers beyond 2^53 are not told apart by their doubles. */
static bool whole_values(const comparing *c, const uint8_t *a, const uint8_t *b, bool *same)
{
    int64_t x, y;
    size_t first;
    if (c->a_info->kind > WM_KIND_INT || c->b_info->kind > WM_KIND_INT)
        return false;
    bool x_fits = wm_convert(c->a, WMAP_I64, WM_CAST_CHECK, a, &x, 1, &first) == 0,
         y_fits = wm_convert(c->b, WMAP_I64, WM_CAST_CHECK, b, &y, 1, &first) == 0;
    *same = x_fits == y_fits && (x_fits ? x == y : memcmp(a, b, c->a_size) == 0); /* both u64 else */
    return true;
}

/* One element of both; `ulps` is 0 where it is not known. */
static bool is_same(const comparing *c, const uint8_t *a, const uint8_t *b, double distance, double scale,
                    uint64_t ulps, bool nans)
{
    const wmap_tolerance *t = c->tolerance;
    bool bits = c->a == c->b && memcmp(a, b, c->a_size) == 0;
    if (bits)
        return true;
    bool exact = t->absolute == 0 && t->relative == 0 && t->ulps == 0, same;
    if (exact && c->a == c->b)
        return false;
    if (nans)
        return true;
    if (exact && whole_values(c, a, b, &same))
        return same;
    if (distance <= t->absolute + t->relative * scale)
        return true;
    return t->ulps && c->out->has_ulps && ulps <= t->ulps && !isnan(distance);
}

/* |a - b|, 0 for equal infinities; NaN if a NaN takes part. */
static double apart(double a, double b)
{
    return a == b ? 0 : fabs(a - b);
}

static void compare_chunk(comparing *c, const uint8_t *a, const uint8_t *b, const double *x, const double *y,
                          size_t count, uint64_t at)
{
    bool complex_a = c->a_info->kind == WM_KIND_COMPLEX, complex_b = c->b_info->kind == WM_KIND_COMPLEX;
    bool raw = c->a_info->kind == WM_KIND_RAW || c->b_info->kind == WM_KIND_RAW;
    for (size_t i = 0; i < count; i++) {
        const uint8_t *p = a + i * c->a_size, *q = b + i * c->b_size;
        double xr = complex_a ? x[2 * i] : x[i], xi = complex_a ? x[2 * i + 1] : 0;
        double yr = complex_b ? y[2 * i] : y[i], yi = complex_b ? y[2 * i + 1] : 0;
        double distance = raw                      ? NAN
                          : complex_a || complex_b ? hypot(apart(xr, yr), apart(xi, yi))
                                                   : apart(xr, yr);
        double scale = raw ? 0 : complex_b ? hypot(yr, yi) : fabs(yr);
        bool nans = !raw && (isnan(xr) || isnan(xi)) && (isnan(yr) || isnan(yi));
        uint64_t ulps = c->out->has_ulps && !isnan(distance) ? ulps_between(p, q, c->a_size) : 0;
        if (!nans && !raw && !(distance <= c->out->most)) /* a NaN on one side stays */
            c->out->most = isnan(c->out->most) ? c->out->most : distance;
        c->out->ulps = ulps > c->out->ulps ? ulps : c->out->ulps;
        if (is_same(c, p, q, distance, scale, ulps, nans))
            continue;
        if (c->out->count++ == 0) {
            c->out->first = at + i;
            wm_element_text(c->a, p, c->out->a, sizeof c->out->a);
            wm_element_text(c->b, q, c->out->b, sizeof c->out->b);
        }
    }
}

/* Buffers of one comparison. */
typedef struct buffers {
    uint8_t *a, *b;
    double *x, *y;
} buffers;

static bool compare_all(comparing *c, buffers *s, wmap_archive *a, size_t i, wmap_archive *b, size_t k,
                        wmap_error *err)
{
    uint64_t all = elements_of(&a->entries[i].tensor);
    bool numbers = c->a_info->kind != WM_KIND_RAW && c->b_info->kind != WM_KIND_RAW;
    for (uint64_t at = 0; at < all || at == 0; at += CHUNK) {
        size_t n = all - at < CHUNK ? (size_t)(all - at) : CHUNK;
        if (!wmap_archive_read(a, i, at, n, s->a, err) || !wmap_archive_read(b, k, at, n, s->b, err))
            return false;
        if (c->a == c->b && memcmp(s->a, s->b, n * c->a_size) == 0)
            continue;
        if (numbers) {
            to_doubles(c->a, s->a, n, s->x);
            to_doubles(c->b, s->b, n, s->y);
        }
        compare_chunk(c, s->a, s->b, s->x, s->y, n, at);
    }
    return true;
}

bool wmap_compare(wmap_archive *a, size_t i, wmap_archive *b, size_t k, const wmap_tolerance *tolerance,
                  wmap_difference *difference, wmap_error *err)
{
    const wmap_tensor *t = &a->entries[i].tensor, *u = &b->entries[k].tensor;
    *difference = (wmap_difference){0};
    if (t->rank != u->rank || (t->rank && memcmp(t->shape, u->shape, t->rank * sizeof *t->shape) != 0))
        return wm_fail(err, WMAP_E_USAGE, "tensors of different shapes");
    if (t->dtype == WMAP_OPAQUE || u->dtype == WMAP_OPAQUE) {
        bool first = t->dtype == WMAP_OPAQUE;
        wm_view view;
        return wm_archive_view(first ? a : b, first ? i : k, &view, err); /* says what it is */
    }
    comparing c = {.tolerance = tolerance, .out = difference, .a = t->dtype, .b = u->dtype};
    c.a_size = wmap_dtype_size(c.a);
    c.b_size = wmap_dtype_size(c.b);
    c.a_info = wm_dtype(c.a);
    c.b_info = wm_dtype(c.b);
    difference->has_ulps = c.a == c.b && c.a_info->kind == WM_KIND_FLOAT;
    buffers s = {calloc(CHUNK, WM_LARGEST_ELEMENT), calloc(CHUNK, WM_LARGEST_ELEMENT),
                 calloc((size_t)CHUNK * 2, sizeof(double)), calloc((size_t)CHUNK * 2, sizeof(double))};
    bool ok = s.a && s.b && s.x && s.y ? compare_all(&c, &s, a, i, b, k, err)
                                       : wm_fail(err, WMAP_E_NOMEM, "out of memory");
    free(s.a);
    free(s.b);
    free(s.x);
    free(s.y);
    return ok;
}

/* ---- digests ---- */

static void hex(const uint8_t bytes[WM_SHA256_SIZE], char digest[WMAP_DIGEST_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < WM_SHA256_SIZE; i++) {
        digest[2 * i] = digits[bytes[i] >> 4];
        digest[2 * i + 1] = digits[bytes[i] & 15];
    }
    digest[WMAP_DIGEST_SIZE - 1] = 0;
}

void wmap_digest(const void *bytes, size_t size, char digest[WMAP_DIGEST_SIZE])
{
    uint8_t raw[WM_SHA256_SIZE];
    wm_sha256(bytes, size, raw);
    hex(raw, digest);
}

bool wmap_archive_digest(wmap_archive *archive, size_t index, char digest[WMAP_DIGEST_SIZE], wmap_error *err)
{
    const wmap_tensor *t = &archive->entries[index].tensor;
    uint64_t all = elements_of(t);
    size_t used, size = wmap_dtype_size(t->dtype);
    char text[64 + 24 * WMAP_MAX_RANK];
    uint8_t raw[WM_SHA256_SIZE], *bytes = calloc(CHUNK, WM_LARGEST_ELEMENT);
    wm_sha256_state state;
    bool ok = bytes || wm_fail(err, WMAP_E_NOMEM, "out of memory");
    used = (size_t)snprintf(text, sizeof text, "%s [", wmap_dtype_name(t->dtype));
    for (uint32_t d = 0; d < t->rank; d++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%" PRIu64, d ? " " : "", t->shape[d]);
    used += (size_t)snprintf(text + used, sizeof text - used, "]\n");
    wm_sha256_begin(&state);
    wm_sha256_add(&state, text, used);
    for (uint64_t at = 0; ok && (at < all || at == 0); at += CHUNK) {
        size_t n = all - at < CHUNK ? (size_t)(all - at) : CHUNK;
        ok = wmap_archive_read(archive, index, at, n, bytes, err);
        wm_sha256_add(&state, bytes, ok ? n * size : 0);
    }
    wm_sha256_end(&state, raw);
    hex(raw, digest);
    free(bytes);
    return ok;
}
