"""torch_seeds.py: the seeds of fuzz_torch_old, by real PyTorch and by what the tests know of the tar of 2016, and those of
fuzz_torch that hold NumPy's arrays."""

import collections
import os
import sys
import zipfile

import numpy as np
import torch

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "interop"))
from test_torch import LEGACY, old_tar

out = os.path.join(HERE, "seeds", "torch_old")
os.makedirs(out, exist_ok=True)
base = torch.arange(6.0).reshape(2, 3)
tensors = collections.OrderedDict(a=base, b=base.t(), c=torch.ones(2, dtype=torch.int16))
for protocol in (1, 2, 4):
    torch.save(tensors, os.path.join(out, f"stream{protocol}"), pickle_protocol=protocol, **LEGACY)
Plain = type("Plain", (torch.nn.Module,), {})  # without source, which would stand in the file
module = Plain()
module.w = torch.nn.Parameter(base)
module.inner = Plain()
module.inner.register_buffer("b", torch.ones(1))
torch.save(module, os.path.join(out, "module"), **LEGACY)
torch.save({"q": torch.quantize_per_tensor(base, 0.1, 0, torch.qint8), "n": [1, None]}, os.path.join(out, "quantized"), **LEGACY)
old_tar(os.path.join(out, "tar"), tensors)
old_tar(os.path.join(out, "plain_tar"), {"x": [base]}, python_pax=False)

array = np.arange(6, dtype="f4").reshape(2, 3)
arrays = {"w": base, "a": array, "f": np.asfortranarray(array), "be": array.astype(">f4"), "s": np.float64(0.5),
          "o": np.array([array[0], None], dtype=object), "t": np.array(["x"])}  # fmt: skip
for protocol in (2, 4):
    path = os.path.join(out, "arrays")
    torch.save(arrays, path, pickle_protocol=protocol)
    with zipfile.ZipFile(path) as z, open(os.path.join(HERE, "seeds", "torch", f"arrays{protocol}"), "wb") as f:
        f.write(z.read("arrays/data.pkl"))
    torch.save(arrays, path, pickle_protocol=protocol, **LEGACY)
