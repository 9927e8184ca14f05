#!/bin/bash
# Every spec of the library and of the examples compiles without files, as far as that goes; VGG16's is proven
# against headers with the names of each container.
. "$(dirname "$0")/lib.sh"
find "$SOURCE/specs" "$SOURCE/examples" "$SOURCE/tests/interop/specs" -name '*.wmap' | sort >all
[ -s all ] || fail "no specs found"
while read -r spec; do
    # A library has no map of its own to run; a map of it is used instead.
    if grep -q '^map main\b' "$spec"; then
        run 0 check "$spec"
    else
        name=$(basename "$spec" .wmap)
        printf 'wmap 1\nimport "%s"\nmap main { keep rest }\n' "$name" >use.wmap
        run 0 check use.wmap -I "$(dirname "$spec")"
    fi
done <all

# header NAMES-OF-CONV NAMES-OF-DENSE-KERNEL NAMES-OF-BIAS: a safetensors file of VGG16's shapes, of u8 so that it
# is small to write down, and sparse
conv=(3,64 64,64 64,128 128,128 128,256 256,256 256,256 256,512 512,512 512,512 512,512 512,512 512,512)
dense=(25088,4096 4096,4096 4096,10)
vgg_header() {
    local at=0 json='{' n=0 i name
    for i in "${conv[@]}"; do
        add "$(conv_name $n 0)" "3,3,$i"
        add "$(conv_name $n 1)" "${i#*,}"
        n=$((n + 1))
    done
    n=0
    for i in "${dense[@]}"; do
        add "$(dense_name $n 0)" "$i"
        add "$(dense_name $n 1)" "${i#*,}"
        n=$((n + 1))
    done
    json=${json%,}'}'
    printf "$(le 8 ${#json})" >"$1"
    printf '%s' "$json" >>"$1"
    truncate -s $((8 + ${#json} + at)) "$1"
}
add() {
    local size=4 d
    for d in ${2//,/ }; do size=$((size * d)); done
    json+="\"$1\":{\"dtype\":\"F32\",\"shape\":[$2],\"data_offsets\":[$at,$((at + size))]},"
    at=$((at + size))
}
blocks=(1_conv1 1_conv2 2_conv1 2_conv2 3_conv1 3_conv2 3_conv3 4_conv1 4_conv2 4_conv3 5_conv1 5_conv2 5_conv3)
layers=(fc1 fc2 predictions)
arrays=(kernel bias)
for style in "" ":0"; do
    conv_name() { echo "block${blocks[$1]}/block${blocks[$1]}/${arrays[$2]}$style"; }
    dense_name() { echo "${layers[$1]}/${layers[$1]}/${arrays[$2]}$style"; }
    vgg_header vgg.safetensors
    run 0 check "$SOURCE/specs/vgg/vgg16.wmap" -D classes=10 vgg.safetensors
    has err "32 written"
    run 3 check "$SOURCE/specs/vgg/vgg16.wmap" vgg.safetensors
done
conv_name() { [ "$1" = 0 ] && echo "layers/conv2d/vars/$2" || echo "layers/conv2d_$1/vars/$2"; }
dense_name() { [ "$1" = 0 ] && echo "layers/dense/vars/$2" || echo "layers/dense_$1/vars/$2"; }
vgg_header vgg.safetensors
run 0 check "$SOURCE/specs/vgg/vgg16.wmap" -D classes=10 vgg.safetensors
has err "32 written"
finish
