#!/usr/bin/env bash
# make bench: every figure in one run, so that what is compared met the same machine in the same minutes.
#   run.sh BUILD [PHOTOS]      PHOTOS is a folder with photographs; without it pictures are drawn
#   SECONDS_EACH=3 N=100000    for each figure; vectors stored for the search
set -eu
build=$1
photos=${2:-}
seconds=${SECONDS_EACH:-3}
n=${N:-100000}
if [ -z "$photos" ]; then
    photos=build/bench-pictures
    if [ ! -d "$photos" ]; then
        "$build/anchord" demo-pictures --each 8 --side 512 "$photos.kinds" >/dev/null
        mkdir -p "$photos"
        for file in "$photos.kinds"/*/*.jpg; do
            mv "$file" "$photos/$(basename "$(dirname "$file")").$(basename "$file")"
        done
        rm -rf "$photos.kinds"
    fi
    echo "pictures drawn by the program stand in for photographs (make bench PHOTOS=DIR)"
fi
missed=0
program= # what runs now: the leader of a process group, to which its servers and peers belong

leave() {
    [ -n "$program" ] || return 0
    kill -TERM -- "-$program" 2>/dev/null
    for _ in {1..50}; do kill -0 -- "-$program" 2>/dev/null || return 0; sleep 0.1; done
    kill -KILL -- "-$program" 2>/dev/null
}
trap leave EXIT
trap 'exit 130' INT TERM HUP

step() { # NAME ARGUMENT...
    local name=$1
    shift
    echo
    echo "== $name"
    set -m
    B=$build OMP_NUM_THREADS=1 "$build/bench/$name" "$@" &
    program=$!
    set +m
    wait $program || missed=1
    program=
}
step bench_preprocess "$photos"
step bench_encoder "$photos" resnet18 "$seconds"
[ ! -x "$build/bench/bench_search" ] || step bench_search "$n"
step bench_step "$seconds" "$photos"
step bench_http "$photos" "$seconds"
step bench_background "$photos" "$seconds"
step bench_http_search "$photos" "$n" "$seconds"
exit $missed
