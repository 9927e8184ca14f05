"""Sets of files with an index, read as one model: made by transformers, huggingface_hub, safetensors, torch and wmap."""

import json
import os
import shutil

from common import Case, wmap
import safetensors.torch
import torch

os.environ.setdefault("HF_HUB_OFFLINE", "1")

KEEP = "keep rest"


def small_model():
    import transformers

    config = transformers.BertConfig(vocab_size=120, hidden_size=32, num_hidden_layers=3, num_attention_heads=4,
                                     intermediate_size=64, max_position_embeddings=40)  # fmt: skip
    torch.manual_seed(5)
    return transformers.BertForMaskedLM(config).eval()


class Sets(Case):
    def setUp(self):
        super().setUp()
        torch.manual_seed(6)
        self.tensors = {f"layers.{i}.weight": torch.randn(5, i + 1) for i in range(12)}
        self.tensors["half"] = torch.randn(7).to(torch.bfloat16)

    def make(self, folder, to="safetensors", name="model", suffix="safetensors", count=3, index=None, **metadata):
        """A set as transformers writes it; the index may be changed by `index(dict)`."""
        os.makedirs(folder, exist_ok=True)
        names, where = list(self.tensors), {}
        for i in range(count):
            file = f"{name}-{i + 1:05}-of-{count:05}.{suffix}"
            part = {n: self.tensors[n] for n in names[i::count]}
            where.update({n: file for n in part})
            if to == "safetensors":
                safetensors.torch.save_file(part, os.path.join(folder, file), metadata={"format": "pt"})
            else:
                torch.save(part, os.path.join(folder, file), _use_new_zipfile_serialization=to == "zip")
        total = sum(t.numel() * t.element_size() for t in self.tensors.values())
        content = {"metadata": {"total_size": total, **metadata}, "weight_map": dict(sorted(where.items()))}
        if index:
            content = index(content) or content
        path = os.path.join(folder, f"{name}.{suffix}.index.json")
        with open(path, "w") as f:
            f.write(content if isinstance(content, str) else json.dumps(content, indent=2, sort_keys=True))
        return path

    def same(self, found, expected):
        self.assertEqual(sorted(found), sorted(expected))
        for name, value in expected.items():
            self.assertEqual(found[name].dtype, value.dtype)
            self.assertTrue(torch.equal(found[name], value), name)

    def converted(self, path):
        self.wmap_ok("run", "-e", KEEP, path, "-o", self.path("o.pth"), "--force")
        return torch.load(self.path("o.pth"), weights_only=True)

    def test_by_index_folder_and_name(self):
        for to, name, suffix in (("safetensors", "model", "safetensors"), ("zip", "pytorch_model", "bin"),
                                 ("stream", "pytorch_model", "bin"), ("safetensors", "unet", "fp16.safetensors")):  # fmt: skip
            with self.subTest(to=to, name=name):
                folder = self.path(f"{to}.{name}")
                index = self.make(folder, to, name, suffix)
                for path in (index, folder, folder + "/", index[: -len(".index.json")]):
                    self.same(self.converted(path), self.tensors)
                seen = self.inspect(index)
                self.assertEqual(seen["format"], "safetensors" if to == "safetensors" else "torch")
                self.assertEqual(seen["size"], sum(os.path.getsize(os.path.join(folder, f)) for f in os.listdir(folder)))
                # the order is that of the files, and in each its own
                files = sorted(f for f in os.listdir(folder) if not f.endswith(".json"))
                want = [t["name"] for f in files for t in self.inspect(os.path.join(folder, f))["tensors"]]
                self.assertEqual([t["name"] for t in seen["tensors"]], want)
                self.assertEqual(self.wmap_ok("diff", index, folder).count("\n"), 1)

    def test_transformers(self):
        import transformers

        model = small_model()
        want = model.state_dict()
        model.save_pretrained(self.path("set"), max_shard_size="20KB")
        self.assertIn("model.safetensors.index.json", os.listdir(self.path("set")))
        found = self.converted(self.path("set"))
        tied = set(want) - set(found)  # transformers leaves out what is tied
        self.assertLessEqual(tied, {"cls.predictions.decoder.weight", "cls.predictions.decoder.bias", "cls.predictions.bias"})
        self.same(found, {n: v for n, v in want.items() if n not in tied})
        # what wmap makes of it, transformers loads
        self.wmap_ok("run", "-e", KEEP, self.path("set"), "-o", self.path("back/"), "--to-format", "safetensors")
        shutil.copy(self.path("set/config.json"), self.path("back"))
        again = transformers.BertForMaskedLM.from_pretrained(self.path("back"))
        self.same(again.state_dict(), want)

    def test_huggingface_hub(self):
        from huggingface_hub import save_torch_state_dict

        shared = {**self.tensors, "tied": self.tensors["layers.3.weight"]}
        os.makedirs(self.path("a"))
        os.makedirs(self.path("b"))
        save_torch_state_dict(self.tensors, self.path("a"), max_shard_size=300)
        self.same(self.converted(self.path("a")), self.tensors)
        # tied tensors are kept in .bin files, and counted once
        save_torch_state_dict(shared, self.path("b"), max_shard_size=300, safe_serialization=False)
        with open(self.path("b/pytorch_model.bin.index.json")) as f:
            self.assertIn("tied", json.load(f)["weight_map"])
        self.same(self.converted(self.path("b")), shared)

    def test_written_by_wmap(self):
        torch.save(self.tensors, self.path("i.pth"))
        for to, out in (("safetensors", "o.safetensors"), ("torch", "o.bin")):
            self.wmap_ok("run", "-e", KEEP, self.path("i.pth"), "-o", self.path(out), "--shard-size", "400")
            self.assertFalse(os.path.exists(self.path(out)))
            self.same(self.converted(self.path(out)), self.tensors)
            self.assertEqual([t["name"] for t in self.inspect(self.path(out))["tensors"]], list(self.tensors))

    def test_which_of_a_folder(self):
        folder = self.path("f")
        self.make(folder, "zip", "pytorch_model", "bin")
        self.assertEqual(self.inspect(folder)["format"], "torch")
        self.make(folder)
        self.assertEqual(self.inspect(folder)["format"], "safetensors")  # as transformers chooses
        safetensors.torch.save_file({"one": torch.ones(2)}, os.path.join(folder, "model.safetensors"))
        self.assertEqual([t["name"] for t in self.inspect(folder)["tensors"]], ["one"])
        other = self.path("g")
        self.make(other, name="a")
        self.make(other, name="b")
        done = wmap("inspect", other)
        self.assertEqual(done.returncode, 3)
        self.assertIn("2 sets", done.stderr)

    def test_metadata(self):
        self.make(self.path("s"))
        self.assertEqual(self.inspect(self.path("s"))["metadata"], {"format": "pt"})

    def test_total_size(self):
        """Absent, null, and a float are fine; a wrong one is not."""
        def size(value):
            def change(content):
                content["metadata"]["total_size"] = value
            return change

        total = sum(t.numel() * t.element_size() for t in self.tensors.values())
        for value in (total, float(total), None):
            self.same(self.converted(self.make(self.path("s"), index=size(value))), self.tensors)
        self.same(self.converted(self.make(self.path("s"), index=lambda c: c.pop("metadata") and None)), self.tensors)
        for value in (total + 1, total - 1, 0, -1, 1.5, "1", 2**63, 10**30):
            self.refused(self.make(self.path("s"), index=size(value)), word="")

    def refused(self, path, word, status=3):
        done = wmap("inspect", path)
        self.assertEqual((done.returncode, done.stdout), (status, ""), done.stderr)
        self.assertIn(word, done.stderr)
        self.assertIn(os.path.dirname(path), done.stderr)

    def test_hostile_indexes(self):
        first = "layers.0.weight"

        def point(file, name=first):
            def change(content):
                content["weight_map"][name] = file
            return change

        outside = self.path("outside.safetensors")
        safetensors.torch.save_file({first: torch.ones(2)}, outside)
        for file in ("../outside.safetensors", outside, "./model-00001-of-00003.safetensors", "a/b", ".", "..", ""):
            self.refused(self.make(self.path("s"), index=point(file)), "no plain file name")
        self.refused(self.make(self.path("s"), index=point("gone.safetensors")), "gone.safetensors", status=2)
        self.refused(self.make(self.path("s"), index=point("model-00002-of-00003.safetensors")), "it does not")
        self.refused(self.make(self.path("s"), index=point("model-00001-of-00003.safetensors", "more")), "more")
        self.refused(self.make(self.path("s"), index=point("model.safetensors.index.json", "more")), "named by an index")
        self.refused(self.make(self.path("s"), index=point(None)), first)
        self.refused(self.make(self.path("s"), index=point(["a"])), first)
        self.refused(self.make(self.path("s"), index=lambda c: {"weight_map": {}}), "names no file")
        self.refused(self.make(self.path("s"), index=lambda c: {"weight_map": []}), "no weight_map")
        self.refused(self.make(self.path("s"), index=lambda c: '{"weight_map": {"a": "b", "a": "b"}}'), "JSON")
        whole = json.dumps({"metadata": {}, "weight_map": {n: "x" for n in self.tensors}})
        for cut in range(whole.index('{"layers'), len(whole), 31):
            self.refused(self.make(self.path("s"), index=lambda c: whole[:cut]), "JSON")
        self.refused(self.make(self.path("s"), index=lambda c: '{"weight_map": ' + "[" * 100000), "JSON")

    def test_tensors_in_two_files_or_in_no_index(self):
        index = self.make(self.path("s"))
        file = self.path("s/model-00002-of-00003.safetensors")
        part = {n: t.clone() for n, t in safetensors.torch.load_file(file).items()}  # it is mapped
        safetensors.torch.save_file({**part, "layers.0.weight": torch.ones(5, 1)}, file)
        self.refused(index, "two files")
        total = sum(t.numel() * t.element_size() for t in self.tensors.values())
        safetensors.torch.save_file({**part, "more": torch.ones(5)}, file)
        self.refused(index, str(total))
        self.make(self.path("s"), index=lambda c: c.pop("metadata") and None)
        safetensors.torch.save_file({**part, "more": torch.ones(5)}, file)
        done = wmap("inspect", index)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("more", done.stderr)

    def test_files_of_two_formats(self):
        index = self.make(self.path("s"))
        file = self.path("s/model-00002-of-00003.safetensors")
        torch.save(safetensors.torch.load_file(file), self.path("other"))
        os.replace(self.path("other"), file)
        self.refused(index, "different formats")

    def test_pointers_and_damage(self):
        index = self.make(self.path("s"))
        file = self.path("s/model-00002-of-00003.safetensors")
        with open(file, "rb") as f:
            whole = f.read()
        self.write("s/model-00002-of-00003.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 3\n")
        done = wmap("inspect", index)
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("Git LFS pointer", done.stderr)
        self.assertIn("model-00002-of-00003", done.stderr)
        self.write("s/model-00002-of-00003.safetensors", whole[:-1])
        self.refused(index, "model-00002-of-00003")
        os.remove(file)
        os.mkfifo(file)
        self.refused(index, "model-00002-of-00003", status=2)
