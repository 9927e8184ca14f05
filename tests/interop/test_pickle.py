"""Pickles of arrays: every dtype, order and protocol, bit by bit as pickle.load gives them, and objects of old NumPy."""

import bz2
import collections
import gzip
import lzma
import os
import pickle
import shutil
import subprocess
import sys
import types

from common import ROOT, Case, settings, wmap
import ml_dtypes
import numpy as np

DATA = os.path.join(ROOT, "tests", "data", "pickle")
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


class Through(Case):
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


class Pickles(Through):
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

    def test_made_by_calls(self):
        """paddle.save makes tuple((name, array)) of each tensor; sets and dicts that a call makes are seen likewise."""
        a, b = np.arange(6.0).reshape(2, 3), np.ones(3, "f4")

        class Tensor:
            def __init__(self, function, argument):
                self.call = (function, (argument,))

            def __reduce__(self):
                return self.call

        thing = {"fc.weight": Tensor(tuple, ("linear_0.w_0", a)), "fc.bias": Tensor(tuple, ("linear_0.b_0", b)),
                 "list": Tensor(list, (a, b)), "dict": Tensor(dict, {"k": a}), "od": Tensor(collections.OrderedDict, (("k", b),)),
                 "counter": collections.Counter({"k": a})}  # fmt: skip
        names = {"fc.weight.1": a, "fc.bias.1": b, "list.0": a, "list.1": b, "dict.k": a, "od.k": b, "counter.k": a}
        for protocol in PROTOCOLS:
            self.same(self.write("made.pkl", pickle.dumps(thing, protocol)), names)

    def test_jax(self):
        import jax.numpy as jnp

        thing = {"params": {"kernel": jnp.arange(6.0).reshape(2, 3).T, "step": jnp.int32(3), "mask": jnp.array([True, False])},
                 "list": [jnp.zeros((0, 3)), np.ones(2)]}  # fmt: skip
        arrays = {"params": {k: np.asarray(v) for k, v in thing["params"].items()}, "list": [np.asarray(v) for v in thing["list"]]}
        for protocol in PROTOCOLS:
            path = self.write("jax.pkl", pickle.dumps(thing, protocol))
            self.same(path, arrays)
            self.assertEqual(wmap("inspect", path).stderr, "")
        half = pickle.dumps({"b": jnp.ones(3, jnp.bfloat16)})
        self.assertEqual(self.inspect(self.write("half.pkl", half))["tensors"], [{"name": "b", "dtype": "bf16", "shape": [3]}])

    def test_float_keys(self):
        keys = [0.1, 1.0, -0.0, 1e15, 1e16, 1e-4, 1e-5, 5e-324, 1 / 3, 2.5, float("inf"), 1.7976931348623157e308, 123456.75]
        thing = {key: np.full(2, key) for key in keys} | {(1,): np.ones(1), (): np.ones(2)}
        for protocol in PROTOCOLS:
            self.same(self.write("keys.pkl", pickle.dumps(thing, protocol)), thing)

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


class OldPickles(Through):
    """Files that Python 2, old NumPy and Theano wrote (tests/data/pickle)."""

    def expected(self, name):
        """What make_python2.py kept of it; zip members of Python 2 have names of bytes, which are UTF-8 here."""
        with np.load(os.path.join(DATA, name)) as z:
            return {n.encode("cp437").decode() if not n.isascii() else n: z[n] for n in z.files}

    def check(self, name, expected, drop=()):
        found = self.through(os.path.join(DATA, name), drop)
        self.assertEqual(sorted(found), sorted(expected), name)
        for key, array in expected.items():
            self.assertEqual(bits(found[key]), bits(array), f"{name}: {key}")

    def test_python2(self):
        for name in ("python2-c0", "python2-c1", "python2-c2", "python2-p0", "python2-p2"):
            self.check(f"{name}.pkl", self.expected("python2.npz"))

    def test_python2_as_numpy_reads_it(self):
        """The same by pickle.load(encoding="latin1"), with stand-ins for the classes of the file."""
        zoo = types.ModuleType("zoo.net")
        for name, base in (("Old", object), ("New", object), ("Params", list), ("Pair", tuple)):
            setattr(zoo, name, type(name, (base,), {"__module__": "zoo.net"}))
        zoo.Pair = collections.namedtuple("Pair", "W b")
        sys.modules.update({"zoo": types.ModuleType("zoo"), "zoo.net": zoo})
        self.addCleanup(lambda: [sys.modules.pop(m) for m in ("zoo", "zoo.net")])
        for name in ("python2-c0", "python2-c1", "python2-c2", "python2-p0", "python2-p2"):
            with open(os.path.join(DATA, f"{name}.pkl"), "rb") as f:
                top = pickle.load(f, encoding="latin1")
            expected = {}
            for key, value in top.items():
                value = vars(value) if type(value).__name__ in ("Old", "New") else value
                expected.update(flatten(value, str(key)))
            self.check(f"{name}.pkl", expected)

    def test_row(self):
        self.check("python2-row.pkl", self.expected("python2-row.npz"))

    def test_theano(self):
        for name in ("theano-0.pkl", "theano-1.pkl", "theano-2.pkl", "theano.zip"):
            self.check(name, self.expected("theano.npz"))
        W = self.expected("theano.npz")["W"]
        self.check("theano-graph.pkl", {"W": W}, ["cost"])
        done = wmap("inspect", os.path.join(DATA, "theano-function.pkl"))
        self.assertEqual(done.returncode, 3)
        self.assertIn("theano.compile.function_module", done.stderr)

    def test_old_numpy(self):
        with open(os.path.join(DATA, "old-numpy.pkl"), "rb") as f:
            things = [pickle.load(f), pickle.load(f)]
        self.check("old-numpy.pkl", dict(flatten(things)))

    def test_every_byte(self):
        """Cut off anywhere, and with each byte changed: refused or read, in the words of an error."""
        for name in ("python2-row.pkl", "theano-2.pkl", "theano.zip"):
            with open(os.path.join(DATA, name), "rb") as f:
                data = f.read()
            for i in range(0, len(data), 7):
                for variant in (data[:i], data[:i] + bytes([data[i] ^ 0x41]) + data[i + 1 :]):
                    done = wmap("inspect", self.write("v.pkl", variant))
                    self.assertIn(done.returncode, (0, 2, 3), f"{name} at {i}: {done.stderr}")


class Theano(Through):
    """Values on a GPU: Theano's classes by stand-ins that pickle as the real ones do (theano/sandbox/cuda/type.py,
    theano/gpuarray/type.py)."""

    def setUp(self):
        super().setUp()
        unpicklers = {"theano.sandbox.cuda.type": "CudaNdarray_unpickler", "theano.gpuarray.type": "GpuArray_unpickler"}
        for name, function in unpicklers.items():
            for i in range(name.count(".") + 1):
                part = ".".join(name.split(".")[: i + 1])
                if part not in sys.modules:
                    sys.modules[part] = types.ModuleType(part)
                    self.addCleanup(sys.modules.pop, part)

            def unpickler(*args):
                raise AssertionError("called")

            unpickler.__module__, unpickler.__qualname__ = name, function
            setattr(sys.modules[name], function, unpickler)
        self.cuda = sys.modules["theano.sandbox.cuda.type"].CudaNdarray_unpickler
        self.gpu = sys.modules["theano.gpuarray.type"].GpuArray_unpickler

    def test_gpu_values(self):
        a, b = np.arange(6, dtype="f4").reshape(2, 3), np.ones(3, "f4")
        cuda, gpu = self.cuda, self.gpu

        class Cuda:
            def __reduce__(self):
                return cuda, (a,)

        class Gpu:
            def __reduce__(self):
                return gpu, (b, None)

        for protocol in PROTOCOLS:
            path = self.write("gpu.pkl", pickle.dumps({"W": Cuda(), "b": [Gpu()]}, protocol))
            self.same(path, {"W": a, "b": [b]})
            self.same(self.write("alone.pkl", pickle.dumps(Cuda(), protocol)), a)


class Objects(Through):
    """Arrays of Python objects in .npy and .npz, as np.load(allow_pickle=True) reads them."""

    def things(self):
        a, b = np.arange(6, dtype=">f4").reshape(2, 3), np.asfortranarray(np.ones((2, 3)))
        mixed = np.empty((2, 2), object)
        mixed[:] = [[a, {"k": b}], [[a, 3], "text"]]
        row = np.empty(2, object)
        row[:] = [a, b]
        return {"dict": np.array({"conv": {"W": a, "b": b}, "epoch": 3}), "row": row, "mixed": mixed, "one": np.array(a)}

    def test_npy(self):
        for name, thing in self.things().items():
            path = self.path(f"{name}.npy")
            np.save(path, thing)
            self.same(path, np.load(path, allow_pickle=True))

    def test_npz(self):
        for write in (np.savez, np.savez_compressed):
            path = self.path("o.npz")
            write(path, **self.things(), plain=np.ones(3))
            with np.load(path, allow_pickle=True) as z:
                thing = {n: z[n] for n in z.files}
            self.same(path, thing)

    def test_no_array_in_it(self):
        np.save(self.path("none.npy"), np.array([1, "a", None], object))
        done = wmap("inspect", self.path("none.npy"))
        self.assertEqual(done.returncode, 3)
        np.savez(self.path("none.npz"), o=np.array([1, "a", None], object), f=np.array([os.getcwd], object), W=np.ones(2))
        done = wmap("inspect", self.path("none.npz"))
        self.assertEqual(done.returncode, 0)
        self.assertIn("member f.npy holds a pickled posix.getcwd", done.stderr)
        self.same(self.path("none.npz"), {"W": np.ones(2)}, ["o", "f"])

    def test_wrong_crc(self):
        """A damaged array in a stored member is found when it is used."""
        np.savez(self.path("crc.npz"), o=np.array({"W": np.full(50, 7.25), "b": np.ones(2)}))
        with open(self.path("crc.npz"), "rb") as f:
            data = f.read()
        at = data.index(np.float64(7.25).tobytes() * 2)
        done = wmap("run", "-e", "keep rest", self.write("crc.npz", data[:at] + b"\1" + data[at + 1 :]), "-o", self.path("o.npz"))
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn("CRC", done.stderr)


class Packed(Through):
    def test_wrappers(self):
        thing = {"W": np.arange(5000, dtype="f4").reshape(50, 100), "be": np.arange(3, dtype=">f8")}
        np.savez(self.path("t.npz"), **thing)
        np.save(self.path("t.npy"), thing["W"])
        with open(self.path("t.npz"), "rb") as f:
            npz = f.read()
        with open(self.path("t.npy"), "rb") as f:
            npy = f.read()
        for module, suffix in ((gzip, "gz"), (bz2, "bz2"), (lzma, "xz")):
            for name, data, what in (("p.pkl", pickle.dumps(thing), thing), ("p0.pkl", pickle.dumps(thing, 0), thing),
                                     ("t.npz", npz, thing), ("t.npy", npy, thing["W"])):
                self.same(self.write(f"{name}.{suffix}", module.compress(data)), what)
            half = len(npz) // 2
            self.same(self.write("two.x", module.compress(npz[:half]) + module.compress(npz[half:])), thing)
            packed = module.compress(npz)
            for bad in (packed[:-1], packed[: len(packed) // 2], packed[:40] + b"\x55\x55" + packed[42:], packed + b"x"):
                done = wmap("inspect", self.write("bad.x", bad))
                self.assertEqual(done.returncode, 3, f"{suffix}: {done.stderr}")

    def test_bombs(self):
        """Refused before they fill the disk, whatever packed them."""
        zeros = bytes(80 << 20)
        for module in (bz2, lzma):
            done = wmap("inspect", self.write("bomb.x", module.compress(zeros)))
            self.assertEqual(done.returncode, 3, done.stderr)
            self.assertIn("times its size", done.stderr)


# What published malicious pickles call.
CALLS = """os.system posix.system nt.system builtins.eval __builtin__.eval builtins.exec builtins.compile builtins.getattr
    builtins.__import__ builtins.open builtins.globals subprocess.Popen subprocess.call subprocess.check_output
    commands.getoutput runpy._run_code runpy.run_path webbrowser.open socket.create_connection requests.api.get
    urllib.request.urlopen httplib.HTTPSConnection aiohttp.client.ClientSession shutil.rmtree shutil.copytree pty.spawn
    importlib.import_module pip.main pdb.run bdb.Bdb.run code.InteractiveInterpreter.runcode ctypes.CDLL pickle.loads
    _pickle.loads dill.loads marshal.loads types.CodeType types.FunctionType operator.attrgetter operator.methodcaller
    functools.partial functools.reduce sys.exit io.open io.FileIO tempfile.mktemp timeit.timeit cProfile.run profile.run
    trace.Trace.run doctest.debug_script idlelib.pyshell.ModifiedInterpreter.runcode lib2to3.pgen2.grammar.Grammar.loads
    logging.config.dictConfig asyncio.unix_events._UnixSubprocessTransport._start torch.hub.load
    torch.utils.collect_env.run numpy.load numpy.testing._private.utils.runstring numpy.f2py.crackfortran.getlincoef
    numpy.core.multiarray.fromfile theano.gof.cmodule.GCC_compiler.compile_str keras.models.load_model _ssl.x.y.z""".split()


class Malicious(Through):
    """Pickles that call something: the name is said, and nothing runs."""

    def forms(self, dotted):
        module, _, name = dotted.rpartition(".")
        m, n = module.encode(), name.encode()
        short = lambda b: b"\x8c" + bytes([len(b)]) + b
        stack = b"\x80\4" + short(m) + short(n) + b"\x93"
        yield b"c" + m + b"\n" + n + b"\n(S'touch pwned'\ntR."
        yield b"\x80\2c" + m + b"\n" + n + b"\nU\x0btouch pwned\x85R."
        yield b"(S'touch pwned'\ni" + m + b"\n" + n + b"\n."
        yield b"(c" + m + b"\n" + n + b"\nS'touch pwned'\no."
        yield stack + short(b"touch pwned") + b"\x85R."
        yield stack + short(b"touch pwned") + b"\x85\x81."
        yield stack + short(b"touch pwned") + b"\x85}\x92."
        yield b"\x80\2cx\nY\n)\x81}U\x0c__setstate__c" + m + b"\n" + n + b"\nsb."
        yield b"\x80\2c" + m + b"\n" + n + b"\n0N."  # thrown away again

    def test_named_and_refused(self):
        for dotted in CALLS:
            for i, data in enumerate(self.forms(dotted)):
                done = wmap("inspect", self.write("evil.pkl", data), cwd=self.folder)
                self.assertEqual(done.returncode, 3, f"{dotted} {i}: {done.stdout}{done.stderr}")
                self.assertIn("x.Y" if i == 7 else dotted.replace("__builtin__", "builtin"), done.stderr.replace("__builtin__", "builtin"))
                self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)
                self.assertEqual(os.listdir(self.folder), ["evil.pkl"])

    def test_beside_arrays(self):
        """What is asked for is read, the rest is listed; no program is started, no connection made."""
        array = pickle.dumps(np.arange(3.0), 2)[2:-1]
        trace = ["strace", "-f", "-e", "trace=execve,execveat,connect,fork,vfork,kill"] if shutil.which("strace") else []
        for dotted in CALLS[:8]:
            for data in list(self.forms(dotted))[:8]:
                body = data.split(b"\x80\2", 1)[-1] if data[:1] == b"\x80" and data[1] == 2 else data
                both = b"\x80\4}(S'w'\n" + array + b"S'x'\n" + body.replace(b"\x80\4", b"")[:-1] + b"u."
                path, target = self.write("both.pkl", both), self.path("out.npz")
                command = [*trace, settings["wmap"], "run", "-e", '"w" -> "w"; drop "x"', path, "-o", target, "--force"]
                done = subprocess.run(command, capture_output=True, text=True, cwd=self.folder)
                self.assertEqual(done.returncode, 0, done.stderr)
                for call in ("connect(", "vfork(", "execveat("):
                    self.assertNotIn(call, done.stderr)
                self.assertLessEqual(done.stderr.count("execve("), 1)
                self.assertIn("holds a pickled", done.stderr)
                with np.load(target) as z:
                    self.assertEqual(z["w"].tolist(), [0, 1, 2])
                self.assertEqual(sorted(os.listdir(self.folder)), ["both.pkl", "out.npz"])
