/* files.h: for tests of file formats: building bytes, opening them as a file, and writing files by a format's
 * writer. */
#ifndef WM_TEST_FILES_H
#define WM_TEST_FILES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

#include "runtime/archive.h"
#include "runtime/base/dtype.h"

/* Bytes that grow. Zeroed is empty; free with bytes_free. */
typedef struct bytes {
    uint8_t *at;
    size_t size, cap;
} bytes;

static inline void bytes_add(bytes *b, const void *more, size_t size)
{
    if (b->size + size > b->cap) {
        b->cap = 2 * (b->size + size) + 64;
        b->at = realloc(b->at, b->cap);
        assert_non_null(b->at);
    }
    if (size)
        memcpy(b->at + b->size, more, size);
    b->size += size;
}

static inline void bytes_text(bytes *b, const char *text)
{
    bytes_add(b, text, strlen(text));
}

static inline void bytes_le(bytes *b, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        bytes_add(b, &(uint8_t){(uint8_t)(i < 8 ? value >> (8 * i) : 0)}, 1);
}

static inline void bytes_set_le(bytes *b, size_t at, uint64_t value, unsigned size)
{
    assert_true(at + size <= b->size);
    for (unsigned i = 0; i < size; i++)
        b->at[at + i] = (uint8_t)(value >> (8 * i));
}

static inline void bytes_free(bytes *b)
{
    free(b->at);
    *b = (bytes){0};
}

/* Writes bytes to a new file, whose path goes to `path`. */
static inline void file_make(char path[64], const void *data, size_t size)
{
    snprintf(path, 64, "/tmp/wmap-test-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, size), (ssize_t)size);
    close(fd);
}

/* Opens bytes as a file that is unlinked at once. */
static inline wmap_archive *open_bytes(const void *data, size_t size, wmap_error *err)
{
    char path[64];
    memset(err, 0, sizeof *err);
    file_make(path, data, size);
    wmap_archive *archive = wmap_archive_open(path, err);
    unlink(path);
    return archive;
}

/* Opening these bytes must fail with this code and a message that holds `text`. */
static inline void refuse(const bytes *b, wmap_code code, const char *text)
{
    wmap_error err;
    wmap_archive *archive = open_bytes(b->at, b->size, &err);
    if (archive || err.code != code || !strstr(err.message, text) || !err.file[0])
        print_error("wanted %d `%s`, got %d `%s`: `%s`\n", (int)code, text, (int)err.code, err.tensor,
                    err.message);
    assert_null(archive);
    assert_int_equal(err.code, code);
    assert_non_null(strstr(err.message, text));
    assert_true(err.file[0]);
}

/* Opening them must work. */
static inline wmap_archive *accept(const bytes *b)
{
    wmap_error err;
    wmap_archive *archive = open_bytes(b->at, b->size, &err);
    if (!archive)
        print_error("got %d `%s`: %s\n", (int)err.code, err.tensor, err.message);
    assert_non_null(archive);
    return archive;
}

/* Index of the tensor of that name. */
static inline size_t find(wmap_archive *archive, const char *name)
{
    uint32_t index = wm_map_get(&archive->names, name, strlen(name));
    if (index == WM_MAP_NONE)
        print_error("no tensor %s\n", name);
    assert_int_not_equal(index, WM_MAP_NONE);
    assert_true(index < wmap_archive_count(archive));
    assert_string_equal(wmap_archive_tensor(archive, index)->name, name);
    return index;
}

/* The tensor is of that dtype and shape, and its bytes (as they lie in the view, without strides) are `data`.
 */
static inline void expect_tensor(wmap_archive *archive, const char *name, wmap_dtype dtype, uint32_t rank,
                                 const uint64_t *shape, const void *data, size_t size)
{
    wmap_error err;
    wm_view view;
    size_t index = find(archive, name);
    const wmap_tensor *t = wmap_archive_tensor(archive, index);
    assert_int_equal(t->dtype, dtype);
    assert_int_equal(t->rank, rank);
    for (uint32_t d = 0; d < rank; d++)
        assert_int_equal(t->shape[d], shape[d]);
    if (!wm_archive_view(archive, index, &view, &err))
        print_error("%s: %s\n", name, err.message);
    assert_true(wm_archive_view(archive, index, &view, &err));
    assert_memory_equal(view.bytes, data, size);
    uint8_t *again = malloc(size + 1); /* the descriptor shows the same bytes */
    assert_non_null(again);
    assert_int_equal(pread(view.fd, again, size, (off_t)view.offset), (ssize_t)size);
    assert_memory_equal(again, data, size);
    free(again);
}

/* Writing by a format's writer into memory. */
typedef struct memory_writer {
    wm_writer writer;
    wm_arena arena;
    bytes out;
    uint8_t *put; /* how often each byte was put */
} memory_writer;

static inline bool memory_put(wm_writer *writer, uint32_t part, uint64_t offset, const void *data,
                              size_t size, wmap_error *err)
{
    memory_writer *m = (memory_writer *)writer;
    (void)err;
    assert_int_equal(part, 0);
    assert_true(offset <= m->out.size && size <= m->out.size - offset);
    if (size)
        memcpy(m->out.at + offset, data, size);
    for (size_t i = 0; i < size; i++)
        m->put[offset + i]++;
    return true;
}

/* Writes targets with their data; false with `err` if layout() refuses. Alignment gaps must be put by the
 * format too: every byte of the file must be put exactly once. Free `m->out` with memory_free. */
static inline bool memory_write(memory_writer *m, const char *format, wm_target *targets, size_t count,
                                const void *const *data, wmap_error *err)
{
    memset(m, 0, sizeof *m);
    memset(err, 0, sizeof *err);
    wm_arena_init(&m->arena);
    m->writer = (wm_writer){.format = wm_format_named(format),
                            .path = "memory",
                            .arena = &m->arena,
                            .targets = targets,
                            .count = count,
                            .put = memory_put};
    assert_non_null(m->writer.format);
    for (size_t i = 0; i < count; i++)
        assert_true(wmap_tensor_bytes(&targets[i].tensor, &targets[i].bytes));
    if (!m->writer.format->layout(&m->writer, err))
        return false;
    m->out.size = m->out.cap = (size_t)m->writer.parts[0].size;
    m->out.at = calloc(1, m->out.size + 1);
    m->put = calloc(1, m->out.size + 1);
    assert_true(m->out.at && m->put);
    for (size_t i = 0; i < count; i++) {
        size_t size = (size_t)targets[i].bytes;
        assert_true(memory_put(&m->writer, 0, targets[i].offset, data[i], size, err));
        targets[i].sum = (uint32_t)crc32_z(0, data[i], size);
    }
    assert_true(m->writer.format->finish(&m->writer, err));
    for (size_t i = 0; i < m->out.size; i++)
        assert_int_equal(m->put[i], 1);
    return true;
}

static inline void memory_free(memory_writer *m)
{
    if (m->writer.format && m->writer.format->drop)
        m->writer.format->drop(&m->writer);
    wm_arena_release(&m->arena);
    bytes_free(&m->out);
    free(m->put);
}

/* A target without data. */
static inline wm_target target_of(const char *name, wmap_dtype dtype, uint32_t rank, const uint64_t *shape)
{
    return (wm_target){.tensor = {name, strlen(name), dtype, rank, shape}};
}

#endif
