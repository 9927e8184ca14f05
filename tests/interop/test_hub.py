"""The hub: maps derived from two models, against the frameworks whose names and layouts the library states."""

import gc
import itertools
import os
import re
import unittest

from common import LIBRARY, SPECS, Case, distance, randomize, settings, wmap
import keras
import numpy as np
import safetensors.numpy
import torch
from torch import nn
from pairs import Pairs
from test_vgg16 import Vgg16


class Vgg(Pairs):
    def test_full_size(self):
        """vgg16.h5 of keras.applications to torchvision's names, by the library's family alone."""
        if settings["quick"]:
            raise unittest.SkipTest("--quick")
        keras.backend.clear_session()
        model = keras.applications.VGG16(weights=None, classifier_activation=None)
        randomize(model, 21)
        x = np.random.default_rng(22).normal(size=(1, 224, 224, 3)).astype("float32")
        expected = model.predict(x, verbose=0)
        source, target = self.path("vgg16.h5"), self.path("vgg16.pth")
        model.save(source)
        del model
        gc.collect()
        self.wmap_ok("run", "vgg/vgg", "--from", "vgg16.keras", "--to", "torchvision", source, "-o", target)
        os.unlink(source)
        module = Vgg16()
        module.load_state_dict(torch.load(target, weights_only=True), strict=True)
        os.unlink(target)
        with torch.no_grad():
            y = module.eval()(torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1))))
        self.assertLessEqual(distance(expected, y), 1e-4)

    def test_pairs(self):
        self.every_pair("vgg/vgg", "vgg11", ["torchvision", "timm", "keras", "keras2", "keras3_weights", "keras_path",
                                             "slim", "lasagne", "lasagne_npz"], " (hidden=8, classes=5)")  # fmt: skip
        self.every_pair("vgg/vgg", "vgg13_bn", ["torchvision", "timm"], " (hidden=4, classes=2)")

    def test_without(self):
        """Features only: the classifier is left behind."""
        spec, model = "vgg/vgg", "vgg11.torchvision (hidden=8)"
        random = self.random_source(spec, model)
        out = self.path("features.safetensors")
        self.wmap_ok("run", spec, "--from", model, "--to", "keras", "--without", "top", random, "-o", out)
        names = list(safetensors.numpy.load_file(out))
        self.assertEqual(len(names), 16)
        self.assertFalse([n for n in names if n.startswith(("fc", "pred"))])

    def test_text(self):
        """What explain prints compiles to the same moves."""
        for spec, a, b in [("vgg/vgg", "vgg11.slim (hidden=8)", "keras"), ("vgg/vgg", "vgg11.keras3_weights", "timm"),
                           ("lstm_lm/lstm_lm", "lstm_lm.ptb", "torch"), ("lstm_lm/lstm_lm", "lstm_lm.torch", "keras"),
                           ("lstm_lm/lstm_lm", "lstm_lm.ptb", "lasagne_npz")]:  # fmt: skip
            source = self.random_source(spec, a)
            flags = [spec, "--from", a, "--to", b, source]
            text = self.write("derived.wmap", self.wmap_ok("explain", *flags))
            plans = [self.wmap_ok("explain", "--moves", *flags), self.wmap_ok("explain", "--moves", text, source)]
            blocks = [sorted(re.split(r"\n(?=\S)", re.sub(r" at \S+:\d+:\d+|^format .*\n", "", p, flags=re.M))) for p in plans]
            self.assertEqual(blocks[0], blocks[1], (a, b))


class Stacked(Pairs):
    def test_pairs(self):
        """Members apart, and stacked first and second, beside parts, operations and several arrays in a tensor."""
        spec = os.path.join(SPECS, "stacked.wmap")
        self.every_pair(spec, "net", ["apart", "second", "tf"])
        self.every_pair(spec, "net", ["fused", "scan", "apart", "second"])

    def test_values(self):
        source = self.random_source(os.path.join(SPECS, "stacked.wmap"), "net.apart")
        out = self.path("out.safetensors")
        self.wmap_ok("run", os.path.join(SPECS, "stacked.wmap"), "--from", "net.apart", "--to", "second", source, "-o", out)
        apart, second = safetensors.numpy.load_file(source), safetensors.numpy.load_file(out)
        for name in ("up.weight", "rnn.w", "rnn.b", "q.w", "scale"):
            for s in (1, 2):
                members = [apart[f"{s}.{k}.{name}"] for k in (1, 2, 3)]
                np.testing.assert_array_equal(second[f"s{s}.{name}"], np.stack(members, axis=1))


class LanguageModel(Pairs):
    """Two LSTM layers: torch.nn.LSTM and keras.layers.LSTM compute the same."""

    def test_forward(self):
        torch.manual_seed(3)
        net = nn.ModuleDict({"encoder": nn.Embedding(11, 4), "rnn": nn.LSTM(4, 4, 2, batch_first=True),
                             "decoder": nn.Linear(4, 11)}).eval()  # fmt: skip
        source, target = self.path("lm.pth"), self.path("lm.weights.h5")
        torch.save(net.state_dict(), source)
        args = " (vocab=11, emb=4, units=4)"
        self.wmap_ok("run", "lstm_lm/lstm_lm", "--from", "lstm_lm.torch" + args, "--to", "keras3_weights", source, "-o",
                     target)  # fmt: skip
        keras.backend.clear_session()
        model = keras.Sequential([keras.layers.Input((6,), dtype="int32"), keras.layers.Embedding(11, 4),
                                  keras.layers.LSTM(4, return_sequences=True),
                                  keras.layers.LSTM(4, return_sequences=True), keras.layers.Dense(11)])  # fmt: skip
        model.load_weights(target)
        tokens = np.random.default_rng(4).integers(0, 11, (2, 6))
        with torch.no_grad():
            expected = net["decoder"](net["rnn"](net["encoder"](torch.from_numpy(tokens)))[0])
        self.assertLessEqual(distance(expected.numpy(), model.predict(tokens, verbose=0)), 1e-5)

    def test_pairs(self):
        """Of those that have one bias; the file that TF1 wrote is without the forget bias that its code adds."""
        self.every_pair("lstm_lm/lstm_lm", "lstm_lm", ["keras", "keras2", "keras3_weights", "keras_path", "torch", "ptb",
                                                       "lasagne", "lasagne_npz"],
                        " (vocab=11, emb=4, units=4)")  # fmt: skip
        spec, args = "lstm_lm/lstm_lm", " (vocab=11, emb=4, units=4)"
        source = self.random_source(spec, "lstm_lm.ptb" + args)
        there, back = self.path("there.safetensors"), self.path("back.safetensors")
        for m in ("torch", "keras"):
            self.wmap_ok("run", spec, "--from", "lstm_lm.ptb" + args, "--to", m, source, "-o", there, "-f")
            self.wmap_ok("run", spec, "--from", f"lstm_lm.{m}{args}", "--to", "ptb", there, "-o", back, "-f")
            a, b = safetensors.numpy.load_file(source), safetensors.numpy.load_file(back)
            self.assertEqual({k: v.tobytes() for k, v in a.items()}, {k: v.tobytes() for k, v in b.items()})

    def test_peepholes(self):
        """What Keras and TF1's cell have no place for must be zero."""
        spec, args = "lstm_lm/lstm_lm", " (vocab=11, emb=4, units=4)"
        source = self.random_source(spec, "lstm_lm.keras" + args)
        whole, bad, out = (self.path(n + ".safetensors") for n in ("whole", "bad", "out"))
        self.wmap_ok("run", spec, "--from", "lstm_lm.keras" + args, "--to", "lasagne", source, "-o", whole)
        for model, name in itertools.product(("keras3_weights", "ptb", "torch"), ("W_cell_to_outgate", "cell_init", "hid_init")):
            tensors = safetensors.numpy.load_file(whole)
            tensors["lstm2." + name].flat[3] = 0.5
            safetensors.numpy.save_file(tensors, bad)
            done = wmap("run", spec, "--from", "lstm_lm.lasagne" + args, "--to", model, bad, "-o", out)
            self.assertEqual(done.returncode, 3, done.stderr)
            self.assertIn("R0801", done.stderr)
            self.assertIn("lstm2." + name, done.stderr)
            self.assertFalse(os.path.exists(out))
            self.wmap_ok("run", spec, "--from", "lstm_lm.lasagne" + args, "--to", model, whole, "-f", "-o", out)
            os.unlink(out)



class Zoo(Case):
    """The layers of specs/std, one by one."""

    spec = os.path.join(SPECS, "zoo.wmap")

    def networks(self):
        keras.backend.clear_session()
        k, torch_of = keras.layers, {}
        rows = {  # name: the Keras layer, PyTorch's, the input's shape without batch, channels last
            "dense": (k.Dense(3), nn.Linear(5, 3), (5,)),
            "embed": (k.Embedding(7, 3), nn.Embedding(7, 3), (6,)),
            "conv1": (k.Conv1D(5, 3), nn.Conv1d(4, 5, 3), (8, 4)),
            "conv2": (k.Conv2D(5, (3, 2)), nn.Conv2d(4, 5, (3, 2)), (7, 8, 4)),
            "conv3": (k.Conv3D(3, (2, 3, 2)), nn.Conv3d(2, 3, (2, 3, 2)), (5, 6, 7, 2)),
            "depth1": (k.DepthwiseConv1D(3, depth_multiplier=2), nn.Conv1d(4, 8, 3, groups=4), (8, 4)),
            "depth2": (k.DepthwiseConv2D((3, 2), depth_multiplier=2), nn.Conv2d(4, 8, (3, 2), groups=4), (7, 8, 4)),
            "grouped": (k.Conv2D(6, 3, groups=2), nn.Conv2d(4, 6, 3, groups=2), (7, 8, 4)),
            "up1": (k.Conv1DTranspose(5, 3), nn.ConvTranspose1d(4, 5, 3), (8, 4)),
            "up2": (k.Conv2DTranspose(5, (3, 2)), nn.ConvTranspose2d(4, 5, (3, 2)), (7, 8, 4)),
            "up3": (k.Conv3DTranspose(3, (2, 3, 2)), nn.ConvTranspose3d(2, 3, (2, 3, 2)), (5, 6, 7, 2)),
            "bn": (k.BatchNormalization(epsilon=1e-5), nn.BatchNorm1d(4, eps=1e-5), (8, 4)),
            "ln": (k.LayerNormalization(epsilon=1e-5), nn.LayerNorm(4, eps=1e-5), (8, 4)),
            "gn": (k.GroupNormalization(2, epsilon=1e-5), nn.GroupNorm(2, 4, eps=1e-5), (8, 4)),
            "rms": (k.RMSNormalization(epsilon=1e-5), nn.RMSNorm(4, eps=1e-5), (8, 4)),
            "lstm": (k.LSTM(3, return_sequences=True), nn.LSTM(4, 3, batch_first=True), (8, 4)),
            "gru": (k.GRU(3, return_sequences=True), nn.GRU(4, 3, batch_first=True), (8, 4)),
            "rnn": (k.SimpleRNN(3, return_sequences=True), nn.RNN(4, 3, batch_first=True), (8, 4)),
        }
        inputs, outputs, shapes = [], [], {}
        for name, (layer, module, shape) in rows.items():
            layer.name = name
            inputs.append(keras.Input(shape, dtype="int32" if name == "embed" else "float32"))
            outputs.append(layer(inputs[-1]))
            torch_of[name], shapes[name] = module, shape
        return keras.Model(inputs, outputs), nn.ModuleDict(torch_of).eval(), shapes

    def compare(self, model, modules, shapes):
        rng = np.random.default_rng(5)
        last = ("dense", "ln", "rms", "lstm", "gru", "rnn")  # whose channels are last in PyTorch, too
        xs = [rng.integers(0, 7, (2, *s)) if n == "embed" else rng.normal(size=(2, *s)).astype("float32")
              for n, s in shapes.items()]  # fmt: skip
        ys = model.predict(xs, verbose=0)
        for (name, module), x, y in zip(modules.items(), xs, ys):
            move = name not in last and name != "embed"
            with torch.no_grad():
                z = module(torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1) if move else x)))
            z = (z[0] if isinstance(z, tuple) else z).numpy()
            self.assertLessEqual(distance(y, np.moveaxis(z, 1, -1) if move else z), 1e-5, name)

    def check(self, container, name):
        model, modules, shapes = self.networks()
        randomize(model, 6)
        source, target = self.path("zoo." + container), self.path("zoo.pth")
        model.save_weights(source) if container == "weights.h5" else model.save(source)
        self.wmap_ok("run", self.spec, "--from", "zoo." + name, "--to", "torch", source, "-o", target)
        modules.load_state_dict(torch.load(target, weights_only=True), strict=True)
        self.compare(model, modules, shapes)

    def test_h5(self):
        self.check("h5", "keras")

    def test_weights_h5(self):
        self.check("weights.h5", "keras3_weights")

    def test_keras(self):
        self.check("keras", "keras3_weights")

    def test_back(self):
        """PyTorch's weights in a file that Keras loads."""
        model, modules, shapes = self.networks()
        torch.manual_seed(7)
        for p in modules.parameters():
            nn.init.normal_(p)
        for buffer in ("running_mean", "running_var"):
            getattr(modules["bn"], buffer).uniform_(0.5, 2)
        source, target = self.path("zoo.pth"), self.path("zoo.weights.h5")
        torch.save(modules.state_dict(), source)
        self.wmap_ok("run", self.spec, "--from", "zoo.torch", "--to", "keras3_weights", source, "-o", target)
        model.load_weights(target)
        self.compare(model, modules, shapes)


class CuDnn(Case):
    def test_cudnn(self):
        """CuDNN's layers of Keras 2, as Keras itself turns them into its own."""
        try:
            import tf_keras
            from tf_keras.src.saving.legacy.hdf5_format import preprocess_weights_for_loading
        except ImportError:
            raise unittest.SkipTest("no tf_keras")
        rng, n, u = np.random.default_rng(10), 4, 3
        names, shapes = ("kernel", "recurrent_kernel", "bias"), {"lstm": 4, "gru": 3}
        cudnn = {k: [rng.normal(size=s).astype("float32") for s in ((n, g * u), (u, g * u), (2 * g * u,))]
                 for k, g in shapes.items()}  # fmt: skip
        source, target = self.path("cudnn.safetensors"), self.path("own.safetensors")
        safetensors.numpy.save_file({f"{k}/{k}/{a}:0": w for k, ws in cudnn.items() for a, w in zip(names, ws)}, source)
        self.wmap_ok("run", os.path.join(SPECS, "recurrent.wmap"), "--from", "recurrent.cudnn", "--to", "keras2", source,
                     "-o", target)  # fmt: skip
        got = safetensors.numpy.load_file(target)
        layers = {"lstm": tf_keras.layers.LSTM(u), "gru": tf_keras.layers.GRU(u, reset_after=True)}
        for kind, layer in layers.items():
            layer.build((None, None, n))
            expected = preprocess_weights_for_loading(layer, cudnn[kind], "2.2.4", "tensorflow")
            for a, w in zip(names, expected):
                self.assertLessEqual(distance(w, got[f"{kind}/{kind}/{kind}_cell/{a}:0"]), 1e-6, (kind, a))


class Flax(Case):
    def test_flax(self):
        """Flax's modules to PyTorch's: the same outputs; back, the same bits."""
        try:
            import flax
            import jax
            from flax import linen
        except ImportError:
            raise unittest.SkipTest("no Flax")
        rows = {  # name: Flax's module, PyTorch's, the input's shape, channels last in Flax
            "dense": (linen.Dense(3), nn.Linear(5, 3), (5,)),
            "embed": (linen.Embed(7, 3), nn.Embedding(7, 3), (6,)),
            "conv1": (linen.Conv(5, (3,), padding="VALID"), nn.Conv1d(4, 5, 3), (8, 4)),
            "conv2": (linen.Conv(5, (3, 2), padding="VALID"), nn.Conv2d(4, 5, (3, 2)), (7, 8, 4)),
            "conv3": (linen.Conv(3, (2, 3, 2), padding="VALID"), nn.Conv3d(2, 3, (2, 3, 2)), (5, 6, 7, 2)),
            "depth1": (linen.Conv(8, (3,), padding="VALID", feature_group_count=4), nn.Conv1d(4, 8, 3, groups=4), (8, 4)),
            "depth2": (linen.Conv(8, (3, 2), padding="VALID", feature_group_count=4),
                       nn.Conv2d(4, 8, (3, 2), groups=4), (7, 8, 4)),
            "grouped": (linen.Conv(6, (3, 3), padding="VALID", feature_group_count=2),
                        nn.Conv2d(4, 6, 3, groups=2), (7, 8, 4)),
            "up1": (linen.ConvTranspose(5, (3,), padding="VALID"), nn.ConvTranspose1d(4, 5, 3), (8, 4)),
            "up2": (linen.ConvTranspose(5, (3, 2), padding="VALID"), nn.ConvTranspose2d(4, 5, (3, 2)), (7, 8, 4)),
            "up3": (linen.ConvTranspose(3, (2, 3, 2), padding="VALID"), nn.ConvTranspose3d(2, 3, (2, 3, 2)), (5, 6, 7, 2)),
            "bn": (linen.BatchNorm(use_running_average=True, epsilon=1e-5), nn.BatchNorm1d(4, eps=1e-5), (8, 4)),
            "ln": (linen.LayerNorm(epsilon=1e-5), nn.LayerNorm(4, eps=1e-5), (8, 4)),
            "gn": (linen.GroupNorm(2, epsilon=1e-5), nn.GroupNorm(2, 4, eps=1e-5), (8, 4)),
            "rms": (linen.RMSNorm(epsilon=1e-5), nn.RMSNorm(4, eps=1e-5), (8, 4)),
            "lstm": (linen.RNN(linen.LSTMCell(3)), nn.LSTM(4, 3, batch_first=True), (8, 4)),
            "rnn": (linen.RNN(linen.SimpleCell(3)), nn.RNN(4, 3, batch_first=True), (8, 4)),
        }  # fmt: skip
        rng, params, stats, inputs, modules = np.random.default_rng(8), {}, {}, {}, {}
        for name, (module, twin, shape) in rows.items():
            x = rng.integers(0, 7, (2, *shape)) if name == "embed" else rng.normal(size=(2, *shape)).astype("float32")
            variables = jax.tree.map(np.array, module.init(jax.random.key(9), x))
            variables = jax.tree.map(lambda v: rng.uniform(0.3, 1.2, v.shape).astype("float32"), variables)
            cell = variables["params"].get("cell", variables["params"])
            params[name], inputs[name], modules[name] = cell, x, twin
            if "batch_stats" in variables:
                stats[name] = variables["batch_stats"]
        path, target, back = self.path("zoo.msgpack"), self.path("zoo.pth"), self.path("back.safetensors")
        self.write("zoo.msgpack", flax.serialization.to_bytes({"params": params, "batch_stats": stats}))
        spec = Zoo.spec
        self.wmap_ok("run", spec, "--from", "zoo.flax", "--to", "torch", "--without", "gru", path, "-o", target)
        modules = nn.ModuleDict(modules).eval()
        modules.load_state_dict(torch.load(target, weights_only=True), strict=True)
        last = ("dense", "embed", "ln", "rms", "lstm", "rnn")
        for name, (module, twin, _) in rows.items():
            wrapped = {"cell": params[name]} if name in ("lstm", "rnn") else params[name]
            variables = {"params": wrapped, **({"batch_stats": stats[name]} if name in stats else {})}
            y, x = np.array(module.apply(variables, inputs[name])), inputs[name]
            with torch.no_grad():
                z = modules[name](torch.from_numpy(np.ascontiguousarray(x if name in last else np.moveaxis(x, -1, 1))))
            z = (z[0] if isinstance(z, tuple) else z).numpy()
            self.assertLessEqual(distance(y, z if name in last else np.moveaxis(z, 1, -1)), 1e-5, name)
        self.wmap_ok("run", spec, "--from", "zoo.torch", "--to", "flax", "--without", "gru", target, "-o", back)
        tensors = safetensors.numpy.load_file(back)
        for name, tree in params.items():
            for at, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
                key = ".".join(["params", name, *[str(k.key) for k in at]])
                self.assertTrue(np.array_equal(tensors[key], leaf), key)


class As(Case):
    def test_as(self):
        """A file says which model it is of."""
        model = keras.applications.VGG16(weights=None, include_top=False)
        source = self.path("features.h5")
        model.save(source)
        done = self.wmap_ok("check", os.path.join(LIBRARY, "vgg", "vgg.wmap"), "--as", "*", source)
        self.assertEqual(done, "")


