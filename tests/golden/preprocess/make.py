#!/usr/bin/python3
"""Makes the golden files of tests/engine/pictures/test_preprocess.c with Pillow: what the evaluation transform of torchvision
(resize the shorter side, crop the middle) gives for the pictures in_*.png, as PNG.

The inputs were drawn by the program (engine/pictures/draw.h) and cut to odd sizes: dot is 1 x 1, line 1 x 9 and few 3 x 2 pixels.
Run in this folder."""

from PIL import Image

FILTERS = {"bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC}
CASES = [("wide", 40, 32), ("wide", 61, 61), ("tall", 33, 32), ("tall", 37, 24), ("small", 48, 41),
         ("dot", 20, 16), ("line", 20, 16), ("few", 20, 16)]


def transform(image, resize, crop, how):
    width, height = image.size
    shorter, longer = sorted((width, height))
    longer = int(resize * longer / shorter)
    size = (resize, longer) if width <= height else (longer, resize)
    image = image.resize(size, how)
    top = int(round((image.height - crop) / 2.0))
    left = int(round((image.width - crop) / 2.0))
    return image.crop((left, top, left + crop, top + crop))


for name, resize, crop in CASES:
    for filter_name, how in FILTERS.items():
        out = transform(Image.open(f"in_{name}.png").convert("RGB"), resize, crop, how)
        out.save(f"{name}_{resize}_{crop}_{filter_name}.png", optimize=True)
