"""wmap writes Keras' files; h5py, Keras 3 and TF-Keras read them, predict the same and go on training."""

import json
import os
import shutil
import zipfile

from common import ROOT, SPECS, Case, distance, randomize, wmap
import h5py
import keras
import ml_dtypes
import numpy as np
import tf_keras
import torch

from test_keras_torch import TorchCnn, channels_first, cnn, keras_cnn

L = keras.layers
SPEC = os.path.join(SPECS, "keras_back.wmap")
BY_NAMES = {"h5": 0, "weights.h5": 1, "keras": 1, "tf.h5": 2}


def torch_cnn(seed):
    """A module with random weights, statistics too."""
    module = TorchCnn().eval()
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in module.state_dict().items():
            if value.is_floating_point():
                noise = torch.rand(value.shape, generator=random)
                value.copy_(noise + 0.5 if "running_var" in name else (noise - 0.5) * 0.5)
    return module


def tf_keras_cnn():
    return cnn(tf_keras, tf_keras.layers.InputLayer((12, 20, 3)))


def batch(seed):
    random = np.random.default_rng(seed)
    return random.normal(size=(4, 12, 20, 3)).astype("float32"), random.normal(size=(4, 16)).astype("float32")


class FromTorch(Case):
    """A PyTorch module's weights become a Keras model's."""

    def setUp(self):
        super().setUp()
        self.module = torch_cnn(1)
        self.source = self.path("source.pth")
        torch.save(self.module.state_dict(), self.source)
        self.x, self.y = batch(2)
        with torch.no_grad():
            self.expected = self.module(channels_first(self.x)).numpy()

    def convert(self, name, v, *flags):
        target = self.path(name)
        self.wmap_ok("run", SPEC, self.source, "-o", target, "-D", f"v={v}", "--force", *flags)
        self.assertEqual(self.left_behind(), [])
        return target

    def same(self, model):
        self.assertLessEqual(distance(self.expected, model.predict(self.x, verbose=0)), 1e-4)

    def test_legacy_h5(self):
        target = self.convert("out.h5", 0)
        model = keras_cnn()
        model.load_weights(target)
        self.same(model)
        model = keras_cnn()
        model.load_weights(target, by_name=True)
        self.same(model)
        with h5py.File(target) as f:
            self.assertEqual([n.decode() for n in f.attrs["layer_names"]], ["conv1", "bn1", "conv2", "fc1", "fc2"])
            self.assertEqual(
                [n.decode() for n in f["bn1"].attrs["weight_names"]],
                ["m/bn1/gamma", "m/bn1/beta", "m/bn1/moving_mean", "m/bn1/moving_variance"],
            )
            self.assertEqual(f.attrs["backend"], b"tensorflow")
            self.assertEqual(f.attrs["keras_version"], b"3.0.0")

    def test_legacy_h5_of_tf_keras(self):
        target = self.convert("out.hdf5", 2)
        for model in [tf_keras_cnn(), keras_cnn()]:
            model.load_weights(target)
            self.same(model)
        model = tf_keras_cnn()
        model.load_weights(target, by_name=True)
        self.same(model)
        with h5py.File(target) as f:
            self.assertEqual(f.attrs["keras_version"], b"2.15.0")

    def test_weights_h5(self):
        target = self.convert("out.weights.h5", 1)
        model = keras_cnn()
        model.load_weights(target)
        self.same(model)

    def test_weights_h5_of_tf_keras(self):
        """TF-Keras also wants to find the layers without weights, so it takes a template."""
        model = tf_keras_cnn()
        template = self.path("template.weights.h5")
        model.save_weights(template)
        with h5py.File(template) as f:
            prefix = "_layer_checkpoint_dependencies" if "_layer_checkpoint_dependencies" in f else "layers"
        self.assertEqual(prefix, "layers")
        target = self.convert("out.weights.h5", 1, "--like", template)
        model.load_weights(target)
        self.same(model)

    def trained(self):
        model = keras_cnn()
        model.compile("adam", loss=keras.losses.MeanSquaredError())
        model.train_on_batch(*batch(3))
        return model

    def goes_on(self, load, template, target):
        """The model of `target` is that of the template with other weights, its optimizer's state included."""
        new, old = load(target), load(template)
        self.same(new)
        old.load_weights(self.convert("weights.h5", 0))
        for model in (old, new):
            self.assertGreater(int(np.asarray(model.optimizer.iterations)), 0)
        state = lambda m: [np.asarray(v) for v in getattr(m.optimizer, "variables")]
        for a, b in zip(state(old), state(new), strict=True):
            np.testing.assert_array_equal(a, b)
        for step in range(3):
            x, y = batch(10 + step)
            self.assertAlmostEqual(float(old.train_on_batch(x, y)), float(new.train_on_batch(x, y)), places=5)
        for a, b in zip(old.get_weights(), new.get_weights(), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)

    def keeps(self, template, target):
        """As goes_on, for whole .h5 files of Keras 3, which Keras 3 can load but not train any further."""
        self.same(keras.saving.load_model(target))
        with h5py.File(template) as a, h5py.File(target) as b:
            self.assertIn("training_config", b.attrs)
            self.assertEqual(dict(a.attrs), dict(b.attrs))
            state = walk(a["optimizer_weights"])
            self.assertGreater(len(state), 10)
            for dataset in state:
                np.testing.assert_array_equal(dataset[()], b[dataset.name][()])

    def test_keras_archive(self):
        template = self.path("template.keras")
        self.trained().save(template)
        target = self.convert("out.keras", 1, "--like", template)
        self.goes_on(keras.saving.load_model, template, target)
        with zipfile.ZipFile(template) as a, zipfile.ZipFile(target) as b:
            self.assertIsNone(b.testzip())
            self.assertEqual(a.namelist(), b.namelist())
            for name in ("config.json", "metadata.json"):
                self.assertEqual(a.read(name), b.read(name))

    def test_keras_archive_of_tf_keras(self):
        template = self.path("template.keras")
        model = tf_keras_cnn()
        model.compile("adam", loss="mse")
        model.train_on_batch(*batch(3))
        model.save(template)
        target = self.convert("out.keras", 1, "--like", template)
        self.goes_on(tf_keras.models.load_model, template, target)

    def test_keras_archive_with_deflated_weights(self):
        stored, template = self.path("stored.keras"), self.path("template.keras")
        self.trained().save(stored)
        with zipfile.ZipFile(stored) as a, zipfile.ZipFile(template, "w", zipfile.ZIP_DEFLATED) as b:
            for name in a.namelist():
                b.writestr(name, a.read(name))
        target = self.convert("out.keras", 1, "--like", template)
        self.goes_on(keras.saving.load_model, template, target)

    def test_whole_h5(self):
        template = self.path("template.h5")
        self.trained().save(template)
        target = self.convert("out.h5", 0, "--like", template)
        self.keeps(template, target)

    def test_whole_h5_of_tf_keras(self):
        template = self.path("template.h5")
        model = tf_keras_cnn()
        model.compile("adam", loss="mse")
        model.train_on_batch(*batch(3))
        model.save(template)
        target = self.convert("out.h5", 2, "--like", template)
        self.goes_on(tf_keras.models.load_model, template, target)

    def test_a_packed_template(self):
        """Datasets that the map writes are unpacked; all others, and every attribute, stay as they are."""
        template, packed = self.path("template.h5"), self.path("packed.h5")
        self.trained().save(template)
        with h5py.File(template) as a, h5py.File(packed, "w") as b:
            def copy(name, item):
                if isinstance(item, h5py.Group):
                    made = b.require_group(name)
                else:
                    big = item[()].astype(item.dtype.newbyteorder(">"))
                    how = dict(compression="gzip", shuffle=True) if item.ndim else {}
                    made = b.create_dataset(name, data=big, **how)
                    made.attrs["made of"] = "copper"
                for key, value in item.attrs.items():
                    made.attrs[key] = value

            a.visititems(copy)
            for key, value in a.attrs.items():
                b.attrs[key] = value
        target = self.convert("out.h5", 0, "--like", packed)
        self.keeps(packed, target)
        with h5py.File(target) as f:
            kernel = f["model_weights/conv1/m/conv1/kernel"]
            self.assertEqual((kernel.chunks, kernel.attrs["made of"]), (None, "copper"))
            self.assertIsNotNone(next(v for v in walk(f["optimizer_weights"]) if v.ndim == 4).chunks)

    def test_the_weights_of_an_archive_alone(self):
        template = self.path("template.keras")
        self.trained().save(template)
        target = self.convert("out.weights.h5", 1, "--like", template)
        model = keras_cnn()
        model.load_weights(target)
        self.same(model)

    def test_the_same_bytes_each_time(self):
        template = self.path("template.keras")
        self.trained().save(template)
        for name, v, *flags in [
            ("a.h5", 0), ("a.weights.h5", 1), ("a.keras", 1, "--like", template)
        ]:  # fmt: skip
            first = open(self.convert(name, v, *flags, "-j1"), "rb").read()
            second = open(self.convert("b" + name[1:], v, *flags, "-j4"), "rb").read()
            self.assertEqual(first, second, name)

    def refused(self, name, v, *flags, status=3):
        done = wmap("run", SPEC, self.source, "-o", self.path(name), "-D", f"v={v}", *flags)
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertFalse(os.path.exists(self.path(name)))
        self.assertEqual(self.left_behind(), [])
        return done.stderr

    def test_templates_that_do_not_fit(self):
        template = self.path("template.keras")
        self.trained().save(template)
        self.assertIn("--like", self.refused("out.keras", 1, status=2))
        self.assertIn("no dataset of this name", self.refused("out.keras", 0, "--like", template))
        with h5py.File(self.path("shape.h5"), "w") as f:
            f["conv1/m/conv1/kernel"] = np.zeros((3, 3, 8, 3), "float32")
        text = self.refused("out.h5", 0, "--like", self.path("shape.h5"))
        self.assertIn("another shape", text)
        self.assertIn("and 11 more", text)
        keras_cnn().save(self.path("whole.h5"))
        self.assertIn("no .keras archive", self.refused("out.keras", 1, "--like", self.path("whole.h5"), status=2))

    def test_a_weight_that_is_not_written(self):
        template = self.path("template.h5")
        self.convert("template.h5", 0)
        with h5py.File(template, "a") as f:
            f["fc3/kernel"] = np.zeros(3, "float32")
        self.assertIn("fc3/kernel", self.refused("out.h5", 0, "--like", template))
        for name, is_state in [
            ("dropout/seed_generator_12/seed", True), ("optimizer_weights/adam/m", True), ("metrics/mean", True),
            ("optimizer_head/kernel", False), ("metrics_/kernel", False), ("my_optimizer/kernel", False),
        ]:  # fmt: skip
            with h5py.File(template, "a") as f:
                f.pop("fc3", None)
                f[name] = np.zeros(3, "float32")
            if is_state:
                self.convert("state.h5", 0, "--like", template)
            else:
                self.assertIn(name, self.refused("out.h5", 0, "--like", template))
            with h5py.File(template, "a") as f:
                del f[name]


def walk(group):
    found = []
    group.visititems(lambda name, item: found.append(item) if isinstance(item, h5py.Dataset) else None)
    return found


class Shards(Case):
    """Sets of Keras 3, NAME.weights.json, loaded by Keras itself."""

    def setUp(self):
        super().setUp()
        self.model = keras.Sequential([L.Input((6,)), *[L.Dense(32) for _ in range(11)], L.BatchNormalization(), L.Dense(2)])
        randomize(self.model, 4)
        self.one = self.path("one.weights.h5")
        self.model.save_weights(self.one)

    def loads(self, index):
        other = keras.models.clone_model(self.model)
        other.load_weights(index)
        for a, b in zip(self.model.weights, other.weights, strict=True):
            self.assertEqual(np.asarray(a).tobytes(), np.asarray(b).tobytes(), a.path)

    def files(self, stem):
        return sorted(n for n in os.listdir(self.folder) if n.startswith(stem + "_"))

    def test_loaded(self):
        """Of every size: one file, layers cut in two, one tensor a file."""
        for size, least in (("1GB", 1), ("10kB", 4), ("4096B", 11), ("1B", 28)):
            index = self.path("out.weights.json")
            self.wmap_ok("run", "-e", "keep rest", self.one, "-o", index, "--shard-size", size, "--force")
            with open(index) as f:
                said = json.load(f)
            named = {n for files in said["weight_map"].values() for n in files}
            self.assertGreaterEqual(len(named), least)
            self.assertEqual(said["metadata"]["total_size"], sum(np.asarray(w).nbytes for w in self.model.weights))
            self.loads(index)
            self.wmap_ok("diff", index, self.one)
            for name in self.files("out"):
                os.remove(self.path(name))

    def test_index_is_that_of_keras(self):
        """For the order in which Keras goes through the layers."""
        size = 9000
        self.model.save_weights(self.path("theirs.weights.json"), max_shard_size=size / 1024**3)
        with open(self.path("theirs.weights.json")) as f:
            theirs = f.read()
        order = list(json.loads(theirs)["weight_map"])
        listed = [t["name"] for t in self.inspect(self.one)["tensors"]]
        rules = "\n".join(f'"{n}" -> "{n}"' for path in order for n in listed if "/" + n.rsplit("/", 1)[0] == path)
        self.wmap_ok("run", "-e", rules, self.one, "-o", self.path("ours.weights.json"), "--shard-size", size)
        with open(self.path("ours.weights.json")) as f:
            self.assertEqual(f.read().replace("ours_", "theirs_"), theirs)
        self.assertEqual(len(self.files("ours")), len(self.files("theirs")))
        self.loads(self.path("ours.weights.json"))

    def test_refused(self):
        for rules, target, code, said in (
            ('"{x:**}" -> "{x}/b"', "out.weights.json", 1, "PATH/vars/N"),
            ("keep rest", "-", 2, "standard output"),
        ):
            done = wmap("run", "-e", rules, self.one, "-o", self.path(target) if target != "-" else "-", "--to-format", "keras-shards")
            self.assertEqual((done.returncode, done.stdout), (code, ""))
            self.assertIn(said, done.stderr)
        self.assertEqual(os.listdir(self.folder), ["one.weights.h5"])


class Names(Case):
    """What is around the tensors follows from their names."""

    def copy(self, arrays, name, *flags):
        source = self.path("source.npz")
        np.savez(source, **arrays)
        self.wmap_ok("run", "-e", "keep rest", source, "-o", self.path(name), *flags)
        return self.path(name)

    def test_long_lists(self):
        """Lists of more than 64 KB are spread as Keras does it, and Keras reads them."""
        count = 1200
        x = np.arange(4, dtype="float32").reshape(2, 2)
        names = [f"{'a' * 60}_{i:06}" for i in range(count)]
        arrays = {f"{n}/{n}/kernel:0": x + i for i, n in enumerate(names)}
        target = self.copy(arrays, "long.h5")
        with h5py.File(target) as f:
            self.assertNotIn("layer_names", f.attrs)
            self.assertLess(max(f.attrs[k].nbytes for k in f.attrs if k.startswith("layer_names")), 64512)
            from keras.src.legacy.saving import legacy_h5_format

            self.assertEqual(legacy_h5_format.load_attributes_from_hdf5_group(f, "layer_names"), names)
        listed = [t["name"] for t in self.inspect(target)["tensors"]]
        self.assertEqual(listed, list(arrays))

    def test_layers_with_slashes(self):
        names = ["block/a/block/a/kernel:0", "block/a/block/a/bias:0", "block/b/block/b/kernel:0", "c/d/kernel:0"]
        target = self.copy({n: np.ones(2, "float32") for n in names}, "out.h5")
        with h5py.File(target) as f:
            self.assertEqual(list(f.attrs["layer_names"]), [b"block/a", b"block/b", b"c"])
            self.assertEqual(list(f["block/a"].attrs["weight_names"]), [b"block/a/kernel:0", b"block/a/bias:0"])

    def test_plain_names(self):
        target = self.copy({"conv.weight": np.ones((2, 3), "float64"), "a/b": np.zeros(3, "int8")}, "out.h5")
        with h5py.File(target) as f:
            self.assertEqual(dict(f.attrs), {})
            np.testing.assert_array_equal(f["conv.weight"][()], np.ones((2, 3)))

    def test_names_that_no_file_can_hold(self):
        for names in [["a", "a/b"], ["a//b"], ["/a"], ["a/../b"], ["a/."]]:
            source = self.path("source.safetensors")
            from safetensors.numpy import save_file

            save_file({n: np.zeros(2, "float32") for n in names}, source)
            done = wmap("run", "-e", "keep rest", source, "-o", self.path("out.h5"))
            self.assertEqual(done.returncode, 1, (names, done.stderr))
            self.assertIn("E0610", done.stderr)
            self.assertIn(names[-1], done.stderr)
            self.assertFalse(os.path.exists(self.path("out.h5")))

    def test_top_level_weights(self):
        names = ["dense/dense/kernel:0", "top_level_model_weights/scale:0"]
        target = self.copy({n: np.ones(2, "float32") for n in names}, "out.h5")
        with h5py.File(target) as f:
            self.assertEqual(list(f.attrs["layer_names"]), [b"dense"])
            self.assertEqual(list(f["top_level_model_weights"].attrs["weight_names"]), [b"scale:0"])

    def test_a_suffix_that_says_something_else(self):
        np.savez(self.path("source.npz"), **{"a/a/kernel:0": np.zeros(2)})
        np.savez(self.path("vars.npz"), **{"layers/dense/vars/0": np.zeros(2)})
        for source, name, word in [
            ("source.npz", "o.weights.h5", "Keras 3"), ("vars.npz", "o.h5", ".weights.h5"),
            ("source.npz", "p.h5", None), ("vars.npz", "p.weights.h5", None),
        ]:  # fmt: skip
            done = wmap("run", "-e", "keep rest", self.path(source), "-o", self.path(name))
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(word in done.stderr if word else done.stderr, True if word else "")

    def test_metadata_is_kept(self):
        source = self.path("source.h5")
        with h5py.File(source, "w") as f:
            f.attrs["layer_names"] = [b"a"]
            f.attrs["backend"] = "theano"
            f.attrs["keras_version"] = "2.3.1"
            f.create_group("a").attrs["weight_names"] = [b"kernel:0"]
            f["a/kernel:0"] = np.ones(2, "float32")
        self.wmap_ok("run", "-e", "keep rest", source, "-o", self.path("out.h5"))
        with h5py.File(self.path("out.h5")) as f:
            self.assertEqual((f.attrs["backend"], f.attrs["keras_version"]), (b"theano", b"2.3.1"))


class Dtypes(Case):
    def test_every_dtype(self):
        random = np.random.default_rng(1)
        arrays = {}
        for dtype in ["bool", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8", "c8", "c16"]:
            for shape in [(), (0, 3), (3, 5), (300, 7)]:
                raw = random.bytes(int(np.prod(shape)) * np.dtype(dtype).itemsize)
                value = np.frombuffer(raw, dtype if dtype != "bool" else "u1").reshape(shape)
                arrays[f"{dtype}_{len(shape)}_{value.size}"] = value % 2 == 0 if dtype == "bool" else value
        source, target, back = (self.path(n) for n in ("source.npz", "out.h5", "back.npz"))
        np.savez(source, **arrays)
        self.wmap_ok("run", "-e", "keep rest", source, "-o", target)
        with h5py.File(target) as f:
            self.assertEqual(sorted(f), sorted(arrays))
            for name, value in arrays.items():
                self.assertEqual(f[name].dtype, value.dtype)
                self.assertEqual(f[name].shape, value.shape)
                self.assertEqual(f[name][()].tobytes(), value.tobytes())
        self.wmap_ok("run", "-e", "keep rest", target, "-o", back)
        with np.load(back, allow_pickle=False) as f:
            for name, value in arrays.items():
                self.assertEqual((f[name].dtype, f[name].tobytes()), (value.dtype, value.tobytes()))

    def test_bfloat16_as_keras_has_it(self):
        model = keras.Sequential([L.Input((3,)), L.Dense(4, dtype="bfloat16")])
        randomize(model, 3)
        value = torch.from_numpy(np.asarray(model.weights[0], "float32")).to(torch.bfloat16)
        torch.save({"w": value, "b": torch.ones(4, dtype=torch.bfloat16)}, self.path("source.pth"))
        rules = '"w" -> "layers/dense/vars/0"; "b" -> "layers/dense/vars/1"'
        target = self.path("out.weights.h5")
        self.wmap_ok("run", "-e", rules, self.path("source.pth"), "-o", target)
        other = keras.Sequential([L.Input((3,)), L.Dense(4, dtype="bfloat16")])
        other.load_weights(target)
        got = np.asarray(other.weights[0])
        self.assertEqual(got.dtype, ml_dtypes.bfloat16)
        self.assertEqual(got.tobytes(), value.view(torch.uint16).numpy().tobytes())
        model.save_weights(self.path("template.weights.h5"))
        self.wmap_ok("run", "-e", rules, self.path("source.pth"), "-o", target, "-f", "--like", self.path("template.weights.h5"))
        other.load_weights(target)
        self.assertEqual(np.asarray(other.weights[0]).tobytes(), got.tobytes())


class Theano(Case):
    """A file of Keras 1 in Theano's ordering becomes one of TF-Keras that predicts the same and goes on training."""

    spec = os.path.join(SPECS, "keras_theano.wmap")
    layers = ["conv1", "bn1", "relu", "pool1", "conv2", "pool2", "flatten", "fc1", "fc2"]
    weights = ["bn1_beta", "bn1_gamma", "conv1_W", "conv1_b", "conv2_W", "conv2_b", "fc1_W", "fc1_b", "fc2_W", "fc2_b"]
    words = {"W": "kernel", "b": "bias", "gamma": "gamma", "beta": "beta", "running_mean": "moving_mean",
             "running_std": "moving_variance"}  # fmt: skip

    def trained(self, seed):
        model = tf_keras_cnn()
        randomize(model, seed)
        model.compile("adam", loss="mse")
        for step in range(3):
            model.train_on_batch(*batch(seed + step))
        return model

    @staticmethod
    def theano(name, value):
        """A kernel as Keras 1 on Theano holds it."""
        value = np.asarray(value)
        if name == "fc1_W":
            return value.reshape(3, 5, 8, 16).transpose(2, 0, 1, 3).reshape(120, 16)
        return value.transpose(3, 2, 0, 1)[:, :, ::-1, ::-1] if value.ndim == 4 else value

    def save_keras_1(self, model, path):
        """What Keras 1.2.2 writes: no backend, names without folders, Adam's slots by the sorted names."""
        weights = {w.name.split(":")[0]: w.numpy() for w in model.weights}
        slots = {v.name.split(":")[0]: v.numpy() for v in model.optimizer.variables}

        def text(items):
            return np.array([i.encode() for i in items], dtype=f"S{max(map(len, items), default=1)}")

        with h5py.File(path, "w") as f:
            f.attrs["keras_version"] = np.bytes_(b"1.2.2")
            f.attrs["model_config"] = np.bytes_(b'{"class_name": "Sequential", "config": []}')
            f.attrs["training_config"] = np.bytes_(b'{"loss": "mse"}')
            g = f.create_group("model_weights")
            g.attrs["layer_names"] = text(self.layers)
            for layer in self.layers:
                inner = g.create_group(layer)
                own = []
                for word, new in self.words.items():
                    if f"{layer}/{new}" in weights:
                        own.append(f"{layer}_{word}")
                        inner[own[-1]] = self.theano(own[-1], weights[f"{layer}/{new}"])
                inner.attrs["weight_names"] = text(own) if own else np.zeros(0)
            o = f.create_group("optimizer_weights")
            o["param_0"] = np.float32(model.optimizer.iterations.numpy())
            for first, slot in [(1, "m"), (11, "v")]:
                for i, name in enumerate(self.weights):
                    layer, word = name.split("_", 1)
                    o[f"param_{first + i}"] = self.theano(name, slots[f"Adam/{slot}/{layer}/{self.words[word]}"])
            o.attrs["weight_names"] = text([f"param_{i}" for i in range(21)])

    def predict_keras_1(self, path, x):
        """What Keras 1 computes on Theano: channels first, true convolutions. Checked by PyTorch's own."""
        with h5py.File(path) as f:
            w = {n: torch.from_numpy(d[()]) for n, d in
                 ((d.name.rsplit("/", 1)[1], d) for d in walk(f["model_weights"]))}  # fmt: skip
        F = torch.nn.functional
        x = channels_first(x)
        x = F.conv2d(x, w["conv1_W"].flip(2, 3), w["conv1_b"], padding=1)
        x = F.batch_norm(x, w["bn1_running_mean"], w["bn1_running_std"], w["bn1_gamma"], w["bn1_beta"], eps=1e-3)
        x = F.max_pool2d(F.relu(x), 2)
        x = F.max_pool2d(F.relu(F.conv2d(x, w["conv2_W"].flip(2, 3), w["conv2_b"], padding=1)), 2)
        return F.relu(x.flatten(1) @ w["fc1_W"] + w["fc1_b"]) @ w["fc2_W"] + w["fc2_b"]

    def test_there_and_back(self):
        old, new, converted, back = (self.path(n) for n in ("old.h5", "new.h5", "converted.h5", "back.h5"))
        model = self.trained(1)
        self.save_keras_1(model, old)
        self.trained(40).save(new)
        x, _ = batch(7)
        self.assertLessEqual(distance(model.predict(x, verbose=0), self.predict_keras_1(old, x)), 1e-4)

        self.wmap_ok("run", self.spec, old, "--map", "main", "--like", new, "-o", converted)
        loaded = tf_keras.models.load_model(converted)
        self.assertLessEqual(distance(self.predict_keras_1(old, x), loaded.predict(x, verbose=0)), 1e-4)
        for a, b in zip(model.optimizer.variables, loaded.optimizer.variables, strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy(), a.name)
        for step in range(3):
            xy = batch(20 + step)
            self.assertAlmostEqual(model.train_on_batch(*xy), loaded.train_on_batch(*xy), places=5)
        for a, b in zip(model.get_weights(), loaded.get_weights(), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
        with h5py.File(new) as a, h5py.File(converted) as b:
            self.assertEqual(dict(a.attrs), dict(b.attrs))

        template = self.path("template.h5")
        self.save_keras_1(self.trained(60), template)
        self.wmap_ok("run", self.spec, converted, "--map", "back", "--like", template, "-o", back)
        with open(old, "rb") as a, open(back, "rb") as b:
            self.assertEqual(a.read(), b.read())

    def test_keras_2_on_theano(self):
        source, there, back = (self.path(n) for n in ("source.h5", "there.h5", "back.h5"))
        model = tf_keras_cnn()
        randomize(model, 3)
        model.save_weights(source)
        kernel = model.get_layer("conv1").kernel.numpy()
        with h5py.File(source, "a") as f:
            f.attrs["backend"] = np.bytes_(b"theano")
        self.wmap_ok("run", self.spec, source, "--map", "flipped", "-o", there, "--target-like", source)
        with h5py.File(there) as f:
            np.testing.assert_array_equal(f["conv1/conv1/kernel:0"][()], kernel[::-1, ::-1])
            self.assertEqual(f.attrs["backend"], b"theano")  # kept; only a template or the map can say otherwise
        self.wmap_ok("run", self.spec, there, "--map", "flipped", "-o", back, "--target-like", source)
        other = tf_keras_cnn()
        other.load_weights(back)
        for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)


class HostileTemplates(Case):
    """A template is input like any other: wmap ends with an error that names it, or writes a file."""

    data = os.path.join(ROOT, "tests", "data", "keras")

    def run_like(self, template, source=None):
        source = source or self.path("source.npz")
        out = self.path("out" + os.path.splitext(template)[1])
        done = wmap("run", "-e", "keep rest", source, "-o", out, "--like", template, "--force", timeout=120)
        self.assertIn(done.returncode, (0, 1, 2, 3), done.stderr)
        self.assertNotIn("Sanitizer", done.stderr)
        self.assertEqual(self.left_behind(), [])
        if done.returncode:
            self.assertFalse(os.path.exists(out), done.stderr)
        else:
            os.unlink(out)
        return done

    def test_bad_files(self):
        np.savez(self.path("source.npz"), x=np.zeros(3, "float32"))
        files = [n for n in sorted(os.listdir(self.data)) if n.startswith("bad_") and n.endswith((".h5", ".keras"))]
        self.assertGreater(len(files), 15)
        for name in files:
            done = self.run_like(os.path.join(self.data, name))
            self.assertEqual(done.returncode, 3 if "UNSUPPORTED" not in done.stderr else 2, (name, done.stderr))

    def test_flipped_bits(self):
        """Of templates that a source fits: contiguous, packed, and in an archive."""
        random = np.random.default_rng(8)
        with h5py.File(self.path("a.h5"), "w") as f:
            f.attrs["layer_names"] = [b"a", b"b"]
            for layer in "ab":
                f.create_group(layer).attrs["weight_names"] = [b"k:0"]
                f[f"{layer}/k:0"] = random.normal(size=(30, 4))
                f[f"{layer}/k:0"].attrs["note"] = "text"
        with h5py.File(self.path("a.h5")) as a, h5py.File(self.path("b.h5"), "w") as b:
            for layer in "ab":
                b.create_dataset(f"{layer}/k:0", data=a[f"{layer}/k:0"][()], chunks=(7, 2), compression="gzip")
                b[f"{layer}/k:0"].attrs["note"] = ["texts", "of any length"]
        with zipfile.ZipFile(self.path("c.keras"), "w") as z:
            z.writestr("config.json", "{}")
            z.write(self.path("a.h5"), "model.weights.h5")
        for name in ("a.h5", "b.h5", "c.keras"):
            source = self.path("source-" + name)
            shutil.copy(self.path(name), source)
            good = open(source, "rb").read()
            self.assertEqual(self.run_like(source, source).returncode, 0)
            template = self.path("bent" + os.path.splitext(name)[1])
            codes = []
            # Structure, not data, is what can be wrong; most of it stands in the first bytes.
            for place in random.integers(0, min(len(good), 4096), 25):
                bent = bytearray(good)
                bent[place] ^= 1 << random.integers(0, 8)
                with open(template, "wb") as f:
                    f.write(bent)
                codes.append(self.run_like(template, source).returncode)
            for size in random.integers(1, len(good), 4):
                with open(template, "wb") as f:
                    f.write(good[:size])
                codes.append(self.run_like(template, source).returncode)
            self.assertIn(3, codes)
            self.assertEqual(0 in codes, name != "c.keras", codes)  # that has a CRC

    def test_shared_datasets(self):
        """One dataset under two names: one of them is to be written, and not both."""
        template = self.path("t.h5")
        with h5py.File(template, "w") as f:
            f["a"] = np.zeros(3, "float32")
            f["b"] = f["a"]
        np.savez(self.path("source.npz"), a=np.ones(3, "float32"))
        out = self.path("out.h5")
        self.wmap_ok("run", "-e", "keep rest", self.path("source.npz"), "-o", out, "--like", template)
        with h5py.File(out) as f:
            np.testing.assert_array_equal(f["b"][()], np.ones(3))
        os.unlink(out)
        np.savez(self.path("source.npz"), a=np.ones(3, "float32"), b=np.ones(3, "float32"))
        self.assertIn("another target", self.run_like(template).stderr)
        with h5py.File(template, "w") as f:
            f.create_dataset("a", data=np.zeros(3, "float32"), chunks=(2,))
            f["b"] = f["a"]
        np.savez(self.path("source.npz"), a=np.ones(3, "float32"))
        self.assertIn("several names", self.run_like(template).stderr)

    def test_a_damaged_template(self):
        """A .keras template whose CRC is wrong: its optimizer's state would be taken unseen."""
        template = self.path("t.keras")
        shutil.copy(os.path.join(self.data, "model.keras"), template)
        with zipfile.ZipFile(template) as z:
            at = z.getinfo("model.weights.h5").header_offset
            size = z.getinfo("model.weights.h5").file_size
        with open(template, "r+b") as f:
            f.seek(at + size - 50)
            byte = f.read(1)
            f.seek(-1, 1)
            f.write(bytes([byte[0] ^ 1]))
        source = os.path.join(self.data, "model.keras")
        done = self.run_like(template, source)
        self.assertEqual(done.returncode, 3)
        self.assertIn("CRC", done.stderr)
