"""Networks of methods with helpers, as they are trained, in float64, and what a loss reaches."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ffl_ray.config.image_shapes import image_shape
from ffl_ray.distill.networks import build_trained
from ffl_ray.models.network import FusionNetwork, NetworkOutput
from support.helpers import small_config

STEP = 1e-7


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


def slopes(
    network: FusionNetwork, value: Tensor, looped: Callable[[], float]
) -> tuple[float, float]:
    """The derivative of a value along a random direction of helpers' weights, exits' left out.

    By its gradient, and by a step there and one back of what is computed anew in a loop.
    """
    named = network.helpers.named_parameters()
    weights = [weight for name, weight in named if not name.startswith("exit")]
    generator = torch.Generator().manual_seed(1)
    ways = [torch.randn(w.shape, dtype=w.dtype, generator=generator) for w in weights]
    gradients = torch.autograd.grad(value, weights, allow_unused=True, retain_graph=True)
    pairs = zip(gradients, ways, strict=True)
    along = sum(float((g * way).sum()) for g, way in pairs if g is not None)

    def moved(step: float) -> None:
        with torch.no_grad():
            for weight, way in zip(weights, ways, strict=True):
                weight.add_(way, alpha=step)

    moved(STEP)
    there = looped()
    moved(-2 * STEP)
    back = looped()
    moved(STEP)
    return along, (there - back) / (2 * STEP)
