"""VGG for CIFAR (Simonyan and Zisserman 2015, arXiv:1409.1556, configurations A, B, D and E).

The usual form at this size: batch norm after each convolution, which then needs no bias, and
the three fully connected layers replaced by the one linear classifier that every branch has.
A stage ends with its pooling, so a 32x32 image gives a 1x1 map. There a padded 3x3 depthwise
convolution, as in the paper's fusion module, is no more than a scale per channel.
"""

from itertools import pairwise

from torch import nn

from ffl_ray.models.backbone import Backbone
from ffl_ray.models.depths import VGG

WIDTHS = (64, 128, 256, 512, 512)
CONVOLUTIONS = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}


def vgg(in_channels: int, *, depth: int, deeper: int = 0) -> Backbone:
    """VGG of a depth, with batch norm.

    Raises:
        SettingError: the depth is not 11, 13, 16 or 19.
    """
    VGG.check(depth)
    *counts, last = CONVOLUTIONS[depth]
    steps = zip((*counts, last + deeper), pairwise((in_channels, *WIDTHS)), strict=True)
    return Backbone(nn.Sequential(), tuple(_stage(count, *widths) for count, widths in steps))


def _stage(count: int, in_channels: int, out_channels: int) -> nn.Sequential:
    stage = nn.Sequential()
    for index in range(count):
        width = out_channels if index else in_channels
        stage.append(nn.Conv2d(width, out_channels, 3, padding=1, bias=False))
        stage.append(nn.BatchNorm2d(out_channels))
        stage.append(nn.ReLU(inplace=True))
    # Rounding up leaves a pixel of images smaller than 32x32; it changes nothing at 32x32.
    return stage.append(nn.MaxPool2d(2, ceil_mode=True))
