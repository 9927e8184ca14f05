#!/usr/bin/env python3
"""Makes the files of this folder and expected.txt, which says what h5py reads in them.

Needs numpy, h5py, keras 3, tf_keras and tensorflow; the files are kept, so nobody has to run it. A line of
expected.txt is FILE, NAME, DTYPE, SHAPE (1x2x3, "-" for a scalar) and the CRC-32 of the elements in little-endian,
in source order, separated by tabs.
"""
import io
import os
import re
import sys
import zipfile
import zlib

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import h5py
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
rng = np.random.default_rng(7)


def at(name):
    return os.path.join(HERE, name)


def build(k):
    """One layer of every kind whose weights nest or have an order of their own."""
    inner = k.Sequential([k.layers.Input((4,)), k.layers.Dense(3), k.layers.BatchNormalization()], name="inner")
    a = k.layers.Input((6, 5, 2), name="image")
    x = k.layers.Conv2D(3, (3, 2), name="conv")(a)
    x = k.layers.DepthwiseConv2D((2, 3), name="depthwise")(x)
    x = k.layers.BatchNormalization(name="bn")(x)
    x = k.layers.Flatten(name="flatten")(x)
    x = k.layers.Dense(4, name="block/dense" if k.__name__ == "tf_keras" else "dense")(x)
    x = inner(x)
    b = k.layers.Input((5, 3), name="text")
    y = k.layers.LSTM(2, return_sequences=True, name="lstm")(b)
    y = k.layers.Bidirectional(k.layers.LSTM(2, return_sequences=True), name="both")(y)
    y = k.layers.GRU(3, name="gru")(y)
    z = k.layers.Dense(2, name="out")(k.layers.Concatenate(name="join")([x, y]))
    model = k.Model([a, b], z)
    model.set_weights([rng.normal(size=w.shape).astype(w.dtype) for w in model.get_weights()])
    return model


def train(k, model):
    model.compile(optimizer="adam", loss=k.losses.MeanSquaredError())
    model.fit([np.ones((2, 6, 5, 2), "f4"), np.ones((2, 5, 3), "f4")], np.ones((2, 2), "f4"), verbose=0)


def from_keras():
    import keras

    model = build(keras)
    model.save_weights(at("model.weights.h5"))
    train(keras, model)
    model.save(at("whole.h5"))
    model.save(at("model.keras"))
    with zipfile.ZipFile(at("model.keras")) as z, zipfile.ZipFile(at("deflated.keras"), "w") as out:
        for item in z.infolist():
            out.writestr(item.filename, z.read(item), zipfile.ZIP_DEFLATED)
    os.environ.pop("KERAS_BACKEND")


def from_tf_keras():
    import tf_keras

    build(tf_keras).save_weights(at("tf_weights.h5"))


def packed(name, **how):
    """Every element type and storage that is read."""
    with h5py.File(at(name), "w", **how) as f:
        for t in "f2 f4 f8 i1 i2 i4 i8 u1 u2 u4 u8 ? c8 c16 >f2 >f4 >f8 >i2 >i4 >u8 >c8".split():
            if how and t.strip(">")[0] in "c?":
                continue  # the latest compounds and enumerations of HDF5 1.14 are unknown to 1.10
            data = (rng.normal(size=(2, 3)) * 9).astype(t)
            f.create_dataset("t/" + t.replace(">", "be_").replace("?", "bool"), data=data)
        f["scalar"] = np.float32(3)
        f.create_dataset("gz", data=rng.integers(0, 9, (20, 31, 3)).astype("f4"), compression="gzip", shuffle=True,
                         fletcher32=True, chunks=(7, 31, 2))
        f.create_dataset("gz_be", data=rng.integers(0, 9, (30, 30)).astype(">f4"), chunks=(8, 7), compression="gzip")
        f.create_dataset("deep", data=np.arange(48, dtype="i2").reshape(2, 3, 2, 2, 2), chunks=(1, 2, 1, 2, 1))
        f.create_dataset("fill", shape=(4, 3), dtype="f4", fillvalue=2.5)
        f.create_dataset("fill_chunks", shape=(4, 3), dtype="f4", chunks=(3, 2), fillvalue=-1)
        f.create_dataset("empty", shape=(0, 4), dtype="f4")
        if how:
            return
        for n, attr in ("bf16", "bfloat16"), ("bf16_fixed", np.bytes_("bfloat16")), ("raw", None):
            d = f.create_dataset(n, data=np.arange(6, dtype="u2").view("V2"))
            if attr is not None:
                d.attrs["dtype"] = attr
        p = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        p.set_layout(h5py.h5d.COMPACT)
        d = h5py.h5d.create(f.id, b"compact", h5py.h5t.IEEE_F32BE, h5py.h5s.create_simple((4,)), p)
        d.write(h5py.h5s.ALL, h5py.h5s.ALL, np.arange(4, dtype="f4"))
        bf = h5py.h5t.IEEE_F32LE.copy()
        bf.set_fields(15, 7, 8, 0, 7)
        bf.set_size(2)
        bf.set_ebias(127)
        d = h5py.h5d.create(f.id, b"bf16_float", bf, h5py.h5s.create_simple((3,)))
        d.write(h5py.h5s.ALL, h5py.h5s.ALL, np.array([1, -2, 0.5], "f4"))
        f["text"] = "hello"
        f["table"] = np.zeros(2, dtype=[("a", "f4"), ("b", "i4")])


def legacy(name, layers, kind="fixed", pieces=1, **how):
    """A hand-made weights file: layers is {layer: [weight, ...]} in an order that isn't the alphabet's."""

    def put(node, attr, names, pieces=1):
        if pieces > 1:
            for i, part in enumerate(np.array_split(np.array([n.encode() for n in names]), pieces)):
                node.attrs["%s%d" % (attr, i)] = part
        elif kind == "fixed":
            node.attrs[attr] = np.array([n.encode() for n in names]) if names else np.zeros(0)
        elif kind == "utf8":
            node.attrs.create(attr, names, dtype=h5py.string_dtype("utf-8"))
        elif kind == "ascii":
            node.attrs.create(attr, names, dtype=h5py.string_dtype("ascii"))
        else:  # fixed, padded with blanks, as Fortran does
            t = h5py.h5t.FORTRAN_S1.copy()
            t.set_size(24)
            a = h5py.h5a.create(node.id, attr.encode(), t, h5py.h5s.create_simple((len(names),)))
            a.write(np.array([n.encode().ljust(24) for n in names], "S24"), mtype=t)

    with h5py.File(at(name), "w", **how) as f:
        put(f, "layer_names", list(layers), pieces)
        for layer, weights in layers.items():
            g = f.create_group(layer)
            put(g, "weight_names", weights)
            for w in weights:
                if w not in g:
                    g[w] = rng.normal(size=(2, 3)).astype("f4")


def hostile():
    one = np.arange(3, dtype="f4")
    with h5py.File(at("bad_soft.h5"), "w") as f:
        f["a/x"] = one
        f["b"] = h5py.SoftLink("/a")
    with h5py.File(at("bad_external_link.h5"), "w") as f:
        f["a/x"] = h5py.ExternalLink("model.weights.h5", "/layers")
    with h5py.File(at("bad_external_self.h5"), "w") as f:
        f["a/x"] = h5py.ExternalLink("weights", "/")
    with h5py.File(at("bad_external_data.h5"), "w") as f:
        f.create_dataset("a/x", shape=(10,), dtype="u1", external=[("/etc/hosts", 0, 10)])
    with h5py.File(at("bad_virtual.h5"), "w") as f:
        v = h5py.VirtualLayout(shape=(3,), dtype="f4")
        v[:] = h5py.VirtualSource("bad_soft.h5", "a/x", shape=(3,))
        f.create_virtual_dataset("a/x", v)
    with h5py.File(at("bad_bomb.h5"), "w") as f:
        f.create_dataset("a/x", shape=(10**15,), dtype="f4", chunks=(1024,))
    with h5py.File(at("bad_bomb_contiguous.h5"), "w") as f:
        f.create_dataset("a/x", shape=(10**15,), dtype="f4")
    with h5py.File(at("bad_bomb_chunk.h5"), "w") as f:
        f.create_dataset("a/x", shape=(1 << 28,), dtype="f4", chunks=(1 << 28,), compression="gzip")
    with h5py.File(at("bad_many_bombs.h5"), "w") as f:
        for i in range(40):
            f.create_dataset("x%d" % i, shape=(15 << 20,), dtype="f4", chunks=(1 << 20,))
    with h5py.File(at("bad_cycle.h5"), "w") as f:
        inner = f.create_group("a/b")
        inner["c"] = f["a"]
    with h5py.File(at("bad_deep.h5"), "w") as f:
        f["/".join(["g"] * 70) + "/x"] = one
    with h5py.File(at("bad_filter.h5"), "w") as f:
        f.create_dataset("a/x", data=np.zeros(100), compression="lzf")
    with h5py.File(at("bad_names_type.h5"), "w") as f:
        f["a/x"] = one
        f.attrs["layer_names"] = [1, 2]
    legacy("bad_missing.h5", {"d": ["d/kernel:0"]})
    with h5py.File(at("bad_missing.h5"), "a") as f:
        del f["d/d/kernel:0"]
    legacy("bad_missing_layer.h5", {"d": ["d/kernel:0"], "e": []})
    with h5py.File(at("bad_missing_layer.h5"), "a") as f:
        del f["e"]
    legacy("bad_duplicate.h5", {"d": ["d/kernel:0", "d/kernel:0"]})
    legacy("bad_dots.h5", {"d": ["d/kernel:0"]})
    with h5py.File(at("bad_dots.h5"), "a") as f:
        f["d"].attrs["weight_names"] = [b"../d/d/kernel:0"]
    with h5py.File(at("bad_checksum.h5"), "w") as f:
        f.create_dataset("a/x", data=np.arange(100.0), chunks=(100,), fletcher32=True)
        place = f["a/x"].id.get_chunk_info(0).byte_offset
    flip(at("bad_checksum.h5"), place + 5)
    with h5py.File(at("bad_gzip.h5"), "w") as f:
        f.create_dataset("a/x", data=np.arange(1000.0), chunks=(1000,), compression="gzip")
        place = f["a/x"].id.get_chunk_info(0).byte_offset
    flip(at("bad_gzip.h5"), place + 5)
    good = open(at("bad_soft.h5"), "rb").read()
    open(at("bad_truncated.h5"), "wb").write(good[:700])
    with zipfile.ZipFile(at("bad_npz.keras"), "w") as z:
        z.writestr("config.json", "{}")
        z.writestr("model.weights.npz", b"")
    with zipfile.ZipFile(at("bad_member.keras"), "w") as z:
        z.writestr("config.json", "{}")
        z.writestr("model.weights.h5", good[:700])


def flip(path, place):
    data = bytearray(open(path, "rb").read())
    data[place] ^= 0x55
    open(path, "wb").write(data)


KINDS = {"f": "f", "i": "i", "u": "u", "c": "c", "b": "bool"}


def natural(path):
    return [[(1, int(p)) if p.isdigit() else (0, p) for p in re.findall(r"[0-9]+|[^0-9]", part)]
            for part in path.split("/")]


class Key:
    """Digits against letters by their code, digits against digits by value."""

    def __init__(self, path):
        self.path, self.parts = path, natural(path)

    def __lt__(self, other):
        for a, b in zip(self.parts, other.parts):
            for (ka, va), (kb, vb) in zip(a, b):
                if (ka, va) != (kb, vb):
                    return va < vb if ka == kb else str(va) < str(vb)
            if len(a) != len(b):
                return len(a) < len(b)
        return len(self.parts) < len(other.parts)


def names_of(node, attr):
    if attr in node.attrs:
        lists = [node.attrs[attr]]
    else:
        lists, i = [], 0
        while "%s%d" % (attr, i) in node.attrs:
            lists.append(node.attrs["%s%d" % (attr, i)])
            i += 1
    return [n.decode() if isinstance(n, bytes) else n for part in lists for n in part]


def plain(path):
    return "/".join(p for p in path.split("/") if p not in ("", "."))


def ordered(f):
    root = "model_weights/" if "layer_names" not in f.attrs and "model_weights" in f else ""
    found, done = [], []
    f.visititems(lambda n, o: found.append(n) if isinstance(o, h5py.Dataset) else None)
    node = f[root] if root else f
    for layer in names_of(node, "layer_names"):
        done += [plain(root + layer + "/" + w) for w in names_of(node[layer], "weight_names")]
    if "top_level_model_weights" in node:
        done += [root + "top_level_model_weights/" + w
                 for w in names_of(node["top_level_model_weights"], "weight_names")]
    done += sorted((n for n in found if n not in done and not n.startswith("optimizer_weights/")), key=Key)
    if "optimizer_weights" in f:
        done += ["optimizer_weights/" + w for w in names_of(f["optimizer_weights"], "weight_names")]
    return [(n, n[len(root):] if n.startswith(root) else n) for n in done]


def describe(d):
    t = d.dtype
    if t.kind == "V" and t.names is None:
        kind = d.attrs.get("dtype")
        return "bf16" if kind in ("bfloat16", b"bfloat16") else "raw%d" % (8 * t.itemsize), d[()].tobytes()
    if d.name == "/bf16_float":  # h5py widens it
        raw = np.asarray(d[()], "f4").view("u4") >> 16
        return "bf16", raw.astype("<u2").tobytes()
    if t.kind not in KINDS:
        return "opaque", b""
    name = "bool" if t.kind == "b" else "%s%d" % (t.kind, 8 * t.itemsize)
    return name, np.asarray(d[()]).astype(t.newbyteorder("<")).tobytes()


def expect(out, name):
    file = at(name)
    if zipfile.is_zipfile(file):
        file = io.BytesIO(zipfile.ZipFile(file).read("model.weights.h5"))
    with h5py.File(file, "r") as f:
        for path, shown in ordered(f):
            dtype, data = describe(f[path])
            shape = "x".join(map(str, f[path].shape)) or "-"
            out.write("%s\t%s\t%s\t%s\t%08x\n" % (name, shown, dtype, shape, zlib.crc32(data)))


def main():
    layers = {"zeta": ["zeta/kernel:0", "zeta/bias:0"], "flat": [], "alpha": ["alpha/w_10", "alpha/w_9"],
              "a/b": ["k//w", "./z"]}
    from_keras()
    from_tf_keras()
    packed("packed.h5")
    packed("packed_latest.h5", libver="latest")
    legacy("names_fixed.h5", layers)
    legacy("names_utf8.h5", layers, "utf8", userblock_size=1024)
    legacy("names_ascii.h5", layers, "ascii")
    legacy("names_blanks.h5", {k: v for k, v in layers.items() if v}, "blanks")
    legacy("names_pieces.h5", layers, pieces=3)
    with h5py.File(at("natural.h5"), "w") as f:
        for n in ["dense_10", "dense_2", "dense", "dense_1", "dense-x", "a01", "a1", "a001b", "Z", "2", "10", "1/2", "1/10"]:
            for v in [10, 2, 0] if n[0] == "d" else [0]:
                f["%s/vars/%d" % (n, v)] = np.float32(v)
    hostile()
    good = ["model.weights.h5", "whole.h5", "model.keras", "deflated.keras", "tf_weights.h5", "packed.h5",
            "packed_latest.h5", "names_fixed.h5", "names_utf8.h5", "names_ascii.h5", "names_blanks.h5",
            "names_pieces.h5", "natural.h5"]
    with open(at("expected.txt"), "w") as out:
        for name in good:
            expect(out, name)


if __name__ == "__main__":
    sys.exit(main())
