"""Pickles of arrays: every dtype, order and protocol, bit by bit as pickle.load gives them, and objects of old NumPy."""

import collections
import gzip
import os
import pickle

from common import ROOT, Case
import ml_dtypes
import numpy as np

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
DTYPES = ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1", "c8", "c16"]


def flatten(thing, name=""):
    """Names as wmap gives them, and arrays."""
    if isinstance(thing, (np.ndarray, np.generic)):
        if thing.dtype == object:
            for index in np.ndindex(*thing.shape):
                yield from flatten(thing[index], ".".join([name] * bool(name) + [str(i) for i in index]))
        else:
            yield name or "0", thing
    elif isinstance(thing, dict):
        for k, v in thing.items():
            yield from flatten(v, f"{name}.{k}" if name else str(k))
    elif isinstance(thing, (list, tuple)):
        for i, v in enumerate(thing):
            yield from flatten(v, f"{name}.{i}" if name else str(i))


def bits(a):
    a = np.asarray(a)
    return (a.dtype.newbyteorder("<").str, a.shape, np.ascontiguousarray(a, a.dtype.newbyteorder("<")).tobytes())


class Pickles(Case):
    def through(self, path, drop=()):
        """All arrays of a file, moved by wmap into an npz."""
        target = self.path("through.npz")
        rules = "keep rest" if not drop else "drop " + ", ".join(f'"{d}"' for d in drop) + "; keep rest"
        self.wmap_ok("run", "-e", rules, path, "-o", target, "--force")
        with np.load(target) as z:
            return {name: z[name] for name in z.files}

    def same(self, path, thing, drop=()):
        expected = dict(flatten(thing))
        found = self.through(path, drop)
        self.assertEqual(list(found), list(expected))
        for name, array in expected.items():
            self.assertEqual(bits(found[name]), bits(array), f"{path}: {name}")

    def arrays(self):
        random = np.random.default_rng(4)
        out = {}
        for code in DTYPES:
            for order in "<>":
                dtype = np.dtype(order + code)
                raw = random.integers(0, 2 if code == "b1" else 256, 2000 * dtype.itemsize, dtype=np.uint8)
                a = raw.view(dtype)
                key = f"{code}{'le' if order == '<' else 'be'}"
                out[key] = a
                out[f"{key} 2d"] = a[:6].reshape(2, 3)
                out[f"{key} f"] = np.asfortranarray(a[:24].reshape(2, 3, 4))
                out[f"{key} k"] = a[:24].reshape(2, 3, 4).transpose(1, 0, 2)
                out[f"{key} cut"] = a[: 2 * 24 : 2].reshape(4, 6)[:, ::2]
                out[f"{key} 0d"] = a[0].reshape(())
                out[f"{key} none"] = a[:0].reshape(0, 3)
                out[f"{key} scalar"] = a[7]
        return out

    def test_every_dtype_order_and_protocol(self):
        arrays = self.arrays()
        for protocol in PROTOCOLS:
            with self.subTest(protocol):
                path = self.write(f"a{protocol}.pkl", pickle.dumps(arrays, protocol))
                self.same(path, arrays)

    def test_python_pickler(self):
        """The pickler written in Python batches and frames in its own way (3.11's fails for protocol 5)."""
        arrays = self.arrays()
        for protocol in range(5):
            with open(self.path("p.pkl"), "wb") as f:
                pickle._Pickler(f, protocol).dump(arrays)
            self.same(self.path("p.pkl"), arrays)

    def test_all_bytes(self):
        """Each byte, alone and in all pairs: escapes of protocol 0, UTF-8 of protocols 1 and 2."""
        pairs = np.arange(1 << 16, dtype=">u2")
        thing = {"pairs": pairs, "bytes": pairs.view("u1"), "few": np.arange(256, dtype="u1")}
        for text in (b"\\u0041", b"\\\\u0041\\", b"\\", b"'\"\n\r\t\\x41", b"\\U00000041"):
            thing[str(len(thing))] = np.frombuffer(text * 300, "u1")
            thing[str(len(thing))] = np.frombuffer(text, "u1")
        for protocol in PROTOCOLS:
            self.same(self.write("all.pkl", pickle.dumps(thing, protocol)), thing)

    def test_nests(self):
        a, b = np.arange(6.0).reshape(2, 3), np.ones(3, "f4")
        shared = [a, b]
        thing = {
            "params": [a, (b, {"W": a})], "tied": a, 3: b, (1, "x"): b, b"raw": a, None: b, 2.5: a, "ü": b,
            "od": collections.OrderedDict(z=a, y=b), "dd": collections.defaultdict(list, q=[b]),
            "again": shared, "and again": shared, "lr": 0.1, "epoch": 7, "name": "net", "big": 1 << 200, "no": None,
        }  # fmt: skip
        names = {"3": b, "(1, x)": b, "raw": a, "None": b, "2.5": a}
        for protocol in PROTOCOLS:
            path = self.write("nest.pkl", pickle.dumps(thing, protocol))
            found = self.through(path)
            expected = dict(flatten({k: v for k, v in thing.items() if isinstance(k, str)})) | names
            self.assertEqual(sorted(found), sorted(expected))
            for name, array in expected.items():
                self.assertEqual(bits(found[name]), bits(array), name)

    def test_tops(self):
        a, b = np.arange(6.0), np.ones(3, "f4")
        for thing in (a, [a, b], (a, b), [a], {"a": {"b": {"c": a}}}, np.float32(2.5)):
            for protocol in PROTOCOLS:
                self.same(self.write("top.pkl", pickle.dumps(thing, protocol)), thing)

    def test_several_in_a_row(self):
        things = [np.full((i % 5,), i, "f4") for i in range(39)]
        for protocol in PROTOCOLS:
            self.same(self.write("row.pkl", b"".join(pickle.dumps(t, protocol) for t in things)), things)
        mixed = [{"W": things[3]}, things[4], [things[5]]]
        data = b"".join(pickle.dumps(t, p) for p, t in enumerate(mixed))
        self.same(self.write("mixed.pkl", data), mixed)

    def test_subclasses_and_objects(self):
        np.arange(12, dtype="f4").tofile(self.path("raw"))
        memmap = np.memmap(self.path("raw"), "f4", "r", shape=(3, 4))
        objects = np.empty((2, 2), object)
        objects[0, 0], objects[0, 1], objects[1, 0], objects[1, 1] = np.ones(2), {"k": np.zeros(3)}, 5, [np.ones(1)]
        thing = {"matrix": np.matrix([[1.0, 2], [3, 4]]), "memmap": memmap, "objects": objects}
        for protocol in PROTOCOLS:
            self.same(self.write("sub.pkl", pickle.dumps(thing, protocol)), thing)

    def test_ml_dtypes(self):
        """Types that NumPy's codes don't name, read by the name of their class."""
        source = np.arange(-8, 8, dtype="f4")
        thing = {n: source.astype(getattr(ml_dtypes, n)) for n in ("bfloat16", "float8_e4m3fn", "float8_e5m2")}
        for protocol in PROTOCOLS:
            path = self.write("ml.pkl", pickle.dumps(thing, protocol))
            tensors = {t["name"]: t["dtype"] for t in self.inspect(path)["tensors"]}
            self.assertEqual(tensors, {"bfloat16": "bf16", "float8_e4m3fn": "f8_e4m3", "float8_e5m2": "f8_e5m2"})
            target = self.path("ml.npz")
            rules = "; ".join(f'"{n}" | cast f32 -> "{n}"' for n in thing)
            self.wmap_ok("run", "-e", rules, path, "-o", target, "--force")
            with np.load(target) as z:
                for name, array in thing.items():
                    self.assertEqual(bits(z[name]), bits(array.astype("f4")), name)

    def test_what_is_no_tensor_is_listed(self):
        thing = {"text": np.array(["a", "bc"]), "date": np.array(["2020-01-01"], "M8[D]"), "W": np.ones(2),
                 "rows": np.zeros(2, [("a", "f4"), ("b", "i4")]), "long": np.ones(2, np.longdouble)}  # fmt: skip
        for protocol in PROTOCOLS:
            path = self.write("opaque.pkl", pickle.dumps(thing, protocol))
            found = {t["name"]: t["dtype"] for t in self.inspect(path)["tensors"]}
            self.assertEqual(found, {k: "f64" if k == "W" else "opaque" for k in thing})
