"""npz and safetensors, written and read by hand. A tensor is (name, dtype, shape, bytes), row-major, little-endian."""

import ast
import io
import json
import struct
import zipfile
import zlib

from values import size_of

NPY = {
    "bool": "b1", "u8": "u1", "u16": "u2", "u32": "u4", "u64": "u8", "i8": "i1", "i16": "i2", "i32": "i4", "i64": "i8",
    "f16": "f2", "f32": "f4", "f64": "f8", "c64": "c8", "c128": "c16", "raw8": "V1", "raw16": "V2", "raw32": "V4", "raw64": "V8",
}  # fmt: skip
SAFE = {
    "bool": "BOOL", "u8": "U8", "u16": "U16", "u32": "U32", "u64": "U64", "i8": "I8", "i16": "I16", "i32": "I32", "i64": "I64",
    "f16": "F16", "bf16": "BF16", "f32": "F32", "f64": "F64", "f8_e4m3": "F8_E4M3", "f8_e5m2": "F8_E5M2", "c64": "C64",
}  # fmt: skip
HOLDS = {"npz": NPY, "safetensors": SAFE}
FROM_NPY = {v: k for k, v in NPY.items()}
FROM_SAFE = {v: k for k, v in SAFE.items()}


def product(shape):
    n = 1
    for e in shape:
        n *= e
    return n


def write_safetensors(path, tensors, rng):
    header, data, at = [], [], 0
    for name, dtype, shape, raw in tensors:
        header.append((name, {"dtype": SAFE[dtype], "shape": shape, "data_offsets": [at, at + len(raw)]}))
        data.append(raw)
        at += len(raw)
    if rng.random() < 0.3:
        # Order is that of the offsets, not of the keys. Tensors without bytes share an offset: those keep theirs.
        if all(raw for _, _, _, raw in tensors):
            rng.shuffle(header)
    text = json.dumps(dict(header), ensure_ascii=rng.random() < 0.5).encode()
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(data))


def read_safetensors(path):
    with open(path, "rb") as f:
        raw = f.read()
    n = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8 : 8 + n])
    header.pop("__metadata__", None)
    data = raw[8 + n :]
    out = []
    for name, h in header.items():
        a, b = h["data_offsets"]
        out.append((a, name, FROM_SAFE[h["dtype"]], h["shape"], data[a:b]))
    return [t[1:] for t in sorted(out, key=lambda t: t[0])]


def column_major(shape, size, raw):
    """The elements in the order in which the first dimension is the fastest."""
    strides, at = [], size
    for e in reversed(shape):
        strides.insert(0, at)
        at *= e
    offsets = [0]
    for e, s in zip(shape, strides):
        offsets = [o + i * s for i in range(e) for o in offsets]
    return b"".join(raw[o : o + size] for o in offsets)


def npy(dtype, shape, raw, rng):
    size, order = size_of(dtype), "<"
    unit = size // 2 if dtype in ("c64", "c128") else size
    fortran = len(shape) > 1 and raw and rng.random() < 0.2
    if fortran:
        raw = column_major(shape, size, raw)
    if unit == 1 or dtype.startswith("raw"):
        order = "|"
    elif rng.random() < 0.15:
        order = ">"
        raw = b"".join(raw[i : i + unit][::-1] for i in range(0, len(raw), unit))
    words = ", ".join(str(e) for e in shape) + ("," if len(shape) == 1 else "")
    text = f"{{'descr': '{order}{NPY[dtype]}', 'fortran_order': {bool(fortran)}, 'shape': ({words}), }}"
    text += " " * (-(len(text) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + raw


def write_npz(path, tensors, rng):
    """Stored or deflated members, their directory in the order of the tensors."""
    out, directory = io.BytesIO(), []
    for name, dtype, shape, raw in tensors:
        data = npy(dtype, shape, raw, rng)
        member = (name + ".npy").encode()
        packed, method = data, 0
        if rng.random() < 0.3:
            deflate = zlib.compressobj(wbits=-15)
            packed, method = deflate.compress(data) + deflate.flush(), 8
        common = struct.pack(
            "<HHHHHIIIHH", 20, 0x800, method, 0, 33, zlib.crc32(data), len(packed), len(data), len(member), 0
        )
        directory.append(
            struct.pack("<IH", 0x02014B50, 20) + common + struct.pack("<HHHII", 0, 0, 0, 0, out.tell()) + member
        )
        out.write(struct.pack("<I", 0x04034B50) + common + member + packed)
    start, all_ = out.tell(), b"".join(directory)
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, len(directory), len(directory), len(all_), start, 0)
    with open(path, "wb") as f:
        f.write(out.getvalue() + all_ + end)


def read_npz(path):
    out = []
    with zipfile.ZipFile(path) as z:
        for info in z.infolist():
            raw = z.read(info)
            n = struct.unpack("<H", raw[8:10])[0]
            header = ast.literal_eval(raw[10 : 10 + n].decode())
            assert raw[:8] == b"\x93NUMPY\x01\x00" and not header["fortran_order"] and header["descr"][0] in "<|"
            dtype = FROM_NPY[header["descr"][1:]]
            out.append((info.filename.removesuffix(".npy"), dtype, list(header["shape"]), raw[10 + n :]))
    return out


def write(path, tensors, rng):
    (write_npz if path.endswith(".npz") else write_safetensors)(path, tensors, rng)


def read(path):
    return read_npz(path) if path.endswith(".npz") else read_safetensors(path)
