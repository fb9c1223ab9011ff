#!/usr/bin/env python3
"""Writes resnet18.onnx: ResNet-18 without its classifier, random weights, embedding of 512 numbers of unit length.

Needs torch (Debian: python3-torch).  The network is written out here so that torchvision is not needed.
"""
import sys

import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, channels_in, channels, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.down = None
        if stride != 1 or channels_in != channels:
            self.down = nn.Sequential(nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x):
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + (x if self.down is None else self.down(x)))


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(),
                                  nn.MaxPool2d(3, 2, 1))
        sizes = [(64, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1), (256, 512, 2),
                 (512, 512, 1)]
        self.blocks = nn.Sequential(*[Block(*s) for s in sizes])

    def forward(self, x):
        y = self.blocks(self.stem(x)).mean((2, 3))
        return y / y.norm(dim=1, keepdim=True)


torch.manual_seed(1)
path = sys.argv[1] if len(sys.argv) > 1 else "resnet18.onnx"
torch.onnx.export(Encoder().eval(), torch.zeros(1, 3, 224, 224), path, input_names=["pixels"],
                  output_names=["embedding"], dynamic_axes={"pixels": {0: "n"}, "embedding": {0: "n"}})
