#!/bin/bash
# `wmap new`: the folder's own recipes pass, notice what is wrong, and nothing that stands there is replaced.
. "$(dirname "$0")/lib.sh"
run 0 new model
run 0 fmt --check model
run 0 test model --coverage
has out '1 passed, 0 failed'
grep -q 'not exercised' out && fail 'a rule of the new spec has no test'
run 2 new model
has err 'File exists'
run 2 new
has err 'name the folder'
run 2 new no/such/folder
mkdir full && echo mine >full/Makefile
run 2 new full
has err 'Makefile: File exists'
[ "$(ls -A full)" = Makefile ] || fail 'files beside one that was there'
ln -s model/README.md link
run 2 new link

# the Makefile: green as it stands, red when a spec is damaged
if command -v make >/dev/null; then
    PATH=$(dirname "$WMAP"):$PATH make -C model >out 2>err || { fail 'make'; cat out err; }
    [ -s model/plans/model.plan ] || fail 'no plan'
    run 0 explain model/plans/model.plan
    echo '{"name": "extra", "dtype": "f32", "shape": [1]}' >>model/names/model.jsonl
    PATH=$(dirname "$WMAP"):$PATH make -C model >out 2>err && fail 'make passes over a tensor that the spec forgets'
    grep -q E0522 err || fail 'make says nothing of E0522'
fi

# the rest is YAML, whose commands are of this program
if command -v python3 >/dev/null && python3 -c 'import yaml' 2>/dev/null; then
    for f in .github/workflows/wmap.yml .gitlab-ci.yml .pre-commit-config.yaml; do
        python3 -c 'import sys, yaml; yaml.safe_load(open(sys.argv[1]))' "model/$f" || fail "$f is no YAML"
    done
fi
for words in $(grep -ohE 'wmap (fmt|test|check|compile|run)\b' -r model | awk '{print $2}' | sort -u); do
    "$WMAP" help "$words" >/dev/null || fail "there is no command $words"
done
finish
