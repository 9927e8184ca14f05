"""Files of Flax, bit by bit."""

from common import Case
import flax.serialization
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import torch


def tree():
    random = np.random.default_rng(8)
    kernel = random.integers(0, 2**32, (3, 5), dtype=np.uint32).view(np.float32)
    dtypes = ["bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float16", "float32",
              "float64", "complex64", "complex128"]  # fmt: skip
    return {
        "params": {
            "Dense_0": {"kernel": kernel, "bias": np.zeros(5, "f4")},
            "Conv_0": {"kernel": np.asfortranarray(random.normal(size=(3, 3, 2, 4)).astype("f4"))},
        },
        "dtypes": {d: (random.normal(size=(2, 3)) * 50).astype(d) for d in dtypes},
        "small": {d: np.arange(6).reshape(2, 3).astype(getattr(ml_dtypes, d))
                  for d in ("bfloat16", "float8_e4m3fn", "float8_e5m2")},
        "list": [np.ones(2), {"x": np.array(3.5)}],
        "scalar": np.float32(2.5),
        "empty": np.zeros((0, 4), "f4"),
        "step": 5, "rate": 0.5, "name": "adam", "nothing": None, "flag": True, "complex": 1 + 2j,
    }  # fmt: skip


def flatten(value, prefix=""):
    if isinstance(value, (dict, list)):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            yield from flatten(item, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, (np.ndarray, np.generic)):
        yield prefix, np.asarray(value)


class Flax(Case):
    def compare(self, data, wanted):
        path = self.write("m.msgpack", data)
        self.assertEqual(self.inspect(path)["format"], "flax")
        self.wmap_ok("run", "-e", "keep rest", path, "-o", self.path("o.pth"), "--force")
        found = torch.load(self.path("o.pth"), weights_only=True)
        self.assertEqual(list(found), list(wanted))
        for name, array in wanted.items():
            tensor = found[name]
            self.assertEqual(str(tensor.dtype), f"torch.{array.dtype.name}", name)
            self.assertEqual(tuple(tensor.shape), array.shape, name)
            bits = tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b""
            self.assertEqual(bits, np.ascontiguousarray(array).tobytes(), name)

    def test_everything(self):
        made = tree()
        self.compare(flax.serialization.to_bytes(made), dict(flatten(made)))

    def test_arrays_of_jax(self):
        made = {"params": {"a": jnp.arange(6, dtype=jnp.float32).reshape(2, 3), "b": jnp.ones(3, jnp.bfloat16)}}
        data = flax.serialization.to_bytes(made)
        self.compare(data, {k: np.asarray(v) for k, v in [("params.a", made["params"]["a"]), ("params.b", made["params"]["b"])]})

    def test_pieces(self):
        """Arrays over a limit are cut; Flax's limit is 1 GiB, here it is 100 bytes."""
        limit = flax.serialization.MAX_CHUNK_SIZE
        flax.serialization.MAX_CHUNK_SIZE = 100
        try:
            made = {"a": np.arange(1000, dtype="i4").reshape(10, 100), "b": np.ones(3, "f4"),
                    "c": {"d": np.arange(77, dtype="f8")}}  # fmt: skip
            data = flax.serialization.msgpack_serialize(made)
        finally:
            flax.serialization.MAX_CHUNK_SIZE = limit
        self.assertIn(b"__msgpack_chunked_array__", data)
        self.compare(data, dict(flatten(made)))

    def test_many_keys(self):
        """Maps of 16 and 32 bits of size."""
        for count in (3000, 70000):
            made = {f"layer{i:05}": np.full((2,), i, "f4") for i in range(count)}
            path = self.write("m.msgpack", flax.serialization.to_bytes(made))
            found = self.inspect(path)["tensors"]
            self.assertEqual([t["name"] for t in found], list(made))
        self.compare(flax.serialization.to_bytes({"a": {"b": np.ones(3, "f4")}}), {"a.b": np.ones(3, "f4")})
