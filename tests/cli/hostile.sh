#!/bin/bash
# Damaged and lying files, from outside: status 3 (2 for what is no weight file), one line that names the file,
# nothing at the output's path, and neither time nor memory spent on a lie.
. "$(dirname "$0")/lib.sh"
sample good.safetensors
npy good.npy '<f4' '(2, 2)' '\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0'
mkdir out_folder

# refused STATUS FILE: inspect refuses it (or run does, when the lie is in the data), leaves nothing
refused() {
    local want=$1 file=$2 got=0
    (ulimit -c 0; [ -n "${WMAP_NO_LIMIT:-}" ] || ulimit -v 4000000 2>/dev/null
        timeout 20 "$WMAP" run -e 'keep rest' "$file" -o out_folder/o.npz >out 2>err) || got=$?
    [ $got = "$want" ] || {
        fail "$file: status $got, not $want"
        sed 's/^/    /' err
    }
    has err "$file"
    [ "$(wc -l <err)" = 1 ] || fail "$file: $(wc -l <err) lines of words"
    empty out
    [ -z "$(ls -A out_folder)" ] || {
        fail "$file: left $(ls -A out_folder)"
        rm -f out_folder/* out_folder/.[!.]*
    }
}
# The address-space limit is not for a sanitizer's shadow.
nm -D "$WMAP" 2>/dev/null | grep -qE "__[at]san" && WMAP_NO_LIMIT=1

: >empty.safetensors
refused 2 empty.safetensors
printf 'abcdefg' >seven.bin
refused 2 seven.bin
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n' >lfs.h5
refused 2 lfs.h5
has err "Git LFS"

# safetensors: every cut, and lies in the header
size=$(stat -c %s good.safetensors)
for ((n = 9; n < size; n += 3)); do
    head -c $n good.safetensors >cut.safetensors
    refused 3 cut.safetensors
done
{ cat good.safetensors; printf 'x'; } >long.safetensors
refused 3 long.safetensors
n=0
while read -r header; do
    n=$((n + 1))
    safetensors lie$n.safetensors "$header" '\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0'
    refused 3 lie$n.safetensors
done <<'LIES'
{
{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},}
{"a":{"dtype":"F32","shape":[4],"data_offsets":[16,0]}}
{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,-16]}}
{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,1e1]}}
{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,18446744073709551616]}}
{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,16]}}
{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,12]}}
{"a":{"dtype":"F32","shape":[4194305,4194305,211106198978564],"data_offsets":[0,16]}}
{"a":{"dtype":"I32","shape":[2,9223372036854775807],"data_offsets":[0,16]}}
{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[12,16]}}
{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]},"b":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}
{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}
{"__metadata__":{"k":1},"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}
{"a":{"dtype":"F80","shape":[4],"data_offsets":[0,16]}}
LIES
# a header of more than 100 MB, which is no file of another kind if a header seems to follow
for length in 100000001 4294967356 1099511627775; do
    printf "$(le 8 $length)"'{' >huge.safetensors
    truncate -s 100 huge.safetensors
    refused 3 huge.safetensors
done
for length in '\x3c\0\0\0\xff\xff\xff\xff' '\xff\xff\xff\xff\xff\xff\xff\xff'; do
    printf "$length"'{"w":{}}' >huge.safetensors
    refused 3 huge.safetensors
    printf "$length"'{[' >huge.safetensors
    refused 2 huge.safetensors
done
printf '{"abc": {"dtype": "F32"}}' >text.json
refused 2 text.json

# headers of almost 100 MB: spaces are read over, one long key is refused, both in no time
spaces() { head -c "$1" /dev/zero | tr '\0' ' '; }
header='{"w":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}'
{ printf "$(le 8 $((${#header} + 99000000)))"; printf '%s' "$header"; spaces 99000000; printf '\1\2'; } >wide.safetensors
timeout 10 "$WMAP" inspect wide.safetensors >out 2>err || fail "99 MB of spaces: status $?: $(cat err)"
has out "1 tensor, 2 bytes"
{ printf "$(le 8 50000020)"; printf '{"'; spaces 50000000 | tr ' ' k; printf '":{}}             '; } >wide.safetensors
refused 3 wide.safetensors
has err "a name is too long"
rm -f wide.safetensors

# a pattern of many holes against a name of 65,000 equal letters
name=$(spaces 65000 | tr ' ' a)
safetensors long.safetensors '{"'"$name"'":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}' '\1'
got=0
timeout 10 "$WMAP" check -e '"{p:**}a{q:**}a{r:**}a{s:**}a{t:**}b" -> "{p}{q}{r}{s}{t}"' long.safetensors >out 2>err || got=$?
[ $got = 3 ] || fail "many holes, long name: status $got"
has err E0401

# npy
size=$(stat -c %s good.npy)
for ((n = 8; n < size; n += 5)); do
    head -c $n good.npy >cut.npy
    refused 3 cut.npy
done
{ cat good.npy; printf 'x'; } >long.npy
refused 3 long.npy
npy tera.npy '<f4' '(1000000, 1000000)' '\0\0\0\0'
refused 3 tera.npy
npy negative.npy '<f4' '(-1,)' '\0\0\0\0'
refused 3 negative.npy
npy wrap.npy '<f4' '(9223372036854775808, 2)' '\0\0\0\0'
refused 3 wrap.npy
npy calls.npy '<f4' "(__import__('os').system('touch pwned'),)" '\0\0\0\0'
refused 3 calls.npy
absent pwned

# zips, made by wmap itself from the good file
"$WMAP" run -e 'keep rest' good.safetensors -o good.npz 2>err || fail "good.npz: $(cat err)"
"$WMAP" run -e 'keep rest' good.safetensors -o good.pth 2>err || fail "good.pth: $(cat err)"
for kind in npz pth; do
    size=$(stat -c %s good.$kind)
    for ((n = 30; n < size; n += size / 23)); do
        head -c $n good.$kind >cut.$kind
        refused 3 cut.$kind
    done
done

# HDF5
if [ -x "$BUILD/wmap-hdf5" ]; then
    h5=$SOURCE/examples/cnn/cnn.h5
    size=$(stat -c %s "$h5")
    for ((n = 16; n < size; n += size / 11)); do
        head -c $n "$h5" >cut.h5
        refused 3 cut.h5
    done
fi

# plans
"$WMAP" compile -e '"w" [a b] -> "w" [b a]; drop "b"' good.safetensors -o good.plan 2>err || fail "plan: $(cat err)"
size=$(stat -c %s good.plan)
for ((n = 16; n < size; n += 7)); do
    head -c $n good.plan >cut.plan
    got=0
    "$WMAP" run cut.plan good.safetensors -o out_folder/o.npz >out 2>err || got=$?
    [ $got = 3 ] || fail "plan cut at $n: status $got: $(cat err)"
    absent out_folder/o.npz
done
for ((n = 12; n < size; n++)); do
    cp good.plan flip.plan
    byte=$(od -An -tu1 -j$n -N1 good.plan)
    printf "\\x$(printf %02x $((byte ^ 1)))" | dd of=flip.plan bs=1 seek=$n conv=notrunc status=none
    got=0
    "$WMAP" run flip.plan good.safetensors -o out_folder/o.npz >out 2>err || got=$?
    [ $got = 3 ] || fail "plan with byte $n changed: status $got: $(cat err)"
    absent out_folder/o.npz
done
finish
