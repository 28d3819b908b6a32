"""The user's own fusion designs: `module:Class` as fusion.design, such as `my_fusion:Max`.

The contract: `Class(shape)`, given a `FusionShape` (num_branches, width, trunk_width, num_classes),
is a `torch.nn.Module`, new at each call, whose `forward(maps, trunk_features)` gives the fused
classifier's logits [batch, num_classes]:

- maps: a list of the branches' maps, num_branches of [batch, width, height, width'], all of one
  shape: another one was pooled and projected before. Height and width may be anything from 1 up;
- trunk_features: [batch, trunk_width], the pooled output of the shared trunk.

The logits are finite, and every parameter that wants a gradient gets one. Initial weights are the
class's. A function that returns such a module will do as well.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn

from ffl_ray.config.user_code import OwnCode, kind_of
from ffl_ray.models.fusion_designs import FusionShape

BATCH, WIDTH, TRUNK_WIDTH, CLASSES = 2, 8, 4, 3
SIDES = (4, 1)


def _own(name: str) -> OwnCode:
    return OwnCode("fusion.design", "a fusion design", "Class", name)


def own_design(name: str, shape: FusionShape) -> nn.Module:
    """Build a user's design.

    Raises:
        SettingError: it can't be imported, fails, or is no module.
    """
    design = _own(name).load()
    built = _own(name).called(lambda: design(shape), f"called with {shape}")
    if not isinstance(built, nn.Module):
        raise _own(name).broken(f"it must give a torch.nn.Module, not {kind_of(built)}")
    return built


@functools.cache
def check_contract(name: str, num_branches: int) -> None:
    """Run a user's design forward and backward once, on maps of two sizes.

    Raises:
        SettingError: it breaks the contract; what it broke is named.
    """
    shape = FusionShape(num_branches, WIDTH, TRUNK_WIDTH, CLASSES)
    with torch.random.fork_rng(devices=[]), torch.device("cpu"), torch.enable_grad():
        built, again = own_design(name, shape), own_design(name, shape)
        if {id(p) for p in built.parameters()} & {id(p) for p in again.parameters()}:
            raise _own(name).broken("it must be new at each call, not the same again")
        for side in SIDES:
            logits = _logits(name, built, shape, side)
            built.zero_grad()
            _check_gradients(name, built, logits)
        built.eval()
        _logits(name, built, shape, SIDES[0], batch=1)


def _logits(
    name: str, design: nn.Module, shape: FusionShape, side: int, batch: int = BATCH
) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    size = (shape.num_branches, batch, shape.width, side, side)
    maps = list(torch.randn(size, generator=generator).requires_grad_().unbind())
    features = torch.randn(batch, shape.trunk_width, generator=generator)
    given = f"given {len(maps)} maps {list(maps[0].shape)}"
    logits = _own(name).called(lambda: design(maps, features), given)
    rule = f"{given}, it must give logits [{batch}, {shape.num_classes}]"
    if not isinstance(logits, Tensor):
        raise _own(name).broken(f"{rule}, not {kind_of(logits)}")
    if tuple(logits.shape) != (batch, shape.num_classes):
        raise _own(name).broken(f"{rule}, not {list(logits.shape)}")
    if not logits.is_floating_point() or not logits.isfinite().all():
        raise _own(name).broken(f"{rule} of finite floating point numbers")
    return logits


def _check_gradients(name: str, design: nn.Module, logits: Tensor) -> None:
    if logits.requires_grad:
        loss = logits.square().mean()
        _own(name).called(lambda: torch.autograd.backward(loss), "run backward")
    trained = [(path, p) for path, p in design.named_parameters() if p.requires_grad]
    unused = [path for path, parameter in trained if parameter.grad is None]
    if unused:
        raise _own(name).broken(
            f"every parameter must get a gradient, and these get none: {', '.join(unused[:5])}"
        )
