/* pickle_file.c: files that are one pickle or several in a row, as pickle.dump and cPickle.dump wrote them
 * since Python 2. Their arrays are named by their place in the object. */
#include <string.h>

#include "runtime/formats/pickle_array.h"

/* Protocols 0 and 1 have no magic: the head must be a sound beginning for the machine, its classes must have
 * names that can be, and the file must end as pickles do. Text that passes all this is rare. */
static bool looks_like_text_pickle(wmap_archive *archive)
{
    uint8_t last = 0;
    uint64_t size = archive->files[0].size;
    if (!archive->head_size || !wm_archive_read(archive, 0, size - 1, &last, 1, NULL) || last != '.')
        return false;
    wm_pickle pickle;
    wm_pickle_init(&pickle);
    wm_cursor cursor = wm_cursor_of(archive->head, archive->head_size, 0);
    wmap_error err = {0};
    bool sound = wm_pickle_read(&pickle, &cursor, &err) != NULL;
    if (!sound)
        sound = pickle.cut && archive->head_size < size && err.offset > 0;
    for (size_t i = 0; sound && i < pickle.global_count; i++) {
        const wm_pickle_node *global = pickle.globals[i];
        for (size_t c = 0; sound && c < global->as.global.module_len; c++)
            sound =
                strchr("_.<>", global->as.global.module[c]) ||
                (global->as.global.module[c] >= '0' && global->as.global.module[c] <= '9') ||
                ((global->as.global.module[c] | 0x20) >= 'a' && (global->as.global.module[c] | 0x20) <= 'z');
    }
    wm_pickle_release(&pickle);
    return sound;
}

static bool probe(wmap_archive *archive)
{
    const uint8_t *head = archive->head;
    if (archive->head_size >= 2 && head[0] == 0x80 && head[1] >= 2 && head[1] <= 5)
        return true;
    return looks_like_text_pickle(archive);
}

static bool open_pickle(wmap_archive *archive, wmap_error *err)
{
    wm_items *items = wm_new(&archive->arena, wm_items, 1);
    if (!items)
        return wm_fail(err, WMAP_E_NOMEM, "out of memory while opening a pickle");
    archive->state = items;
    const wm_pickled_source source = {.end = archive->files[0].size};
    return wm_pickled_open(archive, items, &source, err) &&
           (archive->entry_count ||
            wm_fail(err, WMAP_E_NOT_WEIGHTS, "this is no weight file: a pickle that holds no array"));
}

static bool decode(wmap_archive *archive, const wm_entry *entry, wm_sink *sink, wmap_error *err)
{
    return wm_items_decode(archive, archive->state, entry, sink, err);
}

extern const wm_format wm_format_pickle;
const wm_format wm_format_pickle = {
    .name = "pickle",
    .title = "Python pickle",
    .suffixes = ".pkl .pickle .p",
    .probe = probe,
    .open = open_pickle,
    .decode = decode,
};
