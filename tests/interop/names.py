"""names.py: writes the listings in specs/*/names from the frameworks themselves: what `wmap inspect --format jsonl`
prints of a file that they saved. tests/language/names.sh compares every model with its listing."""

import os
import subprocess
import tempfile

from common import LIBRARY, settings
import keras
import torch
from test_vgg16 import Vgg16


def listing(family, model, path):
    target = os.path.join(LIBRARY, family, "names", model + ".jsonl")
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, "w") as out:
        subprocess.run([settings["wmap"], "inspect", "--format", "jsonl", os.path.basename(path)], check=True, stdout=out,
                       cwd=os.path.dirname(path))  # fmt: skip


def main():
    with tempfile.TemporaryDirectory() as folder:
        for name, make in [("vgg16", keras.applications.VGG16), ("vgg19", keras.applications.VGG19)]:
            keras.backend.clear_session()
            model = make(weights=None)
            model.save(os.path.join(folder, name + ".h5"))
            listing("vgg", name + ".keras", os.path.join(folder, name + ".h5"))
            model.save_weights(os.path.join(folder, name + ".weights.h5"))
            listing("vgg", name + ".keras3_weights", os.path.join(folder, name + ".weights.h5"))
        # torchvision's network as test_vgg16.py writes it out
        torch.save(Vgg16().state_dict(), os.path.join(folder, "vgg16.pth"))
        listing("vgg", "vgg16.torchvision", os.path.join(folder, "vgg16.pth"))
        import tf_keras

        tf_keras.backend.clear_session()
        tf_keras.applications.VGG16(weights=None).save_weights(os.path.join(folder, "vgg16.h5"))
        listing("vgg", "vgg16.keras2", os.path.join(folder, "vgg16.h5"))


main()
