/* output.h: the file that a run makes: a temporary beside the target, which takes the target's name when it
 * is complete and synced, or vanishes. */
#ifndef WM_OUTPUT_H
#define WM_OUTPUT_H

#include "runtime/base/error.h"

typedef struct wm_output {
    const char *path; /* as given; "-" is standard output */
    bool force;       /* may replace what stands there */
    int fd, folder;   /* the temporary, and the folder that it stands in; -1 if there is none */
    char *temporary;  /* its path (malloc); NULL if it has no name */
    int slot;         /* in the list that wmap_run_cleanup goes through; -1 if it was full */
    uint64_t size;
} wm_output;

/* Refuses early what commit would refuse: an existing file without `force`, and what is no regular file. */
bool wm_output_check(const char *path, bool force, wmap_error *err);

/* Makes the temporary, `size` bytes long. For "-" it is an unlinked file elsewhere. */
bool wm_output_open(wm_output *output, const char *path, bool force, uint64_t size, wmap_error *err);

/* Writes at `offset`; any number of threads may. */
bool wm_output_put(const wm_output *output, uint64_t offset, const void *bytes, uint64_t size,
                   wmap_error *err);

/* Syncs the file and gives it its name, or sends it to standard output. Closes it in any case; after a
 * failure nothing of it is left, and what stood at the path stands there still. */
bool wm_output_commit(wm_output *output, wmap_error *err);

/* Removes it. */
void wm_output_abandon(wm_output *output);

#endif
