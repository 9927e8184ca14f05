"""The specs of tests/cases that hold recurrent cells and normalisations, run on weights of the real layers: both sides
compute the same. Where a framework can't be installed any more (Lasagne, Chainer) its formula stands here, as in its source."""

import os
import subprocess
import sys

import numpy as np
import onnx.reference
import tf_keras
import torch
from onnx import TensorProto, helper
from torch import nn

from common import HERE, ROOT, Case, distance

K = tf_keras.layers
IN, UNITS, STEPS, BATCH = 4, 6, 5, 3


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def numbers(*shape, seed=1):
    return np.random.default_rng(seed).normal(0, 0.5, shape).astype("float32")


X = numbers(BATCH, STEPS, IN, seed=7) * 2


class Recurrent(Case):
    def convert(self, case, source, suffix, *flags):
        """Runs the case's spec on a dict of arrays, or on a file; the target's tensors."""
        if isinstance(source, dict):
            np.savez(self.path("in.npz"), **source)
            source = self.path("in.npz")
        spec = [n for n in os.listdir(os.path.join(ROOT, "tests", "cases")) if n.startswith(f"{case:02}-")]
        out = self.path("out" + suffix)
        self.wmap_ok("run", os.path.join(ROOT, "tests", "cases", spec[0]), source, "-o", out, *flags)
        return torch.load(out, weights_only=True) if suffix == ".pth" else dict(np.load(out))

    def torch_output(self, module, state):
        module.load_state_dict(state)
        with torch.no_grad():
            return module.eval()(torch.from_numpy(X))[0].numpy()

    def keras_output(self, layer, state, order=("kernel", "recurrent_kernel", "bias")):
        model = tf_keras.Sequential([K.InputLayer((STEPS, IN)), layer])
        layer.set_weights([state[name] for name in order])
        return model.predict(X, verbose=0)

    def keras_layer(self, layer):
        """A layer with random weights: they by name, and its output."""
        model = tf_keras.Sequential([K.InputLayer((STEPS, IN)), layer])
        layer.set_weights([numbers(*w.shape, seed=i) for i, w in enumerate(layer.get_weights())])
        names = [w.name.split("/", 1)[1].split(":")[0] for w in layer.weights]
        return dict(zip(names, layer.get_weights())), model.predict(X, verbose=0)

    def tf1_cell(self, kind):
        done = subprocess.run([sys.executable, os.path.join(HERE, "tf1_cells.py"), kind, self.folder],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.assertEqual(done.returncode, 0, done.stdout)
        outputs = np.load(self.path("outputs.npz"))
        np.testing.assert_array_equal(outputs["x"].shape, X.shape)
        return outputs["x"], outputs["y"]

    def test_01_keras_lstm_to_torch(self):
        weights, y = self.keras_layer(K.LSTM(UNITS, return_sequences=True))
        weights = {name.split("/")[-1]: w for name, w in weights.items()}
        state = self.convert(1, weights, ".pth")
        self.assertLess(distance(y, self.torch_output(nn.LSTM(IN, UNITS, batch_first=True), state)), 1e-5)

    def test_02_basic_lstm_cell_to_torch(self):
        x, y = self.tf1_cell("basic_lstm")
        module = nn.LSTM(IN, UNITS, batch_first=True)
        module.load_state_dict(self.convert(2, self.path("cell.ckpt"), ".pth"))
        with torch.no_grad():
            self.assertLess(distance(y, module(torch.from_numpy(x))[0].numpy()), 1e-5)

    def test_03_keras_lstm_to_onnx(self):
        weights, y = self.keras_layer(K.LSTM(UNITS, return_sequences=True))
        weights = {name.split("/")[-1]: w for name, w in weights.items()}
        state = self.convert(3, weights, ".npz")
        self.assertLess(distance(y, self.onnx_lstm(state, "forward")[:, 0]), 1e-5)

    def onnx_lstm(self, state, direction):
        """[batch, directions, units, steps] as [batch, direction, step, unit], by ONNX' reference."""
        node = helper.make_node("LSTM", ["X", "W", "R", "B"], ["Y"], hidden_size=UNITS, direction=direction)
        value = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        graph = helper.make_graph([node], "g", [value(n) for n in "XWRB"], [value("Y")])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
        y = onnx.reference.ReferenceEvaluator(model).run(None, {"X": X.transpose(1, 0, 2), **state})[0]
        return y.transpose(2, 1, 0, 3)

    def cudnn(self, case, gates, layer, shapes):
        """The case's spec against the rules by which Keras 2 loads weights of CuDNN's layers."""
        from tf_keras.src.saving.legacy import hdf5_format

        tf_keras.Sequential([K.InputLayer((STEPS, IN)), layer])
        for width in (IN, UNITS, 9):
            if width != IN:
                layer = type(layer).from_config(layer.get_config())
                tf_keras.Sequential([K.InputLayer((STEPS, width)), layer])
            weights = [numbers(width, gates * UNITS), numbers(UNITS, gates * UNITS, seed=2), numbers(2 * gates * UNITS, seed=3)]
            theirs = hdf5_format._convert_rnn_weights(layer, [w.copy() for w in weights])
            names = ("kernel", "recurrent_kernel", "bias")
            ours = self.convert(case, dict(zip(names, weights)), ".npz", "--force", *shapes)
            for name, array in zip(names, theirs):
                with self.subTest(width=width, name=name):
                    np.testing.assert_array_equal(ours[name], array)

    def test_04_cudnn_lstm(self):
        self.cudnn(4, 4, K.LSTM(UNITS), [])

    def test_05_cudnn_gru(self):
        self.cudnn(5, 3, K.GRU(UNITS, reset_after=True), ["-D", f"units={UNITS}"])

    def test_06_torch_gru_to_keras(self):
        module = nn.GRU(IN, UNITS, batch_first=True)
        state = {k: numbers(*v.shape, seed=i) for i, (k, v) in enumerate(module.state_dict().items())}
        module.load_state_dict({k: torch.from_numpy(v) for k, v in state.items()})
        with torch.no_grad():
            y = module(torch.from_numpy(X))[0].numpy()
        layer = K.GRU(UNITS, return_sequences=True, reset_after=True)
        self.assertLess(distance(y, self.keras_output(layer, self.convert(6, state, ".npz"))), 1e-5)

    def test_07_gru_cell_to_keras(self):
        x, y = self.tf1_cell("gru")
        layer = K.GRU(UNITS, return_sequences=True, reset_after=False)
        model = tf_keras.Sequential([K.InputLayer((STEPS, IN)), layer])
        state = self.convert(7, self.path("cell.ckpt"), ".npz")
        layer.set_weights([state[n] for n in ("kernel", "recurrent_kernel", "bias")])
        self.assertLess(distance(y, model.predict(x, verbose=0)), 1e-5)

    def test_08_keras1_by_the_rules_of_keras2(self):
        from tf_keras.src.saving.legacy import hdf5_format

        arrays, names = [], []
        for i, gate in enumerate("icfo"):
            for j, (letter, shape) in enumerate((("W", (IN, UNITS)), ("U", (UNITS, UNITS)), ("b", (UNITS,)))):
                names.append(f"lstm_1_{letter}_{gate}")
                arrays.append(numbers(*shape, seed=10 * i + j))
        layer = K.LSTM(UNITS, return_sequences=True)
        theirs = hdf5_format.preprocess_weights_for_loading(layer, list(arrays), "1", "tensorflow")
        ours = self.convert(8, dict(zip(names, arrays)), ".npz")
        for name, array in zip(("kernel", "recurrent_kernel", "bias"), theirs):
            np.testing.assert_array_equal(ours[name], array)

    def test_10_lasagne_gru_to_keras(self):
        """lasagne/layers/recurrent.py, GRULayer.step: hid = (1 - update) * hid_previous + update * hidden_update."""
        p = {f"{kind}_{gate}": numbers(*shape, seed=3 * i + j)
             for i, gate in enumerate(("resetgate", "updategate", "hidden_update"))
             for j, (kind, shape) in enumerate((("W_in_to", (IN, UNITS)), ("W_hid_to", (UNITS, UNITS)), ("b", (UNITS,))))}
        h, y = np.zeros((BATCH, UNITS)), []
        for x in X.transpose(1, 0, 2):
            into = lambda gate: x @ p[f"W_in_to_{gate}"] + p[f"b_{gate}"]
            kept = lambda gate: h @ p[f"W_hid_to_{gate}"]
            reset = sigmoid(into("resetgate") + kept("resetgate"))
            update = sigmoid(into("updategate") + kept("updategate"))
            h = (1 - update) * h + update * np.tanh(into("hidden_update") + reset * kept("hidden_update"))
            y.append(h)
        layer = K.GRU(UNITS, return_sequences=True, reset_after=True)
        self.assertLess(distance(np.stack(y, 1), self.keras_output(layer, self.convert(10, p, ".npz"))), 1e-5)

    def test_11_chainer_lstm_to_torch(self):
        """chainer/functions/rnn/lstm.py, _extract_gates: x.reshape(len, units, 4) gives a, i, f, o."""
        p = {"upward.W": numbers(4 * UNITS, IN, seed=1), "upward.b": numbers(4 * UNITS, seed=2),
             "lateral.W": numbers(4 * UNITS, UNITS, seed=3)}
        h, c, y = np.zeros((BATCH, UNITS)), np.zeros((BATCH, UNITS)), []
        for x in X.transpose(1, 0, 2):
            all_gates = x @ p["upward.W"].T + p["upward.b"] + h @ p["lateral.W"].T
            a, i, f, o = (all_gates.reshape(BATCH, UNITS, 4)[:, :, g] for g in range(4))
            c = np.tanh(a) * sigmoid(i) + sigmoid(f) * c
            h = sigmoid(o) * np.tanh(c)
            y.append(h)
        module = nn.LSTM(IN, UNITS, batch_first=True)
        self.assertLess(distance(np.stack(y, 1), self.torch_output(module, self.convert(11, p, ".pth"))), 1e-5)

    def normalized(self, statistics, case, epsilon, flags):
        """What torch computes behind the case's spec; X's last axis is the channels."""
        module = nn.BatchNorm1d(IN, eps=epsilon)
        state = {k.split(".")[-1]: v for k, v in self.convert(case, statistics, ".pth", *flags).items()}
        module.load_state_dict(state)
        with torch.no_grad():
            return module.eval()(torch.from_numpy(X).transpose(1, 2)).transpose(1, 2).numpy()

    def test_15_lasagne_batch_norm(self):
        """lasagne/layers/normalization.py: (x - mean) * (gamma * inv_std) + beta, inv_std = 1/sqrt(var + 1e-4)."""
        var = np.array([2e-3, 0.5, 1, 3], dtype="float64")
        p = {"beta": numbers(IN, seed=1), "gamma": numbers(IN, seed=2), "mean": numbers(IN, seed=3),
             "inv_std": (1 / np.sqrt(var + 1e-4)).astype("float32")}
        y = (X - p["mean"]) * (p["gamma"] * p["inv_std"]) + p["beta"]
        self.assertLess(distance(y, self.normalized(p, 15, 1e-5, ["-D", "eps=1e-5"])), 1e-5)

    def test_27_batch_norm_with_another_epsilon(self):
        for parts in ({}, {"scale": False}, {"center": False}):
            with self.subTest(**parts):
                layer = K.BatchNormalization(epsilon=1e-3, **parts)
                model = tf_keras.Sequential([K.InputLayer((STEPS, IN)), layer])
                # A small variance, so that the epsilon counts.
                layer.set_weights([np.array([2e-3, 1e-3, 1, 3], "float32") if "variance" in w.name else numbers(IN, seed=i)
                                   for i, w in enumerate(layer.weights)])
                p = {"bn/" + w.name.split("/")[-1].split(":")[0]: v for w, v in zip(layer.weights, layer.get_weights())}
                y = model.predict(X, verbose=0)
                flags = ["-D", "eps_src=1e-3", "-D", "eps_tgt=1e-5", "--force"]
                self.assertLess(distance(y, self.normalized(p, 27, 1e-5, flags)), 1e-5)
                wrong = ["-D", "eps_src=1e-5", "-D", "eps_tgt=1e-5", "--force"]
                self.assertGreater(distance(y, self.normalized(p, 27, 1e-5, wrong)), 1e-3)
