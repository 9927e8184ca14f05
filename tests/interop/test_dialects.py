"""The dialects of specs/std by what computes with their arrays: files of real Keras 1, ONNX' reference, a cell of TensorFlow 1."""

import os
import subprocess
import sys

import numpy as np
import onnx.reference
import tf_keras
import torch
from onnx import TensorProto, helper
from torch import nn

from common import HERE, ROOT, SPECS, Case, distance

SPEC = os.path.join(SPECS, "dialects.wmap")
K = tf_keras.layers


def numbers(*shape, seed=1):
    return np.random.default_rng(seed).normal(0, 0.5, shape).astype("float32")


def onnx_run(op, inputs, outputs=1, which=0, **attributes):
    """The output of one node, by ONNX' reference."""
    names = [f"in{i}" if x is not None else "" for i, x in enumerate(inputs)]
    node = helper.make_node(op, names, [f"out{i}" for i in range(outputs)], **attributes)
    value = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
    graph = helper.make_graph([node], "g", [value(n) for n in names if n], [value(f"out{i}") for i in range(outputs)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return onnx.reference.ReferenceEvaluator(model).run(None, {n: x for n, x in zip(names, inputs) if n})[which]


class Dialects(Case):
    def convert(self, a, b, source):
        if isinstance(source, dict):
            path = self.path("in.npz")
            np.savez(path, **source)
            source = path
        out = self.path("out.npz")
        self.wmap_ok("run", SPEC, "--from", a, "--to", b, source, "-o", out, "-f")
        return dict(np.load(out))

    def back(self, a, b, source):
        """There and back gives the same bits."""
        there = self.convert(a, b, source)
        again = self.convert(a.split(".")[0] + "." + b, a.split(".")[1], there)
        self.assertEqual(set(again), set(source))
        for name, array in source.items():
            np.testing.assert_array_equal(again[name], array, name)
        return there

    def test_keras1(self):
        """What the rules of test_keras_read.RealOldFiles, whose outputs are compared there, make of the same files."""
        data = os.path.join(ROOT, "tests", "data", "keras")
        for name, model, rules in (("th-image", "image.th", "th_image"), ("tf-image", "image.tf", "tf_image"),
                                   ("th-sequence", "sequence.old", "old_sequence")):  # fmt: skip
            file, out = os.path.join(data, f"keras-1.2.2-{name}.h5"), self.path("rules.npz")
            self.wmap_ok("run", os.path.join(SPECS, "old_keras.wmap"), "-m", rules, file, "-o", out, "-f")
            got = {k.replace("lstm_cell/", "").replace("gru_cell/", ""): v for k, v in self.convert(model, "keras", file).items()}
            with np.load(out) as want:
                self.assertEqual(set(got), set(want))
                for key in want:
                    np.testing.assert_array_equal(got[key], want[key], key)
            again = self.path("again.h5")
            self.wmap_ok("run", SPEC, "--from", model.split(".")[0] + ".keras", "--to", model.split(".")[1], self.path("out.npz"),
                         "-o", again, "-f")  # fmt: skip
            self.wmap_ok("diff", again, file)

    def test_onnx_recurrent(self):
        x = numbers(3, 5, 4, seed=7) * 2
        net = nn.ModuleDict({"lstm": nn.LSTM(4, 6, batch_first=True), "gru": nn.GRU(4, 6, batch_first=True),
                             "rnn": nn.RNN(4, 6, batch_first=True)})  # fmt: skip
        state = {k: numbers(*v.shape, seed=i) for i, (k, v) in enumerate(net.state_dict().items())}
        net.load_state_dict({k: torch.from_numpy(v) for k, v in state.items()})
        got = self.back("recurrent.torch", "onnx", state)
        for name, op, more in (("lstm", "LSTM", {}), ("gru", "GRU", {"linear_before_reset": 1}), ("rnn", "RNN", {})):
            with torch.no_grad():
                y = net[name](torch.from_numpy(x))[0].numpy()
            out = onnx_run(op, [x.transpose(1, 0, 2), got[name + ".W"], got[name + ".R"], got[name + ".B"]], hidden_size=6, **more)
            self.assertLess(distance(y, out[:, 0].transpose(1, 0, 2)), 1e-5, name)

    def test_gru_before(self):
        """Keras 1's, TensorFlow 1's and ONNX' GRU reset before the product."""
        x = numbers(3, 5, 4, seed=7) * 2
        layer = K.GRU(6, return_sequences=True, reset_after=False)
        model = tf_keras.Sequential([K.InputLayer((5, 4)), layer])
        layer.set_weights([numbers(*w.shape, seed=i) for i, w in enumerate(layer.get_weights())])
        arrays = dict(zip(("gru/gru_cell/kernel", "gru/gru_cell/recurrent_kernel", "gru/gru_cell/bias"), layer.get_weights()))
        got = self.back("before.keras", "onnx", arrays)
        out = onnx_run("GRU", [x.transpose(1, 0, 2), got["gru.W"], got["gru.R"], got["gru.B"]], hidden_size=6)
        self.assertLess(distance(model.predict(x, verbose=0), out[:, 0].transpose(1, 0, 2)), 1e-5)
        done = subprocess.run([sys.executable, os.path.join(HERE, "tf1_cells.py"), "gru", self.folder], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)  # fmt: skip
        self.assertEqual(done.returncode, 0, done.stdout)
        got = self.convert("before.tf1", "keras", self.path("cell.ckpt"))
        layer.set_weights([got["gru/gru_cell/" + n] for n in ("kernel", "recurrent_kernel", "bias")])
        with np.load(self.path("outputs.npz")) as kept:
            self.assertLess(distance(kept["y"], model.predict(kept["x"], verbose=0)), 1e-5)
        self.back("before.keras", "tf1", arrays)

    def test_onnx_plain(self):
        net = nn.ModuleDict({"fc": nn.Linear(4, 3), "conv": nn.Conv2d(4, 3, (3, 2)), "up": nn.ConvTranspose2d(4, 3, (3, 2)),
                             "depth": nn.Conv2d(4, 8, (3, 2), groups=4), "norm": nn.BatchNorm2d(4), "layer": nn.LayerNorm(4),
                             "separable": nn.ModuleDict({"depthwise": nn.Conv2d(4, 8, (3, 2), groups=4, bias=False),
                                                         "pointwise": nn.Conv2d(8, 3, 1)})}).eval()  # fmt: skip
        state = {k: numbers(*v.shape, seed=i) for i, (k, v) in enumerate(net.state_dict().items()) if v.dtype == torch.float32}
        state["norm.running_var"] = abs(state["norm.running_var"]) + 1
        net.load_state_dict({k: torch.from_numpy(v) for k, v in state.items()}, strict=False)
        state["norm.num_batches_tracked"] = np.zeros((), "int64")
        image, row = numbers(2, 4, 6, 5, seed=9), numbers(2, 4, seed=8)
        got = self.back("plain.torch", "onnx", state)
        self.back("plain.torch", "keras", state)
        run = lambda name, x: net[name](torch.from_numpy(x)).detach().numpy()
        self.assertLess(distance(run("fc", row), onnx_run("Gemm", [row, got["fc.B"], got["fc.C"]], transB=1)), 1e-5)
        self.assertLess(distance(run("conv", image), onnx_run("Conv", [image, got["conv.W"], got["conv.B"]])), 1e-5)
        self.assertLess(distance(run("up", image), onnx_run("ConvTranspose", [image, got["up.W"], got["up.B"]])), 1e-5)
        self.assertLess(distance(run("depth", image), onnx_run("Conv", [image, got["depth.W"], got["depth.B"]], group=4)), 1e-5)
        norm = [image] + [got["norm." + n] for n in ("scale", "B", "input_mean", "input_var")]
        self.assertLess(distance(run("norm", image), onnx_run("BatchNormalization", norm)), 1e-5)
        layer = onnx_run("LayerNormalization", [row, got["layer.Scale"], got["layer.B"]])
        self.assertLess(distance(run("layer", row), layer), 1e-5)
        both = net["separable"]["pointwise"](net["separable"]["depthwise"](torch.from_numpy(image))).detach().numpy()
        inner = onnx_run("Conv", [image, got["separable.0.W"]], group=4)
        self.assertLess(distance(both, onnx_run("Conv", [inner, got["separable.1.W"], got["separable.1.B"]])), 1e-5)

    def test_keras_separable(self):
        """SeparableConv2D of Keras against two convolutions of PyTorch."""
        layer = K.SeparableConv2D(3, (3, 2), depth_multiplier=2)
        model = tf_keras.Sequential([K.InputLayer((6, 5, 4)), layer])
        layer.set_weights([numbers(*w.shape, seed=i) for i, w in enumerate(layer.get_weights())])
        image = numbers(2, 6, 5, 4, seed=9)
        got = self.convert("plain.keras", "torch", {**self.zeros(), **dict(zip(
            ("separable/depthwise_kernel", "separable/pointwise_kernel", "separable/bias"), layer.get_weights()))})  # fmt: skip
        x = torch.from_numpy(np.ascontiguousarray(image.transpose(0, 3, 1, 2)))
        x = nn.functional.conv2d(x, torch.from_numpy(got["separable.depthwise.weight"]), groups=4)
        x = nn.functional.conv2d(x, torch.from_numpy(got["separable.pointwise.weight"]), torch.from_numpy(got["separable.pointwise.bias"]))
        self.assertLess(distance(model.predict(image, verbose=0), x.numpy().transpose(0, 2, 3, 1)), 1e-5)

    @staticmethod
    def zeros():
        """The other layers of the network."""
        shapes = {"fc/kernel": (4, 3), "fc/bias": (3,), "conv/kernel": (3, 2, 4, 3), "conv/bias": (3,), "up/kernel": (3, 2, 3, 4),
                  "up/bias": (3,), "depth/kernel": (3, 2, 4, 2), "depth/bias": (8,), "norm/gamma": (4,), "norm/beta": (4,),
                  "norm/moving_mean": (4,), "norm/moving_variance": (4,), "layer/gamma": (4,), "layer/beta": (4,)}  # fmt: skip
        return {name: np.zeros(shape, "float32") for name, shape in shapes.items()}
