#!/bin/bash
# tests/language/pages.sh: the specs of docs/errors.md: the first of a section raises its id and no other, the second none, each
# with `wmap check`, those of an R id with `wmap run`; and `wmap explain ID` prints the section.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"
export WMAP_SPECS=$here/../../specs
document=$here/../../docs/errors.md
[ -f "$document" ] || exit 2
cd "$scratch" || exit 2
cp -r "$here"/diag/W0001/near "$here"/diag/W0001/far . || exit 2

# spec ID WANT: ./block raises WANT, or nothing if that is empty
spec() {
    local id=$1 want=$2 status=0 ids
    prepare block
    cp block example.wmap
    if [[ $id == R* ]]; then
        "$WMAP" run example.wmap "${args[@]}" -o out.npz --force >err 2>&1 </dev/null || status=$?
    elif [ "$id" = E0705 ]; then
        "$WMAP" explain example.wmap "${args[@]}" >err 2>&1 </dev/null
        status=${want:+1} status=${status:-0} # what explain says of the way back is no failure
    else
        "$WMAP" check example.wmap "${args[@]}" >err 2>&1 </dev/null || status=$?
    fi
    ids=$(grep -oE '(error|warning)\[[A-Z0-9]+\]|\b(E0610|R[0-9]{4}):' err | grep -oE '[EWR][0-9]+' | sort -u | tr -d '\n')
    if [ "$ids" = "$want" ] && { [ -z "$want" ] && [ $status = 0 ] || [[ $want == W* ]] || { [ -n "$want" ] && [ $status != 0 ]; }; }; then
        pass
    else
        printf '%s, status %d, wanted: %s\n' "$id" $status "${want:-acceptance}"
        sed 's/^/    /' example.wmap err
        miss "$id ${want:-mended}"
    fi
}

id='' on=0 want='' way=''
while IFS= read -r line; do
    case $line in
        '## '*) id=${line#'## '} id=${id%%:*} ;;
        '```wmap'*)
            on=1 want='' way=${line#'```wmap'}
            [[ $way == *fails=* ]] && want=${way#*fails=} && want=${want%% *}
            : >block
            ;;
        '```')
            [ $on = 1 ] && [[ $way == *printf* ]] && printf '%b' "$(cat block)" >raw && mv raw block
            [ $on = 1 ] && spec "$id" "$want"
            on=0
            ;;
        *) [ $on = 1 ] && printf '%s\n' "$line" >>block ;;
    esac
done <"$document"

# the command prints them, all of them, and says what is near
for id in $(sed -nE 's/^## ([A-Z0-9]+):.*/\1/p' "$document"); do
    { "$WMAP" explain "$id" >page 2>err && head -n 1 page | grep -q "^$id: " && grep -q 'Mended:' page && pass; } || miss "explain $id"
done
"$WMAP" explain --list >list 2>err || miss 'explain --list'
cmp -s <(sed -nE 's/^## ([A-Z0-9]+): .*/\1/p' "$document") <(awk '{print $1}' list) || miss 'the list of explain'
status=0
"$WMAP" explain E9999 >out 2>err || status=$?
{ [ $status = 2 ] && grep -q 'no error E9999' err && pass; } || miss 'an unknown id'
finish
