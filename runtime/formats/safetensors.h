/* safetensors.h: what safetensors.c and safetensors_write.c share. */
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

bool wm_safetensors_layout(wm_writer *writer, wmap_error *err);
bool wm_safetensors_finish(wm_writer *writer, wmap_error *err);

#endif
