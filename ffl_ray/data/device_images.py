"""Images that lie on the device, as batches."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ffl_ray.data.augment import Draws, crop_and_flip, draw, normalise
from ffl_ray.data.batches import Batch, EpochRequest, draw_epoch
from ffl_ray.data.dataset import DatasetInfo, Images
from ffl_ray.data.seeds import draw_seeds
from ffl_ray.data.shards import Shard, Step, eval_steps
from ffl_ray.data.trivial_augment import trivial_augment


class _View(NamedTuple):
    """The random numbers of one augmentation of every image, in the epoch's order."""

    draws: Draws
    seeds: Int64[Tensor, "images"] | None


class DeviceImages:
    """Images of one split, resident on a device, served as normalised batches."""

    def __init__(self, images: Images, info: DatasetInfo, device: torch.device) -> None:
        self.images = Images(images.pixels.to(device), images.labels.to(device))
        self.info = info
        self.device = device
        self.mean = torch.tensor(info.mean, device=device)
        self.std = torch.tensor(info.std, device=device)

    def train_batches(self, request: EpochRequest) -> Iterator[Batch]:
        """One epoch in random order, augmented."""
        trivial, num_classes = request.augmentation.trivial, len(self.info.classes)
        draw_view = functools.partial(self._draw_view, trivial)
        drawn = draw_epoch(request, len(self.images), self.images.image_shape, draw_view)
        order = drawn.order.to(self.device)
        for step in drawn.steps(request):
            indices = step.of(order)
            pictures = [self._augmented(indices, view, step) for view in drawn.views]
            labels = self.images.labels[indices]
            views, labels = drawn.mixed(step, pictures, labels, num_classes)
            yield Batch(views[0] if len(views) == 1 else torch.stack(views), labels, step.size)

    def eval_batches(self, *, batch_size: int, shard: Shard = Shard()) -> Iterator[Batch]:
        """The shard's share of all images once, in order, not augmented."""
        for step in eval_steps(len(self.images), batch_size, shard):
            pixels = normalise(self.images.pixels[step.taken], self.mean, self.std)
            yield Batch(pixels, self.images.labels[step.taken], step.size)

    def _draw_view(self, trivial: bool, generator: torch.Generator) -> _View:
        count, info = len(self.images), self.info
        draws = draw(count, padding=info.crop_padding, flip=info.flip, generator=generator)
        return _View(draws.to(self.device), draw_seeds(count, generator) if trivial else None)

    def _augmented(
        self, indices: Int64[Tensor, "batch"], view: _View, step: Step
    ) -> Float[Tensor, "batch channels height width"]:
        draws = Draws(*map(step.of, view.draws))
        pixels = crop_and_flip(self.images.pixels, indices, draws)
        if view.seeds is not None:
            pixels = trivial_augment(pixels, step.of(view.seeds).tolist())
        return normalise(pixels, self.mean, self.std)
