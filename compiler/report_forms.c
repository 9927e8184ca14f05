/* report_forms.c: reports for programs: JSON, SARIF and GitHub's workflow commands. Columns count characters
 * in all of them, and the end of a place is behind it, but for GitHub's, which is the last column. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/report.h"
#include "runtime/base/text.h"
#include "wmap/wmap.h"

static void json_string(FILE *out, const char *text)
{
    size_t len = strlen(text);
    fputc('"', out);
    for (size_t at = 0; at < len;) {
        uint32_t scalar = 0;
        size_t bytes = wm_utf8(text + at, len - at, &scalar);
        if (bytes == 0)
            fputs("\\ufffd", out);
        else if (scalar == '"' || scalar == '\\')
            fprintf(out, "\\%c", (int)scalar);
        else if (scalar < 0x20 || scalar == 0x7F)
            fprintf(out, "\\u%04" PRIx32, scalar);
        else
            fwrite(text + at, 1, bytes, out);
        at += bytes ? bytes : 1;
    }
    fputc('"', out);
}

static void json_text(FILE *out, const char *name, const char *text)
{
    fprintf(out, "\"%s\": ", name);
    if (text)
        json_string(out, text);
    else
        fputs("null", out);
}

static void json_place(FILE *out, const place *at, const char *file)
{
    json_text(out, "file", at->source ? at->source->name : file);
    if (at->source && !at->whole)
        fprintf(out,
                ", \"line\": %" PRIu32 ", \"column\": %" PRIu32 ", \"end_line\": %" PRIu32
                ", \"end_column\": %" PRIu32 ", ",
                at->line, at->column, at->end_line, at->end_column);
    else
        fputs(", \"line\": null, \"column\": null, \"end_line\": null, \"end_column\": null, ", out);
}

const char *wm_severity(const wm_diag *d)
{
    return d->id == WM_DIAG_NONE ? "note" : d->warning ? "warning" : "error";
}

static void json_entry(FILE *out, const wmap_report *r, const entry *e)
{
    const wm_diag *d = e->diag;
    fprintf(out, "{\"id\": \"%s\", \"severity\": \"%s\", ", wm_diag_name(d->id), wm_severity(d));
    json_text(out, "message", d->message);
    fputs(", ", out);
    json_place(out, &e->main, r->spec);
    json_text(out, "label", d->label);
    fputs(", \"labels\": [", out);
    for (uint32_t i = 0; i < d->label_count; i++) {
        fputs(i ? ", {" : "{", out);
        json_place(out, &e->labels[i], r->spec);
        json_text(out, "text", d->labels[i].text);
        fputc('}', out);
    }
    fputs("], \"notes\": [", out);
    const char *comma = "";
    for (uint32_t i = 0; i < d->note_count; i++, comma = ", ") {
        fprintf(out, "%s{\"kind\": \"%s\", ", comma, d->notes[i].hint ? "hint" : "note");
        json_text(out, "text", d->notes[i].text);
        fputc('}', out);
    }
    if (e->folded) {
        fprintf(out, "%s{\"kind\": \"note\", ", comma);
        json_text(out, "text", e->folded);
        fputc('}', out);
    }
    fputs("], \"fix\": ", out);
    if (e->fix.source) {
        fputc('{', out);
        json_place(out, &e->fix, r->spec);
        json_text(out, "replacement", d->fix_text);
        fputs("}}", out);
    } else {
        fputs("null}", out);
    }
}

static void json_entries(FILE *out, const wmap_report *r, size_t max_errors)
{
    size_t errors = 0;
    const char *comma = "\n";
    for (size_t i = 0; i < r->count; i++) {
        if (!r->entries[i].diag->warning && ++errors > max_errors)
            continue;
        fputs(comma, out);
        json_entry(out, r, &r->entries[i]);
        comma = ",\n";
    }
    fputs(r->count ? "\n]" : "]", out);
}

void wm_report_json(const wmap_report *r, FILE *out, size_t max_errors)
{
    static const char *const exact[] = {[WMAP_REVERSAL_EXACT] = "yes",
                                        [WMAP_REVERSAL_UNLESS] = "unless over- or underflow",
                                        [WMAP_REVERSAL_ROUNDS] = "no",
                                        [WMAP_REVERSAL_NONE] = "no"};
    fputs("{\"diagnostics\": [", out);
    json_entries(out, r, max_errors);
    fprintf(out, ", \"errors\": %zu, \"warnings\": %zu", r->errors, r->warnings);
    if (r->reversal != WMAP_REVERSAL_UNKNOWN) {
        fprintf(out, ", \"reverse\": {\"reversible\": %s, \"exact\": \"%s\", \"reasons\": [",
                r->reversal == WMAP_REVERSAL_NONE ? "false" : "true", exact[r->reversal]);
        json_entries(out, r->reasons, SIZE_MAX);
        fputc('}', out);
    }
    fputs("}\n", out);
}

/* ---- SARIF 2.1.0 ---- */

/* A path as a relative or absolute URI reference. */
static void put_uri(FILE *out, const char *path)
{
    fputs("\"artifactLocation\": {\"uri\": \"", out);
    if (*path == '/')
        fputs("file://", out);
    for (const char *at = path; *at; at++) {
        bool plain = (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') || (*at >= '0' && *at <= '9') ||
                     strchr("-._~/", *at);
        fprintf(out, plain ? "%c" : "%%%02X", (unsigned char)*at);
    }
    fputs("\"}", out);
}

static void put_region(FILE *out, const char *name, const place *at)
{
    fprintf(out,
            "\"%s\": {\"startLine\": %" PRIu32 ", \"startColumn\": %" PRIu32 ", \"endLine\": %" PRIu32
            ", \"endColumn\": %" PRIu32 "}",
            name, at->line, at->column, at->end_line, at->end_column);
}

static void put_physical(FILE *out, const place *at, const char *file)
{
    fputs("\"physicalLocation\": {", out);
    put_uri(out, at->source ? at->source->name : file);
    if (at->source && !at->whole) {
        fputs(", ", out);
        put_region(out, "region", at);
    }
    fputc('}', out);
}

/* The message with what a reader is told under it, in the lines of a text. */
static const char *whole_message(const entry *e, char **text)
{
    size_t size;
    const wm_diag *d = e->diag;
    FILE *out = open_memstream(text, &size);
    if (!out)
        return d->message;
    fputs(d->message, out);
    if (d->label && *d->label)
        fprintf(out, " (%s)", d->label);
    for (uint32_t i = 0; i < d->note_count; i++)
        fprintf(out, "\n%s: %s", d->notes[i].hint ? "hint" : "note", d->notes[i].text);
    if (e->folded)
        fprintf(out, "\nnote: %s", e->folded);
    return fclose(out) == 0 ? *text : d->message;
}

static void put_result(FILE *out, const wmap_report *r, const entry *e, size_t rule)
{
    const wm_diag *d = e->diag;
    char *text = NULL;
    fprintf(out, "{\"ruleId\": \"%s\", \"ruleIndex\": %zu, \"level\": \"%s\", \"message\": {",
            wm_diag_name(d->id), rule, d->warning ? "warning" : "error");
    json_text(out, "text", whole_message(e, &text));
    free(text);
    fputs("}, \"locations\": [{", out);
    put_physical(out, &e->main, r->spec);
    fputs("}], \"relatedLocations\": [", out);
    for (uint32_t i = 0; i < d->label_count; i++) {
        fprintf(out, "%s{\"id\": %" PRIu32 ", ", i ? ", " : "", i + 1);
        put_physical(out, &e->labels[i], r->spec);
        fputs(", \"message\": {", out);
        json_text(out, "text", d->labels[i].text);
        fputs("}}", out);
    }
    fputc(']', out);
    if (e->fix.source) {
        fputs(", \"fixes\": [{\"artifactChanges\": [{", out);
        put_uri(out, e->fix.source->name);
        fputs(", \"replacements\": [{", out);
        put_region(out, "deletedRegion", &e->fix);
        fputs(", \"insertedContent\": {", out);
        json_text(out, "text", d->fix_text);
        fputs("}}]}]}]", out);
    }
    fputc('}', out);
}

/* The rules that have results, in the order of the ids; `index` is where each stands among them. */
static void put_rules(FILE *out, const wmap_report *r, size_t index[WM_DIAG_COUNT])
{
    bool seen[WM_DIAG_COUNT] = {false};
    size_t count = 0;
    for (size_t i = 0; i < r->count; i++)
        seen[r->entries[i].diag->id] = true;
    for (size_t id = 0; id < WM_DIAG_COUNT; id++) {
        if (!seen[id])
            continue;
        const char *name = wm_diag_name((wm_diag_id)id);
        fprintf(out, "%s{\"id\": \"%s\", \"shortDescription\": {", count ? ",\n" : "\n", name);
        json_text(out, "text", wm_diag_title(name));
        fprintf(out, "}, \"help\": {\"text\": \"wmap explain %s\"}}", name);
        index[id] = count++;
    }
}

void wm_report_sarif(const wmap_report *r, FILE *out, size_t max_errors)
{
    size_t errors = 0, index[WM_DIAG_COUNT] = {0};
    const char *comma = "\n";
    fputs(
        "{\"$schema\": \"https://json.schemastore.org/sarif-2.1.0.json\", \"version\": \"2.1.0\", \"runs\": "
        "[{\"columnKind\": \"unicodeCodePoints\",\n\"tool\": {\"driver\": {\"name\": \"wmap\", ",
        out);
    json_text(out, "version", wmap_version());
    fputs(", \"rules\": [", out);
    put_rules(out, r, index);
    fputs("]}},\n\"results\": [", out);
    for (size_t i = 0; i < r->count; i++) {
        if (!r->entries[i].diag->warning && ++errors > max_errors)
            continue;
        fputs(comma, out);
        put_result(out, r, &r->entries[i], index[r->entries[i].diag->id]);
        comma = ",\n";
    }
    fputs("]}]}\n", out);
}

/* ---- the workflow commands of GitHub ---- */

static void put_escaped(FILE *out, const char *text, const char *special)
{
    for (; *text; text++) {
        if (strchr(special, *text))
            fprintf(out, "%%%02X", (unsigned char)*text);
        else
            fputc(*text, out);
    }
}

static void put_command(FILE *out, const wmap_report *r, const entry *e)
{
    const wm_diag *d = e->diag;
    const place *at = &e->main;
    char *text = NULL;
    fprintf(out, "::%s file=", d->warning ? "warning" : "error");
    put_escaped(out, at->source ? at->source->name : r->spec, "%\r\n:,");
    if (at->source && !at->whole) {
        uint32_t last = at->end_line > at->line       ? at->end_column
                        : at->end_column > at->column ? at->end_column - 1
                                                      : at->column;
        fprintf(out, ",line=%" PRIu32 ",endLine=%" PRIu32 ",col=%" PRIu32 ",endColumn=%" PRIu32, at->line,
                at->end_line, at->column, last);
    }
    fprintf(out, ",title=%s::", wm_diag_name(d->id));
    put_escaped(out, whole_message(e, &text), "%\r\n");
    fputc('\n', out);
    free(text);
}

void wm_report_github(const wmap_report *r, FILE *out, size_t max_errors)
{
    size_t errors = 0;
    for (size_t i = 0; i < r->count; i++)
        if (r->entries[i].diag->warning || ++errors <= max_errors)
            put_command(out, r, &r->entries[i]);
}
