#!/bin/sh
# make test-clients: OpenAI's own client for Node, pointed at the two listeners.  Usage: openai.sh PROGRAM FOLDER
# The package is installed below FOLDER; where it cannot be, that is said and nothing fails.
set -eu
program=$1 folder=$2
package=openai@6.10.0
here=$(cd "$(dirname "$0")" && pwd)

skip() { echo "test-clients: skipped, $1"; echo "0 passed, 0 failed, 1 skipped"; exit 0; }
command -v node > /dev/null && command -v npm > /dev/null || skip "there is no node or no npm"
mkdir -p "$folder"
if ! [ -d "$folder/node_modules/openai" ] || ! grep -q "\"version\": \"${package#*@}\"" "$folder/node_modules/openai/package.json"; then
    (cd "$folder" && [ -f package.json ] || echo '{"private":true}' > package.json
     npm install --no-audit --no-fund --no-package-lock --ignore-scripts --fetch-retries 1 --fetch-timeout 60000 "$package") \
        > "$folder/npm.log" 2>&1 || skip "npm cannot install $package: $(tail -n 1 "$folder/npm.log")"
fi

scratch=$(mktemp -d)
server=
trap '[ -z "$server" ] || { kill "$server" && wait "$server"; } 2> /dev/null || :; rm -rf "$scratch"' EXIT
quiet() { "$@" > "$scratch/out" 2>&1 || { cat "$scratch/out"; exit 1; }; }
quiet "$program" demo-pictures --each 4 --side 64 "$scratch/pictures"
quiet "$program" model new --arch resnet18 --stem small2 --width 8 --seed 3 "$scratch/tiny.safetensors"
quiet "$program" import --data "$scratch/data" --model "$scratch/tiny.safetensors" "$scratch/pictures"
key=$("$program" key add --role admin --data "$scratch/data" 2> /dev/null | grep -o 'anch_[A-Za-z0-9_-]*' | head -n 1)
"$program" serve --data "$scratch/data" --model "$scratch/tiny.safetensors" --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 > "$scratch/listening" 2> "$scratch/log" &
server=$!
for i in $(seq 100); do grep -q listening "$scratch/listening" && break; sleep 0.1; done
read -r _ public _ admin < "$scratch/listening" || { cat "$scratch/log"; exit 1; }

cp "$here/openai.mjs" "$folder/openai.mjs" # beside node_modules, where its import looks
PUBLIC=$public ADMIN=$admin KEY=$key PICTURES=$scratch/pictures node "$folder/openai.mjs" || { tail -n 20 "$scratch/log"; exit 1; }
