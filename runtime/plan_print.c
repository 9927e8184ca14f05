/* plan_print.c: a plan as text. docs/plan.md defines it; the language's tests compare it byte by byte. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/text.h"
#include "runtime/plan.h"

/* Names of axes: a, b ... z, then a1, b1 ... */
static void print_axis(FILE *out, size_t axis)
{
    fputc((int)('a' + axis % 26), out);
    if (axis >= 26)
        fprintf(out, "%zu", axis / 26);
}

/* Quoted as in a spec; never cut, so that names that differ look different. */
static void print_name(FILE *out, const char *name, size_t len)
{
    fputc('"', out);
    for (size_t at = 0; at < len;) {
        uint32_t scalar;
        size_t n = wm_utf8(name + at, len - at, &scalar);
        if (name[at] == '"' || name[at] == '\\') {
            fprintf(out, "\\%c", name[at]);
            n = 1;
        } else {
            char shown[64];
            n = n ? n : 1;
            fputs(wm_show(shown, sizeof shown, name + at, n), out);
        }
        at += n;
    }
    fputc('"', out);
}

static void print_shape(FILE *out, const wmap_tensor *t)
{
    fputc('[', out);
    for (uint32_t d = 0; d < t->rank; d++)
        fprintf(out, "%s%" PRIu64, d ? " " : "", t->shape[d]);
    fputc(']', out);
}

static void print_header(FILE *out, const wmap_tensor *t)
{
    print_name(out, t->name, t->name_len);
    fprintf(out, " %s ", t->dtype == WMAP_OPAQUE ? "opaque" : wmap_dtype_name(t->dtype));
    print_shape(out, t);
}

/* ---- layouts ---- */

static uint64_t size_of(int64_t coef)
{
    return coef < 0 ? 0 - (uint64_t)coef : (uint64_t)coef;
}

/* One dimension of one side of a move: the axes that index it, slow to fast. */
typedef struct dimension {
    size_t axes[WM_MOVE_AXES];
    int64_t coefs[WM_MOVE_AXES];
    size_t count;
    int64_t start, low, high; /* of its indices */
    bool dense;               /* the axes count low .. high without a gap */
} dimension;

static void look(const Wmap__Access *a, const Wmap__Move *m, uint32_t rank, uint32_t d, dimension *dim)
{
    *dim = (dimension){.start = wm_access_start(a, d)};
    dim->low = dim->high = dim->start;
    for (size_t k = 0; k < m->n_extents; k++) {
        int64_t coef = wm_access_coef(a, k, d, rank);
        if (m->extents[k] == 1 || coef == 0)
            continue;
        size_t at = dim->count++;
        for (; at > 0 && size_of(dim->coefs[at - 1]) < size_of(coef); at--) {
            dim->axes[at] = dim->axes[at - 1];
            dim->coefs[at] = dim->coefs[at - 1];
        }
        dim->axes[at] = k;
        dim->coefs[at] = coef;
        *(coef < 0 ? &dim->low : &dim->high) += coef * (int64_t)(m->extents[k] - 1);
    }
    uint64_t next = 1;
    dim->dense = true;
    for (size_t i = dim->count; i-- > 0;) {
        dim->dense = dim->dense && size_of(dim->coefs[i]) == next;
        next *= m->extents[dim->axes[i]];
    }
}

/* `names[k]` is the letter of axis k. */
static void print_dimension(FILE *out, const dimension *dim, uint64_t extent, const size_t *names)
{
    if (dim->count == 0) { /* one index; of a dimension of 1 nothing else is possible */
        fprintf(out, "%" PRId64, dim->start);
        return;
    }
    if (!dim->dense) { /* the index as a sum */
        fprintf(out, "%" PRId64, dim->start);
        for (size_t i = 0; i < dim->count; i++) {
            fprintf(out, "%+" PRId64 "*", dim->coefs[i]);
            print_axis(out, names[dim->axes[i]]);
        }
        return;
    }
    if (dim->count > 1)
        fputc('(', out);
    for (size_t i = 0; i < dim->count; i++) {
        fputs(i ? " " : "", out);
        fputs(dim->coefs[i] < 0 ? "-" : "", out);
        print_axis(out, names[dim->axes[i]]);
    }
    if (dim->count > 1)
        fputc(')', out);
    if (dim->low != 0 || (uint64_t)dim->high + 1 != extent)
        fprintf(out, ":%" PRId64 "..%" PRId64, dim->low, dim->high);
}

static void print_layout(FILE *out, const Wmap__Access *a, const Wmap__Move *m, const wmap_tensor *t,
                         const size_t *names)
{
    fputc('[', out);
    for (uint32_t d = 0; d < t->rank; d++) {
        dimension dim;
        look(a, m, t->rank, d, &dim);
        fputs(d ? " " : "", out);
        print_dimension(out, &dim, t->shape[d], names);
    }
    fputc(']', out);
}

/* Letters in the order in which the target's dimensions meet the axes. */
static void name_axes(const Wmap__Access *lead, const Wmap__Move *m, const wmap_tensor *target, size_t *names)
{
    size_t next = 0;
    for (size_t k = 0; k < m->n_extents; k++)
        names[k] = SIZE_MAX;
    for (uint32_t d = 0; d < target->rank; d++) {
        dimension dim;
        look(lead, m, target->rank, d, &dim);
        for (size_t i = 0; i < dim.count; i++)
            if (names[dim.axes[i]] == SIZE_MAX)
                names[dim.axes[i]] = next++;
    }
}

/* Every element of the target is the one at the same index of a source of the same shape. */
static bool is_whole(const wmap_plan *plan, const Wmap__Move *m)
{
    const wmap_tensor *t = &plan->targets[m->target->tensor], *s = wm_move_source(plan, m);
    if (m->n_sources > 1) /* layouts say how they go together */
        return false;
    if (s && (s->rank != t->rank || (t->rank && memcmp(s->shape, t->shape, t->rank * sizeof *t->shape) != 0)))
        return false;
    if (plan->first[m->target->tensor + 1] - plan->first[m->target->tensor] != 1)
        return false;
    if (!s)
        return true;
    for (uint32_t d = 0; d < t->rank; d++) {
        if (wm_access_start(m->target, d) != wm_access_start(m->sources[0], d))
            return false;
        for (size_t k = 0; k < m->n_extents; k++)
            if (m->extents[k] != 1 &&
                wm_access_coef(m->target, k, d, t->rank) != wm_access_coef(m->sources[0], k, d, t->rank))
                return false;
    }
    return true;
}

static void print_cast(FILE *out, const Wmap__Op *op)
{
    fprintf(out, " | cast %s%s", wmap_dtype_name((wmap_dtype)op->dtype),
            op->policy == WMAP__OP__POLICY__SATURATE ? " saturate"
            : op->policy == WMAP__OP__POLICY__ALLOW  ? " allow"
                                                     : "");
}

/* The steps of a program; what arithmetic takes stands behind it. */
static void print_steps(FILE *out, const wmap_plan *plan, const Wmap__Move *m, const size_t *names)
{
    static const char *const words[] = {"",    "",    "",    "load", "+",     "-",   "*",       "/",
                                        "neg", "exp", "log", "sqrt", "rsqrt", "pow", "bitcast", "equal"};
    char text[64];
    for (size_t i = 0; i < m->n_ops; i++) {
        const Wmap__Op *op = m->ops[i], *next = i + 1 < m->n_ops ? m->ops[i + 1] : NULL;
        bool pushes = op->code == WMAP__OP__CODE__CONST || op->code == WMAP__OP__CODE__LOAD;
        bool taken = next && pushes &&
                     ((next->code >= WMAP__OP__CODE__ADD && next->code <= WMAP__OP__CODE__DIV) ||
                      next->code == WMAP__OP__CODE__POW || next->code == WMAP__OP__CODE__EQUAL);
        if (op->code == WMAP__OP__CODE__CAST) {
            print_cast(out, op);
            continue;
        }
        fprintf(out, " | %s", words[taken ? next->code : op->code]);
        if (op->code == WMAP__OP__CODE__BITCAST)
            fprintf(out, " %s", wmap_dtype_name((wmap_dtype)op->dtype));
        if (op->code == WMAP__OP__CODE__CONST && op->value_case == WMAP__OP__VALUE_NUMBER)
            fprintf(out, " %s", wm_element_text(WMAP_F64, &op->number, text, sizeof text));
        else if (op->code == WMAP__OP__CODE__CONST)
            fprintf(out, " %" PRId64, op->integer);
        if (op->code == WMAP__OP__CODE__LOAD) {
            const Wmap__Access *a = m->sources[op->integer];
            const wmap_tensor *t = &plan->sources[a->tensor];
            fputc(' ', out);
            print_name(out, t->name, t->name_len);
            fputc(' ', out);
            print_layout(out, a, m, t, names);
        }
        i += taken;
    }
}

static void print_program(FILE *out, const wmap_plan *plan, const Wmap__Move *m, const size_t *names)
{
    wm_program program;
    char text[96];
    wm_move_program(plan, m, &program);
    if (program.what == WM_DO_FILL)
        fprintf(out, "fill %s",
                wm_element_text(plan->targets[m->target->tensor].dtype, program.element, text, sizeof text));
    else if (program.what == WM_DO_CAST)
        print_cast(out, m->ops[0]);
    else if (program.what == WM_DO_VALUE)
        print_steps(out, plan, m, names);
}

static void print_part(FILE *out, const wmap_plan *plan, const Wmap__Move *m, size_t *names)
{
    const wmap_tensor *t = &plan->targets[m->target->tensor], *s = wm_move_source(plan, m);
    bool whole = is_whole(plan, m);
    name_axes(m->target, m, t, names);
    fputs("    ", out);
    if (!whole) {
        print_layout(out, m->target, m, t, names);
        fputc(' ', out);
    }
    fputs("<- ", out);
    if (s) {
        print_name(out, s->name, s->name_len);
        if (!whole) {
            fputc(' ', out);
            print_layout(out, m->sources[0], m, s, names);
        }
    }
    print_program(out, plan, m, names);
    fputc('\n', out);
}

/* A guard: what it looks at, and what that must be. */
static void print_guard(FILE *out, const wmap_plan *plan, const Wmap__Move *m, size_t *names)
{
    const wmap_tensor *t;
    const Wmap__Access *lead = wm_move_lead(plan, m, &t);
    name_axes(lead, m, t, names);
    fputs("    ", out);
    print_layout(out, lead, m, t, names);
    print_steps(out, plan, m, names);
    fputc('\n', out);
}

/* ---- moves ---- */

static void print_access(FILE *out, const Wmap__Access *a, const Wmap__Move *m, uint32_t rank)
{
    fputc('[', out);
    for (uint32_t d = 0; d < rank; d++)
        fprintf(out, "%s%" PRId64, d ? " " : "", wm_access_start(a, d));
    fputc(']', out);
    for (size_t k = 0; k < m->n_extents; k++) {
        fputs(k ? " [" : " + [", out);
        for (uint32_t d = 0; d < rank; d++)
            fprintf(out, "%s%" PRId64, d ? " " : "", wm_access_coef(a, k, d, rank));
        fputc(']', out);
    }
}

static void print_move(FILE *out, const wmap_plan *plan, const Wmap__Move *m)
{
    const wmap_tensor *t, *s = wm_move_source(plan, m);
    const Wmap__Access *lead = wm_move_lead(plan, m, &t);
    char place[256];
    fputs("        move (", out);
    for (size_t k = 0; k < m->n_extents; k++)
        fprintf(out, "%s%" PRIu64, k ? " " : "", m->extents[k]);
    fputs(wm_is_guard(m) ? ") of " : ") to ", out);
    print_access(out, lead, m, t->rank);
    if (s && !wm_is_guard(m)) {
        fputs(" from ", out);
        print_access(out, m->sources[0], m, s->rank);
    }
    if (m->line)
        fprintf(out, " at %s", wm_move_place(plan, m, place, sizeof place));
    fputc('\n', out);
}

static void print_metas(FILE *out, const Wmap__Plan *p)
{
    static const char *const wild[] = {"{*}", "{**}", "{number}"};
    if (*p->format) {
        fputs("format ", out);
        print_name(out, p->format, strlen(p->format));
        fputc('\n', out);
    }
    for (size_t i = 0; i < p->n_metas; i++) {
        fputs("meta ", out);
        print_name(out, (const char *)p->metas[i]->key.data, p->metas[i]->key.len);
        fputs(" = ", out);
        print_name(out, (const char *)p->metas[i]->value.data, p->metas[i]->value.len);
        fputc('\n', out);
    }
    for (size_t i = 0; i < p->n_dropped_metas; i++) {
        const ProtobufCBinaryData *d = &p->dropped_metas[i];
        char shown[3 * WM_PLAN_MAX_PATTERN];
        fputs("drop meta \"", out);
        for (size_t from = 0, at = 0; from < d->len; from = at) {
            while (at < d->len && d->data[at] != 0xff)
                at++;
            fputs(wm_show(shown, sizeof shown, (const char *)d->data + from, at - from), out);
            if (at + 1 < d->len && d->data[at + 1] >= 1 && d->data[at + 1] <= 3)
                fputs(wild[d->data[at + 1] - 1], out);
            at = at + 2 < d->len ? at + 2 : d->len;
        }
        fputs("\"\n", out);
    }
}

/* Moves call what a decoder gives by the name of its source. */
static void print_decodes(FILE *out, const wmap_plan *plan)
{
    const Wmap__Plan *p = plan->message;
    for (size_t i = 0; i < p->n_decodes; i++) {
        const Wmap__Decode *d = p->decodes[i];
        const wmap_tensor *scales = &plan->sources[d->scales];
        fputs("decode ", out);
        print_header(out, &plan->sources[p->n_sources + i]);
        fputs(d->kind == WMAP__DECODE__KIND__MXFP4 ? " <- mxfp4 " : " <- dequant ", out);
        print_name(out, scales->name, scales->name_len);
        for (size_t k = 0; k < d->n_block; k++)
            fprintf(out, "%s%" PRIu64 "%s", k ? " " : " [", d->block[k], k + 1 < d->n_block ? "" : "]");
        fputc('\n', out);
    }
}

static void print_stage(const wmap_plan *plan, FILE *out, bool moves)
{
    const Wmap__Plan *p = plan->message;
    size_t names[WM_PLAN_MAX_AXES] = {0}, dropped = 0;
    for (size_t i = 0; i < p->n_sources; i++)
        dropped += p->sources[i]->dropped ? 1 : 0;
    if (p->map && p->map[0]) {
        char shown[300];
        fprintf(out, "map %s: ", wm_show(shown, sizeof shown, p->map, strlen(p->map)));
    }
    fprintf(out, "%zu source%s", p->n_sources, p->n_sources == 1 ? "" : "s");
    if (dropped)
        fprintf(out, " (%zu dropped)", dropped);
    size_t guards = wm_first_guard(plan), moved = guards;
    fprintf(out, ", %zu target%s, %zu move%s", p->n_targets, p->n_targets == 1 ? "" : "s", moved,
            moved == 1 ? "" : "s");
    guards = p->n_moves - moved;
    if (guards)
        fprintf(out, ", %zu guard%s", guards, guards == 1 ? "" : "s");
    fputc('\n', out);
    print_metas(out, p);
    print_decodes(out, plan);
    for (size_t i = 0; i < p->n_targets; i++) {
        print_header(out, &plan->targets[i]);
        fputc('\n', out);
        if (p->targets[i]->whole) {
            const wmap_tensor *s = &plan->sources[p->targets[i]->whole - 1];
            fputs("    <- ", out);
            print_name(out, s->name, s->name_len);
            fputc('\n', out);
        }
        for (uint32_t m = plan->first[i]; m < plan->first[i + 1]; m++) {
            print_part(out, plan, p->moves[m], names);
            if (moves)
                print_move(out, plan, p->moves[m]);
        }
    }
    const wmap_tensor *last = NULL;
    for (size_t m = wm_first_guard(plan); m < p->n_moves; m++) {
        const wmap_tensor *t = wm_move_source(plan, p->moves[m]);
        if (t != last) {
            fputs("check ", out);
            print_header(out, t);
            fputc('\n', out);
        }
        last = t;
        print_guard(out, plan, p->moves[m], names);
        if (moves)
            print_move(out, plan, p->moves[m]);
    }
    for (size_t i = 0; i < p->n_sources; i++)
        if (p->sources[i]->dropped) {
            fputs("drop ", out);
            print_header(out, &plan->sources[i]);
            fputc('\n', out);
        }
}

void wmap_plan_print(const wmap_plan *plan, FILE *out, bool moves)
{
    for (; plan; plan = plan->next) {
        print_stage(plan, out, moves);
        if (plan->next)
            fputs("then ", out);
    }
}
