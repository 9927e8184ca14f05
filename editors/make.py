#!/usr/bin/env python3
"""editors/make.py [--check]: writes the editor files beside it, whose lists of words are those of the scanner and the compiler's tables.

vim/syntax/wmap.vim, vscode/syntaxes/wmap.tmLanguage.json (also what GitHub would take). --check changes nothing and fails if they would change."""

import json
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)


def text(name):
    with open(os.path.join(ROOT, name), encoding="utf-8") as f:
        return f.read()


def words(name, pattern, begin=None, end=None):
    source = text(name)
    if begin:
        source = source[source.index(begin):]
        source = source[:source.index(end)]
    found = re.findall(pattern, source, re.M)
    if not found:
        sys.exit(f"editors/make.py: no words in {name}")
    return found


KEYWORDS = words("grammar/wmap.l", r"^([a-z]+) +return T_")
OPERATIONS = [w for w in words("compiler/resolve_ops.c", r'\{"([a-z0-9]+)", WM_STEP_')] + ["cast"]
FUNCTIONS = words("compiler/eval.c", r'\[FN_[A-Z]+\] = \{"([a-z]+)"')
DTYPES = words("runtime/base/dtype.def", r'^WM_DTYPE\(\w+, "(\w+)"')
LITERALS = ["iota", "random", "inf", "nan"]
POLICIES = words("compiler/resolve_ops.c", r'WM_STR\("(saturate|allow)"\)')
CONSTANTS = ["true", "false"]
WORD_OPERATORS = ["and", "or", "not", "has", "in"]
DECLARE = ["wmap", "import", "as", "param", "table", "model", "map", "test", "of", "layer", "dialect", "architecture", "block"]
CONTEXTUAL = ["meta", "from", "to"]


def unique(names):
    return list(dict.fromkeys(names))


OPERATIONS = unique(OPERATIONS)
STATEMENTS = [w for w in KEYWORDS if w not in CONSTANTS + WORD_OPERATORS + DECLARE] + ["meta"]


def vim():
    def keywords(group, names, more=""):
        return f"syn keyword {group} contained {' '.join(unique(names))}{more}\n"

    out = [
        '" Vim syntax file for wmap specs. Made by editors/make.py from the grammar: change that.\n',
        'if exists("b:current_syntax")\n  finish\nendif\n\n',
        "syn case match\nsyn iskeyword @,48-57,_\n\n",
        "syn keyword wmapTodo contained TODO FIXME XXX\n",
        'syn match wmapComment "#.*$" contains=wmapTodo,@Spell\n',
        'syn match wmapNumber "\\<\\d\\+\\(\\.\\d\\+\\)\\?\\([eE][+-]\\?\\d\\+\\)\\?\\>"\n',
        'syn match wmapOperator "->\\||\\|\\.\\.\\.\\|\\.\\.\\|[-+*/%=<>!]"\n',
    ]
    # Before `:` or `=` a keyword is a tag or a name, in brackets an axis.
    for group, names in (("wmapStatement", STATEMENTS), ("wmapDeclare", DECLARE), ("wmapWordOperator", WORD_OPERATORS),
                         ("wmapBoolean", CONSTANTS), ("wmapOperation", OPERATIONS + POLICIES), ("wmapFunction", FUNCTIONS),
                         ("wmapType", DTYPES), ("wmapLiteral", LITERALS)):
        any_of = "\\|".join(unique(names))
        out.append(f'syn match {group} "\\<\\%({any_of}\\)\\>\\%(\\s*\\%(:\\|=[^=]\\)\\)\\@!"\n')
    out += [
        'syn match wmapTag "\\<\\h\\w*\\ze\\s*:"\n',
        'syn match wmapAxis contained "\\<\\h\\w*\\>"\n',
        'syn match wmapLayoutWord contained "\\<\\%(and\\|or\\|not\\|has\\|true\\|false\\)\\>"\n',
        'syn region wmapLayout matchgroup=wmapBracket start="\\[" end="\\]" contains=wmapAxis,wmapLayoutWord,wmapNumber,wmapOperator,'
        "wmapString,wmapRaw,wmapComment,wmapLayout,wmapTag\n",
        'syn match wmapEscape contained "\\\\\\%([\\"\\\\{}nt]\\|u{\\x\\{1,6}}\\)"\n',
        'syn region wmapHole contained matchgroup=wmapBrace start="{" end="}" oneline contains=wmapNumber,wmapOperator,wmapHoleWord\n',
        'syn match wmapHoleWord contained "\\<\\h\\w*\\>"\n',
        'syn region wmapString start=+"+ skip=+\\\\.+ end=+"+ oneline contains=wmapEscape,wmapHole\n',
        "syn region wmapRaw start=+'+ end=+'+ oneline\n\n",
    ]
    links = {"Comment": "Comment", "Todo": "Todo", "Number": "Number", "Operator": "Operator", "Statement": "Statement", "Declare": "Structure",
             "WordOperator": "Operator", "Boolean": "Boolean", "Operation": "Function", "Function": "Function", "Type": "Type",
             "Literal": "Constant", "Tag": "Label", "Axis": "Identifier", "LayoutWord": "Operator", "Bracket": "Delimiter",
             "Escape": "SpecialChar", "Brace": "Special", "HoleWord": "Special", "String": "String", "Raw": "String"}
    out += [f"hi def link wmap{name} {group}\n" for name, group in links.items()]
    out.append('\nlet b:current_syntax = "wmap"\n')
    return "".join(out)


def textmate():
    def names(scope, list_):
        return {"name": scope, "match": r"\b(?:" + "|".join(unique(list_)) + r")\b(?!\s*(?::|=(?!=)))"}

    number = {"name": "constant.numeric.wmap", "match": r"\b\d+(?:\.\d+)?(?:[eE][+-]?\d+)?\b"}
    operator = {"name": "keyword.operator.wmap", "match": r"->|\|\|?|\.\.\.?|//|\*\*|==|!=|<=|>=|[-+*/%=<>]"}
    hole = {"name": "meta.embedded.hole.wmap", "begin": r"\{", "end": r"\}|(?=[\"\n])",
            "beginCaptures": {"0": {"name": "punctuation.section.embedded.begin.wmap"}},
            "endCaptures": {"0": {"name": "punctuation.section.embedded.end.wmap"}},
            "patterns": [number, {"name": "variable.other.wmap", "match": r"\b[A-Za-z_]\w*\b"}, operator]}
    return json.dumps({
        "information_for_contributors": ["Made by editors/make.py from the grammar: change that."],
        "$schema": "https://raw.githubusercontent.com/martinring/tmlanguage/master/tmlanguage.json",
        "name": "wmap",
        "scopeName": "source.wmap",
        "fileTypes": ["wmap"],
        "patterns": [{"include": "#all"}],
        "repository": {
            "all": {"patterns": [{"include": "#" + n} for n in ("comment", "string", "raw", "layout", "words")]},
            "comment": {"name": "comment.line.number-sign.wmap", "match": r"#.*$"},
            "string": {"name": "string.quoted.double.wmap", "begin": '"', "end": r'"|(?=\n)',
                       "patterns": [{"name": "constant.character.escape.wmap", "match": r"\\(?:[\"\\{}nt]|u\{[0-9A-Fa-f]{1,6}\})"},
                                    {"name": "invalid.illegal.escape.wmap", "match": r"\\."}, hole]},
            "raw": {"name": "string.quoted.single.wmap", "match": r"'[^'\n]*'"},
            "layout": {"name": "meta.brackets.wmap", "begin": r"\[", "end": r"\]",
                       "beginCaptures": {"0": {"name": "punctuation.section.brackets.begin.wmap"}},
                       "endCaptures": {"0": {"name": "punctuation.section.brackets.end.wmap"}},
                       "patterns": [{"include": "#comment"}, {"include": "#string"}, {"include": "#raw"}, {"include": "#layout"},
                                    {"name": "keyword.operator.word.wmap", "match": r"\b(?:and|or|not|has)\b"},
                                    {"name": "constant.language.wmap", "match": r"\b(?:true|false)\b"},
                                    {"name": "entity.name.tag.wmap", "match": r"\b[A-Za-z_]\w*(?=\s*:)"},
                                    {"name": "variable.parameter.axis.wmap", "match": r"\b[A-Za-z_]\w*\b"}, number, operator]},
            "words": {"patterns": [
                names("constant.language.wmap", CONSTANTS),
                names("keyword.operator.word.wmap", WORD_OPERATORS),
                names("keyword.declaration.wmap", DECLARE),
                names("support.function.operation.wmap", OPERATIONS + POLICIES),
                names("keyword.control.wmap", STATEMENTS),
                names("support.function.wmap", FUNCTIONS),
                names("storage.type.dtype.wmap", DTYPES),
                names("support.constant.wmap", LITERALS),
                {"name": "entity.name.tag.wmap", "match": r"\b[A-Za-z_]\w*(?=\s*:)"},
                number, operator]},
        },
    }, indent=2) + "\n"


def main():
    wrong = []
    for name, content in (("vim/syntax/wmap.vim", vim()), ("vscode/syntaxes/wmap.tmLanguage.json", textmate())):
        path = os.path.join(HERE, name)
        have = text(os.path.join("editors", name)) if os.path.exists(path) else None
        if have == content:
            continue
        wrong.append(name)
        if "--check" not in sys.argv[1:]:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as f:
                f.write(content)
    if "--check" in sys.argv[1:] and wrong:
        sys.exit("out of date, run editors/make.py: " + ", ".join(wrong))


main()
