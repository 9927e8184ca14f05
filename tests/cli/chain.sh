#!/bin/bash
# Chains: maps that run one after the other, from the command line.
. "$(dirname "$0")/lib.sh"
safetensors a.safetensors '{"__metadata__":{"who":"me","old":"x"},"w":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}}' \
    '\x00\x00\x80\x3f\x00\x00\x00\x40\x00\x00\x40\x40\x00\x00\xc8\x4a'
cat >c.wmap <<'SPEC'
wmap 1
map turn { "w" [a b] -> "t" [b a]; drop meta "old"; meta "stage" = "1" }
map less { "t" | cast f16 -> "h"; meta "stage" = "2" }
map main = turn then less
map twice = turn then back then turn
map back { "t" [a b] -> "w" [b a] }
SPEC
run 0 run c.wmap a.safetensors -o twice.safetensors --map twice
run 0 run c.wmap a.safetensors -o once.safetensors --map turn
run 0 diff once.safetensors twice.safetensors

# metadata go through all stages, and the plan is the same as the spec
run 0 compile c.wmap a.safetensors --map twice -o twice.plan
for jobs in 1 2 7; do
    run 0 run twice.plan a.safetensors -o $jobs.safetensors -j $jobs
    same $jobs.safetensors twice.safetensors
done
run 0 inspect twice.safetensors --format json
has out '"who": "me"'
has out '"stage": "1"'
grep -q '"old"' out && fail "metadata that a stage drops"

# a stage that fails leaves nothing, and names what it read
run 3 run c.wmap a.safetensors -o x.safetensors
has err 'R0604'
absent x.safetensors
ls -A | grep tmp && fail 'temporaries are left'

# what would keep the end from being written is known before the first stage runs: its error is not R0604
run 2 run c.wmap a.safetensors -o once.safetensors
has err 'the file exists'
run 2 run c.wmap a.safetensors -o no/folder.safetensors
has err 'no/folder.safetensors'
run 0 run c.wmap a.safetensors -n
run 2 run c.wmap a.safetensors -n --to-format nothing
run 3 run c.wmap once.safetensors -n
has err E0401

# backwards the last map runs first
run 0 run c.wmap twice.safetensors -o back.safetensors --map twice --reverse
run 0 diff back.safetensors a.safetensors
# what is behind a map that knows no source is checked, and no plan is made
cat >late.wmap <<'END'
wmap 1
model mine { "a" : f32 [2] }
map one { "m.{x}" -> "{x}" }
map two from mine { "a" -> "b" }
map main = one then two
END
run 0 check late.wmap
has err 'as far as it can be told without a source'
run 2 compile late.wmap -o late.plan

finish
