"""ResNet for CIFAR: three stages of 16, 32 and 64 channels (He et al. 2016, arXiv:1512.03385, 4.2).

Shortcuts are 1x1 convolutions with batch norm where shape changes (option B), as in the
authors' program of FFL; blocks are basic ones at every depth.
"""

from jaxtyping import Float
from torch import Tensor, nn

from ffl_ray.models.backbone import Backbone, residual_stages
from ffl_ray.models.depths import CIFAR_RESNET

WIDTHS = (16, 32, 64)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut, ReLU after the sum."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut = nn.Sequential()
        if stride != 1 or in_channels != out_channels:
            self.shortcut.append(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False))
            self.shortcut.append(nn.BatchNorm2d(out_channels))

    def forward(
        self, x: Float[Tensor, "batch in_channels height width"]
    ) -> Float[Tensor, "batch out_channels out_height out_width"]:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += self.shortcut(x)
        joined: Tensor = self.relu(out)
        return joined


def cifar_resnet(in_channels: int, *, depth: int, deeper: int = 0) -> Backbone:
    """A CIFAR ResNet of basic blocks.

    Raises:
        SettingError: the depth is not 6n + 2.
    """
    blocks = CIFAR_RESNET.blocks(depth)
    stem = nn.Sequential(
        nn.Conv2d(in_channels, WIDTHS[0], 3, padding=1, bias=False),
        nn.BatchNorm2d(WIDTHS[0]),
        nn.ReLU(inplace=True),
    )
    return Backbone(stem, tuple(residual_stages(BasicBlock, WIDTHS[0], WIDTHS, blocks, deeper)))
