"""Every dtype through every format that holds it, read and written by the formats' own libraries, bit by bit."""

import os

from common import Case
import ml_dtypes
import numpy as np
import safetensors.numpy
import safetensors.torch
import torch

BITS = np.random.default_rng(30)
NUMPY = {
    "bool": np.bool_, "u8": np.uint8, "u16": np.uint16, "u32": np.uint32, "u64": np.uint64, "i8": np.int8,
    "i16": np.int16, "i32": np.int32, "i64": np.int64, "f16": np.float16, "f32": np.float32, "f64": np.float64,
    "c64": np.complex64, "c128": np.complex128,
}  # fmt: skip
TORCH = {
    "bool": torch.bool, "u8": torch.uint8, "u16": torch.uint16, "u32": torch.uint32, "u64": torch.uint64,
    "i8": torch.int8, "i16": torch.int16, "i32": torch.int32, "i64": torch.int64, "f16": torch.float16,
    "bf16": torch.bfloat16, "f32": torch.float32, "f64": torch.float64, "c64": torch.complex64,
    "c128": torch.complex128, "f8_e4m3": torch.float8_e4m3fn, "f8_e5m2": torch.float8_e5m2,
}  # fmt: skip
SHAPES = [(), (1,), (0,), (3, 0, 2), (7,), (5, 3), (2, 3, 4, 5)]


def random_bytes(count):
    return BITS.integers(0, 256, count, dtype=np.uint8)


def random_array(name, shape):
    dtype = np.dtype(NUMPY[name])
    count = int(np.prod(shape, dtype=int))
    if name == "bool":
        return BITS.integers(0, 2, shape).astype(np.bool_) if shape else np.array(True)
    return random_bytes(count * dtype.itemsize).view(dtype)[:count].reshape(shape)


def random_tensor(name, shape):
    if name == "bool":
        return torch.from_numpy(np.asarray(random_array(name, shape)))
    size = torch.empty(0, dtype=TORCH[name]).element_size()
    count = int(np.prod(shape, dtype=int))
    raw = torch.from_numpy(random_bytes(max(count, 1) * size))
    return raw.view(TORCH[name])[:count].clone().reshape(shape)


def numpy_bits(a):
    a = np.asarray(a)
    return (a.dtype, a.shape, a.tobytes(order="C"))


def torch_bits(t):
    flat = t.contiguous().reshape(-1)
    raw = flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""
    return (t.dtype, tuple(t.shape), raw)


class Formats(Case):
    def same(self, source, target):
        self.wmap_ok("run", "-e", "keep rest", source, "-o", target)

    def arrays(self):
        return {f"{n}.{i}": random_array(n, s) for n in NUMPY for i, s in enumerate(SHAPES)}

    def tensors(self, skip=()):
        return {f"{n}.{i}": random_tensor(n, s) for n in TORCH if n not in skip for i, s in enumerate(SHAPES)}

    def same_numpy(self, found, expected):
        self.assertEqual(sorted(found), sorted(expected))
        for name in expected:
            self.assertEqual(numpy_bits(found[name]), numpy_bits(expected[name]), name)

    def same_torch(self, found, expected):
        self.assertEqual(list(found), list(expected))
        for name in expected:
            self.assertEqual(torch_bits(found[name]), torch_bits(expected[name]), name)

    def test_npz_to_npz(self):
        arrays = self.arrays()
        for save in (np.savez, np.savez_compressed):
            with self.subTest(save.__name__):
                save(self.path("i.npz"), **arrays)
                self.wmap_ok("run", "-e", "keep rest", self.path("i.npz"), "-o", self.path("o.npz"), "--force")
                with np.load(self.path("o.npz")) as z:
                    self.same_numpy({k: z[k] for k in z.files}, arrays)

    def test_npz_big_endian_and_fortran(self):
        arrays = {k: v for k, v in self.arrays().items()}
        odd = {}
        for name, a in arrays.items():
            odd["be." + name] = a.astype(a.dtype.newbyteorder(">")) if a.dtype.itemsize > 1 else a
            odd["f." + name] = np.asarray(a, order="F")
        np.savez(self.path("i.npz"), **odd)
        self.same(self.path("i.npz"), self.path("o.npz"))
        with np.load(self.path("o.npz")) as z:
            self.assertEqual(sorted(z.files), sorted(odd))
            for name in z.files:
                want = arrays[name.split(".", 1)[1]]
                self.assertEqual(numpy_bits(z[name]), numpy_bits(want), name)

    def test_npy(self):
        for name, a in self.arrays().items():
            np.save(self.path(f"{name}.npy"), a)
            self.wmap_ok("run", "-e", '"0" -> "0"', self.path(f"{name}.npy"), "-o", self.path("o.npy"), "--force")
            self.assertEqual(numpy_bits(np.load(self.path("o.npy"))), numpy_bits(a), name)

    def test_npz_to_safetensors_to_npz(self):
        arrays = {k: v for k, v in self.arrays().items() if not k.startswith("c128")}
        np.savez(self.path("i.npz"), **arrays)
        self.same(self.path("i.npz"), self.path("o.safetensors"))
        found = safetensors.numpy.load_file(self.path("o.safetensors")) if not self.has_c64() else None
        if found is not None:
            self.same_numpy(found, arrays)
        self.same(self.path("o.safetensors"), self.path("back.npz"))
        with np.load(self.path("back.npz")) as z:
            self.same_numpy({k: z[k] for k in z.files}, arrays)

    def has_c64(self):
        """safetensors' NumPy reader of some versions lacks complex64."""
        path = self.path("probe.safetensors")
        try:
            safetensors.numpy.save_file({"a": np.zeros(1, np.complex64)}, path)
            safetensors.numpy.load_file(path)
            return False
        except Exception:
            return True

    def test_safetensors_to_safetensors(self):
        tensors = self.tensors(skip=("c128",))
        safetensors.torch.save_file(tensors, self.path("i.safetensors"))
        self.same(self.path("i.safetensors"), self.path("o.safetensors"))
        found = safetensors.torch.load_file(self.path("o.safetensors"))
        for name in tensors:
            self.assertEqual(torch_bits(found[name]), torch_bits(tensors[name]), name)
        self.assertEqual(sorted(found), sorted(tensors))

    def test_torch_to_torch(self):
        tensors = self.tensors()
        torch.save(tensors, self.path("i.pth"))
        self.same(self.path("i.pth"), self.path("o.pth"))
        self.same_torch(torch.load(self.path("o.pth"), weights_only=True), tensors)

    def test_torch_to_npz(self):
        tensors = {k: v for k, v in self.tensors().items() if k.split(".")[0] in NUMPY}
        torch.save(tensors, self.path("i.pth"))
        self.same(self.path("i.pth"), self.path("o.npz"))
        with np.load(self.path("o.npz")) as z:
            self.same_numpy({k: z[k] for k in z.files}, {k: v.numpy() for k, v in tensors.items()})

    def test_torch_to_safetensors_to_torch(self):
        tensors = self.tensors(skip=("c128",))
        torch.save(tensors, self.path("i.pth"))
        self.same(self.path("i.pth"), self.path("o.safetensors"))
        self.same(self.path("o.safetensors"), self.path("back.pth"))
        found = torch.load(self.path("back.pth"), weights_only=True)
        self.assertEqual(sorted(found), sorted(tensors))
        for name in tensors:
            self.assertEqual(torch_bits(found[name]), torch_bits(tensors[name]), name)

    def test_inspect_names_dtypes(self):
        torch.save(self.tensors(), self.path("i.pth"))
        seen = {t["name"]: (t["dtype"], tuple(t["shape"])) for t in self.inspect(self.path("i.pth"))["tensors"]}
        self.assertEqual(seen, {f"{n}.{i}": (n, s) for n in TORCH for i, s in enumerate(SHAPES)})

    def test_torch_views_strides_and_shared_storages(self):
        base = torch.arange(240, dtype=torch.float32).reshape(4, 5, 12)
        tensors = {
            "base": base, "view": base[1:3, ::2, 3:9], "transposed": base.permute(2, 0, 1), "same": base,
            "expanded": torch.arange(3.0).reshape(3, 1).expand(3, 4), "row": base[2, 3], "one": base[1, 2, 3],
            "overlap": torch.arange(10.0).as_strided((4, 4), (2, 1)), "empty": base[:0],
        }  # fmt: skip
        want = {k: v.clone().numpy() for k, v in tensors.items()}
        torch.save(tensors, self.path("i.pth"))
        self.same(self.path("i.pth"), self.path("o.npz"))
        with np.load(self.path("o.npz")) as z:
            self.same_numpy({k: z[k] for k in z.files}, want)

    def test_torch_strided_sources_are_moved_right(self):
        base = torch.arange(240, dtype=torch.float32).reshape(4, 5, 12)
        torch.save({"a": base.permute(2, 0, 1), "b": base[1:3, ::2, 3:9]}, self.path("i.pth"))
        rules = '"a" [x y z] -> "a" [z -x y]; "b" [x y z] -> "b" [(z x) -y]'
        self.wmap_ok("run", "-e", rules, self.path("i.pth"), "-o", self.path("o.npz"))
        a, b = base.permute(2, 0, 1).numpy(), base[1:3, ::2, 3:9].numpy()
        with np.load(self.path("o.npz")) as z:
            self.assertEqual(numpy_bits(z["a"]), numpy_bits(a.transpose(2, 0, 1)[:, ::-1]))
            self.assertEqual(numpy_bits(z["b"]), numpy_bits(b.transpose(2, 0, 1).reshape(12, 3)[:, ::-1]))

    def test_parameters_and_nesting(self):
        module = torch.nn.Linear(3, 2)
        torch.save({"model": module.state_dict(), "steps": [torch.tensor(7), torch.tensor([1.5])],
                    "w": torch.nn.Parameter(torch.ones(2))}, self.path("i.pth"))  # fmt: skip
        names = [t["name"] for t in self.inspect(self.path("i.pth"))["tensors"]]
        self.assertEqual(names, ["model.weight", "model.bias", "steps.0", "steps.1", "w"])


class Moves(Case):
    """Each kernel against NumPy: permutations, flips and blocks for every element size, odd sizes too."""

    def test_permutations(self):
        import itertools

        random = np.random.default_rng(31)
        for dtype in (np.uint8, np.float16, np.float32, np.float64, np.complex128):
            for shape in ((33, 65), (7, 1, 129), (3, 3, 17, 19), (130, 67)):
                a = random.integers(0, 255, shape).astype(dtype)
                np.save(self.path("i.npy"), a)
                axes = "abcd"[: len(shape)]
                rules, want = [], {}
                for n, p in enumerate(itertools.permutations(range(len(shape)))):
                    for flip in (None, p[-1]):
                        name = f"t{n}{'' if flip is None else 'f'}"
                        sides = " ".join(("-" if k == flip else "") + axes[k] for k in p)
                        want[name] = a.transpose(p)[..., :: 1 if flip is None else -1]
                        rules.append(f'"0" [{" ".join(axes)}] -> "{name}" [{sides}]')
                with self.subTest(dtype=dtype.__name__, shape=shape):
                    for jobs in (1, 2):
                        self.wmap_ok("run", "-e", "\n".join(rules), self.path("i.npy"), "-o", self.path("o.npz"),
                                     "--force", "--jobs", jobs)
                        with np.load(self.path("o.npz")) as z:
                            for name in want:
                                self.assertEqual(numpy_bits(z[name]), numpy_bits(want[name]), name)

    def test_blocks_and_gates(self):
        random = np.random.default_rng(32)
        k = random.normal(size=(5, 24)).astype(np.float32)
        q, kk, v = (random.normal(size=(n, 10)).astype(np.float32) for n in (24, 8, 8))
        np.savez(self.path("i.npz"), k=k, q=q, kk=kk, v=v)
        rules = """
          "k" [n ({i f c o} u)] -> "gates" [({i f o c} u) n]
          q: "q" [(g r d) n], k: "kk" [(g d) n], v: "v" [(g d) n] -> "qkv" [(g (q: r d | k: d | v: d)) n] where g=2, d=4
        """
        self.wmap_ok("run", "-e", rules, self.path("i.npz"), "-o", self.path("o.npz"))
        i, f, c, o = np.split(k, 4, axis=1)
        qkv = [x for g in range(2) for x in (q[g * 12 : g * 12 + 12], kk[g * 4 : g * 4 + 4], v[g * 4 : g * 4 + 4])]
        with np.load(self.path("o.npz")) as z:
            self.assertEqual(numpy_bits(z["gates"]), numpy_bits(np.concatenate([i.T, f.T, o.T, c.T])))
            self.assertEqual(numpy_bits(z["qkv"]), numpy_bits(np.concatenate(qkv)))

    def test_casts(self):
        x = np.array([0, -0.0, 1, -1.5, 1e-8, 65504, 3.14159265, 1e-40, 2.0**-24], np.float32)
        np.savez(self.path("i.npz"), x=x)
        for name, dtype in (("f16", np.float16), ("f64", np.float64)):
            self.wmap_ok("run", "-e", f'"x" | cast {name} -> "x"', self.path("i.npz"), "-o", self.path("o.npz"), "--force")
            with np.load(self.path("o.npz")) as z:
                self.assertEqual(numpy_bits(z["x"]), numpy_bits(x.astype(dtype)))
        self.wmap_ok("run", "-e", '"x" | cast bf16 -> "x"', self.path("i.npz"), "-o", self.path("o.pth"))
        found = torch.load(self.path("o.pth"), weights_only=True)["x"]
        self.assertEqual(torch_bits(found), torch_bits(torch.from_numpy(x).to(torch.bfloat16)))

    def test_a_cast_that_overflows_is_refused(self):
        from common import wmap

        np.savez(self.path("i.npz"), x=np.array([1.0, 1e6], np.float32))
        done = wmap("run", "-e", '"x" | cast f16 -> "x"', self.path("i.npz"), "-o", self.path("o.npz"))
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn("R0604", done.stderr)
        self.assertFalse(os.path.exists(self.path("o.npz")))
        self.assertEqual(os.listdir(self.folder), ["i.npz"])
