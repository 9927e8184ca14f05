"""What is computed of elements: operations behind a place, and arithmetic with other places. In doubles, one rounding at the
end and before each cast; whole numbers without bounds, which must fit there."""

import math
import struct

from files import HOLDS
from layout import Rest
from values import DTYPES, Overflow, cast, decode, encode, is_nan, kind_of, size_of

FLOAT_OPS = ["+", "-", "*", "/", "neg", "neg", "exp", "log", "sqrt", "rsqrt", "pow"]
WHOLE_OPS = ["+", "-", "*", "neg"]
FLOAT_CONSTANTS = ["0.5", "2", "-1", "0.1", "1e-05", "3", "-0.25", "1024", "0.3333"]
WHOLE_CONSTANTS = ["1", "2", "3", "0", "-1"]
SCALES = ["2", "0.5", "-1", "-0.25", "4"]
INVERSE = {"+": "-", "-": "+", "*": "/", "/": "*", "neg": "neg"}
POWERS = ["2", "-1", "-2", "0.5", "-0.5", "3", "1.5", "-3"]


class Op:
    """`| tag: name constant`; of `cast` and `bitcast` with the dtype `to`."""

    def __init__(self, name, tag=None, constant=None, to=None, policy=None):
        self.name, self.tag, self.constant, self.to, self.policy = name, tag, constant, to, policy

    def text(self):
        words = [w for w in (self.name, self.constant, self.to, self.policy) if w]
        return (f"{self.tag}: " if self.tag else "") + " ".join(words)

    def inverse(self):
        return Op(INVERSE[self.name], self.tag, self.constant)

    def change(self, value):
        if self.name == "bitcast":
            value.stand(self.to, value.bits(), value.kept)
        elif self.name == "cast":
            value.stand(self.to, cast(value.element(), value.dtype, self.to, self.policy), False)
        else:
            value.put(self.apply(value.number()))

    def apply(self, x):
        if self.name in ("+", "-", "*", "/"):
            whole = isinstance(x, int)
            return binary(self.name, x, int(self.constant) if whole else float(self.constant))
        if self.name == "neg":
            return -x
        return FUNCTIONS[self.name](x) if self.name != "pow" else power(x, self.constant)


class Value:
    """What an element has become: bytes of a dtype, or a number that will be rounded to it."""

    def __init__(self, dtype, element):
        self.stand(dtype, element, True)

    def stand(self, dtype, element, kept):
        """`kept`: nothing was computed of it, so that a NaN still has its payload."""
        self.dtype, self.raw, self.x, self.kept = dtype, element, None, kept

    def put(self, x):
        self.raw, self.x, self.kept = None, x, False

    def number(self):
        return number(self.dtype, self.raw) if self.x is None else self.x

    def element(self):
        return self.raw if self.x is None else rounded(self.dtype, self.x)

    def bits(self):
        element = self.element()
        if not self.kept and is_nan(self.dtype, element):
            raise Overflow("a payload that nothing tells")
        return element


def divided(x, y):
    if y != 0 or math.isnan(x):
        return x / y if y != 0 else math.nan
    if x == 0:
        return math.nan
    return math.copysign(math.inf, math.copysign(1, x) * math.copysign(1, y))


def binary(op, x, y):
    if op == "/":
        return divided(x, y)
    return x + y if op == "+" else x - y if op == "-" else x * y


def root(x):
    return math.nan if x < 0 else math.sqrt(x) if x == x else x


def exponential(x):
    try:
        return math.exp(x)
    except OverflowError:
        return math.inf


def logarithm(x):
    return math.nan if x < 0 else -math.inf if x == 0 else math.log(x) if x == x else x


def power(x, c):
    known = {"2": lambda: x * x, "-1": lambda: divided(1.0, x), "-2": lambda: divided(1.0, x * x), "0.5": lambda: root(x),
             "-0.5": lambda: divided(1.0, root(x))}  # fmt: skip
    if c in known:
        return known[c]()
    odd = float(c) in (3, -3)
    if x == 0 and float(c) < 0:
        return math.copysign(math.inf, x) if odd else math.inf
    try:
        return math.pow(x, float(c))
    except OverflowError:
        return -math.inf if x < 0 and odd else math.inf
    except ValueError:
        return math.nan


FUNCTIONS = {"exp": exponential, "log": logarithm, "sqrt": root, "rsqrt": lambda x: divided(1.0, root(x))}


def number(dtype, element):
    """An element as a double or a whole number."""
    if dtype == "f64":
        return struct.unpack("<d", element)[0]
    n = decode(dtype, element)
    if isinstance(n, str):
        return float(n)
    if kind_of(dtype) != "float":
        return n[0] * n[1]
    return math.copysign(math.ldexp(n[1], n[2]), n[0])


def rounded(dtype, x):
    """The element nearest to a number; Overflow where a whole number doesn't fit."""
    if isinstance(x, int):
        return encode(dtype, (-1 if x < 0 else 1, abs(x), 0))
    if dtype == "f64":
        return struct.pack("<d", x)
    return encode(dtype, decode("f64", struct.pack("<d", x)), "allow")


def flows(o, tags, element):
    """Whether an element of a piece with these tags isn't itself again after the operations and their inverses."""
    ops = [op for op in o.ops if op.tag is None or op.tag in tags]
    value = Value(o.dtype, element)
    for op in ops:
        op.change(value)
    value.stand(o.dtype, value.element(), False)
    for op in reversed(ops):
        op.inverse().change(value)
    return value.element() != element


class Arithmetic:
    """A mixin of generate.Generator. It has random numbers of its own, so that what else a seed gives stays."""

    def compute(self, rule, vars_):
        """Gives some operands of a rule operations and other places, if what comes out fits."""
        rng = self.own
        plain = not rule.equal and not rule.verbs and not any(o.promises() or o.optional for o in rule.sources + rule.targets)
        if not plain or rng.random() > 0.3:
            return
        for o in rule.sources:
            if not o.absent and not o.bits and kind_of(o.dtype) in ("float", "int", "uint") and rng.random() < 0.7:
                self.compute_one(rule, o, vars_)

    def compute_one(self, rule, o, vars_):
        rng, floating = self.own, kind_of(o.dtype) == "float"
        own = sorted({name for i in rule.instances for name, _ in o.tensors(i)})  # in an order that the seed tells
        before = dict(rule.tensors)
        if not floating:
            for name in own:
                dtype, shape, raw = rule.tensors[name]
                size = DTYPES[dtype][0]
                small = b"".join(rounded(dtype, rng.randrange(6)) for _ in range(len(raw) // size))
                rule.tensors[name] = dtype, shape, small
        tags = sorted({tag[1:] for p in o.pieces() for tag, _ in p if tag[0] == ":"} - {"else"})
        if rng.random() < 0.4:
            self.scale(rule, o, own, tags, before)
            return
        dtype = o.dtype
        # behind a cast of one operand a cast of the map is for the others alone, and their dtypes differ; and the target holds it
        alone = len(rule.sources) == 1 and dtype in HOLDS[self.spec.target_format]
        free = dtype not in self.spec.maps or alone
        for _ in range(rng.choice((0, 1, 1, 2, 3))):
            tag = rng.choice(tags) if tags and rng.random() < 0.4 else None
            if free and rng.random() < 0.25:
                o.ops.append(self.conversion(dtype))
                dtype = o.ops[-1].to
            else:
                o.ops.append(self.operation(kind_of(dtype) == "float", tag))
        o.flows = True  # not looked at
        if dtype != o.dtype:  # what comes out has the dtype that the rule was made for
            o.ops.append(Op("cast", to=o.dtype, policy=rng.choice((None, "saturate", "allow"))))
        while rng.random() < 0.4 and len(o.seconds) < 3 and not o.stack and not any(isinstance(d, Rest) for d in o.layout.dims):
            self.second(rule, o, vars_, floating)
        try:
            for _ in rule.evaluate(rule.tensors, self.spec.maps):
                pass
        except Overflow:
            o.ops, o.seconds, rule.tensors = [], [], before

    def operation(self, floating, tag):
        rng = self.own
        name, constant = rng.choice(FLOAT_OPS if floating else WHOLE_OPS), None
        if name in "+-*/":
            constant = rng.choice(FLOAT_CONSTANTS if floating else WHOLE_CONSTANTS)
        elif name == "pow":
            constant = rng.choice(POWERS)
        return Op(name, tag, constant)

    def conversion(self, dtype):
        """A cast, or a bitcast to a dtype of its size."""
        some = [d for d in DTYPES if kind_of(d) in ("float", "int", "uint") and d != dtype]
        same = [d for d in some if size_of(d) == size_of(dtype)]
        if self.own.random() < 0.5:
            return Op("bitcast", to=self.own.choice(same))
        return Op("cast", to=self.own.choice(some), policy=self.own.choice((None, None, "saturate", "allow")))

    def scale(self, rule, o, own, tags, before):
        """What is exact both ways where nothing over- or underflows, and mostly nothing does."""
        rng, floating = self.own, kind_of(o.dtype) == "float"
        for name in own if floating and rng.random() < 0.8 else ():
            dtype, shape, raw = rule.tensors[name]
            some = (rounded(dtype, rng.choice((-1, 1)) * rng.uniform(1, 2)) for _ in range(len(raw) // size_of(dtype)))
            rule.tensors[name] = dtype, shape, b"".join(some)
        for _ in range(rng.choice((1, 1, 2, 3))):
            tag = rng.choice(tags) if tags and rng.random() < 0.4 else None
            name = rng.choice(("neg", "*", "/") if floating else ("neg", "+", "-"))
            constant = None if name == "neg" else rng.choice(SCALES if floating else WHOLE_CONSTANTS)
            o.ops.append(Op(name, tag, constant))
        try:
            for _ in rule.evaluate(rule.tensors, self.spec.maps):
                pass
        except Overflow:
            o.ops, rule.tensors = [], before
            return
        pieces = [{op.tag for op in o.ops if op.tag and (":" + op.tag, 0) in p} for p in o.pieces()]
        for name in own if floating else ():
            raw, size = rule.tensors[name][2], size_of(o.dtype)
            some = {raw[k : k + size] for k in range(0, len(raw), size)}
            o.flows = o.flows or any(flows(o, tags, element) for tags in pieces for element in some)

    def second(self, rule, o, vars_, floating):
        """Another place, over some of the axes that all pieces of the first have."""
        rng = self.own
        common = frozenset.intersection(*(frozenset(a for a, _ in p if a[0] not in ":.") for p in o.pieces()))
        axes = frozenset(a for a in sorted(common) if rng.random() < 0.6 and not o.layout.silent)
        saved, self.rng = self.rng, rng
        try:
            made = self.beside(o, axes, vars_)
        finally:
            self.rng = saved
        made.dtype = o.dtype
        for i in rule.instances:
            shape = made.shape(i)
            for name, _ in made.tensors(i):
                if name is None or rule.tensors.get(name, (o.dtype, shape))[:2] != (o.dtype, shape):
                    return
        for i in rule.instances:
            shape = made.shape(i)
            for name, _ in made.tensors(i):
                count = math.prod(shape)
                raw = b"".join(rounded(o.dtype, rng.randrange(4)) if not floating else rounded(o.dtype, rng.uniform(-2, 2))
                               for _ in range(count))  # fmt: skip
                rule.tensors[name] = o.dtype, shape, raw
        if rng.random() < 0.4:
            made.ops = [self.operation(floating, None) for _ in range(rng.choice((1, 2)))]
        o.seconds.append((rng.choice("+-*/" if floating else "+-*"), made))
