"""Helpers: modules that a method trains beside the members, and that nobody deploys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from torch import nn


class HelperRule(NamedTuple):
    """How a helper is trained where that differs from the network.

    Attributes:
        weight_decay: fusion: `optim.fusion_weight_decay`; none: `optim.weight_decay`.
        lr_factor: of the epoch's learning rate.
        optimizer: sgd, adam (whose weight decay is a part of the gradient) or adamw; none:
            `optim.optimizer`.
    """

    weight_decay: float | Literal["fusion"] | None = None
    lr_factor: float = 1.0
    optimizer: Literal["sgd", "adam", "adamw"] | None = None

    @property
    def options(self) -> dict[str, object]:
        """Of its parameter group: what it sets."""
        return {name: value for name, value in self._asdict().items() if value is not None}


class Helper(NamedTuple):
    """One helper: a module, and how it is trained.

    Attributes:
        reads_images: it is called in each training pass with the images that the network is given,
            views in front, and what it gives is `NetworkOutput.read`; else the loss calls it.
    """

    module: nn.Module
    rule: HelperRule = HelperRule()
    reads_images: bool = False


def helper_groups(
    helpers: nn.ModuleDict,
    rules: Mapping[str, HelperRule],
    *,
    weight_decay: float,
    fusion_weight_decay: float,
) -> list[dict[str, object]]:
    """A parameter group for each helper.

    Args:
        weight_decay: of those that have none of their own.
        fusion_weight_decay: of those that have the fusion module's.
    """
    groups: list[dict[str, object]] = []
    for name, rule in rules.items():
        decay = {"weight_decay": weight_decay} | rule.options
        if rule.weight_decay == "fusion":
            decay["weight_decay"] = fusion_weight_decay
        groups.append(
            {"params": [p for p in helpers[name].parameters() if p.requires_grad], **decay}
        )
    return groups
