"""Files of every era of Keras: sharded weights, Keras 0.x and 1, and the names that Keras itself gives."""

import io
import json
import os
import shutil
import subprocess
import zipfile

from common import ROOT, SPECS, Case, distance, randomize, wmap
import h5py
import keras
import numpy as np

L = keras.layers


def model_of(width):
    model = keras.Sequential(
        [
            L.Input((6,)),
            *[L.Dense(width, name=f"fc{i}") for i in range(11)],
            L.BatchNormalization(name="norm"),
            L.Dense(2, name="out"),
        ],
        name="m",
    )
    randomize(model, 4)
    return model


class Dtypes(Case):
    def test_every_dtype_as_h5py_writes_it(self):
        """In either byte order, in one piece and in chunks that are packed, in the file format of the oldest HDF5 and of 1.10."""
        random = np.random.default_rng(2)
        codes = ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8", "c8", "c16", "b1"]
        ways = ({}, {"chunks": (7, 4), "compression": "gzip", "shuffle": True, "fletcher32": True}, {"chunks": (30, 1)})
        for version in ("earliest", ("v110", "v110")):
            arrays = {}
            with h5py.File(self.path("i.h5"), "w", libver=version) as f:
                for code in codes:
                    for order in "<>":
                        dtype = np.dtype(order + code)
                        raw = random.integers(0, 2 if code == "b1" else 256, 30 * 9 * dtype.itemsize, "u1")
                        value = raw.view(dtype).reshape(30, 9)
                        for i, way in enumerate(ways):
                            name = f"{code}{'le' if order == '<' else 'be'}{i}"
                            f.create_dataset(name, data=value, **way)
                            arrays[name] = value.astype(dtype.newbyteorder("<"))
            self.wmap_ok("run", "-e", "keep rest", self.path("i.h5"), "-o", self.path("o.npz"), "--force")
            with np.load(self.path("o.npz"), allow_pickle=False) as found:
                self.assertEqual(sorted(found.files), sorted(arrays))
                for name, value in arrays.items():
                    self.assertEqual((found[name].dtype, found[name].tobytes()), (value.dtype, value.tobytes()), name)


class Shards(Case):
    def save(self, width=64, size=30_000):
        """Weights in files of at most `size` bytes."""
        model = model_of(width)
        index = self.path("model.weights.json")
        model.save_weights(index, max_shard_size=size / 1024**3)
        shards = sorted(n for n in os.listdir(self.folder) if n.endswith(".weights.h5"))
        self.assertGreater(len(shards), 3)
        return model, index, shards

    def values(self, path):
        out = self.path("out.npz")
        self.wmap_ok("run", "-e", "keep rest", path, "-o", out, "--force")
        with np.load(out) as f:
            return [(n, f[n]) for n in f.files]

    def test_as_one_file(self):
        model, index, shards = self.save()
        model.save_weights(self.path("one.weights.h5"))
        parts, one = self.values(index), self.values(self.path("one.weights.h5"))
        self.assertEqual([n for n, _ in parts], [n for n, _ in one])
        for (name, a), (_, b) in zip(parts, one):
            self.assertEqual((a.dtype, a.tobytes()), (b.dtype, b.tobytes()), name)
        weights = {w.path.split("/")[-2] + "/" + w.name: np.asarray(w) for w in model.weights}
        np.testing.assert_array_equal(dict(parts)["layers/dense_10/vars/0"], weights["fc10/kernel"])
        listed = self.inspect(index)
        self.assertEqual(listed["format"], "keras-shards")
        self.assertEqual(listed["tensors"][0]["alias"], "norm/vars/0")

    def test_packed_shards(self):
        _, index, shards = self.save()
        expected = self.values(index)
        for name in shards:
            path = self.path(name)
            with h5py.File(path, "a") as f:
                for dataset in datasets(f):
                    name, value = dataset.name, dataset[()]
                    del f[name]
                    f.create_dataset(name, data=value.astype(">f4"), compression="gzip" if value.ndim else None)
        for (name, a), (_, b) in zip(expected, self.values(index), strict=True):
            self.assertEqual(a.tobytes(), b.tobytes(), name)

    def test_sets_that_lie(self):
        _, index, shards = self.save()
        good = json.load(open(index))

        def refused(change, word, status=3):
            lie = json.loads(json.dumps(good))
            change(lie["weight_map"])
            path = self.write("lie.weights.json", json.dumps(lie))
            done = wmap("inspect", path)
            self.assertEqual(done.returncode, status, done.stderr)
            self.assertIn(word, done.stderr)

        first = next(iter(good["weight_map"]))
        refused(lambda m: m.update({first: "../" + shards[0]}), "no plain file name")
        refused(lambda m: m.update({first: "/etc/passwd.weights.h5"}), "no plain file name")
        refused(lambda m: m.update({first: "absent.weights.h5"}), "absent.weights.h5", status=2)
        refused(lambda m: m.update({first: shards[-1]}), "doesn't name the file")
        refused(lambda m: m.pop(first), "doesn't name the file")
        refused(lambda m: m.update({"/layers/nothing/vars": shards[0]}), "doesn't hold")
        refused(lambda m: m.update({first: [shards[0], shards[0]]}), "twice")
        refused(lambda m: m.update({first: [shards[0], 3]}), "makes no sense")
        refused(lambda m: m.update({first: []}), "makes no sense")
        with open(index) as f:
            text = f.read()
        for cut in (1, len(text) // 2):
            done = wmap("inspect", self.write("lie.weights.json", text[:-cut]))
            self.assertEqual(done.returncode, 3, done.stderr)

    def test_a_variable_in_two_files(self):
        _, index, shards = self.save()
        with h5py.File(self.path(shards[0])) as a, h5py.File(self.path(shards[-1]), "a") as b:
            name = datasets(a)[0].name
            b.require_group(os.path.dirname(name))
            a.copy(name, b, name)
        done = wmap("inspect", index)
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn(name[1:], done.stderr)


def datasets(f):
    found = []
    f.visititems(lambda name, item: found.append(item) if isinstance(item, h5py.Dataset) else None)
    return found


class OldFiles(Case):
    def test_keras_0(self):
        """Layers and weights have numbers, no names."""
        path = self.path("old.h5")
        with h5py.File(path, "w") as f:
            f.attrs["nb_layers"] = 12
            for i in range(12):
                g = f.create_group(f"layer_{i}")
                g.attrs["nb_params"] = 2 if i % 2 == 0 else 0
                for p in range(2 if i % 2 == 0 else 0):
                    g[f"param_{p}"] = np.full((2, 3), 10 * i + p, "float32")
        names = [t["name"] for t in self.inspect(path)["tensors"]]
        self.assertEqual(names, [f"layer_{i}/param_{p}" for i in range(0, 12, 2) for p in range(2)])
        self.wmap_ok("run", "-e", '"layer_{n}/param_{p}" -> "{n}.{p}"', path, "-o", self.path("out.npz"))
        with np.load(self.path("out.npz")) as f:
            np.testing.assert_array_equal(f["10.1"], np.full((2, 3), 101, "float32"))

    def test_keras_0_graph(self):
        path = self.path("graph.h5")
        with h5py.File(path, "w") as f:
            g = f.create_group("graph")
            g.attrs["nb_params"] = 11
            for p in range(11):
                g[f"param_{p}"] = np.full(2, p, "float32")
        names = [t["name"] for t in self.inspect(path)["tensors"]]
        self.assertEqual(names, [f"graph/param_{p}" for p in range(11)])

    def test_keras_1(self):
        """Weights are called by the layer, without folders."""
        path = self.path("old.h5")
        order = ["conv1_W", "conv1_b", "bn1_gamma", "bn1_beta", "bn1_running_mean", "bn1_running_std"]
        with h5py.File(path, "w") as f:
            f.attrs["layer_names"] = np.array([b"conv1", b"pool", b"bn1"])
            f.attrs["keras_version"] = np.bytes_(b"1.2.2")
            for layer in ("conv1", "pool", "bn1"):
                g = f.create_group(layer)
                own = [n for n in order if n.startswith(layer)]
                g.attrs["weight_names"] = np.array([n.encode() for n in own]) if own else np.zeros(0)
                for n in own:
                    g[n] = np.full(3, order.index(n), "float32")
        tensors = self.inspect(path)
        self.assertEqual([t["name"] for t in tensors["tensors"]], [n.split("_")[0] + "/" + n for n in order])
        self.assertEqual([t["alias"] for t in tensors["tensors"]], order)
        self.assertEqual(tensors["metadata"], {"keras_version": "1.2.2"})


class RealOldFiles(Case):
    """Files that Keras 1.2.2 and 2.3.1 wrote (tests/data/keras/make_old_keras.py): the layers of today with their weights give the
    outputs of then. Back, in the order that those need; `load` of that script shows that they load it, and runs here too
    where WMAP_KERAS_1 and WMAP_KERAS_2 name the Pythons that have them."""

    spec = os.path.join(SPECS, "old_keras.wmap")
    data = os.path.join(ROOT, "tests", "data", "keras")

    def image(self):
        return keras.Sequential([keras.Input((7, 8, 2)), keras.layers.Conv2D(3, (3, 2), name="conv"), keras.layers.BatchNormalization(name="norm"),
                                 keras.layers.ReLU(), keras.layers.Flatten(), keras.layers.Dense(4, name="dense")])  # fmt: skip

    def sequence(self, after):
        return keras.Sequential([keras.Input((5, 3)), keras.layers.LSTM(4, return_sequences=True, name="lstm"),
                                 keras.layers.GRU(2, reset_after=after, name="gru")])  # fmt: skip

    def check(self, name, chosen, model, back_to):
        file = os.path.join(self.data, name + ".h5")
        out = self.path("out.npz")
        self.wmap_ok("run", self.spec, "-m", chosen, file, "-o", out, "-f")
        with np.load(out) as made:
            arrays = dict(made)
        model.set_weights([arrays[f"{w.path.split('/')[-3] if 'cell' in w.path else w.path.split('/')[-2]}/{w.name}"] for w in model.weights])
        with np.load(os.path.join(self.data, name + ".npz")) as kept:
            x = np.moveaxis(kept["x"], 1, -1) if "-th-image" in name else kept["x"]
            self.assertLessEqual(distance(kept["y"], model.predict(x, verbose=0)), 1e-5, name)
        for flags in ([], ["--like", file]):  # weights alone; a whole model
            got = os.path.join(back_to, f"got-{name}.h5")
            self.wmap_ok("run", self.spec, "-m", chosen, "-r", "-t", file, out, "-o", got, "-f", *flags)
            self.wmap_ok("diff", got, file)
            python = os.environ.get("WMAP_KERAS_1" if "1.2.2" in name else "WMAP_KERAS_2")
            if python:
                shutil.copy(os.path.join(self.data, name + ".npz"), back_to)
        return python

    def run_back(self, python, folder, backend):
        env = {k: v for k, v in os.environ.items() if k != "TF2_BEHAVIOR"}  # which TensorFlow 2 sets
        done = subprocess.run([python, os.path.join(self.data, "make_old_keras.py"), "load", folder], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, env=dict(env, KERAS_BACKEND=backend))  # fmt: skip
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("gives the same outputs", done.stdout)

    def test_keras_1_on_theano(self):
        keras.backend.clear_session()
        for order in ("th", "tf"):
            self.check(f"keras-1.2.2-{order}-image", order + "_image", self.image(), self.folder)
            python = self.check(f"keras-1.2.2-{order}-sequence", "old_sequence", self.sequence(False), self.folder)
        if python:
            self.run_back(python, self.folder, "theano")

    def test_keras_2_on_tensorflow(self):
        keras.backend.clear_session()
        self.check("keras-2.3.1-image", "keras2", self.image(), self.folder)
        python = self.check("keras-2.3.1-sequence", "keras2", self.sequence(True), self.folder)
        if python:
            self.run_back(python, self.folder, "tensorflow")


class OwnNames(Case):
    """What Keras calls the tensors, where a path says something else."""

    def alias(self, path):
        return {t["name"]: t.get("alias") for t in self.inspect(path)["tensors"]}

    def test_layers_of_keras_3(self):
        keras.backend.clear_session()  # Keras numbers the names that it makes up
        model = keras.Sequential(
            [L.Input((4, 5)), L.Bidirectional(L.LSTM(3, name="rnn"), name="both"), L.Dense(2, name="out")], name="m"
        )
        model.compile("adam", loss=keras.losses.MeanSquaredError())
        model.train_on_batch(np.zeros((1, 4, 5)), np.zeros((1, 2)))
        for name in ("m.weights.h5", "m.keras"):
            path = self.path(name)
            model.save_weights(path) if name.startswith("m.w") else model.save(path)
            alias = self.alias(path)
            self.assertEqual(alias["layers/dense/vars/0"], "out/vars/0")
            self.assertEqual(
                alias["layers/bidirectional/forward_layer/cell/vars/2"], "both/forward_rnn/lstm_cell/vars/2"
            )
            self.assertEqual(alias["optimizer/vars/0"], "adam/vars/0")

    def test_specs_by_the_names_of_layers(self):
        """Which of two layers of a class is dense_1 depends on what else there is; their names don't."""
        model = keras.Sequential([L.Input((3,)), L.Dense(3, name="first"), L.Dense(3, name="second")], name="m")
        randomize(model, 9)
        model.save(self.path("m.keras"))
        model.save(self.path("m.h5"))
        rules = {
            "m.keras": '"{n:*}/vars/0" [i o] -> "{n}.weight" [o i]; "{n:*}/vars/1" -> "{n}.bias"',
            "m.h5": '"m/{n:*}/kernel" [i o] -> "{n}.weight" [o i]; "m/{n:*}/bias" -> "{n}.bias"',
        }
        for name, text in rules.items():
            self.wmap_ok("run", "-e", text, self.path(name), "-o", self.path("o.npz"), "--force")
            with np.load(self.path("o.npz")) as f:
                for layer in model.layers:
                    kernel, bias = (np.asarray(w) for w in layer.weights)
                    np.testing.assert_array_equal(f[layer.name + ".weight"], kernel.T)
                    np.testing.assert_array_equal(f[layer.name + ".bias"], bias)

    def test_layers_by_the_configuration(self):
        """Before 3.6, the files hold no names, and config.json has those of the layers."""
        inner = keras.Sequential([L.Input((4,)), L.Dense(3, name="a"), L.Dense(3, name="b")], name="inner")
        x = keras.Input((4, 4, 3))
        y = L.Conv2D(2, 3, name="first")(x)
        y = L.SeparableConv2D(2, 2, name="second")(y)
        y = L.BatchNormalization(name="norm")(y)
        y = L.Dense(4, name="third")(L.Flatten(name="flat")(y))
        model = keras.Model(x, L.Dense(1, name="last")(inner(y)), name="m")
        path, old = self.path("m.keras"), self.path("old.keras")
        model.save(path)
        with zipfile.ZipFile(path) as z, zipfile.ZipFile(old, "w") as out:
            for name in z.namelist():
                data = z.read(name)
                if name.endswith(".h5"):
                    file = io.BytesIO(data)
                    with h5py.File(file, "a") as f:
                        f.visititems(lambda _, item: [item.attrs.pop("name", None)] and None)
                    data = file.getvalue()
                out.writestr(name, data)
        expected = self.alias(path)
        self.assertEqual(expected["layers/sequential/layers/dense_1/vars/0"], "inner/b/vars/0")
        self.assertEqual(expected["layers/dense/vars/0"], "third/vars/0")
        self.assertEqual(self.alias(old), expected)
        for config in (b"{", b"[]", b'{"config": {"layers": [3, {"class_name": 4}, {"class_name": "Dense"}]}}'):
            with zipfile.ZipFile(old) as z, zipfile.ZipFile(self.path("bad.keras"), "w") as out:
                for name in z.namelist():
                    out.writestr(name, config if name == "config.json" else z.read(name))
            self.assertEqual(set(self.alias(self.path("bad.keras")).values()), {None})

    def test_weights_of_legacy_files(self):
        path = self.path("f.h5")
        with h5py.File(path, "w") as f:
            f.attrs["layer_names"] = [b"a", b"b"]
            for layer, weights in [("a", [b"a_3/kernel:0"]), ("b", [b"b/kernel:0", b"same"])]:
                f.create_group(layer).attrs["weight_names"] = weights
                for w in weights:
                    f[layer][w] = np.zeros(2)
        self.assertEqual(
            self.alias(path), {"a/a_3/kernel:0": "a_3/kernel:0", "b/b/kernel:0": "b/kernel:0", "b/same": "same"}
        )

    def test_a_name_that_is_no_text(self):
        path = self.path("f.weights.h5")
        with h5py.File(path, "w") as f:
            for i, value in enumerate([3.0, ["a", "b"], h5py.Empty("S4"), b"", "x" * 70000]):
                g = f.create_group(f"layers/l{i}/vars")
                g.attrs.create("name", value) if len(str(value)) < 60000 else None
                g["0"] = np.zeros(2)
        self.assertEqual(set(self.alias(path).values()), {None})
