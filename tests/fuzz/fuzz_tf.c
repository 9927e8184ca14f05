/* fuzz_tf.c: TensorFlow's checkpoints. Every block has a CRC, past which no mutation gets, so the first byte
 * says how the others are dressed: a raw file; the contents of one block; records, of which a sound table is
 * made; the text of a file `checkpoint`; an object graph. Data files are zeros, whose CRCs seeds can state.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/crc.h"
#include "runtime/formats/tf.h"
#include "tests/fuzz/archive.h"

#define DATA_SIZE  ((off_t)4096)
#define MOST       ((size_t)1 << 18)
#define KEY_RECORD 3 /* bytes before a record's key: its length, and that of the value */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct bytes {
    uint8_t at[MOST];
    size_t size;
} bytes;

static void put(bytes *b, const void *from, size_t size)
{
    if (size > MOST - b->size)
        size = MOST - b->size;
    if (size)
        memcpy(b->at + b->size, from, size);
    b->size += size;
}

static void put_le(bytes *b, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        put(b, &(uint8_t){(uint8_t)(value >> (8 * i))}, 1);
}

static void put_varint(bytes *b, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        put(b, &(uint8_t){(uint8_t)(value | 0x80)}, 1);
    put(b, &(uint8_t){(uint8_t)value}, 1);
}

static void put_trailer(bytes *b, size_t begin)
{
    put_le(b, 0, 1);
    put_le(b, wm_crc32c_mask(wm_crc32c(0, b->at + begin, b->size - begin)), 4);
}

static void put_entry(bytes *b, const void *key, size_t key_len, const void *value, size_t value_len)
{
    put_varint(b, 0);
    put_varint(b, key_len);
    put_varint(b, value_len);
    put(b, key, key_len);
    put(b, value, value_len);
}

/* Metaindex, index and footer behind a data block. */
static void put_end(bytes *b)
{
    static const uint8_t last[40] = {0xff, 0xff, 0xff, 0xff},
                         magic[8] = {0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb};
    size_t block = b->size, index;
    static bytes handle;
    put_trailer(b, 0);
    handle.size = 0;
    put_varint(&handle, 0);
    put_varint(&handle, block);
    index = b->size;
    put_entry(b, last, sizeof last, handle.at, handle.size);
    put_le(b, 0, 4);
    put_le(b, 1, 4);
    size_t index_size = b->size - index;
    put_trailer(b, index);
    size_t footer = b->size;
    put_varint(b, 0);
    put_varint(b, 0);
    put_varint(b, index);
    put_varint(b, index_size);
    while (b->size < footer + 40 && b->size < MOST)
        put_le(b, 0, 1);
    put(b, magic, sizeof magic);
}

/* Records: one byte of key length, two of value length, key, value. Each is a restart of its own. */
static void put_records(bytes *b, const uint8_t *data, size_t size)
{
    static uint32_t restarts[4096];
    size_t count = 0;
    while (size >= KEY_RECORD && count < 4096) {
        size_t key = data[0], value = (size_t)data[1] | (size_t)data[2] << 8;
        data += KEY_RECORD;
        size -= KEY_RECORD;
        key = key < size ? key : size;
        value = value < size - key ? value : size - key;
        restarts[count++] = (uint32_t)b->size;
        put_entry(b, data, key, data + key, value);
        data += key + value;
        size -= key + value;
    }
    for (size_t i = 0; i < count; i++)
        put_le(b, restarts[i], 4);
    if (count == 0)
        put_le(b, 0, 4);
    put_le(b, count ? count : 1, 4);
}

static void write_file(const char *folder, const char *name, const void *data, size_t size)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size) {
        perror(path);
        abort();
    }
    close(fd);
}

static char folder[64];

static void clean_up(void)
{
    static const char *const names[] = {"a.index", "a.data-00000-of-00002", "a.data-00001-of-00002",
                                        "checkpoint"};
    char path[128];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

/* A folder with two data files of zeros, made once, for all that needs more than one file. */
static const char *folder_of(void)
{
    if (folder[0])
        return folder;
    struct stat st;
    bool shm = stat("/dev/shm", &st) == 0 && S_ISDIR(st.st_mode);
    snprintf(folder, sizeof folder, "%s/wmap-fuzz-XXXXXX", shm ? "/dev/shm" : "/tmp");
    if (!mkdtemp(folder) || atexit(clean_up) != 0)
        abort();
    static const uint8_t zeros[DATA_SIZE];
    write_file(folder, "a.data-00000-of-00002", zeros, sizeof zeros);
    write_file(folder, "a.data-00001-of-00002", zeros, sizeof zeros);
    return folder;
}

static void open_table(const bytes *b, bool in_folder)
{
    if (!in_folder) {
        fuzz_archive(b->at, b->size);
        return;
    }
    char path[128];
    write_file(folder_of(), "a.index", b->at, b->size);
    snprintf(path, sizeof path, "%s/a", folder_of());
    fuzz_archive_at(path);
}

static bool never(const wmap_archive *archive, size_t a, size_t b)
{
    (void)archive;
    (void)a;
    (void)b;
    return false;
}

/* An object graph over two entries. */
static void fuzz_graph(const uint8_t *data, size_t size)
{
    wmap_archive *archive = calloc(1, sizeof *archive);
    wmap_error err = {0};
    if (!archive)
        return;
    wm_file file = {.path = "a.index", .fd = -1};
    archive->path = file.path;
    archive->files = &file;
    archive->file_count = archive->file_cap = 1;
    wm_arena_init(&archive->arena);
    wm_map_init(&archive->names, &archive->arena, 0);
    if (!wm_archive_add(archive, "v/.ATTRIBUTES/VARIABLE_VALUE", 28, WMAP_U8, 0, NULL, NULL, &err) ||
        !wm_archive_add(archive, "w", 1, WMAP_U8, 0, NULL, NULL, &err) ||
        !wm_tf_add_full_names(archive, data, size, never, &err) || !wm_aliases_settle(archive, &err))
        abort();
    if (archive->entries[0].alias && archive->entries[1].alias &&
        strcmp(archive->entries[0].alias, archive->entries[1].alias) == 0)
        abort();
    wm_arena_release(&archive->arena);
    free(archive);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bytes b;
    if (size < 1 || size > MOST / 4)
        return 0;
    uint8_t mode = data[0];
    data++;
    size--;
    b.size = 0;
    switch (mode) {
    case 'b': /* a block */
    case 'B':
        put(&b, data, size);
        put_end(&b);
        open_table(&b, mode == 'b');
        break;
    case 'r': /* records */
    case 'R':
        put_records(&b, data, size);
        put_end(&b);
        open_table(&b, mode == 'r');
        break;
    case 'c': /* the text of `checkpoint` */
        write_file(folder_of(), "checkpoint", data, size);
        fuzz_archive_at(folder_of());
        break;
    case 'g':
        fuzz_graph(data, size);
        break;
    default:
        fuzz_archive(data - 1, size + 1);
    }
    return 0;
}
