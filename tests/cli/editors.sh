#!/bin/bash
# The editor files have the words of the grammar, and vim (where it is installed) finds them in every spec.
. "$(dirname "$0")/lib.sh"
command -v python3 >/dev/null || { echo 'skipped: there is no python3'; exit 0; }
python3 "$SOURCE/editors/make.py" --check || fail 'editors/make.py'
for f in vscode/package.json vscode/language-configuration.json vscode/syntaxes/wmap.tmLanguage.json; do
    python3 -m json.tool "$SOURCE/editors/$f" >/dev/null || fail "$f is no JSON"
done
python3 "$SOURCE/tests/cli/editors.py" "$SOURCE" || fail 'editors.py'
finish
