"""editors.py SOURCE: the syntax files against a scanner of its own: in every spec of the repository each keyword, string and comment must be
marked as one. With vim where that is there, and with the TextMate grammar where node finds vscode-textmate and vscode-oniguruma."""

import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

SOURCE = sys.argv[1]
TOKEN = re.compile(
    r"(?P<comment>#[^\n]*)|(?P<string>\"(?:\\.|\{[^}\n]*\}|[^\"\\\n])*\")|(?P<raw>'[^'\n]*')|(?P<word>[A-Za-z_]\w*)|(?P<open>\[)|(?P<close>\])"
    r"|(?P<number>\d[\w.]*)|(?P<other>[^\s])")


def keywords():
    with open(os.path.join(SOURCE, "grammar", "wmap.l"), encoding="utf-8") as f:
        return set(re.findall(r"^([a-z]+) +return T_", f.read(), re.M))


def expected(text, words):
    """(line, column, kind) of what must be marked, from 0."""
    depth, out = 0, []
    begins = [m.start() for m in re.finditer(r"^", text, re.M)]
    line = 0
    for m in TOKEN.finditer(text):
        while line + 1 < len(begins) and begins[line + 1] <= m.start():
            line += 1
        at = (line, m.start() - begins[line])
        kind = m.lastgroup
        depth += (kind == "open") - (kind == "close")
        if kind in ("comment", "string", "raw"):
            out.append((*at, "comment" if kind == "comment" else "string"))
        elif kind == "word" and depth == 0 and m.group() in words and not re.match(r"\s*(:|=[^=])", text[m.end():]):
            out.append((*at, "keyword"))
    return out


KINDS = {"comment": {"wmapComment"}, "string": {"wmapString", "wmapRaw"},
         "keyword": {"wmapStatement", "wmapDeclare", "wmapWordOperator", "wmapBoolean", "wmapOperation"}}


def with_vim(path, wanted):
    with tempfile.TemporaryDirectory() as folder:
        names = os.path.join(folder, "names")
        script = ["set nocompatible columns=2000", f"set runtimepath^={SOURCE}/editors/vim", "syntax on",
                  "set filetype=wmap", "syntax sync fromstart", "let out = []"]
        script += [f"call add(out, synIDattr(synID({l + 1}, {c + 1}, 0), 'name'))" for l, c, _ in wanted]
        script += [f"call writefile(out, '{names}')", "qall!"]
        with open(os.path.join(folder, "script.vim"), "w", encoding="utf-8") as f:
            f.write("\n".join(script))
        subprocess.run(["vim", "-u", "NONE", "-i", "NONE", "-n", "-es", "-S", f.name, path], stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120)
        with open(names, encoding="utf-8") as f:
            return f.read().split("\n")[:-1]


NODE = r"""
const vt = require('vscode-textmate'), oni = require('vscode-oniguruma'), fs = require('fs'), path = require('path');
const wasm = fs.readFileSync(path.join(path.dirname(require.resolve('vscode-oniguruma')), 'onig.wasm')).buffer;
(async () => {
  await oni.loadWASM(wasm);
  const registry = new vt.Registry({
    onigLib: Promise.resolve({createOnigScanner: p => new oni.OnigScanner(p), createOnigString: s => new oni.OnigString(s)}),
    loadGrammar: async () => vt.parseRawGrammar(fs.readFileSync(process.argv[2], 'utf8'), 'x.json')});
  const grammar = await registry.loadGrammar('source.wmap');
  const out = {};
  for (const file of process.argv.slice(3)) {
    let stack = vt.INITIAL; out[file] = [];
    for (const line of fs.readFileSync(file, 'utf8').split('\n')) {
      const r = grammar.tokenizeLine(line, stack); stack = r.ruleStack;
      out[file].push(r.tokens.map(t => [t.startIndex, t.endIndex, t.scopes.join(' ')]));
    }
  }
  process.stdout.write(JSON.stringify(out));
})().catch(e => { console.error(e); process.exit(1); });
"""
SCOPES = {"comment": "comment.line", "string": "string.quoted", "keyword": "keyword.|constant.language|support.function.operation"}


def with_textmate(specs):
    done = subprocess.run(["node", "-e", NODE, "-", os.path.join(SOURCE, "editors/vscode/syntaxes/wmap.tmLanguage.json"), *specs],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        print("skipped: node does not find vscode-textmate and vscode-oniguruma (NODE_PATH)")
        return None
    return json.loads(done.stdout)


def main():
    words, bad, looked = keywords(), 0, 0
    specs = sorted(glob.glob(os.path.join(SOURCE, "specs", "**", "*.wmap"), recursive=True)
                   + glob.glob(os.path.join(SOURCE, "tests", "cases", "*.wmap")) + glob.glob(os.path.join(SOURCE, "examples", "**", "*.wmap"), recursive=True))
    vim = shutil.which("vim")
    if not vim:
        print("skipped: there is no vim")
    textmate = with_textmate(specs) if shutil.which("node") else None
    for path in specs:
        with open(path, encoding="utf-8") as f:
            text = f.read()
        wanted = expected(text, words)
        if vim:
            for (line, column, kind), name in zip(wanted, with_vim(path, wanted), strict=True):
                looked += 1
                if name not in KINDS[kind]:
                    bad += 1
                    print(f"{path}:{line + 1}:{column + 1}: vim has {name or 'nothing'} for a {kind}")
        for line, column, kind in wanted if textmate else ():
            looked += 1
            # UTF-16 columns, as the grammar's users count
            at = len(text.split("\n")[line][:column].encode("utf-16-le")) // 2
            scopes = next((s for b, e, s in textmate[path][line] if b <= at < e), "")
            if not any(s in scopes for s in SCOPES[kind].split("|")):
                bad += 1
                print(f"{path}:{line + 1}:{column + 1}: the TextMate grammar has {scopes or 'nothing'} for a {kind}")
    print(f"{looked} marks looked at, {bad} wrong")
    return 1 if bad else 0


sys.exit(main())
