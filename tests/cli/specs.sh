#!/bin/bash
# `wmap test`: verdicts, exit statuses, filters, coverage, the forms of its output.
. "$(dirname "$0")/lib.sh"

cat >good.wmap <<'END'
wmap 1
param shift = 1
map main (rows = 1) {
  "w" [(r a) b] -> "w" [b r a]   where r=rows
  optional "b" -> "b"
}
map shifted { "w" | + shift -> "w"; "never" -> "never" }
map narrow { "w" | cast i8 -> "w" }
test "first" of main { given "w" = [[1 2] [3 4]]; expect "w" = [[[1 3]] [[2 4]]] }
test "arguments" of main (rows=2) { given "w" = [[1 2] [3 4]]; given "b" = i64 7; expect "w" = [[[1] [3]] [[2] [4]]]; expect "b" = i64 7 }
test "refused" of main { given "w" = [1 2]; expect error E0504 }
test "guarded" of narrow { given "w" = [1 300]; expect error R0604 }
test "near" of narrow { given "w" = [1.25 -3.5]; expect "w" = i8 [2 -4]; tolerance 1 }
END
run 0 test good.wmap
has out 'ok     good.wmap:9 first'
has out '5 passed, 0 failed'
empty err
run 0 test good.wmap -q
[ "$(cat out)" = '5 passed, 0 failed' ] || fail "quiet: $(cat out)"
run 0 test good.wmap --filter f -q
has out '2 passed'
run 0 test good.wmap --filter '*ed' -q
has out '2 passed'
run 1 test good.wmap --filter nowhere
has err 'no test was found whose name `nowhere` matches'

# what no test has moved anything by, in maps that tests are of
run 0 test good.wmap --coverage
has out '3 of 3 rules exercised'
run 0 test good.wmap --coverage --filter first
has out '1 of 3 rules exercised'
has out '    good.wmap:5'
has out '    good.wmap:8'

# what is called exact is run back: not a map that loses something, nor one that refuses
run 0 test good.wmap --exact -q
has out '2 of 5 tests are of exact maps, which were run back'
run 0 test good.wmap --exact --format json
has out '"first", "map": "main", "exact": true, "passed": true'
has out '"near", "map": "narrow", "exact": false, "passed": true'
cat >promise.wmap <<'END'
wmap 1
map main { "k" [(g a) (g b)] else 0 -> "v" [g a b]   where g=2 }
test "of generated values few are zeros" of main { given "k" = i8 [[1 0] [0 2]]; expect "v" = i8 [[[1]] [[2]]] }
END
run 0 test promise.wmap --exact
has out '1 of 1 tests are of exact maps'
has out '1 passed'

cat >bad.wmap <<'END'
wmap 1
map main { "w" [a b] -> "w" [b a] }
map nothing { fill 1 -> "one" : u8 [2] }
test "value" of main { given "w" = bf16 [[1 2] [3 4]]; expect "w" = bf16 [[1 3] [2 5]] }
test "dtype" of main { given "w" = u8 [[1 2] [3 4]]; expect "w" = [[1 3] [2 4]] }
test "shape" of main { given "w" = [[1 2]]; expect "w" = [[1 2]] }
test "name" of main { given "w" = [[1]]; expect "v" = [[1]] }
test "no error" of main { given "w" = [[1]]; expect error E0504 }
test "another error" of main { given "w" = [1]; expect error E0501 }
test "an error" of main { given "w" = [1]; expect "w" = 1 }
test "both" of main { given "w" = [1]; expect "w" = 1; expect error E0504 }
test "zeros" of main { given "w" = [[-0.0]]; expect "w" = [[0]] }
test "far" of main { given "w" = [[1]]; expect "w" = [[1.5]]; tolerance 0.25 }
test "raw" of main { given "w" = raw32 [[7]]; expect "w" = raw32 [[8]] }
test "complex" of main { given "w" = c64 [[7]]; expect "w" = c64 [[8]] }
test "all given are used" of nothing { given "w" = 1; expect "one" = u8 [1 1] }
test "good" of nothing { expect "one" = u8 [1 1] }
END
run 1 test bad.wmap
has out 'line 4: `w` at [1 1] is 4, expected 5 (1 of 4 elements differ)'
has out 'line 5: `w` is u8 [2 2], expected f32 [2 2]'
has out 'line 6: `w` is f32 [2 1], expected f32 [1 2]'
has out 'line 7: `v` is not written'
has out 'line 8: expected error E0504, but the map compiles and runs'
has out 'line 9: expected error E0501, but found'
has out 'line 10: the map does not compile'
has out 'line 11: there is nothing to compare'
has out 'line 12: `w` at [0 0] is -0, expected 0'
has out 'line 13: `w` at [0 0] is 1, expected 1.5'
has out 'line 14: `w` at [0 0] is 7, expected 8'
has out 'line 15: `w` at [0 0] is 7+0i, expected 8+0i'
has out 'error[E0522]'
has out '1 passed, 13 failed'
cp out first
run 1 test bad.wmap
same out first

# folders; specs with errors and without tests beside others
mkdir -p tree/below
cp good.wmap tree/
cp bad.wmap tree/below/
echo 'wmap 1; map main { "x" -> "y" }' >tree/none.wmap
run 1 test tree -q
has out '6 passed, 13 failed'
printf 'wmap 1\nmap main { "x" -> }\n' >tree/broken.wmap
run 1 test tree/good.wmap tree/broken.wmap
has out 'FAILED tree/broken.wmap: its tests can'
has out 'error[E0110]'
has out '5 passed, 0 failed, 1 spec with errors'
run 1 test tree/none.wmap
has err 'no test was found'
run 2 test
run 2 test nosuch.wmap
has err 'nosuch.wmap'
run 2 test - <good.wmap
run 2 test good.wmap --format yaml
has err 'text, json, junit, sarif or github'

# generators: the numbers are those of NumPy (tests/interop/test_spec_tests.py)
cat >made.wmap <<'END'
wmap 1
map main { keep rest }
test "random" of main {
  given  "u" = u16 random [2 2] 42
  expect "u" = u16 [[99 178] [129 56]]
  given  "i" = i8 random [4] 42
  expect "i" = i8 [99 50 1 56]
  given  "b" = bool random [4] 42
  expect "b" = bool [1 0 1 0]
  given  "f" = random [4] 42
  expect "f" = [-0.5272790193557739 0.31247103214263916 0.7378178834915161 0.6786625385284424]
  given  "c" = c64 random [2] 42
  given  "r" = raw32 random [4] 42
  expect "r" = raw32 [99 178 129 56]
}
test "iota" of main { given "x" = f16 iota [2 1 2]; expect "x" = f16 [[[0 1]] [[2 3]]]; given "s" = iota []; expect "s" = 0 }
END
run 0 test made.wmap
has out '2 passed, 0 failed'

# parameters and imports
cat >shift.wmap <<'END'
wmap 1
import "lib" as l
param by = 1
param near = 0.5
map main { "w" | + by -> "w" }
test "shifted" of main { given "w" = [1 2]; expect "w" = [3 4]; tolerance near }
test "of an import" of l.plain { given "w" = [1 2]; expect "v" = [1 2] }
END
mkdir -p inc
printf 'wmap 1\nmap plain { "w" -> "v" }\ntest "not run" of plain { given "w" = 1; expect "v" = 2 }\n' >inc/lib.wmap
run 1 test shift.wmap -I inc
has out 'line 6: `w` at [0] is 2, expected 3'
run 0 test shift.wmap -I inc -D by=2
has out '2 passed, 0 failed'
run 1 test shift.wmap
has out 'error[E0121]'

# the compiler checks tests, and runs none
run 0 check bad.wmap -m main -q
printf 'wmap 1\nmap main { "x" -> "y" }\ntest "t" of main { given "x" = [1 [2]] }\n' >wrong.wmap
run 1 check wrong.wmap
has err 'error[E0144]'

# for machines
run 1 test bad.wmap good.wmap tree/broken.wmap --format json
if command -v python3 >/dev/null; then
    python3 - <<'END' || fail "JSON: $(cat out)"
import json
r = json.load(open("out"))
assert r["passed"] == 6 and r["failed"] == 13, r
assert len(r["tests"]) == 19 and len(r["errors"]) == 1
assert r["tests"][0] == {"file": "bad.wmap", "line": 4, "name": "value", "map": "main", "passed": False, "failures": [
    {"line": 4, "text": "`w` at [1 1] is 4, expected 5 (1 of 4 elements differ)"}]}, r["tests"][0]
assert {"file": "good.wmap", "line": 5, "column": 3, "tests": "good.wmap", "exercised": True} in r["rules"], r["rules"]
END
    run 1 test bad.wmap good.wmap tree/broken.wmap --format junit
    python3 - <<'END' || fail "JUnit: $(cat out)"
import xml.etree.ElementTree as tree
root = tree.parse("out").getroot()
assert root.tag == "testsuites" and root.attrib == {"tests": "20", "failures": "13", "errors": "1"}, root.attrib
suites = root.findall("testsuite")
assert [s.attrib["name"] for s in suites] == ["bad.wmap", "good.wmap", "tree/broken.wmap"]
assert sum(len(s.findall("testcase/failure")) for s in suites) == 13
assert "E0110" in suites[2].find("testcase/error").text
END
    run 1 test bad.wmap good.wmap tree/broken.wmap --format sarif
    python3 - <<'END' || fail "SARIF: $(cat out)"
import json
log = json.load(open("out"))
(run,) = log["runs"]
rules, results = run["tool"]["driver"]["rules"], run["results"]
assert log["version"] == "2.1.0" and len(results) == 14, len(results)
assert all(rules[r["ruleIndex"]]["id"] == r["ruleId"] for r in results)
places = [r["locations"][0]["physicalLocation"] for r in results]
assert [p["artifactLocation"]["uri"] for p in places] == ["bad.wmap"] * 13 + ["tree/broken.wmap"], places
assert places[0]["region"] == {"startLine": 4} and places[-1]["region"] == {"startLine": 2}
assert results[0]["message"]["text"] == 'test "value": `w` at [1 1] is 4, expected 5 (1 of 4 elements differ)'
assert "E0110" in results[-1]["message"]["text"] and results[-1]["ruleId"] == "spec-with-errors"
END
fi
run 1 test bad.wmap good.wmap tree/broken.wmap --format github
has out '::error file=bad.wmap,line=4,title=value::`w` at [1 1] is 4, expected 5 (1 of 4 elements differ)'
has out '::error file=tree/broken.wmap,line=2,endLine=2,col='
[ "$(grep -c '^::error ' out)" = "$(wc -l <out)" ] || fail "not one line a finding: $(cat out)"
run 0 test good.wmap --format github
empty out
# names of tests and files that no terminal, JSON or XML can hold as they are
strange=$(printf 'strange-\377\001\033<&"\357\277\277.wmap')
printf '%s\n' 'wmap 1' 'map main { "x" -> "y" }' \
    'test "<&\"]]>\u{7}\u{ffff}\u{85}\u{202e}" of main { given "x" = 1; expect "\u{1}" = 1 }' >"$strange"
run 1 test "$strange"
! LC_ALL=C grep -qP '[\x01\x1b\xff]' out || fail 'a name reaches the terminal as it is'
for form in json junit sarif; do
    run 1 test "$strange" --format $form
    mv out $form
done
if command -v python3 >/dev/null; then
    python3 - <<'END' || fail "names: $(cat json junit)"
import json, xml.etree.ElementTree as tree
(test,) = json.load(open("json"))["tests"]
(case,) = tree.parse("junit").getroot().iter("testcase")
assert test["name"] == '<&"]]>\a\uffff\x85\u202e', test
assert case.attrib["name"] == '<&"]]>\ufffd\ufffd\x85\u202e', case.attrib
assert test["file"] == 'strange-\ufffd\x01\x1b<&"\uffff.wmap', test
uri = json.load(open("sarif"))["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
assert uri == "strange-%FF%01%1B%3C%26%22%EF%BF%BF.wmap", uri
assert case.attrib["classname"] == 'strange-\ufffd\ufffd\ufffd<&"\ufffd.wmap', case.attrib
END
fi

# coverage: both branches of `if`, loops, parts of imported maps, blocks of one direction
cat >covered.wmap <<'END'
wmap 1
import "part" as p
map main (n = 1) {
  if n > 1 { "a" -> "many" } else { "a" -> "one" }
  for i in 1..n { "w{i}" -> "v{i}" }
  forward { fill 1 -> "made" : u8 [] }
  reverse { fill 2 -> "was" : u8 [] }
  if has "never" { "never" -> "never"; use p.idle() }
  use p.main()
}
test "one" of main { given "a" = 7; given "w1" = 3; given "p" = 1; expect "one" = 7; expect "v1" = 3 }
test "back" of p.both { given "q" = 1; given "was" = u8 2; expect reverse }
END
cat >part.wmap <<'END'
wmap 1
map main { "p" -> "p" }
map idle { "idle" -> "idle" }
map both { "q" -> "r"; forward { drop "was" }; reverse { fill 2 -> "was" : u8 [] } }
map stranger { "x" -> "y" }
END
run 0 test covered.wmap --coverage -I .
grep -oE '[a-z]+[.]wmap:[0-9]+:[0-9]+' out >idle
printf '%s\n' covered.wmap:4:14 covered.wmap:7:13 covered.wmap:8:20 part.wmap:3:12 | diff - idle || fail "coverage: $(cat out)"
has out '6 of 10 rules exercised'

# elements that differ are counted for all copies, of which one is named
cat >copies.wmap <<'END'
wmap 1
map main { for l in 1..3 { equal "c{l}", "w" -> "o{l}" } }
test "one of two" of main { given "w" = [1 2]; given "c1" = [1 3]; given "c2" = [1 3]; given "c3" = [1 3]; expect "o1" = [1 2] }
END
run 1 test copies.wmap
has out 'R0802: 3 elements differ from copies such as `c1`'

finish
