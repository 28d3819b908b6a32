"""What a member costs when it is deployed alone: parameters and multiply-accumulates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from ffl_ray.models.network import FusionNetwork, member_names

ResultT = TypeVar("ResultT")


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


def count_parameters(*modules: nn.Module) -> int:
    """Number of parameters of these modules, one that they share counted once."""
    parameters = {id(p): p for module in modules for p in module.parameters()}
    return sum(p.numel() for p in parameters.values())


def count_macs(module: nn.Module, run: Callable[[], ResultT]) -> tuple[int, ResultT]:
    """Multiply-accumulates of the module's convolutions and linear layers in one call of `run`.

    Returns:
        The count over all images that `run` passes, and what `run` gives.
    """
    macs = 0

    def count(layer: nn.Module, _: Any, out: Tensor) -> None:
        nonlocal macs
        weight = layer.get_parameter("weight")
        macs += out.numel() * (weight.numel() // weight.shape[0])

    layers = [m for m in module.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    with torch.no_grad():
        result = run()
    for hook in hooks:
        hook.remove()
    return macs, result


def _cost(network: FusionNetwork, name: str, images: Tensor) -> MemberCost:
    macs, _ = count_macs(network, lambda: network.member(name, images))
    return MemberCost(count_parameters(*network.member_modules(name)), macs)
