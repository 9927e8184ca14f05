"""VGG16 of keras.applications at full size, random weights, through specs/vgg/vgg16.wmap."""

import gc
import os
import unittest

from common import LIBRARY, SPECS, Case, distance, randomize, settings
import keras
import numpy as np
import torch
from torch import nn

PLAN = [64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M"]


class Vgg16(nn.Module):
    """torchvision.models.vgg16, written out so that the test needs no torchvision."""

    def __init__(self, classes=1000):
        super().__init__()
        layers, width = [], 3
        for v in PLAN:
            if v == "M":
                layers.append(nn.MaxPool2d(2, 2))
            else:
                layers += [nn.Conv2d(width, v, 3, padding=1), nn.ReLU()]
                width = v
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096), nn.ReLU(), nn.Dropout(),
            nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(), nn.Linear(4096, classes),
        )  # fmt: skip

    def forward(self, x):
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


class FullSize(Case):
    def check(self, container):
        if settings["quick"]:
            raise unittest.SkipTest("--quick")
        keras.backend.clear_session()
        model = keras.applications.VGG16(weights=None, classifier_activation=None)
        randomize(model, 11)
        x = np.random.default_rng(12).normal(size=(1, 224, 224, 3)).astype("float32")
        expected = model.predict(x, verbose=0)
        source, target = self.path("vgg16." + container), self.path("vgg16.pth")
        if container == "weights.h5":
            model.save_weights(source)
        else:
            model.save(source)
        del model
        gc.collect()
        self.assertGreater(os.path.getsize(source), 550_000_000)
        self.wmap_ok("run", os.path.join(LIBRARY, "vgg", "vgg16.wmap"), source, "-o", target)
        os.unlink(source)
        module = Vgg16()
        module.load_state_dict(torch.load(target, weights_only=True), strict=True)
        os.unlink(target)
        with torch.no_grad():
            y = module.eval()(torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1))))
        self.assertLessEqual(distance(expected, y), 1e-4)

    def test_h5(self):
        self.check("h5")

    def test_weights_h5(self):
        self.check("weights.h5")

    def test_keras(self):
        self.check("keras")

    def test_back(self):
        """PyTorch's weights, loaded by keras.applications itself."""
        if settings["quick"]:
            raise unittest.SkipTest("--quick")
        source, target = self.path("vgg16.pth"), self.path("vgg16.h5")
        torch.manual_seed(13)
        module = Vgg16().eval()
        torch.save(module.state_dict(), source)
        x = np.random.default_rng(14).normal(size=(1, 224, 224, 3)).astype("float32")
        with torch.no_grad():
            expected = module(torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1)))).numpy()
        del module
        gc.collect()
        self.wmap_ok("run", os.path.join(SPECS, "vgg16_back.wmap"), source, "-o", target)
        os.unlink(source)
        keras.backend.clear_session()
        model = keras.applications.VGG16(weights=target, classifier_activation=None)
        self.assertLessEqual(distance(expected, model.predict(x, verbose=0)), 1e-4)
