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

. "$(dirname "$0")/lib.sh"

# A file, an id and a label a line, with the labels as they are or shuffled (always in the same way).
list() { # plain|shuffled
    (cd "$pictures" && find . -mindepth 2 -type f | sed 's|^\./||' | sort) | python3 -c 'import random,sys
paths=sys.stdin.read().split("\n")[:-1]
labels=[p.split("/")[0] for p in paths]
if sys.argv[1]=="shuffled": random.Random(1).shuffle(labels)
for i,(p,l) in enumerate(zip(paths,labels)): print(p,"p%d"%i,l)' "$1"
}

job() { # NAME plain|shuffled HYPERPARAMETERS WANTED
    local id before after verdict=kept
    serve
    list "$2" | upload "$pictures"
    before=$(curl -s "$A/v1/collections/default" | field model)
    id=$(curl -s -H 'content-type: application/json' "$ADMIN/v1/fine_tuning/jobs" \
        -d "{\"training_file\":\"default\",\"promote\":\"if_better\",\"method\":{\"type\":\"infonce\",\"infonce\":{\"hyperparameters\":{\"max_minutes\":$minutes,\"n_epochs\":100$3}}}}" | field id)
    await_job "$id"
    await_ready
    after=$(curl -s "$A/v1/collections/default" | field model)
    [ "$before" = "$after" ] || verdict=promoted
    [ "$verdict" = "$4" ] || missed=1
    printf '%s: %s, wanted %s. %s: %s\n' "$1" "$verdict" "$4" "$(field status < "$dir/job")" "$(field result.summary < "$dir/job" 2>/dev/null || field error.message < "$dir/job")"
    kill -TERM $server; wait $server || true; server=
    rm -rf "$dir/data"
}

job "as they are" plain "" promoted
job "a learning rate of 1" plain ',"learning_rate":1' kept
job "shuffled labels" shuffled "" kept
exit $missed
