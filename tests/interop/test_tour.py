"""docs/tour.md: every spec in it is run, and must give, bit for bit, what the NumPy beside it gives.

Blocks are read in order. Python runs as it stands, in one namespace, in which `a` is what is read. A spec with rules (whole, or the
statements of one map) makes files of `a`; `b` of the next Python block is what they must hold. `suggest` is what `wmap suggest`
drafts of `a` and `c`. `fails=ID` is refused with that error, and nothing is
written; a spec with tests passes `wmap test`; `back` after a spec runs it in reverse over its result, and `a` must come back."""

import os
import re

from common import ROOT, Case, wmap
import numpy as np

TOUR = os.path.join(ROOT, "docs", "tour.md")
ERROR = re.compile(r"(?<=error\[)E\d{4}(?=\])|\bR\d{4}\b")
BLOCK = re.compile(r"^```(\S+)([^\n]*)\n(.*?)^```$", re.M | re.S)


class Tour(Case):
    def run_spec(self, spec, arrays, name, *flags):
        """What the spec makes of arrays, as wmap's status, what it says, and a dict."""
        source, target = self.path(f"{name}-in.npz"), self.path(f"{name}-out.npz")
        np.savez(source, **arrays)
        done = wmap("run", spec, source, "-o", target, "-q", *flags)
        if done.returncode:
            self.assertFalse(os.path.exists(target))
            return done.returncode, done.stderr, None
        with np.load(target) as made:
            return 0, done.stderr, dict(made)

    def same(self, made, want, where):
        self.assertEqual(set(made), set(want), where)
        for name, array in want.items():
            array = np.asarray(array)
            self.assertEqual((made[name].dtype, made[name].shape), (array.dtype, array.shape), f"{where}: {name}")
            self.assertEqual(made[name].tobytes(), array.tobytes(), f"{where}: {name}")

    def test_tour(self):
        with open(TOUR, encoding="utf-8") as f:
            text = f.read()
        names, waiting, compared = {}, None, 0
        for block in BLOCK.finditer(text):
            language, flags, body = block[1], block[2].strip(), block[3]
            where = f"docs/tour.md:{text.count(chr(10), 0, block.start()) + 1}"
            if language == "python":
                names.pop("b", None)
                exec(compile("\n" * (int(where.split(":")[1])) + body, TOUR, "exec"), names)
                self.assertEqual("b" in names, waiting is not None, f"{where}: a spec without its NumPy, or the other way round")
                if waiting is not None:
                    self.same(waiting, names["b"], where)
                    waiting, compared = None, compared + 1
            elif language == "wmap":
                self.assertIsNone(waiting, where)
                waiting = self.spec(body, flags, names, where)
        self.assertIsNone(waiting)
        self.assertGreater(compared, 10)

    def spec(self, body, flags, names, where):
        path = self.path("tour.wmap")
        whole = body.startswith("wmap 1")
        with open(path, "w", encoding="utf-8") as f:
            f.write(body if whole else "wmap 1\nmap main {\n" + re.sub(r"^(?=.)", "  ", body, flags=re.M) + "}\n")
        self.wmap_ok("fmt", "--check", path)  # as one would find it in a file
        line = where.split(":")[1]
        if flags == "suggest":
            files = [self.path(n) for n in ("a.npz", "c.npz")]
            for file, arrays in zip(files, (names["a"], names["c"])):
                np.savez(file, **arrays)
            draft = self.wmap_ok("suggest", *files, "--no-models")
            with open(path, encoding="utf-8") as f:
                self.assertEqual(draft[draft.index("map main") :], f.read().removeprefix("wmap 1\n"), where)
            return None
        if flags.startswith("fails="):
            _, said, made = self.run_spec(path, names["a"], line)
            self.assertIsNone(made, where)
            self.assertEqual(set(ERROR.findall(said)), {flags.removeprefix("fails=")}, f"{where}: {said}")
            return None
        if re.search(r"^test ", body, re.M):
            self.wmap_ok("test", path)
            return None
        status, said, made = self.run_spec(path, names["a"], line)
        self.assertEqual(status, 0, f"{where}: {said}")
        if flags == "back":
            like = self.path(f"{line}-in.npz")
            back = self.path(f"{line}-back.npz")
            self.wmap_ok("run", path, self.path(f"{line}-out.npz"), "--reverse", "--target-like", like, "-o", back, "-q")
            with np.load(back) as came:
                self.same(dict(came), names["a"], f"{where}, back")
        else:
            self.assertEqual(flags, "", where)
        return made
