"""Elements as bytes, and what a cast makes of one: exact, with integers, rounded once."""

import functools
import struct

# name: (bytes, kind, bits of the exponent, bits of the mantissa)
DTYPES = {
    "bool": (1, "bool"), "u8": (1, "uint"), "u16": (2, "uint"), "u32": (4, "uint"), "u64": (8, "uint"),
    "i8": (1, "int"), "i16": (2, "int"), "i32": (4, "int"), "i64": (8, "int"),
    "f16": (2, "float", 5, 10), "bf16": (2, "float", 8, 7), "f32": (4, "float", 8, 23), "f64": (8, "float", 11, 52),
    "f8_e4m3": (1, "float", 4, 3), "f8_e5m2": (1, "float", 5, 2),
    "c64": (8, "complex"), "c128": (16, "complex"),
    "raw8": (1, "raw"), "raw16": (2, "raw"), "raw32": (4, "raw"), "raw64": (8, "raw"),
}  # fmt: skip


def size_of(dtype):
    return DTYPES[dtype][0]


def kind_of(dtype):
    return DTYPES[dtype][1]


def decode(dtype, element):
    """An element as (sign, m, e), the number sign * m * 2^e, or as "nan", "+inf", "-inf"."""
    size, kind = DTYPES[dtype][:2]
    bits = int.from_bytes(element, "little")
    if kind in ("bool", "uint"):
        return 1, bits, 0
    if kind == "int":
        value = bits - (1 << 8 * size) if bits >> (8 * size - 1) else bits
        return (-1 if value < 0 else 1), abs(value), 0
    ebits, mbits = DTYPES[dtype][2:]
    sign = -1 if bits >> (8 * size - 1) else 1
    e, m = bits >> mbits & (1 << ebits) - 1, bits & (1 << mbits) - 1
    bias = (1 << ebits - 1) - 1
    if dtype == "f8_e4m3":
        if e == 15 and m == 7:
            return "nan"
    elif e == (1 << ebits) - 1:
        return "nan" if m else ("-inf" if sign < 0 else "+inf")
    return (sign, m, 1 - bias - mbits) if e == 0 else (sign, m | 1 << mbits, e - bias - mbits)


def shifted(m, by):
    """m * 2^-by, rounded to nearest, ties to even."""
    if by <= 0:
        return m << -by
    q, r = m >> by, m & (1 << by) - 1
    half = 1 << by - 1
    return q + (r > half or (r == half and q & 1))


class Overflow(Exception):
    pass


def encode(dtype, number, policy=None):
    """The element nearest to a decoded number. Overflow where `cast` refuses."""
    size, kind = DTYPES[dtype][:2]
    if kind != "float":
        if isinstance(number, str):
            if policy == "allow":
                return bytes(size)
            if number == "nan" or policy is None:
                raise Overflow(number)
            number = (-1 if number[0] == "-" else 1), 1, 200
        value = number[0] * shifted(number[1], -number[2])
        low, high = (0, 255 >> 7 * (kind == "bool")) if size == 1 and kind != "int" else (
            (0, (1 << 8 * size) - 1) if kind == "uint" else (-(1 << 8 * size - 1), (1 << 8 * size - 1) - 1))  # fmt: skip
        if not low <= value <= high:
            if policy is None:
                raise Overflow(value)
            if policy == "saturate":
                value = min(max(value, low), high)
            elif kind == "bool":
                value &= 1
        return (value & (1 << 8 * size) - 1).to_bytes(size, "little")
    ebits, mbits = DTYPES[dtype][2:]
    bias, top = (1 << ebits - 1) - 1, 1 << 8 * size - 1
    infinite = ((1 << ebits) - 1) << mbits
    if number == "nan":
        return (0x7F if dtype == "f8_e4m3" else infinite | 1 << mbits - 1).to_bytes(size, "little")
    if isinstance(number, str):
        sign = -1 if number[0] == "-" else 1
        if dtype == "f8_e4m3":
            if policy is None:
                raise Overflow(number)
            infinite = 0x7E if policy == "saturate" else 0x7F
        return (infinite | (top if sign < 0 else 0)).to_bytes(size, "little")
    sign, m, e = number
    if m == 0:
        bits = 0
    else:
        # the exponent of the last place: of a normal number, or that of all subnormal ones
        last = max(e + m.bit_length() - 1 - mbits, 1 - bias - mbits)
        q = shifted(m, last - e)
        if q >> mbits + 1:
            q, last = q >> 1, last + 1
        field = last + bias + mbits if q >> mbits else 0
        bits = field << mbits | q & (1 << mbits) - 1
        limit = 0x7E if dtype == "f8_e4m3" else infinite - 1
        if bits > limit:
            if policy is None:
                raise Overflow(number)
            bits = limit if policy == "saturate" else limit + 1
    return (bits | (top if sign < 0 else 0)).to_bytes(size, "little")


@functools.lru_cache(1 << 16)  # a spec is evaluated several times
def cast(element, source, target, policy=None):
    return encode(target, decode(source, element), policy)


def is_nan(dtype, element):
    return kind_of(dtype) == "float" and decode(dtype, element) == "nan"


def constant(dtype, text):
    """A constant of `fill` or `else`, rounded once."""
    m, d = float(text).as_integer_ratio() if "." in text or "e" in text else (int(text), 1)
    sign = -1 if text.startswith("-") else 1
    return encode(dtype, (sign, abs(m), 1 - d.bit_length()))


def elements(dtype, count, rng, into=None):
    """Random elements as bytes: any bits, or with `into` a list of dtypes that can hold them after a cast."""
    size, kind = DTYPES[dtype][:2]
    if kind == "bool":
        return bytes(rng.getrandbits(1) for _ in range(count))
    if not into:
        return rng.randbytes(size * count)
    return b"".join(castable(dtype, rng, into) for _ in range(count))


def castable(dtype, rng, into):
    while True:
        if kind_of(dtype) == "float":
            e = rng.choice((-24, -16, -15, -9, -4, -1, 0, 1, 4, 6))
            m = rng.getrandbits(rng.choice((1, 3, 4, 8, 9, 11, 12, 24, 25, 53)))
            number = rng.choice((1, -1)), m, e - m.bit_length()
            if rng.random() < 0.02:
                number = rng.choice(("nan", "+inf", "-inf"))
        else:
            number = rng.choice((1, 1, -1)), rng.getrandbits(rng.choice((1, 3, 5, 7, 9, 12, 25, 54, 63))), 0
        try:
            element = encode(dtype, number)
            for d in into:
                cast(element, dtype, d)
            return element
        except Overflow:
            continue


def double(element):
    return struct.unpack("<d", element)[0]
