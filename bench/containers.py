#!/usr/bin/python3
"""How far the vector of a picture depends on the file that it came in.

    bench/containers.py ANCHORD MODEL DIR [PICTURES [SIZE...]]

The middle squares of the first PICTURES (60) photographs of DIR are brought to each SIZE (twelve from 32 to 2,000 pixels) by
Pillow, and each is written as PNG, 16-bit PNG, lossless WebP, PNG that EXIF turns, and JPEG of quality 95; the pixels that
Pillow reads from that JPEG are written as PNG too.  `anchord embed` reads them all.  Told is the relative embedding error:
1 - cos of two files of one picture, over the median of 1 - cos between different pictures of that size; median and largest.
Needs Debian's python3-pil and python3-numpy."""

import json
import os
import subprocess
import sys
import tempfile

import numpy
from PIL import Image

program, model, folder = sys.argv[1:4]
count = int(sys.argv[4]) if len(sys.argv) > 4 else 60
sizes = [int(s) for s in sys.argv[5:]] or [32, 48, 64, 96, 128, 160, 224, 256, 320, 512, 1024, 2000]


def square(path, size):
    image = Image.open(path).convert("RGB")
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side)).resize((size, size), Image.BICUBIC)


def chunk(kind, data):
    import zlib
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


def deep_png(image):
    """Pillow writes no 16-bit RGB: each value v becomes 257 v."""
    import zlib
    values = numpy.asarray(image).astype(">u2") * 257
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = image.width.to_bytes(4, "big") + image.height.to_bytes(4, "big") + bytes([16, 2, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b"")


def write(image, stem):
    """The files of one picture; the first is what the others are held against."""
    exif = Image.Exif()
    exif[0x0112] = 6
    names = {kind: f"{stem}.{kind}" for kind in ("png", "deep.png", "webp", "turned.png", "jpg", "of-jpg.png")}
    image.save(names["png"], compress_level=1)
    with open(names["deep.png"], "wb") as f:
        f.write(deep_png(image))
    image.save(names["webp"], lossless=True, method=0, quality=0)
    image.transpose(Image.ROTATE_90).save(names["turned.png"], exif=exif, compress_level=1)
    image.save(names["jpg"], quality=95)
    Image.open(names["jpg"]).save(names["of-jpg.png"], compress_level=1)
    return names


def embed(files):
    lines = subprocess.run([program, "embed", "--model", model] + files, stdout=subprocess.PIPE, check=True).stdout
    vectors = {r["file"]: numpy.array(r["embedding"]) for r in map(json.loads, lines.splitlines())}
    return [vectors[f] / numpy.linalg.norm(vectors[f]) for f in files]


def distances(a, b):
    return ((numpy.array(a) - numpy.array(b)) ** 2).sum(axis=1) / 2


paths = sorted(os.path.join(folder, n) for n in os.listdir(folder) if not n.startswith("."))[:count]
print("| pixels | 16-bit PNG | WebP, lossless | PNG, turned | JPEG 95 against PNG | JPEG 95 against its own pixels as PNG |")
print("|---|---|---|---|---|---|", flush=True)
for size in sizes:
    kept = {kind: [] for kind in ("png", "deep.png", "webp", "turned.png", "jpg", "of-jpg.png")}
    for i, path in enumerate(paths):
        with tempfile.TemporaryDirectory() as place:
            names = write(square(path, size), os.path.join(place, str(i)))
            for kind, vector in zip(names, embed(list(names.values()))):
                kept[kind].append(vector)
    png = numpy.array(kept["png"])
    apart = [distances(png[i:i + 1], png[j:j + 1])[0] for i in range(len(png)) for j in range(i)]
    between = numpy.median(apart)
    pairs = [("png", "deep.png"), ("png", "webp"), ("png", "turned.png"), ("png", "jpg"), ("of-jpg.png", "jpg")]
    cells = []
    for one, other in pairs:
        error = distances(kept[one], kept[other]) / between
        cells.append("0" if error.max() == 0 else f"{numpy.median(error):.2g}, {error.max():.2g}")
    print(f"| {size} | " + " | ".join(cells) + " |", flush=True)
