"""The fusion module: projections that bring the branches' maps to one shape, and a design.

Same branches give maps of one shape, and nothing stands between them and the design. In a mixed
set, `common_shape` picks the shape and each map of another one gets a `Projection` to it. A new
design is one class of `fusion_designs.py` and one row of `FUSION_DESIGNS`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, TypeGuard

from torch import Tensor, nn

from ffl_ray.config.user_code import is_own
from ffl_ray.models import fusion_designs as designs
from ffl_ray.models.fusion_designs import BranchLogits, Features, FusionShape, Logits, Map
from ffl_ray.models.user_fusion import user_design

FUSION_DESIGNS: dict[str, type[nn.Module]] = {
    "concat_depthwise": designs.ConcatDepthwise,
    "concat_pointwise": designs.ConcatPointwise,
    "sum": designs.Sum,
    "mean": designs.Mean,
    "gated": designs.Gated,
    "attention": designs.Attention,
    "squeeze_excitation": designs.SqueezeExcitation,
    "pooled_linear": designs.PooledLinear,
    "pairwise": designs.Pairwise,
}


class MapShape(NamedTuple):
    """Shape of one feature map."""

    channels: int
    height: int
    width: int


class Projection(nn.Module):
    """A map of other width or resolution brought to the common shape by a learned 1x1 projection.

    Adaptive average pooling to the resolution, 1x1 convolution to the width, batch norm, ReLU;
    pooled first, so that the convolution runs on the small map. For c channels and a target of C
    channels and P pixels: c*C + 2*C parameters and c*C*P multiply-accumulates, in addition to
    the design's. A branch whose map has the common shape gets none.
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


class MergesMaps(Protocol):
    """A fusion design that merges maps into one, which it pools and classifies."""

    classifier: Callable[[Map], Logits]

    def fused_map(self, maps: list[Map], trunk_features: Features) -> Map:
        """The map that is pooled and classified."""
        ...


def merges_maps(design: object) -> TypeGuard[MergesMaps]:
    """Whether a design does so.

    Python 3.12 looks for a protocol's attributes past `__getattr__`, where a module's modules are.
    """
    return hasattr(design, "fused_map") and hasattr(design, "classifier")


class Fusion(nn.Module):
    """A fusion design with the projections that its branches need.

    Attributes:
        reads_logits: whether the branches' logits must be given: a design reads their maps.
    """

    reads_logits = False

    def __init__(self, projections: Sequence[nn.Module], design: nn.Module) -> None:
        super().__init__()
        self.projections = nn.ModuleList(projections)
        self.design = design

    def forward(
        self, maps: list[Map], trunk_features: Features, branch_logits: BranchLogits | None = None
    ) -> Logits:
        logits: Tensor = self.design(self._aligned(maps), trunk_features)
        return logits

    def fused_map(self, maps: list[Map], trunk_features: Features) -> Map:
        """What `classify` pools, where the design has such a map."""
        assert merges_maps(self.design), "the builder looks at the design"
        return self.design.fused_map(self._aligned(maps), trunk_features)

    def classify(self, fused_map: Map) -> Logits:
        """Logits of the fused map."""
        assert merges_maps(self.design), "the builder looks at the design"
        return self.design.classifier(fused_map)

    def _aligned(self, maps: list[Map]) -> list[Map]:
        return [project(x) for project, x in zip(self.projections, maps, strict=True)]


def build_fusion(design: str, shapes: list[MapShape], trunk_width: int, num_classes: int) -> Fusion:
    """A fusion design for branches with these maps, and the projections they need."""
    target = common_shape(shapes)
    projections = [
        nn.Identity() if shape == target else Projection(shape.channels, target) for shape in shapes
    ]
    sizes = FusionShape(len(shapes), target.channels, trunk_width, num_classes)
    build = functools.partial(user_design, design) if is_own(design) else FUSION_DESIGNS[design]
    return Fusion(projections, build(sizes))
