"""One seed, one spec, made of random units (units.py) over random layouts (shapes.py). What each writes is known without
reading the spec."""

import itertools
import random

from arithmetic import Arithmetic
from contents import Contents
from decoders import Decoders
from files import HOLDS, product
from guards import Guards
from layout import Pad, Rest
from names import Ambiguous, Hole, Pattern
from rule import Instance, Operand, Rule
from shapes import Builder
from solve import Contradiction
from spec import LONG, SECOND, SHORT, Retry, Spec
from units import Units
from values import elements

KEYWORDS = set(
    "wmap import as param table axis model map from to then for in if else where optional drop fill keep rest use cast error forward "
    "reverse rename permute flip split merge test of given expect tolerance all like has and or not true false equal derive with "
    "without layer dialect architecture block buffer fold".split()
)
WORDS = ["conv", "bn", "kernel", "weight", "bias", "attn", "mlp", "fc", "emb", "head", "norm", "gate", "up", "rnn"]
INT_VARS = ["l", "b", "j", "s", "blk", "L", "t1"]
TEXT_VARS = ["p", "pre", "scope"]
FLOATS = ["f16", "bf16", "f32", "f64", "f8_e4m3", "f8_e5m2"]


class Generator(Units, Guards, Arithmetic, Contents, Decoders):
    """`alone`: a spec that needs no file beside it, neither its source nor an import."""

    def __init__(self, seed, alone=False):
        self.alone = alone
        self.rng = random.Random(seed)
        self.own = random.Random(seed + 0.5)  # of arithmetic.py
        self.spec = Spec(seed)
        self.serial = 0
        self.values = {}  # params
        self.now = None  # the unit that is made
        self.tables = []

    def chance(self, p):
        return self.rng.random() < p

    def pick(self, *all_):
        return self.rng.choice(all_)

    def word(self):
        self.serial += 1
        return f"{self.rng.choice(WORDS)}{self.serial}"

    # --- declarations ---

    def param(self, value):
        """A parameter with this value."""
        self.serial += 1
        name = f"P{self.serial}"
        said = value
        if self.chance(0.2) and not self.alone and not (self.now.imported and not self.spec.qualified):
            said = value + ("x" if isinstance(value, str) else 1)
            self.now.defines.append(f"{name}={value}")
        text = f'"{said}"' if isinstance(said, str) else str(said)
        self.now.decls.append(f"param {name} = {text}")
        return name

    def table(self, entries):
        self.serial += 1
        name = f"tab{self.serial}"
        words = ", ".join(f'"{e}"' if isinstance(e, str) else str(e) for e in entries)
        self.now.decls.append(f"table {name} = [{words}]")
        return name

    # --- names ---

    def hole(self, var, values, readable=True, name=None):
        """A hole for an integer that takes these values."""
        top, word = max(values), name or var
        while True:
            kind = self.pick(
                "plain", "plain", "plain", "plus", "twice", "minus", "width", "letter", "again", "table", "table"
            )
            if kind == "plain":
                return Hole("int", word)
            if kind == "plus":
                low = min(values)
                return Hole("int", word, b=self.pick(1, 1, 2, 7, -low if low else 3), form=self.pick(None, None, "02"))
            if kind == "twice":
                return Hole("int", word, a=self.pick(2, 3), b=self.pick(0, 1, 2))
            if kind == "minus":
                return Hole("int", word, a=-1, b=top + self.pick(0, 0, 1, 9))
            if kind == "width":
                return Hole("int", word, form=self.pick("02", "03", "01", "010"))
            if kind == "letter" and top < 20:
                return Hole("int", word, form=self.pick("a", "A"), b=self.pick(0, 0, 1, 5))
            if kind == "again":
                return Hole("int", word, form="_", b=self.pick(0, 0, 1))
            if kind == "table" and top < 12:
                off = self.pick(0, 0, 1)
                many = top + 1 + off + self.rng.randint(0, 2)
                if self.chance(0.5):
                    entries = self.rng.sample(
                        [
                            "a",
                            "ab",
                            "b",
                            "q_proj",
                            "k_proj",
                            "one",
                            "x.y",
                            "B",
                            "",
                            "kv",
                            "zz",
                            "m/n",
                            "c",
                            "d",
                            "e",
                            "f",
                        ],
                        many,
                    )
                else:
                    entries = self.rng.sample(range(30), many)
                return Hole("table", word, b=off, table=self.table(entries), entries=entries)

    def literal(self):
        if self.chance(0.05):
            return self.pick("é", "a b", ":0", "{x}", 'q"t', "#1", "日", "$", "it's")
        return self.pick("x", "layer", "blk_", "w", "m", "unit", "res")

    def pattern(self, vars_, stack, readable, extra=()):
        """A name with holes for variables (name, values) and for axes, and a word that no other name has."""
        comps = [[self.word()], *([e] for e in extra)]
        for name, values in vars_:
            if isinstance(values[0], str):
                form = "*" if all("/" not in v and "." not in v for v in values) else "**"
                hole = Hole("text", name, form=form)
                comps.append([hole] if self.chance(0.7) else [self.pick("at-", "s"), hole])
            elif not readable and self.chance(0.3):
                k = self.pick(2, 3)
                off = self.pick(0, 1)
                plus = f"({name}+{off})" if off else name
                comps.append(
                    [
                        self.literal(),
                        Hole("expr", name, words=f"{plus}//{k}", value=lambda e, n=name, k=k, o=off: (e[n] + o) // k),
                    ]
                )
                comps.append(
                    [Hole("expr", name, words=f"{plus} % {k}", value=lambda e, n=name, k=k, o=off: (e[n] + o) % k)]
                )
            else:
                hole = self.hole(name, values)
                comps.append([self.literal(), hole] if self.chance(0.6) else [hole])
        for a in stack:
            hole = self.hole(a, range(5))
            comps.append([self.literal(), hole] if self.chance(0.6) else [hole])
        if self.chance(0.3):
            comps.append([self.literal()])
        if self.chance(0.05):
            value = self.pick("top", "net-1")
            comps.append([Hole("const", words=self.param(value), value=value)])
        self.rng.shuffle(comps)
        sep = self.pick("/", ".", "/", ".", "_", "/x/")
        parts = []
        for k, c in enumerate(comps):
            for p in ([sep] if k else []) + c:
                if isinstance(p, str) and parts and isinstance(parts[-1], str):
                    parts[-1] += p
                else:
                    parts.append(p)
        return Pattern(parts)

    # --- operands ---

    def split(self, pieces):
        """A set of pieces to those of some operands."""
        if len(pieces) == 1 or self.chance(0.4):
            return [list(pieces)]
        left, out = list(pieces), []
        while left:
            some = [self.rng.choice(left)]
            tags = sorted(some[0][0])
            if tags and self.chance(0.8):
                tag = self.rng.choice(tags)
                some = [p for p in left if tag in p[0]]
            elif self.chance(0.4):
                some = self.rng.sample(left, self.rng.randint(1, len(left)))
            left = [p for p in left if p not in some]
            out.append(some)
        self.rng.shuffle(out)
        return out

    def operand(self, b, pieces, rest, vars_, readable, extra):
        # not `else`: before it a newline is no end of a statement
        tags = sorted(frozenset.intersection(*(t for t, _ in pieces)) - {"else"})
        tag = self.rng.choice(tags) if tags and self.chance(0.75) else None
        left = [(t - {tag}, a) for t, a in pieces]
        common = sorted(a for a in frozenset.intersection(*(a for _, a in left)) if a not in KEYWORDS)
        stack = [a for a in common if self.chance(0.08)][:2]
        left = [(t, a - set(stack)) for t, a in left]
        layout = b.layout(left, rest)
        o = Operand(tag, self.pattern(vars_, stack, readable, extra), layout, stack)
        o.raw = self.chance(0.3)
        return o

    def beside(self, o, axes, vars_):
        """A place for arithmetic with another one."""
        # of the variables those that the first name has, else nothing tells them
        mine = [(v, values) for v, values in vars_ if v in o.pattern.vars()]
        layout = Builder(self.rng).layout([(frozenset(), axes)], False)
        return Operand(None, self.pattern(mine, [], True), layout)

    def loops(self):
        """[(variable, values)] and the environments of the instances."""
        count = self.pick(0, 0, 0, 0, 1, 1, 1, 2)
        vars_ = []
        ints, texts = self.rng.sample(INT_VARS, 3), self.rng.sample(TEXT_VARS, 3)
        for _ in range(count):
            if self.chance(0.3):
                values = self.rng.sample(self.pick(SHORT, LONG), self.rng.randint(1, 3))
                vars_.append((texts.pop(), values))
            else:
                first = self.pick(0, 0, 1, 3)
                values = list(range(first, first + self.rng.randint(1, 4)))
                if self.chance(0.15):
                    values = self.rng.sample(range(13), len(values))
                vars_.append((ints.pop(), values))
        envs = [dict(zip([v for v, _ in vars_], e)) for e in itertools.product(*(v for _, v in vars_))]
        return vars_, envs

    # --- extents ---

    def extents(self, b, rule, envs, vars_, rest, fixed):
        """Extents of all axes for each instance: constants, or by the instance."""
        names = set()
        for o in rule.sources:
            for t in o.pieces():
                names.update(a for a, _ in t if a[0] not in ":.")
        for o in rule.sources + rule.targets:
            names.update(o.axes())
        names = sorted(names)
        some = {a for o in rule.sources + rule.targets for a in o.axes()}  # of equal slices there is one
        ints = [v for v, values in vars_ if not isinstance(values[0], str)]
        stacked = {a for o in rule.sources + rule.targets for a in o.stack}
        sizes = (1, 1, 2, 2, 2, 3, 3, 4, 5)
        n = {a: self.rng.choice(sizes) for a in names}
        for a in names:
            if a not in stacked and a not in some and self.chance(0.01):
                n[a] = 0
        by = {}
        one_for_all = any(set(envs[0]) - o.pattern.vars() for o in rule.sources)
        if not one_for_all:
            for a in names:
                if ints and self.chance(0.15):
                    by[a] = ("plus", self.rng.choice(ints))
                elif self.chance(0.1):
                    by[a] = ("any", None)
        n.update({a: e for a, e in fixed.items() if a in n})
        by = {a: x for a, x in by.items() if a not in fixed}
        runs = [self.rng.choice((1, 2, 2, 3)) for _ in range(self.pick(0, 1, 1, 2))] if rest else []
        top = 60 if self.chance(0.97) else 3000
        if top > 100:
            for a in names:
                if a not in stacked and a not in fixed and n[a] > 1:
                    n[a] += self.rng.randint(0, 6)

        def instance(env):
            mine = dict(n)
            for a, (how, v) in by.items():
                if how == "plus":
                    mine[a] = min(n[a], 1) + env[v] if a not in stacked else max(1, min(4, n[a] + env[v] % 2))
                else:
                    mine[a] = self.rng.choice((1, 2, 3))
            for o in rule.sources + rule.targets:
                for x in o.layout.walk():
                    if isinstance(x, Pad):
                        mine[x.key] = (
                            x.extent if isinstance(x.extent, int) else pads.setdefault(x.key, self.rng.randint(1, 3))
                        )
            run = list(runs)
            if rest and not one_for_all and self.chance(0.3):
                run = [self.rng.choice((1, 2, 3)) for _ in range(self.rng.randint(0, 2))]
            return Instance(env, mine, run)

        pads = {}
        while True:
            made = [instance(env) for env in envs]
            worst = max(product(o.shape(i)) for i in made for o in rule.sources + rule.targets)
            if worst <= top:
                return made
            big = [a for a in names if (n[a] > 1 and a not in fixed) or a in by]
            if not big:
                if worst <= 20 * top:
                    return made
                raise Retry("too large")
            a = self.rng.choice(big)
            by.pop(a, None)
            n[a] = max(1, n[a] // 2)

    def binding(self, rule, a):
        """A way to say what axis `a` is: (axis, text, function)."""
        values = {i.n[a] for i in rule.instances}
        ways = []
        if len(values) == 1:
            k = min(values)
            ways.append(lambda: (a, str(k), lambda known, env: {a: k}))
            if self.chance(0.3):
                ways = [lambda: self.formula(a, k)]
        for v in sorted(rule.instances[0].env):
            if isinstance(rule.instances[0].env[v], int):
                gaps = {i.n[a] - i.env[v] for i in rule.instances}
                if len(gaps) == 1:
                    gap = min(gaps)
                    text = f"{v}{gap:+d}" if gap else v
                    ways.append(lambda v=v, gap=gap, text=text: (a, text, lambda known, env: {a: env[v] + gap}))
                    top = max(i.env[v] for i in rule.instances)
                    if top < 12:
                        ways.append(lambda v=v, gap=gap, top=top: self.looked_up(a, v, gap, top))
        for c in sorted(x for x in rule.instances[0].n if x[0] not in "_." and x != a and x not in KEYWORDS):
            if all(c in i.n and i.n[c] == i.n[a] for i in rule.instances) and self.chance(0.5):
                ways.append(
                    lambda c=c: (
                        a,
                        c,
                        lambda known, env: {a: known[c]} if c in known else {c: known[a]} if a in known else {},
                    )
                )
            elif all(c in i.n and i.n[c] == 2 * i.n[a] for i in rule.instances) and self.chance(0.5):
                ways.append(lambda c=c: (a, f"{c}//2", lambda known, env: {a: known[c] // 2} if c in known else {}))
        if not ways:
            raise Retry("an extent that nothing tells")
        return self.rng.choice(ways)()

    def formula(self, a, k):
        p = self.param(k)
        how = self.pick(0, 1, 2, 3)
        if how == 0:
            return a, p, lambda known, env: {a: k}
        if how == 1:
            return a, f"{self.param(k * 3)}//3", lambda known, env: {a: k}
        if how == 2:
            return a, f"2*{p}-{k}", lambda known, env: {a: k}
        return a, f"min({p}, {k + 1})", lambda known, env: {a: k}

    def looked_up(self, a, v, gap, top):
        entries = [max(0, k + gap) for k in range(top + 1)]
        return a, f"{self.table(entries)}[{v}]", lambda known, env: {a: entries[env[v]]}

    def settle(self, unit, shapes):
        """Gives the rules the `where` that they need, and some that they don't."""
        while True:
            facts = dict(unit.facts)
            while True:
                before = len(facts)
                for r in unit.rules:
                    for i in r.instances:
                        known = r.known(i, shapes, {a: e for a, e in facts.items() if a in r.shared})
                        facts.update({a: e for a, e in known.items() if a in r.shared})
                if len(facts) == before:
                    break
            open_ = None
            for r in unit.rules:
                mine = {a: e for a, e in facts.items() if a in r.shared}
                for i in r.instances:
                    names = sorted(set(r.unknown(i, shapes, mine)))
                    if names:
                        open_ = r, self.rng.choice(names)
                        break
                if open_:
                    break
            if not open_:
                return
            r, name = open_
            if name[0] == "_" and name[1:].isdigit():
                for o in r.sources + r.targets:
                    for x in o.layout.walk():
                        if isinstance(x, Pad) and x.key == name:
                            x.extent = r.instances[0].n[name]
            else:
                self.bind(r, name)

    def bind(self, r, name):
        a, text, f = self.binding(r, name)
        if any(w[0] == a for w in r.where):
            raise Retry("bound twice")
        r.where.append((a, text, f))

    # --- rules ---

    def rule(self, unit, vars_, envs, fixed=None, bound=False, whole=True, extra=((), ()), readable=False):
        """A rule over random layouts. `bound`: the variables are those of a `for`."""
        b = Builder(self.rng)
        if fixed:
            b.axes = [a for a in b.axes if a not in fixed] + sorted(fixed) * 1
        rest = self.chance(0.12)
        pieces = b.pieces(self.pick(0, 0, 1, 1, 2, 2, 3))
        if len(pieces) > 24:
            raise Retry("too many pieces")
        if self.chance(0.05) and b.tags:
            tag = b.tags.pop()
            pieces = [(t | {tag}, a) for t, a in pieces]
        turned = whole and self.chance(0.6)
        left, right = self.split(pieces), self.split(pieces)
        copies = len(right)
        if not turned and self.chance(0.15):
            right = right + [
                self.rng.sample(pieces, self.rng.randint(1, len(pieces))) for _ in range(self.pick(1, 1, 2))
            ]
        wants = [vars_ for _ in left]
        if len(left) > 1 and vars_ and not turned and self.chance(0.4):
            for k in range(1, len(left)):
                if self.chance(0.5):
                    wants[k] = [v for v in vars_ if self.chance(0.5)]
        sources = [self.operand(b, p, rest, w, readable or not bound, extra[0]) for p, w in zip(left, wants)]
        targets = [self.operand(b, p, rest, vars_, turned and not bound, extra[1]) for p in right]
        if rest or not pieces[0][1]:
            for o in sources + targets:
                o.layout.silent = all(isinstance(d, Rest) for d in o.layout.dims) and bool(o.layout.dims)
        r = Rule(sources, targets, [])
        if not turned:
            self.promise(b, r, pieces, rest, vars_, readable or not bound, extra[0])
        placed = {a for o in sources + targets for a in o.layout.axes()}
        if any(a not in placed for o in sources + targets for a in o.stack if a not in o.copied):
            raise Retry("an axis in names alone")
        for o in targets[copies:]:
            if self.chance(0.4):
                o.optional = True
                o.absent = bool(self.spec.target_like) and self.chance(0.5)
        if not turned:
            self.leave_out(b, r)
        if envs and len(envs) > 1 and all(w == vars_ for w in wants) and self.chance(0.3) and not bound:
            envs = self.rng.sample(envs, self.rng.randint(1, len(envs)))
        r.instances = self.extents(b, r, envs, vars_, rest, fixed or {})
        r.shared = {a for a in fixed or {}}
        self.dtypes(r)
        self.constants(r)
        self.fill(r)
        self.compute(r, vars_)
        for o in [*r.sources, *(second for o in r.sources for _, second in o.seconds)]:
            for env in [{}] if not bound else envs:
                unit.matches.append((o.pattern, env, None))
        unit.rules.append(r)
        return r

    def leave_out(self, b, r):
        for o in r.sources:
            if self.chance(0.08) and b.pad(o.layout) and self.chance(0.5):
                o.layout.otherwise = "0"
            if self.chance(0.05) and b.diagonal(o.layout) or self.chance(0.01):
                o.layout.otherwise = "0"
        for o in r.targets:
            if self.chance(0.12) and b.pad(o.layout) or self.chance(0.06) and b.diagonal(o.layout) or self.chance(0.02):
                o.layout.otherwise = "0"

    # --- units ---

    def make(self):
        spec = self.spec
        spec.source_format = self.pick("npz", "safetensors")
        spec.target_format = self.pick("npz", "safetensors")
        theirs = HOLDS[spec.target_format]
        if self.chance(0.15):
            a = self.pick(*[d for d in FLOATS if d in HOLDS[spec.source_format]])
            spec.maps[a] = self.pick(*[d for d in FLOATS if d != a and d in theirs])
        spec.target_like = self.pick(None, None, None, "model", "like")
        spec.source_model = self.chance(0.1)
        if self.alone:
            spec.source_model, spec.target_like = True, self.pick(None, "model")
        spec.second = self.chance(0.15)
        spec.qualified = self.chance(0.5)
        spec.keep = self.chance(0.15)
        if spec.keep:
            some = [d for d in HOLDS[spec.source_format] if spec.maps.get(d, d) in theirs]
            for _ in range(self.pick(0, 1, 3)):
                dtype = self.rng.choice(some)
                shape = [self.pick(1, 2, 3) for _ in range(self.pick(0, 1, 2))]
                into = [spec.maps[dtype]] if dtype in spec.maps else []
                spec.kept[self.word()] = (dtype, shape, elements(dtype, product(shape), self.rng, into))
        for _ in range(self.pick(1, 1, 2, 2, 3, 4, 5, 6, 8)):
            while True:
                try:
                    unit = self.unit()
                    self.check_names(unit)
                    break
                except (Retry, Ambiguous):
                    continue
            spec.units.append(unit)
        return self.finish()

    def check_names(self, unit):
        for r in unit.rules:
            seen = set()
            for i in r.instances:
                for o in r.targets:
                    for name, _ in o.tensors(i):
                        if name is None or name in seen:
                            raise Retry("no name, or one twice")
                        seen.add(name)
        for t in unit.written:
            if t[0] is None:
                raise Retry("no name")

    def finish(self):
        """The order of the file, the `where`, and that the names match what they should."""
        spec = self.spec
        names = dict(spec.kept)
        for u in spec.units:
            mine = u.tensors()
            if any(n in names for n in mine):
                raise Retry("one name twice")
            names.update(mine)
        spec.order = list(names)
        self.rng.shuffle(spec.order)
        spec.order.sort(key=lambda n: n.startswith(SECOND))
        if spec.source_format == "npz" or spec.target_format == "npz":
            for n in itertools.chain(names, (t[0] for t in spec.expected()[0])):
                if n.removeprefix(SECOND).startswith("/") or ".." in n or "\\" in n:
                    raise Retry("not a zip's name")
        self.check_matches(spec, names)
        expected = spec.expected()[0]
        shapes = {n: t[1] for n, t in names.items()}
        seen = set()
        for name, _, _, _ in expected:
            if name in seen:
                raise Retry("a target twice")
            seen.add(name)
        if spec.target_like:
            shapes = [shapes, {t[0]: t[2] for t in expected}]
        else:
            shapes = [shapes, {}]
        for u in spec.units:
            self.now = u
            if u.how != "verbs":
                self.declare(u, {t[0]: t for t in expected}, shapes[1])
        for u in spec.units:
            self.now = u
            both = {**shapes[1], **shapes[0]}
            try:
                self.settle(u, both)
                for r in u.rules:
                    for a in sorted(r.instances[0].n):
                        if (
                            a[0] not in "_."
                            and self.chance(0.05)
                            and all(w[0] != a for w in r.where)
                            and a not in r.shared
                        ):
                            self.bind(r, a)
                    for i in r.instances:
                        r.known(i, both, {})
            except Contradiction as e:
                raise AssertionError(f"seed {spec.seed}: {e}") from e
        if spec.target_like:
            spec.target_order = [t[0] for t in expected]
            self.rng.shuffle(spec.target_order)
            spec.forget()
        return spec

    def declare(self, unit, expected, shapes):
        """`: dtype shape` after some targets, which makes their shapes known."""
        for r in unit.rules:
            for o in r.targets:
                if o.absent or not self.chance(0.06):
                    continue
                names = [n for i in r.instances for n, _ in o.tensors(i)]
                kinds = {(expected[n][1], tuple(expected[n][2])) for n in names}
                if len(kinds) != 1:
                    continue
                ((dtype, shape),) = kinds
                words = [
                    f"({self.param(e)})" if self.chance(0.1) else f"({e + 2} - 2)" if self.chance(0.1) else str(e)
                    for e in shape
                ]
                o.declared = f" : {dtype} [{' '.join(words)}]"
                shapes.update({n: list(shape) for n in names})

    def check_matches(self, spec, names):
        for u in spec.units:
            mine = u.tensors()
            for pattern, env, want in u.matches:
                got = set()
                for name in names:
                    found = bound(pattern, env).match(name)
                    if found is not None:
                        got.add(name)
                if want is not None and got != want or not got <= set(mine):
                    raise Retry("names match what they should not")
            for r in u.rules:
                for i in r.instances:
                    for o in [*r.sources, *(second for o in r.sources for _, second in o.seconds)]:
                        if o.absent:
                            continue
                        for name, at in o.tensors(i):
                            fixed = i.env if any(p is o.pattern and env for p, env, _ in u.matches) else {}
                            got = bound(o.pattern, fixed).match(name) or {}
                            if {k: v for k, v in got.items() if k not in o.copied} != {
                                k: v for k, v in {**i.env, **at}.items() if k in o.pattern.vars() and k not in fixed
                            }:
                                raise Retry("a name is read in another way")


def bound(pattern, env):
    """A pattern in which some variables have values."""
    if not env:
        return pattern
    return Pattern([p if isinstance(p, str) or p.var not in env else p.write(env) for p in pattern.parts])


def generate(seed, alone=False):
    for attempt in itertools.count():
        g = Generator(seed * 1009 + attempt if attempt else seed, alone)
        g.spec.seed = seed
        try:
            return g.make()
        except (Retry, Ambiguous):
            continue
