#!/bin/bash
# The manual page lists exactly the commands and flags that the program has. `--update` rewrites the lists.
. "$(dirname "$0")/lib.sh"
page=$SOURCE/docs/man/wmap.1
run 0 help --roff
cp out lists
if [ "${1:-}" = --update ]; then
    awk -v lists=lists '/^.\\" begin lists/ {print; while ((getline line <lists) > 0) print line; skip = 1}
        /^.\\" end lists/ {skip = 0} !skip' "$page" >page && cp page "$page"
fi
awk '/^.\\" end lists/ {on = 0} on; /^.\\" begin lists/ {on = 1}' "$page" >in_page
diff -u in_page lists || fail "docs/man/wmap.1 is out of date: tests/cli/manual.sh --update"
if command -v man >/dev/null && command -v groff >/dev/null; then
    man --warnings -E UTF-8 -l "$page" >/dev/null 2>warnings || fail "man can't show the page"
    empty warnings
fi
finish
