"""What specs mean: random layouts against an oracle that follows docs/language.md section 4 element by element, and
odd rules against NumPy."""

import itertools
import random

from common import Case
import numpy as np


class Layout:
    """A list of dimensions. A node is ("axis", name, reversed), ("one",), ("group", [node]), ("blocks", [(tag, [node])]);
    the block ("_", extent) is reached by no index, the tag "" is none. `otherwise` is the constant of `else`."""

    def __init__(self, dims, tag=None):
        self.dims, self.tag, self.otherwise = dims, tag, None

    @staticmethod
    def text_of(node):
        if node[0] == "axis":
            return ("-" if node[2] else "") + node[1]
        if node[0] == "one":
            return "1"
        if node[0] == "group":
            return "(" + " ".join(Layout.text_of(n) for n in node[1]) + ")"
        blocks = []
        for tag, nodes in node[1]:
            if tag == "_":
                blocks.append(f"_: {nodes}")
            else:
                text = " ".join(Layout.text_of(n) for n in nodes) or "1"
                blocks.append(f"{tag}: {text}" if tag else text)
        return "(" + " | ".join(blocks) + ")"

    def text(self):
        text = "[" + " ".join(self.text_of(d) for d in self.dims) + "]"
        return text if self.otherwise is None else f"{text} else {self.otherwise}"

    @staticmethod
    def elements(node, extents):
        """The extent of a node, and (tags, {axis: index}, position) of each element that it reaches."""
        if node[0] == "axis":
            n = extents[node[1]]
            return n, [(frozenset(), {node[1]: i}, n - 1 - i if node[2] else i) for i in range(n)]
        if node[0] == "one":
            return 1, [(frozenset(), {}, 0)]
        if node[0] == "group":
            size, all_ = 1, [(frozenset(), {}, 0)]
            for kid in node[1]:
                n, more = Layout.elements(kid, extents)
                all_ = [(t | u, {**i, **j}, p * n + q) for t, i, p in all_ for u, j, q in more
                        if all(i[a] == j[a] for a in i if a in j)]  # fmt: skip
                size *= n
            return size, all_
        size, all_ = 0, []
        for tag, nodes in node[1]:
            if tag == "_":
                size += nodes
                continue
            n, more = Layout.elements(("group", nodes), extents)
            all_ += [(t | {tag} if tag else t, i, size + p) for t, i, p in more]
            size += n
        return size, all_

    def expand(self, extents):
        """The shape, and {(tags, axes with indices): position}."""
        shape, all_ = [], [(frozenset([self.tag] if self.tag else []), {}, ())]
        for dim in self.dims:
            n, more = self.elements(dim, extents)
            shape.append(n)
            all_ = [(t | u, {**i, **j}, p + (q,)) for t, i, p in all_ for u, j, q in more
                    if all(i[a] == j[a] for a in i if a in j)]  # fmt: skip
        return tuple(shape), {(t, frozenset(i.items())): p for t, i, p in all_}


def pad(rng, layout, target):
    """Leaves elements out: `_` in any layout, diagonals in targets."""

    def padded(node):
        if node[0] == "group":
            return ("group", [padded(n) for n in node[1]])
        if rng.random() < 0.75:
            return ("blocks", [(t, n if t == "_" else [padded(x) for x in n]) for t, n in node[1]]) if node[0] == "blocks" else node
        blocks = node[1][:] if node[0] == "blocks" else [("", [node])]
        blocks.insert(rng.randint(0, len(blocks)), ("_", rng.randint(0, 3)))
        return ("blocks", blocks)

    def axes_of(node, found):
        if node[0] == "axis":
            found.add(node[1])
        for n in node[1] if node[0] == "group" else []:
            axes_of(n, found)
        return found

    layout.dims = [padded(d) for d in layout.dims]
    there = sorted(set().union(*[axes_of(d, set()) for d in layout.dims]))
    if target:
        for _ in range(rng.choice([0, 0, 0, 1, 2]) if there else 0):
            again = [("axis", a, rng.random() < 0.5) for a in rng.sample(there, rng.randint(1, min(2, len(there))))]
            layout.dims.insert(rng.randint(0, len(layout.dims)), ("group", again))
        layout.otherwise = rng.choice([0, -1, 7])


def random_side(rng, pieces, axes, name):
    """Operands that place all pieces ({tag: axes}): [(name, Layout)]."""
    tags = list(pieces)
    rng.shuffle(tags)
    common = [a for a in axes if all(a in s for s in pieces.values())]

    def node(a):
        return ("axis", a, rng.random() < 0.3)

    def grouped(nodes):
        dims = []
        while nodes:
            n = rng.randint(1, len(nodes))
            dims.append(nodes[0] if n == 1 else ("group", nodes[:n]))
            nodes = nodes[n:]
        for _ in range(rng.choice([0, 0, 0, 1])):
            dims.insert(rng.randint(0, len(dims)), ("one",))
        return dims

    operands, rest = [], tags
    if len(tags) > 1 and rng.random() < 0.4:  # some pieces in tensors of their own
        cut = rng.choice([len(tags), rng.randint(1, len(tags))])
        for tag in tags[:cut]:
            inner = [node(a) for a in rng.sample(sorted(pieces[tag]), len(pieces[tag]))]
            operands.append((f"{name}_{tag}", Layout(grouped(inner), tag)))
        rest = tags[cut:]
    if len(rest) == 1 and rest[0] == "":
        inner = [node(a) for a in rng.sample(sorted(pieces[""]), len(pieces[""]))]
        operands.append((f"{name}_all", Layout(grouped(inner))))
    elif rest:
        outside = [a for a in common if rng.random() < 0.6]
        blocks = []
        for tag in rest:
            inner = [a for a in pieces[tag] if a not in outside]
            blocks.append((tag, [node(a) for a in rng.sample(inner, len(inner))]))
        nodes = [node(a) for a in outside]
        nodes.insert(rng.randint(0, len(nodes)), ("blocks", blocks))
        operands.append((f"{name}_all", Layout(grouped(nodes))))
    return operands


def random_rule(rng, number, padding):
    axes = ["a", "b", "c", "d"][: rng.randint(1, 4)]
    extents = {a: rng.choice([1, 2, 3, 3, 4]) for a in axes}
    if rng.random() < 0.3:
        pieces = {"": set(axes)}
    else:
        pieces = {t: set(rng.sample(axes, rng.randint(0, len(axes)))) for t in "pqrs"[: rng.randint(2, 4)]}
        if rng.random() < 0.5:
            pieces = {t: set(axes) for t in pieces}
    used = set().union(*pieces.values())
    left, right = (random_side(rng, pieces, axes, f"{side}{number}") for side in "st")
    for side in (left, right):
        for _, layout in side:
            if padding:
                pad(rng, layout, side is right)
    return left, right, {a: extents[a] for a in axes if a in used}


def spec_of(rule):
    left, right, extents = rule

    def side(operands):
        return ", ".join(f'{l.tag + ": " if l.tag else ""}"{name}" {l.text()}' for name, l in operands)

    where = " where " + ", ".join(f"{a}={n}" for a, n in extents.items()) if extents else ""
    return f"  {side(left)} -> {side(right)}{where}\n"


class RandomLayouts(Case):
    def check(self, seed, padding, count=60):
        rng = random.Random(seed)
        rules = [random_rule(rng, i, padding) for i in range(count)]
        given, wanted, value = {}, {}, 0
        for left, right, extents in rules:
            elements = {}
            for name, layout in left:
                shape, places = layout.expand(extents)
                array = np.zeros(shape, np.int32)
                for key, at in places.items():
                    value += 1
                    array[at] = elements[key] = value
                given[name] = array
            for name, layout in right:
                shape, places = layout.expand(extents)
                array = np.full(shape, layout.otherwise or 0, np.int32)
                for key, at in places.items():
                    array[at] = elements[key]
                wanted[name] = array
        np.savez(self.path("in.npz"), **given)
        spec = self.write("spec.wmap", "wmap 1\nmap main {\n" + "".join(spec_of(r) for r in rules) + "}\n")
        self.wmap_ok("run", spec, self.path("in.npz"), "-o", self.path("out.npz"), "--force")
        with np.load(self.path("out.npz")) as out:
            self.assertEqual(sorted(out.files), sorted(wanted))
            for rule in rules:
                for name, _ in rule[1]:
                    np.testing.assert_array_equal(out[name], wanted[name], spec_of(rule))

    def test_random(self):
        for seed in range(12):
            with self.subTest(seed=seed):
                self.check(seed, padding=False)

    def test_padding(self):
        for seed in range(12):
            with self.subTest(seed=seed):
                self.check(seed, padding=True)


class Odd(Case):
    def run_rules(self, rules, given, *args):
        np.savez(self.path("in.npz"), **given)
        spec = self.write("spec.wmap", rules if rules.startswith("wmap") else "wmap 1\nmap main {\n" + rules + "\n}\n")
        self.wmap_ok("run", spec, self.path("in.npz"), "-o", self.path("out.npz"), "--force", *args)
        with np.load(self.path("out.npz")) as out:
            return {n: out[n] for n in out.files}

    def equal(self, got, want):
        self.assertEqual(sorted(got), sorted(want))
        for name, array in want.items():
            self.assertEqual(got[name].dtype, array.dtype, name)
            np.testing.assert_array_equal(got[name], array, name)

    def test_diagonal(self):
        w = np.arange(24, dtype=np.float32).reshape(4, 3, 2)
        want = np.full((2, 6, 4), -1, np.float32)
        for g in range(2):
            for i in range(2):
                for o in range(3):
                    want[:, g * 3 + o, g * 2 + i] = w[g * 2 + i, o]
        got = self.run_rules('"w" [(g i) o k] -> "k" [k (g o) (g i)] else -1 where g=2', {"w": w})
        self.equal(got, {"k": want})

    def test_diagonals_of_three(self):
        w = np.arange(1, 4, dtype=np.int16)
        want = np.zeros((3, 3, 3), np.int16)
        for i in range(3):
            want[i, i, 2 - i] = w[i]
        self.equal(self.run_rules('"w" [n] -> "v" [n n -n] else 0', {"w": w}), {"v": want})

    def test_two_diagonals(self):
        w = np.arange(6, dtype=np.int32).reshape(2, 3) + 1
        want = np.full((6, 6), 9, np.int32)
        for a in range(2):
            for b in range(3):
                want[a * 3 + b, b * 2 + a] = w[a, b]
        self.equal(self.run_rules('"w" [a b] -> "v" [(a b) (b a)] else 9', {"w": w}), {"v": want})

    def test_padding(self):
        w = np.arange(6, dtype=np.float64).reshape(2, 3)
        want = np.full((5, 4), 0.5)
        want[2:4, :3] = w[:, ::-1]
        got = self.run_rules('"w" [v d] -> "w" [(_: 2 | v | _: 1) (-d | _: 1)] else 0.5', {"w": w})
        self.equal(got, {"w": want})

    def test_padding_of_blocks(self):
        q, k = np.arange(6, dtype=np.int8).reshape(2, 3), np.arange(3, dtype=np.int8) + 50
        want = np.full((2, 5), -7, np.int8)
        want[:, :3], want[0, 3] = q, k[0]
        rules = '"k" [(x: 1 | _: 2)] -> "one" [(x: 1)]\n"q" [a b] -> "p" [a (b | _: 2)] else -7'
        want2 = np.full((2, 5), -7, np.int8)
        want2[:, :3] = q
        self.equal(self.run_rules(rules, {"q": q, "k": k}), {"one": k[:1], "p": want2})

    def test_stacks(self):
        given = {f"{l}.{e}": np.arange(2, dtype=np.int32) + 10 * l + 100 * e for l in range(2) for e in range(3)}
        stack = np.stack([np.stack([given[f"{l}.{e}"] for l in range(2)], -1) for e in range(3)])
        got = self.run_rules('"{l}.{e}" [n] -> "all" [e n l]', given)
        self.equal(got, {"all": stack})
        got = self.run_rules('"all" [-e n l] -> "{l}.{e}" [n]', got)
        self.equal(got, {f"{l}.{e}": given[f"{l}.{2 - e}"] for l in range(2) for e in range(3)})

    def test_stack_in_a_block(self):
        given = {f"e{i}": np.arange(2, dtype=np.uint8) + 10 * i for i in range(3)} | {"z": np.array([99], np.uint8)}
        got = self.run_rules('e: "e{i}" [n], z: "z" [1] -> "v" [(z: 1 | e: n i)]', given)
        want = np.concatenate([[99], np.stack([given[f"e{i}"] for i in range(3)], 1).ravel()]).astype(np.uint8)
        self.equal(got, {"v": want})

    def test_scalars(self):
        given = {"a": np.array(3, np.int64), "b": np.array([4], np.int64), "c": np.array(5, np.int64)}
        rules = '"a" [] -> "x" [1 1]\np: "b" [1], q: "c" [] -> "y" [(q: 1 | p: 1)]\nfill 7 -> "f" : i64 []'
        want = {"x": np.array([[3]]), "y": np.array([5, 4]), "f": np.array(7)}
        self.equal(self.run_rules(rules, given), want)

    def test_nothing(self):
        given = {"e": np.zeros((0, 3), np.float32), "w": np.ones((2, 3), np.float32), "s": np.zeros((3, 0, 2), np.int8)}
        rules = 'p: "e" [n d], q: "w" [m d] -> "ew" [(p: n | q: m) d]\n"s" [a b c] -> "t" [(c b) a]\n' \
            'fill 1 -> "f" : u8 [0 4]'  # fmt: skip
        want = {"ew": given["w"], "t": np.zeros((0, 3), np.int8), "f": np.zeros((0, 4), np.uint8)}
        self.equal(self.run_rules(rules, given), want)

    def test_unstack_nothing(self):
        given = {"e": np.zeros((0, 3), np.float32), "w": np.ones(2, np.float32)}
        got = self.run_rules('"e" [n d] -> "e{n}" [d]\n"w" -> "w"', given)
        self.equal(got, {"w": given["w"]})

    def test_sixty_four_dimensions(self):
        w = np.arange(2**6, dtype=np.uint16).reshape((2,) * 6 + (1,) * 58)
        names = [f"x{i}" for i in range(64)]
        rules = f'"w" [{" ".join(names)}] -> "v" [{" ".join(reversed(names))}]'
        self.equal(self.run_rules(rules, {"w": w}), {"v": w.transpose(range(63, -1, -1))})

    def test_many_blocks(self):
        w = np.arange(4096 * 2, dtype=np.int32).reshape(4096, 2)
        order = list(range(4096))
        random.Random(1).shuffle(order)
        left, right = (" ".join(f"t{i}" for i in o) for o in (range(4096), order))
        self.equal(self.run_rules(f'"w" [{{{left}}} n] -> "v" [n {{{right}}}]', {"w": w}), {"v": w[order].T})

    def test_many_pieces(self):
        dims = [[f"{c}{i}" for i in range(16)] for c in "abcd"]
        w = np.arange(65536, dtype=np.int32).reshape(16, 16, 16, 16)
        left = " ".join("{" + " ".join(d) + "}" for d in dims)
        right = " ".join("{" + " ".join(reversed(d)) + "}" for d in reversed(dims))
        want = w[::-1, ::-1, ::-1, ::-1].transpose()
        self.equal(self.run_rules(f'"w" [{left}] -> "v" [{right}]', {"w": w}), {"v": want})

    def test_where(self):
        w = np.arange(48, dtype=np.int32).reshape(24, 2)
        given = {f"w{k}": w + k for k in (2, 3)}
        got = self.run_rules('"w{k}" [(a b c) n] -> "v{k}" [n c (b a)] where a=k, b=a+1-k+1', given)
        want = {}
        for k in (2, 3):
            a, b = k, k + 1 - k + 1
            want[f"v{k}"] = given[f"w{k}"].reshape(a, b, -1, 2).transpose(3, 2, 1, 0).reshape(2, -1, a * b)
        self.equal(got, want)

    def test_names(self):
        given = {n: np.array([i], np.int32) for i, n in enumerate(
            ["d/k", "d_1/k", "d_12/k", "b007", "b1234", "Zz", "x//y", "", "é"])}  # fmt: skip
        rules = '"d{n:_}/k" -> "{n:03}"\n"b{n:03}" -> "c{n+1:_}"\n"{n:A}z" -> "z{n}"\n"x/{p:*}/y" -> "y{p}x"\n"" -> "e"\n"\\u{e9}" -> "ü"'
        want = {"000": "d/k", "001": "d_1/k", "012": "d_12/k", "c_8": "b007", "c_1235": "b1234", "z25": "Zz",
                "yx": "x//y", "e": "", "ü": "é"}  # fmt: skip
        self.equal(self.run_rules(rules, given), {n: given[o] for n, o in want.items()})

    def test_casts(self):
        w = np.array([0, 1.5, 2.5, -3.5, 65504, 1e-8], np.float32)
        got = self.run_rules('"w" [n] | cast f16 -> "h" [-n]\n"w" | cast i32 -> "i"\ncast f32 -> f64\n"w" -> "d"', {"w": w})
        self.equal(got, {"h": w.astype(np.float16)[::-1], "i": np.rint(w).astype(np.int32), "d": w.astype(np.float64)})

    def test_parameters(self):
        rules = """wmap 1
param n = 1
param x = 0.5
param on = false
param s = "a"
param l = [1, 2]
map main {
  if on { for k in l { "{s}{k}" [(a b)] -> "v{k}" [b a] where a=n } }
  fill x -> "f" : f64 [n]
  keep rest
}
"""
        given = {f"q{k}": np.arange(6, dtype=np.int32) + k for k in (3, 5)}
        got = self.run_rules(rules, given, "-D", "n=2", "-D", "x=-2e-1", "-D", "on=true", "-D", "s=q", "-D", "l=[3, 5]")
        want = {f"v{k}": given[f"q{k}"].reshape(2, 3).T for k in (3, 5)} | {"f": np.full(2, -0.2)}
        self.equal(got, want)

    def test_verbs(self):
        rng = np.random.default_rng(4)
        a = rng.integers(0, 100, (2, 3, 4), np.int32)
        given = {"a": a, "b": a + 1, "c": a[:, :1] + 2, "k": rng.integers(0, 9, (4, 6), np.int64)}
        rules = 'permute (2 0 1) flip (0) "a" -> "p"\nflip (0) merge 1 "b", "c" -> "m"\npermute (1 0) split 0 "k" -> "x", "y"\n' \
            'flip (1) split 1 "k" -> "u", "v", "w"'  # fmt: skip
        k = given["k"]
        want = {"p": a.transpose(2, 0, 1)[::-1], "m": np.concatenate([given["b"][::-1], given["c"][::-1]], 1),
                "x": k.T[:3], "y": k.T[3:]}  # fmt: skip
        want |= dict(zip("uvw", np.split(k[:, ::-1], 3, 1)))
        self.equal(self.run_rules(rules, given), want)
