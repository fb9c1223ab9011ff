#!/bin/sh
# Fails when an include points the wrong way, when a third-party library is used outside its home, or when the calls
# within index/, api/ and server/ go round in a circle.
set -u
bad=0

complain() { # HEADLINE LINES: when there are lines
    [ -z "$2" ] || { printf '%s\n%s\n' "$1:" "$2"; bad=1; }
}

# ---- folders ----

# What each folder may include, besides itself.  Every folder has a row, and every word of it is needed.
allowed='
base:
engine/kernels: base
engine/ops: base engine/kernels
engine/pictures: base
engine: base engine/kernels engine/ops engine/pictures
engine/objectives: base engine/kernels
engine/data: base engine/objectives engine/pictures
engine/learning: base engine engine/data engine/kernels engine/objectives engine/ops
engine/judging: base engine engine/data engine/kernels engine/pictures
engine/training: base engine engine/data engine/judging engine/kernels engine/learning engine/pictures
index/values: base
index/catalog: base index/values
index/vectors: base index/values
index: base index/catalog index/values index/vectors
api/services: base engine index
api/jobs: base engine/data engine/learning engine/objectives engine/pictures engine/training index api/services
api/requests: base engine engine/pictures index api/jobs api/services
server/process: base api/requests api/services
server/http: base index api/requests api/services
server/commands: base engine engine/data engine/judging engine/learning engine/pictures engine/training index \
    api/jobs api/requests api/services server/process
server: base api/jobs api/services server/commands server/http server/process
'

scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
tops='base engine index api server'
printf '%s\n' "$allowed" | sed -e :a -e '/\\$/N; s/\\\n//; ta' | sed '/^$/d' >"$scratch/rows"
cut -d: -f1 "$scratch/rows" | sort >"$scratch/named"
find $tops -name '*.[ch]' | sed 's|/[^/]*$||' | sort -u >"$scratch/folders"
awk -F: '{n = split($2, to, " "); for (i = 1; i <= n; i++) print $1, to[i]}' "$scratch/rows" | sort >"$scratch/may"
grep -rnE '^#include "('"$(echo $tops | tr ' ' '|')"')/' $tops --include='*.[ch]' --include='*.cc' |
    sed -E 's|^(.*)/([^/:]*:[0-9]+):#include "(.*)/([^/"]*)".*|\1 \3 \1/\2 \4|' | awk '$1 != $2' | sort >"$scratch/uses"
cut -d' ' -f1,2 "$scratch/uses" | sort -u >"$scratch/does"

complain 'a folder without a row in tests/layers.sh' "$(comm -13 "$scratch/named" "$scratch/folders")"
complain 'a row in tests/layers.sh without a folder' "$(comm -23 "$scratch/named" "$scratch/folders")"
complain 'tests/layers.sh allows what nobody includes' "$(comm -23 "$scratch/may" "$scratch/does" | sed 's/ / -> /')"
complain 'an include points the wrong way' "$(comm -13 "$scratch/may" "$scratch/does" | while read -r from to; do
    awk -v from="$from" -v to="$to" '$1 == from && $2 == to {print "  " $3 " includes " to "/" $4}' "$scratch/uses"; done)"
complain 'folders in a circle' "$(tsort <"$scratch/does" 2>&1 >"$scratch/order")"

# ---- libraries ----

home() { # PATTERN FILE...: only these files may include what matches
    pattern=$1; shift
    leaks '^#include [<"]('"$pattern"')' "$@"
}
calls() { # PATTERN FILE...: only these files may speak of what matches, be it declared by hand
    pattern=$1; shift
    leaks "\\b($pattern)" "$@"
}
leaks() {
    found=$(grep -rnE "$1" $tops --include='*.[ch]' --include='*.cc'); shift
    for f in "$@"; do found=$(printf '%s\n' "$found" | grep -v "^$f:"); done
    complain "leaks out of its home ($*)" "$found"
}
home 'jansson'     base/json.c
home 'nettle/'     base/hash.c base/base64.c
home 'utf8proc'    base/nfc.c
home 'sqlite3'     index/catalog/sql.c
home 'faiss/'      index/vectors/faiss_shim.cc index/vectors/faiss_shim.h
home 'microhttpd'  server/http/http_exchange.h
home 'gnutls/'     server/http/certificate.c server/http/wire.c server/commands/tls_link.c
home 'jpeglib|jerror|turbojpeg' engine/pictures/image_jpeg.c engine/pictures/image_jpeg_write.c
home 'png\.h'      engine/pictures/image_png.c engine/pictures/image_png_write.c
home 'zlib\.h'     engine/pictures/inflate_zlib.c
home 'lcms2'       engine/pictures/colour_lcms.c
home 'webp/'       engine/pictures/image_webp.c
home 'cblas|openblas' engine/kernels/gemm_blas.c engine/kernels/infer_patches.c
home 'dnnl\.h|oneapi/' engine/kernels/common_dnnl.h
home 'engine/kernels/common_dnnl' engine/kernels/common_dnnl.c engine/kernels/infer_dnnl.c engine/kernels/gemm_dnnl.c \
    engine/kernels/train_dnnl.c
calls 'openblas_|cblas_' engine/kernels/gemm_blas.c engine/kernels/infer_patches.c
calls 'dsyev_' engine/kernels/eigen_blas.c
calls 'omp_[sg]et_[a-z_]+' engine/kernels/gemm_blas.c engine/judging/evaluate.c
calls 'sqlite3_|PRAGMA|[a-z%]-wal\b' index/catalog/sql.c

# ---- calls within index/, api/ and server/, by the linker's symbols, where they have been built ----

built=${B:-build/release}
objects=$(find index api server -name '*.c' -o -name '*.cc' | sed -E "s|(.*)\.cc?$|$built/\1.o|" | while read -r o; do
    [ -e "$o" ] && echo "$o"; done)
[ -z "$objects" ] || complain 'calls in a circle' "$(nm -A $objects | awk '
    {at = index($0, ":"); n = split(substr($0, at + 1), part, " "); file = substr($0, 1, at - 1); name = part[n]}
    part[n - 1] == "U" {calls[file " " name]}
    part[n - 1] ~ /^[TDBR]$/ {home[name] = file}
    END {for (c in calls) {split(c, p, " "); if (p[2] in home && home[p[2]] != p[1]) print p[1], home[p[2]]}}' |
    tsort 2>&1 >"$scratch/order")"

[ $bad = 0 ] && echo "layers: clean"
exit $bad
