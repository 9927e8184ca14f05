"""inspect --stats and --extract, and diff, against NumPy over the same values."""

import hashlib
import json
import os

from common import Case, wmap
import numpy as np
import safetensors
import safetensors.numpy

import ml_dtypes


def values(dtype, seed):
    random = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "b":
        return random.integers(0, 2, (3, 5)).astype(bool)
    if np.dtype(dtype).kind in "iu":
        info = np.iinfo(dtype)
        return random.integers(info.min, info.max, (7, 300), dtype=dtype, endpoint=True)
    if np.dtype(dtype).kind == "c":
        return (random.normal(0, 1, (5, 7)) + 1j * random.normal(0, 1, (5, 7))).astype(dtype)
    return random.normal(3, 2, (70, 31, 63)).astype(dtype)


class Stats(Case):
    def check(self, array, stats):
        exact = not np.iscomplexobj(array)
        flat = array.astype(np.float64) if exact else np.hypot(array.real.astype("f8"), array.imag.astype("f8"))
        finite = flat[np.isfinite(flat)]
        self.assertEqual(stats["count"], array.size)
        self.assertEqual(stats["nan"], int(np.isnan(flat).sum()))
        self.assertEqual(stats["inf"], int(np.isinf(flat).sum()))
        self.assertEqual(stats["zero"], int((flat == 0).sum()))
        if finite.size == 0:
            self.assertEqual([stats[k] for k in ("min", "max", "mean", "std")], [None] * 4)
            return
        np.testing.assert_allclose([stats["min"], stats["max"]], [finite.min(), finite.max()], rtol=0 if exact else 1e-15)
        np.testing.assert_allclose(stats["mean"], finite.mean(), rtol=1e-12)
        np.testing.assert_allclose(stats["std"], finite.astype(np.longdouble).std().astype("f8"), rtol=1e-9)

    def test_npz(self):
        arrays = {d: values(d, 1) for d in ("?", "i1", "u2", "i4", "u8", "i8", "f2", "f4", "f8", "c8", "c16")}
        arrays["fortran"] = np.asfortranarray(values("f4", 2)[0])
        arrays["big"] = values("f4", 3)[:2].astype(">f4")
        arrays["empty"] = np.zeros((0, 3), "f4")
        arrays["scalar"] = np.array(-2.5)
        broken = values("f4", 4)
        broken[0, 0, :3] = [np.nan, np.inf, -np.inf]
        broken[1, 1, 1] = -0.0
        arrays["broken"] = broken
        arrays["nothing finite"] = np.array([np.nan, np.inf])
        arrays["far from 0"] = 1e9 + values("f8", 5)
        np.savez(self.path("a.npz"), **arrays)
        found = json.loads(self.wmap_ok("inspect", self.path("a.npz"), "--stats", "--format", "json"))["tensors"]
        self.assertEqual(len(found), len(arrays))
        for tensor in found:
            with self.subTest(tensor["name"]):
                self.check(arrays[tensor["name"]], tensor["stats"])
        self.assertIn("1 NaN 2 Inf", self.wmap_ok("inspect", self.path("a.npz"), "--stats", "broke?"))

    def test_small_floats(self):
        arrays = {n: values("f4", 6).astype(getattr(ml_dtypes, n))
                  for n in ("bfloat16", "float8_e4m3fn", "float8_e5m2")}  # fmt: skip
        safetensors.numpy.save_file(arrays, self.path("a.safetensors"))
        found = json.loads(self.wmap_ok("inspect", self.path("a.safetensors"), "--stats", "--format", "json"))
        for tensor in found["tensors"]:
            with self.subTest(tensor["name"]):
                self.check(arrays[tensor["name"]], tensor["stats"])


class Extract(Case):
    def test_extract(self):
        a = {"x.w": np.asfortranarray(values("f4", 1)[0]), "x.b": values("i8", 2), "y": np.array(3.0)}
        np.savez(self.path("a.npz"), **a)
        self.wmap_ok("inspect", self.path("a.npz"), "--extract", "x.w", "-o", self.path("w.npy"))
        got = np.load(self.path("w.npy"))
        self.assertEqual((got.dtype, got.shape, got.tobytes()), (a["x.w"].dtype, a["x.w"].shape, a["x.w"].tobytes()))
        self.wmap_ok("inspect", self.path("a.npz"), "-x", "x.*", "-o", self.path("x.npz"))
        self.assertEqual(sorted(np.load(self.path("x.npz")).files), ["x.b", "x.w"])
        for args in (["-x", "z", "-o", "z.npy"], ["-x", "x.w"], ["-x", "x.w", "-o", self.path("w.npy")]):
            done = wmap("inspect", self.path("a.npz"), *args, cwd=self.folder)
            self.assertEqual(done.returncode, 2, args)
        self.assertFalse(os.path.exists(self.path("z.npy")))


def ulp_distance(a, b):
    """In representable values, zeros of both signs being one."""
    width = a.dtype.itemsize * 8
    bits = {16: np.uint16, 32: np.uint32, 64: np.uint64, 8: np.uint8}[width]
    place = []
    for x in (a, b):
        n = int(x.view(bits))
        sign = 1 << (width - 1)
        place.append(-(n & (sign - 1)) if n & sign else n)
    return abs(place[0] - place[1])


class Diff(Case):
    def diff(self, *args, status=1):
        done = wmap("diff", self.path("a.npz"), self.path("b.npz"), "--format", "json", *args)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return json.loads(done.stdout)["differences"]

    def save(self, a, b):
        np.savez(self.path("a.npz"), **a)
        np.savez(self.path("b.npz"), **b)

    def test_same(self):
        a = {d: values(d, 1) for d in ("?", "i1", "u8", "f2", "f4", "f8", "c8", "c16")}
        self.save(a, {k: np.asfortranarray(v) for k, v in reversed(a.items())})
        self.assertEqual(self.diff(status=0), [])

    def test_values(self):
        for dtype in ("f2", "f4", "f8"):
            with self.subTest(dtype):
                a = values(dtype, 2)
                b = a.copy()
                random = np.random.default_rng(3)
                for at in random.integers(0, a.size, 40):
                    b.flat[at] = np.nextafter(b.flat[at], b.dtype.type(np.inf))
                b.flat[a.size - 1] = -b.flat[a.size - 1]
                self.save({"x": a}, {"x": b})
                (found,) = self.diff()
                different = np.flatnonzero(a.ravel() != b.ravel())
                self.assertEqual(found["differ"], len(different))
                self.assertEqual(found["first"], [int(i) for i in np.unravel_index(different[0], a.shape)])
                apart = np.abs(a.astype("f8") - b.astype("f8"))
                self.assertEqual(found["max_abs"], apart.max())
                ulps = [ulp_distance(a.flat[i], b.flat[i]) for i in different]
                self.assertEqual(found["max_ulp"], max(ulps))
                self.assertEqual([np.dtype(dtype).type(v) for v in found["values"]],
                                 [a.flat[different[0]], b.flat[different[0]]])  # fmt: skip
                # tolerances, as numpy.isclose has them
                for atol, rtol in ((0.0, 1e-3), (1e-7, 0.0), (1.0, 0.0), (0.0, 1e-16)):
                    close = np.isclose(a.astype("f8"), b.astype("f8"), rtol=rtol, atol=atol)
                    got = self.diff("--atol", atol, "--rtol", rtol, status=0 if close.all() else 1)
                    self.assertEqual(sum(d["differ"] for d in got), int((~close).sum()))
                got = self.diff("--ulp", 1)
                self.assertEqual(got[0]["differ"], sum(u > 1 for u in ulps))

    def test_kinds(self):
        big = 2**60
        a = {"dtype": np.arange(3, dtype="i4"), "shape": np.zeros((2, 3)), "left": np.ones(2), "nan": np.array([np.nan, 1]),
             "zero": np.array([0.0]), "big": np.array([big + 1, big]), "wide": np.array([big + 1], "i8")}  # fmt: skip
        b = {"dtype": np.arange(3, dtype="f4"), "shape": np.zeros((3, 2)), "right": np.ones(2), "nan": np.array([np.nan, 1]),
             "zero": np.array([-0.0]), "big": np.array([big, big]), "wide": np.array([big], "u8")}  # fmt: skip
        self.save(a, b)
        found = {d["name"]: d for d in self.diff()}
        kinds = {n: d["kind"] for n, d in found.items()}
        self.assertEqual(kinds, {"left": "only", "right": "only", "dtype": "dtype", "shape": "shape", "zero": "values",
                                 "big": "values", "wide": "dtype"})  # fmt: skip
        self.assertNotIn("differ", found["dtype"])
        self.assertEqual((found["big"]["differ"], found["big"]["first"], found["wide"]["differ"]), (1, [0], 1))
        b["nan"] = np.array([1, np.nan])
        self.save({"nan": a["nan"]}, {"nan": b["nan"]})
        self.assertEqual(self.diff("--atol", "1e9")[0]["differ"], 2)
        self.save({"nan": np.array([np.inf, 0])}, {"nan": np.array([-np.inf, 0])})
        self.assertEqual(self.diff("--atol", "1e300")[0]["differ"], 1)

    def test_globs_and_quiet(self):
        self.save({"x": np.ones(2), "y": np.ones(2)}, {"x": np.ones(2), "y": np.zeros(2)})
        for globs, status in (([], 1), (["x"], 0), (["?"], 1), (["q*"], 0)):
            done = wmap("diff", self.path("a.npz"), self.path("b.npz"), *globs, "--quiet")
            self.assertEqual((done.returncode, done.stdout), (status, ""), globs)

    def test_through_a_spec(self):
        a = values("f4", 7)
        np.savez(self.path("a.npz"), w=a)
        self.write("s.wmap", 'wmap 1\nmap main { "w" [a b c] -> "v" [c b a] }\n')
        safetensors.numpy.save_file({"v": np.ascontiguousarray(a.transpose(2, 1, 0))}, self.path("b.safetensors"))
        self.wmap_ok("diff", self.path("a.npz"), self.path("b.safetensors"), "--map", self.path("s.wmap"))
        wrong = a.transpose(2, 1, 0).copy()
        wrong[5, 6, 7] += 1
        safetensors.numpy.save_file({"v": wrong}, self.path("b.safetensors"))
        done = wmap("diff", self.path("a.npz"), self.path("b.safetensors"), "--map", self.path("s.wmap"))
        self.assertEqual(done.returncode, 1)
        self.assertIn("1 of 136710 elements differ, the first at [5 6 7]", done.stdout)
        self.assertEqual(sorted(os.listdir(self.folder)), ["a.npz", "b.safetensors", "s.wmap"])


class Hash(Case):
    def digest(self, array):
        dtype = array.dtype
        kind = {"f": "f", "i": "i", "u": "u", "c": "c"}.get(dtype.kind)
        name = "bool" if dtype.kind == "b" else f"{kind}{dtype.itemsize * 8}"
        text = f"{name} [{' '.join(map(str, array.shape))}]"
        data = np.ascontiguousarray(array.astype(dtype.newbyteorder("<"))).tobytes()
        return text, hashlib.sha256(f"{text}\n".encode() + data).hexdigest()

    def test_hash(self):
        arrays = {d: values(d, 1) for d in ("?", "i1", "u8", "f2", "f4", "f8", "c8", "c16")}
        arrays["fortran"] = np.asfortranarray(values("f4", 2)[0])
        arrays["big"] = values("f4", 3)[:2].astype(">f4")
        arrays["empty"] = np.zeros((0, 3), "f4")
        arrays["scalar"] = np.array(-2.5)
        lines = []
        for name in sorted(arrays):
            text, digest = self.digest(arrays[name])
            lines.append(f"{digest}  {text}  {name}\n")
        model = hashlib.sha256("".join(lines).encode()).hexdigest()
        expected = "".join(lines) + f"{model}  (model)\n"
        np.savez(self.path("a.npz"), **arrays)
        self.assertEqual(self.wmap_ok("hash", self.path("a.npz")), expected)
        # in another format and order nothing changes
        self.wmap_ok("run", "-e", '"scalar" -> "scalar"; keep rest', self.path("a.npz"), "-o", self.path("a.pth"))
        self.assertEqual(self.wmap_ok("hash", self.path("a.pth")), expected)
        self.assertEqual(self.wmap_ok("hash", "--total", self.path("a.pth")), f"{model}  {self.path('a.pth')}\n")
        manifest = self.write("a.sums", expected)
        self.wmap_ok("hash", "--check", manifest, self.path("a.pth"))
        changed = dict(arrays, f4=-arrays["f4"], new=np.ones(1), scalar=np.array(-2.5, "f4"))
        del changed["?"]
        np.savez(self.path("b.npz"), **changed)
        done = wmap("hash", "--check", manifest, self.path("b.npz"))
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stdout.splitlines()[:4],
                         ["?: missing", "f4: changed", "new: not in the manifest", "scalar: another type"])  # fmt: skip
        self.assertEqual(wmap("hash", "--check", self.path("b.npz"), self.path("b.npz")).returncode, 2)


class Metadata(Case):
    def kept(self, rules, *flags):
        self.wmap_ok("run", "-e", rules, self.path("a.safetensors"), "-o", self.path("o.safetensors"), "--force", *flags)
        with safetensors.safe_open(self.path("o.safetensors"), "np") as f:
            return f.metadata()

    def test_meta(self):
        has = {"author": "x", "train.lr": "1", "train.step": "5", "a/b.c": "6", "step12": "7", "stepx": "8"}
        safetensors.numpy.save_file({"w": np.ones(3, "f4")}, self.path("a.safetensors"), metadata=has)
        pt = {"format": "pt"}
        self.assertEqual(self.kept("keep rest"), {**has, **pt})
        self.assertEqual(self.kept('keep rest; drop meta "{**}"'), pt)
        self.assertEqual(self.kept('keep rest; meta "author" = "me"; meta "new" = "v"; drop meta "train.{*}", "step{n}"'),
                         {"author": "me", "new": "v", "a/b.c": "6", "stepx": "8", **pt})  # fmt: skip
        self.assertEqual(self.kept('keep rest; drop meta "{*}"'), {k: v for k, v in has.items() if "." in k} | pt)
        self.assertEqual(self.kept('keep rest; drop meta "{**}p", "t{**}.{*}r"; drop meta "a/{*}.{*}"'),
                         {k: v for k, v in has.items() if k not in ("train.step", "train.lr", "a/b.c")} | pt)
        # a stated one that the format has no place for is told, not lost in silence
        done = wmap("run", "-e", 'keep rest; meta "new" = "v"', self.path("a.safetensors"), "-o", self.path("o.npz"))
        self.assertEqual(done.returncode, 0)
        self.assertIn("7 entries of metadata", done.stderr)
