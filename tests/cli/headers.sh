#!/bin/bash
# Each public header compiles alone, as C17 and as C++, and includes nothing but the others and the C library.
. "$(dirname "$0")/lib.sh"
for path in "$SOURCE"/include/wmap/*.h; do
    name=wmap/$(basename "$path")
    printf '#include "%s"\n#include "%s"\nint main(void) { return 0; }\n' "$name" "$name" >one.c
    cp one.c one.cc
    "$CC" -std=c17 -Wall -Wextra -Wpedantic -Werror -I"$SOURCE/include" -fsyntax-only one.c || fail "$name as C17"
    if [ -n "${CXX:-}" ] && [ "${CXX%NOTFOUND}" = "$CXX" ]; then
        "$CXX" -std=c++17 -Wall -Wextra -Wpedantic -Werror -I"$SOURCE/include" -fsyntax-only one.cc || fail "$name as C++"
    fi
    grep -nE '^#include "' "$path" | grep -v '"wmap/' && fail "$name includes a header that isn't public"
done
grep -rnE '#include "(\.\.|runtime|compiler|grammar)' "$SOURCE/cli" && fail "the command line includes what isn't public"
finish
