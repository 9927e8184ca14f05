"""What the tests with real frameworks share: running wmap, and comparing outputs."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import types
import unittest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
# PyPI's torchvision holds operators compiled for CUDA, which a torch without it can't load: this module of it, which
# describes them, then fails. No network here needs them, and transformers imports torchvision where it finds it.
sys.modules.setdefault("torchvision._meta_registrations", types.ModuleType("torchvision._meta_registrations"))

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SPECS = os.path.join(HERE, "specs")
LIBRARY = os.path.join(ROOT, "specs")

settings = {"wmap": os.environ.get("WMAP", "wmap"), "quick": False}


def wmap(*args, **kw):
    """Runs wmap; the finished process, its output as text."""
    command = [settings["wmap"], *[str(a) for a in args]]
    env = dict(os.environ, WMAP_SPECS=LIBRARY, **kw.pop("env", {}))
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env, **kw)


class Case(unittest.TestCase):
    """A test with a folder of its own."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="wmap-interop-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, data):
        mode = "wb" if isinstance(data, bytes) else "w"
        with open(self.path(name), mode) as f:
            f.write(data)
        return self.path(name)

    def wmap_ok(self, *args, **kw):
        done = wmap(*args, **kw)
        self.assertEqual(done.returncode, 0, f"{done.args}\n{done.stdout}{done.stderr}")
        return done.stdout

    def inspect(self, path):
        return json.loads(self.wmap_ok("inspect", path, "--format", "json"))

    def left_behind(self):
        """Files in the test's folder that nobody asked for: temporaries."""
        return [n for n in os.listdir(self.folder) if n.startswith(".") or "tmp" in n]


def distance(a, b):
    """The largest difference of two outputs, in units of the first's scale."""
    a = np.asarray(a, dtype=np.float64)
    b = np.asarray(b, dtype=np.float64)
    if a.shape != b.shape:
        raise AssertionError(f"outputs of shapes {a.shape} and {b.shape}")
    return float(np.max(np.abs(a - b)) / max(np.max(np.abs(a)), 1e-30))


def randomize(model, seed):
    """Random weights for a Keras model; also statistics, which a fresh model has as 0 and 1."""
    random = np.random.default_rng(seed)
    for variable in model.weights:
        shape = tuple(variable.shape)
        if "gamma" in variable.name or "variance" in variable.name:
            value = random.uniform(0.5, 1.5, shape)
        elif len(shape) > 1 and "bias" not in variable.name:
            fan = max(1, int(np.prod(shape[:-1])))
            value = random.normal(0, 1 / np.sqrt(fan), shape)
        else:
            value = random.normal(0, 0.5, shape)
        variable.assign(value.astype("float32"))
