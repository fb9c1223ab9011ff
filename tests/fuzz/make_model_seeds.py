#!/usr/bin/python3
"""Makes the seeds of tests/fuzz/corpus/model: headers of a ResNet-18 of width 8.  Run from the root."""

import base64
import json
import struct

OUT = "tests/fuzz/corpus/model/"


def tensors():
    def conv(name, norm, out, inner, side):
        yield name + ".weight", [out, inner, side, side]
        for part in ("weight", "bias", "running_mean", "running_var"):
            yield f"{norm}.{part}", [out]

    yield from conv("conv1", "bn1", 8, 3, 3)
    inner = 8
    for layer in range(4):
        out = 8 << layer
        for block in range(2):
            p = f"layer{layer + 1}.{block}."
            yield from conv(p + "conv1", p + "bn1", out, inner, 3)
            yield from conv(p + "conv2", p + "bn2", out, out, 3)
            if inner != out:
                yield from conv(p + "downsample.0", p + "downsample.1", out, inner, 1)
            inner = out


def header(kind="F32", size=4, more=()):
    entries, at = {}, 0
    for name, shape in [*tensors(), *more]:
        end = at + size
        for side in shape:
            end = at + (end - at) * side
        entries[name] = {"dtype": kind, "shape": shape, "data_offsets": [at, end]}
        at = end
    return entries


def save(name, first, data):
    open(OUT + name, "wb").write(first + data)


def text(entries):
    return json.dumps(entries, separators=(",", ":")).encode()


meta = {"format": 1, "arch": {"name": "resnet18", "stem": "small1", "width": 8, "projection": 0},
        "preprocess": {"resize": 36, "size": 32, "filter": "bicubic", "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]},
        "fingerprint": "0" * 64, "trained": False, "seed": 1, "created_at": 1700000000, "parent": None,
        "lineage": {"objective": "infonce"},
        "goldens": [{"png": base64.b64encode(b"\x89PNG").decode(),
                     "vector": base64.b64encode(struct.pack("<64f", 1, *[0] * 63)).decode()}]}
ours = {"__metadata__": {"anchord": json.dumps(meta, separators=(",", ":"))}, **header()}

save("foreign", b"H", text(header()))
save("foreign_bf16", b"H", text(header("BF16", 2, [("fc.weight", [10, 64]), ("fc.bias", [10])])))
save("ours", b"H", text(ours))
save("empty", b"H", b"{}")
save("whole", b"F", struct.pack("<Q", 2) + b"{}")
save("huge_header", b"F", struct.pack("<Q", 1 << 63) + b"{}")
save("overflow", b"H", b'{"a":{"dtype":"F32","shape":[4194305,4194305,211106198978564],"data_offsets":[0,16]}}')
save("twice", b"H", b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}')
