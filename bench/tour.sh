#!/bin/bash
# The whole loop with curl alone, written down as docs/tour.md: an empty folder, labelled pictures uploaded, searched, an encoder
# fine-tuned on them, judged, every picture embedded again, the switch, a roll-back.
#
#   bench/tour.sh PICTURES [MINUTES] > docs/tour.md      PICTURES: a folder of labelled folders; MINUTES: of training, 10
set -euo pipefail
pictures=${1:?a folder of labelled folders}; minutes=${2:-10}
anchord=${ANCHORD:-build/anchord}
dir=$(mktemp -d); trap 'kill $server 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$dir"' EXIT

say() { printf '%s\n' "$*"; }
# Shows a command as a reader would type it, runs it, shows what it printed (at most N characters a line).
show() { # [-c N] COMMAND
    local cut=400; [ "$1" = -c ] && { cut=$2; shift 2; }
    say '```sh'; say "$1"; say '```'; say '```'
    eval "$1" | cut -c1-"$cut"; say '```'
}
field() { python3 -c 'import json,sys
v=json.load(sys.stdin)
for k in sys.argv[1].split("."): v=v[int(k)] if isinstance(v,list) else v[k]
print(v)' "$1"; }

"$anchord" model new --arch resnet18 --stem small2 --size 32 --seed 1 "$dir/fresh.safetensors" > /dev/null
"$anchord" serve --data "$dir/data" --model "$dir/fresh.safetensors" --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 > "$dir/out" 2> "$dir/log" & server=$!
for _ in $(seq 100); do grep -q listening "$dir/out" && break; sleep 0.1; done
A=$(sed -n 's/^listening \([^ ]*\) .*/\1/p' "$dir/out"); ADMIN=$(sed -n 's/.* admin \(.*\)/\1/p' "$dir/out")
count=$(find "$pictures" -type f | wc -l); labels=$(find "$pictures" -mindepth 1 -maxdepth 1 -type d | wc -l)

say "# The whole loop, with curl"
say
say "From an empty data folder to an encoder that was taught on what is stored, and back. $count pictures of $labels labels, $minutes minutes of training, on $(nproc) cores; every answer below is a"
say 'real one (`bench/tour.sh`). `$A` is the public address, `$ADMIN` the admin one. It begins with a ResNet-18 of random weights for pictures of 32 x 32.'
say; say "## Upload"; say
say "One request for each picture; the folder is the label."; say
say '```sh'
cat <<'CODE'
for f in */*; do curl -s -X PUT --data-binary @$f "$A/v1/collections/default/images/$(basename ${f%.*})?label=$(dirname $f)"; done
CODE
say '```'
begin=$(date +%s.%N)
(cd "$pictures" && find . -type f | sed 's|^\./||' | while read -r f; do n=$(basename "${f%.*}"); printf 'url = "%s/v1/collections/default/images/%s?label=%s"\nupload-file = "%s"\noutput = "/dev/null"\n' "$A" "$n" "$(dirname "$f")" "$f"; done > "$dir/uploads"
 curl -sS --fail -H 'content-type: image/jpeg' -K "$dir/uploads")
seconds=$(echo "$(date +%s.%N) - $begin" | bc)
say; say "$count uploads in $seconds seconds, over one connection, each answered after it was synced."; say
show 'curl -s $A/v1/collections/default'

say; say "## Teach"; say
body=$(printf '{"training_file":"default","suffix":"mine","promote":"if_better","method":{"type":"infonce","infonce":{"hyperparameters":{"max_minutes":%s,"n_epochs":100}}}}' "$minutes")
show "curl -s -H 'content-type: application/json' \$ADMIN/v1/fine_tuning/jobs -d '$body' | tee $dir/job" | sed "s| . tee $dir/job||"
job=$(field id < "$dir/job")
while [ "$(curl -s "$ADMIN/v1/fine_tuning/jobs/$job" | field status)" = queued ] || [ "$(curl -s "$ADMIN/v1/fine_tuning/jobs/$job" | field status)" = running ]; do sleep 1; done
curl -s "$ADMIN/v1/fine_tuning/jobs/$job" > "$dir/job"
say; say "Its events, newest first:"; say
show "curl -s \$ADMIN/v1/fine_tuning/jobs/$job/events?limit=8 | python3 -c 'import json,sys; [print(e[\"message\"]) for e in json.load(sys.stdin)[\"data\"]]'"
say; say "What came of it:"; say
show -c 1600 "curl -s \$ADMIN/v1/fine_tuning/jobs/$job"
say; say "The job took $(($(field finished_at < "$dir/job") - $(field started_at < "$dir/job"))) seconds. **$(field result.summary < "$dir/job")**"

say; say "## The change of encoder"; say
say "The job's promotion has begun a new generation: every stored picture is embedded again while the old one answers."; say
for _ in $(seq 600); do [ "$(curl -s "$A/v1/collections/default" | field status)" = ready ] && break; sleep 0.5; done
show -c 700 'curl -s $ADMIN/v1/collections/default/generations'
say; say "By its own clock ($(curl -s "$ADMIN/v1/collections/default/generations" | python3 -c 'import json,sys
g=json.load(sys.stdin)["data"][0]
print("%d pictures between `created_at` and `activated_at`, %d s" % (g["total"], g["activated_at"]-g["created_at"]))'))."; say
show 'curl -s $A/v1/collections/default'
first=$(basename "$(find "$pictures" -type f | sort | head -1)"); first=${first%.*}
show "curl -s -H 'content-type: application/json' \$A/v1/collections/default/search -d '{\"id\":\"$first\",\"limit\":3}'"
say; say "## And back"; say
show -c 300 'curl -s -X POST $ADMIN/v1/collections/default/rollback'
for _ in $(seq 600); do [ "$(curl -s "$A/v1/collections/default" | field status)" = ready ] && break; sleep 0.5; done
show 'curl -s $A/v1/collections/default'
