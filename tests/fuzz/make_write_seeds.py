"""The seeds of fuzz_write: for each format all dtypes, a set of several files, names of objects, odd names."""

import os

folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "seeds", "write")
os.makedirs(folder, exist_ok=True)


def target(dtype, shape, name):
    name = name.encode()
    return bytes([dtype, len(shape), *shape, len(name)]) + name


DTYPES = [range(16), range(17), [d for d in range(21) if d not in (10, 13, 14)], range(17)]
"""By format, those that it holds (numbers of wmap_dtype less 1)."""

cases = {
    "sets": b"".join(target(11, (i % 5, 7), f"block{i}/kernel") for i in range(20)),
    "objects": b"".join(target(11, (i,), n + "/.ATTRIBUTES/VARIABLE_VALUE") for i, n in enumerate(
        ["a/b", "a/c..d", "a/.S", "a/b/.OPTIMIZER_SLOT/opt/m", "a/b/.OPTIMIZER_SLOT/opt/v", "opt/step", "a//", ""])),
    "names": b"".join(target(1, (2,), n) for n in ["é", "a.npy", "..", "a/b", "'\"\\", "\x01", "z" * 200, "0"]),
    "empty": b"",
}  # fmt: skip
for format in range(4):
    dtypes = b"".join(target(d, [(), (2, 3), (0,), (1, 2, 3)][d % 4], f"layer.{d}") for d in DTYPES[format])
    for name, targets in {"dtypes": dtypes, **cases}.items():
        with open(os.path.join(folder, f"{name}{format}"), "wb") as f:
            f.write(bytes([format, 8 if name == "sets" else 0]) + targets)
