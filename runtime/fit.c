/* fit.c: can a format hold what a plan writes? Asked before any data move, so that E0610 costs nothing: the
 * format lays its file out, and the first tensor that it can't hold is told with the line that writes it. */
#include "runtime/fit.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "runtime/run.h"

/* Opaque targets, asked for before the format is: most formats take none. */
static bool check_raws(const wm_writer *writer, wmap_error *err)
{
    for (size_t i = 0; i < writer->count; i++) {
        const wm_target *t = &writer->targets[i];
        if (t->tensor.dtype != WMAP_OPAQUE || (writer->format->raws && !t->from) ||
            (t->raw && t->raw->of == writer->format))
            continue;
        wm_fail(err, WMAP_E_TARGET,
                "%s files (%s) can't hold this, which wmap only lists%s%s; `drop` leaves it behind",
                writer->format->name, writer->format->title, t->note ? ": " : "", t->note ? t->note : "");
        return wm_error_tensor(err, t->tensor.name, t->tensor.name_len);
    }
    return true;
}

/* How many targets the format could not hold if each were alone; the first of them. */
static uint64_t unfit(const wm_writer *writer, size_t *first)
{
    uint64_t count = 0;
    for (size_t i = writer->count; i-- > 0;) {
        wm_arena arena;
        wm_target alone = writer->targets[i];
        wmap_error why = {0};
        wm_arena_init(&arena);
        wm_writer one = {.format = writer->format,
                         .path = writer->path,
                         .arena = &arena,
                         .targets = &alone,
                         .count = 1,
                         .trial = true};
        if ((!check_raws(&one, &why) || !writer->format->layout(&one, &why)) && why.code == WMAP_E_TARGET) {
            *first = i;
            count++;
        }
        if (writer->format->drop)
            writer->format->drop(&one);
        wm_arena_release(&arena);
    }
    return count;
}

/* ", as FILE:LINE:COLUMN writes it"; "" if the plan doesn't say. */
static const char *written_at(const wmap_plan *plan, size_t target, char *out, size_t size)
{
    char place[256];
    out[0] = 0;
    for (uint32_t m = plan->first[target]; m < plan->first[target + 1]; m++)
        if (wm_move_place(plan, plan->message->moves[m], place, sizeof place)[0]) {
            snprintf(out, size, ", as %s writes it", place);
            break;
        }
    return out;
}

bool wm_fit_layout(wm_writer *writer, const wmap_plan *plan, wmap_error *err)
{
    wmap_error why = {0};
    if (check_raws(writer, &why) && writer->format->layout(writer, &why))
        return true;
    if (err)
        *err = why;
    if (!err || why.code != WMAP_E_TARGET)
        return false;
    size_t first = 0;
    uint64_t count = unfit(writer, &first);
    char place[300] = "", more[60] = "";
    if (count)
        written_at(plan, first, place, sizeof place);
    if (count > 1)
        snprintf(more, sizeof more, " (and %" PRIu64 " more that it can't hold)", count - 1);
    wm_fail(err, WMAP_E_TARGET, "E0610: %s%s%s", why.message, place, more);
    memcpy(err->tensor, why.tensor, sizeof err->tensor);
    return false;
}

/* Where the bytes of an opaque target are. */
static void set_raw(wm_target *target, const wm_found *found)
{
    wmap_archive *archive = found->archive;
    const wm_entry *entry = &archive->entries[found->entry];
    for (; entry->part; entry = &archive->entries[entry->id])
        archive = archive->parts[entry->part - 1];
    target->from = archive;
    target->raw = entry->raw;
    target->note = entry->note;
    target->bytes = entry->raw ? entry->raw->size : 0;
}

bool wm_fit_targets(wm_writer *writer, const wmap_plan *plan, const wm_found *found, wmap_error *err)
{
    writer->count = plan->message->n_targets;
    writer->targets = wm_new(writer->arena, wm_target, writer->count);
    if (!writer->targets)
        return wm_fail(err, WMAP_E_NOMEM, "out of memory");
    for (size_t i = 0; i < writer->count; i++) {
        writer->targets[i].tensor = plan->targets[i];
        if (!wmap_tensor_bytes(&writer->targets[i].tensor, &writer->targets[i].bytes))
            return wm_fail(err, WMAP_E_INTERNAL, "a target that was verified has no size");
        uint32_t whole = plan->message->targets[i]->whole;
        if (whole && found)
            set_raw(&writer->targets[i], &found[whole - 1]);
    }
    return wm_fit_layout(writer, plan, err);
}

bool wmap_plan_fits(const wmap_plan *plan, const char *format, wmap_error *err)
{
    const wm_format *f = wm_format_to_write(format, err);
    if (!f)
        return false;
    wm_arena arena;
    wm_arena_init(&arena);
    wm_writer writer = {.format = f, .path = "", .arena = &arena, .trial = true};
    bool ok = wm_fit_targets(&writer, wm_plan_last(plan), NULL, err);
    if (f->drop)
        f->drop(&writer);
    wm_arena_release(&arena);
    return ok;
}
