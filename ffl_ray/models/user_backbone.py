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
from ffl_ray.models.contract import check_parameters, isolated, share

BATCH = 2


def num_stages(name: str) -> int:
    """Stages of a user's backbone.

    Raises:
        SettingError: it can't be imported or built.
    """
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        return len(build(3, name=name).stages)


def build(in_channels: int, *, name: str) -> Backbone:
    """A user's backbone.

    Raises:
        SettingError: it can't be imported, fails, or returns something else.
    """
    code = _code(name)
    function = code.load()
    built = code.called(lambda: function(in_channels), f"called with {in_channels}")
    if isinstance(built, Backbone):
        modules = (built.stem, *built.stages)
        if not built.stages or not all(isinstance(module, nn.Module) for module in modules):
            raise code.broken("its Backbone must hold a stem and at least one stage, all modules")
        return built
    if isinstance(built, nn.Module):
        return Backbone(nn.Sequential(), (built,))
    raise code.broken(f"it must return a torch.nn.Module or a Backbone, not {kind_of(built)}")


@functools.cache
def check_images(name: str, image_shape: tuple[int, int, int], pretrained: bool) -> None:
    """Check of the contract: run a user's backbone forward and backward once on such images.

    Args:
        pretrained: no matter: its weights are its own.

    Raises:
        SettingError: it breaks the contract; what it broke is named.
    """
    code = _code(name)
    with isolated():
        backbone, again = (build(image_shape[0], name=name) for _ in range(2))
        modules, others = (nn.ModuleList([b.stem, *b.stages]) for b in (backbone, again))
        if share(modules.parameters(), others.parameters()):
            raise code.broken("it must return new modules at each call, not the same again")
        images = torch.randn(BATCH, *image_shape, generator=torch.Generator().manual_seed(0))
        feature_map = _checked_map(code, backbone, images)
        named = modules.named_parameters()
        check_parameters(code, feature_map, ((path.partition(".")[2], p) for path, p in named))
        modules.eval()
        _checked_map(code, backbone, images[:1])


def _code(name: str) -> OwnCode:
    return OwnCode("model.mix", "a backbone", "function", name)


def _checked_map(code: OwnCode, backbone: Backbone, images: Tensor) -> Tensor:
    """The feature map, after a check of each stage's output."""
    given = f"given {list(images.shape)}"
    x = code.called(lambda: backbone.stem(images), given)
    for index, stage in enumerate(backbone.stages):
        x = code.called(functools.partial(stage, x), given)
        _check_map(code, f"stage {index}" if len(backbone.stages) > 1 else "it", x, len(images))
    feature_map: Tensor = x
    return feature_map


def _check_map(code: OwnCode, what: str, x: Any, batch: int) -> None:
    rule = f"{what} must give a map [batch, channels, height, width]"
    if not isinstance(x, Tensor):
        raise code.broken(f"{rule}, not {kind_of(x)}")
    if x.ndim != 4 or 0 in x.shape:
        raise code.broken(f"{rule}, not {list(x.shape)}")
    if len(x) != batch:
        raise code.broken(f"{what} must keep the batch of {batch} images, not give {len(x)}")
    if not x.is_floating_point():
        raise code.broken(f"{rule} of floating point numbers, not {x.dtype}")
    if not x.isfinite().all():
        raise code.broken(f"{what} must give finite numbers for images from N(0, 1)")
