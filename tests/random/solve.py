"""Which extents follow from shapes (docs/language.md, section 10), to know where a spec needs a `where`."""

from layout import Axis, Blocks, Group, One, Pad


def extent(node, known):
    """The extent of a factor as (constant, {unknown: factor}); None if two unknowns are multiplied."""
    if isinstance(node, Axis):
        return (known[node.name], {}) if node.name in known else (0, {node.name: 1})
    if isinstance(node, One):
        return 1, {}
    if isinstance(node, Pad):
        if isinstance(node.extent, int):
            return node.extent, {}
        name = node.key if node.extent is None else node.extent
        return (known[name], {}) if name in known else (0, {name: 1})
    if isinstance(node, Group):
        return times(node.kids, known)
    assert isinstance(node, Blocks)
    total, slopes = 0, {}
    for b in node.blocks:
        part = extent(b, known) if isinstance(b, Pad) else times(b[1], known)
        if part is None:
            return None
        total += part[0]
        for x, k in part[1].items():
            slopes[x] = slopes.get(x, 0) + k
    return total, slopes


def times(kids, known):
    total, slopes = 1, {}
    for k in kids:
        part = extent(k, known)
        if part is None or (slopes and part[1]):
            return None
        slopes = {x: s * part[0] for x, s in slopes.items()} or {x: total * s for x, s in part[1].items()}
        total *= part[0]
    return total, slopes


class Contradiction(Exception):
    pass


def solve(equations, known, bindings):
    """Extents that follow. `equations` are (factor, extent); `bindings` are functions from what is known to
    {axis: extent}. Raises Contradiction."""
    known = dict(known)

    def learn(name, value):
        if known.setdefault(name, value) != value:
            raise Contradiction(f"{name}={known[name]} and {value}")
        return True

    open_ = list(equations)
    while True:
        before = len(known)
        for bind in bindings:
            for name, value in bind(known).items():
                learn(name, value)
        left = []
        for node, size in open_:
            e = extent(node, known)
            if e is None or e[1]:
                if e is not None and len(e[1]) == 1:
                    ((name, slope),) = e[1].items()
                    if slope:
                        if (size - e[0]) % slope or (size - e[0]) // slope < 0:
                            raise Contradiction(f"{name} is not whole")
                        learn(name, (size - e[0]) // slope)
                left.append((node, size))
            elif e[0] != size:
                raise Contradiction(f"{e[0]} is not {size}")
        open_ = left
        if len(known) == before:
            return known
