"""Wide residual networks for CIFAR (Zagoruyko and Komodakis 2016, arXiv:1605.07146)."""

from jaxtyping import Float
from torch import Tensor, nn

from ffl_ray.models.backbone import Backbone, residual_stages
from ffl_ray.models.depths import WIDE_RESNET


class PreActivationBlock(nn.Module):
    """Batch norm and ReLU before each of two 3x3 convolutions; the sum stays unactivated."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut: nn.Conv2d | None = None
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)

    def forward(
        self, x: Float[Tensor, "batch in_channels height width"]
    ) -> Float[Tensor, "batch out_channels out_height out_width"]:
        active = self.relu(self.bn1(x))
        out: Tensor = self.conv2(self.relu(self.bn2(self.conv1(active))))
        kept: Tensor = x if self.shortcut is None else self.shortcut(active)
        return out + kept


def wide_resnet(in_channels: int, *, depth: int, widen: int, deeper: int = 0) -> Backbone:
    """WRN-depth-widen: three stages of 16, 32 and 64 channels, each times `widen`.

    Raises:
        SettingError: the depth is not 6n + 4.
    """
    blocks = WIDE_RESNET.blocks(depth)
    widths = [base * widen for base in (16, 32, 64)]
    stages = residual_stages(PreActivationBlock, 16, widths, blocks, deeper)
    stages[-1].append(nn.BatchNorm2d(widths[-1]))
    stages[-1].append(nn.ReLU(inplace=True))
    return Backbone(nn.Conv2d(in_channels, 16, 3, padding=1, bias=False), tuple(stages))
