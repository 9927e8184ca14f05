"""Operations on values, bit by bit against NumPy in double precision with one rounding at the end."""

import itertools
import json
import math

from common import Case, wmap
import ml_dtypes
import numpy as np
import safetensors.numpy

FLOATS = {"f16": np.float16, "bf16": ml_dtypes.bfloat16, "f32": np.float32, "f64": np.float64,
          "f8_e4m3": ml_dtypes.float8_e4m3fn, "f8_e5m2": ml_dtypes.float8_e5m2}  # fmt: skip


def rounded(x, dtype):
    """To the nearest value of dtype, ties to even, in one step: ml_dtypes takes two, by way of f32."""
    dtype = np.dtype(dtype)
    if dtype in (np.float64, np.float32, np.float16):
        return x.astype(dtype)
    codes = np.arange(2 ** (8 * dtype.itemsize - 1), dtype=f"u{dtype.itemsize}")
    values = codes.view(dtype).astype("f8")
    codes, values = codes[np.isfinite(values)], values[np.isfinite(values)]
    infinite = np.isinf(np.array(np.inf).astype(dtype).astype("f8"))
    size = np.abs(x)
    high = np.clip(np.searchsorted(values, size), 1, len(values) - 1)
    a, b = values[high - 1], values[high]
    upper = (size - a > b - size) | ((size - a == b - size) & (codes[high] % 2 == 0))
    code = np.where(size <= values[0], codes[0], np.where(upper, codes[high], codes[high - 1])).astype(codes.dtype)
    limit = values[-1] + (values[-1] - values[-2]) / 2
    over = (size > limit) | ((size == limit) & (codes[-1] % 2 == 1))  # f8_e4m3: 464 is a tie, which goes to 448
    special = np.array([np.inf if infinite else np.nan, np.nan]).astype(dtype).view(codes.dtype) & (2 ** (8 * dtype.itemsize - 1) - 1)
    code = np.where(np.isnan(x), special[1], np.where(over, special[0], code)).astype(codes.dtype)
    sign = np.signbit(x).astype(codes.dtype) << codes.dtype.type(8 * dtype.itemsize - 1)
    return (code | sign).view(dtype)


def each(function, x):
    """The C library's function, element by element: NumPy's own are other approximations."""

    def one(v):
        try:
            return function(v)
        except ValueError:
            return math.nan
        except OverflowError:
            return math.inf

    return np.array([one(float(v)) for v in x.ravel()]).reshape(x.shape)


def log(v):
    return -math.inf if v == 0 else math.log(v)


def exp(v):
    return math.exp(v)


OPS = [
    ("+ 1", lambda x: x + 1), ("- 0.1", lambda x: x - 0.1), ("* 3", lambda x: x * 3), ("/ 3", lambda x: x / 3),
    ("neg", lambda x: -x), ("exp", lambda x: each(exp, x)), ("log", lambda x: each(log, x)),
    ("sqrt", np.sqrt), ("rsqrt", lambda x: 1 / np.sqrt(x)), ("pow 2", lambda x: x * x), ("pow -1", lambda x: 1 / x),
    ("pow -2", lambda x: 1 / (x * x)), ("pow 0.5", np.sqrt), ("pow -0.5", lambda x: 1 / np.sqrt(x)),
]  # fmt: skip


def load(path):
    """safetensors.numpy does not know the 8-bit floats."""
    names = {"F16": "f2", "F32": "f4", "F64": "f8", "BF16": ml_dtypes.bfloat16, "F8_E4M3": ml_dtypes.float8_e4m3fn,
             "F8_E5M2": ml_dtypes.float8_e5m2, **{f"{k}{b}": f"{k.lower()}{b // 8}" for k in "IU" for b in (8, 16, 32, 64)}}  # fmt: skip
    with open(path, "rb") as f:
        data = f.read()
    size = int.from_bytes(data[:8], "little")
    found = {}
    for name, t in json.loads(data[8 : 8 + size]).items():
        if name != "__metadata__":
            begin, end = (8 + size + o for o in t["data_offsets"])
            found[name] = np.frombuffer(data[begin:end], dtype=names[t["dtype"]]).reshape(t["shape"])
    return found


class Values(Case):
    def convert(self, arrays, rules, suffix="safetensors"):
        safetensors.numpy.save_file(arrays, self.path("a.safetensors"))
        self.wmap_ok("run", "-e", rules, self.path("a.safetensors"), "-o", self.path("o." + suffix), "--force")
        return load(self.path("o.safetensors"))

    def same(self, found, expected, name):
        self.assertEqual((found.dtype, found.shape), (expected.dtype, expected.shape), name)
        a, b = found.astype("f8").ravel(), expected.astype("f8").ravel()
        self.assertTrue(np.array_equal(np.isnan(a), np.isnan(b)), name)
        bits = [x[~np.isnan(a)] for x in (found.ravel(), expected.ravel())]
        self.assertEqual(bits[0].tobytes(), bits[1].tobytes(), name)

    def test_each_operation_on_each_float(self):
        random = np.random.default_rng(1)
        with np.errstate(all="ignore"):
            for name, dtype in FLOATS.items():
                small = np.dtype(dtype).itemsize
                if small <= 2: # all values that there are
                    a = np.arange(2 ** (8 * small), dtype=f"u{small}").view(dtype)
                else:
                    a = np.concatenate([random.normal(0, 10 ** random.integers(-30, 30, 5000).astype(float), 5000).astype(dtype),
                                        np.array([0, -0.0, np.inf, -np.inf, np.nan, np.finfo(dtype).max, np.finfo(dtype).tiny], dtype)])
                arrays = {"a": a}
                rules = [f'"a" | {op} -> "{i}"' for i, (op, _) in enumerate(OPS)]
                rules += [f'"a" | {p[0]} | {q[0]} -> "{p[0]}, {q[0]}"' for p, q in itertools.product(OPS[:4], OPS[4:9])]
                found = self.convert(arrays, "; ".join(rules))
                wide = a.astype("f8")
                for i, (op, function) in enumerate(OPS):
                    self.same(found[str(i)], rounded(function(wide), dtype), f"{name} {op}")
                for p, q in itertools.product(OPS[:4], OPS[4:9]):
                    self.same(found[f"{p[0]}, {q[0]}"], rounded(q[1](p[1](wide)), dtype), f"{name} {p[0]} {q[0]}")

    def test_whole_numbers(self):
        for kind, bits in itertools.product("iu", (8, 16, 32, 64)):
            dtype = np.dtype(f"{kind}{bits // 8}")
            info = np.iinfo(dtype)
            a = np.array([1, 2, 3, 5, info.max // 7], dtype)
            found = self.convert({"a": a}, '"a" | * 7 | - 5 -> "b"; "a" | - 1 | + 3 -> "c"')
            self.assertEqual([int(v) for v in found["b"]], [int(v) * 7 - 5 for v in a])
            self.assertEqual([int(v) for v in found["c"]], [int(v) + 2 for v in a])
            # what lies between may leave the range, the result may not
            edge = np.array([info.max, info.min], dtype)
            found = self.convert({"a": edge}, '"a" | * 1000 | - 1 | + 1 | * 0 -> "b"; "a" | + 1 | - 1 -> "c"')
            self.assertEqual(found["c"].tobytes(), edge.tobytes())
            safetensors.numpy.save_file({"a": edge}, self.path("a.safetensors"))
            done = wmap("run", "-e", '"a" | + 1 -> "b"', self.path("a.safetensors"), "-o", self.path("no.safetensors"))
            self.assertEqual(done.returncode, 3)
            self.assertIn("R0605: 1 element leaves", done.stderr)
            self.assertIn("[0]", done.stderr)

    def test_arithmetic(self):
        random = np.random.default_rng(2)
        f = lambda *s: random.uniform(0.5, 2, s).astype("f4")  # noqa: E731
        arrays = {"W": f(6, 5, 3, 2), "gamma": f(6), "var": f(6), "mean": f(6), "b": f(6), "beta": f(6), "two": f(14),
                  **{f"l.{i}.w": f(300, 7) for i in range(3)}, **{f"l.{i}.s": f(7) for i in range(3)}}  # fmt: skip
        w = {k: v.astype("f8") for k, v in arrays.items()}
        found = self.convert(arrays, '''
            "W" [o i kh kw] * "gamma" [o] * ("var" [o] | + 0.001 | rsqrt) -> "W" [o i -kh kw]
            "beta" + ("b" - "mean") * "gamma" * ("var" | + 0.001 | rsqrt) -> "b"
            "two" [(k | _:k)] + "two" [(_:k | k)] -> "one" [k]
            "l.{l}.w" [x y] / "l.{l}.s" [y] -> "w" [y l x]
            "l.{l}.w" [x y] - "l.{l}.s" [y] -> "l.{l}.w" [y x]
        ''')
        r = 1 / np.sqrt(w["var"] + 0.001)
        expected = {
            "W": (w["W"] * w["gamma"][:, None, None, None] * r[:, None, None, None])[:, :, ::-1],
            "b": w["beta"] + (w["b"] - w["mean"]) * w["gamma"] * r,
            "one": w["two"][:7] + w["two"][7:],
            "w": np.stack([w[f"l.{i}.w"] / w[f"l.{i}.s"] for i in range(3)]).transpose(2, 0, 1),
            **{f"l.{i}.w": (w[f"l.{i}.w"] - w[f"l.{i}.s"]).T for i in range(3)},
        }
        self.assertEqual(sorted(found), sorted(expected))
        for name, array in expected.items():
            self.same(found[name], array.astype("f4"), name)

    def test_blocks_casts_and_bits(self):
        random = np.random.default_rng(3)
        a = random.normal(0, 1, (12, 300)).astype("f4")
        found = self.convert({"a": a}, '''
            "a" [({i f c o} u) n] | f: + 1 | c: neg -> "gates" [({o c f i} u) n]
            "a" | * 2 | bitcast i32 -> "bits"
            "a" | * 1000 | cast i16 saturate | + 1 -> "cast"
            "a" [x y] | / (sqrt(y)) -> "scaled" [y -x]
            "a" | cast f16 | cast f64 | * 3 -> "rounded"
        ''')
        i, f, c, o = a.reshape(4, 3, 300)
        self.same(found["gates"], np.concatenate([o, -c, (f.astype("f8") + 1).astype("f4"), i]), "gates")
        self.same(found["bits"], (a * np.float32(2)).view("i4"), "bits")
        self.same(found["cast"], (np.rint((a.astype("f8") * 1000).astype("f4")) + 1).astype("i2"), "cast")
        self.same(found["scaled"], (a.astype("f8") / np.sqrt(300.0)).astype("f4")[::-1].T, "scaled")
        self.same(found["rounded"], a.astype("f2").astype("f8") * 3, "rounded")

    def test_threads_change_nothing(self):
        a = np.random.default_rng(4).normal(0, 1, (3000, 700)).astype("f4")
        safetensors.numpy.save_file({"a": a, "b": a[0]}, self.path("a.safetensors"))
        rules = '"a" [x y] * "b" [y] | + 1 | rsqrt -> "c" [y x]'
        for jobs in (1, 5):
            self.wmap_ok("run", "-e", rules, self.path("a.safetensors"), "-o", self.path(f"{jobs}.safetensors"), "-j", jobs)
        with open(self.path("1.safetensors"), "rb") as x, open(self.path("5.safetensors"), "rb") as y:
            self.assertEqual(x.read(), y.read())
        with np.errstate(all="ignore"):
            expected = (1 / np.sqrt(a.astype("f8") * a[0].astype("f8") + 1)).astype("f4").T
        self.same(load(self.path("5.safetensors"))["c"], expected, "c")

    def lost(self, x, to):
        """Elements that overflow, underflow, are NaN in a cast to a float dtype, as the rounded values show."""
        wide = x.astype("f8")
        y = rounded(wide, to).astype("f8")
        finite = np.isfinite(wide)
        return [int(np.sum(finite & ~np.isfinite(y))), int(np.sum((wide != 0) & (y == 0))), int(np.sum(np.isnan(wide)))]

    def test_what_casts_lose_is_counted(self):
        """Over every value of the small dtypes, and around every limit of the large ones; on any number of threads."""
        random = np.random.default_rng(8)
        around = []
        for limit in (65504, 65520, 448, 464, 480, 57344, 61440, 2.0**-24, 2.0**-25, 2.0**-9, 2.0**-10, 2.0**-16, 2.0**-17, 2.0**-133,
                      2.0**-134, 2.0**-149, 2.0**-150, 3.3895e38, float.fromhex("0x1.ffp127"), float.fromhex("0x1.ffffffp127"), 1e300, 1e-300):
            around += [limit, np.nextafter(limit, 0), np.nextafter(limit, np.inf), -limit]
        around = np.array([*around, 0, -0.0, np.inf, -np.inf, np.nan, 1])
        with np.errstate(all="ignore"):
            for (a, source), (b, to) in itertools.permutations(FLOATS.items(), 2):
                small = np.dtype(source).itemsize
                if small <= 2:
                    x = np.arange(2 ** (8 * small), dtype=f"u{small}").view(source)
                else:
                    x = np.concatenate([around, random.normal(size=3000) * 10.0 ** random.integers(-45, 40, 3000)]).astype(source)
                x = np.concatenate([x, x])  # a line that is strided, too
                safetensors.numpy.save_file({"a": x.reshape(2, -1)}, self.path("a.safetensors"))
                lost = self.lost(x, to)
                said = ""  # nothing where the dtype holds all that the first one does
                if lost[0] or lost[1]:
                    said = f"wmap: of {x.size} elements that were cast {lost[0]} overflowed, {lost[1]} underflowed to 0, {lost[2]} are NaN\n"
                for policy, layouts in itertools.product(("allow", "saturate"), ("", "[i o] [o i]")):
                    left, right = ("[i o]", "[o i]") if layouts else ("", "")
                    done = wmap("run", "-j3", "-e", f'"a" {left} | cast {b} {policy} -> "b" {right}', self.path("a.safetensors"), "-o",
                                self.path("o.safetensors"), "-f")  # fmt: skip
                    self.assertEqual((done.returncode, done.stderr), (0, said), (a, b, policy))

    def test_what_other_casts_lose(self):
        x = np.array([0, -3, 300, 70000, 2**40, -(2**63), 127, 128, -129], "i8")
        y = np.array([np.nan, np.inf, -1, 254.5, 255.5, 0.4, 1e30, 3], "f4")
        z = np.array([2**64 - 1, 65519, 65520, 1], "u8")
        np.savez(self.path("a.npz"), x=x, y=y, z=z, c=np.array([1 + 1e39j, 1e39 - 1e39j, 1]))
        for rule, count, lost in [('"x" | cast i8 saturate', 9, (6, 0, 0)), ('"y" | cast u8 allow', 8, (4, 0, 1)),
                                  ('"z" | cast f16 allow', 4, (2, 0, 0)), ('"x" | cast bool allow', 9, (8, 0, 0)),
                                  ('"c" | cast c64 allow', 3, (3, 0, 0)), ('"y" | * 1e30 | cast f16 allow', 8, (5, 0, 1))]:  # fmt: skip
            drops = "; ".join(f'drop "{n}"' for n in "xyzc" if n != rule[1])
            done = wmap("run", "-e", f'{rule} -> "o"; {drops}', self.path("a.npz"), "-o", self.path("o.npz"), "-f")
            want = f"wmap: of {count} elements that were cast {lost[0]} overflowed, {lost[1]} underflowed to 0, {lost[2]} are NaN\n"
            self.assertEqual((done.returncode, done.stderr), (0, want), rule)
        done = wmap("run", "-e", '"z" | cast f16 allow -> "o"; keep rest', "-q", self.path("a.npz"), "-o", self.path("o.npz"), "-f")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
