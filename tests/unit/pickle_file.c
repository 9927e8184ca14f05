/* Unit tests of pickles of arrays: constructors that lie, objects that loop, files that are almost pickles.
 * What NumPy and Theano really write is in tests/interop/test_pickle.py. */
#include <sys/mman.h>

#include "tests/unit/files.h"

#define P2 "\x80\2"

/* The parts of an array in protocols 0 to 2. */
#define DTYPE(code, order)               "cnumpy\ndtype\n(U\2" code "I0\nI1\ntR(I3\nU\1" order "NNNI-1\nI-1\nI0\ntb"
#define F4                               DTYPE("f4", "<")
#define O8                               DTYPE("O8", "|")
#define MAKE                             "cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntU\1btR"
#define STATE(shape, dtype, order, data) "(I1\n(" shape "t" dtype order data "tb"
#define ARRAY                            MAKE STATE("I2\n", F4, "I00\n", "U\10abcdefgh")
#define BUFFER(data, shape, rest)        "cnumpy._core.numeric\n_frombuffer\n(" data F4 "(" shape "t" rest "tR"

typedef struct row {
    const char *bytes;
    size_t size;
    wmap_code code;
    const char *why;
} row;

#define ROW(text, code, why)                                                                                 \
    {                                                                                                        \
        (text), sizeof(text) - 1, (code), (why)                                                              \
    }

static void refuse_all(const row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bytes b = {0};
        bytes_add(&b, rows[i].bytes, rows[i].size);
        refuse(&b, rows[i].code, rows[i].why);
        bytes_free(&b);
    }
}

#define REFUSE(rows) refuse_all(rows, sizeof(rows) / sizeof *(rows))

static wmap_archive *open_text(const char *text, size_t size)
{
    bytes b = {0};
    bytes_add(&b, text, size);
    wmap_archive *archive = accept(&b);
    bytes_free(&b);
    return archive;
}

#define OPEN(text) open_text(text, sizeof(text) - 1)

static const uint64_t two[] = {2}, wide[] = {1, 2}, high[] = {2, 1};

static void test_arrays(void **state)
{
    (void)state;
    wmap_archive *a = OPEN(P2 ARRAY ".");
    assert_string_equal(wmap_archive_format(a), "pickle");
    expect_tensor(a, "0", WMAP_F32, 1, two, "abcdefgh", 8);
    assert_true(a->entries[0].direct);
    wmap_archive_close(a);
    /* Without a version, as NumPy also takes it; the dtype without a state; text for bytes. */
    a = OPEN(P2 MAKE "((I2\ntcnumpy\ndtype\n(U\2f4tRI00\nX\10\0\0\0abcdefghtb.");
    expect_tensor(a, "0", WMAP_F32, 1, two, "abcdefgh", 8);
    wmap_archive_close(a);
    a = OPEN(P2 MAKE STATE("I2\n", DTYPE("f4", ">"), "I00\n", "U\10abcdefgh") ".");
    expect_tensor(a, "0", WMAP_F32, 1, two, "dcbahgfe", 8);
    assert_false(a->entries[0].direct);
    wmap_archive_close(a);
    a = OPEN(P2 MAKE STATE("I2\n", DTYPE("f4", ">"), "I00\n", "S'a\\x62\\143\\\\efgh'\n") ".");
    expect_tensor(a, "0", WMAP_F32, 1, two, "\\cbahgfe", 8);
    wmap_archive_close(a);
    a = OPEN(P2 BUFFER("U\10abcdefgh", "I2\n", "U\1C") ".");
    expect_tensor(a, "0", WMAP_F32, 1, two, "abcdefgh", 8);
    wmap_archive_close(a);
    a = OPEN(P2 BUFFER("U\10abcdefgh", "I2\nI1\n", "U\1K(I1\nI0\nt") ".");
    expect_tensor(a, "0", WMAP_F32, 2, wide, "abcdefgh", 8);
    wmap_archive_close(a);
    a = OPEN(P2 BUFFER("U\10abcdefgh", "I2\nI1\n", "U\1F") ".");
    expect_tensor(a, "0", WMAP_F32, 2, high, "abcdefgh", 8);
    wmap_archive_close(a);
    a = OPEN(P2 "cnumpy.core.multiarray\nscalar\n(" F4 "U\4abcdtR.");
    expect_tensor(a, "0", WMAP_F32, 0, NULL, "abcd", 4);
    wmap_archive_close(a);
}

static void test_lies(void **state)
{
    (void)state;
    static const row rows[] = {
        ROW(P2 MAKE STATE("I3\n", F4, "I00\n", "U\10abcdefgh") ".", WMAP_E_CORRUPT, "needs 12 bytes, but 8"),
        ROW(P2 MAKE STATE("I1\n", F4, "I00\n", "U\10abcdefgh") ".", WMAP_E_CORRUPT, "needs 4 bytes, but 8"),
        ROW(P2 MAKE STATE("I-2\n", F4, "I00\n", "U\10abcdefgh") ".", WMAP_E_CORRUPT, "shape is negative"),
        ROW(P2 MAKE STATE("F2.0\n", F4, "I00\n", "U\10abcdefgh") ".", WMAP_E_CORRUPT, "no number"),
        ROW(P2 MAKE STATE("L9223372036854775807L\nI4\n", F4, "I00\n", "U\10abcdefgh") ".", WMAP_E_CORRUPT,
            "2^63"),
        ROW(P2 MAKE STATE("L4611686018427387904L\n", F4, "I00\n", "U\10abcdefgh") ".", WMAP_E_CORRUPT,
            "2^63"),
        ROW(P2 MAKE STATE("L99999999999999999999L\n", F4, "I00\n", "U\10abcdefgh") ".", WMAP_E_CORRUPT,
            "no number"),
        ROW(P2 MAKE STATE("I2\n", F4, "U\1C", "U\10abcdefgh") ".", WMAP_E_CORRUPT, "order"),
        ROW(P2 MAKE STATE("I2\n", F4, "I00\n", "N") ".", WMAP_E_CORRUPT, "no bytes"),
        ROW(P2 MAKE STATE("I2\n", F4, "I00\n", "]") ".", WMAP_E_CORRUPT, "no bytes"),
        ROW(P2 MAKE STATE("I2\n", "N", "I00\n", "U\10abcdefgh") ".", WMAP_E_CORRUPT, "without a dtype"),
        ROW(P2 MAKE STATE("I2\n", "cnumpy\ndtype\n(ItR", "I00\n", "U\10abcdefgh") ".", WMAP_E_CORRUPT, ""),
        ROW(P2 MAKE STATE("I2\n", DTYPE("f4", "?"), "I00\n", "U\10abcdefgh") ".", WMAP_E_CORRUPT,
            "byte order"),
        ROW(P2 MAKE STATE("I2\n", "cnumpy\ndtype\n(U\2f4tR(I3\nI4\ntb", "I00\n", "U\10abcdefgh") ".",
            WMAP_E_CORRUPT, "wrong parts"),
        ROW(P2 MAKE STATE("I2\n", "cnumpy\ndtype\n(U\2f4tRI3\nb", "I00\n", "U\10abcdefgh") ".",
            WMAP_E_CORRUPT, "wrong parts"),
        ROW(P2 MAKE STATE("I2\n", "cnumpy\ndtype\n(I4\ntR", "I00\n", "U\10abcdefgh") ".", WMAP_E_CORRUPT,
            "without its code"),
        ROW(P2 MAKE ".", WMAP_E_CORRUPT, "state has the wrong parts"),
        ROW(P2 MAKE "(I1\ntb.", WMAP_E_CORRUPT, "state has the wrong parts"),
        ROW(P2 MAKE "Nb.", WMAP_E_CORRUPT, "state has the wrong parts"),
        ROW(P2 "cnumpy.core.multiarray\n_reconstruct\n)R.", WMAP_E_CORRUPT, "wrong arguments"),
        ROW(P2 ARRAY "(I1\ntb.", WMAP_E_CORRUPT, "second state"),
        ROW(P2 ARRAY "U\1aU\1bs.", WMAP_E_CORRUPT, "keys or items"),
        ROW(P2 ARRAY "Na.", WMAP_E_CORRUPT, "keys or items"),
        ROW(P2 BUFFER("U\10abcdefgh", "I2\nI1\n", "U\1K(I1\nI1\nt") ".", WMAP_E_CORRUPT, "permutation"),
        ROW(P2 BUFFER("U\10abcdefgh", "I2\nI1\n", "U\1K(I2\nI0\nt") ".", WMAP_E_CORRUPT, "permutation"),
        ROW(P2 BUFFER("U\10abcdefgh", "I2\nI1\n", "U\1K(I-1\nI0\nt") ".", WMAP_E_CORRUPT, "permutation"),
        ROW(P2 BUFFER("U\10abcdefgh", "I2\nI1\n", "U\1K(I0\nt") ".", WMAP_E_CORRUPT, "permutation"),
        ROW(P2 BUFFER("U\10abcdefgh", "I2\n", "U\1X") ".", WMAP_E_CORRUPT, "order"),
        ROW(P2 BUFFER("\x97", "I2\n", "U\1C") ".", WMAP_E_UNSUPPORTED, "not in the file"),
        ROW(P2 BUFFER("U\10abcdefgh", "I2\n", "") ".", WMAP_E_CORRUPT, "wrong arguments"),
        ROW(P2 "cnumpy.core.multiarray\nscalar\n(" F4 "tR.", WMAP_E_CORRUPT, "wrong arguments"),
        ROW(P2 "cnumpy.core.multiarray\nscalar\n(" F4 "U\3abctR.", WMAP_E_CORRUPT, "needs 4 bytes, but 3"),
        ROW(P2 MAKE STATE("I2\n", O8, "I00\n", "(lNa") ".", WMAP_E_CORRUPT, "not as many"),
        ROW(P2 MAKE STATE("L4611686018427387904L\n", O8, "I00\n", "]") ".", WMAP_E_CORRUPT, "not as many"),
        ROW(P2 MAKE STATE("I2\n", O8, "I00\n", "U\10abcdefgh") ".", WMAP_E_CORRUPT, "not as many"),
        ROW(P2 "c_codecs\nencode\nq\0" MAKE STATE("I2\n", F4, "I00\n",
                                                  "h\0(X\10\0\0\0abcd\xc4\x80gh"
                                                  "U\6latin1tR") ".",
            WMAP_E_CORRUPT, "malformed text"),
    };
    REFUSE(rows);
}

/* Names are said and nothing is looked up; what remains is read. */
static void test_foreign(void **state)
{
    (void)state;
    static const row rows[] = {
        ROW(P2 "cos\nsystem\n(U\2lstR.", WMAP_E_UNSUPPORTED, "os.system"),
        ROW("cos\nsystem\n(S'ls'\ntR.", WMAP_E_UNSUPPORTED, "os.system"),
        ROW(P2 "}U\1acos\nsystem\n(U\2lstRs.", WMAP_E_UNSUPPORTED, "os.system"),
        ROW("(S'ls'\nios\nsystem\n.", WMAP_E_UNSUPPORTED, "os.system"),
        ROW("(cos\nsystem\nS'ls'\no.", WMAP_E_UNSUPPORTED, "os.system"),
        ROW("\x80\4\x8c\2os\x8c\6system\x93)}\x92.", WMAP_E_UNSUPPORTED, "os.system"),
        ROW("\x80\4\x8c\4_ssl\x8c\7x.y.zzz\x93)\x81.", WMAP_E_UNSUPPORTED, "_ssl.x.y.zzz"),
        ROW("\x80\4\x8c\5numpy\x8c\11dtype.new\x93)R.", WMAP_E_UNSUPPORTED, "numpy.dtype.new"),
        ROW(P2 "\x82\1.", WMAP_E_UNSUPPORTED, "EXT1"),
        ROW(P2 "\x83\1\0.", WMAP_E_UNSUPPORTED, "EXT2"),
        ROW(P2 "\x84\1\0\0\0.", WMAP_E_UNSUPPORTED, "EXT4"),
        ROW(P2 "cx\nY\n)\x81N}U\14__setstate__cos\nsystem\ns\x86"
               "b.",
            WMAP_E_UNSUPPORTED, "x.Y"),
        ROW("\x80\4\x95\4\0\0\0\0\0\0\0\x8c\5names.", WMAP_E_CORRUPT, "frame"),
        ROW("\x80\3cjoblib.numpy_pickle\nNumpyArrayWrapper\nq\0)\x81q\1}q\2bAAAA\1\2\3\4.",
            WMAP_E_UNSUPPORTED, "joblib"),
        ROW(P2 "csklearn.externals.joblib.numpy_pickle\nNDArrayWrapper\n)\x81.", WMAP_E_UNSUPPORTED,
            "joblib"),
        ROW(P2 "cnumpy.core.multiarray\n_reconstruct\n(cevil\nArray\n(I0\ntU\1btR" STATE("I2\n", F4, "I00\n",
                                                                                         "U\10abcdefgh") ".",
            WMAP_OK, ""),
    };
    refuse_all(rows, sizeof rows / sizeof *rows - 1);
    wmap_archive *a = OPEN(P2 "}(U\1acos\nsystem\n(U\2lstRU\1w" ARRAY "U\1pU\1xQu.");
    assert_int_equal(wmap_archive_count(a), 3);
    expect_tensor(a, "w", WMAP_F32, 1, two, "abcdefgh", 8);
    assert_string_equal(wmap_archive_tensor(a, 1)->name, "a");
    assert_string_equal(a->entries[1].note, "os.system");
    assert_string_equal(wmap_archive_tensor(a, 2)->name, "p");
    assert_int_equal(wmap_archive_warnings(a), 1);
    assert_non_null(strstr(wmap_archive_warning(a, 0), "os.system"));
    wmap_archive_close(a);
    const row *last = &rows[sizeof rows / sizeof *rows - 1];
    a = open_text(last->bytes, last->size);
    assert_int_equal(wmap_archive_tensor(a, 0)->dtype, WMAP_OPAQUE);
    assert_string_equal(a->entries[0].note, "evil.Array");
    wmap_archive_close(a);
}

/* Containers that are made by a call: what Paddle keeps for each tensor, Python 2's dicts, sets. */
static void test_made(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
        const char *name;
    } rows[] = {
#define MADE(text, name) {P2 "}(U\1w" text "u.", sizeof(P2 "}(U\1w" text "u.") - 1, name}
        MADE("c__builtin__\ntuple\nU\4name" ARRAY "\x86\x85R", "w.1"),
        MADE("cbuiltins\nlist\n(l" ARRAY "a\x85R", "w.0"),
        MADE("cbuiltins\nset\n(l" ARRAY "a\x85R", "w.0"),
        MADE("cbuiltins\nfrozenset\n(l" ARRAY "a\x85R", "w.0"),
        MADE("ccollections\ndeque\n(l" ARRAY "aK\5\x86R", "w.0"),
        MADE("\x8f(" ARRAY "\x90", "w.0"),
        MADE("(" ARRAY "\x91", "w.0"),
        MADE("c__builtin__\ndict\n}U\1k" ARRAY "s\x85R", "w.k"),
        MADE("c__builtin__\ndict\n(lU\1k" ARRAY "\x86"
             "a\x85R",
             "w.k"),
        MADE("ccollections\nOrderedDict\n(lU\1k" ARRAY "\x86"
             "a\x85R",
             "w.k"),
        MADE("ccollections\nOrderedDict\nU\1k" ARRAY "\x86\x85\x85R", "w.k"),
        MADE("ccollections\nCounter\n}U\1k" ARRAY "s\x85R", "w.k"),
        MADE("ccollections\ndefaultdict\nc__builtin__\nlist\n}U\1k" ARRAY "s\x86R", "w.k"),
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        wmap_archive *a = open_text(rows[i].bytes, rows[i].size);
        assert_int_equal(wmap_archive_count(a), 1);
        expect_tensor(a, rows[i].name, WMAP_F32, 1, two, "abcdefgh", 8);
        wmap_archive_close(a);
    }
}

/* JAX gives what NumPy's pickle calls as arguments of its own call. */
static void test_jax(void **state)
{
    (void)state;
#define JAX(module, function, inner)                                                                         \
    P2 "}(U\1w" ARRAY "U\1jc" module "\n" function "\n(cnumpy.core.multiarray\n" inner                       \
       "\n(cnumpy\nndarray\n(I0\ntU\1bt(I1\n(I2\nt" F4 "I00\nU\10ABCDEFGHt}tRu."
    wmap_archive *a = OPEN(JAX("jax._src.array", "_reconstruct_array", "_reconstruct"));
    expect_tensor(a, "j", WMAP_F32, 1, two, "ABCDEFGH", 8);
    assert_int_equal(wmap_archive_warnings(a), 0);
    wmap_archive_close(a);
    a = OPEN(JAX("jax._src.device_array", "reconstruct_device_array", "_reconstruct"));
    expect_tensor(a, "j", WMAP_F32, 1, two, "ABCDEFGH", 8);
    wmap_archive_close(a);
    a = OPEN(JAX("jax._src.array", "_reconstruct_array", "something"));
    assert_int_equal(wmap_archive_tensor(a, 1)->dtype, WMAP_OPAQUE);
    wmap_archive_close(a);
    static const row rows[] = {
        ROW(P2 "cjax._src.array\n_reconstruct_array\n)R.", WMAP_E_CORRUPT, "wrong arguments"),
        ROW(P2 "cjax._src.array\n_reconstruct_array\n(NNNtR.", WMAP_E_CORRUPT, "wrong arguments"),
        ROW(P2
            "cjax._src.array\n_reconstruct_array\n(cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nt"
            "NtR.",
            WMAP_E_CORRUPT, "wrong arguments"),
        ROW(P2 "cjax._src.array\n_reconstruct_array\n(cnumpy.core.multiarray\n_reconstruct\n"
               "(cnumpy\nndarray\n(I0\ntU\1btNtR.",
            WMAP_E_CORRUPT, "state has the wrong parts"),
    };
    REFUSE(rows);
}

/* Packages whose names begin like NumPy's are not NumPy. */
static void test_not_numpy(void **state)
{
    (void)state;
    wmap_archive *a = OPEN(P2 "cnumpy_ml.layers\nDense\n)\x81}U\1W" ARRAY "sb.");
    expect_tensor(a, "W", WMAP_F32, 1, two, "abcdefgh", 8);
    wmap_archive_close(a);
}

static void test_keys(void **state)
{
    (void)state;
    static const struct {
        const char *key, *name;
    } rows[] = {
        {"F0.1\n", "0.1"},
        {"F1\n", "1.0"},
        {"F-0.0\n", "-0.0"},
        {"F1e16\n", "1e+16"},
        {"F1e15\n", "1000000000000000.0"},
        {"F0.0001\n", "0.0001"},
        {"F0.00001\n", "1e-05"},
        {"F5e-324\n", "5e-324"},
        {"F123456.75\n", "123456.75"},
        {"F1.25e-7\n", "1.25e-07"},
        {"F1e300\n", "1e+300"},
        {"Finf\n", "inf"},
        {"F-inf\n", "-inf"},
        {"Fnan\n", "nan"},
        {"(I1\nt", "(1,)"},
        {"(t", "()"},
        {"(I1\nS'a'\nt", "(1, a)"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bytes b = {0};
        bytes_text(&b, P2 "}");
        bytes_text(&b, rows[i].key);
        bytes_add(&b, ARRAY "s.", sizeof ARRAY "s." - 1);
        wmap_archive *a = accept(&b);
        assert_string_equal(wmap_archive_tensor(a, 0)->name, rows[i].name);
        wmap_archive_close(a);
        bytes_free(&b);
    }
}

static void test_almost(void **state)
{
    (void)state;
    static const row rows[] = {
        ROW(P2 "N.", WMAP_E_NOT_WEIGHTS, "holds no array"),
        ROW(P2 "}U\1aG?\xf0\0\0\0\0\0\0s.", WMAP_E_NOT_WEIGHTS, "holds no array"),
        ROW(P2, WMAP_E_CORRUPT, "cut off"),
        ROW(P2 ARRAY, WMAP_E_CORRUPT, "cut off"),
        ROW(P2 ARRAY ".\0", WMAP_E_CORRUPT, "no opcode"),
        ROW(P2 ARRAY "." P2 "N", WMAP_E_CORRUPT, "cut off"),
        ROW("\x80\6N.", WMAP_E_NOT_WEIGHTS, "no weight file"),
        ROW("cats are\nno pickles\n.", WMAP_E_NOT_WEIGHTS, "text"),
        ROW("carts\nare\n(no pickle).", WMAP_E_NOT_WEIGHTS, "text"),
        ROW("I like text that ends with a stop.", WMAP_E_NOT_WEIGHTS, "text"),
        ROW("(a)\n.", WMAP_E_NOT_WEIGHTS, "text"),
        ROW("{}.", WMAP_E_NOT_WEIGHTS, "text"),
        ROW(".", WMAP_E_NOT_WEIGHTS, "text"),
        ROW(P2 "B\xff\xff\xff\xff.", WMAP_E_CORRUPT, "longer than what is left"),
        ROW("\x80\4\x8e\xff\xff\xff\xff\xff\xff\xff\xff.", WMAP_E_CORRUPT, "longer than what is left"),
        ROW("\x80\5\x96\0\0\0\0\0\0\0\x80.", WMAP_E_CORRUPT, "longer than what is left"),
    };
    REFUSE(rows);
}

/* Lists in lists, each holding the one before twice: 2^60 paths to one array. */
static void test_many_paths(void **state)
{
    (void)state;
    bytes b = {0};
    bytes_text(&b, P2 "(l");
    bytes_add(&b, ARRAY "a", sizeof ARRAY);
    for (int i = 0; i < 60; i++)
        bytes_text(&b, "2\x86"); /* DUP TUPLE2 */
    bytes_text(&b, ".");
    refuse(&b, WMAP_E_UNSUPPORTED, "far too often");
    bytes_free(&b);
    bytes_text(&b, P2 "("); /* the same without an array is walked once */
    bytes_text(&b, "l");
    for (int i = 0; i < 60; i++)
        bytes_text(&b, "2\x86");
    bytes_text(&b, ".");
    refuse(&b, WMAP_E_NOT_WEIGHTS, "holds no array");
    bytes_free(&b);
}

static void test_cycles(void **state)
{
    (void)state;
    wmap_archive *a = OPEN(P2 "]q\0h\0a" ARRAY "a."); /* a list that holds itself */
    expect_tensor(a, "1", WMAP_F32, 1, two, "abcdefgh", 8);
    wmap_archive_close(a);
    a = OPEN(P2 "}q\0(U\1ah\0U\1w" ARRAY "u.");
    expect_tensor(a, "w", WMAP_F32, 1, two, "abcdefgh", 8);
    assert_int_equal(wmap_archive_count(a), 1);
    wmap_archive_close(a);
    /* An array of objects that holds itself. */
    a = OPEN(P2 MAKE "q\0" STATE("I2\n", O8, "I00\n", "(lh\0a" ARRAY "a") ".");
    expect_tensor(a, "1", WMAP_F32, 1, two, "abcdefgh", 8);
    wmap_archive_close(a);
    /* A shared variable whose value is the shared variable. */
    static const row rows[] = {ROW(P2 "ctheano.tensor.sharedvar\nTensorSharedVariable\n)\x81q\0}U\11container"
                                      "ctheano.gof.link\nContainer\n)\x81}U\7storage]h\0asbsb.",
                                   WMAP_E_NOT_WEIGHTS, "holds no array")};
    REFUSE(rows);
}

static void test_deep(void **state)
{
    (void)state;
    for (int64_t depth = 200; depth <= 1000000; depth *= 5000) {
        bytes b = {0};
        bytes_text(&b, P2);
        bytes_add(&b, ARRAY, sizeof ARRAY - 1);
        for (int64_t i = 0; i < depth; i++)
            bytes_text(&b, "\x85"); /* TUPLE1 */
        bytes_text(&b, ".");
        if (depth < 256)
            wmap_archive_close(accept(&b));
        else
            refuse(&b, WMAP_E_UNSUPPORTED, "nested deeper than 256");
        bytes_free(&b);
    }
}

/* A million small pickles in a row share the memory that one may have. */
static void test_rows(void **state)
{
    (void)state;
    wmap_archive *a = OPEN(P2 ARRAY "." ARRAY ".(l.");
    expect_tensor(a, "1", WMAP_F32, 1, two, "abcdefgh", 8);
    assert_int_equal(wmap_archive_count(a), 2);
    wmap_archive_close(a);
    bytes b = {0};
    bytes_text(&b, P2);
    for (int i = 0; i < 200000; i++)
        bytes_text(&b, "N.");
    refuse(&b, WMAP_E_UNSUPPORTED, "more than 100000 pickles");
    bytes_free(&b);
}

/* Long names are refused before they are copied a million times. */
static void test_long_names(void **state)
{
    (void)state;
    bytes b = {0};
    bytes_text(&b, P2 "}T");
    bytes_le(&b, 60000, 4);
    for (int i = 0; i < 60000; i++)
        bytes_text(&b, "n");
    bytes_text(&b, "(l");
    bytes_add(&b, ARRAY "q\0", sizeof ARRAY + 1);
    bytes_text(&b, "a(");
    for (int i = 0; i < 20000; i++)
        bytes_add(&b, "h\0", 2);
    bytes_text(&b, "es.");
    refuse(&b, WMAP_E_UNSUPPORTED, "names of its tensors");
    bytes_free(&b);
}

/* Data of more than one piece when they are decoded; an escape lies across the border of two. */
static void test_pieces(void **state)
{
    (void)state;
    for (size_t shift = 0; shift < 12; shift++) {
        enum { COUNT = 100000 };
        bytes b = {0}, want = {0};
        char text[64];
        bytes_text(&b, P2 "cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntU\1btR");
        snprintf(text, sizeof text, "(I1\n(I%d\nt", COUNT);
        bytes_text(&b, text);
        bytes_add(&b, DTYPE("u1", "|"), sizeof DTYPE("u1", "|") - 1);
        bytes_text(&b, "I00\nS'");
        for (size_t i = 0; i < COUNT; i++) {
            uint8_t c = i < shift ? 'x' : (uint8_t)(i * 7);
            bytes_add(&want, &c, 1);
            if (i < shift)
                bytes_text(&b, "x");
            else {
                snprintf(text, sizeof text, i % 3 ? "\\x%02x" : "\\%03o", c);
                bytes_text(&b, text);
            }
        }
        bytes_text(&b, "'\ntb.");
        wmap_archive *a = accept(&b);
        expect_tensor(a, "0", WMAP_U8, 1, (const uint64_t[]){COUNT}, (const char *)want.at, want.size);
        wmap_archive_close(a);
        bytes_free(&b);
        bytes_free(&want);
    }
}

struct cut {
    const uint8_t *map;
    int fd;
    bool left_alone;
};

static void nothing(void *context)
{
    (void)context;
}

static void read_what_is_cut(void *context)
{
    struct cut *c = context;
    assert_int_equal(ftruncate(c->fd, 0), 0);
    volatile uint8_t sum = 0;
    for (size_t i = 0; i < 10000; i++)
        sum = (uint8_t)(sum + c->map[i]);
    c->left_alone = true;
}

/* A file that somebody cuts off while it is opened ends the reading, not the program. */
static void test_cut_while_opened(void **state)
{
    (void)state;
    bytes b = {0};
    bytes_text(&b, P2);
    bytes_add(&b, ARRAY, sizeof ARRAY - 1);
    for (int i = 0; i < 10000; i++)
        bytes_text(&b, "2");
    bytes_text(&b, ".");
    wmap_archive *a = accept(&b);
    wmap_error err = {0};
    int fd = memfd_create("cut", MFD_CLOEXEC);
    assert_int_equal(write(fd, b.at, b.size), (ssize_t)b.size);
    uint32_t file = wm_archive_add_spool(a, fd, b.size, &err);
    assert_int_equal(file, 1);
    struct cut c = {NULL, fd, false};
    assert_true(wm_archive_mapped(a, file, nothing, &c, &err));
    c.map = a->files[file].map;
    assert_false(wm_archive_mapped(a, file, read_what_is_cut, &c, &err));
    assert_false(c.left_alone);
    assert_int_equal(err.code, WMAP_E_CORRUPT);
    assert_non_null(strstr(err.message, "became shorter"));
    expect_tensor(a, "0", WMAP_F32, 1, two, "abcdefgh", 8);
    wmap_archive_close(a);
    bytes_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arrays),
        cmocka_unit_test(test_lies),
        cmocka_unit_test(test_foreign),
        cmocka_unit_test(test_made),
        cmocka_unit_test(test_jax),
        cmocka_unit_test(test_not_numpy),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_almost),
        cmocka_unit_test(test_cycles),
        cmocka_unit_test(test_many_paths),
        cmocka_unit_test(test_deep),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_cut_while_opened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
