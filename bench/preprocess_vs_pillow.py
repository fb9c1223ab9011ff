#!/usr/bin/python3
"""Compares decoding, resizing and cropping with Pillow's, picture by picture.

    bench/preprocess_vs_pillow.py BENCH_PREPROCESS DIR [full|scaled]

BENCH_PREPROCESS is build/release/bench/bench_preprocess.  Told are the mean absolute difference of the 8-bit
values over all pictures, and the worst picture."""

import os
import subprocess
import sys

import numpy
from PIL import Image, ImageOps

program, folder = sys.argv[1:3]
mode = sys.argv[3] if len(sys.argv) > 3 else "full"
SIZE, RESIZE = 224, 256


def transform(path):
    image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    width, height = image.size
    shorter, longer = sorted((width, height))
    longer = int(RESIZE * longer / shorter)
    image = image.resize((RESIZE, longer) if width <= height else (longer, RESIZE), Image.BILINEAR)
    top = int(round((image.height - SIZE) / 2.0))
    left = int(round((image.width - SIZE) / 2.0))
    return numpy.asarray(image.crop((left, top, left + SIZE, top + SIZE))).astype(int)


raw = subprocess.run([program, folder, mode], stdout=subprocess.PIPE, check=True).stdout
ours = numpy.frombuffer(raw, numpy.uint8).reshape(-1, SIZE, SIZE, 3).astype(int)
names = sorted(n for n in os.listdir(folder) if not n.startswith("."))
assert len(names) == len(ours), (len(names), len(ours))
means, most = [], 0
for name, got in zip(names, ours):
    if not got.any():
        print("refused:", name)
        continue
    difference = numpy.abs(got - transform(os.path.join(folder, name)))
    means.append((difference.mean(), name))
    most = max(most, difference.max())
print(f"{len(means)} pictures, {mode}: mean difference {numpy.mean([m for m, _ in means]):.4f} of 255, "
      f"worst picture {max(means)[0]:.4f} ({max(means)[1]}), worst value {most}")
