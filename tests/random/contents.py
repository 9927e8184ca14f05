"""Dtypes, bytes and constants. A mixin of generate.Generator."""

from files import HOLDS, product
from spec import Retry
from values import elements, is_nan, kind_of, size_of


class Contents:
    def dtypes(self, rule):
        """Dtypes of the sources, so that the target can hold them."""
        spec = self.spec
        mine, theirs = HOLDS[spec.source_format], HOLDS[spec.target_format]
        some = [d for d in mine if spec.maps.get(d, d) in theirs]
        if self.own.random() < 0.06 and self.bitcasts(rule, mine, [d for d in theirs if d not in spec.maps]):
            return
        if self.chance(0.2):
            to = self.pick(*[d for d in theirs if kind_of(d) not in ("raw", "complex")])
            froms = [d for d in mine if kind_of(d) not in ("raw", "complex")]
            for o in rule.sources:
                o.dtype, o.cast = self.rng.choice(froms), to
                o.policy = self.pick(None, None, None, "saturate", "allow")
                if rule.equal:
                    first = rule.sources[0]
                    o.dtype, o.policy = first.dtype, first.policy
            return
        if self.chance(0.5):
            some = [d for d in some if kind_of(d) == "float"]
        dtype = self.rng.choice(some)
        for o in rule.sources:
            o.dtype = dtype

    def bitcasts(self, rule, mine, theirs):
        """The same bits under another dtype; not of bool, which has few."""
        to = self.own.choice([d for d in theirs if d != "bool"])
        froms = [d for d in mine if size_of(d) == size_of(to)]
        if not froms:
            return False
        first = self.own.choice(froms)
        for o in rule.sources:
            o.dtype, o.cast, o.bits = first if rule.equal else self.own.choice(froms), to, True
        return True

    def fill(self, rule):
        """The bytes of the sources."""
        for i in rule.instances:
            known, equal = {}, {}
            for o in [x for x in rule.sources if not x.absent]:  # tensors of other instances too
                shape = o.shape(i)
                for name, at in o.tensors(i):
                    if name in rule.tensors:
                        if rule.tensors[name][1] != shape:
                            raise Retry("shared by instances of other shapes")
                        self.learn(i, known, equal, rule.tensors[name][2], o, at)
            for o in [x for x in rule.sources if not x.absent]:
                shape = o.shape(i)
                to = o.cast if o.policy is None and not o.bits else None
                into = [to] if to else []
                if not any(x.cast for x in rule.sources) and o.dtype in self.spec.maps:
                    into = [self.spec.maps[o.dtype]]
                for name, at in o.tensors(i):
                    if name is None:
                        raise Retry("no such name")
                    if name in rule.tensors:
                        continue
                    if o.policy == "saturate" and kind_of(o.cast) != "float":
                        raw = elements(o.dtype, product(shape), self.rng, ["f64"])
                        if kind_of(o.dtype) == "float":
                            raw = self.without_nan(o.dtype, raw)
                    else:
                        raw = elements(o.dtype, product(shape), self.rng, into)
                    raw = self.keep_promises(i, known, equal, raw, o, at)
                    rule.tensors[name] = (o.dtype, shape, raw)

    @staticmethod
    def without_nan(dtype, raw):
        size = size_of(dtype)
        some = [raw[k : k + size] for k in range(0, len(raw), size)]
        return b"".join(bytes(size) if is_nan(dtype, e) else e for e in some)

    def constants(self, r):
        own = any(o.cast for o in r.sources)
        o = r.sources[0]
        dtype = o.cast or (o.dtype if own else self.spec.maps.get(o.dtype, o.dtype))
        for t in r.targets:
            if t.layout.otherwise is not None:
                t.layout.otherwise = self.constant(dtype)
        for o in r.sources:
            if o.layout.otherwise is not None:
                o.layout.otherwise = self.constant(o.dtype)

    def constant(self, dtype):
        kind = kind_of(dtype)
        if kind == "float":
            return self.pick("0", "1", "-1", "0.5", "-0.25", "1.5", "7", "0.1", "1e-3", "-0.0")
        if kind == "int":
            return self.pick("0", "1", "-1", "7", "-100", "127")
        if kind == "uint":
            return self.pick("0", "1", "7", "200")
        return self.pick("0", "1") if kind == "bool" else "0"
