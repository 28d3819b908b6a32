"""What an export says of a member, and the network that its weights are put into."""

from __future__ import annotations

from pathlib import Path

import torch

from ffl_ray.config.overrides import flatten, with_overrides
from ffl_ray.config.settings import Config, ResolvedConfig
from ffl_ray.data.dataset import DatasetInfo, Images
from ffl_ray.data.facts import DataFacts
from ffl_ray.data.loader import TrainVal
from ffl_ray.exported.about import About
from ffl_ray.models.network import FusionNetwork
from ffl_ray.models.outline import awaiting_weights, on_meta
from ffl_ray.training.setup import new_network


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
    plain = config.model_copy(
        update={"model": config.model.model_copy(update={"pretrained": False})}
    )
    return awaiting_weights(network, lambda: new_network(plain, data))


def portable(config: Config) -> Config:
    """A config without the places that its data, and its teacher, had on one machine."""
    config = with_overrides(config, {"data.dir": None})
    names = {
        name: Path(place).name
        for name in ("teacher", "teacher_file")
        if (place := getattr(config.distill, name)) is not None
    }
    return config.model_copy(update={"distill": config.distill.model_copy(update=names)})


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
