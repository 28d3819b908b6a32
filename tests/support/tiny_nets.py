"""Networks of hardly any weights: backbones of one convolution, classifiers of one number."""

import torch
from torch import Tensor, nn

from ffl_ray.models.network import NetworkOutput


class Scaled(nn.Module):
    """Three classifiers that scale the image, which is its own logits."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor([0.5, 1.0, 2.0]))

    def forward(self, images: Tensor) -> NetworkOutput:
        logits = self.scale[:, None, None] * images
        return NetworkOutput(logits[:2], logits[2])


def narrow(in_channels: int) -> nn.Module:
    return _block(in_channels, 6, 1)


def wide(in_channels: int) -> nn.Module:
    return _block(in_channels, 10, 2)


def dropping(in_channels: int) -> nn.Module:
    """It draws as it trains."""
    return nn.Sequential(_block(in_channels, 6, 1), nn.Dropout(0.5))


def _block(in_channels: int, width: int, stride: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(in_channels, width, 3, stride, 1), nn.BatchNorm2d(width), nn.ReLU()
    )
