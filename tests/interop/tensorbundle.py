"""A writer of TensorFlow's checkpoint files in plain Python, for what TensorFlow itself does not write: compressed blocks,
big-endian elements, any number of shards, slices that are cut in other ways, and lies.

It follows tensorflow/core/lib/io/table_builder.cc, tensorflow/core/util/tensor_bundle/ and
tensorflow/core/lib/strings/ordered_code.cc; it shares nothing with wmap.
"""

import os
import struct

MAGIC = bytes.fromhex("57fb808b247547db")
TYPES = {
    "float32": 1, "float64": 2, "int32": 3, "uint8": 4, "int16": 5, "int8": 6, "complex64": 8, "int64": 9, "bool": 10,
    "bfloat16": 14, "uint16": 17, "complex128": 18, "float16": 19, "uint32": 22, "uint64": 23, "float8_e5m2": 24,
    "float8_e4m3fn": 25,
}  # fmt: skip


def _table():
    rows = []
    for i in range(256):
        for _ in range(8):
            i = i >> 1 ^ (0x82F63B78 if i & 1 else 0)
        rows.append(i)
    return rows


CRC = _table()


def crc32c(data, crc=0):
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc = CRC[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def masked(crc):
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def varint(value):
    value &= (1 << 64) - 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def number(field, value):
    return varint(field << 3) + varint(value)


def message(field, data):
    return varint(field << 3 | 2) + varint(len(data)) + data


def fixed32(field, value):
    return varint(field << 3 | 5) + struct.pack("<I", value)


def snappy(data):
    """Snappy's block format with real copies, found through a table of 4-byte strings."""
    out = bytearray(varint(len(data)))
    seen, at, start = {}, 0, 0

    def literal(part):
        for i in range(0, len(part), 60):
            piece = part[i : i + 60]
            out.append(len(piece) - 1 << 2)
            out.extend(piece)

    while at + 4 <= len(data):
        word = data[at : at + 4]
        match = seen.get(word)
        seen[word] = at
        if match is None or at - match > 65535:
            at += 1
            continue
        length = 4
        while length < 64 and at + length < len(data) and data[match + length] == data[at + length]:
            length += 1
        literal(data[start:at])
        out.append(length - 1 << 2 | 2)
        out.extend(struct.pack("<H", at - match))
        at += length
        start = at
    literal(data[start:])
    return bytes(out)


def block(entries, restart=16):
    """The contents of a block: (key, value) pairs with prefixes shared."""
    out, restarts, last = bytearray(), [], b""
    for i, (key, value) in enumerate(entries):
        shared = 0
        if i % restart == 0:
            restarts.append(len(out))
        else:
            while shared < min(len(last), len(key)) and last[shared] == key[shared]:
                shared += 1
        out += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        last = key
    restarts = restarts or [0]
    return bytes(out) + b"".join(struct.pack("<I", r) for r in restarts) + struct.pack("<I", len(restarts))


def stored(contents, compress=False):
    data = snappy(contents) if compress else contents
    kind = b"\1" if compress else b"\0"
    return data + kind + struct.pack("<I", masked(crc32c(data + kind)))


def table(entries, per_block=1000, restart=16, compress=False, compress_index=False):
    """A whole table file of sorted (key, value) pairs."""
    out, index = bytearray(), []
    for i in range(0, len(entries), per_block):
        part = entries[i : i + per_block]
        data = stored(block(part, restart), compress)
        index.append((part[-1][0], varint(len(out)) + varint(len(data) - 5)))
        out += data
    handles = b""
    for contents, squeeze in ((block([]), False), (block(index, 1), compress_index)):
        data = stored(contents, squeeze)
        handles += varint(len(out)) + varint(len(data) - 5)
        out += data
    return bytes(out) + handles.ljust(40, b"\0") + MAGIC


def ordered_number(value):
    data = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return bytes([len(data)]) + data


def ordered_text(text):
    escapes = {0: b"\0\xff", 255: b"\xff\0"}
    return b"".join(escapes.get(c, bytes([c])) for c in text) + b"\0\1"


def ordered_signed(value):
    x = ~value if value < 0 else value
    if x < 64:
        return bytes([0x80 ^ value & 0xFF])
    size = x.bit_length() // 7 + 1
    data = bytearray((value & (1 << 80) - 1).to_bytes(10, "big")[10 - size :])
    head = {2: 0xC000, 3: 0xE000, 4: 0xF000, 5: 0xF800, 6: 0xFC00, 7: 0xFE00, 8: 0xFF00, 9: 0xFF80, 10: 0xFFC0}[size]
    data[0] ^= head >> 8
    data[1] ^= head & 0xFF
    return bytes(data)


def slice_key(name, extents):
    key = ordered_number(0) + ordered_text(name.encode()) + ordered_number(len(extents))
    for start, length in extents:
        key += ordered_signed(start) + ordered_signed(length)
    return key


def shape_proto(shape):
    return b"".join(message(2, number(1, n) if n else b"") for n in shape)


def slice_proto(extents):
    return b"".join(
        message(1, (number(1, start) if start else b"") + (number(2, length) if length != -1 else b""))
        for start, length in extents
    )


def header_proto(shards=1, big=False, version=number(1, 1)):
    return (number(1, shards) if shards else b"") + (number(2, 1) if big else b"") + message(3, version)


def entry_proto(kind, shape, shard=0, offset=0, size=0, crc=0, slices=()):
    out = (number(1, kind) if kind else b"") + message(2, shape_proto(shape))
    for field, value in ((3, shard), (4, offset), (5, size)):
        out += number(field, value) if value else b""
    out += fixed32(6, crc) if crc else b""
    return out + b"".join(message(7, slice_proto(s)) for s in slices)


class Bundle:
    """Collects tensors, then writes them."""

    def __init__(self, shards=1, big=False):
        self.data = [bytearray() for _ in range(shards)]
        self.big = big
        self.entries = {b"": header_proto(shards, big)}

    def bytes_of(self, array):
        dtype = array.dtype
        if self.big and dtype.itemsize > 1:
            unit = dtype.itemsize // 2 if dtype.kind == "c" else dtype.itemsize
            raw = bytearray(array.tobytes())
            for i in range(0, len(raw), unit):
                raw[i : i + unit] = raw[i : i + unit][::-1]
            return bytes(raw)
        return array.tobytes()

    def store(self, key, kind, shape, raw, shard=0, crc=None):
        where = self.data[shard]
        crc = masked(crc32c(raw)) if crc is None else crc
        self.entries[key] = entry_proto(kind, shape, shard, len(where), len(raw), crc)
        where += raw

    def add(self, name, array, shard=0):
        self.store(name.encode(), TYPES[array.dtype.name], array.shape, self.bytes_of(array), shard)

    def add_slices(self, name, array, boxes, shards=(0,), spelled=True):
        """`boxes`: for each slice (start, length) a dimension. Not `spelled`: whole dimensions are left out."""
        kind = TYPES[array.dtype.name]
        listed = []
        for i, box in enumerate(boxes):
            part = array[tuple(slice(s, s + n) for s, n in box)]
            proto = [
                (0, -1) if not spelled and (s, n) == (0, whole) else (s, n) for (s, n), whole in zip(box, array.shape)
            ]
            listed.append(proto)
            self.store(slice_key(name, proto), kind, part.shape, self.bytes_of(part.copy()), shards[i % len(shards)])
        self.entries[name.encode()] = entry_proto(kind, array.shape, slices=listed)

    def add_text(self, name, texts, shape=()):
        lengths = b"".join(varint(len(t)) for t in texts)
        order = ">I" if self.big else "<I"
        fixed = b"".join(struct.pack(order, len(t)) for t in texts)
        sum_bytes = struct.pack(order, masked(crc32c(fixed)))
        crc = crc32c(fixed + sum_bytes + b"".join(texts))
        self.store(name.encode(), 7, shape, lengths + sum_bytes + b"".join(texts), crc=masked(crc))

    def write(self, prefix, **options):
        os.makedirs(os.path.dirname(prefix) or ".", exist_ok=True)
        for i, data in enumerate(self.data):
            with open(f"{prefix}.data-{i:05}-of-{len(self.data):05}", "wb") as f:
                f.write(data)
        with open(prefix + ".index", "wb") as f:
            f.write(table(sorted(self.entries.items()), **options))
        return prefix


# How the values of a type stand in a TensorProto: the field, and "<f4" ... packed as they are, or None: varints.
VALUES = {
    "float32": (5, "<f4"), "float64": (6, "<f8"), "int32": (7, None), "int16": (7, None), "int8": (7, None),
    "uint8": (7, None), "uint16": (7, None), "complex64": (9, "<c8"), "int64": (10, None), "bool": (11, None),
    "complex128": (12, "<c16"), "float16": (13, None), "uint32": (16, None), "uint64": (17, None),
}  # fmt: skip


def tensor_proto(array, packed=True):
    field, descr = VALUES[array.dtype.name]
    flat = array.reshape(-1)
    if descr:
        raw = flat.astype(descr).tobytes()
        if packed:
            return message(field, raw)
        unit = {"<f4": 4, "<c8": 4}.get(descr, 8)
        tag = varint(field << 3 | (5 if unit == 4 else 1))
        return b"".join(tag + raw[i : i + unit] for i in range(0, len(raw), unit))
    if array.dtype.name == "float16":
        flat = flat.view("u2")
    if packed:
        return message(field, b"".join(varint(int(x)) for x in flat))
    return b"".join(number(field, int(x)) for x in flat)


class V1:
    """A checkpoint of version 1, in one table."""

    def __init__(self):
        self.listed, self.records = [], {}

    def add(self, name, array, boxes=None, packed=True, kind=None):
        """Without `boxes` the tensor is whole, as TensorFlow lists it: start 0 and length -1 in every dimension."""
        kind = TYPES[array.dtype.name] if kind is None else kind
        whole = [[(0, -1)] * array.ndim]
        slices = b""
        for box in boxes or whole:
            part = array[tuple(slice(s, None if n == -1 else s + n) for s, n in box)]
            proto = slice_proto(box)
            slices += message(4, proto)
            self.records[slice_key(name, box)] = message(
                2, message(1, name.encode()) + message(2, proto) + message(3, tensor_proto(part, packed))
            )
        self.listed.append(
            message(1, message(1, name.encode()) + message(2, shape_proto(array.shape)) + number(3, kind) + slices)
        )

    def write(self, path, version=number(1, 1), **options):
        entries = dict(self.records)
        entries[b""] = message(1, b"".join(self.listed) + message(2, version))
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        with open(path, "wb") as f:
            f.write(table(sorted(entries.items()), **options))
        return path
