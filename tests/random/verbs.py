"""Rules with verbs (docs/language.md, section 9), done on a list of dimensions in the order written."""

from layout import Axis, Blocks, Group, Layout
from rule import Instance, Operand, Rule


def flipped(node):
    if isinstance(node, Axis):
        return Axis(node.name, not node.back)
    return Blocks([(tag, [flipped(k) for k in kids]) for tag, kids in reversed(node.blocks)])


def shuffle_dims(g, dims, words):
    """Some of permute and flip."""
    for _ in range(g.pick(0, 1, 1, 2)):
        if g.chance(0.5) and dims:
            order = g.rng.sample(range(len(dims)), len(dims))
            words.append(f"permute ({' '.join(map(str, order))})")
            dims = [dims[k] for k in order]
        elif dims:
            some = g.rng.sample(range(len(dims)), g.rng.randint(1, len(dims)))
            words.append(f"flip ({' '.join(map(str, some))})")
            dims = [flipped(d) if k in some else d for k, d in enumerate(dims)]
    return dims


def verb_rule(g, unit):
    rank = g.pick(1, 1, 2, 2, 3, 4)
    axes = [f"x{k}" for k in range(rank)]
    vars_, envs = g.loops()
    words, how = [], g.pick("rename", "dims", "dims", "split", "merge")
    dims = [Axis(a) for a in axes]
    n = {a: g.pick(1, 2, 3) for a in axes}
    if how == "rename":
        words.append("rename")
        left, right = [(None, dims)], [(None, dims)]
    elif how == "dims":
        dims = shuffle_dims(g, dims, words)
        left, right = [(None, [Axis(a) for a in axes])], [(None, dims)]
    elif how == "split":
        dims = shuffle_dims(g, dims, words)
        at, parts = g.rng.randrange(rank), g.pick(2, 2, 3)
        words.append(f"split {at}")
        a, back = dims[at].name, dims[at].back
        tags = [(f"t{k}", []) for k in range(parts)]
        whole = Group([Blocks(tags[::-1] if back else tags), Axis(a, back)])
        dims[at] = Axis(a)
        dims = shuffle_dims(g, dims, words)
        left = [(None, [whole if x == a else Axis(x) for x in axes])]
        right = [(t, dims) for t, _ in tags]
    else:
        dims = shuffle_dims(g, dims, words)
        at, parts = g.rng.randrange(rank), g.pick(2, 2, 3)
        words.append(f"merge {at}")
        a, back = dims[at].name, dims[at].back
        dims[at] = Blocks([(f"t{k}", [Axis(f"{a}_{k}", back)]) for k in range(parts)])
        dims = shuffle_dims(g, dims, words)
        left = [(f"t{k}", [Axis(f"{a}_{k}" if x == a else x) for x in axes]) for k in range(parts)]
        del n[a]
        n.update({f"{a}_{k}": g.pick(1, 2, 3) for k in range(parts)})
        right = [(None, dims)]
    if not words:
        words.append("rename")
    sources = [Operand(t, g.pattern(vars_, [], True), Layout(d, silent=True)) for t, d in left]
    targets = [Operand(t, g.pattern(vars_, [], True), Layout(d, silent=True)) for t, d in right]
    r = Rule(sources, targets, [Instance(e, n, []) for e in envs])
    r.verbs = " ".join(words) + " "
    g.dtypes(r)
    g.fill(r)
    unit.matches += [(o.pattern, {}, None) for o in sources]
    unit.rules.append(r)

    def lines(rng):
        said = set()
        left, right = (
            ", ".join(
                o.pattern.text(rng, said)
                + o.ending()
                for o in side
            )
            for side in (sources, targets)
        )
        return [f"{r.verbs}{left} -> {right}"]

    unit.lines = lines
