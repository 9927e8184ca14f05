/* TensorFlow's checkpoints: samples byte by byte, keys of slices, how slices tile a variable, messages
 * through windows, names of shards. */
#include "tests/unit/files.h"

#include <fcntl.h>

#include "runtime/formats/tf.h"
#include "runtime/formats/tf_table.h"

static void bytes_hex(bytes *b, const char *hex)
{
    for (; *hex; hex++) {
        unsigned value;
        if (*hex == ' ')
            continue;
        assert_int_equal(sscanf(hex, "%2x", &value), 1);
        bytes_le(b, value, 1);
        hex++;
    }
}

/* What an independent writer, which rebuilt files of TensorFlow byte by byte, makes of w = f32 [1, -2] and
 * the text s = "hi". */
static const char data_hex[] = "0000803f000000c0 02 d8d81073 6869";
static const char index_hex[] =
    "00000608011a020801 00010d7308071200200828073509eb4d15 00010f770801120412020802280835453f1688 00000000 "
    "01000000"
    " 00 07ab1743 00000000 01000000 00 c0f2a1b0 000102780035 00000000 01000000 00 ecb2222a 3a08 470e";
static const char v1_hex[] = "0000170a150a0f0a0177120412020802180122020a0012020801 0008150077000101 01807f "
                             "12130a017712020a001a0a2a080000803f"
                             "000000c0 00000000 01000000 00 b708a51e 00000000 01000000 00 c0f2a1b0 "
                             "000102010042 00000000 01000000 00 dc6dd69e"
                             " 4708 540e";

static void finish(bytes *b)
{
    static const uint8_t zeros[36];
    bytes_add(b, zeros, sizeof zeros);
    bytes_hex(b, "57fb808b247547db");
}

static void write_to(const char *folder, const char *name, const bytes *b)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(b->at, 1, b->size, f), b->size);
    fclose(f);
}

static void remove_from(const char *folder, const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(unlink(path), 0);
}

static const float w[2] = {1, -2};
static const uint64_t two[] = {2};

static void test_version_2(void **state)
{
    (void)state;
    char folder[] = "/tmp/wmap-tf-XXXXXX", path[128];
    bytes index = {0}, data = {0};
    wmap_error err;
    assert_non_null(mkdtemp(folder));
    bytes_hex(&index, index_hex);
    finish(&index);
    bytes_hex(&data, data_hex);
    assert_int_equal(index.size, 138);
    write_to(folder, "m.index", &index);
    write_to(folder, "m.data-00000-of-00001", &data);
    static const char *const ways[] = {"/m", "/m.index", "/m.data-00000-of-00001", "", "/"};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        snprintf(path, sizeof path, "%s%s", folder, ways[i]);
        wmap_archive *a = wmap_archive_open(path, &err);
        assert_non_null(a);
        assert_string_equal(wmap_archive_path(a), path);
        assert_string_equal(wmap_archive_format(a), "tensorflow");
        assert_int_equal(wmap_archive_count(a), 2);
        assert_int_equal(wmap_archive_tensor(a, find(a, "s"))->dtype, WMAP_OPAQUE);
        expect_tensor(a, "w", WMAP_F32, 1, two, w, sizeof w);
        wmap_archive_close(a);
    }
    data.at[3] ^= 1; /* the CRC is compared before the first use */
    write_to(folder, "m.data-00000-of-00001", &data);
    wmap_archive *a = wmap_archive_open(path, &err);
    wm_view view;
    assert_non_null(a);
    assert_false(wm_archive_view(a, find(a, "w"), &view, &err));
    assert_int_equal(err.code, WMAP_E_CORRUPT);
    assert_non_null(strstr(err.file, "m.data-00000-of-00001"));
    wmap_archive_close(a);
    remove_from(folder, "m.data-00000-of-00001");
    assert_null(wmap_archive_open(path, &err));
    assert_int_equal(err.code, WMAP_E_IO);
    remove_from(folder, "m.index");
    rmdir(folder);
    bytes_free(&index);
    bytes_free(&data);
}

static void test_version_1(void **state)
{
    (void)state;
    bytes b = {0};
    bytes_hex(&b, v1_hex);
    finish(&b);
    assert_int_equal(b.size, 151);
    wmap_archive *a = accept(&b);
    assert_string_equal(wmap_archive_format(a), "tensorflow-v1");
    assert_int_equal(wmap_archive_count(a), 1);
    expect_tensor(a, "w", WMAP_F32, 1, two, w, sizeof w);
    assert_true(a->entries[0].direct);
    wmap_archive_close(a);
    bytes_free(&b);
}

/* --- keys --- */

static void expect_key(const char *name, size_t len, uint32_t rank, const int64_t (*extents)[2],
                       const char *hex)
{
    static uint8_t key[WM_TF_TEXT];
    wm_tf_slice slice = {.rank = rank};
    bytes wanted = {0};
    for (uint32_t d = 0; d < rank; d++) {
        slice.start[d] = extents[d][0];
        slice.length[d] = extents[d][1];
    }
    bytes_hex(&wanted, hex);
    assert_int_equal(wm_tf_slice_key(key, name, len, &slice), wanted.size);
    assert_memory_equal(key, wanted.at, wanted.size);
    bytes_free(&wanted);
}

static void test_keys(void **state)
{
    (void)state;
    expect_key("a", 1, 0, NULL, "00 61 0001 00");
    expect_key("w", 1, 1, (const int64_t[][2]){{0, -1}}, "00 77 0001 0101 80 7f");
    expect_key("emb", 3, 2, (const int64_t[][2]){{0, 50}, {0, 16}}, "00 656d62 0001 0102 80b2 8090");
    expect_key("\0\xff", 2, 0, NULL, "00 00ff ff00 0001 00");
    expect_key("", 0, 4, (const int64_t[][2]){{5, 63}, {64, 100}, {8191, 8192}, {-64, -65}},
               "00 0001 0104 85 bf c040 c064 dfff e02000 40 3fbf");
    expect_key("", 0, 1, (const int64_t[][2]){{INT64_MAX, INT64_MIN}},
               "00 0001 0101 ffc07fffffffffffffff 003f8000000000000000");
    static uint8_t key[WM_TF_TEXT];
    static char name[WM_TF_TEXT];
    wm_tf_slice slice = {.rank = 1};
    assert_int_equal(wm_tf_slice_key(key, name, WM_MAX_NAME, &slice), 2 * WM_MAX_NAME + 7);
    assert_int_equal(wm_tf_slice_key(key, name, sizeof name, &slice), 0);
}

/* --- tiling --- */

#define MOST 8

/* Boxes of rank 2 in [3 4], each as first row, rows, first column, columns. */
static void tile(const uint64_t (*boxes)[4], size_t count, wmap_code code)
{
    static const uint64_t shape[] = {3, 4};
    uint64_t start[MOST][2], size[MOST][2];
    wm_tf_box list[MOST];
    wmap_error err = {0};
    assert_true(count <= MOST);
    for (size_t i = 0; i < count; i++) {
        for (size_t d = 0; d < 2; d++) {
            start[i][d] = boxes[i][2 * d];
            size[i][d] = boxes[i][2 * d + 1];
        }
        list[i] = (wm_tf_box){start[i], size[i]};
    }
    assert_int_equal(wm_tf_tiles(2, shape, list, count, &err), code == WMAP_OK);
    assert_int_equal(err.code, code);
}

static void test_tiles(void **state)
{
    (void)state;
    const wmap_code bad = WMAP_E_CORRUPT;
    tile((const uint64_t[][4]){{0, 3, 0, 4}}, 1, WMAP_OK);
    tile((const uint64_t[][4]){{2, 1, 0, 4}, {0, 2, 0, 4}}, 2, WMAP_OK);
    tile((const uint64_t[][4]){{0, 3, 1, 3}, {0, 3, 0, 1}}, 2, WMAP_OK);
    tile((const uint64_t[][4]){{0, 1, 0, 3}, {0, 2, 3, 1}, {2, 1, 1, 3}, {1, 2, 0, 1}, {1, 1, 1, 2}}, 5,
         WMAP_OK);
    tile((const uint64_t[][4]){{0, 1, 0, 3}, {0, 2, 3, 1}, {2, 1, 1, 3}, {1, 2, 0, 1}}, 4,
         bad); /* a hole inside */
    tile(NULL, 0, bad);
    tile((const uint64_t[][4]){{0, 3, 0, 4}, {0, 3, 0, 4}}, 2, bad);
    tile((const uint64_t[][4]){{0, 3, 0, 4}, {1, 1, 1, 1}}, 2, bad);
    tile((const uint64_t[][4]){{0, 2, 0, 4}, {1, 2, 0, 4}}, 2, bad);
    tile((const uint64_t[][4]){{1, 2, 0, 4}}, 1, bad);
    tile((const uint64_t[][4]){{0, 2, 0, 4}}, 1, bad);
    tile((const uint64_t[][4]){{0, 1, 0, 4}, {2, 1, 0, 4}}, 2, bad);
    tile((const uint64_t[][4]){{0, 3, 0, 2}, {0, 2, 2, 2}}, 2, bad);
    tile((const uint64_t[][4]){{0, 3, 0, 4}, {0, 0, 0, 4}}, 2, bad);
}

/* Many slices in both directions: as much work as wmap does, and more than it does. */
static void test_many_slices(void **state)
{
    (void)state;
    enum { SIDE = 200 };
    static uint64_t start[SIDE * SIDE][2];
    static const uint64_t size[2] = {1, 1}, shape[2] = {SIDE, SIDE}, long_shape[1] = {60000};
    static wm_tf_box boxes[SIDE * SIDE + 1];
    wmap_error err;
    for (size_t i = 0; i < SIDE * SIDE; i++) {
        start[i][0] = (i * 7919 % (SIDE * SIDE)) / SIDE; /* in no order */
        start[i][1] = (i * 7919 % (SIDE * SIDE)) % SIDE;
        boxes[i] = (wm_tf_box){start[i], size};
    }
    assert_true(wm_tf_tiles(2, shape, boxes, SIDE * SIDE, &err));
    boxes[SIDE * SIDE] = boxes[17];
    assert_false(wm_tf_tiles(2, shape, boxes, SIDE * SIDE + 1, &err));
    assert_non_null(strstr(err.message, "overlap"));
    /* Nested intervals: each is in all stretches within. */
    static uint64_t first[30000], extent[30000];
    static wm_tf_box nested[30000];
    for (size_t i = 0; i < 30000; i++) {
        first[i] = i;
        extent[i] = 60000 - 2 * i;
        nested[i] = (wm_tf_box){&first[i], &extent[i]};
    }
    assert_false(wm_tf_tiles(1, long_shape, nested, 30000, &err));
}

typedef struct source {
    const uint8_t *bytes[MOST];
    size_t used[MOST];
} source;

static bool give(void *user, size_t box, uint8_t *to, size_t size, wmap_error *err)
{
    source *s = user;
    (void)err;
    memcpy(to, s->bytes[box] + s->used[box], size);
    s->used[box] += size;
    return true;
}

typedef struct gather {
    wm_sink sink;
    bytes got;
} gather;

static bool take(wm_sink *sink, const void *data, size_t size, wmap_error *err)
{
    (void)err;
    bytes_add(&((gather *)sink)->got, data, size);
    return true;
}

static void test_join(void **state)
{
    (void)state;
    /* 0 0 1 / 2 3 1 / 2 4 4, each box's elements counted. */
    static const uint64_t shape[2] = {3, 3};
    static const uint64_t start[5][2] = {{0, 0}, {0, 2}, {1, 0}, {1, 1}, {2, 1}};
    static const uint64_t size[5][2] = {{1, 2}, {2, 1}, {2, 1}, {1, 1}, {1, 2}};
    static const uint8_t values[5][2] = {{0, 1}, {10, 11}, {20, 21}, {30}, {40, 41}};
    static const uint8_t wanted[] = {0, 1, 10, 20, 30, 11, 21, 40, 41};
    wm_tf_box boxes[5];
    source s = {0};
    gather g = {{take}, {0}};
    wmap_error err;
    wmap_tensor tensor = {"t", 1, WMAP_U8, 2, shape};
    for (size_t i = 0; i < 5; i++) {
        boxes[i] = (wm_tf_box){start[i], size[i]};
        s.bytes[i] = values[i];
    }
    assert_true(wm_tf_join(&tensor, boxes, 5, give, &s, &g.sink, &err));
    assert_int_equal(g.got.size, sizeof wanted);
    assert_memory_equal(g.got.at, wanted, sizeof wanted);
    bytes_free(&g.got);
}

/* --- messages --- */

static void test_messages(void **state)
{
    (void)state;
    bytes b = {0};
    uint8_t window[16];
    char path[64];
    wmap_error err = {0};
    bytes_hex(&b, "08 96 01");                               /* 1: 150 */
    bytes_hex(&b, "12 16");                                  /* 2: a message of 22 bytes */
    bytes_hex(&b, "0a 10 000102030405060708090a0b0c0d0e0f"); /* 2.1: 16 bytes */
    bytes_hex(&b, "12 02 6869");                             /* 2.2: "hi" */
    bytes_hex(&b, "1d 04030201 21 0807060504030201");        /* 3: fixed32, 4: fixed64 */
    bytes_hex(&b, "28 ffffffffffffffffff01");                /* 5: -1 */
    file_make(path, b.at, b.size);
    wm_file file = {.path = path, .fd = open(path, O_RDONLY), .size = b.size};
    wmap_archive archive = {.files = &file, .file_count = 1};
    wm_arena arena;
    wm_arena_init(&arena);
    for (int from_file = 0; from_file < 2; from_file++) {
        wm_tf_input in = from_file ? wm_tf_file(&archive, 0, 0, b.size, window, sizeof window, &err)
                                   : wm_tf_memory(&archive, 0, b.at, b.size, 0, &err);
        wm_tf_fields f = wm_tf_message(&in);
        uint64_t values[6] = {0};
        size_t inner = 0, len = 0;
        while (wm_tf_next(&in, &f)) {
            values[f.number] = f.value;
            wm_tf_fields m = wm_tf_message(&in);
            while (wm_tf_is(&f, 2, WM_TF_BYTES) && wm_tf_next(&in, &m)) {
                char *text = wm_tf_copy(&in, &arena, 100, &len);
                assert_non_null(text);
                inner += len;
            }
        }
        assert_false(in.failed);
        assert_int_equal(inner, 18);
        assert_int_equal(values[1], 150);
        assert_int_equal(values[3], 0x01020304);
        assert_true(values[4] == 0x0102030405060708u);
        assert_true(values[5] == UINT64_MAX);
    }
    for (size_t cut = 1; cut < b.size; cut++) { /* cut off anywhere but between fields */
        wm_tf_input in = wm_tf_memory(&archive, 0, b.at, cut, 0, &err);
        wm_tf_fields f = wm_tf_message(&in);
        while (wm_tf_next(&in, &f))
            ;
        assert_int_equal(in.failed, cut != 3 && cut != 27 && cut != 32 && cut != 41);
    }
    close(file.fd);
    unlink(path);
    wm_arena_release(&arena);
    bytes_free(&b);
}

static void test_shard_names(void **state)
{
    (void)state;
    uint64_t shard = 9, count = 9;
    assert_int_equal(wm_tf_shard_name("m.data-00001-of-00004", &shard, &count), 6);
    assert_int_equal(shard, 1);
    assert_int_equal(count, 4);
    assert_int_equal(wm_tf_shard_name("-00000-of-123456", &shard, &count), 0); /* no name */
    assert_int_equal(wm_tf_shard_name("a-00000-of-123456", &shard, &count), 1);
    assert_int_equal(count, 123456);
    static const char *const none[] = {"",
                                       "a",
                                       "-of-00001",
                                       "a-0001-of-00002",
                                       "a-00002-of-00002",
                                       "a-00000-of-00000",
                                       "a00000-of-00001",
                                       "a-00000-of-00001x",
                                       "a-00000_of_00001",
                                       "a-000000000000-of-00001"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_int_equal(wm_tf_shard_name(none[i], &shard, &count), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_version_2), cmocka_unit_test(test_version_1),   cmocka_unit_test(test_keys),
        cmocka_unit_test(test_tiles),     cmocka_unit_test(test_many_slices), cmocka_unit_test(test_join),
        cmocka_unit_test(test_messages),  cmocka_unit_test(test_shard_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
