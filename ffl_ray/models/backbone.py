"""Backbone: a stem and stages, the last of which gives the feature map to fuse."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from torch import nn


class Backbone(NamedTuple):
    """One convolutional network without its classifier.

    Attributes:
        stem: from the image to the first stage's input.
        stages: in order; each takes the one before it. A trunk takes the leading ones.
    """

    stem: nn.Module
    stages: tuple[nn.Module, ...]

    def split(self, trunk_stages: int) -> tuple[nn.Sequential, nn.Sequential]:
        """Its leading modules (stem and that many stages; empty for 0) and the rest.

        Args:
            trunk_stages: -1 means all but the last.
        """
        if trunk_stages == -1:
            trunk_stages = len(self.stages) - 1
        if trunk_stages == 0:
            return nn.Sequential(), nn.Sequential(self.stem, *self.stages)
        lead = nn.Sequential(self.stem, *self.stages[:trunk_stages])
        return lead, nn.Sequential(*self.stages[trunk_stages:])


def residual_stages(
    block: Callable[[int, int, int], nn.Module],
    in_channels: int,
    widths: Sequence[int],
    blocks: int,
    deeper: int = 0,
) -> list[nn.Sequential]:
    """Stages of equal length, each but the first at half the resolution of the one before.

    Args:
        block: makes a block from its input width, output width and stride.
        widths: output channels of each stage.
        blocks: how many each stage has.
        deeper: how many more the last one has.
    """
    stages = []
    previous = in_channels
    for index, width in enumerate(widths):
        stage = nn.Sequential(block(previous, width, 2 if index else 1))
        count = blocks + (deeper if index == len(widths) - 1 else 0)
        stage.extend(block(width, width, 1) for _ in range(count - 1))
        stages.append(stage)
        previous = width
    return stages
