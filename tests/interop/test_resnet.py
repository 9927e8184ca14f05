"""A ResNet18 of TensorFlow, trained state and all, in every kind of checkpoint -> torchvision's state dict: PyTorch loads it
strictly, and both compute the same."""

import os

from common import LIBRARY, Case, distance, randomize, wmap
import numpy as np
import tensorflow as tf
import tf_keras
import torch
from torch import nn

v1 = tf.compat.v1
L = tf_keras.layers
SPEC = os.path.join(LIBRARY, "resnet", "resnet18.wmap")
WIDTHS = (16, 24, 32, 40)  # torchvision's are 64, 128, 256, 512; the names and the shapes' order are what counts
CLASSES = 7


def norm(x, name):
    return L.BatchNormalization(epsilon=1e-5, name=name)(x)


def conv(x, width, size, stride, name):
    if size > 1:
        x = L.ZeroPadding2D(size // 2)(x)
    return L.Conv2D(width, size, stride, use_bias=False, name=name)(x)


def tensorflow_resnet():
    inputs = x = L.Input([48, 32, 3])
    x = L.ReLU()(norm(conv(x, WIDTHS[0], 7, 2, "conv1"), "bn1"))
    x = L.MaxPooling2D(3, 2)(L.ZeroPadding2D(1)(x))
    for s, width in enumerate(WIDTHS, 1):
        for b in range(2):
            stride, name, short = 2 if s > 1 and b == 0 else 1, f"layer{s}_{b}", x
            x = L.ReLU()(norm(conv(x, width, 3, stride, f"{name}_conv1"), f"{name}_bn1"))
            x = norm(conv(x, width, 3, 1, f"{name}_conv2"), f"{name}_bn2")
            if stride == 2:
                short = norm(conv(short, width, 1, 2, f"{name}_downsample_conv"), f"{name}_downsample_bn")
            x = L.ReLU()(x + short)
    return tf_keras.Model(inputs, L.Dense(CLASSES, name="fc")(L.GlobalAveragePooling2D()(x)))


class Block(nn.Module):
    """BasicBlock of torchvision/models/resnet.py, with its names."""

    def __init__(self, inputs, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = None
        if stride != 1 or inputs != width:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x):
        out = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(out + (self.downsample(x) if self.downsample else x))


class TorchResNet(nn.Module):
    """ResNet of torchvision/models/resnet.py with two blocks a layer."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, WIDTHS[0], 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        inputs = WIDTHS[0]
        for s, width in enumerate(WIDTHS, 1):
            layer = nn.Sequential(Block(inputs, width, 1 if s == 1 else 2), Block(width, width, 1))
            setattr(self, f"layer{s}", layer)
            inputs = width
        self.fc = nn.Linear(WIDTHS[-1], CLASSES)

    def forward(self, x):
        x = torch.max_pool2d(torch.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for s in range(1, 5):
            x = getattr(self, f"layer{s}")(x)
        return self.fc(x.mean((2, 3)))


class ResNet18(Case):
    @classmethod
    def setUpClass(cls):
        tf_keras.utils.set_random_seed(18)
        cls.model = tensorflow_resnet()
        randomize(cls.model, 18)
        cls.model.compile(tf_keras.optimizers.SGD(0.01, momentum=0.9), "mse")
        cls.model.optimizer.build(cls.model.trainable_variables)
        cls.x = np.random.default_rng(4).normal(0, 1, (3, 48, 32, 3)).astype("float32")
        cls.expected = cls.model(cls.x, training=False).numpy()

    def converts(self, checkpoint, *flags):
        target = self.path("out.pth")
        self.wmap_ok("run", SPEC, checkpoint, "-o", target, *flags)
        module = TorchResNet()
        state = torch.load(target, weights_only=True)
        module.load_state_dict(state, strict=True)
        with torch.no_grad():
            got = module.eval()(torch.from_numpy(np.ascontiguousarray(np.moveaxis(self.x, -1, 1))))
        self.assertLessEqual(distance(self.expected, got), 1e-4)
        return {n: t.numpy().tobytes() for n, t in state.items()}

    def save_by_name(self, prefix, **saver):
        """As a TF 1 program saves while it trains: with Momentum's slots and the step."""
        os.makedirs(os.path.dirname(prefix), exist_ok=True)
        values = {w.name.split(":")[0]: w.numpy() for w in self.model.weights}
        with tf.Graph().as_default():
            for name, value in values.items():
                w = v1.get_variable(name, initializer=value, use_resource=False)
                v1.get_variable(name + "/Momentum", initializer=tf.zeros_like(w), use_resource=False)
            step = v1.train.get_or_create_global_step()
            with v1.Session() as session:
                session.run(v1.global_variables_initializer())
                return v1.train.Saver(**saver).save(session, prefix, global_step=step)

    def test_every_kind_of_checkpoint(self):
        by_name = self.save_by_name(self.path("name/model.ckpt"))
        first = self.converts(by_name)
        old = self.save_by_name(self.path("old/model.ckpt"), write_version=v1.train.SaverDef.V1)
        checkpoint = tf.train.Checkpoint(model=self.model).save(self.path("object/ck"))
        self.model.save_weights(self.path("weights/w"), save_format="tf")
        self.model.save(self.path("saved"), save_format="tf")
        for path in (old, checkpoint, self.path("object"), self.path("weights/w"), self.path("saved")):
            self.assertEqual(self.converts(path, "--force"), first, path)

    def test_what_is_missing_is_said_together(self):
        prefix = self.save_by_name(self.path("part/model.ckpt"))
        reader = tf.train.load_checkpoint(prefix)
        names = [n for n in reader.get_variable_to_shape_map() if not n.startswith(("layer3_1", "bn1"))]
        tf.raw_ops.SaveV2(prefix=self.path("less"), tensor_names=names, shape_and_slices=[""] * len(names),
                          tensors=[tf.constant(reader.get_tensor(n)) for n in names])  # fmt: skip
        done = wmap("run", SPEC, self.path("less"), "-o", self.path("never.pth"))
        self.assertEqual(done.returncode, 3, done.stderr)
        for name in ("bn1/gamma", "layer3_1_conv1/kernel", "layer3_1_bn2/moving_variance"):
            self.assertIn(name.split("/")[1], done.stderr)
        self.assertFalse(os.path.exists(self.path("never.pth")))
