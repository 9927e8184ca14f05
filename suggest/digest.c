/* digest.c: what tensors hold, as numbers that don't depend on the order of the elements: if one tensor is
 * another transposed, turned, or cut from it, they tell. Only finds candidates; search.c compares. */
#include <stdlib.h>
#include <string.h>

#include "runtime/base/error.h"
#include "runtime/convert.h"
#include "suggest/draft.h"
#include "wmap/look.h"

enum { CHUNK = 32 << 10 }; /* elements */

/* A finaliser of 64 bits: that of splitmix64 (Steele, Lea, Flood 2014). */
static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
    return x ^ (x >> 31);
}

static void add(wm_sum_of *sum, uint64_t bits)
{
    uint64_t x = mix(bits + UINT64_C(0x9E3779B97F4A7C15));
    sum->a += x;
    sum->b += mix(x + UINT64_C(0xD1B54A32D192ED03));
}

static void add_elements(wm_sum_of *sum, const uint8_t *bytes, uint32_t size, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t low = 0, high = 0;
        const uint8_t *at = bytes + i * size;
        switch (size) {
        case 1:
            low = at[0];
            break;
        case 2:
            memcpy(&low, at, 2);
            break;
        case 4:
            memcpy(&low, at, 4);
            break;
        case 8:
            memcpy(&low, at, 8);
            break;
        default:
            memcpy(&low, at, 8);
            memcpy(&high, at + 8, 8);
            break;
        }
        add(sum, size > 8 ? low ^ mix(high) : low);
    }
}

typedef struct buffers {
    uint8_t *own, *cast;
} buffers;

static bool take(wm_draft *draft, int side, uint32_t tensor, wmap_dtype dtype, const buffers *b,
                 wm_sum_of *sum)
{
    wm_draft_tensor *t = &draft->sides[side].tensors[tensor];
    wmap_dtype own = t->head->dtype;
    uint32_t size = wmap_dtype_size(own);
    bool constant = true;
    *sum = (wm_sum_of){0, 0};
    for (uint64_t at = 0; at < t->count; at += CHUNK) {
        size_t n = t->count - at < CHUNK ? (size_t)(t->count - at) : CHUNK, first;
        if (!wmap_archive_read(draft->sides[side].archive, tensor, at, n, b->own, draft->err))
            return false;
        if (own == dtype) {
            if (at == 0)
                memcpy(t->first, b->own, size);
            for (size_t i = 0; constant && i < n; i++)
                constant = memcmp(b->own + i * size, t->first, size) == 0;
            add_elements(sum, b->own, size, n);
        } else {
            wm_convert(own, dtype, WM_CAST_ALLOW, b->own, b->cast, n, &first);
            add_elements(sum, b->cast, wmap_dtype_size(dtype), n);
        }
    }
    t->constant = own == dtype ? constant : t->constant;
    return true;
}

bool wm_digest_tensor(wm_draft *draft, int side, uint32_t tensor, wmap_dtype dtype, wm_sum_of *sum)
{
    buffers b = {malloc((size_t)CHUNK * WM_LARGEST_ELEMENT), malloc((size_t)CHUNK * WM_LARGEST_ELEMENT)};
    bool ok = b.own && b.cast ? take(draft, side, tensor, dtype, &b, sum)
                              : wm_fail(draft->err, WMAP_E_NOMEM, "out of memory");
    free(b.own);
    free(b.cast);
    return ok;
}

bool wm_digest_all(wm_draft *draft)
{
    for (int side = 0; side < 2; side++) {
        wm_draft_side *s = &draft->sides[side];
        for (uint32_t i = 0; i < s->count; i++) {
            wm_draft_tensor *t = &s->tensors[i];
            if (t->head->dtype == WMAP_OPAQUE || t->count == 0)
                continue;
            if (!wm_digest_tensor(draft, side, i, t->head->dtype, &t->sum))
                return false;
            t->known = true;
            wm_archive_forget(s->archive, i);
        }
    }
    return true;
}

void wm_digest_bytes(const void *bytes, uint32_t size, size_t count, wm_sum_of *sum)
{
    *sum = (wm_sum_of){0, 0};
    add_elements(sum, bytes, size, count);
}
