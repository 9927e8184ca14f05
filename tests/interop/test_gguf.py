"""GGUF files that the gguf package wrote, bit by bit; quantised tensors are listed and refused by name."""

from common import Case, wmap
import gguf
import numpy as np
import safetensors.numpy

import ml_dtypes


def arrays():
    random = np.random.default_rng(5)
    kinds = {"f4": "f4", "f2": "f2", "f8": "f8", "i1": "i1", "i2": "i2", "i4": "i4", "i8": "i8"}
    made = {n: (random.normal(size=(3, 5, 2)) * 50).astype(d) for n, d in kinds.items()}
    made["square"] = random.normal(size=(4, 4)).astype("f4")
    made["long"] = random.normal(size=(70001,)).astype("f4")
    made["nan"] = random.integers(0, 2**32, (9,), dtype=np.uint32).view(np.float32)
    return made


class Gguf(Case):
    def write_file(self, endian=gguf.GGUFEndian.LITTLE, quantised=True, bfloat=True, alignment=None):
        w = gguf.GGUFWriter(self.path("m.gguf"), "llama", endianess=endian)
        w.add_uint32("a.number", 5)
        w.add_array("tokenizer.tokens", ["a", "bb", "", "\u00e9"])
        w.add_array("a.list", [1, 2, 3])
        w.add_string("general.name", "hello")
        w.add_bool("a.truth", True)
        if alignment:
            w.add_custom_alignment(alignment)
        made = arrays()
        for name, array in made.items():
            w.add_tensor(name, array.copy())
        if bfloat:
            self.bf16 = np.arange(12, dtype="f4").reshape(3, 4).astype(ml_dtypes.bfloat16)
            w.add_tensor("bf16", self.bf16.view(np.uint8), raw_dtype=gguf.GGMLQuantizationType.BF16)
        if quantised:
            data = np.random.default_rng(6).normal(size=(4, 64)).astype("f4")
            w.add_tensor("q", gguf.quants.quantize(data, gguf.GGMLQuantizationType.Q8_0),
                         raw_dtype=gguf.GGMLQuantizationType.Q8_0)  # fmt: skip
        w.write_header_to_file()
        w.write_kv_data_to_file()
        w.write_tensors_to_file()
        w.close()
        return made

    def compare(self, made, *rules):
        self.wmap_ok("run", "-e", "; ".join(["keep rest", *rules]), self.path("m.gguf"), "-o", self.path("o.npz"), "--force")
        with np.load(self.path("o.npz")) as found:
            self.assertEqual(found.files, list(made))
            for name, array in made.items():
                self.assertEqual((found[name].dtype, found[name].shape), (array.dtype, array.shape), name)
                self.assertEqual(found[name].tobytes(), array.tobytes(), name)

    def test_little(self):
        made = self.write_file()
        self.compare(made, 'drop "q", "bf16"')
        self.wmap_ok("run", "-e", 'drop "q"; keep rest', self.path("m.gguf"), "-o", self.path("o.safetensors"))
        found = safetensors.numpy.load_file(self.path("o.safetensors"))["bf16"]
        self.assertEqual((found.dtype, found.shape, found.tobytes()), (self.bf16.dtype, (3, 4), self.bf16.tobytes()))

    def test_big(self):
        self.compare(self.write_file(gguf.GGUFEndian.BIG, False, False))

    def test_alignment(self):
        self.compare(self.write_file(quantised=False, bfloat=False, alignment=4096))

    def test_quantised(self):
        self.write_file()
        listed = {t["name"]: t for t in self.inspect(self.path("m.gguf"))["tensors"]}
        self.assertEqual(listed["q"]["dtype"], "opaque")
        self.assertEqual(listed["q"]["shape"], [4, 64])
        self.assertEqual(listed["q"]["note"], "quantised (Q8_0)")
        done = wmap("run", "-e", 'drop "{*}4"; "q" -> "q"; keep rest', self.path("m.gguf"), "-o", self.path("o.npz"))
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertRegex(done.stderr, "`q`: E0610: .*quantised")

    def test_cut_and_changed(self):
        """Whatever stands there, wmap says why it can't or reads it: no crash."""
        self.write_file()
        with open(self.path("m.gguf"), "rb") as f:
            data = f.read()
        head = data.index(b"q", 200) + 40
        for cut in [*range(0, head, 7), len(data) - 200]:
            done = wmap("inspect", self.write("cut.gguf", data[:cut]))
            self.assertIn(done.returncode, (2, 3), cut)
            self.assertTrue(done.stderr)
        for at in range(4, head, 5):
            changed = bytearray(data)
            changed[at] ^= 0xFF
            done = wmap("inspect", self.write("changed.gguf", bytes(changed)))
            self.assertIn(done.returncode, (0, 2, 3), at)
