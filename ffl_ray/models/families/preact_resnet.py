"""Pre-activation ResNet for CIFAR (He et al. 2016, arXiv:1603.05027).

Basic blocks (the authors' depth 110) or bottlenecks (their 164). Where the shape changes the
shortcut is a 1x1 convolution of the activated input, as in the wide ResNet.
"""

from jaxtyping import Float
from torch import Tensor, nn

from ffl_ray.models.backbone import Backbone, residual_stages
from ffl_ray.models.depths import PREACT_BOTTLENECK_RESNET, PREACT_RESNET
from ffl_ray.models.families.wide_resnet import PreActivationBlock

EXPANSION = 4


class PreActivationBottleneck(nn.Module):
    """Batch norm and ReLU before each of 1x1, 3x3 and 1x1; the sum stays unactivated."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        inner = out_channels // EXPANSION
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, inner, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, out_channels, 1, bias=False)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut: nn.Conv2d | None = None
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)

    def forward(
        self, x: Float[Tensor, "batch in_channels height width"]
    ) -> Float[Tensor, "batch out_channels out_height out_width"]:
        active = self.relu(self.bn1(x))
        out = self.conv2(self.relu(self.bn2(self.conv1(active))))
        out = self.conv3(self.relu(self.bn3(out)))
        kept: Tensor = x if self.shortcut is None else self.shortcut(active)
        joined: Tensor = out + kept
        return joined


def preact_resnet(in_channels: int, *, depth: int, deeper: int = 0) -> Backbone:
    """A pre-activation CIFAR ResNet of basic blocks.

    Raises:
        SettingError: the depth is not 6n + 2.
    """
    blocks = PREACT_RESNET.blocks(depth)
    return _activated(
        in_channels, residual_stages(PreActivationBlock, 16, (16, 32, 64), blocks, deeper), 64
    )


def preact_bottleneck_resnet(in_channels: int, *, depth: int, deeper: int = 0) -> Backbone:
    """A pre-activation CIFAR ResNet of bottleneck blocks.

    Raises:
        SettingError: the depth is not 9n + 2.
    """
    blocks = PREACT_BOTTLENECK_RESNET.blocks(depth)
    widths = (64, 128, 256)
    return _activated(
        in_channels,
        residual_stages(PreActivationBottleneck, 16, widths, blocks, deeper),
        widths[-1],
    )


def _activated(in_channels: int, stages: list[nn.Sequential], width: int) -> Backbone:
    stages[-1].append(nn.BatchNorm2d(width))
    stages[-1].append(nn.ReLU(inplace=True))
    return Backbone(nn.Conv2d(in_channels, 16, 3, padding=1, bias=False), tuple(stages))
