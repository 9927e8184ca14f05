/* suggest.c: drafts a spec from two files. Their values are read if there are any; what is found is the text
 * of a map, laid out as `wmap fmt` does. */
#include "wmap/suggest.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/error.h"
#include "runtime/convert.h"
#include "runtime/trap.h"
#include "suggest/draft.h"
#include "wmap/format.h"

/* ---- rules ---- */

wm_draft_rule *wm_draft_add(wm_draft *draft, wm_draft_how how)
{
    wm_draft_rule *rule = wm_push(&draft->arena, draft->rules, draft->rule_count, draft->rule_cap);
    rule->how = how;
    return rule;
}

void wm_draft_places(wm_draft *draft, wm_draft_rule *rule, int side, size_t count)
{
    rule->places[side] = wm_new(&draft->arena, wm_draft_place, count);
    rule->counts[side] = count;
}

static void mark(wm_draft *draft, wm_draft_rule *rule, int side, uint32_t tensor)
{
    wm_draft_tensor *t = &draft->sides[side].tensors[tensor];
    if (t->rule == WM_DRAFT_NONE)
        t->rule = (uint32_t)(rule - draft->rules);
    if (side == WM_TARGET && tensor < rule->order)
        rule->order = tensor;
}

void wm_draft_mark(wm_draft *draft, wm_draft_rule *rule)
{
    rule->order = UINT32_MAX;
    for (int side = 0; side < 2; side++)
        for (size_t i = 0; i < rule->counts[side]; i++) {
            const wm_draft_place *p = &rule->places[side][i];
            mark(draft, rule, side, p->tensor);
            for (size_t k = 0; k < p->stack_count; k++)
                mark(draft, rule, side, p->stack[k]);
        }
}

/* ---- the files ---- */

static bool open_side(wm_draft *draft, int side, wmap_archive *archive)
{
    wm_draft_side *s = &draft->sides[side];
    s->archive = archive;
    s->count = wmap_archive_count(archive);
    s->tensors = wm_new(&draft->arena, wm_draft_tensor, s->count + 1);
    for (size_t i = 0; i < s->count; i++) {
        wm_draft_tensor *t = &s->tensors[i];
        uint64_t bytes, size;
        t->head = wmap_archive_tensor(archive, i);
        t->rule = WM_DRAFT_NONE;
        size = wmap_dtype_size(t->head->dtype);
        t->count = size && wmap_tensor_bytes(t->head, &bytes) ? bytes / size : 0;
    }
    return !archive->format->hollow;
}

/* Do the files hold the same weights at all? */
static bool some_values(const wm_draft *draft)
{
    size_t found = 0, all = 0;
    for (size_t i = 0; i < draft->sides[WM_TARGET].count; i++) {
        const wm_draft_tensor *t = &draft->sides[WM_TARGET].tensors[i];
        all += t->known && !t->constant;
        found += t->known && !t->constant && t->rule != WM_DRAFT_NONE;
    }
    return found * 10 >= all;
}

/* The constant that an element is: 0 of a counter, 1 of a scale. NULL: another. */
static const char *constant_of(const wm_draft_tensor *t)
{
    static const char *const texts[] = {"0", "1"};
    for (int value = 0; value < 2; value++) {
        uint8_t element[WM_LARGEST_ELEMENT];
        if (wm_constant_number(t->head->dtype, value, element) &&
            memcmp(t->first, element, wmap_dtype_size(t->head->dtype)) == 0)
            return texts[value];
    }
    return NULL;
}

/* What stands in the target throughout, and in no source. */
static void fill_rest(wm_draft *draft)
{
    wm_draft_side *s = &draft->sides[WM_TARGET];
    for (uint32_t i = 0; i < s->count; i++) {
        wm_draft_tensor *t = &s->tensors[i];
        const char *constant = t->rule == WM_DRAFT_NONE && t->known && t->constant ? constant_of(t) : NULL;
        if (!constant)
            continue;
        wm_draft_rule *rule = wm_draft_add(draft, WM_BY_FILL);
        rule->fill = constant;
        wm_draft_places(draft, rule, WM_TARGET, 1);
        rule->places[WM_TARGET][0] = (wm_draft_place){.tensor = i, .token = WM_DRAFT_NONE};
        wm_draft_mark(draft, rule);
    }
}

static bool pair_all(wm_draft *draft)
{
    if (draft->values) {
        if (!wm_digest_all(draft) || !wm_pair_values(draft))
            return false;
        draft->values = some_values(draft);
        if (!draft->values)
            draft->reason = "the files hold other weights: names and shapes were all there was to go by.";
    }
    if (!wm_pair_names(draft))
        return false;
    if (draft->values)
        fill_rest(draft);
    return true;
}

/* Blanks and columns as `wmap fmt` has them. */
static char *laid_out(const char *text, size_t len, size_t *size, wmap_error *err)
{
    wmap_format_options options = {.name = "the draft", .text = text, .text_len = len};
    wmap_report *report = NULL;
    char *out = NULL;
    if (!wmap_format_spec(&options, &out, size, &report, err))
        out = NULL;
    wmap_report_free(report);
    return out;
}

static char *make(wm_draft *draft, size_t *size)
{
    size_t len;
    if (!pair_all(draft))
        return NULL;
    const char *text = wm_draft_text(draft, &len);
    return laid_out(text, len, size, draft->err);
}

char *wmap_suggest(wmap_archive *source, wmap_archive *target, const wmap_suggest_options *options,
                   size_t *size, wmap_error *err)
{
    wm_draft draft = {.err = err};
    char *volatile text = NULL;
    wm_arena_init(&draft.arena);
    wm_arena_init(&draft.scratch);
    wm_arena_init(&draft.buffers);
    if (!wm_trap_begin(err))
        return NULL;
    if (setjmp(*wm_arena_oom(&draft.arena)) == 0) {
        wm_arena_oom_as(&draft.scratch, &draft.arena);
        wm_arena_oom_as(&draft.buffers, &draft.arena);
        bool values = open_side(&draft, WM_SOURCE, source);
        values &= open_side(&draft, WM_TARGET, target);
        draft.values = values && !options->no_values;
        draft.reason = values ? "values were not looked at: names and shapes were all there was to go by."
                              : "a listing holds no values: names and shapes were all there was to go by.";
        text = make(&draft, size);
    } else {
        wm_fail(err, WMAP_E_NOMEM, "out of memory");
    }
    wm_trap_end();
    wm_arena_release(&draft.arena);
    wm_arena_release(&draft.scratch);
    wm_arena_release(&draft.buffers);
    return text;
}
