"""`where (a b) = (q p)` against NumPy's reshape: random axes on both sides, in groups, reversed, beside gates."""

import random

import numpy as np

from common import Case


def factors(rng, n, count):
    """Extents whose product is n."""
    out = []
    for _ in range(count - 1):
        out.append(rng.choice([i for i in range(1, n + 1) if n % i == 0]))
        n //= out[-1]
    out.append(n)
    rng.shuffle(out)
    return out


class Side:
    """A layout: `axes` in dimensions of their own or in groups, some reversed; "G" is the gates, "z" an axis of both sides."""

    def __init__(self, rng, axes, extents, labels, reversed_axes):
        self.extents, self.labels, self.reversed = extents, labels, reversed_axes
        self.order = axes + ["G"] * bool(labels) + ["z"]
        rng.shuffle(self.order)
        self.dims, rest = [], self.order
        while rest:
            count = rng.randint(1, min(3, len(rest)))
            self.dims.append(rest[:count])
            rest = rest[count:]
        self.shape = [int(np.prod([extents[a] for a in d])) for d in self.dims]

    def text(self):
        def one(a):
            return "{" + " ".join(self.labels) + "}" if a == "G" else "-" * (a in self.reversed) + a

        return "[" + " ".join(one(d[0]) if len(d) == 1 else "(" + " ".join(map(one, d)) + ")" for d in self.dims) + "]"

    def flips(self, array):
        return np.flip(array, [i for i, a in enumerate(self.order) if a in self.reversed])

    def take_apart(self, array, wanted):
        """The array with a dimension an axis, in the order `wanted`."""
        array = self.flips(array.reshape([self.extents[a] for a in self.order]))
        return array.transpose([self.order.index(a) for a in wanted])

    def put_together(self, array, have):
        return self.flips(array.transpose([have.index(a) for a in self.order])).reshape(self.shape)


class Recount(Case):
    def test_random(self):
        for seed in range(300):
            rng = random.Random(seed)
            n = rng.choice([1, 2, 4, 6, 12, 24, 30, 36, 60, 64, 72])
            left, right = (factors(rng, n, rng.randint(1, 3)) for _ in range(2))
            a, b = [f"a{i}" for i in range(len(left))], [f"b{i}" for i in range(len(right))]
            gates = list("ifco")[: rng.choice([0, 0, 2, 3])]
            extents = {**dict(zip(a, left)), **dict(zip(b, right)), "G": len(gates), "z": rng.randint(1, 3)}
            others = gates[:]
            rng.shuffle(others)
            back = {x for x in a + b if rng.random() < 0.25}
            source, target = Side(rng, a, extents, gates, back), Side(rng, b, extents, others, back | {"z"} if seed % 3 == 0 else back)
            rest = ["G"] * bool(gates) + ["z"]
            x = np.arange(np.prod(source.shape), dtype="f4").reshape(source.shape)
            y = source.take_apart(x, a + rest).reshape([n] + [extents[r] for r in rest])
            if gates:
                y = y[:, [gates.index(g) for g in others]]
            y = target.put_together(y.reshape([extents[v] for v in b + rest]), b + rest)
            given = ", ".join(f"{v}={extents[v]}" for v in (a + b)[:-1] + ["z"])
            rule = f'"s" {source.text()} -> "t" {target.text()}   where ({" ".join(a)}) = ({" ".join(b)}), {given}'
            with self.subTest(seed=seed, rule=rule):
                np.savez(self.path("s.npz"), s=x)
                self.wmap_ok("run", "-e", rule, self.path("s.npz"), "-o", self.path("t.npz"), "--force", "--no-sync")
                np.testing.assert_array_equal(np.load(self.path("t.npz"))["t"], y)
                self.wmap_ok("run", "--reverse", "-e", rule, self.path("t.npz"), "-o", self.path("b.npz"), "--force", "--no-sync")
                np.testing.assert_array_equal(np.load(self.path("b.npz"))["s"], x)
