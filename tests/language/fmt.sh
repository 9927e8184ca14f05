#!/bin/bash
# tests/language/fmt.sh: `wmap fmt`. A messy spec beside what it becomes; and for every spec of the repository that parses:
# the tree stays the same, and what was laid out stays as it is. The library's specs and the examples are laid out.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"
top=$here/../..

check() { # NAME, then a command that must succeed
    local name=$1
    shift
    if "$@"; then pass; else miss "$name"; fi
}

tree() { (cd "$(dirname "$1")" && "$WMAP" explain --stage ast "$(basename "$1")" 2>/dev/null); }

for messy in "$here"/fmt/*.wmap; do
    "$WMAP" fmt - <"$messy" >"$scratch/got.wmap"
    check "$messy" diff -u "${messy%.wmap}.expected" "$scratch/got.wmap"
    check "$messy: the tree" cmp -s <(tree "$messy") <(tree "$scratch/got.wmap")
    # the difference that is shown, applied, gives the result
    cp "$messy" "$scratch/patched.wmap"
    check "$messy: --diff ends with 1" [ "$(cd "$scratch" && "$WMAP" fmt --diff patched.wmap >patch; echo $?)" = 1 ]
    if command -v patch >/dev/null; then
        check "$messy: --diff" patch -s "$scratch/patched.wmap" "$scratch/patch"
        check "$messy: --diff" cmp -s "$scratch/patched.wmap" "${messy%.wmap}.expected"
    fi
done

count=0
while IFS= read -r spec; do
    "$WMAP" fmt - <"$spec" >"$scratch/once.wmap" 2>/dev/null || continue
    count=$((count + 1))
    cmp -s <(tree "$spec") <(tree "$scratch/once.wmap") || miss "$spec: the tree changed"
    "$WMAP" fmt --check - <"$scratch/once.wmap" >/dev/null || miss "$spec: laid out twice it changes"
done < <(find "$here" "$top/specs" "$top/examples" "$top/tests/cases" -name '*.wmap')
check "most specs parse" [ "$count" -gt 100 ]

# with the files that they are for, the plan is the same but for the places in the text
moves() { (cd "$scratch/plan" && "$WMAP" explain --moves "$@" "${args[@]}" 2>/dev/null | sed -E 's/ at [^ ]+:[0-9]+:[0-9]+$//'); }
cp -r "$here/plan" "$scratch/" || exit 2
for spec in "$here"/plan/[!_]*.wmap; do
    cd "$scratch/plan" || exit 2
    prepare "$spec"
    moves "$(basename "$spec")" >../moves
    "$WMAP" fmt "$(basename "$spec")" || miss "$spec: fmt"
    moves "$(basename "$spec")" | cmp -s - ../moves && [ -s ../moves ] || miss "$spec: the moves changed"
    cd "$here" || exit 2
done
check "specs and examples are laid out" "$WMAP" fmt --check "$top/specs" "$top/examples"

# in place: the mode stays, a link stays one, a spec that does not parse stays as it is
mkdir -p "$scratch/folder/sub"
printf 'wmap 1\nmap main {\n"a"->"b"\n}\n' >"$scratch/folder/sub/a.wmap"
printf 'wmap 1\nmap main {\n"a"->\n}\n' >"$scratch/folder/bad.wmap"
cp "$scratch/folder/bad.wmap" "$scratch/bad.before"
chmod 640 "$scratch/folder/sub/a.wmap"
ln -s sub/a.wmap "$scratch/folder/link.wmap"
check "--check names what would change" [ "$("$WMAP" fmt --check "$scratch/folder/sub")" = "$scratch/folder/sub/a.wmap" ]
"$WMAP" fmt "$scratch/folder" 2>"$scratch/err"
check "a spec with errors is status 1" [ $? = 1 ]
check "and its errors are shown" grep -q 'bad.wmap:[34]:' "$scratch/err"
check "and it stays" cmp -s "$scratch/bad.before" "$scratch/folder/bad.wmap"
check "the other is laid out" [ "$(cat "$scratch/folder/sub/a.wmap")" = "$(printf 'wmap 1\nmap main {\n  "a" -> "b"\n}')" ]
check "its mode stays" [ "$(stat -c %a "$scratch/folder/sub/a.wmap")" = 640 ]
check "the link stays" [ -L "$scratch/folder/link.wmap" ]
"$WMAP" fmt "$scratch/none.wmap" 2>/dev/null
check "a missing file is status 2" [ $? = 2 ]
"$WMAP" fmt 2>/dev/null
check "no file is status 2" [ $? = 2 ]
finish
