"""ShuffleNetV2 at CIFAR size (Ma et al. 2018, arXiv:1807.11164, table 5, width 1x).

Widths and blocks are the paper's. Its stem divides the resolution by four; for 32x32 images it
keeps it, as usual: stride 1 and no pooling.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ffl_ray.models.backbone import Backbone

STEM_WIDTH = 24
WIDTHS = (116, 232, 464)
UNITS = (4, 8, 4)
LAST_WIDTH = 1024


class ShuffleUnit(nn.Module):
    """Half of the channels pass, half are convolved; then the halves are interleaved."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.convolved = nn.Sequential(
            *_pointwise(half, half), *_depthwise(half, 1), *_pointwise(half, half)
        )

    def forward(
        self, x: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch channels height width"]:
        passed, rest = x.chunk(2, dim=1)
        return _interleaved(passed, self.convolved(rest))


class DownUnit(nn.Module):
    """Both halves see all channels and halve the resolution."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        half = out_channels // 2
        self.short = nn.Sequential(*_depthwise(in_channels, 2), *_pointwise(in_channels, half))
        self.convolved = nn.Sequential(
            *_pointwise(in_channels, half), *_depthwise(half, 2), *_pointwise(half, half)
        )

    def forward(
        self, x: Float[Tensor, "batch in_channels height width"]
    ) -> Float[Tensor, "batch out_channels out_height out_width"]:
        return _interleaved(self.short(x), self.convolved(x))


def shufflenet_v2(in_channels: int, *, deeper: int = 0) -> Backbone:
    """ShuffleNetV2 of width 1x."""
    stem = nn.Sequential(
        nn.Conv2d(in_channels, STEM_WIDTH, 3, padding=1, bias=False),
        nn.BatchNorm2d(STEM_WIDTH),
        nn.ReLU(inplace=True),
    )
    stages = []
    previous = STEM_WIDTH
    *units_before, last = UNITS
    for width, units in zip(WIDTHS, (*units_before, last + deeper), strict=True):
        shuffles = (ShuffleUnit(width) for _ in range(units - 1))
        stages.append(nn.Sequential(DownUnit(previous, width), *shuffles))
        previous = width
    stages[-1].extend(_pointwise(previous, LAST_WIDTH))
    return Backbone(stem, tuple(stages))


def _interleaved(a: Tensor, b: Tensor) -> Tensor:
    return torch.stack([a, b], dim=2).flatten(1, 2)


def _pointwise(in_channels: int, out_channels: int) -> list[nn.Module]:
    conv = nn.Conv2d(in_channels, out_channels, 1, bias=False)
    return [conv, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True)]


def _depthwise(channels: int, stride: int) -> list[nn.Module]:
    conv = nn.Conv2d(channels, channels, 3, stride, 1, groups=channels, bias=False)
    return [conv, nn.BatchNorm2d(channels)]
