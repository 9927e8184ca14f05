"""Rules as the generator knows them, their text, and what they write: the evaluator goes through the elements of each
operand and carries what it finds under a key (tags, axes with their indices) from the left to the right."""

import itertools

from arithmetic import Value, binary
from files import product
from layout import Axis, Rest
from solve import solve
from values import cast, constant, size_of


class Operand:
    """A place with its tag. `stack` are axes that stand in its name; `dtype` is that of its tensors in the file."""

    def __init__(self, tag, pattern, layout, stack=()):
        self.tag, self.pattern, self.layout = tag, pattern, layout
        self.stack = [h.var for h in pattern.holes() if h.var in stack]
        self.dtype = self.cast = self.policy = None
        self.bits = False  # `cast` is a `bitcast`
        self.optional = self.absent = False  # a copy that the declared target may lack, or lacks
        self.ops, self.seconds = [], []  # what is computed: operations, and (operator, another place)
        self.flows = False  # whether turned operations may lose what over- or underflowed
        self.copied = {}  # axes of `{=s}`: their numbers in the names that are read
        self.declared = ""  # `: dtype shape` of a target
        self.raw = False

    def promises(self):
        return (
            self.layout.otherwise is not None or self.copied or any(isinstance(x, Axis) and x.equal for x in self.layout.walk())
        )

    def base(self, at):
        return frozenset([(":" + self.tag, 0)] if self.tag else []) | frozenset(at.items())

    def tensors(self, inst):
        """(name, {axis in the name: index}) of one instance."""
        for name, at, _ in self.lots(inst):
            yield name, at

    def lots(self, inst):
        """The same, with the numbers of `{=s}`."""
        if not self.stack:
            yield self.pattern.write(inst.env), {}, []
            return
        for index in itertools.product(*(range(inst.n[a]) for a in self.stack)):
            at = dict(zip(self.stack, index))
            said = {a: self.copied[a][k] if a in self.copied else k for a, k in at.items()}
            axes = {a: k for a, k in at.items() if a not in self.copied}
            yield self.pattern.write({**inst.env, **said}), axes, [at[a] for a in self.copied]

    def shape(self, inst):
        return self.layout.shape(inst.n, inst.rest)

    def pieces(self):
        base = self.base({a: 0 for a in self.stack if a not in self.copied})
        return [c | base for c in self.layout.pieces()]

    def text(self, rng, said):
        words = self.pattern.text(rng, said, self.raw) + self.layout.text() + (" optional" if self.optional else "")
        for k, (op, second) in enumerate(self.seconds):
            words = (f"({words})" if k else words) + f" {op} " + second.beside(rng, said)
        for op in self.ops:
            words += " | " + op.text()
        return (f"{self.tag}: " if self.tag else "") + words + self.ending() + self.declared

    def beside(self, rng, said):
        """As one of arithmetic."""
        text = self.text(rng, said)
        return f"({text})" if self.ops else text

    def ending(self):
        if not self.cast:
            return ""
        return f" | {'bit' * self.bits}cast {self.cast}" + (f" {self.policy}" if self.policy else "")

    def casts(self):
        """Whether it has a `cast` or `bitcast`, so that none of the map counts."""
        return bool(self.cast) or any(op.to for op in self.ops)

    def converted(self, element):
        return cast(element, self.dtype, self.cast, self.policy) if self.cast and not self.bits else element

    def computes(self):
        return bool(self.ops or self.seconds)

    def computed(self, element, cell, inst, tensors):
        """What the operations make of an element, of the dtype that it has."""
        value = Value(self.dtype, element)
        for op, second in self.seconds:
            value.put(binary(op, value.number(), second.value_at(cell, inst, tensors)))
        for op in self.ops:
            if op.tag is None or (":" + op.tag, 0) in cell:
                op.change(value)
        return value.element()

    def value_at(self, cell, inst, tensors):
        """The number of a place over some of the axes of a cell."""
        ((name, at),) = self.tensors(inst)
        if name not in self.found:
            _, shape, raw = tensors[name]
            size = size_of(self.dtype)
            cells = self.layout.elements(inst.n, inst.rest, self.base(at))[1]
            self.found[name] = {}
            for k, c in enumerate(cells):
                value = Value(self.dtype, raw[k * size : k * size + size])
                for op in self.ops:
                    op.change(value)
                self.found[name][c] = value.number()
        here = self.found[name]
        axes = {a for a, _ in next(iter(here))} if here else set()
        return here[frozenset(x for x in cell if x[0] in axes)]

    def axes(self):
        """Those that are in no piece."""
        return [*self.copied, *(x.name for x in self.layout.walk() if isinstance(x, Axis) and x.equal)]


class Instance:
    """One set of loop variables, with the extents of its axes and of the run `...`."""

    def __init__(self, env, n, rest):
        self.env, self.n, self.rest = env, n, rest


class Rule:
    def __init__(self, sources, targets, instances):
        self.sources, self.targets, self.instances = sources, targets, instances
        self.where = []  # (axis, text, function from known extents and env to {axis: extent})
        self.optional = self.equal = False
        self.verbs = ""
        self.shared = set()  # axes of an `axis` around the rule
        self.bound = set()  # variables of a `for` around it
        self.tensors = {}  # of the source: name -> (dtype, shape, bytes)

    def text(self, rng):
        said = set(self.bound)
        arrow, comma = (rng.choice((" -> ", " ->\n    ", "\n  -> ")), rng.choice((", ", ",\n    ")))
        sides = [comma.join(o.text(rng, said) for o in side) for side in (self.sources, self.targets)]
        words = ("optional " if self.optional else "") + ("equal " if self.equal else "") + self.verbs + arrow.join(sides)
        if self.where:
            words += rng.choice((" where ", "   where ", "\n    where ")) + ", ".join(
                f"{a}={t}" for a, t, _ in self.where
            )
        return words

    # --- extents ---

    def equations(self, inst, shapes):
        """(factor, extent) of all dimensions whose tensors' shapes are known; `shapes` is name -> shape."""
        for o in self.sources + self.targets + [second for o in self.sources for _, second in o.seconds]:
            for name, _ in o.tensors(inst):
                shape = shapes.get(name)
                if shape is None:
                    continue
                dims, at = o.layout.dims, 0
                for d in dims:
                    if isinstance(d, Rest):
                        at += len(shape) - len(dims) + 1
                    else:
                        yield d, shape[at]
                        at += 1

    def known(self, inst, shapes, facts):
        """What follows for one instance from shapes, names, `where` and `axis`."""
        known = dict(facts)
        for o in self.sources:
            if not o.absent:
                known.update({a: inst.n[a] for a in o.stack})
        bindings = [lambda known, f=f: f(known, inst.env) for _, _, f in self.where]
        return solve(list(self.equations(inst, shapes)), known, bindings)

    def unknown(self, inst, shapes, facts):
        """Axes and paddings that don't follow, in the order in which they are written."""
        known = self.known(inst, shapes, facts)
        for o in self.sources + self.targets:
            if o.absent:
                continue
            for a in o.copied:
                if a not in known:
                    yield a
            for x in o.layout.walk():
                for name in (getattr(x, "name", None), getattr(x, "key", None)):
                    if name and name not in known and not isinstance(getattr(x, "extent", None), (int, str)):
                        yield name

    # --- the values ---

    def evaluate(self, tensors, maps):
        """The target's tensors, as (name, dtype, shape, bytes), of each instance a list. `maps` are map-wide casts."""
        own = any(o.casts() for o in self.sources)
        for o in self.sources:
            for _, second in o.seconds:
                second.found = {}
        for inst in self.instances:
            found, dtype = {}, None
            for o in self.sources:
                if o.absent:
                    continue
                dtype = o.cast or (o.dtype if own else maps.get(o.dtype, o.dtype))
                for name, at in o.tensors(inst):
                    _, shape, raw = tensors[name]
                    size = size_of(o.dtype)
                    mine, cells = o.layout.elements(inst.n, inst.rest, o.base(at))
                    assert mine == list(shape), (name, mine, shape)
                    for k, cell in enumerate(cells):
                        if cell is not None:
                            assert cell not in found or self.equal or o.promises(), (name, cell)
                            element = raw[k * size : k * size + size]
                            element = o.computed(element, cell, inst, tensors) if o.computes() else element
                            if o.cast:
                                element = o.converted(element)
                            elif dtype != o.dtype:
                                element = cast(element, o.dtype, dtype)
                            assert found.setdefault(cell, element) == element, (name, cell)
            used, out = set(), []
            for o in self.targets:
                if o.absent:
                    continue
                fill = None if o.layout.otherwise is None else constant(dtype, o.layout.otherwise)
                for name, at in o.tensors(inst):
                    shape, cells = o.layout.elements(inst.n, inst.rest, o.base(at))
                    used.update(cells)
                    out.append((name, dtype, shape, b"".join(fill if c is None else found[c] for c in cells)))
            assert used - {None} == set(found), "a piece of the source goes nowhere"
            yield out

    def first_names(self, place):
        """For the order of instances: those of the first operand with all loop variables, by their place in the file;
        None if there is no such operand."""
        loops = set().union(*(set(i.env) for i in self.instances))
        for o in self.sources:
            if loops <= o.pattern.vars() and not o.optional:
                return [min(place[name] for name, _ in o.tensors(i)) for i in self.instances]
        return None

    def bijective(self):
        """Whether the rule can be turned: all elements of both sides, each once, and names that can be read."""
        loops = set().union(*(set(i.env) for i in self.instances))
        for o in self.sources + self.targets:
            if o.cast or o.computes() or o.optional or o.promises() or self.equal or o.layout.otherwise is not None or o.pattern.vars() != loops | set(o.stack):
                return False
            if any(h.kind in ("expr", "wild") for h in o.pattern.holes()):
                return False
            for i in self.instances:
                if any(i.n[a] == 0 for a in o.stack):
                    return False
                size = product(o.shape(i))
                cells = o.layout.elements(i.n, i.rest, o.base({}))[1]
                if len(set(cells)) != size or None in cells:
                    return False
        keys = [p for o in self.targets for p in o.pieces()]
        return len(set(keys)) == len(keys)
