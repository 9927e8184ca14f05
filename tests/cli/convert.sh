#!/bin/bash
# Conversions from outside: specs and plans, statuses, outputs that are whole or not there.
. "$(dirname "$0")/lib.sh"
sample

cat >t.wmap <<'SPEC'
wmap 1
param name = "weight"
map main {
  "w" [o i] -> "{name}" [i o]
  "b" -> "bias"
}
map other { "w" -> "w"; drop "b" }
SPEC

run 0 run t.wmap a.safetensors -o t.safetensors --map main
[ "$(data t.safetensors)" = 0104020503060708 ] || fail "transposed: $(data t.safetensors)"
run 0 run t.wmap a.safetensors -o t2.safetensors
same t.safetensors t2.safetensors
run 0 run t.wmap a.safetensors -o other.safetensors --map other
[ "$(data other.safetensors)" = 010203040506 ] || fail "other: $(data other.safetensors)"
run 0 run t.wmap a.safetensors -o named.safetensors -D name=kernel
run 0 inspect named.safetensors
has out kernel

# a plan does what its spec did, and is the same bytes each time
run 0 compile t.wmap a.safetensors -o t.plan
run 0 compile t.wmap a.safetensors -o t2.plan
same t.plan t2.plan
run 0 run t.plan a.safetensors -o p.safetensors
same p.safetensors t.safetensors
run 2 compile t.wmap a.safetensors -o t.plan
has err "--force"
run 0 compile t.wmap a.safetensors -o t.plan --force
run 0 compile t.wmap a.safetensors -o - >/dev/null
run 0 check t.plan a.safetensors
run 2 run t.plan a.safetensors -o x.safetensors --map other
has err settled
absent x.safetensors
run 2 compile t.plan -o x.plan
run 0 explain t.plan
mv out from_plan
run 0 explain t.wmap a.safetensors
same out from_plan
has out bias
run 0 explain t.wmap a.safetensors --moves
run 0 explain t.wmap a.safetensors --stage ast
run 0 explain t.wmap a.safetensors --stage statements
run 2 explain t.wmap a.safetensors --stage dreams

# threads don't change a byte
for jobs in 1 2 7; do
    run 0 run t.wmap a.safetensors -o j.safetensors --force --jobs $jobs
    same j.safetensors t.safetensors
done

# what exists is not replaced without --force; a dry run writes nothing
echo precious >keep.safetensors
run 2 run t.wmap a.safetensors -o keep.safetensors
[ "$(cat keep.safetensors)" = precious ] || fail "replaced without --force"
run 0 run t.wmap a.safetensors -o keep.safetensors --dry-run --force
[ "$(cat keep.safetensors)" = precious ] || fail "replaced by a dry run"
run 0 run t.wmap a.safetensors --dry-run
run 0 run t.wmap a.safetensors -o keep.safetensors --force
same keep.safetensors t.safetensors

# a spec with mistakes: 1; files that don't fit: 3; both leave the output alone
run 1 run -e '"w" [a b] -> "w" [a c]; drop "b"' a.safetensors -o no.safetensors
has err "E05"
run 3 run -e '"w" [a b c] -> "w" [c a b]; drop "b"' a.safetensors -o no.safetensors
run 3 run -e '"w" -> "w"' a.safetensors -o no.safetensors
has err "E0522"
run 3 run -e '"nosuch" -> "x"; drop "{**}"' a.safetensors -o no.safetensors
has err "E0401"
run 1 check -e '"w" ->'
has err "E0110"
run 1 check -e '"w" ->' --format json
has out "E0110"
safetensors narrow.safetensors '{"w":{"dtype":"U8","shape":[2,2],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[2],"data_offsets":[4,6]}}' '\x01\x02\x03\x04\x05\x06'
run 3 run t.plan narrow.safetensors -o no.safetensors
has err w
absent no.safetensors

# sources by name, several sources, standard input and output
cp a.safetensors b.safetensors
run 0 run -e '"x/{p:**}" -> "1.{p}"; "y/{p:**}" -> "2.{p}"' --source x=a.safetensors --source y=b.safetensors -o two.safetensors
[ "$(data two.safetensors)" = 01020304050607080102030405060708 ] || fail "two: $(data two.safetensors)"
got=0
"$WMAP" run -e 'keep rest' - -o - --to-format safetensors <a.safetensors >stream.safetensors 2>err || got=$?
[ $got = 0 ] || fail "stream: status $got: $(cat err)"
[ "$(data stream.safetensors)" = 0102030405060708 ] || fail "stream: $(data stream.safetensors)"
"$WMAP" check - a.safetensors <t.wmap 2>err || fail "spec from standard input: $(cat err)"
cp a.safetensors 'x=1.safetensors'
run 0 run -e 'keep rest' 'x=1.safetensors' -o eq.safetensors
run 0 run -e 'keep rest' --source ./x=1.safetensors -o eq2.safetensors
same eq.safetensors eq2.safetensors

# input and output are one file, by name or by link
cp a.safetensors self.safetensors
run 0 run t.wmap self.safetensors -o self.safetensors --force
[ "$(data self.safetensors)" = 0104020503060708 ] || fail "in place: $(data self.safetensors)"

# formats: by suffix or by name, nothing guessed
run 0 run -e 'keep rest' a.safetensors -o f.bin --to-format npz
run 0 inspect f.bin
has out npz
run 2 run -e 'keep rest' a.safetensors -o f.xyz
absent f.xyz
run 2 run -e 'keep rest' a.safetensors -o f.npz --to-format nosuch
absent f.npz

# what the target's format can't hold: E0610, status 1, before any data move; asked when the format is known
cat >hold.wmap <<'SPEC'
wmap 1
map main {
  "w" -> "w"
  "b" -> "__metadata__"
}
SPEC
run 1 run hold.wmap a.safetensors -o hold.safetensors
has err '`__metadata__`: E0610: '
has err hold.wmap:4:
absent hold.safetensors
run 1 run hold.wmap a.safetensors --dry-run --to-format safetensors
has err E0610
run 1 check hold.wmap a.safetensors --to-format safetensors
has err '`__metadata__`: E0610: '
run 0 check hold.wmap a.safetensors --to-format npz
run 0 check hold.wmap a.safetensors
run 1 compile hold.wmap a.safetensors -o hold.plan --to-format safetensors
has err hold.wmap:4:
absent hold.plan
run 0 check hold.wmap a.safetensors --to-format keras-h5
run 2 check hold.wmap a.safetensors --to-format nosuch
run 0 compile hold.wmap a.safetensors -o hold.plan --to-format npz
run 1 check hold.plan --to-format safetensors
has err E0610
run 1 check hold.wmap a.safetensors --to-format npy
has err E0610
run 1 run -e '"w" | cast bf16 -> "x"; "b" | cast bf16 -> "y"' a.safetensors -o hold.npz
has err 'and 1 more'

# --target-like
run 0 run t.wmap a.safetensors -o like.safetensors --target-like t.safetensors
run 3 run t.wmap a.safetensors -o like2.safetensors --target-like a.safetensors
absent like2.safetensors

# imports: -I, then WMAP_PATH, then the library
mkdir inc path
echo 'wmap 1
map m { "w" -> "from_inc"; drop "b" }' >inc/lib.wmap
echo 'wmap 1
map m { "w" -> "from_path"; drop "b" }' >path/lib.wmap
echo 'wmap 1
import "lib" as l
map main { use l.m }' >imports.wmap
run 1 check imports.wmap a.safetensors
has err E0121
WMAP_PATH=$scratch/path run 0 explain imports.wmap a.safetensors
has out from_path
WMAP_PATH=$scratch/path run 0 explain imports.wmap a.safetensors -I inc
has out from_inc
has err "warning[W0001]"
has err "path/lib.wmap"
echo 'wmap 1
import "keras/torch"
map main { keep rest }' >library.wmap
run 0 check library.wmap a.safetensors

# many tensors take time in proportion: this is about two seconds, and was minutes when each source was looked up
# among all moves
awk 'BEGIN {printf "{"; for (i = 0; i < 100000; i++) printf "%s\"t%d\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[%d,%d]}", i ? "," : "", i, i, i + 1; printf "}"}' >header
{ printf "$(le 8 "$(stat -c %s header)")"; cat header; head -c 100000 /dev/zero; } >many.safetensors
got=0
timeout 60 "$WMAP" run -e '"t{i}" -> "u{i}"' many.safetensors -o many.npz 2>err || got=$?
[ $got = 0 ] || fail "100,000 tensors: status $got: $(cat err)"
run 0 inspect many.npz 'u9999[0-9]'
has out "10 tensors, 10 bytes (of 100000 tensors)"
rm -f many.safetensors many.npz header

# a signal leaves no temporary behind
truncate -s 400000000 big
{ printf "$(le 8 75)"; printf '%-75s' '{"w":{"dtype":"U8","shape":[20000,20000],"data_offsets":[0,400000000]}}'; cat big; } >big.safetensors
rm big
mkdir where
for signal in INT TERM HUP; do
    (trap - INT; exec "$WMAP" run -e '"w" [a b] -> "w" [b a]' big.safetensors -o where/t.safetensors 2>/dev/null) &
    sleep 0.05
    kill -$signal $! 2>/dev/null
    wait $! 2>/dev/null
    [ -e where/t.safetensors ] && rm where/t.safetensors # it was faster
    [ -z "$(ls -A where)" ] || fail "left after SIG$signal: $(ls -A where)"
    rm -rf where/*
done
rm -f big.safetensors

# memory doesn't grow with the model: 64 GiB of holes, of which the last 64 MiB are taken, in 256 MiB of data. The limit
# of address space is another matter, as a source is mapped whole: that ends in words.
if ! nm -D "$WMAP" 2>/dev/null | grep -qE '__[at]san'; then
    header='{"w":{"dtype":"F32","shape":[16777216,1024],"data_offsets":[0,68719476736]}}'
    { printf "$(le 8 ${#header})"; printf '%s' "$header"; } >holes.safetensors
    if truncate -s $((8 + ${#header} + 68719476736)) holes.safetensors 2>/dev/null; then
        rule='"w" [(_: 16760832 | k) d] -> "w" [d k]'
        (ulimit -d 262144; exec "$WMAP" run -j2 -e "$rule" holes.safetensors -o tail.safetensors 2>err) ||
            fail "64 GiB of holes: status $?: $(cat err)"
        [ "$(stat -c %s tail.safetensors)" -gt 67108864 ] || fail "64 GiB of holes: the output is short"
        got=0
        (ulimit -v 262144; exec "$WMAP" run -f -j2 -e "$rule" holes.safetensors -o none.safetensors 2>err) || got=$?
        [ $got = 2 ] || fail "256 MiB of address space: status $got: $(cat err)"
        has err "cannot map it into memory"
        absent none.safetensors
    fi
    rm -f holes.safetensors tail.safetensors
fi

# a full disk: words, status 2, nothing left
if [ -w /dev/full ]; then
    got=0
    "$WMAP" run -e 'keep rest' a.safetensors -o - --to-format safetensors >/dev/full 2>err || got=$?
    [ $got = 2 ] || fail "full: status $got"
fi
# arguments in the wrong order, formats called by their suffix, folders
run 2 check a.safetensors
has err "the spec comes first"
run 2 run t.wmap a.safetensors -o x.out --to-format pth
has err 'did you mean torch?'
run 2 run t.wmap a.safetensors -o x.out --to-format nothing
has err 'wmap writes'
mkdir -p a_folder
run 2 inspect a_folder
has err 'this is a folder'

# NumPy can't tell x from x.npy
run 1 run -e '"w" -> "x"; "b" -> "x.npy"' a.safetensors -o two.npz
has err E0610
absent two.npz
run 0 run -e '"w" -> "y"; "b" -> "x.npy"' a.safetensors -o two.npz

# a file that is replaced keeps its mode
run 0 run t.wmap a.safetensors -o mode.safetensors
chmod 600 mode.safetensors
run 0 run t.wmap a.safetensors -o mode.safetensors --force
[ "$(stat -c %a mode.safetensors)" = 600 ] || fail "its mode is $(stat -c %a mode.safetensors)"
# whole numbers that leave their range: the output path stays as it was
run 3 run -e '"w" | * 100 -> "w"; drop "b"' a.safetensors -o over.safetensors
has err 'R0605: 4 elements leave the range'
absent over.safetensors

finish
