"""PyTorch's files of all times: the stream of before 1.6, the tar of 2016, TorchScript, whole modules, nested checkpoints."""

import collections
import io
import os
import pickle
import struct
import tarfile
import time
import typing
import zipfile

from common import Case, wmap
import numpy as np
import torch

from test_dtypes import SHAPES, TORCH, random_tensor, torch_bits
import test_pickle

LEGACY = {"_use_new_zipfile_serialization": False}
# storage classes of before 2.0; the rest is `UntypedStorage`
TYPED = [n for n in TORCH if n not in ("u16", "u32", "u64", "f8_e4m3", "f8_e5m2")]


def net():
    torch.manual_seed(4)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(2, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU(),
        torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3, bias=False)),
    )  # fmt: skip
    model[1].running_mean.uniform_()
    model[1].num_batches_tracked += 7
    return model


class Torch(Case):
    def converted(self, path):
        """What wmap makes of all tensors of a file, as real torch reads it."""
        self.wmap_ok("run", "-e", "keep rest", path, "-o", self.path("o.pth"), "--force")
        return torch.load(self.path("o.pth"), weights_only=True)

    def same(self, found, expected):
        self.assertEqual(list(found), list(expected))
        for name in expected:
            self.assertEqual(torch_bits(found[name]), torch_bits(expected[name].detach()), name)

    def names(self, path):
        return [t["name"] for t in self.inspect(path)["tensors"]]


class Stream(Torch):
    """torch.save before 1.6."""

    def test_every_dtype_and_shape(self):
        tensors = {f"{n}.{i}": random_tensor(n, s) for n in TORCH for i, s in enumerate(SHAPES)}
        for protocol in (1, 2, 3, 4, 5):  # protocol 0 makes text of persistent ids, which torch can't read again
            with self.subTest(protocol=protocol):
                torch.save(tensors, self.path("i.pth"), pickle_protocol=protocol, **LEGACY)
                self.same(self.converted(self.path("i.pth")), tensors)
                seen = {t["name"]: (t["dtype"], tuple(t["shape"])) for t in self.inspect(self.path("i.pth"))["tensors"]}
                self.assertEqual(seen, {f"{n}.{i}": (n, s) for n in TORCH for i, s in enumerate(SHAPES)})

    def test_views_and_shared_storages(self):
        base = torch.arange(240, dtype=torch.float32).reshape(4, 5, 12)
        tensors = {
            "base": base, "view": base[1:3, ::2, 3:9], "transposed": base.permute(2, 0, 1), "same": base,
            "expanded": torch.arange(3.0).reshape(3, 1).expand(3, 4), "one": base[1, 2, 3], "empty": base[:0],
            "conj": torch.complex(base, -base).conj(), "param": torch.nn.Parameter(base[1]),
        }  # fmt: skip
        torch.save(tensors, self.path("i.pth"), **LEGACY)
        found = self.converted(self.path("i.pth"))
        self.same(found, {k: v.detach().clone(memory_format=torch.contiguous_format).resolve_conj() for k, v in tensors.items()})

    def test_parts_of_storages(self):
        """Until 1.5, a part of a storage had a key of its own, and said of which storage it is a part."""
        data = torch.arange(10, dtype=torch.float32)
        storages = {"9": data}

        class Storage:
            def __init__(self, *pid):
                self.pid = pid

        class Pickler(pickle._Pickler):
            def persistent_id(self, obj):
                return obj.pid if isinstance(obj, Storage) else None

        class Tensor:
            def __init__(self, storage, offset, size, stride):
                self.args = (storage, offset, size, stride)

            def __reduce__(self):
                return torch._utils._rebuild_tensor, self.args

        def pid(view):
            return Storage("storage", torch.FloatStorage, "9", "cpu", 10, view)

        f = io.BytesIO()
        for value in (0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}):
            pickle.dump(value, f, protocol=2)
        tree = collections.OrderedDict(whole=Tensor(pid(None), 0, (2, 5), (5, 1)), part=Tensor(pid(("10", 4, 6)), 1, (2, 2), (2, 1)),
                                       again=Tensor(pid(("10", 4, 6)), 0, (6,), (1,)))  # fmt: skip
        Pickler(f, 2).dump(tree)
        pickle.dump(["9"], f, protocol=2)
        f.write(struct.pack("<q", 10) + storages["9"].numpy().tobytes())
        path = self.write("i.pth", f.getvalue())
        want = {"whole": data.reshape(2, 5), "part": data[5:9].reshape(2, 2), "again": data[4:]}
        self.same(torch.load(path, weights_only=False), want)
        self.same(self.converted(path), want)

    def test_whole_modules(self):
        """Classes are persistent ids in them, with their source."""
        for model in (net(), torch.nn.LSTM(3, 4, bidirectional=True), torch.nn.Transformer(8, 2, 1, 1, 16)):
            torch.save(model, self.path("i.pth"), **LEGACY)
            self.same(self.converted(self.path("i.pth")), model.state_dict())
            torch.save(model, self.path("z.pth"))
            self.same(self.converted(self.path("z.pth")), model.state_dict())

    def test_quantised_and_sparse(self):
        tensors = {
            "w": torch.ones(2), "q": torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8),
            "q32": torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint32), "s": torch.eye(3).to_sparse(), "z": torch.zeros(3),
        }  # fmt: skip
        torch.save(tensors, self.path("i.pth"), **LEGACY)
        seen = {t["name"]: t["dtype"] for t in self.inspect(self.path("i.pth"))["tensors"]}
        self.assertEqual({n: d for n, d in seen.items() if "." not in n},
                         {"w": "f32", "q": "opaque", "q32": "opaque", "s": "opaque", "z": "f32"})  # fmt: skip
        self.wmap_ok("run", "-e", '"w" -> "w"; "z" -> "z"; drop "q", "q32", "s"', self.path("i.pth"), "-o", self.path("o.pth"))
        self.same(torch.load(self.path("o.pth"), weights_only=True), {"w": tensors["w"], "z": tensors["z"]})

    def test_damage(self):
        """Cut anywhere, it is refused, and nothing crashes."""
        torch.save({"a": torch.arange(20.0), "b": torch.arange(6)}, self.path("i.pth"), **LEGACY)
        with open(self.path("i.pth"), "rb") as f:
            whole = f.read()
        for size in [*range(16, len(whole), 7), len(whole) - 1]:
            done = wmap("inspect", self.write("cut.pth", whole[:size]))
            self.assertEqual((done.returncode, done.stdout), (3, ""), (size, done.stderr))
            self.assertIn("cut.pth", done.stderr)
        for bad, said in ((whole + b"\0", "follow"), (whole.replace(b"M\xe9\x03.", b"M\xea\x03.", 1), "1001"),
                          (whole.replace(b"little_endianq\x02\x88", b"little_endianq\x02\x89", 1), "big-endian")):  # fmt: skip
            self.assertNotEqual(bad, whole)
            done = wmap("inspect", self.write("bad.pth", bad))
            self.assertEqual((done.returncode, done.stdout), (3, ""), done.stderr)
            self.assertIn(said, done.stderr)


def old_tar(path, tensors, pickled=None, extra=(), python_pax=True):
    """What torch.save of 2016 wrote (torch/serialization.py of 0.1.1): four members; persistent ids are addresses."""
    storages, known = {}, {}
    address = iter(range(0x7F0000001000, 0x7F0000FF0000, 0x40))

    def key_of(tensor):
        storage = tensor.untyped_storage()._cdata
        if storage not in storages:
            storages[storage] = (next(address), tensor)
        if id(tensor) not in known:
            known[id(tensor)] = (next(address), storages[storage][0], tensor)
        return str(known[id(tensor)][0])

    class Pickler(pickle._Pickler):
        def persistent_id(self, obj):
            return key_of(obj) if isinstance(obj, torch.Tensor) else None

    objects = io.BytesIO()
    Pickler(objects, 2).dump(tensors if pickled is None else pickled)
    tensor_part = io.BytesIO()
    pickle.dump(len(known), tensor_part, 2)
    for key, storage, tensor in known.values():
        pickle.dump((key, storage, type(tensor)), tensor_part, 2)
        n = tensor.dim()
        tensor_part.write(struct.pack(f"<ii{n}q{n}qq", n, 0, *tensor.shape, *tensor.stride(), tensor.storage_offset()))
    storage_part = io.BytesIO()
    pickle.dump(len(storages), storage_part, 2)
    for key, tensor in storages.values():
        typed = tensor.new_empty(0).set_(tensor.untyped_storage())
        pickle.dump((key, "cpu", getattr(torch, tensor.storage()._pickle_storage_type())), storage_part, 2)
        storage_part.write(struct.pack("<q", typed.numel()) + torch_bits(typed)[2])
    pickle.dump([], storage_part, 2)
    info = io.BytesIO()
    pickle.dump({"protocol_version": 1000, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}, info, 2)
    with tarfile.open(path, "w:", format=tarfile.PAX_FORMAT) as tar:
        for name, part in [("sys_info", info), ("pickle", objects), ("tensors", tensor_part), ("storages", storage_part), *extra]:
            member = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            member.mtime = time.time() if python_pax else 0  # a fraction makes an extended header
            if part:
                member.size = len(part.getvalue())
                part.seek(0)
            tar.addfile(member, part)


class Tar(Torch):
    """torch.save of 2016."""

    def setUp(self):
        super().setUp()
        base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
        self.tensors = collections.OrderedDict(
            base=base, row=base[2], turned=base.t(), scalarish=torch.arange(3, dtype=torch.int64)[1:2],
            **{n: random_tensor(n, (2, 3)) for n in TYPED if n not in ("bool", "bf16", "c64", "c128")},
        )  # fmt: skip

    def test_read(self):
        for python_pax in (True, False):
            old_tar(self.path("i.pth"), self.tensors, python_pax=python_pax)
            self.same(torch.load(self.path("i.pth"), weights_only=False), self.tensors)
            want = {k: v.clone(memory_format=torch.contiguous_format) for k, v in self.tensors.items()}
            self.same(self.converted(self.path("i.pth")), want)

    def test_nested(self):
        tree = {"epoch": 3, "state_dict": self.tensors, "best": [self.tensors["base"]]}
        old_tar(self.path("i.pth"), None, tree)
        self.assertEqual(self.names(self.path("i.pth")), [*("state_dict." + n for n in self.tensors), "best.0"])

    def test_hostile_members(self):
        def link(kind):
            member = tarfile.TarInfo("link")
            member.type, member.linkname = kind, "/etc/passwd"
            return member

        for extra, said in ((("../evil", io.BytesIO(b"x")), "leads elsewhere"), (("/evil", io.BytesIO(b"x")), "leads elsewhere"),
                            ((link(tarfile.SYMTYPE), None), "link"), ((link(tarfile.LNKTYPE), None), "link"),
                            (("pickle", io.BytesIO(b"x")), "twice")):  # fmt: skip
            old_tar(self.path("bad.pth"), self.tensors, extra=[extra])
            done = wmap("inspect", self.path("bad.pth"))
            self.assertEqual((done.returncode, done.stdout), (3, ""), done.stderr)
            self.assertIn(said, done.stderr)
            self.assertFalse(os.path.exists(os.path.join(os.path.dirname(self.folder), "evil")))

    def test_damage(self):
        old_tar(self.path("i.pth"), {"a": torch.arange(20.0)})
        with open(self.path("i.pth"), "rb") as f:
            whole = f.read()
        end = len(whole.rstrip(b"\0"))
        for size in range(600, end, 101):
            done = wmap("inspect", self.write("cut.pth", whole[:size]))
            self.assertEqual((done.returncode, done.stdout), (3, ""), (size, done.stderr))


class Sub(torch.nn.Module):
    """Parameters, buffers of both kinds, a plain tensor, a module used twice, a list of modules."""

    def __init__(self):
        super().__init__()
        self.lin = torch.nn.Linear(3, 2)
        self.register_buffer("buf", torch.rand(2))
        self.register_buffer("transient", torch.rand(2), persistent=False)
        self.plain = torch.rand(3)
        self.bn = torch.nn.BatchNorm1d(2)
        self.scale = torch.nn.Parameter(torch.rand(1))
        self.shared = self.lin
        self.seq = torch.nn.ModuleList([torch.nn.Linear(2, 2), torch.nn.Linear(2, 2, dtype=torch.float64)])

    def forward(self, x):
        return self.bn(self.lin(x)) * self.scale + self.buf + self.transient + self.plain.sum() + self.shared(x)


class Held(torch.nn.Module):
    list: typing.List[torch.Tensor]
    dict: typing.Dict[str, torch.Tensor]
    pairs: typing.List[typing.Tuple[torch.Tensor, torch.Tensor]]
    both: typing.Tuple[torch.Tensor, int]

    def __init__(self):
        super().__init__()
        self.fc = torch.nn.Linear(2, 3)
        self.list, self.dict = [torch.rand(2), torch.rand(3)], {"k": torch.rand(4)}
        self.pairs, self.both = [(torch.rand(1), torch.rand(2))], (torch.rand(5), 3)

    def forward(self, x):
        return self.fc(x) + self.list[0].sum() + self.dict["k"].sum() + self.pairs[0][0].sum() + self.both[0].sum()


class Script(Torch):
    """TorchScript: the state_dict of the loaded module, in its order; beside it what is no part of that."""

    def setUp(self):
        super().setUp()
        torch.manual_seed(8)
        self.model = Sub().eval()

    def check(self, script, extra):
        script.save(self.path("i.pt"))
        want = torch.jit.load(self.path("i.pt")).state_dict()
        found = self.converted(self.path("i.pt"))
        self.assertEqual({n for n in found if n not in want}, set(extra))
        self.same({n: t for n, t in found.items() if n in want}, want)
        return found

    def test_script(self):
        found = self.check(torch.jit.script(self.model), ["plain"])
        self.assertTrue(torch.equal(found["plain"], self.model.plain))

    def test_containers(self):
        """Lists, dicts and tuples of tensors in attributes: TorchScript makes them by calls."""
        model = Held()
        found = self.check(torch.jit.script(model), ["list.0", "list.1", "dict.k", "pairs.0.0", "pairs.0.1", "both.0"])
        for name, tensor in {"list.1": model.list[1], "dict.k": model.dict["k"], "pairs.0.1": model.pairs[0][1],
                             "both.0": model.both[0]}.items():  # fmt: skip
            self.assertEqual(torch_bits(found[name]), torch_bits(tensor), name)

    def test_trace(self):
        found = self.check(torch.jit.trace(self.model, torch.ones(4, 3)), ["CONSTANTS.0"])
        self.assertEqual(found["CONSTANTS.0"].shape, (3,))

    def test_layers(self):
        for model, example in ((net(), torch.ones(1, 2, 6, 6)[:, :, :4, :4]), (torch.nn.LSTM(3, 4), torch.ones(2, 1, 3))):
            self.check(torch.jit.script(model), [])

    def test_frozen(self):
        """All weights are constants then, and the state_dict is empty."""
        model = torch.nn.Sequential(torch.nn.Linear(3, 20), torch.nn.ReLU(), torch.nn.Linear(20, 2)).eval()
        script = torch.jit.freeze(torch.jit.script(model))
        script.save(self.path("i.pt"))
        found = self.converted(self.path("i.pt"))
        self.assertTrue(found and all(n.startswith("CONSTANTS.") for n in found))
        values = list(found.values())
        for name, value in model.state_dict().items():
            self.assertTrue(any(t.shape == value.shape and torch.equal(t, value) for t in values), name)

    def test_code_is_not_run(self):
        """Whatever stands in it."""
        torch.jit.script(self.model).save(self.path("i.pt"))
        with zipfile.ZipFile(self.path("i.pt")) as old, zipfile.ZipFile(self.path("evil.pt"), "w") as new:
            for name in old.namelist():
                data = old.read(name)
                new.writestr(name, b"import os; os.abort()" if name.endswith(".py") else data)
        self.assertEqual(self.names(self.path("evil.pt")), self.names(self.path("i.pt")))


class Checkpoints(Torch):
    """What people keep beside the weights, and around them."""

    def test_nested(self):
        model = net()
        state = model.state_dict()
        for tree, names in (
            ({"state_dict": state, "epoch": 3, "best": 0.5}, ["state_dict." + n for n in state]),
            ({"model": {"module." + n: t for n, t in state.items()}, "args": {"lr": 0.1}}, ["model.module." + n for n in state]),
            ([state, {"x": [torch.ones(1), (torch.ones(2),)]}], [*("0." + n for n in state), "1.x.0", "1.x.1.0"]),
        ):
            for options in ({}, LEGACY, {"pickle_protocol": 4}, {"pickle_protocol": 5}, {"pickle_protocol": 1}):
                torch.save(tree, self.path("i.pth"), **options)
                self.assertEqual(self.names(self.path("i.pth")), names)
                found = self.converted(self.path("i.pth"))
                for name, value in state.items():
                    self.assertEqual(torch_bits(found[next(n for n in found if n.endswith(name))]), torch_bits(value))

    def test_optimizer(self):
        model = net()
        model(torch.rand(5, 2, 4, 4)).sum().backward()
        for make in (torch.optim.Adam, lambda p: torch.optim.SGD(p, 0.1, momentum=0.9), torch.optim.Adagrad):
            optimizer = make(model.parameters())
            optimizer.step()
            state = optimizer.state_dict()
            want = {f"optimizer.state.{i}.{n}": t for i, of in state["state"].items() for n, t in of.items() if torch.is_tensor(t)}
            self.assertTrue(want)
            for options in ({}, LEGACY):
                torch.save({"optimizer": state}, self.path("i.pth"), **options)
                self.same(self.converted(self.path("i.pth")), want)

    def test_lightning(self):
        """hyper_parameters in classes of their own, callbacks, loops: the weights are read, nothing is run."""
        import argparse

        state = {"model." + n: t for n, t in net().state_dict().items()}
        checkpoint = {
            "epoch": 4, "global_step": 100, "pytorch-lightning_version": "2.5.0", "state_dict": collections.OrderedDict(state),
            "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 5}}}},
            "callbacks": {"ModelCheckpoint{'monitor': 'loss'}": {"best_model_score": torch.tensor(0.25), "dirpath": "x"}},
            "optimizer_states": [torch.optim.Adam(net().parameters()).state_dict()], "lr_schedulers": [{"last_epoch": 4, "_last_lr": [0.1]}],
            "hparams_name": "args", "hyper_parameters": argparse.Namespace(lr=0.1, dims=[3, 4], device=torch.device("cpu"), dtype=torch.float16),
        }  # fmt: skip
        for options in ({}, LEGACY):
            torch.save(checkpoint, self.path("i.ckpt"), **options)
            done = wmap("inspect", self.path("i.ckpt"))
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1)
            self.assertIn("argparse.Namespace", done.stderr)
            self.assertEqual(self.names(self.path("i.ckpt")), [*("state_dict." + n for n in state),
                             "callbacks.ModelCheckpoint{'monitor': 'loss'}.best_model_score"])  # fmt: skip
            self.wmap_ok("run", "-e", '"state_dict.model.{x:**}" -> "{x}"; drop "callbacks.{**}"', self.path("i.ckpt"),
                         "-o", self.path("o.pth"), "--force")  # fmt: skip
            net().load_state_dict(torch.load(self.path("o.pth"), weights_only=True), strict=True)

    def test_sets(self):
        """Sets of tensors, and containers that a call makes."""
        made = lambda function, argument: type("Made", (), {"__reduce__": lambda self: (function, (argument,))})()
        tensor = torch.rand(3)
        tree = {"w": torch.rand(1), "set": {tensor}, "frozen": frozenset([tensor]), "tuple": made(tuple, [tensor]),
                "dict": made(dict, {"k": tensor}), "od": made(collections.OrderedDict, {"k": tensor})}  # fmt: skip
        for options in ({}, LEGACY, {"pickle_protocol": 4}, {"pickle_protocol": 1}):
            torch.save(tree, self.path("i.pth"), **options)
            found = self.converted(self.path("i.pth"))
            self.assertEqual(list(found), ["w", "set.0", "frozen.0", "tuple.0", "dict.k", "od.k"])
            for name in list(found)[1:]:
                self.assertEqual(torch_bits(found[name]), torch_bits(tensor), name)

    def test_parameters_and_subclasses(self):
        class Mine(torch.Tensor):
            pass

        extra = torch.nn.Parameter(torch.ones(2))
        extra.note = "an attribute"
        tensors = {"p": torch.nn.Parameter(torch.rand(3)), "b": torch.nn.Buffer(torch.rand(2)), "extra": extra,
                   "meta": torch.rand(2).to("meta")}  # fmt: skip
        torch.save(tensors, self.path("i.pth"))
        seen = {t["name"]: t["dtype"] for t in self.inspect(self.path("i.pth"))["tensors"]}
        self.assertEqual(seen, {"p": "f32", "b": "f32", "extra": "f32", "meta": "opaque"})


class Arrays(Torch):
    """NumPy's arrays and scalars beside the tensors: they have their bytes in the pickle itself."""

    WAYS = ({}, LEGACY, {"pickle_protocol": 1}, {"pickle_protocol": 3}, {"pickle_protocol": 4}, {"pickle_protocol": 5},
            {"pickle_protocol": 4, **LEGACY})  # fmt: skip

    def check(self, path, tree):
        expected = {n: a.numpy() if torch.is_tensor(a) else a for n, a in tree.items()}
        self.wmap_ok("run", "-e", "keep rest", path, "-o", self.path("o.npz"), "--force")
        with np.load(self.path("o.npz")) as z:
            self.assertEqual(z.files, list(expected))
            for name, array in expected.items():
                self.assertEqual(test_pickle.bits(z[name]), test_pickle.bits(array), f"{path}: {name}")

    def test_every_dtype_order_and_protocol(self):
        tree = {"first": torch.arange(3.0), **test_pickle.Pickles.arrays(self), "last": torch.arange(4)}
        for i, way in enumerate(self.WAYS):
            torch.save(tree, self.path(f"{i}.pth"), **way)
            self.assertEqual(list(torch.load(self.path(f"{i}.pth"), weights_only=False)), list(tree))
            self.check(self.path(f"{i}.pth"), tree)

    def test_nested(self):
        """Where they stand makes their names; arrays of objects are walked, what is no number is opaque."""
        a = np.arange(6.0).reshape(2, 3)
        tree = {"model": {"w": torch.ones(2)}, "best": np.float64(0.5), "stats": [{"mean": a}, (a[0], torch.zeros(1))], "epoch": 3,
                "objects": np.array([a[1], None, {"x": a}], dtype=object), "random": np.random.RandomState(1).get_state(),
                "text": np.array(["a", "b"]), "dtype": a.dtype, "alone": np.array(7, ">i4")}  # fmt: skip
        want = {"model.w": tree["model"]["w"], "best": np.float64(0.5), "stats.0.mean": a, "stats.1.0": a[0], "stats.1.1": torch.zeros(1),
                "objects.0": a[1], "objects.2.x": a, "random.1": tree["random"][1], "text": None, "alone": tree["alone"]}  # fmt: skip
        for way in self.WAYS:
            torch.save(tree, self.path("i.pth"), **way)
            done = wmap("inspect", self.path("i.pth"))
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertEqual(self.names(self.path("i.pth")), list(want))
            self.wmap_ok("run", "-e", 'drop "text"; keep rest', self.path("i.pth"), "-o", self.path("only.pth"), "--force")
            self.check(self.path("only.pth"), {n: t for n, t in want.items() if t is not None})

    def test_packed(self):
        """A checkpoint that was zipped again."""
        tree = {"w": torch.arange(5.0), "zeros": np.zeros(300000), **test_pickle.Pickles.arrays(self)}
        for way in self.WAYS[0], self.WAYS[4]:
            torch.save(tree, self.path("i.pth"), **way)
            with zipfile.ZipFile(self.path("i.pth")) as old, zipfile.ZipFile(self.path("z.pth"), "w", zipfile.ZIP_DEFLATED) as new:
                for name in old.namelist():
                    new.writestr(name, old.read(name))
            self.check(self.path("z.pth"), tree)

    def test_foreign(self):
        """A class that isn't known is one warning, and keeps none of the rest from being read."""
        import argparse
        import fractions

        tree = {"half": fractions.Fraction(1, 2), "args": argparse.Namespace(mean=np.ones(3), dims=[1]), "w": torch.ones(2), "b": np.float32(2)}
        for way in self.WAYS:
            torch.save(tree, self.path("i.pth"), **way)
            done = wmap("inspect", self.path("i.pth"))
            self.assertEqual((done.returncode, done.stderr.count("\n")), (0, 1), done.stderr)
            self.assertIn("fractions.Fraction", done.stderr)
            self.check(self.path("i.pth"), {"args.mean": np.ones(3), "w": torch.ones(2), "b": np.float32(2)})

    def test_damage(self):
        """Data of another length than the shape says."""
        torch.save({"w": torch.ones(2), "a": np.arange(100, dtype="u1")}, self.path("i.pth"), pickle_protocol=3, **LEGACY)
        with open(self.path("i.pth"), "rb") as f:
            whole = f.read()
        self.assertIn(b"Kd\x85", whole)
        done = wmap("inspect", self.write("bad.pth", whole.replace(b"Kd\x85", b"Ke\x85")))
        self.assertEqual((done.returncode, done.stdout), (3, ""))
        self.assertIn("bad.pth", done.stderr)
        self.assertIn("`a`: its shape needs 101 bytes, but 100 are there", done.stderr)


MOVED = {dtype for dtype in TORCH.values()}


class Dtypes(Torch):
    def test_all_of_torch(self):
        """Every dtype of this torch: moved bit by bit, or listed as opaque with its name."""
        every = {str(d): d for d in vars(torch).values() if isinstance(d, torch.dtype)}
        self.assertTrue({str(d) for d in MOVED} < set(every))
        tensors = {}
        for name, dtype in every.items():
            if name.startswith("torch.q"):
                continue  # quantised tensors are made otherwise
            if dtype == torch.bool:
                tensors[name] = torch.tensor([[True, False, True]] * 2)
            else:
                tensors[name] = torch.arange(96, dtype=torch.uint8).view(dtype).reshape(2, -1)
        for options in ({}, LEGACY):
            saved = {}
            for name, tensor in tensors.items():
                try:
                    torch.save({name: tensor}, self.path("one.pth"), **options)
                    saved[name] = tensor
                except Exception:
                    self.assertNotIn(tensor.dtype, MOVED)
            self.assertLess({str(d) for d in MOVED}, set(saved))
            self.assertNotIn("torch.uint4", saved)  # int1 to uint7 are types without storage
            torch.save(saved, self.path("i.pth"), **options)
            listed = {t["name"]: t for t in self.inspect(self.path("i.pth"))["tensors"]}
            self.assertEqual(list(listed), list(saved))
            for name, tensor in saved.items():
                if tensor.dtype in MOVED:
                    self.assertNotEqual(listed[name]["dtype"], "opaque")
                else:
                    self.assertEqual((listed[name]["dtype"], listed[name]["note"]), ("opaque", name))
            opaque = [n for n, t in saved.items() if t.dtype not in MOVED]
            self.assertIn("torch.float8_e4m3fnuz", opaque)
            rules = "keep rest\n" + "\n".join(f'drop "{n}"' for n in opaque)
            self.wmap_ok("run", "-e", rules, self.path("i.pth"), "-o", self.path("o.pth"), "--force")
            want = {n: t for n, t in saved.items() if t.dtype in MOVED}
            for mmap in (False, True):
                self.same(torch.load(self.path("o.pth"), weights_only=True, mmap=mmap), want)

    def test_quantised_sparse_and_nested(self):
        plain = torch.rand(4, 4)
        tensors = {
            "plain": plain, "per_tensor": torch.quantize_per_tensor(plain, 0.1, 3, torch.quint8),
            "per_channel": torch.quantize_per_channel(plain, torch.ones(4), torch.zeros(4), 0, torch.qint8),
            "coo": plain.to_sparse(), "csr": plain.to_sparse_csr(), "csc": plain.to_sparse_csc(), "bsr": plain.to_sparse_bsr((2, 2)),
            "nested": torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
        }  # fmt: skip
        notes = {"plain": None, "per_tensor": "quantized tensor", "per_channel": "quantized tensor", "nested": "nested tensor",
                 **dict.fromkeys(("coo", "csr", "csc", "bsr"), "sparse tensor")}  # fmt: skip
        torch.save(tensors, self.path("i.pth"))
        listed = {t["name"]: t.get("note") for t in self.inspect(self.path("i.pth"))["tensors"]}
        self.assertEqual(listed, notes)
        done = wmap("run", "-e", '"per_tensor" -> "x"; drop "{**}"', self.path("i.pth"), "-o", self.path("o.pth"))
        self.assertNotEqual(done.returncode, 0)
        self.assertFalse(os.path.exists(self.path("o.pth")))
        torch.save(tensors, self.path("l.pth"), **LEGACY)
        self.assertEqual({t["name"]: t.get("note") for t in self.inspect(self.path("l.pth"))["tensors"]}, notes)

    def test_safetensors_of_this_version(self):
        """Every dtype that the newest safetensors knows: moved, or opaque with its name."""
        import json
        bits = {"BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8,
                "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "C64": 64, "F64": 64, "I64": 64,
                "U64": 64, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8}  # fmt: skip
        header, at = {}, 0
        for name, width in bits.items():
            header[name] = {"dtype": name, "shape": [4, 2], "data_offsets": [at, at + width]}
            at += width
        text = json.dumps(header).encode()
        path = self.write("i.safetensors", struct.pack("<Q", len(text)) + text + bytes(at))
        listed = {t["name"]: t for t in self.inspect(path)["tensors"]}
        opaque = {"F4", "F6_E2M3", "F6_E3M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"}
        self.assertEqual({n for n, t in listed.items() if t["dtype"] == "opaque"}, opaque)
        for name in opaque:
            self.assertEqual((listed[name]["note"], listed[name]["shape"]), (name, [4, 2]))
        # the reference agrees that each is one, or says which it does not know yet
        import safetensors

        for name, width in bits.items():
            one = json.dumps({name: {"dtype": name, "shape": [4, 2], "data_offsets": [0, width]}}).encode()
            single = self.write("one.safetensors", struct.pack("<Q", len(one)) + one + bytes(width))
            try:
                with safetensors.safe_open(single, "np") as f:
                    self.assertEqual(f.get_slice(name).get_dtype(), name)
            except safetensors.SafetensorError as error:
                self.assertIn("FNUZ", name, str(error))
