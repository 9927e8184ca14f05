#!/bin/bash
# tests/language/back.sh: every spec of plan/ and reverse/ that reads one file, over a file with some bytes in it: where wmap
# calls the map exact, it runs it back and wants the same bits. Where such bytes break a promise of the map, it takes zeros.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"

# declared SPEC: a file of what the map's model declares, if that is plain tensors
declared() {
    local model items=() item
    model=$(sed -n 's/^map .* from \([a-z_]*\).*/\1/p' "$1" | head -n 1)
    [ -n "$model" ] || return
    while IFS= read -r item; do
        items+=("$item")
    done < <(sed -n "/^model $model {/,/}/p" "$1" | grep -o '"[^"{]*" *: *[a-z0-9]* \[[0-9 ]*\]' |
        sed 's/^"\([^"]*\)" *: *\([a-z0-9]*\) \[\(.*\)\]$/\1:\U\2\E[\3]/; s/ *\([0-9]\) \([0-9]\)/\1,\2/g; s/\([0-9]\) \([0-9]\)/\1,\2/g')
    [ ${#items[@]} = 0 ] || weights in.safetensors "${items[@]}"
}

# fill FILE: other bytes than zeros behind the header
fill() {
    local size=$(($(od -An -tu8 -N8 "$1") + 8))
    local rest=$(($(stat -c %s "$1") - size))
    seq 7 1000000 | head -c $rest | dd of="$1" bs=65536 seek=$size oflag=seek_bytes conv=notrunc status=none
}

# one FOLDER NAME: 0 it came back, 1 it didn't, 2 nothing was claimed
one() {
    cd "$scratch/$1" || exit 2
    rm -f ./*.safetensors
    prepare "$2.wmap"
    local file= word
    if ! grep -q '^# file' "$2.wmap"; then
        declared "$2.wmap"
        [ -f in.safetensors ] && args+=(in.safetensors)
    fi
    for word in "${args[@]}"; do
        case $word in
            --reverse | -s | --source* | --target-like) return 2 ;; # that is another question
            *.safetensors) [ -z "$file" ] && file=$word || return 2 ;;
        esac
    done
    [ -f "$file" ] || return 2
    fill "$file"
    "$WMAP" check "$2.wmap" "${args[@]}" --format json -q >verdict 2>/dev/null || return 2
    grep -q '"reversible": true, "exact": "yes"' verdict || return 2
    local options=()
    for word in "${args[@]}"; do
        [ "$word" = "$file" ] || options+=("$word")
    done
    if ! "$WMAP" run "$2.wmap" "${args[@]}" -o there.safetensors -f -q 2>broken; then
        grep -q ': R080[123]: ' broken || return 1
        prepare "$2.wmap"
        "$WMAP" run "$2.wmap" "${args[@]}" -o there.safetensors -f -q 2>broken ||
            return $(grep -q ": R080[123]: " broken && echo 2 || echo 1)
    fi
    "$WMAP" run "$2.wmap" "${options[@]}" --reverse there.safetensors --target-like "$file" -o back.safetensors -f -q &&
        "$WMAP" diff "$file" back.safetensors -q
}

cp -r "$here/plan" "$here/reverse" "$scratch/" || exit 2
for spec in "$here"/plan/[!_]*.wmap "$here"/reverse/*.wmap; do
    name=$(basename "$spec" .wmap)
    folder=$(basename "$(dirname "$spec")")
    one "$folder" "$name" >"$scratch/said" 2>&1 </dev/null
    case $? in
        0) pass ;;
        2) ;;
        *)
            sed 's/^/    /' "$scratch/said"
            miss "$folder/$name"
            ;;
    esac
done
[ "$passed" -ge 20 ] || miss "only $passed maps are called exact"
finish
