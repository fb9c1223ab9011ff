#!/bin/sh
# make demo: draws a catalogue, serves it from a scratch folder, uploads it with curl, searches by pictures that
# were not uploaded, and shows queries and neighbours on a contact sheet.
#   demo.sh PROGRAM FOLDER      FOLDER is made anew; what the demo made stays there to be looked at
set -eu
program=$1
dir=$2
uploads=10    # of each kind
neighbours=8
server=

stop_server() {
    [ -n "$server" ] || return 0
    kill "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
    server=
}
trap stop_server EXIT
trap 'exit 1' INT TERM

start_server() {
    "$program" serve --data "$dir/data" --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 \
        >"$dir/listening" 2>"$dir/log" &
    server=$!
    url=
    while [ -z "$url" ]; do
        sleep 0.1
        url=$(sed -n 's/^listening \([^ ]*\) .*/\1/p' "$dir/listening")
        kill -0 "$server" 2>/dev/null || { cat "$dir/log" >&2; exit 1; }
    done
}

kind_of() { basename "$(dirname "$1")"; }

upload_all() {
    for file in "$dir"/pictures/*/*.jpg; do
        kind=$(kind_of "$file")
        curl -sSf -T "$file" "$images/$kind.$(basename "$file" .jpg)?label=$kind" >/dev/null
    done
}

# One row of the sheet for each query: the query, then its neighbours, marked right (+) or wrong (-).
search_all() {
    for file in "$dir"/queries/*/*.jpg; do
        kind=$(kind_of "$file")
        answer=$(curl -sSf -H 'Content-Type: image/jpeg' --data-binary "@$file" "$search")
        row="=$file"
        for id in $(printf '%s' "$answer" | grep -oE '"id": ?"[^"]+"' | cut -d'"' -f4); do
            mark=-
            [ "${id%.*}" != "$kind" ] || mark=+
            row="$row	$mark$dir/pictures/${id%.*}/${id##*.}.jpg"
        done
        printf '%s\n' "$row"
    done
}

rm -rf "$dir"
mkdir -p "$dir"
"$program" demo-pictures --each $uploads "$dir/pictures"
"$program" demo-pictures --each 1 --from 1000 "$dir/queries"

start_server
images=$url/v1/collections/default/images
search="$url/v1/collections/default/search?limit=$neighbours"
echo "serving on $url, data in $dir/data"

echo "uploading each: curl -T pictures/fish/1.jpg '$images/fish.1?label=fish'"
upload_all
echo "searching by each: curl -H 'Content-Type: image/jpeg' --data-binary @queries/fish/1000.jpg '$search'"
search_all >"$dir/rows"
stop_server

total=$(grep -o '	' "$dir/rows" | wc -l)
right=$(grep -o '	+' "$dir/rows" | wc -l)
"$program" sheet --side 96 "$dir/sheet.png" <"$dir/rows"
echo "$right of $total neighbours show the same kind of thing"
echo "the contact sheet: $dir/sheet.png (blue: searched for, green: the same kind, red: another)"
