"""TensorFlow's checkpoints, written by TensorFlow itself and read by wmap, bit by bit; and files that TensorFlow reads but
does not write (compressed, big-endian, cut in other ways), made by tensorbundle.py and shown to both."""

import glob
import json
import os
import re
import shutil

from common import Case, wmap
import ml_dtypes
import numpy as np
import tensorflow as tf
from tensorbundle import V1, VALUES, Bundle

v1 = tf.compat.v1
SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
RANDOM = np.random.default_rng(71)
DTYPES = {
    "bool": tf.bool, "u8": tf.uint8, "u16": tf.uint16, "u32": tf.uint32, "u64": tf.uint64, "i8": tf.int8,
    "i16": tf.int16, "i32": tf.int32, "i64": tf.int64, "f16": tf.float16, "bf16": tf.bfloat16, "f32": tf.float32,
    "f64": tf.float64, "c64": tf.complex64, "c128": tf.complex128, "f8_e4m3": tf.dtypes.experimental.float8_e4m3fn,
    "f8_e5m2": tf.dtypes.experimental.float8_e5m2,
}  # fmt: skip
SHAPES = [(), (1,), (0,), (3, 0, 2), (7,), (5, 3), (2, 3, 4, 5)]
SAFETENSORS = {
    "BOOL": "bool", "U8": "u1", "U16": "u2", "U32": "u4", "U64": "u8", "I8": "i1", "I16": "i2", "I32": "i4", "I64": "i8",
    "F16": "f2", "F32": "f4", "F64": "f8", "C64": "c8", "BF16": ml_dtypes.bfloat16, "F8_E4M3": ml_dtypes.float8_e4m3fn,
    "F8_E5M2": ml_dtypes.float8_e5m2,
}  # fmt: skip


def random_array(dtype, shape):
    dtype = np.dtype(dtype.as_numpy_dtype if isinstance(dtype, tf.DType) else dtype)
    if dtype == np.bool_:
        return np.asarray(RANDOM.integers(0, 2, shape)).astype(np.bool_)
    count = int(np.prod(shape, dtype=int))
    return RANDOM.integers(0, 256, max(count, 1) * dtype.itemsize, dtype=np.uint8).view(dtype)[:count].reshape(shape)


def bits(array):
    array = np.asarray(array)
    return (array.dtype, array.shape, array.tobytes())


class TensorFlow(Case):
    def read(self, path, rules="keep rest"):
        """All tensors of a checkpoint, through wmap: safetensors lacks c128, npz some others, so both are written."""
        listing = self.inspect(path)["tensors"]
        wide = [t["name"] for t in listing if t["dtype"] == "c128"]
        drops = {t["name"]: f"\ndrop {json.dumps(t['name'])}" for t in listing}
        target = self.path("read.safetensors")
        self.wmap_ok("run", "-e", rules + "".join(drops[n] for n in wide), path, "-o", target, "--force")
        with open(target, "rb") as f:
            raw = f.read()
        start = 8 + int.from_bytes(raw[:8], "little")
        header = json.loads(raw[8:start])
        header.pop("__metadata__", None)
        out = {}
        for name, t in header.items():
            begin, end = t["data_offsets"]
            out[name] = np.frombuffer(raw[start + begin : start + end], SAFETENSORS[t["dtype"]]).reshape(t["shape"])
        if wide:
            target = self.path("read.npz")
            others = "".join(drops[t["name"]] for t in listing if t["dtype"] != "c128")
            self.wmap_ok("run", "-e", "keep rest" + others, path, "-o", target, "--force")
            with np.load(target) as z:
                out.update({n: z[n] for n in wide})
        return out

    def same_as_tensorflow(self, path, prefix=None):
        """wmap reads what TensorFlow reads; the number of tensors."""
        reader = tf.train.load_checkpoint(prefix or path)
        names = {n for n in reader.get_variable_to_shape_map() if n != "_CHECKPOINTABLE_OBJECT_GRAPH"}
        got = self.read(path)
        self.assertEqual(set(got), names)
        for name in names:
            self.assertEqual(bits(got[name]), bits(reader.get_tensor(name)), name)
        return len(names)

    def refused(self, path, status=3, rules="keep rest"):
        done = wmap("run", "-e", rules, path, "-o", self.path("never.npz"))
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        self.assertFalse(os.path.exists(self.path("never.npz")))
        return done.stderr

    def save(self, arrays, prefix, partitioner=None, devices=None, **saver):
        """Saves arrays as TF 1 variables; the path that Saver gives."""
        os.makedirs(os.path.dirname(prefix), exist_ok=True)
        with tf.Graph().as_default():
            for i, (name, array) in enumerate(arrays.items()):
                with tf.device(devices[i % len(devices)] if devices else None):
                    v1.get_variable(name, initializer=tf.constant(array) if partitioner is None else None,
                                    shape=array.shape if partitioner else None, dtype=array.dtype,
                                    partitioner=partitioner, use_resource=False)  # fmt: skip
            with v1.Session(config=v1.ConfigProto(device_count={"CPU": 4})) as session:
                session.run(v1.global_variables_initializer())
                return v1.train.Saver(**saver).save(session, prefix)


class NameBased(TensorFlow):
    def test_every_dtype_and_shape(self):
        arrays = {f"{n}/{i}": random_array(d, s) for n, d in DTYPES.items() for i, s in enumerate(SHAPES)}
        names, values = list(arrays), [tf.constant(a) for a in arrays.values()]
        tf.raw_ops.SaveV2(prefix=self.path("all"), tensor_names=names, shape_and_slices=[""] * len(names),
                          tensors=values)  # fmt: skip
        self.assertEqual(self.same_as_tensorflow(self.path("all")), len(arrays))
        for t in self.inspect(self.path("all"))["tensors"]:
            self.assertEqual(t["dtype"], t["name"].split("/")[0])

    def test_saver_and_its_ways_of_naming(self):
        arrays = {"conv1/weights": random_array(tf.float32, (3, 3, 2, 4)), "conv10/biases": random_array(tf.float32, (4,)),
                  "conv2/biases": random_array(tf.float64, (4,)), "step": np.int64(7)}  # fmt: skip
        prefix = self.save(arrays, self.path("run/model.ckpt-12"))
        for path in [prefix, prefix + ".index", prefix + ".data-00000-of-00001", prefix + ".meta", self.path("run"),
                     self.path("run") + "/", self.path("run/checkpoint")]:  # fmt: skip
            self.assertEqual(self.same_as_tensorflow(path, prefix), 4)
        order = [t["name"] for t in self.inspect(prefix)["tensors"]]
        self.assertEqual(order, ["conv1/weights", "conv2/biases", "conv10/biases", "step"])

    def test_an_empty_base_name(self):
        arrays = {"w": random_array(tf.float32, (2, 3))}
        tf.raw_ops.SaveV2(prefix=self.folder + "/", tensor_names=["w"], shape_and_slices=[""],
                          tensors=[tf.constant(arrays["w"])])  # fmt: skip
        self.assertTrue(os.path.exists(self.path(".index")))
        for path in (self.path(".index"), self.folder, self.path(".data-00000-of-00001")):
            self.assertEqual(bits(self.read(path)["w"]), bits(arrays["w"]))

    def test_several_shards(self):
        arrays = {f"v{i}": random_array(tf.float32, (i + 1, 3)) for i in range(12)}
        parts = []
        for k in range(3):
            names = [n for i, n in enumerate(arrays) if i % 3 == k]
            parts.append(self.path(f"part{k}"))
            tf.raw_ops.SaveV2(prefix=parts[-1], tensor_names=names, shape_and_slices=[""] * len(names),
                              tensors=[tf.constant(arrays[n]) for n in names])  # fmt: skip
        tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=parts, destination_prefix=self.path("whole"))
        self.assertEqual(len(glob.glob(self.path("whole.data-*-of-00003"))), 3)
        self.assertEqual(self.same_as_tensorflow(self.path("whole")), 12)
        os.remove(self.path("whole.data-00001-of-00003"))
        done = self.refused(self.path("whole"), 2)
        self.assertIn("whole.data-00001-of-00003", done)

    def test_sharded_saver(self):
        arrays = {f"v{i}": random_array(tf.float32, (4, i + 1)) for i in range(6)}
        prefix = self.save(arrays, self.path("s/model"), devices=["/cpu:0", "/cpu:1", "/cpu:2"], sharded=True)
        self.assertEqual(self.same_as_tensorflow(prefix), 6)

    def test_partitioned_variables(self):
        arrays = {"emb": np.zeros((101, 16), np.float32), "wide": np.zeros((3, 50), np.float64)}
        for axis, pieces in ((0, 3), (1, 4), (0, 7)):
            def cut(shape, dtype, axis=axis, pieces=pieces):
                return [min(pieces, int(shape[d])) if d == axis else 1 for d in range(len(shape))]

            with tf.Graph().as_default():
                for name, array in arrays.items():
                    v1.get_variable(name, shape=array.shape, dtype=array.dtype, partitioner=cut, use_resource=False,
                                    initializer=v1.random_normal_initializer(seed=axis))  # fmt: skip
                with v1.Session() as session:
                    session.run(v1.global_variables_initializer())
                    prefix = v1.train.Saver().save(session, self.path(f"cut{axis}{pieces}"))
            self.assertEqual(self.same_as_tensorflow(prefix), 2)


class ObjectBased(TensorFlow):
    def test_checkpoint_with_optimizer(self):
        import tf_keras

        model = tf_keras.Sequential([tf_keras.layers.Input([4]), tf_keras.layers.Dense(3, name="d1"),
                                     tf_keras.layers.Dense(2, name="d2")])  # fmt: skip
        model.compile("adam", "mse")
        model.fit(np.ones([4, 4]), np.ones([4, 2]), verbose=0)
        path = tf.train.Checkpoint(model=model, step=tf.Variable(5, name="step")).save(self.path("ck"))
        self.assertGreater(self.same_as_tensorflow(path), 12)
        listing = {t["name"]: t.get("alias") for t in self.inspect(path)["tensors"]}
        kernel = "model/layer_with_weights-0/kernel" + SUFFIX
        self.assertEqual(listing[kernel], "d1/kernel")
        self.assertEqual(listing["save_counter" + SUFFIX], "save_counter")
        self.assertIn("Adam/m/d1/kernel", listing.values())

    def test_slots_of_older_optimizers(self):
        import tf_keras

        model = tf_keras.Sequential([tf_keras.layers.Input([4]), tf_keras.layers.Dense(2, name="d")])
        model.compile(tf_keras.optimizers.legacy.Adam(), "mse")
        model.fit(np.ones([4, 4]), np.ones([4, 2]), verbose=0)
        model.save_weights(self.path("w"), save_format="tf")
        self.assertGreaterEqual(self.same_as_tensorflow(self.path("w")), 8)
        listing = {t["name"]: t.get("alias") for t in self.inspect(self.path("w"))["tensors"]}
        slot = "layer_with_weights-0/kernel/.OPTIMIZER_SLOT/optimizer/m" + SUFFIX
        self.assertEqual(listing[slot], "Adam/d/kernel/m")

    def test_a_spec_in_full_names(self):
        layer = tf.Module(name="net")
        layer.a, layer.b = tf.Variable(tf.ones([2, 3]), name="a/kernel"), tf.Variable(tf.zeros([3]), name="a/bias")
        path = tf.train.Checkpoint(net=layer).write(self.path("m"))
        out = self.path("m.npz")
        self.wmap_ok("run", "-e", '"{l:*}/kernel" [i o] -> "{l}.weight" [o i]\n"{l:*}/bias" -> "{l}.bias"', path, "-o", out)
        with np.load(out) as z:
            self.assertEqual({n: z[n].shape for n in z.files}, {"a.weight": (3, 2), "a.bias": (3,)})
        done = self.refused(path, 3, '"a/kernal" -> "x"\nkeep rest')
        self.assertIn("did you mean `a/kernel`", done)

    def test_keras_weights_and_saved_model(self):
        import tf_keras

        model = tf_keras.Sequential([tf_keras.layers.Input([8, 8, 3]), tf_keras.layers.Conv2D(4, 3, name="c1"),
                                     tf_keras.layers.BatchNormalization(name="bn"), tf_keras.layers.Flatten(),
                                     tf_keras.layers.Dense(2, name="fc")])  # fmt: skip
        model.save_weights(self.path("weights"), save_format="tf")
        self.assertEqual(self.same_as_tensorflow(self.path("weights")), 8)
        model.save(self.path("model"), save_format="tf")
        prefix = self.path("model/variables/variables")
        for path in (self.path("model"), self.path("model/variables"), self.path("model/saved_model.pb"), prefix):
            self.assertGreater(self.same_as_tensorflow(path, prefix), 7)

    def test_keras_3(self):
        import keras

        model = keras.Sequential([keras.layers.Input([4]), keras.layers.Dense(3, name="a"), keras.layers.Dense(2, name="b")])
        tf.train.Checkpoint(model).write(self.path("k3"))
        self.assertGreaterEqual(self.same_as_tensorflow(self.path("k3")), 4)
        names = {t.get("alias") for t in self.inspect(self.path("k3"))["tensors"]}
        self.assertIn("sequential/a/kernel", {re.sub(r"^sequential_[0-9]+", "sequential", n) for n in names if n})
        model.export(self.path("export"), verbose=False)
        prefix = self.path("export/variables/variables")
        self.assertGreaterEqual(self.same_as_tensorflow(self.path("export"), prefix), 4)
        self.assertTrue([t for t in self.inspect(self.path("export"))["tensors"] if "alias" in t])


class Version1(TensorFlow):
    """Its reader in TensorFlow knows few types and no slices, so what was saved is compared."""

    def compare(self, path, arrays):
        got = self.read(path)
        self.assertEqual(set(got), set(arrays))
        for name, array in arrays.items():
            self.assertEqual(bits(got[name]), bits(array), name)

    def test_every_dtype_that_tensorflow_writes(self):
        written = []
        for name, dtype in DTYPES.items():
            arrays = {f"{name}/{i}": random_array(dtype, s) for i, s in enumerate(SHAPES)}
            path = self.path(name)
            try:
                tf.raw_ops.Save(filename=path, tensor_names=list(arrays), data=[tf.constant(a) for a in arrays.values()])
            except (tf.errors.UnimplementedError, tf.errors.InvalidArgumentError):
                continue
            written.append(name)
            self.compare(path, arrays)
            self.assertEqual({t["dtype"] for t in self.inspect(path)["tensors"]}, {name})
        self.assertGreaterEqual(set(written), {"bool", "u8", "i8", "i16", "i32", "i64", "f16", "f32", "f64", "c64", "c128"})

    def test_saver(self):
        arrays = {"w": random_array(tf.float32, (300, 200)), "b": random_array(tf.float64, (4,)), "n": np.int32(-3)}
        for sharded in (False, True):
            prefix = self.path(f"s{sharded}/model.ckpt-7")
            self.save(arrays, prefix, sharded=sharded, write_version=v1.train.SaverDef.V1)
            for path in (prefix, self.path(f"s{sharded}"), prefix + ".meta"):
                self.compare(path, arrays)
                self.assertEqual(self.inspect(path)["format"], "tensorflow-v1")

    def test_shards(self):
        arrays = {f"v{i}": random_array(tf.float32, (i + 1, 3)) for i in range(6)}
        whole = random_array(tf.int32, (6, 4))
        for k in range(3):
            f = V1()
            for i in range(k, 6, 3):
                f.add(f"v{i}", arrays[f"v{i}"])
            f.add("cut", whole, [[(2 * k, 2), (0, 4)]])
            f.write(self.path(f"m-{k:05}-of-00003"))
        for path in (self.path("m"), self.path("m-00000-of-00003"), self.path("m-00002-of-00003")):
            self.compare(path, {**arrays, "cut": whole})
        with tf.Graph().as_default(), v1.Session() as session:
            pattern = self.path("m-?????-of-00003")
            restored = tf.raw_ops.Restore(file_pattern=pattern, tensor_name="v3", dt=tf.float32)
            self.assertEqual(bits(session.run(restored)), bits(arrays["v3"]))
        os.remove(self.path("m-00001-of-00003"))
        self.assertIn("m-00001-of-00003", self.refused(self.path("m"), 2))

    def test_partitioned(self):
        with tf.Graph().as_default():
            for name, axis in (("rows", 0), ("columns", 1)):
                v1.get_variable(name, shape=(31, 17), partitioner=v1.fixed_size_partitioner(4, axis), use_resource=False,
                                initializer=v1.random_normal_initializer())  # fmt: skip
            with v1.Session() as session:
                session.run(v1.global_variables_initializer())
                a = v1.train.Saver(write_version=v1.train.SaverDef.V1).save(session, self.path("one"))
                b = v1.train.Saver().save(session, self.path("two"))
        reader = tf.train.load_checkpoint(b)
        self.compare(a, {n: reader.get_tensor(n) for n in ("rows", "columns")})

    def test_hand_made_forms(self):
        for packed in (True, False):
            for i, options in enumerate(({}, {"compress": True}, {"per_block": 3, "compress": True, "compress_index": True},
                                         {"per_block": 1})):  # fmt: skip
                f, arrays = V1(), {}
                for dtype in VALUES:
                    for k, shape in enumerate(SHAPES):
                        name = f"{dtype}/{k}"
                        arrays[name] = random_array(np.dtype(dtype), shape)
                        f.add(name, arrays[name], packed=packed)
                    name = f"{dtype}/cut"
                    arrays[name] = random_array(np.dtype(dtype), (5, 300))
                    f.add(name, arrays[name], [[(0, 5), (0, 100)], [(0, 2), (100, 200)], [(2, 3), (100, 200)]], packed)
                self.compare(f.write(self.path(f"f{i}"), **options), arrays)

    def test_tensorflow_reads_the_hand_made_ones(self):
        """So that the writer of these tests is no invention."""
        f, arrays = V1(), {n: random_array(np.dtype(n), (3, 4)) for n in ("float32", "int8", "int64", "float64")}
        for name, array in arrays.items():
            f.add(name, array)
        reader = tf.train.load_checkpoint(f.write(self.path("one"), compress=True))
        for name, array in arrays.items():
            self.assertEqual(bits(reader.get_tensor(name)), bits(array))


class HandMade(TensorFlow):
    """What TensorFlow reads but does not write; both must read the same."""

    def bundle(self, big=False, shards=1):
        b = Bundle(shards, big)
        for i, (name, dtype) in enumerate(DTYPES.items()):
            if big and name.startswith("f8"):
                continue  # TensorFlow refuses to swap what has one byte
            for k, shape in enumerate(SHAPES):
                b.add(f"{name}/part{k}", random_array(dtype, shape), i % shards)
        return b

    def test_compressed_blocks(self):
        for i, options in enumerate(({"compress": True}, {"compress": True, "per_block": 7, "compress_index": True},
                                     {"per_block": 1}, {"restart": 1, "per_block": 5})):  # fmt: skip
            path = self.bundle().write(self.path(f"b{i}"), **options)
            self.assertEqual(self.same_as_tensorflow(path), len(DTYPES) * len(SHAPES))

    def test_big_endian(self):
        path = self.bundle(big=True, shards=3).write(self.path("big"))
        self.assertEqual(self.same_as_tensorflow(path), (len(DTYPES) - 2) * len(SHAPES))

    def test_text_is_opaque(self):
        b = Bundle()
        b.add("w", random_array(tf.float32, (3,)))
        b.add_text("s", [b"hello", b"", b"x" * 300], (3,))
        path = b.write(self.path("text"))
        self.assertEqual(tf.train.load_checkpoint(path).get_tensor("s").tolist(), [b"hello", b"", b"x" * 300])
        self.assertEqual([t["dtype"] for t in self.inspect(path)["tensors"]], ["opaque", "f32"])
        self.assertEqual(list(self.read(path, '"w" -> "w"\ndrop "s"')), ["w"])

    def test_slices_cut_in_many_ways(self):
        cuts = {
            "rows": ((6, 5), [[(0, 2), (0, 5)], [(2, 1), (0, 5)], [(3, 3), (0, 5)]]),
            "columns": ((6, 5), [[(0, 6), (0, 1)], [(0, 6), (1, 3)], [(0, 6), (4, 1)]]),
            "grid": ((6, 4), [[(r, 3), (c, 2)] for c in (0, 2) for r in (3, 0)]),
            "windmill": ((3, 3), [[(0, 1), (0, 2)], [(0, 2), (2, 1)], [(2, 1), (1, 2)], [(1, 2), (0, 1)],
                                  [(1, 1), (1, 1)]]),
            "deep": ((2, 3, 4, 2), [[(0, 2), (a, n), (c, 2), (0, 2)] for a, n in ((0, 1), (1, 2)) for c in (0, 2)]),
        }  # fmt: skip
        for big in (False, True):
            for dtype in (tf.float32, tf.int8, tf.complex64, tf.float16):
                b, arrays = Bundle(2, big), {}
                for name, (shape, boxes) in cuts.items():
                    for spelled in (True, False):
                        key = f"{name}{spelled}"
                        arrays[key] = random_array(dtype, shape)
                        b.add_slices(key, arrays[key], boxes, (0, 1), spelled)
                path = b.write(self.path("cut"))
                got = self.read(path)
                for key, array in arrays.items():
                    self.assertEqual(bits(got[key]), bits(array), key)
                if dtype != tf.float16:  # TensorFlow doesn't join slices of f16
                    self.same_as_tensorflow(path)
                shutil.rmtree(path, ignore_errors=True)

    def test_long_names_and_awkward_ones(self):
        b = Bundle()
        names = ["x" * 5000, "a b", "a:0", "ü/ÿ", "v\n1", "100%", "a//b", "."]
        for name in names:
            b.add(name, random_array(tf.float32, (2,)))
        b.add_slices("sliced ÿ\xff", random_array(tf.float32, (100, 300)), [[(0, 100), (0, 64)], [(0, 100), (64, 236)]])
        path = b.write(self.path("names"))
        self.assertEqual(self.same_as_tensorflow(path), len(names) + 1)
