#!/usr/bin/env python3
"""Writes the fixtures of this folder, with real PyTorch (2.13) and CPython's own pickler.

    python3 make_torch.py FOLDER [SEEDS]

SEEDS is tests/fuzz/seeds, whose folders pickle and torch are written then.

Each .pt file comes with a .txt: one line a tensor, `name dtype shape values`, values in row-major order as the bytes of
the elements in hex, little-endian. The unit tests compare what wmap reads with these lines.
"""
import collections
import io
import os
import pickle
import sys
import zipfile

import numpy as np
import torch

OUT = sys.argv[1]
SPELLED = {
    torch.bool: "bool", torch.uint8: "u8", torch.uint16: "u16", torch.uint32: "u32", torch.uint64: "u64",
    torch.int8: "i8", torch.int16: "i16", torch.int32: "i32", torch.int64: "i64", torch.float16: "f16",
    torch.bfloat16: "bf16", torch.float32: "f32", torch.float64: "f64", torch.float8_e4m3fn: "f8_e4m3",
    torch.float8_e5m2: "f8_e5m2", torch.complex64: "c64", torch.complex128: "c128",
}


def raw(tensor):
    tensor = tensor.detach().resolve_conj().resolve_neg().contiguous()
    if tensor.numel() == 0:
        return "-"
    return tensor.reshape(-1).view(torch.uint8).numpy().tobytes().hex()


def line(name, tensor):
    if not isinstance(tensor, torch.Tensor):
        return f"{name} opaque {tensor} -"
    shape = "x".join(str(n) for n in tensor.shape) or "scalar"
    return f"{name} {SPELLED[tensor.dtype]} {shape} {raw(tensor)}"


def expect(stem, listed):
    with open(os.path.join(OUT, stem + ".txt"), "w") as f:
        for name, tensor in listed:
            f.write(line(name, tensor) + "\n")


def save(stem, value, listed, **options):
    torch.save(value, os.path.join(OUT, stem + ".pt"), **options)
    expect(stem, listed)


def rewrite(source, stem, change=None, method=zipfile.ZIP_STORED):
    """A copy of a zip made by Python's zipfile; `change(name, bytes)` gives the new bytes, or None to drop it."""
    with zipfile.ZipFile(os.path.join(OUT, source)) as old, \
         zipfile.ZipFile(os.path.join(OUT, stem + ".pt"), "w", method) as new:
        for name in old.namelist():
            data = old.read(name)
            if change:
                data = change(name.split("/", 1)[1], data)
            if data is not None:
                new.writestr(zipfile.ZipInfo(name), data, method)


def dtypes():
    values = collections.OrderedDict()
    for dtype, name in SPELLED.items():
        values[name] = torch.tensor([0, 1, 2, 3, 5, 7]).to(dtype).reshape(2, 3)
    values["c64"] = torch.tensor([1 + 2j, -3 + 0.5j], dtype=torch.complex64)
    save("dtypes", values, values.items())
    return values


def views():
    base = torch.arange(24, dtype=torch.float32)
    values = collections.OrderedDict(
        base=base,
        window=base[5:9],
        transposed=base.reshape(4, 6).t(),
        permuted=base.reshape(2, 3, 4).permute(2, 0, 1),
        steps=base[1::3],
        corner=base.reshape(4, 6)[1:3, 2:5],
        expanded=torch.tensor([1.5, 2.5]).reshape(2, 1).expand(2, 3),
        channels_last=torch.arange(48, dtype=torch.int16).reshape(2, 3, 2, 4).to(memory_format=torch.channels_last),
        scalar=torch.tensor(7, dtype=torch.int64),
        empty=torch.empty(0, 5),
        empty_middle=torch.empty(3, 0, 2, dtype=torch.float16),
        one=torch.arange(6.0).reshape(1, 6)[:, 2:3],
    )
    save("views", values, values.items())
    return values


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(1, 2, 3)
        self.bn = torch.nn.BatchNorm2d(2)
        self.head = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 1, bias=False))
        self.register_buffer("scratch", torch.zeros(2), persistent=False)
        self.tied = self.head[0]

    def forward(self, x):
        return self.head(self.bn(self.conv(x)).mean((2, 3)))


Opts = collections.namedtuple("Opts", "lr table")


def main():
    os.makedirs(OUT, exist_ok=True)
    torch.manual_seed(3)
    dtypes()
    views()

    net = Net()
    state = net.state_dict()
    save("module-state", state, state.items())
    save("module-whole", net, state.items())
    save("parameters", {"w": net.head[0].weight, "b": torch.nn.Parameter(torch.ones(2), requires_grad=False)},
         [("w", net.head[0].weight), ("b", torch.ones(2))])

    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    net(torch.ones(1, 1, 5, 5)).sum().backward()
    optimizer.step()
    inner = optimizer.state_dict()
    listed = [("model." + k, v) for k, v in state.items()]
    for index, slots in inner["state"].items():
        listed += [(f"optimizer.state.{index}.{k}", v) for k, v in slots.items()]
    listed += [("extra.0", torch.ones(1)), ("extra.1.0", torch.zeros(2)), ("extra.1.1.deep", torch.ones(3))]
    save("checkpoint", {"epoch": 3, "model": state, "optimizer": inner, "best": 0.5, "note": "x", "none": None,
                        "extra": [torch.ones(1), (torch.zeros(2), {"deep": torch.ones(3)})]}, listed)

    shape = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    save("foreign", {"w": shape, "scale": np.float32(0.5), "opts": Opts(0.1, torch.ones(2)),
                     "size": shape.shape, "dtype": shape.dtype, "device": shape.device},
         [("w", shape), ("scale", torch.tensor(0.5)), ("opts.1", torch.ones(2))])
    save("keys", {0: torch.ones(1), "a b": torch.zeros(1), ("x", 1): torch.ones(1), True: torch.zeros(2),
                  None: torch.ones(3), 0.5: torch.ones(4), "ключ": torch.ones(5), b"by": torch.ones(6)},
         [("0", torch.ones(1)), ("a b", torch.zeros(1)), ("(x, 1)", torch.ones(1)), ("True", torch.zeros(2)),
          ("None", torch.ones(3)), ("0.5", torch.ones(4)), ("ключ", torch.ones(5)), ("by", torch.ones(6))])
    save("alone", shape, [("0", shape)])
    z = torch.tensor([1 + 2j, -3 - 4j], dtype=torch.complex64)
    imaginary = z.clone().conj().imag
    lazy = {"conj": z.conj(), "neg": imaginary, "both": torch._neg_view(z.conj()), "row": z.reshape(2, 1).mH}
    save("lazy", lazy, lazy.items())
    q = torch.quantize_per_tensor(shape, 0.1, 0, torch.qint8)
    save("opaque", {"w": shape, "q": q, "s": shape.to_sparse(), "half": torch.zeros(2, dtype=torch.complex32),
                    "fnuz": torch.zeros(3, dtype=torch.float8_e4m3fnuz)},
         [("w", shape), ("q", "2x2"), ("s", "scalar"), ("half", "2"), ("fnuz", "3")])
    for protocol in (3, 4, 5):
        save(f"protocol{protocol}", {"w": shape, "t": shape.t()}, [("w", shape), ("t", shape.t())],
             pickle_protocol=protocol)
    save("nothing", {}, [])
    save("scalars", {"epoch": 3}, [])

    # The same files in other clothes: deflated, and as a big-endian machine writes them.
    def swap(name, data):
        if name == "byteorder":
            return b"big"
        return data[::-1] if name == "data/0" else data

    twisted = {"w": torch.arange(6, dtype=torch.int32).reshape(2, 3).t()}
    save("twisted", twisted, twisted.items())
    rewrite("views.pt", "deflated", method=zipfile.ZIP_DEFLATED)
    expect("deflated", views().items())
    rewrite("twisted.pt", "big", swap)
    turned = torch.arange(6, dtype=torch.int32).flip(0).reshape(2, 3).t()  # all bytes reversed: elements too
    expect("big", [("w", turned)])
    rewrite("twisted.pt", "plain", lambda name, data: data if name in ("data.pkl", "data/0", "version") else None)
    expect("plain", twisted.items())

    scripted = torch.jit.trace(Net().eval(), torch.ones(1, 1, 3, 3))
    torch.jit.save(scripted, os.path.join(OUT, "script0.pt"))
    rewrite("script0.pt", "script", lambda name, data: None if name.endswith(".debug_pkl") else data)  # holds paths
    os.remove(os.path.join(OUT, "script0.pt"))
    expect("script", scripted.state_dict().items())

    # Pickles alone, for the machine: the same object in every protocol.
    shared = [1, 2]
    value = {"int": [0, 255, 256, 65536, -1, 2**31, -2**63, 2**63], "float": (1.5, -0.0, float("inf")),
             "text": "z\u00e4\u20ac\n\\", "bytes": b"\x00\xff", "none": None, "bool": (True, False), "nested": [[], (), {}],
             "set": {7}, "frozen": frozenset([8]), "shared": [shared, shared], "class": collections.OrderedDict,
             "object": collections.OrderedDict([("k", 1)])}
    loop = []
    loop.append(loop)
    value["loop"] = loop
    for protocol in range(6):
        with open(os.path.join(OUT, f"object{protocol}.pkl"), "wb") as f:
            pickle.dump(value, f, protocol)


def seeds(folder):
    """Pickles for the fuzz targets; storages have 64 bytes, as fuzz_torch gives them."""
    for protocol in range(6):
        with open(os.path.join(OUT, f"object{protocol}.pkl"), "rb") as old, \
             open(os.path.join(folder, "pickle", f"object{protocol}"), "wb") as new:
            new.write(old.read())
    w = torch.arange(16.0)
    z = torch.arange(8.0).to(torch.complex64)
    values = {
        "views": {"w": w, "t": w.reshape(4, 4).t(), "s": w[3:5], "e": w[:1].expand(5), "n": w[:0]},
        "lazy": collections.OrderedDict(conj=z.conj(), rest=[torch.zeros(64, dtype=torch.bool), (None, 1)]),
        "parameter": {"p": torch.nn.Parameter(w), "f8": torch.zeros(64).to(torch.float8_e5m2)},
        "opaque": {"q": torch.quantize_per_tensor(torch.zeros(64), 0.1, 0, torch.qint8), "scale": np.float32(1)},
        "module": torch.nn.Linear(16, 1, bias=False),
    }
    for name, value in values.items():
        buffer = io.BytesIO()
        torch.save(value, buffer)
        with zipfile.ZipFile(buffer) as z:
            data = z.read("archive/data.pkl")
        for size in (0, 1):  # an odd size makes a big-endian file of it: a POP of an int makes it one longer
            odd = data if len(data) % 2 == size else data[:2] + b"K\0" + b"0" + data[2:]
            with open(os.path.join(folder, "torch", name + ("-big" if size else "")), "wb") as f:
                f.write(odd)


main()
if len(sys.argv) > 2:
    seeds(sys.argv[2])
