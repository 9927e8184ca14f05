#!/bin/bash
# What wmap says about itself and about command lines it can't understand; where words and data go.
. "$(dirname "$0")/lib.sh"
sample

run 0 --version
grep -qx 'wmap [0-9]*\.[0-9]*\.[0-9]*' out || fail "version: $(cat out)"
run 0 --help
has out "wmap COMMAND"
has out "inspect"
empty err
run 2
has err "Usage:"
empty out
for command in inspect check compile run explain diff hash fmt test help; do
    run 0 $command --help
    has out "Usage: wmap $command"
    empty err
    mv out by_flag
    run 0 help $command
    same out by_flag
done

run 2 inspct a.safetensors
has err 'did you mean `inspect`?'
run 2 zzz
has err 'unknown command `zzz`'
run 2 help nothing
has err 'no such command'
run 2 run --forec a b -o c
has err 'did you mean `--force`?'
run 2 run --wibble a
has err 'unknown flag `--wibble`'
run 2 run -Z a
has err 'unknown flag `-Z`'
run 2 run a.wmap a.safetensors -o
has err '`-o` needs a value'
run 2 run a.wmap a.safetensors --output
has err '`--output` needs a value'
run 2 run --force=yes a.wmap a.safetensors -o b
has err 'takes no value'
run 2 run -j x -e 'keep rest' a.safetensors -o b.npz
has err 'whole number'
run 2 run -j 99999 -e 'keep rest' a.safetensors -o b.npz
has err 'whole number'
run 2 run -e 'keep rest' a.safetensors
has err '-o PATH'
run 2 run
run 2 check
has err 'give a spec'
run 2 inspect
has err 'name a weight file'
run 2 inspect a.safetensors --format yaml
has err 'text, json or jsonl'
run 2 check -e 'keep rest' -D novalue a.safetensors
has err 'NAME=VALUE'
run 2 check nosuch.wmap
has err 'nosuch.wmap'
run 2 check "$scratch"
run 2 run -e 'keep rest' nosuch.npz -o b.npz
has err 'nosuch.npz'
absent b.npz
run 2 run -e 'keep rest' - --source x=- -o b.npz </dev/null
has err 'read once'

# flags in every spelling
for flags in "-o b.npz -f" "-ob.npz -f" "-fo b.npz" "--output=b.npz --force" "--output b.npz --force"; do
    # shellcheck disable=SC2086
    run 0 run -e 'keep rest' a.safetensors $flags
    [ -s b.npz ] || fail "nothing written with $flags"
    rm -f b.npz
done
run 0 run -e 'keep rest' -o b.npz -- a.safetensors

# data on stdout, words on stderr, nothing at all from a run in a pipe
run 0 run -e 'keep rest' a.safetensors -o c.npz
empty out
empty err
run 0 check -e 'keep rest' a.safetensors
empty out
has err "ok: 2 tensors read, 0 left behind, 2 written"
run 0 check -q -e 'drop "b"; "w" -> "w"' a.safetensors
empty err
run 0 inspect a.safetensors
has out "safetensors"
has out "2 tensors"
empty err

# standard output that is closed, full or gone is an error, and no other file is written in its stead
got=0
"$WMAP" inspect a.safetensors >&- 2>err || got=$?
[ $got = 2 ] || fail "closed stdout: status $got"
got=0
"$WMAP" inspect a.safetensors >/dev/full 2>err || got=$?
[ $got = 2 ] || fail "/dev/full: status $got"
has err "standard output"
mkfifo pipe
exec 3<>pipe 4>pipe 3>&- # a writer whose reader is gone
got=0
"$WMAP" inspect a.safetensors >&4 2>err || got=$?
exec 4>&-
[ $got = 2 ] || fail "closed pipe: status $got"
empty err

# colours and progress are for terminals, and NO_COLOR is honoured
if ! script -qec true /dev/null </dev/null >/dev/null 2>&1; then # a root without /dev/pts has no terminals
    echo "no terminal can be made here: colours and progress are not tested"
else
    cat >terminal.sh <<'T'
"$WMAP" check -e '"w" [a -> "b"'
T
    export WMAP
    TERM=xterm script -qec 'sh terminal.sh' /dev/null </dev/null >out
    has out $'\x1b['
    TERM=xterm NO_COLOR=1 script -qec 'sh terminal.sh' /dev/null </dev/null >out
    grep -q $'\x1b\\[' out && fail "colours in spite of NO_COLOR"
    TERM=dumb script -qec 'sh terminal.sh' /dev/null </dev/null >out
    grep -q $'\x1b\\[' out && fail "colours on a dumb terminal"
    TERM=xterm script -qec "'$WMAP' run -e 'keep rest' a.safetensors -o shown.npz" /dev/null </dev/null >out
    has out "2 tensors"
fi

# names that a file chose can't move the cursor or turn the text around
safetensors evil.safetensors '{"a\u001b[31mb\u202ec\nd":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}' '\x01'
run 0 inspect evil.safetensors
has out 'a\u{1b}[31mb\u{202e}c\nd'
run 0 inspect evil.safetensors --format json
has out '"a\u001b[31mb\u202ec\u000ad"'

# globs choose tensors, and several files are listed one after the other
run 0 inspect a.safetensors 'w*'
has out "1 tensor, 6 bytes (of 2 tensors)"
cp a.safetensors z.safetensors
run 0 inspect a.safetensors z.safetensors
has out "z.safetensors: safetensors"
run 2 inspect a.safetensors nosuch.safetensors
has out "a.safetensors"
has err "nosuch.safetensors"
# names that aren't UTF-8 stay different in JSON: two stored members of an npz, \xfe.npy and \xff.npy
npy n.npy '|u1' '(1,)' '\x07'
size=$(stat -c %s n.npy)
member() { printf "$1$2\\0\\0\\0\\0\\0\\0\\x21\\0\\0\\0\\0\\0$(le 4 "$size")$(le 4 "$size")\\5\\0\\0\\0"; }
for b in fe ff; do
    { member 'PK\3\4' '\x14\0'; printf "\\x$b.npy"; cat n.npy; } >>odd.npz
done
at=$(stat -c %s odd.npz)
member 'PK\1\2' '\x14\0\x14\0' >>odd.npz; printf "\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0$(le 4 0)\xfe.npy" >>odd.npz
member 'PK\1\2' '\x14\0\x14\0' >>odd.npz; printf "\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0$(le 4 $((at / 2)))\xff.npy" >>odd.npz
printf "PK\\5\\6\\0\\0\\0\\0\\2\\0\\2\\0$(le 4 $(($(stat -c %s odd.npz) - at)))$(le 4 $at)\\0\\0" >>odd.npz
run 0 inspect odd.npz --format json
has out '{"name": "\ufffd", "name_hex": "fe", "dtype": "u8", "shape": [1]}'
has out '{"name": "\ufffd", "name_hex": "ff", "dtype": "u8", "shape": [1]}'
run 0 inspect a.safetensors --format json
if [ "$(cat out)" != '{"file": "a.safetensors", "format": "safetensors", "size": '"$(stat -c %s a.safetensors)"', "tensors": [{"name": "w", "dtype": "u8", "shape": [2, 3]}, {"name": "b", "dtype": "u8", "shape": [2]}], "metadata": {}}' ]; then
    fail "json: $(cat out)"
fi

# nobody takes what is printed
got=0
"$WMAP" inspect a.safetensors >&- 2>err || got=$?
[ $got = 2 ] || fail "closed standard output: status $got"
finish
