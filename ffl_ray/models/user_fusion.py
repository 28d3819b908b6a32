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
from ffl_ray.models.contract import check_parameters, isolated, share
from ffl_ray.models.fusion_designs import FusionShape

BATCH, WIDTH, TRUNK_WIDTH, CLASSES = 2, 8, 4, 3
SIDES = (4, 1)


def user_design(name: str, shape: FusionShape) -> nn.Module:
    """A user's design.

    Raises:
        SettingError: it can't be imported, fails, or is no module.
    """
    code = _code(name)
    design = code.load()
    built = code.called(lambda: design(shape), f"called with {shape}")
    if not isinstance(built, nn.Module):
        raise code.broken(f"it must give a torch.nn.Module, not {kind_of(built)}")
    return built


@functools.cache
def check_contract(name: str, num_branches: int) -> None:
    """Check of the contract: run a user's design forward and backward on maps of two sizes.

    Raises:
        SettingError: it breaks the contract; what it broke is named.
    """
    code, shape = _code(name), FusionShape(num_branches, WIDTH, TRUNK_WIDTH, CLASSES)
    with isolated():
        built, again = user_design(name, shape), user_design(name, shape)
        if share(built.parameters(), again.parameters()):
            raise code.broken("it must be new at each call, not the same again")
        for side in SIDES:
            logits = _checked_logits(code, built, shape, side)
            built.zero_grad()
            check_parameters(code, logits, built.named_parameters())
        built.eval()
        _checked_logits(code, built, shape, SIDES[0], batch=1)


def _code(name: str) -> OwnCode:
    return OwnCode("fusion.design", "a fusion design", "Class", name)


def _checked_logits(
    code: OwnCode, design: nn.Module, shape: FusionShape, side: int, batch: int = BATCH
) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    size = (shape.num_branches, batch, shape.width, side, side)
    maps = list(torch.randn(size, generator=generator).requires_grad_().unbind())
    features = torch.randn(batch, shape.trunk_width, generator=generator)
    given = f"given {len(maps)} maps {list(maps[0].shape)}"
    logits = code.called(lambda: design(maps, features), given)
    rule = f"{given}, it must give logits [{batch}, {shape.num_classes}]"
    if not isinstance(logits, Tensor):
        raise code.broken(f"{rule}, not {kind_of(logits)}")
    if tuple(logits.shape) != (batch, shape.num_classes):
        raise code.broken(f"{rule}, not {list(logits.shape)}")
    if not logits.is_floating_point() or not logits.isfinite().all():
        raise code.broken(f"{rule} of finite floating point numbers")
    return logits
