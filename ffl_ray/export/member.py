"""One member of a trained network as a module of its own, normalisation included."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ffl_ray.config.methods import resolved_from
from ffl_ray.config.older import of_today
from ffl_ray.config.overrides import flatten, with_overrides
from ffl_ray.config.settings import Config, ResolvedConfig
from ffl_ray.data.dataset import DatasetInfo, Images
from ffl_ray.data.facts import DataFacts
from ffl_ray.data.loader import TrainVal
from ffl_ray.export.about import About
from ffl_ray.models.network import FusionNetwork
from ffl_ray.models.outline import on_meta
from ffl_ray.training.setup import new_network


class Member(nn.Module):
    """A network without the modules that one member does not need, behind its normalisation.

    Args:
        network: is copied and stripped; it stays as it is.
        name: of the member.
        mean: per channel, of pixels in [0, 1].
        std: likewise.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, network: FusionNetwork, name: str, mean: Sequence[float], std: Sequence[float]
    ) -> None:
        super().__init__()
        self.name = name
        self.register_buffer("mean", torch.tensor(mean).reshape(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).reshape(1, -1, 1, 1), persistent=False)
        self.network = stripped(network, name)
        self.eval()
        self.requires_grad_(False)

    def forward(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch classes"]:
        """Logits of images in [0, 1]."""
        return self.network.member(self.name, (images - self.mean) / self.std)


def stripped(network: FusionNetwork, name: str) -> FusionNetwork:
    """A copy of a network in which modules that a member does not need hold no parameters."""
    kept = copy.deepcopy(network)
    _strip(kept, {id(module) for module in kept.member_modules(name)})
    return kept


def _strip(module: nn.Module, kept: set[int]) -> bool:
    """Whether anything below a module is kept; what is not becomes an empty identity."""
    needed = False
    for name, child in module.named_children():
        if id(child) in kept or _strip(child, kept):
            needed = True
        else:
            setattr(module, name, nn.Identity())
    return needed


def empty_network(
    config: ResolvedConfig, info: DatasetInfo, shape: tuple[int, int, int]
) -> FusionNetwork:
    """A config's network for data of this kind, whose weights are about to be loaded.

    Published initial weights are not fetched: every weight is in the file anyway.
    """
    channels, height, width = shape
    none = Images(torch.empty(0, height, width, channels), torch.empty(0, dtype=torch.int64))
    data = TrainVal(none, none, info, DataFacts())
    if not config.model.pretrained:
        return new_network(config, data)
    with on_meta():
        network = new_network(config, data)
    return network.to_empty(device="cpu")


def rebuilt(about: About) -> Member:
    """An exported member, but for its weights."""
    info = DatasetInfo(about.classes, about.mean, about.std, crop_padding=0, flip=False)
    config = resolved_from(of_today(about.settings))
    return Member(
        empty_network(config, info, about.image_shape), about.member, about.mean, about.std
    )


def portable(config: Config) -> Config:
    """A config without the place that its data had on one machine."""
    return with_overrides(config, {"data.dir": None})


def describe(config: Config, name: str, data: TrainVal) -> About:
    """The description that a member of this config's network will carry."""
    settings = {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in flatten(portable(config)).items()
    }
    return About(
        member=name,
        settings=settings,
        image_shape=data.image_shape,
        classes=data.info.classes,
        mean=data.info.mean,
        std=data.info.std,
    )
