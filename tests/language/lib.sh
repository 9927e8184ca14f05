# tests/language/lib.sh: for the scripts beside it: weight files made from one line, and the verdict.
set -u
export LC_ALL=C TERM=dumb
unset WMAP_PATH NO_COLOR
export WMAP_SPECS=library # what messages show must not depend on where wmap is installed
: "${WMAP:?}"
passed=0 failed=0 failures=()
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# le8 NUMBER: eight bytes, little endian, as printf escapes
le8() {
    local i n=$1 text=
    for ((i = 0; i < 8; i++)); do
        text+=$(printf '\\x%02x' $((n & 255)))
        n=$((n >> 8))
    done
    printf '%s' "$text"
}

# weights FILE NAME:DTYPE[2,3] ...: a safetensors file of zeros, as large as it says but with holes
weights() {
    local file=$1 header='{' at=0 item name dtype shape size n
    shift
    for item in "$@"; do
        shape=${item##*[}
        shape=${shape%]}
        dtype=${item%[*}
        dtype=${dtype##*:}
        name=${item%:"$dtype"\[*}
        case $dtype in
            F64 | I64 | U64 | C64) size=8 ;;
            F32 | I32 | U32) size=4 ;;
            F16 | BF16 | I16 | U16) size=2 ;;
            *) size=1 ;;
        esac
        for n in ${shape//,/ }; do size=$((size * n)); done
        [ "$header" = '{' ] || header+=,
        header+="\"$name\":{\"dtype\":\"$dtype\",\"shape\":[$shape],\"data_offsets\":[$at,$((at + size))]}"
        at=$((at + size))
    done
    header+='}'
    printf "$(le8 ${#header})" >"$file"
    printf '%s' "$header" >>"$file"
    truncate -s $((8 + ${#header} + at)) "$file"
}

# prepare SPEC: makes the files that its `# file:` lines name, and leaves the words of its `# args:` lines in `args`
prepare() {
    local line
    args=()
    while IFS= read -r line; do
        case $line in
            '# args: '*) eval "args+=(${line#'# args: '})" ;;
            '# file: '*) eval "weights ${line#'# file: '}" ;;
            '#'*) ;;
            *) break ;;
        esac
    done <"$1"
}

pass() {
    passed=$((passed + 1))
}

# miss NAME: a case failed; what is wrong was printed
miss() {
    failed=$((failed + 1))
    failures+=("$1")
}

finish() {
    printf '%d passed, %d failed\n' "$passed" "$failed"
    [ "$failed" = 0 ] || printf '  %s\n' "${failures[@]}"
    [ "$failed" = 0 ] && [ "$passed" -gt 0 ]
    exit
}
