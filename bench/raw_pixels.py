#!/usr/bin/python3
"""What no network at all would find: each picture is its own 8 x 8 pixels, compared by their Euclidean distance.

    bench/raw_pixels.py PICTURES [BANK]      folders of labelled folders; BANK: for kNN (k 20, a vote for each)

The same figures as `anchord eval`: recall@1 and MAP@R among the pictures themselves (arXiv:2003.08505), kNN from the bank."""
import os
import sys

import numpy
from PIL import Image


def read(folder):
    pixels, labels = [], []
    for label in sorted(os.listdir(folder)):
        for name in sorted(os.listdir(os.path.join(folder, label))):
            picture = Image.open(os.path.join(folder, label, name)).convert("RGB").resize((8, 8), Image.BOX)
            pixels.append(numpy.asarray(picture, numpy.float32).ravel() / 255)
            labels.append(label)
    return numpy.stack(pixels), numpy.unique(labels, return_inverse=True)[1]


def distances(a, b):
    return (a * a).sum(1)[:, None] - 2 * a @ b.T + (b * b).sum(1)[None]


x, y = read(sys.argv[1])
d = distances(x, x)
numpy.fill_diagonal(d, numpy.inf)
order = numpy.argsort(d, axis=1)
alike = y[order] == y[:, None]
print("recall@1 %.4f" % alike[:, 0].mean())
scores = []
for i, row in enumerate(alike):
    r = (y == y[i]).sum() - 1
    hits = row[:r]
    scores.append((hits * numpy.cumsum(hits) / numpy.arange(1, r + 1)).sum() / r)
print("MAP@R %.4f" % numpy.mean(scores))
if len(sys.argv) > 2:
    bank, bank_y = read(sys.argv[2])
    near = bank_y[numpy.argsort(distances(x, bank), axis=1)[:, :20]]
    votes = numpy.stack([(near == c).sum(1) for c in range(y.max() + 1)], 1)
    print("kNN %.4f" % (votes.argmax(1) == y).mean())
