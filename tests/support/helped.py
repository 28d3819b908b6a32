"""Networks of methods with helpers, as they are trained, in float64, and what a loss reaches."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ffl_ray.config.image_shapes import image_shape
from ffl_ray.distill.networks import build_trained
from ffl_ray.models.network import FusionNetwork, NetworkOutput
from support.helpers import small_config


class Passed(NamedTuple):
    """Images, and what a training pass gives of them."""

    images: Tensor
    given: NetworkOutput


def trained_network(
    method: str, mix: str, batch: int, **settings: object
) -> tuple[FusionNetwork, Passed]:
    """The network of a method with its helpers, and a training pass through it."""
    config = small_config(distill__method=method, model__mix=mix, **settings)
    shape = image_shape(config.data)
    network = build_trained(config, image_shape=shape, num_classes=10).double()
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(batch, *shape, dtype=torch.float64, generator=generator)
    return network, Passed(images, network(images))


def reached_by(network: FusionNetwork) -> set[str]:
    """Names of the trunk, branches, classifiers and helpers that have a gradient."""
    parts: dict[str, nn.Module] = {"trunk": network.trunks, **dict(network.helpers.items())}
    parts |= {f"branch{k}": branch for k, branch in enumerate(network.branches)}
    parts |= {f"classifier{k}": linear for k, linear in enumerate(network.classifiers)}
    return {
        name
        for name, part in parts.items()
        if any(p.grad is not None and bool(p.grad.any()) for p in part.parameters())
    }
