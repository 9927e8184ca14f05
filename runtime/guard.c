/* guard.c: what a run checks beside what it moves: guards, which are moves without a target, gathered into
 * checks; and what is said when elements break a promise, be it of a guard or of a cast. */
#include <string.h>

#include "runtime/base/dtype.h"
#include "runtime/base/error.h"
#include "runtime/base/text.h"
#include "runtime/run.h"

/* What a guard compares with, if it is no constant. */
static uint32_t other_of(const Wmap__Move *guard)
{
    return guard->sources[guard->n_sources - 1]->tensor;
}

/* Of one rule, about one source, with one reason. */
static bool together(const Wmap__Move *a, const Wmap__Move *b)
{
    return a->sources[0]->tensor == b->sources[0]->tensor && a->file == b->file && a->line == b->line &&
           a->column == b->column && wm_guards_constant(a) == wm_guards_constant(b);
}

bool wm_run_plan_checks(wm_run *run, wmap_error *err)
{
    const Wmap__Plan *p = run->plan->message;
    for (size_t i = wm_first_guard(run->plan); i < p->n_moves; i++) {
        wm_check *last = run->check_count ? &run->checks[run->check_count - 1] : NULL;
        if (last && together(p->moves[last->first], p->moves[i])) {
            last->count++;
            continue;
        }
        last = wm_push(&run->arena, run->checks, run->check_count, run->check_cap);
        if (!last)
            return wm_fail(err, WMAP_E_NOMEM, "out of memory");
        *last = (wm_check){(uint32_t)i, 1};
    }
    return true;
}

/* R0801 to R0803, by what the plan says of the source. */
static bool check_error(const wm_run *run, wmap_error *err)
{
    const wm_guard *g = &run->guard;
    const wmap_plan *plan = run->plan;
    uint32_t source = g->move->sources[0]->tensor;
    const wmap_tensor *t = &plan->sources[source];
    char where[400], found[80], expected[80], place[256], what[400];
    wmap_index_text(t, g->first, where, sizeof where);
    wm_element_text(g->from, g->element, found, sizeof found);
    wm_element_text(g->from, g->expected, expected, sizeof expected);
    wm_move_place(plan, g->move, place, sizeof place);
    const char *s = g->count == 1 ? "" : "s", *id = "R0802";
    if (wm_guards_constant(g->move)) {
        bool dropped = source < plan->message->n_sources && plan->message->sources[source]->dropped;
        id = dropped ? "R0801" : "R0803";
        snprintf(what, sizeof what, "element%s%s %s not %s, as %s wants", s,
                 dropped ? "" : " outside of the layout", g->count == 1 ? "is" : "are", expected,
                 dropped ? "`if all`" : "`else`");
    } else {
        const wmap_tensor *other = &plan->sources[other_of(g->move)];
        char name[200];
        snprintf(what, sizeof what, "element%s differ%s from %s `%s`", s, g->count == 1 ? "s" : "",
                 other == t      ? "another slice of"
                 : g->count == 1 ? "the copy"
                                 : "copies such as", /* of all that are compared one behind the other */
                 wm_show(name, sizeof name, other->name, other->name_len));
    }
    wm_fail(err, WMAP_E_GUARD, "%s: %llu %s%s%s; the first is %s, expected %s, at %s", id,
            (unsigned long long)g->count, what, place[0] ? " at " : "", place, found, expected, where);
    return wm_error_tensor(err, t->name, t->name_len);
}

bool wm_run_guard_error(const wm_run *run, wmap_error *err)
{
    const wm_guard *g = &run->guard;
    if (g->rank < run->check_count)
        return check_error(run, err);
    const wmap_tensor *t = &run->plan->targets[run->order[g->rank - run->check_count]];
    char where[400], found[80];
    wmap_index_text(t, g->first, where, sizeof where);
    wm_element_text(g->from, g->element, found, sizeof found);
    if (g->overflow) {
        wm_fail(err, WMAP_E_GUARD,
                "R0605: %llu element%s the range of the whole numbers that the rule computes; the first "
                "comes from %s "
                "of %s, at %s",
                (unsigned long long)g->count, g->count == 1 ? " leaves" : "s leave", found,
                wmap_dtype_name(g->from), where);
        return wm_error_tensor(err, t->name, t->name_len);
    }
    wm_fail(err, WMAP_E_GUARD,
            "R0604: %llu element%s no value of %s; the first is %s of %s, at %s; `saturate` (but for NaN) or "
            "`allow` after the cast says what to do",
            (unsigned long long)g->count, g->count == 1 ? " has" : "s have", wmap_dtype_name(t->dtype), found,
            wmap_dtype_name(g->from), where);
    return wm_error_tensor(err, t->name, t->name_len);
}
