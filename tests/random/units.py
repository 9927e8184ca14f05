"""The kinds of units. A mixin of generate.Generator, whose random choices it uses."""

from files import HOLDS, product
from layout import Pad, Rest
from names import Hole, Pattern
from rule import Rule
from shapes import Builder
from spec import LONG, SECOND, SHORT, Retry, Unit
from values import constant, elements, kind_of
from verbs import verb_rule


class Units:
    def unit(self):
        self.now = unit = Unit(self.word())
        how = self.pick(
            "plain", "plain", "plain", "plain", "for", "for", "axis", "use", "verbs", "fill", "drop", "has", "optional", "decode"
        )
        unit.how = how
        getattr(self, "unit_" + how)(unit)
        if how != "axis" and not unit.imported and self.chance(0.1):
            self.wrap(unit)
        if self.spec.units and self.spec.second and self.chance(0.6):
            self.prefix(unit)
        return unit

    def prefix(self, unit):
        """The tensors of this unit are in the second file, whose names begin with its word."""
        unit.prefixed = True
        patterns = {
            id(p): p for p in [o.pattern for r in unit.rules for o in r.sources] + [p for p, _, _ in unit.matches]
        }
        for p in patterns.values():
            if isinstance(p.parts[0], str):
                p.parts[0] = SECOND + p.parts[0]
            else:
                p.parts.insert(0, SECOND)
        for some in [unit.dropped] + list({id(r.tensors): r.tensors for r in unit.rules}.values()):
            for name in list(some):
                some[SECOND + name] = some.pop(name)
        unit.guarded = {SECOND + n: c for n, c in unit.guarded.items()}
        unit.matches = [(p, e, w if w is None else {SECOND + n for n in w}) for p, e, w in unit.matches]

    def wrap(self, unit):
        head = self.pick("if true {", "forward {", "if not false {", "if 1 < 2 {", f"if {self.param(3)} == 3 {{")
        if head == "forward {" and any("forward" in x for x in unit.before):
            head = "if true {"
        unit.before.insert(0, head)
        unit.after.append('} else { error "not this way" }' if head[0] == "i" and self.chance(0.4) else "}")

    def unit_plain(self, unit):
        vars_, envs = self.loops()
        r = self.rule(unit, vars_, envs)
        r.optional = self.chance(0.08)
        if self.chance(0.1):
            self.again(unit, r, vars_)

    def again(self, unit, r, vars_):
        """Another rule that reads the same tensors."""
        if r.equal or any(o.promises() for o in r.sources) or any(o.axes() for o in r.targets):
            raise Retry("a promise said once")
        b = Builder(self.rng)
        pieces = [
            (frozenset(a[1:] for a, _ in p if a[0] == ":"), frozenset(a for a, _ in p if a[0] not in ":."))
            for o in r.sources
            for p in o.pieces()
        ]
        rest = any(isinstance(d, Rest) for d in r.sources[0].layout.dims)
        targets = [self.operand(b, p, rest, vars_, False, ()) for p in self.split(b.ordered(pieces))]
        if any(a in o.stack for o in r.sources for t in targets for a in t.stack):
            raise Retry("a loop variable then")
        placed = {a for o in r.sources + targets for a in o.layout.axes()}
        if any(a not in placed for o in r.sources + targets for a in o.stack):
            raise Retry("an axis in names alone")
        other = Rule(r.sources, targets, r.instances)
        other.tensors, other.optional = r.tensors, r.optional
        unit.rules.append(other)

    def unit_for(self, unit):
        """The variables are bound by a `for`."""
        vars_, envs = self.loops()
        if not vars_:
            vars_ = [("l", list(range(self.pick(0, 1, 2), 4)))]
            envs = [{"l": k} for k in vars_[0][1]]
        heads, by_name = [], self.chance(0.25)
        if by_name:
            pass
        elif len(vars_) > 1 and self.chance(0.5):
            self.rng.shuffle(envs)
            rows = ", ".join("(" + ", ".join(self.const(e[v]) for v, _ in vars_) + ")" for e in envs)
            heads.append(f"for ({', '.join(v for v, _ in vars_)}) in [{rows}] {{")
        else:
            for v, values in vars_:
                if (
                    not isinstance(values[0], str)
                    and values == list(range(values[0], values[-1] + 1))
                    and self.chance(0.7)
                ):
                    low = self.param(values[0]) if self.chance(0.2) else str(values[0])
                    heads.append(f"for {v} in {low}..{values[-1]} {{")
                else:
                    words = "[" + ", ".join(self.const(x) for x in values) + "]"
                    heads.append(f"for {v} in {self.table(values) if self.chance(0.4) else words} {{")
        r = self.rule(unit, vars_, envs, bound=True, readable=by_name)
        unit.for_order = lambda i, place: envs.index(i.env)
        if by_name:
            named = [o for o in r.sources if not o.stack and not o.absent and {v for v, _ in vars_} <= o.pattern.vars()]
            if not named:
                raise Retry("no names to loop over")
            unit.over = over = named[0].pattern
            unit.matches.append((over, {}, None))
            unit.for_order = lambda i, place: place[over.write(i.env)]
        r.bound = {v for v, _ in vars_}
        unit.before += heads
        unit.after += ["}"] * len(heads)

    @staticmethod
    def const(value):
        return f'"{value}"' if isinstance(value, str) else str(value)

    def unit_axis(self, unit):
        """Rules that share axes."""
        names = self.rng.sample(["u", "n", "h", "d", "o"], self.pick(1, 1, 2))
        fixed = {a: self.pick(1, 2, 3) for a in names}
        for _ in range(self.pick(2, 2, 3)):
            vars_, envs = self.loops()
            r = self.rule(unit, vars_, envs, fixed=fixed)
            r.shared = {a for a in fixed}
        words = []
        for a, e in fixed.items():
            if self.chance(0.5):
                unit.facts[a] = e
                words.append(f"{a} = {e}")
            else:
                words.append(a)
        unit.shared = set(fixed)
        line = "axis " + ", ".join(words)
        unit.before.append("if true {")
        (unit.before if self.chance(0.7) else unit.after).append(line)
        unit.after.append("}")

    def unit_use(self, unit):
        """A map with parameters, used once."""
        src, dst = self.word(), self.word()
        extra = ((Hole("const", words="src", value=src),), (Hole("const", words="dst", value=dst),))
        vars_, envs = self.loops()
        self.rule(unit, vars_, envs, extra=extra)
        word = f"tpl{self.serial}"
        unit.imported = not self.alone and self.chance(0.3) and (self.spec.qualified or not unit.defines)
        name = f"lib.{word}" if unit.imported and self.spec.qualified else word
        unit.lines = lambda rng: [f'use {name} (src="{src}", dst="{dst}")']
        unit.template = word

    def unit_verbs(self, unit):
        verb_rule(self, unit)

    def unit_fill(self, unit):
        """fill with a shape, or like a source tensor."""
        theirs = HOLDS[self.spec.target_format]
        if self.chance(0.5):
            dtype = self.pick(*theirs)
            shape = [self.pick(1, 2, 3) for _ in range(self.pick(0, 1, 1, 2, 3))]
            c = self.constant(dtype)
            layout, cells = "", None
            if shape and self.chance(0.4):
                b = Builder(self.rng)
                axes = [b.axes.pop() for _ in shape]
                lay = b.layout([(frozenset(), frozenset(axes))], False)
                n = {a: self.pick(1, 2, 3) for a in axes}
                if self.chance(0.6):
                    b.pad(lay, numbers=True) if self.chance(0.7) else b.diagonal(lay)
                lay.otherwise = self.constant(dtype)
                n.update({x.key: x.extent for x in lay.walk() if isinstance(x, Pad) and isinstance(x.extent, int)})
                if any(isinstance(x, Pad) and x.extent is None for x in lay.walk()):
                    raise Retry("a padding without a number")
                shape, cells = lay.elements(n, [], frozenset())
                layout = lay.text()
                where = " where " + ", ".join(f"{a}={e}" for a, e in n.items() if a[0] != "_" or not a[1:].isdigit())
            one = constant(dtype, c)
            if cells is None:
                raw = one * product(shape)
                where = ""
            else:
                zero = constant(dtype, lay.otherwise)
                raw = b"".join(zero if cell is None else one for cell in cells)
            name = self.word()
            unit.written.append((name, dtype, shape, raw))
            unit.lines = lambda rng: [f'fill {c} -> "{name}"{layout} : {dtype} [{" ".join(map(str, shape))}]{where}']
        else:
            vars_, envs = self.loops()
            r = self.rule(unit, vars_, envs, whole=False)
            o = r.sources[0]
            if o.absent or o.stack or {v for v, _ in vars_} - o.pattern.vars():
                raise Retry("like one of many")
            target = self.pattern(vars_, [], False)
            own = self.spec.maps.get(o.dtype, o.dtype)
            if own not in theirs:
                raise Retry("no such dtype there")
            c = self.constant(own)
            for i in r.instances:
                shape = o.shape(i)
                unit.written.append((target.write(i.env), own, shape, constant(own, c) * product(shape)))
            unit.ordered = False

            def lines(rng):
                said = set()
                first = f"fill {c} -> {target.text(rng, said)} like {o.pattern.text(rng, said)}"
                return [first, r.text(rng)]

            unit.lines = lines

    def unit_drop(self, unit):
        """Tensors left behind, by a pattern."""
        word = self.word()
        form = self.pick("*", "**")
        mids = self.rng.sample(SHORT if form == "*" else LONG, 2)
        for m in mids:
            dtype = self.pick(*HOLDS[self.spec.source_format])
            shape = [self.pick(1, 2, 3) for _ in range(self.pick(0, 1, 2))]
            unit.dropped[f"{word}{m}/end"] = (dtype, shape, elements(dtype, product(shape), self.rng))
        pattern = Pattern([word, Hole("wild", form=form), "/end"])
        unit.matches.append((pattern, {}, set(unit.dropped)))
        more = f', "{self.word()}"' if self.chance(0.3) else ""
        if self.chance(0.5):
            more += " if all " + self.promised(unit)
        unit.lines = lambda rng: [f"drop {pattern.text(rng)}{more}"]

    def promised(self, unit):
        """Makes the tensors that are dropped all of one constant, which every dtype of them has."""
        c = self.pick("0", "0", "1") if any(kind_of(t[0]) == "bool" for t in unit.dropped.values()) else self.pick("0", "0", "1", "7")
        if any(kind_of(t[0]) in ("raw", "complex") for t in unit.dropped.values()):
            c = "0"
        for name, (dtype, shape, _) in unit.dropped.items():
            unit.dropped[name] = dtype, shape, constant(dtype, c) * product(shape)
            unit.guarded[name] = c
        return c

    def unit_has(self, unit):
        """if has: a branch that is taken beside one that would be wrong."""
        vars_, envs = self.loops()
        r = self.rule(unit, vars_, envs)
        if r.sources[0].absent or r.sources[0].copied:
            raise Retry("asked for in vain")
        name = r.sources[0].pattern
        gone = f'"{self.word()}"'
        wrong = f'{gone} [a b] -> "{self.word()}" [b a]'

        def lines(rng):
            if asks:
                return [f"if has {name.text(rng)} {{", r.text(rng), "} else {", wrong, "}"]
            return [f"if has {gone} {{", wrong, "} else {", r.text(rng), "}"]

        asks = self.chance(0.5)
        unit.lines = lines

    def unit_optional(self, unit):
        """A rule whose sources are absent, beside one whose are there."""
        self.unit_plain(unit)
        word = self.word()
        line = self.pick(
            f'optional "{word}" [a b] -> "{word}x" [b a]',
            f'optional "{word}/{{l}}" -> "{word}x/{{l}}"',
            f'for l in 2..1 {{ "{word}" -> "{word}" }}',
        )
        unit.lines = lambda rng: [line, *(r.text(rng) for r in unit.rules)]

    # --- the spec ---
