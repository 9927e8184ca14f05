"""Hostile rows that need a real library to write them: refused with status 3, words that name the file, no output.

tests/cli/hostile.sh has those that a shell can write; units and fuzz targets go through each format alone.
"""

import collections
import io
import os
import pickle
import resource
import struct
import subprocess
import zipfile

from common import LIBRARY, Case, settings
import h5py
import numpy as np
import torch


class Evil:
    """Runs a command when a pickle of it is loaded by Python."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return (os.system, (self.command,))


class Hostile(Case):
    def run_limited(self, source, rules="keep rest"):
        def limit():
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

        target = self.path("target.npz")
        command = [settings["wmap"], "run", "-e", rules, source, "-o", target]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, preexec_fn=limit,
                              env=dict(os.environ, WMAP_SPECS=LIBRARY))  # fmt: skip
        usage = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        return done, target, usage

    def refused(self, source, status=3, word=None):
        before = sorted(os.listdir(self.folder))
        done, target, _ = self.run_limited(source)
        self.assertEqual(done.returncode, status, f"{source}: {done.stdout}{done.stderr}")
        self.assertIn(os.path.basename(source), done.stderr)
        self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)
        if word:
            self.assertIn(word, done.stderr)
        self.assertEqual(sorted(os.listdir(self.folder)), before)

    def torch_zip(self, name, pickled, records=(), byteorder=b"little", version=b"3\n"):
        """A zip as torch.save writes it, with any pickle."""
        path = self.path(name)
        with zipfile.ZipFile(path, "w") as z:
            z.writestr("archive/data.pkl", pickled)
            if byteorder is not None:
                z.writestr("archive/byteorder", byteorder)
            for key, data in records:
                z.writestr(f"archive/data/{key}", data)
            z.writestr("archive/version", version)
        return path

    def test_a_pickle_runs_nothing(self):
        flag = self.path("pwned")
        for protocol in (2, 4):
            data = pickle.dumps({"a": Evil(f"touch {flag}")}, protocol)
            self.refused(self.torch_zip(f"evil{protocol}.pth", data), word="system")
            self.assertFalse(os.path.exists(flag))

    def test_a_foreign_class_beside_tensors_is_named_and_left(self):
        flag = self.path("pwned")
        torch.save({"w": torch.arange(6.0), "x": Evil(f"touch {flag}")}, self.path("mixed.pth"))
        done, target, _ = self.run_limited(self.path("mixed.pth"), '"w" -> "w"')
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("system", done.stderr)
        self.assertFalse(os.path.exists(flag))
        with np.load(target) as z:
            self.assertEqual(z["w"].tolist(), list(range(6)))

    def storage(self, numel, offset, size, stride, record):
        """A pickle of one tensor whose description may lie."""

        class Storage:
            pass

        class Tensor:
            def __reduce__(self):
                return (torch._utils._rebuild_tensor_v2, (Storage(), offset, size, stride, False, collections.OrderedDict()))

        class Writer(pickle.Pickler):
            def persistent_id(self, thing):
                if isinstance(thing, Storage):
                    return ("storage", torch.FloatStorage, "0", "cpu", numel)
                return None

        out = io.BytesIO()
        Writer(out, 2).dump({"a": Tensor()})
        return out.getvalue(), [("0", record)]

    def test_storages_that_lie(self):
        rows = {
            "right": (4, 0, (2, 2), (2, 1), b"\0" * 16),
            "short": (4, 0, (2, 2), (2, 1), b"\0" * 12),
            "long": (4, 0, (2, 2), (2, 1), b"\0" * 20),
            "offset": (4, 1, (2, 2), (2, 1), b"\0" * 16),
            "stride": (4, 0, (2, 2), (1 << 40, 1), b"\0" * 16),
            "negative": (4, 0, (2, 2), (-2, 1), b"\0" * 16),
            "ranks": (4, 0, (2, 2), (1,), b"\0" * 16),
            "huge": (1 << 62, 0, (1 << 61, 2), (2, 1), b"\0" * 16),
            "numel": (-1, 0, (2, 2), (2, 1), b"\0" * 16),
        }
        for name, (*lie, record) in rows.items():
            with self.subTest(name):
                path = self.torch_zip(f"{name}.pth", *self.storage(*lie, record))
                if name == "right":
                    done, _, _ = self.run_limited(path)
                    self.assertEqual(done.returncode, 0, done.stderr)
                    os.unlink(self.path("target.npz"))
                else:
                    self.refused(path)

    def test_torch_zips_that_lie(self):
        good, records = self.storage(4, 0, (2, 2), (2, 1), b"\0" * 16)
        self.refused(self.torch_zip("norecord.pth", good, []))
        self.refused(self.torch_zip("garbage.pth", good, records, byteorder=b"sideways"))
        self.refused(self.torch_zip("version.pth", good, records, version=b"1" + b"0" * 20))
        self.refused(self.torch_zip("cutpickle.pth", good[:-5], records))
        path = self.torch_zip("twice.pth", good, records)
        with zipfile.ZipFile(path, "a") as z:
            z.writestr("archive/data.pkl", good)
        self.refused(path)

    def test_zips_that_lie(self):
        np.savez(self.path("good.npz"), a=np.arange(4.0), b=np.arange(3))
        good = open(self.path("good.npz"), "rb").read()
        central = good.rindex(b"PK\x05\x06")
        directory = struct.unpack_from("<I", good, central + 16)[0]

        def patched(name, *changes):
            data = bytearray(good)
            for at, form, value in changes:
                struct.pack_into(form, data, at, value)
            return self.write(name, bytes(data))

        self.refused(patched("crc.npz", (directory + 16, "<I", 1), (14, "<I", 1)), word="CRC")
        self.refused(patched("crc-differs.npz", (directory + 16, "<I", 1)))
        self.refused(patched("size.npz", (directory + 24, "<I", 0x7FFFFFFF)))
        self.refused(patched("method.npz", (directory + 10, "<H", 14), (8, "<H", 14)))
        self.refused(patched("encrypted.npz", (directory + 8, "<H", 1), (6, "<H", 1)))
        self.refused(patched("offset.npz", (directory + 42, "<I", 0xFFFFFF00)))
        self.refused(patched("count.npz", (central + 8, "<H", 9), (central + 10, "<H", 9)))
        self.refused(patched("dirsize.npz", (central + 12, "<I", 0x7FFFFFFF)))
        self.refused(self.write("trailing.npz", good + b"x" * 9))
        with zipfile.ZipFile(self.path("duplicate.npz"), "w") as z:
            import warnings

            warnings.simplefilter("ignore")
            one = io.BytesIO()
            np.save(one, np.arange(3))
            z.writestr("a.npy", one.getvalue())
            z.writestr("a.npy", one.getvalue())
        self.refused(self.path("duplicate.npz"))

    def test_a_wrong_crc_of_a_compressed_member(self):
        np.savez_compressed(self.path("good.npz"), a=np.arange(64.0))
        data = bytearray(open(self.path("good.npz"), "rb").read())
        directory = struct.unpack_from("<I", data, data.rindex(b"PK\x05\x06") + 16)[0]
        for at in (14, directory + 16):
            struct.pack_into("<I", data, at, 1)
        self.refused(self.write("crc.npz", bytes(data)), word="CRC")

    def test_a_bomb_is_not_inflated(self):
        head = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            head, {"descr": "<f4", "fortran_order": False, "shape": (4,)})  # fmt: skip
        with zipfile.ZipFile(self.path("bomb.npz"), "w", zipfile.ZIP_DEFLATED) as z:
            z.writestr("a.npy", head.getvalue() + b"\0" * (300 << 20))
        self.refused(self.path("bomb.npz"))

    def test_keras_files_that_reach_out(self):
        with h5py.File(self.path("other.h5"), "w") as f:
            f["secret"] = np.arange(3.0)
        rows = {
            "external": lambda g: g.__setitem__("kernel", h5py.ExternalLink("other.h5", "/secret")),
            "soft": lambda g: g.__setitem__("kernel", h5py.SoftLink("/dense/missing")),
            "storage": lambda g: g.create_dataset("kernel", (4,), "u1", external=[("/etc/hosts", 0, 4)]),
        }
        for name, make in rows.items():
            with self.subTest(name):
                with h5py.File(self.path(f"{name}.h5"), "w") as f:
                    f.attrs["layer_names"] = np.array([b"dense"])
                    g = f.create_group("dense")
                    g.attrs["weight_names"] = np.array([b"kernel"])
                    make(g)
                self.refused(self.path(f"{name}.h5"))

    def test_a_dataset_of_nothing(self):
        with h5py.File(self.path("fill.h5"), "w") as f:
            f.attrs["layer_names"] = np.array([b"dense"])
            g = f.create_group("dense")
            g.attrs["weight_names"] = np.array([b"kernel"])
            g.create_dataset("kernel", (10**8, 10**7), "f4", chunks=(1000, 1000))
        self.refused(self.path("fill.h5"))

    def test_names_that_lie(self):
        with h5py.File(self.path("names.h5"), "w") as f:
            f.attrs["layer_names"] = np.array([b"dense"])
            g = f.create_group("dense")
            g.attrs["weight_names"] = np.array([b"kernel", b"absent"])
            g["kernel"] = np.arange(4.0)
        self.refused(self.path("names.h5"))

    def test_opaque_numpy_objects(self):
        flag = self.path("pwned")
        np.save(self.path("evil.npy"), np.array([Evil(f"touch {flag}")], dtype=object), allow_pickle=True)
        self.refused(self.path("evil.npy"))
        self.assertFalse(os.path.exists(flag))
