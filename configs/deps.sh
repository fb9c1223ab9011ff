#!/bin/sh
# Installs the named Debian packages that are missing; says first what it will install.
#   deps.sh [--if-missing] PACKAGE...      --if-missing: silent when nothing is missing
set -eu
quiet=0
if [ "${1:-}" = --if-missing ]; then quiet=1; shift; fi

if ! command -v dpkg-query >/dev/null 2>&1; then
    [ $quiet = 1 ] && command -v pkg-config >/dev/null 2>&1 &&
        pkg-config --exists libmicrohttpd jansson sqlite3 nettle libutf8proc libpng libwebp lcms2 zlib && exit 0
    echo "anchord needs these libraries with their headers (Debian's package names):" >&2
    printf '  %s\n' "$@" >&2
    echo "Install their equivalents with your system's package manager, then run make again." >&2
    exit 1
fi

missing=
for p in "$@"; do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null || true)
    [ "$state" = installed ] || missing="$missing $p"
done
if [ -z "$missing" ]; then
    [ $quiet = 1 ] || echo "nothing is missing"
    exit 0
fi

if ! command -v apt-get >/dev/null 2>&1; then
    echo "missing:$missing" >&2
    echo "There is no apt-get here: install these with your package manager, then run make again." >&2
    exit 1
fi
sudo=
if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null 2>&1; then
        echo "missing:$missing" >&2
        echo "Run as root: apt-get install$missing" >&2
        exit 1
    fi
    sudo=sudo
fi
echo "installing with apt:$missing"
$sudo apt-get update -qq
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null
