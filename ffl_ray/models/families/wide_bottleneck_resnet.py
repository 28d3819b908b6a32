"""Bottleneck ResNet with wide 3x3 convolutions: the "WRN-20-8" of OKDDip's and PCL's tables.

Their programs build ResNet([2, 2, 2]) with width_per_group 512: the inner 3x3 convolutions are
eight times as wide, and the outer 1x1 ones are not. It is no WRN of Zagoruyko and Komodakis,
which has no bottleneck, pre-activation, and depths 6n + 4.
"""

from functools import partial

from torch import nn

from ffl_ray.models.backbone import Backbone, residual_stages
from ffl_ray.models.depths import WIDE_BOTTLENECK_RESNET
from ffl_ray.models.families.bottleneck_resnet import WIDTHS, Bottleneck


def wide_bottleneck_resnet(
    in_channels: int, *, depth: int, widen: int, deeper: int = 0
) -> Backbone:
    """A CIFAR ResNet of bottleneck blocks, the inner width times `widen`.

    Raises:
        SettingError: the depth is not 9n + 2.
    """
    blocks = WIDE_BOTTLENECK_RESNET.blocks(depth)
    stem = nn.Sequential(
        nn.Conv2d(in_channels, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(inplace=True),
    )
    block = partial(Bottleneck, widen=widen)
    return Backbone(stem, tuple(residual_stages(block, 16, WIDTHS, blocks, deeper)))
