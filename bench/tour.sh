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
. "$(dirname "$0")/lib.sh"

serve
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
(cd "$pictures" && find . -type f) | sed -E 's|^\./(([^/]*)/.*)$|\1 \2|' | while read -r f label; do n=${f##*/}; echo "$f ${n%.*} $label"; done | upload "$pictures"
seconds=$(echo "$(date +%s.%N) - $begin" | bc)
say; say "$count uploads in $seconds seconds, over one connection, each answered after it was synced."; say
show 'curl -s $A/v1/collections/default'

say; say "## Teach"; say
body=$(printf '{"training_file":"default","suffix":"mine","promote":"if_better","method":{"type":"infonce","infonce":{"hyperparameters":{"max_minutes":%s,"n_epochs":100}}}}' "$minutes")
show "curl -s -H 'content-type: application/json' \$ADMIN/v1/fine_tuning/jobs -d '$body' | tee $dir/job" | sed "s| . tee $dir/job||"
job=$(field id < "$dir/job")
await_job "$job"
say; say "Its events, newest first:"; say
show "curl -s \$ADMIN/v1/fine_tuning/jobs/$job/events?limit=8 | python3 -c 'import json,sys; [print(e[\"message\"]) for e in json.load(sys.stdin)[\"data\"]]'"
say; say "What came of it:"; say
show -c 1600 "curl -s \$ADMIN/v1/fine_tuning/jobs/$job"
say; say "The job took $(($(field finished_at < "$dir/job") - $(field started_at < "$dir/job"))) seconds. **$(field result.summary < "$dir/job")**"

say; say "## The change of encoder"; say
say "The job's promotion has begun a new generation: every stored picture is embedded again while the old one answers."; say
await_ready
show -c 700 'curl -s $ADMIN/v1/collections/default/generations'
say; say "By its own clock ($(curl -s "$ADMIN/v1/collections/default/generations" | python3 -c 'import json,sys
g=json.load(sys.stdin)["data"][0]
print("%d pictures between `created_at` and `activated_at`, %d s" % (g["total"], g["activated_at"]-g["created_at"]))'))."; say
show 'curl -s $A/v1/collections/default'
first=$(basename "$(find "$pictures" -type f | sort | head -1)"); first=${first%.*}
show "curl -s -H 'content-type: application/json' \$A/v1/collections/default/search -d '{\"id\":\"$first\",\"limit\":3}'"
say; say "## And back"; say
show -c 300 'curl -s -X POST $ADMIN/v1/collections/default/rollback'
await_ready
show 'curl -s $A/v1/collections/default'
