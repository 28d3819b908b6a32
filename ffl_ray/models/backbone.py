"""What a backbone is: a stem and stages, the last of which gives the feature map to fuse."""

from __future__ import annotations

import importlib
from typing import NamedTuple

from torch import nn

from ffl_ray.models.init import init_weights
from ffl_ray.models.table import backbone_row


class Backbone(NamedTuple):
    """One convolutional network without its classifier.

    Attributes:
        stem: from the image to the first stage's input.
        stages: in order; each takes the one before it. A trunk takes the leading ones.
    """

    stem: nn.Module
    stages: tuple[nn.Module, ...]

    def split(self, trunk_stages: int) -> tuple[nn.Sequential, nn.Sequential]:
        """Its leading part (stem and that many stages; empty for 0) and the rest."""
        if trunk_stages == 0:
            return nn.Sequential(), nn.Sequential(self.stem, *self.stages)
        lead = nn.Sequential(self.stem, *self.stages[:trunk_stages])
        return lead, nn.Sequential(*self.stages[trunk_stages:])


def build_backbone(name: str, in_channels: int) -> Backbone:
    """A freshly initialised backbone of the table."""
    row = backbone_row(name)
    module, _, function = row.function.partition(":")
    build = getattr(importlib.import_module(module), function)
    backbone: Backbone = build(in_channels, **row.arguments)
    for part in (backbone.stem, *backbone.stages):
        init_weights(part)
    return backbone
