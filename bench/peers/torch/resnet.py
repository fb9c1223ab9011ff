"""ResNet-18 with anchord's stems and torchvision's parameter names, and SimCLR's head on top of it.

Written out here so that torchvision is not needed.  There is no classifier: the encoder gives the pooled features.
"""
import torch
from torch import nn
from torch.nn import functional

FEATURES = 512
STEMS = {  # window, stride, padding, max-pool
    "imagenet": (7, 2, 3, True),
    "small1": (3, 1, 1, False),
    "small2": (3, 2, 1, False),
}


class Block(nn.Module):
    def __init__(self, channels_in, channels, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = None
        if stride != 1 or channels_in != channels:
            self.downsample = nn.Sequential(nn.Conv2d(channels_in, channels, 1, stride, bias=False),
                                            nn.BatchNorm2d(channels))

    def forward(self, x):
        y = functional.relu(self.bn1(self.conv1(x)), inplace=True)
        y = self.bn2(self.conv2(y))
        y += x if self.downsample is None else self.downsample(x)
        return functional.relu(y, inplace=True)


def stage(channels_in, channels, stride):
    return nn.Sequential(Block(channels_in, channels, stride), Block(channels, channels, 1))


class ResNet18(nn.Module):
    """[n, 3, size, size] -> [n, 512], the global average of the last stage."""

    def __init__(self, stem="imagenet"):
        super().__init__()
        window, stride, padding, self.pool = STEMS[stem]
        self.conv1 = nn.Conv2d(3, 64, window, stride, padding, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = stage(64, 64, 1)
        self.layer2 = stage(64, 128, 2)
        self.layer3 = stage(128, 256, 2)
        self.layer4 = stage(256, FEATURES, 2)
        for m in self.modules():
            if isinstance(m, nn.Conv2d):  # torchvision's: variance 2 / (out * height * width)
                nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x):
        x = functional.relu(self.bn1(self.conv1(x)), inplace=True)
        if self.pool:
            x = functional.max_pool2d(x, 3, 2, 1)
        return self.layer4(self.layer3(self.layer2(self.layer1(x)))).mean((2, 3))


def head():
    """anchord's default projection head: 512 with batch norm and ReLU, then 128; biases begin at 0."""
    last = nn.Linear(512, 128)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(FEATURES, 512, bias=False), nn.BatchNorm1d(512), nn.ReLU(inplace=True), last)


def nt_xent(z, temperature):
    """NT-Xent (arXiv:2002.05709) of rows [2 * n, d]: row i and row n + i are views of the same picture."""
    n = len(z) // 2
    z = functional.normalize(z)
    logits = (z @ z.t() / temperature).fill_diagonal_(float("-inf"))
    return functional.cross_entropy(logits, torch.arange(2 * n, device=z.device).roll(n))
