"""Contrast of images: embeddings, their similarities, and how images of a class find each other."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from ffl_ray.config.settings import ResolvedDistill
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


class Compared:
    """Contrast of a step's images, in whose views every two are compared once.

    Args:
        pairs: of the step's images.
        settings: of the method: the temperatures of cosines and of rows of them.
    """

    def __init__(self, pairs: Pairs, settings: ResolvedDistill) -> None:
        self._pairs = pairs
        self._of_cosines, self._of_rows = settings.contrast_temperature, settings.temperature
        self._found: dict[tuple[int, int], Similarities] = {}

    def within(self, view: View) -> Value:
        """`contrast` of a network's own images."""
        return contrast(self._similarities(view, view), self._pairs)

    def from_peers(self, views: Sequence[View], peers: Sequence[View]) -> Contrasted:
        """What these views learn from all of the peers', summed.

        The similarities that are learnt from are constants, over whole rows, the image itself too.
        """
        parts = [self._from(view, peer) for view, peer in product(views, peers)]
        return Contrasted(*(torch.stack(values).sum() for values in zip(*parts, strict=True)))

    def _from(self, one: View, other: View) -> Contrasted:
        across, back = self._similarities(one, other), self._similarities(other, one)
        own, theirs = self._similarities(one, one), self._similarities(other, other)
        return Contrasted(
            contrast(across, self._pairs),
            distillation_kl(own, theirs, temperature=self._of_rows),
            distillation_kl(across, back, temperature=self._of_rows),
        )

    def _similarities(self, one: View, other: View) -> Similarities:
        """Of one view's images and another's: cosines over the temperature."""
        two = id(one), id(other)
        if two not in self._found:
            self._found[two] = one.own @ other.everyone.T / self._of_cosines
        return self._found[two]
