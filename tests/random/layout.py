"""Layouts as trees: their text, and what each element of a tensor holds.

This is the evaluator's half. It knows no offsets and no strides: a dimension is the list of what stands at its
positions, a group is the product of such lists, blocks are their concatenation (docs/language.md, section 4). What stands
at a position is a set of (axis, index) and (":tag", 0), or None where no index reaches.
"""

import math

NOTHING = frozenset()


class Axis:
    """`a`, `-a`, or `=a`, whose index is no part of what stands there."""

    __slots__ = ("name", "back", "equal")

    def __init__(self, name, back=False, equal=False):
        self.name, self.back, self.equal = name, back, equal

    def text(self):
        return "-" * self.back + "=" * self.equal + self.name

    def cells(self, n, rest):
        forth = [frozenset((("=" * self.equal + self.name, i),)) for i in range(n[self.name])]
        return forth[::-1] if self.back else forth

    def count(self, n):
        return n[self.name]

    def walk(self):
        yield self


class One:
    """A dimension of one."""

    __slots__ = ()

    def text(self):
        return "1"

    def cells(self, n, rest):
        return [NOTHING]

    def count(self, n):
        return 1

    def walk(self):
        yield self


class Rest:
    """`...`: the run of dimensions whose extents an instance has in `rest`."""

    __slots__ = ()

    def text(self):
        return "..."

    def walk(self):
        yield self


class Pad:
    """`_`, `_: 3` or `_: a`: positions that no index reaches. `key` names the unknown if there is no extent."""

    __slots__ = ("extent", "key")

    def __init__(self, key, extent=None):
        self.key, self.extent = key, extent

    def text(self):
        return "_" if self.extent is None else f"_: {self.extent}"

    def count(self, n):
        if self.extent is None:
            return n[self.key]
        return n[self.extent] if isinstance(self.extent, str) else self.extent

    def cells(self, n, rest):
        return [None] * self.count(n)

    def walk(self):
        yield self


class Group:
    """`(a b c)`, the first slowest."""

    __slots__ = ("kids",)

    def __init__(self, kids):
        self.kids = kids

    def text(self):
        return "(" + " ".join(k.text() for k in self.kids) + ")"

    def cells(self, n, rest):
        return product([k.cells(n, rest) for k in self.kids], [NOTHING])

    def count(self, n):
        return math.prod(k.count(n) for k in self.kids)

    def walk(self):
        yield self
        for k in self.kids:
            yield from k.walk()


class Blocks:
    """`(p: x y | q: z | _)`: a list of (tag or None, factors) and Pads. As `{p q}` where each block is one element."""

    __slots__ = ("blocks", "labels")

    def __init__(self, blocks, labels=False):
        self.blocks, self.labels = blocks, labels

    def text(self):
        if self.labels:
            return "{" + " ".join("_" if isinstance(b, Pad) else b[0] for b in self.blocks) + "}"
        words = []
        for b in self.blocks:
            if isinstance(b, Pad):
                words.append(b.text())
            else:
                body = " ".join(k.text() for k in b[1]) or "1"
                words.append(f"{b[0]}: {body}" if b[0] else body)
        return "(" + " | ".join(words) + ")"

    def cells(self, n, rest):
        all_ = []
        for b in self.blocks:
            if isinstance(b, Pad):
                all_ += b.cells(n, rest)
            else:
                tag = frozenset(((":" + b[0], 0),)) if b[0] else NOTHING
                all_ += product([k.cells(n, rest) for k in b[1]], [tag])
        return all_

    def count(self, n):
        return sum(b.count(n) if isinstance(b, Pad) else math.prod(k.count(n) for k in b[1]) for b in self.blocks)

    def walk(self):
        yield self
        for b in self.blocks:
            if isinstance(b, Pad):
                yield b
            else:
                for k in b[1]:
                    yield from k.walk()


def product(lists, first):
    """What stands at the positions of factors one after another, the first slowest."""
    out = first
    for more in lists:
        out = [None if a is None or b is None else a | b for a in out for b in more]
    return out


def plain(cell):
    """Without the axes along which slices are equal."""
    return frozenset(x for x in cell if x[0][0] != "=")


def agree(cell):
    """Whether a union of cells has one index for each axis."""
    return len({a for a, _ in cell}) == len(cell)


class Layout:
    """The dimensions of one operand."""

    __slots__ = ("dims", "otherwise", "silent")

    def __init__(self, dims, otherwise=None, silent=False):
        self.dims, self.otherwise, self.silent = dims, otherwise, silent

    def text(self):
        text = "" if self.silent else " [" + " ".join(d.text() for d in self.dims) + "]"
        return text if self.otherwise is None else f"{text} else {self.otherwise}"

    def walk(self):
        for d in self.dims:
            yield from d.walk()

    def axes(self):
        """The names of axes, each as often as it is written; not those of paddings."""
        return [x.name for x in self.walk() if isinstance(x, Axis)]

    def lists(self, n, rest):
        out = []
        for d in self.dims:
            if isinstance(d, Rest):
                out += [[frozenset(((f"...{k}", i),)) for i in range(e)] for k, e in enumerate(rest)]
            else:
                out.append(d.cells(n, rest))
        return out

    def shape(self, n, rest):
        out = []
        for d in self.dims:
            out += rest if isinstance(d, Rest) else [d.count(n)]
        return out

    def elements(self, n, rest, base):
        """The shape, and what each element holds, in row-major order."""
        lists = self.lists(n, rest)
        out = product(lists, [base])
        names = self.axes()
        if len(set(names)) != len(names):
            out = [c if c is None or agree(c) else None for c in out]
        if any(isinstance(x, Axis) and x.equal for x in self.walk()):
            out = [c if c is None else plain(c) for c in out]
        return [len(cells) for cells in lists], out

    def pieces(self):
        """(tags, axes) of each piece, by form alone; `...` is an axis of its own."""
        everything = {a: 1 for a in self.axes()}
        for x in self.walk():
            if isinstance(x, Pad):
                everything[x.key] = 0
                if isinstance(x.extent, str):
                    everything[x.extent] = 1
        found = product(self.lists(everything, []), [NOTHING])
        return [plain(c) for c in found if c is not None]
