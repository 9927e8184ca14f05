/* Unit tests of runtime/unpack.c: files compressed as a whole, by each packer; cut, damaged, in several
 * streams. */
#include <bzlib.h>
#include <lzma.h>

#include "tests/unit/files.h"

typedef struct packer {
    const char *name;
    size_t (*pack)(const bytes *from, uint8_t *to, size_t room);
} packer;

static size_t pack_gzip(const bytes *from, uint8_t *to, size_t room)
{
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = from->at;
    z.avail_in = (uInt)from->size;
    z.next_out = to;
    z.avail_out = (uInt)room;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return room - z.avail_out;
}

static size_t pack_bzip2(const bytes *from, uint8_t *to, size_t room)
{
    unsigned size = (unsigned)room;
    assert_int_equal(
        BZ2_bzBuffToBuffCompress((char *)to, &size, (char *)from->at, (unsigned)from->size, 9, 0, 0), BZ_OK);
    return size;
}

static size_t pack_xz(const bytes *from, uint8_t *to, size_t room)
{
    size_t size = 0;
    assert_int_equal(
        lzma_easy_buffer_encode(6, LZMA_CHECK_CRC32, NULL, from->at, from->size, to, &size, room), LZMA_OK);
    return size;
}

static const packer packers[] = {{"gzip", pack_gzip}, {"bzip2", pack_bzip2}, {"xz", pack_xz}};
enum { PACKERS = sizeof packers / sizeof *packers, COUNT = 3000 };

static const uint64_t shape[] = {COUNT};

/* An npy file of bytes. */
static bytes array(void)
{
    bytes b = {0};
    char header[128];
    snprintf(header, sizeof header, "{'descr': '|u1', 'fortran_order': False, 'shape': (%d,), }", COUNT);
    bytes_add(&b, "\x93NUMPY\x01\0v\0", 10);
    bytes_text(&b, header);
    while (b.size < 127)
        bytes_text(&b, " ");
    bytes_text(&b, "\n");
    for (unsigned i = 0; i < COUNT; i++)
        bytes_le(&b, i * i / 7, 1);
    return b;
}

/* Appends `from`, packed, to `to`. */
static void add_packed(bytes *to, const packer *p, const bytes *from)
{
    static uint8_t room[1 << 20];
    bytes_add(to, room, p->pack(from, room, sizeof room));
}

static void expect_array(const bytes *packed, const bytes *plain)
{
    wmap_archive *a = accept(packed);
    assert_string_equal(wmap_archive_format(a), "npy");
    expect_tensor(a, "0", WMAP_U8, 1, shape, plain->at + 128, COUNT);
    wmap_archive_close(a);
}

static void test_streams(void **state)
{
    (void)state;
    bytes plain = array();
    for (int k = 0; k < PACKERS; k++) {
        bytes b = {0};
        add_packed(&b, &packers[k], &plain);
        expect_array(&b, &plain);
        bytes_add(&b, "\0\0\0\0\0\0\0\0", 8); /* padding, as tapes have it */
        expect_array(&b, &plain);
        bytes_text(&b, "x");
        refuse(&b, WMAP_E_CORRUPT, "something else follows");
        bytes_free(&b);
        /* Cut in two, the cut anywhere. */
        for (size_t cut = 1; cut < plain.size; cut += 600) {
            bytes first = {plain.at, cut, 0}, second = {plain.at + cut, plain.size - cut, 0};
            add_packed(&b, &packers[k], &first);
            add_packed(&b, &packers[k], &second);
            expect_array(&b, &plain);
            bytes_free(&b);
        }
    }
    bytes_free(&plain);
}

/* Whatever is missing or changed, the file is refused, or what comes out is right. */
static void test_damage(void **state)
{
    (void)state;
    bytes plain = array();
    for (int k = 0; k < PACKERS; k++) {
        bytes b = {0};
        add_packed(&b, &packers[k], &plain);
        size_t size = b.size;
        for (size_t cut = 20; cut < size; cut += 11) {
            b.size = cut;
            refuse(&b, WMAP_E_CORRUPT, "compressed with");
        }
        b.size = size;
        for (size_t i = 12; i < size; i += 5) {
            wmap_error err;
            b.at[i] ^= 0x10;
            wmap_archive *a = open_bytes(b.at, b.size, &err);
            if (a)
                expect_tensor(a, "0", WMAP_U8, 1, shape, plain.at + 128, COUNT);
            else
                assert_true(err.code == WMAP_E_CORRUPT && err.message[0]);
            wmap_archive_close(a);
            b.at[i] ^= 0x10;
        }
        bytes_free(&b);
    }
    bytes_free(&plain);
}

static void test_twice(void **state)
{
    (void)state;
    bytes plain = array();
    for (int k = 0; k < PACKERS; k++) {
        bytes once = {0}, twice = {0};
        add_packed(&once, &packers[k], &plain);
        add_packed(&twice, &packers[(k + 1) % PACKERS], &once);
        refuse(&twice, WMAP_E_UNSUPPORTED, packers[k].name);
        bytes_free(&once);
        bytes_free(&twice);
    }
    bytes_free(&plain);
}

/* Errors in the unpacked bytes say that their offset is none of the file's. */
static void test_offsets(void **state)
{
    (void)state;
    bytes plain = array(), b = {0};
    plain.size--;
    add_packed(&b, &packers[0], &plain);
    wmap_error err;
    assert_null(open_bytes(b.at, b.size, &err));
    assert_int_equal(err.code, WMAP_E_CORRUPT);
    assert_false(err.has_offset);
    assert_non_null(strstr(err.message, "of its unpacked bytes"));
    bytes_free(&b);
    bytes_free(&plain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_streams),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_twice),
        cmocka_unit_test(test_offsets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
