"""Modules on the maps of several stages, which methods train beside the members."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ffl_ray.models.fusion import Fusion, MapShape
from ffl_ray.models.fusion_designs import Logits, Map


class StageFusion(nn.Module):
    """A fused classifier of the maps that branches have so many stages before their last.

    Args:
        fusion: of maps alone, such as the paper's design.
        branches: whose maps it reads: one of each shared trunk.
        before_last: how many stages before the last.
    """

    def __init__(self, fusion: Fusion, branches: Sequence[int], before_last: int) -> None:
        super().__init__()
        self.fusion = fusion
        self.branches = tuple(branches)
        self.before_last = before_last

    def forward(self, stage_maps: list[list[Map]], *, detach: bool) -> Logits:
        """Its logits.

        Args:
            stage_maps: of every branch.
            detach: no gradient reaches the maps.
        """
        maps = [stage_maps[index][-1 - self.before_last] for index in self.branches]
        maps = [x.detach() for x in maps] if detach else maps
        logits: Tensor = self.fusion(maps, maps[0].new_empty(0))
        return logits


class StageDecoder(nn.Module):
    """Maps of the stages before the last, each decoded from the one behind it.

    A block is a transposed 3x3 convolution, whose stride is the ratio of the resolutions, batch
    norm and ReLU; where that ratio is no whole number, pooling takes off what is too much.

    Source: FFSD, Li et al. 2021, arXiv:2103.14473, whose stages differ by 2.

    Args:
        shapes: of the maps after every stage.
    """

    def __init__(self, shapes: Sequence[MapShape]) -> None:
        super().__init__()
        deeper = shapes[:0:-1]
        self.blocks = nn.ModuleList(
            _decoding(shape, target) for shape, target in zip(deeper, shapes[-2::-1], strict=True)
        )

    def forward(self, last: Map) -> list[Map]:
        """The decoded maps, in the order of the stages."""
        maps = [last]
        for block in self.blocks:
            maps.append(block(maps[-1]))
        return maps[:0:-1]

    def as_it_is(self, last: Map) -> list[Map]:
        """The same as constants, by the statistics of the steps before, which stay as they are."""
        was = self.training
        self.eval()
        with torch.no_grad():
            maps = self.forward(last)
        self.train(was)
        return maps


class CrossStages(nn.Module):
    """Each stage's map with what the maps of all stages before it say of it: K_t.

    K_t = F_t + sum_(s < t) ReLU(BN(conv F_s)), the convolution's kernel and stride being the ratio
    of the resolutions; where that is no whole number, pooling takes off what is too much.

    Source: DCCL, its authors' program.

    Args:
        shapes: of the maps after every stage.
    """

    def __init__(self, shapes: Sequence[MapShape]) -> None:
        super().__init__()
        self.crossings = nn.ModuleList(
            nn.ModuleList(_crossing(shape, target) for shape in shapes[:index])
            for index, target in enumerate(shapes)
        )

    def forward(self, maps: Sequence[Map]) -> list[Map]:
        found = []
        for crossings, last in zip(self.crossings, maps, strict=True):
            assert isinstance(crossings, nn.ModuleList)
            said = [crossing(x) for crossing, x in zip(crossings, maps, strict=False)]
            found.append(sum(said, last))
        return found


def expansion(width: int, num_branches: int) -> nn.Sequential:
    """From one map of a width to so many side by side: the paper's fusion the other way round.

    Source: FFSD, Li et al. 2021, arXiv:2103.14473.
    """
    return nn.Sequential(
        nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        nn.Conv2d(width, width * num_branches, 1, bias=False),
        nn.BatchNorm2d(width * num_branches),
        nn.ReLU(inplace=True),
    )


def _decoding(shape: MapShape, target: MapShape) -> nn.Sequential:
    up = -(-target.height // shape.height), -(-target.width // shape.width)
    grown = shape.height * up[0], shape.width * up[1]
    convolution = nn.ConvTranspose2d(
        shape.channels,
        target.channels,
        3,
        stride=up,
        padding=1,
        output_padding=(up[0] - 1, up[1] - 1),
        bias=False,
    )
    return nn.Sequential(
        convolution, nn.BatchNorm2d(target.channels), nn.ReLU(inplace=True), *_pool(grown, target)
    )


def _crossing(shape: MapShape, target: MapShape) -> nn.Sequential:
    down = max(1, shape.height // target.height), max(1, shape.width // target.width)
    shrunk = shape.height // down[0], shape.width // down[1]
    return nn.Sequential(
        nn.Conv2d(shape.channels, target.channels, down, stride=down, bias=False),
        nn.BatchNorm2d(target.channels),
        nn.ReLU(inplace=True),
        *_pool(shrunk, target),
    )


def _pool(side: tuple[int, int], target: MapShape) -> list[nn.Module]:
    wanted = target.height, target.width
    return [] if side == wanted else [nn.AdaptiveAvgPool2d(wanted)]
