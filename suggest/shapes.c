/* shapes.c: rules for tensors of which only names and shapes are known. The order of the axes is that of
 * other pairs of such names where shapes tell it, else what the frameworks are known to do. */
#include <string.h>

#include "runtime/convert.h"
#include "suggest/draft.h"

/* The last word of a name: "kernel" of "conv/kernel:0". */
static bool last_word_is(wm_arena *arena, const wmap_tensor *head, const char *word)
{
    size_t count;
    wm_token *tokens = wm_tokens(arena, head, &count);
    while (count > 0 && tokens[count - 1].kind != WM_TOKEN_WORD)
        count--;
    return count && tokens[count - 1].len == strlen(word) &&
           memcmp(tokens[count - 1].text, word, strlen(word)) == 0;
}

/* Input and output channels last (Keras, TensorFlow) or first and turned around (PyTorch). */
static void usual_order(uint32_t rank, bool to_front, uint32_t *order)
{
    for (uint32_t d = 0; d < rank; d++)
        order[d] = d;
    if (rank < 2)
        return;
    for (uint32_t d = 0; d < rank; d++)
        order[d] = to_front ? (d == 0   ? rank - 1
                               : d == 1 ? rank - 2
                                        : d - 2)
                            : (d == rank - 1   ? 0
                               : d == rank - 2 ? 1
                                               : d + 2);
}

static bool fits(const uint64_t *from, const uint64_t *to, uint32_t rank, const uint32_t *order)
{
    for (uint32_t d = 0; d < rank; d++)
        if (from[order[d]] != to[d])
            return false;
    return true;
}

/* The first order, in that of the language's `permute`, by which the shapes fit; false if there is none. */
static bool any_order(const uint64_t *from, const uint64_t *to, uint32_t rank, uint32_t *order)
{
    bool used[WMAP_MAX_RANK] = {false};
    for (uint32_t d = 0; d < rank; d++) {
        uint32_t k = 0;
        while (k < rank && (used[k] || from[k] != to[d]))
            k++;
        if (k == rank)
            return false;
        used[k] = true;
        order[d] = k;
    }
    return true;
}

static uint32_t without_ones(const wmap_tensor *t, uint64_t *extents)
{
    uint32_t rank = 0;
    for (uint32_t d = 0; d < t->rank; d++)
        if (t->shape[d] != 1)
            extents[rank++] = t->shape[d];
    return rank;
}

/* Layouts for an order of the dimensions that aren't one. */
static const char *layout_of(wm_arena *arena, const wmap_tensor *t, const uint32_t *order)
{
    const char *text = "";
    uint32_t at = 0;
    for (uint32_t d = 0; d < t->rank; d++) {
        char letter = t->shape[d] == 1 ? '1' : (char)('a' + (order ? order[at] : at));
        at += t->shape[d] != 1;
        text = wm_format_text(arena, "%s%s%c", text, d ? " " : "", letter);
    }
    return text;
}

bool wm_pair_shapes(wm_draft *draft, uint32_t source, uint32_t target, const char *note)
{
    const wmap_tensor *s = draft->sides[WM_SOURCE].tensors[source].head,
                      *t = draft->sides[WM_TARGET].tensors[target].head;
    wm_arena *arena = &draft->arena;
    uint64_t from[WMAP_MAX_RANK], to[WMAP_MAX_RANK];
    uint32_t order[WMAP_MAX_RANK], rank = without_ones(s, from);
    bool front = last_word_is(arena, t, "weight"),
         keras = last_word_is(arena, s, "kernel") || last_word_is(arena, s, "weights");
    bool back = last_word_is(arena, t, "kernel") && last_word_is(arena, s, "weight");
    if (s->dtype != t->dtype && !wm_castable(s->dtype, t->dtype))
        return false;
    if (without_ones(t, to) != rank || rank > 20)
        return false;
    bool usual = rank > 1 && ((front && keras) || back);
    usual_order(usual ? rank : 0, front, order);
    if (!usual || !fits(from, to, rank, order)) {
        usual = false;
        for (uint32_t d = 0; d < rank; d++)
            order[d] = d;
        if (!fits(from, to, rank, order) && !any_order(from, to, rank, order))
            return false;
    }
    bool plain = s->rank == t->rank, sure = rank < 2;
    for (uint32_t d = 0; d < rank; d++)
        plain &= order[d] == d;
    for (uint32_t d = 0; d < s->rank && plain; d++)
        plain = s->shape[d] == t->shape[d];
    for (uint32_t d = 0; rank > 1 && d < rank; d++) {
        sure = true;
        for (uint32_t k = 0; k < rank; k++)
            sure &= k == d || from[k] != from[d];
        if (!sure)
            break;
    }
    wm_draft_rule *rule = wm_draft_add(draft, WM_BY_NAME);
    for (int side = 0; side < 2; side++) {
        wm_draft_places(draft, rule, side, 1);
        rule->places[side][0] = (wm_draft_place){.tensor = side ? target : source, .token = WM_DRAFT_NONE};
        if (!plain)
            rule->places[side][0].layout = layout_of(arena, side ? t : s, side ? order : NULL);
    }
    rule->cast = s->dtype == t->dtype ? WMAP_DTYPE_NONE : t->dtype;
    rule->note = sure ? note
                      : wm_format_text(arena, "%s%sthe order of the axes is %s", note ? note : "",
                                       note ? "; " : "", usual ? "the usual one" : "not told by the shape");
    wm_draft_mark(draft, rule);
    return true;
}
