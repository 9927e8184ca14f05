/* output.h: the files that a run makes: temporaries beside the target, which take their names when all are
 * complete and synced, or vanish. */
#ifndef WM_OUTPUT_H
#define WM_OUTPUT_H

#include "runtime/archive.h"

typedef struct wm_output {
    const char *path; /* as given; "-" is standard output */
    bool force;       /* may replace what stands there */
    bool no_sync;     /* leaves it to the system when bytes reach the disk */
    bool make_folder; /* makes the folder if there is none; removed again if the output is abandoned */

    /* The rest is output.c's. */
    const wm_part *parts;
    size_t count;
    int *fds;       /* of the temporaries, -1 if there is none; malloc */
    int folder;     /* that they stand in; -1 for standard output */
    bool made;      /* the folder was made */
    char *stem;     /* what the paths of the temporaries begin with; NULL if they have none; malloc */
    unsigned first; /* the number of the first temporary; part i has the number first + i */
    int slot;       /* in the list that wmap_run_cleanup goes through; -1 if it was full */
} wm_output;

/* Makes a temporary for each part; the fields above must be set, `parts` live as long as the output. Refuses
 * early what commit would refuse: existing files without `force`, and what is no regular file. For "-" there
 * is one part, an unlinked file elsewhere. */
bool wm_output_open(wm_output *output, const wm_part *parts, size_t count, wmap_error *err);

/* Writes at `offset` of a part; any number of threads may. */
bool wm_output_put(const wm_output *output, uint32_t part, uint64_t offset, const void *bytes, uint64_t size,
                   wmap_error *err);

/* Syncs the files and gives them their names, or sends the only one to standard output. Closes them in any
 * case. After a failure nothing of them is left, and what stood there before stands there still. A set that
 * is cut off by a kill in between has no entry file. */
bool wm_output_commit(wm_output *output, wmap_error *err);

/* Removes it. */
void wm_output_abandon(wm_output *output);

#endif
