# tests/cli/lib.sh: for the scripts beside it: a scratch folder, checks that count, small weight files made of
# bytes written out here.
set -u
: "${WMAP:=wmap}" "${SOURCE:?}" "${BUILD:?}"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 2
unset WMAP_PATH NO_COLOR
export LC_ALL=C TERM=dumb
bad=0

fail() {
    printf 'FAILED: %s\n' "$*"
    bad=$((bad + 1))
}

# run STATUS ARGUMENT...: runs wmap and wants this exit status; leaves stdout in ./out and stderr in ./err.
run() {
    local want=$1 got=0
    shift
    "$WMAP" "$@" >out 2>err || got=$?
    if [ $got != "$want" ]; then
        fail "status $got, not $want: wmap $*"
        sed 's/^/    /' out err
    fi
}

# has FILE TEXT: the file holds this text on one line.
has() {
    grep -qF -- "$2" "$1" || {
        fail "no \`$2\` in $1 (line ${BASH_LINENO[0]})"
        sed 's/^/    /' "$1"
    }
}

empty() {
    [ ! -s "$1" ] || {
        fail "$1 should be empty (line ${BASH_LINENO[0]})"
        sed 's/^/    /' "$1"
    }
}

same() {
    cmp -s "$1" "$2" || fail "$1 and $2 differ (line ${BASH_LINENO[0]})"
}

absent() {
    [ ! -e "$1" ] || fail "$1 is there (line ${BASH_LINENO[0]})"
}

finish() {
    [ $bad = 0 ] || printf '%d checks failed\n' $bad
    exit $((bad > 0))
}

# le BYTES NUMBER: little endian, as printf escapes.
le() {
    local i n=$2 text=
    for ((i = 0; i < $1; i++)); do
        text+=$(printf '\\x%02x' $((n & 255)))
        n=$((n >> 8))
    done
    printf '%s' "$text"
}

# safetensors FILE HEADER DATA: DATA as printf escapes.
safetensors() {
    printf "$(le 8 ${#2})" >"$1"
    printf '%s' "$2" >>"$1"
    printf "$3" >>"$1"
}

# npy FILE DESCR SHAPE DATA: version 1.0, padded to 64 bytes.
npy() {
    local header="{'descr': '$2', 'fortran_order': False, 'shape': $3, }"
    local pad=$(((64 - (10 + ${#header} + 1) % 64) % 64))
    header+=$(printf '%*s' $pad '')
    printf '\x93NUMPY\x01\x00' >"$1"
    printf "$(le 2 $((${#header} + 1)))" >>"$1"
    printf '%s\n' "$header" >>"$1"
    printf "$4" >>"$1"
}

# a.safetensors: "w" u8 [2 3] = 1..6 and "b" u8 [2] = 7 8
sample() {
    safetensors "${1:-a.safetensors}" \
        '{"w":{"dtype":"U8","shape":[2,3],"data_offsets":[0,6]},"b":{"dtype":"U8","shape":[2],"data_offsets":[6,8]}}' \
        '\x01\x02\x03\x04\x05\x06\x07\x08'
}

# data FILE: the bytes of a safetensors file behind its header, as text.
data() {
    local n
    n=$(od -An -tu8 -N8 "$1")
    tail -c +$((n + 9)) "$1" | od -An -v -tx1 | tr -d ' \n'
}
