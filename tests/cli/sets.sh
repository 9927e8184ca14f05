#!/bin/bash
# Outputs of several files, folders as outputs, templates, metadata: what needs no framework.
. "$(dirname "$0")/lib.sh"
header='{"__metadata__":{"format":"np","who":"me","note":"a\nb"}'
data=
for ((i = 0; i < 6; i++)); do
    header+=",\"t$i\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[$((4 * i)),$((4 * i + 4))]}"
    data+=$(printf '\\x%02x\\x%02x\\x%02x\\x%02x' $((i + 1)) $((i + 2)) $((i + 3)) $((i + 4)))
done
safetensors a.safetensors "$header}" "$data"

# a set: files of at most ten bytes of data, and an index; nothing at the path itself
run 0 run -e 'keep rest' a.safetensors -o m.safetensors --shard-size 10
absent m.safetensors
for n in 1 2 3; do
    run 0 inspect m-0000$n-of-00003.safetensors
    has out '2 tensors, 8 bytes'
done
has m.safetensors.index.json '"total_size": 24'
has m.safetensors.index.json '"t3": "m-00002-of-00003.safetensors"'
[ "$(tail -c 8 m-00002-of-00003.safetensors | od -An -tx1 | tr -d ' ')" = 0304050604050607 ] || fail "data of the second file"
run 0 diff m.safetensors.index.json a.safetensors
run 0 inspect m.safetensors.index.json --format json
has out '"who": "me"'
ls -A | grep tmp && fail 'temporaries are left'

# any of its files keeps a second set from being written; --force replaces them all
rm m-00001-of-00003.safetensors
run 2 run -e 'keep rest' a.safetensors -o m.safetensors --shard-size 10
has err 'the file exists'
absent m-00001-of-00003.safetensors
run 0 run -e 'keep rest' a.safetensors -o m.safetensors --shard-size 10 --force
run 0 inspect m-00001-of-00003.safetensors
cat m-0000?-of-00003.safetensors m.safetensors.index.json >one
run 0 run -e 'keep rest' a.safetensors -o m.safetensors --shard-size 10 --force --jobs 1 --no-sync
cat m-0000?-of-00003.safetensors m.safetensors.index.json >two
same one two

# what fits into one file is one file; the index of an older set goes
run 0 run -e 'keep rest' a.safetensors -o m.safetensors --shard-size 24B --force
run 0 inspect m.safetensors
absent m.safetensors.index.json

# sizes
for size in 0 -3 5XB 1e3 .5GB 5. 9999999999999GB GB 1.5.5GB; do
    run 2 run -e 'keep rest' a.safetensors -o s.safetensors "--shard-size=$size"
    has err '5GB'
done
for size in 0.01kB '0.01 KB' 10 10b; do
    run 0 run -e 'keep rest' a.safetensors -o s.safetensors "--shard-size=$size" --force
    [ -e s-00003-of-00003.safetensors ] || fail "$size is not 10"
done
run 0 run -e 'keep rest' a.safetensors -o s.safetensors --shard-size 0.02KiB --force
[ -e s-00002-of-00002.safetensors ] || fail '0.02KiB is not 20'
run 2 run -e 'keep rest' a.safetensors -o s.npz --shard-size 5GB
has err 'shard-size'
run 2 run -e 'keep rest' a.safetensors -o - --to-format safetensors --shard-size 10
has err 'standard output'
empty out

# folders
run 2 run -e 'keep rest' a.safetensors -o new/
has err 'to-format'
absent new
run 0 run -e 'keep rest' a.safetensors -o new/ --to-format safetensors
run 0 inspect new/model.safetensors
run 0 run -e 'keep rest' a.safetensors -o new --to-format tensorflow
[ "$(ls -A new)" = $'checkpoint\nmodel.ckpt.data-00000-of-00001\nmodel.ckpt.index\nmodel.safetensors' ] || fail "new holds $(ls -A new)"
has new/checkpoint 'model_checkpoint_path: "model.ckpt"'
run 2 run -e 'keep rest' a.safetensors -o none/such/ --to-format npz
absent none

# a TensorFlow checkpoint is read back, whatever it is called by; in several files too
run 0 run -e 'keep rest' new/model.ckpt -o back.safetensors
run 0 diff back.safetensors a.safetensors
run 0 run -e 'keep rest' a.safetensors -o tf/ckpt/ --to-format tensorflow --dry-run
absent tf
mkdir tf
run 0 run -e 'keep rest' a.safetensors -o tf/c.index --shard-size 10
[ "$(ls tf | grep -c data)" = 3 ] || fail "$(ls tf)"
run 0 diff tf/c a.safetensors
run 2 run -e 'keep rest' a.safetensors -o tf/c --to-format tensorflow --shard-size 10
has err 'the file exists'

# a template: its variables, no others
safetensors g.safetensors '{"global_step":{"dtype":"I64","shape":[],"data_offsets":[0,8]}}' '\x07\0\0\0\0\0\0\0'
run 0 run -e 'keep rest' a.safetensors g.safetensors -o tf/l --to-format tensorflow
run 0 run -e 'keep rest' a.safetensors -o tf/m.ckpt --like tf/l
run 0 inspect tf/m.ckpt
has out 'global_step'
run 3 run -e '"{n:*}" -> "{n}x"' a.safetensors -o tf/n --like tf/l
has err '(and 11 more that do not fit)'
absent tf/n.index
run 2 run -e 'keep rest' a.safetensors -o n.safetensors --like tf/l --to-format safetensors
has err '--like'

# metadata: kept, shown, lost with a word
run 0 inspect m.safetensors --format json
has out '"who": "me"'
run 0 run -e 'keep rest' a.safetensors -o x.npz
has err '2 entries of metadata'
run 0 run -q -e 'keep rest' a.safetensors -o y.npz
empty err

# a set of more files than a process may have open; each is met again only if it is the same
header='{' data=
for ((i = 0; i < 300; i++)); do
    [ $i = 0 ] || header+=,
    header+="\"t$i\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[$((2 * i)),$((2 * i + 2))]}"
    data+=$(printf '\\x%02x\\x%02x' $((i & 255)) $((i >> 8)))
done
safetensors many.safetensors "$header}" "$data"
run 0 run -e 'keep rest' many.safetensors -o k.safetensors --shard-size 2
[ -e k-00300-of-00300.safetensors ] || fail 'no 300 files'
run 0 run -e 'keep rest' many.safetensors -o l.bin --shard-size 2
run 0 run -e 'keep rest' many.safetensors -o l.ckpt --to-format tensorflow --shard-size 2
limit=$(ulimit -Sn)
ulimit -Sn 256
run 0 inspect k.safetensors
has out '300 tensors, 600 bytes'
run 0 diff k.safetensors.index.json many.safetensors
run 0 diff k.safetensors.index.json k.safetensors.index.json
run 0 run -e 'keep rest' k.safetensors -o k.npz
run 0 diff k.npz many.safetensors
run 0 diff l.bin.index.json many.safetensors
run 0 diff l.ckpt many.safetensors
ulimit -Sn "$limit"

finish
