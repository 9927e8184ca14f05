"""Theano-style lists of arrays to safetensors and PyTorch, bit by bit, and back by a spec written by hand."""

import os

from common import SPECS, Case
import numpy as np
import safetensors.numpy
import torch

SPEC = os.path.join(SPECS, "theano.wmap")
NAMES = ["conv_W", "conv_b", "fc_W", "fc_b", "out_W", "out_b"]


def bits(a):
    return (a.dtype.str, a.shape, np.ascontiguousarray(a).tobytes())


class Theano(Case):
    def setUp(self):
        super().setUp()
        random = np.random.default_rng(20)
        shapes = [(4, 3, 5, 5), (4,), (36, 9), (9,), (9, 9), (9,)]
        # All bits, NaNs with payloads and negative zeros too: a move must not touch them.
        self.arrays = [random.integers(0, 2**32, s, dtype=np.uint32).view(np.float32) for s in shapes]
        w, b, fc, fcb, out, outb = self.arrays
        self.expected = {
            "conv.weight": w[:, :, ::-1, ::-1], "conv.bias": b, "fc.weight": fc.T, "fc.bias": fcb,
            "out.weight": out.T, "out.bias": outb,
        }  # fmt: skip

    def save(self, named, compressed):
        path = self.path("in.npz")
        write = np.savez_compressed if compressed else np.savez
        if named:
            write(path, **dict(zip(NAMES, self.arrays)))
        else:
            write(path, *self.arrays)
        return path

    def compare(self, found):
        self.assertEqual(sorted(found), sorted(self.expected))
        for name, array in self.expected.items():
            self.assertEqual(bits(found[name]), bits(array), name)

    def check(self, named, compressed):
        flag = ["-D", f"named={'true' if named else 'false'}"]
        source = self.save(named, compressed)
        flat, torched, back = self.path("o.safetensors"), self.path("o.pth"), self.path("back.npz")
        self.wmap_ok("run", SPEC, source, "-o", flat, "--map", "main", *flag)
        self.compare(safetensors.numpy.load_file(flat))
        self.wmap_ok("run", SPEC, source, "-o", torched, "--map", "main", *flag)
        self.compare({k: v.numpy() for k, v in torch.load(torched, weights_only=True).items()})
        for there in (flat, torched):
            self.wmap_ok("run", SPEC, there, "-o", back, "--map", "back", "--force", *flag)
            with np.load(back) as z:
                names = NAMES if named else [f"arr_{i}" for i in range(6)]
                self.assertEqual(sorted(z.files), sorted(names))
                for name, array in zip(names, self.arrays):
                    self.assertEqual(bits(z[name]), bits(array), name)

    def test_unnamed(self):
        self.check(False, False)

    def test_named(self):
        self.check(True, False)

    def test_compressed(self):
        self.check(False, True)
