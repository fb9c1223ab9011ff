"""Random views of many pictures at once: anchord's recipe `cifar`, which is torchvision's operations on PIL pictures.

RandomResizedCrop (area 0.08 to 1, aspect 3/4 to 4/3, bilinear with antialias), flip 0.5, ColorJitter (0.8: 0.4, 0.4, 0.4,
0.1; the four in random order), grey 0.2, then normalised.  The crop is Pillow's arithmetic up to the rounding of its weights;
colour is computed on values 0..1 without rounding to 8 bits in between.  augment_check.py compares with Pillow.
"""
import math

import torch

MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
CROP = (0.08, 1.0)
CROP_TRIES = 10
FLIP, JITTER, GRAY = 0.5, 0.8, 0.2
STRENGTHS = (0.4, 0.4, 0.4, 0.1)  # brightness, contrast, saturation, hue


def between(n, low, high, g):
    return low + (high - low) * torch.rand(n, generator=g, dtype=torch.float64)


def random_boxes(n, size, g):
    """Left, top, width, height of n crops of square pictures: the first of ten tries that fits, else the whole."""
    area = size * size * between((n, CROP_TRIES), *CROP, g)
    ratio = between((n, CROP_TRIES), math.log(3 / 4), math.log(4 / 3), g).exp()
    width, height = (area * ratio).sqrt().round(), (area / ratio).sqrt().round()
    fits = (width >= 1) & (height >= 1) & (width <= size) & (height <= size)
    first = fits.int().argmax(1, keepdim=True)
    none = ~fits.any(1)
    width, height = width.gather(1, first).squeeze(1), height.gather(1, first).squeeze(1)
    width[none] = height[none] = size
    left = (between(n, 0, 1, g) * (size - width + 1)).floor()
    top = (between(n, 0, 1, g) * (size - height + 1)).floor()
    return left, top, width, height


def resize_weights(start, length, size, out):
    """[n, out, size]: what each pixel of an axis gives to the resized part [start, start + length)."""
    start, length = start.view(-1, 1, 1), length.view(-1, 1, 1)
    scale = length / out
    centre = (torch.arange(out, dtype=torch.float64).view(1, -1, 1) + 0.5) * scale
    at = torch.arange(size, dtype=torch.float64).view(1, 1, -1) - start
    w = (1 - (at + 0.5 - centre).abs() / scale.clamp(min=1)).clamp(min=0)
    w = w * ((at >= 0) & (at < length))
    return (w / w.sum(2, keepdim=True)).float()


def round_8_bits(x):
    return (x + 0.5).floor().clamp(0, 255)


def crop(x, boxes, out, flip=None):
    """x [n, 3, size, size] with values 0..255; across first, then down, rounded after each as Pillow does."""
    n, _, size, _ = x.shape
    left, top, width, height = boxes
    across, down = resize_weights(left, width, size, out), resize_weights(top, height, size, out)
    if flip is not None:  # turning the resized picture round is turning its rows of weights round
        across = torch.where(flip.view(-1, 1, 1), across.flip(1), across)
    x = torch.bmm(x.reshape(n, 3 * size, size), across.transpose(1, 2))
    x = round_8_bits(x).view(n, 3, size, out).transpose(1, 2).reshape(n, size, 3 * out)
    x = round_8_bits(torch.bmm(down, x))
    return x.view(n, out, 3, out).transpose(1, 2)


def luma(x):
    return 0.299 * x[:, :1] + 0.587 * x[:, 1:2] + 0.114 * x[:, 2:]


def blend(x, other, factor):
    return (x * factor + other * (1 - factor)).clamp(0, 1)


def brightness(x, draw):
    return blend(x, 0, 1 + draw)


def contrast(x, draw):
    return blend(x, luma(x).mean((1, 2, 3), keepdim=True), 1 + draw)


def saturation(x, draw):
    return blend(x, luma(x), 1 + draw)


def hue(x, draw):
    value, chroma = x.amax(1), x.amax(1) - x.amin(1)
    r, g, b = x.unbind(1)
    safe = chroma.clamp(min=1e-12)
    h = torch.where(value == r, (g - b) / safe, torch.where(value == g, 2 + (b - r) / safe, 4 + (r - g) / safe))
    h = h + 6 * draw.view(-1, 1, 1)
    channels = []
    for offset in (5, 3, 1):
        k = (h + offset) % 6
        channels.append(value - chroma * torch.minimum(k, 4 - k).clamp(0, 1))
    return torch.stack(channels, 1).clamp(0, 1)


OPERATIONS = (brightness, contrast, saturation, hue)


def jitter(x, chosen, g):
    """The four operations on the chosen pictures of x [n, 3, h, w], values 0..1, in place."""
    n = len(x)
    order = torch.rand(n, 4, generator=g).argsort(1)
    draws = [between(n, -s, s, g).float().view(-1, 1, 1, 1) for s in STRENGTHS]
    for place in range(4):
        for k, operation in enumerate(OPERATIONS):
            rows = (chosen & (order[:, place] == k)).nonzero().squeeze(1)
            if len(rows):
                x[rows] = operation(x[rows], draws[k][rows])


def chance(n, probability, g):
    return torch.rand(n, generator=g) < probability


def normalise(x):
    """[n, 3, h, w] with values 0..1, as the network takes it."""
    return (x - MEAN) / STD


def views(pictures, out, g):
    """One random view of each of pictures [n, 3, size, size] (bytes): [n, 3, out, out], normalised."""
    n, size = len(pictures), pictures.shape[3]
    x = crop(pictures.float(), random_boxes(n, size, g), out, chance(n, FLIP, g)) / 255
    jitter(x, chance(n, JITTER, g), g)
    gray = chance(n, GRAY, g)
    x[gray] = luma(x[gray]).expand(-1, 3, -1, -1)
    return normalise(x)
