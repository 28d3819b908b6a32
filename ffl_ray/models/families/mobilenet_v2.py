"""MobileNetV2 at CIFAR size (Sandler et al. 2018, arXiv:1801.04381, table 2).

Widths and blocks are the paper's. The first two of its five halvings are left out, as usual for
32x32 images: the stem and the 24-channel blocks keep the resolution.
"""

from jaxtyping import Float
from torch import Tensor, nn

from ffl_ray.models.backbone import Backbone

STAGES = (
    # expansion, channels, blocks, first stride: table 2 but for the strides
    ((1, 16, 1, 1), (6, 24, 2, 1)),
    ((6, 32, 3, 2),),
    ((6, 64, 4, 2), (6, 96, 3, 1)),
    ((6, 160, 3, 2), (6, 320, 1, 1)),
)
STEM_WIDTH = 32
LAST_WIDTH = 1280
DEEPENED = 160  # channels of the blocks of the last stage that keep their shape


class InvertedResidual(nn.Module):
    """1x1 expansion, 3x3 depthwise, linear 1x1; a shortcut where the shape is kept."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = expansion * in_channels
        self.layers = nn.Sequential()
        if expansion > 1:
            self.layers.extend(_convolution(in_channels, inner, 1))
        self.layers.extend(_convolution(inner, inner, 3, stride, groups=inner))
        self.layers.append(nn.Conv2d(inner, out_channels, 1, bias=False))
        self.layers.append(nn.BatchNorm2d(out_channels))
        self.keeps_shape = stride == 1 and in_channels == out_channels

    def forward(
        self, x: Float[Tensor, "batch in_channels height width"]
    ) -> Float[Tensor, "batch out_channels out_height out_width"]:
        out: Tensor = self.layers(x)
        return x + out if self.keeps_shape else out


def mobilenet_v2(in_channels: int, *, deeper: int = 0) -> Backbone:
    """MobileNetV2 of width 1."""
    stages = []
    width = STEM_WIDTH
    for rows in STAGES:
        stage = nn.Sequential()
        for expansion, channels, blocks, stride in rows:
            more = deeper if channels == DEEPENED else 0
            for index in range(blocks + more):
                step = 1 if index else stride
                stage.append(InvertedResidual(width, channels, step, expansion))
                width = channels
        stages.append(stage)
    stages[-1].extend(_convolution(width, LAST_WIDTH, 1))
    return Backbone(nn.Sequential(*_convolution(in_channels, STEM_WIDTH, 3)), tuple(stages))


def _convolution(
    in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    conv = nn.Conv2d(
        in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False
    )
    return [conv, nn.BatchNorm2d(out_channels), nn.ReLU6(inplace=True)]
