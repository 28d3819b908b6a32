"""Batches in which every class that is there is there several times."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Int64
from torch import Tensor

from ffl_ray.config.settings import ResolvedConfig, ResolvedData
from ffl_ray.errors import DataError, SettingError


class ClassBalance(NamedTuple):
    """A rule for the images of each batch: batch_size / m classes, m images of each.

    All classes come equally often, whatever their size: each in its turn, in random order, before
    any comes again. Of a class each image comes once before any comes again, but for fewer than m
    that are left over. Images of a class lie side by side in a batch.

    Source: Hermans et al. 2017, arXiv:1703.07737, section 2 (P classes, K images of each).

    Attributes:
        labels: of all images.
        images_per_class: m.
    """

    labels: Int64[Tensor, "images"]
    images_per_class: int

    def order(self, batch_size: int, generator: torch.Generator) -> Int64[Tensor, "ordered"]:
        """Places of an epoch's images in whole batches; what makes no whole one is left out."""
        groups = [self._groups(places, generator) for places in by_class(self.labels.cpu())]
        steps, size = len(self.labels) // batch_size, batch_size // self.images_per_class
        classes = _turns(len(groups), size, steps, generator)
        return torch.cat([next(groups[index]) for index in classes])

    def _groups(
        self, places: Int64[Tensor, "places"], generator: torch.Generator
    ) -> Iterator[Int64[Tensor, "group"]]:
        """Groups of a class's images, without end."""
        whole = len(places) // self.images_per_class * self.images_per_class
        while True:
            shuffled = places[torch.randperm(len(places), generator=generator)]
            yield from torch.split(shuffled[:whole], self.images_per_class)


def balance_of(settings: ResolvedData, labels: Int64[Tensor, "images"]) -> ClassBalance | None:
    """The rule that the settings ask for, if they ask for any."""
    wanted = settings.images_per_class
    return ClassBalance(labels, wanted) if wanted > 1 else None


def by_class(labels: Int64[Tensor, "images"]) -> list[Int64[Tensor, "places"]]:
    """Places of the images of each class that has any."""
    counts = labels.bincount()
    return list(torch.split(labels.argsort(stable=True), counts[counts > 0].tolist()))


def _turns(count: int, size: int, steps: int, generator: torch.Generator) -> Iterator[int]:
    """Classes of one batch after the other, those of a batch distinct."""
    waiting: list[int] = []
    for _ in range(steps):
        batch, waiting = waiting[:size], waiting[size:]
        if len(batch) < size:
            fresh = torch.randperm(count, generator=generator).tolist()
            others = [index for index in fresh if index not in batch][: size - len(batch)]
            batch, waiting = batch + others, [index for index in fresh if index not in others]
        yield from batch


def epoch_size(count: int, config: ResolvedConfig) -> int:
    """Images of an epoch of `count`: all, or those that make whole batches."""
    batch_size = config.optim.batch_size
    return count if config.data.images_per_class == 1 else count // batch_size * batch_size


def check_classes(
    config: ResolvedConfig, labels: Int64[Tensor, "images"], num_workers: int
) -> None:
    """Check that there are classes, and images of each, for such batches.

    Raises:
        SettingError: a worker's share of a batch would cut a class's images.
        DataError: there are not enough.
    """
    wanted, batch_size = config.data.images_per_class, config.optim.batch_size
    if wanted == 1:
        return
    if batch_size % (wanted * num_workers):
        raise SettingError(
            f"optim.batch_size must give each of the {num_workers} workers whole groups of "
            f"data.images_per_class={wanted}, not be {batch_size}"
        )
    sizes = [len(places) for places in by_class(labels)]
    least, needed = min(sizes), batch_size // wanted
    if least < wanted or len(sizes) < needed or sum(sizes) < batch_size:
        raise DataError(
            f"data.images_per_class={wanted} needs {needed} classes of {wanted} images each to "
            f"train on, for a batch of {batch_size}, and there are {len(sizes)}, the smallest of "
            f"{least} (of {sum(sizes)} images)"
        )
