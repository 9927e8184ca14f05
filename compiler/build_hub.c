/* build_hub.c: makes the nodes of the hub's declarations. Words that are no keywords open some of their
 * statements; what stands there is told by them here. */
#include <string.h>

#include "compiler/grammar.h"

wm_index *wm_make_hub_index(wm_parser *p, wm_span span, wm_word *word, wm_expr *number)
{
    wm_index *index = wm_new(p->arena, wm_index, 1);
    index->span = span;
    index->word = word;
    index->number = number;
    return index;
}

wm_ref *wm_make_ref(wm_parser *p, wm_span span, wm_word *name, wm_index *indices)
{
    wm_ref *ref = wm_new(p->arena, wm_ref, 1);
    ref->span = span;
    ref->name = name;
    ref->indices = indices;
    return ref;
}

wm_owner *wm_make_owner(wm_parser *p, wm_span span, wm_word *tag, wm_ref *ref)
{
    wm_owner *owner = wm_new(p->arena, wm_owner, 1);
    owner->span = span;
    owner->tag = tag;
    owner->ref = ref;
    return owner;
}

wm_hplace *wm_make_hplace(wm_parser *p, wm_span span, wm_string *name, wm_layout *layout)
{
    wm_hplace *place = wm_new(p->arena, wm_hplace, 1);
    place->span = span;
    place->name = name;
    place->layout = layout;
    return place;
}

wm_presence *wm_make_presence(wm_parser *p, wm_span span, bool with, wm_word *words)
{
    wm_presence *presence = wm_new(p->arena, wm_presence, 1);
    presence->span = span;
    presence->with = with;
    presence->words = words;
    return presence;
}

wm_hub_name *wm_make_hub_name(wm_parser *p, wm_span span, wm_word *name, wm_expr *indices)
{
    wm_hub_name *member = wm_new(p->arena, wm_hub_name, 1);
    member->span = span;
    member->name = name;
    member->indices = indices;
    return member;
}

wm_stmt *wm_make_hub(wm_parser *p, wm_hub_kind kind, wm_span span)
{
    wm_stmt *stmt = wm_make_stmt(p, WM_ST_HUB, span);
    stmt->of->hub = wm_new(p->arena, struct wm_hub_stmt, 1);
    stmt->of->hub->kind = kind;
    stmt->of->hub->span = span;
    return stmt;
}

bool wm_is_word(wm_parser *p, const wm_word *word, const char *text)
{
    if (wm_str_eq(word->text, (wm_str){text, (uint32_t)strlen(text)}))
        return true;
    wm_syntax(p, WM_E0110, word->span, "expected `%s`, found %s", text, wm_quote(p->unit, word->text));
    return false;
}

wm_stmt *wm_hub_word_string(wm_parser *p, wm_span span, wm_word *word, struct wm_string_list *strings)
{
    static const struct {
        const char *word;
        wm_hub_kind kind;
    } words[] = {{"name", WM_HS_NAME}, {"order", WM_HS_ORDER}, {"ignore", WM_HS_IGNORE}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (!wm_str_eq(word->text, (wm_str){words[i].word, (uint32_t)strlen(words[i].word)}))
            continue;
        wm_stmt *stmt = wm_make_hub(p, words[i].kind, span);
        stmt->of->hub->string = strings->string;
        stmt->of->hub->strings = strings;
        if (words[i].kind == WM_HS_NAME && strings->next)
            wm_syntax(p, WM_E0110, strings->next->string->span, "expected a single name");
        return stmt;
    }
    wm_diag *d = wm_syntax(p, WM_E0110, word->span, "expected `name`, `order` or `ignore` before this text");
    if (d)
        wm_diag_hint(p->unit, d, "a placement is written `kernel = \"text\"`");
    return NULL;
}

wm_stmt *wm_hub_let(wm_parser *p, wm_span span, wm_word *word, wm_word *name, wm_expr *expr)
{
    if (word && !wm_is_word(p, word, "let"))
        return NULL;
    wm_stmt *stmt = wm_make_hub(p, WM_HS_LET, span);
    stmt->of->hub->name = name;
    stmt->of->hub->expr = expr;
    return stmt;
}

/* `format keras.h5` of a model looks like `order a.b`. */
static wm_stmt *model_format(wm_parser *p, wm_span span, const wm_owner *owner)
{
    wm_stmt *stmt = wm_make_hub(p, WM_HS_FORMAT, span);
    wm_qname *name = NULL;
    for (const wm_ref *r = owner->ref; r; r = r->next) {
        if (r->indices) {
            wm_syntax(p, WM_E0110, r->span, "expected the name of a format");
            return NULL;
        }
        name = name ? wm_qname_more(owner->span, name, r->name) : wm_make_qname(p, owner->span, r->name);
    }
    stmt->of->hub->qname = name;
    return stmt;
}

wm_stmt *wm_hub_order(wm_parser *p, wm_span span, wm_word *word, wm_owner *owners)
{
    if (wm_str_eq(word->text, WM_STR("format")) && !owners->next)
        return model_format(p, span, owners);
    if (!wm_is_word(p, word, "order"))
        return NULL;
    wm_stmt *stmt = wm_make_hub(p, WM_HS_ORDER, span);
    stmt->of->hub->owners = owners;
    return stmt;
}

static void only_declarations(wm_parser *p, const wm_stmt *stmt)
{
    for (; stmt; stmt = stmt->next) {
        if (stmt->kind == WM_ST_HUB) {
            wm_diag *d = wm_syntax(p, WM_E0110, stmt->span, "expected a tensor, as in \"name\" : f32 [3 4]");
            if (d)
                wm_diag_hint(p->unit, d,
                             "a model of an architecture names its dialect: `model m : dialect { ... }`");
            return;
        }
        if (stmt->kind != WM_ST_TENSOR) {
            only_declarations(p, stmt->of->body);
            only_declarations(p, stmt->of->otherwise);
        }
    }
}

void wm_check_model(wm_parser *p, const wm_item *item)
{
    if (!item->of_hub) {
        only_declarations(p, item->body);
        return;
    }
    for (const wm_stmt *s = item->body; s; s = s->next)
        if (s->kind == WM_ST_TENSOR)
            wm_syntax(p, WM_E0110, s->span, "expected a member's name: this model is of an architecture");
}
