#!/usr/bin/env python3
"""tests/random/run.py --seeds A..B --wmap PATH [--keep DIR] [--jobs N]: makes a spec and files from each seed, runs wmap on
them, and compares every bit with what an evaluator that shares no code with wmap says."""

import argparse
import gc
import json
import multiprocessing
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import files
from breaks import mutate
from generate import generate
from guards import broken, violate
from mutants import relaid
from spec import SECOND
from turn import turned
from values import is_nan, kind_of, size_of

ERROR = re.compile(r"\S+: error\[E\d+\]: ")
PLACED = re.compile(r"(spec|lib)\.wmap:\d+:\d+: error")
BROKEN = re.compile(r"`([^`]*)`: (R080[123]): (\d+) element.*, at (\[[^\]]*\])$", re.M)
OVERFLOW = re.compile(r"R060[45]: ")
FREE = re.compile(r"error\[E052[2-7]\]")  # of tensors that no statement speaks of


class Failure(Exception):
    pass


class Runner:
    """A folder, and wmap in it: one process that serves many command lines (server.c)."""

    def __init__(self, wmap, memory, folder):
        self.wmap, self.memory, self.folder = wmap, memory, folder
        env = {k: v for k, v in os.environ.items() if not k.startswith("WMAP_")}
        env["WMAP_LIBEXEC"] = os.path.dirname(wmap)
        env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
        env["LD_PRELOAD"] = os.path.join(os.path.dirname(wmap), "librandom-server.so")
        env["LD_BIND_NOW"] = "1"  # before the workers are forked
        if not memory:
            env["WMAP_ONE_EACH"] = "1"
        os.chdir(folder)
        self.server = subprocess.Popen([wmap], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, bufsize=0)

    def run(self, *args):
        """The exit status (or minus the signal), and all that was printed."""
        words = b"".join(word.encode("utf-8", "surrogateescape") + b"\0" for word in ("wmap", *args))
        self.server.stdin.write(struct.pack("<I", len(words)) + words)
        answer = self.server.stdout.read(8)
        if len(answer) != 8:
            raise RuntimeError("the server of tests/random is gone")
        status, used = struct.unpack("<ii", answer)
        if self.memory and used > self.memory * 1024:
            status = f"{used} KiB of memory"
        elif status == -signal.SIGALRM:
            status = "none after a minute"
        with open("said", errors="replace") as f:
            return status, f.read()

    def call(self, *args):
        status, said = self.run(*args)
        if status != 0:
            raise Failure(f"`wmap {' '.join(args)}`: status {status}\n{said}")

    def prepare(self, spec):
        """Writes the files; the arguments that name them."""
        for name in os.listdir("."):
            os.unlink(name)
        with open("spec.wmap", "w", newline="") as f:
            f.write(spec.text())
        library = spec.library()
        if library:
            with open("lib.wmap", "w", newline="") as f:
                f.write(library)
        rng = random.Random(spec.seed * 3 + 5)
        tensors = [(n, *t) for n, t in spec.tensors().items()]
        first, second = ([t for t in tensors if t[0].startswith(SECOND) == k] for k in (False, True))
        sources = ["in." + spec.source_format]
        files.write(sources[0], first, rng)
        if second:
            files.write("second." + spec.source_format, [(t[0].removeprefix(SECOND), *t[1:]) for t in second], rng)
            sources = ["-s", sources[0], "-s", SECOND[:-1] + "=second." + spec.source_format]
        args = sources + [
            word
            for u in spec.units
            for d in u.defines
            for word in ("-D", ("lib." if u.imported and spec.qualified else "") + d)
        ]
        self.args = args
        if spec.target_like == "like":
            like = "like." + spec.target_format
            files.write(like, spec.target(), rng)
            args += ["--target-like", like]
        return args, sources

    def refused(self, spec, name, statuses):
        """A spec or a file with a mistake: no crash, no output, and a report that shows the place."""
        args, _ = self.prepare(spec)
        out = "out." + spec.target_format
        status, said = self.run("run", "spec.wmap", *args, "-o", out, "-q")
        if status not in statuses:
            raise Failure(f"{name}: status {status}, not one of {sorted(statuses)}\n{said}")
        if any(f.startswith(("out", ".")) for f in os.listdir(".")):
            raise Failure(f"{name}: refused, but something is left behind: {os.listdir('.')}")
        lines = said.splitlines()
        at = [k for k, line in enumerate(lines) if ERROR.match(line)]
        if not at:
            raise Failure(f"{name}: no finding\n{said}")
        for k in at:
            placed = PLACED.match(lines[k])
            if placed and not any(set(line.strip()) & {"^"} for line in lines[k + 1 : k + 4]):
                raise Failure(f"{name}: a finding without a mark under its place\n{said}")
            if not placed and not FREE.search(lines[k]):
                raise Failure(f"{name}: a finding without a place\n{said}")

    def check(self, spec):
        """The right spec gives what it should; a plan on three threads gives the same file."""
        args, sources = self.prepare(spec)
        out, again = "out." + spec.target_format, "again." + spec.target_format
        self.call("run", "spec.wmap", *args, "-o", out, "--jobs", "1", "-q")
        want, ordered = spec.expected()
        compare(want, files.read(out), ordered, casts(spec))
        self.call("compile", "spec.wmap", *args, "-o", "p.plan", "-q")
        self.call("run", "p.plan", *sources, "-o", again, "--jobs", "3", "-q")
        with open(out, "rb") as a, open(again, "rb") as b:
            if a.read() != b.read():
                raise Failure("the plan on three threads gives other bytes than the spec on one")
        if spec.seed % 4 == 0:
            self.formatted(spec.seed, args, out)
        if spec.seed % 2 == 0:
            self.returned(spec, sources, args[len(sources) :], out)

    def returned(self, spec, sources, options, out):
        """What wmap says of the other direction holds: a map that it calls exact gives back every bit, and one that it
        calls reversible runs back."""
        status, said = self.run("check", "spec.wmap", *sources, *options, "--format", "json", "-q")
        if status != 0:
            raise Failure(f"check: status {status}\n{said}")
        verdict = json.loads(said)["reverse"]
        if not verdict["reversible"]:
            if not verdict["reasons"]:
                raise Failure("not reversible, and no reason")
            return
        exact = verdict["exact"] == "yes" or verdict["exact"] != "no" and not flows(spec)
        there = [(n, *t) for n, t in spec.tensors().items()]
        gone = {name for u in spec.units for name in u.dropped}
        if exact and gone:
            raise Failure(f"exact, though {sorted(gone)} are left behind")
        if gone and spec.source_model:
            return  # the model asks for what is left behind
        form = spec.source_format
        files.write("there." + form, [t for t in there if t[0] not in gone], random.Random(spec.seed))
        if "--target-like" in options:
            at = options.index("--target-like")
            options = options[:at] + options[at + 2 :]
        options += ["--target-like", "there." + form]
        status, said = self.run("run", "spec.wmap", "--reverse", out, *options, "-o", "back." + form, "-q")
        if not exact and status == 3 and OVERFLOW.search(said):
            return  # a value that the cast there made fits no longer
        if status != 0:
            raise Failure(f"called reversible, but: status {status}\n{said}")
        if exact:
            # tensors without bytes have one offset in a safetensors file, so that several tell no order
            compare(there, files.read("back." + form), sum(not t[3] for t in there) < 2, casts(spec))

    def violated(self, spec, reports):
        """Files that break a promise: one of the reports, the same by a plan on three threads, and nothing is written."""
        args, sources = self.prepare(spec)
        out = "out." + spec.target_format
        self.call("compile", "spec.wmap", *args, "-o", "p.plan", "-q")
        straight = self.run("run", "spec.wmap", *args, "-o", out, "--jobs", "1", "-q")
        planned = self.run("run", "p.plan", *sources, "-o", out, "--jobs", "3", "-q")
        if straight != planned:
            raise Failure(f"{straight} on one thread, {planned} by a plan on three")
        status, said = straight
        told = BROKEN.search(said)
        if status != 3 or not told:
            raise Failure(f"a broken promise, but: status {status}\n{said}")
        name, ident, count, index = told.groups()
        if (ident, name, int(count), index) not in reports:
            raise Failure(f"a broken promise: {sorted(reports)}, but\n{said}")
        if any(f.startswith(("out", ".")) for f in os.listdir(".")):
            raise Failure(f"a broken promise, but something is left behind: {os.listdir('.')}")

    def formatted(self, seed, args, out):
        """With other blanks and comments, and as `wmap fmt` lays that out, the spec means the same, and stays as it is."""
        with open("spec.wmap", "rb") as f, open("laid.wmap", "wb") as g:
            g.write(relaid(random.Random(seed), f.read())[0])
        self.call("fmt", "laid.wmap")
        self.call("fmt", "--check", "laid.wmap")
        third = "third" + os.path.splitext(out)[1]
        self.call("run", "laid.wmap", *args, "-o", third, "-q")
        with open(out, "rb") as a, open(third, "rb") as b:
            if a.read() != b.read():
                raise Failure("the spec as `wmap fmt` lays it out gives other bytes")


def casts(spec):
    """Whether some value was cast or computed, so that a NaN may have another payload."""
    some = bool(spec.maps) or any(u.how == "decode" for u in spec.units)
    return some or any(o.cast and not o.bits or o.computes() for u in spec.units for r in u.rules for o in r.sources)


def flows(spec):
    return any(o.flows for u in spec.units for r in u.rules for o in r.sources)


def compare(want, got, ordered, casts):
    if sorted(t[0] for t in want) != sorted(t[0] for t in got):
        raise Failure(f"targets {[t[0] for t in got]}, not {[t[0] for t in want]}")
    if ordered and [t[0] for t in want] != [t[0] for t in got]:
        raise Failure(f"order {[t[0] for t in got]}, not {[t[0] for t in want]}")
    found = {t[0]: t for t in got}
    for name, dtype, shape, raw in want:
        _, other, form, bytes_ = found[name]
        if (other, list(form)) != (dtype, list(shape)):
            raise Failure(f"`{name}` is {other} {form}, not {dtype} {shape}")
        if raw == bytes_:
            continue
        size = size_of(dtype)
        for k in range(0, len(raw), size):
            a, b = raw[k : k + size], bytes_[k : k + size]
            if a != b and not (casts and kind_of(dtype) == "float" and is_nan(dtype, a) and is_nan(dtype, b)):
                raise Failure(f"`{name}` {dtype} {shape}: element {k // size} is {b.hex()}, not {a.hex()}")


def shrink(spec, fails):
    """Leaves out units while it still fails."""
    at = 0
    while at < len(spec.units) and len(spec.units) > 1:
        gone = spec.units.pop(at)
        spec.forget()
        if not fails(spec):
            spec.units.insert(at, gone)
            spec.forget()
            at += 1


def one(seed):
    """Runs a seed; a report of what failed, or None."""
    if seed % 50 == 0:
        gc.collect()
    try:
        spec = generate(seed)
        for step in (straight, damaged, back, promise, mistaken):
            report = step(seed, spec)
            if report:
                return report
    except Exception:
        return f"seed {seed}: the test itself\n{traceback.format_exc()}"
    return None


def failure(seed, error, spec):
    if keep:
        folder = os.path.join(keep, str(seed))
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(".", folder)
    return f"seed {seed}: {error}\n{spec.text()}"


def straight(seed, spec):
    def fails(spec):
        try:
            runner.check(spec)
        except Failure as e:
            return e
        return None

    error = fails(spec)
    if error is None:
        return None
    shrink(spec, fails)
    return failure(seed, fails(spec) or error, spec)


def back(seed, spec):
    """The turned rules give back what was there."""
    other = turned(spec)
    return straight(seed, other) if other else None


def promise(seed, spec):
    """Files that break what a rule promises of them."""
    wrong = broken(spec)
    if wrong:
        return f"seed {seed}: the test itself: promises are broken: {wrong}"
    found = violate(spec, random.Random(seed + 2))
    if not found:
        return None
    undo = found[1]

    def fails(spec):
        try:
            runner.violated(spec, broken(spec))
        except Failure as e:
            return e
        return None

    error = fails(spec)
    report = failure(seed, error, spec) if error else None
    undo()
    return report


def mistaken(seed, spec):
    """One mistake. Which, and where, follows from the seed and not from what was left out, so that it can shrink."""
    found = mutate(spec, random.Random(seed))
    if not found:
        return None

    def fails(spec):
        try:
            runner.refused(spec, *found)
        except Failure as e:
            return e
        return None

    error = fails(spec)
    return failure(seed, error, spec) if error else None


def damaged(seed, spec):
    """Bytes changed anywhere: the spec may be right or wrong, but wmap says which, soon and in little memory."""
    rng = random.Random(seed + 1)
    text = bytearray(spec.text().encode())
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        a, b = sorted((rng.randrange(len(text) + 1), rng.randrange(len(text) + 1)))
        how = rng.randrange(6)
        if how == 0:
            text[a:a] = text[a : min(b, a + 40)]
        elif how == 1:
            del text[a : min(b, a + 10)]
        elif how == 2:
            text[a:a] = rng.choice(
                (
                    b"[",
                    b"(",
                    b"{",
                    b'"',
                    b"|",
                    b"->",
                    b":",
                    b"999999999999",
                    b" else 0",
                    b"{{",
                    b"\0",
                    b"\xff",
                    b"...",
                    b"_",
                )
            )
        elif how == 3:
            text[a : a + 5] = text[b : b + 5]
        elif a < len(text):
            text[a] = rng.choice(text) if how == 4 else rng.randrange(256)
    with open("damaged.wmap", "wb") as f:
        f.write(text)
    status, said = runner.run("check", "damaged.wmap", *runner.args)
    if status in (0, 1, 3) or status == 2 and "neither a spec nor a plan" in said:
        return None
    return failure(seed, f"damaged: status {status}\n{said}\n{bytes(text)}", spec)


def begin(wmap, memory, folder, kept):
    """In each process: a folder of its own."""
    global runner, keep
    gc.disable()  # `one` collects
    runner, keep = Runner(wmap, memory, tempfile.mkdtemp(dir=folder)), kept


def write_specs(folder, seeds):
    """Seeds for fuzz_parse and fuzz_compile, whose first byte is said there: without a source."""
    for name, head in (("parse", b""), ("compile", b"\x02")):
        os.makedirs(os.path.join(folder, name), exist_ok=True)
        for seed in seeds:
            text = generate(seed, alone=True).text().encode()
            if len(text) < 8000:
                with open(os.path.join(folder, name, f"random-{seed}"), "wb") as f:
                    f.write(head + text)


def main():
    parser = argparse.ArgumentParser(description="wmap on random specs")
    parser.add_argument("--seeds", default="0..999", help="A..B")
    parser.add_argument("--wmap", default=os.environ.get("WMAP", "wmap"))
    parser.add_argument("--keep", help="a folder for the specs and files of what failed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--most", type=int, default=10, help="failures after which to stop")
    parser.add_argument(
        "--seconds", type=float, default=1e9, help="stop after so long, having run what there was time for"
    )
    parser.add_argument("--memory", type=int, default=64, help="MiB that wmap may use; 0: any (an instrumented one)")
    parser.add_argument("--specs", help="run nothing, and write specs that need no files into this folder")
    args = parser.parse_args()
    first, _, last = args.seeds.partition("..")
    seeds = range(int(first), int(last or first) + 1)
    if args.specs:
        write_specs(args.specs, seeds)
        return 0
    quick = "/dev/shm" if "TMPDIR" not in os.environ and os.access("/dev/shm", os.W_OK) else None
    folder = tempfile.mkdtemp(prefix="wmap-random-", dir=quick)
    started, passed, failed = time.monotonic(), 0, 0
    setup = os.path.abspath(args.wmap), args.memory, folder, args.keep and os.path.abspath(args.keep)
    try:
        with multiprocessing.Pool(args.jobs, begin, setup) as pool:
            for report in pool.imap_unordered(one, seeds, chunksize=8):
                passed += report is None
                failed += report is not None
                if report is not None:
                    print(report, flush=True)
                if failed >= args.most or time.monotonic() - started > args.seconds:
                    break
    except KeyboardInterrupt:
        pass
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if passed + failed < len(seeds):
        print(f"stopped after {passed + failed} of {len(seeds)} seeds")
    print(f"{(passed + failed) / (time.monotonic() - started):.0f} seeds a second")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
