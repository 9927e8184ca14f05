"""PyTorch's files of all times: the stream of before 1.6, the tar of 2016, TorchScript, whole modules, nested checkpoints."""

import collections
import io
import os
import pickle
import struct
import tarfile
import time

from common import Case, wmap
import numpy as np
import torch

from test_dtypes import SHAPES, TORCH, random_tensor, torch_bits

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
