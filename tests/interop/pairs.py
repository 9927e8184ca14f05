"""All ordered pairs of a family's models, on random numbers."""

import itertools
import re

from common import Case
import numpy as np
import safetensors.numpy


class Pairs(Case):
    def random_source(self, spec, model, *flags):
        """A file with what the model says, in random numbers."""
        text = self.wmap_ok("explain", spec, "--from", model, "--to", model.split(".")[1].split(" ")[0], "--moves", *flags)
        rng, tensors = np.random.default_rng(1), {}
        for name, dtype, shape in re.findall(r'^"(.*?)" (f32|i64) \[(.*?)\]', text, re.M):
            shape = [int(n) for n in shape.split()]
            values = rng.standard_normal(shape).astype("float32") if dtype == "f32" else np.zeros(shape, "int64")
            tensors[name] = abs(values) if "var" in name else values
        path = self.path("random.safetensors")
        safetensors.numpy.save_file(tensors, path)
        return path

    def every_pair(self, spec, arch, models, args="", *flags):
        """All ordered pairs: what A gives B is what the first model gives B, so round trips return the bits."""
        first = models[0]
        random = self.random_source(spec, f"{arch}.{first}{args}", *flags)
        for m in models:
            self.wmap_ok("run", spec, "--from", f"{arch}.{first}{args}", "--to", m, *flags, random, "-f", "-o",
                         self.path(m + ".safetensors"))  # fmt: skip
        out = self.path("out.safetensors")
        for a, b in itertools.permutations(models, 2):
            self.wmap_ok("run", spec, "--from", f"{arch}.{a}{args}", "--to", b, *flags, self.path(a + ".safetensors"), "-f",
                         "-o", out)  # fmt: skip
            with open(out, "rb") as x, open(self.path(b + ".safetensors"), "rb") as y:
                self.assertEqual(x.read(), y.read(), f"{a} -> {b}")
