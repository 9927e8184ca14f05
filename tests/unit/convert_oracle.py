"""Prints the digests that convert.c (unit test) expects: casts of every input that matters, by ml_dtypes and NumPy.

NaN results are made one code first, for libraries differ in the payload that they give. Run by hand:
    python tests/unit/convert_oracle.py
"""
import hashlib

import ml_dtypes
import numpy as np

NARROW = [("f16", np.float16), ("bf16", ml_dtypes.bfloat16), ("f8_e4m3", ml_dtypes.float8_e4m3fn),
          ("f8_e5m2", ml_dtypes.float8_e5m2)]


def bits(a):
    return a.view({1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}[a.dtype.itemsize]).copy()


def digest(a):
    b = bits(a)
    nan = np.isnan(a.astype(np.float64))
    b[nan] = np.iinfo(b.dtype).max
    return hashlib.sha256(b.tobytes()).hexdigest()[:16]


def f32_inputs():
    high = np.arange(1 << 16, dtype=np.uint32) << 16
    low = np.array([0, 1, 0x0fff, 0x1000, 0x1001, 0x7fff, 0x8000, 0x8001, 0xf000, 0xffff], dtype=np.uint32)
    return (high[:, None] | low[None, :]).reshape(-1).view(np.float32)


np.seterr(all="ignore")
for name, dtype in NARROW:
    size = np.dtype(dtype).itemsize
    codes = np.arange(1 << (8 * size), dtype=np.uint32).astype({1: np.uint8, 2: np.uint16}[size]).view(dtype)
    print('    {"f32", "%s", 0x%s},' % (name, digest(f32_inputs().astype(dtype))))
    for to, wide in (("f32", np.float32), ("f64", np.float64)):
        print('    {"%s", "%s", 0x%s},' % (name, to, digest(codes.astype(wide))))
