#!/bin/bash
# Findings for programs (SARIF, GitHub's commands, JSON), what -W makes of warnings, and --fix.
. "$(dirname "$0")/lib.sh"

mkdir -p 'a, b' other
cat >'a, b/c:d.wmap' <<'END'
wmap 1
# ünï
map main { "é{n}" -> "b%{nn}" }
END
run 1 check 'a, b/c:d.wmap' --format github
has out '::error file=a%2C b/c%3Ad.wmap,line=3,endLine=3,col='
has out ',title=E0403::'
has out '%0Ahint: '
[ "$(wc -l <out)" = 1 ] || fail "not one line a finding: $(cat out)"
empty err
run 1 check 'a, b/c:d.wmap' --format sarif
empty err
if command -v python3 >/dev/null; then
    # What the schema of SARIF 2.1.0 demands of the objects that are there.
    python3 - out <<'END' || fail "not SARIF 2.1.0: $(cat out)"
import json, sys
log = json.load(open(sys.argv[1], encoding="utf-8"))
assert log["version"] == "2.1.0" and len(log["runs"]) == 1
run = log["runs"][0]
driver = run["tool"]["driver"]
assert driver["name"] == "wmap" and run["columnKind"] == "unicodeCodePoints"
rules = driver["rules"]
assert len({r["id"] for r in rules}) == len(rules) > 0
assert run["results"]
for result in run["results"]:
    assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
    assert result["level"] in ("error", "warning", "note") and result["message"]["text"]
    for at in result["locations"] + result["relatedLocations"]:
        at = at["physicalLocation"]
        assert at["artifactLocation"]["uri"] == "a%2C%20b/c%3Ad.wmap", at
        r = at["region"]
        assert 1 <= r["startLine"] <= r["endLine"] and r["startColumn"] >= 1, r
        assert r["startLine"] < r["endLine"] or r["startColumn"] <= r["endColumn"], r
    for fix in result.get("fixes", []):
        for change in fix["artifactChanges"]:
            assert change["artifactLocation"]["uri"] and change["replacements"]
            for one in change["replacements"]:
                assert one["deletedRegion"] and "text" in one["insertedContent"]
assert any("fixes" in r for r in run["results"])
END
fi
run 2 check 'a, b/c:d.wmap' --format xml
has err 'text, json, sarif or github'
run 1 run 'a, b/c:d.wmap' --format github -n
has out '::error file='

# -W
mkdir -p near far
printf 'wmap 1\nmap parts_of { keep rest }\n' | tee near/parts.wmap >far/parts.wmap
printf 'wmap 1\nimport "parts"\nmodel src { "a" : f32 [2] }\nmap main from src { use parts_of }\n' >w.wmap
run 0 check w.wmap -I near -I far
has err 'warning[W0001]'
run 1 check w.wmap -I near -I far -W error
has err 'error[W0001]'
run 0 check w.wmap -I near -I far -W no-W0001
grep -q W0001 err && fail "no-W0001"
run 1 check w.wmap -I near -I far -W W0001=error
run 0 check w.wmap -I near -I far -W no-W0001 -W error
run 2 check w.wmap -I near -I far -W W9999=error
has err 'W9999=error'

# --fix: before and after; a second time nothing changes; only the spec's folder
fix() { # BEFORE AFTER: lines behind `wmap 1`
    printf 'wmap 1\n%s\n' "$1" >fix.wmap
    printf 'wmap 1\n%s\n' "$2" >want
    cp fix.wmap was
    run 1 check fix.wmap --fix --diff
    has out '+++ fix.wmap (mended)'
    same fix.wmap was
    run 0 check fix.wmap --fix
    same fix.wmap want
    run 0 check fix.wmap --fix
    same fix.wmap want
}
fix 'map main { "fc" [i, o] -> "fc.weight" [o, i] }' 'map main { "fc" [i o] -> "fc.weight" [o i] }'
fix 'map main { "a" [i,o ,k
    ,l,
    m] -> "b" [o i k l m] }' 'map main { "a" [i o k
    l
    m] -> "b" [o i k l m] }'
fix 'map main { "a" | rsqr -> "b" }' 'map main { "a" | rsqrt -> "b" }'
fix 'param scale = 2
map main { "a" | * scael -> "b" }' 'param scale = 2
map main { "a" | * scale -> "b" }'
fix 'map conv (src) { "{src}" -> "b" }
map main { use convs (src="a") }' 'map conv (src) { "{src}" -> "b" }
map main { use conv (src="a") }'
fix 'model a { "w" : f32 [8] }
model b { "w" : f16 [8] }
map main from a to b { "w" -> "w" }' 'model a { "w" : f32 [8] }
model b { "w" : f16 [8] }
map main from a to b { "w" | cast f16 -> "w" }'
printf '# one\nmap main {\n    "a" -> "b"\n}\n' >fix.wmap
run 1 check fix.wmap --fix --diff
[ "$(grep -c '^[+-]' out)" = 3 ] || fail "not one line: $(cat out)"
has out '+wmap 1'
run 0 check fix.wmap --fix
has fix.wmap 'wmap 1'
# two names are as near: a person decides
printf 'wmap 1\nparam axa = 1\nparam axb = 1\nmap main { "a" | * axc -> "b" }\n' >fix.wmap
cp fix.wmap was
run 1 check fix.wmap --fix
same fix.wmap was
printf 'wmap 1\nmap part { "a" [i, o] -> "b" [o i] }\n' >other/part.wmap
cp other/part.wmap was
mkdir -p mine
printf 'wmap 1\nimport "part"\nmap main { use part }\n' >mine/fix.wmap
run 1 check mine/fix.wmap -I other --fix
same other/part.wmap was
printf 'wmap 1\nmap part { "a" [i, o] -> "b" [o i] }\n' >mine/part.wmap
run 0 check mine/fix.wmap --fix
has mine/part.wmap '[i o]'
run 2 check fix.wmap --diff
finish
