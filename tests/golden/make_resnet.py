#!/usr/bin/python3
"""Computes tests/golden/resnet.txt with PyTorch: vectors of ResNets with hashed weights for hashed pictures.

Weights and pictures are functions of a name and an index (see `uniform`), so that the file holds nothing but the
cases and the vectors; tests/lib/hashed_weights.c makes the same weights and pictures.  Usage: make_resnet.py > resnet.txt
"""
import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}

# depth, stem, width, projection, size, picture
CASES = [
    (18, "imagenet", 64, 0, 224, 1), (18, "imagenet", 64, 0, 224, 2), (50, "imagenet", 64, 0, 224, 1),
    (34, "imagenet", 64, 0, 96, 3), (18, "imagenet", 24, 40, 75, 4), (18, "small1", 64, 0, 32, 5),
    (18, "small1", 8, 0, 17, 6), (18, "small2", 16, 128, 33, 7), (34, "small2", 32, 0, 64, 8),
    (50, "small1", 16, 10, 31, 9), (50, "small2", 8, 0, 1, 10), (50, "imagenet", 40, 0, 129, 11),
]


def uniform(name, n):
    """n numbers in [0, 1): the upper 24 bits of splitmix64 over FNV-1a of the name."""
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = (seed ^ byte) * 0x100000001B3 % 2**64
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float64) / 2**24


def between(name, shape, low, high):
    values = low + (high - low) * uniform(name, math.prod(shape))
    return torch.from_numpy(values.astype(np.float32).reshape(shape))


def picture(number, size):
    """Coarse squares with fine noise on them: [1, 3, size, size]."""
    grid = (size + 15) // 16
    coarse = -2 + 4 * uniform(f"coarse {number}", grid * grid * 3).reshape(grid, grid, 3)
    fine = -0.5 + uniform(f"fine {number}", size * size * 3).reshape(size, size, 3)
    at = np.arange(size) // 16
    pixels = (coarse[at][:, at] + fine).astype(np.float32)
    return torch.from_numpy(pixels.transpose(2, 0, 1)[None].copy())


class Block(nn.Module):
    def __init__(self, bottleneck, cin, mid, stride):
        super().__init__()
        cout = mid * 4 if bottleneck else mid
        shapes = [(cin, mid, 1, 1), (mid, mid, 3, stride), (mid, cout, 1, 1)] if bottleneck else [
            (cin, mid, 3, stride), (mid, mid, 3, 1)]
        self.count = len(shapes)
        for i, (a, b, window, step) in enumerate(shapes, 1):
            setattr(self, f"conv{i}", nn.Conv2d(a, b, window, step, window // 2, bias=False))
            setattr(self, f"bn{i}", nn.BatchNorm2d(b))
        self.downsample = None
        if stride != 1 or cin != cout:
            self.downsample = nn.Sequential(nn.Conv2d(cin, cout, 1, stride, bias=False), nn.BatchNorm2d(cout))

    def forward(self, x):
        y = x
        for i in range(1, self.count + 1):
            y = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(y))
            y = F.relu(y) if i < self.count else y
        return F.relu(y + (self.downsample(x) if self.downsample else x))


class ResNet(nn.Module):
    def __init__(self, depth, stem, width, projection):
        super().__init__()
        self.stem = stem
        window, step = (7, 2) if stem == "imagenet" else (3, 2 if stem == "small2" else 1)
        self.conv1 = nn.Conv2d(3, width, window, step, window // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        cin, bottleneck = width, depth == 50
        for stage, blocks in enumerate(BLOCKS[depth]):
            mid, layers = width << stage, []
            for i in range(blocks):
                layers.append(Block(bottleneck, cin, mid, 2 if stage and not i else 1))
                cin = mid * 4 if bottleneck else mid
            setattr(self, f"layer{stage + 1}", nn.Sequential(*layers))
        self.projection = nn.Linear(cin, projection, bias=False) if projection else nn.Identity()

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        if self.stem == "imagenet":
            x = F.max_pool2d(x, 3, 2, 1)
        for stage in range(4):
            x = getattr(self, f"layer{stage + 1}")(x)
        return F.normalize(self.projection(x.mean((2, 3))))


def hashed(name, shape):
    if name.endswith("running_mean"):
        return between(name, shape, -0.3, 0.3)
    if name.endswith("running_var"):
        return between(name, shape, 0.3, 1.5)
    if len(shape) == 1:
        return between(name, shape, *((0.3, 1.1) if name.endswith("weight") else (-0.3, 0.3)))
    bound = math.sqrt(6 / math.prod(shape[1:]))
    return between(name, shape, -bound, bound)


def main():
    print("# depth stem width projection size picture dimensions; then the vector.  Made by make_resnet.py.")
    for depth, stem, width, projection, size, number in CASES:
        net = ResNet(depth, stem, width, projection).eval()
        state = {name: hashed(name, tuple(t.shape)) for name, t in net.state_dict().items()
                 if not name.endswith("num_batches_tracked")}
        net.load_state_dict(state, strict=False)
        with torch.no_grad():
            vector = net.double()(picture(number, size).double())[0]
        print(depth, stem, width, projection, size, number, len(vector))
        print(" ".join(f"{v:.7g}" for v in vector.tolist()))


if __name__ == "__main__":
    main()
