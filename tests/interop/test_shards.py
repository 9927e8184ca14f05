"""Sets of files with an index (--shard-size), read by transformers, safetensors and torch, and metadata that stays."""

import json
import os

from common import Case, wmap
import numpy as np
import safetensors
import safetensors.torch
import torch

os.environ.setdefault("HF_HUB_OFFLINE", "1")

KEEP = "keep rest"


def tiny_bert():
    import transformers

    config = transformers.BertConfig(vocab_size=120, hidden_size=32, num_hidden_layers=3, num_attention_heads=4,
                                     intermediate_size=64, max_position_embeddings=40)  # fmt: skip
    torch.manual_seed(3)
    return transformers.BertModel(config).eval(), config


class Shards(Case):
    def load_index(self, name):
        with open(self.path(name)) as f:
            return json.load(f)

    def random(self, sizes):
        random = np.random.default_rng(5)
        return {f"t{i}": torch.from_numpy(random.standard_normal(n).astype(np.float32)) for i, n in enumerate(sizes)}

    def test_transformers_loads_a_set(self):
        import transformers

        model, config = tiny_bert()
        want = model.state_dict()
        safetensors.torch.save_file({k: v.contiguous() for k, v in want.items()}, self.path("i.safetensors"))
        tokens = torch.arange(20).reshape(2, 10)
        for to, index in (("safetensors", "model.safetensors.index.json"), ("torch", "pytorch_model.bin.index.json")):
            folder = self.path(to)
            with self.subTest(to):
                self.wmap_ok("run", "-e", KEEP, self.path("i.safetensors"), "-o", folder + "/", "--to-format", to,
                             "--shard-size", "20KB")  # fmt: skip
                config.save_pretrained(folder)
                files = set(self.load_index(f"{to}/{index}")["weight_map"].values())
                self.assertGreater(len(files), 3)
                self.assertEqual(sorted(os.listdir(folder)), sorted([*files, index, "config.json"]))
                found, info = transformers.BertModel.from_pretrained(folder, output_loading_info=True)
                self.assertFalse(info["missing_keys"] or info["unexpected_keys"] or info["mismatched_keys"], info)
                for name, value in found.state_dict().items():
                    self.assertTrue(torch.equal(value, want[name]), name)
                with torch.no_grad():
                    a, b = (m.eval()(tokens).last_hidden_state for m in (model, found))
                self.assertTrue(torch.equal(a, b))

    def test_cut_like_huggingface_hub(self):
        from huggingface_hub import save_torch_state_dict

        sizes = [10, 30, 500, 20, 20, 20, 40, 0, 100, 101, 5, 95, 300, 1]
        tensors = self.random(sizes)
        safetensors.torch.save_file(tensors, self.path("i.safetensors"))
        # wmap's order is that of the file, which safetensors chose by name
        order = [t["name"] for t in self.inspect(self.path("i.safetensors"))["tensors"]]
        for size in (1, 100, 400, 404, 1000, 5000):
            with self.subTest(size):
                os.makedirs(self.path(f"hub{size}"))
                save_torch_state_dict({n: tensors[n] for n in order}, self.path(f"hub{size}"), max_shard_size=size)
                self.wmap_ok("run", "-e", KEEP, self.path("i.safetensors"), "-o", self.path(f"wmap{size}/"),
                             "--to-format", "safetensors", "--shard-size", size)  # fmt: skip
                self.assertEqual(sorted(os.listdir(self.path(f"wmap{size}"))), sorted(os.listdir(self.path(f"hub{size}"))))
                name = "model.safetensors.index.json"
                if size < 5000:
                    self.assertEqual(self.load_index(f"wmap{size}/{name}"), self.load_index(f"hub{size}/{name}"))
                for file in os.listdir(self.path(f"wmap{size}")):
                    if file.endswith(".safetensors"):
                        found = safetensors.torch.load_file(self.path(f"wmap{size}/{file}"))
                        theirs = safetensors.torch.load_file(self.path(f"hub{size}/{file}"))
                        self.assertEqual(sorted(found), sorted(theirs))
                        for n in found:
                            self.assertTrue(torch.equal(found[n], tensors[n]))

    def test_torch_set_by_weights_only(self):
        tensors = self.random([10, 300, 20, 4, 80, 0])
        torch.save(tensors, self.path("i.pth"))
        self.wmap_ok("run", "-e", KEEP, self.path("i.pth"), "-o", self.path("o.pth"), "--shard-size", "0.4KB")
        index = self.load_index("o.pth.index.json")
        found = {}
        for file in sorted(set(index["weight_map"].values())):
            for mmap in (False, True):
                part = torch.load(self.path(file), weights_only=True, mmap=mmap)
                self.assertEqual(sorted(part), sorted(n for n, f in index["weight_map"].items() if f == file))
            found.update(part)
        self.assertEqual(sorted(found), sorted(tensors))
        for name in tensors:
            self.assertTrue(torch.equal(found[name], tensors[name]))
        self.assertEqual(index["metadata"]["total_size"], 4 * sum(t.numel() for t in tensors.values()))

    def test_names_of_all_alphabets_in_the_index(self):
        tensors = {n: torch.ones(30) for n in ("a\"b\\", "gewicht.ä", "重み", "😀", "a b\n\x01", "z\u2028")}
        safetensors.torch.save_file(tensors, self.path("i.safetensors"))
        self.wmap_ok("run", "-e", KEEP, self.path("i.safetensors"), "-o", self.path("o.safetensors"),
                     "--shard-size", "200B")  # fmt: skip
        with open(self.path("o.safetensors.index.json"), encoding="ascii") as f:
            index = json.load(f)["weight_map"]
        self.assertEqual(sorted(index), sorted(tensors))
        for name, file in index.items():
            with safetensors.safe_open(self.path(file), "pt") as s:
                self.assertTrue(torch.equal(s.get_tensor(name), tensors[name]))

    def test_existing_files(self):
        """A set replaces what would be taken for it, only with --force; what stands there else stays."""
        safetensors.torch.save_file(self.random([100] * 4), self.path("i.safetensors"))
        out, run = self.path("o.safetensors"), ("run", "-e", KEEP, self.path("i.safetensors"), "-o")
        self.wmap_ok(*run, out)
        done = wmap(*run, out, "--shard-size", "400")
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("o.safetensors", done.stderr)
        self.assertEqual(sorted(os.listdir(self.folder)), ["i.safetensors", "o.safetensors"])
        self.wmap_ok(*run, out, "--shard-size", "400", "--force")
        self.assertFalse(os.path.exists(out))
        self.assertEqual(len(os.listdir(self.folder)), 6)
        done = wmap(*run, out, "--shard-size", "400")
        self.assertEqual(done.returncode, 2, done.stderr)
        self.wmap_ok(*run, out, "--shard-size", "1MB", "--force")
        self.assertTrue(os.path.exists(out))
        self.assertFalse(os.path.exists(out + ".index.json"))
        self.assertEqual(self.left_behind(), [])

    def test_what_has_no_sets(self):
        safetensors.torch.save_file(self.random([4]), self.path("i.safetensors"))
        done = wmap("run", "-e", KEEP, self.path("i.safetensors"), "-o", self.path("o.npz"), "--shard-size", "1MB")
        self.assertEqual(done.returncode, 2)
        self.assertIn("--shard-size", done.stderr)
        safetensors.torch.save_file({"a": torch.zeros(3), "b": torch.zeros(3)}, self.path("z.safetensors"))
        for size, status in (("24", 0), ("12", 2)):
            done = wmap("run", "-e", KEEP, self.path("z.safetensors"), "-o", "-", "--to-format", "safetensors",
                        "--shard-size", size, errors="replace")  # fmt: skip
            self.assertEqual(done.returncode, status, done.stderr)
        for size in ("0", "-1", "5XB", "1e9", ".5GB", "5.GB", "99999999999GB", "", "GB"):
            done = wmap("run", "-e", KEEP, self.path("i.safetensors"), "-o", self.path("o"), f"--shard-size={size}")
            self.assertEqual(done.returncode, 2, size)
            self.assertIn("5GB", done.stderr)


class Metadata(Case):
    META = {"format": "np", "modelspec.title": "Größe 重み", "config": '{"a": [1, "x\\n"]}', "empty": ""}

    def setUp(self):
        super().setUp()
        safetensors.torch.save_file({"w": torch.ones(3)}, self.path("i.safetensors"), metadata=self.META)

    def metadata(self, path):
        with safetensors.safe_open(path, "pt") as f:
            return f.metadata()

    def test_kept(self):
        done = wmap("run", "-e", KEEP, self.path("i.safetensors"), "-o", self.path("o.safetensors"))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(self.metadata(self.path("o.safetensors")), {**self.META, "format": "pt"})
        self.assertEqual(self.inspect(self.path("i.safetensors"))["metadata"], self.META)
        self.assertIn("4 entries of metadata", self.wmap_ok("inspect", self.path("i.safetensors")))

    def test_loss_is_told(self):
        done = wmap("run", "-e", KEEP, self.path("i.safetensors"), "-o", self.path("o.npz"))
        self.assertEqual(done.returncode, 0)
        self.assertIn("3 entries of metadata", done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1)
        done = wmap("run", "-q", "-e", KEEP, self.path("i.safetensors"), "-o", self.path("q.npz"))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        safetensors.torch.save_file({"w": torch.ones(3)}, self.path("pt.safetensors"), metadata={"format": "pt"})
        done = wmap("run", "-e", KEEP, self.path("pt.safetensors"), "-o", self.path("p.npz"))
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_of_several_sources(self):
        safetensors.torch.save_file({"v": torch.ones(3)}, self.path("j.safetensors"), metadata={"empty": "not", "new": "1"})
        done = wmap("run", "-e", KEEP, self.path("i.safetensors"), self.path("j.safetensors"), "-o",
                    self.path("o.safetensors"))  # fmt: skip
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.metadata(self.path("o.safetensors")), {**self.META, "format": "pt", "new": "1"})
        self.assertIn("1 entry of metadata stands in several sources", done.stderr)
