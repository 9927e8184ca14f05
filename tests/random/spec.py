"""A spec as the generator knows it: units of a few statements over tensors of their own, their text, and what they write."""

import random

from names import Pattern
from values import cast, size_of

# what string variables are
SHORT = ["enc", "dec", "x_1", "_", "w-2", "Z", ""]
LONG = ["enc/layer", "dec", "a.b/c", "x.y.z", "/q", ""]
SECOND = "s2/"  # before the names of the second file


class Retry(Exception):
    """These choices don't go together."""


class Unit:
    """Some statements: their tensors, their text, what they write. `drops` are tensors left behind."""

    def __init__(self, word):
        self.word = word
        self.how, self.template = "plain", None
        self.rules, self.decls, self.dropped = [], [], {}
        self.guarded = {}  # of those: the constant that all elements are
        self.before, self.after = [], []  # lines around the rules
        self.lines = None  # instead of the rules' text
        self.written = []  # (name, dtype, shape, bytes) without a rule
        self.matches = []  # (pattern, env of what is bound, the names it must match)
        self.over = None  # the pattern of a `for` around the rules
        self.defines = []  # values of parameters on the command line
        self.prefixed = self.imported = False
        self.facts = {}  # extents of `axis` constants
        self.shared = set()
        self.for_order = None  # the value of an instance in the order of rounds
        self.ordered = True

    def tensors(self):
        out = dict(self.dropped)
        for r in self.rules:
            out.update(r.tensors)
        return out

    def declared(self):
        """The lines outside of the map."""
        lines = list(self.decls)
        if self.template:
            inside = self.rules[0].text(random.Random(len(self.word))).replace("\n", "\n  ")
            lines.append(f"map {self.template} (src, dst) {{\n  {inside}\n}}")
        return lines

    def body(self, rng):
        lines = self.lines(rng) if self.lines else [r.text(rng) for r in self.rules]
        over = [f"for {self.over.text(rng)} {{"] if self.over else []
        return [*self.before, *over, *lines, *(["}"] if over else []), *self.after]

    def outputs(self, tensors, maps, place):
        """What is written, in order, and whether the order is told."""
        out, ordered = list(self.written), True
        for r in self.rules:
            results = list(r.evaluate(tensors, maps))
            keys = r.first_names(place)
            if keys is None:
                ordered = ordered and len(results) == 1
                keys = [0] * len(results)
            rounds = [self.for_order(i, place) if self.for_order else 0 for i in r.instances]
            for k in sorted(range(len(results)), key=lambda k: (rounds[k], keys[k])):
                out += results[k]
        return out, ordered and (self.ordered or len(out) == 1)


class Spec:
    """A spec with its files."""

    def __init__(self, seed):
        self.seed, self.units, self.maps, self.decls = seed, [], {}, []
        self.keep, self.kept = False, {}
        self.second = False  # whether there is a second file
        self.source_format = self.target_format = "safetensors"
        self.qualified = False  # an import `as`
        self.target_order = self.declared = None  # `declared`: another target than what is written
        self.target_like = None  # None, "model" or "like"
        self.source_model = False
        self.cached = None
        self.order = []  # the names of the source's tensors in file order

    def tensors(self):
        """The source's tensors in file order."""
        all_ = dict(self.kept)
        for u in self.units:
            all_.update(u.tensors())
        return {name: all_[name] for name in self.order if name in all_}

    def expected(self):
        """The target: [(name, dtype, shape, bytes)], and whether the order is told."""
        if self.cached is None:
            self.cached = self.evaluate()
        return self.cached

    def target(self):
        """The tensors of the declared target."""
        return self.expected()[0] if self.declared is None else self.declared

    def library(self):
        """The imported file; None if there is none."""
        some = [line for u in self.units if u.imported for line in u.declared()]
        return "\n".join(["wmap 1", *some]) + "\n" if some else None

    def forget(self):
        """After a change."""
        self.cached = None

    def evaluate(self):
        tensors = self.tensors()
        place = {name: k for k, name in enumerate(tensors)}
        out, ordered = [], True
        for u in self.units:
            some, told = u.outputs(tensors, self.maps, place)
            out += some
            ordered = ordered and told
        if self.keep:
            for name, (dtype, shape, raw) in tensors.items():
                if name in self.kept:
                    out.append(converted(name, dtype, shape, raw, self.maps))
        if self.target_like and self.target_order is not None:
            rank = {name: k for k, name in enumerate(self.target_order)}
            out.sort(key=lambda t: rank[t[0]])
            ordered = True
        # tensors without bytes have one offset in a safetensors file, so that it tells no order
        files_ = [tensors.values(), [t[1:] for t in out]]
        if any(sum(not t[2] for t in some) > 1 for some in files_):
            ordered = False
        return out, ordered

    def text(self):
        """The same text each time."""
        rng = random.Random(self.seed * 7 + 1)
        lines = ["wmap 1", *self.decls]
        if any(u.imported for u in self.units):
            lines.append('import "lib"' + (" as lib" if self.qualified else ""))
        for u in self.units:
            if not u.imported:
                lines += u.declared()
        ends = ""
        if self.source_model:
            lines += model("src", [(n, d, s) for n, (d, s, _) in self.tensors().items()], rng)
            ends += " from src"
        if self.target_like == "model":
            lines += model("dst", [t[:3] for t in self.target()], rng)
            ends += " to dst"
        body = [f"cast {a} -> {b}" for a, b in self.maps.items()]
        statements = [[line] for line in body] + ([["keep rest"]] if self.keep else [])
        # the place of a statement means nothing; that of the units is the order of the target
        for u in self.units:
            statements.append(u.body(rng))
        for k in range(len(body) + self.keep):
            statements.insert(rng.randint(0, len(statements) - 1), statements.pop(0))
        lines.append(f"map main{ends} {{")
        for s in statements:
            lines += ["  " + line.replace("\n", "\n  ") for line in s]
        lines.append("}")
        return self.noise("\n".join(lines) + "\n", rng)

    @staticmethod
    def noise(text, rng):
        """Comments, blank lines, a mark at the start, returns at the ends: nothing that counts."""
        if rng.random() < 0.2:
            lines = text.split("\n")
            for k in range(1, len(lines)):
                if rng.random() < 0.3:
                    lines[k] += rng.choice(("  # and", ' # "{[(', "#", "   ", "\t", "\n", "\n  # ->"))
            text = "\n".join(lines)
        if rng.random() < 0.05:
            text = text.replace("\n", "\r\n")
        return "\ufeff" + text if rng.random() < 0.05 else text


def converted(name, dtype, shape, raw, maps):
    to = maps.get(dtype, dtype)
    if to != dtype:
        size = size_of(dtype)
        raw = b"".join(cast(raw[k : k + size], dtype, to) for k in range(0, len(raw), size))
    return name, to, shape, raw


def model(word, tensors, rng):
    lines = [f"model {word} {{"]
    for name, dtype, shape in tensors:
        lines.append(f"  {Pattern([name]).text(rng, raw=rng.random() < 0.1)} : {dtype} [{' '.join(map(str, shape))}]")
    return lines + ["}"]
