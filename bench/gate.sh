#!/bin/bash
# What may become the model and what may not: three fine-tuning jobs with "promote": "if_better" on the same pictures, each on a server
# of its own that begins with the same random weights: as they are; with a learning rate that does harm; with shuffled labels.
#
#   bench/gate.sh PICTURES [MINUTES]      PICTURES: a folder of labelled folders; MINUTES: of training for each job, 2
set -euo pipefail
pictures=${1:?a folder of labelled folders}; minutes=${2:-2}
anchord=${ANCHORD:-build/anchord}
dir=$(mktemp -d); server=; missed=0
trap '[ -z "$server" ] || kill $server 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$dir"' EXIT

field() { python3 -c 'import json,sys
v=json.load(sys.stdin)
for k in sys.argv[1].split("."): v=v[k]
print(v)' "$1"; }

# A file, an id and a label a line, with the labels as they are or shuffled (always in the same way).
list() { # plain|shuffled
    (cd "$pictures" && find . -mindepth 2 -type f | sed 's|^\./||' | sort) | python3 -c 'import random,sys
paths=sys.stdin.read().split("\n")[:-1]
labels=[p.split("/")[0] for p in paths]
if sys.argv[1]=="shuffled": random.Random(1).shuffle(labels)
for i,(p,l) in enumerate(zip(paths,labels)): print(p,"p%d"%i,l)' "$1"
}

job() { # NAME plain|shuffled HYPERPARAMETERS WANTED
    local out=$dir/out admin public id before after
    "$anchord" serve --data "$dir/data" --model "$dir/fresh.safetensors" --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 > "$out" 2> "$dir/log" & server=$!
    for _ in $(seq 200); do grep -q listening "$out" && break; sleep 0.1; done
    public=$(sed -n 's/^listening \([^ ]*\) .*/\1/p' "$out"); admin=$(sed -n 's/.* admin \(.*\)/\1/p' "$out")
    list "$2" | while read -r path id label; do
        printf 'url = "%s/v1/collections/default/images/%s?label=%s"\nupload-file = "%s/%s"\noutput = "/dev/null"\n' "$public" "$id" "$label" "$pictures" "$path"
    done > "$dir/uploads"
    curl -sS --fail -H 'content-type: image/jpeg' -K "$dir/uploads"
    before=$(curl -s "$public/v1/collections/default" | field model)
    id=$(curl -s -H 'content-type: application/json' "$admin/v1/fine_tuning/jobs" \
        -d "{\"training_file\":\"default\",\"promote\":\"if_better\",\"method\":{\"type\":\"infonce\",\"infonce\":{\"hyperparameters\":{\"max_minutes\":$minutes,\"n_epochs\":100$3}}}}" | field id)
    while curl -s "$admin/v1/fine_tuning/jobs/$id" > "$dir/job"; do
        case $(field status < "$dir/job") in queued|running) sleep 1;; *) break;; esac
    done
    for _ in $(seq 600); do [ "$(curl -s "$public/v1/collections/default" | field status)" = ready ] && break; sleep 0.5; done
    after=$(curl -s "$public/v1/collections/default" | field model)
    local verdict=kept; [ "$before" = "$after" ] || verdict=promoted
    [ "$verdict" = "$4" ] || missed=1
    printf '%s: %s, wanted %s. %s: %s\n' "$1" "$verdict" "$4" "$(field status < "$dir/job")" "$(field result.summary < "$dir/job" 2>/dev/null || field error.message < "$dir/job")"
    kill -TERM $server; wait $server || true; server=
    rm -rf "$dir/data"
}

"$anchord" model new --arch resnet18 --stem small2 --size 32 --seed 1 "$dir/fresh.safetensors" > /dev/null
job "as they are" plain "" promoted
job "a learning rate of 1" plain ',"learning_rate":1' kept
job "shuffled labels" shuffled "" kept
exit $missed
