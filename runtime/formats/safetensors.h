/* safetensors.h: what the files of this format share. */
#ifndef WM_SAFETENSORS_H
#define WM_SAFETENSORS_H

#include <string.h>

#include "runtime/archive.h"

#define WM_SAFETENSORS_LENGTH   8                     /* bytes of the header's length */
#define WM_SAFETENSORS_HEADER   ((uint64_t)100000000) /* the reference's limit of its bytes */
#define WM_SAFETENSORS_METADATA "__metadata__"

/* Does this key of the metadata speak of the file alone? "format" says who may load it (transformers asks).
 */
static inline bool wm_safetensors_own(const char *key, size_t len)
{
    return len == 6 && memcmp(key, "format", 6) == 0;
}

/* A tensor's entry, as its text has it; `dtype` points into that. */
typedef struct wm_safetensors_entry {
    const char *dtype;
    size_t dtype_len;
    uint32_t rank;
    uint64_t shape[WMAP_MAX_RANK];
    uint64_t begin, end;
} wm_safetensors_entry;

/* An entry, and a string, of the form that is common, at the cursor, which passes over it. False, and the
 * cursor stays: it is another, or no JSON at all. */
bool wm_safetensors_plain_entry(wm_cursor *c, wm_safetensors_entry *entry);
bool wm_safetensors_plain_text(wm_cursor *c, const char **text, size_t *len);

/* The spelling of an opaque dtype, by wm_raw.type. */
const char *wm_safetensors_other(uint32_t type);

bool wm_safetensors_layout(wm_writer *writer, wmap_error *err);
bool wm_safetensors_finish(wm_writer *writer, wmap_error *err);

#endif
