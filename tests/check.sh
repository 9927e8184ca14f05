#!/bin/bash
# tests/check.sh [BUILD]: the rules of this source tree that a script can check. With a build folder, the two
# libraries are looked at too. Prints what breaks a rule, and "N rules kept, M broken".
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/.." || exit 2
export LC_ALL=C
shopt -s lastpipe # `rule` counts, at the end of a pipe
build=${1:-}
kept=0 broken=0

# rule NAME: reads findings from stdin; none is good
rule() {
    local found
    found=$(cat)
    if [ -z "$found" ]; then
        kept=$((kept + 1))
    else
        broken=$((broken + 1))
        printf '%s:\n' "$1"
        printf '%s\n' "$found" | sed 's/^/    /' | head -40
    fi
}

# The files of the project: all that git knows, or all that is there.
files() {
    if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
        git ls-files -- "$@" | while IFS= read -r f; do [ -f "$f" ] && printf '%s\n' "$f"; done
    else
        find . \( -name 'build*' -o -name .venv -o -name .git \) -prune -o -type f -print | sed 's,^\./,,' | grep -E "$(printf '%s\n' "$@" |
            sed 's/[.]/[.]/g; s/\*/.*/g; s/^/^/; s/$/$/' | paste -sd'|')"
    fi
}

mapfile -t code < <(files '*.c' '*.h' | sort)
mapfile -t product < <(files '*.c' '*.h' '*.l' '*.y' | grep -E '^(compiler|runtime|runner|cli|grammar|include)/' | sort)
mapfile -t library < <(printf '%s\n' "${product[@]}" | grep -vE '^(cli|runtime/hdf5)/')
[ ${#product[@]} -gt 0 ] || { echo "no files found"; exit 2; }

# Comments and strings say what they like: code alone, as file:line:text.
plain() {
    awk '{
        line = $0
        if (FNR == 1) inside = 0
        out = ""
        while (line != "") {
            if (inside) {
                at = index(line, "*/")
                if (!at) { line = ""; break }
                line = substr(line, at + 2); inside = 0
            } else if (match(line, /"([^"\\]|\\.)*"|\/\*|\/\//)) {
                out = out substr(line, 1, RSTART - 1)
                hit = substr(line, RSTART, RLENGTH)
                line = substr(line, RSTART + RLENGTH)
                if (hit == "/*") inside = 1
                else if (hit == "//") line = ""
                else out = out "\"\""
            } else { out = out line; line = "" }
        }
        print FILENAME ":" FNR ":" out
    }' "$@"
}

if command -v clang-format >/dev/null; then
    clang-format --dry-run "${code[@]}" 2>&1 | sed -n 's/^\([^:]*\):.*-Wclang-format-violations.*/\1/p' | sort -u |
        rule "not as clang-format writes it (clang-format -i FILE)"
fi

plain "${product[@]}" |
    grep -E '[^a-zA-Z0-9_](strcpy|strcat|sprintf|vsprintf|gets|alloca|strtok|atoi|atol|atof|tmpnam|mktemp) ?\(' |
    rule "a call that is banned"
plain "${product[@]}" | grep -E '[^a-zA-Z0-9_](malloc|realloc) ?\(' |
    grep -E 'alloc ?\((.*, ?)?[^,]*[a-zA-Z0-9_)] ?\* ?[a-zA-Z0-9_(]' | grep -vE 'malloc ?\(sizeof \*[a-z_]+\)' |
    rule "a size that is multiplied without a check (wm_size_mul, wm_alloc_array)"
plain "${library[@]}" | grep -E '[^a-zA-Z0-9_](exit|abort|printf|puts|perror) ?\(' |
    rule "a library neither prints nor exits"

wc -l "${code[@]}" | awk '$2 != "total" && $1 > 1200 { print $2 ": " $1 " lines" }' | rule "more than 1200 lines"
wc -l "${product[@]}" | awk '$2 != "total" && $1 > 800 && $2 !~ /\.(l|y)$/ { print $2 ": " $1 " lines" }' |
    rule "more than 800 lines"
awk 'FNR == 1 { begin = 0 }
     /^[a-z].*\)$/ { head = FNR }
     /^\{/ { begin = FNR }
     /^\}/ { if (begin && FNR - begin - 1 > 80) print FILENAME ":" begin ": " FNR - begin - 1 " lines"; begin = 0 }' \
    "${product[@]}" | grep -vE '\.(l|y):' | rule "a function of more than 80 lines"
for f in "${product[@]}"; do
    head -c 2 "$f" | grep -q '/\*' || head -n 3 "$f" | grep -q '/\*' || printf '%s\n' "$f"
done | rule "a file that does not open with what it is for"

# Diagnostics: one list, of which everything else follows.
ids=$(sed -n 's/^WM_DIAG(\([A-Z][0-9]*\),.*/\1/p' compiler/diag.def)
[ -n "$ids" ] || echo "compiler/diag.def" | rule "the list of diagnostics is empty"
for id in $ids; do
    grep -qs "^| $id |" docs/language.md || printf '%s\n' "$id"
done | rule "a diagnostic without a line in docs/language.md"
# The tests that docs/formats.md names as proof exist.
grep -oE '`test_[a-z0-9_]+\.[A-Za-z0-9]+\.test_[a-z0-9_]+`' docs/formats.md | tr -d '\`' | sort -u | while IFS=. read -r file class test; do
    awk -v class="$class" -v test="$test" '/^class / {inside = $0 ~ "^class " class "[(:]"} inside && $0 ~ "def " test "\\(" {found = 1}
        END {exit !found}' "tests/interop/$file.py" 2>/dev/null || printf '%s.%s.%s\n' "$file" "$class" "$test"
done | rule "docs/formats.md names a test that is not there"
# What a compilation can raise has its smallest spec. (The ids of runtime/ are tested where data is at hand.)
raised=$(grep -ohE 'WM_[EW][0-9]{4}' compiler/*.c grammar/*.y grammar/*.l | sed 's/WM_//' | sort -u)
for id in $raised; do
    ls tests/language/diag/"$id"/*.wmap >/dev/null 2>&1 || printf '%s\n' "$id"
done | rule "a diagnostic that can be raised, without a case in tests/language/diag"
for id in $(plain_ids=$(grep -ohE '(WM_|")[EWR][0-9]{4}' compiler/*.c runtime/*.c runtime/*/*.c cli/*.c grammar/*.[ly]) &&
    printf '%s\n' "$plain_ids" | grep -oE '[EWR][0-9]{4}' | sort -u); do
    grep -E "^\| $id \|.*not raised by this version" docs/language.md
done | rule "docs/language.md says of a diagnostic that it is not raised, but it is"
for id in $({ printf '%s\n' $raised && grep -ohE '"R[0-9]{4}: ' runtime/*.c | grep -oE 'R[0-9]{4}'; } | sort -u); do
    [ "$id" = E0199 ] || grep -q "^## $id: " docs/errors.md || printf '%s\n' "$id"
done | rule "a diagnostic without a section in docs/errors.md"
# What the document lists as raised is raised: by a case of its own, or where data is at hand.
for id in $(sed -n '/not raised by this version/d; s/^| \([EWR][0-9]*\) |.*/\1/p' docs/language.md); do
    ls tests/language/diag/"$id"/*.wmap >/dev/null 2>&1 || grep -qsE "\\b$id\\b" tests/cli/*.sh tests/unit/run.c ||
        printf '%s\n' "$id"
done | rule "docs/language.md lists a diagnostic that no test raises"
for dir in tests/language/diag/*/; do
    id=$(basename "$dir")
    grep -q "WM_DIAG($id," compiler/diag.def || printf '%s\n' "$id"
done | rule "cases of a diagnostic that does not exist"

# Documents.
for f in "${product[@]}"; do
    grep -qsF "\`$f\`" docs/internals.md || printf '%s\n' "$f"
done | grep -E '\.(c|l|y|proto)$' | rule "a file without a line in docs/internals.md"
grep -oE '`(compiler|runtime|runner|cli|grammar|include)/[a-z0-9_/.]+\.[a-z]+`' docs/internals.md | tr -d '`' | sort -u |
    while IFS= read -r f; do [ -f "$f" ] || printf '%s\n' "$f"; done | rule "docs/internals.md names a file that is gone"
for flag in $(sed -n 's/^FLAG([A-Z_]*, "\([a-z-]*\)".*/\1/p' cli/flags.def); do
    sed 's/\\-/-/g' docs/man/wmap.1 | grep -qF -- "--$flag" || printf -- '--%s\n' "$flag"
done | rule "a flag that the manual page lacks"

# A prototype in a public header stands under a comment, or in a run of prototypes under one.
awk 'FNR == 1 { said = 0 }
     /\*\// { said = 1; next }
     /^WMAP_API/ { if (!said) print FILENAME ":" FNR ": " $0 }
     /^$/ { blank = FNR }
     /^[^ W\/*#]/ && !/^WMAP_API/ { said = 0 }' include/wmap/*.h | rule "a public function without a comment"
grep -nE '#include "' cli/*.c cli/*.h | grep -vE '#include "(wmap/[a-z]+\.h|[a-z]+\.h|[a-z]+\.def|cli/[a-z]+\.def)"' |
    rule "the program includes more than the public headers"
grep -nE '#include "compiler/' runtime/*.[ch] runtime/*/*.[ch] | rule "the runtime knows the compiler"
grep -nE '#include "runtime/' compiler/*.[ch] | grep -v 'runtime/base/' | rule "the compiler knows more of the runtime than its base"
git grep -nE '(/home/|/work/|/tmp/build)' -- . ':!tests/check.sh' 2>/dev/null | rule "a path of somebody's machine"

# Writable data of the libraries: what is started once, and what belongs to the process: its handler of SIGBUS, the
# seed of its hash tables, the numbers of its temporary files. Tables of pointers are only relocated.
process_wide='^(trap[.]c[.]o:|map[.]c[.]o:seed|output[.]c[.]o:(counter|slots)|[a-z_]*[.]c[.]o:([a-z_]*_)?once )'
if [ -n "$build" ]; then
    for lib in wmap_compiler wmap_runtime wmap_base; do
        [ -f "$build/lib$lib.a" ] || continue
        nm -A -f sysv "$build/lib$lib.a" 2>/dev/null |
            awk -F'|' '$7 ~ /^ *\.(bss|data|tbss|tdata)/ && $7 !~ /\.data\.rel\.ro/ && $4 ~ /OBJECT|TLS/ { print $1 $7 }' |
            sed 's/^[^:]*://' | grep -vE "$process_wide"
    done | grep -vE 'asan|ubsan|gcov|^__' | rule "writable data in a library"
fi

printf '%d rules kept, %d broken\n' $kept $broken
[ $broken = 0 ]
