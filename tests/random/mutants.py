#!/usr/bin/env python3
"""tests/random/mutants.py --wmap PATH [--seeds A..B]: the specs of this repository, damaged and laid out anew.

A damaged one is checked, its tests are run, and it is laid out: whatever it says, wmap ends by itself, with a status that is documented,
within 64 MiB of data and ten seconds of processor. One whose blanks, newlines and comments alone have changed means what it meant: the
tree is the same, also as `wmap fmt` lays it out, which keeps each comment and leaves alone what it laid out."""

import argparse
import glob
import itertools
import multiprocessing
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOKEN = re.compile(rb"#[^\n]*|\"(?:\\.|\{[^}\n]*\}|[^\"\\\n])*\"|'[^'\n]*'|\w[\w.]*\w|\w|->|\.\.\.?|//|\*\*|[=!<>]=|[ \t\r]+|\n|.", re.S)
EDGES = [b"0", b"1", b"2", b"-1", b"7", b"255", b"65536", b"4194304", b"2147483648", b"4294967295", b"4294967296", b"9223372036854775807",
         b"9223372036854775808", b"18446744073709551616", b"1e308", b"1e-320", b"inf", b"nan"]
PIECES = [b"(", b")", b"[", b"]", b"{", b"}", b'"', b"'", b"|", b"->", b"=", b"...", b"..", b"_", b",", b";", b"\n", b"#", b"\0", b"\xff", b"\\", b"{{",
          b" else 0", b" where a=b", b"if true {", b"for i in 0..1000000 {", b"for i in 0..4294967296 {", b'for "{x...}" {', b"forward {", b"reverse {",
          b'"{i+1}.{j}"', b'"*"', b"random [1000000]", b"iota [4000000]", b"expect reverse", b"| cast f16", b"then", b"keep rest\n", b"| * 2", b"(a:3..1)",
          b"[(1:a 2:b 3:_)]", b"else", b"and", b"drop \"x\" if all 0\n", b"fill 0 -> \"z\" : f32 [1000000 1000000]\n", b"use main()\n"]
MEMORY = 64 << 10  # KiB


def specs(*folders):
    return sorted(itertools.chain(*(glob.glob(os.path.join(TOP, f, "**", "*.wmap"), recursive=True) for f in folders)))


class Failure(Exception):
    pass


def run(*args, give=None):
    """The exit status of wmap, what it printed and what it said. Limited by the shell, whose limits only wmap gets."""
    limit = "" if instrumented else f"ulimit -d {MEMORY}; "
    try:
        done = subprocess.run(["/bin/sh", "-c", f'{limit}ulimit -c 0; ulimit -t {100 if instrumented else 10}; exec "$@"', "sh", wmap, *args], input=give,
                              stdin=subprocess.DEVNULL if give is None else None, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=600, env=env)
    except subprocess.TimeoutExpired:
        return "none after ten minutes", b"", b""
    return done.returncode, done.stdout, done.stderr


# ---- damage ----


def damage(rng, text, others):
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        tokens = TOKEN.findall(text)
        if not tokens:
            return rng.choice(PIECES)
        at = rng.randrange(len(tokens))
        b = min(len(tokens), at + rng.choice((1, 1, 2, 5, 20)))
        how = rng.randrange(11)
        if how == 0:
            del tokens[at:b]
        elif how == 1:
            tokens[at:at] = tokens[at:b] * rng.choice((1, 1, 1, 3, 300))
        elif how == 2:
            tokens[at:at] = [rng.choice(PIECES)] * rng.choice((1, 1, 1, 2, 1000))
        elif how in (3, 4):
            numbers = [k for k, t in enumerate(tokens) if t[:1].isdigit()] or [at]
            tokens[rng.choice(numbers)] = rng.choice(EDGES)
        elif how == 5:
            tokens[at] = rng.choice(tokens)
        elif how == 6:
            k = rng.randrange(len(tokens))
            tokens[at], tokens[k] = tokens[k], tokens[at]
        elif how == 7:
            tokens[at] = rng.choice(TOKEN.findall(rng.choice(others)))
        elif how == 8:
            lines, strange = text.split(b"\n"), rng.choice(others).split(b"\n")
            k, j = rng.randrange(len(lines)), rng.randrange(len(strange))
            lines[k:k] = strange[j : j + rng.choice((1, 1, 3, 10))]
            tokens = [b"\n".join(lines)]
        elif how == 9:
            raw = bytearray(text)
            raw[rng.randrange(len(raw))] = rng.randrange(256)
            tokens = [bytes(raw)]
        elif rng.randrange(4) == 0:
            del tokens[at:]
        text = b"".join(tokens)
    return text


def survives(seed):
    rng = random.Random(seed)
    path = rng.choice(shipped)
    text = damage(rng, texts[path], list(texts.values()))
    with open("mutant.wmap", "wb") as f:
        f.write(text)
    beside = ("-I", os.path.dirname(path))
    for args in (("check", *beside, "mutant.wmap"), ("check", "--reverse", *beside, "mutant.wmap"), ("test", "--coverage", *beside, "mutant.wmap"),
                 ("fmt", "--check", "mutant.wmap")):
        status, out, err = run(*args)
        if status not in (0, 1) and not (status == 2 and re.search(rb"neither a spec nor a plan|is a plan", err)):
            raise Failure(f"{path} damaged: `wmap {' '.join(args)}`: status {status}\n{err.decode(errors='replace')[-4000:]}")
        if status == 1 and not out and not err:
            raise Failure(f"{path} damaged: `wmap {' '.join(args)}`: status 1, and nothing is said")


# ---- blanks and comments ----


def relaid(rng, text):
    """The same tokens with other blanks; comments where a line ends; more of the newlines that are there. The comments that were put in."""
    out, comments, depth = [], [], 0
    for token in TOKEN.findall(text):
        if token in (b"(", b"["):
            depth += 1
        elif token in (b")", b"]"):
            depth -= 1
        if token == b"\n":
            if rng.randrange(6) == 0 and not (out and out[-1].startswith(b"#")):
                comments.append(b"# remark %d" % len(comments))
                out += [rng.choice((b"", b" ", b"\t")), comments[-1]]
            out.append(b"\n" * rng.choice((1, 1, 1, 2, 4)))
            if rng.randrange(12) == 0:
                comments.append(b"# alone %d" % len(comments))
                out += [b" " * rng.randrange(9), comments[-1], b"\n"]
        elif token.isspace():
            inside = depth > 0 and rng.randrange(10) == 0
            out.append(b"\n" if inside else rng.choice((token, b" ", b"\t", b" " * rng.randrange(1, 12), b" \r ")))
        else:
            out.append(token)
    return b"".join(out), comments


def tree(name):
    status, out, _ = run("explain", "--stage", "ast", name)
    return out if status == 0 else None


def plan(name, path):
    """The moves, less the places in the text."""
    status, out, _ = run("explain", "--moves", "-I", os.path.dirname(path), name)
    return status, re.sub(rb" at \S+:\d+:\d+$", b"", out, flags=re.M)


def verdicts(name, path):
    status, out, _ = run("test", "-I", os.path.dirname(path), "--format", "json", name)
    return status, re.sub(rb"\"(line|column)\": \d+|line \d+|\.wmap:\d+:\d+|\.wmap:\d+", b"", out)


def keeps(seed):
    rng = random.Random(seed)
    path = rng.choice(every)
    with open("spec.wmap", "wb") as f:
        f.write(texts.get(path) or read(path))
    before = tree("spec.wmap")
    if before is None:
        return
    text, comments = relaid(rng, read("spec.wmap"))
    what = [f("spec.wmap", path) for f in (plan, verdicts)] if path in texts else None
    with open("spec.wmap", "wb") as f:
        f.write(text)
    shutil.copy("spec.wmap", "messy.wmap")
    if tree("spec.wmap") != before:
        raise Failure(f"{path}: with other blanks the tree is another one")
    for args in (("fmt", "spec.wmap"), ("fmt", "--check", "spec.wmap")):
        status, _, err = run(*args)
        if status != 0:
            raise Failure(f"{path} with other blanks: `wmap {' '.join(args)}`: status {status}\n{err.decode(errors='replace')}")
    laid = read("spec.wmap")
    if tree("spec.wmap") != before:
        raise Failure(f"{path} with other blanks: laid out, the tree is another one")
    lost = [c for c in comments if len(re.findall(re.escape(c) + rb"$", laid, re.M)) != 1]
    if lost or laid.count(b"#") != text.count(b"#"):
        raise Failure(f"{path} with other blanks: comments that fmt loses or doubles: {lost}")
    if path in texts and what != [f("spec.wmap", path) for f in (plan, verdicts)]:
        raise Failure(f"{path} with other blanks: laid out, it gives another plan, or its tests another verdict")


# ---- the run ----


def read(path):
    with open(path, "rb") as f:
        return f.read()


def one(job):
    kind, seed = job
    try:
        (survives if kind == "damaged" else keeps)(seed)
    except Failure as e:
        if keep:
            folder = os.path.join(keep, f"{kind}-{seed}")
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(".", folder)
        return f"{kind} seed {seed}: {e}"
    return None


def begin(setup, folder):
    global wmap, instrumented, keep, env, texts, shipped, every
    wmap, instrumented, keep = setup
    env = {k: v for k, v in os.environ.items() if not k.startswith("WMAP_")}
    env |= {"WMAP_LIBEXEC": os.path.dirname(wmap), "WMAP_SPECS": os.path.join(TOP, "specs"), "TERM": "dumb"}
    shipped = specs("specs", "examples", "tests/cases")
    every = shipped + specs("tests/language")
    texts = {path: read(path) for path in shipped}
    os.chdir(tempfile.mkdtemp(dir=folder))


def main():
    parser = argparse.ArgumentParser(description="the repository's specs, damaged and laid out anew")
    parser.add_argument("--seeds", default="0..399", help="A..B, of each kind")
    parser.add_argument("--wmap", default=os.environ.get("WMAP", "wmap"))
    parser.add_argument("--instrumented", action="store_true", help="wmap has a sanitizer, which wants memory of its own")
    parser.add_argument("--only", choices=("damaged", "relaid"))
    parser.add_argument("--keep", help="a folder for the specs that failed")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    args = parser.parse_args()
    first, _, last = args.seeds.partition("..")
    kinds = [args.only] if args.only else ["damaged", "relaid"]
    jobs = [(kind, seed) for seed in range(int(first), int(last or first) + 1) for kind in kinds]
    folder = tempfile.mkdtemp(prefix="wmap-mutants-")
    setup = os.path.abspath(args.wmap), args.instrumented, args.keep and os.path.abspath(args.keep)
    failed, started = 0, time.monotonic()
    try:
        with multiprocessing.Pool(args.jobs, begin, (setup, folder)) as pool:
            for report in pool.imap_unordered(one, jobs, chunksize=4):
                failed += report is not None
                if report is not None:
                    print(report, flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{len(jobs) - failed} passed, {failed} failed, {time.monotonic() - started:.0f} s")
    return 1 if failed or not jobs else 0


if __name__ == "__main__":
    sys.exit(main())
