"""`wmap test`: what literals of tests mean, against NumPy and ml_dtypes: every dtype, rounding, `iota`, `random`."""

from common import Case, wmap
import ml_dtypes
import numpy as np

FLOATS = {"f16": np.float16, "bf16": ml_dtypes.bfloat16, "f32": np.float32, "f64": np.float64,
          "f8_e4m3": ml_dtypes.float8_e4m3fn, "f8_e5m2": ml_dtypes.float8_e5m2}  # fmt: skip
UNSIGNED = {"u8": np.uint8, "u16": np.uint16, "u32": np.uint32, "u64": np.uint64}
SIGNED = {"i8": np.int8, "i16": np.int16, "i32": np.int32, "i64": np.int64}
RAW = {"raw8": np.uint8, "raw16": np.uint16, "raw32": np.uint32, "raw64": np.uint64}


def splitmix64(seed, count):
    """`count` numbers of docs/language.md section 14."""
    with np.errstate(over="ignore"):
        golden = np.uint64(0x9E3779B97F4A7C15)
        z = np.uint64(seed) * golden + np.uint64(1) + golden * np.arange(1, count + 1, dtype=np.uint64)
        z = (z ^ z >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ z >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
        return z ^ z >> np.uint64(31)


def to_float(z):
    return (z >> np.uint64(40)).astype(np.float64) / 2**23 - 1


class SpecTests(Case):
    def check(self, tests):
        spec = self.write("t.wmap", 'wmap 1\nmap main { keep rest }\nmap bits { "x" | bitcast u8 -> "x" }\n'
            'map bits16 { "x" | bitcast u16 -> "x" }\nmap bits32 { "x" | bitcast u32 -> "x" }\n'
            'map bits64 { "x" | bitcast i64 -> "x" }\n' + "".join(tests))  # fmt: skip
        done = wmap("test", spec, "-q")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn(f"{len(tests)} passed, 0 failed", done.stdout)

    @staticmethod
    def as_bits(dtype, literal, array):
        """A test: the literal's elements have the bits of NumPy's."""
        size = array.dtype.itemsize
        kind = {1: "bits", 2: "bits16", 4: "bits32", 8: "bits64"}[size]
        kinds = "i" if size == 8 else "u"  # a spec has no number of 2^63 or more
        bits = array.reshape(-1).view(f"{kinds}{size}")
        return (f'test "{dtype} {literal[:20]}" of {kind} {{ given "x" = {dtype} {literal}; '
                f'expect "x" = {kinds}{8 * size} [{" ".join(str(b) for b in bits)}] }}\n')  # fmt: skip

    def test_random(self):
        tests = []
        for seed in (0, 1, 7, 123456789, 2**63 - 1):
            z = splitmix64(seed, 9)
            for name, dtype in FLOATS.items():
                tests.append(self.as_bits(name, f"random [9] {seed}", to_float(z).astype(dtype)))
            for name, dtype in UNSIGNED.items():
                tests.append(f'test "{name}" of main {{ given "x" = {name} random [9] {seed}; expect "x" = {name} '
                             f'[{" ".join(str(int(v)) for v in z % np.uint64(256))}] }}\n')  # fmt: skip
            for name, dtype in RAW.items():
                tests.append(f'test "{name}" of main {{ given "x" = {name} random [9] {seed}; expect "x" = {name} '
                             f'[{" ".join(str(int(v)) for v in z % np.uint64(256))}] }}\n')  # fmt: skip
            for name, dtype in SIGNED.items():
                tests.append(f'test "{name}" of main {{ given "x" = {name} random [9] {seed}; expect "x" = {name} '
                             f'[{" ".join(str(int(v)) for v in z % np.uint64(128))}] }}\n')  # fmt: skip
            tests.append(f'test "bool" of main {{ given "x" = bool random [9] {seed}; expect "x" = bool '
                         f'[{" ".join(str(int(v)) for v in z % np.uint64(2))}] }}\n')  # fmt: skip
        self.check(tests)

    def test_iota(self):
        tests = []
        for name, dtype in FLOATS.items():
            count = 400 if name == "f8_e4m3" else 3000
            tests.append(self.as_bits(name, f"iota [{count}]", np.arange(count).astype(np.float64).astype(dtype)))
        for name in {**UNSIGNED, **SIGNED, **RAW}:
            tests.append(f'test "{name}" of main {{ given "x" = {name} iota [2 3 2]; expect "x" = {name} '
                         '[[[0 1] [2 3] [4 5]] [[6 7] [8 9] [10 11]]] }\n')  # fmt: skip
        self.check(tests)

    def test_numbers_are_rounded_once(self):
        values = [0.1, -0.1, 1 / 3, 65504.0, 1e-8, 5.960464477539063e-08, 2.9802322387695312e-08, 3.5, 2.5, -0.0, 448.0, 1e-3,
                  0.0009765625, 16777217.0, 1.0000000596046448, 240.5]  # fmt: skip
        tests = []
        for name, dtype in FLOATS.items():
            few = [v for v in values if abs(v) <= float(ml_dtypes.finfo(dtype).max)]
            few = [v for v in few if v or name != "f64"]  # of f64's -0 neither
            literal = "[" + " ".join(repr(v) for v in few) + "]"
            tests.append(self.as_bits(name, literal, np.array(few).astype(dtype)))
        for name, dtype in FLOATS.items():
            if name != "f8_e4m3":
                tests.append(self.as_bits(name, "[inf -inf]", np.array([np.inf, -np.inf]).astype(dtype)))
        self.check(tests)
