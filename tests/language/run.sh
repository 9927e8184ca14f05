#!/bin/bash
# tests/language/run.sh [--update] [WORD]: runs the specs beside it and compares all that wmap says.
#
#   diag/ID/*.wmap    `wmap check`: exit status and stderr, which must name the ID; each id has its smallest spec
#   plan/*.wmap       `wmap explain --moves -q`: exit status, stdout and stderr
#   reverse/*.wmap    `wmap explain`: the same, so with what it says of the other direction
#   many.wmap         as diag/: many mistakes in one run
#
# The comment on top of a spec may hold `# args: ...`, more arguments, and `# file: NAME TENSOR:F32[2,3] ...`, a
# safetensors file to be made beside it. A spec whose name begins with an underscore is only imported by
# others. --update rewrites what is expected: read each change. WORD runs the cases whose path has it.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"
update=0 word=
for a in "$@"; do
    case $a in
        --update) update=1 ;;
        *) word=$a ;;
    esac
done

# run_case FOLDER NAME COMMAND...
run_case() {
    local folder=$1 name=$2 path status=0 want="$here/$1/$2.expected"
    path=$folder/$name
    shift 2
    case $path in *"$word"*) ;; *) return ;; esac
    cd "$scratch/$folder" || exit 2
    prepare "$name.wmap"
    "$WMAP" "$@" "$name.wmap" "${args[@]}" >"$scratch/out" 2>"$scratch/err" </dev/null || status=$?
    {
        printf 'status %d\n' $status
        cat "$scratch/out" "$scratch/err"
    } >"$scratch/got"
    if [ $update = 1 ] && ! cmp -s "$scratch/got" "$want"; then
        cp "$scratch/got" "$want"
        printf 'updated %s\n' "$path"
    fi
    if [ ! -f "$want" ]; then
        printf '%s: there is no %s.expected\n' "$path" "$name"
        miss "$path"
    elif ! diff -u "$want" "$scratch/got" >"$scratch/diff"; then
        printf '%s:\n' "$path"
        sed 's/^/    /' "$scratch/diff"
        miss "$path"
    elif [[ $folder == diag/W* ]] && ! grep -q "warning\[${folder#diag/}\]" "$scratch/got"; then
        printf '%s: the output does not name the id of its folder\n' "$path"
        miss "$path"
    elif [[ $folder == diag/E* ]] && ! grep -q "error\[${folder#diag/}\]" "$scratch/got"; then
        printf '%s: the output does not name the id of its folder\n' "$path"
        miss "$path"
    elif [[ $folder == plan || $folder == reverse ]] && [ $status != 0 ]; then
        printf '%s: a spec of %s/ must compile\n' "$path" "$folder"
        miss "$path"
    else
        pass
    fi
}

cp -r "$here/diag" "$here/plan" "$here/reverse" "$scratch/" || exit 2
cp "$here"/*.wmap "$scratch/" 2>/dev/null
for spec in "$here"/diag/*/*.wmap "$here"/plan/*.wmap "$here"/reverse/*.wmap "$here"/*.wmap; do
    [ -e "$spec" ] || continue
    name=$(basename "$spec" .wmap)
    folder=${spec#"$here"/}
    folder=$(dirname "$folder")
    case $name in _*) continue ;; esac
    case $folder in
        plan) run_case plan "$name" explain --moves -q ;;
        reverse | diag/E0705) run_case "$folder" "$name" explain ;; # found in what the other direction would do
        *) run_case "$folder" "$name" check ;;
    esac
done
finish
