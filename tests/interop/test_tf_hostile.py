"""Damaged and lying checkpoints of TensorFlow: refused with status 3 in one line that names the file, without an output,
without time or memory spent on a lie; and what looks odd but must be read."""

import os
import resource
import struct
import subprocess

import numpy as np
import tensorbundle as tb
from common import LIBRARY, Case, settings, wmap

W = np.arange(6, dtype=np.float32).reshape(2, 3)
ROWS = [[(0, 1), (0, 3)], [(1, 1), (0, 3)]]


class Hostile(Case):
    def run_limited(self, source, rules="keep rest"):
        def limit():
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

        target = self.path("target.npz")
        done = subprocess.run([settings["wmap"], "run", "-e", rules, source, "-o", target, "--force"], text=True,
                              capture_output=True, timeout=20, preexec_fn=limit,
                              env=dict(os.environ, WMAP_SPECS=LIBRARY))  # fmt: skip
        return done, target

    def refused(self, source, word="", status=3, rules="keep rest"):
        before = sorted(os.listdir(self.folder))
        done, _ = self.run_limited(source, rules)
        self.assertEqual(done.returncode, status, f"{word}: {done.stdout}{done.stderr}")
        self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)
        self.assertIn(word, done.stderr)
        self.assertIn(os.path.basename(source.rstrip("/")).split(".")[0], done.stderr)
        self.assertEqual(sorted(os.listdir(self.folder)), before)

    def accepted(self, source, wanted):
        done, target = self.run_limited(source)
        self.assertEqual(done.returncode, 0, done.stderr)
        with np.load(target) as z:
            self.assertEqual(set(z.files), set(wanted))
            for name, array in wanted.items():
                self.assertEqual(z[name].tobytes(), array.tobytes())
        os.remove(target)
        return done.stderr

    def bundle(self, shards=1, big=False):
        b = tb.Bundle(shards, big)
        b.add("w", W)
        return b

    def patched(self, name, at, value, b=None, **options):
        """A sound bundle whose index has other bytes at one place (from the end if negative)."""
        prefix = (b or self.bundle()).write(self.path(name), **options)
        with open(prefix + ".index", "r+b") as f:
            f.seek(at, os.SEEK_END if at < 0 else os.SEEK_SET)
            f.write(value)
        return prefix + ".index"

    def with_entry(self, name, key, value, **options):
        b = self.bundle()
        b.entries[key] = value
        return b.write(self.path(name), **options) + ".index"

    def with_block(self, name, contents):
        """A bundle whose one data block has these contents."""
        prefix = self.bundle().write(self.path(name))
        out = bytearray(tb.stored(contents))
        index = tb.block([(b"\xff", tb.varint(0) + tb.varint(len(contents)))], 1)
        handles = tb.varint(0) + tb.varint(0) + tb.varint(len(out)) + tb.varint(len(index))
        out += tb.stored(index)
        with open(prefix + ".index", "wb") as f:
            f.write(bytes(out) + handles.ljust(40, b"\0") + tb.MAGIC)
        return prefix + ".index"

    def test_a_sound_one(self):
        self.accepted(self.bundle().write(self.path("sound")), {"w": W})
        entries = [(b"", tb.header_proto()), (b"w", self.bundle().entries[b"w"])]
        self.accepted(self.with_block("block", tb.block(entries)), {"w": W})

    def test_t01_footer(self):
        self.refused(self.patched("magic", -8, b"\0"), status=2)
        path = self.patched("short", 0, b"")
        with open(path, "rb") as f:
            data = f.read()
        self.write("short.index", data[-47:])
        self.refused(path, status=2)
        for size in range(0, len(data) - 48, 7):  # cut off in front: handles point elsewhere
            self.write("short.index", data[size + 1 :])
            self.refused(path)
        for i, handle in enumerate((tb.varint(1 << 40) + tb.varint(8), tb.varint(0) + tb.varint((1 << 64) - 1),
                                    tb.varint((1 << 64) - 1) + tb.varint((1 << 64) - 1), b"\xff" * 20)):  # fmt: skip
            both = (tb.varint(0) + tb.varint(0) + handle).ljust(40, b"\0")
            self.refused(self.patched(f"handle{i}", -48, both[:40]))

    def test_t02_block_crc(self):
        path = self.patched("flip", 0, b"")
        with open(path, "rb") as f:
            data = f.read()
        for at in range(len(data) - 48):
            changed = bytearray(data)
            changed[at] ^= 0x20
            self.write("flip.index", bytes(changed))
            self.refused(path)

    def test_t03_snappy(self):
        for i, stored in enumerate((tb.varint(1 << 32) + b"\0" * 50, tb.varint(0xFFFFFFFF) + b"\xff" * 50, b"\xff" * 30,
                                    tb.varint(100) + b"\x01\x00" * 20, tb.varint(8) + b"\xf0" + b"a" * 4, b"")):  # fmt: skip
            prefix = self.bundle().write(self.path(f"s{i}"))
            out = bytearray(stored + b"\1" + struct.pack("<I", tb.masked(tb.crc32c(stored + b"\1"))))
            index = tb.block([(b"\xff", tb.varint(0) + tb.varint(len(stored)))], 1)
            handles = tb.varint(0) + tb.varint(0) + tb.varint(len(out)) + tb.varint(len(index))
            out += tb.stored(index)
            self.write(f"s{i}.index", bytes(out) + handles.ljust(40, b"\0") + tb.MAGIC)
            self.refused(prefix, "compressed")

    def test_t04_block_structure(self):
        one = (b"", tb.header_proto())
        entry = self.bundle().entries[b"w"]
        good = tb.block([one, (b"w", entry)])
        restarts = struct.pack("<II", 0, 1)
        self.assertTrue(good.endswith(restarts))
        body = good[:-8]
        head = tb.varint(0) + tb.varint(0) + tb.varint(len(one[1])) + one[1]
        rows = {
            "too many": body + struct.pack("<II", 0, 1 << 30),
            "none": body + struct.pack("<I", 0),
            "outside": body + struct.pack("<II", len(body), 1),
            "not at an entry": body + struct.pack("<III", 0, 1, 2),
            "descending": body + struct.pack("<III", 3, 0, 2),
            "no room": b"\0\0",
            "shares too much": head + tb.varint(3) + tb.varint(1) + tb.varint(len(entry)) + b"w" + entry + restarts,
            "value too long": head + tb.varint(0) + tb.varint(1) + tb.varint(len(entry) + 9) + b"w" + entry + restarts,
            "wraps": head + tb.varint((1 << 32) - 1) + tb.varint(2) + tb.varint(0) + b"ww" + restarts,
            "wraps in 64 bits": head + tb.varint(1 << 63) + tb.varint((1 << 63) + 1) + tb.varint(0) + b"w" + restarts,
            "11 bytes": head + b"\x80" * 10 + b"\1" + restarts,
            "twice": tb.block([one, (b"w", entry), (b"w", entry)]),
            "unsorted": tb.block([one, (b"x", entry), (b"w", entry)]),
        }
        for i, (what, contents) in enumerate(rows.items()):
            with self.subTest(what):
                self.refused(self.with_block(f"b{i}", contents))
        b = self.bundle()
        b.add("a", W)
        b.add("z", W)
        prefix = b.write(self.path("blocks"), per_block=1)  # keys that the index tells otherwise
        entries = sorted(b.entries.items())
        out, index = bytearray(), []
        for key, value in (entries[0], entries[2], entries[1], entries[3]):
            data = tb.stored(tb.block([(key, value)]))
            index.append(tb.varint(len(out)) + tb.varint(len(data) - 5))
            out += data
        names = sorted(k for k, _ in entries)
        table = tb.block(list(zip(names, index)), 1)
        handles = tb.varint(0) + tb.varint(0) + tb.varint(len(out)) + tb.varint(len(table))
        out += tb.stored(table)
        self.write("blocks.index", bytes(out) + handles.ljust(40, b"\0") + tb.MAGIC)
        self.refused(prefix, "ascend")

    def test_t05_header(self):
        rows = {
            "no data files": tb.header_proto(0),
            "negative": tb.number(1, -1),
            "2^31": tb.number(1, 1 << 31),
            "neither order": tb.number(1, 1) + tb.number(2, 2),
            "newer": tb.header_proto(version=tb.number(1, 2) + tb.number(2, 2)),
            "not for 1": tb.header_proto(version=tb.number(1, 2) + tb.message(3, tb.varint(7) + tb.varint(1))),
            "not for 1, unpacked": tb.header_proto(version=tb.number(1, 2) + tb.number(3, 1)),
            "older than all": tb.header_proto(version=tb.number(1, -1)),
            "empty": b"",
        }
        for i, (what, header) in enumerate(rows.items()):
            with self.subTest(what):
                self.refused(self.with_entry(f"h{i}", b"", header))
        self.refused(self.with_entry("many", b"", tb.header_proto((1 << 31) - 1)), "many.data-00000-of-2147483647", 2)
        b = self.bundle()
        del b.entries[b""]
        self.refused(b.write(self.path("headless")))
        self.accepted(self.with_entry("plain", b"", tb.number(1, 1)), {"w": W})
        b = tb.Bundle(big=True)
        b.add("w", W)
        self.accepted(b.write(self.path("big")), {"w": W})

    def test_t06_entries(self):
        crc = tb.masked(tb.crc32c(W.tobytes()))

        def entry(kind=1, shape=(2, 3), shard=0, offset=0, size=24):
            return tb.entry_proto(kind, shape, shard, offset, size, crc)

        rows = {
            "shard": entry(shard=1), "negative shard": entry(shard=-1), "beyond": entry(offset=1),
            "far beyond": entry(offset=(1 << 63) - 1), "negative offset": entry(offset=-8), "short": entry(size=20),
            "long": entry(size=28), "dim -1": entry(shape=(-1, 3)), "product": entry(shape=(1 << 32, 1 << 32)),
            "product of 0": entry(shape=(0, 1 << 40, 1 << 40), size=0), "huge": entry(shape=(1 << 61,), size=1 << 63),
            "no type": entry(kind=0), "reference": entry(kind=101), "resource": entry(kind=20), "unknown": entry(kind=77),
            "rank 65": entry(shape=(1,) * 65), "unknown rank": entry() + tb.message(2, tb.number(3, 1)),
        }  # fmt: skip
        for i, (what, value) in enumerate(rows.items()):
            with self.subTest(what):
                self.refused(self.with_entry(f"e{i}", b"x", value), "`x`")
        variant = self.with_entry("variant", b"x", tb.entry_proto(21, (), 0, 0, 10, 1))
        self.assertEqual(self.run_limited(variant)[0].returncode, 1)  # E0610: no format holds it
        self.accepted_with(variant, 'drop "x"\nkeep rest')

    def accepted_with(self, source, rules):
        done, target = self.run_limited(source, rules)
        self.assertEqual(done.returncode, 0, done.stderr)
        os.remove(target)
        return done.stderr

    def test_t07_data(self):
        b = tb.Bundle(2)
        b.add("w", W)
        b.add("x", W + 1, 1)
        prefix = b.write(self.path("d"))
        files = [f"{prefix}.data-0000{i}-of-00002" for i in range(2)]
        raw = [open(f, "rb").read() for f in files]
        for at in range(len(raw[1])):
            changed = bytearray(raw[1])
            changed[at] ^= 1
            self.write("d.data-00001-of-00002", bytes(changed))
            self.refused(prefix, "data-00001-of-00002")
        self.write("d.data-00001-of-00002", raw[1][:-1])
        self.refused(prefix, "data-00001-of-00002")
        self.write("d.data-00001-of-00002", raw[0])  # swapped
        self.refused(prefix, "data-00001-of-00002")
        self.assertEqual(len(self.inspect(prefix)["tensors"]), 2)
        os.remove(files[1])
        self.refused(prefix, "data-00001-of-00002", status=2)
        self.write("d.data-00001-of-00002", raw[1] + b"more")  # bytes of nobody
        self.accepted(prefix, {"w": W, "x": W + 1})

    def test_t07_data_of_slices_and_of_big_endian_files(self):
        for big in (False, True):
            b = tb.Bundle(1, big)
            b.add_slices("w", W, ROWS)
            prefix = b.write(self.path(f"c{big}"))
            self.accepted(prefix, {"w": W})
            path = prefix + ".data-00000-of-00001"
            raw = bytearray(open(path, "rb").read())
            for at in (0, 11, 12, 23):
                changed = bytearray(raw)
                changed[at] ^= 1
                self.write(os.path.basename(path), bytes(changed))
                self.refused(prefix, "CRC")

    def test_t08_text(self):
        for i, raw in enumerate((b"", b"\xff" * 11, tb.varint(1 << 62) + b"abcd", b"\x05abc")):
            b = self.bundle()
            b.store(b"_CHECKPOINTABLE_OBJECT_GRAPH", 7, (), raw)
            done = self.accepted(b.write(self.path(f"t{i}")), {"w": W})
            self.assertIn("object graph", done)

    def test_t09_slices(self):
        def cut(boxes, shape=(2, 3), kind=1, stored=None):
            b = self.bundle()
            for box in boxes:
                part = [n if n >= 0 else 0 for _, n in box]
                size = 4 * int(np.prod(part)) if max(part) < 100 else 0
                raw = bytes(size)
                b.store(tb.slice_key("x", box), kind, stored or part, raw)
            b.entries[b"x"] = tb.entry_proto(1, shape, slices=boxes)
            return b

        whole, left, right = [(0, 2), (0, 3)], [(0, 2), (0, 2)], [(0, 2), (2, 1)]
        rows = {
            "overlap": cut([left, [(0, 2), (1, 2)]]), "contained": cut([whole, left]), "hole": cut([left]),
            "hole in a corner": cut([[(0, 1), (0, 3)], [(1, 1), (0, 2)]]), "twice": cut([left, left, right]),
            "outside": cut([left, [(0, 2), (2, 2)]]), "far outside": cut([left, [(0, 2), ((1 << 62), 1)]]),
            "negative": cut([left, [(0, 2), (-1, 1)]]), "wraps": cut([left, [(0, 2), (2, (1 << 63) - 1)]]),
            "rank": cut([[(0, 2)]], stored=(2,)), "empty": cut([whole, [(0, 0), (0, 3)]]),
            "another type": cut([left, right], kind=3), "another shape": cut([left, right], stored=(4, 1)),
        }  # fmt: skip
        for i, (what, b) in enumerate(rows.items()):
            with self.subTest(what):
                self.refused(b.write(self.path(f"c{i}")), "`x`")
        b = cut([left, right])
        del b.entries[tb.slice_key("x", right)]
        self.refused(b.write(self.path("missing")), "missing")
        b = cut([left, right])
        b.entries[tb.slice_key("orphan", left)] = b.entries[tb.slice_key("x", left)]
        self.assertIn("belong", self.accepted(b.write(self.path("orphan")), {"w": W, "x": W * 0}))

    def test_t10_messages(self):
        entry = self.bundle().entries[b"w"]
        rows = {
            "11 bytes": entry + tb.varint(9 << 3) + b"\x80" * 10 + b"\1",
            "too long": entry + tb.varint(9 << 3 | 2) + tb.varint(5) + b"abc",
            "wraps": entry + tb.varint(9 << 3 | 2) + tb.varint((1 << 64) - 1),
            "a group": entry + tb.varint(9 << 3 | 3) + tb.varint(9 << 3 | 4),
            "kind 7": entry + tb.varint(9 << 3 | 7),
            "field 0": entry + b"\0\0",
            "cut off": entry[:-1],
        }
        for i, (what, value) in enumerate(rows.items()):
            with self.subTest(what):
                self.refused(self.with_entry(f"m{i}", b"x", value), "`x`")
        deep = b""
        for _ in range(1000):
            deep = tb.message(9, deep)
        for i, more in enumerate((tb.number(5, 24), tb.message(100, b"unknown"), tb.number(9, (1 << 64) - 1), deep)):
            self.accepted(self.with_entry(f"a{i}", b"w", tb.number(5, 99) + entry + more), {"w": W})

    def v1(self, name, change):
        f = tb.V1()
        f.add("w", W)
        change(f)
        return f.write(self.path(name))

    def test_t11_version_1(self):
        key = tb.slice_key("w", [(0, -1)] * 2)

        def record(tensor, name=b"w", box=((0, -1), (0, -1))):
            return tb.message(2, tb.message(1, name) + tb.message(2, tb.slice_proto(box)) + tb.message(3, tensor))

        def values(tensor, **more):
            return lambda f: f.records.__setitem__(key, record(tensor, **more))

        def listed(kind=1, shape=(2, 3), slices=tb.message(4, tb.slice_proto([(0, -1)] * 2)), name=b"w"):
            return lambda f: f.listed.__setitem__(
                0, tb.message(1, tb.message(1, name) + tb.message(2, tb.shape_proto(shape)) + tb.number(3, kind) + slices)
            )

        raw = W.tobytes()
        rows = {
            "no type": listed(0), "reference": listed(103), "negative": listed(shape=(-2, 3)), "no slices": listed(slices=b""),
            "other values": listed(2), "bf16": listed(14), "larger": listed(shape=(2, 4)), "smaller": listed(shape=(1, 3)),
            "no name": listed(name=b""), "not there": listed(slices=tb.message(4, tb.slice_proto([(0, 2), (0, 3)]))),
            "twice": lambda f: f.listed.append(f.listed[0]),
            "fewer": values(tb.message(5, raw[:-4])), "more": values(tb.message(5, raw + raw[:4])),
            "part of one": values(tb.message(5, raw[:-1])), "none": values(b""), "elsewhere": values(tb.message(6, raw)),
            "another name": values(tb.message(5, raw), name=b"v"), "another box": values(tb.message(5, raw), box=((0, 2), (0, 2))),
            "no values": lambda f: f.records.clear(),
        }  # fmt: skip
        for i, (what, change) in enumerate(rows.items()):
            with self.subTest(what):
                self.refused(self.v1(f"v{i}", change))
        self.accepted(self.v1("pieces", values(tb.message(5, raw[:4]) + tb.message(5, raw[4:]))), {"w": W})
        self.accepted(self.v1("extra", values(tb.number(77, 1) + tb.message(5, raw))), {"w": W})
        f = tb.V1()
        f.add("n", np.array([1, 2], np.int8))
        small = tb.slice_key("n", [(0, -1)])
        for i, bad in enumerate((128, -129, 1 << 40, -(1 << 63))):
            f.records[small] = record(tb.message(7, tb.varint(1) + tb.varint(bad)), b"n", ((0, -1),))
            self.refused(f.write(self.path(f"n{i}")), "`n`")

    def test_t11_shards_that_disagree(self):
        for i, other in enumerate((np.zeros((2, 4), np.float32), np.zeros((2, 3), np.float64))):
            for k, array in enumerate((W, other)):
                f = tb.V1()
                f.add("w", array, [[(k, 1), (0, array.shape[1])]])
                f.write(self.path(f"s{i}-0000{k}-of-00002"))
            self.refused(self.path(f"s{i}"), "two shapes or types")

    def test_v1_damage(self):
        f = tb.V1()
        f.add("w", W)
        f.add("n", np.arange(3, dtype=np.int32))
        path = f.write(self.path("flip"))
        data = open(path, "rb").read()
        for at in range(len(data) - 48):
            changed = bytearray(data)
            changed[at] ^= 0x11
            self.write("flip", bytes(changed))
            self.refused(path)

    def test_t12_checkpoint_file(self):
        other = tb.Bundle()
        other.add("secret", W)
        other.write(self.path("outside/b"))
        rows = [
            'model_checkpoint_path: "../outside/b"\n', f'model_checkpoint_path: "{self.path("outside/b")}"\n',
            'model_checkpoint_path: "gone"\n', 'model_checkpoint_path: "sub/../../outside/b"\n',
        ]  # fmt: skip
        for i, text in enumerate(rows):
            self.bundle().write(self.path(f"r{i}/a"))
            self.write(f"r{i}/checkpoint", text)
            self.assertIn("warning", self.accepted(self.path(f"r{i}"), {"w": W}))
            self.bundle().write(self.path(f"r{i}/c"))
            done, _ = self.run_limited(self.path(f"r{i}"))
            self.assertEqual(done.returncode, 3)
            self.assertIn("a.index, c.index", done.stderr)
        self.write("r0/checkpoint", 'model_checkpoint_path: "a')
        self.assertEqual(self.run_limited(self.path("r0"))[0].returncode, 3)
        self.write("r0/checkpoint", "model_checkpoint_path: 'c'\n# a comment\n")
        self.assertEqual(self.accepted(self.path("r0"), {"w": W}), "")
        self.write("r0/checkpoint", f'model_checkpoint_path: "{self.path("elsewhere/c")}"\n')  # it was moved
        self.assertEqual(self.accepted(self.path("r0"), {"w": W}), "")

    def test_a_folder_of_nothing(self):
        os.mkdir(self.path("empty"))
        self.refused(self.path("empty"), "folder", status=2)
        self.write("empty/x.index", b"not a table")
        self.refused(self.path("empty"), "folder", status=2)
        prefix = self.bundle().write(self.path("lone"))
        os.remove(prefix + ".index")
        self.refused(prefix + ".data-00000-of-00001", "lone.index", status=2)
        self.write("lfs.index", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n")
        self.refused(self.path("lfs.index"), "Git LFS", status=2)
        self.refused(self.path("lfs"), "Git LFS", status=2)
        done = wmap("inspect", self.bundle().write(self.path("renamed")) + ".index")
        self.assertEqual(done.returncode, 0)
        os.rename(self.path("renamed.index"), self.path("renamed.bin"))
        self.refused(self.path("renamed.bin"), ".index")

    def test_t13_object_graph(self):
        def attribute(key, full):
            return tb.message(2, tb.message(2, full) + tb.message(3, key))

        def graph(*nodes):
            return b"".join(tb.message(1, n) for n in nodes)

        child = tb.message(1, tb.number(1, 0) + tb.message(2, b"self")) + tb.message(1, tb.number(1, 1 << 31))
        rows = {
            graph(child, attribute(b"w", b"full"), attribute(b"absent", b"other")): "full",
            graph(attribute(b"w", b"\xff\xfe")): "\ufffd\ufffd",
            graph(attribute(b"w", b"a\0b"), attribute(b"w", b"")): None,
            b"\xff" * 40: None,
            graph(attribute(b"w", b"full"))[:-1]: None,
        }
        for i, (raw, alias) in enumerate(rows.items()):
            b = self.bundle()
            b.add_text("_CHECKPOINTABLE_OBJECT_GRAPH", [raw])
            prefix = b.write(self.path(f"g{i}"))
            self.accepted(prefix, {"w": W})
            tensors = self.inspect(prefix)["tensors"]
            self.assertEqual([t["name"] for t in tensors], ["w"])
            if alias and "\ufffd" not in alias:
                self.assertEqual(tensors[0].get("alias"), alias)
            if alias is None:
                self.assertNotIn("alias", tensors[0])
