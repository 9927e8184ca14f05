"""TensorFlow checkpoints that wmap writes, read by TensorFlow: load_checkpoint, Saver, tf.train.Checkpoint."""

import os

from common import LIBRARY, Case, wmap
from test_dtypes import SHAPES, TORCH, random_tensor
import numpy as np
import safetensors.numpy
import safetensors.torch
import tensorflow as tf
import torch
from tensorbundle import Bundle

KEEP = "keep rest"
SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
DTYPES = {
    "bool": tf.bool, "u8": tf.uint8, "u16": tf.uint16, "u32": tf.uint32, "u64": tf.uint64, "i8": tf.int8,
    "i16": tf.int16, "i32": tf.int32, "i64": tf.int64, "f16": tf.float16, "bf16": tf.bfloat16, "f32": tf.float32,
    "f64": tf.float64, "c64": tf.complex64, "c128": tf.complex128,
}  # fmt: skip


def bits(a):
    a = np.asarray(a)
    return (a.dtype, a.shape, a.tobytes(order="C"))


class Write(Case):
    def read_all(self, prefix):
        reader = tf.train.load_checkpoint(prefix)
        return {n: reader.get_tensor(n) for n in reader.get_variable_to_shape_map()}

    def npz(self, **arrays):
        np.savez(self.path("i.npz"), **arrays)
        return self.path("i.npz")

    def random(self, sizes):
        random = np.random.default_rng(7)
        return {f"layer{i}/kernel": random.standard_normal(n).astype(np.float32) for i, n in enumerate(sizes)}

    def files(self, prefix):
        folder, base = os.path.split(prefix)
        found = {}
        for name in os.listdir(folder):
            if name.startswith(base):
                with open(os.path.join(folder, name), "rb") as f:
                    found[name[len(base) :]] = f.read()
        return found

    def to_tf(self, source, name="out/model.ckpt", *flags):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        self.wmap_ok("run", "-e", KEEP, source, "-o", self.path(name), "--to-format", "tensorflow", *flags)
        return self.path(name)


class Bytes(Write):
    def test_every_dtype(self):
        tensors = {}
        for name in TORCH:
            for i, shape in enumerate(SHAPES):
                tensors[f"{name}/{i}"] = random_tensor(name, shape)
        torch.save(tensors, self.path("i.pth"))
        reader = tf.train.load_checkpoint(self.to_tf(self.path("i.pth")))
        self.assertEqual(sorted(reader.get_variable_to_shape_map()), sorted(tensors))
        types = dict(DTYPES, f8_e4m3=tf.dtypes.experimental.float8_e4m3fn, f8_e5m2=tf.dtypes.experimental.float8_e5m2)
        for name, want in tensors.items():
            self.assertEqual(reader.get_variable_to_dtype_map()[name], types[name.split("/")[0]], name)
            found = reader.get_tensor(name)
            flat = want.contiguous().reshape(-1)
            raw = flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""
            self.assertEqual((np.asarray(found).tobytes(), np.shape(found)), (raw, tuple(want.shape)), name)

    def save_by_tensorflow(self, name, arrays):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        names = list(arrays)
        tf.raw_ops.SaveV2(prefix=self.path(name), tensor_names=names, shape_and_slices=[""] * len(names),
                          tensors=[tf.constant(arrays[n]) for n in names])  # fmt: skip
        return self.path(name)

    def test_bytes_are_those_of_tensorflow(self):
        """The same names in the same order: the files are the same, index and data."""
        random = np.random.default_rng(8)
        small = {f"v{i:02}": random.standard_normal((i, 3)).astype(np.float32) for i in range(40)}
        # names that make several blocks of the index, whose separators are short, long, and whole keys
        many = {f"model/{'x' * (i % 90)}/block_{i:05}/kernel": np.float32(i) for i in range(6000)}
        many.update({f"{chr(97 + i % 26)}{i:06}{'y' * (i % 200)}": np.int64(i) for i in range(4000)})
        edge = {"a": np.float32(1), "a\x7f": np.float32(2), "a\x7f\x7f": np.float32(3), "é": np.zeros((0, 3), np.int8),
                "\U0001f600" * 20: np.float64(5), "z" * 60000: np.float32(6)}  # fmt: skip
        for case, arrays in (("small", small), ("many", many), ("edge", edge), ("none", {})):
            with self.subTest(case):
                arrays = dict(sorted(arrays.items(), key=lambda x: x[0].encode()))
                source = self.path(case + ".npz")
                if case == "none":
                    safetensors.numpy.save_file({"w": np.zeros(1, np.float32)}, self.path("none.safetensors"))
                    self.wmap_ok("run", "-e", 'drop "w"', self.path("none.safetensors"), "-o",
                                 self.path("none/"), "--to-format", "tensorflow")  # fmt: skip
                    self.assertEqual(self.read_all(self.path("none/model.ckpt")), {})
                    continue
                torch.save({n: torch.from_numpy(np.asarray(a)) for n, a in arrays.items()}, source)
                ours = self.files(self.to_tf(source, f"{case}/wmap"))
                theirs = self.files(self.save_by_tensorflow(f"{case}-tf/wmap", arrays))
                self.assertEqual(sorted(ours), sorted(theirs))
                for name in ours:
                    self.assertEqual(ours[name] == theirs[name], True, f"{case}: {name} differs")

    def test_shards(self):
        arrays = self.random([100, 30, 500, 20, 20, 1, 40, 1])
        prefix = self.to_tf(self.npz(**arrays), "out/model.ckpt", "--shard-size", "400")
        shards = sorted(n for n in os.listdir(self.path("out")) if ".data-" in n)
        self.assertEqual(shards, [f"model.ckpt.data-{i:05}-of-{len(shards):05}" for i in range(len(shards))])
        self.assertGreater(len(shards), 3)
        found = self.read_all(prefix)
        self.assertEqual(sorted(found), sorted(arrays))
        for name in arrays:
            self.assertEqual(bits(found[name]), bits(arrays[name]), name)
        variables = dict(tf.train.list_variables(prefix))
        self.assertEqual(variables, {n: list(a.shape) for n, a in arrays.items()})

    def test_what_cannot_be_written(self):
        np.save(self.path("i.npy"), np.zeros(3, np.float32))
        np.savez(self.path("r.npz"), w=np.zeros(3, "V2"))
        out = self.path("o.index")
        for source, rule, words in ((self.path("i.npy"), '"0" -> "_CHECKPOINTABLE_OBJECT_GRAPH"', "object graph"),
                                    (self.path("i.npy"), '"0" -> "\\u{0}x"', "zero byte"),
                                    (self.path("r.npz"), '"w" -> "w"', "raw16")):  # fmt: skip
            done = wmap("run", "-e", rule, source, "-o", out)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(words, done.stderr)
            self.assertFalse([n for n in os.listdir(self.folder) if n.startswith("o") or "tmp" in n])


class CheckpointFile(Write):
    def test_latest_checkpoint(self):
        arrays = self.random([3])
        prefix = self.to_tf(self.npz(**arrays))
        self.assertEqual(sorted(os.listdir(self.path("out"))),
                         ["checkpoint", "model.ckpt.data-00000-of-00001", "model.ckpt.index"])  # fmt: skip
        self.assertEqual(tf.train.latest_checkpoint(self.path("out")), prefix)
        self.assertEqual(tf.train.get_checkpoint_state(self.path("out")).all_model_checkpoint_paths, [prefix])
        self.assertEqual(bits(self.read_all(self.path("out"))["layer0/kernel"]), bits(arrays["layer0/kernel"]))
        # one that is there stays; a second checkpoint is said not to be in it
        done = wmap("run", "-e", KEEP, self.path("i.npz"), "-o", self.path("out/other.index"))
        self.assertEqual(done.returncode, 0)
        self.assertIn("checkpoint", done.stderr)
        self.assertEqual(tf.train.latest_checkpoint(self.path("out")), prefix)
        done = wmap("run", "-e", KEEP, self.path("i.npz"), "-o", self.path("out/model.ckpt.index"), "--force")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(tf.train.latest_checkpoint(self.path("out")), prefix)

    def test_odd_names(self):
        arrays = self.random([3])
        for base in ("a b", 'q"', "gewicht ä", "x\ty", "new\nline"):
            with self.subTest(base):
                folder = f"out{len(os.listdir(self.folder))}"
                prefix = self.to_tf(self.npz(**arrays), f"{folder}/{base}")
                self.assertEqual(tf.train.latest_checkpoint(self.path(folder)), prefix)

    def test_saved_model_has_none(self):
        self.to_tf(self.npz(**self.random([3])), "saved/variables/variables.index")
        self.assertEqual(len(os.listdir(self.path("saved/variables"))), 2)
        done = wmap("run", "-e", KEEP, self.path("i.npz"), "-o", self.path("saved/.index"))
        self.assertEqual(done.returncode, 2)

    def test_outputs_are_no_variables(self):
        done = wmap("run", "-e", '"{x:**}" -> "{x}:0"', self.npz(**self.random([3])), "-o", self.path("o.index"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(":0", done.stderr)


class Saver(Write):
    def test_restores_a_tf1_graph(self):
        arrays = self.random([(3, 4), (4,)])
        arrays["global_step"] = np.int64(77)
        arrays["emb"] = np.arange(6, dtype=np.float16)
        for flags in ((), ("--shard-size", "40")):
            prefix = self.to_tf(self.npz(**arrays), f"out{len(flags)}/model.ckpt", *flags)
            with tf.Graph().as_default():
                variables = [tf.compat.v1.get_variable(n, a.shape, tf.as_dtype(a.dtype), use_resource=False)
                             for n, a in arrays.items()]  # fmt: skip
                with tf.compat.v1.Session() as session:
                    tf.compat.v1.train.Saver().restore(session, prefix)
                    for v in variables:
                        self.assertEqual(bits(session.run(v)), bits(arrays[v.op.name]), v.op.name)
                    # what is missing is an error of TensorFlow's, so the restore above was one
                with tf.compat.v1.Session() as session:
                    extra = tf.compat.v1.get_variable("extra", [2], use_resource=False)
                    with self.assertRaises(tf.errors.NotFoundError):
                        tf.compat.v1.train.Saver([*variables, extra]).restore(session, prefix)


class Variables(Write):
    """specs/tensorflow/variables.wmap: a script's .npz to the variables of a TF 1 graph, checked against what its Saver saves."""

    SPEC = os.path.join(LIBRARY, "tensorflow", "variables.wmap")
    SHAPES = {"conv1_1/weights": (3, 3, 3, 8), "conv1_1/biases": (8,), "top/fc6/weights": (32, 10), "top/fc6/biases": (10,)}

    def graph(self, shapes, dtypes=()):
        return [tf.compat.v1.get_variable(n, s, dict(dtypes).get(n, tf.float32), use_resource=False) for n, s in shapes.items()]

    def saved(self, name, shapes, dtypes=()):
        """A new graph's checkpoint, before anything is loaded."""
        os.mkdir(self.path(name))
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            self.graph(shapes, dtypes)
            session.run(tf.compat.v1.global_variables_initializer())
            return tf.compat.v1.train.Saver().save(session, self.path(f"{name}/graph.ckpt"), write_meta_graph=False)

    def arrays(self, **more):
        random = np.random.default_rng(3)
        names = {n: n.replace("/weights", "_W").replace("/biases", "_b") for n in self.SHAPES}
        arrays = {n: random.standard_normal(s).astype("f4") for n, s in self.SHAPES.items()}
        np.savez(self.path("w.npz"), **{names[n]: a for n, a in arrays.items()}, **more)
        return arrays

    def test_restored(self):
        arrays, like = self.arrays(), self.saved("like", self.SHAPES)
        os.mkdir(self.path("out"))
        prefix = self.path("out/model.ckpt")
        self.wmap_ok("run", self.SPEC, self.path("w.npz"), "-o", prefix, "--to-format", "tensorflow", "--target-like", like)
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            variables = self.graph(self.SHAPES)
            tf.compat.v1.train.Saver().restore(session, prefix)
            for v in variables:
                self.assertEqual(bits(session.run(v)), bits(arrays[v.op.name]), v.op.name)

    def test_all_that_differs_is_said_together(self):
        """A shape, a dtype, an array too many, two variables without one: one report, and nothing is written."""
        self.arrays(mean=np.zeros(3))
        shapes = {**self.SHAPES, "conv1_1/weights": (3, 3, 3, 9), "fc7/weights": (10, 2), "fc7/biases": (2,)}
        like = self.saved("like", shapes, {"top/fc6/biases": tf.float64})
        os.mkdir(self.path("out"))
        done = wmap("run", self.SPEC, self.path("w.npz"), "-o", self.path("out/model.ckpt"), "--to-format", "tensorflow",
                    "--target-like", like)  # fmt: skip
        self.assertEqual((done.returncode, done.stdout), (3, ""))
        for said in ("conv1_1/weights` f32 [3 3 3 9]", "`top/fc6/biases` is f64", "`mean`", "fc7/weights", "fc7/biases", "4 errors"):
            self.assertIn(said, done.stderr)
        self.assertEqual(os.listdir(self.path("out")), [])


def convolution(keras, seed):
    """A small model of Keras 3 or of TF-Keras; one of its layers has no variables."""
    keras.utils.set_random_seed(seed)
    i = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3)(i)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Flatten()(x)
    return keras.Model(i, keras.layers.Dense(5)(x))


def tf_keras_model(seed):
    import tf_keras

    return convolution(tf_keras, seed)


def keras_model(seed):
    import keras

    return convolution(keras, seed)


class Objects(Write):
    """tf.train.Checkpoint restores by the object graph, which wmap makes of the names."""

    def arrays_of(self, trackable):
        reader = tf.train.load_checkpoint(tf.train.Checkpoint(trackable).write(self.path("theirs/ckpt")))
        return {n: reader.get_tensor(n) for n in reader.get_variable_to_shape_map() if n.endswith(SUFFIX)}

    def restored(self, first, second):
        arrays = self.arrays_of(first)
        self.assertGreater(len(arrays), 3)
        self.assertNotEqual(bits(first.weights[0].numpy()), bits(second.weights[0].numpy()))
        prefix = self.to_tf(self.npz(**arrays))
        status = tf.train.Checkpoint(second).restore(prefix)
        status.assert_existing_objects_matched()
        return prefix

    def same_model(self, a, b):
        x = np.random.default_rng(9).standard_normal((2, 8, 8, 3)).astype(np.float32)
        for v, w in zip(a.weights, b.weights):
            self.assertEqual(bits(v.numpy()), bits(w.numpy()))
        self.assertEqual(bits(a(x).numpy()), bits(b(x).numpy()))

    def test_tf_keras_model(self):
        a, b = tf_keras_model(1), tf_keras_model(2)
        self.restored(a, b)
        self.same_model(a, b)

    def test_keras_3_model(self):
        a, b = keras_model(1), keras_model(2)
        self.restored(a, b)
        self.same_model(a, b)

    def test_load_weights_of_tf_keras(self):
        a, b = tf_keras_model(1), tf_keras_model(2)
        prefix = self.to_tf(self.npz(**self.arrays_of(a)))
        b.load_weights(prefix).assert_existing_objects_matched()
        self.same_model(a, b)

    def test_what_is_missing_is_noticed(self):
        a, b = tf_keras_model(1), tf_keras_model(2)
        arrays = self.arrays_of(a)
        gone = next(n for n in arrays if "kernel" in n)
        del arrays[gone]
        prefix = self.to_tf(self.npz(**arrays))
        with self.assertRaises(AssertionError):
            tf.train.Checkpoint(b).restore(prefix).assert_existing_objects_matched()

    def test_optimizer_slots_and_escaped_names(self):
        import tf_keras

        class Holder(tf.Module):
            def __init__(self, scale):
                super().__init__()
                self.v = tf.Variable([scale, 2.0])
                self.table = {"a/b": tf.Variable(scale), "c.d": tf.Variable([scale]), ".S": tf.Variable(3 * scale)}
                self.list = [tf.Variable(4 * scale), tf.Variable(5 * scale)]

        def trained(scale):
            holder = Holder(scale)
            optimizer = tf_keras.optimizers.legacy.Adam(0.1)
            optimizer.apply_gradients([(tf.constant([scale, 1.0]), holder.v)])
            return holder, optimizer, tf.train.Checkpoint(model=holder, optimizer=optimizer, step=tf.Variable(scale))

        first, one, ours = trained(1.0)
        second, two, other = trained(9.0)
        reader = tf.train.load_checkpoint(ours.write(self.path("theirs/ckpt")))
        arrays = {n: reader.get_tensor(n) for n in reader.get_variable_to_shape_map() if n.endswith(SUFFIX)}
        self.assertTrue(any(".OPTIMIZER_SLOT" in n for n in arrays) and any("..d" in n for n in arrays))
        prefix = self.to_tf(self.npz(**arrays))
        other.restore(prefix).assert_existing_objects_matched()
        self.assertEqual(float(other.step), 1.0)
        self.assertEqual(len(one.variables()), len(two.variables()))
        for v, w in zip([*first.variables, *one.variables()], [*second.variables, *two.variables()]):
            self.assertEqual(bits(v.numpy()), bits(w.numpy()))

    def test_names_without_objects_get_no_graph(self):
        found = self.read_all(self.to_tf(self.npz(**self.random([3, 4]))))
        self.assertNotIn("_CHECKPOINTABLE_OBJECT_GRAPH", found)


class Opaque(Write):
    """What wmap has no type for goes from checkpoint to checkpoint as it is, under any name."""

    TEXTS = {"s": [b"hello", b"", b"\xff\x00" * 70000], "empty": [], "one": b"scalar"}

    def theirs(self):
        """A checkpoint of TensorFlow's own with text of several shapes, and types of which wmap has none."""
        values = {n: tf.constant(t, tf.string) for n, t in self.TEXTS.items()}
        values["grid"] = tf.reshape(tf.constant([b"a", b"bb", b"ccc", b""]), (2, 2))
        values["q8"] = tf.bitcast(tf.constant([1, -2, 3], tf.int8), tf.qint8)
        values["q32"] = tf.bitcast(tf.constant([[1, -2, 3]], tf.int32), tf.qint32)
        values["w"] = tf.constant([[1.5, float("nan")]], tf.float32)
        names = list(values)
        tf.raw_ops.SaveV2(prefix=self.path("theirs"), tensor_names=names, shape_and_slices=[""] * len(names),
                          tensors=[values[n] for n in names])  # fmt: skip
        return self.path("theirs"), values

    def restore(self, prefix, name, dtype):
        return tf.raw_ops.RestoreV2(prefix=prefix, tensor_names=[name], shape_and_slices=[""], dtypes=[dtype])[0]

    def same(self, a, b):
        if b.dtype in (tf.qint8, tf.qint32):
            a, b = (tf.bitcast(x, tf.int8 if b.dtype == tf.qint8 else tf.int32) for x in (a, b))
        self.assertEqual((a.dtype, a.shape), (b.dtype, b.shape))
        a, b = (np.asarray(x.numpy()).tolist() if x.dtype == tf.string else bits(x.numpy()) for x in (a, b))
        self.assertEqual(a, b)

    @staticmethod
    def alone(rule, values, name):
        return "; ".join([rule] + [f'drop "{n}"' for n in values if n != name])

    def test_keep_rest(self):
        prefix, values = self.theirs()
        for flags in ((), ("--shard-size", "20")):
            out = self.to_tf(prefix, f"o{len(flags)}/model.ckpt", *flags)
            for name, value in values.items():
                self.same(self.restore(out, name, value.dtype), value)
        self.assertEqual(tf.train.load_checkpoint(self.path("o0/model.ckpt")).get_tensor("s").tolist(), self.TEXTS["s"])

    def test_bytes_are_those_of_tensorflow(self):
        """Data and index: text has the same lengths, CRCs and bytes. (What is opaque stands behind the rest.)"""
        prefix, values = self.theirs()
        ours = self.files(self.to_tf(prefix, "o/wmap"))
        names = [t["name"] for t in self.inspect(prefix)["tensors"]]
        tf.raw_ops.SaveV2(prefix=self.path("again"), tensor_names=names, shape_and_slices=[""] * len(names),
                          tensors=[values[n] for n in names])  # fmt: skip
        theirs = self.files(self.path("again"))
        self.assertEqual(sorted(theirs), sorted(ours))
        for name in ours:
            self.assertEqual(ours[name] == theirs[name], True, name)

    def test_rename(self):
        prefix, values = self.theirs()
        rules = '"s" -> "a/text"; "q{x:*}" -> "n/q{x}"; drop "w"; drop "grid"; drop "empty"; drop "one"'
        self.wmap_ok("run", "-e", rules, prefix, "-o", self.path("r.index"))
        for name, old in (("a/text", "s"), ("n/q8", "q8"), ("n/q32", "q32")):
            self.same(self.restore(self.path("r"), name, values[old].dtype), values[old])

    def test_nothing_else(self):
        prefix, values = self.theirs()
        for rule in ('"grid" [a b] -> "x" [b a]', '"grid" | cast f32 -> "x"', '"grid" | * 2 -> "x"',
                     '"grid" [i b] -> "x{i}" [b]', '"grid" [a b] -> "x" [a b]'):  # fmt: skip
            done = wmap("run", "-e", self.alone(rule, values, "grid"), prefix, "-o", self.path("x.index"))
            self.assertEqual(done.returncode, 3, rule + done.stderr)
            self.assertIn("E0606", done.stderr)
            self.assertFalse(os.path.exists(self.path("x.index")))

    def test_formats_without_text(self):
        prefix, values = self.theirs()
        for suffix in ("npz", "safetensors", "pth", "h5"):
            for rules in (KEEP, self.alone('"one" -> "renamed"', values, "one")):
                done = wmap("run", "-e", rules, prefix, "-o", self.path("x." + suffix))
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertIn("E0610", done.stderr)
                self.assertIn("DT_", done.stderr)
                self.assertIn("renamed" if rules != KEEP else "empty", done.stderr)
                self.assertFalse([n for n in os.listdir(self.folder) if n.startswith("x") or "tmp" in n])

    def test_damage_is_not_copied(self):
        prefix, values = self.theirs()
        data = prefix + ".data-00000-of-00001"
        with open(data, "rb") as f:
            good = f.read()
        hello = good.index(b"hello")
        for at, name in ((hello, "s"), (hello - 1, "s"), (hello - 6, "s"), (good.index(b"\1\xfe\3"), "q8")):
            with open(data, "wb") as f:
                f.write(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
            done = wmap("run", "-e", self.alone(f'"{name}" -> "x"', values, name), prefix, "-o", self.path("d.index"))
            self.assertEqual(done.returncode, 3, done.stderr)
            self.assertIn("CRC", done.stderr)
            self.assertFalse(os.path.exists(self.path("d.index")))

    def test_big_endian_text(self):
        b = Bundle(big=True)
        b.add_text("s", self.TEXTS["s"], (3,))
        b.add("w", np.array([1, 2], np.float32))
        prefix = b.write(self.path("big"))
        self.assertEqual(tf.train.load_checkpoint(prefix).get_tensor("s").tolist(), self.TEXTS["s"])
        out = self.to_tf(prefix)
        self.assertEqual(tf.train.load_checkpoint(out).get_tensor("s").tolist(), self.TEXTS["s"])
        self.assertEqual(self.read_all(out)["w"].tolist(), [1, 2])

    def test_safetensors(self):
        """The same for the types of safetensors that wmap has none for, in a set as well."""
        torch.manual_seed(1)
        f8 = torch.randint(0, 255, (3, 4), dtype=torch.uint8).view(torch.float8_e8m0fnu)
        fnuz = torch.randint(0, 255, (5,), dtype=torch.uint8).view(torch.float8_e4m3fnuz)
        tensors = {"e": f8, "z": fnuz, "w": torch.ones(3), "none": f8[:0]}
        safetensors.torch.save_file(tensors, self.path("i.safetensors"))
        rules = '"e" -> "b/e"; keep rest'
        self.wmap_ok("run", "-e", rules, self.path("i.safetensors"), "-o", self.path("o.safetensors"))
        self.wmap_ok("run", "-e", rules, self.path("i.safetensors"), "-o", self.path("set/"), "--to-format",
                     "safetensors", "--shard-size", "12")  # fmt: skip
        self.wmap_ok("run", "-e", KEEP, self.path("set"), "-o", self.path("p.safetensors"))
        for name in ("o", "p"):
            found = safetensors.torch.load_file(self.path(name + ".safetensors"))
            self.assertEqual(sorted(found), ["b/e", "none", "w", "z"])
            for key, want in tensors.items():
                got = found["b/e" if key == "e" else key]
                self.assertEqual((got.dtype, got.shape), (want.dtype, want.shape))
                self.assertTrue(torch.equal(got.view(torch.uint8), want.view(torch.uint8)), key)
        done = wmap("run", "-e", KEEP, self.path("i.safetensors"), "-o", self.path("o.pth"))
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("F8_E4M3FNUZ", done.stderr)
        self.assertIn("2 more", done.stderr)


class Like(Write):
    """A template (--like) gives its names, its object graph and all state; the map gives the weights."""

    def trained(self, seed):
        import keras

        model = keras_model(seed)
        model.compile(optimizer=keras.optimizers.Adam(0.01), loss="mse", run_eagerly=True, jit_compile=False)
        random = np.random.default_rng(seed)
        model.fit(random.standard_normal((4, 8, 8, 3)), random.standard_normal((4, 5)), epochs=2, verbose=0)
        return model

    def full_names(self, model):
        return {v.path: v.numpy() for v in model.weights}

    def test_keras_3_by_full_names(self):
        """Keras 3's keys can't be guessed, but the variables have names; the optimizer goes on where it stood."""
        old, new, live = self.trained(1), self.trained(2), self.trained(3)
        template = tf.train.Checkpoint(model=old).save(self.path("theirs/ckpt"))
        values = {n: a for n, a in zip(self.full_names(old), self.full_names(new).values())}
        for flags in ((), ("--shard-size", "300")):
            prefix = self.path(f"out{len(flags)}/model.ckpt")
            os.makedirs(os.path.dirname(prefix))
            self.wmap_ok("run", "-e", KEEP, self.npz(**values), "-o", prefix, "--like", template, *flags)
            found, before = self.read_all(prefix), self.read_all(template)
            self.assertEqual(sorted(found), sorted(before))
            self.assertEqual(found["_CHECKPOINTABLE_OBJECT_GRAPH"], before["_CHECKPOINTABLE_OBJECT_GRAPH"])
            tf.train.Checkpoint(model=live).restore(prefix).assert_consumed()
            for v, w in zip(live.weights, new.weights):
                self.assertEqual(bits(v.numpy()), bits(w.numpy()), v.path)
            for v, w in zip(live.optimizer.variables, old.optimizer.variables):
                self.assertEqual(bits(v.numpy()), bits(w.numpy()), v.path)
            live.fit(np.ones((4, 8, 8, 3)), np.ones((4, 5)), verbose=0)

    def test_what_does_not_fit(self):
        old = keras_model(1)
        template = tf.train.Checkpoint(old).write(self.path("theirs/ckpt"))
        values = self.full_names(old)
        names = list(values)
        cases = [
            ({n: a for n, a in values.items() if n not in names[:2]}, "the map doesn't write it"),
            ({**values, "extra": np.zeros(3, np.float32)}, "no variable of this name"),
            ({**values, names[0]: values[names[0]][..., :2]}, "another shape"),
            ({**values, names[0]: values[names[0]].astype(np.float64)}, "another dtype"),
        ]
        for arrays, words in cases:
            with self.subTest(words):
                done = wmap("run", "-e", KEEP, self.npz(**arrays), "-o", self.path("o.index"), "--like", template)
                self.assertEqual(done.returncode, 3, done.stderr)
                self.assertIn(words, done.stderr)
                self.assertFalse([n for n in os.listdir(self.folder) if n.startswith("o.") or "tmp" in n])
        done = wmap("run", "-e", KEEP, self.npz(**cases[0][0]), "-o", self.path("o.index"), "--like", template)
        self.assertIn("1 more", done.stderr)

    def test_a_saver_checkpoint_keeps_its_slots(self):
        with tf.Graph().as_default():
            v = tf.compat.v1.get_variable("conv/kernel", initializer=np.ones(3, np.float32), use_resource=False)
            step = tf.compat.v1.train.get_or_create_global_step()
            train = tf.compat.v1.train.AdamOptimizer(0.1).minimize(tf.reduce_sum(v * v), step)
            saver = tf.compat.v1.train.Saver()
            with tf.compat.v1.Session() as session:
                session.run(tf.compat.v1.global_variables_initializer())
                session.run(train)
                os.makedirs(self.path("tf1"))
                template = saver.save(session, self.path("tf1/model.ckpt"))
                before = {x.op.name: session.run(x) for x in tf.compat.v1.global_variables()}
                new = np.array([7, 8, 9], np.float32)
                self.wmap_ok("run", "-e", KEEP, self.npz(**{"conv/kernel": new}), "-o", self.path("o.ckpt"),
                             "--like", template)  # fmt: skip
                saver.restore(session, self.path("o.ckpt"))
                after = {x.op.name: session.run(x) for x in tf.compat.v1.global_variables()}
        self.assertEqual(sorted(after), sorted(before))
        self.assertTrue(any("Adam" in n for n in after))
        for name in after:
            self.assertEqual(bits(after[name]), bits(new if name == "conv/kernel" else before[name]), name)

    def test_big_endian_and_partitioned(self):
        """What is kept of such a template is written little-endian and in one piece; TensorFlow reads both alike."""
        random = np.random.default_rng(3)
        slot = random.standard_normal((6, 4)).astype(np.float32)
        rows = [[(0, 4), (0, 4)], [(4, 2), (0, 4)]]
        for big in (False, True):
            b = Bundle(2, big)
            b.add("w", np.zeros((2, 2), np.float32))
            b.add("global_step", np.int64(7) + np.zeros((), np.int64), 1)
            b.add("w/Momentum", np.array([[1, 2], [3, 4]], np.float32))
            b.add_slices("emb", np.zeros((6, 4), np.float32), rows, (0, 1))
            b.add_slices("emb/Adam", slot, rows, (1, 0))
            b.add_slices("emb/Adam_1", slot.astype(np.float16), rows)
            b.add_text("names", [b"a", b"", b"c" * 200], (3,))
            template = b.write(self.path(f"t{big}"))
            before = {n: tf.train.load_checkpoint(template).get_tensor(n) for n in
                      ("global_step", "w/Momentum", "emb/Adam", "names")}  # fmt: skip
            new = {"w": np.ones((2, 2), np.float32), "emb": random.standard_normal((6, 4)).astype(np.float32)}
            out = self.path(f"o{big}.index")
            self.wmap_ok("run", "-e", KEEP, self.npz(**new), "-o", out, "--like", template)
            found = self.read_all(out[:-6])
            self.assertEqual(sorted(found), sorted(set(before) | set(new) | {"emb/Adam_1"}))
            self.assertEqual(bits(found["emb/Adam_1"]), bits(slot.astype(np.float16)))
            for name, value in {**before, **new}.items():
                same = (found[name].tolist() == value.tolist()) if name == "names" else bits(found[name]) == bits(value)
                self.assertTrue(same, name)
            # damage in what is kept is found, not copied
            for at in (b"c" * 200, slot[0].tobytes() if not big else slot[0].byteswap().tobytes()):
                for shard in (0, 1):
                    path = template + f".data-{shard:05}-of-00002"
                    with open(path, "rb") as f:
                        good = f.read()
                    if at not in good:
                        continue
                    with open(path, "wb") as f:
                        f.write(good.replace(at, bytes([at[0] ^ 1]) + at[1:]))
                    done = wmap("run", "-e", KEEP, self.path("i.npz"), "-o", self.path("d.index"), "--like", template)
                    self.assertEqual(done.returncode, 3, done.stderr)
                    self.assertIn("CRC", done.stderr)
                    self.assertFalse(os.path.exists(self.path("d.index")))
                    with open(path, "wb") as f:
                        f.write(good)

    def test_a_big_endian_template_with_an_object_graph(self):
        b = Bundle(big=True)
        old = keras_model(1)
        theirs = tf.train.Checkpoint(model=old).write(self.path("theirs/ckpt"))
        reader = tf.train.load_checkpoint(theirs)
        for name in reader.get_variable_to_shape_map():
            value = reader.get_tensor(name)
            if isinstance(value, bytes):
                b.add_text(name, [value])
            else:
                b.add(name, np.asarray(value))
        template = b.write(self.path("big"))
        new = {n: a + 1 for n, a in self.full_names(old).items()}
        self.wmap_ok("run", "-e", KEEP, self.npz(**new), "-o", self.path("o.index"), "--like", template)
        live = keras_model(2)
        tf.train.Checkpoint(model=live).read(self.path("o")).assert_existing_objects_matched()
        for v, value in zip(live.weights, new.values()):
            self.assertEqual(bits(v.numpy()), bits(value), v.path)

    def test_a_damaged_template(self):
        old = keras_model(1)
        template = tf.train.Checkpoint(model=old).save(self.path("theirs/ckpt"))
        data = template + ".data-00000-of-00001"
        with open(data, "rb") as f:
            good = f.read()
        counter = tf.train.load_checkpoint(template).get_tensor("save_counter/.ATTRIBUTES/VARIABLE_VALUE")
        at = good.index(np.int64(counter).tobytes())
        with open(data, "wb") as f:
            f.write(good[:at] + b"\x55" + good[at + 1 :])
        done = wmap("run", "-e", KEEP, self.npz(**self.full_names(old)), "-o", self.path("o.index"), "--like", template)
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn("CRC", done.stderr)
        self.assertFalse(os.path.exists(self.path("o.index")))
        done = wmap("run", "-e", KEEP, self.path("i.npz"), "-o", self.path("o.index"), "--like", self.path("i.npz"))
        self.assertEqual(done.returncode, 3, done.stderr)
