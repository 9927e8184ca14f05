#!/bin/bash
# The installed tree works, also when it was moved: the program with its library and specs, pkg-config, CMake.
. "$(dirname "$0")/lib.sh"
cmake --install "$BUILD" --prefix "$scratch/first" >log 2>&1 || {
    cat log
    fail "install"
    finish
}
mv first moved
tree=$scratch/moved
unset WMAP_SPECS WMAP_LIBEXEC
sample
WMAP=$tree/bin/wmap
run 0 --version
echo 'wmap 1
import "keras/torch"
map main { keep rest }' >s.wmap
run 0 run s.wmap a.safetensors -o b.npz
ls "$tree"/share/man/man1/wmap.1 "$tree"/share/wmap/specs/keras/torch.wmap >/dev/null || fail "files are missing"
if [ -x "$BUILD/wmap-hdf5" ]; then
    WMAP_LIBEXEC=$tree/libexec/wmap run 0 inspect "$SOURCE/examples/cnn/cnn.h5"
fi

cat >user.c <<'C'
#include <stdio.h>
#include <wmap/wmap.h>

int main(int argc, char **argv)
{
    wmap_error err;
    wmap_archive *archive = argc > 1 ? wmap_archive_open(argv[1], &err) : NULL;
    if (!archive) {
        return 1;
    }
    printf("%s %zu\n", wmap_version(), wmap_archive_count(archive));
    wmap_archive_close(archive);
    return 0;
}
C
version=$("$WMAP" --version | cut -d' ' -f2)
pc=$(dirname "$(find "$tree" -name wmap.pc)")
export PKG_CONFIG_PATH=$pc
[ "$(pkg-config --modversion wmap)" = "$version" ] || fail "pkg-config's version"
# shellcheck disable=SC2046
"$CC" -std=c17 -Wall -Wextra -Werror user.c -o by_pc $(pkg-config --cflags --libs wmap) &&
    [ "$(LD_LIBRARY_PATH=$(pkg-config --variable=libdir wmap) ./by_pc a.safetensors)" = "$version 2" ] || fail "built with pkg-config"

mkdir project
cp user.c project
cat >project/CMakeLists.txt <<'CMAKE'
cmake_minimum_required(VERSION 3.22)
project(user C)
find_package(wmap 0.1 REQUIRED)
add_executable(user user.c)
target_link_libraries(user wmap::wmap)
CMAKE
cmake -S project -B made -DCMAKE_PREFIX_PATH="$tree" -DCMAKE_C_COMPILER="$CC" >log 2>&1 && cmake --build made >>log 2>&1 || {
    cat log
    fail "build with CMake"
}
[ "$(made/user a.safetensors)" = "$version 2" ] || fail "built with CMake"

# what the library shows to a linker is what the headers declare
nm -D --defined-only "$(find "$tree" -name 'libwmap.so*' -type f)" | awk '$2 ~ /[A-Z]/ {print $3}' | grep -v '^wmap_' | grep -v '@@' >extra
empty extra
finish
