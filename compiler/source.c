/* source.c: texts of specs, and where a byte of one is: line and column, found when a finding is printed or a
 * move notes where it came from, never before. */
#include "compiler/source.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "compiler/grammar.h"
#include "compiler/parse.h"

/* What is beyond the limit is refused by wm_parse, so no more of it is needed than to know. */
static size_t limited(size_t size)
{
    return size > WM_MAX_FILE + 1 ? WM_MAX_FILE + 1 : size;
}

uint32_t wm_lend_source(wm_unit *unit, const char *name, char *text, size_t size)
{
    wm_source **slot = wm_push(unit->arena, unit->sources, unit->source_count, unit->source_cap);
    wm_source *source = wm_new(unit->arena, wm_source, 1);
    size = limited(size);
    memset(text + size, 0, WM_TEXT_END);
    source->name = wm_copy(unit->arena, name, strlen(name));
    source->text = text;
    source->size = (uint32_t)size;
    *slot = source;
    return (uint32_t)(unit->source_count - 1);
}

uint32_t wm_add_source(wm_unit *unit, const char *name, const char *text, size_t size)
{
    size = limited(size);
    char *copy = wm_alloc(unit->arena, size + WM_TEXT_END);
    if (size)
        memcpy(copy, text, size);
    return wm_lend_source(unit, name, copy, size);
}

#define MARK 4096u

/* Characters in a run of bytes: all but the second and later bytes of UTF-8. */
static uint32_t characters(const char *text, size_t len)
{
    uint32_t count = 0;
    for (size_t i = 0; i < len; i++)
        count += ((unsigned char)text[i] & 0xC0) != 0x80;
    return count;
}

/* A line may be as long as the file, and every byte of it asked for: nothing is counted from its start. */
static void find_marks(wm_arena *arena, wm_source *source)
{
    uint32_t blocks = source->size / MARK;
    source->marks = wm_new(arena, uint32_t, (size_t)blocks + 1);
    for (uint32_t i = 0; i < blocks; i++)
        source->marks[i + 1] = source->marks[i] + characters(source->text + i * MARK, MARK);
}

static uint32_t characters_before(const wm_source *source, uint32_t at)
{
    return source->marks[at / MARK] + characters(source->text + at / MARK * MARK, at % MARK);
}

static void find_lines(wm_arena *arena, wm_source *source)
{
    uint32_t count = 1;
    const char *end = source->text + source->size;
    for (const char *p = source->text; (p = memchr(p, '\n', (size_t)(end - p))) != NULL; p++)
        count++;
    source->lines = wm_new(arena, uint32_t, (size_t)count + 1);
    uint32_t at = 1;
    for (const char *p = source->text; (p = memchr(p, '\n', (size_t)(end - p))) != NULL; p++)
        source->lines[at++] = (uint32_t)(p - source->text) + 1;
    source->lines[at] = source->size + 1;
    source->line_count = count;
    find_marks(arena, source);
}

/* Where the first character stands: behind a byte-order mark, which is none. */
static uint32_t line_start(const wm_source *source, uint32_t line)
{
    bool mark = line == 1 && source->size >= 3 && memcmp(source->text, "\xEF\xBB\xBF", 3) == 0;
    return mark ? 3 : source->lines[line - 1];
}

void wm_source_position(wm_arena *arena, wm_source *source, uint32_t at, uint32_t *line, uint32_t *column)
{
    if (!source->lines)
        find_lines(arena, source);
    if (at > source->size)
        at = source->size;
    uint32_t lo = 0, hi = source->line_count;
    while (hi - lo > 1) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (source->lines[mid] <= at)
            lo = mid;
        else
            hi = mid;
    }
    *line = lo + 1;
    uint32_t start = line_start(source, *line);
    if (at < start)
        *column = 1;
    else if (at - start < MARK)
        *column = characters(source->text + start, at - start) + 1;
    else
        *column = characters_before(source, at) - characters_before(source, start) + 1;
}

wm_str wm_source_line(wm_arena *arena, wm_source *source, uint32_t line)
{
    if (!source->lines)
        find_lines(arena, source);
    if (line == 0 || line > source->line_count)
        return (wm_str){"", 0};
    uint32_t beg = line_start(source, line), end = source->lines[line] - 1;
    if (end > beg && source->text[end - 1] == '\r')
        end--;
    return (wm_str){source->text + beg, end - beg};
}

ssize_t wm_read_text(const char *path, char *text, size_t size, struct stat *st)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return -1;
    size_t have = 0;
    ssize_t n = 0;
    if (fstat(fd, st) < 0 || !S_ISREG(st->st_mode))
        n = -1;
    while (n >= 0 && have < size) {
        n = read(fd, text + have, size - have);
        if (n == 0)
            break;
        if (n > 0)
            have += (size_t)n;
        else if (errno == EINTR)
            n = 0;
    }
    int number = errno;
    close(fd);
    errno = number;
    return n < 0 ? -1 : (ssize_t)have;
}
