"""Theano-style lists of arrays to safetensors and PyTorch, bit by bit, and back by a spec written by hand."""

import os
import pickle

from common import LIBRARY, SPECS, Case
import numpy as np
import safetensors.numpy
import torch

SPEC = os.path.join(SPECS, "theano.wmap")
NAMES = ["conv_W", "conv_b", "fc_W", "fc_b", "out_W", "out_b"]


def bits(a):
    return (a.dtype.str, a.shape, np.ascontiguousarray(a).tobytes())


class Theano(Case):
    def setUp(self):
        super().setUp()
        random = np.random.default_rng(20)
        shapes = [(4, 3, 5, 5), (4,), (36, 9), (9,), (9, 9), (9,)]
        # All bits, NaNs with payloads and negative zeros too: a move must not touch them.
        self.arrays = [random.integers(0, 2**32, s, dtype=np.uint32).view(np.float32) for s in shapes]
        w, b, fc, fcb, out, outb = self.arrays
        self.expected = {
            "conv.weight": w[:, :, ::-1, ::-1], "conv.bias": b, "fc.weight": fc.T, "fc.bias": fcb,
            "out.weight": out.T, "out.bias": outb,
        }  # fmt: skip

    def save(self, named, compressed):
        path = self.path("in.npz")
        write = np.savez_compressed if compressed else np.savez
        if named:
            write(path, **dict(zip(NAMES, self.arrays)))
        else:
            write(path, *self.arrays)
        return path

    def compare(self, found):
        self.assertEqual(sorted(found), sorted(self.expected))
        for name, array in self.expected.items():
            self.assertEqual(bits(found[name]), bits(array), name)

    def check(self, named, compressed):
        flag = ["-D", f"named={'true' if named else 'false'}"]
        source = self.save(named, compressed)
        flat, torched, back = self.path("o.safetensors"), self.path("o.pth"), self.path("back.npz")
        self.wmap_ok("run", SPEC, source, "-o", flat, "--map", "main", *flag)
        self.compare(safetensors.numpy.load_file(flat))
        self.wmap_ok("run", SPEC, source, "-o", torched, "--map", "main", *flag)
        self.compare({k: v.numpy() for k, v in torch.load(torched, weights_only=True).items()})
        for there in (flat, torched):
            self.wmap_ok("run", SPEC, there, "-o", back, "--map", "back", "--force", *flag)
            with np.load(back) as z:
                names = NAMES if named else [f"arr_{i}" for i in range(6)]
                self.assertEqual(sorted(z.files), sorted(names))
                for name, array in zip(names, self.arrays):
                    self.assertEqual(bits(z[name]), bits(array), name)

    def test_unnamed(self):
        self.check(False, False)

    def test_named(self):
        self.check(True, False)

    def test_compressed(self):
        self.check(False, True)


def convolve(x, W, b):
    """What theano.tensor.nnet.conv2d(x, W, border_mode="valid") + b gives: a convolution, its kernel run backwards."""
    out = np.zeros((x.shape[0], W.shape[0], x.shape[2] - W.shape[2] + 1, x.shape[3] - W.shape[3] + 1))
    for i in range(W.shape[2]):
        for j in range(W.shape[3]):
            part = x[:, :, i : i + out.shape[2], j : j + out.shape[3]]
            out += np.einsum("nchw,oc->nohw", part, W[:, :, W.shape[2] - 1 - i, W.shape[3] - 1 - j])
    return out + b[:, None, None]


class Library(Case):
    """specs/theano: a small net of Theano, its arrays as scripts saved them, to PyTorch and TensorFlow 1."""

    def setUp(self):
        super().setUp()
        random = np.random.default_rng(6)
        shapes = [(6, 3, 5, 3), (6,), (6 * 4 * 6, 10), (10,)]  # convolution, then dense on its 4 by 6 outputs
        self.params = [random.normal(size=s).astype("f4") for s in shapes]
        self.x = random.normal(size=(2, 3, 8, 8)).astype("f4")
        W, b, V, c = (p.astype("f8") for p in self.params)
        self.conv = convolve(self.x.astype("f8"), W, b)
        self.out = self.conv.reshape(2, -1) @ V + c
        self.pickled = self.path("params.pkl")
        with open(self.pickled, "wb") as f:
            pickle.dump({"params": self.params}, f, 2)
        np.savez(self.path("params.npz"), *self.params)

    def near(self, found, expected):
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5)

    def spec(self, text):
        return self.write("net.wmap", "wmap 1\n" + text)

    def test_torch(self):
        spec = self.spec("""import "theano/torch"
            param n = "params."
            map main {
              use conv2d (W="{n}0", b="{n}1", dst="0")
              use dense (W="{n}2", b="{n}3", dst="2")
            }""")
        for source, prefix in ((self.pickled, "params."), (self.path("params.npz"), "arr_")):
            target = self.path("net.pth")
            self.wmap_ok("run", spec, source, "-o", target, "--force", "-D", f"n={prefix}")
            net = torch.nn.Sequential(torch.nn.Conv2d(3, 6, (5, 3)), torch.nn.Flatten(), torch.nn.Linear(144, 10))
            net.load_state_dict(torch.load(target, weights_only=True), strict=True)
            with torch.no_grad():
                self.near(net(torch.from_numpy(self.x)).numpy(), self.out)

    def test_tensorflow(self):
        import tensorflow as tf

        spec = self.spec("""import "theano/tensorflow"
            map main {
              use conv2d (W="arr_0", b="arr_1", kernel="conv/kernel", bias="conv/bias")
              use dense_flat (W="arr_2", b="arr_3", kernel="fc/kernel", bias="fc/bias", channels=6, rows=4, cols=6)
            }""")
        os.mkdir(self.path("tf"))
        prefix = self.path("tf/model.ckpt")
        self.wmap_ok("run", spec, self.path("params.npz"), "-o", prefix, "--to-format", "tensorflow")
        v1 = tf.compat.v1
        with tf.Graph().as_default(), v1.Session() as session:
            shapes = {"conv/kernel": (5, 3, 3, 6), "conv/bias": (6,), "fc/kernel": (144, 10), "fc/bias": (10,)}
            v = {n: v1.get_variable(n, s, tf.float32) for n, s in shapes.items()}
            x = tf.constant(self.x.transpose(0, 2, 3, 1))
            conv = tf.nn.conv2d(x, v["conv/kernel"], 1, "VALID") + v["conv/bias"]
            out = tf.matmul(tf.reshape(conv, (2, -1)), v["fc/kernel"]) + v["fc/bias"]
            v1.train.Saver().restore(session, prefix)
            self.near(session.run(conv).transpose(0, 3, 1, 2), self.conv)
            self.near(session.run(out), self.out)

    def test_one_layer(self):
        """A pickled {"W": ..., "b": ...} of every protocol, and a convolution's .npz."""
        import tensorflow as tf

        spec = os.path.join(LIBRARY, "theano", "layer.wmap")
        W, b = self.params[2], self.params[3]
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            with open(self.path("wb.pkl"), "wb") as f:
                pickle.dump({"W": W, "b": b}, f, protocol)
            self.wmap_ok("run", spec, "-m", "torch", "-D", "name=fc", self.path("wb.pkl"), "-o", self.path("fc.pth"), "--force")
            found = torch.load(self.path("fc.pth"), weights_only=True)
            self.assertEqual(bits(found["fc.weight"].numpy()), bits(W.T))
            self.assertEqual(bits(found["fc.bias"].numpy()), bits(b))
            os.makedirs(self.path(f"tf{protocol}"))
            prefix = self.path(f"tf{protocol}/fc.ckpt")
            self.wmap_ok("run", spec, "-m", "tensorflow", "-D", "name=fc", self.path("wb.pkl"), "-o", prefix, "--to-format", "tensorflow")
            with tf.Graph().as_default(), tf.compat.v1.Session() as session:
                v = {n: tf.compat.v1.get_variable(n, a.shape) for n, a in {"fc/kernel": W, "fc/bias": b}.items()}
                tf.compat.v1.train.Saver().restore(session, prefix)
                self.assertEqual(bits(session.run(v["fc/kernel"])), bits(W))
                self.assertEqual(bits(session.run(v["fc/bias"])), bits(b))
        np.savez(self.path("conv.npz"), W=self.params[0], b=self.params[1])
        flags = ["-m", "tensorflow", "-D", "conv=true", "-D", "name=conv1", "--to-format", "tensorflow"]
        os.mkdir(self.path("tf"))
        self.wmap_ok("run", spec, *flags, self.path("conv.npz"), "-o", self.path("tf/conv.ckpt"))
        reader = tf.train.load_checkpoint(self.path("tf/conv.ckpt"))
        kernel = self.params[0][:, :, ::-1, ::-1].transpose(2, 3, 1, 0)
        self.assertEqual(bits(reader.get_tensor("conv1/kernel")), bits(kernel))
        self.assertEqual(bits(reader.get_tensor("conv1/bias")), bits(self.params[1]))
