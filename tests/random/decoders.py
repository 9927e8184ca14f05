"""Tensors that are decoded: `dequant` with a scale for each block, `mxfp4`. A mixin of generate.Generator."""

import itertools

from arithmetic import Op, Value, number, rounded
from files import HOLDS, product
from names import Hole, Pattern
from spec import Retry
from values import Overflow, cast, elements, kind_of, size_of

E2M1 = [0, 0.5, 1, 1.5, 2, 3, 4, 6]


def at(shape, index):
    """The place of an element in row-major order."""
    k = 0
    for extent, i in zip(shape, index):
        k = k * extent + i
    return k


def indices(shape):
    return itertools.product(*map(range, shape))


def dequantised(one, scales, blocks):
    """The elements of a tensor by their indices; both are (dtype, shape, bytes), and the scales' dtype is what comes out."""
    dtype, shape, raw = one
    scale_dtype, scale_shape, factors = scales
    a, b = size_of(dtype), size_of(scale_dtype)
    out = {}
    for k, index in enumerate(indices(shape)):
        f = at(scale_shape, [i // block for i, block in zip(index, blocks)]) * b
        x = float(number(dtype, raw[k * a : k * a + a])) * number(scale_dtype, factors[f : f + b])
        out[index] = rounded(scale_dtype, x)
    return out


def unpacked(one, scales):
    """bf16 of pairs of 4 bits, the low ones first."""
    out, (_, shape, raw) = {}, one
    for k, (*index, last) in enumerate(indices(shape)):
        group, row = index[-1], shape[-1] * 2
        power = scales[2][k // shape[-1]] - 127
        for half, bits in enumerate((raw[k] & 15, raw[k] >> 4)):
            x = E2M1[bits & 7] * 2.0**power
            out[(*index[:-1], group * row + last * 2 + half)] = rounded("bf16", -x if bits & 8 else x)
    return out


class Decoders:
    def unit_decode(self, unit):
        """One tensor, or several that a variable numbers, which may be an axis of what is written."""
        word, var = self.word(), self.pick(None, "l", "e")
        rank, packed = self.pick(1, 2, 2, 3), self.chance(0.3)
        shape = [self.pick(1, 2, 3, 4) for _ in range(rank + packed)]
        blocks = [] if packed else [self.pick(1, 2, 2, 3, 5) for _ in shape]
        floats = [d for d in HOLDS[self.spec.source_format] if kind_of(d) == "float"]
        numbers = [d for d in HOLDS[self.spec.source_format] if kind_of(d) in ("float", "int", "uint")]
        dtype, scale_dtype = ("u8", "u8") if packed else (self.rng.choice(numbers), self.rng.choice(floats))
        scale_shape = shape[:-1] if packed else [-(-n // b) for n, b in zip(shape, blocks)]
        names = [Pattern([f"{word}.", Hole("int", var), end] if var else [word + end]) for end in (".w", ".scale")]
        target = Pattern([self.word(), *(["/", Hole("int", var)] if var == "l" else [])])
        result = "bf16" if packed else scale_dtype
        ops = self.chain(result)
        found = {}
        for k in range(self.pick(1, 2, 3) if var else 1):
            one = dtype, shape, elements(dtype, product(shape), self.rng)
            scales = scale_dtype, scale_shape, self.scales(scale_dtype, product(scale_shape), packed)
            for name, tensor in zip(names, (one, scales)):
                unit.dropped[name.write({var: k})] = tensor
            found[k] = unpacked(one, scales) if packed else dequantised(one, scales, blocks)
        unit.matches += [(name, {}, {name.write({var: k}) for k in found}) for name in names]
        axes = ["a", "b", "c"][:rank]
        extents = dict(zip(axes, (*shape[:-2], shape[-2] * shape[-1] * 2) if packed else shape))
        order = axes + ["e"] * (var == "e")
        self.rng.shuffle(order)
        merged = len(order) > 1 and self.chance(0.3)
        for parts in [found] if var == "e" else [{k: f} for k, f in found.items()]:
            full = [{**extents, "e": len(parts)}[a] for a in order]
            cells = [self.worked(result, parts, dict(zip(order, index)), axes, ops) for index in indices(full)]
            shape_ = [full[0] * full[1], *full[2:]] if merged else full
            unit.written.append((target.write({"l": min(parts)}), cells[0][0], shape_, b"".join(raw for _, raw in cells)))
        if unit.written[0][1] not in HOLDS[self.spec.target_format]:
            raise Retry("no such dtype there")
        unit.ordered = False
        how = "mxfp4" if packed else "dequant"
        words = f" [{' '.join(self.block(b) for b in blocks)}]" if blocks else ""
        words += "".join(" | " + op.text() for op in ops)
        dims = [f"({order[0]} {order[1]})", *order[2:]] if merged else order

        def lines(rng):
            said = set()
            left = f"{names[0].text(rng, said)} [{' '.join(axes)}] | {how} {names[1].text(rng, said)}{words}"
            return [f"{left} -> {target.text(rng, said)} [{' '.join(dims)}]"]

        unit.lines = lines

    def block(self, extent):
        return f"({self.param(extent)})" if self.chance(0.15) else str(extent)

    def chain(self, dtype):
        """Operations behind a decoder, and a cast to what the target holds."""
        ops = []
        for _ in range(self.pick(0, 0, 1, 2)):
            ops.append(self.operation(True, None))
        own = self.spec.maps.get(dtype, dtype)
        if own not in HOLDS[self.spec.target_format] or self.chance(0.2):
            some = [d for d in HOLDS[self.spec.target_format] if kind_of(d) == "float"]
            ops.append(Op("cast", to=self.rng.choice(some), policy=self.pick("saturate", "allow")))
        return ops

    def scales(self, dtype, count, packed):
        if packed:
            return bytes(self.pick(127, 126, 130, 120, self.rng.randrange(255)) for _ in range(count))
        return b"".join(rounded(dtype, self.pick(1, 1, -1) * self.rng.uniform(0.01, 4)) for _ in range(count))

    def worked(self, dtype, parts, index, axes, ops):
        """(dtype, element) of what is written at an index."""
        k = index["e"] + min(parts) if "e" in index else min(parts)
        value = Value(dtype, parts[k][tuple(index[a] for a in axes)])
        try:
            for op in ops:
                op.change(value)
            element, to = value.element(), self.spec.maps.get(value.dtype, value.dtype)
            if any(op.to for op in ops) or to == value.dtype:
                return value.dtype, element
            return to, cast(element, value.dtype, to)
        except Overflow:
            raise Retry("a cast that doesn't hold") from None
