"""Every classification network of torchvision by name, such as `torchvision:resnet18`.

What is kept is all before the pooling and classifier of the original, cut into a stem and
stages by resolution (`ffl_ray.models.stages`); auxiliary heads are off, and a vision
transformer's patch tokens are its map. Weights start as torchvision initialises them, or as it
published them (`model.pretrained`: the DEFAULT set). Published weights were trained on images
normalised by ImageNet's mean and deviation; ours are normalised by those of the data set, which
for `folder` are ImageNet's. Images of one channel are repeated to three.
"""

from __future__ import annotations

import functools
import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision import models

from ffl_ray.config.overrides import nearest
from ffl_ray.errors import SettingError, on_one_line
from ffl_ray.models.backbone import Backbone
from ffl_ray.models.outline import built_on_meta
from ffl_ray.models.registry import TORCHVISION
from ffl_ray.models.stages import Cut, cut_stages, find_cuts

SIDE = 224
WEIGHTS_ONLY = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
ONE_SIZE = ("vit_", "maxvit_")
AUXILIARY = ("googlenet", "inception_v3")


class RepeatChannel(nn.Module):
    """Grey images as three equal channels."""

    def forward(self, images: Tensor) -> Tensor:
        return images.expand(-1, 3, -1, -1)


@functools.cache
def names() -> list[str]:
    """Names of all classification networks in torchvision, in this project's form."""
    return [f"{TORCHVISION}{name}" for name in models.list_models(module=models)]


def num_stages(name: str) -> int:
    """Stages of a network.

    Raises:
        SettingError: torchvision has no network of this name.
    """
    check_name(name)
    return max(1, len(_cuts(name, False)) - 1)


def check_name(name: str, setting: str = "model.mix") -> None:
    """Check that there is such a network.

    Args:
        setting: that names it.

    Raises:
        SettingError: torchvision has none of this name.
    """
    if name not in names():
        raise SettingError(
            f"{setting}: torchvision's classification networks have no {name!r}"
            f"{nearest(name, names())}"
        )


def build(in_channels: int, *, name: str, pretrained: bool = False) -> Backbone:
    """A network of torchvision as a backbone.

    Args:
        in_channels: 1 or 3.
        pretrained: download the published weights, or take them from torch.hub's folder. On the
            meta device there are no weights, and nothing is downloaded.

    Raises:
        SettingError: the images have other channels, or the weights can't be had.
    """
    if in_channels not in (1, 3):
        raise SettingError(f"{name} takes images of 1 or 3 channels, not {in_channels}")
    if torch.empty(0).is_meta:
        network = network_on_meta(name, pretrained)
    else:
        network = _pretrained(name) if pretrained else _network(name, pretrained)
    backbone = cut_stages(network, list(_cuts(name, pretrained)))
    if in_channels == 3:
        return backbone
    if len(backbone.stages) == 1:
        return Backbone(RepeatChannel(), backbone.stages)
    return Backbone(nn.Sequential(RepeatChannel(), backbone.stem), backbone.stages)


@functools.cache
def check_images(name: str, image_shape: tuple[int, int, int], pretrained: bool) -> None:
    """Check on the meta device that a network takes images of this shape.

    Raises:
        SettingError: it does not; the sizes that it takes are named.
    """
    channels, height, width = image_shape
    with torch.device("meta"), torch.no_grad():
        backbone = build(channels, name=name, pretrained=pretrained)
        network = nn.Sequential(backbone.stem, *backbone.stages).eval()
        try:
            shape = network(torch.zeros(1, *image_shape)).shape
        except (RuntimeError, ValueError, AssertionError):
            shape = torch.Size([0])
    if 0 in shape:
        side = least_side(name, pretrained)
        rule = "exactly" if _model_name(name).startswith(ONE_SIZE) else "at least"
        raise SettingError(
            f"{name} takes images of {rule} {side} x {side} pixels, not {height} x {width}"
        )


@functools.cache
def _cuts(name: str, pretrained: bool) -> tuple[Cut, ...]:
    side = least_side(name, pretrained)
    return tuple(find_cuts(network_on_meta(name, pretrained).eval(), max(SIDE, side)))


def network_on_meta(name: str, pretrained: bool) -> nn.Module:
    """The network as torchvision builds it, without numbers."""
    return built_on_meta(lambda: _network(name, pretrained))


def _network(name: str, pretrained: bool) -> nn.Module:
    """The network as torchvision initialises it, in the form that its weights need or not."""
    model = _model_name(name)
    options: dict[str, Any] = {}
    if model in AUXILIARY:
        options = {"aux_logits": False, "init_weights": True, "transform_input": pretrained}
    if model.startswith("vit_"):
        options = {"image_size": least_side(name, pretrained)}
    network: nn.Module = models.get_model(model, weights=None, **options)
    return network


def _pretrained(name: str, setting: str = "model.pretrained") -> nn.Module:
    model = _model_name(name)
    options = {"aux_logits": False} if model in AUXILIARY else {}
    try:
        with weights_alone():
            network: nn.Module = models.get_model(
                model, weights="DEFAULT", progress=False, **options
            )
    except (OSError, RuntimeError, pickle.UnpicklingError) as error:
        raise SettingError(
            f"{setting}: the weights of {name} can't be loaded "
            f"({type(error).__name__}: {on_one_line(error)}); {how_to_put(name)}"
        ) from error
    return network


def untrained(name: str, num_classes: int) -> nn.Module:
    """A whole network of torchvision, its classifier too, with weights that are about to be loaded.

    It is given three channels, normalised by `colours`.
    """
    network: nn.Module = models.get_model(_model_name(name), weights=None, num_classes=num_classes)
    return network


def published(name: str) -> nn.Module:
    """The same with the published weights, of torch's folder.

    Raises:
        SettingError: they can't be had.
    """
    return _pretrained(name, "distill.teacher")


def published_file(name: str) -> Path:
    """Where torch's folder has, or would have, a network's published weights."""
    file: str = _weights(name).url.rpartition("/")[2]
    return Path(torch.hub.get_dir()) / "checkpoints" / file


def colours(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of each channel by which a network's images were normalised."""
    preset = _weights(name).transforms()
    return tuple(preset.mean), tuple(preset.std)


def num_published_classes(name: str) -> int:
    """How many classes a network's published weights know."""
    return len(_weights(name).meta["categories"])


def how_to_put(name: str) -> str:
    """What puts a network's published weights onto this machine, in words."""
    return f"put {_weights(name).url} at {published_file(name)}"


@contextmanager
def weights_alone() -> Iterator[None]:
    """Have torch load weights without unpickling anything else meanwhile.

    torchvision asks for the opposite, and checks the hash of a file only while it downloads it.
    """
    before = os.environ.get(WEIGHTS_ONLY)
    os.environ[WEIGHTS_ONLY] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[WEIGHTS_ONLY]
        else:
            os.environ[WEIGHTS_ONLY] = before


def least_side(name: str, pretrained: bool) -> int:
    """The least side of an image; for a vision transformer the only one."""
    if _model_name(name).startswith("vit_") and not pretrained:
        return SIDE
    return int(max(_weights(name).meta["min_size"]))


def _weights(name: str) -> Any:
    return models.get_model_weights(_model_name(name)).DEFAULT


def _model_name(name: str) -> str:
    return name.removeprefix(TORCHVISION)
