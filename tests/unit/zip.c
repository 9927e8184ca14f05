/* Zip archives and npz: members of every dialect, archives that two readers could understand differently,
 * writing. */
#include "tests/unit/files.h"

#include "runtime/formats/zip.h"

/* A member to build, and what to lie about. Zeroed fields but `name` and `data` mean an honest stored member.
 */
typedef struct part {
    const char *name;
    size_t name_len; /* 0: strlen(name) */
    const void *data;
    size_t size;
    bool deflate, streamed, zip64, descriptor64;
    uint64_t claim; /* 0: the true uncompressed size */
    unsigned method, flags, local_flags;
    uint32_t crc_xor, local_crc_xor, attributes;
    const char *local_name;
    bool local_saturated;
    uint32_t central_offset_xor;
    size_t cut; /* bytes of deflate data left out */
    /* set while building */
    size_t header, csize;
    uint32_t crc;
} part;

static void deflated(bytes *out, const void *data, size_t size, size_t cut)
{
    z_stream z = {0};
    uLong room = compressBound(size) + 64;
    uint8_t *buffer = malloc(room);
    assert_non_null(buffer);
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (Bytef *)(uintptr_t)data;
    z.avail_in = (uInt)size;
    z.next_out = buffer;
    z.avail_out = (uInt)room;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    bytes_add(out, buffer, room - z.avail_out - cut);
    deflateEnd(&z);
    free(buffer);
}

static void add_local(bytes *b, part *p)
{
    size_t usize = p->claim ? (size_t)p->claim : p->size;
    bytes data = {0};
    if (p->deflate)
        deflated(&data, p->data, p->size, p->cut);
    else
        bytes_add(&data, p->data, p->size);
    p->csize = data.size;
    p->crc = (uint32_t)crc32_z(0, p->data, p->size) ^ p->crc_xor;
    p->header = b->size;
    p->name_len = p->name_len ? p->name_len : strlen(p->name);
    if (!p->method)
        p->method = p->deflate ? 8 : 0;
    const char *local = p->local_name ? p->local_name : p->name;
    bytes_text(b, "PK\3\4");
    bytes_le(b, 20, 2);
    bytes_le(b, p->flags | p->local_flags | (p->streamed ? 8u : 0), 2);
    bytes_le(b, p->method, 2);
    bytes_le(b, 0, 4);
    bytes_le(b, p->streamed ? 0 : p->crc ^ p->local_crc_xor, 4);
    bytes_le(b, p->local_saturated ? 0xffffffff : p->streamed ? 0 : p->csize, 4);
    bytes_le(b, p->local_saturated ? 0xffffffff : p->streamed ? 0 : usize, 4);
    bytes_le(b, p->local_name ? strlen(local) : p->name_len, 2);
    bytes_le(b, p->zip64 ? 20 : 0, 2);
    bytes_add(b, local, p->local_name ? strlen(local) : p->name_len);
    if (p->zip64) {
        bytes_le(b, 1, 2);
        bytes_le(b, 16, 2);
        bytes_le(b, p->streamed ? 0 : usize, 8);
        bytes_le(b, p->streamed ? 0 : p->csize, 8);
    }
    bytes_add(b, data.at, data.size);
    bytes_free(&data);
    if (p->streamed) {
        bytes_text(b, "PK\7\10");
        bytes_le(b, p->crc, 4);
        bytes_le(b, p->csize, p->descriptor64 ? 8 : 4);
        bytes_le(b, usize, p->descriptor64 ? 8 : 4);
    }
}

static void add_central(bytes *b, const part *p)
{
    bytes_text(b, "PK\1\2");
    bytes_le(b, 3 << 8 | 20, 2);
    bytes_le(b, 20, 2);
    bytes_le(b, p->flags | (p->streamed ? 8u : 0), 2);
    bytes_le(b, p->method, 2);
    bytes_le(b, 0, 4);
    bytes_le(b, p->crc, 4);
    bytes_le(b, p->csize, 4);
    bytes_le(b, p->claim ? p->claim : p->size, 4);
    bytes_le(b, p->name_len, 2);
    bytes_le(b, 0, 2 + 2 + 2 + 2);
    bytes_le(b, p->attributes, 4);
    bytes_le(b, p->header ^ p->central_offset_xor, 4);
    bytes_add(b, p->name, p->name_len);
}

static void add_end(bytes *b, size_t count, size_t start)
{
    size_t size = b->size - start;
    bytes_text(b, "PK\5\6");
    bytes_le(b, 0, 4);
    bytes_le(b, count, 2);
    bytes_le(b, count, 2);
    bytes_le(b, size, 4);
    bytes_le(b, start, 4);
    bytes_le(b, 0, 2);
}

static bytes zip_of(part *parts, size_t count)
{
    bytes b = {0};
    for (size_t i = 0; i < count; i++)
        add_local(&b, &parts[i]);
    size_t start = b.size;
    for (size_t i = 0; i < count; i++)
        add_central(&b, &parts[i]);
    add_end(&b, count, start);
    return b;
}

/* The 128 bytes of an npy header. */
static void npy_start(char text[128], const char *dict)
{
    memset(text, ' ', 128);
    memcpy(text, "\x93NUMPY\x01\0v\0", 10);
    memcpy(text + 10, dict, strlen(dict));
    text[127] = '\n';
}

/* The bytes of a member that holds two f32. */
static const char *array_text(size_t *size)
{
    static char text[128 + 8];
    npy_start(text, "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }");
    memcpy(text + 128, "abcdefgh", 8);
    *size = sizeof text;
    return text;
}

static part array_part(const char *name)
{
    part p = {.name = name};
    p.data = array_text(&p.size);
    return p;
}

static const uint64_t two[] = {2};

static void accept_one(part p)
{
    part parts[] = {array_part("first.npy"), p};
    bytes b = zip_of(parts, 2);
    wmap_archive *a = accept(&b);
    assert_string_equal(wmap_archive_format(a), "npz");
    assert_int_equal(wmap_archive_count(a), 2);
    expect_tensor(a, "first", WMAP_F32, 1, two, "abcdefgh", 8);
    expect_tensor(a, "w", WMAP_F32, 1, two, "abcdefgh", 8);
    assert_string_equal(wmap_archive_tensor(a, 1)->name, "w");
    wmap_archive_close(a);
    bytes_free(&b);
}

static void refuse_one(part p, wmap_code code, const char *text)
{
    part parts[] = {array_part("first.npy"), p};
    bytes b = zip_of(parts, 2);
    refuse(&b, code, text);
    bytes_free(&b);
}

#define WITH(...) ((part){.name = "w.npy", .data = array_text(&ignored), .size = 136, __VA_ARGS__})

static void test_dialects(void **state)
{
    (void)state;
    size_t ignored;
    accept_one(WITH(.deflate = false));
    accept_one(WITH(.deflate = true));
    accept_one(WITH(.streamed = true));
    accept_one(WITH(.streamed = true, .deflate = true));
    accept_one(WITH(.streamed = true, .deflate = true, .zip64 = true, .local_saturated = true,
                    .descriptor64 = true));
    accept_one(WITH(.zip64 = true));                          /* Python 3.11.2 */
    accept_one(WITH(.zip64 = true, .local_saturated = true)); /* Python 3.11.7 */
    accept_one(WITH(.flags = 0x800));
}

static void test_lies(void **state)
{
    (void)state;
    size_t ignored;
    refuse_one(WITH(.local_name = "v.npy"), WMAP_E_CORRUPT, "two different names");
    refuse_one(WITH(.local_name = "longer.npy"), WMAP_E_CORRUPT, "two different names");
    refuse_one(WITH(.local_crc_xor = 1), WMAP_E_CORRUPT, "CRC");
    refuse_one(WITH(.flags = 1), WMAP_E_UNSUPPORTED, "encrypted");
    refuse_one(WITH(.flags = 0x20), WMAP_E_UNSUPPORTED, "encrypted");
    refuse_one(WITH(.flags = 0x40), WMAP_E_UNSUPPORTED, "encrypted");
    refuse_one(WITH(.local_flags = 1), WMAP_E_CORRUPT, "flags");
    refuse_one(WITH(.method = 12), WMAP_E_UNSUPPORTED, "bzip2");
    refuse_one(WITH(.method = 9), WMAP_E_UNSUPPORTED, "deflate64");
    refuse_one(WITH(.method = 14), WMAP_E_UNSUPPORTED, "lzma");
    refuse_one(WITH(.method = 93), WMAP_E_UNSUPPORTED, "zstd");
    refuse_one(WITH(.method = 95), WMAP_E_UNSUPPORTED, "xz");
    refuse_one(WITH(.method = 99), WMAP_E_UNSUPPORTED, "AES");
    refuse_one(WITH(.attributes = 0xa1ff0000u), WMAP_E_CORRUPT, "symbolic link");
    refuse_one(WITH(.claim = 137), WMAP_E_CORRUPT, "two different sizes");
    refuse_one(WITH(.claim = 0xfffffffe), WMAP_E_CORRUPT, "");
    refuse_one(WITH(.claim = 0xfffffffe, .deflate = true), WMAP_E_CORRUPT, "hold");
    refuse_one(WITH(.local_saturated = true), WMAP_E_CORRUPT, "size"); /* saturated, and no zip64 field */
    refuse_one(WITH(.central_offset_xor = 1), WMAP_E_CORRUPT, "no local header");
    refuse_one(WITH(.central_offset_xor = 0x40000000), WMAP_E_CORRUPT, "outside");
    refuse_one(array_part("first.npy"), WMAP_E_CORRUPT, "two members");
}

static void test_names(void **state)
{
    (void)state;
    static const char *const bad[] = {"../w.npy", "a/../w.npy", "..",  "/w.npy",
                                      "C:/w.npy", "a\\w.npy",   "a/.."};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refuse_one(array_part(bad[i]), WMAP_E_CORRUPT, "path out of the archive");
    part p = array_part("w\0x.npy");
    p.name_len = 7;
    refuse_one(p, WMAP_E_CORRUPT, "name");
    static char name[65536];
    memset(name, 'n', 65535);
    memcpy(name + 65531, ".npy", 4);
    part longest = array_part(name); /* all that the format can say */
    bytes z = zip_of(&longest, 1);
    wmap_archive *long_name = accept(&z);
    assert_int_equal(wmap_archive_tensor(long_name, 0)->name_len, 65531);
    wmap_archive_close(long_name);
    bytes_free(&z);
    part parts[] = {array_part("a/b..c.npy"), array_part("W.npy"),
                    array_part("w.npy"),      array_part("w:0.npy"),
                    array_part("x.npy.npy"),  array_part(".npy"),
                    array_part("\xff.npy"),   {.name = "folder/", .data = ""}};
    bytes b = zip_of(parts, 8);
    wmap_archive *a = accept(&b);
    assert_int_equal(wmap_archive_count(a), 7);
    assert_int_equal(wmap_archive_warnings(a), 1);
    assert_non_null(strstr(wmap_archive_warning(a, 0), "folder/"));
    expect_tensor(a, "a/b..c", WMAP_F32, 1, two, "abcdefgh", 8);
    expect_tensor(a, "x.npy", WMAP_F32, 1, two, "abcdefgh", 8);
    expect_tensor(a, "", WMAP_F32, 1, two, "abcdefgh", 8);
    wmap_archive_close(a);
    bytes_free(&b);
}

/* Arrays may be called W and w; the members that a format itself names may not. */
static void test_cases(void **state)
{
    (void)state;
    part keras[] = {{.name = "config.json", .data = "{}", .size = 2},
                    {.name = "model.weights.h5", .data = "x", .size = 1},
                    {.name = "Model.Weights.h5", .data = "x", .size = 1}};
    bytes b = zip_of(keras, 3);
    refuse(&b, WMAP_E_CORRUPT, "but for upper and lower case");
    bytes_free(&b);
    part torch[] = {{.name = "a/data.pkl", .data = "\x80\2}.", .size = 4},
                    {.name = "a/version", .data = "3", .size = 1},
                    {.name = "a/DATA.pkl", .data = "\x80\2}.", .size = 4}};
    b = zip_of(torch, 3);
    refuse(&b, WMAP_E_CORRUPT, "but for upper and lower case");
    bytes_free(&b);
}

/* A member whose damage shows only when it is unpacked. */
static void refuse_view(part p, const char *text)
{
    part parts[] = {p};
    bytes b = zip_of(parts, 1);
    wmap_archive *a = accept(&b);
    wmap_error err;
    wm_view view;
    assert_false(wm_archive_view(a, 0, &view, &err));
    assert_int_equal(err.code, WMAP_E_CORRUPT);
    assert_non_null(strstr(err.message, text));
    assert_true(err.file[0] && err.tensor[0]);
    wmap_archive_close(a);
    bytes_free(&b);
}

static void test_deflate(void **state)
{
    (void)state;
    size_t ignored;
    refuse_one(WITH(.deflate = true, .claim = 135), WMAP_E_CORRUPT, "");
    refuse_one(WITH(.deflate = true, .claim = 137), WMAP_E_CORRUPT, "");
    refuse_one(WITH(.deflate = true, .cut = 40), WMAP_E_CORRUPT, "deflate data end early");
    refuse_one(WITH(.method = 8), WMAP_E_CORRUPT, ""); /* stored bytes that claim to be deflated */
    refuse_one(WITH(.deflate = true, .streamed = true, .crc_xor = 1, .claim = 1), WMAP_E_CORRUPT, "");
    /* Larger than what opening looks at. */
    bytes big = {0};
    char head[128];
    npy_start(head, "{'descr': '|u1', 'fortran_order': False, 'shape': (300000,), }");
    bytes_add(&big, head, sizeof head);
    for (uint32_t i = 0, x = 1; i < 300000; i++, x = x * 1103515245 + 12345)
        bytes_le(&big, x >> 24, 1);
    part good = {.name = "w.npy", .data = big.at, .size = big.size, .deflate = true}, bad = good;
    bytes b = zip_of(&good, 1);
    wmap_archive *a = accept(&b);
    const uint64_t shape[] = {300000};
    expect_tensor(a, "w", WMAP_U8, 1, shape, big.at + 128, 300000);
    wmap_archive_close(a);
    bytes_free(&b);
    bad.crc_xor = 1;
    refuse_view(bad, "CRC");
    bad = good;
    bad.cut = 5;
    refuse_view(bad, "end early");
    bytes_free(&big);
}

/* Bombs: sizes that the bytes can't hold are refused from the directory, others when they contradict the
 * header. */
static void test_bombs(void **state)
{
    (void)state;
    size_t big = (size_t)100 << 20;
    char *zeros = calloc(1, big);
    assert_non_null(zeros);
    npy_start(zeros, "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }");
    part p = {.name = "w.npy", .data = zeros, .size = big, .deflate = true};
    bytes b = zip_of(&p, 1);
    refuse(&b, WMAP_E_CORRUPT, "needs 8 bytes");
    bytes_free(&b);
    free(zeros);
}

static void test_structure(void **state)
{
    (void)state;
    part parts[] = {array_part("a.npy"), array_part("b.npy")};
    bytes b = zip_of(parts, 2), c = {0};
    for (size_t cut = 1; cut < b.size - 4; cut += 7) { /* cut anywhere */
        bytes shorter = {b.at, b.size - cut, 0};
        wmap_error err;
        assert_null(open_bytes(shorter.at, shorter.size, &err));
        assert_int_equal(err.code, WMAP_E_CORRUPT);
    }
    bytes_add(&c, b.at, b.size); /* bytes after the end */
    bytes_text(&c, "trailing");
    refuse(&c, WMAP_E_CORRUPT, "bytes follow its end record");
    c.size = b.size; /* an end record in the comment, which reaches the end of the file too */
    bytes_set_le(&c, b.size - 2, 22, 2);
    bytes_text(&c, "PK\5\6");
    bytes_le(&c, 0, 18);
    refuse(&c, WMAP_E_CORRUPT, "two end records");
    c.size = 0; /* an honest comment */
    bytes_add(&c, b.at, b.size);
    bytes_set_le(&c, b.size - 2, 5, 2);
    bytes_text(&c, "hello");
    wmap_archive_close(accept(&c));
    c.size = 0; /* bytes before; offsets right for a reader that starts at the directory */
    bytes_text(&c, "PK\3\4");
    bytes_add(&c, b.at, b.size);
    refuse(&c, WMAP_E_CORRUPT, "directory");
    c.size = 0; /* two archives in a row */
    bytes_add(&c, b.at, b.size);
    bytes_add(&c, b.at, b.size);
    refuse(&c, WMAP_E_CORRUPT, "");
    for (unsigned at = 8; at <= 10; at += 2) { /* counts */
        c.size = 0;
        bytes_add(&c, b.at, b.size);
        bytes_set_le(&c, b.size - 22 + at, 3, 2);
        refuse(&c, WMAP_E_CORRUPT, "");
    }
    c.size = 0; /* fewer members than the directory holds */
    bytes_add(&c, b.at, b.size);
    bytes_set_le(&c, b.size - 14, 1, 2);
    bytes_set_le(&c, b.size - 12, 1, 2);
    refuse(&c, WMAP_E_CORRUPT, "more than its members");
    bytes_free(&b);
    bytes_free(&c);
}

/* Local members that share bytes, leave a gap, or stand after nothing. */
static void test_tiling(void **state)
{
    (void)state;
    part parts[] = {array_part("a.npy"), array_part("b.npy")};
    bytes b = {0};
    add_local(&b, &parts[0]);
    bytes_text(&b, "hidden");
    add_local(&b, &parts[1]);
    size_t start = b.size;
    add_central(&b, &parts[0]);
    add_central(&b, &parts[1]);
    add_end(&b, 2, start);
    refuse(&b, WMAP_E_CORRUPT, "belong to no member");
    b.size = 0;
    bytes_text(&b, "PK\3\4");
    add_local(&b, &parts[0]);
    start = b.size;
    add_central(&b, &parts[0]);
    add_end(&b, 1, start);
    refuse(&b, WMAP_E_CORRUPT, "before its first member");
    b.size = 0; /* the second lies, header and all, in the first one's data */
    part inner = array_part("in.npy"), outer = {.name = "out.npy"};
    bytes nested = {0};
    add_local(&nested, &inner);
    outer.data = nested.at;
    outer.size = nested.size;
    add_local(&b, &outer);
    inner.header += 30 + outer.name_len;
    start = b.size;
    add_central(&b, &outer);
    add_central(&b, &inner);
    add_end(&b, 2, start);
    refuse(&b, WMAP_E_CORRUPT, "overlap");
    bytes_free(&b);
    bytes_free(&nested);
    memset(&b, 0, sizeof b); /* gap before the directory */
    add_local(&b, &parts[0]);
    bytes_text(&b, "hidden");
    start = b.size;
    add_central(&b, &parts[0]);
    add_end(&b, 1, start);
    refuse(&b, WMAP_E_CORRUPT, "belong to no member");
    bytes_free(&b);
}

/* As PyTorch always writes: a zip64 end record and locator before the plain one, saturated or not. */
static bytes with_end64(bool saturated)
{
    part p = array_part("a.npy");
    bytes b = {0};
    add_local(&b, &p);
    size_t start = b.size;
    add_central(&b, &p);
    size_t at = b.size;
    bytes_text(&b, "PK\6\6");
    bytes_le(&b, 44, 8);
    bytes_le(&b, 45, 2);
    bytes_le(&b, 45, 2);
    bytes_le(&b, 0, 8);
    bytes_le(&b, 1, 8);
    bytes_le(&b, 1, 8);
    bytes_le(&b, at - start, 8);
    bytes_le(&b, start, 8);
    bytes_text(&b, "PK\6\7");
    bytes_le(&b, 0, 4);
    bytes_le(&b, at, 8);
    bytes_le(&b, 1, 4);
    bytes_text(&b, "PK\5\6");
    bytes_le(&b, 0, 4);
    bytes_le(&b, saturated ? 0xffff : 1, 2);
    bytes_le(&b, saturated ? 0xffff : 1, 2);
    bytes_le(&b, saturated ? 0xffffffff : at - start, 4);
    bytes_le(&b, saturated ? 0xffffffff : start, 4);
    bytes_le(&b, 0, 2);
    return b;
}

static void test_zip64_end(void **state)
{
    (void)state;
    for (int saturated = 0; saturated < 2; saturated++) {
        bytes b = with_end64(saturated);
        wmap_archive *a = accept(&b);
        expect_tensor(a, "a", WMAP_F32, 1, two, "abcdefgh", 8);
        wmap_archive_close(a);
        size_t locator = b.size - 42, end64 = locator - 56;
        bytes_set_le(&b, locator + 8, end64 + 1, 8);
        refuse(&b, WMAP_E_CORRUPT, "zip64");
        bytes_set_le(&b, locator + 8, UINT64_MAX, 8);
        refuse(&b, WMAP_E_CORRUPT, "zip64");
        bytes_set_le(&b, locator + 8, end64, 8);
        bytes_set_le(&b, end64 + 32, 2, 8);
        bytes_set_le(&b, end64 + 24, 2, 8);
        refuse(&b, WMAP_E_CORRUPT, "");
        bytes_set_le(&b, end64 + 32, UINT64_MAX, 8);
        bytes_set_le(&b, end64 + 24, UINT64_MAX, 8);
        refuse(&b, WMAP_E_CORRUPT, "");
        bytes_set_le(&b, end64 + 32, 1, 8);
        bytes_set_le(&b, end64 + 24, 1, 8);
        bytes_set_le(&b, end64 + 48, UINT64_MAX, 8);
        refuse(&b, WMAP_E_CORRUPT, "");
        bytes_free(&b);
    }
}

/* One member whose directory entry has the zip64 extra `extra`, with saturated sizes. */
static void refuse_extra(const void *extra, size_t size)
{
    part p = array_part("a.npy");
    bytes b = {0};
    add_local(&b, &p);
    size_t start = b.size;
    add_central(&b, &p);
    bytes_set_le(&b, start + 20, 0xffffffff, 4);
    bytes_set_le(&b, start + 24, 0xffffffff, 4);
    bytes_set_le(&b, start + 30, size, 2);
    bytes_add(&b, extra, size);
    add_end(&b, 1, start);
    refuse(&b, WMAP_E_CORRUPT, "");
    bytes_free(&b);
}

static void test_extras(void **state)
{
    (void)state;
    refuse_extra("", 0);
    refuse_extra("\1\0\20\0", 4);                                      /* runs past the entry */
    refuse_extra("\1\0\4\0\0\0\0\0", 8);                               /* a short body */
    refuse_extra("\1\0\20\0\0\0\0\0\0\0\0\x80\0\0\0\0\0\0\0\x80", 20); /* 2^63 */
    refuse_extra("\1\0\20\0\xff\xff\xff\xff\xff\xff\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x7f", 20);
    refuse_extra("\2\0\0\0x", 5); /* a tail that is no field */
}

/* Members that wmap can't move are listed, and fail only when they are wanted. */
static void test_opaque(void **state)
{
    (void)state;
    char text[130] = {0};
    npy_start(text, "{'descr': '|O', 'fortran_order': False, 'shape': (3,), }");
    memcpy(text + 128, "N.", 2);
    part parts[] = {{.name = "o.npy", .data = text, .size = sizeof text}, array_part("w.npy")};
    bytes b = zip_of(parts, 2);
    wmap_archive *a = accept(&b);
    wmap_error err;
    wm_view view;
    assert_int_equal(wmap_archive_tensor(a, 0)->dtype, WMAP_OPAQUE);
    assert_non_null(strstr(a->entries[0].note, "pickle"));
    assert_false(wm_archive_view(a, 0, &view, &err));
    assert_int_equal(err.code, WMAP_E_UNSUPPORTED);
    expect_tensor(a, "w", WMAP_F32, 1, two, "abcdefgh", 8);
    wmap_archive_close(a);
    bytes_free(&b);
    part wrong[] = {{.name = "w.npy", .data = "no array", .size = 8}};
    b = zip_of(wrong, 1);
    refuse(&b, WMAP_E_CORRUPT, "magic");
    bytes_free(&b);
    part other[] = {{.name = "notes.txt", .data = "hello", .size = 5}};
    b = zip_of(other, 1);
    refuse(&b, WMAP_E_NOT_WEIGHTS, "zip archive that holds no");
    bytes_free(&b);
    b = zip_of(NULL, 0);
    a = accept(&b);
    assert_int_equal(wmap_archive_count(a), 0);
    wmap_archive_close(a);
    bytes_free(&b);
}

static void test_load(void **state)
{
    (void)state;
    part parts[] = {array_part("a.npy"),
                    {.name = "text", .data = "hello hello hello hello", .size = 23, .deflate = true},
                    {.name = "wrong", .data = "12345", .size = 5, .crc_xor = 1}};
    bytes b = zip_of(parts, 3);
    wmap_archive *a = accept(&b);
    wmap_error err;
    wm_zip *zip = wm_archive_zip(a, &err);
    assert_non_null(zip);
    const wm_zip_member *text = wm_zip_find(zip, "text", 4), *wrong = wm_zip_find(zip, "wrong", 5);
    assert_non_null(text);
    assert_null(wm_zip_find(zip, "tex", 3));
    uint8_t *got = wm_zip_load(a, text, 23, WM_ZIP_CRC_STRICT, &err);
    assert_non_null(got);
    assert_string_equal((char *)got, "hello hello hello hello");
    assert_null(wm_zip_load(a, text, 22, WM_ZIP_CRC_STRICT, &err));
    assert_null(wm_zip_load(a, wrong, 5, WM_ZIP_CRC_STRICT, &err));
    assert_int_equal(err.code, WMAP_E_CORRUPT);
    size_t warnings = wmap_archive_warnings(a);
    assert_non_null(wm_zip_load(a, wrong, 5, WM_ZIP_CRC_WARN, &err));
    assert_int_equal(wmap_archive_warnings(a), warnings + 1);
    wmap_archive_close(a);
    bytes_free(&b);
}

/* 65535 members and more need the zip64 end record; NumPy reads the same. */
static void test_write(void **state)
{
    (void)state;
    const uint64_t shape[] = {2, 3};
    wm_target targets[] = {target_of("b/\xc3\xa9", WMAP_F32, 2, shape), target_of("a", WMAP_U8, 0, NULL),
                           target_of("", WMAP_RAW16, 1, two)};
    const void *data[] = {"abcdefghijklmnopqrstuvwx", "x", "wxyz"};
    memory_writer m;
    wmap_error err;
    assert_true(memory_write(&m, "npz", targets, 3, data, &err));
    wmap_archive *a = accept(&m.out);
    assert_int_equal(wmap_archive_count(a), 3);
    expect_tensor(a, "b/\xc3\xa9", WMAP_F32, 2, shape, data[0], 24);
    expect_tensor(a, "a", WMAP_U8, 0, NULL, data[1], 1);
    expect_tensor(a, "", WMAP_RAW16, 1, two, data[2], 4);
    for (size_t i = 0; i < 3; i++) {
        assert_true(a->entries[i].direct);
        assert_int_equal(a->entries[i].offset % 64, 0);
        assert_int_equal(a->entries[i].offset, targets[i].offset);
    }
    assert_string_equal(wmap_archive_tensor(a, 0)->name, "b/\xc3\xa9"); /* the order of the targets */
    wm_zip *zip = wm_archive_zip(a, &err);
    for (size_t i = 0; i < 3; i++) /* checks every CRC */
        assert_non_null(wm_zip_load(a, &zip->members[i], 1 << 20, WM_ZIP_CRC_STRICT, &err));
    wmap_archive_close(a);
    memory_free(&m);
    static const char *const bad[] = {"../x", "/x", "a\\b", "\xff", "C:/x"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        wm_target target = target_of(bad[i], WMAP_U8, 0, NULL);
        assert_false(memory_write(&m, "npz", &target, 1, data, &err));
        assert_int_equal(err.code, WMAP_E_TARGET);
        assert_true(err.tensor[0]);
        memory_free(&m);
    }
    wm_target bf16 = target_of("h", WMAP_BF16, 0, NULL);
    assert_false(memory_write(&m, "npz", &bf16, 1, data, &err));
    assert_int_equal(err.code, WMAP_E_TARGET);
    assert_non_null(strstr(err.message, "raw16"));
    memory_free(&m);
    assert_true(memory_write(&m, "npz", NULL, 0, NULL, &err));
    wmap_archive_close(accept(&m.out));
    memory_free(&m);
}

static void test_write_many(void **state)
{
    (void)state;
    enum { COUNT = 66000 };
    wm_target *targets = calloc(COUNT, sizeof *targets);
    const void **data = calloc(COUNT, sizeof *data);
    char(*names)[8] = calloc(COUNT, 8);
    assert_true(targets && data && names);
    for (size_t i = 0; i < COUNT; i++) {
        snprintf(names[i], 8, "%zu", i);
        targets[i] = target_of(names[i], WMAP_U8, 0, NULL);
        data[i] = names[i];
    }
    memory_writer m;
    wmap_error err;
    assert_true(memory_write(&m, "npz", targets, COUNT, data, &err));
    wmap_archive *a = accept(&m.out);
    assert_int_equal(wmap_archive_count(a), COUNT);
    expect_tensor(a, "65999", WMAP_U8, 0, NULL, "6", 1);
    wmap_archive_close(a);
    memory_free(&m);
    free(targets);
    free(data);
    free(names);
}

/* Sizes and offsets beyond 4 GiB: a sparse file takes the place of the data. */
static bool sparse_put(wm_writer *writer, uint32_t file, uint64_t offset, const void *data, size_t size,
                       wmap_error *err)
{
    (void)err;
    return file == 0 && pwrite(*(int *)writer->state, data, size, (off_t)offset) == (ssize_t)size;
}

static void test_write_large(void **state)
{
    (void)state;
    wm_zip_out out[] = {{.name = "large.npy", .name_len = 9, .size = ((uint64_t)1 << 32) + 136},
                        {.name = "w.npy", .name_len = 5, .size = 136}};
    char path[64];
    wmap_error err = {0};
    size_t size;
    const char *text = array_text(&size);
    file_make(path, "", 0);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    int fd = fileno(file);
    uint64_t end;
    wm_writer writer = {.put = sparse_put, .state = &fd};
    assert_true(wm_zip_layout(out, 2, &end, &err));
    assert_int_equal(out[1].data % 64, 0);
    char head[128];
    npy_start(head, "{'descr': '<f4', 'fortran_order': False, 'shape': (1073741826,), }");
    assert_true(sparse_put(&writer, 0, out[0].data, head, 128, &err) &&
                sparse_put(&writer, 0, out[1].data, text, size, &err));
    out[1].crc32 = (uint32_t)crc32_z(0, (const void *)text, size);
    assert_true(wm_zip_finish(&writer, 0, out, 2, &err));
    fclose(file);
    wmap_archive *a = wmap_archive_open(path, &err);
    if (!a)
        print_error("%s\n", err.message);
    assert_non_null(a);
    assert_int_equal(wmap_archive_size(a), end);
    assert_int_equal(wmap_archive_tensor(a, 0)->shape[0], 1073741826);
    expect_tensor(a, "w", WMAP_F32, 1, two, "abcdefgh", 8);
    wmap_archive_close(a);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dialects),    cmocka_unit_test(test_lies),
        cmocka_unit_test(test_names),       cmocka_unit_test(test_cases),
        cmocka_unit_test(test_deflate),     cmocka_unit_test(test_bombs),
        cmocka_unit_test(test_structure),   cmocka_unit_test(test_tiling),
        cmocka_unit_test(test_zip64_end),   cmocka_unit_test(test_extras),
        cmocka_unit_test(test_opaque),      cmocka_unit_test(test_load),
        cmocka_unit_test(test_write),       cmocka_unit_test(test_write_many),
        cmocka_unit_test(test_write_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
