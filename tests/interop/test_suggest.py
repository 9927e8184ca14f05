"""wmap suggest: from two files that hold the same weights the map between them, by value; without values, by name."""

import itertools
import re

from common import Case, wmap
import numpy as np
from safetensors.numpy import load_file, save_file
import test_transformers


def contiguous(tensors):
    return {k: np.ascontiguousarray(v) for k, v in tensors.items()}


class Suggest(Case):
    def random_file(self, spec, model, name):
        """What a model of the library holds, in random numbers that are all different."""
        text = self.wmap_ok("explain", spec, "--from", model, "--to", model.split(".")[1].split(" ")[0], "--moves")
        rng, tensors = np.random.default_rng(7), {}
        for key, dtype, shape in re.findall(r'^"(.*?)" (f32|i64) \[(.*?)\]', text, re.M):
            shape = [int(n) for n in shape.split()]
            values = rng.uniform(0.1, 1, shape).astype("float32") if dtype == "f32" else np.zeros(shape, "int64")
            tensors[key] = values
        path = self.path(name)
        save_file(tensors, path)
        return path

    def draft(self, source, target, *flags, status=0):
        draft = self.path("draft.wmap")
        done = wmap("suggest", source, target, "-o", draft, "-f", *flags)
        self.assertEqual(done.returncode, status, done.stderr)
        with open(draft) as f:
            return draft, f.read()

    def found(self, source, target, *flags, status=0):
        """The share of the target's tensors that the draft writes with the very bits."""
        draft, text = self.draft(source, target, *flags, status=status)
        out = self.path("out.safetensors")
        self.wmap_ok("run", draft, source, "-o", out, "-f")
        self.wmap_ok("fmt", "--check", draft)
        want, got = load_file(target), load_file(out)
        same = [k for k, v in want.items() if k in got and got[k].dtype == v.dtype and got[k].shape == v.shape
                and got[k].tobytes() == v.tobytes()]  # fmt: skip
        return len(same) / len(want), text

    def pair(self, spec, arch, models, first, a, b, args=""):
        """Model a's file and model b's, of the weights in the file `first`, which is one of models[0]."""
        source, target = self.path("a.safetensors"), self.path("b.safetensors")
        for model, path in (a, source), (b, target):
            self.wmap_ok("run", spec, "--from", f"{arch}.{models[0]}{args}", "--to", model, first, "-o", path, "-f")
        share, text = self.found(source, target, "--no-models")
        self.assertEqual(share, 1, f"{spec} {a} {b}\n{text}")
        self.assertNotIn("by name and shape", text.split("wmap 1")[1])
        self.assertNotIn("unsure", text)
        again, other = self.found(source, target)  # by the library, where it has the sizes
        self.assertEqual(again, 1, f"{spec} {a} {b}\n{other}")
        return text

    def every_pair(self, spec, arch, models, args, first=None):
        first = first or self.random_file(spec, f"{arch}.{models[0]}{args}", "first.safetensors")
        for a, b in itertools.permutations(models, 2):
            with self.subTest(spec=spec, a=a, b=b):
                self.pair(spec, arch, models, first, a, b, args)

    def test_vgg(self):
        self.every_pair("vgg/vgg", "vgg16", ["keras", "torchvision", "slim", "lasagne_npz", "keras3_weights"], " (hidden=6, classes=5)")

    def test_resnet(self):
        self.every_pair("resnet/resnet", "resnet50", ["torchvision", "slim", "keras"], " (width=4, classes=5)")

    def test_zoo(self):
        """Networks with depthwise kernels, dense blocks, branches, squeezed channels."""
        few = " (alpha=0.35, classes=5)"
        self.every_pair("mobilenet/mobilenet", "mobilenet_v1", ["timm", "slim", "keras"], few)
        self.every_pair("mobilenet/mobilenet", "mobilenet_v2", ["torchvision", "slim", "keras3_weights"], few)
        self.every_pair("densenet/densenet", "densenet121", ["torchvision", "keras"], " (growth=4, classes=5)")
        self.every_pair("inception/inception", "inception_v3", ["slim", "torchvision"], " (depth_multiplier=0.0625, classes=5)")
        self.every_pair("efficientnet/efficientnet", "efficientnet_b0", ["torchvision", "timm"], " (wide=0.25, classes=5)")
        self.every_pair("resnet/resnet_v2", "resnet50_v2", ["slim", "keras"], " (width=4, classes=5)")
        self.every_pair("bit/bit", "bit", ["npz", "timm"], " (units=[1, 1, 1, 1], classes=5)")

    def borrowed(self, case):
        """Another test's network."""
        case.setUp()
        self.addCleanup(case.doCleanups)
        return case

    def saved(self, tensors):
        path = self.path("first.safetensors")
        save_file(contiguous(tensors), path)
        return path

    def test_bert(self):
        bert = self.borrowed(test_transformers.Bert("test_google_to_hf"))
        first = self.saved({k: np.asarray(v) for k, v in bert.google().items()})
        self.every_pair("bert/bert", "bert", ["google", "hf"], f" ({bert.ARCH})", first)

    def test_vit(self):
        vit = self.borrowed(test_transformers.Vit("test_pairs"))
        self.every_pair("vit/vit", "vit", ["jax", "timm", "hf"], f" ({vit.ARCH})", self.saved(vit.flat))

    def test_gpt2(self):
        self.every_pair("gpt2/gpt2", "gpt2", ["openai", "hf"], " (vocab=11, context=7, width=8, layers=3, heads=2)")

    def test_llama(self):
        self.every_pair("llama/llama", "llama", ["hf", "meta"], " (vocab=11, width=16, layers=3, heads=4, kv_heads=2, inner=12)")

    def test_mixtral(self):
        args = " (vocab=11, width=16, layers=3, heads=4, kv_heads=2, inner=12, experts=3)"
        self.every_pair("mixtral/mixtral", "mixtral", ["hf", "hf_fused"], args)

    def test_lstm(self):
        """Between Lasagne and TF1, whose kernel is cut in both dimensions, the kernels are not found, which is said."""
        args = " (vocab=11, emb=4, units=4)"
        self.every_pair("lstm_lm/lstm_lm", "lstm_lm", ["keras", "torch", "ptb"], args)
        self.every_pair("lstm_lm/lstm_lm", "lstm_lm", ["keras", "torch", "lasagne"], args)
        first = self.random_file("lstm_lm/lstm_lm", "lstm_lm.lasagne" + args, "first.safetensors")
        target = self.path("b.safetensors")
        tensors = {k: np.zeros_like(v) if re.search("W_cell|init", k) else v for k, v in load_file(first).items()}
        save_file(tensors, first)
        self.wmap_ok("run", "lstm_lm/lstm_lm", "--from", "lstm_lm.lasagne" + args, "--to", "ptb", first, "-o", target, "-f")
        _, text = self.draft(first, target, "--no-models", status=1)
        self.assertRegex(text, r"(?s)# Not written.*basic_lstm_cell/kernel  f32 \[8 16\]")

    def moved(self):
        """Every kind of move that is looked for, in one pair of files; the target's tensors by their kind."""
        rng = np.random.default_rng(5)
        f = lambda *shape: rng.standard_normal(shape).astype("float32")  # noqa: E731
        a, b = {}, {}
        a["conv.W"] = f(4, 3, 5, 5)
        b["conv/kernel"] = a["conv.W"][:, :, ::-1, ::-1].transpose(2, 3, 1, 0)  # Theano's, turned
        a["square.W"] = f(3, 3, 3, 3)
        b["square/kernel"] = a["square.W"].transpose(2, 3, 1, 0)
        a["flat/kernel"] = f(7 * 7 * 4, 6)
        b["flat.weight"] = a["flat/kernel"].reshape(7, 7, 4, 6).transpose(3, 2, 0, 1).reshape(6, -1)
        a["gates"] = f(5, 4 * 6)
        b["gates.weight"] = a["gates"].reshape(5, 4, 6)[:, [0, 2, 1, 3]].transpose(1, 2, 0).reshape(24, 5)
        a["woven"] = f(6 * 3, 5)  # three gates, interleaved
        b["woven.weight"] = a["woven"].reshape(6, 3, 5)[:, [2, 0, 1]].transpose(1, 0, 2).reshape(18, 5)
        a["l.weight_ih"], a["l.weight_hh"], a["l.bias_ih"], a["l.bias_hh"] = f(24, 5), f(24, 6), f(24), f(24)
        order = lambda x: x.reshape(4, 6, -1)[[0, 2, 1, 3]].reshape(24, -1)  # noqa: E731
        b["cell/kernel"] = np.concatenate([order(a["l.weight_ih"]).T, order(a["l.weight_hh"]).T])
        b["cell/bias"] = order(a["l.bias_ih"] + a["l.bias_hh"]).reshape(24)
        for i in range(12):
            q, k, v = f(8, 8), f(4, 8), f(4, 8)
            for name, x in zip("qkv", (q, k, v)):
                a[f"enc.{i}.{name}.weight"], a[f"enc.{i}.{name}.bias"] = x, np.zeros(len(x), "float32")
            b[f"h.{i}.qkv.weight"] = np.concatenate([q, k, v])
            b[f"h.{i}.qkv.bias"] = np.zeros(16, "float32")
            q, k, v = f(16, 8), f(8, 8), f(8, 8)
            for name, x in zip(("query", "key", "value"), (q, k, v)):
                a[f"enc.{i}.x.{name}"] = x
            b[f"h.{i}.grouped"] = np.concatenate([x.reshape(2, -1, 8) for x in (q, k, v)], 1).reshape(32, 8)
            a[f"enc.{i}.rotary"] = f(16, 8)
            b[f"h.{i}.rotary"] = a[f"enc.{i}.rotary"].reshape(2, 4, 2, 8).transpose(0, 2, 1, 3).reshape(16, 8)
            a[f"enc.{i}.gate_up"] = f(12, 8)
            b[f"h.{i}.gate.weight"], b[f"h.{i}.up.weight"] = a[f"enc.{i}.gate_up"][:6], a[f"enc.{i}.gate_up"][6:]
            a[f"enc.{i}.ln.gamma"] = b[f"h.{i}.norm.weight"] = np.ones(8, "float32")
            a[f"enc.{i}.ln.beta"] = b[f"h.{i}.norm.bias"] = np.zeros(8, "float32")
            for e in range(4):
                a[f"enc.{i}.experts.{e}.w"] = f(6, 8)
            b[f"h.{i}.experts"] = np.stack([a[f"enc.{i}.experts.{e}.w"].T for e in range(4)])
        a["scan.0.w"], a["scan.1.w"], a["scan.2.w"] = f(3, 4), f(3, 4), f(3, 4)
        b["scan/w"] = np.stack([a[f"scan.{i}.w"] for i in range(3)], 1)
        a["emb"] = f(11, 8)
        b["wte"] = b["lm_head"] = a["emb"]
        a["half"] = f(10, 20)
        b["half.weight"] = a["half"].T.astype("float16")
        a["wide"] = f(9).astype("float16")
        b["wide"] = a["wide"].astype("float64")
        b["bn.num_batches_tracked"] = np.array([0])
        a["extra"] = f(3)
        return contiguous(a), contiguous(b)

    def test_moves(self):
        a, b = self.moved()
        source, target = self.path("a.safetensors"), self.path("b.safetensors")
        save_file(a, source)
        save_file(b, target)
        share, text = self.found(source, target)
        self.assertEqual(share, 1, text)
        self.assertIn('drop "extra"', text)
        self.assertIn("[-c -d b a]", text)
        self.assertLess(len(text.splitlines()), 50)  # the layers are patterns
        draft, again = self.draft(source, target)
        self.assertEqual(text, again)
        self.wmap_ok("run", draft, source, "-t", target, "-o", self.path("o.npz"))

    def test_names(self):
        """Without values, or where the files hold other weights, all is a guess, and says so."""
        rng, a, b = np.random.default_rng(6), {}, {}
        shapes = [(3, 3, 3, 8), (3, 3, 8, 8), (3, 3, 8, 8), (3, 3, 8, 16), (3, 3, 16, 16), (3, 3, 16, 16)]
        for i, shape in enumerate(shapes):
            n = shape[-1]
            a[f"block{i // 2 + 1}_conv{i % 2 + 1}/kernel:0"], b[f"features.{i}.conv.weight"] = shape, (shape[3], shape[2], 3, 3)
            for x, y in ("gamma", "weight"), ("beta", "bias"), ("moving_mean", "running_mean"), ("moving_variance", "running_var"):
                a[f"block{i // 2 + 1}_bn{i % 2 + 1}/{x}:0"], b[f"features.{i}.bn.{y}"] = (n,), (n,)
        a["dense/kernel:0"], b["head.weight"], a["dense/bias:0"], b["head.bias"] = (16, 5), (5, 16), (5,), (5,)
        source, target = self.path("a.safetensors"), self.path("b.safetensors")
        save_file({k: rng.standard_normal(v).astype("float32") for k, v in a.items()}, source)
        save_file({k: rng.standard_normal(v).astype("float32") for k, v in b.items()}, target)
        _, text = self.draft(source, target)
        self.assertIn("the files hold other weights", text)
        listing = self.write("b.jsonl", self.wmap_ok("inspect", target, "--format", "jsonl"))
        for flags in ([target, "--no-values"], [listing]):
            draft, text = self.draft(source, *flags)
            self.assertIn("names and shapes were all there was to go by", text)
            got = {}
            out = self.path("out.safetensors")
            self.wmap_ok("run", draft, source, "-o", out, "-f")
            given, made = load_file(source), load_file(out)
            for i in range(len(shapes)):
                k = f"block{i // 2 + 1}_conv{i % 2 + 1}/kernel:0"
                got[k] = np.array_equal(made[f"features.{i}.conv.weight"], given[k].transpose(3, 2, 0, 1))
                for x, y in ("gamma", "weight"), ("beta", "bias"), ("moving_mean", "running_mean"), ("moving_variance", "running_var"):
                    k = f"block{i // 2 + 1}_bn{i % 2 + 1}/{x}:0"
                    got[k] = np.array_equal(made[f"features.{i}.bn.{y}"], given[k])
            self.assertEqual([k for k, same in got.items() if not same], [], text)

    def test_files(self):
        a, b = {"x": np.ones((2, 3), "float32")}, {"y": np.arange(6, dtype="float32")}
        np.savez(self.path("a.npz"), **a)
        np.savez(self.path("b.npz"), **b)
        done = wmap("suggest", self.path("a.npz"))
        self.assertEqual(done.returncode, 2)
        done = wmap("suggest", self.path("a.npz"), self.path("none.npz"))
        self.assertEqual(done.returncode, 2)
        done = wmap("suggest", self.path("a.npz"), self.path("b.npz"))  # nothing is alike
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("E0523", done.stderr)
        self.assertIn('drop "x"', done.stdout)
        draft = self.write("draft.wmap", "mine")
        done = wmap("suggest", self.path("a.npz"), self.path("b.npz"), "-o", draft)
        self.assertEqual(done.returncode, 2, done.stderr)
        with open(draft) as f:
            self.assertEqual(f.read(), "mine")
