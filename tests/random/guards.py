"""What a rule promises of its source (docs/language.md, sections 4 to 6, 8): `else`, `=a`, `{=s}`, `equal` copies, `drop if
all`. A mixin of generate.Generator puts them into rules; `broken` says what a run must find in files that break one."""

from layout import Axis, Group, Rest
from names import Hole
from spec import Retry
from values import Overflow, constant, decode, elements, is_nan, kind_of, size_of


class Guards:
    def promise(self, b, r, pieces, rest, vars_, readable, extra):
        """Copies, equal slices and equal tensors in a rule that has none yet."""
        if self.chance(0.12):
            self.copies(b, r, pieces, rest, vars_, readable, extra)
        for side in (r.sources, r.targets):
            for o in side:
                if self.chance(0.07):
                    self.slices(b, o)
                if self.chance(0.07):
                    self.tensors(o, side is r.sources)

    def copies(self, b, r, pieces, rest, vars_, readable, extra):
        r.equal = True
        for _ in range(self.pick(1, 1, 1, 2, 3)):
            some = self.rng.sample(pieces, self.rng.randint(1, len(pieces)))
            o = self.operand(b, some, rest, vars_, readable, extra)
            if self.chance(0.4):
                o.optional = True
                o.absent = self.chance(0.5)
            r.sources.insert(self.rng.randint(0, len(r.sources)), o)

    def slices(self, b, o):
        """`=a`, once or along several axes, alone or in a group."""
        for _ in range(self.pick(1, 1, 2)):
            if not b.axes or all(isinstance(d, Rest) for d in o.layout.dims):
                return
            axis = Axis(b.axes.pop(), equal=True)
            at = self.rng.randint(0, len(o.layout.dims))
            if at < len(o.layout.dims) and not isinstance(o.layout.dims[at], Rest) and self.chance(0.5):
                kids = [o.layout.dims[at]]
                kids.insert(self.rng.randint(0, 1), axis)
                o.layout.dims[at] = Group(kids)
            else:
                o.layout.dims.insert(at, axis)

    def tensors(self, o, read):
        """`{=s}`; what is read may have any numbers."""
        self.serial += 1
        axis = f"s{self.serial}"
        form = self.pick(None, None, "02", "a", "_")
        at = self.rng.choice([k for k, p in enumerate(o.pattern.parts) if isinstance(p, str)])
        part = o.pattern.parts[at]
        cut = self.rng.randint(1, len(part))
        o.pattern.parts[at : at + 1] = [
            x for x in (part[:cut] + ".", Hole("int", axis, form=form, equal=True), "." + part[cut:]) if x
        ]
        o.stack = [h.var for h in o.pattern.holes() if h.var in [*o.stack, axis]]
        o.copied[axis] = sorted(self.rng.sample(range(20), 5)) if read and self.chance(0.6) else list(range(5))

    def keep_promises(self, i, known, equal, raw, o, at):
        """The bytes of a tensor as the rule wants them: those of its copies where there are some."""
        key = id(o), o.base(at)
        if key in equal:
            return equal[key]
        size = size_of(o.dtype)
        cells = o.layout.elements(i.n, i.rest, o.base(at))[1]
        out = []
        for k, cell in enumerate(cells):
            element = raw[k * size : k * size + size]
            if cell is None:
                element = element if o.layout.otherwise is None else constant(o.dtype, o.layout.otherwise)
            else:
                element = known.setdefault(cell, element)
            out.append(element)
        equal[key] = b"".join(out)
        return equal[key]

    @staticmethod
    def learn(i, known, equal, raw, o, at):
        """A tensor that is there: what it holds under each key."""
        if equal.setdefault((id(o), o.base(at)), raw) != raw:
            raise Retry("equal to two tensors")
        size = size_of(o.dtype)
        for k, cell in enumerate(o.layout.elements(i.n, i.rest, o.base(at))[1]):
            element = raw[k * size : k * size + size]
            if cell is not None and known.setdefault(cell, element) != element:
                raise Retry("copies of several tensors")


# --- files that break a promise ---


def numbers_differ(dtype, a, b):
    """As numbers: -0 is 0, NaN is NaN."""
    if kind_of(dtype) != "float":
        return a != b
    x, y = decode(dtype, a), decode(dtype, b)
    if isinstance(x, str) or isinstance(y, str):
        return x != y
    return not (x[1] == y[1] == 0) and a != b


class Found:
    """What is wrong with each tensor: {(id, name): [elements]}, one list for each comparison."""

    def __init__(self):
        self.wrong, self.shapes = {}, {}

    def add(self, ident, name, shape, indices):
        if indices:
            self.shapes[name] = shape
            self.wrong.setdefault((ident, name), []).append(sorted(indices))

    def reports(self):
        """(id, name, count, index) that a run may give: any comparisons of one tensor may be counted together, those that
        stand one behind the other in the plan."""
        out = set()
        for (ident, name), lists in self.wrong.items():
            for first, some in enumerate(lists):
                counts = {len(some)}
                for k, other in enumerate(lists):
                    if k != first:
                        counts |= {n + len(other) for n in counts}
                out |= {(ident, name, n, index(self.shapes[name], min(some))) for n in counts}
        return out


def index(shape, k):
    out = []
    for e in reversed(shape):
        out.append(str(k % e))
        k //= e
    return "[" + " ".join(reversed(out)) + "]"


def broken(spec):
    """What a run over these files has to find: a set of reports."""
    found, tensors = Found(), spec.tensors()
    for u in spec.units:
        for name, c in u.guarded.items():
            dtype, shape, raw = tensors[name]
            size, one = size_of(dtype), constant(dtype, c)
            some = [raw[k : k + size] for k in range(0, len(raw), size)]
            found.add("R0801", name, shape, [k for k, e in enumerate(some) if numbers_differ(dtype, e, one)])
        for r in u.rules:
            for i in r.instances:
                in_rule(r, i, tensors, found)
    return found.reports()


def in_rule(r, i, tensors, found):
    first = {}
    place = {name: k for k, name in enumerate(tensors)}
    for o in r.sources:
        if o.absent or o.computes():  # such a rule promises nothing (arithmetic.py)
            continue
        heads, size = {}, size_of(o.dtype)
        lots = sorted(o.lots(i), key=lambda t: place[t[0]])
        for name, at, _ in sorted(lots, key=lambda t: t[2] != lots[0][2]):  # of `{=s}` the first in the file
            _, shape, raw = tensors[name]
            some = [raw[k : k + size] for k in range(0, len(raw), size)]
            head = heads.setdefault(o.base(at), some)
            if head is not some:
                found.add("R0802", name, shape, [k for k, e in enumerate(some) if e != head[k]])
                continue
            cells = o.layout.elements(i.n, i.rest, o.base(at))[1]
            if o.layout.otherwise is not None:
                zero = constant(o.dtype, o.layout.otherwise)
                left = [k for k, cell in enumerate(cells) if cell is None]
                found.add("R0803", name, shape, [k for k in left if numbers_differ(o.dtype, some[k], zero)])
            used = {}
            for k in reversed(range(len(cells))):  # the first of its slices
                if cells[k] is not None:
                    used[cells[k]] = k
            slices = [k for k, cell in enumerate(cells) if cell is not None and some[k] != some[used[cell]]]
            found.add("R0802", name, shape, slices)
            copies = [k for cell, k in used.items() if o.converted(first.setdefault(cell, some[k])) != o.converted(some[k])]
            found.add("R0802", name, shape, copies)


def promising(spec):
    """(where its bytes are, name) of tensors of which something is promised."""
    for u in spec.units:
        for name in sorted(u.guarded):
            yield u.dropped, name
        for r in u.rules:
            for o in r.sources:
                if not o.absent and (r.equal or o.promises()):
                    for i in r.instances:
                        for name, _ in o.tensors(i):
                            yield r.tensors, name


def violate(spec, rng):
    """Changes a few elements of one tensor so that a promise is broken: (what to find, a function that undoes it), or None."""
    all_ = [p for p in promising(spec) if p[1] in p[0] and p[0][p[1]][2]]
    for _ in range(4 if all_ else 0):
        home, name = rng.choice(all_)
        dtype, shape, raw = home[name]
        size, new = size_of(dtype), bytearray(raw)
        for _ in range(rng.choice((1, 1, 2, 5))):
            k = rng.randrange(len(raw) // size) * size
            element = elements(dtype, 1, rng)
            if is_nan(dtype, element):  # may be another NaN after a cast
                continue
            new[k : k + size] = element
        home[name] = dtype, shape, bytes(new)
        try:
            reports = broken(spec)
        except Overflow:  # by the cast of a copy
            reports = None
        if reports:

            def undo():
                home[name] = dtype, shape, raw

            return reports, undo
        home[name] = dtype, shape, raw
    return None
