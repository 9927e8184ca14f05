/* formats.c: the table of formats, and how one is found by name or suffix. A format is added by one line
 * here. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "runtime/archive.h"

extern const wm_format wm_format_flax;
extern const wm_format wm_format_gguf;
extern const wm_format wm_format_index;
extern const wm_format wm_format_keras;
extern const wm_format wm_format_keras_shards;
extern const wm_format wm_format_keras_zip;
extern const wm_format wm_format_listing;
extern const wm_format wm_format_npy;
extern const wm_format wm_format_npz;
extern const wm_format wm_format_pickle;
extern const wm_format wm_format_safetensors;
extern const wm_format wm_format_tensorflow;
extern const wm_format wm_format_tensorflow_v1;
extern const wm_format wm_format_theano;
extern const wm_format wm_format_torch;

/* In the order of probing: formats that are special cases of a container come before the general ones. */
const wm_format *const wm_formats[] = {
    &wm_format_keras_zip,
    &wm_format_torch,
    &wm_format_npz,
    &wm_format_theano,
    &wm_format_npy,
    &wm_format_listing,
    &wm_format_keras_shards,
    &wm_format_index,
    &wm_format_tensorflow_v1,
    &wm_format_tensorflow,
    &wm_format_safetensors,
    &wm_format_gguf,
    &wm_format_flax,   /* has no magic, but a beginning that pickles don't have */
    &wm_format_pickle, /* its beginning may be almost anything: after all that have a magic */
    &wm_format_keras,  /* last: its signature may stand behind a user block, where others have data */
    NULL,
};

const wm_format *wm_format_named(const char *name)
{
    for (size_t i = 0; wm_formats[i]; i++)
        if (strcmp(wm_formats[i]->name, name) == 0)
            return wm_formats[i];
    return NULL;
}

const wm_format *wm_format_to_write(const char *name, wmap_error *err)
{
    const wm_format *f = wm_format_named(name);
    if (!f) {
        char path[64], names[300] = "";
        size_t used = 0;
        snprintf(path, sizeof path, "x%s%s", name[0] == '.' ? "" : ".", name);
        const wm_format *meant = wm_format_of_suffix(path);
        for (size_t i = 0; wm_formats[i]; i++)
            if (wm_formats[i]->layout && used < sizeof names)
                used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "",
                                         wm_formats[i]->name);
        if (meant && meant->layout)
            wm_fail(err, WMAP_E_USAGE, "there is no format named \"%s\"; did you mean %s?", name,
                    meant->name);
        else
            wm_fail(err, WMAP_E_USAGE, "there is no format named \"%s\"; wmap writes %s", name, names);
        return NULL;
    }
    if (f->layout)
        return f;
    wm_fail(err, WMAP_E_USAGE, "wmap reads %s files (%s), but does not write them", f->name, f->title);
    return NULL;
}

const wm_format *wm_format_of_suffix(const char *path)
{
    const wm_format *best = NULL;
    size_t best_len = 0, path_len = strlen(path);
    for (size_t i = 0; wm_formats[i]; i++) {
        const char *at = wm_formats[i]->suffixes;
        while (*(at += strspn(at, " "))) {
            size_t len = strcspn(at, " ");
            if (len > best_len && len < path_len && strncasecmp(path + path_len - len, at, len) == 0) {
                best = wm_formats[i];
                best_len = len;
            }
            at += len;
        }
    }
    return best;
}

bool wmap_format_at(size_t index, wmap_format_info *info)
{
    size_t count = sizeof wm_formats / sizeof *wm_formats - 1;
    if (index >= count)
        return false;
    const wm_format *f = wm_formats[index];
    *info = (wmap_format_info){f->name, f->title, f->suffixes, f->open != NULL, f->layout != NULL};
    return true;
}
