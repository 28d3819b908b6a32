"""What a member costs when it is deployed alone: parameters and multiply-accumulates."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ffl_ray.models.network import FusionNetwork, member_names


class MemberCost(NamedTuple):
    """Size of one member, and its multiply-accumulates for one image."""

    parameters: int
    macs: int


def member_costs(
    network: FusionNetwork, image_shape: tuple[int, int, int]
) -> dict[str, MemberCost]:
    """The cost of every member: convolutions and linear layers count, nothing else does.

    Counted by hooks: torch's FlopCounterMode gives the same numbers (a test holds it) and takes
    5 s on its first use.
    """
    was_training = network.training
    network.eval()
    images = torch.zeros(1, *image_shape, device=next(network.parameters()).device)
    costs = {name: _cost(network, name, images) for name in member_names(network.num_branches)}
    network.train(was_training)
    return costs


def _cost(network: FusionNetwork, name: str, images: Tensor) -> MemberCost:
    parts = {id(p): p for part in network.member_modules(name) for p in part.parameters()}
    macs = 0

    def count(layer: nn.Module, _: Any, out: Tensor) -> None:
        nonlocal macs
        positions = out.numel() // out.shape[0] // out.shape[1]
        macs += positions * layer.get_parameter("weight").numel()

    layers = [m for m in network.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    with torch.no_grad():
        network.member(name, images)
    for hook in hooks:
        hook.remove()
    return MemberCost(sum(p.numel() for p in parts.values()), macs)
