"""ResNet of torchvision/models/resnet.py, with its names. Strides and epsilon, which no weight file holds, are arguments."""

import torch
from torch import nn


class Unit(nn.Module):
    """BasicBlock and Bottleneck. `first`: the stride is in the first convolution, as in Keras."""

    def __init__(self, inputs, width, outputs, stride, deep, first, eps):
        super().__init__()
        strides = (stride, 1) if first or not deep else (1, stride)
        size = 1 if deep else 3
        self.conv1 = nn.Conv2d(inputs, width, size, strides[0], size // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(width, eps)
        self.conv2 = nn.Conv2d(width, width, 3, strides[1], 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width, eps)
        self.conv3 = None
        if deep:
            self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
            self.bn3 = nn.BatchNorm2d(outputs, eps)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs, eps))

    def forward(self, x):
        out = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        if self.conv3:
            out = self.bn3(self.conv3(torch.relu(out)))
        return torch.relu(out + (self.downsample(x) if self.downsample else x))


class Resnet(nn.Module):
    def __init__(self, units=(3, 4, 6, 3), deep=True, width=64, classes=1000, first=False, eps=1e-5):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width, eps)
        self.pool = nn.MaxPool2d(3, 2, 1)
        inputs = width
        for s, count in enumerate(units):
            outputs = width * 2**s * (4 if deep else 1)
            stage = [Unit(outputs if b else inputs, width * 2**s, outputs, 1 if b or not s else 2, deep, first, eps)
                     for b in range(count)]  # fmt: skip
            setattr(self, f"layer{s + 1}", nn.Sequential(*stage))
            inputs = outputs
        self.fc = nn.Linear(inputs, classes)

    def forward(self, x):
        x = self.pool(torch.relu(self.bn1(self.conv1(x))))
        for s in range(4):
            x = getattr(self, f"layer{s + 1}")(x)
        return self.fc(x.mean((2, 3)))
