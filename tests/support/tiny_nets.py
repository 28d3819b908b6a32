"""Backbones of one convolution: what the tests of all fusion designs are made of."""

from torch import nn


def narrow(in_channels: int) -> nn.Module:
    return _block(in_channels, 6, 1)


def wide(in_channels: int) -> nn.Module:
    return _block(in_channels, 10, 2)


def _block(in_channels: int, width: int, stride: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(in_channels, width, 3, stride, 1), nn.BatchNorm2d(width), nn.ReLU()
    )
