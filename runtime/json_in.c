/* json_in.c: JSON of files. */
#include "runtime/json_in.h"

#include <stdlib.h>
#include <string.h>

#define ROOM ((size_t)64 << 10) /* what jansson may take beyond the bytes of a text */

uint64_t wm_json_marks(const char *text, size_t size, const char *marks)
{
    uint64_t count = 0;
    bool string = false;
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '"')
            string = !string;
        else if (string)
            i += text[i] == '\\';
        else
            count += text[i] && strchr(marks, text[i]);
    }
    return count;
}

/* jansson doesn't always say that it ran out of memory, so what it refuses is put before it again, and then
 * as much memory as it may have wanted must be there. */
json_t *wm_json_parse(const char *text, size_t size, size_t flags, json_error_t *failure, bool *oom)
{
    json_t *json = NULL;
    *oom = false;
    for (int i = 0; i < 2 && !json; i++)
        json = json_loadb(text, size, JSON_REJECT_DUPLICATES | flags, failure);
    if (!json) {
        void *room = malloc(size + ROOM);
        *oom = !room || json_error_code(failure) == json_error_out_of_memory;
        free(room);
    }
    return json;
}
