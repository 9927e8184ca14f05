#!/bin/bash
# --reverse, and what is said of the other direction, from the command line.
. "$(dirname "$0")/lib.sh"
safetensors a.safetensors '{"w":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},"s":{"dtype":"F32","shape":[1],"data_offsets":[16,20]}}' \
    '\x00\x00\x80\x3f\x00\x00\x00\x40\x00\x00\x40\x40\x00\x00\xc8\x4a\x00\x00\x00\x3f'
cat >exact.wmap <<'SPEC'
wmap 1
map main { "w" [a b] -> "t" [b -a]; keep rest }
SPEC
sed 's/keep rest/"s" | * 3 -> "S"/' exact.wmap >rounds.wmap
sed 's/keep rest/"s" - "s" -> "S"/' exact.wmap >stops.wmap

# check: the verdict, with the first reason
run 0 check exact.wmap a.safetensors
has err 'reversible, and exact'
run 0 check rounds.wmap a.safetensors
has err 'reversible, but not exact: rounds.wmap:2:43: `* 3` rounds'
run 0 check stops.wmap a.safetensors
has err 'not reversible: stops.wmap:2:37: arithmetic between tensors has no inverse, so `main` cannot run in reverse (E0702)'
run 0 check stops.wmap a.safetensors -q
empty err
run 0 check rounds.wmap a.safetensors --format json -q
has out '"reverse": {"reversible": true, "exact": "no"'
run 0 check stops.wmap a.safetensors --format json -q
has out '"reverse": {"reversible": false, "exact": "no"'
has out '"id": "E0702", "severity": "error"'
# without a source nobody knows
run 0 check exact.wmap
grep -q reversible err && fail 'a verdict without headers'

# run, there and back; -r is short for it
run 0 run exact.wmap a.safetensors -o b.safetensors
run 0 run exact.wmap --reverse b.safetensors -o c.safetensors --target-like a.safetensors
run 0 diff a.safetensors c.safetensors
run 0 run exact.wmap -r b.safetensors -o d.safetensors
run 0 diff a.safetensors d.safetensors
run 0 run -e '"w" [a b] -> "t" [b -a]; keep rest' --reverse -s b.safetensors -o e.safetensors
run 0 diff a.safetensors e.safetensors
run 1 run stops.wmap b.safetensors --reverse -o x.safetensors
absent x.safetensors
has err 'error[E0702]'

# compile: the plan does the same, and has its direction settled
run 0 compile exact.wmap --reverse b.safetensors -o back.plan
run 0 run back.plan b.safetensors -o f.safetensors
run 0 diff a.safetensors f.safetensors
run 2 run back.plan b.safetensors -o x.safetensors --reverse
has err '`--reverse` is settled'

# explain: the mapping, and each reason with its line
run 0 explain exact.wmap --reverse b.safetensors
has out '"w" f32 [2 2]'
has out '[a b] <- "t" [b -a]'
has err 'reversible, and exact'
run 0 explain rounds.wmap a.safetensors
has err 'rounds.wmap:2:43: note: `* 3` rounds'
run 0 explain stops.wmap a.safetensors
has err 'stops.wmap:2:37: error[E0702]'

# test: back over what was given
cat >t.wmap <<'SPEC'
wmap 1
map main { "w" [a b] -> "t" [b a]; drop "gone" }
test "there and back" of main { given "w" = [[1 2] [3 4]]; expect reverse }
test "what is left behind" of main { given "w" = [[1 2] [3 4]]; given "gone" = 1; expect reverse }
SPEC
run 1 test t.wmap
has out 'ok     t.wmap:3 there and back'
has out '`expect reverse`: the map does not compile in reverse'
has out 'E0523'
# halves that a derived rule adds do not come back, though what makes them again is a copy and zeros
run 0 check "$SOURCE/tests/language/reverse/hub-sum.wmap" --from net.a --to b
has err 'reversible, but not exact'

# what only `reverse { }` drops is lost if that is the way it runs
cat >lost.wmap <<'SPEC'
wmap 1
model a { "a" : f32 [2] }
model b { "b" : f32 [2]; "c" : f32 [2] }
map main from a to b { "a" -> "b"; forward { fill 0 -> "c" : f32 [2] }; reverse { drop "c" } }
SPEC
run 0 check lost.wmap
has err 'reversible, and exact'
run 0 check lost.wmap --reverse
has err 'reversible, but not exact'

finish
