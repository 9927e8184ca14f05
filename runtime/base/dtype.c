/* dtype.c: questions to the table of dtype.def. */
#include "runtime/base/dtype.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/size.h"

static const wm_dtype_info table[] = {
#define WM_DTYPE(id, name, size, align, kind, npy, safetensors, torch, storage)                              \
    [id] = {name, size, align, kind, npy, safetensors, torch, storage},
#include "runtime/base/dtype.def"
#undef WM_DTYPE
};

const wm_dtype_info *wm_dtype(wmap_dtype dtype)
{
    if (dtype < WM_DTYPE_FIRST || dtype > WM_DTYPE_LAST)
        return NULL;
    return &table[dtype];
}

wmap_dtype wm_dtype_spelled(size_t column, const char *text, size_t len)
{
    if (len == 0)
        return WMAP_DTYPE_NONE;
    for (unsigned d = WM_DTYPE_FIRST; d <= WM_DTYPE_LAST; d++) {
        const char *spelling;
        memcpy(&spelling, (const char *)&table[d] + column, sizeof spelling);
        if (strlen(spelling) == len && memcmp(spelling, text, len) == 0)
            return (wmap_dtype)d;
    }
    return WMAP_DTYPE_NONE;
}

const char *wmap_dtype_name(wmap_dtype dtype)
{
    const wm_dtype_info *info = wm_dtype(dtype);
    return info ? info->name : dtype == WMAP_OPAQUE ? "opaque" : "?";
}

uint32_t wmap_dtype_size(wmap_dtype dtype)
{
    const wm_dtype_info *info = wm_dtype(dtype);
    return info ? info->size : 0;
}

wmap_dtype wmap_dtype_parse(const char *name, size_t len)
{
    return wm_dtype_spelled(offsetof(wm_dtype_info, name), name, len);
}

bool wmap_tensor_bytes(const wmap_tensor *tensor, uint64_t *bytes)
{
    uint64_t count;
    return wm_shape_count(tensor->shape, tensor->rank, &count) &&
           wm_size_mul(count, wmap_dtype_size(tensor->dtype), bytes);
}

char *wmap_index_text(const wmap_tensor *tensor, uint64_t position, char *out, size_t size)
{
    uint64_t index[WMAP_MAX_RANK];
    for (uint32_t d = tensor->rank; d-- > 0;) {
        index[d] = position % tensor->shape[d];
        position /= tensor->shape[d];
    }
    size_t used = (size_t)snprintf(out, size, "[");
    for (uint32_t d = 0; d < tensor->rank && used < size; d++)
        used += (size_t)snprintf(out + used, size - used, "%s%" PRIu64, d ? " " : "", index[d]);
    if (used < size)
        snprintf(out + used, size - used, "]");
    return out;
}
