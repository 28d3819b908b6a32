"""Contrast of images: embeddings, their similarities, and how images of a class find each other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from ffl_ray.data.dataset import Labels
from ffl_ray.distill.terms import distillation_kl
from ffl_ray.models.fusion_designs import Features
from ffl_ray.models.network import NetworkOutput

WIDTH = 128
Similarities = Float[Tensor, "images others"]
Value = Float[Tensor, ""]


class Embedding(nn.Module):
    """Pooled features as a vector of length 1: linear, ReLU, linear, both to 128."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH))

    def forward(self, features: Features) -> Float[Tensor, "batch 128"]:
        return F.normalize(self.layers(features), dim=1)


class Pairs(NamedTuple):
    """Which images of all workers' are compared with each of this worker's, its own first.

    Attributes:
        alike: both are of one class, and not the same image.
        itself: both are the same image.
    """

    alike: Bool[Tensor, "images others"]
    itself: Bool[Tensor, "images others"]

    @classmethod
    def of(cls, labels: Labels, output: NetworkOutput) -> Pairs:
        """Those of a step's images."""
        everyone = output.gather(labels)
        places = torch.arange(len(everyone), device=labels.device)
        itself = places[: len(labels), None] == places
        return cls((labels[:, None] == everyone) & ~itself, itself)


class View(NamedTuple):
    """One network's embeddings of images: this worker's, and all workers', its own first."""

    own: Float[Tensor, "images 128"]
    everyone: Float[Tensor, "others 128"]


class Compared:
    """Similarities of one view's images and another's, of each two views computed once in a step.

    Args:
        temperature: that cosines are divided by.
    """

    def __init__(self, temperature: float) -> None:
        self._temperature = temperature
        self._found: dict[tuple[int, int], Similarities] = {}

    def __call__(self, one: View, other: View) -> Similarities:
        """Cosines over the temperature."""
        two = id(one), id(other)
        if two not in self._found:
            self._found[two] = one.own @ other.everyone.T / self._temperature
        return self._found[two]


def contrast(similarities: Similarities, pairs: Pairs) -> Value:
    """How hard it is to tell images of one class by their similarities, in nats per image.

    - mean over images u of the mean over positives v of log( exp s_uv / sum_(w != u) exp s_uw ).
    The same image is neither a positive nor in the sum. An image without a positive adds nothing.
    """
    shares = similarities.masked_fill(pairs.itself, -torch.inf).log_softmax(dim=1)
    drawn = shares.masked_fill(~pairs.alike, 0).sum(dim=1)
    return -(drawn / pairs.alike.sum(dim=1).clamp(min=1)).mean()


class Contrasted(NamedTuple):
    """What one network's images make of another's; each value is a mean over images, in nats.

    Attributes:
        between: `contrast` of its images and the other's.
        within_from: KL from the other's similarities among its images to the network's own.
        between_from: KL from those of the other's images and its to those of its and the other's.
    """

    between: Value
    within_from: Value
    between_from: Value

    @classmethod
    def summed(cls, parts: Iterable[Contrasted]) -> Contrasted:
        """Sums over several other networks."""
        return cls(*(torch.stack(values).sum() for values in zip(*parts, strict=True)))


def contrasted(
    one: View, other: View, compared: Compared, pairs: Pairs, temperature: float
) -> Contrasted:
    """The parts of mutual contrastive learning of a network from another one.

    The similarities that are learnt from are constants, over whole rows, the image itself too.

    Args:
        temperature: of the rows.
    """
    across, back = compared(one, other), compared(other, one)
    own, theirs = compared(one, one), compared(other, other)
    return Contrasted(
        contrast(across, pairs),
        distillation_kl(own, theirs, temperature=temperature),
        distillation_kl(across, back, temperature=temperature),
    )
