"""specs/resnet/resnet.wmap: keras.applications' ResNet50 and the network under Keras' old names against PyTorch's; every pair."""

import gc
import os

from common import distance, randomize
import keras
import numpy as np
import safetensors.numpy
import tf_keras
import torch
from pairs import Pairs
from resnet_torch import Resnet

L = tf_keras.layers


def old_resnet50(width, classes, size):
    """keras_applications 1.0.4, resnet50.py; there the pooling pads nothing, and epsilon is Keras' own."""

    def norm(x, name):
        return L.BatchNormalization(epsilon=1e-3, name=name)(x)

    def unit(x, stage, letter, width, stride):
        conv, bn = f"res{stage}{letter}_branch", f"bn{stage}{letter}_branch"
        y = L.ReLU()(norm(L.Conv2D(width, 1, stride, name=conv + "2a")(x), bn + "2a"))
        y = L.ReLU()(norm(L.Conv2D(width, 3, padding="same", name=conv + "2b")(y), bn + "2b"))
        y = norm(L.Conv2D(4 * width, 1, name=conv + "2c")(y), bn + "2c")
        if letter == "a":
            x = norm(L.Conv2D(4 * width, 1, stride, name=conv + "1")(x), bn + "1")
        return L.ReLU()(L.add([y, x]))

    inputs = x = L.Input((size, size, 3))
    x = L.ReLU()(norm(L.Conv2D(width, 7, 2, name="conv1")(L.ZeroPadding2D(3)(x)), "bn_conv1"))
    x = L.MaxPooling2D(3, 2)(x)
    for stage, count in enumerate((3, 4, 6, 3), 2):
        for k in range(count):
            x = unit(x, stage, "abcdef"[k], width * 2 ** (stage - 2), 1 if k or stage == 2 else 2)
    return tf_keras.Model(inputs, L.Dense(classes, name="fc1000")(L.GlobalAveragePooling2D()(x)))


class ResnetFamily(Pairs):
    def equal(self, model, module, source, named, args, image):
        """From Keras to PyTorch the same outputs; back, into Keras itself, as well."""
        target, back = self.path("resnet.pth"), self.path("back.weights.h5")
        expected = model.predict(image, verbose=0)
        self.wmap_ok("run", "resnet/resnet", "--from", f"resnet50.{named}{args}", "--to", "torchvision", source, "-o", target)
        module.load_state_dict(torch.load(target, weights_only=True), strict=True)
        with torch.no_grad():
            y = module.eval()(torch.from_numpy(np.ascontiguousarray(np.moveaxis(image, -1, 1))))
        self.assertLessEqual(distance(expected, y), 1e-4)
        return expected, target, back

    def test_keras(self):
        """At full size, but for the image's."""
        keras.backend.clear_session()
        model = keras.applications.ResNet50(weights=None, classifier_activation=None, input_shape=(64, 64, 3), classes=7)
        randomize(model, 31)
        image = np.random.default_rng(32).normal(size=(2, 64, 64, 3)).astype("float32")
        source = self.path("resnet50.weights.h5")
        model.save_weights(source)
        module = Resnet(classes=7, first=True, eps=1.001e-5)
        expected, target, back = self.equal(model, module, source, "keras3_weights", " (classes=7)", image)
        os.unlink(source)
        self.wmap_ok("run", "resnet/resnet", "--from", "resnet50.torchvision (classes=7)", "--to", "keras3_weights", target, "-o",
                     back)  # fmt: skip
        randomize(model, 33)
        model.load_weights(back)
        self.assertLessEqual(distance(expected, model.predict(image, verbose=0)), 1e-4)
        del model
        gc.collect()

    def test_old_names(self):
        """TF-Keras loads files by the order of their layers, so that is right, too."""
        tf_keras.backend.clear_session()
        model = old_resnet50(8, 5, 64)
        randomize(model, 34)
        image = np.random.default_rng(35).normal(size=(2, 64, 64, 3)).astype("float32")
        source, back = self.path("resnet50.h5"), self.path("back.h5")
        model.save_weights(source)
        module = Resnet(width=8, classes=5, first=True, eps=1e-3)
        module.pool = torch.nn.MaxPool2d(3, 2)
        args = " (width=8, classes=5)"
        expected, target, _ = self.equal(model, module, source, "keras_old", args, image)
        self.wmap_ok("run", "resnet/resnet", "--from", "resnet50.torchvision" + args, "--to", "keras_old", target, "-o", back)
        randomize(model, 36)
        model.load_weights(back)
        self.assertLessEqual(distance(expected, model.predict(image, verbose=0)), 1e-4)

    def test_pairs(self):
        keras_models = ["keras", "keras2", "keras3_weights", "keras_path", "keras_old"]
        for arch, others in ("resnet50", ["slim"]), ("resnet18", []):
            args = " (width=4, classes=5)"
            self.every_pair("resnet/resnet", arch, ["torchvision", "timm", *others, *keras_models], args)
            self.every_pair("resnet/resnet", arch, keras_models, args)  # with biases that are not zero

    def test_depths(self):
        """torchvision's names and shapes, in its order."""
        for name, units, deep in [("resnet18", (2, 2, 2, 2), False), ("resnet34", (3, 4, 6, 3), False),
                                  ("resnet101", (3, 4, 23, 3), True), ("resnet152", (3, 8, 36, 3), True)]:  # fmt: skip
            module = Resnet(units, deep, 4, 5)
            path, out = self.path("in.pth"), self.path("out.safetensors")
            torch.save(module.state_dict(), path)
            self.wmap_ok("run", "resnet/resnet", "--from", name + ".torchvision (width=4, classes=5)", "--to", "keras", path, "-f",
                         "-o", out)  # fmt: skip
            layers = {n.split("/")[0] for n in safetensors.numpy.load_file(out)}
            self.assertEqual(len(layers), 2 * sum(k.endswith("running_mean") for k in module.state_dict()) + 1)

