"""The other direction, by hand: the rules of a spec that lose nothing, with their sides swapped. It reads what the first
direction wrote, and must give back the bytes that were there."""

from generate import Generator
from layout import Layout
from names import Ambiguous, Hole, Pattern
from rule import Operand, Rule
from spec import Retry, Unit


def plain(pattern):
    """Without the parameters of a template."""
    return Pattern([p.value if isinstance(p, Hole) and p.words in ("src", "dst") else p for p in pattern.parts])


def swapped(unit, r):
    def side(operands):
        out = []
        for o in operands:
            new = Operand(
                o.tag, plain(o.pattern), Layout(o.layout.dims, silent=o.layout.silent and not r.verbs), o.stack
            )
            new.raw = o.raw
            out.append(new)
        return out

    back = Rule(side(r.targets), side(r.sources), r.instances)
    back.shared, back.bound = r.shared, r.bound
    for results in r.evaluate(r.tensors, {}):
        for name, dtype, shape, raw in results:
            back.tensors[name] = dtype, shape, raw
    for o in back.sources:
        o.dtype = r.sources[0].dtype
    for o in back.sources:
        for env in [{}] if not r.bound else [i.env for i in r.instances]:
            unit.matches.append((o.pattern, env, None))
    return back


def turned(spec):
    """The spec of the other direction, or None."""
    g = Generator(spec.seed + 1)
    back = g.spec
    back.seed = spec.seed
    back.source_format, back.target_format = spec.target_format, spec.source_format
    for u in spec.units:
        if not u.rules or not all(r.bijective() and all(o.dtype not in spec.maps for o in r.sources) for r in u.rules):
            continue
        g.now = new = Unit(u.word)
        new.decls = [d for d in u.decls if d.startswith(("param ", "table "))]
        new.defines = list(u.defines)
        if u.how in ("for", "axis"):
            new.before, new.after = list(u.before), list(u.after)
        if u.over:
            continue
        new.facts, new.shared, new.for_order = u.facts, u.shared, u.for_order
        new.rules = [swapped(new, r) for r in u.rules]
        back.units.append(new)
        for r, old in zip(new.rules, u.rules):
            for results in r.evaluate(r.tensors, {}):
                for name, dtype, shape, raw in results:
                    assert (dtype, list(shape), raw) == (
                        old.tensors[name][0],
                        list(old.tensors[name][1]),
                        old.tensors[name][2],
                    ), name
    if not back.units:
        return None
    g.serial = 1000
    try:
        return g.finish()
    except (Ambiguous, Retry):
        return None
