"""DenseNet for CIFAR: three dense blocks (Huang et al. 2017, arXiv:1608.06993, section 3).

`densenet40_12` is the paper's plain DenseNet (L = 40, k = 12): 1.0M parameters, 16 channels
after the first convolution, no bottleneck and no compression. Some tables of online
distillation list a DenseNet-40-12 of 0.19M: that is `densenet_bc40_12`. No dropout, which the
paper uses only without augmentation.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ffl_ray.models.backbone import Backbone
from ffl_ray.models.depths import DENSENET, DENSENET_BC

BOTTLENECK = 4


class DenseLayer(nn.Module):
    """Batch norm, ReLU and a 3x3 convolution whose channels are put behind the input's.

    Args:
        bottleneck: first a 1x1 convolution to four times the growth (the B of BC).
    """

    def __init__(self, in_channels: int, growth: int, *, bottleneck: bool) -> None:
        super().__init__()
        self.new = nn.Sequential()
        width = in_channels
        if bottleneck:
            self.new.extend(_convolution(width, BOTTLENECK * growth, 1))
            width = BOTTLENECK * growth
        self.new.extend(_convolution(width, growth, 3))

    def forward(
        self, x: Float[Tensor, "batch in_channels height width"]
    ) -> Float[Tensor, "batch more_channels height width"]:
        return torch.cat([x, self.new(x)], dim=1)


def densenet(in_channels: int, *, depth: int, growth: int, deeper: int = 0) -> Backbone:
    """The plain DenseNet.

    Raises:
        SettingError: the depth is not 3n + 4.
    """
    layers = DENSENET.blocks(depth)
    return _dense_blocks(in_channels, 16, layers, growth, deeper, compressed=False)


def densenet_bc(in_channels: int, *, depth: int, growth: int, deeper: int = 0) -> Backbone:
    """DenseNet-BC: layers with bottlenecks, transitions that halve the channels.

    Raises:
        SettingError: the depth is not 6n + 4.
    """
    layers = DENSENET_BC.blocks(depth)
    return _dense_blocks(in_channels, 2 * growth, layers, growth, deeper, compressed=True)


def _dense_blocks(
    in_channels: int, width: int, layers: int, growth: int, deeper: int, *, compressed: bool
) -> Backbone:
    stem = nn.Conv2d(in_channels, width, 3, padding=1, bias=False)
    stages = []
    for block in range(3):
        stage = nn.Sequential()
        if block:
            kept = width // 2 if compressed else width
            stage.extend([*_convolution(width, kept, 1), nn.AvgPool2d(2)])
            width = kept
        for _ in range(layers + (deeper if block == 2 else 0)):
            stage.append(DenseLayer(width, growth, bottleneck=compressed))
            width += growth
        stages.append(stage)
    stages[-1].extend([nn.BatchNorm2d(width), nn.ReLU(inplace=True)])
    return Backbone(stem, tuple(stages))


def _convolution(in_channels: int, out_channels: int, kernel: int) -> list[nn.Module]:
    return [
        nn.BatchNorm2d(in_channels),
        nn.ReLU(inplace=True),
        nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False),
    ]
