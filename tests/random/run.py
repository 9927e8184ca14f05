#!/usr/bin/env python3
"""tests/random/run.py --seeds A..B --wmap PATH [--keep DIR] [--jobs N]: makes a spec and files from each seed, runs wmap on
them, and compares every bit with what an evaluator that shares no code with wmap says."""

import argparse
import multiprocessing
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import files
from breaks import mutate
from generate import generate
from turn import turned
from values import is_nan, kind_of, size_of

SECONDS = 60
ERROR = re.compile(r"\S+: error\[E\d+\]: ")
PLACED = re.compile(r"spec\.wmap:\d+:\d+: error")
FREE = re.compile(r"error\[E052[2-7]\]")  # of tensors that no statement speaks of


class Failure(Exception):
    pass


class Runner:
    """A folder, and wmap in it."""

    def __init__(self, wmap, folder):
        self.wmap, self.folder = wmap, folder
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("WMAP_")}
        self.env["WMAP_LIBEXEC"] = os.path.dirname(wmap)
        os.chdir(folder)

    def run(self, *args):
        """The exit status (or minus the signal), and all that was printed. Not by `subprocess`, which takes longer than wmap."""
        opened = [(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0), (os.POSIX_SPAWN_OPEN, 1, "said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), (os.POSIX_SPAWN_DUP2, 1, 2)]
        pid = os.posix_spawn(self.wmap, ["wmap", *args], self.env, file_actions=opened)
        signal.alarm(SECONDS)
        try:
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            status = "none after a minute"
        finally:
            signal.alarm(0)
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
        with open("spec.wmap", "w") as f:
            f.write(spec.text())
        source = "in." + spec.source_format
        rng = random.Random(spec.seed * 3 + 5)
        files.write(source, [(n, *t) for n, t in spec.tensors().items()], rng)
        args = [source]
        if spec.target_like == "like":
            like = "like." + spec.target_format
            files.write(like, spec.target(), rng)
            args += ["--target-like", like]
        return args

    def refused(self, spec, name, statuses):
        """A spec or a file with a mistake: no crash, no output, and a report that shows the place."""
        args = self.prepare(spec)
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
        args = self.prepare(spec)
        out, again = "out." + spec.target_format, "again." + spec.target_format
        self.call("run", "spec.wmap", *args, "-o", out, "--jobs", "1", "-q")
        want, ordered = spec.expected()
        compare(want, files.read(out), ordered, casts(spec))
        self.call("compile", "spec.wmap", *args, "-o", "p.plan", "-q")
        self.call("run", "p.plan", args[0], "-o", again, "--jobs", "3", "-q")
        with open(out, "rb") as a, open(again, "rb") as b:
            if a.read() != b.read():
                raise Failure("the plan on three threads gives other bytes than the spec on one")


def casts(spec):
    """Whether some value was cast, so that a NaN may have another payload."""
    return bool(spec.maps) or any(o.cast for u in spec.units for r in u.rules for o in r.sources)


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
    try:
        spec = generate(seed)
    except Exception:
        return f"seed {seed}: the generator\n{traceback.format_exc()}"

    for step in (straight, back, broken):
        report = step(seed, spec)
        if report:
            return report
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


def broken(seed, spec):
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


def late(*_):
    raise TimeoutError


def begin(wmap, folder, kept):
    """In each process: a folder of its own."""
    global runner, keep
    signal.signal(signal.SIGALRM, late)
    runner, keep = Runner(wmap, tempfile.mkdtemp(dir=folder)), kept


def main():
    parser = argparse.ArgumentParser(description="wmap on random specs")
    parser.add_argument("--seeds", default="0..999", help="A..B")
    parser.add_argument("--wmap", default=os.environ.get("WMAP", "wmap"))
    parser.add_argument("--keep", help="a folder for the specs and files of what failed")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--most", type=int, default=10, help="failures after which to stop")
    args = parser.parse_args()
    first, _, last = args.seeds.partition("..")
    seeds = range(int(first), int(last or first) + 1)
    folder = tempfile.mkdtemp(prefix="wmap-random-")
    started, passed, failed = time.monotonic(), 0, 0
    setup = os.path.abspath(args.wmap), folder, args.keep and os.path.abspath(args.keep)
    try:
        with multiprocessing.Pool(args.jobs, begin, setup) as pool:
            for report in pool.imap_unordered(one, seeds, chunksize=8):
                passed += report is None
                failed += report is not None
                if report is not None:
                    print(report, flush=True)
                if failed >= args.most:
                    break
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{(passed + failed) / (time.monotonic() - started):.0f} seeds a second")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
