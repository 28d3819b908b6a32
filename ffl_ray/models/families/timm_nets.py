"""Every network of timm with a features_only form, such as `timm:resnet18.a1_in1k`.

What is kept is what `timm.create_model(name, features_only=True)` keeps, which ends with the last
feature map. Where that form is a chain of modules (`FeatureListNet`, and timm's EfficientNets and
MobileNetV3s), it is cut where it gives a map: all up to the first one is the stem, and each
further one ends a stage. Any other form (vision transformers, networks read by hooks) is one
stage, and its branches share nothing. Weights start as timm initialises them, or as it gets the
published ones (`model.pretrained`): of a file in torch's folder, else of the Hugging Face hub and
its cache. timm adapts the first layer to the channels of the images.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor, nn

from ffl_ray.config.extras import import_extra, is_installed
from ffl_ray.config.overrides import nearest
from ffl_ray.errors import SettingError, on_one_line
from ffl_ray.models.backbone import Backbone
from ffl_ray.models.families.timm_weights import (
    cant_load,
    colours,
    from_file,
    how_to_put,
    num_published_classes,
    published_file,
    put_file,
    weights_of,
)
from ffl_ray.models.families.torchvision_nets import weights_alone
from ffl_ray.models.outline import built_on_meta
from ffl_ray.models.registry import TIMM
from ffl_ray.models.stages import ChannelsFirst, ChannelsLast

__all__ = ["colours", "how_to_put", "num_published_classes", "published_file"]

CHAINS = ("EfficientNetFeatures", "MobileNetV3Features")
STEM = ("conv_stem", "bn1", "act1")  # of these, in the order of their calls


class LastMap(nn.Module):
    """The last of the maps that a network gives, channels first."""

    def __init__(self, network: nn.Module, *, channels_last: bool) -> None:
        super().__init__()
        self.network = network
        self.order = ChannelsFirst() if channels_last else nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        last: Tensor = self.order(self.network(images)[-1])
        return last


@functools.cache
def names() -> list[str]:
    """Names of all networks, alone and with the tag of published weights; none without timm."""
    if not is_installed("timm"):
        return []
    timm = _timm("")
    return [f"{TIMM}{name}" for name in (*timm.list_models(), *timm.list_pretrained())]


def num_stages(name: str) -> int:
    """Stages of a network.

    Raises:
        SettingError: timm is not installed, has no network of this name, or no features of it.
    """
    return len(_on_meta(name, 3).stages)


def build(in_channels: int, *, name: str, pretrained: bool = False) -> Backbone:
    """A network of timm as a backbone.

    Args:
        pretrained: with published weights. On the meta device there are none, and nothing is
            downloaded.

    Raises:
        SettingError: the weights can't be had.
    """
    if torch.empty(0).is_meta:
        return _cut(built_on_meta(lambda: _features(name, in_channels)))
    return _cut(_pretrained(name, in_channels) if pretrained else _features(name, in_channels))


@functools.cache
def check_images(name: str, image_shape: tuple[int, int, int], pretrained: bool) -> None:
    """Check on the meta device that a network trains on images of this shape.

    Raises:
        SettingError: it does not take them, a part of it would get no gradient, or there are no
            published weights of it.
    """
    channels, height, width = image_shape
    backbone = _on_meta(name, channels)
    if pretrained and not weights_of(name).has_weights:
        raise SettingError(
            f"model.pretrained needs published weights, and timm has none of {name}"
            f"{nearest(name, [n for n in names() if n.startswith(f'{name}.')])}"
        )
    network = nn.Sequential(backbone.stem, *backbone.stages).train()
    try:
        last: Tensor = network(torch.zeros(2, *image_shape, device="meta"))
    except (RuntimeError, ValueError, AssertionError, TypeError) as error:
        side = weights_of(name).input_size[-1]
        raise SettingError(
            f"{name} does not take images of {height} x {width} pixels; it was made for "
            f"{side} x {side} ({on_one_line(error)[:120]})"
        ) from error
    if last.ndim != 4 or 0 in last.shape:
        raise SettingError(f"{name} gives no map of {height} x {width} pixels, but {last.shape}")
    _check_gradients(name, network, last)


def _check_gradients(name: str, network: nn.Module, last: Tensor) -> None:
    named = [(path, p) for path, p in network.named_parameters() if p.requires_grad]
    found = torch.autograd.grad(last.sum(), [p for _, p in named], allow_unused=True)
    unused = [path for (path, _), gradient in zip(named, found, strict=True) if gradient is None]
    if unused:
        raise SettingError(
            f"{name} can't be a branch: its last feature map leaves {len(unused)} parameters "
            f"without a gradient, such as {unused[0]}"
        )


@functools.cache
def _on_meta(name: str, in_channels: int) -> Backbone:
    """The network as stages without numbers, for its structure alone."""
    check_name(name)
    try:
        return _cut(built_on_meta(lambda: _features(name, in_channels)))
    except (RuntimeError, ValueError, AssertionError, TypeError, AttributeError) as error:
        raise SettingError(
            f"model.mix: {name} has no features_only form in timm: {on_one_line(error)[:160]}"
        ) from error


def check_name(name: str, setting: str = "model.mix") -> None:
    """Check that there is such a network.

    Args:
        setting: that names it.

    Raises:
        SettingError: timm is not installed, or has none of this name.
    """
    if name not in names():
        _timm(name, setting)
        raise SettingError(f"{setting}: timm has no network {name!r}{nearest(name, names())}")


def _timm(name: str, setting: str = "model.mix") -> Any:
    """The library.

    Raises:
        SettingError: it is not installed.
    """
    return import_extra("timm", "timm", f"{setting}: {name}", SettingError)


def _features(name: str, in_channels: int, **weights: object) -> nn.Module:
    """The features_only form; the maps that it gives are those that timm chose for it."""
    network: nn.Module = _timm(name).create_model(
        name.removeprefix(TIMM), features_only=True, in_chans=in_channels, **weights
    )
    return network


def _cut(network: Any) -> Backbone:
    """The features_only form as a stem and stages; as one stage where it is no chain."""
    channels_last = str(getattr(network, "output_fmt", "NCHW")).endswith("NHWC")
    segments: list[list[nn.Module]] = [[]]
    for module, gives_map in _chain(network):
        segments[-1].append(module)
        if gives_map:
            segments.append([])
    if len(segments) < 3:
        return Backbone(nn.Sequential(), (LastMap(network, channels_last=channels_last),))
    chained = [nn.Sequential(*segment) for segment in segments[:-1]]
    if channels_last:
        chained = [
            nn.Sequential(*([ChannelsLast()] if place else []), segment, ChannelsFirst())
            for place, segment in enumerate(chained)
        ]
    return Backbone(chained[0], tuple(chained[1:]))


def _chain(network: Any) -> list[tuple[nn.Module, bool]]:
    """The modules that are called one after the other, each with whether its map is given.

    None where the form is another than these.
    """
    kind = type(network).__name__
    if kind == "FeatureListNet":
        return [(module, name in network.return_layers) for name, module in network.items()]
    parts: dict[str, Any] = dict(network.named_children())
    if kind in CHAINS and network.feature_hooks is None and parts.keys() <= {*STEM, "blocks"}:
        ends = network.feature_info.get("stage")
        stem = nn.Sequential(*(parts[name] for name in STEM if name in parts))
        return [(stem, 0 in ends), *((b, i in ends) for i, b in enumerate(parts["blocks"], 1))]
    return []


def _pretrained(name: str, in_channels: int) -> nn.Module:
    try:
        with weights_alone():  # timm 1.0.20 unpickles whatever a file holds
            return _features(name, in_channels, pretrained=True, **from_file(put_file(name)))
    except Exception as error:  # the hub's own errors have no common kind
        raise cant_load(name, "model.pretrained", error) from error


def untrained(name: str, num_classes: int) -> nn.Module:
    """A whole network of timm, its classifier too, with weights that are about to be loaded.

    It is given three channels, normalised by `colours`.
    """
    return _whole(name, num_classes=num_classes)


def published(name: str) -> nn.Module:
    """The same with the published weights that are here; nothing is downloaded.

    Raises:
        SettingError: they can't be read.
    """
    try:
        with weights_alone():
            return _whole(name, pretrained=True, **from_file(published_file(name)))
    except Exception as error:
        raise cant_load(name, "distill.teacher", error) from error


def _whole(name: str, **options: object) -> nn.Module:
    timm = _timm(name, "distill.teacher")
    network: nn.Module = timm.create_model(name.removeprefix(TIMM), **options)
    return network
