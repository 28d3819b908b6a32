"""Fusion designs: modules that merge the branches' feature maps into one classifier.

A design takes maps of one shape (`align` sees to that) and the pooled features of the trunks.
In the parameter counts n is the number of branches, C the maps' width, K the classes and D the
width of the trunk features. A new design is one class and one row of `FUSION_DESIGNS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

Map = Float[Tensor, "batch width height wide"]
Logits = Float[Tensor, "batch classes"]


class FusionShape(NamedTuple):
    """The sizes that a fusion design is built for."""

    num_branches: int
    width: int
    trunk_width: int
    num_classes: int


class _PooledClassifier(nn.Module):
    """Global average pooling, then a linear layer."""

    def __init__(self, width: int, num_classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, num_classes)

    def forward(self, x: Map) -> Logits:
        logits: Tensor = self.linear(x.mean(dim=(2, 3)))
        return logits


class ConcatDepthwise(nn.Module):
    """The paper's: concatenation, depthwise 3x3, pointwise 1x1 (Kim et al. 2020, section III).

    Parameters: 9nC + 2nC + nC C + 2C + CK + K, which is 16,228 for n=2, C=64, K=100.
    """

    def __init__(self, shape: FusionShape) -> None:
        super().__init__()
        joint = shape.num_branches * shape.width
        self.depthwise = nn.Conv2d(joint, joint, 3, padding=1, groups=joint, bias=False)
        self.bn1 = nn.BatchNorm2d(joint)
        self.pointwise = nn.Conv2d(joint, shape.width, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(shape.width)
        self.relu = nn.ReLU(inplace=True)
        self.classifier = _PooledClassifier(shape.width, shape.num_classes)

    def forward(self, maps: list[Map], trunk_features: Tensor) -> Logits:
        x = self.relu(self.bn1(self.depthwise(torch.cat(maps, dim=1))))
        x = self.relu(self.bn2(self.pointwise(x)))
        logits: Tensor = self.classifier(x)
        return logits


class ConcatPointwise(nn.Module):
    """Concatenation and a plain 1x1 convolution: the paper's without its depthwise part.

    Parameters: nC C + 2C + CK + K.
    """

    def __init__(self, shape: FusionShape) -> None:
        super().__init__()
        joint = shape.num_branches * shape.width
        self.pointwise = nn.Conv2d(joint, shape.width, 1, bias=False)
        self.bn = nn.BatchNorm2d(shape.width)
        self.relu = nn.ReLU(inplace=True)
        self.classifier = _PooledClassifier(shape.width, shape.num_classes)

    def forward(self, maps: list[Map], trunk_features: Tensor) -> Logits:
        x = self.relu(self.bn(self.pointwise(torch.cat(maps, dim=1))))
        logits: Tensor = self.classifier(x)
        return logits


class Sum(nn.Module):
    """Element-wise sum of the maps (DualNet: Hou et al., ICCV 2017).

    Parameters: CK + K.
    """

    def __init__(self, shape: FusionShape) -> None:
        super().__init__()
        self.classifier = _PooledClassifier(shape.width, shape.num_classes)

    def forward(self, maps: list[Map], trunk_features: Tensor) -> Logits:
        logits: Tensor = self.classifier(torch.stack(maps).sum(dim=0))
        return logits


class Gated(nn.Module):
    """Sum of the maps weighted by a softmax gate that reads the trunks' pooled features.

    The gate is that of ONE (Lan et al. 2018, arXiv:1806.04606, section 3), here over feature
    maps instead of logits. Parameters: Dn + n + CK + K.
    """

    def __init__(self, shape: FusionShape) -> None:
        super().__init__()
        self.gate = nn.Linear(shape.trunk_width, shape.num_branches)
        self.classifier = _PooledClassifier(shape.width, shape.num_classes)

    def forward(self, maps: list[Map], trunk_features: Tensor) -> Logits:
        shares = self.gate(trunk_features).softmax(dim=1)
        mixed = torch.einsum("nbchw,bn->bchw", torch.stack(maps), shares)
        logits: Tensor = self.classifier(mixed)
        return logits


FUSION_DESIGNS: dict[str, type[nn.Module]] = {
    "concat_depthwise": ConcatDepthwise,
    "concat_pointwise": ConcatPointwise,
    "sum": Sum,
    "gated": Gated,
}


class MapShape(NamedTuple):
    """Shape of one feature map."""

    channels: int
    height: int
    width: int


class Projection(nn.Module):
    """A map of other width or resolution brought to the common shape by a learned 1x1 projection.

    Averaged down to the resolution first, so that the convolution runs on the small map.
    """

    def __init__(self, channels: int, target: MapShape) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d((target.height, target.width))
        self.conv = nn.Conv2d(channels, target.channels, 1, bias=False)
        self.bn = nn.BatchNorm2d(target.channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Map) -> Map:
        projected: Tensor = self.relu(self.bn(self.conv(self.pool(x))))
        return projected


def common_shape(shapes: list[MapShape]) -> MapShape:
    """The shape that maps are brought to: the widest channels, the smallest resolution.

    The paper leaves mixed branches open; the widest loses no feature, the smallest resolution
    makes up no detail and costs least.
    """
    return MapShape(
        channels=max(shape.channels for shape in shapes),
        height=min(shape.height for shape in shapes),
        width=min(shape.width for shape in shapes),
    )


class Fusion(nn.Module):
    """A fusion design with the projections that its branches need."""

    def __init__(self, projections: Sequence[nn.Module], design: nn.Module) -> None:
        super().__init__()
        self.projections = nn.ModuleList(projections)
        self.design = design

    def forward(self, maps: list[Map], trunk_features: Tensor) -> Logits:
        aligned = [project(x) for project, x in zip(self.projections, maps, strict=True)]
        logits: Tensor = self.design(aligned, trunk_features)
        return logits


def build_fusion(design: str, shapes: list[MapShape], trunk_width: int, num_classes: int) -> Fusion:
    """A fusion design for branches with these maps, and the projections they need."""
    target = common_shape(shapes)
    projections = [
        nn.Identity() if shape == target else Projection(shape.channels, target) for shape in shapes
    ]
    sizes = FusionShape(len(shapes), target.channels, trunk_width, num_classes)
    return Fusion(projections, FUSION_DESIGNS[design](sizes))
