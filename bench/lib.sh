# What tour.sh and gate.sh share: a server of their own, and what it says.  Sourced; $dir is a scratch folder, $anchord the program.

# A member of the JSON on standard input: data.0.id
field() {
    python3 -c 'import json,sys
v=json.load(sys.stdin)
for k in sys.argv[1].split("."): v=v[int(k)] if isinstance(v,list) else v[k]
print(v)' "$1"
}

# Serves an empty data folder with a fresh ResNet-18 for 32 x 32 pictures; sets server, A (public) and ADMIN.
serve() {
    [ -e "$dir/fresh.safetensors" ] || "$anchord" model new --arch resnet18 --stem small2 --size 32 --seed 1 "$dir/fresh.safetensors" > /dev/null
    : > "$dir/out"  # not the one of a server before
    "$anchord" serve --data "$dir/data" --model "$dir/fresh.safetensors" --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 > "$dir/out" 2> "$dir/log" & server=$!
    for _ in $(seq 200); do grep -q listening "$dir/out" && break; sleep 0.1; done
    A=$(sed -n 's/^listening \([^ ]*\) .*/\1/p' "$dir/out"); ADMIN=$(sed -n 's/.* admin \(.*\)/\1/p' "$dir/out")
}

# Uploads over one connection.  Lines on standard input: FILE ID LABEL, FILE below the folder $1.
upload() { # FOLDER
    while read -r file id label; do
        printf 'url = "%s/v1/collections/default/images/%s?label=%s"\nupload-file = "%s/%s"\noutput = "/dev/null"\n' "$A" "$id" "$label" "$1" "$file"
    done > "$dir/uploads"
    curl -sS --fail -H 'content-type: image/jpeg' -K "$dir/uploads"
}

# Until job $1 is over; its last state is then in $dir/job.
await_job() { # ID
    while curl -s "$ADMIN/v1/fine_tuning/jobs/$1" > "$dir/job"; do
        case $(field status < "$dir/job") in queued|running) sleep 1;; *) break;; esac
    done
}

await_ready() { # the collection's last change is done
    for _ in $(seq 600); do [ "$(curl -s "$A/v1/collections/default" | field status)" = ready ] && break; sleep 0.5; done
}
