#!/usr/bin/python3
"""Holds augment.py's operations against Pillow's.

    bench/peers/torch/augment_check.py [FOLDER]        pictures of one size; without it, random ones

Crops must be Pillow's bytes (when shrinking up to a step in each pass: Pillow rounds its weights, which decides sums that end
in a half), colour its values up to the 8 bits it works in.  What is drawn at random is counted: areas,
aspects, places, and how often each operation happens.
"""
import colorsys
import os
import sys

import numpy
import torch
from PIL import Image, ImageEnhance

import augment

FACTORS = (-0.4, -0.13, 0.0, 0.21, 0.4)
TURNS = (-0.1, -0.037, 0.0, 0.05, 0.1)


def pictures():
    if len(sys.argv) > 1:
        names = sorted(os.listdir(sys.argv[1]))[:64]
        return [Image.open(os.path.join(sys.argv[1], n)).convert("RGB") for n in names]
    r = numpy.random.default_rng(1)
    coarse = [Image.fromarray(r.integers(0, 256, (8, 8, 3), dtype=numpy.uint8)) for _ in range(64)]
    return [c.resize((32, 32), Image.BICUBIC) for c in coarse]


def tensor(images):
    return torch.tensor(numpy.stack([numpy.asarray(i) for i in images])).permute(0, 3, 1, 2)


def report(name, difference, most):
    print("%-12s largest difference %.2f of 255, mean %.4f" % (name, difference.max(), difference.mean()))
    assert difference.max() <= most, name


def check_crop(images):
    g = torch.Generator().manual_seed(1)
    boxes = augment.random_boxes(len(images), images[0].width, g)
    flip = torch.rand(len(images), generator=g) < 0.5
    for out, most in ((32, 0), (20, 2)):  # growing, and for the larger crops shrinking
        want = []
        for image, f, (l, t, w, h) in zip(images, flip, torch.stack(boxes, 1).int().tolist()):
            part = image.crop((l, t, l + w, t + h)).resize((out, out), Image.BILINEAR)
            want.append(part.transpose(Image.FLIP_LEFT_RIGHT) if f else part)
        got = augment.crop(tensor(images).float(), boxes, out, flip)
        report("crop to %d" % out, (got - tensor(want).float()).abs(), most)


def turn(image, turns):
    pixels = numpy.asarray(image).reshape(-1, 3) / 255
    out = []
    for p in pixels:
        h, s, v = colorsys.rgb_to_hsv(*p)
        out.append(colorsys.hsv_to_rgb((h + turns) % 1, s, v))
    return torch.tensor(numpy.array(out).reshape(image.height, image.width, 3)).permute(2, 0, 1)


def check_colour(images):
    x = tensor(images).float() / 255
    n = len(images)
    for operation, peer in ((augment.brightness, ImageEnhance.Brightness), (augment.contrast, ImageEnhance.Contrast),
                            (augment.saturation, ImageEnhance.Color)):
        for draw in FACTORS:
            want = tensor([peer(i).enhance(1 + draw) for i in images])
            got = operation(x, torch.full((n, 1, 1, 1), draw))
            report("%s %+.2f" % (operation.__name__[:6], draw), (got * 255 - want.float()).abs(), 1.6)
    for draw in TURNS:
        want = torch.stack([turn(i, draw) for i in images[:4]])
        got = augment.hue(x[:4], torch.full((4, 1, 1, 1), draw))
        report("hue %+.2f" % draw, (got - want).abs() * 255, 0.01)
    report("grey", (augment.luma(x) * 255 - tensor([i.convert("L").convert("RGB") for i in images])[:, :1].float()).abs(), 1)


def check_distribution():
    g = torch.Generator().manual_seed(2)
    n, size = 200000, 256
    left, top, width, height = augment.random_boxes(n, size, g)
    area, aspect = width * height / size ** 2, (width / height).log()
    print("area %.4f to %.4f, aspect %.4f to %.4f, mean of its logarithm %.4f" %
          (area.min(), area.max(), aspect.min().exp(), aspect.max().exp(), aspect.mean()))
    assert 0.075 < area.min() < 0.085 and area.max() <= 1 and abs(aspect.mean()) < 0.005
    assert 0.74 < aspect.min().exp() < 0.76 and 1.32 < aspect.max().exp() < 1.35
    assert (left >= 0).all() and (left + width <= size).all() and (top + height <= size).all()
    assert abs((left / (size - width).clamp(min=1)).mean() - 0.5) < 0.01


def share(name, of, want):
    found = of.float().mean().item()
    print("%-12s %.3f, wanted %.2f" % (name, found, want))
    assert abs(found - want) < 0.02, name


def check_views():
    """One colour shows what is done to colours, a grey slope what is flipped."""
    g, n = torch.Generator().manual_seed(3), 8000
    colour = torch.tensor([60, 120, 180], dtype=torch.uint8).view(1, 3, 1, 1).expand(n, 3, 32, 32)
    slope = torch.arange(0, 256, 8, dtype=torch.uint8).view(1, 1, 1, 32).expand(n, 3, 32, 32)
    x, y = (augment.views(p, 32, g) * augment.STD + augment.MEAN for p in (colour, slope))
    assert -1e-5 < min(x.min(), y.min()) and max(x.max(), y.max()) < 1 + 1e-5
    gray = (x[:, 0] - x[:, 1]).abs().amax((1, 2)) < 1e-5
    same = (x - colour / 255.0).abs().amax((1, 2, 3)) < 1e-5
    share("grey", gray, 0.2)
    share("untouched", same, 0.2 * 0.8)
    share("flipped", y[..., 0].mean((1, 2)) > y[..., -1].mean((1, 2)), 0.5)


all_pictures = pictures()
check_crop(all_pictures)
check_colour(all_pictures)
check_distribution()
check_views()
