#!/bin/sh
# Fails when an include points the wrong way (server -> api -> {index, engine} -> base) or when a
# third-party library is used outside its home.
set -u
bad=0

forbid() { # FOLDERS LAYERS: files in FOLDERS may not include from LAYERS
    found=$(grep -nE "^#include \"($2)/" $(find $1 -name '*.[ch]' -o -name '*.cc') /dev/null)
    if [ -n "$found" ]; then
        echo "an include points the wrong way:"; echo "$found"; bad=1
    fi
}
forbid base 'server|api|index|engine'
forbid engine 'server|api|index'
forbid index 'server|api|engine'
forbid api 'server'
forbid api/services 'api/jobs|api/requests'
forbid api/jobs 'api/requests'
forbid server/process 'server/http|server/commands'
forbid server/http 'server/process|server/commands'
forbid server/commands 'server/http'

# The root of server/ is its roof: main.c and cmd_serve.c use the folders below, and none of these includes a header of the root.
found=$(grep -rnE '^#include "server/[^/]*"' server --include='*.[ch]')
if [ -n "$found" ]; then
    echo "a folder of server/ includes up into the root:"; echo "$found"; bad=1
fi
forbid engine/kernels 'engine/(ops|pictures|objectives|data|learning|judging|training)'
forbid engine/ops 'engine/(pictures|objectives|data|learning|judging|training)'

home() { # PATTERN FILE...: only these files may include what matches
    pattern=$1; shift
    found=$(grep -rnE "^#include [<\"]($pattern)" base engine index api server --include='*.[ch]' --include='*.cc')
    for f in "$@"; do found=$(printf '%s\n' "$found" | grep -v "^$f:"); done
    if [ -n "$found" ]; then
        echo "a library leaks out of its home ($*):"; echo "$found"; bad=1
    fi
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

[ $bad = 0 ] && echo "layers: clean"
exit $bad
