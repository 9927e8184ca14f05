/* names.c: what names tell: their tokens, what they have in common, which part of a layer they mean. Pairs
 * what values could not: tensors that are all one number, and, without values, all of them. */
#include <stdlib.h>
#include <string.h>

#include "runtime/base/natural.h"
#include "runtime/base/text.h"
#include "suggest/draft.h"

/* ---- tokens ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c & 0x80);
}

static enum wm_token_kind kind_of(char c)
{
    return is_digit(c) ? WM_TOKEN_NUMBER : is_word(c) ? WM_TOKEN_WORD : WM_TOKEN_OTHER;
}

wm_token *wm_tokens(wm_arena *arena, const wmap_tensor *head, size_t *count)
{
    wm_token *list = NULL;
    size_t cap = 0, end;
    *count = 0;
    for (size_t at = 0; at < head->name_len; at = end) {
        enum wm_token_kind kind = kind_of(head->name[at]);
        for (end = at + 1;
             end < head->name_len && kind != WM_TOKEN_OTHER && kind_of(head->name[end]) == kind;)
            end++;
        wm_token *token = wm_push(arena, list, *count, cap);
        *token = (wm_token){.text = head->name + at, .len = (uint32_t)(end - at), .kind = kind};
        if (kind == WM_TOKEN_NUMBER && (end - at > 15 || (head->name[at] == '0' && end - at > 1)))
            token->kind = WM_TOKEN_WORD;
        for (size_t i = at; i < end && token->kind == WM_TOKEN_NUMBER; i++)
            token->number = token->number * 10 + (uint64_t)(head->name[i] - '0');
    }
    return list;
}

static bool same_token(const wm_token *x, const wm_token *y)
{
    return x->len == y->len && memcmp(x->text, y->text, x->len) == 0;
}

size_t wm_parent(const wmap_tensor *head)
{
    size_t end = head->name_len;
    while (end > 0 && head->name[end - 1] != '/' && head->name[end - 1] != '.')
        end--;
    return end ? end - 1 : 0;
}

/* ---- roles ---- */

/* What the frameworks call the parts of a layer. */
typedef enum role { ROLE_NONE, ROLE_WEIGHT, ROLE_BIAS, ROLE_SCALE, ROLE_MEAN, ROLE_VARIANCE } role;

static const struct {
    const char *word;
    role role;
} roles[] = {{"kernel", ROLE_WEIGHT},    {"weight", ROLE_WEIGHT},
             {"weights", ROLE_WEIGHT},   {"W", ROLE_WEIGHT},
             {"w", ROLE_WEIGHT},         {"embeddings", ROLE_WEIGHT},
             {"embedding", ROLE_WEIGHT}, {"bias", ROLE_BIAS},
             {"biases", ROLE_BIAS},      {"b", ROLE_BIAS},
             {"beta", ROLE_BIAS},        {"gamma", ROLE_SCALE},
             {"scale", ROLE_SCALE},      {"mean", ROLE_MEAN},
             {"var", ROLE_VARIANCE},     {"variance", ROLE_VARIANCE},
             {"table", ROLE_WEIGHT},     {"filters", ROLE_WEIGHT}};

static role role_of(const wmap_tensor *head, const wm_token *tokens, size_t count)
{
    for (size_t i = count; i-- > 0;)
        for (size_t k = 0; k < sizeof roles / sizeof *roles; k++)
            if (tokens[i].kind == WM_TOKEN_WORD && strlen(roles[k].word) == tokens[i].len &&
                memcmp(roles[k].word, tokens[i].text, tokens[i].len) == 0)
                return roles[k].role == ROLE_WEIGHT && head->rank == 1 ? ROLE_SCALE : roles[k].role;
    return ROLE_NONE;
}

double wm_names_alike(wm_arena *arena, const wmap_tensor *x, const wmap_tensor *y)
{
    size_t x_count, y_count, common = 0, all = 0;
    wm_token *a = wm_tokens(arena, x, &x_count), *b = wm_tokens(arena, y, &y_count);
    bool *used = wm_new(arena, bool, y_count + 1);
    role p = role_of(x, a, x_count), q = role_of(y, b, y_count);
    if (x_count > 64 || y_count > 64)
        return 0;
    for (size_t i = 0; i < x_count; i++) {
        bool found = false;
        all += a[i].kind != WM_TOKEN_OTHER;
        for (size_t k = 0; a[i].kind != WM_TOKEN_OTHER && !found && k < y_count; k++)
            if (!used[k] && same_token(&a[i], &b[k]))
                found = used[k] = true;
        common += found;
    }
    double score = all ? 3 * (double)common / (double)all : 0;
    return score + (p && q ? p == q ? 4 : -4 : 0);
}

/* ---- order ---- */

static int by_name(const void *a, const void *b, void *side)
{
    const wm_draft_side *s = side;
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    const wmap_tensor *t = s->tensors[x].head, *u = s->tensors[y].head;
    int order = wm_natural_compare(t->name, t->name_len, u->name, u->name_len);
    return order ? order : (x > y) - (x < y);
}

uint32_t *wm_natural_tensors(wm_draft *draft, int side)
{
    wm_draft_side *s = &draft->sides[side];
    uint32_t *order = wm_new(&draft->arena, uint32_t, s->count + 1);
    for (uint32_t i = 0; i < s->count; i++)
        order[i] = i;
    qsort_r(order, s->count, sizeof *order, by_name, s);
    return order;
}

/* ---- which parent is which ---- */

typedef struct naming {
    wm_draft *draft;
    wm_map parents; /* of the sources -> a target below theirs */
} naming;

static void learn(naming *n, uint32_t source, uint32_t target)
{
    const wmap_tensor *s = n->draft->sides[WM_SOURCE].tensors[source].head;
    size_t len = wm_parent(s);
    if (len)
        wm_map_put(&n->parents, s->name, len, target, NULL);
}

static double parents_alike(const naming *n, const wmap_tensor *s, const wmap_tensor *t)
{
    size_t len = wm_parent(s), other = wm_parent(t);
    uint32_t known = len ? wm_map_get(&n->parents, s->name, len) : WM_MAP_NONE;
    if (known == WM_MAP_NONE)
        return 0;
    const wmap_tensor *u = n->draft->sides[WM_TARGET].tensors[known].head;
    return wm_parent(u) == other && memcmp(u->name, t->name, other) == 0 ? 8 : -2;
}

/* ---- classes ---- */

/* Tensors that may be one another: of the same value, or of the same extents in any order. */
typedef struct group {
    uint32_t *list[2];
    size_t count[2], cap[2];
} group;

typedef struct candidate {
    double score;
    uint32_t at[2]; /* in the lists */
} candidate;

static int by_extent(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static size_t class_key(const wm_draft *draft, const wm_draft_tensor *t, uint64_t key[WMAP_MAX_RANK + 3])
{
    size_t len = 0;
    if (draft->values) {
        key[len++] = t->count;
        key[len++] = t->sum.a;
        key[len++] = t->sum.b;
    } else {
        for (uint32_t d = 0; d < t->head->rank; d++)
            if (t->head->shape[d] != 1)
                key[len++] = t->head->shape[d];
        qsort(key, len, sizeof *key, by_extent);
    }
    return len * sizeof *key;
}

static group *make_groups(naming *n, size_t *count)
{
    wm_draft *draft = n->draft;
    wm_arena *arena = &draft->arena;
    group *groups = NULL;
    size_t cap = 0;
    wm_map index;
    *count = 0;
    wm_map_init(&index, arena, 64);
    for (int side = 0; side < 2; side++) {
        uint32_t *order = wm_natural_tensors(draft, side);
        for (size_t i = 0; i < draft->sides[side].count; i++) {
            const wm_draft_tensor *t = &draft->sides[side].tensors[order[i]];
            uint64_t *key = wm_new(arena, uint64_t, WMAP_MAX_RANK + 3);
            if (t->rule != WM_DRAFT_NONE || t->head->dtype == WMAP_OPAQUE ||
                (draft->values && (!t->known || !t->constant)))
                continue;
            size_t len = class_key(draft, t, key);
            uint32_t at = wm_map_put(&index, key, len, (uint32_t)*count, NULL);
            if (at == WM_MAP_NONE) {
                at = (uint32_t)*count;
                *wm_push(arena, groups, *count, cap) = (group){0};
            }
            group *g = &groups[at];
            *wm_push(arena, g->list[side], g->count[side], g->cap[side]) = order[i];
        }
    }
    return groups;
}

/* The place of each among those of its role. */
static uint32_t *places_in_role(naming *n, const group *g, int side)
{
    uint32_t *places = wm_new(&n->draft->scratch, uint32_t, g->count[side] + 1),
             seen[ROLE_VARIANCE + 1] = {0};
    for (size_t i = 0; i < g->count[side]; i++) {
        const wmap_tensor *head = n->draft->sides[side].tensors[g->list[side][i]].head;
        size_t count;
        wm_token *tokens = wm_tokens(&n->draft->scratch, head, &count);
        places[i] = seen[role_of(head, tokens, count)]++;
    }
    return places;
}

static int by_score(const void *a, const void *b)
{
    const candidate *x = a, *y = b;
    if (x->score != y->score)
        return x->score < y->score ? 1 : -1;
    for (int i = 0; i < 2; i++)
        if (x->at[i] != y->at[i])
            return x->at[i] < y->at[i] ? -1 : 1;
    return 0;
}

/* What else a target may be: the best two others. */
static const char *others(naming *n, const group *g, const candidate *list, size_t count,
                          const candidate *taken)
{
    const char *text = NULL;
    int said = 0;
    for (size_t i = 0; i < count && said < 2; i++)
        if (list[i].at[1] == taken->at[1] && list[i].at[0] != taken->at[0] &&
            list[i].score > taken->score - 4) {
            char shown[200];
            const wmap_tensor *s = n->draft->sides[WM_SOURCE].tensors[g->list[0][list[i].at[0]]].head;
            text = wm_format_text(&n->draft->arena, "%s%s%s", text ? text : "", text ? ", " : "or from ",
                                  wm_show(shown, sizeof shown, s->name, s->name_len));
            said++;
        }
    return text;
}

#define MAX_CANDIDATES ((size_t)1 << 20) /* of one class; beyond, the order of the files decides */

static bool pair_up(naming *n, uint32_t source, uint32_t target, const char *note)
{
    wm_draft *draft = n->draft;
    if (draft->values ? !wm_pair_move(draft, source, target, WM_BY_CONSTANT)
                      : !wm_pair_shapes(draft, source, target, note))
        return false;
    learn(n, source, target);
    return true;
}

static void pair_class(naming *n, const group *g)
{
    size_t rows = g->count[0], columns = g->count[1], count = 0;
    wm_draft *draft = n->draft;
    if (rows == 0 || columns == 0)
        return;
    if (rows > MAX_CANDIDATES / columns) {
        for (size_t i = 0; i < rows && i < columns; i++)
            pair_up(n, g->list[0][i], g->list[1][i], "by the order in the files");
        return;
    }
    uint32_t *places[2] = {places_in_role(n, g, 0), places_in_role(n, g, 1)};
    candidate *list = wm_new(&n->draft->scratch, candidate, rows * columns);
    for (uint32_t i = 0; i < rows; i++)
        for (uint32_t k = 0; k < columns; k++) {
            const wmap_tensor *s = draft->sides[WM_SOURCE].tensors[g->list[0][i]].head,
                              *t = draft->sides[WM_TARGET].tensors[g->list[1][k]].head;
            double apart = (double)places[0][i] - (double)places[1][k];
            double score = wm_names_alike(&n->draft->scratch, s, t) + parents_alike(n, s, t) +
                           2 / (1 + (apart < 0 ? -apart : apart));
            list[count++] = (candidate){score, {i, k}};
        }
    qsort(list, count, sizeof *list, by_score);
    bool *used[2] = {wm_new(&n->draft->scratch, bool, rows), wm_new(&n->draft->scratch, bool, columns)};
    for (size_t i = 0; i < count; i++) {
        const candidate *c = &list[i];
        if (used[0][c->at[0]] || used[1][c->at[1]] || (!draft->values && c->score < 0))
            continue;
        if (pair_up(n, g->list[0][c->at[0]], g->list[1][c->at[1]], others(n, g, list, count, c)))
            used[0][c->at[0]] = used[1][c->at[1]] = true;
    }
}

static int by_size(const void *a, const void *b)
{
    const group *x = a, *y = b;
    size_t p = x->count[0] * x->count[1], q = y->count[0] * y->count[1];
    if (p != q)
        return p < q ? -1 : 1;
    return p ? (x->list[1][0] > y->list[1][0]) - (x->list[1][0] < y->list[1][0]) : 0;
}

/* ---- rules like others ---- */

/* Tensors of one side by their names, and those of one number that are open by their parents. */
typedef struct siblings {
    wm_map names, parents;
    uint32_t *next;
} siblings;

static bool is_open_constant(const wm_draft_tensor *t)
{
    return t->rule == WM_DRAFT_NONE && t->known && t->constant;
}

static void make_siblings(wm_draft *draft, int side, siblings *s)
{
    wm_draft_side *of = &draft->sides[side];
    wm_map_init(&s->names, &draft->arena, of->count);
    wm_map_init(&s->parents, &draft->arena, 64);
    s->next = wm_new(&draft->arena, uint32_t, of->count + 1);
    for (uint32_t i = 0; i < of->count; i++) {
        const wmap_tensor *t = of->tensors[i].head;
        wm_map_put(&s->names, t->name, t->name_len, i, NULL);
        s->next[i] = WM_DRAFT_NONE;
        if (!is_open_constant(&of->tensors[i]))
            continue;
        uint32_t head = wm_map_put(&s->parents, t->name, wm_parent(t), i, NULL);
        if (head != WM_MAP_NONE) {
            s->next[i] = s->next[head];
            s->next[head] = i;
        }
    }
}

/* The tensors called as `name` is behind its parent, below the parents of the rule's parts. */
static bool parts_like(wm_draft *draft, const siblings *s, int side, const wm_draft_place *places,
                       size_t count, const wmap_tensor *name, uint32_t whole, uint32_t *parts)
{
    const wm_draft_side *of = &draft->sides[side];
    const wm_draft_tensor *w = &draft->sides[1 - side].tensors[whole];
    uint64_t elements = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t like = places->stack_count ? places->stack[i] : places[i].tensor;
        const wmap_tensor *other = of->tensors[like].head;
        const char *text = wm_format_text(&draft->arena, "%.*s%s", (int)wm_parent(other), other->name,
                                          name->name + wm_parent(name));
        parts[i] = wm_map_get(&s->names, text, strlen(text));
        if (parts[i] == WM_MAP_NONE || !is_open_constant(&of->tensors[parts[i]]) ||
            memcmp(of->tensors[parts[i]].first, w->first, sizeof w->first) != 0)
            return false;
        for (size_t k = 0; k < i; k++)
            if (parts[k] == parts[i])
                return false;
        elements += of->tensors[parts[i]].count;
    }
    return elements == w->count;
}

/* Whole and parts as those of another rule, but for what stands behind their parents: the bias beside the
 * weight. All of one number, so their values did not tell. */
static void join_like(wm_draft *draft, const siblings *both, size_t at, int side, uint32_t whole)
{
    const wm_draft_place *places = draft->rules[at].places[side];
    size_t count = places->stack_count ? places->stack_count : draft->rules[at].counts[side];
    uint32_t *parts = wm_new(&draft->arena, uint32_t, count);
    const wmap_tensor *first =
        draft->sides[side].tensors[places->stack_count ? places->stack[0] : places->tensor].head;
    uint32_t t = wm_map_get(&both[side].parents, first->name, wm_parent(first));
    for (; t != WM_MAP_NONE; t = both[side].next[t])
        if (parts_like(draft, &both[side], side, places, count, draft->sides[side].tensors[t].head, whole,
                       parts) &&
            wm_join(draft, side, parts, count, whole, &draft->rules[at], WM_BY_CONSTANT))
            return;
}

static void pair_like(wm_draft *draft)
{
    siblings both[2];
    make_siblings(draft, 0, &both[0]);
    make_siblings(draft, 1, &both[1]);
    for (size_t r = 0, rules = draft->rule_count; r < rules; r++) {
        const wm_draft_rule *rule = &draft->rules[r];
        if (rule->groups == 0)
            continue;
        int side =
            rule->counts[WM_SOURCE] > 1 || rule->places[WM_SOURCE]->stack_count ? WM_SOURCE : WM_TARGET;
        const wmap_tensor *whole = draft->sides[1 - side].tensors[rule->places[1 - side]->tensor].head;
        uint32_t t = wm_map_get(&both[1 - side].parents, whole->name, wm_parent(whole));
        for (; t != WM_MAP_NONE; t = both[1 - side].next[t])
            if (draft->sides[1 - side].tensors[t].rule == WM_DRAFT_NONE)
                join_like(draft, both, r, side, t);
    }
}

bool wm_pair_names(wm_draft *draft)
{
    naming n = {.draft = draft};
    size_t count;
    wm_map_init(&n.parents, &draft->arena, 64);
    if (draft->values)
        pair_like(draft);
    for (size_t i = 0; i < draft->rule_count; i++)
        if (draft->rules[i].counts[0] == 1 && draft->rules[i].counts[1] == 1)
            learn(&n, draft->rules[i].places[0][0].tensor, draft->rules[i].places[1][0].tensor);
    group *groups = make_groups(&n, &count);
    if (count)
        qsort(groups, count, sizeof *groups, by_size);
    for (size_t i = 0; i < count; i++) {
        pair_class(&n, &groups[i]);
        wm_arena_clear(&draft->scratch);
    }
    return true;
}
