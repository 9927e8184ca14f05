#!/bin/bash
# tests/cli/hub.sh: maps derived by the library from outside: what a model says is what the frameworks saved
# (specs/*/names, written by tests/interop/names.py), every pair of models proves, the printed text compiles to the same
# moves, and the flags that don't go together are refused.
set -u
: "${WMAP:?}" "${SOURCE:?}"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 2
failed=0
miss() {
    printf 'failed: %s\n' "$*"
    failed=$((failed + 1))
}
# run STATUS ARGUMENT...
run() {
    local want=$1 status=0
    shift
    "$WMAP" "$@" >out 2>err </dev/null || status=$?
    [ $status = "$want" ] || { miss "status $status, not $want: wmap $*" && cat err; }
}

listings=0
for file in "$SOURCE"/specs/*/names/*.jsonl; do
    family=$(basename "$(dirname "$(dirname "$file")")")
    model=$(basename "$file" .jsonl)
    run 0 check "$family/$family" --as "$model" "$file"
    run 0 check "$family/$family" --as '*' "$file"
    grep -q "W0003.*: $model:" err || miss "--as '*' does not name $model"
    listings=$((listings + 1))
done
[ $listings -gt 0 ] || miss "there are no listings"

# pairs FAMILY|SPEC INSTANCE MODEL...: each to each, without a file and through the text of another pair
pairs() {
    local spec=$1 instance=$2 a b
    [[ $spec = */* ]] || spec=$spec/$spec
    shift 2
    for a in "$@"; do
        for b in "$@"; do
            [ "$a" = "$b" ] || run 0 check "$spec" --from "$instance.$a" --to "$b"
        done
    done
}
pairs vgg vgg16 keras keras2 keras3_weights keras_path torchvision timm slim lasagne lasagne_npz
pairs vgg vgg11_bn torchvision timm
pairs lstm_lm lstm_lm keras keras2 keras3_weights keras_path torch ptb lasagne lasagne_npz
pairs resnet resnet50 keras keras2 keras3_weights keras_path keras_old torchvision timm slim
pairs mixtral mixtral hf hf_fused
pairs resnet/resnet_v2 resnet50_v2 keras keras2 keras3_weights keras_path slim timm
pairs bit bit_r50x1 npz timm
pairs mobilenet mobilenet_v1 keras keras2 keras3_weights keras_path timm slim
pairs mobilenet mobilenet_v2 keras keras2 keras3_weights keras_path torchvision timm slim
pairs densenet densenet121 keras keras2 keras3_weights keras_path torchvision torchvision_old timm
pairs inception inception_v3 keras keras2 keras3_weights keras_path timm
pairs efficientnet efficientnet_b0 keras keras2 keras3_weights keras_path torchvision timm
pairs resnet resnet34 keras3_weights torchvision

# moves FLAG...: the moves of a map, without the places of the statements and what only a model says of the file,
# tensors in the order of their names
moves() { "$WMAP" explain --moves "$@" 2>/dev/null | sed 's/ at [^ ]*$//; /^map /d; /^format /d' | sort; }
for model in slim lasagne timm; do
    file=$SOURCE/specs/vgg/names/vgg16.torchvision.jsonl
    "$WMAP" explain vgg/vgg --from vgg16.torchvision --to $model "$file" >text.wmap || miss "explain to $model"
    moves vgg/vgg --from vgg16.torchvision --to $model "$file" >derived
    moves text.wmap "$file" >written
    [ -s derived ] && cmp -s derived written || miss "the text to $model is another map"
done
run 0 explain vgg/vgg --from vgg16.keras --to torchvision --members
grep -qF 'fc[1].kernel [i o] = "fc1/fc1/kernel" [(h w c) o] = "classifier.0.weight" [o (c h w)]' out || miss "--members"

# The format of a model counts where nothing else tells.
header='{"w.weight":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
{ printf "\\$(printf %03o ${#header})\\0\\0\\0\\0\\0\\0\\0" && printf '%s' "$header" && printf '\0\0\200?\0\0\0@'; } >w.safetensors
cat >format.wmap <<'END'
wmap 1
layer emb { w [v] }
dialect plain { format npz; name "{self}.{array}"; emb { w = "weight" } }
architecture net { words : emb (v = 2) }
model net.a : plain { words = "w" }
model net.b : plain { words = "x"; format keras.weights.h5 }
model net.c from net.b { format flax }
END
# written MODEL OUTPUT FORMAT FLAG...
written() {
    local model=$1 output=$2 format=$3
    shift 3
    run 0 run format.wmap --from net.a --to "$model" w.safetensors -o "$output" -f "$@"
    "$WMAP" inspect "$output" 2>/dev/null | grep -q "^$output: $format," || miss "$output is not $format"
}
written a plain npz
written b deep keras-h5
written b other.pth torch
written b flagged safetensors --to-format safetensors
run 2 run format.wmap --from net.a --to c w.safetensors -o none # wmap reads it only
[ ! -e none ] || miss "an output without a format"

run 2 check vgg/vgg --from vgg16.keras
run 2 check vgg/vgg --from vgg16.keras --to torchvision --map main
run 1 check vgg/vgg --from vgg16.keras --to timn
run 1 check vgg/vgg --from 'vgg16.keras (' --to timm
run 1 check vgg/vgg --from keras --to timm
run 1 check vgg/vgg --from vgg16.keras --to vgg19.timm
run 3 check vgg/vgg --as vgg16.timm "$SOURCE/specs/vgg/names/vgg16.keras.jsonl"
run 1 check vgg/vgg --as vgg16.timm
run 2 run nowhere/to.be --from a.b --to c
[ $failed = 0 ]
