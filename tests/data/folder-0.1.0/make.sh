#!/bin/bash
# make.sh ANCHORD OUT - the data folder of a version, and what it answers, as OUT/folder.tar.gz and OUT/answers.json.
# Wants bash, curl, python3.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
anchord=$1 out=$2
work=$(mktemp -d)
trap 'kill $server 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
data=folder

# two models whose weights are s or -s, so that they compress well
for seed in 3 4; do
    "$anchord" model new --stem small2 --width 8 --size 32 --seed $seed fresh.safetensors
    "$anchord" model export --force fresh.safetensors torch.safetensors
    python3 "$here/signs.py" torch.safetensors signs.safetensors
    "$anchord" model import --stem small2 --size 32 signs.safetensors m$seed.safetensors
    rm fresh.safetensors
done > made
mv m3.safetensors anchord-base.safetensors
"$anchord" demo-pictures --each 6 --side 32 pictures > made
mkdir $data
"$anchord" key add --data $data --role admin --name keeper > key
"$anchord" key add --data $data --role read --name reader > reader
key=$(grep -o 'anch_[A-Za-z0-9_-]*' key | head -1)
reader=$(grep -o 'anch_[A-Za-z0-9_-]*' reader | head -1)
start() { # its addresses to U and A
    "$anchord" serve --data $data "$@" --precision fp32 --seal-at 64 --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 \
        --min-free-bytes 0 > addresses 2>> log &
    server=$!
    until [ "$(grep -o '127.0.0.1:[0-9]*' addresses | wc -l)" = 2 ]; do sleep 0.1; done
    U=http://$(grep -o '127.0.0.1:[0-9]*' addresses | sed -n 1p)
    A=http://$(grep -o '127.0.0.1:[0-9]*' addresses | sed -n 2p)
}
stop() { kill $server; wait $server; rm addresses; }
ask() { curl -sS --fail-with-body -H "authorization: Bearer $key" "$@"; echo; }
post() { ask -H 'content-type: application/json' "$1" -d "$2"; }

start --model anchord-base.safetensors
ask -X PUT "$U/v1/collections/garden" -H 'content-type: application/json' -d '{"index":"hnsw"}'
number=0
for picture in pictures/*/*.jpg; do
    kind=$(basename "$(dirname "$picture")") number=$((number + 1))
    ask -T "$picture" "$U/v1/collections/garden/images/$kind-$(basename "$picture" .jpg)?label=$kind&metadata=%7B%22number%22%3A$number%7D"
done
for n in 1 2 3 4; do
    ask -T pictures/flower/$n.jpg "$U/v1/collections/default/images/f$n"
done
ask -X DELETE "$U/v1/collections/garden/images/flower-6"
ask --data-binary @m4.safetensors -H 'content-type: application/octet-stream' "$A/v1/models?id=second"
post "$A/v1/collections/garden/model" '{"model":"second"}'
until ask "$A/v1/collections/garden" | grep -q '"status":"ready"' && ask "$A/v1/collections/garden" | grep -q '"model":"second"'; do sleep 0.2; done
post "$A/v1/fine_tuning/jobs" '{"training_file":"garden","suffix":"mine","promote":"never","method":{"type":"infonce","infonce":{"hyperparameters":{"n_epochs":1,"batch_size":32,"freeze":"none","learning_rate":1e-7}}}}'
until ask "$A/v1/fine_tuning/jobs" | grep -q '"status":"succeeded"'; do sleep 0.2; done
ask -X POST "$A/v1/backups"
sleep 3 # the graph is written when the collection is quiet
stop
tar --sort=name --owner=0 --group=0 --numeric-owner --exclude=report.html --exclude=sheet.png -cf - $data | gzip -9n > "$out/folder.tar.gz"
start
KEY=$key READER=$reader python3 "$here/record.py" "$A" answers.json
stop
find $data | sort
grep -v access log | tail -20
cp answers.json "$out/answers.json"
ls -l "$out"
