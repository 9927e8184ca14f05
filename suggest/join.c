/* join.c: tensors that are parts of one on the other side: where each lies in it, and the rule that says so.
 * The whole has the parts one behind the other along one of its dimensions, or, as heads are interleaved, in
 * each of `groups` ranges of it; a dimension that counts them is a case of that. Another dimension may count
 * rows of parts, as where each expert has two. */
#include <string.h>

#include "suggest/draft.h"

#define MAX_FINDS 4096

typedef struct join {
    wm_draft *draft;
    int side; /* of the parts */
    const uint32_t *parts;
    size_t count;
    uint32_t whole;
    wm_box box, *part_boxes;
    uint32_t dim;         /* of the whole's box */
    uint32_t outer;       /* the dimension that counts rows; WM_DRAFT_NONE */
    size_t rows, columns; /* rows times columns are all parts */
    uint64_t groups;
    uint64_t *sizes;              /* of each part, in one group */
    size_t *order;                /* the parts, as they stand in the whole */
    wm_swap *swaps;               /* by place in the whole */
    uint32_t group_dim, part_dim; /* of the box of a part's place; WM_DRAFT_NONE: it has one index only */
    bool fixed, deep;
    unsigned finds;
} join;

/* The place in the whole of a part of `size` a group, `offset` behind the start of the group. */
static void place_of(join *j, size_t row, uint64_t offset, uint64_t size, wm_box *out)
{
    const wm_box *b = &j->box;
    uint64_t per_group = b->extent[j->dim] / j->groups;
    int64_t first = (int64_t)offset * b->stride[j->dim];
    if (j->outer != WM_DRAFT_NONE)
        first += (int64_t)row * b->stride[j->outer];
    *out = (wm_box){.bytes = b->bytes + first * (int64_t)b->size, .size = b->size};
    j->group_dim = j->part_dim = WM_DRAFT_NONE;
    for (uint32_t d = 0; d < b->rank; d++) {
        if (d == j->outer)
            continue;
        uint64_t extents[2] = {d == j->dim ? j->groups : b->extent[d], d == j->dim ? size : 1};
        int64_t strides[2] = {d == j->dim ? b->stride[d] * (int64_t)per_group : b->stride[d], b->stride[d]};
        for (int i = 0; i < 2; i++) {
            if (extents[i] == 1)
                continue;
            if (d == j->dim)
                *(i ? &j->part_dim : &j->group_dim) = out->rank;
            out->extent[out->rank] = extents[i];
            out->stride[out->rank] = strides[i];
            out->dim[out->rank++] = b->dim[d];
        }
    }
}

/* Do all parts lie alike in what they share? */
static bool like_form(const join *j, const wm_swap *x, const wm_swap *y)
{
    if (x->count != y->count)
        return false;
    for (uint32_t i = 0; i < x->count; i++) {
        const wm_swap_axis *a = &x->axes[i], *b = &y->axes[i];
        bool own = j->part_dim != WM_DRAFT_NONE && a->at[1].dim == j->part_dim;
        if (a->at[1].dim != b->at[1].dim || a->at[1].order != b->at[1].order ||
            (!own && a->extent != b->extent) || a->turned != b->turned || a->labels != b->labels ||
            memcmp(a->label, b->label, sizeof a->label) != 0)
            return false;
    }
    return true;
}

/* The next part at `offset`: the first of those that are left whose elements stand there. */
static bool put_next(join *j, size_t at, uint64_t offset)
{
    for (size_t k = at; k < j->count; k++) {
        size_t part = j->order[k];
        wm_box place;
        if (offset + j->sizes[part] > j->box.extent[j->dim] / j->groups ||
            ++j->finds > MAX_FINDS + 2 * j->count)
            return false;
        place_of(j, at / j->columns, offset, j->sizes[part], &place);
        if (wm_swap_find(&j->part_boxes[part], &place, j->deep, &j->swaps[at]) &&
            (at == 0 || like_form(j, &j->swaps[0], &j->swaps[at]))) {
            memmove(j->order + at + 1, j->order + at, (k - at) * sizeof *j->order);
            j->order[at] = part;
            return true;
        }
        if (j->fixed)
            return false;
    }
    return false;
}

static bool put_all(join *j)
{
    uint64_t offset = 0;
    for (size_t i = 0; i < j->count; i++)
        j->order[i] = i;
    for (size_t at = 0; at < j->count; at++) {
        offset = at % j->columns ? offset : 0;
        if (!put_next(j, at, offset))
            return false;
        offset += j->sizes[j->order[at]];
    }
    return true;
}

/* Along this dimension: how much of it has each part, in groups of every number that divides them all? */
static bool try_dim(join *j, uint64_t groups)
{
    uint64_t rest = 1, sum = 0, least = UINT64_MAX;
    for (uint32_t d = 0; d < j->box.rank; d++)
        rest *= d == j->dim || d == j->outer ? 1 : j->box.extent[d];
    uint64_t *whole = wm_new(&j->draft->arena, uint64_t, j->count);
    for (size_t i = 0; i < j->count; i++) {
        uint64_t count = j->draft->sides[j->side].tensors[j->parts[i]].count;
        if (count % rest || count == 0)
            return false;
        whole[i] = count / rest;
        sum += whole[i];
        least = whole[i] < least ? whole[i] : least;
    }
    if (sum != j->rows * j->box.extent[j->dim])
        return false;
    for (j->groups = groups ? groups : 1; j->groups <= (groups ? groups : least); j->groups++) {
        bool divides = true;
        for (size_t i = 0; divides && i < j->count; i++) {
            divides = whole[i] % j->groups == 0;
            j->sizes[i] = whole[i] / j->groups;
        }
        if (divides && put_all(j))
            return true;
    }
    return false;
}

/* ---- the rule ---- */

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* The one token in which all names differ; WM_DRAFT_NONE if there is none. */
static uint32_t token_apart(wm_token *const *tokens, const size_t *counts, size_t count)
{
    uint32_t found = WM_DRAFT_NONE;
    for (size_t k = 0; k < counts[0]; k++) {
        bool same = true;
        for (size_t i = 1; i < count; i++) {
            if (counts[i] != counts[0])
                return WM_DRAFT_NONE;
            same &= tokens[i][k].len == tokens[0][k].len &&
                    memcmp(tokens[i][k].text, tokens[0][k].text, tokens[0][k].len) == 0;
        }
        if (!same && found != WM_DRAFT_NONE)
            return WM_DRAFT_NONE;
        found = same ? found : (uint32_t)k;
    }
    return found;
}

static const wmap_tensor *part_head(const join *j, size_t at)
{
    return j->draft->sides[j->side].tensors[j->parts[j->order[at]]].head;
}

/* Words that tell the parts of a row apart: from their names, if they differ in one, else t0, t1 ... */
static void name_parts(join *j, const char **tags, uint32_t *number)
{
    wm_arena *arena = &j->draft->arena;
    wm_token **tokens = wm_new(arena, wm_token *, j->columns);
    size_t *counts = wm_new(arena, size_t, j->columns);
    for (size_t i = 0; i < j->columns; i++)
        tokens[i] = wm_tokens(arena, part_head(j, i), &counts[i]);
    uint32_t apart = token_apart(tokens, counts, j->columns);
    bool numbers = apart != WM_DRAFT_NONE, words = numbers;
    for (size_t i = 0; i < j->columns; i++) {
        const wm_token *t = numbers || words ? &tokens[i][apart] : NULL;
        numbers = numbers && t->kind == WM_TOKEN_NUMBER && t->number == i;
        words = words && t->kind == WM_TOKEN_WORD && is_letter(t->text[0]);
    }
    *number = numbers ? apart : WM_DRAFT_NONE;
    static const char *const no_tags[] = {"and", "or", "not", "true", "false", "has", "_"};
    for (size_t i = 0; i < j->columns; i++) {
        tags[i] = words ? wm_format_text(arena, "%.*s", (int)tokens[i][apart].len, tokens[i][apart].text)
                        : wm_format_text(arena, "t%zu", i);
        for (size_t k = 0; k < sizeof no_tags / sizeof *no_tags; k++)
            if (strcmp(tags[i], no_tags[k]) == 0)
                tags[i] = wm_format_text(arena, "t%zu", i);
    }
}

/* Are the parts of each column numbered by their rows? `tokens` gets which token of their names it is. */
static bool rows_are_numbered(join *j, uint32_t *tokens)
{
    wm_arena *arena = &j->draft->arena;
    for (size_t c = 0; j->rows > 1 && c < j->columns; c++) {
        wm_token **list = wm_new(arena, wm_token *, j->rows);
        size_t *counts = wm_new(arena, size_t, j->rows);
        for (size_t r = 0; r < j->rows; r++)
            list[r] = wm_tokens(arena, part_head(j, r * j->columns + c), &counts[r]);
        tokens[c] = token_apart(list, counts, j->rows);
        if (tokens[c] == WM_DRAFT_NONE)
            return false;
        for (size_t r = 0; r < j->rows; r++)
            if (list[r][tokens[c]].kind != WM_TOKEN_NUMBER || list[r][tokens[c]].number != r)
                return false;
    }
    return true;
}

/* The dimension of the whole in which the parts lie. */
static const char *joined_factor(join *j, const char *const *tags, const char *axis, bool equal,
                                 const char *const *const *names, size_t lists)
{
    wm_arena *arena = &j->draft->arena;
    uint32_t count = 0;
    const char *group = j->group_dim == WM_DRAFT_NONE
                            ? ""
                            : wm_swap_factors(arena, &j->swaps[0], 1, j->group_dim, names[0], &count);
    const char *text = axis, *rest = "";
    if (!axis) {
        text = equal ? "{" : "(";
        for (size_t i = 0; i < j->columns; i++) {
            uint32_t own = 0;
            wm_box place;
            place_of(j, 0, 0, j->sizes[j->order[i]], &place); /* for part_dim */
            const char *factors =
                equal || j->sizes[j->order[i]] == 1
                    ? "1"
                    : wm_swap_factors(arena, &j->swaps[i], 1, j->part_dim, names[i % lists], &own);
            text = equal ? wm_format_text(arena, "%s%s%s", text, i ? " " : "", tags[i])
                         : wm_format_text(arena, "%s%s%s: %s", text, i ? " | " : "", tags[i], factors);
        }
        text = wm_format_text(arena, "%s%s", text, equal ? "}" : ")");
    }
    if (equal && j->part_dim != WM_DRAFT_NONE)
        rest = wm_swap_factors(arena, &j->swaps[0], 1, j->part_dim, names[0], &count);
    if (!*group && !*rest)
        return text;
    return wm_format_text(arena, "(%s%s%s%s%s)", group, *group ? " " : "", text, *rest ? " " : "", rest);
}

static const char *whole_layout(join *j, const char *joined, const char *const *names)
{
    wm_arena *arena = &j->draft->arena;
    const wmap_tensor *head = j->draft->sides[1 - j->side].tensors[j->whole].head;
    wm_box place;
    place_of(j, 0, 0, j->sizes[j->order[0]], &place);
    const char *text = "";
    for (uint32_t d = 0; d < head->rank; d++) {
        const char *factor = head->shape[d] == 1 ? "1" : "";
        uint32_t count = 0;
        if (d == j->box.dim[j->dim])
            factor = joined;
        else if (j->outer != WM_DRAFT_NONE && d == j->box.dim[j->outer])
            factor = "n";
        else
            for (uint32_t i = 0; i < place.rank; i++)
                if (place.dim[i] == d) {
                    factor = wm_swap_factors(arena, &j->swaps[0], 1, i, names, &count);
                    factor = count > 1 ? wm_format_text(arena, "(%s)", factor) : factor;
                }
        text = wm_format_text(arena, "%s%s%s", text, d ? " " : "", factor);
    }
    return text;
}

/* Names of the axes; where parts differ in size, each has its own in the dimension that they share. */
static const char **part_names(join *j, size_t at, bool equal)
{
    const wm_swap *swap = &j->swaps[at];
    const char **names = wm_new(&j->draft->arena, const char *, WM_SWAP_AXES);
    wm_swap_names(&j->draft->arena, swap, 1, names);
    for (uint32_t i = 0; !equal && j->part_dim != WM_DRAFT_NONE && i < swap->count; i++)
        if (swap->axes[i].at[1].dim == j->part_dim)
            names[i] = wm_format_text(&j->draft->arena, "%s%zu", names[i], at);
    return names;
}

/* The place of column `at` in the rule, and what its dimensions say of extents. */
static void add_place(join *j, wm_draft_place *p, size_t at, uint32_t number, const char *tag,
                      const char *const *names, wm_where *where)
{
    wm_arena *arena = &j->draft->arena;
    const wm_box *box = &j->part_boxes[j->order[at]];
    size_t stack = j->rows > 1 ? j->rows : j->columns;
    *p = (wm_draft_place){.tensor = j->parts[j->order[at]], .token = WM_DRAFT_NONE, .tag = tag};
    p->layout = wm_swap_layout(arena, &j->swaps[at], 0, box, part_head(j, at)->rank, names);
    for (uint32_t d = 0; d < box->rank; d++)
        wm_where_dim(arena, where, &j->swaps[at], 0, d, names, j->side == WM_SOURCE);
    if (number == WM_DRAFT_NONE)
        return;
    p->token = number;
    p->axis = "n";
    p->stack = wm_new(arena, uint32_t, stack);
    p->stack_count = stack;
    for (size_t i = 0; i < stack; i++)
        p->stack[i] = j->parts[j->order[j->rows > 1 ? i * j->columns + at : i]];
}

/* The dimension that is cut tells an extent if it is equal parts, and if its shape is known. */
static void add_joined_dim(join *j, const char *const *names, const char *stack, wm_where *where)
{
    wm_arena *arena = &j->draft->arena;
    const wm_swap *swap = &j->swaps[0];
    const char **list = wm_new(arena, const char *, swap->count + 1);
    uint32_t count = 0;
    for (uint32_t i = 0; i < swap->count; i++) {
        uint32_t dim = swap->axes[i].at[1].dim;
        if (swap->axes[i].labels || (dim != j->group_dim && dim != j->part_dim))
            continue;
        wm_where_axis(arena, where, names[i], swap->axes[i].extent, false);
        list[count++] = names[i];
    }
    if (stack)
        list[count++] = stack;
    *wm_push(arena, where->dims, where->dim_count, where->dim_cap) = (wm_where_set){list, count};
}

static bool add_rule(join *j, wm_draft_how how)
{
    wm_draft *draft = j->draft;
    wm_arena *arena = &draft->arena;
    const char **tags = wm_new(arena, const char *, j->columns),
               ***names = wm_new(arena, const char **, j->columns);
    uint32_t number, *row_tokens = wm_new(arena, uint32_t, j->columns);
    bool equal = true;
    wm_where where = {0};
    wm_box place;
    if (!rows_are_numbered(j, row_tokens))
        return false;
    for (size_t i = 1; i < j->count; i++)
        equal &= j->sizes[i] == j->sizes[0];
    name_parts(j, tags, &number);
    bool stacked = equal && number != WM_DRAFT_NONE && j->rows == 1;
    wm_draft_rule *rule = wm_draft_add(draft, how);
    wm_draft_places(draft, rule, j->side, stacked ? 1 : j->columns);
    wm_draft_places(draft, rule, 1 - j->side, 1);
    for (size_t i = 0; i < j->columns; i++) {
        place_of(j, 0, 0, j->sizes[j->order[i]], &place); /* for group_dim and part_dim */
        names[i] = part_names(j, i, equal);
        if (!stacked || i == 0)
            add_place(j, &rule->places[j->side][i], i,
                      stacked       ? number
                      : j->rows > 1 ? row_tokens[i]
                                    : WM_DRAFT_NONE,
                      stacked ? NULL : tags[i], names[i], &where);
        for (uint32_t d = 0; d < place.rank; d++)
            if (d != j->group_dim && d != j->part_dim)
                wm_where_dim(arena, &where, &j->swaps[i], 1, d, names[i], j->side == WM_TARGET);
    }
    bool alone = j->rows > 1 || (j->group_dim == WM_DRAFT_NONE && j->part_dim == WM_DRAFT_NONE);
    if (stacked || j->rows > 1)
        wm_where_axis(arena, &where, "n", j->rows > 1 ? j->rows : j->columns, j->side == WM_SOURCE || alone);
    place_of(j, 0, 0, j->sizes[j->order[0]], &place);
    if (equal && j->side == WM_TARGET)
        add_joined_dim(j, names[0], stacked ? "n" : NULL, &where);
    const char *joined =
        joined_factor(j, tags, stacked ? "n" : NULL, equal, (const char *const *const *)names, j->columns);
    rule->places[1 - j->side][0] = (wm_draft_place){
        .tensor = j->whole, .token = WM_DRAFT_NONE, .layout = whole_layout(j, joined, names[0])};
    rule->where = wm_where_text(arena, &where);
    rule->groups = j->groups;
    wm_draft_mark(draft, rule);
    return true;
}

/* All ways in which the whole may be cut. */
static bool try_all(join *j, uint64_t groups)
{
    j->outer = WM_DRAFT_NONE;
    j->rows = 1;
    j->columns = j->count;
    for (j->dim = 0; j->dim < j->box.rank; j->dim++)
        if (try_dim(j, groups))
            return true;
    for (j->outer = 0; !groups && j->outer < j->box.rank; j->outer++) {
        j->rows = (size_t)j->box.extent[j->outer];
        j->columns = j->rows ? j->count / j->rows : 0;
        if (j->columns < 2 || j->columns * j->rows != j->count)
            continue;
        for (j->dim = 0; j->dim < j->box.rank; j->dim++)
            if (j->dim != j->outer && try_dim(j, 0))
                return true;
    }
    return false;
}

bool wm_join(wm_draft *draft, int side, const uint32_t *parts, size_t count, uint32_t whole,
             const wm_draft_rule *like, wm_draft_how how)
{
    join j = {.draft = draft, .side = side, .parts = parts, .count = count, .whole = whole, .fixed = like};
    wm_arena *arena = &draft->arena;
    j.part_boxes = wm_new(arena, wm_box, count);
    j.sizes = wm_new(arena, uint64_t, count);
    j.order = wm_new(arena, size_t, count);
    j.swaps = wm_new(arena, wm_swap, count);
    if (!wm_box_of(draft, 1 - side, whole, &j.box))
        return false;
    for (size_t i = 0; i < count; i++)
        if (!wm_box_of(draft, side, parts[i], &j.part_boxes[i]))
            return false;
    for (int deep = 0; deep < 2; deep++) {
        j.deep = deep;
        if (try_all(&j, like ? like->groups : 0))
            return add_rule(&j, how);
    }
    return false;
}
