"""Random layouts: a set of pieces, and layouts that have just these, built in another way for each side."""

from layout import Axis, Blocks, Group, Layout, One, Pad, Rest

AXES = [
    "o",
    "i",
    "kh",
    "kw",
    "u",
    "n",
    "m",
    "d",
    "h",
    "r",
    "in",
    "out",
    "c",
    "w",
    "x1",
    "_a",
    "map",
    "a",
    "B",
    "from",
    "g",
    "of",
]
TAGS = ["q", "k", "v", "z", "i", "f", "c", "o", "w1", "w3", "up", "else", "n", "fill", "j", "g"]


class Builder:
    """The random choices of one rule."""

    def __init__(self, rng):
        self.rng = rng
        self.axes = rng.sample(AXES, len(AXES))
        self.tags = rng.sample(TAGS, len(TAGS))
        self.pads = 0

    def chance(self, p):
        return self.rng.random() < p

    # --- pieces: (tags, axes), both frozensets ---

    def leaf(self, most=3):
        k = min(self.rng.choice((0, 1, 1, 1, 2, 2, 3)), most, len(self.axes))
        return [(frozenset(), frozenset(self.axes.pop() for _ in range(k)))]

    def union(self, depth):
        """Blocks: tagged sets that may share their axes, one perhaps without a tag."""
        count = self.rng.choice((2, 2, 2, 3, 3, 4))
        shared = self.pieces(depth - 1) if self.chance(0.55) else None
        out, bare = [], self.chance(0.2)
        for k in range(count):
            part = shared if shared and self.chance(0.8) else self.pieces(depth - 1) if depth > 0 else self.leaf(2)
            if k == 0 and bare:
                out += part
            elif self.tags:
                tag = self.tags.pop()
                out += [(t | {tag}, a) for t, a in part]
        return out or self.leaf()

    def pieces(self, depth):
        if depth <= 0 or self.chance(0.35):
            return self.leaf()
        if self.chance(0.55):
            return self.union(depth)
        left, right = self.pieces(depth - 1), self.pieces(depth - 1)
        if len(left) * len(right) > 12:
            return left
        return [(t | u, a | b) for t, a in left for u, b in right]

    # --- layouts of a set of pieces ---

    def factors(self, pieces, depth=0):
        """Factors that together have these pieces."""
        common = frozenset.intersection(*(a for _, a in pieces))
        inner = len(pieces) > 1 and self.chance(0.25)
        if inner:
            common = frozenset(a for a in sorted(common) if self.chance(0.5))
        out = [Axis(a, self.chance(0.12)) for a in sorted(common)]
        left = [(t, a - common) for t, a in pieces]
        if left != [(frozenset(), frozenset())]:
            halves = self.halves(left) if len(left) > 3 and self.chance(0.6) else None
            if halves:
                out += self.factors(halves[0], depth + 1) + self.factors(halves[1], depth + 1)
            else:
                out.append(self.blocks(left, depth))
        self.rng.shuffle(out)
        return out

    def halves(self, pieces):
        """Two sets whose product these are, over different tags and axes; None if there are none."""
        ground = sorted({(0, t) for p in pieces for t in p[0]} | {(1, a) for p in pieces for a in p[1]})
        if len(ground) > 9:
            return None
        masks = list(range(1, 2 ** (len(ground) - 1)))
        self.rng.shuffle(masks)
        for mask in masks[:80]:
            some = {g for k, g in enumerate(ground) if mask >> k & 1}
            tags, axes = {g[1] for g in some if g[0] == 0}, {g[1] for g in some if g[0] == 1}
            one = {(t & tags, a & axes) for t, a in pieces}
            two = {(t - tags, a - axes) for t, a in pieces}
            if len(one) > 1 and len(two) > 1 and len(one) * len(two) == len(pieces):
                return [self.ordered(one), self.ordered(two)]
        return None

    @staticmethod
    def ordered(pieces):
        """Sets have another order in each process: never a choice by chance."""
        return sorted(pieces, key=lambda p: (sorted(p[0]), sorted(p[1])))

    def blocks(self, pieces, depth):
        left, out = list(pieces), []
        while left:
            tags = sorted(self.rng.choice(left)[0])
            if tags:
                tag = self.rng.choice(tags)
                some = [p for p in left if tag in p[0]]
                if len(some) > 1 and self.chance(0.1):
                    some = self.rng.sample(some, self.rng.randint(1, len(some) - 1))
                body = [(t - {tag}, a) for t, a in some]
            else:
                some = body = [self.rng.choice([p for p in left if not p[0]])]
                tag = None
            left = [p for p in left if p not in some]
            kids = self.factors(body, depth + 1)
            if self.chance(0.05):
                kids.insert(self.rng.randint(0, len(kids)), One())
            out.append((tag, self.nested(kids)))
        self.rng.shuffle(out)
        if len(out) == 1 and out[0][0] is None:
            return Group(out[0][1] or [One()])
        same = all(b[0] and not b[1] for b in out)
        return Blocks(out, labels=same and self.chance(0.7))

    def nested(self, kids):
        """The same factors, perhaps with some of them in a group."""
        if len(kids) > 1 and self.chance(0.15):
            a = self.rng.randint(0, len(kids) - 2)
            b = self.rng.randint(a + 2, len(kids))
            kids = kids[:a] + [Group(kids[a:b])] + kids[b:]
        return kids

    def dims(self, factors, rest):
        """Factors to dimensions: one alone or some in a group, ones between, `...` anywhere."""
        out, left = [], list(factors)
        while left:
            k = self.rng.choice((1, 1, 1, 2, 2, 3))
            some, left = left[:k], left[k:]
            out.append(some[0] if len(some) == 1 and self.chance(0.97) else Group(self.nested(some)))
        while self.chance(0.08):
            out.insert(self.rng.randint(0, len(out)), One())
        if rest:
            out.insert(self.rng.randint(0, len(out)), Rest())
        return out

    def layout(self, pieces, rest):
        return Layout(self.dims(self.factors(self.ordered(pieces)), rest))

    # --- what a layout leaves out ---

    def pad(self, layout, numbers=False):
        """Puts `_` beside a factor somewhere. Paddings with a number when `numbers` says so."""
        homes = [x.kids for x in layout.walk() if isinstance(x, Group)]
        homes += [
            b[1]
            for x in layout.walk()
            if isinstance(x, Blocks) and not x.labels
            for b in x.blocks
            if not isinstance(b, Pad)
        ]
        homes = [h for h in homes + [layout.dims] * 2 if any(not isinstance(x, Rest) for x in h)]
        labels = [x for x in layout.walk() if isinstance(x, Blocks) and not isinstance(x.blocks[0], Pad)]
        if labels and self.chance(0.3):
            x = self.rng.choice(labels)
            pad = Pad(self.key(), 1) if x.labels else self.padding(numbers)
            x.blocks.insert(self.rng.randint(0, len(x.blocks)), pad)
            return True
        if not homes:
            return False
        home = self.rng.choice(homes)
        at = self.rng.choice([k for k, x in enumerate(home) if not isinstance(x, Rest)])
        inside = [(None, [home[at]])]
        if isinstance(home[at], Blocks) and not home[at].labels and self.chance(0.5):
            inside = home[at].blocks
        around = [self.padding(numbers) for _ in range(self.rng.choice((1, 1, 1, 2)))]
        blocks = around[:1] + inside + around[1:]
        if self.chance(0.5):
            blocks.reverse()
        home[at] = Blocks(blocks)
        return True

    def key(self):
        self.pads += 1
        return f"_{self.pads}"

    def padding(self, numbers):
        return Pad(self.key(), self.rng.choice((1, 1, 2, 3)) if numbers or self.chance(0.4) else None)

    def diagonal(self, layout):
        """Writes an axis in a second dimension: one that all pieces have, lest they become others."""
        top = [d for d in layout.dims if not isinstance(d, Rest)]
        everywhere = frozenset.intersection(*layout.pieces())
        names = sorted(a for a in set(layout.axes()) if (a, 0) in everywhere)
        if not names or not top:
            return False
        a = self.rng.choice(names)
        here = [d for d in top if any(isinstance(x, Axis) and x.name == a for x in d.walk())]
        other = [k for k, d in enumerate(layout.dims) if not isinstance(d, Rest) and d not in here]
        again = Axis(a, self.chance(0.2))
        if other and self.chance(0.7):
            k = self.rng.choice(other)
            d = layout.dims[k]
            kids = d.kids if isinstance(d, Group) else [d]
            kids = kids[:]
            kids.insert(self.rng.randint(0, len(kids)), again)
            layout.dims[k] = Group(kids)
        else:
            layout.dims.insert(self.rng.randint(0, len(layout.dims)), again)
        return True
