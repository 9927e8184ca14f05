"""Specs and files with one mistake, of which the generator knows that it is one: each function changes a spec in place
and returns the exit statuses that are right, or None where it finds nothing to break. A change that may be harmless (another
extent, another `where`) counts only when the equations of section 10 contradict each other."""

from files import product
from layout import Axis, Blocks, Group, One, Pad, Rest
from names import Hole, Pattern
from solve import Contradiction
from values import elements

SPEC, FIT = {1}, {3}


def parents(layout):
    """(list, index) of each factor and each block of a layout."""

    def go(some):
        for k, x in enumerate(some):
            yield some, k
            if isinstance(x, Group):
                yield from go(x.kids)
            elif isinstance(x, Blocks):
                for b, block in enumerate(x.blocks):
                    yield x.blocks, b
                    if not isinstance(block, Pad):
                        yield from go(block[1])

    yield from go(layout.dims)


def rules(spec, rng):
    """Rules with layouts that are said, over elements that are there, in a random order, each with its unit."""
    all_ = [
        (u, r)
        for u in spec.units
        for r in u.rules
        if not r.verbs
        and not r.equal
        and not any(o.axes() for o in r.sources + r.targets)
        and not any(0 in i.n.values() for i in r.instances)
    ]
    rng.shuffle(all_)
    return all_


def pieces(side):
    return {p for o in side for p in o.pieces()}


def with_side(spec, rng, change):
    """Changes a layout by `change(list, index)`, which returns what stands there then or None, so that a side has other pieces."""
    for _, r in rules(spec, rng):
        for side in rng.sample((r.sources, r.targets), 2):
            before = pieces(side)
            for o in rng.sample(side, len(side)):
                if o.layout.silent:
                    continue
                places = list(parents(o.layout))
                rng.shuffle(places)
                for some, k in places[:6]:
                    old = some[:]
                    new = change(some[k])
                    if new is None:
                        continue
                    some[k : k + 1] = new
                    if pieces(side) != before:
                        return SPEC | FIT
                    some[:] = old
    return None


def axis_dropped(spec, rng):
    return with_side(spec, rng, lambda x: [] if isinstance(x, Axis) else None)


def axis_renamed(spec, rng):
    return with_side(spec, rng, lambda x: [Axis("zzz", x.back)] if isinstance(x, Axis) else None)


def axis_added(spec, rng):
    return with_side(spec, rng, lambda x: [x, Axis("zzz")] if not isinstance(x, (tuple, Pad)) else None)


def block_dropped(spec, rng):
    return with_side(spec, rng, lambda x: [] if isinstance(x, tuple) else None)


def tag_renamed(spec, rng):
    return with_side(spec, rng, lambda x: [("zzz", x[1])] if isinstance(x, tuple) else None)


def block_twice(spec, rng):
    """The same block again: two pieces that can't be told apart."""
    for _, r in rules(spec, rng):
        for o in r.sources + r.targets:
            for x in o.layout.walk():
                if isinstance(x, Blocks) and not o.layout.silent:
                    x.blocks.append(next(b for b in x.blocks if not isinstance(b, Pad)))
                    return SPEC | FIT
    return None


def operand_tag(spec, rng):
    for _, r in rules(spec, rng):
        for side in rng.sample((r.sources, r.targets), 2):
            o = rng.choice(side)
            before = pieces(side)
            o.tag = None if o.tag else "zzz"
            if pieces(side) != before:
                return SPEC | FIT
            return None
    return None


def contradicts(spec, unit, rule, shapes):
    """Whether the equations of a rule contradict each other."""
    facts = {a: e for a, e in unit.facts.items() if a in rule.shared}
    try:
        for i in rule.instances:
            rule.known(i, shapes, facts)
    except Contradiction:
        return True
    return False


def shapes_of(spec):
    shapes = {t[0]: t[2] for t in spec.expected()[0]} if spec.target_like else {}
    shapes.update({name: t[1] for name, t in spec.tensors().items()})
    return shapes


def extent_changed(spec, rng):
    """A source tensor of another shape."""
    shapes = shapes_of(spec)
    for u, r in rules(spec, rng):
        names = sorted(r.tensors)
        rng.shuffle(names)
        for name in names[:3]:
            dtype, shape, _ = r.tensors[name]
            if not shape:
                continue
            other = list(shape)
            k = rng.randrange(len(shape))
            other[k] = rng.choice(
                [e for e in (other[k] + 1, other[k] * 2, other[k] - 1) if e >= 0 and e != other[k]] or [other[k] + 2]
            )
            if contradicts(spec, u, r, {**shapes, name: other}):
                r.tensors[name] = dtype, other, bytes(len(elements(dtype, product(other), rng)))
                return SPEC | FIT if "{tab" in spec.text() else FIT  # a table may have no such entry
    return None


def where_contradicts(spec, rng):
    shapes = shapes_of(spec)
    for u, r in rules(spec, rng):
        free = sorted(a for a in r.instances[0].n if a[0] != "_" and all(w[0] != a for w in r.where))
        if not free:
            continue
        a = rng.choice(free)
        k = r.instances[0].n[a] + rng.choice((1, 2))
        r.where.append((a, str(k), lambda known, env: {a: k}))
        if contradicts(spec, u, r, shapes):
            return FIT | SPEC
        r.where.pop()
    return None


def where_dropped(spec, rng):
    """An extent that nothing else tells."""
    shapes = shapes_of(spec)
    for u, r in rules(spec, rng):
        if not r.where or r.shared or spec.target_like or any(o.declared for o in r.targets):
            continue  # declared shapes tell extents, too
        gone = r.where.pop(rng.randrange(len(r.where)))
        if any(list(r.unknown(i, shapes, {})) for i in r.instances):
            return SPEC
        r.where.append(gone)
    return None


def rank_changed(spec, rng):
    """A `1` too many on a source."""
    for _, r in rules(spec, rng):
        for o in r.sources:
            if not o.layout.silent and not any(isinstance(d, Rest) for d in o.layout.dims):
                o.layout.dims.insert(rng.randint(0, len(o.layout.dims)), One())
                return FIT | SPEC
    return None


def said_twice(spec, rng):
    """A unit that writes, once more."""
    some = [u for u in spec.units if u.rules or u.written]
    if not some:
        return None
    u = rng.choice(some)
    text = u.body

    def twice(rng):
        return text(rng) + text(rng)

    u.body = twice
    return SPEC


def target_taken(spec, rng):
    """The target of one rule under the name of another's."""
    names = [t[0] for t in spec.expected()[0]]
    for u, r in rules(spec, rng):
        o = rng.choice(r.targets)
        mine = {n for i in r.instances for n, _ in o.tensors(i)}
        others = [n for n in names if n not in mine]
        if others and not o.absent and len(r.instances) == 1 and not o.stack and not r.bound:
            o.pattern = Pattern([rng.choice(others)])
            return SPEC | FIT
    return None


def source_missing(spec, rng):
    """A tensor that a rule needs isn't there."""
    for u, r in rules(spec, rng):
        if r.optional or u.over or len(r.instances) > 1:
            continue  # without it, there may be nothing to do
        o = rng.choice(r.sources)
        name, _ = next(o.tensors(r.instances[0]))
        if spec.target_like:  # what is wanted stays what it was
            spec.declared = spec.expected()[0]
        del r.tensors[name]
        return FIT
    return None


def source_misspelt(spec, rng):
    """A pattern that matches nothing."""
    for u, r in rules(spec, rng):
        o = rng.choice(r.sources)
        if not r.optional:
            o.pattern = Pattern(
                ["zz", *o.pattern.parts]
                if isinstance(o.pattern.parts[0], Hole)
                else ["zz" + o.pattern.parts[0], *o.pattern.parts[1:]]
            )
            if not any(o.pattern.match(n) for n in spec.tensors()):
                return FIT | SPEC
            return None
    return None


def source_left(spec, rng):
    """A tensor that nothing uses."""
    if spec.keep:
        return None
    spec.units[0].dropped["zz-left"] = ("u8", [1], b"\1")
    spec.order.append("zz-left")
    return FIT


def dtype_differs(spec, rng):
    """Parts of one target with two dtypes."""
    if spec.maps:
        return None
    for _, r in rules(spec, rng):
        if len(r.sources) < 2 or any(o.cast or any(op.to for op in o.ops) for o in r.sources):
            continue
        o = rng.choice(r.sources)
        others = {n for x in r.sources if x is not o for i in r.instances for n, _ in x.tensors(i)}
        targets = [t for t in r.targets if len(r.targets) == 1]
        if not targets:
            continue
        to = "u8" if o.dtype != "u8" else "i16"
        for i in r.instances:
            for name, _ in o.tensors(i):
                if name in others or name not in r.tensors:
                    return None
                shape = r.tensors[name][1]
                r.tensors[name] = to, shape, bytes(product(shape) * (1 if to == "u8" else 2))
        constants = o.computes() or any(word in spec.text() + (spec.library() or "") for word in ("else", "fill"))
        return SPEC | FIT if constants else FIT  # one may be none of the other dtype
    return None


def else_missing(spec, rng):
    for _, r in rules(spec, rng):
        for o in r.targets:
            if o.layout.otherwise is None or o.absent:
                continue
            if any(None in o.layout.elements(i.n, i.rest, frozenset())[1] for i in r.instances):
                o.layout.otherwise = None
                return SPEC
    return None


def variable_missing(spec, rng):
    """A target without one of the rule's variables: all instances would write it."""
    for _, r in rules(spec, rng):
        o = rng.choice(r.targets)
        vars_ = sorted(set(r.instances[0].env) - r.bound)
        if not vars_:
            continue
        v = rng.choice(vars_)
        o.pattern = Pattern(["x" if isinstance(p, Hole) and p.var == v else p for p in o.pattern.parts])
        return SPEC
    return None


def variable_unknown(spec, rng):
    for _, r in rules(spec, rng):
        o = rng.choice(r.targets)
        o.pattern = Pattern([*o.pattern.parts, Hole("int", "unheard")])
        return SPEC
    return None


def used_is_dropped(spec, rng):
    for u, r in rules(spec, rng):
        # an optional rule without its sources would do nothing, and so be right
        name = rng.choice(sorted(r.tensors))
        line = f"drop {Pattern([name]).text(rng)}"
        u.after.append(line)
        return FIT
    return None


def brackets(text):
    """Where the brackets of the map stand, but for those in strings and comments."""
    inside, at = None, []
    k = text.index("map main")
    while k < len(text):
        c = text[k]
        if inside == "#":
            if c == "\n":
                inside = None
        elif inside:
            if c == "\\" and inside == '"':
                k += 1
            elif c == inside:
                inside = None
        elif c in "\"'#":
            inside = c
        elif c in "[](){}":
            at.append(k)
        k += 1
    return at


def bracket_lost(spec, rng):
    """A bracket less in the text."""
    text = spec.text()
    k = rng.choice(brackets(text))
    spec.text = lambda: text[:k] + text[k + 1 :]
    return SPEC


def word_lost(spec, rng):
    """The text ends too early."""
    text = spec.text()
    k = rng.randint(text.index("map main") + 3, brackets(text)[-1])
    spec.text = lambda: text[:k]
    return SPEC


def declared_lacks(spec, rng):
    """A declared target without a tensor that is written, or with another that is not."""
    if not spec.target_like or not spec.expected()[0]:
        return None
    want, ordered = spec.expected()
    absent = "optional" in spec.text() + (spec.library() or "")  # a copy that is so may be
    if rng.random() < 0.5 and len(want) > 1 and not absent:
        want = want[:-1]
    else:
        want = want + [("zz-more", "u8", [1], b"\1")]
    spec.declared = want
    return FIT | SPEC


def declared_dtype(spec, rng):
    """A declared target with another dtype."""
    if not spec.target_like or not spec.expected()[0]:
        return None
    want = list(spec.expected()[0])
    k = rng.randrange(len(want))
    name, dtype, shape, _ = want[k]
    if any(w[0] == name for u in spec.units for w in u.written):
        return None
    to = "u8" if dtype != "u8" else "i16"
    want[k] = name, to, shape, bytes(product(shape) * (1 if to == "u8" else 2))
    spec.declared = want
    return FIT


def declared_shape(spec, rng):
    if not spec.target_like or not spec.expected()[0]:
        return None
    want = list(spec.expected()[0])
    for u, r in rules(spec, rng):
        for i in r.instances:
            for o in r.targets:
                name, _ = next(o.tensors(i))
                shape = o.shape(i)
                if not shape or o.absent:
                    continue
                other = list(shape)
                other[rng.randrange(len(shape))] += 1
                if not contradicts(spec, u, r, {**shapes_of(spec), name: other}):
                    continue
                spec.declared = [
                    (
                        n,
                        d,
                        other if n == name else s,
                        bytes(product(other) * (len(raw) // product(s) if raw else 1)) if n == name else raw,
                    )
                    for n, d, s, raw in want
                ]
                if any(n == name and not raw for n, _, _, raw in want):
                    return None
                return FIT
    return None


BREAKS = [
    axis_dropped, axis_renamed, axis_added, block_dropped, tag_renamed, block_twice, operand_tag, extent_changed, where_contradicts,
    where_dropped, rank_changed, said_twice, target_taken, source_missing, source_misspelt, source_left, dtype_differs, else_missing,
    variable_missing, variable_unknown, used_is_dropped, bracket_lost, word_lost, declared_lacks, declared_dtype, declared_shape,
]  # fmt: skip


def mutate(spec, rng):
    """One of them: its name and the statuses; None where none fits."""
    for way in rng.sample(BREAKS, 8):
        statuses = way(spec, rng)
        if statuses:
            return way.__name__, statuses
    return None
