"""names.py: writes the listings in specs/*/names from the frameworks themselves: what `wmap inspect --format jsonl`
prints of a file that they saved. tests/cli/hub.sh compares every model with its listing."""

import os
import subprocess
import tempfile

from common import LIBRARY, settings
import keras
import torch
from resnet_torch import Resnet
from test_vgg16 import Vgg16
import zoo


def listing(family, model, path):
    target = os.path.join(LIBRARY, family, "names", model + ".jsonl")
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, "w") as out:
        subprocess.run([settings["wmap"], "inspect", "--format", "jsonl", os.path.basename(path)], check=True, stdout=out,
                       cwd=os.path.dirname(path))  # fmt: skip


def keras_listings(module, family, makers, folder, names):
    """`names`: the model of each way to save."""
    for name, make in makers:
        module.backend.clear_session()
        model = make(weights=None)
        for save, suffix, as_model in names:
            path = os.path.join(folder, name + suffix)
            getattr(model, save)(path)
            listing(family, f"{name}.{as_model}", path)
            os.unlink(path)


def torch_listing(family, name, module, folder):
    path = os.path.join(folder, name + ".pth")
    torch.save(module.state_dict(), path)
    listing(family, name + ".torchvision", path)
    os.unlink(path)


def listed(*models):
    """Of networks that nothing need save (zoo.py)."""
    for spec, model, _, make in zoo.networks():
        if model in models:
            target = os.path.join(LIBRARY, spec.split("/")[0], "names", model + ".jsonl")
            os.makedirs(os.path.dirname(target), exist_ok=True)
            zoo.write_listing(target, make())


def main():
    import tf_keras

    listed("vgg11.slim", "resnet50.slim", "mobilenet_v1.timm", "mobilenet_v1.keras_path", "mobilenet_v2.torchvision",
           "mobilenet_v2.keras_path", "densenet121.torchvision", "densenet121.keras_path", "inception_v3.torchvision",
           "inception_v3.slim", "efficientnet_b0.torchvision", "efficientnet_b0.keras_path", "bit_r50x1.timm")  # fmt: skip

    zoo, old = keras.applications, tf_keras.applications
    new_files = [("save", ".h5", "keras"), ("save_weights", ".weights.h5", "keras3_weights")]
    old_files = [("save_weights", ".h5", "keras2")]
    vggs, resnets = [("vgg16", zoo.VGG16), ("vgg19", zoo.VGG19)], [("resnet50", zoo.ResNet50), ("resnet101", zoo.ResNet101)]
    with tempfile.TemporaryDirectory() as folder:
        keras_listings(keras, "vgg", vggs, folder, new_files)
        keras_listings(keras, "resnet", resnets, folder, new_files)
        keras_listings(tf_keras, "vgg", [("vgg16", old.VGG16)], folder, old_files)
        keras_listings(tf_keras, "resnet", [("resnet50", old.ResNet50)], folder, old_files)
        # torchvision's networks as test_vgg16.py and resnet_torch.py write them out
        torch_listing("vgg", "vgg16", Vgg16(), folder)
        torch_listing("resnet", "resnet18", Resnet((2, 2, 2, 2), deep=False), folder)
        torch_listing("resnet", "resnet50", Resnet(), folder)


main()
