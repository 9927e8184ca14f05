"""Real Keras builds and saves, wmap converts, real PyTorch loads strictly, and both compute the same."""

import os
import zipfile

from common import SPECS, Case, distance, randomize
import keras
import numpy as np
import torch
from torch import nn

L = keras.layers
CONTAINERS = {"h5": 0, "weights.h5": 1, "keras": 1}


def save(model, path):
    """Saves in the format that the suffix names."""
    if path.endswith(".weights.h5"):
        model.save_weights(path)
    else:
        model.save(path)


def channels_first(x):
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1)))


class Convert(Case):
    def convert(self, model, spec, container, *flags, rules=None, suffix="pth"):
        source = self.path("model." + container)
        save(model, source)
        target = self.path("out." + suffix)
        spec = spec if os.path.isabs(spec) else os.path.join(SPECS, spec)
        self.wmap_ok("run", spec, source, "-o", target, "-D", f"v={CONTAINERS[container]}", *flags)
        self.assertEqual(self.left_behind(), [])
        return target

    def load(self, module, path):
        module.load_state_dict(torch.load(path, weights_only=True), strict=True)
        return module.eval()

    def same(self, expected, module, x):
        with torch.no_grad():
            self.assertLessEqual(distance(expected, module(x)), 1e-4)


class TorchCnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(8, eps=1e-3)
        self.conv2 = nn.Conv2d(8, 8, 3, padding=1)
        self.fc1 = nn.Linear(120, 16)
        self.fc2 = nn.Linear(16, 16)

    def forward(self, x):
        x = torch.max_pool2d(torch.relu(self.bn1(self.conv1(x))), 2)
        x = torch.max_pool2d(torch.relu(self.conv2(x)), 2)
        return self.fc2(torch.relu(self.fc1(torch.flatten(x, 1))))


def cnn(library, first):
    """The layers of TorchCnn, in Keras 3 or TF-Keras."""
    K = library.layers
    return library.Sequential(
        [
            first,
            K.Conv2D(8, 3, padding="same", name="conv1"),
            K.BatchNormalization(name="bn1"),
            K.ReLU(),
            K.MaxPooling2D(2),
            K.Conv2D(8, 3, padding="same", activation="relu", name="conv2"),
            K.MaxPooling2D(2),
            K.Flatten(),
            K.Dense(16, activation="relu", name="fc1"),
            K.Dense(16, name="fc2"),
        ],
        name="m",
    )


def keras_cnn():
    model = cnn(keras, L.Input((12, 20, 3)))
    randomize(model, 1)
    return model


class TorchLibrary(nn.Module):
    def __init__(self):
        super().__init__()
        self.c3 = nn.Conv3d(3, 4, (2, 3, 2), bias=False)
        self.t1 = nn.ConvTranspose1d(6, 5, 4)
        self.deep = nn.Conv2d(3, 6, 3, groups=3, bias=False)
        self.point = nn.Conv2d(6, 6, 1)
        self.c1 = nn.Conv1d(6, 6, 3, bias=False)
        self.d1 = nn.Linear(7, 7, bias=False)
        self.bn0, self.bn1, self.bn2 = nn.BatchNorm2d(3, eps=1e-3), nn.BatchNorm2d(3, eps=1e-3), nn.BatchNorm2d(3, eps=1e-3)
        self.ln0, self.ln1, self.ln2 = nn.LayerNorm(7, eps=1e-3), nn.LayerNorm(7, eps=1e-3), nn.LayerNorm(7, eps=1e-3)

    def forward(self, volume, image, line, flat):
        image = self.bn2(self.bn1(self.bn0(image)))
        flat = self.ln2(self.ln1(self.ln0(self.d1(flat))))
        return [self.c3(volume), self.point(self.deep(image)), self.t1(self.c1(line)), flat]


def keras_library():
    volume, image, line, flat = (keras.Input(s) for s in ((5, 6, 7, 3), (9, 8, 3), (11, 6), (7,)))
    x = L.BatchNormalization(scale=False, name="bn0")(image)
    x = L.BatchNormalization(center=False, name="bn1")(x)
    x = L.BatchNormalization(scale=False, center=False, name="bn2")(x)
    y = L.LayerNormalization(name="ln0")(L.Dense(7, use_bias=False, name="d1")(flat))
    y = L.LayerNormalization(center=False, name="ln2")(L.LayerNormalization(scale=False, name="ln1")(y))
    outputs = [
        L.Conv3D(4, (2, 3, 2), use_bias=False, name="c3")(volume),
        L.SeparableConv2D(6, 3, depth_multiplier=2, name="sep")(x),
        L.Conv1DTranspose(5, 4, name="t1")(L.Conv1D(6, 3, use_bias=False, name="c1")(line)),
        y,
    ]
    model = keras.Model([volume, image, line, flat], outputs, name="m")
    randomize(model, 5)
    return model


class Library(Convert):
    def check(self, container):
        model = keras_library()
        random = np.random.default_rng(6)
        inputs = [random.normal(size=(2, *t.shape[1:])).astype("float32") for t in model.inputs]
        module = self.load(TorchLibrary(), self.convert(model, "library.wmap", container))
        with torch.no_grad():
            found = module(*[channels_first(x) for x in inputs])
        for expected, got in zip(model.predict(inputs, verbose=0), found):
            self.assertLessEqual(distance(np.moveaxis(expected, -1, 1), got), 1e-4)

    def test_h5(self):
        self.check("h5")

    def test_weights_h5(self):
        self.check("weights.h5")

    def test_keras(self):
        self.check("keras")


class Cnn(Convert):
    def check(self, container):
        model = keras_cnn()
        x = np.random.default_rng(2).normal(size=(4, 12, 20, 3)).astype("float32")
        module = self.load(TorchCnn(), self.convert(model, "cnn.wmap", container))
        self.same(model.predict(x, verbose=0), module, channels_first(x))

    def test_h5(self):
        self.check("h5")

    def test_weights_h5(self):
        self.check("weights.h5")

    def test_keras(self):
        self.check("keras")

    def test_safetensors(self):
        from safetensors.torch import load_file

        model = keras_cnn()
        path = self.convert(model, "cnn.wmap", "keras", suffix="safetensors")
        module = TorchCnn()
        module.load_state_dict(load_file(path), strict=True)
        x = np.random.default_rng(2).normal(size=(4, 12, 20, 3)).astype("float32")
        self.same(model.predict(x, verbose=0), module.eval(), channels_first(x))

    def test_broken_specs_are_seen(self):
        """Each spec is wrong in a way that no shape shows; the comparison has to notice all of them."""
        good = """wmap 1
map main {
  "conv{n}/m/conv{n}/kernel" [kh kw i o] -> "conv{n}.weight" [o i kh kw]
  "conv{n}/m/conv{n}/bias" -> "conv{n}.bias"
  "bn1/m/bn1/gamma" -> "bn1.weight"; "bn1/m/bn1/beta" -> "bn1.bias"
  "bn1/m/bn1/moving_mean" -> "bn1.running_mean"; "bn1/m/bn1/moving_variance" -> "bn1.running_var"
  fill 0 -> "bn1.num_batches_tracked" : i64 []
  "fc1/m/fc1/kernel" [(h w c) o] -> "fc1.weight" [o (c h w)] where h=3, w=5
  "fc1/m/fc1/bias" -> "fc1.bias"
  "fc2/m/fc2/kernel" [i o] -> "fc2.weight" [o i]
  "fc2/m/fc2/bias" -> "fc2.bias"
}
"""
        breaks = {
            "square dense not transposed": ('"fc2/m/fc2/kernel" [i o]', '"fc2/m/fc2/kernel" [o i]'),
            "square kernel's axes swapped": ("[o i kh kw]", "[o i kw kh]"),
            "height and width swapped": ("[o (c h w)]", "[o (c w h)]"),
            "channels-last flatten kept": ("[o (c h w)]", "[o (h w c)]"),
            "mean and beta swapped": ("", ""),
        }
        model = keras_cnn()
        x = np.random.default_rng(2).normal(size=(4, 12, 20, 3)).astype("float32")
        expected = model.predict(x, verbose=0)
        source = self.path("model.h5")
        save(model, source)

        def run(text):
            self.wmap_ok("run", self.write("s.wmap", text), source, "-o", self.path("o.pth"), "--force")
            with torch.no_grad():
                return distance(expected, self.load(TorchCnn(), self.path("o.pth"))(channels_first(x)))

        self.assertLessEqual(run(good), 1e-4)
        for name, (old, new) in breaks.items():
            with self.subTest(name):
                bad = good.replace(old, new) if old else good.replace('"bn1.bias"', '"@"').replace(
                    '"bn1.running_mean"', '"bn1.bias"').replace('"@"', '"bn1.running_mean"')
                self.assertNotEqual(bad, good)
                self.assertGreater(run(bad), 1e-3)


class Rnn(Convert):
    """Input width 7 and 6 units; then both 6, so that kernel and recurrent kernel are alike in shape."""

    def check(self, kind, container):
        for width in (7, 6):
            with self.subTest(width=width):
                make = {"lstm": L.LSTM, "bilstm": L.LSTM, "gru": L.GRU}[kind]
                extra = {"reset_after": True} if kind == "gru" else {}
                rnn = make(6, return_sequences=True, name="rnn", **extra)
                if kind == "bilstm":
                    rnn = L.Bidirectional(rnn, name="rnn")
                keras.backend.clear_session()
                model = keras.Sequential([L.Input((5, width)), rnn], name="m")
                randomize(model, 3)
                path = self.convert(model, "rnn.wmap", container, "--force", "-D", f"kind={kind}")

                class Net(nn.Module):
                    def __init__(self):
                        super().__init__()
                        cls = nn.GRU if kind == "gru" else nn.LSTM
                        self.rnn = cls(width, 6, batch_first=True, bidirectional=kind == "bilstm")

                    def forward(self, x):
                        return self.rnn(x)[0]

                x = np.random.default_rng(4).normal(size=(3, 5, width)).astype("float32")
                self.same(model.predict(x, verbose=0), self.load(Net(), path), torch.from_numpy(x))


class Convs(Convert):
    def check(self, container):
        keras.backend.clear_session()
        model = keras.Sequential(
            [
                L.Input((9, 11, 4)),
                L.DepthwiseConv2D(3, depth_multiplier=2, name="dw"),
                L.Conv2D(6, 3, groups=2, name="gr"),
                L.Conv2DTranspose(6, (3, 2), strides=2, name="up"),
            ],
            name="m",
        )
        randomize(model, 5)

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.dw = nn.Conv2d(4, 8, 3, groups=4)
                self.gr = nn.Conv2d(8, 6, 3, groups=2)
                self.up = nn.ConvTranspose2d(6, 6, (3, 2), stride=2)

            def forward(self, x):
                return self.up(self.gr(self.dw(x)))

        x = np.random.default_rng(6).normal(size=(2, 9, 11, 4)).astype("float32")
        expected = np.moveaxis(model.predict(x, verbose=0), -1, 1)
        module = self.load(Net(), self.convert(model, "convs.wmap", container))
        self.same(expected, module, channels_first(x))


def _add(cls, name, *args):
    def test(self):
        self.check(*args)

    setattr(cls, name, test)


for _container in CONTAINERS:
    _tail = _container.replace(".", "_")
    _add(Convs, "test_" + _tail, _container)
    for _kind in ("lstm", "bilstm", "gru"):
        _add(Rnn, f"test_{_kind}_{_tail}", _kind, _container)


class TfKeras(Convert):
    """Keras 2's names end in :0."""

    def test_h5(self):
        import tf_keras

        K = tf_keras.layers
        tf_keras.backend.clear_session()
        model = tf_keras.Sequential(
            [
                K.InputLayer((6, 5, 3)),
                K.DepthwiseConv2D(3, padding="same", name="dw"),
                K.Conv2D(4, 3, padding="same", name="conv"),
                K.BatchNormalization(name="bn"),
                K.Flatten(),
                K.Dense(7, name="fc"),
            ],
            name="m",
        )
        randomize(model, 7)
        whole, weights = self.path("whole.h5"), self.path("weights.h5.hdf5")
        model.save(whole)
        model.save_weights(weights)
        spec = self.write(
            "s.wmap",
            """wmap 1
import "keras/torch"
map main {
  use depthwise_conv2d (src="dw/dw", dst="dw", v=2)
  use conv2d (src="conv/conv", dst="conv", v=2)
  use batch_norm (src="bn/bn", dst="bn", v=2)
  use dense_flat (src="fc/fc", dst="fc", v=2, rows=6, cols=5)
}
""",
        )

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.dw = nn.Conv2d(3, 3, 3, groups=3, padding=1)
                self.conv = nn.Conv2d(3, 4, 3, padding=1)
                self.bn = nn.BatchNorm2d(4, eps=1e-3)
                self.fc = nn.Linear(120, 7)

            def forward(self, x):
                return self.fc(torch.flatten(self.bn(self.conv(self.dw(x))), 1))

        x = np.random.default_rng(8).normal(size=(2, 6, 5, 3)).astype("float32")
        expected = model.predict(x, verbose=0)
        for source in (whole, weights):
            with self.subTest(source=os.path.basename(source)):
                self.wmap_ok("run", spec, source, "-o", self.path("o.pth"), "--force")
                self.same(expected, self.load(Net(), self.path("o.pth")), channels_first(x))


class Example(Convert):
    """The file that scripts/quickstart converts is Keras', and its spec is right."""

    def test_quickstart(self):
        from common import ROOT

        folder = os.path.join(ROOT, "examples", "cnn")
        self.wmap_ok("run", f"{folder}/cnn.wmap", f"{folder}/cnn.h5", "-o", self.path("o.pth"))

        class Net(TorchCnn):
            def __init__(self):
                super().__init__()
                self.fc1 = nn.Linear(120, 32)
                self.fc2 = nn.Linear(32, 10)

        model = keras.models.load_model(f"{folder}/cnn.h5")
        x = np.random.default_rng(9).normal(size=(2, 12, 20, 3)).astype("float32")
        self.same(model.predict(x, verbose=0), self.load(Net(), self.path("o.pth")), channels_first(x))


class Members(Convert):
    def test_keras_file_is_a_zip(self):
        """The .keras case above is what its name says, not an .h5 under another suffix."""
        save(keras_cnn(), self.path("model.keras"))
        self.assertTrue(zipfile.is_zipfile(self.path("model.keras")))
        self.assertEqual(self.inspect(self.path("model.keras"))["tensors"][0]["dtype"], "f32")
