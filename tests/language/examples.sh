#!/bin/bash
# tests/language/examples.sh [DOCUMENT]: the examples of docs/language.md. A block that is fenced as
#
#   ```wmap              must be accepted by `wmap check`
#   ```wmap fails=E0510  must be refused with that id, and no other
#
# is a whole spec, or items of one without the first statement `wmap 1`, or the statements of one map. `# file:` and
# `# args:` on top mean what they do in run.sh.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"
document=${1:-$here/../../docs/language.md}
[ -f "$document" ] || exit 2
cd "$scratch" || exit 2

# example LINE WANT: ./block is what stands at LINE of the document
example() {
    local line=$1 want=$2 status=0 first ids maps map
    : >out
    : >err
    first=$(grep -vE '^[[:space:]]*(#|$)' block | head -n 1)
    prepare block
    case $first in
        'wmap '*) cp block example.wmap ;;
        import\ * | param\ * | table\ * | model\ * | map\ * | test\ * | layer\ *)
            { echo 'wmap 1' && cat block; } >example.wmap
            ;;
        *) { echo 'wmap 1; map main {' && cat block && echo '}'; } >example.wmap ;;
    esac
    # every map of it that needs no parameters
    maps=$(sed -nE 's/^map +([A-Za-z_0-9]+) +[^( ].*/\1/p' example.wmap)
    for map in ${maps:-main}; do
        "$WMAP" check --map "$map" example.wmap "${args[@]}" >>out 2>>err </dev/null || status=$?
    done
    ids=$(grep -oE 'error\[[A-Z0-9]+\]' err | sort -u | tr -d '\n')
    if { [ -z "$want" ] && [ $status = 0 ]; } || { [ -n "$want" ] && [ "$ids" = "error[$want]" ]; }; then
        pass
    else
        printf 'the example at line %d, status %d, wanted: %s\n' "$line" $status "${want:-acceptance}"
        sed 's/^/    /' example.wmap err
        miss "line $line"
    fi
}

number=0 inside=0
while IFS= read -r text; do
    number=$((number + 1))
    if [ $inside = 0 ] && [[ $text =~ ^\`\`\`wmap(\ fails=([A-Z0-9]+))?$ ]]; then
        inside=1 start=$number want=${BASH_REMATCH[2]}
        : >block
    elif [ $inside = 1 ] && [ "$text" = '```' ]; then
        inside=0
        example "$start" "$want"
    elif [ $inside = 1 ]; then
        printf '%s\n' "$text" >>block
    fi
done <"$document"
finish
