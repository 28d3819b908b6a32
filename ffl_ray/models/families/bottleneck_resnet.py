"""ResNet of bottleneck blocks for CIFAR (He et al. 2016, arXiv:1603.05027).

Three stages of 64, 128 and 256 channels, four times the inner width. Depth 110 is what ONE,
OKDDip and PCL call ResNet-110: 1.17M parameters for 100 classes. As in their programs the
stride is at the 3x3 convolution.
"""

from jaxtyping import Float
from torch import Tensor, nn

from ffl_ray.models.backbone import Backbone, residual_stages
from ffl_ray.models.depths import BOTTLENECK_RESNET

EXPANSION = 4
WIDTHS = (64, 128, 256)


class Bottleneck(nn.Module):
    """1x1 to a quarter of the width, 3x3, 1x1 back, around a shortcut; ReLU after the sum.

    Args:
        widen: the inner width is this many quarters.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, *, widen: int = 1) -> None:
        super().__init__()
        inner = out_channels // EXPANSION * widen
        self.conv1 = nn.Conv2d(in_channels, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut = nn.Sequential()
        if stride != 1 or in_channels != out_channels:
            self.shortcut.append(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False))
            self.shortcut.append(nn.BatchNorm2d(out_channels))

    def forward(
        self, x: Float[Tensor, "batch in_channels height width"]
    ) -> Float[Tensor, "batch out_channels out_height out_width"]:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        out += self.shortcut(x)
        joined: Tensor = self.relu(out)
        return joined


def bottleneck_resnet(in_channels: int, *, depth: int, deeper: int = 0) -> Backbone:
    """A CIFAR ResNet of bottleneck blocks.

    Raises:
        SettingError: the depth is not 9n + 2.
    """
    blocks = BOTTLENECK_RESNET.blocks(depth)
    stem = nn.Sequential(
        nn.Conv2d(in_channels, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(inplace=True),
    )
    return Backbone(stem, tuple(residual_stages(Bottleneck, 16, WIDTHS, blocks, deeper)))
