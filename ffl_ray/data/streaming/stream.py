"""Images of one part, decoded from their files ahead of the training and sent to the device."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from ffl_ray.data.augment import normalise
from ffl_ray.data.dataset import DatasetInfo, Files, Images
from ffl_ray.data.loader import Augmentation, Batch, DeviceImages
from ffl_ray.data.mixing import Mix, mix_images, mix_labels
from ffl_ray.data.shards import Shard, part_of, partner_of, steps_of
from ffl_ray.data.streaming.loader_process import Item, Recipe
from ffl_ray.data.streaming.pool import LoaderPool


def served(
    images: Images | Files, info: DatasetInfo, device: torch.device, pool: LoaderPool
) -> DeviceImages | StreamedImages:
    """A part as batches on a device, from memory or from files as it was opened."""
    if isinstance(images, Files):
        return StreamedImages(images, info, device, pool)
    return DeviceImages(images, info, device)


NOBODY = slice(0, 0)


class _Epoch(NamedTuple):
    """All random numbers of an epoch: of each position in its order, and of each batch."""

    order: Int64[Tensor, "images"]
    seeds: list[Int64[Tensor, "images"]]
    mixes: list[Mix] | None


class _Step(NamedTuple):
    """A worker's part of a step.

    Attributes:
        number: of the step in the epoch.
        size: of the global batch.
        part: positions of the epoch's order that the worker takes.
        partner: the position after them, where another worker has it and images are mixed.
    """

    number: int
    size: int
    part: slice
    partner: slice

    @property
    def extra(self) -> bool:
        """Whether an image is decoded beside the worker's own."""
        return self.partner != NOBODY

    def of(self, order: Int64[Tensor, "images"]) -> Int64[Tensor, "taken"]:
        """What the worker takes of a row in the epoch's order."""
        return torch.cat([order[self.part], order[self.partner]])


class StreamedImages:
    """Images of one part, decoded anew for every epoch, served as normalised batches.

    It serves what `DeviceImages` does, in the same order. Beside the uint8 pixels nothing
    crosses to the device: they are normalised and mixed there.
    """

    def __init__(
        self, images: Files, info: DatasetInfo, device: torch.device, pool: LoaderPool
    ) -> None:
        self.images = images
        self.info = info
        self.device = device
        self.pool = pool
        self.mean = torch.tensor(info.mean, device=device)
        self.std = torch.tensor(info.std, device=device)

    def train_batches(
        self,
        *,
        batch_size: int,
        seed: int,
        epoch: int,
        first_step: int = 0,
        shard: Shard = Shard(),
        augmentation: Augmentation = Augmentation(),
        num_views: int = 1,
    ) -> Iterator[Batch]:
        """One epoch in random order, augmented.

        As `DeviceImages.train_batches`: what a step holds depends on seed and epoch alone. An
        image is decoded where it is used; a worker's last partner of a mix twice.
        """
        drawn = self._draw(batch_size, seed * 1_000_003 + epoch, augmentation, num_views)
        count = len(self.images)
        steps = [
            _step(number, start, size, shard, mixed=drawn.mixes is not None)
            for number, start, size in steps_of(count, batch_size, shard, first_step)
        ]
        recipe = Recipe(self.images.size, flip=self.info.flip, trivial=augmentation.trivial)
        asked = (self._items(drawn, step) for step in steps)
        most = num_views * (-(-batch_size // shard.world_size) + 1)
        for step, pixels in zip(steps, self.pool.squares(asked, recipe, most), strict=True):
            flat = self._on_device(pixels)
            images = flat.view(num_views, -1, *flat.shape[1:])
            labels = self.images.labels[step.of(drawn.order)].to(self.device)
            if drawn.mixes is not None:
                mix = drawn.mixes[step.number]
                views = [mix_images(*_with_partners(view, step.extra), mix) for view in images]
                images = torch.stack(views)
                own, partners = _with_partners(labels, step.extra)
                labels = mix_labels(own, partners, mix, len(self.info.classes))
            yield Batch(images[0] if num_views == 1 else images, labels, step.size)

    def eval_batches(self, *, batch_size: int, shard: Shard = Shard()) -> Iterator[Batch]:
        """The shard's share of all images once, in order, not augmented."""
        parts = []
        for start in range(0, len(self.images), batch_size):
            size = min(batch_size, len(self.images) - start)
            part = part_of(start, size, shard)
            if part.start < part.stop:
                parts.append((part, size))
        asked = ([Item(self.images.path(i)) for i in range(p.start, p.stop)] for p, _ in parts)
        most = -(-batch_size // shard.world_size)
        squares = self.pool.squares(asked, Recipe(self.images.size), most)
        for (part, size), pixels in zip(parts, squares, strict=True):
            labels = self.images.labels[part].to(self.device)
            yield Batch(self._on_device(pixels), labels, size)

    def _draw(
        self, batch_size: int, seed: int, augmentation: Augmentation, num_views: int
    ) -> _Epoch:
        count = len(self.images)
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(count, generator=generator)
        seeds = [torch.randint(2**62, (count,), generator=generator)]
        side = self.images.size
        mixes = augmentation.mixes(math.ceil(count / batch_size), side, side, generator)
        seeds += [torch.randint(2**62, (count,), generator=generator) for _ in range(num_views - 1)]
        return _Epoch(order, seeds, mixes)

    def _items(self, drawn: _Epoch, step: _Step) -> list[Item]:
        """The files of a step, view after view."""
        paths = [self.images.path(i) for i in step.of(drawn.order).tolist()]
        if not self.info.random_crop:
            return [Item(path) for _ in drawn.seeds for path in paths]
        return [
            Item(path, seed)
            for view in drawn.seeds
            for path, seed in zip(paths, step.of(view).tolist(), strict=True)
        ]

    def _on_device(
        self, pixels: UInt8[Tensor, "batch height width channels"]
    ) -> Float[Tensor, "batch channels height width"]:
        """Pixels that may be overwritten afterwards, normalised on the device.

        They go to a GPU from pinned memory, which the host does not wait for.
        """
        if self.device.type == "cuda":
            pixels = pixels.pin_memory()
        return normalise(pixels.to(self.device, non_blocking=True), self.mean, self.std)


def _step(number: int, start: int, size: int, shard: Shard, *, mixed: bool) -> _Step:
    part = part_of(start, size, shard)
    away = mixed and shard.world_size > 1
    return _Step(number, size, part, partner_of(part, start, size) if away else NOBODY)


def _with_partners(rows: Tensor, extra: bool) -> tuple[Tensor, Tensor]:
    """A worker's rows, and each one's partner: the next, and of the last one the first."""
    return (rows[:-1], rows[1:]) if extra else (rows, rows.roll(-1, 0))
