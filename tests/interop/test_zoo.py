"""The models of the library against the real networks of torchvision, timm, TF-slim and keras.applications: names,
shapes and dtypes of every size, none missing and none left over. Nothing is computed: what a network holds becomes a
listing (docs/formats.md), which stands for a file of it."""

import importlib
import json
import sys

import common
import keras
import numpy as np
import safetensors.numpy
import tf_keras
import timm
import torch
import torchvision
from pairs import Pairs

KERAS = ["keras", "keras2", "keras3_weights", "keras_path"]
TORCH_DTYPES = {torch.float32: "f32", torch.int64: "i64"}


def torch_tensors(make, **args):
    with torch.device("meta"):
        module = make(**args)
    return [(name, TORCH_DTYPES[t.dtype], list(t.shape)) for name, t in module.state_dict().items()]


def from_torchvision(name, **args):
    return torch_tensors(lambda: getattr(torchvision.models, name)(weights=None, **args))


def from_timm(name, **args):
    return torch_tensors(lambda: timm.create_model(name, pretrained=False, **args))


def from_slim(network, size=None, **args):
    """What tf.train.Saver saves of a network of tf_slim.nets: `network` is "vgg.vgg_16"."""
    # tf_slim asks for tf.layers, which TensorFlow without Keras 2 looks for where tf_keras doesn't have it.
    import tf_keras.src.legacy_tf_layers.normalization
    import tensorflow.compat.v1 as tf
    import tf_slim

    sys.modules.setdefault("tf_keras.legacy_tf_layers", tf_keras.src.legacy_tf_layers)
    module, function = network.split(".")
    nets = importlib.import_module("tf_slim.nets." + module)
    with tf.Graph().as_default():
        images = tf.placeholder(tf.float32, (1, size or 224, size or 224, 3))
        scope = getattr(nets, module + "_arg_scope", None) or getattr(nets, "resnet_arg_scope", None)
        with tf_slim.arg_scope(scope()):
            getattr(nets, function)(images, is_training=False, **args)
        return [(v.op.name, "f32", v.shape.as_list()) for v in tf.global_variables()]


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
        with open(self.path("listing.jsonl"), "w") as out:
            print(json.dumps({"wmap": "listing", "version": 1}), file=out)
            for name, dtype, shape in tensors:
                print(json.dumps({"name": name, "dtype": dtype, "shape": shape}), file=out)
        self.is_model(spec, model, self.path("listing.jsonl"))

    def test_vgg(self):
        for size in (11, 13, 16, 19):
            for norm in ("", "_bn"):
                name = f"vgg{size}{norm}"
                self.same("vgg/vgg", name + ".torchvision", from_torchvision(name))
                self.same("vgg/vgg", name + ".timm", from_timm(name))
        self.same("vgg/vgg", "vgg16.torchvision (classes=7)", from_torchvision("vgg16", num_classes=7))
        for size, name in ((11, "a"), (16, "16"), (19, "19")):
            self.same("vgg/vgg", f"vgg{size}.slim", from_slim("vgg.vgg_" + name, num_classes=1000))

    def test_resnet(self):
        for size in (18, 34, 50, 101, 152):
            name = f"resnet{size}"
            self.same("resnet/resnet", name + ".torchvision", from_torchvision(name))
            self.same("resnet/resnet", name + ".timm", from_timm(name))
            if size >= 50:
                self.same("resnet/resnet", name + ".slim", from_slim(f"resnet_v1.resnet_v1_{size}", num_classes=1000))

    def test_resnet_v2(self):
        self.keras("resnet/resnet_v2", "resnet50_v2", "ResNet50V2", " (classes=3)", classes=3)
        for size in (50, 101, 152):
            name = f"resnet{size}_v2"
            self.same("resnet/resnet_v2", name + ".slim", from_slim(f"resnet_v2.resnet_v2_{size}", num_classes=1000))
            if size < 152:
                self.same("resnet/resnet_v2", name + ".timm", from_timm(f"resnetv2_{size}"))

        self.every_pair("resnet/resnet_v2", "resnet50_v2", ["slim", *KERAS], " (width=2, classes=3)")
        self.every_pair("resnet/resnet_v2", "resnet50_v2", ["timm", "slim", *KERAS], " (width=2, classes=3)")

    def test_bit(self):
        """timm's own loader of Google's archives reads what wmap makes of timm's, and finds the same bits."""
        for name in ("50x1", "50x3", "101x1", "101x3", "152x2", "152x4"):
            self.same("bit/bit", f"bit_r{name}.timm (classes=3)", from_timm(f"resnetv2_{name}_bit", num_classes=3))
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

    def test_mobilenet(self):
        spec = "mobilenet/mobilenet"
        for alpha in (0.25, 1.0):
            args = f" (alpha={alpha}, classes=3)"
            self.keras(spec, "mobilenet_v1", "MobileNet", args, alpha=alpha, classes=3)
        for alpha in (0.35, 1.4):
            args = f" (alpha={alpha}, classes=3)"
            self.keras(spec, "mobilenet_v2", "MobileNetV2", args, alpha=alpha, classes=3)
            self.same(spec, "mobilenet_v2.torchvision" + args, from_torchvision("mobilenet_v2", width_mult=alpha, num_classes=3))
        self.same(spec, "mobilenet_v1.timm", from_timm("mobilenetv1_100"))
        for name, alpha in (("050", 0.5), ("100", 1.0), ("140", 1.4)):
            self.same(spec, f"mobilenet_v2.timm (alpha={alpha})", from_timm("mobilenetv2_" + name))
        self.every_pair(spec, "mobilenet_v1", ["timm", "slim", *KERAS], " (alpha=0.1, classes=3)")
        self.every_pair(spec, "mobilenet_v2", ["torchvision", "timm", "slim", *KERAS], " (alpha=0.1, classes=3)")

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

    def test_densenet(self):
        spec = "densenet/densenet"
        for size in (121, 161, 169, 201):
            self.same(spec, f"densenet{size}.torchvision", from_torchvision(f"densenet{size}"))
            self.same(spec, f"densenet{size}.timm", from_timm(f"densenet{size}"))
        self.keras(spec, "densenet121", "DenseNet121", " (classes=3)", classes=3)
        self.every_pair(spec, "densenet169", ["torchvision", "torchvision_old", "timm", *KERAS], " (growth=2, classes=3)")

    def test_inception(self):
        spec = "inception/inception"
        self.same(spec, "inception_v3.torchvision",
                  torch_tensors(lambda: torchvision.models.inception_v3(weights=None, init_weights=False)))  # fmt: skip
        self.same(spec, "inception_v3.timm", from_timm("inception_v3"))
        self.same(spec, "inception_v3.slim", from_slim("inception_v3.inception_v3", 299, num_classes=1000))
        self.keras(spec, "inception_v3", "InceptionV3", " (classes=3)", classes=3)
        self.every_pair(spec, "inception_v3", ["slim", "torchvision", "timm", *KERAS], " (depth_multiplier=0.0625, classes=3)",
                        "--without", "aux")  # fmt: skip
        self.every_pair(spec, "inception_v3", ["slim", "torchvision"], " (depth_multiplier=0.0625, classes=3)")

    def test_efficientnet(self):
        spec = "efficientnet/efficientnet"
        for size in range(8):
            name = f"efficientnet_b{size}"
            self.same(spec, name + ".torchvision", from_torchvision(name))
            self.same(spec, name + ".timm", from_timm(name))
            self.same(spec, name + ".timm", from_timm("tf_" + name))
        for size in (0, 4):
            self.keras(spec, f"efficientnet_b{size}", f"EfficientNetB{size}", " (classes=3)", classes=3)
        self.every_pair(spec, "efficientnet", ["torchvision", "timm", *KERAS], " (wide=0.1, classes=3)")

    def test_vit(self):
        for name, args in (("vit_tiny_patch16_224", "(width=192)"), ("vit_small_patch32_224", "(width=384, patch=32)"),
                           ("vit_base_patch16_224", "")):  # fmt: skip
            self.same("vit/vit", f"vit.timm {args}", from_timm(name))
        self.same("vit/vit", "vit_large.timm", from_timm("vit_large_patch16_224"))
