#!/bin/sh
# make bench-peers: what the peer needs, below this folder.  Nothing of it is committed.
# The install script of onnxruntime-node would fetch a CUDA build; its package has the CPU library already.
set -eu
cd "$(dirname "$0")"
ONNXRUNTIME_NODE_INSTALL=skip npm install --ignore-scripts --no-audit --no-fund --no-package-lock
[ -f resnet18.onnx ] || "${PYTHON:-/usr/bin/python3}" make_model.py resnet18.onnx
