"""What a member costs when it is deployed alone: parameters and multiply-accumulates."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.utils.flop_counter import FlopCounterMode

from ffl_ray.models.network import FusionNetwork, member_names


class MemberCost(NamedTuple):
    """Size of one member, and its multiply-accumulates for one image."""

    parameters: int
    macs: int


def member_costs(
    network: FusionNetwork, image_shape: tuple[int, int, int]
) -> dict[str, MemberCost]:
    """The cost of every member: convolutions and linear layers count, nothing else does."""
    was_training = network.training
    network.eval()
    images = torch.zeros(1, *image_shape, device=next(network.parameters()).device)
    costs = {name: _cost(network, name, images) for name in member_names(network.num_branches)}
    network.train(was_training)
    return costs


def _cost(network: FusionNetwork, name: str, images: torch.Tensor) -> MemberCost:
    parts = {id(p): p for part in network.member_modules(name) for p in part.parameters()}
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network.member(name, images)
    return MemberCost(sum(p.numel() for p in parts.values()), counter.get_total_flops() // 2)
