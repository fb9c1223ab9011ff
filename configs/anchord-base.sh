#!/bin/sh
# make base-model: how models/anchord-base.safetensors was made (models/anchord-base.md), by configs/anchord-base.json.
#   anchord-base.sh PROGRAM PICTURES     PICTURES: train/CLASS/* and val/CLASS/*, such as Tiny ImageNet
# Goes on where it was interrupted.  The classes whose index among the sorted names is 5 modulo 10 are never trained on: their
# pictures of val/ are what it is judged by, and those of train/ the bank of kNN.
set -eu
program=$1
pictures=$(cd "$2" && pwd)
dir=build/anchord-base

if [ ! -d $dir/train ]; then
    rm -rf $dir/train.part $dir/held $dir/bank
    mkdir -p $dir/train.part $dir/held $dir/bank
    i=0
    for class in $(ls "$pictures/train"); do
        if [ $((i % 10)) -eq 5 ]; then
            ln -s "$pictures/val/$class" "$dir/held/$class"
            ln -s "$pictures/train/$class" "$dir/bank/$class"
        else
            ln -s "$pictures/train/$class" "$dir/train.part/$class"
        fi
        i=$((i + 1))
    done
    mv $dir/train.part $dir/train
fi
"$program" train --config configs/anchord-base.json --resume
"$program" model compact --force $dir/run/3/last.safetensors $dir/anchord-base.safetensors
"$program" eval --model $dir/anchord-base.safetensors --data $dir/held --train $dir/bank --invariance
