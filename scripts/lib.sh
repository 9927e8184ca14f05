# scripts/lib.sh: what the scripts share. Sourced; expects `set -eu` and the repository as current folder.

say() {
    printf '\n== %s\n' "$*"
}

die() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 2
}

# need_packages GROUP...: installs the Debian packages of these groups that are missing.
need_packages() {
    missing=
    for group in "$@"; do
        while read -r of name; do
            if [ "$of" = "$group" ] &&
                ! dpkg-query -W -f '${Status}\n' "$name" 2>/dev/null | grep -q '^install ok installed$'; then
                missing="$missing $name"
            fi
        done <scripts/packages
    done
    [ -z "$missing" ] && return 0
    command -v apt-get >/dev/null || die "this script installs with apt-get; please install:$missing"
    [ "$(id -u)" = 0 ] || die "please run as root: apt-get install$missing"
    say "Installing$missing"
    apt-get update -q
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing
}
