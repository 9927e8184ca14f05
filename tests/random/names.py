"""Names with holes: their text in a spec, the names that they write, and the names that they match (docs/language.md,
section 6), by trying every way to cut a name."""


def quote(text, rng):
    """A literal text as it stands between double quotes."""
    out = []
    for c in text:
        if c in '"\\{}':
            out.append("\\" + c)
        elif ord(c) > 126 and rng.random() < 0.5:
            out.append(f"\\u{{{ord(c):X}}}")
        else:
            out.append(c)
    return "".join(out)


def letters(k):
    return "" if k == 0 else f"_{k}"


class Hole:
    """A hole for a variable. `kind`: "int" for a*x + b with a format, "table" for entries[x + b], "text" for a string,
    "const" for an expression whose value is known, "expr" for one that is written only, "wild" for what isn't kept."""

    def __init__(self, kind, var=None, a=1, b=0, form=None, table=None, entries=None, words=None, value=None, equal=False):
        self.kind, self.var, self.a, self.b, self.form = kind, var, a, b, form
        self.table, self.entries, self.words, self.value = table, entries, words, value
        self.equal = equal

    def linear(self):
        x = self.var
        if self.a == -1:
            return f"{self.b}-{x}"
        if self.a != 1:
            x = f"{self.a}*{x}"
        return x if self.b == 0 else f"{x}{self.b:+d}"

    def text(self, first):
        """As in a spec; `first` where a string's format is to be said."""
        if self.kind == "int":
            return "{" + "=" * self.equal + self.linear() + (":" + self.form if self.form else "") + "}"
        if self.kind == "table":
            return "{" + f"{self.table}[{self.linear()}]" + "}"
        if self.kind == "text":
            return "{" + self.var + (":" + self.form if first else "") + "}"
        if self.kind == "wild":
            return "{" + self.form + "}"
        return "{" + self.words + "}"

    def write(self, env):
        """The text written for these values; None where there is none."""
        if self.kind == "const":
            return self.value
        if self.kind == "text":
            return env[self.var]
        if self.kind == "expr":
            k = self.value(env)
            return str(k) if k >= 0 else None
        k = self.a * env[self.var] + self.b
        if self.kind == "table":
            return str(self.entries[k]) if 0 <= k < len(self.entries) else None
        if k < 0:
            return None
        if self.form is None:
            return str(k)
        if self.form in "aA":
            return chr(ord(self.form) + k) if k < 26 else None
        return letters(k) if self.form == "_" else f"{k:{self.form}d}"

    def read(self, text):
        """The values that a text can stand for: a list of what `write` shows as that text; [] for none."""
        if self.kind == "const":
            return [0] if text == self.value else []
        if self.kind in ("text", "wild"):
            return [text] if self.form == "**" or not ("/" in text or "." in text) else []
        if self.kind == "table":
            return [k for k, e in enumerate(self.entries) if str(e) == text]
        if self.form and self.form in "aA":
            return [ord(text) - ord(self.form)] if len(text) == 1 and 0 <= ord(text) - ord(self.form) < 26 else []
        if self.form == "_":
            digits = text[1:]
            ok = text == "" or (text[0] == "_" and number(digits) and digits[0] != "0")
            return [int(digits or 0)] if ok else []
        if not number(text):
            return []
        k = int(text)
        return [k] if text == (f"{k:{self.form}d}" if self.form else str(k)) else []

    def solve(self, value, env):
        """Whether a value read fits, entering what the variable becomes."""
        if self.kind in ("const", "wild"):
            return True
        if self.kind != "text":
            value -= self.b
            if value % self.a or value // self.a < 0:
                return False
            value //= self.a
        return env.setdefault(self.var, value) == value


def number(text):
    return text.isascii() and text.isdigit()


class Pattern:
    """Literal texts and holes, one after another."""

    def __init__(self, parts):
        self.parts = parts

    def holes(self):
        return [p for p in self.parts if isinstance(p, Hole)]

    def vars(self):
        return {h.var for h in self.holes() if h.var}

    def text(self, rng, said=None, raw=False):
        """As in a spec. `said` holds the string variables whose format has been written."""
        said = set() if said is None else said
        if raw and not self.holes() and "'" not in "".join(self.parts):
            return "'" + "".join(self.parts) + "'"
        out = []
        for p in self.parts:
            if isinstance(p, str):
                out.append(quote(p, rng))
            else:
                out.append(p.text(p.var not in said))
                said.add(p.var)
        return '"' + "".join(out) + '"'

    def write(self, env):
        """The name, or None."""
        words = [p if isinstance(p, str) else p.write(env) for p in self.parts]
        return None if None in words else "".join(words)

    def cuts(self, name):
        """Every way to cut a name, as lists of (length, value) for the holes."""
        head, tail = self.parts[0], self.parts[-1]
        if isinstance(head, str) and not name.startswith(head) or isinstance(tail, str) and not name.endswith(tail):
            return []
        found = []

        def go(part, at, so_far):
            if part == len(self.parts):
                if at == len(name):
                    found.append(so_far)
                return
            p = self.parts[part]
            if isinstance(p, str):
                if name.startswith(p, at):
                    go(part + 1, at + len(p), so_far)
                return
            for end in range(at, len(name) + 1):
                for value in p.read(name[at:end]):
                    go(part + 1, end, so_far + [(end - at, value)])

        go(0, 0, [])
        return found

    def match(self, name):
        """What the variables are, or None; Ambiguous where the two cuts differ."""
        cuts = self.cuts(name)
        if not cuts:
            return None
        holes, found = self.holes(), []
        lengths = [[n for n, _ in c] for c in cuts]
        for chosen in (min(lengths), max(lengths)):
            env = {}
            if all(h.solve(v, env) for h, (_, v) in zip(holes, cuts[lengths.index(chosen)])):
                found.append(env)
        if len(found) == 2 and found[0] != found[1]:
            raise Ambiguous(name)
        return found[0] if found else None


class Ambiguous(Exception):
    pass
