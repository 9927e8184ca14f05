"""The models of the library against the real networks of torchvision, timm, TF-slim and keras.applications: names,
shapes and dtypes of every size, none missing and none left over. Nothing is computed: what a network holds becomes a
listing (docs/formats.md), which stands for a file of it."""

import os

import common
import keras
import numpy as np
import safetensors.numpy
import tf_keras
import timm
import torch
import torchvision
from pairs import Pairs
from zoo import networks, table, write_listing

KERAS = ["keras", "keras2", "keras3_weights", "keras_path"]



class Zoo(Pairs):
    def keras(self, spec, architecture, name, args="", **options):
        """The files that Keras 3 and Keras 2 write of a network of keras.applications, and the paths of its variables."""
        for module, ways in ((keras, ((".h5", "save", "keras"), (".weights.h5", "save_weights", "keras3_weights"))),
                             (tf_keras, ((".h5", "save_weights", "keras2"),))):  # fmt: skip
            module.backend.clear_session()
            network = getattr(module.applications, name)(weights=None, **options)
            for suffix, save, model in ways:
                path = self.path("network" + suffix)
                getattr(network, save)(path)
                self.is_model(spec, f"{architecture}.{model}{args}", path)
            if module is keras:
                self.same(spec, f"{architecture}.keras_path{args}",
                          [(v.path, "f32", list(v.shape)) for v in network.weights])  # fmt: skip

    def is_model(self, spec, model, path):
        done = common.wmap("check", spec, "--as", model, path)
        self.assertEqual(done.returncode, 0, f"{model}: {done.stderr[:3000]}")

    def same(self, spec, model, tensors):
        """What the model says is what the network holds."""
        write_listing(self.path("listing.jsonl"), tensors)
        self.is_model(spec, model, self.path("listing.jsonl"))

    def test_networks(self):
        """Every network, and the table of them in docs/models.md (models.py writes it)."""
        found = []
        for spec, model, framework, make in networks():
            tensors = make()
            self.same(spec, model, tensors)
            found.append((spec, model, framework, tensors))
        with open(os.path.join(common.ROOT, "docs", "models.md"), encoding="utf-8") as f:
            self.assertIn(table(found), f.read(), "docs/models.md: run tests/interop/models.py")

    def test_keras_files(self):
        few = " (classes=3)"
        self.keras("resnet/resnet_v2", "resnet50_v2", "ResNet50V2", few, classes=3)
        for alpha in (0.25, 1.0):
            args = f" (alpha={alpha}, classes=3)"
            self.keras("mobilenet/mobilenet", "mobilenet_v1", "MobileNet", args, alpha=alpha, classes=3)
        for alpha in (0.35, 1.4):
            args = f" (alpha={alpha}, classes=3)"
            self.keras("mobilenet/mobilenet", "mobilenet_v2", "MobileNetV2", args, alpha=alpha, classes=3)
        self.keras("densenet/densenet", "densenet121", "DenseNet121", few, classes=3)
        self.keras("inception/inception", "inception_v3", "InceptionV3", few, classes=3)
        for size in (0, 4):
            self.keras("efficientnet/efficientnet", f"efficientnet_b{size}", f"EfficientNetB{size}", few, classes=3)

    def test_pairs(self):
        spec, args = "resnet/resnet_v2", " (width=2, classes=3)"
        self.every_pair(spec, "resnet50_v2", ["slim", *KERAS], args)  # with biases that are not zero
        self.every_pair(spec, "resnet50_v2", ["timm", "slim", *KERAS], args)
        spec, args = "mobilenet/mobilenet", " (alpha=0.1, classes=3)"
        self.every_pair(spec, "mobilenet_v1", ["timm", "slim", *KERAS], args)
        self.every_pair(spec, "mobilenet_v2", ["torchvision", "timm", "slim", *KERAS], args)
        self.every_pair("densenet/densenet", "densenet169", ["torchvision", "torchvision_old", "timm", *KERAS],
                        " (growth=2, classes=3)")  # fmt: skip
        spec, args = "inception/inception", " (depth_multiplier=0.0625, classes=3)"
        self.every_pair(spec, "inception_v3", ["slim", "torchvision", "timm", *KERAS], args, "--without", "aux")
        self.every_pair(spec, "inception_v3", ["slim", "torchvision"], args)
        self.every_pair("efficientnet/efficientnet", "efficientnet", ["torchvision", "timm", *KERAS], " (wide=0.1, classes=3)")

    def test_bit(self):
        """timm's own loader of Google's archives reads what wmap makes of timm's, and finds the same bits."""
        one, other = (timm.create_model("resnetv2_50x1_bit", num_classes=3) for _ in range(2))
        tensors = {}
        for name, t in one.state_dict().items():
            tensors[name] = np.random.default_rng(len(tensors)).standard_normal(t.shape).astype("float32")
        source, archive, back = self.path("timm.safetensors"), self.path("BiT.npz"), self.path("back.safetensors")
        safetensors.numpy.save_file(tensors, source)
        self.wmap_ok("run", "bit/bit", "--from", "bit_r50x1.timm (classes=3)", "--to", "npz", source, "-o", archive)
        other.load_pretrained(archive)
        for name, t in other.state_dict().items():
            self.assertTrue(np.array_equal(t.numpy(), tensors[name]), name)
        self.wmap_ok("run", "bit/bit", "--from", "bit_r50x1.npz (classes=3)", "--to", "timm", archive, "-o", back)
        with open(source, "rb") as a, open(back, "rb") as b:
            self.assertEqual(set(safetensors.numpy.load(a.read())), set(safetensors.numpy.load(b.read())))
        for name, t in safetensors.numpy.load_file(back).items():
            self.assertTrue(np.array_equal(t, tensors[name]), name)

    def test_mobilenet_outputs(self):
        """keras.applications' MobileNet v2 and torchvision's, with Keras' padding and epsilon."""
        keras.backend.clear_session()
        network = keras.applications.MobileNetV2((64, 64, 3), 0.35, weights=None, classes=7, classifier_activation=None)
        common.randomize(network, 41)
        image = np.random.default_rng(42).normal(size=(2, 64, 64, 3)).astype("float32")
        source, target = self.path("network.weights.h5"), self.path("network.pth")
        network.save_weights(source)
        args = " (alpha=0.35, classes=7)"
        self.wmap_ok("run", "mobilenet/mobilenet", "--from", "mobilenet_v2.keras3_weights" + args, "--to", "torchvision",
                     source, "-o", target)  # fmt: skip
        module = torchvision.models.mobilenet_v2(weights=None, width_mult=0.35, num_classes=7).eval()
        module.load_state_dict(torch.load(target, weights_only=True), strict=True)
        for m in list(module.modules()):
            if isinstance(m, torch.nn.BatchNorm2d):
                m.eps = 1e-3
            elif isinstance(m, torch.nn.Conv2d) and m.stride == (2, 2):
                m.padding = (0, 0)
                m.register_forward_pre_hook(lambda _, x: (torch.nn.functional.pad(x[0], (0, 1, 0, 1)),))
        with torch.no_grad():
            y = module(torch.from_numpy(np.ascontiguousarray(np.moveaxis(image, -1, 1))))
        self.assertLessEqual(common.distance(network.predict(image, verbose=0), y), 1e-4)
        back = self.path("back.weights.h5")
        self.wmap_ok("run", "mobilenet/mobilenet", "--from", "mobilenet_v2.torchvision" + args, "--to", "keras3_weights",
                     target, "-o", back)  # fmt: skip
        expected = network.predict(image, verbose=0)
        common.randomize(network, 43)
        network.load_weights(back)
        self.assertTrue(np.array_equal(expected, network.predict(image, verbose=0)))
