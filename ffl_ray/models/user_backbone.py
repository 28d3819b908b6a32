"""The user's own backbones: `module:function` in a mix, such as `my_nets:tiny`.

The contract: `function(in_channels: int)` returns, new at each call,

- a `torch.nn.Module` that maps images [batch, in_channels, height, width] to a feature map
  [batch, channels, height', width'] (one stage, so model.trunk_stages must be 0), or
- a `ffl_ray.models.backbone.Backbone` of a stem and stages, of which each gives such a map.

The map is finite, keeps the batch, and every parameter that wants a gradient gets one. Initial
weights are the function's. The module is imported from the current folder or from installed
packages; it must be importable wherever a worker runs.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor, nn

from ffl_ray.config.user_code import OwnCode, kind_of
from ffl_ray.models.backbone import Backbone

BATCH = 2


def num_stages(name: str) -> int:
    """Stages of a user's backbone.

    Raises:
        SettingError: it can't be imported or built.
    """
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        return len(own_backbone(3, name=name).stages)


def own_backbone(in_channels: int, *, name: str) -> Backbone:
    """Build a user's backbone.

    Raises:
        SettingError: it can't be imported, fails, or returns something else.
    """
    function = _own(name).load()
    built = _own(name).called(lambda: function(in_channels), f"called with {in_channels}")
    if isinstance(built, Backbone):
        modules = (built.stem, *built.stages)
        if not built.stages or not all(isinstance(module, nn.Module) for module in modules):
            raise _own(name).broken(
                "its Backbone must hold a stem and at least one stage, all modules"
            )
        return built
    if isinstance(built, nn.Module):
        return Backbone(nn.Sequential(), (built,))
    raise _own(name).broken(f"it must return a torch.nn.Module or a Backbone, not {kind_of(built)}")


@functools.cache
def check_contract(name: str, image_shape: tuple[int, int, int]) -> None:
    """Run a user's backbone forward and backward once on images of this shape.

    Raises:
        SettingError: it breaks the contract; what it broke is named.
    """
    with torch.random.fork_rng(devices=[]), torch.device("cpu"), torch.enable_grad():
        backbone = own_backbone(image_shape[0], name=name)
        _check_new(name, backbone, own_backbone(image_shape[0], name=name))
        images = torch.randn(BATCH, *image_shape, generator=torch.Generator().manual_seed(0))
        _check_gradients(name, backbone, _forward(name, backbone, images))
        for part in (backbone.stem, *backbone.stages):
            part.eval()
        _forward(name, backbone, images[:1])


def _own(name: str) -> OwnCode:
    return OwnCode("model.mix", "a backbone", "function", name)


def _forward(name: str, backbone: Backbone, images: Tensor) -> Tensor:
    """The feature map, after a check of each stage's output."""
    x = _own(name).called(lambda: backbone.stem(images), f"given {list(images.shape)}")
    for index, stage in enumerate(backbone.stages):
        given = x
        x = _own(name).called(functools.partial(stage, given), f"given {list(images.shape)}")
        what = f"stage {index}" if len(backbone.stages) > 1 else "it"
        _check_map(name, what, x, len(images))
    map_: Tensor = x
    return map_


def _check_map(name: str, what: str, x: Any, batch: int) -> None:
    rule = f"{what} must give a map [batch, channels, height, width]"
    if not isinstance(x, Tensor):
        raise _own(name).broken(f"{rule}, not {kind_of(x)}")
    if x.ndim != 4 or 0 in x.shape:
        raise _own(name).broken(f"{rule}, not {list(x.shape)}")
    if len(x) != batch:
        raise _own(name).broken(f"{what} must keep the batch of {batch} images, not give {len(x)}")
    if not x.is_floating_point():
        raise _own(name).broken(f"{rule} of floating point numbers, not {x.dtype}")
    if not x.isfinite().all():
        raise _own(name).broken(f"{what} must give finite numbers for images from N(0, 1)")


def _check_gradients(name: str, backbone: Backbone, feature_map: Tensor) -> None:
    trained = {
        path: parameter
        for path, parameter in nn.ModuleList([backbone.stem, *backbone.stages]).named_parameters()
        if parameter.requires_grad
    }
    if not trained:
        return
    if feature_map.requires_grad:
        loss = feature_map.square().mean()
        _own(name).called(lambda: torch.autograd.backward(loss), "run backward")
    unused = [path.partition(".")[2] for path, p in trained.items() if p.grad is None]
    if unused:
        raise _own(name).broken(
            f"every parameter must get a gradient, and these get none: {', '.join(unused[:5])}",
        )


def _check_new(name: str, first: Backbone, second: Backbone) -> None:
    ids = [
        {id(p) for part in (backbone.stem, *backbone.stages) for p in part.parameters()}
        for backbone in (first, second)
    ]
    if ids[0] & ids[1]:
        raise _own(name).broken("it must return new modules at each call, not the same again")
