/* cli/pages.c: the sections of docs/errors.md, which is built into the program (cmake/embed.cmake). */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

extern const unsigned char wm_errors_text[];

bool wm_is_page(const char *word)
{
    size_t digits = strspn(word[0] ? word + 1 : word, "0123456789");
    return word[0] && strchr("ERWerw", word[0]) && digits == 4 && !word[5] && access(word, F_OK) != 0;
}

/* The next section: behind its `## `. NULL: there is none. */
static const char *next_page(const char *from)
{
    const char *at = strstr(from, "\n## ");
    return at ? at + 4 : NULL;
}

static const char *first_page(void)
{
    return next_page((const char *)wm_errors_text);
}

/* Code is indented, and the fences around it are left out. */
static void print_page(const char *page)
{
    const char *next = next_page(page), *end = next ? next - 4 : page + strlen(page);
    bool code = false;
    while (end > page && end[-1] == '\n') {
        end--;
    }
    for (const char *line = page, *stop; line < end; line = stop + 1) {
        stop = memchr(line, '\n', (size_t)(end - line));
        stop = stop ? stop : end;
        if (stop - line >= 3 && memcmp(line, "```", 3) == 0) {
            code = !code;
            continue;
        }
        printf("%s%.*s\n", code && stop > line ? "    " : "", (int)(stop - line), line);
    }
}

/* Of the unknown ones: those of the same hundred. */
static void say_unknown(const char *id)
{
    char near[512] = "";
    size_t used = 0;
    for (const char *page = first_page(); page; page = next_page(page)) {
        if (memcmp(page, id, 3) == 0 && used < sizeof near - 8) {
            used += (size_t)snprintf(near + used, sizeof near - used, "%s%.5s", used ? ", " : "", page);
        }
    }
    wm_say("explain: there is no error %s%s%s; `wmap explain --list` lists them", id,
           used ? "; near are " : "", near);
}

int wm_explain_page(const char *word)
{
    char id[6] = {(char)toupper((unsigned char)word[0])};
    memcpy(id + 1, word + 1, 4);
    for (const char *page = first_page(); page; page = next_page(page)) {
        if (memcmp(page, id, 5) == 0) {
            print_page(page);
            return WM_EXIT_DONE;
        }
    }
    say_unknown(id);
    return WM_EXIT_FAILED;
}

/* Each id and its title: the heading, without the marks of code. */
int wm_list_pages(void)
{
    for (const char *page = first_page(); page; page = next_page(page)) {
        printf("%.5s  ", page);
        for (const char *p = page + 7; *p && *p != '\n'; p++) {
            putchar(*p);
        }
        putchar('\n');
    }
    return WM_EXIT_DONE;
}
