#!/bin/bash
# Listings: what `inspect --format jsonl` prints stands for the file it was made of, where no weights are needed.
. "$(dirname "$0")/lib.sh"
safetensors a.safetensors '{"a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[],"data_offsets":[8,9]}}' \
    '\x01\x02\x03\x04\x05\x06\x07\x08\x09'
run 0 inspect a.safetensors --format jsonl
cp out a.jsonl
has out '{"name": "b", "dtype": "u8", "shape": []}'
run 0 inspect a.jsonl --format jsonl
same out a.jsonl
run 0 inspect a.jsonl
has out 'f32     [2 1]'

# a plan compiled against it is that of the file
rules='permute (1 0) "a" -> "c"; rename "b" -> "d"'
run 0 compile -e "$rules" a.jsonl -o one.plan
run 0 compile -e "$rules" a.safetensors -o two.plan
same one.plan two.plan
run 0 run one.plan a.safetensors -o c.safetensors
run 0 inspect c.safetensors --format jsonl
cp out c.jsonl
run 0 check -e "$rules" a.jsonl --target-like c.jsonl
run 3 check -e "$rules" a.jsonl --target-like a.jsonl
has err E0523

# it holds no weights
run 0 run -n -e "$rules" a.jsonl
run 3 run -e "$rules" a.jsonl -o x.safetensors
has err 'a.jsonl: this is a listing: it has names, dtypes and shapes, and no weights'
absent x.safetensors

# nothing in it is believed
first='{"wmap": "listing", "version": 1}'
while IFS='|' read -r line words; do
    printf '%s\n%s\n' "$first" "$line" >bad.jsonl
    run 3 inspect bad.jsonl
    has err "$words"
done <<'ROWS'
{"name": "a", "dtype": "f32", "shape": [-1]}|an extent that is no integer
{"name": "a", "dtype": "f32", "shape": [1.5]}|an extent that is no integer
{"name": "a", "dtype": "f31", "shape": []}|an unknown dtype
{"name": "a", "dtype": "f32"}|has no shape
{"dtype": "f32", "shape": []}|names no tensor
{"name": "a", "dtype": "f32", "shape": [9223372036854775807, 9]}|2^63
{"name": "a", "name": "b", "dtype": "f32", "shape": []}|no sound JSON
{"name_hex": "0", "dtype": "f32", "shape": []}|hexadecimal
["a"]|no JSON object
{|no sound JSON
ROWS
printf '%s\n{"name": "a", "dtype": "u8", "shape": [%s1]}\n' "$first" "$(printf '1,%.0s' {1..300})" >bad.jsonl
run 3 inspect bad.jsonl
has err 'more than a tensor'
printf '%s\n%s\n%s\n' "$first" '{"name": "a", "dtype": "u8", "shape": []}' '{"name": "a", "dtype": "u8", "shape": []}' >bad.jsonl
run 3 inspect bad.jsonl
printf '%s\n{"name": "%s"' "$first" "$(head -c 1000000 /dev/zero | tr '\0' a)" >bad.jsonl
run 3 inspect bad.jsonl
has err 'too long'
printf '{"wmap": "listing", "version": 2}\n' >bad.jsonl
run 3 inspect bad.jsonl
has err 'another version'

# a target for which there is no room costs no memory
run 2 run -e 'fill 0 -> "x" : f32 [1099511627776 1048575]; keep rest' a.safetensors -o huge.npz
has err 'cannot make room for it'
absent huge.npz
finish
