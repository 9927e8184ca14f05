/* Unit tests of runtime/formats/pickle*.c: each opcode, what it gives and how it fails.
 * tests/data/torch/object*.pkl hold one object in all protocols, pickled by CPython (make_torch.py there). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/formats/pickle.h"

#define P(text) (text), sizeof(text) - 1

/* ---- trees as text ---- */

typedef struct out {
    char text[16384];
    size_t len;
    wm_arena arena;
} out;

static void say(out *o, const char *text, size_t len)
{
    assert_true(o->len + len < sizeof o->text);
    memcpy(o->text + o->len, text, len);
    o->len += len;
    o->text[o->len] = 0;
}

static void say_string(out *o, const char *text)
{
    say(o, text, strlen(text));
}

static void show(out *o, wm_pickle_node *node);

static void show_items(out *o, const wm_pickle_node *list, const char *open, const char *close,
                       const char *between)
{
    say_string(o, open);
    for (size_t i = 0; i < list->as.list.count; i++) {
        if (i)
            say_string(o, i % 2 ? between : ", ");
        show(o, list->as.list.items[i]);
    }
    say_string(o, close);
}

static void show_bytes(out *o, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        char hex[8];
        snprintf(hex, sizeof hex, "%02x", (uint8_t)bytes[i]);
        say_string(o, hex);
    }
}

static void show_call(out *o, wm_pickle_node *node)
{
    const wm_pickle_node *args = node->as.call.args;
    bool set = wm_pickle_calls(node, "builtins", "set"),
         frozen = wm_pickle_calls(node, "builtins", "frozenset");
    if ((set || frozen) && args->as.list.count == 1) { /* protocols 0 to 3 */
        show_items(o, args->as.list.items[0], set ? "set{" : "frozen{", "}", ", ");
        return;
    }
    show(o, node->as.call.callable);
    show_items(o, args, node->made ? "!(" : "(", ")", ", ");
    const wm_pickle_extra *extra = node->as.call.extra;
    if (extra && extra->named)
        show_items(o, extra->named, "named{", "}", ": ");
    if (extra && extra->items)
        show_items(o, extra->items, "[", "]", ", ");
    if (extra && extra->pairs)
        show_items(o, extra->pairs, "{", "}", ": ");
    if (node->as.call.state) {
        say_string(o, "<-");
        show(o, node->as.call.state);
    }
}

static void show(out *o, wm_pickle_node *node)
{
    char buf[600];
    const char *bytes;
    size_t len;
    if (node->mark) {
        say_string(o, "...");
        return;
    }
    if (node->kind == WM_PICKLE_TUPLE || node->kind == WM_PICKLE_LIST || node->kind == WM_PICKLE_DICT)
        node->mark = 1;
    switch ((wm_pickle_kind)node->kind) {
    case WM_PICKLE_NONE:
        say_string(o, "None");
        break;
    case WM_PICKLE_BOOL:
        say_string(o, node->as.integer ? "True" : "False");
        break;
    case WM_PICKLE_INT:
        snprintf(buf, sizeof buf, "%" PRId64, node->as.integer);
        say_string(o, buf);
        break;
    case WM_PICKLE_BIG:
        say_string(o, "big");
        break;
    case WM_PICKLE_FLOAT:
        snprintf(buf, sizeof buf, "%.17gf", node->as.real);
        say_string(o, buf);
        break;
    case WM_PICKLE_BYTES:
        say_string(o, node->python2 ? "s'" : "b'");
        show_bytes(o, node->as.text.bytes, node->as.text.len);
        break;
    case WM_PICKLE_TEXT:
        say_string(o, "'");
        say(o, node->as.text.bytes, node->as.text.len);
        say_string(o, "'");
        break;
    case WM_PICKLE_TUPLE:
        show_items(o, node, "(", ")", ", ");
        break;
    case WM_PICKLE_LIST:
        show_items(o, node, "[", "]", ", ");
        break;
    case WM_PICKLE_DICT:
        show_items(o, node, "{", "}", ": ");
        break;
    case WM_PICKLE_SET:
        show_items(o, node, "set{", "}", ", ");
        break;
    case WM_PICKLE_FROZENSET:
        show_items(o, node, "frozen{", "}", ", ");
        break;
    case WM_PICKLE_GLOBAL:
        say_string(o, wm_pickle_name(node, buf, sizeof buf));
        break;
    case WM_PICKLE_CALL:
        if (wm_pickle_bytes(&o->arena, node, &bytes, &len)) {
            say_string(o, "b'");
            show_bytes(o, bytes, len);
        } else {
            show_call(o, node);
        }
        break;
    case WM_PICKLE_PERSISTENT:
        say_string(o, "@");
        show(o, node->as.id);
        break;
    }
    node->mark = 0;
}

static void gives(const char *bytes, size_t size, const char *expected)
{
    static out o;
    memset(&o, 0, sizeof o);
    wm_arena_init(&o.arena);
    wm_pickle pickle;
    wm_pickle_init(&pickle);
    wmap_error err = {0};
    /* A block of its own, so that a read past the end is seen. */
    char *copy = malloc(size ? size : 1);
    memcpy(copy, bytes, size);
    wm_cursor cursor = wm_cursor_of(copy, size, 0);
    wm_pickle_node *root = wm_pickle_read(&pickle, &cursor, &err);
    if (!root)
        fail_msg("%s at %" PRIu64 " instead of %s", err.message, err.offset, expected);
    assert_int_equal(wm_cursor_left(&cursor), 0);
    show(&o, root);
    assert_string_equal(o.text, expected);
    wm_pickle_release(&pickle);
    wm_arena_release(&o.arena);
    free(copy);
}

/* Fails with this code, at this opcode, saying this. */
static void fails_as(wmap_code code, const char *bytes, size_t size, uint64_t offset, const char *said)
{
    wm_pickle pickle;
    wm_pickle_init(&pickle);
    wmap_error err = {0};
    char *copy = malloc(size ? size : 1);
    memcpy(copy, bytes, size);
    wm_cursor cursor = wm_cursor_of(copy, size, 1000);
    if (wm_pickle_read(&pickle, &cursor, &err))
        fail_msg("is read, and it should say: %s", said);
    if (!strstr(err.message, said))
        fail_msg("says \"%s\" instead of \"%s\"", err.message, said);
    assert_int_equal(err.code, code);
    assert_true(err.has_offset);
    assert_int_equal(err.offset, 1000 + offset);
    wm_pickle_release(&pickle);
    free(copy);
}

static void fails(const char *bytes, size_t size, uint64_t offset, const char *said)
{
    fails_as(WMAP_E_CORRUPT, bytes, size, offset, said);
}

/* ---- tests ---- */

static void reads_one_object_in_all_protocols(void **state)
{
    (void)state;
    for (int protocol = 0; protocol <= 5; protocol++) {
        char path[512], expected[2048];
        static char bytes[8192];
        snprintf(path, sizeof path, WMAP_TEST_DATA "/torch/object%d.pkl", protocol);
        FILE *f = fopen(path, "rb");
        assert_non_null(f);
        size_t size = fread(bytes, 1, sizeof bytes, f);
        fclose(f);
        snprintf(
            expected, sizeof expected,
            "{'int': [0, 255, 256, 65536, -1, 2147483648, -9223372036854775808, big], "
            "'float': (1.5f, -0f, inff), 'text': 'z\xc3\xa4\xe2\x82\xac\n\\', 'bytes': b'00ff, 'none': None, "
            "'bool': (True, False), 'nested': [[], (), {}], 'set': set{7}, 'frozen': frozen{8}, "
            "'shared': [[1, 2], [1, 2]], 'class': collections.OrderedDict, "
            "'object': collections.OrderedDict(){'k': 1}, 'loop': [...]}");
        gives(bytes, size, expected);
    }
}

static void reads_numbers(void **state)
{
    (void)state;
    gives(P("I12\n."), "12");
    gives(P("I-7\r\n."), "-7");
    gives(P("I01\n."), "True");
    gives(P("I00\n."), "False");
    gives(P("I1\n."), "1");
    gives(P("I9223372036854775807\n."), "9223372036854775807");
    gives(P("I9223372036854775808\n."), "big");
    gives(P("L12L\n."), "12");
    gives(P("L01L\n."), "1");
    gives(P("L-9223372036854775808L\n."), "-9223372036854775808");
    gives(P("J\xff\xff\xff\xff."), "-1");
    gives(P("M\1\2."), "513");
    gives(P("\x8a\0."), "0");
    gives(P("\x8a\1\xff."), "-1");
    gives(P("\x8a\x09\0\0\0\0\0\0\0\x80\0."), "big");
    gives(P("\x8a\x09\0\0\0\0\0\0\0\x40\0."), "4611686018427387904");
    gives(P("\x8a\x0a\0\0\0\0\0\0\0\x80\xff\xff."), "-9223372036854775808");
    gives(P("\x8b\2\0\0\0\0\1."), "256");
    gives(P("F1.5\n."), "1.5f");
    gives(P("F1e999\n."), "inff");
    gives(P("F-inf\n."), "-inff");
    gives(P("G\x3f\xf8\0\0\0\0\0\0."), "1.5f");
    fails(P("Ix\n."), 0, "not a number");
    fails(P("I\n."), 0, "not a number");
    fails(P("I-\n."), 0, "not a number");
    fails(P("L5"), 0, "no end");
    fails(P("F1.5x\n."), 0, "not a number");
    fails(P("F0x10\n."), 0, "not a number");
    fails(P("F\n."), 0, "not a number");
    fails(P("\x8b\xff\xff\xff\xff."), 0, "longer than what is left");
    static char digits[1000005];
    memset(digits, '9', sizeof digits);
    digits[0] = 'L';
    memcpy(digits + 1000001, "L\n.", 4);
    fails(digits, 1000004, 0, "4300 digits");
}

static void reads_strings(void **state)
{
    (void)state;
    gives(P("S'a\\x00\\'\\n\\\\\\101\\q'\n."), "s'6100270a5c415c71");
    gives(P("S\"\"\n."), "s'");
    gives(P("T\2\0\0\0ab."), "s'6162");
    gives(P("U\1a."), "s'61");
    gives(P("Va\\u20ac\\\\u\xe4\\U0001F600\n."), "'a\xe2\x82\xac\\\\u\xc3\xa4\xf0\x9f\x98\x80'");
    gives(P("X\1\0\0\0a."), "'a'");
    gives(P("\x8c\1"
            "a."),
          "'a'");
    gives(P("\x8d\1\0\0\0\0\0\0\0a."), "'a'");
    gives(P("B\1\0\0\0a."), "b'61");
    gives(P("C\1a."), "b'61");
    gives(P("\x8e\1\0\0\0\0\0\0\0a."), "b'61");
    gives(P("\x96\1\0\0\0\0\0\0\0a."), "b'61");
    gives(P("\x80\2c_codecs\nencode\nX\3\0\0\0a\xc3\xbfX\6\0\0\0latin1\x86R."), "b'61ff");
    gives(P("\x80\2c__builtin__\nbytes\n)R."), "b'");
    fails(P("S'a\n."), 0, "quotes");
    fails(P("Sab\n."), 0, "quotes");
    fails(P("S'\n."), 0, "quotes");
    fails(P("S'\\'\n."), 0, "escape");
    fails(P("S'\\x1'\n."), 0, "escape");
    fails(P("V\\u12\n."), 0, "escape");
    fails(P("V\\U00110000\n."), 0, "escape");
    fails(P("T\xff\xff\xff\xff"
            "a."),
          0, "longer than");
}

/* P07: lengths that no file can hold. */
static void refuses_lengths_beyond_the_end(void **state)
{
    (void)state;
    static const char ops[] = "\x8d\x8e\x96";
    static const char lengths[][9] = {"\0\0\0\x80\0\0\0\0", "\xff\xff\xff\xff\xff\xff\xff\xff",
                                      "\0\0\0\0\0\0\0\x80"};
    for (size_t o = 0; o < 3; o++)
        for (size_t l = 0; l < 3; l++) {
            char bytes[20] = {ops[o]};
            memcpy(bytes + 1, lengths[l], 8);
            fails(bytes, sizeof bytes, 0, "longer than what is left");
        }
    fails(P("X\xff\xff\xff\xff"
            "a."),
          0, "longer than");
    fails(P("B\0\0\0\x80"
            "a."),
          0, "longer than");
    fails(P("\x8b\0\0\0\x7f"
            "a."),
          0, "longer than");
}

static void builds_containers(void **state)
{
    (void)state;
    gives(P("(K\1K\2l."), "[1, 2]");
    gives(P("(t."), "()");
    gives(P("(K\1K\2d."), "{1: 2}");
    gives(P("K\1K\2K\3\x87."), "(1, 2, 3)");
    gives(P("]K\1a(K\2K\3e."), "[1, 2, 3]");
    gives(P("}K\1K\2s(K\3K\4u."), "{1: 2, 3: 4}");
    gives(P("\x8f(K\1\x90."), "set{1}");
    gives(P("(K\1\x91."), "frozen{1}");
    gives(P("K\1(K\2K\3"
            "1."),
          "1");
    gives(P("K\1(0."), "1");
    gives(P("K\1"
            "2\x86."),
          "(1, 1)");
    gives(P("]q\5h\5a."), "[...]");
    gives(P("}q\5K\1h\5s."), "{1: ...}");
    gives(P("(]q\1h\1tq\2"
            "0h\1h\2a."),
          "[(..., ...)]");
}

static void refuses_odd_containers(void **state)
{
    (void)state;
    fails(P("}K\1a."), 3, "no list");
    fails(P(")K\1a."), 3, "no list");
    fails(P("](K\1\x90."), 4, "no set");
    fails(P("]K\1K\2s."), 5, "no dict");
    fails(P("}(K\1u."), 4, "without its value");
    fails(P("(K\1d."), 3, "without its value");
    fails(P("}]K\1s."), 4, "as a key");
    fails(P("(}K\1d."), 4, "as a key");
}

/* P05: each opcode with nothing to work on. */
static void refuses_empty_stacks(void **state)
{
    (void)state;
    static const char takes[] = "02ablostdeuR\x81\x85\x86\x87\x90\x91\x92\x93\x94Q.1";
    for (size_t i = 0; i + 1 < sizeof takes; i++) {
        char bytes[] = {takes[i], '.'};
        fails(bytes, sizeof bytes, 0, "on the stack");
        /* What is below a mark isn't there. Those that take from the mark on find nothing. */
        char marked[] = {'K', 1, 'K', 2, 'K', 3, '(', takes[i], '.'};
        if (!strchr("10ltde\x91\x90uo", takes[i]))
            fails(marked, sizeof marked, 7, "on the stack");
    }
    fails(P("q\1."), 0, "nothing on the stack");
    fails(P("K\1(11."), 4, "no mark");
    fails(P("(o."), 1, "no class behind the mark");
    fails(P("ios\nsystem\n."), 0, "no mark");
    fails(P(""), 0, "before its STOP");
    fails(P("K\1"), 2, "before its STOP");
    fails(P("\xff."), 0, "0xff is no opcode");
}

static void keeps_a_memo(void **state)
{
    (void)state;
    gives(P("K\1p7\n0g7\n."), "1");
    gives(P("K\1r\xff\xff\xff\xff"
            "0j\xff\xff\xff\xff."),
          "1");
    gives(P("K\1\x94K\2\x94"
            "00h\0h\1\x86."),
          "(1, 2)");
    gives(P("K\1p9223372036854775807\nK\2r\0\0\0\x7f"
            "00g9223372036854775807\nj\0\0\0\x7f\x86."),
          "(1, 2)");
    gives(P("K\1r\0\0\0\x7fK\2r\0\0\0\x7fK\3\x94j\0\0\0\x7fh\1\x86."), "(2, 3)"); /* MEMOIZE counts entries */
    fails(P("h\1."), 0, "kept under this index");
    fails(P("K\1q\1j\2\0\0\0."), 4, "kept under this index");
    fails(P("K\1p-1\n."), 2, "not an index");
    fails(P("K\1px\n."), 2, "not an index");
    fails(P("K\1p99999999999999999999\n."), 2, "not an index");
    /* Entries put far out are found again after the table has grown over them. */
    static char bytes[40000];
    size_t n = 0;
    memcpy(bytes,
           "K\7r\xb8\x0b\0\0"
           "0",
           8); /* 3000 */
    n = 8;
    for (unsigned i = 0; i < 3000; i++) {
        bytes[n++] = 'K';
        bytes[n++] = 1;
        bytes[n++] = 'r';
        bytes[n++] = (char)(i & 0xff);
        bytes[n++] = (char)(i >> 8);
        bytes[n++] = 0;
        bytes[n++] = 0;
        bytes[n++] = '0';
    }
    memcpy(bytes + n,
           "j\xb8\x0b\0\0K\2r\xb8\x0b\0\0"
           "0j\xb8\x0b\0\0\x86.",
           20);
    gives(bytes, n + 20, "(7, 2)");
}

static void makes_inert_objects(void **state)
{
    (void)state;
    gives(P("cos\nsystem\n(S'ls'\ntR."), "os.system(s'6c73)");
    gives(P("\x8c\2os\x8c\6system\x93."), "os.system");
    gives(P("\x8c\4_ssl\x8c\x0b"
            "socket.a.b.\x93."),
          "_ssl.socket.a.b.");
    gives(P("(K\1ia\nB\n."), "a.B(1)");
    gives(P("(ca\nB\nK\1o."), "a.B(1)");
    gives(P("ca\nB\n)\x81}K\1K\2sb."), "a.B!()<-{1: 2}");
    gives(P("ca\nB\n)}K\1K\2s\x92."), "a.B!()named{1: 2}");
    gives(P("ca\nB\n)RK\1a(K\2K\3uK\4b."), "a.B()[1]{2: 3}<-4");
    gives(P("ca\nB\n)R)R."), "a.B()()");
    gives(P("Pwhere\n."), "@'where'");
    gives(P("K\1Q."), "@1");
    fails(P("K\1)R."), 3, "neither a class nor a function");
    fails(P("ca\nB\n]R."), 6, "no tuple");
    fails(P("ca\nB\n)]\x92."), 7, "no dict");
    fails(P("]K\1b."), 3, "no object");
    fails(P("ca\nB\nK\1b."), 7, "no object");
    fails(P("ca\nB\n)RNbNb."), 10, "second state");
    fails(P("NN\x93."), 2, "no text");
    fails(P("ca\n"), 0, "no end");
    fails_as(WMAP_E_UNSUPPORTED, P("\x82\1."), 0, "EXT1");
    fails_as(WMAP_E_UNSUPPORTED, P("\x83\1\0."), 0, "EXT2");
    fails_as(WMAP_E_UNSUPPORTED, P("\x84\1\0\0\0."), 0, "EXT4");
    fails_as(WMAP_E_UNSUPPORTED, P("\x97."), 0, "not in the file");
    fails_as(WMAP_E_UNSUPPORTED, P("\x98."), 0, "not in the file");
    fails_as(WMAP_E_UNSUPPORTED, P("\x80\6N."), 0, "protocol");
}

/* P08 */
static void checks_frames(void **state)
{
    (void)state;
    gives(P("\x80\4\x95\2\0\0\0\0\0\0\0N."), "None");
    gives(P("\x80\4\x95\1\0\0\0\0\0\0\0N\x95\1\0\0\0\0\0\0\0."), "None");
    gives(P("\x95\1\0\0\0\0\0\0\0NC\1a0."), "None"); /* bytes between frames */
    fails(P("\x95\2\0\0\0\0\0\0\0B\3\0\0\0abc."), 9, "over the end of its frame");
    fails(P("\x95\x0a\0\0\0\0\0\0\0\x95\1\0\0\0\0\0\0\0."), 9, "inside of another");
    fails(P("\x95\xff\0\0\0\0\0\0\0N."), 0, "longer than what is left");
    fails(P("\x95\xff\xff\xff\xff\xff\xff\xff\xffN."), 0, "longer than what is left");
}

/* What costs memory without being there: refused while it is still little. */
static void bounds_memory(void **state)
{
    (void)state;
    enum { MANY = 8000000 };
    char *bytes = malloc(MANY);
    memset(bytes, ']', MANY);
    wm_pickle pickle;
    wm_pickle_init(&pickle);
    wmap_error err = {0};
    wm_cursor cursor = wm_cursor_of(bytes, MANY, 0);
    assert_null(wm_pickle_read(&pickle, &cursor, &err));
    assert_int_equal(err.code, WMAP_E_UNSUPPORTED);
    assert_non_null(strstr(err.message, "far more objects"));
    assert_true(pickle.arena.used < (size_t)224 << 20);
    wm_pickle_release(&pickle);
    /* A memo of millions is fine, and tuples in tuples need no stack of ours. */
    memset(bytes, 0x94, MANY);
    bytes[0] = 'N';
    bytes[1000000] = '.';
    gives(bytes, 1000001, "None");
    memset(bytes, 0x85, MANY);
    bytes[0] = ')';
    memcpy(bytes + 500000, "0N.", 3);
    gives(bytes, 500003, "None");
    free(bytes);
}

static void reads_several_in_a_row(void **state)
{
    (void)state;
    static const char bytes[] = "\x80\2]q\1K\1a.\x80\2h\1.";
    wm_pickle pickle;
    wm_pickle_init(&pickle);
    wmap_error err = {0};
    wm_cursor cursor = wm_cursor_of(bytes, sizeof bytes - 1, 0);
    wm_pickle_node *first = wm_pickle_read(&pickle, &cursor, &err);
    assert_non_null(first);
    assert_null(wm_pickle_read(&pickle, &cursor, &err)); /* a memo of its own */
    assert_non_null(strstr(err.message, "kept under this index"));
    assert_int_equal(first->as.list.count, 1);
    wm_pickle_release(&pickle);
}

/* P25: cut off at every byte, and with every byte changed. */
static void survives_cuts_and_flips(void **state)
{
    (void)state;
    for (int protocol = 0; protocol <= 5; protocol++) {
        char path[512];
        static char bytes[8192];
        snprintf(path, sizeof path, WMAP_TEST_DATA "/torch/object%d.pkl", protocol);
        FILE *f = fopen(path, "rb");
        assert_non_null(f);
        size_t size = fread(bytes, 1, sizeof bytes, f);
        fclose(f);
        for (size_t i = 0; i < size; i++) {
            wm_pickle pickle;
            wmap_error err = {0};
            char *copy = malloc(size);
            memcpy(copy, bytes, size);
            wm_pickle_init(&pickle);
            wm_cursor cut = wm_cursor_of(memcpy(malloc(i + 1), bytes, i), i, 0);
            assert_null(wm_pickle_read(&pickle, &cut, &err));
            assert_int_equal(err.code, WMAP_E_CORRUPT);
            free((void *)(uintptr_t)cut.bytes);
            static const uint8_t flips[] = {0x01, 0x80, 0xff};
            for (size_t k = 0; k < sizeof flips; k++) {
                copy[i] = (char)((uint8_t)bytes[i] ^ flips[k]);
                wm_cursor cursor = wm_cursor_of(copy, size, 0);
                if (!wm_pickle_read(&pickle, &cursor, &err))
                    assert_true(err.code == WMAP_E_CORRUPT || err.code == WMAP_E_UNSUPPORTED);
            }
            wm_pickle_release(&pickle);
            free(copy);
        }
    }
}

static void answers_questions(void **state)
{
    (void)state;
    wm_pickle pickle;
    wm_pickle_init(&pickle);
    wmap_error err = {0};
    /* An OrderedDict of Python 2: its pairs as a list of lists. */
    static const char python2[] = "ccollections\nOrderedDict\n(((lp0\n(lp1\nS'a'\naK\1aa(lS'b'\naK\2aatR.";
    static const char simple[] = "ccollections\nOrderedDict\n((l(lS'a'\naK\1aa(lS'b'\naK\2aatR.";
    wm_cursor cursor = wm_cursor_of(python2, sizeof python2 - 1, 0);
    assert_null(wm_pickle_mapping(wm_pickle_read(&pickle, &cursor, &err)));
    cursor = wm_cursor_of(simple, sizeof simple - 1, 0);
    wm_pickle_node *root = wm_pickle_read(&pickle, &cursor, &err);
    assert_non_null(root);
    const wm_pickle_node *mapping = wm_pickle_mapping(root);
    assert_non_null(mapping);
    assert_int_equal(wm_pickle_pair_count(mapping), 2);
    assert_int_equal(wm_pickle_get(root, "b")->as.integer, 2);
    assert_null(wm_pickle_get(root, "c"));
    assert_null(wm_pickle_mapping(NULL));
    /* The last of two values under one key counts. */
    static const char twice[] = "}(U\1aK\1U\1aK\2u.";
    cursor = wm_cursor_of(twice, sizeof twice - 1, 0);
    root = wm_pickle_read(&pickle, &cursor, &err);
    assert_int_equal(wm_pickle_get(root, "a")->as.integer, 2);
    static const char set[] = "c__builtin__\nset\n.";
    cursor = wm_cursor_of(set, sizeof set - 1, 0);
    root = wm_pickle_read(&pickle, &cursor, &err);
    assert_true(wm_pickle_is(root, "builtins", "set"));
    assert_false(wm_pickle_is(root, "copyreg", "set"));
    assert_false(wm_pickle_is(root, "builtins", "sett"));
    wm_pickle_release(&pickle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_one_object_in_all_protocols),
        cmocka_unit_test(reads_numbers),
        cmocka_unit_test(reads_strings),
        cmocka_unit_test(refuses_lengths_beyond_the_end),
        cmocka_unit_test(builds_containers),
        cmocka_unit_test(refuses_odd_containers),
        cmocka_unit_test(refuses_empty_stacks),
        cmocka_unit_test(keeps_a_memo),
        cmocka_unit_test(makes_inert_objects),
        cmocka_unit_test(checks_frames),
        cmocka_unit_test(bounds_memory),
        cmocka_unit_test(reads_several_in_a_row),
        cmocka_unit_test(survives_cuts_and_flips),
        cmocka_unit_test(answers_questions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
