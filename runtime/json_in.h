/* json_in.h: JSON of files, which jansson parses. Its values take 100 bytes and more each, so how many a text
 * may hold is bounded before. */
#ifndef WM_JSON_IN_H
#define WM_JSON_IN_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* How often one of `marks` stands in a text, outside of strings. */
uint64_t wm_json_marks(const char *text, size_t size, const char *marks);

/* The value, owned by the caller; `flags` beside JSON_REJECT_DUPLICATES. NULL: `failure` says why, or
 * `oom` is set. */
json_t *wm_json_parse(const char *text, size_t size, size_t flags, json_error_t *failure, bool *oom);

#endif
