"""Writes tests/fuzz/seeds/tf/: checkpoints of TensorFlow in the forms that fuzz_tf.c takes. Needs NumPy."""

import os
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "interop"))

import numpy as np
import tensorbundle as tb

OUT = os.path.join(HERE, "seeds", "tf")


def seed(name, mode, data):
    with open(os.path.join(OUT, name), "wb") as f:
        f.write(mode.encode() + data)


def records(entries):
    return b"".join(bytes([len(k)]) + struct.pack("<H", len(v)) + k + v for k, v in sorted(entries.items()))


def zeros(kind, shape, size, offset=0, shard=0):
    return tb.entry_proto(kind, shape, shard, offset, size, tb.masked(tb.crc32c(bytes(size))))


def bundle(big=False, boxes=(((0, 2), (0, 2)), ((0, 2), (2, 1)))):
    entries = {
        b"": tb.header_proto(2, big),
        b"a/w": zeros(1, (2, 3), 24),
        b"a/b": zeros(19, (3,), 6, 100, 1),
        b"c10": zeros(9, (), 8, 16),
        b"c2": zeros(10, (0, 4), 0),
        b"text": tb.entry_proto(7, (2,), 0, 0, 12, 1),
        b"cut": tb.entry_proto(3, (2, 3), slices=boxes),
    }
    for box in boxes:
        shape = tuple(n for _, n in box)
        entries[tb.slice_key("cut", box)] = zeros(3, shape, 4 * int(np.prod(shape)))
    return entries


def version1():
    f = tb.V1()
    f.add("w", np.arange(6, dtype=np.float32).reshape(2, 3))
    f.add("h", np.arange(3, dtype=np.float16))
    f.add("n", np.array([-1, 2, 3], np.int8), packed=False)
    f.add("z", np.array([1 + 2j], np.complex128))
    f.add("cut", np.arange(6, dtype=np.int64).reshape(3, 2), [[(0, 1), (0, 2)], [(1, 2), (0, 1)], [(1, 2), (1, 1)]])
    return f


def main():
    os.makedirs(OUT, exist_ok=True)
    seed("bundle", "r", records(bundle()))
    seed("bundle_big", "r", records(bundle(True)))
    seed("bundle_windmill", "r", records(bundle(boxes=[((0, 1), (0, 2)), ((1, 1), (0, 1)), ((0, 1), (2, 1)), ((1, 1), (1, 2))])))
    seed("bundle_in_memory", "R", records(bundle()))
    seed("block", "b", tb.block(sorted(bundle().items()), 4))
    seed("block_of_one", "B", tb.block([(b"", tb.header_proto())]))
    f = version1()
    entries = dict(f.records)
    entries[b""] = tb.message(1, b"".join(f.listed) + tb.message(2, tb.number(1, 1)))
    seed("v1", "R", records(entries))
    for name, options in (("raw_v1", {"per_block": 2}), ("raw_v1_snappy", {"compress": True, "compress_index": True})):
        f.write(os.path.join(OUT, name), **options)
    seed("state", "c", b'model_checkpoint_path: "a"\nall_model_checkpoint_paths: "a"\n')
    seed("state_away", "c", b'model_checkpoint_path: "/old/run-\\303\\274/a"\n')
    node = tb.message(2, tb.message(1, b"VARIABLE_VALUE") + tb.message(2, b"d/kernel")
                      + tb.message(3, b"v/.ATTRIBUTES/VARIABLE_VALUE"))  # fmt: skip
    child = tb.message(1, tb.number(1, 1) + tb.message(2, b"v"))
    seed("graph", "g", tb.message(1, child) + tb.message(1, node) + tb.message(1, node.replace(b"v/.ATT", b"w/.ATT")))


main()
