"""What the tests with real frameworks share: running wmap, and comparing outputs."""

import argparse
import json
import os
import re
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

settings = {"wmap": os.environ.get("WMAP", "wmap"), "quick": False, "exact": 0}  # `exact`: runs that came back


def wmap(*args, **kw):
    """Runs wmap; the finished process, its output as text."""
    command = [settings["wmap"], *[str(a) for a in args]]
    env = dict(os.environ, WMAP_SPECS=LIBRARY, **kw.pop("env", {}))
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env, **kw)


KEPT = ("rules", "map", "from", "to", "without", "only", "define", "include")  # what a run back is told, too


def options(args):
    """The command line of `wmap run`."""
    parser = argparse.ArgumentParser(add_help=False)
    for names in ("-e --rules", "-m --map", "--from", "--to", "--without", "--only", "-D --define", "-I --include", "-s --source"):
        parser.add_argument(*names.split(), action="append", default=[])
    for names in ("-t --target-like", "-o --output"):
        parser.add_argument(*names.split())
    for names in ("-r --reverse", "-n --dry-run"):
        parser.add_argument(*names.split(), dest="other", action="store_true")
    for names in ("--onto", "--like"):
        parser.add_argument(names, dest="other")
    for names in ("--to-format", "--shard-size", "-j --jobs", "--format", "-W --warn", "--max-errors"):
        parser.add_argument(*names.split(), dest="ignored")
    for names in ("-f --force", "--no-sync", "-q --quiet"):
        parser.add_argument(*names.split(), dest="ignored", action="store_true")
    parser.add_argument("files", nargs="*")
    return parser.parse_intermixed_args(args)


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
        if args[0] == "run":
            self.comes_back([str(a) for a in args[1:]], **kw)
        return done.stdout

    def comes_back(self, args, **kw):
        """Where wmap calls the map of a run exact, the reverse gives every bit of the source."""
        line, kept = options(args), []
        spec = [] if line.rules else line.files[:1]
        source = line.files[1 - bool(line.rules) :] + line.source
        if line.other or len(source) != 1 or re.match(r"\w+=", source[0]) or line.output == "-":
            return
        if os.path.isfile(source[0]) and os.path.getsize(source[0]) > 50e6:
            return
        for flag in KEPT:
            value = getattr(line, flag)
            kept += [word for v in value if v is not None for word in ("--" + flag, v)]
        target = ["--target-like", line.target_like] if line.target_like else []
        verdict = wmap("check", *spec, *kept, *source, *target, "--format", "json", "-q", **kw)
        if verdict.returncode != 0 or json.loads(verdict.stdout)["reverse"]["exact"] != "yes":
            return
        if any(t.get("alias") for t in self.inspect(source[0])["tensors"]):  # a target has no names but its own
            return
        there, back = self.path("goes-there.safetensors"), self.path("comes-back.safetensors")
        if "E0610" in wmap("run", *spec, *kept, *source, *target, "-o", there, "-f", "-q", **kw).stderr:
            return  # of a dtype that this format lacks
        done = wmap("run", *spec, *kept, "--reverse", there, "--target-like", *source, "-o", back, "-f", "-q", **kw)
        if "E0610" in done.stderr:
            return
        self.assertEqual(done.returncode, 0, f"called exact, but: {done.args}\n{done.stderr}")
        done = wmap("diff", *source, back)
        os.unlink(there)
        os.unlink(back)
        self.assertEqual(done.returncode, 0, f"called exact, but: {done.args}\n{done.stdout}{done.stderr}")
        settings["exact"] += 1

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
