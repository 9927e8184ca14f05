#!/usr/bin/env python3
"""tests/cases/table.py [--check]: writes the column "back" of docs/cases.md: for each map that a case tests, what `wmap check` says of the other
direction, for the tensors that its first test gives."""

import json
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
DOCUMENT = os.path.join(HERE, "..", "..", "docs", "cases.md")
WMAP = os.environ.get("WMAP", "wmap")


def shape_of(literal):
    made = re.match(r"(?:iota|random) \[([\d ]*)\]", literal)
    if made:
        return [int(n) for n in made[1].split()]
    shape = []
    rows = json.loads(re.sub(r"\s+", ",", re.sub(r"(nan|inf|-inf)", "0", literal.strip())).replace(",]", "]"))
    while isinstance(rows, list):
        shape.append(len(rows))
        rows = rows[0] if rows else 0
    return shape


def tests(text):
    """(map, arguments, listing of what is given) of each test that wants no error."""
    for block in re.findall(r'^test ".*?" of (.*?) \{\n(.*?)^\}', text, re.M | re.S):
        name, arguments = re.match(r"(\w+)(?: \((.*)\))?", block[0]).groups()
        if "expect error" in block[1]:
            continue
        given = []
        for tensor, dtype, literal in re.findall(r'^  given\s+"(.*?)"\s*= (?:([a-z]+\d+\w*|bool) )?(.*)$', block[1], re.M):
            given.append({"name": tensor, "dtype": dtype or "f32", "shape": shape_of(literal)})
        yield name, arguments, given


def verdict(path, name, arguments, given):
    with tempfile.TemporaryDirectory() as folder:
        listing, spec = os.path.join(folder, "given.jsonl"), path
        with open(listing, "w", encoding="utf-8") as f:
            f.write('{"wmap": "listing", "version": 1}\n' + "".join(json.dumps(t) + "\n" for t in given))
        if arguments:  # of the map: a map that uses it
            with open(path, encoding="utf-8") as f:
                text = re.sub(r'^test ".*?^\}', "", f.read(), flags=re.M | re.S)
            spec = os.path.join(folder, "case.wmap")
            with open(spec, "w", encoding="utf-8") as f:
                f.write(text + f"\nmap with_arguments {{ use {name} ({arguments}) }}\n")
            name = "with_arguments"
        done = subprocess.run([WMAP, "check", spec, listing, "--map", name, "--format", "json"], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True)
    said = json.loads(done.stdout).get("reverse") if done.stdout.startswith("{") else None
    if not said:
        return None
    reason = said["reasons"][0]["message"] if said["reasons"] else ""
    if not said["reversible"]:
        return "no: " + reason
    return {"yes": "exact", "no": "yes; " + reason}.get(said["exact"], "exact unless something over- or underflows")


def column(path):
    with open(path, encoding="utf-8") as f:
        text = f.read()
    seen = {}
    for name, arguments, given in tests(text):
        if name not in seen:
            seen[name] = verdict(path, name, arguments, given)
    parts = {k: v for k, v in seen.items() if v}
    if len(set(parts.values())) == 1:
        return next(iter(parts.values()))
    return "; ".join(f"`{k}`: {v}" for k, v in parts.items())


def main():
    with open(DOCUMENT, encoding="utf-8") as f:
        old = f.read()
    lines = []
    for line in old.split("\n"):
        spec = re.search(r"\(\.\./tests/cases/(.*?\.wmap)\)", line)
        cells = line.split(" | ")
        if line.startswith("| ") and spec and not cells[3].startswith("refused"):
            cells[3] = column(os.path.join(HERE, spec[1])).replace("|", "\\|") + " |" * cells[3].endswith(" |")
            line = " | ".join(cells)
        lines.append(line)
    new = "\n".join(lines)
    if "--check" in sys.argv[1:]:
        for a, b in zip(old.split("\n"), lines):
            if a != b:
                print(f"-{a}\n+{b}")
        return new != old
    with open(DOCUMENT, "w", encoding="utf-8") as f:
        f.write(new)
    return 0


sys.exit(main())
